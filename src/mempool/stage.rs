//! How far a transaction has come, and which limits count it.

/// How far a transaction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It waits for votes.
    Pending,
    /// It waits for an output that is not there yet.
    Waiting,
    /// Another transaction spends one of its inputs, whichever of them holds it.
    Conflicting,
    /// Lock votes of a quorum are there; it will be in the chain, or voted on again in the next epoch.
    Certified,
    /// It can't be undone.
    Final {
        /// From acceptance here until then.
        after_ms: u64,
    },
}

impl Stage {
    /// Whether votes are still to decide on it.
    #[must_use]
    pub const fn is_uncertified(self) -> bool {
        self.class().is_some()
    }

    pub(super) const fn class(self) -> Option<Class> {
        match self {
            Self::Pending => Some(Class::Counted),
            Self::Waiting => Some(Class::Waiting),
            Self::Conflicting => Some(Class::Contested),
            Self::Certified | Self::Final { .. } => None,
        }
    }
}

/// Which limits an uncertified transaction falls under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Those of the configuration.
    Counted,
    /// [`WAITING_TRANSACTIONS_MAX`](super::WAITING_TRANSACTIONS_MAX) and
    /// [`WAITING_BYTES_MAX`](super::WAITING_BYTES_MAX).
    Waiting,
    /// [`CONTESTED_TRANSACTIONS_MAX`](super::CONTESTED_TRANSACTIONS_MAX) and
    /// [`CONTESTED_BYTES_MAX`](super::CONTESTED_BYTES_MAX).
    Contested,
}

impl Class {
    pub(super) const ALL: [Self; 3] = [Self::Counted, Self::Waiting, Self::Contested];
}

/// One of each class.
#[derive(Default)]
pub(super) struct ByClass<T> {
    pub(super) counted: T,
    pub(super) waiting: T,
    pub(super) contested: T,
}

impl<T> ByClass<T> {
    pub(super) const fn of(&self, class: Class) -> &T {
        match class {
            Class::Counted => &self.counted,
            Class::Waiting => &self.waiting,
            Class::Contested => &self.contested,
        }
    }

    pub(super) const fn of_mut(&mut self, class: Class) -> &mut T {
        match class {
            Class::Counted => &mut self.counted,
            Class::Waiting => &mut self.waiting,
            Class::Contested => &mut self.contested,
        }
    }
}
