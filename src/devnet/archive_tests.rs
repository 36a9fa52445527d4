//! Exports and imports: what is in them, and what is refused.

use super::*;

fn on(_: Work, _: u64, _: u64) -> bool {
    true
}

/// A devnet's directory that never ran, with some logs of no meaning.
fn directory(home: &Path) -> PathBuf {
    let directory = home.join("from");
    drop(Directory::prepare(&directory, &DevnetWishes::default(), false).unwrap());
    for (name, bytes) in [
        ("node0/data/blocks/00000001.seg", &[7_u8; 100_000][..]),
        ("node0/data/index/db", b"an index"),
        ("node0/data/.cookie", b"a secret"),
        ("node2/node.log", b"a log"),
    ] {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    directory
}

#[test]
fn an_imported_devnet_has_the_chain_keys_and_logs_of_the_exported_one() {
    let home = tempfile::tempdir().unwrap();
    let (from, to, file) = (directory(home.path()), home.path().join("to"), home.path().join("file"));
    let exported = export(&from, &file, &mut on).unwrap();
    assert!(exported.nodes == 4 && exported.file_bytes < exported.bytes, "{exported:?}");
    assert!(matches!(export(&from, &file, &mut on), Err(ArchiveError::Io { .. })), "it is not overwritten");
    let imported = import(&file, &to, None, &mut on).unwrap();
    assert_eq!(imported, exported);
    let read = |directory: &Path, name: &str| std::fs::read(directory.join(name)).unwrap();
    for name in [
        "genesis.toml",
        "node0/data/blocks/00000001.seg",
        "node3/data/votes/00000001.seg",
        "node3/operator.key",
        "node1/data/node.key",
        "node1/config.toml",
        "devnet.toml",
    ] {
        assert_eq!(read(&from, name), read(&to, name), "{name}");
    }
    for name in ["node0/data/index", "node0/data/.cookie", "node2/node.log", "export.toml"] {
        assert!(!to.join(name).exists(), "{name}");
    }
    let again = import(&file, &to, None, &mut on).unwrap_err();
    assert!(matches!(again, ArchiveError::NotEmpty { .. }), "{again}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 3, "no draft is left");
}

#[test]
fn a_copy_with_other_ports_dials_nobody_but_its_own_nodes() {
    let home = tempfile::tempdir().unwrap();
    let (from, to, file) = (directory(home.path()), home.path().join("to"), home.path().join("file"));
    export(&from, &file, &mut on).unwrap();
    import(&file, &to, Some(30_000), &mut on).unwrap();
    let nodes = |path: &Path| Directory::prepare(path, &DevnetWishes::default(), false).unwrap().nodes;
    for node in nodes(&to) {
        let network = node.config.network;
        assert!(!network.dial_registered && network.listen_address.port() >= 30_000);
        assert!(network.bootstrap_peers.iter().all(|peer| peer.starts_with("127.0.0.1:300")));
    }
    assert!(nodes(&from).iter().all(|node| node.config.network.dial_registered));
}

/// INV-DEVNET-3 of those who look at locks.
#[test]
fn a_node_that_runs_is_not_copied() {
    let home = tempfile::tempdir().unwrap();
    let (from, file) = (directory(home.path()), home.path().join("file"));
    let _runs = DirectoryLock::acquire(&from.join("node2/data")).unwrap();
    assert!(matches!(export(&from, &file, &mut on), Err(ArchiveError::Storage(StorageError::InUse { .. }))));
    assert!(!file.exists());
}

/// A member of a hostile archive: its name as raw bytes, its type, its content.
type Member<'a> = (&'a str, tar::EntryType, &'a [u8]);

fn forge(path: &Path, manifest: &Manifest, members: &[Member<'_>]) {
    let mut archive = tar::Builder::new(FrameEncoder::new(File::create(path).unwrap()));
    let text = toml::to_string(manifest).unwrap();
    append(&mut archive, MANIFEST, text.len() as u64, text.as_bytes()).unwrap();
    for (name, kind, content) in members {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_entry_type(*kind);
        header.set_cksum();
        archive.append(&header, *content).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap();
}

/// INV-EXPORT-1, INV-EXPORT-2.
#[test]
fn what_no_export_makes_is_refused_and_nothing_is_written() {
    use tar::EntryType::{Directory as Folder, GNULongName, Link, Regular, Symlink};
    let home = tempfile::tempdir().unwrap();
    let (file, to) = (home.path().join("file"), home.path().join("place/to"));
    std::fs::create_dir(home.path().join("place")).unwrap();
    let said = Manifest { version: VERSION, nodes: 1, base_port: 24_200, members: 9, bytes: 1_000 };
    let refused = |manifest: &Manifest, members: &[Member<'_>]| {
        forge(&file, manifest, members);
        let error = import(&file, &to, None, &mut on).unwrap_err();
        assert!(matches!(error, ArchiveError::Unusable { .. }), "{error}");
        assert_eq!(std::fs::read_dir(home.path().join("place")).unwrap().count(), 0, "{error}");
        error.to_string()
    };
    for (name, kind) in [
        ("../outside", Regular),
        ("/etc/outside", Regular),
        ("node0/../../outside", Regular),
        ("node0/data/blocks/../x.seg", Regular),
        ("node1/operator.key", Regular),
        ("node00/operator.key", Regular),
        ("node0/config.toml", Regular),
        ("devnet.toml", Regular),
        ("node0/data/blocks/00000001.seg/x", Regular),
    ] {
        assert!(refused(&said, &[(name, kind, b"x")]).contains("does not belong there"), "{name}");
    }
    for kind in [Symlink, Link, Folder, GNULongName] {
        assert!(refused(&said, &[("genesis.toml", kind, b"")]).contains("no regular file"));
    }
    let genesis = ("genesis.toml", Regular, &b"x"[..]);
    assert!(refused(&said, &[genesis, genesis]).contains("does not belong there"));
    assert!(refused(&said, &[genesis]).contains("is missing"));
    let whole = [genesis, ("node0/operator.key", Regular, b"x"), ("node0/data/node.key", Regular, b"x")];
    assert!(refused(&said, &whole).contains("less than it says"));
    assert!(refused(&Manifest { bytes: 2, ..said.clone() }, &whole).contains("more than it says"));
    assert!(refused(&Manifest { members: 2, ..said.clone() }, &whole).contains("more than it says"));
    let exact = Manifest { members: 3, bytes: 3, ..said.clone() };
    assert!(refused(&exact, &whole).contains("genesis"), "what stands there is no document");
    for wrong in [
        Manifest { version: 2, ..said.clone() },
        Manifest { nodes: 101, ..said.clone() },
        Manifest { bytes: BYTES_MAX + 1, ..said.clone() },
        Manifest { members: MEMBERS_MAX + 1, ..said.clone() },
    ] {
        refused(&wrong, &whole);
    }
    let large = vec![0; usize::try_from(SMALL_BYTES_MAX).unwrap() + 1];
    assert!(refused(&said, &[("genesis.toml", Regular, &large)]).contains("more than"));
}

#[test]
fn a_damaged_file_is_refused_wherever_the_damage_is() {
    let home = tempfile::tempdir().unwrap();
    let (from, good) = (directory(home.path()), home.path().join("good"));
    export(&from, &good, &mut on).unwrap();
    let bytes = std::fs::read(&good).unwrap();
    let (bad, to) = (home.path().join("bad"), home.path().join("to"));
    let imports = |bytes: &[u8]| {
        std::fs::write(&bad, bytes).unwrap();
        import(&bad, &to, None, &mut on)
    };
    let refused = |bytes: &[u8], what: &str| {
        let error = imports(bytes).err();
        assert!(matches!(error, Some(ArchiveError::Unusable { .. })), "{what}: {error:?}");
        assert!(!to.exists(), "{what}");
    };
    for place in (0..bytes.len()).step_by(bytes.len() / 97) {
        let mut changed = bytes.clone();
        changed[place] ^= 0x10;
        refused(&changed, &format!("byte {place} changed"));
    }
    let whole = bytes.len();
    // Each of the last ones: the frame's end and its checksums stand there.
    for place in (0..whole).step_by(whole / 97).chain(whole - 40..whole) {
        refused(&bytes[..place], &format!("cut at {place} of {whole}"));
    }
    let more: [&[u8]; 3] = [&[0], &[0; 4], &bytes];
    for more in more {
        refused(&[bytes.as_slice(), more].concat(), "something behind its end");
    }
    refused(b"a shopping list", "something else");
    assert!(imports(&bytes).is_ok());
}

/// INV-EXPORT-1, of one who changes his mind.
#[test]
fn work_is_told_to_its_end_and_leaves_nothing_when_it_is_stopped() {
    let place = tempfile::tempdir().unwrap();
    let (from, to, file) = (place.path().join("from"), place.path().join("to"), place.path().join("file"));
    Directory::prepare(&from, &DevnetWishes::default(), false).unwrap();
    let stop = export(&from, &file, &mut |_, _, _| false).unwrap_err();
    assert!(matches!(stop, ArchiveError::Storage(StorageError::Interrupted)), "{stop}");
    assert!(!file.exists());
    let mut seen = Vec::new();
    let mut note = |work: Work, done: u64, total: u64| {
        seen.push((work.what, done, total));
        true
    };
    let moved = export(&from, &file, &mut note).unwrap();
    import(&file, &to, None, &mut note).unwrap();
    for what in ["exporting", "checking the file", "unpacking"] {
        let of_it: Vec<_> = seen.iter().filter(|(work, ..)| *work == what).collect();
        assert!(of_it.iter().all(|(_, done, total)| *total == moved.bytes && done <= total), "{of_it:?}");
        assert!(of_it.is_sorted_by_key(|(_, done, _)| done), "{of_it:?}");
        assert_eq!(of_it.last().map(|(_, done, _)| *done), Some(moved.bytes), "{what}");
    }
    std::fs::remove_dir_all(&to).unwrap();
    for last in ["checking the file", "unpacking"] {
        let stop = import(&file, &to, None, &mut |work, _, _| work.what != last).unwrap_err();
        assert!(matches!(stop, ArchiveError::Storage(StorageError::Interrupted)), "{stop}");
    }
    let left: Vec<_> =
        std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the devnet and its file: {left:?}");
}
