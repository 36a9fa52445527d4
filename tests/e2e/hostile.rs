//! The hostile campaign: strangers do what they should not to one node of a running network, one attack after another, while
//! an honest payer goes on at another node.
//!
//! `E2E_HOSTILE_SECONDS=30 cargo test --test e2e hostile -- --nocapture` makes each attack that long and prints a line for each:
//! how the honest payments fared before, during and after it, the memory of the nodes, and the share of a core that each
//! node and its consensus thread took.

use crate::hostile_siege::{Attack, besiege};
use crate::{hostile_member, hostile_messages, hostile_rpc, hostile_transactions, hostile_wire};

const VALIDATORS: usize = 4;

fn besiege_by(name: &'static str, run: fn(&crate::hostile_siege::Siege) -> String) {
    besiege(VALIDATORS, &[Attack { name, run }]);
}

#[test]
fn hostile_sockets_and_frames_leave_payments_alone() {
    let attacks: Vec<Attack> = hostile_wire::attacks().into_iter().chain(hostile_rpc::attacks()).collect();
    besiege(VALIDATORS, &attacks);
}

#[test]
fn hostile_messages_leave_payments_alone() {
    let floods = hostile_messages::attacks();
    besiege(VALIDATORS, &hostile_transactions::attacks().into_iter().chain(floods).collect::<Vec<_>>());
}

#[test]
fn a_hostile_member_leaves_payments_alone() {
    besiege(VALIDATORS + 1, &hostile_member::attacks());
}

#[test]
fn hostile_orphans_of_many_inputs_leave_payments_alone() {
    besiege_by("orphans of a hundred invented outputs", hostile_transactions::rival_orphans);
}

#[test]
fn hostile_half_open_sockets_let_others_in() {
    besiege_by("200 half-open sockets", hostile_wire::half_open);
}

#[test]
fn hostile_unknown_coins_lock_nobody_elses() {
    besiege_by("a victim's coin beside an unknown one", hostile_transactions::victims_coin);
}

#[test]
fn hostile_heights_are_not_believed() {
    besiege_by("status lies about the height", hostile_messages::height_lies);
}

#[test]
fn hostile_slow_connections_leave_rpc_to_others() {
    besiege_by("RPC: 150 slow connections", hostile_rpc::slow_connections);
}

#[test]
fn hostile_waiters_leave_rpc_to_others() {
    besiege_by("RPC: 150 calls that wait", hostile_rpc::waiters);
}
