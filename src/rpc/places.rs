//! Places for requests that are answered, and for calls that wait.
//!
//! # Place
//! `rpc/http.rs` takes a place for a request when its body is there; `rpc/methods.rs` takes one for each waiting call.
//!
//! # Invariants
//! - INV-PLACES-1: at most [`Limits::requests_max`] requests are answered at once, and a quarter of these places is
//!   never taken by callers without credentials. The plain pages need no place.
//! - INV-PLACES-2: waiting calls are bounded in all, for each client address and for each request, and lower for
//!   callers without credentials; what exceeds it is refused at once with a time to try again.
//! - INV-PLACES-3: requests that wait have at most half of the places, without credentials at most a quarter.
//!
//! A waiting call keeps the place of its request, for HTTP/1 keeps its connection anyway; INV-PLACES-3 leaves the
//! other half to requests that don't wait. Ending the oldest wait early, the alternative, would let a stranger cut
//! short the waits of everybody else.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use jsonrpsee::types::ErrorObjectOwned;
use parking_lot::Mutex;

use super::errors::busy;
use super::limits::{
    Limits, SOCKETS_MAX, SOCKETS_UNAUTHENTICATED_MAX, WAITS_MAX, WAITS_PER_ADDRESS_MAX,
    WAITS_PER_REQUEST_MAX, WAITS_PER_REQUEST_UNAUTHENTICATED_MAX, WAITS_UNAUTHENTICATED_MAX,
};
use super::shares::{Share, Shares};

/// All places of a server.
pub struct Places {
    requests: Arc<Shares>,
    waiting_requests: Arc<Shares>,
    waits: Arc<Shares>,
    sockets: Arc<Shares>,
    /// Waiting calls by client address and whether it has credentials; at most [`WAITS_MAX`] entries.
    clients: Mutex<BTreeMap<(IpAddr, bool), usize>>,
}

impl Places {
    /// All free.
    #[must_use]
    pub fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            requests: Shares::new(limits.requests_max, limits.requests_unauthenticated_max()),
            waiting_requests: Shares::new(
                limits.waiting_requests_max(),
                limits.waiting_requests_unauthenticated_max(),
            ),
            waits: Shares::new(WAITS_MAX, WAITS_UNAUTHENTICATED_MAX),
            sockets: Shares::new(SOCKETS_MAX, SOCKETS_UNAUTHENTICATED_MAX),
            clients: Mutex::default(),
        })
    }

    /// A place for a request; `None` when all that this caller can have are taken.
    #[must_use]
    pub fn request(&self, authenticated: bool) -> Option<Share> {
        self.requests.take(1, authenticated)
    }

    /// A place for a WebSocket, for as long as it is open; `None` when all that this caller can have are taken.
    #[must_use]
    pub fn socket(&self, authenticated: bool) -> Option<Share> {
        self.sockets.take(1, authenticated)
    }

    /// Calls that wait at present.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waits.taken()
    }
}

/// The waiting calls of one request.
pub struct RequestWaits {
    places: Arc<Places>,
    client: IpAddr,
    authenticated: bool,
    /// Waiting calls, and the place among waiting requests while there are any.
    waiting: Mutex<(usize, Option<Share>)>,
}

impl RequestWaits {
    /// None yet.
    #[must_use]
    pub fn new(places: Arc<Places>, client: IpAddr, authenticated: bool) -> Arc<Self> {
        Arc::new(Self { places, client, authenticated, waiting: Mutex::default() })
    }

    /// A place for a call that waits.
    ///
    /// # Errors
    /// When this request, its client, or all together have as many as they may.
    pub fn begin(self: &Arc<Self>) -> Result<Wait, ErrorObjectOwned> {
        let (places, authenticated) = (&self.places, self.authenticated);
        let per_request =
            if authenticated { WAITS_PER_REQUEST_MAX } else { WAITS_PER_REQUEST_UNAUTHENTICATED_MAX };
        let mut waiting = self.waiting.lock();
        if waiting.0 >= per_request {
            return Err(too_many("this request"));
        }
        let all = places.waits.take(1, authenticated).ok_or_else(|| too_many("all clients together"))?;
        if waiting.1.is_none() {
            let place = places.waiting_requests.take(1, authenticated);
            waiting.1 = Some(place.ok_or_else(|| too_many("other connections"))?);
        }
        let mut clients = places.clients.lock();
        let of_client = clients.entry((self.client, authenticated)).or_default();
        if *of_client >= WAITS_PER_ADDRESS_MAX {
            if waiting.0 == 0 {
                waiting.1 = None;
            }
            return Err(too_many("this address"));
        }
        *of_client = of_client.saturating_add(1);
        waiting.0 = waiting.0.saturating_add(1);
        Ok(Wait { request: Arc::clone(self), _all: all })
    }
}

fn too_many(whose: &str) -> ErrorObjectOwned {
    let message = format!("too many calls of {whose} wait already");
    let hint = "ask gettransactionstatus now and then instead, or send credentials, which allow more";
    busy("too_many_waits", message, hint)
}

/// A call that waits, until it is dropped.
pub struct Wait {
    request: Arc<RequestWaits>,
    _all: Share,
}

impl Drop for Wait {
    fn drop(&mut self) {
        let request = &self.request;
        let mut waiting = request.waiting.lock();
        waiting.0 = waiting.0.saturating_sub(1);
        if waiting.0 == 0 {
            waiting.1 = None;
        }
        let mut clients = request.places.clients.lock();
        if let Entry::Occupied(mut of_client) = clients.entry((request.client, request.authenticated)) {
            *of_client.get_mut() = of_client.get().saturating_sub(1);
            if *of_client.get() == 0 {
                of_client.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(places: &Arc<Places>, client: &str, authenticated: bool, of: usize) -> Vec<Wait> {
        (0..of)
            .map_while(|_| {
                RequestWaits::new(Arc::clone(places), client.parse().unwrap(), authenticated).begin().ok()
            })
            .collect()
    }

    #[test]
    fn each_bound_on_waits_holds_and_all_is_given_back() {
        let places = Places::new(&Limits::of(10_000));
        for (authenticated, per_request) in
            [(false, WAITS_PER_REQUEST_UNAUTHENTICATED_MAX), (true, WAITS_PER_REQUEST_MAX)]
        {
            let request = RequestWaits::new(Arc::clone(&places), "::1".parse().unwrap(), authenticated);
            let begun: Vec<_> = (0..per_request).map(|_| request.begin().unwrap()).collect();
            let error = request.begin().err().unwrap();
            let data: super::super::types::ErrorData =
                serde_json::from_str(error.data().unwrap().get()).unwrap();
            assert_eq!(
                (data.reason.as_str(), data.retry_after_ms),
                ("too_many_waits", Some(1_000)),
                "INV-PLACES-2"
            );
            drop(begun);
            assert!(request.begin().is_ok());
        }
        assert_eq!(
            waits(&places, "127.0.0.1", false, 2_000).len(),
            WAITS_UNAUTHENTICATED_MAX,
            "INV-PLACES-2"
        );
        let strangers = waits(&places, "127.0.0.1", false, 2_000);
        let known = waits(&places, "127.0.0.1", true, 2_000);
        assert_eq!(known.len(), WAITS_PER_ADDRESS_MAX, "INV-PLACES-2: strangers take nothing of it");
        let rest = waits(&places, "192.0.2.1", true, 2_000);
        assert_eq!(rest.len(), WAITS_MAX - WAITS_UNAUTHENTICATED_MAX - WAITS_PER_ADDRESS_MAX, "INV-PLACES-2");
        drop((strangers, known, rest));
        assert_eq!((places.waiting(), places.waiting_requests.taken()), (0, 0));
        assert!(places.clients.lock().is_empty());
    }

    #[test]
    fn requests_that_wait_leave_half_of_the_places() {
        let places = Places::new(&Limits::of(100));
        let strangers = waits(&places, "127.0.0.1", false, 200);
        assert_eq!(strangers.len(), 25, "INV-PLACES-3");
        let known = waits(&places, "127.0.0.1", true, 200);
        assert_eq!(known.len(), 25, "INV-PLACES-3");
        drop(strangers);
        assert_eq!(waits(&places, "127.0.0.1", true, 200).len(), 25);
        drop(known);
        assert_eq!(places.waiting_requests.taken(), 0);
    }

    #[test]
    fn a_quarter_of_the_places_is_for_those_with_credentials() {
        let places = Places::new(&Limits::of(100));
        let strangers: Vec<_> = (0..200).map_while(|_| places.request(false)).collect();
        assert_eq!(strangers.len(), 75, "INV-PLACES-1");
        let known: Vec<_> = (0..200).map_while(|_| places.request(true)).collect();
        assert_eq!(known.len(), 25, "INV-PLACES-1");
        drop(strangers);
        assert!(places.request(true).is_some());
    }
}
