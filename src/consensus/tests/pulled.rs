//! Whom a node asks for what it lacks, when, and when again.

use super::super::dispatch::moment;
use super::super::events::{Answer, Recipient};
use super::super::heartbeats::{HEARTBEAT_GAP_MS, HEARTBEAT_INTERVAL_MS};
use super::super::moment::Moment;
use super::super::peers::batch_requests::HAND_ON_MS;
use super::super::peers::{REQUEST_TIMEOUT_MS, STATUS_INTERVAL_MS};
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

/// INV-PULL-1, INV-PULL-2.
#[test]
fn batches_are_asked_of_one_peer_at_a_time_and_of_another_when_it_is_silent() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let member = node.others().next().unwrap();
    let validator = chain.state.validators().get(member).unwrap().id;
    let (first, second) = (peer(), stranger(1));
    node.feed(Event::PeerConnected(second));
    let mut status = node.consensus.status();
    status.batches[member] = HeldBatches { from: 3, until: 10 };
    let status = Message::Status(status);
    let request = Message::GetBatches { epoch: 0, validator, from_seq: 3, count: 7 };
    let batches = |node: &mut Node| -> Vec<PeerId> {
        let asked =
            asked(node).into_iter().filter(|(_, message)| matches!(message, Message::GetBatches { .. }));
        let check = |(to, message)| {
            assert_eq!(message, request);
            to
        };
        asked.map(check).collect()
    };
    batches(&mut node);
    node.hear(status.clone());
    assert_eq!(batches(&mut node), [first]);
    // It has its time to answer; then another one is asked as well.
    let steps = [
        (HAND_ON_MS - 1, second, None),
        (1, second, Some(second)),
        (REQUEST_TIMEOUT_MS - HAND_ON_MS - 1, first, None),
        // The first one is late, and the second one a moment later: they are passed over for as long again.
        (1, first, None),
        (HAND_ON_MS, second, None),
        (REQUEST_TIMEOUT_MS - HAND_ON_MS - 1, first, None),
        (1, first, Some(first)),
        (HAND_ON_MS - 1, second, None),
        (1, second, Some(second)),
    ];
    for (wait_ms, from, expected) in steps {
        node.now_ms += wait_ms;
        hear_from(&mut node, from, status.clone());
        assert_eq!(batches(&mut node), Vec::from_iter(expected), "{wait_ms} ms later");
    }
    // An answer without them says that the peer has none: for a while only.
    let end = Message::BatchesEnd { epoch: 0, validator, before_seq: 10 };
    hear_from(&mut node, first, end.clone());
    hear_from(&mut node, second, end);
    for (wait_ms, is_asked) in [(0, false), (1_999, false), (1, true)] {
        node.now_ms += wait_ms;
        hear_from(&mut node, second, status.clone());
        assert_eq!(!batches(&mut node).is_empty(), is_asked, "{wait_ms} ms later");
    }
}

/// A batch of a member with this number.
fn batch(chain: &Chain, member: usize, seq: u64) -> Message {
    let id = chain.state.validators().get(member).unwrap().id;
    let votes = vec![FinalityVote { kind: VoteKind::Lock, txid: TxId([seq as u8; 32]) }];
    let batch = VoteBatch::signed(chain.state.chain_id(), 0, id, seq, votes, &operator(member));
    Message::VoteBatch(Released::heard(batch))
}

/// INV-PULL-1: a long answer is an answer, and one that comes late is none that does not come.
#[test]
fn who_is_slow_is_not_taken_for_silent() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let member = node.others().next().unwrap();
    let validator = chain.state.validators().get(member).unwrap().id;
    let (first, second) = (peer(), stranger(1));
    node.feed(Event::PeerConnected(second));
    let mut status = node.consensus.status();
    status.batches[member] = HeldBatches { from: 0, until: 9 };
    let status = Message::Status(status);
    asked(&mut node);
    // While it gives nobody else is asked, up to its time.
    for seq in 0..8 {
        for from in [first, second] {
            hear_from(&mut node, from, status.clone());
        }
        assert_eq!(asked(&mut node).len(), usize::from(seq == 0), "{seq}");
        node.now_ms += 250;
        node.hear(batch(&chain, member, seq));
    }
    node.hear(Message::BatchesEnd { epoch: 0, validator, before_seq: 8 });
    let rest = Message::GetBatches { epoch: 0, validator, from_seq: 8, count: 1 };
    assert_eq!(asked(&mut node), [(first, rest)], "who gives is asked on");
    // A sole holder that takes three seconds for each answer is asked again and again.
    node.feed(Event::PeerDisconnected(second));
    let mut questions = 0;
    for _ in 0..40 {
        node.now_ms += 3_000;
        node.hear(status.clone());
        questions += asked(&mut node).len();
        node.hear(Message::BatchesEnd { epoch: 0, validator, before_seq: 9 });
    }
    assert!(questions >= 20, "{questions}");
}

/// INV-PULL-1: who is asked of others all the time is no later asked of this one.
#[test]
fn peers_that_claim_one_members_batches_alone_keep_nobody_from_being_asked_for_them() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let others: Vec<usize> = node.others().collect();
    let (honest, liars) = (peer(), [stranger(1), stranger(2)]);
    liars.iter().for_each(|liar| node.feed(Event::PeerConnected(*liar)));
    let id = |member: usize| chain.state.validators().get(member).unwrap().id;
    let mut asked_honest = 0;
    for step in 1..=30 {
        node.now_ms += 390;
        let word = |node: &Node, of: &[usize], until: u64| {
            let mut status = node.consensus.status();
            of.iter().for_each(|member| status.batches[*member] = HeldBatches { from: 0, until });
            Message::Status(status)
        };
        for liar in liars {
            let lie = word(&node, &others[..1], u64::MAX);
            hear_from(&mut node, liar, lie);
            let end = Message::BatchesEnd { epoch: 0, validator: id(others[0]), before_seq: 0 };
            hear_from(&mut node, liar, end);
        }
        let truth = word(&node, &others, step);
        node.hear(truth);
        for (to, question) in asked(&mut node) {
            let Message::GetBatches { validator, .. } = question else { continue };
            if to == honest {
                asked_honest += usize::from(validator == id(others[0]));
                node.hear(Message::BatchesEnd { epoch: 0, validator, before_seq: step });
            }
        }
    }
    assert!(asked_honest >= 3, "{asked_honest}");
}

/// What is settled is held by nobody: a peer says where its next batch is, and is asked on from there.
#[test]
fn a_hole_in_what_a_peer_holds_is_passed_with_one_answer() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    for member in node.others().collect::<Vec<_>>() {
        let validator = chain.state.validators().get(member).unwrap().id;
        let mut status = node.consensus.status();
        status.batches[member] = HeldBatches { from: 10, until: 5_000 };
        node.hear(Message::Status(status));
        node.hear(batch(&chain, member, 10));
        asked(&mut node);
        node.hear(Message::BatchesEnd { epoch: 0, validator, before_seq: 4_900 });
        let next = Message::GetBatches { epoch: 0, validator, from_seq: 4_900, count: 100 };
        assert_eq!(asked(&mut node), [(peer(), next)], "{member}");
    }
}

/// The same from the side of who answers.
#[test]
fn the_end_of_an_answer_says_where_the_next_batch_is() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let member = node.others().next().unwrap();
    let validator = chain.state.validators().get(member).unwrap().id;
    for seq in [3, 900] {
        node.hear(batch(&chain, member, seq));
    }
    for (from_seq, expected) in [(0, 900), (256, 900), (900, 1_156)] {
        let message = Message::GetBatches { epoch: 0, validator, from_seq, count: 256 };
        let outputs = node.order(Event::Message { from: peer(), message, verified: false });
        let ends: Vec<u64> = outputs
            .iter()
            .filter_map(|output| match output {
                Output::Serve(_, Answer::Batches { end, .. }) => Some(end.before_seq),
                _ => None,
            })
            .collect();
        assert_eq!(ends, [expected], "from {from_seq}");
    }
}

/// INV-PULL-1: words cost nothing, so whoever says most is not asked oftenest.
#[test]
fn peers_that_claim_batches_without_end_keep_no_other_one_from_being_asked() {
    let chain = Chain::new();
    let member = Node::new(&chain, &[], START_MS).others().next().unwrap();
    let validator = chain.state.validators().get(member).unwrap().id;
    let says = |node: &Node, until: u64| {
        let mut status = node.consensus.status();
        status.batches[member] = HeldBatches { from: 0, until };
        Message::Status(status)
    };
    for answers in [false, true] {
        let mut node = Node::new(&chain, &[], START_MS);
        let honest = peer();
        let (mut asked_honest, mut liars) = (0, 1..);
        let mut liar = stranger(0);
        node.feed(Event::PeerConnected(liar));
        for step in 0..100 {
            node.now_ms += 20;
            // Who keeps silent comes back as somebody else.
            if step % 10 == 9 {
                node.feed(Event::PeerDisconnected(liar));
                liar = stranger(liars.next().unwrap());
                node.feed(Event::PeerConnected(liar));
            }
            let lie = says(&node, u64::MAX);
            hear_from(&mut node, liar, lie);
            if answers {
                let end = Message::BatchesEnd { epoch: 0, validator, before_seq: u64::MAX };
                hear_from(&mut node, liar, end);
            }
            if step % 12 == 11 {
                let word = says(&node, 10);
                node.hear(word);
            }
            asked_honest += asked(&mut node).iter().filter(|(to, _)| *to == honest).count();
        }
        assert!(asked_honest > 0, "liars answer: {answers}");
    }
}

/// The end of an answer that was cut says where to go on.
#[test]
fn what_follows_an_answer_is_asked_for_at_once() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let member = node.others().next().unwrap();
    let validator = chain.state.validators().get(member).unwrap().id;
    let mut status = node.consensus.status();
    status.batches[member] = HeldBatches { from: 0, until: 10 };
    node.hear(Message::Status(status));
    asked(&mut node);
    hear_from(&mut node, stranger(2), Message::BatchesEnd { epoch: 0, validator, before_seq: 4 });
    assert_eq!(asked(&mut node), [], "nobody asked that one");
    node.hear(Message::BatchesEnd { epoch: 1, validator, before_seq: 4 });
    assert_eq!(asked(&mut node), [], "of another epoch");
    node.hear(Message::BatchesEnd { epoch: 0, validator, before_seq: 4 });
    let next = Message::GetBatches { epoch: 0, validator, from_seq: 4, count: 6 };
    assert_eq!(asked(&mut node), [(peer(), next)]);
}

/// INV-PULL-2: an answer says nothing of numbers that were not asked for.
#[test]
fn what_was_not_asked_for_is_not_taken_for_answered() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let member = node.others().next().unwrap();
    let validator = chain.state.validators().get(member).unwrap().id;
    let mut status = node.consensus.status();
    status.batches[member] = HeldBatches { from: 0, until: 5 };
    node.hear(Message::Status(status.clone()));
    node.hear(Message::BatchesEnd { epoch: 0, validator, before_seq: 1_000 });
    asked(&mut node);
    status.batches[member].until = 9;
    node.hear(Message::Status(status));
    let next = Message::GetBatches { epoch: 0, validator, from_seq: 5, count: 4 };
    assert_eq!(asked(&mut node), [(peer(), next)]);
}

/// Of who is gone nothing is waited for.
#[test]
fn when_the_one_who_was_asked_leaves_another_is_asked_at_once() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let member = node.others().next().unwrap();
    let other = stranger(1);
    node.feed(Event::PeerConnected(other));
    let mut status = node.consensus.status();
    status.batches[member] = HeldBatches { from: 0, until: 1 };
    node.hear(Message::Status(status.clone()));
    asked(&mut node);
    node.feed(Event::PeerDisconnected(peer()));
    hear_from(&mut node, other, Message::Status(status));
    let to: Vec<PeerId> = asked(&mut node).into_iter().map(|(to, _)| to).collect();
    assert_eq!(to, [other]);
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
