//! Agreeing on keys and proving who one is.
//!
//! # Place
//! `peer_manager.rs` runs it on each new socket, whoever opened it; what comes out goes to `connection.rs`.
//!
//! # Protocol
//! First the three messages of `Noise_XX_25519_AESGCM_SHA256` with empty payloads, ephemeral and static keys made for
//! this connection alone, and [`PROLOGUE`] mixed in. Then, encrypted, each side sends one `Hello`, checks the other's,
//! sends one `Verdict` and reads the other's: 2.5 round trips in all, and both sides know why if it fails.
//!
//! A `Hello` is signed by the node's identity over the hash of the whole Noise transcript, the role and the chain id.
//! The hash covers both ephemeral and both static keys, so a signature is good for this connection only: it can't be
//! replayed (the other side's ephemeral key is fresh, which makes a nonce of its own pointless), relayed by somebody in
//! the middle (who has other transcripts on both sides) or reflected (the role differs). Sending it after Noise rather
//! than in Noise's payloads is what lets it cover everything; a signature in the second message could not cover it.
//!
//! The prologue holds the name and the version of this handshake: nodes that differ in these have no common words, and
//! just fail to decrypt. The chain id and the versions of the messages that a side speaks are in the `Hello`, so that
//! refusals of them are typed on both sides.
//!
//! # Versions
//! Each side says the range that it speaks, and both use the newest version that both speak (`versions.rs`). Nobody in
//! the middle can lower it: a `Hello` is encrypted with the keys of the very transcript that its signature covers, so it
//! comes as it was sent, or the handshake fails. What a later `Hello` says beyond this one stands in its last field, which
//! older programs skip.
//!
//! # Members
//! A node that has an operator key proves that too, in its `Hello`: the key signs the same transcript and role, the
//! chain and the node's identity, in a domain of its own ([`Domain::MemberConnection`]). So the proof is good for this
//! connection and this node only. Whether the key is a member's is asked later and again, when places, budgets and
//! turns are given, because the set changes while connections last. It is proved by each node on each connection:
//! the addresses of validators are public anyway.
//!
//! # Invariants
//! - INV-NET-26: a proof of an operator key holds for one connection, one role and one identity.
//! - INV-NET-8: no bytes of a message are read or sent before both sides proved their identities and agreed.
//! - INV-NET-9: the whole handshake has one deadline, and each of its frames one small limit.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bincode::{Decode, Encode};
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::address::told_by;
use super::frame::{FrameError, Opener, Sealer, plain_record, read_record, split_session};
use super::versions::{VersionRange, upgrade_advice};
use crate::types::codec::{CodecError, decode, encode};
use crate::types::hash::{Domain, DomainHasher};
use crate::types::limits::{ADDRESS_TEXT_BYTES_MAX, HANDSHAKE_FRAME_BYTES_MAX, USER_AGENT_BYTES_MAX};
use crate::types::{ChainId, PublicKey, SecretKey, Signature};

/// Name and version of the handshake.
const PROLOGUE: &[u8] = b"timed/p2p/2";
/// Keys, ciphers and hash of it (noiseprotocol.org, revision 34).
const NOISE_PARAMETERS: &str = "Noise_XX_25519_AESGCM_SHA256";
/// What the whole handshake may take.
pub(crate) const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// Why a node does not want a connection, as it tells the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum RefusalReason {
    /// It speaks no version that the receiver speaks.
    #[error("the two sides speak no protocol version in common")]
    WrongVersion,
    /// It is on another chain.
    #[error("it is on another chain")]
    WrongChain,
    /// Both ends are one node, or two with one key.
    #[error("both ends have the same identity")]
    SelfConnection,
    /// The identity key is weak, or its signature does not hold.
    #[error("the identity is not proved")]
    IdentityNotProved,
    /// Somebody else was expected at this address.
    #[error("another identity was expected at this address")]
    UnexpectedIdentity,
    /// The hello does not keep to its limits.
    #[error("the hello is malformed")]
    InvalidHello,
    /// The identity or address is banned.
    #[error("banned for misbehaviour")]
    Banned,
    /// There is no room for another connection.
    #[error("too many connections")]
    TooManyConnections,
    /// There are enough connections from this address or its neighbours.
    #[error("too many connections from one address or its neighbours")]
    TooManyFromAddress,
    /// There is a connection already, and it is the one to keep.
    #[error("already connected")]
    Duplicate,
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Frames or the socket.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Noise refused a message: changed, replayed, or of another handshake version.
    #[error("the Noise handshake failed: {0}; the other side may speak another version")]
    Noise(#[from] snow::Error),
    /// The other side closed the connection.
    #[error("the other side closed the connection during the handshake")]
    Closed,
    /// It took too long.
    #[error("the handshake was not done within {} s", HANDSHAKE_DEADLINE.as_secs())]
    Deadline,
    /// What should be a hello or a verdict is not.
    #[error("malformed handshake message: {0}")]
    Malformed(#[from] CodecError),
    /// No version of the messages in common.
    #[error(
        "the other side speaks protocol version {theirs}, this node {ours}: {}",
        upgrade_advice(*ours, *theirs)
    )]
    WrongVersion {
        /// This node's.
        ours: VersionRange,
        /// The other side's.
        theirs: VersionRange,
    },
    /// Another chain.
    #[error("the other side is on chain {theirs}, this node on {ours}; compare the genesis documents")]
    WrongChain {
        /// This node's.
        ours: ChainId,
        /// The other side's.
        theirs: ChainId,
    },
    /// The other side has this node's identity.
    #[error("the other side has this node's own identity: it is this node, or its key was copied")]
    SelfConnection,
    /// A key by which anybody can sign.
    #[error("the other side's identity {identity} is a weak key")]
    WeakIdentity {
        /// The key.
        identity: PublicKey,
    },
    /// The signature of the transcript does not hold.
    #[error("the signature of {identity} does not hold for this connection")]
    BadSignature {
        /// Who is said to have signed.
        identity: PublicKey,
    },
    /// The signature of the operator key does not hold.
    #[error("the signature of operator key {operator} does not hold for this connection")]
    BadMemberProof {
        /// Which key is said to have signed.
        operator: PublicKey,
    },
    /// Somebody else answered.
    #[error("expected {expected} at this address, but {found} answered")]
    UnexpectedIdentity {
        /// Who was expected.
        expected: PublicKey,
        /// Who answered.
        found: PublicKey,
    },
    /// A user agent or address longer than allowed.
    #[error("the other side's {field} has {length} bytes, more than {limit}")]
    FieldTooLong {
        /// Which field.
        field: &'static str,
        /// Its length.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// This node does not want the connection.
    #[error("refused {identity}: {reason}")]
    NotAdmitted {
        /// Who was refused.
        identity: PublicKey,
        /// Why.
        reason: RefusalReason,
    },
    /// The other side does not want the connection.
    #[error("{identity} refused the connection: {reason}")]
    RefusedByPeer {
        /// Who refused.
        identity: PublicKey,
        /// Why.
        reason: RefusalReason,
    },
}

impl From<std::io::Error> for HandshakeError {
    fn from(error: std::io::Error) -> Self {
        Self::Frame(FrameError::Io(error))
    }
}

impl HandshakeError {
    /// What the other side is told, if it can be told anything.
    const fn refusal(&self) -> Option<RefusalReason> {
        match self {
            Self::WrongVersion { .. } => Some(RefusalReason::WrongVersion),
            Self::WrongChain { .. } => Some(RefusalReason::WrongChain),
            Self::SelfConnection => Some(RefusalReason::SelfConnection),
            Self::WeakIdentity { .. } | Self::BadSignature { .. } | Self::BadMemberProof { .. } => {
                Some(RefusalReason::IdentityNotProved)
            }
            Self::UnexpectedIdentity { .. } => Some(RefusalReason::UnexpectedIdentity),
            Self::FieldTooLong { .. } | Self::Malformed(_) => Some(RefusalReason::InvalidHello),
            Self::NotAdmitted { reason, .. } => Some(*reason),
            Self::Frame(_) | Self::Noise(_) | Self::Closed | Self::Deadline | Self::RefusedByPeer { .. } => {
                None
            }
        }
    }
}

/// Which side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Opened the connection.
    Initiator,
    /// Accepted it.
    Responder,
}

impl Role {
    const fn tag(self) -> u8 {
        match self {
            Self::Initiator => 0,
            Self::Responder => 1,
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// What each side says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Hello {
    /// The versions of the messages that it speaks.
    pub(crate) versions: VersionRange,
    pub(crate) chain_id: ChainId,
    pub(crate) identity: PublicKey,
    pub(crate) user_agent: String,
    /// Where it says it can be reached; else at the port below of the address that the other side sees.
    pub(crate) advertised: Option<String>,
    /// 0 of a node that does not want to be told to others.
    pub(crate) listen_port: u16,
    /// Of a node that has an operator key.
    pub(crate) member: Option<MemberProof>,
    pub(crate) signature: Signature,
    /// What later programs say beside this; empty now, skipped by whoever does not know it, and bounded by the frame.
    pub(crate) more: Vec<u8>,
}

/// Shows that a node holds an operator key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct MemberProof {
    pub(crate) operator: PublicKey,
    pub(crate) signature: Signature,
}

impl Hello {
    /// The operator key that was proved with it.
    pub(crate) fn operator(&self) -> Option<PublicKey> {
        self.member.map(|proof| proof.operator)
    }

    /// Whether the node is to be told to nobody.
    pub(crate) const fn hides(&self) -> bool {
        self.listen_port == 0
    }

    /// Where the other side says that it listens, if that can be told to others; else at its port of the address that
    /// this node sees.
    pub(crate) fn listen_address(&self, seen: IpAddr) -> String {
        let told = self.advertised.clone().filter(|told| told_by(told, seen).is_some());
        told.unwrap_or_else(|| SocketAddr::new(seen.to_canonical(), self.listen_port).to_string())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Verdict {
    Accepted,
    Refused(RefusalReason),
}

/// What this node says about itself in each handshake.
pub(crate) struct LocalNode {
    pub(crate) versions: VersionRange,
    pub(crate) chain_id: ChainId,
    pub(crate) secret: SecretKey,
    pub(crate) identity: PublicKey,
    /// Of a masternode.
    pub(crate) operator: Option<SecretKey>,
    pub(crate) user_agent: String,
    /// The operator's word, or what the router said in its place.
    pub(crate) advertised: ArcSwapOption<String>,
    pub(crate) listen_port: u16,
    /// Whether the node hides: then nothing is advertised, and the port is 0.
    pub(crate) hides: bool,
}

/// A connection whose two ends agreed.
pub(crate) struct Established<S> {
    pub(crate) stream: S,
    /// Bytes that came after the handshake.
    pub(crate) buffer: BytesMut,
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
    pub(crate) remote: Hello,
    /// The version of the messages on this connection.
    pub(crate) version: u32,
}

/// What an identity signs: the transcript, in its role, on its chain.
pub(crate) fn transcript_digest(role: Role, transcript: &[u8], chain_id: &ChainId) -> [u8; 32] {
    DomainHasher::new(Domain::Handshake).bytes(&[role.tag()]).bytes(transcript).bytes(&chain_id.0).finish()
}

/// What an operator key signs: the transcript, the role and identity of the node that holds it, on its chain.
pub(crate) fn member_digest(
    role: Role,
    transcript: &[u8],
    chain_id: &ChainId,
    identity: &PublicKey,
) -> [u8; 32] {
    DomainHasher::new(Domain::MemberConnection)
        .bytes(&[role.tag()])
        .bytes(transcript)
        .bytes(&chain_id.0)
        .bytes(&identity.0)
        .finish()
}

fn member_proof(local: &LocalNode, role: Role, transcript: &[u8]) -> Option<MemberProof> {
    let operator = local.operator.as_ref()?;
    let digest = member_digest(role, transcript, &local.chain_id, &local.identity);
    Some(MemberProof { operator: operator.public(), signature: operator.sign(&digest) })
}

/// A stream on which handshake messages travel.
pub(super) struct Noise<S> {
    pub(super) stream: S,
    pub(super) buffer: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Noise<S> {
    async fn receive(&mut self) -> Result<BytesMut, HandshakeError> {
        read_record(&mut self.stream, &mut self.buffer, HANDSHAKE_FRAME_BYTES_MAX)
            .await?
            .ok_or(HandshakeError::Closed)
    }

    pub(super) async fn write_noise(
        &mut self,
        noise: &mut snow::HandshakeState,
    ) -> Result<(), HandshakeError> {
        let mut message = [0; HANDSHAKE_FRAME_BYTES_MAX];
        let length = noise.write_message(&[], &mut message)?;
        let record = message.get(..length).and_then(plain_record).ok_or(HandshakeError::Closed)?;
        Ok(self.stream.write_all(&record).await?)
    }

    pub(super) async fn read_noise(
        &mut self,
        noise: &mut snow::HandshakeState,
    ) -> Result<(), HandshakeError> {
        let record = self.receive().await?;
        noise.read_message(&record, &mut [0; HANDSHAKE_FRAME_BYTES_MAX])?;
        Ok(())
    }

    pub(super) async fn open<T: Decode<()>>(&mut self, opener: &mut Opener) -> Result<T, HandshakeError> {
        let record = self.receive().await?;
        let mut plaintext = Vec::new();
        opener.open(&record, &mut plaintext)?;
        Ok(decode(&plaintext)?)
    }
}

pub(super) fn noise_state(role: Role) -> Result<snow::HandshakeState, snow::Error> {
    let parameters: snow::params::NoiseParams = NOISE_PARAMETERS.parse()?;
    let keys = snow::Builder::new(parameters.clone()).generate_keypair()?;
    let private = zeroize::Zeroizing::new(keys.private);
    let builder = snow::Builder::new(parameters).prologue(PROLOGUE)?.local_private_key(&private)?;
    match role {
        Role::Initiator => builder.build_initiator(),
        Role::Responder => builder.build_responder(),
    }
}

/// Runs the handshake on a stream, within its deadline. `expected` is who must answer, if that is known; `admit` says
/// whether this node wants the connection, after the identity is proved.
///
/// # Errors
/// See [`HandshakeError`]. The stream is closed then.
pub(crate) async fn handshake<S, A>(
    stream: S,
    role: Role,
    local: &LocalNode,
    expected: Option<PublicKey>,
    deadline: Duration,
    admit: A,
) -> Result<Established<S>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: FnOnce(&Hello) -> Result<(), RefusalReason>,
{
    tokio::time::timeout(deadline, run(stream, role, local, expected, admit))
        .await
        .map_err(|_| HandshakeError::Deadline)?
}

async fn run<S, A>(
    stream: S,
    role: Role,
    local: &LocalNode,
    expected: Option<PublicKey>,
    admit: A,
) -> Result<Established<S>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: FnOnce(&Hello) -> Result<(), RefusalReason>,
{
    let mut wire = Noise { stream, buffer: BytesMut::new() };
    let mut noise = noise_state(role)?;
    match role {
        Role::Initiator => {
            wire.write_noise(&mut noise).await?;
            wire.read_noise(&mut noise).await?;
            wire.write_noise(&mut noise).await?;
        }
        Role::Responder => {
            wire.read_noise(&mut noise).await?;
            wire.write_noise(&mut noise).await?;
            wire.read_noise(&mut noise).await?;
        }
    }
    let transcript = noise.get_handshake_hash().to_vec();
    let (mut sealer, mut opener) = split_session(noise.into_stateless_transport_mode()?);

    let hello = Hello {
        versions: local.versions,
        chain_id: local.chain_id,
        identity: local.identity,
        user_agent: local.user_agent.clone(),
        advertised: local.advertised.load().as_deref().cloned(),
        listen_port: local.listen_port,
        member: member_proof(local, role, &transcript),
        signature: local.secret.sign(&transcript_digest(role, &transcript, &local.chain_id)),
        more: Vec::new(),
    };
    let mut out = Vec::new();
    sealer.seal(&encode(&hello), &mut out)?;
    wire.stream.write_all(&out).await?;

    let received = match wire.open::<Hello>(&mut opener).await {
        Ok(remote) => check(&remote, role, local, expected, &transcript).map(|version| (remote, version)),
        Err(error) => Err(error),
    };
    let decided = received.and_then(|(remote, version)| match admit(&remote) {
        Ok(()) => Ok((remote, version)),
        Err(reason) => Err(HandshakeError::NotAdmitted { identity: remote.identity, reason }),
    });
    let (remote, version) = match decided {
        Ok(agreed) => agreed,
        Err(error) => {
            if let Some(reason) = error.refusal() {
                out.clear();
                sealer.seal(&encode(&Verdict::Refused(reason)), &mut out)?;
                // Being polite to somebody who is refused is an attempt: that he is gone changes nothing.
                let _told = wire.stream.write_all(&out).await;
                let _closed = wire.stream.shutdown().await;
                // Closing a socket with unread bytes resets it, and the reason would be lost; its verdict is all that
                // the other side may still send.
                let _verdict = wire.receive().await;
            }
            return Err(error);
        }
    };
    out.clear();
    sealer.seal(&encode(&Verdict::Accepted), &mut out)?;
    wire.stream.write_all(&out).await?;
    match wire.open::<Verdict>(&mut opener).await? {
        Verdict::Accepted => {
            Ok(Established { stream: wire.stream, buffer: wire.buffer, sealer, opener, remote, version })
        }
        Verdict::Refused(reason) => Err(HandshakeError::RefusedByPeer { identity: remote.identity, reason }),
    }
}

/// Holds the rules of a hello, and gives the version that both sides speak.
fn check(
    remote: &Hello,
    role: Role,
    local: &LocalNode,
    expected: Option<PublicKey>,
    transcript: &[u8],
) -> Result<u32, HandshakeError> {
    let identity = remote.identity;
    let (ours, theirs) = (local.versions, remote.versions);
    let version = ours.agreed(theirs).ok_or(HandshakeError::WrongVersion { ours, theirs })?;
    if remote.chain_id != local.chain_id {
        return Err(HandshakeError::WrongChain { ours: local.chain_id, theirs: remote.chain_id });
    }
    let too_long = |field, length, limit| HandshakeError::FieldTooLong { field, length, limit };
    if remote.user_agent.len() > USER_AGENT_BYTES_MAX {
        return Err(too_long("user agent", remote.user_agent.len(), USER_AGENT_BYTES_MAX));
    }
    let advertised_bytes = remote.advertised.as_ref().map_or(0, String::len);
    if advertised_bytes > ADDRESS_TEXT_BYTES_MAX {
        return Err(too_long("advertised address", advertised_bytes, ADDRESS_TEXT_BYTES_MAX));
    }
    if identity.is_weak() {
        return Err(HandshakeError::WeakIdentity { identity });
    }
    let digest = transcript_digest(role.other(), transcript, &local.chain_id);
    if !identity.verify(&digest, &remote.signature) {
        return Err(HandshakeError::BadSignature { identity });
    }
    if let Some(proof) = &remote.member {
        let digest = member_digest(role.other(), transcript, &local.chain_id, &identity);
        if proof.operator.is_weak() || !proof.operator.verify(&digest, &proof.signature) {
            return Err(HandshakeError::BadMemberProof { operator: proof.operator });
        }
    }
    if identity == local.identity {
        return Err(HandshakeError::SelfConnection);
    }
    match expected {
        Some(expected) if expected != identity => {
            Err(HandshakeError::UnexpectedIdentity { expected, found: identity })
        }
        _ => Ok(version),
    }
}
