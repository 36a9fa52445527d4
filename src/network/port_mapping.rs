//! Asks the router for a way in (UPnP's Internet Gateway Device protocol), where `[network] upnp` wants that.
//!
//! # Place
//! `tasks.rs` starts it. What it opens is advertised in handshakes, unless the operator named an address.
//!
//! # Invariants
//! - INV-PORTS-1: a mapping is renewed well before its lease ends and given back at the stop. A node that dies leaves none
//!   for longer than the lease.
//! - INV-PORTS-2: an address that the router tells is advertised only if everybody can reach it: a router behind another
//!   one has none.
//!
//! The node never waits for a router, and no answer of one ends more than an attempt. Its answers are read up to 1 MiB within
//! 10 s, and only what the router itself says of its own services is followed; igd-next holds both.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use igd_next::aio::Gateway;
use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{AddPortError, PortMappingProtocol, SearchOptions};
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::address::Reach;

/// How long the router keeps a mapping that is not renewed, in seconds.
const LEASE_S: u32 = 3_600;
const RENEW_AFTER: Duration = Duration::from_secs(1_200);
/// After an attempt that failed.
const RETRY_AFTER: Duration = Duration::from_secs(300);
/// Attempts that fail one after the other until the address is told no more: as long as a lease.
const FAILURES_MAX: u32 = 12;
/// How long the stop waits for the router to take a mapping back.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// What routers show their owners.
const DESCRIPTION: &str = "timed";

/// Why there is no way in.
#[derive(Debug, thiserror::Error)]
enum MappingError {
    #[error("no router answered: {0}")]
    Search(#[from] igd_next::SearchError),
    #[error("the way to the router is not known: {0}")]
    Way(#[from] std::io::Error),
    #[error("the router does not forward port {port}: {source}")]
    Refused { port: u16, source: AddPortError },
    #[error("the router forwards no port: {0}")]
    NoPort(#[from] igd_next::AddAnyPortError),
    #[error("the router does not tell its address: {0}")]
    Address(#[from] igd_next::GetExternalIpError),
}

/// A port that the router forwards to this node.
struct Mapping {
    gateway: Gateway<Tokio>,
    port: u16,
}

/// Keeps a mapping to where the node listens until the token is cancelled, and says by `advertise` under which address others
/// reach it, whenever that changes.
pub(crate) async fn keep_mapping(
    listening: SocketAddr,
    options: impl Fn() -> SearchOptions,
    advertise: impl Fn(Option<SocketAddr>),
    token: &CancellationToken,
) {
    let (mut mapping, mut told, mut failures) = (None, None, 0_u32);
    while let Some(outcome) = token.run_until_cancelled(open(listening, options(), &mut mapping)).await {
        let pause = match outcome {
            Ok(external) => {
                failures = 0;
                if told.replace(external) != Some(external) {
                    tell(external, &advertise);
                }
                RENEW_AFTER
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                if failures == 1 {
                    tracing::warn!(
                        %error,
                        "No way in by the router ([network] upnp); forward the port by hand, or go on with the peers that this \
                         node dials"
                    );
                }
                // The router has forgotten it by now.
                if failures >= FAILURES_MAX && told.take().is_some() {
                    advertise(None);
                }
                RETRY_AFTER
            }
        };
        if token.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            break;
        }
    }
    if let Some(Mapping { gateway, port }) = mapping {
        let closing = gateway.remove_port(PortMappingProtocol::TCP, port);
        let is_closed = matches!(tokio::time::timeout(CLOSE_WAIT, closing).await, Ok(Ok(())));
        tracing::debug!(is_closed, "Way in by the router given back");
    }
}

fn tell(external: SocketAddr, advertise: &impl Fn(Option<SocketAddr>)) {
    if Reach::of(external.ip()) == Reach::World {
        tracing::info!(%external, "The router forwards this address to the node");
        advertise(Some(external));
    } else {
        tracing::warn!(
            %external,
            "The router forwards a port, but its own address is a private one: there is another router in front of it"
        );
        advertise(None);
    }
}

/// Opens a mapping, or renews the last one. What was opened is in `mapping` at once, so that it is given back whatever comes
/// after it.
async fn open(
    listening: SocketAddr,
    options: SearchOptions,
    mapping: &mut Option<Mapping>,
) -> Result<SocketAddr, MappingError> {
    let gateway = search_gateway(options).await?;
    let own = SocketAddr::new(own_ip(listening.ip(), gateway.addr).await?, listening.port());
    let wanted = mapping.as_ref().map_or(own.port(), |last| last.port);
    let protocol = PortMappingProtocol::TCP;
    let add = |lease| gateway.add_port(protocol, wanted, own, lease, DESCRIPTION);
    let added = match add(LEASE_S).await {
        // It would outlive a node that dies, but this router knows no others.
        Err(AddPortError::OnlyPermanentLeasesSupported) => add(0).await,
        added => added,
    };
    let port = match added {
        Ok(()) => wanted,
        Err(AddPortError::PortInUse) => gateway.add_any_port(protocol, own, LEASE_S, DESCRIPTION).await?,
        Err(source) => return Err(MappingError::Refused { port: wanted, source }),
    };
    let Mapping { gateway, .. } = mapping.insert(Mapping { gateway, port });
    Ok(SocketAddr::new(gateway.get_external_ip().await?, port))
}

/// Under which address the router reaches this machine.
async fn own_ip(listening: IpAddr, gateway: SocketAddr) -> std::io::Result<IpAddr> {
    if !listening.is_unspecified() {
        return Ok(listening);
    }
    // Nothing is sent: it asks the kernel for the way.
    let unspecified: IpAddr = if gateway.is_ipv4() {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((unspecified, 0)).await?;
    socket.connect(gateway).await?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::network::tests::support::eventually;

    const SERVICE: &str = "urn:schemas-upnp-org:service:WANIPConnection:1";

    /// A router on loopback: it answers searches, describes itself and keeps mappings.
    #[derive(Default)]
    struct Router {
        external_ip: String,
        /// A port that somebody else has.
        taken: Option<u16>,
        /// What it forwards: from which port, to where, and for how many seconds.
        forwards: Mutex<BTreeMap<u16, (String, u32)>>,
        /// Mappings asked for.
        asked: Mutex<u32>,
    }

    /// What stands between two tags.
    fn value<'a>(body: &'a str, tag: &str) -> &'a str {
        let (_, rest) = body.split_once(&format!("<{tag}>")).unwrap_or(("", ""));
        rest.split_once('<').map_or("", |(value, _)| value)
    }

    impl Router {
        async fn start(self: &Arc<Self>) -> SocketAddr {
            let search = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let pages = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (found, described) = (search.local_addr().unwrap(), pages.local_addr().unwrap());
            TaskTracker::new().spawn(async move {
                let mut buffer = [0; 1_500];
                while let Ok((_, from)) = search.recv_from(&mut buffer).await {
                    let answer = format!("HTTP/1.1 200 OK\r\nLOCATION: http://{described}/root.xml\r\n\r\n");
                    search.send_to(answer.as_bytes(), from).await.unwrap();
                }
            });
            let router = Arc::clone(self);
            TaskTracker::new().spawn(async move {
                while let Ok((mut stream, _)) = pages.accept().await {
                    let router = Arc::clone(&router);
                    TaskTracker::new().spawn(async move {
                        let (mut text, mut buffer) = (String::new(), [0; 4_096]);
                        // The head, then as many bytes as it says.
                        loop {
                            let count = stream.read(&mut buffer).await.unwrap_or(0);
                            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
                            let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
                            let length = head.to_ascii_lowercase().split_once("content-length: ").map_or(
                                0,
                                |(_, rest)| {
                                    rest.lines().next().unwrap_or("0").trim().parse::<usize>().unwrap()
                                },
                            );
                            if count == 0 || (text.contains("\r\n\r\n") && body.len() >= length) {
                                break;
                            }
                        }
                        let (status, body) = router.answer(&text);
                        let length = body.len();
                        let answer = format!(
                            "HTTP/1.1 {status}\r\ncontent-type: text/xml\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                        );
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    });
                }
            });
            found
        }

        fn answer(&self, request: &str) -> (&'static str, String) {
            let soap = |action: &str, inner: String| {
                format!(
                    "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
                     <u:{action}Response xmlns:u=\"{SERVICE}\">{inner}</u:{action}Response></s:Body></s:Envelope>"
                )
            };
            let argument =
                |name: &str| format!("<argument><name>{name}</name><direction>in</direction></argument>");
            if request.starts_with("GET /root.xml") {
                let service = format!(
                    "<service><serviceType>{SERVICE}</serviceType><controlURL>/control</controlURL><SCPDURL>/scpd.xml</SCPDURL>\
                     </service>"
                );
                let device = |kind: &str, inner: String| {
                    format!(
                        "<device><deviceType>urn:schemas-upnp-org:device:{kind}:1</deviceType>{inner}</device>"
                    )
                };
                let connection =
                    device("WANConnectionDevice", format!("<serviceList>{service}</serviceList>"));
                let wan = device("WANDevice", format!("<deviceList>{connection}</deviceList>"));
                let root = device("InternetGatewayDevice", format!("<deviceList>{wan}</deviceList>"));
                return ("200 OK", format!("<?xml version=\"1.0\"?><root>{root}</root>"));
            }
            if request.starts_with("GET /scpd.xml") {
                let action = |name: &str, arguments: &[&str]| {
                    let arguments: String = arguments.iter().map(|name| argument(name)).collect();
                    format!("<action><name>{name}</name><argumentList>{arguments}</argumentList></action>")
                };
                let mapping = [
                    "NewRemoteHost",
                    "NewExternalPort",
                    "NewProtocol",
                    "NewInternalPort",
                    "NewInternalClient",
                    "NewEnabled",
                    "NewPortMappingDescription",
                    "NewLeaseDuration",
                ];
                let actions = [
                    action("AddPortMapping", &mapping),
                    action("AddAnyPortMapping", &mapping),
                    action("DeletePortMapping", &mapping[..3]),
                    action("GetExternalIPAddress", &[]),
                ];
                return (
                    "200 OK",
                    format!(
                        "<?xml version=\"1.0\"?><scpd><actionList>{}</actionList></scpd>",
                        actions.concat()
                    ),
                );
            }
            let port = |tag| value(request, tag).parse::<u16>().unwrap_or(0);
            if request.contains("#GetExternalIPAddress") {
                let ip = &self.external_ip;
                let inner = format!("<NewExternalIPAddress>{ip}</NewExternalIPAddress>");
                return ("200 OK", soap("GetExternalIPAddress", inner));
            }
            if request.contains("#DeletePortMapping") {
                self.forwards.lock().remove(&port("NewExternalPort"));
                return ("200 OK", soap("DeletePortMapping", String::new()));
            }
            let is_any = request.contains("#AddAnyPortMapping");
            let wanted = if is_any { 40_000 } else { port("NewExternalPort") };
            *self.asked.lock() += 1;
            if self.taken == Some(wanted) {
                let fault = "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
                             <s:Fault><detail><UPnPError><errorCode>718</errorCode><errorDescription>Conflict</errorDescription>\
                             </UPnPError></detail></s:Fault></s:Body></s:Envelope>";
                return ("500 Internal Server Error", fault.to_owned());
            }
            let to = format!("{}:{}", value(request, "NewInternalClient"), port("NewInternalPort"));
            let lease = value(request, "NewLeaseDuration").parse().unwrap_or(0);
            self.forwards.lock().insert(wanted, (to, lease));
            let action = if is_any { "AddAnyPortMapping" } else { "AddPortMapping" };
            ("200 OK", soap(action, format!("<NewReservedPort>{wanted}</NewReservedPort>")))
        }

        fn forwards(&self) -> Vec<(u16, String, u32)> {
            self.forwards.lock().iter().map(|(port, (to, lease))| (*port, to.clone(), *lease)).collect()
        }
    }

    fn to_router(found: SocketAddr) -> SearchOptions {
        let mut options = SearchOptions::default();
        options.bind_addr = "127.0.0.1:0".parse().unwrap();
        options.broadcast_address = found;
        // Nothing on loopback is a router, but for this test.
        options.allowed_gateway_ips = vec![found.ip()];
        options
    }

    /// What is forwarded and advertised by a router with this address, one of whose ports is taken.
    async fn mapped(external_ip: &str, taken: Option<u16>) -> (Vec<(u16, String, u32)>, Option<SocketAddr>) {
        let router = Arc::new(Router { external_ip: external_ip.to_owned(), taken, ..Router::default() });
        let found = router.start().await;
        let (told, token) = (Arc::new(Mutex::new(None)), CancellationToken::new());
        let (telling, ending) = (Arc::clone(&told), token.clone());
        let options = move || to_router(found);
        let listening = "0.0.0.0:24100".parse().unwrap();
        let keeping = TaskTracker::new().spawn(async move {
            keep_mapping(listening, options, |address| *telling.lock() = Some(address), &ending).await;
        });
        eventually(|| told.lock().is_some()).await;
        let forwards = router.forwards();
        token.cancel();
        keeping.await.unwrap();
        assert_eq!(router.forwards(), [], "INV-PORTS-1: it is given back");
        let told = told.lock().flatten();
        (forwards, told)
    }

    #[tokio::test]
    async fn the_routers_address_is_told_while_it_forwards_to_this_machine_and_given_back() {
        let (forwards, told) = mapped("198.51.100.7", None).await;
        assert_eq!(forwards, [(24_100, "127.0.0.1:24100".to_owned(), LEASE_S)]);
        assert_eq!(told, Some("198.51.100.7:24100".parse().unwrap()));
        // Another machine of the house has the port.
        let (forwards, told) = mapped("198.51.100.7", Some(24_100)).await;
        assert_eq!(forwards, [(40_000, "127.0.0.1:24100".to_owned(), LEASE_S)]);
        assert_eq!(told, Some("198.51.100.7:40000".parse().unwrap()));
    }

    /// INV-PORTS-2.
    #[tokio::test]
    async fn the_address_of_a_router_behind_another_one_is_told_to_nobody() {
        for private in ["192.168.0.2", "100.64.0.9", "0.0.0.0"] {
            let (forwards, told) = mapped(private, None).await;
            assert_eq!((forwards.len(), told), (1, None), "{private}");
        }
    }

    /// INV-PORTS-1: what was opened is known although the router says nothing more.
    #[tokio::test]
    async fn a_mapping_is_given_back_though_the_router_does_not_tell_its_address() {
        let router = Arc::new(Router::default());
        let (found, mut mapping) = (router.start().await, None);
        let listening = "127.0.0.1:24100".parse().unwrap();
        let outcome = open(listening, to_router(found), &mut mapping).await;
        assert!(matches!(outcome, Err(MappingError::Address(_))), "{outcome:?}");
        assert_eq!((router.forwards().len(), mapping.unwrap().port), (1, 24_100));
        assert!(u64::from(FAILURES_MAX) * RETRY_AFTER.as_secs() >= u64::from(LEASE_S));
    }

    /// INV-PORTS-1.
    #[tokio::test]
    async fn a_mapping_is_renewed_under_the_same_port() {
        let router = Arc::new(Router { external_ip: "198.51.100.7".to_owned(), ..Router::default() });
        let found = router.start().await;
        let options = || to_router(found);
        let listening = "127.0.0.1:24100".parse().unwrap();
        let mut mapping = None;
        open(listening, options(), &mut mapping).await.unwrap();
        mapping.as_mut().unwrap().port = 40_000;
        let again = open(listening, options(), &mut mapping).await.unwrap();
        assert_eq!(again, "198.51.100.7:40000".parse().unwrap());
        assert_eq!((*router.asked.lock(), router.forwards().len()), (2, 2));
        assert!(RENEW_AFTER.as_secs() * 2 < u64::from(LEASE_S), "one renewal may fail");
    }
}
