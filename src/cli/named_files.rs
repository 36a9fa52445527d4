//! Files that a configuration names, and that a node does not start without.
//!
//! `config check` and `doctor` look at them before the node does, and say what it would say.

use serde::{Deserialize, Serialize};

use crate::app::networks::load_genesis;
use crate::runtime::Config;
use crate::runtime::key_file::read_key_file;
use crate::types::Network;

/// A file that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unusable {
    /// The key that names it.
    pub(super) key: String,
    /// What is wrong with it, and what to do about it, as the node would say it.
    pub(super) says: String,
}

/// What a node with this configuration would end for: its genesis document, its operator key.
pub(super) fn unusable(config: &Config) -> Vec<Unusable> {
    let mut found = Vec::new();
    let mut add = |key: &str, says: String| found.push(Unusable { key: key.to_owned(), says });
    // A node of a devnet finds the document of the devnet at hand.
    let names_document = config.node.genesis.is_some() || config.node.network != Network::Devnet;
    if let Some(error) = names_document.then(|| load_genesis(config).err()).flatten() {
        add("node.genesis", error.to_string());
    }
    let key = config.masternode.operator_key.as_deref().filter(|_| config.masternode.enabled);
    if let Some(error) = key.and_then(|path| read_key_file(path).err()) {
        add("masternode.operator_key", error.to_string());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::networks::devnet_genesis;
    use crate::runtime::key_file::{create_key_file, generate_key};

    #[test]
    fn what_a_node_would_end_for_is_said_with_its_key() {
        let home = tempfile::tempdir().unwrap();
        let mut config = Config::of_network(Network::Devnet);
        let keys = |config: &Config| -> Vec<String> {
            unusable(config).into_iter().map(|unusable| unusable.key).collect()
        };
        assert_eq!(keys(&config), Vec::<String>::new(), "that devnet's is found at the start");
        config.node.network = Network::Testnet;
        assert_eq!(keys(&config), ["node.genesis"], "none is named");
        config.node.network = Network::Devnet;
        let (document, key) = (home.path().join("genesis.toml"), home.path().join("key"));
        config.node.genesis = Some(document.clone());
        config.masternode.operator_key = Some(key.clone());
        assert_eq!(keys(&config), ["node.genesis"], "the key plays no part without a masternode");
        config.masternode.enabled = true;
        assert_eq!(keys(&config), ["node.genesis", "masternode.operator_key"]);
        std::fs::write(&document, "x = 1").unwrap();
        create_key_file(&key, &generate_key().unwrap()).unwrap();
        assert_eq!(keys(&config), ["node.genesis"], "it is no document");
        std::fs::write(&document, devnet_genesis(4).to_toml().unwrap()).unwrap();
        assert_eq!(keys(&config), Vec::<String>::new());
    }
}
