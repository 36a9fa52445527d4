//! Snapshots: the state at the end of an epoch, in parts that a node fetches from peers which it need not trust.
//!
//! # Place
//! Pure. `storage/snapshots.rs` keeps snapshots as files, `app/snapshots/` makes, serves and fetches them.
//!
//! # What is trusted
//! The header of the block that ends the epoch, by a [`ChainProof`](super::finality_proof::ChainProof). The header has the
//! digest of the state after it, which is the hash of a multiset: outputs, and all the rest that blocks depend on. That hash is
//! homomorphic (`multiset.rs`), so the manifest gives it for each chunk of outputs, and the sum of these, with what the
//! manifest's own state adds, has to be the header's. From then on each chunk is checked by itself against its own hash.
//!
//! A manifest whose sum holds may still be false in its parts: hashes can be made up that nobody has outputs for, as long
//! as they add up. Such a manifest is found out at the first chunk that nobody can give. What it costs is bounded: chunks
//! are cut by number and order, so honest nodes give one manifest for one block, byte for byte. A node takes the manifest
//! that most of its peers give, and when it has to change to another one, it keeps each chunk that both name alike.
//!
//! The alternative, a Merkle tree over buckets in each header, would tell a false part at once. It would cost each state that
//! a node holds 2 MiB for 1,024 buckets, and each block a hash of every bucket that it touches, for ever; this costs
//! nothing until somebody joins.
//!
//! # Invariants
//! - INV-SNAPSHOT-1: a state that was taken from a manifest is the state whose digest the header has, and its outputs are
//!   those of the chunks: no output is in two chunks, or twice in one.
//! - INV-SNAPSHOT-2: the same block gives the same manifest, whoever makes it.
//!
//! # Units
//! A chunk has [`CHUNK_OUTPUTS_MAX`] outputs of 88 bytes, 1.4 MB; it adds 2 kB to the manifest. Together with the past sets of
//! the state a manifest may have [`MANIFEST_BYTES_MAX`], enough for some 40 million outputs.

use std::sync::Arc;

use bincode::{Decode, Encode};

use super::multiset::MultisetHash;
use super::state::LedgerState;
use crate::types::codec::encode;
use crate::types::hash::{Domain, DomainHasher};
use crate::types::limits::MESSAGE_BYTES_MAX;
use crate::types::merkle::GrowingTree;
use crate::types::{BlockHash, ChainId, ChainParameters, Hash, Header, OutPoint, UtxoEntry};

/// Outputs of a chunk, at most; all but the last have as many. Few in unit tests, which so have several chunks.
pub const CHUNK_OUTPUTS_MAX: usize = if cfg!(test) { 16 } else { 16_384 };
/// Encoded bytes of an output with its name.
pub const OUTPUT_BYTES: usize = 88;
/// Encoded bytes of a chunk, at most.
pub const CHUNK_BYTES_MAX: usize = 8 + CHUNK_OUTPUTS_MAX * OUTPUT_BYTES;
/// Encoded bytes of a manifest, at most: it travels in one message.
pub const MANIFEST_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 1_024;

/// Why a snapshot is not that of its block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It is of another network.
    #[error("the snapshot is of another chain, or of other parameters")]
    OtherChain,
    /// Its block ends no epoch.
    #[error("block {0} of the snapshot ends no epoch")]
    NotAnEnd(u64),
    /// State and header speak of different blocks.
    #[error("the snapshot's state is not that after its block: {0} differs")]
    OtherBlock(&'static str),
    /// The names of past epochs' ends are not those that the header commits to.
    #[error("the snapshot's {found} ends of epochs are not the {expected} that its header commits to")]
    OtherEnds {
        /// How many epochs ended before the block's own.
        expected: u64,
        /// How many are given.
        found: usize,
    },
    /// A list of the state is not in its order.
    #[error("the snapshot's {0} are not in their order")]
    Order(&'static str),
    /// Chunks that overlap, or have no outputs or too many.
    #[error("chunk {0} of the snapshot is empty, too large, or not behind the one before")]
    Chunks(usize),
    /// The hashes don't add up.
    #[error("the hashes of the snapshot's chunks and of its state don't add up to the digest in the header")]
    Sum,
    /// A chunk's outputs are not those that the manifest names.
    #[error("the outputs of chunk {0} are not those that the manifest names")]
    Chunk(usize),
    /// There is no such chunk.
    #[error("the snapshot has no chunk {0}")]
    NoChunk(usize),
}

/// What a manifest says of a chunk.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ChunkHead {
    /// Its last output.
    pub last: OutPoint,
    /// How many outputs it has.
    pub outputs: u32,
    /// The sum of their hashes.
    pub hash: MultisetHash,
}

/// A snapshot but for its outputs.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct SnapshotManifest {
    /// The last block of an epoch.
    pub header: Header,
    /// The last blocks of all epochs before.
    pub epoch_ends: Vec<BlockHash>,
    /// The state after the block.
    pub state: LedgerState,
    /// In the order of their outputs.
    pub chunks: Vec<ChunkHead>,
}

/// An output with its name.
pub type NamedOutput = (OutPoint, UtxoEntry);

impl SnapshotManifest {
    /// What peers call it: the hash of its encoding.
    #[must_use]
    pub fn name_of(encoded: &[u8]) -> Hash {
        Hash(DomainHasher::new(Domain::Snapshot).bytes(encoded).finish())
    }

    /// The manifest of the state after the block of this header, which has these chunks.
    ///
    /// # Errors
    /// Those of [`Self::check`].
    pub fn new(
        header: Header,
        epoch_ends: Vec<BlockHash>,
        state: LedgerState,
        chunks: Vec<ChunkHead>,
    ) -> Result<Self, SnapshotError> {
        let parameters = Arc::clone(&state.parameters);
        let chain_id = header.chain_id;
        let manifest = Self { header, epoch_ends, state, chunks };
        manifest.check(&chain_id, &parameters)?;
        Ok(manifest)
    }

    /// Outputs of all chunks.
    #[must_use]
    pub fn outputs(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.outputs)).fold(0, u64::saturating_add)
    }

    /// Holds everything but the outputs to the header. Whether the header is of the chain is not asked here.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self, chain_id: &ChainId, parameters: &ChainParameters) -> Result<(), SnapshotError> {
        let Self { header, state, .. } = self;
        if header.chain_id != *chain_id || state.chain_id != *chain_id || *state.parameters != *parameters {
            return Err(SnapshotError::OtherChain);
        }
        if !header.epoch_end {
            return Err(SnapshotError::NotAnEnd(header.height));
        }
        self.check_block()?;
        self.check_ends()?;
        self.check_order()?;
        let mut sum = state.rest_of_multiset();
        let mut before: Option<&OutPoint> = None;
        for (place, chunk) in self.chunks.iter().enumerate() {
            let count = usize::try_from(chunk.outputs).unwrap_or(usize::MAX);
            let is_behind = before.is_none_or(|before| *before < chunk.last);
            if count == 0 || count > CHUNK_OUTPUTS_MAX || !is_behind {
                return Err(SnapshotError::Chunks(place));
            }
            sum.join(&chunk.hash);
            before = Some(&chunk.last);
        }
        let holds = sum == state.multiset && sum.digest() == header.state_digest;
        if holds { Ok(()) } else { Err(SnapshotError::Sum) }
    }

    /// What the digest does not cover, or what says early that state and header don't belong together.
    fn check_block(&self) -> Result<(), SnapshotError> {
        let Self { header, state, .. } = self;
        let pairs = [
            (state.height == header.height, "the height"),
            (state.tip_hash == header.hash(), "the block's name"),
            (state.tip_time == header.time, "the time"),
            (state.tip_validators.epoch == header.epoch, "the epoch"),
            (header.epoch.checked_add(1) == Some(state.epoch), "the next epoch"),
            (state.tip_validators.set.hash() == header.validators_hash, "the set"),
            (state.validators.hash() == header.next_validators_hash, "the next set"),
        ];
        match pairs.iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(SnapshotError::OtherBlock(what)),
            None => Ok(()),
        }
    }

    fn check_ends(&self) -> Result<(), SnapshotError> {
        let Self { header, state, epoch_ends, .. } = self;
        let other = SnapshotError::OtherEnds { expected: header.epoch, found: epoch_ends.len() };
        let mut tree = GrowingTree::default();
        epoch_ends.iter().for_each(|name| tree.push(&name.0));
        if tree.leaves() != header.epoch || tree.root() != header.epoch_ends_root {
            return Err(other);
        }
        tree.push(&header.hash().0);
        if tree == state.epoch_ends { Ok(()) } else { Err(other) }
    }

    /// Lists whose elements the digest covers one by one.
    fn check_order(&self) -> Result<(), SnapshotError> {
        let recent: Vec<u64> = self.state.recent.iter().map(|commit| commit.height).collect();
        if !recent.is_sorted_by(|before, after| before < after) {
            return Err(SnapshotError::Order("recent commits"));
        }
        let past: Vec<u64> = self.state.past_epochs.iter().map(|past| past.epoch).collect();
        let follow = past.is_sorted_by(|before, after| before.checked_add(1) == Some(*after));
        if !follow || past.last() != Some(&self.header.epoch) {
            return Err(SnapshotError::Order("past epochs"));
        }
        Ok(())
    }

    /// Holds the outputs of a chunk to the manifest.
    ///
    /// # Errors
    /// [`SnapshotError::NoChunk`], [`SnapshotError::Chunk`].
    pub fn check_chunk(&self, place: usize, outputs: &[NamedOutput]) -> Result<(), SnapshotError> {
        let head = self.chunks.get(place).ok_or(SnapshotError::NoChunk(place))?;
        let before = place.checked_sub(1).and_then(|before| self.chunks.get(before)).map(|chunk| chunk.last);
        let first = outputs.first().map(|(outpoint, _)| *outpoint);
        let is_placed = before < first && outputs.last().map(|(outpoint, _)| *outpoint) == Some(head.last);
        let is_counted = u32::try_from(outputs.len()) == Ok(head.outputs);
        // Strictly: copies of an output could cancel each other out in the sum.
        let is_ordered = outputs.is_sorted_by(|(before, _), (after, _)| before < after);
        if is_placed && is_counted && is_ordered && hash_of(outputs) == head.hash {
            Ok(())
        } else {
            Err(SnapshotError::Chunk(place))
        }
    }
}

fn hash_of(outputs: &[NamedOutput]) -> MultisetHash {
    let mut hash = MultisetHash::default();
    outputs.iter().for_each(|(outpoint, entry)| hash.add(&super::state::output_element(outpoint, entry)));
    hash
}

/// Cuts outputs, which come in the order of their names, into chunks.
#[derive(Default)]
pub struct ChunkCutter {
    outputs: Vec<NamedOutput>,
}

impl ChunkCutter {
    /// Takes the next output; gives a chunk when it is full.
    pub fn push(&mut self, output: NamedOutput) -> Option<(ChunkHead, Vec<NamedOutput>)> {
        self.outputs.push(output);
        if self.outputs.len() < CHUNK_OUTPUTS_MAX { None } else { self.finish() }
    }

    /// The last chunk, unless there is nothing left for it.
    pub fn finish(&mut self) -> Option<(ChunkHead, Vec<NamedOutput>)> {
        let outputs = std::mem::take(&mut self.outputs);
        let (last, _) = *outputs.last()?;
        let count = u32::try_from(outputs.len()).unwrap_or(u32::MAX);
        Some((ChunkHead { last, outputs: count, hash: hash_of(&outputs) }, outputs))
    }
}

/// The encoding of a chunk, as files and peers have it.
#[must_use]
pub fn encode_chunk(outputs: &[NamedOutput]) -> Vec<u8> {
    encode(&outputs)
}

#[cfg(test)]
mod tests;
