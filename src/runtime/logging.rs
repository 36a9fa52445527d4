//! Sets up tracing: level, format and where the lines go.
//!
//! # Place
//! `timed run` and `timed devnet` call [`start`] once. Log lines go to standard output, as service managers collect
//! it, or to a file; messages of other commands are no log and go to standard error.
//!
//! [`LogControl`] reopens the file and changes the level while the process runs: after a rotation by another program the
//! old file would else go on growing under its new name.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `file.rs` | when the file is reopened and rotated |
//! | `repeats.rs` | which warnings are said again |
//!
//! # Bounds
//! INV-LOG-1 bounds the bytes of the files, INV-LOG-2 the lines of a warning that repeats itself.
//!
//! # Concurrency
//! A thread of its own writes, so that a slow disk or a blocked pipe never holds up the node; when
//! [`BUFFERED_LINES_MAX`] lines wait, further ones are dropped.

mod file;
mod repeats;

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::Subscriber;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

use self::file::{Limits, LogFile};
use self::repeats::{Repeats, Teller};
use super::config::{Config, LogFormat, LoggingConfig};
use super::log_level::{LevelError, parse_level};
use crate::types::Network;

/// Lines that wait for the writing thread, at most.
pub const BUFFERED_LINES_MAX: usize = 32_768;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The file can't be opened.
    #[error("the log file {path} can't be opened: {source}; see [logging] file")]
    File {
        /// Which file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// The level is no filter.
    #[error("[logging] level: {0}")]
    Level(#[from] LevelError),
    /// Something else logs already.
    #[error("logging is set up already")]
    Twice,
    /// The level can't be changed any more.
    #[error("the level of the log can't be changed: {0}")]
    Reload(#[from] reload::Error),
    /// No thread.
    #[error("the log's thread can't be started (limit of processes reached?): {0}")]
    Thread(std::io::Error),
}

/// Logs until it is dropped; dropping it writes what is buffered.
#[must_use = "dropping the guard ends the log"]
pub struct LoggingGuard {
    control: LogControl,
    // In this order: it has something to say when it ends.
    _teller: Option<Teller>,
    _worker: WorkerGuard,
}

impl LoggingGuard {
    /// Changes the log while it runs.
    #[must_use]
    pub fn control(&self) -> LogControl {
        self.control.clone()
    }
}

/// Reopens the log's file and changes its level. Cheap to clone.
#[derive(Clone)]
pub struct LogControl {
    /// As it was at the start.
    started: Arc<LoggingConfig>,
    file: Option<LogFile>,
    filter: reload::Handle<EnvFilter, Registry>,
    /// The filter as somebody wrote it.
    level: Arc<Mutex<String>>,
}

impl LogControl {
    /// The control of a log that somebody else keeps: of a program that runs nodes inside of it and has a subscriber of
    /// its own. It reopens nothing, and can't change the level.
    #[must_use]
    pub fn of_others() -> Self {
        let level = "as this program says".to_owned();
        // Nobody has the layer, so that changes are refused.
        let (_, filter) = reload::Layer::new(EnvFilter::default());
        let defaults = Config::of_network(Network::Devnet).logging;
        let started = Arc::new(LoggingConfig { level: level.clone(), file: None, ..defaults });
        Self { started, file: None, filter, level: Arc::new(Mutex::new(level)) }
    }

    /// The level, as it was set last.
    #[must_use]
    pub fn level(&self) -> String {
        self.level.lock().clone()
    }

    /// Changes the level, until it is changed again or the process ends.
    ///
    /// # Errors
    /// When the text is no level; the log keeps its own then.
    pub fn set_level(&self, text: &str) -> Result<(), LoggingError> {
        let filter = parse_level(text)?;
        // Two that change it at once leave the level that is told, too.
        let mut level = self.level.lock();
        self.filter.reload(filter)?;
        text.clone_into(&mut level);
        Ok(())
    }

    /// Opens the file of the start again, which may have been renamed meanwhile. Blocks. Without a file it does nothing.
    ///
    /// # Errors
    /// When the file can't be opened; lines go on where they went then.
    pub fn reopen(&self) -> Result<(), LoggingError> {
        self.reopen_as(&self.started)
    }

    fn reopen_as(&self, config: &LoggingConfig) -> Result<(), LoggingError> {
        let path = config.file.as_ref().or(self.started.file.as_ref());
        match (&self.file, path) {
            (Some(file), Some(path)) => file.reopen(path, Limits::of(config)),
            _ => Ok(()),
        }
    }

    /// Opens the file that the configuration names now, and takes its level and its bounds. Blocks. Whether there is a
    /// file at all, and how lines look, is settled at the start: true if the configuration says so otherwise now, which
    /// takes a restart.
    ///
    /// # Errors
    /// When the file can't be opened or the level is none; what could be done is done.
    pub fn reload(&self, config: &LoggingConfig) -> Result<bool, LoggingError> {
        let reopened = self.reopen_as(config);
        self.set_level(&config.level)?;
        reopened?;
        let started = (self.started.format, self.started.file.is_some());
        Ok((config.format, config.file.is_some()) != started)
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// See [`LoggingError`].
pub fn start(config: &LoggingConfig) -> Result<LoggingGuard, LoggingError> {
    let (subscriber, mut guard, repeats) = build(config)?;
    subscriber.try_init().map_err(|_| LoggingError::Twice)?;
    log_panics();
    guard._teller = Some(Teller::start(repeats).map_err(LoggingError::Thread)?);
    Ok(guard)
}

type BoxedSubscriber = Box<dyn Subscriber + Send + Sync>;

/// Whether lines have colours: on a terminal, unless `NO_COLOR` has a value (<https://no-color.org>).
fn has_colours(no_color: Option<std::ffi::OsString>, is_terminal: bool) -> bool {
    is_terminal && no_color.is_none_or(|value| value.is_empty())
}

fn build(config: &LoggingConfig) -> Result<(BoxedSubscriber, LoggingGuard, Repeats), LoggingError> {
    let (filter, handle) = reload::Layer::new(parse_level(&config.level)?);
    let file = config.file.as_ref().map(|path| LogFile::open(path, Limits::of(config))).transpose()?;
    let builder = NonBlockingBuilder::default().buffered_lines_limit(BUFFERED_LINES_MAX).thread_name("log");
    let ((writer, worker), ansi): ((NonBlocking, WorkerGuard), bool) = match &file {
        None => {
            let colours = has_colours(std::env::var_os("NO_COLOR"), io::stdout().is_terminal());
            (builder.finish(io::stdout()), colours)
        }
        Some(file) => (builder.finish(file.clone()), false),
    };
    let repeats = Repeats::default();
    let heard = tracing_subscriber::registry().with(filter).with(repeats.clone());
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(ansi);
    let subscriber: BoxedSubscriber = match config.format {
        LogFormat::Pretty => Box::new(heard.with(lines)),
        LogFormat::Json => Box::new(heard.with(lines.json().flatten_event(true))),
    };
    let control = LogControl {
        started: Arc::new(config.clone()),
        file,
        filter: handle,
        level: Arc::new(Mutex::new(config.level.clone())),
    };
    Ok((subscriber, LoggingGuard { control, _teller: None, _worker: worker }, repeats))
}

/// A panic's place and thread reach the log, not only standard error, which a daemon may have closed.
fn log_panics() {
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(thread, place, "Panic");
        default_hook(info);
    }));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn levels_are_checked() {
        for good in ["info", "off", "info,timed::network=debug", "warn, sled=error"] {
            assert!(parse_level(good).is_ok(), "{good}");
        }
        for bad in ["", "inof", "timed=debug", "info,network", "info,timed=loud", "info,,", "7"] {
            assert_eq!(parse_level(bad).unwrap_err(), LevelError { text: bad.into() });
        }
    }

    fn logging(level: &str, file: &Path) -> LoggingConfig {
        LoggingConfig {
            level: level.to_owned(),
            format: LogFormat::Pretty,
            file: Some(file.to_owned()),
            max_file_mb: 100,
            max_old_files: 5,
        }
    }

    #[test]
    fn a_log_that_was_rotated_goes_on_under_its_name_and_with_its_new_level() {
        let home = tempfile::tempdir().unwrap();
        let (path, rotated) = (home.path().join("timed.log"), home.path().join("timed.log.1"));
        let (subscriber, guard, _) = build(&logging("info", &path)).unwrap();
        let control = guard.control();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("before the rotation");
            tracing::debug!("not told");
            std::fs::rename(&path, &rotated).unwrap();
            // The thread that writes is behind: what was said before may go to either file.
            assert!(!control.reload(&logging("debug", &path)).unwrap());
            tracing::debug!("after the rotation");
            let bad = control.reload(&logging("lowd", &path));
            assert!(matches!(bad, Err(LoggingError::Level(_))));
            let gone = control.reload(&logging("warn", &home.path().join("none/timed.log")));
            assert!(matches!(gone, Err(LoggingError::File { .. })), "the level is taken all the same");
            tracing::info!("not told either");
            tracing::warn!("at last");
            let otherwise = LoggingConfig { format: LogFormat::Json, ..logging("warn", &path) };
            assert!(control.reload(&otherwise).unwrap());
            assert!(control.reload(&LoggingConfig { file: None, ..logging("warn", &path) }).unwrap());
        });
        drop(guard);
        let (new, all) =
            (std::fs::read_to_string(&path).unwrap(), std::fs::read_to_string(&rotated).unwrap());
        assert!(new.contains("after the rotation") && new.contains("at last"), "{new}");
        let all = all + &new;
        assert!(all.contains("before the rotation") && !all.contains("not told"), "{all}");
    }

    #[test]
    fn a_level_that_was_set_is_told_and_one_that_is_none_changes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("timed.log");
        let (subscriber, guard, _) = build(&logging("warn", &path)).unwrap();
        let control = guard.control();
        tracing::subscriber::with_default(subscriber, || {
            assert_eq!(control.level(), "warn");
            tracing::info!("not told");
            control.set_level("info,timed::rpc=debug").unwrap();
            tracing::info!("told");
            assert!(matches!(control.set_level("loud"), Err(LoggingError::Level(_))));
            tracing::info!("told again");
            assert_eq!(control.level(), "info,timed::rpc=debug");
        });
        drop(guard);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("told again") && text.lines().count() == 2, "{text}");
    }

    #[test]
    fn the_log_of_another_program_is_not_changed() {
        let control = LogControl::of_others();
        assert!(matches!(control.set_level("debug"), Err(LoggingError::Reload(_))));
        assert_eq!((control.level().as_str(), control.reopen().is_ok()), ("as this program says", true));
    }

    /// INV-LOG-2.
    #[test]
    fn a_warning_that_repeats_itself_is_counted_and_others_are_not() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("timed.log");
        let (subscriber, guard, repeats) = build(&logging("info", &path)).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..40 {
                tracing::warn!(number, "a peer is on another chain");
                tracing::info!("Block produced");
            }
            repeats.tell_older(std::time::Duration::ZERO);
        });
        drop(guard);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = |part: &str| text.lines().filter(|line| line.contains(part)).count();
        assert_eq!(lines("WARN timed::runtime::logging::tests: a peer is on another chain"), 10, "{text}");
        assert_eq!((lines("Block produced"), lines("And 30 more like it")), (40, 1), "{text}");
    }

    #[test]
    fn each_line_names_its_node_in_either_format() {
        for (format, part) in
            [(LogFormat::Pretty, "node{name=node3}"), (LogFormat::Json, "\"name\":\"node3\"")]
        {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("timed.log");
            let config = LoggingConfig { format, ..logging("warn", &path) };
            let (subscriber, guard, _) = build(&config).unwrap();
            tracing::subscriber::with_default(subscriber, || {
                tracing::error_span!("node", name = %"node3").in_scope(|| tracing::warn!("it limps"));
            });
            drop(guard);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains("it limps") && text.contains(part), "{text}");
        }
    }

    #[test]
    fn colours_are_for_terminals_whose_owner_wants_them() {
        assert!(has_colours(None, true) && has_colours(Some("".into()), true));
        assert!(!has_colours(None, false) && !has_colours(Some("1".into()), true));
    }
}
