//! Checks a finality proof against a genesis document.
//!
//! # Invariants
//! - INV-PROOF-2 of [`super`].

use std::sync::Arc;

use super::anchor::Start;
use super::quorums::Quorums;
use super::trusted::Trusted;
use super::{Anchor, Ending, EpochLink, FinalityProof, FinalityProofError, Inclusion, QuorumCommit};
use crate::protocol::commit::{check_commit, check_commit_shape};
use crate::protocol::state::LedgerState;
use crate::types::keys::SequentialVerifier;
use crate::types::{
    BlockHash, CertificateVote, ChainId, ChainParameters, Checkpoint, Commit, Epoch, FinalityVote,
    GenesisDocument, Header, Height, SignatureVerifier, TimeMs, TxId, ValidatorSet, VoteKind, merkle,
};

/// The block that a proof shows to contain its transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProvedInclusion {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub block_hash: BlockHash,
    /// Its time.
    pub time: TimeMs,
}

/// What a proof has proved; see [`super`] for what it means, and under which assumption.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProvedFinality {
    /// The chain.
    pub chain_id: ChainId,
    /// The transaction.
    pub txid: TxId,
    /// The block that the verifier trusted; `None` where the proof starts from the genesis document.
    pub trusted: Option<Checkpoint>,
    /// The epoch in which it is final.
    pub epoch: Epoch,
    /// The block that contains it, if the proof shows one; otherwise some block does by the epoch's end.
    pub inclusion: Option<ProvedInclusion>,
    /// How many members of the epoch's set the proof shows to have signed.
    pub signers: usize,
    /// How many members the set has.
    pub validators: usize,
    /// The weight of those who signed.
    pub signed_weight: u64,
    /// The weight that it takes.
    pub quorum: u64,
    /// The weight of the set.
    pub total_weight: u64,
}

/// Checks a proof with nothing but the genesis document.
///
/// # Errors
/// The first rule that is broken.
pub fn verify(
    genesis: &GenesisDocument,
    proof: &FinalityProof,
) -> Result<ProvedFinality, FinalityProofError> {
    verify_with(genesis, None, proof, &SequentialVerifier)
}

/// The same with the caller's verifier of signatures. Where the caller trusts a block, the proof has to start from that
/// one: it would otherwise rely on keys of which the caller does not want to know.
///
/// # Errors
/// The first rule that is broken.
pub fn verify_with(
    genesis: &GenesisDocument,
    trusted: Option<&Checkpoint>,
    proof: &FinalityProof,
    verifier: &dyn SignatureVerifier,
) -> Result<ProvedFinality, FinalityProofError> {
    let way = WayGiven { chain_id: proof.chain_id, anchor: proof.anchor.as_ref(), links: &proof.links };
    let start = Started::new(genesis, trusted, &way, verifier)?;
    check_ending(&proof.ending, start.parameters.max_validators)?;
    let (mut walk, parameters) = (start.walk, start.parameters);
    let expected = proof.chain_id;
    for link in &proof.links {
        walk.follow(link)?;
    }
    let (inclusion, shown) = match &proof.ending {
        Ending::Voted(votes) => (None, walk.check_votes(proof.txid, votes)?),
        Ending::Included(inclusion) => {
            let shown = walk.check_inclusion(proof.txid, inclusion, parameters.block_transactions_max)?;
            let Header { height, time, .. } = inclusion.header;
            (Some(ProvedInclusion { height, block_hash: inclusion.header.hash(), time }), shown)
        }
    };
    Ok(ProvedFinality {
        chain_id: expected,
        txid: proof.txid,
        trusted: trusted.copied(),
        epoch: walk.epoch,
        inclusion,
        signers: shown.signers,
        validators: walk.trusted.set.len(),
        signed_weight: shown.weight,
        quorum: walk.trusted.set.quorum(),
        total_weight: walk.trusted.set.total_weight(),
    })
}

/// The way that a proof gives, before anything of it is checked.
pub(super) struct WayGiven<'a> {
    pub(super) chain_id: ChainId,
    pub(super) anchor: Option<&'a Anchor>,
    pub(super) links: &'a [EpochLink],
}

/// A way whose beginning was checked.
pub(super) struct Started<'a> {
    pub(super) walk: Walk<'a>,
    pub(super) parameters: Arc<ChainParameters>,
}

impl<'a> Started<'a> {
    /// Holds the beginning to the genesis document, or to the block that the verifier trusts, and all sets to their bounds.
    pub(super) fn new(
        genesis: &GenesisDocument,
        trusted: Option<&Checkpoint>,
        way: &WayGiven<'_>,
        verifier: &'a dyn SignatureVerifier,
    ) -> Result<Self, FinalityProofError> {
        let (state, _) = LedgerState::genesis(genesis)?;
        let expected = *state.chain_id();
        if way.chain_id != expected {
            return Err(FinalityProofError::ForeignChain { expected, found: way.chain_id });
        }
        let parameters = Arc::clone(state.parameters());
        check_bounds(way, parameters.max_validators)?;
        let first = Trusted { hash: state.validators().hash(), set: Arc::clone(state.validators()) };
        let start = Start { epoch: 0, height: 0, time: genesis.time_ms };
        let (start, set) = match (way.anchor, trusted) {
            (None, None) => (start, first),
            (None, Some(named)) => return Err(FinalityProofError::NotFromTrusted { named: *named }),
            (Some(anchor), named) => {
                let found = anchor.checkpoint();
                if named != Some(&found) {
                    return Err(FinalityProofError::NotTrusted { found });
                }
                anchor.check(&expected, start, &first, way.links)?
            }
        };
        let Start { epoch, height, time } = start;
        let walk = Walk { chain_id: expected, verifier, epoch, height, time, trusted: set, before: None };
        Ok(Self { walk, parameters })
    }
}

fn exceeds(count: usize, max: u32) -> bool {
    u32::try_from(count).map_or(true, |count| count > max)
}

fn check_bounds(way: &WayGiven<'_>, max: u32) -> Result<(), FinalityProofError> {
    let of_anchor = way.anchor.into_iter().flat_map(Anchor::given);
    let of_links = way
        .links
        .iter()
        .flat_map(|link| link.set.iter().chain(&link.next_set).map(|given| (link.header.height, given)));
    for (height, given) in of_anchor.chain(of_links) {
        let members = given.len();
        if members == 0 || exceeds(members, max) {
            return Err(FinalityProofError::SetSize { height, members, max });
        }
    }
    Ok(())
}

fn check_ending(ending: &Ending, max: u32) -> Result<(), FinalityProofError> {
    match ending {
        Ending::Voted(votes) if exceeds(votes.len(), max) => {
            Err(FinalityProofError::TooManyVotes { votes: votes.len(), max })
        }
        Ending::Voted(_) | Ending::Included(_) => Ok(()),
    }
}

/// Who signed what was just checked.
struct Shown {
    signers: usize,
    weight: u64,
}

/// Weight and the lightest of some members.
fn weigh(set: &ValidatorSet, places: impl Iterator<Item = usize>) -> (u64, u64) {
    let weights = places.filter_map(|place| set.get(place)).map(|member| member.weight);
    weights.fold((0, u64::MAX), |(sum, lightest), weight| (sum.saturating_add(weight), lightest.min(weight)))
}

/// The way from the genesis document's set to that of the proof's epoch.
pub(super) struct Walk<'a> {
    chain_id: ChainId,
    verifier: &'a dyn SignatureVerifier,
    /// The epoch in which the trusted set votes.
    epoch: Epoch,
    /// The last block of the epoch before; 0 in epoch 0.
    height: Height,
    /// Its time; the document's in epoch 0.
    time: TimeMs,
    pub(super) trusted: Trusted,
    /// The set that was trusted before the last link.
    before: Option<Trusted>,
}

impl Walk<'_> {
    /// Goes on to the epoch behind a link, and says who voted in the link's own and with what commit.
    pub(super) fn follow(
        &mut self,
        link: &EpochLink,
    ) -> Result<(Commit, Arc<ValidatorSet>), FinalityProofError> {
        let header = &link.header;
        let (epoch, height) = (header.epoch, header.height);
        if !header.epoch_end {
            return Err(FinalityProofError::NotEpochEnd { epoch, height });
        }
        self.check_header(header)?;
        // Who votes in the epoch of the trusted set is known.
        if epoch == self.epoch {
            self.check_set(header)?;
        }
        let own = self.trusted.or_given(height, header.validators_hash, link.set.as_ref())?;
        let next = own.or_given(height, header.next_validators_hash, link.next_set.as_ref())?;
        let passed = Some(&*self.trusted.set).filter(|_| own.hash != self.trusted.hash);
        let commit = self.check_signers(header, &link.commit, &Quorums { set: &own.set, trusted: passed })?;
        if self.before.as_ref().is_some_and(|before| before.reaches(&own, &commit)) {
            return Err(FinalityProofError::SpareLink { height });
        }
        self.check_signatures(header, &commit, &own.set)?;
        self.before = Some(std::mem::replace(&mut self.trusted, next));
        (self.height, self.time) = (height, header.time);
        self.epoch = epoch.saturating_add(1);
        Ok((commit, own.set))
    }

    /// Everything that a block's place in the chain says about its header, but for its set.
    fn check_header(&self, header: &Header) -> Result<(), FinalityProofError> {
        let height = header.height;
        if header.chain_id != self.chain_id {
            let (expected, found) = (self.chain_id, header.chain_id);
            return Err(FinalityProofError::ForeignChain { expected, found });
        }
        let Some(passed) = header.epoch.checked_sub(self.epoch) else {
            return Err(FinalityProofError::EpochTooLow { least: self.epoch, found: header.epoch });
        };
        // A block that ends its epoch has a parent in it.
        let of_passed = passed.saturating_mul(2);
        let own = if header.epoch_end { 2 } else { 1 };
        let least = self.height.saturating_add(of_passed).saturating_add(own);
        if height < least {
            return Err(FinalityProofError::HeightTooLow { least, found: height });
        }
        if header.time <= self.time {
            return Err(FinalityProofError::TimeTooLow { height, before: self.time, found: header.time });
        }
        Ok(())
    }

    /// That the trusted set voted on a block.
    fn check_set(&self, header: &Header) -> Result<(), FinalityProofError> {
        let (height, expected, found) = (header.height, self.trusted.hash, header.validators_hash);
        if found == expected {
            Ok(())
        } else {
            Err(FinalityProofError::WrongValidatorsHash { height, expected, found })
        }
    }

    /// All rules for a commit but the signatures themselves.
    fn check_signers(
        &self,
        header: &Header,
        given: &QuorumCommit,
        quorums: &Quorums<'_>,
    ) -> Result<Commit, FinalityProofError> {
        let (height, hash) = (header.height, header.hash());
        let commit = Commit {
            height,
            round: given.round,
            block_hash: hash,
            signers: given.signers.clone(),
            signatures: given.signatures.clone(),
        };
        check_commit_shape(quorums.set, height, hash, &commit)
            .map_err(|error| FinalityProofError::Commit { height, error })?;
        let (weight, quorum) = (quorums.weigh(commit.signers.iter()).trusted, quorums.needed().trusted);
        if weight < quorum {
            return Err(FinalityProofError::TrustedTooLight { height, weight, quorum });
        }
        if let Some(spare) = quorums.spare(&commit.signers.iter().collect::<Vec<_>>()) {
            let validator = quorums.set.get(spare).map(|member| member.id).unwrap_or_default();
            return Err(FinalityProofError::SpareSigner { height, validator });
        }
        Ok(commit)
    }

    fn check_signatures(
        &self,
        header: &Header,
        commit: &Commit,
        set: &ValidatorSet,
    ) -> Result<Shown, FinalityProofError> {
        let (height, hash) = (header.height, header.hash());
        check_commit(&self.chain_id, (header.epoch, set), (height, hash), commit, self.verifier)
            .map_err(|error| FinalityProofError::Commit { height, error })?;
        Ok(Shown { signers: commit.signatures.len(), weight: commit.weight(set) })
    }

    fn check_inclusion(
        &self,
        txid: TxId,
        inclusion: &Inclusion,
        max: u64,
    ) -> Result<Shown, FinalityProofError> {
        let Inclusion { header, commit, index, count, path } = inclusion;
        self.check_header(header)?;
        if header.epoch != self.epoch {
            let (expected, found) = (self.epoch, header.epoch);
            return Err(FinalityProofError::WrongEpoch { expected, found });
        }
        self.check_set(header)?;
        let (height, index, count) = (header.height, *index, *count);
        if index >= count || u64::from(count) > max {
            return Err(FinalityProofError::NoSuchPlace { index, count, max });
        }
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        let leaves = usize::try_from(count).unwrap_or(usize::MAX);
        let end = merkle::end_of_path(&txid.0, place, leaves, path)
            .filter(|end| end.root == header.tx_root)
            .ok_or(FinalityProofError::NotIncluded { height, txid })?;
        if end.first_index != place {
            return Err(FinalityProofError::PlaceNotFirst { height });
        }
        let set = &*self.trusted.set;
        let commit = self.check_signers(header, commit, &Quorums::own(set))?;
        self.check_signatures(header, &commit, set)
    }

    fn check_votes(&self, txid: TxId, votes: &[CertificateVote]) -> Result<Shown, FinalityProofError> {
        let set = &*self.trusted.set;
        let vote = FinalityVote { kind: VoteKind::Final, txid };
        let mut places: Vec<usize> = Vec::with_capacity(votes.len());
        let mut checks = Vec::with_capacity(votes.len());
        for proof in votes {
            let header = &proof.header;
            let validator = header.validator;
            if header.epoch != self.epoch {
                let (expected, found) = (self.epoch, header.epoch);
                return Err(FinalityProofError::WrongVoteEpoch { expected, found });
            }
            let member = set.index_of(&validator).and_then(|place| Some((place, set.get(place)?)));
            let Some((place, member)) = member else {
                return Err(FinalityProofError::UnknownVoter { validator });
            };
            if places.last().is_some_and(|last| *last >= place) {
                return Err(FinalityProofError::VoteOrder { validator });
            }
            let first = proof.first_index(&vote).ok_or(FinalityProofError::NotTheVote { validator })?;
            if first != proof.index {
                return Err(FinalityProofError::VoteNotFirst { validator });
            }
            places.push(place);
            checks.push(header.signature_check(&self.chain_id, member.key));
        }
        let quorum = set.quorum();
        let (weight, lightest) = weigh(set, places.iter().copied());
        if weight < quorum {
            return Err(FinalityProofError::VotesTooLight { weight, quorum });
        }
        if weight.saturating_sub(lightest) >= quorum {
            return Err(FinalityProofError::SpareVote { weight, lightest, quorum });
        }
        self.verifier.verify_all(&checks).map_err(|bad| {
            let validator = votes.get(bad).map(|proof| proof.header.validator).unwrap_or_default();
            FinalityProofError::BadVoteSignature { validator }
        })?;
        Ok(Shown { signers: votes.len(), weight })
    }
}
