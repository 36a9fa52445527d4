//! What others read of the machine: the executor, gossip, tests.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::bodies::Lack;
use super::{Body, Entry, Machine};
use crate::protocol::finality::{
    BodyPlace, Explanation, FinalVotes, MemberVotes, Rival, UNLOCKED_BODIES_MAX, UNLOCKED_BYTES_MAX,
    VoteSource, WANTED_CERTIFICATES_MAX,
};
use crate::protocol::validity::CheckedTransaction;
use crate::types::keyed::KeyedSet;
use crate::types::{
    Certificate, CertificateVote, Epoch, FinalityVote, MasternodeId, OutPoint, TxId, ValidatorSet, VoteKind,
};

/// How much of what is bounded there is.
#[cfg(test)]
pub(in crate::protocol::finality) struct Sizes {
    pub(in crate::protocol::finality) unlocked: usize,
    pub(in crate::protocol::finality) waiting_inputs: usize,
    pub(in crate::protocol::finality) entries: usize,
}

impl Machine {
    /// The epoch whose votes are counted.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The set whose votes are counted.
    #[must_use]
    pub const fn validators(&self) -> &Arc<ValidatorSet> {
        &self.set
    }

    /// Whether no more votes of this epoch are cast.
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether the transaction is certified in this node's view.
    #[must_use]
    pub fn is_certified(&self, txid: &TxId) -> bool {
        self.entries.get(txid).is_some_and(|entry| entry.certified.is_some())
    }

    /// Whether the transaction is final in this node's view and not in the chain.
    #[must_use]
    pub fn is_final(&self, txid: &TxId) -> bool {
        self.entries.get(txid).is_some_and(|entry| entry.is_final)
    }

    /// The body of a transaction that is not in the chain.
    #[must_use]
    pub fn transaction(&self, txid: &TxId) -> Option<&CheckedTransaction> {
        self.entries.get(txid).and_then(Entry::resident)
    }

    /// Certified transactions whose bodies are here, in the order of their certification.
    pub fn candidates(&self) -> impl Iterator<Item = &CheckedTransaction> {
        self.certified.values().filter_map(|txid| self.transaction(txid))
    }

    /// How many certified transactions wait for a block, and their bytes.
    #[must_use]
    pub fn unblocked(&self) -> (usize, usize) {
        (self.certified.len(), self.certified_bytes)
    }

    /// Transactions this node voted `Final` for that are not in the chain.
    #[must_use]
    pub const fn promises(&self) -> &KeyedSet<TxId> {
        &self.promises
    }

    /// Transactions of this epoch's blocks.
    #[must_use]
    pub const fn settled(&self) -> &KeyedSet<TxId> {
        &self.settled
    }

    /// The transaction that an output is locked to in this epoch.
    #[must_use]
    pub fn locked_to(&self, outpoint: &OutPoint) -> Option<TxId> {
        self.locks.get(outpoint).copied()
    }

    /// The certificate for a vote, if a quorum of such votes is here.
    #[must_use]
    pub fn certificate(&self, vote: FinalityVote) -> Option<Certificate> {
        let entry = self.entries.get(&vote.txid)?;
        let tally = match vote.kind {
            VoteKind::Lock => &entry.lock_votes,
            VoteKind::Final => &entry.final_votes,
        };
        (tally.weight() >= self.set.quorum()).then(|| tally.certificate(vote, self.epoch))
    }

    /// Where the votes of a quorum for this stand, if they are here. To prove them takes hashing, which is the caller's.
    #[must_use]
    pub fn certifying_votes(&self, vote: FinalityVote) -> Option<Vec<VoteSource>> {
        let entry = self.entries.get(&vote.txid)?;
        let tally = match vote.kind {
            VoteKind::Lock => &entry.lock_votes,
            VoteKind::Final => &entry.final_votes,
        };
        (tally.weight() >= self.set.quorum()).then(|| tally.sources().to_vec())
    }

    /// A member's `Lock` vote for a transaction with its proof, if the tally still holds it.
    #[must_use]
    pub fn lock_vote_of(&self, validator: &MasternodeId, txid: &TxId) -> Option<CertificateVote> {
        self.entries.get(txid)?.lock_votes.source_of(validator)?.prove()
    }

    /// The votes that make a transaction final, if a quorum of them is here and no block contains it yet.
    #[must_use]
    pub fn final_votes(&self, txid: &TxId) -> Option<FinalVotes> {
        let votes = &self.entries.get(txid)?.final_votes;
        let is_quorum = votes.weight() >= self.set.quorum();
        is_quorum.then(|| FinalVotes { epoch: self.epoch, sources: votes.sources().to_vec() })
    }

    /// What is known of a transaction that no block contains; `None` for one of which nothing is known.
    #[must_use]
    pub fn explain(&self, txid: &TxId) -> Option<Explanation> {
        let entry = self.entries.get(txid)?;
        let members = self.set.members().iter().enumerate();
        let votes = members.map(|(place, member)| MemberVotes {
            id: member.id,
            weight: member.weight,
            lock: entry.lock_votes.has_voted(place),
            finalizes: entry.final_votes.has_voted(place),
        });
        let rivals = entry.rivals.iter().map(|rival| {
            let known = self.entries.get(rival);
            Rival {
                txid: *rival,
                lock_weight: known.map_or(0, |known| known.lock_votes.weight()),
                is_certified: known.is_some_and(|known| known.certified.is_some()),
                is_final: known.is_some_and(|known| known.is_final),
            }
        });
        Some(Explanation {
            epoch: self.epoch,
            set: Arc::clone(&self.set),
            is_closing: self.closing,
            body: match entry.body {
                Body::Missing => BodyPlace::Missing,
                Body::Unchecked(_) => BodyPlace::Unchecked,
                Body::Resident(_) | Body::Spilled => BodyPlace::Held,
            },
            votes: votes.collect(),
            is_certified: entry.certified.is_some(),
            is_final: entry.is_final,
            is_dead: entry.dead,
            // To look for it among those that wait takes as long as they are many.
            waits_for_blocks: !self.throttled.is_empty() && entry.locked && !entry.voted_lock,
            waits_for: self.lacking.get(txid).map(Lack::outpoints).unwrap_or_default(),
            rivals: rivals.collect(),
        })
    }

    /// Transactions whose bodies this node lacks, though enough votes say that they exist. One whose copy waits for its
    /// parent is not among them: until that is here another copy can't be told from a bad one.
    pub fn wanted_bodies(&self) -> impl Iterator<Item = TxId> {
        let wanted = self.wanted_bodies.iter().copied();
        wanted.filter(|txid| !self.lacking.contains_key(txid))
    }

    /// Whether the body of every certified transaction is here.
    #[must_use]
    pub fn lacks_no_body(&self) -> bool {
        self.wanted_bodies.is_empty() || self.certified.values().all(|txid| self.transaction(txid).is_some())
    }

    /// Transactions that others voted `Final` for and that are not certified here, at most [`WANTED_CERTIFICATES_MAX`]:
    /// one of each member in turn, so that what one member has invented takes its own share of the requests alone.
    pub fn wanted_certificates(&self) -> impl Iterator<Item = TxId> {
        let mut lists: Vec<_> = self.wanted_certificates.values().map(BTreeSet::iter).collect();
        let (mut wanted, mut seen) = (Vec::new(), BTreeSet::new());
        while !lists.is_empty() && wanted.len() < WANTED_CERTIFICATES_MAX {
            // What another member's turn has named takes no turn.
            lists.retain_mut(|list| match list.find(|txid| !seen.contains(*txid)) {
                Some(txid) => {
                    seen.insert(*txid);
                    wanted.push(*txid);
                    true
                }
                None => false,
            });
        }
        wanted.truncate(WANTED_CERTIFICATES_MAX);
        wanted.into_iter()
    }

    /// Transactions that are certified here and not final: their `Final` votes may have been lost. Looks at some of those
    /// with these places in the order of certification and gives `most` at most; and where to go on, if there are more.
    #[must_use]
    pub fn unfinished(
        &self,
        places: Range<u64>,
        looked_at_max: usize,
        most: usize,
    ) -> (Vec<TxId>, Option<u64>) {
        let mut found = Vec::new();
        if places.is_empty() {
            return (found, None);
        }
        for (looked_at, (place, txid)) in self.certified.range(places).enumerate() {
            if looked_at >= looked_at_max || found.len() >= most {
                return (found, Some(*place));
            }
            if !self.is_final(txid) {
                found.push(*txid);
            }
        }
        (found, None)
    }

    /// The place in the order of certification that the next one gets.
    #[must_use]
    pub const fn next_certified(&self) -> u64 {
        self.next_certified
    }

    /// How many transactions are known by votes alone.
    #[cfg(test)]
    pub(in crate::protocol::finality) fn entries_without_body(&self) -> usize {
        self.entries.sorted().into_iter().filter(|(_, entry)| matches!(entry.body, Body::Missing)).count()
    }

    /// How much of what is bounded there is.
    #[cfg(test)]
    pub(in crate::protocol::finality) fn sizes(&self) -> Sizes {
        let (unlocked, waiting_inputs, entries) =
            (self.unlocked.len(), self.waiting_inputs, self.entries.len());
        Sizes { unlocked, waiting_inputs, entries }
    }

    /// Holds the invariants that can be seen from inside.
    ///
    /// # Errors
    /// The name and the rule of the first one that is broken.
    pub fn check_invariants(&self) -> Result<(), String> {
        for (txid, entry) in self.entries.sorted() {
            if entry.voted_final && !self.promises.contains(txid) {
                return Err(format!("a promise for {txid} is not remembered"));
            }
            if entry.locked
                && let Some(tx) = entry.resident()
                && tx.inputs().iter().any(|outpoint| self.locks.get(outpoint) != Some(txid))
            {
                return Err(format!("INV-FIN-1: an input of the locked {txid} is locked to another"));
            }
            if entry.certified.is_some() && entry.lock_votes.weight() < self.set.quorum() {
                return Err(format!("{txid} is certified without a quorum"));
            }
        }
        if self.certified.values().any(|txid| !self.entries.contains_key(txid)) {
            return Err("the certified order names a transaction without an entry".to_owned());
        }
        for (member, counted) in self.unknown_votes.iter().enumerate() {
            let entries = self.entries.sorted().into_iter().map(|(_, entry)| entry);
            let unknown = entries.filter(|entry| matches!(entry.body, Body::Missing));
            let tallies = unknown.flat_map(|entry| [&entry.lock_votes, &entry.final_votes]);
            let votes = tallies.filter(|tally| tally.has_voted(member)).count();
            if u32::try_from(votes) != Ok(*counted) {
                return Err(format!(
                    "INV-FIN-8: votes of member {member} without a body are not counted right"
                ));
            }
        }
        self.check_bodies()?;
        self.check_conflicts()?;
        if self.unlocked.len() > UNLOCKED_BODIES_MAX || self.unlocked_bytes > UNLOCKED_BYTES_MAX {
            return Err("INV-FIN-6: more unlocked bodies than allowed".to_owned());
        }
        Ok(())
    }
}
