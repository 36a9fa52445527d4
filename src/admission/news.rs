//! What the consensus core tells admission, so that those who wait are looked at again.
//!
//! # Place
//! The node's observer writes, on the observers' thread; admission's thread reads. Nobody waits for anybody.
//!
//! # Invariants
//! - INV-NEWS-1: nothing is lost: what does not fit makes the reader look at everything that waits.
//!
//! # Concurrency
//! One short lock. While nothing waits the writer does not take it: whoever begins to wait shows that first and looks
//! at the outputs after that, and the writer has changed the outputs before it looks whether anybody waits.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::types::{Epoch, TxId};

/// Names that are kept for the reader, at most.
pub const NEWS_MAX: usize = 65_536;

/// What happened since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// Final, or in a block.
    pub settled: Vec<TxId>,
    /// Never to be final.
    pub dropped: Vec<TxId>,
    /// There was more than is named.
    pub is_incomplete: bool,
    /// An epoch has begun.
    pub epoch: Option<Epoch>,
}

impl Happened {
    fn is_nothing(&self) -> bool {
        self == &Self::default()
    }

    fn has_room(&mut self) -> bool {
        let room = self.settled.len().saturating_add(self.dropped.len()) < NEWS_MAX;
        self.is_incomplete |= !room;
        room
    }
}

/// What the core has to tell.
#[derive(Debug, Default)]
pub struct News {
    happened: Mutex<Happened>,
    waiting: AtomicUsize,
}

impl News {
    /// A transaction is final or in a block, and the outputs say so. Whether anybody waits for such news.
    pub fn settled(&self, txid: TxId) -> bool {
        self.tell(|happened| happened.settled.push(txid))
    }

    /// A transaction will never be final. Whether anybody waits for such news.
    pub fn dropped(&self, txid: TxId) -> bool {
        self.tell(|happened| happened.dropped.push(txid))
    }

    fn tell(&self, write: impl FnOnce(&mut Happened)) -> bool {
        let somebody = self.waiting.load(Ordering::SeqCst) > 0;
        if somebody {
            let mut happened = self.happened.lock();
            if happened.has_room() {
                write(&mut happened);
            }
        }
        somebody
    }

    /// An epoch has begun.
    pub fn epoch_started(&self, epoch: Epoch) {
        self.happened.lock().epoch = Some(epoch);
    }

    /// How many wait.
    pub fn note_waiting(&self, count: usize) {
        self.waiting.store(count, Ordering::SeqCst);
    }

    /// What happened since the last call.
    #[must_use]
    pub fn take(&self) -> Option<Happened> {
        let happened = std::mem::take(&mut *self.happened.lock());
        (!happened.is_nothing()).then_some(happened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_for_nobody_and_nothing_is_lost_for_somebody() {
        let news = News::default();
        assert!(!news.settled(TxId([1; 32])));
        assert_eq!(news.take(), None);
        news.note_waiting(1);
        assert!(news.settled(TxId([1; 32])) && news.dropped(TxId([2; 32])));
        let happened = news.take().unwrap();
        assert_eq!((happened.settled.len(), happened.dropped.len()), (1, 1));
        assert!(!happened.is_incomplete);
        for _ in 0..=NEWS_MAX {
            news.settled(TxId([1; 32]));
        }
        let happened = news.take().unwrap();
        assert_eq!(happened.settled.len(), NEWS_MAX);
        assert!(happened.is_incomplete, "INV-NEWS-1");
        news.note_waiting(0);
        news.epoch_started(3);
        assert_eq!(news.take().unwrap().epoch, Some(3));
    }

    /// INV-NEWS-1.
    #[test]
    fn what_is_dropped_is_kept_within_the_bound_as_well() {
        let news = News::default();
        news.note_waiting(1);
        news.settled(TxId([1; 32]));
        for _ in 0..NEWS_MAX {
            news.dropped(TxId([2; 32]));
        }
        let happened = news.take().unwrap();
        assert_eq!((happened.settled.len(), happened.dropped.len()), (1, NEWS_MAX - 1));
        assert!(happened.is_incomplete);
    }
}
