//! `timed run`: a node, until a signal, `stop` or a failure ends it.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::config::SourceArgs;
use super::{CliError, VERSION, genesis_source};
use crate::app::StartError;
use crate::app::start::{OfProcess, install_recorder, start};
use crate::app::watchdog;
use crate::runtime::logging::LogControl;
use crate::runtime::tasks::SHUTDOWN_LIMIT;
use crate::runtime::{Clock, Config, ConfigSources, TaskRegistry, logging, service_manager, signals};

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
    let (started, stopping_since) = await_start(starting, &registry, SHUTDOWN_LIMIT).await;
    if let Some(Ok(context)) = &started {
        watchdog::start(context);
        let network = context.config.node.network;
        service_manager::ready(&format!("serving {network}, timed {VERSION}"));
        registry.token().cancelled().await;
    }
    service_manager::stopping();
    tracing::info!("Stopping");
    let stopping_since = stopping_since.unwrap_or_else(|| Clock.instant());
    let left = || SHUTDOWN_LIMIT.saturating_sub(stopping_since.elapsed());
    let stopped = registry.shutdown(left()).await;
    match started {
        Some(Ok(context)) => {
            // A database may go on with a merge before it is closed: that has what is left of the time, and no more.
            registry.spawn_blocking("closing of the index", move || drop(context));
            let closed = registry.shutdown(left()).await;
            if stopped.is_ok() {
                closed?;
            }
        }
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

/// What became of the start, none if it panicked or was cut off; and since when the node is to stop, if that came first. A
/// start that is told to stop has `limit` to end by itself: what it starts meanwhile has to be stopped too.
async fn await_start<T>(
    mut starting: oneshot::Receiver<T>,
    registry: &TaskRegistry,
    limit: Duration,
) -> (Option<T>, Option<Instant>) {
    tokio::select! {
        biased;
        started = &mut starting => return (started.ok(), None),
        () = registry.token().cancelled() => {}
    }
    let since = Clock.instant();
    let started = tokio::select! {
        biased;
        started = starting => started.ok(),
        () = registry.hurried() => None,
        // A disk that hangs holds it for ever.
        () = tokio::time::sleep(limit) => None,
    };
    (started, Some(since))
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

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn a_start_that_hangs_is_waited_for_no_longer_than_a_stop_may_take_and_not_at_all_in_a_hurry() {
        let registry = || TaskRegistry::new(CancellationToken::new());
        let (hold, starting) = oneshot::channel::<u8>();
        let told = registry();
        told.token().cancel();
        let (started, since) = await_start(starting, &told, Duration::from_millis(20)).await;
        assert!(started.is_none() && since.is_some());
        drop(hold);
        let (hold, starting) = oneshot::channel::<u8>();
        let told = registry();
        told.hurry();
        assert_eq!(await_start(starting, &told, LONG).await.0, None);
        drop(hold);
        // One that ends by itself is waited for, so that all that it has started is stopped.
        let (hold, starting) = oneshot::channel();
        let told = registry();
        told.token().cancel();
        told.spawn_unwaited("start", async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let _taken = hold.send(7_u8);
        });
        let (started, since) = await_start(starting, &told, LONG).await;
        assert!(started == Some(7) && since.is_some());
    }
}
