//! Fuzzing of all that reads what others may have written: peers, files, texts of people. What is changed at random must be
//! refused with an error or keep its meaning, and nothing may panic.
//!
//! `FUZZ_SECONDS=10 cargo test --test fuzz -- --nocapture` says how many samples there were. The parts that are private to the
//! crate have the same campaign beside their tests: `cargo test --lib fuzz`, for messages, frames, handshakes and RPC.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    unreachable_pub,
    reason = "a failed expectation is a test's verdict"
)]

mod disk;
#[path = "../support/fuzz.rs"]
mod fuzz;
mod ledger;
#[path = "../support/story.rs"]
mod story;
mod texts;

use std::path::{Path, PathBuf};

/// A directory of files as an earlier program wrote them.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// A campaign that finds nothing proves nothing: these faults are rarer than those that it looks for.
#[test]
fn what_is_wrong_is_found() {
    let samples = [vec![7; 1_000], vec![8; 10]];
    for (name, is_wrong) in [
        ("a length", (|_, bytes| bytes[..4.min(bytes.len())] == [0xff; 4]) as fn(usize, &[u8]) -> bool),
        ("a bit", |place, bytes| place == 0 && bytes.len() == 1_000 && bytes[500..].contains(&6)),
        ("a cut", |place, bytes| place == 1 && bytes.len() == 3),
        ("another sample's end", |place, bytes| place == 0 && bytes.len() > 700 && bytes.ends_with(&[8; 4])),
    ] {
        let found = std::panic::catch_unwind(|| {
            fuzz::fuzz(name, &samples, |place, bytes| assert!(!is_wrong(place, bytes)));
        });
        assert!(found.is_err(), "{name}");
    }
}
