//! Evidence that no block contains, across restarts and ends of epochs.

use super::super::replay::{BlockEffects, index_change};
use super::*;
use crate::protocol::masternodes::Slashed;
use crate::protocol::validity::UtxoReader as _;
use crate::storage::index::PunishedEvidence;
use crate::types::evidence::LockVoteProof;
use crate::types::limits::EVIDENCE_BYTES_MAX;

/// Two prevotes of a validator at the height after the tip.
fn contradiction(chain: &Chain, place: usize) -> Arc<Evidence> {
    let [first, second] = [1, 2].map(|byte| {
        let vote = BlockVote {
            step: VoteStep::Prevote,
            epoch: chain.state.next_epoch(),
            height: chain.state.height() + 1,
            round: 0,
            value: Some(BlockHash([byte; 32])),
            validator: chain.state.validators().get(place).unwrap().id,
            signature: Signature::EMPTY,
        };
        vote.signed(chain.state.chain_id(), &operator(place))
    });
    Arc::new(Evidence::of_votes(first, second))
}

fn journaled(node: &mut Node) -> Vec<JournalRecord> {
    std::mem::take(&mut node.around.written)
}

fn pending(node: &Node) -> Vec<Arc<Evidence>> {
    node.consensus.pending_evidence().cloned().collect()
}

/// INV-EVIDENCE-3.
#[test]
fn evidence_outlives_a_crash_of_everybody_who_saw_it() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let place = node.others().next().unwrap();
    let piece = contradiction(&chain, place);
    node.hear(Message::Evidence(Arc::clone(&piece)));
    let records = journaled(&mut node);
    assert!(records.contains(&JournalRecord::Evidence(Arc::clone(&piece))));
    drop(node);
    let node = Node::with_records(&chain, &[], START_MS, records);
    assert_eq!(pending(&node), [piece]);
}

/// INV-EVIDENCE-1, INV-EVIDENCE-3.
#[test]
fn evidence_outlives_the_end_of_its_epoch_and_goes_with_the_block_that_has_it() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    // The others propose all that follows.
    let mut node = Node::new(&chain, &blocks, START_MS + 1);
    let place = node.others().next().unwrap();
    let piece = contradiction(&chain, place);
    node.hear(Message::Evidence(Arc::clone(&piece)));
    let due_ms = chain.state.epoch_start() + chain.state.parameters().epoch_duration_ms;
    node.now_ms = due_ms;
    journaled(&mut node);
    for (time, epoch_end) in [(due_ms, false), (due_ms + 1, true)] {
        node.decide(&mut chain, time, epoch_end, &[]);
    }
    assert_eq!(node.consensus.state().next_epoch(), 1);
    let records = journaled(&mut node);
    let start =
        records.iter().position(|record| *record == JournalRecord::EpochStarted { epoch: 1 }).unwrap();
    assert!(records[start..].contains(&JournalRecord::Evidence(Arc::clone(&piece))), "what is older goes");
    assert_eq!(pending(&node), [Arc::clone(&piece)]);

    node.decide(&mut chain, due_ms + 2, false, &[piece]);
    assert!(pending(&node).is_empty());
}

/// Until a block is decided, each set that may follow counts: else what a member says early depends on another block.
#[test]
fn early_votes_of_the_next_epoch_are_kept_by_the_set_of_each_block_that_may_be_its_last() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let due_ms = chain.state.epoch_start() + chain.state.parameters().epoch_duration_ms;
    let mut node = Node::new(&chain, &blocks, due_ms + 1_000);
    node.decide(&mut chain, due_ms, false, &[]);
    let proposer = chain.state.proposer_order()[0];
    let place = node.others().find(|place| *place != proposer).unwrap();
    let id = chain.state.validators().get(place).unwrap().id;
    // One of the two blocks punishes a member. It is looked at first, whichever of them came first.
    let (punishing, outcome) = chain.block_with(due_ms + 1, true, &[], &[contradiction(&chain, place)]);
    assert!(outcome.state.validators().index_of(&id).is_none());
    let others = (due_ms + 1..).map(|time| chain.block(time, true, &[]).0);
    let other = others.into_iter().find(|block| block.header.hash() > punishing.header.hash()).unwrap();
    for block in [&punishing, &other] {
        node.hear(chain.proposal(block));
        for voter in node.others().take(2).collect::<Vec<_>>() {
            node.hear(node.block_vote(voter, VoteStep::Prevote, Some(block.header.hash())));
        }
    }
    let vote = FinalityVote { kind: VoteKind::Lock, txid: TxId([7; 32]) };
    let batch = VoteBatch::signed(chain.state.chain_id(), 1, id, 0, vec![vote], &operator(place));
    node.hear(Message::VoteBatch(Released::heard(batch)));
    assert_eq!(node.consensus.peers.early.unverified_of(&peer()), 0);
    assert!(node.consensus.peers.early.bytes_of(&peer()) > 0);
}

#[test]
fn evidence_waits_for_a_chain_that_was_lost() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let due_ms = chain.state.epoch_start() + chain.state.parameters().epoch_duration_ms;
    let mut later = chain.clone();
    later.grow_by(due_ms, false);
    later.grow_by(due_ms + 1, true);
    let place = Node::new(&chain, &blocks, due_ms).others().next().unwrap();
    let piece = contradiction(&later, place);
    let records = vec![JournalRecord::Evidence(Arc::clone(&piece))];
    let mut node = Node::with_records(&chain, &blocks, due_ms, records);
    assert!(pending(&node).is_empty(), "nobody can tell yet");
    node.around.written.clear();
    node.decide(&mut chain, due_ms, false, &[]);
    assert!(pending(&node).is_empty());
    node.decide(&mut chain, due_ms + 1, true, &[]);
    assert_eq!(pending(&node), [Arc::clone(&piece)]);
    assert!(node.around.written.contains(&JournalRecord::Evidence(piece)), "what is older goes");
}

/// INV-EVIDENCE-3: it need not have lost a whole epoch.
#[test]
fn evidence_waits_for_the_blocks_of_its_epoch_that_were_lost() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let mut later = chain.clone();
    later.grow(START_MS + 2);
    let place = Node::new(&chain, &blocks, START_MS + 2).others().next().unwrap();
    let piece = contradiction(&later, place);
    assert_eq!(piece.epoch(), chain.state.next_epoch());
    let records = vec![JournalRecord::Evidence(Arc::clone(&piece))];
    let mut node = Node::with_records(&chain, &blocks, START_MS + 2, records);
    assert!(pending(&node).is_empty(), "nobody can tell yet");
    node.decide(&mut chain, START_MS + 2, false, &[]);
    assert_eq!(pending(&node), [piece]);
}

/// INV-EVIDENCE-1.
#[test]
fn what_a_journal_holds_counts_only_if_it_holds_on_the_chain() {
    let chain = Chain::new();
    let place = Node::new(&chain, &[], START_MS).others().next().unwrap();
    let mut forged = contradiction(&chain, place).as_ref().clone();
    let Evidence::Votes(first, _) = &mut forged else { panic!("votes") };
    first.signature = Signature([7; 64]);
    let records = vec![JournalRecord::Evidence(Arc::new(forged))];
    assert!(pending(&Node::with_records(&chain, &[], START_MS, records)).is_empty());
}

/// INV-STATE-3: what is burned is gone for everybody who reads outputs, and not after a restart alone.
#[test]
fn what_evidence_burns_is_gone_from_the_outputs() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let place = node.others().next().unwrap();
    let piece = contradiction(&chain, place);
    let accused = piece.validator();
    node.decide(&mut chain, START_MS + 1, false, &[]);
    node.decide(&mut chain, START_MS + 2, false, &[piece]);
    let record = node.consensus.state().registry().get(&accused).unwrap();
    assert!(record.slashed.is_some());
    let output = node.consensus.chain.utxos().utxo(&record.collateral).unwrap().output;
    assert_eq!(output.value, record.collateral_amount);
}

/// Readers are told when it was done, and when it was punished.
#[test]
fn what_a_block_punishes_is_noted_with_the_height_of_the_act() {
    let mut chain = Chain::new();
    let piece = contradiction(&chain, 1);
    chain.grow(START_MS + 1);
    chain.grow(START_MS + 2);
    let (block, outcome) = chain.block_with(START_MS + 3, false, &[], &[Arc::clone(&piece)]);
    let punished = index_change(&block, &Commit::default(), BlockEffects::from(&outcome)).evidence;
    let [burned] = outcome.slashed.iter().map(Slashed::burned).collect::<Vec<_>>()[..] else {
        panic!("one is slashed")
    };
    assert!(burned > Amount::ZERO);
    let expected = PunishedEvidence {
        hash: piece.hash(),
        kind: "conflicting_votes".to_owned(),
        masternode: piece.validator(),
        epoch: 0,
        height: Some(1),
        block_height: 3,
        burned,
    };
    assert_eq!(punished, [expected]);
}

/// `Lock` votes of a member for two transactions that share an input and have so many bytes.
fn large_contradiction(chain: &Chain, place: usize, bytes: usize) -> Arc<Evidence> {
    let id = chain.state.validators().get(place).unwrap().id;
    let side = |seq: u64| {
        let input = chain.payment(0).inputs()[0];
        let transaction =
            Transaction::transfer(vec![input], Vec::new(), vec![u8::try_from(seq).unwrap(); bytes]);
        let votes = vec![FinalityVote { kind: VoteKind::Lock, txid: transaction.txid() }];
        let batch = VoteBatch::signed(chain.state.chain_id(), 0, id, seq, votes, &operator(place));
        LockVoteProof { vote: batch.prove(0).unwrap(), transaction }
    };
    Arc::new(Evidence::of_locks(side(0), side(1)))
}

/// Who makes others contradict themselves at length must not keep a block from being proposed.
#[test]
fn a_proposer_takes_no_more_evidence_than_a_block_may_have() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let me = chain.state.proposer_order()[0];
    let others = (0..MEMBERS.into()).filter(|place| *place != me);
    let piece = |place| JournalRecord::Evidence(large_contradiction(&chain, place, EVIDENCE_BYTES_MAX / 3));
    let records: Vec<_> = others.map(piece).collect();
    let mut node = Node::of_operator(operator(me), &blocks, START_MS + 2, records);
    assert_eq!(pending(&node).len(), 3);
    node.now_ms += chain.state.parameters().block_interval_ms;
    node.feed(Event::TimeoutElapsed(Timer::HeightDue(2)));
    let evidence = node.around.said.iter().find_map(|message| match message {
        Message::Proposal(proposal) => Some(proposal.block.evidence.len()),
        _ => None,
    });
    assert_eq!(evidence, Some(1));
}

#[test]
fn a_new_peer_is_told_of_evidence_that_no_block_has() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let place = node.others().next().unwrap();
    let piece = contradiction(&chain, place);
    node.hear(Message::Evidence(Arc::clone(&piece)));
    node.feed(Event::PeerDisconnected(peer()));
    node.around.sent.clear();
    node.feed(Event::PeerConnected(peer()));
    assert!(
        node.around.sent.contains(&Message::Evidence(piece)),
        "it may come from where nobody heard of it"
    );
}

/// A payment of this coin, and another one of it.
fn rivals(chain: &Chain, nth: usize) -> [CheckedTransaction; 2] {
    let payment = chain.payment(nth);
    let output = TxOut { value: Amount(1), lock: Lock::KeyHash(user().public().key_hash()) };
    let rival = Transaction::transfer(payment.inputs().to_vec(), vec![output], Vec::new());
    let rival = Arc::new(rival.signed(chain.state.chain_id(), &[&user()]));
    let (chain_id, parameters) = (chain.state.chain_id(), chain.state.parameters());
    let rival = CheckedTransaction::check(rival, chain_id, parameters, &SequentialVerifier).unwrap();
    [payment, rival]
}

/// INV-EVIDENCE-4: whoever has nothing to lose any more would have everybody hash whole batches for each pair.
#[test]
fn contradictions_of_one_member_are_proved_once() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    node.decide(&mut chain, START_MS + 1, false, &[]);
    let liar = node.others().last().unwrap();
    let id = chain.state.validators().get(liar).unwrap().id;
    let contradict = |node: &mut Node, chain: &Chain, nth: usize| {
        let pair = rivals(chain, nth);
        pair.iter().for_each(|tx| node.feed(Event::Transaction(tx.clone())));
        let votes = pair.iter().map(|tx| FinalityVote { kind: VoteKind::Lock, txid: tx.txid() }).collect();
        let batch = VoteBatch::signed(chain.state.chain_id(), 0, id, nth as u64, votes, &operator(liar));
        node.hear(Message::VoteBatch(Released::heard(batch)));
    };
    let looks = |node: &Node| node.consensus.evidence.looks.get(&id).copied();
    for nth in 0..2 {
        contradict(&mut node, &chain, nth);
        assert_eq!((looks(&node), pending(&node).len()), (Some(1), 1), "pair {nth}");
    }
    let piece = pending(&node);
    node.decide(&mut chain, START_MS + 2, false, &piece);
    assert!(node.consensus.state().registry().get(&id).unwrap().slashed.is_some());
    contradict(&mut node, &chain, 2);
    assert_eq!((looks(&node), pending(&node).len()), (None, 0), "it is slashed");
}

/// INV-EVIDENCE-4: who contradicts itself chooses the first pair.
#[test]
fn a_contradiction_that_can_not_be_proved_hides_none_that_can() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let liar = node.others().last().unwrap();
    let id_of = |place: usize| chain.state.validators().get(place).unwrap().id;
    let says = |node: &mut Node, place: usize, seq: u64, txids: &[TxId]| {
        let votes = txids.iter().map(|txid| FinalityVote { kind: VoteKind::Lock, txid: *txid }).collect();
        let batch = VoteBatch::signed(chain.state.chain_id(), 0, id_of(place), seq, votes, &operator(place));
        node.hear(Message::VoteBatch(Released::heard(batch)));
    };
    let [first, second] = [0, 1].map(|nth| rivals(&chain, nth));
    for pair in [&first, &second] {
        pair.iter().for_each(|tx| node.feed(Event::Transaction(tx.clone())));
    }
    for other in node.others().filter(|other| *other != liar).collect::<Vec<_>>() {
        says(&mut node, other, 0, &[first[0].txid()]);
    }
    // Beyond the quorum a tally keeps no place, and a second batch under a number is not kept.
    says(&mut node, liar, 0, &[TxId([9; 32])]);
    says(&mut node, liar, 0, &[first[0].txid()]);
    says(&mut node, liar, 1, &[first[1].txid()]);
    assert_eq!(pending(&node), [], "nobody can prove it");
    says(&mut node, liar, 2, &second.each_ref().map(|tx| tx.txid()));
    assert_eq!(pending(&node).iter().map(|piece| piece.validator()).collect::<Vec<_>>(), [id_of(liar)]);
}

/// A tally forgets where it had votes beyond the quorum from; the batches that are kept tell.
#[test]
fn who_contradicts_itself_beyond_a_quorum_is_accused_as_well() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let [payment, rival] = rivals(&chain, 0);
    node.feed(Event::Transaction(payment.clone()));
    node.feed(Event::Transaction(rival.clone()));
    // With its own vote two others make a quorum; the third comes behind it.
    node.hear_locks(payment.txid());
    let last = node.others().last().unwrap();
    let id = chain.state.validators().get(last).unwrap().id;
    let votes = vec![FinalityVote { kind: VoteKind::Lock, txid: rival.txid() }];
    let batch = VoteBatch::signed(chain.state.chain_id(), 0, id, 1, votes, &operator(last));
    node.hear(Message::VoteBatch(Released::heard(batch)));
    assert_eq!(pending(&node).iter().map(|piece| piece.validator()).collect::<Vec<_>>(), [id]);
}

/// INV-EVIDENCE-1.
#[test]
fn forged_evidence_accuses_nobody_and_its_sender_is_blamed() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let place = node.others().next().unwrap();
    let mut forged = contradiction(&chain, place).as_ref().clone();
    let Evidence::Votes(first, _) = &mut forged else { panic!("votes") };
    first.signature = Signature([7; 64]);
    let message = Message::Evidence(Arc::new(forged));
    let outputs = node.order(Event::Message { from: peer(), message, verified: false });
    assert!(outputs.iter().any(|output| matches!(output, Output::Misbehaved(from, _) if *from == peer())));
    assert!(pending(&node).is_empty());
}

/// Whoever hears both tells everybody.
#[test]
fn who_signs_two_votes_or_two_proposals_of_a_round_is_accused() {
    let chain = Chain::new();
    for are_votes in [true, false] {
        let mut node = Node::new(&chain, &[], START_MS + 2);
        let place = chain.state.proposer_order()[0];
        let said = [1, 2].map(|number| {
            if are_votes {
                node.block_vote(place, VoteStep::Prevote, Some(BlockHash([number; 32])))
            } else {
                chain.proposal(&chain.block(START_MS + TimeMs::from(number), false, &[]).0)
            }
        });
        for message in said {
            assert!(pending(&node).is_empty());
            node.hear(message);
        }
        let pieces = pending(&node);
        assert_eq!(pieces.len(), 1, "votes: {are_votes}");
        assert_eq!(pieces[0].validator(), chain.state.validators().get(place).unwrap().id);
        assert!(node.around.said.contains(&Message::Evidence(Arc::clone(&pieces[0]))));
        assert!(node.around.written.contains(&JournalRecord::Evidence(Arc::clone(&pieces[0]))));
    }
}

/// Peers are ahead or behind: what can't be judged here is nobody's fault.
#[test]
fn evidence_of_a_height_that_is_not_reached_blames_nobody() {
    let mut ahead = Chain::new();
    let mut node = Node::new(&ahead, &[], START_MS);
    let place = node.others().next().unwrap();
    ahead.grow(START_MS + 1);
    let first = ahead.state.epoch_start() + ahead.state.parameters().epoch_duration_ms;
    ahead.grow(first);
    ahead.grow_by(first + 1, true);
    let message = Message::Evidence(contradiction(&ahead, place));
    let outputs = node.order(Event::Message { from: peer(), message, verified: false });
    assert!(!outputs.iter().any(|output| matches!(output, Output::Misbehaved(..))));
    assert_eq!(pending(&node), []);
}

/// A flood of further contradictions of one masternode costs nothing, and goes no further.
#[test]
fn one_piece_of_evidence_against_a_masternode_is_enough() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let place = node.others().next().unwrap();
    let vote = |byte: u8| {
        let vote = BlockVote {
            step: VoteStep::Precommit,
            epoch: 0,
            height: 1,
            round: 0,
            value: Some(BlockHash([byte; 32])),
            validator: chain.state.validators().get(place).unwrap().id,
            signature: Signature::EMPTY,
        };
        vote.signed(chain.state.chain_id(), &operator(place))
    };
    let first = contradiction(&chain, place);
    let second = Arc::new(Evidence::of_votes(vote(3), vote(4)));
    for (piece, is_news) in [(&first, true), (&first, false), (&second, false)] {
        let message = Message::Evidence(Arc::clone(piece));
        let outputs = node.order(Event::Message { from: peer(), message, verified: false });
        let relays = |output: &Output| matches!(output, Output::Relay(Message::Evidence(_), _));
        let writes = |output: &Output| matches!(output, Output::Persist(_));
        assert_eq!((outputs.iter().any(relays), outputs.iter().any(writes)), (is_news, is_news));
    }
    assert_eq!(pending(&node), [first]);
}

/// The same where this node sees them itself: whoever contradicts itself at each step makes no flood of messages.
#[test]
fn further_contradictions_of_one_masternode_that_are_seen_here_are_not_told() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 2);
    let place = node.others().next().unwrap();
    for (step, is_news) in [(VoteStep::Prevote, true), (VoteStep::Precommit, false)] {
        node.around.said.clear();
        for number in [1, 2] {
            node.hear(node.block_vote(place, step, Some(BlockHash([number; 32]))));
        }
        let is_told = node.around.said.iter().any(|message| matches!(message, Message::Evidence(_)));
        assert_eq!(is_told, is_news, "{step:?}");
        assert_eq!(pending(&node).len(), 1);
    }
}

/// A precommit of a member for a block with a false set at this height.
fn foreign_precommit(chain: &Chain, place: usize, height: Height) -> Evidence {
    let mut header = Chain::new().block(START_MS + 50, false, &[]).0.header;
    header.height = height;
    header.validators_hash.0[0] ^= 1;
    let vote = BlockVote {
        step: VoteStep::Precommit,
        epoch: header.epoch,
        height,
        round: 1,
        value: Some(header.hash()),
        validator: chain.state.validators().get(place).unwrap().id,
        signature: Signature::EMPTY,
    };
    Evidence::of_foreign(0, vote.signed(chain.state.chain_id(), &operator(place)), header)
}

/// Whoever is shown a forged proof tells everybody, as with what it saw itself.
#[test]
fn what_a_forged_proof_shows_is_told_and_kept() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let place = node.others().next().unwrap();
    node.feed(Event::Accused(Box::new(foreign_precommit(&chain, place, 2))));
    assert_eq!(pending(&node), [], "of a height that is not reached");
    let piece = foreign_precommit(&chain, place, 1);
    node.feed(Event::Accused(Box::new(piece.clone())));
    let piece = Arc::new(piece);
    assert_eq!(pending(&node), [Arc::clone(&piece)]);
    assert!(node.around.said.contains(&Message::Evidence(Arc::clone(&piece))));
    assert!(node.around.written.contains(&JournalRecord::Evidence(piece)));
}

/// INV-EVIDENCE-3: the epoch whose key signed may be over while the height is not reached again.
#[test]
fn a_foreign_precommit_waits_for_its_height_after_the_chain_was_lost() {
    let mut chain = Chain::new();
    let mut blocks = vec![chain.grow(START_MS + 1)];
    let due_ms = chain.state.epoch_start() + chain.state.parameters().epoch_duration_ms;
    blocks.extend([chain.grow_by(due_ms, false), chain.grow_by(due_ms + 1, true)]);
    let place = Node::new(&chain, &blocks, due_ms + 2).others().next().unwrap();
    let piece = Arc::new(foreign_precommit(&chain, place, 5));
    let records = vec![JournalRecord::Evidence(Arc::clone(&piece))];
    let mut node = Node::with_records(&chain, &blocks, due_ms + 2, records);
    assert!((piece.epoch(), node.consensus.state().next_epoch()) == (0, 1) && pending(&node).is_empty());
    node.decide(&mut chain, due_ms + 2, false, &[]);
    assert_eq!(pending(&node), [piece]);
}
