//! BLAKE3 hashes with domains, and one newtype for each kind of thing that is named by its hash.
//!
//! # Place
//! Used by every type that is hashed or signed.
//!
//! # Invariants
//! - INV-TYPES-2 of [`super`]: the preimage starts with the length and the bytes of a domain of [`Domain`], so that two kinds of
//!   object never share a preimage.

/// What a hash is of. Each variant is one kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A transaction without its witnesses.
    Transaction,
    /// A copy of a transaction, with its witnesses. Never leaves a node.
    TransactionCopy,
    /// What a witness signs.
    TransactionSignature,
    /// What an operator signs to agree to a transaction about its masternode.
    OperatorConsent,
    /// Evidence of a contradiction, as a leaf of `evidence_root`.
    Evidence,
    /// A masternode's sign of life.
    Heartbeat,
    /// What a masternode's node says of its own start and of others'.
    Instance,
    /// A block header.
    Block,
    /// The header of a batch of finality votes.
    VoteBatch,
    /// A proposal.
    Proposal,
    /// A prevote.
    Prevote,
    /// A precommit.
    Precommit,
    /// A commit, as `last_commit_root`.
    Commit,
    /// The genesis document.
    Genesis,
    /// A public key, as an output's lock.
    Key,
    /// A registered masternode.
    Masternode,
    /// A validator set.
    ValidatorSet,
    /// The digest of the state's multiset hash.
    State,
    /// An element of the state's multiset.
    StateElement,
    /// A leaf of a Merkle tree.
    MerkleLeaf,
    /// An inner node of a Merkle tree.
    MerkleNode,
    /// The root of a Merkle tree with its number of leaves.
    MerkleRoot,
    /// The order in which conflicting transactions are locked at an epoch's start.
    ConflictOrder,
    /// The transcript of a network handshake, as a node's identity signs it.
    Handshake,
    /// The same transcript, as a masternode's operator signs it to prove that this connection is its own.
    MemberConnection,
    /// What the key of an address signs so that people know who said it.
    SignedMessage,
    /// The key that a memo for one receiver is encrypted by.
    SealedMemo,
    /// The manifest of a snapshot.
    Snapshot,
    /// A key derived for a test or the public development network.
    DevelopmentSeed,
}

impl Domain {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 29] = [
        Self::Transaction,
        Self::TransactionCopy,
        Self::TransactionSignature,
        Self::OperatorConsent,
        Self::Evidence,
        Self::Heartbeat,
        Self::Instance,
        Self::Block,
        Self::VoteBatch,
        Self::Proposal,
        Self::Prevote,
        Self::Precommit,
        Self::Commit,
        Self::Genesis,
        Self::Key,
        Self::Masternode,
        Self::ValidatorSet,
        Self::State,
        Self::StateElement,
        Self::MerkleLeaf,
        Self::MerkleNode,
        Self::MerkleRoot,
        Self::ConflictOrder,
        Self::Handshake,
        Self::MemberConnection,
        Self::SignedMessage,
        Self::SealedMemo,
        Self::Snapshot,
        Self::DevelopmentSeed,
    ];

    /// The text that a preimage of this kind starts with, after its length.
    #[must_use]
    pub const fn tag(self) -> &'static [u8] {
        match self {
            Self::Transaction => b"timed/tx/v1",
            Self::TransactionCopy => b"timed/copy/v1",
            Self::TransactionSignature => b"timed/txsig/v1",
            Self::OperatorConsent => b"timed/consent/v1",
            Self::Evidence => b"timed/evidence/v1",
            Self::Heartbeat => b"timed/heartbeat/v1",
            Self::Instance => b"timed/instance/v1",
            Self::Block => b"timed/block/v1",
            Self::VoteBatch => b"timed/vote/v1",
            Self::Proposal => b"timed/proposal/v1",
            Self::Prevote => b"timed/prevote/v1",
            Self::Precommit => b"timed/precommit/v1",
            Self::Commit => b"timed/commit/v1",
            Self::Genesis => b"timed/genesis/v1",
            Self::Key => b"timed/key/v1",
            Self::Masternode => b"timed/masternode/v1",
            Self::ValidatorSet => b"timed/set/v1",
            Self::State => b"timed/state/v1",
            Self::StateElement => b"timed/element/v1",
            Self::MerkleLeaf => b"timed/leaf/v1",
            Self::MerkleNode => b"timed/node/v1",
            Self::MerkleRoot => b"timed/root/v1",
            Self::ConflictOrder => b"timed/order/v1",
            Self::Handshake => b"timed/handshake/v1",
            Self::MemberConnection => b"timed/member/v1",
            Self::SignedMessage => b"timed/message/v1",
            Self::SealedMemo => b"timed/memo/v1",
            Self::Snapshot => b"timed/snapshot/v1",
            Self::DevelopmentSeed => b"timed/dev/v1",
        }
    }
}

/// Writes a preimage piece by piece. Nearly all preimages are short: to gather one and to hash it at once takes half the
/// time of feeding BLAKE3's own state, of 2 KB, which each piece would move.
#[derive(Clone)]
pub struct DomainHasher(Vec<u8>);

/// Fits a header's preimage, and any that is made of a few hashes and numbers.
const USUAL_PREIMAGE_BYTES: usize = 512;

impl DomainHasher {
    /// Starts a preimage with its domain: one byte of length, then the tag.
    #[must_use]
    pub fn new(domain: Domain) -> Self {
        let tag = domain.tag();
        let mut preimage = Vec::with_capacity(USUAL_PREIMAGE_BYTES);
        // Every tag is shorter than 256 bytes; a test holds that.
        preimage.push(u8::try_from(tag.len()).unwrap_or(u8::MAX));
        preimage.extend_from_slice(tag);
        Self(preimage)
    }

    /// Adds bytes of fixed length, or of a length that was added before.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds an integer, little-endian.
    #[must_use]
    pub fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Adds an integer, little-endian.
    #[must_use]
    pub fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Adds an optional hash: one byte that says whether it is there, then its bytes.
    #[must_use]
    pub fn optional(self, hash: Option<&[u8; 32]>) -> Self {
        match hash {
            None => self.bytes(&[0]),
            Some(hash) => self.bytes(&[1]).bytes(hash),
        }
    }

    /// The 32-byte digest.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        *blake3::hash(&self.0).as_bytes()
    }

    /// BLAKE3's extended output, as much as fits into `output`.
    pub fn finish_extended(self, output: &mut [u8]) {
        blake3::Hasher::new().update(&self.0).finalize_xof().fill(output);
    }
}

/// Text that is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hexadecimal digits")]
pub struct ParseHashError;

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, bincode::Encode, bincode::Decode)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// All zero bytes: the value that stands for "none" where a field is not optional.
            pub const ZERO: Self = Self([0; 32]);

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first eight hexadecimal digits, for logs.
            #[must_use]
            pub fn short(&self) -> String {
                let mut text = hex::encode(self.0);
                text.truncate(8);
                text
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::types::hash::ParseHashError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| $crate::types::hash::ParseHashError)?;
                Ok(Self(bytes))
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": "^[0-9a-f]{64}$",
                    "description": "32 bytes in lower-case hexadecimal",
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use hash_type;

hash_type!(
    /// A hash that has no kind of its own: Merkle nodes and roots.
    Hash
);
hash_type!(
    /// Names a transaction by everything but its witnesses.
    TxId
);
hash_type!(
    /// Names a block by its header.
    BlockHash
);
hash_type!(
    /// Names a network: the hash of its genesis document.
    ChainId
);
hash_type!(
    /// The hash of a public key, as an output's lock holds it.
    KeyHash
);
hash_type!(
    /// Names a registered masternode for good, whatever its keys become.
    MasternodeId
);
hash_type!(
    /// The digest of the chain's whole state.
    StateDigest
);
hash_type!(
    /// The Merkle root of a batch of finality votes.
    BatchRoot
);

#[cfg(test)]
mod tests {
    use super::*;

    /// INV-TYPES-2: no two kinds share a tag, and each tag's length fits into the byte before it.
    #[test]
    fn tags_differ_and_fit_their_length() {
        for (place, domain) in Domain::ALL.iter().enumerate() {
            assert_eq!(place, *domain as usize, "{domain:?} is out of order, or another one is missing");
            assert!((1..256).contains(&domain.tag().len()));
            assert!(Domain::ALL[..place].iter().all(|other| other.tag() != domain.tag()), "{domain:?}");
        }
        // The last one: a new variant without its place in the list shows here.
        assert_eq!(Domain::ALL.len(), Domain::DevelopmentSeed as usize + 1);
    }

    #[test]
    fn domains_separate_equal_contents() {
        let a = DomainHasher::new(Domain::Transaction).bytes(b"x").finish();
        let b = DomainHasher::new(Domain::Block).bytes(b"x").finish();
        assert_ne!(a, b);
    }

    #[test]
    fn text_round_trips_and_refuses_rubbish() {
        let id = TxId([7; 32]);
        assert_eq!(id.to_string().parse::<TxId>(), Ok(id));
        assert_eq!("07".parse::<TxId>(), Err(ParseHashError));
        assert_eq!("zz".repeat(32).parse::<TxId>(), Err(ParseHashError));
    }
}
