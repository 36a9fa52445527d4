//! Why the pool turns a transaction away.

use super::FeeRate;
use crate::types::Height;

/// Why the pool does not take a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// It is in the pool.
    #[error("the transaction is in the pool already")]
    AlreadyKnown,
    /// It was in the pool, and a block has taken it.
    #[error("the transaction is in block {height} already")]
    AlreadyInChain {
        /// The block's height.
        height: Height,
    },
    /// The floor has risen above its rate.
    #[error("a fee of {rate} is below the pool's floor of {floor}; pay more or try again later")]
    BelowFloor {
        /// What it pays.
        rate: FeeRate,
        /// What it has to pay now.
        floor: FeeRate,
    },
    /// All places are taken by transactions that pay at least as much.
    #[error(
        "the pool is full and a fee of {rate} is no more than the others pay; pay more or try again later"
    )]
    Full {
        /// What it pays.
        rate: FeeRate,
    },
}

impl PoolError {
    /// Every reason, in the order of the variants.
    pub const REASONS: [&'static str; 4] =
        ["already_known", "already_in_chain", "below_pool_floor", "pool_full"];

    /// A stable name for programs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::AlreadyKnown => "already_known",
            Self::AlreadyInChain { .. } => "already_in_chain",
            Self::BelowFloor { .. } => "below_pool_floor",
            Self::Full { .. } => "pool_full",
        }
    }
}
