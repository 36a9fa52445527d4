//! The block layer's side of the core: building, validating and committing blocks, and what the Tendermint machine
//! orders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tracing::{debug, error, info, warn};

use super::{AppliedBlock, Core, Notification, Output, Progress, Timer};
use crate::protocol::bft::{self, BlockMessage, Effect, HeightContext, Input, Step};
use crate::protocol::finality;
use crate::protocol::state::LedgerState;
use crate::protocol::transition::{self, BlockCapacity, BlockDraft, BlockOutcome};
use crate::protocol::validity::{CheckedTransaction, UtxoReader};
use crate::storage::block_log::LoggedBlock;
use crate::storage::journal::{JournalRecord, Staged};
use crate::types::limits::{CLOCK_DRIFT_MS_MAX, REQUEST_IDS_MAX, TRANSACTION_BYTES_MAX};
use crate::types::message::NodeStatus;
use crate::types::{
    Block, BlockBlueprint, BlockHash, BlockVote, Commit, CommittedBlock, FinalityVote, Height, MasternodeId,
    Message, OutPoint, Proposal, Round, Signature, TxId, VoteKind, VoteStep,
};

/// A block that was proposed at the current height.
pub(super) struct Candidate {
    blueprint: Arc<BlockBlueprint>,
    /// Its transactions whose bodies are not here.
    missing: BTreeSet<TxId>,
    /// Its transactions that are not certified here.
    uncertified: BTreeSet<TxId>,
    /// Own promises that would be left out if it ended its epoch. They can't change while an epoch is closing.
    left_out: Vec<TxId>,
    /// The machine was told that it is left out.
    refused: bool,
    /// Its transactions without the reward, and what it does, once all of them are here and it is valid.
    checked: Option<(Vec<CheckedTransaction>, BlockOutcome)>,
    /// Its verdict was told to the machine.
    judged: bool,
    acceptable: bool,
    own: bool,
}

/// A decided block on its way to the disk.
pub(super) struct Committing {
    committed: CommittedBlock,
    hash: BlockHash,
    transactions: Vec<CheckedTransaction>,
    outcome: BlockOutcome,
    own: bool,
}

/// The context of the height after this state.
pub(super) fn height_context(state: &LedgerState, me: Option<MasternodeId>) -> HeightContext {
    let height = state.height().saturating_add(1);
    HeightContext {
        chain_id: *state.chain_id(),
        height,
        epoch: state.next_epoch(),
        validators: Arc::clone(state.validators()),
        proposer_order: state.proposer_order(),
        timeout_propose: state.parameters().timeout_propose,
        timeout_prevote: state.parameters().timeout_prevote,
        timeout_precommit: state.parameters().timeout_precommit,
        me: me.and_then(|id| state.validators().index_of(&id)),
    }
}

impl Core {
    pub(super) fn execute_bft(&mut self, effect: Effect) {
        match effect {
            Effect::RoundStarted { round } => {
                debug!(height = self.next_height(), round, "round started");
                // The block that votes were held for was not decided in its round.
                self.step_finality(finality::Input::VotesHeld(false));
                self.schedule_flush();
            }
            Effect::BuildBlock { round } => self.build_block(round),
            Effect::ValidateBlock { block } => self.consider(block, false),
            Effect::Propose { round, pol_round, block } => self.propose(round, pol_round, &block),
            Effect::Vote { step, round, value, justification } => {
                self.cast_block_vote(step, round, value, justification);
            }
            Effect::Resend(message) => self.resend(message),
            Effect::ScheduleTimeout { kind, round, duration_ms } => {
                let timer = Timer::Bft { height: self.next_height(), round, kind };
                self.out.push(Output::Schedule(timer, duration_ms));
            }
            Effect::Decide { round, hash, commit } => self.decide(round, hash, commit),
            Effect::EquivocationSeen { first, second } => self.on_equivocation(first, second),
        }
    }

    // -- proposing ------------------------------------------------------------------------------------------------

    /// Certified transactions in an order in which each finds its inputs, and whether all of them fit.
    fn select(&self) -> (Vec<CheckedTransaction>, bool) {
        let capacity = BlockCapacity::of(self.state.parameters());
        let mut selected: Vec<CheckedTransaction> = Vec::new();
        let mut names = BTreeSet::new();
        let mut bytes = 0_u64;
        // Children whose parent comes later in the order of certification, by parent.
        let mut deferred: BTreeMap<TxId, Vec<&CheckedTransaction>> = BTreeMap::new();
        for candidate in self.finality.candidates() {
            let mut ready = vec![candidate];
            while let Some(transaction) = ready.pop() {
                let missing = transaction
                    .inputs()
                    .iter()
                    .find(|outpoint| !names.contains(&outpoint.txid) && self.utxos.utxo(outpoint).is_none());
                if let Some(outpoint) = missing {
                    deferred.entry(outpoint.txid).or_default().push(transaction);
                    continue;
                }
                let size = u64::try_from(transaction.encoded_bytes()).unwrap_or(u64::MAX);
                let count = u64::try_from(selected.len()).unwrap_or(u64::MAX);
                if bytes.saturating_add(size) > capacity.bytes || count >= capacity.transactions {
                    return (selected, false);
                }
                bytes = bytes.saturating_add(size);
                names.insert(transaction.txid());
                selected.push(transaction.clone());
                ready.extend(deferred.remove(&transaction.txid()).unwrap_or_default());
            }
        }
        (selected, true)
    }

    fn build_block(&mut self, round: Round) {
        let Some(proposer) = self.me.as_ref().map(|identity| identity.id) else { return };
        let (transactions, complete) = self.select();
        let closing = self.state.is_closing();
        let bytes: usize = transactions.iter().map(CheckedTransaction::encoded_bytes).sum();
        let size = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let full = BlockCapacity::of(self.state.parameters()).is_full(size(bytes), size(transactions.len()));
        // A closing block that is not full has to end the epoch.
        let epoch_end = closing && (complete || !full);
        let last_commit = self.fullest_last_commit();
        let evidence = self.evidence.for_block(&self.state);
        let draft = BlockDraft {
            round,
            time: self.now_ms.max(self.state.tip_time().saturating_add(1)),
            epoch_end,
            proposer,
            last_commit: &last_commit,
            transactions: &transactions,
            evidence: &evidence,
        };
        match transition::propose(&self.state, &*self.utxos, &draft) {
            Ok((block, outcome)) => {
                let blueprint = Arc::new(block.blueprint());
                let hash = blueprint.header.hash();
                let mut candidate = self.candidate(Arc::clone(&blueprint), true);
                candidate.checked = Some((transactions, outcome));
                self.candidates.insert(hash, candidate);
                self.bft_inputs.push_back(Input::BlockBuilt { round, block: blueprint });
            }
            // Certified transactions can only contradict the state when more than a third of the weight is faulty.
            Err(problem) => error!(%problem, height = self.next_height(), "can't build a block"),
        }
    }

    /// The commit of the tip with every precommit that arrived since.
    fn fullest_last_commit(&self) -> Commit {
        let late = self.previous_bft.as_ref().and_then(bft::Machine::late_commit);
        match late {
            Some(late) if late.signatures.len() > self.last_commit.signatures.len() => late,
            _ => self.last_commit.clone(),
        }
    }

    fn propose(&mut self, round: Round, pol_round: Option<Round>, block: &BlockBlueprint) {
        let Some(identity) = self.me.clone() else { return };
        let proposal = Proposal {
            round,
            pol_round,
            validator: identity.id,
            block: block.clone(),
            signature: Signature::EMPTY,
        }
        .signed(&identity.secret);
        // Who has not seen the prevotes behind it can't prevote it. What is lost of them is found by status.
        if let Some(pol_round) = pol_round {
            for vote in self.bft.proof_of_lock_votes(pol_round, block.header.hash()) {
                self.out.push(Output::Relay(Message::BlockVote(vote), None));
            }
        }
        let proposal = Arc::new(proposal);
        self.own_proposals.insert((self.next_height(), round), proposal.block.header.hash());
        let records = vec![JournalRecord::Proposal(Arc::clone(&proposal))];
        self.out.push(Output::Persist(Staged { records, release: vec![Message::Proposal(proposal)] }));
    }

    fn cast_block_vote(
        &mut self,
        step: VoteStep,
        round: Round,
        value: Option<BlockHash>,
        justification: Option<Box<bft::Justification>>,
    ) {
        let Some(identity) = self.me.clone() else { return };
        if step == VoteStep::Prevote && self.state.is_closing() {
            self.enter_closing();
        }
        let height = self.next_height();
        if let Some(signed) = self.own_block_votes.get(&(height, round, step)) {
            // INV-CORE-3. The machine does not ask for this; if it ever does, the journal wins.
            error!(height, round, ?step, ?signed, "refusing to sign a second vote");
            return;
        }
        let vote = BlockVote {
            step,
            epoch: self.state.next_epoch(),
            height,
            round,
            value,
            validator: identity.id,
            signature: Signature::EMPTY,
        };
        let vote = Arc::new(vote.signed(self.state.chain_id(), &identity.secret));
        debug!(height, round, ?step, value = ?value.map(|hash| hash.short()), "block vote cast");
        self.own_block_votes.insert((height, round, step), Arc::clone(&vote));
        // Votes that were cast before have their bodies and their place in the journal before this one.
        self.flush_votes();
        self.hold_votes_behind(&vote);
        let mut records = Vec::new();
        if let Some(justification) = justification {
            let candidate = value.and_then(|hash| self.candidates.get(&hash));
            let checked = candidate.and_then(|candidate| candidate.checked.as_ref());
            let transactions = checked.map(|(transactions, _)| transactions.clone()).unwrap_or_default();
            for transaction in transactions {
                records.extend(self.body_record(&transaction));
            }
            records.push(JournalRecord::Proposal(justification.proposal));
            records.extend(justification.prevotes.into_iter().map(JournalRecord::BlockVote));
        }
        records.push(JournalRecord::BlockVote(Arc::clone(&vote)));
        self.out.push(Output::Persist(Staged { records, release: vec![Message::BlockVote(vote)] }));
    }

    /// Own precommits of the epoch's last ordinary block end this node's votes on payments for this round.
    fn hold_votes_behind(&mut self, own: &BlockVote) {
        let is_of_now = (own.height, own.round) == (self.next_height(), self.bft.round());
        let header = own.value.and_then(|hash| self.bft.block(&hash)).map(|block| &block.header);
        let end = self.state.epoch_start().saturating_add(self.state.parameters().epoch_duration_ms);
        let begins_closing = header.is_some_and(|header| header.time >= end) && !self.state.is_closing();
        if own.step == VoteStep::Precommit && is_of_now && begins_closing {
            self.step_finality(finality::Input::VotesHeld(true));
        }
    }

    /// What was journaled before a restart is sent again as it was: it is durable, and writing an empty batch of
    /// records releases it.
    fn resend(&mut self, message: BlockMessage) {
        let message = match message {
            BlockMessage::Proposal(proposal) => Message::Proposal(proposal),
            BlockMessage::Vote(vote) => {
                self.hold_votes_behind(&vote);
                Message::BlockVote(vote)
            }
        };
        self.out.push(Output::Persist(Staged { records: Vec::new(), release: vec![message] }));
    }

    // -- validating -----------------------------------------------------------------------------------------------

    fn candidate(&self, blueprint: Arc<BlockBlueprint>, own: bool) -> Candidate {
        let transfers = blueprint.transfers();
        let without = |is_there: &dyn Fn(&TxId) -> bool| -> BTreeSet<TxId> {
            transfers.iter().filter(|txid| !is_there(txid)).copied().collect()
        };
        let missing = without(&|txid| self.finality.transaction(txid).is_some());
        let uncertified = without(&|txid| self.finality.is_certified(txid));
        let left_out = if blueprint.header.epoch_end { self.promises_outside(transfers) } else { Vec::new() };
        Candidate {
            blueprint,
            missing,
            uncertified,
            left_out,
            refused: false,
            checked: None,
            judged: false,
            acceptable: false,
            own,
        }
    }

    fn consider(&mut self, blueprint: Arc<BlockBlueprint>, own: bool) {
        let hash = blueprint.header.hash();
        if !self.candidates.contains_key(&hash) {
            let candidate = self.candidate(blueprint, own);
            let left_out = candidate.left_out.clone();
            self.candidates.insert(hash, candidate);
            self.send_promises(&left_out);
        }
        self.judge(hash);
    }

    /// A body arrived: blocks that waited for it alone can be judged.
    pub(super) fn on_body(&mut self, txid: &TxId) {
        // What lost against a conflicting one is not kept before it is certified.
        if self.finality.transaction(txid).is_none() {
            return;
        }
        let mut complete = Vec::new();
        for (hash, candidate) in &mut self.candidates {
            if candidate.missing.remove(txid) && candidate.missing.is_empty() {
                complete.push(*hash);
            }
        }
        for hash in complete {
            self.judge(hash);
        }
    }

    /// The transactions of a block without its reward, if all are here.
    fn collect(&self, blueprint: &BlockBlueprint) -> Option<Vec<CheckedTransaction>> {
        blueprint.transfers().iter().map(|txid| self.finality.transaction(txid).cloned()).collect()
    }

    fn judge(&mut self, hash: BlockHash) {
        let waits = |candidate: &&Candidate| !candidate.judged && candidate.missing.is_empty();
        let Some(candidate) = self.candidates.get(&hash).filter(waits) else { return };
        // The machine forgets what it is told of a block that it does not know. An own one becomes known to it when its
        // proposal is durable, and then it asks.
        if !self.bft.has_block(&hash) {
            return;
        }
        if candidate.checked.is_some() {
            self.verdict(hash, true);
            return;
        }
        let blueprint = Arc::clone(&candidate.blueprint);
        let Some(transactions) = self.collect(&blueprint) else { return };
        let verifier = Arc::clone(&self.config.verifier);
        match transition::validate(&self.state, &*self.utxos, &*verifier, &blueprint, &transactions) {
            Ok(outcome) => {
                if let Some(candidate) = self.candidates.get_mut(&hash) {
                    candidate.checked = Some((transactions, outcome));
                }
                self.verdict(hash, true);
            }
            Err(problem) => {
                warn!(%problem, height = blueprint.header.height, hash = %hash.short(), "invalid block proposed");
                self.verdict(hash, false);
            }
        }
    }

    fn verdict(&mut self, hash: BlockHash, valid: bool) {
        if let Some(candidate) = self.candidates.get_mut(&hash) {
            candidate.judged = true;
        }
        self.bft_inputs.push_back(Input::BlockValidated { hash, valid });
        self.check_acceptable();
    }

    /// Rule 4: which blocks may get a first prevote. False to true only.
    pub(super) fn check_acceptable(&mut self) {
        let latest = self.now_ms.saturating_add(CLOCK_DRIFT_MS_MAX);
        for (hash, candidate) in &mut self.candidates {
            // No promise is made or fulfilled any more before the next block: this one will never do.
            if !candidate.left_out.is_empty() && !candidate.refused && self.bft.has_block(hash) {
                candidate.refused = true;
                self.bft_inputs.push_back(Input::BlockUnacceptable { hash: *hash });
            }
            // What is judged is known to the machine.
            if !candidate.acceptable
                && candidate.judged
                && candidate.checked.is_some()
                && candidate.uncertified.is_empty()
                && candidate.left_out.is_empty()
                && candidate.blueprint.header.time <= latest
            {
                candidate.acceptable = true;
                self.bft_inputs.push_back(Input::BlockAcceptable { hash: *hash });
            }
        }
    }

    /// Own promises that are not among these transactions.
    fn promises_outside(&self, transfers: &[TxId]) -> Vec<TxId> {
        let included: BTreeSet<&TxId> = transfers.iter().collect();
        self.finality.promises().iter().filter(|txid| !included.contains(txid)).copied().collect()
    }

    /// Certificates and bodies of promises that a proposer of the epoch's last block lacks go to everybody: the next
    /// proposer is among them. (Sending all promises to each proposer unasked would repeat what nearly always is
    /// there already; this sends just what was seen to be missing, before the round's end.)
    fn send_promises(&mut self, lacking: &[TxId]) {
        for chunk in lacking.chunks(super::gossip::CERTIFICATES_PER_MESSAGE) {
            let bodies = chunk.iter().filter_map(|txid| self.finality.transaction(txid));
            let bodies: Vec<_> = bodies.map(|transaction| Arc::clone(transaction.transaction())).collect();
            let lock = |txid: &TxId| FinalityVote { kind: VoteKind::Lock, txid: *txid };
            let certificates: Vec<_> =
                chunk.iter().filter_map(|txid| self.finality.certificate(lock(txid))).map(Arc::new).collect();
            self.out.push(Output::Relay(Message::Transactions(bodies), None));
            self.out.push(Output::Relay(Message::Certificates(certificates), None));
        }
    }

    /// Names what the blocks of this height lack before they can be judged: bodies, then certificates.
    pub(super) fn lacking_for_blocks(&self) -> (Vec<TxId>, Vec<TxId>) {
        let open = || self.candidates.values().filter(|candidate| !candidate.acceptable);
        let missing = open().flat_map(|candidate| candidate.missing.iter().copied());
        let uncertified = open().flat_map(|candidate| candidate.uncertified.iter().copied());
        (missing.take(REQUEST_IDS_MAX).collect(), uncertified.take(REQUEST_IDS_MAX).collect())
    }

    // -- when -----------------------------------------------------------------------------------------------------

    /// A new height begins: when is its block due?
    pub(super) fn schedule_height(&mut self) {
        let due = self.due_ms();
        self.out
            .push(Output::Schedule(Timer::HeightDue(self.next_height()), due.saturating_sub(self.now_ms)));
    }

    /// Closing blocks are due as soon as this node knows all that its peers know of votes ([`Self::closing_due_ms`]);
    /// others an interval after the last one's time, but no later than an interval after it arrived here (its proposer's
    /// clock may be ahead), or as soon as enough transactions wait, or when the epoch is due to end, and a gap before
    /// that: votes stand still while the epoch's last ordinary block is decided and applied, so it has to be small. Only
    /// its proposer's own clock makes that block the last, so one that is late by more than its timeout loses its round.
    fn due_ms(&self) -> u64 {
        if self.state.is_closing() {
            return self.closing_due_ms();
        }
        let parameters = self.state.parameters();
        let last = self.state.tip_time().min(self.applied_at_ms);
        let (count, bytes) = self.finality.unblocked();
        let triggered = u64::try_from(count).unwrap_or(u64::MAX) >= parameters.block_trigger
            || u64::try_from(bytes.saturating_add(TRANSACTION_BYTES_MAX)).unwrap_or(u64::MAX)
                >= parameters.block_bytes_max;
        let earliest = last.saturating_add(parameters.min_block_gap_ms);
        if triggered {
            return earliest;
        }
        let epoch_end = self.state.epoch_start().saturating_add(parameters.epoch_duration_ms);
        let marks = [epoch_end.saturating_sub(parameters.min_block_gap_ms), epoch_end];
        let marked = marks.into_iter().find(|mark| *mark > last).map(|mark| mark.max(earliest));
        let regular = last.saturating_add(parameters.block_interval_ms);
        marked.map_or(regular, |marked| marked.min(regular))
    }

    /// When a closing block is due. Its proposer has to know every promise of a quorum, or they refuse it and a round is
    /// lost. Validators hold their votes from their precommit of the epoch's last ordinary block on, and send it behind
    /// them, so whoever has applied that block nearly always knows enough: all but what those say who decided it without
    /// a precommit of their own, or in an earlier round than theirs. What a peer says it has more of, or a body that is
    /// missing, is waited for, but not for long: after a quarter of the propose timeout the block is due anyway.
    fn closing_due_ms(&self) -> u64 {
        let patience = self.state.parameters().timeout_propose.base_ms >> 2;
        let mine = self.batches.counts();
        let is_level = |status: &NodeStatus| {
            status.epoch != self.finality.epoch()
                || status.batches.iter().zip(&mine).all(|(theirs, mine)| theirs <= mine)
        };
        let may_propose = self.peers.values().flatten().all(is_level) && self.finality.lacks_no_body();
        self.applied_at_ms.saturating_add(if may_propose { 0 } else { patience })
    }

    /// Votes or a peer's status may have made a closing block due.
    pub(super) fn check_closing_due(&mut self) {
        if self.state.is_closing() && self.now_ms >= self.closing_due_ms() {
            self.check_due();
        }
    }

    pub(super) fn check_due(&mut self) {
        if self.committing.is_some() || self.bft.current_step() != Step::NewHeight {
            return;
        }
        let due = self.due_ms();
        if self.now_ms >= due {
            self.bft_inputs.push_back(Input::HeightDue);
        } else {
            self.schedule_height();
        }
    }

    /// Enough certified transactions make the block due before its time.
    pub(super) fn on_certified(&mut self, txid: &TxId) {
        for candidate in self.candidates.values_mut() {
            candidate.uncertified.remove(txid);
        }
        let (count, _) = self.finality.unblocked();
        let enough = u64::try_from(count).is_ok_and(|count| count >= self.state.parameters().block_trigger);
        // Once a height: what follows is the timer's.
        if enough && self.triggered_height != self.next_height() {
            self.triggered_height = self.next_height();
            self.check_due();
        }
    }

    // -- committing -----------------------------------------------------------------------------------------------

    fn decide(&mut self, round: Round, hash: BlockHash, commit: Commit) {
        let Some(candidate) = self.candidates.remove(&hash) else { return };
        let Some((transactions, outcome)) = candidate.checked else { return };
        debug!(height = self.next_height(), round, hash = %hash.short(), "block decided");
        let blueprint = &candidate.blueprint;
        let mut all: Vec<_> = transactions.iter().map(|tx| Arc::clone(tx.transaction())).collect();
        all.extend(outcome.reward.clone());
        let block = Block {
            header: blueprint.header.clone(),
            last_commit: blueprint.last_commit.clone(),
            transactions: all,
            evidence: blueprint.evidence.clone(),
        };
        self.commit(CommittedBlock { block, commit }, hash, transactions, outcome, candidate.own);
    }

    /// Sends a block to the log; it is applied once it is durable.
    pub(super) fn commit(
        &mut self,
        committed: CommittedBlock,
        hash: BlockHash,
        transactions: Vec<CheckedTransaction>,
        outcome: BlockOutcome,
        own: bool,
    ) {
        if outcome.state.is_closing() {
            // Whoever has this block may propose the next one already.
            self.step_finality(finality::Input::VotesHeld(true));
        }
        let spent = transition::inputs_in_order(&outcome);
        let logged = LoggedBlock { committed: committed.clone(), spent };
        self.committing = Some(Committing { committed, hash, transactions, outcome, own });
        self.out.push(Output::CommitBlock(Box::new(logged)));
    }

    pub(super) const fn is_committing(&self) -> bool {
        self.committing.is_some()
    }

    /// The block is durable: it becomes the chain's tip, here and nowhere else.
    pub(super) fn on_block_persisted(&mut self) {
        let Some(committing) = self.committing.take() else { return };
        let Committing { committed, hash, transactions, outcome, own } = committing;
        let epoch_before = self.state.next_epoch();
        let BlockOutcome { state, spent, created, receipts, slashed, .. } = outcome;
        let spenders: Vec<(OutPoint, TxId)> = transactions
            .iter()
            .flat_map(|tx| tx.inputs().iter().map(|outpoint| (*outpoint, tx.txid())))
            .collect();
        self.state = Arc::new(state);
        self.utxos.apply_block(self.state.height(), &spent, &created, &spenders);
        let replaced: Vec<_> = slashed.iter().map(|change| (change.outpoint, change.after)).collect();
        self.utxos.replace_outputs(self.state.height(), &replaced);
        self.last_commit = committed.commit.clone();
        self.applied_at_ms = self.now_ms;
        self.candidates.clear();
        let height = self.next_height();
        self.own_block_votes = self.own_block_votes.split_off(&(height, 0, VoteStep::Prevote));
        self.own_proposals = self.own_proposals.split_off(&(height, 0));
        self.settle_evidence();
        self.note_hash();
        self.bft_inputs.clear();
        // Readers hear of the block before what follows from it: locks of a new epoch come after the end of the old one.
        let applied = AppliedBlock {
            committed: Arc::new(committed),
            hash,
            transactions: transactions.clone(),
            spent,
            created,
            receipts,
            slashed,
            spenders,
            state: Arc::clone(&self.state),
            own,
        };
        self.notify(Notification::BlockApplied(Arc::new(applied)));
        let is_new_epoch = self.state.next_epoch() != epoch_before;
        if is_new_epoch {
            self.leave_epoch();
        }
        self.step_finality(finality::Input::BlockApplied { transactions });
        if is_new_epoch {
            self.replay_journaled_epoch();
            self.set_signer();
        }
        self.batches.settle(self.finality.settled());
        self.start_height();
        self.schedule_flush();
        self.replay_early();
        self.tick_status();
        self.continue_sync();
    }

    /// Everything of the ended epoch goes: its closing block is durable. What is in the pending batch was cast
    /// before closing was entered, and was flushed then.
    fn leave_epoch(&mut self) {
        let epoch = self.state.next_epoch();
        info!(epoch, validators = self.state.validators().len(), "epoch started");
        self.journaled_bodies.clear();
        self.journaled_batches.clear();
        self.next_seq = self.next_seq.split_off(&epoch);
        self.closing_journaled = self.closing_journaled.split_off(&epoch);
        self.batches = finality::BatchStore::new(self.state.validators().len());
        self.batch_requests.clear();
        // Else the journal was there before, with a chain that was lost since.
        if epoch > self.signs_from {
            self.signs_from = epoch;
            let mut records = vec![JournalRecord::EpochStarted { epoch }];
            // Older segments go; what stops this node from signing has to stay, what its operator decided, and what no
            // block says yet.
            records.extend(self.fork.iter().cloned().map(JournalRecord::Fork));
            records.extend(self.acknowledged_forks.iter().cloned().map(JournalRecord::ForkAcknowledged));
            records.extend(self.evidence.all().cloned().map(JournalRecord::Evidence));
            self.out.push(Output::Persist(Staged { records, release: Vec::new() }));
            self.out.push(Output::PruneJournal(epoch));
        }
    }

    pub(super) fn start_height(&mut self) {
        let (machine, effects) = self.machine_of_height();
        self.previous_bft = Some(std::mem::replace(&mut self.bft, machine));
        for effect in effects {
            self.execute_bft(effect);
        }
        self.schedule_height();
    }

    // -- for people -----------------------------------------------------------------------------------------------

    pub(super) fn report_progress(&mut self) {
        let (height, round) = (self.next_height(), self.bft.round());
        let prevote_weight = self.bft.prevote_weight(round);
        let quorum = self.state.validators().quorum();
        let overdue = self.now_ms > self.due_ms().saturating_add(super::HALT_AFTER_MS);
        let halted = overdue && prevote_weight < quorum && !self.is_committing() && !self.is_syncing();
        let progress = Progress {
            height,
            epoch: self.state.next_epoch(),
            round,
            step: self.bft.current_step(),
            closing: self.finality.is_closing(),
            prevote_weight,
            quorum,
            halted,
        };
        if self.progress.as_ref() != Some(&progress) {
            let was_halted = self.progress.as_ref().is_some_and(|before| before.halted);
            if halted && !was_halted {
                warn!(
                    height,
                    round,
                    "Waiting for masternodes: weight {prevote_weight} of {quorum} needed votes; blocks and finality wait"
                );
            } else if was_halted && !halted {
                info!(height, round, "enough masternodes vote again");
            }
            self.progress = Some(progress.clone());
            self.notify(Notification::Progress(progress));
        }
    }

    /// The height that a block log holds once what is decided is written.
    #[must_use]
    pub fn committed_height(&self) -> Height {
        self.state.height()
    }

    /// An output as votes see it: in the chain's state.
    #[must_use]
    pub fn utxo(&self, outpoint: &OutPoint) -> Option<crate::types::UtxoEntry> {
        self.utxos.utxo(outpoint)
    }
}
