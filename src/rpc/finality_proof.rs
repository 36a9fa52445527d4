//! Finality proofs as text, and the methods that give and check them.
//!
//! # Place
//! `rpc/methods.rs` calls [`get`] and [`check`]; `timed verify-proof` reads the same text without a node.
//!
//! The text is JSON: the proof's encoding in base64, with what it proves beside it for people. What stands beside is
//! compared with what the proof says, so that nobody reads there what the proof does not prove. The base64 alone is
//! read too.

use std::sync::Arc;

use jsonrpsee::types::ErrorObjectOwned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::api::NodeApi;
use super::base64;
use super::errors::{BAD_PARAMETER, INTERNAL, NOT_FOUND, PRUNED_HINT, REJECTED, error, lost, of_node};
use super::types::TransactionStatus;
use crate::protocol::finality_proof::{
    FINALITY_PROOF_VERSION, FinalityProof, FinalityProofError, ProvedFinality,
};
use crate::types::limits::FINALITY_PROOF_BYTES_MAX;
use crate::types::{BlockHash, ChainId, Checkpoint, Epoch, Height, TimeMs, TxId};

/// What the text says that it is.
pub const PROOF_FORMAT: &str = "timed finality proof";
/// Bytes of a proof's text, at most.
pub const PROOF_TEXT_BYTES_MAX: usize = FINALITY_PROOF_BYTES_MAX / 3 * 4 + (64 << 10);

/// What a proof proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvedInfo {
    /// The hash of the genesis document of its network.
    pub chain_id: ChainId,
    /// The transaction.
    pub txid: TxId,
    /// The block that the verifier has to trust; absent where the proof starts from the genesis document.
    pub trusted: Option<Checkpoint>,
    /// The epoch in which it is final.
    pub epoch: Epoch,
    /// The block that contains it; absent when the proof is of the time before there was one.
    pub height: Option<Height>,
    /// Its hash.
    #[serde(rename = "blockhash")]
    pub block_hash: Option<BlockHash>,
    /// Its time.
    pub block_time: Option<TimeMs>,
    /// How many validators the proof shows to have signed.
    pub signers: usize,
    /// How many the epoch's set has.
    pub validators: usize,
    /// The weight of those who signed.
    pub signed_weight: u64,
    /// The weight that it takes.
    pub quorum: u64,
    /// The weight of all.
    pub total_weight: u64,
}

impl From<&ProvedFinality> for ProvedInfo {
    fn from(proved: &ProvedFinality) -> Self {
        Self {
            chain_id: proved.chain_id,
            txid: proved.txid,
            trusted: proved.trusted,
            epoch: proved.epoch,
            height: proved.inclusion.map(|inclusion| inclusion.height),
            block_hash: proved.inclusion.map(|inclusion| inclusion.block_hash),
            block_time: proved.inclusion.map(|inclusion| inclusion.time),
            signers: proved.signers,
            validators: proved.validators,
            signed_weight: proved.signed_weight,
            quorum: proved.quorum,
            total_weight: proved.total_weight,
        }
    }
}

/// `getfinalityproof`: a proof as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FinalityProofInfo {
    /// [`PROOF_FORMAT`].
    pub format: String,
    /// [`FINALITY_PROOF_VERSION`].
    pub version: u16,
    /// What it proves.
    pub proves: ProvedInfo,
    /// Its encoding in base64.
    pub proof: String,
}

impl FinalityProofInfo {
    /// The text of a proof that was checked.
    #[must_use]
    pub fn of(proof: &FinalityProof, proved: &ProvedFinality) -> Self {
        Self {
            format: PROOF_FORMAT.to_owned(),
            version: FINALITY_PROOF_VERSION,
            proves: ProvedInfo::from(proved),
            proof: base64::encode(&proof.to_bytes()),
        }
    }
}

/// Why a text proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofTextError {
    /// Longer than any proof.
    #[error("the text has more than {PROOF_TEXT_BYTES_MAX} bytes")]
    TooLong,
    /// Neither JSON of this shape nor base64.
    #[error("this is no finality proof as text: {0}")]
    Malformed(String),
    /// Another version.
    #[error("version {0} of the proof's text is not known here; this is timed {version}", version = env!("CARGO_PKG_VERSION"))]
    UnknownVersion(u64),
    /// What stands beside the proof is not what it proves.
    #[error("what the text says of the proof in \"proves\" is not what the proof proves")]
    OtherSummary,
    /// The proof itself.
    #[error(transparent)]
    Proof(#[from] FinalityProofError),
}

impl ProofTextError {
    /// A stable name, for programs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLong => "proof_too_large",
            Self::Malformed(_) => "malformed_proof",
            Self::UnknownVersion(_) => "unknown_proof_version",
            Self::OtherSummary => "other_summary",
            Self::Proof(error) => error.reason(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::TooLong | Self::Malformed(_) => {
                "give the whole answer of getfinalityproof as it is, or its \"proof\" alone"
            }
            Self::UnknownVersion(_) | Self::Proof(FinalityProofError::UnknownVersion { .. }) => {
                "use a newer version of timed"
            }
            Self::Proof(FinalityProofError::ForeignChain { .. }) => {
                "check it with the genesis document of its own network"
            }
            Self::Proof(FinalityProofError::NotTrusted { .. }) => {
                "name that block as the one to trust if you know it from elsewhere, or take a proof from the genesis document"
            }
            Self::Proof(FinalityProofError::NotFromTrusted { .. }) => {
                "ask for a proof that starts from the block, or name none"
            }
            Self::OtherSummary | Self::Proof(_) => {
                "do not rely on it; ask a node that you trust for the transaction's status"
            }
        }
    }
}

/// A proof that was read, and what its text says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ProofText {
    /// The proof; it is not checked yet.
    pub proof: FinalityProof,
    /// The whole JSON object, if it was one.
    object: Option<Value>,
}

impl ProofText {
    /// Reads a text: JSON, or the base64 alone.
    ///
    /// # Errors
    /// When it is neither, or there is no proof in it.
    pub fn parse(text: &str) -> Result<Self, ProofTextError> {
        if text.len() > PROOF_TEXT_BYTES_MAX {
            return Err(ProofTextError::TooLong);
        }
        let text = text.trim_ascii();
        if !text.starts_with(['{', '"']) {
            return Self::of_base64(text, None);
        }
        let malformed = |error: serde_json::Error| ProofTextError::Malformed(error.to_string());
        let value: Value = serde_json::from_str(text).map_err(malformed)?;
        let read = Self::of_value(value)?;
        // Of a name that stands twice the value keeps the last; this refuses it.
        if read.object.is_some() {
            serde_json::from_str::<FinalityProofInfo>(text).map_err(malformed)?;
        }
        Ok(read)
    }

    /// Reads a parameter: the object, or the base64 alone.
    ///
    /// # Errors
    /// When it is neither, or there is no proof in it.
    pub fn of_value(value: Value) -> Result<Self, ProofTextError> {
        let malformed = |what: &str| ProofTextError::Malformed(what.to_owned());
        if let Value::String(text) = &value {
            return Self::of_base64(text, None);
        }
        if value["format"] != PROOF_FORMAT {
            return Err(malformed("\"format\" is not that of a finality proof"));
        }
        match value["version"].as_u64() {
            Some(version) if version == u64::from(FINALITY_PROOF_VERSION) => {}
            Some(version) => return Err(ProofTextError::UnknownVersion(version)),
            None => return Err(malformed("it has no \"version\"")),
        }
        let text = value["proof"].as_str().ok_or_else(|| malformed("it has no \"proof\""))?.to_owned();
        Self::of_base64(&text, Some(value))
    }

    fn of_base64(text: &str, object: Option<Value>) -> Result<Self, ProofTextError> {
        if text.len() > PROOF_TEXT_BYTES_MAX {
            return Err(ProofTextError::TooLong);
        }
        let bytes = base64::decode(text)
            .ok_or_else(|| ProofTextError::Malformed("the proof is not base64".to_owned()))?;
        Ok(Self { proof: FinalityProof::from_bytes(&bytes)?, object })
    }

    /// Compares the text with what the check of the proof said: every member of an object has to be what it would be in
    /// the answer of `getfinalityproof`, and none may be there beside them.
    ///
    /// # Errors
    /// When they differ.
    pub fn compare(&self, proved: &ProvedFinality) -> Result<ProvedInfo, ProofTextError> {
        if let Some(object) = &self.object {
            let expected = serde_json::to_value(FinalityProofInfo::of(&self.proof, proved));
            if expected.ok().as_ref() != Some(object) {
                return Err(ProofTextError::OtherSummary);
            }
        }
        Ok(ProvedInfo::from(proved))
    }
}

/// `getfinalityproof`.
pub(super) async fn get(
    node: Arc<dyn NodeApi>,
    txid: TxId,
    from: Option<Checkpoint>,
) -> Result<FinalityProofInfo, ErrorObjectOwned> {
    if let Some((proof, proved)) = node.finality_proof(txid, from).await.map_err(of_node)? {
        // Megabytes after years: not on a worker of the runtime.
        let text = tokio::task::spawn_blocking(move || FinalityProofInfo::of(&proof, &proved)).await;
        return text
            .map_err(|failure| error(INTERNAL, failure.to_string(), "internal", "see the node's log"));
    }
    Err(why_none(&*node, txid).await)
}

/// Why this node has no proof of a transaction.
pub(super) async fn why_none(node: &dyn NodeApi, txid: TxId) -> ErrorObjectOwned {
    let info = match node.transaction_status(txid).await {
        Ok(info) => info,
        Err(failure) => return of_node(failure),
    };
    match info.status {
        TransactionStatus::Unknown => {
            let hint = "check the txid; a node that is syncing does not know the latest transactions";
            error(NOT_FOUND, "transaction not found", "transaction_not_found", hint)
        }
        TransactionStatus::Conflicted => {
            let hint =
                "pay anew of other coins; `gettransactionstatus` of the winner tells how far that one is";
            let words = ("transaction_conflicted", hint);
            lost("the transaction can never be final: another one has its coin", words, info.winner)
        }
        // The index knows the block of a transaction that the log has no more.
        TransactionStatus::Confirmed if info.block_hash.is_none() => {
            let message = "the block that contains the transaction is not here any more";
            error(NOT_FOUND, message, "block_pruned", PRUNED_HINT)
        }
        TransactionStatus::Pending
        | TransactionStatus::Certified
        | TransactionStatus::Final
        | TransactionStatus::Confirmed => {
            let hint = "`waitfortransaction` waits until it is";
            error(NOT_FOUND, "the transaction is not final yet", "transaction_not_final", hint)
        }
    }
}

fn refused(problem: &ProofTextError) -> ErrorObjectOwned {
    let code = match problem {
        ProofTextError::OtherSummary => REJECTED,
        ProofTextError::Proof(error) => match error {
            FinalityProofError::TooLarge { .. }
            | FinalityProofError::NotAProof
            | FinalityProofError::UnknownVersion { .. }
            | FinalityProofError::Malformed(_)
            | FinalityProofError::NotCanonical => BAD_PARAMETER,
            _ => REJECTED,
        },
        ProofTextError::TooLong | ProofTextError::Malformed(_) | ProofTextError::UnknownVersion(_) => {
            BAD_PARAMETER
        }
    };
    error(code, problem.to_string(), problem.reason(), problem.hint())
}

/// `verifyfinalityproof`.
pub(super) async fn check(
    node: Arc<dyn NodeApi>,
    given: Value,
    trusted: Option<Checkpoint>,
) -> Result<ProvedInfo, ErrorObjectOwned> {
    let failed = |problem: ProofTextError| refused(&problem);
    let text = ProofText::of_value(given).map_err(failed)?;
    let verdict = node.verify_finality_proof(text.proof.clone(), trusted).await.map_err(of_node)?;
    let proved = verdict.map_err(|problem| failed(problem.into()))?;
    text.compare(&proved).map_err(failed)
}

#[cfg(test)]
#[path = "finality_proof_tests.rs"]
pub(super) mod tests;
