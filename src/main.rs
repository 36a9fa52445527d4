//! The `timed` binary.
fn main() {}
