//! The multiset hash that commits to the state.
