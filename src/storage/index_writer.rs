//! The thread that brings the index forward behind the block log.
//!
//! # Place
//! `consensus/block_commit.rs` hands it each block's change once the block is durable. The owner is told the marked
//! height, below which the UTXO manager may forget what it kept, and a failure, which is fatal to the node.
//!
//! # Invariants
//! - INV-WRITER-1: changes are applied in the order of their heights, and each once.
//! - INV-STORAGE-5 of [`super`]: a height is reported as marked only after [`Index::set_mark`] returned.
//! - INV-WRITER-3: beside the last block, less than [`MARK_ENTRIES`] applied entries are not marked, so a restart has no
//!   more than that to do again, however large the blocks are.
//! - INV-WRITER-2: at most [`QUEUE_CHANGES_MAX`] changes and [`QUEUE_BYTES_MAX`] bytes wait, or one larger change alone.
//!
//! # Concurrency
//! [`IndexWriter::submit`] blocks while the queue is full: call it from a blocking thread. [`IndexWriter::finish`] and
//! dropping wait until the thread has applied and marked what is queued.
//!
//! A mark costs three syncs, so it is set every [`MARK_BLOCKS`] blocks, or when no block has come for [`MARK_IDLE`].
//! Large blocks bring it sooner, after [`MARK_ENTRIES`] entries: a restart applies again all that came after the mark.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::error::StorageError;
use super::index::{Index, IndexChange};
use super::index_guard::without_panic;
use crate::runtime::Clock;
use crate::runtime::priority::{self, Priority};
use crate::runtime::stages::{Stage, enter};
use crate::types::{BlockHash, Height};

/// Changes that wait, at most.
pub const QUEUE_CHANGES_MAX: usize = 1_024;
/// Bytes of the changes that wait, at most.
pub const QUEUE_BYTES_MAX: usize = 256 << 20;
/// Blocks after which the mark is moved.
pub const MARK_BLOCKS: u64 = 64;
/// Outputs and transactions after which the mark is moved.
pub const MARK_ENTRIES: usize = 32_768;
/// How long no block must have come for the mark to be moved early.
pub const MARK_IDLE: Duration = Duration::from_millis(1_000);

/// What the owner of an [`IndexWriter`] is told, on the writer's thread.
#[derive(Debug)]
pub enum IndexEvent {
    /// Everything up to this height is durable in the index.
    Marked(Height),
    /// The index failed and takes no more changes: stop the node.
    Failed(StorageError),
}

#[derive(Default)]
struct Queue {
    changes: VecDeque<IndexChange>,
    bytes: usize,
    last: Option<Height>,
    marked: Option<Height>,
    closed: bool,
    /// When what waits is left alone.
    close_by: Option<Instant>,
    /// Whether what waits is left alone, whenever that is.
    leaves: bool,
    stopped: bool,
}

impl Queue {
    /// Whether a change of so many bytes may wait as well (INV-WRITER-2).
    fn has_room(&self, bytes: usize) -> bool {
        self.changes.is_empty()
            || (self.changes.len() < QUEUE_CHANGES_MAX && self.bytes + bytes <= QUEUE_BYTES_MAX)
    }
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Told when there is something to apply, or the queue was closed.
    work: Condvar,
    /// Told when there is room again, or the thread has stopped.
    room: Condvar,
}

/// The handle of the writer's thread.
pub struct IndexWriter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), StorageError>>>,
}

impl std::fmt::Debug for IndexWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IndexWriter").field("marked", &self.marked()).finish_non_exhaustive()
    }
}

impl IndexWriter {
    /// Starts the thread. `report` must not block.
    ///
    /// # Errors
    /// Those of reading the mark; [`StorageError::Io`] if there is no thread to be had.
    pub fn start(index: Index, report: impl Fn(IndexEvent) + Send + 'static) -> Result<Self, StorageError> {
        let marked = index.mark()?.map(|mark| mark.height);
        let shared = Arc::new(Shared::default());
        shared.queue.lock().marked = marked;
        shared.queue.lock().last = marked;
        let worker = Worker {
            index,
            shared: Arc::clone(&shared),
            pending: None,
            pending_blocks: 0,
            pending_entries: 0,
        };
        // What it logs names the node of whoever starts it.
        let span = tracing::Span::current();
        let thread = std::thread::Builder::new()
            .name("index-writer".to_owned())
            .spawn(move || {
                let _of_node = span.entered();
                priority::take(Priority::Background);
                without_panic(|| worker.run(&report)).map_err(|error| match error {
                    // It was reported.
                    StorageError::IndexStopped => error,
                    panicked => fail(panicked, &report),
                })
            })
            .map_err(StorageError::io("start the thread of", "the index writer"))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Queues the change of the next block; blocks while the queue is full. The first change of an empty index is
    /// height 0, the genesis document's.
    ///
    /// # Errors
    /// [`StorageError::IndexOrder`] if it does not follow the one before it, [`StorageError::IndexStopped`].
    pub fn submit(&self, change: IndexChange) -> Result<(), StorageError> {
        let bytes = change.size_bytes();
        let mut queue = self.shared.queue.lock();
        while !queue.stopped && !queue.has_room(bytes) {
            self.shared.room.wait(&mut queue);
        }
        if queue.stopped {
            return Err(StorageError::IndexStopped);
        }
        let expected = queue.last.map_or(0, |last| last + 1);
        if change.height != expected {
            let last = queue.last.unwrap_or(0);
            return Err(StorageError::IndexOrder { last, found: change.height });
        }
        queue.last = Some(change.height);
        queue.bytes += bytes;
        queue.changes.push_back(change);
        drop(queue);
        self.shared.work.notify_one();
        Ok(())
    }

    /// The height up to which the index is durable; `None` before genesis is.
    #[must_use]
    pub fn marked(&self) -> Option<Height> {
        self.shared.queue.lock().marked
    }

    /// Changes that wait to be applied.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared.queue.lock().changes.len()
    }

    /// Their bytes.
    #[cfg(test)]
    pub(super) fn queued_bytes(&self) -> usize {
        self.shared.queue.lock().bytes
    }

    /// Applies what is queued, marks it, stops the thread, and returns the marked height.
    ///
    /// # Errors
    /// [`StorageError::IndexStopped`] if it had failed before, which was reported.
    pub fn finish(mut self) -> Result<Option<Height>, StorageError> {
        self.join()?;
        Ok(self.marked())
    }

    /// The same, but if changes still wait after `limit` they are left alone, and nothing is marked, as a mark may take long too: the index is brought forward from the block log, from its last mark on, by whoever opens it next.
    ///
    /// # Errors
    /// Those of [`IndexWriter::finish`].
    pub fn finish_within(self, limit: Duration) -> Result<Option<Height>, StorageError> {
        self.shared.queue.lock().close_by = Clock.instant().checked_add(limit);
        self.finish()
    }

    /// Ends when what is under way is done, without applying or marking anything more: after a failure of the block log nothing
    /// else is written. Whoever opens the index next brings it forward from its last mark.
    pub fn leave(self) {
        self.shared.queue.lock().leaves = true;
    }

    fn join(&mut self) -> Result<(), StorageError> {
        self.shared.queue.lock().closed = true;
        self.shared.work.notify_one();
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(outcome)) => outcome,
            Some(Err(_panicked)) => Err(StorageError::IndexStopped),
        }
    }
}

impl Drop for IndexWriter {
    fn drop(&mut self) {
        let _reported = self.join();
    }
}

struct Worker {
    index: Index,
    shared: Arc<Shared>,
    /// What the next mark will be.
    pending: Option<(Height, BlockHash, Vec<u8>)>,
    pending_blocks: u64,
    pending_entries: usize,
}

enum Step {
    Apply(Box<IndexChange>),
    Mark,
    Stop,
    /// Stop as after a crash.
    Leave,
}

/// Turns submitters away once the thread is gone, however it went.
struct Stopped(Arc<Shared>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.queue.lock().stopped = true;
        self.0.room.notify_all();
    }
}

impl Worker {
    fn run(mut self, report: &dyn Fn(IndexEvent)) -> Result<(), StorageError> {
        let _stopped = Stopped(Arc::clone(&self.shared));
        loop {
            let step = self.next_step();
            let _stage = enter(Stage::Index);
            let outcome = match step {
                Step::Apply(change) => self.apply(*change, report),
                Step::Mark => self.mark(report),
                Step::Leave => return Ok(()),
                Step::Stop => {
                    let outcome = self.mark(report);
                    return outcome.map_err(|error| fail(error, report));
                }
            };
            if let Err(error) = outcome {
                return Err(fail(error, report));
            }
        }
    }

    fn next_step(&self) -> Step {
        let mut queue = self.shared.queue.lock();
        loop {
            if queue.leaves {
                return Step::Leave;
            }
            if queue.close_by.is_some_and(|at| Clock.instant() >= at) && !queue.changes.is_empty() {
                let left = queue.changes.len();
                tracing::info!(left, "The index is brought forward over the last blocks by the next start");
                return Step::Leave;
            }
            if let Some(change) = queue.changes.pop_front() {
                queue.bytes = queue.bytes.saturating_sub(change.size_bytes());
                drop(queue);
                self.shared.room.notify_all();
                return Step::Apply(Box::new(change));
            }
            if queue.closed {
                return Step::Stop;
            }
            if self.pending.is_none() {
                self.shared.work.wait(&mut queue);
            } else if self.shared.work.wait_for(&mut queue, MARK_IDLE).timed_out() {
                return Step::Mark;
            }
        }
    }

    fn apply(&mut self, change: IndexChange, report: &dyn Fn(IndexEvent)) -> Result<(), StorageError> {
        self.index.apply(&change)?;
        self.pending_entries = self.pending_entries.saturating_add(change.entries());
        self.pending = Some((change.height, change.block_hash, change.state));
        self.pending_blocks += 1;
        // Genesis at once: without its mark an index has to be made anew.
        let is_due = self.pending_blocks >= MARK_BLOCKS || self.pending_entries >= MARK_ENTRIES;
        if change.height == 0 || is_due { self.mark(report) } else { Ok(()) }
    }

    fn mark(&mut self, report: &dyn Fn(IndexEvent)) -> Result<(), StorageError> {
        let Some((height, block_hash, state)) = self.pending.take() else { return Ok(()) };
        self.index.set_mark(height, block_hash, &state)?;
        (self.pending_blocks, self.pending_entries) = (0, 0);
        self.shared.queue.lock().marked = Some(height);
        report(IndexEvent::Marked(height));
        Ok(())
    }
}

/// Tells the owner; whoever joins the thread learns just that it stopped.
fn fail(error: StorageError, report: &dyn Fn(IndexEvent)) -> StorageError {
    report(IndexEvent::Failed(error));
    StorageError::IndexStopped
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::storage::index_store::{Change, Entries, IndexStore, Tree};
    use crate::storage::memory_index::MemoryIndex;

    fn change(height: Height) -> IndexChange {
        IndexChange {
            height,
            block_hash: BlockHash([1; 32]),
            state: vec![1; 100],
            spent: Vec::new(),
            created: Vec::new(),
            transactions: Vec::new(),
            receipts: Vec::new(),
            replaced: Vec::new(),
            epoch_end: None,
            fuller: None,
            evidence: Vec::new(),
        }
    }

    /// A store that says when its first write begins, and waits for a word whether it fails; none means that it does.
    struct Held {
        inner: MemoryIndex,
        begun: mpsc::SyncSender<()>,
        word: Mutex<Option<mpsc::Receiver<()>>>,
    }

    /// What became of a change, with the writer.
    type Submitted = (Result<(), StorageError>, IndexWriter);

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
            if let Some(word) = self.word.lock().take() {
                self.begun.send(()).unwrap();
                word.recv().map_err(|_| StorageError::Index { reason: "planted".to_owned() })?;
            }
            self.inner.write(changes)
        }

        fn sync(&self) -> Result<(), StorageError> {
            self.inner.sync()
        }
    }

    /// INV-WRITER-2.
    #[test]
    fn a_change_waits_for_room_in_number_and_in_bytes_unless_it_is_alone() {
        let mut queue = Queue::default();
        assert!(queue.has_room(QUEUE_BYTES_MAX + 1), "it would never have any");
        queue.changes.push_back(change(0));
        queue.bytes = 1_000;
        assert!(queue.has_room(QUEUE_BYTES_MAX - 1_000) && !queue.has_room(QUEUE_BYTES_MAX - 999));
        queue.changes.extend((1..QUEUE_CHANGES_MAX as u64 - 1).map(change));
        assert!(queue.has_room(1));
        queue.changes.push_back(change(QUEUE_CHANGES_MAX as u64 - 1));
        assert!(!queue.has_room(1));
    }

    /// A writer whose thread is held in its first write, with a full queue, and a thread that waits to put in one more.
    fn full() -> (mpsc::SyncSender<()>, mpsc::Receiver<Submitted>) {
        let (begun, begins) = mpsc::sync_channel(1);
        let (tell, word) = mpsc::sync_channel(1);
        let store = Held { inner: MemoryIndex::new(), begun, word: Mutex::new(Some(word)) };
        let writer = IndexWriter::start(Index::new(Arc::new(store)), |_| ()).unwrap();
        writer.submit(change(0)).unwrap();
        begins.recv().unwrap();
        let last = QUEUE_CHANGES_MAX as u64;
        for height in 1..=last {
            writer.submit(change(height)).unwrap();
        }
        let (done, is_done) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let outcome = writer.submit(change(last + 1));
            done.send((outcome, writer)).unwrap();
        });
        // It may not be waiting yet; then it finds what the others would be woken by.
        std::thread::sleep(Duration::from_millis(50));
        let early = is_done.try_recv();
        if early.is_ok() {
            // Else the writer would wait for its thread, and that for the test.
            drop(tell);
            panic!("INV-WRITER-2");
        }
        (tell, is_done)
    }

    /// Else the node would stand still with all that follows a block.
    #[test]
    fn who_waits_for_room_goes_on_when_there_is_some_or_when_there_will_never_be_any() {
        for fails in [false, true] {
            let (tell, is_done) = full();
            if fails {
                drop(tell);
            } else {
                tell.send(()).unwrap();
            }
            let (outcome, writer) = is_done.recv_timeout(Duration::from_secs(20)).unwrap();
            assert_eq!(outcome.is_err(), fails);
            let last = QUEUE_CHANGES_MAX as u64 + 1;
            assert_eq!(writer.finish().ok(), (!fails).then_some(Some(last)));
        }
    }

    /// A mark costs two syncs, and a crash all that came after it.
    #[test]
    fn a_mark_is_set_every_so_many_blocks() {
        let marks = Mutex::new(Vec::new());
        let report = |event| match event {
            IndexEvent::Marked(height) => marks.lock().push(height),
            IndexEvent::Failed(problem) => panic!("{problem}"),
        };
        let (index, shared) = (Index::new(Arc::new(MemoryIndex::new())), Arc::default());
        let mut worker = Worker { index, shared, pending: None, pending_blocks: 0, pending_entries: 0 };
        (0..3 * MARK_BLOCKS).for_each(|height| worker.apply(change(height), &report).unwrap());
        worker.mark(&report).unwrap();
        worker.mark(&report).unwrap();
        assert_eq!(*marks.lock(), [0, MARK_BLOCKS, 2 * MARK_BLOCKS, 3 * MARK_BLOCKS - 1]);
    }

    /// A stop does not wait for an index that is far behind.
    #[test]
    fn what_is_not_applied_in_time_is_left_to_the_next_start() {
        let (begun, begins) = mpsc::sync_channel(1);
        let (tell, word) = mpsc::sync_channel(1);
        let store = Held { inner: MemoryIndex::new(), begun, word: Mutex::new(Some(word)) };
        let index = Index::new(Arc::new(store));
        let writer = IndexWriter::start(index.clone(), |_| ()).unwrap();
        (0..100).for_each(|height| writer.submit(change(height)).unwrap());
        begins.recv().unwrap();
        let finishing = std::thread::spawn(move || writer.finish_within(Duration::ZERO));
        std::thread::sleep(Duration::from_millis(50));
        tell.send(()).unwrap();
        assert_eq!(finishing.join().unwrap().unwrap(), Some(0), "the one that was being applied");
        assert_eq!(index.mark().unwrap().unwrap().height, 0);
        let writer = IndexWriter::start(index, |_| ()).unwrap();
        (1..100).for_each(|height| writer.submit(change(height)).unwrap());
        assert_eq!(writer.finish_within(Duration::from_secs(60)).unwrap(), Some(99));
    }

    /// After a failure of the log no more than what is under way is written.
    #[test]
    fn an_index_that_is_left_applies_and_marks_nothing_more() {
        let (begun, begins) = mpsc::sync_channel(1);
        let (tell, word) = mpsc::sync_channel(1);
        let store = Held { inner: MemoryIndex::new(), begun, word: Mutex::new(Some(word)) };
        let index = Index::new(Arc::new(store));
        let writer = IndexWriter::start(index.clone(), |_| ()).unwrap();
        (0..100).for_each(|height| writer.submit(change(height)).unwrap());
        begins.recv_timeout(Duration::from_secs(20)).unwrap();
        let leaving = std::thread::spawn(move || writer.leave());
        std::thread::sleep(Duration::from_millis(50));
        tell.send(()).unwrap();
        leaving.join().unwrap();
        assert_eq!(index.mark().unwrap().map(|mark| mark.height), Some(0), "the one that was under way");
        assert!(index.applied().unwrap().unwrap() < 99);
    }

    #[test]
    fn a_block_that_none_follows_is_marked_after_a_while() {
        let (report, reported) = mpsc::sync_channel(4);
        let report = move |event| match event {
            IndexEvent::Marked(height) => report.send(height).unwrap(),
            IndexEvent::Failed(problem) => panic!("{problem}"),
        };
        let writer = IndexWriter::start(Index::new(Arc::new(MemoryIndex::new())), report).unwrap();
        for height in 0..2 {
            writer.submit(change(height)).unwrap();
            assert_eq!(reported.recv_timeout(Duration::from_secs(20)), Ok(height));
        }
        assert_eq!(writer.finish().unwrap(), Some(1));
        assert!(reported.try_recv().is_err(), "nothing is marked twice");
    }
}
