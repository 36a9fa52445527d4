//! What comes together goes on together.

use super::*;
use crate::admission::orders::Orders;
use crate::types::limits::{BUNDLE_BYTES_MAX, BUNDLE_TRANSACTIONS_MAX};

impl Desk {
    /// Hands in what came in several messages: each with its number, its source, and what was in it.
    fn hand_in_bundles(
        &mut self,
        bundles: &[(BundleNumber, TransactionSource, &[&Arc<Transaction>])],
    ) -> Vec<Action> {
        let submissions = bundles.iter().flat_map(|(bundle, source, transactions)| {
            transactions.iter().map(move |transaction| Submission {
                transaction: Arc::clone(transaction),
                source: *source,
                bundle: *bundle,
                ticket: (*source == TransactionSource::Local).then_some(7),
            })
        });
        let actions = self.admission.admit(submissions.collect(), &self.state, self.now);
        self.check();
        actions
    }
}

fn bundles(actions: &[Action]) -> Vec<(Option<PeerId>, Vec<TxId>)> {
    let of = |action: &Action| match action {
        Action::Relay(bundle, except) => {
            Some((*except, bundle.iter().map(|transaction| transaction.txid()).collect()))
        }
        _ => None,
    };
    actions.iter().filter_map(of).collect()
}

/// Else a message would cost what it costs once for each transaction, and whoever has a bundle from elsewhere would not
/// know it again.
#[test]
fn what_came_in_one_message_is_passed_on_in_one_and_a_bad_one_stops_nothing_else() {
    let mut desk = Desk::new(20);
    let (local, from) = (TransactionSource::Local, |number| TransactionSource::Peer(peer(number)));
    let pay = |place| desk.pay(1, place, 2);
    let [mine, mine_too, first, third, other, later] = [pay(0), pay(1), pay(2), pay(3), pay(4), pay(5)];
    let mut forged = Transaction::clone(&pay(6));
    forged.witnesses[0].signature.0[3] ^= 1;
    let forged = Arc::new(forged);
    let actions = desk.hand_in_bundles(&[
        (0, local, &[&mine, &mine_too]),
        (1, from(9), &[&first, &forged, &third]),
        (2, from(8), &[&other]),
        (3, from(9), &[&later]),
    ]);
    let expected = [
        (None, vec![mine.txid(), mine_too.txid()]),
        (Some(peer(9)), vec![first.txid(), third.txid()]),
        (Some(peer(8)), vec![other.txid()]),
        (Some(peer(9)), vec![later.txid()]),
    ];
    assert_eq!(bundles(&actions), expected);
    assert_eq!(blamed(&actions), [Misbehaviour::InvalidSignature]);
    let all = [&mine, &mine_too, &first, &third, &other, &later].map(|one| one.txid());
    assert_eq!(considered(&actions), all);
    // Whoever is answered finds it in the pool, at the machine, and on its way.
    let place = |wanted: fn(&Action) -> bool| actions.iter().position(wanted).unwrap();
    let answered = place(|action| matches!(action, Action::Answer(Some(_), Ok(_))));
    assert!(place(|action| matches!(action, Action::Accepted(..))) < answered);
    assert!(place(|action| matches!(action, Action::Consider(_))) < answered);
    assert!(place(|action| matches!(action, Action::Relay(..))) < answered);
}

#[test]
fn no_bundle_is_larger_than_others_take() {
    let desk = Desk::new(1);
    let checked = |number: u64| {
        let value = COIN - 1_000 - number;
        desk.checked(&desk.sign(vec![desk.coin(1, 0)], 2, value, &[1]))
    };
    let mut orders = Orders::default();
    for number in 0..=BUNDLE_TRANSACTIONS_MAX {
        orders.relay(&checked(number as u64), None);
    }
    let lengths = |orders: Orders| {
        let bundles = bundles(&orders.finish());
        bundles.into_iter().map(|(_, bundle)| bundle.len()).collect::<Vec<_>>()
    };
    assert_eq!(lengths(orders), [BUNDLE_TRANSACTIONS_MAX, 1]);

    let large = |number: u64| {
        let output = TxOut { value: Amount(number + 1), lock: lock(&key(2)) };
        let transaction = Transaction::transfer(vec![desk.coin(1, 0)], vec![output; 900], Vec::new());
        desk.checked(&Arc::new(transaction.signed(desk.state.chain_id(), &[&key(1)])))
    };
    let mut orders = Orders::default();
    let fit = BUNDLE_BYTES_MAX / large(0).encoded_bytes();
    assert!((2..BUNDLE_TRANSACTIONS_MAX).contains(&fit), "else this says nothing: {fit}");
    for number in 0..=fit {
        orders.relay(&large(number as u64), None);
    }
    assert_eq!(lengths(orders), [fit, 1]);
}
