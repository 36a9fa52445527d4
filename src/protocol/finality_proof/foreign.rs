//! Who vouched in a proof for a set that never was.
//!
//! # Place
//! A proof that holds and whose headers name other sets than the chain has was forged by those who signed them. A node
//! that is shown one accuses them.

use super::FinalityProof;
use super::chain::{ChainProof, ProvedEnd};
use crate::protocol::evidence::is_foreign;
use crate::protocol::state::LedgerState;
use crate::types::{
    BlockVote, Checkpoint, Evidence, GenesisDocument, MasternodeId, SignatureVerifier, VoteStep,
};

impl FinalityProof {
    /// Evidence against those who signed links that can't be of the chain with this state, a piece for each of them whose
    /// key can still be punished. A proof whose links may be of this chain accuses nobody, and costs no signature checks.
    #[must_use]
    pub fn accuses(
        &self,
        state: &LedgerState,
        (genesis, trusted): (&GenesisDocument, Option<&Checkpoint>),
        verifier: &dyn SignatureVerifier,
    ) -> Vec<Evidence> {
        let mut accused = Vec::new();
        if !self.links.iter().any(|link| is_foreign(&link.header, state)) {
            return accused;
        }
        let (chain_id, anchor) = (self.chain_id, self.anchor.clone());
        let way = ChainProof { chain_id, anchor, links: self.links.clone() };
        let Ok(proved) = way.verify(genesis, trusted, verifier) else { return accused };
        for end in proved.ends.iter().filter(|end| is_foreign(&end.header, state)) {
            let known: Vec<MasternodeId> = accused.iter().map(Evidence::validator).collect();
            accused.extend(signed(end, state).filter(|piece| !known.contains(&piece.validator())));
        }
        accused
    }
}

/// A piece for each signer, by the key alone: a forged set may give it any name.
fn signed<'a>(end: &'a ProvedEnd, state: &'a LedgerState) -> impl Iterator<Item = Evidence> + 'a {
    let ProvedEnd { header, commit, set, .. } = end;
    commit.signers.iter().zip(&commit.signatures).filter_map(|(place, signature)| {
        let (member_in, validator) = state.holder_of(&set.get(place)?.key)?;
        let vote = BlockVote {
            step: VoteStep::Precommit,
            epoch: header.epoch,
            height: header.height,
            round: commit.round,
            value: Some(commit.block_hash),
            validator,
            signature: *signature,
        };
        Some(Evidence::of_foreign(member_in, vote, header.clone()))
    })
}
