//! `timed generate`: what an operator deploys with, made from the running version.
//!
//! # Place
//! Each kind has a file; what it makes goes to standard output, so that it can be looked at before it is put in its place.
//! Names of metrics come from [`crate::runtime::metric_names`], ports from the network's defaults, commands and flags from
//! the command line itself: nothing here can go its own way.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `systemd.rs`, `container.rs` | what a service or a container may do |
//! | `dashboard.rs`, `alerts.rs` | what is shown, and when somebody is woken |
//! | `rpcauth.rs` | what is kept of a password |
//! | `shell.rs` | nothing: completions and manual pages are the command line's |

mod alerts;
mod container;
mod dashboard;
mod rpcauth;
mod shell;
mod systemd;

use super::{CliError, output};

/// Arguments of `timed generate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// A hardened unit for systemd, with readiness and a watchdog.
    Systemd(systemd::Args),
    /// A Dockerfile that builds this version from its source and runs it.
    Dockerfile,
    /// A file for `docker compose`: a node, and Prometheus if it is asked for.
    Compose(container::ComposeArgs),
    /// A dashboard for Grafana, as JSON, with every metric of the node.
    Grafana,
    /// Alert rules for Prometheus, as YAML.
    Alerts(alerts::Args),
    /// Completions for a shell.
    Completions(shell::CompletionsArgs),
    /// Manual pages: timed(1), or all of them into a directory.
    Man(shell::ManArgs),
    /// All RPC methods as an OpenRPC document, with the shapes of their answers.
    Openrpc,
    /// A line for `[rpc] users`: a user with the hash of a password, and a role.
    Rpcauth(rpcauth::Args),
}

/// The first line of each file.
fn made_by(what: &str) -> String {
    format!("# Made by `timed generate {what}` of timed {}.", env!("CARGO_PKG_VERSION"))
}

/// Runs `timed generate`.
///
/// # Errors
/// When a flag can't be used, or what was made can't be written.
pub fn run(args: &Args, command_line: clap::Command) -> Result<(), CliError> {
    let text = match &args.command {
        Command::Systemd(args) => systemd::unit(args)?,
        Command::Dockerfile => container::dockerfile(),
        Command::Compose(args) => container::compose(args),
        Command::Grafana => format!("{:#}", dashboard::dashboard()),
        Command::Alerts(args) => alerts::rules(args),
        Command::Completions(args) => shell::completions(args, command_line)?,
        Command::Man(args) => match shell::man(args, command_line)? {
            Some(page) => page,
            None => return Ok(()),
        },
        Command::Openrpc => format!("{:#}", crate::rpc::methods::openrpc(None)),
        Command::Rpcauth(args) => rpcauth::line(args)?,
    };
    output::line(text.trim_end())
}
