//! `timed devnet`: a whole network on this machine, in one command.
//!
//! # Place
//! Prepares a directory by [`crate::app::devnet`], runs its nodes by [`crate::devnet`], in this process or each in its own,
//! tells what to do with them and then a line a block. Its verbs (`orders.rs`) speak to a devnet that runs.
//!
//! `banner.rs` says what there is, `ports.rs` whether it can be had, `watcher.rs` and `payments.rs` what happens, [`orders`]
//! obeys.
//!
//! # Invariants
//! - A node that ends by itself is reported, and the others go on.
//! - All nodes have ended when the command ends; a process that does not end in time is killed.

mod banner;
mod orders;
mod payments;
mod ports;
mod watcher;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use self::banner::Banner;
use self::orders::Order;
use self::watcher::Watcher;
use super::load;
use super::rpc_client::{ConnectionArgs, DEVNET_DIRECTORY};
use super::{CliError, duration, output};
use crate::app::devnet::{Devnet, DevnetNode, DevnetWishes};
use crate::app::networks::devnet_account_keys;
use crate::app::start::{OfProcess, install_recorder};
use crate::devnet::control::Control;
use crate::devnet::{Fleet, Mode};
use crate::runtime::config::LoggingConfig;
use crate::runtime::logging::LogControl;
use crate::runtime::signals::{Heard, Signals};
use crate::runtime::tasks::HURRY_LIMIT;
use crate::runtime::{Clock, Config, TaskRegistry, logging};
use crate::types::Network;

/// How often a node is asked for news.
const POLL: Duration = Duration::from_millis(200);
/// One run of the load; another follows.
const LOAD_RUN: Duration = Duration::from_secs(3_600);
/// How long the load waits for a network that can't take it.
const LOAD_PAUSE: Duration = Duration::from_secs(2);

/// Flags of `timed devnet`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    order: Option<Order>,
    #[command(flatten)]
    run: RunArgs,
}

/// Flags of a devnet that is to run.
#[derive(Debug, clap::Args)]
struct RunArgs {
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
    /// Tell a line for each final payment, ten a second at most: how much, of whom, to whom, and in what time.
    #[arg(long)]
    show_payments: bool,
    /// Show the accounts' words and private keys too, which everybody knows.
    #[arg(long)]
    show_keys: bool,
}

/// Runs a devnet until a signal comes or all nodes have ended; or gives an order to one that runs.
///
/// # Errors
/// When the directory can't be used or a node does not start; or when the order can't be obeyed.
pub async fn run(args: Args) -> Result<(), CliError> {
    match args.order {
        Some(order) => orders::run(order).await,
        None => run_nodes(args.run).await,
    }
}

async fn run_nodes(args: RunArgs) -> Result<(), CliError> {
    // First, so that a signal during the start is not lost.
    let mut stop =
        StopSignals { signals: Signals::install().map_err(CliError::Signals)?, log: None, came: false };
    let wishes = DevnetWishes {
        validators: args.validators.map(usize::from),
        base_port: args.base_port,
        block_interval: args.block_interval,
    };
    let directory = Devnet::prepare(&args.dir, &wishes, args.reset)?;
    if let Err(taken) = ports::check(&directory) {
        // So that the same directory can be used with other ports.
        if !directory.existed {
            directory.discard()?;
        }
        return Err(taken);
    }
    let logging = if args.processes { None } else { Some(logging::start(&log_config(&directory))?) };
    stop.log = logging.as_ref().map(logging::LoggingGuard::control);
    let mode = match stop.log.clone() {
        Some(log) => Mode::InProcess(OfProcess { metrics: Some(install_recorder()?), log }),
        None => Mode::Processes(
            std::env::current_exe()
                .map_err(|source| CliError::Io { path: "the running program".into(), source })?,
        ),
    };
    let started = Clock.instant();
    let fleet = Arc::new(Fleet::new(directory, mode)?);
    let control = listen(&fleet);
    let outcome = tokio::select! {
        outcome = fleet.start() => outcome.map_err(CliError::from),
        () = stop.next() => Ok(()),
    };
    // Whatever happens, what was started is stopped.
    let outcome = match outcome.and_then(|()| introduce(fleet.directory(), &args)) {
        Ok(()) if !stop.came => watch(&args, &fleet, &mut stop, started).await,
        other => other,
    };
    // First, so that nothing is started any more.
    let _gave_up = control.shutdown(HURRY_LIMIT).await.is_err();
    let stopped = stop_all(&fleet, &mut stop).await;
    outcome?;
    stopped?;
    output::line("Graceful shutdown complete")
}

/// Hears orders from other terminals, for as long as the registry's token is not cancelled.
fn listen(fleet: &Arc<Fleet>) -> TaskRegistry {
    let registry = TaskRegistry::new(CancellationToken::new());
    match Control::listen(fleet) {
        Ok(control) => {
            let (fleet, token) = (Arc::clone(fleet), registry.token().clone());
            registry.spawn("devnet control", async move {
                // Nobody reads any more when standard output is gone; the devnet finds that out by itself.
                let serving = control.serve(fleet, |line| drop(output::line(line)));
                let _ended = token.run_until_cancelled(serving).await;
            });
        }
        Err(error) => output::notice(format_args!("`timed devnet status` and the like find nobody: {error}")),
    }
    registry
}

/// Stops all nodes, in a hurry after a further signal.
async fn stop_all(fleet: &Fleet, signals: &mut StopSignals) -> Result<(), CliError> {
    let hurry = CancellationToken::new();
    let stopping = fleet.stop(&hurry);
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            outcome = &mut stopping => return Ok(outcome?),
            () = signals.next() => {
                output::notice("stopping in a hurry");
                hurry.cancel();
            }
        }
    }
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

fn introduce(devnet: &Devnet, args: &RunArgs) -> Result<(), CliError> {
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
    args: &RunArgs,
    fleet: &Arc<Fleet>,
    signals: &mut StopSignals,
    started: Instant,
) -> Result<(), CliError> {
    let mut watcher = Watcher::new(Arc::clone(fleet), started, args.show_payments)?;
    let load = async {
        match args.load {
            Some(rate) => load_for_ever(fleet, rate).await,
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
        fleet.ended().iter().try_for_each(output::line)?;
        if fleet.is_over() {
            return Err(CliError::Failed("no node of the devnet runs any more".to_owned()));
        }
        tokio::select! {
            () = signals.next() => return Ok(()),
            () = &mut load => {}
            told = watcher.tell() => told?,
        }
    }
}

/// Makes payments through all nodes that run, run after run; a new run when one was started again.
async fn load_for_ever(fleet: &Fleet, rate: u32) {
    let offer = load::Offer { rate, duration: LOAD_RUN, outputs: load::OUTPUTS };
    let keys = devnet_account_keys();
    loop {
        let starts = fleet.starts();
        let nodes = fleet.directory().nodes.iter().enumerate();
        let running: Vec<&DevnetNode> =
            nodes.filter(|(index, _)| fleet.is_well(*index)).map(|(_, node)| node).collect();
        let connection = ConnectionArgs {
            config: None,
            urls: running.iter().map(|node| url_of(node)).collect(),
            cookie_files: running.iter().map(|node| node.config.cookie_path()).collect(),
        };
        if running.is_empty() || !connection.cookie_files.iter().all(|cookie| cookie.exists()) {
            tokio::time::sleep(POLL).await;
            continue;
        }
        let restarted = async {
            while fleet.starts() == starts {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::select! {
            measured = load::measure(&connection, &keys, offer) => {
                if let Err(error) = measured {
                    output::notice(format_args!("load: {error}"));
                }
            }
            () = restarted => output::notice("load: it begins anew, since nodes were started again"),
        }
        tokio::time::sleep(LOAD_PAUSE).await;
    }
}

/// Where a node's RPC is.
fn url_of(node: &DevnetNode) -> String {
    format!("http://{}", node.config.rpc.listen_address)
}
