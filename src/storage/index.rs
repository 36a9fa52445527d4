//! The index: unspent outputs, where things are in the chain, and the ledger's state at a marked height.
//!
//! # Place
//! The [`IndexWriter`](super::index_writer::IndexWriter) applies blocks to it behind the block log; the UTXO manager and
//! RPC read it. All of it can be built again from genesis and block log.
//!
//! # Invariants
//! - INV-INDEX-1: applying a change again, and every change after it in order, ends in the same contents. So after a
//!   crash the log is applied from the mark on, whatever part of it had arrived.
//! - INV-STORAGE-5 of [`super`]: the mark is written after a real sync of everything it stands for, and its state is whole before.
//! - INV-INDEX-2: values are at most [`VALUE_BYTES_MAX`] bytes.
//!
//! # Concurrency
//! One writer; any number of readers, who may see a block half applied. What must be exact is read from memory first.

use std::sync::Arc;

use bincode::{Decode, Encode};

use super::error::StorageError;
use crate::protocol::masternodes::Receipt;
use crate::types::codec::{decode, encode};
use crate::types::{
    Amount, BlockHash, Epoch, Hash, Height, Lock, MasternodeId, OutPoint, TxId, TxOut, UtxoEntry, Validator,
    ValidatorSet,
};

/// Bytes of one value, at most: larger ones are cut into pieces.
pub const VALUE_BYTES_MAX: usize = 7 << 10;
/// Entries that one scan returns, at most.
pub const SCAN_ENTRIES_MAX: usize = 10_000;
/// Changes that are handed to the store at once.
const BATCH_CHANGES: usize = 512;
/// Pieces of older states that are looked up at once to be deleted.
const STATE_SCAN_ENTRIES: usize = 256;
/// Pieces of one validator set, at most: each holds [`VALUE_BYTES_MAX`] bytes, and a set of 100 members has 7,208.
const SET_PIECES_MAX: usize = 4;

/// The parts of the index, each with keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tree {
    /// Output to its entry, while it is unspent.
    Utxo,
    /// Lock and output to value and height, while it is unspent.
    Address,
    /// Transaction to height and place in the block.
    Transaction,
    /// Output to the transaction that spent it, and the height.
    Spent,
    /// Block hash to height.
    Block,
    /// Transaction about a masternode to what became of it.
    Receipt,
    /// Epoch to the height of its last block and the hash of the set after it; that hash to pieces of the set.
    Epoch,
    /// Evidence that blocks punished, the newest first.
    Evidence,
    /// The mark, and pieces of the ledger's state.
    State,
}

impl Tree {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::Utxo,
        Self::Address,
        Self::Transaction,
        Self::Spent,
        Self::Block,
        Self::Receipt,
        Self::Epoch,
        Self::Evidence,
        Self::State,
    ];

    /// Its name in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utxo => "utxo",
            Self::Address => "address",
            Self::Transaction => "transaction",
            Self::Spent => "spent",
            Self::Block => "block",
            Self::Receipt => "receipt",
            Self::Epoch => "epoch",
            Self::Evidence => "evidence",
            Self::State => "state",
        }
    }
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Sets a key.
    Put {
        /// In which tree.
        tree: Tree,
        /// The key.
        key: Vec<u8>,
        /// At most [`VALUE_BYTES_MAX`] bytes.
        value: Vec<u8>,
    },
    /// Removes a key; it may be missing.
    Delete {
        /// In which tree.
        tree: Tree,
        /// The key.
        key: Vec<u8>,
    },
}

/// Entries in the order of their keys.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// An ordered key-value store with few verbs, so that it can be exchanged.
pub trait IndexStore: Send + Sync + 'static {
    /// The value of a key.
    ///
    /// # Errors
    /// [`StorageError::Index`].
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError>;

    /// At most `limit` entries whose keys start with `prefix` and come after `after`, in order.
    ///
    /// # Errors
    /// [`StorageError::Index`].
    fn scan_prefix(
        &self,
        tree: Tree,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Entries, StorageError>;

    /// Applies changes in order; together they are not atomic.
    ///
    /// # Errors
    /// [`StorageError::Index`].
    fn write(&self, changes: Vec<Change>) -> Result<(), StorageError>;

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// [`StorageError::Index`], [`StorageError::Io`].
    fn sync(&self) -> Result<(), StorageError>;
}

/// What the last block of an epoch ends and begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch that it ends.
    pub epoch: Epoch,
    /// Who votes in the next one.
    pub next_set: Arc<ValidatorSet>,
}

/// Evidence that a block punished.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PunishedEvidence {
    /// The evidence's name.
    pub hash: Hash,
    /// Its kind, in snake_case.
    pub kind: String,
    /// Who is accused.
    pub masternode: MasternodeId,
    /// The epoch of the act.
    pub epoch: Epoch,
    /// The height of the act, if it has one.
    pub height: Option<Height>,
    /// The block that punished it.
    pub block_height: Height,
    /// What it burned of the collateral.
    pub burned: Amount,
}

/// What one block, or as height 0 the genesis document, does to the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexChange {
    /// The block's height; 0 for genesis.
    pub height: Height,
    /// The block; for genesis the chain id's bytes.
    pub block_hash: BlockHash,
    /// The encoded ledger state after it.
    pub state: Vec<u8>,
    /// Outputs it spends, with their entries and who spends them.
    pub spent: Vec<(OutPoint, UtxoEntry, TxId)>,
    /// Outputs it makes, or gives another value; those that it spends itself may be among them.
    pub created: Vec<(OutPoint, UtxoEntry)>,
    /// Its transactions in order.
    pub transactions: Vec<TxId>,
    /// What became of those that speak of masternodes.
    pub receipts: Vec<Receipt>,
    /// If it is the last block of an epoch.
    pub epoch_end: Option<EpochEnd>,
    /// What it punished.
    pub evidence: Vec<PunishedEvidence>,
}

impl IndexChange {
    /// Outputs and transactions that it writes of.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.spent.len().saturating_add(self.created.len()).saturating_add(self.transactions.len())
    }

    /// About how much memory it takes, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + self.state.len()
            + self.spent.len() * size_of::<(OutPoint, UtxoEntry, TxId)>()
            + self.created.len() * size_of::<(OutPoint, UtxoEntry)>()
            + self.transactions.len() * size_of::<TxId>()
            + self.receipts.len() * size_of::<Receipt>()
            + self.epoch_end.as_ref().map_or(0, |end| end.next_set.len() * size_of::<Validator>())
            + self.evidence.len() * size_of::<PunishedEvidence>()
    }
}

/// Up to where the index is durable, and the ledger's state there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The last block that the index holds for sure.
    pub height: Height,
    /// That block; compare it with the block log's before the index is trusted.
    pub block_hash: BlockHash,
    /// The encoded ledger state after it.
    pub state: Vec<u8>,
}

const KEY_MARK: &[u8] = b"mark";
const KEY_HIGHEST: &[u8] = b"highest";
const STATE_PREFIX: &[u8] = b"piece/";
const EPOCH_PREFIX: &[u8] = b"end/";
const SET_PREFIX: &[u8] = b"set/";

fn outpoint_key(outpoint: &OutPoint) -> Vec<u8> {
    [outpoint.txid.0.as_slice(), &outpoint.index.to_be_bytes()].concat()
}

fn lock_key(lock: &Lock) -> [u8; 33] {
    let Lock::KeyHash(hash) = lock;
    let mut key = [0; 33];
    let (_kind, bytes) = key.split_at_mut(1);
    bytes.copy_from_slice(&hash.0);
    key
}

fn address_key(lock: &Lock, outpoint: &OutPoint) -> Vec<u8> {
    [lock_key(lock).as_slice(), &outpoint_key(outpoint)].concat()
}

/// Ascending keys are descending heights.
fn evidence_key(evidence: &PunishedEvidence) -> Vec<u8> {
    [(u64::MAX - evidence.block_height).to_be_bytes().as_slice(), &evidence.hash.0].concat()
}

fn piece_key(height: Height, piece: u32) -> Vec<u8> {
    [STATE_PREFIX, height.to_be_bytes().as_slice(), &piece.to_be_bytes()].concat()
}

fn epoch_key(epoch: Epoch) -> Vec<u8> {
    [EPOCH_PREFIX, epoch.to_be_bytes().as_slice()].concat()
}

fn set_key(hash: &Hash) -> Vec<u8> {
    [SET_PREFIX, hash.0.as_slice()].concat()
}

/// What the mark's value says: height, block hash, length of the state and its CRC-32.
type MarkValue = (Height, BlockHash, u64, u32);

fn put(tree: Tree, key: Vec<u8>, value: Vec<u8>) -> Change {
    Change::Put { tree, key, value }
}

/// The index over a store. Clones share it.
#[derive(Clone)]
pub struct Index {
    store: Arc<dyn IndexStore>,
}

impl Index {
    /// The index in this store.
    #[must_use]
    pub fn new(store: Arc<dyn IndexStore>) -> Self {
        Self { store }
    }

    fn get<T: bincode::Decode<()>>(&self, tree: Tree, key: &[u8]) -> Result<Option<T>, StorageError> {
        let Some(value) = self.store.get(tree, key)? else { return Ok(None) };
        let malformed = |_| StorageError::IndexMalformed { tree: tree.name() };
        decode(&value).map(Some).map_err(malformed)
    }

    /// The entry of an output, if it is unspent.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn utxo(&self, outpoint: &OutPoint) -> Result<Option<UtxoEntry>, StorageError> {
        self.get(Tree::Utxo, &outpoint_key(outpoint))
    }

    /// At most `limit` unspent outputs after `after`, in the order of their names: to walk through all of them.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn utxos(
        &self,
        after: Option<&OutPoint>,
        limit: usize,
    ) -> Result<Vec<(OutPoint, UtxoEntry)>, StorageError> {
        let malformed = || StorageError::IndexMalformed { tree: Tree::Utxo.name() };
        let after = after.map(outpoint_key);
        let entries =
            self.store.scan_prefix(Tree::Utxo, &[], after.as_deref(), limit.min(SCAN_ENTRIES_MAX))?;
        let parse =
            |(key, value): (Vec<u8>, Vec<u8>)| Some((outpoint_of(&key)?, decode::<UtxoEntry>(&value).ok()?));
        entries.into_iter().map(|entry| parse(entry).ok_or_else(malformed)).collect()
    }

    /// In which block a transaction is, and its place there from 0.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn transaction(&self, txid: &TxId) -> Result<Option<(Height, u32)>, StorageError> {
        self.get(Tree::Transaction, &txid.0)
    }

    /// Who spent an output, and in which block.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn spent_by(&self, outpoint: &OutPoint) -> Result<Option<(TxId, Height)>, StorageError> {
        self.get(Tree::Spent, &outpoint_key(outpoint))
    }

    /// What became of a transaction that speaks of a masternode and is in the chain.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn receipt(&self, txid: &TxId) -> Result<Option<Receipt>, StorageError> {
        self.get(Tree::Receipt, &txid.0)
    }

    /// At most `limit` pieces of evidence that blocks punished, the newest first.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn evidence(&self, limit: usize) -> Result<Vec<PunishedEvidence>, StorageError> {
        let malformed = |_| StorageError::IndexMalformed { tree: Tree::Evidence.name() };
        let entries = self.store.scan_prefix(Tree::Evidence, &[], None, limit.min(SCAN_ENTRIES_MAX))?;
        entries.iter().map(|(_, value)| decode(value).map_err(malformed)).collect()
    }

    /// The height of a block.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn block_height(&self, hash: &BlockHash) -> Result<Option<Height>, StorageError> {
        self.get(Tree::Block, &hash.0)
    }

    /// The height of an epoch's last block, and the hash of the set that votes after it; `None` until the epoch has ended.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn epoch_end(&self, epoch: Epoch) -> Result<Option<(Height, Hash)>, StorageError> {
        self.get(Tree::Epoch, &epoch_key(epoch))
    }

    /// The set of this hash, if it followed an epoch's end.
    ///
    /// # Errors
    /// Those of the store; [`StorageError::IndexMalformed`] if it is not the set of this hash.
    pub fn validator_set(&self, hash: &Hash) -> Result<Option<ValidatorSet>, StorageError> {
        let malformed = || StorageError::IndexMalformed { tree: Tree::Epoch.name() };
        let pieces = self.store.scan_prefix(Tree::Epoch, &set_key(hash), None, SET_PIECES_MAX)?;
        if pieces.is_empty() {
            return Ok(None);
        }
        let bytes: Vec<u8> = pieces.into_iter().flat_map(|(_, piece)| piece).collect();
        let set = ValidatorSet::new(decode(&bytes).map_err(|_| malformed())?);
        if set.hash() == *hash { Ok(Some(set)) } else { Err(malformed()) }
    }

    /// At most `limit` unspent outputs of a lock after `after`.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn address_utxos(
        &self,
        lock: &Lock,
        after: Option<&OutPoint>,
        limit: usize,
    ) -> Result<Vec<(OutPoint, UtxoEntry)>, StorageError> {
        let malformed = || StorageError::IndexMalformed { tree: Tree::Address.name() };
        let after = after.map(|outpoint| address_key(lock, outpoint));
        let limit = limit.min(SCAN_ENTRIES_MAX);
        let entries = self.store.scan_prefix(Tree::Address, &lock_key(lock), after.as_deref(), limit)?;
        let parse = |(key, value): (Vec<u8>, Vec<u8>)| {
            let outpoint = outpoint_of(key.get(33..)?)?;
            let (amount, height) = decode(&value).ok()?;
            Some((outpoint, UtxoEntry { output: TxOut { value: amount, lock: *lock }, height }))
        };
        entries.into_iter().map(|entry| parse(entry).ok_or_else(malformed)).collect()
    }

    /// The mark with its state; `None` in an index where none was completed.
    ///
    /// # Errors
    /// Those of the store; [`StorageError::IndexMalformed`] if its state is not whole: build the index again.
    pub fn mark(&self) -> Result<Option<Mark>, StorageError> {
        let malformed = || StorageError::IndexMalformed { tree: Tree::State.name() };
        let Some((height, block_hash, length, sum)) = self.get::<MarkValue>(Tree::State, KEY_MARK)? else {
            return Ok(None);
        };
        let length = usize::try_from(length).map_err(|_| malformed())?;
        let mut state = Vec::new();
        for piece in 0..length.div_ceil(VALUE_BYTES_MAX) {
            let piece = u32::try_from(piece).map_err(|_| malformed())?;
            let bytes = self.store.get(Tree::State, &piece_key(height, piece))?.ok_or_else(malformed)?;
            state.extend_from_slice(&bytes);
        }
        if state.len() != length || crc32fast::hash(&state) != sum {
            return Err(malformed());
        }
        Ok(Some(Mark { height, block_hash, state }))
    }

    /// The highest block of which anything may be in the index; `None` if nothing ever was. If it is above the block
    /// log's height, the log has lost its end to damage, and the index has to be built again.
    ///
    /// # Errors
    /// Those of the store, [`StorageError::IndexMalformed`].
    pub fn highest_applied(&self) -> Result<Option<Height>, StorageError> {
        self.get(Tree::State, KEY_HIGHEST)
    }

    /// Applies one block, or genesis as height 0. It is not durable before [`Index::set_mark`].
    ///
    /// # Errors
    /// Those of the store.
    pub fn apply(&self, change: &IndexChange) -> Result<(), StorageError> {
        let highest = self.highest_applied()?.unwrap_or(0).max(change.height);
        self.store.write(vec![put(Tree::State, KEY_HIGHEST.to_vec(), encode(&highest))])?;
        let mut batch = Batch { store: &*self.store, changes: Vec::with_capacity(BATCH_CHANGES) };
        batch.push(put(Tree::Block, change.block_hash.0.to_vec(), encode(&change.height)))?;
        for (place, txid) in change.transactions.iter().enumerate() {
            let location = (change.height, u32::try_from(place).unwrap_or(u32::MAX));
            batch.push(put(Tree::Transaction, txid.0.to_vec(), encode(&location)))?;
        }
        for receipt in &change.receipts {
            batch.push(put(Tree::Receipt, receipt.txid.0.to_vec(), encode(receipt)))?;
        }
        if let Some(EpochEnd { epoch, next_set }) = &change.epoch_end {
            let hash = next_set.hash();
            for (piece, bytes) in (0_u32..).zip(encode(&next_set.members()).chunks(VALUE_BYTES_MAX)) {
                let key = [set_key(&hash).as_slice(), &piece.to_be_bytes()].concat();
                batch.push(put(Tree::Epoch, key, bytes.to_vec()))?;
            }
            // After the set: whoever finds the epoch's end finds what it names.
            batch.push(put(Tree::Epoch, epoch_key(*epoch), encode(&(change.height, hash))))?;
        }
        for evidence in &change.evidence {
            batch.push(put(Tree::Evidence, evidence_key(evidence), encode(evidence)))?;
        }
        // Outputs are made before they are spent, since a block may spend its own.
        for (outpoint, entry) in &change.created {
            let lock = &entry.output.lock;
            batch.push(put(Tree::Utxo, outpoint_key(outpoint), encode(entry)))?;
            let value = encode(&(entry.output.value, entry.height));
            batch.push(put(Tree::Address, address_key(lock, outpoint), value))?;
        }
        for (outpoint, entry, spender) in &change.spent {
            let lock = &entry.output.lock;
            let key = outpoint_key(outpoint);
            batch.push(put(Tree::Spent, key.clone(), encode(&(*spender, change.height))))?;
            batch.push(Change::Delete { tree: Tree::Address, key: address_key(lock, outpoint) })?;
            batch.push(Change::Delete { tree: Tree::Utxo, key })?;
        }
        batch.flush()
    }

    /// Makes everything applied so far durable and marks it: `height` is the last change applied.
    ///
    /// # Errors
    /// Those of the store. The mark is then either the old or the new one, each with its whole state.
    pub fn set_mark(&self, height: Height, block_hash: BlockHash, state: &[u8]) -> Result<(), StorageError> {
        let mut batch = Batch { store: &*self.store, changes: Vec::new() };
        for (piece, bytes) in state.chunks(VALUE_BYTES_MAX).enumerate() {
            let piece = u32::try_from(piece).unwrap_or(u32::MAX);
            batch.push(put(Tree::State, piece_key(height, piece), bytes.to_vec()))?;
        }
        batch.flush()?;
        self.store.sync()?;
        let length = u64::try_from(state.len()).unwrap_or(u64::MAX);
        let mark: MarkValue = (height, block_hash, length, crc32fast::hash(state));
        self.store.write(vec![put(Tree::State, KEY_MARK.to_vec(), encode(&mark))])?;
        self.store.sync()?;
        self.delete_other_states(height)
    }

    fn delete_other_states(&self, height: Height) -> Result<(), StorageError> {
        let kept = [STATE_PREFIX, height.to_be_bytes().as_slice()].concat();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let entries =
                self.store.scan_prefix(Tree::State, STATE_PREFIX, after.as_deref(), STATE_SCAN_ENTRIES)?;
            let Some((last, _)) = entries.last() else { return Ok(()) };
            after = Some(last.clone());
            let stale = entries.into_iter().filter(|(key, _)| !key.starts_with(&kept));
            self.store.write(stale.map(|(key, _)| Change::Delete { tree: Tree::State, key }).collect())?;
        }
    }
}

fn outpoint_of(key: &[u8]) -> Option<OutPoint> {
    let (txid, index) = key.split_first_chunk::<32>()?;
    Some(OutPoint { txid: TxId(*txid), index: u32::from_be_bytes(index.try_into().ok()?) })
}

/// Hands changes to the store in small batches.
struct Batch<'a> {
    store: &'a dyn IndexStore,
    changes: Vec<Change>,
}

impl Batch<'_> {
    fn push(&mut self, change: Change) -> Result<(), StorageError> {
        self.changes.push(change);
        if self.changes.len() >= BATCH_CHANGES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.store.write(std::mem::take(&mut self.changes))
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
