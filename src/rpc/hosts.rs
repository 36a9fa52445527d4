//! Which names of this server, and which web pages, a request may speak of.
//!
//! # Place
//! `rpc/http.rs` asks [`Hosts`] about every request before it looks at anything else.
//!
//! # Invariants
//! - INV-HTTP-1: a request is refused whose `Host` is neither a loopback name nor the bound address nor one that the
//!   configuration allows, or whose `Origin` is neither that host nor one that the configuration allows. Unless the
//!   configuration says so, a web page that an operator visits can't talk to the node, whatever names its author lets
//!   resolve to 127.0.0.1.
//! - INV-HTTP-5: no answer tells a browser that a page from elsewhere may read it, unless the configuration names that
//!   page's origin.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, HOST, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

/// For how many seconds a browser need not ask again whether it may.
const MAY_ASK_S: &str = "600";

/// What the configuration allows beside the node's own names.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// Hosts, without a port: `node.example`.
    pub hosts: Vec<String>,
    /// Origins of web pages: `https://shop.example`.
    pub origins: Vec<String>,
}

/// Why a request is refused for what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    Host,
    Origin,
}

/// The names of a server.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    bound: SocketAddr,
    allowed: Allowed,
}

/// The host of `name:port`, `name`, `[v6]:port` or `[v6]`.
fn host_name(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

fn is_among(names: &[String], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

impl Hosts {
    pub(super) const fn new(bound: SocketAddr, allowed: Allowed) -> Self {
        Self { bound, allowed }
    }

    /// INV-HTTP-1. A literal address can't be rebound by a name server, so any will do when the server listens on all.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Foreign> {
        let mut hosts = headers.get_all(HOST).iter();
        let (host, None) =
            (hosts.next().and_then(|value| value.to_str().ok()).ok_or(Foreign::Host)?, hosts.next())
        else {
            return Err(Foreign::Host);
        };
        let (name, bound) = (host_name(host), self.bound.ip());
        let is_own = match name.parse::<IpAddr>() {
            Ok(address) => address.is_loopback() || address == bound || bound.is_unspecified(),
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        };
        if !is_own && !is_among(&self.allowed.hosts, name) {
            return Err(Foreign::Host);
        }
        let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().map_err(|_| Foreign::Origin)?;
        let is_own = origin.strip_prefix("http://").is_some_and(|own| own.eq_ignore_ascii_case(host));
        if is_own || is_among(&self.allowed.origins, origin) { Ok(()) } else { Err(Foreign::Origin) }
    }

    /// The origin of a page from elsewhere that may read what it gets, if the request comes from one.
    pub(super) fn page_elsewhere(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        self.check(headers).ok()?;
        let origin = headers.get(ORIGIN)?;
        is_among(&self.allowed.origins, origin.to_str().ok()?).then(|| origin.clone())
    }
}

/// INV-HTTP-5: lets the page of this origin read an answer.
pub(super) fn let_read(response: &mut Response, origin: HeaderValue) {
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    response.headers_mut().append(VARY, HeaderValue::from_static("origin"));
}

/// What a browser asks for before it sends a page's request.
pub(super) fn may_ask() -> Response {
    let headers = [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
        (ACCESS_CONTROL_MAX_AGE, MAY_ASK_S),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    fn check_host(headers: &HeaderMap, bound: SocketAddr) -> Result<(), Foreign> {
        Hosts::new(bound, Allowed::default()).check(headers)
    }

    /// INV-HTTP-1.
    #[test]
    fn only_own_hosts_and_origins_are_let_in() {
        let loopback: SocketAddr = "127.0.0.1:24201".parse().unwrap();
        let public: SocketAddr = "192.0.2.7:24201".parse().unwrap();
        let all: SocketAddr = "0.0.0.0:24201".parse().unwrap();
        for (host, bound, expected) in [
            ("127.0.0.1:24201", loopback, Ok(())),
            ("127.0.0.1", loopback, Ok(())),
            ("LocalHost:24201", loopback, Ok(())),
            ("[::1]:24201", loopback, Ok(())),
            ("192.0.2.7:24201", public, Ok(())),
            ("192.0.2.7", all, Ok(())),
            ("192.0.2.7", loopback, Err(Foreign::Host)),
            ("evil.example", loopback, Err(Foreign::Host)),
            ("evil.example:24201", all, Err(Foreign::Host)),
            ("localhost.evil.example", loopback, Err(Foreign::Host)),
            ("127.0.0.1.evil.example", loopback, Err(Foreign::Host)),
            ("", loopback, Err(Foreign::Host)),
        ] {
            assert_eq!(check_host(&headers(host, None), bound), expected, "{host}");
        }
        let host = "127.0.0.1:24201";
        assert_eq!(check_host(&headers(host, Some("http://127.0.0.1:24201")), loopback), Ok(()));
        for origin in ["http://evil.example", "null", "http://127.0.0.1:80", "https://127.0.0.1:24201", ""] {
            assert_eq!(check_host(&headers(host, Some(origin)), loopback), Err(Foreign::Origin), "{origin}");
        }
        let mut twice = headers(host, None);
        twice.append(HOST, "evil.example".parse().unwrap());
        assert_eq!(check_host(&twice, loopback), Err(Foreign::Host));
        assert_eq!(check_host(&HeaderMap::new(), loopback), Err(Foreign::Host));
    }

    /// INV-HTTP-1 and INV-HTTP-5.
    #[test]
    fn what_the_configuration_names_is_let_in_and_nothing_like_it() {
        let allowed =
            Allowed { hosts: vec!["node.example".into()], origins: vec!["https://shop.example".into()] };
        let hosts = Hosts::new("127.0.0.1:24201".parse().unwrap(), allowed);
        for (host, origin, expected) in [
            ("node.example", None, Ok(())),
            ("Node.Example:8443", None, Ok(())),
            ("node.example", Some("http://node.example"), Ok(())),
            ("node.example", Some("https://shop.example"), Ok(())),
            ("127.0.0.1", Some("https://shop.example"), Ok(())),
            ("shop.example", None, Err(Foreign::Host)),
            ("a.node.example", None, Err(Foreign::Host)),
            ("node.example.evil.example", None, Err(Foreign::Host)),
            ("evil.example", Some("https://shop.example"), Err(Foreign::Host)),
            ("node.example", Some("http://shop.example"), Err(Foreign::Origin)),
            ("node.example", Some("https://shop.example:444"), Err(Foreign::Origin)),
            ("node.example", Some("https://shop.example.evil.example"), Err(Foreign::Origin)),
            ("node.example", Some("https://node.example"), Err(Foreign::Origin)),
        ] {
            let headers = headers(host, origin);
            assert_eq!(hosts.check(&headers), expected, "{host} {origin:?}");
            let reads = expected.is_ok() && origin == Some("https://shop.example");
            assert_eq!(hosts.page_elsewhere(&headers).is_some(), reads, "{host} {origin:?}");
        }
    }
}
