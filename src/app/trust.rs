//! What a node relies on beside signatures, by its configuration, and whether its own chain bears that out.

use crate::consensus::trust::{ChainTrust, Distrust};
use crate::protocol::finality_proof::ProvedChain;
use crate::runtime::Config;
use crate::storage::{BlockReader, Disk, StorageError};
use crate::types::limits::CLOCK_DRIFT_MS_MAX;
use crate::types::{ChainParameters, Height, Network, TimeMs};

/// Why a node does not go on with its own chain.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Its operator knows something else.
    #[error(transparent)]
    Distrust(#[from] Distrust),
    /// The disk.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// How old what a node knows may be. Its clock and those of the old members may each be wrong by a drift.
const fn away_max_ms(parameters: &ChainParameters) -> u64 {
    parameters.unbonding_time_ms.saturating_sub(2 * CLOCK_DRIFT_MS_MAX)
}

/// What the configuration says. On a devnet, whose coins are worth nothing, any age is believed.
pub(super) fn configured(config: &Config, parameters: &ChainParameters) -> ChainTrust {
    let believes_all = config.sync.trust_peers || config.node.network == Network::Devnet;
    ChainTrust {
        checkpoint: config.sync.checkpoint,
        away_max_ms: (!believes_all).then_some(away_max_ms(parameters)),
    }
}

/// Holds the chain on disk, up to a tip of this height and time, to the configuration, before anything is asked of a peer.
///
/// # Errors
/// See [`TrustError`].
pub(super) fn check_chain<D: Disk>(
    config: &Config,
    parameters: &ChainParameters,
    (height, time): (Height, TimeMs),
    blocks: &BlockReader<D>,
    now_ms: TimeMs,
) -> Result<(), TrustError> {
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
    trust.check_tip(height, time, now_ms)?;
    tell_of_age(config, parameters, (height, time), now_ms);
    Ok(())
}

/// Whether the block that a proof started from is young enough for what it proves: whoever had its keys may have signed the
/// rest after they were free.
///
/// # Errors
/// [`Distrust::TooOld`].
pub(super) fn check_start(trust: &ChainTrust, proved: &ProvedChain, now_ms: TimeMs) -> Result<(), Distrust> {
    match (trust.checkpoint, proved.started_ms) {
        (Some(named), Some(time)) if named.height < proved.header.height => {
            trust.check_tip(named.height, time, now_ms)
        }
        _ => Ok(()),
    }
}

/// Says on a devnet what another network refuses.
pub(super) fn tell_of_age(
    config: &Config,
    parameters: &ChainParameters,
    (height, time): (Height, TimeMs),
    now_ms: TimeMs,
) {
    let away_max_ms = Some(away_max_ms(parameters));
    let strict = ChainTrust { away_max_ms, checkpoint: config.sync.checkpoint };
    if !config.sync.trust_peers && strict.check_tip(height, time, now_ms).is_err() {
        tracing::warn!(
            height,
            "The last block here is older than the unbonding time; on a network with real value this node would ask for a [sync] \
             checkpoint"
        );
    }
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
        let age_max_ms = parameters.unbonding_time_ms - 10_000;
        let check = |config: &Config, height, age_ms| {
            let tip = (height, time);
            match check_chain(config, &parameters, tip, &log.reader(), time + age_ms) {
                Ok(()) => Ok(()),
                Err(TrustError::Distrust(distrust)) => Err(distrust),
                Err(TrustError::Storage(other)) => panic!("{other}"),
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
        // A tip of block 2 is later than what the operator knows; one below it is on its way there.
        let later = Checkpoint { height: 3, block_hash: other };
        assert_eq!(check(&config(Network::Mainnet, Some(later)), 2, 9 * age_max_ms), Ok(()));
        for (network, age_ms, is_refused) in [
            (Network::Mainnet, age_max_ms, false),
            (Network::Mainnet, age_max_ms + 1, true),
            (Network::Testnet, age_max_ms + 1, true),
            (Network::Devnet, age_max_ms + 1, false),
        ] {
            let outcome = check(&config(network, Some(right)), 2, age_ms);
            assert_eq!(matches!(outcome, Err(Distrust::TooOld { height: 2, .. })), is_refused, "{network:?}");
        }
        let mut believing = config(Network::Mainnet, None);
        believing.sync.trust_peers = true;
        assert_eq!(check(&believing, 2, age_max_ms + 1), Ok(()));
    }
}
