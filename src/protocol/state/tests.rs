//! Chains of random blocks hold supply, digest and encoding.

use proptest::prelude::*;

use super::*;
use crate::protocol::fixtures::{Chain, GENESIS_TIME_MS, document, lock, user};
use crate::protocol::transition::inputs_in_order;
use crate::types::codec::decode;

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
    assert_eq!(state.collaterals().len(), 4);
    assert!(!state.is_closing() && state.recent().is_empty());
    assert_eq!(*state.validators().as_ref(), next_validator_set(state));
    let mut broken = document;
    broken.masternodes.truncate(1);
    assert!(matches!(LedgerState::genesis(&broken), Err(GenesisError::TooFewMasternodes { .. })));
}

#[test]
fn the_set_is_cut_at_its_largest_size() {
    let mut state = Chain::new(&document(&[1, 100, 10, 100], 0)).state;
    Arc::make_mut(&mut state.parameters).max_validators = 2;
    let weights: Vec<u64> = next_validator_set(&state).members().iter().map(|member| member.weight).collect();
    assert_eq!(weights, [100, 100]);
}

#[test]
fn the_digest_covers_all_that_a_later_block_depends_on() {
    let mut chain = Chain::new(&document(&[1, 1, 1], 2));
    chain.advance(1_000, false, &[], &[]);
    chain.advance(1_000, false, &[], &[]);
    let base = &chain.state;
    let afresh = |state: &LedgerState| state.recompute_digest(chain.utxos.iter().map(|(o, e)| (*o, *e)));
    assert_eq!(afresh(base), base.digest());
    type Change = fn(&mut LedgerState);
    let changes: [Change; 13] = [
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
        |s| Arc::make_mut(&mut s.masternodes).values_mut().next().unwrap().payout = lock(&user(77)),
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
            // A silent member must not cost the quorum.
            let total: u64 = weights.iter().sum();
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
