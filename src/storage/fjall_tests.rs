use super::*;
use crate::storage::index_store::put;

/// What a kill leaves: the engine's own journal still holds what tables have replaced since.
#[test]
fn fjall_reads_the_newest_after_a_kill() {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &to);
            } else {
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let key = |number: u32| number.to_be_bytes().to_vec();
    let set = |number, value: u8| put(Tree::Receipt, key(number), vec![value]);
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index");
    let store = FjallIndex::open(&path, 8).unwrap();
    let get = |store: &FjallIndex, number| store.get(Tree::Receipt, &key(number)).unwrap();
    store.write((0..10).map(|number| set(number, 1)).collect()).unwrap();
    store.sync().unwrap();
    let delete = |number| Change::Delete { tree: Tree::Receipt, key: key(number) };
    let table = (0..3_000).map(|number| if number % 2 == 0 { set(number, 2) } else { delete(number) });
    store.write(table.collect()).unwrap();
    store.write(vec![set(4, 3)]).unwrap();
    store.sync().unwrap();
    let killed = home.path().join("killed");
    copy(&path, &killed);
    let reopened = FjallIndex::open(&killed, 8).unwrap();
    let found: Vec<_> = (0..6).map(|number| get(&reopened, number)).collect();
    assert_eq!(found, [Some(vec![2]), None, Some(vec![2]), None, Some(vec![3]), None]);
    reopened.write(vec![set(2, 4), set(3, 4)]).unwrap();
    assert_eq!((get(&reopened, 2), get(&reopened, 3)), (Some(vec![4]), Some(vec![4])));
}

#[test]
fn a_fjall_that_cannot_be_opened_says_so() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index");
    drop(FjallIndex::open(&path, 8).unwrap());
    let mut files = vec![path.clone()];
    while let Some(file) = files.pop() {
        if file.is_dir() {
            files.extend(std::fs::read_dir(&file).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            std::fs::write(&file, [0x55; 4_096]).unwrap();
        }
    }
    let outcome = FjallIndex::open(&path, 8).map(drop);
    assert!(matches!(outcome, Err(StorageError::Unopenable { .. })), "{outcome:?}");
}

/// In no order, and keys twice: the last one counts.
#[test]
fn changes_in_no_order_are_applied_one_after_the_other() {
    let home = tempfile::tempdir().unwrap();
    let store = FjallIndex::open(&home.path().join("index"), 8).unwrap();
    let number = |number: u32| put(Tree::Receipt, (number % 900).to_be_bytes().to_vec(), vec![1; 4]);
    let last = Change::Delete { tree: Tree::Receipt, key: 7_u32.to_be_bytes().to_vec() };
    store.write((0..2_000).rev().map(number).chain([last]).collect()).unwrap();
    assert_eq!(store.scan_prefix(Tree::Receipt, &[], None, 2_000).unwrap().len(), 899);
}

/// A delete hides all that was put under its key, not the last alone: what was put before lies in another table.
#[test]
fn a_key_that_was_put_twice_and_then_deleted_stays_away_when_tables_are_merged() {
    let home = tempfile::tempdir().unwrap();
    let store = FjallIndex::open(&home.path().join("index"), 8).unwrap();
    let tree = store.tree(Tree::Receipt).unwrap();
    let key = |number: u32| number.to_be_bytes().to_vec();
    let set = |number, value: u8| put(Tree::Receipt, key(number), vec![value]);
    store.write((0..4).map(|number| set(number, 1)).collect()).unwrap();
    tree.rotate_memtable_and_wait().unwrap();
    tree.major_compact().unwrap();
    store.write((0..3).map(|number| set(number, 2)).collect()).unwrap();
    let delete = |number| Change::Delete { tree: Tree::Receipt, key: key(number) };
    store.write(vec![delete(0), delete(2)]).unwrap();
    let found = || (0..4).map(|number| store.get(Tree::Receipt, &key(number)).unwrap()).collect::<Vec<_>>();
    let wanted = [None, Some(vec![2]), None, Some(vec![1])];
    assert_eq!(found(), wanted, "before anything is merged");
    tree.rotate_memtable_and_wait().unwrap();
    assert_eq!(found(), wanted, "as tables");
    tree.major_compact().unwrap();
    assert_eq!(found(), wanted, "merged");
}

/// An index that is built again because the disk is full would fill it again.
#[test]
fn what_the_operating_system_refuses_is_no_damage_of_a_fjall() {
    use std::io::ErrorKind;
    let home = tempfile::tempdir().unwrap();
    let store = FjallIndex::open(&home.path().join("index"), 8).unwrap();
    let judged = |kind: ErrorKind| {
        let (of_database, of_tree) =
            (fjall::Error::Io(kind.into()), fjall::Error::Storage(fjall::LsmError::Io(kind.into())));
        [of_database, of_tree].map(|error| store.failed(error))
    };
    for kind in [ErrorKind::StorageFull, ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem] {
        let judged = judged(kind);
        assert!(judged.iter().all(|error| matches!(error, StorageError::Io { .. })), "{kind}: {judged:?}");
    }
    for kind in [ErrorKind::InvalidData, ErrorKind::UnexpectedEof] {
        let judged = judged(kind);
        assert!(judged.iter().all(|error| matches!(error, StorageError::Index { .. })), "{kind}: {judged:?}");
    }
}
