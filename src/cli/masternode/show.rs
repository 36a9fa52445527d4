//! `timed masternode list` and `status`.

use comfy_table::{Table, presets};
use serde_json::json;

use super::super::output;
use super::super::rpc_client::{ConnectionArgs, RpcClient, RpcCommandError, say, say_json};
use super::{all, failed, find};
use crate::rpc::types::{BlockchainInfo, ConsensusInfo, JailReason, MasternodeInfo, NodeStatus};
use crate::runtime::Clock;
use crate::runtime::time_text::{duration_words, time_words};
use crate::types::TimeMs;

/// Digits of an id in the list; enough to name it by.
const ID_DIGITS: usize = 16;

/// Flags of `timed masternode list`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Which node.
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Flags of `timed masternode status`.
#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    /// Which masternode, by its id or the first digits of it; without it the one that the node votes for.
    id: Option<String>,
    /// Which node.
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn attendance_text(masternode: &MasternodeInfo) -> String {
    let attendance = masternode.in_set.as_ref().map(|membership| membership.attendance);
    attendance.map_or_else(|| "-".to_owned(), |told| format!("{}/{}", told.signed, told.counted))
}

/// The effective weight, with the full one where that is another.
fn weight_text(masternode: &MasternodeInfo) -> String {
    let (effective, full) = (masternode.effective_weight, masternode.weight);
    if effective == full { full.to_string() } else { format!("{effective} of {full}") }
}

fn table(masternodes: &[MasternodeInfo]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["ID", "STATE", "TIER", "WEIGHT", "SIGNED", "CONNECTED", "ADDRESS"]);
    for masternode in masternodes {
        let mut id = masternode.id.to_string();
        id.truncate(ID_DIGITS);
        table.add_row([
            id,
            masternode.state.clone(),
            masternode.tier.clone().unwrap_or_else(|| "-".to_owned()),
            weight_text(masternode),
            attendance_text(masternode),
            if masternode.connected { "yes" } else { "no" }.to_owned(),
            masternode.address.escape_debug().to_string(),
        ]);
    }
    table.to_string()
}

/// Runs `timed masternode list`.
pub(super) async fn list(args: &ListArgs) -> Result<(), RpcCommandError> {
    let client = args.connection.client()?;
    let mut masternodes = all(&client).await?;
    masternodes.sort_by_key(|masternode| (std::cmp::Reverse(masternode.weight), masternode.registration));
    if args.json {
        return say_json(&masternodes);
    }
    say(&table(&masternodes))
}

/// Runs `timed masternode status`.
pub(super) async fn status(args: &StatusArgs) -> Result<(), RpcCommandError> {
    let client = args.connection.client()?;
    let node: NodeStatus = client.call("getnodestatus", &[]).await?;
    let masternode = match &args.id {
        Some(digits) => find(&all(&client).await?, digits)?.clone(),
        None => own(&client, &node).await?,
    };
    if args.json {
        return say_json(&masternode);
    }
    let chain: BlockchainInfo = client.call("getblockchaininfo", &[]).await?;
    let consensus: ConsensusInfo = client.call("getconsensusinfo", &[]).await?;
    let duration_ms = chain.parameters.epoch_duration_ms;
    let is_asked = node.masternode == Some(masternode.id);
    let clock = Times {
        now: Clock.now_ms(),
        epoch_end: consensus.epoch_start_ms.map(|start| start.saturating_add(duration_ms)),
        unbonding_ms: chain.parameters.unbonding_time_ms,
    };
    summary(&masternode, is_asked, &clock).iter().try_for_each(|line| say(line))
}

/// The masternode that the node votes for.
async fn own(client: &RpcClient, node: &NodeStatus) -> Result<MasternodeInfo, RpcCommandError> {
    let Some(id) = node.masternode else {
        for reason in &node.reasons {
            output::notice(reason);
        }
        return Err(failed(
            "the node is no masternode; name one by its id (`timed masternode list`), or ask another node by --rpc or --config",
        ));
    };
    client.call("getmasternode", &[json!(id)]).await
}

/// What the words of a summary depend on beside the masternode.
struct Times {
    now: TimeMs,
    /// When the current epoch ends, about.
    epoch_end: Option<TimeMs>,
    unbonding_ms: u64,
}

impl Times {
    fn words(&self, time: TimeMs) -> String {
        time_words(time, self.now)
    }

    /// ", at about ..." for what happens at the epoch's end.
    fn at_epoch_end(&self) -> String {
        self.epoch_end.map_or_else(String::new, |end| format!(", at about {}", self.words(end)))
    }
}

fn state_lines(masternode: &MasternodeInfo, times: &Times) -> Vec<String> {
    let at_end = times.at_epoch_end();
    let mut lines = vec![match masternode.state.as_str() {
        "active" => "active: it votes".to_owned(),
        "eligible" => {
            format!(
                "eligible: it can be in the next epoch's set{at_end}, with weight 1 at first; a tenth of the set's weight is for newcomers, the others wait"
            )
        }
        "exiting" => format!("exiting: it leaves at the epoch's end{at_end}, or when enough others stay"),
        "jailed" => "jailed: it is kept out of the set for absence".to_owned(),
        "slashed" => "slashed: it contradicted itself, and is kept out of the set for good".to_owned(),
        "unbonding" => "unbonding: it has left, and its collateral is bound for a while".to_owned(),
        other => other.to_owned(),
    }];
    match (&masternode.in_set, masternode.left_ms) {
        (Some(membership), _) => {
            let since =
                membership.since_ms.map_or_else(String::new, |since| format!(", {}", times.words(since)));
            lines.push(format!("in the set since epoch {} at least{since}", membership.since_epoch));
        }
        (None, Some(left)) => lines.push(format!("not in the set since {}", times.words(left))),
        (None, None) => lines.push("never in the set yet".to_owned()),
    }
    lines
}

fn weight_lines(masternode: &MasternodeInfo, tier: &str) -> Vec<String> {
    let mut lines = vec![format!("{}{tier}", weight_text(masternode))];
    if masternode.in_set.is_some() && masternode.on_trial {
        lines.push("on trial: it grows from the first epoch's end at which a full window of commits was counted and it signed enough of them".to_owned());
    } else if masternode.in_set.is_some() && masternode.effective_weight < masternode.weight {
        lines.push("growing at each epoch's end, as long as it signs".to_owned());
    }
    lines
}

/// What is wrong, and what to do about it.
fn advice(masternode: &MasternodeInfo, times: &Times) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(membership) = masternode.in_set.as_ref().filter(|membership| membership.attendance.absent) {
        lines.push(format!(
            "it signed only {} of the last {} commits: if that stays so it is jailed at the epoch's end{}; see that its node runs and is connected",
            membership.attendance.signed, membership.attendance.counted, times.at_epoch_end()
        ));
    }
    match masternode.jailed {
        Some(JailReason::Absence) if masternode.state == "jailed" => {
            let since = masternode.jailed_since_ms.unwrap_or_default();
            lines.push(format!(
                "jailed since {} for absence; when its node is up again: timed masternode unjail {}",
                times.words(since),
                masternode.id
            ));
            lines.push(format!(
                "otherwise it counts as exited after {}",
                times.words(since.saturating_add(times.unbonding_ms))
            ));
        }
        Some(JailReason::Evidence) if !masternode.exit_requested && masternode.state != "unbonding" => {
            lines.push(format!(
                "evidence burned a part of its collateral; take the rest back: timed masternode exit {}",
                masternode.id
            ));
        }
        _ => {}
    }
    lines
}

fn collateral_lines(masternode: &MasternodeInfo, times: &Times) -> Vec<String> {
    let mut lines =
        vec![format!("{} TIME in {}", masternode.collateral_time, masternode.collateral_outpoint)];
    match masternode.bound_until_ms {
        Some(until) => lines.push(format!("free in epochs that start after {}", times.words(until))),
        None if masternode.state == "exiting" => {
            lines.push(format!("bound for {} after it has left", duration_words(times.unbonding_ms / 1_000)));
        }
        None => {}
    }
    lines
}

/// The lines for people. `is_asked` says that it is the masternode of the very node that tells.
fn summary(masternode: &MasternodeInfo, is_asked: bool, times: &Times) -> Vec<String> {
    let mut lines = vec![format!("Masternode {}", masternode.id)];
    let mut push = |name: &str, texts: Vec<String>| {
        let names = std::iter::once(name).chain(std::iter::repeat(""));
        lines.extend(texts.into_iter().zip(names).map(|(text, name)| format!("  {name:<13}{text}")));
    };
    push("State", state_lines(masternode, times));
    push("Look out", advice(masternode, times));
    let tier = masternode.tier.as_deref().map_or_else(String::new, |tier| format!(" ({tier})"));
    push("Weight", weight_lines(masternode, &tier));
    if let Some(membership) = &masternode.in_set {
        let attendance = membership.attendance;
        push(
            "Attendance",
            vec![format!("{} of the last {} commits signed", attendance.signed, attendance.counted)],
        );
    }
    push("Collateral", collateral_lines(masternode, times));
    push("Owner", vec![masternode.owner.to_string()]);
    push("Rewards to", vec![masternode.payout.to_string()]);
    push("Operator key", vec![masternode.operator_key.to_string()]);
    let connected = match (is_asked, masternode.connected) {
        (true, _) => "the node that was asked",
        (false, true) => "connected",
        (false, false) => "not connected here",
    };
    push("Node", vec![format!("{}, {connected}", masternode.address.escape_debug())]);
    if let Some(pending) = &masternode.pending {
        let changes = [
            pending.operator_key.map(|key| format!("operator key {key}")),
            pending.payout.map(|payout| format!("rewards to {payout}")),
            pending.address.as_ref().map(|address| format!("node {}", address.escape_debug())),
        ];
        let mut texts = vec![format!("with the next epoch{}", times.at_epoch_end())];
        texts.extend(changes.into_iter().flatten());
        push("Changes", texts);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::fake_node::masternode;
    use crate::rpc::types::{AttendanceInfo, MembershipInfo, PendingChanges};

    const TIMES: Times = Times { now: 600_000, epoch_end: Some(660_000), unbonding_ms: 60_000 };

    fn text(change: impl FnOnce(&mut MasternodeInfo)) -> String {
        let mut changed = masternode();
        change(&mut changed);
        summary(&changed, false, &TIMES).join("\n")
    }

    fn in_set(masternode: &mut MasternodeInfo, signed: u32, absent: bool) {
        let attendance = AttendanceInfo { signed, counted: 50, absent };
        masternode.in_set = Some(MembershipInfo { since_epoch: 3, since_ms: Some(540_000), attendance });
        masternode.jailed = None;
        masternode.jailed_since_ms = None;
        masternode.left_ms = None;
        masternode.state = "active".to_owned();
    }

    #[test]
    fn each_state_says_what_it_means_and_what_to_do() {
        let jailed = text(|_| {});
        assert!(
            jailed.contains("kept out of the set for absence")
                && jailed.contains("timed masternode unjail 00")
        );
        assert!(jailed.contains("counts as exited after 1970-01-01 00:01:00 UTC"), "{jailed}");
        assert!(jailed.contains("not in the set since 1970-01-01 00:00:00 UTC (9 min 59 s ago)"), "{jailed}");
        let active = text(|masternode| in_set(masternode, 48, false));
        assert!(active.contains("active: it votes") && active.contains("48 of the last 50 commits signed"));
        assert!(active.contains("in the set since epoch 3") && active.contains("(1 min 0 s ago)"));
        assert!(!active.contains("Look out"), "{active}");
        let absent = text(|masternode| in_set(masternode, 9, true));
        assert!(absent.contains("signed only 9 of the last 50 commits"), "{absent}");
        let eligible = text(|masternode| {
            in_set(masternode, 0, false);
            masternode.in_set = None;
            masternode.state = "eligible".to_owned();
        });
        assert!(
            eligible.contains("never in the set yet") && eligible.contains("(in 1 min 0 s)"),
            "{eligible}"
        );
        let exiting = text(|masternode| {
            in_set(masternode, 50, false);
            masternode.state = "exiting".to_owned();
        });
        assert!(exiting.contains("bound for 1 min 0 s after it has left"), "{exiting}");
        let unbonding = text(|masternode| {
            masternode.state = "unbonding".to_owned();
            masternode.bound_until_ms = Some(720_000);
        });
        assert!(unbonding.contains("free in epochs that start after 1970-01-01 00:12:00 UTC (in 2 min 0 s)"));
        assert!(!unbonding.contains("unjail"), "{unbonding}");
        let slashed = text(|masternode| {
            masternode.state = "slashed".to_owned();
            masternode.jailed = Some(JailReason::Evidence);
        });
        assert!(slashed.contains("for good") && slashed.contains("timed masternode exit 00"), "{slashed}");
    }

    #[test]
    fn both_weights_are_told_where_they_differ() {
        let gold = |effective_weight, on_trial| {
            text(|masternode| {
                in_set(masternode, 48, false);
                masternode.weight = 100;
                (masternode.effective_weight, masternode.on_trial) = (effective_weight, on_trial);
            })
        };
        let (trial, growing, full) = (gold(1, true), gold(5, false), gold(100, false));
        assert!(trial.contains("1 of 100 (bronze)") && trial.contains("on trial"), "{trial}");
        assert!(growing.contains("5 of 100 (bronze)") && growing.contains("growing"), "{growing}");
        assert!(full.contains(" 100 (bronze)") && !full.contains("growing"), "{full}");
        let mut masternode = masternode();
        (masternode.weight, masternode.effective_weight) = (100, 5);
        assert!(table(&[masternode]).contains("5 of 100"));
    }

    /// A node has no connection to itself.
    #[test]
    fn a_node_does_not_say_of_itself_that_it_is_not_connected() {
        let mut masternode = masternode();
        masternode.connected = false;
        let of = |is_asked| summary(&masternode, is_asked, &TIMES).join("\n");
        assert!(of(false).contains("not connected here"), "{}", of(false));
        assert!(of(true).contains("the node that was asked") && !of(true).contains("not connected"));
    }

    #[test]
    fn changes_to_come_are_listed() {
        let text = text(|masternode| {
            let address = Some("new.example:1".to_owned());
            masternode.pending = Some(PendingChanges { address, ..PendingChanges::default() });
        });
        assert!(
            text.contains("with the next epoch, at about") && text.contains("node new.example:1"),
            "{text}"
        );
    }

    #[test]
    fn a_list_names_each_by_digits_that_name_it() {
        let mut second = masternode();
        in_set(&mut second, 7, true);
        let text = table(&[masternode(), second]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[1].contains("0000000000000000 ") && lines[1].contains("jailed"), "{text}");
        assert!(lines[2].contains("7/50"), "{text}");
    }
}
