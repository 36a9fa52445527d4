//! CPU work off the tokio workers: as many jobs at once as there are cores, and a batching signature verifier.
//!
//! # Place
//! Shells give closures to [`CpuPool::run`] and await the answer: these many small jobs go to tokio's blocking threads.
//! [`PoolVerifier`] is the node's [`SignatureVerifier`]; `protocol/` sees only the trait. It cuts what is too much for
//! one thread over a rayon pool. The small jobs stay away from that pool because a rayon thread that has run out of work
//! looks for more a few dozen times, with a `sched_yield` each, before it sleeps: with a job every few milliseconds and
//! four nodes on two cores these made 36,000 context switches a second.
//!
//! # Invariants
//! - INV-CPU-POOL-1: a verdict does not depend on how the signatures were cut into batches, nor on the number of threads:
//!   ZIP 215 gives the same answer one at a time and in a batch (<https://zips.z.cash/zip-0215>), and the index of a
//!   failure is always the lowest.
//! - INV-CPU-POOL-2: at most as many jobs of [`CpuPool::run`] as the pool has threads run at once; a caller above that waits
//!   for its turn, with its closure.

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::Arc;

use ed25519_zebra::{VerificationKeyBytes, batch};
use rayon::prelude::*;
use tokio::sync::Semaphore;

use super::stages::{Stage, enter};
use crate::types::{SignatureCheck, SignatureVerifier};

/// One alone costs 1.3 times as much in a batch. Two by different keys cost 0.95 of two checks, four 0.5 to 0.7.
const BATCH_MIN: usize = 2;
/// Signatures of one batch at least, where there are as many: smaller batches share too little work.
const CHUNK_MIN: usize = 64;
/// Signatures of one batch, at most: larger ones gain little and tell later that one is bad.
const CHUNK_MAX: usize = 256;

/// The pool could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the pool of {threads} CPU threads can't be started (limit of processes reached?): {source}")]
pub struct CpuPoolError {
    /// How many threads it should have.
    pub threads: usize,
    /// Rayon's reason.
    pub source: rayon::ThreadPoolBuildError,
}

/// Threads for CPU work. Cheap to clone.
#[derive(Clone)]
pub struct CpuPool {
    pool: Arc<rayon::ThreadPool>,
    jobs: Arc<Semaphore>,
}

impl CpuPool {
    /// A pool with a thread for each core.
    ///
    /// # Errors
    /// When the operating system gives no threads.
    pub fn new() -> Result<Self, CpuPoolError> {
        Self::with_threads(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }

    /// A pool of `threads` threads.
    ///
    /// # Errors
    /// When the operating system gives no threads.
    pub fn with_threads(threads: usize) -> Result<Self, CpuPoolError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("cpu-{index}"))
            .build()
            .map_err(|source| CpuPoolError { threads, source })?;
        Ok(Self { pool: Arc::new(pool), jobs: Arc::new(Semaphore::new(threads)) })
    }

    /// Runs a closure on a thread of its own; it runs to its end even when nobody awaits it any longer. A panic in it
    /// goes on in the task that awaits it. To be awaited within a tokio runtime.
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let jobs = Arc::clone(&self.jobs);
        async move {
            // The semaphore is never closed.
            let permit = jobs.acquire_owned().await.ok();
            let outcome = tokio::task::spawn_blocking(move || {
                let _held = permit;
                job()
            });
            match outcome.await {
                Ok(value) => value,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => resume_unwind(panic),
                    // The runtime is being shut down: whoever asked is about to be dropped.
                    Err(_) => std::future::pending().await,
                },
            }
        }
    }

    /// Runs a closure on the pool and blocks for its answer; for callers that are off the tokio workers already.
    pub fn run_blocking<T: Send>(&self, job: impl FnOnce() -> T + Send) -> T {
        self.pool.install(job)
    }

    /// How many threads it has.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }
}

/// Checks signatures in batches on all threads of a pool. It blocks its caller, who is off the tokio workers.
#[derive(Clone)]
pub struct PoolVerifier {
    pool: CpuPool,
}

impl PoolVerifier {
    /// A verifier on a pool.
    #[must_use]
    pub const fn new(pool: CpuPool) -> Self {
        Self { pool }
    }
}

impl SignatureVerifier for PoolVerifier {
    fn verify_all(&self, checks: &[SignatureCheck]) -> Result<(), usize> {
        if checks.len() <= CHUNK_MIN {
            return first_bad(checks).map_or(Ok(()), Err);
        }
        let size = checks.len().div_ceil(self.pool.threads()).clamp(CHUNK_MIN, CHUNK_MAX);
        let bad = self.pool.run_blocking(|| {
            checks
                .par_chunks(size)
                .enumerate()
                .find_map_first(|(chunk, checks)| Some(chunk * size + first_bad(checks)?))
        });
        bad.map_or(Ok(()), Err)
    }
}

/// The place of the first signature that does not hold: by a batch if all hold, else one at a time.
fn first_bad(checks: &[SignatureCheck]) -> Option<usize> {
    let _stage = enter(Stage::Signatures);
    if checks.len() >= BATCH_MIN && batch_holds(checks) {
        return None;
    }
    checks.iter().position(|check| !check.holds())
}

fn batch_holds(checks: &[SignatureCheck]) -> bool {
    let mut batch = batch::Verifier::new();
    for check in checks {
        let key = VerificationKeyBytes::from(check.key.0);
        batch.queue((key, ed25519_zebra::Signature::from_bytes(&check.signature.0), &check.digest));
    }
    // Coefficients that a signer could foretell would let forged signatures cancel out; this generator is seeded by
    // the operating system.
    batch.verify(rand::rng()).is_ok()
}

#[cfg(test)]
mod tests;
