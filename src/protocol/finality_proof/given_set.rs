//! A set as a proof gives it: by what it has in common with a set that the verifier has already, and what is new.
//!
//! # Invariants
//! - One form: a member is kept exactly if it stands in the other set behind the last one that was kept. So a set and the
//!   one that it is told from give the same bytes, whoever writes them.

use std::collections::BTreeSet;

use bincode::{Decode, Encode};

use crate::types::{SignerBitmap, Validator, ValidatorSet};

/// A set, told from another one.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub(super) struct GivenSet {
    /// The members of the other set that are in this one too, with the same key and weight; their order stays.
    pub(super) kept: SignerBitmap,
    /// The others with their places, ascending.
    pub(super) added: Vec<(u8, Validator)>,
}

impl GivenSet {
    /// How to tell a set from `base`. `None` if it has more members than places can be named.
    pub(super) fn of(set: &ValidatorSet, base: &ValidatorSet) -> Option<Self> {
        let (mut kept, mut added) = (SignerBitmap::empty(base.len()), Vec::new());
        let mut rest = base.members().iter().enumerate();
        for (place, member) in set.members().iter().enumerate() {
            let mut behind = rest.clone();
            if let Some((found, _)) = behind.find(|(_, other)| *other == member) {
                kept.set(found);
                rest = behind;
            } else {
                added.push((u8::try_from(place).ok()?, *member));
            }
        }
        Some(Self { kept, added })
    }

    /// How many members it has, if it is one.
    pub(super) fn len(&self) -> usize {
        self.kept.iter().count().saturating_add(self.added.len())
    }

    /// The set; `None` if this is not the one form in which it is told from `base`.
    pub(super) fn apply(&self, base: &ValidatorSet) -> Option<ValidatorSet> {
        if !self.kept.fits(base.len()) {
            return None;
        }
        let mut kept = self.kept.iter().filter_map(|place| base.get(place)).copied();
        let mut members = Vec::with_capacity(self.len());
        for (place, member) in &self.added {
            while members.len() < usize::from(*place) {
                members.push(kept.next()?);
            }
            members.push(*member);
        }
        members.extend(kept);
        let set = ValidatorSet::new(members);
        (Self::of(&set, base).as_ref() == Some(self)).then_some(set)
    }
}

/// Whether no masternode and no key stands in a set twice.
pub(super) fn is_distinct(set: &ValidatorSet) -> bool {
    let ids: BTreeSet<_> = set.members().iter().map(|member| member.id).collect();
    let keys: BTreeSet<_> = set.members().iter().map(|member| member.key.0).collect();
    ids.len() == set.len() && keys.len() == set.len()
}
