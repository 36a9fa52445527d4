//! The thread's turns, and what becomes of each thing that admission says.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::FutureExt as _;

use super::*;
use crate::admission::tests::Desk;
use crate::network::tests::support::{Node as Peer, heard_of_node as heard, key, node_with_peers};
use crate::types::keys::SequentialVerifier;
use crate::types::{Amount, KeyHash, Lock, OutPoint, PublicKey, TxOut, UtxoEntry};

fn transaction(number: u8) -> Arc<Transaction> {
    Arc::new(Transaction::transfer(Vec::new(), Vec::new(), vec![number]))
}

/// INV-ADMIT-4.
#[tokio::test]
async fn what_was_asked_for_stands_in_no_queue_with_the_rest() {
    let (handle, mut inbox) = AdmissionHandle::new(&PublicKey([7; 32]));
    let peer = PublicKey([1; 32]);
    let wanted = transaction(255);
    handle.requested(&[wanted.txid()]);
    for number in 0..200 {
        handle.take_from_peer(peer, vec![transaction(number)]).await.unwrap();
    }
    handle.offer(peer, vec![transaction(200), Arc::clone(&wanted), transaction(201)]);
    assert_eq!(inbox.wanted.recv().await.unwrap().entry.transactions, [wanted]);
    assert!(inbox.wanted.is_empty() && inbox.peers.len() == 201);
    // However much of the rest there is, what was asked for has room.
    for _ in 0..=PEER_QUEUE_MAX {
        handle.offer(peer, vec![transaction(1)]);
    }
    assert_eq!(inbox.peers.len(), PEER_QUEUE_MAX);
    handle.requested(&[transaction(3).txid()]);
    handle.offer(peer, vec![transaction(3)]);
    assert_eq!(inbox.wanted.len(), 1);
}

/// A user who submits a transaction, or has it judged alone.
fn ask(handle: &AdmissionHandle, is_judged: bool) -> BoxFuture<'static, Result<(), Refusal>> {
    let handle = handle.clone();
    Box::pin(async move {
        let submitted = Transaction::clone(&transaction(1));
        if is_judged {
            handle.judge(submitted).await.map(drop)
        } else {
            handle.submit(submitted, None).await.map(drop)
        }
    })
}

/// INV-LOAD-2: else any number of users could wait at once, and each answer would take the longer.
#[tokio::test]
async fn whoever_waits_for_an_answer_has_a_place_at_the_door_until_it_has_come() {
    let (handle, mut inbox) = AdmissionHandle::new(&PublicKey([7; 32]));
    let used = || handle.door.window.lock().usage().1;
    for is_judged in [false, true] {
        let mut waits = ask(&handle, is_judged);
        assert!((&mut waits).now_or_never().is_none());
        let queued = inbox.users.try_recv().unwrap();
        assert_eq!(used(), 1, "judged: {is_judged}");
        drop(queued);
        assert_eq!(waits.await, Err(Refusal::Stopping));
        assert_eq!(used(), 0, "judged: {is_judged}");
    }
    // An index that lags closes the door to both.
    handle.door.window.lock().lags(OVERLAY_BYTES_MAX, OVERLAY_BYTES_MAX);
    for is_judged in [false, true] {
        let answer = ask(&handle, is_judged).await;
        assert!(matches!(answer, Err(Refusal::Busy { .. })), "judged: {is_judged}: {answer:?}");
    }
    assert!(inbox.users.is_empty());
}

/// Else the thread would sleep on what it was handed.
#[tokio::test]
async fn whatever_is_handed_in_wakes_the_thread() {
    let peer = PublicKey([1; 32]);
    for way in 0..6_u8 {
        let (handle, inbox) = AdmissionHandle::new(&PublicKey([7; 32]));
        match way {
            0 => handle.offer(peer, vec![transaction(1)]),
            1 => handle.announced(peer, vec![transaction(1).txid()]),
            2 => handle.take_from_peer(peer, vec![transaction(1)]).await.unwrap(),
            3 => assert!(ask(&handle, false).now_or_never().is_none()),
            4 => assert!(ask(&handle, true).now_or_never().is_none()),
            _ => handle.wake(),
        }
        let woken = tokio::time::timeout(Duration::from_secs(20), inbox.wake.notified()).await;
        assert!(woken.is_ok(), "way {way}");
    }
}

/// A turn takes a share of each lane. What it leaves has woken the thread already, and would wait for the next message.
#[tokio::test]
async fn nobody_rests_while_something_waits_in_any_lane() {
    let (peer, wanted) = (PublicKey([1; 32]), transaction(2));
    for way in 0..5_u8 {
        let (handle, inbox) = AdmissionHandle::new(&PublicKey([7; 32]));
        handle.requested(&[wanted.txid()]);
        assert!(inbox.is_empty(), "way {way}");
        match way {
            0 => handle.offer(peer, vec![transaction(1)]),
            1 => handle.offer(peer, vec![Arc::clone(&wanted)]),
            2 => handle.announced(peer, vec![transaction(1).txid()]),
            3 => assert!(ask(&handle, false).now_or_never().is_none()),
            _ => assert!(ask(&handle, true).now_or_never().is_none()),
        }
        assert!(!inbox.is_empty(), "way {way}");
    }
}

/// INV-LOAD-1.
#[test]
fn what_is_final_contested_or_dropped_makes_room_at_the_door() {
    let (handle, _inbox) = AdmissionHandle::new(&PublicKey([7; 32]));
    let used = || handle.door.window.lock().usage().1;
    for is_final in [false, true] {
        let txid = transaction(1).txid();
        handle.door.window.lock().taken(txid, handle.door.now_ms());
        assert_eq!(used(), 1);
        if is_final {
            handle.finalized(&txid);
        } else {
            handle.contested(&txid);
        }
        assert_eq!(used(), 0, "final: {is_final}");
    }
}

// -- what the thread does -------------------------------------------------------------------------------------------------

/// What was done of the rest of the node, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Did {
    Considered(TxId),
    Expired(Vec<TxId>),
    Accepted(TxId),
    Changed(TxId),
}

/// The rest of the node.
#[derive(Clone)]
struct Rest {
    state: Arc<LedgerState>,
    did: Arc<Mutex<Vec<Did>>>,
    is_stopping: Arc<AtomicBool>,
    woken: Arc<AtomicUsize>,
}

impl Rest {
    fn note(&self, did: Did) -> Result<(), NodeStopped> {
        if self.is_stopping.load(Ordering::SeqCst) {
            return Err(NodeStopped);
        }
        self.did.lock().push(did);
        Ok(())
    }

    fn take(&self) -> Vec<Did> {
        std::mem::take(&mut *self.did.lock())
    }
}

impl Node for Rest {
    fn state(&self) -> Arc<LedgerState> {
        Arc::clone(&self.state)
    }

    fn consider(&self, transaction: CheckedTransaction) -> Result<(), NodeStopped> {
        self.note(Did::Considered(transaction.txid()))
    }

    fn expired(&self, txids: Vec<TxId>) -> Result<(), NodeStopped> {
        self.note(Did::Expired(txids))
    }

    fn wake(&self) {
        self.woken.fetch_add(1, Ordering::SeqCst);
    }

    fn accepted(&self, txid: TxId, _now_ms: TimeMs, _now: Instant) {
        let _gone = self.note(Did::Accepted(txid));
    }

    fn changed(&self, txid: &TxId) {
        let _gone = self.note(Did::Changed(*txid));
    }
}

/// The thread's parts without the thread: the test takes the turns.
struct Turns {
    thread: AdmissionThread<Rest>,
    handle: AdmissionHandle,
    rest: Rest,
    coins: Coins,
}

/// Signed payments of the desk's users.
struct Coins(Desk);

impl Coins {
    /// Those that fit into a pool, each of a coin of its own.
    fn payment(&self, number: u8) -> Arc<Transaction> {
        self.0.pay(number / 8 + 1, usize::from(number % 8), 4)
    }

    fn checked(&self, number: u8) -> CheckedTransaction {
        let (chain_id, parameters) = (self.0.state.chain_id(), self.0.state.parameters());
        CheckedTransaction::check(self.payment(number), chain_id, parameters, &SequentialVerifier).unwrap()
    }
}

fn turns(network: &NetworkHandle) -> Turns {
    let (desk, coins) = (Desk::new(100), Coins(Desk::new(100)));
    let Desk { admission, state, requested, news, utxos, .. } = desk;
    let (mut handle, mut inbox) = AdmissionHandle::new(&PublicKey([7; 32]));
    (handle.requested, handle.news) = (Arc::clone(&requested), Arc::clone(&news));
    (inbox.requested, inbox.news) = (requested, news);
    let rest = Rest {
        state: Arc::new(state),
        did: Arc::default(),
        is_stopping: Arc::default(),
        woken: Arc::default(),
    };
    let (started, next_tick) = (inbox.door.started, Clock.instant() + Duration::from_secs(3_600));
    let (network, node) = (network.clone(), rest.clone());
    let thread = AdmissionThread { admission, inbox, network, node, utxos, started, next_tick };
    Turns { thread, handle, rest, coins }
}

/// Each thing that admission says is done, in its order, by whom it concerns and nobody else.
#[tokio::test]
async fn everything_that_admission_says_is_done() {
    let (node, mut second, mut third) = node_with_peers().await;
    let Turns { thread, handle, rest, coins } = turns(&node.handle);
    let (to, other) = (key(2), key(3));
    let name = |byte| TxId([byte; 32]);
    let usage = || handle.door.window.lock().usage().1;
    let payment = coins.checked(0);
    let done = |actions| thread.execute(actions, Vec::new()).unwrap();

    done(vec![
        Action::Accepted(name(1), TransactionSource::Peer(to)),
        Action::Waits(name(2)),
        Action::Gone(name(3)),
        Action::Consider(payment.clone()),
        Action::Expired(vec![name(4), name(5)]),
    ]);
    let expected = [
        Did::Accepted(name(1)),
        Did::Accepted(name(2)),
        Did::Changed(name(3)),
        Did::Considered(payment.txid()),
        Did::Expired(vec![name(4), name(5)]),
    ];
    assert_eq!(rest.take(), expected);
    let woken = || rest.woken.swap(0, Ordering::SeqCst);
    assert_eq!(woken(), 1, "once for all of it");
    assert_eq!(usage(), 0, "INV-LOAD-1: what is none of a user's takes no place");
    done(vec![Action::Accepted(name(6), TransactionSource::Local)]);
    assert_eq!((rest.take(), usage(), woken()), (vec![Did::Accepted(name(6))], 1, 0));
    for action in [Action::Consider(payment.clone()), Action::Expired(vec![name(4)])] {
        done(vec![action]);
        assert_eq!((rest.take().len(), woken()), (1, 1));
    }

    done(vec![Action::Relay(Arc::clone(payment.transaction()), Some(to))]);
    done(vec![Action::Announce(vec![name(7)])]);
    done(vec![Action::Ask(other, vec![name(8)])]);
    done(vec![Action::Relay(coins.payment(1), None)]);
    assert_eq!(heard(&mut second).await, Message::Announce(vec![name(7)]), "it came from there");
    assert_eq!(heard(&mut second).await, Message::Transaction(coins.payment(1)));
    assert_eq!(heard(&mut third).await, Message::Transaction(Arc::clone(payment.transaction())));
    assert_eq!(heard(&mut third).await, Message::Announce(vec![name(7)]));
    assert_eq!(heard(&mut third).await, Message::GetTransactions(vec![name(8)]));
    assert_eq!(heard(&mut third).await, Message::Transaction(coins.payment(1)));

    done(vec![Action::Blame(other, crate::network::Misbehaviour::InvalidContent)]);
    let points = |peer| node.handle.peers().iter().find(|info| info.peer == peer).unwrap().score;
    assert_eq!((points(to), points(other)), (0, 20));
}

/// A user hears of its own transaction, and of it alone.
#[tokio::test]
async fn each_answer_reaches_who_asked() {
    let node = Peer::start(1).await;
    let Turns { thread, .. } = turns(&node.handle);
    let (first, of_first) = oneshot::channel();
    let (second, of_second) = oneshot::channel();
    let (third, of_third) = oneshot::channel();
    drop(of_third);
    let txid = TxId([1; 32]);
    let actions = vec![
        Action::Answer(None, Ok(TxId([9; 32]))),
        Action::Answer(Some(2), Ok(TxId([9; 32]))),
        Action::Answer(Some(1), Err(Refusal::AlreadyConfirmed)),
        Action::Answer(Some(0), Ok(txid)),
    ];
    thread.execute(actions, vec![Some(first), Some(second), Some(third)]).unwrap();
    assert_eq!(of_first.await.unwrap(), Ok(txid));
    assert_eq!(of_second.await.unwrap(), Err(Refusal::AlreadyConfirmed));
}

#[tokio::test]
async fn when_the_node_stops_nothing_more_is_done() {
    let node = Peer::start(1).await;
    let Turns { mut thread, handle, rest, coins } = turns(&node.handle);
    let (answer, answered) = oneshot::channel();
    rest.is_stopping.store(true, Ordering::SeqCst);
    for action in [Action::Consider(coins.checked(0)), Action::Expired(vec![TxId([1; 32])])] {
        assert_eq!(thread.execute(vec![action], Vec::new()), Err(NodeStopped));
    }
    let actions = vec![Action::Consider(coins.checked(0)), Action::Answer(Some(0), Ok(TxId::ZERO))];
    assert_eq!(thread.execute(actions, vec![Some(answer)]), Err(NodeStopped));
    assert!(answered.await.is_err(), "it was not taken");
    handle.offer(key(2), vec![coins.payment(1)]);
    assert_eq!(thread.turn(), Err(NodeStopped));
}

/// INV-ADMIT-4: what was asked for comes first, then users and peers; in a turn each has its share.
#[tokio::test]
async fn a_turn_takes_what_was_asked_for_first_and_shares_the_rest() {
    let node = Peer::start(1).await;
    let Turns { mut thread, handle, rest, coins } = turns(&node.handle);
    handle.requested(&[coins.payment(2).txid()]);
    let users = [0, 3].map(|number| {
        let (answer, answered) = oneshot::channel();
        let transactions = vec![coins.payment(number)];
        let entry =
            Entry { transactions, source: TransactionSource::Local, purpose: Purpose::Submit(answer, None) };
        assert!(handle.users.offer(entry));
        answered
    });
    handle.offer(key(2), vec![coins.payment(1), coins.payment(4)]);
    handle.offer(key(2), vec![coins.payment(2)]);
    thread.turn().unwrap();
    let considered = |did: Vec<Did>| -> Vec<TxId> {
        let of = |did| match did {
            Did::Considered(txid) => Some(txid),
            _ => None,
        };
        did.into_iter().filter_map(of).collect()
    };
    assert_eq!(considered(rest.take()), [2, 0, 3, 1, 4].map(|number| coins.payment(number).txid()));
    for (answered, number) in users.into_iter().zip([0, 3]) {
        assert_eq!(answered.await.unwrap(), Ok(coins.payment(number).txid()));
    }

    // However many there are, a turn has a bounded number of each.
    for number in 0..=BATCH_MAX {
        let transactions = vec![Arc::new(Transaction::transfer(Vec::new(), Vec::new(), vec![number as u8]))];
        let entry = Entry { transactions, source: TransactionSource::Local, purpose: Purpose::Take };
        assert!(handle.users.offer(entry));
        handle.offer(key(2), vec![transaction(number as u8)]);
    }
    thread.turn().unwrap();
    assert_eq!(thread.inbox.users.len(), BATCH_MAX + 1 - BATCH_MAX / 2);
    assert_eq!(thread.inbox.peers.len(), BATCH_MAX + 1 - BATCH_MAX / 2);

    // Nor is it more where somebody sends many in one message.
    let Turns { mut thread, handle, .. } = turns(&node.handle);
    handle.offer(key(2), vec![transaction(1); 1_000]);
    let waiting = || 1_000_usize.div_ceil(PIECE_MAX);
    assert_eq!(thread.inbox.peers.len(), waiting());
    thread.turn().unwrap();
    assert_eq!(thread.inbox.peers.len(), waiting() - BATCH_MAX / 2 / PIECE_MAX, "INV-ADMIT-4");
}

/// Time alone tells what is too old; a turn without time leaves it.
#[tokio::test]
async fn a_turn_hears_news_time_and_announcements() {
    let (node, mut second, _third) = node_with_peers().await;
    let Turns { mut thread, handle, rest, coins } = turns(&node.handle);
    let unknown = TxId([1; 32]);
    handle.announced(key(2), vec![unknown]);
    thread.turn().unwrap();
    assert_eq!(heard(&mut second).await, Message::GetTransactions(vec![unknown]));

    // A child waits for its parent, and goes on with the news that it is final.
    let parent = coins.payment(0);
    let child = coins.0.child(&parent, 4, 4);
    handle.offer(key(2), vec![Arc::clone(&parent)]);
    thread.turn().unwrap();
    rest.take();
    let (answer, _answered) = oneshot::channel();
    let transactions = vec![Arc::clone(&child)];
    let entry =
        Entry { transactions, source: TransactionSource::Local, purpose: Purpose::Submit(answer, None) };
    assert!(handle.users.offer(entry));
    thread.turn().unwrap();
    assert_eq!(rest.take(), [Did::Accepted(child.txid())], "it waits for its parent");
    let mirror =
        handle.mirror(Arc::clone(&thread.admission.parts.utxos), Arc::clone(&thread.admission.parts.pool));
    assert!(mirror.finalized(&coins.checked(0), 1_750_000_000_000));
    thread.turn().unwrap();
    assert_eq!(rest.take(), [Did::Considered(child.txid())]);

    // By the wall clock the desk's pool is old; but that is looked at once in a while only.
    let pool = Arc::clone(&thread.admission.parts.pool);
    thread.admission.parts.expiry_ms = 0;
    std::thread::sleep(Duration::from_millis(5));
    thread.turn().unwrap();
    assert_eq!(rest.take(), []);
    thread.next_tick = Clock.instant();
    thread.turn().unwrap();
    let did = rest.take();
    assert!(did.contains(&Did::Changed(child.txid())), "{did:?}");
    assert!(did.contains(&Did::Expired(vec![child.txid()])), "{did:?}");
    assert!(pool.get(&child.txid()).is_none());
    assert!(thread.next_tick > Clock.instant(), "and then not for a while");
}

/// INV-LOAD-1: how long the oldest has stood in the queue decides, whoever stands behind it.
#[tokio::test]
async fn the_window_hears_how_long_the_oldest_has_waited() {
    let node = Peer::start(1).await;
    for is_old in [false, true] {
        let Turns { mut thread, handle, coins, .. } = turns(&node.handle);
        let before = handle.door.window.lock().usage().0;
        handle.offer(key(2), vec![coins.payment(0)]);
        if is_old {
            std::thread::sleep(Duration::from_millis(super::super::load::QUEUE_AGE_MAX_MS + 50));
        }
        handle.offer(key(2), vec![coins.payment(1)]);
        thread.turn().unwrap();
        assert_eq!(handle.door.window.lock().usage().0 < before, is_old);
    }
}

/// INV-LOAD-3: the door opens again when the index has caught up.
#[tokio::test]
async fn the_door_is_closed_while_the_index_is_far_behind() {
    let node = Peer::start(1).await;
    let Turns { mut thread, handle, .. } = turns(&node.handle);
    let made = |number: u32| {
        let mut txid = [9; 32];
        txid[..4].copy_from_slice(&number.to_be_bytes());
        let lock = Lock::KeyHash(KeyHash([1; 32]));
        let entry = UtxoEntry { output: TxOut { value: Amount(1), lock }, height: 1 };
        (OutPoint { txid: TxId(txid), index: 0 }, entry)
    };
    let utxos = Arc::clone(&thread.utxos);
    let mut is_open = || {
        thread.turn().unwrap();
        handle.door.enter().is_ok()
    };
    assert!(is_open());
    utxos.apply_block(1, &(0..300_000).map(made).collect::<Vec<_>>(), &[]);
    assert!(is_open(), "it lets in less, but somebody");
    utxos.apply_block(2, &(300_000..530_000).map(made).collect::<Vec<_>>(), &[]);
    assert!(!is_open());
    utxos.forget_through(2);
    assert!(is_open());
}

/// The thread itself.
fn started(network: &NetworkHandle) -> (AdmissionHandle, TaskRegistry, Rest, Coins) {
    let (desk, coins) = (Desk::new(100), Coins(Desk::new(100)));
    let (handle, inbox) = AdmissionHandle::new(&PublicKey([7; 32]));
    let registry = TaskRegistry::new(tokio_util::sync::CancellationToken::new());
    let rest = Rest {
        state: Arc::new(desk.state),
        did: Arc::default(),
        is_stopping: Arc::default(),
        woken: Arc::default(),
    };
    let services = AdmissionServices {
        utxos: desk.utxos,
        pool: desk.pool,
        verifier: Arc::new(SequentialVerifier),
        expiry_ms: 60_000,
        network: network.clone(),
        node: rest.clone(),
    };
    start(inbox, services, &registry).unwrap();
    (handle, registry, rest, coins)
}

/// The thread takes what is handed in until the node stops, and ends then.
#[tokio::test(flavor = "multi_thread")]
async fn the_thread_answers_users_and_ends_with_the_node() {
    let node = Peer::start(1).await;
    let (handle, registry, rest, coins) = started(&node.handle);
    for number in [0, 1] {
        let payment = coins.payment(number);
        let taken =
            tokio::time::timeout(Duration::from_secs(20), handle.submit(Transaction::clone(&payment), None));
        assert_eq!(taken.await.unwrap(), Ok(payment.txid()));
        let did = [Did::Accepted(payment.txid()), Did::Considered(payment.txid())];
        assert_eq!(rest.take(), did);
    }
    registry.token().cancel();
    registry.shutdown(Duration::from_secs(10)).await.unwrap();
    assert_eq!(handle.submit(Transaction::clone(&coins.payment(2)), None).await, Err(Refusal::Stopping));
}

/// Nobody reads then what it would hand on, so what users and peers bring has to be turned away at the door.
#[tokio::test(flavor = "multi_thread")]
async fn the_thread_ends_when_consensus_is_gone_though_nobody_stops_it() {
    let node = Peer::start(1).await;
    let (handle, registry, rest, coins) = started(&node.handle);
    rest.is_stopping.store(true, Ordering::SeqCst);
    assert_eq!(handle.submit(Transaction::clone(&coins.payment(0)), None).await, Err(Refusal::Stopping));
    let is_gone = tokio::time::timeout(Duration::from_secs(20), handle.users.entries.closed()).await;
    assert!(is_gone.is_ok() && !registry.token().is_cancelled());
}

/// What is larger than a whole queue would never get in, and hold up all that comes behind it.
#[test]
fn an_answer_of_any_size_has_room_in_an_empty_queue() {
    let (handle, inbox) = AdmissionHandle::new(&PublicKey([7; 32]));
    let output = TxOut { value: Amount(1), lock: Lock::KeyHash(KeyHash([1; 32])) };
    let large = Arc::new(Transaction::transfer(Vec::new(), vec![output; 1_000], Vec::new()));
    let count = PEER_QUEUE_BYTES_MAX / large.memory_bytes() + 1;
    handle.offer(PublicKey([1; 32]), vec![Arc::clone(&large); count]);
    let fit = PEER_QUEUE_BYTES_MAX / (PIECE_MAX * large.memory_bytes());
    assert!((fit..=fit + 1).contains(&inbox.peers.len()), "all pieces that there is room for");
    handle.requested(&[large.txid()]);
    handle.offer(PublicKey([1; 32]), vec![large; count]);
    assert_eq!(inbox.wanted.len(), 1);
}

#[test]
fn bodies_of_peers_wait_up_to_the_bytes_of_their_queue_and_no_further() {
    let (handle, inbox) = AdmissionHandle::new(&PublicKey([7; 32]));
    let output = TxOut { value: Amount(1), lock: Lock::KeyHash(KeyHash([1; 32])) };
    let large = Arc::new(Transaction::transfer(Vec::new(), vec![output; 1_000], Vec::new()));
    let answer = vec![Arc::clone(&large); 64];
    let fit = PEER_QUEUE_BYTES_MAX / (answer.len() * large.memory_bytes());
    assert!((2..PEER_QUEUE_MAX).contains(&fit), "their bytes are what bounds them: {fit}");
    (0..fit + 2).for_each(|_| handle.offer(PublicKey([1; 32]), answer.clone()));
    assert_eq!(inbox.peers.len(), fit);
}

// -- for tests of whoever tells admission what became of a payment ---------------------------------------------------------

impl AdmissionHandle {
    /// Takes a place at the door, as a user's payment does that was taken.
    pub(crate) fn flies(&self, txid: TxId) {
        self.door.window.lock().taken(txid, self.door.now_ms());
    }

    /// How many places are taken.
    pub(crate) fn flying(&self) -> usize {
        self.door.window.lock().usage().1
    }
}
