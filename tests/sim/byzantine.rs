//! Faulty validators: the real node, with what it says changed on the way out. They equivocate in every kind of message
//! that they sign, withhold, delay, forge, and lie about where they stand. Together they weigh less than a third.

use std::collections::BTreeMap;
use std::sync::Arc;

use bincode::{Decode, Encode};
use timed::protocol::transition::{self, BlockDraft};
use timed::protocol::validity::CheckedTransaction;
use timed::types::message::{HeldBatches, NodeStatus};
use timed::types::{
    BlockBlueprint, BlockVote, Epoch, Evidence, FinalityVote, Height, MasternodeId, Message, Proposal,
    Released, Round, SecretKey, Signature, TxId, VoteBatch, VoteKind, VoteStep,
};

use crate::heard::heard;
use crate::world::World;

/// What a faulty validator does to what it says, each in so many of 1,000 cases.
#[derive(Clone, Debug, Default)]
pub struct Vices {
    pub withhold: u64,
    pub delay: u64,
    pub equivocate: u64,
    /// It equivocates in votes for payments alone: two votes for blocks are mostly noticed first, and one proof is enough.
    pub in_payments_alone: bool,
    pub forge: u64,
    pub lie: u64,
    /// It proposes what is not certified, the same to everybody.
    pub overreaches: bool,
}

#[derive(Clone, Debug)]
pub struct Byzantine {
    /// Which validator.
    pub index: usize,
    pub vices: Vices,
}

/// The second versions of what they said, so that all who get one get the same.
#[derive(Default)]
pub struct Versions {
    proposals: BTreeMap<(MasternodeId, Height, Round), Option<Released<Proposal>>>,
    votes: BTreeMap<(MasternodeId, Height, Round, VoteStep), Released<BlockVote>>,
    batches: BTreeMap<(MasternodeId, Epoch, u64), Released<VoteBatch>>,
}

/// What becomes of a message to one peer.
pub enum Tampered {
    Lost,
    Sent { message: Message, delay_ms: u64 },
}

/// A changed copy of what was said.
fn other<T: Clone + Encode + Decode<()>>(said: &T, change: impl FnOnce(&mut T)) -> Released<T> {
    let mut other = said.clone();
    change(&mut other);
    heard(&other)
}

impl World {
    /// What a faulty validator really sends.
    pub(super) fn tamper(&mut self, byzantine: &Byzantine, to: usize, message: Message) -> Tampered {
        let (vices, id) = (&byzantine.vices, self.id_of(byzantine.index));
        if self.random.chance(vices.withhold) {
            return Tampered::Lost;
        }
        let delay_ms = if self.random.chance(vices.delay) { self.random.between(100, 2_000) } else { 0 };
        let secret = self.nodes[byzantine.index].operator.clone().expect("a validator");
        // Half of the peers hear the one thing, half the other.
        let is_other_half = to % 2 == 1;
        let equivocates = is_other_half && self.random.chance(vices.equivocate);
        let in_blocks = equivocates && !vices.in_payments_alone;
        let message = match message {
            Message::BlockVote(vote) if vote.validator == id && in_blocks => {
                Message::BlockVote(self.other_vote(&vote, &secret))
            }
            Message::Proposal(proposal) if proposal.validator == id && (in_blocks || vices.overreaches) => {
                Message::Proposal(self.other_proposal(byzantine, proposal, &secret))
            }
            Message::VoteBatch(batch) if batch.header.validator == id && equivocates => {
                Message::VoteBatch(self.other_batch(&batch, &secret))
            }
            message => message,
        };
        let message = if self.random.chance(vices.forge) { self.forge(message) } else { message };
        let message = if self.random.chance(vices.lie) { self.lie(message) } else { message };
        Tampered::Sent { message, delay_ms }
    }

    fn other_vote(&mut self, vote: &Released<BlockVote>, secret: &SecretKey) -> Released<BlockVote> {
        let key = (vote.validator, vote.height, vote.round, vote.step);
        if let Some(version) = self.versions.votes.get(&key) {
            return version.clone();
        }
        let blocks = self.oracle.signed.blocks_at(vote.height);
        let others: Vec<_> = blocks.into_iter().filter(|hash| Some(*hash) != vote.value).collect();
        let value = if others.is_empty() || self.random.chance(500) {
            if vote.value.is_some() { None } else { others.first().copied() }
        } else {
            Some(others[self.random.below(others.len())])
        };
        let version = BlockVote { value, ..BlockVote::clone(vote) };
        let version = heard(&version.signed(&self.genesis.chain_id(), secret));
        self.oracle.signed(&Message::BlockVote(version.clone()));
        self.seen.equivocations += 1;
        self.versions.votes.insert(key, version.clone());
        version
    }

    fn other_proposal(
        &mut self,
        byzantine: &Byzantine,
        proposal: Released<Proposal>,
        secret: &SecretKey,
    ) -> Released<Proposal> {
        let key = (proposal.validator, proposal.block.header.height, proposal.round);
        if !self.versions.proposals.contains_key(&key) {
            let version = self.other_block(byzantine, &proposal).map(|block| {
                let (round, validator) = (proposal.round, proposal.validator);
                let version =
                    Proposal { round, pol_round: None, validator, block, signature: Signature::EMPTY };
                heard(&version.signed(secret))
            });
            if let Some(version) = &version {
                self.oracle.signed(&Message::Proposal(version.clone()));
                self.seen.equivocations += u64::from(!byzantine.vices.overreaches);
            }
            self.versions.proposals.insert(key, version);
        }
        self.versions.proposals.get(&key).cloned().flatten().unwrap_or(proposal)
    }

    /// A valid block with less in it than there could be, or with something that is not certified.
    fn other_block(&mut self, byzantine: &Byzantine, proposal: &Proposal) -> Option<BlockBlueprint> {
        let (index, header) = (byzantine.index, &proposal.block.header);
        let mut transactions: Vec<CheckedTransaction> =
            proposal.block.transfers().iter().filter_map(|txid| self.workload.checked(txid)).collect();
        if !byzantine.vices.overreaches && self.random.chance(500) {
            transactions.truncate(transactions.len() / 2);
        } else {
            let is_other = |other: &CheckedTransaction| {
                !proposal.block.txids.contains(&other.txid())
                    && !self.oracle.signed.is_certified(header.epoch, other.txid())
            };
            let mut others: Vec<CheckedTransaction> =
                self.workload.open().into_iter().filter(is_other).collect();
            let skipped = self.random.below(others.len().max(1));
            self.seen.overreached += u64::from(!others.is_empty());
            transactions.extend(others.drain(..).skip(skipped).take(2));
        }
        let core = &self.nodes[index].running.as_ref()?.consensus;
        // What does not fit the state is left out again.
        while core.state().height() + 1 == header.height {
            let draft = BlockDraft {
                round: proposal.round,
                time: header.time + 1,
                epoch_end: core.state().is_closing(),
                proposer: proposal.validator,
                announces: proposal.block.header.announced,
                last_commit: &proposal.block.last_commit,
                transactions: &transactions,
                evidence: &proposal.block.evidence,
            };
            let utxos = &*self.nodes[index].running.as_ref()?.utxos;
            if let Ok((block, _)) = transition::propose(core.state(), utxos, &draft) {
                return Some(block.blueprint());
            }
            transactions.pop()?;
        }
        None
    }

    /// Votes for the rivals, and for the end before there is a certificate.
    fn other_batch(&mut self, batch: &VoteBatch, secret: &SecretKey) -> Released<VoteBatch> {
        let key = (batch.header.validator, batch.header.epoch, batch.header.seq);
        if let Some(version) = self.versions.batches.get(&key) {
            return version.clone();
        }
        let rival = |txid: &TxId| self.workload.rival(txid).unwrap_or(*txid);
        let mut votes: Vec<FinalityVote> = batch
            .votes
            .iter()
            .map(|vote| FinalityVote { kind: vote.kind, txid: rival(&vote.txid) })
            .collect();
        let early = self.workload.open().into_iter().next_back();
        votes.extend(early.map(|early| FinalityVote { kind: VoteKind::Final, txid: early.txid() }));
        let (chain_id, header) = (self.genesis.chain_id(), &batch.header);
        let version = VoteBatch::signed(&chain_id, header.epoch, header.validator, header.seq, votes, secret);
        let version = heard(&version);
        self.oracle.signed(&Message::VoteBatch(version.clone()));
        self.seen.equivocations += 1;
        self.versions.batches.insert(key, version.clone());
        version
    }

    /// Spoils what others have signed, or itself.
    fn forge(&mut self, message: Message) -> Message {
        let spoil = |signature: &mut Signature, random: u64| signature.0[(random % 64) as usize] ^= 1;
        let random = self.random.next();
        match message {
            Message::BlockVote(vote) => {
                Message::BlockVote(other(&*vote, |vote| spoil(&mut vote.signature, random)))
            }
            Message::Proposal(proposal) => {
                Message::Proposal(other(&*proposal, |proposal| spoil(&mut proposal.signature, random)))
            }
            Message::VoteBatch(batch) => Message::VoteBatch(other(&*batch, |batch| {
                if random.is_multiple_of(2) {
                    spoil(&mut batch.header.signature, random);
                } else {
                    batch.votes.pop();
                }
            })),
            Message::Heartbeat(heartbeat) => {
                Message::Heartbeat(other(&*heartbeat, |heartbeat| spoil(&mut heartbeat.signature, random)))
            }
            Message::Instance(mut statement) => {
                spoil(&mut Arc::make_mut(&mut statement).signature, random);
                Message::Instance(statement)
            }
            Message::Evidence(evidence) => Message::Evidence(self.false_evidence(&evidence)),
            Message::Certificates(mut certificates) => {
                if let Some(first) = certificates.first_mut() {
                    *first = other(&**first, |certificate| drop(certificate.votes.pop()));
                }
                Message::Certificates(certificates)
            }
            Message::Blocks(mut blocks) => {
                if let Some(first) = blocks.first_mut() {
                    *first = other(&**first, |block| {
                        if random.is_multiple_of(2) {
                            block.commit.signatures.pop();
                        } else {
                            block.block.transactions.pop();
                        }
                    });
                }
                Message::Blocks(blocks)
            }
            message => message,
        }
    }

    /// The same against somebody else.
    fn false_evidence(&mut self, evidence: &Evidence) -> Arc<Evidence> {
        let place = self.random.below(self.plan.validators);
        let other = self.id_of(place);
        let mut evidence = evidence.clone();
        match &mut evidence {
            Evidence::Votes(first, second) => (first.validator, second.validator) = (other, other),
            Evidence::Proposals(first, second) => (first.validator, second.validator) = (other, other),
            Evidence::Foreign(piece) => piece.vote.validator = other,
            Evidence::Locks(first, second) => {
                (first.vote.header.validator, second.vote.header.validator) = (other, other);
            }
        }
        Arc::new(evidence)
    }

    /// Says that it has what it has not, or that nothing more is to be had.
    fn lie(&mut self, message: Message) -> Message {
        match message {
            Message::Status(status) => {
                let more = self.random.between(1, 100);
                let batches = status
                    .batches
                    .iter()
                    .map(|held| HeldBatches { until: held.until + more, ..*held })
                    .collect();
                let height = if self.random.chance(300) { status.height + more } else { status.height };
                Message::Status(NodeStatus { height, batches, has_proposal: true, ..status })
            }
            Message::BatchesEnd { epoch, validator, before_seq } => {
                let more = if self.random.chance(100) { u64::MAX } else { self.random.between(0, 50) };
                Message::BatchesEnd { epoch, validator, before_seq: before_seq.saturating_add(more) }
            }
            Message::Blocks(_) => Message::Blocks(Vec::new()),
            message => message,
        }
    }
}
