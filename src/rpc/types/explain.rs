//! What a transaction waits for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TransactionStatus;
use crate::types::{Epoch, Height, MasternodeId, TxId};

/// `explaintransaction`: what a transaction waits for, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainInfo {
    /// Its name.
    pub txid: TxId,
    /// How far it has come.
    pub status: TransactionStatus,
    /// The same in sentences: what is, then what it waits for.
    pub says: Vec<String>,
    /// What comes next, or what to do, in a sentence.
    pub next: String,
    /// The block that contains it.
    pub height: Option<Height>,
    /// Its votes, while no block contains it.
    pub votes: Option<VotesInfo>,
}

/// The votes on a transaction that no block contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VotesInfo {
    /// The epoch whose votes are counted.
    pub epoch: Epoch,
    /// Whether the epoch is ending: no vote is cast until the next one begins.
    pub closing: bool,
    /// The weight of all members.
    pub total_weight: u64,
    /// The weight that decides.
    pub quorum: u64,
    /// The weight of its `Lock` votes: a quorum of them certifies it.
    pub lock_weight: u64,
    /// The weight of its `Final` votes: a quorum of them makes it final.
    pub final_weight: u64,
    /// Who has voted what, in the set's order.
    pub masternodes: Vec<MemberVotesInfo>,
    /// Outputs that it spends and that do not exist yet, as `txid:index`.
    pub waits_for: Vec<String>,
    /// Transactions that spend one of its coins.
    pub conflicts: Vec<ConflictInfo>,
}

/// A member of [`VotesInfo`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemberVotesInfo {
    /// Which masternode it is.
    pub id: MasternodeId,
    /// What its votes weigh.
    pub weight: u64,
    /// Whether this node is connected to it, or is it.
    pub connected: bool,
    /// Whether its `Lock` vote is here.
    pub lock: bool,
    /// Whether its `Final` vote is here.
    #[serde(rename = "final")]
    pub finalizes: bool,
}

/// A rival of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConflictInfo {
    /// Its name.
    pub txid: TxId,
    /// The weight of its `Lock` votes.
    pub lock_weight: u64,
    /// Whether a quorum has locked the coins to it.
    pub certified: bool,
    /// Whether it is final.
    #[serde(rename = "final")]
    pub is_final: bool,
}
