//! Changes every byte of an encoding, and whatever else a test names.

use std::fmt::Debug;

use bincode::{Decode, Encode};
use rayon::prelude::*;
use timed::types::codec::{decode, encode};

/// The id of what was accepted; `None` if it was rejected.
pub type Verdict = Option<[u8; 32]>;

/// What a change must lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    Rejected,
    AnotherId,
}

/// A valid object and the checks that a node makes of it.
pub struct Object<'a, T> {
    pub name: &'a str,
    pub value: &'a T,
    pub judge: &'a (dyn Fn(&T) -> Verdict + Sync),
}

pub fn without_first<E>(list: &mut Vec<E>) {
    list.drain(..1);
}

pub fn without_last<E>(list: &mut Vec<E>) {
    list.truncate(list.len() - 1);
}

/// A change with a meaning.
pub type Case<T> = (&'static str, Promise, fn(&mut T));

impl<T: Encode + Decode<()> + Clone + PartialEq + Debug + Sync> Object<'_, T> {
    fn id(&self) -> [u8; 32] {
        (self.judge)(self.value).unwrap_or_else(|| panic!("{} is valid", self.name))
    }

    /// Holds a changed object to what its change must lead to.
    pub fn hold(&self, what: &str, changed: &T, promise: Promise) {
        assert!(changed != self.value, "{}: {what} changes nothing", self.name);
        let verdict = (self.judge)(changed);
        match promise {
            Promise::Rejected => assert_eq!(verdict, None, "{}: {what} is accepted", self.name),
            Promise::AnotherId => {
                let id = verdict.unwrap_or_else(|| panic!("{}: {what} is rejected", self.name));
                assert_ne!(id, self.id(), "{}: {what} goes unnoticed", self.name);
            }
        }
    }

    /// Flips bits in every byte, cuts at every place and adds bytes. `promise` says what a changed byte leads to if it
    /// still is an encoding.
    pub fn flip_every_byte(&self, promise: impl Fn(usize) -> Promise + Sync) {
        let bytes = encode(self.value);
        assert_eq!(decode::<T>(&bytes).as_ref(), Ok(self.value), "{}", self.name);
        self.id();
        (0..bytes.len()).into_par_iter().for_each(|place| {
            for mask in [0x01, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[place] ^= mask;
                let Ok(value) = decode::<T>(&changed) else { continue };
                let what = format!("byte {place} of {} ^ {mask:#04x}", bytes.len());
                assert_eq!(encode(&value), changed, "{}: {what} has two encodings", self.name);
                self.hold(&what, &value, promise(place));
            }
            assert!(decode::<T>(&bytes[..place]).is_err(), "{}: cut to {place}", self.name);
        });
        for added in [0x00, 0x01, 0xff] {
            assert!(decode::<T>(&[bytes.as_slice(), &[added]].concat()).is_err(), "{}", self.name);
        }
    }

    /// Makes changes with a meaning.
    pub fn change(&self, cases: &[Case<T>]) {
        self.id();
        for (what, promise, change) in cases {
            let mut changed = self.value.clone();
            change(&mut changed);
            self.hold(what, &changed, *promise);
        }
    }
}
