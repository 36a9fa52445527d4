//! Signatures checked in batches on all cores, against one at a time on the same cores.

use criterion::Criterion;
use rayon::prelude::*;
use timed::runtime::{CpuPool, PoolVerifier};
use timed::types::{SignatureCheck, SignatureVerifier as _};

use crate::support::{Work, chain, group, measure, print_ratio, timed};

const SIGNATURES: usize = 2_000;
const WORK: Work = Work { count: SIGNATURES, unit: "signatures" };

fn checks(keys: usize) -> Vec<SignatureCheck> {
    let keys: Vec<_> = (0..keys).map(|number| chain::key("signer", number)).collect();
    let check = |number: usize| {
        let secret = &keys[number % keys.len()];
        let digest = *blake3::hash(&number.to_le_bytes()).as_bytes();
        SignatureCheck { key: secret.public(), digest, signature: secret.sign(&digest) }
    };
    (0..SIGNATURES).map(check).collect()
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let pool = CpuPool::new().unwrap();
    let verifier = PoolVerifier::new(pool.clone());
    let mut group = group(criterion, "signatures");
    // Payments have a key each; votes come from few keys, which a batch gains from.
    for (keys, who) in [(SIGNATURES, "a key each"), (4, "4 keys")] {
        let checks = checks(keys);
        let limit = measure(&mut group, &format!("one at a time, {who}"), WORK, || {
            timed(|| assert!(pool.run_blocking(|| checks.par_iter().all(SignatureCheck::holds))))
        });
        let batched = measure(&mut group, &format!("in batches, {who}"), WORK, || {
            timed(|| verifier.verify_all(&checks).unwrap())
        });
        print_ratio(batched.as_ref(), limit.as_ref());
    }
    group.finish();
}
