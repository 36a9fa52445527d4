//! A masternode is killed in the middle of a write, a sync or a rename, while payments flow, and comes back.
//!
//! `E2E_KILLS=1000 cargo test --test e2e kill_points -- --nocapture` is the long one; it prints each point and what became of
//! it. Half of the points end as a failure of the power does: what the logs were given since their last sync is torn.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use timed::app::networks::devnet_operator_key;
use timed::rpc::types::{CommitInfo, NodeState, PunishedInfo};
use timed::runtime::Clock;
use timed::storage::{BlockLog, JournalIdentity, JournalWriter, OpenedJournal, RealDisk};
use timed::types::codec::encode;
use timed::types::{BlockHash, ChainParameters, Height, MasternodeId, Message};

use crate::faulty_disk::{Plan, spawn, told};
use crate::net::{Net, Node, run_to_end, timed};
use crate::turns::Needs;

const KILLS_DEFAULT: usize = 20;
/// One with sled and one with fjall: a network's nodes have them in turn.
const VICTIMS: [usize; 2] = [2, 3];
/// A node that does not come to its point within this time is killed from outside.
const PATIENCE: Duration = Duration::from_secs(20);
/// The newest blocks that are looked at for a signature of the one that was killed.
const BLOCKS_LOOKED_AT: Height = 5;
/// Where a node is killed: the operation, the file, and up to which call of it. A node on its way makes each within seconds.
const PLACES: [(&str, &str, u64); 10] = [
    ("write", "/votes/", 60),
    ("sync", "/votes/", 60),
    ("write", "/blocks/", 2),
    ("sync", "/blocks/", 2),
    ("write", "-", 90),
    ("sync", "-", 60),
    ("write", "/index", 6),
    ("sync", "/index", 2),
    ("make", "-", 4),
    ("rename", "-", 1),
];

fn quick(parameters: &mut ChainParameters) {
    parameters.block_interval_ms = 1_000;
    parameters.epoch_duration_ms = 10_000;
}

/// Each place in turn, each with both endings, the count spread over what it may be.
fn plan(point: usize) -> Plan {
    let (operation, part, most) = PLACES[point % PLACES.len()];
    let spread = (point as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let what = if (point / PLACES.len()).is_multiple_of(2) { "power" } else { "kill" };
    Plan { operation, part, count: 1 + spread % most, what }
}

/// A copy of a directory of files, some of which may go meanwhile.
fn copied(from: &Path, to: &Path) -> PathBuf {
    let _gone = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort_unstable();
    for path in names {
        if path.is_file() {
            let _went = std::fs::copy(&path, to.join(path.file_name().unwrap()));
        }
    }
    to.to_owned()
}

fn journal(net: &Net, place: usize) -> OpenedJournal<RealDisk> {
    let from = net.nodes[place].data_dir().join("votes");
    let copy = copied(&from, &net.home().join(format!("votes{place}")));
    let operator = Some(devnet_operator_key(place).public());
    JournalWriter::open(RealDisk, &copy, JournalIdentity { chain_id: net.chain.id, operator }).unwrap()
}

/// I3: whatever others have of the one that was killed, its own journal has, so that it can't say anything else. How many
/// words were compared.
fn assert_said_is_durable(net: &Net, victim: usize, id: MasternodeId) -> usize {
    let (own, other) = (journal(net, victim), journal(net, 0));
    let batches = |opened: &OpenedJournal<RealDisk>, of_own: bool| {
        let mut found = BTreeSet::new();
        for messages in opened.contents.messages.range(own.contents.started..).map(|(_, messages)| messages) {
            for place in if of_own { &messages.own_batches } else { &messages.batches } {
                let Some(Message::VoteBatch(batch)) = opened.reader.message(*place).unwrap() else {
                    continue;
                };
                if batch.header.validator == id {
                    found.insert(encode(&*batch));
                }
            }
        }
        found
    };
    let (said, heard) = (batches(&own, true), batches(&other, false));
    assert!(heard.is_subset(&said), "I3: others have votes on payments that its journal does not have");

    let mut signatures = BTreeSet::new();
    for place in own.contents.heights.values().flat_map(|height| &height.votes) {
        if let Some(Message::BlockVote(vote)) = own.reader.message(*place).unwrap() {
            signatures.insert(hex::encode(vote.signature.0));
        }
    }
    let (top, mut compared) = (net.nodes[0].height(), heard.len());
    for height in top.saturating_sub(BLOCKS_LOOKED_AT).max(1)..=top {
        let commit: CommitInfo = net.nodes[0].call("getcommit", &[json!(height)]);
        if commit.epoch < own.contents.started {
            continue;
        }
        for signer in commit.signers.iter().filter(|signer| signer.masternode == Some(id)) {
            assert!(
                signatures.contains(&signer.signature),
                "I3: block {height} has a precommit that is not in its journal"
            );
            compared += 1;
        }
    }
    compared
}

/// I7: the block that it said it had is on its disk.
fn assert_kept(net: &Net, victim: usize, (height, hash): (Height, BlockHash)) {
    let from = net.nodes[victim].data_dir().join("blocks");
    let copy = copied(&from, &net.home().join("blocks"));
    let log = BlockLog::open(RealDisk, &copy, net.chain.id).unwrap();
    let block = log.read(height).unwrap();
    let found = block.map(|block| block.committed.block.header.hash());
    assert!(height == 0 || found == Some(hash), "I7: block {height} was told and is not on the disk");
}

/// Waits for the end of a node that its disk kills; the last block that it told.
fn await_end(node: &mut Node) -> (Height, BlockHash) {
    let (began, mut last) = (Clock.instant(), (0, BlockHash::ZERO));
    while node.exit_code().is_none() && Clock.instant().saturating_duration_since(began) < PATIENCE {
        if node.is_running() || node.try_connect() {
            let height = node.try_call::<Height>("getblockcount", &[]);
            if let Ok(height) = height
                && let Ok(hash) = node.try_call("getblockhash", &[json!(height)])
            {
                last = (height, hash);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    last
}

#[test]
fn kill_points_lose_nothing_that_was_told_and_no_vote_is_contradicted() {
    let kills = std::env::var("E2E_KILLS").map_or(KILLS_DEFAULT, |text| text.parse().expect("a number"));
    let mut net = Net::running_with(Needs::Ports, quick);
    for victim in VICTIMS {
        net.nodes[victim].wait_state(NodeState::Voting);
    }
    let ids = VICTIMS.map(|victim| net.nodes[victim].node_status().masternode.unwrap());
    // Both that are killed take payments too.
    let payers = [net.pay_through(&[0, 2], 0), net.pay_through(&[1, 3], 1), net.pay_through(&[0, 1], 2)];
    let (mut fired, mut compared) = (0, 0);
    for point in 0..kills {
        let (place, plan) = (point % VICTIMS.len(), plan(point / VICTIMS.len() + point % VICTIMS.len() * 7));
        let victim = VICTIMS[place];
        let node = &mut net.nodes[victim];
        node.kill();
        spawn(node, plan);
        let last = await_end(node);
        let at = told(node).fired;
        let code = node.exit_code();
        node.kill();
        assert!(matches!(code, None | Some(-1)), "{plan}: exit code {code:?}; it opens by itself");
        assert_eq!(at.is_some(), code.is_some(), "{plan}: its disk alone ends it");
        assert_kept(&net, victim, last);
        let words = assert_said_is_durable(&net, victim, ids[place]);
        let at = at.map(|path| path.rsplit("/data/").next().unwrap_or_default().to_owned());
        println!("{point}: {plan}: {at:?}, block {}, {words} words compared", last.0);
        fired += usize::from(at.is_some());
        compared += words;
        net.nodes[victim].start();
    }
    assert!(fired * 10 >= kills * 8 && compared > kills, "{fired} of {kills} points, {compared} words");
    for victim in VICTIMS {
        net.nodes[victim].wait_state(NodeState::Voting);
    }
    for payer in &payers {
        payer.wait_more(5);
        for (txid, node) in payer.finals().iter().zip(net.nodes.iter().cycle()) {
            node.wait_confirmed(*txid);
        }
    }
    drop(payers);
    net.assert_one_chain();
    for node in &net.nodes {
        let punished: Vec<PunishedInfo> = node.call("listevidence", &[]);
        assert!(punished.is_empty(), "I3: {punished:?}");
    }
    for victim in VICTIMS {
        net.nodes[victim].stop();
        let mut check = timed();
        check.args(["db", "check", "--deep", "--config"]).arg(&net.nodes[victim].config_path);
        let (code, said) = run_to_end(&mut check, &net.home().join("check"));
        assert_eq!(code, 0, "{said}");
    }
}
