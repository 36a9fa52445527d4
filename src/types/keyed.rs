//! Maps and sets by names, for code that has to do the same at every node.
//!
//! # Why
//! Ordered maps keyed by 32 bytes took more than half of the consensus thread's time: some fifteen comparisons and as many
//! cache misses for each look at one of 20,000 transactions. A hash map costs one. But the order of a hash map differs
//! from process to process, and must never decide anything that other nodes see.
//!
//! # Invariants
//! - INV-KEYED-1: nothing here shows the order of the hash map: whoever walks through gets the order of the keys, which
//!   costs a sort. What is walked through often belongs into an ordered map.
//!
//! The hash is keyed by chance, once a process, since names are chosen by strangers: with a key that they know they could
//! make names that all fall into one place. No result depends on it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::{Debug, Formatter};
use std::hash::Hash;

use ahash::RandomState;

/// A map that is looked up by key, and seldom walked through.
#[derive(Clone)]
pub struct KeyedMap<K, V>(HashMap<K, V, RandomState>);

/// A set that is asked for members, and seldom walked through.
#[derive(Clone)]
pub struct KeyedSet<K>(KeyedMap<K, ()>);

impl<K: Hash + Ord, V> KeyedMap<K, V> {
    /// Without entries.
    #[must_use]
    pub fn new() -> Self {
        Self(HashMap::with_hasher(RandomState::new()))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.get_mut(key)
    }

    /// Whether a key is there.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// Sets a key's value; what it was.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    /// The value of a key, which becomes this one if there was none.
    pub fn get_or_insert(&mut self, key: K, value: V) -> &mut V {
        match self.0.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(value),
        }
    }

    /// Removes a key; what its value was.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key)
    }

    /// All entries, in the order of their keys.
    #[must_use]
    pub fn sorted(&self) -> Vec<(&K, &V)> {
        let mut entries: Vec<_> = self.0.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        entries
    }

    /// The same, taken out.
    #[must_use]
    pub fn into_sorted(self) -> Vec<(K, V)> {
        let mut entries: Vec<_> = self.0.into_iter().collect();
        entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        entries
    }
}

impl<K: Hash + Ord, V: Default> KeyedMap<K, V> {
    /// The value of a key, which becomes the default one if there was none.
    pub fn get_or_default(&mut self, key: K) -> &mut V {
        self.0.entry(key).or_default()
    }
}

impl<K: Hash + Ord, V> Default for KeyedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Hash + Ord + Debug, V: Debug> Debug for KeyedMap<K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.sorted()).finish()
    }
}

impl<K: Hash + Ord> KeyedSet<K> {
    /// Without members.
    #[must_use]
    pub fn new() -> Self {
        Self(KeyedMap::new())
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is one.
    #[must_use]
    pub fn contains(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// Adds one; false when it was there.
    pub fn insert(&mut self, key: K) -> bool {
        self.0.insert(key, ()).is_none()
    }

    /// Removes one; false when it was not there.
    pub fn remove(&mut self, key: &K) -> bool {
        self.0.remove(key).is_some()
    }

    /// All members in their order.
    pub fn iter(&self) -> impl Iterator<Item = &K> {
        self.0.sorted().into_iter().map(|(key, ())| key)
    }
}

impl<K: Hash + Ord> Default for KeyedSet<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Hash + Ord + Debug> Debug for KeyedSet<K> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<K: Hash + Ord> FromIterator<K> for KeyedSet<K> {
    fn from_iter<T: IntoIterator<Item = K>>(keys: T) -> Self {
        let mut set = Self::new();
        for key in keys {
            set.insert(key);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// INV-KEYED-1.
    #[test]
    fn whoever_walks_through_gets_the_order_of_the_keys() {
        let keys: Vec<u64> =
            (0..1_000).map(|number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        let (mut map, mut set) = (KeyedMap::new(), KeyedSet::new());
        for key in &keys {
            assert_eq!(map.insert(*key, key + 1), None);
            assert!(set.insert(*key) && !set.insert(*key));
        }
        assert_eq!(map.sorted().into_iter().map(|(key, _)| *key).collect::<Vec<_>>(), sorted);
        assert_eq!(set.iter().copied().collect::<Vec<_>>(), sorted);
        let ordered: std::collections::BTreeMap<u64, u64> = map.clone().into_sorted().into_iter().collect();
        assert_eq!(format!("{map:?}"), format!("{ordered:?}"));
        assert_eq!(
            format!("{set:?}"),
            format!("{:?}", sorted.iter().collect::<std::collections::BTreeSet<_>>())
        );
        assert_eq!(map.into_sorted().into_iter().map(|(key, _)| key).collect::<Vec<_>>(), sorted);
    }

    #[test]
    fn it_holds_what_was_put_in_and_not_taken_out() {
        let mut map = KeyedMap::new();
        *map.get_or_default(3) += 5;
        assert_eq!((*map.get_or_insert(3, 9), *map.get_or_insert(4, 9)), (5, 9));
        assert_eq!((map.insert(4, 1), map.remove(&3), map.remove(&3)), (Some(9), Some(5), None));
        assert_eq!((map.get(&4), map.get(&3), map.contains_key(&4), map.len()), (Some(&1), None, true, 1));
        if let Some(value) = map.get_mut(&4) {
            *value = 2;
        }
        assert_eq!((map.remove(&4), map.is_empty()), (Some(2), true));
        let mut set: KeyedSet<u8> = [2, 1, 2].into_iter().collect();
        assert_eq!((set.len(), set.contains(&2), set.remove(&2), set.remove(&2)), (2, true, true, false));
        assert!(!set.contains(&2) && !set.is_empty());
    }
}
