//! Whether a snapshot is looked for, and which chunks are fetched.

use super::*;
use crate::protocol::snapshot::{ChunkCutter, encode_chunk};
use crate::protocol::state::LedgerState;
use crate::types::Network as Chain;

fn config() -> Config {
    Config::of_network(Chain::Devnet)
}

/// Nobody waits for peers who can't have a snapshot yet, nor for one that is not wanted.
#[test]
fn a_snapshot_is_looked_for_where_one_may_be() {
    let (config, parameters) = (config(), ChainParameters::of_network(Chain::Devnet));
    let first_ms = super::super::every_epochs(&config.storage, &parameters) * parameters.epoch_duration_ms;
    assert!((3_600_000..3_600_000 + parameters.epoch_duration_ms).contains(&first_ms), "about an hour");
    let may_be = |from, age_ms| {
        let sync = SyncConfig { from, ..config.sync.clone() };
        may_be_one(&sync, &config.storage, &parameters, age_ms)
    };
    assert!(!may_be(SyncFrom::Auto, first_ms) && may_be(SyncFrom::Auto, first_ms + 1));
    assert!(may_be(SyncFrom::Snapshot, first_ms + 1) && !may_be(SyncFrom::Blocks, u64::MAX));
    let offer = |height| SnapshotOffer {
        block: Checkpoint { height, block_hash: crate::types::BlockHash::ZERO },
        manifest: crate::types::Hash::ZERO,
        outputs: 1,
        bytes: 1,
    };
    let worth = |from, height| is_worth(&SyncConfig { from, ..config.sync.clone() }, &offer(height));
    assert!(!worth(SyncFrom::Auto, BLOCKS_MIN - 1) && worth(SyncFrom::Auto, BLOCKS_MIN));
    assert!(worth(SyncFrom::Snapshot, 3));
}

/// Keys of old members may be anybody's.
#[test]
fn a_chain_that_is_older_than_its_unbonding_time_needs_a_checkpoint() {
    let parameters = ChainParameters::of_network(Chain::Mainnet);
    let (began_ms, age_ms) = (1_800_000_000_000, parameters.unbonding_time_ms - 10_000);
    let check = |config: &Config, age_ms| check_age(config, &parameters, began_ms, began_ms + age_ms);
    let of = |network| Config::of_network(network);
    assert!(check(&of(Chain::Mainnet), age_ms).is_ok());
    for network in [Chain::Mainnet, Chain::Testnet] {
        let error = check(&of(network), age_ms + 1).unwrap_err();
        assert!(error.to_string().contains("[sync] checkpoint"), "{error}");
    }
    assert!(check(&of(Chain::Devnet), age_ms + 1).is_ok(), "there it is said and no more");
    let (mut named, mut believing) = (of(Chain::Mainnet), of(Chain::Mainnet));
    named.sync.checkpoint = Some(Checkpoint { height: 1, block_hash: crate::types::BlockHash::ZERO });
    believing.sync.trust_peers = true;
    assert!(check(&named, age_ms + 1).is_ok());
    assert!(check(&believing, age_ms + 1).is_ok());
}

/// INV-FETCH-5.
#[tokio::test]
async fn chunks_that_are_here_and_hold_are_not_fetched_again() {
    let mut document = crate::app::networks::devnet_genesis(4);
    let allocation = document.allocations[0].clone();
    document.allocations.extend(vec![allocation; 40]);
    let (state, mut outputs) = LedgerState::genesis(&document).unwrap();
    let (mut cutter, mut chunks) = (ChunkCutter::default(), Vec::new());
    outputs.sort_unstable_by_key(|(outpoint, _)| *outpoint);
    for output in outputs {
        chunks.extend(cutter.push(output));
    }
    chunks.extend(cutter.finish());
    assert!(chunks.len() > 1, "{}", chunks.len());
    let home = tempfile::tempdir().unwrap();
    let dir = SnapshotStore::new(RealDisk, home.path().to_owned()).begin(5).unwrap();
    let header = crate::consensus::fixtures::block(5).block.header;
    let heads = chunks.iter().map(|(head, _)| head.clone()).collect();
    let manifest = Arc::new(SnapshotManifest { header, epoch_ends: Vec::new(), state, chunks: heads });
    let missing = || missing_chunks(dir.clone(), Arc::clone(&manifest));
    let all: BTreeSet<u32> = (0..u32::try_from(chunks.len()).unwrap()).collect();
    assert_eq!(missing().await.unwrap(), all);
    let first = encode_chunk(&chunks[0].1);
    assert!(!take_chunk(&dir, &manifest, 1, &first).unwrap(), "of another place");
    assert!(!take_chunk(&dir, &manifest, 0, &first[..first.len() - 1]).unwrap());
    assert_eq!(missing().await.unwrap(), all, "nothing of that is on the disk");
    assert!(take_chunk(&dir, &manifest, 0, &first).unwrap());
    let left: BTreeSet<u32> = all.iter().copied().skip(1).collect();
    assert_eq!(missing().await.unwrap(), left);
    // One that is there and of something else, as of another manifest, is fetched.
    dir.write(SnapshotPart::Chunk(1), &first).unwrap();
    assert_eq!(missing().await.unwrap(), left);
}

/// What a later version gave another shape can't be read here, so that is said before anything else of it is looked at.
#[test]
fn a_chain_that_has_gone_on_to_unknown_rules_is_not_begun_with() {
    let mut header = crate::consensus::fixtures::block(5).block.header;
    header.epoch = 7;
    header.rules = RuleVersion::NEWEST;
    assert!(check_rules(&header).is_ok());
    header.rules = RuleVersion(RuleVersion::NEWEST.0 + 1);
    let problem = check_rules(&header).unwrap_err();
    assert_eq!((problem.version, problem.epoch, problem.known), (header.rules, 7, RuleVersion::NEWEST));
}
