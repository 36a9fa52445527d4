//! Block log and vote journal against a bare write and sync of the same bytes; the index against a sequential write of
//! the same keys and values. All on the disk of the build directory.

use std::fs::{File, OpenOptions, remove_dir_all};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use parking_lot::Mutex;
use timed::protocol::transition::{inputs_in_order, replay, validate_block};
use timed::storage::index_store::Entries;
use timed::storage::{
    BlockLog, Change, Index, IndexChange, IndexStore, JournalIdentity, JournalOrigin, JournalRecord,
    JournalWriter, LoggedBlock, RealDisk, SledIndex, Staged, StorageError, Tree,
};
use timed::types::codec::encode;
use timed::types::keys::SequentialVerifier;
use timed::types::{
    Amount, BlockHash, BlockVote, Commit, CommittedBlock, FinalityVote, KeyHash, Lock, OutPoint, Signature,
    TxId, TxOut, UtxoEntry, VoteBatch, VoteKind, VoteStep,
};

use crate::support::chain::Chain;
use crate::support::{Rate, Work, chain, group, measure, print_ratio, timed};

const VALIDATORS: usize = 4;
const TRANSFERS: usize = 2_000;
/// Votes of one commit of the journal, with as many bodies.
const COMMIT_VOTES: usize = 100;
/// Logs and files begin anew when they are larger.
const FILE_BYTES_MAX: u64 = 100 << 20;
const SLED_CACHE_MB: u64 = 64;
/// Blocks that the index takes before it is marked, and transactions of each.
const INDEX_BLOCKS: u64 = 4;
const INDEX_TRANSACTIONS: u64 = 250;

/// Directories of their own, one after the other; the last one is removed when the next is made.
struct Directories {
    root: tempfile::TempDir,
    count: usize,
}

impl Directories {
    fn new() -> Self {
        Self { root: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(), count: 0 }
    }

    fn path(&self) -> PathBuf {
        self.root.path().join(self.count.to_string())
    }

    fn next(&mut self) -> PathBuf {
        if self.path().exists() {
            remove_dir_all(self.path()).unwrap();
        }
        self.count += 1;
        self.path()
    }
}

fn open_append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

/// The limit: appends bytes to a plain file and syncs it.
fn bare_write(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    work: Work,
    bytes: &[u8],
) -> Option<Rate> {
    let root = Directories::new();
    let mut file = open_append(&root.root.path().join("bare"));
    measure(group, name, work, || {
        if file.metadata().unwrap().len() > FILE_BYTES_MAX {
            file.set_len(0).unwrap();
        }
        timed(|| {
            file.write_all(bytes).unwrap();
            file.sync_data().unwrap();
        })
    })
}

fn bench_block_log(group: &mut BenchmarkGroup<'_, WallTime>, chain: &Chain) {
    let block = chain.block(&chain.transfers(TRANSFERS));
    let (_, outcome) = validate_block(&chain.state, &chain.utxos, &SequentialVerifier, &block).unwrap();
    let spent = inputs_in_order(&outcome);
    assert!(replay(&chain.state, &spent, &block).is_ok());
    let committed = CommittedBlock { block, commit: Commit::default() };
    let mut logged = LoggedBlock { committed, spent };
    let bytes = [encode(&logged.committed), encode(&logged.spent)].concat();

    let work = Work { count: 1, unit: "blocks of 2,000 transfers" };
    let bare = bare_write(group, "bare write and sync of a block", work, &bytes);
    let mut directories = Directories::new();
    let open = |path: PathBuf| BlockLog::open(RealDisk, &path, *chain.state.chain_id()).unwrap();
    let mut log = open(directories.next());
    let append = measure(group, "block log append", work, || {
        if log.size_bytes() > FILE_BYTES_MAX {
            log = open(directories.next());
        }
        logged.committed.block.header.height = log.height() + 1;
        timed(|| log.append(&logged).unwrap())
    });
    print_ratio(append.as_ref(), bare.as_ref());
}

/// What a node commits at once: its own batch with the bodies that it votes for, or a single vote on a block.
fn journal_records(chain: &Chain) -> [(&'static str, Vec<JournalRecord>); 2] {
    let (chain_id, epoch) = (chain.state.chain_id(), chain.state.next_epoch());
    let (validator, secret) = &chain.operators[0];
    let transactions = chain.transfers(COMMIT_VOTES);
    let votes =
        transactions.iter().map(|tx| FinalityVote { kind: VoteKind::Lock, txid: tx.txid() }).collect();
    let batch = VoteBatch::signed(chain_id, epoch, *validator, 0, votes, secret);
    let mut batched: Vec<JournalRecord> =
        transactions.iter().map(|tx| JournalRecord::Transaction(Arc::clone(tx.transaction()))).collect();
    batched.push(JournalRecord::OwnBatch(Arc::new(batch)));
    let vote = BlockVote {
        step: VoteStep::Precommit,
        epoch,
        height: 1,
        round: 0,
        value: Some(BlockHash([1; 32])),
        validator: *validator,
        signature: Signature::EMPTY,
    };
    let single = vec![JournalRecord::BlockVote(Arc::new(vote.signed(chain_id, secret)))];
    [("100 votes with bodies", batched), ("a precommit", single)]
}

fn bench_journal(group: &mut BenchmarkGroup<'_, WallTime>, chain: &Chain) {
    let identity =
        JournalIdentity { chain_id: *chain.state.chain_id(), operator: Some(chain.operators[0].1.public()) };
    let work = Work { count: 1, unit: "commits" };
    for (what, records) in journal_records(chain) {
        let bytes: Vec<u8> = records.iter().flat_map(encode).collect();
        let bare = bare_write(group, &format!("bare write and sync of {what}"), work, &bytes);
        let mut directories = Directories::new();
        let create = |path: PathBuf| {
            JournalWriter::create(RealDisk, &path, identity, JournalOrigin::default()).unwrap().writer
        };
        let mut journal = create(directories.next());
        let commit = measure(group, &format!("journal commit of {what}"), work, || {
            if journal.size_bytes() > FILE_BYTES_MAX {
                journal = create(directories.next());
            }
            let staged = vec![Staged { records: records.clone(), release: vec![()] }];
            timed(|| journal.commit(staged).unwrap())
        });
        print_ratio(commit.as_ref(), bare.as_ref());
    }
}

/// A store that only notes what it is given: how many changes, and their bytes.
#[derive(Default)]
struct Recorder(Mutex<(usize, Vec<u8>)>);

impl IndexStore for Recorder {
    fn get(&self, _tree: Tree, _key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(None)
    }

    fn scan_prefix(
        &self,
        _tree: Tree,
        _prefix: &[u8],
        _after: Option<&[u8]>,
        _limit: usize,
    ) -> Result<Entries, StorageError> {
        Ok(Vec::new())
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        let mut noted = self.0.lock();
        noted.0 += changes.len();
        for change in changes {
            match change {
                Change::Put { key, value, .. } => noted.1.extend([key, value].concat()),
                Change::Delete { key, .. } => noted.1.extend(key),
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

fn output(height: u64, number: u64, index: u32) -> (OutPoint, UtxoEntry) {
    let name = |what: &str| *blake3::hash(format!("{what} {height} {number}").as_bytes()).as_bytes();
    let lock = Lock::KeyHash(KeyHash(name(if index == 0 { "payee" } else { "payer" })));
    let entry = UtxoEntry { output: TxOut { value: Amount(1_000), lock }, height };
    (OutPoint { txid: TxId(name("transaction")), index }, entry)
}

/// A block whose transactions each spend an output of the block before and make two.
fn index_change(height: u64, state: &[u8]) -> IndexChange {
    let spend = |number| {
        let (outpoint, entry) = output(height - 1, number, 0);
        (outpoint, entry, output(height, number, 0).0.txid)
    };
    IndexChange {
        height,
        block_hash: BlockHash(*blake3::hash(&height.to_le_bytes()).as_bytes()),
        state: state.to_vec(),
        spent: (0..INDEX_TRANSACTIONS).map(spend).collect(),
        replaced: Vec::new(),
        created: (0..INDEX_TRANSACTIONS).flat_map(|n| [output(height, n, 0), output(height, n, 1)]).collect(),
        transactions: (0..INDEX_TRANSACTIONS).map(|number| output(height, number, 0).0.txid).collect(),
        receipts: Vec::new(),
        epoch_end: None,
        fuller: None,
        evidence: Vec::new(),
    }
}

fn write_index(index: &Index, blocks: &[IndexChange]) {
    for block in blocks {
        index.apply(block).unwrap();
    }
    let last = blocks.last().unwrap();
    index.set_mark(last.height, last.block_hash, &last.state).unwrap();
}

fn bench_index(group: &mut BenchmarkGroup<'_, WallTime>, chain: &Chain) {
    let state = encode(&chain.state);
    let blocks_from = |height: u64| -> Vec<IndexChange> {
        (height..height + INDEX_BLOCKS).map(|height| index_change(height, &state)).collect()
    };
    let recorder = Arc::new(Recorder::default());
    let genesis = IndexChange { spent: Vec::new(), ..index_change(1, &state) };
    let begin = |index: &Index| index.apply(&IndexChange { height: 0, ..genesis.clone() }).unwrap();
    let index = Index::new(recorder.clone());
    begin(&index);
    write_index(&index, &blocks_from(1));
    let (changes, bytes) = recorder.0.lock().clone();

    let work = Work { count: changes, unit: "changes" };
    let raw = bare_write(group, "sequential write of the index's changes", work, &bytes);
    let mut directories = Directories::new();
    let index = Index::new(Arc::new(SledIndex::open(&directories.next(), SLED_CACHE_MB).unwrap()));
    begin(&index);
    let mut height = 1;
    let indexed = measure(group, "index over sled, marked", work, || -> Duration {
        let blocks = blocks_from(height);
        height += INDEX_BLOCKS;
        timed(|| write_index(&index, &blocks))
    });
    print_ratio(indexed.as_ref(), raw.as_ref());
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let chain = chain::chain(VALIDATORS, TRANSFERS);
    let mut group = group(criterion, "storage");
    bench_block_log(&mut group, &chain);
    bench_journal(&mut group, &chain);
    bench_index(&mut group, &chain);
    group.finish();
}
