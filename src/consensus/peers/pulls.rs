//! What peers are asked for, one after the other: bodies and certificates.
//!
//! # Invariants
//! - INV-PULL-3: among the names of what is lacking each gets its turn, however many there are and whoever made them up.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::super::finality::{ConsensusEngine, certificates_within};
use crate::types::limits::{REQUEST_IDS_MAX, RESPONSE_BYTES_MAX};
use crate::types::{Message, TxId, VoteKind};

/// What peers are asked for in turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::consensus) enum RequestKind {
    Bodies,
    Certificates(VoteKind),
}

/// Bodies and certificates that have been lacking for a while.
#[derive(Debug, Default)]
pub(in crate::consensus) struct Lacking {
    bodies: Turns,
    certificates: Turns,
    unfinished: PlacesInOrder,
}

/// Certified payments that are not final, by their places in the order of certification. There may be 200,000, so a look
/// goes on where the last one stopped.
#[derive(Debug, Default)]
struct PlacesInOrder {
    /// Where the next look begins.
    next: u64,
    /// What was certified since the last look has its votes on their way.
    before: u64,
}

/// Certified payments that one look passes, at most.
const PLACES_PER_LOOK: usize = 4_096;

impl PlacesInOrder {
    fn next(&mut self, finality: &ConsensusEngine, most: usize) -> Vec<TxId> {
        let machine = finality.machine();
        let before = std::mem::replace(&mut self.before, machine.next_certified());
        let (found, next) = machine.unfinished(self.next..before, PLACES_PER_LOOK, most);
        self.next = next.unwrap_or(0);
        found
    }
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
    certificates_within(RESPONSE_BYTES_MAX, members)
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
    ) -> Vec<(RequestKind, Message)> {
        let machine = finality.machine();
        let most = certificates_per_request(machine.validators().len());
        let mut requests = Vec::new();
        let wanted = machine.wanted_bodies().collect();
        let ids = self.bodies.next(&bodies, &wanted, REQUEST_IDS_MAX);
        if !ids.is_empty() {
            requests.push((RequestKind::Bodies, Message::GetTransactions(ids)));
        }
        let wanted = machine.wanted_certificates().collect();
        let certificates = self.certificates.next(&certificates, &wanted, most);
        let unfinished = self.unfinished.next(finality, most);
        for (kind, ids) in [(VoteKind::Lock, certificates), (VoteKind::Final, unfinished)] {
            if !ids.is_empty() {
                requests.push((RequestKind::Certificates(kind), Message::GetCertificates(kind, ids)));
            }
        }
        requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::codec::encode;
    use crate::types::limits::{BATCH_VOTES_MAX, REQUEST_CERTIFICATES_MAX, VALIDATORS_MAX};
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
