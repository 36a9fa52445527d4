//! `timed config check|show`: whether a configuration holds, and where each of its values comes from.
//!
//! # Place
//! [`SourceArgs`] are the flags of all commands that read a node's whole configuration; `timed run` takes them too, so what
//! `show` says is what a node with the same flags and environment has.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::named_files::{Unusable, unusable};
use super::{CliError, output};
use crate::runtime::config::{Effective, Examined, Origin};
use crate::runtime::{Config, ConfigError, ConfigSources};

/// A configuration file, and values that win over it.
#[derive(Clone, Debug, clap::Args)]
pub struct SourceArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "config.toml")]
    pub config: PathBuf,
    /// A value that wins over the environment and the file; lists are separated by commas. Repeatable.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", value_parser = key_and_value)]
    pub set: Vec<(String, String)>,
}

impl SourceArgs {
    /// These with the process' environment.
    #[must_use]
    pub fn sources(&self) -> ConfigSources {
        let flags = self.set.clone();
        ConfigSources { flags, ..ConfigSources::of_process(Some(self.config.clone())) }
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once('=').ok_or("expected SECTION.KEY=VALUE, such as logging.level=debug")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Arguments of `timed config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say all that is wrong with a configuration and the files that it names; exit code 2 if anything is.
    Check(SubArgs),
    /// Print each value with where it comes from, without secrets.
    Show(SubArgs),
}

#[derive(Debug, clap::Args)]
struct SubArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `timed config`.
///
/// # Errors
/// When anything is wrong with the configuration; all of it is named.
pub fn run(args: &Args) -> Result<(), CliError> {
    match &args.command {
        Command::Check(args) => check(args),
        Command::Show(args) => show(args),
    }
}

fn check(args: &SubArgs) -> Result<(), CliError> {
    let examined = Config::examine(&args.sources.sources());
    let unusable = examined.config.as_ref().map(unusable).unwrap_or_default();
    if args.json {
        output::line(report(&examined, &unusable))?;
    }
    let config = held(&args.sources.config, examined)?.0;
    if !unusable.is_empty() {
        let says: Vec<&str> = unusable.iter().map(|file| file.says.as_str()).collect();
        return Err(CliError::Usage(says.join("\n")));
    }
    if !args.json {
        let role = if config.masternode.enabled { "masternode" } else { "full node" };
        let file = args.sources.config.display();
        output::line(format_args!("{file} holds: a {role} of {}", config.node.network))?;
    }
    Ok(())
}

fn show(args: &SubArgs) -> Result<(), CliError> {
    let (_, values) = held(&args.sources.config, Config::examine(&args.sources.sources()))?;
    if args.json {
        return output::line(Value::Array(values.iter().map(value_json).collect()));
    }
    lines(&values).iter().try_for_each(output::line)
}

/// The configuration and its values, or all that is wrong.
fn held(file: &Path, examined: Examined) -> Result<(Config, Vec<Effective>), CliError> {
    match examined.config {
        Some(config) => Ok((config, examined.values)),
        None => Err(CliError::ConfigProblems { file: file.to_owned(), problems: examined.problems }),
    }
}

/// What `check --json` prints.
fn report(examined: &Examined, unusable: &[Unusable]) -> Value {
    let problem = |problem: &ConfigError| {
        let (key, origin) = match problem {
            ConfigError::UnknownKey { key, origin, .. } | ConfigError::BadValue { key, origin, .. } => {
                (Some(key), Some(origin_json(origin)))
            }
            ConfigError::Read { .. } | ConfigError::Syntax { .. } => (None, None),
        };
        json!({ "key": key, "origin": origin, "says": problem.to_string() })
    };
    let of_file = |file: &Unusable| json!({ "key": file.key, "origin": null, "says": file.says });
    let problems: Vec<Value> =
        examined.problems.iter().map(problem).chain(unusable.iter().map(of_file)).collect();
    json!({ "holds": problems.is_empty(), "problems": problems })
}

fn origin_json(origin: &Origin) -> Value {
    match origin {
        Origin::Default => json!({ "from": "default" }),
        Origin::File { path, line } => json!({ "from": "file", "path": path, "line": line }),
        Origin::Environment { variable } => json!({ "from": "environment", "variable": variable }),
        Origin::Flag => json!({ "from": "flag" }),
    }
}

fn value_json(effective: &Effective) -> Value {
    let key = format!("{}.{}", effective.section, effective.key);
    json!({ "key": key, "value": effective.shown(), "origin": origin_json(&effective.origin) })
}

/// The values as a configuration file would have them, each with where it comes from behind it.
fn lines(values: &[Effective]) -> Vec<String> {
    let texts: Vec<String> = values
        .iter()
        .map(|value| match value.shown() {
            Some(shown) => format!("{} = {shown}", value.key),
            None => format!("# {} is not set", value.key),
        })
        .collect();
    let width = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).min(60);
    let (mut lines, mut section) = (Vec::new(), "");
    for (value, text) in values.iter().zip(texts) {
        if value.section != section {
            if !section.is_empty() {
                lines.push(String::new());
            }
            section = value.section;
            lines.push(format!("[{section}]"));
        }
        lines.push(format!("{text:<width$}  # {}", value.origin));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(home: &Path, text: &str, flags: &[&str]) -> ConfigSources {
        let path = home.join("config.toml");
        std::fs::write(&path, text).unwrap();
        let environment = vec![("TIMED_RPC__MAX_CONNECTIONS".to_owned(), "7".to_owned())];
        let flags = flags.iter().map(|text| key_and_value(text).unwrap()).collect();
        ConfigSources { file: Some(path), environment, flags }
    }

    #[test]
    fn each_value_is_shown_with_where_it_comes_from_and_what_is_shown_is_a_configuration() {
        let home = tempfile::tempdir().unwrap();
        let text = "[node]\nnetwork = \"devnet\"\n\n[network]\nbootstrap_peers = [\"a.example:1\"]\n";
        let examined = Config::examine(&sources(home.path(), text, &["logging.level=warn,hyper=info"]));
        let shown = lines(&examined.values);
        let line = |start: &str| {
            let found: Vec<&String> = shown.iter().filter(|line| line.starts_with(start)).collect();
            assert_eq!(found.len(), 1, "{start}: {shown:#?}");
            found[0].clone()
        };
        assert!(line("network = \"devnet\"").ends_with("config.toml, line 2"));
        assert!(line("bootstrap_peers = [\"a.example:1\"]").ends_with("config.toml, line 5"));
        assert!(line("max_connections = 7").ends_with("# environment variable TIMED_RPC__MAX_CONNECTIONS"));
        assert!(line("level = \"warn,hyper=info\"").ends_with("# command line"));
        assert!(line("max_inbound = 64").ends_with("# default"));
        assert!(line("# external_address is not set").ends_with("# default"));
        let again = ConfigSources { environment: Vec::new(), ..sources(home.path(), &shown.join("\n"), &[]) };
        assert_eq!(Config::load(&again).unwrap(), examined.config.unwrap());
    }

    #[test]
    fn of_users_the_names_alone_are_shown() {
        let home = tempfile::tempdir().unwrap();
        let (salt, hash) = ("5a17", "ab".repeat(32));
        let text = format!("[rpc]\nusers = [\"alice:{salt}${hash}\"]\n");
        let examined = Config::examine(&sources(home.path(), &text, &[]));
        let said = lines(&examined.values).join("\n")
            + &json!(examined.values.iter().map(value_json).collect::<Vec<_>>()).to_string();
        assert!(said.contains("alice:...") && !said.contains(salt) && !said.contains(&hash), "{said}");
        // A password in the wrong place is not quoted.
        for text in [
            "[rpc]\nusers = \"alice:pass\"\n",
            "[rpc]\nusers = [\"alice:pass\"]\n",
            "[rpc]\nusers = [7, \"pass\"]",
        ] {
            let said = report(&Config::examine(&sources(home.path(), text, &[])), &[]).to_string();
            assert!(said.contains("rpc.users") && !said.contains("pass"), "{said}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let home = tempfile::tempdir().unwrap();
        let text = "[node]\nnetwrk = \"devnet\"\n[rcp]\n[network]\nmax_inbound = \"many\"\nmax_outbound = 0\n[storage]\ncache_mb = 1\n";
        let examined = Config::examine(&sources(home.path(), text, &["node.nme=x"]));
        assert!(examined.config.is_none());
        let said = report(&examined, &[]);
        let keys: Vec<&str> =
            said["problems"].as_array().unwrap().iter().map(|p| p["key"].as_str().unwrap()).collect();
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        let expected = [
            "[rcp]",
            "network.max_inbound",
            "network.max_outbound",
            "node.netwrk",
            "node.nme",
            "storage.cache_mb",
        ];
        assert_eq!((sorted.as_slice(), &said["holds"]), (expected.as_slice(), &Value::Bool(false)));
        assert!(said.to_string().contains("did you mean node.network?"), "{said}");
        assert_eq!(
            report(&Config::examine(&ConfigSources::default()), &[]),
            json!({ "holds": true, "problems": [] })
        );
    }

    #[test]
    fn a_value_on_the_command_line_needs_its_key() {
        assert_eq!(key_and_value("rpc.users=a=b").unwrap(), ("rpc.users".to_owned(), "a=b".to_owned()));
        assert!(key_and_value("logging.level").is_err());
    }
}
