//! Snapshots of this node: they are made here, given to peers, and fetched from them by a node that begins.
//!
//! ```text
//!   block log's thread --(last block of an epoch)--> keeper's thread --> snapshots/HEIGHT/
//!                                                        |
//!                                                        \--(what may be left out)--> block log's thread
//! ```
//!
//! # Place
//! `start.rs` starts the keeper, hands the [`source`] to the thread that answers peers, and [`fetch`]es a snapshot before
//! anything else of a node without blocks.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `fetch.rs`, `fetch_plan.rs` | which snapshot is fetched, and who is asked for what |
//! | `verify.rs`, `install.rs` | whether its parts hold; how it becomes the chain |
//! | `source.rs` | what peers get |
//!
//! # Bounds
//! One snapshot is made at a time, at most one waits, and `[storage] snapshots` of them are kept. To make one reads the
//! index once, at a low priority, with a pause after each chunk.

pub mod fetch;
mod fetch_plan;
#[cfg(test)]
mod fixtures;
pub(super) mod install;
pub(super) mod source;
pub(super) mod verify;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use crate::consensus::block_commit::{AppliedHook, BlockOrder};
use crate::consensus::events::AppliedBlock;
use crate::consensus::proof_builder::{ProofBuildError, ProofBuilder};
use crate::consensus::snapshot_make::{MakeError, SnapshotOf, make};
use crate::protocol::finality_proof::ChainProof;
use crate::protocol::snapshot::MANIFEST_BYTES_MAX;
use crate::runtime::config::StorageConfig;
use crate::runtime::priority::{self, Priority};
use crate::runtime::tasks::ThreadError;
use crate::runtime::{Clock, TaskRegistry};
use crate::storage::{Index, PruneRule, RealDisk, SnapshotStore, StorageError};
use crate::types::{ChainParameters, Epoch, Height, TimeMs};

/// About how much time there is between two snapshots, in milliseconds, where nothing else is configured.
const EVERY_MS: u64 = 3_600_000;
/// A block that is older than this when it is applied is one that the node catches up with: no snapshot is made of it.
const OLD_MS: u64 = 600_000;
/// Pause after each chunk.
const CHUNK_PAUSE: Duration = Duration::from_millis(20);
/// How often the thread looks whether the node stops, and the index has come far enough.
const LOOK: Duration = Duration::from_millis(100);
/// Looks between two that ask whether blocks may be left out.
const LOOKS_A_PRUNING: u32 = 600;
/// Looks until the index should have a block that was applied.
const INDEX_LOOKS_MAX: u32 = 3_000;
const DAY_MS: u64 = 86_400_000;
/// Encoded bytes of a snapshot's proof, at most: a thousand epochs in each of which a tenth of 100 validators changes. Whoever
/// would need a longer one needs a later block to start from. It bounds how long a stranger's question may take.
pub(super) const SNAPSHOT_PROOF_BYTES_MAX: usize = 2 << 20;
/// Memory of snapshots, at most: the thread that makes them and the one that gives them each have a manifest, its encoding,
/// and two copies on their ways; a chunk is less. Proofs that are remembered come on top.
pub const SNAPSHOT_BYTES_MAX: usize = 8 * MANIFEST_BYTES_MAX + source::PROOFS_KEPT_BYTES_MAX;

/// Of how many epochs one ends with a snapshot.
pub(super) fn every_epochs(config: &StorageConfig, parameters: &ChainParameters) -> u64 {
    match config.snapshot_every_epochs {
        0 => EVERY_MS.div_ceil(parameters.epoch_duration_ms.max(1)).max(1),
        epochs => epochs,
    }
}

/// Whether the last block of this epoch is one of those that snapshots are made of.
const fn is_due(epoch: Epoch, every: u64) -> bool {
    epoch.saturating_add(1).is_multiple_of(every)
}

/// What the keeper works with.
pub(super) struct Keeper {
    pub(super) config: StorageConfig,
    pub(super) store: SnapshotStore<RealDisk>,
    pub(super) index: Arc<Index>,
    pub(super) proofs: Arc<ProofBuilder<RealDisk>>,
    pub(super) registry: TaskRegistry,
}

/// What tells the keeper of blocks; it never waits.
pub(super) fn hook(config: &StorageConfig, every: u64) -> (AppliedHook, Receiver<Arc<AppliedBlock>>) {
    let (sender, receiver): (SyncSender<Arc<AppliedBlock>>, _) = sync_channel(1);
    let is_on = config.snapshots > 0;
    let hook = move |applied: &Arc<AppliedBlock>| {
        let header = &applied.committed.block.header;
        let is_new = Clock.now_ms().saturating_sub(header.time) < OLD_MS;
        if is_on && header.epoch_end && is_due(header.epoch, every) && is_new {
            // While another one is being made this one is left out.
            let _left_out = sender.try_send(Arc::clone(applied)).is_err();
        }
    };
    (Box::new(hook), receiver)
}

/// What a configuration leaves out at a time, by the oldest snapshot that is kept.
fn prune_rule(config: &StorageConfig, oldest: Height, now_ms: TimeMs) -> Option<PruneRule> {
    let StorageConfig { prune, prune_days, .. } = *config;
    let before = now_ms.saturating_sub(prune_days.saturating_mul(DAY_MS));
    (prune > 0 || prune_days > 0).then(|| PruneRule {
        bytes_max: (prune > 0).then(|| prune.saturating_mul(1_000_000)),
        before: (prune_days > 0).then_some(before),
        keep_from: oldest,
    })
}

impl Keeper {
    /// Starts the thread, which ends with the node.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start(
        self,
        blocks: Receiver<Arc<AppliedBlock>>,
        log: SyncSender<BlockOrder>,
    ) -> Result<(), ThreadError> {
        let registry = self.registry.clone();
        registry.spawn_thread("snapshots", move || {
            priority::take(Priority::Background);
            self.run(&blocks, &log);
        })
    }

    fn run(&self, blocks: &Receiver<Arc<AppliedBlock>>, log: &SyncSender<BlockOrder>) {
        let token = self.registry.token();
        let mut looks = 0_u32;
        while !token.is_cancelled() {
            match blocks.recv_timeout(LOOK) {
                Ok(applied) => {
                    self.make(&applied);
                    looks = 0;
                }
                Err(RecvTimeoutError::Timeout) => looks = looks.saturating_add(1),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if looks.is_multiple_of(LOOKS_A_PRUNING)
                && let Some(rule) = self.pruning()
                && log.try_send(BlockOrder::Prune(rule)).is_err()
            {
                tracing::debug!("The block log is busy; blocks are left out later");
            }
        }
    }

    /// What blocks may be left out; `None` where all are kept. The oldest snapshot's block and all behind it stay, so that
    /// whoever begins with it finds them here.
    fn pruning(&self) -> Option<PruneRule> {
        let oldest = self.store.list().ok()?.last()?.height();
        prune_rule(&self.config, oldest, Clock.now_ms())
    }

    fn wait_for_index(&self, height: Height) -> Result<bool, StorageError> {
        for _ in 0..INDEX_LOOKS_MAX {
            if self.index.applied()?.is_some_and(|applied| applied >= height) {
                return Ok(true);
            }
            if self.registry.token().is_cancelled() {
                return Err(StorageError::Interrupted);
            }
            std::thread::sleep(LOOK);
        }
        Ok(false)
    }

    /// The proof from the genesis document, unless it would be too large.
    fn proof(&self, epoch: Epoch) -> Option<ChainProof> {
        match self.proofs.chain(None, epoch) {
            Ok(proof) => Some(proof),
            Err(ProofBuildError::TooLarge { .. } | ProofBuildError::BeforeHorizon { .. }) => None,
            Err(problem) => {
                tracing::warn!(%problem, epoch, "The snapshot has no proof from the genesis document");
                None
            }
        }
    }

    fn make(&self, applied: &AppliedBlock) {
        let committed = &*applied.committed;
        let header = &committed.block.header;
        let height = header.height;
        let started = Clock.instant();
        let outcome = (|| {
            if !self.wait_for_index(height)? {
                tracing::warn!(height, "The index is too far behind to make a snapshot");
                return Ok(None);
            }
            let proof = self.proof(header.epoch);
            let of = SnapshotOf { committed, state: &applied.state, proof: proof.as_ref() };
            let mut goes_on = || {
                std::thread::sleep(CHUNK_PAUSE);
                !self.registry.token().is_cancelled()
            };
            make(&self.store, &self.index, of, &mut goes_on).map(Some)
        })();
        let kept = usize::try_from(self.config.snapshots).unwrap_or(usize::MAX);
        match outcome {
            Ok(Some(manifest)) => {
                let duration_ms = Clock.instant().saturating_duration_since(started).as_millis();
                tracing::info!(height, outputs = manifest.outputs(), duration_ms, "Snapshot made");
            }
            Ok(None) | Err(MakeError::Storage(StorageError::Interrupted)) => {}
            Err(problem) => tracing::warn!(height, %problem, "No snapshot was made; the next one will be"),
        }
        if let Err(problem) = self.store.keep_newest(kept, None) {
            tracing::warn!(%problem, "Old snapshots stay on the disk");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::fixtures::{ENDS, Origin};
    use super::*;
    use crate::runtime::Config;
    use crate::storage::SnapshotPart;
    use crate::types::{Network, Released};

    #[test]
    fn about_an_hour_of_epochs_or_as_many_as_are_configured_lie_between_two_snapshots() {
        let default = Config::of_network(Network::Mainnet).storage;
        let every = |epoch_duration_ms, config: &StorageConfig| {
            let parameters =
                ChainParameters { epoch_duration_ms, ..ChainParameters::of_network(Network::Mainnet) };
            every_epochs(config, &parameters)
        };
        for (epoch_ms, epochs) in [(60_000, 60), (3_600_000, 1), (7_200_000, 1), (3_000, 1_200), (7_000, 515)]
        {
            assert_eq!(every(epoch_ms, &default), epochs, "{epoch_ms}");
        }
        let own = StorageConfig { snapshot_every_epochs: 7, ..default };
        assert_eq!(every(60_000, &own), 7);
        let due: Vec<Epoch> = (0..22).filter(|epoch| is_due(*epoch, 7)).collect();
        assert_eq!(due, [6, 13, 20], "every node takes the same ones");
    }

    #[test]
    fn nothing_is_left_out_unless_it_is_configured_and_never_behind_the_oldest_snapshot() {
        let default = Config::of_network(Network::Mainnet).storage;
        let now_ms = 100 * DAY_MS;
        assert_eq!(prune_rule(&default, 500, now_ms), None);
        let by_size = StorageConfig { prune: 2_000, ..default.clone() };
        let rule = PruneRule { bytes_max: Some(2_000_000_000), before: None, keep_from: 500 };
        assert_eq!(prune_rule(&by_size, 500, now_ms), Some(rule));
        let by_age = StorageConfig { prune_days: 30, ..default };
        let rule = PruneRule { bytes_max: None, before: Some(70 * DAY_MS), keep_from: 500 };
        assert_eq!(prune_rule(&by_age, 500, now_ms), Some(rule));
    }

    fn keeper(origin: &Origin, proofs: Arc<ProofBuilder<RealDisk>>) -> Keeper {
        let config = StorageConfig { snapshots: 2, prune: 1, ..Config::of_network(Network::Devnet).storage };
        let (store, index) = (origin.store.clone(), Arc::clone(&origin.index));
        Keeper { config, store, index, proofs, registry: TaskRegistry::new(CancellationToken::new()) }
    }

    /// Whoever begins with the oldest one that is offered finds its block and all behind it here.
    #[test]
    fn as_many_snapshots_are_kept_as_configured_and_no_block_from_the_oldest_on_is_left_out() {
        let origin = Origin::new();
        let keeper = keeper(&origin, Arc::clone(&origin.proofs));
        assert_eq!(keeper.pruning(), None, "nobody could begin here");
        origin.store.begin(4_000).unwrap().begin(&[1]).unwrap();
        let mut kept = Vec::new();
        for place in ENDS {
            keeper.make(&origin.applied(place));
            kept.insert(0, origin.named(place).height);
            kept.truncate(2);
            let there: Vec<Height> =
                origin.store.list().unwrap().iter().map(|snapshot| snapshot.height()).collect();
            assert_eq!(there, kept);
            assert_eq!(keeper.pruning().unwrap().keep_from, *kept.last().unwrap());
        }
        let begun = origin.store.begin(4_000).unwrap();
        assert_eq!(begun.begun().unwrap(), None, "what was never finished is gone");
    }

    /// It may be given to those who name a block that they trust.
    #[test]
    fn a_snapshot_is_made_without_the_proof_that_would_be_too_large() {
        let origin = Origin::new();
        for (bytes_max, has_proof) in [(SNAPSHOT_PROOF_BYTES_MAX, true), (10, false)] {
            let log = crate::storage::BlockLog::open(
                RealDisk,
                &origin.home.path().join("blocks"),
                origin.genesis.chain_id(),
            );
            let index = Arc::clone(&origin.index);
            let proofs = ProofBuilder::new(&origin.genesis, index, log.unwrap().reader()).unwrap();
            keeper(&origin, Arc::new(proofs.bounded(bytes_max))).make(&origin.applied(ENDS[1]));
            let made = origin.store.list().unwrap().remove(0);
            assert_eq!(made.has(SnapshotPart::Proof).unwrap(), has_proof);
            assert!(made.has(SnapshotPart::Block).unwrap());
            made.remove().unwrap();
        }
    }

    /// A node that catches up has other things to do, and nobody would take an old one.
    #[test]
    fn snapshots_are_made_after_new_blocks_that_end_epochs_which_are_due_and_one_at_a_time() {
        let origin = Origin::new();
        let default = Config::of_network(Network::Devnet).storage;
        let told = |snapshots: u64, place: usize, every: u64, age_ms: u64| {
            let (hook, blocks) = hook(&StorageConfig { snapshots, ..default.clone() }, every);
            let mut applied = Arc::into_inner(origin.applied(place)).unwrap();
            let mut committed = origin.committed(place).clone();
            committed.block.header.time = Clock.now_ms() - age_ms;
            applied.committed = Released::heard(committed);
            let applied = Arc::new(applied);
            (0..3).for_each(|_| hook(&applied));
            blocks.try_iter().count()
        };
        assert_eq!(told(1, ENDS[1], 1, 0), 1, "while one waits, others are left out");
        assert_eq!(told(0, ENDS[1], 1, 0), 0, "none is configured");
        assert_eq!(told(1, ENDS[1] - 1, 1, 0), 0, "it ends no epoch");
        assert_eq!((told(1, ENDS[1], 2, 0), told(1, ENDS[1], 3, 0)), (1, 0), "epoch 1 is the second one");
        assert_eq!(told(1, ENDS[1], 1, OLD_MS + 1), 0);
    }
}
