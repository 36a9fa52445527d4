//! What of others' words the journal holds already, so that nothing is written twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::protocol::validity::CheckedTransaction;
use crate::storage::disk::Disk;
use crate::storage::journal::{JournalReader, JournalRecord};
use crate::storage::{RecordPlace, StorageError};
use crate::types::{
    Certificate, CertificateVote, ChainId, Message, Transaction, TxId, VoteBatch, VoteSource,
};

/// Reads what was left to the vote journal.
pub trait JournalSource: Send + Sync {
    /// The body, if the journal holds it and can be read.
    fn body(&self, txid: &TxId) -> Option<Arc<Transaction>>;

    /// The signed message of the record at a place, if it holds one and can be read.
    fn message(&self, place: RecordPlace) -> Option<Message>;
}

fn readable<T>(outcome: Result<T, StorageError>) -> Option<T> {
    outcome.map_err(|problem| tracing::error!(%problem, "can't read the vote journal")).ok()
}

impl<D: Disk> JournalSource for JournalReader<D> {
    fn body(&self, txid: &TxId) -> Option<Arc<Transaction>> {
        readable(self.transaction(txid)).flatten()
    }

    fn message(&self, place: RecordPlace) -> Option<Message> {
        readable(Self::message(self, place)).flatten()
    }
}

/// Names of what was staged for the journal in the current epoch.
#[derive(Debug, Default)]
pub(super) struct JournaledContents {
    bodies: BTreeSet<TxId>,
    /// Batches, by their headers' digests.
    batches: BTreeSet<[u8; 32]>,
    /// Single votes that stand in certificates: what is voted for, and the digest of the batch's header.
    proved: BTreeSet<(TxId, [u8; 32])>,
}

impl JournaledContents {
    /// What the journal of a node that starts holds of bodies.
    pub(super) fn with_bodies(bodies: impl IntoIterator<Item = TxId>) -> Self {
        Self { bodies: bodies.into_iter().collect(), ..Self::default() }
    }

    /// The epoch ended: its names mean nothing in the next one.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The record that makes a body durable, unless one was made in this epoch.
    pub(super) fn body_record(&mut self, transaction: &CheckedTransaction) -> Option<JournalRecord> {
        self.bodies
            .insert(transaction.txid())
            .then(|| JournalRecord::Transaction(Arc::clone(transaction.transaction())))
    }

    /// A batch was written to the journal already, as own or as another's.
    pub(super) fn note_batch(&mut self, batch: &VoteBatch, chain_id: &ChainId) {
        self.batches.insert(batch.header.digest(chain_id));
    }

    /// The same for a certificate, and each vote in it.
    pub(super) fn note_certificate(&mut self, certificate: &Certificate, chain_id: &ChainId) {
        let names =
            certificate.votes.iter().map(|vote| (certificate.vote.txid, vote.header.digest(chain_id)));
        self.proved.extend(names);
    }

    /// What has to be durable before a vote for a transaction leaves: its body, and each of the votes that certify it. Two
    /// certificates for one transaction may hold votes of different members, so each vote counts for itself.
    pub(super) fn records_behind(
        &mut self,
        transaction: &CheckedTransaction,
        sources: &[VoteSource],
        chain_id: &ChainId,
    ) -> Vec<JournalRecord> {
        let mut records: Vec<JournalRecord> = self.body_record(transaction).into_iter().collect();
        for source in sources {
            match source {
                VoteSource::Batch(batch, _) => {
                    if self.batches.insert(batch.header.digest(chain_id)) {
                        records.push(JournalRecord::PeerBatch(Arc::clone(batch.as_arc())));
                    }
                }
                VoteSource::Certificate(certificate, place) => {
                    let name = |vote: &CertificateVote| (certificate.vote.txid, vote.header.digest(chain_id));
                    let is_there =
                        certificate.votes.get(*place).is_some_and(|vote| self.proved.contains(&name(vote)));
                    if !is_there {
                        self.note_certificate(certificate, chain_id);
                        records.push(JournalRecord::Certificate(Arc::clone(certificate.as_arc())));
                    }
                }
            }
        }
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::keys::SequentialVerifier;
    use crate::types::{
        ChainParameters, FinalityVote, Lock, MasternodeId, Network, OutPoint, Released, SecretKey, TxOut,
        VoteKind,
    };

    fn payment(chain_id: &ChainId) -> CheckedTransaction {
        let owner = SecretKey::from_seed(&[9; 32]);
        let output = TxOut { value: crate::types::Amount(1), lock: Lock::KeyHash(owner.public().key_hash()) };
        let input = OutPoint { txid: TxId([8; 32]), index: 0 };
        let transaction = Transaction::transfer(vec![input], vec![output], Vec::new());
        let transaction = Arc::new(transaction.signed(chain_id, &[&owner]));
        let parameters = ChainParameters::of_network(Network::Devnet);
        CheckedTransaction::check(transaction, chain_id, &parameters, &SequentialVerifier).unwrap()
    }

    /// INV-ENGINE-3: certificates for one transaction hold different votes, and each of them has to be durable.
    #[test]
    fn each_vote_behind_a_promise_is_written_and_none_twice() {
        let chain_id = ChainId([1; 32]);
        let payment = payment(&chain_id);
        let vote = FinalityVote { kind: VoteKind::Lock, txid: payment.txid() };
        let batch = |member: u8| {
            let secret = SecretKey::from_seed(&[member; 32]);
            Released::heard(VoteBatch::signed(
                &chain_id,
                0,
                MasternodeId([member; 32]),
                0,
                vec![vote],
                &secret,
            ))
        };
        let certificate = |members: &[u8]| {
            let votes = members.iter().map(|member| batch(*member).prove(0).unwrap()).collect();
            Released::heard(Certificate { vote, epoch: 0, votes })
        };
        let mut journaled = JournaledContents::default();
        let mut write = |sources: &[VoteSource]| journaled.records_behind(&payment, sources, &chain_id);
        let first = certificate(&[1, 2]);
        let of_first = [VoteSource::Certificate(first.clone(), 0), VoteSource::Certificate(first, 1)];
        assert_eq!(write(&of_first).len(), 2, "the body and one certificate");
        let second = VoteSource::Certificate(certificate(&[2, 3]), 1);
        let written = write(&[of_first[0].clone(), second.clone()]);
        assert!(matches!(written.as_slice(), [JournalRecord::Certificate(_)]), "the vote of 3 is news");
        assert!(write(&[second, VoteSource::Certificate(certificate(&[3]), 0)]).is_empty());
        assert_eq!(write(&[VoteSource::Batch(batch(4), 0)]).len(), 1);
        assert!(write(&[VoteSource::Batch(batch(4), 0)]).is_empty());
    }
}
