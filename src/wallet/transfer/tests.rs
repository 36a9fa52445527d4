use proptest::prelude::*;

use super::*;
use crate::types::{SignatureCheck, TxId};

const CHAIN: ChainId = ChainId([9; 32]);

fn key(index: u8) -> SecretKey {
    SecretKey::from_seed(&[index; 32])
}

fn lock(index: u8) -> Lock {
    Lock::KeyHash(key(index).public().key_hash())
}

fn coin(number: u32, value: u64, owner: u8) -> (OutPoint, TxOut) {
    let outpoint = OutPoint { txid: TxId([1; 32]), index: number };
    (outpoint, TxOut { value: Amount(value), lock: lock(owner) })
}

/// Builds a transfer from coins of the keys 0, 1 and 2 to key 9, with change to key 0.
fn build(coins: &[(OutPoint, TxOut)], amount: u64, memo: &[u8]) -> Result<BuiltTransfer, TransferError> {
    let parameters = ChainParameters::of_network(Network::Devnet);
    let transfer = Transfer {
        chain_id: &CHAIN,
        network: Network::Devnet,
        parameters: &parameters,
        coins,
        keys: &[key(0), key(1), key(2)],
        recipient: Address { network: Network::Devnet, lock: lock(9) },
        amount: Amount(amount),
        change: lock(0),
        memo,
    };
    transfer.build()
}

fn minimum(transaction: &Transaction) -> u64 {
    minimum_fee(encode(transaction).len(), &ChainParameters::of_network(Network::Devnet)).0
}

/// Holds everything that a built transfer promises.
fn assert_sound(built: &BuiltTransfer, coins: &[(OutPoint, TxOut)], amount: u64) {
    let transaction = &built.transaction;
    let value = |outpoint: &OutPoint| coins.iter().find(|(o, _)| o == outpoint).unwrap().1.value.0;
    let inputs: u64 = transaction.inputs.iter().map(value).sum();
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
            assert!(built.fee.0 <= minimum(&with_change), "nothing that could be change goes to the fee");
        }
    }
    let distinct: BTreeSet<&OutPoint> = transaction.inputs.iter().collect();
    assert_eq!(distinct.len(), transaction.inputs.len());
    assert!(encode(transaction).len() <= TRANSACTION_BYTES_MAX);
    let owners: BTreeSet<Lock> = transaction
        .inputs
        .iter()
        .map(|outpoint| coins.iter().find(|(o, _)| o == outpoint).unwrap().1.lock)
        .collect();
    let signers: BTreeSet<Lock> =
        transaction.witnesses.iter().map(|witness| Lock::KeyHash(witness.key.key_hash())).collect();
    assert_eq!(owners, signers, "one witness for each owner and no other");
    assert!(transaction.signature_checks(&CHAIN).iter().all(SignatureCheck::holds));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn built_transfers_are_sound_and_refusals_are_right(
        values in prop::collection::vec((1_u64..20_000, 0_u8..4), 0..60),
        amount in 1_u64..200_000,
        memo in prop::collection::vec(any::<u8>(), 0..=MEMO_BYTES_MAX),
    ) {
        let coins: Vec<_> =
            (0_u32..).zip(&values).map(|(number, (value, owner))| coin(number, *value, *owner)).collect();
        // Key 3 is not ours.
        let mine: u64 = values.iter().filter(|(_, owner)| *owner < 3).map(|(value, _)| *value).sum();
        match build(&coins, amount, &memo) {
            Ok(built) => assert_sound(&built, &coins, amount),
            Err(TransferError::InsufficientFunds { missing, available, .. }) => {
                prop_assert_eq!(available.0, mine);
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

#[test]
fn around_the_fee_each_unit_counts() {
    // One input, one or two outputs and one witness are below 1,000 bytes: the fee is 1,000 units either way.
    for (value, change) in [(2_000, Some(0)), (2_001, Some(1)), (1_999, None)] {
        let coins = [coin(0, value, 0)];
        match (build(&coins, 1_000, b""), change) {
            (Ok(built), Some(change)) => {
                assert_eq!(built.change, Amount(change));
                assert_sound(&built, &coins, 1_000);
            }
            (Err(TransferError::InsufficientFunds { missing: Amount(1), .. }), None) => {}
            (other, _) => panic!("{value}: {other:?}"),
        }
    }
}

#[test]
fn the_fewest_coins_are_taken_and_none_twice() {
    let mut coins: Vec<_> = (0..10).map(|number| coin(number, 1_000 * u64::from(number + 1), 0)).collect();
    coins.extend(coins.clone());
    let built = build(&coins, 8_500, b"").unwrap();
    assert_eq!(built.transaction.inputs, [coin(9, 0, 0).0]);
    assert_sound(&built, &coins, 8_500);
    // 55,000 in all, were they counted twice it would be 110,000.
    assert!(matches!(build(&coins, 60_000, b""), Err(TransferError::InsufficientFunds { .. })));
}

#[test]
fn a_transaction_is_never_too_large() {
    let coins: Vec<_> = (0..1_500).map(|number| coin(number, 10_000, 0)).collect();
    let built = build(&coins, 9_900_000, b"").unwrap();
    assert_sound(&built, &coins, 9_900_000);
    let error = build(&coins, 12_000_000, b"").unwrap_err();
    assert!(matches!(error, TransferError::TooManyCoins { inputs: 1_000, .. }), "{error}");
}

#[test]
fn what_can_not_be_paid_is_refused() {
    let coins = [coin(0, 1_000_000, 0)];
    assert_eq!(build(&coins, 0, b""), Err(TransferError::NoAmount));
    assert_eq!(build(&coins, 1, &[0; MEMO_BYTES_MAX + 1]), Err(TransferError::MemoTooLong { bytes: 257 }));
    assert_eq!(build(&coins, u64::MAX, b""), Err(TransferError::Overflow));
    let huge = [coin(0, u64::MAX, 0), coin(1, u64::MAX, 0)];
    assert_eq!(build(&huge, 1, b""), Err(TransferError::Overflow));
    let foreign = [coin(0, 1_000_000, 7)];
    let error = build(&foreign, 5, b"").unwrap_err();
    assert_eq!(
        error.to_string(),
        "0.00001005 TIME are missing: 0.00000000 TIME can be spent, 0.00000005 TIME and the fee are needed"
    );
    let parameters = ChainParameters::of_network(Network::Devnet);
    let mainnet = Transfer {
        chain_id: &CHAIN,
        network: Network::Devnet,
        parameters: &parameters,
        coins: &coins,
        keys: &[key(0)],
        recipient: Address { network: Network::Mainnet, lock: lock(9) },
        amount: Amount(1),
        change: lock(0),
        memo: b"",
    };
    assert!(matches!(mainnet.build(), Err(TransferError::ForeignAddress { .. })));
}
