//! Sets up tracing: level, format and where the lines go.
//!
//! # Place
//! `timed run` and `timed devnet` call [`start`] once. Log lines go to standard output, as service managers collect
//! it, or to a file; messages of other commands are no log and go to standard error.
//!
//! # Concurrency
//! A thread of its own writes, so that a slow disk or a blocked pipe never holds up the node; when
//! [`BUFFERED_LINES_MAX`] lines wait, further ones are dropped.

use std::fs::OpenOptions;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::config::{LogFormat, LoggingConfig};

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
}

/// A text that is no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no level; expected off, error, warn, info, debug or trace, then as you like levels of modules: info,timed::network=debug"
)]
pub struct LevelError {
    /// The text.
    pub text: String,
}

/// Reads a level: one for everything, then levels of single modules.
///
/// # Errors
/// When it is none. A misspelt level would else pass as a module's name, and nothing would be logged.
pub fn parse_level(text: &str) -> Result<EnvFilter, LevelError> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let error = || LevelError { text: text.to_owned() };
    let directives: Vec<&str> = text.split(',').map(str::trim).collect();
    let of_module = |directive: &&str| directive.rsplit_once('=').is_some_and(|(_, l)| LEVELS.contains(&l));
    match directives.split_first() {
        Some((level, modules)) if LEVELS.contains(level) && modules.iter().all(of_module) => {
            EnvFilter::try_new(directives.join(",")).map_err(|_| error())
        }
        _ => Err(error()),
    }
}

/// Logs until it is dropped; dropping it writes what is buffered.
#[must_use = "dropping the guard ends the log"]
pub struct LoggingGuard {
    _worker: WorkerGuard,
}

/// Starts logging for the whole process.
///
/// # Errors
/// See [`LoggingError`].
pub fn start(config: &LoggingConfig) -> Result<LoggingGuard, LoggingError> {
    let filter = parse_level(&config.level)?;
    let builder = NonBlockingBuilder::default().buffered_lines_limit(BUFFERED_LINES_MAX).thread_name("log");
    let ((writer, worker), ansi): ((NonBlocking, WorkerGuard), bool) = match &config.file {
        None => (builder.finish(std::io::stdout()), std::io::stdout().is_terminal()),
        Some(path) => {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            let file = opened.map_err(|source| LoggingError::File { path: path.clone(), source })?;
            (builder.finish(file), false)
        }
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(ansi);
    let installed = match config.format {
        LogFormat::Pretty => subscriber.finish().try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).finish().try_init(),
    };
    installed.map_err(|_| LoggingError::Twice)?;
    log_panics();
    Ok(LoggingGuard { _worker: worker })
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
}
