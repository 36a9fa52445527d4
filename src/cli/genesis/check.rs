//! `timed genesis check`: what is wrong with a genesis document, or what network it makes.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::offline::read_text;
use crate::cli::rpc_client::say_json;
use crate::cli::{CliError, output};
use crate::runtime::Clock;
use crate::runtime::time_text::{duration_words, time_words};
use crate::types::genesis::GenesisError;
use crate::types::{Amount, ChainId, GenesisDocument, Network, TimeMs, Validator, ValidatorSet};
use crate::wallet::masternode::is_network_address;

/// Bytes of a document, at most.
const BYTES_MAX: usize = 16 << 20;

/// Flags of `timed genesis check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The document's file.
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a document makes, as `--json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Findings {
    chain_id: ChainId,
    network: Network,
    /// When it starts, in milliseconds since the Unix epoch.
    start_ms: TimeMs,
    block_interval_ms: u64,
    epoch_duration_ms: u64,
    masternodes: Vec<Member>,
    total_weight: u64,
    /// The weight that decides.
    quorum: u64,
    /// So many masternodes may be down, whichever they are.
    may_fail: usize,
    allocations: usize,
    /// First coins, in base units.
    allocated: Amount,
    /// Collaterals, in base units.
    bound: Amount,
    /// What is allowed and dangerous.
    warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Member {
    tier: String,
    weight: u64,
    address: String,
    operator_key: String,
    owner: String,
}

/// All that is wrong: the rules of the document, and addresses that no peer could dial.
pub(super) fn problems(document: &GenesisDocument) -> Vec<String> {
    let mut problems: Vec<String> = document.problems().iter().map(GenesisError::to_string).collect();
    for (index, masternode) in document.masternodes.iter().enumerate() {
        let address = &masternode.network_address;
        if !is_network_address(address) {
            problems.push(format!("masternode {index}: {address:?} is not HOST:PORT"));
        }
        let first = document.masternodes.iter().position(|other| other.network_address == *address);
        if let Some(first) = first.filter(|first| *first < index) {
            problems
                .push(format!("masternode {index}: {address} is the address of masternode {first} already"));
        }
    }
    problems
}

/// An error of the configuration that names each problem on a line.
pub(super) fn refusal(what: &str, problems: &[String]) -> CliError {
    let lines: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
    CliError::Usage(format!("{what}:\n{}", lines.join("\n")))
}

/// How many members may be down, whichever they are, so that the rest still decides.
fn may_fail(weights: &[u64], quorum: u64) -> usize {
    let mut heaviest_first = weights.to_vec();
    heaviest_first.sort_unstable_by(|one, other| other.cmp(one));
    let mut left = weights.iter().fold(0_u64, |sum, weight| sum.saturating_add(*weight));
    let falls_short = |weight: &u64| {
        left = left.saturating_sub(*weight);
        left < quorum
    };
    heaviest_first.iter().position(falls_short).unwrap_or(weights.len())
}

impl Findings {
    /// Of a document without problems.
    pub(super) fn of(document: &GenesisDocument) -> Self {
        let weight = |collateral| document.weight_of(collateral).unwrap_or(0);
        let tier = |collateral| document.parameters.tiers.iter().find(|tier| tier.collateral == collateral);
        let masternodes: Vec<Member> = document
            .masternodes
            .iter()
            .map(|masternode| Member {
                tier: tier(masternode.collateral).map(|tier| tier.name.clone()).unwrap_or_default(),
                weight: weight(masternode.collateral),
                address: masternode.network_address.clone(),
                operator_key: masternode.operator_key.to_string(),
                owner: masternode.owner.to_string(),
            })
            .collect();
        let members = document.masternodes.iter().enumerate().map(|(index, masternode)| Validator {
            id: GenesisDocument::masternode_id(&document.collateral_outpoint(index)),
            key: masternode.operator_key,
            weight: weight(masternode.collateral),
        });
        let set = ValidatorSet::new(members.collect());
        let weights: Vec<u64> = masternodes.iter().map(|member| member.weight).collect();
        let sum = |amounts: Vec<Amount>| Amount::checked_sum(amounts).unwrap_or_default();
        let mut warnings = Vec::new();
        if let Some(index) = document.dominant_masternode() {
            warnings.push(format!(
                "masternode {index} alone holds a third of the weight or more; if it fails, nothing is safe"
            ));
        }
        Self {
            chain_id: document.chain_id(),
            network: document.network,
            start_ms: document.time_ms,
            block_interval_ms: document.parameters.block_interval_ms,
            epoch_duration_ms: document.parameters.epoch_duration_ms,
            total_weight: set.total_weight(),
            quorum: set.quorum(),
            may_fail: may_fail(&weights, set.quorum()),
            allocations: document.allocations.len(),
            allocated: sum(document.allocations.iter().map(|allocation| allocation.amount).collect()),
            bound: sum(document.masternodes.iter().map(|masternode| masternode.collateral).collect()),
            masternodes,
            warnings,
        }
    }

    /// The lines for people.
    pub(super) fn lines(&self, path: &Path, now_ms: TimeMs) -> Vec<String> {
        let count = self.masternodes.len();
        let interval = match self.block_interval_ms {
            ms if ms % 1_000 == 0 => duration_words(ms / 1_000),
            ms => format!("{ms} ms"),
        };
        let mut lines = vec![
            format!(
                "{} makes a network of the kind {}, chain {}",
                path.display(),
                self.network,
                self.chain_id
            ),
            format!("  Starts       {}", time_words(self.start_ms, now_ms)),
            format!(
                "  Blocks       every {interval}, an epoch is {}",
                duration_words(self.epoch_duration_ms / 1_000)
            ),
            format!(
                "  Masternodes  {count}, of weight {} together; {} decide",
                self.total_weight, self.quorum
            ),
        ];
        for (index, member) in self.masternodes.iter().enumerate() {
            let Member { tier, weight, address, operator_key, owner } = member;
            lines.push(format!("    {index}  {tier}, weight {weight}, at {}", address.escape_debug()));
            lines.push(format!("       operator key {operator_key}"));
            lines.push(format!("       owner        {owner}"));
        }
        lines.push(match self.may_fail {
            0 => "  May fail     none of them: one that is down stops the network".to_owned(),
            some => {
                format!("  May fail     {some} of {count}, whichever; with more down the network may stop")
            }
        });
        let all = self.allocated.checked_add(self.bound).unwrap_or_default();
        lines.push(format!(
            "  Supply       {all} TIME: {} as first coins, {} bound as collateral",
            self.allocated, self.bound
        ));
        if self.start_ms <= now_ms {
            lines.push(
                "  Journals     it has started: a new key that is among these needs `timed votes new --force`".to_owned(),
            );
        }
        lines.extend(self.warnings.iter().map(|warning| format!("  WARNING      {warning}")));
        lines
    }
}

/// Reads a document without holding its rules.
fn read(path: &Path) -> Result<GenesisDocument, CliError> {
    let text = read_text(path, BYTES_MAX)?;
    toml::from_str(&text)
        .map_err(|error| CliError::Usage(format!("{} is no genesis document: {error}", path.display())))
}

/// Runs `timed genesis check`.
pub(super) fn run(args: &Args) -> Result<(), CliError> {
    let document = read(&args.file)?;
    let problems = problems(&document);
    if !problems.is_empty() {
        if args.json {
            say_json(&serde_json::json!({ "problems": problems }))?;
        }
        return Err(refusal(&format!("{} starts no network", args.file.display()), &problems));
    }
    let findings = Findings::of(&document);
    if args.json {
        return Ok(say_json(&findings)?);
    }
    findings.lines(&args.file, Clock.now_ms()).iter().try_for_each(output::line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::networks::devnet_genesis;
    use crate::types::Network;

    #[test]
    fn a_sound_document_is_told_in_words() {
        let document = devnet_genesis(4);
        let findings = Findings::of(&document);
        let text = findings.lines(Path::new("g.toml"), document.time_ms - 61_000).join("\n");
        for part in [
            &format!("g.toml makes a network of the kind devnet, chain {}", document.chain_id()),
            "2026-01-01 00:00:00 UTC (in 1 min 1 s)",
            "every 2 s, an epoch is 1 min 0 s",
            "4, of weight 40 together; 27 decide",
            "    3  silver, weight 10, at 127.0.0.1:24206",
            &document.masternodes[3].operator_key.to_string(),
            "1 of 4, whichever",
            "10040000.00000000 TIME: 10000000.00000000 as first coins, 40000.00000000 bound",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(!text.contains("--force") && !text.contains("WARNING"), "{text}");
        let late = findings.lines(Path::new("g.toml"), document.time_ms).join("\n");
        assert!(late.contains("votes new --force"), "{late}");
        let three = Findings::of(&devnet_genesis(3)).lines(Path::new("g"), 0).join("\n");
        assert!(
            three.contains("none of them") && three.contains("WARNING      masternode 0 alone"),
            "{three}"
        );
    }

    #[test]
    fn how_many_may_fail_counts_the_heaviest_first() {
        for (weights, quorum, expected) in [
            (&[10, 10, 10, 10][..], 27, 1),
            (&[1, 1, 1], 3, 0),
            (&[1, 1, 1, 1, 1, 1, 1], 5, 2),
            (&[10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], 14, 0),
            (&[6, 1, 5, 5, 5], 15, 1),
        ] {
            assert_eq!(may_fail(weights, quorum), expected, "{weights:?}");
        }
    }

    #[test]
    fn every_problem_is_named_at_once() {
        assert_eq!(problems(&devnet_genesis(4)), [] as [String; 0]);
        let mut document = devnet_genesis(4);
        document.parameters.block_interval_ms = 0;
        document.parameters.recent_commits = 0;
        document.masternodes[1].operator_key = document.masternodes[0].operator_key;
        document.masternodes[2].collateral = Amount(7);
        document.masternodes[3].network_address = document.masternodes[0].network_address.clone();
        document.masternodes[2].network_address = "nowhere".to_owned();
        document.allocations[0].address.network = Network::Mainnet;
        document.allocations[1].amount = Amount::ZERO;
        let said = refusal("x", &problems(&document));
        assert_eq!(said.kind(), crate::cli::ExitKind::Usage);
        let text = said.to_string();
        for part in [
            "block_interval_ms",
            "recent_commits",
            "masternode 1: the operator key",
            "masternode 2: a collateral of 0.00000007",
            "masternode 2: \"nowhere\" is not HOST:PORT",
            "masternode 3: 127.0.0.1:24200 is the address of masternode 0 already",
            "is not an address of devnet",
            "must be above zero",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
