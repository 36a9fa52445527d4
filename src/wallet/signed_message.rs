//! Messages signed by the key of an address: proof that whoever owns it said something.
//!
//! An address is the hash of a key, so the key goes along: a signature's text is the 32 bytes of the public key and the 64
//! bytes of its signature, in hexadecimal. The preimage has a domain of its own (section 12 of [`crate::types`]), and names
//! network and address.
//!
//! # Invariants
//! - INV-MESSAGE-1: a signed message is never the signature of a transaction, a vote, a consent or anything else, and
//!   none of these is a signed message.
//! - INV-MESSAGE-2: a signature holds for one message and one address of one network alone.

use crate::types::codec::encode;
use crate::types::hash::{Domain, DomainHasher};
use crate::types::{Address, Lock, PublicKey, SecretKey, Signature};

/// Bytes of a signature: key and signature.
const SIGNATURE_BYTES: usize = 32 + 64;

/// Why a message is not that of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not the text of a signature.
    #[error("this is no signature of a message, which has {} hexadecimal digits", 2 * SIGNATURE_BYTES)]
    Malformed,
    /// The key is another address' one.
    #[error("the signature is of another key than that of the address")]
    OtherKey,
    /// Anybody can make signatures of such a key.
    #[error("the address is of a key that anybody can sign for")]
    WeakKey,
    /// The signature does not hold.
    #[error(
        "the key of the address did not sign this message; was it changed, even by a space or a line's end?"
    )]
    BadSignature,
}

/// What the key of an address signs.
#[must_use]
pub fn digest(address: &Address, message: &str) -> [u8; 32] {
    let content = encode(&(address.network, address.lock, message));
    DomainHasher::new(Domain::SignedMessage).bytes(&content).finish()
}

/// Signs a message by the key of an address; the signature's text.
///
/// # Errors
/// [`MessageError::OtherKey`].
pub fn sign(address: &Address, key: &SecretKey, message: &str) -> Result<String, MessageError> {
    let public = key.public();
    if Lock::KeyHash(public.key_hash()) != address.lock {
        return Err(MessageError::OtherKey);
    }
    Ok(format!("{public}{}", key.sign(&digest(address, message))))
}

/// Checks that the owner of an address signed a message.
///
/// # Errors
/// See [`MessageError`].
pub fn verify(address: &Address, signature: &str, message: &str) -> Result<(), MessageError> {
    let mut bytes = [0_u8; SIGNATURE_BYTES];
    hex::decode_to_slice(signature, &mut bytes).map_err(|_| MessageError::Malformed)?;
    let (key, signature) = bytes.split_at(32);
    let malformed = |_| MessageError::Malformed;
    let key = PublicKey(key.try_into().map_err(malformed)?);
    let signature = Signature(signature.try_into().map_err(malformed)?);
    if Lock::KeyHash(key.key_hash()) != address.lock {
        return Err(MessageError::OtherKey);
    }
    if key.is_weak() {
        return Err(MessageError::WeakKey);
    }
    if key.verify(&digest(address, message), &signature) { Ok(()) } else { Err(MessageError::BadSignature) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::transaction::signing_digest;
    use crate::types::{ChainId, Network, TxId};

    fn owner(seed: u8) -> (SecretKey, Address) {
        let key = SecretKey::from_seed(&[seed; 32]);
        let address = Address::of_key_hash(Network::Devnet, key.public().key_hash());
        (key, address)
    }

    /// INV-MESSAGE-2.
    #[test]
    fn a_signature_holds_for_its_message_and_address_alone() {
        let (key, address) = owner(1);
        let signature = sign(&address, &key, "I own this.").unwrap();
        assert_eq!(signature.len(), 192);
        assert_eq!(verify(&address, &signature, "I own this."), Ok(()));
        for changed in ["I own this", "I own this.\n", "", "i own this."] {
            assert_eq!(verify(&address, &signature, changed), Err(MessageError::BadSignature), "{changed:?}");
        }
        let testnet = Address { network: Network::Testnet, ..address };
        assert_eq!(verify(&testnet, &signature, "I own this."), Err(MessageError::BadSignature));
        let (_, other) = owner(2);
        assert_eq!(verify(&other, &signature, "I own this."), Err(MessageError::OtherKey));
        assert_eq!(sign(&other, &key, "I own this."), Err(MessageError::OtherKey));
    }

    /// INV-MESSAGE-1.
    #[test]
    fn a_signature_of_a_transaction_is_no_signature_of_its_texts() {
        let (key, address) = owner(1);
        let (chain, txid) = (ChainId([7; 32]), TxId([8; 32]));
        let signed = key.sign(&signing_digest(&chain, &txid));
        for message in [format!("{chain}{txid}"), txid.to_string(), String::new()] {
            let as_message = format!("{}{signed}", key.public());
            assert_eq!(verify(&address, &as_message, &message), Err(MessageError::BadSignature));
        }
        // The other way round: no message has the digest of a transaction, since its preimage begins otherwise.
        assert_ne!(Domain::SignedMessage.tag(), Domain::TransactionSignature.tag());
        assert!(!digest(&address, "").eq(&signing_digest(&chain, &txid)));
    }

    #[test]
    fn what_anybody_can_sign_for_is_nobodys_word() {
        // A point of small order: a signature of zeros with this point holds for every message.
        let mut identity = [0_u8; 32];
        identity[0] = 1;
        let key = PublicKey(identity);
        let address = Address::of_key_hash(Network::Devnet, key.key_hash());
        let forged = format!("{key}{}{}", hex::encode(identity), "00".repeat(32));
        assert!(key.verify(
            &digest(&address, "mine"),
            &Signature({
                let mut bytes = [0_u8; 64];
                bytes[0] = 1;
                bytes
            })
        ));
        assert_eq!(verify(&address, &forged, "mine"), Err(MessageError::WeakKey));
    }

    #[test]
    fn rubbish_is_no_signature() {
        let (key, address) = owner(1);
        let signature = sign(&address, &key, "x").unwrap();
        for text in ["", "00", &signature[..190], &format!("{signature}00"), &signature.replacen('a', "g", 1)]
        {
            assert_eq!(verify(&address, text, "x"), Err(MessageError::Malformed), "{text}");
        }
    }
}
