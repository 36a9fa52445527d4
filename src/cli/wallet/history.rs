//! `timed wallet history`: what transactions did to accounts, the newest first.
//!
//! What several accounts got and gave by one transaction is added up, so a payment from one to another shows as its fee.
//! Each account is asked for as many transactions as are to be shown: the newest of all are among the newest of each.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::json;

use super::super::CliError;
use super::super::rpc_client::{ConnectionArgs, RpcClient, RpcCommandError, say, say_json};
use super::coins::right;
use super::memo::{Memo, transaction};
use super::owner::OwnersArgs;
use crate::rpc::types::{AddressHistory, BlockchainInfo, HeaderInfo, HistoryInfo, TransactionStatus};
use crate::runtime::time_text::utc;
use crate::types::{Amount, Height, Payload, SecretKey, TimeMs, TxId};

/// Transactions of blocks that are shown, at most: a node's largest page.
const HISTORY_MAX: i64 = 1_000;

/// Flags of `timed wallet history`.
#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    owners: OwnersArgs,
    /// Which node.
    #[command(flatten)]
    connection: ConnectionArgs,
    /// How many transactions of blocks to show; those that no block has yet come first and are all shown.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=HISTORY_MAX))]
    limit: u32,
    /// Go on where an answer before ended, as it says at its end.
    #[arg(long, value_name = "BLOCK:PLACE")]
    before: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A transaction as `--json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Entry {
    txid: TxId,
    status: TransactionStatus,
    height: Option<Height>,
    /// Its place in the block, from 0.
    place: Option<u32>,
    /// The block's time; absent while no block has it, and where the node does not have the block.
    time: Option<TimeMs>,
    /// What the accounts got, in base units, change included.
    received: Amount,
    received_time: String,
    /// What it spent of the accounts' coins.
    sent: Amount,
    sent_time: String,
    /// The one less the other, in base units.
    net: i128,
    net_time: String,
    /// Which accounts it is about.
    accounts: BTreeSet<u32>,
    /// The memo as far as this wallet can read it, in hexadecimal; absent without one, and where it can't be read.
    memo: Option<String>,
    /// The same as text, where it is one.
    memo_text: Option<String>,
    /// Whether it is encrypted to the receiver.
    memo_encrypted: bool,
    /// The memo for people.
    #[serde(skip)]
    memo_words: Option<String>,
}

/// What `--json` prints.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Report {
    history: Vec<Entry>,
    /// What to go on with by `--before`; absent at the end.
    next: Option<String>,
    /// What is older than this block is not told by the node; 0 when all is.
    complete_from: Height,
    /// Up to which block the node tells.
    height: Height,
}

/// An amount that may be below zero: "+1.50000000".
fn signed(net: i128) -> String {
    let amount = Amount(u64::try_from(net.unsigned_abs()).unwrap_or(u64::MAX));
    let sign = if net < 0 { "-" } else { "+" };
    format!("{sign}{amount}")
}

impl Entry {
    fn of(account: u32, info: &HistoryInfo) -> Self {
        let entry = Self {
            txid: info.txid,
            status: info.status,
            height: info.height,
            place: info.place,
            time: None,
            received: Amount::ZERO,
            received_time: Amount::ZERO.to_string(),
            sent: Amount::ZERO,
            sent_time: Amount::ZERO.to_string(),
            net: 0,
            net_time: String::new(),
            accounts: BTreeSet::new(),
            memo: None,
            memo_text: None,
            memo_encrypted: false,
            memo_words: None,
        };
        entry.with(account, info)
    }

    /// Adds what it did to another account.
    fn with(mut self, account: u32, info: &HistoryInfo) -> Self {
        // All coins that exist fit into 64 bits.
        self.received = Amount(self.received.units().saturating_add(info.received.units()));
        self.sent = Amount(self.sent.units().saturating_add(info.sent.units()));
        (self.received_time, self.sent_time) = (self.received.to_string(), self.sent.to_string());
        self.net = i128::from(self.received.units()) - i128::from(self.sent.units());
        self.net_time = signed(self.net);
        // A block may come between the answers for two accounts.
        self.status = self.status.max(info.status);
        self.height = self.height.or(info.height);
        self.place = self.place.or(info.place);
        self.accounts.insert(account);
        self
    }

    fn say(&mut self, memo: &Memo) {
        self.memo = memo.bytes().map(hex::encode);
        self.memo_text = memo.bytes().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        self.memo_encrypted = memo.is_encrypted();
        self.memo_words = Some(memo.words());
    }

    /// Its block and its place there, while it has one.
    fn at(&self) -> Option<(Height, u32)> {
        self.height.zip(self.place)
    }
}

/// Puts the answers for several accounts together, and takes the newest of them.
fn merge(answers: &[(u32, AddressHistory)], limit: usize) -> Report {
    let mut entries: BTreeMap<TxId, Entry> = BTreeMap::new();
    for (account, answer) in answers {
        for info in &answer.history {
            let entry = match entries.remove(&info.txid) {
                Some(entry) => entry.with(*account, info),
                None => Entry::of(*account, info),
            };
            entries.insert(info.txid, entry);
        }
    }
    let (mut history, mut settled): (Vec<Entry>, Vec<Entry>) =
        entries.into_values().partition(|entry| entry.at().is_none());
    settled.sort_by_key(|entry| std::cmp::Reverse(entry.at()));
    let has_more = settled.len() > limit || answers.iter().any(|(_, answer)| answer.next.is_some());
    settled.truncate(limit);
    let last = settled.last().and_then(Entry::at);
    history.extend(settled);
    Report {
        history,
        next: last.filter(|_| has_more).map(|(height, place)| format!("{height}:{place}")),
        complete_from: answers.iter().map(|(_, answer)| answer.complete_from).max().unwrap_or(0),
        height: answers.iter().map(|(_, answer)| answer.height).min().unwrap_or(0),
    }
}

/// Asks for the times of blocks; one that the node does not have keeps none.
async fn add_times(client: &RpcClient, report: &mut Report) -> Result<(), RpcCommandError> {
    let mut times: BTreeMap<Height, Option<TimeMs>> = BTreeMap::new();
    for entry in &mut report.history {
        let Some(height) = entry.height else { continue };
        if let std::collections::btree_map::Entry::Vacant(place) = times.entry(height) {
            place.insert(match client.call::<HeaderInfo>("getblockheader", &[json!(height)]).await {
                Ok(header) => Some(header.time),
                Err(RpcCommandError::Refused { .. }) => None,
                Err(error) => return Err(error),
            });
        }
        entry.time = times.get(&height).copied().flatten();
    }
    Ok(())
}

/// Asks for the memos; one of a transaction that the node does not have stays unknown.
async fn add_memos(
    client: &RpcClient,
    keys: &[SecretKey],
    report: &mut Report,
) -> Result<(), RpcCommandError> {
    let chain: BlockchainInfo = client.call("getblockchaininfo", &[]).await?;
    // The document's own coins are of no transaction.
    for entry in report.history.iter_mut().filter(|entry| entry.height != Some(0)) {
        let Some(paid) = transaction(client, entry.txid).await? else { continue };
        if let Payload::Transfer { memo } = &paid.payload
            && let Some(memo) = Memo::of(memo, keys, &chain.chain_id)
        {
            entry.say(&memo);
        }
    }
    Ok(())
}

fn lines(report: &Report) -> Vec<String> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["WHEN", "BLOCK", "TIME", "ACCOUNTS", "TRANSACTION", "MEMO"]);
    for entry in &report.history {
        let when = match (entry.time, entry.height, entry.status) {
            (Some(time), ..) => utc(time),
            (None, Some(0), _) => "genesis".to_owned(),
            (None, Some(_), _) => "-".to_owned(),
            (None, None, status) if status >= TransactionStatus::Final => "just now, final".to_owned(),
            (None, None, _) => "on its way".to_owned(),
        };
        let accounts: Vec<String> = entry.accounts.iter().map(u32::to_string).collect();
        table.add_row([
            when,
            entry.height.map_or_else(|| "-".to_owned(), |height| height.to_string()),
            entry.net_time.clone(),
            accounts.join(", "),
            entry.txid.to_string(),
            entry.memo_words.clone().unwrap_or_default(),
        ]);
    }
    right(&mut table, &[1, 2]);
    let mut lines = match report.history.len() {
        0 => vec!["no transactions".to_owned()],
        _ => vec![table.to_string()],
    };
    match &report.next {
        Some(next) => lines.push(format!("There are older ones: --before {next}")),
        None if report.complete_from > 0 => lines.push(format!(
            "The node tells nothing that is older than block {}; ask one that has the whole chain",
            report.complete_from
        )),
        None => {}
    }
    lines
}

/// Runs `timed wallet history`.
pub(super) async fn history(args: &HistoryArgs) -> Result<(), CliError> {
    let client = args.connection.client()?;
    let owners = args.owners.open(&client).await?;
    let mut answers = Vec::new();
    for account in owners.accounts() {
        let params = [json!(account.address), json!(args.limit), json!(args.before)];
        answers.push((account.index, client.call("getaddresshistory", &params).await?));
    }
    let mut report = merge(&answers, usize::try_from(args.limit).unwrap_or(usize::MAX));
    add_times(&client, &mut report).await?;
    add_memos(&client, &owners.keys(), &mut report).await?;
    if args.json {
        return Ok(say_json(&report)?);
    }
    Ok(lines(&report).iter().try_for_each(|line| say(line))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::index_history::HistoryPlace;

    fn info(seed: u8, at: Option<(Height, u32)>, received: u64, sent: u64) -> HistoryInfo {
        let status = if at.is_some() { TransactionStatus::Confirmed } else { TransactionStatus::Final };
        let at = at.map(|(height, place)| HistoryPlace { height, place });
        HistoryInfo::of(TxId([seed; 32]), status, at, (Amount(received), Amount(sent)))
    }

    fn answer(history: Vec<HistoryInfo>, next: Option<&str>) -> AddressHistory {
        let next = next.map(str::to_owned);
        AddressHistory { history, next, pool_complete: Some(true), complete_from: 0, height: 9 }
    }

    #[test]
    fn accounts_are_added_up_and_the_newest_come_first() {
        // 1: account 0 pays account 2 within the wallet, for a fee of 10; 2: it is paid; 3: it pays, in no block yet.
        let first = answer(
            vec![info(3, None, 50, 200), info(2, Some((9, 1)), 700, 0), info(1, Some((9, 0)), 0, 500)],
            None,
        );
        let second = answer(vec![info(1, Some((9, 0)), 490, 0), info(4, Some((3, 5)), 7, 0)], None);
        let report = merge(&[(0, first), (2, second)], 10);
        let shown: Vec<(u8, i128, Vec<u32>)> = report
            .history
            .iter()
            .map(|entry| (entry.txid.0[0], entry.net, entry.accounts.iter().copied().collect()))
            .collect();
        assert_eq!(shown, [(3, -150, vec![0]), (2, 700, vec![0]), (1, -10, vec![0, 2]), (4, 7, vec![2])]);
        assert_eq!((report.next.as_deref(), report.height), (None, 9));
        assert_eq!((signed(-150), signed(700_000_000)), ("-0.00000150".to_owned(), "+7.00000000".to_owned()));
        let text = lines(&report).join("\n");
        assert!(text.contains("just now, final") && text.contains("0, 2"), "{text}");
        let mut report = report;
        report.history[0].say(&Memo::Sealed);
        report.history[1].say(&Memo::Read(b"order 7".to_vec()));
        let text = lines(&report).join("\n");
        assert!(text.contains("  encrypted  ") && text.contains("\"order 7\" (encrypted)"), "{text}");
        let said = serde_json::to_value(&report.history[..2]).unwrap();
        assert_eq!((&said[0]["memo"], &said[0]["memo_encrypted"]), (&json!(null), &json!(true)));
        assert_eq!((&said[1]["memo"], &said[1]["memo_text"]), (&json!("6f726465722037"), &json!("order 7")));
    }

    #[test]
    fn what_is_cut_off_is_asked_for_next() {
        let all =
            || vec![info(3, Some((9, 1)), 3, 0), info(2, Some((9, 0)), 2, 0), info(1, Some((4, 7)), 1, 0)];
        let next = |answers: &[(u32, AddressHistory)], limit| merge(answers, limit).next;
        assert_eq!(next(&[(0, answer(all(), None))], 3), None);
        assert_eq!(next(&[(0, answer(all(), None))], 2).as_deref(), Some("9:0"));
        assert_eq!(next(&[(0, answer(all(), Some("4:7")))], 3).as_deref(), Some("4:7"), "the node has more");
        // Of two accounts the one with older transactions waits.
        let old = answer(vec![info(5, Some((2, 0)), 1, 0)], None);
        let report = merge(&[(0, answer(all(), None)), (1, old)], 3);
        assert_eq!((report.history.len(), report.next.as_deref()), (3, Some("4:7")));
        assert!(lines(&report).join("\n").contains("--before 4:7"));
    }

    #[test]
    fn a_history_with_a_beginning_that_is_lost_says_so() {
        let pruned = AddressHistory { complete_from: 6, ..answer(Vec::new(), None) };
        let report = merge(&[(0, answer(Vec::new(), None)), (1, pruned)], 5);
        let text = lines(&report).join("\n");
        assert!(text.contains("no transactions") && text.contains("older than block 6"), "{text}");
    }
}
