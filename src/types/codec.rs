//! The one way in which objects become bytes: bincode 2, little-endian, fixed-width integers, with a limit.
//!
//! # Place
//! Everything that is stored, hashed or sent goes through [`encode`] and [`decode`], so that the encoder can be
//! exchanged in one place.
//!
//! # Invariants
//! - INV-TYPES-1 of [`super`]: encodings are canonical and trailing bytes are refused.
//! - INV-CODEC-1: decoding never claims more memory than a small multiple of the input's length, however large
//!   the counts in it are.

use bincode::config::{self, Configuration, Fixint, Limit, LittleEndian};
use bincode::{Decode, Encode};

use super::limits::MESSAGE_BYTES_MAX;

/// Why bytes are not the object they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// More bytes than any object may have.
    #[error("{length} bytes exceed the limit of {MESSAGE_BYTES_MAX}")]
    TooLarge {
        /// Length of the input.
        length: usize,
    },
    /// The bytes are not an encoding of the object.
    #[error("malformed encoding: {0}")]
    Malformed(String),
    /// The object ended before the bytes did.
    #[error("{count} bytes after the object's end")]
    TrailingBytes {
        /// How many bytes are left over.
        count: usize,
    },
}

/// The canonical encoding.
///
/// Consensus types hold no map, float, or reader that can fail, so encoding them into memory can't fail; were it
/// to, the bytes would be empty, which no decoder accepts.
#[must_use]
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    bincode::encode_to_vec(value, config::legacy()).unwrap_or_default()
}

const fn limited<const N: usize>() -> Configuration<LittleEndian, Fixint, Limit<N>> {
    config::legacy().with_limit::<N>()
}

/// Decodes one object from all of `bytes`.
///
/// In memory an element of a list may take up to four times its encoded size; the claim limit is the next step
/// above that, so a count that is larger than the input fails before anything is allocated for it.
///
/// # Errors
/// See [`CodecError`].
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, CodecError> {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    let length = bytes.len();
    let decoded = match length {
        0..=256 => bincode::decode_from_slice(bytes, limited::<{ 2 * KIB }>()),
        257..=4_096 => bincode::decode_from_slice(bytes, limited::<{ 32 * KIB }>()),
        4_097..=65_536 => bincode::decode_from_slice(bytes, limited::<{ 512 * KIB }>()),
        65_537..=1_048_576 => bincode::decode_from_slice(bytes, limited::<{ 8 * MIB }>()),
        1_048_577..=MESSAGE_BYTES_MAX => bincode::decode_from_slice(bytes, limited::<{ 64 * MIB }>()),
        _ => return Err(CodecError::TooLarge { length }),
    };
    let (value, consumed) = decoded.map_err(|error| CodecError::Malformed(error.to_string()))?;
    match length.saturating_sub(consumed) {
        0 => Ok(value),
        count => Err(CodecError::TrailingBytes { count }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// INV-TYPES-1.
    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = encode(&7_u32);
        assert_eq!(decode::<u32>(&bytes), Ok(7));
        bytes.push(0);
        assert_eq!(decode::<u32>(&bytes), Err(CodecError::TrailingBytes { count: 1 }));
    }

    /// INV-CODEC-1.
    #[test]
    fn a_count_larger_than_the_input_is_refused_before_it_allocates() {
        let bytes = encode(&u64::MAX);
        assert!(matches!(decode::<Vec<u8>>(&bytes), Err(CodecError::Malformed(_))));
        let bytes = encode(&(1_u64 << 20));
        assert!(matches!(decode::<Vec<[u8; 32]>>(&bytes), Err(CodecError::Malformed(_))));
    }
}
