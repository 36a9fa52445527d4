use super::*;
use crate::protocol::fixtures::{Chain, document, lock, user};
use crate::protocol::masternodes::PastEpochs;
use crate::types::codec::decode;
use crate::types::{Amount, TxId, TxOut, Validator, ValidatorSet};

/// A chain whose last block ends epoch 2, with outputs for three chunks.
fn snapshot() -> (SnapshotManifest, Vec<Vec<NamedOutput>>) {
    let mut chain = Chain::new(&document(&[1, 2, 3, 4], 36));
    let mut ends = Vec::new();
    for _ in 0..2 {
        chain.finish_epoch();
        ends.push(chain.state.tip_hash());
    }
    let (last, _) = chain.finish_epoch();
    let (mut cutter, mut chunks) = (ChunkCutter::default(), Vec::new());
    for (outpoint, entry) in &chain.utxos {
        chunks.extend(cutter.push((*outpoint, *entry)));
    }
    chunks.extend(cutter.finish());
    assert_eq!(cutter.finish(), None);
    let header = last.header;
    let (heads, outputs): (Vec<_>, Vec<_>) = chunks.into_iter().unzip();
    (SnapshotManifest::new(header, ends, chain.state, heads).unwrap(), outputs)
}

fn check(manifest: &SnapshotManifest) -> Result<(), SnapshotError> {
    let (other, _) = snapshot();
    manifest.check(&other.header.chain_id, &other.state.parameters)
}

#[test]
fn a_manifest_holds_and_is_read_as_it_was_written() {
    let (manifest, outputs) = snapshot();
    assert!(manifest.chunks.len() > 2, "{}", manifest.chunks.len());
    assert_eq!(check(&manifest), Ok(()));
    assert_eq!(manifest.outputs(), outputs.iter().map(|chunk| chunk.len() as u64).sum::<u64>());
    let encoded = encode(&manifest);
    let again: SnapshotManifest = decode(&encoded).unwrap();
    assert_eq!(again, manifest);
    for (place, chunk) in outputs.iter().enumerate() {
        assert_eq!(again.check_chunk(place, chunk), Ok(()));
        assert_eq!(decode::<Vec<NamedOutput>>(&encode_chunk(chunk)).unwrap(), *chunk);
        assert_eq!(encode_chunk(chunk).len(), 8 + chunk.len() * OUTPUT_BYTES);
    }
    assert_eq!(manifest.check_chunk(outputs.len(), &outputs[0]), Err(SnapshotError::NoChunk(outputs.len())));
}

/// INV-SNAPSHOT-1: whatever of it is changed, the sum or a rule tells.
#[test]
fn every_part_of_a_manifest_counts() {
    type Change = fn(&mut SnapshotManifest);
    let changes: [(Change, &str); 22] = [
        (|m| m.header.chain_id.0[0] ^= 1, "another chain"),
        (|m| m.state.chain_id.0[0] ^= 1, "another chain"),
        (|m| Arc::make_mut(&mut m.state.parameters).epoch_duration_ms += 1, "another chain"),
        (|m| m.header.epoch_end = false, "ends no epoch"),
        (|m| m.state.height += 1, "the height"),
        (|m| m.state.tip_hash.0[0] ^= 1, "the block's name"),
        (|m| m.header.round += 1, "the block's name"),
        (|m| m.state.tip_time += 1, "the time"),
        (|m| m.state.tip_validators.epoch += 1, "the epoch"),
        (|m| m.state.epoch += 1, "the next epoch"),
        (|m| m.state.tip_validators.set = Arc::new(other_set(&m.state.validators)), "the set"),
        (|m| m.state.validators = Arc::new(other_set(&m.state.validators)), "the next set"),
        (|m| m.epoch_ends.truncate(1), "ends of epochs"),
        (|m| m.epoch_ends.swap(0, 1), "ends of epochs"),
        (|m| m.epoch_ends.push(BlockHash::ZERO), "ends of epochs"),
        (|m| m.state.epoch_ends.push(&[1]), "ends of epochs"),
        (|m| m.state.supply = Amount(m.state.supply.0 + 1), "add up"),
        (|m| m.state.epoch_start += 1, "add up"),
        (|m| m.state.multiset.add(b"more"), "add up"),
        (|m| m.chunks[1].hash.add(b"more"), "add up"),
        (|m| m.chunks.swap(0, 1), "chunk 1"),
        (|m| m.chunks[1].outputs = 0, "chunk 1"),
    ];
    for (place, (change, expected)) in changes.into_iter().enumerate() {
        let (mut manifest, _) = snapshot();
        change(&mut manifest);
        let error = check(&manifest).unwrap_err().to_string();
        assert!(error.contains(expected), "change {place}: {error}");
    }
}

fn other_set(set: &ValidatorSet) -> ValidatorSet {
    let mut members: Vec<Validator> = set.members().to_vec();
    members[0].weight += 1;
    ValidatorSet::new(members)
}

/// The digest covers the elements of these lists, not their order.
#[test]
fn lists_are_held_to_their_order() {
    let (mut manifest, _) = snapshot();
    let bytes = encode(&manifest.state.recent);
    assert!(manifest.state.recent.len() > 1);
    let mut commits: std::collections::VecDeque<Arc<super::super::commit::RecentCommit>> =
        decode(&bytes).unwrap();
    commits.swap(0, 1);
    manifest.state.recent = decode(&encode(&commits)).unwrap();
    assert_eq!(check(&manifest), Err(SnapshotError::Order("recent commits")));
}

/// INV-SNAPSHOT-1.
#[test]
fn a_chunk_with_anything_changed_left_out_repeated_or_moved_is_refused() {
    let (manifest, chunks) = snapshot();
    let refused = |outputs: &[NamedOutput]| {
        assert_eq!(manifest.check_chunk(1, outputs), Err(SnapshotError::Chunk(1)));
    };
    let changed = |change: fn(&mut Vec<NamedOutput>)| {
        let mut outputs = chunks[1].clone();
        change(&mut outputs);
        refused(&outputs);
    };
    changed(|outputs| outputs.clear());
    changed(|outputs| outputs.truncate(outputs.len() - 1));
    changed(|outputs| *outputs = outputs.split_off(1));
    changed(|outputs| outputs.insert(1, outputs[0]));
    changed(|outputs| outputs.swap(0, 1));
    changed(|outputs| outputs[0].0.index += 1);
    changed(|outputs| outputs[0].1.height += 1);
    changed(|outputs| outputs[0].1.output.value = Amount(5));
    changed(|outputs| outputs[0].1.output.lock = lock(&user(99)));
    refused(&chunks[0]);
    refused(&chunks[2]);
    let again: Vec<NamedOutput> = chunks[0].iter().chain(&chunks[1]).copied().collect();
    refused(&again);
}

/// A sum of 2^16 copies of an output is that of none, so no output may come twice, whatever the manifest says.
#[test]
fn a_manifest_can_not_hide_copies() {
    let (mut manifest, mut chunks) = snapshot();
    let output = TxOut { value: Amount(1), lock: lock(&user(0)) };
    let copy = (OutPoint { txid: TxId::ZERO, index: 0 }, UtxoEntry { output, height: 1 });
    chunks[0].insert(0, copy);
    chunks[0].insert(0, copy);
    let element = super::super::state::output_element(&copy.0, &copy.1);
    manifest.chunks[0].outputs += 2;
    (0..2).for_each(|_| manifest.chunks[0].hash.add(&element));
    assert_eq!(manifest.check_chunk(0, &chunks[0]), Err(SnapshotError::Chunk(0)));
}

/// INV-SNAPSHOT-1: the sum can't tell, since a manifest's hashes may be made up as long as they add up.
#[test]
fn no_output_is_in_two_chunks_whatever_the_manifest_says() {
    let (manifest, chunks) = snapshot();
    let last = manifest.chunks[0].outputs as usize - 1;
    for again in [0, last] {
        let output = chunks[0][again];
        let (mut manifest, mut outputs) = (manifest.clone(), chunks[1].clone());
        outputs.remove(0);
        outputs.insert(0, output);
        manifest.chunks[1].hash = hash_of(&outputs);
        assert_eq!(manifest.check_chunk(1, &outputs), Err(SnapshotError::Chunk(1)), "output {again}");
    }
}

/// What a chunk may have is what one message carries and what memory is taken for.
#[test]
fn a_manifest_names_no_chunk_that_is_larger_than_one_may_be() {
    let (manifest, _) = snapshot();
    let full = u32::try_from(CHUNK_OUTPUTS_MAX).unwrap();
    assert_eq!(manifest.chunks[0].outputs, full, "one may be full");
    for place in 0..manifest.chunks.len() {
        let mut changed = manifest.clone();
        changed.chunks[place].outputs = full + 1;
        assert_eq!(check(&changed), Err(SnapshotError::Chunks(place)));
    }
}

/// A set is found by its epoch's place among them: who took them in another order would judge acts by other sets.
#[test]
fn past_epochs_are_held_to_their_order_and_none_comes_twice() {
    let (manifest, _) = snapshot();
    let past: Vec<_> = manifest.state.past_epochs.iter().cloned().collect();
    assert_eq!(past.len(), 3);
    for order in [[1, 0, 2].as_slice(), &[0, 2, 1], &[2, 1, 0], &[0, 1, 1, 2], &[0, 2], &[0, 1]] {
        let mut epochs = PastEpochs::default();
        order.iter().for_each(|place: &usize| epochs.push(past[*place].clone()));
        let mut changed = manifest.clone();
        changed.state.past_epochs = Arc::new(epochs);
        assert_eq!(check(&changed), Err(SnapshotError::Order("past epochs")), "{order:?}");
    }
}
