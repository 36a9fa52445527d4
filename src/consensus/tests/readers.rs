//! What readers see of the chain, and what a start reads from the disk.

use super::super::events::Notification;
use super::super::observers::bytes_of;
use super::super::replay::{ReplayError, Replayed, index_change};
use super::super::sync::forks::BlockSource;
use super::super::view::{ConsensusView, RecentFirst};
use super::*;
use crate::storage::error::StorageError;
use crate::storage::index::IndexChange;
use crate::types::codec::encode;
use crate::types::message::HeldBatches;

fn view_of(node: &Node) -> ConsensusView {
    ConsensusView::new(&node.consensus, None)
}

#[test]
fn readers_see_whether_peers_are_further_than_the_block_that_is_being_decided() {
    let mut chain = Chain::new();
    let node = Node::new(&chain, &[], START_MS);
    let view = view_of(&node);
    for (target, is_syncing) in [(0, false), (1, false), (2, true)] {
        view.note_counts(target, 0, true);
        assert_eq!((view.sync_target(), view.is_syncing()), (target, is_syncing));
    }
    view.note_counts(0, 7, false);
    assert_eq!((view.certified_waiting(), view.has_heard_peers()), (7, false));
    let (_, applied) = chain.grow_applied(START_MS + 1, false);
    view.note(&Notification::BlockApplied(applied));
    assert_eq!((view.sync_target(), view.is_syncing()), (1, false), "this node has it itself");
}

#[test]
fn readers_see_the_fork_and_the_signs_of_life() {
    let mut chain = Chain::new();
    let mut other = chain.clone();
    let node = Node::new(&chain, &[], START_MS);
    let view = view_of(&node);
    assert!(view.fork().is_none() && view.heartbeats().is_empty());
    let [ours, theirs] = [chain.grow(START_MS + 1), other.grow(START_MS + 2)].map(|logged| {
        let CommittedBlock { block, commit } = logged.committed;
        (block.header, commit)
    });
    let fork = Arc::new(ForkProof::new(chain.state.validators(), ours, theirs));
    view.note(&Notification::ForkDetected(Arc::clone(&fork)));
    assert_eq!(view.fork(), Some(fork));
    let own = node.around.told.iter().find(|told| matches!(told, Notification::Heartbeats(_))).unwrap();
    view.note(own);
    assert_eq!(view.heartbeats().len(), 1, "its own");
}

/// Peers that are far behind ask for blocks that are in no memory any more.
#[test]
fn blocks_are_read_from_memory_or_else_from_the_log() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let node = Node::new(&chain, &blocks, START_MS + 1);
    let view = Arc::new(view_of(&node));
    let (second, applied) = chain.grow_applied(START_MS + 2, false);
    view.note(&Notification::BlockApplied(applied));
    let source = RecentFirst { view, log: node.around.log.reader() };
    let found = [1, 2, 3].map(|height| source.block(height).map(|it| it.block.header.hash()));
    let expected = [&blocks[0], &second].map(|logged| Some(logged.committed.block.header.hash()));
    assert_eq!(found, [expected[0], expected[1], None]);
}

/// Readers measure how late votes come, so they hear of each new one, once, and before what follows from it.
#[test]
fn readers_hear_of_each_members_new_votes_before_what_follows_from_them() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let payment = chain.payment(0);
    node.feed(Event::Transaction(payment.clone()));
    node.hear_locks(payment.txid());
    node.hear_locks(payment.txid());
    let voted = |told: &Notification| match told {
        Notification::VotesHeard { batch, was_asked } => {
            assert!(!was_asked && batch.votes.iter().all(|vote| vote.txid == payment.txid()));
            Some((batch.header.validator, batch.header.seq))
        }
        _ => None,
    };
    let told = &node.around.told;
    let heard: Vec<_> = told.iter().filter_map(voted).collect();
    let once: BTreeSet<_> = heard.iter().copied().collect();
    assert_eq!(heard.len(), once.len(), "a batch is told once: {heard:?}");
    let members: BTreeSet<_> = heard.iter().map(|(member, _)| *member).collect();
    assert_eq!(members.len(), usize::from(MEMBERS), "its own votes are told as well");
    let certified = told.iter().position(|told| matches!(told, Notification::Certified(_))).unwrap();
    let before = told[..certified].iter().filter_map(voted).count();
    assert!(before >= 3, "a quorum's votes are told before what they certify: {before}");
}

#[test]
fn readers_hear_whether_votes_came_because_a_peer_was_asked_for_them() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let member = node.others().next().unwrap();
    let mut status = node.consensus.status();
    status.batches[member] = HeldBatches { from: 0, until: 1 };
    node.hear(Message::Status(status));
    node.hear_locks(chain.payment(0).txid());
    let asked = chain.state.validators().get(member).unwrap().id;
    let told = node.around.told.iter().filter_map(|told| match told {
        Notification::VotesHeard { batch, was_asked } => Some((batch.header.validator, *was_asked)),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    assert!(told.len() >= 3 && told.iter().all(|(of, was_asked)| *was_asked == (*of == asked)), "{told:?}");
}

#[test]
fn readers_hear_of_each_precommit_once_the_own_and_late_ones_too() {
    let mut chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS + 1);
    let (block, outcome) = chain.block(START_MS + 1, false, &[]);
    let value = Some(block.header.hash());
    node.hear(chain.proposal(&block));
    node.hear_block_votes(VoteStep::Prevote, value);
    let votes: Vec<_> =
        node.others().map(|other| node.block_vote(other, VoteStep::Precommit, value)).collect();
    votes.iter().chain(&votes).for_each(|vote| node.hear(vote.clone()));
    assert_eq!(node.consensus.state().height(), 1, "a quorum is less than all");
    chain.commit(block, outcome);
    let told = node.around.told.iter().filter_map(|told| match told {
        Notification::PrecommitHeard { member, height: 1, round: 0 } => Some(*member),
        _ => None,
    });
    let mut told: Vec<_> = told.collect();
    told.sort_unstable();
    let mut all: Vec<_> = chain.state.validators().members().iter().map(|member| member.id).collect();
    all.sort_unstable();
    assert_eq!(told, all);
}

// -- replay -----------------------------------------------------------------------------------------------------------

fn logged(blocks: &[LoggedBlock]) -> BlockLog<MemoryDisk> {
    let chain_id = genesis().chain_id();
    let mut log = BlockLog::open(MemoryDisk::new(), Path::new("blocks"), chain_id).unwrap();
    for block in blocks {
        log.append(block).unwrap();
    }
    log
}

/// INV-REPLAY-3.
#[test]
fn a_replay_that_is_ended_goes_on_where_it_was() {
    let mut chain = Chain::new();
    let blocks: Vec<_> = (1..=5).map(|height| chain.grow(START_MS + height)).collect();
    let (log, index) = (logged(&blocks), Index::new(Arc::new(MemoryIndex::new())));
    let mut asked = 0;
    let ended = replay(&genesis(), &index, &log.reader(), &mut |_, _| {
        asked += 1;
        asked < 2
    });
    assert!(matches!(ended, Err(ReplayError::Storage(StorageError::Interrupted))));
    assert_eq!(index.mark().unwrap().map(|mark| mark.height), Some(2));
    let mut seen = Vec::new();
    let replayed = replay(&genesis(), &index, &log.reader(), &mut |done, total| {
        seen.push((done, total));
        true
    });
    assert_eq!(replayed.unwrap().state.tip_hash(), chain.state.tip_hash());
    let total = log.reader().bytes_above(2);
    let each = |height| log.reader().bytes_of(height);
    let expected = [each(3), each(3) + each(4), total].map(|done| (done, total));
    assert_eq!(seen[..3], expected, "what was done is not done again");
}

/// INV-REPLAY-3: it may be ended by a crash as well, and what waits for a mark waits in memory.
#[test]
fn a_long_replay_is_marked_on_its_way() {
    let mut chain = Chain::new();
    let blocks: Vec<_> = (1..=600).map(|height| chain.grow(START_MS + height)).collect();
    let (log, store) = (logged(&blocks), Arc::new(MemoryIndex::new()));
    let (mut height, mut most) = (0_u64, 0);
    let replayed = replay(&genesis(), &Index::new(store.clone()), &log.reader(), &mut |_, _| {
        // Once more for each block of the epoch afterwards.
        height = 600.min(height + 1);
        // As a start would find it if there were a crash now.
        let found = Index::new(store.clone()).mark().unwrap().map_or(0, |mark| mark.height);
        most = most.max(height.saturating_sub(found));
        true
    });
    assert_eq!(replayed.unwrap().state.tip_hash(), chain.state.tip_hash());
    assert!(most <= 512, "{most} blocks would be read again");
}

/// A chain without blocks has its mark as well: an index without one is made anew.
#[test]
fn an_index_of_the_genesis_document_alone_is_marked() {
    let (log, index) = (logged(&[]), Index::new(Arc::new(MemoryIndex::new())));
    replay(&genesis(), &index, &log.reader(), &mut |_, _| true).unwrap();
    assert_eq!(index.mark().unwrap().map(|mark| mark.height), Some(0));
}

/// What is settled is so in its epoch: in the next one locks begin anew.
#[test]
fn a_start_knows_the_transactions_of_the_blocks_of_the_epoch_that_goes_on() {
    let mut chain = Chain::new();
    let payments = [chain.payment(0), chain.payment(1)];
    let mut blocks = Vec::new();
    let settled = |blocks: &[LoggedBlock]| {
        let index = Index::new(Arc::new(MemoryIndex::new()));
        let replayed: Replayed =
            replay(&genesis(), &index, &logged(blocks).reader(), &mut |_, _| true).unwrap();
        replayed.settled.into_iter().collect::<Vec<_>>()
    };
    for (number, payment) in (1..).zip(&payments) {
        let (block, outcome) = chain.block(START_MS + number, false, std::slice::from_ref(payment));
        blocks.push(chain.commit(block, outcome));
    }
    let of_blocks = settled(&blocks);
    assert!(payments.iter().all(|payment| of_blocks.contains(&payment.txid())));
    let due = chain.state.epoch_due();
    blocks.push(chain.grow(due));
    assert_eq!(settled(&blocks).len(), of_blocks.len() + usize::from(chain_reward(&blocks[2])));
    blocks.push(chain.grow_by(due + 1, true));
    assert_eq!(settled(&blocks), []);
}

/// Whether a block has a transaction beside those of users: its reward.
fn chain_reward(logged: &LoggedBlock) -> bool {
    !logged.committed.block.transactions.is_empty()
}

/// INV-REPLAY-3: an epoch may have many blocks, and all of its blocks are read again.
#[test]
fn a_start_can_be_ended_while_it_reads_the_blocks_of_the_epoch_again() {
    let mut chain = Chain::new();
    let blocks: Vec<_> = (1..=5).map(|height| chain.grow(START_MS + height)).collect();
    let (log, index) = (logged(&blocks), Index::new(Arc::new(MemoryIndex::new())));
    replay(&genesis(), &index, &log.reader(), &mut |_, _| true).unwrap();
    let mut seen = Vec::new();
    let ended = replay(&genesis(), &index, &log.reader(), &mut |done, total| {
        seen.push((done, total));
        done < 3
    });
    assert!(matches!(ended, Err(ReplayError::Storage(StorageError::Interrupted))));
    assert_eq!(seen, [(1, 5), (2, 5), (3, 5)]);
}

/// Proofs of finality need them, and only the blocks can tell them afterwards.
#[test]
fn an_index_without_the_ends_of_epochs_is_made_anew() {
    let mut chain = Chain::new();
    let first = chain.grow(START_MS + 1);
    let due = chain.state.epoch_due();
    let blocks = [first, chain.grow(due), chain.grow_by(due + 1, true)];
    let (log, index) = (logged(&blocks), Index::new(Arc::new(MemoryIndex::new())));
    let (mut state, outputs) = LedgerState::genesis(&genesis()).unwrap();
    let block_hash = BlockHash(genesis().chain_id().0);
    let mut change = IndexChange {
        height: 0,
        block_hash,
        state: encode(&state),
        spent: Vec::new(),
        created: outputs,
        replaced: Vec::new(),
        transactions: Vec::new(),
        receipts: Vec::new(),
        epoch_end: None,
        fuller: None,
        evidence: Vec::new(),
    };
    index.apply(&change).unwrap();
    for logged in &blocks {
        let block = &logged.committed.block;
        let outcome = transition::replay(&state, &logged.spent, block).unwrap();
        change = IndexChange {
            epoch_end: None,
            ..index_change(block, &logged.committed.commit, (&outcome).into())
        };
        index.apply(&change).unwrap();
        state = outcome.state;
    }
    index.set_mark(3, change.block_hash, &change.state).unwrap();
    assert_eq!(index.epoch_end(0).unwrap(), None);
    let replayed = replay(&genesis(), &index, &log.reader(), &mut |_, _| true).unwrap();
    assert_eq!(replayed.state.tip_hash(), chain.state.tip_hash());
    assert_eq!(index.epoch_end(0).unwrap().map(|(height, _)| height), Some(3));
}

/// INV-OBSERVE-2: else blocks of any size could wait for observers that are slow.
#[test]
fn a_block_that_waits_for_observers_counts_with_its_bodies() {
    let chain = Chain::new();
    let payments = [0, 1, 2].map(|nth| chain.payment_of_bytes(nth, 30_000));
    let mut node = Node::new(&chain, &[], START_MS + 1);
    for (seq, payment) in (0..).zip(&payments) {
        node.feed(Event::Transaction(payment.clone()));
        node.hear_locks_as(payment.txid(), seq);
    }
    let (block, _) = chain.block(START_MS + 1, false, &payments);
    node.hear(chain.proposal(&block));
    node.hear_block_votes(VoteStep::Prevote, block.header.hash());
    node.hear_block_votes(VoteStep::Precommit, block.header.hash());
    let told = node.around.told.iter().find(|it| matches!(it, Notification::BlockApplied(_))).unwrap();
    let Notification::BlockApplied(applied) = told else { unreachable!() };
    let outputs = applied.created.len() * size_of::<(OutPoint, UtxoEntry)>();
    let bodies: usize = payments.iter().map(CheckedTransaction::encoded_bytes).sum();
    assert!(bytes_of(told) >= outputs + bodies, "{} of {outputs} and {bodies}", bytes_of(told));
}

/// INV-OBSERVE-2: whatever carries a body counts with all of it.
#[test]
fn what_waits_for_readers_counts_with_the_bodies_that_it_carries() {
    let chain = Chain::new();
    let payment = chain.payment(0);
    let body = payment.encoded_bytes();
    for notification in [
        Notification::Locked(payment.clone()),
        Notification::Finalized(payment.clone()),
        Notification::Conflicting { transaction: payment, locked_to: TxId([1; 32]) },
    ] {
        assert!(bytes_of(&notification) >= body, "{notification:?}");
    }
}
