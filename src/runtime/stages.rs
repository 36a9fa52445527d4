//! Where a node's processor time goes, by stage of a payment's way.
//!
//! # Place
//! Whoever begins work of a stage calls [`enter`], or wraps a task in [`during`]. RPC's `getresourceinfo` reads [`report`];
//! `timed load` asks before and after a load and prints the difference a payment.
//!
//! # How it measures
//! Each thread adds up how long it was in which stage, by the monotonic clock; entering another stage pauses the one
//! around it. That is time on the wall: a thread that waits for a core or a disk inside a stage counts too. So a thread's
//! stages are scaled down to the processor time that the operating system says it had, where they are more. What is in no
//! stage is called `other`: scheduling of tasks, timers, system calls between stages.
//!
//! # Concurrency
//! Each thread writes counters of its own, without a lock; readers take a short one over the list of threads. To enter and
//! leave a stage takes two looks at the clock, some 60 ns.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Clock;

/// A stage of a payment's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Frames of peers: sockets, encryption, queues.
    Frames,
    /// Messages from bytes.
    Decode,
    /// Checks of signatures.
    Signatures,
    /// What a transaction is held to before it is taken.
    Admission,
    /// Votes on payments, and all else of the consensus thread that is not a block's.
    Finality,
    /// The vote journal: records, checksums, writes.
    Journal,
    /// Blocks: built, judged, applied, logged.
    Blocks,
    /// The index behind the blocks.
    Index,
    /// Outputs, pool and feeds as readers see them.
    Observers,
    /// Requests and answers of users.
    Rpc,
}

impl Stage {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 10] = [
        Self::Frames,
        Self::Decode,
        Self::Signatures,
        Self::Admission,
        Self::Finality,
        Self::Journal,
        Self::Blocks,
        Self::Index,
        Self::Observers,
        Self::Rpc,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::Decode => "decode",
            Self::Signatures => "signatures",
            Self::Admission => "admission",
            Self::Finality => "finality",
            Self::Journal => "journal",
            Self::Blocks => "blocks",
            Self::Index => "index",
            Self::Observers => "observers",
            Self::Rpc => "rpc",
        }
    }
}

/// What is in no stage, in reports.
pub const OTHER: &str = "other";

type Times = [Duration; Stage::ALL.len()];

/// A thread's counters, in nanoseconds.
#[derive(Debug, Default)]
struct Counters {
    /// As the operating system numbers it; 0 where it can't be told.
    thread: i32,
    spent: [AtomicU64; Stage::ALL.len()],
}

impl Counters {
    fn wall(&self) -> Times {
        let mut times = Times::default();
        for (time, spent) in times.iter_mut().zip(&self.spent) {
            *time = Duration::from_nanos(spent.load(Ordering::Relaxed));
        }
        times
    }

    fn scaled(&self) -> Times {
        scaled(self.wall(), thread_time(self.thread))
    }
}

/// Times on the wall, scaled down to what the processor gave; as they are where that is not known.
fn scaled(wall: Times, processor: Option<Duration>) -> Times {
    let sum: Duration = wall.iter().sum();
    let Some(processor) = processor.filter(|processor| *processor < sum) else { return wall };
    wall.map(|time| {
        let share = time.as_nanos().saturating_mul(processor.as_nanos()).checked_div(sum.as_nanos());
        Duration::from_nanos(share.and_then(|share| u64::try_from(share).ok()).unwrap_or(0))
    })
}

#[derive(Default)]
struct Threads {
    alive: Vec<Arc<Counters>>,
    /// What threads spent that have ended.
    ended: Times,
}

static THREADS: Mutex<Threads> =
    Mutex::new(Threads { alive: Vec::new(), ended: [Duration::ZERO; Stage::ALL.len()] });

/// The calling thread's place in the list, for as long as it runs.
struct Local {
    counters: Arc<Counters>,
    /// The stage it is in, and since when.
    current: Cell<Option<(Stage, Instant)>>,
}

impl Local {
    fn new() -> Self {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        let counters = Arc::new(Counters { thread, ..Counters::default() });
        THREADS.lock().alive.push(Arc::clone(&counters));
        Self { counters, current: Cell::new(None) }
    }

    /// Ends the present stage at a moment and begins another; what it was.
    fn switch(&self, now: Instant, to: Option<Stage>) -> Option<Stage> {
        let from = self.current.replace(to.map(|stage| (stage, now)));
        if let Some((stage, since)) = from
            && let Some(spent) = self.counters.spent.get(stage as usize)
        {
            let more = u64::try_from(now.saturating_duration_since(since).as_nanos()).unwrap_or(u64::MAX);
            // This thread alone writes.
            spent.store(spent.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
        }
        from.map(|(stage, _)| stage)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let times = self.counters.scaled();
        let mut threads = THREADS.lock();
        threads.alive.retain(|counters| !Arc::ptr_eq(counters, &self.counters));
        for (sum, time) in threads.ended.iter_mut().zip(times) {
            *sum = sum.saturating_add(time);
        }
    }
}

thread_local! {
    static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) };
}

fn switch(to: Option<Stage>) -> Option<Stage> {
    // A thread that is ending has no counters any more; it counts as other.
    LOCAL
        .try_with(|local| {
            let mut local = local.try_borrow_mut().ok()?;
            local.get_or_insert_with(Local::new).switch(Clock.instant(), to)
        })
        .ok()
        .flatten()
}

/// In a stage until dropped; then in the one before. It stays on its thread.
#[must_use = "the stage ends when this is dropped"]
pub struct InStage {
    before: Option<Stage>,
    _on_its_thread: PhantomData<*const ()>,
}

impl Drop for InStage {
    fn drop(&mut self) {
        switch(self.before);
    }
}

/// The calling thread works on a stage from now on.
pub fn enter(stage: Stage) -> InStage {
    InStage { before: switch(Some(stage)), _on_its_thread: PhantomData }
}

/// A task that works on a stage whenever it runs.
pub async fn during<T>(stage: Stage, task: impl Future<Output = T>) -> T {
    let mut task = std::pin::pin!(task);
    std::future::poll_fn(|context| {
        let _stage = enter(stage);
        task.as_mut().poll(context)
    })
    .await
}

/// What a process has spent since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuReport {
    /// Processor time of the process; zero where the operating system doesn't tell.
    pub process: Duration,
    /// By stage, and what is in none.
    pub stages: BTreeMap<&'static str, Duration>,
}

/// What this process has spent since its start. Times of stages that are under way count once these end.
#[must_use]
pub fn report() -> CpuReport {
    let (alive, mut times) = {
        let threads = THREADS.lock();
        (threads.alive.clone(), threads.ended)
    };
    for counters in alive {
        for (sum, time) in times.iter_mut().zip(counters.scaled()) {
            *sum = sum.saturating_add(time);
        }
    }
    let process = process_time().unwrap_or_default();
    let mut stages: BTreeMap<&'static str, Duration> =
        Stage::ALL.iter().zip(times).map(|(stage, time)| (stage.name(), time)).collect();
    let named: Duration = times.iter().sum();
    stages.insert(OTHER, process.saturating_sub(named));
    CpuReport { process, stages }
}

/// Processor time of one of this process's threads, as Linux tells it (proc_pid_schedstat(5)).
fn thread_time(thread: i32) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// Processor time of this process, threads that have ended included.
pub(super) fn process_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps the processor busy until this thread has had so much of it.
    fn work(time: Duration) {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        let until = thread_time(thread).unwrap() + time;
        while thread_time(thread).unwrap() < until {
            std::hint::spin_loop();
        }
    }

    fn spent(stage: Stage) -> Duration {
        report().stages.get(stage.name()).copied().unwrap()
    }

    #[test]
    fn an_inner_stage_pauses_the_one_around_it() {
        let (local, start) = (Local::new(), Clock.instant());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(local.switch(at(0), Some(Stage::Index)), None);
        assert_eq!(local.switch(at(20), Some(Stage::Journal)), Some(Stage::Index));
        assert_eq!(local.switch(at(80), Some(Stage::Index)), Some(Stage::Journal));
        assert_eq!(local.switch(at(110), None), Some(Stage::Index));
        let wall = local.counters.wall();
        let spent = |stage: Stage| wall[stage as usize];
        assert_eq!(
            (spent(Stage::Index), spent(Stage::Journal)),
            (Duration::from_millis(50), Duration::from_millis(60))
        );
        assert_eq!(wall.iter().sum::<Duration>(), Duration::from_millis(110));
    }

    #[test]
    fn what_an_ended_thread_spent_counts() {
        // Of ended threads alone: what is said of others changes while they run.
        let ended = || THREADS.lock().ended[Stage::Index as usize];
        let before = ended();
        std::thread::spawn(|| {
            let _index = enter(Stage::Index);
            work(Duration::from_millis(20));
        })
        .join()
        .unwrap();
        assert!(ended() - before >= Duration::from_millis(19));
    }

    #[test]
    fn who_waits_inside_a_stage_is_charged_for_no_more_than_it_ran() {
        let times = |ms: [u64; 10]| ms.map(Duration::from_millis);
        let wall = times([30, 0, 10, 0, 0, 0, 0, 0, 0, 0]);
        let ran = scaled(wall, Some(Duration::from_millis(20)));
        assert_eq!(ran, times([15, 0, 5, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(scaled(wall, Some(Duration::from_millis(50))), wall, "the rest is other");
        assert_eq!(scaled(wall, None), wall);
    }

    #[tokio::test]
    async fn a_task_is_in_its_stage_only_while_it_runs() {
        let before = spent(Stage::Rpc);
        let task = during(Stage::Rpc, async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            work(Duration::from_millis(10));
            7
        });
        assert_eq!(task.await, 7);
        let spent = spent(Stage::Rpc) - before;
        assert!(spent >= Duration::from_millis(9) && spent < Duration::from_millis(150), "{spent:?}");
    }
}
