//! The bytes under a WebSocket, and the farewell to who sends too large a message or reads too slowly.
//!
//! # Place
//! `rpc/socket.rs` gives the stream to soketto, which closes by the code 1000 alone. What has to be told otherwise is written
//! here, when soketto is done. How large a message becomes, `rpc/frames.rs` knows.
//!
//! # Invariants
//! - INV-FAREWELL-1: when the head of a frame tells that its message is too large, reading fails at once.
//!
//! # Concurrency
//! Both halves are polled by the one task of their socket, so its lock is never waited for.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use soketto::base::{Codec, Header, OpCode};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

use super::frames::Frames;
use super::limits::{SOCKET_MESSAGE_BYTES_MAX, SOCKET_SEND_MAX};

/// RFC 6455, section 7.4.1: a message that is too big to process.
const MESSAGE_TOO_BIG: u16 = 1_009;
/// There: the other end breaks a rule of this one.
const POLICY_VIOLATION: u16 = 1_008;
/// Bytes that are read and dropped before the connection ends, so that its sender gets to read the farewell.
const DRAIN_BYTES_MAX: usize = 8 << 20;

struct Inner {
    stream: BufReader<BufWriter<Compat<TokioIo<Upgraded>>>>,
    frames: Frames,
}

/// A connection that was HTTP's. Clones are the same connection.
#[derive(Clone)]
pub(super) struct WsStream(Arc<Mutex<Inner>>);

impl WsStream {
    pub(super) fn new(upgraded: Upgraded) -> Self {
        let stream = BufReader::new(BufWriter::new(TokioIo::new(upgraded).compat()));
        Self(Arc::new(Mutex::new(Inner { stream, frames: Frames::new(SOCKET_MESSAGE_BYTES_MAX) })))
    }

    /// Whether reading has failed, or will, because a message has more than [`SOCKET_MESSAGE_BYTES_MAX`].
    pub(super) fn has_large_message(&self) -> bool {
        self.0.lock().frames.is_exceeded()
    }

    /// Closes with the code 1009 and the limit in words.
    pub(super) async fn refuse_large_message(self) -> io::Result<()> {
        let reason =
            format!("a message has at most {SOCKET_MESSAGE_BYTES_MAX} bytes; larger ones go by HTTP, POST /");
        self.close_with(MESSAGE_TOO_BIG, &reason).await
    }

    /// Closes with the code 1008, and says how to miss nothing. No message may be half written.
    pub(super) async fn refuse_slow_reader(self) -> io::Result<()> {
        let seconds = SOCKET_SEND_MAX.as_secs();
        let reason =
            format!("a message was not taken within {seconds} s; subscribe anew from the last next_cursor");
        self.close_with(POLICY_VIOLATION, &reason).await
    }

    /// Closes with a code and a reason of at most 123 bytes. What is under way is read and dropped: to end a connection with
    /// unread bytes would take the farewell away from its reader.
    async fn close_with(mut self, code: u16, reason: &str) -> io::Result<()> {
        let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
        let mut header = Header::new(OpCode::Close);
        header.set_payload_len(payload.len());
        let frame = [Codec::new().encode_header(&header), &payload].concat();
        self.write_all(&frame).await?;
        self.flush().await?;
        let (mut dropped, mut buffer) = (0_usize, [0; 4_096]);
        while dropped < DRAIN_BYTES_MAX {
            let read = poll_fn(|context| Pin::new(&mut self.0.lock().stream).poll_read(context, &mut buffer));
            match read.await? {
                0 => break,
                count => dropped = dropped.saturating_add(count),
            }
        }
        self.close().await
    }
}

impl AsyncRead for WsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        let Inner { stream, frames } = &mut *inner;
        let came = match ready!(Pin::new(stream).poll_read(context, buffer)) {
            Ok(came) if came > 0 => came,
            ended => return Poll::Ready(ended),
        };
        match frames.pass(buffer.get_mut(..came).unwrap_or_default()) {
            // INV-FAREWELL-1
            0 => Poll::Ready(Err(io::ErrorKind::FileTooLarge.into())),
            passed => Poll::Ready(Ok(passed)),
        }
    }
}

impl AsyncWrite for WsStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.lock().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_flush(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_close(context)
    }
}
