//! A node's directory with the chain of the story in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use timed::app::care::{CarePlace, Work};
use timed::app::create_journal;
use timed::consensus::replay::replay;
use timed::consensus::snapshot_make::{SnapshotOf, make};
use timed::protocol::finality_proof::{ChainProof, EpochLink};
use timed::protocol::transition::inputs_in_order;
use timed::runtime::config::StorageEngine;
use timed::runtime::key_file::create_key_file;
use timed::runtime::{Config, ConfigSources};
use timed::storage::{
    BlockLog, Index, JournalIdentity, JournalRecord, JournalWriter, LoggedBlock, MemoryIndex, RealDisk,
    SnapshotStore, Staged,
};
use timed::types::CommittedBlock;

use crate::story::{Story, operator};

/// Blocks of the story.
pub const BLOCKS: u64 = 8;
/// The first block of a node that begins later.
pub const BEGINS: u64 = 4;

pub struct Home {
    pub directory: tempfile::TempDir,
    pub story: Story,
    pub engine: StorageEngine,
}

/// Goes on to the end.
pub fn on(_: Work, _: u64, _: u64) -> bool {
    true
}

pub fn logged(story: &Story) -> Vec<LoggedBlock> {
    let of_step = |step: &crate::story::Step| LoggedBlock {
        committed: CommittedBlock { block: step.block.clone(), commit: step.commit.clone() },
        spent: inputs_in_order(&step.outcome),
    };
    story.steps.iter().map(of_step).collect()
}

impl Home {
    /// With the blocks of the story, and without an index.
    pub fn new(engine: StorageEngine, is_masternode: bool) -> Self {
        let story = Story::tell();
        let blocks = logged(&story);
        assert_eq!(blocks.len() as u64, BLOCKS);
        Self::with_blocks(engine, is_masternode, story, &blocks)
    }

    pub fn with_blocks(
        engine: StorageEngine,
        is_masternode: bool,
        story: Story,
        blocks: &[LoggedBlock],
    ) -> Self {
        let home = Self { directory: tempfile::tempdir().unwrap(), story, engine };
        std::fs::write(home.path().join("genesis.toml"), home.story.genesis.to_toml().unwrap()).unwrap();
        std::fs::write(home.config_path(), home.config_text(is_masternode)).unwrap();
        let chain_id = home.story.genesis.chain_id();
        let mut log = BlockLog::open(RealDisk, &home.data().join("blocks"), chain_id).unwrap();
        for block in blocks {
            log.append(block).unwrap();
        }
        if is_masternode {
            create_key_file(&home.path().join("operator.key"), &operator(0)).unwrap();
            home.write_journal();
        }
        home
    }

    /// A full node whose blocks begin with the end of epoch 0, with the snapshot after that block, and without an index.
    pub fn later(engine: StorageEngine) -> Self {
        let home = Self::with_blocks(engine, false, Story::tell(), &[]);
        let (blocks, chain_id) = (logged(&home.story), home.story.genesis.chain_id());
        let place = usize::try_from(BEGINS).unwrap() - 1;
        let earlier = home.path().join("earlier");
        let mut log = BlockLog::open(RealDisk, &earlier, chain_id).unwrap();
        log.append_all(&blocks[..=place]).unwrap();
        let index = Index::new(Arc::new(MemoryIndex::new()));
        replay(&home.story.genesis, &index, &log.reader(), &mut |_, _| true).unwrap();
        let step = &home.story.steps[place];
        let (set, next) = (step.state.validators(), step.outcome.state.validators());
        let link = EpochLink::new(&step.block.header, &step.commit, [set, set, next]).unwrap();
        let proof = ChainProof { chain_id, anchor: None, links: vec![link] };
        let (committed, state) = (&blocks[place].committed, &step.outcome.state);
        let store = SnapshotStore::new(RealDisk, home.data().join("snapshots"));
        let of = SnapshotOf { committed, state, proof: Some(&proof) };
        make(&store, &index, of, &mut || true).unwrap();
        std::fs::remove_dir_all(earlier).unwrap();
        let directory = home.data().join("blocks");
        std::fs::remove_dir_all(&directory).unwrap();
        let mut log = BlockLog::begin_at(RealDisk, &directory, chain_id, &blocks[place]).unwrap();
        log.append_all(&blocks[place + 1..]).unwrap();
        home
    }

    fn write_journal(&self) {
        let chain_id = self.story.genesis.chain_id();
        let operator = operator(0).public();
        create_journal(&self.data(), chain_id, operator).unwrap();
        let identity = JournalIdentity { chain_id, operator: Some(operator) };
        let mut journal = JournalWriter::open(RealDisk, &self.data().join("votes"), identity).unwrap().writer;
        for epoch in 0..3 {
            let records = vec![JournalRecord::EpochStarted { epoch }];
            let _durable = journal.commit(vec![Staged::<()> { records, release: Vec::new() }]).unwrap();
            let records = vec![JournalRecord::ClosingEntered { epoch, height: 3 * epoch + 3 }];
            let _durable = journal.commit(vec![Staged::<()> { records, release: Vec::new() }]).unwrap();
        }
    }

    /// Ports of its own; nobody answers at the peer's.
    fn config_text(&self, is_masternode: bool) -> String {
        let mut text = format!(
            "# Kept by a restore.\n[node]\nnetwork = \"devnet\"\ngenesis = \"genesis.toml\"\ndata_dir = \"data\"\n\
             [network]\nlisten_address = \"127.0.0.1:25460\"\nbootstrap_peers = [\"127.0.0.1:25459\"]\n\
             [rpc]\nenabled = false\n[storage]\nengine = \"{}\"\n",
            self.engine.name()
        );
        if is_masternode {
            text.push_str("[masternode]\nenabled = true\noperator_key = \"operator.key\"\n");
        }
        text
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn config_path(&self) -> PathBuf {
        self.path().join("config.toml")
    }

    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub fn index(&self) -> PathBuf {
        self.data().join(match self.engine {
            StorageEngine::Sled => "index",
            StorageEngine::Fjall => "index-fjall",
        })
    }

    pub fn config(&self) -> Config {
        Config::load(&ConfigSources { file: Some(self.config_path()), ..ConfigSources::default() }).unwrap()
    }

    pub fn place(&self) -> CarePlace {
        CarePlace::take(self.config(), &self.config_path()).unwrap()
    }

    pub fn reindex(&self) {
        assert_eq!(self.place().reindex(&mut on).unwrap().height, BLOCKS);
    }

    /// All files below the data directory with their bytes, but the lock's.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = files_below(&self.data());
        files.remove(&self.data().join("LOCK"));
        files
    }
}

pub fn files_below(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    files
}

/// Inverts a bit of a file's byte.
pub fn flip(path: &Path, byte: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[byte] ^= 0x20;
    std::fs::write(path, bytes).unwrap();
}

pub fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for (path, bytes) in files_below(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::write(target, bytes).unwrap();
    }
}
