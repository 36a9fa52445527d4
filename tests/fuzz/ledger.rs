//! What peers send of the ledger: transactions, blocks, proofs, snapshots.

use timed::protocol::finality_proof::{Ending, EpochLink, FinalityProof, verify_with};
use timed::protocol::snapshot::{ChunkCutter, SnapshotManifest, encode_chunk};
use timed::protocol::transition::validate_block;
use timed::protocol::validity::CheckedTransaction;
use timed::types::codec::{decode, encode};
use timed::types::keys::SequentialVerifier;
use timed::types::{CommittedBlock, Evidence, OutPoint, Transaction, UtxoEntry};

use crate::fuzz::fuzz;
use crate::story::Story;

/// Whatever is read is what would be written.
fn canonical<T: bincode::Encode + bincode::Decode<()>>(bytes: &[u8]) -> Option<T> {
    let value = decode::<T>(bytes).ok()?;
    assert_eq!(encode(&value), bytes, "one object has one encoding");
    Some(value)
}

#[test]
fn transactions() {
    let story = Story::tell();
    let (chain_id, parameters) = (story.genesis.chain_id(), &story.genesis.parameters);
    let all = story.steps.iter().flat_map(|step| &step.block.transactions);
    let samples: Vec<_> = all.map(|transaction| encode(&**transaction)).collect();
    fuzz("transactions", &samples, |_, bytes| {
        let Some(transaction) = canonical::<Transaction>(bytes) else { return };
        let txid = transaction.txid();
        let checked =
            CheckedTransaction::check(transaction.into(), &chain_id, parameters, &SequentialVerifier);
        if let Ok(checked) = checked {
            assert_eq!(checked.txid(), txid);
            let signed = story.steps.iter().flat_map(|step| &step.block.transactions);
            assert!(signed.into_iter().any(|known| known.txid() == txid), "nobody signed this");
        }
    });
}

#[test]
fn evidence() {
    let story = Story::tell();
    let all = story.steps.iter().flat_map(|step| &step.block.evidence);
    let samples: Vec<_> = all.map(|piece| encode(&**piece)).collect();
    let hashes: Vec<_> =
        story.steps.iter().flat_map(|step| &step.block.evidence).map(|piece| piece.hash()).collect();
    fuzz("evidence", &samples, |_, bytes| {
        if let Some(piece) = canonical::<Evidence>(bytes) {
            let known = hashes.contains(&piece.hash());
            assert_eq!(known, samples.iter().any(|sample| sample == bytes), "its hash covers all of it");
        }
    });
}

#[test]
fn blocks() {
    let story = Story::tell();
    let committed =
        |step: &crate::story::Step| CommittedBlock { block: step.block.clone(), commit: step.commit.clone() };
    let samples: Vec<_> = story.steps.iter().map(|step| encode(&committed(step))).collect();
    fuzz("blocks", &samples, |place, bytes| {
        let Some(changed) = canonical::<CommittedBlock>(bytes) else { return };
        let step = &story.steps[place];
        let valid = validate_block(&step.state, &step.utxos, &SequentialVerifier, &changed.block).is_ok();
        let commit = step.state.check_commit(&changed.block.header, &changed.commit, &SequentialVerifier);
        if valid && commit.is_ok() {
            assert_eq!(changed.block.header.hash(), step.block.header.hash(), "a quorum signed another one");
        }
    });
}

#[test]
fn proofs() {
    let story = Story::tell();
    let last = story.steps.last().unwrap();
    let ends = story.steps.iter().filter(|step| step.block.header.epoch_end);
    let links = ends.map(|step| {
        let (set, next) = (step.state.validators(), step.outcome.state.validators());
        EpochLink::new(&step.block.header, &step.commit, [set, set, next]).unwrap()
    });
    let txid = last.block.transactions[0].txid();
    let ending = Ending::included(txid, &last.block, &last.commit, last.state.validators()).unwrap();
    let proof = FinalityProof::new(story.genesis.chain_id(), txid, links.collect(), ending);
    fuzz("proofs", &[proof.to_bytes()], |_, bytes| {
        let Ok(changed) = FinalityProof::from_bytes(bytes) else { return };
        assert_eq!(changed.to_bytes(), bytes);
        if let Ok(proved) = verify_with(&story.genesis, None, &changed, &SequentialVerifier) {
            assert_eq!(proved.txid, txid, "nobody voted for another one");
        }
    });
}

#[test]
fn snapshots() {
    let story = Story::tell();
    let step = story.steps.iter().rfind(|step| step.block.header.epoch_end).unwrap();
    let earlier = story.steps.iter().map(|step| &step.block.header).filter(|header| header.epoch_end);
    let header = step.block.header.clone();
    let epoch_ends = earlier.filter(|end| end.height < header.height).map(|end| end.hash()).collect();
    let after = story.steps.iter().find(|next| next.block.header.height == header.height + 1).unwrap();
    let (mut cutter, mut chunks) = (ChunkCutter::default(), Vec::new());
    for (outpoint, entry) in &after.utxos {
        chunks.extend(cutter.push((*outpoint, *entry)));
    }
    chunks.extend(cutter.finish());
    let heads = chunks.iter().map(|(head, _)| head.clone()).collect();
    let state = step.outcome.state.clone();
    let manifest = SnapshotManifest::new(header.clone(), epoch_ends, state, heads).unwrap();
    let (chain_id, parameters) = (story.genesis.chain_id(), &story.genesis.parameters);
    let mut samples = vec![encode(&manifest)];
    samples.extend(chunks.iter().map(|(_, outputs)| encode_chunk(outputs)));
    fuzz("snapshots", &samples, |place, bytes| {
        if place > 0 {
            let outputs = decode::<Vec<(OutPoint, UtxoEntry)>>(bytes);
            if let Ok(outputs) = outputs
                && manifest.check_chunk(place - 1, &outputs).is_ok()
            {
                assert!(outputs == chunks[place - 1].1, "another chunk of one hash");
            }
        } else if let Ok(changed) = decode::<SnapshotManifest>(bytes)
            && changed.header == header
            && changed.check(&chain_id, parameters).is_ok()
        {
            assert!(changed.state == manifest.state, "another state of one digest");
        }
    });
}
