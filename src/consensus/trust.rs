//! What this node relies on beside signatures when it follows others: a block that its operator knows, and how old its own
//! knowledge of the set may be.
//!
//! Whoever has left the set may take its coins after the unbonding time, and loses nothing by what its old key signs then. So
//! a quorum of an old set proves nothing to a node that knows no later one: it needs a block from somebody whom its operator
//! trusts (section 7 of [`crate::protocol`]; the argument is that of
//! [`crate::protocol::finality_proof`]).
//!
//! # Decided here
//! Whether a block with a valid commit may follow a state. [`sync`](super::sync) and [`blocks`](super::blocks) ask before they
//! hand it to the log, and [`signing`](super::signing) before it looks for a seat.
//!
//! # Invariants
//! - INV-TRUST-1: no block but the checkpoint itself becomes the one of its height, whoever signed it.
//! - INV-TRUST-2: a node that has not yet stood at a block that is younger than the unbonding time takes blocks only up to its
//!   checkpoint. The checkpoint's own time tells its age: that of a later block is what its signers wrote.
//! - INV-TRUST-3: below its checkpoint a node signs nothing and takes no other chain for a fork, since it does not know yet
//!   which chain it is on.
//!
//! Once it stood at such a block the age of the tip means nothing any more. On a chain that stands still nobody's coins get
//! free, and a node that runs meanwhile was never away.

use crate::types::{BlockHash, Checkpoint, Height, TimeMs};

/// What a node relies on beside signatures.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChainTrust {
    /// A block that the operator knows to be of the chain.
    pub checkpoint: Option<Checkpoint>,
    /// How old the tip may be, in milliseconds, for its set to be believed; `None` believes any.
    pub away_max_ms: Option<u64>,
}

/// Why a block is not taken, although a quorum signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// Another block than the one that the operator named.
    #[error(
        "block {height} is {hash} here, and [sync] checkpoint names another one for this height, {named}. Compare both with a \
         node that you trust. If the checkpoint is wrong, correct it; if it is right, move blocks/, snapshots/ and the index \
         aside, and start again"
    )]
    OtherThanCheckpoint {
        /// Its height.
        height: Height,
        /// Its hash.
        hash: BlockHash,
        /// The checkpoint's hash.
        named: BlockHash,
    },
    /// This node knows too little of the present.
    #[error(
        "block {height}, the last one here, is {age_days} days old by this machine's clock, and masternodes that have left \
         since are bound for {away_max_days} days only: whoever has their keys could make up another chain. Set [sync] \
         checkpoint to a recent block of a node that you trust (`timed rpc getblockchaininfo` there), or [sync] trust_peers \
         to rely on your peers, as after a standstill of the whole network"
    )]
    TooOld {
        /// The tip.
        height: Height,
        /// Its age.
        age_days: u64,
        /// How old it may be.
        away_max_days: u64,
    },
}

const DAY_MS: u64 = 86_400_000;

impl ChainTrust {
    /// Whether a node at this block knows enough of the present to go on. On the way to the checkpoint nothing is too old.
    ///
    /// # Errors
    /// [`Distrust::TooOld`].
    pub fn check_tip(&self, height: Height, time: TimeMs, wall_ms: TimeMs) -> Result<(), Distrust> {
        let Some(away_max_ms) = self.away_max_ms.filter(|_| self.has_checkpoint(height)) else {
            return Ok(());
        };
        let age_ms = wall_ms.saturating_sub(time);
        if age_ms <= away_max_ms {
            return Ok(());
        }
        let (age_days, away_max_days) = (age_ms / DAY_MS, away_max_ms / DAY_MS);
        Err(Distrust::TooOld { height, age_days, away_max_days })
    }

    /// Whether this may be the block of its height.
    ///
    /// # Errors
    /// [`Distrust::OtherThanCheckpoint`].
    pub fn check_hash(&self, height: Height, hash: BlockHash) -> Result<(), Distrust> {
        match self.checkpoint {
            Some(Checkpoint { height: of, block_hash: named }) if of == height && named != hash => {
                Err(Distrust::OtherThanCheckpoint { height, hash, named })
            }
            _ => Ok(()),
        }
    }

    /// Whether a chain of this height has the block that the operator named; also if none is named.
    pub(super) fn has_checkpoint(&self, height: Height) -> bool {
        self.checkpoint.is_none_or(|checkpoint| height >= checkpoint.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWAY_MAX_MS: u64 = 42 * DAY_MS;
    const NOW_MS: TimeMs = 1_800_000_000_000;

    fn named(height: Height) -> Option<Checkpoint> {
        Some(Checkpoint { height, block_hash: BlockHash([7; 32]) })
    }

    #[test]
    fn a_tip_is_old_beyond_the_unbonding_time_and_only_a_later_checkpoint_helps() {
        let trust = |checkpoint| ChainTrust { checkpoint, away_max_ms: Some(AWAY_MAX_MS) };
        let at = |trust: ChainTrust, age_ms| trust.check_tip(100, NOW_MS - age_ms, NOW_MS);
        assert_eq!(at(trust(None), AWAY_MAX_MS), Ok(()));
        let too_old = Err(Distrust::TooOld { height: 100, age_days: 42, away_max_days: 42 });
        assert_eq!(at(trust(None), AWAY_MAX_MS + 1), too_old);
        for height in [99, 100] {
            let passed = at(trust(named(height)), AWAY_MAX_MS + 1);
            assert_eq!(passed, too_old, "a checkpoint vouches for nothing behind it");
        }
        assert_eq!(at(trust(named(101)), 100 * AWAY_MAX_MS), Ok(()));
        assert_eq!(at(ChainTrust::default(), 100 * AWAY_MAX_MS), Ok(()));
        // A clock that is behind makes nothing old.
        assert_eq!(trust(None).check_tip(100, NOW_MS + AWAY_MAX_MS, NOW_MS), Ok(()));
    }

    #[test]
    fn only_the_named_block_is_the_one_of_its_height() {
        let trust = ChainTrust { checkpoint: named(5), away_max_ms: None };
        assert_eq!(trust.check_hash(5, BlockHash([7; 32])), Ok(()));
        let (hash, named) = (BlockHash([8; 32]), BlockHash([7; 32]));
        let other = Err(Distrust::OtherThanCheckpoint { height: 5, hash, named });
        assert_eq!(trust.check_hash(5, hash), other);
        assert_eq!([4, 6].map(|height| trust.check_hash(height, hash)), [Ok(()); 2]);
        assert_eq!([4, 5, 6].map(|height| trust.has_checkpoint(height)), [false, true, true]);
        assert!(ChainTrust::default().has_checkpoint(0));
    }
}
