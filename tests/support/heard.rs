//! What strangers say. Like a node, a test has it from a decoder alone: it can't make a message that was released.

use bincode::{Decode, Encode};
use timed::types::Released;
use timed::types::codec::{decode, encode};

/// The value as it is on the other side of a wire.
pub(crate) fn heard<T: Encode + Decode<()>>(value: &T) -> Released<T> {
    decode(&encode(value)).unwrap()
}
