//! What a node says, look after look.
//!
//! # Bounds
//! A look asks a dozen methods and reads at most [`PAGES_MAX`] pages of events; it ends after [`ANSWER_MAX`] in any case.

use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::json;

use super::finality::{Minute, float};
use crate::cli::rpc_client::{Endpoint, RpcClient, RpcCommandError};
use crate::rpc::methods::FINALIZED_EVENTS_MAX;
use crate::rpc::types::{
    BlockchainInfo, CommitInfo, ConsensusInfo, EventInfo, EventPage, HeartbeatInfo, MasternodeInfo,
    MemoryInfo, MempoolInfo, NetTotals, NodeStatus, PeerInfo, ResourceInfo, VoteLatencyInfo,
};
use crate::runtime::Clock;

/// A look that takes longer counts as no answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Votes of this minute and the one before are told.
const LATENCY_MINUTES: u64 = 2;
/// Pages of events in one look, at most; the rest comes with the next one.
const PAGES_MAX: usize = 8;
/// Events before the first look that it asks for: the last minute's, up to a thousand payments a second.
const EVENTS_BEFORE: i64 = 60_000;

/// A node at one moment, each member as its method answers it.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) status: NodeStatus,
    pub(super) chain: BlockchainInfo,
    pub(super) consensus: ConsensusInfo,
    /// Of the last block; absent before block 1.
    pub(super) commit: Option<CommitInfo>,
    pub(super) pool: MempoolInfo,
    pub(super) peers: Vec<PeerInfo>,
    pub(super) masternodes: Vec<MasternodeInfo>,
    pub(super) heartbeats: Vec<HeartbeatInfo>,
    pub(super) latency: VoteLatencyInfo,
    pub(super) resources: ResourceInfo,
    pub(super) memory: MemoryInfo,
    /// With the node's clock, by which its other times are judged.
    pub(super) totals: NetTotals,
}

/// What is told as a sum since the start, as a rate between two looks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// Processor time a second, as a part of one core.
    pub(super) cores: f64,
    /// The same by stage of a payment's way, the dearest first.
    pub(super) stages: Vec<(String, f64)>,
    /// Syncs of the logs a second.
    pub(super) syncs: f64,
    /// Bytes from peers a second.
    pub(super) received: f64,
    /// Bytes to peers a second.
    pub(super) sent: f64,
}

/// The sums of a look, and when that was.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    pub(super) at: Instant,
    pub(super) resources: ResourceInfo,
    pub(super) totals: NetTotals,
}

impl Rates {
    /// Between two looks at one process.
    pub(super) fn between(before: &Sums, after: &Sums) -> Option<Self> {
        let span = after.at.saturating_duration_since(before.at).as_secs_f64();
        if before.resources.process_id != after.resources.process_id || span <= 0.0 {
            return None;
        }
        let rate = |before: u64, after: u64| float(after.saturating_sub(before)) / span;
        let us = |before, after| rate(before, after) / 1_000_000.0;
        let mut stages: Vec<(String, f64)> = after
            .resources
            .stages_us
            .iter()
            .map(|(stage, sum)| {
                let earlier = before.resources.stages_us.get(stage).copied().unwrap_or(0);
                (stage.clone(), us(earlier, *sum))
            })
            .collect();
        stages.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        Some(Self {
            cores: us(before.resources.process_us, after.resources.process_us),
            stages,
            syncs: rate(before.resources.log_syncs, after.resources.log_syncs),
            received: rate(before.totals.total_bytes_received, after.totals.total_bytes_received),
            sent: rate(before.totals.total_bytes_sent, after.totals.total_bytes_sent),
        })
    }
}

/// Watches one node.
#[derive(Clone, Debug)]
pub(super) struct Watcher {
    endpoint: Endpoint,
    client: RpcClient,
    cursor: Option<String>,
    sums: Sums,
    pub(super) minute: Minute,
    pub(super) snapshot: Snapshot,
    pub(super) rates: Option<Rates>,
    /// When the node answered last, and since then why not.
    pub(super) answered: Instant,
    pub(super) trouble: Option<String>,
}

/// A look that succeeded.
struct Look {
    snapshot: Snapshot,
    events: Vec<EventInfo>,
    cursor: Option<String>,
}

impl Watcher {
    /// Takes the first look.
    ///
    /// # Errors
    /// When the node does not answer, or refuses.
    pub(super) async fn start(endpoint: Endpoint) -> Result<Self, RpcCommandError> {
        let client = RpcClient::connect(&endpoint)?;
        let look = look(&client, None).await?;
        let now = Clock.instant();
        let sums = Sums {
            at: now,
            resources: look.snapshot.resources.clone(),
            totals: look.snapshot.totals.clone(),
        };
        Ok(Self {
            endpoint,
            client,
            cursor: look.cursor,
            sums,
            minute: Minute::with(now, &look.events),
            snapshot: look.snapshot,
            rates: None,
            answered: now,
            trouble: None,
        })
    }

    /// Where the node is.
    pub(super) fn url(&self) -> &str {
        &self.endpoint.url
    }

    /// Takes another look. That the node does not answer is noted; what it said last stays.
    pub(super) async fn look(&mut self) {
        let answer = look(&self.client, self.cursor.as_deref()).await;
        let now = Clock.instant();
        match answer {
            Ok(look) => {
                let (resources, totals) = (look.snapshot.resources.clone(), look.snapshot.totals.clone());
                let sums = Sums { at: now, resources, totals };
                self.rates = Rates::between(&self.sums, &sums);
                self.sums = sums;
                self.minute.add(now, &look.events);
                (self.snapshot, self.cursor) = (look.snapshot, look.cursor);
                (self.answered, self.trouble) = (now, None);
            }
            Err(error) => {
                self.minute.add(now, &[]);
                self.trouble = Some(error.to_string());
                // A node that was started again has another cookie.
                if let Ok(client) = RpcClient::connect(&self.endpoint) {
                    self.client = client;
                }
            }
        }
    }
}

async fn look(client: &RpcClient, cursor: Option<&str>) -> Result<Look, RpcCommandError> {
    match tokio::time::timeout(ANSWER_MAX, ask(client, cursor)).await {
        Ok(look) => look,
        Err(_) => Err(RpcCommandError::Timeout { url: client.url().to_owned() }),
    }
}

async fn ask(client: &RpcClient, cursor: Option<&str>) -> Result<Look, RpcCommandError> {
    async fn get<T: DeserializeOwned>(client: &RpcClient, method: &str) -> Result<T, RpcCommandError> {
        client.call(method, &[]).await
    }
    let (events, cursor) = events(client, cursor).await?;
    let chain: BlockchainInfo = get(client, "getblockchaininfo").await?;
    let commit = if chain.blocks > 0 {
        Some(client.call("getcommit", &[json!(chain.best_block_hash)]).await?)
    } else {
        None
    };
    let snapshot = Snapshot {
        status: get(client, "getnodestatus").await?,
        consensus: get(client, "getconsensusinfo").await?,
        pool: get(client, "getmempoolinfo").await?,
        peers: get(client, "getpeerinfo").await?,
        masternodes: get(client, "masternodelist").await?,
        heartbeats: get(client, "getheartbeats").await?,
        latency: client.call("getvotelatency", &[json!(LATENCY_MINUTES)]).await?,
        resources: get(client, "getresourceinfo").await?,
        memory: get(client, "getmemoryinfo").await?,
        totals: get(client, "getnettotals").await?,
        chain,
        commit,
    };
    Ok(Look { snapshot, events, cursor: Some(cursor) })
}

/// What became final since the cursor, and the next one. Without a cursor the last that the node remembers.
async fn events(
    client: &RpcClient,
    cursor: Option<&str>,
) -> Result<(Vec<EventInfo>, String), RpcCommandError> {
    let mut cursor = cursor.map_or(json!(-EVENTS_BEFORE), |cursor| json!(cursor));
    let mut events = Vec::new();
    for _ in 0..PAGES_MAX {
        let params = [cursor, json!(FINALIZED_EVENTS_MAX), json!(0)];
        let page: EventPage = client.call("getfinalizedsince", &params).await?;
        let is_last = page.events.len() < FINALIZED_EVENTS_MAX;
        events.extend(page.events);
        cursor = json!(page.next_cursor);
        if is_last {
            break;
        }
    }
    Ok((events, cursor.as_str().unwrap_or_default().to_owned()))
}
