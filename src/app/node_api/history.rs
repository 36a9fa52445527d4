//! What transactions did to an address, as RPC shows it.

use super::lookups::winner_of;
use crate::mempool::{PoolEntry, Stage, TransactionPool};
use crate::rpc::api::HistoryPage;
use crate::rpc::types::{HistoryInfo, TransactionStatus};
use crate::storage::index_history::{HistoryEntry, HistoryPlace};
use crate::types::{Amount, Lock, OutPoint, PublicKey};
use crate::utxo::UtxoManager;

/// Transactions of the pool that a page tells, at most; they come before all others.
const POOLED_MAX: usize = 1_000;

fn sum(values: impl Iterator<Item = Amount>) -> Amount {
    Amount(values.fold(0, |sum: u64, value| sum.saturating_add(value.0)))
}

/// The first [`POOLED_MAX`], and whether those are all.
fn first_ones<T>(found: impl Iterator<Item = T>) -> (Vec<T>, bool) {
    let mut first: Vec<T> = found.take(POOLED_MAX.saturating_add(1)).collect();
    let is_all = first.len() <= POOLED_MAX;
    first.truncate(POOLED_MAX);
    (first, is_all)
}

/// What the pool's transactions do to a lock, the youngest first, and whether all of them are told. May read the index.
pub(super) fn pooled(pool: &TransactionPool, utxos: &UtxoManager, lock: &Lock) -> (Vec<HistoryInfo>, bool) {
    // What a transaction of the pool has spent of another one is found there alone.
    let output = |outpoint: &OutPoint| {
        let of_pool = || {
            let parent = pool.get(&outpoint.txid)?;
            parent.transaction().outputs.get(usize::try_from(outpoint.index).ok()?).copied()
        };
        utxos.find_output(outpoint).map(|(output, _)| output).or_else(of_pool)
    };
    let concerns = |entry: &&PoolEntry| {
        let transaction = entry.transaction.transaction();
        let signs = |key: &PublicKey| Lock::KeyHash(key.key_hash()) == *lock;
        transaction.outputs.iter().any(|output| output.lock == *lock)
            || transaction.witnesses.iter().any(|witness| signs(&witness.key))
    };
    let all = pool.all_in_order();
    let (youngest, is_complete) = first_ones(all.iter().rev().filter(concerns));
    let told = youngest
        .into_iter()
        .map(|entry| {
            let transaction = entry.transaction.transaction();
            let to_it = transaction.outputs.iter().filter(|output| output.lock == *lock);
            let spent = transaction.inputs.iter().filter_map(output).filter(|output| output.lock == *lock);
            let sums = (sum(to_it.map(|output| output.value)), sum(spent.map(|output| output.value)));
            let has_lost = || winner_of(utxos, entry.transaction.txid(), &transaction.inputs).is_some();
            let status = match entry.stage {
                Stage::Waiting | Stage::Conflicting if has_lost() => TransactionStatus::Conflicted,
                Stage::Pending | Stage::Waiting | Stage::Conflicting => TransactionStatus::Pending,
                Stage::Certified => TransactionStatus::Certified,
                Stage::Final { .. } => TransactionStatus::Final,
            };
            HistoryInfo::of(entry.transaction.txid(), status, None, sums)
        })
        .collect();
    (told, is_complete)
}

/// Entries of the index, one more than asked for, and what to ask the next page with.
pub(super) fn indexed(mut found: Vec<HistoryEntry>, page: HistoryPage) -> (Vec<HistoryInfo>, Option<String>) {
    let is_more = found.len() > page.limit;
    found.truncate(page.limit);
    let next = found.last().filter(|_| is_more).map(|last| text_of(last.at));
    let entry = |entry: HistoryEntry| {
        let sums = (entry.received, entry.sent);
        HistoryInfo::of(entry.txid, TransactionStatus::Confirmed, Some(entry.at), sums)
    };
    (found.into_iter().map(entry).collect(), next)
}

fn text_of(HistoryPlace { height, place }: HistoryPlace) -> String {
    format!("{height}:{place}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TxId;

    #[test]
    fn a_page_that_leaves_out_some_of_the_pool_is_not_complete() {
        for (found, told, is_complete) in
            [(0, 0, true), (POOLED_MAX, POOLED_MAX, true), (POOLED_MAX + 1, POOLED_MAX, false)]
        {
            assert_eq!(first_ones(0..found), ((0..told).collect(), is_complete), "{found}");
        }
    }

    #[test]
    fn a_page_tells_where_the_next_one_begins_if_there_is_one() {
        let entry = |height| HistoryEntry {
            at: HistoryPlace { height, place: 3 },
            txid: TxId([1; 32]),
            received: Amount(5),
            sent: Amount(7),
        };
        let page = HistoryPage { before: None, limit: 2 };
        let (told, next) = indexed(vec![entry(9), entry(8), entry(7)], page);
        assert_eq!((told.len(), next.as_deref()), (2, Some("8:3")));
        assert_eq!((told[0].height, told[0].received, told[0].sent), (Some(9), Amount(5), Amount(7)));
        let (told, next) = indexed(vec![entry(9), entry(8)], page);
        assert_eq!((told.len(), next), (2, None));
    }
}
