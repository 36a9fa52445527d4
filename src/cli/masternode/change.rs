//! `timed masternode update`, `exit` and `unjail`.
//!
//! What would be void is refused here, before a fee is paid for it.

use std::path::PathBuf;

use super::super::rpc_client::RpcClient;
use super::super::wallet::Owner;
use super::super::wallet_rpc::Funding;
use super::super::{CliError, output};
use super::operator_key::{OperatorKey, holder_of};
use super::reach::{Danger, Subject, check_address, is_candidate, judge_exit, weights};
use super::sent::{Intent, tell};
use super::{SpendArgs, all, find_or_only};
use crate::rpc::types::{JailReason, MasternodeInfo};
use crate::runtime::key_file::read_key_file;
use crate::runtime::{Config, ConfigSources};
use crate::types::{Address, PublicKey};
use crate::wallet::masternode::{Change, build_exit, build_unjail};

/// Where an operator key is when nothing else is said.
const OPERATOR_KEY_FILE: &str = "operator.key";

/// Flags of `timed masternode update`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(super) struct UpdateArgs {
    /// Which masternode, by its id or the first digits of it; without it the only one that the account owns.
    id: Option<String>,
    /// The file with the key that is to vote; a new key is written there if there is none.
    #[arg(long, value_name = "FILE", group = "change")]
    operator_key: Option<PathBuf>,
    /// Where rewards are to go.
    #[arg(long, value_name = "ADDRESS", group = "change")]
    payout: Option<Address>,
    /// host:port where others reach the masternode's node.
    #[arg(long, value_name = "HOST:PORT", group = "change")]
    address: Option<String>,
    /// Change the address even if a third or more of the weight would be at addresses that can't be reached from this
    /// machine, and the key even if a third or more would be down until its node runs with the new one. If these are down
    /// indeed, the chain stops until they come up.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    spend: SpendArgs,
}

/// Flags of `timed masternode exit`.
#[derive(Debug, clap::Args)]
pub(super) struct ExitArgs {
    /// Which masternode, by its id or the first digits of it; without it the only one that the account owns.
    id: Option<String>,
    /// Leave even if a third or more of the weight that stays can't be reached. If these are down indeed, the chain stops
    /// until they come up.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    spend: SpendArgs,
}

/// Flags of `timed masternode unjail`.
#[derive(Debug, clap::Args)]
pub(super) struct UnjailArgs {
    /// Which masternode, by its id or the first digits of it; without it the one that has the operator key.
    id: Option<String>,
    /// The file with the masternode's operator key, which signs; any account may pay. Without it the one that the
    /// configuration of --config names, else operator.key.
    #[arg(long, value_name = "FILE")]
    operator_key: Option<PathBuf>,
    #[command(flatten)]
    spend: SpendArgs,
}

impl UnjailArgs {
    /// Where the operator key is.
    fn operator_key_path(&self) -> Result<PathBuf, CliError> {
        let configured = |path: &PathBuf| -> Result<Option<PathBuf>, CliError> {
            let config = Config::load(&ConfigSources::of_process(Some(path.clone())))?;
            Ok(config.masternode.operator_key)
        };
        Ok(match (&self.operator_key, &self.spend.connection.config) {
            (Some(named), _) => named.clone(),
            (None, Some(config)) => configured(config)?.unwrap_or_else(|| OPERATOR_KEY_FILE.into()),
            (None, None) => OPERATOR_KEY_FILE.into(),
        })
    }
}

fn refused(problem: String) -> CliError {
    CliError::Failed(format!("nothing was sent: {problem}"))
}

/// That the account may change the masternode.
fn check_owner(masternode: &MasternodeInfo, owner: Address) -> Result<(), String> {
    let id = masternode.id;
    if masternode.state == "unbonding" {
        return Err(format!(
            "masternode {id} has left; `timed masternode status {id}` tells when its collateral is free"
        ));
    }
    if masternode.owner != owner {
        return Err(format!(
            "masternode {id} belongs to {}, and this account is {owner}; name the owner's wallet and account by --wallet and --account",
            masternode.owner
        ));
    }
    Ok(())
}

fn check_exit(masternode: &MasternodeInfo) -> Result<(), String> {
    if masternode.exit_requested {
        let id = masternode.id;
        return Err(format!(
            "masternode {id} has asked to leave already; `timed masternode status {id}` tells more"
        ));
    }
    Ok(())
}

fn check_new_key(masternodes: &[MasternodeInfo], key: &PublicKey) -> Result<(), String> {
    match holder_of(masternodes, key) {
        Some(holder) => Err(format!("the operator key {key} belongs to masternode {} already", holder.id)),
        None => Ok(()),
    }
}

/// That the masternode is jailed for absence, and has this operator key.
fn check_unjail(masternode: &MasternodeInfo, key: &PublicKey) -> Result<(), String> {
    let (id, state) = (masternode.id, masternode.state.as_str());
    match masternode.jailed {
        _ if masternode.slashed || masternode.jailed == Some(JailReason::Evidence) => Err(format!(
            "masternode {id} contradicted itself and is jailed for good; only `timed masternode exit` is left"
        )),
        _ if state == "unbonding" => Err(format!("masternode {id} has left; register a new one")),
        None => Err(format!("masternode {id} is not jailed: it is {state}")),
        Some(_) if masternode.operator_key != *key => Err(format!(
            "{key} is not the operator key of masternode {id}, which is {}; name its file by --operator-key",
            masternode.operator_key
        )),
        Some(_) => Ok(()),
    }
}

/// A masternode and the account that owns it, which signs and pays.
struct Owned {
    owner: Owner,
    client: RpcClient,
    funding: Funding,
    masternodes: Vec<MasternodeInfo>,
    masternode: MasternodeInfo,
}

impl Owned {
    async fn find(spend: &SpendArgs, id: Option<&str>) -> Result<Self, CliError> {
        let owner = spend.owner.open_to_spend()?;
        let client = spend.connection.client()?;
        let funding = Funding::of(&client, &[owner.address]).await?;
        let masternodes = all(&client).await?;
        let is_own = |masternode: &MasternodeInfo| masternode.owner == owner.address;
        let masternode = find_or_only(&masternodes, id, &owner.address.to_string(), is_own)?.clone();
        check_owner(&masternode, owner.address).map_err(refused)?;
        Ok(Self { owner, client, funding, masternodes, masternode })
    }
}

/// Runs `timed masternode update`.
pub(super) async fn update(args: &UpdateArgs) -> Result<(), CliError> {
    let Owned { owner, client, funding, masternodes, masternode } =
        Owned::find(&args.spend, args.id.as_deref()).await?;
    let key = args.operator_key.as_deref().map(OperatorKey::open).transpose()?;
    if let Some(key) = &key {
        check_new_key(&masternodes, &key.public()).map_err(refused)?;
    }
    let tried = match &args.address {
        Some(address) => Some(check_address(address).await),
        None => None,
    };
    let new_key = key.is_some() && is_candidate(&masternode);
    if new_key || tried.is_some() {
        let MasternodeInfo { id, weight, registration, .. } = masternode;
        let (danger, reachable) = match &tried {
            _ if new_key => (Danger::NewKey, false),
            tried => (Danger::Unreachable, tried.as_ref().is_none_or(Result::is_ok)),
        };
        let subject = Subject { id: Some(id), weight, registration, reachable };
        weights(&masternodes, &funding.parameters, &subject).await.judge(danger, args.force)?;
    }
    if let Some(Err(problem)) = tried {
        output::notice(format_args!("WARNING: {problem}"));
    }
    let change = Change {
        funds: owner.funds(&funding),
        network: owner.address.network,
        masternode: masternode.id,
        owner: owner.address.lock,
        operator: key.as_ref().map(|key| &key.secret),
        payout: args.payout,
        network_address: args.address.as_deref(),
    };
    let built = change.build().map_err(|error| refused(error.to_string()))?;
    key.as_ref().map_or(Ok(()), OperatorKey::keep)?;
    Ok(tell(&args.spend, &client, &funding.chain, Intent::Update, &built).await?)
}

/// Runs `timed masternode exit`.
pub(super) async fn exit(args: &ExitArgs) -> Result<(), CliError> {
    let Owned { owner, client, funding, masternodes, masternode } =
        Owned::find(&args.spend, args.id.as_deref()).await?;
    check_exit(&masternode).map_err(refused)?;
    judge_exit(&masternodes, &funding.parameters, masternode.id, args.force).await?;
    let built = build_exit(&owner.funds(&funding), masternode.id, owner.address.lock)
        .map_err(|error| refused(error.to_string()))?;
    Ok(tell(&args.spend, &client, &funding.chain, Intent::Exit, &built).await?)
}

/// Runs `timed masternode unjail`.
pub(super) async fn unjail(args: &UnjailArgs) -> Result<(), CliError> {
    let operator = read_key_file(&args.operator_key_path()?)?;
    let key = operator.public();
    let owner = args.spend.owner.open_to_spend()?;
    let client = args.spend.connection.client()?;
    let funding = Funding::of(&client, &[owner.address]).await?;
    let masternodes = all(&client).await?;
    let has_key = |masternode: &MasternodeInfo| masternode.operator_key == key;
    let who = format!("the operator key {key}");
    let masternode = find_or_only(&masternodes, args.id.as_deref(), &who, has_key)?;
    check_unjail(masternode, &key).map_err(refused)?;
    let built = build_unjail(&owner.funds(&funding), masternode.id, &operator)
        .map_err(|error| refused(error.to_string()))?;
    Ok(tell(&args.spend, &client, &funding.chain, Intent::Unjail, &built).await?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;

    use super::*;
    use crate::rpc::fake_node::masternode;
    use crate::rpc::types::PendingChanges;
    use crate::types::{Network, SecretKey};

    fn with(change: impl FnOnce(&mut MasternodeInfo)) -> MasternodeInfo {
        let mut changed = masternode();
        change(&mut changed);
        changed
    }

    #[test]
    fn what_would_be_void_is_refused_before_a_fee_is_paid() {
        let jailed = masternode();
        let (owner, key) = (jailed.owner, jailed.operator_key);
        let other_key = SecretKey::from_seed(&[9; 32]).public();
        let other = Address::of_key_hash(Network::Devnet, other_key.key_hash());
        assert_eq!(check_owner(&jailed, owner), Ok(()));
        assert!(check_owner(&jailed, other).unwrap_err().contains("--account"));
        let left = with(|masternode| masternode.state = "unbonding".to_owned());
        assert!(check_owner(&left, owner).unwrap_err().contains("has left"));
        assert_eq!(check_exit(&jailed), Ok(()));
        assert!(check_exit(&with(|masternode| masternode.exit_requested = true)).is_err());

        assert_eq!(check_unjail(&jailed, &key), Ok(()));
        assert!(check_unjail(&jailed, &other_key).unwrap_err().contains("--operator-key"));
        let free = with(|masternode| {
            masternode.jailed = None;
            masternode.state = "active".to_owned();
        });
        assert!(check_unjail(&free, &key).unwrap_err().ends_with("is not jailed: it is active"));
        for slashed in [
            with(|masternode| masternode.slashed = true),
            with(|masternode| masternode.jailed = Some(JailReason::Evidence)),
        ] {
            assert!(check_unjail(&slashed, &key).unwrap_err().contains("for good"));
        }
        assert!(check_unjail(&left, &key).unwrap_err().contains("register a new one"));
    }

    #[derive(clap::Parser)]
    struct Typed {
        #[command(flatten)]
        unjail: UnjailArgs,
    }

    #[test]
    fn the_operator_key_is_that_of_the_configuration_unless_it_is_named() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("config.toml");
        let path_of = |arguments: &[&str]| {
            let typed = Typed::parse_from([&["unjail"][..], arguments].concat());
            typed.unjail.operator_key_path().unwrap()
        };
        let named = ["--config", config.to_str().unwrap()];
        for (text, expected) in [
            ("[node]\nnetwork = \"devnet\"\n", OPERATOR_KEY_FILE.into()),
            ("[masternode]\nenabled = true\noperator_key = \"mine.key\"\n", home.path().join("mine.key")),
        ] {
            std::fs::write(&config, text).unwrap();
            assert_eq!(path_of(&named), expected);
            assert_eq!(
                path_of(&[&named[..], &["--operator-key", "other.key"]].concat()),
                Path::new("other.key")
            );
        }
        assert_eq!(path_of(&[]), Path::new(OPERATOR_KEY_FILE));
    }

    #[test]
    fn a_key_that_waits_for_the_epochs_end_is_taken_as_well() {
        let pending = SecretKey::from_seed(&[9; 32]).public();
        let list = [with(|masternode| {
            let changes = PendingChanges { operator_key: Some(pending), ..PendingChanges::default() };
            masternode.pending = Some(changes);
        })];
        for key in [pending, list[0].operator_key] {
            assert!(check_new_key(&list, &key).is_err());
        }
        assert_eq!(check_new_key(&list, &SecretKey::from_seed(&[8; 32]).public()), Ok(()));
    }
}
