//! Backups and what is restored of them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use timed::app::care::CareError;
use timed::app::care::backup::BackupReport;
use timed::app::care::manifest::Manifest;
use timed::app::care::restore::{RestoreReport, restore};
use timed::protocol::snapshot::SnapshotManifest;
use timed::runtime::config::StorageEngine;
use timed::runtime::{Config, ConfigSources};
use timed::storage::{BlockLog, RealDisk, SnapshotPart, SnapshotStore};
use timed::types::codec::{decode, encode};

use crate::home::{BEGINS, BLOCKS, Home, files_below, flip, on};

fn back_up(home: &Home, out: &Path, with_keys: bool) -> Result<BackupReport, CareError> {
    let place = timed::app::care::CarePlace::look(home.config(), &home.config_path())?;
    place.backup(out, with_keys, "1.2.3", &mut on)
}

fn restored(file: &Path, to: &Path) -> Result<RestoreReport, CareError> {
    restore(file, to, &mut on)
}

fn names(directory: &Path) -> Vec<String> {
    let name = |path: &PathBuf| path.strip_prefix(directory).unwrap().display().to_string();
    files_below(directory).keys().map(name).collect()
}

#[test]
fn what_is_restored_is_what_was_backed_up_and_never_votes() {
    for with_keys in [false, true] {
        let home = Home::new(StorageEngine::Sled, true);
        home.reindex();
        let backups = tempfile::tempdir().unwrap();
        let report = back_up(&home, backups.path(), with_keys).unwrap();
        assert_eq!(report.file, backups.path().join("timed-devnet-8.tar"));
        assert_eq!((report.height, report.was_running), (BLOCKS, false));
        assert_eq!(std::fs::metadata(&report.file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(backups.path()).unwrap().count(), 1, "INV-BACKUP-2");
        let again = back_up(&home, backups.path(), with_keys);
        assert!(matches!(again, Err(CareError::Exists { .. })), "INV-BACKUP-2");

        let new = backups.path().join("new");
        let told = restored(&report.file, &new).unwrap();
        assert_eq!((told.height, told.is_masternode, told.has_operator_key), (BLOCKS, true, with_keys));
        let mut expected = vec!["config.toml", "data/blocks/00000001.seg", "genesis.toml"];
        if with_keys {
            expected.push("operator.key");
        }
        assert_eq!(names(&new), expected, "INV-BACKUP-1");
        for name in ["data/blocks/00000001.seg", "genesis.toml"] {
            assert_eq!(
                std::fs::read(new.join(name)).unwrap(),
                std::fs::read(home.path().join(name)).unwrap()
            );
        }
        let chain_id = home.story.genesis.chain_id();
        assert_eq!(BlockLog::open(RealDisk, &new.join("data/blocks"), chain_id).unwrap().height(), BLOCKS);
    }
}

/// INV-UNPACK-1.
#[test]
fn nothing_is_restored_over_what_is_there() {
    let home = Home::new(StorageEngine::Sled, false);
    let backups = tempfile::tempdir().unwrap();
    let file = back_up(&home, &backups.path().join("a.tar"), false).unwrap().file;
    let full = backups.path().join("full");
    std::fs::create_dir(&full).unwrap();
    restored(&file, &full).unwrap();
    assert!(matches!(restored(&file, &full), Err(CareError::NotEmpty { .. })));
    std::fs::write(backups.path().join("plain"), "x").unwrap();
    assert!(restored(&file, &backups.path().join("plain")).is_err());
    assert_eq!(std::fs::read(backups.path().join("plain")).unwrap(), b"x");
}

/// INV-UNPACK-3.
#[test]
fn a_restored_configuration_leads_to_the_restored_files_alone() {
    let home = Home::new(StorageEngine::Sled, true);
    let text = std::fs::read_to_string(home.config_path()).unwrap();
    let absolute = |name: &str| home.path().join(name).display().to_string();
    let text = text
        .replace("\"data\"", &format!("{:?}", absolute("data")))
        .replace("\"genesis.toml\"", &format!("{:?}", absolute("genesis.toml")))
        .replace("\"operator.key\"", &format!("{:?}", absolute("operator.key")));
    let text = format!("{text}[logging]\nfile = {:?}\n", absolute("the.log"));
    std::fs::write(home.config_path(), text).unwrap();
    let backups = tempfile::tempdir().unwrap();
    let file = back_up(&home, backups.path(), true).unwrap().file;
    let new = backups.path().join("new");
    let report = restored(&file, &new).unwrap();
    let config =
        Config::load(&ConfigSources { file: Some(report.config.clone()), ..ConfigSources::default() })
            .unwrap();
    assert_eq!(config.node.data_dir, new.join("data"));
    assert_eq!(config.node.genesis, Some(new.join("genesis.toml")));
    assert_eq!(config.masternode.operator_key, Some(new.join("operator.key")));
    assert_eq!(config.logging.file, Some(new.join("timed.log")));
    let text = std::fs::read_to_string(report.config).unwrap();
    assert!(text.contains("# Kept by a restore."), "{text}");
    assert!(!text.contains(&home.path().display().to_string()), "{text}");
}

/// INV-ARCHIVE-1, INV-ARCHIVE-2, INV-UNPACK-2, INV-CARE-2: a part of a backup, or one with a wrong byte, leaves nothing behind.
#[test]
fn a_backup_that_is_cut_or_changed_anywhere_is_refused_and_leaves_nothing() {
    let home = Home::new(StorageEngine::Sled, false);
    let backups = tempfile::tempdir().unwrap();
    let file = back_up(&home, &backups.path().join("a.tar"), false).unwrap().file;
    let whole = std::fs::read(&file).unwrap();
    let (other, new) = (backups.path().join("b.tar"), backups.path().join("new"));
    let mut refused = 0;
    for byte in (0..whole.len()).step_by(97) {
        std::fs::copy(&file, &other).unwrap();
        flip(&other, byte);
        match restored(&other, &new) {
            Ok(_) => {
                // Between the files there is room that says nothing, and so do times and owners.
                assert_eq!(
                    std::fs::read(new.join("data/blocks/00000001.seg")).unwrap(),
                    std::fs::read(home.path().join("data/blocks/00000001.seg")).unwrap(),
                    "byte {byte}"
                );
                std::fs::remove_dir_all(&new).unwrap();
            }
            Err(_) => refused += 1,
        }
        assert!(!new.exists());
    }
    assert!(refused * 97 * 10 > whole.len() * 8, "{refused} of {}", whole.len() / 97);
    // INV-ARCHIVE-2: also where nothing but the end of the archive is lost.
    let all = whole.len();
    for length in (0..all).step_by(1_013).chain([all - 1_024, all - 512]).chain(all - 40..all) {
        std::fs::write(&other, &whole[..length]).unwrap();
        assert!(restored(&other, &new).is_err(), "{length} bytes of {all}");
        assert!(!new.exists());
    }
    std::fs::write(&other, [whole.as_slice(), &[0]].concat()).unwrap();
    assert!(restored(&other, &new).unwrap_err().to_string().contains("something follows its end"));
    assert_eq!(std::fs::read_dir(backups.path()).unwrap().count(), 2, "nothing else is left");
}

/// A manifest and contents that somebody made.
fn archive(path: &Path, change: impl Fn(&mut Manifest), home: &Home, extra: Option<&str>) {
    let whole = path.with_extension("whole");
    let _gone = std::fs::remove_file(&whole);
    back_up(home, &whole, false).unwrap();
    let mut reader = tar::Archive::new(std::fs::File::open(&whole).unwrap());
    let mut builder = tar::Builder::new(std::fs::File::create(path).unwrap());
    for entry in reader.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        if name == "manifest.json" {
            let mut manifest: Manifest = serde_json::from_slice(&bytes).unwrap();
            change(&mut manifest);
            bytes = serde_json::to_vec(&manifest).unwrap();
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, &name, bytes.as_slice()).unwrap();
    }
    if let Some(name) = extra {
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        builder.append_data(&mut header, name, &b"x"[..]).unwrap();
    }
    builder.finish().unwrap();
}

#[test]
fn a_backup_that_somebody_made_is_held_to_its_manifest_and_that_to_the_chain() {
    type Change = fn(&mut Manifest);
    let home = Home::new(StorageEngine::Sled, false);
    let backups = tempfile::tempdir().unwrap();
    let (file, new) = (backups.path().join("made.tar"), backups.path().join("new"));
    let changes: [(Change, &str); 6] = [
        (|manifest| manifest.height = 7, "its blocks end at 8"),
        (|manifest| manifest.block_hash.0[0] ^= 1, "its blocks end at 8"),
        (|manifest| manifest.chain_id.0[0] ^= 1, "genesis document"),
        (|manifest| manifest.files[0].bytes += 1, "not where its manifest says"),
        (|manifest| manifest.files[2].name = "data/../../x".to_owned(), "no backup has"),
        (|manifest| manifest.format = 3, "format 3"),
    ];
    for (change, what) in changes {
        archive(&file, change, &home, None);
        let error = restored(&file, &new).unwrap_err().to_string();
        assert!(error.contains(what), "{what}: {error}");
        assert!(!new.exists());
    }
    archive(&file, |_| (), &home, Some("operator.key"));
    let error = restored(&file, &new).unwrap_err().to_string();
    assert!(error.contains("more than its manifest names"), "{error}");
    archive(&file, |_| (), &home, None);
    assert_eq!(restored(&file, &new).unwrap().height, BLOCKS);
    std::fs::write(&file, "no archive").unwrap();
    assert!(matches!(restored(&file, &backups.path().join("other")), Err(CareError::BadBackup { .. })));
}

/// INV-BACKUP-3.
#[test]
fn damage_is_not_backed_up() {
    let home = Home::new(StorageEngine::Sled, false);
    flip(&home.data().join("blocks/00000001.seg"), 2_000);
    let backups = tempfile::tempdir().unwrap();
    let error = back_up(&home, backups.path(), false).unwrap_err();
    assert!(matches!(&error, CareError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("timed db check"));
    assert_eq!(std::fs::read_dir(backups.path()).unwrap().count(), 0);
}

/// What a node writes when it is copied is not in the copy; the rest is.
#[test]
fn an_incomplete_record_at_the_end_is_left_out() {
    let home = Home::new(StorageEngine::Sled, false);
    let segment = home.data().join("blocks/00000001.seg");
    let whole = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, [whole.as_slice(), &[7; 99]].concat()).unwrap();
    let backups = tempfile::tempdir().unwrap();
    let report = back_up(&home, backups.path(), false).unwrap();
    assert_eq!(report.height, BLOCKS);
    let new = backups.path().join("new");
    restored(&report.file, &new).unwrap();
    assert_eq!(std::fs::read(new.join("data/blocks/00000001.seg")).unwrap(), whole);
    assert_eq!(std::fs::read(&segment).unwrap().len(), whole.len() + 99, "INV-CARE-1");
}

/// INV-BACKUP-3.
#[test]
fn a_node_without_its_oldest_blocks_is_restored_with_a_snapshot() {
    for engine in StorageEngine::ALL {
        let home = Home::later(engine);
        home.reindex();
        let backups = tempfile::tempdir().unwrap();
        let report = back_up(&home, backups.path(), false).unwrap();
        assert_eq!((report.first, report.height), (BEGINS, BLOCKS));
        let new = backups.path().join("new");
        assert_eq!(restored(&report.file, &new).unwrap().height, BLOCKS);
        let expected = [
            "config.toml",
            "data/blocks/00000001.seg",
            "data/blocks/horizon",
            "data/snapshots/000000000004/block",
            "data/snapshots/000000000004/chunk-000000",
            "data/snapshots/000000000004/manifest",
            "data/snapshots/000000000004/proof",
            "genesis.toml",
        ];
        assert_eq!(names(&new), expected);
        for name in expected.iter().filter(|name| name.starts_with("data/")) {
            assert_eq!(
                std::fs::read(new.join(name)).unwrap(),
                std::fs::read(home.path().join(name)).unwrap(),
                "{name}"
            );
        }
        let path = new.join("config.toml");
        let config =
            Config::load(&ConfigSources { file: Some(path.clone()), ..ConfigSources::default() }).unwrap();
        let place = timed::app::care::CarePlace::take(config, &path).unwrap();
        let built = place.reindex(&mut on).unwrap();
        assert_eq!((built.height, built.unspent), (BLOCKS, home.story.utxos.len() as u64));
        let checked = place.check(true, &mut on).unwrap();
        assert!(checked.problems.is_empty(), "{:?}", checked.problems);
    }
}

/// INV-BACKUP-3: nobody could make anything of it.
#[test]
fn blocks_that_begin_later_are_not_backed_up_without_a_whole_snapshot_of_one_of_them() {
    let backups = tempfile::tempdir().unwrap();
    let refused = |spoil: &dyn Fn(&Path)| {
        let home = Home::later(StorageEngine::Sled);
        spoil(&home.data().join("snapshots/000000000004"));
        let error = back_up(&home, backups.path(), false).unwrap_err();
        assert!(matches!(error, CareError::Pruned { horizon: BEGINS }), "{error}");
        assert_eq!(std::fs::read_dir(backups.path()).unwrap().count(), 0, "nothing is left");
        error.to_string()
    };
    let said = refused(&|snapshot| std::fs::remove_dir_all(snapshot).unwrap());
    assert!(said.contains("begins with block 4") && said.contains("back up again"), "{said}");
    for part in ["chunk-000000", "manifest", "block"] {
        refused(&|snapshot| flip(&snapshot.join(part), 20));
        refused(&|snapshot| std::fs::remove_file(snapshot.join(part)).unwrap());
    }
    refused(&|snapshot| std::fs::rename(snapshot, snapshot.with_file_name("000000000005")).unwrap());
}

/// INV-UNPACK-2.
#[test]
fn a_snapshot_in_a_backup_is_held_to_its_blocks() {
    let home = Home::later(StorageEngine::Sled);
    let backups = tempfile::tempdir().unwrap();
    let (file, new) = (backups.path().join("made.tar"), backups.path().join("new"));
    archive(&file, |_| (), &home, None);
    assert_eq!(restored(&file, &new).unwrap().height, BLOCKS);
    std::fs::remove_dir_all(&new).unwrap();
    // Whole, and of no block of this log.
    let other = Home::later(StorageEngine::Sled);
    let store = SnapshotStore::new(RealDisk, other.data().join("snapshots"));
    let dir = store.get(BEGINS).unwrap().unwrap();
    let manifest = dir.read(SnapshotPart::Manifest).unwrap().unwrap();
    let mut manifest: SnapshotManifest = decode(&manifest).unwrap();
    manifest.header.time += 1;
    let forged = store.begin(BEGINS).unwrap();
    forged.finish(&encode(&manifest)).unwrap();
    let bytes = std::fs::read(dir.path().join("manifest")).unwrap();
    replace(&file, &file.with_extension("whole"), "data/snapshots/000000000004/manifest", &bytes);
    let error = restored(&file, &new).unwrap_err().to_string();
    assert!(error.contains("its snapshot is not of its block 4"), "{error}");
    assert!(!new.exists());
}

/// An archive with another content of one file, of the same length, and its hash in the manifest.
fn replace(to: &Path, from: &Path, name: &str, content: &[u8]) {
    let mut reader = tar::Archive::new(std::fs::File::open(from).unwrap());
    let mut builder = tar::Builder::new(std::fs::File::create(to).unwrap());
    for entry in reader.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        if path == "manifest.json" {
            let mut manifest: Manifest = serde_json::from_slice(&bytes).unwrap();
            let file = manifest.files.iter_mut().find(|file| file.name == name).unwrap();
            file.blake3 = blake3::hash(content).to_hex().to_string();
            file.bytes = content.len() as u64;
            bytes = serde_json::to_vec(&manifest).unwrap();
        } else if path == name {
            bytes = content.to_vec();
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, &path, bytes.as_slice()).unwrap();
    }
    builder.finish().unwrap();
}
