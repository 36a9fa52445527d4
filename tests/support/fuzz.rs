//! Changes valid samples at random and holds what reads them to its promises.
//!
//! Each target runs for `FUZZ_SECONDS` (1 where it is not set). The changes follow from the target's name and `FUZZ_SEED`, so
//! a failure comes again. It is shrunk by proptest, and what is left of it is printed as hex and as text.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "its own clock, and its count for whoever reads it"
)]

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

/// Between two looks at the clock.
const CASES_A_BATCH: u32 = 64;
/// A sample does not grow by more than this, in bytes.
const GROWTH_MAX: usize = 4_096;
/// What is at the edges of numbers and lengths.
const EDGES: [u64; 10] =
    [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, u64::MAX];
/// What texts are made of, and what readers of texts stumble over.
const TOKENS: [&str; 30] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "=",
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "18446744073709551616",
    "0.00000001",
    "\n",
    "\r\n",
    "\0",
    "\u{feff}",
    "\u{202e}",
    "é",
    "\u{10ffff}",
    "\\u0000",
    "[[",
    "#",
    "'''",
    "//",
    "..",
    "9999999999999999999999999999999999",
];

#[derive(Clone, Debug)]
enum Change {
    Flip {
        at: Index,
        bit: u8,
    },
    Set {
        at: Index,
        byte: u8,
    },
    /// A number of so many bytes at the edge of what it can be, little-endian.
    Claim {
        at: Index,
        width: usize,
        value: u64,
    },
    Cut {
        at: Index,
    },
    Remove {
        at: Index,
        length: usize,
    },
    Repeat {
        at: Index,
        length: usize,
        to: Index,
    },
    Insert {
        at: Index,
        bytes: Vec<u8>,
    },
    Token {
        at: Index,
        token: &'static str,
    },
    /// From here on another sample.
    Splice {
        at: Index,
        sample: Index,
        from: Index,
    },
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    prop_oneof![
        (index(), 0..8_u8).prop_map(|(at, bit)| Change::Flip { at, bit }),
        (index(), any::<u8>()).prop_map(|(at, byte)| Change::Set { at, byte }),
        (index(), prop::sample::select(vec![1, 2, 4, 8]), prop::sample::select(EDGES.to_vec()))
            .prop_map(|(at, width, value)| Change::Claim { at, width, value }),
        index().prop_map(|at| Change::Cut { at }),
        (index(), 1..64_usize).prop_map(|(at, length)| Change::Remove { at, length }),
        (index(), 1..256_usize, index()).prop_map(|(at, length, to)| Change::Repeat { at, length, to }),
        (index(), vec(any::<u8>(), 1..32)).prop_map(|(at, bytes)| Change::Insert { at, bytes }),
        (index(), prop::sample::select(TOKENS.to_vec())).prop_map(|(at, token)| Change::Token { at, token }),
        (index(), index(), index()).prop_map(|(at, sample, from)| Change::Splice { at, sample, from }),
    ]
}

fn apply(change: &Change, bytes: &mut Vec<u8>, samples: &[Vec<u8>]) {
    let place = |at: &Index, length: usize| at.index(length.max(1)).min(length);
    let length = bytes.len();
    match change {
        Change::Flip { at, bit } => {
            bytes.iter_mut().skip(place(at, length)).take(1).for_each(|byte| *byte ^= 1 << bit)
        }
        Change::Set { at, byte } => {
            bytes.iter_mut().skip(place(at, length)).take(1).for_each(|old| *old = *byte)
        }
        Change::Claim { at, width, value } => {
            let places = bytes.iter_mut().skip(place(at, length)).take(*width);
            places.zip(value.to_le_bytes()).for_each(|(old, byte)| *old = byte);
        }
        Change::Cut { at } => bytes.truncate(place(at, length)),
        Change::Remove { at, length: count } => {
            let from = place(at, length);
            bytes.drain(from..(from + count).min(length));
        }
        Change::Repeat { at, length: count, to } => {
            let from = place(at, length);
            let piece = bytes[from..(from + count).min(length)].to_vec();
            let to = place(to, length);
            bytes.splice(to..to, piece);
        }
        Change::Insert { at, bytes: piece } => {
            let at = place(at, length);
            bytes.splice(at..at, piece.iter().copied());
        }
        Change::Token { at, token } => {
            let at = place(at, length);
            bytes.splice(at..at, token.bytes());
        }
        Change::Splice { at, sample, from } => {
            let other = &samples[sample.index(samples.len())];
            bytes.truncate(place(at, length));
            bytes.extend_from_slice(&other[place(from, other.len())..]);
        }
    }
}

/// A sample by its place, and what becomes of it.
fn changed(samples: &[Vec<u8>], (sample, changes): &(Index, Vec<Change>)) -> (usize, Vec<u8>) {
    let place = sample.index(samples.len());
    let mut bytes = samples[place].clone();
    for change in changes {
        let before = bytes.len();
        apply(change, &mut bytes, samples);
        bytes.truncate(before.max(samples[place].len()) + GROWTH_MAX);
    }
    (place, bytes)
}

fn seconds() -> Duration {
    let wanted = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(wanted.unwrap_or(1))
}

/// Calls `holds` with changed samples, each with the place of the sample that it was made of, until the time is over. Returns
/// how many there were.
///
/// # Panics
/// When `holds` does, with what it was called with.
pub(crate) fn fuzz(target: &str, samples: &[Vec<u8>], holds: impl Fn(usize, &[u8])) -> u64 {
    samples.iter().enumerate().for_each(|(place, sample)| holds(place, sample));
    let strategy = (any::<Index>(), vec(change(), 1..6));
    let (begun, mut cases, chosen) = (Instant::now(), 0_u64, std::env::var("FUZZ_SEED").ok());
    while begun.elapsed() < seconds() {
        let seed = blake3::hash(format!("{target} {chosen:?} {cases}").as_bytes());
        let config = Config { cases: CASES_A_BATCH, failure_persistence: None, ..Config::default() };
        // A runner counts what it ran in its life, so each batch has one of its own.
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, seed.as_bytes());
        let outcome = TestRunner::new_with_rng(config, rng).run(&strategy, |plan| {
            let (place, bytes) = changed(samples, &plan);
            holds(place, &bytes);
            Ok(())
        });
        if let Err(TestError::Fail(reason, plan)) = outcome {
            let (place, bytes) = changed(samples, &plan);
            let text = String::from_utf8_lossy(&bytes);
            panic!(
                "{target}: {reason}\nof sample {place}, {plan:?}\nhex {}\ntext {text}",
                hex::encode(&bytes)
            );
        }
        cases += u64::from(CASES_A_BATCH);
    }
    println!("{target}: {cases} changed samples");
    cases
}
