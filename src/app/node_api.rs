//! What RPC asks of a running node.
//!
//! # Place
//! Implements [`NodeApi`] for [`AppContext`]; `start.rs` hands it to the RPC server.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `chain.rs`, `pool.rs`, `masternodes.rs`, `history.rs`, `spent.rs` | what is told of each |
//! | `lookups.rs` | where blocks and transactions are looked for first |
//! | `explain.rs`, `problems.rs` | what a payment waits for; what keeps the node from its work |
//! | `shapes.rs` | how parts of the node are told |
//!
//! # Concurrency
//! Answers come from memory where they can; what may read the index or the block log runs on a blocking thread.

mod chain;
mod explain;
mod history;
mod lookups;
mod masternodes;
mod pool;
mod problems;
mod shapes;
mod spent;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use self::chain::blockchain_info;
use self::lookups::bound_coin;
use self::masternodes::MasternodeView;
use self::shapes::{peer_info, punished_info, step_name, utxo_state_info};
use super::context::AppContext;
use super::disk_growth;
use super::faucet;
use super::memory;
use crate::admission::Refusal;
use crate::app::networks::devnet_account_keys;
use crate::network::{self, BanTarget, OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION};
use crate::protocol::finality_proof::{FinalityProof, FinalityProofError, ProvedFinality};
use crate::protocol::masternodes::Receipt;
use crate::protocol::proposer::proposer_of_round;
use crate::rpc::EventLog;
use crate::rpc::api::{
    BlockSelector, FoundTransaction, HistoryPage, NodeApi, NodeApiError, SubmitError, UtxoPage,
};
use crate::rpc::types::{
    AcceptanceInfo, AddressHistory, AddressUtxo, AddressUtxos, BlockchainInfo, ConsensusInfo, DiskInfo,
    ExplainInfo, GenesisInfo, HeartbeatInfo, HistoryInfo, IndexInfo, MasternodeInfo, MemoryInfo,
    MempoolEntry, MempoolInfo, NetTotals, NetworkInfo, NodeState, NodeStatus, NotReady, OutputSetInfo,
    PeerInfo, PunishedInfo, TransactionStatus, TransactionStatusInfo, UtxoStateInfo, VoteLatencyInfo,
    WaitTarget,
};
use crate::runtime::logging::LoggingError;
use crate::storage::StorageError;
use crate::types::message::PeerAddress;
use crate::types::{
    Address, Amount, BlockHash, Checkpoint, CommittedBlock, Epoch, Header, Height, Lock, MasternodeId,
    Network, OutPoint, Transaction, TxId, TxOut, ValidatorSet,
};

/// Whoever waits for a transaction looks again after this long even if nobody told of a change: a block may bring one
/// that was never in the pool, and the index tells of it a little later.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

fn storage_error(error: impl std::fmt::Display) -> NodeApiError {
    NodeApiError::Storage { detail: error.to_string() }
}

/// Runs what may read the disk on a blocking thread.
async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, NodeApiError> {
    tokio::task::spawn_blocking(job).await.map_err(storage_error)?.map_err(storage_error)
}

impl NodeApi for AppContext {
    fn network(&self) -> Network {
        self.config.node.network
    }

    fn blockchain_info(&self) -> BlockchainInfo {
        blockchain_info(self)
    }

    fn genesis(&self) -> Option<GenesisInfo> {
        // It was read from TOML, so it can be written as such.
        let toml = self.genesis.to_toml().ok()?;
        Some(GenesisInfo { chain_id: self.genesis.chain_id(), toml })
    }

    fn best_block(&self) -> (Height, BlockHash) {
        let state = self.bft.state();
        (state.height(), state.tip_hash())
    }

    fn block_hash(&self, height: Height) -> BoxFuture<'_, Result<Option<BlockHash>, NodeApiError>> {
        self.hash_at(height).boxed()
    }

    fn block(&self, selector: BlockSelector) -> BoxFuture<'_, Result<Option<CommittedBlock>, NodeApiError>> {
        async move {
            let Some(height) = self.selected(selector).await? else { return Ok(None) };
            Ok(self.read_block(height).await?.map(Arc::unwrap_or_clone))
        }
        .boxed()
    }

    fn header(
        &self,
        selector: BlockSelector,
    ) -> BoxFuture<'_, Result<Option<(Header, usize)>, NodeApiError>> {
        self.header_of(selector).boxed()
    }

    fn wait_for_block(&self, height: Height, timeout: Duration) -> BoxFuture<'_, (Height, BlockHash)> {
        async move {
            let mut blocks = self.feeds.blocks();
            let reached = async {
                while self.best_block().0 < height {
                    // That some were missed, or that nothing comes any more, is as good a reason to look as a block.
                    let _block = tokio::time::timeout(LOOK_AGAIN, blocks.recv()).await;
                }
            };
            let _in_time = tokio::time::timeout(timeout, reached).await.is_ok();
            self.best_block()
        }
        .boxed()
    }

    fn validators_of(&self, epoch: Epoch) -> BoxFuture<'_, Result<Option<ValidatorSet>, NodeApiError>> {
        let state = self.bft.state();
        if epoch == state.next_epoch() {
            // The index comes a little behind the chain.
            return std::future::ready(Ok(Some(ValidatorSet::clone(state.validators())))).boxed();
        }
        self.proofs.set_of(epoch).boxed()
    }

    fn output_set(&self) -> BoxFuture<'_, Result<OutputSetInfo, NodeApiError>> {
        async move {
            let index = Arc::clone(&self.index);
            let (height, outputs) = blocking(move || Ok((index.applied()?, index.unspent()?))).await?;
            let state = self.bft.state();
            Ok(OutputSetInfo {
                height: height.unwrap_or(0),
                outputs,
                best_block: state.tip_hash(),
                state_digest: state.digest(),
                total_amount: state.supply(),
                total_amount_time: state.supply().to_string(),
            })
        }
        .boxed()
    }

    fn index_info(&self) -> BoxFuture<'_, Result<IndexInfo, NodeApiError>> {
        async move {
            let (index, tip) = (Arc::clone(&self.index), self.bft.state().height());
            let height = blocking(move || index.applied()).await?.unwrap_or(0);
            Ok(IndexInfo {
                synced: height >= tip,
                height,
                engine: self.config.storage.engine.name().to_owned(),
            })
        }
        .boxed()
    }

    fn peers(&self) -> Vec<PeerInfo> {
        self.network.peers().into_iter().map(peer_info).collect()
    }

    fn disconnect(&self, peer: &str) -> bool {
        let is_it =
            |info: &network::PeerInfo| info.address.to_string() == peer || info.peer.to_string() == peer;
        let found = self.network.peers().into_iter().find(is_it);
        found.is_some_and(|info| self.network.disconnect(info.peer))
    }

    fn add_peer(&self, address: &str) -> bool {
        let peer = PeerAddress { address: address.to_owned(), identity: None };
        self.network.add_address(&peer)
    }

    fn is_added(&self, address: &str) -> bool {
        self.network.is_added(address)
    }

    fn try_peer(&self, address: &str) -> bool {
        self.network.try_address(address)
    }

    fn remove_peer(&self, address: &str) -> bool {
        self.network.take_back_address(address)
    }

    fn ban(&self, target: BanTarget, time: Duration) -> bool {
        self.network.ban(target, time)
    }

    fn is_banned(&self, target: BanTarget) -> bool {
        self.network.is_banned(target)
    }

    fn unban(&self, target: BanTarget) -> bool {
        self.network.unban(target)
    }

    fn banned(&self) -> Vec<(BanTarget, Duration)> {
        self.network.banned()
    }

    fn net_totals(&self) -> NetTotals {
        let totals = self.network.metrics();
        NetTotals {
            total_bytes_received: totals.bytes_in,
            total_bytes_sent: totals.bytes_out,
            time_ms: self.clock.now_ms(),
        }
    }

    fn network_info(&self) -> NetworkInfo {
        let (inbound, outbound) = self.network.peer_counts();
        let version = env!("CARGO_PKG_VERSION");
        NetworkInfo {
            version: version.to_owned(),
            subversion: super::start::user_agent(&self.config),
            protocol_version: PROTOCOL_VERSION,
            oldest_protocol_version: OLDEST_PROTOCOL_VERSION,
            node_id: self.network.identity().to_string(),
            listen_address: self.network.local_address().map(|address| address.to_string()),
            external_address: self.network.advertised(),
            network_active: !self.network.is_isolated(),
            connections: inbound.saturating_add(outbound),
            connections_in: inbound,
            connections_out: outbound,
        }
    }

    fn mempool_info(&self) -> MempoolInfo {
        let limits = self.pool.limits();
        let floor = Amount(self.pool.floor(self.clock.now_ms()).0);
        let min_fee_per_kb = floor.max(self.bft.state().parameters().min_fee_per_kb);
        let size = self.pool.len();
        MempoolInfo {
            size,
            bytes: self.pool.bytes(),
            max_transactions: limits.max_transactions,
            max_bytes: limits.max_bytes,
            min_fee_per_kb,
            min_fee_per_kb_time: min_fee_per_kb.to_string(),
            certified_waiting: size.saturating_sub(self.pool.uncertified().0),
        }
    }

    fn mempool(&self) -> Vec<MempoolEntry> {
        self.pool.all_in_order().into_iter().map(|entry| pool::mempool_entry(&self.pool, &entry)).collect()
    }

    fn mempool_entry(&self, txid: TxId) -> Option<MempoolEntry> {
        self.pool.entry(&txid).map(|entry| pool::mempool_entry(&self.pool, &entry))
    }

    fn masternodes(&self) -> Vec<MasternodeInfo> {
        let state = self.bft.state();
        MasternodeView::new(self.network(), &state, self.connected_masternodes(&state)).all()
    }

    fn masternode(&self, id: MasternodeId) -> Option<MasternodeInfo> {
        let state = self.bft.state();
        let record = state.registry().get(&id)?;
        let view = MasternodeView::new(self.network(), &state, self.connected_masternodes(&state));
        Some(view.describe(&id, record))
    }

    fn heartbeats(&self) -> Vec<HeartbeatInfo> {
        let heard = self.bft.heartbeats();
        heard
            .iter()
            .map(|(id, heard)| HeartbeatInfo {
                masternode: *id,
                epoch: heard.heartbeat.epoch,
                height: heard.heartbeat.height,
                next_seq: heard.heartbeat.next_seq,
                time_ms: heard.heartbeat.time_ms,
                heard_ms: heard.heard_ms,
                attested_by: heard.attested_by.clone(),
            })
            .collect()
    }

    fn vote_latency(&self, minutes: u64) -> VoteLatencyInfo {
        let own = self.own_masternode(&self.bft.state());
        self.latency.told(minutes, own, self.clock.instant())
    }

    fn evidence(&self, limit: usize) -> BoxFuture<'_, Result<Vec<PunishedInfo>, NodeApiError>> {
        let index = Arc::clone(&self.index);
        async move {
            let found = blocking(move || index.evidence(limit)).await?;
            Ok(found.into_iter().map(punished_info).collect())
        }
        .boxed()
    }

    fn transaction(&self, txid: TxId) -> BoxFuture<'_, Result<Option<FoundTransaction>, NodeApiError>> {
        self.find_transaction(txid).boxed()
    }

    fn spent_outputs(
        &self,
        transaction: Arc<Transaction>,
        height: Option<Height>,
    ) -> BoxFuture<'_, Result<Vec<Option<TxOut>>, NodeApiError>> {
        self.outputs_behind(transaction, height).boxed()
    }

    fn receipts(&self, txids: Vec<TxId>) -> BoxFuture<'_, Result<BTreeMap<TxId, Receipt>, NodeApiError>> {
        async move {
            let mut receipts = BTreeMap::new();
            for txid in txids {
                receipts.extend(self.receipt_of(txid).await?.map(|receipt| (txid, receipt)));
            }
            Ok(receipts)
        }
        .boxed()
    }

    fn validators(&self) -> (Epoch, ValidatorSet) {
        let state = self.bft.state();
        (state.next_epoch(), ValidatorSet::clone(state.validators()))
    }

    fn utxo_state(&self, outpoint: OutPoint) -> BoxFuture<'_, Result<UtxoStateInfo, NodeApiError>> {
        async move {
            let utxos = Arc::clone(&self.utxos);
            let read = move || {
                Ok((utxos.output_state(&outpoint), utxos.find_output(&outpoint), utxos.is_poisoned()))
            };
            let (state, found, is_poisoned) = blocking(read).await?;
            if is_poisoned {
                return Err(storage_error("the index can't be read"));
            }
            let info = utxo_state_info(self.network(), outpoint, state, found);
            let mut info = self.with_past(info, outpoint).await?;
            // In this order: a block binds what leaves the pool with it.
            let is_marked = self.is_marked(&outpoint);
            let state = self.bft.state();
            info.bound = found.is_some() && (is_marked || state.is_bound(&outpoint));
            let bound = if info.bound { bound_coin(&state, &outpoint) } else { None };
            info.masternode = bound.map(|bound| bound.masternode);
            info.bound_until_ms = bound.and_then(|bound| bound.until_ms);
            Ok(info)
        }
        .boxed()
    }

    fn transaction_status(&self, txid: TxId) -> BoxFuture<'_, Result<TransactionStatusInfo, NodeApiError>> {
        async move {
            let course = self.course_of(txid).await?;
            self.describe(txid, course).await
        }
        .boxed()
    }

    fn explain(&self, txid: TxId) -> BoxFuture<'_, Result<ExplainInfo, NodeApiError>> {
        async move {
            let votes = self.engine.explanation(txid).await.map_err(|_| NodeApiError::Stopping)?;
            let mut course = self.course_of(txid).await?;
            // The pool may have forgotten it, and votes still speak of it.
            if course.winner.is_none()
                && course.height.is_none()
                && let Some(waits_for) = votes.as_ref().map(|votes| votes.waits_for.clone())
            {
                let utxos = Arc::clone(&self.utxos);
                course.winner = blocking(move || Ok(lookups::winner_of(&utxos, txid, &waits_for))).await?;
                if course.winner.is_some() {
                    course.status = TransactionStatus::Conflicted;
                }
            }
            let state = self.bft.state();
            let known = (course.status, course.height, state.height());
            Ok(explain::explain(
                (txid, course.winner),
                known,
                votes.as_ref(),
                &self.connected_masternodes(&state),
            ))
        }
        .boxed()
    }

    fn wait_for_transaction(
        &self,
        txid: TxId,
        target: WaitTarget,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<TransactionStatusInfo, NodeApiError>> {
        async move {
            let mut watch = self.feeds.watch(txid);
            let reached = async {
                loop {
                    let course = self.course_of(txid).await?;
                    if target.is_reached_by(course.status) || course.status == TransactionStatus::Conflicted {
                        return Ok(course);
                    }
                    // That the time is over is as good a reason to look as a change.
                    let _quiet = tokio::time::timeout(LOOK_AGAIN, watch.changed()).await.is_err();
                }
            };
            let course = match tokio::time::timeout(timeout, reached).await {
                Ok(reached) => reached?,
                Err(_) => self.course_of(txid).await?,
            };
            self.describe(txid, course).await
        }
        .boxed()
    }

    fn set_network_active(&self, active: bool) -> bool {
        if self.network() != Network::Devnet {
            return false;
        }
        self.network.isolate(!active);
        true
    }

    fn faucet(&self, recipient: Address, amount: Amount) -> BoxFuture<'_, Result<TxId, SubmitError>> {
        async move {
            if self.network() != Network::Devnet {
                let message = "there is a faucet on devnets alone".to_owned();
                return Err(faucet::refused("no_faucet", message, "ask somebody who has coins"));
            }
            // Until its coins are locked to the payment, nobody else may choose them.
            let mut turn = self.faucet.lock().await;
            turn.take(self.clock.instant())?;
            let key = devnet_account_keys().pop();
            let key = key.ok_or_else(|| {
                let hint = "pay of another account: `timed wallet send --devnet-account 0`";
                faucet::refused("no_faucet", "this devnet has no account for its faucet".to_owned(), hint)
            })?;
            let lock = Lock::KeyHash(key.public().key_hash());
            let utxos = Arc::clone(&self.utxos);
            let found = blocking(move || Ok(utxos.outputs_of(&lock, None, faucet::COINS_LOOKED_AT))).await;
            let coins = found.map_err(|failure| faucet::unreadable(&failure))?;
            let state = self.bft.state();
            let chain = (state.chain_id(), state.parameters().as_ref());
            let payment = faucet::payment(&key, &coins, chain, (recipient, amount))?;
            self.admission.submit(payment, None).await.map_err(|refusal| self.refused(&refusal))
        }
        .boxed()
    }

    fn judge_transaction(
        &self,
        transaction: Transaction,
        fee_max: Option<Amount>,
    ) -> BoxFuture<'_, Result<AcceptanceInfo, SubmitError>> {
        async move {
            let judged = self.admission.judge(transaction).await.map_err(|refusal| self.refused(&refusal))?;
            if let Some(max) = fee_max.filter(|max| judged.fee > *max) {
                return Err(self.refused(&Refusal::FeeTooHigh { fee: judged.fee, max }));
            }
            Ok(AcceptanceInfo::taken(judged.txid, judged.bytes, judged.fee, judged.waits))
        }
        .boxed()
    }

    fn submit_transaction(
        &self,
        transaction: Transaction,
        fee_max: Option<Amount>,
    ) -> BoxFuture<'_, Result<TxId, SubmitError>> {
        async move {
            let txid = transaction.txid();
            self.admission.submit(transaction, fee_max).await.map_err(|refusal| {
                // Whoever asks for it learns so, instead of waiting for it.
                if let Refusal::InputsSpent { by, .. } = refusal {
                    self.feeds.lost(txid, by);
                }
                self.refused(&refusal)
            })
        }
        .boxed()
    }

    fn finality_proof(
        &self,
        txid: TxId,
        from: Option<Checkpoint>,
    ) -> BoxFuture<'_, Result<Option<(FinalityProof, ProvedFinality)>, NodeApiError>> {
        self.proofs.prove(txid, from).boxed()
    }

    fn verify_finality_proof(
        &self,
        proof: FinalityProof,
        trusted: Option<Checkpoint>,
    ) -> BoxFuture<'_, Result<Result<ProvedFinality, FinalityProofError>, NodeApiError>> {
        self.proofs.verify(proof, trusted).boxed()
    }

    fn address_utxos(
        &self,
        address: Address,
        page: UtxoPage,
    ) -> BoxFuture<'_, Result<AddressUtxos, NodeApiError>> {
        async move {
            let utxos = Arc::clone(&self.utxos);
            // One more than asked for tells whether there is a next page.
            let limit = page.limit.saturating_add(1);
            let read = move || Ok((utxos.outputs_of(&address.lock, page.after, limit), utxos.is_poisoned()));
            let (mut found, is_poisoned) = blocking(read).await?;
            if is_poisoned {
                return Err(storage_error("the index can't be read"));
            }
            let is_more = found.len() > page.limit;
            found.truncate(page.limit);
            // Before the state, which has bound what leaves the pool with a block.
            let marked: BTreeSet<OutPoint> =
                found.iter().map(|found| found.outpoint).filter(|name| self.is_marked(name)).collect();
            let state = self.bft.state();
            let utxos: Vec<AddressUtxo> = found
                .into_iter()
                .map(|found| {
                    let bound = state.is_bound(&found.outpoint) || marked.contains(&found.outpoint);
                    AddressUtxo {
                        txid: found.outpoint.txid,
                        vout: found.outpoint.index,
                        value: found.output.value,
                        value_time: found.output.value.to_string(),
                        height: found.height,
                        spendable: !found.is_locked && !bound,
                        bound,
                    }
                })
                .collect();
            let next = utxos.last().filter(|_| is_more).map(|last| last.outpoint().to_string());
            Ok(AddressUtxos { utxos, next })
        }
        .boxed()
    }

    fn address_history(
        &self,
        address: Address,
        page: HistoryPage,
    ) -> BoxFuture<'_, Result<AddressHistory, NodeApiError>> {
        async move {
            let (pooled, is_complete) = match page.before {
                Some(_) => (Vec::new(), None),
                None => {
                    let (pool, utxos) = (Arc::clone(&self.pool), Arc::clone(&self.utxos));
                    let read = move || Ok(history::pooled(&pool, &utxos, &address.lock));
                    let (pooled, is_complete) = blocking(read).await?;
                    (pooled, Some(is_complete))
                }
            };
            // The tip after the pool: what a block took out of it meanwhile is in the index then, or the page says that it lacks.
            let is_reached = self.index_reaches(self.bft.state().height()).await?;
            let pool_complete = is_complete.map(|is_complete| is_complete && is_reached);
            let index = Arc::clone(&self.index);
            // One more than asked for tells whether there is a next page.
            let limit = page.limit.saturating_add(1);
            let (found, from, height) = blocking(move || {
                let found = index.history(&address.lock, page.before, limit)?;
                Ok((found, index.history_from()?, index.applied()?))
            })
            .await?;
            let (indexed, next) = history::indexed(found, page);
            // What has come into a block between the two looks is told once.
            let is_twice = |one: &HistoryInfo| indexed.iter().any(|known| known.txid == one.txid);
            let mut history: Vec<HistoryInfo> = pooled.into_iter().filter(|one| !is_twice(one)).collect();
            history.extend(indexed);
            let height = height.unwrap_or(0);
            let complete_from = from.unwrap_or(height);
            Ok(AddressHistory { history, next, pool_complete, complete_from, height })
        }
        .boxed()
    }

    fn node_status(&self) -> NodeStatus {
        let state = self.bft.state();
        let problems = self.problems(&state);
        let well = if self.seat(&state).is_some() { NodeState::Voting } else { NodeState::Following };
        let node_state = problems.first().map_or(well, |(node_state, _)| *node_state);
        let connected = self.connected_masternodes(&state);
        let (inbound, outbound) = self.network.peer_counts();
        NodeStatus {
            name: self.config.node.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network: self.config.node.network.to_string(),
            state: node_state,
            reasons: problems.into_iter().map(|(_, problem)| problem.detail).collect(),
            height: state.height(),
            target_height: self.bft.sync_target().max(state.height()),
            epoch: state.next_epoch(),
            masternode: self.own_masternode(&state),
            masternodes_connected: state
                .validators()
                .members()
                .iter()
                .filter(|member| connected.contains(&member.id))
                .count(),
            masternodes_total: state.validators().len(),
            peers: inbound.saturating_add(outbound),
            mempool_transactions: self.pool.len(),
            uptime_s: self.uptime_s(),
        }
    }

    fn consensus_info(&self) -> ConsensusInfo {
        let (state, progress) = (self.bft.state(), self.bft.progress());
        let set = state.validators();
        let proposer = proposer_of_round(&state.proposer_order(), progress.round);
        let began = state.height() > 0;
        ConsensusInfo {
            height: progress.height,
            round: progress.round,
            step: step_name(progress.step).to_owned(),
            proposer: proposer.and_then(|place| set.get(place)).map(|member| member.id),
            epoch: progress.epoch,
            epoch_start_ms: began.then(|| state.epoch_start()),
            closing: progress.closing || state.is_closing(),
            validator_index: self.seat(&state),
            validators: set.len(),
            total_weight: set.total_weight(),
            quorum: set.quorum(),
            prevote_weight: progress.prevote_weight,
            precommit_weight: progress.precommit_weight,
            transactions_open: self.pool.uncertified().0,
            certified_waiting: self.bft.certified_waiting(),
            last_block_time_ms: began.then(|| state.tip_time()),
        }
    }

    fn readiness(&self) -> Vec<NotReady> {
        self.problems(&self.bft.state()).into_iter().map(|(_, problem)| problem).collect()
    }

    fn memory_info(&self) -> MemoryInfo {
        memory::info(&self.config, &self.bft.state())
    }

    fn disk_info(&self) -> BoxFuture<'_, Result<DiskInfo, NodeApiError>> {
        let (config, blocks) = (Arc::clone(&self.config), self.blocks.clone());
        blocking(move || disk_growth::look(&config, &blocks)).boxed()
    }

    fn uptime_s(&self) -> u64 {
        self.clock.instant().saturating_duration_since(self.started_at).as_secs()
    }

    fn events(&self) -> &Arc<EventLog> {
        &self.events
    }

    fn final_in_pool(&self, after: Option<u64>, limit: usize) -> Vec<(u64, TxId, Arc<Transaction>)> {
        self.pool.finals(after, limit)
    }

    fn next_change(&self, txid: TxId) -> BoxFuture<'static, ()> {
        let mut watch = self.feeds.watch(txid);
        async move { watch.changed().await }.boxed()
    }

    fn log_level(&self) -> String {
        self.log.level()
    }

    fn set_log_level(&self, level: &str) -> Result<(), LoggingError> {
        self.log.set_level(level)?;
        tracing::info!(level, "RPC changed the log's level");
        Ok(())
    }

    fn stop(&self) {
        tracing::info!("RPC asks the node to stop");
        self.registry.token().cancel();
    }
}
