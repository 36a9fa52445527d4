//! Links that hold but for one rule, with signatures of those who could give them.

use super::synthetic::{Synthetic, time_of};
use super::*;
use crate::protocol::evidence;
use crate::types::keys::SequentialVerifier;
use crate::types::{Evidence, VoteBatch};

/// A commit of a header by those of its `set` who have one of these keys.
fn commit(header: &Header, set: &ValidatorSet, keys: &[u8]) -> QuorumCommit {
    let (epoch, height, value) = (header.epoch, header.height, Some(header.hash()));
    let digest = block_vote_digest(&header.chain_id, VoteStep::Precommit, epoch, height, 0, value);
    let mut commit =
        QuorumCommit { round: 0, signers: SignerBitmap::empty(set.len()), signatures: Vec::new() };
    for (place, member) in set.members().iter().enumerate() {
        if let Some(secret) = keys.iter().map(|key| operator(*key)).find(|one| one.public() == member.key) {
            commit.signers.set(place);
            commit.signatures.push(secret.sign(&digest));
        }
    }
    commit
}

/// A proof of the changing world with the commit of its second link made anew by these keys.
pub(super) fn second_link_by(world: &World, proof: &FinalityProof, keys: &[u8]) -> FinalityProof {
    let mut forged = proof.clone();
    let header = &proof.links[1].header;
    forged.links[1].commit = commit(header, world.set_of(header.epoch), keys);
    forged
}

#[test]
fn a_link_takes_the_quorum_of_its_own_set_and_that_of_the_trusted_one() {
    let (world, txid) = changing();
    let proof = world.voted(txid, 2);
    let by = |keys: &[u8]| world.check(&second_link_by(&world, &proof, keys));
    // In epoch 2 keys 1, 21, 3, 22, 2 weigh 5, 4, 3, 3, 2: the quorum is 12. In epoch 1, whose set is trusted, keys 21, 3,
    // 2, 1 weigh 4, 3, 2, 1: the quorum is 7.
    assert_eq!(by(&[1, 21, 3]).unwrap().epoch, 3, "both quorums");
    assert_eq!(by(&[1, 21, 22]), Err(Error::TrustedTooLight { height: 9, weight: 5, quorum: 7 }));
    // By the weights of epoch 2 those of them who are trusted would be 10.
    assert_eq!(by(&[1, 3, 22, 2]), Err(Error::TrustedTooLight { height: 9, weight: 6, quorum: 7 }));
    let light = by(&[21, 3, 2]).unwrap_err();
    assert!(matches!(light, Error::Commit { error: CommitError::TooLight { weight: 9, quorum: 12 }, .. }));
    let validator = world.set_of(2).get(4).unwrap().id;
    assert_eq!(by(&[1, 21, 3, 2]), Err(Error::SpareSigner { height: 9, validator }));
}

#[test]
fn a_key_that_left_forges_nothing() {
    let (world, txid) = changing();
    // Key 4 voted with weight 4 in epoch 0, before key 21 took its place.
    let mut old = second_link_by(&world, &world.voted(txid, 2), &[1, 3]);
    old.links[1].commit.signers.set(1);
    old.links[1].commit.signatures.insert(1, operator(4).sign(&[0; 32]));
    assert!(bad_commit(&world.check(&old).unwrap_err()));
}

/// A set of these keys, each with its weight. Keys of the document are of its masternodes.
fn set(chain: &Synthetic, members: &[(u8, u64)]) -> ValidatorSet {
    let first = chain.first_set();
    let member = |(key, weight): &(u8, u64)| {
        let public = operator(*key).public();
        let id = first.find_key(&public).map_or(MasternodeId([*key; 32]), |(_, known)| known.id);
        Validator { id, key: public, weight: *weight }
    };
    ValidatorSet::new(members.iter().map(member).collect())
}

fn told(set: &ValidatorSet, base: &ValidatorSet) -> Option<GivenSet> {
    (set != base).then(|| GivenSet::of(set, base).unwrap())
}

/// A proof whose link is to the end of epoch 3, with anything else in it that is asked for.
struct Forgery {
    chain: Synthetic,
    own: ValidatorSet,
    next: ValidatorSet,
    header: Header,
}

impl Forgery {
    /// Keys 1, 2, 3 and so on, of these weights, are trusted first. In epochs 3 and 4 these members vote.
    fn new(trusted: &[u64], own: &[(u8, u64)]) -> Self {
        let chain = Synthetic::new(trusted, (0, 1));
        let own = set(&chain, own);
        let mut header = chain.header(3, true);
        (header.validators_hash, header.next_validators_hash) = (own.hash(), own.hash());
        Self { chain, next: own.clone(), own, header }
    }

    fn link(&self, signers: &[u8]) -> EpochLink {
        EpochLink {
            header: self.header.clone(),
            commit: commit(&self.header, &self.own, signers),
            set: told(&self.own, &self.chain.first_set()),
            next_set: told(&self.next, &self.own),
        }
    }

    /// A proof of these links, and as many votes of the next set as it takes.
    fn proof(&self, links: Vec<EpochLink>) -> FinalityProof {
        let (txid, chain_id) = (TxId([9; 32]), self.header.chain_id);
        let epoch = links.last().unwrap().header.epoch + 1;
        let vote = FinalityVote { kind: VoteKind::Final, txid };
        let votes = self.next.members().iter().map(|member| {
            let secret = (1..=60).map(operator).find(|secret| secret.public() == member.key).unwrap();
            VoteBatch::signed(&chain_id, epoch, member.id, 0, vec![vote], &secret).prove(0).unwrap()
        });
        let ending = Ending::voted(txid, epoch, votes, &self.next).unwrap();
        FinalityProof::new(chain_id, txid, links, ending)
    }

    /// The verdict on it.
    fn judge(&self, links: Vec<EpochLink>) -> Result<ProvedFinality, Error> {
        verify(&self.chain.document, &self.proof(links))
    }

    fn signed_by(&self, signers: &[u8]) -> Result<ProvedFinality, Error> {
        self.judge(vec![self.link(signers)])
    }
}

/// Two thirds of a set vouch for one that never was: the proof holds, and they lose their collaterals where the chain is
/// known, whatever names the false set gives to their keys.
#[test]
fn who_signs_a_forged_link_is_accused_by_the_chain_that_is_there() {
    let mut forgery = Forgery::new(&[1; 4], &[(1, 1), (2, 1), (3, 1), (31, 1)]);
    let mut members = forgery.own.members().to_vec();
    members[0].id = MasternodeId([77; 32]);
    forgery.own = ValidatorSet::new(members);
    forgery.header.validators_hash = forgery.own.hash();
    let proof = forgery.proof(vec![forgery.link(&[1, 2, 3])]);
    let document = &forgery.chain.document;
    verify(document, &proof).unwrap();
    let accused = |world: &World, proof: &FinalityProof| {
        let pieces = proof.accuses(&world.chain.state, (document, None), &SequentialVerifier);
        for piece in &pieces {
            assert_eq!(evidence::check(piece, &world.chain.state, &SequentialVerifier), Ok(()));
        }
        pieces.iter().map(Evidence::validator).collect::<Vec<_>>()
    };
    let mut world = World::of(document.clone());
    (0..2).for_each(|_| world.finish_epoch());
    assert_eq!(
        accused(&world, &proof),
        [],
        "the block at this height may be as it says, as far as anybody knows"
    );
    world.advance(1_000, false, &[]);
    let keys = [1, 2, 3].map(|key| forgery.chain.first_set().find_key(&operator(key).public()).unwrap().1.id);
    assert_eq!(accused(&world, &proof), keys);
    // Nor does a proof of this chain accuse anybody.
    let (world, txid) = changing();
    let proof = world.voted(txid, 2);
    assert_eq!(proof.accuses(&world.chain.state, (&world.document, None), &SequentialVerifier), []);
}

#[test]
fn a_quorum_of_a_set_that_nobody_knows_is_not_enough() {
    let forgery = Forgery::new(&[1; 4], &[(1, 1), (2, 1), (31, 1), (32, 1), (33, 1), (34, 1), (35, 1)]);
    let light = Error::TrustedTooLight { height: 8, weight: 2, quorum: 3 };
    assert_eq!(forgery.signed_by(&[1, 2, 31, 32, 33]), Err(light));
    let strangers = Forgery::new(&[1; 4], &[(31, 1), (32, 1), (33, 1), (34, 1)]);
    let none = Error::TrustedTooLight { height: 8, weight: 0, quorum: 3 };
    assert_eq!(strangers.signed_by(&[31, 32, 33]), Err(none));
}

#[test]
fn a_quorum_of_the_trusted_set_is_not_enough() {
    let forgery = Forgery::new(&[1; 4], &[(1, 1), (2, 1), (3, 1), (31, 1), (32, 1), (33, 1), (34, 1)]);
    assert_eq!(forgery.signed_by(&[1, 2, 3, 31, 32]).unwrap().epoch, 4, "with the own quorum it is");
    let light = forgery.signed_by(&[1, 2, 3]).unwrap_err();
    assert!(matches!(light, Error::Commit { error: CommitError::TooLight { weight: 3, quorum: 5 }, .. }));
}

#[test]
fn trust_is_weighed_by_the_weights_of_the_trusted_set() {
    // Keys 1 and 2 are 6 of 8 in their own epoch, and 2 of 7 in the trusted set.
    let forgery = Forgery::new(&[1, 1, 1, 4], &[(1, 5), (2, 1), (3, 1), (4, 1)]);
    let light = Error::TrustedTooLight { height: 8, weight: 2, quorum: 5 };
    assert_eq!(forgery.signed_by(&[1, 2]), Err(light));
    // Key 4 is heavy where it is trusted.
    assert_eq!(forgery.signed_by(&[1, 4]).unwrap().epoch, 4);
}

#[test]
fn a_signer_that_breaks_neither_quorum_is_spare() {
    // Key 31 adds nothing that is trusted, and key 4 is more than the own quorum takes.
    let forgery = Forgery::new(&[1; 4], &[(1, 2), (2, 2), (3, 2), (4, 1), (31, 1)]);
    assert_eq!(forgery.signed_by(&[1, 2, 3]).unwrap().epoch, 4);
    for (spare, place) in [(4, 3), (31, 4)] {
        let validator = forgery.own.get(place).unwrap().id;
        let found = forgery.signed_by(&[1, 2, 3, spare]);
        assert_eq!(found, Err(Error::SpareSigner { height: 8, validator }), "{spare}");
    }
    // One that only the trusted quorum needs is not.
    let forgery = Forgery::new(&[1; 4], &[(1, 9), (2, 1), (3, 1)]);
    assert_eq!(forgery.signed_by(&[1, 2, 3]).unwrap().epoch, 4);
}

#[test]
fn a_key_or_a_masternode_that_stands_twice_counts_for_nothing() {
    let same_key: fn(&mut [Validator]) = |set| set[1].key = set[0].key;
    let same_id: fn(&mut [Validator]) = |set| set[1].id = set[0].id;
    for (change, signers) in [(same_key, &[1, 2][..]), (same_id, &[1, 2, 3])] {
        let mut forgery = Forgery::new(&[1; 4], &[(1, 1), (31, 1), (2, 1), (3, 1)]);
        let mut members = forgery.own.members().to_vec();
        change(&mut members);
        forgery.own = ValidatorSet::new(members);
        forgery.header.validators_hash = forgery.own.hash();
        assert_eq!(forgery.signed_by(signers), Err(Error::SetNotDistinct { height: 8 }));
    }
    // In the set that votes next as well; what votes there does not come into it.
    let mut forgery = Forgery::new(&[1; 4], &[(1, 1), (2, 1), (3, 1), (31, 1)]);
    forgery.next = set(&forgery.chain, &[(1, 1), (1, 1), (2, 1), (3, 1)]);
    forgery.header.next_validators_hash = forgery.next.hash();
    let link = forgery.link(&[1, 2, 3]);
    forgery.next = forgery.own.clone();
    assert_eq!(forgery.judge(vec![link]), Err(Error::SetNotDistinct { height: 8 }));
}

#[test]
fn a_set_is_the_one_that_the_header_names() {
    let mut forgery = Forgery::new(&[1; 4], &[(1, 1), (2, 1), (3, 1), (31, 1)]);
    let (own, other) = (forgery.header.validators_hash, Hash([7; 32]));
    forgery.header.validators_hash = other;
    let found = forgery.signed_by(&[1, 2, 3]);
    assert_eq!(found, Err(Error::WrongSet { height: 8, expected: other, found: own }));
    (forgery.header.validators_hash, forgery.header.next_validators_hash) = (own, other);
    assert_eq!(forgery.signed_by(&[1, 2, 3]), Err(Error::SetMissing { height: 8 }));
    forgery.next = set(&forgery.chain, &[(1, 1), (2, 1), (3, 1), (32, 1)]);
    let next = forgery.next.hash();
    let found = forgery.signed_by(&[1, 2, 3]);
    assert_eq!(found, Err(Error::WrongSet { height: 8, expected: other, found: next }));
    forgery.header.next_validators_hash = next;
    assert_eq!(forgery.signed_by(&[1, 2, 3]).unwrap().epoch, 4);
}

#[test]
fn who_votes_in_the_epoch_of_the_trusted_set_is_known() {
    let mut forgery = Forgery::new(&[1; 4], &[(1, 1), (2, 1), (3, 1), (31, 1)]);
    (forgery.header.epoch, forgery.header.height) = (0, 2);
    let found = forgery.signed_by(&[1, 2, 3]).unwrap_err();
    assert!(matches!(found, Error::WrongValidatorsHash { height: 2, .. }), "{found:?}");
}

/// The verdict on a link to epoch 3 and one to epoch 5, with that header changed. One member changes after epoch 3, and
/// another one by epoch 5, so that the first set does not reach epoch 5 by these signers.
fn second_after(change: fn(&mut Header)) -> Result<ProvedFinality, Error> {
    let mut forgery = Forgery::new(&[1; 4], &[(1, 1), (2, 1), (3, 1), (4, 1)]);
    let between = set(&forgery.chain, &[(1, 1), (2, 1), (3, 1), (31, 1)]);
    forgery.next = between.clone();
    forgery.header.next_validators_hash = between.hash();
    let first = forgery.link(&[1, 2, 3]);
    forgery.next = set(&forgery.chain, &[(1, 1), (2, 1), (31, 1), (32, 1)]);
    let mut header = forgery.chain.header(5, true);
    (header.validators_hash, header.next_validators_hash) = (forgery.next.hash(), forgery.next.hash());
    change(&mut header);
    let (commit, set) = (commit(&header, &forgery.next, &[1, 2, 31]), told(&forgery.next, &between));
    forgery.judge(vec![first, EpochLink { header, commit, set, next_set: None }])
}

#[test]
fn epochs_heights_and_times_ascend() {
    assert_eq!(second_after(|_| ()).unwrap().epoch, 6);
    assert_eq!(second_after(|it| it.epoch = 3), Err(Error::EpochTooLow { least: 4, found: 3 }));
    assert_eq!(second_after(|it| it.height = 11), Err(Error::HeightTooLow { least: 12, found: 11 }));
    let time = time_of(3, true);
    let found = second_after(|it| it.time = time_of(3, true));
    assert_eq!(found, Err(Error::TimeTooLow { height: 12, before: time, found: time }));
    assert_eq!(second_after(|it| it.time = time_of(3, true) + 1).unwrap().epoch, 6);
    // The first link comes after the document.
    let mut forgery = Forgery::new(&[1; 4], &[(1, 1), (2, 1), (3, 1), (4, 1)]);
    forgery.header.height = 7;
    assert_eq!(forgery.signed_by(&[1, 2, 3]), Err(Error::HeightTooLow { least: 8, found: 7 }));
    (forgery.header.height, forgery.header.time) = (8, forgery.chain.document.time_ms);
    assert!(matches!(forgery.signed_by(&[1, 2, 3]), Err(Error::TimeTooLow { height: 8, .. })));
}

#[test]
fn a_link_is_spare_if_the_set_before_it_does_for_the_next_one() {
    // Nothing changes: the second link goes as far from the first set as from the one between.
    let forgery = Forgery::new(&[1; 4], &[(1, 1), (2, 1), (3, 1), (4, 1)]);
    let header = forgery.chain.header(5, true);
    let commit_by = |own: &ValidatorSet, signers: &[u8], header: &Header| commit(header, own, signers);
    let commit = commit_by(&forgery.own, &[1, 2, 3], &header);
    let second = EpochLink { header, commit, set: None, next_set: None };
    assert_eq!(forgery.judge(vec![second.clone()]).unwrap().epoch, 6);
    let spare = Err(Error::SpareLink { height: 12 });
    assert_eq!(forgery.judge(vec![forgery.link(&[1, 2, 3]), second]), spare);

    // One member changes, and one comes: whether the first set does depends on who signs.
    let mut forgery = Forgery::new(&[1; 4], &[(1, 1), (2, 1), (3, 1), (31, 1)]);
    let first = forgery.link(&[1, 2, 3]);
    forgery.next = set(&forgery.chain, &[(1, 1), (2, 1), (3, 1), (31, 1), (32, 1)]);
    let mut header = forgery.chain.header(5, true);
    (header.validators_hash, header.next_validators_hash) = (forgery.next.hash(), forgery.next.hash());
    let by = |signers: &[u8]| {
        let (commit, set) = (commit_by(&forgery.next, signers, &header), told(&forgery.next, &forgery.own));
        let second = EpochLink { header: header.clone(), commit, set, next_set: None };
        forgery.judge(vec![first.clone(), second])
    };
    assert_eq!(by(&[1, 2, 3, 32]), spare);
    assert_eq!(by(&[1, 2, 31, 32]).unwrap().epoch, 6);
}
