//! The rules of instances, a member at a time: no chain, no keys, and a clock that the test moves.

use super::*;
use crate::types::{SecretKey, Validator};

const WINDOW: u64 = LISTEN_MS;
const T0: TimeMs = 1_000_000;

fn id(number: u8) -> MasternodeId {
    MasternodeId([number; 32])
}

fn instance(number: u8) -> InstanceId {
    InstanceId { start: [number; 16], attempt: 0 }
}

fn asks(validator: u8, instance: InstanceId, seq: u64) -> InstanceStatement {
    InstanceStatement {
        validator: id(validator),
        epoch: 0,
        instance,
        seq,
        asks: true,
        rivals: Vec::new(),
        acknowledged: Vec::new(),
        signature: Signature::EMPTY,
    }
}

fn names(validator: u8, instance: InstanceId, seq: u64, rival: InstanceId) -> InstanceStatement {
    InstanceStatement { asks: false, rivals: vec![rival], ..asks(validator, instance, seq) }
}

fn acknowledges(by: u8, validator: u8, instance: InstanceId) -> InstanceStatement {
    let acknowledged = vec![Acknowledged { validator: id(validator), instance }];
    InstanceStatement { asks: false, acknowledged, ..asks(by, self::instance(by), 0) }
}

fn set(weights: &[u64]) -> ValidatorSet {
    let member = |(number, weight): (u8, &u64)| Validator {
        id: id(number),
        key: SecretKey::from_seed(&[number; 32]).public(),
        weight: *weight,
    };
    ValidatorSet::new((0..).zip(weights).map(member).collect())
}

/// A node that is member 0, and its clock.
struct Member {
    instances: Instances,
    now_ms: TimeMs,
}

impl Member {
    fn new() -> Self {
        Self { instances: Instances::new([0xee; 16], WINDOW, T0), now_ms: T0 }
    }

    /// Hears a statement if it is news; whether it proves a copy.
    fn hear(&mut self, statement: &InstanceStatement) -> Option<bool> {
        let own = Some(id(0));
        self.instances
            .is_news(statement, own, self.now_ms)
            .then(|| self.instances.hear(statement, own, self.now_ms))
    }

    fn wait(&mut self, ms: u64) -> &mut Self {
        self.now_ms += ms;
        self
    }

    fn acknowledged(&self) -> Vec<InstanceId> {
        let all = self.instances.acknowledgements(id(0), self.now_ms);
        all.into_iter().map(|it| it.instance).collect()
    }

    /// An instance of member 1 asks for as long as a window, and a little more.
    fn hear_asking(&mut self, which: InstanceId) {
        for seq in 0..=WINDOW / ASK_INTERVAL_MS {
            self.hear(&asks(1, which, 100 + seq));
            self.wait(ASK_INTERVAL_MS);
        }
    }

    fn weight(&self, set: &ValidatorSet) -> u64 {
        self.instances.weight(set, id(0), self.now_ms)
    }
}

/// INV-INSTANCE-1.
#[test]
fn an_instance_is_acknowledged_when_its_window_is_over_and_not_before() {
    let mut member = Member::new();
    for seq in 0..WINDOW / ASK_INTERVAL_MS {
        member.hear(&asks(1, instance(1), seq));
        assert!(member.acknowledged().is_empty(), "another one may answer yet");
        member.wait(ASK_INTERVAL_MS);
    }
    member.hear(&asks(1, instance(1), 100));
    assert_eq!(member.acknowledged(), [instance(1)]);
    let said = InstanceStatement { asks: false, ..asks(1, instance(1), 101) };
    member.wait(HEARD_GAP_MS).hear(&said);
    assert!(member.acknowledged().is_empty(), "it asks no more");
}

#[test]
fn who_fell_silent_is_not_acknowledged() {
    let mut member = Member::new();
    member.hear(&asks(1, instance(1), 0));
    assert!(member.wait(2 * WINDOW).acknowledged().is_empty());
}

/// To a millisecond: a window is what another one has to answer in, and what counts as alive.
#[test]
fn windows_end_when_they_are_over() {
    let mut member = Member::new();
    member.hear(&asks(1, instance(1), 0));
    member.wait(WINDOW - 1).hear(&asks(1, instance(1), 1));
    assert!(member.acknowledged().is_empty());
    assert_eq!(member.wait(1).acknowledged(), [instance(1)]);
    assert_eq!(member.wait(WINDOW - 2).acknowledged(), [instance(1)], "heard within a window");
    assert!(member.wait(1).acknowledged().is_empty(), "not within one");

    let mut member = Member::new();
    member.hear(&InstanceStatement { asks: false, ..asks(0, instance(9), 0) });
    let rivals = |member: &Member| member.instances.rivals(id(0), member.now_ms);
    assert_eq!(rivals(member.wait(LISTEN_MS - 1)), [instance(9)]);
    assert!(rivals(member.wait(1)).is_empty(), "it fell silent");

    let mut member = Member::new();
    let set = set(&[1, 1, 1, 1]);
    assert_eq!(member.wait(WINDOW - 1).weight(&set), 0);
    assert_eq!(member.wait(1).weight(&set), 1, "its own weight, when its window is over");
}

#[test]
fn an_instance_that_another_one_names_is_never_acknowledged() {
    for named_first in [false, true] {
        let mut member = Member::new();
        if !named_first {
            member.hear(&asks(1, instance(1), 0));
            member.wait(WINDOW - 1);
        }
        assert_eq!(member.hear(&names(1, instance(2), 7, instance(1))), Some(false));
        member.hear_asking(instance(1));
        assert!(member.acknowledged().is_empty(), "another node with that key is alive");
    }
}

#[test]
fn how_long_ago_another_one_was_heard_plays_no_part() {
    let mut member = Member::new();
    member.hear(&InstanceStatement { asks: false, ..asks(1, instance(2), 0) });
    // An idle network: it said nothing more.
    member.wait(1_000 * WINDOW);
    member.hear(&asks(1, instance(1), 0));
    assert!(member.acknowledged().is_empty());
    member.wait(WINDOW / 2).hear(&names(1, instance(2), 1, instance(1)));
    member.hear_asking(instance(1));
    assert!(member.acknowledged().is_empty());
}

#[test]
fn replayed_statements_of_earlier_starts_delay_nobody() {
    let mut member = Member::new();
    // Earlier starts named each other, as after a copy; strangers repeat all of it while a new one asks.
    for seq in 0..=WINDOW / ASK_INTERVAL_MS {
        for old in [2, 3] {
            member.hear(&asks(1, instance(old), 2 * seq));
            member.hear(&names(1, instance(old), 2 * seq + 1, instance(5 - old)));
            member.wait(HEARD_GAP_MS);
        }
        member.hear(&asks(1, instance(1), seq));
        member.wait(ASK_INTERVAL_MS - 2 * HEARD_GAP_MS);
    }
    member.hear(&asks(1, instance(1), 100));
    assert!(member.acknowledged().contains(&instance(1)));
}

#[test]
fn a_statement_is_news_once() {
    let mut member = Member::new();
    assert!(member.hear(&asks(1, instance(1), 5)).is_some());
    member.wait(HEARD_GAP_MS);
    for seq in [5, 4] {
        assert!(member.hear(&asks(1, instance(1), seq)).is_none());
    }
    assert!(member.hear(&asks(1, instance(1), 6)).is_some());
    assert!(member.hear(&asks(1, instance(1), 7)).is_none(), "too soon");
    assert!(member.wait(HEARD_GAP_MS).hear(&asks(1, instance(1), 7)).is_some());
}

/// INV-INSTANCE-3.
#[test]
fn instances_of_a_member_that_makes_up_many_are_bounded() {
    let mut member = Member::new();
    for number in 0..100 {
        member.hear(&asks(1, instance(number), 0));
        member.wait(NEW_INSTANCE_GAP_MS / 2);
    }
    let known = &member.instances.known[&id(1)].instances;
    assert_eq!(known.len(), INSTANCES_MAX, "every second one came too soon");
    // One that asks all the time is not displaced, and those that are silent make room.
    member.wait(WINDOW).hear_asking(instance(200));
    assert!(member.acknowledged().contains(&instance(200)));
    member.hear(&names(1, instance(201), 0, instance(200)));
    assert!(member.instances.known[&id(1)].instances.len() <= INSTANCES_MAX);
    assert!(member.acknowledged().is_empty());
}

/// INV-INSTANCE-3.
#[test]
fn the_one_that_was_silent_for_longest_makes_room() {
    let mut member = Member::new();
    let most = u8::try_from(INSTANCES_MAX).unwrap();
    for number in 0..most {
        member.hear(&asks(1, instance(number), 0));
        member.wait(NEW_INSTANCE_GAP_MS);
    }
    member.wait(WINDOW - NEW_INSTANCE_GAP_MS * u64::from(most));
    member.hear(&asks(1, instance(most), 0));
    let known = member.instances.known[&id(1)].instances.iter().map(|known| known.instance);
    assert_eq!(known.collect::<BTreeSet<_>>(), (1..=most).map(instance).collect());
}

/// INV-INSTANCE-3: one that speaks stays, for however long it has been known.
#[test]
fn an_old_one_that_still_speaks_is_not_the_one_that_makes_room() {
    let mut member = Member::new();
    let most = u8::try_from(INSTANCES_MAX).unwrap();
    for number in 0..most {
        member.hear(&asks(1, instance(number), 0));
        member.wait(NEW_INSTANCE_GAP_MS);
    }
    member.wait(WINDOW).hear(&asks(1, instance(0), 1));
    member.hear(&asks(1, instance(most), 0));
    let known = member.instances.known[&id(1)].instances.iter().map(|known| known.instance);
    let expected = (0..=most).filter(|number| *number != 1).map(instance);
    assert_eq!(known.collect::<BTreeSet<_>>(), expected.collect());
}

/// INV-INSTANCE-2.
#[test]
fn acknowledgements_count_by_weight_and_once() {
    let (set, mine) = (set(&[4, 1, 1, 4]), instance(0xee));
    let mut member = Member::new();
    assert_eq!((set.quorum(), member.weight(&set)), (7, 0));
    for seq in 0..3 {
        let statement = InstanceStatement { seq, ..acknowledges(1, 0, mine) };
        assert_eq!(member.hear(&statement), Some(false));
        member.wait(HEARD_GAP_MS);
    }
    member.hear(&acknowledges(2, 0, mine));
    assert_eq!(member.weight(&set), 2);
    // A stranger that was a member once.
    member.hear(&acknowledges(9, 0, mine));
    assert_eq!(member.weight(&set), 2);
    member.hear(&acknowledges(3, 0, mine));
    assert_eq!(member.weight(&set), 6, "three of four, and no quorum");
    assert_eq!(member.wait(WINDOW).weight(&set), 10, "its own counts when the window is over");
}

#[test]
fn acknowledgements_of_others_of_other_epochs_and_of_earlier_attempts_count_nothing() {
    let (set, mine) = (set(&[1; 4]), instance(0xee));
    let mut member = Member::new();
    member.hear(&acknowledges(1, 0, instance(0xed)));
    member.hear(&acknowledges(2, 3, mine));
    member.hear(&InstanceStatement { epoch: 1, ..acknowledges(3, 0, mine) });
    assert_eq!(member.weight(&set), 0);
    member.wait(HEARD_GAP_MS);
    member.hear(&InstanceStatement { seq: 1, ..acknowledges(1, 0, mine) });
    assert_eq!(member.wait(WINDOW).weight(&set), 2);
    let now_ms = member.now_ms;
    member.instances.begin_attempt(now_ms);
    assert_eq!(member.weight(&set), 0, "a new attempt begins without any");
    member.hear(&InstanceStatement { seq: 2, ..acknowledges(1, 0, mine) });
    assert_eq!(member.weight(&set), 0, "it says the old one");
    member.wait(HEARD_GAP_MS);
    let renewed = InstanceId { attempt: 1, ..mine };
    member.hear(&InstanceStatement { seq: 3, ..acknowledges(1, 0, renewed) });
    assert_eq!(member.weight(&set), 1);
}

#[test]
fn whoever_names_this_start_is_a_copy_and_nobody_else_is() {
    let (mine, copy) = (instance(0xee), instance(7));
    let mut member = Member::new();
    assert_eq!(member.hear(&asks(0, copy, 0)), Some(false), "an earlier start, perhaps");
    member.wait(HEARD_GAP_MS);
    assert_eq!(member.hear(&names(0, copy, 1, instance(8))), Some(false), "it knew another one");
    assert_eq!(member.instances.statement(id(0), true, member.now_ms).rivals, [copy, instance(8)]);
    member.wait(HEARD_GAP_MS);
    assert_eq!(member.hear(&names(1, instance(1), 0, mine)), Some(false), "another member's");
    assert_eq!(member.hear(&names(0, copy, 2, mine)), Some(true));
    // An earlier attempt of this start is proof as well.
    member.wait(HEARD_GAP_MS);
    let now_ms = member.now_ms;
    member.instances.begin_attempt(now_ms);
    assert_eq!(member.hear(&names(0, copy, 3, mine)), Some(true));
}

#[test]
fn a_machine_that_was_copied_while_it_ran_is_noticed() {
    let mut member = Member::new();
    let said = member.instances.statement(id(0), true, T0);
    assert_eq!((said.instance, said.seq), (instance(0xee), 0));
    assert_eq!(member.hear(&said), None, "it comes back");
    assert_eq!(member.hear(&InstanceStatement { seq: 1, ..said.clone() }), Some(true), "it never said that");
    let now_ms = member.now_ms;
    member.instances.begin_attempt(now_ms);
    assert_eq!(member.hear(&InstanceStatement { seq: 1, ..said.clone() }), None, "of an earlier attempt");
    let later = InstanceId { attempt: 2, ..said.instance };
    assert_eq!(member.hear(&InstanceStatement { instance: later, ..said }), Some(true));
}

#[test]
fn something_is_said_when_it_is_due_and_only_then() {
    let mut member = Member::new();
    let due = |member: &mut Member, asks| member.instances.is_due(id(0), asks, member.now_ms);
    let speak = |member: &mut Member, asks| {
        let now_ms = member.now_ms;
        let statement = member.instances.statement(id(0), asks, now_ms);
        member.instances.said = Some((now_ms, Arc::new(statement)));
    };
    assert!(!due(&mut member, false), "nobody asked");
    assert!(due(&mut member, true));
    speak(&mut member, true);
    assert!(!due(member.wait(ASK_INTERVAL_MS - 1), true));
    assert!(due(member.wait(1), true));
    speak(&mut member, false);
    // Somebody asks: there is nothing to say before the window is over, and then once for each time.
    member.hear(&asks(1, instance(1), 0));
    assert!(!due(member.wait(SPEAK_GAP_MS), false));
    member.wait(WINDOW - SPEAK_GAP_MS);
    member.hear(&asks(1, instance(1), 1));
    assert!(due(&mut member, false));
    speak(&mut member, false);
    assert!(!due(member.wait(ASK_INTERVAL_MS), false));
    // Another one under the own key is named at once, but for the gap.
    speak(&mut member, false);
    member.hear(&asks(0, instance(7), 0));
    assert!(!due(&mut member, false));
    assert!(due(member.wait(SPEAK_GAP_MS), false));
    speak(&mut member, false);
    assert_eq!(member.instances.said.as_ref().unwrap().1.rivals, [instance(7)]);
    assert!(!due(member.wait(SPEAK_GAP_MS), false));
}

/// What was asked before is of no use to whoever hears it now.
#[test]
fn a_question_that_has_become_another_one_is_asked_without_waiting_for_its_turn() {
    type Change = fn(&mut Instances);
    let changes: [(Change, bool); 4] = [
        (|_| {}, true),
        (|instances| instances.epoch += 1, true),
        (|instances| instances.begin_attempt(T0), true),
        (|_| {}, false),
    ];
    for (place, (change, asked_before)) in changes.into_iter().enumerate() {
        let mut member = Member::new();
        let said = member.instances.statement(id(0), asked_before, T0);
        member.instances.said = Some((T0, Arc::new(said)));
        change(&mut member.instances);
        let due = |member: &mut Member| member.instances.is_due(id(0), true, member.now_ms);
        assert!(!due(member.wait(SPEAK_GAP_MS - 1)), "change {place}");
        assert_eq!(due(member.wait(1)), place > 0, "change {place}");
    }
}

#[test]
fn a_live_instance_is_asked_within_the_window_often_enough_to_answer() {
    // Some words get lost; it is asked several times, and its answer has time to arrive.
    const { assert!(ASK_INTERVAL_MS * 4 + SPEAK_GAP_MS < LISTEN_MS && SILENCE_MS < LISTEN_MS) };
    const { assert!(SILENCE_MS > 4 * crate::consensus::peers::STATUS_INTERVAL_MS) };
    const { assert!(HEARD_GAP_MS < SPEAK_GAP_MS) };
}

/// What a node said in an earlier attempt of this start comes back to it.
#[test]
fn a_node_does_not_name_itself_as_a_rival() {
    let mut member = Member::new();
    let mine = member.instances.mine();
    member.instances.begin_attempt(member.now_ms);
    for (heard, is_rival) in [(mine, false), (member.instances.mine(), false), (instance(9), true)] {
        member.instances.note_rival(id(0), heard, member.now_ms);
        let rivals = member.instances.statement(id(0), false, member.now_ms).rivals;
        assert_eq!(rivals, if is_rival { vec![heard] } else { Vec::new() });
    }
}

/// INV-INSTANCE-4: few members of little weight would keep all others from signing after a restart.
#[test]
fn members_with_many_instances_leave_a_place_for_each_other_one() {
    let mut member = Member::new();
    let (loud, quiet, quiets) = (1..=7_u8, 200, instance(200));
    let of = |validator: u8, nth: u8| instance(16 * validator + nth);
    for nth in 0..16 {
        for validator in loud.clone() {
            assert_eq!(member.hear(&asks(validator, of(validator, nth), 0)), Some(false));
        }
        member.wait(NEW_INSTANCE_GAP_MS);
    }
    for seq in 1..=WINDOW / ASK_INTERVAL_MS + 1 {
        for validator in loud.clone() {
            (0..16).for_each(|nth| {
                assert_eq!(member.hear(&asks(validator, of(validator, nth), seq)), Some(false))
            });
        }
        member.hear(&asks(quiet, quiets, seq));
        member.wait(ASK_INTERVAL_MS);
    }
    let acknowledged = member.acknowledged();
    assert!(acknowledged.contains(&quiets), "{acknowledged:?}");
    assert_eq!(acknowledged.len(), 8, "one of each");
    let newest = loud.clone().all(|validator| acknowledged.contains(&of(validator, 15)));
    assert!(newest, "a node that starts again has given up what it was before: {acknowledged:?}");
    // All that is to be answered is, with one statement.
    drop(member.instances.statement(id(0), false, member.now_ms));
    assert!(!member.instances.owes_an_answer(id(0), member.now_ms));
    assert_eq!(member.instances.owed_from_ms, TimeMs::MAX, "nobody is looked at before somebody speaks");
}

/// Each answer is one of every member to all: who asks without end costs each of them one in a while.
#[test]
fn who_asks_without_end_is_answered_once_in_a_while() {
    let mut member = Member::new();
    let mut said = 0;
    for seq in 0..200 {
        member.hear(&asks(1, instance(1), seq));
        if member.instances.is_due(id(0), false, member.now_ms) {
            let statement = member.instances.statement(id(0), false, member.now_ms);
            member.instances.said = Some((member.now_ms, Arc::new(statement)));
            said += 1;
        }
        member.wait(HEARD_GAP_MS);
    }
    let answered_ms = 200 * HEARD_GAP_MS - WINDOW;
    assert_eq!(said, answered_ms.div_ceil(ANSWER_GAP_MS), "from the window on");
}
