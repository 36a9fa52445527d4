use std::panic::AssertUnwindSafe;

use super::*;
use crate::types::keys::SequentialVerifier;
use crate::types::{PublicKey, SecretKey, Signature};

fn verifier() -> PoolVerifier {
    PoolVerifier::new(CpuPool::with_threads(2).unwrap())
}

fn honest(count: usize) -> Vec<SignatureCheck> {
    (0..count)
        .map(|i| {
            let mut seed = [7; 32];
            // Some keys sign more than once, as validators do.
            seed[0] = u8::try_from(i % 5).unwrap();
            let secret = SecretKey::from_seed(&seed);
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&u64::try_from(i).unwrap().to_le_bytes());
            SignatureCheck { key: secret.public(), digest, signature: secret.sign(&digest) }
        })
        .collect()
}

/// The encodings of the eight points of small order, canonical and not (RFC 8032's decoding without its canonicity
/// check, as ZIP 215 asks): y, then the same with the sign bit where it decodes.
fn small_order_encodings() -> Vec<[u8; 32]> {
    const TEXTS: [&str; 14] = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ];
    TEXTS.iter().map(|text| hex::decode(text).unwrap().try_into().unwrap()).collect()
}

/// ZIP 215's own test: each pair of small-order encodings as key and R, with S = 0.
fn small_order_checks() -> Vec<SignatureCheck> {
    let encodings = small_order_encodings();
    let pairs = encodings.iter().flat_map(|key| encodings.iter().map(move |r| (key, r)));
    pairs
        .map(|(key, r)| {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(r);
            SignatureCheck { key: PublicKey(*key), digest: [0x5a; 32], signature: Signature(signature) }
        })
        .collect()
}

/// A signature with the group's order added to S: valid by the equation, refused by the range.
fn with_order_added(check: SignatureCheck) -> SignatureCheck {
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut signature = check.signature.0;
    let mut carry = 0_u16;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    SignatureCheck { signature: Signature(signature), ..check }
}

#[test]
fn all_196_small_order_cases_hold_alone_and_in_a_batch() {
    let checks = small_order_checks();
    assert_eq!(checks.len(), 196);
    assert!(checks.iter().all(SignatureCheck::holds));
    assert_eq!(verifier().verify_all(&checks), Ok(()));
    let mut mixed = honest(100);
    mixed.extend(checks);
    assert_eq!(verifier().verify_all(&mixed), Ok(()));
}

/// INV-CPU-POOL-1, INV-KEYS-2.
#[test]
fn crafted_signatures_get_the_same_verdict_alone_and_in_any_batch() {
    let good = honest(1)[0];
    let mut no_point = good;
    no_point.key = PublicKey([2; 32]);
    let mut r_is_no_point = good;
    r_is_no_point.signature.0[..32].copy_from_slice(&[2; 32]);
    let mut small_key = good;
    small_key.key = PublicKey(small_order_encodings()[4]);
    let mut flipped = good;
    flipped.signature.0[3] ^= 1;
    let mut other_digest = good;
    other_digest.digest[0] ^= 1;
    let crafted = [with_order_added(good), no_point, r_is_no_point, small_key, flipped, other_digest];
    for (case, bad) in crafted.into_iter().enumerate() {
        assert!(!bad.holds(), "case {case}");
        for (count, place) in [(1, 0), (3, 2), (4, 1), (64, 63), (65, 64), (300, 123), (600, 599)] {
            let mut checks = honest(count);
            checks[place] = bad;
            assert_eq!(verifier().verify_all(&checks), Err(place), "case {case}, {place} of {count}");
            assert_eq!(SequentialVerifier.verify_all(&checks), Err(place));
        }
    }
}

/// Two signatures whose errors are opposite: a batch that weighs them equally takes them both.
#[test]
fn errors_that_cancel_out_are_noticed() {
    let mut checks = honest(8);
    let shift = |check: &mut SignatureCheck, up: bool| {
        let byte = &mut check.signature.0[32];
        *byte = if up { byte.wrapping_add(1) } else { byte.wrapping_sub(1) };
    };
    shift(&mut checks[2], true);
    shift(&mut checks[5], false);
    assert_eq!(verifier().verify_all(&checks), Err(2));
}

#[test]
fn the_lowest_of_several_bad_ones_is_named() {
    for threads in [1, 2, 5] {
        let verifier = PoolVerifier::new(CpuPool::with_threads(threads).unwrap());
        let mut checks = honest(700);
        for place in [699, 400, 301, 300] {
            checks[place].signature = Signature::EMPTY;
            assert_eq!(verifier.verify_all(&checks), Err(place), "{threads} threads");
        }
    }
    assert_eq!(verifier().verify_all(&[]), Ok(()));
}

#[tokio::test]
async fn the_pool_answers_and_hands_on_panics() {
    let pool = CpuPool::with_threads(1).unwrap();
    assert_eq!(pool.run(|| 6 * 7).await, 42);
    let broken = pool.run(|| -> u8 { panic!("broken") });
    let outcome = futures::FutureExt::catch_unwind(AssertUnwindSafe(broken)).await;
    assert_eq!(outcome.unwrap_err().downcast_ref::<&str>(), Some(&"broken"));
    assert_eq!(pool.run(|| "still alive").await, "still alive");
    assert_eq!(pool.jobs.available_permits(), 1);
}

/// INV-CPU-POOL-2.
#[tokio::test]
async fn no_more_jobs_run_at_once_than_the_pool_has_threads() {
    const THREADS: usize = 2;
    const JOBS: usize = 5;
    let pool = CpuPool::with_threads(THREADS).unwrap();
    let (started, mut starts) = tokio::sync::mpsc::channel(JOBS);
    let (release, gate) = std::sync::mpsc::sync_channel(JOBS);
    let gate = Arc::new(parking_lot::Mutex::new(gate));
    let jobs = futures::future::join_all((0..JOBS).map(|_| {
        let (started, gate) = (started.clone(), Arc::clone(&gate));
        pool.run(move || {
            started.blocking_send(()).unwrap();
            gate.lock().recv().unwrap();
        })
    }));
    let watcher = async {
        for running in 0..JOBS {
            if running >= THREADS {
                // Long enough for whoever does not wait for its turn.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                assert!(starts.try_recv().is_err(), "a third job runs");
                release.send(()).unwrap();
            }
            starts.recv().await.unwrap();
        }
        (0..THREADS).for_each(|_| release.send(()).unwrap());
    };
    tokio::join!(jobs, watcher);
}
