//! Under which keys the index has what it keeps of epochs that ended, and what blocks and snapshots write there.
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

use super::index_change::{EpochEnd, IndexChange};
use super::index_store::{Change, Tree, VALUE_BYTES_MAX, put};
use crate::protocol::finality_proof::ProvedEnd;
use crate::types::codec::encode;
use crate::types::{BlockHash, Commit, Epoch, Hash, Header, ValidatorSet};

pub(super) const END_PREFIX: &[u8] = b"end/";
pub(super) const SET_PREFIX: &[u8] = b"set/";
pub(super) const HEAD_PREFIX: &[u8] = b"head/";
pub(super) const FULLER_PREFIX: &[u8] = b"more/";
pub(super) const NAME_PREFIX: &[u8] = b"name/";
/// The first epoch of which the index knows all that followed.
pub(super) const KEY_FROM: &[u8] = b"epochs-from";

pub(super) fn epoch_key(prefix: &[u8], epoch: Epoch) -> Vec<u8> {
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

/// What is known of the epochs before a snapshot and of the one that it ends, as changes of the store.
pub(super) fn of_snapshot(
    header: &Header,
    names: &[BlockHash],
    next: &ValidatorSet,
    ends: &[ProvedEnd],
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
