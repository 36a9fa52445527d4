//! Who proposes in which round.
