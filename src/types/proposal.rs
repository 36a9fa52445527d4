//! Proposals of blocks.
//!
//! # Place
//! Data only; when a proposal counts is in `protocol/bft`.

use bincode::{Decode, Encode};

use super::Round;
use super::block::BlockBlueprint;
use super::evidence::ProposalHead;
use super::hash::MasternodeId;
use super::keys::{PublicKey, SecretKey, Signature, SignatureCheck};
use super::vote::proposal_digest;

/// A signed proposal of a block in a round.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Proposal {
    /// The round it is proposed in; at least the header's.
    pub round: Round,
    /// The earlier round with a quorum of prevotes for the block, if it is proposed again.
    pub pol_round: Option<Round>,
    /// Who proposes it in this round.
    pub validator: MasternodeId,
    /// The block.
    pub block: BlockBlueprint,
    /// By the validator's operator key.
    pub signature: Signature,
}

impl Proposal {
    /// What its signature signs.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let header = &self.block.header;
        let place = (header.epoch, header.height, self.round);
        proposal_digest(&header.chain_id, place, self.pol_round, &self.validator, &header.hash())
    }

    /// The proposal with its signature.
    #[must_use]
    pub fn signed(mut self, secret: &SecretKey) -> Self {
        self.signature = secret.sign(&self.digest());
        self
    }

    /// The signature that has to hold.
    #[must_use]
    pub fn signature_check(&self, key: PublicKey) -> SignatureCheck {
        SignatureCheck { key, digest: self.digest(), signature: self.signature }
    }

    /// What its signature covers, without the block itself.
    #[must_use]
    pub fn head(&self) -> ProposalHead {
        let header = &self.block.header;
        ProposalHead {
            epoch: header.epoch,
            height: header.height,
            round: self.round,
            pol_round: self.pol_round,
            validator: self.validator,
            block_hash: header.hash(),
            signature: self.signature,
        }
    }
}
