//! One node of a devnet: started, stopped, killed and paused, in this process or in one of its own.
//!
//! # Place
//! [`Fleet`](super::Fleet) has them, and orders of one after the other.
//!
//! # Invariants
//! - Whatever was started of a node is noted before it has started, so that it is stopped in any case.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::error::DevnetError;
use super::report::State;
use crate::app::devnet::DevnetNode;
use crate::app::start::OfProcess;
use crate::app::{self, StartError};
use crate::rpc::client::{Endpoint, RpcClient, RpcCommandError};
use crate::runtime::tasks::{HURRY_LIMIT, SHUTDOWN_LIMIT, STOP_MAX};
use crate::runtime::{Clock, TaskRegistry};
use crate::storage::StorageError;

/// How long a node has until its first answer.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(60);
/// How long the data directory of a node that was cut off may still be held.
const RELEASE_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// Where nodes run.
#[derive(Clone)]
pub enum Mode {
    /// All in this process; node 0 serves the process' metrics if they are given.
    InProcess(OfProcess),
    /// Each in a process of its own, of this program.
    Processes(PathBuf),
}

/// What a node is at present.
enum Life {
    Down { state: State, why: String },
    Inside { registry: TaskRegistry, span: Span },
    Process { child: Child, is_paused: bool },
}

/// A node; runs or not.
pub(super) struct Node {
    pub(super) place: DevnetNode,
    pub(super) log: PathBuf,
    /// Whether it was told to have no connections, in its present life.
    pub(super) isolated: AtomicBool,
    /// What it is, and whether its end was told.
    life: tokio::sync::Mutex<(Life, bool)>,
}

impl Node {
    pub(super) fn new(place: DevnetNode, log: PathBuf) -> Self {
        let life = Life::Down { state: State::Stopped, why: String::new() };
        Self { place, log, isolated: AtomicBool::new(false), life: tokio::sync::Mutex::new((life, true)) }
    }

    pub(super) fn name(&self) -> &str {
        &self.place.name
    }

    /// Its RPC address.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.place.config.rpc.listen_address)
    }

    /// A client with the node's cookie.
    ///
    /// # Errors
    /// When there is no cookie: it does not run.
    pub(super) fn client(&self) -> Result<RpcClient, DevnetError> {
        let cookie = self.place.config.cookie_path();
        RpcClient::connect(&Endpoint::with_cookie_at(self.url(), cookie))
            .map_err(|source| self.rpc_error(source))
    }

    pub(super) fn rpc_error(&self, source: RpcCommandError) -> DevnetError {
        DevnetError::Rpc { node: self.name().to_owned(), source: Box::new(source) }
    }

    /// What it is, as far as that shows from outside: an isolated node runs.
    pub(super) async fn state(&self) -> State {
        self.life.lock().await.0.look()
    }

    /// Whether it runs and may have connections; false while somebody does something to it.
    pub(super) fn is_well(&self) -> bool {
        let runs = self.life.try_lock().is_ok_and(|mut life| life.0.look() == State::Running);
        runs && !self.isolated.load(Ordering::SeqCst)
    }

    /// Whether it ended by itself; false while somebody does something to it.
    pub(super) fn has_ended(&self) -> bool {
        self.life.try_lock().is_ok_and(|mut life| life.0.look() == State::Ended)
    }

    /// How it ended by itself, told once; nothing while somebody does something to it.
    pub(super) fn news(&self) -> Option<String> {
        let mut life = self.life.try_lock().ok()?;
        let state = life.0.look();
        let was_told = std::mem::replace(&mut life.1, state == State::Ended);
        match &life.0 {
            Life::Down { state: State::Ended, why } if !was_told => Some(why.clone()),
            _ => None,
        }
    }

    /// Starts it. In this process it serves when this returns; a process of its own does so somewhat later.
    pub(super) async fn start(&self, mode: &Mode, index: usize) -> Result<(), DevnetError> {
        let mut life = self.life.lock().await;
        life.1 = false;
        self.isolated.store(false, Ordering::SeqCst);
        match mode {
            Mode::Processes(program) => {
                life.0 = Life::Process { child: self.spawn(program)?, is_paused: false };
                Ok(())
            }
            Mode::InProcess(process) => {
                let began = Clock.instant();
                loop {
                    match self.start_inside(&mut life.0, process, index).await {
                        // The life before this one may still be writing its last bytes.
                        Err(StartError::Storage(StorageError::InUse { holder: Some(holder), .. }))
                            if holder == std::process::id() && began.elapsed() < RELEASE_MAX =>
                        {
                            tokio::time::sleep(POLL).await;
                        }
                        outcome => return outcome.map_err(|source| self.start_error(source)),
                    }
                }
            }
        }
    }

    fn start_error(&self, source: StartError) -> DevnetError {
        DevnetError::Start { node: self.name().to_owned(), source: Box::new(source) }
    }

    async fn start_inside(
        &self,
        life: &mut Life,
        process: &OfProcess,
        index: usize,
    ) -> Result<(), StartError> {
        let registry = TaskRegistry::new(CancellationToken::new());
        // Of this level, so that it is on each line whatever is logged.
        let span = tracing::error_span!("node", name = %self.name());
        // Noted before it starts.
        *life = Life::Inside { registry: registry.clone(), span: span.clone() };
        let process =
            OfProcess { metrics: process.metrics.clone().filter(|_| index == 0), log: process.log.clone() };
        let started = app::start(self.place.config.clone(), registry.clone(), process);
        let outcome = started.instrument(span).await.map(drop);
        if let Err(error) = &outcome {
            let _what_hangs = registry.shutdown(SHUTDOWN_LIMIT).await.is_err();
            *life = Life::Down { state: State::Ended, why: error.to_string() };
        }
        outcome
    }

    fn spawn(&self, program: &Path) -> Result<Child, DevnetError> {
        let log = &self.log;
        let output =
            std::fs::OpenOptions::new().create(true).append(true).open(log).map_err(DevnetError::io(log))?;
        let errors = output.try_clone().map_err(DevnetError::io(log))?;
        let mut command = Command::new(program);
        command.arg("run").arg("--config").arg(&self.place.config_path);
        // Each node has its own configuration; one variable would be the same for all.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIMED_"))
        {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        // A group of its own: Ctrl-C at the terminal reaches this process alone, which then stops its nodes in order.
        command.process_group(0).kill_on_drop(true).spawn().map_err(DevnetError::io(program))
    }

    /// Waits until it answers.
    pub(super) async fn answered(&self) -> Result<(), DevnetError> {
        let client = RpcClient::connect(&Endpoint::without_cookie(self.url()))
            .map_err(|source| self.rpc_error(source))?;
        let began = Clock.instant();
        while client.call::<u64>("getblockcount", &[]).await.is_err() {
            if let Life::Down { why, .. } = &self.look_again().await.0 {
                let (node, why, log) = (self.name().to_owned(), why.clone(), self.log.clone());
                return Err(DevnetError::Ended { node, why, log });
            }
            if began.elapsed() > FIRST_ANSWER_MAX {
                let (node, log) = (self.name().to_owned(), self.log.clone());
                return Err(DevnetError::Silent { node, seconds: FIRST_ANSWER_MAX.as_secs(), log });
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn look_again(&self) -> tokio::sync::MutexGuard<'_, (Life, bool)> {
        let mut life = self.life.lock().await;
        life.0.look();
        life
    }

    /// Stops it in good order, in a hurry once that token is cancelled; says what went wrong. One that is down stays so.
    pub(super) async fn stop(&self, hurry: &CancellationToken) -> Option<String> {
        let mut life = self.look_again().await;
        let problem = match &mut life.0 {
            Life::Down { .. } => return None,
            Life::Inside { registry, span } => {
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
            Life::Process { child, is_paused } => {
                if std::mem::take(is_paused) {
                    // Else it would hear of nothing.
                    signal(child, Signal::CONT);
                }
                signal(child, Signal::TERM);
                match tokio::time::timeout(STOP_MAX, wait(child, hurry)).await {
                    Ok(Ok(status)) if status.success() => None,
                    Ok(Ok(status)) => Some(format!("ended with {status}, see {}", self.log.display())),
                    Ok(Err(error)) => Some(error.to_string()),
                    Err(_) => {
                        let killed = child.kill().await.err().map(|error| error.to_string());
                        Some(killed.unwrap_or_else(|| "did not stop in time and was killed".to_owned()))
                    }
                }
            }
        };
        life.0 = Life::Down { state: State::Stopped, why: String::new() };
        problem.map(|problem| format!("{}: {problem}", self.name()))
    }

    /// Tells it to end, and does not wait. A process is killed when its handle is dropped.
    pub(super) fn abandon(&self) {
        if let Ok(life) = self.life.try_lock()
            && let Life::Inside { registry, .. } = &life.0
        {
            registry.hurry();
        }
    }

    /// Ends it at once: its process by SIGKILL. In this process its tasks are told to end, and are left alone if they have
    /// not when the time of a stop in a hurry is over.
    pub(super) async fn kill(&self) -> Result<(), DevnetError> {
        let mut life = self.look_again().await;
        match &mut life.0 {
            Life::Down { .. } => {}
            Life::Inside { registry, span } => {
                registry.hurry();
                let _what_hangs = registry.shutdown(HURRY_LIMIT).instrument(span.clone()).await.is_err();
            }
            Life::Process { child, .. } => child.kill().await.map_err(DevnetError::io(self.name()))?,
        }
        life.0 = Life::Down { state: State::Killed, why: "it was killed".to_owned() };
        Ok(())
    }

    /// Stops its process where it stands, or lets it go on; false if it has none that runs.
    pub(super) async fn pause(&self, paused: bool) -> bool {
        match &mut self.look_again().await.0 {
            Life::Process { child, is_paused } => {
                *is_paused = paused;
                signal(child, if paused { Signal::STOP } else { Signal::CONT })
            }
            Life::Down { .. } | Life::Inside { .. } => false,
        }
    }
}

impl Life {
    /// What it is, noticing that it has ended.
    fn look(&mut self) -> State {
        let why = match self {
            Self::Down { state, .. } => return *state,
            Self::Inside { registry, .. } if !registry.token().is_cancelled() => return State::Running,
            Self::Inside { registry, .. } => {
                // What it leaves behind ends by itself: the token is cancelled.
                registry.failure().map_or_else(|| "it was told to".to_owned(), |failure| failure.to_string())
            }
            Self::Process { child, is_paused } => match child.try_wait() {
                Ok(None) if *is_paused => return State::Paused,
                Ok(None) => return State::Running,
                Ok(Some(status)) => status.to_string(),
                Err(error) => error.to_string(),
            },
        };
        *self = Self::Down { state: State::Ended, why };
        State::Ended
    }
}

/// Sends a signal; false if the process is gone.
fn signal(child: &Child, signal: Signal) -> bool {
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    id.is_some_and(|id| kill_process(id, signal).is_ok())
}

/// Waits for a process that was told to stop, and tells it once more when that is to hurry.
async fn wait(child: &mut Child, hurry: &CancellationToken) -> std::io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => return status,
        () = hurry.cancelled() => {}
    }
    signal(child, Signal::TERM);
    child.wait().await
}
