//! The state transition that proposer, validator, sync and replay share.
