//! The shells that drive the pure machines of `protocol/`.
