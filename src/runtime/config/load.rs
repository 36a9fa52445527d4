//! Merges defaults, file, environment and flags.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;

use toml::de::DeTable;

use super::{CONFIG_FILE_BYTES_MAX, Config, ConfigError, Network, Path, PathBuf, Table, Value};
use crate::runtime::nearest::suggestion;
use crate::types::ChainParameters;

/// Environment variables that start so are the node's.
const ENVIRONMENT_PREFIX: &str = "TIMED_";

/// What a key's value looks like as text, in a variable or a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Path,
    Integer,
    Boolean,
    /// An integer or `auto`.
    Size,
    /// Separated by commas.
    List,
}

/// Every key there is. A test holds it together with the types.
const KEYS: [(&str, &str, Kind); 43] = [
    ("node", "network", Kind::Text),
    ("node", "genesis", Kind::Path),
    ("node", "data_dir", Kind::Path),
    ("node", "name", Kind::Text),
    ("network", "listen_address", Kind::Text),
    ("network", "external_address", Kind::Text),
    ("network", "upnp", Kind::Boolean),
    ("network", "bootstrap_peers", Kind::List),
    ("network", "dns_seeds", Kind::List),
    ("network", "mode", Kind::Text),
    ("network", "max_inbound", Kind::Integer),
    ("network", "max_outbound", Kind::Integer),
    ("network", "dial_registered", Kind::Boolean),
    ("rpc", "enabled", Kind::Boolean),
    ("rpc", "listen_address", Kind::Text),
    ("rpc", "auth", Kind::Text),
    ("rpc", "users", Kind::List),
    ("rpc", "allowed_hosts", Kind::List),
    ("rpc", "allowed_origins", Kind::List),
    ("rpc", "max_connections", Kind::Integer),
    ("storage", "engine", Kind::Text),
    ("storage", "cache_mb", Kind::Size),
    ("storage", "min_free_mb", Kind::Integer),
    ("storage", "prune", Kind::Integer),
    ("storage", "prune_days", Kind::Integer),
    ("storage", "snapshots", Kind::Integer),
    ("storage", "snapshot_every_epochs", Kind::Integer),
    ("sync", "from", Kind::Text),
    ("sync", "checkpoint", Kind::Text),
    ("sync", "trust_peers", Kind::Boolean),
    ("consensus", "vote_interval_ms", Kind::Integer),
    ("mempool", "max_transactions", Kind::Integer),
    ("mempool", "max_bytes", Kind::Integer),
    ("mempool", "expiry_s", Kind::Integer),
    ("masternode", "enabled", Kind::Boolean),
    ("masternode", "operator_key", Kind::Path),
    ("metrics", "enabled", Kind::Boolean),
    ("metrics", "listen_address", Kind::Text),
    ("logging", "level", Kind::Text),
    ("logging", "format", Kind::Text),
    ("logging", "file", Kind::Path),
    ("logging", "max_file_mb", Kind::Integer),
    ("logging", "max_old_files", Kind::Integer),
];

/// Keys that people look for here, and what to do instead.
const INSTEAD: [(&str, &str, &str); 3] = [
    (
        "masternode",
        "payout",
        "where rewards go is kept by the chain: `timed masternode register --payout ADDRESS` sets it, `timed masternode update --payout ADDRESS` changes it",
    ),
    (
        "consensus",
        "timeout_commit_ms",
        "blocks are spaced by block_interval_ms, a parameter of the chain in [parameters] of the genesis document",
    ),
    ("mempool", "expiry", "set mempool.expiry_s, in seconds"),
];

/// The key on which the defaults of others depend.
const NETWORK: (&str, &str) = ("node", "network");
/// The key whose value is not for everybody's eyes: users with the hashes of their passwords.
const SECRET: (&str, &str) = ("rpc", "users");

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// In the file.
    File {
        /// Which file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// In the environment.
    Environment {
        /// The variable.
        variable: String,
    },
    /// On the command line, or by the command itself.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::Flag => f.write_str("command line"),
        }
    }
}

/// What a configuration is made of.
#[derive(Clone, Debug, Default)]
pub struct ConfigSources {
    /// The file, if any.
    pub file: Option<PathBuf>,
    /// Environment variables; those that don't start with `TIMED_` are passed over.
    pub environment: Vec<(String, String)>,
    /// `section.key` and its value as text, from the command line; lists are separated by commas.
    pub flags: Vec<(String, String)>,
}

impl ConfigSources {
    /// A file with the process' environment.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        };
        Self { file, environment: std::env::vars_os().filter_map(text).collect(), flags: Vec::new() }
    }
}

/// One value that was set somewhere.
struct Setting {
    section: &'static str,
    key: &'static str,
    value: Value,
    origin: Origin,
}

/// One value as a node has it, with where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    /// The section.
    pub section: &'static str,
    /// The key in it.
    pub key: &'static str,
    /// The value; none where nothing is set and there is no default.
    pub value: Option<Value>,
    /// Where it was given.
    pub origin: Origin,
}

impl Effective {
    /// The value without what is secret in it: of a user the name is left.
    #[must_use]
    pub fn shown(&self) -> Option<Value> {
        let name = |user: &Value| {
            let name = user.as_str().and_then(|user| user.split_once(':')).map_or("", |(name, _)| name);
            Value::String(format!("{name}:..."))
        };
        match &self.value {
            Some(Value::Array(users)) if (self.section, self.key) == SECRET => {
                Some(Value::Array(users.iter().map(name).collect()))
            }
            value => value.clone(),
        }
    }
}

/// All that can be said of a configuration.
#[derive(Debug)]
pub struct Examined {
    /// What a node would run with; none while anything is wrong.
    pub config: Option<Config>,
    /// All that is wrong, in the order in which it was found.
    pub problems: Vec<ConfigError>,
    /// The value of each key, those that are wrong left out. Secrets are in it as they were given.
    pub values: Vec<Effective>,
}

/// What was given, and what of it can't be understood.
#[derive(Default)]
struct Given {
    settings: Vec<Setting>,
    problems: Vec<ConfigError>,
}

impl Given {
    fn add(&mut self, setting: Result<Setting, ConfigError>) {
        match setting {
            Ok(setting) => self.settings.push(setting),
            Err(problem) => self.problems.push(problem),
        }
    }
}

impl Config {
    /// Merges the sources and checks the result.
    ///
    /// # Errors
    /// The first thing that is wrong, with where it was given.
    pub fn load(sources: &ConfigSources) -> Result<Self, ConfigError> {
        let Examined { config, problems, .. } = Self::examine(sources);
        match (config, problems.into_iter().next()) {
            (Some(config), None) => Ok(config),
            (_, Some(problem)) => Err(problem),
            (None, None) => Err(whole("it can't be merged".to_owned())),
        }
    }

    /// Merges the sources, and says of each value where it comes from, and all that is wrong.
    #[must_use]
    pub fn examine(sources: &ConfigSources) -> Examined {
        let mut given = Given::default();
        let mut directory = PathBuf::new();
        if let Some(path) = &sources.file {
            if let Err(problem) = read_file(path, &mut given) {
                given.problems.push(problem);
            }
            directory = path.parent().map(Path::to_owned).unwrap_or_default();
        }
        let mut variables: Vec<_> =
            sources.environment.iter().filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX)).collect();
        variables.sort();
        for (variable, text) in variables {
            given.add(from_environment(variable, text));
        }
        let directory = absolute(&directory);
        resolve_paths(&mut given.settings, &directory);
        let from_flags = given.settings.len();
        for (name, text) in &sources.flags {
            given.add(from_flag(name, text));
        }
        if let Some(flags) = given.settings.get_mut(from_flags..) {
            resolve_paths(flags, &absolute(Path::new("")));
        }
        merge(given, &directory)
    }
}

/// Made absolute by the working directory; where that is unknown, as it is.
fn absolute(directory: &Path) -> PathBuf {
    std::env::current_dir().map_or_else(|_| directory.to_owned(), |current| current.join(directory))
}

fn merge(given: Given, directory: &Path) -> Examined {
    let Given { settings, mut problems } = given;
    let network = match settings.iter().rev().find(|s| (s.section, s.key) == NETWORK) {
        None => Network::Mainnet,
        // If it is none, that is found below, where each value is tried.
        Some(setting) => {
            setting.value.as_str().and_then(|text| text.parse().ok()).unwrap_or(Network::Mainnet)
        }
    };
    let defaults = Config::of_network(network);
    let mut origins = BTreeMap::new();
    let merged = table_of(&defaults).and_then(|defaults| {
        let mut merged = defaults.clone();
        for setting in settings {
            // Each value is tried alone first, so that an error names its own place.
            let mut alone = defaults.clone();
            insert(&mut alone, &setting);
            match alone.try_into::<Config>() {
                Ok(_) => {
                    insert(&mut merged, &setting);
                    origins.insert(format!("{}.{}", setting.section, setting.key), setting.origin);
                }
                Err(error) => problems.push(bad_value(&setting, error.message().trim().to_owned())),
            }
        }
        merged.try_into::<Config>().map_err(|error| whole(error.message().to_owned()))
    });
    let mut config = match merged {
        Ok(config) => config,
        Err(problem) => {
            problems.push(problem);
            return Examined { config: None, problems, values: Vec::new() };
        }
    };
    let origin_of = |key: &str| origins.get(key).cloned().unwrap_or(Origin::Default);
    problems.extend(config.problems().into_iter().map(|(key, problem)| ConfigError::BadValue {
        origin: origin_of(key),
        key: key.to_owned(),
        problem,
    }));
    config.node.data_dir = directory.join(&config.node.data_dir);
    let table = table_of(&config).unwrap_or_default();
    let values = KEYS.iter().map(|(section, key, _)| Effective {
        section,
        key,
        value: table.get(*section).and_then(|section| section.get(key)).cloned(),
        origin: origin_of(&format!("{section}.{key}")),
    });
    let values = values.collect();
    Examined { config: problems.is_empty().then_some(config), problems, values }
}

/// What is wrong with no single value.
fn whole(problem: String) -> ConfigError {
    ConfigError::BadValue { origin: Origin::Default, key: "configuration".to_owned(), problem }
}

fn bad_value(setting: &Setting, problem: String) -> ConfigError {
    let (section, name) = (setting.section, setting.key);
    let key = format!("{section}.{name}");
    let text = setting.value.as_str().filter(|_| (section, name) == NETWORK);
    let problem = match text.map(str::parse::<Network>) {
        // Whoever misses the form may have written a password.
        _ if (section, name) == SECRET => "expected a list of users, name:salt$hash each".to_owned(),
        Some(Err(no_network)) => no_network,
        _ => problem,
    };
    ConfigError::BadValue { origin: setting.origin.clone(), key, problem }
}

fn table_of(config: &Config) -> Result<Table, ConfigError> {
    Table::try_from(config).map_err(|error| whole(error.to_string()))
}

fn insert(table: &mut Table, setting: &Setting) {
    let section = table.entry(setting.section).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(section) = section {
        section.insert(setting.key.to_owned(), setting.value.clone());
    }
}

fn resolve_paths(settings: &mut [Setting], directory: &Path) {
    for setting in settings {
        let is_path = KEYS.contains(&(setting.section, setting.key, Kind::Path));
        if let (true, Value::String(text)) = (is_path, &mut setting.value)
            && !text.is_empty()
        {
            *text = directory.join(&*text).to_string_lossy().into_owned();
        }
    }
}

fn read_file(path: &Path, given: &mut Given) -> Result<(), ConfigError> {
    let read_error = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(read_error)?;
    file.take(CONFIG_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(read_error)?;
    if text.len() as u64 > CONFIG_FILE_BYTES_MAX {
        return Err(read_error(std::io::Error::other("it is larger than 1 MiB")));
    }
    settings_of_toml(path, &text, given)
}

fn settings_of_toml(path: &Path, text: &str, given: &mut Given) -> Result<(), ConfigError> {
    let syntax = |error: toml::de::Error| ConfigError::Syntax {
        path: path.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    };
    // Parsed twice: once for the values, once for the lines they are on.
    let values: Table = toml::from_str(text).map_err(syntax)?;
    let spans = DeTable::parse(text).map_err(syntax)?;
    let origin_at = |offset: usize| {
        let line = text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        Origin::File { path: path.to_owned(), line }
    };
    for (section_name, section) in spans.get_ref() {
        let origin = origin_at(section_name.span().start);
        let section_name: &str = section_name.get_ref();
        if let Err(unknown) = check_section(section_name, &origin) {
            given.problems.push(unknown);
            continue;
        }
        let Some(keys) = section.get_ref().as_table() else {
            let problem = format!("is a section; write [{section_name}] and its keys below");
            given.add(Err(ConfigError::BadValue { origin, key: section_name.to_owned(), problem }));
            continue;
        };
        for name in keys.keys() {
            let origin = origin_at(name.span().start);
            match known_key(section_name, name.get_ref(), &origin) {
                Err(unknown) => given.problems.push(unknown),
                Ok((section, key, _)) => {
                    let value = values.get(section).and_then(|section| section.get(key));
                    let setting = value.map(|value| Setting { section, key, value: value.clone(), origin });
                    given.settings.extend(setting);
                }
            }
        }
    }
    Ok(())
}

fn from_environment(variable: &str, text: &str) -> Result<Setting, ConfigError> {
    let origin = Origin::Environment { variable: variable.to_owned() };
    let name = variable.strip_prefix(ENVIRONMENT_PREFIX).unwrap_or(variable).to_lowercase();
    let Some((section, key)) = name.split_once("__") else {
        let known = KEYS.map(|(section, key, _)| format!("{section}__{key}"));
        let hint = suggestion(&name, known.iter().map(String::as_str))
            .map(|known| format!("did you mean {ENVIRONMENT_PREFIX}{}?", known.to_uppercase()))
            .unwrap_or_else(|| format!("variables are named {ENVIRONMENT_PREFIX}SECTION__KEY"));
        return Err(ConfigError::UnknownKey { origin, key: variable.to_owned(), hint });
    };
    setting_of_text(section, key, text, origin)
}

fn from_flag(name: &str, text: &str) -> Result<Setting, ConfigError> {
    let (section, key) = name.split_once('.').unwrap_or((name, ""));
    setting_of_text(section, key, text, Origin::Flag)
}

fn setting_of_text(section: &str, key: &str, text: &str, origin: Origin) -> Result<Setting, ConfigError> {
    check_section(section, &origin)?;
    let (section, key, kind) = known_key(section, key, &origin)?;
    let value = match kind {
        Kind::Text | Kind::Path => Ok(Value::String(text.to_owned())),
        Kind::Integer => text.parse().map(Value::Integer).map_err(|_| "expected an integer"),
        Kind::Size if text == "auto" => Ok(Value::String(text.to_owned())),
        Kind::Size => text.parse().map(Value::Integer).map_err(|_| "expected an integer or \"auto\""),
        Kind::Boolean => text.parse().map(Value::Boolean).map_err(|_| "expected true or false"),
        Kind::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
    };
    let value = value.map_err(|expected| ConfigError::BadValue {
        origin: origin.clone(),
        key: format!("{section}.{key}"),
        problem: format!("{expected}, not {text:?}"),
    })?;
    Ok(Setting { section, key, value, origin })
}

fn check_section(name: &str, origin: &Origin) -> Result<(), ConfigError> {
    let sections = || {
        let mut names = KEYS.map(|(section, ..)| section).to_vec();
        names.dedup();
        names
    };
    if KEYS.iter().any(|(section, ..)| *section == name) {
        return Ok(());
    }
    // A key at the wrong place is likelier than a section of a similar name.
    let elsewhere = KEYS.iter().find(|(_, key, _)| *key == name);
    let hint = match elsewhere {
        Some((section, key, _)) => format!("did you mean {section}.{key}?"),
        None => match suggestion(name, sections().into_iter()) {
            Some(section) => format!("did you mean [{section}]?"),
            None => format!("sections are {}", sections().join(", ")),
        },
    };
    Err(ConfigError::UnknownKey { origin: origin.clone(), key: format!("[{name}]"), hint })
}

fn known_key(
    section: &str,
    key: &str,
    origin: &Origin,
) -> Result<(&'static str, &'static str, Kind), ConfigError> {
    if let Some(known) = KEYS.iter().find(|known| (known.0, known.1) == (section, key)) {
        return Ok(*known);
    }
    let unknown =
        |hint| ConfigError::UnknownKey { origin: origin.clone(), key: format!("{section}.{key}"), hint };
    let instead = INSTEAD.iter().find(|known| (known.0, known.1) == (section, key));
    if let Some(hint) = instead.map(|(.., hint)| (*hint).to_owned()).or_else(|| parameter_hint(key)) {
        return Err(unknown(hint));
    }
    let here = || KEYS.iter().filter(|known| known.0 == section).map(|known| known.1);
    let near = suggestion(key, here()).map(|near| format!("{section}.{near}"));
    let elsewhere = KEYS.iter().find(|known| known.1 == key).map(|known| format!("{}.{key}", known.0));
    let hint = match near.or(elsewhere) {
        Some(known) => format!("did you mean {known}?"),
        None => format!("keys of [{section}] are {}", here().collect::<Vec<_>>().join(", ")),
    };
    Err(unknown(hint))
}

/// What to say of a key that no node sets for itself, since all nodes of a chain have to agree on it.
fn parameter_hint(key: &str) -> Option<String> {
    let parameters = Table::try_from(ChainParameters::of_network(Network::Mainnet)).ok()?;
    // Timeouts have a table of their own there, with `base_ms` and `step_ms`.
    let bare =
        ["_delta_ms", "_step_ms", "_base_ms", "_ms"].iter().find_map(|ending| key.strip_suffix(ending));
    let name = [Some(key), bare].into_iter().flatten().find(|name| parameters.contains_key(*name))?;
    Some(format!(
        "{name} is a parameter of the chain, the same for all its nodes: it stands in [parameters] of the genesis document, and another value makes another chain"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list of keys and the types name the same ones, with values of the stated kinds.
    #[test]
    fn the_list_of_keys_is_that_of_the_types() {
        let mut config = Config::of_network(Network::Devnet);
        config.node.genesis = Some("x".into());
        config.network.external_address = Some("x".into());
        config.masternode.operator_key = Some("x".into());
        config.logging.file = Some("x".into());
        let block_hash = crate::types::BlockHash::ZERO;
        config.sync.checkpoint = Some(crate::types::Checkpoint { height: 1, block_hash });
        let table = table_of(&config).unwrap();
        let mut of_types = Vec::new();
        for (section, keys) in &table {
            for (key, value) in keys.as_table().unwrap() {
                of_types.push((section.as_str(), key.as_str(), value.type_str()));
            }
        }
        let mut listed: Vec<_> = KEYS
            .iter()
            .map(|(section, key, kind)| {
                let type_name = match kind {
                    Kind::Text | Kind::Path | Kind::Size => "string",
                    Kind::Integer => "integer",
                    Kind::Boolean => "boolean",
                    Kind::List => "array",
                };
                (*section, *key, type_name)
            })
            .collect();
        of_types.sort_unstable();
        listed.sort_unstable();
        assert_eq!(of_types, listed);
    }
}
