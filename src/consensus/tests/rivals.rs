//! Who else says something under this node's key, and what becomes of forks and old words at the ends of epochs.

use super::super::events::{Notification, Signing};
use super::super::heartbeats::HEARTBEAT_INTERVAL_MS;
use super::super::instances::{Instances, LISTEN_MS};
use super::*;
use crate::types::Certificate;
use crate::types::instance::{Acknowledged, InstanceId, InstanceStatement};
use crate::types::message::NodeStatus;

fn due_ms(chain: &Chain) -> TimeMs {
    chain.state.epoch_start() + chain.state.parameters().epoch_duration_ms
}

fn place_of(node: &Node) -> usize {
    let me = node.consensus.own_seat().unwrap();
    node.consensus.state().validators().index_of(&me).unwrap()
}

/// A batch under a member's key, or with a signature that is none of it.
fn batch_of(node: &Node, place: usize, (epoch, seq): (Epoch, u64), secret: &SecretKey) -> Message {
    let state = node.consensus.state();
    let votes = vec![FinalityVote { kind: VoteKind::Lock, txid: TxId([seq as u8 + 1; 32]) }];
    let id = state.validators().get(place).unwrap().id;
    Message::VoteBatch(Released::heard(VoteBatch::signed(state.chain_id(), epoch, id, seq, votes, secret)))
}

fn blames(node: &mut Node, message: Message) -> bool {
    let outputs = node.order(Event::Message { from: peer(), message, verified: false });
    outputs.iter().any(|output| matches!(output, Output::Misbehaved(..)))
}

/// Two nodes with one key would contradict each other.
#[test]
fn who_hears_votes_under_its_own_key_that_it_did_not_cast_signs_nothing_any_more() {
    let chain = Chain::new();
    for (seq, is_forged) in [(0, false), (1, false), (0, true), (1, true)] {
        let mut node = Node::new(&chain, &[], START_MS);
        node.feed(Event::Transaction(chain.payment(0)));
        let me = place_of(&node);
        let secret = if is_forged { user() } else { operator(me) };
        let message = batch_of(&node, me, (0, seq), &secret);
        // The number of the first one is taken by what it said itself.
        assert_eq!(blames(&mut node, message), is_forged);
        let expected = if is_forged { Signing::Allowed } else { Signing::KeyCopied };
        assert_eq!(node.consensus.signing(), expected, "number {seq}, forged: {is_forged}");
    }
}

/// The same where it has said something itself.
#[test]
fn who_hears_another_vote_or_proposal_than_its_own_signs_nothing_any_more() {
    let chain = Chain::new();
    let me = chain.state.proposer_order()[0];
    let proposer = || {
        let mut node = Node::of_operator(operator(me), &[], START_MS + 1, Vec::new());
        node.now_ms += chain.state.parameters().block_interval_ms;
        node.feed(Event::TimeoutElapsed(Timer::HeightDue(1)));
        assert!(matches!(node.prevote(), Some(Some(_))), "it proposed a block, and voted for it");
        node
    };
    let (other, _) = chain.block(START_MS + 1, false, &[]);
    let nil = proposer().block_vote(me, VoteStep::Prevote, None);
    for message in [nil, chain.proposal(&other)] {
        let mut node = proposer();
        node.hear(message);
        assert_eq!(node.consensus.signing(), Signing::KeyCopied);
    }
}

/// A copy that lags behind votes at heights that are over here.
#[test]
fn who_hears_its_own_key_at_a_height_that_is_over_signs_nothing_any_more() {
    for is_own in [true, false] {
        let mut chain = Chain::new();
        let mut node = Node::new(&chain, &[], START_MS + 1);
        let me = place_of(&node);
        let hash = chain.block(START_MS + 1, false, &[]).0.header.hash();
        let value = is_own.then_some(hash);
        let vote = node.block_vote(me, VoteStep::Prevote, value);
        node.decide(&mut chain, START_MS + 1, false, &[]);
        assert_eq!(node.prevote(), None);
        node.hear(vote);
        let expected = if is_own { Signing::Allowed } else { Signing::KeyCopied };
        assert_eq!(node.consensus.signing(), expected);
    }
}

/// A start reads nothing of heights that are over, so what comes back of them may be its own.
#[test]
fn own_words_of_heights_before_a_start_are_not_taken_for_anothers() {
    let mut chain = Chain::new();
    let first = Node::new(&chain, &[], START_MS + 1);
    let me = place_of(&first);
    let vote = first.block_vote(me, VoteStep::Prevote, None);
    let blocks = [chain.grow(START_MS + 1)];
    let secret = operator(me);
    let mut node = Node::of_operator(secret, &blocks, START_MS + 2, Vec::new());
    node.hear(vote);
    assert_eq!(node.consensus.signing(), Signing::Allowed);
}

/// Peers are ahead or behind; what they say of another epoch is nobody's fault, and counts nothing here.
#[test]
fn certificates_of_another_epoch_and_of_what_is_proved_are_not_looked_at() {
    let chain = Chain::new();
    let payment = chain.payment(0);
    let vote = FinalityVote { kind: VoteKind::Lock, txid: payment.txid() };
    let mut node = Node::new(&chain, &[], START_MS);
    node.feed(Event::Transaction(payment.clone()));
    let others: Vec<usize> = node.others().collect();
    let certificate = |epoch: Epoch, secret: fn(usize) -> SecretKey| {
        let prove = |member: &usize| {
            let id = chain.state.validators().get(*member).unwrap().id;
            let batch = VoteBatch::signed(chain.state.chain_id(), epoch, id, 0, vec![vote], &secret(*member));
            batch.prove(0).unwrap()
        };
        let votes = others.iter().map(prove).collect();
        Message::Certificates(vec![Released::heard(Certificate { vote, epoch, votes })])
    };
    let is_certified = |node: &Node| node.consensus.finality().is_certified(&vote.txid);
    // Its epoch is another one, so its keys may be too.
    assert!(!blames(&mut node, certificate(1, |_| user())) && !is_certified(&node));
    assert!(!blames(&mut node, certificate(1, operator)) && !is_certified(&node));
    assert!(blames(&mut node, certificate(0, |_| user())) && !is_certified(&node));
    node.hear(certificate(0, operator));
    assert!(is_certified(&node));
    assert!(!blames(&mut node, certificate(0, |_| user())), "it would prove nothing new");
    // Nor does it for what is in the chain.
    let (block, _) = chain.block(START_MS + 1, false, &[payment]);
    node.now_ms += 1;
    node.hear(chain.proposal(&block));
    node.hear_block_votes(VoteStep::Prevote, block.header.hash());
    node.hear_block_votes(VoteStep::Precommit, block.header.hash());
    assert_eq!(node.consensus.state().height(), 1);
    assert!(!blames(&mut node, certificate(0, |_| user())));
}

/// Locks prove that it may be voted final, not that it was.
#[test]
fn a_certificate_of_final_votes_is_looked_at_until_its_transaction_is_final() {
    let chain = Chain::new();
    let payment = chain.payment(0);
    let vote = FinalityVote { kind: VoteKind::Final, txid: payment.txid() };
    let mut node = Node::new(&chain, &[], START_MS);
    node.feed(Event::Transaction(payment));
    node.hear_locks(vote.txid);
    let is_final = |node: &Node| node.consensus.finality().is_final(&vote.txid);
    assert!(node.consensus.finality().is_certified(&vote.txid) && !is_final(&node));
    let others: Vec<usize> = node.others().collect();
    let certificate = |secret: fn(usize) -> SecretKey| {
        let prove = |member: &usize| {
            let id = chain.state.validators().get(*member).unwrap().id;
            let batch = VoteBatch::signed(chain.state.chain_id(), 0, id, 1, vec![vote], &secret(*member));
            batch.prove(0).unwrap()
        };
        let votes = others.iter().map(prove).collect();
        Message::Certificates(vec![Released::heard(Certificate { vote, epoch: 0, votes })])
    };
    assert!(blames(&mut node, certificate(|_| user())) && !is_final(&node));
    assert!(!blames(&mut node, certificate(operator)) && is_final(&node));
    assert!(!blames(&mut node, certificate(|_| user())), "it would prove nothing new");
}

/// INV-BATCH-3: a vote is a vote wherever it stands, and only so a contradiction can be proved.
#[test]
fn a_second_batch_under_a_number_counts_and_is_passed_on_once() {
    let chain = Chain::new();
    let payment = chain.payment(0);
    let mut node = Node::new(&chain, &[], START_MS);
    node.feed(Event::Transaction(payment.clone()));
    let others: Vec<usize> = node.others().collect();
    for place in &others {
        node.hear(batch_of(&node, *place, (0, 0), &operator(*place)));
    }
    assert!(!node.consensus.finality().is_certified(&payment.txid()));
    for (count, place) in others[..2].iter().enumerate() {
        let id = chain.state.validators().get(*place).unwrap().id;
        let votes = vec![FinalityVote { kind: VoteKind::Lock, txid: payment.txid() }];
        let second = VoteBatch::signed(chain.state.chain_id(), 0, id, 0, votes, &operator(*place));
        let message = Message::VoteBatch(Released::heard(second));
        for is_new in [true, false] {
            let event = Event::Message { from: peer(), message: message.clone(), verified: false };
            let passes_on = |output: &Output| matches!(output, Output::Relay(of, Some(_)) if *of == message);
            assert_eq!(node.order(event).iter().any(passes_on), is_new);
        }
        // With its own there are three of four.
        assert_eq!(node.consensus.finality().is_certified(&payment.txid()), count == 1);
    }
}

/// A block is judged when the last of its bodies comes, whatever else is there.
#[test]
fn a_block_whose_last_body_comes_is_voted_for_at_once() {
    let chain = Chain::new();
    let payment = chain.payment(0);
    let (block, _) = chain.block(START_MS + 1, false, std::slice::from_ref(&payment));
    let mut node = Node::new(&chain, &[], START_MS + 1);
    node.hear_locks(payment.txid());
    node.hear(chain.proposal(&block));
    assert_eq!(node.prevote(), None);
    node.feed(Event::Transaction(payment));
    assert_eq!(node.prevote(), Some(Some(block.header.hash())));
}

/// What comes an epoch early is kept; what is further off can't be of use, and costs no check.
#[test]
fn batches_of_the_next_epoch_are_looked_at_and_no_others() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    for (epoch, checks) in [(2, 0), (Epoch::MAX, 0), (1, 1)] {
        let message = batch_of(&node, 0, (epoch, 0), &user());
        node.hear(message);
        assert_eq!(node.consensus.peers.early.unverified_of(&peer()), checks, "of epoch {epoch}");
    }
}

/// INV-COMMIT-1: while the block is written its votes still come.
#[test]
fn a_precommit_that_comes_while_the_block_is_written_is_in_the_next_blocks_commit() {
    let chain = Chain::new();
    let (block, outcome) = chain.block(START_MS + 1, false, &[]);
    let next = outcome.state.proposer_order()[0];
    let mut node = Node::of_operator(operator(next), &[], START_MS + 1, Vec::new());
    let hash = block.header.hash();
    node.hear(chain.proposal(&block));
    node.hear_block_votes(VoteStep::Prevote, hash);
    let others: Vec<usize> = node.others().collect();
    let mut decided = None;
    for place in &others {
        let message = node.block_vote(*place, VoteStep::Precommit, Some(hash));
        for output in node.order(Event::Message { from: peer(), message, verified: false }) {
            if let Output::CommitBlock(block) = output {
                decided = Some(block);
            }
        }
    }
    let durable = node.around.log.append(&decided.unwrap()).unwrap();
    node.feed(Event::BlockPersisted(durable));
    assert_eq!(node.consensus.state().tip_hash(), hash);
    node.now_ms += chain.state.parameters().block_interval_ms;
    node.feed(Event::TimeoutElapsed(Timer::HeightDue(2)));
    let signatures = node.around.said.iter().find_map(|message| match message {
        Message::Proposal(proposal) => Some(proposal.block.last_commit.signatures.len()),
        _ => None,
    });
    assert_eq!(signatures, Some(4));
}

/// INV-BFT-DRIVER-1: what the machine wanted to say of a height that is over is said at no other.
#[test]
fn votes_that_were_not_said_at_a_height_are_not_said_at_the_next() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1);
    node.consensus.instances = Instances::new([7; 16], LISTEN_MS, node.now_ms);
    node.now_ms += LISTEN_MS;
    node.feed(Event::Tick);
    assert!(matches!(node.consensus.signing(), Signing::Listening { .. }));
    node.decide(&mut chain, START_MS + 1, false, &[]);
    let me = node.consensus.own_seat().unwrap();
    for other in node.others().collect::<Vec<_>>() {
        let state = node.consensus.state();
        let acknowledged = vec![Acknowledged { validator: me, instance: node.consensus.instances.mine() }];
        let statement = InstanceStatement {
            validator: state.validators().get(other).unwrap().id,
            epoch: 0,
            instance: InstanceId { start: [other as u8; 16], attempt: 0 },
            seq: 0,
            asks: false,
            rivals: Vec::new(),
            acknowledged,
            signature: Signature::EMPTY,
        };
        node.now_ms += 100;
        let statement = statement.signed(state.chain_id(), &operator(other));
        node.hear(Message::Instance(Arc::new(statement)));
    }
    assert_eq!(node.consensus.signing(), Signing::Allowed);
    let votes = node.around.said.iter().filter(|message| matches!(message, Message::BlockVote(_)));
    assert_eq!(votes.count(), 0);
}

/// What a precommit stands on is durable with it: a restart proposes that block again, and proves its lock.
#[test]
fn the_proposal_and_the_prevotes_behind_a_precommit_are_durable_before_it() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1);
    let (block, _) = chain.block(START_MS + 1, false, &[]);
    let hash = block.header.hash();
    node.hear(chain.proposal(&block));
    node.hear_block_votes(VoteStep::Prevote, hash);
    let written = &node.around.written;
    let votes = |step: VoteStep| {
        let of_step = move |(place, record): (usize, &JournalRecord)| match record {
            JournalRecord::BlockVote(vote) if vote.step == step && vote.value == Some(hash) => Some(place),
            _ => None,
        };
        written.iter().enumerate().filter_map(of_step).collect::<Vec<_>>()
    };
    let [precommit] = votes(VoteStep::Precommit)[..] else { panic!("one precommit") };
    let prevotes = votes(VoteStep::Prevote).into_iter().filter(|place| *place < precommit);
    assert!(prevotes.count() >= 3, "a quorum of them");
    let is_proposal = |record: &JournalRecord| matches!(record, JournalRecord::Proposal(_));
    assert!(written[..precommit].iter().any(is_proposal));
}

/// Who has not seen the votes behind it could not vote for it.
#[test]
fn a_block_is_proposed_again_behind_the_prevotes_that_locked_it() {
    let chain = Chain::new();
    let second = chain.state.proposer_order()[1];
    let mut node = Node::of_operator(operator(second), &[], START_MS + 1, Vec::new());
    let (block, _) = chain.block(START_MS + 1, false, &[]);
    let hash = block.header.hash();
    node.hear(chain.proposal(&block));
    node.hear_block_votes(VoteStep::Prevote, hash);
    node.hear_block_votes(VoteStep::Precommit, None);
    node.around.said.clear();
    let timer = Timer::Bft { height: 1, round: 0, kind: bft::TimeoutKind::Precommit };
    node.feed(Event::TimeoutElapsed(timer));
    let is_proposal = |message: &Message| match message {
        Message::Proposal(proposal) => {
            assert_eq!((proposal.round, proposal.pol_round), (1, Some(0)));
            true
        }
        _ => false,
    };
    let proposed = node.around.said.iter().position(is_proposal).expect("it is the proposer");
    let is_behind = |message: &&Message| matches!(message, Message::BlockVote(vote) if (vote.round, vote.step, vote.value) == (0, VoteStep::Prevote, Some(hash)));
    assert!(node.around.said[..proposed].iter().filter(is_behind).count() >= 3);

    // A peer that is a round behind is sent this round's proposal with its proof, and what it lacks of its own round.
    let nothing = SignerBitmap::empty(MEMBERS.into());
    let behind = NodeStatus {
        round: 0,
        has_proposal: true,
        prevotes: nothing.clone(),
        precommits: nothing,
        ..node.consensus.status()
    };
    node.around.sent.clear();
    node.hear(Message::Status(behind));
    let sent = &node.around.sent;
    assert!(sent.iter().any(is_proposal));
    let of_its_round = |step: VoteStep| {
        let is_of = |message: &&Message| matches!(message, Message::BlockVote(vote) if (vote.round, vote.step) == (0, step));
        sent.iter().filter(is_of).count()
    };
    assert!(of_its_round(VoteStep::Prevote) >= 3 && of_its_round(VoteStep::Precommit) >= 3);
}

/// Nobody sends the proof to a peer that says it has the proposal.
#[test]
fn a_proposal_lacks_until_its_proof_of_lock_is_here() {
    let chain = Chain::new();
    let order = chain.state.proposer_order();
    let (second, last) = (order[1], *order.last().unwrap());
    let mut node = Node::of_operator(operator(last), &[], START_MS + 1, Vec::new());
    let (block, _) = chain.block(START_MS + 1, false, &[]);
    node.hear_block_votes(VoteStep::Precommit, None);
    let timer = Timer::Bft { height: 1, round: 0, kind: bft::TimeoutKind::Precommit };
    node.feed(Event::TimeoutElapsed(timer));
    assert_eq!(node.consensus.bft().round(), 1);

    let validator = chain.state.validators().get(second).unwrap().id;
    let (pol_round, signature) = (Some(0), Signature::EMPTY);
    let again = Proposal { round: 1, pol_round, validator, block: block.blueprint(), signature };
    node.hear(Message::Proposal(Released::heard(again.signed(&operator(second)))));
    assert!(node.consensus.bft().proposal(1).is_some());
    assert!(!node.consensus.status().has_proposal, "its proof is not here");
    node.hear_block_votes(VoteStep::Prevote, block.header.hash());
    assert!(node.consensus.status().has_proposal);
}

/// INV-ENGINE-3: a vote for a block leaves behind the payments' votes that were cast before it.
#[test]
fn votes_on_payments_that_wait_leave_before_a_vote_for_a_block() {
    let chain = Chain::new();
    let last = *chain.state.proposer_order().last().unwrap();
    let mut node = Node::with_interval(operator(last), 50, &[], START_MS + 1, Vec::new());
    node.feed(Event::Transaction(chain.payment(0)));
    node.feed(Event::Transaction(chain.payment(1)));
    let (block, _) = chain.block(START_MS + 1, false, &[]);
    node.hear(chain.proposal(&block));
    let of_kind = |message: &Message| match message {
        Message::VoteBatch(_) => Some("payments"),
        Message::BlockVote(_) => Some("block"),
        _ => None,
    };
    let said: Vec<&str> = node.around.said.iter().filter_map(of_kind).collect();
    assert_eq!(said, ["payments", "payments", "block"]);
}

// -- ends of epochs ---------------------------------------------------------------------------------------------------

/// INV-FORK-2, INV-INSTANCE: what the journal forgets with an epoch was written down again before.
#[test]
fn the_journal_forgets_an_epoch_when_what_outlives_it_stands_behind_its_end() {
    let mut chain = Chain::new();
    let mut other = chain.clone();
    let blocks = [chain.grow(START_MS + 1)];
    let side = |logged: &LoggedBlock| {
        let CommittedBlock { block, commit } = &logged.committed;
        (block.header.clone(), commit.clone())
    };
    let rival = other.grow(START_MS + 7);
    let fork = Arc::new(ForkProof::new(other.state.validators(), side(&blocks[0]), side(&rival)));
    let records =
        vec![JournalRecord::Fork(Arc::clone(&fork)), JournalRecord::ForkAcknowledged(Arc::clone(&fork))];
    let mut node = Node::with_records(&chain, &blocks, due_ms(&chain), records);
    assert!(node.around.pruned.is_empty());
    let due_ms = due_ms(&chain);
    node.decide(&mut chain, due_ms, false, &[]);
    assert!(node.around.pruned.is_empty(), "the epoch goes on");
    node.decide(&mut chain, due_ms + 1, true, &[]);
    assert_eq!(node.around.pruned, [1]);
    let written = &node.around.written;
    let start = written.iter().position(|it| *it == JournalRecord::EpochStarted { epoch: 1 }).unwrap();
    assert!(written[start..].contains(&JournalRecord::ForkAcknowledged(fork)));
}

/// INV-FORK-2: else a start behind that end would sign again.
#[test]
fn a_fork_that_is_not_decided_on_outlives_the_end_of_its_epoch() {
    let mut chain = Chain::new();
    let mut other = chain.clone();
    let blocks = [chain.grow(START_MS + 1)];
    let rival = other.grow(START_MS + 7).committed;
    let mut node = Node::new(&chain, &blocks, due_ms(&chain));
    let (height, tip) = (1, rival.block.header.hash());
    node.hear(Message::Status(NodeStatus { height, tip, ..node.consensus.status() }));
    node.hear(Message::Blocks(vec![Released::heard(rival)]));
    assert_eq!(node.consensus.signing(), Signing::Forked);
    let due_ms = due_ms(&chain);
    node.decide(&mut chain, due_ms, false, &[]);
    node.decide(&mut chain, due_ms + 1, true, &[]);
    assert_eq!(node.around.pruned, [1]);
    let written = &node.around.written;
    let start = written.iter().position(|it| *it == JournalRecord::EpochStarted { epoch: 1 }).unwrap();
    let kept = written[start..].to_vec();
    let node = Node::with_records(&Chain::new(), &[], START_MS, kept);
    assert_eq!(node.consensus.signing(), Signing::Forked);
}

/// INV-FORK-2: nobody who signed both sides gets off.
#[test]
fn who_signed_both_sides_of_a_fork_is_accused() {
    let mut chain = Chain::new();
    let mut other = chain.clone();
    let blocks = [chain.grow(START_MS + 1)];
    let rival = other.grow(START_MS + 7).committed;
    let mut node = Node::new(&chain, &blocks, START_MS + 10);
    let (height, tip) = (1, rival.block.header.hash());
    node.hear(Message::Status(NodeStatus { height, tip, ..node.consensus.status() }));
    node.hear(Message::Blocks(vec![Released::heard(rival)]));
    assert_eq!(node.consensus.signing(), Signing::Forked);
    let is_told =
        |it: &Notification| matches!(it, Notification::ForkDetected(fork) if fork.ours.0.height == 1);
    assert!(node.around.told.iter().any(is_told));
    let accused = |it: &&Notification| matches!(it, Notification::EvidenceFound(_));
    assert_eq!(node.around.told.iter().filter(accused).count(), usize::from(MEMBERS));
    assert_eq!(node.consensus.pending_evidence().count(), usize::from(MEMBERS));
    let said = |message: &&Message| matches!(message, Message::Evidence(_));
    assert_eq!(node.around.said.iter().filter(said).count(), usize::from(MEMBERS), "others hear of it");
}

/// Numbers begin anew, and what was said in an epoch counts in no other.
#[test]
fn an_own_batch_that_is_durable_after_its_epoch_counts_nothing_in_the_next() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let mut node = Node::new(&chain, &blocks, due_ms(&chain));
    let me = place_of(&node);
    let staged =
        node.order(Event::Transaction(chain.payment(0))).into_iter().filter_map(|output| match output {
            Output::Persist(staged) => Some(staged),
            _ => None,
        });
    let late: Vec<Staged<OwnMessage>> = staged.collect();
    let due_ms = due_ms(&chain);
    node.decide(&mut chain, due_ms, false, &[]);
    node.decide(&mut chain, due_ms + 1, true, &[]);
    node.around.told.clear();
    let durable = node.around.journal.commit(late).unwrap();
    let outputs = node.order(Event::Persisted(durable));
    let tells = |output: &Output| matches!(output, Output::Notify(Notification::Voted(_)));
    assert!(!outputs.iter().any(tells));
    assert!(!node.consensus.finality.batches().has(me, 0));
}

/// Numbers of batches begin anew with each epoch, so what came under them before says nothing.
#[test]
fn first_batches_of_an_epoch_count_though_the_last_epoch_had_such_numbers() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let mut node = Node::new(&chain, &blocks, due_ms(&chain));
    node.hear_locks(TxId([1; 32]));
    let (due_ms, payment) = (due_ms(&chain), chain.payment(0));
    node.decide(&mut chain, due_ms, false, &[]);
    node.decide(&mut chain, due_ms + 1, true, &[]);
    node.feed(Event::Transaction(payment.clone()));
    node.hear_locks(payment.txid());
    assert!(node.consensus.finality().is_certified(&payment.txid()));
}

/// INV-PULL-1: a question of an epoch that is over holds up none of the next.
#[test]
fn batches_of_a_new_epoch_are_asked_for_though_an_old_question_is_open() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let mut node = Node::new(&chain, &blocks, due_ms(&chain));
    let other = node.others().next().unwrap();
    let holds = |node: &Node| {
        let mut status = node.consensus.status();
        status.batches[other].until = 5;
        Message::Status(status)
    };
    node.hear(holds(&node));
    let due_ms = due_ms(&chain);
    node.decide(&mut chain, due_ms, false, &[]);
    node.decide(&mut chain, due_ms + 1, true, &[]);
    node.around.sent.clear();
    node.hear(holds(&node));
    let asks = |message: &Message| matches!(message, Message::GetBatches { epoch: 1, from_seq: 0, .. });
    assert!(node.around.sent.iter().any(asks));
}

/// INV-RESTORE-1: its chain was lost and its journal was not.
#[test]
fn votes_of_an_epoch_that_comes_back_certify_again_by_the_journal_alone() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let before = chain.clone();
    let due_ms = due_ms(&chain);
    let payment = chain.payment(0);
    let to_next_epoch = |node: &mut Node, chain: &mut Chain| {
        node.decide(chain, due_ms, false, &[]);
        node.decide(chain, due_ms + 1, true, &[]);
        assert_eq!(node.consensus.state().next_epoch(), 1);
    };
    let mut node = Node::new(&chain, &blocks, due_ms);
    to_next_epoch(&mut node, &mut chain);
    node.feed(Event::Transaction(payment.clone()));
    node.hear_locks(payment.txid());
    let is_promised = |node: &Node| node.consensus.finality().promises().contains(&payment.txid());
    assert!(is_promised(&node));
    let mut again = Node::with_records(&before, &blocks, due_ms, node.around.written.clone());
    assert_eq!(again.consensus.state().next_epoch(), 0);
    assert!(!again.consensus.finality().is_certified(&payment.txid()));
    to_next_epoch(&mut again, &mut before.clone());
    assert!(is_promised(&again) && again.consensus.finality().is_certified(&payment.txid()));
}

/// A block at the tip that no quorum signed is none.
#[test]
fn who_shows_a_block_of_the_tip_that_nobody_committed_is_blamed() {
    let mut chain = Chain::new();
    let mut other = chain.clone();
    let blocks = [chain.grow(START_MS + 1)];
    let mut rival = other.grow(START_MS + 7).committed;
    rival.commit.signatures = vec![Signature::EMPTY; rival.commit.signatures.len()];
    let mut node = Node::new(&chain, &blocks, START_MS + 10);
    let (height, tip) = (1, rival.block.header.hash());
    let message = Message::Blocks(vec![Released::heard(rival)]);
    assert!(!blames(&mut node, message.clone()), "nobody asked for it");
    node.hear(Message::Status(NodeStatus { height, tip, ..node.consensus.status() }));
    assert!(blames(&mut node, message));
    assert_eq!(node.consensus.signing(), Signing::Allowed);
}

/// Once it has stopped nothing more is to be found out.
#[test]
fn a_node_that_knows_of_a_fork_looks_for_no_other() {
    let mut chain = Chain::new();
    let mut other = chain.clone();
    let blocks = [chain.grow(START_MS + 1)];
    let rival = other.grow(START_MS + 7).committed;
    let mut node = Node::new(&chain, &blocks, START_MS + 10);
    let (height, tip) = (1, rival.block.header.hash());
    let status = Message::Status(NodeStatus { height, tip, ..node.consensus.status() });
    node.hear(status.clone());
    node.hear(Message::Blocks(vec![Released::heard(rival)]));
    assert_eq!(node.consensus.signing(), Signing::Forked);
    node.around.sent.clear();
    node.now_ms += 60_000;
    node.hear(status);
    assert!(!node.around.sent.iter().any(|message| matches!(message, Message::GetBlocks { .. })));
}

// -- presence ---------------------------------------------------------------------------------------------------------

/// A new peer may come from where a copy runs; what was said in another epoch is checked by nobody any more.
#[test]
fn a_new_peer_is_greeted_with_a_statement_of_the_epoch_that_goes_on() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let mut node = Node::new(&chain, &blocks, due_ms(&chain));
    let due_ms = due_ms(&chain);
    let greeting = |node: &mut Node, number: u8| {
        node.around.addressed.clear();
        let newcomer = operator(number.into()).public();
        node.feed(Event::PeerConnected(newcomer));
        let of = node.around.addressed.iter().find_map(|(to, message)| match message {
            Message::Instance(statement) if *to == newcomer => Some((statement.epoch, statement.seq)),
            _ => None,
        });
        of.expect("it is greeted")
    };
    let first = greeting(&mut node, 50);
    assert_eq!(greeting(&mut node, 51), first, "the last one again");
    node.decide(&mut chain, due_ms, false, &[]);
    node.decide(&mut chain, due_ms + 1, true, &[]);
    assert_eq!((first.0, greeting(&mut node, 52).0), (0, 1));
}

/// Nobody hears a node that is alone: what it says would count as said.
#[test]
fn a_node_without_peers_says_no_heartbeat_until_somebody_is_there() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let beats = |node: &Node| {
        node.around.said.iter().filter(|message| matches!(message, Message::Heartbeat(_))).count()
    };
    assert_eq!(beats(&node), 1);
    node.feed(Event::PeerDisconnected(peer()));
    node.now_ms += HEARTBEAT_INTERVAL_MS;
    node.feed(Event::Tick);
    assert_eq!(beats(&node), 1);
    node.feed(Event::PeerConnected(peer()));
    assert_eq!(beats(&node), 2);
}

/// Others may have taken it for dead meanwhile, and acknowledged another node with its key.
#[test]
fn who_heard_nobody_for_long_asks_again_before_it_signs() {
    const SILENCE_MS: u64 = LISTEN_MS * 2 / 3;
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    node.consensus.instances = Instances::new([7; 16], LISTEN_MS, node.now_ms);
    node.hear(Message::Status(node.consensus.status()));
    let until = node.now_ms + SILENCE_MS;
    while node.now_ms < until {
        assert_eq!(node.consensus.signing(), Signing::Allowed);
        node.now_ms += 100;
        node.feed(Event::Tick);
    }
    assert!(matches!(node.consensus.signing(), Signing::Listening { .. }));
}

/// A new journal at a chain's start signs unasked; not when the others have blocks already.
#[test]
fn who_finds_that_the_network_is_older_than_its_data_asks_before_it_signs() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    node.consensus.instances = Instances::new([7; 16], LISTEN_MS, node.now_ms);
    assert_eq!(node.consensus.signing(), Signing::Allowed);
    let status = NodeStatus { height: 2, ..node.consensus.status() };
    node.hear(Message::Status(status));
    let blocks = (1..=2).map(|height| Released::heard(chain.grow(START_MS + height).committed)).collect();
    node.hear(Message::Blocks(blocks));
    assert_eq!(node.consensus.state().height(), 2);
    assert!(matches!(node.consensus.signing(), Signing::Listening { .. }));
}
