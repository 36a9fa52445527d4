//! Levels of the log as text.

use tracing_subscriber::EnvFilter;

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
