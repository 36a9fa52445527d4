//! What transactions say takes effect from the next epoch on, or is void and changes nothing.

use super::*;
use crate::protocol::fixtures::{lock, new_key, operator, update_of, user};
use crate::protocol::transition::{BlockError, propose};
use crate::protocol::validity::TransactionError;
use crate::types::{Amount, MasternodeUpdate, OperatorConsent, OutPoint, Payload, TxOut};

#[test]
fn a_registered_masternode_votes_and_is_paid_from_the_next_epoch_on() {
    let mut chain = net_with(&[1, 1, 1, 1], |parameters| parameters.recent_commits = 50);
    let payout = user(150);
    let mut payload = chain.register((0, 0), 20, 1).transaction().payload.clone();
    if let Payload::MasternodeRegister(registration) = &mut payload {
        registration.payout = lock(&payout);
        registration.collateral_index = 1;
    }
    let output = |value| TxOut { value: Amount(value), lock: lock(&user(9)) };
    let transaction = chain.act((&user(0), 0), vec![output(5), output(1_000_000)], payload);
    let outcome = block(&mut chain, std::slice::from_ref(&transaction));
    let id = chain.registered(4);
    assert_eq!(outcome.receipts, [Receipt { txid: transaction.txid(), effect: Ok(id) }]);
    let record = chain.record(id).clone();
    assert_eq!(record.collateral, OutPoint { txid: transaction.txid(), index: 1 });
    assert_eq!((record.owner, record.payout), (lock(&user(9)), lock(&payout)));
    assert_eq!((record.weight, record.operator_key), (1, operator(20).public()));
    assert_eq!((record.collateral_height, record.collateral_amount), (1, Amount(1_000_000)));
    assert!(!chain.is_member(id) && chain.state.is_bound(&record.collateral));
    assert!(
        !chain.state.is_bound(&OutPoint { index: 0, ..record.collateral }),
        "only the collateral is bound"
    );

    end_epoch(&mut chain, &[]);
    assert!(chain.is_member(id) && chain.owned(&payout).is_empty());
    assert_eq!(chain.state.validators().total_weight(), 5);
    assert_eq!(chain.state.attendance()[&id].counted(), 0);
    end_epoch(&mut chain, &[]);
    assert_eq!(chain.owned(&payout).len(), 1);
    // The first of the epoch's three blocks has the old set's commit, in which it had no part.
    assert_eq!(chain.state.attendance()[&id].counted(), 2);
    assert!(chain.state.is_bound(&record.collateral));
}

/// What a transaction says is found by its place in the block, whatever stands before it.
#[test]
fn what_stands_among_payments_takes_effect_like_what_stands_alone() {
    let mut chain = net(&[1, 1, 1, 1]);
    let leaver = chain.registered(0);
    let pay = |from: u8| chain.split(&user(from), chain.coins(&user(from))[0], lock(&user(from)), 1);
    let (register, exit) = (chain.register((0, 0), 20, 1), chain.exit((101, 0), leaver));
    let transactions = [pay(1), register.clone(), pay(2), pay(3), exit.clone()];
    let outcome = block(&mut chain, &transactions);
    let joined = chain.registered(4);
    let receipt = |transaction: &CheckedTransaction, id| Receipt { txid: transaction.txid(), effect: Ok(id) };
    assert_eq!(outcome.receipts, [receipt(&register, joined), receipt(&exit, leaver)]);
    assert_eq!(chain.record(leaver).status(), MasternodeStatus::Exiting);
    end_epoch(&mut chain, &[]);
    assert!(chain.is_member(joined) && !chain.is_member(leaver));
}

/// In epoch 1: 0 and 7 are as they were, 1 has announced key 31, 2 has left, 3 contradicted itself in this epoch, 4 is
/// jailed, 5 has asked to leave in this epoch, 6 is jailed and has announced key 36.
fn veterans() -> Chain {
    let mut chain = net(&[1; 8]);
    let id = |chain: &Chain, registration| chain.registered(registration);
    let leaves = chain.exit((103, 0), id(&chain, 2));
    let silent = [id(&chain, 4), id(&chain, 6)];
    chain.advance(1_000, false, &[leaves], &silent);
    end_epoch(&mut chain, &silent);
    let acts = [
        chain.update((102, 0), new_key(id(&chain, 1), &operator(31))),
        chain.exit((106, 0), id(&chain, 5)),
        chain.update((107, 0), new_key(id(&chain, 6), &operator(36))),
    ];
    let evidence = chain.two_votes(id(&chain, 3), 1, chain.state.height() + 1);
    let outcome = punish(&mut chain, &acts, &[evidence]);
    assert!(outcome.receipts.iter().all(|receipt| receipt.effect.is_ok()));
    use MasternodeStatus::{Eligible, Exiting, Jailed, Slashed, Unbonding};
    let stands: Vec<MasternodeStatus> =
        (0..8).map(|registration| chain.record(id(&chain, registration)).status()).collect();
    assert_eq!(stands, [Eligible, Eligible, Unbonding, Slashed, Jailed, Exiting, Jailed, Eligible]);
    chain
}

type Act = fn(&Chain) -> CheckedTransaction;

fn payout_of(chain: &Chain, registration: u64) -> MasternodeUpdate {
    let payout = Some(lock(&user(77)));
    MasternodeUpdate { payout, ..update_of(chain.registered(registration)) }
}

const NOBODY: MasternodeId = MasternodeId([5; 32]);

/// Each of them is void for its reason, and changes nothing; the transfer stands.
fn all_are_void(chain: &Chain, cases: Vec<(&str, Act, VoidReason)>) {
    for (description, act, expected) in cases {
        let mut chain = chain.clone();
        let transaction = act(&chain);
        let (before, fees) = (Arc::clone(chain.state.registry()), chain.state.fees());
        let outcome = block(&mut chain, std::slice::from_ref(&transaction));
        assert_eq!(
            outcome.receipts,
            [Receipt { txid: transaction.txid(), effect: Err(expected) }],
            "{description}"
        );
        let after = chain.state.registry();
        assert_eq!(after.records(), before.records(), "{description}");
        assert_eq!(after.counters(), before.counters(), "{description}");
        let mark = transaction.transaction().marked_collateral();
        let marks = mark.into_iter().map(|index| OutPoint { txid: transaction.txid(), index });
        assert!(after.void_collaterals().iter().copied().eq(marks), "{description}");
        // The transfer stands, and the fee is paid.
        assert_eq!(outcome.created.len(), transaction.outputs().len(), "{description}");
        assert_eq!((outcome.fees.0, chain.state.fees().0), (2_000, fees.0 + 2_000), "{description}");
    }
}

#[test]
fn a_key_in_use_makes_a_payload_void() {
    let chain = veterans();
    let id = |registration| chain.registered(registration);
    let in_use = |index, holder| VoidReason::KeyInUse { key: operator(index).public(), holder: id(holder) };
    let cases: Vec<(&str, Act, VoidReason)> = vec![
        ("registers with a key that votes", |c| c.register((0, 0), 1, 1), in_use(1, 0)),
        ("registers with a key that is announced", |c| c.register((0, 0), 31, 1), in_use(31, 1)),
        ("registers with the key of one that has left", |c| c.register((0, 0), 3, 1), in_use(3, 2)),
        ("registers with the key of a jailed one", |c| c.register((0, 0), 5, 1), in_use(5, 4)),
        (
            "announces the key that it has",
            |c| c.update((101, 0), new_key(c.registered(0), &operator(1))),
            in_use(1, 0),
        ),
        (
            "announces again what it has announced",
            |c| c.update((102, 0), new_key(c.registered(1), &operator(31))),
            in_use(31, 1),
        ),
        (
            "announces another's key",
            |c| c.update((101, 0), new_key(c.registered(0), &operator(2))),
            in_use(2, 1),
        ),
        (
            "announces what another has announced",
            |c| c.update((101, 0), new_key(c.registered(0), &operator(31))),
            in_use(31, 1),
        ),
        (
            "announces a used key beside a payout",
            |c| {
                c.update(
                    (101, 0),
                    MasternodeUpdate {
                        payout: Some(lock(&user(77))),
                        ..new_key(c.registered(0), &operator(2))
                    },
                )
            },
            in_use(2, 1),
        ),
    ];
    all_are_void(&chain, cases);
}

#[test]
fn what_speaks_of_a_masternode_that_is_not_there_or_not_ones_own_is_void() {
    let chain = veterans();
    let id = |registration| chain.registered(registration);
    let in_use = |index, holder| VoidReason::KeyInUse { key: operator(index).public(), holder: id(holder) };
    let left = VoidReason::Exited { masternode: id(2) };
    let unknown = VoidReason::UnknownMasternode { masternode: NOBODY };
    let not_owner = |registration| VoidReason::NotOwner { masternode: id(registration) };
    let wrong_key = |registration, index| VoidReason::WrongOperatorKey {
        masternode: id(registration),
        key: operator(index).public(),
    };
    let cases: Vec<(&str, Act, VoidReason)> = vec![
        (
            "updates nobody",
            |c| c.update((0, 0), MasternodeUpdate { masternode: NOBODY, ..payout_of(c, 0) }),
            unknown,
        ),
        ("updates another's", |c| c.update((0, 0), payout_of(c, 0)), not_owner(0)),
        (
            "announces a key for another's",
            |c| {
                c.act(
                    (&user(102), 0),
                    Vec::new(),
                    Payload::MasternodeUpdate(new_key(c.registered(0), &operator(40))),
                )
            },
            not_owner(0),
        ),
        ("updates one that has left", |c| c.update((103, 0), payout_of(c, 2)), left),
        ("exits nobody", |c| c.exit((0, 0), NOBODY), unknown),
        ("exits another's", |c| c.exit((0, 0), c.registered(0)), not_owner(0)),
        (
            "exits twice",
            |c| c.exit((106, 0), c.registered(5)),
            VoidReason::ExitRequested { masternode: id(5) },
        ),
        ("exits after it has left", |c| c.exit((103, 0), c.registered(2)), left),
        ("un-jails nobody", |c| c.unjail((0, 0), NOBODY, &operator(1)), unknown),
        (
            "un-jails a free one",
            |c| c.unjail((0, 0), c.registered(0), &operator(1)),
            VoidReason::NotJailed { masternode: id(0) },
        ),
        (
            "un-jails by another operator",
            |c| c.unjail((0, 0), c.registered(4), &operator(1)),
            wrong_key(4, 1),
        ),
        (
            "un-jails by its owner",
            |c| c.unjail((105, 0), c.registered(4), &operator(0x80 ^ 105)),
            wrong_key(4, 0x80 ^ 105),
        ),
        (
            "un-jails by the key that it will have",
            |c| c.unjail((0, 0), c.registered(6), &operator(36)),
            wrong_key(6, 36),
        ),
        (
            "un-jails a liar",
            |c| c.unjail((0, 0), c.registered(3), &operator(4)),
            VoidReason::Slashed { masternode: id(3) },
        ),
        ("un-jails one that has left", |c| c.unjail((0, 0), c.registered(2), &operator(3)), left),
        (
            "un-jails rightly and updates another's",
            |c| {
                let unjail = Some(OperatorConsent::unsigned(operator(5).public()));
                c.update((0, 0), MasternodeUpdate { unjail, ..payout_of(c, 4) })
            },
            not_owner(4),
        ),
        (
            "un-jails rightly and announces a used key",
            |c| {
                let unjail = Some(OperatorConsent::unsigned(operator(5).public()));
                c.update((105, 0), MasternodeUpdate { unjail, ..new_key(c.registered(4), &operator(2)) })
            },
            in_use(2, 1),
        ),
    ];
    all_are_void(&chain, cases);
}

#[test]
fn what_can_take_effect_does() {
    let chain = veterans();
    let cases: [(&str, Act, u64); 11] = [
        ("registers", |c| c.register((0, 0), 40, 1), 8),
        ("registers with the operator key of its own coins", |c| c.register((0, 0), 0x80, 1), 8),
        ("updates", |c| c.update((101, 0), payout_of(c, 0)), 0),
        ("announces a key", |c| c.update((101, 0), new_key(c.registered(0), &operator(40))), 0),
        (
            "announces another key than before",
            |c| c.update((102, 0), new_key(c.registered(1), &operator(40))),
            1,
        ),
        ("exits", |c| c.exit((101, 0), c.registered(0)), 0),
        ("exits from jail", |c| c.exit((105, 0), c.registered(4)), 4),
        ("exits after it lied", |c| c.exit((104, 0), c.registered(3)), 3),
        ("updates while it waits to leave", |c| c.update((106, 0), payout_of(c, 5)), 5),
        ("un-jails, by its operator alone", |c| c.unjail((0, 0), c.registered(4), &operator(5)), 4),
        (
            "un-jails and updates at once",
            |c| {
                let unjail = Some(OperatorConsent::unsigned(operator(5).public()));
                c.update((105, 0), MasternodeUpdate { unjail, ..new_key(c.registered(4), &operator(40)) })
            },
            4,
        ),
    ];
    for (description, act, registration) in cases {
        let mut chain = chain.clone();
        let transaction = act(&chain);
        let set = Arc::clone(chain.state.validators());
        let outcome = block(&mut chain, std::slice::from_ref(&transaction));
        assert_eq!(verdict(&outcome), Ok(chain.registered(registration)), "{description}");
        assert_eq!(*chain.state.validators(), set, "{description}: nothing changes within an epoch");
        assert!(chain.state.registry().void_collaterals().is_empty(), "{description}");
        end_epoch(&mut chain, &[]);
        end_epoch(&mut chain, &[]);
    }
}

#[test]
fn the_first_of_two_registrations_with_one_key_holds() {
    let mut chain = net(&[1, 1, 1, 1]);
    let transactions = [chain.register((0, 0), 20, 1), chain.register((1, 0), 20, 1)];
    let outcome = block(&mut chain, &transactions);
    let holder = chain.registered(4);
    let void = VoidReason::KeyInUse { key: operator(20).public(), holder };
    let effects: Vec<_> = outcome.receipts.iter().map(|receipt| receipt.effect).collect();
    assert_eq!(effects, [Ok(holder), Err(void)], "in the order of the block");
    assert_eq!(chain.record(holder).owner, lock(&user(0)));
}

#[test]
fn the_last_announcement_counts_and_frees_the_one_before() {
    let mut chain = net(&[1, 1, 1, 1]);
    let id = chain.registered(0);
    let attempt = |chain: &mut Chain, nth: usize, index: u8| {
        let transaction = chain.register((0, nth), index, 1);
        verdict(&block(chain, &[transaction])).is_ok()
    };
    let announce = |chain: &mut Chain, index: u8| {
        let transaction = chain.update((101, 0), new_key(id, &operator(index)));
        assert_eq!(verdict(&block(chain, &[transaction])), Ok(id));
    };
    announce(&mut chain, 31);
    assert!(!attempt(&mut chain, 0, 31), "announced");
    announce(&mut chain, 32);
    assert!(attempt(&mut chain, 0, 31), "announced no more");
    assert!(!attempt(&mut chain, 1, 32) && !attempt(&mut chain, 1, 1), "both its keys are its own");
    assert_eq!(chain.record(id).operator_key, operator(1).public());
    let key_of = |chain: &Chain| {
        let set = chain.state.validators();
        set.get(set.index_of(&id).unwrap()).unwrap().key
    };
    assert_eq!(key_of(&chain), operator(1).public(), "keys change at the epoch's end only");
    end_epoch(&mut chain, &[]);
    assert_eq!((key_of(&chain), chain.record(id).pending.clone()), (operator(32).public(), None));
    assert!(!attempt(&mut chain, 1, 32) && attempt(&mut chain, 1, 1), "the old key is free");
    announce(&mut chain, 33);
    end_epoch(&mut chain, &[]);
    assert!(attempt(&mut chain, 2, 32));
}

#[test]
fn updates_of_one_epoch_add_up_and_rewards_go_to_the_payout_of_their_epoch() {
    let mut chain = net(&[1, 1, 1, 1]);
    let id = chain.registered(0);
    let (old, new) = (chain.record(id).payout, user(77));
    let address = Some("time.example:24000".to_owned());
    let acts = [
        chain.update((101, 0), MasternodeUpdate { payout: Some(lock(&user(78))), ..update_of(id) }),
        chain.update((101, 1), MasternodeUpdate { network_address: address.clone(), ..update_of(id) }),
        chain.update((101, 2), payout_of(&chain, 0)),
    ];
    block(&mut chain, &acts);
    let record = chain.record(id);
    assert_eq!((record.payout, record.network_address.as_str()), (old, "127.0.0.1:24202"));
    let outcome = end_epoch(&mut chain, &[]);
    let paid: Vec<_> = outcome.reward.unwrap().outputs.iter().map(|output| output.lock).collect();
    assert!(paid.contains(&old) && !paid.contains(&lock(&new)));
    let record = chain.record(id);
    assert_eq!((record.payout, Some(record.network_address.clone())), (lock(&new), address));
    assert_eq!(record.operator_key, operator(1).public(), "what is not named stays");
    end_epoch(&mut chain, &[]);
    assert_eq!(chain.owned(&new).len(), 1);
    assert!(chain.owned(&user(78)).is_empty());
}

/// What trying to spend an output that an owner locks to itself gives.
fn try_to_spend(chain: &Chain, owner: u8, output: OutPoint, epoch_end: bool) -> Result<(), TransactionError> {
    let value = chain.entry(&output).output.value;
    let payload = Payload::Transfer { memo: Vec::new() };
    let spends = [chain.act_on((&user(owner), output), value, Vec::new(), payload)];
    match propose(&chain.state, &chain.utxos, &chain.draft(1, epoch_end, &spends)) {
        Ok(_) => Ok(()),
        Err(BlockError::Transaction { index: 0, error, .. }) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

/// INV-REG-3.
#[test]
fn a_marked_output_can_not_be_spent_in_its_epoch_whatever_becomes_of_it() {
    for (description, operator_index, closing) in [
        ("valid", 20, false),
        ("void", 1, false),
        ("valid in the last block", 20, true),
        ("void there", 1, true),
    ] {
        let mut chain = net(&[1, 1, 1, 1]);
        let is_void = operator_index == 1;
        if closing {
            block(&mut chain, &[]);
            chain.advance(chain.state.parameters().epoch_duration_ms, false, &[], &[]);
        }
        let registration = chain.register((0, 0), operator_index, 1);
        let marked = OutPoint { txid: registration.txid(), index: 0 };
        let bound = Err(TransactionError::CollateralBound { outpoint: marked });
        // In the same block; its change is another matter.
        let child = |index: usize| {
            let outpoint = OutPoint { txid: registration.txid(), index: u32::try_from(index).unwrap() };
            let value = registration.outputs()[index].value;
            chain.act_on((&user(0), outpoint), value, Vec::new(), Payload::Transfer { memo: Vec::new() })
        };
        let attempt = |index: usize| {
            let transactions = [registration.clone(), child(index)];
            propose(&chain.state, &chain.utxos, &chain.draft(1, closing, &transactions)).map(drop)
        };
        let txid = child(0).txid();
        let error = TransactionError::CollateralBound { outpoint: marked };
        assert_eq!(attempt(0), Err(BlockError::Transaction { index: 1, txid, error }), "{description}");
        assert_eq!(attempt(1), Ok(()), "{description}");

        let (_, outcome) = chain.advance(1, closing, std::slice::from_ref(&registration), &[]);
        chain.hold_invariants();
        assert_eq!(verdict(&outcome).is_err(), is_void, "{description}");
        if !closing {
            assert_eq!(try_to_spend(&chain, 0, marked, false), bound, "{description}: a block later");
            assert_eq!(chain.state.registry().void_collaterals().len(), usize::from(is_void));
            block(&mut chain, &[]);
            chain.advance(chain.state.parameters().epoch_duration_ms, false, &[], &[]);
            assert_eq!(try_to_spend(&chain, 0, marked, true), bound, "{description}: in the last block");
            end_epoch(&mut chain, &[]);
        }
        let expected = if is_void { Ok(()) } else { bound };
        assert_eq!(try_to_spend(&chain, 0, marked, false), expected, "{description}: in the next epoch");
        assert!(chain.state.registry().void_collaterals().is_empty());
    }
}

#[test]
fn reasons_have_names_of_their_own() {
    let (masternode, key) = (NOBODY, operator(1).public());
    let all = [
        VoidReason::KeyInUse { key, holder: masternode },
        VoidReason::UnknownMasternode { masternode },
        VoidReason::NotOwner { masternode },
        VoidReason::Exited { masternode },
        VoidReason::ExitRequested { masternode },
        VoidReason::NotJailed { masternode },
        VoidReason::Slashed { masternode },
        VoidReason::WrongOperatorKey { masternode, key },
    ];
    let names: std::collections::BTreeSet<&str> = all.iter().map(VoidReason::reason).collect();
    assert_eq!(names.len(), all.len());
}
