//! All nodes of a devnet, and the trouble that is made for them.
//!
//! # Place
//! `timed devnet` and [`Devnet`](super::Devnet) run one; [`control`](super::control) orders from outside.
//!
//! # Invariants
//! - INV-DEVNET-8: an order that can't be obeyed for each of its nodes is obeyed for none; orders are obeyed one after the
//!   other.
//!
//! # Bounds
//! A node that does not answer a question within [`ANSWER_MAX`] is told of without an answer.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::archive::{self, Moved};
use super::error::DevnetError;
use super::node::{Mode, Node};
use super::report::{Done, NodeReport, Outlook, Report, State};
use crate::app::devnet::{Devnet as Directory, DevnetError as DirectoryError, DevnetNode};
use crate::app::networks::{devnet_operator_key, load_genesis};
use crate::protocol::state::LedgerState;
use crate::rpc::types::{NetworkInfo, NodeStatus, ValidatorsInfo};

/// How long a node has for an answer.
pub const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What can be done to nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Its process stands still, with its connections open: SIGSTOP.
    Pause,
    /// A paused one goes on: SIGCONT.
    Resume,
    /// It ends at once: SIGKILL where it has a process.
    Kill,
    /// It is started again, after an orderly stop if it runs.
    Restart,
    /// Its connections are cut, and none is made.
    Isolate,
    /// It connects again.
    Heal,
}

/// A devnet's nodes.
pub struct Fleet {
    pub(super) directory: Directory,
    pub(super) nodes: Vec<Node>,
    mode: Mode,
    /// The set of the first epoch.
    first_set: ValidatorsInfo,
    /// How often nodes were started.
    starts: AtomicU64,
    turn: tokio::sync::Mutex<()>,
}

impl Fleet {
    /// Of a devnet's directory; nothing is started yet.
    ///
    /// # Errors
    /// When its genesis document can't be used.
    pub fn new(directory: Directory, mode: Mode) -> Result<Self, DevnetError> {
        let first_set = first_set(&directory)?;
        let log_of = |node: &DevnetNode| match mode {
            Mode::InProcess(_) => directory.log_path(),
            Mode::Processes(_) => node.directory.join("node.log"),
        };
        let nodes = directory.nodes.iter().map(|node| Node::new(node.clone(), log_of(node))).collect();
        Ok(Self {
            directory,
            nodes,
            mode,
            first_set,
            starts: AtomicU64::new(0),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Its directory.
    #[must_use]
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Starts all nodes. What was started is stopped by [`Self::stop`], in any case.
    ///
    /// # Errors
    /// When one can't start.
    pub async fn start(&self) -> Result<(), DevnetError> {
        for (index, node) in self.nodes.iter().enumerate() {
            self.start_node(index, node).await?;
        }
        Ok(())
    }

    async fn start_node(&self, index: usize, node: &Node) -> Result<(), DevnetError> {
        self.starts.fetch_add(1, Ordering::SeqCst);
        node.start(&self.mode, index).await
    }

    /// How often nodes were started. Each start changes the node's cookie.
    #[must_use]
    pub fn starts(&self) -> u64 {
        self.starts.load(Ordering::SeqCst)
    }

    /// Stops all at once; each has [`SHUTDOWN_LIMIT`](crate::runtime::tasks::SHUTDOWN_LIMIT), and less once `hurry` is
    /// cancelled.
    ///
    /// # Errors
    /// Which nodes did not stop as they should.
    pub async fn stop(&self, hurry: &CancellationToken) -> Result<(), DevnetError> {
        let outcomes = join_all(self.nodes.iter().map(|node| node.stop(hurry))).await;
        let problems: Vec<String> = outcomes.into_iter().flatten().collect();
        if problems.is_empty() { Ok(()) } else { Err(DevnetError::Stop(problems.join("; "))) }
    }

    /// Tells all nodes to end, and waits for none.
    pub(super) fn abandon(&self) {
        self.nodes.iter().for_each(Node::abandon);
    }

    /// A line for each node that ended by itself since the last call.
    #[must_use]
    pub fn ended(&self) -> Vec<String> {
        let line = |node: &Node| {
            let why = node.news()?;
            Some(format!("{} has stopped: {why}; see {}", node.name(), node.log.display()))
        };
        self.nodes.iter().filter_map(line).collect()
    }

    /// Whether all nodes have ended by themselves.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.nodes.iter().all(Node::has_ended)
    }

    /// Whether a node runs and may have connections; false too while something is done to it.
    #[must_use]
    pub fn is_well(&self, index: usize) -> bool {
        self.nodes.get(index).is_some_and(Node::is_well)
    }

    /// What all nodes are, and what that means.
    pub async fn report(&self) -> Report {
        let nodes = join_all(self.nodes.iter().enumerate().map(|(index, node)| survey(index, node))).await;
        let set = self.present_set(&nodes).await;
        let outlook = Outlook::of(set.as_ref().unwrap_or(&self.first_set), &nodes);
        Report { done: Vec::new(), nodes, outlook }
    }

    /// The set that votes now, of the running node that is farthest.
    async fn present_set(&self, nodes: &[NodeReport]) -> Option<ValidatorsInfo> {
        let running = nodes.iter().zip(&self.nodes).filter(|(report, _)| report.height.is_some());
        let (_, node) = running.max_by_key(|(report, _)| (report.state == State::Running, report.height))?;
        let client = node.client().ok()?;
        tokio::time::timeout(ANSWER_MAX, client.call("getvalidators", &[])).await.ok()?.ok()
    }

    /// Does something to nodes: `node1`, `1`, or `all` to which it can be done. What is so already stays so.
    ///
    /// # Errors
    /// When a name is none, or it can't be done to one of them; nothing is done then. Or when it fails.
    pub async fn trouble(&self, trouble: Trouble, names: &[String]) -> Result<Report, DevnetError> {
        let chosen = self.chosen(names)?;
        let turn = self.turn.lock().await;
        let mut states = Vec::with_capacity(chosen.len());
        for index in &chosen {
            let Some(node) = self.nodes.get(*index) else { continue };
            let state = node.state().await;
            match self.check(trouble, node, state) {
                Ok(()) => states.push((*index, node, state)),
                Err(DevnetError::NotNow { .. }) if names.iter().any(|name| name == "all") => {}
                Err(error) => return Err(error),
            }
        }
        let acts = states.into_iter().map(|(index, node, state)| self.act(trouble, index, node, state));
        let done = join_all(acts).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        drop(turn);
        Ok(Report { done, ..self.report().await })
    }

    fn chosen(&self, names: &[String]) -> Result<Vec<usize>, DevnetError> {
        let count = self.nodes.len();
        let mut chosen = Vec::new();
        for name in names {
            if name == "all" {
                chosen.extend(0..count);
                continue;
            }
            let digits = name.strip_prefix("node").unwrap_or(name);
            match digits.parse::<usize>() {
                Ok(index) if index < count => chosen.push(index),
                _ => {
                    let last = count.saturating_sub(1);
                    return Err(DevnetError::NoSuchNode { given: name.clone(), last });
                }
            }
        }
        chosen.sort_unstable();
        chosen.dedup();
        Ok(chosen)
    }

    /// INV-DEVNET-8.
    fn check(&self, trouble: Trouble, node: &Node, state: State) -> Result<(), DevnetError> {
        if matches!(trouble, Trouble::Pause | Trouble::Resume) && matches!(self.mode, Mode::InProcess(_)) {
            return Err(DevnetError::OneProcess);
        }
        let not_now = |verb, first| {
            let node = node.name().to_owned();
            Err(DevnetError::NotNow { node, state, verb, first })
        };
        let is_up = matches!(state, State::Running | State::Isolated | State::Paused);
        match trouble {
            Trouble::Pause if !is_up => not_now("paused", "restart"),
            Trouble::Resume if !is_up => not_now("resumed", "restart"),
            Trouble::Isolate if !is_up => not_now("isolated", "restart"),
            Trouble::Heal if !is_up => not_now("healed", "restart"),
            Trouble::Isolate if state == State::Paused => not_now("isolated", "resume"),
            Trouble::Heal if state == State::Paused => not_now("healed", "resume"),
            _ => Ok(()),
        }
    }

    async fn act(
        &self,
        trouble: Trouble,
        index: usize,
        node: &Node,
        state: State,
    ) -> Result<Done, DevnetError> {
        let has_process = matches!(self.mode, Mode::Processes(_));
        let (changed, text) = match trouble {
            Trouble::Pause if state == State::Paused => (false, "was paused already"),
            Trouble::Pause => {
                node.pause(true).await;
                (true, "paused (SIGSTOP): its connections stay open, and nothing of it moves")
            }
            Trouble::Resume if state == State::Paused => {
                node.pause(false).await;
                (true, "goes on where it stood (SIGCONT)")
            }
            Trouble::Resume => (false, "was not paused"),
            Trouble::Kill if state == State::Killed => (false, "was killed already"),
            Trouble::Kill => {
                node.kill().await?;
                let how = if has_process {
                    "killed (SIGKILL)"
                } else {
                    "killed: cut off within a second, in this one process"
                };
                (true, how)
            }
            Trouble::Restart => {
                let was_isolated = node.isolated.load(Ordering::SeqCst);
                let problem = node.stop(&CancellationToken::new()).await;
                self.start_node(index, node).await?;
                node.answered().await?;
                let isolation = if was_isolated { ", isolated no longer" } else { "" };
                let before = problem.map(|problem| format!("; before that {problem}")).unwrap_or_default();
                let text = format!(
                    "started again{isolation}: it connects, and votes when the others took note of it{before}"
                );
                return Ok(Done { node: node.name().to_owned(), text, changed: true });
            }
            Trouble::Isolate => match self.connect(node, false).await? {
                true => (true, "isolated: its connections are cut, and new ones are refused"),
                false => (false, "was isolated already"),
            },
            Trouble::Heal => match self.connect(node, true).await? {
                true => (true, "healed: it connects again within some seconds"),
                false => (false, "was not isolated"),
            },
        };
        Ok(Done { node: node.name().to_owned(), text: text.to_owned(), changed })
    }

    /// Lets a node have connections, or not; false if it was so.
    async fn connect(&self, node: &Node, active: bool) -> Result<bool, DevnetError> {
        let client = node.client()?;
        let failed = |source| node.rpc_error(source);
        let before: NetworkInfo = client.call("getnetworkinfo", &[]).await.map_err(failed)?;
        let _state: bool = client.call("setnetworkactive", &[json!(active)]).await.map_err(failed)?;
        node.isolated.store(!active, Ordering::SeqCst);
        Ok(before.network_active != active)
    }

    /// Stops all nodes in good order for as long as `work` takes, and starts those again that ran.
    ///
    /// # Errors
    /// When one is paused, and so can't stop, or can't start again; or what the work fails with.
    pub(super) async fn at_rest<T, W>(&self, work: W) -> Result<T, DevnetError>
    where
        W: FnOnce() -> Result<T, DevnetError> + Send + 'static,
        T: Send + 'static,
    {
        let _turn = self.turn.lock().await;
        let mut ran = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            match node.state().await {
                State::Paused => {
                    let node = node.name().to_owned();
                    let (verb, first) = ("stopped for a copy", "resume");
                    return Err(DevnetError::NotNow { node, state: State::Paused, verb, first });
                }
                State::Running | State::Isolated => ran.push((index, node)),
                State::Killed | State::Stopped | State::Ended => {}
            }
        }
        let hurry = CancellationToken::new();
        let stopped = join_all(ran.iter().map(|(_, node)| node.stop(&hurry))).await;
        let problems: Vec<String> = stopped.into_iter().flatten().collect();
        let outcome = if problems.is_empty() {
            tokio::task::spawn_blocking(work)
                .await
                .unwrap_or_else(|failure| Err(DevnetError::Stop(failure.to_string())))
        } else {
            Err(DevnetError::Stop(problems.join("; ")))
        };
        for (index, node) in ran {
            self.start_node(index, node).await?;
            node.answered().await?;
        }
        outcome
    }
    /// Writes the devnet to a file, which does not exist yet: its nodes are stopped in good order for that, and those that
    /// ran are started again. None is isolated then.
    ///
    /// # Errors
    /// When a node is paused, or the file can't be written.
    pub async fn export(&self, file: PathBuf) -> Result<Moved, DevnetError> {
        let directory = self.directory.directory.clone();
        self.at_rest(move || Ok(archive::export(&directory, &file, &mut |_, _, _| true)?)).await
    }
}

/// The set of the first epoch, from the genesis document.
fn first_set(directory: &Directory) -> Result<ValidatorsInfo, DevnetError> {
    let Some(first) = directory.nodes.first() else {
        let path = directory.directory.clone();
        return Err(DirectoryError::Marker { path }.into());
    };
    let document = load_genesis(&first.config).map_err(DirectoryError::Networks)?;
    let (state, _) = LedgerState::genesis(&document).map_err(DirectoryError::Genesis)?;
    Ok(ValidatorsInfo::of(0, state.validators()))
}

/// Asks a node what it is.
async fn survey(index: usize, node: &Node) -> NodeReport {
    let mut report = NodeReport {
        name: node.name().to_owned(),
        state: node.state().await,
        height: None,
        peers: None,
        doing: None,
        rpc: node.url(),
        data: node.place.config.node.data_dir.clone(),
        log: node.log.clone(),
        operator_key: Some(devnet_operator_key(index).public()),
    };
    if report.state != State::Running {
        return report;
    }
    // As it was told, should it not answer.
    if node.isolated.load(Ordering::SeqCst) {
        report.state = State::Isolated;
    }
    let asked = async {
        let client = node.client().ok()?;
        let network: NetworkInfo = client.call("getnetworkinfo", &[]).await.ok()?;
        let status: NodeStatus = client.call("getnodestatus", &[]).await.ok()?;
        Some((network, status))
    };
    if let Ok(Some((network, status))) = tokio::time::timeout(ANSWER_MAX, asked).await {
        report.state = if network.network_active { State::Running } else { State::Isolated };
        report.height = Some(status.height);
        report.peers = Some(network.connections);
        report.doing = Some(status.state);
    }
    report
}
