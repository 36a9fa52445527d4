//! Every bound of the RPC server, and what they add up to.
//!
//! # Place
//! All of `rpc/` reads these; commands read what a client has to respect.
//!
//! # Invariants
//! - INV-RPC-4: the server's memory is at most [`memory_bytes_max`], the sum of the rows below.
//!
//! With 100 connections, the default of `[rpc] max_connections`:
//!
//! | what | bytes | from |
//! |---|---|---|
//! | connections | 108 x 64 KiB | [`CONNECTION_BYTES_MAX`], [`PROBE_PLACES`] |
//! | bodies, with what is decoded from them | 6 x (16 MiB + 108 x 8 KiB) | [`BODY_COPIES`], [`BODIES_BYTES_MAX`], [`BODY_FREE_BYTES`] |
//! | parsed JSON | 100 x 2,048 x 128 B | [`JSON_VALUES_MAX`], [`JSON_VALUE_BYTES`] |
//! | answers | 4 x (48 MiB + 100 x 100 x 1 KiB) | [`ANSWER_COPIES`], [`ANSWERS_BYTES_MAX`], [`ANSWER_FREE_BYTES`] |
//! | what large answers are made of | 2 x 96 MiB | [`LARGE_CALLS_MAX`], [`LARGE_VALUE_BYTES_MAX`] |
//! | what small answers are made of | 100 x 1 MiB | [`SMALL_VALUE_BYTES_MAX`] |
//! | waiting calls | 1,024 x 4 KiB | [`WAITS_MAX`], [`WAIT_BYTES`] |
//! | events | 48 MiB | [`EVENTS_BYTES_MAX`] |
//! | WebSockets | 256 x 432 KiB | [`SOCKETS_MAX`], [`SOCKET_BYTES`] |
//!
//! The sum is 855,506,944 bytes. Callers without credentials reach about half of the bodies and answers.
//! The buffers of the operating system's sockets come on top; the system bounds them.

use std::time::{Duration, Instant};

/// Bytes of an answer, at most, a batch's included: a full block in hexadecimal fits.
pub const RESPONSE_BYTES_MAX: usize = 32 << 20;
/// Bytes of a request's body, at most.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Bytes of a request's head, at most.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Header fields of a request, at most.
pub const HEADERS_MAX: usize = 64;
/// Entries of a batch, at most.
pub const BATCH_LENGTH_MAX: usize = 100;
/// Cost of a batch, at most: a hundred calls that read the disk once, or ten that may have large answers.
pub const BATCH_COST_MAX: u32 = 200;
/// Depth of nested arrays and objects in a request, at most; serde_json itself stops at 128.
pub const JSON_DEPTH_MAX: usize = 32;
/// Values in a request's JSON, at most, names of members included.
pub const JSON_VALUES_MAX: usize = 2_048;
/// How long one call waits, at most.
pub const WAIT_MS_MAX: u64 = 60_000;
/// How long a call waits unless it says so.
pub const WAIT_MS_DEFAULT: u64 = 30_000;
/// Blocks within which `estimatesmartfee` may be asked for, at most: as in Bitcoin Core, whose clients ask.
pub const CONF_TARGET_MAX: usize = 1_008;
/// Seconds that a ban lasts, at most: a year.
pub const BAN_S_MAX: u64 = 366 * 86_400;
/// Outputs in one page of `getaddressutxos`, at most.
pub const ADDRESS_UTXOS_MAX: usize = 10_000;
/// Transactions in one page of `getaddresshistory`, at most.
pub const ADDRESS_HISTORY_MAX: usize = 1_000;
/// Pieces of evidence that `listevidence` tells, at most.
pub const EVIDENCE_MAX: usize = 10_000;
/// Events in one page of `getfinalizedsince`, at most.
pub const FINALIZED_EVENTS_MAX: usize = 8_192;
/// And unless the call says so.
pub const FINALIZED_EVENTS_DEFAULT: usize = 1_000;
/// Bytes of an error's message, at most; it may quote what the caller sent.
pub const ERROR_MESSAGE_BYTES_MAX: usize = 256;

/// Connections beyond `connections_max`, so that a probe finds a place while every request is being answered.
pub const PROBE_PLACES: usize = 8;
/// What a connection takes beside bodies and answers: buffers for head and answer, its task and its state.
pub const CONNECTION_BYTES_MAX: usize = 4 * HEAD_BYTES_MAX;
/// Bytes of a body that are free of the common bound, so that large bodies of others refuse no small request.
pub const BODY_FREE_BYTES: usize = 8 << 10;
/// Bytes of all bodies at once, at most, beyond what is free.
pub const BODIES_BYTES_MAX: usize = 16 << 20;
/// Of these, callers without credentials can take so many.
pub const BODIES_UNAUTHENTICATED_BYTES_MAX: usize = BODIES_BYTES_MAX / 2;
/// A body, its buffer's spare room, its parameters, a decoded transaction of twice its size, and ids in the answer.
pub const BODY_COPIES: usize = 6;
/// What a parsed value takes, with its share of the tree around it.
pub const JSON_VALUE_BYTES: usize = 128;
/// Bytes of a call's answer that are free of all bounds on answers, so that a txid or a count always fits.
pub const ANSWER_FREE_BYTES: usize = 1 << 10;
/// Bytes of one request's answers, at most, beyond what is free. With the ids and the free bytes of a full batch they
/// stay within [`RESPONSE_BYTES_MAX`].
pub const ANSWER_BYTES_MAX: usize =
    RESPONSE_BYTES_MAX - BODY_BYTES_MAX - 2 * BATCH_LENGTH_MAX * ANSWER_FREE_BYTES;
/// Bytes of all answers at once, at most, beyond what is free.
pub const ANSWERS_BYTES_MAX: usize = 48 << 20;
/// Of these, callers without credentials can take so many.
pub const ANSWERS_UNAUTHENTICATED_BYTES_MAX: usize = 32 << 20;
/// An answer's text and that of the whole response, each with its buffer's spare room.
pub const ANSWER_COPIES: usize = 4;
/// Calls of methods with large answers that run at once, at most.
pub const LARGE_CALLS_MAX: usize = 2;
/// Of these, callers without credentials can have so many.
pub const LARGE_CALLS_UNAUTHENTICATED_MAX: usize = 1;
/// A block of the largest size, decoded and described.
pub const LARGE_VALUE_BYTES_MAX: usize = 96 << 20;
/// What any other method makes its answer of: a decoded transaction, or a page of finality events.
pub const SMALL_VALUE_BYTES_MAX: usize = 1 << 20;
/// How long a call with a large answer waits for its turn.
pub const LARGE_CALL_TURN_MAX: Duration = Duration::from_secs(5);

/// Calls that wait for something, at most.
pub const WAITS_MAX: usize = 1_024;
/// Of these, callers without credentials can have so many.
pub const WAITS_UNAUTHENTICATED_MAX: usize = 256;
/// Waiting calls of one client address, at most; those with and those without credentials are counted apart. All
/// local clients share an address: they leave half to others.
pub const WAITS_PER_ADDRESS_MAX: usize = 512;
/// Waiting calls of one request, and so of one connection, at most.
pub const WAITS_PER_REQUEST_MAX: usize = 64;
/// The same for a caller without credentials.
pub const WAITS_PER_REQUEST_UNAUTHENTICATED_MAX: usize = 16;
/// What a waiting call takes beside its connection.
pub const WAIT_BYTES: usize = 4 << 10;

/// Events that are kept in memory, at most: half a minute at 2,000 payments a second. Older ones are read from blocks.
pub const EVENTS_MAX: usize = 65_536;
/// What one of them takes beside the transaction that it is about.
pub const EVENT_BYTES: usize = 256;
/// Bytes of all of them, at most.
pub const EVENTS_BYTES_MAX: usize = 48 << 20;
/// Outputs that an event tells of, at most.
pub const OUTPUTS_TOLD_MAX: usize = 100;
/// Bytes of a transaction that an event tells in full, at most.
pub const BODY_TOLD_BYTES_MAX: usize = 16 << 10;
/// Bytes of the text of one event, at most: two bodies in hexadecimal, or outputs and inputs with all about them.
pub const EVENT_TEXT_BYTES_MAX: usize = 72 << 10;

/// WebSocket connections beside those for requests, at most. They are open for long and cost little.
pub const SOCKETS_MAX: usize = 256;
/// Of these, callers without credentials can have so many.
pub const SOCKETS_UNAUTHENTICATED_MAX: usize = 192;
/// Bytes of a message that comes by a WebSocket, at most; larger ones go by HTTP.
pub const SOCKET_MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Subscriptions of one WebSocket, at most.
pub const SUBSCRIPTIONS_MAX: usize = 64;
/// Calls of one WebSocket that are answered at once, at most.
pub const SOCKET_CALLS_MAX: usize = 4;
/// Bytes of one notification, about; the event that exceeds it is the last one.
pub const NOTIFICATION_BYTES: usize = 64 << 10;
/// Events in one notification, at most.
pub const NOTIFICATION_EVENTS_MAX: usize = 256;
/// How long a reader may take for one message before its connection is closed.
pub const SOCKET_SEND_MAX: Duration = Duration::from_secs(20);
/// The rest of a message that took longer than that, before the connection ends without a farewell.
pub const SOCKET_REST_MAX: Duration = Duration::from_secs(1);
/// How often a silent reader is asked for a sign of life; one that gives none for two of these is gone.
pub const SOCKET_PING: Duration = Duration::from_secs(20);
/// What a WebSocket takes beside its connection: a message that comes, one that waits and one that leaves, its frames'
/// buffers, and its subscriptions.
pub const SOCKET_BYTES: usize = SOCKET_MESSAGE_BYTES_MAX
    + 2 * (NOTIFICATION_BYTES + EVENT_TEXT_BYTES_MAX)
    + SUBSCRIPTIONS_MAX * SUBSCRIPTION_BYTES
    + (32 << 10);
/// What a subscription takes.
pub const SUBSCRIPTION_BYTES: usize = 1 << 10;

/// When to try again what was refused because too much is going on.
pub const RETRY_AFTER_MS: u64 = 1_000;
/// Calls a second that are refused as `busy` for long, at most: some 40 ms of a core.
pub const BUSY_ANSWERS_PER_S: u32 = 2_000;
/// What is refused within this time at the pace may be refused at once before anybody rests.
pub const BUSY_BURST: Duration = Duration::from_millis(250);
/// How long a connection rests, at most: all places' full batches at that pace.
pub const BUSY_REST_MAX: Duration = Duration::from_secs(6);
/// How long open requests may take to end once the node stops.
pub const DRAIN_MAX: Duration = Duration::from_secs(3);
/// How often connections are looked through for those that are overdue.
pub const SWEEP_INTERVAL: Duration = Duration::from_millis(100);

/// How fast bytes have to come or go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// No rate is asked for so long.
    pub grace: Duration,
    /// Bytes a second afterwards, at least, on the average since the beginning.
    pub bytes_per_s_min: u32,
    /// All of it within this time.
    pub whole_max: Duration,
}

impl Pace {
    /// When more has to have come than `bytes`, if it began at `begun`.
    #[must_use]
    pub fn due(&self, begun: Instant, bytes: usize) -> Instant {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let earned = Duration::from_secs(u64::from(bytes)) / self.bytes_per_s_min.max(1);
        begun + self.grace.saturating_add(earned).min(self.whole_max)
    }
}

/// The bounds that depend on the configuration, and those on time, which tests shorten.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that are answered at once, at most; the configuration's `max_connections`.
    pub requests_max: usize,
    /// How long a new connection may stay silent.
    pub silence_max: Duration,
    /// How long a connection may idle between two requests.
    pub idle_max: Duration,
    /// A request's head, from its first byte.
    pub head: Pace,
    /// A request's body, from the end of its head.
    pub body: Pace,
    /// An answer, from its beginning.
    pub answer: Pace,
    /// A connection that has asked nothing for so long goes before all others.
    pub newcomer_grace: Duration,
    /// Calls a second that are refused as `busy` for long, at most.
    pub busy_answers_per_s: u32,
    /// How long a call with a large answer waits for its turn.
    pub large_call_turn_max: Duration,
    /// How long a WebSocket has to take a message, and then its rest so that a farewell can follow.
    pub socket_send: (Duration, Duration),
}

impl Limits {
    /// The bounds of a node with so many connections.
    #[must_use]
    pub const fn of(connections_max: usize) -> Self {
        let seconds = Duration::from_secs;
        Self {
            requests_max: connections_max,
            silence_max: seconds(10),
            idle_max: seconds(30),
            head: Pace { grace: seconds(2), bytes_per_s_min: 256, whole_max: seconds(10) },
            body: Pace { grace: seconds(2), bytes_per_s_min: 16 << 10, whole_max: seconds(20) },
            answer: Pace { grace: seconds(10), bytes_per_s_min: 128 << 10, whole_max: seconds(300) },
            newcomer_grace: seconds(1),
            busy_answers_per_s: BUSY_ANSWERS_PER_S,
            large_call_turn_max: LARGE_CALL_TURN_MAX,
            socket_send: (SOCKET_SEND_MAX, SOCKET_REST_MAX),
        }
    }

    /// Open connections that make requests, at most: [`PROBE_PLACES`] more than requests are answered at once, so there is
    /// always one that can be closed. WebSockets count apart.
    #[must_use]
    pub const fn connections_max(&self) -> usize {
        self.requests_max.saturating_add(PROBE_PLACES)
    }

    /// Requests of callers without credentials that are answered at once, at most: a quarter stays free of them.
    #[must_use]
    pub const fn requests_unauthenticated_max(&self) -> usize {
        self.requests_max.saturating_sub(self.requests_max / 4)
    }

    /// Requests with a waiting call, at most: half of the places are for those that don't wait.
    #[must_use]
    pub const fn waiting_requests_max(&self) -> usize {
        at_least_one(self.requests_max / 2)
    }

    /// The same for callers without credentials.
    #[must_use]
    pub const fn waiting_requests_unauthenticated_max(&self) -> usize {
        at_least_one(self.requests_max / 4)
    }

    /// Connections of one address on which nothing is being answered, at most. Loopback has no such bound, since all
    /// local clients are one address.
    #[must_use]
    pub const fn idle_per_address_max(&self) -> usize {
        at_least_one(self.connections_max() / 4)
    }
}

const fn at_least_one(count: usize) -> usize {
    if count == 0 { 1 } else { count }
}

/// INV-RPC-4: what a server with so many connections takes, at most.
#[must_use]
pub fn memory_bytes_max(limits: &Limits) -> usize {
    let (requests, connections) = (limits.requests_max, limits.connections_max());
    let free_answers = BATCH_LENGTH_MAX.saturating_mul(ANSWER_FREE_BYTES);
    let bodies = BODIES_BYTES_MAX.saturating_add(connections.saturating_mul(BODY_FREE_BYTES));
    let answers = ANSWERS_BYTES_MAX.saturating_add(requests.saturating_mul(free_answers));
    [
        connections.saturating_mul(CONNECTION_BYTES_MAX),
        bodies.saturating_mul(BODY_COPIES),
        requests.saturating_mul(JSON_VALUES_MAX).saturating_mul(JSON_VALUE_BYTES),
        answers.saturating_mul(ANSWER_COPIES),
        LARGE_CALLS_MAX.saturating_mul(LARGE_VALUE_BYTES_MAX),
        requests.saturating_mul(SMALL_VALUE_BYTES_MAX),
        WAITS_MAX.saturating_mul(WAIT_BYTES),
        EVENTS_BYTES_MAX,
        SOCKETS_MAX.saturating_mul(SOCKET_BYTES),
    ]
    .into_iter()
    .fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Clock, Config};
    use crate::types::Network;
    use crate::types::limits::MESSAGE_BYTES_MAX;

    /// INV-RPC-4: the figure that the module's head states is the sum of its rows.
    #[test]
    fn the_bound_on_memory_is_the_sum_that_the_head_states() {
        const SAID: usize = 855_506_944;
        let rows = [
            108 * (64 << 10),
            6 * ((16 << 20) + 108 * (8 << 10)),
            100 * 2_048 * 128,
            4 * ((48 << 20) + 100 * 100 * (1 << 10)),
            2 * (96 << 20),
            100 * (1 << 20),
            1_024 * (4 << 10),
            48 << 20,
            256 * (432 << 10),
        ];
        let configured = Config::of_network(Network::Mainnet).rpc.max_connections;
        let limits = Limits::of(usize::try_from(configured).unwrap());
        assert_eq!(rows.iter().sum::<usize>(), SAID);
        assert_eq!(memory_bytes_max(&limits), SAID);
        let head = include_str!("limits.rs").split("\nuse ").next().unwrap();
        assert!(head.contains("The sum is 855,506,944 bytes."));
    }

    #[test]
    fn the_largest_single_answer_fits_all_bounds() {
        let block = 2 * MESSAGE_BYTES_MAX + 2;
        assert!(block <= ANSWER_BYTES_MAX && ANSWER_BYTES_MAX <= ANSWERS_UNAUTHENTICATED_BYTES_MAX);
        const { assert!(BODY_BYTES_MAX <= BODIES_UNAUTHENTICATED_BYTES_MAX) };
        const { assert!(ANSWERS_UNAUTHENTICATED_BYTES_MAX < ANSWERS_BYTES_MAX) };
    }

    #[test]
    fn shares_leave_room_for_others_whatever_the_number_of_connections() {
        for connections in [1, 2, 3, 4, 8, 100, 10_000] {
            let limits = Limits::of(connections);
            assert!(limits.connections_max() >= limits.requests_max + PROBE_PLACES);
            assert!((1..=connections).contains(&limits.requests_unauthenticated_max()));
            assert!(limits.waiting_requests_unauthenticated_max() <= limits.waiting_requests_max());
            if connections >= 4 {
                assert!(limits.requests_unauthenticated_max() < connections);
                assert!(
                    limits.waiting_requests_unauthenticated_max() < limits.requests_unauthenticated_max()
                );
                assert!(limits.waiting_requests_max() < connections);
            }
        }
    }

    #[test]
    fn a_pace_asks_for_a_rate_after_its_grace_and_for_the_whole_at_its_end() {
        let begun = Clock.instant();
        let second = Duration::from_secs(1);
        let pace = Pace { grace: second, bytes_per_s_min: 100, whole_max: 5 * second };
        assert_eq!(pace.due(begun, 0), begun + second);
        assert_eq!(pace.due(begun, 150), begun + second * 5 / 2);
        assert_eq!(pace.due(begun, 100_000), begun + 5 * second);
        assert_eq!(pace.due(begun, usize::MAX), begun + 5 * second);
    }
}
