//! What peers can say without stake or by lying, and what it must not do.

use super::super::events::{Now, Signing};
use super::super::moment::Moment;
use super::super::peers::early::{EARLY_BYTES_MAX, UNVERIFIED_MAX};
use super::super::peers::{REQUEST_TIMEOUT_MS, STATUS_INTERVAL_MS};
use super::super::sync::{Base, NextBlock, SECOND_ASK_MS};
use super::*;
use crate::network::PeerId;
use crate::types::codec::encode;
use crate::types::message::NodeStatus;

fn stranger(number: u8) -> PeerId {
    SecretKey::from_seed(&[0xa0 ^ number; 32]).public()
}

fn hear_from(node: &mut Node, from: PeerId, message: Message) {
    node.feed(Event::Message { from, message, verified: false });
}

/// INV-SYNC-3.
#[test]
fn a_height_is_believed_only_of_who_delivers() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1_000);
    let lie = Message::Status(NodeStatus { height: u64::MAX, ..node.consensus.status() });
    let asked = |node: &mut Node| {
        let is_request = |message: &Message| matches!(message, Message::GetBlocks { .. });
        let sent: Vec<Message> = node.around.sent.drain(..).collect();
        sent.into_iter().filter(is_request).count()
    };
    let mut requests = 0;
    for _ in 0..600 {
        node.hear(lie.clone());
        node.now_ms += 100;
        node.feed(Event::Tick);
        assert!(!node.consensus.is_syncing(), "the word of one that delivered nothing");
        requests += asked(&mut node);
    }
    assert!((2..100).contains(&requests), "asked again, but not for ever: {requests}");
    let blocks = (1..=5).map(|height| Released::heard(chain.grow(START_MS + 10 * height).committed));
    let blocks = Message::Blocks(blocks.collect());
    while asked(&mut node) == 0 {
        node.now_ms += 100;
        node.feed(Event::Tick);
    }
    node.hear(blocks);
    node.hear(lie.clone());
    assert_eq!(node.consensus.state().height(), 5);
    assert!(node.consensus.is_syncing(), "it had what it said so far");
    node.now_ms += REQUEST_TIMEOUT_MS + 100;
    node.feed(Event::Tick);
    node.hear(lie);
    assert!(!node.consensus.is_syncing(), "it has no more");
}

/// INV-EARLY-1.
#[test]
fn early_messages_are_kept_within_their_bytes_and_only_if_a_known_set_signed_them() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let vote = |place: usize, round: u32, secret: SecretKey| {
        let vote = BlockVote {
            step: VoteStep::Prevote,
            epoch: 0,
            height: 2,
            round,
            value: None,
            validator: node.consensus.state().validators().get(place).unwrap().id,
            signature: Signature::EMPTY,
        };
        Message::BlockVote(Released::heard(vote.signed(node.consensus.state().chain_id(), &secret)))
    };
    let (honest, another) = (vote(0, 0, operator(0)), vote(2, 0, operator(2)));
    let forged: Vec<Message> = (0..2_000).map(|round| vote(1, round, user())).collect();
    let from = stranger(1);
    node.feed(Event::PeerConnected(from));
    for message in forged {
        hear_from(&mut node, from, message);
    }
    assert_eq!(node.consensus.peers.early.bytes_of(&from), 0, "who did not sign takes no room");
    assert_eq!(node.consensus.peers.early.unverified_of(&from), UNVERIFIED_MAX, "INV-EARLY-2");
    node.hear(honest.clone());
    assert_eq!(node.consensus.peers.early.bytes_of(&peer()), encode(&honest).len());
    let large = |seq: u64| {
        let votes = (0..4_096_u32).map(|number| {
            let txid = TxId(*blake3::hash(&number.to_le_bytes()).as_bytes());
            FinalityVote { kind: VoteKind::Lock, txid }
        });
        let state = node.consensus.state();
        let id = state.validators().get(0).unwrap().id;
        VoteBatch::signed(state.chain_id(), 1, id, seq, votes.collect(), &operator(0))
    };
    let (from, batches) = (stranger(2), (0..64).map(large).collect::<Vec<_>>());
    node.feed(Event::PeerConnected(from));
    for batch in batches {
        hear_from(&mut node, from, Message::VoteBatch(Released::heard(batch)));
    }
    let kept = node.consensus.peers.early.bytes_of(&from);
    assert!(kept <= EARLY_BYTES_MAX, "{kept}");
    node.consensus.check_invariants().unwrap();
    let from = stranger(3);
    node.feed(Event::PeerConnected(from));
    hear_from(&mut node, from, another);
    assert!(node.consensus.peers.early.bytes_of(&from) > 0);
    node.feed(Event::PeerDisconnected(from));
    assert_eq!(node.consensus.peers.early.bytes_of(&from), 0, "who has left takes no room");
    node.consensus.check_invariants().unwrap();
    node.decide(&mut chain, START_MS + 1, false, &[]);
    assert!(node.consensus.bft().prevotes_bitmap(0).contains(0), "it is counted when its height begins");
}

/// The bytes of what is certified make a block due, not its count alone: votes stop at a number of bytes.
#[test]
fn large_payments_make_a_block_due() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let secret = operator(chain.state.proposer_order()[0]);
    let mut node = Node::of_operator(secret, &blocks, START_MS + 2, Vec::new());
    let parameters = chain.state.parameters();
    node.now_ms += parameters.min_block_gap_ms;
    assert!(node.now_ms < START_MS + parameters.block_interval_ms);
    node.feed(Event::TimeoutElapsed(Timer::HeightDue(2)));
    let has_proposed =
        |node: &Node| node.around.said.iter().any(|message| matches!(message, Message::Proposal(_)));
    let is_due = |node: &mut Node| {
        node.feed(Event::TimeoutElapsed(Timer::HeightDue(2)));
        has_proposed(node)
    };
    let mut bytes = 0;
    for number in 0..40 {
        let payment = chain.payment_of_bytes(number, 90_000);
        bytes += payment.encoded_bytes() as u64;
        node.feed(Event::Transaction(payment.clone()));
        node.hear_locks_as(payment.txid(), number as u64);
        let is_over = bytes + 100_000 >= GENESIS_BLOCK_BYTES_MAX;
        assert_eq!(is_due(&mut node), is_over, "{bytes} bytes are certified");
        if is_over {
            return;
        }
    }
    panic!("the block never was due");
}

/// A clock that was set ahead and back stops nothing: timers run on the other one.
#[test]
fn a_clock_that_is_set_ahead_and_back_moves_no_interval() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let secret = operator(chain.state.proposer_order()[0]);
    let mut node = Node::of_operator(secret, &blocks, START_MS + 2, Vec::new());
    let interval_ms = chain.state.parameters().block_interval_ms;
    let hour_ms = 3_600_000;
    let at = |monotonic_ms: TimeMs, ahead_ms: u64| Now { monotonic_ms, wall_ms: monotonic_ms + ahead_ms };
    let mut said = Vec::new();
    let mut tick = |node: &mut Node, now: Now| {
        let outputs = node.consensus.handle(Event::TimeoutElapsed(Timer::HeightDue(2)), now);
        said.extend(outputs.into_iter().filter_map(|output| match output {
            Output::Persist(staged) => {
                staged.release.into_iter().find(|m| matches!(m, OwnMessage::Proposal(_)))
            }
            _ => None,
        }));
        said.len()
    };
    // The epoch's due end is a time of headers: it comes with the wall clock. The rest waits for the interval.
    let _ = node.consensus.handle(Event::Tick, at(START_MS + 10, hour_ms));
    assert_eq!(tick(&mut node, at(START_MS + interval_ms, 0)), 0, "the interval is not over");
    assert_eq!(tick(&mut node, at(START_MS + interval_ms + 2, 0)), 1);
}

/// INV-SYNC-3.
#[test]
fn who_comes_back_has_to_deliver_again_before_its_height_is_believed() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1_000);
    let lie = Message::Status(NodeStatus { height: u64::MAX, ..node.consensus.status() });
    let blocks = (1..=5).map(|height| Released::heard(chain.grow(START_MS + 10 * height).committed));
    let blocks = Message::Blocks(blocks.collect());
    node.hear(lie.clone());
    node.hear(blocks);
    node.hear(lie.clone());
    assert!(node.consensus.is_syncing(), "it had what it said so far");
    node.feed(Event::PeerDisconnected(peer()));
    node.feed(Event::PeerConnected(peer()));
    node.hear(lie);
    assert!(!node.consensus.is_syncing());
}

/// INV-SYNC-3: its signatures may be looked at, and its blocks be written, when it has left already.
#[test]
fn blocks_of_a_peer_that_has_left_prove_nothing_of_who_comes_back() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1_000);
    let lie = Message::Status(NodeStatus { height: u64::MAX, ..node.consensus.status() });
    node.hear(lie.clone());
    let mut blocks: Vec<_> =
        (1..=5).map(|height| Released::heard(chain.grow(START_MS + 10 * height).committed)).collect();
    let later = blocks.split_off(2);
    // What comes of a peer that never delivered goes with it.
    node.hear(Message::Blocks(blocks));
    let event = Event::Message { from: peer(), message: Message::Blocks(later), verified: false };
    let orders = node.consensus.handle(event, Now::both(node.now_ms));
    let checks = orders.into_iter().find_map(|output| match output {
        Output::CheckBlocks(order) => Some(order),
        _ => None,
    });
    let order = checks.expect("they were asked for");
    node.feed(Event::PeerDisconnected(peer()));
    let held = Arc::new(order.check(&SequentialVerifier));
    node.feed(Event::BlocksChecked { answer: order.answer, held });
    assert_eq!(node.consensus.state().height(), 5, "they are as good as any others");
    node.feed(Event::PeerConnected(peer()));
    node.hear(lie);
    assert!(!node.consensus.is_syncing());
}

/// INV-SYNC-2.
#[test]
fn blocks_in_sync_are_held_within_their_bytes() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1_000);
    let far = Message::Status(NodeStatus { height: 1_000, ..node.consensus.status() });
    node.hear(far);
    let first = chain.grow(START_MS + 1).committed;
    let body = Arc::new(Transaction::transfer(Vec::new(), Vec::new(), vec![7; 4 << 20]));
    let later = (2..=24).map(|height| {
        let mut later = first.clone();
        later.block.header.height = height;
        later.block.transactions = vec![Arc::clone(&body)];
        later
    });
    let blocks: Vec<_> = std::iter::once(first.clone()).chain(later).map(Released::heard).collect();
    let consensus = &mut node.consensus;
    let at = Moment { chain: &consensus.chain, signer: &consensus.signer, now: consensus.now };
    assert!(consensus.sync.on_blocks(peer(), &blocks, 1, &at, &mut consensus.out), "they were asked for");
    consensus.sync.check_invariants().unwrap();
    let base = Base { state: at.state(), utxos: at.chain.utxos() };
    let mut next = || consensus.sync.next_block(&consensus.peers, &base, &at, &mut consensus.out);
    assert!(matches!(next(), NextBlock::None), "its signatures were not looked at");
    consensus.sync.on_checked(1, &Arc::default());
    let mut next = || consensus.sync.next_block(&consensus.peers, &base, &at, &mut consensus.out);
    assert!(matches!(next(), NextBlock::Valid(_)));
    consensus.sync.check_invariants().unwrap();
}

/// Many small payments must not keep a block from being proposed.
#[test]
fn a_proposer_takes_no_more_payments_than_a_block_may_have() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let secret = operator(chain.state.proposer_order()[0]);
    let mut node = Node::of_operator(secret, &blocks, START_MS + 2, Vec::new());
    for number in 0..40 {
        let payment = chain.payment(number);
        node.feed(Event::Transaction(payment.clone()));
        node.hear_locks_as(payment.txid(), number as u64);
    }
    assert_eq!(node.consensus.finality().unblocked().0, 40);
    node.now_ms += chain.state.parameters().block_interval_ms;
    node.feed(Event::TimeoutElapsed(Timer::HeightDue(2)));
    let transfers = node.around.said.iter().find_map(|message| match message {
        Message::Proposal(proposal) => Some(proposal.block.transfers().len() as u64),
        _ => None,
    });
    assert_eq!(transfers, Some(GENESIS_BLOCK_TRANSACTIONS_MAX - 1), "one place is the reward's");
}

/// Votes come in any order, so a child may be certified here before its parent is.
#[test]
fn a_proposer_takes_a_child_that_was_certified_before_its_parent() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let secret = operator(chain.state.proposer_order()[0]);
    let mut node = Node::of_operator(secret, &blocks, START_MS + 2, Vec::new());
    let parent = chain.payment(0);
    let child = chain.child(&parent);
    for (seq, transaction) in [(0, &child), (1, &parent)] {
        node.hear_locks_as(transaction.txid(), seq);
        node.feed(Event::Transaction(transaction.clone()));
    }
    node.now_ms += chain.state.parameters().block_interval_ms;
    node.feed(Event::TimeoutElapsed(Timer::HeightDue(2)));
    let transfers = node.around.said.iter().find_map(|message| match message {
        Message::Proposal(proposal) => Some(proposal.block.transfers().to_vec()),
        _ => None,
    });
    assert_eq!(transfers, Some(vec![parent.txid(), child.txid()]));
}

/// What a peer lacks is found by asking: bodies and votes that were lost on the way would be missing for ever.
#[test]
fn who_asks_for_bodies_certificates_batches_or_blocks_is_answered() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    node.decide(&mut chain, START_MS + 1, false, &[]);
    let payment = chain.payment(0);
    let txid = payment.txid();
    node.feed(Event::Transaction(payment.clone()));
    node.hear_locks(txid);
    let other = node.others().next().unwrap();
    let validator = chain.state.validators().get(other).unwrap().id;
    let mut ask = |question: Message| {
        node.around.sent.clear();
        node.hear(question);
        std::mem::take(&mut node.around.sent)
    };
    let bodies = ask(Message::GetTransactions(vec![TxId([1; 32]), txid]));
    assert_eq!(bodies, [Message::Transactions(vec![Arc::clone(payment.transaction())])]);
    let certificates = ask(Message::GetCertificates(VoteKind::Lock, vec![TxId([1; 32]), txid]));
    let [Message::Certificates(of)] = certificates.as_slice() else { panic!("{certificates:?}") };
    assert_eq!(of.iter().map(|certificate| certificate.vote.txid).collect::<Vec<_>>(), [txid]);
    let batches = ask(Message::GetBatches { epoch: 0, validator, from_seq: 0, count: 5 });
    let [Message::VoteBatch(batch), Message::BatchesEnd { before_seq: 5, .. }] = batches.as_slice() else {
        panic!("{batches:?}")
    };
    assert_eq!(batch.header.validator, validator);
    let blocks = ask(Message::GetBlocks { from: 1, count: 5 });
    assert!(matches!(blocks.as_slice(), [Message::Blocks(of)] if of.len() == 1), "{blocks:?}");
}

/// A vote that was lost on its way would hold up the round.
#[test]
fn a_peer_is_sent_what_it_lacks_of_the_round_that_it_is_in() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1);
    let nothing = node.consensus.status();
    let (block, _) = chain.block(START_MS + 1, false, &[]);
    node.hear(chain.proposal(&block));
    let all = node.consensus.status();
    let ahead = NodeStatus { round: all.round + 1, ..nothing.clone() };
    for (status, lacks) in [(nothing, true), (all, false), (ahead, false)] {
        node.around.sent.clear();
        node.hear(Message::Status(status));
        let sent = &node.around.sent;
        assert_eq!(sent.iter().any(|message| matches!(message, Message::Proposal(_))), lacks);
        assert_eq!(sent.iter().any(|message| matches!(message, Message::BlockVote(_))), lacks);
    }
}

/// Two nodes with one key would contradict each other.
#[test]
fn who_hears_its_own_key_say_something_else_signs_nothing_any_more() {
    let chain = Chain::new();
    let me = chain.state.proposer_order()[0];
    let (block, _) = chain.block(START_MS + 1, false, &[]);
    let new = || Node::of_operator(operator(me), &[], START_MS + 1, Vec::new());
    let vote = |step| new().block_vote(me, step, Some(block.header.hash()));
    for message in [vote(VoteStep::Prevote), vote(VoteStep::Precommit), chain.proposal(&block)] {
        let mut node = new();
        assert_eq!(node.consensus.signing(), Signing::Allowed);
        node.hear(message);
        assert_eq!(node.consensus.signing(), Signing::KeyCopied);
        node.feed(Event::Transaction(chain.payment(0)));
        assert!(!node.around.said.iter().any(|message| matches!(message, Message::VoteBatch(_))));
    }
}

/// What a transaction of a peer may do is not decided here.
#[test]
fn transactions_of_peers_are_handed_to_admission() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let one = Arc::clone(chain.payment(0).transaction());
    for message in [Message::Transaction(Arc::clone(&one)), Message::Transactions(vec![one.clone()])] {
        let outputs = node.order(Event::Message { from: peer(), message, verified: false });
        let handed = outputs.iter().find_map(|output| match output {
            Output::CheckTransactions(from, transactions) => Some((*from, transactions.clone())),
            _ => None,
        });
        assert_eq!(handed, Some((peer(), vec![Arc::clone(&one)])));
        assert!(node.consensus.finality().transaction(&one.txid()).is_none());
    }
}

/// The block is on its way, from those who voted for it.
#[test]
fn who_is_one_block_behind_waits_a_while_before_it_asks_and_who_is_further_does_not() {
    for height in [1, 2] {
        let mut node = Node::new(&Chain::new(), &[], START_MS);
        let status = NodeStatus { height, tip: BlockHash([1; 32]), ..node.consensus.status() };
        let is_asked = |node: &Node| {
            node.around.sent.iter().any(|message| matches!(message, Message::GetBlocks { from: 1, .. }))
        };
        node.hear(Message::Status(status.clone()));
        assert_eq!(is_asked(&node), height > 1);
        node.now_ms += REQUEST_TIMEOUT_MS;
        node.hear(Message::Status(status));
        assert!(is_asked(&node));
    }
}

/// Not everybody is everybody's peer.
#[test]
fn votes_and_proposals_of_others_are_passed_on_once() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1);
    let (block, _) = chain.block(START_MS + 1, false, &[]);
    let other = node.others().next().unwrap();
    let vote = node.block_vote(other, VoteStep::Prevote, Some(block.header.hash()));
    let votes = vec![FinalityVote { kind: VoteKind::Lock, txid: chain.payment(0).txid() }];
    let id = chain.state.validators().get(other).unwrap().id;
    let batch = VoteBatch::signed(chain.state.chain_id(), 0, id, 0, votes, &operator(other));
    for message in [chain.proposal(&block), vote, Message::VoteBatch(Released::heard(batch))] {
        for is_new in [true, false] {
            let event = Event::Message { from: peer(), message: message.clone(), verified: false };
            let passes_on = |output: &Output| matches!(output, Output::Relay(of, Some(except)) if *of == message && *except == peer());
            assert_eq!(node.order(event).iter().any(passes_on), is_new);
        }
    }
}

/// What peers lack or have more of is found by that alone.
#[test]
fn a_node_says_where_it_stands_again_and_again() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    for _ in 0..3 {
        node.around.said.clear();
        node.now_ms += STATUS_INTERVAL_MS;
        node.feed(Event::Tick);
        let status = Message::Status(node.consensus.status());
        assert!(node.around.said.contains(&status));
    }
}

/// Peers repeat what they heard.
#[test]
fn own_words_that_come_back_are_not_taken_for_anothers() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let secret = operator(chain.state.proposer_order()[0]);
    let mut node = Node::of_operator(secret, &blocks, START_MS + 2, Vec::new());
    node.feed(Event::Transaction(chain.payment(0)));
    node.now_ms += chain.state.parameters().block_interval_ms;
    node.feed(Event::TimeoutElapsed(Timer::HeightDue(2)));
    let own = node.around.said.clone();
    let said = |is_kind: fn(&Message) -> bool| own.iter().any(is_kind);
    assert!(said(|message| matches!(message, Message::VoteBatch(_))));
    assert!(said(|message| matches!(message, Message::Proposal(_))));
    assert!(said(|message| matches!(message, Message::BlockVote(_))));
    for message in own {
        node.hear(message);
    }
    assert_eq!(node.consensus.signing(), Signing::Allowed);
}

/// Nobody is avoided for ever: it may have been out of reach.
#[test]
fn who_fails_again_and_again_is_avoided_for_so_long_at_most() {
    let mut node = Node::new(&Chain::new(), &[], START_MS);
    let (bad, good) = (peer(), stranger(1));
    let tells = |node: &mut Node, whom: PeerId| {
        let status = NodeStatus { height: 500, tip: BlockHash([1; 32]), ..node.consensus.status() };
        hear_from(node, whom, Message::Status(status));
    };
    let is_asked = |node: &mut Node| {
        let asked =
            |(to, message): &(PeerId, Message)| *to == bad && matches!(message, Message::GetBlocks { .. });
        node.around.addressed.drain(..).any(|it| asked(&it))
    };
    node.feed(Event::PeerConnected(good));
    tells(&mut node, bad);
    assert!(is_asked(&mut node));
    for failure in 0..9_u32 {
        // It has nothing of what it said.
        hear_from(&mut node, bad, Message::Blocks(Vec::new()));
        let (since, avoided_ms) = (node.now_ms, 10_000 << failure.min(6));
        loop {
            // The other one fails as well, and is forgiven: it is asked again and again.
            node.feed(Event::PeerDisconnected(good));
            node.feed(Event::PeerConnected(good));
            tells(&mut node, good);
            is_asked(&mut node);
            node.now_ms += 1_000;
            tells(&mut node, good);
            tells(&mut node, bad);
            if is_asked(&mut node) {
                break;
            }
            assert!(node.now_ms - since < avoided_ms, "failure {failure}");
        }
        assert_eq!(node.now_ms - since, avoided_ms, "failure {failure}");
    }
}

/// It may have been on its way when the connection was lost: nobody would forget it.
#[test]
fn what_comes_early_of_somebody_who_is_not_there_is_not_kept() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1);
    let gone = stranger(1);
    node.feed(Event::PeerConnected(gone));
    chain.grow(START_MS + 1);
    let (block, _) = chain.block(START_MS + 2, false, &[]);
    for is_there in [true, false] {
        hear_from(&mut node, gone, chain.proposal(&block));
        assert_eq!(node.consensus.peers.early.bytes_of(&gone) > 0, is_there);
        node.feed(Event::PeerDisconnected(gone));
    }
}

/// It would answer with nothing and be left alone for that, though it said the truth.
#[test]
fn who_has_a_part_of_a_range_alone_is_asked_for_that_part() {
    let mut node = Node::new(&Chain::new(), &[], START_MS + 10_000);
    let (short, whole) = (stranger(1), stranger(2));
    let ahead = |node: &Node, height| Message::Status(NodeStatus { height, ..node.consensus.status() });
    let asked = |node: &mut Node| {
        let sent = std::mem::take(&mut node.around.addressed).into_iter();
        sent.filter(|(_, message)| matches!(message, Message::GetBlocks { .. })).collect::<Vec<_>>()
    };
    let far = ahead(&node, 64);
    node.hear(far);
    for (who, height) in [(short, 63), (whole, 64)] {
        node.feed(Event::PeerConnected(who));
        asked(&mut node);
        node.now_ms += SECOND_ASK_MS;
        let status = ahead(&node, height);
        hear_from(&mut node, who, status);
        // The second one as well as the last that was asked, in time.
        let second = (who, Message::GetBlocks { from: 1, count: 63 });
        assert_eq!(asked(&mut node), [second]);
    }
}
