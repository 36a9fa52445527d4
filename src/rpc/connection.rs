//! One connection: what it is doing, since when, and whether it takes too long.
//!
//! # Place
//! `rpc/listener.rs` counts a connection's bytes through [`CountedStream`]; the handlers say how far a request has
//! come; `rpc/connections.rs` asks which connection is overdue and which is the least useful.
//!
//! # Invariants
//! - INV-CONN-2: a silent connection, one that idles, a head that trickles and an answer that is not taken are overdue
//!   at a time that [`Limits`] states, however the bytes are spread. Bodies have the handler's deadline.
//! - INV-CONN-3: only a connection on which a request is being answered can't be evicted.
//!
//! # Concurrency
//! One short lock a connection, never held across an await.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::limits::Limits;
use crate::runtime::Clock;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing of a request has come.
    Idle,
    /// A head is arriving.
    Head {
        /// Bytes so far.
        bytes: usize,
    },
    /// The handler has the head; the body is arriving, or there is none.
    Body,
    /// The request has a place and is being answered.
    Answering,
    /// The answer is made and being taken.
    Taking {
        /// Bytes so far.
        bytes: usize,
    },
}

#[derive(Clone, Copy, Debug)]
struct State {
    phase: Phase,
    /// When the phase began.
    since: Instant,
    /// When a head was complete or an answer taken last; at first when the connection was accepted.
    useful_at: Instant,
    asked: bool,
    authenticated: bool,
    /// The next request is not read before.
    rests_until: Instant,
}

/// A connection's state. The handlers move it on.
#[derive(Debug)]
pub struct Connection {
    /// Who is at the other end.
    pub peer: SocketAddr,
    /// Fires when it has to go.
    pub closing: CancellationToken,
    state: Mutex<State>,
    /// What goes on with the socket when HTTP is over.
    next: Next,
}

/// What a WebSocket does until it ends.
#[derive(Default)]
struct Next(Mutex<Option<BoxFuture<'static, ()>>>);

impl std::fmt::Debug for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Next")
    }
}

/// How useless a connection is: the smallest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uselessness {
    class: Class,
    useful_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// It has had time to ask something, and asked nothing.
    Silent,
    /// New, or without credentials.
    Stranger,
    /// Its last request had valid credentials.
    Authenticated,
}

impl Connection {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new(peer: SocketAddr, now: Instant) -> Self {
        let state = State {
            phase: Phase::Idle,
            since: now,
            useful_at: now,
            asked: false,
            authenticated: false,
            rests_until: now,
        };
        Self { peer, closing: CancellationToken::new(), state: Mutex::new(state), next: Next::default() }
    }

    fn read(&self, count: usize, now: Instant) {
        let mut state = self.state.lock();
        match &mut state.phase {
            Phase::Idle => {
                state.phase = Phase::Head { bytes: count };
                state.since = now;
            }
            Phase::Head { bytes } => *bytes = bytes.saturating_add(count),
            Phase::Body | Phase::Answering | Phase::Taking { .. } => {}
        }
    }

    fn wrote(&self, count: usize) {
        if let Phase::Taking { bytes } = &mut self.state.lock().phase {
            *bytes = bytes.saturating_add(count);
        }
    }

    fn enter(&self, phase: Phase, useful: bool) {
        let now = Clock.instant();
        let mut state = self.state.lock();
        state.phase = phase;
        state.since = now;
        if useful {
            state.useful_at = now;
        }
    }

    /// A request's head has arrived.
    pub fn head_arrived(&self) {
        self.state.lock().asked = true;
        self.enter(Phase::Body, true);
    }

    /// HTTP ends with the answer that is being made, and the socket goes on with this.
    pub fn go_on_with(&self, next: BoxFuture<'static, ()>) {
        *self.next.0.lock() = Some(next);
    }

    /// What the socket goes on with, once.
    #[must_use]
    pub fn take_next(&self) -> Option<BoxFuture<'static, ()>> {
        self.next.0.lock().take()
    }

    /// The next request is to be read only then.
    pub fn rest_until(&self, at: Instant) {
        self.state.lock().rests_until = at;
    }

    /// Waits until the request may be read.
    pub async fn rest(&self) {
        let until = self.state.lock().rests_until;
        if until > Clock.instant() {
            tokio::time::sleep_until(until.into()).await;
        }
    }

    /// The request that is arriving has valid credentials, or none.
    pub fn authenticated(&self, authenticated: bool) {
        self.state.lock().authenticated = authenticated;
    }

    /// The request has a place and is being answered from now on.
    pub fn answering(&self) {
        self.enter(Phase::Answering, false);
    }

    /// The answer is made. The connection idles again when the answer's last byte is with the system, which is when
    /// the returned value is dropped.
    #[must_use]
    pub fn taking(self: &Arc<Self>) -> Taking {
        self.enter(Phase::Taking { bytes: 0 }, false);
        Taking(Arc::clone(self))
    }

    /// Whether its peer lets it wait for too long.
    #[must_use]
    pub fn is_overdue(&self, limits: &Limits, now: Instant) -> bool {
        let State { phase, since, asked, .. } = *self.state.lock();
        let due = match phase {
            Phase::Idle if asked => since + limits.idle_max,
            Phase::Idle => since + limits.silence_max,
            Phase::Head { bytes } => limits.head.due(since, bytes),
            Phase::Taking { bytes } => limits.answer.due(since, bytes),
            Phase::Body | Phase::Answering => return false,
        };
        now > due
    }

    /// How useless it is; `None` while a request is being answered.
    #[must_use]
    pub fn uselessness(&self, limits: &Limits, now: Instant) -> Option<Uselessness> {
        let state = *self.state.lock();
        let is_silent = !state.asked && now > state.useful_at + limits.newcomer_grace;
        let class = match (state.authenticated, is_silent) {
            (true, _) => Class::Authenticated,
            (false, true) => Class::Silent,
            (false, false) => Class::Stranger,
        };
        (state.phase != Phase::Answering).then_some(Uselessness { class, useful_at: state.useful_at })
    }

    /// Whether a caller without credentials is taking an answer.
    #[must_use]
    pub fn is_stranger_taking(&self) -> bool {
        let state = *self.state.lock();
        !state.authenticated && matches!(state.phase, Phase::Taking { .. })
    }
}

impl Uselessness {
    /// As if it had no credentials.
    #[must_use]
    pub fn unprotected(self) -> Self {
        Self { class: self.class.min(Class::Stranger), ..self }
    }

    /// Whether its last request had valid credentials.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.class == Class::Authenticated
    }
}

/// An answer that is being taken, until it is dropped.
#[derive(Debug)]
pub struct Taking(Arc<Connection>);

impl Drop for Taking {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle, true);
    }
}

/// A socket whose bytes are counted.
pub struct CountedStream {
    stream: TcpStream,
    connection: Arc<Connection>,
}

impl CountedStream {
    /// Takes over a socket.
    #[must_use]
    pub fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        Self { stream, connection }
    }

    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = written {
            self.connection.wrote(count);
        }
        written
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        let count = buffer.filled().len().saturating_sub(before);
        if count > 0 {
            self.connection.read(count, Clock.instant());
        }
        outcome
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn connection(now: Instant) -> Arc<Connection> {
        Arc::new(Connection::new("127.0.0.1:1".parse().unwrap(), now))
    }

    #[test]
    fn silence_trickles_and_untaken_answers_are_overdue_at_stated_times() {
        let (limits, start) = (Limits::of(8), Clock.instant());
        let (short, long) = (Duration::from_millis(1), Duration::from_secs(300));
        let silent = connection(start);
        assert!(!silent.is_overdue(&limits, start + limits.silence_max), "INV-CONN-2");
        assert!(silent.is_overdue(&limits, start + limits.silence_max + short), "INV-CONN-2");
        // One byte each second: slower than the rate, long before the whole time is over.
        let trickling = connection(start);
        let overdue_after = (1..)
            .find(|second| {
                let now = start + Duration::from_secs(*second);
                trickling.read(1, now);
                trickling.is_overdue(&limits, now)
            })
            .unwrap();
        assert_eq!(overdue_after, 4, "begun at 1 s, 2 s of grace");
        // Fast enough for the rate, but without end.
        let endless = connection(start);
        let overdue_after = (1..)
            .find(|second| {
                let now = start + Duration::from_secs(*second);
                endless.read(1_000_000, now);
                endless.is_overdue(&limits, now)
            })
            .unwrap();
        assert_eq!(overdue_after, 12, "begun at 1 s, 10 s for the whole");
        silent.head_arrived();
        silent.answering();
        assert!(!silent.is_overdue(&limits, start + long * 100));
        let taking = silent.taking();
        let now = Clock.instant();
        assert!(!silent.is_overdue(&limits, now + limits.answer.grace / 2));
        assert!(silent.is_overdue(&limits, now + limits.answer.grace + short), "INV-CONN-2");
        silent.wrote(1 << 20);
        assert!(!silent.is_overdue(&limits, now + limits.answer.grace + short));
        assert!(silent.is_overdue(&limits, now + long + short), "INV-CONN-2");
        drop(taking);
        let now = Clock.instant();
        assert!(!silent.is_overdue(&limits, now + limits.idle_max / 2));
        assert!(silent.is_overdue(&limits, now + limits.idle_max + short), "INV-CONN-2");
    }

    #[test]
    fn the_silent_go_first_and_whoever_is_answered_never() {
        let (limits, start) = (Limits::of(8), Clock.instant());
        let (silent, asking, known, answered) =
            (connection(start), connection(start), connection(start), connection(start));
        let rank = |connection: &Connection| connection.uselessness(&limits, start + Duration::from_secs(2));
        asking.head_arrived();
        for connection in [&known, &answered] {
            connection.head_arrived();
            connection.authenticated(true);
        }
        answered.answering();
        assert!(rank(&silent) < rank(&asking) && rank(&asking) < rank(&known));
        assert_eq!(rank(&answered), None, "INV-CONN-3");
        let (newcomer, older) = (connection(start + Duration::from_millis(1_500)), connection(start));
        older.head_arrived();
        assert!(rank(&silent) < rank(&older) && rank(&older) < rank(&newcomer));
    }

    #[test]
    fn credentials_protect_a_connection_until_a_request_comes_without_them() {
        let (limits, start) = (Limits::of(8), Clock.instant());
        let one = connection(start);
        for is_known in [false, true, false] {
            one.head_arrived();
            one.authenticated(is_known);
            let rank = one.uselessness(&limits, start).unwrap();
            assert_eq!(rank.is_authenticated(), is_known);
        }
    }
}
