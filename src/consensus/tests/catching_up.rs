//! A node that catches up: blocks on top of blocks that are not on the disk yet, and signatures that are checked ahead.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::super::blocks::COMMITTING_BLOCKS_MAX;
use super::super::events::Shortfall;
use super::super::inbox::ConsensusHandle;
use super::super::peers::REQUEST_TIMEOUT_MS;
use super::super::sync::ahead::{BlocksToCheck, HELD_MAX, HeldSignatures, Remaining};
use super::super::sync::ahead_thread::{AHEAD_BYTES_MAX, AheadSender};
use super::super::verify::Voters;
use super::*;
use crate::network::tests::support::eventually;
use crate::runtime::TaskRegistry;
use crate::types::message::NodeStatus;
use crate::types::{SignatureCheck, SignatureVerifier, ValidatorSet};

/// Adds a block with these payments, whose outputs later ones may spend.
fn grow_with(chain: &mut Chain, time: TimeMs, payments: &[CheckedTransaction]) -> CommittedBlock {
    let (block, outcome) = chain.block(time, false, payments);
    for (outpoint, _) in &outcome.spent {
        chain.utxos.remove(outpoint);
    }
    chain.utxos.extend(outcome.created.iter().copied());
    chain.commit(block, outcome).committed
}

/// A node that knows of a peer that is ahead, and has asked it for its first blocks.
fn behind(height: Height) -> Node {
    let mut node = Node::new(&Chain::new(), &[], START_MS + 1_000_000);
    let far = Message::Status(NodeStatus { height, tip: BlockHash([1; 32]), ..node.consensus.status() });
    node.hear(far);
    node
}

/// The heights that it sends to the log for this answer, before any of them is written; and whether it blames the peer.
fn committed(node: &mut Node, blocks: &[CommittedBlock]) -> (Vec<Height>, bool) {
    let message = Message::Blocks(blocks.iter().cloned().map(Released::heard).collect());
    let outputs = node.order(Event::Message { from: peer(), message, verified: false });
    let heights = outputs.iter().filter_map(|output| match output {
        Output::CommitBlock(logged) => Some(logged.committed.block.header.height),
        _ => None,
    });
    let blames = outputs.iter().any(|output| matches!(output, Output::Misbehaved(..)));
    (heights.collect(), blames)
}

/// A node that has just started must not call itself ready because its peers' word is not proven yet.
#[test]
fn whether_peers_are_further_is_known_once_they_showed_it_or_failed_to() {
    let mut chain = Chain::new();
    let first = chain.grow(START_MS + 1).committed;
    let mut node = behind(100);
    assert!(!node.consensus.has_heard_peers(), "it says so and has shown nothing");
    let (heights, _) = committed(&mut node, std::slice::from_ref(&first));
    assert_eq!(heights, [1]);
    node.hear(Message::Status(NodeStatus { height: 100, ..node.consensus.status() }));
    assert!(node.consensus.has_heard_peers() && node.consensus.is_syncing());
    // One that has nothing of what it says is not waited for.
    let mut node = behind(100);
    node.hear(Message::Blocks(Vec::new()));
    node.hear(Message::Status(NodeStatus { height: 100, ..node.consensus.status() }));
    assert!(node.consensus.has_heard_peers() && !node.consensus.is_syncing());
    // Nobody is further.
    assert!(behind(0).consensus.has_heard_peers());
    assert!(behind(1).consensus.has_heard_peers(), "that block is being decided");
}

#[test]
fn liars_who_come_one_after_the_other_keep_no_node_from_being_ready() {
    let mut node = behind(100);
    let mut waited_ms = 0;
    for liar in 0..20 {
        if node.consensus.has_heard_peers() {
            break;
        }
        node.now_ms += 1_000;
        waited_ms += 1_000;
        let liar = operator(100 + liar).public();
        node.feed(Event::PeerConnected(liar));
        let far = NodeStatus { height: 100, tip: BlockHash([1; 32]), ..node.consensus.status() };
        node.feed(Event::Message { from: liar, message: Message::Status(far), verified: false });
    }
    assert_eq!(waited_ms, 3 * REQUEST_TIMEOUT_MS);
    assert!(!node.consensus.is_syncing());
}

/// INV-SYNC-5.
#[test]
fn who_has_nothing_of_what_it_said_it_has_is_scored_each_time() {
    let mut node = behind(100);
    assert_eq!(node.around.failed, []);
    node.hear(Message::Blocks(Vec::new()));
    assert_eq!(node.around.failed, [Shortfall::Empty]);
    // An answer that nobody asked for says nothing of anybody.
    node.hear(Message::Blocks(Vec::new()));
    assert_eq!(node.around.failed.len(), 1);
}

/// INV-SYNC-5: behind a slow line the only peer is late again and again, and may not be banned for it.
#[test]
fn who_is_late_is_scored_once_in_the_time_that_it_is_left_alone() {
    let mut node = behind(100);
    let far = NodeStatus { height: 100, tip: BlockHash([1; 32]), ..node.consensus.status() };
    for _ in 0..5 {
        node.now_ms += REQUEST_TIMEOUT_MS + 1;
        node.hear(Message::Status(far.clone()));
        assert_eq!(node.around.failed, [Shortfall::Late]);
    }
    for wait_ms in [1_000_000, REQUEST_TIMEOUT_MS + 1] {
        node.now_ms += wait_ms;
        node.hear(Message::Status(far.clone()));
    }
    assert_eq!(node.around.failed, [Shortfall::Late; 2]);
}

/// INV-COMMITTING-1, INV-COMMITTING-3.
#[test]
fn blocks_of_an_answer_go_to_the_log_together_each_on_top_of_the_last() {
    let mut chain = Chain::new();
    let first = chain.payment(0);
    let second = chain.child(&first);
    let third = chain.child(&second);
    let blocks = [
        grow_with(&mut chain, START_MS + 1, &[first]),
        grow_with(&mut chain, START_MS + 2, &[second]),
        grow_with(&mut chain, START_MS + 3, &[third]),
    ];
    let mut node = behind(3);
    assert_eq!(committed(&mut node, &blocks), (vec![1, 2, 3], false));
    assert_eq!(node.consensus.state().height(), 0, "nothing is written yet");
    let mut node = behind(3);
    node.hear(Message::Blocks(blocks.into_iter().map(Released::heard).collect()));
    assert_eq!(node.consensus.state(), &Arc::new(chain.state));
    // What each changed is forgotten with it.
    assert!(!node.consensus.blocks.is_committing());
}

/// INV-COMMITTING-3.
#[test]
fn what_a_block_that_is_being_written_spends_is_spent() {
    let mut chain = Chain::new();
    let before = chain.utxos.clone();
    let payment = chain.payment(0);
    let first = grow_with(&mut chain, START_MS + 1, std::slice::from_ref(&payment));
    // A quorum that commits to the same payment again: the outputs of before are there once more for it alone.
    chain.utxos = before;
    let second = grow_with(&mut chain, START_MS + 2, &[payment]);
    let mut node = behind(2);
    assert_eq!(committed(&mut node, &[first, second]), (vec![1], true));
}

/// INV-COMMITTING-3: what one block made and a later one spent stays spent when the first one leaves.
#[test]
fn what_is_spent_stays_spent_while_an_earlier_block_becomes_the_tip() {
    let mut chain = Chain::new();
    let first = chain.payment(0);
    let second = chain.child(&first);
    let mut blocks = vec![grow_with(&mut chain, START_MS + 1, &[first])];
    let before = chain.utxos.clone();
    blocks.push(grow_with(&mut chain, START_MS + 2, std::slice::from_ref(&second)));
    chain.utxos = before;
    let again = grow_with(&mut chain, START_MS + 3, &[second]);
    let mut node = behind(2);
    let message = Message::Blocks(blocks.into_iter().map(Released::heard).collect());
    let outputs = node.order(Event::Message { from: peer(), message, verified: false });
    let Some(Output::CommitBlock(logged)) =
        outputs.into_iter().find(|output| matches!(output, Output::CommitBlock(_)))
    else {
        panic!("nothing goes to the log")
    };
    let durable = node.around.log.append(&logged).unwrap();
    node.order(Event::BlockPersisted(durable));
    assert_eq!(node.consensus.state().height(), 1);
    let far = Message::Status(NodeStatus { height: 3, tip: BlockHash([1; 32]), ..node.consensus.status() });
    node.hear(far);
    assert_eq!(committed(&mut node, &[again]), (Vec::new(), true));
}

/// INV-COMMITTING-2.
#[test]
fn no_more_blocks_wait_for_the_log_than_allowed() {
    let mut chain = Chain::new();
    let blocks: Vec<_> = (1..=128).map(|height| chain.grow(START_MS + height).committed).collect();
    let (early, late) = blocks.split_at(64);
    let mut node = behind(128);
    let (heights, _) = committed(&mut node, early);
    assert_eq!(heights.len(), COMMITTING_BLOCKS_MAX);
    assert_eq!(committed(&mut node, late), (Vec::new(), false), "they wait for room");
    let mut node = behind(128);
    for some in [late, early] {
        node.hear(Message::Blocks(some.iter().cloned().map(Released::heard).collect()));
    }
    assert_eq!(node.consensus.state().height(), 128, "and have it when earlier ones are written");
}

/// INV-COMMITTING-2.
#[test]
fn nothing_is_put_behind_a_block_after_which_the_epoch_closes_or_that_ends_it() {
    let mut chain = Chain::new();
    let duration = chain.state.parameters().epoch_duration_ms;
    let mut blocks = vec![chain.grow(START_MS + 1).committed, chain.grow(START_MS + 1 + duration).committed];
    blocks.push(chain.grow_by(START_MS + 2 + duration, true).committed);
    blocks.push(chain.grow(START_MS + 3 + duration).committed);
    let mut node = behind(4);
    assert_eq!(committed(&mut node, &blocks), (vec![1, 2], false));
    let mut node = behind(4);
    node.hear(Message::Blocks(blocks.into_iter().map(Released::heard).collect()));
    assert_eq!((node.consensus.state().height(), node.consensus.state().next_epoch()), (4, 1));
}

/// Counts the signatures that it was asked for.
#[derive(Default)]
struct Counting(AtomicUsize);

impl SignatureVerifier for Counting {
    fn verify_all(&self, checks: &[SignatureCheck]) -> Result<(), usize> {
        self.0.fetch_add(checks.len(), Ordering::Relaxed);
        SequentialVerifier.verify_all(checks)
    }
}

fn to_check(chain: &Chain, blocks: &[CommittedBlock]) -> BlocksToCheck {
    let (chain_id, set) = (*chain.state.chain_id(), Arc::clone(chain.state.validators()));
    let blocks = blocks.iter().cloned().map(Released::heard).collect();
    BlocksToCheck { answer: 1, blocks, bytes: 0, chain_id, set }
}

/// INV-AHEAD-1.
#[test]
fn a_signature_that_was_held_ahead_is_not_checked_again_and_every_other_one_is() {
    let mut chain = Chain::new();
    let payments: Vec<_> = (0..4).map(|nth| chain.payment(nth)).collect();
    let mut blocks: Vec<_> = payments
        .into_iter()
        .zip(1..)
        .map(|(payment, height)| grow_with(&mut chain, START_MS + height, &[payment]))
        .collect();
    let all: Vec<SignatureCheck> = blocks
        .iter()
        .flat_map(|committed| {
            let (chain_id, set) = (chain.state.chain_id(), chain.state.validators());
            let own = committed.commit.signature_checks(chain_id, 0, set).unwrap();
            let transactions = committed.block.transactions.iter();
            own.into_iter().chain(transactions.flat_map(|tx| tx.signature_checks(chain_id, &tx.txid())))
        })
        .collect();
    let remaining = |held: &HeldSignatures, checks: &[SignatureCheck]| {
        let verifier = Counting::default();
        let verdict = Remaining { held, verifier: &verifier }.verify_all(checks);
        (verdict, verifier.0.into_inner())
    };
    let held = to_check(&chain, &blocks).check(&SequentialVerifier);
    assert_eq!(remaining(&held, &all), (Ok(()), 0));
    let mut other = all.clone();
    other[3].signature.0[0] ^= 1;
    assert_eq!(remaining(&held, &other), (Err(3), 1), "only this one, and by its own place");
    // A bad one in the third block: those before it hold, it and the others are checked by whoever looks at them.
    let signatures = &mut blocks[2].commit.signatures;
    signatures[0] = Signature::EMPTY;
    let held = to_check(&chain, &blocks).check(&SequentialVerifier);
    let (verdict, checked) = remaining(&held, &all);
    assert_eq!(verdict, Ok(()));
    let of_two_blocks = 2 * (MEMBERS as usize + 1);
    assert_eq!(checked, of_two_blocks, "of the third and the fourth");
}

/// Most epochs change nothing in the set, and an answer may reach over many of them.
#[test]
fn the_blocks_of_later_epochs_are_checked_ahead_while_their_headers_name_the_same_set() {
    let mut chain = Chain::new();
    let mut blocks = vec![chain.grow(START_MS + 1).committed];
    let due = chain.state.epoch_due();
    blocks.extend([chain.grow(due), chain.grow_by(due + 1, true)].map(|logged| logged.committed));
    blocks.extend([2, 3].map(|ms| chain.grow(due + ms).committed));
    assert_eq!(blocks.last().unwrap().block.header.epoch, 1);
    let count = |order: &BlocksToCheck| {
        let verifier = Counting::default();
        let _held = order.check(&verifier);
        verifier.0.into_inner()
    };
    let mut order = to_check(&chain, &blocks);
    assert_eq!(count(&order), blocks.len() * usize::from(MEMBERS), "each of them once");
    let fewer = chain.state.validators().members()[1..].to_vec();
    order.set = Arc::new(ValidatorSet::new(fewer));
    assert_eq!(count(&order), 0, "of a set that no header names");
}

#[test]
fn what_its_header_does_not_bind_costs_no_signature() {
    let mut chain = Chain::new();
    let payment = chain.payment(0);
    let mut block = grow_with(&mut chain, START_MS + 1, &[payment]);
    block.block.transactions.push(Arc::new(Transaction::transfer(Vec::new(), Vec::new(), vec![1])));
    let verifier = Counting::default();
    let _held = to_check(&chain, &[block]).check(&verifier);
    assert_eq!(verifier.0.into_inner(), 0);
}

/// Believes everything, and counts it.
#[derive(Default)]
struct Believing(AtomicUsize);

impl SignatureVerifier for Believing {
    fn verify_all(&self, checks: &[SignatureCheck]) -> Result<(), usize> {
        self.0.fetch_add(checks.len(), Ordering::Relaxed);
        Ok(())
    }
}

/// A commit has a signature of each member, so an answer with many small blocks may have more than are held.
#[test]
fn no_more_signatures_of_an_answer_are_checked_ahead_than_are_held() {
    let mut chain = Chain::new();
    let block = chain.grow(START_MS + 1).committed;
    let mut order = to_check(&chain, std::slice::from_ref(&block));
    let verifier = Believing::default();
    let _held = order.check(&verifier);
    let each = verifier.0.into_inner();
    assert_eq!(each, usize::from(MEMBERS));
    // Signatures of their own: what comes again is not checked again.
    let other = |nth: usize| {
        let mut other = block.clone();
        for signature in &mut other.commit.signatures {
            signature.0[..8].copy_from_slice(&nth.to_le_bytes());
        }
        Released::heard(other)
    };
    for (blocks, expected) in [(HELD_MAX / each - 1, HELD_MAX - each), (HELD_MAX, HELD_MAX)] {
        order.blocks = (0..blocks).map(other).collect();
        let verifier = Believing::default();
        let _held = order.check(&verifier);
        assert_eq!(verifier.0.into_inner(), expected, "{blocks} blocks");
    }
}

/// Holds back its verdict until it may give it.
struct Waiting(parking_lot::Mutex<std::sync::mpsc::Receiver<()>>);

impl SignatureVerifier for Waiting {
    fn verify_all(&self, _: &[SignatureCheck]) -> Result<(), usize> {
        self.0.lock().recv().unwrap();
        Ok(())
    }
}

/// What is beyond the bound goes back to consensus at once, unchecked, and nothing is lost.
#[tokio::test]
async fn answers_wait_to_be_checked_up_to_their_bytes_and_no_further() {
    let mut chain = Chain::new();
    let block = chain.grow(START_MS + 1).committed;
    let order =
        |answer, bytes| BlocksToCheck { answer, bytes, ..to_check(&chain, std::slice::from_ref(&block)) };
    let BlocksToCheck { chain_id, set, .. } = order(0, 0);
    let (handle, _inbox) = ConsensusHandle::new(Voters { chain_id, epoch: 0, set });
    let registry = TaskRegistry::new(CancellationToken::new());
    let (release, held_back) = std::sync::mpsc::sync_channel(2);
    let verifier = Arc::new(Waiting(parking_lot::Mutex::new(held_back)));
    let sender = AheadSender::start(Arc::clone(&handle), verifier, &registry).unwrap();
    assert!(sender.send(order(1, AHEAD_BYTES_MAX)).is_none());
    let Some(Event::BlocksChecked { answer: 2, held }) = sender.send(order(2, 1)) else {
        panic!("there is no room")
    };
    assert!(!held.has_any());
    release.send(()).unwrap();
    eventually(|| handle.has_own()).await;
    let events = handle.take_own();
    assert!(matches!(&events[0], Event::BlocksChecked { answer: 1, held } if held.has_any()), "{events:?}");
    assert!(sender.send(order(3, AHEAD_BYTES_MAX)).is_none(), "there is room again");
    release.send(()).unwrap();
    drop(sender);
    registry.shutdown(Duration::from_secs(5)).await.unwrap();
}
