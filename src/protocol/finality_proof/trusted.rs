//! A set that the verifier has, and how the next one follows from it.

use std::sync::Arc;

use super::FinalityProofError;
use super::given_set::{GivenSet, is_distinct};
use super::quorums::Quorums;
use crate::types::{Commit, Hash, Height, ValidatorSet};

/// A set that the verifier has, with its hash.
#[derive(Clone)]
pub(super) struct Trusted {
    pub(super) set: Arc<ValidatorSet>,
    pub(super) hash: Hash,
}

impl Trusted {
    /// Whether a link could go from this set to the block that members of `own` signed.
    pub(super) fn reaches(&self, own: &Self, commit: &Commit) -> bool {
        let trusted = Some(&*self.set).filter(|_| own.hash != self.hash);
        Quorums { set: &own.set, trusted }.are_reached_by(commit.signers.iter())
    }

    /// The set that the header of block `height` names by `expected`: this one, or the one that is given.
    pub(super) fn or_given(
        &self,
        height: Height,
        expected: Hash,
        given: Option<&GivenSet>,
    ) -> Result<Self, FinalityProofError> {
        let given = match given {
            None if expected == self.hash => return Ok(self.clone()),
            None => return Err(FinalityProofError::SetMissing { height }),
            Some(_) if expected == self.hash => return Err(FinalityProofError::SetRepeated { height }),
            Some(given) => given,
        };
        let set = given.apply(&self.set).ok_or(FinalityProofError::SetNotCanonical { height })?;
        let found = set.hash();
        if found != expected {
            return Err(FinalityProofError::WrongSet { height, expected, found });
        }
        if !is_distinct(&set) {
            return Err(FinalityProofError::SetNotDistinct { height });
        }
        Ok(Self { set: Arc::new(set), hash: found })
    }
}
