//! Copies of transactions with other witnesses, under the same names. Most are worthless and come from anybody; an owner
//! can also sign twice, and both are right.

use std::sync::Arc;

use timed::mempool::TransactionSource;
use timed::types::transaction::signing_digest;
use timed::types::{Message, Transaction};

use crate::world::{Item, World};

/// How often a transaction has copies.
const COPIED_PER_MILLE: u64 = 120;

impl World {
    /// A copy with other witnesses, and whether they are right.
    pub(super) fn other_copy(&mut self, transaction: &Transaction) -> (Arc<Transaction>, bool) {
        let mut copy = transaction.clone();
        let place = self.random.below(copy.witnesses.len());
        let salt = self.random.next();
        let is_right = match self.random.below(5) {
            0 => {
                copy.witnesses[place].signature.0[(salt % 64) as usize] ^= 1;
                false
            }
            1 => {
                let stranger = self.workload.user(self.random.below(6));
                copy = copy.signed(&self.genesis.chain_id(), &[&stranger]);
                copy.witnesses == transaction.witnesses
            }
            2 => {
                copy.witnesses.remove(place);
                false
            }
            3 => {
                let again = copy.witnesses[place];
                copy.witnesses.insert(place, again);
                false
            }
            _ => {
                let digest = signing_digest(&self.genesis.chain_id(), &transaction.txid());
                let witness = &mut copy.witnesses[place];
                let other = self.verifier.other_signature(&witness.key, &digest, salt);
                other.map(|other| witness.signature = other).is_some()
            }
        };
        (Arc::new(copy), is_right)
    }

    /// Copies come before, with and after what they are copies of, at other nodes and at the same.
    pub(super) fn copy_some(&mut self, transaction: &Transaction) {
        if !self.random.chance(COPIED_PER_MILLE) {
            return;
        }
        for _ in 0..self.random.between(1, 4) {
            let (copy, is_right) = self.other_copy(transaction);
            let delay = self.random.between(0, 40);
            self.after(delay, Item::Offer { copy, is_right });
        }
    }

    /// Somebody hands a copy in, as a user or as a peer.
    pub(super) fn offer(&mut self, copy: Arc<Transaction>, is_right: bool) {
        let node = self.random.below(self.nodes.len());
        self.seen.copies += 1;
        if self.random.chance(500) && self.pass_on(node, Message::Transaction(Arc::clone(&copy))) {
            return;
        }
        let outcome = self.admit(node, TransactionSource::Local, vec![copy]);
        assert!(is_right || outcome != Some(true), "a copy with wrong witnesses is taken");
    }
}
