//! Genesis documents and the state before block 1, followed from the text of the wire specification alone.

use toml::Value;

use crate::plain::{Bytes, Digest, Member, hash, masternode_id, set, set_hash};

fn integer(value: &Value, name: &str) -> u64 {
    let integer = value.get(name).and_then(Value::as_integer);
    u64::try_from(integer.unwrap_or_else(|| panic!("no {name}"))).unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("no {name}"))
}

fn tables<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The key's hash behind an address: bech32m, one byte for the kind, 32 bytes.
pub fn key_hash_of_address(address: &str) -> Digest {
    let (_, data) = bech32::decode(address).unwrap();
    assert_eq!(data[0], 0, "another kind of lock");
    data[1..].try_into().unwrap()
}

fn key(value: &Value, name: &str) -> Digest {
    hex::decode(text(value, name)).unwrap().try_into().unwrap()
}

pub struct Document(Value);

impl Document {
    pub fn of_toml(text: &str) -> Self {
        Self(text.parse::<toml::Table>().map(Value::Table).unwrap())
    }

    // -- section 3: the chain id --------------------------------------------------------------------------------------

    fn parameters(&self) -> Vec<u8> {
        let parameters = self.0.get("parameters").unwrap();
        let u64s = |out: Bytes, names: &[&str]| {
            names.iter().fold(out, |out, name| out.u64(integer(parameters, name)))
        };
        let pair = |out: Bytes, name: &str, [first, second]: [&str; 2]| {
            let table = parameters.get(name).unwrap();
            out.u64(integer(table, first)).u64(integer(table, second))
        };
        let out = u64s(Bytes::default(), &["block_interval_ms", "min_block_gap_ms", "epoch_duration_ms"]);
        let out = out
            .u32(integer(parameters, "min_masternodes"))
            .u32(integer(parameters, "max_validators"))
            .u64(integer(parameters, "block_reward"))
            .u64(integer(parameters, "min_fee_per_kb"));
        let out = u64s(
            out,
            &[
                "block_bytes_max",
                "block_transactions_max",
                "block_trigger",
                "voted_unblocked_max",
                "voted_unblocked_bytes_max",
                "unbonding_time_ms",
            ],
        );
        let ratios = ["slash_fraction", "max_missed", "jail_cap"];
        let out = ratios.iter().fold(out, |out, name| pair(out, name, ["numerator", "denominator"]));
        let out = out.u32(integer(parameters, "recent_commits"));
        let timeouts = ["timeout_propose", "timeout_prevote", "timeout_precommit"];
        let out = timeouts.iter().fold(out, |out, name| pair(out, name, ["base_ms", "step_ms"]));
        out.list(tables(parameters, "tiers"), |out, tier| {
            let out = out.counted(text(tier, "name").as_bytes());
            out.u64(integer(tier, "collateral")).u64(integer(tier, "weight"))
        })
        .0
    }

    pub fn body(&self) -> Vec<u8> {
        let network = match text(&self.0, "network") {
            "mainnet" => 0,
            "testnet" => 1,
            "devnet" => 2,
            other => panic!("unknown network {other}"),
        };
        Bytes::default()
            .u32(network)
            .u64(integer(&self.0, "time_ms"))
            .raw(&self.parameters())
            .list(tables(&self.0, "allocations"), |out, allocation| {
                let lock = key_hash_of_address(text(allocation, "address"));
                out.lock(&lock).u64(integer(allocation, "amount"))
            })
            .list(tables(&self.0, "masternodes"), |out, masternode| {
                out.u64(integer(masternode, "collateral"))
                    .lock(&key_hash_of_address(text(masternode, "owner")))
                    .raw(&key(masternode, "operator_key"))
                    .lock(&key_hash_of_address(text(masternode, "payout")))
                    .counted(text(masternode, "network_address").as_bytes())
            })
            .0
    }

    pub fn chain_id(&self) -> Digest {
        hash("timed/genesis/v1", &self.body())
    }

    pub fn block_transactions_max(&self) -> u64 {
        integer(self.0.get("parameters").unwrap(), "block_transactions_max")
    }

    pub fn max_validators(&self) -> u64 {
        integer(self.0.get("parameters").unwrap(), "max_validators")
    }

    pub fn time_ms(&self) -> u64 {
        integer(&self.0, "time_ms")
    }

    // -- section 7: the first set -------------------------------------------------------------------------------------

    fn weight_of(&self, collateral: u64) -> u64 {
        let tiers = tables(self.0.get("parameters").unwrap(), "tiers");
        let tier = tiers.iter().find(|tier| integer(tier, "collateral") == collateral).unwrap();
        integer(tier, "weight")
    }

    fn collateral_index(&self, place: usize) -> u64 {
        (tables(&self.0, "allocations").len() + place) as u64
    }

    /// The set of epoch 0: by weight, then in the document's order.
    pub fn set(&self) -> Vec<Member> {
        let chain_id = self.chain_id();
        let masternodes = tables(&self.0, "masternodes").iter().enumerate();
        let mut members: Vec<Member> = masternodes
            .map(|(place, masternode)| Member {
                id: masternode_id(&chain_id, self.collateral_index(place)),
                key: key(masternode, "operator_key"),
                weight: self.weight_of(integer(masternode, "collateral")),
            })
            .collect();
        members.sort_by_key(|member| std::cmp::Reverse(member.weight));
        members
    }

    // -- section 9: the state before block 1 --------------------------------------------------------------------------

    fn outputs(&self) -> Vec<(u64, Digest)> {
        let allocations = tables(&self.0, "allocations").iter();
        let coins =
            allocations.map(|coin| (integer(coin, "amount"), key_hash_of_address(text(coin, "address"))));
        let masternodes = tables(&self.0, "masternodes").iter();
        let bound =
            masternodes.map(|node| (integer(node, "collateral"), key_hash_of_address(text(node, "owner"))));
        coins.chain(bound).collect()
    }

    fn record(&self, place: usize, masternode: &Value) -> Bytes {
        let collateral = integer(masternode, "collateral");
        let (txid, index) = (self.chain_id(), self.collateral_index(place));
        Bytes::default()
            .u32(1)
            .raw(&masternode_id(&txid, index))
            .raw(&txid)
            .u32(index)
            .u64(collateral)
            .u64(0)
            .lock(&key_hash_of_address(text(masternode, "owner")))
            .raw(&key(masternode, "operator_key"))
            .lock(&key_hash_of_address(text(masternode, "payout")))
            .counted(text(masternode, "network_address").as_bytes())
            .u64(self.weight_of(collateral))
            // The document's masternodes have grown to their full weight, and are not on trial.
            .u64(self.weight_of(collateral))
            .u8(0)
            .u64(place as u64)
            // No pending update, no request to leave, no evidence, no jail; it has not left.
            .raw(&[0; 6])
    }

    /// The elements of the state before block 1.
    pub fn state_elements(&self) -> Vec<Vec<u8>> {
        let (txid, members, time) = (self.chain_id(), self.set(), integer(&self.0, "time_ms"));
        let outputs = self.outputs();
        let supply: u64 = outputs.iter().map(|(value, _)| value).sum();
        let output = |(index, (value, lock)): (usize, &(u64, Digest))| {
            Bytes::default().u32(0).raw(&txid).u32(index as u64).u64(*value).lock(lock).u64(0)
        };
        let mut elements: Vec<Bytes> = outputs.iter().enumerate().map(output).collect();
        let masternodes = tables(&self.0, "masternodes");
        elements.extend(masternodes.iter().enumerate().map(|(place, node)| self.record(place, node)));
        elements.push(set(Bytes::default().u32(2), &members));
        elements.push(set(Bytes::default().u32(3).u64(0), &members));
        let counters = Bytes::default().u32(5).u64(0).u64(time).u64(0).u64(time).u64(0).u64(0).u64(supply);
        elements.push(counters.u64(0).u64(masternodes.len() as u64).u64(0));
        let mut ids: Vec<Digest> = members.iter().map(|member| member.id).collect();
        ids.sort_unstable();
        elements.push(Bytes::default().u32(8).list(&ids, |out, id| out.raw(id).u32(0).raw(&[0; 16])));
        // The first rules, from epoch 0 on; none are to come, and nobody announced any.
        elements.push(Bytes::default().u32(9).u32(1).u64(0).u8(0).u64(0));
        elements.into_iter().map(|element| element.0).collect()
    }

    pub fn set_hash(&self) -> Digest {
        set_hash(&self.set())
    }
}

/// The digest of a state with these elements: 1,024 sums of 16 bits, hashed.
pub fn state_digest(elements: &[Vec<u8>]) -> Digest {
    let mut lanes = [0_u16; 1_024];
    for element in elements {
        let tag = "timed/element/v1";
        let preimage = Bytes::default().u8(tag.len() as u8).raw(tag.as_bytes()).raw(element).0;
        let mut expanded = [0; 2_048];
        blake3::Hasher::new().update(&preimage).finalize_xof().fill(&mut expanded);
        for (lane, pair) in lanes.iter_mut().zip(expanded.chunks(2)) {
            *lane = lane.wrapping_add(u16::from_le_bytes([pair[0], pair[1]]));
        }
    }
    let bytes: Vec<u8> = lanes.iter().flat_map(|lane| lane.to_le_bytes()).collect();
    hash("timed/state/v1", &bytes)
}
