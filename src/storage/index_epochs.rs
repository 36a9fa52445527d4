//! What the index keeps of epochs that ended: where they ended, who voted next, and what proofs are made of.
//!
//! # Place
//! A part of [`Index`]. `consensus/proof_builder.rs` reads it.
//!
//! # Keys
//! In [`Tree::Epoch`]; epochs are big-endian, so that they are in order, and larger values are cut into pieces:
//!
//! | prefix | then | value |
//! |---|---|---|
//! | `end/` | epoch | height, hash of the next set, name of the last block |
//! | `set/` | hash, piece | members of a set |
//! | `head/` | epoch, piece | header of the last block and a commit of it |
//! | `more/` | epoch, piece | the commit of that block that the next block contains, which more may have signed |
//! | `name/` | epoch | name of the last block of an epoch before a snapshot |
//!
//! # Units
//! With 100 validators an epoch takes some 14 kB, and a set that is new another 7 kB.

use std::sync::Arc;

use super::error::StorageError;
use super::index::{EpochEnd, Index, IndexChange};
use super::index_store::{Change, Tree, VALUE_BYTES_MAX, put};
use crate::types::codec::{decode, encode};
use crate::types::{BlockHash, Commit, Epoch, Hash, Header, Height, ValidatorSet};

const END_PREFIX: &[u8] = b"end/";
const SET_PREFIX: &[u8] = b"set/";
const HEAD_PREFIX: &[u8] = b"head/";
const FULLER_PREFIX: &[u8] = b"more/";
const NAME_PREFIX: &[u8] = b"name/";
/// The first epoch of which the index knows all that followed.
const KEY_FROM: &[u8] = b"epochs-from";
/// Pieces of one value, at most: each holds [`VALUE_BYTES_MAX`] bytes, a set of 100 members has 7,208, a commit 6,500.
const PIECES_MAX: usize = 4;
/// Entries that are read at once.
const PAGE_ENTRIES: usize = 1_024;

fn epoch_key(prefix: &[u8], epoch: Epoch) -> Vec<u8> {
    [prefix, epoch.to_be_bytes().as_slice()].concat()
}

pub(super) fn set_key(hash: &Hash) -> Vec<u8> {
    [SET_PREFIX, hash.0.as_slice()].concat()
}

/// The pieces of a value, each under its key.
fn pieces(key: &[u8], value: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pieces = (0_u32..).zip(value.chunks(VALUE_BYTES_MAX));
    pieces.map(|(piece, bytes)| ([key, &piece.to_be_bytes()].concat(), bytes.to_vec())).collect()
}

fn of_set(set: &ValidatorSet) -> Vec<(Vec<u8>, Vec<u8>)> {
    pieces(&set_key(&set.hash()), &encode(&set.members()))
}

fn of_head(epoch: Epoch, head: &(Header, Commit)) -> Vec<(Vec<u8>, Vec<u8>)> {
    pieces(&epoch_key(HEAD_PREFIX, epoch), &encode(head))
}

/// What a block changes of it.
pub(super) fn changes(change: &IndexChange, put: &mut impl FnMut(Tree, Vec<u8>, Vec<u8>)) {
    let mut all = Vec::new();
    if let Some(EpochEnd { epoch, next_set, head }) = &change.epoch_end {
        all.extend(of_set(next_set));
        all.extend(head.iter().flat_map(|head| of_head(*epoch, head)));
        let end = encode(&(change.height, next_set.hash(), change.block_hash));
        all.push((epoch_key(END_PREFIX, *epoch), end));
    }
    if let Some((epoch, commit)) = change.fuller.as_deref() {
        all.extend(pieces(&epoch_key(FULLER_PREFIX, *epoch), &encode(commit)));
    }
    all.into_iter().for_each(|(key, value)| put(Tree::Epoch, key, value));
}

/// An epoch's end by which a snapshot was proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownEnd {
    /// The last block's header.
    pub header: Header,
    /// A commit of it.
    pub commit: Commit,
    /// The set that signed.
    pub set: Arc<ValidatorSet>,
    /// The set of the next epoch.
    pub next: Arc<ValidatorSet>,
}

/// What is known of the epochs before a snapshot and of the one that it ends, as changes of the store.
pub(super) fn of_snapshot(
    header: &Header,
    names: &[BlockHash],
    next: &ValidatorSet,
    ends: &[KnownEnd],
) -> Vec<Change> {
    let mut all: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    all.extend((0..).zip(names).map(|(epoch, name)| (epoch_key(NAME_PREFIX, epoch), name.0.to_vec())));
    for end in ends {
        all.extend(of_set(&end.set));
        all.extend(of_set(&end.next));
        all.extend(of_head(end.header.epoch, &(end.header.clone(), end.commit.clone())));
    }
    all.extend(of_set(next));
    let end = encode(&(header.height, next.hash(), header.hash()));
    all.push((epoch_key(END_PREFIX, header.epoch), end));
    all.push((KEY_FROM.to_vec(), encode(&header.epoch.saturating_add(1))));
    all.into_iter().map(|(key, value)| put(Tree::Epoch, key, value)).collect()
}

impl Index {
    fn epoch_record(&self, epoch: Epoch) -> Result<Option<(Height, Hash, BlockHash)>, StorageError> {
        self.get(Tree::Epoch, &epoch_key(END_PREFIX, epoch))
    }

    /// The height of an epoch's last block, and the hash of the set that votes after it; `None` until the epoch has ended, and
    /// of epochs before a snapshot.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn epoch_end(&self, epoch: Epoch) -> Result<Option<(Height, Hash)>, StorageError> {
        Ok(self.epoch_record(epoch)?.map(|(height, set, _)| (height, set)))
    }

    /// The name of an epoch's last block; `None` until the epoch has ended.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn epoch_end_hash(&self, epoch: Epoch) -> Result<Option<BlockHash>, StorageError> {
        match self.epoch_record(epoch)? {
            Some((_, _, block)) => Ok(Some(block)),
            None => self.get(Tree::Epoch, &epoch_key(NAME_PREFIX, epoch)),
        }
    }

    /// The first epoch whose predecessor's end, and all later ends, are known; 0 unless the index began with a snapshot.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn epochs_from(&self) -> Result<Epoch, StorageError> {
        Ok(self.get(Tree::Epoch, KEY_FROM)?.unwrap_or(0))
    }

    fn in_pieces<T: bincode::Decode<()>>(&self, key: &[u8]) -> Result<Option<T>, StorageError> {
        let pieces = self.window.scan_prefix(Tree::Epoch, key, None, PIECES_MAX)?;
        if pieces.is_empty() {
            return Ok(None);
        }
        let bytes: Vec<u8> = pieces.into_iter().flat_map(|(_, piece)| piece).collect();
        let malformed = |_| StorageError::IndexMalformed { tree: Tree::Epoch.name() };
        decode(&bytes).map(Some).map_err(malformed)
    }

    /// The header of an epoch's last block with the commits that are kept of it.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn epoch_head(&self, epoch: Epoch) -> Result<Option<(Header, Vec<Commit>)>, StorageError> {
        let Some((header, own)) = self.in_pieces::<(Header, Commit)>(&epoch_key(HEAD_PREFIX, epoch))? else {
            return Ok(None);
        };
        let fuller: Option<Commit> = self.in_pieces(&epoch_key(FULLER_PREFIX, epoch))?;
        Ok(Some((header, fuller.into_iter().chain([own]).collect())))
    }

    /// The epochs before this one whose last block's header is kept, ascending.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn epoch_heads_before(&self, epoch: Epoch) -> Result<Vec<Epoch>, StorageError> {
        let malformed = || StorageError::IndexMalformed { tree: Tree::Epoch.name() };
        let (mut found, mut after): (Vec<Epoch>, Option<Vec<u8>>) = (Vec::new(), None);
        loop {
            let page = self.window.scan_prefix(Tree::Epoch, HEAD_PREFIX, after.as_deref(), PAGE_ENTRIES)?;
            for (key, _) in &page {
                let number = key.get(HEAD_PREFIX.len()..).and_then(|rest| rest.first_chunk::<8>());
                let of = u64::from_be_bytes(*number.ok_or_else(malformed)?);
                if of >= epoch {
                    return Ok(found);
                }
                if found.last() != Some(&of) {
                    found.push(of);
                }
            }
            if page.len() < PAGE_ENTRIES {
                return Ok(found);
            }
            after = page.into_iter().next_back().map(|(key, _)| key);
        }
    }

    /// The set of this hash, if it followed an epoch's end.
    ///
    /// # Errors
    /// Those of the store; [`StorageError::IndexMalformed`] if it is not the set of this hash.
    pub fn validator_set(&self, hash: &Hash) -> Result<Option<ValidatorSet>, StorageError> {
        let Some(members) = self.in_pieces(&set_key(hash))? else { return Ok(None) };
        let set = ValidatorSet::new(members);
        let malformed = StorageError::IndexMalformed { tree: Tree::Epoch.name() };
        if set.hash() == *hash { Ok(Some(set)) } else { Err(malformed) }
    }
}
