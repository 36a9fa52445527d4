//! Finality proofs, as they travel: by their bytes.

use timed::protocol::finality_proof::{Ending, EpochLink, FinalityProof, verify};
use timed::types::{FinalityVote, VoteBatch, VoteKind};

use crate::far_proof::far_proof;
use crate::story::{Story, secret_of};

#[test]
fn finality_proofs() {
    let story = Story::tell();
    let (chain_id, last) = (story.genesis.chain_id(), story.steps.last().unwrap());
    let (txid, state) = (last.block.transactions[0].txid(), &last.state);
    let links = || {
        let ends = story.steps.iter().filter(|step| step.block.header.epoch_end);
        let link = |step: &crate::story::Step| {
            let (set, next) = (step.state.validators(), step.outcome.state.validators());
            EpochLink::new(&step.block.header, &step.commit, [set, set, next]).unwrap()
        };
        ends.map(link).collect::<Vec<_>>()
    };
    let (epoch, set) = (state.next_epoch(), state.validators());
    let vote = |member: &timed::types::Validator| {
        let vote = FinalityVote { kind: VoteKind::Final, txid };
        let batch = VoteBatch::signed(&chain_id, epoch, member.id, 0, vec![vote], &secret_of(&member.key));
        batch.prove(0).unwrap()
    };
    let voted = Ending::voted(txid, epoch, set.members().iter().map(vote), set).unwrap();
    let included = Ending::included(txid, &last.block, &last.commit, set).unwrap();
    assert_eq!(links().len(), 2);
    let each_epoch = [voted, included].map(|ending| FinalityProof::new(chain_id, txid, links(), ending));
    for proof in each_epoch.into_iter().chain([far_proof(&story)]) {
        let bytes = proof.to_bytes();
        let accepted = |bytes: &[u8]| {
            FinalityProof::from_bytes(bytes).is_ok_and(|proof| verify(&story.genesis, &proof).is_ok())
        };
        assert!(accepted(&bytes));
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x01;
            assert!(!accepted(&changed), "byte {place} of {}", bytes.len());
        }
        let mut foreign = story.genesis.clone();
        foreign.time_ms += 1;
        assert!(verify(&foreign, &FinalityProof::from_bytes(&bytes).unwrap()).is_err());
    }
}
