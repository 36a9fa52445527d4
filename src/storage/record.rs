//! What a segment file looks like: a header that says whose it is, then frames with checksums.
//!
//! # Place
//! `segment_log.rs` writes and scans segments by these rules; nobody else knows the bytes.
//!
//! # Layout
//! Integers are little-endian. Header (98 bytes): magic 8, version 2, kind 1, chain id 32, operator key 1 + 32,
//! sequence 8, of vote journals: forced 1, padding 1, made at 8, CRC-32 of all before 4. Frame: marker 4, payload length 4, CRC-32 of the payload 4, CRC-32 of
//! (sequence, offset of the frame, the three before) 4, payload.
//!
//! # Invariants
//! - INV-RECORD-1: the frame's head is checked by itself, so a length is known to be right before it is used.
//! - INV-RECORD-2: the head's checksum covers where the frame lies, so bytes in a payload can't pass for a frame, and a
//!   frame can't be moved.
//! - INV-RECORD-3: a frame is synced before the next one is written, so at most the last frame of the last segment can
//!   be torn; a bad frame before a good one is damage.

use std::path::Path;

use super::disk::DiskFile;
use super::error::StorageError;
use crate::types::limits::CLOCK_DRIFT_MS_MAX;
use crate::types::{ChainId, PublicKey, TimeMs};

const MAGIC: [u8; 8] = *b"timedseg";
/// Of the block log's and the vote journal's files. It changes with what is in them, headers of blocks among that. A version
/// that was released is read by all later programs, or migrated.
pub const FORMAT_VERSION: u16 = 4;
const MARKER: [u8; 4] = [0xd7, 0x54, 0x4d, 0xc3];
/// Bytes of a segment's header.
pub(super) const SEGMENT_HEADER_BYTES: u64 = 98;
/// Bytes of a frame before its payload.
pub(super) const FRAME_HEAD_BYTES: u64 = 16;
/// Bytes of a frame's payload, at most: the largest block with what it spends fits.
pub(super) const PAYLOAD_BYTES_MAX: usize = 32 << 20;
/// Bytes read at once in the search for a later frame behind a bad one.
const SEARCH_CHUNK_BYTES: u64 = 1 << 20;

/// What a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SegmentKind {
    Blocks,
    Votes,
}

impl SegmentKind {
    const fn tag(self) -> u8 {
        match self {
            Self::Blocks => 1,
            Self::Votes => 2,
        }
    }

    /// What the operator does about damage.
    pub(super) const fn repair(self) -> &'static str {
        match self {
            Self::Blocks => {
                "`timed db repair` keeps the blocks before it, and the node fetches the rest from its peers"
            }
            Self::Votes => {
                "`timed db check` says what is damaged. No vote that was lost comes back: bring the directory back from a copy \
                 that holds every vote sent so far; without one this operator key must not vote again in the current \
                 epoch: move the directory aside and make a journal with `timed votes new`"
            }
        }
    }
}

/// How a vote journal came to be. Each of its segments says so, hence pruning does not take it away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalOrigin {
    /// When it was made, by the clock of its maker.
    pub created_ms: TimeMs,
    /// Whether its key may sign in the running epoch already: it has never voted on this chain, or its operator takes
    /// the risk.
    pub forced: bool,
}

impl JournalOrigin {
    /// Its key may sign in epochs that start later than this, by the time of headers; 0 for any. What the key may have
    /// signed before the journal was made, it signed in epochs that had started by then, as far as clocks differ.
    #[must_use]
    pub const fn signs_after_ms(&self) -> TimeMs {
        if self.forced { 0 } else { self.created_ms.saturating_add(CLOCK_DRIFT_MS_MAX.saturating_mul(2)) }
    }
}

/// Whose a log is; each of its segments says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) kind: SegmentKind,
    pub(super) chain_id: ChainId,
    pub(super) operator: Option<PublicKey>,
    /// Only vote journals have one. What is found in a log counts, not what whoever opens it says.
    pub(super) origin: JournalOrigin,
}

fn crc(parts: &[&[u8]]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().to_le_bytes()
}

impl Identity {
    pub(super) fn segment_header(&self, sequence: u64) -> Vec<u8> {
        let mut header = Vec::with_capacity(98);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        header.push(self.kind.tag());
        header.extend_from_slice(&self.chain_id.0);
        header.push(u8::from(self.operator.is_some()));
        header.extend_from_slice(&self.operator.map_or([0; 32], |key| key.0));
        header.extend_from_slice(&sequence.to_le_bytes());
        header.extend_from_slice(&[u8::from(self.origin.forced), 0]);
        header.extend_from_slice(&self.origin.created_ms.to_le_bytes());
        let sum = crc(&[&header]);
        header.extend_from_slice(&sum);
        header
    }

    /// Checks a segment's header and gives the origin that it names: `None` if it is not whole, an error if it is whole
    /// but not ours.
    pub(super) fn check_header(
        &self,
        path: &Path,
        sequence: u64,
        bytes: &[u8],
    ) -> Result<Option<JournalOrigin>, StorageError> {
        let Some(header) = SplitHeader::of(bytes) else { return Ok(None) };
        let path = || path.to_path_buf();
        if header.version != FORMAT_VERSION {
            let (expected, found) = (FORMAT_VERSION, header.version);
            return Err(StorageError::UnsupportedVersion { path: path(), expected, found });
        }
        if header.kind != self.kind.tag() {
            return Err(StorageError::WrongKind { path: path() });
        }
        if header.chain_id != self.chain_id {
            let (expected, found) = (self.chain_id, header.chain_id);
            return Err(StorageError::WrongChain { path: path(), expected, found });
        }
        if header.operator != self.operator {
            let (expected, found) = (self.operator, header.operator);
            return Err(StorageError::WrongOperator { path: path(), expected, found });
        }
        if header.sequence != sequence {
            let (what, repair) = ("the file has another file's place", self.kind.repair());
            return Err(StorageError::Corrupt { path: path(), offset: 0, what, repair });
        }
        Ok(Some(header.origin))
    }
}

/// Whose a log is that this segment header belongs to: chain and operator key. `None` if the header is not whole, or of
/// another kind or version.
pub(super) fn owner_of(kind: SegmentKind, bytes: &[u8]) -> Option<(ChainId, Option<PublicKey>)> {
    let header = SplitHeader::of(bytes)?;
    let is_known = header.version == FORMAT_VERSION && header.kind == kind.tag();
    is_known.then_some((header.chain_id, header.operator))
}

struct SplitHeader {
    version: u16,
    kind: u8,
    chain_id: ChainId,
    operator: Option<PublicKey>,
    sequence: u64,
    origin: JournalOrigin,
}

impl SplitHeader {
    /// The fields of a header whose checksum holds.
    fn of(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk::<4>()?;
        if crc(&[body]) != *sum {
            return None;
        }
        let (magic, rest) = body.split_first_chunk::<8>()?;
        let (version, rest) = rest.split_first_chunk::<2>()?;
        let (kind, rest) = rest.split_first()?;
        let (chain_id, rest) = rest.split_first_chunk::<32>()?;
        let (has_operator, rest) = rest.split_first()?;
        let (operator, rest) = rest.split_first_chunk::<32>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let ([forced, _padding], rest) = rest.split_first_chunk::<2>()?;
        let (created, _end) = rest.split_first_chunk::<8>()?;
        let origin = JournalOrigin { created_ms: u64::from_le_bytes(*created), forced: *forced == 1 };
        (*magic == MAGIC).then_some(Self {
            origin,
            version: u16::from_le_bytes(*version),
            kind: *kind,
            chain_id: ChainId(*chain_id),
            operator: (*has_operator == 1).then_some(PublicKey(*operator)),
            sequence: u64::from_le_bytes(*sequence),
        })
    }
}

/// A frame's head that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) length: u32,
    payload_sum: [u8; 4],
}

impl FrameHead {
    pub(super) fn of(sequence: u64, offset: u64, head: &[u8; 16]) -> Option<Self> {
        let (checked, sum) = head.split_last_chunk::<4>()?;
        if crc(&[&sequence.to_le_bytes(), &offset.to_le_bytes(), checked]) != *sum {
            return None;
        }
        let (marker, rest) = checked.split_first_chunk::<4>()?;
        let (length, payload_sum) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        let bounded = usize::try_from(length).is_ok_and(|length| length <= PAYLOAD_BYTES_MAX);
        (*marker == MARKER && bounded).then_some(Self { length, payload_sum: payload_sum.try_into().ok()? })
    }

    pub(super) fn holds(&self, payload: &[u8]) -> bool {
        usize::try_from(self.length) == Ok(payload.len()) && crc(&[payload]) == self.payload_sum
    }

    /// Bytes of the whole frame.
    pub(super) fn frame_bytes(&self) -> u64 {
        FRAME_HEAD_BYTES + u64::from(self.length)
    }
}

/// A frame that is to be written at `offset` of segment `sequence`.
pub(super) fn frame(sequence: u64, offset: u64, payload: &[u8]) -> Result<Vec<u8>, StorageError> {
    let too_large = || StorageError::RecordTooLarge { bytes: payload.len(), limit: PAYLOAD_BYTES_MAX };
    let length = u32::try_from(payload.len()).map_err(|_| too_large())?;
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(payload.len() + 16);
    bytes.extend_from_slice(&MARKER);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&crc(&[payload]));
    let sum = crc(&[&sequence.to_le_bytes(), &offset.to_le_bytes(), &bytes]);
    bytes.extend_from_slice(&sum);
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

/// Whether a frame with a good head starts anywhere from `from` on.
pub(super) fn any_frame_from(
    file: &impl DiskFile,
    sequence: u64,
    from: u64,
    end: u64,
) -> Result<bool, StorageError> {
    let mut start = from;
    while start + FRAME_HEAD_BYTES <= end {
        // Chunks overlap by a head, so that none is missed at their border.
        let length = (SEARCH_CHUNK_BYTES + FRAME_HEAD_BYTES).min(end - start);
        let mut chunk = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_at(start, &mut chunk)?;
        let found = chunk.windows(16).zip(start..).any(|(window, offset)| {
            window.starts_with(&MARKER)
                && window.try_into().is_ok_and(|head| FrameHead::of(sequence, offset, head).is_some())
        });
        if found {
            return Ok(true);
        }
        start += SEARCH_CHUNK_BYTES;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_the_largest_size_is_framed_and_read_and_a_larger_one_refused() {
        let mut payload = vec![7; PAYLOAD_BYTES_MAX];
        let bytes = frame(3, 64, &payload).unwrap();
        let (head, rest) = bytes.split_at(16);
        let head = FrameHead::of(3, 64, head.try_into().unwrap()).expect("it is bounded");
        assert!(head.holds(rest));
        assert_eq!(head.frame_bytes(), bytes.len() as u64);
        payload.push(7);
        assert!(matches!(
            frame(3, 64, &payload),
            Err(StorageError::RecordTooLarge { bytes, limit: PAYLOAD_BYTES_MAX }) if bytes == PAYLOAD_BYTES_MAX + 1
        ));
        assert!(!head.holds(&payload), "of another length");
    }
}
