//! Says a warning that comes again and again a few times, and then how often it came.
//!
//! # Place
//! A layer below the one that writes lines; [`Teller`] is a thread that says what was left out.
//!
//! # Invariants
//! - INV-LOG-2: of one message of one module at most [`REPEATS_MAX`] lines at warn or error are written within
//!   [`WINDOW`]; how many more there were is said when it is over, and at the end of the log.
//! - At most [`MESSAGES_MAX`] messages are told apart, whatever peers bring about; further ones of one module count as
//!   the same.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::runtime::Clock;

/// Lines with one message of one module within [`WINDOW`], at most.
const REPEATS_MAX: u64 = 10;
/// How long repeats are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Messages that are told apart, at most.
const MESSAGES_MAX: usize = 1_024;
/// Bytes of a message by which it is told apart.
const MESSAGE_BYTES_MAX: usize = 256;
/// How often the thread looks whether a window is over.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Key = (&'static str, String);

struct Said {
    since: Instant,
    times: u64,
}

/// Counts messages. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Repeats {
    said: Arc<Mutex<HashMap<Key, Said>>>,
}

impl Repeats {
    /// Counts a message, and decides whether it is said.
    fn is_said(&self, target: &'static str, message: String, now: Instant) -> bool {
        let mut said = self.said.lock();
        let mut key = (target, message);
        if said.len() >= MESSAGES_MAX && !said.contains_key(&key) {
            key.1 = "various messages".to_owned();
        }
        let entry = said.entry(key).or_insert(Said { since: now, times: 0 });
        entry.times = entry.times.saturating_add(1);
        entry.times <= REPEATS_MAX
    }

    /// Forgets what began at least so long ago, and gives what of it was left out, and how often.
    fn take_older(&self, age: Duration, now: Instant) -> Vec<(Key, u64)> {
        let is_over = |said: &Said| now.saturating_duration_since(said.since) >= age;
        let over: Vec<_> = self.said.lock().extract_if(|_, said| is_over(said)).collect();
        let mut left_out: Vec<(Key, u64)> = over
            .into_iter()
            .filter_map(|(key, said)| Some((key, said.times.checked_sub(REPEATS_MAX).filter(|n| *n > 0)?)))
            .collect();
        left_out.sort();
        left_out
    }

    /// Says what was left out of windows that began at least so long ago.
    pub(super) fn tell_older(&self, age: Duration) {
        for ((module, message), more) in self.take_older(age, Clock.instant()) {
            tracing::warn!(module, message, "And {more} more like it");
        }
    }
}

/// The text of an event.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
            let end = self.0.floor_char_boundary(MESSAGE_BYTES_MAX);
            self.0.truncate(end);
        }
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // What is said here is a repeat of nothing.
        if *metadata.level() > Level::WARN || metadata.target() == module_path!() {
            return true;
        }
        let mut message = Message::default();
        event.record(&mut message);
        self.is_said(metadata.target(), message.0, Clock.instant())
    }
}

/// A thread that says what was left out; dropping it says the rest and ends it.
pub(super) struct Teller {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Teller {
    pub(super) fn start(repeats: Repeats) -> std::io::Result<Self> {
        let (stop, stopped) = sync_channel::<()>(0);
        let thread = std::thread::Builder::new().name("log repeats".to_owned()).spawn(move || {
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                repeats.tell_older(WINDOW);
            }
            repeats.tell_older(Duration::ZERO);
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // If it panicked, nobody is told what was left out.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// INV-LOG-2.
    #[test]
    fn a_message_is_said_ten_times_a_minute_and_then_counted() {
        let (repeats, start) = (Repeats::default(), Clock.instant());
        let say = |target, message: &str, now| repeats.is_said(target, message.to_owned(), now);
        let said = (0..25).filter(|_| say("timed::network", "refused", start)).count();
        assert_eq!(said as u64, REPEATS_MAX);
        assert!(say("timed::rpc", "refused", start), "of another module it is another message");
        assert!(say("timed::network", "banned", start + WINDOW));
        assert_eq!(repeats.take_older(WINDOW, start + WINDOW - Duration::from_nanos(1)), []);
        let more = repeats.take_older(WINDOW, start + WINDOW);
        assert_eq!(more, [(("timed::network", "refused".to_owned()), 15)]);
        assert!(say("timed::network", "refused", start + WINDOW), "a new minute begins");
        assert_eq!(repeats.take_older(Duration::ZERO, start + WINDOW), [], "nothing was left out since");
    }

    #[test]
    fn messages_beyond_the_bound_count_together() {
        let (repeats, now) = (Repeats::default(), Clock.instant());
        let said =
            (0..2 * MESSAGES_MAX).filter(|n| repeats.is_said("timed::network", n.to_string(), now)).count();
        assert_eq!(said, MESSAGES_MAX + REPEATS_MAX as usize);
        assert_eq!(repeats.said.lock().len(), MESSAGES_MAX + 1);
        let more = repeats.take_older(WINDOW, now + WINDOW);
        assert_eq!(more.len(), 1);
        assert_eq!(more[0].1, MESSAGES_MAX as u64 - REPEATS_MAX);
    }
}
