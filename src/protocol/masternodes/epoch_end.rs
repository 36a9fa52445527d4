//! What the rules of an epoch's end look at.

use std::collections::BTreeMap;

use super::attendance::Attendance;
use crate::types::{ChainParameters, MasternodeId, TimeMs, ValidatorSet};

/// What the rules of an epoch's end depend on beside the registry.
#[derive(Clone, Copy)]
pub(in crate::protocol) struct EpochEnd<'a> {
    pub(in crate::protocol) parameters: &'a ChainParameters,
    /// The set of the epoch that ends.
    pub(in crate::protocol) ended: &'a ValidatorSet,
    pub(in crate::protocol) attendance: &'a BTreeMap<MasternodeId, Attendance>,
    /// How many of the attended commits are of its own blocks: the newest ones.
    pub(in crate::protocol) commits: u32,
    /// The time of its last block: its end, and the next epoch's start.
    pub(in crate::protocol) end: TimeMs,
}
