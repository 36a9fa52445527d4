//! A block that the verifier trusts, in place of the genesis document's set.
//!
//! # Invariants
//! - The verifier compares height and hash of the block before anything that its header says is used.
//! - There is one anchor for each trusted block and each epoch of a payment: the block's own set where the payment's epoch
//!   is the block's or a later one, else the set of that very epoch, by its end.

use bincode::{Decode, Encode};

use super::given_set::GivenSet;
use super::trusted::Trusted;
use super::{EpochLink, FinalityProofError};
use crate::types::{ChainId, Checkpoint, Epoch, Hash, Header, Height, TimeMs, ValidatorSet, merkle};

/// A block that the verifier trusts, and a set that is trusted with it: that of its epoch, or of an earlier one.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Anchor {
    pub(super) header: Header,
    /// Where the payment's epoch had ended before.
    pub(super) past: Option<PastEnd>,
    /// The set, told from the document's, if it is another.
    pub(super) set: Option<GivenSet>,
}

/// The last block of an epoch that ended before that of the trusted block.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub(super) struct PastEnd {
    pub(super) header: Header,
    /// The siblings up to the trusted header's `epoch_ends_root`.
    pub(super) path: Vec<Hash>,
}

/// Where the way from a trusted set begins: its epoch, and what the height and the time of all blocks on it exceed.
#[derive(Clone, Copy)]
pub(super) struct Start {
    pub(super) epoch: Epoch,
    pub(super) height: Height,
    pub(super) time: TimeMs,
}

fn told(header: &Header, set: &ValidatorSet, first: &ValidatorSet) -> Option<Option<GivenSet>> {
    if header.validators_hash != set.hash() {
        return None;
    }
    if set == first { Some(None) } else { GivenSet::of(set, first).map(Some) }
}

impl PastEnd {
    /// Whether the trusted block's header commits to it.
    fn is_below(&self, trusted: &Header) -> bool {
        let place = usize::try_from(self.header.epoch).unwrap_or(usize::MAX);
        let ended = usize::try_from(trusted.epoch).unwrap_or(usize::MAX);
        let root = merkle::root_of_path(&self.header.hash().0, place, ended, &self.path);
        root == Some(trusted.epoch_ends_root)
    }
}

impl Anchor {
    /// The block with this header, in whose epoch `set` votes; `first` is the set of the genesis document. `None` if header
    /// and set don't fit each other.
    #[must_use]
    pub fn new(header: &Header, set: &ValidatorSet, first: &ValidatorSet) -> Option<Self> {
        Some(Self { set: told(header, set, first)?, header: header.clone(), past: None })
    }

    /// The block with this header, for a payment of an epoch that ended before its own: with the header `end`, by a block to
    /// which the path leads from `header`, and voted on by `set`. `None` if these don't fit each other.
    #[must_use]
    pub fn past(
        header: &Header,
        (end, path): (&Header, Vec<Hash>),
        set: &ValidatorSet,
        first: &ValidatorSet,
    ) -> Option<Self> {
        let set = told(end, set, first)?;
        let past = PastEnd { header: end.clone(), path };
        past.is_below(header).then_some(Self { header: header.clone(), past: Some(past), set })
    }

    /// The header that names the set.
    fn naming(&self) -> &Header {
        self.past.as_ref().map_or(&self.header, |past| &past.header)
    }

    /// The header of the block that ended the past epoch, if there is one.
    pub(super) fn past_header(&self) -> Option<&Header> {
        self.past.as_ref().map(|past| &past.header)
    }

    /// The epoch of the set that is trusted first.
    pub(super) fn epoch(&self) -> Epoch {
        self.naming().epoch
    }

    /// The time of the block that has to be trusted.
    pub(super) const fn time(&self) -> TimeMs {
        self.header.time
    }

    /// The block that has to be trusted.
    pub(super) fn checkpoint(&self) -> Checkpoint {
        Checkpoint::of(&self.header)
    }

    /// The set that it gives, with the height of the block that names it.
    pub(super) fn given(&self) -> Option<(Height, &GivenSet)> {
        self.set.as_ref().map(|set| (self.naming().height, set))
    }

    /// Where the way begins, and the set that is trusted there. `genesis` is where it would begin with the document.
    pub(super) fn check(
        &self,
        chain_id: &ChainId,
        genesis: Start,
        first: &Trusted,
        links: &[EpochLink],
    ) -> Result<(Start, Trusted), FinalityProofError> {
        let (header, naming) = (&self.header, self.naming());
        if header.chain_id != *chain_id {
            let (expected, found) = (*chain_id, header.chain_id);
            return Err(FinalityProofError::ForeignChain { expected, found });
        }
        if let Some(past) = &self.past {
            let (epoch, height) = (past.header.epoch, past.header.height);
            // The path holds that the epoch is below the trusted block's.
            if !past.is_below(header) {
                return Err(FinalityProofError::NotInHistory { height });
            }
            // Whoever wants to go on from there starts from the trusted block, which is later.
            if let Some(link) = links.first() {
                return Err(FinalityProofError::LinkFromPast { epoch, height: link.header.height });
            }
        }
        let trusted = first.or_given(naming.height, naming.validators_hash, self.set.as_ref())?;
        let epoch = naming.epoch;
        let start = if links.is_empty() {
            // A block of the same epoch may be an earlier one; the epochs before have two blocks each.
            Start { epoch, height: epoch.saturating_mul(2), time: genesis.time }
        } else {
            // The epoch's end is this block or a later one.
            let (height, time) = (header.height.saturating_sub(2), header.time.saturating_sub(1));
            Start { epoch, height, time }
        };
        Ok((start, trusted))
    }
}
