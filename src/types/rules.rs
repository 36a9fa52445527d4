//! Versions of the rules that a block is valid by.
//!
//! # Place
//! Each header names the version that the block keeps to, and the newest one that its proposer's program knows. How a
//! version comes into force stands in [`activation`](crate::protocol::activation).
//!
//! # Invariants
//! - INV-RULES-1: a version contains all rules of the versions below it, and is never changed once it may be in force on a
//!   network: what changes is a new version.

use std::fmt;

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// A version of the rules, counted from 1.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Encode,
    Decode,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
pub struct RuleVersion(pub u32);

impl RuleVersion {
    /// What every chain begins with.
    pub const FIRST: Self = Self(1);
    /// From this version on no output of a transaction is worth less than
    /// [`OUTPUT_VALUE_MIN`](super::limits::OUTPUT_VALUE_MIN).
    pub const DUST: Self = Self(2);
    /// The newest version that this program knows: what it announces, and beyond which it does not go. A build with the
    /// feature `next-rules` knows the version that the next release is to bring.
    pub const NEWEST: Self = if cfg!(feature = "next-rules") { Self::DUST } else { Self::FIRST };
}

impl fmt::Display for RuleVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
