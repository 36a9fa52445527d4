//! What a node makes of what it asked for: certificates, and blocks in ranges.

use super::*;
use crate::consensus::sync::SYNC_BYTES_MAX;
use crate::types::Certificate;
use crate::types::codec::encode;
use crate::types::message::NodeStatus;

fn asked(node: &mut Node) -> Vec<Message> {
    let sent = std::mem::take(&mut node.around.sent);
    sent.into_iter().filter(|message| matches!(message, Message::GetBlocks { .. })).collect()
}

fn ahead(node: &Node, height: Height) -> Message {
    Message::Status(NodeStatus { height, tip: BlockHash([1; 32]), ..node.consensus.status() })
}

/// Whoever sends a bad one pays for it once, and costs no more checks; what it sent before is no worse for it.
#[test]
fn certificates_of_an_answer_are_taken_up_to_the_first_bad_one() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let others: Vec<usize> = node.others().collect();
    let payments = [0, 1, 2, 3].map(|nth| chain.payment(nth).txid());
    let certificate = |txid: TxId, secret: fn(usize) -> SecretKey| {
        let vote = FinalityVote { kind: VoteKind::Lock, txid };
        let prove = |member: &usize| {
            let id = chain.state.validators().get(*member).unwrap().id;
            let batch = VoteBatch::signed(chain.state.chain_id(), 0, id, 0, vec![vote], &secret(*member));
            batch.prove(0).unwrap()
        };
        Released::heard(Certificate { vote, epoch: 0, votes: others.iter().map(prove).collect() })
    };
    let keys: [fn(usize) -> SecretKey; 4] = [operator, |_| user(), operator, |_| user()];
    let answer = payments.into_iter().zip(keys).map(|(txid, key)| certificate(txid, key)).collect();
    let message = Message::Certificates(answer);
    let outputs = node.order(Event::Message { from: peer(), message, verified: false });
    let blames = |output: &&Output| matches!(output, Output::Misbehaved(whom, _) if *whom == peer());
    assert_eq!(outputs.iter().filter(blames).count(), 1);
    let certified = payments.map(|txid| node.consensus.finality().is_certified(&txid));
    assert_eq!(certified, [true, false, false, false]);
}

/// Ranges are answered in any order; a node that is far behind waits for no clock.
#[test]
fn the_next_range_is_asked_for_whichever_is_answered_first() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 10_000);
    node.hear(ahead(&node, 1_000));
    let get = |from| Message::GetBlocks { from, count: 64 };
    assert_eq!(asked(&mut node), [get(1), get(65)]);
    let mut later = chain.grow(START_MS + 1).committed;
    later.block.header.height = 65;
    node.hear(Message::Blocks(vec![Released::heard(later)]));
    assert_eq!(asked(&mut node), [Message::GetBlocks { from: 66, count: 64 }]);
}

/// INV-SYNC-2.
#[test]
fn no_more_blocks_are_asked_for_while_those_that_are_held_take_all_bytes() {
    let mut chain = Chain::new();
    let first = chain.grow(START_MS + 1).committed;
    let of_bytes = |memo: usize| {
        let body = Transaction::transfer(Vec::new(), Vec::new(), vec![7; memo]);
        let mut block = first.clone();
        block.block.header.height = 65;
        block.block.transactions = vec![Arc::new(body)];
        block
    };
    let head = encode(&of_bytes(SYNC_BYTES_MAX >> 1)).len() - (SYNC_BYTES_MAX >> 1);
    for (bytes, has_room) in [(SYNC_BYTES_MAX, false), (SYNC_BYTES_MAX - 1, true)] {
        let mut node = Node::new(&Chain::new(), &[], START_MS + 10_000);
        node.hear(ahead(&node, 1_000));
        asked(&mut node);
        node.hear(Message::Blocks(vec![Released::heard(of_bytes(bytes - head))]));
        assert_eq!(!asked(&mut node).is_empty(), has_room, "{bytes} bytes");
    }
}

/// Whoever waits for a block at this node's height need not wait for its clock as well.
#[test]
fn peers_hear_of_a_block_as_soon_as_it_is_applied() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1);
    node.around.said.clear();
    node.decide(&mut chain, START_MS + 1, false, &[]);
    let tip = chain.state.tip_hash();
    let tells = |message: &Message| matches!(message, Message::Status(status) if (status.height, status.tip) == (1, tip));
    assert!(node.around.said.iter().any(tells));
}
