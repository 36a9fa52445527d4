//! Rules that come into force: what headers say, what the state holds, what a new rule refuses from then on.

use super::*;
use crate::protocol::activation::PendingRules;
use crate::protocol::validity::check_spend;
use crate::types::limits::OUTPUT_VALUE_MIN;
use crate::types::{Amount, RuleVersion, TxOut};

const NEXT: RuleVersion = RuleVersion::DUST;

/// Four equal members with programs that know this version.
fn chain_announcing(version: RuleVersion) -> Chain {
    let mut chain = Chain::new(&document(&[1; 4], 2));
    chain.announces = version;
    chain
}

/// An epoch in which each member has its turn.
fn whole_epoch(chain: &mut Chain) -> Vec<Header> {
    let mut headers: Vec<Header> = (0..4).map(|_| chain.advance(1_000, false, &[], &[]).0.header).collect();
    chain.hold_invariants();
    headers.push(chain.finish_epoch().0.header);
    chain.hold_invariants();
    headers
}

/// A payment with one output of this value, the rest to its payer.
fn payment_of(chain: &Chain, value: u64) -> CheckedTransaction {
    let (outpoint, entry) = chain.owned(&user(0))[0];
    let change = TxOut { value: Amount(entry.output.value.0 - value - 1_000), lock: lock(&user(0)) };
    chain.pay(&user(0), vec![outpoint], vec![TxOut { value: Amount(value), lock: lock(&user(1)) }, change])
}

/// INV-RULES-3, INV-STATE-2.
#[test]
fn rules_that_a_quorum_announced_are_in_force_after_one_whole_epoch_of_warning() {
    let mut chain = chain_announcing(NEXT);
    let first = whole_epoch(&mut chain);
    assert_eq!(chain.state.rules().announced().len(), 4);
    assert_eq!(chain.state.rules().pending(), Some(PendingRules { version: NEXT, epoch: 2 }));
    let warned = whole_epoch(&mut chain);
    assert_eq!((chain.state.rules().in_force(), chain.state.rules().since()), (NEXT, 2));
    assert!(chain.state.rules().announced().is_empty(), "INV-RULES-4");
    let after = whole_epoch(&mut chain);
    let of_first = |header: &Header| header.rules == RuleVersion::FIRST && header.announced == NEXT;
    assert!(first.iter().chain(&warned).all(of_first));
    assert!(after.iter().all(|header| (header.rules, header.announced) == (NEXT, NEXT)));
}

/// INV-RULES-3: what nobody announces never comes, and one member alone moves nothing.
#[test]
fn rules_below_a_quorum_stay_out_however_long_they_are_announced() {
    let mut chain = chain_announcing(RuleVersion::FIRST);
    let loud = chain.state.validators().get(0).unwrap().id;
    for _ in 0..4 {
        for _ in 0..4 {
            chain.announces = if chain.proposer(0) == loud { RuleVersion(9) } else { RuleVersion::FIRST };
            chain.advance(1_000, false, &[], &[]);
        }
        chain.announces = RuleVersion::FIRST;
        chain.finish_epoch();
        chain.hold_invariants();
        assert_eq!(
            (chain.state.rules().in_force(), chain.state.rules().pending()),
            (RuleVersion::FIRST, None)
        );
    }
}

#[test]
fn a_header_names_the_rules_in_force_and_announces_no_less() {
    let mut chain = chain_announcing(NEXT);
    for in_force in [RuleVersion::FIRST, NEXT] {
        let (block, _) = propose(&chain.state, &chain.utxos, &chain.draft(1_000, false, &[])).unwrap();
        let changed = |change: fn(&mut Header)| {
            let mut blueprint = block.blueprint();
            change(&mut blueprint.header);
            rejects(&chain, &blueprint, &[])
        };
        assert_eq!(block.header.rules, in_force);
        let found = RuleVersion(in_force.0 + 1);
        let expected = BlockError::WrongRules { expected: in_force, found };
        assert_eq!(changed(|header| header.rules.0 += 1), expected);
        assert!(matches!(changed(|header| header.rules.0 -= 1), BlockError::WrongRules { .. }));
        let error = changed(|header| header.announced.0 = header.rules.0 - 1);
        assert!(matches!(error, BlockError::AnnouncesLess { .. }), "{error}");
        let error = changed(|header| header.announced.0 += 1);
        assert!(matches!(error, BlockError::WrongStateDigest { .. }), "the state keeps it: {error}");
        whole_epoch(&mut chain);
        whole_epoch(&mut chain);
    }
}

/// The first rule that comes like this. INV-RULES-1: until then it forbids nothing, and each block is judged by its own rules.
#[test]
fn dust_is_refused_from_the_first_block_under_the_rules_that_forbid_it() {
    let mut chain = chain_announcing(NEXT);
    whole_epoch(&mut chain);
    chain.advance(1_000, false, &[payment_of(&chain.clone(), OUTPUT_VALUE_MIN.0 - 1)], &[]);
    whole_epoch(&mut chain);
    let dust = payment_of(&chain, OUTPUT_VALUE_MIN.0 - 1);
    let expected = TransactionError::DustOutput { index: 0, value: Amount(OUTPUT_VALUE_MIN.0 - 1) };
    let entries: Vec<_> = dust.inputs().iter().map(|outpoint| chain.entry(outpoint)).collect();
    assert_eq!(check_spend(&dust, &entries, &chain.state), Err(expected.clone()));
    let txid = dust.txid();
    let error = propose(&chain.state, &chain.utxos, &chain.draft(1_000, false, &[dust])).unwrap_err();
    assert_eq!(error, BlockError::Transaction { index: 0, txid, error: expected });
    chain.advance(1_000, false, &[payment_of(&chain.clone(), OUTPUT_VALUE_MIN.0)], &[]);
    chain.hold_invariants();
}
