//! Storage's share of the node's memory: what each part holds at most, and the sum.
//!
//! # Units
//! Bytes. What grows with the chain or with an epoch is stated by its unit: [`BLOCK_PLACE_BYTES`] a block of the chain,
//! [`BODY_PLACE_BYTES`] a body that the journal retains. A start reads one frame at a time and needs less than running does.
//!
//! | part | at most |
//! |---|---|
//! | writes that wait for the journal | [`JOURNAL_QUEUE_BYTES_MAX`], or one larger write alone |
//! | the journal's commit | the same once more, encoded, and one frame |
//! | the block log's append | an encoded block, and its frame |
//! | changes that wait for the index | [`QUEUE_BYTES_MAX`], or one larger change alone |
//! | what the index has not written yet | [`WINDOW_BYTES_MAX`] |
//! | the index database | its cache, times [`SLED_CACHE_FACTOR`] or with [`FJALL_BYTES_MAX`] |
//! | places of blocks and bodies | by their number |

use super::fjall_index::FJALL_BYTES_MAX;
use super::index_window::WINDOW_BYTES_MAX;
use super::index_writer::QUEUE_BYTES_MAX;
use super::journal_reader::BODY_PLACE_BYTES;
use super::record::PAYLOAD_BYTES_MAX;

/// Bytes of records that wait for the journal, at most.
pub const JOURNAL_QUEUE_BYTES_MAX: usize = 64 << 20;
/// Memory of a block's place in the block log, in bytes: a list that doubles when it is full holds twice its elements.
pub const BLOCK_PLACE_BYTES: usize = 48;
/// sled takes up to two and a half times of its cache; rounded up.
pub const SLED_CACHE_FACTOR: usize = 3;

/// What storage holds at most, in bytes, while the node runs.
#[must_use]
pub const fn share_bytes_max(index_cache_bytes: usize, blocks: usize, journaled_bodies: usize) -> usize {
    let journal = JOURNAL_QUEUE_BYTES_MAX.saturating_mul(2).saturating_add(PAYLOAD_BYTES_MAX);
    let block_log = PAYLOAD_BYTES_MAX.saturating_mul(2);
    let (sled, fjall) = (
        index_cache_bytes.saturating_mul(SLED_CACHE_FACTOR),
        index_cache_bytes.saturating_add(FJALL_BYTES_MAX),
    );
    let engine = if sled > fjall { sled } else { fjall };
    let index = QUEUE_BYTES_MAX.saturating_add(WINDOW_BYTES_MAX).saturating_add(engine);
    let places = blocks
        .saturating_mul(BLOCK_PLACE_BYTES)
        .saturating_add(journaled_bodies.saturating_mul(BODY_PLACE_BYTES));
    journal.saturating_add(block_log).saturating_add(index).saturating_add(places)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::storage::journal_contents::RecordPlace;
    use crate::storage::segment_log::Position;
    use crate::types::TxId;

    #[test]
    fn the_share_is_the_sum_of_its_parts() {
        const MIB: usize = 1 << 20;
        assert_eq!(share_bytes_max(0, 0, 0), (2 * 64 + 32 + 2 * 32 + 256 + 96 + 128) * MIB);
        assert_eq!(share_bytes_max(100, 10, 1) - share_bytes_max(0, 0, 0), 100 + 10 * 48 + 128);
        assert_eq!(share_bytes_max(500 * MIB, 0, 0) - share_bytes_max(0, 0, 0), (1_500 - 128) * MIB);
        // A year of the main network, an epoch's end at 2,000 payments a second, the usual cache.
        assert!(share_bytes_max(256 * MIB, 52_560, 120_000) < 1_400 * MIB);
    }

    #[test]
    fn a_place_takes_what_is_stated() {
        assert!(2 * size_of::<Position>() <= BLOCK_PLACE_BYTES);
        // The map's tables double when they are seven eighths full, and keep a byte beside each place.
        let entry = size_of::<(TxId, RecordPlace)>() + 1;
        let mut map: HashMap<TxId, RecordPlace> = HashMap::new();
        for number in 0..10_000_u64 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_le_bytes());
            map.insert(TxId(id), RecordPlace(Position { sequence: 0, offset: 0, length: 0 }));
            let buckets = (map.capacity() * 8).div_ceil(7);
            assert!(map.len() < 64 || buckets * entry <= map.len() * BODY_PLACE_BYTES * 11 / 10, "{number}");
        }
    }
}
