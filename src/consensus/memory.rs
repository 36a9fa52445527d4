//! Consensus' share of the node's memory: what its parts hold at most, and the sum.
//!
//! # Units
//! Bytes. What grows with an epoch is stated by its unit, [`EPOCH_PAYMENT_BYTES`] a payment. Bodies that are certified and
//! in no block are bounded by the chain's `voted_unblocked_bytes_max`, blocks under way by its `block_bytes_max`.
//!
//! | part | at most |
//! |---|---|
//! | events that wait | [`URGENT_BYTES_MAX`], [`BULK_BYTES_MAX`] |
//! | names of checked batches | [`KNOWN_BATCHES_BYTES_MAX`] |
//! | numbers of batches that were received, here and in the pace | [`NUMBERS_BYTES_MAX`], twice |
//! | batches that are kept to be served | [`KEPT_BYTES_MAX`], twice in memory |
//! | bodies and votes that are not certified | [`UNCERTIFIED_BYTES_MAX`] |
//! | early messages, blocks in sync | [`EARLY_TOTAL_BYTES_MAX`], [`SYNC_BYTES_MAX`] |
//! | signatures of these blocks that were checked ahead | [`HELD_SIGNATURES_BYTES_MAX`] |
//! | answers that wait for that check | [`AHEAD_BYTES_MAX`] |
//! | blocks on their way to the log | [`COMMITTING_BYTES_MAX`] encoded, or one block |
//! | notifications that wait | [`OBSERVED_BYTES_MAX`] |
//! | trees of batches, parts of answers | [`TREES_BYTES_MAX`], [`PEER_PARTS_BYTES_MAX`] a peer |
//! | proposals of rounds that are kept | each as large as a message may be |
//! | certified bodies, blocks under way | the chain's bounds, decoded |

use super::blocks::COMMITTING_BYTES_MAX;
use super::inbox::{BULK_BYTES_MAX, URGENT_BYTES_MAX};
use super::known::KNOWN_BATCHES_BYTES_MAX;
use super::observers::OBSERVED_BYTES_MAX;
use super::peers::early::EARLY_TOTAL_BYTES_MAX;
use super::serve::{PEER_PARTS_BYTES_MAX, TREES_BYTES_MAX};
use super::sync::ahead_thread::AHEAD_BYTES_MAX;
use super::sync::{HELD_SIGNATURES_BYTES_MAX, SYNC_BYTES_MAX};
use crate::network::PROPOSAL_BYTES_MAX;
use crate::protocol::bft::{PROPOSALS_PER_ROUND_MAX, ROUNDS_BEHIND_MAX};
use crate::protocol::finality::{KEPT_BYTES_MAX, NUMBERS_BYTES_MAX, UNCERTIFIED_BYTES_MAX};
use crate::types::ChainParameters;
use crate::types::limits::ROUNDS_AHEAD_MAX;

/// What a payment of the running epoch leaves until that ends: its locks in the machine, and its name.
pub const EPOCH_PAYMENT_BYTES: usize = 256;
/// A body in memory takes so many times its encoding, with what points to it.
const DECODED_FACTOR: usize = 4;
/// Blocks with bodies of their own: the one that is judged, the one that is written, and the one that was applied last.
const BLOCKS_UNDER_WAY: usize = 3;
/// Names of transactions in the proposals of all rounds that are kept.
const PROPOSALS_BYTES_MAX: usize = (ROUNDS_BEHIND_MAX as usize + 1 + ROUNDS_AHEAD_MAX as usize)
    * PROPOSALS_PER_ROUND_MAX
    * PROPOSAL_BYTES_MAX;

/// What consensus holds at most, in bytes, with so many peers and without what grows with the epoch.
#[must_use]
pub fn share_bytes_max(parameters: &ChainParameters, peers: usize) -> usize {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let certified = size(parameters.voted_unblocked_bytes_max);
    let blocks = size(parameters.block_bytes_max).saturating_mul(BLOCKS_UNDER_WAY);
    [
        URGENT_BYTES_MAX,
        BULK_BYTES_MAX,
        KNOWN_BATCHES_BYTES_MAX,
        NUMBERS_BYTES_MAX.saturating_mul(2),
        KEPT_BYTES_MAX.saturating_mul(2),
        UNCERTIFIED_BYTES_MAX,
        EARLY_TOTAL_BYTES_MAX,
        SYNC_BYTES_MAX,
        OBSERVED_BYTES_MAX,
        PROPOSALS_BYTES_MAX,
        TREES_BYTES_MAX,
        PEER_PARTS_BYTES_MAX.saturating_mul(peers),
        certified.saturating_add(blocks).saturating_add(COMMITTING_BYTES_MAX).saturating_mul(DECODED_FACTOR),
        HELD_SIGNATURES_BYTES_MAX,
        AHEAD_BYTES_MAX,
    ]
    .into_iter()
    .fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Network;

    #[test]
    fn the_share_grows_with_peers_and_with_what_the_chain_allows() {
        let usual = ChainParameters::of_network(Network::Mainnet);
        let share = share_bytes_max(&usual, 0);
        assert_eq!(share_bytes_max(&usual, 80) - share, 80 * PEER_PARTS_BYTES_MAX);
        let mut wide = usual.clone();
        wide.voted_unblocked_bytes_max += 1_000;
        wide.block_bytes_max += 1_000;
        assert_eq!(share_bytes_max(&wide, 0) - share, 4 * 1_000 + 12 * 1_000);
        wide.voted_unblocked_bytes_max = u64::MAX;
        assert_eq!(share_bytes_max(&wide, 0), usize::MAX);
    }
}
