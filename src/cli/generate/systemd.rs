//! A unit for systemd.

use std::path::{Path, PathBuf};

use super::made_by;
use crate::cli::CliError;

/// Where systemd keeps what `StateDirectory=` names.
const STATE: &str = "/var/lib";
/// Without a turn of consensus for so long the service manager restarts the node.
const WATCHDOG_S: u32 = 60;
/// A stop takes 10 s at most by itself.
const STOP_S: u32 = 20;
/// Connections of peers and callers, files of the index and of the logs, many times over.
const OPEN_FILES: u32 = 65_536;

/// Arguments of `timed generate systemd`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The node's configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/timed/config.toml")]
    config: PathBuf,
    /// The data directory; it wins over the one in the configuration file.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/timed")]
    data_dir: PathBuf,
    /// The user that the node runs as.
    #[arg(long, value_name = "NAME", default_value = "timed")]
    user: String,
    /// The binary; without it the one that runs now.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// A path as a unit takes it.
fn path_text(flag: &str, path: &Path) -> Result<String, CliError> {
    let text = path.to_str().filter(|text| text.starts_with('/'));
    // What has a meaning in units: specifiers, variables, quotes, and what ends a word.
    let is_plain = |text: &&str| text.chars().all(|c| c.is_alphanumeric() || "/._-+@".contains(c));
    text.filter(is_plain).map(str::to_owned).ok_or_else(|| {
        let path = path.display();
        CliError::Usage(format!("{flag} {path}: a unit needs an absolute path of letters, digits and /._-+@"))
    })
}

/// The unit's text.
///
/// # Errors
/// When a path or the user can't stand in a unit.
pub(super) fn unit(args: &Args) -> Result<String, CliError> {
    let running = std::env::current_exe();
    let binary = match (&args.binary, running) {
        (Some(binary), _) => path_text("--binary", binary)?,
        (None, Ok(running)) => path_text("--binary", &running)?,
        (None, Err(source)) => {
            return Err(CliError::Io { path: "the running program".into(), source });
        }
    };
    let (config, data_dir) = (path_text("--config", &args.config)?, path_text("--data-dir", &args.data_dir)?);
    let user = &args.user;
    if user.is_empty() || !user.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
        return Err(CliError::Usage(format!("--user {user}: a name has letters, digits, _ and -")));
    }
    // Below /var/lib systemd makes the directory and gives it to the user.
    let state = match args.data_dir.strip_prefix(STATE) {
        Ok(below) if below != Path::new("") => {
            format!("StateDirectory={}\nStateDirectoryMode=0700", below.display())
        }
        _ => format!("ReadWritePaths={data_dir}"),
    };
    let made_by = made_by("systemd");
    Ok(format!(
        r#"{made_by}
# Install: as /etc/systemd/system/timed.service, then `systemctl daemon-reload` and `systemctl enable --now timed`.
# The user: `useradd --system --no-create-home --shell /usr/sbin/nologin {user}`. It has to own the operator key.
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
Environment=TIMED_NODE__DATA_DIR={data_dir}
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
ProtectHome=yes
PrivateTmp=yes
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

    fn args(config: &str, data_dir: &str, user: &str) -> Args {
        let binary = Some("/usr/local/bin/timed".into());
        Args { config: config.into(), data_dir: data_dir.into(), user: user.into(), binary }
    }

    #[test]
    fn the_unit_restarts_what_a_restart_can_mend_and_nothing_else() {
        let text = unit(&args("/etc/timed/config.toml", "/var/lib/timed", "timed")).unwrap();
        let value = |key: &str| {
            let lines: Vec<&str> =
                text.lines().filter_map(|line| line.strip_prefix(&format!("{key}="))).collect();
            assert_eq!(lines.len(), 1, "{key}\n{text}");
            lines[0].to_owned()
        };
        let never = [ExitKind::Usage, ExitKind::DataDirectory, ExitKind::Corrupt];
        let never = never.map(|kind| kind.code().to_string()).join(" ");
        assert_eq!(value("RestartPreventExitStatus"), never);
        assert_eq!(value("Type"), "notify");
        assert_eq!(value("ExecStart"), "/usr/local/bin/timed run --config /etc/timed/config.toml");
        let limit_s: u64 = value("TimeoutStopSec").parse().unwrap();
        assert!(limit_s > crate::runtime::tasks::SHUTDOWN_LIMIT.as_secs(), "a stop has its own limit first");
        assert_eq!((value("StateDirectory"), value("User")), ("timed".to_owned(), "timed".to_owned()));
    }

    #[test]
    fn a_data_directory_elsewhere_can_be_written_to() {
        let text = unit(&args("/etc/timed/config.toml", "/srv/time", "timed")).unwrap();
        assert!(text.contains("\nReadWritePaths=/srv/time\n") && !text.contains("StateDirectory"), "{text}");
        assert!(text.contains("\nEnvironment=TIMED_NODE__DATA_DIR=/srv/time\n"));
    }

    #[test]
    fn what_a_unit_would_read_otherwise_is_refused() {
        for (config, data_dir, user) in [
            ("config.toml", "/var/lib/timed", "timed"),
            ("/etc/%n.toml", "/var/lib/timed", "timed"),
            ("/etc/a b.toml", "/var/lib/timed", "timed"),
            ("/etc/timed.toml", "/var/lib/timed\nExecStartPre=/bin/x", "timed"),
            ("/etc/timed.toml", "/var/lib/timed", "timed\nUser=root"),
            ("/etc/timed.toml", "/var/lib/timed", ""),
        ] {
            let refused = unit(&args(config, data_dir, user)).unwrap_err();
            assert_eq!(refused.kind(), ExitKind::Usage, "{refused}");
        }
    }
}
