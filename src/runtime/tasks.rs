//! Named tasks and an orderly shutdown.
//!
//! # Place
//! Whoever runs a node makes one [`TaskRegistry`]; every long-lived task and thread is started through it, or through
//! a named tracker that it gave out.
//!
//! # Invariants
//! - INV-TASKS-1: a panic in a registered task is logged at error with the task's name and cancels the token: a node
//!   without one of its parts stops instead of limping.
//! - INV-TASKS-2: shutdown ends within its limit, at most [`SHUTDOWN_LIMIT`], and names what has not ended.
//! - INV-TASKS-3: a shutdown that is hurried says what it waits for, and ends within [`HURRY_LIMIT`]. What is cut off
//!   then is as after a crash: nothing that others rely on leaves the node before it is durable, and the next start
//!   mends the rest.
//!
//! What a task logs stands in the span of whoever started it, so that each line names its node where several run in one
//! process.
//!
//! # Concurrency
//! One cancellation token stops all. Shutdown waits for tasks in reverse order of their start. A part that must
//! outlive its users (a writer thread behind a channel) does not watch the token: it ends when the last sender of its
//! channel is dropped.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};

/// A process that is told to stop has ended after so long, whatever hangs in it.
pub const STOP_MAX: Duration = Duration::from_secs(10);
/// A shutdown takes no longer, whatever the caller asks for. The rest of [`STOP_MAX`] is for the end of the process.
pub const SHUTDOWN_LIMIT: Duration = Duration::from_millis(9_500);
/// A shutdown that is hurried takes no longer from then on: enough for writers on a healthy disk to end in good order.
pub const HURRY_LIMIT: Duration = Duration::from_secs(1);
/// Entries after which finished ones are cleared away at the next start.
const ENTRIES_BEFORE_PRUNING: usize = 64;

/// Tasks that did not end in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "these tasks did not stop in time and were cut off: {}; the files are as after a crash, which the next start mends",
    names.join(", ")
)]
pub struct HungTasks {
    /// Their names, the last started first.
    pub names: Vec<&'static str>,
}

/// Why the node has to stop: the first failure of a part that it can't do without.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{task} failed: {message}")]
pub struct TaskFailure {
    /// Which task.
    pub task: &'static str,
    /// What it said, or its panic message.
    pub message: String,
}

/// A thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("thread {name} can't be started (limit of processes reached?): {source}")]
pub struct ThreadError {
    /// Its name.
    pub name: &'static str,
    /// The operating system's answer.
    pub source: std::io::Error,
}

enum Running {
    /// Cancelled when the task has ended.
    Task(CancellationToken),
    /// Empty when its tasks have ended.
    Tracker(TaskTracker),
}

impl Running {
    fn has_ended(&self) -> bool {
        match self {
            Self::Task(ended) => ended.is_cancelled(),
            // An open tracker may get another task.
            Self::Tracker(tracker) => tracker.is_closed() && tracker.is_empty(),
        }
    }

    async fn wait(&self) {
        match self {
            Self::Task(ended) => ended.cancelled().await,
            Self::Tracker(tracker) => {
                tracker.close();
                tracker.wait().await;
            }
        }
    }
}

struct Entry {
    name: &'static str,
    running: Running,
}

struct Shared {
    token: CancellationToken,
    /// Cancelled when the shutdown is to hurry.
    hurry: CancellationToken,
    /// In order of start.
    entries: Mutex<Vec<Entry>>,
    failure: Mutex<Option<TaskFailure>>,
}

/// Starts tasks, knows their names, stops them. Cheap to clone.
#[derive(Clone)]
pub struct TaskRegistry {
    shared: Arc<Shared>,
}

impl TaskRegistry {
    /// A registry whose tasks stop when `token` is cancelled.
    #[must_use]
    pub fn new(token: CancellationToken) -> Self {
        let hurry = CancellationToken::new();
        let shared = Shared { token, hurry, entries: Mutex::default(), failure: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// The token that stops everything.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.shared.token
    }

    /// A tracker for a floor that starts many tasks of its own, one a connection for example. Shutdown closes it and
    /// waits for all of them under this name. Panics in them end that task alone.
    #[must_use]
    pub fn tracker(&self, name: &'static str) -> TaskTracker {
        let tracker = TaskTracker::new();
        self.register(name, Running::Tracker(tracker.clone()));
        tracker
    }

    /// Starts a task on the runtime of the caller.
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let ended = self.start(name);
        self.run(name, future, Some(ended));
    }

    /// Starts a task that shutdown does not wait for: it is needed while all others end, writes nothing, and ends with
    /// the process.
    pub fn spawn_unwaited(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        self.run(name, future, None);
    }

    #[allow(clippy::disallowed_methods, reason = "this is where tasks are started, under a name")]
    fn run(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
        ended: Option<CancellationToken>,
    ) {
        let registry = self.clone();
        let work = async move {
            // Dropped last: whoever sees that the task has ended sees its failure too.
            let _ended = ended.map(CancellationToken::drop_guard);
            if let Err(panic) = AssertUnwindSafe(future).catch_unwind().await {
                registry.fail(name, panic_message(panic.as_ref()));
            }
        };
        tokio::spawn(work.in_current_span());
    }

    /// Runs a blocking job, that ends by itself, on the runtime's blocking threads.
    pub fn spawn_blocking(&self, name: &'static str, job: impl FnOnce() + Send + 'static) {
        let registry = self.clone();
        let (ended, span) = (self.start(name), Span::current());
        tokio::task::spawn_blocking(move || span.in_scope(|| registry.run_to_end(name, ended, job)));
    }

    /// Starts a thread for work that lasts as long as the node.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn spawn_thread(
        &self,
        name: &'static str,
        job: impl FnOnce() + Send + 'static,
    ) -> Result<(), ThreadError> {
        let registry = self.clone();
        let (ended, span) = (CancellationToken::new(), Span::current());
        let running = Running::Task(ended.clone());
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || span.in_scope(|| registry.run_to_end(name, ended, job)))
            .map_err(|source| ThreadError { name, source })?;
        self.register(name, running);
        Ok(())
    }

    /// Reports that a part the node can't do without has failed: logs it, keeps the first such report, and stops the
    /// node.
    pub fn fail(&self, task: &'static str, message: impl Into<String>) {
        let failure = TaskFailure { task, message: message.into() };
        tracing::error!(task, message = %failure.message, "Task failed, the node stops");
        self.shared.failure.lock().get_or_insert(failure);
        self.shared.token.cancel();
    }

    /// The first failure that was reported: with one, the process exits non-zero.
    #[must_use]
    pub fn failure(&self) -> Option<TaskFailure> {
        self.shared.failure.lock().clone()
    }

    /// Whether a failure was reported: whoever signs asks before each vote.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.shared.failure.lock().is_some()
    }

    /// Makes a shutdown that is under way, or is yet to come, end within [`HURRY_LIMIT`].
    pub fn hurry(&self) {
        self.shared.token.cancel();
        self.shared.hurry.cancel();
    }

    /// Returns once the shutdown is to hurry: what still starts need not be waited for.
    pub async fn hurried(&self) {
        self.shared.hurry.cancelled().await;
    }

    /// Cancels the token and waits for everything, the last started first, for at most `limit` and never longer than
    /// [`SHUTDOWN_LIMIT`]; [`Self::hurry`] makes that shorter.
    ///
    /// # Errors
    /// The names of the tasks that are still running then.
    pub async fn shutdown(&self, limit: Duration) -> Result<(), HungTasks> {
        self.shared.token.cancel();
        let mut entries = std::mem::take(&mut *self.shared.entries.lock());
        entries.reverse();
        let all = async {
            for entry in &entries {
                entry.running.wait().await;
                tracing::debug!(task = entry.name, "Task stopped");
            }
        };
        let over = tokio::time::timeout(limit.min(SHUTDOWN_LIMIT), async {
            self.hurried().await;
            let waiting = unfinished(&entries).join(", ");
            tracing::warn!(waiting, seconds = HURRY_LIMIT.as_secs(), "Stopping in a hurry, still waiting");
            tokio::time::sleep(HURRY_LIMIT).await;
        });
        tokio::select! {
            biased;
            () = all => return Ok(()),
            _ = over => {}
        }
        for entry in &entries {
            if let Running::Tracker(tracker) = &entry.running {
                tracker.close();
            }
        }
        let names = unfinished(&entries);
        if names.is_empty() { Ok(()) } else { Err(HungTasks { names }) }
    }

    fn start(&self, name: &'static str) -> CancellationToken {
        let ended = CancellationToken::new();
        self.register(name, Running::Task(ended.clone()));
        ended
    }

    fn register(&self, name: &'static str, running: Running) {
        let mut entries = self.shared.entries.lock();
        if entries.len() >= ENTRIES_BEFORE_PRUNING {
            entries.retain(|entry| !entry.running.has_ended());
        }
        entries.push(Entry { name, running });
    }

    fn run_to_end(&self, name: &'static str, ended: CancellationToken, job: impl FnOnce()) {
        let _ended = ended.drop_guard();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(job)) {
            self.fail(name, panic_message(panic.as_ref()));
        }
    }
}

/// The names of what still runs. A tracker counts as long as tasks are in it: during shutdown it gets no others.
fn unfinished(entries: &[Entry]) -> Vec<&'static str> {
    let runs = |entry: &&Entry| match &entry.running {
        Running::Task(ended) => !ended.is_cancelled(),
        Running::Tracker(tracker) => !tracker.is_empty(),
    };
    entries.iter().filter(runs).map(|entry| entry.name).collect()
}

/// The text of a panic, as `panic!` leaves it.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panicked".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn everything_ends_when_the_token_is_cancelled() {
        let registry = TaskRegistry::new(CancellationToken::new());
        let order = Arc::new(Mutex::new(Vec::new()));
        for name in ["first", "second"] {
            let (token, order) = (registry.token().clone(), order.clone());
            registry.spawn(name, async move {
                token.cancelled().await;
                order.lock().push(name);
            });
        }
        let (token, seen) = (registry.token().clone(), order.clone());
        registry.tracker("connections").spawn(async move {
            token.cancelled().await;
            seen.lock().push("connection");
        });
        assert_eq!(registry.shutdown(SHUTDOWN_LIMIT).await, Ok(()));
        assert_eq!(order.lock().len(), 3);
        assert_eq!(registry.failure(), None);
    }

    /// The writer watches its channel and not the token, so what its user sends while it stops is still written.
    #[tokio::test]
    async fn a_writer_outlives_those_who_use_it() {
        let registry = TaskRegistry::new(CancellationToken::new());
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<u8>(8);
        let written = Arc::new(Mutex::new(Vec::new()));
        let kept = written.clone();
        registry.spawn("writer", async move {
            while let Some(value) = receiver.recv().await {
                kept.lock().push(value);
            }
        });
        let token = registry.token().clone();
        registry.spawn("user", async move {
            token.cancelled().await;
            for value in 0..3 {
                let _ = sender.send(value).await;
            }
        });
        assert_eq!(registry.shutdown(SHUTDOWN_LIMIT).await, Ok(()));
        assert_eq!(*written.lock(), [0, 1, 2]);
    }

    /// INV-TASKS-2.
    #[tokio::test]
    async fn hung_tasks_are_named_the_last_started_first() {
        let registry = TaskRegistry::new(CancellationToken::new());
        registry.spawn("deaf", std::future::pending());
        registry.spawn("quick", async {});
        let _ = registry.tracker("idle");
        registry.tracker("stuck").spawn(std::future::pending::<()>());
        let hung = registry.shutdown(SHORT).await.unwrap_err();
        assert_eq!(hung.names, ["stuck", "deaf"]);
        assert!(hung.to_string().contains("stuck, deaf"));
    }

    /// Hurries while the shutdown waits; gives its outcome and how long it took.
    async fn hurried(registry: &TaskRegistry, limit: Duration) -> (Result<(), HungTasks>, Duration) {
        let began = crate::runtime::Clock.instant();
        let hurry = async {
            tokio::time::sleep(SHORT).await;
            registry.hurry();
        };
        let ((), stopped) = tokio::join!(hurry, registry.shutdown(limit));
        (stopped, began.elapsed())
    }

    /// INV-TASKS-3.
    #[tokio::test]
    async fn a_second_request_makes_a_shutdown_end_soon() {
        let registry = TaskRegistry::new(CancellationToken::new());
        registry.spawn("deaf", std::future::pending());
        let (stopped, took) = hurried(&registry, SHUTDOWN_LIMIT).await;
        assert_eq!(stopped.unwrap_err().names, ["deaf"]);
        assert!((HURRY_LIMIT..SHUTDOWN_LIMIT).contains(&took), "{took:?}");
    }

    /// In a hurry the writer still gets its time.
    #[tokio::test]
    async fn what_ends_in_time_is_not_cut_off_in_a_hurry() {
        let registry = TaskRegistry::new(CancellationToken::new());
        let (token, written) = (registry.token().clone(), CancellationToken::new());
        let done = written.clone();
        registry.spawn("writer", async move {
            token.cancelled().await;
            tokio::time::sleep(SHORT * 3).await;
            done.cancel();
        });
        let (stopped, _) = hurried(&registry, SHUTDOWN_LIMIT).await;
        assert!(stopped.is_ok() && written.is_cancelled());
    }

    #[tokio::test]
    async fn hurrying_late_makes_no_shutdown_longer() {
        let registry = TaskRegistry::new(CancellationToken::new());
        registry.spawn("deaf", std::future::pending());
        let (stopped, took) = hurried(&registry, SHORT * 2).await;
        assert!(stopped.is_err() && took < HURRY_LIMIT, "{took:?}");
    }

    #[tokio::test]
    async fn shutdown_does_not_wait_for_who_only_listens() {
        let registry = TaskRegistry::new(CancellationToken::new());
        registry.spawn_unwaited("signals", std::future::pending());
        assert_eq!(registry.shutdown(SHORT).await, Ok(()));
        registry.spawn_unwaited("signals", async { panic!("broken") });
        registry.token().cancelled().await;
        tokio::task::yield_now().await;
    }

    #[tokio::test]
    async fn a_hung_thread_is_named() {
        let registry = TaskRegistry::new(CancellationToken::new());
        let (release, held) = std::sync::mpsc::sync_channel::<()>(0);
        registry
            .spawn_thread("deaf thread", move || {
                let _ = held.recv();
            })
            .unwrap();
        assert_eq!(registry.shutdown(SHORT).await.unwrap_err().names, ["deaf thread"]);
        drop(release);
    }

    /// INV-TASKS-1.
    #[tokio::test]
    async fn a_panic_anywhere_stops_the_node_under_its_name() {
        type Start = fn(&TaskRegistry);
        let starts: [Start; 3] = [
            |registry| registry.spawn("x", async { panic!("broken {}", 1) }),
            |registry| registry.spawn_blocking("x", || panic!("broken 1")),
            |registry| registry.spawn_thread("x", || panic!("broken 1")).unwrap(),
        ];
        for start in starts {
            let registry = TaskRegistry::new(CancellationToken::new());
            start(&registry);
            registry.token().cancelled().await;
            assert_eq!(registry.failure(), Some(TaskFailure { task: "x", message: "broken 1".into() }));
            assert_eq!(registry.shutdown(SHUTDOWN_LIMIT).await, Ok(()));
        }
    }

    #[tokio::test]
    async fn the_first_failure_is_kept() {
        let registry = TaskRegistry::new(CancellationToken::new());
        registry.fail("disk", "full");
        registry.fail("engine", "no disk");
        assert_eq!(registry.failure().unwrap().to_string(), "disk failed: full");
    }

    #[tokio::test]
    async fn finished_tasks_do_not_pile_up() {
        let registry = TaskRegistry::new(CancellationToken::new());
        for _ in 0..1_000 {
            registry.spawn("short", async {});
            tokio::task::yield_now().await;
        }
        assert!(registry.shared.entries.lock().len() <= ENTRIES_BEFORE_PRUNING);
    }

    /// INV-TASKS-2: a floor may have no task for a while.
    #[tokio::test]
    async fn a_tracker_that_was_idle_is_waited_for_however_many_tasks_have_ended() {
        let registry = TaskRegistry::new(CancellationToken::new());
        let tracker = registry.tracker("connections");
        for _ in 0..2 * ENTRIES_BEFORE_PRUNING {
            registry.spawn("short", async {});
            tokio::task::yield_now().await;
        }
        tracker.spawn(std::future::pending::<()>());
        assert_eq!(registry.shutdown(SHORT).await.unwrap_err().names, ["connections"]);
    }
}
