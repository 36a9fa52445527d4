//! Memos for the receiver alone, followed from section 13 of the wire specification: X25519 and the cipher are those of its
//! crates, all else stands here.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::montgomery::MontgomeryPoint;
use sha2::{Digest as _, Sha512};

use crate::plain::{Bytes, Digest, hash};

const HEAD: [u8; 2] = [0xff, 1];

fn cipher(chain_id: &Digest, once: &[u8], receiver: &[u8], shared: &Digest) -> ChaCha20Poly1305 {
    let content = Bytes::default().raw(chain_id).raw(once).raw(receiver).raw(shared);
    ChaCha20Poly1305::new(&hash("timed/memo/v1", &content.0).into())
}

pub fn seal(text: &[u8], receiver: &[u8], chain_id: &Digest, secret: &Digest) -> Vec<u8> {
    let once = MontgomeryPoint::mul_base_clamped(*secret).to_bytes();
    let point = CompressedEdwardsY::from_slice(receiver).unwrap().decompress().unwrap();
    let shared = point.to_montgomery().mul_clamped(*secret).to_bytes();
    let cipher = cipher(chain_id, &once, receiver, &shared);
    let sealed = cipher.encrypt(&Nonce::from([0; 12]), Payload { msg: text, aad: &HEAD }).unwrap();
    Bytes::default().raw(&HEAD).raw(&once).raw(&sealed).0
}

pub fn open(memo: &[u8], seed: &Digest, receiver: &[u8], chain_id: &Digest) -> Vec<u8> {
    let (head, rest) = memo.split_at(2);
    assert_eq!(head, HEAD);
    let (once, sealed) = rest.split_at(32);
    let own: Digest = Sha512::digest(seed)[..32].try_into().unwrap();
    let shared = MontgomeryPoint(once.try_into().unwrap()).mul_clamped(own).to_bytes();
    let cipher = cipher(chain_id, once, receiver, &shared);
    cipher.decrypt(&Nonce::from([0; 12]), Payload { msg: sealed, aad: &HEAD }).unwrap()
}
