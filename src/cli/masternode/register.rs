//! `timed masternode register`: a checklist, and if all of it holds, the registration.

use std::path::PathBuf;

use serde::Serialize;

use super::super::rpc_client::{RpcClient, RpcCommandError, say, say_json};
use super::super::wallet::Owner;
use super::super::wallet_rpc::Funding;
use super::super::{CliError, output};
use super::operator_key::{OperatorKey, holder_of};
use super::reach::{Danger, Subject, Weights, check_address, weights};
use super::sent::{Intent, tell};
use super::{SpendArgs, all};
use crate::rpc::types::{MasternodeInfo, NodeState, NodeStatus};
use crate::types::genesis::Tier;
use crate::types::{Address, Amount, ChainParameters, PublicKey};
use crate::wallet::BuiltTransaction;
use crate::wallet::masternode::{Registration, is_network_address, tiers_text};

/// Flags of `timed masternode register`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("stake").required(true))]
pub(super) struct RegisterArgs {
    /// The tier: bronze, silver or gold, where the genesis document has no others.
    #[arg(long, value_name = "NAME", group = "stake")]
    tier: Option<String>,
    /// The collateral in TIME, instead of the tier's name.
    #[arg(long, value_name = "TIME", group = "stake")]
    collateral: Option<Amount>,
    /// The file with the operator key, which votes; a new key is written there if there is none.
    #[arg(long, value_name = "FILE", default_value = "operator.key")]
    operator_key: PathBuf,
    /// Where rewards go; without it to the address that owns the collateral.
    #[arg(long, value_name = "ADDRESS")]
    payout: Option<Address>,
    /// host:port where others reach the masternode's node.
    #[arg(long, value_name = "HOST:PORT")]
    address: String,
    /// Register it even if a third or more of the weight would be at addresses that can't be reached from this machine.
    /// If these are down indeed, the chain stops until they come up.
    #[arg(long)]
    force: bool,
    /// Say what is missing, and send nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    spend: SpendArgs,
}

/// One line of the checklist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    check: &'static str,
    ok: bool,
    detail: String,
}

impl Check {
    fn of(check: &'static str, outcome: Result<String, String>) -> Self {
        let ok = outcome.is_ok();
        let detail = outcome.unwrap_or_else(|problem| problem);
        Self { check, ok, detail }
    }
}

/// What `--dry-run --json` prints.
#[derive(Debug, Serialize)]
struct DryRunReport<'a> {
    ready: bool,
    checks: &'a [Check],
    collateral: Option<Amount>,
    fee: Option<Amount>,
    operator_key: Option<PublicKey>,
    owner: Address,
    payout: Address,
    address: &'a str,
}

/// The tier that is asked for.
fn tier_of<'a>(
    parameters: &'a ChainParameters,
    name: Option<&str>,
    collateral: Option<Amount>,
) -> Result<&'a Tier, String> {
    let wanted = |tier: &&Tier| {
        name.is_some_and(|name| tier.name.eq_ignore_ascii_case(name)) || collateral == Some(tier.collateral)
    };
    parameters.tiers.iter().find(wanted).ok_or_else(|| {
        let asked = match (name, collateral) {
            (Some(name), _) => format!("no tier is called {name:?}"),
            (None, Some(collateral)) => format!("no tier has a collateral of {collateral} TIME"),
            (None, None) => "no tier is named".to_owned(),
        };
        format!("{asked}; there are {}", tiers_text(&parameters.tiers))
    })
}

fn check_node(node: &NodeStatus) -> Result<String, String> {
    match node.state {
        NodeState::Syncing => Err(format!(
            "the node is at block {} of {}: what it knows of coins and masternodes is old; wait until it is synced",
            node.height, node.target_height
        )),
        NodeState::Halted => Err(format!("the node has halted: {}", node.reasons.join("; "))),
        _ => Ok(format!("{} at block {}", node.network, node.height)),
    }
}

fn check_key(key: &Result<OperatorKey, String>, masternodes: &[MasternodeInfo]) -> Result<String, String> {
    let key = key.as_ref().map_err(Clone::clone)?;
    let public = key.public();
    if public.is_weak() {
        return Err(format!("{public} is no valid Ed25519 key; name another file by --operator-key"));
    }
    if let Some(holder) = holder_of(masternodes, &public) {
        return Err(format!(
            "{public} belongs to masternode {}; each needs a key of its own: name another file by --operator-key",
            holder.id
        ));
    }
    Ok(match key.is_new() {
        true => format!("a new key is going to be written to {}", key.path().display()),
        false => format!("{public} of {}", key.path().display()),
    })
}

fn check_payout(payout: Address, owner: Address) -> Result<String, String> {
    if payout.network != owner.network {
        return Err(format!("{payout} is an address of {}, not of {}", payout.network, owner.network));
    }
    Ok(if payout == owner { format!("{payout}, who owns the collateral") } else { payout.to_string() })
}

/// Everything that a registration needs.
struct Plan<'a> {
    args: &'a RegisterArgs,
    owner: &'a Owner,
    payout: Address,
    funding: Funding,
    masternodes: Vec<MasternodeInfo>,
    key: Result<OperatorKey, String>,
}

impl<'a> Plan<'a> {
    async fn new(
        args: &'a RegisterArgs,
        owner: &'a Owner,
        client: &RpcClient,
    ) -> Result<Self, RpcCommandError> {
        let funding = Funding::of(client, &[owner.address]).await?;
        let masternodes = all(client).await?;
        let key = OperatorKey::open(&args.operator_key).map_err(|error| error.to_string());
        Ok(Self { args, owner, payout: args.payout.unwrap_or(owner.address), funding, masternodes, key })
    }

    fn tier(&self) -> Result<&Tier, String> {
        tier_of(&self.funding.parameters, self.args.tier.as_deref(), self.args.collateral)
    }

    fn build(&self) -> Result<BuiltTransaction, String> {
        let collateral = self.tier()?.collateral;
        let key = self.key.as_ref().map_err(Clone::clone)?;
        let registration = Registration {
            funds: self.owner.funds(&self.funding),
            network: self.owner.address.network,
            collateral,
            owner: self.owner.address.lock,
            operator: &key.secret,
            payout: self.payout,
            network_address: &self.args.address,
        };
        registration.build().map_err(|error| error.to_string())
    }

    fn check_balance(&self) -> Result<String, String> {
        if self.tier().is_err() {
            return Err("what is needed depends on the tier".to_owned());
        }
        let built = match (&self.key, is_network_address(&self.args.address)) {
            (Ok(_), true) => self.build()?,
            _ => return Err("what is needed can be said once operator key and address are right".to_owned()),
        };
        Ok(format!("enough, with {} TIME for the fee", built.fee))
    }

    fn checks(&self, node: &NodeStatus) -> Vec<Check> {
        let tier = self.tier().map(|tier| {
            format!("{}: {} TIME, which vote with weight {}", tier.name, tier.collateral, tier.weight)
        });
        vec![
            Check::of("node", check_node(node)),
            Check::of("tier", tier),
            Check::of("operator_key", check_key(&self.key, &self.masternodes)),
            Check::of("payout", check_payout(self.payout, self.owner.address)),
            Check::of("balance", self.check_balance()),
        ]
    }

    /// The weights of the next set, with this masternode in it; `None` as long as the tier is unknown.
    async fn weights(&self, reachable: bool) -> Option<Weights> {
        let weight = self.tier().ok()?.weight;
        // It comes after all that are there.
        let subject = Subject { id: None, weight, registration: u64::MAX, reachable };
        Some(weights(&self.masternodes, &self.funding.parameters, &subject).await)
    }

    /// Members of a full set that would stay before this one.
    fn warn_of_full_set(&self) {
        let Ok(tier) = self.tier() else { return };
        let stays = |other: &&MasternodeInfo| {
            other.weight >= tier.weight && matches!(other.state.as_str(), "active" | "eligible" | "exiting")
        };
        let before = self.masternodes.iter().filter(stays).count();
        let max = self.funding.parameters.max_validators;
        if u64::try_from(before).is_ok_and(|before| before >= u64::from(max)) {
            output::notice(format_args!(
                "WARNING: {before} masternodes of at least this weight come first, and the set has {max} seats: this one waits for a seat"
            ));
        }
    }
}

/// Runs `timed masternode register`.
pub(super) async fn run(args: &RegisterArgs) -> Result<(), CliError> {
    let owner = args.spend.owner.open_to_spend()?;
    let client = args.spend.connection.client()?;
    let plan = Plan::new(args, &owner, &client).await?;
    let node: NodeStatus = client.call("getnodestatus", &[]).await?;
    let mut checks = plan.checks(&node);
    let address = Check::of("address", check_address(&args.address).await);
    let weights = plan.weights(address.ok).await;
    checks.push(address);
    checks.extend(weights.map(|weights| Check::of("weight", weights.describe(Danger::Unreachable))));
    plan.warn_of_full_set();
    if args.dry_run {
        return Ok(dry_run(&plan, &checks)?);
    }
    // A masternode may be registered before its node runs, as long as the chain does not depend on it; all else would be
    // refused, or void.
    let (unreachable, wrong): (Vec<&Check>, Vec<&Check>) = checks
        .iter()
        .filter(|check| !check.ok && check.check != "weight")
        .partition(|check| check.check == "address" && is_network_address(&args.address));
    if !wrong.is_empty() {
        let problems: Vec<&str> = wrong.iter().map(|check| check.detail.as_str()).collect();
        return Err(CliError::Failed(format!("nothing was sent: {}", problems.join("; "))));
    }
    for check in unreachable {
        output::notice(format_args!("WARNING: {}; it must be up before the next epoch", check.detail));
    }
    if let Some(weights) = weights {
        weights.judge(Danger::Unreachable, args.force)?;
    }
    let built = plan.build().map_err(CliError::Failed)?;
    if let Ok(key) = &plan.key {
        key.keep()?;
    }
    Ok(tell(&args.spend, &client, &plan.funding.chain, Intent::Register, &built).await?)
}

fn dry_run(plan: &Plan<'_>, checks: &[Check]) -> Result<(), RpcCommandError> {
    let missing = checks.iter().filter(|check| !check.ok).count();
    if plan.args.spend.json {
        say_json(&DryRunReport {
            ready: missing == 0,
            checks,
            collateral: plan.tier().ok().map(|tier| tier.collateral),
            fee: plan.build().ok().map(|built| built.fee),
            // A key that is not written yet will be another one.
            operator_key: plan.key.as_ref().ok().filter(|key| !key.is_new()).map(OperatorKey::public),
            owner: plan.owner.address,
            payout: plan.payout,
            address: &plan.args.address,
        })?;
    } else {
        for check in checks {
            let mark = if check.ok { "ok     " } else { "MISSING" };
            say(&format!("{mark}  {:<13} {}", check.check, check.detail))?;
        }
    }
    match missing {
        0 if plan.args.spend.json => Ok(()),
        0 => say("all is ready; the same without --dry-run registers the masternode"),
        1 => Err(super::failed("one thing is missing; nothing was sent")),
        _ => Err(super::failed(format!("{missing} things are missing; nothing was sent"))),
    }
}
