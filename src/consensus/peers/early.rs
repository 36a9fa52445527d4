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
        let bytes = encode(&message).len();
        let has_room = of_peer.bytes.saturating_add(bytes) <= EARLY_BYTES_MAX
            && self.bytes.saturating_add(bytes) <= EARLY_TOTAL_BYTES_MAX;
        if of_peer.unverified >= UNVERIFIED_MAX {
            return;
        }
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
