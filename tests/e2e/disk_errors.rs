//! A disk that answers EIO or ENOSPC under a running masternode, at each kind of call on each kind of file; and one that is
//! really full.
//!
//! `E2E_DISK=all cargo test --test e2e disk_ -- --nocapture` tries all of them, with both databases of the index, and prints
//! the list of cases with what became of each.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use timed::rpc::types::NodeState;
use timed::runtime::Clock;
use timed::types::ChainParameters;

use crate::faulty_disk::{Plan, spawn, told};
use crate::net::{Net, Node, wait_for};
use crate::turns::Needs;

/// One with sled and one with fjall.
const SLED: usize = 2;
const FJALL: usize = 3;
/// How long a node is watched that is to go on.
pub const WATCHED: Duration = Duration::from_secs(6);

/// What becomes of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It ends with exit code 1, and the file and what to do are in its last words.
    Ends,
    /// The same; or, if it was while the index was opened, it says so and makes the index again.
    EndsOrHeals,
    /// It goes on; what failed is nothing that anybody relies on.
    GoesOn,
}
use Outcome::{Ends, EndsOrHeals, GoesOn};

/// Where the disk fails: the node, the call, a part of the path, at which call, and what comes of it.
type Case = (usize, &'static str, &'static str, u64, &'static str, Outcome);

/// The first [`CASES_DEFAULT`] are for every day.
const CASES: [Case; 14] = [
    (FJALL, "sync", "/votes/", 5, "eio", Ends),
    (SLED, "sync", "/blocks/", 2, "eio", Ends),
    (FJALL, "write", "/index-fjall/", 6, "enospc", Ends),
    (SLED, "write", "/index/", 8, "eio", EndsOrHeals),
    (FJALL, "write", "/votes/", 5, "enospc", Ends),
    (SLED, "make", "/votes/", 1, "eio", Ends),
    (FJALL, "sync", "/index-fjall/", 2, "eio", EndsOrHeals),
    (SLED, "write", "/index/", 4, "enospc", Ends),
    (FJALL, "write", "/index-fjall/", 6, "eio", EndsOrHeals),
    (SLED, "sync", "/index/", 2, "eio", EndsOrHeals),
    (FJALL, "write", "/blocks/", 2, "enospc", Ends),
    (SLED, "write", "/votes/", 20, "eio", Ends),
    (FJALL, "make", "/peers", 1, "eio", GoesOn),
    (SLED, "rename", "/peers", 1, "eio", GoesOn),
];
const CASES_DEFAULT: usize = 7;

/// Between two blocks the index is marked, which is when its database has to say what it could not write.
fn quick(parameters: &mut ChainParameters) {
    parameters.block_interval_ms = 1_500;
    parameters.epoch_duration_ms = 10_000;
}

/// What a node has logged since its log had so many bytes.
fn said_since(node: &Node, bytes: usize) -> String {
    node.log().get(bytes..).unwrap_or_default().to_owned()
}

/// Its exit code, once there is one; none if it runs for as long as it is watched without its disk failing, or after that.
fn await_end(node: &mut Node) -> Option<i32> {
    let mut since_fired = None;
    wait_for("the disk's failure, and what comes of it", || {
        if !node.is_running() {
            let _starting = node.try_connect();
        }
        let code = node.exit_code();
        if told(node).fired.is_some() {
            since_fired.get_or_insert_with(|| Clock.instant());
        }
        let is_over = since_fired.is_some_and(|at| Clock.instant().saturating_duration_since(at) > WATCHED);
        (code.is_some() || is_over).then_some(code)
    })
}

/// All cases, or those for every day.
pub fn tries_all() -> bool {
    std::env::var("E2E_DISK").is_ok_and(|wish| wish == "all")
}

#[test]
fn disk_errors_end_a_node_that_signs_nothing_more_and_names_the_file_and_the_way_out() {
    let mut net = Net::running_with(Needs::Ports, quick);
    for place in [SLED, FJALL] {
        net.nodes[place].wait_state(NodeState::Voting);
    }
    let payers = [net.pay_through(&[0, 1], 0), net.pay_through(&[1, 2, 3], 1)];
    for case @ (place, operation, part, count, what, outcome) in
        CASES.into_iter().take(if tries_all() { CASES.len() } else { CASES_DEFAULT })
    {
        let node = &mut net.nodes[place];
        node.kill();
        let from = node.log().len();
        spawn(node, Plan { operation, part, count, what });
        let code = await_end(node);
        let told = told(node);
        let file = told.fired.unwrap_or_else(|| panic!("{case:?} did not come to pass"));
        let said = said_since(node, from);
        let last = said.lines().last().unwrap_or_default();
        println!(
            "{operation} {what} {}: exit code {code:?}: {last}",
            file.rsplit("/data").next().unwrap_or_default()
        );
        if outcome == GoesOn {
            assert_eq!(code, None, "{case:?}: {said}");
            assert!(said.contains("WARN"), "{case:?}: it says so: {said}");
            node.kill();
        } else if outcome == EndsOrHeals && code.is_none() {
            assert!(said.contains("The index is built again from the block log"), "{case:?}: {said}");
            node.kill();
        } else {
            assert_eq!(code, Some(1), "{case:?}: {said}");
            if part == "/votes/" {
                assert!(told.votes_after.is_empty(), "{case:?}: {:?}", told.votes_after);
            }
            // A full disk refuses others too, and one of them may be the first to say so. The databases of the index don't
            // say which of their files it was: that is made again as a whole.
            let named = match part {
                _ if what == "enospc" => "/data/",
                "/index/" => "/data/index",
                "/index-fjall/" => "/data/index-fjall",
                _ => &file,
            };
            assert!(last.contains(named), "{case:?} names the file: {said}");
            let way_out = if what == "enospc" { "make room" } else { "timed db" };
            assert!(last.contains(way_out), "{case:?} says what to do: {said}");
            node.kill();
        }
        node.start();
    }
    for place in [SLED, FJALL] {
        net.nodes[place].wait_state(NodeState::Voting);
    }
    for payer in &payers {
        payer.wait_more(5);
        for (txid, node) in payer.finals().iter().zip(net.nodes.iter().cycle()) {
            node.wait_confirmed(*txid);
        }
    }
    net.assert_one_chain();
}

/// A small file system, unmounted when nobody looks at it any more.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where this process may not mount; `E2E_MOUNT=required` makes that a failure.
    fn mount(at: &Path, megabytes: u64) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]).arg(at);
        let output = mount.output();
        if output.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(Self(at.to_owned()));
        }
        assert!(std::env::var_os("E2E_MOUNT").is_none_or(|wish| wish != "required"), "{output:?}");
        eprintln!(
            "SKIPPED: a really full disk was NOT tried, since this process may not mount a tmpfs ({output:?}); run the test as \
             root, and with E2E_MOUNT=required to have this fail"
        );
        None
    }

    /// Fills it but for so many bytes, or all of it.
    fn fill(&self, leave_bytes: u64) {
        let free = fs4::available_space(&self.0).unwrap();
        let mut ballast = File::options().append(true).create(true).open(self.ballast()).unwrap();
        let mut left = free.saturating_sub(leave_bytes);
        while left > 0 {
            let chunk = left.min(64 << 10);
            if ballast.write_all(&vec![7; chunk as usize]).is_err() {
                break;
            }
            left -= chunk;
        }
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    fn make_room(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a node that a failed test left may still be in it.
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Puts a node's data on a small disk.
fn move_to_small_disk(node: &Node) -> Option<SmallDisk> {
    let (data, aside) = (node.data_dir(), node.config_path.with_file_name("data.aside"));
    std::fs::rename(&data, &aside).unwrap();
    std::fs::create_dir(&data).unwrap();
    let disk = SmallDisk::mount(&data, 256);
    let copied = Command::new("cp").arg("-a").arg(aside.join(".")).arg(&data).status().unwrap();
    assert!(copied.success());
    disk
}

fn set_floor(node: &Node, megabytes: u64) {
    let text = std::fs::read_to_string(&node.config_path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("min_free_mb"));
    let text: Vec<&str> = lines.collect();
    let text = text.join("\n").replacen("[storage]\n", &format!("[storage]\nmin_free_mb = {megabytes}\n"), 1);
    std::fs::write(&node.config_path, text).unwrap();
}

fn votes_bytes(node: &Node) -> u64 {
    let files = std::fs::read_dir(node.data_dir().join("votes")).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// INV-SPACE-1, and what is below it.
#[test]
fn disk_that_is_really_full_ends_a_node_at_the_floor_or_at_the_refusal_and_it_comes_back_with_room() {
    for place in if tries_all() { vec![FJALL, SLED] } else { vec![FJALL] } {
        let mut net = Net::prepare(Needs::Ports, 4, quick);
        let Some(disk) = move_to_small_disk(&net.nodes[place]) else { return };
        set_floor(&net.nodes[place], 32);
        net.start_all();
        net.nodes[place].wait_state(NodeState::Voting);
        let payer = net.pay_through(&[0, 1, place], 0);
        payer.wait_more(5);
        let node = &mut net.nodes[place];
        disk.fill(100_000_000);
        wait_for("the warning", || node.log().contains("The disk is nearly full").then_some(()));
        assert_eq!(node.exit_code(), None, "there is still enough");
        disk.fill(30_000_000);
        assert_eq!(wait_for("the end", || node.exit_code()), 1);
        let (log, votes) = (node.log(), votes_bytes(node));
        let last = log.lines().last().unwrap_or_default().to_owned();
        println!("floor of 32 MB, node {place}: {last}");
        for part in ["/data", "less than the 32 MB of [storage] min_free_mb", "Make room"] {
            assert!(last.contains(part), "{log}");
        }
        // It does not start either, and touches nothing.
        node.kill();
        node.spawn();
        assert_eq!(wait_for("the refusal", || node.exit_code()), 1);
        assert_eq!(votes_bytes(node), votes, "nothing is signed");
        node.kill();

        // Without a floor the disk itself refuses.
        set_floor(node, 0);
        disk.make_room();
        node.start();
        node.wait_state(NodeState::Voting);
        let from = node.log().len();
        disk.fill(0);
        assert_eq!(wait_for("the end", || node.exit_code()), 1);
        let said = said_since(node, from);
        let last = said.lines().last().unwrap_or_default().to_owned();
        println!("no floor, node {place}: {last}");
        assert!(
            last.contains("os error 28") && last.contains("/data/") && last.contains("make room"),
            "{said}"
        );
        node.kill();
        disk.make_room();
        node.start();
        node.wait_state(NodeState::Voting);
        payer.wait_more(5);
        for txid in payer.finals() {
            net.nodes[place].wait_confirmed(txid);
        }
        net.assert_one_chain();
        drop(payer);
        net.nodes.iter_mut().for_each(Node::kill);
        drop(disk);
    }
}
