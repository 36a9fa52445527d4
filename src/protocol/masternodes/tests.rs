//! The life of masternodes, one file for each part of it; here what they share.

mod end_of_epoch;
mod growth;
mod payloads;
mod random;
mod slashing;
mod supply;
mod unbonding;

use std::sync::Arc;

use super::{Jail, MasternodeStatus, Receipt, VoidReason};
use crate::protocol::fixtures::{Chain, document_with_funds};
use crate::protocol::transition::BlockOutcome;
use crate::protocol::validity::CheckedTransaction;
use crate::types::genesis::Ratio;
use crate::types::{ChainParameters, Evidence, MasternodeId};

/// Masternodes of these weights with funds, two commits that count for absence and half of the weight that may be
/// jailed at once, unless `change` says otherwise. Registration `i` is owned by user 101 + i and voted for by operator
/// 1 + i.
fn net_with(weights: &[u64], change: impl FnOnce(&mut ChainParameters)) -> Chain {
    let mut document = document_with_funds(weights, 4);
    document.parameters.recent_commits = 2;
    document.parameters.jail_cap = Ratio { numerator: 1, denominator: 2 };
    change(&mut document.parameters);
    Chain::new(&document)
}

fn net(weights: &[u64]) -> Chain {
    net_with(weights, |_| {})
}

/// An ordinary block a second later.
fn block(chain: &mut Chain, transactions: &[CheckedTransaction]) -> BlockOutcome {
    punish(chain, transactions, &[])
}

/// The same with evidence.
fn punish(
    chain: &mut Chain,
    transactions: &[CheckedTransaction],
    evidence: &[Arc<Evidence>],
) -> BlockOutcome {
    let (_, outcome) = chain.advance_with(1_000, false, transactions, evidence, &[]);
    chain.hold_invariants();
    outcome
}

/// Ends the epoch while some sign nothing.
fn end_epoch(chain: &mut Chain, silent: &[MasternodeId]) -> BlockOutcome {
    let (_, outcome) = chain.finish_epoch_without(silent);
    chain.hold_invariants();
    outcome
}

/// Ends the epoch by a block that is this much later than the epoch's start.
fn end_epoch_after(chain: &mut Chain, elapsed_ms: u64) -> BlockOutcome {
    let (start, duration) = (chain.state.epoch_start(), chain.state.parameters().epoch_duration_ms);
    let until = |chain: &Chain, time: u64| start + time - chain.state.tip_time();
    if chain.state.tip_validators().epoch != chain.state.next_epoch() {
        chain.advance(1, false, &[], &[]);
    }
    if !chain.state.is_closing() {
        chain.advance(until(chain, duration), false, &[], &[]);
    }
    let (_, outcome) = chain.advance(until(chain, elapsed_ms), true, &[], &[]);
    chain.hold_invariants();
    outcome
}

/// What became of the only payload of a block.
fn verdict(outcome: &BlockOutcome) -> Result<MasternodeId, VoidReason> {
    let [Receipt { effect, .. }] = outcome.receipts[..] else { panic!("{:?}", outcome.receipts) };
    effect
}
