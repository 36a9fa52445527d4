//! `timed masternode`: registers masternodes, changes them, lets them leave, and says where they stand.
//!
//! # Place
//! [`register`] and [`change`] open the keystore and build by `wallet/`; [`sent`] submits, waits and tells what became of
//! it; [`show`] only asks; [`operator_key`] reads or makes the key that votes. [`reach`] says whether a change would put too much weight behind nodes that are down.

use clap::Subcommand;

use super::CliError;
use super::rpc_client::{ConnectionArgs, RpcClient, RpcCommandError};
use super::wallet::OwnerArgs;
use crate::rpc::types::MasternodeInfo;

mod change;
mod operator_key;
mod reach;
mod register;
mod sent;
mod show;

/// Fewest digits of an id that stand for it.
const PREFIX_DIGITS_MIN: usize = 8;

/// Flags of `timed masternode`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: MasternodeCommand,
}

#[derive(Debug, Subcommand)]
enum MasternodeCommand {
    /// Bind collateral for a new masternode; --dry-run says what is missing.
    Register(Box<register::RegisterArgs>),
    /// Change operator key, payout or address; it takes effect with the next epoch.
    Update(change::UpdateArgs),
    /// Ask that a masternode leaves the set; its collateral is free after the unbonding time.
    Exit(change::ExitArgs),
    /// Say that a masternode that was jailed for absence is up again.
    Unjail(change::UnjailArgs),
    /// List all masternodes.
    List(show::ListArgs),
    /// Say where a masternode stands.
    Status(show::StatusArgs),
}

/// Who pays and signs, by which node, and what is told.
#[derive(Debug, clap::Args)]
struct SpendArgs {
    #[command(flatten)]
    owner: OwnerArgs,
    /// Which node.
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Wait until it is final and in a block, and tell whether it took effect.
    #[arg(long)]
    wait: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `timed masternode`.
///
/// # Errors
/// When the node can't be reached or refuses, or what is asked for can't be done.
pub async fn run(args: Args) -> Result<(), CliError> {
    match args.command {
        MasternodeCommand::Register(args) => register::run(&args).await,
        MasternodeCommand::Update(args) => change::update(&args).await,
        MasternodeCommand::Exit(args) => change::exit(&args).await,
        MasternodeCommand::Unjail(args) => change::unjail(&args).await,
        MasternodeCommand::List(args) => Ok(show::list(&args).await?),
        MasternodeCommand::Status(args) => Ok(show::status(&args).await?),
    }
}

async fn all(client: &RpcClient) -> Result<Vec<MasternodeInfo>, RpcCommandError> {
    client.call("masternodelist", &[]).await
}

fn failed(message: impl Into<String>) -> RpcCommandError {
    RpcCommandError::Failed(message.into())
}

/// The masternode whose id begins with these digits.
fn find<'a>(masternodes: &'a [MasternodeInfo], digits: &str) -> Result<&'a MasternodeInfo, RpcCommandError> {
    let digits = digits.to_ascii_lowercase();
    if digits.len() < PREFIX_DIGITS_MIN || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(failed(format!(
            "{digits:?} is no id of a masternode, which has 64 hexadecimal digits; the first {PREFIX_DIGITS_MIN} suffice"
        )));
    }
    let mut found = masternodes.iter().filter(|masternode| masternode.id.to_string().starts_with(&digits));
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(failed(format!(
            "there is no masternode {digits}; `timed masternode list` names all (one that left is forgotten when its collateral is free)"
        ))),
        (Some(_), Some(_)) => Err(failed(format!("{digits} begins several ids; give more digits"))),
    }
}

/// The masternode that is named, or the only one that fits; `who` says whose it is then.
fn find_or_only<'a>(
    masternodes: &'a [MasternodeInfo],
    id: Option<&str>,
    who: &str,
    fits: impl Fn(&MasternodeInfo) -> bool,
) -> Result<&'a MasternodeInfo, RpcCommandError> {
    if let Some(digits) = id {
        return find(masternodes, digits);
    }
    let fitting: Vec<&MasternodeInfo> = masternodes.iter().filter(|masternode| fits(masternode)).collect();
    match fitting.as_slice() {
        [only] => Ok(only),
        [] => Err(failed(format!(
            "{who} has no masternode; `timed masternode list` names all, give the id of one"
        ))),
        several => {
            let ids: Vec<String> = several.iter().map(|masternode| masternode.id.to_string()).collect();
            Err(failed(format!(
                "{who} has {} masternodes; give the id of one: {}",
                ids.len(),
                ids.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests;
