//! A line a block, as a node that answers tells of it.
//!
//! # Place
//! `timed devnet` shows it. It learns of blocks as anybody would: by RPC.
//!
//! # Bounds
//! Of many blocks at once the last [`LINES_MAX`] are told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::payments::Payments;
use super::url_of;
use crate::cli::rpc_client::{Endpoint, RpcClient, RpcCommandError};
use crate::cli::{CliError, output};
use crate::devnet::{ANSWER_MAX, Fleet};
use crate::rpc::methods::FINALIZED_EVENTS_MAX;
use crate::rpc::types::{BlockInfo, BlockchainInfo, EventInfo, EventPage, NodeStatus};
use crate::runtime::Clock;
use crate::types::{Height, TimeMs};

/// Without a block for so long, the reason is told, and again each time as long.
const QUIET_MAX: Duration = Duration::from_secs(10);
/// Blocks that are told one by one when many came at once; of more, the last ones.
const LINES_MAX: u64 = 20;

/// Follows the chain by a node that answers.
pub(super) struct Watcher {
    fleet: Arc<Fleet>,
    payments: Option<Payments>,
    clients: Vec<RpcClient>,
    current: usize,
    cursor: Option<String>,
    told: Option<(Height, TimeMs)>,
    started: Instant,
    last_news: Instant,
    first_told: bool,
}

impl Watcher {
    /// Of a devnet that started then.
    pub(super) fn new(fleet: Arc<Fleet>, started: Instant, show_payments: bool) -> Result<Self, CliError> {
        let devnet = fleet.directory();
        let client = |node: &crate::app::devnet::DevnetNode| {
            RpcClient::connect(&Endpoint::without_cookie(url_of(node)))
        };
        let clients = devnet.nodes.iter().map(client).collect::<Result<_, _>>()?;
        let told = (!devnet.existed).then_some((0, 0));
        let payments = show_payments.then(Payments::new);
        Ok(Self {
            fleet,
            payments,
            clients,
            current: 0,
            cursor: None,
            told,
            started,
            last_news: started,
            first_told: false,
        })
    }

    /// Prints what is new.
    pub(super) async fn tell(&mut self) -> Result<(), CliError> {
        if !self.fleet.is_well(self.current) {
            self.next();
            return Ok(());
        }
        let Some(client) = self.clients.get(self.current).cloned() else { return Ok(()) };
        match tokio::time::timeout(ANSWER_MAX, self.news(&client)).await {
            Ok(Ok(lines)) => lines.iter().try_for_each(output::line)?,
            Ok(Err(_)) | Err(_) => self.next(),
        }
        Ok(())
    }

    fn next(&mut self) {
        // The numbers of a node's finality events are its own.
        self.cursor = None;
        self.payments.iter_mut().for_each(Payments::forget);
        self.current = self.current.saturating_add(1).checked_rem(self.clients.len()).unwrap_or(0);
    }

    /// What became final, and then the blocks.
    async fn news(&mut self, client: &RpcClient) -> Result<Vec<String>, RpcCommandError> {
        let mut news = match &mut self.payments {
            Some(payments) => payments.lines(client).await?,
            None => Vec::new(),
        };
        news.extend(self.lines(client).await?);
        Ok(news)
    }

    async fn lines(&mut self, client: &RpcClient) -> Result<Vec<String>, RpcCommandError> {
        let chain: BlockchainInfo = client.call("getblockchaininfo", &[]).await?;
        let Some((told, told_ms)) = self.told else {
            // Where an existing chain goes on.
            self.told = Some((chain.blocks, chain.time));
            let page: EventPage = client.call("getfinalizedsince", &[]).await?;
            self.cursor = Some(page.next_cursor);
            return Ok(Vec::new());
        };
        let now = Clock.instant();
        if chain.blocks <= told {
            if now.saturating_duration_since(self.last_news) < QUIET_MAX {
                return Ok(Vec::new());
            }
            self.last_news = now;
            let status: NodeStatus = client.call("getnodestatus", &[]).await?;
            return Ok(vec![quiet_line(&status)]);
        }
        self.last_news = now;
        let finality = self.finality(client).await?;
        let mut lines = Vec::new();
        let from = told.max(chain.blocks.saturating_sub(LINES_MAX));
        // The time of genesis is no block's, and that of a block that was passed over is not known here.
        let mut before_ms = (told == from && told > 0).then_some(told_ms);
        for height in from.saturating_add(1)..=chain.blocks {
            let block: BlockInfo = client.call("getblock", &[json!(height), json!(1)]).await?;
            let since_ms = before_ms.map(|before_ms| block.time.saturating_sub(before_ms));
            let finality = finality.filter(|_| height == chain.blocks);
            lines.push(block_line(&block, since_ms, finality));
            before_ms = Some(block.time);
            self.told = Some((height, block.time));
        }
        if !std::mem::replace(&mut self.first_told, true) {
            let after = now.saturating_duration_since(self.started).as_secs_f64();
            lines.push(format!("(the first block {after:.1} s after the start)"));
        }
        Ok(lines)
    }

    /// How many transactions became final since the last call at this node, and the median time from its acceptance.
    async fn finality(&mut self, client: &RpcClient) -> Result<Option<(usize, f64)>, RpcCommandError> {
        let params = match &self.cursor {
            Some(cursor) => vec![json!(cursor), json!(FINALIZED_EVENTS_MAX), json!(0)],
            None => Vec::new(),
        };
        let page: EventPage = client.call("getfinalizedsince", &params).await?;
        self.cursor = Some(page.next_cursor);
        let latency = |event: &EventInfo| match event {
            EventInfo::Final(event) => event.latency_us,
            _ => None,
        };
        let mut latencies_us: Vec<u64> = page.events.iter().filter_map(latency).collect();
        latencies_us.sort_unstable();
        let median_us = latencies_us.get(latencies_us.len() / 2).copied();
        Ok(median_us.map(|us| (latencies_us.len(), Duration::from_micros(us).as_secs_f64() * 1_000.0)))
    }
}

fn quiet_line(status: &NodeStatus) -> String {
    let why =
        if status.reasons.is_empty() { "no reason known".to_owned() } else { status.reasons.join("; ") };
    format!("no block for {} s at height {}: {why}", QUIET_MAX.as_secs(), status.height)
}

fn block_line(block: &BlockInfo, since_ms: Option<u64>, finality: Option<(usize, f64)>) -> String {
    let mut line = format!("block {:>6}  {:>5} tx", block.height, block.transaction_count);
    match since_ms {
        Some(ms) => line.push_str(&format!("  +{:.2} s", Duration::from_millis(ms).as_secs_f64())),
        None => line.push_str("         "),
    }
    line.push_str(&format!("  epoch {}", block.epoch));
    if block.epoch_end {
        line.push_str(", its last");
    }
    if block.commit_round > 0 {
        line.push_str(&format!("  round {}", block.commit_round));
    }
    if let Some((count, p50_ms)) = finality {
        line.push_str(&format!("  {count} final in {p50_ms:.1} ms (median)"));
    }
    line
}
