//! What a node tells of as it happens: `getfinalizedsince`, and the subscriptions of `/ws`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConsensusInfo, OutputInfo, TransactionStatusInfo};
use crate::types::{Amount, BlockHash, Epoch, Height, Round, TimeMs, TxId};

/// Events from a cursor on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventPage {
    /// The events in their order.
    pub events: Vec<EventInfo>,
    /// Where the next page begins; it means the same after a restart of the node.
    pub next_cursor: String,
    /// What can't be told any more, and where to read it instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<MissedInfo>,
}

/// A gap in what was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissedInfo {
    /// The first block that may hold something of it.
    pub from_height: Height,
    /// The last one.
    pub to_height: Height,
    /// What to do.
    pub hint: String,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventInfo {
    /// A transaction is final. It may be told twice after a restart or a long pause: the txid says that it is the same.
    Final(FinalEvent),
    /// A block was committed. All its transactions have been told before.
    Block(BlockEvent),
    /// A transaction was taken into the pool.
    Accepted(AcceptedEvent),
    /// A transaction has left the pool without becoming final.
    Dropped(DroppedEvent),
    /// Two transactions spend the same coin.
    Doublespend(DoublespendEvent),
    /// How far a transaction has come.
    Status(Box<TransactionStatusInfo>),
    /// The consensus as the node sees it.
    Consensus(ConsensusInfo),
}

/// A transaction became final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FinalEvent {
    /// The transaction.
    pub txid: TxId,
    /// `final`, or `confirmed` when a block made it known.
    pub state: String,
    /// The block that contains it, if one did when it was told.
    pub height: Option<Height>,
    /// What its outputs are worth together, in base units.
    pub amount: Amount,
    /// The same in TIME.
    pub amount_time: String,
    /// Whether it pays an epoch's rewards.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reward: bool,
    /// From acceptance by this node to final, in microseconds, if this node took it since its start.
    pub latency_us: Option<u64>,
    /// From final to this answer, in microseconds; absent for what is read from blocks.
    pub age_us: Option<u64>,
    /// The part that concerns the address that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<AddressPart>,
}

/// What a transaction does to one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddressPart {
    /// What the address gets by it, in base units.
    pub received: Amount,
    /// The same in TIME.
    pub received_time: String,
    /// Outputs to the address.
    pub outputs: Vec<OutputInfo>,
    /// How many more there are; `getrawtransaction TXID 1` shows them all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub outputs_left_out: usize,
    /// Coins of the address that it spends, as `txid:index`.
    pub spends: Vec<String>,
    /// The memo, in hexadecimal.
    pub memo: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A block was committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockEvent {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: BlockHash,
    /// Its transactions, the reward included.
    pub transactions: usize,
    /// Its epoch.
    pub epoch: Epoch,
    /// The round that committed it.
    pub round: Round,
    /// Its time.
    pub time: TimeMs,
}

/// A transaction was taken into the pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AcceptedEvent {
    /// The transaction.
    pub txid: TxId,
}

/// A transaction has left the pool without becoming final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DroppedEvent {
    /// The transaction.
    pub txid: TxId,
    /// Why: a stable name in snake_case.
    pub reason: String,
    /// The transaction that has its coin, if that is why.
    pub winner: Option<TxId>,
}

/// Two transactions spend the same coin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoublespendEvent {
    /// The one that this node's vote is for, if it votes.
    pub first: ContestantInfo,
    /// The one that came second here.
    pub second: ContestantInfo,
}

/// One of two that spend the same coin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContestantInfo {
    /// The transaction.
    pub txid: TxId,
    /// Its signed encoding in hexadecimal; absent when the node does not keep it or it is large.
    pub hex: Option<String>,
}
