//! Connections that can't be held for nothing: counted, and with a deadline on every request's arrival.
//!
//! # Place
//! The listener of both HTTP servers. axum takes connections from it and hands [`ConnectionInfo`] to the handler.
//!
//! # Invariants
//! - INV-CONN-1: at most `connections_max` connections are open; a further one is closed at once, so that those who
//!   wait in the backlog don't wait for somebody who does nothing.
//! - INV-CONN-2: a connection on which no request is being answered is closed [`REQUEST_ARRIVAL_MAX`] after it was
//!   accepted, or after the last answer was made, however slowly bytes trickle in.
//! - INV-CONN-3: a connection that takes none of an answer's bytes for [`WRITE_STALL_MAX`] is closed.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// How long a request's head may take to arrive, and a connection may idle between requests.
pub const REQUEST_ARRIVAL_MAX: Duration = Duration::from_secs(30);
/// How long a peer may take none of an answer's bytes.
pub const WRITE_STALL_MAX: Duration = Duration::from_secs(30);
/// How long to wait after the system refused to accept, such as without file handles.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What the handler tells the connection about its requests.
#[derive(Debug, Default)]
pub struct RequestActivity {
    running: AtomicUsize,
    answered: AtomicU64,
}

/// Marks a request as being answered until it is dropped.
pub struct RunningRequest(Arc<RequestActivity>);

impl RunningRequest {
    /// Begins.
    #[must_use]
    pub fn begin(activity: &Arc<RequestActivity>) -> Self {
        activity.running.fetch_add(1, Ordering::AcqRel);
        Self(activity.clone())
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        self.0.answered.fetch_add(1, Ordering::AcqRel);
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Its address.
    pub peer: SocketAddr,
    /// Where the handler marks its requests.
    pub activity: Arc<RequestActivity>,
}

impl Connected<IncomingStream<'_, BoundedListener>> for ConnectionInfo {
    fn connect_info(stream: IncomingStream<'_, BoundedListener>) -> Self {
        Self { peer: *stream.remote_addr(), activity: stream.io().activity.clone() }
    }
}

/// Accepts a bounded number of connections.
pub struct BoundedListener {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    arrival_max: Duration,
}

impl BoundedListener {
    /// Takes over a bound listener.
    #[must_use]
    pub fn new(listener: TcpListener, connections_max: usize, arrival_max: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
        Self { listener, permits, arrival_max }
    }
}

impl Listener for BoundedListener {
    type Io = GuardedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (GuardedStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => match self.permits.clone().try_acquire_owned() {
                    Ok(permit) => {
                        // Without it small answers wait for the peer's delayed acknowledgement.
                        if let Err(error) = stream.set_nodelay(true) {
                            tracing::debug!(%peer, %error, "could not set TCP_NODELAY");
                        }
                        return (GuardedStream::new(stream, permit, self.arrival_max), peer);
                    }
                    Err(_) => tracing::debug!(%peer, "too many HTTP connections; closed a new one"),
                },
                Err(error) => {
                    tracing::debug!(%error, "could not accept an HTTP connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with its deadlines and its place among the counted ones.
pub struct GuardedStream {
    stream: TcpStream,
    activity: Arc<RequestActivity>,
    arrival_max: Duration,
    arrival: Pin<Box<Sleep>>,
    answered_seen: u64,
    stall: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl GuardedStream {
    fn new(stream: TcpStream, permit: OwnedSemaphorePermit, arrival_max: Duration) -> Self {
        Self {
            stream,
            activity: Arc::default(),
            arrival_max,
            arrival: Box::pin(tokio::time::sleep(arrival_max)),
            answered_seen: 0,
            stall: None,
            _permit: permit,
        }
    }

    /// Whether the peer has let a request's arrival take too long.
    fn arrival_is_late(&mut self, context: &mut Context<'_>) -> bool {
        let answered = self.activity.answered.load(Ordering::Acquire);
        if answered != self.answered_seen {
            self.answered_seen = answered;
            self.arrival = Box::pin(tokio::time::sleep(self.arrival_max));
        }
        self.arrival.as_mut().poll(context).is_ready() && self.activity.running.load(Ordering::Acquire) == 0
    }

    /// Passes the outcome of a write on, or fails it when the peer has stalled for too long.
    fn watch_write(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_STALL_MAX)));
        match stall.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Pending if this.arrival_is_late(context) => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            outcome => outcome,
        }
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.watch_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.watch_write(context, written)
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
