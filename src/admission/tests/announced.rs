//! What is asked for of what peers announce.

use super::*;

#[test]
fn of_what_a_peer_announces_what_is_not_here_is_asked_for_and_checked_as_any_other() {
    let mut desk = Desk::new(10);
    let (here, lost) = (desk.pay(1, 0, 2), desk.pay(1, 1, 2));
    desk.submit(&here).unwrap();
    let names = [here.txid(), lost.txid()];
    let actions = desk.admission.announced(peer(9), &names, desk.now);
    assert_eq!(actions, [Action::Ask(peer(9), vec![lost.txid()])]);
    assert!(desk.admission.announced(peer(9), &names, desk.now).is_empty(), "it was asked a moment ago");
    assert!(desk.admission.announced(peer(8), &[here.txid()], desk.now).is_empty());
    // Only what votes name passes whatever policy says.
    assert!(!desk.requested.contains(&lost.txid()));
    assert_eq!(relayed(&desk.send(9, &lost)), [lost.txid()]);
}

#[test]
fn a_peer_that_announced_what_is_here_is_asked_for_what_it_announces_next() {
    let mut desk = Desk::new(10);
    let (here, lost) = (desk.pay(1, 0, 2), desk.pay(1, 1, 2));
    desk.submit(&here).unwrap();
    assert!(desk.admission.announced(peer(8), &[here.txid()], desk.now).is_empty());
    let actions = desk.admission.announced(peer(8), &[lost.txid()], desk.now);
    assert_eq!(actions, [Action::Ask(peer(8), vec![lost.txid()])]);
}
