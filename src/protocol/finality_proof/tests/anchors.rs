//! Proofs that start from a block which the verifier trusts.

use super::synthetic::{Synthetic, time_of};
use super::*;
use crate::types::keys::SequentialVerifier;
use crate::types::{BlockHash, Checkpoint};

/// Of four members one comes in two epochs.
fn chain() -> Synthetic {
    Synthetic::new(&[1; 4], (1, 2))
}

impl Synthetic {
    fn anchor(&self, header: &Header) -> Anchor {
        Anchor::new(header, &self.set_of(header.epoch), &self.first_set()).unwrap()
    }

    /// A proof of a payment in a later epoch, or the same, from this block.
    fn from(&self, header: &Header, epoch: Epoch) -> FinalityProof {
        let links = path(self, &[], [header.epoch, epoch], FINALITY_PROOF_BYTES_MAX).unwrap().unwrap().links;
        self.voted(epoch, links).anchored(self.anchor(header))
    }

    pub(super) fn check(&self, trusted: &Header, proof: &FinalityProof) -> Result<ProvedFinality, Error> {
        verify_with(&self.document, Some(&Checkpoint::of(trusted)), proof, &SequentialVerifier)
    }
}

#[test]
fn a_proof_starts_from_any_block_that_the_verifier_trusts() {
    let chain = chain();
    for from in [0, 1, 2, 9] {
        for epoch_end in [false, true] {
            let header = chain.header(from, epoch_end);
            for epoch in [from, from + 1, from + 2, from + 7] {
                let voted = chain.from(&header, epoch);
                let included = chain.included(epoch, voted.links.clone()).anchored(chain.anchor(&header));
                for proof in [voted, included] {
                    let proved = chain.check(&header, &proof).unwrap();
                    assert_eq!((proved.epoch, proof.epoch()), (epoch, epoch));
                    assert_eq!(proved.trusted, Some(Checkpoint::of(&header)));
                    assert_eq!(FinalityProof::from_bytes(&proof.to_bytes()), Ok(proof));
                }
            }
        }
    }
}

#[test]
fn only_the_block_that_the_verifier_names_is_started_from() {
    let chain = chain();
    let (header, other) = (chain.header(2, false), chain.header(2, true));
    let (anchored, plain) = (chain.from(&header, 5), chain.voted(5, chain.path(&[], 5).unwrap().links));
    let found = Checkpoint::of(&header);
    assert_eq!(verify(&chain.document, &anchored), Err(Error::NotTrusted { found }));
    assert_eq!(chain.check(&other, &anchored), Err(Error::NotTrusted { found }));
    let named = Checkpoint { height: found.height + 1, ..found };
    let judged = verify_with(&chain.document, Some(&named), &anchored, &SequentialVerifier);
    assert_eq!(judged, Err(Error::NotTrusted { found }), "the same hash at another height");
    let named = Checkpoint { block_hash: BlockHash::ZERO, ..found };
    let judged = verify_with(&chain.document, Some(&named), &anchored, &SequentialVerifier);
    assert_eq!(judged, Err(Error::NotTrusted { found }), "another block of the same height");
    assert_eq!(chain.check(&header, &plain), Err(Error::NotFromTrusted { named: found }));
    assert_eq!(verify(&chain.document, &plain).unwrap().trusted, None);
}

#[test]
fn the_set_that_is_trusted_is_the_one_that_the_block_names() {
    let chain = chain();
    let header = chain.header(4, false);
    let (set, first) = (chain.set_of(4), chain.first_set());
    assert_eq!(Anchor::new(&header, &first, &first), None);
    let proof = chain.from(&header, 6);
    let with = |set: Option<GivenSet>| {
        let mut changed = proof.clone();
        changed.anchor.as_mut().unwrap().set = set;
        chain.check(&header, &changed)
    };
    assert_eq!(with(GivenSet::of(&set, &first)).unwrap().epoch, 6);
    assert_eq!(with(None), Err(Error::SetMissing { height: header.height }));
    let other = with(GivenSet::of(&chain.set_of(5), &first));
    let expected = Error::WrongSet { height: 9, expected: set.hash(), found: chain.set_of(5).hash() };
    assert!(chain.set_of(5) == set || other == Err(expected), "{other:?}");
    let other = with(GivenSet::of(&chain.set_of(6), &first)).unwrap_err();
    assert!(matches!(other, Error::WrongSet { height: 9, .. }), "{other:?}");
    let empty = GivenSet { kept: SignerBitmap::empty(4), added: Vec::new() };
    assert_eq!(with(Some(empty)), Err(Error::SetSize { height: 9, members: 0, max: 100 }));
    // A set that is the document's is not given.
    let begin = chain.header(0, false);
    let mut repeated = chain.from(&begin, 0);
    repeated.anchor.as_mut().unwrap().set = GivenSet::of(&first, &first);
    assert_eq!(chain.check(&begin, &repeated), Err(Error::SetRepeated { height: 1 }));
}

#[test]
fn the_way_leads_on_from_the_trusted_block() {
    let chain = chain();
    let header = chain.header(4, true);
    let good = chain.from(&header, 6);
    assert!(chain.check(&header, &good).is_ok());
    let refused = |change: fn(&mut Header)| {
        let mut changed = good.clone();
        change(&mut changed.links[0].header);
        chain.check(&header, &changed).unwrap_err()
    };
    assert_eq!(refused(|it| it.epoch = 3), Error::EpochTooLow { least: 4, found: 3 });
    let (least, found) = (header.height + 2, header.height + 1);
    assert_eq!(good.links[0].header.epoch, 5);
    assert_eq!(refused(|it| it.height -= 1), Error::HeightTooLow { least, found });
    let before = time_of(4, true) - 1;
    assert_eq!(
        refused(|it| it.time = time_of(4, true) - 1),
        Error::TimeTooLow { height: least, before, found: before }
    );
    // A payment of an earlier epoch does not follow from the set that votes there.
    let earlier = chain.voted(3, Vec::new()).anchored(chain.anchor(&header));
    assert_eq!(chain.check(&header, &earlier), Err(Error::WrongVoteEpoch { expected: 4, found: 3 }));
    // A block of another chain is none to start from, even if it is named.
    let mut foreign = header.clone();
    foreign.chain_id.0[0] ^= 1;
    let proof = chain.voted(4, Vec::new()).anchored(chain.anchor(&foreign));
    let (expected, found) = (header.chain_id, foreign.chain_id);
    assert_eq!(chain.check(&foreign, &proof), Err(Error::ForeignChain { expected, found }));
}

/// A block of an epoch that commits to the ends of all before, and their names.
pub(super) fn above(chain: &Synthetic, epoch: Epoch) -> (Header, Vec<BlockHash>) {
    let names: Vec<BlockHash> = (0..epoch).map(|ended| chain.header(ended, true).hash()).collect();
    let epoch_ends_root = merkle::root(names.iter().map(|name| name.0.as_slice()));
    (Header { epoch_ends_root, ..chain.header(epoch, false) }, names)
}

pub(super) fn past(chain: &Synthetic, (header, names): &(Header, Vec<BlockHash>), epoch: Epoch) -> Anchor {
    let path = merkle::path(names.iter().map(|name| name.0.as_slice()), usize::try_from(epoch).unwrap());
    let end = chain.header(epoch, true);
    Anchor::past(header, (&end, path.unwrap()), &chain.set_of(epoch), &chain.first_set()).unwrap()
}

#[test]
fn a_payment_of_any_earlier_epoch_is_proved_by_hashes_alone() {
    let chain = chain();
    for height in [1, 2, 9] {
        let trusted = above(&chain, height);
        for epoch in 0..height {
            let anchor = past(&chain, &trusted, epoch);
            let proofs = [chain.voted(epoch, Vec::new()), chain.included(epoch, Vec::new())];
            for proof in proofs.map(|proof| proof.anchored(anchor.clone())) {
                let proved = chain.check(&trusted.0, &proof).unwrap();
                assert_eq!((proved.epoch, proof.epoch()), (epoch, epoch));
                assert_eq!(proved.trusted, Some(Checkpoint::of(&trusted.0)));
                assert_eq!(FinalityProof::from_bytes(&proof.to_bytes()), Ok(proof));
            }
        }
    }
}

#[test]
fn only_the_ends_to_which_the_trusted_block_commits_are_started_from() {
    let chain = chain();
    let trusted = above(&chain, 9);
    let good = chain.voted(4, Vec::new()).anchored(past(&chain, &trusted, 4));
    assert_eq!(chain.check(&trusted.0, &good).unwrap().epoch, 4);
    let refused = |change: fn(&mut FinalityProof)| {
        let mut changed = good.clone();
        change(&mut changed);
        chain.check(&trusted.0, &changed).unwrap_err()
    };
    fn end(proof: &mut FinalityProof) -> &mut crate::protocol::finality_proof::anchor::PastEnd {
        proof.anchor.as_mut().unwrap().past.as_mut().unwrap()
    }
    let unknown = Error::NotInHistory { height: 10 };
    assert_eq!(refused(|it| end(it).header.time += 1), unknown);
    assert_eq!(refused(|it| end(it).header.epoch = 5), unknown, "another place");
    assert_eq!(refused(|it| end(it).header.epoch = 9), unknown, "no place below the trusted block");
    assert_eq!(refused(|it| end(it).path[1].0[0] ^= 1), unknown);
    assert_eq!(refused(|it| end(it).path.truncate(3)), unknown);
    assert_eq!(refused(|it| end(it).path.push(Hash::ZERO)), unknown);
    assert_eq!(refused(|it| it.anchor.as_mut().unwrap().set = None), Error::SetMissing { height: 10 });
    // The set of the trusted block's own epoch says nothing of an earlier one.
    let own = refused(|it| it.anchor.as_mut().unwrap().past = None);
    assert!(matches!(own, Error::WrongSet { height: 19, .. }), "{own:?}");
    // What is handed in has to fit.
    let (end, set, first) = (chain.header(4, true), chain.set_of(4), chain.first_set());
    let path = good.anchor.clone().unwrap().past.unwrap().path;
    assert_eq!(Anchor::past(&trusted.0, (&end, path.clone()), &chain.set_of(6), &first), None);
    assert_eq!(Anchor::past(&trusted.0, (&chain.header(3, true), path.clone()), &set, &first), None);
    assert!(Anchor::past(&trusted.0, (&end, path), &set, &first).is_some());
}

#[test]
fn no_link_leads_on_from_an_epoch_before_the_trusted_block() {
    let chain = chain();
    let trusted = above(&chain, 9);
    let links = path(&chain, &[], [4, 6], FINALITY_PROOF_BYTES_MAX).unwrap().unwrap().links;
    let height = links[0].header.height;
    let proof = chain.voted(6, links).anchored(past(&chain, &trusted, 4));
    assert_eq!(chain.check(&trusted.0, &proof), Err(Error::LinkFromPast { epoch: 4, height }));
    let other = chain.voted(5, Vec::new()).anchored(past(&chain, &trusted, 4));
    assert_eq!(chain.check(&trusted.0, &other), Err(Error::WrongVoteEpoch { expected: 4, found: 5 }));
}

/// INV-PROOF-1.
#[test]
fn no_byte_of_an_anchored_proof_can_be_changed_left_out_or_added() {
    let chain = chain();
    let (header, trusted) = (chain.header(3, false), above(&chain, 6));
    let earlier = chain.voted(2, Vec::new()).anchored(past(&chain, &trusted, 2));
    for (header, proof) in [(&header, chain.from(&header, 5)), (&trusted.0, earlier)] {
        every_byte_counts(&proof.to_bytes(), |bytes| {
            FinalityProof::from_bytes(bytes).is_ok_and(|proof| chain.check(header, &proof).is_ok())
        });
    }
}
