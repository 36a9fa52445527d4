//! How long the message of a WebSocket becomes, known by its frames' heads before their payloads have come.
//!
//! # Place
//! `rpc/farewell.rs` shows each byte that comes before soketto sees it. soketto bounds messages too, but waits for as many
//! further bytes as a message of several frames has had before it says that it is too large; a sender that waits for an
//! answer never sends them.
//!
//! # Invariants
//! - INV-FRAMES-1: of a message with more than the bound nothing passes from the head of the first frame that exceeds it.
//! - INV-FRAMES-2: a pong in the middle of a message does no harm to it. soketto gives up the message for it, and answers a
//!   ping without that; so it is shown a ping.

use soketto::Parsing;
use soketto::base::{Codec, Error, OpCode};

/// Bytes of a frame's head, at most (RFC 6455, section 5.2).
const HEAD_BYTES_MAX: usize = 14;
/// Where in a head's first byte the kind of the frame is.
const OPCODE_BITS: u8 = 0x0f;

/// Where in its messages a connection is.
pub(super) struct Frames {
    codec: Codec,
    message_bytes_max: usize,
    /// What has come of a frame's head.
    head: Vec<u8>,
    /// What is to come of a frame's payload.
    payload_left: usize,
    /// The payloads of the message that is coming.
    message_bytes: usize,
    /// Whether more frames of it are to come.
    is_open: bool,
    is_exceeded: bool,
}

impl Frames {
    /// The frames of a connection that has just begun.
    pub(super) fn new(message_bytes_max: usize) -> Self {
        let mut codec = Codec::new();
        codec.set_max_data_size(message_bytes_max);
        let head = Vec::with_capacity(HEAD_BYTES_MAX);
        Self {
            codec,
            message_bytes_max,
            head,
            payload_left: 0,
            message_bytes: 0,
            is_open: false,
            is_exceeded: false,
        }
    }

    /// Whether a message is too large. No byte passes any more then.
    pub(super) const fn is_exceeded(&self) -> bool {
        self.is_exceeded
    }

    /// How many of these bytes, the next that came, may be looked at. A pong within a message becomes a ping.
    pub(super) fn pass(&mut self, bytes: &mut [u8]) -> usize {
        let (mut place, mut frame_begins_at, count) = (0, 0, bytes.len());
        while let Some(byte) = bytes.get_mut(place).filter(|_| !self.is_exceeded) {
            if self.payload_left > 0 {
                let come = self.payload_left.min(count.saturating_sub(place));
                self.payload_left = self.payload_left.saturating_sub(come);
                place = place.saturating_add(come);
                continue;
            }
            if self.head.is_empty() {
                frame_begins_at = place;
                if self.is_open && *byte & OPCODE_BITS == u8::from(OpCode::Pong) {
                    *byte = *byte & !OPCODE_BITS | u8::from(OpCode::Ping);
                }
            }
            self.head.push(*byte);
            place = place.saturating_add(1);
            self.read_head();
        }
        if self.is_exceeded { frame_begins_at } else { place }
    }

    fn read_head(&mut self) {
        match self.codec.decode_header(&self.head) {
            Ok(Parsing::NeedMore(_)) => return,
            Ok(Parsing::Done { value: header, .. }) => {
                self.payload_left = header.payload_len();
                if !header.opcode().is_control() {
                    self.message_bytes = self.message_bytes.saturating_add(header.payload_len());
                    self.is_exceeded = self.message_bytes > self.message_bytes_max;
                    self.is_open = !header.is_fin();
                    if header.is_fin() {
                        self.message_bytes = 0;
                    }
                }
            }
            Err(Error::PayloadTooLarge { .. }) => self.is_exceeded = true,
            // soketto finds the same and ends the connection.
            Err(_) => {}
        }
        self.head.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: u8 = 1;
    const REST: u8 = 0;
    const PONG: u8 = 10;
    const LAST: u8 = 0x80;

    /// A masked frame, of which the head is no shorter than its length needs.
    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![kind];
        match payload {
            0..126 => bytes.push(0x80 | payload as u8),
            _ => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&(payload as u16).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&[1, 2, 3, 4]);
        bytes.resize(bytes.len() + payload, 0xff);
        bytes
    }

    /// How many bytes pass when they come in pieces of this size.
    fn passed(bytes: &[u8], piece: usize) -> (usize, bool) {
        let mut frames = Frames::new(1_000);
        let passed = bytes.to_vec().chunks_mut(piece).map(|piece| frames.pass(piece)).sum();
        (passed, frames.is_exceeded())
    }

    /// INV-FRAMES-1.
    #[test]
    fn a_message_ends_before_the_frame_that_makes_it_too_large() {
        let small =
            [frame(TEXT | LAST, 1_000), frame(TEXT, 600), frame(PONG | LAST, 125), frame(REST, 0)].concat();
        let rest = frame(REST | LAST, 400);
        let next = frame(TEXT | LAST, 1_000);
        let fits = [small.clone(), rest, next].concat();
        let exceeds = [small.clone(), frame(REST | LAST, 401)].concat();
        let alone = [small.clone(), frame(REST | LAST, 400), frame(TEXT | LAST, 1_001)].concat();
        for piece in [1, 2, 7, 14, 100, 1_001, 10_000] {
            assert_eq!(passed(&fits, piece), (fits.len(), false), "{piece}");
            for (bytes, begins) in [(&exceeds, small.len()), (&alone, small.len() + 408)] {
                let (passed, is_exceeded) = passed(bytes, piece);
                // Of the head itself so much has passed as came in earlier pieces.
                assert!(
                    is_exceeded && (begins..begins + HEAD_BYTES_MAX).contains(&passed),
                    "{piece}: {passed}"
                );
            }
        }
        assert_eq!(passed(&exceeds, 10_000).0, small.len());
    }

    /// INV-FRAMES-2.
    #[test]
    fn a_pong_is_a_ping_within_a_message_alone() {
        const PING: u8 = 9;
        let of = |within: u8| {
            let begins = [frame(PONG | LAST, 3), frame(TEXT, 5)].concat();
            let ends = [frame(within, 4), frame(REST | LAST, 5), frame(PONG | LAST, 0)].concat();
            [begins, ends].concat()
        };
        for piece in [1, 3, 1_000] {
            let mut bytes = of(PONG | LAST);
            let mut frames = Frames::new(1_000);
            bytes.chunks_mut(piece).for_each(|piece| assert_eq!(frames.pass(piece), piece.len()));
            assert_eq!(bytes, of(PING | LAST), "{piece}");
        }
    }
}
