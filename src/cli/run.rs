//! `timed run`: a node, until a signal, `stop` or a failure ends it.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::CliError;
use crate::app::start::{StartError, install_recorder, start};
use crate::runtime::tasks::SHUTDOWN_LIMIT;
use crate::runtime::{Config, ConfigSources, TaskRegistry, logging};

/// Flags of `timed run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "config.toml")]
    config: PathBuf,
}

/// Runs `timed run`.
///
/// # Errors
/// When the node can't start, a part of it fails, or it does not stop in time.
pub async fn run(args: Args) -> Result<(), CliError> {
    let config = Config::load(&ConfigSources::of_process(Some(args.config)))?;
    let _log = logging::start(&config.logging)?;
    let registry = TaskRegistry::new(CancellationToken::new());
    // Before the start, which may take long: a signal ends that too.
    stop_on_signal(&registry)?;
    let metrics = if config.metrics.enabled { Some(install_recorder()?) } else { None };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        network = %config.node.network,
        data_dir = %config.node.data_dir.display(),
        "starting"
    );
    let token = registry.token().clone();
    let started = start(config, registry.clone(), metrics).await;
    if started.is_ok() {
        token.cancelled().await;
        tracing::info!("stopping");
    }
    let stopped = registry.shutdown(SHUTDOWN_LIMIT).await;
    // Why it did not start says more than what followed from that; a stop while it opened its data is none.
    match started {
        Ok(_) | Err(StartError::Stopped) => {}
        Err(error) => return Err(error.into()),
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

fn stop_on_signal(registry: &TaskRegistry) -> Result<(), CliError> {
    use tokio::signal::unix::{SignalKind, signal};
    let handler = |kind| signal(kind).map_err(CliError::Signals);
    let (mut interrupt, mut terminate) =
        (handler(SignalKind::interrupt())?, handler(SignalKind::terminate())?);
    let token = registry.token().clone();
    registry.spawn("signals", async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = token.cancelled() => {}
        }
        token.cancel();
    });
    Ok(())
}
