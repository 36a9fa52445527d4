//! The shapes of every result, shared by server and clients.
//!
//! Shapes stand by what they are about: `blocks.rs`, `chain.rs`, `pool.rs`, `masternodes.rs`, `peers.rs`, `events.rs`,
//! `explain.rs`, `parameters.rs`, `rules.rs`, `resources.rs`, and the rest here.
//!
//! # Units
//! As the head of [`crate::rpc`] says. Names follow Bitcoin Core where it has the same thing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::storage::index_history::HistoryPlace;
use crate::types::{
    Address, Amount, BlockHash, ChainId, ChainParameters, Epoch, Height, MasternodeId, OutPoint, PublicKey,
    Round, StateDigest, TimeMs, TxId, ValidatorSet,
};

mod blocks;
mod chain;
mod events;
mod explain;
mod masternodes;
mod parameters;
mod peers;
mod pool;
mod resources;
mod rules;

pub use blocks::{
    BlockInfo, BlockTransaction, InputInfo, OutputInfo, RawTransactionInfo, ReceiptInfo, TransactionInfo,
};
pub use masternodes::{
    AttendanceInfo, EvidenceInfo, HeartbeatInfo, JailReason, MasternodeInfo, MasternodePayload,
    MemberLatency, MembershipInfo, PendingChanges, PunishedInfo, VoteLatencyInfo, VoteTimes,
};

pub use chain::{BlockTip, CommitInfo, CommitSigner, HeaderInfo, IndexInfo, OutputSetInfo};
pub use events::{
    AcceptedEvent, AddressPart, BlockEvent, ContestantInfo, DoublespendEvent, DroppedEvent, EventInfo,
    EventPage, FinalEvent, MissedInfo,
};
pub use explain::{ConflictInfo, ExplainInfo, MemberVotesInfo, VotesInfo};
pub use peers::{AddressInfo, BanInfo};
pub use pool::{AcceptanceInfo, FeeEstimate, MempoolEntry};
pub use resources::{DiskGrowth, DiskInfo, DiskOutlook, LogInfo, MemoryInfo, NetTotals, ResourceInfo};
pub use rules::{AnnouncedRulesInfo, PendingRulesInfo, RulesInfo};

/// `getblockchaininfo`: the chain at its tip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockchainInfo {
    /// `mainnet`, `testnet` or `devnet`.
    pub chain: String,
    /// The hash of the genesis document, which every signature covers.
    pub chain_id: ChainId,
    /// Height of the last committed block.
    pub blocks: Height,
    /// The greatest height that a peer has shown with a commit, or `blocks`.
    pub headers: Height,
    /// The last committed block; the chain id's bytes before block 1.
    #[serde(rename = "bestblockhash")]
    pub best_block_hash: BlockHash,
    /// That block's time.
    pub time: TimeMs,
    /// The epoch of the next block.
    pub epoch: Epoch,
    /// Whether earlier blocks were pruned or never fetched.
    pub pruned: bool,
    /// The first block that the node has; 1 where it has all.
    pub pruneheight: Height,
    /// Whether the node is still behind its peers.
    #[serde(rename = "initialblockdownload")]
    pub initial_block_download: bool,
    /// The digest of the state after the last block.
    pub state_digest: StateDigest,
    /// All coins that exist.
    pub supply: Amount,
    /// The same in TIME.
    pub supply_time: String,
    /// What each started 1,000 bytes of a transaction pay at least.
    pub min_fee_per_kb: Amount,
    /// The same in TIME.
    pub min_fee_per_kb_time: String,
    /// All numbers that the nodes of the chain agree on: tiers of masternodes, durations, fees.
    #[serde(serialize_with = "parameters::tell", deserialize_with = "parameters::read")]
    #[schemars(with = "parameters::Told")]
    pub parameters: ChainParameters,
    /// Which version of the rules is in force, and what is to come.
    pub rules: RulesInfo,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// `getgenesis`: the document that the chain starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GenesisInfo {
    /// Its hash.
    pub chain_id: ChainId,
    /// The document, as `[node] genesis` and every `--genesis` read it from a file.
    pub toml: String,
}

/// One entry of `getpeerinfo`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeerInfo {
    /// Names the connection on this node.
    pub id: u64,
    /// `host:port`.
    pub addr: String,
    /// The key that its handshake proved, in hexadecimal.
    pub node_id: String,
    /// Whether it dialled us.
    pub inbound: bool,
    /// The version of the protocol on this connection: the newest that both sides speak.
    pub version: u32,
    /// Its user agent; control characters are escaped.
    pub subver: String,
    /// `host:port` where it says that it listens; control characters are escaped.
    pub listen_address: String,
    /// Seconds since the handshake.
    pub connected_s: u64,
    /// Bytes sent to it.
    #[serde(rename = "bytessent")]
    pub bytes_sent: u64,
    /// Bytes received from it.
    #[serde(rename = "bytesrecv")]
    pub bytes_received: u64,
    /// Its last answer to a ping in milliseconds.
    pub ping_ms: Option<u64>,
    /// How much it has misbehaved; it is banned at 100.
    #[serde(rename = "banscore")]
    pub ban_score: u32,
}

/// `getnetworkinfo`: the node in its network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkInfo {
    /// Version of the program.
    pub version: String,
    /// What the node calls itself to peers.
    pub subversion: String,
    /// The newest version of the peer protocol that it speaks.
    #[serde(rename = "protocolversion")]
    pub protocol_version: u32,
    /// The oldest one. A peer whose versions all lie outside of the two is refused.
    #[serde(rename = "oldestprotocolversion")]
    pub oldest_protocol_version: u32,
    /// The key that its handshakes prove, in hexadecimal.
    pub node_id: String,
    /// Where it listens, when it does.
    pub listen_address: Option<String>,
    /// What it tells others about where it is, when it does.
    pub external_address: Option<String>,
    /// Whether it talks to peers; false on a devnet's node that `setnetworkactive` isolated.
    #[serde(rename = "networkactive")]
    pub network_active: bool,
    /// Peers connected.
    pub connections: usize,
    /// Of these, those who dialled us.
    pub connections_in: usize,
    /// And those we dialled.
    pub connections_out: usize,
}

/// `getmempoolinfo`: the pool of transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MempoolInfo {
    /// Transactions.
    pub size: usize,
    /// Their encoded bytes.
    pub bytes: usize,
    /// Transactions, at most.
    pub max_transactions: usize,
    /// Bytes, at most.
    #[serde(rename = "maxmempool")]
    pub max_bytes: usize,
    /// What a new transaction has to pay for each started 1,000 bytes at present, in base units.
    #[serde(rename = "mempoolminfee")]
    pub min_fee_per_kb: Amount,
    /// The same in TIME.
    #[serde(rename = "mempoolminfee_time")]
    pub min_fee_per_kb_time: String,
    /// Certified and final transactions that wait for a block.
    pub certified_waiting: usize,
}

/// `getvalidators`: the set of an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ValidatorsInfo {
    /// The epoch.
    pub epoch: Epoch,
    /// The weight of all.
    pub total_weight: u64,
    /// The weight that decides.
    pub quorum: u64,
    /// The members in their order.
    pub validators: Vec<ValidatorInfo>,
}

/// A member of [`ValidatorsInfo`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ValidatorInfo {
    /// Its place.
    pub index: usize,
    /// Which masternode it is.
    pub id: MasternodeId,
    /// The key that votes in this epoch.
    pub operator_key: PublicKey,
    /// What its vote weighs.
    pub weight: u64,
}

impl ValidatorsInfo {
    /// Describes a set.
    #[must_use]
    pub fn of(epoch: Epoch, set: &ValidatorSet) -> Self {
        let validators = set
            .members()
            .iter()
            .enumerate()
            .map(|(index, member)| ValidatorInfo {
                index,
                id: member.id,
                operator_key: member.key,
                weight: member.weight,
            })
            .collect();
        Self { epoch, total_weight: set.total_weight(), quorum: set.quorum(), validators }
    }
}

/// What became of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UtxoState {
    /// It can be spent.
    Unspent,
    /// This node has locked it to a transaction.
    Locked,
    /// This node has voted for the transaction that spends it.
    SpentPending,
    /// A final transaction spends it, which no block contains yet.
    SpentFinalized,
    /// A block contains the transaction that spends it.
    Confirmed,
    /// This node knows no such output.
    Unknown,
}

/// `getutxostate`: what became of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UtxoStateInfo {
    /// The transaction that made it.
    pub txid: TxId,
    /// Its place there.
    pub vout: u32,
    /// What became of it.
    pub state: UtxoState,
    /// The transaction that locked or spent it.
    pub spender: Option<TxId>,
    /// Unspent, locked or pending: the height of the block that made it, absent when none has yet. Confirmed: the
    /// height of the block that spent it.
    pub height: Option<Height>,
    /// Base units; of a spent one as well, where the node has the block that made it.
    pub value: Option<Amount>,
    /// The same in TIME.
    pub value_time: Option<String>,
    /// Who may spend it, or could; known as the value is.
    pub address: Option<Address>,
    /// Whether it is a masternode's collateral, or marked as one, and so can't be spent.
    #[serde(default)]
    pub bound: bool,
    /// The masternode that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masternode: Option<MasternodeId>,
    /// When it is free again, of a masternode that has left; see `bound_until_ms` of `getmasternode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_until_ms: Option<TimeMs>,
}

/// `gettxout`: an output that is not spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TxOutInfo {
    /// The tip when this was said.
    #[serde(rename = "bestblock")]
    pub best_block: BlockHash,
    /// 0 when final but in no block yet.
    pub confirmations: u64,
    /// Base units.
    pub value: Amount,
    /// The same in TIME.
    pub value_time: String,
    /// Who may spend it.
    pub address: Address,
}

/// How far a transaction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransactionStatus {
    /// This node does not know it.
    Unknown,
    /// A block has spent one of its coins by another transaction: it can never be final.
    Conflicted,
    /// In the pool, votes are gathering.
    Pending,
    /// Votes of a quorum have locked its inputs; no conflicting transaction can be certified in this epoch.
    Certified,
    /// It is irreversible.
    Final,
    /// A committed block contains it.
    Confirmed,
}

/// What `waitfortransaction` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitTarget {
    /// Until it is certified or more.
    Certified,
    /// Until it is final or more.
    Final,
    /// Until a block contains it.
    Confirmed,
}

impl WaitTarget {
    /// Whether a status is what was waited for.
    #[must_use]
    pub fn is_reached_by(self, status: TransactionStatus) -> bool {
        status
            >= match self {
                Self::Certified => TransactionStatus::Certified,
                Self::Final => TransactionStatus::Final,
                Self::Confirmed => TransactionStatus::Confirmed,
            }
    }
}

/// `gettransactionstatus`, `waitfortransaction`: how far a transaction has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TransactionStatusInfo {
    /// Its name.
    pub txid: TxId,
    /// How far it has come.
    pub status: TransactionStatus,
    /// What an unknown one may be, in words; absent for all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The transaction that has its coin, if that is why it can't be final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<TxId>,
    /// When this node took it, if it still knows.
    pub accepted_ms: Option<TimeMs>,
    /// When this node saw it certified, if it still knows.
    pub certified_ms: Option<TimeMs>,
    /// When this node saw it final, if it still knows.
    pub final_ms: Option<TimeMs>,
    /// From acceptance by this node to final, in milliseconds with a fraction, if it still knows.
    pub finality_latency_ms: Option<f64>,
    /// The block that contains it.
    pub height: Option<Height>,
    /// Its hash.
    #[serde(rename = "blockhash")]
    pub block_hash: Option<BlockHash>,
    /// 1 when it is in the last block, 0 when it is in none.
    pub confirmations: u64,
    /// What became of what it says about a masternode; absent while no block contains it, and for transactions that
    /// say nothing about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<ReceiptInfo>,
}

impl TransactionStatusInfo {
    /// What is said of a transaction by its status alone.
    #[must_use]
    pub fn note_of(status: TransactionStatus) -> Option<String> {
        let note = "this node has never seen it, or dropped it before it was final: neither pool nor blocks have it. \
            Check the txid, and send it again: that does no harm";
        (status == TransactionStatus::Unknown).then(|| note.to_owned())
    }
}

/// `getaddresshistory`: what transactions did to an address, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddressHistory {
    /// The transactions. Those that no block has come first, on the first page alone.
    pub history: Vec<HistoryInfo>,
    /// What to ask for the next page with; absent on the last one.
    pub next: Option<String>,
    /// Whether the page tells all of the pool's transactions of the address. If not, it tells the youngest 1,000, or the index
    /// is behind the newest blocks; others are told once it has them. Absent on later pages, which tell none of the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_complete: Option<bool>,
    /// The page is complete from this block on; older transactions are not told. 0 is the genesis document.
    pub complete_from: Height,
    /// Up to which block the page tells.
    pub height: Height,
}

/// One entry of [`AddressHistory`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryInfo {
    /// The transaction.
    pub txid: TxId,
    /// How far it has come.
    pub status: TransactionStatus,
    /// Its block; absent while no block has it.
    pub height: Option<Height>,
    /// Its place in the block, from 0.
    pub place: Option<u32>,
    /// What the address got by it, in base units.
    pub received: Amount,
    /// The same in TIME.
    pub received_time: String,
    /// What it spent of the address, in base units; change that came back is in `received`.
    pub sent: Amount,
    /// The same in TIME.
    pub sent_time: String,
}

impl HistoryInfo {
    /// Describes what a transaction did.
    #[must_use]
    pub fn of(
        txid: TxId,
        status: TransactionStatus,
        at: Option<HistoryPlace>,
        (received, sent): (Amount, Amount),
    ) -> Self {
        Self {
            txid,
            status,
            height: at.map(|at| at.height),
            place: at.map(|at| at.place),
            received,
            received_time: received.to_string(),
            sent,
            sent_time: sent.to_string(),
        }
    }
}

/// One entry of [`AddressUtxos`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddressUtxo {
    /// The transaction that made it.
    pub txid: TxId,
    /// Its place there.
    pub vout: u32,
    /// Base units.
    pub value: Amount,
    /// The same in TIME.
    pub value_time: String,
    /// The block that made it; absent when it is final but in no block yet.
    pub height: Option<Height>,
    /// Whether a new transaction can spend it now: no other one has it locked, and it is no collateral.
    pub spendable: bool,
    /// Whether it is a masternode's collateral, or was marked as one in this epoch.
    #[serde(default)]
    pub bound: bool,
}

impl AddressUtxo {
    /// Its name.
    #[must_use]
    pub const fn outpoint(&self) -> OutPoint {
        OutPoint { txid: self.txid, index: self.vout }
    }
}

/// `getaddressutxos`: a page of an address's outputs, in ascending order of outpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddressUtxos {
    /// The page.
    pub utxos: Vec<AddressUtxo>,
    /// Where the next page begins, as `txid:index`; absent at the end.
    pub next: Option<String>,
}

/// `getaddressbalance`: the sums of an address's outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddressBalance {
    /// The address.
    pub address: Address,
    /// What can be spent now, in base units.
    pub spendable: Amount,
    /// The same in TIME.
    pub spendable_time: String,
    /// Final, but in no block yet; spendable or not.
    pub unconfirmed: Amount,
    /// The same in TIME.
    pub unconfirmed_time: String,
    /// Locked by transactions on their way.
    pub locked: Amount,
    /// The same in TIME.
    pub locked_time: String,
    /// Bound as collateral of masternodes.
    pub bound: Amount,
    /// The same in TIME.
    pub bound_time: String,
    /// All unspent outputs.
    pub total: Amount,
    /// The same in TIME.
    pub total_time: String,
    /// How many outputs that is.
    pub utxo_count: usize,
}

/// What a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Opening its data, or looking for peers.
    Starting,
    /// Behind its peers and catching up.
    Syncing,
    /// At the tip, without a vote.
    Following,
    /// At the tip, and voting.
    Voting,
    /// A member of the set that waits for enough others.
    Waiting,
    /// Stopped voting for good until its operator decides.
    Halted,
}

/// `getnodestatus`: what the node is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// The network.
    pub network: String,
    /// What it is doing.
    pub state: NodeState,
    /// Why not more, such as "2 of 3 needed masternodes are active"; empty when all is well.
    pub reasons: Vec<String>,
    /// Height of the last committed block.
    pub height: Height,
    /// The greatest height that a peer has shown.
    pub target_height: Height,
    /// The epoch of the next block.
    pub epoch: Epoch,
    /// Which masternode it is, when it is one.
    pub masternode: Option<MasternodeId>,
    /// Masternodes of the set that are connected, itself included.
    pub masternodes_connected: usize,
    /// Masternodes of the set.
    pub masternodes_total: usize,
    /// Peers connected.
    pub peers: usize,
    /// Transactions in the pool.
    pub mempool_transactions: usize,
    /// Seconds since it started.
    pub uptime_s: u64,
}

/// `getconsensusinfo`: the consensus as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsensusInfo {
    /// The height that is being decided.
    pub height: Height,
    /// Its round.
    pub round: Round,
    /// `new_height`, `propose`, `prevote`, `precommit` or `commit`.
    pub step: String,
    /// Who proposes in this round.
    pub proposer: Option<MasternodeId>,
    /// The epoch.
    pub epoch: Epoch,
    /// When the epoch began; absent before block 1.
    pub epoch_start_ms: Option<TimeMs>,
    /// Whether the next block is a closing one.
    pub closing: bool,
    /// This node's place in the set.
    pub validator_index: Option<usize>,
    /// Members of the set.
    pub validators: usize,
    /// The weight of all.
    pub total_weight: u64,
    /// The weight that decides.
    pub quorum: u64,
    /// The weight whose prevotes of this round are here.
    pub prevote_weight: u64,
    /// The weight whose precommits of this round are here.
    pub precommit_weight: u64,
    /// Transactions whose votes this node is counting.
    pub transactions_open: usize,
    /// Certified transactions that wait for a block.
    pub certified_waiting: usize,
    /// When the last block was committed here; absent before block 1.
    pub last_block_time_ms: Option<TimeMs>,
}

/// A reason why `GET /ready` says 503.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotReady {
    /// Stable name in snake_case.
    pub reason: String,
    /// A sentence for people.
    pub detail: String,
}

/// The body of `GET /ready`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Readiness {
    /// Whether `reasons` is empty.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<NotReady>,
}

impl Readiness {
    /// A node that is ready unless something speaks against it.
    #[must_use]
    pub fn of(reasons: Vec<NotReady>) -> Self {
        Self { ready: reasons.is_empty(), reasons }
    }
}

/// One entry of `help`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MethodHelp {
    /// The method with its parameters.
    pub usage: String,
    /// Whether it needs credentials.
    pub write: bool,
    /// What it does.
    pub description: String,
}

/// The `data` of an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorData {
    /// Stable name in snake_case.
    pub reason: String,
    /// What to do about it.
    pub hint: String,
    /// Where trying again helps: in so many milliseconds, not earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Where another transaction has the coin: which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<TxId>,
    /// Where a coin is bound as collateral: the masternode that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masternode: Option<MasternodeId>,
    /// Where that masternode has left: the coin can be spent in epochs that start later than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_until_ms: Option<TimeMs>,
}
