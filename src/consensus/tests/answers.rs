//! What a node makes of what it asked for: certificates, and blocks in ranges.

use super::*;
use crate::consensus::peers::STATUS_INTERVAL_MS;
use crate::consensus::sync::{SYNC_BLOCKS_MAX, SYNC_BYTES_MAX};
use crate::consensus::verify::{VerifyError, Voters, verify};
use crate::network::PeerId;
use crate::protocol::finality::conflict_order;
use crate::types::Certificate;
use crate::types::codec::encode;
use crate::types::limits::ROUNDS_AHEAD_MAX;
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
    // Another answer as large has to fit, beside one that is on its way.
    let third = SYNC_BYTES_MAX / 3;
    for (bytes, has_room) in [(third + 1, false), (third, true)] {
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

/// INV-SYNC-2: what would have no room is not asked for, however long the next block does not come.
#[test]
fn no_block_is_asked_for_that_is_further_ahead_than_blocks_are_held() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 10_000);
    let first = chain.grow(START_MS + 1).committed;
    node.hear(ahead(&node, 100_000));
    let mut asked_for = Vec::new();
    let mut questions = asked(&mut node);
    while asked_for.len() < 20
        && let Some(question) = questions.pop()
    {
        let Message::GetBlocks { from, count } = question else { unreachable!() };
        asked_for.push((from, count));
        if from == 1 {
            continue;
        }
        let blocks = (from..from + count).map(|height| {
            let mut block = first.clone();
            block.block.header.height = height;
            Released::heard(block)
        });
        let answer = Message::Blocks(blocks.collect());
        node.hear(answer);
        questions.extend(asked(&mut node));
    }
    asked_for.sort_unstable();
    let ranges = (0..16).map(|nth| (1 + 64 * nth, 64));
    assert_eq!(asked_for, ranges.collect::<Vec<_>>());
    assert_eq!(asked_for.iter().map(|(_, count)| count).sum::<u64>(), SYNC_BLOCKS_MAX as u64);
}

/// Nobody may fill this node with what it did not ask for.
#[test]
fn blocks_beyond_those_that_were_asked_for_are_not_taken() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 10_000);
    node.hear(ahead(&node, 2));
    assert_eq!(asked(&mut node), [Message::GetBlocks { from: 1, count: 2 }]);
    let blocks = (1..=3).map(|height| Released::heard(chain.grow(START_MS + height).committed)).collect();
    node.hear(Message::Blocks(blocks));
    assert_eq!(node.consensus.state().height(), 2);
}

/// Numbers of batches begin anew with each epoch.
#[test]
fn when_an_answer_ends_only_what_its_peer_said_of_this_epoch_is_asked_for() {
    let chain = Chain::new();
    for epoch in [0, 1] {
        let mut node = Node::new(&chain, &[], START_MS);
        let member = node.others().next().unwrap();
        let validator = chain.state.validators().get(member).unwrap().id;
        let mut status = node.consensus.status();
        status.batches[member].until = 5;
        node.hear(Message::Status(status.clone()));
        // Before its answer it says more, of where it is by then.
        status.batches[member].until = 9;
        node.hear(Message::Status(NodeStatus { epoch, ..status }));
        node.around.sent.clear();
        node.hear(Message::BatchesEnd { epoch: 0, validator, before_seq: 5 });
        let more = Message::GetBatches { epoch: 0, validator, from_seq: 5, count: 4 };
        assert_eq!(node.around.sent, Vec::from_iter((epoch == 0).then_some(more)));
    }
}

/// What conflicts with others is not kept before a quorum has locked it; a block of others may have it all the same.
#[test]
fn a_body_that_gave_way_to_others_is_asked_for_again_while_a_block_has_it() {
    let chain = Chain::new();
    let (lock, coin) = (Lock::KeyHash(user().public().key_hash()), chain.payment(0).inputs()[0]);
    let pay = |memo: u8| {
        let output = TxOut { value: Amount(1_000), lock };
        let transaction = Transaction::transfer(vec![coin], vec![output], vec![memo]);
        let transaction = Arc::new(transaction.signed(chain.state.chain_id(), &[&user()]));
        let (chain_id, parameters) = (chain.state.chain_id(), chain.state.parameters());
        CheckedTransaction::check(transaction, chain_id, parameters, &SequentialVerifier).unwrap()
    };
    let mut rivals = [pay(1), pay(2)];
    rivals.sort_by_key(|rival| conflict_order(1, &rival.txid()));
    let [first, last] = rivals;
    let mut node = Node::new(&chain, &[], START_MS + 1);
    node.feed(Event::Transaction(pay(0)));
    node.feed(Event::Transaction(first));
    let (block, _) = chain.block(START_MS + 1, false, std::slice::from_ref(&last));
    node.hear(chain.proposal(&block));
    node.feed(Event::Transaction(last.clone()));
    assert!(node.consensus.finality().transaction(&last.txid()).is_none());
    node.around.sent.clear();
    for _ in 0..3 {
        node.now_ms += STATUS_INTERVAL_MS;
        node.feed(Event::Tick);
    }
    assert!(node.around.sent.contains(&Message::GetTransactions(vec![last.txid()])));
    assert_eq!(node.prevote(), None);
    node.hear_locks(last.txid());
    node.feed(Event::Transaction(last));
    assert_eq!(node.prevote(), Some(Some(block.header.hash())));
}

/// Votes that make it final need not be those that certify it, and the block waits for its body and for its certificate.
#[test]
fn a_block_has_a_body_that_was_left_to_the_journal_once_it_was_read() {
    let chain = Chain::new();
    let payment = chain.payment(0);
    let mut node = Node::new(&chain, &[], START_MS + 1);
    node.feed(Event::Transaction(payment.clone()));
    node.consensus.finality.leave_bodies_to_the_journal();
    let (block, _) = chain.block(START_MS + 1, false, std::slice::from_ref(&payment));
    node.hear(chain.proposal(&block));
    for other in node.others().collect::<Vec<_>>() {
        let id = chain.state.validators().get(other).unwrap().id;
        let votes = vec![FinalityVote { kind: VoteKind::Final, txid: payment.txid() }];
        let batch = VoteBatch::signed(chain.state.chain_id(), 0, id, 0, votes, &operator(other));
        node.hear(Message::VoteBatch(Released::heard(batch)));
    }
    assert!(node.consensus.finality().transaction(&payment.txid()).is_some());
    assert_eq!(node.prevote(), None, "it is not certified");
    node.hear_locks_as(payment.txid(), 1);
    assert_eq!(node.prevote(), Some(Some(block.header.hash())));
}

/// INV-GOSSIP-3: it would be new again each time it comes back, and peers would send it to each other for ever.
#[test]
fn a_vote_that_is_not_kept_is_not_passed_on() {
    let mut node = Node::new(&Chain::new(), &[], START_MS + 1);
    let place = node.others().next().unwrap();
    for (round, is_kept) in [(ROUNDS_AHEAD_MAX, true), (ROUNDS_AHEAD_MAX + 1, false)] {
        let Message::BlockVote(vote) = node.block_vote(place, VoteStep::Prevote, None) else {
            panic!("a vote")
        };
        let vote = BlockVote { round, ..BlockVote::clone(&vote) };
        let vote = vote.signed(node.consensus.state().chain_id(), &operator(place));
        let message = Message::BlockVote(Released::heard(vote));
        let outputs = node.order(Event::Message { from: peer(), message, verified: false });
        let passes_on = |output: &Output| matches!(output, Output::Relay(Message::BlockVote(_), Some(_)));
        assert_eq!(outputs.iter().any(passes_on), is_kept, "round {round}");
    }
}

/// The same keys may vote on several chains.
#[test]
fn a_proposal_of_another_chain_is_none_of_this_one() {
    let other = GenesisDocument { time_ms: START_MS + 1, ..genesis() };
    let (state, outputs) = LedgerState::genesis(&other).unwrap();
    let chain = Chain {
        state,
        utxos: outputs.into_iter().collect(),
        commit: Commit::default(),
        announces: RuleVersion::FIRST,
    };
    let (block, _) = chain.block(START_MS + 2, false, &[]);
    let (message, set) = (chain.proposal(&block), Arc::clone(chain.state.validators()));
    for (chain_id, expected) in
        [(other.chain_id(), Ok(())), (genesis().chain_id(), Err(VerifyError::NotBound))]
    {
        let voters = Voters { chain_id, epoch: 0, set: Arc::clone(&set) };
        assert_eq!(verify(&message, &voters, &SequentialVerifier), expected);
    }
}

/// A block that was fetched is decided: what its height's round brings meanwhile speaks of the past.
#[test]
fn nothing_is_voted_at_a_height_whose_block_was_fetched_and_is_being_written() {
    for is_fetched in [false, true] {
        let mut chain = Chain::new();
        let blocks = [chain.grow(START_MS + 1)];
        let mut node = Node::new(&chain, &blocks, START_MS + 10);
        node.now_ms += chain.state.parameters().block_interval_ms;
        node.feed(Event::TimeoutElapsed(Timer::HeightDue(2)));
        assert_eq!(node.consensus.bft().current_step(), bft::Step::Propose);
        if is_fetched {
            node.hear(ahead(&node, 3));
            let fetched = [2, 3].map(|nth| Released::heard(chain.grow(START_MS + nth).committed));
            let message = Message::Blocks(fetched.to_vec());
            let orders = node.order(Event::Message { from: peer(), message, verified: false });
            assert!(orders.iter().any(|order| matches!(order, Output::CommitBlock(_))));
        }
        let timer = Timer::Bft { height: 2, round: 0, kind: bft::TimeoutKind::Propose };
        let orders = node.order(Event::TimeoutElapsed(timer));
        let is_vote = |record: &JournalRecord| matches!(record, JournalRecord::BlockVote(_));
        let votes = orders
            .iter()
            .any(|order| matches!(order, Output::Persist(staged) if staged.records.iter().any(is_vote)));
        assert_eq!(votes, !is_fetched);
    }
}

fn stranger() -> PeerId {
    SecretKey::from_seed(&[0xa1; 32]).public()
}

/// INV-SYNC-2: else anybody could answer in the place of whoever was asked.
#[test]
fn blocks_are_taken_of_whom_they_were_asked_alone() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 10_000);
    node.feed(Event::PeerConnected(stranger()));
    node.hear(ahead(&node, 2));
    assert_eq!(asked(&mut node), [Message::GetBlocks { from: 1, count: 2 }]);
    let blocks = (1..=2).map(|height| Released::heard(chain.grow(START_MS + height).committed)).collect();
    let answer = Message::Blocks(blocks);
    for (from, height) in [(stranger(), 0), (peer(), 2)] {
        node.feed(Event::Message { from, message: answer.clone(), verified: false });
        assert_eq!(node.consensus.state().height(), height);
    }
}

/// INV-PUSH-1: a word of 200 bytes would bring a proposal and the votes of all members each time.
#[test]
fn a_peer_that_says_again_and_again_that_it_lacks_the_round_is_sent_it_once_in_a_while() {
    use super::super::blocks::{PROPOSAL_GAP_MS, VOTES_GAP_MS};

    let chain = Chain::new();
    let (block, _) = chain.block(START_MS + 1, false, &[]);
    let mut node = Node::new(&chain, &[], START_MS + 1);
    node.hear(chain.proposal(&block));
    let lacking = NodeStatus {
        has_proposal: false,
        prevotes: SignerBitmap::default(),
        precommits: SignerBitmap::default(),
        ..node.consensus.status()
    };
    let mut sent = |wait_ms: u64, words: usize| {
        node.now_ms += wait_ms;
        node.around.addressed.clear();
        (0..words).for_each(|_| node.hear(Message::Status(lacking.clone())));
        let count = |is_it: fn(&Message) -> bool| {
            node.around.addressed.iter().filter(|(to, message)| *to == peer() && is_it(message)).count()
        };
        (
            count(|message| matches!(message, Message::Proposal(_))),
            count(|message| matches!(message, Message::BlockVote(_))),
        )
    };
    let (proposals, votes) = sent(0, 50);
    assert!(proposals == 1 && votes > 0, "{proposals} proposals, {votes} votes");
    assert_eq!(sent(VOTES_GAP_MS - 1, 50), (0, 0));
    assert_eq!(sent(1, 50), (0, votes), "what was lost is sent again");
    assert_eq!(sent(PROPOSAL_GAP_MS - VOTES_GAP_MS - 1, 50).0, 0);
    assert_eq!(sent(VOTES_GAP_MS, 50).0, 1);
    // Another peer is none the worse for it.
    node.feed(Event::PeerConnected(stranger()));
    node.around.addressed.clear();
    node.feed(Event::Message { from: stranger(), message: Message::Status(lacking), verified: false });
    let is_proposal =
        |(to, message): &&(PeerId, Message)| *to == stranger() && matches!(message, Message::Proposal(_));
    assert_eq!(node.around.addressed.iter().filter(is_proposal).count(), 1);
}
