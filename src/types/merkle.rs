//! Merkle trees that commit to the number of their leaves.
//!
//! # Invariants
//! - INV-MERKLE-1: leaf, node and root have domains of their own, and the root binds the number of leaves, so a
//!   duplicated last leaf changes the root (CVE-2012-2459 does not exist here).
//!
//! A level with an odd number of nodes hands its last node up as it is.

use bincode::{Decode, Encode};

use super::hash::{Domain, DomainHasher, Hash};

fn leaf_hash(leaf: &[u8]) -> Hash {
    Hash(DomainHasher::new(Domain::MerkleLeaf).bytes(leaf).finish())
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash(DomainHasher::new(Domain::MerkleNode).bytes(&left.0).bytes(&right.0).finish())
}

fn root_hash(leaves: u64, top: &Hash) -> Hash {
    Hash(DomainHasher::new(Domain::MerkleRoot).u64(leaves).bytes(&top.0).finish())
}

fn count_of(leaves: usize) -> u64 {
    u64::try_from(leaves).unwrap_or(u64::MAX)
}

fn parents(level: &[Hash]) -> Vec<Hash> {
    level
        .chunks(2)
        .filter_map(|pair| match pair {
            [left, right] => Some(node_hash(left, right)),
            [single] => Some(*single),
            _ => None,
        })
        .collect()
}

/// A tree with all of its levels, for whoever needs several of its paths: hashed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerkleTree {
    /// From the leaves' hashes up to the single top.
    levels: Vec<Vec<Hash>>,
}

impl MerkleTree {
    /// The tree over these leaves in their order.
    pub fn of<'a>(leaves: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut levels: Vec<Vec<Hash>> = vec![leaves.into_iter().map(leaf_hash).collect()];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            levels.push(parents(level));
        }
        Self { levels }
    }

    /// The siblings from the leaf at `index` up to the root; `None` when there is no such leaf.
    #[must_use]
    pub fn path(&self, index: usize) -> Option<Vec<Hash>> {
        self.levels.first()?.get(index)?;
        let mut position = index;
        let mut siblings = Vec::new();
        for level in &self.levels {
            siblings.extend((level.len() > 1).then(|| level.get(position ^ 1)).flatten().copied());
            position >>= 1;
        }
        Some(siblings)
    }

    /// How many bytes its hashes take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.levels
            .iter()
            .map(|level| level.len().saturating_mul(size_of::<Hash>()))
            .fold(0, usize::saturating_add)
    }
}

/// A tree that grows at its end: the tops of its perfect subtrees, from which every later root follows. At most 64
/// hashes, however many leaves. Its root and paths are those of [`root`] and [`path`] over all of its leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct GrowingTree {
    leaves: u64,
    /// One for each bit of `leaves`, the widest first.
    tops: Vec<Hash>,
}

impl GrowingTree {
    /// Adds a leaf at the end.
    pub fn push(&mut self, leaf: &[u8]) {
        let mut top = leaf_hash(leaf);
        // As many subtrees of growing width are completed as the count has ones at its end.
        for _ in 0..self.leaves.trailing_ones() {
            if let Some(left) = self.tops.pop() {
                top = node_hash(&left, &top);
            }
        }
        self.tops.push(top);
        self.leaves = self.leaves.saturating_add(1);
    }

    /// How many leaves it has.
    #[must_use]
    pub const fn leaves(&self) -> u64 {
        self.leaves
    }

    /// The root over its leaves.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut tops = self.tops.iter().rev();
        let last = tops.next().copied().unwrap_or(Hash::ZERO);
        root_hash(self.leaves, &tops.fold(last, |right, left| node_hash(left, &right)))
    }
}

/// The root over the leaves in their order; the root of no leaves is that of the zero hash.
pub fn root<'a>(leaves: impl IntoIterator<Item = &'a [u8]>) -> Hash {
    let mut level: Vec<Hash> = leaves.into_iter().map(leaf_hash).collect();
    let count = level.len();
    while level.len() > 1 {
        level = parents(&level);
    }
    root_hash(count_of(count), level.first().unwrap_or(&Hash::ZERO))
}

/// The siblings from the leaf at `index` up to the root; `None` when there is no such leaf.
pub fn path<'a>(leaves: impl IntoIterator<Item = &'a [u8]>, index: usize) -> Option<Vec<Hash>> {
    MerkleTree::of(leaves).path(index)
}

/// What a leaf's path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathEnd {
    /// The root.
    pub root: Hash,
    /// The first place at which, by this very path, the leaf stands: less than the given place only where a subtree
    /// has an equal one to its left, so that one path fits several places.
    pub first_index: usize,
}

/// Where a leaf with its path leads, or `None` when the path does not fit a tree of `leaves` leaves.
#[must_use]
pub fn end_of_path(leaf: &[u8], index: usize, leaves: usize, siblings: &[Hash]) -> Option<PathEnd> {
    if index >= leaves {
        return None;
    }
    let mut hash = leaf_hash(leaf);
    let (mut position, mut width) = (index, leaves);
    let (mut first_index, mut span) = (index, 1_usize);
    let mut siblings = siblings.iter();
    while width > 1 {
        if position ^ 1 < width {
            let sibling = siblings.next()?;
            let is_right = position & 1 == 1;
            if is_right && hash == *sibling {
                first_index = first_index.saturating_sub(span);
            }
            hash = if is_right { node_hash(sibling, &hash) } else { node_hash(&hash, sibling) };
        }
        position >>= 1;
        span = span.saturating_mul(2);
        width = width.div_ceil(2);
    }
    let root = root_hash(count_of(leaves), &hash);
    siblings.next().is_none().then_some(PathEnd { root, first_index })
}

/// The root that a leaf with its path leads to, or `None` when the path does not fit a tree of `leaves` leaves.
#[must_use]
pub fn root_of_path(leaf: &[u8], index: usize, leaves: usize, siblings: &[Hash]) -> Option<Hash> {
    end_of_path(leaf, index, leaves, siblings).map(|end| end.root)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(count: u8) -> Vec<[u8; 1]> {
        (0..count).map(|byte| [byte]).collect()
    }

    fn leaves(tree: &[[u8; 1]]) -> impl Iterator<Item = &[u8]> {
        tree.iter().map(<[u8; 1]>::as_slice)
    }

    #[test]
    fn every_path_of_every_small_tree_leads_to_the_root() {
        for count in 1..=17_u8 {
            let tree = tree(count);
            let expected = root(leaves(&tree));
            for (index, leaf) in tree.iter().enumerate() {
                let siblings = path(leaves(&tree), index).unwrap();
                assert_eq!(root_of_path(leaf, index, tree.len(), &siblings), Some(expected));
                // Neither another place, nor another count, nor a longer path is accepted.
                for other in (0..tree.len()).filter(|other| *other != index) {
                    assert_ne!(root_of_path(leaf, other, tree.len(), &siblings), Some(expected));
                }
                assert_ne!(root_of_path(leaf, index, tree.len() + 1, &siblings), Some(expected));
                let mut longer = siblings.clone();
                longer.push(Hash::ZERO);
                assert_eq!(root_of_path(leaf, index, tree.len(), &longer), None);
            }
        }
    }

    #[test]
    fn a_tree_that_grew_has_the_root_of_all_its_leaves() {
        let mut grown = GrowingTree::default();
        for count in 0..=70_u8 {
            assert_eq!(grown.root(), root(leaves(&tree(count))), "{count} leaves");
            assert_eq!((grown.leaves(), grown.tops.len()), (u64::from(count), count.count_ones() as usize));
            grown.push(&[count]);
        }
    }

    /// INV-MERKLE-1.
    #[test]
    fn a_duplicated_tail_changes_the_root() {
        let three = root([b"a".as_slice(), b"b", b"c"]);
        let four = root([b"a".as_slice(), b"b", b"c", b"c"]);
        assert_ne!(three, four);
        assert_ne!(root(std::iter::empty()), root([[0_u8; 32].as_slice()]));
    }

    #[test]
    fn the_first_of_equal_places_is_told() {
        // Every tree of up to nine leaves of two kinds: where one path fits several places, the first is named at each.
        for count in 1..=9_usize {
            for kinds in 0..1_u32 << count {
                let tree: Vec<[u8; 1]> = (0..count).map(|i| [u8::from(kinds >> i & 1 == 1)]).collect();
                for (index, leaf) in tree.iter().enumerate() {
                    let siblings = path(leaves(&tree), index).unwrap();
                    let end = |place| end_of_path(leaf, place, count, &siblings);
                    let expected = end(index).unwrap();
                    let fits = |place: &usize| end(*place).is_some_and(|end| end.root == expected.root);
                    assert_eq!((0..count).find(fits), Some(expected.first_index), "{tree:?} {index}");
                    let first = end(expected.first_index).unwrap();
                    assert_eq!(first.first_index, expected.first_index);
                }
            }
        }
    }
}
