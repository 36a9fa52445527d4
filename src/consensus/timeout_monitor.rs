//! The background thread that calls the core back when a timeout elapses.
//!
//! # Place
//! The consensus thread schedules what is ordered; what elapses goes into its inbox.
//!
//! # Invariants
//! - INV-TIMER-1: each scheduled timer elapses once, at its earliest deadline, in the order of deadlines; none is lost.
//! - The number of timers is bounded by what is ordered: one of each kind a round, and those of past heights go
//!   as they elapse.
//!
//! # Concurrency
//! One lock around the timers. A thread of its own and not a tokio task: votes wait for deadlines of 2 ms, and tokio's
//! timer has a resolution of one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::events::Timer;
use crate::runtime::Clock;
use crate::runtime::TaskRegistry;
use crate::runtime::tasks::ThreadError;

#[derive(Default)]
struct Timers {
    deadlines: BTreeMap<Timer, Instant>,
    stopped: bool,
}

impl Timers {
    /// Takes what is due, in the order of the deadlines; gives the next one.
    fn take_due(&mut self, now: Instant, due: &mut Vec<Timer>) -> Option<Instant> {
        let mut elapsed: Vec<(Instant, Timer)> = self
            .deadlines
            .extract_if(.., |_, deadline| *deadline <= now)
            .map(|(timer, at)| (at, timer))
            .collect();
        // Several are due at once when this thread had to wait for a processor.
        elapsed.sort_unstable();
        due.extend(elapsed.into_iter().map(|(_, timer)| timer));
        self.deadlines.values().min().copied()
    }
}

/// Schedules timers.
#[derive(Default)]
pub struct TimeoutMonitor {
    timers: Mutex<Timers>,
    changed: Condvar,
}

impl TimeoutMonitor {
    /// Starts the thread. `elapsed` must not block.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(
        registry: &TaskRegistry,
        elapsed: impl Fn(Timer) + Send + 'static,
    ) -> Result<Arc<Self>, ThreadError> {
        let monitor = Arc::new(Self::default());
        let worker = Arc::clone(&monitor);
        registry.spawn_thread("timeout monitor", move || worker.run(&elapsed))?;
        Ok(monitor)
    }

    /// Calls back about `timer` after so many milliseconds, or earlier if that was asked for before.
    pub fn schedule(&self, timer: Timer, delay_ms: u64) {
        let now = Clock.instant();
        let Some(deadline) = now.checked_add(Duration::from_millis(delay_ms)) else { return };
        let mut timers = self.timers.lock();
        let first = timers.deadlines.values().min().is_none_or(|first| deadline < *first);
        let entry = timers.deadlines.entry(timer).or_insert(deadline);
        *entry = deadline.min(*entry);
        drop(timers);
        if first {
            self.changed.notify_one();
        }
    }

    /// Ends the thread; timers that have not elapsed are forgotten.
    pub fn stop(&self) {
        self.timers.lock().stopped = true;
        self.changed.notify_one();
    }

    fn run(&self, elapsed: &dyn Fn(Timer)) {
        let mut due = Vec::new();
        let mut timers = self.timers.lock();
        while !timers.stopped {
            let next = timers.take_due(Clock.instant(), &mut due);
            if !due.is_empty() {
                parking_lot::MutexGuard::unlocked(&mut timers, || due.drain(..).for_each(elapsed));
                continue;
            }
            match next {
                Some(deadline) => {
                    self.changed.wait_until(&mut timers, deadline);
                }
                None => self.changed.wait(&mut timers),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_util::sync::CancellationToken;

    #[test]
    fn a_timer_is_due_at_its_deadline_and_taken_once() {
        let now = Clock.instant();
        let later = now + Duration::from_millis(5);
        let mut timers = Timers::default();
        timers.deadlines.extend([(Timer::FlushVotes, now), (Timer::HeightDue(1), later)]);
        let mut due = Vec::new();
        assert_eq!(timers.take_due(now, &mut due), Some(later));
        assert_eq!(due, [Timer::FlushVotes]);
        due.clear();
        assert_eq!(timers.take_due(later, &mut due), None);
        assert_eq!(due, [Timer::HeightDue(1)]);
    }

    /// INV-TIMER-1: also of those that a late look finds together.
    #[test]
    fn timers_that_are_due_together_come_in_the_order_of_their_deadlines() {
        let now = Clock.instant();
        let after = |ms| now + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.deadlines.extend([
            (Timer::HeightDue(1), after(3)),
            (Timer::HeightDue(2), after(2)),
            (Timer::FlushVotes, after(1)),
            (Timer::HeightDue(3), after(9)),
        ]);
        let mut due = Vec::new();
        assert_eq!(timers.take_due(after(5), &mut due), Some(after(9)));
        assert_eq!(due, [Timer::FlushVotes, Timer::HeightDue(2), Timer::HeightDue(1)]);
    }

    /// Nobody wakes the thread for it: it was not asleep.
    #[test]
    fn a_timer_that_is_set_while_another_one_elapses_is_not_slept_through() {
        let monitor = TimeoutMonitor::default();
        let (sender, receiver) = std::sync::mpsc::sync_channel(16);
        let [first, second] = [Timer::HeightDue(1), Timer::HeightDue(2)];
        let elapsed = |timer| {
            if timer == first {
                monitor.schedule(second, 0);
            }
            sender.send(timer).unwrap();
        };
        monitor.schedule(first, 0);
        let heard = std::thread::scope(|scope| {
            scope.spawn(|| monitor.run(&elapsed));
            let heard = [(); 2].map(|()| receiver.recv_timeout(Duration::from_secs(20)));
            monitor.stop();
            heard
        });
        assert_eq!(heard, [Ok(first), Ok(second)]);
    }

    /// INV-TIMER-1.
    #[tokio::test]
    async fn each_timer_elapses_once_and_in_the_order_of_deadlines() {
        let registry = TaskRegistry::new(CancellationToken::new());
        let (sender, receiver) = std::sync::mpsc::sync_channel(16);
        let monitor = TimeoutMonitor::start(&registry, move |timer| sender.send(timer).unwrap()).unwrap();
        monitor.schedule(Timer::HeightDue(3), 60_000);
        monitor.schedule(Timer::HeightDue(2), 40);
        monitor.schedule(Timer::HeightDue(3), 80);
        // A later wish for the same timer does not put it off.
        monitor.schedule(Timer::HeightDue(2), 60_000);
        monitor.schedule(Timer::FlushVotes, 1);
        let order = [Timer::FlushVotes, Timer::HeightDue(2), Timer::HeightDue(3)];
        for expected in order {
            assert_eq!(receiver.recv_timeout(Duration::from_secs(20)), Ok(expected));
        }
        assert!(receiver.try_recv().is_err());
        // One that sleeps until a later deadline is woken for an earlier one.
        monitor.schedule(Timer::HeightDue(4), 3_600_000);
        std::thread::sleep(Duration::from_millis(100));
        monitor.schedule(Timer::HeightDue(5), 1);
        assert_eq!(receiver.recv_timeout(Duration::from_secs(20)), Ok(Timer::HeightDue(5)));
        monitor.stop();
        registry.shutdown(Duration::from_secs(5)).await.unwrap();
    }
}
