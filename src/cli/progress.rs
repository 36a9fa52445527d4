//! How far long work is: a bar with the time that is left on a terminal, a plain line now and then otherwise.
//!
//! # Place
//! Commands that take long tell it each step. It writes to standard error, so answers stay as they are. SIGINT and
//! SIGTERM are heard by it: the work ends between two steps then, and the command says how to go on.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;
use crate::app::care::{Unit, Work};
use crate::runtime::Clock;
use crate::runtime::signals::{Heard, Signals};
use crate::runtime::tasks::{HURRY_LIMIT, SHUTDOWN_LIMIT};
use crate::runtime::time_text::duration_words;

/// How often a line is written off a terminal.
const LINE_EVERY: Duration = Duration::from_secs(2);
/// How often the bar is drawn, each second.
const DRAWS_A_SECOND: u8 = 10;

/// Whether the user asked to stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Obeys SIGINT and SIGTERM while `work` runs on a thread for that.
    ///
    /// # Errors
    /// When the signals can't be heard.
    pub(super) async fn listen<T: Send + 'static>(
        work: impl FnOnce(Self) -> T + Send + 'static,
    ) -> Result<T, super::CliError> {
        let mut signals = Signals::install().map_err(super::CliError::Signals)?;
        let stop = Self::default();
        let asked = stop.clone();
        let mut running = tokio::task::spawn_blocking(move || work(asked));
        stop.obey(&mut running, async || signals.next().await, (SHUTDOWN_LIMIT, HURRY_LIMIT)).await
    }

    /// Waits for the work, but no longer than the first limit after the first signal to stop, and the second one after any
    /// further.
    async fn obey<T>(
        &self,
        running: &mut JoinHandle<T>,
        mut heard: impl AsyncFnMut() -> Heard,
        (limit, hurry_limit): (Duration, Duration),
    ) -> Result<T, super::CliError> {
        let mut until = None;
        loop {
            let over = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                done = &mut *running => {
                    return done.map_err(|error| super::CliError::Failed(format!("the work ended unexpectedly: {error}")));
                }
                heard = heard() => {
                    if matches!(heard, Heard::Stop(_)) {
                        let is_first = !self.0.swap(true, Ordering::Relaxed);
                        let left = if is_first { limit } else { hurry_limit };
                        let end = tokio::time::Instant::from_std(Clock.instant() + left);
                        until = Some(until.map_or(end, |until: tokio::time::Instant| until.min(end)));
                    }
                }
                () = over => {
                    let words = "the work did not stop in time and was cut off; what has its own name is whole, and the same \
                                 command goes on or begins anew";
                    return Err(super::CliError::Failed(words.to_owned()));
                }
            }
        }
    }

    fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is told of one stretch of work after the other.
pub(super) struct Progress {
    stop: Stop,
    bar: Option<ProgressBar>,
    work: Option<Work>,
    started: Instant,
    last_line: Instant,
    /// What was done when the stretch began, as far as it was told.
    from: u64,
}

impl Progress {
    /// On standard error.
    pub(super) fn new(stop: Stop) -> Self {
        Self::shown(stop, std::io::stderr().is_terminal())
    }

    fn shown(stop: Stop, as_bar: bool) -> Self {
        let now = Clock.instant();
        let draw = || ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(DRAWS_A_SECOND));
        let bar = as_bar.then(draw);
        Self { stop, bar, work: None, started: now, last_line: now, from: 0 }
    }

    /// Tells a step; says whether to go on. A total of 0 is one that nobody knows.
    pub(super) fn step(&mut self, work: Work, done: u64, total: u64) -> bool {
        let now = Clock.instant();
        if self.work != Some(work) {
            self.work = Some(work);
            (self.started, self.last_line, self.from) = (now, now, done);
            if let Some(bar) = &self.bar {
                bar.set_style(style(work, total));
                bar.set_message(work.what);
                bar.set_length(total);
                bar.reset();
            }
        }
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(done);
            }
            None if now.saturating_duration_since(self.last_line) >= LINE_EVERY => {
                self.last_line = now;
                let elapsed = now.saturating_duration_since(self.started);
                output::notice(line(work, self.from, (done, total), elapsed));
            }
            None => {}
        }
        !self.stop.is_asked()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(work: Work, total: u64) -> ProgressStyle {
    let whole = match work.unit {
        Unit::Bytes => "{decimal_total_bytes}",
        Unit::Blocks => "{human_len} blocks",
        Unit::Entries => "{human_len} entries",
    };
    let template = match total {
        0 => "{msg} {human_pos}, {elapsed}".to_owned(),
        // It fits into 80 columns, which a bar that is drawn again must not leave.
        _ => format!("{{msg}} [{{bar:20}}] {{percent}} % of {whole}, {{eta}} left"),
    };
    // A template that indicatif does not take shows as its own default.
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// An amount with its unit.
pub(super) fn amount(unit: Unit, count: u64) -> String {
    match unit {
        Unit::Bytes => bytes_words(count),
        Unit::Blocks => format!("{count} blocks"),
        Unit::Entries => format!("{count} entries"),
    }
}

/// Bytes in the unit that suits them, to a tenth.
pub(super) fn bytes_words(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.into_iter().find(|(size, _)| bytes >= *size) {
        Some((size, name)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(size);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} bytes"),
    }
}

fn line(work: Work, from: u64, (done, total): (u64, u64), elapsed: Duration) -> String {
    let Work { what, unit } = work;
    if total == 0 {
        return format!("{what}: {}", amount(unit, done));
    }
    let percent = u128::from(done) * 100 / u128::from(total);
    let (since, left) = (u128::from(done.saturating_sub(from)), u128::from(total.saturating_sub(done)));
    let left_ms = elapsed.as_millis().saturating_mul(left).checked_div(since);
    let left = left_ms.map_or_else(String::new, |ms| {
        format!(", {} left", duration_words(u64::try_from(ms.div_ceil(1_000)).unwrap_or(u64::MAX)))
    });
    format!("{what}: {percent} % of {}{left}", amount(unit, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Work = Work { what: "reading", unit: Unit::Bytes };

    #[test]
    fn a_line_says_how_much_is_done_and_how_long_the_rest_takes() {
        let told = |from, done, total| line(WORK, from, (done, total), Duration::from_secs(10));
        assert_eq!(told(0, 250_000, 1_000_000), "reading: 25 % of 1.0 MB, 30 s left");
        assert_eq!(told(500_000, 750_000, 1_000_000), "reading: 75 % of 1.0 MB, 10 s left");
        assert_eq!(told(5, 5, 10), "reading: 50 % of 10 bytes", "nothing was done yet");
        assert_eq!(told(0, 1_234, 0), "reading: 1.2 kB");
    }

    /// Signals from a list, and then none.
    fn signals(count: usize) -> impl AsyncFnMut() -> Heard {
        let mut left = count;
        async move || {
            if left == 0 {
                std::future::pending::<()>().await;
            }
            left -= 1;
            Heard::Stop("SIGTERM")
        }
    }

    #[tokio::test]
    async fn work_that_hears_a_signal_ends_by_itself_and_what_hangs_is_cut_off_sooner_after_another() {
        const LONG: Duration = Duration::from_secs(600);
        const SHORT: Duration = Duration::from_millis(50);
        let stop = Stop::default();
        let asked = stop.clone();
        let mut obedient = tokio::task::spawn_blocking(move || {
            while !asked.is_asked() {
                std::thread::sleep(Duration::from_millis(1));
            }
            7
        });
        assert_eq!(stop.obey(&mut obedient, signals(1), (LONG, LONG)).await.unwrap(), 7);
        for (count, limits) in [(1, (SHORT, LONG)), (2, (LONG, SHORT))] {
            let (held, word) = std::sync::mpsc::sync_channel::<()>(0);
            let mut hung = tokio::task::spawn_blocking(move || word.recv().is_ok());
            let error = Stop::default().obey(&mut hung, signals(count), limits).await.unwrap_err();
            drop(held);
            assert!(error.to_string().contains("cut off"), "{error}");
        }
    }

    #[test]
    fn bytes_are_told_in_the_unit_that_suits_them() {
        let told = [0, 999, 1_000, 1_999_999, 2_000_000, 3_450_000_000].map(bytes_words);
        assert_eq!(told, ["0 bytes", "999 bytes", "1.0 kB", "1.9 MB", "2.0 MB", "3.4 GB"]);
    }

    #[test]
    fn work_goes_on_until_somebody_asks_to_stop() {
        let stop = Stop::default();
        let mut progress = Progress::shown(stop.clone(), false);
        assert!(progress.step(WORK, 1, 10));
        stop.0.store(true, Ordering::Relaxed);
        assert!(!progress.step(WORK, 2, 10));
    }
}
