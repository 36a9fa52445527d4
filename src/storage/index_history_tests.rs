//! What the index tells of each address's past.

use super::*;
use crate::storage::index_history::{HistoryEntry, HistoryPlace};

/// INV-HISTORY-1: of each lock, what each transaction paid it and spent of it, the newest first, in pages of any size.
pub(super) fn assert_history(index: &Index, height: Height) {
    let mut wanted: BTreeMap<Lock, Vec<HistoryEntry>> = BTreeMap::new();
    for block in (0..=height).rev() {
        let change = change(block);
        // All that it makes and spends is of its second transaction.
        let at = HistoryPlace { height: block, place: 1 };
        let created = change.created.iter().map(|(_, entry)| (entry.output, true));
        let spent = change.spent.iter().map(|(_, entry, _)| (entry.output, false));
        let mut sums: BTreeMap<Lock, (u64, u64)> = BTreeMap::new();
        for (output, is_made) in created.chain(spent) {
            let sum = sums.entry(output.lock).or_default();
            *(if is_made { &mut sum.0 } else { &mut sum.1 }) += output.value.0;
        }
        for (lock, (received, sent)) in sums {
            let (received, sent) = (Amount(received), Amount(sent));
            wanted.entry(lock).or_default().push(HistoryEntry { at, txid: txid(block), received, sent });
        }
    }
    assert_eq!(index.history_from().unwrap(), Some(0));
    let ranges = index_history::ranges(&index.window).unwrap();
    assert_eq!(ranges.len() > 1, height >= 2, "more than one of a range's entries");
    for (lock, entries) in wanted {
        assert_eq!(index.history(&lock, None, usize::MAX).unwrap(), entries, "INV-HISTORY-1");
        let (mut paged, mut before) = (Vec::new(), None);
        loop {
            let page = index.history(&lock, before, 2).unwrap();
            let Some(last) = page.last() else { break };
            before = Some(last.at);
            paged.extend(page);
        }
        assert_eq!(paged, entries);
    }
    assert_eq!(index.history(&Lock::KeyHash(KeyHash([0xcc; 32])), None, 9).unwrap(), []);
}

/// INV-HISTORY-1: who pays with several coins of one address has sent all of them.
#[test]
fn what_one_transaction_spends_of_an_address_is_the_sum_of_its_coins() {
    let coin = |number: u32| {
        let (outpoint, mut entry) = made(0, number);
        entry.output.value = Amount(10_u64.pow(number));
        (outpoint, entry)
    };
    let created: Vec<_> = (0..3).map(coin).collect();
    let spent = created.iter().map(|(outpoint, entry)| (*outpoint, *entry, txid(1))).collect();
    let index = Index::new(Arc::new(MemoryIndex::new()));
    index.apply(&IndexChange { created, spent: Vec::new(), ..change(0) }).unwrap();
    index.apply(&IndexChange { created: Vec::new(), spent, ..change(1) }).unwrap();
    let at = HistoryPlace { height: 1, place: 1 };
    let (received, sent) = (Amount::ZERO, Amount(111));
    let expected = [HistoryEntry { at, txid: txid(1), received, sent }];
    assert_eq!(index.history(&lock(0), None, 1).unwrap(), expected);
}
