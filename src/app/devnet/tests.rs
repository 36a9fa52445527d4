//! A devnet's directory: what is made, kept, completed, refused and deleted.

use super::*;
use crate::app::networks::load_genesis;
use crate::runtime::key_file::read_key_file;
use crate::storage::RealDisk;
use crate::storage::journal::{JournalIdentity, JournalWriter};

fn prepare(directory: &Path, validators: Option<usize>, reset: bool) -> Result<Devnet, DevnetError> {
    Devnet::prepare(directory, &DevnetWishes { validators, ..DevnetWishes::default() }, reset)
}

#[test]
fn a_devnet_has_the_ports_and_the_block_interval_that_are_asked_for_and_keeps_them() {
    let place = tempfile::tempdir().unwrap();
    let wishes = DevnetWishes {
        validators: None,
        base_port: Some(30_000),
        block_interval: Some(Duration::from_millis(250)),
    };
    let devnet = Devnet::prepare(place.path(), &wishes, false).unwrap();
    let config = &devnet.nodes[3].config;
    let ports = [config.network.listen_address, config.rpc.listen_address, config.metrics.listen_address];
    assert_eq!(ports.map(|address| address.port()), [30_006, 30_007, 30_203]);
    assert_eq!(config.network.bootstrap_peers[0], "127.0.0.1:30000");
    let genesis = load_genesis(config).unwrap();
    assert_eq!(genesis.parameters.block_interval_ms, 250);
    assert_eq!(genesis.masternodes[3].network_address, "127.0.0.1:30006");
    assert_eq!((base_port_in(place.path()), base_port_in(&place.path().join("none"))), (30_000, 24_200));
    drop(devnet);
    for again in [DevnetWishes::default(), wishes] {
        let devnet = Devnet::prepare(place.path(), &again, false).unwrap();
        assert_eq!(devnet.nodes[0].config.network.listen_address.port(), 30_000);
    }
    let port = DevnetWishes { base_port: Some(24_200), ..DevnetWishes::default() };
    let interval = DevnetWishes { block_interval: Some(Duration::from_secs(2)), ..DevnetWishes::default() };
    for (other, flag) in [(port, "--base-port"), (interval, "--block-interval")] {
        let error = Devnet::prepare(place.path(), &other, false).unwrap_err().to_string();
        assert!(error.contains(flag) && error.contains("--reset"), "{error}");
    }
    let long = DevnetWishes { block_interval: Some(Duration::from_secs(61)), ..DevnetWishes::default() };
    let error = Devnet::prepare(&place.path().join("long"), &long, false).unwrap_err();
    assert!(matches!(error, DevnetError::LongInterval { .. }), "{error}");
    // The marker of an older devnet names no port.
    std::fs::write(place.path().join(MARKER_FILE), "validators = 4\n").unwrap();
    assert_eq!(base_port_in(place.path()), 24_200);
}

#[test]
fn each_node_can_be_run_alone_and_finds_the_others() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("a/devnet");
    let devnet = prepare(&directory, Some(5), false).unwrap();
    assert_eq!((devnet.nodes.len(), devnet.existed), (5, false));
    let genesis = load_genesis(&devnet.nodes[0].config).unwrap();
    assert_eq!((devnet.chain_id, genesis.masternodes.len()), (genesis.chain_id(), 5));
    let mut ports = Vec::new();
    for (index, node) in devnet.nodes.iter().enumerate() {
        let config = &node.config;
        assert_eq!(load_genesis(config).unwrap(), genesis);
        let operator = read_key_file(config.masternode.operator_key.as_ref().unwrap()).unwrap();
        assert_eq!(operator.public(), devnet_operator_key(index).public());
        let identity = read_key_file(&config.identity_key_path()).unwrap();
        assert_eq!(identity.public(), devnet_identity_key(index).public());
        let journal = JournalIdentity { chain_id: devnet.chain_id, operator: Some(operator.public()) };
        assert!(JournalWriter::open(RealDisk, &config.node.data_dir.join("votes"), journal).is_ok());
        let own = config.network.listen_address.to_string();
        assert_eq!(config.network.bootstrap_peers.len(), 4);
        assert!(!config.network.bootstrap_peers.contains(&own));
        ports.extend([
            config.network.listen_address,
            config.rpc.listen_address,
            config.metrics.listen_address,
        ]);
    }
    let used = ports.len();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), used);
}

/// INV-DEVNET-2.
#[test]
fn an_existing_devnet_goes_on_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    let config_path = prepare(place.path(), Some(3), false).unwrap().nodes[1].config_path.clone();
    let text = std::fs::read_to_string(&config_path).unwrap().replace("cache_mb = 32", "cache_mb = 17");
    std::fs::write(&config_path, text).unwrap();
    let again = prepare(place.path(), None, false).unwrap();
    assert_eq!(
        (again.nodes.len(), again.existed, again.nodes[1].config.storage.cache_mb),
        (3, true, crate::runtime::config::CacheSize::Megabytes(17))
    );
    drop(again);
    let error = prepare(place.path(), Some(4), false).unwrap_err();
    assert!(matches!(error, DevnetError::OtherValidators { found: 3, .. }), "{error}");
}

#[test]
fn an_interrupted_start_is_completed() {
    let place = tempfile::tempdir().unwrap();
    let begun = prepare(place.path(), None, false).unwrap();
    let (chain_id, config_path) = (begun.chain_id, begun.nodes[3].config_path.clone());
    drop(begun);
    std::fs::remove_file(&config_path).unwrap();
    let completed = prepare(place.path(), None, false).unwrap();
    assert_eq!((completed.nodes.len(), completed.chain_id), (4, chain_id));
    assert!(config_path.exists());
    let genesis = completed.genesis_path();
    drop(completed);
    std::fs::remove_file(&genesis).unwrap();
    let error = prepare(place.path(), None, false).unwrap_err();
    assert!(matches!(error, DevnetError::NoGenesis { .. }), "another document is another chain: {error}");
}

/// INV-DEVNET-6.
#[test]
fn a_devnet_that_is_made_anew_is_a_new_chain() {
    let place = tempfile::tempdir().unwrap();
    let genesis = |devnet: &Devnet| load_genesis(&devnet.nodes[0].config).unwrap();
    let first = prepare(place.path(), None, false).unwrap();
    let (old, path) = (genesis(&first), first.genesis_path());
    assert!(old.time_ms.abs_diff(Clock.now_ms()) < 600_000, "it begins now");
    drop(first);
    // As if the clock had been set back since.
    let mut ahead = old.clone();
    ahead.time_ms += 1_000_000_000;
    std::fs::write(&path, ahead.to_toml().unwrap()).unwrap();
    let second = prepare(place.path(), None, true).unwrap();
    let new = genesis(&second);
    assert_eq!(new.time_ms, ahead.time_ms + 1);
    assert_eq!(second.chain_id, new.chain_id());
    assert!(second.chain_id != old.chain_id() && second.chain_id != ahead.chain_id());
    assert_eq!((old.allocations, old.masternodes), (new.allocations, new.masternodes), "all else stays");
}

/// INV-DEVNET-3.
#[test]
fn a_reset_deletes_what_the_devnet_made_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let devnet = prepare(place.path(), Some(5), false).unwrap();
    let block = devnet.nodes[4].config.node.data_dir.join("block");
    drop(devnet);
    for path in [&place.path().join("wallet.json"), &block] {
        std::fs::write(path, "x").unwrap();
    }
    let fresh = prepare(place.path(), Some(4), true).unwrap();
    assert_eq!((fresh.nodes.len(), fresh.existed), (4, false));
    assert!(place.path().join("wallet.json").exists() && !block.exists());
}

/// INV-DEVNET-1.
#[test]
fn what_runs_or_belongs_to_others_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("thesis.tex"), "x").unwrap();
    for reset in [false, true] {
        assert!(matches!(prepare(place.path(), None, reset), Err(DevnetError::NotADevnet { .. })));
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    let directory = place.path().join("devnet");
    let devnet = prepare(&directory, None, false).unwrap();
    let in_use = |outcome| matches!(outcome, Err(DevnetError::Storage(StorageError::InUse { .. })));
    assert!(in_use(prepare(&directory, None, true)));
    let data = devnet.nodes[2].config.node.data_dir.clone();
    drop(devnet);
    let running = DirectoryLock::acquire(&data).unwrap();
    assert!(in_use(prepare(&directory, None, true)));
    assert!(directory.join("node0/config.toml").exists());
    drop(running);
    assert!(prepare(&directory, None, true).is_ok());
}

#[test]
fn impossible_numbers_of_validators_leave_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    for validators in [0, 2, 101] {
        assert!(matches!(prepare(place.path(), Some(validators), false), Err(DevnetError::Genesis(_))));
        assert!(!place.path().join(MARKER_FILE).exists());
    }
}
