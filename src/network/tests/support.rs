//! What the tests of the network share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::network::attempt::Backoff;
use crate::network::connection::{Common, Connection};
use crate::network::frame::{
    Assembler, Lane, Opener, RECORD_BYTES_MAX, Sealer, read_record, split_lane, split_session,
};
use crate::network::handshake::{
    Established, HandshakeError, Hello, LocalNode, MemberProof, Role, handshake,
};
use crate::network::message_kind::MessageKind;
use crate::network::shared::Timing;
use crate::network::versions::VersionRange;
use crate::network::{Network, NetworkConfig, NetworkEvent, NetworkEvents, NetworkHandle, PROTOCOL_VERSION};
use crate::types::codec::encode;
use crate::types::heartbeat::Heartbeat;
use crate::types::instance::{Acknowledged, InstanceId, InstanceStatement};
use crate::types::limits::INSTANCES_MAX;
use crate::types::message::{NodeStatus, PeerAddress, SnapshotItem};
use crate::types::vote::FinalityVote;
use crate::types::{
    BlockBlueprint, BlockHash, BlockVote, ChainId, Commit, Evidence, Hash, Header, MasternodeId, Message,
    Payload, Proposal, PublicKey, Released, RuleVersion, SecretKey, Signature, SignerBitmap, StateDigest,
    Transaction, TxId, VoteBatch, VoteKind, VoteStep,
};

pub(crate) const CHAIN: ChainId = ChainId([7; 32]);

pub(crate) fn vote_batch(seq: u64, votes: usize) -> VoteBatch {
    let votes = vec![FinalityVote { kind: VoteKind::Lock, txid: TxId::ZERO }; votes];
    let secret = SecretKey::from_seed(&[5; 32]);
    VoteBatch::signed(&CHAIN, 0, MasternodeId::ZERO, seq, votes, &secret)
}

pub(crate) fn transaction(number: u64, memo_bytes: usize) -> Arc<Transaction> {
    let mut memo = number.to_le_bytes().to_vec();
    memo.resize(memo_bytes.max(8), 0);
    Arc::new(Transaction {
        version: 1,
        inputs: Vec::new(),
        outputs: Vec::new(),
        payload: Payload::Transfer { memo },
        witnesses: Vec::new(),
    })
}

pub(crate) fn block_vote(height: u64) -> Released<BlockVote> {
    Released::heard(BlockVote {
        step: VoteStep::Prevote,
        epoch: 0,
        height,
        round: 0,
        value: None,
        validator: MasternodeId::ZERO,
        signature: Signature::EMPTY,
    })
}

pub(crate) fn proposal() -> Proposal {
    let header = Header {
        chain_id: CHAIN,
        height: 1,
        round: 0,
        epoch: 0,
        epoch_end: false,
        time: 1,
        prev_hash: BlockHash::ZERO,
        last_commit_root: Hash::ZERO,
        tx_root: Hash::ZERO,
        evidence_root: Hash::ZERO,
        epoch_ends_root: Hash::ZERO,
        state_digest: StateDigest::ZERO,
        validators_hash: Hash::ZERO,
        next_validators_hash: Hash::ZERO,
        proposer: MasternodeId::ZERO,
        rules: RuleVersion::FIRST,
        announced: RuleVersion::FIRST,
    };
    Proposal {
        round: 0,
        pol_round: None,
        validator: MasternodeId::ZERO,
        block: BlockBlueprint {
            header,
            last_commit: Commit::default(),
            txids: Vec::new(),
            evidence: Vec::new(),
        },
        signature: Signature::EMPTY,
    }
}

/// One message of each kind, in the order of the tags.
pub(crate) fn one_of_each() -> Vec<Message> {
    let validator = MasternodeId::ZERO;
    vec![
        Message::Ping(1),
        Message::Pong(1),
        Message::Status(NodeStatus {
            height: 1,
            horizon: 1,
            tip: BlockHash::ZERO,
            epoch: 0,
            round: 0,
            has_proposal: false,
            prevotes: SignerBitmap::empty(4),
            precommits: SignerBitmap::empty(4),
            batches: Vec::new(),
        }),
        Message::Transaction(transaction(1, 8)),
        Message::VoteBatch(Released::heard(vote_batch(1, 1))),
        Message::Proposal(Released::heard(proposal())),
        Message::BlockVote(block_vote(1)),
        Message::GetTransactions(Vec::new()),
        Message::Transactions(Vec::new()),
        Message::GetCertificates(VoteKind::Lock, Vec::new()),
        Message::Certificates(Vec::new()),
        Message::GetBatches { epoch: 0, validator, from_seq: 0, count: 1 },
        Message::BatchesEnd { epoch: 0, validator, before_seq: 0 },
        Message::GetBlocks { from: 1, count: 1 },
        Message::Blocks(Vec::new()),
        Message::GetMasternodes,
        Message::Masternodes(Vec::new()),
        Message::Evidence(Arc::new(Evidence::of_votes(
            BlockVote::clone(&block_vote(1)),
            BlockVote::clone(&block_vote(2)),
        ))),
        Message::Heartbeat(Released::heard(Heartbeat {
            validator,
            instance: InstanceId { start: [0xff; 16], attempt: u32::MAX },
            epoch: 0,
            height: 1,
            next_seq: 0,
            time_ms: 1,
            heard: SignerBitmap::empty(100),
            signature: Signature::EMPTY,
        })),
        Message::Instance(Arc::new(statement(1))),
        Message::Neighbours(Vec::new()),
        Message::Announce(Vec::new()),
        Message::GetSnapshots,
        Message::Snapshots(Vec::new()),
        Message::GetSnapshotItem { height: 1, item: SnapshotItem::Manifest },
        Message::SnapshotItem { height: 1, item: SnapshotItem::Block, bytes: Vec::new() },
    ]
}

/// The largest that acknowledges so many.
pub(crate) fn statement(acknowledged: usize) -> InstanceStatement {
    let instance = InstanceId { start: [0xff; 16], attempt: u32::MAX };
    let validator = MasternodeId([0xff; 32]);
    InstanceStatement {
        validator,
        epoch: u64::MAX,
        instance,
        seq: u64::MAX,
        asks: true,
        rivals: vec![instance; INSTANCES_MAX],
        acknowledged: vec![Acknowledged { validator, instance }; acknowledged],
        signature: Signature::EMPTY,
    }
}

/// What one side seals the other one opens.
pub(crate) fn session_pair() -> (Sealer, Opener) {
    let builder = || snow::Builder::new("Noise_NN_25519_AESGCM_SHA256".parse().unwrap());
    let mut initiator = builder().build_initiator().unwrap();
    let mut responder = builder().build_responder().unwrap();
    let (mut message, mut payload) = ([0; 1_024], [0; 1_024]);
    let length = initiator.write_message(&[], &mut message).unwrap();
    responder.read_message(&message[..length], &mut payload).unwrap();
    let length = responder.write_message(&[], &mut message).unwrap();
    initiator.read_message(&message[..length], &mut payload).unwrap();
    let (sealer, _) = split_session(initiator.into_stateless_transport_mode().unwrap());
    let (_, opener) = split_session(responder.into_stateless_transport_mode().unwrap());
    (sealer, opener)
}

/// A connection that nobody runs, from this address.
pub(crate) fn connection_of(
    id: u64,
    peer: PublicKey,
    ip: &str,
    operator: Option<PublicKey>,
    inbound: bool,
    common: &Arc<Common>,
) -> Arc<Connection> {
    let remote = Hello {
        versions: VersionRange::SPOKEN,
        chain_id: CHAIN,
        identity: peer,
        user_agent: String::new(),
        advertised: None,
        listen_port: 1,
        member: operator.map(|operator| MemberProof { operator, signature: Signature::EMPTY }),
        signature: Signature::EMPTY,
        more: Vec::new(),
    };
    // Each has a port of its own, as sockets have.
    let address = SocketAddr::new(ip.parse().unwrap(), u16::try_from(id).unwrap());
    Arc::new(Connection::new(
        id,
        (&remote, PROTOCOL_VERSION),
        address,
        inbound,
        common,
        &CancellationToken::new(),
    ))
}

/// A running node.
pub(crate) struct Node {
    pub(crate) handle: NetworkHandle,
    pub(crate) events: NetworkEvents,
    pub(crate) token: CancellationToken,
    pub(crate) tracker: TaskTracker,
}

/// Times that make the tests short, but for the deadlines that a test does not mean to reach.
pub(crate) fn quick() -> Timing {
    Timing {
        dial_interval: Duration::from_millis(10),
        backoff: Backoff { min: Duration::from_millis(20), max: Duration::from_millis(100) },
        ..Timing::default()
    }
}

pub(crate) fn config(seed: u8) -> NetworkConfig {
    NetworkConfig {
        listen_address: "127.0.0.1:0".parse().unwrap(),
        external_address: None,
        maps_port: false,
        bootstrap_peers: Vec::new(),
        max_inbound: 16,
        max_outbound: 16,
        chain_id: CHAIN,
        identity: SecretKey::from_seed(&[seed; 32]),
        operator: None,
        bans_path: None,
        peers_path: None,
        dns_seeds: Vec::new(),
        hides: false,
        dials_masternodes: true,
        is_local: true,
        user_agent: format!("test/{seed}"),
    }
}

pub(crate) fn key(seed: u8) -> PublicKey {
    SecretKey::from_seed(&[seed; 32]).public()
}

impl Node {
    pub(crate) async fn start(seed: u8) -> Self {
        Self::start_with(config(seed), quick()).await
    }

    pub(crate) async fn start_with(config: NetworkConfig, timing: Timing) -> Self {
        let (token, tracker) = (CancellationToken::new(), TaskTracker::new());
        let (handle, events) = Network::start_with(config, timing, token.clone(), &tracker).await.unwrap();
        Self { handle, events, token, tracker }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.handle.local_address().unwrap()
    }

    pub(crate) fn dial(&self, other: SocketAddr) {
        assert!(self.handle.add_address(&PeerAddress { address: other.to_string(), identity: None }));
    }

    /// The next urgent event, but for those that come by themselves.
    pub(crate) async fn urgent(&mut self) -> NetworkEvent {
        patient(self.events.urgent.recv()).await.unwrap()
    }

    pub(crate) async fn bulk(&mut self) -> NetworkEvent {
        patient(self.events.bulk.recv()).await.unwrap()
    }

    pub(crate) async fn connected(&mut self, peer: PublicKey) {
        match self.urgent().await {
            NetworkEvent::Connected { peer: found, .. } => assert_eq!(found, peer),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn disconnected(&mut self, peer: PublicKey) {
        assert_eq!(self.urgent().await, NetworkEvent::Disconnected { peer });
    }

    /// Ends all its tasks.
    pub(crate) async fn stop(self) {
        self.token.cancel();
        self.tracker.close();
        patient(self.tracker.wait()).await;
    }
}

/// A node of key 1, and peers of keys 2 and 3 that are connected to it, and soon to each other.
pub(crate) async fn node_with_peers() -> (Node, Node, Node) {
    let (mut node, mut second, mut third) =
        (Node::start(1).await, Node::start(2).await, Node::start(3).await);
    for (peer, seed) in [(&mut second, 2), (&mut third, 3)] {
        node.dial(peer.address());
        for (who, of) in [(&mut node, key(seed)), (peer, key(1))] {
            let is_there =
                |event: &NetworkEvent| matches!(event, NetworkEvent::Connected { peer, .. } if *peer == of);
            while !is_there(&who.urgent().await) {}
        }
    }
    (node, second, third)
}

/// The next message of the node of key 1, urgent or not.
pub(crate) async fn heard_of_node(peer: &mut Node) -> Message {
    loop {
        let event = patient(async {
            tokio::select! {
                event = peer.events.urgent.recv() => event,
                event = peer.events.bulk.recv() => event,
            }
        });
        if let NetworkEvent::Message { peer, message } = event.await.unwrap()
            && peer == key(1)
        {
            return message;
        }
    }
}

/// What hangs fails.
pub(crate) async fn patient<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("nothing happened for 60 s")
}

/// Waits until something holds.
pub(crate) async fn eventually(mut holds: impl FnMut() -> bool) {
    patient(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Who proves this operator key.
pub(crate) fn validator(seed: u8, operator: u8) -> LocalNode {
    let mut node = local(seed, CHAIN);
    node.operator = Some(SecretKey::from_seed(&[operator; 32]));
    node
}

pub(crate) fn local(seed: u8, chain_id: ChainId) -> LocalNode {
    let secret = SecretKey::from_seed(&[seed; 32]);
    LocalNode {
        versions: VersionRange::SPOKEN,
        chain_id,
        identity: secret.public(),
        secret,
        operator: None,
        user_agent: format!("test/{seed}"),
        advertised: arc_swap::ArcSwapOption::empty(),
        listen_port: 1,
        hides: false,
    }
}

/// What the initiator of a good handshake says, in its first record and in its later ones.
pub(crate) async fn said_by_an_initiator(one: &LocalNode, other: &LocalNode) -> Vec<u8> {
    let (left, mut near) = duplex(1 << 16);
    let (mut far, right) = duplex(1 << 16);
    let mut recorded = Vec::new();
    let relay = async {
        let (mut up, mut down) = ([0; 2_048], [0; 2_048]);
        loop {
            tokio::select! {
                read = near.read(&mut up) => match read.unwrap_or(0) {
                    0 => return,
                    count => {
                        recorded.extend_from_slice(&up[..count]);
                        far.write_all(&up[..count]).await.unwrap();
                    }
                },
                read = far.read(&mut down) => match read.unwrap_or(0) {
                    0 => return,
                    count => near.write_all(&down[..count]).await.unwrap(),
                },
            }
        }
    };
    let ends = async {
        let deadline = Duration::from_secs(60);
        let ends = tokio::join!(
            handshake(left, Role::Initiator, one, None, deadline, |_| Ok(())),
            handshake(right, Role::Responder, other, None, deadline, |_| Ok(())),
        );
        assert!(ends.0.is_ok() && ends.1.is_ok());
    };
    tokio::join!(relay, ends);
    recorded
}

/// A peer under a test's control: it did the handshake honestly.
pub(crate) struct RawPeer {
    pub(crate) stream: TcpStream,
    pub(crate) sealer: Sealer,
    opener: Opener,
    buffer: BytesMut,
    urgent: Assembler,
}

impl RawPeer {
    pub(crate) async fn connect(address: SocketAddr, seed: u8) -> Result<Self, HandshakeError> {
        Self::connect_as(address, &local(seed, CHAIN)).await
    }

    pub(crate) async fn connect_as(address: SocketAddr, node: &LocalNode) -> Result<Self, HandshakeError> {
        Self::greet(TcpStream::connect(address).await.unwrap(), node).await
    }

    /// From this host of loopback.
    pub(crate) async fn connect_from(
        host: &str,
        address: SocketAddr,
        node: &LocalNode,
    ) -> Result<Self, HandshakeError> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(host.parse().unwrap(), 0)).unwrap();
        Self::greet(socket.connect(address).await.unwrap(), node).await
    }

    async fn greet(stream: TcpStream, node: &LocalNode) -> Result<Self, HandshakeError> {
        let deadline = Duration::from_secs(5);
        let done = handshake(stream, Role::Initiator, node, None, deadline, |_| Ok(())).await?;
        let Established { stream, buffer, sealer, opener, .. } = done;
        Ok(Self { stream, sealer, opener, buffer, urgent: Assembler::new(true, PROTOCOL_VERSION) })
    }

    /// Sends one record; false if the connection is closed.
    pub(crate) async fn record(&mut self, lane: Lane, payload: &[u8]) -> bool {
        let mut plaintext = vec![lane.tag()];
        plaintext.extend_from_slice(payload);
        let mut out = Vec::new();
        self.sealer.seal(&plaintext, &mut out).unwrap();
        self.stream.write_all(&out).await.is_ok()
    }

    /// Sends messages; false if the connection is closed.
    pub(crate) async fn say(&mut self, messages: &[Message]) -> bool {
        for message in messages {
            let encoded = encode(message);
            let mut bytes = u32::try_from(encoded.len()).unwrap().to_le_bytes().to_vec();
            bytes.extend(encoded);
            let lane = if MessageKind::of(message).is_urgent() { Lane::Urgent } else { Lane::Bulk };
            for piece in bytes.chunks(60_000) {
                if !self.record(lane, piece).await {
                    return false;
                }
            }
        }
        true
    }

    /// Reads until the node closes the connection.
    pub(crate) async fn closed(&mut self) {
        patient(async {
            while let Ok(Some(_)) = read_record(&mut self.stream, &mut self.buffer, RECORD_BYTES_MAX).await {}
        })
        .await;
    }

    /// The kind of the next message of the urgent lane, and the bytes of credit that came before it.
    pub(crate) async fn hear(&mut self) -> (MessageKind, usize) {
        let (kind, _, credit) = self.hear_all().await;
        (kind, credit)
    }

    /// The same, with the encoded message.
    pub(crate) async fn hear_all(&mut self) -> (MessageKind, Bytes, usize) {
        let mut credit = 0;
        let mut plaintext = Vec::new();
        loop {
            if let Some((kind, encoded)) = self.urgent.next_message().unwrap() {
                return (kind, encoded, credit);
            }
            let record = patient(read_record(&mut self.stream, &mut self.buffer, RECORD_BYTES_MAX))
                .await
                .unwrap()
                .unwrap();
            self.opener.open(&record, &mut plaintext).unwrap();
            match split_lane(&plaintext).unwrap() {
                (Lane::Credit, bytes) => {
                    credit += u32::from_le_bytes(bytes.try_into().unwrap()) as usize;
                }
                (Lane::Urgent, bytes) => self.urgent.feed(bytes),
                (Lane::Bulk, _) => {}
            }
        }
    }
}
