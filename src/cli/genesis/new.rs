//! `timed genesis new`: the genesis document of a network of one's own, from keys that its operators made.
//!
//! # Invariants
//! - INV-GENESIS-NEW-1: the network starts later than now, so that journals that are made meanwhile, without `--force`,
//!   let their keys sign from the first epoch on.
//! - No file is overwritten, and none is written that breaks a rule.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::check;
use crate::cli::{CliError, duration, output};
use crate::runtime::Clock;
use crate::runtime::key_file::{SecretFileError, sync_directory_of};
use crate::types::genesis::{Allocation, GenesisMasternode};
use crate::types::{Address, Amount, ChainParameters, GenesisDocument, Network, PublicKey, TimeMs};
use crate::wallet::masternode::tiers_text;

/// How much later than now a network starts at least: a journal counts as older than an epoch only by twice what clocks may
/// differ, and its operators need a moment.
const AHEAD_MIN: Duration = Duration::from_secs(20);

/// Flags of `timed genesis new`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which kind of network: it decides ports, addresses, and the numbers that the document starts with.
    #[arg(long)]
    network: Network,
    /// A first masternode, 3 to 100 of them: the public operator key that its operator's `timed init --masternode` printed,
    /// and where its node can be reached. The owner of its collateral, who gets its rewards too, is the first allocation's
    /// address unless it is said; the tier is silver.
    #[arg(
        long = "masternode",
        value_name = "KEY@HOST:PORT[,owner=ADDRESS][,payout=ADDRESS][,tier=TIER]",
        required = true
    )]
    masternodes: Vec<Founder>,
    /// First coins, in TIME.
    #[arg(long = "allocation", value_name = "ADDRESS=AMOUNT", value_parser = parse_allocation)]
    allocations: Vec<Allocation>,
    /// When the network starts: in so long (10m), or a time such as 2026-12-24T18:00:00Z. Until then every founder makes the
    /// vote journal of its key, and starts its node.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = Start::from_str)]
    start: Start,
    /// How long after a block the next one is due, such as 2s; the network's kind has one of its own.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_block_interval)]
    block_interval: Option<Duration>,
    /// The new file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A first masternode, as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Founder {
    key: PublicKey,
    network_address: String,
    owner: Option<Address>,
    payout: Option<Address>,
    tier: Option<String>,
}

impl FromStr for Founder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let (key, network_address) = parts.next().and_then(|first| first.split_once('@')).ok_or(
            "expected KEY@HOST:PORT, then what may follow: ,owner=ADDRESS ,payout=ADDRESS ,tier=TIER",
        )?;
        let key = key
            .parse::<PublicKey>()
            .map_err(|_| format!("{key:?} is no operator key of 64 hexadecimal digits"))?;
        let network_address = network_address.to_owned();
        let mut founder = Self { key, network_address, owner: None, payout: None, tier: None };
        for part in parts {
            let address = |text: &str| text.parse::<Address>().map_err(|error| format!("{text:?}: {error}"));
            match part.split_once('=') {
                Some(("owner", value)) if founder.owner.is_none() => founder.owner = Some(address(value)?),
                Some(("payout", value)) if founder.payout.is_none() => founder.payout = Some(address(value)?),
                Some(("tier", value)) if founder.tier.is_none() => founder.tier = Some(value.to_owned()),
                _ => {
                    return Err(format!(
                        "{part:?} is none of owner=, payout= and tier=, or the second one of them"
                    ));
                }
            }
        }
        Ok(founder)
    }
}

fn parse_allocation(text: &str) -> Result<Allocation, String> {
    let (address, amount) = text.split_once('=').ok_or("expected ADDRESS=AMOUNT")?;
    Ok(Allocation {
        address: address.parse::<Address>().map_err(|error| format!("{address:?}: {error}"))?,
        amount: amount.parse::<Amount>().map_err(|error| format!("{amount:?}: {error}"))?,
    })
}

/// When a network starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    In(Duration),
    At(TimeMs),
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
            let ms = time.unix_timestamp_nanos().checked_div(1_000_000).and_then(|ms| u64::try_from(ms).ok());
            return ms.map(Self::At).ok_or_else(|| "a time since 1970".to_owned());
        }
        duration::parse(text).map(Self::In).map_err(|_| {
            "expected how long from now, such as 10m, or a time such as 2026-12-24T18:00:00Z".to_owned()
        })
    }
}

impl Start {
    /// As a time, not earlier than [`AHEAD_MIN`] from now (INV-GENESIS-NEW-1).
    fn at(self, now_ms: TimeMs) -> Result<TimeMs, CliError> {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let time_ms = match self {
            Self::In(span) => now_ms.saturating_add(ms(span)),
            Self::At(time_ms) => time_ms,
        };
        if time_ms < now_ms.saturating_add(ms(AHEAD_MIN)) {
            return Err(CliError::Usage(format!(
                "--start: a network starts {} s from now at the earliest, since its founders make their vote journals before",
                AHEAD_MIN.as_secs()
            )));
        }
        Ok(time_ms)
    }
}

fn masternode(
    founder: &Founder,
    parameters: &ChainParameters,
    owner: Option<Address>,
) -> Result<GenesisMasternode, CliError> {
    let name = founder.tier.as_deref().unwrap_or("silver");
    let tier = parameters.tiers.iter().find(|tier| tier.name == name);
    let tier = tier.ok_or_else(|| {
        CliError::Usage(format!("there is no tier {name:?}; there are {}", tiers_text(&parameters.tiers)))
    })?;
    let owner = founder.owner.or(owner).ok_or_else(|| {
        CliError::Usage(format!(
            "nobody owns the collateral of {}: add ,owner=ADDRESS to it, or an --allocation",
            founder.network_address
        ))
    })?;
    Ok(GenesisMasternode {
        collateral: tier.collateral,
        owner,
        operator_key: founder.key,
        payout: founder.payout.unwrap_or(owner),
        network_address: founder.network_address.clone(),
    })
}

fn document(args: &Args, now_ms: TimeMs) -> Result<GenesisDocument, CliError> {
    let mut parameters = ChainParameters::of_network(args.network);
    if let Some(interval) = args.block_interval {
        parameters.block_interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    }
    let owner = args.allocations.first().map(|allocation| allocation.address);
    let masternodes = args
        .masternodes
        .iter()
        .map(|founder| masternode(founder, &parameters, owner))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(GenesisDocument {
        network: args.network,
        time_ms: args.start.at(now_ms)?,
        parameters,
        allocations: args.allocations.clone(),
        masternodes,
    })
}

/// Runs `timed genesis new`.
pub(super) fn run(args: &Args) -> Result<(), CliError> {
    let now_ms = Clock.now_ms();
    let document = document(args, now_ms)?;
    let problems = check::problems(&document);
    if !problems.is_empty() {
        return Err(check::refusal("the document would start no network", &problems));
    }
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AlreadyExists => SecretFileError::Exists { path: args.out.clone() }.into(),
        _ => CliError::Io { path: args.out.clone(), source },
    };
    let text = document.to_toml()?;
    let opened = OpenOptions::new().write(true).create_new(true).open(&args.out);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| sync_directory_of(&args.out))
        .map_err(failed)?;
    check::Findings::of(&document).lines(&args.out, now_ms).iter().try_for_each(output::line)?;
    for step in [
        "Next: give every founder this very file; one changed byte is another network. Each one, before the start:",
        "  copies it to genesis.toml beside its config.toml",
        "  timed votes new --config config.toml",
        "  timed --config config.toml",
    ] {
        output::notice(step);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::SecretKey;

    fn address(seed: u8) -> Address {
        Address::of_key_hash(Network::Testnet, SecretKey::from_seed(&[seed; 32]).public().key_hash())
    }

    fn founder(seed: u8, more: &str) -> Founder {
        let key = SecretKey::from_seed(&[seed; 32]).public();
        format!("{key}@node{seed}.example:24100{more}").parse().unwrap()
    }

    fn args() -> Args {
        Args {
            network: Network::Testnet,
            masternodes: vec![
                founder(1, ""),
                founder(2, &format!(",owner={}", address(22))),
                founder(3, &format!(",tier=gold,payout={},owner={}", address(33), address(32))),
                founder(4, ""),
            ],
            allocations: vec![parse_allocation(&format!("{}=12.5", address(9))).unwrap()],
            start: Start::In(Duration::from_secs(600)),
            block_interval: Some(Duration::from_millis(1_500)),
            out: PathBuf::new(),
        }
    }

    #[test]
    fn a_document_says_what_the_command_line_says() {
        let document = document(&args(), 1_000).unwrap();
        assert_eq!((document.check(), document.time_ms), (Ok(()), 601_000));
        assert_eq!(document.parameters.block_interval_ms, 1_500);
        assert_eq!(document.allocations[0].amount.to_string(), "12.50000000");
        let silver = Amount::from_time(10_000).unwrap();
        let told: Vec<_> = document.masternodes.iter().map(|m| (m.collateral, m.owner, m.payout)).collect();
        assert_eq!(told[0], (silver, address(9), address(9)), "the first allocation's address");
        assert_eq!(told[1], (silver, address(22), address(22)));
        assert_eq!(told[2], (Amount::from_time(100_000).unwrap(), address(32), address(33)));
        assert_eq!(document.masternodes[3].network_address, "node4.example:24100");
        assert_eq!(document.masternodes[3].operator_key, SecretKey::from_seed(&[4; 32]).public());
        let mut plain = args();
        plain.block_interval = None;
        let parameters = super::document(&plain, 0).unwrap().parameters;
        assert_eq!(parameters, ChainParameters::of_network(Network::Testnet));
    }

    #[test]
    fn what_is_wrong_on_the_command_line_is_named() {
        let key = SecretKey::from_seed(&[1; 32]).public();
        for (text, said) in [
            ("x".to_owned(), "KEY@HOST:PORT"),
            ("00@a:1".to_owned(), "64 hexadecimal digits"),
            (format!("{key}@a:1,owner=x"), "\"x\""),
            (format!("{key}@a:1,tier=gold,tier=gold"), "second"),
            (format!("{key}@a:1,weight=9"), "weight=9"),
        ] {
            let error = text.parse::<Founder>().unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert!(parse_allocation("x=1").is_err() && parse_allocation(&address(1).to_string()).is_err());
        let mut unknown = args();
        unknown.masternodes[0].tier = Some("lead".to_owned());
        assert!(document(&unknown, 0).unwrap_err().to_string().contains("gold"));
        let mut nobodys = args();
        nobodys.allocations.clear();
        let error = document(&nobodys, 0).unwrap_err().to_string();
        assert!(error.contains("node1.example:24100") && error.contains(",owner="), "{error}");
    }

    /// INV-GENESIS-NEW-1.
    #[test]
    fn a_network_starts_late_enough_for_journals_that_are_made_before() {
        let at = |text: &str, now_ms| text.parse::<Start>().unwrap().at(now_ms);
        assert_eq!(at("20s", 5).unwrap(), 20_005);
        assert_eq!(at("1970-01-01T01:00:20+01:00", 0).unwrap(), 20_000);
        for (text, now_ms) in
            [("19999ms", 0), ("1970-01-01T00:00:20Z", 1), ("2026-01-01T00:00:00Z", u64::MAX / 2)]
        {
            let error = at(text, now_ms).unwrap_err();
            assert_eq!(error.kind(), crate::cli::ExitKind::Usage, "{text}");
        }
        assert!("tomorrow".parse::<Start>().is_err() && "1969-12-31T00:00:00Z".parse::<Start>().is_err());
        // A journal of now signs in epochs that start later than this.
        let origin = crate::storage::JournalOrigin { created_ms: 1_000, forced: false };
        assert!(origin.signs_after_ms() < "20s".parse::<Start>().unwrap().at(1_000).unwrap());
    }
}
