//! What a backup says of itself: whose it is, up to which block, and the hash of each file in it.
//!
//! # Place
//! [`backup`](super::backup) writes it as the first file of an archive, [`restore`](super::restore) believes nothing that
//! it does not name.
//!
//! # Invariants
//! - INV-MANIFEST-1: a name is one of the few that a backup has, so none leads out of the directory that is restored to.
//! - INV-MANIFEST-2: the number of files and the size of each are bounded before anything is read of them.

use serde::{Deserialize, Serialize};

use crate::types::{BlockHash, ChainId, Height, Network, TimeMs};

/// The format of backups that this program writes and reads.
pub const BACKUP_FORMAT: u64 = 1;
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
const BLOCKS_PREFIX: &str = "data/blocks/";
const SEGMENT_SUFFIX: &str = ".seg";
/// Files of a backup, at most: 10 TB of blocks.
const FILES_MAX: usize = 100_000;
/// Bytes of a file of the block log, at most: a full one, and a largest record in one of its own.
const SEGMENT_BYTES_MAX: u64 = 256 << 20;
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
    /// [`BACKUP_FORMAT`].
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
        let mut due = 1;
        let mut names = std::collections::BTreeSet::new();
        for file in &self.files {
            let Some(limit) = bytes_max(&file.name) else {
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
        missing.map(|name| format!("it has no {name}"))
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
            format: BACKUP_FORMAT,
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
