//! One wrong bit in every file of a node's directory, whatever it holds.
//!
//! `CARE_FILES=1000 cargo test --test care every_file -- --nocapture` tries all of them and prints what became of each; without
//! it as many of each kind are tried as [`FILES_DEFAULT`] says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use timed::runtime::config::StorageEngine;

use crate::damage::{Copy, Running, run, start_until, timed, turn, well};
use crate::home::{BLOCKS, Home, files_below, on};

/// Files of one kind that are tried.
const FILES_DEFAULT: usize = 2;
/// What a node's log says once it has read all that it keeps.
const STARTED: &str = "Listening for peers";

/// What became of a node with a wrong bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// It did not start: exit code 2, 3 or 4, and the file and the way out named.
    Refused,
    /// It started, and said what it does without.
    Mended,
    /// It started, and all is as it was: the bit is of no meaning, or the database read around it.
    Unhurt,
}

/// A node that has run and was stopped in good order, so that it has all its files.
fn lived(engine: StorageEngine) -> Home {
    let home = well(engine);
    let output = home.path().join("log");
    let mut node = Running(timed(&["run"], &home.config_path(), &output));
    while !std::fs::read_to_string(&output).unwrap().contains(STARTED) {
        assert_eq!(node.0.try_wait().unwrap(), None, "{}", std::fs::read_to_string(&output).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let killed = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", node.0.id())).status().unwrap();
    assert!(killed.success() && node.0.wait().unwrap().success());
    let conflicts = format!("timed conflicts 1 {}\n", "00".repeat(32));
    for (name, text) in [("bans", "timed bans 2\n"), ("conflicts", conflicts.as_str())] {
        let sum = blake3::hash(text.as_bytes());
        std::fs::write(home.data().join(name), format!("{text}sum {sum}\n")).unwrap();
    }
    home
}

/// Inverts one bit in the middle of a file, another one for each.
fn flip_bit(path: &Path, number: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1 << (number % 8);
    std::fs::write(path, bytes).unwrap();
}

fn fate(home: &Home, name: &str) -> (Fate, String) {
    let (code, log) = start_until(home, STARTED);
    if code != 0 {
        assert!((2..=4).contains(&code), "{name}: exit code {code}: {log}");
        // A genesis document or a key that is another one shows in what was made with the right one.
        let file = Path::new(name).file_name().unwrap().to_str().unwrap();
        let stands_in = ["genesis.toml", "operator.key"].contains(&file) && log.contains("/data/");
        assert!(log.contains(file) || stands_in, "{name}: it names the file: {log}");
        return (Fate::Refused, log);
    }
    let said = log.lines().find(|line| line.contains("damaged") || line.contains("is built again"));
    // Blocks, the digest over all outputs, and the journal: nothing else than what was there is served.
    let (checked, told) = run(&["db", "check", "--deep"], home);
    assert_eq!(checked, 0, "{name}: {told}");
    (if said.is_some() { Fate::Mended } else { Fate::Unhurt }, said.unwrap_or_default().to_owned())
}

#[test]
fn one_wrong_bit_in_every_file_is_named_or_mended_in_sight_or_without_effect() {
    let _turn = turn();
    let most = std::env::var("CARE_FILES").map_or(FILES_DEFAULT, |text| text.parse().expect("a number"));
    for engine in StorageEngine::ALL {
        let copy = Copy::of(lived(engine));
        let home = &copy.home;
        let mut tried: BTreeMap<PathBuf, usize> = BTreeMap::new();
        let mut fates: BTreeMap<String, Vec<Fate>> = BTreeMap::new();
        let inside = files_below(&copy.whole).into_iter().filter(|(_, bytes)| !bytes.is_empty());
        let inside = inside.map(|(path, _)| Path::new("data").join(path.strip_prefix(&copy.whole).unwrap()));
        let outside = ["genesis.toml", "operator.key", "config.toml"].map(PathBuf::from);
        for (number, name) in outside.into_iter().chain(inside).enumerate() {
            // Files of one kind have the same name but for their numbers. Of what lies side by side in the data directory
            // nothing is left out.
            let file = name.file_name().unwrap().to_string_lossy();
            let alike = file.trim_matches(|c: char| c.is_ascii_digit());
            let count = tried.entry(name.iter().take(2).collect::<PathBuf>().join(alike)).or_default();
            *count += 1;
            if *count > most && name.components().count() > 2 {
                continue;
            }
            copy.bring_back();
            let path = home.path().join(&name);
            let whole = std::fs::read(&path).unwrap();
            flip_bit(&path, number);
            let (fate, said) = fate(home, &name.display().to_string());
            println!("{engine:?} {}: {fate:?}: {}", name.display(), said.lines().last().unwrap_or_default());
            let kind = name.components().nth(1).unwrap_or_else(|| name.components().next().unwrap());
            fates.entry(kind.as_os_str().to_string_lossy().into_owned()).or_default().push(fate);
            if !name.starts_with("data") {
                std::fs::write(&path, whole).unwrap();
            }
        }
        for kind in ["blocks", "votes", "operator.key"] {
            assert!(fates[kind].iter().all(|fate| *fate == Fate::Refused), "{engine:?} {kind}: {fates:?}");
        }
        for kind in ["peers", "bans", "conflicts"] {
            assert_eq!(fates[kind], [Fate::Mended], "{engine:?} {kind}");
        }
        let index = &fates[home.index().file_name().unwrap().to_str().unwrap()];
        assert!(index.contains(&Fate::Mended), "{engine:?}: the bits matter: {index:?}");
        assert!(!index.contains(&Fate::Refused), "{engine:?}: it is made of the blocks: {index:?}");
    }
}

/// What a start says, and a check.
fn said(home: &Home) -> [(i32, String); 2] {
    [start_until(home, STARTED), run(&["db", "check"], home)]
}

/// With its index a node needs no snapshot, and never gives out a damaged one; without, it does not begin with one.
#[test]
fn one_wrong_bit_in_a_snapshot_or_in_the_horizon_is_named_and_nothing_false_is_built_of_it() {
    let _turn = turn();
    for engine in StorageEngine::ALL {
        let home = Home::later(engine);
        home.reindex();
        let copy = Copy::of(home);
        let home = &copy.home;
        let [(code, log), (checked, told)] = said(home);
        assert_eq!((code, checked), (0, 0), "{log}\n{told}");
        let horizon = home.data().join("blocks/horizon");
        for bit in 0..4 {
            copy.bring_back();
            flip_bit(&horizon, bit);
            let [(code, log), (checked, told)] = said(home);
            assert_eq!((code, checked), (4, 4), "{log}\n{told}");
            assert!(log.contains("blocks/horizon") && told.contains("blocks/horizon"), "{log}\n{told}");
            assert!(told.contains(".damaged"), "{told}");
        }
        let parts = files_below(&copy.whole.join("snapshots"));
        assert_eq!(parts.len(), 4, "{:?}", parts.keys());
        for (number, part) in parts.into_keys().enumerate() {
            let name = part.file_name().unwrap().to_str().unwrap().to_owned();
            let path = home.data().join("snapshots/000000000004").join(&name);
            copy.bring_back();
            flip_bit(&path, number);
            let [(code, log), (checked, told)] = said(home);
            assert_eq!((code, checked), (0, 4), "{name}: {log}\n{told}");
            assert!(told.contains(&name) && told.contains("rm -r"), "{name}: {told}");

            std::fs::remove_dir_all(home.index()).unwrap();
            let (code, log) = start_until(home, STARTED);
            println!("{engine:?} {name}: {code}: {}", log.lines().last().unwrap_or_default());
            if name == "block" {
                // The log has it too.
                assert_eq!(code, 0, "{log}");
                assert_eq!(home.place().check(true, &mut on).unwrap().height, BLOCKS);
            } else {
                assert!((2..=4).contains(&code), "{name}: exit code {code}: {log}");
                assert!(log.contains("000000000004") && log.contains("remove"), "{name}: {log}");
            }
        }
    }
}
