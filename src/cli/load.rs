//! `timed load`: submits payments at a steady rate and measures how long they take to be final.
//!
//! # How it measures
//! What the given keys have is first split into enough coins of many payers, so that no payment waits for the change of
//! another. A payment has one input and two outputs, a stranger's and the next payer's, which is spent again once it is
//! final: the set of unspent outputs grows by one a payment. Payments leave by schedule, whatever the network does: when it is
//! slower than the rate, the time a payment waited for its request counts. Finality is what the node that took the
//! payment says in its finality feed; an event tells its age, so that the feed can be read seldom without blurring
//! the time. `p50_ms` and the like run from just before the payment's request until final; `node_p50_ms` and the like
//! run from the node's acceptance. `max_gap_ms` is the longest time in which nothing became final.
//!
//! # Concurrency
//! One task paces, one per node reads its feed, and each request is a task. A short lock guards the meter.
//!
//! `coins.rs` makes payments, `meter.rs` counts them, `cost.rs` asks nodes, `search.rs` changes rates,
//! `telling.rs` tells how it goes.

mod coins;
mod cost;
mod meter;
mod search;
mod telling;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::output::notice;
use super::rpc_client::{ConnectionArgs, RpcClient, RpcCommandError, say, say_json};
use crate::rpc::http::BATCH_LENGTH_MAX;
use crate::rpc::methods::FINALIZED_EVENTS_MAX;
use crate::rpc::types::{BlockchainInfo, EventInfo, EventPage};
use crate::runtime::Clock;
use crate::types::{SecretKey, TxId};
use coins::{Coin, Made, Purse};
use cost::{CostSample, Offered};
use meter::{Meter, Outcome};
use telling::Telling;

pub use cost::LoadCost;
pub use meter::Counts;
pub use search::{LadderReport, PeakReport, Rung};

/// Payments a second, at most.
pub const RATE_MAX: u32 = 100_000;
/// How long a run may last.
pub const DURATION_MAX: Duration = Duration::from_secs(24 * 3_600);
/// How often payments that are due leave.
const TICK: Duration = Duration::from_millis(2);
/// What the 99th percentile may be while a network keeps up, in milliseconds, if nothing else is said.
const P99_LIMIT_MS: u32 = 250;
/// Outputs of a payment if nothing is said: one is paid, the other is the change.
pub const OUTPUTS: u16 = 2;
/// How long a run of a search takes, and a rung of a ladder, if nothing is said.
const SEARCH_RUN: Duration = Duration::from_secs(10);
const LADDER_RUNG: Duration = Duration::from_secs(30);
/// Coins for this long at the full rate without one coming back.
const COINS_S: u32 = 5;
const COINS_MIN: usize = 100;
const COINS_MAX: usize = 60_000;
/// Requests on their way to one node, at most, and so its connections.
const REQUESTS_PER_NODE_MAX: usize = 16;
/// How often a node's feed is read.
const FEED_PAUSE: Duration = Duration::from_millis(10);
const FEED_WAIT_MS: u64 = 1_000;
/// How long a node that can't be reached is left alone.
const DOWN_PAUSE: Duration = Duration::from_millis(500);
/// How long the last payments may take after the end.
const DRAIN_MAX: Duration = Duration::from_secs(15);

/// Arguments of `timed load`.
#[derive(ClapArgs, Clone, Debug)]
pub struct Args {
    /// Which nodes; all of ./devnet when nothing is given
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Payments a second; with --ladder the rate that its rungs are measured by
    #[arg(
        long,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MAX)),
        required_unless_present_any = ["find_peak", "ladder"]
    )]
    pub rate: Option<u32>,
    /// How long, such as 30s or 5m; each run of a search takes 10s, each rung of a ladder 30s if nothing is said
    #[arg(long, value_parser = parse_duration, required_unless_present_any = ["find_peak", "ladder"])]
    pub duration: Option<Duration>,
    /// Search the highest rate that the network keeps up with
    #[arg(long, conflicts_with_all = ["rate", "ladder"])]
    pub find_peak: bool,
    /// Offer half the peak, the peak, 2, 4 and 8 times that, and the peak again; searches the peak unless --rate is given
    #[arg(long)]
    pub ladder: bool,
    /// What the 99th percentile may be for the network to have kept up, in milliseconds; 250 if nothing is said
    #[arg(long, value_name = "MS", conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub p99: Option<u32>,
    /// Outputs of each payment: one is the change, the others are strangers'
    #[arg(long, value_name = "COUNT", default_value_t = OUTPUTS, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub outputs: u16,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration such as 30s, 5m or 1h".to_owned();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..) {
        Some("" | "s") => 1,
        Some("m" | "min") => 60,
        Some("h") => 3_600,
        _ => return Err(wrong()),
    };
    let seconds = digits.parse::<u64>().map_err(|_| wrong())?.checked_mul(unit).ok_or_else(wrong)?;
    let duration = Duration::from_secs(seconds);
    if duration.is_zero() || duration > DURATION_MAX {
        return Err("a run lasts from a second to a day".to_owned());
    }
    Ok(duration)
}

/// What the run showed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LoadReport {
    /// How many payments went where.
    #[serde(flatten)]
    pub counts: Counts,
    /// Half were final in this time.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// Ninety-nine of a hundred.
    pub p99_ms: f64,
    /// All.
    pub max_ms: f64,
    /// Final payments a second, from the start to the last one.
    pub final_per_s: f64,
    /// The longest time in which nothing became final.
    pub max_gap_ms: u64,
    /// When that was, from the start of the run.
    pub max_gap_at_ms: u64,
    /// Half, from the node's acceptance.
    pub node_p50_ms: f64,
    /// Ninety-nine of a hundred, from the node's acceptance.
    pub node_p99_ms: f64,
    /// Payments that left late since no coin was final.
    pub starved: u64,
    /// The rate that was asked for.
    pub rate: u32,
    /// The duration that was asked for, in seconds.
    pub duration_s: u64,
    /// Nodes that were used.
    pub nodes: usize,
    /// Why payments were refused, and how many.
    pub reasons: BTreeMap<String, u64>,
    /// What it cost, if the nodes tell.
    #[serde(flatten)]
    pub cost: Option<LoadCost>,
}

/// Payments at a steady rate.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// Payments a second.
    pub rate: u32,
    /// For so long.
    pub duration: Duration,
    /// Outputs of each payment, the change among them; 1 to 1,000.
    pub outputs: u16,
}

/// What the tasks of a run share.
struct Run {
    clients: Vec<RpcClient>,
    requests: Vec<Arc<Semaphore>>,
    meter: Mutex<Meter>,
    stop: CancellationToken,
}

/// Runs what the arguments ask for with coins of `keys`, and prints the report.
///
/// # Errors
/// When no node can be reached, or the keys have no coins.
pub async fn run(args: Args, keys: Vec<SecretKey>) -> Result<(), RpcCommandError> {
    let Args { connection, rate, duration, find_peak, ladder, p99, outputs, json } = args;
    let p99 = Duration::from_millis(u64::from(p99.unwrap_or(P99_LIMIT_MS)));
    let tell = |table: Vec<String>| table.iter().try_for_each(|line| say(line));
    if let (false, false, Some(rate), Some(duration)) = (find_peak, ladder, rate, duration) {
        let report = measure(&connection, &keys, Offer { rate, duration, outputs }).await?;
        if json { say_json(&report) } else { tell(table(&report)) }?;
        return none_final(&report).map_or(Ok(()), Err);
    }
    let peak = match rate {
        Some(rate) => rate,
        None => {
            let for_each = duration.filter(|_| find_peak).unwrap_or(SEARCH_RUN);
            let found = search::find_peak(&connection, &keys, (for_each, outputs), p99).await?;
            if find_peak {
                return if json { say_json(&found) } else { tell(found.table()) };
            }
            found.peak_per_s
        }
    };
    if peak == 0 {
        return Err(RpcCommandError::Failed(
            "the network keeps up with no rate, so there is no ladder to climb; say a rate with --rate"
                .to_owned(),
        ));
    }
    let ladder = search::climb(&connection, &keys, peak, (duration.unwrap_or(LADDER_RUNG), outputs)).await?;
    if json { say_json(&ladder) } else { tell(ladder.table()) }
}

/// That nothing was paid is a failure, whatever was measured.
fn none_final(report: &LoadReport) -> Option<RpcCommandError> {
    let Counts { submitted, finalized, .. } = report.counts;
    if finalized > 0 {
        return None;
    }
    let most = report.reasons.iter().max_by_key(|(_, count)| **count);
    let why = most.map_or_else(String::new, |(reason, count)| {
        format!("; {count} were refused: {}", reason.escape_debug())
    });
    Some(RpcCommandError::Failed(format!(
        "none of {submitted} payments became final{why}; `timed status` tells how the network is"
    )))
}

/// That a node takes payments of this client, or a down one may: else each payment to it would be refused for want of
/// credentials. Nothing is sent that could be a payment.
async fn check_credentials(client: &RpcClient) -> Result<(), RpcCommandError> {
    match client.call::<TxId>("sendrawtransaction", &[json!("")]).await {
        Err(error @ RpcCommandError::Unauthorized { .. }) => Err(error),
        _ => Ok(()),
    }
}

/// Offers payments and tells what that showed; progress goes to standard error.
///
/// # Errors
/// As [`run`].
pub async fn measure(
    connection: &ConnectionArgs,
    keys: &[SecretKey],
    offer: Offer,
) -> Result<LoadReport, RpcCommandError> {
    let clients: Vec<RpcClient> =
        connection.all_endpoints(Path::new("."))?.iter().map(RpcClient::connect).collect::<Result<_, _>>()?;
    let first = clients.first().ok_or_else(|| RpcCommandError::Failed("no node was named".to_owned()))?;
    let chain: BlockchainInfo = first.call("getblockchaininfo", &[]).await?;
    for client in &clients {
        check_credentials(client).await?;
    }
    let purse = Purse::new(keys.to_vec(), &chain, usize::from(offer.outputs))?;
    let total = u64::from(offer.rate).saturating_mul(offer.duration.as_secs());
    let wanted = usize::try_from(total.min(u64::from(offer.rate.saturating_mul(COINS_S))))
        .unwrap_or(COINS_MAX)
        .clamp(COINS_MIN, COINS_MAX);
    let found = purse.fund(first, wanted, &|line| notice(line)).await?;
    notice(format_args!(
        "{} coins ready; {} payments a second to {} nodes",
        found.len(),
        offer.rate,
        clients.len()
    ));

    let mut cursors = Vec::with_capacity(clients.len());
    for client in &clients {
        let page: EventPage = client.call("getfinalizedsince", &[]).await?;
        cursors.push(page.next_cursor);
    }
    let cost_before = CostSample::take(&clients).await;
    let start = Clock.instant();
    let meter = Meter::new(start, offer.duration.saturating_add(DRAIN_MAX), clients.len())
        .map_err(|error| RpcCommandError::Failed(error.to_string()))?;
    let shared = Arc::new(Run {
        requests: clients.iter().map(|_| Arc::new(Semaphore::new(REQUESTS_PER_NODE_MAX))).collect(),
        clients,
        meter: Mutex::new(meter),
        stop: CancellationToken::new(),
    });
    // Whoever gives this run up ends its tasks too.
    let _stops = shared.stop.clone().drop_guard();
    let tracker = TaskTracker::new();
    for (node, cursor) in cursors.into_iter().enumerate() {
        tracker.spawn(follow(shared.clone(), node, cursor));
    }
    let starved = pace(&shared, &tracker, &purse, found, &offer, start).await;
    drain(&shared, &offer).await;
    let cost_after = CostSample::take(&shared.clients).await;
    shared.stop.cancel();
    tracker.close();
    // Requests that hang are given up with the process; the report doesn't wait for them.
    let _hanging = tokio::time::timeout(DOWN_PAUSE, tracker.wait()).await.is_err();
    let fresh =
        Meter::new(start, Duration::ZERO, 0).map_err(|error| RpcCommandError::Failed(error.to_string()))?;
    let outcome = std::mem::replace(&mut *shared.meter.lock(), fresh).finish();
    let nodes = shared.clients.len();
    let cost = cost_after.since(
        &cost_before,
        Offered {
            payments: outcome.counts.finalized,
            submitted: outcome.counts.submitted,
            submitted_bytes: outcome.submitted_bytes,
            nodes,
        },
    );
    Ok(report(offer, outcome, starved, nodes, cost))
}

/// How many payments are due after some time: the k-th leaves k / rate seconds after the start.
fn due(elapsed: Duration, offer: &Offer) -> u64 {
    let elapsed = elapsed.min(offer.duration);
    let due = elapsed.as_micros().saturating_mul(u128::from(offer.rate)) / 1_000_000;
    u64::try_from(due).unwrap_or(u64::MAX)
}

/// Sends what is due, batch by batch to one node after the other, until the duration is over; tells how many payments
/// were due while no coin was final.
async fn pace(
    shared: &Arc<Run>,
    tracker: &TaskTracker,
    purse: &Purse,
    coins: Vec<Coin>,
    offer: &Offer,
    start: Instant,
) -> u64 {
    let mut coins = VecDeque::from(coins);
    let mut ticker = tokio::time::interval(TICK);
    ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut sent, mut starved, mut next_node) = (0_u64, 0_u64, 0_usize);
    let mut telling = Telling::new(offer.duration, shared.clients.len());
    loop {
        ticker.tick().await;
        let now = Clock.instant();
        let elapsed = now.saturating_duration_since(start);
        coins.extend(shared.meter.lock().take_returned());
        let mut owed = due(elapsed, offer).saturating_sub(sent);
        while owed > 0 {
            let length =
                usize::try_from(owed).unwrap_or(BATCH_LENGTH_MAX).min(BATCH_LENGTH_MAX).min(coins.len());
            if length == 0 {
                // What has no coin is not made up for later: the schedule goes on from here.
                starved = starved.saturating_add(owed);
                sent = sent.saturating_add(owed);
                break;
            }
            next_node = next_up(shared, next_node);
            submit(shared, tracker, purse, coins.drain(..length).collect(), next_node, now);
            let length = u64::try_from(length).unwrap_or(owed);
            sent = sent.saturating_add(length);
            owed = owed.saturating_sub(length);
        }
        telling.tell(shared, elapsed);
        if elapsed >= offer.duration {
            return starved;
        }
    }
}

/// The node after `last`, without those that can't be reached unless that is all of them.
fn next_up(shared: &Run, last: usize) -> usize {
    let nodes = shared.clients.len();
    let meter = shared.meter.lock();
    let candidates = (1..=nodes).map(|step| last.wrapping_add(step).checked_rem(nodes).unwrap_or(0));
    let after = last.wrapping_add(1).checked_rem(nodes).unwrap_or(0);
    candidates.into_iter().find(|node| !meter.is_down(*node)).unwrap_or(after)
}

/// Signs payments of these coins and sends them to a node in one request.
fn submit(
    shared: &Arc<Run>,
    tracker: &TaskTracker,
    purse: &Purse,
    coins: Vec<Coin>,
    node: usize,
    now: Instant,
) {
    let mut txids = Vec::with_capacity(coins.len());
    let mut bytes = Vec::with_capacity(coins.len());
    {
        let payments: Vec<Made> = coins.iter().filter_map(|coin| purse.pay(coin)).collect();
        let mut meter = shared.meter.lock();
        for Made { txid, bytes: encoded, coins } in payments {
            let Some(next) = coins.first() else { continue };
            meter.submitted((txid, encoded.len()), node, *next, now);
            txids.push(txid);
            bytes.push(encoded);
        }
    }
    if txids.is_empty() {
        return;
    }
    let shared = shared.clone();
    tracker.spawn(async move {
        let (Some(client), Some(requests)) = (shared.clients.get(node), shared.requests.get(node)) else {
            return;
        };
        let outcome = {
            let _permit = requests.acquire().await;
            client.submit_batch(&bytes).await
        };
        note_answers(&shared, node, &txids, outcome);
    });
}

fn reason_of(error: &RpcCommandError) -> String {
    match error {
        RpcCommandError::Refused { reason, .. } if !reason.is_empty() => reason.clone(),
        RpcCommandError::Refused { code, .. } => format!("code {code}"),
        RpcCommandError::Unreachable { .. } => "unreachable".to_owned(),
        RpcCommandError::Timeout { .. } => "timeout".to_owned(),
        RpcCommandError::Unauthorized { .. } => "unauthorized".to_owned(),
        RpcCommandError::Status { status, .. } => format!("http {status}"),
        _ => "malformed_answer".to_owned(),
    }
}

fn note_answers(
    shared: &Run,
    node: usize,
    txids: &[TxId],
    outcome: Result<Vec<Result<(), RpcCommandError>>, RpcCommandError>,
) {
    let mut meter = shared.meter.lock();
    match outcome {
        Ok(answers) => {
            for (txid, answer) in txids.iter().zip(answers) {
                match answer {
                    Ok(()) => meter.accepted(),
                    Err(error) => meter.rejected(txid, reason_of(&error)),
                }
            }
        }
        Err(error) => {
            if matches!(error, RpcCommandError::Unreachable { .. }) {
                meter.node_down(node, true);
            }
            let reason = reason_of(&error);
            for txid in txids {
                meter.rejected(txid, reason.clone());
            }
        }
    }
}

/// Reads a node's finality feed until the run is over.
async fn follow(shared: Arc<Run>, node: usize, mut cursor: String) {
    let Some(client) = shared.clients.get(node) else {
        return;
    };
    loop {
        let params = [json!(cursor), json!(FINALIZED_EVENTS_MAX), json!(FEED_WAIT_MS)];
        let page = tokio::select! {
            page = client.call::<EventPage>("getfinalizedsince", &params) => page,
            () = shared.stop.cancelled() => return,
        };
        let received = Clock.instant();
        let pause = {
            let mut meter = shared.meter.lock();
            match page {
                Ok(page) => {
                    meter.node_down(node, false);
                    for event in &page.events {
                        // What has no age was read from a block, later than it was final.
                        let EventInfo::Final(event) = event else { continue };
                        let age = Duration::from_micros(event.age_us.unwrap_or(0));
                        let at = received.checked_sub(age).unwrap_or(received);
                        meter.finalized(&event.txid, node, at, event.latency_us);
                    }
                    cursor = page.next_cursor;
                    FEED_PAUSE
                }
                Err(_) => {
                    meter.node_down(node, true);
                    DOWN_PAUSE
                }
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Waits until nothing is on its way, [`DRAIN_MAX`] at most.
async fn drain(shared: &Run, offer: &Offer) {
    let settled = async {
        let mut ticker = tokio::time::interval(FEED_PAUSE);
        while shared.meter.lock().in_flight() > 0 {
            ticker.tick().await;
        }
    };
    if tokio::time::timeout(DRAIN_MAX, settled).await.is_err() {
        let left = shared.meter.lock().in_flight();
        notice(format_args!("{left} payments were not final {} s after the end", DRAIN_MAX.as_secs()));
    }
    notice(shared.meter.lock().progress(Clock.instant(), offer.duration));
}

fn report(offer: Offer, outcome: Outcome, starved: u64, nodes: usize, cost: Option<LoadCost>) -> LoadReport {
    LoadReport {
        counts: outcome.counts,
        p50_ms: outcome.latency.p50_ms,
        p90_ms: outcome.latency.p90_ms,
        p99_ms: outcome.latency.p99_ms,
        max_ms: outcome.latency.max_ms,
        final_per_s: outcome.final_per_s,
        max_gap_ms: outcome.longest_gap.ms,
        max_gap_at_ms: outcome.longest_gap.from_ms,
        node_p50_ms: outcome.node_latency.p50_ms,
        node_p99_ms: outcome.node_latency.p99_ms,
        starved,
        rate: offer.rate,
        duration_s: offer.duration.as_secs(),
        nodes,
        reasons: outcome.reasons,
        cost,
    }
}

fn table(report: &LoadReport) -> Vec<String> {
    let Counts { submitted, accepted, finalized, rejected } = report.counts;
    let mut lines = vec![
        format!("{} payments a second for {} s to {} nodes", report.rate, report.duration_s, report.nodes),
        format!("  submitted       {submitted:>12}"),
        format!("  accepted        {accepted:>12}"),
        format!("  final           {finalized:>12}"),
        format!("  final a second  {:>12.1}", report.final_per_s),
        format!(
            "  p50             {:>12.2} ms   from the node's acceptance {:.2} ms",
            report.p50_ms, report.node_p50_ms
        ),
        format!("  p90             {:>12.2} ms", report.p90_ms),
        format!(
            "  p99             {:>12.2} ms   from the node's acceptance {:.2} ms",
            report.p99_ms, report.node_p99_ms
        ),
        format!("  max             {:>12.2} ms", report.max_ms),
        format!(
            "  longest pause   {:>12} ms   {:.1} s after the start",
            report.max_gap_ms,
            Duration::from_millis(report.max_gap_at_ms).as_secs_f64()
        ),
    ];
    if rejected > 0 {
        lines.push(format!("  rejected        {rejected:>12}"));
        lines.extend(
            report.reasons.iter().map(|(reason, count)| format!("    {count:>10} {}", reason.escape_debug())),
        );
    }
    if report.starved > 0 {
        lines.push(format!("  without a coin  {:>12}   the network is slower than the rate", report.starved));
    }
    lines.extend(report.cost.iter().flat_map(LoadCost::table));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::fake_node::FakeNode;
    use crate::rpc::{RpcServer, RpcServerConfig};

    #[test]
    fn durations_have_units_and_bounds() {
        for (text, seconds) in [("30s", 30), ("30", 30), ("5m", 300), ("1h", 3_600)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "s", "0s", "1d", "-1s", "1.5s", "25h", "99999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_schedule_is_exact_and_ends_with_the_run() {
        let offer = Offer { rate: 3, duration: Duration::from_secs(2), outputs: OUTPUTS };
        let at = |ms| due(Duration::from_millis(ms), &offer);
        assert_eq!([at(0), at(333), at(334), at(1_000), at(2_000), at(9_000)], [0, 0, 1, 3, 6, 6]);
    }

    /// A fake node's server, and arguments that reach it with its cookie.
    async fn served(node: Arc<FakeNode>, directory: &Path, token: &CancellationToken) -> ConnectionArgs {
        let cookie_path = directory.join(".cookie");
        let config = RpcServerConfig {
            listen_address: "127.0.0.1:0".parse().unwrap(),
            connections_max: 64,
            cookie_path: Some(cookie_path.clone()),
            users: Vec::new(),
        };
        let handle = RpcServer::start(config, node, token.clone(), &TaskTracker::new()).await.unwrap();
        let urls = vec![format!("http://{}", handle.local_address)];
        ConnectionArgs { config: None, urls, cookie_files: vec![cookie_path] }
    }

    #[tokio::test]
    async fn a_run_splits_coins_spends_them_and_sees_all_of_them_final() {
        let (directory, token) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let node = FakeNode::funded();
        let connection = served(node.clone(), directory.path(), &token).await;
        let offer = Offer { rate: 300, duration: Duration::from_secs(1), outputs: OUTPUTS };
        let report = measure(&connection, &[SecretKey::from_seed(&[1; 32])], offer).await.unwrap();
        let Counts { submitted, accepted, finalized, rejected } = report.counts;
        assert_eq!((submitted, accepted, finalized), (300, 300, 300), "{report:?}");
        assert_eq!((rejected, report.starved, report.nodes), (0, 0, 1));
        assert!((report.node_p50_ms - 1.5).abs() < 0.01);
        assert!(report.p50_ms > 0.0 && report.p50_ms <= report.p99_ms && report.p99_ms <= report.max_ms);
        let json = serde_json::to_value(&report).unwrap();
        for name in [
            "submitted",
            "accepted",
            "final",
            "p50_ms",
            "p90_ms",
            "p99_ms",
            "max_ms",
            "final_per_s",
            "max_gap_ms",
            "max_gap_at_ms",
            "cpu_us_per_payment",
        ] {
            assert!(json[name].is_number(), "{name}");
        }
        let printed = serde_json::to_string(&report).unwrap();
        let numbers = printed.split(|c: char| !c.is_ascii_digit() && !".e-".contains(c));
        for number in numbers.filter(|number| number.contains('.')) {
            let decimals = number.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            assert!(decimals <= 3, "{number} in {printed}");
        }
        assert_eq!(node.utxos.lock().len(), 2 * 300 + 1, "of payers and strangers, and the change");
        token.cancel();
    }

    #[tokio::test]
    async fn a_node_without_its_cookie_is_told_before_anything_is_sent() {
        let (directory, token) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let node = FakeNode::funded();
        let connection = served(node.clone(), directory.path(), &token).await;
        let without = ConnectionArgs { cookie_files: Vec::new(), ..connection };
        let offer = Offer { rate: 1, duration: Duration::from_secs(1), outputs: OUTPUTS };
        let error = measure(&without, &[SecretKey::from_seed(&[1; 32])], offer).await.unwrap_err();
        assert!(matches!(error, RpcCommandError::Unauthorized { .. }), "{error}");
        assert!(error.to_string().contains("--cookie-file"), "{error}");
        token.cancel();
    }

    #[test]
    fn a_load_of_which_nothing_is_final_has_failed() {
        let mut report = LoadReport::default();
        report.counts.submitted = 9;
        report.reasons.insert("busy".to_owned(), 7);
        report.reasons.insert("timeout".to_owned(), 2);
        let error = none_final(&report).unwrap();
        assert!(
            error.to_string().contains("none of 9") && error.to_string().contains("7 were refused: busy")
        );
        report.counts.finalized = 1;
        assert!(none_final(&report).is_none());
    }

    #[tokio::test]
    async fn keys_without_coins_are_said_in_words() {
        let (directory, token) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let connection = served(FakeNode::funded(), directory.path(), &token).await;
        let offer = Offer { rate: 1, duration: Duration::from_secs(1), outputs: OUTPUTS };
        let error = measure(&connection, &[SecretKey::from_seed(&[9; 32])], offer).await.unwrap_err();
        assert!(error.to_string().contains("no coins"), "{error}");
        token.cancel();
    }

    #[tokio::test]
    async fn commands_say_what_a_node_refuses() {
        let (directory, token) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let with_cookie = served(FakeNode::funded(), directory.path(), &token).await;
        let client = with_cookie.client().unwrap();
        assert_eq!(client.call::<u64>("getblockcount", &[]).await.unwrap(), 1);
        let refused = client.call::<u64>("getblockhash", &[json!(9)]).await.unwrap_err().to_string();
        assert!(
            refused.contains("out of range") && refused.contains("[-8 height_out_of_range]"),
            "{refused}"
        );
        let without = ConnectionArgs { cookie_files: Vec::new(), ..with_cookie.clone() };
        let error = without.client().unwrap().call::<String>("stop", &[]).await.unwrap_err();
        assert!(matches!(error, RpcCommandError::Unauthorized { .. }), "{error}");
        let shape = client.call::<Vec<u8>>("getblockcount", &[]).await.unwrap_err();
        assert!(matches!(shape, RpcCommandError::Malformed { .. }), "{shape}");
        token.cancel();
    }
}
