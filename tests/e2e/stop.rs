//! The end of a node in good order.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use timed::rpc::types::EventPage;
use timed::runtime::Clock;

use crate::net::{Net, Process, timed, wait_for};

/// The limit that the node sets itself.
const STOP_MAX: Duration = Duration::from_secs(10);

/// INV-START-3.
#[test]
fn under_load_each_node_stops_cleanly_when_told() {
    let mut net = Net::running();
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
