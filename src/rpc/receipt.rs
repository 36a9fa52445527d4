//! Receipts of payments: who got how much, with which memo, and the proof that it is final. One text, for whoever has the
//! genesis document.
//!
//! # Place
//! `getreceipt` gives them; `timed verify-receipt` checks them without a node.
//!
//! # What binds what
//! ```text
//!  transaction without signatures --hash--> txid --finality proof--> the validators of its epoch --> genesis document
//! ```
//! The txid covers inputs, outputs and memo. It does not cover the payer's signatures, which the validators checked, so
//! those are left out. What stands beside for people is compared with what it was made of: each letter of the text counts.

use std::sync::Arc;

use jsonrpsee::types::ErrorObjectOwned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::api::NodeApi;
use super::base64;
use super::errors::{INTERNAL, NOT_FOUND, error, of_node};
use super::finality_proof::{PROOF_TEXT_BYTES_MAX, ProvedInfo, why_none};
use super::types::{OutputInfo, TransactionInfo};
use crate::protocol::finality_proof::{FinalityProof, FinalityProofError, ProvedFinality};
use crate::types::codec::{decode, encode};
use crate::types::limits::TRANSACTION_BYTES_MAX;
use crate::types::{Checkpoint, GenesisDocument, Network, Transaction, TxId};

/// What the text says that it is.
pub const RECEIPT_FORMAT: &str = "timed payment receipt";
/// The version of the text.
pub const RECEIPT_VERSION: u16 = 1;
/// Bytes of a receipt's text, at most: the proof, the transaction in hexadecimal, and its outputs in words.
pub const RECEIPT_TEXT_BYTES_MAX: usize = PROOF_TEXT_BYTES_MAX + 12 * TRANSACTION_BYTES_MAX;

/// `getreceipt`: a receipt as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentReceipt {
    /// [`RECEIPT_FORMAT`].
    pub format: String,
    /// [`RECEIPT_VERSION`].
    pub version: u16,
    /// What it proves.
    pub proves: ReceiptContent,
    /// The transaction without its signatures, in hexadecimal.
    pub transaction: String,
    /// The proof that it is final, in base64.
    pub proof: String,
}

/// What a receipt proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptContent {
    /// What the transaction pays to whom.
    pub outputs: Vec<OutputInfo>,
    /// Its memo, in hexadecimal.
    pub memo: String,
    /// The memo as text, where it is one.
    pub memo_text: Option<String>,
    /// That it is final.
    pub finality: ProvedInfo,
}

impl PaymentReceipt {
    /// The receipt of a payment that this proof proves to be final.
    #[must_use]
    pub fn of(
        network: Network,
        transaction: &Transaction,
        proof: &FinalityProof,
        proved: &ProvedFinality,
    ) -> Self {
        let body = Transaction { witnesses: Vec::new(), ..transaction.clone() };
        let described = TransactionInfo::of(network, &body, None, &[]);
        let memo_text = hex::decode(&described.memo).ok().and_then(|memo| String::from_utf8(memo).ok());
        Self {
            format: RECEIPT_FORMAT.to_owned(),
            version: RECEIPT_VERSION,
            proves: ReceiptContent {
                outputs: described.vout,
                memo_text: memo_text.filter(|text| !text.is_empty() && !text.contains(char::is_control)),
                memo: described.memo,
                finality: ProvedInfo::from(proved),
            },
            transaction: hex::encode(encode(&body)),
            proof: base64::encode(&proof.to_bytes()),
        }
    }
}

/// Why a text is no receipt, or proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// Longer than any receipt.
    #[error("the text has more than {RECEIPT_TEXT_BYTES_MAX} bytes")]
    TooLong,
    /// No JSON of this shape.
    #[error("this is no receipt: {0}")]
    Malformed(String),
    /// Another version.
    #[error("version {0} of receipts is not known here; this is timed {version}", version = env!("CARGO_PKG_VERSION"))]
    UnknownVersion(u16),
    /// The proof is of another transaction.
    #[error("the proof is of transaction {proved}, and the receipt's is {shown}")]
    OtherTransaction {
        /// What the proof proves.
        proved: TxId,
        /// The hash of what the receipt shows.
        shown: TxId,
    },
    /// What stands beside transaction and proof does not follow from them.
    #[error("what the receipt says in \"proves\" is not what its transaction and its proof say")]
    OtherSummary,
    /// The proof itself.
    #[error(transparent)]
    Proof(#[from] FinalityProofError),
}

impl ReceiptError {
    /// A stable name, for programs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLong => "receipt_too_large",
            Self::Malformed(_) => "malformed_receipt",
            Self::UnknownVersion(_) => "unknown_receipt_version",
            Self::OtherTransaction { .. } => "other_transaction",
            Self::OtherSummary => "other_summary",
            Self::Proof(error) => error.reason(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::TooLong | Self::Malformed(_) => "give the whole answer of getreceipt as it is",
            Self::UnknownVersion(_) | Self::Proof(FinalityProofError::UnknownVersion { .. }) => {
                "use a newer version of timed"
            }
            Self::Proof(FinalityProofError::ForeignChain { .. }) => {
                "check it with the genesis document of its own network"
            }
            Self::Proof(FinalityProofError::NotTrusted { .. }) => {
                "name that block as the one to trust if you know it from elsewhere, or take a receipt from the genesis document"
            }
            Self::Proof(FinalityProofError::NotFromTrusted { .. }) => {
                "ask for a receipt that starts from the block, or name none"
            }
            Self::OtherTransaction { .. } | Self::OtherSummary | Self::Proof(_) => {
                "do not rely on it; ask the payer for another one, or a node that you trust for the payment"
            }
        }
    }
}

/// Checks a receipt's text with a genesis document, by this check of the proof.
///
/// # Errors
/// See [`ReceiptError`].
pub fn check(
    genesis: &GenesisDocument,
    text: &str,
    verify: impl FnOnce(&FinalityProof) -> Result<ProvedFinality, FinalityProofError>,
) -> Result<ReceiptContent, ReceiptError> {
    if text.len() > RECEIPT_TEXT_BYTES_MAX {
        return Err(ReceiptError::TooLong);
    }
    let malformed = |what: &dyn std::fmt::Display| ReceiptError::Malformed(what.to_string());
    let receipt: PaymentReceipt = serde_json::from_str(text).map_err(|failure| malformed(&failure))?;
    if receipt.format != RECEIPT_FORMAT {
        return Err(malformed(&"\"format\" is not that of a receipt"));
    }
    if receipt.version != RECEIPT_VERSION {
        return Err(ReceiptError::UnknownVersion(receipt.version));
    }
    let bytes = hex::decode(&receipt.transaction).map_err(|failure| malformed(&failure))?;
    let transaction: Transaction = decode(&bytes).map_err(|failure| malformed(&failure))?;
    let proof = base64::decode(&receipt.proof).ok_or_else(|| malformed(&"the proof is not base64"))?;
    let proof = FinalityProof::from_bytes(&proof)?;
    let (proved, shown) = (proof.txid(), transaction.txid());
    if proved != shown {
        return Err(ReceiptError::OtherTransaction { proved, shown });
    }
    let proved = verify(&proof)?;
    // Each letter is one that this code would write: witnesses, other spellings of numbers and names are not.
    let written =
        serde_json::to_value(PaymentReceipt::of(genesis.network, &transaction, &proof, &proved)).ok();
    let given = serde_json::from_str::<serde_json::Value>(text).ok();
    if written.is_none() || written != given {
        return Err(ReceiptError::OtherSummary);
    }
    Ok(receipt.proves)
}

/// `getreceipt`.
pub(super) async fn get_receipt(
    node: Arc<dyn NodeApi>,
    txid: TxId,
    from: Option<Checkpoint>,
) -> Result<PaymentReceipt, ErrorObjectOwned> {
    let Some((proof, proved)) = node.finality_proof(txid, from).await.map_err(of_node)? else {
        return Err(why_none(&*node, txid).await);
    };
    let (transaction, _) = node.transaction(txid).await.map_err(of_node)?.ok_or_else(|| {
        let hint = "ask a node that has the whole chain";
        error(NOT_FOUND, "this node has not the transaction itself", "transaction_not_found", hint)
    })?;
    let network = node.network();
    // Megabytes after years: not on a worker of the runtime.
    let work = move || PaymentReceipt::of(network, &transaction, &proof, &proved);
    let made = tokio::task::spawn_blocking(work).await;
    made.map_err(|failure| error(INTERNAL, failure.to_string(), "internal", "see the node's log"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::protocol::finality_proof::verify;
    use crate::rpc::finality_proof::tests::proof_of;
    use crate::types::{Amount, Lock, SecretKey, TxOut, Witness};

    fn payment() -> Transaction {
        let secret = SecretKey::from_seed(&[9; 32]);
        let output = TxOut { value: Amount(150_000_000), lock: Lock::KeyHash(secret.public().key_hash()) };
        let mut payment = Transaction::transfer(Vec::new(), vec![output], b"order 7".to_vec());
        payment.witnesses = vec![Witness { key: secret.public(), signature: secret.sign(&[1; 32]) }];
        payment
    }

    fn receipt() -> (GenesisDocument, PaymentReceipt) {
        let payment = payment();
        let (genesis, proof) = proof_of(payment.txid());
        let proved = verify(&genesis, &proof).unwrap();
        let receipt = PaymentReceipt::of(genesis.network, &payment, &proof, &proved);
        (genesis, receipt)
    }

    fn judge(text: &str) -> Result<ReceiptContent, ReceiptError> {
        let (genesis, _) = receipt();
        check(&genesis, text, |proof| verify(&genesis, proof))
    }

    #[test]
    fn a_receipt_says_who_got_how_much_with_which_memo() {
        let (_, receipt) = receipt();
        let proves = judge(&serde_json::to_string_pretty(&receipt).unwrap()).unwrap();
        assert_eq!(proves.outputs.len(), 1);
        assert_eq!(proves.outputs[0].value_time, "1.50000000");
        assert_eq!((proves.memo.as_str(), proves.memo_text.as_deref()), ("6f726465722037", Some("order 7")));
        assert_eq!((proves.finality.txid, proves.finality.signers), (payment().txid(), 3));
    }

    #[test]
    fn whatever_it_says_has_to_follow_from_transaction_and_proof() {
        let (_, receipt) = receipt();
        let value = serde_json::to_value(&receipt).unwrap();
        for (pointer, changed) in [
            ("/proves/outputs/0/value", json!(150_000_001)),
            ("/proves/outputs/0/value_time", json!("2.50000000")),
            ("/proves/memo", json!("")),
            ("/proves/memo_text", json!("order 8")),
            ("/proves/memo_text", Value::Null),
            ("/proves/finality/epoch", json!(1)),
            ("/proves/finality/signed_weight", json!(4)),
        ] {
            let mut other = value.clone();
            *other.pointer_mut(pointer).unwrap() = changed;
            let found = judge(&other.to_string());
            assert!(matches!(found, Err(ReceiptError::OtherSummary)), "{pointer}: {found:?}");
        }
        // The same outputs under another proof, other outputs under the same proof, and the payer's signatures.
        let (_, other) = proof_of(TxId([7; 32]));
        let mut foreign = receipt.clone();
        foreign.proof = base64::encode(&other.to_bytes());
        let found = judge(&serde_json::to_string(&foreign).unwrap());
        assert!(matches!(found, Err(ReceiptError::OtherTransaction { .. })), "{found:?}");
        let mut richer = payment();
        richer.outputs[0].value = Amount(15_000_000_000);
        let mut forged = receipt.clone();
        forged.transaction = hex::encode(encode(&richer));
        let found = judge(&serde_json::to_string(&forged).unwrap());
        assert!(matches!(found, Err(ReceiptError::OtherTransaction { .. })), "{found:?}");
        let mut signed = receipt.clone();
        signed.transaction = hex::encode(encode(&payment()));
        let found = judge(&serde_json::to_string(&signed).unwrap());
        assert!(matches!(found, Err(ReceiptError::OtherSummary)), "{found:?}");
        for (member, changed) in
            [("format", json!("timed finality proof")), ("note", json!(1)), ("version", json!(2))]
        {
            let mut other = value.clone();
            other[member] = changed;
            assert!(judge(&other.to_string()).is_err(), "{member}");
        }
        let twice = value.to_string().replacen("\"version\":1", "\"version\":1,\"version\":1", 1);
        assert!(matches!(judge(&twice), Err(ReceiptError::Malformed(_))), "a name that stands twice");
    }

    #[test]
    fn no_letter_of_the_text_can_be_changed() {
        let text = serde_json::to_string(&receipt().1).unwrap();
        for place in 0..text.len() {
            for change in [0x01, 0x20] {
                let mut bytes = text.clone().into_bytes();
                bytes[place] ^= change;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                assert!(judge(&changed).is_err(), "{place}: {changed}");
            }
        }
        assert!(judge(&text[..text.len() - 1]).is_err());
        assert!(matches!(judge(&" ".repeat(RECEIPT_TEXT_BYTES_MAX + 1)), Err(ReceiptError::TooLong)));
    }
}
