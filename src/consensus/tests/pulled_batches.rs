//! Whom a node asks for batches of votes that it lacks, when, and when again.

use std::ops::Range;

use super::super::blocks::PeersVotes;
use super::super::dispatch::moment;
use super::super::events::Answer;
use super::super::moment::Moment;
use super::super::peers::REQUEST_TIMEOUT_MS;
use super::super::peers::batch_requests::HAND_ON_MS;
use super::pulled::{asked, hear_from, stranger};
use super::*;
use crate::network::PeerId;
use crate::types::MasternodeId;
use crate::types::message::HeldBatches;

/// A node, and a member of the set whose batches it lacks.
struct Lacking {
    chain: Chain,
    node: Node,
    member: usize,
    validator: MasternodeId,
}

impl Lacking {
    fn new() -> Self {
        let chain = Chain::new();
        let mut node = Node::new(&chain, &[], START_MS);
        let member = node.others().next().unwrap();
        let validator = chain.state.validators().get(member).unwrap().id;
        asked(&mut node);
        Self { chain, node, member, validator }
    }

    fn connect(&mut self, peer: PeerId) -> PeerId {
        self.node.feed(Event::PeerConnected(peer));
        asked(&mut self.node);
        peer
    }

    /// A peer says that it holds these batches of the member.
    fn says(&mut self, from: PeerId, held: Range<u64>) {
        let mut status = self.node.consensus.status();
        status.batches[self.member] = HeldBatches { from: held.start, until: held.end };
        hear_from(&mut self.node, from, Message::Status(status));
    }

    /// A peer's answer gives these batches.
    fn gives(&mut self, from: PeerId, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            let votes = vec![FinalityVote { kind: VoteKind::Lock, txid: TxId([seq as u8; 32]) }];
            let (chain_id, secret) = (self.chain.state.chain_id(), operator(self.member));
            let batch = VoteBatch::signed(chain_id, 0, self.validator, seq, votes, &secret);
            hear_from(&mut self.node, from, Message::VoteBatch(Released::heard(batch)));
        }
    }

    /// A peer's answer ends.
    fn ends(&mut self, from: PeerId, before_seq: u64) {
        let end = Message::BatchesEnd { epoch: 0, validator: self.validator, before_seq };
        hear_from(&mut self.node, from, end);
    }

    /// What the node asked for of this member since the last look, and whom.
    fn asked(&mut self) -> Vec<(PeerId, Range<u64>)> {
        let of_member = |(to, message)| match message {
            Message::GetBatches { epoch: 0, validator, from_seq, count } if validator == self.validator => {
                Some((to, from_seq..from_seq + count))
            }
            _ => None,
        };
        asked(&mut self.node).into_iter().filter_map(of_member).collect()
    }

    /// Whether all is here that peers say they have.
    fn votes(&self) -> PeersVotes {
        let consensus = &self.node.consensus;
        consensus.peers.votes(&consensus.finality, &moment!(consensus))
    }
}

/// INV-PULL-1, INV-PULL-2.
#[test]
fn batches_are_asked_of_one_peer_at_a_time_and_of_another_when_it_is_silent() {
    let mut lacking = Lacking::new();
    let (first, second) = (peer(), lacking.connect(stranger(1)));
    lacking.says(first, 3..10);
    assert_eq!(lacking.asked(), [(first, 3..10)]);
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
        lacking.node.now_ms += wait_ms;
        lacking.says(from, 3..10);
        let expected = expected.map(|whom| (whom, 3..10));
        assert_eq!(lacking.asked(), Vec::from_iter(expected), "{wait_ms} ms later");
    }
    // An answer without them says that the peer has none: for a while only.
    lacking.ends(first, 10);
    lacking.ends(second, 10);
    for (wait_ms, is_asked) in [(0, false), (1_999, false), (1, true)] {
        lacking.node.now_ms += wait_ms;
        lacking.says(second, 3..10);
        assert_eq!(!lacking.asked().is_empty(), is_asked, "{wait_ms} ms later");
    }
}

/// INV-PULL-1: a long answer is an answer, and one that comes late is none that does not come.
#[test]
fn who_is_slow_is_not_taken_for_silent() {
    let mut lacking = Lacking::new();
    let (first, second) = (peer(), lacking.connect(stranger(1)));
    // While it gives nobody else is asked, up to its time.
    for seq in 0..8 {
        lacking.says(first, 0..9);
        lacking.says(second, 0..9);
        assert_eq!(lacking.asked().len(), usize::from(seq == 0), "{seq}");
        lacking.node.now_ms += 250;
        lacking.gives(first, [seq]);
    }
    lacking.ends(first, 8);
    assert_eq!(lacking.asked(), [(first, 8..9)], "who gives is asked on");
    // A sole holder that takes three seconds for each answer is asked again and again.
    lacking.node.feed(Event::PeerDisconnected(second));
    let mut questions = 0;
    for _ in 0..40 {
        lacking.node.now_ms += 3_000;
        lacking.says(first, 0..9);
        questions += lacking.asked().len();
        lacking.ends(first, 9);
    }
    assert!(questions >= 35, "with each late answer at once: {questions}");
}

/// INV-PULL-1: who gives a batch now and then keeps nobody else from being asked for longer than a turn.
#[test]
fn who_gives_little_by_little_has_its_turn_and_no_more() {
    let mut lacking = Lacking::new();
    let (dripping, other) = (peer(), lacking.connect(stranger(1)));
    let mut seqs = 0..;
    for waited_ms in (0..).step_by(200) {
        lacking.says(dripping, 0..1_000);
        lacking.says(other, 0..1_000);
        if lacking.asked().iter().any(|(whom, _)| *whom == other) {
            assert!((2_000..=5_000).contains(&waited_ms), "{waited_ms} ms");
            return;
        }
        assert!(waited_ms < 10_000, "the other one is never asked");
        lacking.node.now_ms += 200;
        lacking.gives(dripping, seqs.next());
    }
}

/// INV-PULL-1: words cost nothing, so whoever says most is not asked oftenest.
#[test]
fn peers_that_claim_batches_without_end_keep_no_other_one_from_being_asked() {
    for answers in [false, true] {
        let mut lacking = Lacking::new();
        let (honest, mut liar) = (peer(), lacking.connect(stranger(0)));
        let (mut asked_honest, mut liars) = (0, 1..);
        for step in 0..100 {
            lacking.node.now_ms += 20;
            // Who keeps silent comes back as somebody else.
            if step % 10 == 9 {
                lacking.node.feed(Event::PeerDisconnected(liar));
                liar = lacking.connect(stranger(liars.next().unwrap()));
            }
            lacking.says(liar, 0..u64::MAX);
            if answers {
                lacking.ends(liar, u64::MAX);
            }
            if step % 12 == 11 {
                lacking.says(honest, 0..10);
            }
            asked_honest += lacking.asked().iter().filter(|(to, _)| *to == honest).count();
        }
        assert!(asked_honest > 0, "liars answer: {answers}");
    }
}

/// INV-PULL-1: who is asked about others all the time is no later asked about this one, and whose answers have nothing is not
/// asked on.
#[test]
fn peers_that_claim_one_members_batches_alone_keep_nobody_from_being_asked_for_them() {
    let mut lacking = Lacking::new();
    let others: Vec<usize> = lacking.node.others().collect();
    let (honest, liars) = (peer(), [1, 2].map(|number| lacking.connect(stranger(number))));
    let mut asked_honest = 0;
    for step in 1..=30 {
        lacking.node.now_ms += 390;
        for liar in liars {
            lacking.says(liar, 0..u64::MAX);
            lacking.ends(liar, 0);
        }
        let mut truth = lacking.node.consensus.status();
        others.iter().for_each(|member| truth.batches[*member] = HeldBatches { from: 0, until: step });
        hear_from(&mut lacking.node, honest, Message::Status(truth));
        for (to, question) in asked(&mut lacking.node) {
            let Message::GetBatches { validator, .. } = question else { continue };
            if to == honest {
                asked_honest += usize::from(validator == lacking.validator);
                let end = Message::BatchesEnd { epoch: 0, validator, before_seq: step };
                hear_from(&mut lacking.node, honest, end);
            }
        }
    }
    assert!(asked_honest >= 8, "{asked_honest}");
}

/// A closing block's proposer would wait for what does not exist.
#[test]
fn a_word_that_was_found_empty_is_not_waited_for() {
    let mut lacking = Lacking::new();
    lacking.says(peer(), 0..u64::MAX);
    assert_eq!(lacking.votes(), PeersVotes::Lacking, "who knows");
    let [(_, first)] = &lacking.asked()[..] else { panic!("one question") };
    lacking.ends(peer(), first.end);
    assert_eq!(lacking.votes(), PeersVotes::Here, "it gave nothing");
    lacking.node.now_ms += 2_000;
    lacking.says(peer(), 0..u64::MAX);
    assert_eq!(lacking.votes(), PeersVotes::Lacking, "it may have come by some since");
    // Who does not answer again and again is not waited for, either.
    for _ in 0..2 {
        lacking.node.now_ms += 4 * REQUEST_TIMEOUT_MS;
        lacking.says(peer(), 0..u64::MAX);
    }
    lacking.node.now_ms += REQUEST_TIMEOUT_MS;
    lacking.says(peer(), 0..u64::MAX);
    assert_eq!(lacking.votes(), PeersVotes::Here);
}

/// What is settled is held by nobody: a peer says where its next batch is, and is asked on from there.
#[test]
fn a_hole_in_what_a_peer_holds_is_passed_with_one_answer() {
    let mut lacking = Lacking::new();
    lacking.says(peer(), 10..5_000);
    lacking.gives(peer(), [10]);
    lacking.asked();
    lacking.ends(peer(), 4_900);
    assert_eq!(lacking.asked(), [(peer(), 4_900..5_000)]);
}

/// The same from the side of who answers.
#[test]
fn the_end_of_an_answer_says_where_the_next_batch_is() {
    let mut lacking = Lacking::new();
    lacking.gives(peer(), [3, 900]);
    for (from_seq, expected) in [(0, 900), (256, 900), (900, 1_156)] {
        let message = Message::GetBatches { epoch: 0, validator: lacking.validator, from_seq, count: 256 };
        let outputs = lacking.node.order(Event::Message { from: peer(), message, verified: false });
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

/// The end of an answer that was cut says where to go on.
#[test]
fn what_follows_an_answer_is_asked_for_at_once() {
    let mut lacking = Lacking::new();
    lacking.says(peer(), 0..10);
    lacking.asked();
    lacking.ends(stranger(2), 4);
    assert_eq!(lacking.asked(), [], "nobody asked that one");
    let validator = lacking.validator;
    lacking.node.hear(Message::BatchesEnd { epoch: 1, validator, before_seq: 4 });
    assert_eq!(lacking.asked(), [], "of another epoch");
    lacking.ends(peer(), 4);
    assert_eq!(lacking.asked(), [(peer(), 4..10)]);
}

/// INV-PULL-2: an answer says nothing of numbers that its sender did not say it holds.
#[test]
fn what_was_not_offered_is_not_taken_for_answered() {
    let mut lacking = Lacking::new();
    lacking.says(peer(), 0..5);
    lacking.ends(peer(), 1_000);
    lacking.asked();
    lacking.says(peer(), 0..9);
    assert_eq!(lacking.asked(), [(peer(), 5..9)]);
}

/// Of who is gone nothing is waited for.
#[test]
fn when_the_one_who_was_asked_leaves_another_is_asked_at_once() {
    let mut lacking = Lacking::new();
    let other = lacking.connect(stranger(1));
    lacking.says(peer(), 0..1);
    lacking.asked();
    lacking.node.feed(Event::PeerDisconnected(peer()));
    lacking.says(other, 0..1);
    assert_eq!(lacking.asked(), [(other, 0..1)]);
}
