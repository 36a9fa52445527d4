//! Pure data: amounts, hashes, keys, addresses, transactions, blocks, votes, messages and their encoding.
//!
//! # Place
//! Floor 1. Every other floor uses it; it uses nothing of the crate. It knows no clock, no disk, no network, and shows no
//! randomness and no order of a hash map ([`keyed`]). A new kind of payload or of message: the lists are in the heads of
//! `protocol` and `network`.
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `codec.rs` | which bytes an object is, and when bytes are none |
//! | `hash.rs`, `merkle.rs` | domains, names, roots and paths |
//! | `keys.rs` | when a signature holds |
//! | `limits.rs` | bounds that are no parameter of a chain |
//! | `genesis.rs`, `rules.rs` | what a chain begins with; which versions of the rules there are |
//! | `transaction.rs`, `lock.rs` | what a payment says, and what its owners sign |
//! | `header.rs`, `block.rs`, `proposal.rs` | what a block is, and what its hash covers |
//! | `vote.rs`, `masternode.rs` | what voters sign; what a set and its quorum are |
//! | `evidence.rs`, `fork.rs` | which forms contradictions have |
//! | `message.rs` | what peers say, and how long its lists may be |
//! | `heartbeat.rs`, `instance.rs` | signs of life and of starts |
//! | `released.rs` | which messages may leave |
//! | `address.rs`, `amount.rs`, `checkpoint.rs` | how people write them |
//! | `keyed.rs` | maps whose order nobody sees |
//!
//! # Invariants
//! - INV-TYPES-1: an encoding is canonical. Decoding and encoding again gives the same bytes, and a decoder
//!   refuses trailing bytes.
//! - INV-TYPES-2: two kinds of object never share a hash domain.
//! - INV-TYPES-3: whatever is signed includes the chain id; but a message of people names a network (section 12).
//!
//! # Units
//! Amounts are base units (1 TIME = 100,000,000). Times are milliseconds since the Unix epoch. Sizes are bytes.
//!
#![doc = include_str!("wire.md")]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::float_arithmetic
    )
)]

pub mod address;
pub mod amount;
pub mod block;
pub mod checkpoint;
pub mod codec;
pub mod evidence;
pub mod fork;
pub mod genesis;
pub mod hash;
pub mod header;
pub mod heartbeat;
pub mod instance;
pub mod keyed;
pub mod keys;
pub mod limits;
pub mod lock;
pub mod masternode;
pub mod merkle;
pub mod message;
pub mod proposal;
pub mod released;
pub mod rules;
pub mod transaction;
pub mod vote;

pub use address::{Address, Network};
pub use amount::Amount;
pub use block::{Block, BlockBlueprint, Commit, CommittedBlock, SignerBitmap};
pub use checkpoint::Checkpoint;
pub use evidence::Evidence;
pub use genesis::{ChainParameters, GenesisDocument};
pub use hash::{BatchRoot, BlockHash, ChainId, Hash, KeyHash, MasternodeId, StateDigest, TxId};
pub use header::Header;
pub use keys::{PublicKey, SecretKey, Signature, SignatureCheck, SignatureVerifier};
pub use lock::Lock;
pub use masternode::{MasternodeRegistration, MasternodeUpdate, OperatorConsent, Validator, ValidatorSet};
pub use message::{Message, OwnMessage};
pub use proposal::Proposal;
pub use released::{Released, VoteSource};
pub use rules::RuleVersion;
pub use transaction::{OutPoint, Payload, Transaction, TxOut, UtxoEntry, Witness};
pub use vote::{
    BatchHeader, BlockVote, Certificate, CertificateVote, FinalityVote, VoteBatch, VoteKind, VoteStep,
};

/// Height of a block; the genesis state is height 0 and the first block is height 1.
pub type Height = u64;
/// Round of a height, from 0.
pub type Round = u32;
/// Epoch, from 0.
pub type Epoch = u64;
/// Milliseconds since the Unix epoch, as block headers carry them.
pub type TimeMs = u64;
