//! Attacks by a member of the set: the fifth of five, whose node does not run, but whose key signs.
//!
//! The other four have just a quorum, so each of them has to keep up for payments to become final.

use std::cell::Cell;

use timed::app::networks::devnet_operator_key;
use timed::types::Proposal;
use timed::types::block::{BlockBlueprint, Commit};
use timed::types::heartbeat::Heartbeat;
use timed::types::vote::{FinalityVote, VoteStep};
use timed::types::{BlockHash, BlockVote, Message, Round, SignerBitmap, TxId, VoteBatch, VoteKind};

use crate::heard::heard;
use crate::hostile_messages::{block_vote, consensus, flood, header, member};
use crate::hostile_siege::{Attack, Siege};

/// The member that lies.
const LIAR: usize = 4;
/// Votes of the largest batch.
const BATCH_VOTES: usize = 4_096;

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "member: votes for invented payments", run: invented_payments },
        Attack { name: "member: final votes for invented payments", run: invented_finals },
        Attack { name: "member: many small batches", run: small_batches },
        Attack { name: "member: batches with gaps", run: gaps },
        Attack { name: "member: two batches of each number", run: two_of_each },
        Attack { name: "member: large batches of the next epoch", run: early_batches },
        Attack { name: "member: block votes of many rounds", run: future_rounds },
        Attack { name: "member: proposals of many rounds", run: future_proposals },
        Attack { name: "member: heartbeats without a pause", run: heartbeats },
        Attack { name: "member: contradictions without an end", run: contradictions },
    ]
}

fn batch(siege: &Siege, ahead: u64, seq: u64, kind: VoteKind, votes: usize) -> Message {
    let epoch = consensus(siege).epoch + ahead;
    let votes = (0..votes).map(|_| FinalityVote { kind, txid: TxId(rand::random()) }).collect();
    let (validator, key) = (member(siege, LIAR), devnet_operator_key(LIAR));
    Message::VoteBatch(heard(&VoteBatch::signed(&siege.chain_id(), epoch, validator, seq, votes, &key)))
}

/// Floods with batches that are numbered from 0 in each epoch.
fn numbered(siege: &Siege, kind: VoteKind, votes: usize, number: impl Fn(u64) -> u64) -> String {
    let (epoch, first) = (Cell::new(0), Cell::new(0));
    flood(siege, |made| {
        let now = consensus(siege).epoch;
        if epoch.replace(now) != now {
            first.set(made);
        }
        batch(siege, 0, number(made - first.get()), kind, votes)
    })
}

/// Batches full of votes for payments that nobody made.
fn invented_payments(siege: &Siege) -> String {
    numbered(siege, VoteKind::Lock, BATCH_VOTES, |number| number)
}

/// The same, saying that they are certified.
fn invented_finals(siege: &Siege) -> String {
    numbered(siege, VoteKind::Final, BATCH_VOTES, |number| 1_000 + number)
}

/// Batches of one vote each.
fn small_batches(siege: &Siege) -> String {
    numbered(siege, VoteKind::Lock, 1, |number| 10_000 + number)
}

/// Batches whose numbers leap.
fn gaps(siege: &Siege) -> String {
    numbered(siege, VoteKind::Lock, 1, |number| u64::MAX - 1 - number.wrapping_mul(1 << 40))
}

/// Different batches under one number.
fn two_of_each(siege: &Siege) -> String {
    numbered(siege, VoteKind::Lock, 10, |number| 100_000 + number / 2)
}

/// Batches of the largest size for the epoch that comes, correctly signed.
fn early_batches(siege: &Siege) -> String {
    flood(siege, |number| batch(siege, 1, number, VoteKind::Lock, BATCH_VOTES))
}

fn signed_vote(siege: &Siege, round: Round, step: VoteStep, value: Option<BlockHash>) -> Message {
    let vote = BlockVote { step, value, validator: member(siege, LIAR), ..block_vote(siege, 0, round) };
    Message::BlockVote(heard(&vote.signed(&siege.chain_id(), &devnet_operator_key(LIAR))))
}

/// Votes of this height for rounds up to the last that is kept, and beyond.
fn future_rounds(siege: &Siege) -> String {
    flood(siege, |number| signed_vote(siege, (number % 100) as u32, VoteStep::Precommit, None))
}

/// Blocks of 20,000 invented payments, proposed in all rounds to come.
fn future_proposals(siege: &Siege) -> String {
    let mut block = BlockBlueprint {
        header: header(siege),
        last_commit: Commit::default(),
        txids: (0..20_000).map(|_| TxId(rand::random())).collect(),
        evidence: Vec::new(),
    };
    flood(siege, |number| {
        let info = consensus(siege);
        (block.header.height, block.header.epoch) = (info.height, info.epoch);
        block.header.round = (number % 70) as u32;
        block.header.proposer = member(siege, LIAR);
        let proposal = Proposal {
            round: block.header.round,
            pol_round: None,
            validator: member(siege, LIAR),
            block: block.clone(),
            signature: timed::types::Signature::EMPTY,
        };
        Message::Proposal(heard(&proposal.signed(&devnet_operator_key(LIAR))))
    })
}

/// Signs of life, correctly signed, that tell of numbers that nobody has.
fn heartbeats(siege: &Siege) -> String {
    flood(siege, |number| {
        let info = consensus(siege);
        let heartbeat = Heartbeat {
            instance: timed::types::instance::InstanceId { start: [9; 16], attempt: 0 },
            validator: member(siege, LIAR),
            epoch: info.epoch,
            height: u64::MAX - number,
            next_seq: u64::MAX - number,
            time_ms: number,
            heard: SignerBitmap::empty(info.validators),
            signature: timed::types::Signature::EMPTY,
        };
        Message::Heartbeat(heard(&heartbeat.signed(&siege.chain_id(), &devnet_operator_key(LIAR))))
    })
}

/// Prevotes of each round for ever other blocks: the first pair costs the liar, the rest costs nobody.
fn contradictions(siege: &Siege) -> String {
    flood(siege, |number| {
        let value = Some(BlockHash(rand::random()));
        signed_vote(siege, (number % 4) as u32, VoteStep::Prevote, value)
    })
}
