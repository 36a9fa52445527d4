//! Whom a node asks for what it lacks, when, and when again.

use super::super::dispatch::moment;
use super::super::events::{Answer, Recipient};
use super::super::heartbeats::{HEARTBEAT_GAP_MS, HEARTBEAT_INTERVAL_MS};
use super::super::moment::Moment;
use super::super::peers::STATUS_INTERVAL_MS;
use super::*;
use crate::network::PeerId;
use crate::types::heartbeat::Heartbeat;
use crate::types::limits::{
    REQUEST_BATCHES_MAX, REQUEST_BLOCKS_MAX, REQUEST_CERTIFICATES_MAX, REQUEST_IDS_MAX,
};
use crate::types::message::{HeldBatches, NodeStatus};

pub(super) fn stranger(number: u8) -> PeerId {
    SecretKey::from_seed(&[0xa0 ^ number; 32]).public()
}

pub(super) fn hear_from(node: &mut Node, from: PeerId, message: Message) {
    node.feed(Event::Message { from, message, verified: false });
}

/// What it asked for since the last look, and whom.
pub(super) fn asked(node: &mut Node) -> Vec<(PeerId, Message)> {
    let is_request = |message: &Message| {
        matches!(
            message,
            Message::GetBatches { .. }
                | Message::GetBlocks { .. }
                | Message::GetTransactions(_)
                | Message::GetCertificates(..)
        )
    };
    node.around.addressed.drain(..).filter(|(_, message)| is_request(message)).collect()
}

pub(super) fn ahead(node: &Node, height: Height) -> Message {
    Message::Status(NodeStatus { height, tip: BlockHash([1; 32]), ..node.consensus.status() })
}

/// Who sends a proposal has its bodies.
#[test]
fn the_bodies_of_a_proposal_are_asked_of_who_sent_it_without_those_that_are_here() {
    let chain = Chain::new();
    let (here, missing) = (chain.payment(0), chain.payment(1));
    let (block, _) = chain.block(START_MS + 1, false, &[here.clone(), missing.clone()]);
    let mut node = Node::new(&chain, &[], START_MS + 1);
    let from = stranger(3);
    node.feed(Event::PeerConnected(from));
    node.feed(Event::Transaction(here));
    asked(&mut node);
    hear_from(&mut node, from, chain.proposal(&block));
    let reward = block.transactions.last().unwrap().txid();
    let [(to, Message::GetTransactions(txids))] = &asked(&mut node)[..] else { panic!("one question") };
    assert_eq!((*to, txids.contains(&missing.txid())), (from, true));
    assert!(txids.iter().all(|txid| *txid == missing.txid() || *txid == reward), "{txids:?}");
}

/// What got lost is asked for with the second look at the latest, of one peer after the other.
#[test]
fn a_body_and_a_certificate_that_stay_missing_are_asked_for() {
    let chain = Chain::new();
    let (unknown, uncertified) = (chain.payment(0), chain.payment(1));
    let mut node = Node::new(&chain, &[], START_MS + 1);
    let other = stranger(1);
    node.feed(Event::PeerConnected(other));
    node.hear_locks(unknown.txid());
    node.feed(Event::Transaction(uncertified.clone()));
    let (block, _) = chain.block(START_MS + 1, false, std::slice::from_ref(&uncertified));
    node.hear(chain.proposal(&block));
    asked(&mut node);
    let mut questions = Vec::new();
    for look in 0..3 {
        node.now_ms += STATUS_INTERVAL_MS;
        node.feed(Event::Tick);
        let asked = asked(&mut node);
        assert_eq!(asked.is_empty(), look == 0, "it may be on its way");
        questions.extend(asked);
    }
    let bodies = Message::GetTransactions(vec![unknown.txid()]);
    let certificates = Message::GetCertificates(VoteKind::Lock, vec![uncertified.txid()]);
    for question in [bodies, certificates] {
        let of: Vec<PeerId> =
            questions.iter().filter(|(_, asked)| *asked == question).map(|(to, _)| *to).collect();
        assert_eq!(of.len(), 2, "{question:?}: {questions:?}");
    }
    let whom: Vec<PeerId> = questions.iter().map(|(to, _)| *to).collect();
    assert!(whom.contains(&other) && whom.contains(&peer()), "each has its turn");
}

/// A block that others did not decide on is of no use any more.
#[test]
fn what_a_proposal_lacked_is_not_asked_for_when_its_height_is_over() {
    let mut chain = Chain::new();
    let missing = chain.payment(0);
    let (block, _) = chain.block(START_MS + 1, false, &[missing]);
    let mut node = Node::new(&chain, &[], START_MS + 1);
    node.hear(chain.proposal(&block));
    node.hear(ahead(&node, 2));
    let blocks = (1..=2).map(|height| Released::heard(chain.grow(START_MS + height).committed)).collect();
    node.hear(Message::Blocks(blocks));
    assert_eq!(node.consensus.state().height(), 2);
    asked(&mut node);
    for _ in 0..3 {
        node.now_ms += STATUS_INTERVAL_MS;
        node.feed(Event::Tick);
    }
    let asked = asked(&mut node);
    assert!(!asked.iter().any(|(_, message)| matches!(message, Message::GetTransactions(_))), "{asked:?}");
}

/// What a closing block's proposer waits for may be any of these; when it is there nobody has to look at a clock.
#[test]
fn a_node_knows_whether_peers_say_that_they_have_more_votes() {
    use super::super::blocks::PeersVotes;
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let member = node.others().next().unwrap();
    let mut ahead = node.consensus.status();
    ahead.batches[member] = HeldBatches { from: 0, until: 1 };
    let votes = |node: &Node| {
        let consensus = &node.consensus;
        consensus.peers.votes(&consensus.finality, &moment!(consensus))
    };
    assert_eq!(votes(&node), PeersVotes::Here);
    node.hear(Message::Status(NodeStatus { epoch: 1, ..ahead.clone() }));
    assert_eq!(votes(&node), PeersVotes::Here, "of another epoch");
    node.hear(Message::Status(ahead.clone()));
    assert_eq!(votes(&node), PeersVotes::Lacking);
    node.feed(Event::PeerDisconnected(peer()));
    assert_eq!(votes(&node), PeersVotes::Here);
    node.feed(Event::PeerConnected(peer()));
    node.hear(Message::Status(ahead));
    node.hear_locks(TxId([1; 32]));
    assert_eq!(votes(&node), PeersVotes::Here, "they came");
}

/// It may have been on its way when the connection was lost.
#[test]
fn what_somebody_says_who_is_not_there_asks_for_nothing() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let member = node.others().next().unwrap();
    let mut status = node.consensus.status();
    status.batches[member] = HeldBatches { from: 0, until: 10 };
    asked(&mut node);
    hear_from(&mut node, stranger(5), Message::Status(status));
    let far = ahead(&node, 1_000);
    hear_from(&mut node, stranger(5), far);
    assert_eq!(asked(&mut node), []);
}

/// Whoever asks for more gets the first of it.
#[test]
fn a_question_is_answered_up_to_its_bound() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    node.decide(&mut chain, START_MS + 1, false, &[]);
    let payment = chain.payment(0);
    node.feed(Event::Transaction(payment.clone()));
    node.hear_locks(payment.txid());
    let mut ask = |message: Message| {
        let outputs = node.order(Event::Message { from: stranger(6), message, verified: false });
        let answers = outputs.into_iter().filter_map(|output| match output {
            Output::Serve(Recipient::Peer(to), answer) if to == stranger(6) => Some(answer),
            _ => None,
        });
        answers.collect::<Vec<_>>()
    };
    let from = 1;
    for (count, given) in [(REQUEST_BLOCKS_MAX, REQUEST_BLOCKS_MAX), (u64::MAX, REQUEST_BLOCKS_MAX)] {
        let [Answer::Blocks { from: 1, count }] = ask(Message::GetBlocks { from, count })[..] else {
            panic!("no blocks")
        };
        assert_eq!(count, given);
    }
    let validator = chain.state.validators().get(0).unwrap().id;
    let question = Message::GetBatches { epoch: 0, validator, from_seq: 3, count: u64::MAX };
    let [Answer::Batches { end, .. }] = &ask(question)[..] else { panic!("no batches") };
    assert_eq!(end.before_seq, 3 + REQUEST_BATCHES_MAX);
    let other_epoch = Message::GetBatches { epoch: 1, validator, from_seq: 0, count: 1 };
    assert!(ask(other_epoch).is_empty());
    for (before, is_answered) in [(REQUEST_CERTIFICATES_MAX - 1, true), (REQUEST_CERTIFICATES_MAX, false)] {
        let mut txids = vec![TxId([1; 32]); before];
        txids.push(payment.txid());
        let answers = ask(Message::GetCertificates(VoteKind::Lock, txids));
        assert_eq!(answers.len(), usize::from(is_answered), "behind {before} others");
    }
    for (before, is_answered) in [(REQUEST_IDS_MAX - 1, 1), (REQUEST_IDS_MAX, 0)] {
        let mut txids = vec![TxId([1; 32]); before];
        txids.push(payment.txid());
        let [Answer::Transactions { resident, .. }] = &ask(Message::GetTransactions(txids))[..] else {
            panic!("no bodies")
        };
        assert_eq!(resident.len(), is_answered, "behind {before} others");
    }
}

// -- heartbeats -------------------------------------------------------------------------------------------------------

impl Node {
    fn heartbeat_of(&self, place: usize, time_ms: TimeMs, next_seq: u64) -> Message {
        let state = self.consensus.state();
        let heartbeat = Heartbeat {
            validator: state.validators().get(place).unwrap().id,
            instance: crate::types::instance::InstanceId { start: [9; 16], attempt: 0 },
            epoch: state.next_epoch(),
            height: state.height(),
            next_seq,
            time_ms,
            heard: SignerBitmap::empty(MEMBERS.into()),
            signature: Signature::EMPTY,
        };
        Message::Heartbeat(Released::heard(heartbeat.signed(state.chain_id(), &operator(place))))
    }

    fn own_heartbeats(&self) -> Vec<Released<Heartbeat>> {
        let own = self.around.said.iter().filter_map(|message| match message {
            Message::Heartbeat(heartbeat) => Some(heartbeat.clone()),
            _ => None,
        });
        own.collect()
    }
}

#[test]
fn a_heartbeat_says_who_was_heard_within_two_intervals_and_comes_once_in_each() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let others: Vec<usize> = node.others().collect();
    let me = (0..MEMBERS.into()).find(|place| !others.contains(place)).unwrap();
    assert_eq!(node.own_heartbeats().len(), 1, "it is there");
    let itself = &node.own_heartbeats()[0].heard;
    assert_eq!((0..MEMBERS.into()).filter(|place| itself.contains(*place)).collect::<Vec<_>>(), [me]);
    let (early, late) = (others[0], others[1]);
    node.hear(node.heartbeat_of(early, START_MS, 0));
    node.now_ms += 1;
    node.hear(node.heartbeat_of(late, START_MS, 0));
    for (wait_ms, count) in [(HEARTBEAT_INTERVAL_MS - 2, 1), (1, 2), (HEARTBEAT_INTERVAL_MS, 3)] {
        node.now_ms += wait_ms;
        node.feed(Event::Tick);
        assert_eq!(node.own_heartbeats().len(), count);
    }
    let places = |node: &Node| -> Vec<usize> {
        let last = node.own_heartbeats().pop().unwrap();
        (0..MEMBERS.into()).filter(|place| last.heard.contains(*place)).collect()
    };
    let sorted = |mut places: Vec<usize>| {
        places.sort_unstable();
        places
    };
    assert_eq!(places(&node), sorted(vec![me, early, late]), "two intervals ago");
    // One more than two intervals after the first and two after the second was heard.
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    node.now_ms = START_MS + HEARTBEAT_INTERVAL_MS - 1;
    node.hear(node.heartbeat_of(early, START_MS, 0));
    node.now_ms += 1;
    node.hear(node.heartbeat_of(late, START_MS, 0));
    for _ in 0..2 {
        node.now_ms += HEARTBEAT_INTERVAL_MS;
        node.feed(Event::Tick);
    }
    assert_eq!(places(&node), sorted(vec![me, late]), "the first one fell silent");
}

/// A lost last batch is noticed by the number in the next heartbeat.
#[test]
fn a_heartbeat_is_taken_when_its_gap_is_over_and_what_it_counts_is_asked_for() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let other = node.others().next().unwrap();
    let validator = node.consensus.state().validators().get(other).unwrap().id;
    let from = stranger(4);
    node.feed(Event::PeerConnected(from));
    asked(&mut node);
    let first = node.heartbeat_of(other, START_MS, 2);
    hear_from(&mut node, from, first);
    let request = |from_seq, count| Message::GetBatches { epoch: 0, validator, from_seq, count };
    assert_eq!(asked(&mut node), [(from, request(0, 2))]);
    let next = node.heartbeat_of(other, START_MS + 1, 3);
    for (wait_ms, is_taken) in [(HEARTBEAT_GAP_MS - 1, false), (1, true)] {
        node.now_ms += wait_ms;
        hear_from(&mut node, from, next.clone());
        assert_eq!(!asked(&mut node).is_empty(), is_taken);
    }
}

/// Else a stranger could make its members look alive, or old ones dead.
#[test]
fn heartbeats_that_are_forged_or_of_another_epoch_or_size_are_not_taken() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let other = node.others().next().unwrap();
    let Message::Heartbeat(honest) = node.heartbeat_of(other, START_MS, 0) else { unreachable!() };
    let chain_id = *node.consensus.state().chain_id();
    let changed = |change: &dyn Fn(&mut Heartbeat), secret: SecretKey| {
        let mut heartbeat = Heartbeat::clone(&honest);
        change(&mut heartbeat);
        Message::Heartbeat(Released::heard(heartbeat.signed(&chain_id, &secret)))
    };
    let cases = [
        (changed(&|_| {}, user()), true),
        (changed(&|it| it.epoch = 1, operator(other)), false),
        (changed(&|it| it.heard = SignerBitmap::empty(100), operator(other)), false),
        (changed(&|it| it.validator = crate::types::MasternodeId([77; 32]), operator(other)), false),
    ];
    for (message, is_blamed) in cases {
        let outputs = node.order(Event::Message { from: peer(), message, verified: false });
        let blames = |output: &Output| matches!(output, Output::Misbehaved(..));
        let relays = |output: &Output| matches!(output, Output::Relay(Message::Heartbeat(_), _));
        assert_eq!(outputs.iter().any(blames), is_blamed);
        assert!(!outputs.iter().any(relays));
    }
    let event = Event::Message { from: peer(), message: Message::Heartbeat(honest), verified: false };
    let relays = |output: &Output| matches!(output, Output::Relay(Message::Heartbeat(_), Some(_)));
    assert!(node.order(event).iter().any(relays));
}

/// People see who hears whom.
#[test]
fn readers_see_which_masternodes_attest_which() {
    use super::super::events::Notification;
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let others: Vec<usize> = node.others().collect();
    let id = |place: usize| Chain::new().state.validators().get(place).unwrap().id;
    let own = node.consensus.own_seat().unwrap();
    let attesting = |node: &Node, by: usize, heard: &[usize]| {
        let Message::Heartbeat(heartbeat) = node.heartbeat_of(by, START_MS + 1, 0) else { unreachable!() };
        let mut heartbeat = Heartbeat::clone(&heartbeat);
        heard.iter().for_each(|place| heartbeat.heard.set(*place));
        let heartbeat = heartbeat.signed(node.consensus.state().chain_id(), &operator(by));
        Message::Heartbeat(Released::heard(heartbeat))
    };
    let (first, second) = (others[0], others[1]);
    node.hear(attesting(&node, first, &[first, second]));
    node.hear(attesting(&node, second, &[second]));
    let shown = node.around.told.iter().rev().find_map(|told| match told {
        Notification::Heartbeats(heartbeats) => Some(Arc::clone(heartbeats)),
        _ => None,
    });
    let shown = shown.unwrap();
    assert_eq!(shown[&id(second)].attested_by, [id(first)], "one's own word does not count");
    assert_eq!(shown[&id(first)].attested_by, []);
    assert_eq!(shown[&own].attested_by, []);
    assert_eq!(shown[&id(first)].heard_ms, START_MS);
}

/// INV-PULL-3: the oldest may be those whose `Final` votes nobody has.
#[test]
fn certificates_of_all_that_is_not_final_are_asked_for_in_turns() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let certified: BTreeSet<TxId> = (0..2 * REQUEST_CERTIFICATES_MAX + 1)
        .map(|number| TxId(*blake3::hash(&number.to_le_bytes()).as_bytes()))
        .collect();
    for (seq, txid) in (0..).zip(&certified) {
        node.hear_locks_as(*txid, seq);
    }
    asked(&mut node);
    let mut named = BTreeSet::new();
    for _ in 0..4 {
        node.now_ms += STATUS_INTERVAL_MS;
        node.feed(Event::Tick);
        for (_, message) in asked(&mut node) {
            if let Message::GetCertificates(VoteKind::Final, ids) = message {
                named.extend(ids);
            }
        }
    }
    assert_eq!(named, certified);
}
