//! What the node of a masternode says of its own start, and of the starts of others.
//!
//! A statement counts in the epoch that it names only, by the key that its validator has then.

use bincode::{Decode, Encode};

use super::Epoch;
use super::hash::{ChainId, Domain, DomainHasher, MasternodeId};
use super::keys::{PublicKey, SecretKey, Signature, SignatureCheck};

/// One start of a node, and which time it asks to be acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub struct InstanceId {
    /// Random, drawn when the node started: two nodes with one key have two.
    pub start: [u8; 16],
    /// From 0; one more whenever the node asks anew, since it was cut off or stood still.
    pub attempt: u32,
}

/// A start of another node that the speaker acknowledges.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Acknowledged {
    /// Whose.
    pub validator: MasternodeId,
    /// Which start.
    pub instance: InstanceId,
}

/// What a member of the set says about starts: its own and others'.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct InstanceStatement {
    /// Who says it.
    pub validator: MasternodeId,
    /// The epoch whose set and keys it speaks of.
    pub epoch: Epoch,
    /// The speaker's own start.
    pub instance: InstanceId,
    /// Ascends with each statement of one start.
    pub seq: u64,
    /// Whether the speaker asks to be acknowledged.
    pub asks: bool,
    /// Other starts under the speaker's own key that it heard of lately. As a start's number is random, whoever names it
    /// was alive after it began.
    pub rivals: Vec<InstanceId>,
    /// Starts of other members that the speaker acknowledges.
    pub acknowledged: Vec<Acknowledged>,
    /// By the speaker's operator key.
    pub signature: Signature,
}

impl InstanceStatement {
    /// What its signature signs.
    #[must_use]
    pub fn digest(&self, chain_id: &ChainId) -> [u8; 32] {
        let instance = |hasher: DomainHasher, id: &InstanceId| hasher.bytes(&id.start).u32(id.attempt);
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let hasher =
            DomainHasher::new(Domain::Instance).bytes(&chain_id.0).bytes(&self.validator.0).u64(self.epoch);
        let hasher = instance(hasher, &self.instance).u64(self.seq).bytes(&[u8::from(self.asks)]);
        let hasher = self.rivals.iter().fold(hasher.u64(count(self.rivals.len())), instance);
        let hasher = hasher.u64(count(self.acknowledged.len()));
        let named =
            |hasher: DomainHasher, it: &Acknowledged| instance(hasher.bytes(&it.validator.0), &it.instance);
        self.acknowledged.iter().fold(hasher, named).finish()
    }

    /// The statement with its signature.
    #[must_use]
    pub fn signed(mut self, chain_id: &ChainId, secret: &SecretKey) -> Self {
        self.signature = secret.sign(&self.digest(chain_id));
        self
    }

    /// The signature that has to hold.
    #[must_use]
    pub fn signature_check(&self, chain_id: &ChainId, key: PublicKey) -> SignatureCheck {
        SignatureCheck { key, digest: self.digest(chain_id), signature: self.signature }
    }
}
