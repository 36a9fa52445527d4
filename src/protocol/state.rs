//! The chain's state at its tip, without the unspent outputs themselves.
//!
//! # Place
//! Made from the genesis document, moved on by [`super::transition`] alone, read by everybody. The outputs live with
//! their readers; here is only their commitment.
//!
//! The set of an epoch is computed from the masternodes' records, at genesis and at each epoch's end; see
//! [`super::masternodes`].
//!
//! # Invariants
//! - INV-STATE-1: everything that a later block depends on is in the multiset: outputs, masternode records, both
//!   validator sets and those of past epochs, counters and credits, recent signers and attendance, outputs that void
//!   registrations marked, the rules in force with what is announced. The tip's hash is not, nor are the names of the epochs' last blocks: the next header
//!   commits to both anyway.
//! - INV-STATE-2: the multiset that blocks changed step by step equals the one computed afresh.
//! - INV-STATE-3: `supply` is the sum of all unspent outputs, and outputs, unpaid fees and accrued reward together
//!   fit into 64 bits; accrual stops there, so no block ever becomes invalid by it.
//!
//! # Units
//! Amounts in base units, times in milliseconds.

use std::collections::BTreeMap;
use std::sync::Arc;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use super::activation::Rules;
use super::commit::{CommitError, RecentCommit, RecentCommits, check_commit};
use super::masternodes::membership::genesis_set;
use super::masternodes::{Attendance, MasternodeRecord, PastEpoch, PastEpochs, Registry};
use super::multiset::MultisetHash;
use super::proposer::proposer_order;
use crate::types::codec::encode;
use crate::types::genesis::GenesisError;
use crate::types::merkle::GrowingTree;
use crate::types::{
    Amount, BlockHash, ChainId, ChainParameters, Commit, Epoch, GenesisDocument, Hash, Header, Height,
    MasternodeId, OutPoint, PublicKey, SignatureVerifier, StateDigest, TimeMs, UtxoEntry, Validator,
    ValidatorSet,
};

/// A set with the epoch that it votes in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EpochSet {
    /// The epoch.
    pub epoch: Epoch,
    /// Its set.
    pub set: Arc<ValidatorSet>,
}

/// The state after the block at the tip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LedgerState {
    pub(super) chain_id: ChainId,
    pub(super) parameters: Arc<ChainParameters>,
    pub(super) height: Height,
    pub(super) tip_hash: BlockHash,
    pub(super) tip_time: TimeMs,
    /// The epoch of the next block.
    pub(super) epoch: Epoch,
    pub(super) epoch_start: TimeMs,
    pub(super) validators: Arc<ValidatorSet>,
    pub(super) tip_validators: EpochSet,
    pub(super) registry: Arc<Registry>,
    pub(super) past_epochs: Arc<PastEpochs>,
    /// Of the members of the current set.
    pub(super) attendance: BTreeMap<MasternodeId, Attendance>,
    pub(super) credits: BTreeMap<MasternodeId, u64>,
    pub(super) reward_accrued: Amount,
    pub(super) fees: Amount,
    pub(super) supply: Amount,
    pub(super) recent: RecentCommits,
    /// Names of the last blocks of all ended epochs.
    pub(super) epoch_ends: GrowingTree,
    pub(super) rules: Rules,
    pub(super) multiset: MultisetHash,
}

/// One element of the multiset. The variant is part of the encoding, so that two kinds of element never are equal.
#[derive(Encode)]
enum Element<'a> {
    Output(&'a OutPoint, &'a UtxoEntry),
    Masternode(&'a MasternodeId, &'a MasternodeRecord),
    Validators(&'a [Validator]),
    TipValidators(Epoch, &'a [Validator]),
    RecentCommit(&'a RecentCommit),
    Counters(Counters<'a>),
    VoidCollateral(&'a OutPoint),
    /// With its first and last height, its end and the hash of its set.
    PastEpoch(Epoch, Height, Height, TimeMs, Hash),
    Attendance(&'a BTreeMap<MasternodeId, Attendance>),
    Rules(&'a Rules),
}

#[derive(Encode)]
struct Counters<'a> {
    height: Height,
    tip_time: TimeMs,
    epoch: Epoch,
    epoch_start: TimeMs,
    reward_accrued: Amount,
    fees: Amount,
    supply: Amount,
    credits: &'a BTreeMap<MasternodeId, u64>,
    registrations: u64,
    requests: u64,
}

impl LedgerState {
    /// The state before block 1, with the outputs that exist then.
    ///
    /// # Errors
    /// The first rule of genesis documents that this one breaks.
    pub fn genesis(document: &GenesisDocument) -> Result<(Self, Vec<(OutPoint, UtxoEntry)>), GenesisError> {
        document.check()?;
        let chain_id = document.chain_id();
        let registry = Registry::genesis(document)?;
        let validators = Arc::new(genesis_set(&registry, &document.parameters));
        let outputs: Vec<(OutPoint, UtxoEntry)> = document
            .outputs()
            .into_iter()
            .map(|(outpoint, output)| (outpoint, UtxoEntry { output, height: 0 }))
            .collect();
        let supply = Amount::checked_sum(outputs.iter().map(|(_, entry)| entry.output.value))
            .ok_or(GenesisError::BadSupply)?;
        let mut state = Self {
            chain_id,
            parameters: Arc::new(document.parameters.clone()),
            height: 0,
            tip_hash: BlockHash(chain_id.0),
            tip_time: document.time_ms,
            epoch: 0,
            epoch_start: document.time_ms,
            tip_validators: EpochSet { epoch: 0, set: Arc::clone(&validators) },
            attendance: fresh_attendance(&validators),
            validators,
            registry: Arc::new(registry),
            past_epochs: Arc::default(),
            credits: BTreeMap::new(),
            reward_accrued: Amount::ZERO,
            fees: Amount::ZERO,
            supply,
            recent: RecentCommits::default(),
            epoch_ends: GrowingTree::default(),
            rules: Rules::default(),
            multiset: MultisetHash::default(),
        };
        state.multiset = state.recompute_multiset(outputs.iter().copied());
        Ok((state, outputs))
    }

    /// The network.
    #[must_use]
    pub const fn chain_id(&self) -> &ChainId {
        &self.chain_id
    }

    /// The network's parameters.
    #[must_use]
    pub const fn parameters(&self) -> &Arc<ChainParameters> {
        &self.parameters
    }

    /// Height of the tip, 0 before block 1.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }

    /// The tip; before block 1 the chain id's bytes.
    #[must_use]
    pub const fn tip_hash(&self) -> BlockHash {
        self.tip_hash
    }

    /// Time of the tip; before block 1 the genesis document's.
    #[must_use]
    pub const fn tip_time(&self) -> TimeMs {
        self.tip_time
    }

    /// The epoch of the next block: the one whose votes count now.
    #[must_use]
    pub const fn next_epoch(&self) -> Epoch {
        self.epoch
    }

    /// When the epoch of the next block started: its predecessor's last block's time, in epoch 0 block 1's, and the
    /// genesis document's before that.
    #[must_use]
    pub const fn epoch_start(&self) -> TimeMs {
        self.epoch_start
    }

    /// The set that votes on the next block.
    #[must_use]
    pub const fn validators(&self) -> &Arc<ValidatorSet> {
        &self.validators
    }

    /// The epoch of the tip and the set that voted on it.
    #[must_use]
    pub const fn tip_validators(&self) -> &EpochSet {
        &self.tip_validators
    }

    /// The masternodes by their ids.
    #[must_use]
    pub fn masternodes(&self) -> &BTreeMap<MasternodeId, MasternodeRecord> {
        self.registry.records()
    }

    /// The masternodes with all that follows from their records.
    #[must_use]
    pub const fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Ended epochs that evidence may still speak of.
    #[must_use]
    pub const fn past_epochs(&self) -> &Arc<PastEpochs> {
        &self.past_epochs
    }

    /// Which of the last commits the members of the current set signed.
    #[must_use]
    pub const fn attendance(&self) -> &BTreeMap<MasternodeId, Attendance> {
        &self.attendance
    }

    /// Whether an output is bound as collateral, or was marked as one, and so can't be spent in this epoch.
    #[must_use]
    pub fn is_bound(&self, outpoint: &OutPoint) -> bool {
        self.registry.is_bound(outpoint)
    }

    /// The set of an epoch, if it is the current one or acts in it can still be punished.
    #[must_use]
    pub fn set_of_epoch(&self, epoch: Epoch) -> Option<&Arc<ValidatorSet>> {
        if epoch == self.epoch {
            return Some(&self.validators);
        }
        self.past_epochs.get(epoch).map(|past| &past.set)
    }

    /// Who had a key in the newest epoch whose acts can be punished, and which epoch that is.
    #[must_use]
    pub fn holder_of(&self, key: &PublicKey) -> Option<(Epoch, MasternodeId)> {
        let past = self.past_epochs.iter().rev().map(|past| (past.epoch, &past.set));
        let mut looked_at: Option<&Arc<ValidatorSet>> = None;
        std::iter::once((self.epoch, &self.validators)).chain(past).find_map(|(epoch, set)| {
            // Sets seldom change, and those that are equal share their memory.
            if looked_at.replace(set).is_some_and(|last| Arc::ptr_eq(last, set)) {
                return None;
            }
            set.find_key(key).map(|(_, member)| (epoch, member.id))
        })
    }

    /// The epoch that a height belongs to, with its set: heights above the tip belong to the current epoch as far as
    /// anybody knows, and epochs that ended too long ago are not known any more.
    #[must_use]
    pub fn epoch_of_height(&self, height: Height) -> Option<(Epoch, &Arc<ValidatorSet>)> {
        if height > self.past_epochs.last_height() {
            return Some((self.epoch, &self.validators));
        }
        self.past_epochs.of_height(height).map(|past| (past.epoch, &past.set))
    }

    /// Weight times commits signed of each masternode since the epoch's start.
    #[must_use]
    pub const fn credits(&self) -> &BTreeMap<MasternodeId, u64> {
        &self.credits
    }

    /// Reward that the epoch accrued and that is not paid yet.
    #[must_use]
    pub const fn reward_accrued(&self) -> Amount {
        self.reward_accrued
    }

    /// Fees that the epoch took in and that are not paid out yet.
    #[must_use]
    pub const fn fees(&self) -> Amount {
        self.fees
    }

    /// The sum of all unspent outputs.
    #[must_use]
    pub const fn supply(&self) -> Amount {
        self.supply
    }

    /// Who signed the last commits that the chain contains.
    #[must_use]
    pub const fn recent(&self) -> &RecentCommits {
        &self.recent
    }

    /// The names of the last blocks of all ended epochs, the tip's among them if it is one: the next header has their root.
    #[must_use]
    pub const fn epoch_ends(&self) -> &GrowingTree {
        &self.epoch_ends
    }

    /// Which rules the next block keeps to, and what is to come.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What the tip's header says of the state.
    #[must_use]
    pub fn digest(&self) -> StateDigest {
        self.multiset.digest()
    }

    /// Whether the next block is a closing one: its parent is of the same epoch and at least an epoch's duration later
    /// than the epoch's start.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.height > 0 && self.tip_validators.epoch == self.epoch && self.tip_time >= self.epoch_due()
    }

    /// When the epoch is due to end: the first block of at least this time is its last ordinary one.
    #[must_use]
    pub fn epoch_due(&self) -> TimeMs {
        self.epoch_start.saturating_add(self.parameters.epoch_duration_ms)
    }

    /// The places of the validators in the order in which they propose the next block, round by round.
    #[must_use]
    pub fn proposer_order(&self) -> Vec<usize> {
        proposer_order(&self.validators, self.height.saturating_add(1), &self.recent)
    }

    /// Holds the rules of the commit of the next block, whose header is given.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check_commit(
        &self,
        header: &Header,
        commit: &Commit,
        verifier: &dyn SignatureVerifier,
    ) -> Result<(), CommitError> {
        let expected = self.height.saturating_add(1);
        if header.height != expected {
            return Err(CommitError::WrongHeight { expected, found: header.height });
        }
        let (set, block) = ((self.epoch, self.validators.as_ref()), (header.height, header.hash()));
        check_commit(&self.chain_id, set, block, commit, verifier)
    }

    /// The digest computed afresh, over all unspent outputs at the tip: a check of the node's own state, and of one that
    /// comes from elsewhere. It does not cover chain id, parameters and the tip's hash; these are the checker's to know.
    #[must_use]
    pub fn recompute_digest(&self, outputs: impl Iterator<Item = (OutPoint, UtxoEntry)>) -> StateDigest {
        self.recompute_multiset(outputs).digest()
    }

    fn recompute_multiset(&self, outputs: impl Iterator<Item = (OutPoint, UtxoEntry)>) -> MultisetHash {
        let mut multiset = self.rest_of_multiset();
        for (outpoint, entry) in outputs {
            multiset.add(&output_element(&outpoint, &entry));
        }
        multiset
    }

    /// The multiset without the outputs.
    pub(super) fn rest_of_multiset(&self) -> MultisetHash {
        let mut multiset = MultisetHash::default();
        for (id, record) in self.registry.records() {
            multiset.add(&encode(&Element::Masternode(id, record)));
        }
        for outpoint in self.registry.void_collaterals() {
            multiset.add(&encode(&Element::VoidCollateral(outpoint)));
        }
        for past in self.past_epochs.iter() {
            multiset.add(&past_epoch_element(past));
        }
        multiset.add(&self.attendance_element());
        for commit in self.recent.iter() {
            multiset.add(&encode(&Element::RecentCommit(commit)));
        }
        multiset.add(&self.validators_element());
        multiset.add(&self.tip_validators_element());
        multiset.add(&self.counters_element());
        multiset.add(&self.rules_element());
        multiset
    }

    fn validators_element(&self) -> Vec<u8> {
        encode(&Element::Validators(self.validators.members()))
    }

    fn tip_validators_element(&self) -> Vec<u8> {
        encode(&Element::TipValidators(self.tip_validators.epoch, self.tip_validators.set.members()))
    }

    fn attendance_element(&self) -> Vec<u8> {
        encode(&Element::Attendance(&self.attendance))
    }

    fn rules_element(&self) -> Vec<u8> {
        encode(&Element::Rules(&self.rules))
    }

    fn counters_element(&self) -> Vec<u8> {
        let (registrations, requests) = self.registry.counters();
        encode(&Element::Counters(Counters {
            height: self.height,
            tip_time: self.tip_time,
            epoch: self.epoch,
            epoch_start: self.epoch_start,
            reward_accrued: self.reward_accrued,
            fees: self.fees,
            supply: self.supply,
            credits: &self.credits,
            registrations,
            requests,
        }))
    }

    /// Names the block that led to this state: its header contains the digest, so it comes after all the rest.
    pub(super) fn name_tip(&mut self, header: &Header) {
        self.tip_hash = header.hash();
        if header.epoch_end {
            self.epoch_ends.push(&self.tip_hash.0);
        }
    }

    /// Credits the signers of the tip's commit and remembers them among the recent ones.
    pub(super) fn record_commit(&mut self, commit: &Commit) {
        let set = &self.tip_validators.set;
        for member in commit.signers.iter().filter_map(|index| set.get(index)) {
            let credit = self.credits.entry(member.id).or_default();
            *credit = credit.saturating_add(member.weight);
        }
        let recent = Arc::new(RecentCommit::of(commit, set));
        // Who is in the set only since this epoch had no part in its predecessor's last commit.
        for member in set.members() {
            if let Some(attendance) = self.attendance.get_mut(&member.id) {
                attendance.note(recent.contains(&member.id), self.parameters.recent_commits);
            }
        }
        self.multiset.add(&encode(&Element::RecentCommit(&recent)));
        let limit = usize::try_from(self.parameters.recent_commits).unwrap_or(usize::MAX);
        if let Some(oldest) = self.recent.push(recent, limit) {
            self.multiset.remove(&encode(&Element::RecentCommit(&oldest)));
        }
    }

    /// Takes outputs out of the multiset and puts new ones in.
    pub(super) fn move_outputs(
        &mut self,
        spent: &[(OutPoint, UtxoEntry)],
        created: &[(OutPoint, UtxoEntry)],
    ) {
        for (outpoint, entry) in spent {
            self.multiset.remove(&output_element(outpoint, entry));
        }
        for (outpoint, entry) in created {
            self.multiset.add(&output_element(outpoint, entry));
        }
    }

    /// Ends the epoch whose last block this is: its set becomes history, the next one votes from now on.
    pub(super) fn turn_epoch(&mut self, next: Arc<ValidatorSet>) -> Option<()> {
        let ended = Arc::clone(&self.validators);
        let past = PastEpoch {
            epoch: self.epoch,
            first_height: self.past_epochs.last_height().saturating_add(1),
            last_height: self.height,
            end: self.tip_time,
            set: std::mem::replace(&mut self.validators, next),
        };
        let past_epochs = Arc::make_mut(&mut self.past_epochs);
        past_epochs.push(past);
        while past_epochs.pop_void(self.tip_time, self.parameters.unbonding_time_ms).is_some() {}
        let members = self.validators.members().iter();
        self.attendance = members
            .map(|member| (member.id, self.attendance.get(&member.id).copied().unwrap_or_default()))
            .collect();
        self.epoch = self.epoch.checked_add(1)?;
        self.rules.turn_epoch(self.epoch, &ended, &self.validators);
        self.epoch_start = self.tip_time;
        Some(())
    }

    /// Brings the multiset forward over all but outputs and recent commits that differs from `before`; what stays costs
    /// a comparison and no hash.
    pub(super) fn settle_multiset(&mut self, before: &Self) {
        if !Arc::ptr_eq(&self.registry, &before.registry) {
            let (old, new) = (&before.registry, Arc::clone(&self.registry));
            for (id, record) in old.records().iter().filter(|(id, record)| new.get(id) != Some(*record)) {
                self.multiset.remove(&encode(&Element::Masternode(id, record)));
            }
            for (id, record) in new.records().iter().filter(|(id, record)| old.get(id) != Some(*record)) {
                self.multiset.add(&encode(&Element::Masternode(id, record)));
            }
            let (old, new) = (old.void_collaterals(), new.void_collaterals());
            old.difference(new)
                .for_each(|mark| self.multiset.remove(&encode(&Element::VoidCollateral(mark))));
            new.difference(old).for_each(|mark| self.multiset.add(&encode(&Element::VoidCollateral(mark))));
        }
        if !Arc::ptr_eq(&self.past_epochs, &before.past_epochs) {
            let (old, new) = (&before.past_epochs, Arc::clone(&self.past_epochs));
            for past in old.iter().filter(|past| new.get(past.epoch) != Some(*past)) {
                self.multiset.remove(&past_epoch_element(past));
            }
            for past in new.iter().filter(|past| old.get(past.epoch) != Some(*past)) {
                self.multiset.add(&past_epoch_element(past));
            }
        }
        if self.attendance != before.attendance {
            self.multiset.remove(&before.attendance_element());
            self.multiset.add(&self.attendance_element());
        }
        if self.validators != before.validators {
            self.multiset.remove(&before.validators_element());
            self.multiset.add(&self.validators_element());
        }
        if self.tip_validators != before.tip_validators {
            self.multiset.remove(&before.tip_validators_element());
            self.multiset.add(&self.tip_validators_element());
        }
        if self.rules != before.rules {
            self.multiset.remove(&before.rules_element());
            self.multiset.add(&self.rules_element());
        }
        self.multiset.remove(&before.counters_element());
        self.multiset.add(&self.counters_element());
    }
}

/// Nobody's record.
fn fresh_attendance(set: &ValidatorSet) -> BTreeMap<MasternodeId, Attendance> {
    set.members().iter().map(|member| (member.id, Attendance::default())).collect()
}

fn past_epoch_element(past: &PastEpoch) -> Vec<u8> {
    let PastEpoch { epoch, first_height, last_height, end, set } = past;
    encode(&Element::PastEpoch(*epoch, *first_height, *last_height, *end, set.hash()))
}

pub(super) fn output_element(outpoint: &OutPoint, entry: &UtxoEntry) -> Vec<u8> {
    encode(&Element::Output(outpoint, entry))
}

// By hand, because a validator set is encoded by its members.
impl Encode for LedgerState {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.chain_id.encode(encoder)?;
        self.parameters.encode(encoder)?;
        self.height.encode(encoder)?;
        self.tip_hash.encode(encoder)?;
        self.tip_time.encode(encoder)?;
        self.epoch.encode(encoder)?;
        self.epoch_start.encode(encoder)?;
        self.validators.members().encode(encoder)?;
        self.tip_validators.epoch.encode(encoder)?;
        self.tip_validators.set.members().encode(encoder)?;
        self.registry.encode(encoder)?;
        self.past_epochs.encode(encoder)?;
        self.attendance.encode(encoder)?;
        self.credits.encode(encoder)?;
        self.reward_accrued.encode(encoder)?;
        self.fees.encode(encoder)?;
        self.supply.encode(encoder)?;
        self.recent.encode(encoder)?;
        self.epoch_ends.encode(encoder)?;
        self.rules.encode(encoder)?;
        self.multiset.encode(encoder)
    }
}

impl<Context> Decode<Context> for LedgerState {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let chain_id = Decode::decode(decoder)?;
        let parameters = Arc::new(ChainParameters::decode(decoder)?);
        let height = Decode::decode(decoder)?;
        let tip_hash = Decode::decode(decoder)?;
        let tip_time = Decode::decode(decoder)?;
        let epoch = Decode::decode(decoder)?;
        let epoch_start = Decode::decode(decoder)?;
        let validators = Arc::new(ValidatorSet::new(Decode::decode(decoder)?));
        let tip_epoch = Decode::decode(decoder)?;
        let tip_set = Arc::new(ValidatorSet::new(Decode::decode(decoder)?));
        Ok(Self {
            chain_id,
            parameters,
            height,
            tip_hash,
            tip_time,
            epoch,
            epoch_start,
            validators,
            tip_validators: EpochSet { epoch: tip_epoch, set: tip_set },
            registry: Arc::new(Registry::decode(decoder)?),
            past_epochs: Arc::new(PastEpochs::decode(decoder)?),
            attendance: Decode::decode(decoder)?,
            credits: Decode::decode(decoder)?,
            reward_accrued: Decode::decode(decoder)?,
            fees: Decode::decode(decoder)?,
            supply: Decode::decode(decoder)?,
            recent: Decode::decode(decoder)?,
            epoch_ends: Decode::decode(decoder)?,
            rules: Decode::decode(decoder)?,
            multiset: Decode::decode(decoder)?,
        })
    }
}

bincode::impl_borrow_decode!(LedgerState);

#[cfg(test)]
mod tests;
