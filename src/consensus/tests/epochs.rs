//! What an epoch's or a height's end forgets, and what it must not.

use super::super::blocks::UNSAID_MAX;
use super::super::events::{Notification, Now, Signing};
use super::super::heartbeats::{HEARTBEAT_GAP_MS, HEARTBEAT_INTERVAL_MS};
use super::super::instances::{Instances, LISTEN_MS};
use super::*;
use crate::protocol::finality::conflict_order;
use crate::types::heartbeat::Heartbeat;
use crate::types::instance::{Acknowledged, InstanceStatement};
use crate::types::message::{HeldBatches, NodeStatus};

/// When the first epoch is due to end.
fn due_ms(chain: &Chain) -> TimeMs {
    chain.state.epoch_start() + chain.state.parameters().epoch_duration_ms
}

/// A chain with one block, and a node at its tip when the epoch is due to end. The others propose what follows.
fn before_the_end(vote_interval_ms: u64) -> (Chain, Node) {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let last = *chain.state.proposer_order().last().unwrap();
    let node = Node::with_interval(operator(last), vote_interval_ms, &blocks, due_ms(&chain), Vec::new());
    (chain, node)
}

/// Has the last two blocks of the epoch decided, which are empty.
fn end_epoch(chain: &mut Chain, node: &mut Node) {
    let due_ms = due_ms(chain);
    node.decide(chain, due_ms, false, &[]);
    node.decide(chain, due_ms + 1, true, &[]);
    assert_eq!(node.consensus.state().next_epoch(), 1);
}

/// What it voted to lock in an epoch.
fn locked_in(node: &Node, epoch: Epoch) -> Vec<TxId> {
    let batches = node.around.said.iter().filter_map(|message| match message {
        Message::VoteBatch(batch) if batch.header.epoch == epoch => Some(batch),
        _ => None,
    });
    batches.flat_map(|batch| batch.votes.iter().map(|vote| vote.txid)).collect()
}

/// INV-PULL-2: numbers of batches begin anew with each epoch.
#[test]
fn what_a_peer_answered_in_an_epoch_says_nothing_of_the_next() {
    let (mut chain, mut node) = before_the_end(0);
    let other = node.others().next().unwrap();
    let validator = chain.state.validators().get(other).unwrap().id;
    let holds = |node: &Node, until: u64| {
        let mut status = node.consensus.status();
        status.batches[other] = HeldBatches { from: 0, until };
        Message::Status(status)
    };
    node.hear(holds(&node, 10));
    node.hear(Message::BatchesEnd { epoch: 0, validator, before_seq: 10 });
    end_epoch(&mut chain, &mut node);
    node.around.sent.clear();
    node.hear(holds(&node, 1));
    let request = Message::GetBatches { epoch: 1, validator, from_seq: 0, count: 1 };
    assert!(node.around.sent.contains(&request));
}

/// INV-PULL-2: it may have lost what it had.
#[test]
fn who_comes_back_is_asked_again_for_what_it_had_not_given() {
    let (chain, mut node) = before_the_end(0);
    let other = node.others().next().unwrap();
    let validator = chain.state.validators().get(other).unwrap().id;
    let mut status = node.consensus.status();
    status.batches[other] = HeldBatches { from: 0, until: 10 };
    let request = Message::GetBatches { epoch: 0, validator, from_seq: 0, count: 10 };
    for comes_back in [false, true] {
        if comes_back {
            node.feed(Event::PeerDisconnected(peer()));
            node.feed(Event::PeerConnected(peer()));
        }
        node.hear(Message::Status(status.clone()));
        assert!(node.around.sent.contains(&request), "comes back: {comes_back}");
        node.hear(Message::BatchesEnd { epoch: 0, validator, before_seq: 10 });
        node.around.sent.clear();
        node.hear(Message::Status(status.clone()));
        assert!(!node.around.sent.contains(&request), "it was asked a moment ago");
    }
}

/// INV-ENGINE-3: the journal forgets the bodies of an epoch together with its votes.
#[test]
fn what_is_voted_on_again_in_the_next_epoch_is_written_again() {
    let (mut chain, mut node) = before_the_end(0);
    let payment = chain.payment(0);
    node.feed(Event::Transaction(payment.clone()));
    end_epoch(&mut chain, &mut node);
    assert_eq!(locked_in(&node, 1), [payment.txid()]);
    let written = &node.around.written;
    let start =
        written.iter().position(|record| *record == JournalRecord::EpochStarted { epoch: 1 }).unwrap();
    let body = JournalRecord::Transaction(Arc::clone(payment.transaction()));
    assert!(written[start..].contains(&body), "what is older goes");
}

#[test]
fn a_batch_that_is_durable_after_its_epoch_holds_up_no_vote_of_the_next() {
    let (mut chain, mut node) = before_the_end(0);
    let outputs = node.order(Event::Transaction(chain.payment(0)));
    let late: Vec<Staged<OwnMessage>> = outputs
        .into_iter()
        .filter_map(|output| match output {
            Output::Persist(staged) => Some(staged),
            _ => None,
        })
        .collect();
    assert!(!late.is_empty());
    end_epoch(&mut chain, &mut node);
    assert!(locked_in(&node, 1).is_empty(), "the journal still writes that batch");
    let durable = node.around.journal.commit(late).unwrap();
    node.feed(Event::Persisted(durable));
    assert_eq!(locked_in(&node, 1), [chain.payment(0).txid()], "what waited for it leaves by itself");
    let payment = chain.payment(1);
    node.feed(Event::Transaction(payment.clone()));
    assert!(locked_in(&node, 1).contains(&payment.txid()));
}

#[test]
fn a_timeout_of_a_height_that_is_over_moves_nothing() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1);
    node.decide(&mut chain, START_MS + 1, false, &[]);
    node.now_ms += chain.state.parameters().block_interval_ms;
    node.feed(Event::TimeoutElapsed(Timer::HeightDue(2)));
    assert_eq!(node.consensus.bft().current_step(), bft::Step::Propose);
    for (height, vote) in [(1, None), (2, Some(None))] {
        let timer = Timer::Bft { height, round: 0, kind: bft::TimeoutKind::Propose };
        node.feed(Event::TimeoutElapsed(timer));
        assert_eq!(node.prevote(), vote, "of height {height}");
    }
}

#[test]
fn a_round_without_a_proposal_has_its_timeout() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let mut node = Node::new(&chain, &blocks, START_MS + 2);
    let parameters = chain.state.parameters();
    node.now_ms += parameters.block_interval_ms;
    let outputs = node.order(Event::TimeoutElapsed(Timer::HeightDue(2)));
    let timer = Timer::Bft { height: 2, round: 0, kind: bft::TimeoutKind::Propose };
    let wait_ms = parameters.timeout_propose.base_ms;
    let is_asked = |output: &Output| matches!(output, Output::Schedule(of, after_ms) if (*of, *after_ms) == (timer, wait_ms));
    assert!(outputs.iter().any(is_asked), "its proposer may be gone");
}

/// INV-COMMIT-1: who signs late is paid all the same, by the set of the epoch that it voted in.
#[test]
fn a_precommit_that_comes_late_is_in_the_next_blocks_commit() {
    for ends_epoch in [false, true] {
        let mut chain = Chain::new();
        let mut blocks = vec![chain.grow(START_MS + 1)];
        let mut time = START_MS + 2;
        if ends_epoch {
            time = due_ms(&chain);
            blocks.push(chain.grow_by(time, false));
        }
        let (block, outcome) = chain.block(time + 1, ends_epoch, &[]);
        let next = outcome.state.proposer_order()[0];
        let mut node = Node::of_operator(operator(next), &blocks, time + 1, Vec::new());
        let hash = block.header.hash();
        node.hear(chain.proposal(&block));
        node.hear_block_votes(VoteStep::Prevote, hash);
        let others: Vec<usize> = node.others().collect();
        let precommits = [0, 1, 2].map(|nth| node.block_vote(others[nth], VoteStep::Precommit, Some(hash)));
        for precommit in precommits {
            node.hear(precommit);
        }
        assert_eq!(node.consensus.state().tip_hash(), hash, "three of four decided it");
        let height = node.consensus.chain.next_height();
        node.now_ms += chain.state.parameters().block_interval_ms;
        node.feed(Event::TimeoutElapsed(Timer::HeightDue(height)));
        let signatures = node.around.said.iter().find_map(|message| match message {
            Message::Proposal(proposal) => Some(proposal.block.last_commit.signatures.len()),
            _ => None,
        });
        assert_eq!(signatures, Some(4), "ends the epoch: {ends_epoch}");
    }
}

/// A clock that was set back must not make peers take the next ones for old ones.
#[test]
fn the_times_of_heartbeats_ascend_though_the_clock_was_set_back() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let last = |node: &Node| {
        let mut times = node.around.said.iter().rev().filter_map(|message| match message {
            Message::Heartbeat(heartbeat) => Some(heartbeat.time_ms),
            _ => None,
        });
        times.next().unwrap()
    };
    let first = last(&node);
    let now = Now { monotonic_ms: START_MS + HEARTBEAT_INTERVAL_MS, wall_ms: START_MS - 3_600_000 };
    let outputs = node.consensus.handle(Event::Tick, now);
    let second = outputs.into_iter().find_map(|output| match output {
        Output::Persist(Staged { release, .. }) => release.into_iter().find_map(|message| match message {
            OwnMessage::Heartbeat(heartbeat) => Some(heartbeat.time_ms),
            _ => None,
        }),
        _ => None,
    });
    assert!(second > Some(first), "{second:?} after {first}");
}

// -- while the node asks whether it may go on signing -------------------------------------------------------------

impl Node {
    /// It stands still for so long that it has to ask the others before it signs again.
    fn stand_still(&mut self) {
        self.consensus.instances = Instances::new([7; 16], LISTEN_MS, self.now_ms);
        self.now_ms += LISTEN_MS;
        self.feed(Event::Tick);
        assert!(matches!(self.consensus.signing(), Signing::Listening { .. }));
    }

    /// A member acknowledges it, in the epoch that goes on.
    fn hear_acknowledgement(&mut self, other: usize) {
        let (state, own) = (self.consensus.state(), self.consensus.own_seat().unwrap());
        let mut mine = self.consensus.instances.mine();
        mine.start = [7; 16];
        let statement = InstanceStatement {
            validator: state.validators().get(other).unwrap().id,
            epoch: state.next_epoch(),
            instance: crate::types::instance::InstanceId { start: [other as u8; 16], attempt: 0 },
            seq: state.next_epoch(),
            asks: false,
            rivals: Vec::new(),
            acknowledged: vec![Acknowledged { validator: own, instance: mine }],
            signature: Signature::EMPTY,
        };
        let statement = statement.signed(state.chain_id(), &operator(other));
        self.now_ms += 100;
        self.hear(Message::Instance(Arc::new(statement)));
    }
}

/// INV-FIN-1, INV-FIN-2: what was cast and not signed before the epoch closed is not said any more.
#[test]
fn what_was_not_signed_in_its_epoch_is_not_signed_in_the_next() {
    let (mut chain, mut node) = before_the_end(2);
    let lock = Lock::KeyHash(user().public().key_hash());
    let coin = chain.payment(1).inputs()[0];
    let pay = |memo: u8| {
        let output = TxOut { value: Amount(1_000), lock };
        let transaction = Transaction::transfer(vec![coin], vec![output], vec![memo]);
        let transaction = Arc::new(transaction.signed(chain.state.chain_id(), &[&user()]));
        let (chain_id, parameters) = (chain.state.chain_id(), chain.state.parameters());
        CheckedTransaction::check(transaction, chain_id, parameters, &SequentialVerifier).unwrap()
    };
    let first = pay(0);
    let comes_first =
        |rival: &CheckedTransaction| conflict_order(1, &rival.txid()) < conflict_order(1, &first.txid());
    let rival = (1..).map(pay).find(comes_first).unwrap();
    // It leaves at once, and the next vote waits for others.
    node.feed(Event::Transaction(chain.payment(0)));
    node.feed(Event::Transaction(first.clone()));
    node.feed(Event::Transaction(rival.clone()));
    assert_eq!(locked_in(&node, 0), [chain.payment(0).txid()]);
    node.stand_still();
    end_epoch(&mut chain, &mut node);
    for other in node.others().collect::<Vec<_>>() {
        node.hear_acknowledgement(other);
    }
    assert_eq!(node.consensus.signing(), Signing::Allowed);
    let votes = locked_in(&node, 1);
    assert!(votes.contains(&rival.txid()), "the one that it has locked in this epoch");
    assert!(!votes.contains(&first.txid()));
}

/// INV-INSTANCE-2.
#[test]
fn acknowledgements_of_an_epoch_that_is_over_count_no_more() {
    let (mut chain, mut node) = before_the_end(0);
    node.stand_still();
    let others: Vec<usize> = node.others().collect();
    node.hear_acknowledgement(others[0]);
    node.hear_acknowledgement(others[1]);
    end_epoch(&mut chain, &mut node);
    node.hear_acknowledgement(others[2]);
    assert!(matches!(node.consensus.signing(), Signing::Listening { .. }), "one of four");
    node.hear_acknowledgement(others[0]);
    node.hear_acknowledgement(others[1]);
    assert_eq!(node.consensus.signing(), Signing::Allowed);
}

/// INV-INSTANCE-2: others may have taken it for dead meanwhile, and acknowledged another one.
#[test]
fn who_stands_still_while_it_asks_begins_anew() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    node.stand_still();
    let others: Vec<usize> = node.others().collect();
    node.hear_acknowledgement(others[0]);
    node.hear_acknowledgement(others[1]);
    let attempt = node.consensus.instances.mine().attempt;
    node.now_ms += LISTEN_MS;
    node.feed(Event::Tick);
    assert_eq!(node.consensus.instances.mine().attempt, attempt + 1);
    node.hear_acknowledgement(others[2]);
    assert!(matches!(node.consensus.signing(), Signing::Listening { .. }), "one of four");
}

#[test]
fn what_was_voted_in_the_machine_while_the_node_asked_is_said_then() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1);
    node.stand_still();
    let (block, _) = chain.block(START_MS + 1, false, &[]);
    node.hear(chain.proposal(&block));
    assert_eq!(node.prevote(), None);
    for other in node.others().collect::<Vec<_>>() {
        node.hear_acknowledgement(other);
    }
    assert_eq!(node.prevote(), Some(Some(block.header.hash())), "its round may wait for that vote");
}

/// Else one whose peers come after its question would ask nobody until it asks again.
#[test]
fn a_new_peer_hears_the_question_at_once() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    node.stand_still();
    node.around.sent.clear();
    node.feed(Event::PeerConnected(operator(99).public()));
    let asks = |message: &Message| matches!(message, Message::Instance(statement) if statement.asks);
    assert!(node.around.sent.iter().any(asks));
}

/// The other one has seen this start, so both run.
#[test]
fn who_is_named_under_its_own_key_signs_nothing_any_more() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let own = node.consensus.own_seat().unwrap();
    let secret = node.consensus.signer.secret().unwrap().clone();
    node.stand_still();
    let statement = InstanceStatement {
        validator: own,
        epoch: 0,
        instance: crate::types::instance::InstanceId { start: [9; 16], attempt: 0 },
        seq: 0,
        asks: false,
        rivals: vec![node.consensus.instances.mine()],
        acknowledged: Vec::new(),
        signature: Signature::EMPTY,
    };
    let statement = statement.signed(node.consensus.state().chain_id(), &secret);
    node.hear(Message::Instance(Arc::new(statement)));
    assert_eq!(node.consensus.signing(), Signing::KeyCopied);
}

#[test]
fn a_payment_that_comes_while_the_node_asks_has_its_vote_then() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1);
    node.stand_still();
    let payment = chain.payment(0);
    node.feed(Event::Transaction(payment.clone()));
    assert!(locked_in(&node, 0).is_empty());
    for other in node.others().collect::<Vec<_>>() {
        node.hear_acknowledgement(other);
    }
    assert_eq!(locked_in(&node, 0), [payment.txid()]);
}

/// INV-DISPATCH-2: a node that lost its chain and gets it back hears what it said in the epochs that the journal has.
#[test]
fn own_words_of_an_epoch_that_the_chain_lost_are_known_when_it_comes_back() {
    let (mut chain, node) = before_the_end(0);
    let own = chain.state.validators().index_of(&node.consensus.own_seat().unwrap()).unwrap();
    let vote = BlockVote {
        step: VoteStep::Prevote,
        epoch: 1,
        height: 4,
        round: 0,
        value: None,
        validator: chain.state.validators().get(own).unwrap().id,
        signature: Signature::EMPTY,
    };
    let vote = Arc::new(vote.signed(chain.state.chain_id(), &operator(own)));
    let records = vec![JournalRecord::EpochStarted { epoch: 1 }, JournalRecord::BlockVote(Arc::clone(&vote))];
    let blocks = [Chain::new().grow(START_MS + 1)];
    let mut node = Node::with_records(&chain, &blocks, due_ms(&chain), records);
    end_epoch(&mut chain, &mut node);
    assert_eq!(node.consensus.chain.next_height(), 4);
    node.hear(Message::BlockVote(Released::heard(BlockVote::clone(&vote))));
    assert_eq!(node.consensus.signing(), Signing::Allowed, "it said so itself");
}

/// The machine forgets blocks of rounds long past, and with them what it was told.
#[test]
fn a_block_that_comes_back_in_a_late_round_is_judged_again() {
    let chain = Chain::new();
    let payment = chain.payment(0);
    let (block, _) = chain.block(START_MS + 1, false, std::slice::from_ref(&payment));
    let hash = block.header.hash();
    let mut node = Node::new(&chain, &[], START_MS + 1);
    node.feed(Event::Transaction(payment));
    node.hear(chain.proposal(&block));
    assert_eq!(node.prevote(), None, "what is in it is not certified");

    let me = node.consensus.own_seat().unwrap();
    let mut rounds = bft::ROUNDS_BEHIND_MAX + 1..;
    let round = rounds.find(|round| node.consensus.bft().proposer(*round).unwrap().id != me).unwrap();
    for place in node.others().collect::<Vec<_>>() {
        let Message::BlockVote(vote) = node.block_vote(place, VoteStep::Prevote, None) else {
            panic!("a vote")
        };
        let vote = BlockVote { round, ..BlockVote::clone(&vote) };
        let vote = vote.signed(chain.state.chain_id(), &operator(place));
        node.hear(Message::BlockVote(Released::heard(vote)));
    }
    assert_eq!(node.consensus.bft().round(), round);
    assert!(!node.consensus.bft().has_block(&hash));

    node.hear_block_votes(VoteStep::Prevote, hash);
    let validator = node.consensus.bft().proposer(round).unwrap().id;
    let place = chain.state.validators().index_of(&validator).unwrap();
    let (pol_round, signature) = (Some(0), Signature::EMPTY);
    let again = Proposal { round, pol_round, validator, block: block.blueprint(), signature };
    node.hear(Message::Proposal(Released::heard(again.signed(&operator(place)))));
    assert_eq!(node.prevote(), Some(Some(hash)), "a proof of lock stands for certificates");
    // Who lacks that proposal can't prevote it without the proof.
    node.around.sent.clear();
    let lacking = NodeStatus { has_proposal: false, ..node.consensus.status() };
    node.hear(Message::Status(lacking));
    let is_proof = |message: &&Message| matches!(message, Message::BlockVote(vote) if vote.round == 0 && vote.value == Some(hash));
    assert_eq!(node.around.sent.iter().filter(is_proof).count(), 3);
}

// -- what comes before its epoch, and too often -------------------------------------------------------------------

/// A batch of the epoch after the one that goes on.
fn next_batch(node: &Node, place: usize) -> Message {
    let state = node.consensus.state();
    let (id, epoch) = (state.validators().get(place).unwrap().id, state.next_epoch() + 1);
    let votes = vec![FinalityVote { kind: VoteKind::Lock, txid: TxId([7; 32]) }];
    Message::VoteBatch(Released::heard(VoteBatch::signed(
        state.chain_id(),
        epoch,
        id,
        0,
        votes,
        &operator(place),
    )))
}

#[test]
fn votes_of_the_next_epoch_count_when_it_begins() {
    let (mut chain, mut node) = before_the_end(0);
    let due_ms = due_ms(&chain);
    node.decide(&mut chain, due_ms, false, &[]);
    let (last, _) = chain.block(due_ms + 1, true, &[]);
    node.hear(chain.proposal(&last));
    let other = node.others().next().unwrap();
    // Who votes then is known: the block is valid.
    node.hear(next_batch(&node, other));
    for step in [VoteStep::Prevote, VoteStep::Precommit] {
        node.hear_block_votes(step, last.header.hash());
    }
    assert_eq!(node.consensus.state().next_epoch(), 1);
    assert!(node.consensus.finality.batches().has(other, 0));
}

#[test]
fn who_said_more_of_the_next_epoch_than_could_be_checked_is_asked_for_it() {
    let (mut chain, mut node) = before_the_end(0);
    let other = node.others().next().unwrap();
    let due_ms = due_ms(&chain);
    node.decide(&mut chain, due_ms, false, &[]);
    // Nobody knows yet who votes then.
    node.hear(next_batch(&node, other));
    node.decide(&mut chain, due_ms + 1, true, &[]);
    let asks = |message: &&Message| matches!(message, Message::GetBatches { epoch: 1, from_seq: 0, .. });
    assert_eq!(node.around.sent.iter().filter(asks).count(), usize::from(MEMBERS), "for each member's");
}

#[test]
fn heartbeats_of_one_member_are_passed_on_once_in_a_while() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let place = node.others().next().unwrap();
    let mut is_passed_on = |wait_ms: u64| {
        node.now_ms += wait_ms;
        let state = node.consensus.state();
        let heartbeat = Heartbeat {
            validator: state.validators().get(place).unwrap().id,
            instance: node.consensus.instances.mine(),
            epoch: 0,
            height: 0,
            next_seq: 0,
            time_ms: node.now_ms,
            heard: SignerBitmap::empty(MEMBERS.into()),
            signature: Signature::EMPTY,
        };
        let message =
            Message::Heartbeat(Released::heard(heartbeat.signed(state.chain_id(), &operator(place))));
        let outputs = node.order(Event::Message { from: peer(), message, verified: false });
        outputs.iter().any(|output| matches!(output, Output::Relay(Message::Heartbeat(_), Some(_))))
    };
    assert!(is_passed_on(1));
    assert!(!is_passed_on(HEARTBEAT_GAP_MS - 1));
    assert!(is_passed_on(1));
}

/// Else a peer could send it round for ever.
#[test]
fn a_heartbeat_that_comes_again_is_not_passed_on_again() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let place = node.others().next().unwrap();
    let state = node.consensus.state();
    let heartbeat = Heartbeat {
        validator: state.validators().get(place).unwrap().id,
        instance: node.consensus.instances.mine(),
        epoch: 0,
        height: 0,
        next_seq: 0,
        time_ms: START_MS,
        heard: SignerBitmap::empty(MEMBERS.into()),
        signature: Signature::EMPTY,
    };
    let heartbeat = heartbeat.signed(state.chain_id(), &operator(place));
    for is_new in [true, false] {
        let message = Message::Heartbeat(Released::heard(heartbeat.clone()));
        let outputs = node.order(Event::Message { from: peer(), message, verified: false });
        let passes_on = |output: &Output| matches!(output, Output::Relay(Message::Heartbeat(_), Some(_)));
        assert_eq!(outputs.iter().any(passes_on), is_new);
        node.now_ms += 2 * HEARTBEAT_GAP_MS;
    }
}

/// Heartbeats of an epoch that is over can't come back, so no clock has to go forward over its end.
#[test]
fn a_member_whose_clock_was_set_back_is_heard_again_from_the_next_epoch_on() {
    let (mut chain, mut node) = before_the_end(0);
    let place = node.others().next().unwrap();
    let is_taken = |node: &mut Node, epoch: Epoch, time_ms: TimeMs| {
        node.now_ms += HEARTBEAT_GAP_MS;
        let state = node.consensus.state();
        let heartbeat = Heartbeat {
            validator: state.validators().get(place).unwrap().id,
            instance: node.consensus.instances.mine(),
            epoch,
            height: 0,
            next_seq: 0,
            time_ms,
            heard: SignerBitmap::empty(MEMBERS.into()),
            signature: Signature::EMPTY,
        };
        let heartbeat = heartbeat.signed(state.chain_id(), &operator(place));
        let message = Message::Heartbeat(Released::heard(heartbeat));
        let outputs = node.order(Event::Message { from: peer(), message, verified: false });
        outputs.iter().any(|output| matches!(output, Output::Relay(Message::Heartbeat(_), Some(_))))
    };
    assert!(is_taken(&mut node, 0, START_MS));
    assert!(!is_taken(&mut node, 0, START_MS - 1));
    end_epoch(&mut chain, &mut node);
    assert!(is_taken(&mut node, 1, START_MS - 1));
}

#[test]
fn readers_see_the_nodes_own_heartbeat_among_the_others() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let me = node.consensus.own_seat().unwrap();
    node.now_ms += HEARTBEAT_INTERVAL_MS;
    let shown = node.order(Event::Tick).into_iter().find_map(|output| match output {
        Output::Notify(Notification::Heartbeats(shown)) => Some(shown),
        _ => None,
    });
    assert!(shown.unwrap().contains_key(&me));
}

/// A height may have any number of rounds while the node asks.
#[test]
fn of_votes_that_were_not_said_the_last_ones_are_kept_up_to_a_number() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1);
    node.stand_still();
    node.feed(Event::TimeoutElapsed(Timer::HeightDue(1)));
    node.now_ms += chain.state.parameters().block_interval_ms;
    node.feed(Event::TimeoutElapsed(Timer::HeightDue(1)));
    let rounds = u32::try_from(UNSAID_MAX).unwrap() / 2 + 1;
    for round in 0..rounds {
        assert_eq!(node.consensus.bft().round(), round);
        let timer = |kind| Event::TimeoutElapsed(Timer::Bft { height: 1, round, kind });
        node.feed(timer(bft::TimeoutKind::Propose));
        for step in [VoteStep::Prevote, VoteStep::Precommit] {
            for place in node.others().collect::<Vec<_>>() {
                let Message::BlockVote(vote) = node.block_vote(place, step, None) else { panic!("a vote") };
                let vote = BlockVote { round, ..BlockVote::clone(&vote) };
                let vote = vote.signed(chain.state.chain_id(), &operator(place));
                node.hear(Message::BlockVote(Released::heard(vote)));
            }
        }
        node.feed(timer(bft::TimeoutKind::Precommit));
    }
    assert_eq!(node.prevote(), None);
    for other in node.others().collect::<Vec<_>>() {
        node.hear_acknowledgement(other);
    }
    let said = node.around.said.iter().filter_map(|message| match message {
        Message::BlockVote(vote) => Some((vote.round, vote.step)),
        _ => None,
    });
    let steps = |round| [(round, VoteStep::Prevote), (round, VoteStep::Precommit)];
    let expected: Vec<_> = (1..rounds).flat_map(steps).collect();
    assert_eq!(said.collect::<Vec<_>>(), expected, "but for those of round 0");
}
