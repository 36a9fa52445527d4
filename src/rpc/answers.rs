//! Answers that are counted while they are written, and turns for those that are large.
//!
//! # Place
//! `rpc/http.rs` makes a room for each request's answers; `rpc/methods.rs` writes each answer into it.
//!
//! # Invariants
//! - INV-ANSWERS-1: no byte of an answer is written that exceeds what its request, or all requests together, may have.
//!   What one call has beyond [`ANSWER_FREE_BYTES`] counts.
//! - INV-ANSWERS-2: a call that only reads is not made once its request's room is used up.
//! - INV-ANSWERS-3: a room's bytes count until the answer was taken by the caller, or its connection is closed.
//! - INV-ANSWERS-4: at most [`LARGE_CALLS_MAX`] calls with large answers run at once, one of a request at a time.
//!
//! # Concurrency
//! The calls of a batch share a room and run on one task, or on blocking threads, one large one after the other.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jsonrpsee::core::JsonRawValue;
use jsonrpsee::types::ErrorObjectOwned;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::errors::{ANSWER_TOO_LARGE, INTERNAL, busy, error};
use super::limits::{
    ANSWER_BYTES_MAX, ANSWER_FREE_BYTES, ANSWERS_BYTES_MAX, ANSWERS_UNAUTHENTICATED_BYTES_MAX,
    LARGE_CALLS_MAX, LARGE_CALLS_UNAUTHENTICATED_MAX,
};
use super::shares::{Share, Shares};

/// A call's answer as JSON.
pub type Answer = Result<Box<JsonRawValue>, ErrorObjectOwned>;
/// An answer that is not written yet.
pub(super) type Reply = Box<dyn FnOnce(&AnswerRoom) -> Answer + Send>;

/// A value that is written as it is.
pub(super) fn reply<T: Serialize + Send + 'static>(value: T) -> Reply {
    Box::new(move |room| room.write(&value))
}

/// What all requests of a server share.
pub struct Answers {
    bytes: Arc<Shares>,
    large: Arc<Semaphore>,
    large_unauthenticated: Arc<Semaphore>,
    turn_max: Duration,
}

impl Answers {
    /// With this wait for a turn, at most.
    pub(super) fn new(turn_max: Duration) -> Self {
        Self {
            turn_max,
            bytes: Shares::new(ANSWERS_BYTES_MAX, ANSWERS_UNAUTHENTICATED_BYTES_MAX),
            large: Arc::new(Semaphore::new(LARGE_CALLS_MAX)),
            large_unauthenticated: Arc::new(Semaphore::new(LARGE_CALLS_UNAUTHENTICATED_MAX)),
        }
    }
}

/// Why an answer can't be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// The request has had as much as it may.
    Request,
    /// All requests together have.
    All,
}

/// Room for the answers of one request.
pub struct AnswerRoom {
    authenticated: bool,
    turn_max: Duration,
    large: Arc<Semaphore>,
    large_unauthenticated: Arc<Semaphore>,
    /// One large call of this request at a time.
    turn: Arc<Semaphore>,
    left: Mutex<(usize, Option<Share>)>,
    is_used_up: AtomicBool,
    was_short: AtomicBool,
}

impl AnswerRoom {
    /// The room of a new request.
    #[must_use]
    pub fn new(answers: &Answers, authenticated: bool) -> Arc<Self> {
        Self::with_bytes(answers, authenticated, ANSWER_BYTES_MAX)
    }

    fn with_bytes(answers: &Answers, authenticated: bool, bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            authenticated,
            turn_max: answers.turn_max,
            large: Arc::clone(&answers.large),
            large_unauthenticated: Arc::clone(&answers.large_unauthenticated),
            turn: Arc::new(Semaphore::new(1)),
            left: Mutex::new((bytes, answers.bytes.take(0, authenticated))),
            is_used_up: AtomicBool::new(false),
            was_short: AtomicBool::new(false),
        })
    }

    /// INV-ANSWERS-2: whether an answer was too large already, so that no further one is begun.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.is_used_up.load(Ordering::Acquire)
    }

    /// Whether an answer found no room because others hold it.
    #[must_use]
    pub fn was_short(&self) -> bool {
        self.was_short.load(Ordering::Acquire)
    }

    fn take(&self, bytes: usize) -> Result<(), Full> {
        let mut left = self.left.lock();
        let Some(rest) = left.0.checked_sub(bytes) else {
            self.is_used_up.store(true, Ordering::Release);
            return Err(Full::Request);
        };
        if !left.1.as_mut().is_some_and(|share| share.grow(bytes)) {
            self.was_short.store(true, Ordering::Release);
            return Err(Full::All);
        }
        left.0 = rest;
        Ok(())
    }

    /// Writes an answer as JSON.
    ///
    /// # Errors
    /// When there is no room for it; nothing of it is kept then.
    pub fn write<T: Serialize + ?Sized>(&self, value: &T) -> Answer {
        let mut writer =
            CountingWriter { room: self, bytes: Vec::new(), free: ANSWER_FREE_BYTES, full: None };
        let written = serde_json::to_writer(&mut writer, value);
        match (written, writer.full) {
            (_, Some(Full::Request)) => Err(too_large()),
            (_, Some(Full::All)) => Err(short()),
            (Err(failure), None) => Err(internal(&failure.to_string())),
            (Ok(()), None) => {
                String::from_utf8(writer.bytes).map_err(|failure| internal(&failure.to_string())).and_then(
                    |text| JsonRawValue::from_string(text).map_err(|failure| internal(&failure.to_string())),
                )
            }
        }
    }

    /// INV-ANSWERS-4: waits for the turn of a call with a large answer.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn turn(&self) -> Result<Turn, ErrorObjectOwned> {
        let enter = async |semaphore: &Arc<Semaphore>| {
            Arc::clone(semaphore).acquire_owned().await.map_err(|closed| internal(&closed.to_string()))
        };
        let all = async {
            let mut permits = vec![enter(&self.turn).await?];
            if !self.authenticated {
                permits.push(enter(&self.large_unauthenticated).await?);
            }
            permits.push(enter(&self.large).await?);
            Ok(Turn { _permits: permits })
        };
        tokio::time::timeout(self.turn_max, all).await.unwrap_or_else(|_| Err(short()))
    }
}

/// The turn of a call with a large answer, until it is dropped.
pub struct Turn {
    _permits: Vec<OwnedSemaphorePermit>,
}

/// What a call gets for which its request has no room left.
#[must_use]
pub fn too_large() -> ErrorObjectOwned {
    let message =
        format!("the request's answers would exceed {ANSWER_BYTES_MAX} bytes; this one was left out");
    let hint = "ask for less in one request: fewer calls in a batch, or shorter pages";
    error(ANSWER_TOO_LARGE, message, "answer_too_large", hint)
}

fn short() -> ErrorObjectOwned {
    let message = "the node makes as many large answers as it can hold";
    busy("too_many_answers", message, "try again in a moment, or ask for less")
}

fn internal(detail: &str) -> ErrorObjectOwned {
    error(INTERNAL, detail, "internal", "see the node's log")
}

/// Keeps what there is room for.
struct CountingWriter<'a> {
    room: &'a AnswerRoom,
    bytes: Vec<u8>,
    /// Bytes that this answer still has for free.
    free: usize,
    full: Option<Full>,
}

impl Write for CountingWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let free = self.free.min(bytes.len());
        if let Err(full) = self.room.take(bytes.len().saturating_sub(free)) {
            self.full = Some(full);
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.free = self.free.saturating_sub(free);
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use serde::Serializer;
    use tokio::time::timeout;

    use super::*;
    use crate::rpc::limits::LARGE_CALL_TURN_MAX;

    /// A sequence without end, that notes how many of its elements were asked for.
    struct Endless<'a>(&'a std::cell::Cell<usize>);

    impl Serialize for Endless<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(std::iter::repeat_with(|| {
                self.0.set(self.0.get() + 1);
                "x".repeat(98)
            }))
        }
    }

    fn reason(answer: Answer) -> String {
        let error = answer.unwrap_err();
        let data: super::super::types::ErrorData = serde_json::from_str(error.data().unwrap().get()).unwrap();
        data.reason
    }

    #[test]
    fn writing_stops_where_the_room_ends() {
        let answers = Answers::new(LARGE_CALL_TURN_MAX);
        let room = AnswerRoom::with_bytes(&answers, true, 10_000);
        let asked = std::cell::Cell::new(0);
        assert_eq!(reason(room.write(&Endless(&asked))), "answer_too_large");
        let elements = asked.get() - (10_000 + ANSWER_FREE_BYTES) / 101;
        assert!(elements <= 1, "INV-ANSWERS-1: {elements} elements too many were described");
        assert!(room.is_used_up() && answers.bytes.taken() <= 10_000, "INV-ANSWERS-1");
        assert_eq!(room.write("a txid").unwrap().get(), "\"a txid\"", "small answers are free");
        drop(room);
        assert_eq!(answers.bytes.taken(), 0);
    }

    #[test]
    fn a_batch_shares_its_room_and_all_share_theirs() {
        let answers = Answers::new(LARGE_CALL_TURN_MAX);
        let large = "x".repeat(ANSWER_BYTES_MAX / 2);
        let room = AnswerRoom::new(&answers, false);
        assert!(room.write(&large).is_ok() && room.write(&large).is_ok());
        assert_eq!(reason(room.write(&large)), "answer_too_large");
        let second = AnswerRoom::new(&answers, false);
        assert_eq!(reason(second.write(&large)), "too_many_answers", "INV-ANSWERS-1");
        assert!(second.was_short() && !second.is_used_up());
        assert!(
            AnswerRoom::new(&answers, true).write(&large).is_ok(),
            "credentials have a part of their own"
        );
        drop(room);
        assert!(second.write(&large).is_ok(), "INV-ANSWERS-3: given back with the answer");
    }

    #[tokio::test]
    async fn large_calls_take_turns_and_strangers_do_not_take_all() {
        let answers = Answers::new(LARGE_CALL_TURN_MAX);
        let (first, second, known) = (
            AnswerRoom::new(&answers, false),
            AnswerRoom::new(&answers, false),
            AnswerRoom::new(&answers, true),
        );
        let moment = Duration::from_millis(20);
        let turn = first.turn().await.unwrap();
        assert!(timeout(moment, second.turn()).await.is_err(), "INV-ANSWERS-4: one stranger at a time");
        let other = known.turn().await.unwrap();
        assert!(timeout(moment, known.turn()).await.is_err(), "INV-ANSWERS-4: one of a request at a time");
        drop((turn, other));
        assert!(second.turn().await.is_ok());
    }

    /// INV-ANSWERS-4: who waits for the strangers' turn has none of those that are left for others.
    #[tokio::test]
    async fn strangers_that_wait_for_their_turn_hold_up_nobody_else() {
        let answers = Answers::new(LARGE_CALL_TURN_MAX);
        let [first, second] = [0; 2].map(|_| AnswerRoom::new(&answers, false));
        let known = AnswerRoom::new(&answers, true);
        let _turn = first.turn().await.unwrap();
        let mut waiting = Box::pin(second.turn());
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(known.turn().now_or_never().is_some_and(|turn| turn.is_ok()));
    }
}
