//! What becomes of a message: which part hears it, what is checked first, and whether it is passed on.
//!
//! | message | heard by | passed on |
//! |---|---|---|
//! | votes on payments | finality | when they were new |
//! | proposals, votes for blocks | blocks, for the next height; the last height's precommits too | when they were new |
//! | either, one height or epoch ahead | [`peers::early`](super::peers::early) | when they are looked at |
//! | questions | answered from shared data, away from this thread | no |
//! | answers | whoever asked | no |
//! | transactions | admission | by admission |
//! | evidence, heartbeats | evidence, heartbeats | when they were new |
//! | statements of instances | [`instances`](super::instances) | when they were new |
//! | votes under the own key, of heights of this epoch that are over | whether a copy said them | no |
//!
//! To add a kind of message, see the head of [`crate::network`].

use std::sync::Arc;

use super::dispatch::{Consensus, moment};
use super::events::{Answer, BatchesEnd, Notification, Output, Recipient};
use super::moment::Moment;
use super::outbox::Fact;
use super::verify::{CertificateChecks, VerifyError, Voters, epoch_of, verify};
use crate::network::PeerId;
use crate::protocol::bft::Input;
use crate::types::limits::{
    REQUEST_BATCHES_MAX, REQUEST_BLOCKS_MAX, REQUEST_CERTIFICATES_MAX, REQUEST_IDS_MAX,
};
use crate::types::message::NodeStatus;
use crate::types::{
    Certificate, CommittedBlock, Epoch, MasternodeId, Message, Released, TxId, VoteBatch, VoteKind,
};

impl Consensus {
    pub(super) fn on_message(&mut self, from: PeerId, message: Message, verified: bool) {
        match message {
            Message::Status(status) => self.on_status(from, status),
            Message::Transaction(transaction) => {
                self.out.push(Output::CheckTransactions(from, vec![transaction]));
            }
            Message::Transactions(transactions) => {
                self.out.push(Output::CheckTransactions(from, transactions));
            }
            Message::VoteBatch(batch) => self.on_batch(from, batch, verified),
            Message::Proposal(_) | Message::BlockVote(_) => self.on_block_message(from, message, verified),
            Message::GetTransactions(ids) => self.serve_transactions(from, &ids),
            Message::GetCertificates(kind, ids) => self.serve_certificates(from, kind, &ids),
            Message::Certificates(certificates) => self.on_certificates(from, certificates),
            Message::GetBatches { epoch, validator, from_seq, count } => {
                self.serve_batches(from, (epoch, validator), from_seq, count);
            }
            Message::BatchesEnd { epoch, validator, before_seq } => {
                self.on_batches_end(from, (epoch, validator), before_seq);
            }
            Message::GetBlocks { from: first, count } => {
                let count = count.min(REQUEST_BLOCKS_MAX);
                self.out.serve(Recipient::Peer(from), Answer::Blocks { from: first, count });
            }
            Message::Blocks(blocks) => self.on_blocks(from, &blocks),
            Message::Evidence(piece) => {
                self.evidence.on_message(from, piece, &moment!(self), &mut self.out);
            }
            Message::Heartbeat(heartbeat) => {
                let at = moment!(self);
                self.heartbeats.on_message(from, heartbeat, &self.finality, &at, &mut self.out);
            }
            Message::Instance(statement) => {
                self.instances.on_message(from, statement, &moment!(self), &mut self.out);
            }
            // These are the network's own.
            Message::Ping(_)
            | Message::Pong(_)
            | Message::GetMasternodes
            | Message::Masternodes(_)
            | Message::Neighbours(_) => {}
            // Admission's.
            Message::Announce(_) => {}
            // `app/admission.rs` answers what is asked of snapshots, and nothing is asked for once consensus runs.
            Message::GetSnapshots
            | Message::Snapshots(_)
            | Message::GetSnapshotItem { .. }
            | Message::SnapshotItem { .. } => {}
        }
    }

    // -- votes ----------------------------------------------------------------------------------------------------

    /// Holds a signed message to its epoch's set; false (and the peer is told off) when it fails.
    fn admit(&mut self, from: PeerId, message: &Message, voters: &Voters, verified: bool) -> bool {
        if verified {
            return true;
        }
        match verify(message, voters, self.chain.verifier()) {
            Ok(()) => true,
            // Sets change; a peer that relays the vote of a stranger may just be at another height.
            Err(VerifyError::UnknownValidator) => false,
            Err(_) => {
                self.out.misbehaved(from, "bad vote");
                false
            }
        }
    }

    fn on_batch(&mut self, from: PeerId, batch: Released<VoteBatch>, verified: bool) {
        let epoch = self.finality.machine().epoch();
        let message = Message::VoteBatch(batch.clone());
        if batch.header.epoch != epoch {
            if batch.header.epoch == epoch.saturating_add(1) {
                self.keep_early(from, message);
            }
            return;
        }
        let voters = self.chain.voters();
        let is_known = self.finality.is_known(&batch);
        let is_own = self.signer.answers_for(&self.chain, batch.header.validator, epoch);
        // What is known needs no second look, unless it is under this node's own key.
        if (is_known && !is_own) || !self.admit(from, &message, &voters, verified) {
            return;
        }
        if is_own && self.finality.is_foreign(&batch) {
            self.out.tell(Fact::KeyCopied("a batch of finality votes"));
        }
        if is_known {
            return;
        }
        self.tell_votes(from, &batch);
        if self.finality.receive_batch(batch, &moment!(self), &mut self.out) {
            self.check_closing_due();
            self.out.relay(message, Some(from));
        }
    }

    /// Tells readers of votes, before what follows from them.
    fn tell_votes(&mut self, from: PeerId, batch: &Released<VoteBatch>) {
        let member = self.finality.machine().validators().index_of(&batch.header.validator);
        let asked = &mut self.peers.batches;
        let was_asked =
            member.is_some_and(|member| asked.note(&from, member, batch.header.seq, self.now.monotonic_ms));
        self.out.notify(Notification::VotesHeard { batch: batch.clone(), was_asked });
    }

    fn on_block_message(&mut self, from: PeerId, message: Message, verified: bool) {
        let next = self.chain.next_height();
        let height = match &message {
            Message::Proposal(proposal) => proposal.block.header.height,
            Message::BlockVote(vote) => vote.height,
            _ => return,
        };
        if height == next.saturating_add(1) || (height == next && self.blocks.is_committing()) {
            self.keep_early(from, message);
        } else if height == next {
            let voters = self.chain.voters();
            if epoch_of(&message) == Some(voters.epoch) && self.admit(from, &message, &voters, verified) {
                self.receive_block_message(from, message);
            }
        } else if height < next {
            self.check_past(from, &message);
            if height == self.chain.height() {
                self.on_late_vote(from, message);
            }
        }
    }

    /// A verified one of the next height.
    fn receive_block_message(&mut self, from: PeerId, message: Message) {
        let epoch = self.chain.epoch();
        let answers_for = |validator| self.signer.answers_for(&self.chain, validator, epoch);
        let (input, foreign) = match &message {
            Message::Proposal(proposal) => {
                let is_own = answers_for(proposal.validator);
                let foreign = is_own && self.blocks.is_foreign_proposal(proposal);
                (Input::ProposalReceived(proposal.clone()), foreign.then_some("a proposal"))
            }
            Message::BlockVote(vote) => {
                let foreign = answers_for(vote.validator) && self.blocks.is_foreign_vote(vote);
                (Input::VoteReceived(vote.clone()), foreign.then_some("a vote for a block"))
            }
            _ => return,
        };
        if let Some(what) = foreign {
            self.out.tell(Fact::KeyCopied(what));
            self.settle();
        }
        if let Message::Proposal(proposal) = &message {
            self.ask_for_bodies(from, &proposal.block.txids);
        }
        let (at, finality) = (moment!(self), &mut self.finality);
        if self.blocks.receive(input, finality, &self.evidence, &at, &mut self.out) {
            if let Message::BlockVote(vote) = &message {
                self.out.tell_precommit(vote);
            }
            self.out.relay(message, Some(from));
        }
    }

    /// What this node's key said at a height of this epoch that is over, the journal knows. What it does not know, another
    /// node said.
    fn check_past(&mut self, from: PeerId, message: &Message) {
        let (epoch, validator) = match message {
            Message::Proposal(proposal) => (proposal.block.header.epoch, proposal.validator),
            Message::BlockVote(vote) => (vote.epoch, vote.validator),
            _ => return,
        };
        let is_own = epoch == self.chain.epoch() && self.signer.answers_for(&self.chain, validator, epoch);
        if !is_own || !self.blocks.is_foreign_past(message) {
            return;
        }
        let voters = self.chain.voters();
        if self.admit(from, message, &voters, false) {
            self.out.tell(Fact::KeyCopied("a vote of a height that is over"));
        }
    }

    /// A precommit for the tip: the next block's `last_commit` gets it.
    fn on_late_vote(&mut self, from: PeerId, message: Message) {
        let Message::BlockVote(vote) = &message else { return };
        let tip = self.chain.state().tip_validators();
        let chain_id = *self.chain.chain_id();
        let voters = Voters { chain_id, epoch: tip.epoch, set: Arc::clone(&tip.set) };
        let vote = vote.clone();
        if vote.epoch == voters.epoch
            && self.blocks.wants_late(&vote)
            && self.admit(from, &message, &voters, false)
            && self.blocks.receive_late(vote.clone())
        {
            self.out.tell_precommit(&vote);
            self.out.relay(message, Some(from));
        }
    }

    fn ask_for_bodies(&mut self, from: PeerId, txids: &[TxId]) {
        let machine = self.finality.machine();
        let missing: Vec<TxId> = txids
            .iter()
            .filter(|txid| machine.transaction(txid).is_none())
            .take(REQUEST_IDS_MAX)
            .copied()
            .collect();
        if !missing.is_empty() {
            self.out.send(from, Message::GetTransactions(missing));
        }
    }

    /// A message of the next height or epoch is kept if a set that may be its own has signed it.
    fn keep_early(&mut self, from: PeerId, message: Message) {
        if self.peers.is_connected(&from) {
            let mut voters = self.blocks.next_voters();
            voters.push(self.chain.voters());
            self.peers.early.keep(from, message, &voters, self.chain.verifier());
        }
    }

    /// A height or epoch began: what came early for it is looked at now. Who said more of a new epoch than could be kept
    /// is asked for its votes at once.
    pub(super) fn replay_early(&mut self, is_new_epoch: bool) {
        let (messages, said_more) = self.peers.early.take();
        for (from, message) in messages {
            self.on_message(from, message, false);
        }
        if is_new_epoch {
            let epoch = self.chain.epoch();
            let members = self.chain.state().validators().members().iter().map(|member| member.id);
            for validator in members.collect::<Vec<_>>() {
                for peer in &said_more {
                    let count = REQUEST_BATCHES_MAX;
                    self.out.send(*peer, Message::GetBatches { epoch, validator, from_seq: 0, count });
                }
            }
        }
    }

    /// Only what would prove something new is looked at, and only up to the first bad one.
    fn on_certificates(&mut self, from: PeerId, certificates: Vec<Released<Certificate>>) {
        let voters = self.chain.voters();
        let mut checks = CertificateChecks::default();
        let mut held = Vec::new();
        for certificate in certificates {
            if certificate.epoch != voters.epoch || self.finality.is_proved(&certificate.vote) {
                continue;
            }
            match checks.check(&certificate, &voters, self.chain.verifier()) {
                Ok(()) => held.push(certificate),
                // Sets change; a peer may just be at another height.
                Err(VerifyError::UnknownValidator) => {}
                Err(_) => {
                    self.out.misbehaved(from, "bad certificate");
                    break;
                }
            }
        }
        if !held.is_empty() {
            self.finality.receive_certificates(held, &moment!(self), &mut self.out);
            self.check_closing_due();
        }
    }

    // -- answers --------------------------------------------------------------------------------------------------

    fn serve_transactions(&mut self, to: PeerId, ids: &[TxId]) {
        let (mut resident, mut journaled) = (Vec::new(), Vec::new());
        for txid in ids.iter().take(REQUEST_IDS_MAX) {
            match self.finality.machine().transaction(txid) {
                Some(checked) => resident.push(Arc::clone(checked.transaction())),
                None => journaled.push(*txid),
            }
        }
        self.out.serve(Recipient::Peer(to), Answer::Transactions { resident, journaled });
    }

    fn serve_certificates(&mut self, to: PeerId, kind: VoteKind, ids: &[TxId]) {
        let ids = ids.get(..ids.len().min(REQUEST_CERTIFICATES_MAX)).unwrap_or_default();
        let parts = self.finality.certificate_parts(kind, ids);
        if !parts.is_empty() {
            self.out.serve(Recipient::Peer(to), Answer::Certificates(parts));
        }
    }

    fn serve_batches(
        &mut self,
        to: PeerId,
        (epoch, validator): (Epoch, MasternodeId),
        from_seq: u64,
        count: u64,
    ) {
        let machine = self.finality.machine();
        let Some(member) = machine.validators().index_of(&validator) else { return };
        if epoch != machine.epoch() {
            return;
        }
        let count = count.min(REQUEST_BATCHES_MAX);
        let held = self.finality.batches();
        let batches = held.range(member, from_seq, count).cloned().collect();
        // What is settled need not be asked for, range after range.
        let behind = from_seq.saturating_add(count);
        let before_seq = held.next_kept(member, behind).unwrap_or(behind);
        let end = BatchesEnd { epoch, validator, before_seq };
        self.out.serve(Recipient::Peer(to), Answer::Batches { batches, end });
    }

    // -- what peers say of themselves, and what they answer ---------------------------------------------------------

    fn on_status(&mut self, from: PeerId, status: NodeStatus) {
        // It may have been on its way when the connection was lost.
        if !self.peers.is_connected(&from) {
            return;
        }
        let is_level = status.height == self.chain.height() && status.tip == self.chain.state().tip_hash();
        let (height, tip) = (status.height, status.tip);
        if is_level && !self.blocks.is_committing() {
            let at = moment!(self);
            self.blocks.push_votes(from, &status, &at, &mut self.out);
            self.peers.note_status(from, status);
            self.peers.pull(from, &self.finality, &at, &mut self.out);
        } else {
            self.peers.note_status(from, status);
            if self.chain.has_other_block(height, tip) {
                self.suspect_fork(from, height);
            }
        }
        self.check_closing_due();
        self.poll_sync();
    }

    fn on_batches_end(&mut self, from: PeerId, (epoch, validator): (Epoch, MasternodeId), before_seq: u64) {
        let machine = self.finality.machine();
        let Some(member) = machine.validators().index_of(&validator) else { return };
        if epoch == machine.epoch() {
            let (end, at) = ((member, before_seq), moment!(self));
            self.peers.on_batches_end(from, end, &self.finality, &at, &mut self.out);
        }
    }

    fn on_blocks(&mut self, from: PeerId, blocks: &[Released<CommittedBlock>]) {
        let at = moment!(self);
        let next = self.blocks.height_behind(&at).saturating_add(1);
        if self.sync.on_blocks(from, blocks, next, &at, &mut self.out) {
            self.poll_sync();
        } else if let [block] = blocks {
            let found = self.forks.on_block(from, block, &at, &mut self.out);
            self.on_fork(found);
        }
    }
}
