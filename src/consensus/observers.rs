//! The way from consensus to those who watch it: one ordered queue, and the thread behind it.
//!
//! ```text
//!   consensus --(all that one turn brought)--> queue --> observers' thread --> outputs, pool, feeds, metrics
//!                                                                          \--> index, behind these
//! ```
//!
//! # Place
//! The node's shell puts notifications in, together for each turn of its thread: to wake the observers for each event took
//! a tenth of the thread's time. [`Observer`]s hear them in that order. What mirrors, feeds and metrics cost is no part of
//! the way of a vote.
//!
//! # Invariants
//! - INV-OBSERVE-1: everything is heard once, in the order in which consensus said it, the last words at the end included.
//! - INV-OBSERVE-2: at most [`OBSERVED_BYTES_MAX`] wait, and what one turn brought. Consensus waits for room beyond that;
//!   observers wait for nobody, so there always is some soon.
//!
//! # Concurrency
//! One thread puts in, one takes out; a short lock between them.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::events::Notification;
use crate::protocol::validity::CheckedTransaction;
use crate::runtime::TaskRegistry;
use crate::runtime::stages::{Stage, enter};
use crate::runtime::tasks::ThreadError;
use crate::types::{FinalityVote, OutPoint, TxId, UtxoEntry};

/// Bytes of notifications that wait, at most: a few of the largest blocks.
pub const OBSERVED_BYTES_MAX: usize = 64 << 20;
/// What a notification takes beside what it is about.
const NOTIFICATION_BYTES: usize = 256;
/// How often a waiting end looks whether the other one is still there.
const LOOK: Duration = Duration::from_millis(100);

/// Hears what consensus decides, on a thread for this alone. It may not wait for consensus.
pub trait Observer: Send + 'static {
    /// Something became of a transaction or a block.
    fn notified(&mut self, notification: Notification);
}

#[derive(Default)]
struct State {
    waiting: Vec<Notification>,
    /// Of those that wait, and of those that are being heard.
    bytes: usize,
    sender_gone: bool,
    receiver_gone: bool,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
}

/// The end of consensus. When it is dropped, observers hear the rest, and their thread ends.
pub struct ObserverSender(Arc<Queue>);

struct ObserverReceiver(Arc<Queue>);

/// What a notification keeps in memory, in bytes.
pub(super) fn bytes_of(notification: &Notification) -> usize {
    let about = match notification {
        Notification::Locked(transaction)
        | Notification::Finalized(transaction)
        | Notification::Conflicting { transaction, .. } => transaction.encoded_bytes(),
        Notification::Voted(txids) => txids.len().saturating_mul(size_of::<TxId>()),
        Notification::VotesHeard { batch, .. } => batch.votes.len().saturating_mul(size_of::<FinalityVote>()),
        Notification::BlockApplied(applied) => {
            let bodies = applied.transactions.iter().map(CheckedTransaction::encoded_bytes);
            let outputs = applied.spent.len().saturating_add(applied.created.len());
            let outputs = outputs.saturating_mul(size_of::<(OutPoint, UtxoEntry)>());
            let spenders = applied.spenders.len().saturating_mul(size_of::<(OutPoint, TxId)>());
            bodies.fold(outputs.saturating_add(spenders), usize::saturating_add)
        }
        _ => 0,
    };
    about.saturating_add(NOTIFICATION_BYTES)
}

fn queue() -> (ObserverSender, ObserverReceiver) {
    let queue = Arc::new(Queue::default());
    (ObserverSender(Arc::clone(&queue)), ObserverReceiver(queue))
}

impl ObserverSender {
    /// Hands over what one turn brought; waits while too much is there. Leaves the list empty.
    pub(super) fn tell(&self, notifications: &mut Vec<Notification>) {
        if notifications.is_empty() {
            return;
        }
        let bytes = notifications.iter().map(bytes_of).fold(0, usize::saturating_add);
        let mut state = self.0.state.lock();
        while state.bytes >= OBSERVED_BYTES_MAX && !state.receiver_gone {
            self.0.emptied.wait_for(&mut state, LOOK);
        }
        state.bytes = state.bytes.saturating_add(bytes);
        let was_empty = state.waiting.is_empty();
        state.waiting.append(notifications);
        drop(state);
        if was_empty {
            self.0.filled.notify_one();
        }
    }
}

impl Drop for ObserverSender {
    fn drop(&mut self) {
        self.0.state.lock().sender_gone = true;
        self.0.filled.notify_one();
    }
}

impl ObserverReceiver {
    /// Waits for notifications and swaps them into the empty `batch`, of which `heard` bytes were heard; false at the end.
    fn next(&self, batch: &mut Vec<Notification>, heard: usize) -> bool {
        let mut state = self.0.state.lock();
        if heard > 0 {
            state.bytes = state.bytes.saturating_sub(heard);
            self.0.emptied.notify_one();
        }
        while state.waiting.is_empty() {
            if state.sender_gone {
                return false;
            }
            self.0.filled.wait(&mut state);
        }
        std::mem::swap(&mut state.waiting, batch);
        true
    }
}

impl Drop for ObserverReceiver {
    fn drop(&mut self) {
        self.0.state.lock().receiver_gone = true;
        self.0.emptied.notify_one();
    }
}

/// Starts the observers' thread. It ends when the sender is dropped and all was heard.
///
/// # Errors
/// When there is no thread to be had.
pub fn start_observers(
    mut observer: impl Observer,
    registry: &TaskRegistry,
) -> Result<ObserverSender, ThreadError> {
    let (sender, receiver) = queue();
    registry.spawn_thread("observers", move || {
        let (mut batch, mut heard) = (Vec::new(), 0);
        while receiver.next(&mut batch, heard) {
            let _stage = enter(Stage::Observers);
            heard = batch.iter().map(bytes_of).fold(0, usize::saturating_add);
            batch.drain(..).for_each(|notification| observer.notified(notification));
        }
    })?;
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn voted(number: usize) -> Notification {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Notification::Voted(vec![TxId(bytes)])
    }

    struct Slow(mpsc::SyncSender<usize>, mpsc::Receiver<()>);

    impl Observer for Slow {
        fn notified(&mut self, notification: Notification) {
            let Notification::Voted(txids) = notification else { return };
            let number = usize::from_le_bytes(txids[0].0[..8].try_into().unwrap());
            let _closed = self.1.recv();
            self.0.send(number).unwrap();
        }
    }

    /// INV-OBSERVE-1.
    #[test]
    fn all_is_heard_once_in_order_and_to_the_end() {
        let registry = TaskRegistry::new(tokio_util::sync::CancellationToken::new());
        let ((heard, log), (go, gate)) = (mpsc::sync_channel(2_000), mpsc::sync_channel(1));
        let sender = start_observers(Slow(heard, gate), &registry).unwrap();
        for number in 0..1_000 {
            sender.tell(&mut vec![voted(2 * number), voted(2 * number + 1)]);
        }
        drop(sender);
        drop(go);
        assert_eq!(log.iter().collect::<Vec<_>>(), (0..2_000).collect::<Vec<_>>());
    }

    /// INV-OBSERVE-2: what was heard makes room again, however much comes in all.
    #[test]
    fn more_than_may_wait_is_heard_in_the_end() {
        let registry = TaskRegistry::new(tokio_util::sync::CancellationToken::new());
        let ((heard, log), (go, gate)) = (mpsc::sync_channel(2_000), mpsc::sync_channel(1));
        let sender = start_observers(Slow(heard, gate), &registry).unwrap();
        drop(go);
        let (told, hears) = mpsc::sync_channel(10);
        let large = |number: usize| {
            let Notification::Voted(mut txids) = voted(number) else { unreachable!() };
            txids.resize(OBSERVED_BYTES_MAX / size_of::<TxId>(), TxId::ZERO);
            Notification::Voted(txids)
        };
        std::thread::spawn(move || {
            for number in 0..4 {
                sender.tell(&mut vec![large(number)]);
                told.send(number).unwrap();
            }
        });
        for number in 0..4 {
            assert_eq!(hears.recv_timeout(Duration::from_secs(20)), Ok(number));
        }
        assert_eq!(log.iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    /// INV-OBSERVE-2.
    #[test]
    fn who_tells_waits_for_room_and_not_for_who_is_gone() {
        let (sender, receiver) = queue();
        let each = bytes_of(&voted(0));
        let mut many: Vec<Notification> = (0..OBSERVED_BYTES_MAX.div_ceil(each)).map(voted).collect();
        sender.tell(&mut many);
        let (told, hears) = mpsc::sync_channel(1);
        let waiting = std::thread::spawn(move || {
            sender.tell(&mut vec![voted(1)]);
            told.send(()).unwrap();
            let mut many: Vec<Notification> = (0..OBSERVED_BYTES_MAX.div_ceil(each)).map(voted).collect();
            sender.tell(&mut many);
            sender.tell(&mut vec![voted(2)]);
        });
        assert!(hears.recv_timeout(Duration::from_millis(300)).is_err(), "INV-OBSERVE-2: there is no room");
        let mut batch = Vec::new();
        assert!(receiver.next(&mut batch, 0));
        assert!(hears.recv_timeout(Duration::from_millis(300)).is_err(), "what is being heard counts");
        let heard = batch.iter().map(bytes_of).sum();
        batch.clear();
        assert!(receiver.next(&mut batch, heard) || batch.is_empty());
        hears.recv().unwrap();
        drop(receiver);
        waiting.join().unwrap();
    }

    /// INV-OBSERVE-2: observers that are gone make no room any more, and nobody waits for it.
    #[test]
    fn who_tells_goes_on_when_nobody_hears_any_more() {
        let (sender, receiver) = queue();
        drop(receiver);
        let (told, hears) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let each = bytes_of(&voted(0));
            for _ in 0..2 {
                let mut many: Vec<Notification> = (0..OBSERVED_BYTES_MAX.div_ceil(each)).map(voted).collect();
                sender.tell(&mut many);
            }
            told.send(()).unwrap();
        });
        assert_eq!(hears.recv_timeout(Duration::from_secs(20)), Ok(()));
    }
}
