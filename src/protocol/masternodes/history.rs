//! The sets of epochs that evidence may still speak of.

use std::collections::VecDeque;
use std::sync::Arc;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::types::{Epoch, Height, TimeMs, Validator, ValidatorSet};

/// An epoch that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PastEpoch {
    /// Which one.
    pub epoch: Epoch,
    /// Its first block.
    pub first_height: Height,
    /// Its last block.
    pub last_height: Height,
    /// That block's time: when the epoch ended.
    pub end: TimeMs,
    /// Its set.
    pub set: Arc<ValidatorSet>,
}

/// Ended epochs, oldest first, consecutive up to the last one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PastEpochs(VecDeque<PastEpoch>);

impl PastEpochs {
    /// Adds the epoch that just ended.
    pub fn push(&mut self, mut past: PastEpoch) {
        // Sets seldom change: those that are equal share their memory.
        if let Some(last) = self.0.back().filter(|last| last.set == past.set) {
            past.set = Arc::clone(&last.set);
        }
        self.0.push_back(past);
    }

    /// Forgets the oldest, if it ended so long before `now` that acts in it are void; gives it back.
    pub fn pop_void(&mut self, now: TimeMs, unbonding_time_ms: u64) -> Option<PastEpoch> {
        let is_void = |past: &PastEpoch| now > past.end.saturating_add(unbonding_time_ms);
        if self.0.front().is_some_and(is_void) { self.0.pop_front() } else { None }
    }

    /// The epoch, if acts in it can still be punished.
    #[must_use]
    pub fn get(&self, epoch: Epoch) -> Option<&PastEpoch> {
        let first = self.0.front()?.epoch;
        self.0.get(usize::try_from(epoch.checked_sub(first)?).ok()?)
    }

    /// The past epoch that a height belongs to, if it is not too old.
    #[must_use]
    pub fn of_height(&self, height: Height) -> Option<&PastEpoch> {
        let place = self.0.partition_point(|past| past.last_height < height);
        self.0.get(place).filter(|past| past.first_height <= height)
    }

    /// The last block of the epoch before the current one; 0 in epoch 0.
    #[must_use]
    pub fn last_height(&self) -> Height {
        self.0.back().map_or(0, |past| past.last_height)
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &PastEpoch> {
        self.0.iter()
    }
}

// A set is written where it differs from the one before: a chain of 42 days has a thousand epochs and few sets.
impl Encode for PastEpochs {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        u64::try_from(self.0.len()).unwrap_or(u64::MAX).encode(encoder)?;
        let mut before: Option<&ValidatorSet> = None;
        for past in &self.0 {
            (past.epoch, past.first_height, past.last_height, past.end).encode(encoder)?;
            let members = (before != Some(past.set.as_ref())).then(|| past.set.members());
            members.encode(encoder)?;
            before = Some(past.set.as_ref());
        }
        Ok(())
    }
}

impl<Context> Decode<Context> for PastEpochs {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let count = u64::decode(decoder)?;
        let mut epochs = Self::default();
        let mut set: Option<Arc<ValidatorSet>> = None;
        for _ in 0..count {
            let (epoch, first_height, last_height, end) = <(Epoch, Height, Height, TimeMs)>::decode(decoder)?;
            if let Some(members) = Option::<Vec<Validator>>::decode(decoder)? {
                set = Some(Arc::new(ValidatorSet::new(members)));
            }
            let set = set.clone().ok_or(DecodeError::Other("the first past epoch has no set"))?;
            epochs.0.push_back(PastEpoch { epoch, first_height, last_height, end, set });
        }
        Ok(epochs)
    }
}

bincode::impl_borrow_decode!(PastEpochs);
