//! Fetches a snapshot from peers, for a node that has no blocks yet.
//!
//! ```text
//!   offers of all peers --> the one that most of them make --> its proof --> its manifest --> its block
//!        ^                                                                                      |
//!        '---- next one, if nobody can give a part ---- chunks, of all who offer it, checked <--'
//!                                                         |
//!                                  blocks/ begins at its block, the start goes on
//! ```
//!
//! # Place
//! `start.rs` calls it before it opens the chain's data. It has the network to itself: peers and their addresses are those of
//! the node, and nothing else is said to them meanwhile.
//!
//! # Invariants
//! - INV-FETCH-4: nothing of a snapshot is used before the header of its block is proved, from the genesis document or from
//!   the operator's checkpoint, and everything else was held to that header.
//! - Who has a snapshot no more is not blamed for that: newer ones take its place while it is fetched.
//! - INV-FETCH-5: chunks that are on the disk and fit the manifest are not fetched again, also after a kill.
//! - INV-FETCH-8: nobody comes in meanwhile, so that only who was dialled can offer what it has not got, or use up the memory
//!   that answers need.
//!
//! # Bounds
//! Each peer is asked for three chunks of 1.4 MB at once, all together for [`OUTSTANDING_MAX`](super::fetch_plan::OUTSTANDING_MAX),
//! 35 MB; two are looked at at a time. After [`FAILURES_MAX`] peers and snapshots that were of no use the node goes on without.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fetch_plan::{Candidate, ChunkPlan, candidates};
use super::install::{has_no_blocks, install};
use super::verify::{SnapshotCheck, chunk_holds};
use crate::app::trust;
use crate::consensus::trust::{ChainTrust, Distrust};
use crate::network::{
    Misbehaviour, Network, NetworkConfig, NetworkError, NetworkEvent, NetworkEvents, NetworkHandle, PeerId,
};
use crate::protocol::activation::UnknownRules;
use crate::protocol::snapshot::{CHUNK_BYTES_MAX, SnapshotManifest};
use crate::runtime::config::{StorageConfig, SyncConfig, SyncFrom};
use crate::runtime::{Clock, Config, StartStatus};
use crate::storage::{RealDisk, SnapshotDir, SnapshotPart, SnapshotStore, StorageError};
use crate::types::codec::encode;
use crate::types::message::{SnapshotItem, SnapshotOffer};
use crate::types::{
    BlockHash, ChainParameters, Checkpoint, CommittedBlock, GenesisDocument, Hash, Header, Height, Message,
    RuleVersion, SignatureVerifier, TimeMs,
};

/// How long offers are waited for after the first one came.
const OFFERS_WAIT: Duration = Duration::from_secs(3);
/// How long peers are waited for before the node goes on without a snapshot.
const PEERS_WAIT: Duration = Duration::from_secs(20);
/// How long a peer may take for a part that is no chunk.
const PART_WAIT: Duration = Duration::from_secs(10);
/// Snapshots and peers that may turn out to be of no use; then the node goes on without. Identities cost nothing, so this
/// bounds how long strangers can keep it.
const FAILURES_MAX: usize = 64;
/// How often the plan is looked at.
const TICK: Duration = Duration::from_millis(200);
/// How often the progress is logged.
const TELL_EVERY: Duration = Duration::from_secs(2);
/// Chunks that are looked at at once.
const CHECKS_MAX: usize = 2;
/// A chain with fewer blocks is executed from its beginning, unless the configuration says otherwise.
const BLOCKS_MIN: u64 = 10_000;

/// Why a node without blocks does not start.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody can tell which chain is the right one.
    #[error(
        "this node has no blocks, and the chain began {days} days ago, more than its unbonding time of {unbonding_days}: whoever has old keys by now could show it a chain of their own; set [sync] checkpoint to the HEIGHT:HASH of a recent block, from a node or an explorer that you trust (`timed rpc getblockchaininfo` there), or [sync] trust_peers = true to believe your peers at your own risk"
    )]
    NeedsCheckpoint {
        /// The chain's age.
        days: u64,
        /// What it may be.
        unbonding_days: u64,
    },
    /// The checkpoint is too old for what others say came after it.
    #[error(transparent)]
    Distrust(#[from] Distrust),
    /// The chain has gone on to rules that this program does not know.
    #[error(transparent)]
    Rules(#[from] UnknownRules),
    /// The disk.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The network does not start.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A task ended with a panic.
    #[error("a check of the snapshot ended with a panic; please report it with the log")]
    Panicked,
    /// The node is to stop.
    #[error("the node is to stop")]
    Stopped,
}

/// Whether a node is to look for a snapshot at all.
///
/// # Errors
/// [`FetchError::NeedsCheckpoint`], the file system's.
pub(in crate::app) fn is_wanted(config: &Config, genesis: &GenesisDocument) -> Result<bool, FetchError> {
    if !has_no_blocks(&config.node.data_dir)? {
        return Ok(false);
    }
    let age_ms = may_begin(config, genesis)?;
    let has_peers = !config.network.bootstrap_peers.is_empty()
        || !config.network.dns_seeds.is_empty()
        || config.peers_path().exists()
        || config.network.dial_registered;
    Ok(has_peers && may_be_one(&config.sync, &config.storage, &genesis.parameters, age_ms))
}

/// Whether a node may begin with what others say of the chain, whose age in milliseconds this gives.
///
/// # Errors
/// [`FetchError::NeedsCheckpoint`].
pub(in crate::app) fn may_begin(config: &Config, genesis: &GenesisDocument) -> Result<u64, FetchError> {
    let now_ms = Clock.now_ms();
    check_age(config, &genesis.parameters, genesis.time_ms, now_ms)?;
    Ok(now_ms.saturating_sub(genesis.time_ms))
}

fn check_age(
    config: &Config,
    parameters: &ChainParameters,
    began_ms: TimeMs,
    now_ms: TimeMs,
) -> Result<(), FetchError> {
    match trust::configured(config, parameters).check_tip(0, began_ms, now_ms) {
        Err(Distrust::TooOld { age_days, away_max_days, .. }) => {
            Err(FetchError::NeedsCheckpoint { days: age_days, unbonding_days: away_max_days })
        }
        _ => {
            trust::tell_of_age(config, parameters, (0, began_ms), now_ms);
            Ok(())
        }
    }
}

/// Whether anybody can have made a snapshot by now. A node of a network that has just begun waits for nobody.
fn may_be_one(sync: &SyncConfig, storage: &StorageConfig, parameters: &ChainParameters, age_ms: u64) -> bool {
    let every = super::every_epochs(storage, parameters);
    let first_ms = every.saturating_mul(parameters.epoch_duration_ms);
    sync.from != SyncFrom::Blocks && age_ms > first_ms
}

/// Whether an offer is worth it.
fn is_worth(sync: &SyncConfig, offer: &SnapshotOffer) -> bool {
    sync.from == SyncFrom::Snapshot || offer.block.height >= BLOCKS_MIN
}

/// What a fetch needs of the node.
pub(in crate::app) struct Fetching<'a> {
    pub(in crate::app) config: &'a Config,
    pub(in crate::app) genesis: &'a Arc<GenesisDocument>,
    pub(in crate::app) network: NetworkConfig,
    pub(in crate::app) verifier: Arc<dyn SignatureVerifier + Send + Sync>,
    pub(in crate::app) status: StartStatus,
    pub(in crate::app) token: &'a CancellationToken,
}

/// Fetches a snapshot and makes it the beginning of the block log. Without one the node begins with block 1, and says why.
///
/// # Errors
/// See [`FetchError`].
pub(in crate::app) async fn fetch(fetching: Fetching<'_>) -> Result<(), FetchError> {
    let (token, tracker) = (fetching.token.child_token(), TaskTracker::new());
    let Fetching { config, genesis, network, verifier, status, token: outer } = fetching;
    let (handle, events) = Network::start(network, token.clone(), &tracker).await?;
    tracing::info!("This node has no blocks; asking peers for a snapshot");
    status.set("Asking peers for a snapshot");
    let check = SnapshotCheck { genesis: Arc::clone(genesis), checkpoint: config.sync.checkpoint, verifier };
    let store = SnapshotStore::new(RealDisk, config.snapshots_path());
    let mut fetcher = Fetcher::new(config.sync.clone(), check, store, (handle, events));
    fetcher.status = status;
    fetcher.trust = trust::configured(config, &genesis.parameters);
    let outcome = outer.run_until_cancelled(fetcher.run()).await;
    token.cancel();
    tracker.close();
    tracker.wait().await;
    match outcome {
        None => Err(FetchError::Stopped),
        Some(Ok(Some(committed))) => {
            let (data_dir, chain_id) = (config.node.data_dir.clone(), genesis.chain_id());
            blocking(move || install(&data_dir, chain_id, committed)).await
        }
        Some(Ok(None)) => Ok(()),
        Some(Err(error)) => Err(error),
    }
}

/// Does what waits for the disk, or takes long, on a thread for that.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, FetchError> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(|_| FetchError::Panicked)??)
}

/// What a peer did or said.
enum Heard {
    Connected(PeerId),
    Gone(PeerId),
    Said(PeerId, Message),
}

struct Fetcher {
    /// Whoever asks meanwhile is told how far it is.
    status: StartStatus,
    /// How old what is proved may be.
    trust: ChainTrust,
    sync: SyncConfig,
    check: SnapshotCheck,
    store: SnapshotStore<RealDisk>,
    network: NetworkHandle,
    events: NetworkEvents,
    offers: BTreeMap<PeerId, Vec<SnapshotOffer>>,
    /// What turned out to be false, or that nobody could give.
    refused: BTreeSet<(Height, BlockHash, Hash)>,
    /// Peers whose offers count for nothing: they did not give what they offered, or something false.
    excluded: BTreeSet<PeerId>,
    started: Instant,
}

impl Fetcher {
    fn new(
        sync: SyncConfig,
        check: SnapshotCheck,
        store: SnapshotStore<RealDisk>,
        (network, events): (NetworkHandle, NetworkEvents),
    ) -> Self {
        let (offers, refused, excluded) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let (trust, started) = (ChainTrust::default(), Clock.instant());
        let status = StartStatus::default();
        Self { status, trust, sync, check, store, network, events, offers, refused, excluded, started }
    }

    /// What comes next, until a moment.
    async fn hear(&mut self, until: Instant) -> Option<Heard> {
        let deadline = tokio::time::Instant::from_std(until);
        loop {
            let event = tokio::select! {
                event = self.events.urgent.recv() => event?,
                event = self.events.bulk.recv() => event?,
                () = tokio::time::sleep_until(deadline) => return None,
            };
            match event {
                NetworkEvent::Connected { peer, .. } => return Some(Heard::Connected(peer)),
                NetworkEvent::Disconnected { peer } => return Some(Heard::Gone(peer)),
                NetworkEvent::Message {
                    peer,
                    message: message @ (Message::Snapshots(_) | Message::SnapshotItem { .. }),
                } => return Some(Heard::Said(peer, message)),
                NetworkEvent::Message { .. } => {}
            }
        }
    }

    /// Takes what is of use whatever is being done.
    fn note(&mut self, heard: &Heard) {
        match heard {
            Heard::Connected(peer) => drop(self.network.send(*peer, &Message::GetSnapshots)),
            Heard::Gone(peer) => drop(self.offers.remove(peer)),
            Heard::Said(peer, Message::Snapshots(offers)) if !self.excluded.contains(peer) => {
                let worth = offers.iter().filter(|offer| is_worth(&self.sync, offer)).copied().collect();
                self.offers.insert(*peer, worth);
            }
            Heard::Said(..) => {}
        }
    }

    /// The offers that are left, the best first.
    fn candidates(&self) -> Vec<Candidate> {
        let mut found = candidates(&self.offers);
        found.retain(|candidate| !self.refused.contains(&candidate.offer.names()));
        if self.refused.len().saturating_add(self.excluded.len()) > FAILURES_MAX {
            found.clear();
        }
        found
    }

    /// Until peers have said what they have, and no longer than they may take for it.
    async fn gather(&mut self) {
        let mut until = self.started + PEERS_WAIT;
        while let Some(heard) = self.hear(until).await {
            self.note(&heard);
            let has_some = |offers: &Vec<SnapshotOffer>| !offers.is_empty();
            if matches!(&heard, Heard::Said(_, Message::Snapshots(offers)) if has_some(offers)) {
                until = until.min(Clock.instant() + OFFERS_WAIT);
            }
        }
    }

    async fn run(&mut self) -> Result<Option<CommittedBlock>, FetchError> {
        self.gather().await;
        if self.offers.is_empty() {
            tracing::info!("No peer answered in time; beginning with block 1");
            return Ok(None);
        }
        self.try_offers().await
    }

    /// Fetches the best snapshot that is offered; if nobody can give it, the next one.
    async fn try_offers(&mut self) -> Result<Option<CommittedBlock>, FetchError> {
        while let Some(candidate) = self.candidates().into_iter().next() {
            let SnapshotOffer { block, outputs, bytes, .. } = candidate.offer;
            tracing::info!(
                height = block.height,
                outputs,
                mb = bytes / 1_000_000,
                peers = candidate.peers.len(),
                "Fetching a snapshot"
            );
            self.status.set("Fetching a snapshot");
            match self.try_candidate(&candidate).await? {
                Some(committed) => {
                    let seconds = Clock.instant().saturating_duration_since(self.started).as_secs();
                    tracing::info!(height = block.height, outputs, seconds, "Snapshot fetched and checked");
                    return Ok(Some(committed));
                }
                None => {
                    tracing::warn!(
                        height = block.height,
                        "Nobody could give the whole snapshot; looking for another one"
                    );
                    self.refused.insert(candidate.offer.names());
                    self.hear_newer(&candidate).await;
                }
            }
        }
        tracing::info!("No peer offers a snapshot that can be used; beginning with block 1");
        Ok(None)
    }

    /// A snapshot goes when newer ones have come, which those who had it may offer by now.
    async fn hear_newer(&mut self, candidate: &Candidate) {
        for peer in candidate.peers.difference(&self.excluded) {
            let _sent = self.network.send(*peer, &Message::GetSnapshots);
        }
        let until = Clock.instant() + OFFERS_WAIT;
        while self.candidates().is_empty() && candidate.peers.iter().any(|peer| self.may_offer(peer)) {
            let Some(heard) = self.hear(until).await else { return };
            self.note(&heard);
        }
    }

    fn may_offer(&self, peer: &PeerId) -> bool {
        self.offers.contains_key(peer) && !self.excluded.contains(peer)
    }

    /// Asks one peer after the other for a part, until one has what `accept` takes.
    async fn part<T>(
        &mut self,
        candidate: &Candidate,
        item: SnapshotItem,
        accept: impl Fn(&[u8]) -> Option<T> + Send + Sync + 'static,
    ) -> Result<Option<T>, FetchError>
    where
        T: Send + 'static,
    {
        let accept = Arc::new(accept);
        let height = candidate.offer.block.height;
        for asked in &candidate.peers {
            if self.excluded.contains(asked) {
                continue;
            }
            if !self.network.send(*asked, &Message::GetSnapshotItem { height, item }) {
                continue;
            }
            let until = Clock.instant() + PART_WAIT;
            let mut has_answered = false;
            while let Some(heard) = self.hear(until).await {
                self.note(&heard);
                match heard {
                    Heard::Gone(peer) if peer == *asked => break,
                    Heard::Said(peer, Message::SnapshotItem { height: of, item: found, bytes })
                        if peer == *asked && of == height && found == item =>
                    {
                        // One that has no such proof says so by sending none.
                        has_answered = bytes.is_empty();
                        let accept = Arc::clone(&accept);
                        if let Some(accepted) = blocking(move || Ok(accept(&bytes))).await? {
                            return Ok(Some(accepted));
                        }
                        if !has_answered {
                            self.network.report(peer, Misbehaviour::InvalidContent);
                        }
                        break;
                    }
                    _ => {}
                }
            }
            if !has_answered {
                self.exclude(*asked);
            }
        }
        Ok(None)
    }

    /// A peer costs its time once, however many snapshots it offers.
    fn exclude(&mut self, peer: PeerId) {
        self.offers.remove(&peer);
        self.excluded.insert(peer);
    }

    async fn try_candidate(&mut self, candidate: &Candidate) -> Result<Option<CommittedBlock>, FetchError> {
        let offer = candidate.offer;
        let (check, item) = (self.check.clone(), SnapshotItem::Proof(self.check.checkpoint));
        let is_of_offer = move |bytes: &[u8]| {
            let proved = noted(check.proof(bytes))?;
            let block = Checkpoint::of(&proved.header);
            (block == offer.block).then(|| (proved, bytes.to_vec()))
        };
        let Some((proved, proof_bytes)) = self.part(candidate, item, is_of_offer).await? else {
            return Ok(None);
        };
        // Said by members of weight Q, and before what a later version may have given another shape.
        check_rules(&proved.header)?;
        trust::check_start(&self.trust, &proved, Clock.now_ms())?;
        let (check, of) = (self.check.clone(), proved.clone());
        let is_named = move |bytes: &[u8]| {
            let is_offered = SnapshotManifest::name_of(bytes) == offer.manifest;
            let manifest = noted(check.manifest(&of, bytes)).filter(|_| is_offered)?;
            Some((manifest, bytes.to_vec()))
        };
        let manifest = self.part(candidate, SnapshotItem::Manifest, is_named).await?;
        let Some((manifest, manifest_bytes)) = manifest else { return Ok(None) };
        let check = self.check.clone();
        let is_proved = move |bytes: &[u8]| noted(check.block(&proved, bytes));
        let committed = self.part(candidate, SnapshotItem::Block, is_proved).await?;
        let Some(committed) = committed else { return Ok(None) };
        let (store, height) = (self.store.clone(), offer.block.height);
        let (dir, manifest_bytes) = blocking(move || {
            let dir = store.begin(height)?;
            dir.begin(&manifest_bytes)?;
            Ok((dir, manifest_bytes))
        })
        .await?;
        let manifest = Arc::new(manifest);
        if !self.chunks(candidate, &dir, &manifest).await? {
            return Ok(None);
        }
        let finished = move || {
            dir.write(SnapshotPart::Proof, &proof_bytes)?;
            dir.write(SnapshotPart::Block, &encode(&committed))?;
            dir.finish(&manifest_bytes)?;
            Ok(Some(committed))
        };
        blocking(finished).await
    }

    /// Fetches the chunks that are not here; false if nobody can give one of them.
    async fn chunks(
        &mut self,
        candidate: &Candidate,
        dir: &SnapshotDir<RealDisk>,
        manifest: &Arc<SnapshotManifest>,
    ) -> Result<bool, FetchError> {
        let missing = missing_chunks(dir.clone(), Arc::clone(manifest)).await?;
        let height = candidate.offer.block.height;
        let (total, before) = (manifest.chunks.len(), manifest.chunks.len().saturating_sub(missing.len()));
        if before > 0 {
            tracing::info!(chunks = before, of = total, "Going on with the snapshot that was begun");
        }
        let peers = candidate.peers.difference(&self.excluded).copied();
        let mut plan = ChunkPlan::new(peers, missing, self.now_ms());
        let mut checks: JoinSet<(u32, Result<bool, StorageError>)> = JoinSet::new();
        let mut waiting: Vec<(u32, Vec<u8>)> = Vec::new();
        let mut progress = Progress {
            status: self.status.clone(),
            from: self.started,
            told: Clock.instant(),
            done: 0,
            total: total - before,
            bytes: 0,
        };
        while !plan.is_done() {
            if plan.is_hopeless(self.now_ms()) && checks.is_empty() && waiting.is_empty() {
                return Ok(false);
            }
            for (peer, chunk) in plan.requests(self.now_ms()) {
                let item = SnapshotItem::Chunk(chunk);
                if !self.network.send(peer, &Message::GetSnapshotItem { height, item }) {
                    plan.gone(peer);
                }
            }
            while checks.len() < CHECKS_MAX
                && let Some((chunk, bytes)) = waiting.pop()
            {
                let (dir, manifest) = (dir.clone(), Arc::clone(manifest));
                checks.spawn_blocking(move || (chunk, take_chunk(&dir, &manifest, chunk, &bytes)));
            }
            let until = Clock.instant() + TICK;
            tokio::select! {
                Some(checked) = checks.join_next(), if !checks.is_empty() => {
                    let (chunk, outcome) = checked.map_err(|_| FetchError::Panicked)?;
                    if outcome? {
                        plan.good(chunk, self.now_ms());
                        progress.done += 1;
                    } else {
                        self.reject(&mut plan, chunk);
                    }
                }
                heard = self.hear(until) => if let Some(heard) = heard {
                    self.note(&heard);
                    match heard {
                        Heard::Gone(peer) => plan.gone(peer),
                        Heard::Said(peer, Message::Snapshots(offers))
                            if offers.contains(&candidate.offer) && !self.excluded.contains(&peer) =>
                        {
                            plan.add_peer(peer);
                        }
                        Heard::Said(peer, Message::SnapshotItem { height: of, item: SnapshotItem::Chunk(chunk), bytes })
                            if of == height && plan.arrived(peer, chunk, self.now_ms()) =>
                        {
                            progress.bytes += bytes.len();
                            // Who has none says so by sending none; one that is too large is not kept until its turn comes.
                            if bytes.is_empty() {
                                let _lacks_it = plan.bad(chunk);
                            } else if bytes.len() > CHUNK_BYTES_MAX {
                                self.reject(&mut plan, chunk);
                            } else {
                                waiting.push((chunk, bytes));
                            }
                        }
                        _ => {}
                    }
                }
            }
            self.leave_late(&mut plan, self.now_ms());
            progress.tell();
        }
        Ok(true)
    }

    /// Whoever was asked for a chunk too long ago is asked for nothing more, of this snapshot or another one.
    fn leave_late(&mut self, plan: &mut ChunkPlan, now_ms: u64) {
        for peer in plan.leave_late(now_ms) {
            tracing::info!(peer = %peer.short(), "A peer does not send its chunks; asking others");
            self.network.report(peer, Misbehaviour::Unanswered);
            self.exclude(peer);
        }
    }

    /// A chunk is not what its manifest names: it is fetched elsewhere, and its sender is asked for nothing more.
    fn reject(&mut self, plan: &mut ChunkPlan, chunk: u32) {
        if let Some(peer) = plan.bad(chunk) {
            tracing::warn!(peer = %peer.short(), chunk, "A peer gave a false chunk; it is fetched elsewhere");
            self.network.report(peer, Misbehaviour::InvalidContent);
            self.exclude(peer);
        }
    }

    fn now_ms(&self) -> u64 {
        let elapsed = Clock.instant().saturating_duration_since(self.started);
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Whether this program knows the rules of a block that was proved.
fn check_rules(header: &Header) -> Result<(), UnknownRules> {
    let (version, epoch, known) = (header.rules, header.epoch, RuleVersion::NEWEST);
    if version > known { Err(UnknownRules { version, epoch, known }) } else { Ok(()) }
}

/// What holds; what does not is noted for who looks closer.
fn noted<T>(checked: Result<T, String>) -> Option<T> {
    checked.inspect_err(|problem| tracing::debug!(problem, "A part of a snapshot does not hold")).ok()
}

/// INV-FETCH-5: the chunks that are not on the disk, or not as the manifest names them.
async fn missing_chunks(
    dir: SnapshotDir<RealDisk>,
    manifest: Arc<SnapshotManifest>,
) -> Result<BTreeSet<u32>, FetchError> {
    let look = move || -> Result<BTreeSet<u32>, StorageError> {
        let mut missing = BTreeSet::new();
        for (place, chunk) in (0_u32..).enumerate().take(manifest.chunks.len()) {
            let is_here = match dir.read(SnapshotPart::Chunk(chunk)) {
                Ok(Some(bytes)) => chunk_holds(&manifest, place, &bytes),
                Ok(None) | Err(StorageError::Corrupt { .. }) => false,
                Err(error) => return Err(error),
            };
            if !is_here {
                missing.insert(chunk);
            }
        }
        Ok(missing)
    };
    blocking(look).await
}

/// Writes a chunk if it is what the manifest names.
fn take_chunk(
    dir: &SnapshotDir<RealDisk>,
    manifest: &SnapshotManifest,
    chunk: u32,
    bytes: &[u8],
) -> Result<bool, StorageError> {
    let place = usize::try_from(chunk).unwrap_or(usize::MAX);
    if !chunk_holds(manifest, place, bytes) {
        return Ok(false);
    }
    dir.write(SnapshotPart::Chunk(chunk), bytes)?;
    Ok(true)
}

/// Says from time to time how far it is.
struct Progress {
    status: StartStatus,
    from: Instant,
    told: Instant,
    done: usize,
    total: usize,
    bytes: usize,
}

impl Progress {
    fn tell(&mut self) {
        let now = Clock.instant();
        if now.saturating_duration_since(self.told) < TELL_EVERY {
            return;
        }
        self.told = now;
        let elapsed_ms = now.saturating_duration_since(self.from).as_millis().max(1);
        let per_second = u128::try_from(self.bytes).unwrap_or(0).saturating_mul(1_000) / elapsed_ms / 1_000;
        let left = self.total.saturating_sub(self.done);
        let left_ms = u128::try_from(left).unwrap_or(0).saturating_mul(elapsed_ms);
        let remaining_s = left_ms.checked_div(u128::try_from(self.done).unwrap_or(0)).map(|ms| ms / 1_000);
        let percent = self.done.saturating_mul(100).checked_div(self.total).unwrap_or(100);
        tracing::info!(
            chunks = self.done,
            of = self.total,
            percent,
            kb_per_second = per_second,
            ?remaining_s,
            "Fetching the snapshot"
        );
        self.status.set(&format!("Fetching a snapshot: {percent} %"));
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "fetch_peer_tests.rs"]
mod peer_tests;
