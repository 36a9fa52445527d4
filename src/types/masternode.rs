//! Validators and their sets, and what transactions say about masternodes.
//!
//! # Invariants
//! - INV-SET-1: the quorum is `floor(2W/3) + 1` of the set's weight `W`. No other formula is used anywhere.
//! - INV-SET-2: a set keeps its order (by weight, then by registration), and names each masternode once.

use bincode::{Decode, Encode};

use super::codec::encode;
use super::hash::{Domain, DomainHasher, Hash, MasternodeId};
use super::keys::{PublicKey, Signature};
use super::lock::Lock;

/// One member of an epoch's set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Validator {
    /// Which masternode it is.
    pub id: MasternodeId,
    /// The key that signs its votes in this epoch.
    pub key: PublicKey,
    /// Its voting weight, at least 1: the effective one, to which it has grown.
    pub weight: u64,
}

/// The members of an epoch, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ValidatorSet {
    members: Vec<Validator>,
    total_weight: u64,
}

impl ValidatorSet {
    /// A set in the given order. Weights are at most a few hundred each and members at most 100, so the sum can't
    /// reach the saturation that guards it.
    #[must_use]
    pub fn new(members: Vec<Validator>) -> Self {
        let total_weight = members.iter().fold(0_u64, |sum, member| sum.saturating_add(member.weight));
        Self { members, total_weight }
    }

    /// The members in order.
    #[must_use]
    pub fn members(&self) -> &[Validator] {
        &self.members
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// `W`, the sum of weights.
    #[must_use]
    pub const fn total_weight(&self) -> u64 {
        self.total_weight
    }

    /// `Q = floor(2W/3) + 1`.
    #[must_use]
    pub fn quorum(&self) -> u64 {
        let doubled = u128::from(self.total_weight).saturating_mul(2);
        let quorum = doubled.checked_div(3).unwrap_or(0).saturating_add(1);
        u64::try_from(quorum).unwrap_or(u64::MAX)
    }

    /// Whether this weight is more than a third of `W`: at least one honest validator is in it.
    #[must_use]
    pub fn exceeds_third(&self, weight: u64) -> bool {
        u128::from(weight).saturating_mul(3) > u128::from(self.total_weight)
    }

    /// The member at a place of the order.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Validator> {
        self.members.get(index)
    }

    /// The place of a masternode in the order.
    #[must_use]
    pub fn index_of(&self, id: &MasternodeId) -> Option<usize> {
        self.members.iter().position(|member| member.id == *id)
    }

    /// The member with this operator key.
    #[must_use]
    pub fn find_key(&self, key: &PublicKey) -> Option<(usize, &Validator)> {
        self.members.iter().enumerate().find(|(_, member)| member.key == *key)
    }

    /// The hash that headers carry.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash(DomainHasher::new(Domain::ValidatorSet).bytes(&encode(&self.members)).finish())
    }
}

/// An operator's agreement to the transaction that it stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct OperatorConsent {
    /// The operator's key.
    pub key: PublicKey,
    /// Its signature of [`Transaction::consent_digest`](super::Transaction::consent_digest).
    pub signature: Signature,
}

impl OperatorConsent {
    /// A consent that is still to be signed.
    #[must_use]
    pub const fn unsigned(key: PublicKey) -> Self {
        Self { key, signature: Signature::EMPTY }
    }
}

/// Registers a masternode. Its owner is whoever may spend the collateral.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct MasternodeRegistration {
    /// Which output of the same transaction is the collateral; its value is that of a tier.
    pub collateral_index: u32,
    /// The key that is to vote, which signs its own registration.
    pub operator: OperatorConsent,
    /// Where rewards go.
    pub payout: Lock,
    /// `host:port` where its node can be reached: printable ASCII of at most
    /// [`ADDRESS_TEXT_BYTES_MAX`](super::limits::ADDRESS_TEXT_BYTES_MAX) bytes.
    pub network_address: String,
}

/// Changes what the chain knows of a masternode. What is `None` stays.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct MasternodeUpdate {
    /// Which one. Unless it only un-jails, an input has to belong to its owner.
    pub masternode: MasternodeId,
    /// The key that is to vote from the next epoch on, which agrees.
    pub operator: Option<OperatorConsent>,
    /// Where rewards are to go.
    pub payout: Option<Lock>,
    /// Where its node can be reached.
    pub network_address: Option<String>,
    /// Un-jails, by the operator key that the masternode has: its node is up again.
    pub unjail: Option<OperatorConsent>,
}

impl MasternodeUpdate {
    /// An update that only un-jails.
    #[must_use]
    pub const fn unjail(masternode: MasternodeId, operator: PublicKey) -> Self {
        Self {
            masternode,
            operator: None,
            payout: None,
            network_address: None,
            unjail: Some(OperatorConsent::unsigned(operator)),
        }
    }

    /// Whether it changes something that belongs to the owner.
    #[must_use]
    pub const fn needs_owner(&self) -> bool {
        self.operator.is_some() || self.payout.is_some() || self.network_address.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::keys::SecretKey;

    fn set(weights: &[u64]) -> ValidatorSet {
        let members = (0_u8..)
            .zip(weights)
            .map(|(i, weight)| Validator {
                id: MasternodeId([i; 32]),
                key: SecretKey::from_seed(&[i; 32]).public(),
                weight: *weight,
            })
            .collect();
        ValidatorSet::new(members)
    }

    /// INV-SET-1.
    #[test]
    fn the_quorum_is_more_than_two_thirds() {
        for (weights, quorum) in
            [(vec![1; 3], 3), (vec![1; 4], 3), (vec![1; 6], 5), (vec![1; 7], 5), (vec![1, 10, 100], 75)]
        {
            assert_eq!(set(&weights).quorum(), quorum, "{weights:?}");
        }
    }

    #[test]
    fn two_quorums_share_more_than_a_third() {
        for total in 1..500_u64 {
            let quorum = set(&[total]).quorum();
            assert!(3 * (2 * quorum - total) > total, "{total}");
            assert!(quorum <= total);
        }
    }

    #[test]
    fn a_third_is_not_more_than_a_third() {
        let set = set(&[1; 6]);
        assert!(!set.exceeds_third(2));
        assert!(set.exceeds_third(3));
    }

    #[test]
    fn the_hash_covers_every_field_and_the_order() {
        let base = set(&[1, 2]);
        let mut members = base.members().to_vec();
        members.swap(0, 1);
        assert_ne!(ValidatorSet::new(members).hash(), base.hash());
        let mut members = base.members().to_vec();
        members[0].weight += 1;
        assert_ne!(ValidatorSet::new(members).hash(), base.hash());
    }
}
