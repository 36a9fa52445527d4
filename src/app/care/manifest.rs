//! What a backup says of itself: whose it is, up to which block, and the hash of each file in it.
//!
//! # Place
//! [`backup`](super::backup) writes it as the first file of an archive, [`restore`](super::restore) believes nothing that
//! it does not name.
//!
//! # Invariants
//! - INV-MANIFEST-1: a name is one of the few that a backup has, so none leads out of the directory that is restored to.
//! - INV-MANIFEST-2: the number of files and the size of each are bounded before anything is read of them.
//!
//! # Formats
//! 1 has all blocks from the first one on. 2 has those from a later one on, the file that says so, and a snapshot of one of
//! them, since nobody could execute the blocks without.

use serde::{Deserialize, Serialize};

use crate::storage::SnapshotPart;
use crate::types::{BlockHash, ChainId, Height, Network, TimeMs};

/// The newest format of backups that this program writes and reads.
pub const BACKUP_FORMAT: u64 = 2;
/// The format of a backup with all blocks.
pub const WHOLE_FORMAT: u64 = 1;
/// Bytes of the manifest, at most.
pub const MANIFEST_BYTES_MAX: u64 = 16 << 20;
/// The manifest's name in the archive.
pub const MANIFEST_NAME: &str = "manifest.json";
/// The genesis document's name.
pub const GENESIS_NAME: &str = "genesis.toml";
/// The configuration's name.
pub const CONFIG_NAME: &str = "config.toml";
/// The name of the key that votes.
pub const OPERATOR_KEY_NAME: &str = "operator.key";
/// The name of the key that names the node among peers.
pub const IDENTITY_KEY_NAME: &str = "data/node.key";
/// The name of the file that says where the block log begins.
pub const HORIZON_NAME: &str = "data/blocks/horizon";
const BLOCKS_PREFIX: &str = "data/blocks/";
const SNAPSHOTS_PREFIX: &str = "data/snapshots/";
const SEGMENT_SUFFIX: &str = ".seg";
/// Files of a backup, at most: 10 TB of blocks.
const FILES_MAX: usize = 100_000;
/// Bytes of a file of the block log, at most: a full one, and a largest record in one of its own.
const SEGMENT_BYTES_MAX: u64 = 256 << 20;
/// Bytes of the file that says where the block log begins, at most.
const HORIZON_BYTES_MAX: u64 = 1 << 10;
/// Bytes of a part of a snapshot, at most.
const PART_BYTES_MAX: u64 = 16 << 20;
/// Bytes of a genesis document, at most.
const GENESIS_BYTES_MAX: u64 = 16 << 20;
/// Bytes of a configuration, at most.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a key file, at most.
const KEY_BYTES_MAX: u64 = 64 << 10;

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Its name in the archive and in the directory that it is restored to.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 of its bytes, in hexadecimal digits.
    pub blake3: String,
}

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`WHOLE_FORMAT`] or [`BACKUP_FORMAT`].
    pub format: u64,
    /// The version of the program that wrote it.
    pub version: String,
    /// When it was made, by the clock of that machine.
    pub created_ms: TimeMs,
    /// The network.
    pub network: Network,
    /// The chain.
    pub chain_id: ChainId,
    /// The last block in it; 0 if there is none.
    pub height: Height,
    /// That block; the chain id's bytes if there is none.
    pub block_hash: BlockHash,
    /// Whether the keys are in it.
    pub with_keys: bool,
    /// The files, in their order.
    pub files: Vec<ManifestFile>,
}

/// The name of a file of the block log.
#[must_use]
pub fn segment_name(sequence: u64) -> String {
    format!("{BLOCKS_PREFIX}{sequence:08}{SEGMENT_SUFFIX}")
}

/// The name of a part of the snapshot of this height.
#[must_use]
pub fn part_name(height: Height, file: &str) -> String {
    format!("{SNAPSHOTS_PREFIX}{height:012}/{file}")
}

/// Of which snapshot a file of this name is a part.
fn snapshot_of(name: &str) -> Option<Height> {
    let (directory, file) = name.strip_prefix(SNAPSHOTS_PREFIX)?.split_once('/')?;
    let height = directory.parse().ok()?;
    (SnapshotPart::is_name(file) && part_name(height, file) == name).then_some(height)
}

/// The place in the block log of a file of this name.
fn sequence_of(name: &str) -> Option<u64> {
    let sequence = name.strip_prefix(BLOCKS_PREFIX)?.strip_suffix(SEGMENT_SUFFIX)?.parse().ok()?;
    (segment_name(sequence) == name).then_some(sequence)
}

/// Bytes of a file of this name, at most; `None` if no backup has one.
fn bytes_max(name: &str) -> Option<u64> {
    match name {
        GENESIS_NAME => Some(GENESIS_BYTES_MAX),
        CONFIG_NAME => Some(CONFIG_BYTES_MAX),
        OPERATOR_KEY_NAME | IDENTITY_KEY_NAME => Some(KEY_BYTES_MAX),
        HORIZON_NAME => Some(HORIZON_BYTES_MAX),
        _ if snapshot_of(name).is_some() => Some(PART_BYTES_MAX),
        _ => sequence_of(name).map(|_| SEGMENT_BYTES_MAX),
    }
}

impl Manifest {
    /// What is wrong with it, if anything is; its format is the caller's to look at first.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        if self.files.len() > FILES_MAX {
            return Some(format!("it names more than {FILES_MAX} files"));
        }
        let is_whole = self.format == WHOLE_FORMAT;
        // Where the log begins later, its own file says with which of its files.
        let first = self.files.iter().find_map(|file| sequence_of(&file.name));
        let mut due = if is_whole { 1 } else { first.unwrap_or(1) };
        let mut names = std::collections::BTreeSet::new();
        for file in &self.files {
            let begins_later = file.name == HORIZON_NAME || snapshot_of(&file.name).is_some();
            let Some(limit) = bytes_max(&file.name).filter(|_| !(is_whole && begins_later)) else {
                return Some(format!("no backup has a file {:?}", file.name));
            };
            if file.bytes > limit {
                return Some(format!("{} has {} bytes, more than {limit}", file.name, file.bytes));
            }
            if !names.insert(&file.name) {
                return Some(format!("{} is in it twice", file.name));
            }
            if blake3::Hash::from_hex(&file.blake3).is_err() {
                return Some(format!("the hash of {} is none", file.name));
            }
            if let Some(sequence) = sequence_of(&file.name) {
                if sequence != due {
                    return Some(format!("{} is missing", segment_name(due)));
                }
                due += 1;
            }
        }
        let missing = [GENESIS_NAME, CONFIG_NAME].into_iter().find(|name| !self.has(name));
        missing.map(|name| format!("it has no {name}")).or_else(|| self.problem_of_beginning())
    }

    /// What is wrong with what stands for the blocks that are left out.
    fn problem_of_beginning(&self) -> Option<String> {
        if self.format == WHOLE_FORMAT {
            return None;
        }
        let mut heights: Vec<Height> = self.files.iter().filter_map(|file| snapshot_of(&file.name)).collect();
        heights.dedup();
        let [height] = heights[..] else {
            return Some(format!("it has {} snapshots instead of one", heights.len()));
        };
        let parts = ["manifest", "block"].map(|file| part_name(height, file));
        let missing = [HORIZON_NAME, &parts[0], &parts[1]].into_iter().find(|name| !self.has(name));
        missing.map(|name| format!("it has no {name}"))
    }

    /// The height of the snapshot in it, where its blocks begin later.
    #[must_use]
    pub fn snapshot(&self) -> Option<Height> {
        self.files.iter().find_map(|file| snapshot_of(&file.name))
    }

    /// Whether a file of this name is in it.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(names: &[&str]) -> Manifest {
        let file = |name: &&str| ManifestFile {
            name: (*name).to_owned(),
            bytes: 1,
            blake3: blake3::hash(b"x").to_hex().to_string(),
        };
        Manifest {
            format: WHOLE_FORMAT,
            version: "1".to_owned(),
            created_ms: 1,
            network: Network::Devnet,
            chain_id: ChainId::ZERO,
            height: 1,
            block_hash: BlockHash([0; 32]),
            with_keys: false,
            files: names.iter().map(file).collect(),
        }
    }

    const WHOLE: [&str; 4] =
        [GENESIS_NAME, CONFIG_NAME, "data/blocks/00000001.seg", "data/blocks/00000002.seg"];

    /// INV-MANIFEST-1.
    #[test]
    fn no_name_leads_out_of_the_directory() {
        assert_eq!(manifest(&WHOLE).problem(), None);
        assert_eq!(manifest(&WHOLE[..2]).problem(), None, "a node without a block");
        for name in [
            "../config.toml",
            "/etc/passwd",
            "data/blocks/../../x.seg",
            "data/blocks/1.seg",
            "data/blocks/000000003.seg",
            "data/blocks/+0000003.seg",
            "data/votes/00000001.seg",
            "data/LOCK",
            "",
            "data/blocks/",
            "./config.toml",
            MANIFEST_NAME,
        ] {
            let problem = manifest(&[&WHOLE[..], &[name]].concat()).problem();
            assert!(problem.is_some_and(|problem| problem.contains("no backup has")), "{name}");
        }
    }

    const LATER: [&str; 7] = [
        GENESIS_NAME,
        CONFIG_NAME,
        HORIZON_NAME,
        "data/snapshots/000000000900/block",
        "data/snapshots/000000000900/chunk-000000",
        "data/snapshots/000000000900/manifest",
        "data/blocks/00000007.seg",
    ];

    #[test]
    fn blocks_that_begin_later_have_a_snapshot_and_the_file_that_says_so() {
        let later = |names: &[&str]| Manifest { format: BACKUP_FORMAT, ..manifest(names) };
        let whole = later(&LATER);
        assert_eq!((whole.problem(), whole.snapshot()), (None, Some(900)));
        assert_eq!(manifest(&WHOLE).snapshot(), None);
        assert!(manifest(&LATER).problem().is_some_and(|problem| problem.contains("no backup has")));
        for left_out in [2, 3, 5] {
            let mut names = LATER.to_vec();
            let name = names.remove(left_out);
            assert_eq!(later(&names).problem(), Some(format!("it has no {name}")));
        }
        assert!(later(&WHOLE).problem().is_some_and(|problem| problem.contains("0 snapshots")));
        for (name, what) in [
            ("data/snapshots/000000000901/block", "2 snapshots"),
            ("data/snapshots/000000000900/../x", "no backup has"),
            ("data/snapshots/900/proof", "no backup has"),
            ("data/snapshots/000000000900/incoming", "no backup has"),
            ("data/blocks/00000009.seg", "00000008.seg is missing"),
        ] {
            let problem = later(&[&LATER[..], &[name]].concat()).problem();
            assert!(problem.as_ref().is_some_and(|problem| problem.contains(what)), "{name}: {problem:?}");
        }
    }

    #[test]
    fn what_is_missing_twice_or_too_large_is_named() {
        let problem = |names: &[&str]| manifest(names).problem().unwrap_or_default();
        assert!(problem(&WHOLE[1..]).contains("no genesis.toml"));
        assert!(problem(&[WHOLE[0], WHOLE[2]]).contains("no config.toml"));
        assert!(problem(&[WHOLE[0], WHOLE[1], WHOLE[3]]).contains("00000001.seg is missing"));
        assert!(problem(&[WHOLE[0], WHOLE[1], WHOLE[0]]).contains("twice"));
        for (place, limit) in [(0, GENESIS_BYTES_MAX), (1, CONFIG_BYTES_MAX), (2, SEGMENT_BYTES_MAX)] {
            let mut large = manifest(&WHOLE);
            large.files[place].bytes = limit;
            assert_eq!(large.problem(), None);
            large.files[place].bytes = limit + 1;
            assert!(large.problem().is_some_and(|problem| problem.contains("more than")), "INV-MANIFEST-2");
        }
        let mut hashless = manifest(&WHOLE);
        hashless.files[1].blake3 = "00".to_owned();
        assert!(hashless.problem().is_some_and(|problem| problem.contains("hash")));
        let mut many = manifest(&WHOLE);
        many.files = vec![many.files[0].clone(); FILES_MAX + 1];
        assert!(many.problem().is_some_and(|problem| problem.contains("files")));
    }
}
