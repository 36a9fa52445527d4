//! Memory that connections share: each has a little of its own, and takes more from here while there is some.
//!
//! # Place
//! `send_queue.rs` takes for what waits to be written, `session.rs` for what comes in.
//!
//! # Invariants
//! - INV-NET-20: strangers share one half and proven members the other, so that no stranger can use up what a member's
//!   votes, blocks and proposals need.
//!
//! # Units
//! Bytes of encoded messages.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::peer::Standing;

/// Urgent bytes that wait to be written to strangers, beyond what each connection has of its own; and as many to members.
pub(crate) const SEND_URGENT_POOL_BYTES: usize = 32 << 20;
/// The same for bulk bytes; two of the largest blocks.
pub(crate) const SEND_BULK_POOL_BYTES: usize = 32 << 20;
/// Large urgent messages of strangers that come in or wait to be taken; and as many bytes of members.
pub(crate) const RECEIVE_URGENT_POOL_BYTES: usize = 16 << 20;
/// The same for large bulk messages; two of the largest blocks.
pub(crate) const RECEIVE_BULK_POOL_BYTES: usize = 32 << 20;

/// Bytes that are taken; given back when dropped.
pub(crate) type Taken = OwnedSemaphorePermit;

/// One kind of memory, halved.
pub(crate) struct Pool {
    members: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

/// A number of bytes as a semaphore counts them; what does not fit is more than any pool has.
pub(crate) fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Pool {
    /// So many bytes for each half.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { members: Arc::new(Semaphore::new(bytes)), strangers: Arc::new(Semaphore::new(bytes)) }
    }

    fn half(&self, standing: Standing) -> &Arc<Semaphore> {
        match standing {
            Standing::Member => &self.members,
            Standing::Stranger => &self.strangers,
        }
    }

    /// Takes bytes, if they are there.
    pub(crate) fn try_take(&self, standing: Standing, bytes: usize) -> Option<Taken> {
        Arc::clone(self.half(standing)).try_acquire_many_owned(permits(bytes)).ok()
    }

    /// Takes bytes, and waits for them in the order of calls. `None` when this node stops.
    pub(crate) fn take(
        &self,
        standing: Standing,
        bytes: usize,
    ) -> impl Future<Output = Option<Taken>> + Send + 'static {
        let half = Arc::clone(self.half(standing));
        async move { half.acquire_many_owned(permits(bytes)).await.ok() }
    }
}

/// All of it.
pub(crate) struct Pools {
    pub(crate) send_urgent: Pool,
    pub(crate) send_bulk: Pool,
    pub(crate) receive_urgent: Pool,
    pub(crate) receive_bulk: Pool,
}

impl Default for Pools {
    fn default() -> Self {
        Self {
            send_urgent: Pool::new(SEND_URGENT_POOL_BYTES),
            send_bulk: Pool::new(SEND_BULK_POOL_BYTES),
            receive_urgent: Pool::new(RECEIVE_URGENT_POOL_BYTES),
            receive_bulk: Pool::new(RECEIVE_BULK_POOL_BYTES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_never_take_what_is_the_members() {
        let pool = Pool::new(100);
        let all = pool.try_take(Standing::Stranger, 100).unwrap();
        assert!(pool.try_take(Standing::Stranger, 1).is_none());
        assert!(pool.try_take(Standing::Member, 100).is_some(), "INV-NET-20");
        drop(all);
        assert!(pool.try_take(Standing::Stranger, 1).is_some(), "it was given back");
        assert!(pool.try_take(Standing::Member, 101).is_none());
        assert!(pool.try_take(Standing::Member, usize::MAX).is_none());
    }
}
