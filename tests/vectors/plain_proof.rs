//! The check of a finality proof, followed from section 10 of the wire specification alone. Signatures are checked by
//! ZIP 215, which the specification names.

use crate::plain::{
    Bytes, Digest, Member, Place, batch_digest, block_hash, block_vote_digest, follow_path, quorum, set_hash,
    total_weight, vote_leaf,
};
use crate::plain_chain::Document;

pub struct Header {
    pub bytes: Vec<u8>,
    pub chain_id: Digest,
    pub height: u64,
    pub epoch: u64,
    pub epoch_end: bool,
    pub time: u64,
    pub tx_root: Digest,
    pub epoch_ends_root: Digest,
    pub validators_hash: Digest,
    pub next_validators_hash: Digest,
}

struct QuorumCommit {
    round: u64,
    signers: Vec<u8>,
    signatures: Vec<[u8; 64]>,
}

/// What a proof proves.
#[derive(Debug, PartialEq, Eq)]
pub struct Proved {
    pub chain_id: Digest,
    pub txid: Digest,
    pub trusted: Option<String>,
    pub epoch: u64,
    pub block: Option<(u64, Digest, u64)>,
    pub signers: u64,
    pub validators: u64,
    pub signed_weight: u64,
    pub quorum: u64,
    pub total_weight: u64,
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("too short")?;
        self.0 = rest;
        Ok(taken)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N)?.try_into().unwrap())
    }
    fn u8(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }
    fn u16(&mut self) -> Result<u16, String> {
        Ok(u16::from_le_bytes(self.array()?))
    }
    fn u32(&mut self) -> Result<u64, String> {
        Ok(u32::from_le_bytes(self.array()?).into())
    }
    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array()?))
    }
    fn flag(&mut self) -> Result<bool, String> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(format!("{other} is no flag")),
        }
    }
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T, String>) -> Result<Vec<T>, String> {
        let count = self.u64()?;
        (0..count).map(|_| item(self)).collect()
    }
    fn header(&mut self) -> Result<Header, String> {
        let before = self.0;
        let chain_id = self.array()?;
        let (height, _round, epoch, epoch_end, time) =
            (self.u64()?, self.u32()?, self.u64()?, self.flag()?, self.u64()?);
        let (_parent, _commit): (Digest, Digest) = (self.array()?, self.array()?);
        let tx_root = self.array()?;
        let (_evidence, epoch_ends_root, _state): (Digest, Digest, Digest) =
            (self.array()?, self.array()?, self.array()?);
        let (validators_hash, next_validators_hash) = (self.array()?, self.array()?);
        let _proposer: Digest = self.array()?;
        let (_rules, _announced) = (self.u32()?, self.u32()?);
        let bytes = before[..before.len() - self.0.len()].to_vec();
        Ok(Header {
            bytes,
            chain_id,
            height,
            epoch,
            epoch_end,
            time,
            tx_root,
            epoch_ends_root,
            validators_hash,
            next_validators_hash,
        })
    }
    fn commit(&mut self) -> Result<QuorumCommit, String> {
        let (round, signers) = (self.u32()?, self.list(Self::u8)?);
        Ok(QuorumCommit { round, signers, signatures: self.list(Self::array)? })
    }
    fn member(&mut self) -> Result<Member, String> {
        Ok(Member { id: self.array()?, key: self.array()?, weight: self.u64()? })
    }
    fn anchor(&mut self) -> Result<Option<Anchor>, String> {
        if !self.flag()? {
            return Ok(None);
        }
        let header = self.header()?;
        let past = if self.flag()? { Some((self.header()?, self.list(Self::array)?)) } else { None };
        Ok(Some(Anchor { header, past, set: self.given()? }))
    }
    fn given(&mut self) -> Result<Option<Given>, String> {
        if !self.flag()? {
            return Ok(None);
        }
        let kept = self.list(Self::u8)?;
        let added = self.list(|reader| Ok((usize::from(reader.u8()?), reader.member()?)))?;
        Ok(Some(Given { kept, added }))
    }
}

fn holds(key: &Digest, digest: &Digest, signature: &[u8; 64]) -> bool {
    let signature = ed25519_zebra::Signature::from_bytes(signature);
    ed25519_zebra::VerificationKey::try_from(*key).is_ok_and(|key| key.verify(&signature, digest).is_ok())
}

fn ensure(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule.to_owned()) }
}

struct Walk {
    chain_id: Digest,
    members_max: u64,
    epoch: u64,
    height: u64,
    time: u64,
    set: Vec<Member>,
    /// The set that was trusted before the last link.
    before: Option<Vec<Member>>,
}

fn bits(bitmap: &[u8]) -> Vec<usize> {
    (0..bitmap.len() * 8).filter(|place| bitmap[place / 8] >> (place % 8) & 1 == 1).collect()
}

/// What the members in these places of `set` weigh in `trusted`, one by one.
fn weights_in(trusted: &[Member], set: &[Member], places: &[usize]) -> Vec<u64> {
    let weight =
        |place: &usize| trusted.iter().find(|one| one.key == set[*place].key).map_or(0, |one| one.weight);
    places.iter().map(weight).collect()
}

/// Those in these places are a quorum of each of the sets, and none of them is spare.
fn weigh(set: &[Member], places: &[usize], sets: &[&[Member]]) -> Result<(u64, u64), String> {
    let weights: Vec<Vec<u64>> = sets.iter().map(|one| weights_in(one, set, places)).collect();
    let enough = |spare: Option<usize>| {
        sets.iter().zip(&weights).all(|(one, weights)| {
            weights.iter().sum::<u64>() - spare.map_or(0, |spare| weights[spare]) >= quorum(one)
        })
    };
    ensure(enough(None), "less than a quorum")?;
    ensure(!(0..places.len()).any(|nth| enough(Some(nth))), "a spare signer")?;
    Ok((places.len() as u64, places.iter().map(|place| set[*place].weight).sum()))
}

/// A block that is trusted, an epoch's end below it, and a set.
struct Anchor {
    header: Header,
    past: Option<(Header, Vec<Digest>)>,
    set: Option<Given>,
}

/// A set as a proof gives it.
struct Given {
    kept: Vec<u8>,
    added: Vec<(usize, Member)>,
}

/// The set of this hash: `base`, or what is given.
fn set_of(
    wanted: &Digest,
    base: &[Member],
    given: Option<Given>,
    members_max: u64,
) -> Result<Vec<Member>, String> {
    ensure((set_hash(base) == *wanted) == given.is_none(), "a set is missing or repeated")?;
    let Some(Given { kept, added }) = given else { return Ok(base.to_vec()) };
    let kept_places = bits(&kept);
    ensure(kept.len() == base.len().div_ceil(8), "a bitmap of another length")?;
    ensure(kept_places.iter().all(|place| *place < base.len()), "a bit beyond the set")?;
    let mut set: Vec<Member> = kept_places.iter().map(|place| base[*place].clone()).collect();
    for (nth, (place, member)) in added.iter().enumerate() {
        ensure(*place <= set.len() && (nth == 0 || added[nth - 1].0 < *place), "not in its place")?;
        set.insert(*place, member.clone());
    }
    ensure(!set.is_empty() && set.len() as u64 <= members_max, "a set of another size")?;
    let (mut from, mut places) = (0, Vec::new());
    for (place, member) in set.iter().enumerate() {
        match base[from..].iter().position(|other| other == member) {
            Some(found) => from += found + 1,
            None => places.push(place),
        }
    }
    ensure(places.iter().eq(added.iter().map(|(place, _)| place)), "not the one form of a set")?;
    ensure(set_hash(&set) == *wanted, "another set")?;
    for (nth, one) in set.iter().enumerate() {
        ensure(
            set[..nth].iter().all(|other| other.id != one.id && other.key != one.key),
            "one stands twice",
        )?;
    }
    Ok(set)
}

impl Walk {
    fn check_header(&self, header: &Header) -> Result<(), String> {
        ensure(header.chain_id == self.chain_id, "another chain")?;
        ensure(header.epoch >= self.epoch, "an epoch that has passed")?;
        let least = self.height + 2 * (header.epoch - self.epoch) + 1 + u64::from(header.epoch_end);
        ensure(header.height >= least, "too low")?;
        ensure(header.time > self.time, "not later")?;
        ensure(header.epoch > self.epoch || header.validators_hash == set_hash(&self.set), "another set")
    }

    fn check_commit(
        &self,
        header: &Header,
        commit: &QuorumCommit,
        set: &[Member],
        before: Option<&[Member]>,
    ) -> Result<(u64, u64), String> {
        ensure(commit.signers.len() == set.len().div_ceil(8), "a bitmap of another length")?;
        let places = bits(&commit.signers);
        ensure(places.iter().all(|place| *place < set.len()), "a bit beyond the set")?;
        ensure(places.len() == commit.signatures.len(), "not one signature for each bit")?;
        let is_trusted = set_hash(set) == set_hash(&self.set);
        let both: [&[Member]; 2] = [set, &self.set];
        let weighed = weigh(set, &places, if is_trusted { &both[..1] } else { &both })?;
        let reaches = |one: &[Member]| {
            set_hash(one) == set_hash(set) || weights_in(one, set, &places).iter().sum::<u64>() >= quorum(one)
        };
        ensure(!before.is_some_and(reaches), "a spare link")?;
        let place = Place { epoch: header.epoch, height: header.height, round: commit.round };
        let hash = block_hash(&header.bytes);
        let digest = block_vote_digest(&self.chain_id, "precommit", &place, Some(&hash));
        for (place, signature) in places.iter().zip(&commit.signatures) {
            ensure(holds(&set[*place].key, &digest, signature), "a precommit that does not hold")?;
        }
        Ok(weighed)
    }

    /// Starts from a block that is trusted.
    fn start(&mut self, Anchor { header, past, set }: Anchor, links: u64) -> Result<(), String> {
        ensure(header.chain_id == self.chain_id, "another chain")?;
        let naming = match &past {
            Some((end, path)) => {
                let root = follow_path(&block_hash(&end.bytes), end.epoch, header.epoch, path);
                ensure(root == Some((header.epoch_ends_root, end.epoch)), "not below the trusted block")?;
                ensure(links == 0, "a link from the past")?;
                end
            }
            None => &header,
        };
        self.set = set_of(&naming.validators_hash, &self.set, set, self.members_max)?;
        (self.epoch, self.height) = (naming.epoch, 2 * naming.epoch);
        if links > 0 {
            (self.height, self.time) = (header.height.saturating_sub(2), header.time.saturating_sub(1));
        }
        Ok(())
    }

    fn link(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        let (header, commit) = (reader.header()?, reader.commit()?);
        let (own, next) = (reader.given()?, reader.given()?);
        ensure(header.epoch_end, "not the epoch's end")?;
        self.check_header(&header)?;
        let set = set_of(&header.validators_hash, &self.set, own, self.members_max)?;
        let next = set_of(&header.next_validators_hash, &set, next, self.members_max)?;
        self.check_commit(&header, &commit, &set, self.before.as_deref())?;
        self.before = Some(std::mem::replace(&mut self.set, next));
        (self.epoch, self.height, self.time) = (header.epoch + 1, header.height, header.time);
        Ok(())
    }

    fn votes(&self, txid: &Digest, reader: &mut Reader<'_>) -> Result<(u64, u64), String> {
        let mut places: Vec<usize> = Vec::new();
        for _ in 0..reader.u64()? {
            let (epoch, validator, seq): (u64, Digest, u64) = (reader.u64()?, reader.array()?, reader.u64()?);
            let (count, votes_root): (u64, Digest) = (reader.u32()?, reader.array()?);
            let (signature, index) = (reader.array()?, reader.u32()?);
            let path = reader.list(Reader::array)?;
            ensure(epoch == self.epoch, "a vote of another epoch")?;
            let place = self.set.iter().position(|member| member.id == validator).ok_or("no member")?;
            ensure(places.last().is_none_or(|last| *last < place), "not in the set's order")?;
            places.push(place);
            let end = follow_path(&vote_leaf("final", txid), index, count, &path);
            ensure(end == Some((votes_root, index)), "the vote is not there, or not there first")?;
            let head = Bytes::default().u64(epoch).raw(&validator).u64(seq).u32(count).raw(&votes_root).0;
            let digest = batch_digest(&self.chain_id, &head);
            ensure(holds(&self.set[place].key, &digest, &signature), "a batch that does not hold")?;
        }
        weigh(&self.set, &places, &[&self.set])
    }
}

/// `trusted` is a block by height and hash, as text.
pub fn check(document: &Document, trusted: Option<&str>, bytes: &[u8]) -> Result<Proved, String> {
    let mut reader = Reader(bytes.strip_prefix(b"timed/finality-proof").ok_or("no proof")?);
    ensure(reader.u16()? == 3, "another version")?;
    let (chain_id, txid): (Digest, Digest) = (reader.array()?, reader.array()?);
    ensure(chain_id == document.chain_id(), "another chain")?;
    let mut walk = Walk {
        chain_id,
        members_max: document.max_validators(),
        epoch: 0,
        height: 0,
        time: document.time_ms(),
        set: document.set(),
        before: None,
    };
    let anchor = reader.anchor()?;
    let name = |header: &Header| format!("{}:{}", header.height, hex::encode(block_hash(&header.bytes)));
    let found = anchor.as_ref().map(|anchor| name(&anchor.header));
    ensure(found.as_deref() == trusted, "another start")?;
    let links = reader.u64()?;
    if let Some(anchor) = anchor {
        walk.start(anchor, links)?;
    }
    for _ in 0..links {
        walk.link(&mut reader)?;
    }
    let (block, (signers, signed_weight)) = match reader.u32()? {
        0 => (None, walk.votes(&txid, &mut reader)?),
        1 => {
            let (header, commit) = (reader.header()?, reader.commit()?);
            let (index, count, path) = (reader.u32()?, reader.u32()?, reader.list(Reader::array)?);
            walk.check_header(&header)?;
            ensure(header.epoch == walk.epoch, "another epoch")?;
            ensure(count <= document.block_transactions_max(), "too many transactions")?;
            let end = follow_path(&txid, index, count, &path);
            ensure(end == Some((header.tx_root, index)), "not in the block, or not there first")?;
            let block = (header.height, block_hash(&header.bytes), header.time);
            (Some(block), walk.check_commit(&header, &commit, &walk.set, None)?)
        }
        other => return Err(format!("unknown ending {other}")),
    };
    ensure(reader.0.is_empty(), "trailing bytes")?;
    Ok(Proved {
        chain_id,
        txid,
        trusted: found,
        epoch: walk.epoch,
        block,
        signers,
        validators: walk.set.len() as u64,
        signed_weight,
        quorum: quorum(&walk.set),
        total_weight: total_weight(&walk.set),
    })
}
