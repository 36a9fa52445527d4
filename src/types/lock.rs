//! Who may spend an output. The enum is versioned: other kinds of lock come behind this one.

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::hash::KeyHash;

/// Who may spend an output.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Lock {
    /// The key with this hash.
    KeyHash(KeyHash),
}
