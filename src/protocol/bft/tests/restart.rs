//! What a machine does after a crash, from what its journal held.

use super::TimeoutKind::{Prevote, Propose};
use super::*;

const PREVOTE: VoteStep = VoteStep::Prevote;
const PRECOMMIT: VoteStep = VoteStep::Precommit;

fn own(step: VoteStep, round: Round, value: Option<BlockHash>) -> Released<BlockVote> {
    vote(step, 3, round, value)
}

struct Restart {
    desc: &'static str,
    me: usize,
    proposals: Vec<Released<Proposal>>,
    votes: Vec<Released<BlockVote>>,
    effects: Vec<&'static str>,
    state: (Round, Step, Option<(Round, BlockHash)>),
    then: Vec<(Input, Vec<&'static str>)>,
}

impl Restart {
    fn check(self) {
        let journaled = Journaled { proposals: self.proposals, votes: self.votes };
        let (mut machine, effects) = Machine::restore(context(Some(self.me)), journaled);
        machine.check_invariants();
        assert_eq!(words(&effects, &Blocks::new().names()), self.effects, "{}", self.desc);
        let state = (machine.round(), machine.current_step(), machine.locked());
        assert_eq!(state, self.state, "{}", self.desc);
        run(&mut machine, self.desc, self.then);
    }
}

#[test]
fn without_own_messages_the_height_waits() {
    let a = Blocks::new().a;
    Restart {
        desc: "empty journal",
        me: 3,
        proposals: vec![],
        votes: vec![],
        effects: vec![],
        state: (0, Step::NewHeight, None),
        then: vec![(Input::HeightDue, vec!["start 0", "timeout propose 0 100"])],
    }
    .check();
    Restart {
        desc: "messages of others, and of another height, are not its own",
        me: 3,
        proposals: vec![proposal(0, None, &a)],
        votes: vec![
            vote(PREVOTE, 0, 0, None),
            Released::heard(BlockVote { height: HEIGHT - 1, ..(*own(PRECOMMIT, 4, None)).clone() }),
        ],
        effects: vec!["validate a"],
        state: (0, Step::NewHeight, None),
        then: vec![],
    }
    .check();
}

#[test]
fn a_proposal_is_sent_again_and_no_other_one_built() {
    let Blocks { a, b, .. } = Blocks::new();
    Restart {
        desc: "own proposal",
        me: 0,
        proposals: vec![proposal(0, None, &a)],
        votes: vec![],
        effects: vec!["start 0", "resend proposal 0 a", "timeout propose 0 100", "validate a"],
        state: (0, Step::Propose, None),
        then: vec![
            (Input::HeightDue, vec![]),
            (Input::BlockBuilt { round: 0, block: Arc::new(b) }, vec![]),
            (proposed(0, None, &a), vec![]),
            (acceptable(&a), vec![]),
            (validated(&a, true), vec!["prevote 0 a"]),
        ],
    }
    .check();
}

#[test]
fn a_prevote_is_sent_again_and_no_other_one_cast() {
    let a = Blocks::new().a;
    let hash = Some(hash_of(&a));
    Restart {
        desc: "own prevote for a; the timeout would now say nil",
        me: 3,
        proposals: vec![],
        votes: vec![own(PREVOTE, 0, hash)],
        effects: vec!["start 0", "resend prevote 0 a"],
        state: (0, Step::Prevote, None),
        then: vec![
            (elapsed(Propose, 0), vec![]),
            (Input::HeightDue, vec![]),
            (prevote(0, 0, hash), vec![]),
            (prevote(1, 0, None), vec!["timeout prevote 0 200"]),
            (elapsed(Prevote, 0), vec!["precommit 0 nil"]),
        ],
    }
    .check();
}

/// Node 3 locked `a` in round 0 and precommitted nil in round 1.
fn journal_of_a_lock(a: &BlockBlueprint) -> Vec<Released<BlockVote>> {
    let hash = Some(hash_of(a));
    let proof = (0..3).map(|place| vote(PREVOTE, place, 0, hash));
    let own =
        [own(PREVOTE, 0, hash), own(PRECOMMIT, 0, hash), own(PREVOTE, 1, None), own(PRECOMMIT, 1, None)];
    proof.chain(own).collect()
}

const EFFECTS_OF_A_LOCK: [&str; 5] =
    ["start 1", "resend precommit 0 a", "resend prevote 1 nil", "resend precommit 1 nil", "validate a"];

#[test]
fn the_lock_comes_from_the_last_precommit_for_a_block() {
    let a = Blocks::new().a;
    Restart {
        desc: "a later precommit for nil removes no lock; own rounds propose the value again",
        me: 3,
        proposals: vec![proposal(0, None, &a)],
        votes: journal_of_a_lock(&a),
        effects: EFFECTS_OF_A_LOCK.to_vec(),
        state: (1, Step::Precommit, Some((0, hash_of(&a)))),
        then: vec![
            (prevote(0, 3, None), vec![]),
            (prevote(1, 3, None), vec!["start 3", "propose 3 a pol 0", "timeout propose 3 130"]),
            (prevote(0, 4, None), vec![]),
            (prevote(1, 4, None), vec!["start 4", "timeout propose 4 140"]),
            (proposed(4, Some(0), &a), vec![]),
            (validated(&a, true), vec!["prevote 4 a"]),
        ],
    }
    .check();
}

#[test]
fn a_restored_lock_refuses_another_block() {
    let Blocks { a, c, .. } = Blocks::new();
    Restart {
        desc: "another block, without proof of lock",
        me: 3,
        proposals: vec![proposal(0, None, &a)],
        votes: journal_of_a_lock(&a),
        effects: EFFECTS_OF_A_LOCK.to_vec(),
        state: (1, Step::Precommit, Some((0, hash_of(&a)))),
        then: vec![
            (proposed(1, None, &c), vec!["validate c"]),
            (prevote(0, 5, None), vec![]),
            (prevote(1, 5, None), vec!["start 5", "timeout propose 5 150"]),
            (proposed(5, None, &block(5, 4, 9)), vec!["validate ?", "prevote 5 nil"]),
        ],
    }
    .check();
}

#[test]
fn of_two_locks_the_later_one_is_restored_whatever_the_order_of_the_journal() {
    let Blocks { a, c, .. } = Blocks::new();
    let (first, last) = (own(PRECOMMIT, 0, Some(hash_of(&a))), own(PRECOMMIT, 1, Some(hash_of(&c))));
    for votes in [vec![first.clone(), last.clone()], vec![last, first]] {
        let proposals = vec![proposal(0, None, &a), proposal(1, None, &c)];
        let (machine, _) = Machine::restore(context(Some(3)), Journaled { proposals, votes });
        machine.check_invariants();
        assert_eq!((machine.locked(), machine.valid()), (Some((1, hash_of(&c))), Some((1, hash_of(&c)))));
    }
}

#[test]
fn a_restored_quorum_decides_once_the_block_is_checked_again() {
    let a = Blocks::new().a;
    let hash = Some(hash_of(&a));
    let votes = (0..4).map(|place| vote(PRECOMMIT, place, 0, hash));
    Restart {
        desc: "all precommits were journaled",
        me: 3,
        proposals: vec![proposal(0, None, &a)],
        votes: votes.collect(),
        effects: vec!["start 0", "resend precommit 0 a", "validate a", "timeout precommit 0 300"],
        state: (0, Step::Precommit, Some((0, hash_of(&a)))),
        then: vec![(validated(&a, true), vec!["decide 0 a by [0, 1, 2, 3]"])],
    }
    .check();
}

#[test]
fn a_far_round_is_resumed_with_its_lock() {
    let block = block(100, 4, 7);
    let hash = hash_of(&block);
    let proof = (0..3).map(|place| vote(PREVOTE, place, 100, Some(hash)));
    let own = [own(PRECOMMIT, 100, Some(hash)), own(PREVOTE, 300, None)];
    let journaled = Journaled {
        proposals: vec![signed_proposal(0, 100, None, &block)],
        votes: proof.chain(own).collect(),
    };
    let (machine, _) = Machine::restore(context(Some(3)), journaled);
    machine.check_invariants();
    assert_eq!((machine.round(), machine.current_step()), (300, Step::Prevote));
    assert_eq!(machine.locked(), Some((100, hash)));
    assert!(machine.has_block(&hash), "the block of the lock is kept, however old");
    assert_eq!(machine.proof_of_lock_votes(100, hash).len(), 3);
}

#[test]
fn a_vote_by_a_copy_of_the_key_is_not_contradicted() {
    let a = Blocks::new().a;
    check(
        "heard before its own",
        Some(3),
        vec![
            (Input::HeightDue, vec!["start 0", "timeout propose 0 100"]),
            (prevote(3, 0, Some(hash_of(&a))), vec![]),
            (elapsed(Propose, 0), vec![]),
        ],
    );
}
