//! The thread behind the block log: what it reports, what it indexes, and when it waits or stops.

use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::consensus::block_commit::{BlockOrder, start_block_log};
use crate::consensus::inbox::ConsensusHandle;
use crate::consensus::verify::Voters;
use crate::network::tests::support::{eventually, patient};
use crate::runtime::TaskRegistry;
use crate::storage::DirectoryLock;
use crate::storage::block_log::BlockReader;
use crate::storage::error::StorageError;
use crate::storage::index_store::{Change, Entries, IndexStore, Tree};
use crate::storage::index_writer::{IndexWriter, MARK_BLOCKS};
use crate::storage::memory_disk::Fault;
use crate::utxo::UtxoManager;

/// The thread, and what the node sees of it.
struct Thread {
    orders: SyncSender<BlockOrder>,
    registry: TaskRegistry,
    handle: Arc<ConsensusHandle>,
    utxos: Arc<UtxoManager>,
    index: Index,
    reader: BlockReader<MemoryDisk>,
    disk: MemoryDisk,
    directory: tempfile::TempDir,
}

/// An output that nobody spends.
fn output() -> (OutPoint, UtxoEntry) {
    let lock = Lock::KeyHash(user().public().key_hash());
    let output = TxOut { value: Amount(1), lock };
    (OutPoint { txid: TxId([0xee; 32]), index: 0 }, UtxoEntry { output, height: 0 })
}

fn start(chain: &Chain) -> Thread {
    start_on(chain, Arc::new(MemoryIndex::new()))
}

fn start_on(chain: &Chain, store: Arc<dyn IndexStore>) -> Thread {
    let disk = MemoryDisk::new();
    let log = BlockLog::open(disk.clone(), Path::new("blocks"), *chain.state.chain_id()).unwrap();
    let (index, reader) = (Index::new(store), log.reader());
    replay(&genesis(), &index, &reader, &mut |_, _| true).unwrap();
    let utxos = Arc::new(UtxoManager::new(Arc::new(index.clone()), 1 << 10));
    let registry = TaskRegistry::new(CancellationToken::new());
    let (chain_id, epoch, set) = (*chain.state.chain_id(), 0, Arc::clone(chain.state.validators()));
    let (handle, _inbox) = ConsensusHandle::new(Voters { chain_id, epoch, set });
    let writer = IndexWriter::start(index.clone(), |_| {}).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let lock = Arc::new(DirectoryLock::acquire(directory.path()).unwrap());
    let orders = start_block_log(
        log,
        writer,
        Arc::clone(&handle),
        Arc::clone(&utxos),
        lock,
        Box::new(|_| ()),
        &registry,
    )
    .unwrap();
    Thread { orders, registry, handle, utxos, index, reader, disk, directory }
}

impl Thread {
    /// The blocks that consensus heard of since the last look.
    fn persisted(&self) -> Vec<BlockHash> {
        let hash = |event| match event {
            Event::BlockPersisted(block) => block.hash(),
            other => panic!("{other:?}"),
        };
        self.handle.take_own().into_iter().map(hash).collect()
    }

    async fn stop(self) -> (TaskRegistry, Index) {
        drop(self.orders);
        self.registry.shutdown(Duration::from_secs(5)).await.unwrap();
        (self.registry, self.index)
    }
}

#[tokio::test]
async fn consensus_hears_of_each_block_once_it_is_on_disk_and_the_index_follows_what_was_applied() {
    let mut chain = Chain::new();
    let thread = start(&chain);
    let mut persisted = Vec::new();
    for number in 1..=3 {
        let (logged, applied) = chain.grow_applied(START_MS + number, false);
        thread.orders.send(BlockOrder::Append(Box::new(logged))).unwrap();
        eventually(|| {
            persisted.extend(thread.persisted());
            persisted.len() as u64 == number
        })
        .await;
        assert_eq!(persisted.last(), Some(&chain.state.tip_hash()));
        assert_eq!(thread.reader.height(), number, "it was there before anybody heard of it");
        if number < 3 {
            thread.orders.send(BlockOrder::Index(applied)).unwrap();
        }
    }
    assert!(DirectoryLock::acquire(thread.directory.path()).is_err(), "until the last byte is written");
    let path = thread.directory.path().to_owned();
    let Thread { orders, registry, index, directory, .. } = thread;
    drop(orders);
    registry.shutdown(Duration::from_secs(5)).await.unwrap();
    assert_eq!(index.mark().unwrap().unwrap().height, 2, "what was applied, and no more");
    assert_eq!(registry.failure(), None);
    assert!(DirectoryLock::acquire(&path).is_ok());
    drop(directory);
}

#[tokio::test]
async fn a_block_that_cannot_be_written_stops_the_node_and_is_not_reported() {
    let mut chain = Chain::new();
    let thread = start(&chain);
    thread.disk.fail_after(1, Fault::InputOutput);
    let (logged, _) = chain.grow_applied(START_MS + 1, false);
    thread.orders.send(BlockOrder::Append(Box::new(logged))).unwrap();
    patient(thread.registry.token().cancelled()).await;
    assert_eq!(thread.registry.failure().unwrap().task, "block log");
    assert!(thread.persisted().is_empty());
    // Nor is anything after it.
    let next = chain.grow(START_MS + 2);
    eventually(|| thread.orders.send(BlockOrder::Append(Box::new(next.clone()))).is_err()).await;
    assert!(thread.persisted().is_empty());
}

/// What waits for the disk is written together, in its order.
#[tokio::test]
async fn blocks_that_came_meanwhile_are_written_with_one_sync_and_reported_each() {
    let mut chain = Chain::new();
    let thread = start(&chain);
    // The log waits until there is room; all of them have come by then.
    thread.utxos.replace_outputs(1, &vec![output(); 1 << 20]);
    let (mut hashes, mut first) = (Vec::new(), None);
    for number in 1..=10 {
        let (logged, applied) = chain.grow_applied(START_MS + number, false);
        hashes.push(logged.committed.block.header.hash());
        thread.orders.send(BlockOrder::Append(Box::new(logged))).unwrap();
        first.get_or_insert(applied);
    }
    // It comes behind them.
    thread.orders.send(BlockOrder::Index(first.unwrap())).unwrap();
    eventually(|| thread.index.mark().unwrap().unwrap().height == 1).await;
    assert!(thread.persisted().is_empty() && thread.reader.height() == 0);
    let before = thread.disk.operations();
    thread.utxos.forget_through(1);
    eventually(|| thread.reader.height() == 10).await;
    assert_eq!(thread.disk.operations() - before, 2, "a write and a sync");
    let mut persisted = Vec::new();
    eventually(|| {
        persisted.extend(thread.persisted());
        persisted.len() == 10
    })
    .await;
    assert_eq!(persisted, hashes);
    thread.stop().await;
}

/// An index that lacks a block can't be brought forward; nobody may take it for whole.
#[tokio::test]
async fn blocks_that_the_index_gets_out_of_order_stop_the_node() {
    let mut chain = Chain::new();
    let thread = start(&chain);
    let (_, _first) = chain.grow_applied(START_MS + 1, false);
    let (_, second) = chain.grow_applied(START_MS + 2, false);
    thread.orders.send(BlockOrder::Index(second)).unwrap();
    patient(thread.registry.token().cancelled()).await;
    let order = StorageError::IndexOrder { last: 0, found: 2 };
    assert_eq!(thread.registry.failure().unwrap().message, order.to_string());
}

/// Memory is bounded by the index: what it lacks is held there.
#[tokio::test]
async fn no_block_is_appended_while_outputs_have_no_room_and_the_index_goes_on_meanwhile() {
    for is_stopping in [false, true] {
        let mut chain = Chain::new();
        let thread = start(&chain);
        // The bound counts changes, not outputs.
        let changes = vec![output(); 1 << 20];
        thread.utxos.replace_outputs(1, &changes);
        assert!(thread.utxos.is_overlay_full());
        let (first, applied) = chain.grow_applied(START_MS + 1, false);
        thread.orders.send(BlockOrder::Append(Box::new(first))).unwrap();
        thread.orders.send(BlockOrder::Index(applied)).unwrap();
        // Twice, so that what comes first was taken for certain.
        let (_, second) = chain.grow_applied(START_MS + 2, false);
        thread.orders.send(BlockOrder::Index(second)).unwrap();
        eventually(|| thread.index.mark().unwrap().unwrap().height == 2).await;
        assert!(thread.persisted().is_empty() && thread.reader.height() == 0, "there is no room");
        if is_stopping {
            // Nobody will make room any more.
            thread.registry.token().cancel();
        } else {
            thread.utxos.forget_through(1);
        }
        eventually(|| thread.handle.has_own()).await;
        assert_eq!(thread.reader.height(), 1);
        let (registry, _) = thread.stop().await;
        assert_eq!(registry.failure(), None);
    }
}

/// An index whose writes wait while it is held.
struct Held {
    inner: MemoryIndex,
    gate: Arc<parking_lot::Mutex<()>>,
}

impl IndexStore for Held {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.inner.get(tree, key)
    }

    fn scan_prefix(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, StorageError> {
        self.inner.scan_prefix(tree, prefix, after, limit)
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        let _open = self.gate.lock();
        self.inner.write(changes)
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.inner.sync()
    }
}

/// Has writes to the index wait until the sender is told or dropped.
fn hold(gate: Arc<parking_lot::Mutex<()>>) -> (SyncSender<()>, std::thread::JoinHandle<()>) {
    let (held, begun) = std::sync::mpsc::sync_channel::<()>(0);
    let (release, released) = std::sync::mpsc::sync_channel::<()>(0);
    let holder = std::thread::spawn(move || {
        let _held = gate.lock();
        held.send(()).unwrap();
        let _told = released.recv();
    });
    begun.recv().unwrap();
    (release, holder)
}

/// On such a disk the index may take its time; nobody may sign meanwhile, and nothing else be written to it.
#[tokio::test]
async fn a_log_that_failed_is_told_before_the_index_ends_which_takes_no_more_than_what_is_under_way() {
    let mut chain = Chain::new();
    let gate = Arc::new(parking_lot::Mutex::new(()));
    let thread = start_on(&chain, Arc::new(Held { inner: MemoryIndex::new(), gate: Arc::clone(&gate) }));
    let (release, holder) = hold(gate);
    // The mark is being written, and some more wait behind it.
    for number in 1..=MARK_BLOCKS + 5 {
        let (_, applied) = chain.grow_applied(START_MS + number, false);
        thread.orders.send(BlockOrder::Index(applied)).unwrap();
    }
    eventually(|| thread.index.applied().unwrap() == Some(MARK_BLOCKS)).await;
    thread.disk.fail_after(1, Fault::InputOutput);
    let first = Chain::new().grow(START_MS + 1);
    thread.orders.send(BlockOrder::Append(Box::new(first))).unwrap();
    eventually(|| thread.registry.failure().is_some()).await;
    assert_eq!(thread.index.mark().unwrap().unwrap().height, 0, "the index is not through yet");
    release.send(()).unwrap();
    holder.join().unwrap();
    let (_, index) = thread.stop().await;
    assert_eq!(index.applied().unwrap(), Some(MARK_BLOCKS));
    assert_eq!(index.mark().unwrap().unwrap().height, MARK_BLOCKS);
}

/// The next start brings the index forward over them. One in between would stop the node with an error.
#[tokio::test]
async fn once_a_stop_has_left_a_block_out_of_the_index_all_that_follow_are_left_out() {
    let mut chain = Chain::new();
    let gate = Arc::new(parking_lot::Mutex::new(()));
    let thread = start_on(&chain, Arc::new(Held { inner: MemoryIndex::new(), gate: Arc::clone(&gate) }));
    let mut index = |number| {
        let (_, applied) = chain.grow_applied(START_MS + number, false);
        thread.orders.send(BlockOrder::Index(applied)).unwrap();
    };
    let (release, holder) = hold(gate);
    thread.registry.token().cancel();
    let blocks = 100;
    (1..blocks).for_each(&mut index);
    // Whatever came before a block that is written was looked at.
    let block = Chain::new().grow(START_MS + 1);
    thread.orders.send(BlockOrder::Append(Box::new(block))).unwrap();
    eventually(|| thread.reader.height() == 1).await;
    release.send(()).unwrap();
    holder.join().unwrap();
    // There is room again for one more.
    let applied = || thread.index.applied().unwrap().unwrap();
    let mut last = 0;
    eventually(|| {
        let before = std::mem::replace(&mut last, applied());
        last > 10 && before == last
    })
    .await;
    index(blocks);
    let (registry, index) = thread.stop().await;
    assert_eq!(registry.failure(), None);
    let applied = index.applied().unwrap().unwrap();
    assert!((last..blocks - 1).contains(&applied), "{applied}: some were left out, and the last one too");
}
