//! How fast the hot paths are, each against a limit that is measured in the same run on the same machine.
//!
//! `cargo bench` runs all, `cargo bench -- finality` those with this word in their name. Beside criterion's figures each
//! bench prints lines that start with `ratio`: its rate, and which part of its limit that is. A rate alone says more
//! about the machine than about the code. One program holds all benches, because linking is what takes long.
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
