//! Finality proofs as the crate makes them, of a chain in which sets change and blocks are final.

use serde_json::{Value, json};
use timed::protocol::finality_proof::{Ending, EpochLink, FinalityProof, verify};
use timed::rpc::finality_proof::FinalityProofInfo;
use timed::types::{CertificateVote, FinalityVote, TxId, Validator, VoteBatch, VoteKind};

use crate::story::{Step, Story, secret_of};

/// Of the last block's first payment: by votes, and by its block.
pub fn vectors() -> Value {
    let story = Story::tell();
    let (chain_id, last) = (story.genesis.chain_id(), story.steps.last().unwrap());
    let (txid, state) = (last.block.transactions[0].txid(), &last.state);
    let links: Vec<EpochLink> =
        story.steps.iter().filter(|step| step.block.header.epoch_end).map(link).collect();
    let outputs = last.utxos.iter().map(|(outpoint, entry)| (*outpoint, *entry));
    assert_eq!(state.recompute_digest(outputs), state.digest(), "a sound chain");
    let (epoch, set) = (state.next_epoch(), state.validators());
    let vote = |(place, member): (usize, &Validator)| -> CertificateVote {
        let vote = |kind, txid| FinalityVote { kind, txid };
        let votes = vec![vote(VoteKind::Lock, TxId([0x33; 32])), vote(VoteKind::Final, txid)];
        let seq = u64::try_from(place).unwrap();
        let batch = VoteBatch::signed(&chain_id, epoch, member.id, seq, votes, &secret_of(&member.key));
        batch.prove(1).unwrap()
    };
    let votes = set.members().iter().enumerate().map(vote);
    let voted = Ending::voted(txid, epoch, votes, set).unwrap();
    let included = Ending::included(txid, &last.block, &last.commit, set).unwrap();
    let text = |ending| {
        let proof = FinalityProof::new(chain_id, txid, links.clone(), ending);
        let proved = verify(&story.genesis, &proof).unwrap();
        let info = FinalityProofInfo::of(&proof, &proved);
        json!({ "bytes": hex::encode(proof.to_bytes()), "json": info })
    };
    json!({
        "document": story.genesis.to_toml().unwrap(),
        "proofs": [text(voted), text(included)],
    })
}

fn link(step: &Step) -> EpochLink {
    let (set, next) = (step.state.validators(), step.outcome.state.validators());
    EpochLink::new(&step.block.header, &step.commit, set, next).unwrap()
}

/// Base64 with padding (RFC 4648, section 4).
pub fn of_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u32> = text
        .trim_end_matches('=')
        .bytes()
        .map(|byte| ALPHABET.iter().position(|letter| *letter == byte).unwrap() as u32)
        .collect();
    let mut bytes = Vec::new();
    for group in digits.chunks(4) {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}
