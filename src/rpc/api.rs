//! What the RPC server needs from the node.
//!
//! # Place
//! `app/` implements [`NodeApi`]; `rpc/methods.rs` and `rpc/server.rs` call it.
//!
//! # Concurrency
//! Synchronous methods read memory alone and return at once. What may touch the disk or wait returns a future, which
//! the server drops when its client goes away or the node stops.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::events::EventLog;
use super::types::{
    AcceptanceInfo, AddressHistory, AddressUtxos, BlockchainInfo, ConsensusInfo, DiskInfo, ExplainInfo,
    GenesisInfo, HeartbeatInfo, IndexInfo, MasternodeInfo, MemoryInfo, MempoolEntry, MempoolInfo, NetTotals,
    NetworkInfo, NodeStatus, NotReady, OutputSetInfo, PeerInfo, PunishedInfo, TransactionStatusInfo,
    UtxoStateInfo, VoteLatencyInfo, WaitTarget,
};
use crate::network::BanTarget;
use crate::protocol::finality_proof::{FinalityProof, FinalityProofError, ProvedFinality};
use crate::protocol::masternodes::Receipt;
use crate::runtime::logging::LoggingError;
use crate::storage::index_history::HistoryPlace;
use crate::types::{
    Address, Amount, BlockHash, Checkpoint, CommittedBlock, Epoch, Header, Height, MasternodeId, Network,
    OutPoint, TimeMs, Transaction, TxId, TxOut, ValidatorSet,
};

/// A transaction, with the height of its block if it is in one.
pub type FoundTransaction = (Arc<Transaction>, Option<Height>);

/// Which block is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockSelector {
    /// The block with this hash.
    Hash(BlockHash),
    /// The block at this height, from 1.
    Height(Height),
}

/// A page of an address's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UtxoPage {
    /// Outputs after this one in ascending order of outpoints; `None` begins at the first.
    pub after: Option<OutPoint>,
    /// How many at most; the server has bounded it.
    pub limit: usize,
}

/// A page of an address's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// Transactions before this place; `None` begins with the newest, those that no block has included.
    pub before: Option<HistoryPlace>,
    /// How many at most; the server has bounded it.
    pub limit: usize,
}

/// An answer that the node could not give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeApiError {
    /// The node isn't ready to answer yet.
    #[error("the node is starting: {detail}")]
    Starting {
        /// What it is doing.
        detail: String,
    },
    /// The node answers no more.
    #[error("the node is stopping")]
    Stopping,
    /// The disk did not give what it should.
    #[error("reading the node's data failed: {detail}; see the node's log")]
    Storage {
        /// What failed.
        detail: String,
    },
    /// A block that was named is none of this chain, or not here yet.
    #[error("this node has no block {block}")]
    UnknownBlock {
        /// The block.
        block: Checkpoint,
    },
    /// The block was pruned, or the node began with a snapshot of a later one.
    #[error("block {height} is not here: this node begins with block {horizon}")]
    BeforeHorizon {
        /// The block that was asked for.
        height: Height,
        /// The first one that is here.
        horizon: Height,
    },
    /// A node that began with a snapshot does not know that part of the past.
    #[error("{detail}")]
    NoHistory {
        /// What is not known.
        detail: String,
    },
    /// The answer would be larger than anybody reads.
    #[error("{detail}")]
    TooLarge {
        /// What is too large.
        detail: String,
    },
}

/// What kind of refusal a submitted transaction met; decides the error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitErrorClass {
    /// No node will ever take these bytes: malformed, badly signed, breaks a rule (-26).
    Invalid,
    /// An input does not exist, or another transaction has it (-25).
    Inputs,
    /// A larger fee than whoever sent it wants to pay (-25).
    Fee,
    /// This node's policy: pool full, fee below its floor (-26).
    Policy,
    /// The node takes no more at present; the same transaction may be taken later (-32005).
    Busy,
    /// It is in a block already (-27).
    AlreadyConfirmed,
    /// The node takes no transactions any more (-28).
    Stopping,
    /// The node failed, not the transaction (-32603).
    Internal,
}

/// Why a submitted transaction was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SubmitError {
    /// Decides the error code.
    pub class: SubmitErrorClass,
    /// Stable name of the rule in snake_case.
    pub reason: &'static str,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// When to submit it again, where that helps.
    pub retry_after: Option<Duration>,
    /// Who has its coin, where that is why and it is known.
    pub holder: Option<Box<Holder>>,
}

/// What keeps a coin from being spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Another transaction.
    Transaction(TxId),
    /// It is a collateral.
    Masternode(BoundCoin),
}

/// What keeps a collateral from being spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundCoin {
    /// Whose collateral it is.
    pub masternode: MasternodeId,
    /// It can be spent in epochs that start later than this, in Unix milliseconds; `None` while the masternode has not left.
    pub until_ms: Option<TimeMs>,
}

/// What the RPC server needs from the node.
pub trait NodeApi: Send + Sync + 'static {
    /// The network, whose addresses are accepted.
    fn network(&self) -> Network;
    /// The chain at its tip, with what a wallet needs to build transactions.
    fn blockchain_info(&self) -> BlockchainInfo;
    /// The genesis document, encoded; `None` where it can't be.
    fn genesis(&self) -> Option<GenesisInfo>;
    /// Height and hash of the last committed block; height 0 and the chain id's bytes before block 1.
    fn best_block(&self) -> (Height, BlockHash);
    /// The hash of the block at a height; `None` above the tip and at 0.
    fn block_hash(&self, height: Height) -> BoxFuture<'_, Result<Option<BlockHash>, NodeApiError>>;
    /// A block with its commit, from the disk.
    fn block(&self, selector: BlockSelector) -> BoxFuture<'_, Result<Option<CommittedBlock>, NodeApiError>>;
    /// A block's header, and how many transactions it has, without decoding these.
    fn header(&self, selector: BlockSelector)
    -> BoxFuture<'_, Result<Option<(Header, usize)>, NodeApiError>>;
    /// Waits until the chain has a block of this height, at most `timeout`, and tells the tip.
    fn wait_for_block(&self, height: Height, timeout: Duration) -> BoxFuture<'_, (Height, BlockHash)>;
    /// The set that voted in an epoch; `None` while the index does not know it.
    fn validators_of(&self, epoch: Epoch) -> BoxFuture<'_, Result<Option<ValidatorSet>, NodeApiError>>;
    /// How many outputs are unspent, and what they are worth.
    fn output_set(&self) -> BoxFuture<'_, Result<OutputSetInfo, NodeApiError>>;
    /// How far the index is.
    fn index_info(&self) -> BoxFuture<'_, Result<IndexInfo, NodeApiError>>;
    /// Connected peers.
    fn peers(&self) -> Vec<PeerInfo>;
    /// Ends the connection to the peer of this address or key, as [`Self::peers`] writes them; false if there is none.
    fn disconnect(&self, peer: &str) -> bool;
    /// Dials a peer at this address until the node stops or the address is taken back; false if it is no address.
    fn add_peer(&self, address: &str) -> bool;
    /// Whether a peer at this address is dialled until then already.
    fn is_added(&self, address: &str) -> bool;
    /// Dials a peer at this address once; false if it is no address.
    fn try_peer(&self, address: &str) -> bool;
    /// Takes back an address that was added; false if it was not.
    fn remove_peer(&self, address: &str) -> bool;
    /// Bans for a time; false for what is never banned.
    fn ban(&self, target: BanTarget, time: Duration) -> bool;
    /// Whether this very one is banned.
    fn is_banned(&self, target: BanTarget) -> bool;
    /// Lifts a ban; false if there was none.
    fn unban(&self, target: BanTarget) -> bool;
    /// All bans, with the time that is left.
    fn banned(&self) -> Vec<(BanTarget, Duration)>;
    /// Ends the connections to all peers and begins none until it is told to; false on other networks than a devnet, where
    /// nothing is done.
    fn set_network_active(&self, active: bool) -> bool;
    /// The node in its network.
    fn network_info(&self) -> NetworkInfo;
    /// Bytes between the node and its peers.
    fn net_totals(&self) -> NetTotals;
    /// The transaction pool.
    fn mempool_info(&self) -> MempoolInfo;
    /// The pool's transactions, in the order of acceptance.
    fn mempool(&self) -> Vec<MempoolEntry>;
    /// One transaction of the pool.
    fn mempool_entry(&self, txid: TxId) -> Option<MempoolEntry>;
    /// All masternodes of the chain's state.
    fn masternodes(&self) -> Vec<MasternodeInfo>;
    /// One masternode of the chain's state.
    fn masternode(&self, id: MasternodeId) -> Option<MasternodeInfo>;
    /// The last sign of life of each masternode that was heard.
    fn heartbeats(&self) -> Vec<HeartbeatInfo>;
    /// How late the votes of the set's masternodes came in this minute and those before it, `minutes` in all.
    fn vote_latency(&self, minutes: u64) -> VoteLatencyInfo;
    /// At most `limit` pieces of evidence that blocks punished, the newest first.
    fn evidence(&self, limit: usize) -> BoxFuture<'_, Result<Vec<PunishedInfo>, NodeApiError>>;
    /// A transaction that no block has yet, or one of the chain with its height.
    fn transaction(&self, txid: TxId) -> BoxFuture<'_, Result<Option<FoundTransaction>, NodeApiError>>;
    /// What each input of a transaction spends, in their order; `None` where this node does not know what made it. The block
    /// at the height has the transaction, if there is one.
    fn spent_outputs(
        &self,
        transaction: Arc<Transaction>,
        height: Option<Height>,
    ) -> BoxFuture<'_, Result<Vec<Option<TxOut>>, NodeApiError>>;
    /// What became of these transactions, those of them that are in the chain and speak of masternodes.
    fn receipts(&self, txids: Vec<TxId>) -> BoxFuture<'_, Result<BTreeMap<TxId, Receipt>, NodeApiError>>;
    /// The current epoch and the set that votes in it.
    fn validators(&self) -> (Epoch, ValidatorSet);
    /// What became of an output.
    fn utxo_state(&self, outpoint: OutPoint) -> BoxFuture<'_, Result<UtxoStateInfo, NodeApiError>>;
    /// What became of a transaction.
    fn transaction_status(&self, txid: TxId) -> BoxFuture<'_, Result<TransactionStatusInfo, NodeApiError>>;
    /// What a transaction waits for.
    fn explain(&self, txid: TxId) -> BoxFuture<'_, Result<ExplainInfo, NodeApiError>>;
    /// Waits until the transaction is at least `target`, at most `timeout`, and says what became of it; that the time
    /// passed is no error. The transaction may still be unknown when the wait begins.
    fn wait_for_transaction(
        &self,
        txid: TxId,
        target: WaitTarget,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<TransactionStatusInfo, NodeApiError>>;
    /// Checks the transaction, takes it into the pool and sends it to the peers. One that is in the pool already is
    /// taken again without effect. One that pays more than `fee_max` is refused.
    fn submit_transaction(
        &self,
        transaction: Transaction,
        fee_max: Option<Amount>,
    ) -> BoxFuture<'_, Result<TxId, SubmitError>>;
    /// Pays of the devnet's faucet; on other networks there is none.
    fn faucet(&self, recipient: Address, amount: Amount) -> BoxFuture<'_, Result<TxId, SubmitError>>;
    /// Judges a transaction as [`Self::submit_transaction`] would now, and takes nothing.
    fn judge_transaction(
        &self,
        transaction: Transaction,
        fee_max: Option<Amount>,
    ) -> BoxFuture<'_, Result<AcceptanceInfo, SubmitError>>;
    /// A proof that a transaction is final, for anybody who has the genesis document, with what it proves; `None` when this
    /// node does not know the transaction to be final. `from` is a block of the chain that the verifier trusts.
    fn finality_proof(
        &self,
        txid: TxId,
        from: Option<Checkpoint>,
    ) -> BoxFuture<'_, Result<Option<(FinalityProof, ProvedFinality)>, NodeApiError>>;
    /// Checks such a proof against the node's own genesis document, or from a block that the caller trusts.
    fn verify_finality_proof(
        &self,
        proof: FinalityProof,
        trusted: Option<Checkpoint>,
    ) -> BoxFuture<'_, Result<Result<ProvedFinality, FinalityProofError>, NodeApiError>>;
    /// Unspent outputs of an address, in ascending order of outpoints.
    fn address_utxos(
        &self,
        address: Address,
        page: UtxoPage,
    ) -> BoxFuture<'_, Result<AddressUtxos, NodeApiError>>;
    /// What transactions did to an address, the newest first.
    fn address_history(
        &self,
        address: Address,
        page: HistoryPage,
    ) -> BoxFuture<'_, Result<AddressHistory, NodeApiError>>;
    /// What this node is doing, and why not more.
    fn node_status(&self) -> NodeStatus;
    /// The consensus as this node sees it.
    fn consensus_info(&self) -> ConsensusInfo;
    /// Why the node is not ready to serve; empty when it is.
    fn readiness(&self) -> Vec<NotReady>;
    /// What the node takes of the machine's memory.
    fn memory_info(&self) -> MemoryInfo;
    /// What the data directory takes, and how fast that grows.
    fn disk_info(&self) -> BoxFuture<'_, Result<DiskInfo, NodeApiError>>;
    /// Seconds since the node started.
    fn uptime_s(&self) -> u64;
    /// What happened at this node.
    fn events(&self) -> &Arc<EventLog>;
    /// At most `limit` of what is final and in no block, in an order that stays, behind the one of a number; each with its
    /// number.
    fn final_in_pool(&self, after: Option<u64>, limit: usize) -> Vec<(u64, TxId, Arc<Transaction>)>;
    /// Ends when something became of a transaction after this call.
    fn next_change(&self, txid: TxId) -> BoxFuture<'static, ()>;
    /// What is logged, as `[logging] level` says it.
    fn log_level(&self) -> String;
    /// Logs by this level until it is changed again, SIGHUP is heard or the node restarts.
    ///
    /// # Errors
    /// When the text is no level.
    fn set_log_level(&self, level: &str) -> Result<(), LoggingError>;
    /// Begins an orderly shutdown.
    fn stop(&self);
}
