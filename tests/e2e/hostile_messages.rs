//! Floods of well-formed messages by a stranger, who comes back under a new name whenever he is put out.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use timed::rpc::types::ConsensusInfo;
use timed::runtime::Clock;
use timed::types::block::{BlockBlueprint, Commit};
use timed::types::evidence::{LockVoteProof, ProposalHead};
use timed::types::header::Header;
use timed::types::heartbeat::Heartbeat;
use timed::types::message::{HeldBatches, NodeStatus, PeerAddress};
use timed::types::vote::{BatchHeader, CertificateVote, FinalityVote, VoteStep};
use timed::types::{
    Amount, BatchRoot, BlockHash, BlockVote, Certificate, CommittedBlock, Epoch, Evidence, GenesisDocument,
    Hash, Height, MasternodeId, Message, Round, RuleVersion, Signature, SignerBitmap, StateDigest,
    Transaction, TxId, VoteBatch, VoteKind,
};
use timed::types::{Lock, Proposal, TxOut};

use crate::heard::heard;
use crate::hostile_siege::{ATTACKED, Attack, Siege, any_key, invented, p2p_port};
use crate::hostile_wire::connect;
use crate::raw_peer::{NotConnected, Persona, RawPeer, framed, lane_of};

/// Bytes that are sent at once.
const CHUNK_BYTES: usize = 60_000;
/// Votes of the largest batch.
const BATCH_VOTES: usize = 4_096;
/// Ids of the largest request.
const REQUEST_IDS: usize = 4_096;
/// How old an attacker's view of the network gets.
const CONSENSUS_AGE_MAX: Duration = Duration::from_millis(100);
/// Messages of real gossip that are replayed.
const RECORDED_MAX: usize = 2_000;

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "GetTransactions", run: get_transactions },
        Attack { name: "GetCertificates", run: get_certificates },
        Attack { name: "GetBatches", run: get_batches },
        Attack { name: "GetBlocks", run: get_blocks },
        Attack { name: "addresses", run: addresses },
        Attack { name: "control: pings to nobody", run: pings_to_nobody },
        Attack { name: "pings, pongs and questions for addresses", run: pings },
        Attack { name: "votes of unknown signers", run: unknown_signers },
        Attack { name: "votes of far heights and rounds", run: far_votes },
        Attack { name: "votes with bad signatures", run: bad_votes },
        Attack { name: "large batches of the next epoch", run: early_batches },
        Attack { name: "real gossip replayed", run: replay },
        Attack { name: "BatchesEnd unasked", run: batches_end },
        Attack { name: "status lies", run: status_lies },
        Attack { name: "certificates of no quorum", run: certificates },
        Attack { name: "proposals of strangers", run: proposals },
        Attack { name: "blocks unasked", run: blocks },
        Attack { name: "evidence of garbage", run: evidence },
        Attack { name: "heartbeats of garbage", run: heartbeats },
        Attack { name: "announcements of invented transactions", run: announcements },
        Attack { name: "neighbours that it has not", run: neighbours },
    ]
}

fn told((sent, names): (u64, u64)) -> String {
    format!("{sent} messages under {names} names")
}

fn as_strangers(siege: &Siege, make: impl FnMut(u64) -> Message) -> (u64, u64) {
    let connect = || RawPeer::connect(p2p_port(ATTACKED), &Persona::stranger(siege.chain_id()));
    flood_over(siege, connect, make)
}

/// Sends messages as fast as the node takes them, under a new name whenever it ends the connection.
pub fn flood(siege: &Siege, make: impl FnMut(u64) -> Message) -> String {
    told(as_strangers(siege, make))
}

/// The same with messages that nobody sends by mistake: the node has to end the connection.
fn flood_that_is_punished(siege: &Siege, make: impl FnMut(u64) -> Message) -> String {
    let (sent, names) = as_strangers(siege, make);
    assert!(names > 1, "{sent} such messages and still connected");
    told((sent, names))
}

/// The same work of the attacker, and nobody who hears it: both share the machine with the network.
pub fn control(siege: &Siege, make: impl FnMut(u64) -> Message) -> String {
    told(flood_over(siege, RawPeer::to_nobody, make))
}

fn flood_over(
    siege: &Siege,
    mut connect: impl FnMut() -> Result<RawPeer, NotConnected>,
    mut make: impl FnMut(u64) -> Message,
) -> (u64, u64) {
    let (mut peer, mut names, mut sent, mut made) = (None, 0, 0, 0);
    let mut chunk: (u8, Vec<u8>) = (0, Vec::new());
    while !siege.is_over() {
        let Some(connected) = &peer else {
            peer = connect().ok();
            if peer.is_none() {
                std::thread::sleep(Duration::from_millis(20));
            }
            names += u64::from(peer.is_some());
            continue;
        };
        chunk.1.clear();
        let mut count = 0;
        while chunk.1.len() < CHUNK_BYTES && !siege.is_over() {
            let message = make(made);
            let lane = lane_of(&message);
            if lane != chunk.0 && !chunk.1.is_empty() {
                break;
            }
            chunk.0 = lane;
            chunk.1.extend(framed(&message));
            (made, count) = (made + 1, count + 1);
        }
        if connected.is_closed() || connected.send_framed(chunk.0, &chunk.1).is_err() {
            peer = None;
        } else {
            sent += count;
        }
    }
    assert!(names > 0, "the attack reached nobody");
    (sent, names)
}

/// The same messages again and again.
fn flood_with(siege: &Siege, messages: &[Message]) -> String {
    flood(siege, |number| messages[number as usize % messages.len()].clone())
}

thread_local! {
    static ASKED: RefCell<Option<(Instant, ConsensusInfo)>> = const { RefCell::new(None) };
}

/// Where the network stands; asked for again only after a moment, so that a flood is not slowed by it.
pub fn consensus(siege: &Siege) -> ConsensusInfo {
    ASKED.with_borrow_mut(|asked| {
        let now = Clock.instant();
        let is_new = |at: Instant| now.saturating_duration_since(at) < CONSENSUS_AGE_MAX;
        if let Some((_, info)) = asked.as_ref().filter(|(at, _)| is_new(*at)) {
            return info.clone();
        }
        let info: ConsensusInfo = siege.honest().call("getconsensusinfo", &[]);
        *asked = Some((now, info.clone()));
        info
    })
}

pub fn member(siege: &Siege, index: usize) -> MasternodeId {
    GenesisDocument::masternode_id(&siege.chain().document.collateral_outpoint(index))
}

fn any_member(siege: &Siege, number: u64) -> MasternodeId {
    member(siege, number as usize % siege.net.nodes.len())
}

pub fn any_signature() -> Signature {
    let mut bytes = [0; 64];
    rand::fill(&mut bytes);
    Signature(bytes)
}

fn any_txid() -> TxId {
    TxId(rand::random())
}

pub fn output() -> TxOut {
    TxOut { value: Amount(1_000_000), lock: Lock::KeyHash(any_key().public().key_hash()) }
}

// -- questions ----------------------------------------------------------------------------------------------------

/// Asks for transactions that nobody made.
fn get_transactions(siege: &Siege) -> String {
    flood(siege, |_| Message::GetTransactions((0..REQUEST_IDS).map(|_| any_txid()).collect()))
}

/// Asks for certificates of real and of invented transactions.
fn get_certificates(siege: &Siege) -> String {
    let real = recorded_txids(siege);
    flood(siege, |number| {
        let kind = if number % 2 == 0 { VoteKind::Lock } else { VoteKind::Final };
        let invented = std::iter::repeat_with(any_txid);
        Message::GetCertificates(kind, real.iter().copied().chain(invented).take(256).collect())
    })
}

/// Transactions that the network votes on.
fn recorded_txids(siege: &Siege) -> Vec<TxId> {
    let peer = connect(siege);
    std::thread::sleep(Duration::from_millis(400));
    let txid = |message| match message {
        Message::Transaction(transaction) => Some(transaction.txid()),
        _ => None,
    };
    peer.take_received().into_iter().filter_map(txid).take(200).collect()
}

/// Each would have its body asked for, of the attacker and of nobody else.
fn announcements(siege: &Siege) -> String {
    flood(siege, |_| Message::Announce(std::iter::repeat_with(any_txid).take(REQUEST_IDS).collect()))
}

/// What it says of its own links is believed, and changes only what it gets itself.
fn neighbours(siege: &Siege) -> String {
    flood(siege, |_| Message::Neighbours((0..200).map(|_| any_key().public()).collect()))
}

/// Asks for all batches of all members, again and again.
fn get_batches(siege: &Siege) -> String {
    let epoch = consensus(siege).epoch;
    flood(siege, |number| Message::GetBatches {
        epoch,
        validator: any_member(siege, number),
        from_seq: 0,
        count: u64::MAX,
    })
}

/// Asks for all blocks, again and again.
fn get_blocks(siege: &Siege) -> String {
    flood(siege, |number| Message::GetBlocks { from: 1 + number % 2, count: u64::MAX })
}

/// Tells of hosts that nobody has heard of.
fn addresses(siege: &Siege) -> String {
    flood(siege, |number| {
        let peers = (0..256).map(|host| PeerAddress {
            address: format!("10.{}.{}.{host}:24100", number % 256, number / 256 % 256),
            identity: Some(any_key().public()),
        });
        Message::Masternodes(peers.collect())
    })
}

/// Pings that nobody hears.
fn pings_to_nobody(siege: &Siege) -> String {
    control(siege, Message::Ping)
}

/// The network's own small talk without a pause.
fn pings(siege: &Siege) -> String {
    flood_with(siege, &[Message::Ping(1), Message::Pong(2), Message::GetMasternodes])
}

// -- votes --------------------------------------------------------------------------------------------------------

/// A block vote under a random signature.
pub fn block_vote(siege: &Siege, ahead: Height, round: Round) -> BlockVote {
    let info = consensus(siege);
    BlockVote {
        step: VoteStep::Prevote,
        epoch: info.epoch,
        height: info.height + ahead,
        round,
        value: Some(BlockHash(rand::random())),
        validator: member(siege, 1),
        signature: any_signature(),
    }
}

fn batch(siege: &Siege, epoch: Epoch, validator: MasternodeId, seq: u64, votes: usize) -> Message {
    let votes = (0..votes).map(|_| FinalityVote { kind: VoteKind::Lock, txid: any_txid() }).collect();
    let key = any_key();
    Message::VoteBatch(heard(&VoteBatch::signed(&siege.chain_id(), epoch, validator, seq, votes, &key)))
}

/// Votes for blocks and payments of validators that don't exist.
fn unknown_signers(siege: &Siege) -> String {
    let vote = block_vote(siege, 0, 0);
    let large = batch(siege, vote.epoch, MasternodeId(rand::random()), 0, BATCH_VOTES);
    flood(siege, |number| {
        let validator = MasternodeId(rand::random());
        if number.is_multiple_of(50) {
            let Message::VoteBatch(batch) = &large else { unreachable!() };
            let mut batch = VoteBatch::clone(batch);
            batch.header.validator = validator;
            Message::VoteBatch(heard(&batch))
        } else {
            Message::BlockVote(heard(&BlockVote { validator, ..vote.clone() }))
        }
    })
}

/// Votes of members for heights and rounds that are years away.
fn far_votes(siege: &Siege) -> String {
    let vote = block_vote(siege, 0, 0);
    flood(siege, |number| {
        let (height, round) = match number % 4 {
            0 => (vote.height + 1_000 + number, 0),
            1 => (u64::MAX, u32::MAX),
            2 => (vote.height, 1_000_000 + (number as u32)),
            _ => (vote.height + 2, number as u32),
        };
        let validator = any_member(siege, number);
        Message::BlockVote(heard(&BlockVote { height, round, validator, ..vote.clone() }))
    })
}

/// Votes in the names of members for the block that is due, under signatures that don't hold.
fn bad_votes(siege: &Siege) -> String {
    flood_that_is_punished(siege, |number| {
        let vote = block_vote(siege, 0, 0);
        let validator = any_member(siege, number);
        match number % 8 {
            0 => batch(siege, vote.epoch, validator, number, 1_000),
            _ => Message::BlockVote(heard(&BlockVote {
                validator,
                signature: any_signature(),
                ..vote.clone()
            })),
        }
    })
}

/// Batches of the largest size in the names of members, for the epoch that comes.
fn early_batches(siege: &Siege) -> String {
    let epoch = consensus(siege).epoch + 1;
    let large: Vec<Message> =
        (0..8).map(|number| batch(siege, epoch, any_member(siege, number), number, BATCH_VOTES)).collect();
    flood(siege, |number| {
        let Message::VoteBatch(batch) = &large[number as usize % large.len()] else { unreachable!() };
        let mut batch = VoteBatch::clone(batch);
        // Another message each time, for who remembers what he has seen.
        batch.header.seq = number;
        Message::VoteBatch(heard(&batch))
    })
}

/// All that the node says to its peers, said back to it again and again.
fn replay(siege: &Siege) -> String {
    let peer = connect(siege);
    std::thread::sleep(Duration::from_millis(500));
    let gossip = |message: &Message| {
        matches!(
            message,
            Message::Transaction(_)
                | Message::VoteBatch(_)
                | Message::Proposal(_)
                | Message::BlockVote(_)
                | Message::Heartbeat(_)
                | Message::Status(_)
        )
    };
    let recorded: Vec<Message> = peer.take_received().into_iter().filter(gossip).take(RECORDED_MAX).collect();
    drop(peer);
    let kinds = recorded.iter().filter(|message| matches!(message, Message::VoteBatch(_))).count();
    assert!(!recorded.is_empty(), "a stranger hears nothing");
    format!("{} recorded, {kinds} of them batches; {}", recorded.len(), flood_with(siege, &recorded))
}

// -- hints --------------------------------------------------------------------------------------------------------

/// The end of an answer that nobody asked for, with any number.
fn batches_end(siege: &Siege) -> String {
    let epoch = consensus(siege).epoch;
    flood(siege, |number| Message::BatchesEnd {
        epoch: epoch + number / 1_000 % 2,
        validator: any_member(siege, number),
        before_seq: [u64::MAX, 1, 1_000_000, 0][number as usize % 4],
    })
}

/// A status that nobody can have.
fn status_lies(siege: &Siege) -> String {
    let info = consensus(siege);
    let members = siege.net.nodes.len();
    flood(siege, |number| {
        let lie = number % 4;
        let mut all = SignerBitmap::empty(members);
        (0..members).for_each(|member| all.set(member));
        Message::Status(NodeStatus {
            height: if lie < 2 { u64::MAX - lie } else { info.height },
            horizon: 1,
            tip: BlockHash(rand::random()),
            epoch: if lie == 1 { u64::MAX } else { info.epoch },
            round: if lie == 3 { u32::MAX } else { 0 },
            has_proposal: lie == 2,
            prevotes: if lie == 2 { SignerBitmap::empty(800) } else { all.clone() },
            precommits: all,
            batches: vec![HeldBatches { from: 0, until: u64::MAX - number }; members],
        })
    })
}

/// After a moment of silence nothing of a liar's height is left.
pub fn height_lies(siege: &Siege) -> String {
    let said = status_lies(siege);
    let height = siege.honest().height();
    let status = siege.attacked().node_status();
    assert!(
        status.target_height < height + 1_000 && status.reasons.is_empty(),
        "the node believes a stranger: target height {}, {:?}",
        status.target_height,
        status.reasons
    );
    said
}

// -- large objects ------------------------------------------------------------------------------------------------

fn certificate_vote(epoch: Epoch, validator: MasternodeId) -> CertificateVote {
    let header = BatchHeader {
        epoch,
        validator,
        seq: 1,
        count: 4_096,
        votes_root: BatchRoot(rand::random()),
        signature: any_signature(),
    };
    CertificateVote { header, index: 7, path: vec![Hash(rand::random()); 12] }
}

/// Certificates of invented payments: of one vote, and of votes of all members that don't hold.
fn certificates(siege: &Siege) -> String {
    let epoch = consensus(siege).epoch;
    flood(siege, |number| {
        let one = |_| {
            let vote = FinalityVote { kind: VoteKind::Lock, txid: any_txid() };
            let signers = if number.is_multiple_of(2) { 1 } else { 4 };
            let votes =
                (0..signers).map(|member| certificate_vote(epoch, any_member(siege, member))).collect();
            heard(&Certificate { vote, epoch, votes })
        };
        Message::Certificates((0..256).map(one).collect())
    })
}

/// A header of the block that is due, of which nothing else is right.
pub fn header(siege: &Siege) -> Header {
    let info = consensus(siege);
    Header {
        chain_id: siege.chain_id(),
        height: info.height,
        round: 0,
        epoch: info.epoch,
        epoch_end: false,
        time: 1_767_225_600_000,
        prev_hash: BlockHash(rand::random()),
        last_commit_root: Hash([1; 32]),
        tx_root: Hash([2; 32]),
        evidence_root: Hash([3; 32]),
        epoch_ends_root: Hash([5; 32]),
        state_digest: StateDigest([4; 32]),
        validators_hash: Hash([5; 32]),
        next_validators_hash: Hash([6; 32]),
        proposer: member(siege, 1),
        rules: RuleVersion::FIRST,
        announced: RuleVersion::FIRST,
    }
}

/// Proposals of 50,000 transactions in the name of a member, for this round and for later ones.
fn proposals(siege: &Siege) -> String {
    let block = BlockBlueprint {
        header: header(siege),
        last_commit: Commit::default(),
        txids: (0..50_000).map(|_| any_txid()).collect(),
        evidence: Vec::new(),
    };
    flood(siege, |number| {
        let mut block = block.clone();
        block.header.height = consensus(siege).height;
        Message::Proposal(heard(&Proposal {
            round: (number % 70) as u32,
            pol_round: None,
            validator: any_member(siege, number),
            block,
            signature: any_signature(),
        }))
    })
}

/// Real blocks, and real headers over other bodies, which nobody asked for.
fn blocks(siege: &Siege) -> String {
    let peer = connect(siege);
    peer.send(&Message::GetBlocks { from: 1, count: 20 }).unwrap();
    let answer = peer.wait_for(Duration::from_secs(10), |message| match message {
        Message::Blocks(blocks) if !blocks.is_empty() => Some(blocks),
        _ => None,
    });
    let blocks = answer.expect("a stranger gets blocks");
    drop(peer);
    let changed = blocks.iter().map(|block| {
        let mut block = CommittedBlock::clone(block);
        block.block.transactions.clear();
        block.commit.signers = SignerBitmap::empty(4);
        heard(&block)
    });
    flood_with(siege, &[Message::Blocks(changed.collect()), Message::Blocks(blocks)])
}

/// Contradictions that nobody signed.
fn evidence(siege: &Siege) -> String {
    let vote = block_vote(siege, 0, 0);
    let transaction =
        |memo: u64| Transaction::transfer(vec![invented(); 900], vec![output()], memo.to_le_bytes().to_vec());
    let (one, other) = (transaction(1), transaction(2));
    let head = |round| ProposalHead {
        epoch: vote.epoch,
        height: vote.height,
        round,
        pol_round: None,
        validator: vote.validator,
        block_hash: BlockHash(rand::random()),
        signature: any_signature(),
    };
    flood(siege, |number| {
        let piece = match number % 3 {
            0 => {
                let another = BlockVote { value: None, signature: any_signature(), ..vote.clone() };
                let one = BlockVote { value: Some(BlockHash(rand::random())), ..vote.clone() };
                Evidence::of_votes(one, another)
            }
            1 => Evidence::of_proposals(head(number as u32), head(number as u32)),
            _ => {
                let side = |transaction: &Transaction| LockVoteProof {
                    vote: certificate_vote(vote.epoch, vote.validator),
                    transaction: transaction.clone(),
                };
                Evidence::of_locks(side(&one), side(&other))
            }
        };
        Message::Evidence(Arc::new(piece))
    })
}

/// Signs of life that nobody gave, from the past and the future.
fn heartbeats(siege: &Siege) -> String {
    let info = consensus(siege);
    flood(siege, |number| {
        Message::Heartbeat(heard(&Heartbeat {
            instance: timed::types::instance::InstanceId { start: [9; 16], attempt: 0 },
            validator: any_member(siege, number),
            epoch: info.epoch + number % 2,
            height: if number % 3 == 0 { u64::MAX } else { info.height },
            next_seq: u64::MAX - number,
            time_ms: if number % 2 == 0 { u64::MAX } else { number },
            heard: SignerBitmap::empty(if number % 5 == 0 { 4_000 } else { 4 }),
            signature: any_signature(),
        }))
    })
}
