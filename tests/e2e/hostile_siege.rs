//! A network under siege: an honest payer at one node, an attack at another, and what both cost.
//!
//! The payer keeps its beat. A payment counts from when it was due, so what waits behind a stalled node is not left out.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use timed::app::networks::devnet_genesis;
use timed::rpc::types::{NodeState, PeerInfo, PunishedInfo, TransactionStatus, TransactionStatusInfo};
use timed::runtime::Clock;
use timed::types::{ChainId, GenesisDocument, Height, MasternodeId, OutPoint, SecretKey, TxId};

use crate::net::{Chain, Coin, Net, Node};
use crate::turns::{MACHINE_PORTS, Needs};

/// The node that is attacked, and the one that the honest payer uses.
pub const ATTACKED: usize = 0;
pub const HONEST: usize = 2;
/// Honest payments a second: one from each of the coins in turn.
const PAYMENTS_PER_SECOND: u32 = 20;
const COINS: u32 = 20;
/// No honest payment takes longer, attack or not, on a machine that has other things to do.
const FINAL_MAX: Duration = Duration::from_secs(5);
/// A block comes each second; none takes longer than this.
const BLOCK_MAX: Duration = Duration::from_secs(15);
/// No payment of a network that still lives takes longer.
const GIVEN_UP: Duration = Duration::from_secs(30);
/// What a node may take in memory, whatever is done to it.
const RESIDENT_MAX_KIB: u64 = 600_000;
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);
/// How long an attack goes on unless told otherwise; the silence after it is half as long.
const ATTACK_TIME: Duration = Duration::from_secs(1);

/// How long each attack goes on: `E2E_HOSTILE_SECONDS`, or [`ATTACK_TIME`].
fn attack_time() -> Duration {
    let seconds = std::env::var("E2E_HOSTILE_SECONDS").map(|text| text.parse().expect("a number"));
    seconds.map_or(ATTACK_TIME, Duration::from_secs)
}

/// One attack: its name in the report, and what it does until its time is over. It says what it saw.
pub struct Attack {
    pub name: &'static str,
    pub run: fn(&Siege) -> String,
}

/// What an attack has at hand.
pub struct Siege<'a> {
    pub net: &'a Net,
    pub until: Instant,
    /// Coins of nobody else's, for attacks that pay.
    pub coins: &'a Mutex<Vec<Coin>>,
}

impl Siege<'_> {
    pub fn is_over(&self) -> bool {
        Clock.instant() >= self.until
    }

    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Clock.instant())
    }

    pub fn chain(&self) -> &Chain {
        &self.net.chain
    }

    pub fn chain_id(&self) -> ChainId {
        self.net.chain.id
    }

    pub fn attacked(&self) -> &Node {
        &self.net.nodes[ATTACKED]
    }

    pub fn honest(&self) -> &Node {
        &self.net.nodes[HONEST]
    }

    pub fn take_coin(&self) -> Coin {
        self.coins.lock().unwrap().pop().expect("enough coins for all attacks")
    }
}

/// The port for peers of a node of these networks, which have the machine for themselves.
pub fn p2p_port(node: usize) -> u16 {
    MACHINE_PORTS + 2 * u16::try_from(node).unwrap()
}

pub fn rpc_port(node: usize) -> u16 {
    p2p_port(node) + 1
}

/// A network of `validators`, of which the first four run, with quick blocks and epochs.
fn besieged(validators: usize) -> Net {
    let mut document = devnet_genesis(validators);
    document.parameters.block_interval_ms = 1_000;
    document.parameters.epoch_duration_ms = 10_000;
    let mut net = Net::prepare_document(Needs::Machine, document, |_| {});
    net.nodes.truncate(4);
    net.start_all();
    net.nodes.iter().for_each(|node| node.wait_height(1));
    // One that was late for the first block asks for copies of its key first, and is not ready meanwhile.
    net.nodes.iter().for_each(|node| node.wait_state(NodeState::Voting));
    net
}

/// Splits an account's coin.
pub fn split(net: &Net, account: usize, count: u32) -> Vec<Coin> {
    let coin = net.chain.account(account);
    let payment = net.chain.spend(&coin, &coin.key, u64::from(count), "coins");
    net.nodes[HONEST].send(&payment).unwrap();
    net.nodes.iter().for_each(|node| node.wait_final(payment.txid()));
    Chain::coins(&payment, &coin.key)
}

/// A payment that was due at `due`, and final so much later, if it was.
#[derive(Clone, Copy)]
struct Paid {
    due: Instant,
    latency: Option<Duration>,
}

/// Pays at a steady rate, each coin in its turn, and notes how long each payment took to be final.
struct Beat {
    stop: AtomicBool,
    paid: Mutex<Vec<Paid>>,
    /// Up to when each payer has done what was due.
    done: Vec<Mutex<Instant>>,
    refused: AtomicU64,
}

impl Beat {
    fn new() -> Self {
        let now = Clock.instant();
        let done = (0..COINS).map(|_| Mutex::new(now)).collect();
        let (stop, paid) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        Self { stop, paid, done, refused: AtomicU64::new(0) }
    }

    fn pay(&self, node: &Node, chain: &Chain, mut coin: Coin, payer: usize, began: Instant) {
        let beat = Duration::from_secs(1) / PAYMENTS_PER_SECOND;
        let mut due = began + beat * u32::try_from(payer).unwrap();
        loop {
            *self.done[payer].lock().unwrap() = due;
            std::thread::sleep(due.saturating_duration_since(Clock.instant()));
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let key = coin.key.clone();
            let payment = chain.spend(&coin, &key, 1, "");
            let is_final = self.wait_final(node, &payment, due);
            let latency = is_final.then(|| Clock.instant().saturating_duration_since(due));
            self.paid.lock().unwrap().push(Paid { due, latency });
            if is_final {
                coin = Chain::coins(&payment, &key).remove(0);
            }
            due += beat * COINS;
        }
    }

    fn wait_final(&self, node: &Node, payment: &timed::types::Transaction, due: Instant) -> bool {
        while Clock.instant() < due + GIVEN_UP && !self.stop.load(Ordering::Relaxed) {
            if node.send(payment).is_err() && node.status_of(payment.txid()) == TransactionStatus::Unknown {
                self.refused.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            let params = [json!(payment.txid()), json!("final"), json!(2_000)];
            let info = node.try_call::<TransactionStatusInfo>("waitfortransaction", &params);
            if info.is_ok_and(|info| info.status >= TransactionStatus::Final) {
                return true;
            }
        }
        false
    }

    /// Waits until all payments that were due before are done, and tells how the window went.
    fn window(&self, from: Instant, to: Instant) -> Window {
        let given_up = to + GIVEN_UP + Duration::from_secs(5);
        while Clock.instant() < given_up && self.done.iter().any(|done| *done.lock().unwrap() < to) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let paid = self.paid.lock().unwrap();
        let in_window = |at: Instant| from <= at && at < to;
        let due: Vec<&Paid> = paid.iter().filter(|paid| in_window(paid.due)).collect();
        let mut latencies: Vec<Duration> = due.iter().map(|paid| paid.latency.unwrap_or(GIVEN_UP)).collect();
        latencies.sort_unstable();
        let finals =
            paid.iter().filter(|paid| paid.latency.is_some_and(|latency| in_window(paid.due + latency)));
        Window { seconds: (to - from).as_secs_f64(), due: due.len(), finals: finals.count(), latencies }
    }
}

/// How the honest payer fared in a window of time.
struct Window {
    seconds: f64,
    /// Payments that were due in it.
    due: usize,
    /// Payments that became final in it.
    finals: usize,
    /// Of those that were due in it, ascending.
    latencies: Vec<Duration>,
}

impl Window {
    fn rate(&self) -> f64 {
        self.finals as f64 / self.seconds
    }

    fn percentile(&self, hundredths: usize) -> Duration {
        let index = (self.latencies.len() * hundredths).div_ceil(100).saturating_sub(1);
        self.latencies.get(index).copied().unwrap_or(GIVEN_UP)
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |latency: Duration| latency.as_secs_f64() * 1_000.0;
        let (p50, p99) = (ms(self.percentile(50)), ms(self.percentile(99)));
        write!(f, "{:.0}/s p50 {p50:.0} p99 {p99:.0} ms", self.rate())
    }
}

/// Peak of memory, by node, since it was last asked for.
struct Memory {
    pids: Vec<u32>,
    peaks_kib: Mutex<Vec<u64>>,
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Ticks (10 ms) that the threads of each name have computed for.
fn threads_ticks(pid: u32) -> BTreeMap<String, u64> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut all = BTreeMap::new();
    for task in tasks {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        if let Some((name, ticks)) = ticks_of(&stat) {
            *all.entry(name).or_default() += ticks;
        }
    }
    all
}

fn consensus_ticks(pid: u32) -> u64 {
    threads_ticks(pid).get("consensus").copied().unwrap_or(0)
}

fn process_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    ticks_of(&stat).map_or(0, |(_, ticks)| ticks)
}

/// The name and the ticks of a process or thread.
fn ticks_of(stat: &str) -> Option<(String, u64)> {
    let (head, tail) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split(' ').collect();
    // Fields 14 and 15 of proc(5); the tail begins with field 3.
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some((name.to_owned(), ticks))
}

/// Which threads of a node computed most since then, in percent of a core.
fn busiest(pid: u32, before: &BTreeMap<String, u64>, seconds: f64) -> String {
    let mut all: Vec<(u64, String)> = threads_ticks(pid)
        .into_iter()
        .map(|(name, ticks)| (ticks.saturating_sub(before.get(&name).copied().unwrap_or(0)), name))
        .collect();
    all.sort_unstable_by(|one, other| other.cmp(one));
    let shown = all.iter().take(2).map(|(ticks, name)| format!("{name} {:.0} %", *ticks as f64 / seconds));
    shown.collect::<Vec<_>>().join(", ")
}

impl Memory {
    fn new(net: &Net) -> Self {
        let pids: Vec<u32> = net.nodes.iter().map(|node| node.process().id()).collect();
        let peaks_kib = Mutex::new(vec![0; pids.len()]);
        Self { pids, peaks_kib }
    }

    fn sample(&self) {
        let mut peaks = self.peaks_kib.lock().unwrap();
        for (peak, pid) in peaks.iter_mut().zip(&self.pids) {
            *peak = (*peak).max(resident_kib(*pid));
        }
    }

    fn take_peaks(&self) -> Vec<u64> {
        self.sample();
        std::mem::replace(&mut *self.peaks_kib.lock().unwrap(), vec![0; self.pids.len()])
    }
}

/// Runs the attacks one after another against one network.
pub fn besiege(validators: usize, attacks: &[Attack]) {
    let net = besieged(validators);
    let payer_coins = split(&net, 0, COINS);
    let coins = Mutex::new((1..4).flat_map(|account| split(&net, account, 300)).collect::<Vec<Coin>>());
    let (beat, memory) = (Beat::new(), Memory::new(&net));
    let began = Clock.instant();
    let failures = std::thread::scope(|scope| {
        // A panic must end the payers too.
        let _stop = StopOnDrop(&beat.stop);
        for (payer, coin) in payer_coins.into_iter().enumerate() {
            let (net, beat) = (&net, &beat);
            scope.spawn(move || beat.pay(&net.nodes[HONEST], &net.chain, coin, payer, began));
        }
        scope.spawn(|| {
            while !beat.stop.load(Ordering::Relaxed) {
                memory.sample();
                std::thread::sleep(SAMPLE_INTERVAL);
            }
        });
        std::thread::sleep(attack_time());
        let mut before = beat.window(began, Clock.instant());
        let mut failures = Vec::new();
        for attack in attacks {
            let outcome = endure(&net, &beat, &memory, &coins, attack, before);
            before = outcome.after;
            failures.extend(outcome.failures);
        }
        failures
    });
    assert_sound(&net);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Outcome {
    after: Window,
    failures: Vec<String>,
}

fn endure(
    net: &Net,
    beat: &Beat,
    memory: &Memory,
    coins: &Mutex<Vec<Coin>>,
    attack: &Attack,
    before: Window,
) -> Outcome {
    let pids = &memory.pids;
    let ticks = |of: fn(u32) -> u64| pids.iter().map(|pid| of(*pid)).collect::<Vec<u64>>();
    memory.take_peaks();
    let (height, refused) = (net.nodes[HONEST].height(), beat.refused.load(Ordering::Relaxed));
    let (before_consensus, before_all) = (ticks(consensus_ticks), ticks(process_ticks));
    let threads = threads_ticks(pids[ATTACKED]);
    let from = Clock.instant();
    let siege = Siege { net, until: from + attack_time(), coins };
    let outcome = catch_unwind(AssertUnwindSafe(|| (attack.run)(&siege)));
    let to = Clock.instant();
    let lasted = (to - from).as_secs_f64();
    let percent = |before: Vec<u64>, after: Vec<u64>| -> Vec<u64> {
        after
            .iter()
            .zip(before)
            .map(|(after, before)| (after.saturating_sub(before) as f64 / lasted) as u64)
            .collect()
    };
    let consensus_percent = percent(before_consensus, ticks(consensus_ticks));
    let all_percent = percent(before_all, ticks(process_ticks));
    std::thread::sleep(attack_time() / 2);
    let end = Clock.instant();
    let busiest = busiest(pids[ATTACKED], &threads, (end - from).as_secs_f64());
    let (during, after) = (beat.window(from, to), beat.window(to, end));
    let peaks = memory.take_peaks();
    let refused = beat.refused.load(Ordering::Relaxed) - refused;
    let mut failures = verdict(net, &during, &after, &peaks);
    let said = outcome.unwrap_or_else(|_| {
        failures.push("it did not go as it should; see above".to_owned());
        String::new()
    });
    if let Err(stuck) = wait_block(net, height, end) {
        failures.push(stuck);
    }
    println!(
        "{:<44} {lasted:>4.1} s | before {before} | during {during} | after {after} | refused {refused} | \
         MiB {:?} | consensus CPU % {consensus_percent:?} of {all_percent:?}, busiest {busiest} | {said}{}",
        attack.name,
        peaks.iter().map(|kib| kib >> 10).collect::<Vec<u64>>(),
        if failures.is_empty() { "" } else { " | FAILED" },
    );
    let failures = failures.into_iter().map(|failure| format!("{}: {failure}", attack.name)).collect();
    Outcome { after, failures }
}

/// Seconds for which finality may pause by itself: while an epoch ends with a block that a member should propose who is not there.
fn pause(net: &Net) -> f64 {
    let is_complete = net.chain.document.masternodes.len() == net.nodes.len();
    if is_complete { 0.0 } else { 2.0 }
}

fn verdict(net: &Net, during: &Window, after: &Window, peaks_kib: &[u64]) -> Vec<String> {
    let mut failures = Vec::new();
    for (when, window) in [("during", during), ("after", after)] {
        if let Some(slowest) = window.latencies.last().filter(|slowest| **slowest > FINAL_MAX) {
            failures.push(format!("an honest payment took {slowest:?} {when} the attack"));
        }
        // The last ones of a window may be final a moment after it.
        let least = ((window.seconds - pause(net)) * f64::from(PAYMENTS_PER_SECOND) / 2.0) as usize;
        if window.finals < least.saturating_sub(2) {
            let (finals, due) = (window.finals, window.due);
            failures.push(format!("{finals} payments were final {when} the attack, {due} were due"));
        }
    }
    for (node, peak) in peaks_kib.iter().enumerate().filter(|(_, peak)| **peak > RESIDENT_MAX_KIB) {
        failures.push(format!("node {node} took {peak} KiB of memory"));
    }
    for (number, node) in net.nodes.iter().enumerate() {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", node.process().id())).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, tail)| tail.chars().next());
        assert!(state.is_some_and(|state| state != 'Z'), "node {number} died");
    }
    failures
}

fn wait_block(net: &Net, height: Height, end: Instant) -> Result<(), String> {
    while net.nodes.iter().any(|node| node.height() <= height) {
        if Clock.instant() > end + BLOCK_MAX {
            return Err(format!("no block above {height} came everywhere"));
        }
        std::thread::sleep(SAMPLE_INTERVAL);
    }
    Ok(())
}

/// After all of it the network is what it was.
fn assert_sound(net: &Net) {
    net.assert_one_chain();
    for node in &net.nodes {
        node.wait_state(NodeState::Voting);
        let peers: Vec<PeerInfo> = node.call("getpeerinfo", &[]);
        let members = peers.iter().filter(|peer| peer.ban_score == 0 && peer.subver.contains("timed"));
        println!(
            "{} has {} peers, {} of them nodes that did nothing wrong",
            node.url(),
            peers.len(),
            members.count()
        );
    }
    let punished: Vec<PunishedInfo> = net.nodes[HONEST].call("listevidence", &[]);
    let document = &net.chain.document;
    let honest: Vec<MasternodeId> = (0..net.nodes.len())
        .map(|node| GenesisDocument::masternode_id(&document.collateral_outpoint(node)))
        .collect();
    let is_honest = |piece: &PunishedInfo| honest.contains(&piece.evidence.masternode);
    assert!(!punished.iter().any(is_honest), "they did nothing wrong: {punished:?}");
}

/// An output that nobody has.
pub fn invented() -> OutPoint {
    OutPoint { txid: TxId(rand::random()), index: 0 }
}

/// A key that nobody has.
pub fn any_key() -> SecretKey {
    SecretKey::from_seed(&rand::random())
}
