//! Transactions of peers whose inputs are not all known here.
//!
//! # Place
//! Part of [`Admission`](super::Admission), which alone uses it. Nothing is locked, counted as a fee, kept in the pool or
//! relayed on the word of an orphan, and its signatures are not checked: it only waits for its parents.
//!
//! # Invariants
//! - INV-ORPHAN-1: each sender has a share of its own, in bytes, which bounds its number too. What one sends pushes out
//!   another's only where there is no room for all, and then what has waited longest: names are free, and those of
//!   senders that are gone would keep everybody out.
//! - INV-ORPHAN-2: an orphan waits for at least [`ORPHAN_WAIT_MS`], unless its parents come or the epoch ends.
//! - INV-ORPHAN-4: those whose parents have come wait in line, and take room until they are looked at: however many there
//!   are, they hold up nobody else.
//! - INV-ORPHAN-3: one copy of a transaction a sender; the same bytes are kept once.
//!
//! # Units
//! Times are milliseconds of the caller's monotonic clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::network::PeerId;
use crate::protocol::validity::{CopyId, ShapedTransaction};
use crate::types::{OutPoint, TxId};

/// Inputs of an orphan, at most.
pub const ORPHAN_INPUTS_MAX: usize = 64;
/// How long an orphan waits for its parents at least, in milliseconds. It goes when room is needed after that.
pub const ORPHAN_WAIT_MS: u64 = 10_000;
/// How long it waits at most, in milliseconds.
pub const ORPHAN_LIFETIME_MS: u64 = 60_000;
/// The bytes of one sender's orphans, with what the store needs to find them, at most: 780 orphans or fewer.
pub const ORPHAN_BYTES_OF_SENDER_MAX: usize = 512 << 10;
/// The same of all senders together: enough for as many full shares as a node has connections by default.
pub const ORPHAN_BYTES_MAX: usize = 40 << 20;
/// What the store needs for an orphan, and for each output that it waits for, in bytes.
const ORPHAN_OVERHEAD_BYTES: usize = 512;
const ORPHAN_INPUT_BYTES: usize = 160;

/// A transaction that waits for its parents.
#[derive(Clone, Debug)]
pub(super) struct Orphan {
    pub(super) transaction: ShapedTransaction,
    pub(super) from: PeerId,
    missing: BTreeSet<OutPoint>,
    since_ms: u64,
    bytes: usize,
}

/// What one sender has here: by age.
#[derive(Debug, Default)]
struct Share {
    by_age: BTreeSet<(u64, CopyId)>,
    by_txid: BTreeMap<TxId, CopyId>,
    /// With those that are ready.
    bytes: usize,
}

impl Share {
    const fn is_full_for(&self, bytes: usize) -> bool {
        self.bytes.saturating_add(bytes) > ORPHAN_BYTES_OF_SENDER_MAX
    }
}

/// All orphans.
#[derive(Debug, Default)]
pub(super) struct OrphanStore {
    orphans: BTreeMap<CopyId, Orphan>,
    by_outpoint: BTreeMap<OutPoint, BTreeSet<CopyId>>,
    shares: BTreeMap<PeerId, Share>,
    /// All that wait for parents.
    by_age: BTreeSet<(u64, CopyId)>,
    /// They wait for nothing but a look, and count in the shares and the sum until then.
    ready: VecDeque<Orphan>,
    bytes: usize,
}

impl OrphanStore {
    /// Takes an orphan, if there is room; says whether.
    pub(super) fn insert(
        &mut self,
        transaction: ShapedTransaction,
        from: PeerId,
        missing: &[OutPoint],
        now_ms: u64,
    ) -> bool {
        let id = transaction.copy_id();
        if transaction.inputs().len() > ORPHAN_INPUTS_MAX || self.orphans.contains_key(&id) {
            return false;
        }
        let of_inputs = transaction.inputs().len().saturating_mul(ORPHAN_INPUT_BYTES);
        let bytes =
            transaction.encoded_bytes().saturating_add(of_inputs).saturating_add(ORPHAN_OVERHEAD_BYTES);
        let txid = transaction.txid();
        if self.shares.get(&from).is_some_and(|share| share.by_txid.contains_key(&txid)) {
            return false;
        }
        while self.is_full_for(&from, bytes) {
            // What has waited longest makes room, once it has waited long enough: its own, if its share is full.
            let own = self.shares.get(&from).filter(|share| share.is_full_for(bytes));
            let oldest = own.map_or(&self.by_age, |share| &share.by_age).first().copied();
            match oldest.filter(|(since_ms, _)| now_ms.saturating_sub(*since_ms) >= ORPHAN_WAIT_MS) {
                Some((_, oldest)) => self.remove(&oldest),
                None => return false,
            }
        }
        let missing: BTreeSet<OutPoint> = missing.iter().copied().collect();
        for outpoint in &missing {
            self.by_outpoint.entry(*outpoint).or_default().insert(id);
        }
        let share = self.shares.entry(from).or_default();
        share.by_age.insert((now_ms, id));
        share.by_txid.insert(txid, id);
        share.bytes = share.bytes.saturating_add(bytes);
        self.by_age.insert((now_ms, id));
        self.bytes = self.bytes.saturating_add(bytes);
        self.orphans.insert(id, Orphan { transaction, from, missing, since_ms: now_ms, bytes });
        true
    }

    fn is_full_for(&self, from: &PeerId, bytes: usize) -> bool {
        let of_sender = self.shares.get(from).is_some_and(|share| share.is_full_for(bytes));
        of_sender || self.bytes.saturating_add(bytes) > ORPHAN_BYTES_MAX
    }

    fn remove(&mut self, id: &CopyId) {
        if let Some(orphan) = self.take_out(id) {
            self.release(&orphan);
        }
    }

    /// It waits no longer, and still counts.
    fn take_out(&mut self, id: &CopyId) -> Option<Orphan> {
        let orphan = self.orphans.remove(id)?;
        for outpoint in &orphan.missing {
            if let Some(waiting) = self.by_outpoint.get_mut(outpoint) {
                waiting.remove(id);
                if waiting.is_empty() {
                    self.by_outpoint.remove(outpoint);
                }
            }
        }
        self.by_age.remove(&(orphan.since_ms, *id));
        if let Some(share) = self.shares.get_mut(&orphan.from) {
            share.by_age.remove(&(orphan.since_ms, *id));
            share.by_txid.remove(&orphan.transaction.txid());
        }
        Some(orphan)
    }

    /// One that was taken out counts no longer.
    fn release(&mut self, orphan: &Orphan) {
        self.bytes = self.bytes.saturating_sub(orphan.bytes);
        if let Some(share) = self.shares.get_mut(&orphan.from) {
            share.bytes = share.bytes.saturating_sub(orphan.bytes);
            if share.bytes == 0 {
                self.shares.remove(&orphan.from);
            }
        }
    }

    /// Whether a copy waits here.
    pub(super) fn contains(&self, id: &CopyId) -> bool {
        self.orphans.contains_key(id)
    }

    /// The outputs of `parent` are there: those that wait for nothing else are ready.
    pub(super) fn parent_came(&mut self, parent: TxId) {
        let outputs = OutPoint { txid: parent, index: 0 }..=OutPoint { txid: parent, index: u32::MAX };
        let found: Vec<(OutPoint, BTreeSet<CopyId>)> =
            self.by_outpoint.range(outputs).map(|(outpoint, ids)| (*outpoint, ids.clone())).collect();
        for (outpoint, ids) in found {
            self.by_outpoint.remove(&outpoint);
            for id in ids {
                let Some(orphan) = self.orphans.get_mut(&id) else { continue };
                orphan.missing.remove(&outpoint);
                if orphan.missing.is_empty() {
                    self.make_ready(&id);
                }
            }
        }
    }

    /// Those whose inputs all are there by now are ready.
    pub(super) fn look_for_ready(&mut self, mut is_there: impl FnMut(&OutPoint) -> bool) {
        let ready = self.orphans.iter().filter(|(_, orphan)| orphan.missing.iter().all(&mut is_there));
        let ready: Vec<CopyId> = ready.map(|(id, _)| *id).collect();
        ready.iter().for_each(|id| self.make_ready(id));
    }

    fn make_ready(&mut self, id: &CopyId) {
        let orphan = self.take_out(id);
        self.ready.extend(orphan);
    }

    /// Whether any waits for a look.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes out the first of those that are ready.
    pub(super) fn take_ready(&mut self, most: usize) -> Vec<Orphan> {
        let taken: Vec<Orphan> = self.ready.drain(..most.min(self.ready.len())).collect();
        taken.iter().for_each(|orphan| self.release(orphan));
        taken
    }

    /// Forgets those that have waited for too long.
    pub(super) fn expire(&mut self, now_ms: u64) {
        let is_old = |since_ms: u64| now_ms.saturating_sub(since_ms) >= ORPHAN_LIFETIME_MS;
        let old = self.by_age.iter().take_while(|(since_ms, _)| is_old(*since_ms)).map(|(_, id)| *id);
        let old: Vec<CopyId> = old.collect();
        for id in old {
            self.remove(&id);
        }
    }

    /// An epoch has ended: nothing is carried over.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.orphans.len().saturating_add(self.ready.len())
    }

    /// Holds the counts against what is there.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let bytes: usize = self.orphans.values().chain(&self.ready).map(|orphan| orphan.bytes).sum();
        let of_shares: usize = self.shares.values().map(|share| share.bytes).sum();
        let listed: usize = self.shares.values().map(|share| share.by_age.len()).sum();
        let is_listed = listed == self.orphans.len() && self.by_age.len() == listed;
        if bytes != self.bytes || of_shares != bytes || !is_listed {
            return Err("INV-ORPHAN-1: the shares are not counted right");
        }
        if self.shares.values().any(|share| share.by_txid.len() != share.by_age.len()) {
            return Err("INV-ORPHAN-3: a sender has two copies of one transaction");
        }
        let missing: usize = self.orphans.values().map(|orphan| orphan.missing.len()).sum();
        if missing != self.by_outpoint.values().map(BTreeSet::len).sum::<usize>() {
            return Err("the outputs that orphans wait for are not counted right");
        }
        Ok(())
    }
}
