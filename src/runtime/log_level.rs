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

/// This program's own modules.
const OWN: &str = "timed";
/// Crates below this one that tell at these levels what only their own authors want to know. They are heard from warnings
/// on, unless somebody asks for more by name.
const QUIET: [&str; 2] = ["fjall=warn", "lsm_tree=warn"];

/// Reads a level: one for everything, then levels of single modules. `debug` and `trace` are for this program's own
/// modules; what other crates say at these levels is heard when they are named, as in `debug,hyper=debug`.
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
            let is_noisy = matches!(*level, "debug" | "trace");
            let others = if is_noisy { "info" } else { level };
            let own = is_noisy.then(|| format!("{OWN}={level}"));
            let quiet: &[&str] = if others == "info" { &QUIET } else { &[] };
            let all = [others].into_iter().chain(own.as_deref()).chain(quiet.iter().copied());
            let all: Vec<&str> = all.chain(modules.iter().copied()).collect();
            EnvFilter::try_new(all.join(",")).map_err(|_| error())
        }
        _ => Err(error()),
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::LevelFilter;

    use super::*;

    #[test]
    fn the_engine_below_is_quiet_unless_it_is_asked_for() {
        let hears = |text: &str, module: &str| {
            let filter = parse_level(text).unwrap().to_string();
            let of_module =
                filter.split(',').find_map(|directive| directive.strip_prefix(module)?.strip_prefix('='));
            of_module.map(str::to_owned)
        };
        for level in ["info", "debug", "trace"] {
            assert_eq!(hears(level, "lsm_tree").as_deref(), Some("warn"));
            assert_eq!(hears(level, "fjall").as_deref(), Some("warn"));
        }
        assert_eq!(
            hears("info,lsm_tree=debug", "lsm_tree").as_deref(),
            Some("debug"),
            "the last word counts"
        );
        assert_eq!(hears("error", "lsm_tree"), None, "no louder than the rest");
        assert_eq!(parse_level("error").unwrap().max_level_hint(), Some(LevelFilter::ERROR));
    }

    /// What a filter lets through, of a line at debug of each module.
    fn heard_at_debug(level: &str) -> Vec<&'static str> {
        use tracing_subscriber::layer::SubscriberExt as _;
        let subscriber = tracing_subscriber::registry().with(parse_level(level).unwrap());
        tracing::subscriber::with_default(subscriber, || {
            let mut heard = Vec::new();
            if tracing::enabled!(target: "timed::network", tracing::Level::DEBUG) {
                heard.push("timed");
            }
            if tracing::enabled!(target: "hyper::proto", tracing::Level::DEBUG) {
                heard.push("hyper");
            }
            heard
        })
    }

    #[test]
    fn debug_is_that_of_this_program_unless_another_crate_is_named() {
        assert_eq!(heard_at_debug("debug"), ["timed"]);
        assert_eq!(heard_at_debug("trace"), ["timed"]);
        assert_eq!(heard_at_debug("debug,hyper=debug"), ["timed", "hyper"]);
        assert_eq!(heard_at_debug("info,hyper=debug"), ["hyper"]);
        assert_eq!(heard_at_debug("debug,timed=info"), [""; 0]);
        assert_eq!(heard_at_debug("info"), [""; 0]);
    }
}
