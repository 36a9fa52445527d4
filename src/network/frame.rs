//! How messages lie on the wire: encrypted records of at most 65,535 bytes, which carry the pieces of two streams.
//!
//! # Place
//! `handshake.rs` and `connection.rs` read and write records with it; nothing else knows the wire.
//!
//! # Wire
//! A record is two bytes of length (big-endian, as Noise recommends) and so many bytes. Before the keys are agreed they
//! are the messages of the Noise handshake, at most [`HANDSHAKE_FRAME_BYTES_MAX`]; afterwards ciphertext of a byte that
//! names the lane and of that lane's next bytes. A lane is a stream of messages, each with four bytes of length
//! (little-endian) before it. A large message spans records, small ones share one, and records of the two lanes
//! alternate: a vote waits for the rest of a record, never for the rest of a block.
//!
//! The third lane carries credit: how many more bytes of the bulk lane its sender takes. A peer whose consumer of bulk
//! messages is slow grants none and goes on reading votes. The alternatives lost: a buffer without a bound is an attack,
//! dropping breaks sync, and not reading lets votes wait.
//!
//! # Invariants
//! - INV-NET-4: memory grows with the bytes that arrived, never with what a length claims; a claim over the limit of
//!   the message's kind is refused as soon as the kind is known, and any claim over the limit of all at once.
//!   An unfinished message knows how long it was waited for; `session.rs` ends what takes too long.
//! - INV-NET-5: both sides change a direction's key after the same [`REKEY_RECORDS`] records of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use parking_lot::RwLock;
use snow::StatelessTransportState;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::message_kind::MessageKind;
use crate::types::limits::{HANDSHAKE_FRAME_BYTES_MAX, MESSAGE_BYTES_MAX};

/// Bytes of one record without its length, at most (Noise, section 3).
pub(crate) const RECORD_BYTES_MAX: usize = 65_535;
/// Bytes of AES-GCM's tag.
const TAG_BYTES: usize = 16;
/// Bytes of a record's plaintext, the lane's included, at most.
pub(crate) const PLAINTEXT_BYTES_MAX: usize = RECORD_BYTES_MAX - TAG_BYTES;
/// Records of one direction after which its key changes: 4 GiB of full ones, far below AES-GCM's limit of 2^32
/// messages under one key with random access to 2^24.5 full records (RFC 8446, section 5.5).
pub(crate) const REKEY_RECORDS: u64 = 1 << 16;
/// Bytes of bulk messages that may be under way to a receiver that has not taken them, at most: 20 MB/s at a round trip
/// of 50 ms. A message of more than half of it gets memory of a pool first, and is granted again as it comes.
pub(crate) const BULK_WINDOW_BYTES: usize = 1 << 20;
/// Messages up to this size fit into what each connection has of its own, in either lane.
pub(crate) const OWN_MESSAGE_BYTES_MAX: usize = BULK_WINDOW_BYTES / 2;
/// Smaller messages are copied out of the buffer in which they came, so that one that waits does not keep all of it.
const COPIED_BYTES_MAX: usize = 64 << 10;
/// A buffer that grew beyond this is given back when it is empty.
const BUFFER_KEPT_BYTES: usize = 256 << 10;
/// Bytes of a message's length on its lane.
pub(crate) const LENGTH_BYTES: usize = 4;

/// What is wrong with what a peer sent.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Reading failed.
    #[error("reading from the peer failed: {0}")]
    Io(#[from] std::io::Error),
    /// The connection ended within a record.
    #[error("the peer closed the connection within a record")]
    Truncated,
    /// A record is larger than it may be now, or has no bytes.
    #[error("a record of {length} bytes; 1 to {limit} are allowed here")]
    RecordLength {
        /// What it claims.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// A record does not decrypt: it was changed, replayed or reordered.
    #[error("a record does not decrypt")]
    Decrypt,
    /// A key is used up, which can't happen before 2^64 records.
    #[error("a record can't be encrypted")]
    Encrypt,
    /// A record names a lane that does not exist, or holds no bytes.
    #[error("a record names no lane")]
    UnknownLane,
    /// A message is larger than its kind may be.
    #[error("a {kind} message of {length} bytes exceeds the limit of {limit}")]
    MessageTooLarge {
        /// The kind, or "any".
        kind: &'static str,
        /// What it claims.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// A message starts with a tag that no message of the agreed version has, or ends before its tag. Nobody sends such a
    /// one in good faith: a peer that knows more kinds knows that this node does not.
    #[error("a message of unknown kind")]
    UnknownKind,
    /// A message came in the lane of others.
    #[error("a {kind} message in the wrong lane")]
    WrongLane {
        /// The kind.
        kind: &'static str,
    },
    /// The peer sent more bulk bytes than it had credit for.
    #[error("the peer sent {bytes} bulk bytes more than it had credit for")]
    CreditExceeded {
        /// By how many bytes.
        bytes: usize,
    },
    /// A grant of credit that is malformed or larger than the window.
    #[error("the peer granted credit that makes no sense")]
    InvalidCredit,
}

/// The streams that share a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Votes and whatever never waits.
    Urgent,
    /// Transactions, blocks and the rest.
    Bulk,
    /// Grants of credit for the bulk lane: four bytes, little-endian.
    Credit,
}

impl Lane {
    /// The byte that names it.
    pub(crate) const fn tag(self) -> u8 {
        match self {
            Self::Urgent => 0,
            Self::Bulk => 1,
            Self::Credit => 2,
        }
    }

    const fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            0 => Some(Self::Urgent),
            1 => Some(Self::Bulk),
            2 => Some(Self::Credit),
            _ => None,
        }
    }
}

/// Takes the next record out of `buffer`, and reads when there is none in it. `None` at the end of the stream.
///
/// # Errors
/// A length that is not within 1 and `limit`, an end within a record, or what reading failed with.
pub(crate) async fn read_record<R: AsyncRead + Unpin>(
    reader: &mut R,
    buffer: &mut BytesMut,
    limit: usize,
) -> Result<Option<BytesMut>, FrameError> {
    loop {
        if let Some(prefix) = buffer.first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*prefix));
            if length == 0 || length > limit {
                return Err(FrameError::RecordLength { length, limit });
            }
            if buffer.len() >= 2 + length {
                buffer.advance(2);
                return Ok(Some(buffer.split_to(length)));
            }
        }
        buffer.reserve(limit + 2);
        if reader.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(FrameError::Truncated) };
        }
    }
}

/// A plain record, as the handshake sends it; `None` if it is too long.
pub(crate) fn plain_record(payload: &[u8]) -> Option<Vec<u8>> {
    if payload.is_empty() || payload.len() > HANDSHAKE_FRAME_BYTES_MAX {
        return None;
    }
    let mut record = u16::try_from(payload.len()).ok()?.to_be_bytes().to_vec();
    record.extend_from_slice(payload);
    Some(record)
}

/// Splits an agreed session into what the writer and what the reader owns.
pub(crate) fn split_session(noise: StatelessTransportState) -> (Sealer, Opener) {
    let noise = Arc::new(RwLock::new(noise));
    (Sealer { noise: Arc::clone(&noise), records: 0 }, Opener { noise, records: 0 })
}

/// Encrypts one direction. The lock is shared with the other direction and taken for writing only to change a key, so
/// the two do not wait for each other.
pub(crate) struct Sealer {
    noise: Arc<RwLock<StatelessTransportState>>,
    records: u64,
}

impl Sealer {
    /// Appends the record of a plaintext of at most [`PLAINTEXT_BYTES_MAX`] bytes.
    pub(crate) fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
        let length = plaintext.len() + TAG_BYTES;
        let prefix = u16::try_from(length).map_err(|_| FrameError::Encrypt)?;
        out.extend_from_slice(&prefix.to_be_bytes());
        let start = out.len();
        out.resize(start + length, 0);
        let target = out.get_mut(start..).ok_or(FrameError::Encrypt)?;
        self.noise.read().write_message(self.records, plaintext, target).map_err(|_| FrameError::Encrypt)?;
        self.records += 1;
        if self.records.is_multiple_of(REKEY_RECORDS) {
            self.noise.write().rekey_outgoing();
        }
        Ok(())
    }
}

/// Decrypts one direction.
pub(crate) struct Opener {
    noise: Arc<RwLock<StatelessTransportState>>,
    records: u64,
}

impl Opener {
    /// Decrypts a record into `plaintext`, which is resized to what it holds.
    pub(crate) fn open(&mut self, record: &[u8], plaintext: &mut Vec<u8>) -> Result<(), FrameError> {
        plaintext.resize(record.len(), 0);
        let length = self
            .noise
            .read()
            .read_message(self.records, record, plaintext)
            .map_err(|_| FrameError::Decrypt)?;
        plaintext.truncate(length);
        self.records += 1;
        if self.records.is_multiple_of(REKEY_RECORDS) {
            self.noise.write().rekey_incoming();
        }
        Ok(())
    }
}

/// The lane that a plaintext names, and its bytes.
pub(crate) fn split_lane(plaintext: &[u8]) -> Result<(Lane, &[u8]), FrameError> {
    let (tag, payload) = plaintext.split_first().ok_or(FrameError::UnknownLane)?;
    let lane = Lane::from_tag(*tag).ok_or(FrameError::UnknownLane)?;
    if payload.is_empty() { Err(FrameError::UnknownLane) } else { Ok((lane, payload)) }
}

/// A message of which the rest has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unfinished {
    /// Its kind, if that has come.
    pub(crate) kind: Option<MessageKind>,
    /// Its length, as far as it is known.
    pub(crate) length: usize,
    /// How long its peer was waited for since it began.
    pub(crate) waited: Duration,
}

/// Puts the messages of one lane together again.
pub(crate) struct Assembler {
    /// Of the protocol, as both sides agreed.
    version: u32,
    urgent: bool,
    buffer: BytesMut,
    /// For the rest of the unfinished message.
    waited: Duration,
}

impl Assembler {
    /// Of the urgent lane, or of the bulk lane, of a connection with this version of the protocol.
    pub(crate) fn new(urgent: bool, version: u32) -> Self {
        Self { version, urgent, buffer: BytesMut::new(), waited: Duration::ZERO }
    }

    /// Bytes of messages that were not taken.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Adds bytes of the lane.
    pub(crate) fn feed(&mut self, payload: &[u8]) {
        self.buffer.extend_from_slice(payload);
    }

    /// The peer was waited for: counted while a message is unfinished.
    pub(crate) fn note_waited(&mut self, waited: Duration) {
        if !self.buffer.is_empty() {
            self.waited = self.waited.saturating_add(waited);
        }
    }

    /// The message whose rest is waited for.
    pub(crate) fn unfinished(&self) -> Option<Unfinished> {
        if self.buffer.is_empty() {
            return None;
        }
        let (kind, length) = match self.header() {
            Ok(Some((kind, length))) => (Some(kind), length),
            _ => (None, LENGTH_BYTES),
        };
        Some(Unfinished { kind, length, waited: self.waited })
    }

    /// Kind and length of the next message, as soon as they are known.
    ///
    /// # Errors
    /// A length over the limit, a kind that does not exist or that belongs to the other lane.
    pub(crate) fn header(&self) -> Result<Option<(MessageKind, usize)>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_le_bytes(*prefix)).unwrap_or(usize::MAX);
        if length > MESSAGE_BYTES_MAX {
            return Err(FrameError::MessageTooLarge { kind: "any", length, limit: MESSAGE_BYTES_MAX });
        }
        if length < 4 {
            return Err(FrameError::UnknownKind);
        }
        let Some(tag) = self.buffer.get(LENGTH_BYTES..).and_then(<[u8]>::first_chunk::<4>) else {
            return Ok(None);
        };
        let tag = u32::from_le_bytes(*tag);
        let kind = MessageKind::from_tag(tag, self.version).ok_or(FrameError::UnknownKind)?;
        if length > kind.bytes_max() {
            return Err(FrameError::MessageTooLarge { kind: kind.name(), length, limit: kind.bytes_max() });
        }
        if kind.is_urgent() != self.urgent {
            return Err(FrameError::WrongLane { kind: kind.name() });
        }
        Ok(Some((kind, length)))
    }

    /// Takes the next message, of the length that its header says, if all of it has come.
    pub(crate) fn take(&mut self, length: usize) -> Option<Bytes> {
        if self.buffer.len() < LENGTH_BYTES + length {
            return None;
        }
        self.waited = Duration::ZERO;
        self.buffer.advance(LENGTH_BYTES);
        let message = if length <= COPIED_BYTES_MAX {
            let copy = self.buffer.get(..length).map(Bytes::copy_from_slice);
            self.buffer.advance(length);
            copy.unwrap_or_default()
        } else {
            self.buffer.split_to(length).freeze()
        };
        if self.buffer.is_empty() && length > BUFFER_KEPT_BYTES {
            self.buffer = BytesMut::new();
        }
        Some(message)
    }

    /// The next complete message, encoded.
    #[cfg(test)]
    pub(crate) fn next_message(&mut self) -> Result<Option<(MessageKind, Bytes)>, FrameError> {
        let header = self.header()?;
        Ok(header.and_then(|(kind, length)| Some((kind, self.take(length)?))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::PROTOCOL_VERSION;
    use crate::types::Message;
    use crate::types::codec::encode;

    fn framed(message: &Message) -> Vec<u8> {
        let bytes = encode(message);
        let mut out = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
        out.extend(bytes);
        out
    }

    #[test]
    fn messages_come_out_however_the_bytes_are_cut() {
        let stream: Vec<u8> = (0..20).flat_map(|number| framed(&Message::Ping(number))).collect();
        for piece in [1, 3, 7, 64, 1_000] {
            let mut assembler = Assembler::new(true, PROTOCOL_VERSION);
            let mut count = 0;
            for bytes in stream.chunks(piece) {
                assembler.feed(bytes);
                while let Some((kind, message)) = assembler.next_message().unwrap() {
                    assert_eq!(kind, MessageKind::Ping);
                    assert_eq!(&message[..], encode(&Message::Ping(count)));
                    count += 1;
                }
            }
            assert_eq!((count, assembler.pending_bytes()), (20, 0));
        }
    }

    /// INV-NET-4.
    #[test]
    fn a_claim_over_the_limit_is_refused_before_anything_is_allocated() {
        let mut assembler = Assembler::new(false, PROTOCOL_VERSION);
        assembler.feed(&[0xff; 4]);
        assert!(matches!(assembler.next_message(), Err(FrameError::MessageTooLarge { kind: "any", .. })));
        assert!(assembler.buffer.capacity() < 1_024);
        // A ping may not be as large as a block, and is refused by its first eight bytes.
        let mut assembler = Assembler::new(true, PROTOCOL_VERSION);
        let mut claim = framed(&Message::Ping(1));
        claim[..4].copy_from_slice(&(8_u32 << 20).to_le_bytes());
        assembler.feed(&claim[..8]);
        assert!(matches!(assembler.next_message(), Err(FrameError::MessageTooLarge { kind: "ping", .. })));
        // A block may, and takes memory only as it comes.
        let mut assembler = Assembler::new(false, PROTOCOL_VERSION);
        let mut claim = framed(&Message::Blocks(Vec::new()));
        claim[..4].copy_from_slice(&(12_u32 << 20).to_le_bytes());
        assembler.feed(&claim);
        assert!(matches!(assembler.next_message(), Ok(None)));
        assert!(assembler.buffer.capacity() < 1_024);
    }

    #[test]
    fn an_unfinished_message_knows_how_long_it_was_waited_for() {
        let second = Duration::from_secs(1);
        let mut assembler = Assembler::new(true, PROTOCOL_VERSION);
        assembler.note_waited(second);
        assert_eq!(assembler.unfinished(), None, "nothing is owed");
        let bytes = framed(&Message::Ping(1));
        assembler.feed(&bytes[..3]);
        assembler.note_waited(second);
        let unknown = Unfinished { kind: None, length: LENGTH_BYTES, waited: second };
        assert_eq!(assembler.unfinished(), Some(unknown));
        assembler.feed(&bytes[3..9]);
        assembler.note_waited(second);
        let known = Unfinished { kind: Some(MessageKind::Ping), length: bytes.len() - 4, waited: second * 2 };
        assert_eq!(assembler.unfinished(), Some(known));
        assembler.feed(&bytes[9..]);
        assembler.feed(&bytes[..1]);
        assert!(assembler.next_message().unwrap().is_some());
        assert_eq!(
            assembler.unfinished().map(|rest| rest.waited),
            Some(Duration::ZERO),
            "the next one begins"
        );
    }

    #[test]
    fn a_small_message_does_not_keep_the_buffer_it_came_in() {
        let mut assembler = Assembler::new(true, PROTOCOL_VERSION);
        let bytes = framed(&Message::Ping(1));
        assembler.feed(&bytes.repeat(1_000));
        let capacity = assembler.buffer.capacity();
        let (_, kept) = assembler.next_message().unwrap().unwrap();
        while assembler.next_message().unwrap().is_some() {}
        assembler.feed(&bytes.repeat(1_000));
        assert!(assembler.buffer.capacity() <= capacity, "the same memory is used again");
        assert_eq!(kept.len(), bytes.len() - 4);
    }

    #[test]
    fn unknown_kinds_short_messages_and_wrong_lanes_are_refused() {
        let refused = |urgent: bool, bytes: &[u8]| {
            let mut assembler = Assembler::new(urgent, PROTOCOL_VERSION);
            assembler.feed(bytes);
            assembler.next_message().unwrap_err()
        };
        assert!(matches!(refused(true, &[4, 0, 0, 0, 99, 0, 0, 0]), FrameError::UnknownKind));
        assert!(matches!(refused(true, &[3, 0, 0, 0]), FrameError::UnknownKind));
        let ping = framed(&Message::Ping(1));
        let mut older = Assembler::new(true, PROTOCOL_VERSION - 1);
        older.feed(&ping);
        assert!(
            matches!(older.next_message(), Err(FrameError::UnknownKind)),
            "an older version has no such kind"
        );
        assert!(matches!(refused(false, &ping), FrameError::WrongLane { kind: "ping" }));
        assert!(matches!(refused(true, &framed(&Message::GetMasternodes)), FrameError::WrongLane { .. }));
        assert!(split_lane(&[3, 1]).is_err() && split_lane(&[]).is_err() && split_lane(&[0]).is_err());
    }

    #[tokio::test]
    async fn records_are_held_to_their_limit() {
        let mut buffer = BytesMut::new();
        let mut input: &[u8] = &[0xff, 0xff, 0xff, 0xff];
        assert!(matches!(
            read_record(&mut input, &mut buffer, HANDSHAKE_FRAME_BYTES_MAX).await,
            Err(FrameError::RecordLength { length: 0xffff, limit: HANDSHAKE_FRAME_BYTES_MAX })
        ));
        assert!(buffer.capacity() <= 2 * HANDSHAKE_FRAME_BYTES_MAX);
        let mut input: &[u8] = &[0, 0];
        assert!(read_record(&mut input, &mut BytesMut::new(), 10).await.is_err(), "an empty record");
        let mut input: &[u8] = &[0, 3, 1];
        assert!(matches!(
            read_record(&mut input, &mut BytesMut::new(), 10).await,
            Err(FrameError::Truncated)
        ));
        let mut input: &[u8] = &[0, 1, 7, 0, 2, 8, 9];
        let mut buffer = BytesMut::new();
        assert_eq!(read_record(&mut input, &mut buffer, 10).await.unwrap().unwrap(), [7][..]);
        assert_eq!(read_record(&mut input, &mut buffer, 10).await.unwrap().unwrap(), [8, 9][..]);
        assert!(read_record(&mut input, &mut buffer, 10).await.unwrap().is_none());
        assert!(plain_record(&[0; HANDSHAKE_FRAME_BYTES_MAX + 1]).is_none());
    }

    /// INV-NET-5.
    #[test]
    fn keys_change_together_and_replayed_records_do_not_decrypt() {
        let (mut sealer, mut opener) = crate::network::tests::support::session_pair();
        let (mut record, mut plaintext) = (Vec::new(), Vec::new());
        for number in 0..=REKEY_RECORDS + 1 {
            record.clear();
            sealer.seal(&number.to_le_bytes(), &mut record).unwrap();
            opener.open(&record[2..], &mut plaintext).unwrap();
            assert_eq!(plaintext, number.to_le_bytes());
        }
        assert!(matches!(opener.open(&record[2..], &mut plaintext), Err(FrameError::Decrypt)), "replayed");
        assert!(matches!(opener.open(&[], &mut plaintext), Err(FrameError::Decrypt)));
        assert!(sealer.seal(&vec![0; PLAINTEXT_BYTES_MAX + 1], &mut record).is_err());
    }
}
