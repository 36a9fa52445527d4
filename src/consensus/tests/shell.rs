//! The node's shell around real threads, a network on loopback and a disk in memory.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::consensus::block_commit::{BLOCK_ORDERS_MAX, BlockOrder};
use crate::consensus::dispatch::Consensus;
use crate::consensus::engine::{BodyChecks, NodeShell};
use crate::consensus::events::{
    Answer, BatchesEnd, JournalOrder, Notification, Recipient, Shell as _, execute,
};
use crate::consensus::inbox::{ConsensusHandle, ConsensusInbox};
use crate::consensus::observers::{Observer, start_observers};
use crate::consensus::serve::AnswerServer;
use crate::consensus::sync::ahead_thread::AheadSender;
use crate::consensus::timeout_monitor::TimeoutMonitor;
use crate::consensus::verify::Voters;
use crate::consensus::view::ConsensusView;
use crate::consensus::vote_journal::start_journal;
use crate::network::tests::support::{
    Node as Peer, eventually, heard_of_node as heard, key, node_with_peers, patient,
};
use crate::network::{NetworkHandle, PeerId};
use crate::runtime::TaskRegistry;
use crate::storage::memory_disk::Fault;
use crate::types::MasternodeId;
use crate::utxo::UtxoManager;

/// Admission, which remembers what it was told, and may do something about each transaction.
#[derive(Default)]
pub(super) struct Bodies {
    pub(super) requested: Mutex<Vec<TxId>>,
    pub(super) checked: Mutex<Vec<(PeerId, TxId)>>,
    pub(super) on_check: Mutex<Option<OnCheck>>,
}

pub(super) type OnCheck = Box<dyn FnMut(&TxId) + Send>;

impl BodyChecks for Bodies {
    fn bodies_requested(&self, txids: &[TxId]) {
        self.requested.lock().extend(txids);
    }

    fn check_transactions(&self, from: PeerId, transactions: Vec<Arc<Transaction>>) {
        for transaction in transactions {
            let txid = transaction.txid();
            self.checked.lock().push((from, txid));
            if let Some(act) = &mut *self.on_check.lock() {
                act(&txid);
            }
        }
    }
}

struct Watcher(SyncSender<Notification>);

impl Observer for Watcher {
    fn notified(&mut self, notification: Notification) {
        let _full = self.0.try_send(notification);
    }
}

/// What the shell's threads do, as the rest of the node sees it.
pub(super) struct Around {
    pub(super) registry: TaskRegistry,
    pub(super) handle: Arc<ConsensusHandle>,
    pub(super) inbox: ConsensusInbox,
    pub(super) view: Arc<ConsensusView>,
    pub(super) bodies: Arc<Bodies>,
    pub(super) blocks: Receiver<BlockOrder>,
    pub(super) told: Receiver<Notification>,
    pub(super) disk: MemoryDisk,
}

/// A node that was just opened, in a shell of its own.
pub(super) fn shell_of(chain: &Chain, network: &NetworkHandle) -> (Consensus, NodeShell, Around) {
    let (last, disk) = (*chain.state.proposer_order().last().unwrap(), MemoryDisk::new());
    let node = Node::on_disk(&disk, operator(last), 0, &[], 0, Vec::new());
    let SingleNode { consensus, around, .. } = node;
    let registry = TaskRegistry::new(CancellationToken::new());
    let state = consensus.state();
    let (chain_id, epoch, set) = (*state.chain_id(), state.next_epoch(), Arc::clone(state.validators()));
    let (handle, inbox) = ConsensusHandle::new(Voters { chain_id, epoch, set });
    let view = Arc::new(ConsensusView::new(&consensus, Some(operator(last).public())));
    let (watcher, told) = sync_channel(1_000);
    let (block_orders, blocks) = sync_channel(BLOCK_ORDERS_MAX);
    let elapsed = Arc::clone(&handle);
    let bodies = Arc::new(Bodies::default());
    let utxos = Arc::new(UtxoManager::new(Arc::new(Index::new(Arc::new(MemoryIndex::new()))), 1 << 20));
    let shell = NodeShell {
        handle: Arc::clone(&handle),
        view: Arc::clone(&view),
        utxos,
        journal: start_journal(around.journal, Arc::clone(&handle), network.clone(), &registry).unwrap(),
        blocks: block_orders,
        ahead: AheadSender::start(Arc::clone(&handle), Arc::new(SequentialVerifier), &registry).unwrap(),
        answers: AnswerServer::start("answers to peers", around.assembler, network.clone(), &registry)
            .unwrap(),
        timers: TimeoutMonitor::start(&registry, move |timer| elapsed.hand_in(Event::TimeoutElapsed(timer)))
            .unwrap(),
        network: network.clone(),
        bodies: Arc::clone(&bodies) as _,
        observers: start_observers(Watcher(watcher), &registry).unwrap(),
        told: Vec::new(),
        failures: registry.clone(),
    };
    (consensus, shell, Around { registry, handle, inbox, view, bodies, blocks, told, disk })
}

fn batch(seq: u64) -> Arc<VoteBatch> {
    let votes = vec![FinalityVote { kind: VoteKind::Lock, txid: TxId([9; 32]) }];
    let chain_id = genesis().chain_id();
    Arc::new(VoteBatch::signed(&chain_id, 0, MasternodeId([1; 32]), seq, votes, &operator(0)))
}

fn says(seq: u64) -> Output {
    let records = vec![JournalRecord::EpochStarted { epoch: seq }];
    Output::Persist(Staged { records, release: vec![OwnMessage::VoteBatch(batch(seq))] })
}

fn spoken(seq: u64) -> Message {
    Message::VoteBatch(Released::heard(VoteBatch::clone(&batch(seq))))
}

/// Each order goes where it is meant to go, and nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn every_order_is_carried_out() {
    let (node, mut second, mut third) = node_with_peers().await;
    let chain = Chain::new();
    let (_, mut shell, around) = shell_of(&chain, &node.handle);
    let (to, other) = (key(2), key(3));
    let question = || Message::GetTransactions(vec![TxId([1; 32]), TxId([2; 32])]);
    let announced = |byte| Message::Announce(vec![TxId([byte; 32])]);
    let payment = chain.payment(0);

    execute(vec![Output::Send(to, question())], &mut shell);
    assert_eq!(
        *around.bodies.requested.lock(),
        [TxId([1; 32]), TxId([2; 32])],
        "else the answers came unasked"
    );
    assert_eq!(heard(&mut second).await, question());
    execute(vec![Output::Send(to, announced(3))], &mut shell);
    assert_eq!(around.bodies.requested.lock().len(), 2, "nothing else asks for bodies");
    assert_eq!(heard(&mut second).await, announced(3));

    execute(vec![Output::Relay(announced(4), Some(to)), Output::Relay(announced(5), None)], &mut shell);
    assert_eq!(heard(&mut second).await, announced(5), "it came from there");
    // What was sent to the second one alone did not come here.
    assert_eq!(heard(&mut third).await, announced(4));
    assert_eq!(heard(&mut third).await, announced(5));

    let validator = MasternodeId([1; 32]);
    let answer = |before_seq| {
        let end = BatchesEnd { epoch: 0, validator, before_seq };
        Answer::Batches { batches: Vec::new(), end }
    };
    let end = |before_seq| Message::BatchesEnd { epoch: 0, validator, before_seq };
    execute(vec![Output::Serve(Recipient::Peer(other), answer(1))], &mut shell);
    assert_eq!(heard(&mut third).await, end(1));
    execute(vec![Output::Serve(Recipient::All, answer(2))], &mut shell);
    assert_eq!(heard(&mut second).await, end(2));
    assert_eq!(heard(&mut third).await, end(2));

    execute(vec![Output::CheckTransactions(other, vec![Arc::clone(payment.transaction())])], &mut shell);
    assert_eq!(*around.bodies.checked.lock(), [(other, payment.txid())]);
    execute(vec![Output::Schedule(Timer::HeightDue(7), 1)], &mut shell);
    eventually(|| around.handle.has_own()).await;
    let own = around.handle.take_own();
    assert!(matches!(own.into_iter().collect::<Vec<_>>()[..], [Event::TimeoutElapsed(Timer::HeightDue(7))]));

    execute(vec![Output::Misbehaved(other, "a rule")], &mut shell);
    let points = |peer| node.handle.peers().iter().find(|info| info.peer == peer).unwrap().score;
    assert_eq!((points(to), points(other)), (0, 20));
    let (block, outcome) = chain.block(START_MS + 1, false, &[]);
    let logged = chain.clone().commit(block, outcome);
    execute(vec![Output::CommitBlock(Box::new(logged.clone()))], &mut shell);
    let Ok(BlockOrder::Append(ordered)) = around.blocks.try_recv() else { panic!("no block") };
    assert_eq!(ordered.committed, logged.committed);
    assert_eq!(around.registry.failure(), None);
}

/// Order in the journal is order on the wire, and the node hears of its words when they are out.
#[tokio::test(flavor = "multi_thread")]
async fn own_words_are_durable_then_sent_then_heard() {
    let (node, mut second, mut third) = node_with_peers().await;
    let (_, mut shell, around) = shell_of(&Chain::new(), &node.handle);
    execute(vec![says(0), Output::PruneJournal(0), says(1)], &mut shell);
    for peer in [&mut second, &mut third] {
        assert_eq!(heard(peer).await, spoken(0));
        assert_eq!(heard(peer).await, spoken(1));
    }
    let mut persisted = Vec::new();
    eventually(|| {
        persisted.extend(around.handle.take_own());
        persisted.len() == 2
    })
    .await;
    let messages: Vec<Message> = persisted
        .into_iter()
        .flat_map(|event| match event {
            Event::Persisted(durable) => durable,
            other => panic!("{other:?}"),
        })
        .map(Message::from)
        .collect();
    assert_eq!(messages, [spoken(0), spoken(1)]);
}

/// INV-VOTE-JOURNAL-2.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_fails_stops_the_node_and_sends_nothing() {
    let (node, mut second, _third) = node_with_peers().await;
    let (_, mut shell, around) = shell_of(&Chain::new(), &node.handle);
    around.disk.fail_after(1, Fault::InputOutput);
    execute(vec![says(0)], &mut shell);
    patient(around.registry.token().cancelled()).await;
    assert_eq!(around.registry.failure().unwrap().task, "vote journal");
    assert!(!around.handle.has_own(), "nothing was released");
    // What was asked for later does not go out either, and whoever asks learns it.
    eventually(|| shell.journal.send(JournalOrder::Prune(0)).is_err()).await;
    shell.failures = TaskRegistry::new(CancellationToken::new());
    execute(vec![says(1)], &mut shell);
    assert_eq!(shell.failures.failure().unwrap().message, "the vote journal's thread is gone");
    execute(vec![Output::Relay(spoken(2), None)], &mut shell);
    assert_eq!(heard(&mut second).await, spoken(2), "the votes before it were not sent");
}

/// Without one of these threads the node would vote, or decide, and nothing would come of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_node_stops_when_the_block_log_is_gone() {
    let node = Peer::start(1).await;
    let chain = Chain::new();
    let (_, mut shell, around) = shell_of(&chain, &node.handle);
    drop(around.blocks);
    let (block, outcome) = chain.block(START_MS + 1, false, &[]);
    shell.commit_block(Box::new(chain.clone().commit(block, outcome)));
    assert_eq!(around.registry.failure().unwrap().message, "the block log's thread is gone");
    assert!(around.registry.token().is_cancelled());
}

/// Readers, observers and the checks of signatures follow the chain; the latter only when its set changes.
#[tokio::test(flavor = "multi_thread")]
async fn readers_and_checks_of_signatures_hear_of_a_block() {
    let network = Peer::start(1).await;
    let mut chain = Chain::new();
    let (_, mut shell, around) = shell_of(&chain, &network.handle);
    let due = START_MS + 1 + chain.state.parameters().epoch_duration_ms;
    for (time, epoch_end, epoch) in [(START_MS + 1, false, 0), (due, false, 0), (due + 1, true, 1)] {
        let voters = around.handle.voters();
        let (_, applied) = chain.grow_applied(time, epoch_end);
        execute(vec![Output::Notify(Notification::BlockApplied(applied))], &mut shell);
        assert_eq!(around.view.state().tip_hash(), chain.state.tip_hash());
        let voters_now = around.handle.voters();
        assert_eq!((voters_now.epoch, voters_now.chain_id), (epoch, *chain.state.chain_id()));
        assert_eq!(Arc::ptr_eq(&voters, &voters_now), !epoch_end, "they are swapped with the epoch");
        assert_eq!(voters_now.set, *chain.state.validators());
    }
}
