//! Starts over data directories that are new, old, damaged, or not to be read to the end.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::app::networks::{devnet_genesis, devnet_operator_key};
use crate::runtime::TaskRegistry;
use crate::storage::index_store::Entries;
use crate::storage::{Change, JournalRecord, MemoryIndex, Staged, Tree};
use crate::types::Network;

/// As at a start that nobody interrupts.
fn open(config: &Config, genesis: &GenesisDocument) -> Result<Data, StartError> {
    super::open(super::lock(config)?, config, genesis, &Watched::default())
}

fn config(data_dir: &Path) -> Config {
    let mut config = Config::of_network(Network::Devnet);
    config.node.data_dir = data_dir.to_owned();
    config
}

/// INV-START-1.
#[test]
fn a_masternode_without_a_journal_refuses_and_with_one_starts() {
    let home = tempfile::tempdir().unwrap();
    let genesis = devnet_genesis(4);
    let mut config = config(home.path());
    let key_path = home.path().join("operator.key");
    create_key_file(&key_path, &devnet_operator_key(1)).unwrap();
    config.masternode.enabled = true;
    config.masternode.operator_key = Some(key_path.clone());
    let refused = open(&config, &genesis).err().unwrap();
    assert!(matches!(refused, StartError::Storage(StorageError::NoJournal { .. })), "{refused}");
    create_journal(home.path(), genesis.chain_id(), devnet_operator_key(1).public()).unwrap();
    let identity_key = {
        let data = open(&config, &genesis).unwrap();
        assert_eq!(data.operator.unwrap().public(), devnet_operator_key(1).public());
        drop((data.lock, data.journal, data.log));
        super::lock(&config).unwrap().identity_key.public()
    };
    assert_eq!(super::lock(&config).unwrap().identity_key.public(), identity_key, "kept");
    let again = create_journal(home.path(), genesis.chain_id(), devnet_operator_key(1).public());
    assert!(matches!(again, Err(StorageError::JournalExists { .. })));
}

#[test]
fn a_node_with_a_key_of_no_masternode_follows_until_it_is_registered() {
    let home = tempfile::tempdir().unwrap();
    let genesis = devnet_genesis(4);
    let mut config = config(home.path());
    let key_path = home.path().join("operator.key");
    create_key_file(&key_path, &devnet_operator_key(50)).unwrap();
    create_journal(home.path(), genesis.chain_id(), devnet_operator_key(50).public()).unwrap();
    config.masternode.enabled = true;
    config.masternode.operator_key = Some(key_path);
    assert_eq!(open(&config, &genesis).unwrap().replayed.state.height(), 0);
}

#[test]
fn an_index_that_does_not_fit_is_built_again() {
    let home = tempfile::tempdir().unwrap();
    let genesis = devnet_genesis(4);
    let config = config(home.path());
    drop(open(&config, &genesis).unwrap());
    let path = home.path().join("index");
    {
        // It has seen a block that the log does not have.
        let index = Index::new(Arc::new(SledIndex::open(&path, 8).unwrap()));
        let mark = index.mark().unwrap().unwrap();
        index.set_mark(7, mark.block_hash, &mark.state).unwrap();
    }
    let data = open(&config, &genesis).unwrap();
    assert_eq!(data.index.mark().unwrap().unwrap().height, 0);
    drop(data);
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("db"), [7; 4096]).unwrap();
    std::fs::write(path.join("conf"), b"rubbish").unwrap();
    assert_eq!(open(&config, &genesis).unwrap().replayed.state.height(), 0);
}

/// What another version wrote may mean something else.
#[test]
fn an_index_of_another_format_is_built_again() {
    let home = tempfile::tempdir().unwrap();
    let genesis = devnet_genesis(4);
    let config = config(home.path());
    drop(open(&config, &genesis).unwrap());
    {
        let sled = SledIndex::open(&home.path().join("index"), 8).unwrap();
        let (key, value) = (b"format".to_vec(), u32::MAX.to_le_bytes().to_vec());
        assert!(sled.get(Tree::State, &key).unwrap().is_some_and(|format| format != value));
        sled.write(vec![Change::Put { tree: Tree::State, key, value }]).unwrap();
        sled.sync().unwrap();
    }
    let data = open(&config, &genesis).unwrap();
    assert_eq!(data.index.unknown_format().unwrap(), None);
    assert!(home.path().join("index.damaged").exists());
}

/// Panics at an operation, or fails there.
struct Planted {
    inner: MemoryIndex,
    left: AtomicUsize,
    fails: Option<fn() -> StorageError>,
}

impl Planted {
    fn spend(&self) -> Result<(), StorageError> {
        if self.left.fetch_sub(1, Ordering::SeqCst) != 0 {
            return Ok(());
        }
        match self.fails {
            Some(error) => Err(error()),
            None => panic!("planted"),
        }
    }
}

impl IndexStore for Planted {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.spend()?;
        self.inner.get(tree, key)
    }

    fn scan_prefix(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, StorageError> {
        self.spend()?;
        self.inner.scan_prefix(tree, prefix, after, limit)
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), StorageError> {
        self.spend()?;
        self.inner.write(changes)
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.spend()?;
        self.inner.sync()
    }
}

type Opened = Result<(Arc<IndexGuard>, Index, Replayed), StartError>;

/// Opens an index whose first stores fail at this operation, and gives how many stores were opened.
fn open_planted(
    home: &Path,
    operation: usize,
    failing: usize,
    fails: Option<fn() -> StorageError>,
) -> (Opened, usize) {
    let (config, genesis) = (config(home), devnet_genesis(4));
    let log = BlockLog::open(RealDisk, &home.join("blocks"), genesis.chain_id()).unwrap();
    let mut opened = 0;
    let mut sled = engine(&config);
    let mut open_store = |path: &Path| {
        opened += 1;
        if opened > failing {
            return sled(path);
        }
        std::fs::create_dir_all(path).unwrap();
        std::fs::write(path.join("db"), b"what was there").unwrap();
        let left = AtomicUsize::new(operation);
        Ok(Box::new(Planted { inner: MemoryIndex::new(), left, fails }) as Box<dyn IndexStore>)
    };
    let watched = Watched::default();
    let outcome = open_index(&config, &genesis, &log.reader(), &watched, &mut open_store);
    (outcome, opened)
}

#[test]
fn a_fault_of_the_database_at_any_step_of_a_start_has_the_index_built_again_once() {
    const DAMAGED: fn() -> StorageError = || StorageError::Index { reason: "planted".to_owned() };
    for fails in [None, Some(DAMAGED)] {
        let mut steps = 0;
        loop {
            let home = tempfile::tempdir().unwrap();
            let (outcome, opened) = open_planted(home.path(), steps, 1, fails);
            let (_, index, replayed) = outcome.unwrap();
            let path = home.path().join("index");
            assert_eq!(IndexGuard::damage_of(&path), None);
            if opened == 1 {
                // The planted store held out to the end.
                break;
            }
            assert_eq!(index.mark().unwrap().unwrap().height, replayed.state.height());
            let aside = home.path().join("index.damaged/db");
            assert_eq!(std::fs::read(aside).unwrap(), b"what was there", "INV-OPEN-1: step {steps}");
            steps += 1;
        }
        // Reads before it is trusted, the genesis block, and its mark with two syncs.
        assert!(steps >= 8, "{steps}");
    }
}

#[test]
fn a_database_that_fails_again_is_not_built_for_ever() {
    let home = tempfile::tempdir().unwrap();
    let (outcome, opened) = open_planted(home.path(), 3, usize::MAX, None);
    assert!(matches!(outcome, Err(StartError::Replay(ReplayError::Storage(StorageError::Index { .. })))));
    assert_eq!(opened, 2, "INV-OPEN-1");
    // The next start tries again.
    assert!(open_planted(home.path(), 0, 0, None).0.is_ok());
}

#[test]
fn a_full_disk_is_no_reason_to_build_the_index_again() {
    let full = || StorageError::io("write", "index")(std::io::ErrorKind::StorageFull.into());
    let home = tempfile::tempdir().unwrap();
    let (outcome, opened) = open_planted(home.path(), 3, 1, Some(full));
    assert!(outcome.is_err());
    assert_eq!(opened, 1);
    assert!(!home.path().join("index.damaged").exists());
}

#[test]
fn damage_met_by_a_running_node_ends_it_and_has_the_next_start_build_the_index_again() {
    let home = tempfile::tempdir().unwrap();
    let (config, genesis) = (config(home.path()), devnet_genesis(4));
    let path = home.path().join("index");
    drop(open(&config, &genesis).unwrap());
    let registry = TaskRegistry::new(CancellationToken::new());
    let left = AtomicUsize::new(0);
    let store = Planted { inner: MemoryIndex::new(), left, fails: None };
    let guard = Arc::new(IndexGuard::new(Box::new(store), &path));
    let failures = registry.clone();
    guard.on_damage(move |reason| failures.fail("index", reason));
    assert!(Index::new(Arc::clone(&guard) as Arc<dyn IndexStore>).mark().is_err());
    assert!(registry.token().is_cancelled(), "the node stops");
    assert!(registry.failure().unwrap().message.contains("planted"), "and says that it failed");
    drop(guard);
    assert!(IndexGuard::damage_of(&path).is_some());
    let data = open(&config, &genesis).unwrap();
    assert_eq!(data.index.mark().unwrap().unwrap().height, 0);
    assert!(home.path().join("index.damaged/db").exists());
    assert_eq!(IndexGuard::damage_of(&path), None);
}

#[test]
fn a_start_survives_whatever_bytes_of_the_database_are_wrong() {
    let home = tempfile::tempdir().unwrap();
    let (config, genesis) = (config(home.path()), devnet_genesis(4));
    let path = home.path().join("index");
    let mut rebuilt = 0;
    for place in 0..8_usize {
        drop(open(&config, &genesis).unwrap());
        {
            let sled = SledIndex::open(&path, 8).unwrap();
            let put = |number: u32| Change::Put {
                tree: Tree::Output,
                key: number.to_be_bytes().to_vec(),
                value: vec![7; 100],
            };
            sled.write((0..5_000).map(put).collect()).unwrap();
            sled.sync().unwrap();
        }
        let mut bytes = std::fs::read(path.join("db")).unwrap();
        for start in (place * 512..bytes.len()).step_by(4_096 + 64 * place) {
            let end = (start + 32).min(bytes.len());
            bytes[start..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
        }
        std::fs::write(path.join("db"), bytes).unwrap();
        let data = open(&config, &genesis).unwrap();
        assert_eq!(data.index.mark().unwrap().unwrap().height, 0, "INV-OPEN-1");
        rebuilt += usize::from(home.path().join("index.damaged").exists());
    }
    assert!(rebuilt > 0, "the bytes matter");
}

#[test]
fn a_start_that_is_told_to_stop_ends_and_the_next_one_does_the_work() {
    let home = tempfile::tempdir().unwrap();
    let (config, genesis) = (config(home.path()), devnet_genesis(4));
    let identity = JournalIdentity { chain_id: genesis.chain_id(), operator: None };
    let mut journal =
        JournalWriter::open_or_create(RealDisk, &journal_path(home.path()), identity).unwrap().writer;
    let records = vec![JournalRecord::EpochStarted { epoch: 0 }];
    drop(journal.commit(vec![Staged::<()> { records, release: Vec::new() }]).unwrap());
    drop(journal);
    let watched = Watched::default();
    watched.token.cancel();
    let stopped = super::open(super::lock(&config).unwrap(), &config, &genesis, &watched).err().unwrap();
    assert!(matches!(stopped, StartError::Storage(StorageError::Interrupted)), "INV-OPEN-2: {stopped}");
    assert!(open(&config, &genesis).is_ok());
}

#[test]
fn progress_is_told_in_percent_and_time() {
    let second = Duration::from_secs(1);
    // From, done and total; percent and seconds left after one second.
    for (from, done, total, expected) in [
        (0, 10, 100, (10, 9)),
        (90, 95, 100, (95, 1)),
        (0, 0, 100, (0, 0)),
        (0, 0, 0, (100, 0)),
        (0, 100, 100, (100, 0)),
        (0, 1, u64::MAX, (0, u64::MAX - 1)),
        (0, 7, 5, (100, 0)),
    ] {
        assert_eq!(estimate(from, done, total, second), expected, "{from} {done} {total}");
    }
}

/// INV-OPEN-1: the block log is enough, whichever engine there was.
#[test]
fn another_engine_begins_with_an_index_of_its_own_and_the_way_back_is_open() {
    let home = tempfile::tempdir().unwrap();
    let (mut config, genesis) = (config(home.path()), devnet_genesis(4));
    let marks = [StorageEngine::Sled, StorageEngine::Fjall, StorageEngine::Sled].map(|engine| {
        config.storage.engine = engine;
        let data = open(&config, &genesis).unwrap();
        assert!(data.index.unspent().unwrap() > 0);
        data.index.mark().unwrap().unwrap()
    });
    assert!(marks.iter().all(|mark| *mark == marks[0]));
    let paths = StorageEngine::ALL.map(|engine| index_path(&config, engine));
    assert!(paths[0] != paths[1] && paths.iter().all(|path| path.is_dir()));
}
