use std::sync::Arc;

use super::super::funds::{Coin, CoinState};
use super::*;
use crate::protocol::validity::{CheckedTransaction, minimum_fee};
use crate::types::keys::SequentialVerifier;
use crate::types::{ChainId, ChainParameters, OutPoint, Transaction, TxId};

const CHAIN: ChainId = ChainId([9; 32]);
const BRONZE: Amount = Amount(100_000_000_000);
const ID: MasternodeId = MasternodeId([4; 32]);

fn key(index: u8) -> SecretKey {
    SecretKey::from_seed(&[index; 32])
}

fn lock(index: u8) -> Lock {
    Lock::KeyHash(key(index).public().key_hash())
}

fn coin(number: u32, value: u64, owner: u8, state: CoinState) -> Coin {
    let outpoint = OutPoint { txid: TxId([1; 32]), index: number };
    Coin { outpoint, output: TxOut { value: Amount(value), lock: lock(owner) }, state }
}

/// Hands funds of the keys 0 and 1, with change to key 0, to a builder, and holds what any of its transactions promises.
fn build(
    coins: &[Coin],
    builder: impl Fn(Funds<'_>) -> Result<BuiltTransaction, MasternodeError>,
) -> Result<Transaction, MasternodeError> {
    let parameters = ChainParameters::of_network(Network::Devnet);
    let keys = [key(0), key(1)];
    let funds = Funds { chain_id: &CHAIN, parameters: &parameters, coins, keys: &keys, change: lock(0) };
    let built = builder(funds)?;
    let transaction = built.transaction;
    let checked =
        CheckedTransaction::check(Arc::new(transaction.clone()), &CHAIN, &parameters, &SequentialVerifier)
            .expect("structure and all signatures hold, the operators' included");
    let coin_of = |outpoint: &OutPoint| coins.iter().find(|coin| coin.outpoint == *outpoint).unwrap();
    assert!(transaction.inputs.iter().all(|outpoint| coin_of(outpoint).state == CoinState::Free));
    let inputs: u64 = transaction.inputs.iter().map(|outpoint| coin_of(outpoint).output.value.0).sum();
    let outputs: u64 = transaction.outputs.iter().map(|output| output.value.0).sum();
    assert_eq!(inputs, outputs + built.fee.0);
    assert!(built.fee >= minimum_fee(checked.encoded_bytes(), &parameters));
    Ok(transaction)
}

fn registration<'a>(funds: Funds<'a>, operator: &'a SecretKey) -> Registration<'a> {
    Registration {
        funds,
        network: Network::Devnet,
        collateral: BRONZE,
        owner: lock(0),
        operator,
        payout: Address { network: Network::Devnet, lock: lock(8) },
        network_address: "node.example:24200",
    }
}

fn change<'a>(funds: Funds<'a>, operator: Option<&'a SecretKey>) -> Change<'a> {
    Change {
        funds,
        network: Network::Devnet,
        masternode: ID,
        owner: lock(1),
        operator,
        payout: None,
        network_address: Some("127.0.0.1:24200"),
    }
}

#[test]
fn a_registration_binds_its_first_output_and_has_both_agree() {
    let coins = [
        coin(0, BRONZE.0, 0, CoinState::Bound),
        coin(1, BRONZE.0, 0, CoinState::Free),
        coin(2, 5_000, 1, CoinState::Free),
    ];
    let operator = key(7);
    let transaction = build(&coins, |funds| registration(funds, &operator).build()).unwrap();
    assert_eq!(transaction.outputs[0], TxOut { value: BRONZE, lock: lock(0) });
    assert_eq!(transaction.marked_collateral(), Some(0));
    let Payload::MasternodeRegister(registered) = &transaction.payload else { panic!("another payload") };
    assert_eq!((registered.operator.key, registered.payout), (operator.public(), lock(8)));
    assert_eq!(transaction.inputs.len(), 2, "the bound coin would have been enough alone");
}

#[test]
fn a_registration_that_can_not_be_is_refused_before_anything_is_signed() {
    let coins = [coin(0, 2 * BRONZE.0, 0, CoinState::Free)];
    let operator = key(7);
    let refused = |alter: fn(&mut Registration<'_>)| {
        build(&coins, |funds| {
            let mut registration = registration(funds, &operator);
            alter(&mut registration);
            registration.build()
        })
        .unwrap_err()
    };
    let tier = refused(|registration| registration.collateral.0 += 1);
    assert!(matches!(tier, MasternodeError::UnknownTier { .. }));
    let text = tier.to_string();
    assert!(text.contains("bronze (1000 TIME), silver (10000 TIME), gold (100000 TIME)"), "{text}");
    let payout = refused(|registration| registration.payout.network = Network::Mainnet);
    assert!(matches!(payout, MasternodeError::ForeignAddress { .. }));
    for address in ["", "node", "node:", ":1", "node:0", "node:65536", "no de:1", "n\u{f6}de:1"] {
        assert!(!is_network_address(address), "{address}");
    }
    assert!(!is_network_address(&format!("{}:1", "n".repeat(127))));
    let address = refused(|registration| registration.network_address = "nowhere");
    assert_eq!(address, MasternodeError::BadNetworkAddress);
    let poor =
        build(&[coin(0, BRONZE.0, 0, CoinState::Free)], |funds| registration(funds, &operator).build());
    assert!(matches!(poor, Err(MasternodeError::Funds(FundsError::Insufficient { .. }))));
}

#[test]
fn a_change_spends_a_coin_of_the_owner_though_others_are_larger() {
    let coins = [coin(0, 9_000_000, 0, CoinState::Free), coin(1, 500, 1, CoinState::Free)];
    let operator = key(7);
    let transaction = build(&coins, |funds| change(funds, Some(&operator)).build()).unwrap();
    assert_eq!(transaction.inputs, [coins[1].outpoint, coins[0].outpoint]);
    assert_eq!((transaction.outputs.len(), transaction.witnesses.len()), (1, 2));
    let exit = build(&coins, |funds| build_exit(&funds, ID, lock(1))).unwrap();
    assert_eq!(exit.payload, Payload::MasternodeExit { masternode: ID });
    assert_eq!(exit.inputs[0], coins[1].outpoint);
}

#[test]
fn an_owner_without_a_free_coin_is_told_why() {
    let coins = [coin(0, 9_000_000, 0, CoinState::Free), coin(1, BRONZE.0, 1, CoinState::Bound)];
    let error = build(&coins, |funds| build_exit(&funds, ID, lock(1))).unwrap_err();
    assert!(matches!(error, MasternodeError::Funds(FundsError::NoOwnerCoin { .. })));
    assert!(error.to_string().contains("1000.00000000 TIME more are bound as collateral"), "{error}");
}

#[test]
fn a_transaction_without_outputs_of_its_own_always_has_change() {
    // The fee of a small transaction is 1,000 units, and what comes back has to be worth an output.
    for (value, works) in [(1_099, false), (1_100, true)] {
        let coins = [coin(0, value, 1, CoinState::Free)];
        let built = build(&coins, |funds| build_exit(&funds, ID, lock(1)));
        assert_eq!(built.is_ok(), works, "{value}: {built:?}");
        if let Err(error) = built {
            let missing = Amount(1);
            assert!(
                matches!(&error, MasternodeError::Funds(FundsError::Insufficient { missing: m, .. }) if *m == missing)
            );
        }
    }
}

#[test]
fn anybody_pays_for_unjailing_and_the_operator_signs() {
    let coins = [coin(0, 9_000_000, 0, CoinState::Free)];
    let operator = key(7);
    let transaction = build(&coins, |funds| build_unjail(&funds, ID, &operator)).unwrap();
    let Payload::MasternodeUpdate(update) = &transaction.payload else { panic!("another payload") };
    assert!(!update.needs_owner() && update.unjail.is_some_and(|consent| consent.key == operator.public()));
}

#[test]
fn a_change_of_nothing_is_refused() {
    let coins = [coin(0, 9_000_000, 1, CoinState::Free)];
    let nothing = build(&coins, |funds| Change { network_address: None, ..change(funds, None) }.build());
    assert_eq!(nothing, Err(MasternodeError::NothingToChange));
}
