//! Proofs that break one rule each, with signatures of those who should have signed something else: no changed byte makes
//! them, and a check that leaves one rule out accepts them.

use timed::protocol::finality_proof::{
    Ending, FinalityProof, FinalityProofError, ProvedFinality, verify, verify_with,
};
use timed::types::codec::encode;
use timed::types::keys::SequentialVerifier;
use timed::types::{CertificateVote, Checkpoint, GenesisDocument, Hash, Header, TxId, Validator};

use crate::far_proof::stranger;
use crate::plain::{Bytes, Digest, Place, block_hash, block_vote_digest, merkle_path, merkle_root, set_hash};
use crate::proofs::Paid;
use crate::story::{Story, secret_of};

/// How a commit is made from its signers: the bitmap and the places that sign.
type Signers<'a> = (&'a [u8], &'a [usize]);

/// The first three of a set of four to seven members of equal weight are enough; of seven it takes five.
fn enough(set: &[Validator]) -> Signers<'static> {
    if set.len() > 5 { (&[0b1_1111], &[0, 1, 2, 3, 4]) } else { (&[0b111], &[0, 1, 2]) }
}

/// What a set keeps of seven members, and what it adds.
type Told<'a> = (u8, &'a [(u8, Validator)]);

fn given(told: Option<Told<'_>>) -> Vec<u8> {
    let Some((kept, added)) = told else { return Bytes::default().u8(0).0 };
    let out = Bytes::default().u8(1).counted(&[kept]);
    out.list(added, |out, (place, member)| out.u8(*place).raw(&encode(member))).0
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
        self.proof_from(&[0], links, ending)
    }

    fn proof_from(&self, anchor: &[u8], links: &[Vec<u8>], ending: &Bytes) -> Vec<u8> {
        let out = Bytes::default().raw(b"timed/finality-proof").u16(3).raw(&self.chain).raw(&self.txid.0);
        let out = out.raw(anchor);
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
    fn same_again(&self, change: impl FnOnce(&mut Header), next: Option<Told<'_>>) -> Vec<u8> {
        let mut end = self.first.clone();
        end.next_validators_hash = end.validators_hash;
        let mut header = self.last.clone();
        (header.epoch, header.height, header.validators_hash) = (1, end.height + 1, end.validators_hash);
        change(&mut end);
        let set = &self.first_set;
        let link = committed(&end, 0, set, enough(set), &self.chain);
        let link = link.u8(0).raw(&given(next));
        let ending = self.included(&header, &[self.txid.0.to_vec()], 0, enough(set));
        self.proof(&[link.0], &ending)
    }

    /// A link to the end of epoch 3, with this set of its own, which votes on.
    fn far_link(
        &self,
        own: &[Validator],
        told: Option<Told<'_>>,
        signers: Signers<'_>,
        change: impl FnOnce(&mut Header),
    ) -> Vec<u8> {
        let mut end = self.first.clone();
        (end.epoch, end.height, end.time) = (3, 20, self.last.time - 1);
        end.validators_hash = Hash(plain_set(own));
        end.next_validators_hash = end.validators_hash;
        change(&mut end);
        let link = committed(&end, end.epoch, own, signers, &self.chain);
        link.raw(&given(told)).u8(0).0
    }

    /// Links, and the payment in an epoch in which these members vote.
    fn far_proof(&self, links: &[Vec<u8>], own: &[Validator], epoch: u64) -> Vec<u8> {
        self.proof(links, &self.ending_in(own, epoch, 21))
    }

    /// The payment alone in a block with this header, by the first of these members who are enough.
    fn ending_of(&self, mut header: Header, own: &[Validator], epoch: u64) -> Bytes {
        let leaves = [self.txid.0.to_vec()];
        header.tx_root = Hash(merkle_root(&leaves));
        let weigh = |count: usize| own[..count].iter().map(|member| member.weight).sum::<u64>();
        let least = (1..=own.len()).find(|count| weigh(*count) > weigh(own.len()) * 2 / 3);
        let enough: Vec<usize> = (0..least.unwrap()).collect();
        let mut bitmap = vec![0_u8; own.len().div_ceil(8)];
        enough.iter().for_each(|place| bitmap[place / 8] |= 1 << (place % 8));
        let ending = committed(&header, epoch, own, (&bitmap, &enough), &self.chain);
        Bytes::default().u32(1).raw(&ending.0).u32(0).u32(1).u64(0)
    }

    fn far(&self, own: &[Validator], told: Option<Told<'_>>, signers: Signers<'_>) -> Vec<u8> {
        self.far_proof(&[self.far_link(own, told, signers, |_| ())], own, 4)
    }

    /// All but the last of the first members, and one more.
    fn near(&self) -> (Vec<Validator>, [(u8, Validator); 1]) {
        ([&self.first_set[..6], &[stranger(30)]].concat(), [(6, stranger(30))])
    }

    fn far_and_good(&self) -> Vec<u8> {
        let (own, added) = self.near();
        self.far(&own, Some((0b11_1111, &added)), (&[0b1_1111], &[0, 1, 2, 3, 4]))
    }

    /// Links that pass over epochs against a rule.
    fn far_and_broken(&self) -> Vec<(&'static str, Vec<u8>)> {
        let first = &self.first_set;
        let five: Signers<'_> = (&[0b1_1111], &[0, 1, 2, 3, 4]);
        let ((own, added), other) = (self.near(), [(6, stranger(31))]);
        let told = Some((0b11_1111, &added[..]));
        let changed = |change: fn(&mut Header), epoch| {
            self.far_proof(&[self.far_link(&own, told, five, change)], &own, epoch)
        };
        let begin = self.genesis.time_ms;
        let at_the_start =
            self.far_proof(&[self.far_link(&own, told, five, |header| header.time = begin)], &own, 4);
        // Five that are known of ten, whose quorum is seven.
        let many: Vec<Validator> = first[..5].iter().copied().chain((30..35).map(stranger)).collect();
        let new: Vec<(u8, Validator)> = (5..).zip(many[5..].iter().copied()).collect();
        // After so many that are known comes one with the key or the name of the first.
        let twice = |known: usize, change: fn(&mut Validator, &Validator)| {
            let mut members = first[..known].to_vec();
            members.extend((30..).map(stranger).take(7 - known));
            change(&mut members[known], &first[0]);
            let added: Vec<(u8, Validator)> = (0..).zip(members.iter().copied()).skip(known).collect();
            self.far(&members, Some(((1 << known) - 1, &added)), five)
        };
        let mut heavy = first.clone();
        heavy[0].weight = 5;
        let heavier = [(0, heavy[0])];
        let same = |header: &mut Header| header.next_validators_hash = header.validators_hash;
        let mut before = self.first.clone();
        same(&mut before);
        let before = committed(&before, 0, first, five, &self.chain).u8(0).u8(0).0;
        let spare = self.far_proof(&[before, self.far_link(&own, told, five, |_| ())], &own, 4);
        // The second one by signers of whom the first set knows too few, so that the first one is needed.
        let back = [
            self.far_link(&own, told, five, |header| header.time -= 1),
            self.far_link(&own, None, (&[0b100_1111], &[0, 1, 2, 3, 6]), |_| ()),
        ];
        let known_too = [(5, first[5]), (6, stranger(30))];
        vec![
            ("a quorum of its own alone", self.far(&own, told, (&[0b100_1111], &[0, 1, 2, 3, 6]))),
            ("a quorum of the trusted set alone", self.far(&many, Some((0b1_1111, &new)), five)),
            ("a key that stands twice", twice(4, |double, one| double.key = one.key)),
            ("a masternode that stands twice", twice(5, |double, one| double.id = one.id)),
            (
                "weights of the wrong set",
                self.far(&heavy, Some((0b111_1110, &heavier)), (&[0b1111], &[0, 1, 2, 3])),
            ),
            ("a signer that neither quorum needs", self.far(&own, told, (&[0b11_1111], &[0, 1, 2, 3, 4, 5]))),
            ("a link that the set before does without", spare),
            ("a member given that is known", self.far(&own, Some((0b1_1111, &known_too)), five)),
            ("another set than the block's", self.far(&own, Some((0b11_1111, &other)), five)),
            ("a member kept that there is not", self.far(&own, Some((0b1011_1111, &added)), five)),
            ("a set that is not given, epochs later", self.far(&own, None, five)),
            ("the trusted set given", self.far(first, Some((0b111_1111, &[])), five)),
            ("lower than so many epochs make it", changed(|header| header.height = 7, 4)),
            ("an epoch that was passed", self.far_proof(&back, &own, 4)),
            ("no later than the document", at_the_start),
            ("another set in the epoch of the trusted one", changed(|header| header.epoch = 0, 1)),
            ("no end of a later epoch", changed(|header| header.epoch_end = false, 4)),
        ]
    }

    /// The payment in its block, for who trusts this block, which gives a set.
    fn anchored(
        &self,
        header: &Header,
        told: Option<Told<'_>>,
        links: &[Vec<u8>],
        ending: &Bytes,
    ) -> Started {
        self.started(header, &[0], told, links, ending)
    }

    fn started(
        &self,
        header: &Header,
        past: &[u8],
        told: Option<Told<'_>>,
        links: &[Vec<u8>],
        ending: &Bytes,
    ) -> Started {
        let anchor = Bytes::default().u8(1).raw(&encode(header)).raw(past).raw(&given(told)).0;
        let trusted = Some(Checkpoint::of(header).to_string());
        Started { bytes: self.proof_from(&anchor, links, ending), trusted }
    }

    /// The payment in epoch 3, by the end of that epoch, to which a block of epoch 5 commits; with the end and the links
    /// changed.
    fn past(&self, change: impl FnOnce(&mut Header, &mut Vec<Hash>), links: &[Vec<u8>]) -> Started {
        let (own, added) = self.near();
        let mut end = self.trusted_block(&own);
        (end.height, end.epoch_end) = (17, true);
        let names: Vec<Vec<u8>> =
            (0_u8..5).map(|epoch| if epoch == 3 { end.hash().0.to_vec() } else { vec![epoch; 32] }).collect();
        let mut trusted = self.trusted_block(&own);
        (trusted.epoch, trusted.height, trusted.epoch_ends_root) = (5, 30, Hash(merkle_root(&names)));
        let mut path: Vec<Hash> = merkle_path(&names, 3).into_iter().map(Hash).collect();
        change(&mut end, &mut path);
        let path = Bytes::default().list(&path, |out, hash| out.raw(&hash.0)).0;
        let past = [&[1], encode(&end).as_slice(), &path].concat();
        let (epoch, height) = if links.is_empty() { (3, 8) } else { (4, 41) };
        self.started(&trusted, &past, Some((0b11_1111, &added)), links, &self.ending_in(&own, epoch, height))
    }

    /// A block of epoch 3, in which all but one of the first set's members vote, and a new one.
    fn trusted_block(&self, own: &[Validator]) -> Header {
        let mut header = self.first.clone();
        (header.epoch, header.epoch_end, header.height) = (3, false, 15);
        header.validators_hash = Hash(plain_set(own));
        header.next_validators_hash = header.validators_hash;
        header.time = self.last.time - 5;
        header
    }

    fn ending_in(&self, own: &[Validator], epoch: u64, height: u64) -> Bytes {
        let mut header = self.last.clone();
        (header.epoch, header.height, header.validators_hash) = (epoch, height, Hash(plain_set(own)));
        self.ending_of(header, own, epoch)
    }

    fn anchored_and_good(&self) -> Vec<Started> {
        let (own, added) = self.near();
        let (trusted, told) = (self.trusted_block(&own), Some((0b11_1111, &added[..])));
        let link = self.far_link(&own, None, (&[0b1_1111], &[0, 1, 2, 3, 4]), |_| ());
        vec![
            // In the epoch of the trusted block, before it, and in the next one.
            self.anchored(&trusted, told, &[], &self.ending_in(&own, 3, 8)),
            self.anchored(&trusted, told, &[link], &self.ending_in(&own, 4, 21)),
            self.past(|_, _| (), &[]),
        ]
    }

    fn anchored_and_broken(&self) -> Vec<(&'static str, Started)> {
        let ((own, added), other) = (self.near(), [(6, stranger(31))]);
        let (trusted, told) = (self.trusted_block(&own), Some((0b11_1111, &added[..])));
        let five: Signers<'_> = (&[0b1_1111], &[0, 1, 2, 3, 4]);
        let here = self.ending_in(&own, 3, 16);
        let good = self.anchored(&trusted, told, &[], &here);
        let mut foreign = trusted.clone();
        foreign.chain_id.0 = [1; 32];
        let low = self.far_link(&own, None, five, |header| header.height = 14);
        let early = self.far_link(&own, None, five, |header| header.time = trusted.time - 1);
        let before = self.far_link(&own, None, five, |header| header.epoch = 2);
        let on = self.far_link(&own, None, five, |header| header.height = 40);
        vec![
            ("a block that nobody trusts", Started { trusted: None, ..good.clone() }),
            (
                "another block than the trusted one",
                Started { trusted: Some(format!("16:{}", "00".repeat(32))), ..good },
            ),
            ("a trusted block of another chain", self.anchored(&foreign, told, &[], &here)),
            ("a set that is not given with the trusted block", self.anchored(&trusted, None, &[], &here)),
            (
                "another set than the trusted block's",
                self.anchored(&trusted, Some((0b11_1111, &other)), &[], &here),
            ),
            ("before the trusted epoch", self.anchored(&trusted, told, &[], &self.ending_in(&own, 2, 8))),
            ("after the trusted epoch", self.anchored(&trusted, told, &[], &self.ending_in(&own, 4, 21))),
            ("lower than its epoch can be", self.anchored(&trusted, told, &[], &self.ending_in(&own, 3, 6))),
            (
                "a link below the trusted block",
                self.anchored(&trusted, told, &[low], &self.ending_in(&own, 4, 21)),
            ),
            (
                "a link from before the trusted block",
                self.anchored(&trusted, told, &[early], &self.ending_in(&own, 4, 21)),
            ),
            ("an epoch's end that the trusted block does not know", self.past(|end, _| end.time += 1, &[])),
            ("a path that is too short", self.past(|_, path| path.truncate(1), &[])),
            ("a link that leads on from the past", self.past(|_, _| (), &[on])),
            (
                "a link of an epoch before the trusted one",
                self.anchored(&trusted, told, &[before], &self.ending_in(&own, 3, 16)),
            ),
        ]
    }

    fn good(&self) -> [Vec<u8>; 4] {
        let txid = self.txid.0.to_vec();
        [
            self.far_and_good(),
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
            ("the same set given again", self.same_again(|_| (), Some((0b111_1111, &[])))),
            ("a set that is not given", self.same_again(other, None)),
            (
                "no set at all",
                self.same_again(|end| end.next_validators_hash = Hash(plain_set(&[])), Some((0, &[]))),
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

/// A proof, and the block that its verifier trusts.
#[derive(Clone)]
pub struct Started {
    pub bytes: Vec<u8>,
    pub trusted: Option<String>,
}

impl Started {
    fn of_document(bytes: Vec<u8>) -> Self {
        Self { bytes, trusted: None }
    }

    fn judge(&self, genesis: &GenesisDocument) -> Result<ProvedFinality, FinalityProofError> {
        let trusted = self.trusted.as_ref().map(|text| text.parse().expect("a block"));
        verify_with(genesis, trusted.as_ref(), &FinalityProof::from_bytes(&self.bytes)?, &SequentialVerifier)
    }
}

/// Proofs made in the same way.
pub struct Forged {
    /// Those that hold.
    pub good: Vec<Started>,
    /// Those that break a rule, which is named.
    pub broken: Vec<(&'static str, Started)>,
}

/// All of them; the crate's own check agrees.
pub fn proofs() -> Forged {
    let paid = Paid::of_the_story();
    let forge = Forge::of_the_story(&paid);
    let of_document = forge.good().into_iter().map(Started::of_document);
    let good: Vec<Started> = of_document.chain(forge.anchored_and_good()).collect();
    for (place, one) in good.iter().enumerate() {
        let judged = one.judge(&paid.genesis);
        assert_eq!(judged.as_ref().map(|proved| proved.txid).ok(), Some(paid.txid), "{place}: {judged:?}");
    }
    let of_document =
        votes_against_a_rule(&paid).into_iter().chain(forge.broken()).chain(forge.far_and_broken());
    let of_document = of_document.map(|(rule, bytes)| (rule, Started::of_document(bytes)));
    let broken: Vec<_> = of_document.chain(forge.anchored_and_broken()).collect();
    for (rule, one) in &broken {
        assert!(one.judge(&paid.genesis).is_err(), "{rule}");
    }
    Forged { good, broken }
}
