mod anchors;
mod forged;
mod long_ways;
mod parts;
mod synthetic;

use std::convert::Infallible;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::protocol::commit::CommitError;
use crate::protocol::fixtures::{Chain, document, lock, operator, user};
use crate::protocol::validity::CheckedTransaction;
use crate::types::genesis::GenesisError;
use crate::types::vote::{VoteStep, block_vote_digest};
use crate::types::{GenesisDocument, MasternodeId, OutPoint, SecretKey, Validator};

type Error = FinalityProofError;

/// A chain with all that a node keeps of it for proofs.
#[derive(Clone)]
struct World {
    document: GenesisDocument,
    chain: Chain,
    /// Committed blocks with their commits and the sets that signed them.
    blocks: Vec<(Block, Commit, Arc<ValidatorSet>)>,
}

impl World {
    fn new(weights: &[u64]) -> Self {
        Self::of(document(weights, 4))
    }

    fn of(document: GenesisDocument) -> Self {
        let chain = Chain::new(&document);
        Self { document, chain, blocks: Vec::new() }
    }

    fn advance(&mut self, elapsed_ms: u64, epoch_end: bool, transactions: &[CheckedTransaction]) {
        let set = Arc::clone(self.chain.state.validators());
        let (block, _) = self.chain.advance(elapsed_ms, epoch_end, transactions, &[]);
        self.blocks.push((block, self.chain.commit.clone(), set));
    }

    fn finish_epoch(&mut self) {
        self.advance(1_000, false, &[]);
        self.advance(self.chain.state.parameters().epoch_duration_ms, false, &[]);
        self.advance(1, true, &[]);
    }

    /// Payments of user 0, each of the one before it.
    fn payments(&self, count: usize) -> Vec<CheckedTransaction> {
        let mut coin = self.chain.owned(&user(0))[0];
        (0..count)
            .map(|_| {
                let payment = self.chain.split(&user(0), coin, lock(&user(0)), 1);
                let (outpoint, output) = payment.transaction().created(payment.txid()).next().unwrap();
                coin.0 = outpoint;
                coin.1.output = *output;
                payment
            })
            .collect()
    }

    /// The links to the current epoch.
    fn path(&self) -> Path {
        path(self, &[], [0, self.chain.state.next_epoch()], FINALITY_PROOF_BYTES_MAX).unwrap().unwrap()
    }

    fn proof(&self, txid: TxId, ending: Ending) -> FinalityProof {
        FinalityProof::new(self.document.chain_id(), txid, self.path().links, ending)
    }

    /// The set that votes in an epoch.
    fn set_of(&self, epoch: Epoch) -> &Arc<ValidatorSet> {
        let signed = self.blocks.iter().find(|(block, ..)| block.header.epoch == epoch);
        signed.map_or_else(|| self.chain.state.validators(), |(_, _, set)| set)
    }

    /// Every member's vote among `others` more.
    fn votes(&self, txid: TxId, others: u8) -> Vec<CertificateVote> {
        let vote = FinalityVote { kind: VoteKind::Final, txid };
        let mut votes: Vec<FinalityVote> =
            (0..others).map(|i| FinalityVote { kind: VoteKind::Lock, txid: TxId([i; 32]) }).collect();
        votes.insert(usize::from(others / 2), vote);
        let prove =
            |place: usize| self.chain.votes(place, 7, votes.clone()).prove(usize::from(others / 2)).unwrap();
        (0..self.chain.state.validators().len()).map(prove).collect()
    }

    fn voted(&self, txid: TxId, others: u8) -> FinalityProof {
        let (epoch, set) = (self.chain.state.next_epoch(), self.chain.state.validators());
        self.proof(txid, Ending::voted(txid, epoch, self.votes(txid, others), set).unwrap())
    }

    fn included(&self, txid: TxId) -> FinalityProof {
        let (block, commit, set) = self.blocks.last().unwrap();
        self.proof(txid, Ending::included(txid, block, commit, set).unwrap())
    }

    fn check(&self, proof: &FinalityProof) -> Result<ProvedFinality, Error> {
        verify(&self.document, proof)
    }
}

impl Epochs for World {
    type Error = Infallible;

    fn set_hash(&self, epoch: Epoch) -> Result<Option<Hash>, Infallible> {
        Ok(Some(self.set_of(epoch).hash()))
    }

    fn set(&self, epoch: Epoch, hash: &Hash) -> Result<Arc<ValidatorSet>, Infallible> {
        let set = self.set_of(epoch);
        assert_eq!(set.hash(), *hash);
        Ok(Arc::clone(set))
    }

    fn end(&self, epoch: Epoch) -> Result<Option<(Header, Vec<Commit>)>, Infallible> {
        let is_end = |header: &Header| header.epoch == epoch && header.epoch_end;
        let (block, commit, _) = self.blocks.iter().find(|(block, ..)| is_end(&block.header)).unwrap();
        Ok(Some((block.header.clone(), vec![commit.clone()])))
    }

    fn misfit(&self, epoch: Epoch) -> Infallible {
        panic!("the end of epoch {epoch} does not fit its set")
    }
}

/// Epochs 0, 1 and 2 have other sets: with another key for the one of weight 4 in epoch 1, with another weight and a
/// member more in epoch 2. Epoch 3 has the same set again, and a block of seven payments; the proofs are for the fourth.
/// The links are of epochs 0 and 2: the set of epoch 1 reaches the end of epoch 2, and the first one does not.
fn changing() -> (World, TxId) {
    let mut world = World::new(&[1, 2, 3, 4]);
    let key = operator(21);
    world.chain.change_masternodes(|records| {
        records.values_mut().find(|record| record.weight == 4).unwrap().operator_key = key.public();
    });
    world.finish_epoch();
    let joining = operator(22);
    world.chain.change_masternodes(|records| {
        let mut record = records.values().find(|record| record.weight == 3).unwrap().clone();
        record.collateral = OutPoint { txid: TxId([22; 32]), index: 0 };
        (record.operator_key, record.registration) = (joining.public(), 4);
        records.insert(MasternodeId([22; 32]), record);
        let light = records.values_mut().find(|record| record.weight == 1).unwrap();
        (light.weight, light.effective_weight) = (5, 5);
    });
    world.finish_epoch();
    world.finish_epoch();
    let payments = world.payments(7);
    world.advance(1_000, false, &payments);
    (world, payments[3].txid())
}

#[test]
fn both_endings_are_proved_over_changing_sets() {
    let (world, txid) = changing();
    let weights = |set: &ValidatorSet| set.members().iter().map(|member| member.weight).collect::<Vec<_>>();
    assert_eq!(weights(world.chain.state.validators()), [5, 4, 3, 3, 2]);
    let Path { links, ends, set } = world.path();
    assert_eq!((ends, &set), (vec![0, 2], world.chain.state.validators()));
    let given: Vec<[bool; 2]> =
        links.iter().map(|link| [link.set.is_some(), link.next_set.is_some()]).collect();
    assert_eq!(given, [[false, true], [true, false]]);

    let voted = world.check(&world.voted(txid, 4)).unwrap();
    let expected = ProvedFinality {
        chain_id: world.document.chain_id(),
        txid,
        trusted: None,
        epoch: 3,
        inclusion: None,
        signers: 3,
        validators: 5,
        signed_weight: 12,
        quorum: 12,
        total_weight: 17,
    };
    assert_eq!(voted, expected);
    let header = &world.blocks.last().unwrap().0.header;
    let inclusion = Some(ProvedInclusion { height: 10, block_hash: header.hash(), time: header.time });
    let included = world.included(txid);
    assert_eq!(world.check(&included).unwrap(), ProvedFinality { inclusion, ..expected });
    assert_eq!((included.epoch(), included.txid()), (3, txid));
    for proof in [included, world.voted(txid, 4)] {
        assert_eq!(FinalityProof::from_bytes(&proof.to_bytes()), Ok(proof));
    }
}

#[test]
fn every_place_of_a_block_is_proved_the_reward_and_the_first_epoch_included() {
    let mut world = World::new(&[1; 4]);
    let payments = world.payments(5);
    world.advance(1_000, false, &payments);
    for payment in &payments {
        assert_eq!(world.check(&world.included(payment.txid())).unwrap().epoch, 0);
        assert_eq!(world.check(&world.voted(payment.txid(), 0)).unwrap().epoch, 0);
    }
    world.advance(world.chain.state.parameters().epoch_duration_ms, false, &[]);
    world.advance(1, true, &[]);
    let (block, commit, set) = world.blocks.last().unwrap().clone();
    let reward = block.transactions[0].txid();
    let ending = Ending::included(reward, &block, &commit, &set).unwrap();
    let proof = FinalityProof::new(world.document.chain_id(), reward, Vec::new(), ending);
    assert_eq!(world.check(&proof).unwrap().inclusion.unwrap().height, 3);
}

/// INV-PROOF-1.
/// Holds that a proof is accepted, and not once any of its bytes is changed, left out or added.
fn every_byte_counts(bytes: &[u8], accepted: impl Fn(&[u8]) -> bool) {
    assert!(accepted(bytes));
    for place in 0..bytes.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut changed = bytes.to_vec();
            changed[place] ^= change;
            assert!(!accepted(&changed), "byte {place} of {} ^ {change:#x}", bytes.len());
        }
        assert!(!accepted(&bytes[..place]), "cut to {place}");
    }
    for added in [0x00, 0x01, 0xff] {
        assert!(!accepted(&[bytes, &[added]].concat()));
    }
}

#[test]
fn no_byte_can_be_changed_left_out_or_added() {
    let (world, txid) = changing();
    for proof in [world.voted(txid, 2), world.included(txid)] {
        every_byte_counts(&proof.to_bytes(), |bytes| {
            FinalityProof::from_bytes(bytes).is_ok_and(|proof| verify(&world.document, &proof).is_ok())
        });
    }
}

/// A change and the error that it has to give.
type Case = (fn(&mut FinalityProof), fn(&Error) -> bool);

fn votes(proof: &mut FinalityProof) -> &mut Vec<CertificateVote> {
    match &mut proof.ending {
        Ending::Voted(votes) => votes,
        Ending::Included(_) => panic!("votes were expected"),
    }
}

fn inclusion(proof: &mut FinalityProof) -> &mut Inclusion {
    match &mut proof.ending {
        Ending::Included(inclusion) => inclusion,
        Ending::Voted(_) => panic!("a block was expected"),
    }
}

/// Changes one field at a time and holds the rule that refuses it.
fn assert_refused(world: &World, proof: &FinalityProof, cases: &[Case]) {
    for (place, (change, expected)) in cases.iter().enumerate() {
        let mut changed = proof.clone();
        change(&mut changed);
        assert_ne!(changed, *proof, "case {place}");
        let error = world.check(&changed).unwrap_err();
        assert!(expected(&error), "case {place}: {error:?}");
    }
}

fn bad_commit(error: &Error) -> bool {
    matches!(error, Error::Commit { error: CommitError::BadSignature { .. }, .. })
}

fn misshapen(error: &Error) -> bool {
    matches!(error, Error::Commit { error: CommitError::Misshapen { .. }, .. })
}

fn given(proof: &mut FinalityProof) -> &mut GivenSet {
    proof.links[1].set.as_mut().unwrap()
}

#[test]
fn every_field_of_a_link_counts() {
    let (world, txid) = changing();
    assert_refused(
        &world,
        &world.voted(txid, 2),
        &[
            (|p| p.chain_id.0[0] ^= 1, |e| matches!(e, Error::ForeignChain { .. })),
            (|p| p.links[1].header.chain_id.0[0] ^= 1, |e| matches!(e, Error::ForeignChain { .. })),
            (|p| p.links[1].header.height += 1, bad_commit),
            (|p| p.links[1].header.height = 6, |e| *e == Error::HeightTooLow { least: 7, found: 6 }),
            (|p| p.links[1].header.round += 1, bad_commit),
            (|p| p.links[1].header.epoch = 0, |e| *e == Error::EpochTooLow { least: 1, found: 0 }),
            (|p| p.links[1].header.epoch = 1, |e| matches!(e, Error::WrongValidatorsHash { height: 9, .. })),
            (|p| p.links[1].header.epoch = 3, bad_commit),
            (|p| p.links[1].header.epoch = 4, |e| *e == Error::HeightTooLow { least: 11, found: 9 }),
            (|p| p.links[1].header.epoch_end = false, |e| *e == Error::NotEpochEnd { epoch: 2, height: 9 }),
            (|p| p.links[1].header.time += 1, bad_commit),
            (
                |p| p.links[1].header.time = p.links[0].header.time,
                |e| matches!(e, Error::TimeTooLow { height: 9, .. }),
            ),
            (|p| p.links[1].header.prev_hash.0[0] ^= 1, bad_commit),
            (|p| p.links[1].header.last_commit_root.0[0] ^= 1, bad_commit),
            (|p| p.links[1].header.tx_root.0[0] ^= 1, bad_commit),
            (|p| p.links[1].header.evidence_root.0[0] ^= 1, bad_commit),
            (|p| p.links[1].header.epoch_ends_root.0[0] ^= 1, bad_commit),
            (|p| p.links[1].header.state_digest.0[0] ^= 1, bad_commit),
            (
                |p| p.links[0].header.validators_hash.0[0] ^= 1,
                |e| matches!(e, Error::WrongValidatorsHash { height: 3, .. }),
            ),
            (
                |p| p.links[1].header.validators_hash.0[0] ^= 1,
                |e| matches!(e, Error::WrongSet { height: 9, .. }),
            ),
            (
                |p| p.links[0].header.next_validators_hash.0[0] ^= 1,
                |e| matches!(e, Error::WrongSet { height: 3, .. }),
            ),
            (|p| p.links[1].header.next_validators_hash.0[0] ^= 1, |e| *e == Error::SetMissing { height: 9 }),
            (|p| p.links[1].header.proposer.0[0] ^= 1, bad_commit),
            (|p| p.links[1].commit.round += 1, bad_commit),
            (|p| p.links[1].commit.signatures[1].0[0] ^= 1, bad_commit),
            (|p| p.links[1].commit.signatures.swap(0, 1), bad_commit),
            (|p| p.links[1].commit.signatures.truncate(1), misshapen),
            (|p| p.links[1].commit.signers = SignerBitmap::empty(5), misshapen),
            (|p| p.links[1].commit.signers = SignerBitmap::empty(9), misshapen),
            (|p| drop(p.links.remove(0)), |e| matches!(e, Error::WrongSet { height: 9, .. })),
            (|p| p.links.swap(0, 1), |e| matches!(e, Error::WrongSet { height: 9, .. })),
            (|p| drop(p.links.pop()), |e| *e == Error::WrongVoteEpoch { expected: 1, found: 3 }),
            (|p| p.links.push(p.links[1].clone()), |e| *e == Error::EpochTooLow { least: 3, found: 2 }),
        ],
    );
}

#[test]
fn every_field_of_a_given_set_counts() {
    let (world, txid) = changing();
    let proof = world.voted(txid, 2);
    // Of epoch 1's members with weights 4, 3, 2 and 1 the first three are in epoch 2's too.
    let places = |set: &GivenSet| set.added.iter().map(|(place, _)| *place).collect::<Vec<_>>();
    let set = proof.links[1].set.as_ref().unwrap();
    assert_eq!((set.kept.iter().collect(), places(set)), (vec![0, 1, 2], vec![0, 3]));
    assert_refused(
        &world,
        &proof,
        &[
            (|p| given(p).added[0].1.weight += 1, |e| matches!(e, Error::WrongSet { .. })),
            (|p| given(p).added[0].1.key.0[0] ^= 1, |e| matches!(e, Error::WrongSet { .. })),
            (|p| given(p).added[0].1.id.0[0] ^= 1, |e| matches!(e, Error::WrongSet { .. })),
            (|p| given(p).added[0].0 += 1, |e| matches!(e, Error::WrongSet { .. })),
            (|p| given(p).added[1].0 = 5, |e| *e == Error::SetNotCanonical { height: 9 }),
            (|p| given(p).added.swap(0, 1), |e| *e == Error::SetNotCanonical { height: 9 }),
            (|p| given(p).added.truncate(1), |e| matches!(e, Error::WrongSet { .. })),
            (|p| given(p).kept.set(3), |e| matches!(e, Error::WrongSet { .. })),
            (|p| given(p).kept.set(4), |e| *e == Error::SetNotCanonical { height: 9 }),
            (|p| given(p).kept = SignerBitmap::empty(9), |e| *e == Error::SetNotCanonical { height: 9 }),
            (|p| p.links[1].set = None, |e| *e == Error::SetMissing { height: 9 }),
            (|p| p.links[0].next_set = None, |e| *e == Error::SetMissing { height: 3 }),
            (|p| p.links[1].next_set = p.links[1].set.clone(), |e| *e == Error::SetRepeated { height: 9 }),
            (|p| p.links[0].set = p.links[0].next_set.clone(), |e| *e == Error::SetRepeated { height: 3 }),
            (
                |p| *given(p) = GivenSet { kept: SignerBitmap::empty(4), added: Vec::new() },
                |e| *e == Error::SetSize { height: 9, members: 0, max: 100 },
            ),
            (
                |p| given(p).added = vec![given(p).added[0]; 98],
                |e| *e == Error::SetSize { height: 9, members: 101, max: 100 },
            ),
            (
                |p| p.links[0].next_set.as_mut().unwrap().kept = SignerBitmap::empty(0),
                |e| *e == Error::SetNotCanonical { height: 3 },
            ),
        ],
    );
}

#[test]
fn every_field_of_the_endings_counts() {
    let (world, txid) = changing();
    assert_refused(
        &world,
        &world.voted(txid, 2),
        &[
            (|p| p.txid.0[0] ^= 1, |e| matches!(e, Error::NotTheVote { .. })),
            (|p| votes(p)[0].header.epoch = 2, |e| *e == Error::WrongVoteEpoch { expected: 3, found: 2 }),
            (|p| votes(p)[0].header.validator.0[0] ^= 1, |e| matches!(e, Error::UnknownVoter { .. })),
            (|p| votes(p)[0].header.seq += 1, |e| matches!(e, Error::BadVoteSignature { .. })),
            (|p| votes(p)[0].header.count += 1, |e| matches!(e, Error::NotTheVote { .. })),
            (|p| votes(p)[0].header.votes_root.0[0] ^= 1, |e| matches!(e, Error::NotTheVote { .. })),
            (|p| votes(p)[1].header.signature.0[0] ^= 1, |e| matches!(e, Error::BadVoteSignature { .. })),
            (|p| votes(p)[0].index += 1, |e| matches!(e, Error::NotTheVote { .. })),
            (|p| votes(p)[0].path[0].0[0] ^= 1, |e| matches!(e, Error::NotTheVote { .. })),
            (|p| votes(p)[0].path.truncate(1), |e| matches!(e, Error::NotTheVote { .. })),
            (|p| votes(p)[0].path.push(Hash::ZERO), |e| matches!(e, Error::NotTheVote { .. })),
            (|p| votes(p).swap(0, 1), |e| matches!(e, Error::VoteOrder { .. })),
            (|p| votes(p)[1] = votes(p)[0].clone(), |e| matches!(e, Error::VoteOrder { .. })),
            (|p| drop(votes(p).pop()), |e| matches!(e, Error::VotesTooLight { .. })),
            (|p| votes(p).clear(), |e| *e == Error::VotesTooLight { weight: 0, quorum: 12 }),
            (
                |p| *votes(p) = vec![votes(p)[0].clone(); 101],
                |e| *e == Error::TooManyVotes { votes: 101, max: 100 },
            ),
        ],
    );
    assert_refused(
        &world,
        &world.included(txid),
        &[
            (|p| p.txid.0[0] ^= 1, |e| matches!(e, Error::NotIncluded { .. })),
            (|p| drop(p.links.pop()), |e| *e == Error::WrongEpoch { expected: 1, found: 3 }),
            (|p| inclusion(p).header.epoch = 2, |e| *e == Error::EpochTooLow { least: 3, found: 2 }),
            (
                |p| inclusion(p).header.time = p.links[1].header.time,
                |e| matches!(e, Error::TimeTooLow { height: 10, .. }),
            ),
            (|p| inclusion(p).index += 1, |e| matches!(e, Error::NotIncluded { .. })),
            (|p| inclusion(p).index = 7, |e| matches!(e, Error::NoSuchPlace { index: 7, count: 7, .. })),
            (|p| inclusion(p).count += 1, |e| matches!(e, Error::NotIncluded { .. })),
            (|p| inclusion(p).count = 50_001, |e| matches!(e, Error::NoSuchPlace { max: 50_000, .. })),
            (|p| inclusion(p).path[1].0[0] ^= 1, |e| matches!(e, Error::NotIncluded { .. })),
            (|p| inclusion(p).path.truncate(1), |e| matches!(e, Error::NotIncluded { .. })),
            (|p| inclusion(p).path.push(Hash::ZERO), |e| matches!(e, Error::NotIncluded { .. })),
            (|p| inclusion(p).header.tx_root.0[0] ^= 1, |e| matches!(e, Error::NotIncluded { .. })),
            (|p| inclusion(p).header.height = 9, |e| *e == Error::HeightTooLow { least: 10, found: 9 }),
            (|p| inclusion(p).header.time += 1, bad_commit),
            (|p| inclusion(p).header.chain_id.0[0] ^= 1, |e| matches!(e, Error::ForeignChain { .. })),
            (
                |p| inclusion(p).header.validators_hash.0[0] ^= 1,
                |e| matches!(e, Error::WrongValidatorsHash { .. }),
            ),
            (|p| inclusion(p).commit.round += 1, bad_commit),
            (|p| inclusion(p).commit.signatures[0].0[63] ^= 1, bad_commit),
        ],
    );
}

#[test]
fn what_the_signers_could_add_is_refused_too() {
    let (world, txid) = changing();
    let (_, commit, _) = world.blocks.last().unwrap();
    let whole = QuorumCommit {
        round: commit.round,
        signers: commit.signers.clone(),
        signatures: commit.signatures.clone(),
    };
    let mut spare = world.included(txid);
    inclusion(&mut spare).commit = whole;
    // Without the first one, of weight 5, the others weigh just enough; so they do without anybody else.
    let validator = world.chain.state.validators().get(0).unwrap().id;
    assert_eq!(world.check(&spare), Err(Error::SpareSigner { height: 10, validator }));
    let spare = world.proof(txid, Ending::Voted(world.votes(txid, 2)));
    assert_eq!(world.check(&spare), Err(Error::SpareVote { weight: 17, lightest: 2, quorum: 12 }));
    // A quorum of others is another proof of the same.
    let votes = world.votes(txid, 2).split_off(1);
    assert_eq!(world.check(&world.proof(txid, Ending::Voted(votes))).unwrap().signed_weight, 12);
}

#[test]
fn a_vote_that_stands_twice_in_its_batch_has_one_form() {
    let world = World::new(&[1; 4]);
    let txid = TxId([9; 32]);
    let vote = FinalityVote { kind: VoteKind::Final, txid };
    let twice = |place: usize| world.chain.votes(place, 0, vec![vote; 2]).prove(1).unwrap();
    let ending = Ending::voted(txid, 0, (0..4).map(twice), world.chain.state.validators()).unwrap();
    let mut proof = world.proof(txid, ending);
    assert!(votes(&mut proof).iter().all(|vote| vote.index == 0));
    assert_eq!(world.check(&proof).unwrap().signers, 3);
    votes(&mut proof)[2].index = 1;
    assert!(matches!(world.check(&proof), Err(Error::VoteNotFirst { .. })));
}

#[test]
fn the_votes_have_to_be_final_ones_of_the_epoch() {
    let world = World::new(&[1; 4]);
    let (txid, set) = (TxId([9; 32]), Arc::clone(world.chain.state.validators()));
    let locks: Vec<CertificateVote> = (0..4)
        .map(|place| {
            let vote = FinalityVote { kind: VoteKind::Lock, txid };
            world.chain.votes(place, 0, vec![vote]).prove(0).unwrap()
        })
        .collect();
    assert_eq!(Ending::voted(txid, 0, locks.clone(), &set), None);
    let forged = world.proof(txid, Ending::Voted(locks[..3].to_vec()));
    assert!(matches!(world.check(&forged), Err(Error::NotTheVote { .. })));
    assert_eq!(Ending::voted(txid, 1, world.votes(txid, 0), &set), None);
    let two = world.votes(txid, 0).split_off(2);
    assert_eq!(Ending::voted(txid, 0, two.clone(), &set), None, "two of four");
    let light = world.proof(txid, Ending::Voted(two));
    assert_eq!(world.check(&light), Err(Error::VotesTooLight { weight: 2, quorum: 3 }));
}

#[test]
fn another_genesis_document_is_another_chain() {
    let (world, txid) = changing();
    let proof = world.included(txid);
    let mut other = world.document.clone();
    other.time_ms += 1;
    assert!(matches!(verify(&other, &proof), Err(Error::ForeignChain { .. })));
    other.masternodes.truncate(1);
    assert!(matches!(verify(&other, &proof), Err(Error::Genesis(GenesisError::TooFewMasternodes { .. }))));
}

#[test]
fn parts_that_do_not_fit_make_no_proof() {
    let (world, txid) = changing();
    let (block, commit, set) = &world.blocks[2];
    let (next, later) = (&world.blocks[3].2, &world.blocks[6].2);
    let link = EpochLink::new;
    assert!(link(&block.header, commit, [set, set, next]).is_some());
    assert_eq!(link(&block.header, commit, [set, set, set]), None, "another next set");
    assert_eq!(link(&block.header, commit, [set, next, next]), None, "another set");
    let (other, other_commit, _) = &world.blocks[1];
    assert_eq!(link(&block.header, other_commit, [set, set, next]), None, "another block's commit");
    assert_eq!(link(&other.header, other_commit, [set, set, next]), None, "not the epoch's last");
    let mut light = commit.clone();
    (light.signers, light.signatures) = (SignerBitmap::empty(4), Vec::new());
    assert_eq!(link(&block.header, &light, [set, set, next]), None, "no quorum");
    let (end, end_commit, _) = &world.blocks[8];
    assert!(
        link(&end.header, end_commit, [next, later, later]).is_some(),
        "the second set reaches the third"
    );
    assert_eq!(link(&end.header, end_commit, [set, later, later]), None, "and the first one does not");
    assert_eq!(Ending::included(txid, block, commit, set), None, "another block's transaction");
}

/// What a node hands out, its own check would take: a block is proved with its own set and commit.
#[test]
fn a_block_makes_no_proof_with_another_blocks_commit_or_another_epochs_set() {
    let (world, txid) = changing();
    let (block, commit, set) = world.blocks.last().unwrap();
    assert!(Ending::included(txid, block, commit, set).is_some());
    let other = &world.blocks[world.blocks.len() - 2].1;
    assert_eq!(Ending::included(txid, block, other, set), None, "another block's commit");
    // As many members of the same weights, so that only the header tells.
    let mut members = set.members().to_vec();
    members[0].key = operator(99).public();
    assert_eq!(Ending::included(txid, block, commit, &ValidatorSet::new(members)), None, "another set");
}

#[test]
fn only_proofs_of_this_version_are_read() {
    let (world, txid) = changing();
    let bytes = world.included(txid).to_bytes();
    let read = |bytes: &[u8]| FinalityProof::from_bytes(bytes).unwrap_err();
    assert_eq!(read(b""), Error::NotAProof);
    assert_eq!(read(FORMAT), Error::NotAProof);
    assert_eq!(read(&bytes[1..]), Error::NotAProof);
    for version in [1, 3] {
        let mut other = bytes.clone();
        other[FORMAT.len()] = version;
        assert_eq!(read(&other), Error::UnknownVersion { version: version.into() });
    }
    assert!(matches!(read(&bytes[..bytes.len() - 1]), Error::Malformed(_)));
    let large = vec![0; FINALITY_PROOF_BYTES_MAX + 1];
    assert_eq!(read(&large), Error::TooLarge { length: large.len() });
    assert_eq!(read(&large[1..]), Error::NotAProof, "as large as one may be");
    // A count of links that memory could not hold.
    let mut bomb = [FORMAT, &FINALITY_PROOF_VERSION.to_le_bytes(), &[0; 64]].concat();
    bomb.extend_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(read(&bomb), Error::Malformed(_)));
}

proptest! {
    #[test]
    fn whatever_is_read_is_written_again_and_judged_without_panic(
        content in proptest::collection::vec(any::<u8>(), 0..600),
        place in 0_usize..3_000,
        value in any::<[u8; 9]>(),
    ) {
        let version = FINALITY_PROOF_VERSION.to_le_bytes();
        let random = [FORMAT, &version, &content].concat();
        // And a real one, overwritten somewhere: there the decoder gets further.
        let (document, mut real) = REAL.clone();
        let place = place % (real.len() - value.len());
        real[place..place + value.len()].copy_from_slice(&value);
        for bytes in [random, real] {
            if let Ok(proof) = FinalityProof::from_bytes(&bytes) {
                prop_assert_eq!(proof.to_bytes(), bytes);
                prop_assert!(verify(&document, &proof).is_err());
            }
        }
    }
}

static REAL: std::sync::LazyLock<(GenesisDocument, Vec<u8>)> = std::sync::LazyLock::new(|| {
    let (world, txid) = changing();
    let bytes = world.voted(txid, 2).to_bytes();
    (world.document, bytes)
});

/// Checks signatures, and counts them.
#[derive(Default)]
struct Counting(std::cell::Cell<usize>);

impl crate::types::SignatureVerifier for Counting {
    fn verify_all(&self, checks: &[crate::types::SignatureCheck]) -> Result<(), usize> {
        self.0.set(self.0.get() + checks.len());
        crate::types::keys::SequentialVerifier.verify_all(checks)
    }
}

/// INV-PROOF-2.
#[test]
fn a_forged_proof_costs_no_more_than_the_genuine_links_before_it() {
    let (world, txid) = changing();
    let cost = |proof: &FinalityProof| {
        let counting = Counting::default();
        let verdict = verify_with(&world.document, None, proof, &counting);
        (verdict, counting.0.get())
    };
    let good = world.included(txid);
    let (verdict, whole) = cost(&good);
    verdict.unwrap();
    let signatures = |link: &EpochLink| link.commit.signatures.len();
    let costs: Vec<usize> = good.links.iter().map(signatures).collect();
    for (place, before) in (0..costs.len()).map(|place| (place, costs[..place].iter().sum::<usize>())) {
        // Its commit is for another block now: structure holds, the first batch of signatures does not.
        let mut forged = good.clone();
        forged.links[place].header.time += 1;
        let (verdict, spent) = cost(&forged);
        assert!(matches!(verdict, Err(Error::Commit { .. })), "{verdict:?}");
        assert_eq!(spent, before + costs[place]);
        // A structural fault costs no signature of its link.
        let mut forged = good.clone();
        forged.links[place].header.epoch_end = false;
        let (verdict, spent) = cost(&forged);
        assert!(matches!(verdict, Err(Error::NotEpochEnd { .. })), "{verdict:?}");
        assert_eq!(spent, before);
    }
    // Nor does weight that is missing in the trusted set.
    let light = forged::second_link_by(&world, &good, &[1, 3, 22, 2]);
    let (verdict, spent) = cost(&light);
    assert!(matches!(verdict, Err(Error::TrustedTooLight { .. })), "{verdict:?}");
    assert_eq!(spent, costs[0]);
    // Bounds are held before anything is checked.
    let mut large = good;
    let member = world.chain.state.validators().members()[0];
    let kept = SignerBitmap::empty(5);
    large.links.last_mut().unwrap().next_set = Some(GivenSet { kept, added: vec![(0, member); 101] });
    let (verdict, spent) = cost(&large);
    assert!(matches!(verdict, Err(Error::SetSize { .. })), "{verdict:?}");
    assert_eq!((spent, whole > costs.iter().sum()), (0, true));
}
