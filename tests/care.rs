//! Care of a data directory: what `timed db` finds, repairs, shrinks, backs up and restores, and what a start says of the
//! same damage.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a failed expectation is a test's verdict"
)]

#[path = "care/backup.rs"]
mod backup;
#[path = "care/check.rs"]
mod check;
#[path = "care/damage.rs"]
mod damage;
#[path = "care/every_file.rs"]
mod every_file;
#[path = "care/home.rs"]
mod home;
#[path = "care/index.rs"]
mod index;
#[path = "care/readme.rs"]
mod readme;
#[path = "support/story.rs"]
mod story;
