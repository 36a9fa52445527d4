//! What peers are asked for: batches of votes, bodies and certificates.
//!
//! # Invariants
//! - INV-PULL-1: of each member's batches one range is asked for at a time, of one peer. A peer that does not answer
//!   within [`REQUEST_TIMEOUT_MS`] is passed over for as long again, if another one offers them.
//! - INV-PULL-2: what a peer's answer did not contain is not asked of it again for [`ASK_AGAIN_MS`]. That is all that the
//!   end of an answer does.
//! - INV-PULL-3: among the names of what is lacking each gets its turn, however many there are and whoever made them up.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::super::finality::ConsensusEngine;
use super::super::moment::Moment;
use super::super::outbox::Outbox;
use super::REQUEST_TIMEOUT_MS;
use crate::network::PeerId;
use crate::types::limits::{
    CERTIFICATE_VOTE_BYTES_MAX, REQUEST_BATCHES_MAX, REQUEST_CERTIFICATES_MAX, REQUEST_IDS_MAX,
    RESPONSE_BYTES_MAX,
};
use crate::types::message::{HeldBatches, NodeStatus};
use crate::types::{Message, TimeMs, TxId, VoteKind};

/// How long a peer is not asked again for numbers that its answer did not contain, in milliseconds.
const ASK_AGAIN_MS: u64 = 2_000;

#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: PeerId,
    until_seq: u64,
    deadline_ms: TimeMs,
}

/// Which batches were asked for, and of whom.
#[derive(Debug, Default)]
pub(in crate::consensus) struct BatchRequests {
    /// By the member's place in the epoch's set.
    asked: BTreeMap<usize, Asked>,
    /// For peer and member, below which number the peer has given what it holds, and until when that is relied on.
    answered: BTreeMap<(PeerId, usize), (u64, TimeMs)>,
}

impl BatchRequests {
    pub(in crate::consensus) fn forget_peer(&mut self, peer: &PeerId) {
        self.asked.retain(|_, asked| asked.peer != *peer);
        self.answered.retain(|(of, _), _| of != peer);
    }

    /// An epoch ended, and its numbers with it.
    pub(in crate::consensus) fn clear(&mut self) {
        self.asked.clear();
        self.answered.clear();
    }

    /// Whether `peer` was asked for this batch of a member, and has not ended its answer.
    pub(in crate::consensus) fn is_asked(&self, peer: &PeerId, member: usize, seq: u64) -> bool {
        self.asked.get(&member).is_some_and(|asked| asked.peer == *peer && seq < asked.until_seq)
    }

    /// Whether `peer` may be asked for a member's batches now.
    fn may_ask(&self, member: usize, peer: &PeerId, now_ms: TimeMs) -> bool {
        let Some(asked) = self.asked.get(&member) else { return true };
        let late_ms = now_ms.saturating_sub(asked.deadline_ms);
        now_ms >= asked.deadline_ms && (asked.peer != *peer || late_ms >= REQUEST_TIMEOUT_MS)
    }

    /// Asks a peer for batches that it holds and this node lacks.
    pub(in crate::consensus) fn pull(
        &mut self,
        from: PeerId,
        status: &NodeStatus,
        finality: &ConsensusEngine,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        if status.epoch == finality.machine().epoch() {
            for (member, held) in status.batches.iter().enumerate() {
                self.pull_of(member, from, *held, finality, at, out);
            }
        }
    }

    fn pull_of(
        &mut self,
        member: usize,
        from: PeerId,
        held: HeldBatches,
        finality: &ConsensusEngine,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        let now_ms = at.now_ms();
        let Some(validator) = finality.machine().validators().get(member).map(|validator| validator.id)
        else {
            return;
        };
        let answered = self.answered.get(&(from, member)).filter(|(_, until_ms)| now_ms < *until_ms);
        let first = held.from.max(answered.map_or(0, |(before, _)| *before));
        let Some(from_seq) = finality.batches().first_lacking(member, first, held.until) else { return };
        if !self.may_ask(member, &from, now_ms) {
            return;
        }
        let count = held.until.saturating_sub(from_seq).min(REQUEST_BATCHES_MAX);
        let until_seq = from_seq.saturating_add(count);
        let deadline_ms = now_ms.saturating_add(REQUEST_TIMEOUT_MS);
        self.asked.insert(member, Asked { peer: from, until_seq, deadline_ms });
        let epoch = finality.machine().epoch();
        out.send(from, Message::GetBatches { epoch, validator, from_seq, count });
    }

    /// The end of an answer: what was not in it is not asked of this peer again soon, and what follows is at once.
    pub(in crate::consensus) fn on_end(
        &mut self,
        from: PeerId,
        (member, before_seq): (usize, u64),
        status: Option<&NodeStatus>,
        finality: &ConsensusEngine,
        at: &Moment<'_>,
        out: &mut Outbox,
    ) {
        let Some(asked) = self.asked.get(&member).filter(|asked| asked.peer == from).copied() else { return };
        self.asked.remove(&member);
        let until_ms = at.now_ms().saturating_add(ASK_AGAIN_MS);
        self.answered.insert((from, member), (before_seq.min(asked.until_seq), until_ms));
        let status = status.filter(|status| status.epoch == finality.machine().epoch());
        if let Some(held) = status.and_then(|status| status.batches.get(member)) {
            self.pull_of(member, from, *held, finality, at, out);
        }
    }
}

/// Bodies and certificates that have been lacking for a while.
#[derive(Debug, Default)]
pub(in crate::consensus) struct Lacking {
    bodies: Turns,
    certificates: Turns,
    unfinished: Turns,
}

/// Names that were lacking at the last look, and the last one that was asked for.
#[derive(Debug, Default)]
struct Turns {
    before: BTreeSet<TxId>,
    last: Option<TxId>,
}

/// Names from behind this one on, and from the first one again, at most so many.
fn from_behind(names: &BTreeSet<TxId>, last: Option<TxId>, most: usize) -> impl Iterator<Item = TxId> {
    let first = last.map_or(Bound::Unbounded, Bound::Excluded);
    let behind = names.range((first, Bound::Unbounded));
    let up_to = names.iter().take_while(move |txid| last.is_some_and(|last| **txid <= last));
    behind.chain(up_to).take(most).copied()
}

/// How many certificates of a set of `members` fit into one answer.
fn certificates_per_request(members: usize) -> usize {
    let bytes = members.max(1).saturating_mul(CERTIFICATE_VOTE_BYTES_MAX);
    RESPONSE_BYTES_MAX.checked_div(bytes).unwrap_or(1).clamp(1, REQUEST_CERTIFICATES_MAX)
}

impl Turns {
    /// What is lacking now and was at the last look (the rest is probably on its way), beginning behind what was asked
    /// for last.
    fn next(&mut self, urgent: &[TxId], others: &BTreeSet<TxId>, most: usize) -> Vec<TxId> {
        let others = from_behind(others, self.last, REQUEST_IDS_MAX);
        let now: Vec<TxId> = urgent.iter().copied().chain(others).collect();
        let mut seen = BTreeSet::new();
        let is_due = |txid: &&TxId| self.before.contains(*txid) && seen.insert(**txid);
        let next: Vec<TxId> = now.iter().filter(is_due).take(most).copied().collect();
        self.last = next.last().copied().or(self.last);
        self.before = now.into_iter().collect();
        next
    }
}

impl Lacking {
    /// What to ask for now; bodies and certificates that blocks wait for come first.
    pub(in crate::consensus) fn requests(
        &mut self,
        (bodies, certificates): (Vec<TxId>, Vec<TxId>),
        finality: &ConsensusEngine,
    ) -> Vec<Message> {
        let machine = finality.machine();
        let most = certificates_per_request(machine.validators().len());
        let unfinished: Vec<TxId> = machine.unfinished().take(most).collect();
        let mut requests = Vec::new();
        let wanted = machine.wanted_bodies().collect();
        let ids = self.bodies.next(&bodies, &wanted, REQUEST_IDS_MAX);
        if !ids.is_empty() {
            requests.push(Message::GetTransactions(ids));
        }
        let wanted = machine.wanted_certificates().collect();
        let certificates = self.certificates.next(&certificates, &wanted, most);
        let unfinished = self.unfinished.next(&unfinished, &BTreeSet::new(), most);
        for (kind, ids) in [(VoteKind::Lock, certificates), (VoteKind::Final, unfinished)] {
            if !ids.is_empty() {
                requests.push(Message::GetCertificates(kind, ids));
            }
        }
        requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::codec::encode;
    use crate::types::limits::{BATCH_VOTES_MAX, VALIDATORS_MAX};
    use crate::types::{Certificate, ChainId, FinalityVote, MasternodeId, SecretKey, VoteBatch};

    #[test]
    fn a_name_that_is_wanted_twice_is_asked_for_once_and_what_blocks_wait_for_comes_first() {
        let [first, second, third] = [1, 2, 3].map(|byte| TxId([byte; 32]));
        let others = BTreeSet::from([first, second]);
        let mut turns = Turns::default();
        assert!(turns.next(&[third, second], &others, 100).is_empty());
        assert_eq!(turns.next(&[third, second], &others, 100), [third, second, first]);
        assert_eq!(turns.next(&[third, second], &others, 2), [third, second]);
    }

    /// INV-PULL-3.
    #[test]
    fn each_name_gets_its_turn_however_many_are_made_up() {
        let name = |number: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            TxId(bytes)
        };
        let names: BTreeSet<TxId> = (0..3 * REQUEST_IDS_MAX).map(name).collect();
        let (mut turns, mut asked) = (Turns::default(), BTreeSet::new());
        assert!(turns.next(&[], &names, 100).is_empty(), "they may be on their way");
        for _ in 0..names.len().div_ceil(100) + 1 {
            asked.extend(turns.next(&[], &names, 100));
        }
        assert_eq!(asked, names);
    }

    /// Who answers stops where the answer is full, and what is left out would be asked for in vain again and again.
    #[test]
    fn all_certificates_of_a_question_fit_into_its_answer() {
        let name = |number: usize| TxId(number.to_be_bytes().repeat(4).try_into().unwrap());
        let votes =
            (0..BATCH_VOTES_MAX).map(|number| FinalityVote { kind: VoteKind::Final, txid: name(number) });
        let secret = SecretKey::from_seed(&[1; 32]);
        let (chain_id, id) = (ChainId([2; 32]), MasternodeId([3; 32]));
        let batch = VoteBatch::signed(&chain_id, u64::MAX, id, u64::MAX, votes.collect(), &secret);
        let proof = batch.prove(BATCH_VOTES_MAX - 1).unwrap();
        for members in [1, 4, 13, 50, VALIDATORS_MAX] {
            let votes = vec![proof.clone(); members];
            let certificate = Certificate { vote: batch.votes[0], epoch: u64::MAX, votes };
            let asked = certificates_per_request(members);
            assert!((1..=REQUEST_CERTIFICATES_MAX).contains(&asked), "{members} members");
            assert!(asked * encode(&certificate).len() <= RESPONSE_BYTES_MAX, "{members} members");
        }
    }
}
