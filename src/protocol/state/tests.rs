//! Chains of random blocks hold supply, digest and encoding.

use proptest::prelude::*;

use super::*;
use crate::protocol::fixtures::{
    Chain, GENESIS_TIME_MS, document, document_with_funds, lock, new_key, operator, user,
};
use crate::protocol::masternodes::Jail;
use crate::protocol::transition::inputs_in_order;
use crate::types::codec::decode;
use crate::types::{MasternodeUpdate, PublicKey};

#[test]
fn genesis_has_the_documents_set_and_coins() {
    let document = document(&[1, 100, 10, 100], 2);
    let chain = Chain::new(&document);
    let state = &chain.state;
    let weights: Vec<u64> = state.validators().members().iter().map(|member| member.weight).collect();
    assert_eq!(weights, [100, 100, 10, 1], "by weight, then by registration");
    let keys: Vec<PublicKey> = state.validators().members().iter().map(|member| member.key).collect();
    let registered = |index: usize| document.masternodes[index].operator_key;
    assert_eq!(keys, [1, 3, 2, 0].map(registered));
    assert_eq!((state.height(), state.next_epoch(), state.tip_time()), (0, 0, GENESIS_TIME_MS));
    assert_eq!(state.tip_hash().0, state.chain_id().0);
    assert_eq!(state.supply().0, 2 * 100_000_000_000 + 211 * 1_000_000);
    assert_eq!(state.registry().collaterals().len(), 4);
    assert!(!state.is_closing() && state.recent().is_empty());
    assert_eq!(*state.validators().as_ref(), genesis_set(state.registry(), state.parameters()));
    let mut broken = document;
    broken.masternodes.truncate(1);
    assert!(matches!(LedgerState::genesis(&broken), Err(GenesisError::TooFewMasternodes { .. })));
}

#[test]
fn the_set_is_cut_at_its_largest_size() {
    let mut state = Chain::new(&document(&[1, 100, 10, 100], 0)).state;
    Arc::make_mut(&mut state.parameters).max_validators = 2;
    let set = genesis_set(state.registry(), state.parameters());
    let weights: Vec<u64> = set.members().iter().map(|member| member.weight).collect();
    assert_eq!(weights, [100, 100]);
}

/// In epoch 1, with something in every field.
fn eventful() -> Chain {
    let mut chain = Chain::new(&document_with_funds(&[1, 1, 1, 1], 2));
    chain.finish_epoch();
    let transactions = [chain.register((0, 0), 20, 1), chain.register((1, 0), 20, 1)];
    chain.advance(1_000, false, &transactions, &[]);
    let id = chain.registered(1);
    let update = MasternodeUpdate { payout: Some(lock(&user(77))), ..new_key(id, &operator(30)) };
    chain.advance(1_000, false, &[chain.update((102, 0), update)], &[]);
    let exit = chain.exit((103, 0), chain.registered(2));
    let evidence = [chain.two_locks(chain.registered(3), 0)];
    chain.advance_with(1_000, false, &[exit], &evidence, &[]);
    chain.hold_invariants();
    chain
}

/// INV-STATE-1.
#[test]
fn the_digest_covers_all_that_a_later_block_depends_on() {
    let chain = eventful();
    let base = &chain.state;
    let afresh = |state: &LedgerState| state.recompute_digest(chain.utxos.iter().map(|(o, e)| (*o, *e)));
    assert_eq!(afresh(base), base.digest());
    type Change = fn(&mut LedgerState);
    let changes: [Change; 15] = [
        |s| s.height += 1,
        |s| s.tip_time += 1,
        |s| s.epoch += 1,
        |s| s.epoch_start += 1,
        |s| s.reward_accrued.0 += 1,
        |s| s.fees.0 += 1,
        |s| s.supply.0 += 1,
        |s| *s.credits.values_mut().next().unwrap() += 1,
        |s| s.validators = Arc::default(),
        |s| s.tip_validators.set = Arc::default(),
        |s| s.tip_validators.epoch += 1,
        |s| s.recent = RecentCommits::default(),
        |s| s.attendance.values_mut().next().unwrap().note(false, 50),
        |s| s.attendance.clear(),
        |s| s.past_epochs = Arc::default(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut changed = base.clone();
        change(&mut changed);
        assert_ne!(afresh(&changed), base.digest(), "case {index}");
    }
    let mut utxos = chain.utxos.clone();
    utxos.values_mut().next().unwrap().height += 1;
    assert_ne!(base.recompute_digest(utxos.into_iter()), base.digest());
}

#[test]
fn the_digest_covers_every_field_of_a_record() {
    let chain = eventful();
    let base = &chain.state;
    let afresh = |state: &LedgerState| state.recompute_digest(chain.utxos.iter().map(|(o, e)| (*o, *e)));
    type Change = fn(&mut MasternodeRecord);
    let changes: [Change; 23] = [
        |r| r.collateral.index += 1,
        |r| r.collateral_amount.0 += 1,
        |r| r.collateral_height += 1,
        |r| r.owner = lock(&user(78)),
        |r| r.operator_key = operator(99).public(),
        |r| r.payout = lock(&user(78)),
        |r| r.network_address.push('0'),
        |r| r.weight += 1,
        |r| r.effective_weight += 1,
        |r| r.on_trial = !r.on_trial,
        |r| r.registration += 100,
        |r| r.pending = None,
        |r| r.pending.get_or_insert_default().operator_key = Some(operator(98).public()),
        |r| r.pending.get_or_insert_default().payout = Some(lock(&user(79))),
        |r| r.pending.get_or_insert_default().network_address = Some(String::new()),
        |r| r.exit_requested = r.exit_requested.xor(Some(7)),
        |r| r.exit_requested = Some(99),
        |r| r.slashed = r.slashed.xor(Some(7)),
        |r| r.slashed = Some(99),
        |r| r.jail = Some(Jail::Absence { since: 1 }),
        |r| r.jail = Some(Jail::Evidence { since: 1 }),
        |r| r.exited = true,
        |r| r.left = Some(1),
    ];
    for id in base.masternodes().keys() {
        for (index, change) in changes.into_iter().enumerate() {
            let mut changed = base.clone();
            let record = Arc::make_mut(&mut changed.registry).get_mut(id).unwrap();
            change(record);
            let is_changed = *record != base.masternodes()[id];
            assert_eq!(afresh(&changed) != base.digest(), is_changed, "case {index}");
        }
    }
    // Counters, marks and the two kinds of jail.
    type Edit = fn(&mut Registry);
    let edits: [Edit; 3] = [Registry::count_registration, Registry::count_request, Registry::forget_marks];
    for (index, edit) in edits.into_iter().enumerate() {
        let mut changed = base.clone();
        edit(Arc::make_mut(&mut changed.registry));
        assert_ne!(afresh(&changed), base.digest(), "edit {index}");
    }
}

#[test]
fn the_digest_covers_past_epochs() {
    let mut chain = eventful();
    chain.finish_epoch();
    let base = &chain.state;
    let afresh = |state: &LedgerState| state.recompute_digest(chain.utxos.iter().map(|(o, e)| (*o, *e)));
    type Change = fn(&mut PastEpoch);
    let changes: [Change; 5] = [
        |past| past.epoch += 7,
        |past| past.first_height += 1,
        |past| past.last_height += 1,
        |past| past.end += 1,
        |past| past.set = Arc::new(ValidatorSet::new(past.set.members()[1..].to_vec())),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        for place in 0..2 {
            let mut past: Vec<PastEpoch> = base.past_epochs().iter().cloned().collect();
            assert_eq!(past.len(), 2);
            change(&mut past[place]);
            let mut epochs = PastEpochs::default();
            past.into_iter().for_each(|past| epochs.push(past));
            let changed = LedgerState { past_epochs: Arc::new(epochs), ..base.clone() };
            assert_ne!(afresh(&changed), base.digest(), "case {index}");
        }
    }
}

#[test]
fn past_epochs_are_encoded_with_sets_where_they_change() {
    let mut chain = Chain::new(&document_with_funds(&[1, 1, 1, 1], 2));
    let mut sizes = Vec::new();
    for number in 0..4 {
        if number == 2 {
            chain.advance(1_000, false, &[chain.register((0, 0), 20, 1)], &[]);
        }
        chain.finish_epoch();
        let bytes = encode(chain.state.past_epochs().as_ref());
        assert_eq!(decode::<PastEpochs>(&bytes).as_ref(), Ok(chain.state.past_epochs().as_ref()));
        sizes.push(bytes.len());
    }
    let (entry, set) = (33, 8 + 4 * 72);
    assert_eq!(
        sizes,
        [8 + entry + set, 8 + 2 * entry + set, 8 + 3 * entry + set, 8 + 4 * entry + 2 * set + 72]
    );
    let sets: Vec<_> = chain.state.past_epochs().iter().map(|past| Arc::as_ptr(&past.set)).collect();
    assert!(sets[0] == sets[1] && sets[1] == sets[2] && sets[2] != sets[3], "equal sets share their memory");
    let headless = encode(&(1_u64, (0_u64, 1_u64, 2_u64, 3_u64), None::<Vec<Validator>>));
    assert!(decode::<PastEpochs>(&headless).is_err(), "the first one has a set");
}

#[test]
fn a_new_set_votes_from_the_next_epoch_on() {
    let mut chain = Chain::new(&document(&[1, 1, 1, 1], 1));
    chain.advance(1_000, false, &[], &[]);
    let outputs: Vec<(OutPoint, UtxoEntry)> = chain.utxos.iter().map(|(o, e)| (*o, *e)).collect();
    let promoted = *chain.state.masternodes().iter().find(|(_, record)| record.registration == 3).unwrap().0;
    Arc::make_mut(&mut chain.state.registry).get_mut(&promoted).unwrap().effective_weight = 3;
    chain.state.multiset = chain.state.recompute_multiset(outputs.into_iter());
    let old = Arc::clone(chain.state.validators());

    let (block, _) = chain.finish_epoch();
    let new = Arc::clone(chain.state.validators());
    assert_eq!(new.members()[0].id, promoted);
    assert_eq!((old.total_weight(), new.total_weight()), (4, 6));
    assert_eq!(block.header.validators_hash, old.hash());
    assert_eq!(block.header.next_validators_hash, new.hash());
    assert_eq!(chain.state.tip_validators(), &EpochSet { epoch: 0, set: Arc::clone(&old) });
    // The next block contains the old set's commit and is voted on by the new set.
    let (block, _) = chain.advance(1_000, false, &[], &[]);
    assert_eq!(block.header.validators_hash, new.hash());
    assert_eq!(chain.state.credits().values().sum::<u64>(), 4);
    chain.advance(1_000, false, &[], &[]);
    assert_eq!(chain.state.credits().values().sum::<u64>(), 4 + 6);
    let afresh = chain.state.recompute_digest(chain.utxos.iter().map(|(o, e)| (*o, *e)));
    assert_eq!(afresh, chain.state.digest());
}

/// What one block of a random chain does.
#[derive(Clone, Debug)]
struct Step {
    elapsed_ms: u64,
    payments: Vec<(u8, u8, usize)>,
    chained: bool,
    silent: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let elapsed = prop_oneof![1..5_000_u64, Just(2_000), Just(61_000), 1..200_000_u64];
    let payments = prop::collection::vec((0..4_u8, 0..4_u8, 1..4_usize), 0..4);
    (elapsed, payments, any::<bool>(), 0..8_usize).prop_map(|(elapsed_ms, payments, chained, silent)| Step {
        elapsed_ms,
        payments,
        chained,
        silent,
    })
}

fn take_step(chain: &mut Chain, step: &Step) -> (u64, u64) {
    let mut used = std::collections::BTreeSet::new();
    let mut transactions = Vec::new();
    for (from, to, parts) in &step.payments {
        let (from, to) = (user(*from), user(*to));
        let Some(coin) = chain
            .owned(&from)
            .into_iter()
            .find(|(outpoint, entry)| entry.output.value.0 > 100_000 && !used.contains(outpoint))
        else {
            continue;
        };
        used.insert(coin.0);
        let payment = chain.split(&from, coin, lock(&to), *parts);
        let child = payment.transaction().created(payment.txid()).next().map(|(o, output)| (o, *output));
        transactions.push(payment);
        if let (true, Some((outpoint, output))) = (step.chained, child) {
            transactions.push(chain.split(&to, (outpoint, UtxoEntry { output, height: 0 }), lock(&from), 2));
        }
    }
    let silent: Vec<MasternodeId> =
        chain.state.validators().get(step.silent).map(|member| member.id).into_iter().collect();
    let epoch_end = chain.state.is_closing();
    let before = chain.state.clone();
    let (_, outcome) = chain.advance(step.elapsed_ms, epoch_end, &transactions, &silent);
    assert_eq!(inputs_in_order(&outcome).len(), outcome.spent.len());
    // The schedule, in the words of the protocol.
    let parameters = before.parameters();
    let (reward, interval) = (parameters.block_reward.0, parameters.block_interval_ms);
    let minted = reward * step.elapsed_ms.min(10 * interval) / interval;
    (minted, outcome.fees.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn random_chains_hold_supply_digest_and_encoding(
        steps in prop::collection::vec(step(), 1..25),
        weights in prop::collection::vec(prop_oneof![Just(1_u64), Just(10)], 4..7),
        window in 1..6_u32,
    ) {
        let mut document = document(&weights, 4);
        document.parameters.recent_commits = window;
        let mut chain = Chain::new(&document);
        let genesis = chain.state.supply().0;
        let (mut minted, mut epochs) = (0, 0);
        for mut step in steps {
            // A silent member must not cost the quorum; it may cost itself its place in the set.
            let total = chain.state.validators().total_weight();
            let silent_weight =
                chain.state.validators().get(step.silent).map_or(0, |member| member.weight);
            if total - silent_weight < chain.state.validators().quorum() {
                step.silent = usize::MAX;
            }
            let closing = chain.state.is_closing();
            let (accrued, _) = take_step(&mut chain, &step);
            minted += accrued;
            epochs += u64::from(closing);
            let state = &chain.state;
            prop_assert_eq!(state.next_epoch(), epochs);
            let outputs = Amount::checked_sum(chain.utxos.values().map(|entry| entry.output.value));
            prop_assert_eq!(outputs, Some(state.supply()));
            prop_assert_eq!(state.supply().0 + state.fees().0 + state.reward_accrued().0, genesis + minted);
            let afresh = state.recompute_digest(chain.utxos.iter().map(|(o, e)| (*o, *e)));
            prop_assert_eq!(afresh, state.digest());
            prop_assert!(state.recent().len() <= usize::try_from(window).unwrap());
            let decoded = decode::<LedgerState>(&encode(state));
            prop_assert_eq!(decoded.as_ref(), Ok(state));
        }
    }
}
