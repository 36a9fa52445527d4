//! The index built anew, and made small.

use std::collections::BTreeMap;
use std::path::Path;

use timed::app::care::{CareError, Unit, Work};
use timed::runtime::config::StorageEngine;
use timed::storage::{BlockLog, Change, FjallIndex, IndexStore, RealDisk, SledIndex, StorageError, Tree};

use crate::home::{BLOCKS, Home, files_below, logged, on};
use crate::story::Story;

type Contents = BTreeMap<(Tree, Vec<u8>), Vec<u8>>;

fn open(engine: StorageEngine, path: &Path) -> Box<dyn IndexStore> {
    match engine {
        StorageEngine::Sled => Box::new(SledIndex::open(path, 8).unwrap()),
        StorageEngine::Fjall => Box::new(FjallIndex::open(path, 8).unwrap()),
    }
}

fn contents(home: &Home) -> Contents {
    contents_of(home.engine, &home.index())
}

fn contents_of(engine: StorageEngine, path: &Path) -> Contents {
    let store = open(engine, path);
    let of_tree = |tree: Tree| {
        let entries = store.scan_prefix(tree, &[], None, 100_000).unwrap();
        entries.into_iter().map(move |(key, value)| ((tree, key), value)).collect::<Vec<_>>()
    };
    Tree::ALL.into_iter().flat_map(of_tree).collect()
}

/// INV-REINDEX-1, INV-REINDEX-2, INV-CARE-1.
#[test]
fn an_index_that_is_stopped_at_any_block_is_built_on_and_the_old_one_stays_until_then() {
    for engine in StorageEngine::ALL {
        let home = Home::new(engine, true);
        home.reindex();
        let whole = contents(&home);
        let logs = || [files_below(&home.data().join("blocks")), files_below(&home.data().join("votes"))];
        let before = logs();
        let mut resumed = Vec::new();
        for stop_at in 1..=BLOCKS {
            let mut stop = |work: Work, done: u64, _: u64| work.unit != Unit::Blocks || done < stop_at;
            let outcome = home.place().reindex(&mut stop);
            assert!(matches!(
                outcome,
                Err(CareError::Replay(timed::consensus::replay::ReplayError::Storage(
                    StorageError::Interrupted
                )))
            ));
            assert!(contents(&home) == whole, "INV-REINDEX-1: {engine:?}, block {stop_at}");
        }
        let report = home.place().reindex(&mut |work, done, total| {
            resumed.push((work.unit, done));
            on(work, done, total)
        });
        let report = report.unwrap();
        assert_eq!((report.height, report.resumed_from), (BLOCKS, BLOCKS), "INV-REINDEX-2: {engine:?}");
        assert_eq!(report.unspent, home.story.utxos.len() as u64);
        assert!(contents(&home) == whole, "{engine:?}");
        assert!(before == logs(), "INV-CARE-1");
        let names: Vec<_> =
            std::fs::read_dir(home.data()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().contains('.')), "{names:?}");
    }
}

#[test]
fn a_damaged_index_gives_way_and_its_mark_too() {
    let home = Home::new(StorageEngine::Sled, false);
    std::fs::create_dir_all(home.index()).unwrap();
    std::fs::write(home.index().join("db"), [7; 4_096]).unwrap();
    let mark = home.data().join("index.rebuild");
    std::fs::write(&mark, "planted").unwrap();
    let problems = home.place().check(false, &mut on).unwrap().problems;
    assert!(problems.len() == 1 && problems[0].what.contains("planted"), "{problems:?}");
    home.reindex();
    assert!(!mark.exists());
    assert!(home.place().check(true, &mut on).unwrap().problems.is_empty());
}

#[test]
fn an_index_of_another_format_is_not_used() {
    let home = Home::new(StorageEngine::Sled, false);
    home.reindex();
    {
        let sled = SledIndex::open(&home.index(), 8).unwrap();
        let (key, value) = (b"format".to_vec(), u32::MAX.to_le_bytes().to_vec());
        assert!(sled.get(Tree::State, &key).unwrap().is_some_and(|format| format != value));
        sled.write(vec![Change::Put { tree: Tree::State, key, value }]).unwrap();
        sled.sync().unwrap();
    }
    SledIndex::wait_closed(&home.index()).unwrap();
    let problems = home.place().check(false, &mut on).unwrap().problems;
    assert!(problems.len() == 1 && problems[0].what.contains("format 4294967295"), "{problems:?}");
}

/// INV-COMPACT-1, INV-COMPACT-3.
#[test]
fn what_an_index_does_not_need_is_given_back_and_what_it_holds_stays() {
    for engine in StorageEngine::ALL {
        let home = Home::new(engine, false);
        home.reindex();
        let whole = contents(&home);
        {
            // Entries that come and go leave room that nobody uses.
            let store = open(engine, &home.index());
            for round in 0..20_u32 {
                let key = |number: u32| [number.to_be_bytes(), round.to_be_bytes()].concat();
                let put =
                    |number| Change::Put { tree: Tree::Receipt, key: key(number), value: vec![7; 1_000] };
                store.write((0..2_000).map(put).collect()).unwrap();
                let delete = |number| Change::Delete { tree: Tree::Receipt, key: key(number) };
                store.write((0..2_000).map(delete).collect()).unwrap();
            }
            store.sync().unwrap();
        }
        SledIndex::wait_closed(&home.index()).unwrap();
        let leftover = home.index().with_extension("damaged");
        std::fs::create_dir(&leftover).unwrap();
        std::fs::write(leftover.join("db"), [7; 5_000]).unwrap();
        let report = home.place().compact(&mut on).unwrap();
        assert!(report.bytes_after * 2 < report.bytes_before, "{engine:?}: {report:?}");
        assert_eq!((report.removed.as_slice(), report.bytes_removed), (&[leftover][..], 5_000));
        assert!(contents(&home) == whole, "INV-COMPACT-1: {engine:?}");
        assert!(home.place().check(true, &mut on).unwrap().problems.is_empty());
        let again = home.place().compact(&mut on).unwrap();
        assert!(again.bytes_after <= again.bytes_before, "INV-COMPACT-3: {engine:?}: {again:?}");
        assert!(contents(&home) == whole);
    }
}

/// INV-COMPACT-2.
#[test]
fn a_copy_that_is_stopped_leaves_the_index_as_it_was() {
    for engine in StorageEngine::ALL {
        let home = Home::new(engine, false);
        assert!(matches!(home.place().compact(&mut on), Err(CareError::NoIndex { .. })));
        home.reindex();
        let whole = contents(&home);
        let mut steps = 0;
        loop {
            let mut left = steps;
            let outcome = home.place().compact(&mut |_, _, _| {
                left -= 1;
                left >= 0
            });
            assert!(contents(&home) == whole, "{engine:?}, step {steps}");
            if outcome.is_ok() {
                break;
            }
            assert!(matches!(outcome, Err(CareError::Storage(StorageError::Interrupted))));
            steps += 1;
        }
        assert!(steps > 8, "{steps}");
    }
}

/// INV-COMPACT-2.
#[test]
fn a_copy_that_was_stopped_goes_on_where_it_was_unless_the_index_has_changed_or_the_copy_has() {
    for engine in StorageEngine::ALL {
        let home = Home::new(engine, false);
        home.reindex();
        let whole = contents(&home);
        let total = whole.len() as u64;
        let (copy, note) = {
            let beside = |ending: &str| home.index().with_extension(ending);
            (beside("compact"), beside("compact.at"))
        };
        let stop_at = |entries: u64| {
            let stopped =
                home.place().compact(&mut |work, done, _| work.what != "copying the index" || done < entries);
            assert!(matches!(stopped, Err(CareError::Storage(StorageError::Interrupted))), "{stopped:?}");
            assert!(note.exists() && contents(&home) == whole);
            let noted: serde_json::Value = serde_json::from_slice(&std::fs::read(&note).unwrap()).unwrap();
            let copied = contents_of(engine, &copy).len() as u64;
            SledIndex::wait_closed(&copy).unwrap();
            assert!(copied > 0 && noted["copied"].as_u64() == Some(copied), "INV-NOTE-1: {noted}");
        };
        let go_on = || {
            let mut first = None;
            let report = home.place().compact(&mut |work, done, known| {
                if work.what == "copying the index" {
                    first.get_or_insert((done, known));
                }
                true
            });
            let report = report.unwrap();
            assert!(contents(&home) == whole, "INV-COMPACT-1: {engine:?}");
            assert!(!copy.exists() && !note.exists(), "{engine:?}");
            (report.resumed_from, first)
        };
        stop_at(total / 2);
        let (resumed_from, first) = go_on();
        assert!(resumed_from >= total / 2 && resumed_from < total, "{engine:?}: {resumed_from} of {total}");
        let (done, known) = first.unwrap();
        assert!(
            done > resumed_from && known == total,
            "{engine:?}: it tells what was done before, and of how much"
        );
        // All is copied, and only the reading of it was stopped.
        stop_at(total);
        assert_eq!(go_on(), (total, None), "{engine:?}");
        // A crash has taken a part of the copy.
        stop_at(total / 2);
        {
            let store = open(engine, &copy);
            let (tree, key) = whole.keys().next().unwrap().clone();
            store.write(vec![Change::Delete { tree, key }]).unwrap();
            store.sync().unwrap();
        }
        SledIndex::wait_closed(&copy).unwrap();
        assert_eq!(go_on().0, 0, "{engine:?}: made anew");
        // What can't be read is no note.
        stop_at(total / 2);
        std::fs::write(&note, "{").unwrap();
        assert_eq!(go_on().0, 0, "{engine:?}");
    }
}

/// INV-COMPACT-2: a node has run since.
#[test]
fn a_copy_of_an_index_that_went_on_since_is_made_anew() {
    for engine in StorageEngine::ALL {
        let all = logged(&Story::tell());
        let home = Home::with_blocks(engine, false, Story::tell(), &all[..4]);
        assert_eq!(home.place().reindex(&mut on).unwrap().height, 4);
        let stopped = home.place().compact(&mut |work, _, _| work.what != "copying the index");
        assert!(matches!(stopped, Err(CareError::Storage(StorageError::Interrupted))));
        let chain_id = home.story.genesis.chain_id();
        let mut log = BlockLog::open(RealDisk, &home.data().join("blocks"), chain_id).unwrap();
        for block in &all[4..] {
            log.append(block).unwrap();
        }
        drop(log);
        home.reindex();
        let whole = contents(&home);
        assert_eq!(home.place().compact(&mut on).unwrap().resumed_from, 0, "{engine:?}");
        assert!(contents(&home) == whole, "{engine:?}");
    }
}

/// Backups and cut logs end anywhere.
#[test]
fn the_index_of_a_log_of_any_length_holds_what_is_unspent_there() {
    let all = logged(&Story::tell());
    for height in 0..all.len() {
        let home = Home::with_blocks(StorageEngine::Fjall, false, Story::tell(), &all[..height]);
        let report = home.place().reindex(&mut on).unwrap();
        let step = &home.story.steps[height];
        assert_eq!(report.height, step.state.height());
        assert_eq!(report.unspent, step.utxos.len() as u64);
        assert!(home.place().check(true, &mut on).unwrap().problems.is_empty(), "{height} blocks");
    }
}
