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
        let (_evidence, _ends, _state): (Digest, Digest, Digest) =
            (self.array()?, self.array()?, self.array()?);
        let (validators_hash, next_validators_hash) = (self.array()?, self.array()?);
        let _proposer: Digest = self.array()?;
        let bytes = before[..before.len() - self.0.len()].to_vec();
        Ok(Header {
            bytes,
            chain_id,
            height,
            epoch,
            epoch_end,
            time,
            tx_root,
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
    epoch: u64,
    height: u64,
    set: Vec<Member>,
}

impl Walk {
    fn check_header(&self, header: &Header) -> Result<(), String> {
        ensure(header.chain_id == self.chain_id, "another chain")?;
        ensure(header.epoch == self.epoch, "another epoch")?;
        ensure(header.height >= self.height + 1 + u64::from(header.epoch_end), "too low")?;
        ensure(header.validators_hash == set_hash(&self.set), "another set")
    }

    fn weigh(&self, places: &[usize]) -> Result<(u64, u64), String> {
        let weights = || places.iter().map(|place| self.set[*place].weight);
        let (sum, lightest) = (weights().sum::<u64>(), weights().min().unwrap_or(0));
        ensure(sum >= quorum(&self.set), "less than the quorum")?;
        ensure(sum - lightest < quorum(&self.set), "a spare signer")?;
        Ok((places.len() as u64, sum))
    }

    fn check_commit(&self, header: &Header, commit: &QuorumCommit) -> Result<(u64, u64), String> {
        let members = self.set.len();
        ensure(commit.signers.len() == members.div_ceil(8), "a bitmap of another length")?;
        let bit = |place: usize| commit.signers[place / 8] >> (place % 8) & 1 == 1;
        let places: Vec<usize> = (0..commit.signers.len() * 8).filter(|place| bit(*place)).collect();
        ensure(places.iter().all(|place| *place < members), "a bit beyond the set")?;
        ensure(places.len() == commit.signatures.len(), "not one signature for each bit")?;
        let weighed = self.weigh(&places)?;
        let place = Place { epoch: self.epoch, height: header.height, round: commit.round };
        let hash = block_hash(&header.bytes);
        let digest = block_vote_digest(&self.chain_id, "precommit", &place, Some(&hash));
        for (place, signature) in places.iter().zip(&commit.signatures) {
            ensure(holds(&self.set[*place].key, &digest, signature), "a precommit that does not hold")?;
        }
        Ok(weighed)
    }

    fn link(&mut self, reader: &mut Reader<'_>) -> Result<(), String> {
        let (header, commit) = (reader.header()?, reader.commit()?);
        let next = if reader.flag()? { Some(reader.list(Reader::member)?) } else { None };
        ensure(header.epoch_end, "not the epoch's end")?;
        self.check_header(&header)?;
        self.check_commit(&header, &commit)?;
        let repeats = header.next_validators_hash == header.validators_hash;
        ensure(repeats == next.is_none(), "the next set is missing or repeated")?;
        if let Some(next) = next {
            ensure(set_hash(&next) == header.next_validators_hash, "another next set")?;
            self.set = next;
        }
        (self.height, self.epoch) = (header.height, self.epoch + 1);
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
        self.weigh(&places)
    }
}

pub fn check(document: &Document, bytes: &[u8]) -> Result<Proved, String> {
    let mut reader = Reader(bytes.strip_prefix(b"timed/finality-proof").ok_or("no proof")?);
    ensure(reader.u16()? == 1, "another version")?;
    let (chain_id, txid): (Digest, Digest) = (reader.array()?, reader.array()?);
    ensure(chain_id == document.chain_id(), "another chain")?;
    let mut walk = Walk { chain_id, epoch: 0, height: 0, set: document.set() };
    for _ in 0..reader.u64()? {
        walk.link(&mut reader)?;
    }
    let (block, (signers, signed_weight)) = match reader.u32()? {
        0 => (None, walk.votes(&txid, &mut reader)?),
        1 => {
            let (header, commit) = (reader.header()?, reader.commit()?);
            let (index, count, path) = (reader.u32()?, reader.u32()?, reader.list(Reader::array)?);
            walk.check_header(&header)?;
            ensure(count <= document.block_transactions_max(), "too many transactions")?;
            let end = follow_path(&txid, index, count, &path);
            ensure(end == Some((header.tx_root, index)), "not in the block, or not there first")?;
            let block = (header.height, block_hash(&header.bytes), header.time);
            (Some(block), walk.check_commit(&header, &commit)?)
        }
        other => return Err(format!("unknown ending {other}")),
    };
    ensure(reader.0.is_empty(), "trailing bytes")?;
    Ok(Proved {
        chain_id,
        txid,
        epoch: walk.epoch,
        block,
        signers,
        validators: walk.set.len() as u64,
        signed_weight,
        quorum: quorum(&walk.set),
        total_weight: total_weight(&walk.set),
    })
}
