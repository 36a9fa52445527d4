//! Transactions, their outputs and witnesses.
//!
//! # Place
//! Data only; what makes a transaction valid is in `protocol/validity.rs`.
//!
//! # Invariants
//! - INV-TX-1: the txid covers everything but the witnesses, so nobody but an owner can change it.
//! - INV-TX-2: one witness for each distinct key signs the txid with the chain id, once, for all inputs of this key.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::amount::Amount;
use super::codec::encode;
use super::hash::{ChainId, Domain, DomainHasher, MasternodeId, TxId};
use super::keys::{PublicKey, SecretKey, Signature, SignatureCheck};
use super::lock::Lock;
use super::masternode::{MasternodeRegistration, MasternodeUpdate, OperatorConsent};

/// The only version of transactions that exists.
pub const TRANSACTION_VERSION: u16 = 1;

/// Names an output by its transaction and place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct OutPoint {
    /// The transaction that made it.
    pub txid: TxId,
    /// Its place in that transaction's outputs, from 0.
    pub index: u32,
}

impl fmt::Display for OutPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.txid, self.index)
    }
}

/// A text that is not `txid:index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an output as txid:index")]
pub struct ParseOutPointError;

impl FromStr for OutPoint {
    type Err = ParseOutPointError;

    fn from_str(text: &str) -> Result<Self, ParseOutPointError> {
        let (txid, index) = text.split_once(':').ok_or(ParseOutPointError)?;
        Ok(Self {
            txid: txid.parse().map_err(|_| ParseOutPointError)?,
            index: index.parse().map_err(|_| ParseOutPointError)?,
        })
    }
}

/// An amount and who may spend it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Encode, Decode, Serialize, Deserialize)]
pub struct TxOut {
    /// More than zero.
    pub value: Amount,
    /// Who may spend it.
    pub lock: Lock,
}

/// An unspent output as the chain's state holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct UtxoEntry {
    /// The output.
    pub output: TxOut,
    /// Height of the block that contains it; 0 for the genesis document's.
    pub height: u64,
}

/// What a transaction does beside moving coins.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Payload {
    /// Nothing; it may say something.
    Transfer {
        /// Free bytes, at most [`MEMO_BYTES_MAX`](super::limits::MEMO_BYTES_MAX).
        memo: Vec<u8>,
    },
    /// Pays an epoch's rewards; made by the rule of the epoch's last block alone.
    Reward {
        /// Height of the block that contains it, so that its txid never repeats.
        height: u64,
    },
    /// Binds one of its own outputs as a masternode's collateral.
    MasternodeRegister(MasternodeRegistration),
    /// Changes what the chain knows of a masternode, or un-jails it.
    MasternodeUpdate(MasternodeUpdate),
    /// Asks that a masternode leaves the set at an epoch's end.
    MasternodeExit {
        /// Which one. An input has to belong to its owner.
        masternode: MasternodeId,
    },
}

impl Payload {
    /// Whether it acts on masternodes when its block is applied.
    #[must_use]
    pub const fn acts_on_masternodes(&self) -> bool {
        match self {
            Self::Transfer { .. } | Self::Reward { .. } => false,
            Self::MasternodeRegister(_) | Self::MasternodeUpdate(_) | Self::MasternodeExit { .. } => true,
        }
    }

    /// Bytes of its texts. Before the shape is checked they are bounded by the message alone.
    fn text_bytes(&self) -> usize {
        match self {
            Self::Transfer { memo } => memo.len(),
            Self::MasternodeRegister(registration) => registration.network_address.len(),
            Self::MasternodeUpdate(update) => update.network_address.as_ref().map_or(0, String::len),
            Self::Reward { .. } | Self::MasternodeExit { .. } => 0,
        }
    }

    /// The operator keys that have to agree to it, with their signatures.
    fn consents(&self) -> Vec<OperatorConsent> {
        match self {
            Self::Transfer { .. } | Self::Reward { .. } | Self::MasternodeExit { .. } => Vec::new(),
            Self::MasternodeRegister(registration) => vec![registration.operator],
            Self::MasternodeUpdate(update) => update.operator.into_iter().chain(update.unjail).collect(),
        }
    }

    /// The same with every operator's signature empty: what operators sign can't contain their signatures.
    fn without_signatures(&self) -> Self {
        let blank = |consent: OperatorConsent| OperatorConsent { signature: Signature::EMPTY, ..consent };
        let mut payload = self.clone();
        match &mut payload {
            Self::Transfer { .. } | Self::Reward { .. } | Self::MasternodeExit { .. } => {}
            Self::MasternodeRegister(registration) => registration.operator = blank(registration.operator),
            Self::MasternodeUpdate(update) => {
                update.operator = update.operator.map(blank);
                update.unjail = update.unjail.map(blank);
            }
        }
        payload
    }
}

/// A key and its signature of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Witness {
    /// The key whose hash is the lock of at least one input.
    pub key: PublicKey,
    /// Its signature of [`signing_digest`].
    pub signature: Signature,
}

/// Moves coins from outputs to new outputs.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Transaction {
    /// [`TRANSACTION_VERSION`].
    pub version: u16,
    /// The outputs it spends, all different.
    pub inputs: Vec<OutPoint>,
    /// The outputs it makes.
    pub outputs: Vec<TxOut>,
    /// What it does beside.
    pub payload: Payload,
    /// One for each distinct key of its inputs, in ascending order of the keys.
    pub witnesses: Vec<Witness>,
}

/// What a witness of the transaction signs. Operators' signatures in the payload are covered by the txid.
#[must_use]
pub fn signing_digest(chain_id: &ChainId, txid: &TxId) -> [u8; 32] {
    DomainHasher::new(Domain::TransactionSignature).bytes(&chain_id.0).bytes(&txid.0).finish()
}

impl Transaction {
    /// About what it takes in memory, in bytes: more than its encoding, the more so the smaller it is.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let inputs = self.inputs.len().saturating_mul(size_of::<OutPoint>());
        let outputs = self.outputs.len().saturating_mul(size_of::<TxOut>());
        let witnesses = self.witnesses.len().saturating_mul(size_of::<Witness>());
        let lists = inputs.saturating_add(outputs).saturating_add(witnesses);
        lists.saturating_add(self.payload.text_bytes()).saturating_add(512)
    }

    /// A transfer without witnesses.
    #[must_use]
    pub const fn transfer(inputs: Vec<OutPoint>, outputs: Vec<TxOut>, memo: Vec<u8>) -> Self {
        let payload = Payload::Transfer { memo };
        Self { version: TRANSACTION_VERSION, inputs, outputs, payload, witnesses: Vec::new() }
    }

    /// Its name: the hash of everything but the witnesses.
    #[must_use]
    pub fn txid(&self) -> TxId {
        let body = encode(&(self.version, &self.inputs, &self.outputs, &self.payload));
        TxId(DomainHasher::new(Domain::Transaction).bytes(&body).finish())
    }

    /// Signs with every key of `secrets`, replacing the witnesses.
    #[must_use]
    pub fn signed(mut self, chain_id: &ChainId, secrets: &[&SecretKey]) -> Self {
        let digest = signing_digest(chain_id, &self.txid());
        let mut witnesses: Vec<Witness> = secrets
            .iter()
            .map(|secret| Witness { key: secret.public(), signature: secret.sign(&digest) })
            .collect();
        witnesses.sort_by_key(|witness| witness.key);
        witnesses.dedup_by_key(|witness| witness.key);
        self.witnesses = witnesses;
        self
    }

    /// What an operator signs to agree to the payload: all of the transaction but witnesses and operators' signatures,
    /// so that a consent can't be taken over into another transaction.
    #[must_use]
    pub fn consent_digest(&self, chain_id: &ChainId) -> [u8; 32] {
        let payload = self.payload.without_signatures();
        let body = encode(&(self.version, &self.inputs, &self.outputs, payload));
        DomainHasher::new(Domain::OperatorConsent).bytes(&chain_id.0).bytes(&body).finish()
    }

    /// Signs the payload's consents with the operators' keys; to be done before [`Transaction::signed`], since the txid
    /// covers these signatures. Keys that the payload does not name do nothing.
    #[must_use]
    pub fn consented(mut self, chain_id: &ChainId, operators: &[&SecretKey]) -> Self {
        let digest = self.consent_digest(chain_id);
        let sign = |consent: &mut OperatorConsent| {
            if let Some(secret) = operators.iter().find(|secret| secret.public() == consent.key) {
                consent.signature = secret.sign(&digest);
            }
        };
        match &mut self.payload {
            Payload::Transfer { .. } | Payload::Reward { .. } | Payload::MasternodeExit { .. } => {}
            Payload::MasternodeRegister(registration) => sign(&mut registration.operator),
            Payload::MasternodeUpdate(update) => {
                update.operator.iter_mut().chain(update.unjail.iter_mut()).for_each(sign);
            }
        }
        self
    }

    /// The signatures that have to hold: those of the witnesses, in their order, then those of operators. That
    /// witnesses belong to the inputs' locks and operators to their masternodes is checked apart from this.
    #[must_use]
    pub fn signature_checks(&self, chain_id: &ChainId, txid: &TxId) -> Vec<SignatureCheck> {
        let digest = signing_digest(chain_id, txid);
        let witnesses = self.witnesses.iter();
        let mut checks: Vec<SignatureCheck> = witnesses
            .map(|witness| SignatureCheck { key: witness.key, digest, signature: witness.signature })
            .collect();
        let consents = self.payload.consents();
        if !consents.is_empty() {
            let digest = self.consent_digest(chain_id);
            checks.extend(consents.iter().map(|consent| SignatureCheck {
                key: consent.key,
                digest,
                signature: consent.signature,
            }));
        }
        checks
    }

    /// The output that it marks as a masternode's collateral. It can't be spent in this epoch, whatever becomes of the registration.
    #[must_use]
    pub const fn marked_collateral(&self) -> Option<u32> {
        match &self.payload {
            Payload::MasternodeRegister(registration) => Some(registration.collateral_index),
            Payload::Transfer { .. }
            | Payload::Reward { .. }
            | Payload::MasternodeUpdate(_)
            | Payload::MasternodeExit { .. } => None,
        }
    }

    /// The outpoints of its outputs, with them.
    pub fn created(&self, txid: TxId) -> impl Iterator<Item = (OutPoint, &TxOut)> {
        (0_u32..).zip(&self.outputs).map(move |(index, output)| (OutPoint { txid, index }, output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::codec::decode;

    fn transfer() -> (SecretKey, Transaction) {
        let secret = SecretKey::from_seed(&[1; 32]);
        let lock = Lock::KeyHash(secret.public().key_hash());
        let input = OutPoint { txid: TxId([3; 32]), index: 1 };
        let output = TxOut { value: Amount(5), lock };
        (secret, Transaction::transfer(vec![input], vec![output], b"memo".to_vec()))
    }

    /// INV-TX-1.
    #[test]
    fn witnesses_do_not_change_the_txid_and_everything_else_does() {
        let (secret, plain) = transfer();
        let signed = plain.clone().signed(&ChainId([1; 32]), &[&secret]);
        assert_eq!(plain.txid(), signed.txid());
        type Change = fn(&mut Transaction);
        let changes: [Change; 7] = [
            |tx| tx.version += 1,
            |tx| tx.inputs[0].index += 1,
            |tx| tx.inputs[0].txid.0[0] ^= 1,
            |tx| tx.inputs.push(OutPoint { txid: TxId::ZERO, index: 0 }),
            |tx| tx.outputs[0].value.0 += 1,
            |tx| tx.outputs.clear(),
            |tx| tx.payload = Payload::Transfer { memo: b"nemo".to_vec() },
        ];
        for change in changes {
            let mut changed = plain.clone();
            change(&mut changed);
            assert_ne!(changed.txid(), plain.txid());
        }
    }

    /// INV-TX-2.
    #[test]
    fn a_signature_is_bound_to_the_chain() {
        let (secret, plain) = transfer();
        let signed = plain.signed(&ChainId([1; 32]), &[&secret, &secret]);
        assert_eq!(signed.witnesses.len(), 1);
        let txid = signed.txid();
        assert!(signed.signature_checks(&ChainId([1; 32]), &txid).iter().all(SignatureCheck::holds));
        assert!(!signed.signature_checks(&ChainId([2; 32]), &txid).iter().any(SignatureCheck::holds));
    }

    #[test]
    fn the_encoding_round_trips() {
        let (secret, plain) = transfer();
        let signed = plain.signed(&ChainId([1; 32]), &[&secret]);
        assert_eq!(decode::<Transaction>(&encode(&signed)), Ok(signed));
    }

    /// Whoever decodes a transaction holds what no rule of shape has bounded yet.
    #[test]
    fn whatever_a_transaction_contains_it_takes_more_memory_than_its_encoding() {
        const LARGE: usize = 1 << 20;
        let (secret, plain) = transfer();
        let text = || "a".repeat(LARGE);
        let operator = OperatorConsent::unsigned(secret.public());
        let registration = MasternodeRegistration {
            collateral_index: 0,
            operator,
            payout: plain.outputs[0].lock,
            network_address: text(),
        };
        let update = MasternodeUpdate {
            network_address: Some(text()),
            ..MasternodeUpdate::unjail(MasternodeId([1; 32]), secret.public())
        };
        for payload in [
            Payload::Transfer { memo: vec![7; LARGE] },
            Payload::MasternodeRegister(registration),
            Payload::MasternodeUpdate(update),
        ] {
            let transaction = Transaction { payload, ..plain.clone() };
            let (bytes, encoded) = (transaction.memory_bytes(), encode(&transaction).len());
            assert!(encoded > LARGE && bytes >= encoded, "{bytes} for {encoded}");
        }
    }
}
