//! A disk that fails, and a node that is killed, while a snapshot is made, and while one is fetched into the directory that a
//! node begins with.
//!
//! `E2E_DISK=all` tries all points. What pruning does at each of its steps, `storage`'s own tests try with a disk in memory: it
//! takes files of 128 MiB to come to that here.

use std::path::PathBuf;

use timed::runtime::Clock;
use timed::storage::{RealDisk, SnapshotPart, SnapshotStore};

use crate::disk_errors::{WATCHED, tries_all};
use crate::faulty_disk::{Plan, spawn, told};
use crate::net::{Net, Node, run_to_end, timed, wait_for};
use crate::snapshot::{fetched, info, joining, make_many};
use crate::turns::{GUESTS, Needs};

/// One with fjall.
const MAKER: usize = 3;

/// Where the disk fails: the call, a part of the path, at which call, and how.
type Point = (&'static str, &'static str, u64, &'static str);

/// Of a masternode that makes a snapshot in each epoch; the first ones are for every day.
const MAKING: [Point; 8] = [
    ("write", "/snapshots/", 1, "kill"),
    ("rename", "/snapshots/", 2, "power"),
    ("sync", "/snapshots/", 2, "eio"),
    ("write", "/snapshots/", 2, "enospc"),
    ("sync", "/snapshots/", 1, "kill"),
    ("make", "/snapshots/", 3, "power"),
    ("rename", "/snapshots/", 1, "eio"),
    ("make", "/snapshots/", 1, "eio"),
];
const MAKING_DEFAULT: usize = 4;

/// Of a node that begins.
const FETCHING: [Point; 12] = [
    ("write", "/snapshots/", 2, "kill"),
    ("rename", "/blocks.new", 2, "power"),
    ("sync", "/snapshots/", 3, "eio"),
    ("write", "/snapshots/", 1, "enospc"),
    ("rename", "/snapshots/", 3, "kill"),
    ("sync", "/blocks.new/", 1, "power"),
    ("make", "/snapshots/", 1, "kill"),
    ("sync", "/snapshots/", 2, "power"),
    ("write", "/blocks.new/", 1, "kill"),
    ("rename", "/blocks.new", 2, "eio"),
    ("sync", "/blocks.new/", 1, "eio"),
    ("write", "/index", 2, "kill"),
];
const FETCHING_DEFAULT: usize = 4;

/// Masternodes whose epochs are short, with a snapshot of each.
fn running() -> Net {
    let mut document = timed::app::networks::devnet_genesis(4);
    document.parameters.epoch_duration_ms = 3_000;
    let mut net = Net::prepare_document(Needs::Ports, document, make_many);
    net.start_all();
    net
}

/// Starts a node on a disk that fails; its exit code once it has failed, if the node ends by that; and what it said.
fn fail(node: &mut Node, (operation, part, count, what): Point) -> (Option<i32>, String) {
    let (plan, from) = (Plan { operation, part, count, what }, node.log().len());
    spawn(node, plan);
    let mut since_fired = None;
    let code = wait_for(&format!("{plan}"), || {
        let code = node.exit_code();
        if told(node).fired.is_some() {
            since_fired.get_or_insert_with(|| Clock.instant());
        }
        let is_over = since_fired.is_some_and(|at| Clock.instant().saturating_duration_since(at) > WATCHED);
        (code.is_some() || is_over).then_some(code)
    });
    let fired = told(node).fired;
    assert!(fired.is_some(), "{plan} did not come to pass: exit code {code:?}: {}", node.log());
    let said = node.log().get(from..).unwrap_or_default().to_owned();
    println!("{plan}: {fired:?}: exit code {code:?}: {}", said.lines().last().unwrap_or_default());
    (code, said)
}

/// Everything in a stopped node's directory is whole: blocks, outputs, and each snapshot with all its parts.
fn assert_well(net: &Net, node: &Node, point: Point) {
    let mut check = timed();
    check.args(["db", "check", "--deep", "--config"]).arg(&node.config_path);
    let (code, said) = run_to_end(&mut check, &net.home().join("check.txt"));
    assert_eq!(code, 0, "{point:?}: {said}");
    let store = SnapshotStore::new(RealDisk, node.data_dir().join("snapshots"));
    let whole = store.list().unwrap();
    assert!(!whole.is_empty(), "{point:?}: it has a snapshot");
    for snapshot in whole {
        for part in [SnapshotPart::Manifest, SnapshotPart::Proof, SnapshotPart::Block, SnapshotPart::Chunk(0)]
        {
            assert!(snapshot.read(part).unwrap().is_some(), "INV-SNAPSHOTS-1: {point:?}: {part:?}");
        }
    }
}

/// INV-SNAPSHOTS-1.
#[test]
fn snapshot_faults_while_one_is_made_leave_whole_ones_and_the_next_one_is_made() {
    let mut net = running();
    net.nodes[MAKER].wait_height(1);
    for point in MAKING.into_iter().take(if tries_all() { MAKING.len() } else { MAKING_DEFAULT }) {
        let node = &mut net.nodes[MAKER];
        node.kill();
        let before = node.log().len();
        let (code, said) = fail(node, point);
        match point.3 {
            "eio" => {
                assert_eq!(code, None, "{point:?}: the node goes on: {said}");
                assert!(said.contains("No snapshot was made; the next one will be"), "{point:?}: {said}");
                let after = before + said.find("No snapshot was made").unwrap();
                wait_for("the next snapshot", || {
                    node.log().get(after..)?.contains("Snapshot made").then_some(())
                });
            }
            "enospc" => assert_eq!(code, Some(1), "{point:?}: {said}"),
            _ => assert_eq!(code, Some(-1), "{point:?}: its disk alone ends it: {said}"),
        }
        node.kill();
        let from = node.log().len();
        node.start();
        node.wait_synced();
        wait_for("a snapshot of the next start", || {
            node.log().get(from..)?.contains("Snapshot made").then_some(())
        });
        node.stop();
        assert_well(&net, &net.nodes[MAKER], point);
        net.nodes[MAKER].spawn();
    }
    net.nodes[MAKER].connect();
    net.nodes[MAKER].wait_synced();
    net.assert_one_chain();
}

/// The directory of a node that begins, with nothing in it.
fn beginning(net: &Net, number: usize) -> Node {
    // The ones before it have ended.
    let place = GUESTS + number % 8;
    let node = joining(net, &format!("joining{number}"), place, &[0, 1, 2, 3]);
    let data: PathBuf = node.data_dir();
    std::fs::create_dir_all(data).unwrap();
    node
}

/// INV-FETCH-4, INV-FETCH-5, INV-SNAPSHOT-INSTALL-1.
#[test]
fn snapshot_faults_while_one_is_fetched_leave_a_node_that_begins_rightly_at_its_next_start() {
    let net = running();
    wait_for("snapshots", || {
        net.nodes.iter().all(|node| node.log().matches("Snapshot made").count() > 1).then_some(())
    });
    let points = FETCHING.into_iter().take(if tries_all() { FETCHING.len() } else { FETCHING_DEFAULT });
    for (number, point) in points.enumerate() {
        let mut node = beginning(&net, number);
        let (code, said) = fail(&mut node, point);
        if ["kill", "power"].contains(&point.3) {
            assert_eq!(code, Some(-1), "{point:?}: its disk alone ends it: {said}");
        } else {
            assert!(code.is_some_and(|code| (1..=4).contains(&code)), "{point:?}: {code:?}: {said}");
            let last = said.lines().last().unwrap_or_default();
            assert!(last.contains("/data/"), "{point:?} names the file: {said}");
        }
        node.kill();
        node.start();
        assert!(fetched(&node), "{point:?}: {}", node.log());
        node.wait_height(net.nodes[0].height());
        node.wait_synced();
        let begins = info(&node).pruneheight;
        assert!(begins > 1, "{point:?}: it began with a snapshot");
        for height in [begins, node.height()] {
            assert_eq!(node.hash_at(height), net.nodes[0].hash_at(height), "{point:?}");
        }
        node.stop();
        assert_well(&net, &node, point);
    }
}
