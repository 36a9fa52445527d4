//! The state transition: one function executes a block for its proposer, for validators, for sync and at replay.
//!
//! # Place
//! Called by the block layer's shell ([`propose`], [`validate`]), by sync ([`validate_block`]) and at start
//! ([`replay`]). Calls the rules of transactions, commits, rewards and proposers. The clock rule of a first prevote and
//! whether transactions are certified are local checks made elsewhere.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `error.rs` | why a block is invalid |
//!
//! # Invariants
//! - INV-BLOCK-1: validity is a function of the state before and the block; all four ways share [`execute`].
//! - INV-BLOCK-2: no block of valid headers is called invalid for the witnesses in a copy of it; see
//!   [`BlockError::is_of_this_copy_only`].
//! - INV-BLOCK-3: room for the epoch's `Reward` is kept free in every block.

mod error;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use error::BlockError;

use super::commit::{CommitError, check_commit, check_commit_shape};
use super::evidence::{EvidenceError, check_against, check_content, check_signatures};
use super::masternodes::epoch_end::EpochEnd;
use super::masternodes::membership::end_epoch;
use super::masternodes::slashing::slash;
use super::masternodes::{Receipt, Slashed, payloads};
use super::proposer::proposer_of_round;
use super::rewards::{REWARD_BYTES_MAX, accrual, reward_transaction, shares};
use super::state::{EpochSet, LedgerState};
use super::validity::{CheckedTransaction, TransactionError, UtxoReader, check_spend};
use crate::types::block::tx_root;
use crate::types::codec::encode;
use crate::types::evidence::evidence_root;
use crate::types::limits::{EVIDENCE_BYTES_MAX, TRANSACTION_BYTES_MAX};
use crate::types::{
    Amount, Block, BlockBlueprint, ChainParameters, Commit, Evidence, Header, Height, Lock, MasternodeId,
    OutPoint, Payload, Round, RuleVersion, SignatureVerifier, TimeMs, Transaction, TxId, UtxoEntry,
};

/// What a block has room for beside the reward.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockCapacity {
    /// Encoded bytes of transactions.
    pub bytes: u64,
    /// Transactions.
    pub transactions: u64,
}

impl BlockCapacity {
    /// The capacity by a network's parameters, with the reward's bytes and place reserved.
    #[must_use]
    pub fn of(parameters: &ChainParameters) -> Self {
        Self {
            bytes: parameters.block_bytes_max.saturating_sub(REWARD_BYTES_MAX),
            transactions: parameters.block_transactions_max.saturating_sub(1),
        }
    }

    /// Whether a block of so many bytes and transactions has no room for another transaction of the largest size.
    #[must_use]
    pub fn is_full(&self, bytes: u64, transactions: u64) -> bool {
        let largest = u64::try_from(TRANSACTION_BYTES_MAX).unwrap_or(u64::MAX);
        transactions >= self.transactions || bytes.saturating_add(largest) > self.bytes
    }
}

/// What the proposer of a block decides.
#[derive(Clone, Copy, Debug)]
pub struct BlockDraft<'a> {
    /// The round of its first proposal.
    pub round: Round,
    /// Later than the tip's.
    pub time: TimeMs,
    /// Whether it ends its epoch; only in closing blocks.
    pub epoch_end: bool,
    /// Who proposes it; has to be the round's proposer.
    pub proposer: MasternodeId,
    /// The newest version of the rules that its program knows.
    pub announces: RuleVersion,
    /// The commit of the tip; [`Commit::default`] for block 1.
    pub last_commit: &'a Commit,
    /// The transactions without the reward, parents before children.
    pub transactions: &'a [CheckedTransaction],
    /// Contradictions to punish.
    pub evidence: &'a [Arc<Evidence>],
}

/// What a block does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockOutcome {
    /// The state after it.
    pub state: LedgerState,
    /// Outputs of the state before that it spends, in the order of transactions and inputs.
    pub spent: Vec<(OutPoint, UtxoEntry)>,
    /// Outputs that it makes and leaves unspent, the reward's included, in the order of outpoints.
    pub created: Vec<(OutPoint, UtxoEntry)>,
    /// Outputs that it makes and spends itself, in the order in which they are spent: never in the state, neither
    /// before nor after, but in an address's history.
    pub transient: Vec<(OutPoint, UtxoEntry)>,
    /// The reward that it pays, its last transaction.
    pub reward: Option<Arc<Transaction>>,
    /// Fees of its transactions.
    pub fees: Amount,
    /// What became of payloads that speak of masternodes, in the order of the transactions.
    pub receipts: Vec<Receipt>,
    /// Collaterals that its evidence made less, in the order of the evidence.
    pub slashed: Vec<Slashed>,
}

/// What has to be recorded beside a block in the log, so that [`replay`] needs no index of outputs.
#[must_use]
pub fn inputs_in_order(outcome: &BlockOutcome) -> Vec<UtxoEntry> {
    outcome.spent.iter().map(|(_, entry)| *entry).collect()
}

/// What the transactions of a block move.
#[derive(Default)]
struct Moves {
    spent: Vec<(OutPoint, UtxoEntry)>,
    spent_names: BTreeSet<OutPoint>,
    transient: Vec<(OutPoint, UtxoEntry)>,
    unspent: BTreeMap<OutPoint, UtxoEntry>,
    /// Outputs that the block marks as collateral: nobody spends them before the next epoch.
    marked: BTreeSet<OutPoint>,
    /// Places of transactions that speak of masternodes, with who owned their inputs.
    calls: Vec<(usize, Vec<Lock>)>,
    fees: Amount,
    bytes: u64,
}

/// Where outputs of the state before the block come from.
type Source<'a> = dyn FnMut(&OutPoint) -> Option<UtxoEntry> + 'a;

impl Moves {
    fn take(&mut self, outpoint: &OutPoint, source: &mut Source<'_>) -> Option<UtxoEntry> {
        if let Some(entry) = self.unspent.remove(outpoint) {
            self.transient.push((*outpoint, entry));
            return Some(entry);
        }
        // The source shows the state before the block, where an output that the block spends still is.
        if !self.spent_names.insert(*outpoint) {
            return None;
        }
        let entry = source(outpoint)?;
        self.spent.push((*outpoint, entry));
        Some(entry)
    }

    fn make(&mut self, transaction: &Transaction, txid: TxId, height: Height) {
        for (outpoint, output) in transaction.created(txid) {
            self.unspent.insert(outpoint, UtxoEntry { output: *output, height });
        }
        self.marked.extend(transaction.marked_collateral().map(|index| OutPoint { txid, index }));
    }

    fn apply(
        &mut self,
        state: &LedgerState,
        source: &mut Source<'_>,
        (place, checked): (usize, &CheckedTransaction),
    ) -> Result<(), TransactionError> {
        let mut entries = Vec::with_capacity(checked.inputs().len());
        for outpoint in checked.inputs() {
            if self.marked.contains(outpoint) {
                return Err(TransactionError::CollateralBound { outpoint: *outpoint });
            }
            let entry = self.take(outpoint, source);
            entries.push(entry.ok_or(TransactionError::MissingInput { outpoint: *outpoint })?);
        }
        let fee = check_spend(checked, &entries, state)?;
        if checked.transaction().payload.acts_on_masternodes() {
            self.calls.push((place, entries.iter().map(|entry| entry.output.lock).collect()));
        }
        self.fees = self.fees.checked_add(fee).ok_or(TransactionError::InputsOverflow)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(checked.encoded_bytes()).unwrap_or(u64::MAX));
        self.make(checked.transaction(), checked.txid(), state.height.saturating_add(1));
        Ok(())
    }
}

fn check_draft(state: &LedgerState, draft: &BlockDraft<'_>) -> Result<(), BlockError> {
    let (previous, found) = (state.tip_time, draft.time);
    if found <= previous {
        return Err(BlockError::TimeNotLater { previous, found });
    }
    let proposer = proposer_of_round(&state.proposer_order(), draft.round)
        .and_then(|place| state.validators.get(place))
        .ok_or(BlockError::InconsistentState { what: "the validator set is empty" })?;
    if proposer.id != draft.proposer {
        let (round, expected, found) = (draft.round, proposer.id, draft.proposer);
        return Err(BlockError::WrongProposer { round, expected, found });
    }
    let (in_force, found) = (state.rules.in_force(), draft.announces);
    if found < in_force {
        return Err(BlockError::AnnouncesLess { in_force, found });
    }
    if draft.epoch_end && !state.is_closing() {
        return Err(BlockError::EarlyEpochEnd);
    }
    if state.height == 0 {
        return if *draft.last_commit == Commit::default() {
            Ok(())
        } else {
            Err(CommitError::NotEmpty.into())
        };
    }
    let set = &state.tip_validators.set;
    Ok(check_commit_shape(set, state.height, state.tip_hash, draft.last_commit)?)
}

fn run_transactions(
    state: &LedgerState,
    source: &mut Source<'_>,
    draft: &BlockDraft<'_>,
) -> Result<Moves, BlockError> {
    let capacity = BlockCapacity::of(&state.parameters);
    let count = u64::try_from(draft.transactions.len()).unwrap_or(u64::MAX);
    if count > capacity.transactions {
        return Err(BlockError::TooManyTransactions { count, max: capacity.transactions });
    }
    let mut moves = Moves::default();
    for (index, checked) in draft.transactions.iter().enumerate() {
        let txid = checked.txid();
        moves.apply(state, source, (index, checked)).map_err(|error| BlockError::Transaction {
            index,
            txid,
            error,
        })?;
    }
    // After the transactions: only now it is known that no superfluous witness in a bad copy counts here.
    let bytes = moves.bytes;
    if bytes > capacity.bytes {
        return Err(BlockError::TooManyBytes { bytes, max: capacity.bytes });
    }
    if state.is_closing() && !draft.epoch_end && !capacity.is_full(bytes, count) {
        return Err(BlockError::ClosingNotFull);
    }
    Ok(moves)
}

/// Lets every payload that speaks of masternodes take effect, or be void.
fn apply_payloads(
    after: &mut LedgerState,
    transactions: &[CheckedTransaction],
    calls: &[(usize, Vec<Lock>)],
) -> Vec<Receipt> {
    let mut receipts = Vec::with_capacity(calls.len());
    let (parameters, height) = (Arc::clone(&after.parameters), after.height);
    for (place, input_locks) in calls {
        let Some(checked) = transactions.get(*place) else { continue };
        let call = payloads::Call { txid: checked.txid(), transaction: checked.transaction(), input_locks };
        receipts.extend(payloads::apply(Arc::make_mut(&mut after.registry), &parameters, height, call));
    }
    receipts
}

/// Punishes what the block has evidence of. Contents and signatures are checked apart from this.
fn apply_evidence(
    state: &LedgerState,
    after: &mut LedgerState,
    evidence: &[Arc<Evidence>],
) -> Result<Vec<Slashed>, BlockError> {
    let inconsistent = |what| BlockError::InconsistentState { what };
    let bytes = evidence.iter().fold(0_usize, |sum, piece| sum.saturating_add(encode(piece.as_ref()).len()));
    if bytes > EVIDENCE_BYTES_MAX {
        return Err(BlockError::TooMuchEvidence { bytes });
    }
    let parameters = Arc::clone(&after.parameters);
    let mut slashed = Vec::with_capacity(evidence.len());
    for (index, piece) in evidence.iter().enumerate() {
        let invalid = |error| BlockError::Evidence { index, error };
        check_content(piece).map_err(invalid)?;
        check_against(piece, state).map_err(invalid)?;
        let validator = piece.validator();
        // Twice in one block: the record says that it was slashed.
        let burnt = slash(Arc::make_mut(&mut after.registry), &parameters, validator)
            .ok_or(invalid(EvidenceError::NotSlashable { validator }))?;
        after.supply =
            after.supply.checked_sub(burnt.burned()).ok_or(inconsistent("slashing exceeds the supply"))?;
        slashed.push(burnt);
    }
    Ok(slashed)
}

/// Pays the pot of the epoch and starts the next one.
fn close_epoch(after: &mut LedgerState, proposer: MasternodeId) -> Result<Transaction, BlockError> {
    let inconsistent = |what| BlockError::InconsistentState { what };
    let pot = after.fees.checked_add(after.reward_accrued).ok_or(inconsistent("the pot overflows"))?;
    let mut payouts = Vec::new();
    for (id, share) in shares(pot, &after.credits, proposer) {
        let record = after.registry.get(&id).ok_or(inconsistent("a signer has no record"))?;
        payouts.push((record.payout, share));
    }
    after.supply = after.supply.checked_add(pot).ok_or(inconsistent("the supply overflows"))?;
    after.fees = Amount::ZERO;
    after.reward_accrued = Amount::ZERO;
    after.credits.clear();
    let (parameters, ended) = (Arc::clone(&after.parameters), Arc::clone(&after.validators));
    let attendance = std::mem::take(&mut after.attendance);
    // The last block's own commit is not in the chain yet.
    let commits = after.height.saturating_sub(after.past_epochs.last_height()).saturating_sub(1);
    let end = EpochEnd {
        parameters: &parameters,
        ended: &ended,
        attendance: &attendance,
        commits: u32::try_from(commits).unwrap_or(u32::MAX),
        end: after.tip_time,
    };
    let next = Arc::new(end_epoch(Arc::make_mut(&mut after.registry), &end));
    after.attendance = attendance;
    after.turn_epoch(next).ok_or(inconsistent("epochs overflow"))?;
    Ok(reward_transaction(after.height, payouts))
}

/// What no block can mint beyond: outputs, fees and accrued reward fit into 64 bits together.
fn headroom(state: &LedgerState) -> u64 {
    let used = [state.supply, state.fees, state.reward_accrued];
    used.into_iter().fold(u64::MAX, |left, amount| left.saturating_sub(amount.0))
}

/// Executes a block: the one function behind [`propose`], [`validate`], [`validate_block`] and [`replay`]. The tip's
/// hash in the outcome still is that of the state before, since the header that it comes from contains the digest of
/// the outcome.
fn execute(
    state: &LedgerState,
    source: &mut Source<'_>,
    draft: &BlockDraft<'_>,
) -> Result<BlockOutcome, BlockError> {
    let inconsistent = |what| BlockError::InconsistentState { what };
    check_draft(state, draft)?;
    let mut moves = run_transactions(state, source, draft)?;

    let mut after = state.clone();
    if state.height > 0 {
        after.record_commit(draft.last_commit);
    }
    after.rules.note(draft.proposer, draft.announces);
    after.height = state.height.checked_add(1).ok_or(inconsistent("heights overflow"))?;
    after.tip_time = draft.time;
    if state.height == 0 {
        after.epoch_start = draft.time;
    }
    after.tip_validators = EpochSet { epoch: state.epoch, set: Arc::clone(&state.validators) };
    after.supply = state.supply.checked_sub(moves.fees).ok_or(inconsistent("fees exceed the supply"))?;
    after.fees = state.fees.checked_add(moves.fees).ok_or(inconsistent("the fees overflow"))?;
    let minted =
        accrual(&state.parameters, draft.time.saturating_sub(state.tip_time)).0.min(headroom(&after));
    after.reward_accrued =
        state.reward_accrued.checked_add(Amount(minted)).ok_or(inconsistent("the reward overflows"))?;

    let receipts = apply_payloads(&mut after, draft.transactions, &moves.calls);
    let slashed = apply_evidence(state, &mut after, draft.evidence)?;
    let reward =
        if draft.epoch_end { Some(Arc::new(close_epoch(&mut after, draft.proposer)?)) } else { None };
    if let Some(reward) = &reward {
        moves.make(reward, reward.txid(), after.height);
    }
    let Moves { spent, transient, unspent, fees, .. } = moves;
    let created: Vec<(OutPoint, UtxoEntry)> = unspent.into_iter().collect();
    after.move_outputs(&spent, &created);
    for change in &slashed {
        after.move_outputs(&[(change.outpoint, change.before)], &[(change.outpoint, change.after)]);
    }
    after.settle_multiset(state);
    Ok(BlockOutcome { state: after, spent, created, transient, reward, fees, receipts, slashed })
}

/// Makes the next block and executes it. The signatures of `last_commit` and of the evidence are the caller's to have
/// checked.
///
/// # Errors
/// The first rule that the draft breaks; [`BlockError::Transaction`] says which transaction to leave out.
pub fn propose(
    state: &LedgerState,
    reader: &dyn UtxoReader,
    draft: &BlockDraft<'_>,
) -> Result<(Block, BlockOutcome), BlockError> {
    let mut outcome = execute(state, &mut |outpoint| reader.utxo(outpoint), draft)?;
    let mut txids: Vec<TxId> = draft.transactions.iter().map(CheckedTransaction::txid).collect();
    let mut transactions: Vec<Arc<Transaction>> =
        draft.transactions.iter().map(|checked| Arc::clone(checked.transaction())).collect();
    if let Some(reward) = &outcome.reward {
        txids.push(reward.txid());
        transactions.push(Arc::clone(reward));
    }
    let header = Header {
        chain_id: state.chain_id,
        height: outcome.state.height,
        round: draft.round,
        epoch: state.epoch,
        epoch_end: draft.epoch_end,
        time: draft.time,
        prev_hash: state.tip_hash,
        last_commit_root: draft.last_commit.root(),
        tx_root: tx_root(&txids),
        evidence_root: evidence_root(draft.evidence.iter().map(Arc::as_ref)),
        epoch_ends_root: state.epoch_ends.root(),
        state_digest: outcome.state.digest(),
        validators_hash: state.validators.hash(),
        next_validators_hash: outcome.state.validators.hash(),
        proposer: draft.proposer,
        rules: state.rules.in_force(),
        announced: draft.announces,
    };
    outcome.state.name_tip(&header);
    let (last_commit, evidence) = (draft.last_commit.clone(), draft.evidence.to_vec());
    Ok((Block { header, last_commit, transactions, evidence }, outcome))
}

/// The rules of a header that need no execution.
fn check_header(state: &LedgerState, header: &Header) -> Result<(), BlockError> {
    if header.chain_id != state.chain_id {
        return Err(BlockError::ForeignChain { expected: state.chain_id, found: header.chain_id });
    }
    let (expected, found) = (state.height.saturating_add(1), header.height);
    if found != expected {
        return Err(BlockError::WrongHeight { expected, found });
    }
    let (expected, found) = (state.tip_hash, header.prev_hash);
    if found != expected {
        return Err(BlockError::WrongParent { expected, found });
    }
    let (expected, found) = (state.epoch, header.epoch);
    if found != expected {
        return Err(BlockError::WrongEpoch { expected, found });
    }
    let (expected, found) = (state.validators.hash(), header.validators_hash);
    if found != expected {
        return Err(BlockError::WrongValidatorsHash { expected, found });
    }
    let (expected, found) = (state.rules.in_force(), header.rules);
    if found != expected {
        return Err(BlockError::WrongRules { expected, found });
    }
    let (expected, found) = (state.epoch_ends.root(), header.epoch_ends_root);
    if found != expected {
        return Err(BlockError::WrongEpochEndsRoot { expected, found });
    }
    Ok(())
}

/// The rules that bind header, commit, evidence and txids to each other and to the transactions at hand.
fn check_bindings(block: &BlockBlueprint, transactions: &[CheckedTransaction]) -> Result<(), BlockError> {
    if block.header.last_commit_root != block.last_commit.root() {
        return Err(BlockError::WrongLastCommitRoot);
    }
    if block.header.tx_root != tx_root(&block.txids) {
        return Err(BlockError::WrongTxRoot);
    }
    if block.header.evidence_root != evidence_root(block.evidence.iter().map(Arc::as_ref)) {
        return Err(BlockError::WrongEvidenceRoot);
    }
    let mut pairs = block.txids.iter().zip(transactions);
    match pairs.position(|(txid, checked)| *txid != checked.txid()) {
        Some(index) => Err(BlockError::WrongTransaction { index }),
        None => Ok(()),
    }
}

/// The rules that compare the header and the last txid with what execution gave.
fn check_outcome(
    block: &BlockBlueprint,
    transactions: &[CheckedTransaction],
    outcome: &BlockOutcome,
) -> Result<(), BlockError> {
    let expected = transactions.len().saturating_add(usize::from(outcome.reward.is_some()));
    if block.txids.len() != expected {
        return Err(BlockError::WrongTransactionCount { expected, named: block.txids.len() });
    }
    if let Some(expected) = outcome.reward.as_ref().map(|reward| reward.txid())
        && block.txids.last() != Some(&expected)
    {
        return Err(BlockError::WrongReward { expected });
    }
    let (expected, found) = (outcome.state.validators.hash(), block.header.next_validators_hash);
    if found != expected {
        return Err(BlockError::WrongNextValidatorsHash { expected, found });
    }
    let (expected, found) = (outcome.state.digest(), block.header.state_digest);
    if found != expected {
        return Err(BlockError::WrongStateDigest { expected, found });
    }
    Ok(())
}

/// Everything but the signatures.
fn run(
    state: &LedgerState,
    source: &mut Source<'_>,
    block: &BlockBlueprint,
    transactions: &[CheckedTransaction],
) -> Result<BlockOutcome, BlockError> {
    let header = &block.header;
    check_header(state, header)?;
    check_bindings(block, transactions)?;
    let draft = BlockDraft {
        round: header.round,
        time: header.time,
        epoch_end: header.epoch_end,
        proposer: header.proposer,
        announces: header.announced,
        last_commit: &block.last_commit,
        transactions,
        evidence: &block.evidence,
    };
    let mut outcome = execute(state, source, &draft)?;
    check_outcome(block, transactions, &outcome)?;
    outcome.state.name_tip(header);
    Ok(outcome)
}

/// Holds every rule of the next block that depends on state and block alone, and executes it. `transactions` are those
/// that the txids name, in their order, without the reward.
///
/// # Errors
/// The first rule that is broken; the signatures of the last commit and then those of the evidence are checked last.
pub fn validate(
    state: &LedgerState,
    reader: &dyn UtxoReader,
    verifier: &dyn SignatureVerifier,
    block: &BlockBlueprint,
    transactions: &[CheckedTransaction],
) -> Result<BlockOutcome, BlockError> {
    let outcome = run(state, &mut |outpoint| reader.utxo(outpoint), block, transactions)?;
    if state.height > 0 {
        let tip = &state.tip_validators;
        let (set, parent) = ((tip.epoch, tip.set.as_ref()), (state.height, state.tip_hash));
        check_commit(&state.chain_id, set, parent, &block.last_commit, verifier)?;
    }
    for (index, piece) in block.evidence.iter().enumerate() {
        check_against(piece, state)
            .and_then(|key| check_signatures(piece, &state.chain_id, key, verifier))
            .map_err(|error| BlockError::Evidence { index, error })?;
    }
    Ok(outcome)
}

/// The block's transactions without its reward: that one is no transaction to be checked but one to be made again.
fn without_reward(block: &Block) -> (&[Arc<Transaction>], Option<&Arc<Transaction>>) {
    match block.transactions.split_last() {
        Some((last, rest)) if block.header.epoch_end && matches!(last.payload, Payload::Reward { .. }) => {
            (rest, Some(last))
        }
        _ => (&block.transactions, None),
    }
}

/// Validates a block that comes with its transactions, as in sync: checks each of them, then does what [`validate`]
/// does. Gives the transactions without the reward too.
///
/// # Errors
/// The first rule that is broken.
pub fn validate_block(
    state: &LedgerState,
    reader: &dyn UtxoReader,
    verifier: &dyn SignatureVerifier,
    block: &Block,
) -> Result<(Vec<CheckedTransaction>, BlockOutcome), BlockError> {
    let blueprint = block.blueprint();
    // Before any signature is checked: a block with other transactions than its header binds costs hashes only.
    check_header(state, &blueprint.header)?;
    check_bindings(&blueprint, &[])?;
    let (transactions, reward) = without_reward(block);
    let results =
        CheckedTransaction::check_many(transactions.to_vec(), &state.chain_id, &state.parameters, verifier);
    let mut checked = Vec::with_capacity(results.len());
    for (index, (result, txid)) in results.into_iter().zip(&blueprint.txids).enumerate() {
        checked.push(result.map_err(|error| BlockError::Transaction { index, txid: *txid, error })?);
    }
    let outcome = validate(state, reader, verifier, &blueprint, &checked)?;
    // The txid does not cover witnesses, which a reward has not.
    match (reward, &outcome.reward) {
        (Some(given), Some(made)) if given != made => {
            let error = TransactionError::TooManyWitnesses { witnesses: given.witnesses.len(), inputs: 0 };
            Err(BlockError::Transaction { index: checked.len(), txid: made.txid(), error })
        }
        _ => Ok((checked, outcome)),
    }
}

/// Executes a block of the node's own log again, with the inputs that were recorded beside it ([`inputs_in_order`]):
/// without signatures and without a reader of outputs, but with the same rules and the check of the digest.
///
/// # Errors
/// The first rule that is broken: the log is damaged or of another version.
pub fn replay(
    state: &LedgerState,
    recorded: &[UtxoEntry],
    block: &Block,
) -> Result<BlockOutcome, BlockError> {
    let blueprint = block.blueprint();
    let (transactions, _) = without_reward(block);
    let checked: Vec<CheckedTransaction> = transactions
        .iter()
        .map(|transaction| CheckedTransaction::from_own_log(Arc::clone(transaction)))
        .collect();
    let mut entries = recorded.iter();
    let outcome = run(state, &mut |_| entries.next().copied(), &blueprint, &checked)?;
    let (spent, recorded) = (outcome.spent.len(), recorded.len());
    if spent != recorded {
        return Err(BlockError::RecordedInputs { spent, recorded });
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests;
