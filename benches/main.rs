//! How fast the hot paths are, each against a limit that is measured in the same run on the same machine.
//!
//! `cargo bench` runs all, `cargo bench -- finality` those with this word in their name. Beside criterion's figures each
//! bench prints lines that start with `ratio`: its rate, and which part of its limit that is. A rate alone says more
//! about the machine than about the code. One program holds all benches, because linking is what takes long.
//!
//! # Where a node's time goes
//! Four nodes of `devnet --processes` on 2 cores, 2,500 payments a second (`timed load`), `perf record` over all of them:
//! 128 us of processor time a payment and node, 169 for the one that has the generator's requests too.
//!
//! | what | of all |
//! |---|---|
//! | the kernel, half of it wake-ups and switches between threads | 29 % |
//! | ed25519: payments in batches, votes | 26 % |
//! | this program's own code | 11 % |
//! | BLAKE3, half of it the digest of the state (2 KiB an output) | 8 % |
//! | hash maps | 6 % |
//! | the rest: allocator, tokio, JSON, the index's engine | 20 % |
//!
//! By stage of a payment's way it stands in the README. For 10,000 a second with four nodes on 2 cores a payment may take
//! 40 us, of which batched signatures alone take half on that machine. What is left to win is in wake-ups and hand-overs:
//! a payment wakes admission, consensus, journal, both sides of each connection, and observers. Tried without effect: one
//! unit of code generation; votes on bundles, on paper (`src/protocol/finality/protocol.md`). Half the vote interval takes
//! the middle from 15 to 10 ms at 2,000 a second, for a quarter more processor time.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that can't go on ends, and it prints its ratios"
)]

mod blocks;
mod finality;
#[path = "../tests/support/heard.rs"]
mod heard;
mod signatures;
mod storage;
mod support;

/// As in the node: sled's rate depends on it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let mut criterion = criterion::Criterion::default().configure_from_args();
    signatures::bench(&mut criterion);
    blocks::bench(&mut criterion);
    finality::bench(&mut criterion);
    storage::bench(&mut criterion);
    criterion.final_summary();
}
