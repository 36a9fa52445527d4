//! What the index keeps of epochs that ended: where they ended, who voted next, and what proofs are made of.
//!
//! # Place
//! A part of [`Index`]. `consensus/proof_builder.rs` reads it. The keys are [`index_epoch_keys`](super::index_epoch_keys)'s.

use super::error::StorageError;
use super::index::Index;
use super::index_epoch_keys::{
    END_PREFIX, FULLER_PREFIX, HEAD_PREFIX, KEY_FROM, NAME_PREFIX, epoch_key, set_key,
};
use super::index_store::Tree;
use crate::types::codec::decode;
use crate::types::{BlockHash, Commit, Epoch, Hash, Header, Height, ValidatorSet};

/// Pieces of one value, at most: each holds [`VALUE_BYTES_MAX`](super::index_store::VALUE_BYTES_MAX) bytes, a set of 100 members has 7,208, a commit 6,500.
const PIECES_MAX: usize = 4;
/// Entries that are read at once.
const PAGE_ENTRIES: usize = 1_024;

impl Index {
    fn epoch_record(&self, epoch: Epoch) -> Result<Option<(Height, Hash, BlockHash)>, StorageError> {
        self.get(Tree::Epoch, &epoch_key(END_PREFIX, epoch))
    }

    /// The height of an epoch's last block, and the hash of the set that votes after it; `None` until the epoch has ended, and
    /// of epochs before a snapshot.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn epoch_end(&self, epoch: Epoch) -> Result<Option<(Height, Hash)>, StorageError> {
        Ok(self.epoch_record(epoch)?.map(|(height, set, _)| (height, set)))
    }

    /// The name of an epoch's last block; `None` until the epoch has ended.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn epoch_end_hash(&self, epoch: Epoch) -> Result<Option<BlockHash>, StorageError> {
        match self.epoch_record(epoch)? {
            Some((_, _, block)) => Ok(Some(block)),
            None => self.get(Tree::Epoch, &epoch_key(NAME_PREFIX, epoch)),
        }
    }

    /// The first epoch whose predecessor's end, and all later ends, are known; 0 unless the index began with a snapshot.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn epochs_from(&self) -> Result<Epoch, StorageError> {
        Ok(self.get(Tree::Epoch, KEY_FROM)?.unwrap_or(0))
    }

    fn in_pieces<T: bincode::Decode<()>>(&self, key: &[u8]) -> Result<Option<T>, StorageError> {
        let pieces = self.window.scan_prefix(Tree::Epoch, key, None, PIECES_MAX)?;
        if pieces.is_empty() {
            return Ok(None);
        }
        let bytes: Vec<u8> = pieces.into_iter().flat_map(|(_, piece)| piece).collect();
        let malformed = |_| StorageError::IndexMalformed { tree: Tree::Epoch.name() };
        decode(&bytes).map(Some).map_err(malformed)
    }

    /// The header of an epoch's last block with the commits that are kept of it.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn epoch_head(&self, epoch: Epoch) -> Result<Option<(Header, Vec<Commit>)>, StorageError> {
        let Some((header, own)) = self.in_pieces::<(Header, Commit)>(&epoch_key(HEAD_PREFIX, epoch))? else {
            return Ok(None);
        };
        let fuller: Option<Commit> = self.in_pieces(&epoch_key(FULLER_PREFIX, epoch))?;
        Ok(Some((header, fuller.into_iter().chain([own]).collect())))
    }

    /// The epochs before this one whose last block's header is kept, ascending.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn epoch_heads_before(&self, epoch: Epoch) -> Result<Vec<Epoch>, StorageError> {
        let malformed = || StorageError::IndexMalformed { tree: Tree::Epoch.name() };
        let (mut found, mut after): (Vec<Epoch>, Option<Vec<u8>>) = (Vec::new(), None);
        loop {
            let page = self.window.scan_prefix(Tree::Epoch, HEAD_PREFIX, after.as_deref(), PAGE_ENTRIES)?;
            for (key, _) in &page {
                let number = key.get(HEAD_PREFIX.len()..).and_then(|rest| rest.first_chunk::<8>());
                let of = u64::from_be_bytes(*number.ok_or_else(malformed)?);
                if of >= epoch {
                    return Ok(found);
                }
                if found.last() != Some(&of) {
                    found.push(of);
                }
            }
            if page.len() < PAGE_ENTRIES {
                return Ok(found);
            }
            after = page.into_iter().next_back().map(|(key, _)| key);
        }
    }

    /// The set of this hash, if it followed an epoch's end.
    ///
    /// # Errors
    /// Those of the store; [`StorageError::IndexMalformed`] if it is not the set of this hash.
    pub fn validator_set(&self, hash: &Hash) -> Result<Option<ValidatorSet>, StorageError> {
        let Some(members) = self.in_pieces(&set_key(hash))? else { return Ok(None) };
        let set = ValidatorSet::new(members);
        let malformed = StorageError::IndexMalformed { tree: Tree::Epoch.name() };
        if set.hash() == *hash { Ok(Some(set)) } else { Err(malformed) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::index_change::{EpochEnd, IndexChange};
    use crate::storage::memory_index::MemoryIndex;
    use crate::types::{ChainId, MasternodeId, RuleVersion, Signature, SignerBitmap, StateDigest};

    fn header(epoch: Epoch) -> Header {
        Header {
            chain_id: ChainId::ZERO,
            height: epoch,
            round: 0,
            epoch,
            epoch_end: true,
            time: 0,
            prev_hash: BlockHash::ZERO,
            last_commit_root: Hash::ZERO,
            tx_root: Hash::ZERO,
            evidence_root: Hash::ZERO,
            epoch_ends_root: Hash::ZERO,
            state_digest: StateDigest::ZERO,
            validators_hash: Hash::ZERO,
            next_validators_hash: Hash::ZERO,
            proposer: MasternodeId::ZERO,
            rules: RuleVersion::FIRST,
            announced: RuleVersion::FIRST,
        }
    }

    /// The block that ends an epoch; a commit of a hundred takes more than one piece.
    fn end_of(epoch: Epoch) -> IndexChange {
        let members = if epoch.is_multiple_of(3) { 110 } else { 4 };
        let signers = SignerBitmap::empty(members);
        let signatures = vec![Signature::EMPTY; members];
        let commit = Commit { height: epoch, round: 0, block_hash: BlockHash::ZERO, signers, signatures };
        IndexChange {
            height: epoch,
            block_hash: BlockHash::ZERO,
            state: Vec::new(),
            spent: Vec::new(),
            created: Vec::new(),
            replaced: Vec::new(),
            transactions: Vec::new(),
            receipts: Vec::new(),
            epoch_end: Some(EpochEnd {
                epoch,
                next_set: Arc::default(),
                head: Some(Box::new((header(epoch), commit))),
            }),
            fuller: None,
            evidence: Vec::new(),
        }
    }

    /// Some weeks of a chain have more epochs than are read at once, and proofs need each of them.
    #[test]
    fn the_heads_of_any_number_of_epochs_are_named_once_each() {
        let index = Index::new(Arc::new(MemoryIndex::new()));
        let epochs: Vec<Epoch> = (0..2_000).collect();
        for epoch in &epochs {
            index.apply(&end_of(*epoch)).unwrap();
        }
        for before in [0, 1, 800, 1_500, 2_000] {
            let expected = &epochs[..before];
            assert_eq!(index.epoch_heads_before(u64::try_from(before).unwrap()).unwrap(), expected);
        }
        assert_eq!(index.epoch_heads_before(Epoch::MAX).unwrap(), epochs);
        assert_eq!(index.epoch_head(1_500).unwrap().unwrap().0, header(1_500));
    }
}
