//! What a reader is told, from the ring, from blocks and from the pool.

use futures::FutureExt as _;

use super::*;
use crate::rpc::api::NodeApi;
use crate::rpc::fake_node::{FakeNode, HEIGHT, block, output};
use crate::rpc::types::{EventInfo, EventPage, FinalEvent};
use crate::runtime::Clock;
use crate::types::{Address, Amount, BlockHash, Network, OutPoint, SecretKey, TxOut};

fn payment(index: usize) -> (TxId, Arc<Transaction>) {
    let output = TxOut { value: Amount(1 + u64::try_from(index).unwrap()), ..output() };
    let payment = Transaction::transfer(Vec::new(), vec![output], index.to_le_bytes().to_vec());
    (payment.txid(), Arc::new(payment))
}

fn finalized((txid, transaction): (TxId, Arc<Transaction>), height: Option<Height>) -> Happened {
    Happened::Final { txid, transaction, height, latency: Some(Duration::from_micros(7)) }
}

fn block_at(height: Height) -> Happened {
    let hash = BlockHash::ZERO;
    Happened::Block(BlockEvent { height, hash, transactions: 2, epoch: 0, round: 0, time: 5 })
}

/// So many events, whatever their bytes.
const fn events(events: usize) -> PageLimit {
    PageLimit { events, bytes: usize::MAX }
}

fn node() -> Arc<FakeNode> {
    Arc::new(FakeNode::default())
}

fn reader(node: &Arc<FakeNode>, topic: Topic, cursor: Cursor) -> EventReader {
    EventReader::new(Arc::clone(node) as Arc<dyn NodeApi>, Wanted { topic, cursor })
}

fn finals(page: &EventPage) -> Vec<TxId> {
    let told = |event: &EventInfo| match event {
        EventInfo::Final(FinalEvent { txid, .. }) => *txid,
        other => panic!("{other:?}"),
    };
    page.events.iter().map(told).collect()
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let node = node();
    let start = node.events.head();
    for index in 0..10 {
        node.events.push(finalized(payment(index), None), Clock.instant());
        node.events.push(Happened::Accepted(TxId::ZERO), Clock.instant());
    }
    let (mut cursor, mut told) = (start, Vec::new());
    for _ in 0..4 {
        let page = reader(&node, Topic::Finalized, cursor).page(events(3)).await.unwrap();
        assert!(page.missed.is_none());
        told.extend(finals(&page));
        cursor = page.next_cursor.parse().unwrap();
    }
    assert_eq!(told, (0..10).map(|index| payment(index).0).collect::<Vec<_>>());
    let page = reader(&node, Topic::Finalized, cursor).page(events(3)).await.unwrap();
    assert!(page.events.is_empty());
    assert_eq!(page.next_cursor, node.events.head().to_string());
}

#[tokio::test]
async fn a_page_ends_with_the_event_that_exceeds_its_bytes() {
    let node = node();
    let start = node.events.head();
    for index in 0..300 {
        node.events.push(finalized(payment(index), None), Clock.instant());
    }
    let mut reader_of_all = reader(&node, Topic::Finalized, start);
    let few = reader_of_all.page(PageLimit { events: 1_000, bytes: 1_000 }).await.unwrap();
    assert!((1..10).contains(&few.events.len()), "{}", few.events.len());
    let rest = reader_of_all.page(PageLimit { events: 1_000, bytes: 1 << 20 }).await.unwrap();
    assert_eq!(few.events.len() + rest.events.len(), 300);
}

/// INV-EVENTS-1.
#[test]
fn the_ring_is_bounded_in_number_and_in_bytes() {
    let log = EventLog::new(1, 0);
    let now = Clock.instant();
    for _ in 0..EVENTS_MAX + 5 {
        log.push(Happened::Accepted(TxId::ZERO), now);
    }
    let kept = |log: &EventLog| {
        let ring = log.ring.lock();
        (ring.entries.len(), ring.oldest())
    };
    assert_eq!(kept(&log), (EVENTS_MAX, 5));
    let large =
        Transaction::transfer(vec![OutPoint { txid: TxId::ZERO, index: 0 }; 20_000], Vec::new(), Vec::new());
    let (txid, transaction) = (TxId::ZERO, Arc::new(large));
    for _ in 0..100 {
        log.push(finalized((txid, Arc::clone(&transaction)), None), now);
        let ring = log.ring.lock();
        let sum: usize = ring.entries.iter().map(|entry| entry.bytes).sum();
        assert!(sum == ring.bytes && sum <= EVENTS_BYTES_MAX);
    }
    assert!(kept(&log).0 < 100, "they are of some 700 kB each");
}

/// INV-EVENTS-2: the cursor of another start names the last block that was told.
#[tokio::test]
async fn after_a_restart_blocks_and_pool_tell_what_the_ring_does_not_know() {
    let node = node();
    let of_pool = payment(50);
    *node.finals.lock() = vec![of_pool.clone()];
    let before = Cursor::Live { height: HEIGHT - 1, life: 0xdead, sequence: 1_000 };
    let mut reader = reader(&node, Topic::Finalized, before);
    let page = reader.page(events(100)).await.unwrap();
    let of_block: Vec<TxId> = block().block.transactions.iter().map(|one| one.txid()).collect();
    assert_eq!(finals(&page), [of_block, vec![of_pool.0]].concat());
    let EventInfo::Final(first) = &page.events[0] else { panic!() };
    assert_eq!((first.state.as_str(), first.height, first.latency_us), ("confirmed", Some(HEIGHT), None));
    assert_eq!(page.next_cursor, node.events.head().to_string());
    node.events.push(finalized(payment(1), None), Clock.instant());
    assert_eq!(finals(&reader.page(events(100)).await.unwrap()), [payment(1).0]);
}

/// INV-EVENTS-2: numbers of another start count other events, and may be far higher than those here.
#[tokio::test]
async fn a_reader_that_comes_from_another_start_has_news_at_once() {
    let node = node();
    node.events.push(finalized(payment(1), None), Clock.instant());
    let here = node.events.life;
    for (life, sequence) in [(0xdead, 1_000), (0xdead, 1), (0xdead, 0), (here, 1_000)] {
        let before = Cursor::Live { height: HEIGHT - 1, life, sequence };
        for topic in [Topic::Finalized, Topic::Blocks, Topic::Mempool] {
            let mut reader = reader(&node, topic, before);
            assert!(reader.news().now_or_never().is_some(), "{before} {topic:?}");
            let page = reader.page(events(9)).await.unwrap();
            assert_eq!(page.missed.is_some(), topic == Topic::Mempool);
            assert_eq!(page.next_cursor, node.events.head().to_string());
        }
    }
}

/// INV-EVENTS-2: a cursor stands behind the blocks that were told, and before all others.
#[tokio::test]
async fn what_the_ring_has_forgotten_is_read_from_the_blocks_above_the_cursors_height() {
    let node = Arc::new(FakeNode { events: Arc::new(EventLog::new(7, HEIGHT - 1)), ..FakeNode::default() });
    let early = node.events.head();
    node.events.push(finalized(payment(0), None), Clock.instant());
    let between = node.events.head();
    node.events.push(block_at(HEIGHT), Clock.instant());
    let late = node.events.head();
    assert_eq!([0, 1, 2].map(|sequence| node.events.at(sequence)), [early, between, late]);
    for _ in 0..=EVENTS_MAX {
        node.events.push(Happened::Accepted(TxId::ZERO), Clock.instant());
    }
    for (cursor, told) in [(early, 2), (between, 2), (late, 0)] {
        let page = reader(&node, Topic::Finalized, cursor).page(events(100)).await.unwrap();
        assert_eq!((page.events.len(), page.missed), (told, None), "{cursor}");
    }
    let page = reader(&node, Topic::Blocks, early).page(events(100)).await.unwrap();
    assert!(matches!(page.events.as_slice(), [EventInfo::Block(told)] if told.height == HEIGHT));
}

/// INV-EVENTS-3: of a number that was forgotten all blocks of this life are read, since any of them may be behind it.
#[tokio::test]
async fn a_number_that_the_ring_has_forgotten_stands_before_all_blocks_of_this_life() {
    let node = Arc::new(FakeNode { events: Arc::new(EventLog::new(7, HEIGHT - 1)), ..FakeNode::default() });
    node.events.push(block_at(HEIGHT), Clock.instant());
    for _ in 0..=EVENTS_MAX {
        node.events.push(Happened::Accepted(TxId::ZERO), Clock.instant());
    }
    let page = reader(&node, Topic::Finalized, node.events.at(0)).page(events(100)).await.unwrap();
    assert_eq!((page.events.len(), page.missed), (2, None), "of the block that was told since");
}

/// INV-EVENTS-2: whoever comes back in the middle of the pool goes on there, and no page holds more than asked for.
#[tokio::test]
async fn a_page_that_is_full_says_where_the_rest_is() {
    let node = node();
    *node.finals.lock() = (0..5).map(payment).collect();
    let begin = Cursor::Chain { height: HEIGHT, place: 0 };
    let mut reader_of_all = reader(&node, Topic::Finalized, begin);
    let mut told = finals(&reader_of_all.page(events(1)).await.unwrap());
    let second = reader_of_all.page(events(1)).await.unwrap();
    assert_eq!(second.next_cursor, format!("{}+0", HEIGHT + 1));
    told.extend(finals(&second));
    let third = reader_of_all.page(events(3)).await.unwrap();
    told.extend(finals(&third));
    assert_eq!(told.len(), 5);
    let rest = reader_of_all.page(events(100)).await.unwrap();
    assert_eq!((rest.events.len(), rest.next_cursor.as_str()), (2, node.events.head().to_string().as_str()));
    let (mut cursor, mut once) = (third.next_cursor, Vec::new());
    while cursor != node.events.head().to_string() {
        let mut again = reader(&node, Topic::Finalized, cursor.parse().unwrap());
        let page = again.page(events(1)).await.unwrap();
        assert!(page.events.len() <= 1 && once.len() < 5);
        once.extend(finals(&page));
        cursor = page.next_cursor;
    }
    assert_eq!(once, finals(&rest), "each of the rest once");
    // The pool of another start is told from its beginning, behind the blocks.
    let before = Cursor::Pool { height: HEIGHT, life: 0xdead, sequence: 0, after: 3 };
    let of_other = reader(&node, Topic::Finalized, before).page(events(100)).await.unwrap();
    assert_eq!(finals(&of_other).len(), 5);
}

/// INV-EVENTS-3.
#[tokio::test]
async fn what_no_block_tells_is_said_to_be_missed_with_the_blocks_in_between() {
    let node = node();
    let before = Cursor::Live { height: 0, life: 0xdead, sequence: 3 };
    for topic in [Topic::Mempool, Topic::Doublespend] {
        let mut reader = reader(&node, topic, before);
        let missed = reader.page(events(10)).await.unwrap().missed.unwrap();
        assert_eq!((missed.from_height, missed.to_height), (1, HEIGHT));
        assert!(reader.page(events(10)).await.unwrap().missed.is_none(), "it is said once");
    }
}

/// INV-EVENTS-3: blocks that were pruned are missed once, and those from the horizon on are told.
#[tokio::test]
async fn what_was_pruned_is_said_to_be_missed_and_the_reader_goes_on_at_the_horizon() {
    let horizon = 5;
    let node = Arc::new(FakeNode { events: Arc::new(EventLog::new(7, horizon)), ..FakeNode::default() });
    *node.horizon.lock() = horizon;
    let old = Cursor::Live { height: 1, life: 0xdead, sequence: 3 };
    for cursor in [old, Cursor::Chain { height: 2, place: 1 }] {
        for (topic, told) in [(Topic::Finalized, 2), (Topic::Blocks, 1)] {
            let mut reader = reader(&node, topic, cursor);
            let page = reader.page(events(10)).await.unwrap();
            let missed = page.missed.unwrap();
            assert_eq!((missed.from_height, missed.to_height), (2, horizon - 1), "{cursor} {topic:?}");
            assert!(missed.hint.contains("begins with block 5"), "{}", missed.hint);
            assert_eq!((page.events.len(), page.next_cursor.as_str()), (0, "5+0"));
            let rest = reader.page(events(10)).await.unwrap();
            assert_eq!((rest.events.len(), rest.missed), (told, None), "{cursor} {topic:?}");
            assert_eq!(rest.next_cursor, node.events.head().to_string());
        }
    }
}

/// INV-EVENTS-3.
#[tokio::test]
async fn a_node_that_has_no_block_behind_its_snapshot_yet_says_that_all_of_them_are_missed() {
    let node = Arc::new(FakeNode { events: Arc::new(EventLog::new(7, 5)), ..FakeNode::default() });
    *node.horizon.lock() = 6;
    let mut reader = reader(&node, Topic::Finalized, Cursor::Chain { height: 1, place: 0 });
    let missed = reader.page(events(10)).await.unwrap().missed.unwrap();
    assert_eq!((missed.from_height, missed.to_height), (1, 5));
    let rest = reader.page(events(10)).await.unwrap();
    assert_eq!((rest.events.len(), rest.missed, rest.next_cursor), (0, None, node.events.head().to_string()));
    assert!(reader.news().now_or_never().is_none(), "it waits in the ring");
}

#[tokio::test]
async fn an_address_is_told_what_it_gets_and_what_it_spends_and_nothing_else() {
    let (node, key) = (node(), SecretKey::from_seed(&[9; 32]));
    let address = Address::of_key_hash(Network::Devnet, key.public().key_hash());
    let start = node.events.head();
    let to_it = TxOut { value: Amount(5), lock: address.lock };
    let both = Transaction::transfer(Vec::new(), vec![output(), to_it, to_it], b"for you".to_vec());
    let coin = OutPoint { txid: TxId([4; 32]), index: 2 };
    let of_it = Transaction::transfer(vec![coin], vec![output()], Vec::new());
    let of_it = of_it.signed(&crate::types::ChainId([1; 32]), &[&key]);
    for transaction in [both, of_it] {
        node.events.push(finalized((transaction.txid(), Arc::new(transaction)), None), Clock.instant());
    }
    node.events.push(finalized(payment(1), None), Clock.instant());
    let page = reader(&node, Topic::Address(address), start).page(events(10)).await.unwrap();
    let parts: Vec<_> = page
        .events
        .iter()
        .map(|event| match event {
            EventInfo::Final(FinalEvent { address: Some(part), .. }) => part,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(parts.len(), 2);
    assert_eq!((parts[0].received, parts[0].outputs.len(), parts[0].outputs[0].n), (Amount(10), 2, 1));
    assert_eq!((parts[0].memo.as_str(), parts[0].spends.len()), (hex::encode("for you").as_str(), 0));
    assert_eq!((parts[1].received, &parts[1].spends), (Amount(0), &vec![coin.to_string()]));
}

#[tokio::test]
async fn the_pool_is_told_of_while_somebody_listens() {
    let node = node();
    let now = Clock.instant();
    let start = node.events.head();
    node.events.accepted(TxId([1; 32]), now);
    assert_eq!(node.events.head(), start, "nobody listens");
    let mut reader = reader(&node, Topic::Mempool, start);
    node.events.accepted(TxId([2; 32]), now);
    let dropped = Happened::Dropped { txid: TxId([2; 32]), reason: "expired", winner: None };
    node.events.push(dropped, now);
    let page = reader.page(events(10)).await.unwrap();
    assert!(matches!(page.events.as_slice(), [EventInfo::Accepted(_), EventInfo::Dropped(_)]));
    drop(reader);
    node.events.accepted(TxId([3; 32]), now);
    assert_eq!(node.events.head(), node.events.at(2));
}

#[tokio::test]
async fn a_reader_waits_for_news_and_a_page_is_there_then() {
    let node = node();
    let mut reader = reader(&node, Topic::Finalized, node.events.head());
    assert!(reader.news().now_or_never().is_none());
    node.events.push(finalized(payment(3), None), Clock.instant());
    assert!(reader.news().now_or_never().is_some());
    assert_eq!(finals(&reader.page(events(9)).await.unwrap()), [payment(3).0]);
    assert!(reader.news().now_or_never().is_none());
    // One of a block that is not there yet waits as well.
    let future = Cursor::Chain { height: HEIGHT + 9, place: 0 };
    let mut early = self::reader(&node, Topic::Finalized, future);
    assert!(early.news().now_or_never().is_none());
    let page = early.page(events(9)).await.unwrap();
    assert_eq!((page.events.len(), page.next_cursor), (0, future.to_string()));
}

#[tokio::test]
async fn each_state_of_a_transaction_is_told_once() {
    let node = node();
    let mut reader = reader(&node, Topic::Transaction(TxId([5; 32])), node.events.head());
    assert!(reader.news().now_or_never().is_some(), "how it is now is news");
    assert_eq!(reader.page(events(9)).await.unwrap().events.len(), 1);
    assert!(reader.news().now_or_never().is_none());
    assert!(reader.page(events(9)).await.unwrap().events.is_empty());
    assert!(!reader.is_over());
}

#[tokio::test]
async fn the_consensus_is_told_as_it_is_and_again_when_it_has_moved() {
    let node = node();
    let mut reader = reader(&node, Topic::Consensus, node.events.head());
    assert!(reader.news().now_or_never().is_some());
    assert!(matches!(reader.page(events(9)).await.unwrap().events.as_slice(), [EventInfo::Consensus(_)]));
    assert!(reader.news().now_or_never().is_none());
    node.events.stepped();
    reader.news().await;
    assert!(reader.page(events(9)).await.unwrap().events.is_empty(), "it is where it was");
}

#[test]
fn topics_say_what_they_need() {
    use serde_json::json;
    assert_eq!(Topic::of("blocks", None), Ok(Topic::Blocks));
    assert_eq!(Topic::of("mempool", Some(&json!(null))), Ok(Topic::Mempool));
    let txid = TxId([7; 32]);
    assert_eq!(Topic::of("transaction", Some(&json!(txid.to_string()))), Ok(Topic::Transaction(txid)));
    for (name, about, says) in [
        ("transaction", None, "needs a txid"),
        ("address", Some(json!(7)), "needs an address"),
        ("blocks", Some(json!("x")), "about nothing"),
        ("block", None, "there are blocks, finalized"),
        ("block", Some(json!("x")), "there are blocks, finalized"),
    ] {
        let problem = Topic::of(name, about.as_ref()).unwrap_err();
        assert!(problem.contains(says), "{problem}");
    }
    for (name, about) in Topic::NAMES {
        let wants = Topic::of(name, None);
        assert_eq!(wants.is_err(), about.is_some(), "{name}");
    }
}
