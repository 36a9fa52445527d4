//! Signed messages that may leave this node: others', since they were said; its own, once they are durable.
//!
//! # Place
//! What others rely on stands in a [`Message`](super::Message) as [`Released`] alone, and the machines of `protocol/` take
//! nothing else: what is not on disk can't be sent, and does not count here either. A node's own words are
//! [`OwnMessage`](super::OwnMessage)s until the vote journal has them.
//!
//! # Invariants
//! - INV-RELEASED-1: a [`Released`] value was decoded from bytes (of a peer or of this node's disk), was durable when the
//!   vote journal made it, or is made of released parts. Nothing else makes one:
//!
//! ```compile_fail,E0423
//! let vote = timed::types::Released(std::sync::Arc::new(7_u8));
//! ```
//!
//! ```compile_fail,E0624
//! let vote = timed::types::Released::of_durable(std::sync::Arc::new(7_u8));
//! ```
//!
//! ```compile_fail,E0277
//! let vote: timed::types::Released<u8> = std::sync::Arc::new(7_u8).into();
//! ```
//!
//! ```
//! use timed::types::Released;
//! use timed::types::codec::{decode, encode};
//!
//! let vote: Released<u8> = decode(&encode(&7_u8)).unwrap();
//! assert_eq!(*vote, 7);
//! ```

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bincode::{Decode, Encode};

use super::merkle::MerkleTree;
use super::{Certificate, CertificateVote, Epoch, FinalityVote, MasternodeId, VoteBatch};

/// A shared value that may be sent. Its encoding is that of the value.
#[derive(PartialEq, Eq, Encode, Decode)]
pub struct Released<T>(Arc<T>);

impl<T> Released<T> {
    /// The vote journal has synced what this stands on.
    pub(crate) const fn of_durable(value: Arc<T>) -> Self {
        Self(value)
    }

    /// The value, shared with whoever need not send it.
    #[must_use]
    pub const fn as_arc(&self) -> &Arc<T> {
        &self.0
    }

    /// The value without the permission.
    #[must_use]
    pub fn into_arc(self) -> Arc<T> {
        self.0
    }
}

/// What a stranger said, without the way over the wire.
#[cfg(test)]
impl<T> Released<T> {
    pub(crate) fn heard(value: impl Into<Arc<T>>) -> Self {
        Self(value.into())
    }
}

/// As the value itself, as `Arc` has it.
impl<T: fmt::Debug> fmt::Debug for Released<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> Clone for Released<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Released<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl Released<Certificate> {
    /// The certificate of votes that stand in released messages, by trees of their batches that may have been made before.
    #[must_use]
    pub fn of_sources(
        vote: FinalityVote,
        epoch: Epoch,
        sources: &[VoteSource],
        tree_of: &mut dyn FnMut(&VoteBatch) -> Arc<MerkleTree>,
    ) -> Self {
        let votes = sources.iter().filter_map(|source| source.prove_by(tree_of)).collect();
        Self(Arc::new(Certificate { vote, epoch, votes }))
    }
}

/// Where a vote was found, so that it can be proved to others.
#[derive(Clone, Debug)]
pub enum VoteSource {
    /// In a batch, at this place.
    Batch(Released<VoteBatch>, usize),
    /// In a certificate, at this place.
    Certificate(Released<Certificate>, usize),
}

impl VoteSource {
    /// Whose vote it is.
    #[must_use]
    pub fn validator(&self) -> Option<MasternodeId> {
        match self {
            Self::Batch(batch, _) => Some(batch.header.validator),
            Self::Certificate(certificate, place) => {
                certificate.votes.get(*place).map(|vote| vote.header.validator)
            }
        }
    }

    fn prove_by(&self, tree_of: &mut dyn FnMut(&VoteBatch) -> Arc<MerkleTree>) -> Option<CertificateVote> {
        match self {
            Self::Batch(batch, index) => batch.prove_in(&tree_of(batch), *index),
            Self::Certificate(certificate, index) => certificate.votes.get(*index).cloned(),
        }
    }

    /// The vote with its proof.
    #[must_use]
    pub fn prove(&self) -> Option<CertificateVote> {
        match self {
            Self::Batch(batch, index) => batch.prove(*index),
            Self::Certificate(certificate, index) => certificate.votes.get(*index).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::codec::{decode, encode};
    use crate::types::{ChainId, SecretKey, TxId, VoteKind};

    fn batch(member: u8, vote: FinalityVote) -> VoteBatch {
        let secret = SecretKey::from_seed(&[member; 32]);
        VoteBatch::signed(&ChainId::ZERO, 0, MasternodeId([member; 32]), 0, vec![vote], &secret)
    }

    /// INV-RELEASED-1.
    #[test]
    fn what_was_decoded_is_released_and_its_encoding_is_that_of_the_value() {
        let plain = batch(1, FinalityVote { kind: VoteKind::Lock, txid: TxId::ZERO });
        let bytes = encode(&plain);
        let released: Released<VoteBatch> = decode(&bytes).unwrap();
        assert_eq!((&*released, encode(&released)), (&plain, bytes));
    }

    /// INV-RELEASED-1.
    #[test]
    fn a_certificate_is_made_of_votes_in_released_messages() {
        let vote = FinalityVote { kind: VoteKind::Lock, txid: TxId::ZERO };
        let [first, second] = [1, 2].map(|member| Released::heard(batch(member, vote)));
        let tree_of = &mut |batch: &VoteBatch| Arc::new(batch.tree());
        let of_batch = Released::of_sources(vote, 0, &[VoteSource::Batch(first, 0)], tree_of);
        let sources = [VoteSource::Certificate(of_batch, 0), VoteSource::Batch(second, 0)];
        let certificate = Released::of_sources(vote, 0, &sources, tree_of);
        assert_eq!(certificate.votes.len(), 2);
        assert!(certificate.votes.iter().all(|proof| proof.proves(&vote)));
    }
}
