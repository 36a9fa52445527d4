//! The thread of consensus, and the checks of signatures before it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::shell::{Around, Bodies, shell_of};
use super::*;
use crate::consensus::dispatch::Consensus;
use crate::consensus::engine::{EngineParts, NodeShell, URGENT_BURST, start_engine};
use crate::consensus::events::{Notification, Now, Progress, Signing};
use crate::consensus::inbox::ConsensusInbox;
use crate::consensus::incoming::{VERIFY_BATCH, VERIFY_JOBS_MAX, verify_urgent};
use crate::network::PeerId;
use crate::network::events::{EventSender, Held, event_queue};
use crate::network::peer::Standing;
use crate::network::tests::support::{
    Node as Peer, eventually, heard_of_node as heard, key, node_with_peers, patient,
};
use crate::runtime::{Clock, CpuPool, TaskRegistry};
use crate::types::message::NodeStatus;
use crate::types::{SignatureCheck, SignatureVerifier};

fn body(number: usize) -> Arc<Transaction> {
    Arc::new(Transaction::transfer(Vec::new(), Vec::new(), number.to_le_bytes().to_vec()))
}

/// An event of which admission hears at once.
fn body_event(number: usize) -> Event {
    Event::Message { from: key(9), message: Message::Transaction(body(number)), verified: false }
}

fn run(parts: (Consensus, NodeShell), outputs: Vec<Output>, inbox: ConsensusInbox, registry: &TaskRegistry) {
    let (consensus, shell) = parts;
    start_engine(EngineParts { consensus, outputs, inbox, shell }, registry).unwrap();
}

/// The numbers of the bodies that admission heard of, in order.
fn numbers(bodies: &Bodies, most: usize) -> Vec<usize> {
    let names: Vec<TxId> = (0..most).map(|number| body(number).txid()).collect();
    let number = |txid: &TxId| names.iter().position(|name| name == txid).unwrap();
    bodies.checked.lock().iter().map(|(_, txid)| number(txid)).collect()
}

/// Own events first, then urgent ones of peers, then bulk ones; and each lane moves however full the others are.
#[tokio::test(flavor = "multi_thread")]
async fn the_lanes_are_taken_in_their_order_and_none_starves() {
    const OWN: usize = 3;
    const URGENT: usize = 2 * URGENT_BURST + 10;
    const BULK: usize = 6;
    let network = Peer::start(1).await;
    let (consensus, shell, around) = shell_of(&Chain::new(), &network.handle);
    let Around { registry, handle, inbox, bodies, .. } = around;
    for number in 0..OWN {
        handle.hand_in(body_event(number));
    }
    for number in OWN..OWN + URGENT {
        handle.urgent(body_event(number)).await.unwrap();
    }
    for number in OWN + URGENT..OWN + URGENT + BULK {
        handle.bulk(body_event(number)).await.unwrap();
    }
    // In the midst of the first burst something own becomes due.
    let (own, first) = (Arc::clone(&handle), body(OWN).txid());
    *bodies.on_check.lock() = Some(Box::new(move |txid| {
        if *txid == first {
            own.hand_in(body_event(1_000));
        }
    }));
    run((consensus, shell), Vec::new(), inbox, &registry);
    let total = OWN + URGENT + BULK + 1;
    eventually(|| bodies.checked.lock().len() == total).await;
    let (urgent, bulk) = (OWN, OWN + URGENT);
    let mut expected: Vec<usize> = (0..OWN).collect();
    expected.extend(urgent..urgent + URGENT_BURST);
    expected.extend([bulk, 1_000]);
    expected.extend(urgent + URGENT_BURST..urgent + 2 * URGENT_BURST);
    expected.push(bulk + 1);
    expected.extend(urgent + 2 * URGENT_BURST..urgent + URGENT);
    expected.extend(bulk + 2..bulk + BULK);
    assert_eq!(numbers(&bodies, 1_001), expected);
    registry.token().cancel();
    registry.shutdown(Duration::from_secs(5)).await.unwrap();
}

/// Else a clock that is set back would stop this node until it shows the old time again.
#[test]
fn intervals_run_on_the_clock_that_nobody_sets_and_times_are_said_by_the_other_one() {
    let before = Clock.monotonic_ms();
    let now = Now::read();
    let between = before..=Clock.monotonic_ms();
    assert!(between.contains(&now.monotonic_ms), "{now:?} of {between:?}");
    assert!(!between.contains(&now.wall_ms), "{now:?} of {between:?}");
}

/// A row of bulk events ends as soon as something that matters more is there.
#[tokio::test(flavor = "multi_thread")]
async fn what_matters_more_waits_for_one_bulk_event_at_most() {
    for is_own in [false, true] {
        let network = Peer::start(1).await;
        let (consensus, shell, around) = shell_of(&Chain::new(), &network.handle);
        let Around { registry, handle, inbox, bodies, .. } = around;
        for number in 0..10 {
            handle.bulk(body_event(number)).await.unwrap();
        }
        let (later, runtime) = (Arc::clone(&handle), tokio::runtime::Handle::current());
        let third = body(2).txid();
        *bodies.on_check.lock() = Some(Box::new(move |txid| {
            if *txid == third && is_own {
                later.hand_in(body_event(99));
            } else if *txid == third {
                runtime.block_on(later.urgent(body_event(99))).unwrap();
            }
        }));
        run((consensus, shell), Vec::new(), inbox, &registry);
        eventually(|| bodies.checked.lock().len() == 11).await;
        assert_eq!(numbers(&bodies, 100), [0, 1, 2, 99, 3, 4, 5, 6, 7, 8, 9], "own: {is_own}");
        registry.token().cancel();
        registry.shutdown(Duration::from_secs(5)).await.unwrap();
    }
}

/// INV-OBSERVE-1, where consensus says it.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_orders_are_carried_out_and_observers_hear_them_in_their_order() {
    let network = Peer::start(1).await;
    let (consensus, shell, around) = shell_of(&Chain::new(), &network.handle);
    let progress = Progress { height: 77, ..Progress::clone(&around.view.progress()) };
    let said = [
        Notification::SigningChanged(Signing::KeyCopied),
        Notification::Certified(TxId([1; 32])),
        Notification::Progress(progress),
    ];
    let outputs = said.iter().cloned().map(Output::Notify).collect();
    let Around { registry, inbox, view, told, .. } = around;
    run((consensus, shell), outputs, inbox, &registry);
    let heard = tokio::task::spawn_blocking(move || {
        let next = || told.recv_timeout(Duration::from_secs(10)).unwrap();
        [next(), next(), next()]
    });
    assert!(matches!(
        heard.await.unwrap(),
        [
            Notification::SigningChanged(Signing::KeyCopied),
            Notification::Certified(_),
            Notification::Progress(_)
        ]
    ));
    assert_eq!(view.signing(), Signing::KeyCopied);
    registry.token().cancel();
    // With it those end that it feeds: the journal, timers, answers, observers.
    registry.shutdown(Duration::from_secs(5)).await.unwrap();
}

/// What an event brought is told when it was handled, though nothing follows.
#[tokio::test(flavor = "multi_thread")]
async fn a_sleeping_thread_hears_each_lane_and_tells_at_once() {
    let network = Peer::start(1).await;
    let chain = Chain::new();
    let (consensus, shell, around) = shell_of(&chain, &network.handle);
    let Around { registry, handle, inbox, told, view, .. } = around;
    run((consensus, shell), Vec::new(), inbox, &registry);
    let told = std::sync::Mutex::new(told);
    let is_told =
        |wanted: &dyn Fn(&Notification) -> bool| told.lock().unwrap().try_iter().any(|it| wanted(&it));
    eventually(|| handle.is_attached()).await;
    let payment = chain.payment(0);
    let txid = payment.txid();
    handle.bulk(Event::Transaction(payment)).await.unwrap();
    eventually(|| is_told(&|it| matches!(it, Notification::Locked(_)))).await;
    for place in 0..MEMBERS.into() {
        let id = chain.state.validators().get(place).unwrap().id;
        let votes = vec![FinalityVote { kind: VoteKind::Lock, txid }];
        let batch = VoteBatch::signed(chain.state.chain_id(), 0, id, 0, votes, &operator(place));
        let message = Message::VoteBatch(Released::heard(batch));
        // One under its own key would stop it.
        if Some(id) != view.own_seat() {
            handle.urgent(Event::Message { from: key(2), message, verified: true }).await.unwrap();
        }
    }
    eventually(|| is_told(&|it| matches!(it, Notification::Certified(name) if *name == txid))).await;
    // Counts are taken with each look at the clock, and nobody has to hand anything in for that.
    assert!(!view.has_heard_peers());
    eventually(|| view.certified_waiting() == 1).await;
    handle.hand_in(Event::PeerConnected(key(2)));
    let status = NodeStatus {
        height: 0,
        horizon: 1,
        tip: chain.state.tip_hash(),
        epoch: 0,
        round: 0,
        has_proposal: false,
        prevotes: crate::types::SignerBitmap::empty(4),
        precommits: crate::types::SignerBitmap::empty(4),
        batches: Vec::new(),
    };
    let message = Message::Status(status);
    handle.bulk(Event::Message { from: key(2), message, verified: false }).await.unwrap();
    eventually(|| view.has_heard_peers()).await;
    registry.token().cancel();
    registry.shutdown(Duration::from_secs(5)).await.unwrap();
    assert_eq!(registry.failure(), None);
}

/// It stands in the middle of nothing: peers hear where it stands though nothing happens.
#[tokio::test(flavor = "multi_thread")]
async fn time_passes_for_consensus_when_nothing_happens() {
    let (network, mut second, _third) = node_with_peers().await;
    let (consensus, shell, around) = shell_of(&Chain::new(), &network.handle);
    let Around { registry, inbox, .. } = around;
    run((consensus, shell), Vec::new(), inbox, &registry);
    for _ in 0..2 {
        let mut message = heard(&mut second).await;
        while !matches!(message, Message::Status(_)) {
            message = heard(&mut second).await;
        }
    }
    registry.token().cancel();
    registry.shutdown(Duration::from_secs(5)).await.unwrap();
}

/// Else it would vote on outputs that it can't see.
#[tokio::test(flavor = "multi_thread")]
async fn the_node_stops_when_outputs_cannot_be_read() {
    let network = Peer::start(1).await;
    let (consensus, mut shell, around) = shell_of(&Chain::new(), &network.handle);
    shell.utxos = Arc::new(crate::utxo::tests::poisoned());
    let Around { registry, inbox, .. } = around;
    run((consensus, shell), Vec::new(), inbox, &registry);
    patient(registry.token().cancelled()).await;
    assert_eq!(registry.failure().unwrap().task, "consensus");
    registry.shutdown(Duration::from_secs(5)).await.unwrap();
}

// -- signatures -------------------------------------------------------------------------------------------------------

/// Peers' events as they come, and what becomes of them.
struct Checks {
    registry: TaskRegistry,
    events: EventSender,
    around: Around,
    network: Peer,
    second: Peer,
    third: Peer,
}

impl Checks {
    async fn start(chain: &Chain) -> Self {
        let (network, second, third) = node_with_peers().await;
        let (_, _, around) = shell_of(chain, &network.handle);
        let (events, receiver) = event_queue(true);
        let (handle, checked_by) = (Arc::clone(&around.handle), CpuPool::with_threads(1).unwrap());
        let work =
            verify_urgent(receiver, handle, network.handle.clone(), checked_by, Arc::new(SequentialVerifier));
        let registry = TaskRegistry::new(CancellationToken::new());
        registry.spawn("vote checks", work);
        Self { registry, events, around, network, second, third }
    }

    fn hear(&self, from: PeerId, message: Message) {
        assert!(self.events.message((from, Standing::Stranger), message, 1_000, Held::default()));
    }

    /// What consensus gets next: a message and whether it was checked, or who came or went.
    async fn next(&mut self) -> (Option<Message>, bool) {
        match patient(self.around.inbox.urgent.recv()).await.unwrap().event {
            Event::Message { message, verified, .. } => (Some(message), verified),
            Event::PeerConnected(_) => (None, true),
            Event::PeerDisconnected(_) => (None, false),
            other => panic!("{other:?}"),
        }
    }

    fn points(&self, peer: PeerId) -> u32 {
        self.network.handle.peers().iter().find(|info| info.peer == peer).map_or(0, |info| info.score)
    }
}

fn vote_of(chain: &Chain, place: usize, height: Height, epoch: Epoch, secret: &SecretKey) -> Message {
    let vote = BlockVote {
        step: VoteStep::Prevote,
        epoch,
        height,
        round: 0,
        value: None,
        validator: chain.state.validators().get(place).unwrap().id,
        signature: Signature::EMPTY,
    };
    Message::BlockVote(Released::heard(vote.signed(chain.state.chain_id(), secret)))
}

fn batch_of(chain: &Chain, place: usize, votes: usize) -> Message {
    let id = chain.state.validators().get(place).unwrap().id;
    let votes = vec![FinalityVote { kind: VoteKind::Lock, txid: TxId([1; 32]) }; votes];
    Message::VoteBatch(Released::heard(VoteBatch::signed(
        chain.state.chain_id(),
        0,
        id,
        0,
        votes,
        &operator(place),
    )))
}

/// What costs nothing to check does not overtake what costs much, and what can't be judged yet is not called checked.
#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_peer_reach_consensus_in_their_order_with_what_was_checked() {
    let chain = Chain::new();
    let mut checks = Checks::start(&chain).await;
    let (block, _) = chain.block(START_MS + 1, false, &[]);
    let from = key(2);
    let ours = |height| vote_of(&chain, 0, height, 0, &operator(0));
    let said = [
        (ours(1), true),
        (chain.proposal(&block), true),
        (ours(2), true),
        (vote_of(&chain, 0, 3, 1, &operator(0)), false),
        (Message::GetBlocks { from: 1, count: 1 }, false),
        (batch_of(&chain, 1, 1), true),
        (ours(4), true),
    ];
    checks.events.connected(from, "127.0.0.1:1".parse().unwrap(), true);
    for (message, _) in &said {
        checks.hear(from, message.clone());
    }
    checks.events.disconnected(from);
    assert_eq!(checks.next().await, (None, true));
    for (message, verified) in said {
        assert_eq!(checks.next().await, (Some(message), verified));
    }
    assert_eq!(checks.next().await, (None, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_bad_signatures_or_malformed_votes_is_blamed_and_consensus_hears_nothing_of_it() {
    let chain = Chain::new();
    let mut checks = Checks::start(&chain).await;
    let (second, third) = (key(2), key(3));
    let honest = vote_of(&chain, 0, 1, 0, &operator(0));
    checks.hear(second, vote_of(&chain, 1, 1, 0, &user()));
    checks.hear(third, batch_of(&chain, 2, 0));
    checks.hear(third, honest.clone());
    assert_eq!(checks.next().await, (Some(honest), true));
    eventually(|| checks.points(second) == 50).await;
    eventually(|| checks.points(third) == 50).await;
    assert!(checks.around.inbox.urgent.is_empty());
    // Nobody is blamed for whom this node does not know.
    let Message::BlockVote(vote) = vote_of(&chain, 0, 1, 0, &operator(0)) else { unreachable!() };
    let stranger = BlockVote { validator: crate::types::MasternodeId([77; 32]), ..BlockVote::clone(&vote) };
    let before = checks.points(third);
    let stranger = Message::BlockVote(Released::heard(stranger));
    checks.hear(third, stranger.clone());
    assert_eq!(checks.next().await, (Some(stranger), false));
    assert!(checks.points(third) <= before);
    drop((checks.second, checks.third));
}

/// A flood of copies costs one check, and consensus hears of one.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_comes_again_is_handed_in_once() {
    let chain = Chain::new();
    let mut checks = Checks::start(&chain).await;
    let (batch, last) = (batch_of(&chain, 1, 1), vote_of(&chain, 0, 1, 0, &operator(0)));
    for from in [key(2), key(2), key(3)] {
        checks.hear(from, batch.clone());
    }
    assert_eq!(checks.next().await, (Some(batch.clone()), true));
    checks.hear(key(3), batch);
    checks.hear(key(3), last.clone());
    assert_eq!(checks.next().await, (Some(last), true));
    assert_eq!((checks.points(key(2)), checks.points(key(3))), (0, 0));
}

/// What waits when the network ends is handed in still; and without consensus there is nothing to check for.
#[tokio::test(flavor = "multi_thread")]
async fn the_checks_end_with_the_network_or_with_consensus() {
    for is_consensus_gone in [false, true] {
        let chain = Chain::new();
        let Checks { registry, events, around, network, second, third } = Checks::start(&chain).await;
        let vote = |height| vote_of(&chain, 0, height, 0, &operator(0));
        for height in 1..=200 {
            events.message((key(2), Standing::Stranger), vote(height), 1_000, Held::default());
        }
        let Around { handle, mut inbox, .. } = around;
        if is_consensus_gone {
            drop(inbox);
            events.message((key(2), Standing::Stranger), vote(201), 1_000, Held::default());
            registry.shutdown(Duration::from_secs(10)).await.unwrap();
        } else {
            drop(events);
            for height in 1..=200 {
                let queued = patient(inbox.urgent.recv()).await.unwrap();
                let Event::Message { message, .. } = queued.event else { panic!("another event") };
                assert_eq!(message, vote(height));
            }
            registry.shutdown(Duration::from_secs(10)).await.unwrap();
        }
        drop((handle, network, second, third));
    }
}

/// Checks nothing before the other end is dropped.
struct Gate(parking_lot::Mutex<std::sync::mpsc::Receiver<()>>);

impl SignatureVerifier for Gate {
    fn verify_all(&self, checks: &[SignatureCheck]) -> Result<(), usize> {
        let _open = self.0.lock().recv();
        SequentialVerifier.verify_all(checks)
    }
}

/// In the network's queue its room is counted and its sender waits for its turn; what was taken is held by nothing else.
#[tokio::test]
async fn no_more_is_taken_from_the_network_than_the_jobs_that_may_check_it() {
    const TOTAL: usize = (VERIFY_JOBS_MAX + 2) * VERIFY_BATCH;
    let chain = Chain::new();
    let network = Peer::start(1).await;
    let (_, _, mut around) = shell_of(&chain, &network.handle);
    let (events, receiver) = event_queue(true);
    let vote = |nth: usize| vote_of(&chain, 0, 1 + nth as u64, 0, &operator(0));
    for nth in 0..TOTAL {
        events.message((key(2), Standing::Stranger), vote(nth), 1_000, Held::default());
    }
    let (gate, closed) = std::sync::mpsc::sync_channel(0);
    let verifier = Arc::new(Gate(parking_lot::Mutex::new(closed)));
    let (handle, pool) = (Arc::clone(&around.handle), CpuPool::with_threads(1).unwrap());
    let registry = TaskRegistry::new(CancellationToken::new());
    registry.spawn("vote checks", verify_urgent(receiver, handle, network.handle.clone(), pool, verifier));
    // One thread does it all: it takes what it may meanwhile.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(events.waiting(), 2 * VERIFY_BATCH);
    drop(gate);
    for nth in 0..TOTAL {
        let queued = patient(around.inbox.urgent.recv()).await.unwrap();
        let Event::Message { message, verified: true, .. } = queued.event else { panic!("not checked") };
        assert_eq!(message, vote(nth));
    }
}

/// What is told at the end of a turn is bounded, however much comes in one.
#[tokio::test(flavor = "multi_thread")]
async fn observers_hear_in_the_midst_of_a_turn_that_brings_much() {
    let network = Peer::start(1).await;
    let chain = Chain::new();
    let (consensus, shell, around) = shell_of(&chain, &network.handle);
    let Around { registry, handle, inbox, bodies, told, .. } = around;
    // Each waits for an output that nobody knows.
    let waiting = |number: u32| {
        let mut txid = TxId::ZERO;
        txid.0[..4].copy_from_slice(&number.to_le_bytes());
        let outputs = vec![TxOut { value: Amount(1), lock: Lock::KeyHash(user().public().key_hash()) }];
        let transaction = Transaction::transfer(vec![OutPoint { txid, index: 0 }], outputs, Vec::new());
        let transaction = Arc::new(transaction.signed(chain.state.chain_id(), &[&user()]));
        let (chain_id, parameters) = (chain.state.chain_id(), chain.state.parameters());
        CheckedTransaction::check(transaction, chain_id, parameters, &SequentialVerifier).unwrap()
    };
    for number in 0..300 {
        handle.hand_in(Event::Transaction(waiting(number)));
    }
    handle.hand_in(body_event(1));
    let (heard, hears) = std::sync::mpsc::sync_channel(1);
    *bodies.on_check.lock() = Some(Box::new(move |_| {
        heard.send(told.recv_timeout(Duration::from_secs(10)).is_ok()).unwrap();
    }));
    run((consensus, shell), Vec::new(), inbox, &registry);
    let is_told = tokio::task::spawn_blocking(move || hears.recv_timeout(Duration::from_secs(30)));
    assert_eq!(is_told.await.unwrap(), Ok(true), "the turn was not over");
    registry.token().cancel();
    registry.shutdown(Duration::from_secs(5)).await.unwrap();
}
