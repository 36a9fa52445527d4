//! What the machine knows of one transaction: for whoever asks why it is not final yet.
//!
//! # Place
//! [`Machine::explain`](super::Machine::explain) makes it, RPC and `timed explain` show it. No rule reads it.

use std::sync::Arc;

use crate::types::{Epoch, MasternodeId, OutPoint, TxId, ValidatorSet};

/// Where the transaction itself is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyPlace {
    /// Only votes speak of it.
    Missing,
    /// Here, but not held to what it spends yet.
    Unchecked,
    /// Here and checked: in memory or in the journal.
    Held,
}

/// Who of the set has voted what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberVotes {
    /// The member.
    pub id: MasternodeId,
    /// What its votes weigh.
    pub weight: u64,
    /// Whether its `Lock` vote is here.
    pub lock: bool,
    /// Whether its `Final` vote is here.
    pub finalizes: bool,
}

/// A transaction that spends a coin that the explained one spends too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rival {
    /// Its name.
    pub txid: TxId,
    /// The weight of its `Lock` votes.
    pub lock_weight: u64,
    /// Whether a quorum has locked its inputs to it.
    pub is_certified: bool,
    /// Whether it is final.
    pub is_final: bool,
}

/// One transaction that no block contains, as this node's machine sees it.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The epoch whose votes are counted.
    pub epoch: Epoch,
    /// Its set, with weights and quorum.
    pub set: Arc<ValidatorSet>,
    /// Whether no more votes of this epoch are cast.
    pub is_closing: bool,
    /// Where the transaction is.
    pub body: BodyPlace,
    /// The votes of all members, in the set's order.
    pub votes: Vec<MemberVotes>,
    /// Whether a quorum locked its inputs.
    pub is_certified: bool,
    /// Whether it is final.
    pub is_final: bool,
    /// Whether it can't get into the chain any more.
    pub is_dead: bool,
    /// Whether this node's vote waits until blocks have caught up with what is certified.
    pub waits_for_blocks: bool,
    /// Outputs that it spends and that do not exist yet, ascending.
    pub waits_for: Vec<OutPoint>,
    /// Transactions that conflict with it, ascending by name; at most [`RIVALS_MAX`](super::RIVALS_MAX).
    pub rivals: Vec<Rival>,
}

impl Explanation {
    /// The weight of all `Lock` votes.
    #[must_use]
    pub fn lock_weight(&self) -> u64 {
        self.votes.iter().filter(|member| member.lock).map(|member| member.weight).sum()
    }

    /// The weight of all `Final` votes.
    #[must_use]
    pub fn final_weight(&self) -> u64 {
        self.votes.iter().filter(|member| member.finalizes).map(|member| member.weight).sum()
    }
}
