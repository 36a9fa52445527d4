//! The way of a proof from one set to another: which epochs' ends it takes, so that it is short.
//!
//! # Place
//! Pure: what the chain knows of its epochs is asked for by [`Epochs`], which `consensus/proof_builder.rs` answers from
//! index and block log.
//!
//! # How
//! From the set that is trusted each link goes as far as it can: to the last epoch that it takes, if that is within
//! reach, else 1, 2, 4, 8 epochs on until one is not, and by halves between these two. Where members come back, a later
//! epoch may be within reach though an earlier one is not, and is missed; then the way is longer than it need be, but
//! holds. A link that turns out to be spare is taken out again, since no verifier would have it.
//!
//! A node that began with a snapshot knows of earlier epochs only those ends by which the snapshot was proved to it. They are
//! among the known ends, so the way passes over all the others.
//!
//! # Bounds
//! About `2 log2(d) + 3` probes a link that passes over `d` epochs: each two to four reads of sets, and one or two of
//! blocks where the sets have enough in common.

use std::sync::Arc;

use super::EpochLink;
use super::quorums::Quorums;
use crate::types::codec::encode;
use crate::types::{Commit, Epoch, Hash, Header, ValidatorSet};

/// What a chain knows of its epochs.
pub trait Epochs {
    /// Why it can't say.
    type Error;

    /// The hash of the set that votes in an epoch; `None` if the chain is not known that far back.
    ///
    /// # Errors
    /// When that can't be read.
    fn set_hash(&self, epoch: Epoch) -> Result<Option<Hash>, Self::Error>;

    /// The set of this hash, which votes in this epoch.
    ///
    /// # Errors
    /// When it can't be read.
    fn set(&self, epoch: Epoch, hash: &Hash) -> Result<Arc<ValidatorSet>, Self::Error>;

    /// The header of an epoch's last block, and the commits of that block that are at hand, one at least; `None` if the chain
    /// is not known that far back.
    ///
    /// # Errors
    /// When they can't be read.
    fn end(&self, epoch: Epoch) -> Result<Option<(Header, Vec<Commit>)>, Self::Error>;

    /// What to say when an epoch's end and its own set don't fit each other, or when the way can't begin there.
    fn misfit(&self, epoch: Epoch) -> Self::Error;
}

/// The links to an epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Path {
    /// The links.
    pub links: Vec<EpochLink>,
    /// The epochs whose ends they are of, ascending.
    pub ends: Vec<Epoch>,
    /// The set that votes in the epoch to which they lead.
    pub set: Arc<ValidatorSet>,
}

/// A path has more bytes than a proof may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The epochs of the ends that fit, ascending: whoever knows them finds so in a fraction of the time.
    pub ends: Vec<Epoch>,
}

/// Who votes in an epoch.
#[derive(Clone)]
struct Trusted {
    epoch: Epoch,
    hash: Hash,
    set: Arc<ValidatorSet>,
}

/// A link with where it comes from and leads to.
struct Step {
    from: Trusted,
    end: Epoch,
    link: EpochLink,
    to: Trusted,
}

/// The links from the set of the first of these epochs to that of the last one. `known` are the ends that an earlier path
/// took; those between are taken again. [`TooLong`] if the links have more than `bytes_max` bytes.
///
/// # Errors
/// Those of `epochs`.
pub fn path<E: Epochs>(
    epochs: &E,
    known: &[Epoch],
    [first, epoch]: [Epoch; 2],
    bytes_max: usize,
) -> Result<Result<Path, TooLong>, E::Error> {
    let mut steps: Vec<Step> = Vec::new();
    let mut here = trusted(epochs, first)?.ok_or_else(|| epochs.misfit(first))?;
    let mut known = known.iter();
    let mut bytes = 0_usize;
    while here.epoch < epoch {
        let last = epoch.saturating_sub(1);
        let again = known.find(|end| here.epoch <= **end).filter(|end| **end < last);
        let mut step = match again.map(|end| reach(epochs, &here, *end)).transpose()?.flatten() {
            Some(step) => step,
            None => furthest(epochs, &here, last)?,
        };
        // The set before may reach as far: then the link between is spare.
        while let Some(before) = steps.last() {
            let Some(longer) = reach(epochs, &before.from, step.end)? else { break };
            bytes = bytes.saturating_sub(encode(&before.link).len());
            step = longer;
            steps.pop();
        }
        bytes = bytes.saturating_add(encode(&step.link).len());
        if bytes > bytes_max {
            return Ok(Err(TooLong { ends: steps.iter().map(|step| step.end).collect() }));
        }
        here = step.to.clone();
        steps.push(step);
    }
    let ends = steps.iter().map(|step| step.end).collect();
    Ok(Ok(Path { links: steps.into_iter().map(|step| step.link).collect(), ends, set: here.set }))
}

fn trusted<E: Epochs>(epochs: &E, epoch: Epoch) -> Result<Option<Trusted>, E::Error> {
    let Some(hash) = epochs.set_hash(epoch)? else { return Ok(None) };
    Ok(Some(Trusted { epoch, hash, set: epochs.set(epoch, &hash)? }))
}

/// The same, where the set may be one that is here already.
fn trusted_beside<E: Epochs>(epochs: &E, epoch: Epoch, other: &Trusted) -> Result<Option<Trusted>, E::Error> {
    let Some(hash) = epochs.set_hash(epoch)? else { return Ok(None) };
    let set = if hash == other.hash { Arc::clone(&other.set) } else { epochs.set(epoch, &hash)? };
    Ok(Some(Trusted { epoch, hash, set }))
}

/// The link to an epoch's end, if the trusted set reaches it.
fn reach<E: Epochs>(epochs: &E, from: &Trusted, end: Epoch) -> Result<Option<Step>, E::Error> {
    let Some(own) = trusted_beside(epochs, end, from)? else { return Ok(None) };
    let all = Quorums { set: &own.set, trusted: (own.hash != from.hash).then_some(&*from.set) };
    if !all.are_reached_by(0..own.set.len()) {
        return Ok(None);
    }
    let Some(to) = trusted_beside(epochs, end.saturating_add(1), &own)? else { return Ok(None) };
    let Some((header, commits)) = epochs.end(end)? else { return Ok(None) };
    let made =
        commits.iter().find_map(|commit| EpochLink::new(&header, commit, [&from.set, &own.set, &to.set]));
    match made {
        Some(link) if header.epoch == end => Ok(Some(Step { from: from.clone(), end, link, to })),
        None if own.hash != from.hash => Ok(None),
        Some(_) | None => Err(epochs.misfit(end)),
    }
}

/// The link from the trusted set to an epoch's end that is as late as `last`, or as late as the search finds one.
fn furthest<E: Epochs>(epochs: &E, from: &Trusted, last: Epoch) -> Result<Step, E::Error> {
    if let Some(step) = reach(epochs, from, last)? {
        return Ok(step);
    }
    let own = reach(epochs, from, from.epoch)?;
    let mut best = own.ok_or_else(|| epochs.misfit(from.epoch))?;
    // The first end that is known to be out of reach.
    let (mut beyond, mut stride) = (last, 1_u64);
    while let Some(probe) = best.end.checked_add(stride).filter(|probe| *probe < beyond) {
        match reach(epochs, from, probe)? {
            Some(step) => (best, stride) = (step, stride.saturating_mul(2)),
            None => beyond = probe,
        }
    }
    loop {
        let between = beyond.saturating_sub(best.end) / 2;
        if between == 0 {
            return Ok(best);
        }
        let probe = best.end.saturating_add(between);
        match reach(epochs, from, probe)? {
            Some(step) => best = step,
            None => beyond = probe,
        }
    }
}
