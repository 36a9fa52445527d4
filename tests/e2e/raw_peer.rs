//! A peer made by hand, which says whatever a test wants, and when: honest words, half of them, or none.
//!
//! It speaks the real handshake and the real frames, written here a second time: a test that used the node's own code could
//! not break its rules. [`NoiseSocket`] and [`shake_hands`] are all that knows the handshake.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bincode::{Decode, Encode};
use timed::network::{MessageKind, MessageLane, RefusalReason};
use timed::runtime::Clock;
use timed::types::codec::{decode, encode};
use timed::types::hash::{Domain, DomainHasher};
use timed::types::{ChainId, Message, PublicKey, SecretKey, Signature};

const PROLOGUE: &[u8] = b"timed/p2p/2";
const NOISE_PARAMETERS: &str = "Noise_XX_25519_AESGCM_SHA256";
pub const PROTOCOL_VERSION: u32 = 5;
pub const URGENT: u8 = 0;
pub const BULK: u8 = 1;
pub const CREDIT: u8 = 2;
const TAG_BYTES: usize = 16;
/// Bytes of a lane that fit into one record beside the lane's name.
pub const PIECE_BYTES_MAX: usize = 65_535 - TAG_BYTES - 1;
const REKEY_RECORDS: u64 = 1 << 16;
const BULK_WINDOW_BYTES: i64 = 1 << 20;
/// Bulk bytes are granted again in steps of this.
const GRANT_BYTES: usize = 1 << 18;
/// No answer of a node takes longer, nor does it take so long to read what it lets itself be sent.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(20);
/// No node that lives lets a peer wait longer for credit.
const CREDIT_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages that are kept for the test, at most; the oldest go first.
const KEPT_MAX: usize = 20_000;

/// Who the peer says it is.
#[derive(Clone)]
pub struct Persona {
    pub identity: SecretKey,
    pub chain_id: ChainId,
    pub protocol_version: u32,
    pub user_agent: String,
    pub listen_port: u16,
}

impl Persona {
    /// A stranger whom nobody has met.
    pub fn stranger(chain_id: ChainId) -> Self {
        let identity = SecretKey::from_seed(&rand::random());
        let user_agent = "raw-peer".to_owned();
        Self { identity, chain_id, protocol_version: PROTOCOL_VERSION, user_agent, listen_port: 9 }
    }
}

/// What each side says of itself after Noise.
#[derive(Clone, Encode, Decode)]
pub struct Hello {
    /// The oldest and the newest that it speaks.
    pub protocol_versions: (u32, u32),
    pub chain_id: ChainId,
    pub identity: PublicKey,
    pub user_agent: String,
    pub advertised: Option<String>,
    pub listen_port: u16,
    /// An operator key, and its signature.
    pub member: Option<(PublicKey, Signature)>,
    pub signature: Signature,
    pub more: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Encode, Decode)]
enum Verdict {
    Accepted,
    Refused(RefusalReason),
}

/// How a connection did not come about.
#[derive(Debug)]
pub enum NotConnected {
    /// The node said why.
    Refused(RefusalReason),
    /// It closed the socket, or did not answer.
    Io(#[expect(dead_code, reason = "it is there to be printed")] io::Error),
}

impl From<io::Error> for NotConnected {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn broken(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

/// A socket to a node's port for peers; 127.0.0.1.
pub fn dial(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)))?;
    stream.set_read_timeout(Some(SOCKET_TIMEOUT))?;
    stream.set_write_timeout(Some(SOCKET_TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Two bytes of length, and so many bytes.
pub fn write_record(stream: &mut TcpStream, payload: &[u8]) -> io::Result<()> {
    let length = u16::try_from(payload.len()).map_err(broken)?;
    stream.write_all(&[&length.to_be_bytes()[..], payload].concat())
}

fn read_record(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut record = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut record)?;
    Ok(record)
}

/// The first message of Noise, as bytes of the wire.
pub fn first_noise_record() -> Vec<u8> {
    let mut message = [0; 1_024];
    let length = initiator().write_message(&[], &mut message).unwrap();
    [&u16::try_from(length).unwrap().to_be_bytes()[..], &message[..length]].concat()
}

fn noise_state(is_initiator: bool) -> snow::HandshakeState {
    let parameters: snow::params::NoiseParams = NOISE_PARAMETERS.parse().unwrap();
    let keys = snow::Builder::new(parameters.clone()).generate_keypair().unwrap();
    let builder = snow::Builder::new(parameters).prologue(PROLOGUE).unwrap();
    let builder = builder.local_private_key(&keys.private).unwrap();
    if is_initiator { builder.build_initiator().unwrap() } else { builder.build_responder().unwrap() }
}

fn initiator() -> snow::HandshakeState {
    noise_state(true)
}

/// A socket after Noise, before anybody said who he is.
pub struct NoiseSocket {
    pub stream: TcpStream,
    noise: Arc<RwLock<snow::StatelessTransportState>>,
    transcript: Vec<u8>,
    sent: u64,
    received: u64,
}

impl NoiseSocket {
    pub fn open(port: u16) -> io::Result<Self> {
        let mut stream = dial(port)?;
        let mut noise = initiator();
        let mut buffer = [0; 1_024];
        let length = noise.write_message(&[], &mut buffer).map_err(broken)?;
        write_record(&mut stream, &buffer[..length])?;
        let answer = read_record(&mut stream)?;
        noise.read_message(&answer, &mut [0; 1_024]).map_err(broken)?;
        let length = noise.write_message(&[], &mut buffer).map_err(broken)?;
        write_record(&mut stream, &buffer[..length])?;
        let transcript = noise.get_handshake_hash().to_vec();
        let noise = Arc::new(RwLock::new(noise.into_stateless_transport_mode().map_err(broken)?));
        Ok(Self { stream, noise, transcript, sent: 0, received: 0 })
    }

    /// What the persona says in this very handshake.
    pub fn hello(&self, persona: &Persona) -> Hello {
        let digest = DomainHasher::new(Domain::Handshake)
            .bytes(&[0])
            .bytes(&self.transcript)
            .bytes(&persona.chain_id.0)
            .finish();
        Hello {
            protocol_versions: (persona.protocol_version, persona.protocol_version),
            chain_id: persona.chain_id,
            identity: persona.identity.public(),
            user_agent: persona.user_agent.clone(),
            advertised: None,
            listen_port: persona.listen_port,
            member: None,
            signature: persona.identity.sign(&digest),
            more: Vec::new(),
        }
    }

    pub fn send(&mut self, plaintext: &[u8]) -> io::Result<()> {
        let record = seal(&self.noise, &mut self.sent, plaintext);
        self.stream.write_all(&record)
    }

    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        let record = read_record(&mut self.stream)?;
        open(&self.noise, &mut self.received, &record)
    }

    /// The node's verdict.
    pub fn verdict(&mut self) -> Result<(), NotConnected> {
        match decode(&self.receive()?).map_err(broken)? {
            Verdict::Accepted => Ok(()),
            Verdict::Refused(reason) => Err(NotConnected::Refused(reason)),
        }
    }
}

/// The whole handshake as the one who dialled.
pub fn shake_hands(port: u16, persona: &Persona) -> Result<NoiseSocket, NotConnected> {
    let mut socket = NoiseSocket::open(port)?;
    let hello = encode(&socket.hello(persona));
    socket.send(&hello)?;
    let _theirs: Hello = decode(&socket.receive()?).map_err(broken)?;
    socket.send(&encode(&Verdict::Accepted))?;
    socket.verdict()?;
    Ok(socket)
}

fn seal(noise: &RwLock<snow::StatelessTransportState>, records: &mut u64, plaintext: &[u8]) -> Vec<u8> {
    let length = plaintext.len() + TAG_BYTES;
    let mut record = vec![0; 2 + length];
    record[..2].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
    noise.read().unwrap().write_message(*records, plaintext, &mut record[2..]).unwrap();
    *records += 1;
    if records.is_multiple_of(REKEY_RECORDS) {
        noise.write().unwrap().rekey_outgoing();
    }
    record
}

fn open(
    noise: &RwLock<snow::StatelessTransportState>,
    records: &mut u64,
    record: &[u8],
) -> io::Result<Vec<u8>> {
    let mut plaintext = vec![0; record.len()];
    let length = noise.read().unwrap().read_message(*records, record, &mut plaintext).map_err(broken)?;
    plaintext.truncate(length);
    *records += 1;
    if records.is_multiple_of(REKEY_RECORDS) {
        noise.write().unwrap().rekey_incoming();
    }
    Ok(plaintext)
}

/// A message as it lies on its lane.
pub fn framed(message: &Message) -> Vec<u8> {
    let bytes = encode(message);
    [&u32::try_from(bytes.len()).unwrap().to_le_bytes()[..], &bytes].concat()
}

pub const fn lane_of(message: &Message) -> u8 {
    match MessageKind::of(message).lane() {
        MessageLane::Urgent => URGENT,
        MessageLane::Bulk => BULK,
    }
}

struct Outbound {
    stream: TcpStream,
    records: u64,
}

#[derive(Default)]
struct Inbound {
    kept: VecDeque<Message>,
    credit: i64,
    is_closed: bool,
}

struct Common {
    noise: Arc<RwLock<snow::StatelessTransportState>>,
    outbound: Mutex<Outbound>,
    inbound: Mutex<Inbound>,
    changed: Condvar,
}

impl Common {
    fn send_record(&self, lane: u8, piece: &[u8]) -> io::Result<()> {
        let mut outbound = self.outbound.lock().unwrap();
        let record = seal(&self.noise, &mut outbound.records, &[&[lane][..], piece].concat());
        outbound.stream.write_all(&record)
    }
}

/// A connected peer, which reads in the background: it sees answers, and whether it was disconnected.
pub struct RawPeer {
    common: Arc<Common>,
    stream: TcpStream,
    reader: Option<JoinHandle<()>>,
}

impl RawPeer {
    /// Connects and reads all that comes.
    pub fn connect(port: u16, persona: &Persona) -> Result<Self, NotConnected> {
        let socket = shake_hands(port, persona)?;
        let records = socket.received;
        let mut peer = Self::after(socket)?;
        let (common, stream) = (Arc::clone(&peer.common), peer.stream.try_clone()?);
        peer.reader = Some(std::thread::spawn(move || {
            // However it ended, it is over.
            let Err(_ended) = read(&common, stream, records);
            common.inbound.lock().unwrap().is_closed = true;
            common.changed.notify_all();
        }));
        Ok(peer)
    }

    /// Connects and never reads.
    pub fn connect_deaf(port: u16, persona: &Persona) -> Result<Self, NotConnected> {
        Self::after(shake_hands(port, persona)?)
    }

    /// A peer whose words are read and forgotten: what an attack costs the machine without a node.
    pub fn to_nobody() -> Result<Self, NotConnected> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        let (mut sink, _) = listener.accept()?;
        let (mut one, mut other) = (initiator(), noise_state(false));
        let (mut message, mut payload) = ([0; 1_024], [0; 1_024]);
        for turn in 0..3 {
            let (speaker, listener) =
                if turn % 2 == 0 { (&mut one, &mut other) } else { (&mut other, &mut one) };
            let length = speaker.write_message(&[], &mut message).map_err(broken)?;
            listener.read_message(&message[..length], &mut payload).map_err(broken)?;
        }
        let transcript = one.get_handshake_hash().to_vec();
        let noise = Arc::new(RwLock::new(one.into_stateless_transport_mode().map_err(broken)?));
        let mut peer = Self::after(NoiseSocket { stream, noise, transcript, sent: 0, received: 0 })?;
        peer.common.inbound.lock().unwrap().credit = i64::MAX;
        peer.reader = Some(std::thread::spawn(move || {
            // It ends with the peer.
            let _read = io::copy(&mut sink, &mut io::sink());
        }));
        Ok(peer)
    }

    fn after(socket: NoiseSocket) -> Result<Self, NotConnected> {
        let NoiseSocket { stream, noise, sent, .. } = socket;
        let outbound = Mutex::new(Outbound { stream: stream.try_clone()?, records: sent });
        let inbound = Mutex::new(Inbound { credit: BULK_WINDOW_BYTES, ..Inbound::default() });
        let common = Arc::new(Common { noise, outbound, inbound, changed: Condvar::new() });
        Ok(Self { common, stream, reader: None })
    }

    /// Sends a message as an honest peer does: bulk messages wait for credit.
    pub fn send(&self, message: &Message) -> io::Result<()> {
        self.send_framed(lane_of(message), &framed(message))
    }

    /// Sends bytes of a lane, which keep to its credit.
    pub fn send_framed(&self, lane: u8, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(PIECE_BYTES_MAX) {
            if lane == BULK {
                self.take_credit(piece.len())?;
            }
            self.common.send_record(lane, piece)?;
        }
        Ok(())
    }

    /// Sends one record of any lane with any bytes.
    pub fn send_record(&self, lane: u8, piece: &[u8]) -> io::Result<()> {
        self.common.send_record(lane, piece)
    }

    /// Sends bytes that nobody encrypted.
    pub fn send_plain(&self, bytes: &[u8]) -> io::Result<()> {
        self.common.outbound.lock().unwrap().stream.write_all(bytes)
    }

    fn take_credit(&self, bytes: usize) -> io::Result<()> {
        let bytes = i64::try_from(bytes).unwrap();
        let inbound = self.common.inbound.lock().unwrap();
        let is_short = |inbound: &mut Inbound| inbound.credit < bytes && !inbound.is_closed;
        let (mut inbound, waited) =
            self.common.changed.wait_timeout_while(inbound, CREDIT_TIMEOUT, is_short).unwrap();
        if waited.timed_out() || inbound.is_closed {
            return Err(io::ErrorKind::TimedOut.into());
        }
        inbound.credit -= bytes;
        Ok(())
    }

    pub fn is_closed(&self) -> bool {
        self.common.inbound.lock().unwrap().is_closed
    }

    /// Waits until the node ends the connection; false if it did not.
    pub fn wait_closed(&self, at_most: Duration) -> bool {
        let inbound = self.common.inbound.lock().unwrap();
        let is_open = |inbound: &mut Inbound| !inbound.is_closed;
        let (_inbound, waited) = self.common.changed.wait_timeout_while(inbound, at_most, is_open).unwrap();
        !waited.timed_out()
    }

    /// Waits for a message that the test looks for; takes those before it away.
    pub fn wait_for<T>(&self, at_most: Duration, mut ask: impl FnMut(Message) -> Option<T>) -> Option<T> {
        let until = Clock.instant() + at_most;
        loop {
            for message in self.take_received() {
                if let Some(found) = ask(message) {
                    return Some(found);
                }
            }
            if self.is_closed() || Clock.instant() >= until {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The messages that came since the last call; the last 20,000 of them.
    pub fn take_received(&self) -> Vec<Message> {
        self.common.inbound.lock().unwrap().kept.drain(..).collect()
    }
}

impl Drop for RawPeer {
    fn drop(&mut self) {
        // The node may have closed it already.
        let _gone = self.stream.shutdown(Shutdown::Both);
        let _ended = self.reader.take().map(JoinHandle::join);
    }
}

/// Reads until the end.
fn read(common: &Common, mut stream: TcpStream, mut records: u64) -> io::Result<Infallible> {
    // Nothing of a quiet network comes for some seconds, but a ping does.
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut consumed = 0;
    let mut lanes = [Vec::new(), Vec::new()];
    loop {
        let record = read_record(&mut stream)?;
        let plaintext = open(&common.noise, &mut records, &record)?;
        let (lane, piece) = plaintext.split_first().ok_or_else(|| broken("no lane"))?;
        if *lane == CREDIT {
            let granted = u32::from_le_bytes(piece.try_into().map_err(broken)?);
            common.inbound.lock().unwrap().credit += i64::from(granted);
            common.changed.notify_all();
            continue;
        }
        if *lane == BULK {
            consumed += piece.len();
            if consumed >= GRANT_BYTES {
                let granted = u32::try_from(std::mem::take(&mut consumed)).map_err(broken)?;
                common.send_record(CREDIT, &granted.to_le_bytes())?;
            }
        }
        let buffer = &mut lanes[usize::from(*lane)];
        buffer.extend_from_slice(piece);
        let mut start = 0;
        while let Some(prefix) = buffer[start..].first_chunk::<4>() {
            let length = u32::from_le_bytes(*prefix) as usize;
            let Some(bytes) = buffer.get(start + 4..start + 4 + length) else { break };
            take(common, decode(bytes).map_err(broken)?)?;
            start += 4 + length;
        }
        buffer.drain(..start);
    }
}

fn take(common: &Common, message: Message) -> io::Result<()> {
    if let Message::Ping(number) = message {
        common.send_record(URGENT, &framed(&Message::Pong(number)))?;
    }
    let mut inbound = common.inbound.lock().unwrap();
    if inbound.kept.len() >= KEPT_MAX {
        inbound.kept.pop_front();
    }
    inbound.kept.push_back(message);
    Ok(())
}

/// Whether the node closes this socket by then; reads and forgets what comes before.
pub fn is_closed_by(stream: &mut TcpStream, until: Instant) -> bool {
    let mut buffer = [0; 4_096];
    loop {
        let left = until.saturating_duration_since(Clock.instant());
        if left.is_zero() {
            return false;
        }
        stream.set_read_timeout(Some(left)).unwrap();
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
            }
        }
    }
}
