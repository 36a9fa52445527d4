//! Sets up tracing: level, format and where the lines go.
//!
//! # Place
//! `timed run` and `timed devnet` call [`start`] once. Log lines go to standard output, as service managers collect
//! it, or to a file; messages of other commands are no log and go to standard error.
//!
//! [`LogControl`] reopens the file and changes the level while the process runs: after a rotation of logs the old file
//! would else go on growing under its new name.
//!
//! # Concurrency
//! A thread of its own writes, so that a slow disk or a blocked pipe never holds up the node; when
//! [`BUFFERED_LINES_MAX`] lines wait, further ones are dropped.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::Subscriber;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::config::{LogFormat, LoggingConfig};
use super::log_level::{LevelError, parse_level};

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
}

/// Logs until it is dropped; dropping it writes what is buffered.
#[must_use = "dropping the guard ends the log"]
pub struct LoggingGuard {
    control: LogControl,
    _worker: WorkerGuard,
}

impl LoggingGuard {
    /// Changes the log while it runs.
    #[must_use]
    pub fn control(&self) -> LogControl {
        self.control.clone()
    }
}

/// The file that lines go to, which can be exchanged between two lines.
#[derive(Clone)]
struct LogFile {
    file: Arc<Mutex<File>>,
}

impl LogFile {
    fn open(path: &Path) -> Result<File, LoggingError> {
        let opened = OpenOptions::new().create(true).append(true).open(path);
        opened.map_err(|source| LoggingError::File { path: path.to_owned(), source })
    }

    /// Goes on in the file of this name. If it can't be opened, lines go on where they went.
    fn reopen(&self, path: &Path) -> Result<(), LoggingError> {
        let file = Self::open(path)?;
        *self.file.lock() = file;
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.lock().write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        // A line is not torn over two files.
        self.file.lock().write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.lock().flush()
    }
}

type SetLevel = dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync;

/// Reopens the log's file and changes its level. Cheap to clone.
#[derive(Clone)]
pub struct LogControl {
    /// As it was at the start.
    started: Arc<LoggingConfig>,
    file: Option<LogFile>,
    set_level: Arc<SetLevel>,
}

impl LogControl {
    /// Opens the file of the start again, which may have been renamed meanwhile. Blocks. Without a file it does nothing.
    ///
    /// # Errors
    /// When the file can't be opened; lines go on where they went then.
    pub fn reopen(&self) -> Result<(), LoggingError> {
        self.reopen_at(self.started.file.as_deref())
    }

    fn reopen_at(&self, path: Option<&Path>) -> Result<(), LoggingError> {
        match (&self.file, path) {
            (Some(file), Some(path)) => file.reopen(path),
            _ => Ok(()),
        }
    }

    /// Opens the file that the configuration names now, and takes its level. Blocks. Whether there is a file at all, and
    /// how lines look, is settled at the start: true if the configuration says so otherwise now, which takes a restart.
    ///
    /// # Errors
    /// When the file can't be opened or the level is none; what could be done is done.
    pub fn reload(&self, config: &LoggingConfig) -> Result<bool, LoggingError> {
        let path = config.file.as_deref().or(self.started.file.as_deref());
        let reopened = self.reopen_at(path);
        (self.set_level)(parse_level(&config.level)?)?;
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
    let (subscriber, guard) = build(config)?;
    subscriber.try_init().map_err(|_| LoggingError::Twice)?;
    log_panics();
    Ok(guard)
}

type BoxedSubscriber = Box<dyn Subscriber + Send + Sync>;

fn build(config: &LoggingConfig) -> Result<(BoxedSubscriber, LoggingGuard), LoggingError> {
    let filter = parse_level(&config.level)?;
    let file = match &config.file {
        None => None,
        Some(path) => Some(LogFile { file: Arc::new(Mutex::new(LogFile::open(path)?)) }),
    };
    let builder = NonBlockingBuilder::default().buffered_lines_limit(BUFFERED_LINES_MAX).thread_name("log");
    let ((writer, worker), ansi): ((NonBlocking, WorkerGuard), bool) = match &file {
        None => (builder.finish(io::stdout()), io::stdout().is_terminal()),
        Some(file) => (builder.finish(file.clone()), false),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(ansi);
    let (subscriber, set_level): (BoxedSubscriber, Arc<SetLevel>) = match config.format {
        LogFormat::Pretty => {
            let lines = lines.with_filter_reloading();
            let level = lines.reload_handle();
            (Box::new(lines.finish()), Arc::new(move |filter| level.reload(filter)))
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_filter_reloading();
            let level = lines.reload_handle();
            (Box::new(lines.finish()), Arc::new(move |filter| level.reload(filter)))
        }
    };
    let control = LogControl { started: Arc::new(config.clone()), file, set_level };
    Ok((subscriber, LoggingGuard { control, _worker: worker }))
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
        LoggingConfig { level: level.to_owned(), format: LogFormat::Pretty, file: Some(file.to_owned()) }
    }

    #[test]
    fn a_log_that_was_rotated_goes_on_under_its_name_and_with_its_new_level() {
        let home = tempfile::tempdir().unwrap();
        let (path, rotated) = (home.path().join("timed.log"), home.path().join("timed.log.1"));
        let (subscriber, guard) = build(&logging("info", &path)).unwrap();
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
}
