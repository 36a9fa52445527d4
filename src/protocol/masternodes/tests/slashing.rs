//! Evidence burns and jails for good, once, whatever the masternode was doing.

use super::*;
use crate::protocol::evidence::EvidenceError;
use crate::protocol::masternodes::slashing::slash;
use crate::protocol::masternodes::{Registry, Slashed};
use crate::protocol::transition::{BlockDraft, BlockError, propose};
use crate::types::{Amount, UtxoEntry};

#[test]
fn the_fraction_is_rounded_down_and_never_all() {
    for (numerator, denominator, collateral, burned) in [
        (1, 20, 1_000_000, 50_000),
        (1, 20, 19, 0),
        (1, 20, 20, 1),
        (1, 20, 39, 1),
        (0, 1, 1_000_000, 0),
        (1, 1, 1_000_000, 999_999),
        (1, 1, 1, 0),
        (u64::MAX - 1, u64::MAX, u64::MAX, u64::MAX - 1),
        (2, 3, u64::MAX, u64::MAX / 3 * 2),
    ] {
        let document = document_with_funds(&[1, 1, 1], 0);
        let mut registry = Registry::genesis(&document).unwrap();
        let id = *registry.records().keys().next().unwrap();
        registry.get_mut(&id).unwrap().collateral_amount = Amount(collateral);
        let mut parameters = document.parameters.clone();
        parameters.slash_fraction = Ratio { numerator, denominator };
        let slashed = slash(&mut registry, &parameters, id).unwrap();
        assert_eq!(slashed.burned(), Amount(burned), "{numerator}/{denominator} of {collateral}");
        assert_eq!(registry.get(&id).unwrap().collateral_amount, Amount(collateral - burned));
        assert_eq!(slash(&mut registry, &parameters, id), None, "once");
        assert_eq!(slash(&mut registry, &parameters, MasternodeId([1; 32])), None, "nobody");
    }
}

#[test]
fn every_kind_of_evidence_burns_and_jails_at_the_epochs_end() {
    let chain = net(&[1, 10, 1, 1]);
    let id = chain.registered(1);
    for evidence in [
        chain.two_votes(id, 0, 1),
        chain.two_locks(id, 0),
        chain.two_proposals(id, 0, 1),
        chain.foreign_precommit(id, 0, 1),
    ] {
        let mut chain = chain.clone();
        let (supply, outpoint) = (chain.state.supply(), chain.record(id).collateral);
        let before = chain.entry(&outpoint);
        let outcome = punish(&mut chain, &[], &[Arc::clone(&evidence)]);
        let after =
            UtxoEntry { output: crate::types::TxOut { value: Amount(9_500_000), ..before.output }, ..before };
        assert_eq!(outcome.slashed, [Slashed { masternode: id, outpoint, before, after }]);
        assert_eq!(outcome.slashed[0].burned(), Amount(500_000));
        assert_eq!((chain.entry(&outpoint), chain.state.supply().0), (after, supply.0 - 500_000));
        assert!(chain.is_member(id), "the set changes at the epoch's end only");
        assert_eq!(chain.record(id).status(), MasternodeStatus::Slashed);
        assert_eq!(chain.record(id).weight, 10);
        end_epoch(&mut chain, &[]);
        assert!(!chain.is_member(id));
        let since = chain.state.tip_time();
        assert_eq!(chain.record(id).jail, Some(Jail::Evidence { since }));
        assert!(chain.state.is_bound(&outpoint), "what is left of it stays bound");
        let unjail = chain.unjail((0, 0), id, chain.key_in(id, 0));
        assert_eq!(verdict(&block(&mut chain, &[unjail])), Err(VoidReason::Slashed { masternode: id }));
    }
}

fn refused(chain: &Chain, evidence: &[Arc<Evidence>]) -> BlockError {
    let draft = BlockDraft { evidence, ..chain.draft(1_000, false, &[]) };
    propose(&chain.state, &chain.utxos, &draft).map(drop).unwrap_err()
}

#[test]
fn nobody_is_slashed_twice() {
    let mut chain = net(&[1; 5]);
    let (id, other) = (chain.registered(1), chain.registered(2));
    let error = EvidenceError::NotSlashable { validator: id };
    let pair = [chain.two_votes(id, 0, 1), chain.two_locks(id, 0)];
    assert_eq!(refused(&chain, &pair), BlockError::Evidence { index: 1, error }, "in one block");
    let two = [chain.two_votes(id, 0, 1), chain.two_votes(other, 0, 1)];
    assert_eq!(punish(&mut chain, &[], &two).slashed.len(), 2, "two liars in one block");
    assert_eq!(refused(&chain, &[chain.two_locks(id, 0)]), BlockError::Evidence { index: 0, error });
    end_epoch(&mut chain, &[]);
    assert_eq!(refused(&chain, &[chain.two_locks(id, 0)]), BlockError::Evidence { index: 0, error });
}

#[test]
fn evidence_reaches_who_leaves_has_left_or_is_jailed() {
    let chain = net_with(&[1; 6], |parameters| parameters.min_masternodes = 4);
    type Before = fn(&mut Chain, MasternodeId);
    let cases: [(&str, Before, bool, MasternodeStatus); 5] = [
        (
            "asked to leave in this epoch",
            |chain, id| {
                let exit = chain.exit((104, 0), id);
                block(chain, &[exit]);
            },
            true,
            MasternodeStatus::Unbonding,
        ),
        (
            "has left",
            |chain, id| {
                let exit = chain.exit((104, 0), id);
                block(chain, &[exit]);
                end_epoch(chain, &[]);
            },
            false,
            MasternodeStatus::Unbonding,
        ),
        ("is jailed", |chain, id| drop(end_epoch(chain, &[id])), true, MasternodeStatus::Slashed),
        (
            "is jailed and asked to be free in this epoch",
            |chain, id| {
                end_epoch(chain, &[id]);
                let unjail = chain.unjail((0, 0), id, chain.key_in(id, 0));
                block(chain, &[unjail]);
            },
            true,
            MasternodeStatus::Slashed,
        ),
        (
            "waits to leave the smallest set",
            |chain, id| {
                let exits = [102, 103, 104]
                    .map(|owner: u8| chain.exit((owner, 0), chain.registered(u64::from(owner - 101))));
                block(chain, &exits);
                end_epoch(chain, &[]);
                assert!(chain.is_member(id) && !chain.is_member(chain.registered(2)));
            },
            false,
            MasternodeStatus::Slashed,
        ),
    ];
    for (description, before, gets_jailed, status) in cases {
        let mut chain = chain.clone();
        let id = chain.registered(3);
        before(&mut chain, id);
        let supply = chain.state.supply();
        let evidence = chain.two_locks(id, 0);
        assert_eq!(punish(&mut chain, &[], &[evidence]).slashed.len(), 1, "{description}");
        assert_eq!(chain.state.supply(), Amount(supply.0 - 50_000), "{description}");
        end_epoch(&mut chain, &[]);
        let record = chain.record(id);
        assert_eq!(record.status(), status, "{description}");
        assert_eq!(matches!(record.jail, Some(Jail::Evidence { .. })), gets_jailed, "{description}");
        assert_eq!(chain.is_member(id), description.contains("smallest set"), "{description}");
    }
}

#[test]
fn a_jail_sentence_does_not_start_anew() {
    let mut chain = net(&[1; 5]);
    let id = chain.registered(3);
    end_epoch(&mut chain, &[id]);
    let since = chain.state.tip_time();
    let evidence = chain.two_locks(id, 0);
    punish(&mut chain, &[], &[evidence]);
    end_epoch(&mut chain, &[]);
    assert_eq!(chain.record(id).jail, Some(Jail::Evidence { since }));
    assert_eq!(chain.record(id).left, Some(since));
}

#[test]
fn a_key_that_changed_answers_for_what_it_signed() {
    let mut chain = net(&[1; 5]);
    let id = chain.registered(1);
    let update = chain
        .update((102, 0), crate::protocol::fixtures::new_key(id, &crate::protocol::fixtures::operator(40)));
    block(&mut chain, &[update]);
    let by_old = chain.two_locks(id, 0);
    end_epoch(&mut chain, &[]);
    let by_new = chain.two_locks(id, 1);
    assert_ne!(chain.key_in(id, 0).public(), chain.key_in(id, 1).public());
    for evidence in [by_old, by_new] {
        let mut chain = chain.clone();
        assert_eq!(punish(&mut chain, &[], &[evidence]).slashed[0].masternode, id);
    }
}
