//! Reads events from a cursor on, from the ring, or from blocks and the pool where the ring has them no more.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::describe::{Times, final_event, other};
use super::{Cursor, Entry, EventLog, Happened, PoolListener};
use crate::rpc::api::{BlockSelector, NodeApi, NodeApiError};
use crate::rpc::limits::EVENT_TEXT_BYTES_MAX;
use crate::rpc::types::{
    BlockEvent, ConsensusInfo, EventInfo, EventPage, MissedInfo, TransactionStatus, TransactionStatusInfo,
};
use crate::runtime::Clock;
use crate::types::{Address, CommittedBlock, Height, Lock, Transaction, TxId};

/// Events of the ring, or transactions of blocks, that one page looks at, at most: some milliseconds.
const LOOKED_AT_MAX: usize = 8_192;
/// Finals of the pool that are looked at in one step.
const FINALS_A_LOOK: usize = 4_096;
/// Blocks that one page looks at, at most.
const BLOCKS_A_PAGE: u64 = 64;
/// A consensus that moves fast is told so often.
const CONSENSUS_PAUSE: Duration = Duration::from_millis(100);
/// About what an event takes as text, without what it says of an address.
const EVENT_TEXT_BYTES: usize = 320;
/// About what an output or an input takes as text.
const PART_TEXT_BYTES: usize = 200;

/// What a reader wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Each block.
    Blocks,
    /// Each final transaction.
    Finalized,
    /// Each state of one transaction.
    Transaction(TxId),
    /// Each final transaction that pays an address, or spends of it.
    Address(Address),
    /// What enters and leaves the pool.
    Mempool,
    /// The steps of the consensus.
    Consensus,
    /// Two transactions that spend the same coin.
    Doublespend,
}

impl Topic {
    /// The names of all topics, and what each needs beside.
    pub const NAMES: [(&'static str, Option<&'static str>); 7] = [
        ("blocks", None),
        ("finalized", None),
        ("transaction", Some("txid")),
        ("address", Some("address")),
        ("mempool", None),
        ("consensus", None),
        ("doublespend", None),
    ];

    /// The topic of a name and what stands behind it.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn of(name: &str, about: Option<&Value>) -> Result<Self, String> {
        let text = |what: &str| match about {
            Some(Value::String(text)) => Ok(text.as_str()),
            _ => Err(format!("the topic {name:?} needs {what} as the second parameter")),
        };
        match name {
            "transaction" => {
                text("a txid")?.parse().map(Self::Transaction).map_err(|error| format!("{error}"))
            }
            "address" => text("an address")?.parse().map(Self::Address).map_err(|error| format!("{error}")),
            _ if Self::NAMES.iter().all(|(known, _)| *known != name) => {
                let names: Vec<&str> = Self::NAMES.iter().map(|(name, _)| *name).collect();
                Err(format!("there is no topic {name:?}; there are {}", names.join(", ")))
            }
            _ if about.is_some_and(|about| !about.is_null()) => Err(format!(
                "the topic {name:?} is about nothing in particular; the second parameter is null"
            )),
            "blocks" => Ok(Self::Blocks),
            "finalized" => Ok(Self::Finalized),
            "mempool" => Ok(Self::Mempool),
            "consensus" => Ok(Self::Consensus),
            "doublespend" => Ok(Self::Doublespend),
            _ => {
                let names: Vec<&str> = Self::NAMES.iter().map(|(name, _)| *name).collect();
                Err(format!("there is no topic {name:?}; there are {}", names.join(", ")))
            }
        }
    }

    /// Whether blocks can tell what the ring has forgotten.
    const fn is_in_blocks(self) -> bool {
        match self {
            Self::Blocks | Self::Finalized | Self::Address(_) => true,
            Self::Transaction(_) | Self::Mempool | Self::Consensus | Self::Doublespend => false,
        }
    }

    /// Whether an event of the ring belongs to it.
    const fn has(self, happened: &Happened) -> bool {
        match (self, happened) {
            (Self::Finalized | Self::Address(_) | Self::Mempool, Happened::Final { .. })
            | (Self::Blocks, Happened::Block(_))
            | (Self::Mempool, Happened::Accepted(_) | Happened::Dropped { .. })
            | (Self::Doublespend, Happened::Doublespend { .. }) => true,
            // Whoever adds a topic or an event decides here.
            (
                Self::Blocks
                | Self::Finalized
                | Self::Transaction(_)
                | Self::Address(_)
                | Self::Mempool
                | Self::Consensus
                | Self::Doublespend,
                Happened::Final { .. }
                | Happened::Block(_)
                | Happened::Accepted(_)
                | Happened::Dropped { .. }
                | Happened::Doublespend { .. },
            ) => false,
        }
    }
}

/// A topic and a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What to hear of.
    pub topic: Topic,
    /// From where on.
    pub cursor: Cursor,
}

/// What a page may still hold.
struct Page {
    events: Vec<EventInfo>,
    bytes: usize,
    limit: PageLimit,
}

/// How much a page holds, at most; the event that exceeds the bytes is its last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit {
    /// Events, at least one.
    pub events: usize,
    /// Bytes of their text, about.
    pub bytes: usize,
}

impl Page {
    const fn new(limit: PageLimit) -> Self {
        Self { events: Vec::new(), bytes: 0, limit }
    }

    const fn is_full(&self) -> bool {
        self.events.len() >= self.limit.events || self.bytes >= self.limit.bytes
    }

    fn add(&mut self, event: EventInfo) {
        let parts = match &event {
            EventInfo::Final(told) => told.address.as_ref().map_or(0, |part| {
                part.memo.len().saturating_add(
                    part.outputs.len().saturating_add(part.spends.len()).saturating_mul(PART_TEXT_BYTES),
                )
            }),
            EventInfo::Doublespend(_) => EVENT_TEXT_BYTES_MAX,
            _ => 0,
        };
        self.bytes = self.bytes.saturating_add(EVENT_TEXT_BYTES).saturating_add(parts);
        self.events.push(event);
    }
}

/// Where a reader is in the pool, between the blocks and the ring. No description is kept for it, so a reader that is slow
/// holds nothing.
#[derive(Clone, Copy)]
struct PoolPlace {
    /// Where the ring was when the reader came here: it goes on there.
    ring: Cursor,
    /// The number of the last one that was looked at.
    after: Option<u64>,
}

/// Reads on from a cursor.
pub struct EventReader {
    node: Arc<dyn NodeApi>,
    log: Arc<EventLog>,
    topic: Topic,
    cursor: Cursor,
    lock: Option<Lock>,
    /// While the reader goes through what is final in the pool.
    pool_place: Option<PoolPlace>,
    /// What was told of one transaction last.
    told: Option<TransactionStatusInfo>,
    /// What was told of the consensus last, and what tells that there is more.
    consensus: Option<(Option<ConsensusInfo>, watch::Receiver<u64>)>,
    _pool: Option<PoolListener>,
}

impl EventReader {
    /// A reader of a node's events.
    #[must_use]
    pub fn new(node: Arc<dyn NodeApi>, wanted: Wanted) -> Self {
        let log = Arc::clone(node.events());
        let lock = match wanted.topic {
            Topic::Address(address) => Some(address.lock),
            _ => None,
        };
        let pool = matches!(wanted.topic, Topic::Mempool).then(|| log.listen_to_the_pool());
        let consensus = matches!(wanted.topic, Topic::Consensus).then(|| (None, log.steps()));
        let (cursor, pool_place) = match wanted.cursor {
            Cursor::Pool { height, life, sequence, after } => {
                let ring = Cursor::Live { height, life, sequence };
                // The pool of another start has other numbers; blocks tell what that one was told.
                let is_here = life == log.life && wanted.topic.is_in_blocks();
                (ring, is_here.then_some(PoolPlace { ring, after: Some(after) }))
            }
            cursor => (cursor, None),
        };
        Self { node, log, topic: wanted.topic, cursor, lock, pool_place, told: None, consensus, _pool: pool }
    }

    /// Waits until there may be something to read.
    pub async fn news(&mut self) {
        if self.pool_place.is_some() {
            return;
        }
        match (self.topic, &mut self.consensus, self.cursor) {
            (Topic::Transaction(txid), ..) => {
                // In this order: what changes after the look is told.
                let changed = self.node.next_change(txid);
                if let Some(told) = &self.told
                    && self.node.transaction_status(txid).await.is_ok_and(|status| status == *told)
                {
                    changed.await;
                }
            }
            (_, Some((told, steps)), _) => {
                if told.is_some() {
                    tokio::time::sleep(CONSENSUS_PAUSE).await;
                    // The log lives as long as this reader.
                    let _closed = steps.changed().await.is_err();
                }
            }
            (.., Cursor::Live { life, sequence, .. } | Cursor::Pool { life, sequence, .. }) => {
                // Numbers of another start, or of another node, count something else: the blocks are to be read.
                if self.log.holds(life, sequence) {
                    self.log.reached(sequence).await;
                }
            }
            (.., Cursor::Chain { height, .. }) => {
                if height > self.log.height().saturating_add(1) {
                    // A block of the future: whatever happens is a reason to look.
                    let Cursor::Live { sequence, .. } = self.log.head() else { return };
                    self.log.reached(sequence).await;
                }
            }
        }
    }

    /// Whether nothing will ever follow.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.status == TransactionStatus::Confirmed)
    }

    /// What there is, within a limit; it may be nothing.
    ///
    /// # Errors
    /// Those of reading blocks.
    pub async fn page(&mut self, limit: PageLimit) -> Result<EventPage, NodeApiError> {
        let mut page = Page::new(limit);
        let mut missed = None;
        if let Some(place) = self.pool_place {
            self.read_pool(place, &mut page);
            return Ok(self.told(page, missed));
        }
        match self.topic {
            Topic::Transaction(txid) => {
                let status = self.node.transaction_status(txid).await?;
                if self.told.as_ref() != Some(&status) {
                    self.told = Some(status.clone());
                    page.add(EventInfo::Status(Box::new(status)));
                }
            }
            Topic::Consensus => {
                let info = self.node.consensus_info();
                if let Some((told, _)) = &mut self.consensus
                    && told.as_ref() != Some(&info)
                {
                    *told = Some(info.clone());
                    page.add(EventInfo::Consensus(info));
                }
            }
            _ => {
                if !self.read_ring(&mut page) {
                    missed = self.catch_up(&mut page).await?;
                }
            }
        }
        Ok(self.told(page, missed))
    }

    fn told(&self, page: Page, missed: Option<MissedInfo>) -> EventPage {
        let cursor = match self.pool_place {
            None => self.cursor,
            Some(PoolPlace { ring: Cursor::Live { height, life, sequence }, after: Some(after) }) => {
                Cursor::Pool { height, life, sequence, after }
            }
            // Of the pool nothing was told yet.
            Some(PoolPlace { ring, .. }) => {
                let (height, place) = ring.in_chain();
                Cursor::Chain { height, place }
            }
        };
        EventPage { events: page.events, next_cursor: cursor.to_string(), missed }
    }

    /// Reads from the ring; false if that is not where the cursor points to any more.
    fn read_ring(&mut self, page: &mut Page) -> bool {
        let Cursor::Live { life, mut sequence, .. } = self.cursor else { return false };
        if life != self.log.life {
            return false;
        }
        let Some((entries, after)) = self.log.part(sequence, LOOKED_AT_MAX) else { return false };
        for entry in &entries {
            if page.is_full() {
                // By the entry itself: the ring may have forgotten it meanwhile.
                self.cursor = entry.place(life, sequence);
                return true;
            }
            sequence = sequence.saturating_add(1);
            if let Some(event) = self.describe(entry) {
                page.add(event);
            }
        }
        self.cursor = after;
        true
    }

    fn describe(&self, entry: &Entry) -> Option<EventInfo> {
        match &entry.happened {
            happened if !self.topic.has(happened) => None,
            Happened::Final { txid, transaction, height, latency } => {
                let age = Clock.instant().saturating_duration_since(entry.at);
                let times = Times { height: *height, latency: *latency, age: Some(age) };
                self.final_event(Some(*txid), transaction, &times)
            }
            happened => other(happened),
        }
    }

    fn final_event(&self, txid: Option<TxId>, one: &Transaction, times: &Times) -> Option<EventInfo> {
        final_event(self.node.network(), (txid, one), times, self.lock.as_ref()).map(EventInfo::Final)
    }

    /// Reads blocks, and what is final beside them when all of them are read; then the reader is in the ring.
    async fn catch_up(&mut self, page: &mut Page) -> Result<Option<MissedInfo>, NodeApiError> {
        let (mut height, mut place) = self.cursor.in_chain();
        if !self.topic.is_in_blocks() {
            let head = self.log.head();
            let (next, _) = head.in_chain();
            self.cursor = head;
            return Ok(Some(missed(height, next.saturating_sub(1))));
        }
        let _turn = Arc::clone(&self.log.replays).acquire_owned().await;
        let mut looked_at_max = LOOKED_AT_MAX;
        let last_looked_at = height.saturating_add(BLOCKS_A_PAGE);
        loop {
            let told = self.log.head();
            let (next, _) = told.in_chain();
            if height > next {
                // A block that is not there yet.
                self.cursor = Cursor::Chain { height, place };
                return Ok(None);
            }
            if height == next {
                self.read_pool(PoolPlace { ring: told, after: None }, page);
                return Ok(None);
            }
            let committed = match self.node.block(BlockSelector::Height(height)).await {
                Ok(Some(committed)) => committed,
                Ok(None) => {
                    self.cursor = told;
                    return Ok(Some(missed(height, next.saturating_sub(1))));
                }
                // INV-EVENTS-3: what was pruned, or came before this node's snapshot, never comes back.
                Err(NodeApiError::BeforeHorizon { horizon, .. }) => {
                    let horizon = horizon.clamp(height.saturating_add(1), next);
                    self.cursor = Cursor::Chain { height: horizon, place: 0 };
                    return Ok(Some(pruned(height, horizon)));
                }
                Err(failure) => return Err(failure),
            };
            let from = place;
            place = self.read_block(&committed, from, looked_at_max, page);
            looked_at_max = looked_at_max.saturating_sub(place.saturating_sub(from));
            if place < committed.block.transactions.len() && !matches!(self.topic, Topic::Blocks) {
                self.cursor = Cursor::Chain { height, place };
                return Ok(None);
            }
            (height, place) = (height.saturating_add(1), 0);
            self.cursor = Cursor::Chain { height, place };
            if page.is_full() || height >= last_looked_at || looked_at_max == 0 {
                return Ok(None);
            }
        }
    }

    /// Goes on in the pool; behind it the reader is in the ring, or in the blocks that came meanwhile.
    fn read_pool(&mut self, place: PoolPlace, page: &mut Page) {
        let PoolPlace { ring, mut after } = place;
        let times = Times { height: None, latency: None, age: None };
        while !matches!(self.topic, Topic::Blocks) {
            let finals = self.node.final_in_pool(after, FINALS_A_LOOK);
            for (number, txid, transaction) in &finals {
                if page.is_full() {
                    self.pool_place = Some(PoolPlace { ring, after });
                    return;
                }
                after = Some(*number);
                if let Some(event) = self.final_event(Some(*txid), transaction, &times) {
                    page.add(event);
                }
            }
            if finals.len() < FINALS_A_LOOK {
                break;
            }
        }
        self.pool_place = None;
        // What a block has taken from the pool meanwhile, the block tells.
        let (height, place) = ring.in_chain();
        let is_apart = self.log.head().in_chain().0 != height;
        self.cursor = if is_apart { Cursor::Chain { height, place } } else { ring };
    }

    /// Adds what a block holds from a place on, looking at so many transactions at most; gives the place after what was added.
    fn read_block(
        &self,
        committed: &CommittedBlock,
        from: usize,
        looked_at_max: usize,
        page: &mut Page,
    ) -> usize {
        let header = &committed.block.header;
        if matches!(self.topic, Topic::Blocks) {
            page.add(EventInfo::Block(block_event(committed)));
            return 0;
        }
        let times = Times { height: Some(header.height), latency: None, age: None };
        let mut place = from;
        for transaction in committed.block.transactions.iter().skip(from).take(looked_at_max) {
            if page.is_full() {
                break;
            }
            place = place.saturating_add(1);
            if let Some(event) = self.final_event(None, transaction, &times) {
                page.add(event);
            }
        }
        place
    }
}

/// A block as it is told.
#[must_use]
pub fn block_event(committed: &CommittedBlock) -> BlockEvent {
    let header = &committed.block.header;
    BlockEvent {
        height: header.height,
        hash: header.hash(),
        transactions: committed.block.transactions.len(),
        epoch: header.epoch,
        round: committed.commit.round,
        time: header.time,
    }
}

fn missed(from_height: Height, to_height: Height) -> MissedInfo {
    let hint = "what happened in between is not kept; `getblock HEIGHT 2` tells what the blocks from there on contain";
    MissedInfo { from_height, to_height, hint: hint.to_owned() }
}

/// The blocks from one on to the horizon, which are not here.
fn pruned(from_height: Height, horizon: Height) -> MissedInfo {
    let hint = format!(
        "this node begins with block {horizon}, and goes on there; a node that keeps all blocks tells of those before by `getblock HEIGHT 2`"
    );
    MissedInfo { from_height, to_height: horizon.saturating_sub(1), hint }
}
