//! Amounts that many take of, of which callers without credentials can't take all.
//!
//! # Place
//! Places for requests, waiting calls and the bytes of bodies and answers are counted by it.
//!
//! # Invariants
//! - INV-SHARES-1: what is taken is at most the whole, and what callers without credentials have is at most their part.
//!
//! # Concurrency
//! One short lock, never held across an await. Nobody waits: what is not there is refused at once, so nothing deadlocks.

use std::sync::Arc;

use parking_lot::Mutex;

/// An amount that is shared.
#[derive(Debug)]
pub struct Shares {
    whole: usize,
    unauthenticated_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    all: usize,
    unauthenticated: usize,
}

impl Shares {
    /// A whole, and the part that callers without credentials can have of it.
    #[must_use]
    pub fn new(whole: usize, unauthenticated_max: usize) -> Arc<Self> {
        Arc::new(Self { whole, unauthenticated_max, taken: Mutex::default() })
    }

    /// Takes a part that is given back when it is dropped; `None` when there is not so much.
    #[must_use]
    pub fn take(self: &Arc<Self>, amount: usize, authenticated: bool) -> Option<Share> {
        let mut share = Share { shares: Arc::clone(self), authenticated, amount: 0 };
        share.grow(amount).then_some(share)
    }

    /// What is taken at present.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.lock().all
    }
}

/// A part that was taken.
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    authenticated: bool,
    amount: usize,
}

impl Share {
    /// Takes more; false, and nothing taken, when there is not so much.
    #[must_use]
    pub fn grow(&mut self, amount: usize) -> bool {
        let mut taken = self.shares.taken.lock();
        let all = taken.all.saturating_add(amount);
        let unauthenticated = if self.authenticated {
            taken.unauthenticated
        } else {
            taken.unauthenticated.saturating_add(amount)
        };
        if all > self.shares.whole
            || (!self.authenticated && unauthenticated > self.shares.unauthenticated_max)
        {
            return false;
        }
        *taken = Taken { all, unauthenticated };
        self.amount = self.amount.saturating_add(amount);
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken.lock();
        taken.all = taken.all.saturating_sub(self.amount);
        if !self.authenticated {
            taken.unauthenticated = taken.unauthenticated.saturating_sub(self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_leave_a_part_to_those_who_have_credentials() {
        let shares = Shares::new(10, 6);
        let mut stranger = shares.take(4, false).unwrap();
        assert!(shares.take(3, false).is_none(), "INV-SHARES-1");
        assert!(stranger.grow(2) && !stranger.grow(1));
        let known = shares.take(4, true).unwrap();
        assert!(shares.take(1, true).is_none(), "INV-SHARES-1");
        drop(stranger);
        assert_eq!(shares.taken(), 4);
        assert!(shares.take(6, false).is_some());
        drop(known);
        assert_eq!(shares.taken(), 0);
        assert!(shares.take(usize::MAX, true).is_none());
    }
}
