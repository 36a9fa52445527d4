//! What a node relies on beside signatures, by its configuration, and whether its own chain bears that out.

use super::start_error::StartError;
use crate::consensus::trust::ChainTrust;
use crate::runtime::Config;
use crate::storage::{BlockReader, Disk};
use crate::types::{ChainParameters, Height, Network, TimeMs};

/// What the configuration says. On a devnet, whose coins are worth nothing, any age is believed.
pub(super) fn configured(config: &Config, parameters: &ChainParameters) -> ChainTrust {
    let believes_all = config.sync.trust_peers || config.node.network == Network::Devnet;
    ChainTrust {
        checkpoint: config.sync.checkpoint,
        away_max_ms: (!believes_all).then_some(parameters.unbonding_time_ms),
    }
}

/// Holds the chain on disk, up to a tip of this height and time, to the configuration, before anything is asked of a peer.
///
/// # Errors
/// [`StartError::Distrust`], the disk's.
pub(super) fn check_chain<D: Disk>(
    config: &Config,
    parameters: &ChainParameters,
    (height, time): (Height, TimeMs),
    blocks: &BlockReader<D>,
    now_ms: TimeMs,
) -> Result<(), StartError> {
    if height == 0 {
        // What a node without blocks needs is asked before it fetches any.
        return Ok(());
    }
    let trust = configured(config, parameters);
    if let Some(named) = trust.checkpoint.filter(|named| (1..=height).contains(&named.height)) {
        // `None`: it was left out, or is below the snapshot that this node began with.
        if let Some(committed) = blocks.read_committed(named.height)? {
            trust.check_hash(named.height, committed.block.header.hash())?;
        }
    }
    trust.check_age(height, time, now_ms)?;
    let strict = ChainTrust { away_max_ms: Some(parameters.unbonding_time_ms), ..trust };
    if !config.sync.trust_peers && strict.check_age(height, time, now_ms).is_err() {
        tracing::warn!(
            height,
            "The last block here is older than the unbonding time; on a network with real value this node would ask for a [sync] \
             checkpoint"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::consensus::fixtures;
    use crate::consensus::trust::Distrust;
    use crate::storage::{BlockLog, LoggedBlock, MemoryDisk};
    use crate::types::{BlockHash, Checkpoint};

    #[test]
    fn a_chain_is_held_to_the_checkpoint_and_to_its_age_before_the_node_starts() {
        let committed = fixtures::block(1);
        let (header, time) = (committed.block.header.clone(), 1_800_000_000_000);
        let mut log = BlockLog::open(MemoryDisk::new(), Path::new("blocks"), header.chain_id).unwrap();
        log.append(&LoggedBlock { committed, spent: Vec::new() }).unwrap();
        let config = |network, checkpoint| {
            let mut config = Config::of_network(network);
            config.sync.checkpoint = checkpoint;
            config
        };
        let parameters = ChainParameters::of_network(Network::Mainnet);
        let age_max_ms = parameters.unbonding_time_ms;
        let check = |config: &Config, height, age_ms| {
            let tip = (height, time);
            match check_chain(config, &parameters, tip, &log.reader(), time + age_ms) {
                Ok(()) => Ok(()),
                Err(StartError::Distrust(distrust)) => Err(distrust),
                Err(other) => panic!("{other}"),
            }
        };
        let (right, other) = (Checkpoint::of(&header), BlockHash([9; 32]));
        let wrong = Checkpoint { height: 1, block_hash: other };
        for network in [Network::Mainnet, Network::Devnet] {
            assert_eq!(check(&config(network, Some(right)), 1, 0), Ok(()));
            let distrust = check(&config(network, Some(wrong)), 1, 0).unwrap_err();
            assert!(
                matches!(distrust, Distrust::OtherThanCheckpoint { height: 1, named, .. } if named == other)
            );
        }
        // A tip of block 2 is later than what the operator knows.
        for (network, age_ms, is_refused) in [
            (Network::Mainnet, age_max_ms, false),
            (Network::Mainnet, age_max_ms + 1, true),
            (Network::Testnet, age_max_ms + 1, true),
            (Network::Devnet, age_max_ms + 1, false),
        ] {
            let outcome = check(&config(network, Some(right)), 2, age_ms);
            assert_eq!(matches!(outcome, Err(Distrust::TooOld { height: 2, .. })), is_refused, "{network:?}");
            assert_eq!(
                check(&config(network, Some(right)), 1, age_ms),
                Ok(()),
                "the operator knows the tip itself"
            );
        }
        let mut believing = config(Network::Mainnet, None);
        believing.sync.trust_peers = true;
        assert_eq!(check(&believing, 2, age_max_ms + 1), Ok(()));
    }
}
