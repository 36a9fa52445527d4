//! One wrong byte in every kind of file: what a start says, and what a check says.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use timed::runtime::config::StorageEngine;
use timed::storage::SEGMENT_FORMAT_VERSION;

use crate::home::{Home, copy_directory, files_below, flip};

/// No start takes so long, on a busy machine neither.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// Files of an index that are tried, the largest ones.
const FILES_OF_INDEX: usize = 8;
/// What a node's log says once its data are open.
const OPENED: &str = "Chain opened";

/// Nodes of these tests have the same port.
static TURN: Mutex<()> = Mutex::new(());

pub fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn timed(arguments: &[&str], config: &Path, output: &Path) -> Child {
    let file = File::create(output).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_timed"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIMED_")) {
        command.env_remove(name);
    }
    command.args(arguments).arg("--config").arg(config).stdin(Stdio::null());
    command.stdout(Stdio::from(file.try_clone().unwrap())).stderr(Stdio::from(file)).spawn().unwrap()
}

/// The exit code, and what it said.
pub fn run(arguments: &[&str], home: &Home) -> (i32, String) {
    let output = home.path().join("said");
    let status = timed(arguments, &home.config_path(), &output).wait().unwrap();
    (status.code().unwrap_or(-1), std::fs::read_to_string(output).unwrap())
}

/// A node, which ends when nobody looks at it any more.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // SIGKILL: what it leaves is what a crash leaves.
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

/// Starts a node until its data are open, or it ends: 0, or its exit code; and its log.
fn start(home: &Home) -> (i32, String) {
    start_until(home, OPENED)
}

/// The same until its log has these words.
pub fn start_until(home: &Home, words: &str) -> (i32, String) {
    let output = home.path().join("log");
    let mut node = Running(timed(&["run"], &home.config_path(), &output));
    let began = Instant::now();
    loop {
        let log = std::fs::read_to_string(&output).unwrap();
        let ended = node.0.try_wait().unwrap();
        if ended.is_some() || log.contains(words) {
            let code = ended.map_or(0, |status| status.code().unwrap_or(-1));
            return (code, log);
        }
        assert!(began.elapsed() < DEADLINE, "{log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A home with an index, in which nothing is wrong.
pub fn well(engine: StorageEngine) -> Home {
    let home = Home::new(engine, true);
    home.reindex();
    home
}

pub struct Copy {
    pub home: Home,
    pub whole: PathBuf,
}

impl Copy {
    pub fn of(home: Home) -> Self {
        let whole = home.path().join("whole");
        copy_directory(&home.data(), &whole);
        Self { home, whole }
    }

    pub fn bring_back(&self) {
        std::fs::remove_dir_all(self.home.data()).unwrap();
        copy_directory(&self.whole, &self.home.data());
        // Keys are readable by their owner alone.
        for path in files_below(&self.home.data()).into_keys() {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

/// One byte of a log, so far from its end that something good is behind it.
#[test]
fn a_wrong_byte_of_a_log_is_exit_code_4_with_the_command_of_both_a_start_and_a_check() {
    let _turn = turn();
    let copy = Copy::of(well(StorageEngine::Sled));
    let home = &copy.home;
    assert_eq!((start(home).0, run(&["db", "check"], home).0), (0, 0));
    for (log, repair, told) in
        [("blocks", "timed db repair", "timed db repair"), ("votes", "votes new", "timed db check")]
    {
        let segments: Vec<PathBuf> = files_below(&copy.whole.join(log)).into_keys().collect();
        let segment = segments[0].file_name().unwrap().to_owned();
        for byte in [3, 60, 97, 100, 115, 130] {
            copy.bring_back();
            flip(&home.data().join(log).join(&segment), byte);
            let (code, said) = start(home);
            assert_eq!(code, 4, "{log}, byte {byte}: {said}");
            assert!(said.contains(told) && said.contains("00000001.seg"), "{log}, byte {byte}: {said}");
            let (code, said) = run(&["db", "check"], home);
            assert_eq!(code, 4, "{log}, byte {byte}: {said}");
            assert!(said.contains(repair) && said.contains("00000001.seg"), "{log}, byte {byte}: {said}");
        }
    }
    // The command that both name does it.
    copy.bring_back();
    flip(&home.data().join("blocks/00000001.seg"), 5_000);
    let (code, said) = run(&["db", "repair"], home);
    assert_eq!(code, 0, "{said}");
    assert_eq!(start(home).0, 0);
    let (code, said) = run(&["db", "check", "--deep"], home);
    assert_eq!(code, 0, "{said}");
    assert!(home.data().join("blocks.damaged/00000001.seg").exists(), "INV-REPAIR-1");
}

/// The index is made again by itself; a check says so before.
#[test]
fn a_wrong_byte_of_the_index_never_keeps_a_node_from_starting_and_is_gone_then() {
    let _turn = turn();
    for engine in StorageEngine::ALL {
        let copy = Copy::of(well(engine));
        let home = &copy.home;
        let index = home.index();
        let files = files_below(&copy.whole.join(index.file_name().unwrap()));
        let mut files: Vec<_> = files.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
        files.sort_by_key(|(_, bytes)| std::cmp::Reverse(bytes.len()));
        files.truncate(FILES_OF_INDEX);
        let mut found = 0;
        for (path, bytes) in files {
            let place = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
            copy.bring_back();
            let damaged = index.join(path.strip_prefix(copy.whole.join(index.file_name().unwrap())).unwrap());
            flip(&damaged, place);
            let (code, said) = run(&["db", "check"], home);
            assert!(code == 0 || code == 4 && said.contains("timed db reindex"), "{damaged:?}: {said}");
            found += i32::from(code == 4);
            assert_eq!(start(home).0, 0, "{damaged:?}");
            let (code, said) = run(&["db", "check", "--deep"], home);
            assert_eq!(code, 0, "{damaged:?}: {said}");
        }
        assert!(found > 0, "{engine:?}: the bytes matter");
    }
}

#[test]
fn a_wrong_byte_of_the_genesis_document_or_the_lock_has_its_exit_code() {
    let _turn = turn();
    let copy = Copy::of(well(StorageEngine::Sled));
    let home = &copy.home;
    let genesis = home.path().join("genesis.toml");
    let whole = std::fs::read_to_string(&genesis).unwrap();
    // Another number is another chain; what is no document is an error of the configuration.
    let (number, word) = (whole.find("1750000000000").unwrap() + 2, whole.find("network").unwrap());
    for (byte, code) in [(number, 3), (word, 2)] {
        let mut bytes = whole.clone().into_bytes();
        bytes[byte] ^= 1;
        std::fs::write(&genesis, bytes).unwrap();
        let (started, log) = start(home);
        let (checked, said) = run(&["db", "check"], home);
        assert_eq!((started, checked), (code, code), "{log}\n{said}");
        assert!(log.contains("timed db check") || log.contains("timed genesis check"), "{log}");
    }
    std::fs::write(&genesis, whole).unwrap();
    std::fs::write(home.data().join("LOCK"), "4x\n").unwrap();
    assert_eq!((start(home).0, run(&["db", "check"], home).0), (0, 0));
}

/// As a later version of the program would write it.
fn write_as_version(path: &Path, version: u16) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[8..10].copy_from_slice(&version.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..94]);
    bytes[94..98].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn files_of_a_newer_version_are_refused_with_both_versions_and_left_alone() {
    let _turn = turn();
    let copy = Copy::of(well(StorageEngine::Sled));
    let home = &copy.home;
    for log in ["blocks", "votes"] {
        copy.bring_back();
        let segment = home.data().join(log).join("00000001.seg");
        let (own, newer) = (SEGMENT_FORMAT_VERSION, SEGMENT_FORMAT_VERSION + 1);
        write_as_version(&segment, newer);
        let before = std::fs::read(&segment).unwrap();
        for (code, said) in [start(home), run(&["db", "check"], home), run(&["db", "repair"], home)] {
            assert_eq!(code, 3, "{log}: {said}");
            let says =
                format!("format version {newer}, this program reads {own}; a newer timed wrote it: install");
            assert!(said.contains(&says), "{said}");
        }
        assert!(before == std::fs::read(&segment).unwrap(), "it is the newer version's");
        // The same file as this version writes it.
        write_as_version(&segment, own);
        assert_eq!(run(&["db", "check"], home).0, 0);
    }
}
