//! A node that begins with a snapshot comes to the same as one that has executed everything.

use super::super::proof_builder::ProofBuilder;
use super::super::replay::{Replayed, replay_from};
use super::super::snapshot_make::{SnapshotOf, make};
use super::proofs::hand_over;
use super::*;
use crate::protocol::finality_proof::verify;
use crate::protocol::snapshot::SnapshotManifest;
use crate::storage::disk::Disk as _;
use crate::storage::snapshots::{SnapshotPart, SnapshotStore};
use crate::types::Checkpoint;
use crate::types::codec::{decode, encode};

/// What a node has on its disk.
struct Node {
    log: BlockLog<MemoryDisk>,
    index: Arc<Index>,
    store: SnapshotStore<MemoryDisk>,
}

impl Node {
    fn replayed(&self) -> Replayed {
        let reading = (&self.log.reader(), Some(&self.store));
        replay_from(&genesis(), &self.index, reading, &mut |_, _| true).unwrap()
    }

    fn proofs(&self) -> ProofBuilder<MemoryDisk> {
        ProofBuilder::new(&genesis(), Arc::clone(&self.index), self.log.reader()).unwrap()
    }

    fn outputs(&self) -> Vec<(OutPoint, UtxoEntry)> {
        self.index.unspent_outputs().map(Result::unwrap).collect()
    }
}

fn node(disk: MemoryDisk, log: BlockLog<MemoryDisk>) -> Node {
    let store = SnapshotStore::new(disk, "snapshots".into());
    Node { log, index: Arc::new(Index::new(Arc::new(MemoryIndex::new()))), store }
}

/// Three epochs in which a key is handed over, and blocks of the next one: payments in each.
fn chain_of_epochs() -> (Chain, Vec<LoggedBlock>) {
    let mut chain = Chain::new();
    let mut blocks = Vec::new();
    for epoch in 0..3_usize {
        let mut transactions = vec![chain.payment(epoch)];
        if epoch == 1 {
            transactions.push(hand_over(&chain, 0, 10, &operator(9)));
        }
        let due_ms = chain.state.tip_time() + 1 + chain.state.parameters().epoch_duration_ms;
        let (block, outcome) = chain.block(chain.state.tip_time() + 1, false, &transactions);
        blocks.push(chain.commit(block, outcome));
        blocks.push(chain.grow(due_ms));
        blocks.push(chain.grow_by(due_ms + 1, true));
    }
    for nth in [4, 5] {
        let payment = chain.payment(nth);
        let (block, outcome) = chain.block(chain.state.tip_time() + 1, false, &[payment]);
        blocks.push(chain.commit(block, outcome));
    }
    (chain, blocks)
}

fn whole_node(blocks: &[LoggedBlock]) -> Node {
    let disk = MemoryDisk::new();
    let mut log = BlockLog::open(disk.clone(), Path::new("blocks"), genesis().chain_id()).unwrap();
    for block in blocks {
        log.append(block).unwrap();
    }
    node(disk, log)
}

/// A chain of three epochs and its blocks, for the tests of those who make, give and fetch snapshots. The blocks in the places
/// 2, 5 and 8 end epochs.
pub(crate) fn chain_to_begin_within() -> (GenesisDocument, Vec<LoggedBlock>) {
    (genesis(), chain_of_epochs().1)
}

/// The state after a block of the chain.
pub(crate) fn state_at(blocks: &[LoggedBlock]) -> LedgerState {
    let (mut state, _) = LedgerState::genesis(&genesis()).unwrap();
    for logged in blocks {
        state = transition::replay(&state, &logged.spent, &logged.committed.block).unwrap().state;
    }
    state
}

/// A node with all blocks, which has made a snapshot of the block in this place, the last of an epoch.
fn with_snapshot(blocks: &[LoggedBlock], place: usize) -> (Node, SnapshotManifest) {
    let old = whole_node(blocks);
    old.replayed();
    let committed = &blocks[place].committed;
    let state = state_at(&blocks[..=place]);
    let proof = old.proofs().chain(None, committed.block.header.epoch).unwrap();
    let of = SnapshotOf { committed, state: &state, proof: Some(&proof) };
    let manifest = make(&old.store, &old.index, of, &mut || true).unwrap();
    (old, manifest)
}

/// A node that has this snapshot of another, and the blocks from there on.
fn from_snapshot(old: &Node, blocks: &[LoggedBlock], height: Height) -> Node {
    from_snapshot_on(MemoryDisk::new(), old, blocks, height)
}

fn from_snapshot_on(disk: MemoryDisk, old: &Node, blocks: &[LoggedBlock], height: Height) -> Node {
    let first = &blocks[usize::try_from(height).unwrap() - 1];
    let first = LoggedBlock { spent: Vec::new(), ..first.clone() };
    let chain_id = genesis().chain_id();
    let mut log = BlockLog::begin_at(disk.clone(), Path::new("blocks"), chain_id, &first).unwrap();
    for block in blocks.iter().filter(|block| block.committed.block.header.height > height) {
        log.append(block).unwrap();
    }
    let new = node(disk, log);
    hand_on(old, &new, height);
    new
}

/// Gives one node the snapshot of another one.
fn hand_on(old: &Node, new: &Node, height: Height) {
    let (from, to) = (old.store.get(height).unwrap().unwrap(), new.store.begin(height).unwrap());
    let chunks = (0..4).map(SnapshotPart::Chunk).filter(|part| from.has(*part).unwrap());
    for part in chunks.chain([SnapshotPart::Proof, SnapshotPart::Block]) {
        to.write(part, &from.read(part).unwrap().unwrap()).unwrap();
    }
    to.finish(&from.read(SnapshotPart::Manifest).unwrap().unwrap()).unwrap();
}

/// INV-REPLAY-4, INV-SNAPSHOT-1, INV-SNAPSHOT-MAKE-1.
#[test]
fn a_node_that_begins_with_a_snapshot_of_any_epoch_is_where_all_others_are() {
    let (_, blocks) = chain_of_epochs();
    for place in [2, 5, 8] {
        let (old, manifest) = with_snapshot(&blocks, place);
        let height = blocks[place].committed.block.header.height;
        assert!(manifest.chunks.len() > 1);
        let new = from_snapshot(&old, &blocks, height);
        let (expected, found) = (old.replayed(), new.replayed());
        assert_eq!(found.state, expected.state);
        assert_eq!((found.last_commit, found.settled), (expected.last_commit, expected.settled));
        assert_eq!(new.outputs(), old.outputs());
        assert_eq!(new.index.unspent().unwrap(), old.index.unspent().unwrap());
        assert_eq!(new.index.history_from().unwrap(), Some(height + 1));
        let user = Lock::KeyHash(user().public().key_hash());
        assert_eq!(
            new.index.address_utxos(&user, None, 1_000).unwrap(),
            old.index.address_utxos(&user, None, 1_000).unwrap()
        );
        // It opens again from its own mark.
        assert_eq!(new.replayed().state, expected.state);
    }
}

/// Payments behind the snapshot are proved by the links by which it was proved itself.
#[test]
fn a_node_that_began_with_a_snapshot_proves_what_came_after_it() {
    let (_, blocks) = chain_of_epochs();
    for place in [2, 5, 8] {
        let (old, _) = with_snapshot(&blocks, place);
        let new = from_snapshot(&old, &blocks, blocks[place].committed.block.header.height);
        new.replayed();
        let proofs = new.proofs();
        for paid in blocks.iter().filter(|paid| paid.committed.block.header.height > 9 || place < 3) {
            let header = &paid.committed.block.header;
            let Some(payment) = paid.committed.block.transactions.first() else { continue };
            if header.height <= blocks[place].committed.block.header.height {
                continue;
            }
            let proof = proofs.included(None, payment.txid(), &paid.committed).unwrap().unwrap();
            assert_eq!(verify(&genesis(), &proof).unwrap().epoch, header.epoch);
            let trusted = Checkpoint::of(header);
            let proof = proofs.included(Some(&trusted), payment.txid(), &paid.committed).unwrap().unwrap();
            assert_eq!(proof.epoch(), header.epoch);
        }
        // And it can make a snapshot of its own, which is the same one.
        let last = blocks.iter().rposition(|block| block.committed.block.header.epoch_end).unwrap();
        if place < last {
            let header = &blocks[last].committed.block.header;
            let (chain, expected) =
                (proofs.chain(None, header.epoch).unwrap(), with_snapshot(&blocks, last).1);
            let state = state_at(&blocks[..=last]);
            let of = SnapshotOf { committed: &blocks[last].committed, state: &state, proof: Some(&chain) };
            assert_eq!(make(&new.store, &new.index, of, &mut || true).unwrap(), expected, "INV-SNAPSHOT-2");
        }
    }
}

#[test]
fn a_snapshot_of_another_block_or_a_changed_one_builds_no_index() {
    let (_, blocks) = chain_of_epochs();
    let (old, _) = with_snapshot(&blocks, 5);
    let height = blocks[5].committed.block.header.height;
    let refused = |change: &dyn Fn(&Node)| {
        let new = from_snapshot(&old, &blocks, height);
        change(&new);
        let reading = (&new.log.reader(), Some(&new.store));
        replay_from(&genesis(), &new.index, reading, &mut |_, _| true).map(drop).unwrap_err().to_string()
    };
    let manifest_of = |node: &Node| -> SnapshotManifest {
        decode(&node.store.get(height).unwrap().unwrap().read(SnapshotPart::Manifest).unwrap().unwrap())
            .unwrap()
    };
    let rewritten = |change: fn(&mut SnapshotManifest)| {
        refused(&move |node: &Node| {
            let mut manifest = manifest_of(node);
            change(&mut manifest);
            let dir = node.store.get(height).unwrap().unwrap();
            dir.write(SnapshotPart::Manifest, &encode(&manifest)).unwrap();
        })
    };
    assert!(rewritten(|manifest| manifest.header.time += 1).contains("another one than the block log's"));
    assert!(rewritten(|manifest| manifest.chunks[0].outputs -= 1).contains("chunk 0"));
    assert!(rewritten(|manifest| manifest.epoch_ends.truncate(0)).contains("ends of epochs"));
    assert!(rewritten(|manifest| drop(manifest.chunks.pop())).contains("add up"));
    let without = refused(&|node: &Node| node.store.get(height).unwrap().unwrap().remove().unwrap());
    assert!(without.contains("db snapshot import"), "{without}");
    let damaged = refused(&|node: &Node| {
        let dir = node.store.get(height).unwrap().unwrap();
        let mut outputs: Vec<(OutPoint, UtxoEntry)> =
            decode(&dir.read(SnapshotPart::Chunk(0)).unwrap().unwrap()).unwrap();
        outputs[3].1.output.value = Amount(1);
        dir.write(SnapshotPart::Chunk(0), &encode(&outputs)).unwrap();
    });
    assert!(damaged.contains("chunk 0"), "{damaged}");
}

/// A node with snapshots of all three epochs, and their heights.
fn with_all_snapshots(blocks: &[LoggedBlock]) -> (Node, [Height; 3]) {
    let (old, _) = with_snapshot(blocks, 8);
    for place in [2, 5] {
        let committed = &blocks[place].committed;
        let state = state_at(&blocks[..=place]);
        let proof = old.proofs().chain(None, committed.block.header.epoch).unwrap();
        let of = SnapshotOf { committed, state: &state, proof: Some(&proof) };
        make(&old.store, &old.index, of, &mut || true).unwrap();
    }
    (old, [2, 5, 8].map(|place: usize| blocks[place].committed.block.header.height))
}

/// One that was made before blocks were left out, or whose block a crash or a repair took, says nothing of this log.
#[test]
fn of_all_snapshots_the_newest_one_whose_block_is_in_the_log_is_taken() {
    let (_, blocks) = chain_of_epochs();
    let (old, [early, middle, late]) = with_all_snapshots(&blocks);
    for (tip, expected) in [(8, middle), (blocks.len(), late)] {
        let new = from_snapshot(&old, &blocks[..tip], middle);
        for height in [early, late] {
            hand_on(&old, &new, height);
        }
        assert_eq!(new.replayed().state, Arc::new(state_at(&blocks[..tip])));
        assert_eq!(new.index.history_from().unwrap(), Some(expected + 1));
    }
}

/// INV-REPLAY-4: nothing of it was taken, and the blocks behind the older one are all there.
#[test]
fn a_snapshot_that_is_not_whole_is_passed_over_for_an_older_one() {
    let (_, blocks) = chain_of_epochs();
    let (old, [early, middle, _]) = with_all_snapshots(&blocks);
    type Harm = fn(&SnapshotStore<MemoryDisk>, &MemoryDisk, Height);
    let harms: [Harm; 4] = [
        |store, disk, height| {
            let path = store.get(height).unwrap().unwrap().path().join("chunk-000001");
            disk.remove(&path).unwrap();
        },
        |store, disk, height| {
            let path = store.get(height).unwrap().unwrap().path().join("chunk-000001");
            disk.flip_bit(&path, 900).unwrap();
        },
        |store, disk, height| {
            let path = store.get(height).unwrap().unwrap().path().join("manifest");
            disk.flip_bit(&path, 900).unwrap();
        },
        |store, _, height| {
            store.get(height).unwrap().unwrap().write(SnapshotPart::Proof, b"no proof").unwrap();
        },
    ];
    for harm in harms {
        let disk = MemoryDisk::new();
        let new = from_snapshot_on(disk.clone(), &old, &blocks, early);
        hand_on(&old, &new, middle);
        harm(&new.store, &disk, middle);
        assert_eq!(new.replayed().state, Arc::new(state_at(&blocks)));
        assert_eq!(new.index.history_from().unwrap(), Some(early + 1));
    }
}
