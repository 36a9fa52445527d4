//! `timed run`: a node, until a signal, `stop` or a failure ends it.

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::config::SourceArgs;
use super::{CliError, VERSION, genesis_source};
use crate::app::StartError;
use crate::app::start::{OfProcess, install_recorder, start};
use crate::app::watchdog;
use crate::runtime::logging::LogControl;
use crate::runtime::tasks::SHUTDOWN_LIMIT;
use crate::runtime::{Config, ConfigSources, TaskRegistry, logging, service_manager, signals};

/// Flags of `timed run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    sources: SourceArgs,
}

/// Runs `timed run`.
///
/// # Errors
/// When the node can't start, a part of it fails, or it does not stop in time.
pub async fn run(args: Args) -> Result<(), CliError> {
    let sources = args.sources.sources();
    let mut config = Config::load(&sources)?;
    let log = logging::start(&config.logging)?;
    let registry = TaskRegistry::new(CancellationToken::new());
    // Before the start, which may take long: a signal ends that too.
    let control = log.control();
    signals::watch(&registry, move || reload(&sources, &control)).map_err(CliError::Signals)?;
    if let Some(found) = genesis_source::complete(&mut config, &args.sources.config).await? {
        tracing::warn!("{}", genesis_source::warning(&found));
    }
    let metrics = if config.metrics.enabled { Some(install_recorder()?) } else { None };
    let process = OfProcess { metrics, log: log.control() };
    tracing::info!(
        version = VERSION,
        network = %config.node.network,
        data_dir = %config.node.data_dir.display(),
        "Starting"
    );
    // A task, so that it never holds up this one, which has to hear that the stop is to hurry.
    let (started, starting) = oneshot::channel();
    let node = registry.clone();
    registry.spawn("start", async move {
        // Nobody takes it any more when the stop was hurried meanwhile.
        let _taken = started.send(start(config, node, process).await);
    });
    let started = tokio::select! {
        biased;
        // Without an outcome it panicked, which is the registry's failure.
        started = starting => started.ok(),
        () = registry.hurried() => None,
    };
    if let Some(Ok(context)) = &started {
        watchdog::start(context);
        let network = context.config.node.network;
        service_manager::ready(&format!("serving {network}, timed {VERSION}"));
        registry.token().cancelled().await;
    }
    service_manager::stopping();
    tracing::info!("Stopping");
    let stopped = registry.shutdown(SHUTDOWN_LIMIT).await;
    match started {
        Some(Ok(context)) => drop(context),
        // A signal came first: nothing went wrong.
        Some(Err(StartError::Stopped)) => {}
        // Why it did not start says more than what followed from that.
        Some(Err(error)) => return Err(error.into()),
        None if registry.failure().is_some() => {}
        None => {
            stopped?;
            return Err(CliError::Failed(
                "the start was cut off; the next one goes on from there".to_owned(),
            ));
        }
    }
    stopped?;
    match registry.failure() {
        Some(failure) => Err(failure.into()),
        None => {
            tracing::info!("Graceful shutdown complete");
            Ok(())
        }
    }
}

/// What SIGHUP does. The file is reopened whatever else is wrong: what rotates logs relies on it.
fn reload(sources: &ConfigSources, log: &LogControl) {
    let outcome = match Config::load(sources) {
        Ok(config) => log.reload(&config.logging).map(|takes_restart| (config.logging.level, takes_restart)),
        Err(error) => {
            let reopened = log.reopen();
            tracing::warn!(%error, "The configuration can't be read again; the log keeps its level");
            reopened.map(|()| ("as it was".to_owned(), false))
        }
    };
    match outcome {
        Ok((level, takes_restart)) => {
            tracing::info!(level, "Log reopened");
            if takes_restart {
                tracing::warn!("[logging] format, and whether there is a file, change with a restart only");
            }
        }
        Err(error) => tracing::error!(%error, "The log could not be changed as asked"),
    }
}
