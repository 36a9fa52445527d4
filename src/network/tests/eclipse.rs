//! Nodes of an open network over real sockets: they find each other, and whoever has many addresses of few networks does not
//! become all of a node's peers. Hosts of loopback stand for those of the world, 127.20.0.1 and 127.20.9.9 for one network.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::support::{CHAIN, Node, RawPeer, config, eventually, key, local, one_of_each, quick, validator};
use crate::network::address::Grouping;
use crate::network::address_file::{self, Found};
use crate::network::shared::Timing;
use crate::network::{NetworkConfig, PeerInfo};
use crate::types::message::PeerAddress;
use crate::types::{Message, PublicKey, SecretKey};

fn timing() -> Timing {
    Timing {
        grouping: Some(Grouping::LoopbackAsWorld),
        stable_after: Duration::from_millis(50),
        feeler_interval: Duration::from_millis(20),
        seeds_after: Duration::from_millis(20),
        exchange_interval: Duration::from_millis(100),
        ..quick()
    }
}

fn at(host: &str, seed: u8) -> NetworkConfig {
    NetworkConfig { listen_address: SocketAddr::new(host.parse().unwrap(), 0), ..config(seed) }
}

async fn start(config: NetworkConfig) -> Node {
    Node::start_with(config, timing()).await
}

/// Somebody elsewhere told the node this address.
fn learns(node: &Node, address: SocketAddr) {
    node.handle.shared.learn_one(address, IpAddr::from([127, 99, 0, 1]), None);
}

fn peer(node: &Node, who: PublicKey) -> Option<PeerInfo> {
    node.handle.peers().into_iter().find(|peer| peer.peer == who)
}

fn is_outbound(node: &Node, who: PublicKey) -> bool {
    peer(node, who).is_some_and(|peer| !peer.inbound)
}

/// The addresses in the node's file: heard of, proved, and the anchors.
fn kept(path: &Path) -> (Vec<SocketAddr>, Vec<SocketAddr>, Vec<SocketAddr>) {
    let Found::Kept(kept) = address_file::read(path).unwrap() else { panic!("{}", path.display()) };
    let of = |tried| {
        let entries = kept.entries.iter().filter(move |(_, entry)| entry.is_tried == tried);
        entries.map(|(address, _)| *address).collect()
    };
    (of(false), of(true), kept.anchors.clone())
}

/// A crowd of peers from four networks.
async fn crowd(victim: SocketAddr, seeds: std::ops::Range<u8>) -> Vec<RawPeer> {
    let mut crowd = Vec::new();
    for seed in seeds {
        let host = format!("127.{}.{seed}.1", 66 + seed % 4);
        if let Ok(peer) = RawPeer::connect_from(&host, victim, &local(seed, CHAIN)).await {
            crowd.push(peer);
        }
    }
    crowd
}

/// 1,000 addresses of the crowd's networks, at which nobody answers.
fn false_addresses() -> Vec<PeerAddress> {
    (0..1_000_u16)
        .map(|number| {
            let [high, low] = number.to_be_bytes();
            PeerAddress { address: format!("127.{}.{}.{low}:9", 66 + number % 4, 100 + high), identity: None }
        })
        .collect()
}

fn is_hostile(address: &SocketAddr) -> bool {
    (66..70).any(|network| address.to_string().starts_with(&format!("127.{network}.")))
}

#[tokio::test]
async fn a_crowd_with_few_networks_cuts_nobody_off_from_an_honest_peer() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("peers");
    let victim_config = || NetworkConfig {
        peers_path: Some(path.clone()),
        max_inbound: 60,
        max_outbound: 8,
        operator: Some(SecretKey::from_seed(&[101; 32])),
        ..at("127.10.0.1", 1)
    };
    let honest = start(NetworkConfig { max_outbound: 0, ..at("127.20.0.1", 2) }).await;
    let victim = start(victim_config()).await;
    learns(&victim, honest.address());
    eventually(|| is_outbound(&victim, key(2))).await;
    // Honest nodes say where they stand, as soon as they know the other end too.
    eventually(|| honest.handle.send(key(1), &one_of_each()[2])).await;

    let mut hostile = crowd(victim.address(), 10..14).await;
    for (liar, told) in hostile.iter_mut().zip(false_addresses().chunks(250)) {
        assert!(liar.say(&[Message::Masternodes(told.to_vec())]).await);
    }
    let book = || victim.handle.shared.book.lock();
    eventually(|| book().counts().0 > 500 && !book().kept().anchors.is_empty()).await;
    // It tries some of them meanwhile.
    let failed = || book().kept().entries.iter().filter(|(_, entry)| entry.failures > 0).count();
    eventually(|| failed() > 20).await;
    assert!(is_outbound(&victim, key(2)), "INV-TABLES-2");
    victim.stop().await;
    drop(hostile);
    let (heard, tried, anchors) = kept(&path);
    assert!(heard.iter().filter(|address| is_hostile(address)).count() > 500, "{}", heard.len());
    assert_eq!((tried, anchors), (vec![honest.address()], vec![honest.address()]), "INV-TABLES-2");

    // It starts again, and the crowd is there first.
    honest.handle.isolate(true);
    let victim = start(victim_config()).await;
    let mut hostile = crowd(victim.address(), 10..70).await;
    assert_eq!(hostile.len(), 60);
    eventually(|| victim.handle.peer_counts().0 == 60).await;
    honest.handle.isolate(false);
    eventually(|| is_outbound(&victim, key(2))).await;
    let held = peer(&victim, key(2)).unwrap().id;

    // A validator gets in, and this node reaches others of the set, though they are of one network.
    victim.handle.set_members([key(101), key(102), key(103), key(104)]);
    let member = |host: &str, seed: u8| NetworkConfig {
        operator: Some(SecretKey::from_seed(&[100 + seed; 32])),
        max_outbound: 0,
        ..at(host, seed)
    };
    let (third, fourth) = (start(member("127.30.0.1", 3)).await, start(member("127.30.0.2", 4)).await);
    let chain = [&third, &fourth].map(|node| node.address().to_string());
    assert!(victim.handle.set_chain_addresses(&chain, None).is_empty());
    let inbound = RawPeer::connect_from("127.66.1.1", victim.address(), &validator(5, 102)).await;
    assert!(inbound.is_ok(), "INV-NET-27");
    eventually(|| is_outbound(&victim, key(3)) && is_outbound(&victim, key(4))).await;
    hostile.extend(crowd(victim.address(), 70..100).await);
    let places = || victim.handle.peers().iter().filter(|peer| peer.member).count();
    assert_eq!((places(), peer(&victim, key(2)).unwrap().id), (3, held), "they are held");
    victim.stop().await;
    assert_eq!(kept(&path).1.iter().filter(|address| is_hostile(address)).count(), 0);
}

/// INV-DIAL-1.
#[tokio::test]
async fn one_outbound_connection_to_a_network_is_enough() {
    let node = start(at("127.10.0.1", 1)).await;
    let other = |host: &str, seed| start(NetworkConfig { max_outbound: 0, ..at(host, seed) });
    let others = [other("127.20.0.1", 2).await, other("127.20.9.9", 3).await, other("127.21.0.1", 4).await];
    for other in &others {
        learns(&node, other.address());
    }
    eventually(|| node.handle.peer_counts().1 == 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(node.handle.peer_counts().1 == 2 && is_outbound(&node, key(4)), "INV-DIAL-1");
    // Whoever is pinned is dialled all the same.
    for other in &others[..2] {
        node.dial(other.address());
    }
    eventually(|| node.handle.peer_counts().1 == 3).await;
}

#[tokio::test]
async fn a_feeler_proves_an_address_though_there_is_no_place_for_its_peer() {
    let mut node = start(NetworkConfig { max_outbound: 1, ..at("127.10.0.1", 1) }).await;
    let (pinned, felt) = (start(at("127.20.0.1", 2)).await, start(at("127.21.0.1", 3)).await);
    node.dial(pinned.address());
    node.connected(key(2)).await;
    learns(&node, felt.address());
    let book = || node.handle.shared.book.lock();
    eventually(|| book().kept().entries.iter().any(|(at, entry)| *at == felt.address() && entry.is_tried))
        .await;
    eventually(|| felt.handle.peer_count() == 0).await;
    assert_eq!(node.handle.peer_counts(), (0, 1));
}

/// The peer that connected is dialled at the address that it says it has, which proves that; one connection is enough.
#[tokio::test]
async fn a_peer_that_connected_is_proved_and_keeps_its_connection() {
    for (one, other, by_feeler) in [(1, 2, false), (2, 1, false), (1, 2, true), (2, 1, true)] {
        let mut timing = timing();
        if !by_feeler {
            timing.feeler_interval = Duration::from_secs(60);
        }
        let max_outbound = if by_feeler { 0 } else { 8 };
        let other = NetworkConfig { max_outbound, ..at("127.20.0.1", other) };
        let (one, other) = (start(config(one)).await, Node::start_with(other, timing).await);
        one.dial(other.address());
        let proved = || other.handle.shared.book.lock().counts() == (0, 1);
        eventually(proved).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let links = [&one, &other].map(|node| node.handle.peers());
        assert!(
            links.iter().all(|peers| peers.len() == 1 && peers[0].id == 0),
            "the first one is there still"
        );
    }
}

/// INV-VISIT-1: all come to the nodes of the configurations first, and those have no more places than others.
#[tokio::test]
async fn a_newcomer_is_told_of_others_by_a_node_that_has_no_place_for_it() {
    let quick = Timing { visit: Duration::from_millis(200), ..timing() };
    let full = NetworkConfig { max_inbound: 16, max_outbound: 0, ..at("127.20.0.1", 1) };
    let full = Node::start_with(full, quick).await;
    let other = start(NetworkConfig { max_outbound: 0, ..at("127.30.0.1", 2) }).await;
    learns(&full, other.address());
    eventually(|| full.handle.shared.book.lock().counts() == (0, 1)).await;
    let mut crowd = Vec::new();
    for seed in 10..26 {
        let host = format!("127.{seed}.7.1");
        crowd.push(RawPeer::connect_from(&host, full.address(), &local(seed, CHAIN)).await.unwrap());
    }
    eventually(|| full.handle.peer_counts() == (16, 0)).await;
    let newcomer = start(at("127.40.0.1", 3)).await;
    newcomer.dial(full.address());
    eventually(|| is_outbound(&newcomer, key(2))).await;
    newcomer.stop().await;
    eventually(|| full.handle.peer_counts() == (16, 0)).await;
    let mut visitor = RawPeer::connect_from("127.41.0.1", full.address(), &local(4, CHAIN)).await.unwrap();
    visitor.closed().await;
    assert_eq!(full.handle.peer_counts(), (16, 0), "it does not stay, and nobody left for it");
}

/// INV-HIDE-1, INV-NET-16.
#[tokio::test]
async fn a_node_behind_a_sentry_is_reached_by_it_alone_and_told_to_nobody() {
    let sentry = start(at("127.20.0.1", 2)).await;
    let hidden = NetworkConfig {
        hides: true,
        // Nodes of this machine come from the second.
        bootstrap_peers: vec![sentry.address().to_string(), "127.0.0.1:1".to_owned()],
        ..at("127.10.0.1", 1)
    };
    let hidden = start(hidden).await;
    sentry.dial(hidden.address());
    let (known, asking) = (start(config(3)).await, start(config(4)).await);
    for node in [&known, &asking] {
        node.dial(sentry.address());
    }
    eventually(|| (1..=4).filter(|seed| peer(&sentry, key(*seed)).is_some()).count() == 3).await;
    // Both sides dial, so the sentry knows the address by itself, too.
    let shared = &sentry.handle.shared;
    let told = || {
        let connection = shared.manager.get(key(4)).unwrap();
        shared.addresses_for(&connection).into_iter().map(|told| told.address).collect::<Vec<_>>()
    };
    eventually(|| told().contains(&known.address().to_string())).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!told().contains(&hidden.address().to_string()), "INV-NET-16: {:?}", told());
    // The sentry comes from its own host, anybody else is not even greeted.
    let stranger = local(9, CHAIN);
    assert!(RawPeer::connect_from("127.22.0.1", hidden.address(), &stranger).await.is_err(), "INV-HIDE-1");
    assert!(RawPeer::connect_from("127.20.0.1", hidden.address(), &stranger).await.is_ok());
    eventually(|| hidden.handle.peer_count() == 1 && peer(&hidden, key(2)).is_some()).await;
}

/// INV-DIAL-2: else whoever registers a masternode could make all nodes knock at doors of their own machines.
#[tokio::test]
async fn a_name_of_the_chain_that_leads_into_this_machine_is_not_dialled() {
    let other = start(config(2)).await;
    let strict = |seed| NetworkConfig { is_local: false, ..config(seed) };
    let address = format!("localhost:{}", other.address().port());
    let (misled, told) =
        (Node::start_with(strict(1), quick()).await, Node::start_with(strict(3), quick()).await);
    assert!(
        misled.handle.set_chain_addresses(std::slice::from_ref(&address), None).is_empty(),
        "it is a name"
    );
    assert!(told.handle.add_address(&PeerAddress { address, identity: None }));
    eventually(|| is_outbound(&told, key(2))).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(misled.handle.peer_count(), 0, "INV-DIAL-2");
}

#[tokio::test]
async fn a_node_that_knows_nobody_asks_the_name_service() {
    let other = start(config(2)).await;
    let seeds = vec![format!("localhost:{}", other.address().port()), "no-such-host.invalid:1".to_owned()];
    let node = start(NetworkConfig { dns_seeds: seeds.clone(), ..at("127.10.0.1", 1) }).await;
    eventually(|| is_outbound(&node, key(2))).await;
    // Who has peers does not.
    let (third, fourth) = (start(at("127.30.0.1", 3)).await, start(at("127.31.0.1", 4)).await);
    let pinned = [&third, &fourth].map(|node| node.address().to_string()).to_vec();
    let config = NetworkConfig { dns_seeds: seeds, bootstrap_peers: pinned, ..at("127.11.0.1", 5) };
    let mut slow = timing();
    slow.seeds_after = Duration::from_millis(300);
    slow.exchange_interval = Duration::from_secs(60);
    let node = Node::start_with(config, slow).await;
    eventually(|| node.handle.peer_counts().1 == 2).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(node.handle.shared.book.lock().kept().entries.iter().all(|(at, _)| *at != other.address()));
}

/// INV-KEEPING-1.
#[tokio::test]
async fn a_damaged_file_of_addresses_is_set_aside_and_the_node_starts() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("peers");
    std::fs::write(&path, "timed peers 1\nsecret 00\n").unwrap();
    let with_file = || NetworkConfig { peers_path: Some(path.clone()), ..at("127.10.0.1", 1) };
    let node = start(with_file()).await;
    assert_eq!(std::fs::read(home.path().join("peers.damaged")).unwrap(), b"timed peers 1\nsecret 00\n");
    node.stop().await;
    let Found::Kept(first) = address_file::read(&path).unwrap() else { panic!("INV-KEEPING-1") };
    // The secret lasts: else places in the tables would change with each start.
    start(with_file()).await.stop().await;
    let Found::Kept(second) = address_file::read(&path).unwrap() else { panic!("INV-KEEPING-1") };
    assert!(first.secret != [0; 32] && first == second);
}
