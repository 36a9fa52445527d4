//! One WebSocket of `/ws`: calls as by HTTP, and subscriptions that tell what happens.
//!
//! ```text
//!   frames --> messages --> calls ---------------------\
//!                      \--> subscriptions (EventReader) --> one message at a time --> frames
//! ```
//!
//! # Place
//! `rpc/http.rs` accepts the upgrade; when HTTP is over, `rpc/listener.rs` runs [`Socket::accept`]'s future. Frames are
//! soketto's, which jsonrpsee uses as well. jsonrpsee's own server is not used: it starts a task for each message that
//! comes, however many wait, and takes messages as large as answers may be.
//!
//! # Cost
//! Four nodes, a generator of 1,000 payments a second and the readers on 2 cores, all of them busy: with one reader of
//! `finalized` a node took 42 to 46 % of a core and told each payment 0.6 ms after it was final (median; 99 %: 12 ms). With 100
//! readers it took 64 %, and told them 36 ms after (99 %: 283 ms), 50 payments in a message.
//!
//! # Invariants
//! - INV-SOCKET-1: of a connection at most [`SOCKET_CALLS_MAX`] calls are answered at once and [`SUBSCRIPTIONS_MAX`]
//!   subscriptions are open; beyond that it is not read, or refused.
//! - INV-SOCKET-2: a subscription makes the text of a notification when there is room for it. A reader that is slow is told
//!   later and more at once; it holds nothing but its place. One that does not take a message within [`SOCKET_SEND_MAX`](super::limits::SOCKET_SEND_MAX) is
//!   closed, and told why by the code of the close frame unless the message is still half written a moment later.
//! - INV-SOCKET-3: the answer to `subscribe` comes before the first notification.
//! - INV-SOCKET-4: whoever sends too large a message is told so by the code of the close frame.
//! - INV-SOCKET-5: a subscription is asked for by a request of its own, with the names and the number of parameters that the
//!   table of methods has. A batch or a notification makes none.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::io::{AsyncRead, AsyncWrite};
use futures::stream::{self, FuturesUnordered};
use futures::{FutureExt as _, Stream, StreamExt as _};
use jsonrpsee::types::ErrorObjectOwned;
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use soketto::handshake::http::Server as Handshake;
use soketto::{Incoming, Receiver, Sender};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::api::NodeApi;
use super::call::{Parameters, address_of};
use super::connection::Connection;
use super::errors::{NOT_FOUND, bad_parameter, busy, error, of_node, wrong_address};
use super::events::{EventReader, PageLimit, Topic, Wanted};
use super::farewell::WsStream;
use super::http::{HttpState, MessageRoom, answer_message, check_json};
use super::limits::{
    NOTIFICATION_BYTES, NOTIFICATION_EVENTS_MAX, SOCKET_CALLS_MAX, SOCKET_PING, SUBSCRIPTIONS_MAX,
};
use super::methods::transactions::cursor_of;
use super::methods::{Method, find};
use super::request::not_a_request;
use super::shares::Share;
use crate::runtime::Clock;
use crate::runtime::config::RpcRole;

/// The method of all notifications.
const EVENT_METHOD: &str = "event";
/// What one notification holds.
const NOTIFICATION: PageLimit = PageLimit { events: NOTIFICATION_EVENTS_MAX, bytes: NOTIFICATION_BYTES };
/// How long the last message and the farewell may take.
const CLOSE_MAX: Duration = Duration::from_secs(1);
/// A reader that is told nothing for so long gets its new cursor, if it has moved.
const CURSOR_INTERVAL: Duration = Duration::from_secs(10);

/// Why a WebSocket is closed by this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The other end has closed or broken a rule of the protocol, or the node stops.
    Well,
    /// A message exceeded [`SOCKET_MESSAGE_BYTES_MAX`](super::limits::SOCKET_MESSAGE_BYTES_MAX).
    TooLarge,
    /// A message was not taken within [`SOCKET_SEND_MAX`](super::limits::SOCKET_SEND_MAX); `is_whole` if it was a moment later, so that a frame may follow.
    TooSlow { is_whole: bool },
    /// The other end is gone, or gave no sign of life: nothing can be told.
    Gone,
}

/// A WebSocket that is about to be.
pub(super) struct Socket {
    state: Arc<HttpState>,
    node: Arc<dyn NodeApi>,
    connection: Arc<Connection>,
    role: Option<RpcRole>,
    _place: Share,
}

/// A message that is to be sent.
struct Outgoing {
    text: String,
    _room: MessageRoom,
}

impl Outgoing {
    fn new(message: &Value) -> Self {
        Self { text: message.to_string(), _room: MessageRoom::default() }
    }
}

/// When the other end gave a sign of life, and whether anybody listens for one.
struct Heard {
    at: Mutex<Instant>,
    listening: AtomicBool,
}

impl Heard {
    fn now(&self) {
        *self.at.lock() = Clock.instant();
    }

    fn is_lost(&self) -> bool {
        let since = Clock.instant().saturating_duration_since(*self.at.lock());
        self.listening.load(Ordering::Relaxed) && since > 2 * SOCKET_PING
    }
}

/// Methods whose calls the socket answers itself.
const SUBSCRIBE: &str = "subscribe";
const UNSUBSCRIBE: &str = "unsubscribe";

/// A call that the socket answers itself.
#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    /// None makes it a notification, while null is an id.
    #[serde(default, deserialize_with = "given")]
    id: Option<Value>,
    #[serde(default)]
    params: Value,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// The call that a message is, if the socket answers it itself. All others are answered as by HTTP, and so is what is wrong
/// as a request.
fn own_call(message: &[u8]) -> Option<(&'static Method, Call<'_>)> {
    check_json(message).ok()?;
    let text = message.trim_ascii_start();
    // Of an array serde would read the members by their order.
    if text.first() != Some(&b'{') {
        return None;
    }
    let call = serde_json::from_slice::<Call<'_>>(text).ok()?;
    let method = find(&call.method).filter(|method| [SUBSCRIBE, UNSUBSCRIBE].contains(&method.name))?;
    not_a_request(text).is_none().then_some((method, call))
}

fn answer(id: &Value, outcome: Result<Value, ErrorObjectOwned>) -> Value {
    match outcome {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    }
}

fn notification(subscription: u64, what: &str, value: &Value) -> Value {
    json!({
        "jsonrpc": "2.0", "method": EVENT_METHOD, "params": { "subscription": subscription, what: value },
    })
}

fn unsubscribe(
    given: &Parameters,
    subscriptions: &mut BTreeMap<u64, AbortHandle>,
) -> Result<(), ErrorObjectOwned> {
    let Some(handle) = subscriptions.remove(&given.required(0)?) else {
        let hint = "the answer to `subscribe` is the number to give; a subscription may be over";
        return Err(error(NOT_FOUND, "no such subscription", "unknown_subscription", hint));
    };
    handle.abort();
    Ok(())
}

impl Socket {
    pub(super) fn new(
        state: &Arc<HttpState>,
        node: &Arc<dyn NodeApi>,
        connection: &Arc<Connection>,
        (role, place): (Option<RpcRole>, Share),
    ) -> Self {
        let (state, node, connection) = (Arc::clone(state), Arc::clone(node), Arc::clone(connection));
        Self { state, node, connection, role, _place: place }
    }

    /// The answer that accepts an upgrade; `None` if the request asks for none. The connection goes on with the socket.
    pub(super) fn accept(self, request: Request) -> Option<Response> {
        let mut handshake = Handshake::new();
        let response = handshake.receive_request(&request).ok()?;
        let connection = Arc::clone(&self.connection);
        connection.go_on_with(self.run(handshake, request).boxed());
        Some(response.map(|()| Body::empty()))
    }

    async fn run(self, handshake: Handshake, request: Request) {
        let peer = self.connection.peer;
        let upgraded = match hyper::upgrade::on(request).await {
            Ok(upgraded) => upgraded,
            Err(error) => {
                tracing::debug!(%peer, %error, "A WebSocket was not opened");
                return;
            }
        };
        let stream = WsStream::new(upgraded);
        let (mut sender, receiver) = handshake.into_builder(stream.clone()).finish();
        let heard = Heard { at: Mutex::new(Clock.instant()), listening: AtomicBool::new(true) };
        let (out, outgoing) = mpsc::channel(1);
        let stopping = self.state.stopping.clone();
        let ended = {
            let mut writing = std::pin::pin!(write(&mut sender, outgoing, (&heard, self.state.socket_send)));
            let ended = tokio::select! {
                ended = &mut writing => Err(ended),
                ended = self.serve((&stream, receiver), out, &heard) => Ok(ended),
                () = stopping.cancelled() => Ok(Ended::Well),
            };
            match ended {
                Err(ended) => ended,
                // Half of a message can't be followed by a farewell.
                Ok(_) if timeout(CLOSE_MAX, writing).await.is_err() => return,
                Ok(ended) => ended,
            }
        };
        if let Ended::TooSlow { is_whole } = ended {
            let closed = self.state.slow_sockets.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            tracing::info!(%peer, is_told = is_whole, closed, "Closed a WebSocket that reads too slowly");
        }
        let farewell = async {
            match ended {
                Ended::Well => sender.close().await.is_ok(),
                Ended::TooLarge => stream.refuse_large_message().await.is_ok(),
                Ended::TooSlow { is_whole: true } => stream.refuse_slow_reader().await.is_ok(),
                Ended::TooSlow { is_whole: false } | Ended::Gone => false,
            }
        };
        let _in_time = timeout(CLOSE_MAX, farewell).await.is_ok();
    }

    /// Reads messages and answers them until the other end closes or sends too large a one.
    async fn serve(
        &self,
        (stream, receiver): (&WsStream, Receiver<WsStream>),
        out: mpsc::Sender<Outgoing>,
        heard: &Heard,
    ) -> Ended {
        let mut messages = std::pin::pin!(messages((stream, receiver), heard));
        let mut calls: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
        let mut telling: FuturesUnordered<BoxFuture<'static, u64>> = FuturesUnordered::new();
        let mut subscriptions: BTreeMap<u64, AbortHandle> = BTreeMap::new();
        let mut next_id = 1_u64;
        loop {
            // INV-SOCKET-1
            let reads = calls.len() < SOCKET_CALLS_MAX;
            if reads != heard.listening.load(Ordering::Relaxed) {
                heard.now();
                heard.listening.store(reads, Ordering::Relaxed);
            }
            let message = tokio::select! {
                Some(()) = calls.next(), if !calls.is_empty() => continue,
                Some(over) = telling.next(), if !telling.is_empty() => {
                    subscriptions.remove(&over);
                    continue;
                }
                message = messages.next(), if reads => match message {
                    Some(Ok(message)) => message,
                    Some(Err(ended)) => return ended,
                    None => return Ended::Well,
                },
            };
            let Some((method, call)) = own_call(&message) else {
                calls.push(self.answer(message, out.clone()).boxed());
                continue;
            };
            // Nobody would learn the number of a subscription that a notification asks for.
            let Some(id) = call.id else { continue };
            let outcome =
                Parameters::of(method.parameters, call.params).and_then(|given| match method.name {
                    UNSUBSCRIBE => unsubscribe(&given, &mut subscriptions).map(|()| None),
                    _ => self.wanted(&given, subscriptions.len()).map(Some),
                });
            let answered = match outcome {
                Ok(Some(wanted)) => {
                    let (number, reader) = (next_id, EventReader::new(Arc::clone(&self.node), wanted));
                    let begun = Outgoing::new(&answer(&id, Ok(json!(number))));
                    let (handle, registration) = AbortHandle::new_pair();
                    let told = Abortable::new(tell(reader, number, begun, out.clone()), registration);
                    telling.push(told.map(move |_| number).boxed());
                    subscriptions.insert(number, handle);
                    next_id = next_id.saturating_add(1);
                    continue;
                }
                Ok(None) => Ok(json!(true)),
                Err(refusal) => Err(refusal),
            };
            calls.push(send(out.clone(), Outgoing::new(&answer(&id, answered))).boxed());
        }
    }

    /// Answers a message as by HTTP.
    async fn answer(&self, message: Vec<u8>, out: mpsc::Sender<Outgoing>) {
        let (text, room) = answer_message(&self.state, &self.connection, self.role, message).await;
        // Notifications have no answer.
        if !text.is_empty() {
            send(out, Outgoing { text, _room: room }).await;
        }
    }

    /// What is to be told to a connection that has so many subscriptions.
    fn wanted(&self, given: &Parameters, subscriptions: usize) -> Result<Wanted, ErrorObjectOwned> {
        if subscriptions >= SUBSCRIPTIONS_MAX {
            let hint = "unsubscribe from something first, or open another connection";
            return Err(busy("too_many_subscriptions", "this connection has too many", hint));
        }
        let (topic, about) = (given.required::<String>(0)?, given.optional::<Value>(1)?);
        let topic = match (topic.as_str(), &about) {
            ("address", Some(Value::String(text))) => {
                let address = address_of(text, self.node.network());
                Topic::Address(address.map_err(|problem| wrong_address(given.name(1), &problem))?)
            }
            _ => Topic::of(&topic, about.as_ref()).map_err(|problem| {
                let is_known = Topic::NAMES.iter().any(|(name, _)| *name == topic);
                bad_parameter(given.name(usize::from(is_known)), &problem)
            })?,
        };
        let events = self.node.events();
        let cursor = given.optional::<Value>(2)?.map(|cursor| cursor_of(events, &cursor)).transpose()?;
        Ok(Wanted { topic, cursor: cursor.unwrap_or_else(|| events.head()) })
    }
}

/// Messages as they come, until the other end closes or breaks a rule of the protocol; one that is too large is the last.
fn messages(
    (stream, receiver): (&WsStream, Receiver<WsStream>),
    heard: &Heard,
) -> impl Stream<Item = Result<Vec<u8>, Ended>> {
    stream::unfold(receiver, move |mut receiver| async move {
        loop {
            let mut message = Vec::new();
            match receiver.receive(&mut message).await {
                Ok(Incoming::Data(_)) => {
                    heard.now();
                    return Some((Ok(message), receiver));
                }
                Ok(Incoming::Pong(_)) => heard.now(),
                Ok(Incoming::Closed(_)) => return None,
                Err(_) if stream.has_large_message() => return Some((Err(Ended::TooLarge), receiver)),
                Err(error) => {
                    tracing::trace!(%error, "A WebSocket ended");
                    return None;
                }
            }
        }
    })
}

async fn send(out: mpsc::Sender<Outgoing>, message: Outgoing) {
    // When nobody writes any more, nobody reads either.
    let _sent = out.send(message).await.is_ok();
}

/// Sends one message after the other, and asks for signs of life; gives why it ended.
async fn write<S: AsyncRead + AsyncWrite + Unpin>(
    sender: &mut Sender<S>,
    mut outgoing: mpsc::Receiver<Outgoing>,
    (heard, times): (&Heard, (Duration, Duration)),
) -> Ended {
    let mut ping = interval(SOCKET_PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    loop {
        let sent = tokio::select! {
            message = outgoing.recv() => {
                let Some(message) = message else { return Ended::Well };
                let text = message.text;
                in_time(times, async {
                    sender.send_text_owned(text).await?;
                    sender.flush().await
                })
                .await
            }
            _ = ping.tick() => {
                if heard.is_lost() {
                    tracing::debug!("A WebSocket gave no sign of life");
                    return Ended::Gone;
                }
                let nothing: &[u8] = &[];
                let Ok(empty) = nothing.try_into() else { continue };
                in_time(times, async {
                    sender.send_ping(empty).await?;
                    sender.flush().await
                })
                .await
            }
        };
        if let Err(ended) = sent {
            return ended;
        }
    }
}

/// Sends a message within a time, or says why the connection ends. INV-SOCKET-2.
async fn in_time<E>(
    (send_max, rest_max): (Duration, Duration),
    sending: impl Future<Output = Result<(), E>>,
) -> Result<(), Ended> {
    let mut sending = std::pin::pin!(sending);
    match timeout(send_max, &mut sending).await {
        Ok(sent) => sent.map_err(|_| Ended::Gone),
        // The rest of the message may go out still: only then is there room for a farewell.
        Err(_) => Err(match timeout(rest_max, sending).await {
            Ok(Err(_)) => Ended::Gone,
            rest => Ended::TooSlow { is_whole: rest.is_ok() },
        }),
    }
}

/// Tells a subscriber until it is over or gone.
async fn tell(mut reader: EventReader, id: u64, begun: Outgoing, out: mpsc::Sender<Outgoing>) {
    // INV-SOCKET-3
    if out.send(begun).await.is_err() {
        return;
    }
    let mut told_at = Clock.instant();
    loop {
        reader.news().await;
        // INV-SOCKET-2: what happens while there is no room is told together.
        let Ok(permit) = out.reserve().await else { return };
        let page = match reader.page(NOTIFICATION).await {
            Ok(page) => page,
            Err(failure) => {
                let problem = json!(of_node(failure));
                permit.send(Outgoing::new(&notification(id, "error", &problem)));
                return;
            }
        };
        let now = Clock.instant();
        let is_quiet = page.events.is_empty() && page.missed.is_none();
        if is_quiet && now.saturating_duration_since(told_at) < CURSOR_INTERVAL {
            continue;
        }
        told_at = now;
        let result = serde_json::to_value(&page).unwrap_or(Value::Null);
        permit.send(Outgoing::new(&notification(id, "result", &result)));
        if reader.is_over() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use soketto::connection::{Builder, Mode};
    use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
    use tokio_util::compat::TokioAsyncReadCompatExt as _;

    use super::*;

    /// What a writer ends with whose other end takes so many bytes within the time, and so many after it.
    async fn written(message_bytes: usize, (in_time, late): (usize, usize), rest_max: Duration) -> Ended {
        let (near, mut far): (DuplexStream, DuplexStream) = duplex(64);
        let (mut sender, _receiver) = Builder::new(near.compat(), Mode::Server).finish();
        let heard = Heard { at: Mutex::new(Clock.instant()), listening: AtomicBool::new(false) };
        let send_max = Duration::from_millis(20);
        let (out, outgoing) = mpsc::channel(1);
        send(out.clone(), Outgoing::new(&json!("x".repeat(message_bytes)))).await;
        let reading = async {
            far.read_exact(&mut vec![0; in_time]).await.unwrap();
            tokio::time::sleep(2 * send_max).await;
            far.read_exact(&mut vec![0; late]).await.unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            // The writer first: its time is over before the rest is read, however late both are looked at.
            biased;
            ended = write(&mut sender, outgoing, (&heard, (send_max, rest_max))) => ended,
            () = reading => Ended::Well,
        }
    }

    /// INV-SOCKET-2.
    #[tokio::test]
    async fn a_reader_that_is_too_slow_can_be_told_so_where_no_message_is_half_written() {
        let (short, long) = (Duration::from_millis(1), Duration::from_secs(3_600));
        assert_eq!(written(1_000, (100, 0), short).await, Ended::TooSlow { is_whole: false });
        assert_eq!(written(1_000, (100, 850), long).await, Ended::TooSlow { is_whole: true });
    }
}
