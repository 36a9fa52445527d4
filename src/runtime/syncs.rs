//! How often this process has made its logs durable: what a payment costs a disk is a number of syncs, not of bytes.
//!
//! # Concurrency
//! One relaxed counter.

use std::sync::atomic::{AtomicU64, Ordering};

static SYNCS: AtomicU64 = AtomicU64::new(0);

/// A file of a log was made durable.
pub fn note() {
    SYNCS.fetch_add(1, Ordering::Relaxed);
}

/// How often that was, since the process started.
#[must_use]
pub fn count() -> u64 {
    SYNCS.load(Ordering::Relaxed)
}
