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
use bincode::error::{AllowedEnumVariants, DecodeError};
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
    #[error("bytes after the object's end: {count}")]
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
/// # Errors
/// See [`CodecError`].
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, consumed) = decode_first(bytes)?;
    match bytes.len().saturating_sub(consumed) {
        0 => Ok(value),
        count => Err(CodecError::TrailingBytes { count }),
    }
}

/// Decodes the object that `bytes` begin with, and tells its length. What follows is not looked at: for bytes that are
/// known to be well-formed, never for those of a peer.
///
/// In memory an element of a list may take up to four times its encoded size; the claim limit is the next step
/// above that, so a count that is larger than the input fails before anything is allocated for it.
///
/// # Errors
/// See [`CodecError`].
pub(crate) fn decode_first<T: Decode<()>>(bytes: &[u8]) -> Result<(T, usize), CodecError> {
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
    decoded.map_err(|error| CodecError::Malformed(words(&error)))
}

/// What is wrong, for people: bincode's own text is that of a debugger.
fn words(error: &DecodeError) -> String {
    match error {
        DecodeError::UnexpectedEnd { .. } => "the bytes end too early".to_owned(),
        DecodeError::LimitExceeded => "a count says that more follows than does".to_owned(),
        DecodeError::UnexpectedVariant {
            allowed: AllowedEnumVariants::Range { min, max }, found, ..
        } => {
            format!("the number {found} stands where one from {min} to {max} says which kind follows")
        }
        DecodeError::UnexpectedVariant { found, .. } => {
            format!("the number {found} stands for no kind that is known here")
        }
        DecodeError::InvalidBooleanValue(found) => format!("{found} stands where only 0 or 1 can"),
        DecodeError::Utf8 { .. } => "a text in it is not UTF-8".to_owned(),
        DecodeError::Other(problem) => (*problem).to_owned(),
        // The types here have nothing else that can be wrong.
        _ => "the bytes are no such object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Transaction;

    /// INV-TYPES-1.
    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = encode(&7_u32);
        assert_eq!(decode::<u32>(&bytes), Ok(7));
        bytes.push(0);
        assert_eq!(decode_first::<u32>(&bytes), Ok((7, 4)));
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

    /// INV-CODEC-1: at every length of the input, so that few bytes can't claim what only many may.
    #[test]
    fn nothing_claims_more_than_eight_times_its_bytes() {
        let element = size_of::<[u8; 32]>();
        for length in [8, 9, 256, 4_096, 65_536, 1 << 20, MESSAGE_BYTES_MAX] {
            let mut bytes = encode(&u64::try_from(8 * length.max(256) / element + 1).unwrap());
            bytes.resize(length, 0);
            let error = decode::<Vec<[u8; 32]>>(&bytes).unwrap_err().to_string();
            assert!(error.contains("a count says"), "{length}: {error}");
        }
        assert_eq!(
            decode::<Vec<u8>>(&vec![0; MESSAGE_BYTES_MAX + 1]),
            Err(CodecError::TooLarge { length: MESSAGE_BYTES_MAX + 1 })
        );
    }

    /// Whoever sent the bytes reads this.
    #[test]
    fn what_is_wrong_is_said_in_words() {
        let mut transaction = encode(&Transaction::transfer(Vec::new(), Vec::new(), b"memo".to_vec()));
        let said = |bytes: &[u8]| decode::<Transaction>(bytes).unwrap_err().to_string();
        for length in 0..transaction.len() {
            let text = said(&transaction[..length]);
            let is_known = text.contains("the bytes end too early") || text.contains("a count says");
            assert!(is_known, "{length}: {text}");
        }
        assert_eq!(said(&[transaction.as_slice(), &[7]].concat()), "bytes after the object's end: 1");
        // Version, no inputs, no outputs, then the kind of the payload.
        transaction[18] = 9;
        let text = said(&transaction);
        assert_eq!(
            text,
            "malformed encoding: the number 9 stands where one from 0 to 4 says which kind follows"
        );
        let text = decode::<Option<u8>>(&[7, 7]).unwrap_err().to_string();
        assert!(text.contains("the number 7 stands"), "{text}");
        assert!(decode::<bool>(&[7]).unwrap_err().to_string().contains("only 0 or 1"));
        assert!(decode::<String>(&[1, 0, 0, 0, 0, 0, 0, 0, 0xff]).unwrap_err().to_string().contains("UTF-8"));
    }
}
