//! What the facts mean, and what to do about it.
//!
//! `votes.rs` judges whose votes come late.

mod votes;

use serde::{Deserialize, Serialize};

use super::facts::{Chains, Facts, Journal, Machine, Node, Silence};
use crate::app::disk_growth;
use crate::cli::named_files::Unusable;
use crate::network::HALF_OPEN_MAX;
use crate::rpc::limits::{PROBE_PLACES, SOCKETS_MAX};
use crate::rpc::types::{JailReason, MasternodeInfo, NodeState};
use crate::runtime::Config;
use crate::runtime::config::StorageEngine;
use crate::runtime::time_text::{duration_words, time_words};
use crate::types::TimeMs;

/// Free bytes of the disk below which a node is soon in trouble, whatever its configuration says.
const FREE_BYTES_LOW: u64 = 10 << 30;
/// A sync that takes longer makes each payment wait for the disk, or keeps the node behind.
const SYNC_US_SLOW: u64 = 10_000;
const SYNC_US_BAD: u64 = 100_000;
/// Files that a node opens beside its connections: logs, files of blocks that are read, the index of sled.
const OWN_FILES: u64 = 128;
/// Files that the index keeps open in fjall: those that its cache of handles holds on Linux.
const FJALL_FILES: u64 = 900;
/// A clock may differ by so much before blocks are refused for their times, and before that is near.
const SKEW_MS_NEAR: u64 = 500;
const SKEW_MS_BAD: u64 = 2_000;
/// Blocks that don't come for so many intervals are late.
const LATE_INTERVALS: u64 = 5;
/// Masternodes that a sentence names, at most.
const NAMED_MAX: usize = 6;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    /// It is as it should be.
    Ok,
    /// Good to know.
    Note,
    /// It will be a problem, or is one to somebody.
    Warning,
    /// It keeps the node from its work.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Finding {
    /// A stable name in snake_case.
    pub(super) check: &'static str,
    /// How bad it is.
    pub(super) severity: Severity,
    /// What it is, in a sentence.
    pub(super) says: String,
    /// What to do next; empty if nothing.
    pub(super) next: String,
}

/// Judges the facts: the worst first, otherwise in the order in which a node depends on them.
pub(super) fn examine(facts: &Facts) -> Vec<Finding> {
    let mut all = Findings(Vec::new());
    all.of_config(facts);
    if let Some(machine) = &facts.machine {
        all.of_machine(machine, facts);
    }
    match &facts.node {
        Ok(node) => all.of_node(node, facts),
        Err(Silence::Starting(told)) => {
            let next = "wait for it; if that does not change any more, its log says what holds it up";
            all.add("node", Severity::Warning, format!("The node can't be asked yet: {told}."), next);
        }
        Err(Silence::Mute(problem)) => all.of_silent_node(problem, facts),
    }
    all.0.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    all.0
}

struct Findings(Vec<Finding>);

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn milliseconds(us: u64) -> String {
    format!("{}.{} ms", us / 1_000, us % 1_000 / 100)
}

impl Findings {
    fn add(
        &mut self,
        check: &'static str,
        severity: Severity,
        says: impl Into<String>,
        next: impl Into<String>,
    ) {
        self.0.push(Finding { check, severity, says: says.into(), next: next.into() });
    }

    fn well(&mut self, check: &'static str, says: impl Into<String>) {
        self.add(check, Severity::Ok, says, "");
    }

    fn of_config(&mut self, facts: &Facts) {
        match &facts.config {
            None => self.add(
                "config",
                Severity::Note,
                "No configuration was named, so machine, disk and ports are not looked at.",
                "give --config FILE on the node's machine",
            ),
            Some(Err(problems)) => {
                for problem in problems {
                    let says = format!("The configuration is wrong: {problem}");
                    let next = "mend the file; `timed config check --config FILE` says when it holds";
                    self.add("config", Severity::Error, says, next);
                }
            }
            Some(Ok(_)) if facts.unusable.is_empty() => {
                self.well("config", "The configuration is sound, and so are the files that it names.");
            }
            Some(Ok(_)) => {
                for Unusable { key, says } in &facts.unusable {
                    let next = format!(
                        "mend it, or name another file by {key}; the node does not start before that"
                    );
                    self.add("config", Severity::Error, format!("{key}: {says}"), next);
                }
            }
        }
    }

    fn of_machine(&mut self, machine: &Machine, facts: &Facts) {
        let Some(Ok(config)) = &facts.config else { return };
        if machine.data_dir.is_none() {
            let path = config.node.data_dir.display();
            self.add(
                "data_dir",
                Severity::Note,
                format!("{path} is not there; the first start makes it."),
                "",
            );
        }
        if let Some(free) = machine.free_bytes {
            let says = format!("{} are free on the disk of the data directory.", mebibytes(free));
            let next = "make room, or move the data directory while the node is stopped";
            let least = config.storage.free_bytes_min();
            if free < least {
                let megabytes = config.storage.min_free_mb;
                let says =
                    format!("{says} Below {megabytes} MB ([storage] min_free_mb) the node does not run.");
                self.add("disk_space", Severity::Error, says, next);
            } else if free < FREE_BYTES_LOW {
                self.add("disk_space", Severity::Warning, says, next);
            } else {
                self.well("disk_space", says);
            }
        }
        if let Some(sync_us) = machine.sync_us {
            let says = format!("A small write takes {} to be durable.", milliseconds(sync_us));
            let next = "votes wait for it: use a local SSD, and no other writer on it";
            match sync_us {
                SYNC_US_BAD.. => self.add("disk_sync", Severity::Error, says, next),
                SYNC_US_SLOW..SYNC_US_BAD => self.add("disk_sync", Severity::Warning, says, next),
                _ => self.well("disk_sync", says),
            }
        }
        self.of_chain(facts);
        self.of_limits(machine, config, facts);
        // Without its key and its chain nothing can be said of it.
        let can_tell = facts.unusable.is_empty();
        self.of_journal(facts.journal.as_ref().filter(|_| can_tell));
        if facts.external_address_answers == Some(false) {
            let address = config.network.external_address.as_deref().unwrap_or_default();
            let says = format!("[network] external_address {address} takes no connection from here.");
            let next = "check port forwarding ([network] upnp asks the router for it) and firewall, and that the address is this machine's";
            self.add("external_address", Severity::Warning, says, next);
        }
    }

    fn of_journal(&mut self, journal: Option<&Journal>) {
        match journal {
            None => {}
            Some(Journal::Own) => self.well("journal", "The vote journal is the one of this operator key."),
            Some(Journal::Missing) => {
                let says = "There is no vote journal, and a masternode does not start without one.";
                let next = "`timed votes import` what the key has voted elsewhere; if it never voted, `timed votes new`";
                self.add("journal", Severity::Error, says, next);
            }
            Some(Journal::Foreign(what)) => {
                let next =
                    "name the key and the genesis document that it belongs to, or another [node] data_dir";
                self.add("journal", Severity::Error, format!("The vote journal is foreign: {what}"), next);
            }
            Some(Journal::Unreadable(what)) => {
                let says = format!("The vote journal can't be held to the key: {what}");
                self.add("journal", Severity::Error, says, "make it readable for the node's user");
            }
        }
    }

    fn of_limits(&mut self, machine: &Machine, config: &Config, facts: &Facts) {
        let needed = files_needed(config);
        if let Some(files) = machine.open_files {
            let says = format!(
                "Its process may open {files} files and sockets; this configuration may need {needed}."
            );
            if files < needed {
                let next = "raise it: LimitNOFILE= of its systemd unit, or `ulimit -n`";
                self.add("open_files", Severity::Warning, says, next);
            } else {
                self.well("open_files", says);
            }
        }
        if let (Some(memory), Ok(node)) = (machine.memory_bytes, &facts.node) {
            let bound = node.memory.bound_bytes;
            let held = node
                .memory
                .resident_bytes
                .map_or_else(String::new, |held| format!("the node holds {} now, and ", mebibytes(held)));
            let whose = if machine.memory_limited { " that its control group grants" } else { "" };
            let says = format!(
                "Of {} of memory{whose} {held}may hold {} if all peers and users do their worst.",
                mebibytes(memory),
                mebibytes(bound)
            );
            if bound > memory {
                let next = "set [storage] cache_mb, [network] max_inbound or [rpc] max_connections lower, or grant more memory";
                self.add("memory", Severity::Note, says, next);
            } else {
                self.well("memory", says);
            }
        }
    }

    fn of_silent_node(&mut self, problem: &str, facts: &Facts) {
        // Who can't read where the node is has not asked it.
        if let Some(Err(problems)) = &facts.config
            && problems.iter().any(|told| problem.contains(told))
        {
            return;
        }
        let next = match &facts.config {
            Some(Ok(_)) => "start it: `timed --config FILE`; if it ends at once, its last lines say why",
            _ => "start it, or name it by --config FILE or --rpc URL",
        };
        self.add("node", Severity::Error, format!("The node can't be asked: {problem}"), next);
        if let (Some(machine), Some(Ok(config))) = (&facts.machine, &facts.config) {
            self.of_ports(machine, config);
        }
    }

    /// Who has what a node needs that can't be asked.
    fn of_ports(&mut self, machine: &Machine, config: &Config) {
        if let Some(process) = machine.holder {
            let says = format!(
                "Process {process} holds the data directory: a node runs there, and does not answer."
            );
            let next = "wait until it has started; if it hangs, its log says in what, and it has to be stopped first";
            self.add("data_dir", Severity::Note, says, next);
            return;
        }
        let ports = [
            (
                "peer_port",
                machine.ports.peers_free,
                "[network] listen_address",
                config.network.listen_address,
            ),
            ("rpc_port", machine.ports.rpc_free, "[rpc] listen_address", config.rpc.listen_address),
            (
                "metrics_port",
                machine.ports.metrics_free,
                "[metrics] listen_address",
                config.metrics.listen_address,
            ),
        ];
        for (check, _, key, address) in ports.into_iter().filter(|(_, free, ..)| *free == Some(false)) {
            let says = format!("Another program listens on {address}, so the node will not start.");
            self.add(check, Severity::Error, says, format!("stop it, or set another {key}"));
        }
    }

    fn of_chain(&mut self, facts: &Facts) {
        let Chains { genesis: Some(genesis), blocks: Some(blocks) } = facts.chains else { return };
        if genesis == blocks {
            self.well("chain", "The blocks in the data directory are of the genesis document's chain.");
            return;
        }
        let says = format!(
            "The data directory has blocks of chain {}, and the genesis document is of chain {}: the node will not start.",
            blocks.short(),
            genesis.short()
        );
        let next = "name the genesis document of these blocks by [node] genesis, or another [node] data_dir; a chain that was \
                    made anew leaves the old blocks useless, and they can be removed";
        self.add("chain", Severity::Error, says, next);
    }

    /// A program may answer where this configuration's node should, and be another one's.
    fn of_answering_chain(&mut self, node: &Node, facts: &Facts) {
        let found = node.chain.chain_id;
        if let Some(expected) = facts.chains.genesis.filter(|expected| *expected != found) {
            let says = format!(
                "What answers is a node of {} on chain {}, and this configuration is of chain {}.",
                node.status.network,
                found.short(),
                expected.short()
            );
            let next = "set another [rpc] listen_address, or name the genesis document that the node was started with";
            self.add("rpc_port", Severity::Error, says, next);
        }
    }

    fn of_disk_growth(&mut self, node: &Node) {
        match node.disk.as_ref().and_then(disk_growth::words) {
            Some((says, true)) => {
                let next =
                    "make room, move the data directory while the node is stopped, or set [storage] prune";
                self.add("disk_growth", Severity::Warning, says, next);
            }
            Some((says, false)) => self.well("disk_growth", says),
            None => {}
        }
    }

    fn of_node(&mut self, node: &Node, facts: &Facts) {
        self.of_answering_chain(node, facts);
        self.of_disk_growth(node);
        self.of_version(node, facts);
        self.of_rules(node);
        self.of_reasons(node, facts);
        self.of_sync(node);
        self.of_peers(node);
        self.of_blocks(node, facts);
        self.of_clock(node);
        self.of_absent(node);
        self.of_votes(node);
        self.of_own_masternode(node, facts);
        if !node.index.synced && node.later.is_none() {
            let says = format!("The index is at block {} of {}.", node.index.height, node.status.height);
            self.add(
                "index",
                Severity::Note,
                says,
                "it catches up by itself; reads of outputs come from memory",
            );
        }
    }

    fn of_version(&mut self, node: &Node, facts: &Facts) {
        let running = &node.status.version;
        let says = format!("The node runs timed {running} on {}.", node.status.network);
        if running == facts.version {
            self.well("version", says);
        } else {
            let says = format!("{says} This program is {}.", facts.version);
            self.add("version", Severity::Note, says, "restart the node to run the new version");
        }
    }

    fn of_rules(&mut self, node: &Node) {
        let rules = &node.chain.rules;
        let says =
            format!("The chain keeps to rules {}; the node knows up to {}.", rules.in_force, rules.known);
        match &rules.pending {
            Some(next) if next.version > rules.known => {
                let says = format!(
                    "{says} Rules {} come with epoch {}, and the node stops there.",
                    next.version, next.epoch
                );
                let next = "install a newer timed before that epoch, and restart the node";
                self.add("rules", Severity::Error, says, next);
            }
            Some(next) => {
                self.well("rules", format!("{says} Rules {} come with epoch {}.", next.version, next.epoch))
            }
            None => self.well("rules", says),
        }
    }

    fn of_reasons(&mut self, node: &Node, facts: &Facts) {
        for reason in &node.readiness.reasons {
            let (severity, next) = of_reason(&reason.reason);
            // What has a check of its own below is told there, with more.
            let is_told_below = match reason.reason.as_str() {
                "syncing" => node.later.is_some(),
                "not_registered" => expects_masternode(facts),
                _ => false,
            };
            if is_told_below {
                continue;
            }
            self.add("node", severity, format!("The node says: {}.", reason.detail), next);
        }
        if node.readiness.ready {
            let doing = match node.status.state {
                NodeState::Voting => "It is at the tip, and votes.",
                _ => "It is at the tip.",
            };
            self.well("node", doing);
        }
    }

    fn of_sync(&mut self, node: &Node) {
        let Some((later, after_ms)) = node.later else { return };
        let left = node.status.target_height.saturating_sub(later);
        let done = later.saturating_sub(node.status.height);
        let says = format!("It is at block {later} of {}", node.status.target_height);
        if left == 0 {
            self.well("sync", format!("{says}, and has caught up."));
        } else if done == 0 {
            let next = "see whether a peer has these blocks (`timed rpc getpeerinfo`), and the node's log";
            self.add("sync", Severity::Error, format!("{says}, and does not get on."), next);
        } else {
            let rate = done.saturating_mul(1_000).checked_div(after_ms.max(1)).unwrap_or(0).max(1);
            let words = duration_words(left.checked_div(rate).unwrap_or(0));
            self.add(
                "sync",
                Severity::Note,
                format!("{says}, {rate} blocks a second: {words} to go."),
                "wait",
            );
        }
    }

    fn of_peers(&mut self, node: &Node) {
        let inbound = node.peers.iter().filter(|peer| peer.inbound).count();
        let outbound = node.peers.len().saturating_sub(inbound);
        let peers = if node.peers.len() == 1 { "peer is" } else { "peers are" };
        let says =
            format!("{} {peers} connected: {outbound} dialled, {inbound} that dialled.", node.peers.len());
        match node.peers.len() {
            0 => {
                let next =
                    "check [network] bootstrap_peers, that they run, and that a firewall lets this node out";
                self.add("peers", Severity::Error, says, next);
            }
            _ => self.well("peers", says),
        }
    }

    fn of_blocks(&mut self, node: &Node, facts: &Facts) {
        if node.later.is_some() || node.chain.blocks == 0 {
            return;
        }
        let interval_ms = node.chain.parameters.block_interval_ms;
        let age_ms = facts.now_ms.saturating_sub(node.chain.time);
        let says = format!("The last block is of {}.", time_words(node.chain.time, facts.now_ms));
        if age_ms > interval_ms.saturating_mul(LATE_INTERVALS).max(10_000) {
            let says =
                format!("{says} Round {} of block {} is on.", node.consensus.round, node.consensus.height);
            let next = "see below which masternodes are missing; `timed masternode list` shows all";
            self.add("blocks", Severity::Error, says, next);
        } else {
            self.well("blocks", says);
        }
    }

    /// By the heartbeats of others: the middle of how far their times are from when they were heard.
    fn of_clock(&mut self, node: &Node) {
        let others = node.heartbeats.iter().filter(|beat| Some(beat.masternode) != node.status.masternode);
        let mut differences: Vec<i128> =
            others.map(|beat| i128::from(beat.heard_ms) - i128::from(beat.time_ms)).collect();
        differences.sort_unstable();
        let Some(middle) = differences.get(differences.len() / 2) else { return };
        let ms = u64::try_from(middle.unsigned_abs()).unwrap_or(u64::MAX);
        let way = if *middle >= 0 { "ahead of" } else { "behind" };
        let says = format!("This clock is {ms} ms {way} the masternodes' (their way here included).");
        let next = "run a time service such as chrony or systemd-timesyncd";
        match ms {
            SKEW_MS_BAD.. => self.add("clock", Severity::Error, says, next),
            SKEW_MS_NEAR..SKEW_MS_BAD => self.add("clock", Severity::Warning, says, next),
            _ => self.well("clock", says),
        }
    }

    fn of_absent(&mut self, node: &Node) {
        let of_set = || node.masternodes.iter().filter(|one| one.in_set.is_some());
        let absent: Vec<&MasternodeInfo> = of_set().filter(|one| !one.connected).collect();
        let weight = |all: &mut dyn Iterator<Item = &MasternodeInfo>| -> u64 {
            all.map(|one| one.effective_weight).sum()
        };
        let (missing, total) = (weight(&mut absent.iter().copied()), node.consensus.total_weight);
        let connected = of_set().count().saturating_sub(absent.len());
        let says =
            format!("{connected} of {} masternodes of the set are connected.", node.status.masternodes_total);
        if absent.is_empty() {
            self.well("masternodes", says);
            return;
        }
        let named: Vec<String> = absent
            .iter()
            .take(NAMED_MAX)
            .map(|one| format!("{} at {}", one.id.short(), one.address))
            .collect();
        let more = absent.len().saturating_sub(NAMED_MAX);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let says = format!("{says} Missing: {}{more}.", named.join(", "));
        if total.saturating_sub(missing) < node.consensus.quorum {
            let next = "with these away nothing becomes final: their operators have to bring them back";
            self.add("masternodes", Severity::Error, says, next);
        } else {
            self.add(
                "masternodes",
                Severity::Warning,
                says,
                "if only this node misses them, check its way to them",
            );
        }
    }

    fn of_own_masternode(&mut self, node: &Node, facts: &Facts) {
        let Some(id) = node.status.masternode else {
            if let Some(other) = at_own_address(node, facts) {
                let says = format!(
                    "The masternode at this node's address, {}, votes with another operator key than this node's.",
                    other.id.short()
                );
                let next = "name its key by [masternode] operator_key, or give it this one: `timed masternode update`";
                self.add("own_masternode", Severity::Error, says, next);
            } else if expects_masternode(facts) {
                let says = "This node has an operator key, which is no masternode's yet: it follows the chain, and does not vote.";
                let next = "once it is synced, register the key: `timed masternode register --dry-run` says what is missing";
                self.add("own_masternode", Severity::Warning, says, next);
            }
            return;
        };
        if let Some(own) = node.masternodes.iter().find(|one| one.id == id) {
            self.of_own_record(own, facts.now_ms);
        }
        if node.own_address_answers == Some(false) {
            let says = "The address that the chain has of this masternode takes no connection from here.";
            let next =
                "check port forwarding and firewall, or change it: `timed masternode update --address`";
            self.add("own_address", Severity::Warning, says, next);
        }
    }

    fn of_own_record(&mut self, own: &MasternodeInfo, now_ms: TimeMs) {
        let name = own.id.short();
        match (own.jailed, own.slashed, &own.in_set) {
            (Some(JailReason::Evidence), ..) | (_, true, _) => {
                let says = format!(
                    "This masternode, {name}, has contradicted itself and was slashed: it is out for good."
                );
                let next = "find out which two nodes used its key before you register another one";
                self.add("own_masternode", Severity::Error, says, next);
            }
            (Some(JailReason::Absence), ..) => {
                let says = format!("This masternode, {name}, is jailed: it signed too little of an epoch.");
                let next = "once the node votes without trouble: `timed masternode unjail`";
                self.add("own_masternode", Severity::Error, says, next);
            }
            (None, false, Some(_)) => {
                let trial = if own.on_trial { ", on trial: its weight grows with attendance" } else { "" };
                self.well(
                    "own_masternode",
                    format!(
                        "This masternode, {name}, is in the set with weight {}{trial}.",
                        own.effective_weight
                    ),
                );
            }
            (None, false, None) => {
                let until = own.bound_until_ms.map_or_else(String::new, |until| {
                    format!("; its collateral is free in epochs after {}", time_words(until, now_ms))
                });
                let says = format!("This masternode, {name}, is not in the set: it is {}{until}.", own.state);
                self.add(
                    "own_masternode",
                    Severity::Note,
                    says,
                    "one that is eligible enters with the next epoch",
                );
            }
        }
    }
}

/// The masternode that the chain has at the address of a node that wants to be one.
fn at_own_address<'a>(node: &'a Node, facts: &Facts) -> Option<&'a MasternodeInfo> {
    let Some(Ok(config)) = &facts.config else { return None };
    let address = config.network.external_address.as_ref().filter(|_| config.masternode.enabled)?;
    node.masternodes.iter().find(|one| one.address == *address)
}

/// Files and sockets that a node of this configuration may have open at once.
fn files_needed(config: &Config) -> u64 {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let peers = u64::from(config.network.max_inbound).saturating_add(config.network.max_outbound.into());
    let rpc = match config.rpc.enabled {
        true => u64::from(config.rpc.max_connections).saturating_add(count(PROBE_PLACES + SOCKETS_MAX)),
        false => 0,
    };
    let index = match config.storage.engine {
        StorageEngine::Sled => 0,
        StorageEngine::Fjall => FJALL_FILES,
    };
    [peers, count(HALF_OPEN_MAX), rpc, index, OWN_FILES].into_iter().fold(0, u64::saturating_add)
}

/// Whether the configuration is one of a masternode.
fn expects_masternode(facts: &Facts) -> bool {
    matches!(&facts.config, Some(Ok(config)) if config.masternode.enabled)
}

/// How bad a reason of the node is, and what to do about it.
fn of_reason(reason: &str) -> (Severity, &'static str) {
    match reason {
        "failed" => (Severity::Error, "see its log, and start it again"),
        "fork" => (
            Severity::Error,
            "talk to the other operators before you decide by `timed votes acknowledge-fork`",
        ),
        "key_copied" => (Severity::Error, "find the other node and stop one of the two for good"),
        "other_chain" => (Severity::Error, "follow what it says about the genesis document and the peers"),
        "no_peers" => {
            (Severity::Error, "check [network] bootstrap_peers, and that a firewall lets this node out")
        }
        "halted" => (Severity::Error, "the missing masternodes have to come back"),
        "syncing" => (Severity::Note, "wait until it has caught up"),
        "young_journal" => {
            (Severity::Warning, "wait until then, unless the key never signed on this network")
        }
        "listening" => (Severity::Note, "wait some seconds"),
        "not_in_set" => (Severity::Warning, "see below why; it may enter with the next epoch"),
        "not_registered" => (Severity::Warning, "`timed masternode register --dry-run` says what is missing"),
        _ => (Severity::Warning, ""),
    }
}

#[cfg(test)]
mod tests;
