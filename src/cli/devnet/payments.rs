//! A line for each final payment: how much, of whom, to whom, and in what time.
//!
//! # Place
//! `timed devnet --show-payments`; `watcher.rs` asks for them of the node that it follows.
//!
//! # Bounds
//! [`LINES_MAX`] lines a second; further payments are counted, and their number told.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::cli::rpc_client::{RpcClient, RpcCommandError};
use crate::rpc::methods::FINALIZED_EVENTS_MAX;
use crate::rpc::types::{EventInfo, EventPage, FinalEvent};
use crate::runtime::Clock;
use crate::types::codec::decode;
use crate::types::{Address, Amount, Lock, Network, Transaction, TxOut};

/// Lines of payments a second, at most.
const LINES_MAX: u32 = 10;
/// Letters of an address that are shown at its start, and at its end.
const ADDRESS_HEAD: usize = 14;
const ADDRESS_TAIL: usize = 4;

/// The payments of a node's feed.
pub(super) struct Payments {
    cursor: Option<String>,
    turn: Turn,
}

/// How many lines this second has had.
struct Turn {
    began: Instant,
    told: u32,
    untold: u64,
}

impl Turn {
    /// Begins the next second if this one is over; how many payments it had no line for.
    fn over(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.began) < Duration::from_secs(1) {
            return None;
        }
        let untold = self.untold;
        *self = Self { began: now, told: 0, untold: 0 };
        (untold > 0).then_some(untold)
    }

    /// Whether there is a line for one more payment.
    fn takes(&mut self) -> bool {
        let takes = self.told < LINES_MAX;
        if takes {
            self.told = self.told.saturating_add(1);
        } else {
            self.untold = self.untold.saturating_add(1);
        }
        takes
    }
}

impl Payments {
    /// From now on.
    pub(super) fn new() -> Self {
        Self { cursor: None, turn: Turn { began: Clock.instant(), told: 0, untold: 0 } }
    }

    /// Begins anew, with what another node tells from now on.
    pub(super) fn forget(&mut self) {
        self.cursor = None;
    }

    /// What became final since the last call.
    pub(super) async fn lines(&mut self, client: &RpcClient) -> Result<Vec<String>, RpcCommandError> {
        let params = match &self.cursor {
            Some(cursor) => vec![json!(cursor), json!(FINALIZED_EVENTS_MAX), json!(0)],
            None => Vec::new(),
        };
        let page: EventPage = client.call("getfinalizedsince", &params).await?;
        self.cursor = Some(page.next_cursor);
        let mut lines = Vec::new();
        if let Some(untold) = self.turn.over(Clock.instant()) {
            lines.push(format!("… and {untold} more payments in this second"));
        }
        for event in &page.events {
            let EventInfo::Final(event) = event else { continue };
            if !event.reward && self.turn.takes() {
                lines.push(line(client, event).await?);
            }
        }
        Ok(lines)
    }
}

async fn line(client: &RpcClient, event: &FinalEvent) -> Result<String, RpcCommandError> {
    let told: String = client.call("getrawtransaction", &[json!(event.txid), json!(0)]).await?;
    let paid = hex::decode(&told).ok().and_then(|bytes| decode::<Transaction>(&bytes).ok());
    let paid = paid.ok_or_else(|| RpcCommandError::Malformed {
        url: client.url().to_owned(),
        detail: format!("{} is no transaction", event.txid),
    })?;
    let payers: Vec<Lock> =
        paid.witnesses.iter().map(|witness| Lock::KeyHash(witness.key.key_hash())).collect();
    Ok(text(&paid.outputs, &payers, event.latency_us))
}

/// What goes back to the payers is no payment, unless all does.
fn text(outputs: &[TxOut], payers: &[Lock], latency_us: Option<u64>) -> String {
    let (back, away): (Vec<&TxOut>, Vec<&TxOut>) =
        outputs.iter().partition(|output| payers.contains(&output.lock));
    let paid = if away.is_empty() { back } else { away };
    let units = paid.iter().map(|output| output.value.units()).fold(0, u64::saturating_add);
    let receivers: Vec<Lock> = paid.iter().map(|output| output.lock).collect();
    let time = latency_us.map_or_else(String::new, |us| {
        format!("  final in {:.1} ms", Duration::from_micros(us).as_secs_f64() * 1_000.0)
    });
    let amount = Amount(units).to_string();
    format!("paid {amount:>19} TIME  {} -> {}{time}", names(payers), names(&receivers))
}

fn names(locks: &[Lock]) -> String {
    let address = |lock: Lock| short(Address { network: Network::Devnet, lock });
    match locks {
        [] => "nobody".to_owned(),
        [only] => address(*only),
        [first, more @ ..] => format!("{} and {} more", address(*first), more.len()),
    }
}

fn short(address: Address) -> String {
    let text = address.to_string();
    let tail = text.len().saturating_sub(ADDRESS_TAIL);
    match (text.get(..ADDRESS_HEAD), text.get(tail..)) {
        (Some(head), Some(tail)) => format!("{head}…{tail}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::KeyHash;

    #[test]
    fn a_line_tells_what_went_to_others_and_not_the_change() {
        let [payer, shop, other] = [1, 2, 3].map(|number| Lock::KeyHash(KeyHash([number; 32])));
        let out = |units, lock| TxOut { value: Amount(units), lock };
        let line = text(&[out(1_250_000_000, shop), out(5, payer)], &[payer], Some(4_100));
        let expected = format!(
            "paid         12.50000000 TIME  {} -> {}  final in 4.1 ms",
            names(&[payer]),
            names(&[shop])
        );
        assert_eq!(line, expected);
        assert!(line.chars().count() <= 100 && line.contains("dtime1"), "{line}");
        let two = text(&[out(1, shop), out(2, other), out(5, payer)], &[payer], None);
        assert!(two.contains("0.00000003 TIME") && two.ends_with(" and 1 more"), "{two}");
        let joint = text(&[out(1, shop), out(2, other)], &[payer, other], None);
        assert!(joint.contains("0.00000001 TIME") && joint.contains(" and 1 more -> "), "{joint}");
        let back = text(&[out(7, payer)], &[payer], None);
        assert!(back.contains("0.00000007 TIME"), "to oneself: {back}");
    }

    #[test]
    fn a_second_has_so_many_lines_and_the_rest_is_counted() {
        let began = Clock.instant();
        let mut turn = Turn { began, told: 0, untold: 0 };
        let takes = (0..LINES_MAX + 5).filter(|_| turn.takes()).count();
        assert_eq!(takes, usize::try_from(LINES_MAX).unwrap());
        assert_eq!(turn.over(began + Duration::from_millis(999)), None);
        assert_eq!(turn.over(began + Duration::from_secs(1)), Some(5));
        assert!(turn.takes());
        assert_eq!(turn.over(began + Duration::from_secs(2)), None, "all were told");
    }
}
