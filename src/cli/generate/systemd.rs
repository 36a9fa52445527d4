//! A unit for systemd.
//!
//! The node and every command that is given the same configuration must mean one data directory. So the unit sets no
//! variable that wins over the file: it grants writing to the directory that the file names.

use std::path::{Path, PathBuf};

use super::made_by;
use crate::cli::CliError;
use crate::runtime::{Config, ConfigSources};

/// Where systemd keeps what `StateDirectory=` and `LogsDirectory=` name.
const STATE: &str = "/var/lib";
const LOGS: &str = "/var/log";
/// Without a turn of consensus for so long the service manager restarts the node.
const WATCHDOG_S: u32 = 60;
/// A stop takes 10 s at most by itself.
const STOP_S: u32 = 20;
/// Connections of peers and callers, files of the index and of the logs, many times over.
const OPEN_FILES: u32 = 65_536;

/// Arguments of `timed generate systemd`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The node's configuration file; its data directory is the one that the unit may write to.
    #[arg(long, value_name = "FILE", default_value = "/etc/timed/config.toml")]
    config: PathBuf,
    /// The data directory of a configuration that is not on this machine.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The user that the node runs as.
    #[arg(long, value_name = "NAME", default_value = "timed")]
    user: String,
    /// The binary; without it the one that runs now.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// A path as a unit takes it; a relative one is of the working directory.
fn path_text(flag: &str, path: &Path) -> Result<String, CliError> {
    let absolute = std::path::absolute(path);
    let text = absolute.as_deref().ok().and_then(Path::to_str);
    // What has a meaning in units: specifiers, variables, quotes, and what ends a word.
    let is_plain = |text: &&str| text.chars().all(|c| c.is_alphanumeric() || "/._-+@".contains(c));
    text.filter(is_plain).map(str::to_owned).ok_or_else(|| {
        let path = path.display();
        CliError::Usage(format!("{flag} {path}: a unit needs a path of letters, digits and /._-+@"))
    })
}

/// Directories that the node writes to, and other files that it reads.
struct Written {
    data_dir: PathBuf,
    /// Of the log's file, outside of the data directory.
    log: Option<PathBuf>,
    read: Vec<PathBuf>,
}

impl Written {
    /// As the configuration says, or as the arguments say where there is none.
    fn of(args: &Args) -> Result<Self, CliError> {
        let sources = ConfigSources { file: Some(args.config.clone()), ..ConfigSources::default() };
        let given = args.data_dir.as_deref();
        match (Config::load(&sources), given) {
            (Ok(config), Some(given))
                if std::path::absolute(given).ok().as_ref() != Some(&config.node.data_dir) =>
            {
                let (given, said, file) =
                    (given.display(), config.node.data_dir.display(), args.config.display());
                Err(CliError::Usage(format!(
                    "--data-dir {given}: {file} says [node] data_dir {said}, and the node and its commands go by that; \
                     change it there"
                )))
            }
            (Ok(config), _) => {
                let log = config.logging.file.as_deref().and_then(Path::parent);
                let log = log.filter(|log| !log.starts_with(&config.node.data_dir)).map(Path::to_owned);
                let read = config.node.genesis.into_iter().chain(config.masternode.operator_key).collect();
                Ok(Self { data_dir: config.node.data_dir, log, read })
            }
            (Err(_), Some(given)) if !args.config.exists() => {
                Ok(Self { data_dir: given.to_owned(), log: None, read: Vec::new() })
            }
            (Err(error), _) => Err(CliError::Usage(format!(
                "{error}; make the configuration by `timed init`, name it by --config FILE, or, if it is on another \
                 machine, say by --data-dir which data directory it names"
            ))),
        }
    }
}

/// What lets the unit write to a directory: below systemd's own place it makes the directory and gives it to the user.
fn grant(directory: &str, place: &str, own: &str) -> Result<String, CliError> {
    match Path::new(directory).strip_prefix(place) {
        _ if directory == "/" => Err(CliError::Usage(
            "a unit that may write to / protects nothing: name a directory for it".to_owned(),
        )),
        Ok(below) if below != Path::new("") => Ok(format!("{own}={0}\n{own}Mode=0700", below.display())),
        _ => Ok(format!("ReadWritePaths={directory}")),
    }
}

/// What keeps a unit from others' files, except where its own are among them.
fn protection(paths: &[&str]) -> String {
    let in_any = |places: &[&str]| {
        paths.iter().any(|path| places.iter().any(|place| Path::new(path).starts_with(place)))
    };
    let home = if in_any(&["/home", "/root", "/run/user"]) { "no" } else { "yes" };
    let tmp = if in_any(&["/tmp", "/var/tmp"]) { "no" } else { "yes" };
    format!("ProtectHome={home}\nPrivateTmp={tmp}")
}

/// The unit's text.
///
/// # Errors
/// When the configuration can't be read, or a path or the user can't stand in a unit.
pub(super) fn unit(args: &Args) -> Result<String, CliError> {
    let running = std::env::current_exe();
    let binary = match (&args.binary, running) {
        (Some(binary), _) => path_text("--binary", binary)?,
        (None, Ok(running)) => path_text("--binary", &running)?,
        (None, Err(source)) => {
            return Err(CliError::Io { path: "the running program".into(), source });
        }
    };
    let config = path_text("--config", &args.config)?;
    let written = Written::of(args)?;
    let data_dir = path_text("the data directory", &written.data_dir)?;
    let log = written.log.map(|log| path_text("[logging] file", &log)).transpose()?;
    let user = &args.user;
    if user.is_empty() || !user.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
        return Err(CliError::Usage(format!("--user {user}: a name has letters, digits, _ and -")));
    }
    // Below /var/lib systemd makes the directory and gives it to the user.
    let mut state = grant(&data_dir, STATE, "StateDirectory")?;
    if let Some(log) = &log {
        state.push('\n');
        state.push_str(&grant(log, LOGS, "LogsDirectory")?);
    }
    let read = written.read.iter().filter_map(|path| path.to_str());
    let named = [binary.as_str(), &config, &data_dir].into_iter().chain(log.as_deref()).chain(read);
    let protection = protection(&named.collect::<Vec<_>>());
    let made_by = made_by("systemd");
    Ok(format!(
        r#"{made_by}
# Install: as /etc/systemd/system/timed.service, then `systemctl daemon-reload` and `systemctl enable --now timed`.
# The user: `useradd --system --no-create-home --shell /usr/sbin/nologin {user}`. It has to own what `timed init` made.
# The log goes to the journal: `journalctl -u timed`.

[Unit]
Description=TIME Coin node
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=10min
StartLimitBurst=10

[Service]
# The node says when it serves, and that it is alive only while its consensus makes turns.
Type=notify
NotifyAccess=main
WatchdogSec={WATCHDOG_S}
ExecStart={binary} run --config {config}
# Reopens the log, and reads its level again.
ExecReload=/bin/kill -HUP $MAINPID
User={user}
{state}
UMask=0077

# The block log is read at the start, which takes as long as it takes.
TimeoutStartSec=infinity
TimeoutStopSec={STOP_S}
Restart=on-failure
RestartSec=5
# What a restart does not mend: 2 a wrong configuration, 3 a data directory in use or of another network, 4 damaged data.
RestartPreventExitStatus=2 3 4

LimitNOFILE={OPEN_FILES}
# Consensus and its journal go before the node's other threads.
LimitNICE=-5

# It needs its data directory, sockets and nothing else.
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
{protection}
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged

[Install]
WantedBy=multi-user.target
"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ExitKind;

    /// Of a configuration that is elsewhere.
    fn args(config: &str, data_dir: &str, user: &str) -> Args {
        let binary = Some("/usr/local/bin/timed".into());
        Args { config: config.into(), data_dir: Some(data_dir.into()), user: user.into(), binary }
    }

    fn value(text: &str, key: &str) -> String {
        let lines: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix(&format!("{key}="))).collect();
        assert_eq!(lines.len(), 1, "{key}\n{text}");
        lines[0].to_owned()
    }

    #[test]
    fn the_unit_restarts_what_a_restart_can_mend_and_nothing_else() {
        let text = unit(&args("/nowhere/config.toml", "/var/lib/timed", "timed")).unwrap();
        let never = [ExitKind::Usage, ExitKind::DataDirectory, ExitKind::Corrupt];
        let never = never.map(|kind| kind.code().to_string()).join(" ");
        assert_eq!(value(&text, "RestartPreventExitStatus"), never);
        assert_eq!(value(&text, "Type"), "notify");
        assert_eq!(value(&text, "ExecStart"), "/usr/local/bin/timed run --config /nowhere/config.toml");
        let limit_s: u64 = value(&text, "TimeoutStopSec").parse().unwrap();
        assert!(limit_s > crate::runtime::tasks::SHUTDOWN_LIMIT.as_secs(), "a stop has its own limit first");
        assert_eq!(
            ["StateDirectory", "User", "ProtectHome"].map(|key| value(&text, key)),
            ["timed", "timed", "yes"]
        );
    }

    #[test]
    fn node_and_commands_have_the_data_directory_of_the_configuration() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("config.toml");
        let of = |data_dir: Option<&str>| {
            let (data_dir, user, binary) =
                (data_dir.map(Into::into), "timed".into(), Some("/usr/bin/timed".into()));
            unit(&Args { config: config.clone(), data_dir, user, binary })
        };
        let refused = of(None).unwrap_err();
        assert!(
            refused.kind() == ExitKind::Usage && refused.to_string().contains("`timed init`"),
            "{refused}"
        );
        std::fs::write(
            &config,
            "[node]\ndata_dir = \"/srv/time\"\n[logging]\nfile = \"/var/log/timed/log\"\n",
        )
        .unwrap();
        let text = of(None).unwrap();
        assert_eq!([value(&text, "ReadWritePaths"), value(&text, "LogsDirectory")], ["/srv/time", "timed"]);
        assert!(!text.contains("StateDirectory") && !text.contains("Environment="), "{text}");
        assert_eq!(of(Some("/srv/time")).unwrap(), text);
        let refused = of(Some("/var/lib/timed")).unwrap_err().to_string();
        assert!(refused.contains("/srv/time") && refused.contains("change it there"), "{refused}");
        std::fs::write(&config, "[node]\ndata_dir = \"data\"\n").unwrap();
        let data = home.path().join("data");
        assert_eq!(value(&of(None).unwrap(), "ReadWritePaths"), data.to_str().unwrap());
        std::fs::write(&config, "[node]\ndatadir = 1\n").unwrap();
        assert!(of(Some("/srv/time")).is_err(), "what the node would refuse");
    }

    #[test]
    fn files_in_a_home_directory_can_be_read_and_others_not() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("config.toml");
        let with = |text: &str| {
            std::fs::write(&config, text).unwrap();
            let (user, binary) = ("timed".into(), Some("/bin/t".into()));
            unit(&Args { config: config.clone(), data_dir: None, user, binary })
        };
        for file in [
            "genesis = \"/home/me/g\"",
            "[logging]\nfile = \"/root/log\"",
            "[masternode]\noperator_key = \"/home/k\"",
        ] {
            let text = with(&format!("[node]\ndata_dir = \"/srv/t\"\n{file}\n")).unwrap();
            assert!(text.contains("ProtectHome=no\n"), "{file}: {text}");
        }
        let refused = with("[node]\ndata_dir = \"/srv/t\"\n[logging]\nfile = \"/log\"\n").unwrap_err();
        assert!(refused.to_string().contains("protects nothing"), "{refused}");
        let of =
            |data_dir| value(&unit(&args("/nowhere/config.toml", data_dir, "timed")).unwrap(), "ProtectHome");
        assert_eq!((of("/home/me/node/data"), of("/srv/home/data")), ("no".to_owned(), "yes".to_owned()));
    }

    #[test]
    fn what_a_unit_would_read_otherwise_is_refused() {
        for (config, data_dir, user) in [
            ("/nowhere/%n.toml", "/var/lib/timed", "timed"),
            ("/nowhere/a b.toml", "/var/lib/timed", "timed"),
            ("/nowhere/c.toml", "/var/lib/timed\nExecStartPre=/bin/x", "timed"),
            ("/nowhere/c.toml", "/var/lib/timed", "timed\nUser=root"),
            ("/nowhere/c.toml", "/var/lib/timed", ""),
        ] {
            let refused = unit(&args(config, data_dir, user)).unwrap_err();
            assert_eq!(refused.kind(), ExitKind::Usage, "{refused}");
        }
    }
}
