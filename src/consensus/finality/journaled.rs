//! What of others' words the journal holds already, so that nothing is written twice.

use std::sync::Arc;

use crate::protocol::validity::CheckedTransaction;
use crate::storage::disk::Disk;
use crate::storage::journal::{JournalReader, JournalRecord};
use crate::storage::{RecordPlace, StorageError};
use crate::types::keyed::KeyedSet;
use crate::types::{
    BatchHeader, BatchRoot, Certificate, Epoch, MasternodeId, Message, Transaction, TxId, VoteBatch,
    VoteSource,
};

/// Reads what was left to the vote journal.
pub trait JournalSource: Send + Sync {
    /// The body, if the journal holds it and can be read.
    fn body(&self, txid: &TxId) -> Option<Arc<Transaction>>;

    /// The signed message of the record at a place, if it holds one and can be read.
    fn message(&self, place: RecordPlace) -> Option<Message>;
}

fn readable<T>(outcome: Result<T, StorageError>) -> Option<T> {
    outcome.map_err(|problem| tracing::error!(%problem, "Can't read the vote journal")).ok()
}

impl<D: Disk> JournalSource for JournalReader<D> {
    fn body(&self, txid: &TxId) -> Option<Arc<Transaction>> {
        readable(self.transaction(txid)).flatten()
    }

    fn message(&self, place: RecordPlace) -> Option<Message> {
        readable(Self::message(self, place)).flatten()
    }
}

/// All that a batch's signature covers, within one chain: it tells batches apart as their digest does, without a hash of
/// it for each vote that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct BatchName {
    epoch: Epoch,
    validator: MasternodeId,
    seq: u64,
    count: u32,
    votes_root: BatchRoot,
}

impl BatchName {
    const fn of(header: &BatchHeader) -> Self {
        let BatchHeader { epoch, validator, seq, count, votes_root, signature: _ } = *header;
        Self { epoch, validator, seq, count, votes_root }
    }
}

/// Names of what was staged for the journal in the current epoch.
#[derive(Debug, Default)]
pub(super) struct JournaledContents {
    bodies: KeyedSet<TxId>,
    batches: KeyedSet<BatchName>,
    /// Single votes that stand in certificates: what is voted for, and the batch that it stands in.
    proved: KeyedSet<(TxId, BatchName)>,
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
    pub(super) fn note_batch(&mut self, batch: &VoteBatch) {
        self.batches.insert(BatchName::of(&batch.header));
    }

    /// The same for a certificate, and each vote in it.
    pub(super) fn note_certificate(&mut self, certificate: &Certificate) {
        for vote in &certificate.votes {
            self.proved.insert((certificate.vote.txid, BatchName::of(&vote.header)));
        }
    }

    /// What has to be durable before a vote for a transaction leaves: its body, and each of the votes that certify it. Two
    /// certificates for one transaction may hold votes of different members, so each vote counts for itself.
    pub(super) fn records_behind(
        &mut self,
        transaction: &CheckedTransaction,
        sources: &[VoteSource],
    ) -> Vec<JournalRecord> {
        let mut records: Vec<JournalRecord> = self.body_record(transaction).into_iter().collect();
        for source in sources {
            match source {
                VoteSource::Batch(batch, _) => {
                    if self.batches.insert(BatchName::of(&batch.header)) {
                        records.push(JournalRecord::PeerBatch(Arc::clone(batch.as_arc())));
                    }
                }
                VoteSource::Certificate(certificate, place) => {
                    let vote = certificate.votes.get(*place);
                    let name = vote.map(|vote| (certificate.vote.txid, BatchName::of(&vote.header)));
                    if !name.is_some_and(|name| self.proved.contains(&name)) {
                        self.note_certificate(certificate);
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
        ChainId, ChainParameters, FinalityVote, Lock, Network, OutPoint, Released, SecretKey, Signature,
        TxOut, VoteKind,
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

    /// INV-ENGINE-3: a batch counts as written only if all that its signature covers is the same. A member that signs two
    /// batches with one number has both written.
    #[test]
    fn batches_that_differ_in_anything_signed_are_told_apart() {
        let header = BatchHeader {
            epoch: 1,
            validator: MasternodeId([2; 32]),
            seq: 3,
            count: 4,
            votes_root: BatchRoot([5; 32]),
            signature: Signature::EMPTY,
        };
        let again = BatchHeader { signature: Signature([9; 64]), ..header.clone() };
        assert_eq!(BatchName::of(&again), BatchName::of(&header), "whoever signs twice says the same");
        let others = [
            BatchHeader { epoch: 2, ..header.clone() },
            BatchHeader { validator: MasternodeId([3; 32]), ..header.clone() },
            BatchHeader { seq: 4, ..header.clone() },
            BatchHeader { count: 5, ..header.clone() },
            BatchHeader { votes_root: BatchRoot([6; 32]), ..header.clone() },
        ];
        let names: KeyedSet<BatchName> = others.iter().chain([&header]).map(BatchName::of).collect();
        assert_eq!(names.len(), 6);
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
        let mut write = |sources: &[VoteSource]| journaled.records_behind(&payment, sources);
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
