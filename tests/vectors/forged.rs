//! Proofs that break one rule each, with signatures of those who should have signed something else: no changed byte makes
//! them, and a check that leaves one rule out accepts them.

use timed::protocol::finality_proof::{Ending, FinalityProof, verify};
use timed::types::codec::encode;
use timed::types::{CertificateVote, GenesisDocument, Hash, Header, TxId, Validator};

use crate::plain::{Bytes, Digest, Place, block_hash, block_vote_digest, merkle_path, merkle_root, set_hash};
use crate::proofs::Paid;
use crate::story::{Story, secret_of};

/// How a commit is made from its signers: the bitmap and the places that sign.
type Signers<'a> = (&'a [u8], &'a [usize]);

/// The first three of a set of four to seven members of equal weight are enough; of seven it takes five.
fn enough(set: &[Validator]) -> Signers<'static> {
    if set.len() > 5 { (&[0b1_1111], &[0, 1, 2, 3, 4]) } else { (&[0b111], &[0, 1, 2]) }
}

fn plain_set(set: &[Validator]) -> Digest {
    let member = |one: &Validator| crate::plain::Member { id: one.id.0, key: one.key.0, weight: one.weight };
    set_hash(&set.iter().map(member).collect::<Vec<_>>())
}

/// A header and precommits for it, as of an epoch.
fn committed(
    header: &Header,
    epoch: u64,
    set: &[Validator],
    (bitmap, places): Signers<'_>,
    chain: &Digest,
) -> Bytes {
    let bytes = encode(header);
    let place = Place { epoch, height: header.height, round: 0 };
    let digest = block_vote_digest(chain, "precommit", &place, Some(&block_hash(&bytes)));
    let signatures: Vec<Vec<u8>> =
        places.iter().map(|place| secret_of(&set[*place].key).sign(&digest).0.to_vec()).collect();
    let out = Bytes::default().raw(&bytes).u32(0).counted(bitmap);
    out.list(&signatures, |out, signature| out.raw(signature))
}

/// What forged proofs are made of: the story's end, with the payment in its last block.
struct Forge {
    genesis: GenesisDocument,
    chain: Digest,
    txid: TxId,
    links: Vec<Vec<u8>>,
    first: Header,
    first_set: Vec<Validator>,
    last: Header,
    last_set: Vec<Validator>,
    before: u64,
}

impl Forge {
    fn of_the_story(paid: &Paid) -> Self {
        let story = Story::tell();
        let last = story.steps.last().unwrap();
        let ends: Vec<_> = story.steps.iter().filter(|step| step.block.header.epoch_end).collect();
        Self {
            chain: paid.genesis.chain_id().0,
            txid: paid.txid,
            links: paid.links.iter().map(encode).collect(),
            first: ends[0].block.header.clone(),
            first_set: ends[0].state.validators().members().to_vec(),
            last: last.block.header.clone(),
            last_set: last.state.validators().members().to_vec(),
            before: ends.last().unwrap().block.header.height,
            genesis: story.genesis,
        }
    }

    fn proof(&self, links: &[Vec<u8>], ending: &Bytes) -> Vec<u8> {
        let out = Bytes::default().raw(b"timed/finality-proof").u16(1).raw(&self.chain).raw(&self.txid.0);
        out.list(links, |out, link| out.raw(link)).raw(&ending.0).0
    }

    /// The payment at a place among others of a block with this header, as it is signed.
    fn included(&self, header: &Header, leaves: &[Vec<u8>], index: usize, signers: Signers<'_>) -> Bytes {
        let mut header = header.clone();
        header.tx_root = Hash(merkle_root(leaves));
        let set = if header.epoch == 1 { &self.first_set } else { &self.last_set };
        // What a reader would check the signatures for that does not look at the header's own epoch.
        let epoch = if header.epoch == 1 { 1 } else { self.last.epoch };
        let out = Bytes::default().u32(1).raw(&committed(&header, epoch, set, signers, &self.chain).0);
        let out = out.u32(index as u64).u32(leaves.len() as u64);
        out.list(&merkle_path(leaves, index), |out, hash| out.raw(hash))
    }

    fn alone(&self, change: impl FnOnce(&mut Header), signers: Signers<'_>) -> Vec<u8> {
        let mut header = self.last.clone();
        change(&mut header);
        self.proof(&self.links, &self.included(&header, &[self.txid.0.to_vec()], 0, signers))
    }

    fn among(&self, leaves: &[Vec<u8>], index: usize) -> Vec<u8> {
        self.proof(&self.links, &self.included(&self.last, leaves, index, enough(&self.last_set)))
    }

    /// A first link, and the payment in the next epoch, in which the same set votes.
    fn same_again(&self, change: impl FnOnce(&mut Header), next: Option<&[Validator]>) -> Vec<u8> {
        let mut end = self.first.clone();
        end.next_validators_hash = end.validators_hash;
        let mut header = self.last.clone();
        (header.epoch, header.height, header.validators_hash) = (1, end.height + 1, end.validators_hash);
        change(&mut end);
        let set = &self.first_set;
        let link = committed(&end, 0, set, enough(set), &self.chain);
        let link = match next {
            None => link.u8(0),
            Some(next) => link.u8(1).raw(&encode(&next.to_vec())),
        };
        let ending = self.included(&header, &[self.txid.0.to_vec()], 0, enough(set));
        self.proof(&[link.0], &ending)
    }

    fn good(&self) -> [Vec<u8>; 3] {
        let txid = self.txid.0.to_vec();
        [
            self.alone(|_| (), enough(&self.last_set)),
            self.among(&[vec![1; 32], txid.clone(), txid], 1),
            self.same_again(|_| (), None),
        ]
    }

    fn broken(&self) -> Vec<(&'static str, Vec<u8>)> {
        let enough = enough(&self.last_set);
        let (txid, before) = (self.txid.0.to_vec(), self.before);
        let mut many = vec![txid.clone()];
        many.resize(
            usize::try_from(self.genesis.parameters.block_transactions_max).unwrap() + 1,
            vec![1; 32],
        );
        let other = |header: &mut Header| header.next_validators_hash = self.last.validators_hash;
        vec![
            ("a block of another epoch", self.alone(|header| header.epoch += 1, enough)),
            ("a block as low as the last epoch's end", self.alone(|header| header.height = before, enough)),
            (
                "an epoch of one block",
                self.alone(|header| (header.height, header.epoch_end) = (before + 1, true), enough),
            ),
            ("another set", self.alone(|header| header.validators_hash = Hash([1; 32]), enough)),
            ("a block of another chain", self.alone(|header| header.chain_id.0 = [1; 32], enough)),
            ("a signature without signer", self.alone(|_| (), (&[0b111], &[0, 1, 2, 3]))),
            ("a signer without signature", self.alone(|_| (), (&[0b111], &[0, 1]))),
            ("a bit beyond the set", self.alone(|_| (), (&[0b10_0111], &[0, 1, 2, 0]))),
            ("a bitmap that is too long", self.alone(|_| (), (&[0b111, 0], &[0, 1, 2]))),
            ("no bitmap", self.alone(|_| (), (&[], &[]))),
            ("a block with too many transactions", self.among(&many, 0)),
            ("not the first place in the block", self.among(&[txid.clone(), txid], 1)),
            ("the same set given again", self.same_again(|_| (), Some(&self.first_set))),
            ("a set that is not given", self.same_again(other, None)),
            (
                "no set at all",
                self.same_again(|end| end.next_validators_hash = Hash(plain_set(&[])), Some(&[])),
            ),
            ("no end of an epoch", self.same_again(|end| end.epoch_end = false, None)),
        ]
    }
}

fn votes_against_a_rule(paid: &Paid) -> Vec<(&'static str, Vec<u8>)> {
    let with = |votes: Vec<CertificateVote>| paid.proof(&paid.links, Ending::Voted(votes));
    let votes = &paid.votes;
    let enough = || votes[..3].to_vec();
    let replaced = |first: &CertificateVote| [&[first.clone()][..], &votes[1..3]].concat();
    let twice = vec![votes[0].clone(), votes[1].clone(), votes[1].clone()];
    assert!(verify(&paid.genesis, &with(enough())).is_ok(), "three are enough");
    let broken = [
        ("a vote to spare", with(votes.clone())),
        ("less than the quorum", with(votes[..2].to_vec())),
        ("out of order", with(enough().into_iter().rev().collect())),
        ("a vote given twice", with(twice)),
        ("a vote to lock", with(replaced(&paid.lock))),
        ("not the first place of a vote", with(replaced(&paid.second))),
        ("a vote of the next epoch", with(replaced(&paid.late))),
        ("no vote", with(Vec::new())),
        ("the last link left out", paid.proof(&paid.links[..1], Ending::Voted(enough()))),
        ("the first link left out", paid.proof(&paid.links[1..], Ending::Voted(enough()))),
        ("no link", paid.proof(&[], Ending::Voted(enough()))),
    ];
    broken.into_iter().map(|(rule, proof)| (rule, proof.to_bytes())).collect()
}

/// Proofs made in the same way.
pub struct Forged {
    /// Those that hold.
    pub good: Vec<Vec<u8>>,
    /// Those that break a rule, which is named.
    pub broken: Vec<(&'static str, Vec<u8>)>,
}

/// All of them; the crate's own check agrees.
pub fn proofs() -> Forged {
    let paid = Paid::of_the_story();
    let forge = Forge::of_the_story(&paid);
    let judge = |bytes: &[u8]| verify(&paid.genesis, &FinalityProof::from_bytes(bytes)?);
    let good = forge.good();
    for (place, bytes) in good.iter().enumerate() {
        assert_eq!(
            judge(bytes).map(|proved| proved.txid).ok(),
            Some(paid.txid),
            "{place}: {:?}",
            judge(bytes)
        );
    }
    let broken: Vec<_> = votes_against_a_rule(&paid).into_iter().chain(forge.broken()).collect();
    for (rule, bytes) in &broken {
        assert!(judge(bytes).is_err(), "{rule}");
    }
    Forged { good: good.to_vec(), broken }
}
