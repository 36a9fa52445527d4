//! The end of a node in good order.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::json;
use timed::rpc::types::{EventPage, NodeState};
use timed::runtime::Clock;
use timed::runtime::tasks::STOP_MAX;

use crate::faulty_disk::{Plan, spawn, told};
use crate::net::{Net, Node, Process, run_to_end, timed, wait_for};
use crate::raw_peer::{Persona, RawPeer};
use crate::turns::Needs;

/// Callers of each kind that hold on to the node.
const CALLERS: usize = 40;

/// SIGTERM, and the exit code, which has to come within the limit that the node sets itself.
fn stopped_in_time(node: &mut Node) -> i32 {
    node.process().terminate();
    let told = Clock.instant();
    let code = wait_for("the node's end", || node.exit_code());
    let took = Clock.instant().saturating_duration_since(told);
    assert!(took <= STOP_MAX, "{took:?}: the stop took longer than allowed, {}", node.log_path.display());
    code
}

/// INV-TASKS-2: who waits for an answer, says nothing, or reads nothing, holds up no stop.
#[test]
fn callers_who_wait_and_peers_who_do_not_read_hold_up_no_stop() {
    let mut net = Net::running(Needs::Machine);
    let payer = net.pay_through(&[0, 1], 0);
    payer.wait_more(5);
    let node = &net.nodes[0];
    let address = node.url().trim_start_matches("http://").to_owned();
    let port = address.rsplit(':').next().unwrap().parse::<u16>().unwrap() - 1;
    let body =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "waitforblockheight", "params": [1_000_000, 60_000] });
    let (body, head) =
        (body.to_string(), "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n");
    let wait = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let half = format!("{head}content-length: 500000\r\n\r\n{{");
    let socket = format!(
        "GET /ws HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: {}==\r\n\r\n",
        "A".repeat(22)
    );
    let mut callers = Vec::new();
    for text in [wait.as_str(), &half, &socket, ""] {
        for _ in 0..CALLERS / 4 {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            callers.push(stream);
        }
    }
    let persona = Persona::stranger(net.chain.id);
    let deaf = RawPeer::connect_deaf(port, &persona).unwrap_or_else(|_| panic!("it is let in"));
    payer.wait_more(5);
    let code = stopped_in_time(&mut net.nodes[0]);
    let log = net.nodes[0].log();
    assert!(code == 0 && log.contains("Graceful shutdown complete"), "{code}: {log}");
    drop((callers, deaf));
}

/// INV-TASKS-2: a disk that never comes back from a sync.
#[test]
fn disk_that_hangs_holds_up_no_stop_and_what_hung_is_named() {
    let mut net = Net::running(Needs::Machine);
    let payers = [net.pay_through(&[0, 1], 0), net.pay_through(&[1, 0], 1)];
    // While it runs, and while it starts.
    for (place, part, count, task) in [(2, "/votes/", 5, "vote journal"), (3, "/index-fjall/", 1, "start")] {
        let node = &mut net.nodes[place];
        node.kill();
        spawn(node, Plan { operation: "sync", part, count, what: "hang" });
        wait_for("the sync that hangs", || {
            if !node.is_running() {
                let _starting = node.try_connect();
            }
            assert_eq!(node.exit_code(), None, "{}", node.log());
            told(node).fired
        });
        let code = stopped_in_time(node);
        let log = node.log();
        let last = log.lines().last().unwrap_or_default();
        println!("a sync of {part} hangs: {last}");
        assert!(code == 1 && last.contains("did not stop in time") && last.contains(task), "{code}: {log}");
        node.kill();
        node.start();
        node.wait_state(NodeState::Voting);
    }
    payers.iter().for_each(|payer| payer.wait_more(5));
    net.assert_one_chain();
}

/// A command that is told to stop in its middle has ended in time, too.
#[test]
fn care_of_a_directory_whose_disk_hangs_is_cut_off() {
    let mut net = Net::running(Needs::Machine);
    net.nodes[3].stop();
    let mut command = timed();
    command.args(["db", "reindex", "--config"]).arg(&net.nodes[3].config_path);
    let output = net.home().join("reindex");
    let (code, said) = run_to_end(&mut command, &output);
    assert_eq!(code, 0, "{said}");
    let file = std::fs::File::create(&output).unwrap();
    command.stdout(Stdio::from(file.try_clone().unwrap())).stderr(Stdio::from(file));
    let node = &mut net.nodes[3];
    crate::faulty_disk::plan(
        node,
        &mut command,
        Plan { operation: "sync", part: "/index-fjall", count: 1, what: "hang" },
    );
    let mut reindex = Process::spawn(&mut command);
    wait_for("the sync that hangs", || told(node).fired);
    reindex.terminate();
    let begun = Clock.instant();
    let code = wait_for("its end", || reindex.exit_code());
    assert!(Clock.instant().saturating_duration_since(begun) <= STOP_MAX);
    let said = std::fs::read_to_string(&output).unwrap();
    assert!(code == 1 && said.contains("cut off") && said.contains("begins anew"), "{code}: {said}");
    node.start();
    node.wait_synced();
}

/// INV-START-3.
#[test]
fn under_load_each_node_stops_cleanly_when_told() {
    let mut net = Net::running(Needs::Machine);
    let mut command = timed();
    command.current_dir(net.home()).args(["load", "--rate", "200", "--duration", "10m"]);
    for node in &net.nodes {
        command.args(["--rpc", node.url(), "--cookie-file"]).arg(node.cookie_path());
    }
    let load = Process::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()));
    wait_for("the load's payments", || {
        let page: EventPage = net.nodes[0].call("getfinalizedsince", &[json!(-300)]);
        // A few of these are blocks.
        (page.events.len() > 250).then_some(())
    });
    for node in &mut net.nodes {
        node.process().terminate();
    }
    let told = Clock.instant();
    for node in &mut net.nodes {
        let code = wait_for("the node's end", || node.exit_code());
        assert_eq!(code, 0, "{}", node.log_path.display());
        assert!(node.log().contains("Graceful shutdown complete"), "{}", node.log_path.display());
    }
    assert!(Clock.instant().saturating_duration_since(told) <= STOP_MAX, "the stop took longer than allowed");
    drop(load);
}
