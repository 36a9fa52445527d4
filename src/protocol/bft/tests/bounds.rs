//! Hostile and far-away messages: what is refused, dropped, kept.

use super::*;
use crate::types::limits::ROUNDS_AHEAD_MAX;

fn observer() -> Machine {
    let mut machine = Machine::new(context(None));
    let _ = machine.step(Input::HeightDue);
    machine
}

fn reports(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::EquivocationSeen { .. })).count()
}

#[test]
fn a_malformed_proposal_is_refused_with_its_reason_and_changes_nothing() {
    let Blocks { a, c, .. } = Blocks::new();
    let with = |change: &dyn Fn(&mut Proposal)| {
        let mut changed = (*proposal(1, None, &c)).clone();
        change(&mut changed);
        changed
    };
    let not_proposer = ProposalError::NotProposer { validator: id(2), round: 1 };
    let not_named = ProposalError::HeaderProposer { named: id(3), header_round: 1 };
    let cases = [
        (with(&|p| p.block.header.height += 1), ProposalError::OtherHeight),
        (with(&|p| p.block.header.epoch += 1), ProposalError::OtherHeight),
        (with(&|p| p.block.header.chain_id = ChainId::ZERO), ProposalError::OtherHeight),
        (with(&|p| p.validator = id(2)), not_proposer),
        (with(&|p| p.pol_round = Some(1)), ProposalError::ProofNotEarlier { pol_round: 1, round: 1 }),
        (with(&|p| p.pol_round = Some(0)), ProposalError::HeaderRound { header_round: 1, round: 1 }),
        (with(&|p| p.block.header.round = 0), ProposalError::HeaderRound { header_round: 0, round: 1 }),
        (with(&|p| p.block.header.proposer = id(3)), not_named),
        (with(&|p| p.block.txids.push(TxId::ZERO)), ProposalError::NotBound),
        (with(&|p| p.block.last_commit.round = 1), ProposalError::NotBound),
    ];
    for (changed, error) in cases {
        let mut machine = observer();
        assert_eq!(machine.check_proposal(&changed), Err(error));
        let effects = machine.step(Input::ProposalReceived(Released::heard(changed)));
        assert_eq!(effects, [], "{error}");
        assert!(machine.proposal(1).is_none() && !machine.has_block(&hash_of(&c)), "{error}");
    }
    assert_eq!(observer().check_proposal(&proposal(1, None, &c)), Ok(()));
    assert_eq!(observer().check_proposal(&proposal(1, Some(0), &a)), Ok(()));
}

#[test]
fn votes_of_other_heights_epochs_and_strangers_do_not_count() {
    let mut machine = observer();
    let good = (*vote(VoteStep::Prevote, 0, 0, None)).clone();
    let stranger = BlockVote { validator: MasternodeId([99; 32]), ..good.clone() };
    let other_height = BlockVote { height: HEIGHT + 1, ..good.clone() };
    for bad in [stranger, other_height, BlockVote { epoch: EPOCH + 1, ..good }] {
        assert_eq!(machine.step(Input::VoteReceived(Released::heard(bad))), []);
    }
    assert_eq!(machine.prevotes_bitmap(0), SignerBitmap::empty(4));
    machine.check_invariants();
}

#[test]
fn contradictions_are_reported_once_a_kind_and_round() {
    let mut machine = observer();
    let mut reported = 0;
    for step in [VoteStep::Prevote, VoteStep::Precommit] {
        for tag in 0..50 {
            let value = Some(BlockHash([tag; 32]));
            reported += reports(&machine.step(Input::VoteReceived(vote(step, 0, 0, value))));
            machine.check_invariants();
        }
    }
    assert_eq!(reported, 2);
    let empty = SignerBitmap::empty(4);
    let kept = machine.votes_for_peer(0, &empty, &empty);
    assert_eq!(kept.len(), 2 * UNKNOWN_VALUES_MAX, "values of unknown blocks are bounded");
}

#[test]
fn a_vote_for_a_known_block_or_nil_counts_behind_a_flood_of_unknown_values() {
    let a = Blocks::new().a;
    let mut machine = observer();
    for tag in 0..5 {
        let _ = machine.step(prevote(0, 0, Some(BlockHash([tag; 32]))));
    }
    let _ = machine.step(prevote(0, 0, Some(hash_of(&a))));
    assert_eq!(machine.proof_of_lock_votes(0, hash_of(&a)).len(), 0, "unknown yet");
    let _ = machine.step(proposed(0, None, &a));
    let _ = machine.step(prevote(0, 0, Some(hash_of(&a))));
    let _ = machine.step(prevote(0, 0, None));
    assert_eq!(machine.proof_of_lock_votes(0, hash_of(&a)).len(), 1);
    let empty = SignerBitmap::empty(4);
    assert_eq!(machine.votes_for_peer(0, &empty, &empty).len(), UNKNOWN_VALUES_MAX + 2);
    machine.check_invariants();
}

#[test]
fn a_third_proposal_of_a_round_is_kept_only_when_votes_demand_its_block() {
    let mut machine = observer();
    let blocks: Vec<_> = (10..14).map(|tag| block(0, 4, tag)).collect();
    let reported: usize = blocks.iter().map(|block| reports(&machine.step(proposed(0, None, block)))).sum();
    assert_eq!(reported, 1);
    let known = |machine: &Machine| blocks.iter().map(|b| machine.has_block(&hash_of(b))).collect::<Vec<_>>();
    assert_eq!(known(&machine), [true, true, false, false]);
    let _ = machine.step(precommit(0, 0, Some(hash_of(&blocks[3]))));
    let _ = machine.step(proposed(0, None, &blocks[3]));
    assert_eq!(known(&machine), [true, true, false, false], "a third of the weight or less demands nothing");
    let _ = machine.step(precommit(1, 0, Some(hash_of(&blocks[3]))));
    let _ = machine.step(proposed(0, None, &blocks[3]));
    let _ = machine.step(proposed(0, None, &blocks[2]));
    assert_eq!(known(&machine), [true, true, false, true]);
}

#[test]
fn a_node_far_behind_catches_up_with_the_round_that_a_third_has_passed() {
    let far = ROUNDS_AHEAD_MAX + 1;
    let mut machine = observer();
    let _ = machine.step(Input::ProposalReceived(proposal(far, None, &block(far, 4, 1))));
    assert!(machine.proposal(far).is_none());
    assert_eq!(machine.step(prevote(0, u32::MAX, None)), [], "one liar moves nobody");
    assert_eq!(machine.step(prevote(1, far, None)).first(), Some(&Effect::RoundStarted { round: far }));
    machine.check_invariants();
    assert_eq!(machine.prevotes_bitmap(far), SignerBitmap::empty(4), "its votes were not kept");
    let further = far + 200;
    assert_eq!(
        machine.step(prevote(1, further, None)).first(),
        Some(&Effect::RoundStarted { round: further })
    );
}

#[test]
fn rounds_long_past_are_forgotten_but_for_what_can_still_matter() {
    let mut machine = observer();
    let (kept, dropped) = (block(0, 4, 1), block(1, 4, 2));
    let hash = hash_of(&kept);
    for input in [proposed(0, None, &kept), proposed(1, None, &dropped)] {
        let _ = machine.step(input);
    }
    for place in 0..3 {
        let _ = machine.step(prevote(place, 0, Some(hash)));
        let _ = machine.step(prevote(place, 2, None));
    }
    for round in 3..=ROUNDS_BEHIND_MAX + 10 {
        for place in 0..2 {
            let _ = machine.step(precommit(place, round, None));
        }
        assert_eq!(machine.round(), round);
        machine.check_invariants();
    }
    assert!(machine.has_block(&hash) && !machine.has_block(&hash_of(&dropped)));
    assert_eq!(machine.proof_of_lock_votes(0, hash).len(), 3);
    assert_eq!(machine.prevotes_bitmap(2), SignerBitmap::empty(4));
    // What was forgotten counts again when it comes again.
    for place in 0..3 {
        let _ = machine.step(precommit(place, 1, Some(hash_of(&dropped))));
    }
    let _ = machine.step(proposed(1, None, &dropped));
    let effects = machine.step(validated(&dropped, true));
    assert!(matches!(effects.as_slice(), [Effect::Decide { round: 1, .. }]), "{effects:?}");
}

/// Votes of rounds far ahead come in any order.
#[test]
fn how_far_a_member_has_come_is_not_taken_back_by_a_vote_that_comes_late() {
    let (far, further) = (ROUNDS_AHEAD_MAX + 1, ROUNDS_AHEAD_MAX + 200);
    let mut machine = observer();
    for input in [prevote(0, further, None), prevote(0, far, None)] {
        assert_eq!(machine.step(input), [], "one moves nobody");
    }
    let effects = machine.step(prevote(1, further, None));
    assert_eq!(effects.first(), Some(&Effect::RoundStarted { round: further }));
}

/// INV-BFT-5: what a commit is made of can still matter, though the block is not here yet.
#[test]
fn a_block_that_comes_long_after_its_precommits_is_decided_with_them() {
    let mut machine = observer();
    let late = block(0, 4, 1);
    for place in 0..3 {
        let _ = machine.step(precommit(place, 0, Some(hash_of(&late))));
    }
    for round in 1..=ROUNDS_BEHIND_MAX + 10 {
        for place in 0..2 {
            let _ = machine.step(precommit(place, round, None));
        }
        assert_eq!(machine.round(), round);
    }
    let _ = machine.step(proposed(0, None, &late));
    let effects = machine.step(validated(&late, true));
    let [Effect::Decide { round: 0, commit, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((commit.signers.iter().count(), commit.signatures.len()), (3, 3));
}

#[test]
fn peers_get_the_votes_and_the_proposal_that_they_lack() {
    let Blocks { a, b, .. } = Blocks::new();
    let mut machine = observer();
    for input in [proposed(0, None, &a), proposed(0, None, &b), prevote(0, 0, None), prevote(1, 0, None)] {
        let _ = machine.step(input);
    }
    let _ = machine.step(precommit(2, 0, None));
    let (mut have_prevotes, have_precommits) = (SignerBitmap::empty(4), SignerBitmap::empty(4));
    have_prevotes.set(0);
    let votes = machine.votes_for_peer(0, &have_prevotes, &have_precommits);
    let expected = [vote(VoteStep::Prevote, 1, 0, None), vote(VoteStep::Precommit, 2, 0, None)];
    assert_eq!(votes, expected);
    let best = |machine: &Machine| machine.proposal(0).map(|proposal| hash_of(&proposal.block));
    assert_eq!(best(&machine), Some(hash_of(&a)));
    let _ = machine.step(prevote(3, 0, Some(hash_of(&b))));
    assert_eq!(best(&machine), Some(hash_of(&b)), "the one that is voted for");
}

#[test]
fn quorums_are_of_weight_not_of_heads() {
    let mut machine = Machine::new(context_of(&[10, 1, 1, 1], None));
    let a = block(0, 4, 1);
    for input in [Input::HeightDue, proposed(0, None, &a), validated(&a, true)] {
        let _ = machine.step(input);
    }
    for place in 1..4 {
        assert_eq!(machine.step(precommit(place, 0, Some(hash_of(&a)))), []);
    }
    let effects = machine.step(precommit(0, 0, Some(hash_of(&a))));
    assert!(matches!(effects.as_slice(), [Effect::Decide { .. }]), "{effects:?}");
}

/// Blocks whose validation is ordered.
fn ordered(effects: &[Effect]) -> Vec<BlockHash> {
    let ordered = |effect: &Effect| match effect {
        Effect::ValidateBlock { block } => Some(block.header.hash()),
        _ => None,
    };
    effects.iter().filter_map(ordered).collect()
}

/// INV-BFT-7.
#[test]
fn blocks_of_rounds_ahead_are_validated_when_their_round_comes_or_a_third_votes_for_them() {
    let mut machine = observer();
    let blocks: Vec<_> = (0..ROUNDS_AHEAD_MAX).map(|round| block(round, 4, round as u8)).collect();
    let mut at_once = Vec::new();
    for (round, block) in (0..).zip(&blocks) {
        at_once.extend(ordered(&machine.step(proposed(round, None, block))));
        machine.check_invariants();
    }
    assert_eq!(at_once, [hash_of(&blocks[0])], "whoever sends all rounds at once costs one validation");
    assert_eq!(ordered(&machine.step(prevote(0, 7, Some(hash_of(&blocks[7]))))), []);
    let demanded = ordered(&machine.step(prevote(1, 7, Some(hash_of(&blocks[7])))));
    // A third has voted in that round, so it begins here as well, and with it all before it have come.
    let up_to: std::collections::BTreeSet<_> = blocks[1..=7].iter().map(hash_of).collect();
    assert_eq!(demanded.into_iter().collect::<std::collections::BTreeSet<_>>(), up_to);
    let mut far = observer();
    let _ = far.step(proposed(5, None, &blocks[5]));
    assert_eq!(ordered(&far.step(precommit(0, 0, Some(hash_of(&blocks[5]))))), []);
}

/// One pair is enough to accuse who signed them.
#[test]
fn a_third_proposal_that_votes_demand_is_kept_without_another_report() {
    let mut machine = observer();
    let blocks = [1, 2, 3].map(|tag| block(0, 4, tag));
    let third = hash_of(&blocks[2]);
    for place in 1..3 {
        let _ = machine.step(prevote(place, 0, Some(third)));
    }
    let mut reported = Vec::new();
    for block in &blocks {
        reported.push(reports(&machine.step(proposed(0, None, block))));
    }
    assert_eq!((reported, machine.has_block(&third)), (vec![0, 1, 0], true));
}

/// INV-BFT-5: else the proposers of all rounds that are over could fill memory, a block for each.
#[test]
fn a_proposal_of_a_round_long_past_is_kept_only_if_votes_demand_its_block() {
    let mut machine = observer();
    let now = ROUNDS_BEHIND_MAX + 10;
    for place in 0..2 {
        let _ = machine.step(precommit(place, now, None));
    }
    assert_eq!(machine.round(), now);
    for (round, is_kept) in [(0, false), (9, false), (10, true), (now, true)] {
        let late = block(round, 4, u8::try_from(round).unwrap());
        let _ = machine.step(proposed(round, None, &late));
        assert_eq!(machine.has_block(&hash_of(&late)), is_kept, "round {round}");
    }
    let demanded = block(9, 4, 9);
    for place in 0..2 {
        let _ = machine.step(precommit(place, 9, Some(hash_of(&demanded))));
    }
    let _ = machine.step(proposed(9, None, &demanded));
    assert!(machine.has_block(&hash_of(&demanded)));
}

/// INV-BFT-5: a validator could else have a vote for each block of the rounds ahead in each round.
#[test]
fn votes_for_blocks_that_are_first_proposed_later_are_bounded_like_those_for_unknown_ones() {
    let mut machine = observer();
    let blocks: Vec<_> = (0..10_u8).map(|round| block(Round::from(round), 4, round)).collect();
    for (round, block) in (0..).zip(&blocks) {
        let _ = machine.step(proposed(round, None, block));
    }
    for (step, of_round) in [(VoteStep::Prevote, 0), (VoteStep::Precommit, 3)] {
        for block in &blocks {
            let _ = machine.step(Input::VoteReceived(vote(step, 0, of_round, Some(hash_of(block)))));
        }
        let known = usize::try_from(of_round).unwrap() + 1;
        let empty = SignerBitmap::empty(4);
        let kept = machine.votes_for_peer(of_round, &empty, &empty);
        assert_eq!(kept.len(), known + UNKNOWN_VALUES_MAX, "round {of_round}");
        machine.check_invariants();
    }
}

/// Else a proposer could hide the proof that holds behind one that never will, and nobody would prevote.
#[test]
fn one_block_proposed_by_two_proofs_of_lock_is_a_contradiction_and_either_may_be_answered() {
    let a = Blocks::new().a;
    let mut machine = Machine::new(context(Some(1)));
    for input in [Input::HeightDue, proposed(0, None, &a), validated(&a, true)] {
        let _ = machine.step(input);
    }
    for place in [0, 2, 3] {
        let _ = machine.step(prevote(place, 0, Some(hash_of(&a))));
    }
    for place in [0, 2] {
        let _ = machine.step(precommit(place, 4, None));
    }
    assert_eq!(machine.round(), 4);
    let names = [("a", hash_of(&a))];
    assert_eq!(words(&machine.step(proposed(4, Some(1), &a)), &names), [""; 0], "nothing proves it");
    let said = words(&machine.step(proposed(4, Some(0), &a)), &names);
    assert_eq!(said, ["equivocation a a", "prevote 4 a"]);
}

/// INV-BFT-5: two votes for a block are all that one liar needs, and it has them in each round.
#[test]
fn whoever_votes_for_a_block_in_both_steps_demands_it_with_its_weight_once() {
    let mut machine = observer();
    let blocks = [1, 2, 3].map(|tag| block(0, 4, tag));
    let third = hash_of(&blocks[2]);
    for input in [prevote(0, 0, Some(third)), precommit(0, 0, Some(third))] {
        let _ = machine.step(input);
    }
    for block in &blocks {
        let _ = machine.step(proposed(0, None, block));
    }
    assert!(!machine.has_block(&third), "a quarter of the weight demands nothing");
    let _ = machine.step(prevote(1, 0, Some(third)));
    let _ = machine.step(proposed(0, None, &blocks[2]));
    assert!(machine.has_block(&third));
}

/// INV-BFT-5: a height that is decided waits for its next one, and liars could go on voting all the while.
#[test]
fn of_a_decided_height_only_votes_that_complete_the_commit_are_kept() {
    let a = Blocks::new().a;
    let value = Some(hash_of(&a));
    let mut machine = observer();
    for input in [proposed(0, None, &a), validated(&a, true), precommit(0, 0, value), precommit(1, 0, value)]
    {
        let _ = machine.step(input);
    }
    let effects = machine.step(precommit(2, 0, value));
    assert!(matches!(effects.as_slice(), [Effect::Decide { .. }]), "{effects:?}");
    let late = [
        vote(VoteStep::Prevote, 3, 0, value),
        vote(VoteStep::Prevote, 3, 1, None),
        vote(VoteStep::Precommit, 3, 1, value),
        vote(VoteStep::Precommit, 3, 0, value),
    ];
    for vote in late {
        let _ = machine.step(Input::VoteReceived(vote));
    }
    let empty = SignerBitmap::empty(4);
    let kept = |round| machine.votes_for_peer(round, &empty, &empty);
    let completes = (0..4).map(|place| vote(VoteStep::Precommit, place, 0, value)).collect::<Vec<_>>();
    assert_eq!((kept(0), kept(1)), (completes, Vec::new()));
}

/// INV-BFT-5: a block is large, and each round that is over would be a reason to keep it once more.
#[test]
fn a_block_that_votes_demand_is_kept_no_more_often_than_any_other() {
    let mut machine = observer();
    let demanded = block(0, 4, 1);
    let _ = machine.step(proposed(0, None, &demanded));
    for place in 0..2 {
        let _ = machine.step(prevote(place, 0, Some(hash_of(&demanded))));
        let _ = machine.step(precommit(place, 8, None));
    }
    assert_eq!(machine.round(), 8);
    let again: Vec<Input> = (0..8).map(|pol_round| proposed(8, Some(pol_round), &demanded)).collect();
    for input in &again {
        let _ = machine.step(input.clone());
    }
    let kept = again.iter().filter(|input| !machine.is_new(input)).count();
    assert_eq!(kept, PROPOSALS_PER_ROUND_MAX);
}

/// A proof of lock is of prevotes for the block, which nobody can have cast before it was proposed.
#[test]
fn no_block_is_proved_by_a_round_before_its_own() {
    let machine = observer();
    let early = ProposalError::HeaderRound { header_round: 1, round: 3 };
    for (pol_round, expected) in [(0, Err(early)), (1, Ok(())), (2, Ok(()))] {
        let again = proposal(3, Some(pol_round), &block(1, 4, 1));
        assert_eq!(machine.check_proposal(&again), expected, "proved by round {pol_round}");
    }
}
