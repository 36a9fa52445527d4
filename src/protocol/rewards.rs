//! Rewards of an epoch, in integers.
