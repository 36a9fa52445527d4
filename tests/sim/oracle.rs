//! Watches all nodes and holds the invariants that no node can see alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use timed::consensus::events::AppliedBlock;
use timed::protocol::state::LedgerState;
use timed::protocol::validity::CheckedTransaction;
use timed::types::{BlockHash, Epoch, Height, MasternodeId, Message, OutPoint, TxId, UtxoEntry};

use crate::membership::{Changes, Membership};
use crate::signed::{Chain, Scrutiny, Signed};

pub struct Oracle {
    pub blocks: BTreeMap<Height, BlockHash>,
    pub signed: Signed,
    utxos: BTreeMap<OutPoint, UtxoEntry>,
    /// Everything in the chain, with its height.
    pub chain: Chain,
    spent_in_chain: BTreeMap<OutPoint, TxId>,
    /// Epochs whose last block is known.
    ended: BTreeSet<Epoch>,
    finals: BTreeMap<TxId, Epoch>,
    pub spent_by_final: BTreeMap<OutPoint, TxId>,
    /// Too many are faulty: only what each honest key signs is still held to a rule.
    pub is_blind: bool,
    /// Faulty keys speak in two places: who heard both may find two conflicting payments final.
    pub is_torn: bool,
    pub height: Height,
    /// The last block that ended an epoch.
    pub epoch_end: Height,
    pub epoch: Epoch,
    /// Masternodes that blocks have slashed.
    pub slashed: u64,
    membership: Membership,
    /// What the genesis document and all blocks' time have made, without what was burned.
    schedule: u64,
}

impl Oracle {
    pub fn new(state: &LedgerState, outputs: &[(OutPoint, UtxoEntry)]) -> Self {
        let mut oracle = Self {
            blocks: BTreeMap::new(),
            signed: Signed::default(),
            utxos: outputs.iter().copied().collect(),
            chain: Chain::new(),
            spent_in_chain: BTreeMap::new(),
            ended: BTreeSet::new(),
            finals: BTreeMap::new(),
            spent_by_final: BTreeMap::new(),
            is_blind: false,
            is_torn: false,
            height: 0,
            epoch_end: 0,
            epoch: 0,
            slashed: 0,
            membership: Membership::new(state),
            schedule: outputs.iter().map(|(_, entry)| entry.output.value.0).sum(),
        };
        oracle.signed.at(state);
        oracle
    }

    /// After the highest block.
    pub const fn state(&self) -> &Arc<LedgerState> {
        &self.membership.state
    }

    pub const fn changes(&self) -> &Changes {
        &self.membership.changes
    }

    /// An output of the chain at the highest block.
    pub fn utxo(&self, outpoint: &OutPoint) -> Option<&UtxoEntry> {
        self.utxos.get(outpoint)
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
        let scrutiny = if self.is_blind { Scrutiny::Contradictions } else { Scrutiny::Full };
        self.signed.see(message, &self.chain, scrutiny);
    }

    /// What a node has signed that somebody else watches.
    pub fn signed_elsewhere(&mut self, message: &Message) {
        self.signed.see(message, &self.chain, Scrutiny::None);
    }

    /// I5, I6: a node found a transaction final.
    pub fn finalized(&mut self, transaction: &CheckedTransaction, epoch: Epoch) {
        if self.is_blind {
            return;
        }
        let txid = transaction.txid();
        assert!(self.signed.is_final(epoch, txid), "I5: final without a quorum");
        for outpoint in transaction.inputs() {
            let first = *self.spent_by_final.entry(*outpoint).or_insert(txid);
            assert!(first == txid || self.is_torn, "I5: two final transactions share an input");
            if let Some(spender) = self.spent_in_chain.get(outpoint) {
                assert!(*spender == txid || self.is_torn, "I6: a final transaction conflicts with a block");
            }
        }
        if self.ended.contains(&epoch) {
            let is_in_time = self.chain.contains_key(&txid);
            assert!(is_in_time || self.is_torn, "I6: final in an epoch that ended without it");
        }
        self.finals.entry(txid).or_insert(epoch);
    }

    pub fn is_final(&self, txid: &TxId) -> bool {
        self.finals.contains_key(txid) || self.chain.contains_key(txid)
    }

    pub fn finals(&self) -> usize {
        self.finals.len()
    }

    /// A block's time lets the reward accrue.
    fn accrue(&mut self, time: u64) {
        let (parameters, before) = (self.state().parameters(), self.state().tip_time());
        let elapsed = (time - before).min(10 * parameters.block_interval_ms);
        let reward = u128::from(parameters.block_reward.0) * u128::from(elapsed);
        self.schedule += (reward / u128::from(parameters.block_interval_ms)) as u64;
    }

    /// I1, I2, I6, I8: a node applied a block.
    pub fn applied(&mut self, applied: &AppliedBlock) {
        if self.is_blind {
            return;
        }
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
        self.accrue(header.time);
        self.membership.applied(applied);
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
            let burned = change.before.output.value.0 / 20;
            assert_eq!(
                change.after.output.value.0 + burned,
                change.before.output.value.0,
                "I8: burns a twentieth"
            );
            self.schedule -= burned;
            self.slashed += 1;
        }
        for transaction in &applied.transactions {
            let txid = transaction.txid();
            assert!(self.chain.insert(txid, height).is_none(), "a transaction twice in the chain");
            for outpoint in transaction.inputs() {
                let first = *self.spent_in_chain.entry(*outpoint).or_insert(txid);
                assert_eq!(first, txid, "two blocks spend one output");
                if let Some(rival) = self.spent_by_final.get(outpoint) {
                    assert!(*rival == txid || self.is_torn, "I6: a block conflicts with a final transaction");
                }
            }
        }
        if header.epoch_end {
            self.epoch_end = height;
            self.ended.insert(header.epoch);
            for (txid, epoch) in &self.finals {
                assert!(
                    *epoch != header.epoch || self.chain.contains_key(txid) || self.is_torn,
                    "I6: epoch {epoch} ended without a final transaction"
                );
            }
            let supply: u64 = self.utxos.values().map(|entry| entry.output.value.0).sum();
            assert_eq!(supply, applied.state.supply().0, "I8: supply");
            assert_eq!(supply, self.schedule, "I8: supply by the schedule");
            let afresh = applied.state.recompute_digest(self.utxos.iter().map(|(k, v)| (*k, *v)));
            assert_eq!(afresh, applied.state.digest(), "I8: the incremental digest differs from a fresh one");
        }
    }
}
