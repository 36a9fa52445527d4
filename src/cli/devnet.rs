//! `timed devnet`: a whole network on this machine, in one command.
//!
//! # Place
//! Prepares a directory by [`crate::app::devnet`], runs its nodes in this process or each in its own, tells what to do
//! with them and then a line a block. It learns of blocks as anybody would: by RPC of a node that answers.
//!
//! # Invariants
//! - A node that ends is reported, and the others go on.
//! - All nodes have ended when the command ends; a process that does not end in time is killed.

mod banner;
mod ports;

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use self::banner::Banner;
use super::load;
use super::rpc_client::{ConnectionArgs, DEVNET_DIRECTORY, Endpoint, RpcClient, RpcCommandError};
use super::{CliError, duration, output};
use crate::app;
use crate::app::devnet::{Devnet, DevnetNode, DevnetWishes};
use crate::app::networks::devnet_account_keys;
use crate::app::start::{OfProcess, install_recorder};
use crate::rpc::methods::FINALIZED_EVENTS_MAX;
use crate::rpc::types::{BlockInfo, BlockchainInfo, EventInfo, EventPage, NodeStatus};
use crate::runtime::config::LoggingConfig;
use crate::runtime::logging::LogControl;
use crate::runtime::signals::{Heard, Signals};
use crate::runtime::tasks::SHUTDOWN_LIMIT;
use crate::runtime::{Clock, Config, TaskRegistry, logging};
use crate::types::{Height, Network, TimeMs};

/// How often a node is asked for news.
const POLL: Duration = Duration::from_millis(200);
/// A node that does not answer in this time is passed over for the next one.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Without a block for so long, the reason is told, and again each time as long.
const QUIET_MAX: Duration = Duration::from_secs(10);
/// Blocks that are told one by one when many came at once; of more, the last ones.
const LINES_MAX: u64 = 20;
/// One run of the load; another follows.
const LOAD_RUN: Duration = Duration::from_secs(3_600);
/// How long the load waits for a network that can't take it.
const LOAD_PAUSE: Duration = Duration::from_secs(2);

/// Flags of `timed devnet`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many masternodes a new devnet has, 3 to 100; 4 when nothing is said.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(3..=100))]
    validators: Option<u16>,
    /// The devnet's directory; an existing devnet goes on where it stopped.
    #[arg(long, value_name = "DIR", default_value = DEVNET_DIRECTORY)]
    dir: PathBuf,
    /// Delete the devnet in the directory first, and start a new chain: no proof, payment or node of the old one counts on
    /// it.
    #[arg(long)]
    reset: bool,
    /// Make so many payments a second.
    #[arg(long, value_name = "RATE", value_parser = clap::value_parser!(u32).range(1..=i64::from(load::RATE_MAX)))]
    load: Option<u32>,
    /// Run each node as a process of its own, with its log in nodeI/node.log.
    #[arg(long)]
    processes: bool,
    /// The port for peers of a new devnet's first node; the others follow it, and RPC answers on the port above. 24200 when
    /// nothing is said.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1_024..=65_000))]
    base_port: Option<u16>,
    /// How long after a block of a new devnet the next one is due; 2s when nothing is said.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_block_interval)]
    block_interval: Option<Duration>,
    /// Show the accounts' words and private keys too, which everybody knows.
    #[arg(long)]
    show_keys: bool,
}

/// A node that runs.
enum Running {
    /// In this process; its lines in the log stand in the span.
    Inside(TaskRegistry, Span),
    Process(Child),
}

struct RunningNode {
    name: String,
    log: PathBuf,
    running: Running,
    reported: bool,
}

/// Runs `timed devnet` until a signal comes or all nodes have ended.
///
/// # Errors
/// When the directory can't be used or a node does not start.
pub async fn run(args: Args) -> Result<(), CliError> {
    // First, so that a signal during the start is not lost.
    let mut stop =
        StopSignals { signals: Signals::install().map_err(CliError::Signals)?, log: None, came: false };
    let wishes = DevnetWishes {
        validators: args.validators.map(usize::from),
        base_port: args.base_port,
        block_interval: args.block_interval,
    };
    let devnet = Devnet::prepare(&args.dir, &wishes, args.reset)?;
    if let Err(taken) = ports::check(&devnet) {
        // So that the same directory can be used with other ports.
        if !devnet.existed {
            devnet.discard()?;
        }
        return Err(taken);
    }
    let logging = if args.processes { None } else { Some(logging::start(&log_config(&devnet))?) };
    stop.log = logging.as_ref().map(logging::LoggingGuard::control);
    let started = Clock.instant();
    let mut fleet = Fleet { nodes: Vec::new() };
    let outcome = tokio::select! {
        outcome = fleet.start(&devnet, stop.log.clone()) => outcome,
        () = stop.next() => Ok(()),
    };
    // Whatever happens, what was started is stopped.
    let outcome = match outcome.and_then(|()| introduce(&devnet, &args)) {
        Ok(()) if !stop.came => watch(&args, &devnet, &mut fleet, &mut stop, started).await,
        other => other,
    };
    let stopped = fleet.stop(&mut stop).await;
    outcome?;
    stopped?;
    output::line("Graceful shutdown complete")
}

fn log_config(devnet: &Devnet) -> LoggingConfig {
    let defaults = Config::of_network(Network::Devnet).logging;
    LoggingConfig { level: "warn".to_owned(), file: Some(devnet.log_path()), ..defaults }
}

/// The signals that end the command. Others are obeyed meanwhile.
struct StopSignals {
    signals: Signals,
    log: Option<LogControl>,
    came: bool,
}

impl StopSignals {
    async fn next(&mut self) {
        loop {
            match self.signals.next().await {
                Heard::Stop(_) => break,
                Heard::Reload => match self.log.as_ref().map(LogControl::reopen) {
                    Some(Ok(())) => output::notice("SIGHUP: the log was reopened"),
                    Some(Err(error)) => output::notice(format_args!("SIGHUP: {error}")),
                    None => output::notice("SIGHUP: each process has its own log; send it to that process"),
                },
                Heard::Ignored(name) => {
                    output::notice(format_args!("{name} is ignored: it asks for nothing here"))
                }
            }
        }
        self.came = true;
    }
}

struct Fleet {
    nodes: Vec<RunningNode>,
}

impl Fleet {
    /// Starts all nodes: in this process if it has a log, else each in its own.
    async fn start(&mut self, devnet: &Devnet, log: Option<LogControl>) -> Result<(), CliError> {
        let of_process = match log {
            Some(log) => Some(OfProcess { metrics: Some(install_recorder()?), log }),
            None => None,
        };
        for (index, node) in devnet.nodes.iter().enumerate() {
            let Some(OfProcess { metrics, log }) = of_process.clone() else {
                let log = node.directory.join("node.log");
                let running = Running::Process(spawn(node, &log)?);
                self.push(node, running, log);
                continue;
            };
            let registry = TaskRegistry::new(CancellationToken::new());
            // Noted before it has started, so that what has started of it is stopped in any case.
            // Of this level, so that it is on each line whatever is logged.
            let span = tracing::error_span!("node", name = %node.name);
            self.push(node, Running::Inside(registry.clone(), span.clone()), devnet.log_path());
            let process = OfProcess { metrics: metrics.filter(|_| index == 0), log };
            app::start(node.config.clone(), registry, process).instrument(span).await?;
        }
        Ok(())
    }

    fn push(&mut self, node: &DevnetNode, running: Running, log: PathBuf) {
        self.nodes.push(RunningNode { name: node.name.clone(), log, running, reported: false });
    }

    /// Tells of nodes that have ended since the last call; false when none is left.
    fn report_ended(&mut self) -> Result<bool, CliError> {
        for node in self.nodes.iter_mut().filter(|node| !node.reported) {
            let why = match &mut node.running {
                Running::Inside(registry, _) => registry.token().is_cancelled().then(|| {
                    registry
                        .failure()
                        .map_or_else(|| "it was told to".to_owned(), |failure| failure.to_string())
                }),
                Running::Process(child) => match child.try_wait() {
                    Ok(status) => status.map(|status| status.to_string()),
                    Err(error) => Some(error.to_string()),
                },
            };
            if let Some(why) = why {
                node.reported = true;
                output::line(format_args!("{} has stopped: {why}; see {}", node.name, node.log.display()))?;
            }
        }
        Ok(self.nodes.iter().any(|node| !node.reported))
    }

    /// Stops all at once; each has [`SHUTDOWN_LIMIT`], and less after a further signal.
    async fn stop(&mut self, signals: &mut StopSignals) -> Result<(), CliError> {
        let hurry = CancellationToken::new();
        let outcomes = join_all(self.nodes.iter_mut().map(|node| stop_node(node, &hurry)));
        tokio::pin!(outcomes);
        let outcomes = loop {
            tokio::select! {
                outcomes = &mut outcomes => break outcomes,
                () = signals.next() => {
                    output::notice("stopping in a hurry");
                    hurry.cancel();
                }
            }
        };
        let problems: Vec<String> = outcomes.into_iter().flatten().collect();
        if problems.is_empty() { Ok(()) } else { Err(CliError::Failed(problems.join("; "))) }
    }
}

/// Stops a node, in a hurry once that token is cancelled; says what went wrong.
async fn stop_node(node: &mut RunningNode, hurry: &CancellationToken) -> Option<String> {
    let problem = match &mut node.running {
        Running::Inside(registry, span) => {
            let stopping = registry.shutdown(SHUTDOWN_LIMIT).instrument(span.clone());
            tokio::pin!(stopping);
            let stopped = tokio::select! {
                stopped = &mut stopping => stopped,
                () = hurry.cancelled() => {
                    registry.hurry();
                    stopping.await
                }
            };
            stopped.err().map(|hung| hung.to_string())
        }
        Running::Process(child) => {
            terminate(child).await;
            match tokio::time::timeout(SHUTDOWN_LIMIT, wait(child, hurry)).await {
                // That it failed before was told then.
                Ok(Ok(status)) if status.success() || node.reported => None,
                Ok(Ok(status)) => Some(format!("ended with {status}, see {}", node.log.display())),
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => {
                    let killed = child.kill().await.err().map(|error| error.to_string());
                    Some(killed.unwrap_or_else(|| "did not stop in time and was killed".to_owned()))
                }
            }
        }
    };
    problem.map(|problem| format!("{}: {problem}", node.name))
}

/// Waits for a process that was told to stop, and tells it once more when that is to hurry.
async fn wait(child: &mut Child, hurry: &CancellationToken) -> std::io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => return status,
        () = hurry.cancelled() => {}
    }
    terminate(child).await;
    child.wait().await
}

/// Sends SIGTERM. The shell does it, since the standard library has no safe call for it.
async fn terminate(child: &Child) {
    if let Some(id) = child.id() {
        let mut command = Command::new("sh");
        command.args(["-c", "kill -TERM \"$1\"", "sh", &id.to_string()]).stderr(Stdio::null());
        // If it fails, the child is killed when its time is over.
        let _sent = command.status().await.is_ok();
    }
}

fn spawn(node: &DevnetNode, log: &Path) -> Result<Child, CliError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CliError::Io { path, source }
    };
    let program = std::env::current_exe().map_err(failed(Path::new("the running program")))?;
    let output = std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(failed(log))?;
    let errors = output.try_clone().map_err(failed(log))?;
    let mut command = Command::new(&program);
    command.arg("run").arg("--config").arg(&node.config_path);
    // Each node has its own configuration; one variable would be the same for all.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIMED_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    // A group of its own: Ctrl-C at the terminal reaches this process alone, which then stops its nodes in order.
    command.process_group(0).kill_on_drop(true).spawn().map_err(failed(&program))
}

fn introduce(devnet: &Devnet, args: &Args) -> Result<(), CliError> {
    let program = std::env::args().next().unwrap_or_else(|| "timed".to_owned());
    // Commands find the devnet in the usual directory by themselves.
    let is_usual = args.dir == Path::new(DEVNET_DIRECTORY);
    let banner = Banner {
        program: &program,
        config: (!is_usual).then(|| args.dir.join("node0/config.toml")),
        directory: &args.dir,
        processes: args.processes,
        show_keys: args.show_keys,
        has_load: args.load.is_some(),
    };
    banner.lines(devnet).iter().try_for_each(output::line)
}

/// Tells a line a block until a signal comes or no node is left.
async fn watch(
    args: &Args,
    devnet: &Devnet,
    fleet: &mut Fleet,
    signals: &mut StopSignals,
    started: Instant,
) -> Result<(), CliError> {
    let mut watcher = Watcher::new(devnet, started)?;
    let load = async {
        match args.load {
            Some(rate) => load_for_ever(devnet, rate).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(load);
    let mut ticker = tokio::time::interval(POLL);
    ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = signals.next() => return Ok(()),
            () = &mut load => {}
            _ = ticker.tick() => {}
        }
        if !fleet.report_ended()? {
            return Err(CliError::Failed("no node of the devnet runs any more".to_owned()));
        }
        tokio::select! {
            () = signals.next() => return Ok(()),
            () = &mut load => {}
            told = watcher.tell() => told?,
        }
    }
}

/// Makes payments through all nodes, run after run.
async fn load_for_ever(devnet: &Devnet, rate: u32) {
    let connection = ConnectionArgs {
        config: None,
        urls: devnet.nodes.iter().map(url_of).collect(),
        cookie_files: devnet.nodes.iter().map(|node| node.config.cookie_path()).collect(),
    };
    let offer = load::Offer { rate, duration: LOAD_RUN, outputs: load::OUTPUTS };
    while !connection.cookie_files.iter().all(|cookie| cookie.exists()) {
        tokio::time::sleep(POLL).await;
    }
    loop {
        if let Err(error) = load::measure(&connection, &devnet_account_keys(), offer).await {
            output::notice(format_args!("load: {error}"));
        }
        tokio::time::sleep(LOAD_PAUSE).await;
    }
}

fn url_of(node: &DevnetNode) -> String {
    format!("http://{}", node.config.rpc.listen_address)
}

/// Follows the chain by a node that answers.
struct Watcher {
    clients: Vec<RpcClient>,
    current: usize,
    cursor: Option<String>,
    told: Option<(Height, TimeMs)>,
    started: Instant,
    last_news: Instant,
    first_told: bool,
}

impl Watcher {
    fn new(devnet: &Devnet, started: Instant) -> Result<Self, CliError> {
        let client =
            |node: &DevnetNode| RpcClient::connect(&Endpoint { url: url_of(node), cookie_file: None });
        let clients = devnet.nodes.iter().map(client).collect::<Result<_, _>>()?;
        let told = (!devnet.existed).then_some((0, 0));
        Ok(Self { clients, current: 0, cursor: None, told, started, last_news: started, first_told: false })
    }

    /// Prints what is new.
    async fn tell(&mut self) -> Result<(), CliError> {
        let Some(client) = self.clients.get(self.current).cloned() else { return Ok(()) };
        match tokio::time::timeout(ANSWER_MAX, self.lines(&client)).await {
            Ok(Ok(lines)) => lines.iter().try_for_each(output::line)?,
            // The numbers of its finality events are its own.
            Ok(Err(_)) | Err(_) => {
                self.cursor = None;
                self.current = self.current.saturating_add(1).checked_rem(self.clients.len()).unwrap_or(0);
            }
        }
        Ok(())
    }

    async fn lines(&mut self, client: &RpcClient) -> Result<Vec<String>, RpcCommandError> {
        let chain: BlockchainInfo = client.call("getblockchaininfo", &[]).await?;
        let Some((told, told_ms)) = self.told else {
            // Where an existing chain goes on.
            self.told = Some((chain.blocks, chain.time));
            let page: EventPage = client.call("getfinalizedsince", &[]).await?;
            self.cursor = Some(page.next_cursor);
            return Ok(Vec::new());
        };
        let now = Clock.instant();
        if chain.blocks <= told {
            if now.saturating_duration_since(self.last_news) < QUIET_MAX {
                return Ok(Vec::new());
            }
            self.last_news = now;
            let status: NodeStatus = client.call("getnodestatus", &[]).await?;
            return Ok(vec![quiet_line(&status)]);
        }
        self.last_news = now;
        let finality = self.finality(client).await?;
        let mut lines = Vec::new();
        let from = told.max(chain.blocks.saturating_sub(LINES_MAX));
        // The time of genesis is no block's, and that of a block that was passed over is not known here.
        let mut before_ms = (told == from && told > 0).then_some(told_ms);
        for height in from.saturating_add(1)..=chain.blocks {
            let block: BlockInfo = client.call("getblock", &[json!(height), json!(1)]).await?;
            let since_ms = before_ms.map(|before_ms| block.time.saturating_sub(before_ms));
            let finality = finality.filter(|_| height == chain.blocks);
            lines.push(block_line(&block, since_ms, finality));
            before_ms = Some(block.time);
            self.told = Some((height, block.time));
        }
        if !std::mem::replace(&mut self.first_told, true) {
            let after = now.saturating_duration_since(self.started).as_secs_f64();
            lines.push(format!("(the first block {after:.1} s after the start)"));
        }
        Ok(lines)
    }

    /// How many transactions became final since the last call at this node, and the median time from its acceptance.
    async fn finality(&mut self, client: &RpcClient) -> Result<Option<(usize, f64)>, RpcCommandError> {
        let params = match &self.cursor {
            Some(cursor) => vec![json!(cursor), json!(FINALIZED_EVENTS_MAX), json!(0)],
            None => Vec::new(),
        };
        let page: EventPage = client.call("getfinalizedsince", &params).await?;
        self.cursor = Some(page.next_cursor);
        let latency = |event: &EventInfo| match event {
            EventInfo::Final(event) => event.latency_us,
            _ => None,
        };
        let mut latencies_us: Vec<u64> = page.events.iter().filter_map(latency).collect();
        latencies_us.sort_unstable();
        let median_us = latencies_us.get(latencies_us.len() / 2).copied();
        Ok(median_us.map(|us| (latencies_us.len(), Duration::from_micros(us).as_secs_f64() * 1_000.0)))
    }
}

fn quiet_line(status: &NodeStatus) -> String {
    let why =
        if status.reasons.is_empty() { "no reason known".to_owned() } else { status.reasons.join("; ") };
    format!("no block for {} s at height {}: {why}", QUIET_MAX.as_secs(), status.height)
}

fn block_line(block: &BlockInfo, since_ms: Option<u64>, finality: Option<(usize, f64)>) -> String {
    let mut line = format!("block {:>6}  {:>5} tx", block.height, block.transaction_count);
    match since_ms {
        Some(ms) => line.push_str(&format!("  +{:.2} s", Duration::from_millis(ms).as_secs_f64())),
        None => line.push_str("         "),
    }
    line.push_str(&format!("  epoch {}", block.epoch));
    if block.epoch_end {
        line.push_str(", its last");
    }
    if block.commit_round > 0 {
        line.push_str(&format!("  round {}", block.commit_round));
    }
    if let Some((count, p50_ms)) = finality {
        line.push_str(&format!("  {count} final in {p50_ms:.1} ms (median)"));
    }
    line
}
