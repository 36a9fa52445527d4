//! Every bound of the node that is not a parameter of the genesis document, with what it is for.

use super::amount::{Amount, UNITS_PER_TIME};

/// Inputs of one transaction, at most.
pub const TRANSACTION_INPUTS_MAX: usize = 1_000;
/// Outputs of one transaction, at most.
pub const TRANSACTION_OUTPUTS_MAX: usize = 1_000;
/// Encoded bytes of one transaction, at most.
pub const TRANSACTION_BYTES_MAX: usize = 100_000;
/// Encoded bytes of a transaction that can be valid, at least: one input, its key and its signature. Messages with many
/// transactions must not hold more of them than fit at this size.
pub const TRANSACTION_BYTES_MIN: usize = 160;
/// Bytes of a transfer's memo, at most.
pub const MEMO_BYTES_MAX: usize = 256;
/// Units of an output of a transaction, at least, from [`RuleVersion::DUST`](super::RuleVersion::DUST) on: each unspent
/// output costs every node memory for as long as nobody spends it.
pub const OUTPUT_VALUE_MIN: Amount = Amount(100);
/// A fee above this is taken for a mistake unless whoever pays it asks for it: 1 TIME, a thousand times the least fee of the
/// largest transaction. No rule of the protocol.
pub const MAX_FEE_DEFAULT: Amount = Amount(UNITS_PER_TIME);
/// Validators of one set that any genesis document may allow, at most.
pub const VALIDATORS_MAX: usize = 100;
/// Entries of one batch of finality votes, at most.
pub const BATCH_VOTES_MAX: usize = 4_096;
/// Encoded bytes of any one message, and so of any frame after the handshake, at most: a block of 8 MiB with its
/// commit fits.
pub const MESSAGE_BYTES_MAX: usize = 12 << 20;
/// Encoded bytes of a finality proof, at most.
pub const FINALITY_PROOF_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
/// Bytes of one frame before the handshake is done, at most.
pub const HANDSHAKE_FRAME_BYTES_MAX: usize = 1_024;
/// Entries of a request for transactions or certificates, at most.
pub const REQUEST_IDS_MAX: usize = 4_096;
/// Batches of votes that one request may ask for, at most.
pub const REQUEST_BATCHES_MAX: u64 = 256;
/// Starts of one masternode's node that one statement may name, and that are remembered of each member, at most.
pub const INSTANCES_MAX: usize = 16;
/// Blocks that one request may ask for, at most; fewer come when they exceed [`RESPONSE_BYTES_MAX`].
pub const REQUEST_BLOCKS_MAX: u64 = 128;
/// Encoded bytes of an answer that carries transactions, certificates or blocks; it ends at the object that
/// exceeds it.
pub const RESPONSE_BYTES_MAX: usize = 2 << 20;
/// Certificates that one request may ask for, at most.
pub const REQUEST_CERTIFICATES_MAX: usize = 256;
/// Encoded bytes of one vote in a certificate: a signed header and a path of twelve hashes, at most.
pub const CERTIFICATE_VOTE_BYTES_MAX: usize = 640;
/// Snapshots that one node keeps and offers, at most.
pub const SNAPSHOTS_MAX: usize = 8;
/// Addresses in one peer exchange, at most.
pub const PEER_ADDRESSES_MAX: usize = 256;
/// Neighbours that a node names to its peers, at most: a connection to each member of the largest set, and as many again
/// of members that restarted with another identity.
pub const NEIGHBOURS_MAX: usize = 2 * VALIDATORS_MAX;
/// Bytes of a network address as text, at most.
pub const ADDRESS_TEXT_BYTES_MAX: usize = 128;
/// Encoded bytes of a block's evidence, at most.
pub const EVIDENCE_BYTES_MAX: usize = 1 << 20;
/// Commits that count for absence (the parameter `recent_commits`), at most: their signers are one bit each.
pub const RECENT_COMMITS_MAX: u32 = 128;
/// Epochs that fit into the parameter `unbonding_time_ms`, at most: the state holds their sets, 8 MB in all if each is
/// one of 100 other members.
pub const PAST_EPOCHS_MAX: u64 = 1_100;
/// Bytes of a peer's user agent, at most.
pub const USER_AGENT_BYTES_MAX: usize = 64;
/// A block that is further ahead of its prevoter's clock than this gets no first prevote, in milliseconds.
pub const CLOCK_DRIFT_MS_MAX: u64 = 5_000;
/// Block rounds ahead of the current one whose votes are kept, at most.
pub const ROUNDS_AHEAD_MAX: u32 = 64;
/// Intervals of reward that one block accrues, at most.
pub const REWARD_INTERVALS_MAX: u64 = 10;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Whoever reads the rules alone has to know each number that they name.
    #[test]
    fn the_rules_say_the_value_of_each_limit_that_they_name() {
        let rules = include_str!("../protocol/rules.md");
        let here = [
            ("TRANSACTION_INPUTS_MAX", TRANSACTION_INPUTS_MAX as u64),
            ("TRANSACTION_OUTPUTS_MAX", TRANSACTION_OUTPUTS_MAX as u64),
            ("TRANSACTION_BYTES_MAX", TRANSACTION_BYTES_MAX as u64),
            ("OUTPUT_VALUE_MIN", OUTPUT_VALUE_MIN.0),
            ("MEMO_BYTES_MAX", MEMO_BYTES_MAX as u64),
            ("VALIDATORS_MAX", VALIDATORS_MAX as u64),
            ("BATCH_VOTES_MAX", BATCH_VOTES_MAX as u64),
            ("MESSAGE_BYTES_MAX", MESSAGE_BYTES_MAX as u64),
            ("FINALITY_PROOF_BYTES_MAX", FINALITY_PROOF_BYTES_MAX as u64),
            ("EVIDENCE_BYTES_MAX", EVIDENCE_BYTES_MAX as u64),
            ("RECENT_COMMITS_MAX", u64::from(RECENT_COMMITS_MAX)),
            ("PAST_EPOCHS_MAX", PAST_EPOCHS_MAX),
            ("CLOCK_DRIFT_MS_MAX", CLOCK_DRIFT_MS_MAX),
            ("REWARD_INTERVALS_MAX", REWARD_INTERVALS_MAX),
            ("HANDSHAKE_FRAME_BYTES_MAX", HANDSHAKE_FRAME_BYTES_MAX as u64),
            ("REQUEST_IDS_MAX", REQUEST_IDS_MAX as u64),
            ("REQUEST_CERTIFICATES_MAX", REQUEST_CERTIFICATES_MAX as u64),
            ("REQUEST_BATCHES_MAX", REQUEST_BATCHES_MAX),
            ("REQUEST_BLOCKS_MAX", REQUEST_BLOCKS_MAX),
            ("SNAPSHOTS_MAX", SNAPSHOTS_MAX as u64),
            ("INSTANCES_MAX", INSTANCES_MAX as u64),
            ("PEER_ADDRESSES_MAX", PEER_ADDRESSES_MAX as u64),
            ("NEIGHBOURS_MAX", NEIGHBOURS_MAX as u64),
            ("ADDRESS_TEXT_BYTES_MAX", ADDRESS_TEXT_BYTES_MAX as u64),
            ("USER_AGENT_BYTES_MAX", USER_AGENT_BYTES_MAX as u64),
        ];
        let rows = rules.lines().skip_while(|line| *line != "| limit | value |").skip(2);
        let mut table: BTreeMap<&str, u64> = BTreeMap::new();
        for row in rows.take_while(|line| line.starts_with('|')) {
            let (names, values) = row.trim_matches('|').split_once('|').unwrap();
            let names = names.split('`').skip(1).step_by(2);
            table.extend(names.zip(values.split(',').map(|value| value.trim().parse::<u64>().unwrap())));
        }
        assert_eq!(table, here.into());
        let wire = include_str!("wire.md").split("](limits::").skip(1);
        for named in rules.split("crate::types::limits::").skip(1).chain(wire) {
            let name = named.split(')').next().unwrap();
            assert!(table.contains_key(name), "{name} has no value in the rules");
        }
    }
}
