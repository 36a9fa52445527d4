//! A proof whose link passes over epochs, to a set that the document's members know but for one.

use timed::protocol::finality_proof::{Ending, EpochLink, FinalityProof};
use timed::types::{
    Block, BlockVote, Commit, Header, MasternodeId, SignerBitmap, Validator, ValidatorSet, VoteStep,
};

use crate::story::{Story, operator, secret_of};

/// A member that nobody knows yet.
pub fn stranger(index: u8) -> Validator {
    Validator { id: MasternodeId([index; 32]), key: operator(index).public(), weight: 1 }
}

/// A commit of a header by a whole set.
fn commit(header: &Header, set: &ValidatorSet) -> Commit {
    let (height, block_hash) = (header.height, header.hash());
    let mut signers = SignerBitmap::empty(set.len());
    (0..set.len()).for_each(|place| signers.set(place));
    let sign = |member: &Validator| {
        let (epoch, step, value) = (header.epoch, VoteStep::Precommit, Some(block_hash));
        let (validator, signature) = (member.id, timed::types::Signature::EMPTY);
        let vote = BlockVote { epoch, height, round: 0, step, value, validator, signature };
        vote.signed(&header.chain_id, &secret_of(&member.key)).signature
    };
    let signatures = set.members().iter().map(sign).collect();
    Commit { height, round: 0, block_hash, signers, signatures }
}

/// The story's last payment in epoch 4. The link is to the end of epoch 3, whose set has one new member, and another one
/// comes after it.
pub fn far_proof(story: &Story) -> FinalityProof {
    let last = &story.steps.last().expect("a block").block;
    let end = story.steps.iter().find(|step| step.block.header.epoch_end).expect("an epoch's end");
    let first = end.state.validators();
    let own = [&first.members()[..6], &[stranger(30)]].concat();
    let next = ValidatorSet::new([&own[1..], &[stranger(31)]].concat());
    let own = ValidatorSet::new(own);
    let header = Header {
        epoch: 3,
        height: 20,
        validators_hash: own.hash(),
        next_validators_hash: next.hash(),
        ..end.block.header.clone()
    };
    let link = EpochLink::new(&header, &commit(&header, &own), [first, &own, &next]).expect("within reach");
    let header = Header {
        epoch: 4,
        height: 21,
        validators_hash: next.hash(),
        next_validators_hash: next.hash(),
        ..last.header.clone()
    };
    let block = Block { header, ..last.clone() };
    let (txid, commit) = (last.transactions[0].txid(), commit(&block.header, &next));
    let ending = Ending::included(txid, &block, &commit, &next).expect("it is there");
    FinalityProof::new(story.genesis.chain_id(), txid, vec![link], ending)
}
