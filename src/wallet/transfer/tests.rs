use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::funds::{Coin, CoinState, Withheld};
use super::*;
use crate::protocol::validity::minimum_fee;
use crate::types::codec::encode;
use crate::types::limits::{OUTPUT_VALUE_MIN, TRANSACTION_BYTES_MAX};
use crate::types::{ChainId, ChainParameters, Lock, OutPoint, SecretKey, SignatureCheck, Transaction, TxId};

const CHAIN: ChainId = ChainId([9; 32]);

fn key(index: u8) -> SecretKey {
    SecretKey::from_seed(&[index; 32])
}

fn lock(index: u8) -> Lock {
    Lock::KeyHash(key(index).public().key_hash())
}

fn coin(number: u32, value: u64, owner: u8) -> Coin {
    let outpoint = OutPoint { txid: TxId([1; 32]), index: number };
    let output = TxOut { value: Amount(value), lock: lock(owner) };
    Coin { outpoint, output, state: CoinState::Free }
}

/// Builds a transfer from coins of the keys 0, 1 and 2 to key 9, with change to key 0.
fn build(coins: &[Coin], amount: u64, memo: &[u8]) -> Result<BuiltTransaction, TransferError> {
    build_payout(coins, Payout::Exactly(Amount(amount)), memo)
}

fn build_payout(coins: &[Coin], payout: Payout, memo: &[u8]) -> Result<BuiltTransaction, TransferError> {
    let parameters = ChainParameters::of_network(Network::Devnet);
    let keys = [key(0), key(1), key(2)];
    let funds = Funds { chain_id: &CHAIN, parameters: &parameters, coins, keys: &keys, change: lock(0) };
    let recipient = Address { network: Network::Devnet, lock: lock(9) };
    Transfer { network: Network::Devnet, recipient, payout, memo }.build(&funds)
}

fn minimum(transaction: &Transaction) -> u64 {
    minimum_fee(encode(transaction).len(), &ChainParameters::of_network(Network::Devnet)).0
}

/// Holds everything that a built transfer promises.
fn assert_sound(built: &BuiltTransaction, coins: &[Coin], amount: u64) {
    let transaction = &built.transaction;
    let coin_of = |outpoint: &OutPoint| *coins.iter().find(|coin| coin.outpoint == *outpoint).unwrap();
    let inputs: u64 = transaction.inputs.iter().map(|outpoint| coin_of(outpoint).output.value.0).sum();
    assert!(transaction.inputs.iter().all(|outpoint| coin_of(outpoint).state == CoinState::Free));
    let outputs: u64 = transaction.outputs.iter().map(|output| output.value.0).sum();
    assert_eq!(inputs, outputs + built.fee.0, "value is conserved");
    assert_eq!(transaction.outputs[0], TxOut { value: Amount(amount), lock: lock(9) });
    match transaction.outputs.get(1) {
        Some(change) => {
            assert!(change.value.0 > 0);
            assert_eq!(*change, TxOut { value: built.change, lock: lock(0) });
            assert_eq!(built.fee.0, minimum(transaction), "the fee is exact");
        }
        None => {
            assert_eq!(built.change, Amount::ZERO);
            let mut with_change = transaction.clone();
            with_change.outputs.push(TxOut { value: Amount(1), lock: lock(0) });
            assert!(built.fee.0 >= minimum(transaction));
            let could_be_change = minimum(&with_change) + OUTPUT_VALUE_MIN.0;
            assert!(built.fee.0 < could_be_change, "nothing that could be change goes to the fee");
        }
    }
    let distinct: BTreeSet<&OutPoint> = transaction.inputs.iter().collect();
    assert_eq!(distinct.len(), transaction.inputs.len());
    assert!(encode(transaction).len() <= TRANSACTION_BYTES_MAX);
    let owners: BTreeSet<Lock> =
        transaction.inputs.iter().map(|outpoint| coin_of(outpoint).output.lock).collect();
    let signers: BTreeSet<Lock> =
        transaction.witnesses.iter().map(|witness| Lock::KeyHash(witness.key.key_hash())).collect();
    assert_eq!(owners, signers, "one witness for each owner and no other");
    assert!(transaction.signature_checks(&CHAIN, &transaction.txid()).iter().all(SignatureCheck::holds));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn built_transfers_are_sound_and_refusals_are_right(
        values in prop::collection::vec((1_u64..20_000, 0_u8..4, 0_u8..6), 0..60),
        amount in 1_u64..200_000,
        memo in prop::collection::vec(any::<u8>(), 0..=MEMO_BYTES_MAX),
    ) {
        let state = |state: u8| match state {
            0 => CoinState::Bound,
            1 => CoinState::Locked,
            _ => CoinState::Free,
        };
        let coins: Vec<Coin> = (0_u32..)
            .zip(&values)
            .map(|(number, (value, owner, kind))| Coin { state: state(*kind), ..coin(number, *value, *owner) })
            .collect();
        // Key 3 is not ours.
        let mine = |state: CoinState| {
            let mine = coins.iter().filter(|coin| coin.output.lock != lock(3) && coin.state == state);
            mine.map(|coin| coin.output.value.0).sum::<u64>()
        };
        match build(&coins, amount, &memo) {
            Ok(built) => assert_sound(&built, &coins, amount),
            Err(TransferError::Funds(FundsError::Insufficient { missing, available, withheld, .. })) => {
                prop_assert_eq!(available.0, mine(CoinState::Free));
                prop_assert_eq!(withheld.bound.0, mine(CoinState::Bound));
                prop_assert_eq!(withheld.locked.0, mine(CoinState::Locked));
                prop_assert!(missing.0 > 0);
                if missing.0 >= 20_000 {
                    return Ok(());
                }
                // What is said to be missing is what one of our own larger coins must bring, but for its own size.
                let mut more = coins.clone();
                more.push(coin(1_000, missing.0 + 2_000, 0));
                prop_assert!(build(&more, amount, &memo).is_ok());
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }
}

/// INV-WALLET-2.
#[test]
fn around_the_fee_each_unit_counts() {
    // One input, one or two outputs and one witness are below 1,000 bytes: the fee is 1,000 units either way. Less than an
    // output may be worth goes to the fee.
    for (value, change) in [(2_000, Some(0)), (2_099, Some(0)), (2_100, Some(100)), (1_999, None)] {
        let coins = [coin(0, value, 0)];
        match (build(&coins, 1_000, b""), change) {
            (Ok(built), Some(change)) => {
                assert_eq!((built.change, built.fee), (Amount(change), Amount(value - 1_000 - change)));
                assert_sound(&built, &coins, 1_000);
            }
            (Err(TransferError::Funds(FundsError::Insufficient { missing: Amount(1), .. })), None) => {}
            (other, _) => panic!("{value}: {other:?}"),
        }
    }
}

#[test]
fn the_fewest_coins_are_taken_and_none_twice() {
    let mut coins: Vec<_> = (0..10).map(|number| coin(number, 1_000 * u64::from(number + 1), 0)).collect();
    coins.extend(coins.clone());
    let built = build(&coins, 8_500, b"").unwrap();
    assert_eq!(built.transaction.inputs, [coin(9, 0, 0).outpoint]);
    assert_sound(&built, &coins, 8_500);
    // 55,000 in all, were they counted twice it would be 110,000.
    assert!(matches!(build(&coins, 60_000, b""), Err(TransferError::Funds(FundsError::Insufficient { .. }))));
}

#[test]
fn a_transaction_is_never_too_large() {
    let coins: Vec<_> = (0..1_500).map(|number| coin(number, 10_000, 0)).collect();
    let built = build(&coins, 9_900_000, b"").unwrap();
    assert_sound(&built, &coins, 9_900_000);
    let error = build(&coins, 12_000_000, b"").unwrap_err();
    let too_many = matches!(error, TransferError::Funds(FundsError::TooManyCoins { inputs: 1_000, .. }));
    assert!(too_many, "{error}");
}

#[test]
fn what_can_not_be_paid_is_refused() {
    let coins = [coin(0, 1_000_000, 0)];
    assert_eq!(build(&coins, 0, b""), Err(TransferError::NoAmount));
    assert_eq!(build(&coins, 1, &[0; MEMO_BYTES_MAX + 1]), Err(TransferError::MemoTooLong { bytes: 257 }));
    let overflow = Err(TransferError::Funds(FundsError::Overflow));
    assert_eq!(build(&coins, u64::MAX, b""), overflow);
    let huge = [coin(0, u64::MAX, 0), coin(1, u64::MAX, 0)];
    assert_eq!(build(&huge, 1, b""), overflow);
    let foreign = [coin(0, 1_000_000, 7)];
    let error = build(&foreign, 5, b"").unwrap_err();
    assert_eq!(
        error.to_string(),
        "0.00001005 TIME are missing: 0.00000000 TIME can be spent, 0.00000005 TIME and the fee are needed; \
         pay less, or from other accounts too, or send all that is there"
    );
    let parameters = ChainParameters::of_network(Network::Devnet);
    let keys = [key(0)];
    let funds =
        Funds { chain_id: &CHAIN, parameters: &parameters, coins: &coins, keys: &keys, change: lock(0) };
    let mainnet = Transfer {
        network: Network::Devnet,
        recipient: Address { network: Network::Mainnet, lock: lock(9) },
        payout: Payout::Exactly(Amount(1)),
        memo: b"",
    };
    assert!(matches!(mainnet.build(&funds), Err(TransferError::ForeignAddress { .. })));
}

/// INV-WALLET-3.
#[test]
fn collateral_is_never_spent_and_named_as_the_reason() {
    let bound = Coin { state: CoinState::Bound, ..coin(0, 100_000_000_000, 0) };
    let locked = Coin { state: CoinState::Locked, ..coin(1, 300_000_000, 0) };
    let coins = [bound, locked, coin(2, 5_000, 0)];
    let error = build(&coins, 100_000, b"").unwrap_err();
    let withheld = Withheld { locked: Amount(300_000_000), bound: Amount(100_000_000_000) };
    assert!(
        matches!(&error, TransferError::Funds(FundsError::Insufficient { withheld: found, .. }) if *found == withheld)
    );
    let text = error.to_string();
    assert!(text.contains("1000.00000000 TIME more are bound as collateral of a masternode"), "{text}");
    assert!(text.contains("3.00000000 TIME more are being spent by a transaction on its way"), "{text}");
    assert_sound(&build(&coins, 4_000, b"").unwrap(), &coins, 4_000);
}

#[test]
fn everything_is_all_that_is_free_less_the_least_fee() {
    let bound = Coin { state: CoinState::Bound, ..coin(7, 1_000_000, 0) };
    let locked = Coin { state: CoinState::Locked, ..coin(8, 1_000_000, 0) };
    let coins = [coin(0, 40_000, 0), coin(1, 30_000, 1), coin(2, 20_000, 2), coin(3, 9, 3), bound, locked];
    let built = build_payout(&coins, Payout::Everything, b"all").unwrap();
    assert_eq!((built.fee.0, built.change), (minimum(&built.transaction), Amount::ZERO));
    assert_eq!(
        built.transaction.outputs,
        [TxOut { value: Amount(90_000 - built.fee.0), lock: lock(9) }],
        "three coins of ours, in one output"
    );
    assert_eq!(built.transaction.payload, Payload::Transfer { memo: b"all".to_vec() });
    assert!(built.transaction.signature_checks(&CHAIN, &built.transaction.txid()).iter().all(|c| c.holds()));
}

#[test]
fn coins_that_cost_more_than_they_hold_are_left_where_they_are() {
    // The first ones fit into 1,000 bytes; each further 1,000 bytes cost 1,000 units, for some 27 coins of one.
    let mut coins: Vec<Coin> = (0..100).map(|number| coin(number, 1, 0)).collect();
    coins.push(coin(100, 5_000, 0));
    let built = build_payout(&coins, Payout::Everything, b"").unwrap();
    let inputs = built.transaction.inputs.len();
    assert_eq!((built.fee, encode(&built.transaction).len() <= 1_000), (Amount(1_000), true));
    assert_eq!(built.transaction.outputs[0].value.0, 5_000 + (inputs as u64 - 1) - 1_000);
    let mut larger = built.transaction.clone();
    larger.inputs.push(OutPoint { txid: TxId([2; 32]), index: 0 });
    assert_eq!(minimum(&larger), 2_000, "one more would cost another 1,000");
}

#[test]
fn everything_of_too_many_coins_is_the_largest_of_them() {
    let coins: Vec<_> = (1..=1_500).map(|number| coin(number, 10_000 + u64::from(number), 0)).collect();
    let built = build_payout(&coins, Payout::Everything, b"").unwrap();
    let sum: u64 = (501..=1_500).map(|number| 10_000 + number).sum();
    assert_eq!(built.transaction.inputs.len(), 1_000);
    assert_eq!(built.transaction.outputs[0].value.0, sum - built.fee.0);
}

#[test]
fn nothing_is_sent_when_the_fee_takes_all() {
    for (value, fits) in [(1_100, true), (1_099, false)] {
        let built = build_payout(&[coin(0, value, 0)], Payout::Everything, b"");
        match built {
            Ok(built) => assert!(fits && built.transaction.outputs[0].value == Amount(100), "{value}"),
            Err(error) => {
                assert!(!fits, "{error}");
                let said = "the 0.00001099 TIME that can be spent do not pay an output of 0.00000100 TIME, the least there may be, beside the fee of 0.00001000 TIME at least";
                assert_eq!(error.to_string(), said);
            }
        }
    }
}

#[test]
fn a_plan_is_the_same_transaction_without_signatures() {
    let parameters = ChainParameters::of_network(Network::Devnet);
    let coins = [coin(0, 400_000, 0), coin(1, 300_000, 1), coin(2, 900_000, 5)];
    let owners = BTreeSet::from([lock(0), lock(1), lock(2)]);
    let source = Source { parameters: &parameters, coins: &coins, owners: &owners, change: lock(0) };
    let recipient = Address { network: Network::Devnet, lock: lock(9) };
    for payout in [Payout::Exactly(Amount(500_000)), Payout::Everything] {
        let transfer = Transfer { network: Network::Devnet, recipient, payout, memo: b"memo" };
        let plan = transfer.plan(&source).unwrap();
        let built = build_payout(&coins, payout, b"memo").unwrap();
        assert_eq!(plan.transaction.txid(), built.transaction.txid());
        assert!(plan.transaction.witnesses.is_empty() && built.transaction.witnesses.len() == 2);
        assert_eq!((plan.fee, plan.change), (built.fee, built.change));
        assert_eq!(plan.spent, [coins[0].output, coins[1].output]);
    }
}
