//! Whole networks of real node processes on 127.0.0.1, as an operator runs them.
//!
//! `cargo test --test e2e` runs them all, those that bear it beside each other ([`turns`]). `E2E_PAIRS=1000` makes that
//! many double spends, `E2E_SECONDS=300` that long a campaign, `E2E_SEED=7` another one, `E2E_KILLS=1000` kills a node at
//! so many points of its writes, `E2E_DISK=all` tries all failures of disks, `E2E_LOG=debug` sets the nodes' log level; a
//! test that fails leaves its directory. Waits end at deadlines that only a failure meets; how long something takes is
//! asserted where that is the promise: of stops, and of payments under attack.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a failed expectation is a test's verdict"
)]

mod asking;
mod backup;
mod bad_input;
mod browser;
mod campaign;
mod copied_key;
mod crash;
mod disk_errors;
mod double_spend;
mod events;
mod faulty_disk;
#[path = "../support/heard.rs"]
mod heard;
mod hostile;
mod hostile_member;
mod hostile_messages;
mod hostile_rpc;
mod hostile_siege;
mod hostile_transactions;
mod hostile_wire;
mod join;
mod kill_points;
mod masternode;
mod net;
mod new_chain;
mod offline_signing;
mod overload;
mod own_network;
mod page;
mod payment;
mod prometheus;
mod proof;
mod pruned;
mod raw_peer;
mod readme;
mod signals;
mod slow_callers;
mod snapshot;
mod snapshot_faults;
mod stop;
mod turns;
mod upgrade;
