//! What `timed devnet` says at its start: where its nodes are, whose coins there are, and what to type.
//!
//! # Bounds
//! Its lines fit into 80 columns, unless a path that the user named is long.

use std::path::{Path, PathBuf};

use crate::app::devnet::Devnet;
use crate::app::networks::{DEVNET_ACCOUNT_TIME, DEVNET_MNEMONIC, devnet_account_keys};
use crate::types::{Address, Network};

/// Columns of a line.
const WIDTH: usize = 80;

/// What the lines depend on beside the devnet.
pub(super) struct Banner<'a> {
    /// The program, as it was called.
    pub(super) program: &'a str,
    /// The configuration of the first node, where commands don't find it by themselves.
    pub(super) config: Option<PathBuf>,
    /// The devnet's directory, as it was named.
    pub(super) directory: &'a Path,
    /// Whether each node is a process.
    pub(super) processes: bool,
    /// Whether to show private keys.
    pub(super) show_keys: bool,
    /// Whether payments are made already.
    pub(super) has_load: bool,
}

/// A command in as many lines as it needs, as a shell takes them.
fn command(label: &str, words: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = format!("{label:<8}");
    let mut is_empty = true;
    for word in words {
        // Two for the backslash of a line that goes on.
        let needed = line.chars().count().saturating_add(word.chars().count()).saturating_add(3);
        if !is_empty && needed > WIDTH {
            lines.push(format!("{line} \\"));
            line = " ".repeat(7);
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines
}

impl Banner<'_> {
    /// The lines.
    pub(super) fn lines(&self, devnet: &Devnet) -> Vec<String> {
        let mut lines = vec![format!(
            "TIME Coin devnet of {} masternodes in {}",
            devnet.nodes.len(),
            self.directory.display()
        )];
        if devnet.existed {
            lines.push("Its chain goes on; --reset starts a new one.".to_owned());
        }
        lines.push(format!("Chain   {}", devnet.chain_id));
        lines.push(String::new());
        lines.extend(self.nodes(devnet));
        lines.push(String::new());
        lines.extend(self.accounts());
        lines.push(String::new());
        lines.extend(self.commands(devnet));
        lines.push("Ctrl-C stops all nodes.".to_owned());
        lines.push(String::new());
        lines
    }

    fn nodes(&self, devnet: &Devnet) -> Vec<String> {
        let of_all = if self.processes { "" } else { ", of all nodes" };
        let mut lines =
            vec![format!("  {:<7}  {:<15}  {:<22}  /metrics{of_all}", "", "peers", "RPC and explorer")];
        for (index, node) in devnet.nodes.iter().enumerate() {
            let config = &node.config;
            let tells = config.metrics.enabled && (self.processes || index == 0);
            let metrics = if tells { config.metrics.listen_address.to_string() } else { String::new() };
            let rpc = format!("http://{}", config.rpc.listen_address);
            let line =
                format!("  {:<7}  {:<15}  {rpc:<22}  {metrics}", node.name, config.network.listen_address);
            lines.push(line.trim_end().to_owned());
        }
        lines
    }

    fn accounts(&self) -> Vec<String> {
        let keys = devnet_account_keys();
        let last = keys.len().saturating_sub(1);
        let mut lines = vec![
            format!(
                "Accounts 0 to {last} have {DEVNET_ACCOUNT_TIME} TIME each at the start; `timed wallet` and"
            ),
            "`timed masternode` use one by --devnet-account N. EVERYBODY KNOWS THEIR KEYS,".to_owned(),
            match self.show_keys {
                true => "so use them nowhere else:".to_owned(),
                false => "so use them nowhere else; --show-keys shows them:".to_owned(),
            },
        ];
        if self.show_keys {
            lines.push(format!("  words {DEVNET_MNEMONIC}"));
        }
        for (index, key) in keys.iter().enumerate() {
            let address = Address::of_key_hash(Network::Devnet, key.public().key_hash());
            lines.push(format!("  {index}  {address}"));
            if self.show_keys {
                lines.push(format!("     key {}", hex::encode(key.seed())));
            }
        }
        lines
    }

    fn commands(&self, devnet: &Devnet) -> Vec<String> {
        let config = self.config.as_ref().map(|path| path.display().to_string());
        let connection: Vec<&str> = config.as_deref().map_or_else(Vec::new, |path| vec!["--config", path]);
        let words = |before: &[&'static str], after: &[&str]| -> Vec<String> {
            let all = [self.program].into_iter().chain(before.iter().copied());
            let all = all.chain(connection.iter().copied()).chain(after.iter().copied());
            all.map(str::to_owned).collect()
        };
        let told = |label: &str, words: Vec<String>| {
            command(label, &words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let mut lines = Vec::new();
        if let Some(key) = devnet_account_keys().get(1) {
            let to = Address::of_key_hash(Network::Devnet, key.public().key_hash()).to_string();
            let pay = words(&["wallet", "send"], &["--devnet-account", "0", "--wait", &to, "12.5"]);
            lines.extend(told("Pay", pay));
        }
        lines.extend(told("Look", words(&["status"], &[])));
        lines.extend(told("Watch", words(&["top"], &[])));
        if let Some(first) = devnet.nodes.first() {
            lines.push(format!("Browse  http://{}/", first.config.rpc.listen_address));
        }
        if !self.has_load {
            lines.extend(told("Load", words(&["load"], &["--rate", "200", "--duration", "10s"])));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::devnet::DevnetWishes;

    #[test]
    fn a_banner_fits_into_80_columns_and_shows_keys_only_when_asked() {
        let place = tempfile::tempdir().unwrap();
        let devnet = Devnet::prepare(place.path(), &DevnetWishes::default(), false).unwrap();
        let mut banner = Banner {
            program: "target/release/timed",
            config: Some("elsewhere/node0/config.toml".into()),
            directory: Path::new("elsewhere"),
            processes: false,
            show_keys: false,
            has_load: false,
        };
        let key = hex::encode(devnet_account_keys()[3].seed());
        for show_keys in [false, true] {
            banner.show_keys = show_keys;
            let lines = banner.lines(&devnet);
            for line in &lines {
                assert!(line.chars().count() <= WIDTH, "{line}");
            }
            let text = lines.join("\n");
            assert_eq!((text.contains(&key), text.contains(DEVNET_MNEMONIC)), (show_keys, show_keys));
            for part in [
                "http://127.0.0.1:24207",
                "127.0.0.1:24400",
                "  9  dtime1",
                "KNOWS THEIR KEYS",
                &devnet.chain_id.to_string(),
            ] {
                assert!(text.contains(part), "{part} is missing in\n{text}");
            }
            // What is to be typed is whole when the lines are joined as a shell does.
            let joined = text.replace(" \\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ");
            let pay = "Pay target/release/timed wallet send --config elsewhere/node0/config.toml --devnet-account 0 --wait dtime1";
            assert!(joined.contains(pay), "{text}");
        }
        assert!(!banner.lines(&devnet).join("\n").contains("127.0.0.1:24401"));
        banner.processes = true;
        assert!(banner.lines(&devnet).join("\n").contains("127.0.0.1:24401"));
    }
}
