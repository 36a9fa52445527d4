//! What certifies a transaction is on disk before `Final` leaves, wherever the votes stand.

use super::*;
use crate::consensus::events::Notification;
use crate::consensus::heartbeats::HEARTBEAT_INTERVAL_MS;
use crate::consensus::replay::{BlockEffects, index_change};
use crate::consensus::view::ConsensusView;
use crate::types::Certificate;

impl Node {
    /// `Lock` votes of these members, each of a batch of its own.
    pub(super) fn certificate(&self, txid: TxId, members: &[usize]) -> Message {
        let (state, vote) = (self.consensus.state(), FinalityVote { kind: VoteKind::Lock, txid });
        let epoch = state.next_epoch();
        let prove = |member: &usize| {
            let id = state.validators().get(*member).unwrap().id;
            let batch = VoteBatch::signed(state.chain_id(), epoch, id, 0, vec![vote], &operator(*member));
            batch.prove(0).unwrap()
        };
        let votes = members.iter().map(prove).collect();
        Message::Certificates(vec![Released::heard(Certificate { vote, epoch, votes })])
    }

    fn journaled_certificates(&self) -> usize {
        self.around.written.iter().filter(|record| matches!(record, JournalRecord::Certificate(_))).count()
    }

    fn has_promised(&self, txid: TxId) -> bool {
        let promise = FinalityVote { kind: VoteKind::Final, txid };
        let makes = |message: &Message| match message {
            Message::VoteBatch(batch) => batch.votes.contains(&promise),
            _ => false,
        };
        self.around.said.iter().any(makes)
    }
}

/// INV-ENGINE-3, INV-RESTORE-1.
#[test]
fn the_certificate_behind_a_promise_is_durable_before_it() {
    for body_first in [true, false] {
        let (chain, payment) = (Chain::new(), Chain::new().payment(0));
        let txid = payment.txid();
        let mut node = Node::new(&chain, &[], START_MS);
        let others: Vec<usize> = node.others().collect();
        let certificate = node.certificate(txid, &others);
        let body = Event::Transaction(payment);
        if body_first {
            node.feed(body);
            assert!(!node.has_promised(txid));
            node.hear(certificate);
        } else {
            node.hear(certificate);
            assert!(!node.has_promised(txid), "it has no body yet");
            node.feed(body);
        }
        assert!(node.has_promised(txid));
        assert_eq!(node.journaled_certificates(), 1);
        // Nobody else is there: what is certified after a restart is so by the journal alone.
        let again = Node::with_records(&chain, &[], START_MS, node.around.written);
        assert!(again.consensus.finality().promises().contains(&txid));
        assert!(
            again.consensus.finality().is_certified(&txid),
            "else it could keep its epoch from ending for ever"
        );
    }
}

#[test]
fn a_certificate_that_comes_again_is_written_once() {
    let (chain, payment) = (Chain::new(), Chain::new().payment(0));
    let txid = payment.txid();
    let mut node = Node::new(&chain, &[], START_MS);
    node.feed(Event::Transaction(payment));
    let others: Vec<usize> = node.others().collect();
    node.hear(node.certificate(txid, &others));
    node.hear(node.certificate(txid, &others));
    assert!(node.has_promised(txid));
    assert_eq!(node.journaled_certificates(), 1);
    let again = Node::with_records(&chain, &[], START_MS, node.around.written);
    assert!(again.consensus.finality().is_certified(&txid));
    assert_eq!(again.journaled_certificates(), 0, "the journal has it");
}

#[test]
fn votes_that_are_no_quorum_certify_nothing_and_cost_no_check() {
    let (chain, payment) = (Chain::new(), Chain::new().payment(0));
    let txid = payment.txid();
    let mut node = Node::new(&chain, &[], START_MS);
    node.feed(Event::Transaction(payment));
    let others: Vec<usize> = node.others().collect();
    let message = node.certificate(txid, &others[..2]);
    let outputs = node.order(Event::Message { from: peer(), message, verified: false });
    assert!(outputs.iter().any(|output| matches!(output, Output::Misbehaved(from, _) if *from == peer())));
    assert!(!node.consensus.finality().is_certified(&txid));
}

#[test]
fn a_heartbeat_leaves_behind_the_batches_that_it_counts() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    node.now_ms += HEARTBEAT_INTERVAL_MS;
    let outputs = node.order(Event::Transaction(chain.payment(0)));
    let is_heartbeat = |output: &Output| matches!(output, Output::Relay(Message::Heartbeat(_), _));
    assert!(!outputs.iter().any(is_heartbeat), "its batch is not durable yet");
    let staged = outputs.into_iter().filter_map(|output| match output {
        Output::Persist(staged) => Some(staged.release),
        _ => None,
    });
    let said: Vec<OwnMessage> = staged.flatten().collect();
    let [OwnMessage::VoteBatch(batch), OwnMessage::Heartbeat(heartbeat)] = said.as_slice() else {
        panic!("{said:?}")
    };
    assert_eq!(heartbeat.next_seq, batch.header.seq + 1);
}

#[test]
fn the_index_names_the_transaction_that_spent_an_output() {
    let chain = Chain::new();
    let payment = chain.payment(0);
    let (block, outcome) = chain.block(START_MS + 1, false, std::slice::from_ref(&payment));
    let change = index_change(&block, &Commit::default(), BlockEffects::from(&outcome));
    let spent: Vec<_> = change.spent.iter().map(|(outpoint, _, by)| (*outpoint, *by)).collect();
    assert_eq!(spent, [(payment.inputs()[0], payment.txid())]);
}

/// INV-RESTORE-1.
#[test]
fn the_votes_behind_a_promise_certify_again_after_a_restart() {
    let (chain, payment) = (Chain::new(), Chain::new().payment(0));
    let txid = payment.txid();
    let mut node = Node::new(&chain, &[], START_MS);
    node.hear_locks(txid);
    node.feed(Event::Transaction(payment));
    assert!(node.has_promised(txid));
    let again = Node::with_records(&chain, &[], START_MS, node.around.written);
    assert!(again.consensus.finality().is_certified(&txid), "nobody has to send them again");
}

/// Readers must not be told of a vote that a crash could take back.
#[test]
fn what_was_voted_is_told_when_it_is_durable() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let payment = chain.payment(0);
    let is_told = |outputs: &[Output]| {
        let tells = |output: &Output| matches!(output, Output::Notify(Notification::Voted(txids)) if *txids == [payment.txid()]);
        outputs.iter().any(tells)
    };
    let outputs = node.order(Event::Transaction(payment.clone()));
    assert!(!is_told(&outputs));
    let staged = outputs.into_iter().filter_map(|output| match output {
        Output::Persist(staged) => Some(staged),
        _ => None,
    });
    let durable = node.around.journal.commit(staged.collect()).unwrap();
    assert!(is_told(&node.order(Event::Persisted(durable))));
}

/// INV-FIN-6: blocks say what those votes said.
#[test]
fn batches_whose_votes_all_are_in_the_chain_are_kept_no_more() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1);
    let payment = chain.payment(0);
    node.feed(Event::Transaction(payment.clone()));
    node.hear_locks(payment.txid());
    let other = node.others().next().unwrap();
    assert!(node.consensus.finality.batches().get(other, 0).is_some());
    let (block, _) = chain.block(START_MS + 1, false, &[payment]);
    node.hear(chain.proposal(&block));
    for step in [VoteStep::Prevote, VoteStep::Precommit] {
        node.hear_block_votes(step, block.header.hash());
    }
    assert_eq!(node.consensus.state().tip_hash(), block.header.hash());
    assert!(node.consensus.finality.batches().get(other, 0).is_none());
    assert!(node.consensus.finality.batches().has(other, 0), "it is not asked for again");
}

#[test]
fn readers_see_a_block_that_was_applied_at_once() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1);
    let view = ConsensusView::new(&node.consensus, None);
    let (block, _) = chain.block(START_MS + 1, false, &[]);
    let hash = block.header.hash();
    node.hear(chain.proposal(&block));
    node.hear_block_votes(VoteStep::Prevote, hash);
    let mut outputs = Vec::new();
    for place in node.others().collect::<Vec<_>>() {
        let message = node.block_vote(place, VoteStep::Precommit, Some(hash));
        outputs.extend(node.order(Event::Message { from: peer(), message, verified: false }));
    }
    let decided = outputs.into_iter().find_map(|output| match output {
        Output::CommitBlock(block) => Some(block),
        _ => None,
    });
    let mut log = BlockLog::open(MemoryDisk::new(), Path::new("blocks"), genesis().chain_id()).unwrap();
    let durable = log.append(&decided.unwrap()).unwrap();
    for output in node.order(Event::BlockPersisted(durable)) {
        if let Output::Notify(notification) = output {
            view.note(&notification);
        }
    }
    assert_eq!(view.state().tip_hash(), hash);
    assert_eq!(view.recent_height(&hash), Some(1));
    assert_eq!(view.recent_block(1).map(|block| block.block.header.hash()), Some(hash));
}
