//! Attacks below the messages: sockets, handshakes and frames.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use timed::app::networks::devnet_identity_key;
use timed::network::RefusalReason;
use timed::runtime::Clock;
use timed::types::codec::encode;
use timed::types::{ChainId, Message};

use crate::heard::heard;
use crate::hostile_messages::block_vote;
use crate::hostile_siege::{ATTACKED, Attack, Siege, p2p_port};
use crate::raw_peer::{
    BULK, CREDIT, NoiseSocket, NotConnected, Persona, RawPeer, URGENT, dial, first_noise_record, framed,
    is_closed_by, lane_of, shake_hands, write_record,
};

/// What breaks a rule is closed at once; this much later on the busiest machine.
const CLOSED_MAX: Duration = Duration::from_secs(5);
/// The handshake's deadline is 5 seconds.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
const HALF_OPEN: usize = 200;
const UNFINISHED: usize = 8;
const UNFINISHED_BYTES: usize = (12 << 20) - 100_000;
/// Twice the window that a peer has for bulk bytes.
const BEYOND_WINDOW_BYTES: usize = 8 << 20;

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "length prefix 0xFFFFFFFF", run: length_prefix },
        Attack { name: "frame over the limit", run: frame_over_limit },
        Attack { name: "counts larger than the frame", run: counts_larger_than_the_frame },
        Attack { name: "oversized frame before the handshake", run: oversized_before_handshake },
        Attack { name: "garbage before the handshake", run: garbage_before_handshake },
        Attack { name: "handshake replayed", run: replayed_handshake },
        Attack { name: "hello reflected", run: reflected_hello },
        Attack { name: "another chain, version, or the node's own id", run: wrong_persona },
        Attack { name: "user agent with line breaks and escapes", run: user_agent },
        Attack { name: "trailing bytes, unknown tags, wrong lanes", run: malformed_messages },
        Attack { name: "records that nobody encrypted", run: plain_records },
        Attack { name: "bulk bytes beyond the credit", run: beyond_credit },
        Attack { name: "credit that makes no sense", run: senseless_credit },
        Attack { name: "unfinished messages of 12 MiB", run: unfinished_messages },
        Attack { name: "a peer that does not read", run: deaf_peer },
        Attack { name: "handshake a byte a second", run: slow_handshake },
        Attack { name: "connects and leaves", run: connects_and_leaves },
    ]
}

fn port() -> u16 {
    p2p_port(ATTACKED)
}

fn stranger(siege: &Siege) -> Persona {
    Persona::stranger(siege.chain_id())
}

/// A peer that the node takes; it may be busy with others for a moment.
pub fn connect(siege: &Siege) -> RawPeer {
    let until = Clock.instant() + Duration::from_secs(20);
    loop {
        match RawPeer::connect(port(), &stranger(siege)) {
            Ok(peer) => return peer,
            Err(error) if Clock.instant() > until => panic!("the node takes no stranger: {error:?}"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// The node's answer once it has a place for a handshake. It has few for an address that misbehaved, and closes the
/// rest without a word.
fn once_heard<T>(mut attempt: impl FnMut() -> Result<T, NotConnected>) -> Result<T, RefusalReason> {
    let until = Clock.instant() + Duration::from_secs(20);
    loop {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(NotConnected::Refused(reason)) => return Err(reason),
            Err(error) if Clock.instant() > until => panic!("the node answers no stranger: {error:?}"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn noise() -> NoiseSocket {
    once_heard(|| NoiseSocket::open(port()).map_err(NotConnected::from)).unwrap()
}

/// Does it again until the attack is over, and tells how often.
fn repeat(siege: &Siege, mut act: impl FnMut()) -> String {
    let mut times = 0;
    while !siege.is_over() {
        act();
        times += 1;
    }
    format!("{times} times")
}

fn assert_closed(peer: &RawPeer, after: &str) {
    assert!(peer.wait_closed(CLOSED_MAX), "the connection is open after {after}");
}

fn soon() -> Instant {
    Clock.instant() + CLOSED_MAX
}

/// A message that claims 4 GiB ends the connection.
fn length_prefix(siege: &Siege) -> String {
    repeat(siege, || {
        for lane in [URGENT, BULK] {
            let peer = connect(siege);
            let _sent = peer.send_record(lane, &[0xff; 4]);
            assert_closed(&peer, "a length of 4 GiB");
        }
    })
}

/// A ping of a megabyte, and a message of more than 12 MiB, end the connection by their first eight bytes.
fn frame_over_limit(siege: &Siege) -> String {
    repeat(siege, || {
        for length in [1_u32 << 20, (12 << 20) + 1] {
            let peer = connect(siege);
            let mut claim = framed(&Message::Ping(1));
            claim[..4].copy_from_slice(&length.to_le_bytes());
            let _sent = peer.send_record(URGENT, &claim[..8]);
            assert_closed(&peer, "a ping that is too large");
        }
    })
}

/// Lists that claim more entries than their message has bytes end the connection.
fn counts_larger_than_the_frame(siege: &Siege) -> String {
    repeat(siege, || {
        for count in [1_u64 << 20, u64::MAX] {
            let peer = connect(siege);
            let mut message = framed(&Message::GetTransactions(Vec::new()));
            let at = message.len() - 8;
            message[at..].copy_from_slice(&count.to_le_bytes());
            let _sent = peer.send_record(BULK, &message);
            assert_closed(&peer, "a count that is too large");
        }
    })
}

/// A record of more than 1 KiB before the handshake is done closes the socket.
fn oversized_before_handshake(siege: &Siege) -> String {
    repeat(siege, || {
        let mut socket = dial(port()).unwrap();
        // The node may close before all is written.
        let _written = socket.write_all(&[0xff; 8_192]);
        assert!(is_closed_by(&mut socket, soon()), "open after a large record");
        let mut noise = noise();
        let _written = write_record(&mut noise.stream, &[7; 2_000]);
        assert!(is_closed_by(&mut noise.stream, soon()), "open after a large hello");
    })
}

/// Bytes that are no handshake close the socket. (Any 32 bytes are a public key, so those wait for the deadline.)
fn garbage_before_handshake(siege: &Siege) -> String {
    repeat(siege, || {
        for payload in [&[0x55; 24][..], b"GET / HTTP/1.1\r\n", &[0; 1]] {
            let mut socket = dial(port()).unwrap();
            let _written = write_record(&mut socket, payload);
            assert!(is_closed_by(&mut socket, soon()), "open after garbage");
        }
        let mut noise = noise();
        let _written = write_record(&mut noise.stream, &[9; 64]);
        assert!(is_closed_by(&mut noise.stream, soon()), "open after a hello of garbage");
    })
}

/// The records of a handshake that was good once are worth nothing on another connection.
fn replayed_handshake(siege: &Siege) -> String {
    repeat(siege, || {
        let first = noise();
        let good = first.hello(&stranger(siege));
        // The hello of another connection, on this one: its signature covers the other's transcript.
        let verdict = once_heard(|| {
            let mut second = NoiseSocket::open(port())?;
            second.send(&encode(&good))?;
            let _theirs = second.receive()?;
            second.verdict()
        });
        assert_eq!(verdict, Err(RefusalReason::IdentityNotProved));
        // And the first message of Noise twice.
        let mut socket = dial(port()).unwrap();
        let record = first_noise_record();
        let _written = socket.write_all(&[&record[..], &record].concat());
        assert!(is_closed_by(&mut socket, soon()), "open after a message twice");
    })
}

/// The node's own hello, sent back to it, proves nothing.
fn reflected_hello(siege: &Siege) -> String {
    repeat(siege, || {
        let verdict = once_heard(|| {
            let mut noise = NoiseSocket::open(port())?;
            let theirs = noise.receive()?;
            noise.send(&theirs)?;
            noise.verdict()
        });
        assert!(verdict.is_err(), "its own hello was taken");
    })
}

/// Another chain, another version, and the node's own identity are refused by name.
fn wrong_persona(siege: &Siege) -> String {
    let refused =
        |persona: &Persona| once_heard(|| shake_hands(port(), persona).map(|_| ())).expect_err("taken");
    repeat(siege, || {
        let other_chain = Persona { chain_id: ChainId([7; 32]), ..stranger(siege) };
        assert_eq!(refused(&other_chain), RefusalReason::WrongChain);
        let other_version = Persona { protocol_version: 77, ..stranger(siege) };
        assert_eq!(refused(&other_version), RefusalReason::WrongVersion);
        let itself = Persona { identity: devnet_identity_key(ATTACKED), ..stranger(siege) };
        assert_eq!(refused(&itself), RefusalReason::SelfConnection);
        let wordy = Persona { user_agent: "x".repeat(65), ..stranger(siege) };
        assert_eq!(refused(&wordy), RefusalReason::InvalidHello);
    })
}

/// What a peer calls itself can't forge lines of the log, nor steer a terminal.
fn user_agent(siege: &Siege) -> String {
    let user_agent = "evil\r\n2026 ERROR FORGED\u{1b}[31m\u{202e}".to_owned();
    let said = repeat(siege, || {
        let persona = Persona { user_agent: user_agent.clone(), ..stranger(siege) };
        drop(RawPeer::connect(port(), &persona).map_err(|error| format!("{error:?}")));
    });
    let log = siege.attacked().log();
    assert!(log.contains("FORGED"), "the log does not tell of it");
    let is_forged = |line: &str| line.starts_with("2026 ERROR FORGED") || line.contains('\u{202e}');
    assert!(!log.contains("FORGED\u{1b}") && !log.lines().any(is_forged), "the log is forged");
    said
}

/// Bytes after a message's end, tags that nothing has, messages in the wrong lane and lanes that don't exist.
fn malformed_messages(siege: &Siege) -> String {
    let mut trailing = framed(&Message::Ping(1));
    trailing.push(0);
    let length = u32::try_from(trailing.len() - 4).unwrap();
    trailing[..4].copy_from_slice(&length.to_le_bytes());
    let no_masternodes = framed(&Message::GetMasternodes);
    let records = [
        (URGENT, trailing),
        (URGENT, vec![4, 0, 0, 0, 99, 0, 0, 0]),
        (URGENT, vec![3, 0, 0, 0, 0, 0, 0]),
        (URGENT, vec![0, 0, 0, 0]),
        (URGENT, no_masternodes.clone()),
        (BULK, framed(&Message::Ping(1))),
        (3, no_masternodes),
        (255, vec![1]),
    ];
    // The second variant of an option does not exist.
    repeat(siege, || {
        // What was seen is not looked at again, so the vote is another one each time.
        let mut vote = framed(&Message::BlockVote(heard(&block_vote(siege, 1, 0))));
        // After the length, the kind, the step, the epoch, the height and the round.
        let option_at = 4 + 4 + 4 + 8 + 8 + 4;
        vote[option_at] = 2;
        for (lane, record) in records.iter().chain([&(URGENT, vote)]) {
            let peer = connect(siege);
            let _sent = peer.send_record(*lane, record);
            assert_closed(&peer, &format!("{lane} {record:?}"));
        }
    })
}

/// Records under no key, and the same record twice, end the connection.
fn plain_records(siege: &Siege) -> String {
    repeat(siege, || {
        let peer = connect(siege);
        let _sent = peer.send_plain(&[&[0, 32][..], &[5; 32]].concat());
        assert_closed(&peer, "a record under no key");
    })
}

/// Who sends more bulk bytes than it was granted is disconnected.
fn beyond_credit(siege: &Siege) -> String {
    let mut claim = (12_u32 << 20).to_le_bytes().to_vec();
    claim.extend(encode(&Message::Blocks(Vec::new())).split_at(4).0);
    repeat(siege, || {
        let peer = connect(siege);
        let mut sent = peer.send_record(BULK, &claim);
        // A transaction cannot be taken before its last byte.
        for _ in 0..BEYOND_WINDOW_BYTES / 32_768 {
            sent = sent.and_then(|()| peer.send_record(BULK, &[0; 32_768]));
        }
        drop(sent);
    })
}

/// Credit of no bytes, of three, and of more than the window ends the connection.
fn senseless_credit(siege: &Siege) -> String {
    repeat(siege, || {
        for grant in [&[][..], &[1, 2, 3], &[0xff; 4], &[0xff; 8]] {
            let peer = connect(siege);
            let _sent = peer.send_record(CREDIT, grant);
            assert_closed(&peer, "senseless credit");
        }
    })
}

/// Peers that begin the largest answer and never end it.
fn unfinished_messages(siege: &Siege) -> String {
    let mut claim = (12_u32 << 20).to_le_bytes().to_vec();
    claim.extend(encode(&Message::Blocks(Vec::new())).split_at(4).0);
    let peers: Vec<RawPeer> = (0..UNFINISHED).map(|_| connect(siege)).collect();
    let mut sent_bytes = 0;
    for peer in &peers {
        let _sent = peer.send_framed(BULK, &claim);
        // The last bytes never come.
        while sent_bytes < UNFINISHED_BYTES && peer.send_framed(BULK, &[0; 65_000]).is_ok() {
            sent_bytes += 65_000;
        }
        sent_bytes = 0;
    }
    std::thread::sleep(siege.left());
    let closed = peers.iter().filter(|peer| peer.is_closed()).count();
    format!("{closed} of {} closed", peers.len())
}

/// A peer that asks for much and reads nothing.
fn deaf_peer(siege: &Siege) -> String {
    let mut questions = Vec::new();
    for _ in 0..50 {
        questions.extend(framed(&Message::GetBlocks { from: 1, count: 128 }));
        questions.extend(framed(&Message::GetMasternodes));
    }
    let mut deaf = Vec::new();
    let mut sent = 0;
    while !siege.is_over() {
        if deaf.len() < 8 {
            deaf.extend(RawPeer::connect_deaf(port(), &stranger(siege)));
        }
        for peer in &deaf {
            if peer.send_record(BULK, &questions).is_ok() {
                sent += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    format!("{} peers, {sent} hundred questions", deaf.len())
}

/// A handshake that comes a byte a second has one deadline.
fn slow_handshake(siege: &Siege) -> String {
    let began = Clock.instant();
    let record = first_noise_record();
    let mut sockets: Vec<TcpStream> = (0..20).map(|_| dial(port()).unwrap()).collect();
    for byte in record.chunks(1).take(4) {
        for socket in &mut sockets {
            let _written = socket.write_all(byte);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    for socket in &mut sockets {
        assert!(is_closed_by(socket, began + HANDSHAKE_MAX), "a handshake without a deadline");
    }
    std::thread::sleep(siege.left());
    format!("all {} closed after {:?}", sockets.len(), Clock.instant().saturating_duration_since(began))
}

/// Whole handshakes, one after another: what a stranger's work costs the node.
fn connects_and_leaves(siege: &Siege) -> String {
    repeat(siege, || {
        let _peer = RawPeer::connect_deaf(port(), &stranger(siege));
    })
}

/// Sockets on which nobody speaks: who has something to say still gets in.
pub fn half_open(siege: &Siege) -> String {
    let mut sockets: Vec<TcpStream> = (0..HALF_OPEN).filter_map(|_| dial(port()).ok()).collect();
    let (mut admitted, mut refused) = (0, 0);
    while !siege.is_over() || admitted + refused == 0 {
        match shake_hands(port(), &stranger(siege)) {
            Ok(_) => admitted += 1,
            Err(_) => refused += 1,
        }
        std::thread::sleep(Duration::from_millis(50));
        // Those that the node closes are opened again.
        for socket in sockets.iter_mut().take(20) {
            if is_closed_by(socket, Clock.instant() + Duration::from_millis(1))
                && let Ok(again) = dial(port())
            {
                *socket = again;
            }
        }
        sockets.rotate_left(20);
    }
    assert!(admitted > refused, "{admitted} strangers were let in, {refused} were not");
    format!("{admitted} strangers let in, {refused} not")
}

/// Messages of any kind, for attacks that only need some.
pub fn send_until_closed(peer: &RawPeer, messages: &[Message]) -> u64 {
    let mut sent = 0;
    for message in messages {
        if peer.send_framed(lane_of(message), &framed(message)).is_err() {
            break;
        }
        sent += 1;
    }
    sent
}
