//! A masternode's sign of life, for operators. No rule of consensus depends on it.

use bincode::{Decode, Encode};

use super::block::SignerBitmap;
use super::hash::{ChainId, Domain, DomainHasher, MasternodeId};
use super::instance::InstanceId;
use super::keys::{PublicKey, SecretKey, Signature, SignatureCheck};
use super::{Epoch, Height, TimeMs};

/// What a masternode says of itself once a minute, and which others it has heard.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Heartbeat {
    /// Whose.
    pub validator: MasternodeId,
    /// Which start of its node says this. One under a node's own key that names another start is an old one of its own,
    /// or a copy's.
    pub instance: InstanceId,
    /// The epoch whose set and keys it speaks of.
    pub epoch: Epoch,
    /// Height of its last committed block.
    pub height: Height,
    /// The number of its next batch of finality votes in this epoch: a peer that has fewer lost one.
    pub next_seq: u64,
    /// By its own clock.
    pub time_ms: TimeMs,
    /// The members of the epoch's set that it has heard within the last two minutes.
    pub heard: SignerBitmap,
    /// By its operator key.
    pub signature: Signature,
}

impl Heartbeat {
    /// What its signature signs.
    #[must_use]
    pub fn digest(&self, chain_id: &ChainId) -> [u8; 32] {
        let hasher = DomainHasher::new(Domain::Heartbeat)
            .bytes(&chain_id.0)
            .bytes(&self.validator.0)
            .bytes(&self.instance.start)
            .u32(self.instance.attempt)
            .u64(self.epoch)
            .u64(self.height)
            .u64(self.next_seq)
            .u64(self.time_ms);
        let heard = super::codec::encode(&self.heard);
        hasher.bytes(&heard).finish()
    }

    /// The heartbeat with its signature.
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
