//! A node for tests: a few blocks' worth of answers, and a ledger that makes whatever it takes final at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use parking_lot::Mutex;

use super::api::{
    BlockSelector, FoundTransaction, HistoryPage, NodeApi, NodeApiError, SubmitError, SubmitErrorClass,
    UtxoPage,
};
use super::events::{EventLog, Happened};
use super::types::*;
use crate::network::BanTarget;
use crate::protocol::finality_proof::{
    FinalityProof, FinalityProofError, ProvedFinality, verify, verify_with,
};
use crate::protocol::masternodes::{Receipt, VoidReason};
use crate::runtime::Clock;
use crate::runtime::logging::LoggingError;
use crate::storage::index_history::HistoryPlace;
use crate::types::*;

/// The height of its only block, unless it has pruned.
pub(crate) const HEIGHT: Height = 1;
/// Its one peer, for who wants to be rid of it.
pub(crate) const PEER: &str = "192.0.2.1:24100";

/// One that is dialled already.
pub(crate) const ADDED: &str = "192.0.2.2:24100";

/// A transaction that has lost its coin.
pub(crate) const LOSER: TxId = TxId([0x1c; 32]);

/// A transaction whose block was pruned.
pub(crate) const PRUNED: TxId = TxId([0x9d; 32]);

pub(crate) struct FakeNode {
    pub(crate) events: Arc<EventLog>,
    /// Where its only block is; those before it were pruned.
    pub(crate) horizon: Mutex<Height>,
    /// The hash of the block on top of it, if there is one.
    pub(crate) next: Mutex<Option<BlockHash>>,
    /// What is final and in no block.
    pub(crate) finals: Mutex<Vec<(TxId, Arc<Transaction>)>>,
    pub(crate) utxos: Mutex<BTreeMap<OutPoint, TxOut>>,
    pub(crate) bans: Mutex<Vec<(BanTarget, Duration)>>,
    pub(crate) stopped: AtomicBool,
    pub(crate) not_ready: AtomicBool,
    /// Refuses all transactions for now.
    pub(crate) is_busy: AtomicBool,
    /// The bound on the fee of what was sent last.
    pub(crate) fee_max: Mutex<Option<Amount>>,
    /// How many calls began to wait for a transaction.
    pub(crate) waits_begun: AtomicUsize,
    /// How long the text in each piece of evidence is, and how often it was asked for them.
    pub(crate) evidence_bytes: Mutex<usize>,
    pub(crate) evidence_asked: AtomicUsize,
    pub(crate) log_level: Mutex<String>,
}

impl Default for FakeNode {
    fn default() -> Self {
        Self {
            events: Arc::new(EventLog::new(7, HEIGHT)),
            horizon: Mutex::new(HEIGHT),
            next: Mutex::default(),
            finals: Mutex::default(),
            utxos: Mutex::default(),
            bans: Mutex::default(),
            stopped: AtomicBool::new(false),
            not_ready: AtomicBool::new(false),
            is_busy: AtomicBool::new(false),
            fee_max: Mutex::default(),
            waits_begun: AtomicUsize::new(0),
            evidence_bytes: Mutex::default(),
            evidence_asked: AtomicUsize::new(0),
            log_level: Mutex::default(),
        }
    }
}

pub(crate) fn block() -> CommittedBlock {
    let hash = Hash::ZERO;
    let header = Header {
        chain_id: ChainId([1; 32]),
        height: HEIGHT,
        round: 0,
        epoch: 0,
        epoch_end: false,
        time: 5_999,
        prev_hash: BlockHash::ZERO,
        last_commit_root: hash,
        tx_root: hash,
        evidence_root: hash,
        epoch_ends_root: hash,
        state_digest: StateDigest::ZERO,
        validators_hash: hash,
        next_validators_hash: hash,
        proposer: MasternodeId::ZERO,
        rules: RuleVersion::FIRST,
        announced: RuleVersion::FIRST,
    };
    let transfer = Transaction::transfer(Vec::new(), Vec::new(), b"hi".to_vec());
    let key = SecretKey::from_seed(&[3; 32]).public();
    let payload = Payload::MasternodeUpdate(MasternodeUpdate::unjail(MasternodeId::ZERO, key));
    let unjail = Transaction { payload, ..transfer.clone() };
    let vote = |value| BlockVote {
        step: VoteStep::Prevote,
        epoch: 0,
        height: HEIGHT,
        round: 0,
        value,
        validator: MasternodeId::ZERO,
        signature: Signature::EMPTY,
    };
    let evidence = Evidence::of_votes(vote(None), vote(Some(BlockHash::ZERO)));
    let block = Block {
        header,
        last_commit: Commit::default(),
        transactions: vec![Arc::new(transfer), Arc::new(unjail)],
        evidence: vec![Arc::new(evidence)],
    };
    CommittedBlock { block, commit: Commit::default() }
}

pub(crate) fn masternode() -> MasternodeInfo {
    let owner = Address::of_lock(Network::Devnet, output().lock);
    let collateral = Amount(100_000_000_000);
    MasternodeInfo {
        id: MasternodeId::ZERO,
        state: "jailed".into(),
        in_set: None,
        operator_key: SecretKey::from_seed(&[3; 32]).public(),
        owner,
        payout: owner,
        address: "127.0.0.1:24200".into(),
        connected: false,
        collateral,
        collateral_time: collateral.to_string(),
        collateral_outpoint: OutPoint { txid: TxId([6; 32]), index: 0 }.to_string(),
        collateral_height: 0,
        tier: Some("bronze".into()),
        weight: 1,
        effective_weight: 1,
        on_trial: true,
        registration: 0,
        pending: None,
        exit_requested: false,
        jailed: Some(JailReason::Absence),
        jailed_since_ms: Some(5),
        slashed: false,
        left_ms: Some(5),
        bound_until_ms: None,
    }
}

pub(crate) fn mempool_entry() -> MempoolEntry {
    MempoolEntry {
        txid: TxId([7; 32]),
        size: 250,
        fee: Amount(1_000),
        fee_time: Amount(1_000).to_string(),
        fee_per_kb: Amount(4_000),
        fee_per_kb_time: Amount(4_000).to_string(),
        time: 5,
        status: TransactionStatus::Certified,
        waiting: false,
        conflicting: false,
        local: true,
        depends: Vec::new(),
    }
}

/// Of a masternode with a number for a name, whose votes come within as many milliseconds.
pub(crate) fn latency(number: u8) -> MemberLatency {
    let ms = Some(f64::from(number));
    let times = VoteTimes { count: 100, missing: 0, p50_ms: ms, p90_ms: ms, p99_ms: ms, max_ms: ms };
    let id = MasternodeId([number; 32]);
    MemberLatency { id, own: false, lock: times, finalizes: times, precommit: times }
}

pub(crate) fn output() -> TxOut {
    let secret = SecretKey::from_seed(&[1; 32]);
    TxOut { value: Amount(1_000_000_000_000), lock: crate::types::Lock::KeyHash(secret.public().key_hash()) }
}

impl FakeNode {
    /// With one coin of the key with seed 1.
    pub(crate) fn funded() -> Arc<Self> {
        let node = Self::default();
        node.utxos.lock().insert(OutPoint { txid: TxId([7; 32]), index: 0 }, output());
        Arc::new(node)
    }

    fn status(&self, txid: TxId) -> TransactionStatusInfo {
        let made = self.utxos.lock().keys().any(|outpoint| outpoint.txid == txid);
        let status = match (made, txid) {
            (true, _) => TransactionStatus::Final,
            (false, LOSER) => TransactionStatus::Conflicted,
            (false, PRUNED) => TransactionStatus::Confirmed,
            (false, _) => TransactionStatus::Unknown,
        };
        TransactionStatusInfo {
            txid,
            status,
            note: TransactionStatusInfo::note_of(status),
            winner: (txid == LOSER).then_some(TxId([7; 32])),
            accepted_ms: None,
            certified_ms: None,
            final_ms: None,
            finality_latency_ms: made.then_some(1.5),
            height: (txid == PRUNED).then_some(HEIGHT),
            block_hash: None,
            confirmations: 0,
            receipt: None,
        }
    }

    fn take(&self, transaction: &Transaction) -> Result<TxId, SubmitError> {
        let txid = transaction.txid();
        if self.is_busy.load(Ordering::Relaxed) {
            return Err(SubmitError {
                class: SubmitErrorClass::Busy,
                reason: "busy",
                message: "the node takes no more at present".into(),
                hint: "send it again after the time".into(),
                retry_after: Some(Duration::from_millis(50)),
                holder: None,
            });
        }
        let mut utxos = self.utxos.lock();
        if let Some(missing) = transaction.inputs.iter().find(|input| !utxos.contains_key(input)) {
            return Err(SubmitError {
                class: SubmitErrorClass::Inputs,
                reason: "input_not_found",
                message: format!("input {missing} does not exist"),
                hint: "ask for the wallet's outputs again".into(),
                retry_after: None,
                holder: None,
            });
        }
        for input in &transaction.inputs {
            utxos.remove(input);
        }
        utxos.extend(transaction.created(txid).map(|(outpoint, output)| (outpoint, *output)));
        drop(utxos);
        let latency = Some(Duration::from_micros(1_500));
        let transaction = Arc::new(transaction.clone());
        self.events.push(Happened::Final { txid, transaction, height: None, latency }, Clock.instant());
        Ok(txid)
    }
}

impl NodeApi for FakeNode {
    fn network(&self) -> Network {
        Network::Devnet
    }
    fn blockchain_info(&self) -> BlockchainInfo {
        BlockchainInfo {
            chain: "devnet".into(),
            chain_id: ChainId([1; 32]),
            blocks: HEIGHT,
            headers: HEIGHT,
            best_block_hash: block().block.header.hash(),
            time: 5,
            epoch: 0,
            pruned: false,
            pruneheight: 1,
            initial_block_download: false,
            state_digest: StateDigest::ZERO,
            supply: Amount(1),
            supply_time: Amount(1).to_string(),
            min_fee_per_kb: Amount(1_000),
            min_fee_per_kb_time: Amount(1_000).to_string(),
            parameters: ChainParameters::of_network(Network::Devnet),
            rules: RulesInfo {
                in_force: RuleVersion::FIRST,
                since_epoch: 0,
                known: RuleVersion::FIRST,
                pending: None,
                announced: Vec::new(),
                quorum: 3,
            },
            warnings: Vec::new(),
        }
    }
    fn genesis(&self) -> Option<GenesisInfo> {
        Some(GenesisInfo { chain_id: ChainId([1; 32]), toml: "network = \"devnet\"\n".into() })
    }
    fn best_block(&self) -> (Height, BlockHash) {
        (HEIGHT, block().block.header.hash())
    }
    fn block_hash(&self, height: Height) -> BoxFuture<'_, Result<Option<BlockHash>, NodeApiError>> {
        async move {
            if height == *self.horizon.lock() + 1 {
                return Ok(*self.next.lock());
            }
            let found = self.block(BlockSelector::Height(height)).await?;
            Ok(found.map(|committed| committed.block.header.hash()))
        }
        .boxed()
    }
    fn block(&self, selector: BlockSelector) -> BoxFuture<'_, Result<Option<CommittedBlock>, NodeApiError>> {
        let (mut only, horizon) = (block(), *self.horizon.lock());
        only.block.header.height = horizon;
        let found = match selector {
            BlockSelector::Hash(hash) => hash == only.block.header.hash(),
            BlockSelector::Height(height) if (1..horizon).contains(&height) => {
                return ready(Err(NodeApiError::BeforeHorizon { height, horizon })).boxed();
            }
            BlockSelector::Height(height) => height == horizon,
        };
        ready(Ok(found.then_some(only))).boxed()
    }
    fn header(
        &self,
        selector: BlockSelector,
    ) -> BoxFuture<'_, Result<Option<(Header, usize)>, NodeApiError>> {
        async move {
            let found = self.block(selector).await?.map(|committed| committed.block);
            Ok(found.map(|block| (block.header, block.transactions.len())))
        }
        .boxed()
    }
    fn wait_for_block(&self, _height: Height, timeout: Duration) -> BoxFuture<'_, (Height, BlockHash)> {
        async move {
            tokio::time::sleep(timeout).await;
            self.best_block()
        }
        .boxed()
    }
    fn validators_of(&self, epoch: Epoch) -> BoxFuture<'_, Result<Option<ValidatorSet>, NodeApiError>> {
        ready(Ok((epoch == 0).then(|| self.validators().1))).boxed()
    }
    fn output_set(&self) -> BoxFuture<'_, Result<OutputSetInfo, NodeApiError>> {
        let (height, best_block) = self.best_block();
        let total_amount = Amount(1);
        ready(Ok(OutputSetInfo {
            height,
            outputs: self.utxos.lock().len() as u64,
            best_block,
            state_digest: StateDigest::ZERO,
            total_amount,
            total_amount_time: total_amount.to_string(),
        }))
        .boxed()
    }
    fn index_info(&self) -> BoxFuture<'_, Result<IndexInfo, NodeApiError>> {
        ready(Ok(IndexInfo { synced: true, height: HEIGHT, engine: "sled".into() })).boxed()
    }
    fn peers(&self) -> Vec<PeerInfo> {
        Vec::new()
    }
    fn disconnect(&self, peer: &str) -> bool {
        peer == PEER
    }
    fn add_peer(&self, address: &str) -> bool {
        address == PEER
    }
    fn is_added(&self, address: &str) -> bool {
        address == ADDED
    }
    fn try_peer(&self, address: &str) -> bool {
        address == PEER
    }
    fn remove_peer(&self, address: &str) -> bool {
        address == PEER
    }
    fn set_network_active(&self, active: bool) -> bool {
        // As on a network whose nodes are never cut off.
        active
    }
    fn ban(&self, target: BanTarget, time: Duration) -> bool {
        let is_bannable = target != BanTarget::Ip(std::net::Ipv4Addr::LOCALHOST.into());
        if is_bannable {
            self.bans.lock().push((target, time));
        }
        is_bannable
    }
    fn is_banned(&self, target: BanTarget) -> bool {
        self.banned().iter().any(|(banned, _)| *banned == target)
    }
    fn unban(&self, target: BanTarget) -> bool {
        let mut bans = self.bans.lock();
        let before = bans.len();
        bans.retain(|(banned, _)| *banned != target);
        bans.len() < before
    }
    fn banned(&self) -> Vec<(BanTarget, Duration)> {
        self.bans.lock().clone()
    }
    fn net_totals(&self) -> NetTotals {
        NetTotals { total_bytes_received: 30_000, total_bytes_sent: 20_000, time_ms: 1 }
    }
    fn network_info(&self) -> NetworkInfo {
        NetworkInfo {
            version: "0".into(),
            subversion: "/timed:0/".into(),
            protocol_version: 1,
            oldest_protocol_version: 1,
            node_id: String::new(),
            listen_address: None,
            external_address: None,
            network_active: true,
            connections: 0,
            connections_in: 0,
            connections_out: 0,
        }
    }
    fn mempool_info(&self) -> MempoolInfo {
        MempoolInfo {
            size: 0,
            bytes: 0,
            max_transactions: 1,
            max_bytes: 1,
            min_fee_per_kb: Amount(1_000),
            min_fee_per_kb_time: Amount(1_000).to_string(),
            certified_waiting: 0,
        }
    }
    fn mempool(&self) -> Vec<MempoolEntry> {
        vec![mempool_entry()]
    }
    fn mempool_entry(&self, txid: TxId) -> Option<MempoolEntry> {
        self.mempool().into_iter().find(|entry| entry.txid == txid)
    }
    fn masternodes(&self) -> Vec<MasternodeInfo> {
        vec![masternode()]
    }
    fn masternode(&self, id: MasternodeId) -> Option<MasternodeInfo> {
        self.masternodes().into_iter().find(|masternode| masternode.id == id)
    }
    fn heartbeats(&self) -> Vec<HeartbeatInfo> {
        let masternode = masternode().id;
        vec![HeartbeatInfo {
            masternode,
            epoch: 0,
            height: HEIGHT,
            next_seq: 3,
            time_ms: 1,
            heard_ms: 2,
            attested_by: Vec::new(),
        }]
    }
    fn vote_latency(&self, minutes: u64) -> VoteLatencyInfo {
        VoteLatencyInfo { minutes, watched_s: 3, masternodes: (1..=4).map(latency).collect() }
    }
    fn evidence(&self, limit: usize) -> BoxFuture<'_, Result<Vec<PunishedInfo>, NodeApiError>> {
        let (hash, masternode) = (Hash::ZERO, MasternodeId::ZERO);
        self.evidence_asked.fetch_add(1, Ordering::Relaxed);
        let kind = format!("conflicting_votes{}", "x".repeat(*self.evidence_bytes.lock()));
        let evidence = EvidenceInfo { hash, kind, masternode, epoch: 0, height: Some(1) };
        let burned = Amount(50);
        let one = PunishedInfo { evidence, block_height: HEIGHT, burned, burned_time: burned.to_string() };
        ready(Ok(vec![one; limit.min(3)])).boxed()
    }
    fn transaction(&self, txid: TxId) -> BoxFuture<'_, Result<Option<FoundTransaction>, NodeApiError>> {
        let in_block = block().block.transactions.into_iter().map(|transaction| (transaction, Some(HEIGHT)));
        let waiting = self.finals.lock().iter().map(|(_, one)| (Arc::clone(one), None)).collect::<Vec<_>>();
        ready(Ok(in_block.chain(waiting).find(|(transaction, _)| transaction.txid() == txid))).boxed()
    }
    fn spent_outputs(
        &self,
        transaction: Arc<Transaction>,
        _: Option<Height>,
    ) -> BoxFuture<'_, Result<Vec<Option<TxOut>>, NodeApiError>> {
        let utxos = self.utxos.lock();
        ready(Ok(transaction.inputs.iter().map(|input| utxos.get(input).copied()).collect())).boxed()
    }
    fn receipts(&self, txids: Vec<TxId>) -> BoxFuture<'_, Result<BTreeMap<TxId, Receipt>, NodeApiError>> {
        let about = block().block.transactions.into_iter().filter(|tx| tx.payload.acts_on_masternodes());
        let effect = Err(VoidReason::NotJailed { masternode: MasternodeId::ZERO });
        let receipts = about.map(|tx| tx.txid()).filter(|txid| txids.contains(txid));
        ready(Ok(receipts.map(|txid| (txid, Receipt { txid, effect })).collect())).boxed()
    }
    fn validators(&self) -> (Epoch, ValidatorSet) {
        let key = SecretKey::from_seed(&[1; 32]).public();
        (0, ValidatorSet::new(vec![Validator { id: MasternodeId::ZERO, key, weight: 1 }]))
    }
    fn utxo_state(&self, outpoint: OutPoint) -> BoxFuture<'_, Result<UtxoStateInfo, NodeApiError>> {
        let output = self.utxos.lock().get(&outpoint).copied();
        ready(Ok(UtxoStateInfo {
            txid: outpoint.txid,
            vout: outpoint.index,
            state: if output.is_some() { UtxoState::Unspent } else { UtxoState::Unknown },
            spender: None,
            // What was sent to it is in no block.
            height: output.filter(|_| outpoint.txid == TxId([7; 32])).map(|_| 0),
            value: output.map(|output| output.value),
            value_time: output.map(|output| output.value.to_string()),
            address: output.map(|output| Address::of_lock(Network::Devnet, output.lock)),
            bound: false,
            masternode: None,
            bound_until_ms: None,
        }))
        .boxed()
    }
    fn transaction_status(&self, txid: TxId) -> BoxFuture<'_, Result<TransactionStatusInfo, NodeApiError>> {
        ready(Ok(self.status(txid))).boxed()
    }
    fn explain(&self, txid: TxId) -> BoxFuture<'_, Result<ExplainInfo, NodeApiError>> {
        let says = vec!["This node knows nothing of it.".into()];
        let status = self.status(txid).status;
        let next = "it is voted on".to_owned();
        ready(Ok(ExplainInfo { txid, status, says, next, height: None, votes: None })).boxed()
    }
    fn wait_for_transaction(
        &self,
        txid: TxId,
        target: WaitTarget,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<TransactionStatusInfo, NodeApiError>> {
        self.waits_begun.fetch_add(1, Ordering::Relaxed);
        async move {
            let reached = async {
                while !target.is_reached_by(self.status(txid).status) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            let _elapsed = tokio::time::timeout(timeout, reached).await;
            Ok(self.status(txid))
        }
        .boxed()
    }
    fn submit_transaction(
        &self,
        transaction: Transaction,
        fee_max: Option<Amount>,
    ) -> BoxFuture<'_, Result<TxId, SubmitError>> {
        *self.fee_max.lock() = fee_max;
        ready(self.take(&transaction)).boxed()
    }
    fn faucet(&self, _: Address, _: Amount) -> BoxFuture<'_, Result<TxId, SubmitError>> {
        ready(Ok(TxId([8; 32]))).boxed()
    }
    fn judge_transaction(
        &self,
        transaction: Transaction,
        fee_max: Option<Amount>,
    ) -> BoxFuture<'_, Result<AcceptanceInfo, SubmitError>> {
        *self.fee_max.lock() = fee_max;
        let taken = AcceptanceInfo::taken(transaction.txid(), 100, Amount(1_000), false);
        let is_lost = transaction.inputs.iter().any(|input| input.txid == LOSER);
        ready(if is_lost || self.is_busy.load(Ordering::Relaxed) {
            self.take(&transaction).map(|_| taken)
        } else {
            Ok(taken)
        })
        .boxed()
    }
    fn finality_proof(
        &self,
        txid: TxId,
        from: Option<Checkpoint>,
    ) -> BoxFuture<'_, Result<Option<(FinalityProof, ProvedFinality)>, NodeApiError>> {
        if let Some(block) = from {
            return ready(Err(NodeApiError::UnknownBlock { block })).boxed();
        }
        let in_block = block().block.transactions.iter().any(|transaction| transaction.txid() == txid);
        let is_known = in_block || txid == TxId([7; 32]);
        let (genesis, proof) = super::finality_proof::tests::proof_of(txid);
        let proved = verify(&genesis, &proof).unwrap();
        ready(Ok(is_known.then_some((proof, proved)))).boxed()
    }
    fn verify_finality_proof(
        &self,
        proof: FinalityProof,
        trusted: Option<Checkpoint>,
    ) -> BoxFuture<'_, Result<Result<ProvedFinality, FinalityProofError>, NodeApiError>> {
        let (genesis, _) = super::finality_proof::tests::proof();
        let verifier = crate::types::keys::SequentialVerifier;
        ready(Ok(verify_with(&genesis, trusted.as_ref(), &proof, &verifier))).boxed()
    }
    fn address_utxos(
        &self,
        address: Address,
        page: UtxoPage,
    ) -> BoxFuture<'_, Result<AddressUtxos, NodeApiError>> {
        let utxos: Vec<AddressUtxo> = self
            .utxos
            .lock()
            .iter()
            .filter(|(outpoint, output)| {
                output.lock == address.lock && page.after.is_none_or(|after| **outpoint > after)
            })
            .take(page.limit)
            .map(|(outpoint, output)| AddressUtxo {
                txid: outpoint.txid,
                vout: outpoint.index,
                value: output.value,
                value_time: output.value.to_string(),
                height: None,
                spendable: true,
                bound: false,
            })
            .collect();
        let full = utxos.len() == page.limit;
        let next = utxos.last().filter(|_| full).map(|utxo| utxo.outpoint().to_string());
        ready(Ok(AddressUtxos { utxos, next })).boxed()
    }
    fn address_history(
        &self,
        address: Address,
        page: HistoryPage,
    ) -> BoxFuture<'_, Result<AddressHistory, NodeApiError>> {
        let at = HistoryPlace { height: HEIGHT, place: 0 };
        let is_asked = address.lock == output().lock && page.before.is_none_or(|before| at < before);
        let sums = (Amount(5), Amount::ZERO);
        let entry = HistoryInfo::of(TxId([7; 32]), TransactionStatus::Confirmed, Some(at), sums);
        let history = if is_asked { vec![entry] } else { Vec::new() };
        let (next, pool_complete, height) = (None, page.before.is_none().then_some(true), HEIGHT);
        ready(Ok(AddressHistory { history, next, pool_complete, complete_from: 0, height })).boxed()
    }
    fn node_status(&self) -> NodeStatus {
        NodeStatus {
            name: "fake".into(),
            version: "0".into(),
            network: "devnet".into(),
            state: NodeState::Waiting,
            reasons: vec!["2 of 3 needed masternodes are active".into()],
            height: HEIGHT,
            target_height: HEIGHT,
            epoch: 0,
            masternode: None,
            masternodes_connected: 2,
            masternodes_total: 4,
            peers: 1,
            mempool_transactions: 0,
            uptime_s: 3,
        }
    }
    fn consensus_info(&self) -> ConsensusInfo {
        ConsensusInfo {
            height: HEIGHT + 1,
            round: 0,
            step: "propose".into(),
            proposer: None,
            epoch: 0,
            epoch_start_ms: None,
            closing: false,
            validator_index: None,
            validators: 4,
            total_weight: 4,
            quorum: 3,
            prevote_weight: 2,
            precommit_weight: 1,
            transactions_open: 0,
            certified_waiting: 0,
            last_block_time_ms: None,
        }
    }
    fn readiness(&self) -> Vec<NotReady> {
        let not_ready = self.not_ready.load(Ordering::Relaxed);
        let reason = NotReady { reason: "syncing".into(), detail: "3 blocks behind".into() };
        if not_ready { vec![reason] } else { Vec::new() }
    }
    fn memory_info(&self) -> MemoryInfo {
        MemoryInfo { resident_bytes: Some(1), bound_bytes: 2, bounds: BTreeMap::new() }
    }
    fn disk_info(&self) -> BoxFuture<'_, Result<DiskInfo, NodeApiError>> {
        let growth = DiskGrowth { blocks: 10, bytes: 1_000, over_ms: 10_000, bytes_a_day: 8_640_000 };
        let outlook = DiskOutlook::Full { after_s: 1 << 30, level_bytes: None };
        let (growth, outlook) = (Some(growth), Some(outlook));
        let info =
            DiskInfo { blocks_bytes: 1_000, index_bytes: 1, free_bytes: Some(1 << 40), growth, outlook };
        std::future::ready(Ok(info)).boxed()
    }
    fn uptime_s(&self) -> u64 {
        3
    }
    fn events(&self) -> &Arc<EventLog> {
        &self.events
    }
    fn final_in_pool(&self, after: Option<u64>, limit: usize) -> Vec<(u64, TxId, Arc<Transaction>)> {
        let finals = self.finals.lock();
        let numbered =
            (0..).zip(finals.iter()).filter(|(number, _)| after.is_none_or(|after| *number > after));
        numbered.take(limit).map(|(number, (txid, one))| (number, *txid, Arc::clone(one))).collect()
    }
    fn next_change(&self, _: TxId) -> BoxFuture<'static, ()> {
        std::future::pending().boxed()
    }
    fn log_level(&self) -> String {
        self.log_level.lock().clone()
    }
    fn set_log_level(&self, level: &str) -> Result<(), LoggingError> {
        crate::runtime::log_level::parse_level(level)?;
        level.clone_into(&mut self.log_level.lock());
        Ok(())
    }
    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}
