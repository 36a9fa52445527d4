//! The handshake between two ends of a pipe.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};

use super::support::{CHAIN, key, local, said_by_an_initiator};
use crate::network::frame::split_session;
use crate::network::handshake::{
    Established, HandshakeError, Hello, LocalNode, MemberProof, Noise, RefusalReason, Role, Verdict,
    handshake, member_digest, noise_state, transcript_digest,
};
use crate::network::versions::VersionRange;
use crate::network::{FrameError, PROTOCOL_VERSION};
use crate::types::codec::encode;
use crate::types::{ChainId, PublicKey, SecretKey};

const DEADLINE: Duration = Duration::from_secs(5);

type Outcome = Result<Established<DuplexStream>, HandshakeError>;

async fn both(
    one: &LocalNode,
    other: &LocalNode,
    expected: Option<PublicKey>,
    refused: Option<RefusalReason>,
) -> (Outcome, Outcome) {
    let (left, right) = duplex(1 << 16);
    let admit = move |_: &Hello| refused.map_or(Ok(()), Err);
    tokio::join!(
        handshake(left, Role::Initiator, one, expected, DEADLINE, |_| Ok(())),
        handshake(right, Role::Responder, other, None, DEADLINE, admit),
    )
}

#[tokio::test]
async fn both_ends_learn_who_the_other_is_and_share_keys() {
    let (one, other) = (local(1, CHAIN), local(2, CHAIN));
    let (one, other) = both(&one, &other, Some(key(2)), None).await;
    let (mut one, mut other) = (one.unwrap(), other.unwrap());
    assert_eq!((one.remote.identity, other.remote.identity), (key(2), key(1)));
    let (mut record, mut plaintext) = (Vec::new(), Vec::new());
    one.sealer.seal(b"hello", &mut record).unwrap();
    other.opener.open(&record[2..], &mut plaintext).unwrap();
    assert_eq!(plaintext, b"hello");
}

fn speaking(seed: u8, oldest: u32, newest: u32) -> LocalNode {
    LocalNode { versions: VersionRange { oldest, newest }, ..local(seed, CHAIN) }
}

/// INV-NET-34.
#[tokio::test]
async fn both_ends_use_the_newest_version_that_both_speak() {
    let versions = [((5, 7), (5, 6), 6), ((5, 5), (5, 9), 5), ((6, 8), (5, 6), 6)];
    for (one, other, agreed) in versions {
        let (one, other) = (speaking(1, one.0, one.1), speaking(2, other.0, other.1));
        let (one, other) = both(&one, &other, None, None).await;
        assert_eq!((one.unwrap().version, other.unwrap().version), (agreed, agreed));
    }
    let (one, other) = both(&speaking(1, 5, 6), &speaking(2, 7, 8), None, None).await;
    let (one, other) = (one.err().unwrap().to_string(), other.err().unwrap().to_string());
    assert!(one.ends_with("install a newer timed here"), "{one}");
    assert!(other.ends_with("the other side has to install a newer timed"), "{other}");
}

/// A later program may say more in its hello than this one understands.
#[tokio::test]
async fn what_a_later_hello_says_beyond_this_one_is_skipped() {
    let (error, told) = against_responder(|hello, _| {
        hello.more = vec![7; 100];
        hello.versions = VersionRange { oldest: PROTOCOL_VERSION, newest: PROTOCOL_VERSION + 1 };
    })
    .await;
    assert_eq!(told, Some(Verdict::Accepted), "{error}");
}

#[tokio::test]
async fn refusals_are_typed_on_both_ends() {
    let (one, other) = both(&local(1, CHAIN), &local(2, ChainId([8; 32])), None, None).await;
    assert!(matches!(one, Err(HandshakeError::WrongChain { ours: CHAIN, .. })));
    assert!(matches!(other, Err(HandshakeError::WrongChain { theirs: CHAIN, .. })));

    let (one, other) = both(&local(1, CHAIN), &local(1, CHAIN), None, None).await;
    assert!(matches!(one, Err(HandshakeError::SelfConnection)));
    assert!(matches!(other, Err(HandshakeError::SelfConnection)));

    let (one, other) = both(&local(1, CHAIN), &local(2, CHAIN), Some(key(3)), None).await;
    assert!(matches!(one, Err(HandshakeError::UnexpectedIdentity { .. })));
    let told = RefusalReason::UnexpectedIdentity;
    assert!(matches!(other, Err(HandshakeError::RefusedByPeer { reason, .. }) if reason == told));

    let full = RefusalReason::TooManyConnections;
    let (one, other) = both(&local(1, CHAIN), &local(2, CHAIN), None, Some(full)).await;
    assert!(matches!(one, Err(HandshakeError::RefusedByPeer { reason, .. }) if reason == full));
    assert!(matches!(other, Err(HandshakeError::NotAdmitted { reason, .. }) if reason == full));
}

/// An initiator that says in its hello what the test wants; the responder's error, and what it told.
async fn against_responder(change: impl FnOnce(&mut Hello, &[u8])) -> (HandshakeError, Option<Verdict>) {
    let (left, right) = duplex(1 << 16);
    let node = local(2, CHAIN);
    let hostile = async {
        let mut wire = Noise { stream: left, buffer: BytesMut::new() };
        let mut noise = noise_state(Role::Initiator).unwrap();
        wire.write_noise(&mut noise).await.unwrap();
        wire.read_noise(&mut noise).await.unwrap();
        wire.write_noise(&mut noise).await.unwrap();
        let transcript = noise.get_handshake_hash().to_vec();
        let (mut sealer, mut opener) = split_session(noise.into_stateless_transport_mode().unwrap());
        let me = local(1, CHAIN);
        let mut hello = Hello {
            versions: VersionRange::SPOKEN,
            chain_id: CHAIN,
            identity: me.identity,
            user_agent: String::new(),
            advertised: None,
            listen_port: 1,
            member: None,
            signature: me.secret.sign(&transcript_digest(Role::Initiator, &transcript, &CHAIN)),
            more: Vec::new(),
        };
        change(&mut hello, &transcript);
        let mut out = Vec::new();
        sealer.seal(&encode(&hello), &mut out).unwrap();
        wire.stream.write_all(&out).await.unwrap();
        let _theirs: Hello = wire.open(&mut opener).await.unwrap();
        wire.open::<Verdict>(&mut opener).await.ok()
    };
    let honest = handshake(right, Role::Responder, &node, None, DEADLINE, |_| Ok(()));
    let (told, result) = tokio::join!(hostile, honest);
    (result.err().unwrap(), told)
}

/// INV-NET-8.
#[tokio::test]
async fn a_hello_that_is_not_proved_here_and_now_is_refused() {
    let newer = VersionRange { oldest: 98, newest: 99 };
    let (error, told) = against_responder(|hello, _| hello.versions = newer).await;
    let ours = VersionRange::SPOKEN;
    assert!(matches!(error, HandshakeError::WrongVersion { ours: o, theirs: t } if (o, t) == (ours, newer)));
    assert!(error.to_string().ends_with("98 to 99, this node 5: install a newer timed here"), "{error}");
    assert_eq!(told, Some(Verdict::Refused(RefusalReason::WrongVersion)));

    let not_proved = Some(Verdict::Refused(RefusalReason::IdentityNotProved));
    // Replayed or relayed from another connection: another transcript.
    let (error, told) = against_responder(|hello, _| {
        let digest = transcript_digest(Role::Initiator, &[3; 32], &CHAIN);
        hello.signature = local(1, CHAIN).secret.sign(&digest);
    })
    .await;
    assert!(matches!(error, HandshakeError::BadSignature { identity } if identity == key(1)));
    assert_eq!(told, not_proved);
    // Reflected: the right transcript in the other role.
    let (error, _) = against_responder(|hello, transcript| {
        let digest = transcript_digest(Role::Responder, transcript, &CHAIN);
        hello.signature = local(1, CHAIN).secret.sign(&digest);
    })
    .await;
    assert!(matches!(error, HandshakeError::BadSignature { .. }));
    // Somebody else's name.
    let (error, _) = against_responder(|hello, _| hello.identity = key(3)).await;
    assert!(matches!(error, HandshakeError::BadSignature { .. }));
    let (error, told) = against_responder(|hello, _| hello.identity = PublicKey([0; 32])).await;
    assert!(matches!(error, HandshakeError::WeakIdentity { .. }));
    assert_eq!(told, not_proved);
    let (error, told) = against_responder(|hello, _| hello.user_agent = "x".repeat(65)).await;
    assert!(matches!(error, HandshakeError::FieldTooLong { length: 65, .. }));
    assert_eq!(told, Some(Verdict::Refused(RefusalReason::InvalidHello)));
    let (error, _) = against_responder(|hello, _| hello.advertised = Some("x".repeat(129))).await;
    assert!(matches!(error, HandshakeError::FieldTooLong { length: 129, .. }));
}

#[tokio::test]
async fn an_operator_key_is_proved_for_this_connection_only() {
    let mut validator = local(1, CHAIN);
    validator.operator = Some(SecretKey::from_seed(&[101; 32]));
    let (one, other) = both(&validator, &local(2, CHAIN), None, None).await;
    assert_eq!(other.unwrap().remote.operator(), Some(key(101)));
    assert_eq!(one.unwrap().remote.operator(), None);

    let operator = || SecretKey::from_seed(&[101; 32]);
    let sign = |digest: [u8; 32]| {
        Some(MemberProof { operator: operator().public(), signature: operator().sign(&digest) })
    };
    // Of another connection, in the other role, of another node, on another chain, by another key.
    for case in 0..5 {
        let (error, told) = against_responder(|hello, transcript| {
            let role = if case == 1 { Role::Responder } else { Role::Initiator };
            let transcript = if case == 0 { &[3; 32] } else { transcript };
            let identity = if case == 2 { key(3) } else { key(1) };
            let chain = if case == 3 { ChainId([8; 32]) } else { CHAIN };
            hello.member = sign(member_digest(role, transcript, &chain, &identity));
            if case == 4 {
                hello.member = hello.member.map(|proof| MemberProof { operator: key(102), ..proof });
            }
        })
        .await;
        assert!(matches!(error, HandshakeError::BadMemberProof { .. }), "INV-NET-26: {case}: {error}");
        assert_eq!(told, Some(Verdict::Refused(RefusalReason::IdentityNotProved)));
    }
}

#[tokio::test]
async fn replayed_bytes_of_a_good_handshake_are_refused() {
    let (one, other) = (local(1, CHAIN), local(2, CHAIN));
    let recorded = said_by_an_initiator(&one, &other).await;
    let (mut left, right) = duplex(1 << 16);
    left.write_all(&recorded).await.unwrap();
    let result = handshake(right, Role::Responder, &other, None, DEADLINE, |_| Ok(())).await;
    assert!(matches!(result, Err(HandshakeError::Noise(_))));
}

/// INV-NET-9.
#[tokio::test]
async fn reflected_garbage_oversize_and_slow_handshakes_end() {
    let node = local(1, CHAIN);
    // An echo.
    let (left, echo) = duplex(1 << 16);
    let (mut from, mut to) = tokio::io::split(echo);
    let (result, _) = tokio::join!(
        handshake(left, Role::Initiator, &node, None, Duration::from_secs(2), |_| Ok(())),
        tokio::time::timeout(Duration::from_millis(300), tokio::io::copy(&mut from, &mut to)),
    );
    assert!(result.is_err());
    for (bytes, large) in [(&[0xff; 4][..], true), (&[4, 1][..], true), (&[0, 4, 1, 2, 3, 4][..], false)] {
        let (mut left, right) = duplex(1 << 16);
        left.write_all(bytes).await.unwrap();
        let result = handshake(right, Role::Responder, &node, None, DEADLINE, |_| Ok(())).await;
        let Err(error) = result else { panic!("it was accepted") };
        let is_large = matches!(error, HandshakeError::Frame(FrameError::RecordLength { .. }));
        assert_eq!(is_large, large, "{error}");
    }
    // A byte now and then.
    let (mut left, right) = duplex(1 << 16);
    let slow = async {
        for byte in [0_u8, 48].into_iter().chain(std::iter::repeat_n(1, 40)) {
            if left.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let deadline = Duration::from_millis(200);
    let (_, result) =
        tokio::join!(slow, handshake(right, Role::Responder, &node, None, deadline, |_| Ok(())));
    assert!(matches!(result, Err(HandshakeError::Deadline)));
}
