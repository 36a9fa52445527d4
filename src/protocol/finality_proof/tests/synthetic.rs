//! A chain of epochs whose members come and go at a rate, without the state behind it: each epoch's two headers and their
//! commits are made as they are asked for.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::*;
use crate::protocol::fixtures::{GENESIS_TIME_MS, operator_of};
use crate::types::{BlockHash, RuleVersion, StateDigest, TimeMs, VoteBatch};

const EPOCH_MS: TimeMs = 60_000;

/// What was made, so that a second search costs no signatures.
#[derive(Default)]
struct Made {
    members: BTreeMap<u64, Validator>,
    sets: BTreeMap<Epoch, Arc<ValidatorSet>>,
    ends: BTreeMap<Epoch, (Header, Commit)>,
}

/// The chain.
pub(super) struct Synthetic {
    pub(super) document: GenesisDocument,
    first: Arc<ValidatorSet>,
    /// So many members come in so many epochs, and as many go, the eldest first.
    rate: (u64, u64),
    made: RefCell<Made>,
    /// How many ends of epochs were asked for.
    pub(super) ends_read: Cell<usize>,
    /// How many sets were asked for.
    pub(super) sets_read: Cell<usize>,
}

/// The time of an epoch's last block, or of the one before it.
pub(super) fn time_of(epoch: Epoch, epoch_end: bool) -> TimeMs {
    GENESIS_TIME_MS + (epoch + 1) * EPOCH_MS + u64::from(epoch_end)
}

fn bytes_of(nth: u64, rest: u8) -> [u8; 32] {
    let mut bytes = [rest; 32];
    bytes[..8].copy_from_slice(&nth.to_le_bytes());
    bytes
}

impl Synthetic {
    pub(super) fn new(weights: &[u64], rate: (u64, u64)) -> Self {
        let document = document(weights, 0);
        let first = Arc::clone(Chain::new(&document).state.validators());
        let (made, ends_read, sets_read) = (RefCell::default(), Cell::default(), Cell::default());
        Self { document, first, rate, made, ends_read, sets_read }
    }

    pub(super) fn first_set(&self) -> Arc<ValidatorSet> {
        Arc::clone(&self.first)
    }

    /// The member of the document in this place, if it is one.
    fn of_document(&self, nth: u64) -> Option<&Validator> {
        self.first.get(usize::try_from(nth).unwrap())
    }

    /// The key of the `nth` masternode that there ever was.
    fn secret(&self, nth: u64) -> SecretKey {
        match self.of_document(nth) {
            Some(member) => operator_of(&member.key).clone(),
            None => SecretKey::from_seed(&bytes_of(nth, 0xee)),
        }
    }

    fn member(&self, nth: u64) -> Validator {
        if let Some(member) = self.of_document(nth) {
            return *member;
        }
        let mut made = self.made.borrow_mut();
        *made.members.entry(nth).or_insert_with(|| {
            let key = SecretKey::from_seed(&bytes_of(nth, 0xee)).public();
            Validator { id: MasternodeId(bytes_of(nth, 0xdd)), key, weight: 1 }
        })
    }

    fn nths(&self, epoch: Epoch) -> std::ops::Range<u64> {
        let gone = epoch * self.rate.0 / self.rate.1;
        gone..gone + u64::try_from(self.first.len()).unwrap()
    }

    pub(super) fn set_of(&self, epoch: Epoch) -> Arc<ValidatorSet> {
        if let Some(set) = self.made.borrow().sets.get(&epoch) {
            return Arc::clone(set);
        }
        let set = Arc::new(ValidatorSet::new(self.nths(epoch).map(|nth| self.member(nth)).collect()));
        self.made.borrow_mut().sets.insert(epoch, Arc::clone(&set));
        set
    }

    /// The header of an epoch's last block, or of the one before it.
    pub(super) fn header(&self, epoch: Epoch, epoch_end: bool) -> Header {
        let (set, next) = (self.set_of(epoch), self.set_of(epoch + u64::from(epoch_end)));
        Header {
            chain_id: self.document.chain_id(),
            height: 2 * epoch + 1 + u64::from(epoch_end),
            round: 0,
            epoch,
            epoch_end,
            time: time_of(epoch, epoch_end),
            prev_hash: BlockHash([1; 32]),
            last_commit_root: Hash([2; 32]),
            tx_root: Hash([3; 32]),
            evidence_root: Hash([4; 32]),
            epoch_ends_root: Hash([6; 32]),
            state_digest: StateDigest([5; 32]),
            validators_hash: set.hash(),
            next_validators_hash: next.hash(),
            proposer: set.get(0).unwrap().id,
            rules: RuleVersion::FIRST,
            announced: RuleVersion::FIRST,
        }
    }

    /// A commit by all.
    fn commit(&self, header: &Header) -> Commit {
        let (epoch, height, hash) = (header.epoch, header.height, header.hash());
        let digest = block_vote_digest(&header.chain_id, VoteStep::Precommit, epoch, height, 0, Some(hash));
        let mut signers = SignerBitmap::empty(self.first.len());
        (0..self.first.len()).for_each(|place| signers.set(place));
        let signatures = self.nths(epoch).map(|nth| self.secret(nth).sign(&digest)).collect();
        Commit { height, round: 0, block_hash: hash, signers, signatures }
    }

    pub(super) fn path(&self, known: &[Epoch], epoch: Epoch) -> Option<Path> {
        path(self, known, [0, epoch], FINALITY_PROOF_BYTES_MAX).unwrap().ok()
    }

    /// Links, and the ending by the first block of an epoch, which has a thousand transactions.
    pub(super) fn included(&self, epoch: Epoch, links: Vec<EpochLink>) -> FinalityProof {
        let txids: Vec<TxId> = (0..1_000).map(|nth| TxId(bytes_of(nth, 0xaa))).collect();
        let leaves = || txids.iter().map(|txid| txid.0.as_slice());
        let (set, mut header) = (self.set_of(epoch), self.header(epoch, false));
        header.tx_root = merkle::root(leaves());
        let ending = Ending::Included(Box::new(Inclusion {
            commit: QuorumCommit::of(&self.commit(&header), &Quorums::own(&set)).unwrap(),
            header,
            index: 500,
            count: 1_000,
            path: merkle::path(leaves(), 500).unwrap(),
        }));
        FinalityProof::new(self.document.chain_id(), txids[500], links, ending)
    }

    /// Links, and the ending by votes, each in a batch of its own.
    pub(super) fn voted(&self, epoch: Epoch, links: Vec<EpochLink>) -> FinalityProof {
        let (txid, chain_id) = (TxId([9; 32]), self.document.chain_id());
        let vote = FinalityVote { kind: VoteKind::Final, txid };
        let votes = self.nths(epoch).map(|nth| {
            let (secret, id) = (self.secret(nth), self.member(nth).id);
            VoteBatch::signed(&chain_id, epoch, id, 0, vec![vote], &secret).prove(0).unwrap()
        });
        let ending = Ending::voted(txid, epoch, votes, &self.set_of(epoch)).unwrap();
        FinalityProof::new(chain_id, txid, links, ending)
    }
}

impl Epochs for Synthetic {
    type Error = Infallible;

    fn set_hash(&self, epoch: Epoch) -> Result<Option<Hash>, Infallible> {
        Ok(Some(self.set_of(epoch).hash()))
    }

    fn set(&self, epoch: Epoch, hash: &Hash) -> Result<Arc<ValidatorSet>, Infallible> {
        self.sets_read.set(self.sets_read.get() + 1);
        let set = self.set_of(epoch);
        assert_eq!(set.hash(), *hash);
        Ok(set)
    }

    fn end(&self, epoch: Epoch) -> Result<Option<(Header, Vec<Commit>)>, Infallible> {
        self.ends_read.set(self.ends_read.get() + 1);
        if let Some((header, commit)) = self.made.borrow().ends.get(&epoch) {
            return Ok(Some((header.clone(), vec![commit.clone()])));
        }
        let header = self.header(epoch, true);
        let commit = self.commit(&header);
        self.made.borrow_mut().ends.insert(epoch, (header.clone(), commit.clone()));
        Ok(Some((header, vec![commit])))
    }

    fn misfit(&self, epoch: Epoch) -> Infallible {
        panic!("the end of epoch {epoch} does not fit its set")
    }
}
