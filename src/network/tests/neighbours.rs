//! What is passed on, and to whom.

use std::collections::BTreeSet;

use super::support::{Node, RawPeer, config, eventually, key, proposal, quick, validator, vote_batch};
use crate::network::{MessageKind, NetworkEvent};
use crate::types::codec::decode;
use crate::types::{Message, PublicKey, Released, SecretKey};

/// A node whose operator key is that of its seed plus 100.
async fn member(seed: u8) -> Node {
    let mut member = config(seed);
    member.operator = Some(SecretKey::from_seed(&[seed + 100; 32]));
    Node::start_with(member, quick()).await
}

/// Connects each pair, and waits until every node knows its peers' neighbours.
async fn connect(nodes: &[Node], links: &[(usize, usize)], members: &[u8]) {
    for node in nodes {
        node.handle.set_members(members.iter().map(|seed| key(seed + 100)));
    }
    for (one, other) in links {
        nodes[*one].dial(nodes[*other].address());
    }
    let degree = |node: usize| links.iter().filter(|(one, other)| *one == node || *other == node).count();
    eventually(|| (0..nodes.len()).all(|node| nodes[node].handle.peer_count() == degree(node))).await;
    let is_linked = |one: usize, other: usize| links.contains(&(one, other)) || links.contains(&(other, one));
    eventually(|| {
        (0..nodes.len()).all(|one| {
            (0..nodes.len()).filter(|other| is_linked(one, *other)).all(|other| {
                let connection =
                    nodes[one].handle.shared.manager.get(nodes[other].handle.identity()).unwrap();
                (0..nodes.len()).all(|third| {
                    let identity = nodes[third].handle.identity();
                    let is_member = members.iter().any(|seed| key(*seed) == identity);
                    connection.neighbours.contains(&identity) == (is_member && is_linked(other, third))
                })
            })
        })
    })
    .await;
}

/// Waits for a message, and passes it on as consensus does.
async fn pass_on(node: &mut Node) {
    loop {
        if let NetworkEvent::Message { peer, message } = node.urgent().await {
            return node.handle.broadcast(&message, Some(peer));
        }
    }
}

fn received(node: &Node, kind: MessageKind) -> u64 {
    let metrics = node.handle.metrics();
    metrics.messages.iter().find(|count| count.name == kind.name()).unwrap().count_in
}

const FULL_MESH: [(usize, usize); 6] = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];

async fn four(members: &[u8]) -> Vec<Node> {
    let mut nodes = Vec::new();
    for seed in 1..=4 {
        nodes.push(member(seed).await);
    }
    connect(&nodes, &FULL_MESH, members).await;
    nodes
}

#[tokio::test]
async fn in_a_full_mesh_of_members_a_batch_comes_once_and_a_proposal_from_all_sides() {
    let mut nodes = four(&[1, 2, 3, 4]).await;
    for seed in 0..50 {
        nodes[0].handle.broadcast(&Message::VoteBatch(Released::heard(vote_batch(seed, 1))), None);
        for node in &mut nodes[1..] {
            pass_on(node).await;
        }
    }
    // Behind all that was passed on before.
    nodes[0].handle.broadcast(&Message::Proposal(Released::heard(proposal())), None);
    for node in &mut nodes[1..] {
        pass_on(node).await;
    }
    eventually(|| nodes[1..].iter().map(|node| received(node, MessageKind::Proposal)).sum::<u64>() > 3).await;
    for node in &nodes[1..] {
        assert_eq!(received(node, MessageKind::VoteBatch), 50, "nothing came twice");
    }
}

#[tokio::test]
async fn what_a_stranger_sent_is_passed_on_to_everybody() {
    let mut nodes = four(&[2, 3, 4]).await;
    nodes[0].handle.broadcast(&Message::VoteBatch(Released::heard(vote_batch(1, 1))), None);
    for node in &mut nodes[1..] {
        pass_on(node).await;
    }
    eventually(|| nodes[1..].iter().map(|node| received(node, MessageKind::VoteBatch)).sum::<u64>() > 3)
        .await;
}

/// A node among four peers under the test's control: members 1, 2 and 3, and a stranger.
struct Middle {
    node: Node,
    members: Vec<RawPeer>,
    stranger: RawPeer,
}

impl Middle {
    async fn start() -> Self {
        let node = Node::start(50).await;
        node.handle.set_members((101..=103).map(key));
        let mut members = Vec::new();
        for seed in 1..=3 {
            members.push(RawPeer::connect_as(node.address(), &validator(seed, seed + 100)).await.unwrap());
        }
        let stranger = RawPeer::connect(node.address(), 9).await.unwrap();
        eventually(|| node.handle.peer_count() == 4).await;
        Self { node, members, stranger }
    }

    /// Lets a member say whom it is connected to.
    async fn say_neighbours(&mut self, member: usize, neighbours: &[u8]) {
        let list = neighbours.iter().copied().map(key).collect();
        assert!(self.members[member].say(&[Message::Neighbours(list)]).await);
        let seed = u8::try_from(member + 1).unwrap();
        eventually(|| {
            let connection = self.node.handle.shared.manager.get(key(seed)).unwrap();
            (0..20).all(|other| connection.neighbours.contains(&key(other)) == neighbours.contains(&other))
        })
        .await;
    }
}

/// Which batches a peer hears before the next proposal.
async fn batches(peer: &mut RawPeer) -> usize {
    let mut count = 0;
    loop {
        match peer.hear().await.0 {
            MessageKind::VoteBatch => count += 1,
            MessageKind::Proposal => return count,
            _ => {}
        }
    }
}

/// INV-NET-31.
#[tokio::test]
async fn who_has_no_link_to_the_sender_gets_it_whatever_others_say_of_their_own() {
    let mut middle = Middle::start().await;
    middle.say_neighbours(1, &[1, 3]).await;
    middle.say_neighbours(2, &[2]).await;
    let batch = |seed| Message::VoteBatch(Released::heard(vote_batch(seed, 1)));
    // 1 says one, then the stranger another.
    assert!(middle.members[0].say(&[batch(1)]).await);
    pass_on(&mut middle.node).await;
    assert!(middle.stranger.say(&[batch(2)]).await);
    pass_on(&mut middle.node).await;
    // After its link to 1 has ended, 2 gets what 1 says again.
    middle.say_neighbours(1, &[]).await;
    assert!(middle.members[0].say(&[batch(3)]).await);
    pass_on(&mut middle.node).await;
    middle.node.handle.broadcast(&Message::Proposal(Released::heard(proposal())), None);
    assert_eq!(
        batches(&mut middle.members[1]).await,
        2,
        "what the stranger said, and what came after the link"
    );
    assert_eq!(batches(&mut middle.members[2]).await, 3, "all");
    assert_eq!(batches(&mut middle.stranger).await, 2, "all but its own");
    assert_eq!(batches(&mut middle.members[0]).await, 1, "what the stranger said");
}

#[tokio::test]
async fn peers_are_told_the_members_and_told_again_when_these_change() {
    let mut middle = Middle::start().await;
    let mut told = BTreeSet::new();
    while told != [key(1), key(2), key(3)].into_iter().collect::<BTreeSet<_>>() {
        told = neighbours(&mut middle.stranger).await;
    }
    middle.node.handle.disconnect(key(2));
    assert_eq!(neighbours(&mut middle.stranger).await, [key(1), key(3)].into_iter().collect());
    // A stranger that comes or goes is no news.
    let other = RawPeer::connect(middle.node.address(), 10).await.unwrap();
    eventually(|| middle.node.handle.peer_count() == 4).await;
    drop(other);
    eventually(|| middle.node.handle.peer_count() == 3).await;
    middle.node.handle.set_members([key(103)]);
    assert_eq!(neighbours(&mut middle.stranger).await, [key(3)].into_iter().collect());
}

/// The next list that a peer hears.
async fn neighbours(peer: &mut RawPeer) -> BTreeSet<PublicKey> {
    loop {
        let (kind, encoded, _) = peer.hear_all().await;
        if kind == MessageKind::Neighbours {
            let Message::Neighbours(members) = decode(&encoded).unwrap() else { unreachable!() };
            return members.into_iter().collect();
        }
    }
}
