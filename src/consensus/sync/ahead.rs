//! Signatures of blocks that came, checked before the thread of consensus looks at the blocks: all of an answer at once.
//!
//! # Place
//! [`BlockSync`](super::BlockSync) orders it for each answer that it asked for. The node does it on a thread of its own
//! ([`ahead_thread`](super::ahead_thread)) with all cores; the simulator leaves it out. Consensus then checks each block as
//! ever, but asks no signature twice.
//!
//! # Invariants
//! - INV-AHEAD-1: what a check says never depends on this: a signature that was not held here is checked there.
//!
//! Memory: [`HELD_SIGNATURES_BYTES_MAX`](super::HELD_SIGNATURES_BYTES_MAX), since they go with their blocks.

use std::collections::HashSet;
use std::sync::Arc;

use ahash::RandomState;

use crate::types::{
    ChainId, CommittedBlock, Epoch, Header, Released, SignatureCheck, SignatureVerifier, ValidatorSet,
};

/// Signatures of one answer that are checked ahead, at most. An honest answer has 2 MiB, which holds fewer.
pub const HELD_MAX: usize = 32_768;

/// Signatures that hold.
#[derive(Debug, Default)]
pub struct HeldSignatures(HashSet<SignatureCheck, RandomState>);

/// Blocks of one answer, in their order.
#[derive(Debug)]
pub struct BlocksToCheck {
    /// Which answer.
    pub answer: u64,
    /// The blocks.
    pub blocks: Vec<Released<CommittedBlock>>,
    /// Their encoded bytes.
    pub bytes: usize,
    /// Of which chain.
    pub chain_id: ChainId,
    /// Who votes in the epoch of the tip. Most epochs change nothing in it, so headers of later ones name it too.
    pub set: Arc<ValidatorSet>,
}

/// Signatures to check, each once: a block's commit mostly comes again as the next block's last one.
#[derive(Default)]
struct Collected {
    checks: Vec<SignatureCheck>,
    known: HashSet<SignatureCheck, RandomState>,
}

impl Collected {
    fn extend(&mut self, checks: impl IntoIterator<Item = SignatureCheck>) {
        self.checks.extend(checks.into_iter().filter(|check| self.known.insert(*check)));
    }
}

#[cfg(test)]
impl HeldSignatures {
    /// Whether there are any.
    pub(in crate::consensus) fn has_any(&self) -> bool {
        !self.0.is_empty()
    }
}

impl BlocksToCheck {
    /// The signatures that hold, up to the first one that does not. Blocks behind one that its header does not bind are
    /// left out, so that what costs a peer nothing costs little here.
    #[must_use]
    pub fn check(&self, verifier: &dyn SignatureVerifier) -> HeldSignatures {
        let Self { chain_id, set, .. } = self;
        let hash = set.hash();
        // The members of other sets are not known yet.
        let epoch_of_set = |header: &Header| (header.validators_hash == hash).then_some(header.epoch);
        let mut collected = Collected::default();
        let mut before: Option<Epoch> = None;
        for committed in &self.blocks {
            let block = &committed.block;
            let blueprint = block.blueprint();
            if !blueprint.is_bound_by_header() || collected.checks.len() > HELD_MAX {
                break;
            }
            if let Some(epoch) = before {
                collected
                    .extend(block.last_commit.signature_checks(chain_id, epoch, set).unwrap_or_default());
            }
            before = epoch_of_set(&block.header);
            if let Some(epoch) = before {
                collected.extend(committed.commit.signature_checks(chain_id, epoch, set).unwrap_or_default());
            }
            for (transaction, txid) in block.transactions.iter().zip(&blueprint.txids) {
                collected.extend(transaction.signature_checks(chain_id, txid));
            }
        }
        let mut checks = collected.checks;
        checks.truncate(HELD_MAX);
        let held = verifier.verify_all(&checks).err().unwrap_or(checks.len());
        HeldSignatures(checks.into_iter().take(held).collect())
    }
}

/// Checks what is not held already.
pub(in crate::consensus) struct Remaining<'a> {
    pub(in crate::consensus) held: &'a HeldSignatures,
    pub(in crate::consensus) verifier: &'a dyn SignatureVerifier,
}

impl SignatureVerifier for Remaining<'_> {
    fn verify_all(&self, checks: &[SignatureCheck]) -> Result<(), usize> {
        let (places, left): (Vec<usize>, Vec<SignatureCheck>) = checks
            .iter()
            .enumerate()
            .filter(|(_, check)| !self.held.0.contains(*check))
            .map(|(place, check)| (place, *check))
            .unzip();
        if left.is_empty() {
            return Ok(());
        }
        self.verifier.verify_all(&left).map_err(|bad| places.get(bad).copied().unwrap_or(bad))
    }
}
