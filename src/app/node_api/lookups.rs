//! Where a node finds blocks and transactions: in memory first, then in its logs and its index.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::blocking;
use crate::admission::Refusal;
use crate::app::context::AppContext;
use crate::app::feeds::TransactionTimes;
use crate::mempool::Stage;
use crate::protocol::masternodes::Receipt;
use crate::protocol::state::LedgerState;
use crate::protocol::validity::TransactionError;
use crate::rpc::api::{BlockSelector, BoundCoin, NodeApiError, SubmitError};
use crate::rpc::refusals::submit_error;
use crate::rpc::types::{ReceiptInfo, TransactionStatus, TransactionStatusInfo, UtxoState, UtxoStateInfo};
use crate::runtime::time_text::milliseconds;
use crate::types::{
    Address, BlockHash, CommittedBlock, Header, Height, OutPoint, Released, Transaction, TxId, TxOut,
};
use crate::utxo::{OutputState, UtxoManager};

/// How long the history of an address waits for the index at most, and how often it looks.
const INDEX_WAIT_MAX: Duration = Duration::from_secs(1);
const INDEX_LOOK: Duration = Duration::from_millis(5);

/// How far a transaction has come, and the block that contains it.
#[derive(Clone, Copy)]
pub(super) struct Course {
    pub(super) status: TransactionStatus,
    pub(super) height: Option<Height>,
    /// Who has its coin.
    pub(super) winner: Option<TxId>,
}

/// What is told beside something else is left out where its block was pruned: the rest is known all the same.
fn if_kept<T>(found: Result<Option<T>, NodeApiError>) -> Result<Option<T>, NodeApiError> {
    match found {
        Err(NodeApiError::BeforeHorizon { .. }) => Ok(None),
        found => found,
    }
}

/// The transaction that has spent one of these outputs for good, if it is another one. May read the index.
pub(super) fn winner_of(utxos: &UtxoManager, txid: TxId, inputs: &[OutPoint]) -> Option<TxId> {
    inputs.iter().find_map(|input| match utxos.output_state(input) {
        OutputState::SpentFinalized { by } | OutputState::Confirmed { by, .. } if by != txid => Some(by),
        _ => None,
    })
}

/// The masternode whose collateral an output is, if a block has registered it, and until when it is bound.
pub(super) fn bound_coin(state: &LedgerState, outpoint: &OutPoint) -> Option<BoundCoin> {
    let (id, record) = state.masternodes().iter().find(|(_, record)| record.collateral == *outpoint)?;
    let until_ms = record.bound_through(state.parameters().unbonding_time_ms);
    Some(BoundCoin { masternode: *id, until_ms })
}

impl AppContext {
    /// What a client learns of a refusal.
    pub(super) fn refused(&self, refusal: &Refusal) -> SubmitError {
        let bound = match refusal {
            Refusal::Invalid(TransactionError::CollateralBound { outpoint }) => {
                bound_coin(&self.bft.state(), outpoint)
            }
            _ => None,
        };
        submit_error(refusal, bound)
    }

    pub(super) fn read_block(
        &self,
        height: Height,
    ) -> BoxFuture<'static, Result<Option<Arc<CommittedBlock>>, NodeApiError>> {
        if let Some(block) = self.bft.recent_block(height) {
            return std::future::ready(Ok(Some(block.into_arc()))).boxed();
        }
        let blocks = self.blocks.clone();
        let read = blocking(move || {
            let found = blocks.read_committed(height)?.filter(|_| height >= blocks.shown_from());
            Ok(found.map(Released::into_arc))
        });
        let before_horizon = self.before_horizon(height);
        async move { before_horizon(read.await?) }.boxed()
    }

    /// Tells a block that the log has left out from one that there is none of, when it was not found.
    fn before_horizon<T>(
        &self,
        height: Height,
    ) -> impl FnOnce(Option<T>) -> Result<Option<T>, NodeApiError> + use<T> {
        let (log, tip) = (self.blocks.clone(), self.bft.state().height());
        move |found| {
            let horizon = log.shown_from();
            // Asked after the read: it only ever rises.
            let is_before = found.is_none() && (1..horizon).contains(&height) && height <= tip;
            if is_before { Err(NodeApiError::BeforeHorizon { height, horizon }) } else { Ok(found) }
        }
    }

    /// The header of a block, and how many transactions it has.
    async fn read_header(&self, height: Height) -> Result<Option<(Header, usize)>, NodeApiError> {
        if let Some(committed) = self.bft.recent_block(height) {
            return Ok(Some((committed.block.header.clone(), committed.block.transactions.len())));
        }
        let (blocks, before_horizon) = (self.blocks.clone(), self.before_horizon(height));
        before_horizon(blocking(move || blocks.read_header(height)).await?)
    }

    pub(super) async fn header_of(
        &self,
        selector: BlockSelector,
    ) -> Result<Option<(Header, usize)>, NodeApiError> {
        match self.selected(selector).await? {
            Some(height) => self.read_header(height).await,
            None => Ok(None),
        }
    }

    /// The height of the block that is asked for.
    pub(super) async fn selected(&self, selector: BlockSelector) -> Result<Option<Height>, NodeApiError> {
        match selector {
            BlockSelector::Height(height) => Ok(Some(height)),
            BlockSelector::Hash(hash) => self.height_of(hash).await,
        }
    }

    async fn height_of(&self, hash: BlockHash) -> Result<Option<Height>, NodeApiError> {
        match self.bft.recent_height(&hash) {
            Some(height) => Ok(Some(height)),
            None => {
                let index = Arc::clone(&self.index);
                blocking(move || index.block_height(&hash)).await
            }
        }
    }

    pub(super) async fn hash_at(&self, height: Height) -> Result<Option<BlockHash>, NodeApiError> {
        let state = self.bft.state();
        if height == state.height() && height > 0 {
            return Ok(Some(state.tip_hash()));
        }
        Ok(self.read_header(height).await?.map(|(header, _)| header.hash()))
    }

    /// What the pool knows, then what its memory of recent blocks knows, then the index.
    pub(super) async fn course_of(&self, txid: TxId) -> Result<Course, NodeApiError> {
        if let Some(known) = self.pool.status(&txid) {
            // It is dropped with the block that has the winner; what is final is so already.
            if known.included.is_none()
                && matches!(known.stage, Stage::Waiting | Stage::Conflicting)
                && let Some(entry) = self.pool.get(&txid)
            {
                let utxos = Arc::clone(&self.utxos);
                let winner = blocking(move || Ok(winner_of(&utxos, txid, entry.inputs()))).await?;
                if winner.is_some() {
                    return Ok(Course { status: TransactionStatus::Conflicted, height: None, winner });
                }
            }
            let status = match (known.included, known.stage) {
                (Some(_), _) => TransactionStatus::Confirmed,
                (None, Stage::Pending | Stage::Waiting | Stage::Conflicting) => TransactionStatus::Pending,
                (None, Stage::Certified) => TransactionStatus::Certified,
                (None, Stage::Final { .. }) => TransactionStatus::Final,
            };
            return Ok(Course { status, height: known.included, winner: None });
        }
        let index = Arc::clone(&self.index);
        let found = blocking(move || index.transaction(&txid)).await?;
        Ok(match found {
            Some((height, _)) => {
                Course { status: TransactionStatus::Confirmed, height: Some(height), winner: None }
            }
            None => {
                let winner = self.feeds.winner(&txid);
                let status =
                    if winner.is_some() { TransactionStatus::Conflicted } else { TransactionStatus::Unknown };
                Course { status, height: None, winner }
            }
        })
    }

    pub(super) async fn describe(
        &self,
        txid: TxId,
        course: Course,
    ) -> Result<TransactionStatusInfo, NodeApiError> {
        let times: Option<TransactionTimes> = self.feeds.times(&txid);
        let block_hash = match course.height {
            Some(height) => if_kept(self.hash_at(height).await)?,
            None => None,
        };
        let tip = self.bft.state().height();
        let receipt = match course.height {
            Some(_) => self.receipt_of(txid).await?,
            None => None,
        };
        Ok(TransactionStatusInfo {
            txid,
            status: course.status,
            note: TransactionStatusInfo::note_of(course.status),
            winner: course.winner,
            accepted_ms: times.map(|times| times.accepted_ms),
            certified_ms: times.and_then(|times| times.certified_ms),
            final_ms: times.and_then(|times| times.final_ms),
            finality_latency_ms: times.and_then(|times| times.latency).map(milliseconds),
            height: course.height,
            block_hash,
            confirmations: course
                .height
                .map_or(0, |height| tip.max(height).saturating_sub(height).saturating_add(1)),
            receipt: receipt.as_ref().map(ReceiptInfo::of),
        })
    }

    /// What became of a transaction that is in the chain and speaks of a masternode. The index comes a little behind the
    /// chain, so the last ones are remembered.
    pub(super) async fn receipt_of(&self, txid: TxId) -> Result<Option<Receipt>, NodeApiError> {
        if let Some(receipt) = self.feeds.receipt(&txid) {
            return Ok(Some(receipt));
        }
        let index = Arc::clone(&self.index);
        blocking(move || index.receipt(&txid)).await
    }

    /// A transaction that no block has yet, or one of the chain with its height.
    pub(super) async fn find_transaction(
        &self,
        txid: TxId,
    ) -> Result<Option<(Arc<Transaction>, Option<Height>)>, NodeApiError> {
        if let Some(pooled) = self.pool.get(&txid) {
            return Ok(Some((Arc::clone(pooled.transaction()), None)));
        }
        let index = Arc::clone(&self.index);
        let indexed = blocking(move || index.transaction(&txid)).await?;
        // The index comes a little behind the chain.
        let recent = self.pool.status(&txid).and_then(|known| known.included);
        let Some(height) = indexed.map(|(height, _)| height).or(recent) else { return Ok(None) };
        let Some(committed) = self.read_block(height).await? else { return Ok(None) };
        let find = move || {
            let transactions = &committed.block.transactions;
            let place = indexed.and_then(|(_, place)| usize::try_from(place).ok());
            let found = match place {
                Some(place) => transactions.get(place),
                None => transactions.iter().find(|transaction| transaction.txid() == txid),
            };
            Ok(found.map(|transaction| (Arc::clone(transaction), Some(height))))
        };
        blocking(find).await
    }

    /// Adds what a spent output was worth, and whose it was, as far as the node still has what made it.
    pub(super) async fn with_past(
        &self,
        mut info: UtxoStateInfo,
        outpoint: OutPoint,
    ) -> Result<UtxoStateInfo, NodeApiError> {
        if info.state == UtxoState::Confirmed
            && let Some(output) = self.made_output(outpoint).await?
        {
            info.value = Some(output.value);
            info.value_time = Some(output.value.to_string());
            info.address = Some(Address::of_lock(self.config.node.network, output.lock));
        }
        Ok(info)
    }

    /// An output by the transaction that made it, spent or not; `None` where the node does not have that any more.
    async fn made_output(&self, outpoint: OutPoint) -> Result<Option<TxOut>, NodeApiError> {
        if outpoint.txid.0 == self.genesis.chain_id().0 {
            let of_genesis = self.genesis.outputs().into_iter().find(|(name, _)| *name == outpoint);
            return Ok(of_genesis.map(|(_, output)| output));
        }
        let found = if_kept(self.find_transaction(outpoint.txid).await)?;
        let place = usize::try_from(outpoint.index).ok();
        Ok(found.zip(place).and_then(|((made_by, _), place)| made_by.outputs.get(place).copied()))
    }

    /// Waits until the index, which comes a little behind the chain, has this block; [`INDEX_WAIT_MAX`] at most. Whether it has.
    pub(super) async fn index_reaches(&self, height: Height) -> Result<bool, NodeApiError> {
        let waiting = async {
            loop {
                let index = Arc::clone(&self.index);
                if blocking(move || index.applied()).await?.is_some_and(|applied| applied >= height) {
                    return Ok(true);
                }
                tokio::time::sleep(INDEX_LOOK).await;
            }
        };
        tokio::time::timeout(INDEX_WAIT_MAX, waiting).await.unwrap_or(Ok(false))
    }

    /// Whether a transaction of the pool has marked its output as collateral: bound as well, though no block says so.
    pub(super) fn is_marked(&self, outpoint: &OutPoint) -> bool {
        let made_by = self.pool.get(&outpoint.txid);
        made_by.is_some_and(|parent| parent.transaction().marked_collateral() == Some(outpoint.index))
    }
}
