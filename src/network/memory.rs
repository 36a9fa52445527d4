//! What the network may take of the node's memory, whatever peers do: the sum of its bounds.
//!
//! # Place
//! Each bound is a constant beside what it bounds; this is where they are added up. Whoever adds a queue adds a line.
//!
//! # The sum
//! Each connection has a little of its own, so that it goes on whatever the others do:
//!
//! | a connection | bytes |
//! |---|---|
//! | waits to be written, two lanes | 2 x 512 KiB |
//! | urgent messages that come in or wait to be taken | 1 MiB, decoded 2 |
//! | bulk messages that come in or wait to be taken | 1 MiB, decoded 4, and 2.5 MiB for 4,096 that wait |
//! | what it is known to have | 1.1 MiB |
//! | buffers of records | 0.6 MiB |
//!
//! What is beyond that comes from pools, one half for strangers and one for members, and the rest is the same for all:
//!
//! | all together | bytes |
//! |---|---|
//! | waits to be written | 2 x (32 + 32) MiB |
//! | large messages that come in or wait to be taken | 2 x (16 MiB, decoded 32, and 32 MiB, decoded 128) |
//! | left by peers that are gone | 8 MiB, decoded 32 |
//! | addresses of peers, 81,920 in two tables | 38 MiB |
//! | what was seen lately, pinned addresses, scores, bans, handshakes | 9 MiB |
//!
//! With 16 outbound and 64 inbound places, of which members may take 36 more, and 100 more that a masternode dials, that is at
//! most [`NETWORK_BYTES_MAX`]: 2.8 GiB, if all of 216 peers do their worst at once. An honest network takes some MiB.
//!
//! # Units
//! Bytes of memory. A decoded message takes up to [`URGENT_DECODED_FACTOR`] or [`BULK_DECODED_FACTOR`] times its
//! encoded bytes: votes take what they have on the wire, the smallest transactions four times as much. While it is
//! decoded both are there, for one message of each of the runtime's threads; that is not in the sum.

use std::net::SocketAddr;

use super::address_book::PINNED_MAX;
use super::address_tables::{ENTRIES_MAX, Entry, PLACES_MAX};
use super::connection::{BULK_EVENTS_MAX, KNOWN_MAX, URGENT_EVENTS_BYTES_MAX};
use super::connection_manager::visitors_max;
use super::events::{EVENT_BYTES, LEFT_BYTES_MAX};
use super::frame::{BULK_WINDOW_BYTES, RECORD_BYTES_MAX};
use super::half_open::HALF_OPEN_MAX;
use super::pools::{
    RECEIVE_BULK_POOL_BYTES, RECEIVE_URGENT_POOL_BYTES, SEND_BULK_POOL_BYTES, SEND_URGENT_POOL_BYTES,
};
use super::reputation::BANS_MAX;
use super::send_queue::LANE_OWN_BYTES;
use super::shared::SEEN_MAX;
use crate::types::Transaction;
use crate::types::limits::{ADDRESS_TEXT_BYTES_MAX, HANDSHAKE_FRAME_BYTES_MAX, VALIDATORS_MAX};

/// Decoded bytes for each byte of an urgent message, at most.
const URGENT_DECODED_FACTOR: usize = 2;
/// Decoded bytes for each byte of a bulk message, at most; the same bound as in `types/codec.rs`.
const BULK_DECODED_FACTOR: usize = 4;
/// Halves of each pool.
const HALVES: usize = 2;
/// Bytes for each key of a `RecentSet` at its capacity: 16 and one of control, of 8 places 7 full, two generations.
const RECENT_KEY_BYTES: usize = 2 * 17 * 8 / 7 + 1;
/// An entry of a small map: a key, an address, times and counters.
const ENTRY_BYTES: usize = 256;
/// An address that peers told: its entry and key in a hash table of which 7 of 16 places may be taken, the groups of those
/// who told it, and its places in the tables.
const ADDRESS_BYTES_MAX: usize =
    (size_of::<Entry>() + size_of::<SocketAddr>() + 1) * 16 / 7 + PLACES_MAX * size_of::<u64>() + 64;
/// Records that the buffers of a connection hold: reading 2 (a buffer of twice its limit), 2 plaintexts, 2 that are
/// written together, and one in each of the two assemblers, which double when they grow.
const RECORDS_BUFFERED: usize = 10;

/// Memory of one connection.
pub(crate) const CONNECTION_BYTES_MAX: usize = 2 * LANE_OWN_BYTES
    + URGENT_DECODED_FACTOR * URGENT_EVENTS_BYTES_MAX
    + BULK_DECODED_FACTOR * BULK_WINDOW_BYTES
    + BULK_EVENTS_MAX * (EVENT_BYTES + size_of::<Transaction>())
    + KNOWN_MAX * RECENT_KEY_BYTES
    + RECORDS_BUFFERED * RECORD_BYTES_MAX;

/// Memory that does not depend on how many connections there are.
pub(crate) const COMMON_BYTES_MAX: usize = HALVES * (SEND_URGENT_POOL_BYTES + SEND_BULK_POOL_BYTES)
    + HALVES * URGENT_DECODED_FACTOR * RECEIVE_URGENT_POOL_BYTES
    + HALVES * BULK_DECODED_FACTOR * RECEIVE_BULK_POOL_BYTES
    + BULK_DECODED_FACTOR * LEFT_BYTES_MAX
    + SEEN_MAX * RECENT_KEY_BYTES
    + PINNED_MAX * (ENTRY_BYTES + ADDRESS_TEXT_BYTES_MAX)
    + ENTRIES_MAX * ADDRESS_BYTES_MAX
    // Bans, scores of identities, scores of groups, rates of hosts.
    + 4 * BANS_MAX * ENTRY_BYTES
    + HALF_OPEN_MAX * (8 * HANDSHAKE_FRAME_BYTES_MAX);

/// What the network of a node with so many places may take.
#[must_use]
pub const fn network_bytes_max(inbound_max: usize, outbound_max: usize) -> usize {
    // Visitors come beside the inbound ones; members may take places beyond them too, until a whole set is there.
    let strangers = inbound_max.saturating_add(visitors_max(inbound_max));
    let inbound = if strangers > VALIDATORS_MAX { strangers } else { VALIDATORS_MAX };
    // Those that a masternode dials come beside its outbound ones.
    (inbound + outbound_max + VALIDATORS_MAX) * CONNECTION_BYTES_MAX + COMMON_BYTES_MAX
}

/// The same with the places that the configuration has by default.
pub const NETWORK_BYTES_MAX: usize = network_bytes_max(64, 16);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::network::message_kind::MessageKind;
    use crate::network::tests::support;
    use crate::types::codec::encode;
    use crate::types::limits::TRANSACTION_BYTES_MIN;
    use crate::types::{FinalityVote, Message, Network, Released};

    const MIB: usize = 1 << 20;

    #[test]
    fn the_bound_of_the_default_configuration_is_the_one_that_is_stated() {
        let config = crate::runtime::Config::of_network(Network::Mainnet).network;
        let places = |number: u32| usize::try_from(number).unwrap();
        let bound = network_bytes_max(places(config.max_inbound), places(config.max_outbound));
        assert_eq!(bound, NETWORK_BYTES_MAX);
        assert!((2_750 * MIB..2_950 * MIB).contains(&bound), "{} MiB", bound / MIB);
        assert!((10 * MIB..12 * MIB).contains(&CONNECTION_BYTES_MAX), "{} KiB", CONNECTION_BYTES_MAX >> 10);
        // No part is forgotten: each line of the tables, by hand.
        let waiting = 4_096 * (256 + size_of::<Transaction>());
        let connection = MIB + 2 * MIB + 4 * MIB + waiting + 28_672 * 39 + 655_350;
        assert_eq!(CONNECTION_BYTES_MAX, connection);
        let common = 128 * MIB + 64 * MIB + 256 * MIB + 32 * MIB;
        let addresses = 81_920 * ADDRESS_BYTES_MAX;
        assert!((36 * MIB..38 * MIB).contains(&addresses), "{} KiB", addresses >> 10);
        let small = COMMON_BYTES_MAX - common - addresses;
        assert!((8 * MIB..12 * MIB).contains(&small), "{} KiB", small >> 10);
    }

    #[test]
    fn decoded_messages_stay_within_their_factors() {
        // The smallest transactions are the worst of what a bulk message can hold.
        let bytes = TRANSACTION_BYTES_MIN;
        let decoded =
            size_of::<Transaction>() + size_of::<Arc<Transaction>>() + 2 * size_of::<usize>() + bytes;
        assert!(decoded <= BULK_DECODED_FACTOR * bytes, "{decoded} of {bytes}");
        let tiny = Message::Transactions(vec![support::transaction(0, 8); 1_000]);
        assert!(tiny.check_density(encode(&tiny).len()).is_err(), "what can't be valid is refused");
        let honest = Message::Transactions(vec![support::transaction(0, bytes); 1_000]);
        assert!(honest.check_density(encode(&honest).len()).is_ok());
        let votes = Message::VoteBatch(Released::heard(support::vote_batch(1, 1_000)));
        assert!(1_000 * size_of::<FinalityVote>() <= URGENT_DECODED_FACTOR * encode(&votes).len());
    }

    #[test]
    fn every_message_fits_into_the_memory_that_is_taken_for_it() {
        for kind in MessageKind::ALL {
            let pool = if kind.is_urgent() { RECEIVE_URGENT_POOL_BYTES } else { RECEIVE_BULK_POOL_BYTES };
            assert!(
                kind.bytes_max() + EVENT_BYTES + 4 <= pool,
                "{kind:?}: else it would be waited for for ever"
            );
            let send = if kind.is_urgent() { SEND_URGENT_POOL_BYTES } else { SEND_BULK_POOL_BYTES };
            assert!(kind.bytes_max() + ENTRY_BYTES <= send, "{kind:?}");
        }
    }
}
