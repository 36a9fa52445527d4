//! Holds the blocks of a log to the rules that bind them to one another and to the genesis document.
//!
//! # Place
//! [`check`](super::check) shows it each block that the log holds whole.
//!
//! # Invariants
//! - INV-CHAINCHECK-1: by hashes, each block names the one before it, its own commit, transactions and evidence. In depth
//!   each is executed again from the genesis document, and every signature of its commit checked. Where the log begins later,
//!   execution begins with the newest snapshot.
//! - INV-CHAINCHECK-2: only the first fault of the chain is told: what comes after it rests on it.
//!
//! # Units
//! Signatures wait until there are [`BATCH_CHECKS`]; beside these and the ledger's state nothing grows with the chain.

use crate::consensus::replay::ReplayError;
use crate::protocol::activation::UnknownRules;
use crate::protocol::state::LedgerState;
use crate::protocol::transition;
use crate::runtime::{CpuPool, PoolVerifier};
use crate::storage::LoggedBlock;
use crate::storage::log_check::BlockPlace;
use crate::types::{
    BlockHash, ChainId, GenesisDocument, Header, Height, RuleVersion, SignatureCheck, SignatureVerifier as _,
    StateDigest,
};

use super::CareError;
use super::check_note::CheckNote;

/// Signatures that are checked together.
const BATCH_CHECKS: usize = 2_048;

/// How much of each block is held to the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Hashes alone.
    Hashes,
    /// Execution and signatures as well.
    Signatures,
}

/// A block that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) place: BlockPlace,
    pub(super) what: String,
}

/// What the header of the block at the index's mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AtMark {
    pub(super) hash: BlockHash,
    pub(super) digest: StateDigest,
}

/// What came of it.
pub(super) struct Checked {
    /// The last block before any fault or gap.
    pub(super) height: Height,
    pub(super) signatures: u64,
    pub(super) faults: Vec<Fault>,
    /// The block at the index's mark, if it is in the log.
    pub(super) at_mark: Option<AtMark>,
    /// The state there, if the blocks were executed.
    pub(super) state_at_mark: Option<LedgerState>,
    /// Whether the note that execution began with is of another log: then nothing here counts.
    pub(super) is_other: bool,
}

struct Waiting {
    check: SignatureCheck,
    place: BlockPlace,
}

/// The blocks executed again.
struct Execution {
    state: LedgerState,
    verifier: PoolVerifier,
    waiting: Vec<Waiting>,
}

pub(super) struct ChainCheck {
    chain_id: ChainId,
    /// The height whose block the index is marked at.
    marked: Option<Height>,
    previous: BlockHash,
    execution: Option<Execution>,
    /// Where a note says that execution goes on, until the log's own block was compared.
    noted: Option<(Height, AtMark)>,
    /// Whether no block was seen yet.
    is_first: bool,
    /// Whether a block before had a fault, or is missing.
    is_broken: bool,
    /// Rules of later blocks that this program can't execute.
    unknown: Option<UnknownRules>,
    checked: Checked,
}

impl ChainCheck {
    pub(super) fn new(
        genesis: &GenesisDocument,
        depth: Depth,
        marked: Option<Height>,
        snapshot: Option<LedgerState>,
    ) -> Result<Self, CareError> {
        let chain_id = genesis.chain_id();
        let (state, _) = LedgerState::genesis(genesis).map_err(ReplayError::from)?;
        let previous = BlockHash(chain_id.0);
        // Block 0 is the genesis document.
        let at_mark = (marked == Some(0)).then(|| AtMark { hash: previous, digest: state.digest() });
        let state_at_mark = at_mark.map(|_| state.clone());
        let execution = match depth {
            Depth::Hashes => None,
            Depth::Signatures => {
                let verifier = PoolVerifier::new(CpuPool::new()?);
                Some(Execution { state: snapshot.unwrap_or(state), verifier, waiting: Vec::new() })
            }
        };
        let (signatures, faults, is_other) = (0, Vec::new(), false);
        let checked = Checked { height: 0, signatures, faults, at_mark, state_at_mark, is_other };
        let (noted, is_first, is_broken, unknown) = (None, true, false, None);
        Ok(Self { chain_id, marked, previous, execution, noted, is_first, is_broken, unknown, checked })
    }

    /// Execution goes on behind what an earlier check has executed; a check that executes nothing is as it was.
    pub(super) fn going_on(mut self, note: CheckNote) -> Self {
        if let Some(execution) = &mut self.execution {
            let CheckNote { signatures, state } = note;
            let named = AtMark { hash: state.tip_hash(), digest: state.digest() };
            self.noted = Some((state.height(), named));
            self.checked.signatures = signatures;
            execution.state = state;
        }
        self
    }

    /// What was executed up to now, once its signatures are checked; `None` if there is nothing to go on from, or the index's
    /// mark would be behind it.
    pub(super) fn progress(&mut self) -> Option<CheckNote> {
        self.verify();
        let state = &self.execution.as_ref()?.state;
        let is_before_mark = self.marked.is_none_or(|marked| state.height() < marked);
        let is_sound = !self.is_broken && self.unknown.is_none() && self.noted.is_none();
        let note = || CheckNote { signatures: self.checked.signatures, state: state.clone() };
        (is_sound && is_before_mark && state.height() == self.checked.height).then(note)
    }

    /// The next block that the log holds whole.
    pub(super) fn see(&mut self, place: BlockPlace, block: &LoggedBlock) {
        let header = &block.committed.block.header;
        let rules = self.execution.as_ref().map(|execution| execution.state.rules());
        if let Some(Err(why)) = rules.map(|rules| rules.check_known(RuleVersion::NEWEST)) {
            self.unknown = Some(why);
        }
        if self.is_broken || self.unknown.is_some() {
            return;
        }
        if std::mem::take(&mut self.is_first) && place.height > 1 {
            // The log's own check has held it to the horizon; what is before it, nobody here knows.
            self.checked.height = place.height.saturating_sub(1);
            self.previous = header.prev_hash;
        }
        if place.height != self.checked.height.saturating_add(1) {
            // The log's own check tells of the gap.
            self.is_broken = true;
            return;
        }
        let hash = header.hash();
        let here = AtMark { hash, digest: header.state_digest };
        if let Some((_, named)) = self.noted.take_if(|(height, _)| *height == place.height)
            && named != here
        {
            (self.checked.is_other, self.is_broken) = (true, true);
            return;
        }
        let fault = by_hashes(self.chain_id, self.previous, hash, block).map(str::to_owned);
        let fault = fault.or_else(|| self.execution.as_mut()?.run(&place, block).err());
        if let Some(what) = fault {
            self.fault(Fault { place, what });
            return;
        }
        self.previous = hash;
        self.checked.height = place.height;
        if self.marked == Some(place.height) {
            self.checked.at_mark = Some(here);
            let executed = self.execution.as_ref().map(|execution| &execution.state);
            let is_there = |state: &&LedgerState| state.height() == place.height;
            self.checked.state_at_mark = executed.filter(is_there).cloned();
        }
        if self.execution.as_ref().is_some_and(|execution| execution.waiting.len() >= BATCH_CHECKS) {
            self.verify();
        }
    }

    fn fault(&mut self, fault: Fault) {
        self.is_broken = true;
        self.checked.height = self.checked.height.min(fault.place.height.saturating_sub(1));
        self.checked.faults.push(fault);
    }

    fn verify(&mut self) {
        let Some(execution) = &mut self.execution else { return };
        let waiting = std::mem::take(&mut execution.waiting);
        let checks: Vec<SignatureCheck> = waiting.iter().map(|waiting| waiting.check).collect();
        let good = match execution.verifier.verify_all(&checks) {
            Ok(()) => checks.len(),
            Err(bad) => {
                if let Some(Waiting { place, .. }) = waiting.into_iter().nth(bad) {
                    let what = format!("a signature of the commit of block {} does not hold", place.height);
                    // A later block may have had a fault already, which this one comes before.
                    self.checked.faults.clear();
                    self.fault(Fault { place, what });
                }
                bad
            }
        };
        self.checked.signatures = self.checked.signatures.saturating_add(u64::try_from(good).unwrap_or(0));
    }

    /// The last block before any fault or gap; the chain id's bytes if there is none.
    pub(super) const fn tip_hash(&self) -> BlockHash {
        self.previous
    }

    /// What was found.
    ///
    /// # Errors
    /// When blocks keep to rules that this program does not know: nothing can be said of them, least of all that they are bad.
    pub(super) fn finish(mut self) -> Result<Checked, CareError> {
        if let Some(why) = self.unknown {
            return Err(ReplayError::Rules(why).into());
        }
        self.verify();
        // A log that was cut before it has nothing to compare with.
        self.checked.is_other |= self.noted.is_some();
        Ok(self.checked)
    }
}

/// The rule of hashes that a block breaks.
fn by_hashes(
    chain_id: ChainId,
    previous: BlockHash,
    hash: BlockHash,
    block: &LoggedBlock,
) -> Option<&'static str> {
    let (Header { chain_id: found, height, prev_hash, .. }, commit) =
        (&block.committed.block.header, &block.committed.commit);
    if *found != chain_id {
        return Some("a block of another chain");
    }
    if *prev_hash != previous {
        return Some("a block that does not follow the one before it");
    }
    if !block.committed.block.blueprint().is_bound_by_header() {
        return Some("a block whose contents are not those that its header names");
    }
    if commit.height != *height || commit.block_hash != hash {
        return Some("a block with the commit of another one");
    }
    None
}

impl Execution {
    /// Executes the next block, and puts the signatures of its commit in line. Blocks up to a snapshot's are in its state.
    fn run(&mut self, place: &BlockPlace, block: &LoggedBlock) -> Result<(), String> {
        if place.height <= self.state.height() {
            return Ok(());
        }
        let LoggedBlock { committed, spent } = block;
        let (epoch, set) = (self.state.next_epoch(), self.state.validators());
        let of_commit =
            |error: String| format!("the commit of block {} does not hold: {error}", place.height);
        check_shape(&self.state, &committed.block.header, &committed.commit).map_err(of_commit)?;
        let checks = committed.commit.signature_checks(self.state.chain_id(), epoch, set);
        let checks = checks.ok_or_else(|| of_commit("it does not fit the set".to_owned()))?;
        self.waiting.extend(checks.into_iter().map(|check| Waiting { check, place: place.clone() }));
        let outcome = transition::replay(&self.state, spent, &committed.block)
            .map_err(|error| format!("block {} is not valid: {error}", place.height))?;
        self.state = outcome.state;
        Ok(())
    }
}

fn check_shape(state: &LedgerState, header: &Header, commit: &crate::types::Commit) -> Result<(), String> {
    crate::protocol::commit::check_commit_shape(state.validators(), header.height, header.hash(), commit)
        .map_err(|error| error.to_string())
}
