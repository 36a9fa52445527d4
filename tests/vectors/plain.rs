//! The wire specification followed from its text alone: BLAKE3, pushed bytes, and no hash, codec or type of the crate.
//!
//! Whatever a vector says is made again here from the vector's own inputs, as an integrator would do it who has nothing
//! but `src/types/wire.md`. "Section" below is a section of that page.

use serde_json::Value;

pub type Digest = [u8; 32];

// -- section 1: encoding ----------------------------------------------------------------------------------------------

/// Bytes in the order in which they are pushed.
#[derive(Clone, Default)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
    pub fn u8(self, value: u8) -> Self {
        self.raw(&[value])
    }
    pub fn u16(self, value: u64) -> Self {
        self.raw(&u16::try_from(value).unwrap().to_le_bytes())
    }
    pub fn u32(self, value: u64) -> Self {
        self.raw(&u32::try_from(value).unwrap().to_le_bytes())
    }
    pub fn u64(self, value: u64) -> Self {
        self.raw(&value.to_le_bytes())
    }
    /// A list of bytes, or a text: its length, then itself.
    pub fn counted(self, bytes: &[u8]) -> Self {
        self.u64(bytes.len() as u64).raw(bytes)
    }
    pub fn list<T>(self, items: &[T], push: impl Fn(Self, &T) -> Self) -> Self {
        let counted = self.u64(items.len() as u64);
        items.iter().fold(counted, push)
    }
    pub fn option(self, value: &Value, push: impl Fn(Self, &Value) -> Self) -> Self {
        if value.is_null() { self.u8(0) } else { push(self.u8(1), value) }
    }
    /// The only kind of lock there is: 0, and the hash of a key.
    pub fn lock(self, key_hash: &[u8]) -> Self {
        self.u32(0).raw(key_hash)
    }
}

pub fn hex(value: &Value) -> Vec<u8> {
    ::hex::decode(text(value)).unwrap()
}

pub fn digest(value: &Value) -> Digest {
    hex(value).try_into().unwrap()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

// -- section 2: hashes ------------------------------------------------------------------------------------------------

fn preimage(tag: &str, content: &[u8]) -> Vec<u8> {
    Bytes::default().u8(u8::try_from(tag.len()).unwrap()).raw(tag.as_bytes()).raw(content).0
}

pub fn hash(tag: &str, content: &[u8]) -> Digest {
    *blake3::hash(&preimage(tag, content)).as_bytes()
}

pub fn key_hash(key: &[u8]) -> Digest {
    hash("timed/key/v1", key)
}

// -- section 4: Merkle trees ------------------------------------------------------------------------------------------

fn leaf(bytes: &[u8]) -> Digest {
    hash("timed/leaf/v1", bytes)
}

fn node(left: &Digest, right: &Digest) -> Digest {
    hash("timed/node/v1", &[left.as_slice(), right].concat())
}

fn parents(level: &[Digest]) -> Vec<Digest> {
    level.chunks(2).map(|pair| if pair.len() == 2 { node(&pair[0], &pair[1]) } else { pair[0] }).collect()
}

fn root_of(count: u64, top: &Digest) -> Digest {
    hash("timed/root/v1", &Bytes::default().u64(count).raw(top).0)
}

pub fn merkle_root(leaves: &[Vec<u8>]) -> Digest {
    let mut level: Vec<Digest> = leaves.iter().map(|bytes| leaf(bytes)).collect();
    while level.len() > 1 {
        level = parents(&level);
    }
    root_of(leaves.len() as u64, level.first().unwrap_or(&[0; 32]))
}

pub fn merkle_path(leaves: &[Vec<u8>], index: usize) -> Vec<Digest> {
    let mut level: Vec<Digest> = leaves.iter().map(|bytes| leaf(bytes)).collect();
    let (mut place, mut siblings) = (index, Vec::new());
    while level.len() > 1 {
        siblings.extend(level.get(place ^ 1));
        level = parents(&level);
        place /= 2;
    }
    siblings
}

/// The root that a path leads to, and the first place of the leaf that this path fits.
pub fn follow_path(bytes: &[u8], index: u64, count: u64, path: &[Digest]) -> Option<(Digest, u64)> {
    if index >= count {
        return None;
    }
    let (mut here, mut place, mut width) = (leaf(bytes), index, count);
    let (mut first, mut span) = (index, 1);
    let mut siblings = path.iter();
    while width > 1 {
        if place ^ 1 < width {
            let sibling = siblings.next()?;
            if place % 2 == 1 {
                first -= if *sibling == here { span } else { 0 };
                here = node(sibling, &here);
            } else {
                here = node(&here, sibling);
            }
        }
        (place, width, span) = (place / 2, width.div_ceil(2), span * 2);
    }
    siblings.next().is_none().then(|| (root_of(count, &here), first))
}

// -- section 5: transactions ------------------------------------------------------------------------------------------

fn consent(out: Bytes, value: &Value, is_blank: bool) -> Bytes {
    let signature = if is_blank { vec![0; 64] } else { hex(&value["signature"]) };
    out.raw(&hex(&value["key"])).raw(&signature)
}

fn payload(out: Bytes, value: &Value, is_blank: bool) -> Bytes {
    let counted = |out: Bytes, text_value: &Value| out.counted(text(text_value).as_bytes());
    let lock = |out: Bytes, lock: &Value| out.lock(&hex(lock));
    let agreed = |out: Bytes, value: &Value| consent(out, value, is_blank);
    match text(&value["kind"]) {
        "transfer" => out.u32(0).counted(&hex(&value["memo"])),
        "reward" => out.u32(1).u64(number(&value["height"])),
        "masternode_register" => {
            let out = out.u32(2).u32(number(&value["collateral_index"]));
            counted(lock(agreed(out, &value["operator"]), &value["payout"]), &value["network_address"])
        }
        "masternode_update" => out
            .u32(3)
            .raw(&hex(&value["masternode"]))
            .option(&value["operator"], agreed)
            .option(&value["payout"], lock)
            .option(&value["network_address"], counted)
            .option(&value["unjail"], agreed),
        "masternode_exit" => out.u32(4).raw(&hex(&value["masternode"])),
        other => panic!("unknown payload {other}"),
    }
}

fn body_of(transaction: &Value, is_blank: bool) -> Bytes {
    let out = Bytes::default()
        .u16(number(&transaction["version"]))
        .list(list(&transaction["inputs"]), |out, input| {
            out.raw(&hex(&input["txid"])).u32(number(&input["index"]))
        })
        .list(list(&transaction["outputs"]), |out, output| {
            out.u64(number(&output["value"])).lock(&hex(&output["lock"]))
        });
    payload(out, &transaction["payload"], is_blank)
}

/// What the txid covers.
pub fn transaction_body(transaction: &Value) -> Vec<u8> {
    body_of(transaction, false).0
}

/// What operators agree to: the body with their signatures as zeros.
pub fn consent_body(transaction: &Value) -> Vec<u8> {
    body_of(transaction, true).0
}

pub fn transaction(transaction: &Value) -> Vec<u8> {
    body_of(transaction, false)
        .list(list(&transaction["witnesses"]), |out, witness| {
            out.raw(&hex(&witness["key"])).raw(&hex(&witness["signature"]))
        })
        .0
}

pub fn txid(transaction: &Value) -> Digest {
    hash("timed/tx/v1", &transaction_body(transaction))
}

pub fn signing_digest(chain_id: &[u8], txid: &Digest) -> Digest {
    hash("timed/txsig/v1", &[chain_id, txid].concat())
}

pub fn consent_digest(chain_id: &[u8], transaction: &Value) -> Digest {
    hash("timed/consent/v1", &[chain_id, &consent_body(transaction)].concat())
}

pub fn masternode_id(txid: &[u8], index: u64) -> Digest {
    hash("timed/masternode/v1", &Bytes::default().raw(txid).u32(index).0)
}

// -- section 6: blocks ------------------------------------------------------------------------------------------------

pub fn header(value: &Value) -> Vec<u8> {
    let hash = |out: Bytes, name: &str| out.raw(&hex(&value[name]));
    let out = hash(Bytes::default(), "chain_id")
        .u64(number(&value["height"]))
        .u32(number(&value["round"]))
        .u64(number(&value["epoch"]))
        .u8(u8::from(value["epoch_end"].as_bool().unwrap()))
        .u64(number(&value["time"]));
    let hashes = [
        "prev_hash",
        "last_commit_root",
        "tx_root",
        "evidence_root",
        "epoch_ends_root",
        "state_digest",
        "validators_hash",
        "next_validators_hash",
        "proposer",
    ];
    hashes.into_iter().fold(out, hash).0
}

pub fn block_hash(header: &[u8]) -> Digest {
    hash("timed/block/v1", header)
}

pub fn commit(value: &Value) -> Vec<u8> {
    Bytes::default()
        .u64(number(&value["height"]))
        .u32(number(&value["round"]))
        .raw(&hex(&value["block_hash"]))
        .counted(&hex(&value["signers"]))
        .list(list(&value["signatures"]), |out, signature| out.raw(&hex(signature)))
        .0
}

pub fn commit_root(commit: &[u8]) -> Digest {
    hash("timed/commit/v1", commit)
}

pub fn tx_root(txids: &[Digest]) -> Digest {
    merkle_root(&txids.iter().map(|txid| txid.to_vec()).collect::<Vec<_>>())
}

pub struct Place {
    pub epoch: u64,
    pub height: u64,
    pub round: u64,
}

pub fn block_vote_digest(chain_id: &[u8], step: &str, place: &Place, value: Option<&[u8]>) -> Digest {
    let tag = match step {
        "prevote" => "timed/prevote/v1",
        "precommit" => "timed/precommit/v1",
        other => panic!("unknown step {other}"),
    };
    let out = Bytes::default().raw(chain_id).u64(place.epoch).u64(place.height).u32(place.round);
    let out = match value {
        None => out.u8(0),
        Some(value) => out.u8(1).raw(value),
    };
    hash(tag, &out.0)
}

pub fn block_vote(value: &Value) -> Vec<u8> {
    let step = u64::from(text(&value["step"]) == "precommit");
    Bytes::default()
        .u32(step)
        .u64(number(&value["epoch"]))
        .u64(number(&value["height"]))
        .u32(number(&value["round"]))
        .option(&value["value"], |out, hash| out.raw(&hex(hash)))
        .raw(&hex(&value["validator"]))
        .raw(&hex(&value["signature"]))
        .0
}

pub fn proposal_digest(chain_id: &[u8], value: &Value) -> Digest {
    let out = Bytes::default()
        .raw(chain_id)
        .u64(number(&value["epoch"]))
        .u64(number(&value["height"]))
        .u32(number(&value["round"]))
        .option(&value["pol_round"], |out, round| out.u32(number(round)))
        .raw(&hex(&value["validator"]))
        .raw(&hex(&value["block_hash"]));
    hash("timed/proposal/v1", &out.0)
}

pub fn evidence_hash(encoding: &[u8]) -> Digest {
    hash("timed/evidence/v1", encoding)
}

// -- section 7: validator sets ----------------------------------------------------------------------------------------

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    pub id: Digest,
    pub key: Digest,
    pub weight: u64,
}

pub fn members(value: &Value) -> Vec<Member> {
    let member = |value: &Value| Member {
        id: digest(&value["id"]),
        key: digest(&value["key"]),
        weight: number(&value["weight"]),
    };
    list(value).iter().map(member).collect()
}

pub fn set(out: Bytes, members: &[Member]) -> Bytes {
    out.list(members, |out, member| out.raw(&member.id).raw(&member.key).u64(member.weight))
}

pub fn set_hash(members: &[Member]) -> Digest {
    hash("timed/set/v1", &set(Bytes::default(), members).0)
}

pub fn total_weight(members: &[Member]) -> u64 {
    members.iter().map(|member| member.weight).sum()
}

pub fn quorum(members: &[Member]) -> u64 {
    2 * total_weight(members) / 3 + 1
}

// -- section 8: votes on payments -------------------------------------------------------------------------------------

pub fn vote_leaf(kind: &str, txid: &[u8]) -> Vec<u8> {
    let tag = match kind {
        "lock" => 0,
        "final" => 1,
        other => panic!("unknown vote {other}"),
    };
    Bytes::default().u8(tag).raw(txid).0
}

pub fn votes(value: &Value) -> Vec<Vec<u8>> {
    list(value).iter().map(|vote| vote_leaf(text(&vote["kind"]), &hex(&vote["txid"]))).collect()
}

/// The head of a batch without its signature.
pub fn batch_head(value: &Value) -> Bytes {
    Bytes::default()
        .u64(number(&value["epoch"]))
        .raw(&hex(&value["validator"]))
        .u64(number(&value["seq"]))
        .u32(number(&value["count"]))
        .raw(&hex(&value["votes_root"]))
}

pub fn batch_digest(chain_id: &[u8], head: &[u8]) -> Digest {
    hash("timed/vote/v1", &[chain_id, head].concat())
}

pub fn batch(value: &Value) -> Vec<u8> {
    let votes = votes(&value["votes"]);
    batch_head(value).raw(&hex(&value["signature"])).list(&votes, |out, vote| out.raw(vote)).0
}

pub fn certificate_vote(out: Bytes, value: &Value) -> Bytes {
    out.raw(&batch_head(value).0)
        .raw(&hex(&value["signature"]))
        .u32(number(&value["index"]))
        .list(list(&value["path"]), |out, sibling| out.raw(&hex(sibling)))
}

pub fn certificate(value: &Value) -> Vec<u8> {
    Bytes::default()
        .raw(&vote_leaf(text(&value["kind"]), &hex(&value["txid"])))
        .u64(number(&value["epoch"]))
        .list(list(&value["votes"]), certificate_vote)
        .0
}

pub fn heartbeat_digest(chain_id: &[u8], value: &Value) -> Digest {
    let out = Bytes::default()
        .raw(chain_id)
        .raw(&hex(&value["validator"]))
        .raw(&hex(&value["start"]))
        .u32(number(&value["attempt"]))
        .u64(number(&value["epoch"]))
        .u64(number(&value["height"]))
        .u64(number(&value["next_seq"]))
        .u64(number(&value["time_ms"]))
        .counted(&hex(&value["heard"]));
    hash("timed/heartbeat/v1", &out.0)
}

// -- section 11: between peers ----------------------------------------------------------------------------------------

/// The message that says where a node stands.
pub fn status(value: &Value) -> Vec<u8> {
    Bytes::default()
        .u32(2)
        .u64(number(&value["height"]))
        .u64(number(&value["horizon"]))
        .raw(&hex(&value["tip"]))
        .u64(number(&value["epoch"]))
        .u32(number(&value["round"]))
        .u8(u8::from(value["has_proposal"].as_bool().unwrap()))
        .counted(&hex(&value["prevotes"]))
        .counted(&hex(&value["precommits"]))
        .list(list(&value["batches"]), |out, held| out.u64(number(&held["from"])).u64(number(&held["until"])))
        .0
}

// -- section 12: messages of people -----------------------------------------------------------------------------------

pub fn message_digest(network: u64, key_hash: &[u8], message: &str) -> Digest {
    hash("timed/message/v1", &Bytes::default().u32(network).lock(key_hash).counted(message.as_bytes()).0)
}
