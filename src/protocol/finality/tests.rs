//! Table tests of the rules of the finality layer, each for what a planted bug would change.

mod explained;
mod hostile;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ChainView, DropReason, Effect, Input, JournaledEpoch, JournaledVotes, Machine, UNKNOWN_VOTES_MAX,
    conflict_order,
};
use crate::protocol::fixtures::{Chain, document, lock, operator, user};
use crate::protocol::validity::{CheckedTransaction, TransactionError};
use crate::types::{
    Amount, Certificate, FinalityVote, MasternodeId, OutPoint, PublicKey, Released, TxId, TxOut, UtxoEntry,
    VoteBatch, VoteKind,
};

struct Fixture {
    chain: Chain,
    machine: Machine,
    next_seq: u64,
}

fn lock_vote(txid: TxId) -> FinalityVote {
    FinalityVote { kind: VoteKind::Lock, txid }
}

fn final_vote(txid: TxId) -> FinalityVote {
    FinalityVote { kind: VoteKind::Final, txid }
}

impl Fixture {
    fn with(change: impl FnOnce(&mut crate::types::GenesisDocument)) -> Self {
        let mut genesis = document(&[1, 1, 1, 1], 4);
        change(&mut genesis);
        let chain = Chain::new(&genesis);
        let me = chain.state.validators().members()[0].key;
        let machine = Machine::new(Some(me), &chain.state, JournaledVotes::default(), BTreeSet::new());
        Self { chain, machine, next_seq: 0 }
    }

    fn new() -> Self {
        Self::with(|_| {})
    }

    fn member(&self, place: usize) -> MasternodeId {
        self.chain.state.validators().members()[place].id
    }

    fn key(&self, place: usize) -> PublicKey {
        self.chain.state.validators().members()[place].key
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        let view = ChainView { state: &self.chain.state, utxos: &self.chain.utxos };
        let effects = self.machine.step(&view, input);
        self.machine.check_invariants().unwrap();
        effects
    }

    fn receive(&mut self, transaction: &CheckedTransaction) -> Vec<Effect> {
        self.step(Input::TransactionReceived(transaction.clone()))
    }

    fn votes(&mut self, place: usize, votes: &[FinalityVote]) -> Vec<Effect> {
        let (epoch, chain_id) = (self.machine.epoch(), *self.chain.state.chain_id());
        self.next_seq += 1;
        let batch = VoteBatch::signed(
            &chain_id,
            epoch,
            self.member(place),
            self.next_seq,
            votes.to_vec(),
            &operator(1),
        );
        self.step(Input::BatchReceived(Released::heard(batch)))
    }

    fn all_vote(&mut self, vote: FinalityVote, places: &[usize]) -> Vec<Effect> {
        places.iter().flat_map(|place| self.votes(*place, &[vote])).collect()
    }

    fn coin(&self, owner: u8) -> (OutPoint, UtxoEntry) {
        self.chain.owned(&user(owner))[0]
    }

    fn pay(&self, from: u8, to: u8) -> CheckedTransaction {
        self.chain.split(&user(from), self.coin(from), lock(&user(to)), 1)
    }

    fn spend(&self, parent: &CheckedTransaction, owner: u8, to: u8) -> CheckedTransaction {
        let value = Amount(parent.outputs()[0].value.0 - 1_000);
        let outputs = vec![TxOut { value, lock: lock(&user(to)) }];
        self.chain.pay(&user(owner), vec![OutPoint { txid: parent.txid(), index: 0 }], outputs)
    }

    fn block(
        &mut self,
        elapsed_ms: u64,
        epoch_end: bool,
        transactions: &[CheckedTransaction],
    ) -> Vec<Effect> {
        self.chain.advance(elapsed_ms, epoch_end, transactions, &[]);
        self.step(Input::BlockApplied { transactions: transactions.to_vec() })
    }
}

fn cast(effects: &[Effect]) -> Vec<FinalityVote> {
    let vote = |effect: &Effect| match effect {
        Effect::CastVote { vote, .. } => Some(*vote),
        _ => None,
    };
    effects.iter().filter_map(vote).collect()
}

fn finalized(effects: &[Effect]) -> Vec<TxId> {
    let txid = |effect: &Effect| match effect {
        Effect::Finalized(transaction) => Some(transaction.txid()),
        _ => None,
    };
    effects.iter().filter_map(txid).collect()
}

#[test]
fn the_first_of_two_conflicting_transactions_is_locked_and_voted_and_the_other_is_not() {
    let mut fixture = Fixture::new();
    let (first, second) = (fixture.pay(0, 1), fixture.pay(0, 2));
    assert_eq!(cast(&fixture.receive(&first)), [lock_vote(first.txid())]);
    let effects = fixture.receive(&second);
    assert!(cast(&effects).is_empty());
    assert!(matches!(effects[..], [Effect::Conflicting { locked_to, .. }] if locked_to == first.txid()));
    assert!(fixture.receive(&first).is_empty(), "a vote is cast once");
}

#[test]
fn a_transaction_with_one_locked_input_locks_none() {
    let mut fixture = Fixture::new();
    let first = fixture.pay(0, 1);
    fixture.receive(&first);
    let (a, b) = (fixture.coin(0), fixture.coin(1));
    let outputs = vec![TxOut { value: Amount(1_000), lock: lock(&user(3)) }];
    let transaction = crate::types::Transaction::transfer(vec![b.0, a.0], outputs, Vec::new());
    let both = fixture.chain.check(transaction.signed(fixture.chain.state.chain_id(), &[&user(0), &user(1)]));
    fixture.receive(&both);
    assert_eq!(fixture.machine.locked_to(&b.0), None);
    let alone = fixture.pay(1, 2);
    assert_eq!(cast(&fixture.receive(&alone)), [lock_vote(alone.txid())]);
}

#[test]
fn a_quorum_certifies_and_makes_final_and_one_less_does_not() {
    let mut fixture = Fixture::new();
    let payment = fixture.pay(0, 1);
    let txid = payment.txid();
    fixture.receive(&payment);
    assert!(cast(&fixture.all_vote(lock_vote(txid), &[0, 1, 1])).is_empty(), "a member counts once");
    assert!(!fixture.machine.is_certified(&txid));
    assert_eq!(cast(&fixture.votes(2, &[lock_vote(txid)])), [final_vote(txid)]);
    assert!(fixture.machine.promises().contains(&txid));
    assert!(finalized(&fixture.all_vote(final_vote(txid), &[0, 1])).is_empty());
    assert_eq!(finalized(&fixture.votes(3, &[final_vote(txid)])), [txid]);
    let certificate = fixture.machine.certificate(lock_vote(txid)).unwrap();
    assert_eq!(certificate.votes.len(), 3);
    assert!(certificate.votes.iter().all(|vote| vote.proves(&lock_vote(txid))));
}

#[test]
fn votes_of_strangers_and_of_other_epochs_do_not_count() {
    let mut fixture = Fixture::new();
    let txid = fixture.pay(0, 1).txid();
    let chain_id = *fixture.chain.state.chain_id();
    for (epoch, validator) in [(0, MasternodeId([9; 32])), (1, fixture.member(1))] {
        let batch = VoteBatch::signed(&chain_id, epoch, validator, 0, vec![lock_vote(txid)], &operator(1));
        fixture.step(Input::BatchReceived(Released::heard(batch)));
    }
    fixture.all_vote(lock_vote(txid), &[2, 3]);
    assert!(!fixture.machine.is_certified(&txid));
}

#[test]
fn votes_of_an_ended_epoch_count_no_more() {
    let mut fixture = Fixture::new();
    let payment = fixture.pay(0, 1);
    let vote = lock_vote(payment.txid());
    fixture.receive(&payment);
    let old = |place| Released::heard(fixture.chain.votes(place, 9, vec![vote]));
    let old: Vec<Released<VoteBatch>> = (1..4).map(old).collect();
    let votes = old.iter().filter_map(|batch| batch.prove(0)).collect();
    let certificate = Certificate { vote, epoch: 0, votes };
    fixture.block(1_000, false, &[]);
    fixture.block(fixture.chain.state.parameters().epoch_duration_ms, false, &[]);
    fixture.block(1, true, &[]);
    assert_eq!(fixture.machine.epoch(), 1);
    for batch in old {
        fixture.step(Input::BatchReceived(batch));
    }
    fixture.step(Input::CertificateReceived(Released::heard(certificate)));
    assert!(!fixture.machine.is_certified(&vote.txid));
    fixture.all_vote(vote, &[1, 2, 3]);
    assert!(fixture.machine.is_certified(&vote.txid), "said again, in this epoch");
}

#[test]
fn the_certified_one_gets_the_final_vote_even_if_its_rival_is_locked_here() {
    let mut fixture = Fixture::new();
    let (mine, theirs) = (fixture.pay(0, 1), fixture.pay(0, 2));
    fixture.receive(&mine);
    fixture.receive(&theirs);
    let effects = fixture.all_vote(lock_vote(theirs.txid()), &[1, 2, 3]);
    assert_eq!(cast(&effects), [final_vote(theirs.txid())]);
    assert_eq!(fixture.machine.locked_to(&fixture.coin(0).0), Some(mine.txid()), "the lock stays");
}

/// INV-FIN-3.
#[test]
fn no_final_vote_without_the_body_and_the_body_is_asked_for_beyond_a_third() {
    let mut fixture = Fixture::new();
    let payment = fixture.pay(0, 1);
    let txid = payment.txid();
    fixture.votes(1, &[lock_vote(txid)]);
    assert_eq!(fixture.machine.wanted_bodies().count(), 0, "one of four may be lying");
    fixture.votes(2, &[lock_vote(txid)]);
    assert_eq!(fixture.machine.wanted_bodies().collect::<Vec<_>>(), [txid]);
    assert!(cast(&fixture.votes(3, &[lock_vote(txid)])).is_empty());
    let effects = fixture.receive(&payment);
    assert_eq!(cast(&effects), [lock_vote(txid), final_vote(txid)]);
    assert_eq!(fixture.machine.wanted_bodies().count(), 0);
}

#[test]
fn a_child_waits_until_its_parent_is_final_and_is_voted_before_any_block() {
    let mut fixture = Fixture::new();
    let parent = fixture.pay(0, 1);
    let child = fixture.spend(&parent, 1, 2);
    assert!(matches!(fixture.receive(&child)[..], [Effect::WaitingForInputs(_)]));
    fixture.receive(&parent);
    fixture.all_vote(lock_vote(parent.txid()), &[1, 2, 3]);
    let effects = fixture.all_vote(final_vote(parent.txid()), &[1, 2]);
    assert!(cast(&effects).is_empty(), "certified is not final");
    let effects = fixture.votes(3, &[final_vote(parent.txid())]);
    assert_eq!(cast(&effects), [lock_vote(child.txid())]);
}

#[test]
fn a_child_that_comes_after_its_parent_waits_for_finality_too() {
    let mut fixture = Fixture::new();
    let parent = fixture.pay(0, 1);
    let (early, late) = (fixture.spend(&parent, 1, 2), fixture.spend(&parent, 1, 3));
    let waits = |effects: &[Effect]| matches!(effects, [Effect::WaitingForInputs(_)]);
    fixture.receive(&parent);
    assert!(waits(&fixture.receive(&early)), "locked is not final");
    fixture.all_vote(lock_vote(parent.txid()), &[1, 2, 3]);
    assert!(waits(&fixture.receive(&late)), "neither is certified");
    assert!(cast(&fixture.all_vote(final_vote(parent.txid()), &[1, 2])).is_empty());
    let votes = cast(&fixture.votes(3, &[final_vote(parent.txid())]));
    assert!(votes == [lock_vote(early.txid())] || votes == [lock_vote(late.txid())], "{votes:?}");
}

#[test]
fn bound_collateral_and_foreign_keys_are_refused() {
    let mut fixture = Fixture::new();
    // Masternode 1's collateral belongs to user 101.
    let bound = fixture.chain.split(&user(101), fixture.coin(101), lock(&user(1)), 1);
    let stolen = fixture.chain.split(&user(3), fixture.coin(0), lock(&user(3)), 1);
    let effects = fixture.receive(&bound);
    assert!(matches!(effects[..], [Effect::Dropped { reason: DropReason::Invalid(_), .. }]), "{effects:?}");
    // Its owner may still sign it.
    let effects = fixture.receive(&stolen);
    assert!(matches!(effects[..], [Effect::BadCopy { .. }]), "{effects:?}");
}

#[test]
fn what_a_registration_marks_is_not_spent_before_the_next_epoch() {
    // Operator 1 votes already, so that registration will be void; whatever becomes of it, its collateral is marked.
    for (operator_index, is_void) in [(20, false), (1, true)] {
        let mut fixture = Fixture::new();
        let registration = fixture.chain.register((0, 0), operator_index, 1);
        let child = |index: u32| {
            let outpoint = OutPoint { txid: registration.txid(), index };
            let value = registration.outputs()[usize::try_from(index).unwrap()].value;
            let output = TxOut { value: Amount(value.0 - 1_000), lock: lock(&user(1)) };
            fixture.chain.pay(&user(0), vec![outpoint], vec![output])
        };
        let (of_mark, of_change) = (child(0), child(1));
        let marked = OutPoint { txid: registration.txid(), index: 0 };
        let is_refused = |effects: &[Effect]| {
            let bound = TransactionError::CollateralBound { outpoint: marked };
            matches!(effects, [Effect::Dropped { reason: DropReason::Invalid(error), .. }] if *error == bound)
        };
        assert!(matches!(fixture.receive(&of_mark)[..], [Effect::WaitingForInputs(_)]), "not known yet");
        fixture.receive(&registration);
        fixture.all_vote(lock_vote(registration.txid()), &[1, 2, 3]);
        let effects = fixture.all_vote(final_vote(registration.txid()), &[1, 2, 3]);
        assert!(cast(&effects).is_empty(), "the one that waited is refused: {effects:?}");
        assert!(effects.iter().any(|effect| is_refused(std::slice::from_ref(effect))));
        assert!(is_refused(&fixture.receive(&of_mark)), "a child of an unconfirmed registration");
        assert_eq!(cast(&fixture.receive(&of_change)), [lock_vote(of_change.txid())], "its change is free");
        assert_eq!(fixture.machine.locked_to(&marked), None);

        fixture.block(1_000, false, std::slice::from_ref(&registration));
        assert!(is_refused(&fixture.receive(&of_mark)), "the chain's state says so");
        let duration = fixture.chain.state.parameters().epoch_duration_ms;
        fixture.block(duration, false, &[]);
        fixture.block(1, true, &[]);
        let effects = fixture.receive(&of_mark);
        if is_void {
            assert_eq!(cast(&effects), [lock_vote(of_mark.txid())], "it bound nothing, so it is free now");
        } else {
            assert!(is_refused(&effects), "a collateral stays bound");
        }
    }
}

#[test]
fn a_collateral_marked_in_the_last_block_waits_for_the_next_epoch_with_its_child() {
    let mut fixture = Fixture::new();
    let registration = fixture.chain.register((0, 0), 1, 1);
    let output = TxOut { value: Amount(1_000), lock: lock(&user(1)) };
    let marked = OutPoint { txid: registration.txid(), index: 0 };
    let child = fixture.chain.pay(&user(0), vec![marked], vec![output]);
    fixture.receive(&child);
    fixture.block(1_000, false, &[]);
    let duration = fixture.chain.state.parameters().epoch_duration_ms;
    fixture.block(duration, false, &[]);
    let effects = fixture.block(1, true, std::slice::from_ref(&registration));
    assert_eq!(fixture.machine.epoch(), 1);
    assert_eq!(cast(&effects), [lock_vote(child.txid())], "a vote of the new epoch");
}

/// INV-FIN-2.
#[test]
fn after_the_last_ordinary_block_no_vote_is_cast_until_the_next_epoch() {
    let mut fixture = Fixture::new();
    let (early, late, certified) = (fixture.pay(0, 1), fixture.pay(1, 2), fixture.pay(2, 3));
    fixture.receive(&early);
    fixture.all_vote(lock_vote(early.txid()), &[1, 2, 3]);
    fixture.receive(&certified);
    fixture.block(1_000, false, &[]);
    let duration = fixture.chain.state.parameters().epoch_duration_ms;
    let effects = fixture.block(duration, false, &[]);
    assert!(matches!(effects[..], [Effect::EnterClosing]), "{effects:?}");
    assert!(cast(&fixture.receive(&late)).is_empty());
    assert!(cast(&fixture.all_vote(lock_vote(certified.txid()), &[1, 2, 3])).is_empty());
    assert!(!fixture.machine.promises().contains(&certified.txid()));
    assert!(fixture.machine.promises().contains(&early.txid()), "a promise until it is in the chain");
    let effects = fixture.block(1, true, &[early]);
    assert_eq!(fixture.machine.epoch(), 1);
    let mut votes = cast(&effects);
    votes.sort();
    let mut expected = vec![lock_vote(late.txid()), lock_vote(certified.txid())];
    expected.sort();
    assert_eq!(votes, expected, "what was not included is voted on afresh, without the old votes");
    assert!(fixture.machine.promises().is_empty());
}

#[test]
fn in_the_next_epoch_every_node_locks_the_same_one_of_two_conflicting_transactions() {
    let (one, two) = {
        let fixture = Fixture::new();
        (fixture.pay(0, 1), fixture.pay(0, 2))
    };
    let choices: Vec<Vec<FinalityVote>> = [[&one, &two], [&two, &one]]
        .into_iter()
        .map(|order| {
            let mut fixture = Fixture::new();
            order.into_iter().for_each(|transaction| drop(fixture.receive(transaction)));
            fixture.block(1_000, false, &[]);
            let duration = fixture.chain.state.parameters().epoch_duration_ms;
            fixture.block(duration, false, &[]);
            cast(&fixture.block(1, true, &[]))
        })
        .collect();
    assert_eq!(choices[0].len(), 1);
    assert_eq!(choices[0], choices[1]);
}

/// INV-FIN-4.
#[test]
fn inclusion_removes_no_lock_and_kills_the_rivals() {
    let mut fixture = Fixture::new();
    let (first, second) = (fixture.pay(0, 1), fixture.pay(0, 2));
    fixture.receive(&first);
    fixture.receive(&second);
    let coin = fixture.coin(0).0;
    let effects = fixture.block(1_000, false, std::slice::from_ref(&second));
    assert!(effects.iter().any(
        |effect| matches!(effect, Effect::Dropped { txid, reason: DropReason::SpentBy(by) } if *txid == first.txid() && *by == second.txid())
    ));
    assert_eq!(fixture.machine.locked_to(&coin), Some(first.txid()));
    assert!(cast(&fixture.receive(&second)).is_empty(), "it is in the chain");
}

fn journal(epoch: u64, of_epoch: JournaledEpoch) -> JournaledVotes {
    JournaledVotes { forgotten_before: 0, epochs: BTreeMap::from([(epoch, of_epoch)]) }
}

#[test]
fn a_restart_does_not_forget_votes_locks_promises_or_closing() {
    let fixture = Fixture::new();
    let (voted, rival, promised) = (fixture.pay(0, 1), fixture.pay(0, 2), fixture.pay(1, 2));
    let votes = vec![
        (lock_vote(voted.txid()), voted.inputs().to_vec()),
        (final_vote(promised.txid()), promised.inputs().to_vec()),
    ];
    let me = fixture.key(0);
    let journaled = journal(0, JournaledEpoch { votes, closing: false });
    let restored = Machine::new(Some(me), &fixture.chain.state, journaled, BTreeSet::new());
    let mut fixture = Fixture { machine: restored, ..fixture };
    assert!(fixture.machine.promises().contains(&promised.txid()));
    let expired = Input::Expired(vec![voted.txid()]);
    assert!(fixture.step(expired).is_empty(), "what is locked stays until the epoch's end");
    assert!(cast(&fixture.receive(&rival)).is_empty(), "INV-FIN-1 across restarts");
    assert!(cast(&fixture.receive(&voted)).is_empty(), "the vote is in the journal already");
    fixture.receive(&promised);
    assert!(cast(&fixture.all_vote(lock_vote(promised.txid()), &[1, 2, 3])).is_empty());

    let closing = journal(0, JournaledEpoch { votes: Vec::new(), closing: true });
    let machine = Machine::new(Some(me), &fixture.chain.state, closing, BTreeSet::new());
    let mut fixture = Fixture { machine, ..fixture };
    let payment = fixture.pay(2, 3);
    assert!(cast(&fixture.receive(&payment)).is_empty(), "closing was entered before the crash");
}

/// INV-FIN-1, INV-FIN-4: until the epoch ends a vote binds whoever cast it, whatever the chain says meanwhile.
#[test]
fn a_restart_keeps_the_locks_of_what_a_block_has_taken() {
    let mut fixture = Fixture::new();
    let (included, rival, coin) = (fixture.pay(0, 1), fixture.pay(0, 2), fixture.coin(0).0);
    fixture.block(1_000, false, std::slice::from_ref(&included));
    let votes = vec![(lock_vote(included.txid()), included.inputs().to_vec())];
    let journaled = journal(0, JournaledEpoch { votes, closing: false });
    let settled = BTreeSet::from([included.txid()]);
    let machine = Machine::new(Some(fixture.key(0)), &fixture.chain.state, journaled, settled);
    let mut fixture = Fixture { machine, ..fixture };
    assert_eq!(fixture.machine.locked_to(&coin), Some(included.txid()));
    assert!(fixture.machine.spilled().is_empty(), "it is in the chain");
    assert!(cast(&fixture.receive(&rival)).is_empty());
}

/// INV-FIN-2: a crash may come before the record that the epoch closes; the chain says so too.
#[test]
fn who_starts_at_a_closing_height_votes_for_nothing_before_the_next_epoch() {
    let mut fixture = Fixture::new();
    fixture.block(1_000, false, &[]);
    let duration = fixture.chain.state.parameters().epoch_duration_ms;
    fixture.block(duration, false, &[]);
    assert!(fixture.chain.state.is_closing());
    let me = fixture.key(0);
    let machine = Machine::new(Some(me), &fixture.chain.state, JournaledVotes::default(), BTreeSet::new());
    let mut fixture = Fixture { machine, ..fixture };
    let (locked, certified) = (fixture.pay(0, 1), fixture.pay(1, 2));
    for transaction in [&locked, &certified] {
        assert!(cast(&fixture.receive(transaction)).is_empty());
    }
    assert!(cast(&fixture.all_vote(lock_vote(certified.txid()), &[1, 2, 3])).is_empty());
    assert!(fixture.machine.promises().is_empty());
    let mut votes = cast(&fixture.block(1, true, &[]));
    votes.sort_unstable();
    let mut expected = [locked, certified].map(|transaction| lock_vote(transaction.txid()));
    expected.sort_unstable();
    assert_eq!(votes, expected);
}

#[test]
fn votes_of_an_epoch_that_the_chain_lost_come_back_with_it() {
    let fixture = Fixture::new();
    let (voted, rival) = (fixture.pay(0, 1), fixture.pay(0, 2));
    let votes = vec![(lock_vote(voted.txid()), voted.inputs().to_vec())];
    let journaled = journal(1, JournaledEpoch { votes, closing: false });
    let me = fixture.key(0);
    let machine = Machine::new(Some(me), &fixture.chain.state, journaled, BTreeSet::new());
    let mut fixture = Fixture { machine, ..fixture };
    fixture.block(1_000, false, &[]);
    let duration = fixture.chain.state.parameters().epoch_duration_ms;
    fixture.block(duration, false, &[]);
    fixture.receive(&rival);
    let effects = fixture.block(1, true, &[]);
    assert!(cast(&effects).is_empty(), "epoch 1's lock is older than the chain that was lost");
}

#[test]
fn nothing_is_voted_in_an_epoch_that_the_journal_has_forgotten() {
    let fixture = Fixture::new();
    let journaled = JournaledVotes { forgotten_before: 1, ..JournaledVotes::default() };
    let me = fixture.key(0);
    let machine = Machine::new(Some(me), &fixture.chain.state, journaled, BTreeSet::new());
    let mut fixture = Fixture { machine, ..fixture };
    let payment = fixture.pay(0, 1);
    assert!(cast(&fixture.receive(&payment)).is_empty(), "a rival may have had the vote");
    assert!(cast(&fixture.all_vote(lock_vote(payment.txid()), &[1, 2, 3])).is_empty());
    fixture.block(1_000, false, &[]);
    let duration = fixture.chain.state.parameters().epoch_duration_ms;
    fixture.block(duration, false, &[]);
    let effects = fixture.block(1, true, &[]);
    assert_eq!(cast(&effects), [lock_vote(payment.txid())], "epoch 1 is in the journal as a whole");
}

#[test]
fn one_member_can_not_fill_memory_with_votes_for_what_does_not_exist() {
    let mut fixture = Fixture::new();
    let txid = |number: u32| {
        let mut bytes = [7; 32];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        TxId(bytes)
    };
    for start in (0..UNKNOWN_VOTES_MAX + 8_192).step_by(4_096) {
        let votes: Vec<_> = (start..start + 4_096).map(|number| lock_vote(txid(number))).collect();
        fixture.votes(1, &votes);
    }
    let counted = fixture.machine.entries_without_body();
    assert_eq!(counted, usize::try_from(UNKNOWN_VOTES_MAX).unwrap());
    // The others' votes are not touched by that.
    let payment = fixture.pay(0, 1);
    fixture.all_vote(lock_vote(payment.txid()), &[0, 2, 3]);
    assert!(fixture.machine.is_certified(&payment.txid()));
}

fn contradictions(effects: &[Effect]) -> Vec<(usize, BTreeSet<TxId>)> {
    let pair = |effect: &Effect| match effect {
        Effect::ContradictionSeen { member, first, second } => {
            Some((*member, BTreeSet::from([*first, *second])))
        }
        _ => None,
    };
    effects.iter().filter_map(pair).collect()
}

#[test]
fn lock_votes_for_conflicting_transactions_are_seen_in_any_order_of_bodies_and_votes() {
    let setup = || {
        let fixture = Fixture::new();
        let (first, second) = (fixture.pay(0, 1), fixture.pay(0, 2));
        let pair = vec![(2, BTreeSet::from([first.txid(), second.txid()]))];
        (fixture, first, second, pair)
    };
    let places = (0..256_usize).map(|number| [number / 64, number / 16 % 4, number / 4 % 4, number % 4]);
    let orders = places.filter(|places| BTreeSet::from(*places).len() == 4);
    for order in orders {
        let (mut fixture, first, second, pair) = setup();
        let mut seen: Vec<Vec<(usize, BTreeSet<TxId>)>> = Vec::new();
        for place in order {
            seen.push(contradictions(&match place {
                0 => fixture.receive(&first),
                1 => fixture.receive(&second),
                2 => fixture.votes(2, &[lock_vote(first.txid())]),
                _ => fixture.votes(2, &[lock_vote(second.txid())]),
            }));
        }
        assert_eq!(seen, [vec![], vec![], vec![], pair], "with the last of the four, in the order {order:?}");
    }
    // Different members, `Final` after `Lock`, and a second copy of a vote are none.
    let (mut fixture, first, second, _) = setup();
    fixture.receive(&first);
    fixture.receive(&second);
    let mut seen = fixture.votes(1, &[lock_vote(first.txid())]);
    seen.extend(fixture.votes(2, &[lock_vote(second.txid())]));
    seen.extend(fixture.votes(1, &[lock_vote(first.txid())]));
    seen.extend(fixture.votes(1, &[final_vote(second.txid())]));
    assert!(contradictions(&seen).is_empty());
}

#[test]
fn a_vote_can_be_proved_as_long_as_its_tally_has_it() {
    let mut fixture = Fixture::new();
    let payment = fixture.pay(0, 1);
    fixture.receive(&payment);
    fixture.votes(2, &[lock_vote(payment.txid())]);
    let member = fixture.member(2);
    let vote = fixture.machine.lock_vote_of(&member, &payment.txid()).unwrap();
    assert_eq!(vote.header.validator, member);
    assert!(vote.proves(&lock_vote(payment.txid())));
    assert!(fixture.machine.lock_vote_of(&fixture.member(1), &payment.txid()).is_none());
}

#[test]
fn who_begins_to_sign_says_what_it_holds_and_who_stops_says_nothing() {
    let mut fixture = Fixture::new();
    let key = fixture.key(0);
    assert!(fixture.step(Input::SignerChanged(None)).is_empty());
    let (locked, rival, certified) = (fixture.pay(0, 1), fixture.pay(0, 2), fixture.pay(1, 2));
    for transaction in [&locked, &rival, &certified] {
        assert!(cast(&fixture.receive(transaction)).is_empty());
    }
    assert!(cast(&fixture.all_vote(lock_vote(certified.txid()), &[1, 2, 3])).is_empty());
    let mut expected =
        vec![lock_vote(locked.txid()), lock_vote(certified.txid()), final_vote(certified.txid())];
    expected.sort_unstable();
    let mut said = cast(&fixture.step(Input::SignerChanged(Some(key))));
    said.sort_unstable();
    assert_eq!(said, expected, "and nothing for the rival of what it locked");
    assert!(cast(&fixture.step(Input::SignerChanged(Some(key)))).is_empty(), "once");
    fixture.step(Input::SignerChanged(None));
    let payment = fixture.pay(2, 3);
    assert!(cast(&fixture.receive(&payment)).is_empty());
    let stranger = crate::protocol::fixtures::operator(99).public();
    assert!(cast(&fixture.step(Input::SignerChanged(Some(stranger)))).is_empty());
}

/// INV-FIN-5.
#[test]
fn a_certificate_and_a_promise_are_kept_until_a_block_has_the_transaction() {
    let mut fixture = Fixture::new();
    let payment = fixture.pay(0, 1);
    let lock = lock_vote(payment.txid());
    fixture.receive(&payment);
    fixture.all_vote(lock, &[1, 2, 3]);
    fixture.all_vote(final_vote(payment.txid()), &[1, 2, 3]);
    // Neither its being final, nor other payments, nor blocks without it make it forgotten.
    let other = fixture.pay(1, 2);
    fixture.receive(&other);
    fixture.block(1_000, false, &[]);
    assert!(fixture.machine.certificate(lock).is_some());
    assert!(fixture.machine.promises().contains(&payment.txid()));
    fixture.block(1_000, false, std::slice::from_ref(&payment));
    assert!(fixture.machine.certificate(lock).is_none());
    assert!(fixture.machine.promises().is_empty());
}

/// INV-FIN-6.
#[test]
fn what_a_block_contains_is_asked_for_no_more() {
    let mut fixture = Fixture::new();
    let payment = fixture.pay(0, 1);
    let txid = payment.txid();
    fixture.all_vote(lock_vote(txid), &[1, 2]);
    fixture.votes(1, &[final_vote(txid)]);
    assert_eq!(fixture.machine.wanted_bodies().collect::<Vec<_>>(), [txid]);
    assert_eq!(fixture.machine.wanted_certificates().collect::<Vec<_>>(), [txid]);
    fixture.block(1_000, false, &[payment]);
    assert_eq!(fixture.machine.wanted_bodies().count(), 0);
    assert_eq!(fixture.machine.wanted_certificates().count(), 0);
    assert!(fixture.machine.lacks_no_body());
}

/// INV-FIN-6: who says that it is final need not be among those whose locks certify it.
#[test]
fn a_certificate_that_is_here_is_asked_for_no_more_whoever_named_it() {
    let mut fixture = Fixture::new();
    let txid = fixture.pay(0, 1).txid();
    fixture.votes(3, &[final_vote(txid)]);
    assert_eq!(fixture.machine.wanted_certificates().collect::<Vec<_>>(), [txid]);
    fixture.all_vote(lock_vote(txid), &[0, 1, 2]);
    assert_eq!(fixture.machine.wanted_certificates().count(), 0);
}

/// Rule 3: the votes for it may come before those that certify it, and before its body is needed for anything else.
#[test]
fn a_final_one_whose_body_was_left_to_the_journal_is_read_and_told() {
    let mut fixture = Fixture::new();
    let payment = fixture.pay(0, 1);
    let txid = payment.txid();
    let votes = vec![(lock_vote(txid), payment.inputs().to_vec())];
    let epochs = BTreeMap::from([(0, JournaledEpoch { votes, closing: false })]);
    let journaled = JournaledVotes { forgotten_before: 0, epochs };
    fixture.machine = Machine::new(Some(fixture.key(0)), &fixture.chain.state, journaled, BTreeSet::new());
    let effects = fixture.all_vote(final_vote(txid), &[1, 2, 3]);
    let reads = effects.iter().any(|effect| matches!(effect, Effect::LoadBody(of) if *of == txid));
    assert!(reads && finalized(&effects).is_empty());
    assert_eq!(finalized(&fixture.step(Input::BodyLoaded(payment))), [txid]);
}

/// Rule 6: the order is that of the next epoch, in which they are voted on.
#[test]
fn of_several_conflicting_transactions_the_first_of_the_next_epoch_is_kept() {
    let mut fixture = Fixture::new();
    let [held, one, other] = [1, 2, 3].map(|to| fixture.pay(0, to));
    let in_order = |epoch: u64, pair: &[CheckedTransaction; 2]| {
        conflict_order(epoch, &pair[0].txid()) < conflict_order(epoch, &pair[1].txid())
    };
    // The present epoch's order is the other one, for some pair.
    let several = (4..100).map(|to| fixture.pay(0, to));
    let mut pairs = several.map(|third| [one.clone(), third]).chain([[one.clone(), other]]);
    let pair = pairs.find(|pair| in_order(0, pair) != in_order(1, pair)).unwrap();
    let worse = pair[usize::from(in_order(1, &pair))].txid();
    fixture.receive(&held);
    let effects: Vec<Effect> = pair.iter().flat_map(|rival| fixture.receive(rival)).collect();
    let dropped = effects.iter().find_map(|effect| match effect {
        Effect::Dropped { txid, .. } => Some(*txid),
        _ => None,
    });
    assert_eq!(dropped, Some(worse));
}
