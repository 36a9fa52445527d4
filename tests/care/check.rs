//! What a check finds, and what it leaves as it was.

use timed::app::care::check::CheckReport;
use timed::app::care::report::{FileKind, FileState, ProblemKind};
use timed::app::care::{CareError, Work};
use timed::runtime::config::StorageEngine;
use timed::storage::{Change, FjallIndex, IndexStore, SledIndex, StorageError, Tree};
use timed::types::Signature;

use crate::home::{BLOCKS, Home, flip, logged, on};
use crate::story::Story;

fn check(home: &Home, deep: bool) -> CheckReport {
    home.place().check(deep, &mut on).unwrap()
}

/// INV-DBCHECK-1, INV-CARE-1.
#[test]
fn a_directory_that_is_well_is_called_so_and_nothing_of_it_changes() {
    for engine in StorageEngine::ALL {
        let home = Home::new(engine, true);
        home.reindex();
        let before = home.files();
        for deep in [false, true] {
            let report = check(&home, deep);
            assert!(report.problems.is_empty(), "{engine:?}, deep {deep}: {:?}", report.problems);
            assert_eq!((report.height, report.signatures > BLOCKS), (BLOCKS, deep));
            let of = |kind| report.files.iter().find(|file| file.kind == kind).unwrap();
            assert_eq!(of(FileKind::Index).records, Some(home.story.utxos.len() as u64));
            assert_eq!(of(FileKind::BlockLog).records, Some(BLOCKS));
            assert_eq!(of(FileKind::VoteJournal).state, FileState::Well);
            assert!(before == home.files(), "INV-DBCHECK-1: {engine:?}");
        }
        // A check that was killed has left its copy.
        std::fs::create_dir(home.index().with_extension("check")).unwrap();
        check(&home, false);
        assert!(before == home.files(), "INV-INDEXCHECK-1");
    }
}

/// Stops a check in depth after so many blocks.
fn stop_after(home: &Home, blocks: u64) {
    let mut seen = 0;
    let mut stop = |work: Work, _: u64, _: u64| {
        seen += u64::from(work.what == "reading the block log");
        seen < blocks
    };
    let stopped = home.place().check(true, &mut stop);
    assert!(matches!(stopped, Err(CareError::Storage(StorageError::Interrupted))), "block {blocks}");
}

/// What a check in depth found, beside from where it went on.
fn found(home: &Home) -> (u64, String) {
    let mut report = check(home, true);
    (std::mem::take(&mut report.resumed_from), serde_json::to_string(&report).unwrap())
}

/// INV-CHECKNOTE-1.
#[test]
fn a_check_that_was_stopped_goes_on_where_it_was_and_finds_the_same() {
    let home = Home::new(StorageEngine::Sled, true);
    home.reindex();
    let before = home.files();
    let whole = found(&home);
    assert_eq!(whole.0, 0);
    for blocks in 1..BLOCKS {
        stop_after(&home, blocks);
        assert_eq!(found(&home), (blocks, whole.1.clone()));
        assert!(before == home.files(), "nothing is left");
        // It may be stopped again and again; what is not in depth knows nothing of it.
        stop_after(&home, blocks);
        assert_eq!(check(&home, false).resumed_from, 0);
        stop_after(&home, BLOCKS - 1);
        assert_eq!(found(&home), (BLOCKS - 1, whole.1.clone()));
    }
    // The index is compared with the state at its mark, so that one is executed always.
    stop_after(&home, BLOCKS);
    assert_eq!(found(&home), (0, whole.1));
}

/// INV-CHECKNOTE-1.
#[test]
fn what_an_earlier_check_has_seen_hides_no_damage_and_counts_for_no_other_log() {
    let home = Home::new(StorageEngine::Sled, false);
    home.reindex();
    let (whole, note) = (found(&home).1, home.data().join("check.at"));
    stop_after(&home, 6);
    let kept = std::fs::read(&note).unwrap();
    for byte in [3, 20, 40, kept.len() / 2, kept.len() - 1] {
        std::fs::write(&note, &kept).unwrap();
        flip(&note, byte);
        assert_eq!(found(&home), (0, whole.clone()), "byte {byte}");
    }
    // A log that was cut before it, and one with another block there.
    let blocks = logged(&home.story);
    for (height, mut blocks) in [(5, blocks[..5].to_vec()), (6, blocks[..6].to_vec())] {
        if let Some(last) = blocks.get_mut(5) {
            last.committed.block.header.time += 1;
            last.committed.commit.block_hash = last.committed.block.header.hash();
        }
        let other = Home::with_blocks(StorageEngine::Sled, false, Story::tell(), &blocks);
        std::fs::write(other.data().join("check.at"), &kept).unwrap();
        let report = check(&other, true);
        assert_eq!((report.resumed_from, report.height), (0, 5), "{height} blocks: {report:?}");
        assert_eq!(report.problems.is_empty(), height == 5, "a block that nobody signed: {report:?}");
    }
    // What is spared is execution: each byte is read again.
    std::fs::write(&note, &kept).unwrap();
    flip(&home.data().join("blocks/00000001.seg"), 2_000);
    let report = check(&home, true);
    assert!(report.problems.iter().any(|problem| problem.kind == ProblemKind::Damaged), "{report:?}");
}

/// A node starts with or without it, and finds peers anew.
#[test]
fn the_addresses_of_peers_are_known_and_no_damage_of_them_is_a_problem() {
    let home = Home::new(StorageEngine::Sled, false);
    home.reindex();
    let state = |home: &Home| {
        let report = check(home, false);
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        let peers = report.files.into_iter().find(|file| file.kind == FileKind::Peers).unwrap();
        assert_eq!(peers.note.is_some(), peers.state != FileState::Absent, "it says that it can be removed");
        peers.state
    };
    assert_eq!(state(&home), FileState::Absent);
    std::fs::write(home.data().join("peers"), "timed peers 1\n").unwrap();
    assert_eq!(state(&home), FileState::Useless);
    let whole = format!("timed peers 1\nsecret {}\n", "07".repeat(32));
    std::fs::write(home.data().join("peers"), format!("{whole}sum {}\n", blake3::hash(whole.as_bytes())))
        .unwrap();
    assert_eq!(state(&home), FileState::Well);
}

#[test]
fn what_is_not_there_yet_is_no_problem() {
    let home = Home::with_blocks(StorageEngine::Sled, false, Story::tell(), &[]);
    let report = check(&home, true);
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!(report.height, 0);
    let absent = |kind| report.files.iter().any(|file| file.kind == kind && file.state == FileState::Absent);
    assert!(absent(FileKind::Index) && absent(FileKind::VoteJournal) && absent(FileKind::IdentityKey));
}

/// INV-CHAINCHECK-1: hashes bind neither a block's own signatures nor what was recorded beside it.
#[test]
fn only_depth_finds_a_forged_signature_and_a_wrong_record_of_what_was_spent() {
    type Forge = fn(&mut Vec<timed::storage::LoggedBlock>);
    let forgeries: [(Forge, u64, &str); 2] = [
        (
            |blocks| blocks[4].committed.commit.signatures[1] = Signature([7; 64]),
            4,
            "a signature of the commit of block 5 does not hold",
        ),
        (|blocks| blocks[2].spent[0].output.value.0 += 1, 2, "block 3 is not valid"),
    ];
    for (forge, height, what) in forgeries {
        let story = Story::tell();
        let mut blocks = logged(&story);
        forge(&mut blocks);
        let home = Home::with_blocks(StorageEngine::Sled, false, story, &blocks);
        assert!(check(&home, false).problems.is_empty());
        let report = check(&home, true);
        assert_eq!(report.height, height);
        let [problem] = report.problems.as_slice() else { panic!("{:?}", report.problems) };
        assert!(problem.what.contains(what), "{}", problem.what);
        assert!(problem.repair.starts_with("timed db repair --config "), "INV-DBCHECK-2");
        let repaired = home.place().repair(true, &mut on).unwrap();
        assert_eq!((repaired.height, repaired.aside.is_some()), (height, true));
        assert!(check(&home, true).problems.is_empty());
    }
}

#[test]
fn a_block_that_does_not_fit_the_one_before_it_is_named() {
    type Change = fn(&mut Vec<timed::storage::LoggedBlock>);
    let changes: [(Change, &str); 4] = [
        (|blocks| blocks[3].committed.block.header.prev_hash.0[0] ^= 1, "does not follow"),
        (|blocks| blocks[3].committed.block.header.tx_root.0[0] ^= 1, "not those that its header names"),
        (|blocks| blocks[3].committed.commit.block_hash.0[0] ^= 1, "the commit of another one"),
        (|blocks| blocks[3].committed.commit.height += 1, "the commit of another one"),
    ];
    for (change, what) in changes {
        let story = Story::tell();
        let mut blocks = logged(&story);
        change(&mut blocks);
        let home = Home::with_blocks(StorageEngine::Sled, false, story, &blocks);
        let report = check(&home, false);
        assert_eq!((report.height, report.problems.len()), (3, 1), "INV-CHAINCHECK-2: {what}");
        let problem = &report.problems[0];
        assert!(
            problem.what.contains(what) && problem.offset.is_some_and(|offset| offset > 98),
            "{problem:?}"
        );
        assert_eq!(problem.kind, ProblemKind::Damaged);
    }
}

/// INV-INDEXCHECK-2: an index that opens, is whole and says the wrong thing.
#[test]
fn an_index_that_says_something_else_than_the_blocks_is_named() {
    let home = Home::new(StorageEngine::Sled, false);
    home.reindex();
    let whole = home.index().with_extension("whole");
    crate::home::copy_directory(&home.index(), &whole);
    let first = |tree: Tree| {
        let sled = SledIndex::open(&home.index(), 8).unwrap();
        sled.scan_prefix(tree, &[], None, 1).unwrap().remove(0)
    };
    let cases = [
        ("removed output", Tree::Output, "unspent outputs"),
        ("removed spend", Tree::Spent, "unspent outputs"),
        ("removed address", Tree::Address, "by address"),
    ];
    for (name, tree, what) in cases {
        let (key, _) = first(tree);
        {
            let sled = SledIndex::open(&home.index(), 8).unwrap();
            sled.write(vec![Change::Delete { tree, key }]).unwrap();
            sled.sync().unwrap();
        }
        SledIndex::wait_closed(&home.index()).unwrap();
        let problems = check(&home, false).problems;
        assert!(problems.len() == 1 && problems[0].what.contains(what), "{name}: {problems:?}");
        assert!(problems[0].repair.contains("timed db reindex"), "{problems:?}");
        std::fs::remove_dir_all(home.index()).unwrap();
        crate::home::copy_directory(&whole, &home.index());
    }
    assert!(check(&home, false).problems.is_empty());
}

/// An output whose value was changed has the same name, and is as many.
#[test]
fn an_output_of_another_value_is_noticed_by_the_digest() {
    let home = Home::new(StorageEngine::Fjall, false);
    home.reindex();
    {
        let fjall = FjallIndex::open(&home.index(), 8).unwrap();
        let entries = fjall.scan_prefix(Tree::Output, &[], None, 1_000).unwrap();
        let spent = fjall.scan_prefix(Tree::Spent, &[], None, 1_000).unwrap();
        let is_unspent = |key: &[u8]| spent.iter().all(|(spent, _)| !spent.starts_with(&key[..32]));
        let (key, mut value) = entries.into_iter().find(|(key, _)| is_unspent(key)).unwrap();
        // The value's lowest byte: behind height, place, count and place in the group.
        let place = value.len() - 32 - 4 - 8;
        value[place] ^= 1;
        fjall.write(vec![Change::Put { tree: Tree::Output, key, value }]).unwrap();
        fjall.sync().unwrap();
    }
    let problems = check(&home, false).problems;
    assert!(
        problems.len() == 1 && problems[0].what.contains("not those that block 8 leaves"),
        "{problems:?}"
    );
}

#[test]
fn data_of_another_chain_is_foreign_and_not_damaged_and_no_repair_cuts_it() {
    let home = Home::new(StorageEngine::Sled, true);
    home.reindex();
    let before = home.files();
    let mut other = home.story.genesis.clone();
    other.time_ms += 1;
    std::fs::write(home.path().join("genesis.toml"), other.to_toml().unwrap()).unwrap();
    let report = check(&home, false);
    assert_eq!(report.worst(), Some(ProblemKind::Foreign));
    let kinds = |kind| {
        let files = report.files.iter().filter(move |file| file.kind == kind).map(|file| file.file.clone());
        files
            .flat_map(|file| report.problems.iter().filter(move |problem| problem.file == file))
            .collect::<Vec<_>>()
    };
    for kind in [FileKind::BlockLog, FileKind::VoteJournal] {
        assert!(kinds(kind).iter().all(|problem| problem.kind == ProblemKind::Foreign));
        assert!(kinds(kind)[0].what.contains("belongs to chain"));
    }
    assert_eq!(home.place().repair(false, &mut on).unwrap().aside, None);
    assert!(before == home.files());
}

#[test]
fn a_damaged_key_of_the_node_is_named() {
    let home = Home::new(StorageEngine::Sled, true);
    home.reindex();
    flip(&home.path().join("operator.key"), 3);
    let report = check(&home, false);
    // Another key is of another journal, which is foreign; one that is none is damaged.
    assert!(
        report
            .problems
            .iter()
            .all(|problem| problem.file.ends_with("00000001.seg") || problem.file.ends_with("operator.key"))
    );
    assert!(!report.problems.is_empty());
}
