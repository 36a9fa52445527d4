//! What makes a transaction valid.
