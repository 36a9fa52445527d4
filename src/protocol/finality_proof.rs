//! Finality proofs: what convinces somebody who has nothing but the genesis document that a transaction is final.
//!
//! # Place
//! Floor 2, pure. A node builds proofs from its block log and its finality machine ([`EpochLink::new`],
//! [`Ending::voted`], [`Ending::included`]); `timed verify-proof` and RPC check them with [`verify()`]. Everything in a
//! proof comes from a stranger.
//!
//! # What a proof states
//! It names a chain and a transaction, not the transaction's body: a txid binds all of a transaction but its witnesses,
//! so whoever has the body compares `txid()` of it. The statement is one of two, by the proof's [`Ending`]:
//!
//! - *voted*: a quorum of epoch `e`'s validators voted `Final` for the transaction. No transaction that spends one of its
//!   inputs ever becomes final or enters the chain, and it is itself in the chain by the end of epoch `e`.
//! - *included*: block `h` of epoch `e`, with its hash and time, is in the chain and contains the transaction.
//!
//! # How
//! The genesis document names the set that is trusted first, that of epoch 0. Let `T` be the trusted set, which votes in
//! epoch `t`. A link is the header of the last block of an epoch `e >= t` with its commit by the set of `e`:
//!
//! - If the set of `e` is `T` itself, a quorum of it signed. So it always is where `e` is `t`.
//! - Otherwise the link gives the set of `e`, which the header names by its hash. Its own quorum signed, and the signers
//!   weigh a quorum of `T` as well, by the keys and weights that `T` has.
//!
//! Then the header's next set is trusted, which votes in epoch `e + 1`. The ending is of the epoch to which the links lead,
//! by the set that is trusted then. So a proof passes over all epochs in which enough stayed the same, and grows with
//! what changed. Nothing of it depends on a clock or on the node that made the proof.
//!
//! # Under which assumption
//! The proof names sets: that of the document, those that its links give, and that of the ending. In each of them, keys
//! with less than a third of the weight are misused, ever. A key counts as misused if it signs anything but its owner's
//! own chain, however late: a verifier has no clock, so keys that were sold after their owners left count too. Nothing is
//! assumed of the sets that the links pass over.
//!
//! Why it holds: a quorum of `T` has an honest member, which signed this header, so the header is one that followed on
//! the real chain; the set that it names is the real one of epoch `e`. A quorum of that set committed the block, so the
//! chain has it, and the next set that the header names is the real one too.
//!
//! Why one of the two quorums is not enough:
//!
//! - The quorum of set `e` alone: whoever writes a header also writes the set that it names, of keys made for it.
//! - A quorum of `T` alone: one that signed a block has not decided on it. A precommit may be for a block that found no
//!   quorum of set `e`, which may weigh much more than `T` by then, and another block came in its place.
//!
//! Why a quorum of `T`, when a third would hold an honest member: with a third, a third of the keys of an old set could
//! forge. So it takes what it takes from epoch to epoch, two thirds of a set that is trusted.
//!
//! What a forger risks: section 6 of the rules makes a precommit evidence whose header names another epoch or set than the
//! chain has there, and a node that is asked to check such a proof accuses the signers. A quorum of the set that the chain
//! has at a height may name a next set that never was, in another round than the chain's block. No two of its votes show
//! that, so the assumption stays what it is.
//!
//! # From a block that is trusted
//! A verifier may know a later block by other means, as a node that was away for longer than `unbonding_time` asks for a
//! checkpoint. It names the block by height and hash, and the proof begins with that block's header, its [`Anchor`]. The
//! header names the set of its epoch, which is trusted then; nothing is assumed of any set before. Payments of that epoch
//! and of later ones are proved from there, as from the document.
//!
//! For a payment of an earlier epoch no link is needed. Each header commits to the last blocks of all epochs that ended
//! before its own, so a path of hashes proves the end of the payment's epoch, and with it the set that voted there. Of
//! that set the assumption has to hold.
//!
//! # What is canonical
//! Different quorums and different ways are different proofs of the same. Of any of them nothing can be left out:
//!
//! - A signer is spare if the others reach the same quorums; each one is looked at.
//! - A link is spare if the set that was trusted before it would do for the next link, with the signers that are given
//!   there. Only the set just before is looked at, so that a check takes no longer than the proof is long: where members
//!   go and come back, a way may exist that leaves out two links at once.
//! - A set is given only where the hash does not say that it is the one before, and by its difference
//!   from that one: `T` for the set of `e`, and the set of `e` for the next one.
//!
//! # Size
//! In bytes of the encoding, with the number of links; the text is base64, a third more. Validators of equal weight, of whom
//! all sign, so much of the set changing in each epoch, and the ending by a block of 1,000 transactions, or by votes. The sizes
//! follow from the format; `the_table_of_links` in the tests measures them, and how long it takes to find the links, with the
//! chain in memory, and to verify either proof on one thread. Times are those of an unoptimized build on a core that had other
//! work too, so they are bounds from above. With the votes themselves a set of a hundred weighs more than by a block: each of
//! them comes with the header and the path of its batch, a precommit with nothing.
//!
//! | validators | changes | epochs before | bytes, by a block | links | by votes | ms to make | to verify | by votes |
//! |---|---|---|---|---|---|---|---|---|
//! | 4 | never | 1 | 1,577 | 1 | 1,159 | 0 | 1 | 1 |
//! | 4 | never | 10 | 1,577 | 1 | 1,159 | 0 | 2 | 1 |
//! | 4 | never | 1,000 | 1,577 | 1 | 1,159 | 0 | 1 | 1 |
//! | 4 | never | 100,000 | 1,577 | 1 | 1,159 | 0 | 1 | 1 |
//! | 4 | a hundredth | 1 | 1,577 | 1 | 1,159 | 0 | 1 | 12 |
//! | 4 | a hundredth | 10 | 1,577 | 1 | 1,159 | 0 | 0 | 1 |
//! | 4 | a hundredth | 1,000 | 16,045 | 20 | 15,627 | 17 | 9 | 7 |
//! | 4 | a hundredth | 100,000 | 1,505,005 | 2,000 | 1,504,587 | 1919 | 1782 | 1451 |
//! | 4 | a tenth | 1 | 1,577 | 1 | 1,159 | 0 | 1 | 1 |
//! | 4 | a tenth | 10 | 2,509 | 2 | 2,091 | 0 | 6 | 1 |
//! | 4 | a tenth | 1,000 | 151,405 | 200 | 150,987 | 69 | 117 | 126 |
//! | 4 | a tenth | 100,000 | too large | - | - | 7243 | - | - |
//! | 100 | never | 1 | 9,793 | 1 | 15,507 | 0 | 58 | 68 |
//! | 100 | never | 10 | 9,793 | 1 | 15,507 | 0 | 61 | 53 |
//! | 100 | never | 1,000 | 9,793 | 1 | 15,507 | 0 | 52 | 63 |
//! | 100 | never | 100,000 | 9,793 | 1 | 15,507 | 0 | 55 | 59 |
//! | 100 | a hundredth | 1 | 9,895 | 1 | 15,609 | 0 | 46 | 62 |
//! | 100 | a hundredth | 10 | 10,581 | 1 | 16,295 | 0 | 52 | 61 |
//! | 100 | a hundredth | 1,000 | 220,253 | 30 | 225,967 | 744 | 583 | 442 |
//! | 100 | a hundredth | 100,000 | too large | - | - | 42316 | - | - |
//! | 100 | a tenth | 1 | 10,552 | 1 | 16,266 | 0 | 57 | 54 |
//! | 100 | a tenth | 10 | 26,627 | 3 | 32,341 | 9 | 33 | 44 |
//! | 100 | a tenth | 1,000 | 1,919,613 | 250 | 1,925,327 | 1301 | 2022 | 2097 |
//! | 100 | a tenth | 100,000 | too large | - | - | 10530 | - | - |
//!
//! Where a tenth of 100 validators changes in each epoch [`FINALITY_PROOF_BYTES_MAX`] is reached after some 6,600 epochs,
//! with a hundredth after some 59,300, and with a tenth of 4 after some 84,500.
//!
//! From a block that is trusted and later, by so many epochs, than a payment of the tenth epoch: no link, one hash more for each
//! doubling of the chain, and the payment's set where the document has another one (`the_table_from_later_blocks`):
//!
//! | validators | changes | epochs between | bytes, by a block | by votes | ms to make | to verify | by votes |
//! |---|---|---|---|---|---|---|---|
//! | 4 | never | 1 | 1,793 | 1,375 | 0 | 1 | 0 |
//! | 4 | never | 10 | 1,889 | 1,471 | 0 | 0 | 0 |
//! | 4 | never | 1,000 | 2,049 | 1,631 | 0 | 1 | 0 |
//! | 4 | never | 100,000 | 2,273 | 1,855 | 121 | 1 | 0 |
//! | 4 | a hundredth | 1 | 1,793 | 1,375 | 0 | 1 | 0 |
//! | 4 | a hundredth | 10 | 1,889 | 1,471 | 0 | 1 | 0 |
//! | 4 | a hundredth | 1,000 | 2,049 | 1,631 | 1 | 1 | 0 |
//! | 4 | a hundredth | 100,000 | 2,273 | 1,855 | 126 | 1 | 0 |
//! | 4 | a tenth | 1 | 2,102 | 1,684 | 0 | 1 | 0 |
//! | 4 | a tenth | 10 | 2,198 | 1,780 | 0 | 1 | 0 |
//! | 4 | a tenth | 1,000 | 2,358 | 1,940 | 1 | 1 | 0 |
//! | 4 | a tenth | 100,000 | 2,582 | 2,164 | 95 | 2 | 0 |
//! | 100 | never | 1 | 5,901 | 11,615 | 0 | 25 | 32 |
//! | 100 | never | 10 | 5,997 | 11,711 | 0 | 23 | 26 |
//! | 100 | never | 1,000 | 6,157 | 11,871 | 4 | 30 | 19 |
//! | 100 | never | 100,000 | 6,381 | 12,095 | 169 | 38 | 35 |
//! | 100 | a hundredth | 1 | 6,660 | 12,374 | 0 | 46 | 34 |
//! | 100 | a hundredth | 10 | 6,756 | 12,470 | 0 | 37 | 47 |
//! | 100 | a hundredth | 1,000 | 6,916 | 12,630 | 1 | 36 | 37 |
//! | 100 | a hundredth | 100,000 | 7,140 | 12,854 | 152 | 39 | 36 |
//! | 100 | a tenth | 1 | 13,230 | 18,944 | 0 | 38 | 38 |
//! | 100 | a tenth | 10 | 13,326 | 19,040 | 0 | 34 | 23 |
//! | 100 | a tenth | 1,000 | 13,486 | 19,200 | 1 | 37 | 38 |
//! | 100 | a tenth | 100,000 | 13,710 | 19,424 | 91 | 23 | 25 |
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `verify.rs`, `chain.rs` | whether a proof holds |
//! | `anchor.rs`, `trusted.rs` | what a verifier trusts at its beginning, and then |
//! | `quorums.rs` | how many signers a commit needs, and no more |
//! | `given_set.rs` | how a set is told by what it has in common with another |
//! | `path.rs` | which epochs a proof goes by, so that it is short |
//! | `foreign.rs` | who vouched for a set that never was |
//! | `error.rs` | why a proof proves nothing |
//!
//! # Invariants
//! - INV-PROOF-1: every byte of an accepted proof counts. Each is bound by a signature or a hash, or a rule fixes it:
//!   no spare link, set, signer, vote, path or byte, lists in the set's order, one encoding. So whoever changes a proof
//!   without a validator's key has one that is refused.
//! - INV-PROOF-2: bounds come before work, structure before signatures, and signatures link by link: a forged link costs
//!   its verifier no more than the genuine links before it.

mod anchor;
mod chain;
mod error;
mod foreign;
mod given_set;
mod path;
mod quorums;
#[cfg(test)]
mod tests;
mod trusted;
mod verify;

use bincode::{Decode, Encode};

pub use anchor::Anchor;
pub use chain::{ChainProof, ProvedChain, ProvedEnd};
pub use error::FinalityProofError;
pub use path::{Epochs, Path, TooLong, path};
pub use verify::{ProvedFinality, ProvedInclusion, verify, verify_with};

use given_set::GivenSet;
use quorums::Quorums;

use crate::types::codec::{decode, encode};
use crate::types::limits::FINALITY_PROOF_BYTES_MAX;
use crate::types::{
    Block, CertificateVote, ChainId, Commit, Epoch, FinalityVote, Hash, Header, Round, Signature,
    SignerBitmap, TxId, ValidatorSet, VoteKind, merkle,
};

/// What the encoding of a proof begins with, before its version.
const FORMAT: &[u8] = b"timed/finality-proof";
/// The only version there is. It also stands for the rules by which a proof is checked.
pub const FINALITY_PROOF_VERSION: u16 = 3;

/// The precommits of a quorum for one block, and no more than it takes. Height and block are those of the header that
/// it stands beside.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct QuorumCommit {
    round: Round,
    signers: SignerBitmap,
    signatures: Vec<Signature>,
}

/// How an epoch ended, which is that of the trusted set or a later one, and who votes in the next one.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct EpochLink {
    header: Header,
    commit: QuorumCommit,
    /// The set that signed, told from the trusted one, if it is another.
    set: Option<GivenSet>,
    /// The set of the next epoch, told from the one that signed, if it is another.
    next_set: Option<GivenSet>,
}

/// A committed block and the way from the transaction to its header.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Inclusion {
    header: Header,
    commit: QuorumCommit,
    /// The transaction's place in the block.
    index: u32,
    /// Transactions of the block.
    count: u32,
    /// The siblings up to the header's `tx_root`.
    path: Vec<Hash>,
}

/// What the set that the links lead to says of the transaction.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Ending {
    /// `Final` votes of a quorum, in the set's order, and no more than it takes.
    Voted(Vec<CertificateVote>),
    /// A block that contains it.
    Included(Box<Inclusion>),
}

/// A proof that a transaction is final. See the module for what it states.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct FinalityProof {
    chain_id: ChainId,
    txid: TxId,
    /// What it starts from; the genesis document if nothing is given.
    anchor: Option<Anchor>,
    /// By ascending epochs; the last one is of the epoch before the ending's.
    links: Vec<EpochLink>,
    ending: Ending,
}

impl QuorumCommit {
    /// The part of a commit that the quorums take; `None` if the commit does not fit the set or is too light.
    fn of(commit: &Commit, quorums: &Quorums<'_>) -> Option<Self> {
        let members = quorums.set.len();
        if !commit.signers.fits(members) || commit.signers.iter().count() != commit.signatures.len() {
            return None;
        }
        let mut signers = SignerBitmap::empty(members);
        quorums.choose(commit.signers.iter())?.into_iter().for_each(|place| signers.set(place));
        let signed = commit.signers.iter().zip(&commit.signatures);
        let signatures =
            signed.filter(|(place, _)| signers.contains(*place)).map(|(_, signature)| *signature);
        Some(Self { round: commit.round, signatures: signatures.collect(), signers })
    }
}

impl EpochLink {
    /// The link of an epoch whose last block has this header and this commit, for a verifier that trusts the first of the
    /// sets; the others are the epoch's own and the next one. `None` if they don't fit each other, so that what is handed
    /// in is no part of one chain, or if those who signed weigh too little in the trusted set.
    #[must_use]
    pub fn new(header: &Header, commit: &Commit, [trusted, set, next]: [&ValidatorSet; 3]) -> Option<Self> {
        let is_last = header.epoch_end && header.next_validators_hash == next.hash();
        if !is_last || !is_of(commit, header) || header.validators_hash != set.hash() {
            return None;
        }
        let passed = Some(trusted).filter(|trusted| *trusted != set);
        let commit = QuorumCommit::of(commit, &Quorums { set, trusted: passed })?;
        let given = |set: &ValidatorSet, base: &ValidatorSet| {
            if set == base { Some(None) } else { GivenSet::of(set, base).map(Some) }
        };
        let (set, next_set) = (given(set, trusted)?, given(next, set)?);
        Some(Self { header: header.clone(), commit, set, next_set })
    }
}

fn is_of(commit: &Commit, header: &Header) -> bool {
    commit.height == header.height && commit.block_hash == header.hash()
}

impl Ending {
    /// What `Final` votes of an epoch say; `None` unless they weigh a quorum of its `set`. Votes for something else and
    /// repeated ones are left out.
    #[must_use]
    pub fn voted(
        txid: TxId,
        epoch: Epoch,
        votes: impl IntoIterator<Item = CertificateVote>,
        set: &ValidatorSet,
    ) -> Option<Self> {
        let vote = FinalityVote { kind: VoteKind::Final, txid };
        let place_of = |mut proof: CertificateVote| {
            proof.index = proof.first_index(&vote)?;
            let place = set.index_of(&proof.header.validator)?;
            (proof.header.epoch == epoch).then_some((place, proof))
        };
        let mut placed: Vec<(usize, CertificateVote)> = votes.into_iter().filter_map(place_of).collect();
        placed.sort_by_key(|(place, _)| *place);
        placed.dedup_by_key(|(place, _)| *place);
        let chosen = Quorums::own(set).choose(placed.iter().map(|(place, _)| *place))?;
        placed.retain(|(place, _)| chosen.binary_search(place).is_ok());
        Some(Self::Voted(placed.into_iter().map(|(_, proof)| proof).collect()))
    }

    /// What a block says that contains the transaction and that its epoch's `set` committed; `None` if it does not, or if
    /// they don't fit each other.
    #[must_use]
    pub fn included(txid: TxId, block: &Block, commit: &Commit, set: &ValidatorSet) -> Option<Self> {
        let header = &block.header;
        if !is_of(commit, header) || header.validators_hash != set.hash() {
            return None;
        }
        let txids: Vec<TxId> = block.transactions.iter().map(|transaction| transaction.txid()).collect();
        let index = txids.iter().position(|other| *other == txid)?;
        let path = merkle::path(txids.iter().map(|txid| txid.0.as_slice()), index)?;
        Some(Self::Included(Box::new(Inclusion {
            header: header.clone(),
            commit: QuorumCommit::of(commit, &Quorums::own(set))?,
            index: u32::try_from(index).ok()?,
            count: u32::try_from(txids.len()).ok()?,
            path,
        })))
    }
}

impl FinalityProof {
    /// A proof of its parts. Whether it proves anything is [`verify()`]'s to say.
    #[must_use]
    pub const fn new(chain_id: ChainId, txid: TxId, links: Vec<EpochLink>, ending: Ending) -> Self {
        Self { chain_id, txid, anchor: None, links, ending }
    }

    /// The same proof for a verifier that trusts the block of this anchor, from which the links have to start.
    #[must_use]
    pub fn anchored(self, anchor: Anchor) -> Self {
        Self { anchor: Some(anchor), ..self }
    }

    /// The canonical encoding: format, version, content.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [FORMAT, &FINALITY_PROOF_VERSION.to_le_bytes(), &encode(self)].concat()
    }

    /// Reads an encoding. That it is one says nothing about what it proves.
    ///
    /// # Errors
    /// [`FinalityProofError::TooLarge`], [`FinalityProofError::NotAProof`], [`FinalityProofError::UnknownVersion`],
    /// [`FinalityProofError::Malformed`], [`FinalityProofError::NotCanonical`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FinalityProofError> {
        let length = bytes.len();
        if length > FINALITY_PROOF_BYTES_MAX {
            return Err(FinalityProofError::TooLarge { length });
        }
        let versioned = bytes.strip_prefix(FORMAT).ok_or(FinalityProofError::NotAProof)?;
        let (version, content) = versioned.split_first_chunk().ok_or(FinalityProofError::NotAProof)?;
        let version = u16::from_le_bytes(*version);
        if version != FINALITY_PROOF_VERSION {
            return Err(FinalityProofError::UnknownVersion { version });
        }
        let proof: Self = decode(content)?;
        // The decoder accepts one encoding of each value; this holds it to that.
        if encode(&proof) != content {
            return Err(FinalityProofError::NotCanonical);
        }
        Ok(proof)
    }

    /// The transaction that it speaks of.
    #[must_use]
    pub const fn txid(&self) -> TxId {
        self.txid
    }

    /// The epoch that its ending is of: the one after that of the last link.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        let first = self.anchor.as_ref().map_or(0, Anchor::epoch);
        self.links.last().map_or(first, |link| link.header.epoch.saturating_add(1))
    }
}
