//! Memos that the receiver of a payment alone can read.
//!
//! # Place
//! The commands of `cli/` seal the memo of a payment before it is signed, and open those of payments to their wallet. To the
//! protocol it is a memo like any other. Section 13 of [`crate::types`] has the bytes.
//!
//! # How
//! X25519 between a key that is made for this memo alone and the receiver's Ed25519 key, taken over to X25519 as libsodium
//! and age do it; then ChaCha20-Poly1305. That one key both signs and receives is sound for these two (eprint 2021/509).
//! The key of the cipher is a hash with a domain of its own over the chain id, both public keys and the shared secret.
//!
//! # Invariants
//! - INV-SEAL-1: a sealed memo is opened by the receiver's key on its own chain alone, and no bit of it can be changed.
//! - INV-SEAL-2: a sealed memo is no UTF-8, so no text is taken for one.
//!
//! # What it does not hide
//! Who pays whom how much, that there is a memo, and its length. The payer can't open it again either: the key that it was
//! sealed by is forgotten. Whoever learns the receiver's key later opens all of them.
//!
//! # Bounds
//! At most [`SEALED_TEXT_BYTES_MAX`] bytes of text, so that the whole fits into a memo.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use x25519_dalek::{PublicKey as ExchangeKey, StaticSecret};
use zeroize::Zeroizing;

use crate::types::hash::{Domain, DomainHasher};
use crate::types::limits::MEMO_BYTES_MAX;
use crate::types::{ChainId, PublicKey, SecretKey};

/// What a sealed memo begins with: a byte that is in no UTF-8, and the version.
const HEAD: [u8; 2] = [0xff, 1];
/// The key that was made for the memo.
const KEY_BYTES: usize = 32;
/// The cipher's tag.
const TAG_BYTES: usize = 16;
/// Bytes that sealing adds.
pub const OVERHEAD_BYTES: usize = HEAD.len() + KEY_BYTES + TAG_BYTES;
/// Bytes of a text that is to be sealed, at most.
pub const SEALED_TEXT_BYTES_MAX: usize = MEMO_BYTES_MAX - OVERHEAD_BYTES;

/// Why a memo can't be sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The text does not fit.
    #[error(
        "the memo has {bytes} bytes, and encrypted at most {SEALED_TEXT_BYTES_MAX} fit: shorten it (letters outside of ASCII take two to four bytes)"
    )]
    TooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// Everybody could open it.
    #[error(
        "the receiver's key is one that everybody has the secret of, or none at all; ask for another one"
    )]
    WeakKey,
    /// No key can be made for it.
    #[error("the operating system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// Whether a memo looks sealed. One that is not may look so, too: whoever pays chooses the bytes.
#[must_use]
pub fn is_sealed(memo: &[u8]) -> bool {
    memo.starts_with(&HEAD) && memo.len() >= OVERHEAD_BYTES
}

/// Seals a text for a receiver.
///
/// # Errors
/// See [`SealError`].
pub fn seal(text: &[u8], receiver: &PublicKey, chain_id: &ChainId) -> Result<Vec<u8>, SealError> {
    let mut once = Zeroizing::new([0_u8; KEY_BYTES]);
    getrandom::fill(once.as_mut_slice())?;
    seal_by(text, receiver, chain_id, &once)
}

/// As [`seal`], by a secret that must be used for this one memo alone: for test vectors.
///
/// # Errors
/// See [`SealError`].
pub fn seal_by(
    text: &[u8],
    receiver: &PublicKey,
    chain_id: &ChainId,
    once: &[u8; KEY_BYTES],
) -> Result<Vec<u8>, SealError> {
    if text.len() > SEALED_TEXT_BYTES_MAX {
        return Err(SealError::TooLong { bytes: text.len() });
    }
    let theirs = ExchangeKey::from(receiver.exchange_key().ok_or(SealError::WeakKey)?);
    let own = StaticSecret::from(*once);
    let public = ExchangeKey::from(&own);
    let shared = own.diffie_hellman(&theirs);
    let cipher = cipher(chain_id, public.as_bytes(), receiver, shared.as_bytes());
    let payload = Payload { msg: text, aad: &HEAD };
    // It fails for texts of gigabytes alone.
    let sealed =
        cipher.encrypt(&Nonce::default(), payload).map_err(|_| SealError::TooLong { bytes: text.len() })?;
    Ok([HEAD.as_slice(), public.as_bytes(), &sealed].concat())
}

/// Opens a memo that was sealed for this key; `None` if it was not.
#[must_use]
pub fn open(memo: &[u8], key: &SecretKey, chain_id: &ChainId) -> Option<Vec<u8>> {
    let (public, sealed) = memo.strip_prefix(&HEAD)?.split_first_chunk::<KEY_BYTES>()?;
    let own = StaticSecret::from(*key.exchange_secret());
    let shared = own.diffie_hellman(&ExchangeKey::from(*public));
    // A point of small order would make a secret that everybody knows.
    if !shared.was_contributory() {
        return None;
    }
    let cipher = cipher(chain_id, public, &key.public(), shared.as_bytes());
    cipher.decrypt(&Nonce::default(), Payload { msg: sealed, aad: &HEAD }).ok()
}

/// Each cipher has a key of its own, so the nonce is always zero.
fn cipher(
    chain_id: &ChainId,
    once: &[u8; KEY_BYTES],
    receiver: &PublicKey,
    shared: &[u8; KEY_BYTES],
) -> ChaCha20Poly1305 {
    let hasher = DomainHasher::new(Domain::SealedMemo).bytes(&chain_id.0).bytes(once);
    let key = Zeroizing::new(hasher.bytes(&receiver.0).bytes(shared).finish());
    ChaCha20Poly1305::new((&*key).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: ChainId = ChainId([7; 32]);

    fn receiver() -> SecretKey {
        SecretKey::from_seed(&[1; 32])
    }

    /// INV-SEAL-1.
    #[test]
    fn the_receiver_alone_opens_it_and_on_its_own_chain() {
        for text in [&b""[..], b"order 7", &[0xff; SEALED_TEXT_BYTES_MAX]] {
            let memo = seal(text, &receiver().public(), &CHAIN).unwrap();
            assert_eq!(memo.len(), text.len() + OVERHEAD_BYTES);
            assert!(is_sealed(&memo) && memo.len() <= MEMO_BYTES_MAX);
            assert_eq!(open(&memo, &receiver(), &CHAIN).as_deref(), Some(text));
            assert_eq!(open(&memo, &SecretKey::from_seed(&[2; 32]), &CHAIN), None, "another key");
            assert_eq!(open(&memo, &receiver(), &ChainId([8; 32])), None, "another chain");
        }
        let long = [0; SEALED_TEXT_BYTES_MAX + 1];
        let refused = seal(&long, &receiver().public(), &CHAIN);
        assert_eq!(refused, Err(SealError::TooLong { bytes: long.len() }));
    }

    #[test]
    fn no_bit_of_it_can_be_changed() {
        let memo = seal(b"order 7", &receiver().public(), &CHAIN).unwrap();
        for place in 0..memo.len() {
            for bit in 0..8 {
                let mut changed = memo.clone();
                changed[place] ^= 1 << bit;
                let opened = open(&changed, &receiver(), &CHAIN);
                // X25519 passes over the highest bit of a key; the hash of the key does not.
                assert_eq!(opened, None, "bit {bit} of byte {place}");
            }
            assert_eq!(open(&memo[..place], &receiver(), &CHAIN), None, "cut at {place}");
        }
        assert_eq!(open(&[memo.as_slice(), &[0]].concat(), &receiver(), &CHAIN), None);
    }

    #[test]
    fn the_same_text_is_sealed_otherwise_each_time() {
        let sealed = || seal(b"order 7", &receiver().public(), &CHAIN).unwrap();
        assert_ne!(sealed()[2..34], sealed()[2..34]);
    }

    /// INV-SEAL-2.
    #[test]
    fn a_text_is_never_taken_for_a_sealed_memo() {
        let memo = seal(b"order 7", &receiver().public(), &CHAIN).unwrap();
        assert!(std::str::from_utf8(&memo).is_err());
        for plain in
            [&b""[..], b"order 7", "\u{ff}\u{1} a text of more than fifty bytes, which is no key".as_bytes()]
        {
            assert!(!is_sealed(plain));
        }
        assert!(!is_sealed(&memo[..OVERHEAD_BYTES - 1]));
        let next = [&[0xff, 2], &memo[2..]].concat();
        assert!(!is_sealed(&next), "a later version");
    }

    #[test]
    fn keys_that_everybody_has_the_secret_of_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        for weak in [identity, [0; 32], [0xff; 32]] {
            assert_eq!(seal(b"order 7", &PublicKey(weak), &CHAIN), Err(SealError::WeakKey));
        }
        // The point of a memo that is of small order: without the check its secret would be zero, and everybody's.
        let cipher = cipher(&CHAIN, &[0; 32], &receiver().public(), &[0; 32]);
        let payload = Payload { msg: b"order 7", aad: &HEAD };
        let forged =
            [HEAD.as_slice(), &[0; 32], &cipher.encrypt(&Nonce::default(), payload).unwrap()].concat();
        assert_eq!(open(&forged, &receiver(), &CHAIN), None);
    }
}
