//! Watches all nodes and holds the invariants that no node can see alone.

use std::collections::{BTreeMap, BTreeSet};

use timed::consensus::core::AppliedBlock;
use timed::protocol::state::LedgerState;
use timed::protocol::validity::CheckedTransaction;
use timed::types::{BlockHash, Epoch, Height, MasternodeId, Message, OutPoint, TxId, UtxoEntry};

use crate::signed::{Chain, Signed};

#[derive(Default)]
pub struct Oracle {
    blocks: BTreeMap<Height, BlockHash>,
    signed: Signed,
    utxos: BTreeMap<OutPoint, UtxoEntry>,
    /// Everything in the chain, with its height.
    pub chain: Chain,
    spent_in_chain: BTreeMap<OutPoint, TxId>,
    /// Epochs whose last block is known.
    ended: BTreeSet<Epoch>,
    finals: BTreeMap<TxId, Epoch>,
    spent_by_final: BTreeMap<OutPoint, TxId>,
    pub height: Height,
    pub epoch: Epoch,
    /// Masternodes that blocks have slashed.
    pub slashed: u64,
}

impl Oracle {
    pub fn new(state: &LedgerState, outputs: &[(OutPoint, UtxoEntry)]) -> Self {
        let mut oracle = Self { utxos: outputs.iter().copied().collect(), ..Self::default() };
        oracle.signed.at(state);
        oracle
    }

    /// From here on this key may sign anything.
    pub fn expect_faults(&mut self, id: MasternodeId) {
        self.signed.faulty.insert(id);
    }

    /// I10: who is accused is faulty.
    pub fn accused(&self, id: MasternodeId) {
        assert!(self.signed.faulty.contains(&id), "I10: evidence against an honest masternode");
    }

    /// Names a transaction that votes may speak of.
    pub fn know(&mut self, transaction: &CheckedTransaction) {
        self.signed.know(transaction.txid(), transaction.inputs());
    }

    /// I3, I4: what an honest node has signed and made durable, whether or not it could still send it.
    pub fn signed(&mut self, message: &Message) {
        self.signed.see(message, &self.chain);
    }

    /// I5, I6: a node found a transaction final.
    pub fn finalized(&mut self, transaction: &CheckedTransaction, epoch: Epoch) {
        let txid = transaction.txid();
        assert!(self.signed.is_final(epoch, txid), "I5: final without a quorum");
        for outpoint in transaction.inputs() {
            let first = *self.spent_by_final.entry(*outpoint).or_insert(txid);
            assert_eq!(first, txid, "I5: two final transactions share an input");
            if let Some(spender) = self.spent_in_chain.get(outpoint) {
                assert_eq!(*spender, txid, "I6: a final transaction conflicts with a block");
            }
        }
        if self.ended.contains(&epoch) {
            assert!(self.chain.contains_key(&txid), "I6: final in an epoch that ended without it");
        }
        self.finals.entry(txid).or_insert(epoch);
    }

    pub fn is_final(&self, txid: &TxId) -> bool {
        self.finals.contains_key(txid) || self.chain.contains_key(txid)
    }

    pub fn finals(&self) -> usize {
        self.finals.len()
    }

    /// I1, I2, I6, I8: a node applied a block.
    pub fn applied(&mut self, applied: &AppliedBlock) {
        let header = &applied.committed.block.header;
        let height = header.height;
        let first = *self.blocks.entry(height).or_insert(applied.hash);
        assert_eq!(first, applied.hash, "I1: two blocks at height {height}");
        let commit = &applied.committed.commit;
        let set = self.signed.set(height);
        assert_eq!(commit.block_hash, applied.hash, "I2: the commit is for another block");
        // Not by the node's own formula.
        let total: u64 = set.members().iter().map(|member| member.weight).sum();
        assert!(commit.signers.fits(set.len()) && 3 * commit.weight(set) > 2 * total, "I2: no quorum");
        assert_eq!(header.state_digest, applied.state.digest(), "I8: the digest is not the header's");
        if height <= self.height {
            return;
        }
        assert_eq!(height, self.height + 1, "blocks are applied in order");
        self.height = height;
        self.epoch = applied.state.next_epoch();
        self.signed.at(&applied.state);
        for (outpoint, entry) in &applied.spent {
            assert_eq!(self.utxos.remove(outpoint), Some(*entry), "I8: spends what is not there");
        }
        self.utxos.extend(applied.created.iter().copied());
        for change in &applied.slashed {
            assert!(self.signed.faulty.contains(&change.masternode), "I10: an honest masternode is slashed");
            let before = self.utxos.insert(change.outpoint, change.after);
            assert_eq!(before, Some(change.before), "I8: slashes what is not there");
            self.slashed += 1;
        }
        for transaction in &applied.transactions {
            let txid = transaction.txid();
            assert!(self.chain.insert(txid, height).is_none(), "a transaction twice in the chain");
            for outpoint in transaction.inputs() {
                let first = *self.spent_in_chain.entry(*outpoint).or_insert(txid);
                assert_eq!(first, txid, "two blocks spend one output");
                if let Some(rival) = self.spent_by_final.get(outpoint) {
                    assert_eq!(*rival, txid, "I6: a block conflicts with a final transaction");
                }
            }
        }
        if header.epoch_end {
            self.ended.insert(header.epoch);
            for (txid, epoch) in &self.finals {
                assert!(
                    *epoch != header.epoch || self.chain.contains_key(txid),
                    "I6: epoch {epoch} ended without a final transaction"
                );
            }
            let supply: u64 = self.utxos.values().map(|entry| entry.output.value.0).sum();
            assert_eq!(supply, applied.state.supply().0, "I8: supply");
            let afresh = applied.state.recompute_digest(self.utxos.iter().map(|(k, v)| (*k, *v)));
            assert_eq!(afresh, applied.state.digest(), "I8: the incremental digest differs from a fresh one");
        }
    }
}
