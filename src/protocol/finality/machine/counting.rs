//! Votes: how they are counted, and what follows at each weight.

use super::bodies::Readiness;
use super::{Body, Entry, Machine};
use crate::protocol::finality::{Effect, UNKNOWN_VOTES_MAX, UNKNOWN_VOTES_OF_ALL_MAX};
use crate::protocol::validity::CheckedTransaction;
use crate::types::{Certificate, FinalityVote, Released, TxId, VoteBatch, VoteKind, VoteSource};

impl Machine {
    pub(super) fn on_batch(&mut self, batch: &Released<VoteBatch>, out: &mut Vec<Effect>) {
        if batch.header.epoch != self.epoch {
            return;
        }
        let Some(member) = self.set.index_of(&batch.header.validator) else { return };
        for (place, vote) in batch.votes.iter().enumerate() {
            self.count_vote(member, *vote, VoteSource::Batch(batch.clone(), place), out);
        }
    }

    pub(super) fn on_certificate(&mut self, certificate: &Released<Certificate>, out: &mut Vec<Effect>) {
        if certificate.epoch != self.epoch {
            return;
        }
        for (place, proof) in certificate.votes.iter().enumerate() {
            if let Some(member) = self.set.index_of(&proof.header.validator) {
                let source = VoteSource::Certificate(certificate.clone(), place);
                self.count_vote(member, certificate.vote, source, out);
            }
        }
    }

    /// Votes for transactions without a body that one member may have here.
    pub(super) fn unknown_votes_max(&self) -> u32 {
        let share = UNKNOWN_VOTES_OF_ALL_MAX.checked_div(self.set.len()).unwrap_or(0);
        u32::try_from(share).unwrap_or(u32::MAX).min(UNKNOWN_VOTES_MAX)
    }

    /// Counts a vote once; false when it changes nothing.
    fn tally_vote(&mut self, member: usize, vote: FinalityVote, source: VoteSource) -> bool {
        let txid = vote.txid;
        let is_known = self.entries.get(&txid).is_some_and(|entry| !matches!(entry.body, Body::Missing));
        // A certificate is bounded by what this node asked for, so it is never turned away.
        let is_bounded = !is_known && matches!(source, VoteSource::Batch(..));
        let count = self.unknown_votes.get(member).copied();
        if is_bounded && count.is_none_or(|count| count >= self.unknown_votes_max()) {
            return false;
        }
        let entry = self.entries.get_or_default(txid);
        let tally = match vote.kind {
            VoteKind::Lock => &mut entry.lock_votes,
            VoteKind::Final => &mut entry.final_votes,
        };
        if !tally.add(&self.set, member, source) {
            return false;
        }
        if !is_known && let Some(count) = self.unknown_votes.get_mut(member) {
            *count = count.saturating_add(1);
        }
        true
    }

    fn count_vote(&mut self, member: usize, vote: FinalityVote, source: VoteSource, out: &mut Vec<Effect>) {
        let txid = vote.txid;
        if self.settled.contains(&txid) || !self.tally_vote(member, vote, source) {
            return;
        }
        match vote.kind {
            VoteKind::Lock => {
                self.look_for_contradiction(member, txid, out);
                self.count_lock(txid, out);
            }
            VoteKind::Final => self.count_final(member, txid, out),
        }
    }

    fn count_lock(&mut self, txid: TxId, out: &mut Vec<Effect>) {
        let Some(entry) = self.entries.get(&txid) else { return };
        let (weight, is_certified) = (entry.lock_votes.weight(), entry.certified.is_some());
        if self.set.exceeds_third(weight) {
            self.want_body(txid);
        }
        if weight >= self.set.quorum() && !is_certified {
            self.certify(txid, out);
        }
    }

    fn count_final(&mut self, member: usize, txid: TxId, out: &mut Vec<Effect>) {
        let Some(entry) = self.entries.get_mut(&txid) else { return };
        let weight = entry.final_votes.weight();
        if entry.certified.is_none() {
            self.wanted_certificates.entry(member).or_default().insert(txid);
        }
        let becomes_final = weight >= self.set.quorum() && !entry.is_final;
        entry.is_final |= becomes_final;
        let body = becomes_final.then(|| entry.body.clone());
        if self.set.exceeds_third(weight) {
            self.want_body(txid);
        }
        match body {
            Some(Body::Resident(transaction)) => self.announce_final(transaction, out),
            Some(Body::Spilled) => out.push(Effect::LoadBody(txid)),
            // Told once its body is here.
            Some(Body::Missing | Body::Unchecked(_)) | None => {}
        }
    }

    /// Enough votes say that there is such a transaction: its body is asked for, unless it is here.
    fn want_body(&mut self, txid: TxId) {
        let lacks = |entry: &Entry| matches!(entry.body, Body::Missing) && !entry.dead;
        if self.entries.get(&txid).is_some_and(lacks) {
            self.wanted_bodies.insert(txid);
        }
    }

    fn certify(&mut self, txid: TxId, out: &mut Vec<Effect>) {
        let place = self.next_certified;
        self.next_certified = place.saturating_add(1);
        self.want_no_certificate(&txid);
        let Some(entry) = self.entries.get_mut(&txid) else { return };
        entry.certified = Some(place);
        self.certified.insert(place, txid);
        match &entry.body {
            Body::Resident(transaction) => {
                self.certified_bytes = self.certified_bytes.saturating_add(transaction.encoded_bytes());
                // It is not bounded as one that waits any more, so it does not wait either: its votes decide.
                self.stop_waiting(&txid);
                self.remove_unlocked(txid);
            }
            // A copy is no body yet. Nobody is asked for another one while it waits for its parent.
            Body::Unchecked(_) => {
                self.wanted_bodies.insert(txid);
            }
            Body::Spilled => out.push(Effect::LoadBody(txid)),
            Body::Missing => self.want_body(txid),
        }
        out.push(Effect::Certified(txid));
        self.vote_final(txid, out);
    }

    /// The certificate is here, or the transaction in the chain.
    pub(super) fn want_no_certificate(&mut self, txid: &TxId) {
        let Some(entry) = self.entries.get(txid) else { return };
        for member in entry.final_votes.voters() {
            if let Some(wanted) = self.wanted_certificates.get_mut(&member) {
                wanted.remove(txid);
                if wanted.is_empty() {
                    self.wanted_certificates.remove(&member);
                }
            }
        }
    }

    /// Rule 3: the outputs of a final transaction can be spent; those who waited for them are tried again.
    pub(super) fn announce_final(&mut self, transaction: CheckedTransaction, out: &mut Vec<Effect>) {
        let txid = transaction.txid();
        out.push(Effect::Finalized(transaction));
        self.wake(txid, Readiness::Spendable);
    }
}
