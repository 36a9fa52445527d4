//! What peers say, what they are told, and what they are asked for.
//!
//! Gossip is pushed once as it happens; what got lost is found by comparing [`NodeStatus`] with each peer every
//! [`STATUS_INTERVAL_MS`](super::STATUS_INTERVAL_MS): a node pushes the votes of a round that the peer lacks, and pulls
//! the batches, certificates, bodies and blocks that it lacks itself. So any finite loss heals, restarts and
//! partitions included.
//!
//! # Invariants
//! - INV-GOSSIP-1: every answer is bounded by `limits.rs`, whatever was asked for.
//! - INV-GOSSIP-2: early messages are kept per peer and within a bound, the peer's own oldest go first; they are
//!   checked when their epoch or height begins.
//! - INV-GOSSIP-3: a node relays a message once: only when it was new, and is kept (a second batch under one number:
//!   noted). What is dropped would be new again each time it comes back, and peers would send it to each other for ever.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::verify::{VerifyError, Voters, epoch_of, verify, verify_certificates};
use super::{Core, EARLY_MESSAGES_MAX, Output};
use crate::network::PeerId;
use crate::protocol::bft::Input;
use crate::protocol::finality;
use crate::types::codec::encode;
use crate::types::limits::{REQUEST_BLOCKS_MAX, REQUEST_IDS_MAX, RESPONSE_BYTES_MAX};
use crate::types::message::NodeStatus;
use crate::types::{Certificate, FinalityVote, Message, Transaction, TxId, VoteKind, VoteStep};

/// Certificates that are put into one message, at most.
pub(super) const CERTIFICATES_PER_MESSAGE: usize = 256;

impl Core {
    pub(super) fn on_message(&mut self, from: PeerId, message: Message, verified: bool) {
        match message {
            Message::Status(status) => self.on_status(from, status),
            Message::Transaction(transaction) => {
                self.out.push(Output::CheckTransactions(from, vec![transaction]));
            }
            Message::Transactions(transactions) => {
                self.out.push(Output::CheckTransactions(from, transactions));
            }
            Message::VoteBatch(_) => self.on_batch_message(from, message, verified),
            Message::Proposal(_) | Message::BlockVote(_) => self.on_block_message(from, message, verified),
            Message::GetTransactions(ids) => self.serve_transactions(from, &ids),
            Message::GetCertificates(kind, ids) => self.serve_certificates(from, kind, &ids),
            Message::Certificates(certificates) => self.on_certificates(from, &certificates),
            Message::GetBatches { epoch, validator, from_seq, count } => {
                self.serve_batches(from, epoch, validator, from_seq, count);
            }
            Message::BatchesSettled { epoch, validator, before_seq, height } => {
                self.on_batches_settled(from, epoch, validator, before_seq, height);
            }
            Message::GetBlocks { from: first, count } => {
                let count = count.min(REQUEST_BLOCKS_MAX);
                self.out.push(Output::ServeBlocks { to: from, from: first, count });
            }
            Message::Blocks(blocks) => self.on_blocks(from, blocks),
            Message::Evidence(evidence) => self.on_evidence_message(from, evidence),
            Message::Heartbeat(heartbeat) => self.on_heartbeat(from, heartbeat),
            // These are the network's own.
            Message::Ping(_) | Message::Pong(_) | Message::GetMasternodes | Message::Masternodes(_) => {}
        }
    }

    // -- votes ----------------------------------------------------------------------------------------------------

    /// Holds a signed message to its epoch's set; false (and the peer is told off) when it fails.
    fn admit(&mut self, from: PeerId, message: &Message, voters: &Voters, verified: bool) -> bool {
        if verified {
            return true;
        }
        match verify(message, voters, &*self.config.verifier) {
            Ok(()) => true,
            // Sets change; a peer that relays the vote of a stranger may just be at another height.
            Err(VerifyError::UnknownValidator) => false,
            Err(VerifyError::NotBound | VerifyError::Malformed | VerifyError::BadSignature) => {
                self.out.push(Output::Misbehaved(from, "bad vote"));
                false
            }
        }
    }

    fn on_batch_message(&mut self, from: PeerId, message: Message, verified: bool) {
        let epoch = self.finality.epoch();
        match epoch_of(&message) {
            Some(named) if named == epoch => {
                let Message::VoteBatch(batch) = &message else { return };
                let member = self.finality.validators().index_of(&batch.header.validator);
                let (batch, voters) = (Arc::clone(batch), self.voters());
                let is_known = |member| {
                    self.batches.has(member, batch.header.seq) && !self.batches.takes_other(member, &batch)
                };
                if member.is_none_or(is_known) {
                    // What is known needs no second look, unless it is under this node's own key.
                    if self.own_seat() == Some(batch.header.validator)
                        && self.admit(from, &message, &voters, verified)
                    {
                        self.check_own_batch(&batch);
                    }
                    return;
                }
                if !self.admit(from, &message, &voters, verified) {
                    return;
                }
                self.check_own_batch(&batch);
                if self.count_batch(batch) {
                    self.out.push(Output::Relay(message, Some(from)));
                }
            }
            Some(named) if named == epoch.saturating_add(1) => self.keep_early(from, message),
            _ => {}
        }
    }

    fn on_block_message(&mut self, from: PeerId, message: Message, verified: bool) {
        let next = self.next_height();
        let height = match &message {
            Message::Proposal(proposal) => proposal.block.header.height,
            Message::BlockVote(vote) => vote.height,
            _ => return,
        };
        if height == next.saturating_add(1) || (height == next && self.is_committing()) {
            self.keep_early(from, message);
        } else if height == next {
            let voters = self.voters();
            if epoch_of(&message) != Some(voters.epoch) || !self.admit(from, &message, &voters, verified) {
                return;
            }
            let input = match &message {
                Message::Proposal(proposal) => Input::ProposalReceived(Arc::clone(proposal)),
                Message::BlockVote(vote) => Input::VoteReceived(Arc::clone(vote)),
                _ => return,
            };
            match &message {
                Message::Proposal(proposal) => {
                    self.check_own_proposal(proposal);
                    self.ask_for_bodies(from, &proposal.block.txids);
                }
                Message::BlockVote(vote) => self.check_own_vote(vote),
                _ => {}
            }
            if self.bft.is_new(&input) {
                self.bft_inputs.push_back(input.clone());
                self.drive();
                if !self.bft.is_new(&input) {
                    self.out.push(Output::Relay(message, Some(from)));
                }
            }
        } else if height == self.state.height() {
            self.on_late_vote(from, &message);
        }
    }

    /// A precommit for the tip: the next block's `last_commit` gets it.
    fn on_late_vote(&mut self, from: PeerId, message: &Message) {
        let Message::BlockVote(vote) = message else { return };
        if vote.step != VoteStep::Precommit || self.previous_bft.is_none() {
            return;
        }
        let tip = self.state.tip_validators();
        let voters = Voters { chain_id: *self.state.chain_id(), epoch: tip.epoch, set: Arc::clone(&tip.set) };
        let input = Input::VoteReceived(Arc::clone(vote));
        let is_new = self.previous_bft.as_ref().is_some_and(|machine| machine.is_new(&input));
        if vote.epoch == tip.epoch
            && is_new
            && self.admit(from, message, &voters, false)
            && let Some(machine) = &mut self.previous_bft
        {
            // A decided machine only collects, and of the deciding round alone.
            drop(machine.step(input.clone()));
            if !machine.is_new(&input) {
                self.out.push(Output::Relay(message.clone(), Some(from)));
            }
        }
    }

    fn ask_for_bodies(&mut self, from: PeerId, txids: &[TxId]) {
        let missing: Vec<TxId> = txids
            .iter()
            .filter(|txid| self.finality.transaction(txid).is_none())
            .take(REQUEST_IDS_MAX)
            .copied()
            .collect();
        if !missing.is_empty() {
            self.out.push(Output::Send(from, Message::GetTransactions(missing)));
        }
    }

    fn keep_early(&mut self, from: PeerId, message: Message) {
        if !self.peers.contains_key(&from) {
            return;
        }
        let queue = self.early.entry(from).or_default();
        if queue.len() >= EARLY_MESSAGES_MAX {
            queue.pop_front();
        }
        queue.push_back(message);
    }

    /// A height or epoch began: what came early for it is looked at now.
    pub(super) fn replay_early(&mut self) {
        for (from, messages) in std::mem::take(&mut self.early) {
            for message in messages {
                self.on_message(from, message, false);
            }
        }
    }

    fn on_certificates(&mut self, from: PeerId, certificates: &[Arc<Certificate>]) {
        let voters = self.voters();
        let wanted: Vec<Arc<Certificate>> = certificates
            .iter()
            .filter(|certificate| certificate.epoch == voters.epoch && !self.is_proved(&certificate.vote))
            .cloned()
            .collect();
        match verify_certificates(&wanted, &voters, &*self.config.verifier) {
            Ok(()) => {
                for certificate in wanted {
                    self.step_finality(finality::Input::CertificateReceived(certificate));
                }
                self.schedule_flush();
                self.check_closing_due();
            }
            Err(VerifyError::UnknownValidator) => {}
            Err(_) => self.out.push(Output::Misbehaved(from, "bad certificate")),
        }
    }

    fn is_proved(&self, vote: &FinalityVote) -> bool {
        match vote.kind {
            VoteKind::Lock => self.finality.is_certified(&vote.txid),
            VoteKind::Final => self.finality.is_final(&vote.txid),
        }
    }

    // -- answers --------------------------------------------------------------------------------------------------

    fn serve_transactions(&mut self, to: PeerId, ids: &[TxId]) {
        let mut bytes = 0_usize;
        let mut found: Vec<Arc<Transaction>> = Vec::new();
        for txid in ids.iter().take(REQUEST_IDS_MAX) {
            let resident = self.finality.transaction(txid).map(|checked| Arc::clone(checked.transaction()));
            if let Some(transaction) = resident.or_else(|| self.bodies.body(txid)) {
                bytes = bytes.saturating_add(encode(&*transaction).len());
                found.push(transaction);
            }
            if bytes >= RESPONSE_BYTES_MAX {
                break;
            }
        }
        if !found.is_empty() {
            self.out.push(Output::Send(to, Message::Transactions(found)));
        }
    }

    fn serve_certificates(&mut self, to: PeerId, kind: VoteKind, ids: &[TxId]) {
        let found: Vec<Arc<Certificate>> = ids
            .iter()
            .filter_map(|txid| self.finality.certificate(FinalityVote { kind, txid: *txid }))
            .take(CERTIFICATES_PER_MESSAGE)
            .map(Arc::new)
            .collect();
        if !found.is_empty() {
            self.out.push(Output::Send(to, Message::Certificates(found)));
        }
    }

    // -- status ---------------------------------------------------------------------------------------------------

    pub(super) fn on_peer_connected(&mut self, peer: PeerId) {
        self.peers.insert(peer, None);
        let status = self.status();
        self.out.push(Output::Send(peer, Message::Status(status)));
        for evidence in self.evidence.iter() {
            self.out.push(Output::Send(peer, Message::Evidence(Arc::clone(evidence))));
        }
        self.start_listening();
    }

    pub(super) fn on_peer_disconnected(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
        self.early.remove(peer);
        self.forget_other_chain(peer);
        self.sync.forget(peer);
        self.batch_requests.forget_peer(peer);
    }

    /// Where this node stands.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        let round = self.bft.round();
        NodeStatus {
            height: self.state.height(),
            tip: self.state.tip_hash(),
            epoch: self.finality.epoch(),
            round,
            has_proposal: self.bft.has_whole_proposal(round),
            prevotes: self.bft.prevotes_bitmap(round),
            precommits: self.bft.precommits_bitmap(round),
            batches: self.batches.counts(),
        }
    }

    fn on_status(&mut self, from: PeerId, status: NodeStatus) {
        // It may have been on its way when the connection was lost.
        if !self.peers.contains_key(&from) {
            return;
        }
        if status.height == self.state.height()
            && status.tip == self.state.tip_hash()
            && !self.is_committing()
        {
            self.push_votes(from, &status);
            self.pull_batches(from, &status);
        } else if self.has_other_block(status.height, status.tip) {
            self.ask_about_fork(from, status.height);
        }
        if let Some(known) = self.peers.get_mut(&from) {
            *known = Some(status);
        }
        self.check_closing_due();
        self.poll_sync();
    }

    /// The votes of the round that a peer lacks, and the proposal with its proof of lock.
    fn push_votes(&mut self, to: PeerId, status: &NodeStatus) {
        let round = self.bft.round();
        if status.round > round {
            return;
        }
        let same = status.round == round;
        if !(same && status.has_proposal)
            && let Some(proposal) = self.bft.proposal(round).map(Arc::clone)
        {
            if let Some(pol_round) = proposal.pol_round {
                let hash = proposal.block.header.hash();
                for vote in self.bft.proof_of_lock_votes(pol_round, hash) {
                    self.out.push(Output::Send(to, Message::BlockVote(vote)));
                }
            }
            self.out.push(Output::Send(to, Message::Proposal(proposal)));
        }
        // A peer in an earlier round may lack the votes that would let it leave that round, and those who cast them
        // have gone on: alone they may be too few to draw it along.
        if !same {
            for vote in self.bft.votes_for_peer(status.round, &status.prevotes, &status.precommits) {
                self.out.push(Output::Send(to, Message::BlockVote(vote)));
            }
        }
        let nobody = crate::types::SignerBitmap::default();
        let (prevotes, precommits) =
            if same { (&status.prevotes, &status.precommits) } else { (&nobody, &nobody) };
        for vote in self.bft.votes_for_peer(round, prevotes, precommits) {
            self.out.push(Output::Send(to, Message::BlockVote(vote)));
        }
    }

    /// Tells all peers where this node stands, and asks one of them for what has been lacking for a while.
    pub(super) fn tick_status(&mut self) {
        let status = self.status();
        self.out.push(Output::Relay(Message::Status(status), None));
        self.check_searches();
        self.poll_sync();
        let (mut bodies, mut certificates) = self.lacking_for_blocks();
        bodies.extend(self.finality.wanted_bodies());
        certificates.extend(self.finality.wanted_certificates());
        let unfinished: Vec<TxId> = self.finality.unfinished().take(REQUEST_IDS_MAX).collect();
        let lacking: BTreeSet<TxId> =
            bodies.iter().chain(&certificates).chain(&unfinished).copied().collect();
        // What was not lacking at the last tick is probably on its way.
        let aged = |ids: Vec<TxId>, before: &BTreeSet<TxId>| -> Vec<TxId> {
            ids.into_iter().filter(|txid| before.contains(txid)).take(REQUEST_IDS_MAX).collect()
        };
        let before = std::mem::replace(&mut self.lacking, lacking);
        let requests = [
            (aged(bodies, &before), None),
            (aged(certificates, &before), Some(VoteKind::Lock)),
            (aged(unfinished, &before), Some(VoteKind::Final)),
        ];
        for (mut ids, kind) in requests {
            if ids.is_empty() {
                continue;
            }
            let message = match kind {
                None => Message::GetTransactions(ids),
                Some(kind) => {
                    ids.truncate(CERTIFICATES_PER_MESSAGE);
                    Message::GetCertificates(kind, ids)
                }
            };
            if let Some(peer) = self.rotate_peer() {
                self.out.push(Output::Send(peer, message));
            }
        }
    }

    /// Another peer with each call, so that one that does not answer delays a request once.
    fn rotate_peer(&mut self) -> Option<PeerId> {
        let count = self.peers.len();
        if count == 0 {
            return None;
        }
        self.next_peer = self.next_peer.wrapping_add(1);
        self.peers.keys().nth(self.next_peer % count).copied()
    }
}
