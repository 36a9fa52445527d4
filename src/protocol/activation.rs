//! How a new version of the rules comes into force.
//!
//! # Place
//! A part of the [ledger's state](super::state): the transition notes what each header announces, and decides at the end
//! of an epoch. `consensus/` stops a node whose program does not know what is in force.
//!
//! # Protocol
//! Each block says the newest version that its proposer's program knows. The last word of each member counts, for as long
//! as it is a member. At the end of an epoch the version that is *pending* comes into force with the next one, if members of
//! weight `Q` still know it, of the set whose epoch ends and of the set that votes next. The highest version beyond what is in
//! force then, of those that as many know, becomes pending. So there is one whole epoch in which every program warns, and what
//! too few know any more is not pending any longer.
//!
//! # Argument
//! All of this follows from the chain's state, so all nodes change in the same block. Less than a third of the weight can't
//! reach `Q` alone: some honest member announced the version, so it exists. Nor can it hold up a version that honest members
//! of weight `Q` know for longer than an epoch: it may make a higher one pending that too few others know, but when that one
//! is given up the version is pending, and then nothing takes its place. A program that does not know what is in force stops before that epoch, so it neither signs nor applies a
//! block that it would judge by other rules; members that can still decide on the last block of the ended epoch have `Q` of
//! its set. What is final in an epoch is in its blocks by its end (S3), so no payment is final by one version and invalid by the
//! next.
//!
//! What it does not give: members that announced a version may be down, or may have lied. As in every epoch, less than a third
//! may be missing for the chain to go on; those whose programs are outdated are missing too. An operator who upgrades brings
//! their weight back.
//!
//! # Invariants
//! - INV-RULES-2: the version in force never goes down, and changes at ends of epochs only.
//! - INV-RULES-3: a version comes into force only between two sets of each of which members of weight `Q` announced it or a
//!   later one, and was pending for one whole epoch.
//! - INV-RULES-4: there is at most one announcement for each member of the set, and none of what is in force already.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};

use crate::types::{Epoch, MasternodeId, RuleVersion, ValidatorSet};

/// A version that is to come into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PendingRules {
    /// Which one.
    pub version: RuleVersion,
    /// The first epoch that may follow it.
    pub epoch: Epoch,
}

/// Which rules the next block keeps to, and what is to come.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Rules {
    in_force: RuleVersion,
    since: Epoch,
    pending: Option<PendingRules>,
    /// Of members that know more than what is in force.
    announced: BTreeMap<MasternodeId, RuleVersion>,
}

/// Rules that the program does not know are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the chain follows rules {version} from epoch {epoch} on, and this program knows rules up to {known}: install a timed \
     that knows rules {version} (`timed --version` says what it knows), and start it on the same data directory"
)]
pub struct UnknownRules {
    /// What is in force.
    pub version: RuleVersion,
    /// Since when.
    pub epoch: Epoch,
    /// What the program knows.
    pub known: RuleVersion,
}

impl Default for Rules {
    /// Those of a new chain.
    fn default() -> Self {
        Self { in_force: RuleVersion::FIRST, since: 0, pending: None, announced: BTreeMap::new() }
    }
}

impl Rules {
    /// The version that the next block keeps to.
    #[must_use]
    pub const fn in_force(&self) -> RuleVersion {
        self.in_force
    }

    /// The first epoch that followed it.
    #[must_use]
    pub const fn since(&self) -> Epoch {
        self.since
    }

    /// What is to come into force.
    #[must_use]
    pub const fn pending(&self) -> Option<PendingRules> {
        self.pending
    }

    /// What members announced beyond what is in force.
    #[must_use]
    pub const fn announced(&self) -> &BTreeMap<MasternodeId, RuleVersion> {
        &self.announced
    }

    /// Whether the next block keeps to this version or a later one.
    #[must_use]
    pub fn include(&self, version: RuleVersion) -> bool {
        self.in_force >= version
    }

    /// Whether a program that knows rules up to `known` can go on.
    ///
    /// # Errors
    /// When it has to be replaced first.
    pub fn check_known(&self, known: RuleVersion) -> Result<(), UnknownRules> {
        if self.in_force <= known {
            return Ok(());
        }
        Err(UnknownRules { version: self.in_force, epoch: self.since, known })
    }

    /// The weight of the members of a set that know a version.
    #[must_use]
    pub fn weight_of(&self, set: &ValidatorSet, version: RuleVersion) -> u64 {
        let knows = |id: &MasternodeId| {
            self.in_force >= version || self.announced.get(id).is_some_and(|known| *known >= version)
        };
        let weights = set.members().iter().filter(|member| knows(&member.id)).map(|member| member.weight);
        weights.fold(0, u64::saturating_add)
    }

    /// The proposer of a block said what its program knows.
    pub(super) fn note(&mut self, proposer: MasternodeId, known: RuleVersion) {
        if known > self.in_force {
            self.announced.insert(proposer, known);
        } else {
            self.announced.remove(&proposer);
        }
    }

    /// An epoch in which `ended` voted is over; `epoch` is the next one, in which `next` votes.
    pub(super) fn turn_epoch(&mut self, epoch: Epoch, ended: &ValidatorSet, next: &ValidatorSet) {
        let sets = [ended, next];
        if let Some(PendingRules { version, .. }) =
            self.pending.filter(|pending| self.has_quorum(sets, pending.version))
        {
            (self.in_force, self.since) = (version, epoch);
        }
        let in_force = self.in_force;
        let known = self.with_quorum(sets).filter(|version| *version > in_force);
        self.pending = known.map(|version| PendingRules { version, epoch: epoch.saturating_add(1) });
        self.announced
            .retain(|id, known| *known > in_force && next.members().iter().any(|member| member.id == *id));
    }

    /// Whether a quorum of each of these sets knows a version.
    fn has_quorum(&self, sets: [&ValidatorSet; 2], version: RuleVersion) -> bool {
        let knows = |set: &ValidatorSet, version| self.weight_of(set, version) >= set.quorum();
        sets.iter().all(|set| knows(set, version))
    }

    /// The highest version beyond what is in force that a quorum of each of these sets knows.
    fn with_quorum(&self, sets: [&ValidatorSet; 2]) -> Option<RuleVersion> {
        let mut versions: Vec<RuleVersion> = self.announced.values().copied().collect();
        versions.sort_unstable();
        versions.dedup();
        versions.into_iter().rev().find(|version| self.has_quorum(sets, *version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{PublicKey, Validator};

    const NEXT: RuleVersion = RuleVersion(2);

    fn id(place: u8) -> MasternodeId {
        MasternodeId([place; 32])
    }

    /// Members 0, 1, 2, ... with these weights.
    fn set(weights: &[u64]) -> ValidatorSet {
        let member = |(place, weight): (u8, &u64)| Validator {
            id: id(place),
            key: PublicKey([place; 32]),
            weight: *weight,
        };
        ValidatorSet::new((0..).zip(weights).map(member).collect())
    }

    fn announced(versions: &[u32]) -> Rules {
        let mut rules = Rules::default();
        for (place, version) in (0..).zip(versions) {
            rules.note(id(place), RuleVersion(*version));
        }
        rules
    }

    fn pending(version: u32, epoch: Epoch) -> Option<PendingRules> {
        Some(PendingRules { version: RuleVersion(version), epoch })
    }

    /// INV-RULES-3: `Q` of weight and not of heads, and one whole epoch of warning.
    #[test]
    fn a_version_that_a_quorum_announced_is_in_force_one_whole_epoch_after_it_became_pending() {
        let set = set(&[4, 1, 1, 1]);
        let mut rules = announced(&[1, 2, 2, 2]);
        rules.turn_epoch(7, &set, &set);
        assert_eq!(rules.pending(), None, "three of four members, three of seven by weight");
        let mut rules = announced(&[2, 1, 1, 1]);
        rules.turn_epoch(7, &set, &set);
        assert_eq!(rules.pending(), None, "4 of 7 is one short of Q");
        rules.note(id(3), NEXT);
        assert_eq!((rules.weight_of(&set, NEXT), set.quorum()), (5, 5));
        rules.turn_epoch(8, &set, &set);
        assert_eq!((rules.in_force(), rules.pending()), (RuleVersion::FIRST, pending(2, 9)));
        assert_eq!(rules.check_known(RuleVersion::FIRST), Ok(()), "all of epoch 8 is left to upgrade");
        rules.turn_epoch(9, &set, &set);
        assert_eq!((rules.in_force(), rules.since(), rules.pending()), (NEXT, 9, None));
        let known = RuleVersion::FIRST;
        let outdated = UnknownRules { version: NEXT, epoch: 9, known };
        assert_eq!(rules.check_known(known), Err(outdated));
        assert!(outdated.to_string().contains("rules 2 from epoch 9 on"), "{outdated}");
        assert_eq!(rules.check_known(NEXT), Ok(()));
    }

    /// INV-RULES-3: what too few know any more has to be pending anew, with its whole epoch of warning.
    #[test]
    fn a_pending_version_is_withdrawn_when_a_set_on_either_side_lacks_a_quorum_that_knows_it() {
        let equal = set(&[1, 1, 1, 1]);
        let begun = || {
            let mut rules = announced(&[2, 2, 2, 1]);
            rules.turn_epoch(1, &equal, &equal);
            assert_eq!(rules.pending(), pending(2, 2));
            rules
        };
        // Of those who know it one takes it back.
        let mut rules = begun();
        rules.note(id(0), RuleVersion::FIRST);
        rules.turn_epoch(2, &equal, &equal);
        assert_eq!((rules.in_force(), rules.pending()), (RuleVersion::FIRST, None));
        rules.note(id(0), NEXT);
        rules.turn_epoch(3, &equal, &equal);
        assert_eq!(rules.pending(), pending(2, 4));
        // By weight of the set to come, and of the one that ended.
        let heavy = set(&[1, 1, 1, 5]);
        for (ended, next) in [(&equal, &heavy), (&heavy, &equal)] {
            let mut rules = begun();
            rules.turn_epoch(2, ended, next);
            assert_eq!((rules.in_force(), rules.pending()), (RuleVersion::FIRST, None));
        }
        let mut rules = begun();
        rules.turn_epoch(2, &equal, &set(&[3, 3, 3, 1]));
        assert_eq!((rules.in_force(), rules.since(), rules.pending()), (NEXT, 2, None));
    }

    #[test]
    fn of_several_versions_the_highest_that_a_quorum_knows_comes() {
        let equal = set(&[1; 4]);
        let mut rules = announced(&[4, 3, 3, 2]);
        rules.turn_epoch(1, &equal, &equal);
        assert_eq!(rules.pending(), pending(3, 2), "who knows 4 knows 3");
        // Meanwhile all know 4: it comes behind 3, with a warning of its own.
        (0..4).for_each(|place| rules.note(id(place), RuleVersion(4)));
        rules.turn_epoch(2, &equal, &equal);
        assert_eq!((rules.in_force(), rules.since(), rules.pending()), (RuleVersion(3), 2, pending(4, 3)));
        rules.turn_epoch(3, &equal, &equal);
        assert_eq!((rules.in_force(), rules.pending()), (RuleVersion(4), None));
    }

    /// Two know 3, one knows 2, and one says now this and now that.
    #[test]
    fn one_that_changes_its_word_holds_up_what_the_others_know_for_an_epoch_at_most() {
        let equal = set(&[1; 4]);
        for words in [[3, 1, 3, 1], [3, 1, 2, 3], [1, 3, 1, 3], [3, 2, 3, 2], [2, 3, 2, 1]] {
            let mut rules = announced(&[3, 3, 2]);
            for (epoch, word) in (1..).zip(words) {
                rules.note(id(3), RuleVersion(word));
                rules.turn_epoch(epoch, &equal, &equal);
            }
            assert!(rules.in_force() >= NEXT && rules.since() <= 3, "{words:?}: {rules:?}");
        }
    }

    /// INV-RULES-2, and whoever announces nonsense alone moves nothing.
    #[test]
    fn nothing_is_taken_back_and_one_liar_decides_nothing() {
        let equal = set(&[1; 4]);
        let mut rules = announced(&[u32::MAX, 2, 2, 1]);
        rules.turn_epoch(1, &equal, &equal);
        rules.turn_epoch(2, &equal, &equal);
        assert_eq!(rules.in_force(), NEXT, "what the honest ones know");
        (0..4).for_each(|place| rules.note(id(place), RuleVersion::FIRST));
        for epoch in 3..6 {
            rules.turn_epoch(epoch, &equal, &equal);
            assert_eq!((rules.in_force(), rules.since(), rules.pending()), (NEXT, 2, None), "INV-RULES-2");
        }
    }

    /// INV-RULES-4.
    #[test]
    fn only_members_are_remembered_and_only_what_is_not_in_force() {
        let mut rules = announced(&[2, 2, 2, 2, 3]);
        rules.turn_epoch(1, &set(&[1; 4]), &set(&[1; 4]));
        assert!(rules.announced().keys().eq([id(0), id(1), id(2), id(3)].iter()), "member 4 has left");
        rules.note(id(3), RuleVersion(3));
        rules.turn_epoch(2, &set(&[1; 4]), &set(&[1; 4]));
        assert_eq!(rules.announced(), &BTreeMap::from([(id(3), RuleVersion(3))]));
        rules.note(id(0), NEXT);
        assert_eq!(rules.announced().len(), 1);
    }
}
