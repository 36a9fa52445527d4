//! Votes and proposals that come before the height or epoch that they belong to.
//!
//! A peer that is a moment ahead sends what this node can't count yet. It is kept if a set that this node knows has signed
//! it: the current one, or one that would follow a block which is valid here. What can't be checked leaves one mark at its
//! sender, who is asked for everything once the set is known.
//!
//! # Invariants
//! - INV-EARLY-1: kept messages are verified, and take at most [`EARLY_BYTES_MAX`] a peer and [`EARLY_TOTAL_BYTES_MAX`] in
//!   all.
//! - INV-EARLY-2: between two heights a peer costs at most [`UNVERIFIED_MAX`] checks that find nothing.

use std::collections::BTreeMap;

use super::super::verify::{Voters, epoch_of, verify};
use crate::network::PeerId;
use crate::types::codec::encode;
use crate::types::{Message, SignatureVerifier};

/// Encoded bytes of early messages that are kept for one peer, at most: a proposal of a full block fits.
pub(in crate::consensus) const EARLY_BYTES_MAX: usize = 4 << 20;
/// Encoded bytes of early messages that are kept in all, at most.
pub(in crate::consensus) const EARLY_TOTAL_BYTES_MAX: usize = 64 << 20;
/// Checks of early messages of one peer that may fail between two heights.
pub(in crate::consensus) const UNVERIFIED_MAX: usize = 256;

#[derive(Debug, Default)]
struct OfPeer {
    messages: Vec<Message>,
    bytes: usize,
    unverified: usize,
}

/// What came early, by sender.
#[derive(Debug, Default)]
pub(in crate::consensus) struct EarlyMessages {
    peers: BTreeMap<PeerId, OfPeer>,
    bytes: usize,
}

impl EarlyMessages {
    /// Keeps a message for the next height or epoch, if one of these sets has signed it and there is room.
    pub(in crate::consensus) fn keep(
        &mut self,
        from: PeerId,
        message: Message,
        voters: &[Voters],
        verifier: &(dyn SignatureVerifier + Send + Sync),
    ) {
        let of_peer = self.peers.entry(from).or_default();
        if of_peer.unverified >= UNVERIFIED_MAX {
            return;
        }
        let bytes = encode(&message).len();
        let has_room = of_peer.bytes.saturating_add(bytes) <= EARLY_BYTES_MAX
            && self.bytes.saturating_add(bytes) <= EARLY_TOTAL_BYTES_MAX;
        let epoch = epoch_of(&message);
        let holds = |set: &&Voters| Some(set.epoch) == epoch && verify(&message, set, verifier).is_ok();
        if !has_room || voters.iter().find(holds).is_none() {
            of_peer.unverified = of_peer.unverified.saturating_add(1);
            return;
        }
        of_peer.messages.push(message);
        of_peer.bytes = of_peer.bytes.saturating_add(bytes);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// A height or epoch began: what came early for it, and the peers that said more than could be kept.
    pub(in crate::consensus) fn take(&mut self) -> (Vec<(PeerId, Message)>, Vec<PeerId>) {
        self.bytes = 0;
        let (mut messages, mut said_more) = (Vec::new(), Vec::new());
        for (peer, of_peer) in std::mem::take(&mut self.peers) {
            if of_peer.unverified > 0 {
                said_more.push(peer);
            }
            messages.extend(of_peer.messages.into_iter().map(|message| (peer, message)));
        }
        (messages, said_more)
    }

    pub(in crate::consensus) fn forget(&mut self, peer: &PeerId) {
        if let Some(of_peer) = self.peers.remove(peer) {
            self.bytes = self.bytes.saturating_sub(of_peer.bytes);
        }
    }

    /// Checks of a peer's messages that found nothing.
    #[cfg(test)]
    pub(in crate::consensus) fn unverified_of(&self, peer: &PeerId) -> usize {
        self.peers.get(peer).map_or(0, |of_peer| of_peer.unverified)
    }

    /// Encoded bytes that are kept for a peer.
    #[cfg(test)]
    pub(in crate::consensus) fn bytes_of(&self, peer: &PeerId) -> usize {
        self.peers.get(peer).map_or(0, |of_peer| of_peer.bytes)
    }

    /// Holds the bounds.
    ///
    /// # Errors
    /// The broken one, in words.
    pub(in crate::consensus) fn check_invariants(&self) -> Result<(), String> {
        let sum: usize = self.peers.values().map(|of_peer| of_peer.bytes).sum();
        let is_over = self.peers.values().any(|of_peer| of_peer.bytes > EARLY_BYTES_MAX);
        if is_over || sum != self.bytes || sum > EARLY_TOTAL_BYTES_MAX {
            return Err("INV-EARLY-1: more early messages than allowed".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::types::keys::SequentialVerifier;
    use crate::types::limits::BATCH_VOTES_MAX;
    use crate::types::{
        BlockHash, BlockVote, ChainId, FinalityVote, MasternodeId, PublicKey, Released, SecretKey, Signature,
        TxId, Validator, ValidatorSet, VoteBatch, VoteKind, VoteStep,
    };

    fn secret() -> SecretKey {
        SecretKey::from_seed(&[1; 32])
    }

    fn voters() -> [Voters; 1] {
        let member = Validator { id: MasternodeId::ZERO, key: secret().public(), weight: 1 };
        let set = Arc::new(ValidatorSet::new(vec![member]));
        [Voters { chain_id: ChainId::ZERO, epoch: 0, set }]
    }

    fn batch(seq: u64, votes: usize) -> Message {
        let votes = vec![FinalityVote { kind: VoteKind::Lock, txid: TxId([1; 32]) }; votes];
        let batch = VoteBatch::signed(&ChainId::ZERO, 0, MasternodeId::ZERO, seq, votes, &secret());
        Message::VoteBatch(Released::heard(batch))
    }

    fn block_vote(value: Option<BlockHash>) -> Message {
        let (step, validator, signature) = (VoteStep::Prevote, MasternodeId::ZERO, Signature::EMPTY);
        let vote = BlockVote { step, epoch: 0, height: 1, round: 0, value, validator, signature };
        Message::BlockVote(Released::heard(vote.signed(&ChainId::ZERO, &secret())))
    }

    /// Messages of a peer that take just as much as may be kept for it.
    fn just_full() -> Vec<Message> {
        const LAST: usize = 6;
        let size = |message: &Message| encode(message).len();
        let largest = batch(1, BATCH_VOTES_MAX);
        let (mut left, mut messages) = (EARLY_BYTES_MAX, Vec::new());
        while left >= 4 * size(&largest) {
            left -= size(&largest);
            messages.push(largest.clone());
        }
        let each = size(&batch(1, 2)) - size(&batch(1, 1));
        let heads = LAST * (size(&batch(1, 1)) - each);
        // So many votes for blocks that the rest is what whole votes of batches take.
        let kinds = [block_vote(None), block_vote(Some(BlockHash([1; 32])))];
        let rest =
            |counts: (usize, usize)| left - heads - counts.0 * size(&kinds[0]) - counts.1 * size(&kinds[1]);
        let counts = (0..each).flat_map(|first| (0..each).map(move |second| (first, second)));
        let counts = counts.into_iter().find(|counts| rest(*counts).is_multiple_of(each)).unwrap();
        messages.extend(std::iter::repeat_n(kinds[0].clone(), counts.0));
        messages.extend(std::iter::repeat_n(kinds[1].clone(), counts.1));
        let votes = rest(counts) / each;
        messages.extend((0..LAST).map(|place| batch(1, votes / LAST + usize::from(place < votes % LAST))));
        assert_eq!(messages.iter().map(size).sum::<usize>(), EARLY_BYTES_MAX);
        messages
    }

    /// INV-EARLY-1.
    #[test]
    fn of_a_peer_and_in_all_no_more_is_kept_than_allowed_and_just_as_much() {
        let (mut early, voters) = (EarlyMessages::default(), voters());
        let full = just_full();
        let peers = (EARLY_TOTAL_BYTES_MAX / EARLY_BYTES_MAX) as u8;
        let small = batch(1, 1);
        let mut keep = |peer: u8, message: &Message| {
            let peer = PublicKey([peer; 32]);
            early.keep(peer, message.clone(), &voters, &SequentialVerifier);
            (early.bytes_of(&peer), early.unverified_of(&peer))
        };
        for peer in 0..peers {
            for message in &full {
                keep(peer, message);
            }
            assert_eq!(keep(peer, &small), (EARLY_BYTES_MAX, 1), "the last one had no room");
        }
        assert_eq!(keep(peers, &small), (0, 1), "nor has anybody else");
        early.check_invariants().unwrap();
        early.forget(&PublicKey([0; 32]));
        early.keep(PublicKey([peers; 32]), small, &voters, &SequentialVerifier);
        assert!(early.bytes_of(&PublicKey([peers; 32])) > 0, "who left made room");
        let (messages, said_more) = early.take();
        assert_eq!(messages.len(), (usize::from(peers) - 1) * full.len() + 1);
        assert_eq!(said_more.len(), usize::from(peers), "all that had more to say");
        early.keep(PublicKey([1; 32]), batch(1, 1), &voters, &SequentialVerifier);
        assert!(early.bytes_of(&PublicKey([1; 32])) > 0, "there is room anew");
        early.check_invariants().unwrap();
    }
}
