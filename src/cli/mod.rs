//! The commands of the binary, one file each.
//!
//! # Place
//! Floor 11. Each file holds a command's flags (`Args`) and a function `run`; [`Command`] lists them. Answers go to
//! standard output through [`output`], errors to standard error, and the exit code says which kind it was.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `run.rs`, `init.rs`, `config.rs`, `db.rs`, `votes.rs`, `genesis.rs`, `generate.rs`, `doctor.rs` | commands of an operator |
//! | `wallet.rs`, `tx.rs`, `receipt.rs`, `explain.rs`, `verify_proof.rs`, `verify_receipt.rs` | of whoever pays or is paid |
//! | `masternode.rs` | of an owner |
//! | `status.rs`, [`top`], `rpc.rs` | of whoever looks |
//! | `devnet.rs`, `load.rs` | of whoever tries it out |
//! | `error.rs` | the exit code of each failure |
//! | `output.rs`, `progress.rs` | what is printed, and where |
//! | `rpc_client.rs`, `wallet_rpc.rs`, `genesis_source.rs`, `offline.rs` | which node, coins and genesis document a command means |
//! | `named_files.rs` | which files of a configuration keep a node from starting |
//! | `password.rs`, `confirm.rs`, `new_file.rs`, `duration.rs` | what a person types; files that are never overwritten |
//!
//! # To add a command
//! | touch | a forgotten one is found by |
//! |---|---|
//! | its file with `Args` and `run`, a variant of [`Command`] with a sentence | the compiler, and the tests below for the sentence |
//! | the README's table | `every_command_is_in_the_readme` |
//! | an error with its exit code in `error.rs` | the compiler |
//! | completions and manual page | nothing to do: they are made of the command line |

use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{CommandFactory as _, Parser, Subcommand};

pub mod config;
mod confirm;
pub mod db;
pub mod devnet;
pub mod doctor;
mod duration;
mod error;
pub mod explain;
pub mod generate;
pub mod genesis;
mod genesis_source;
pub mod init;
pub mod load;
pub mod masternode;
mod named_files;
mod new_file;
mod offline;
pub mod output;
pub mod password;
mod progress;
pub mod receipt;
pub mod rpc;
pub mod rpc_client;
pub mod run;
pub mod status;
pub mod top;
pub mod tx;
pub mod verify_proof;
pub mod verify_receipt;
pub mod votes;
pub mod wallet;
pub mod wallet_rpc;

pub use error::{CliError, ExitKind};

use crate::app::networks::devnet_account_keys;
use crate::network::VersionRange;
use crate::protocol::finality_proof::FINALITY_PROOF_VERSION;
use crate::storage::{INDEX_FORMAT_VERSION, SEGMENT_FORMAT_VERSION};
use crate::types::RuleVersion;

/// The version, and the commit that it was built from where that is known.
pub const VERSION: &str = env!("BUILD_VERSION");

/// What `timed --version` says beside the version: which versions of everything that others have to agree with.
static VERSIONS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{VERSION}\nrules {}, protocol {}, block log and vote journal {SEGMENT_FORMAT_VERSION}, index {INDEX_FORMAT_VERSION}, \
         finality proof {FINALITY_PROOF_VERSION}",
        RuleVersion::NEWEST,
        VersionRange::SPOKEN,
    )
});

fn versions() -> &'static str {
    &VERSIONS
}

/// TIME Coin: payments final in milliseconds by masternode votes, archived in BFT blocks.
#[derive(Debug, Parser)]
#[command(name = "timed", version = VERSION, long_version = versions(), propagate_version = true, arg_required_else_help = true)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Without a command: run a node.
    #[command(flatten)]
    run: run::Args,
}

/// What the binary does.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node; the same as no command at all.
    Run(run::Args),
    /// Run a whole network on this machine.
    Devnet(devnet::Args),
    /// Write a commented config.toml and keys for a new node.
    Init(init::Args),
    /// Check a configuration, or show each value and where it comes from.
    Config(config::Args),
    /// Make what a node is deployed with: units, containers, dashboards, completions, users.
    Generate(generate::Args),
    /// Make, check and inspect genesis documents.
    Genesis(genesis::Args),
    /// Make and use a wallet.
    Wallet(wallet::Args),
    /// Make, sign, combine and send payments by files; signing needs no node and no network.
    Tx(tx::Args),
    /// Register masternodes, change them, let them leave, and say where they stand.
    Masternode(masternode::Args),
    /// Make, export and import the journal that keeps an operator key from contradicting itself.
    Votes(votes::Args),
    /// Check, repair, shrink, back up and restore a data directory.
    Db(db::Args),
    /// Say what a node is doing.
    Status(status::Args),
    /// Watch a node: a live dashboard in the terminal.
    Top(top::Args),
    /// Say why a node isn't syncing, voting or seeing blocks, each with the next step.
    Doctor(doctor::Args),
    /// Say what a payment waits for: who voted, who did not, what it conflicts with.
    Explain(explain::Args),
    /// Call any RPC method.
    Rpc(rpc::Args),
    /// Check a finality proof without a node.
    VerifyProof(verify_proof::Args),
    /// Write a receipt of a final payment: who got how much, and the proof.
    Receipt(receipt::Args),
    /// Check a receipt without a node.
    VerifyReceipt(verify_receipt::Args),
    /// Make payments on a devnet at a steady rate, and measure how long they take to be final.
    Load(load::Args),
}

impl Command {
    async fn run(self) -> Result<(), CliError> {
        match self {
            Self::Run(args) => run::run(args).await,
            Self::Devnet(args) => devnet::run(args).await,
            Self::Init(args) => init::run(&args).await,
            Self::Config(args) => config::run(&args),
            Self::Generate(args) => generate::run(&args, Cli::command()),
            Self::Genesis(args) => genesis::run(&args),
            Self::Wallet(args) => wallet::run(args).await,
            Self::Tx(args) => tx::run(args).await,
            Self::Masternode(args) => masternode::run(args).await,
            Self::Votes(args) => votes::run(&args).await,
            Self::Db(args) => db::run(args).await,
            Self::Status(args) => Ok(status::run(args).await?),
            Self::Top(args) => top::run(args).await,
            Self::Doctor(args) => doctor::run(args).await,
            Self::Explain(args) => Ok(explain::run(args).await?),
            Self::Rpc(args) => Ok(rpc::run(args).await?),
            Self::VerifyProof(args) => verify_proof::run(&args),
            Self::Receipt(args) => Ok(receipt::run(args).await?),
            Self::VerifyReceipt(args) => verify_receipt::run(&args),
            Self::Load(args) => Ok(load::run(args, devnet_account_keys()).await?),
        }
    }
}

/// Parses the command line, runs the command and returns the process' exit code.
#[must_use]
pub fn main() -> ExitCode {
    // A wrong command line ends here, with exit code 2.
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(cli.command.unwrap_or(Command::Run(cli.run)).run());
            // What was to end has ended or is named in the outcome; a thread that hangs must not hold the process.
            runtime.shutdown_background();
            outcome
        }
        Err(source) => Err(CliError::Runtime(source)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::from(error.kind().code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// What neither `--help` nor the man page explains: both are made of these texts.
    fn unexplained(command: &clap::Command, path: &str) -> Vec<String> {
        let says_something =
            |text: Option<String>| text.is_some_and(|text| text.split_whitespace().count() > 1);
        let text = |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string);
        let mut found = Vec::new();
        if !says_something(text(command.get_about())) {
            found.push(path.to_owned());
        }
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            if !says_something(text(argument.get_help())) {
                found.push(format!("{path} {}", argument.get_id()));
            }
        }
        for below in command.get_subcommands() {
            found.extend(unexplained(below, &format!("{path} {}", below.get_name())));
        }
        found
    }

    #[test]
    fn every_command_and_every_flag_has_a_sentence_in_help_and_man_page() {
        let silent = clap::Command::new("timed").about("a network of one").subcommand(
            clap::Command::new("run").about("run").arg(clap::Arg::new("fast").help("how fast it is")),
        );
        let silent = silent.arg(clap::Arg::new("slow"));
        assert_eq!(unexplained(&silent, "timed"), ["timed slow", "timed run"]);
        assert_eq!(unexplained(&Cli::command(), "timed"), [""; 0]);
    }

    /// A command's line of the README's table names all that it is made of.
    #[test]
    fn every_command_is_in_the_readme() {
        let readme = include_str!("../../README.md");
        let rows = |name: &str| -> Vec<&str> {
            let starts = [" ", "`"].map(|end| format!("| `timed {name}{end}"));
            readme.lines().filter(|line| starts.iter().any(|start| line.starts_with(start))).collect()
        };
        let mut missing = Vec::new();
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            // Those that check what others make stand in the lines of those.
            if rows(name).is_empty() && !readme.contains(&format!(", `{name} ")) {
                missing.push(name.to_owned());
            }
            for below in command.get_subcommands() {
                let named = |row: &&str| {
                    let words =
                        |start: &str| [" ", "`"].map(|end| format!("{start}{}{end}", below.get_name()));
                    let all = [words("`"), words(&format!("`timed {name} "))].concat();
                    all.iter().any(|word| row.contains(word.as_str()))
                };
                if !rows(name).iter().any(named) {
                    missing.push(format!("{name} {}", below.get_name()));
                }
            }
        }
        assert_eq!(missing, [""; 0]);
    }
}
