//! What to do about an error, whatever module it comes from.

/// Each module's error says by `class()` which of these it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// What was given is wrong: refuse it, and blame the peer if one sent it.
    Reject,
    /// It may go better later: try again.
    Retry,
    /// The node can't go on safely: stop voting, exit non-zero.
    Fatal,
}
