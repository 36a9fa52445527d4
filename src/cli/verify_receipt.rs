//! `timed verify-receipt`: checks a receipt of a payment with nothing but the genesis document.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use super::CliError;
use super::offline::{GenesisArgs, Refusal, read_text, signers, tell};
use super::wallet::KeystoreArgs;
use super::wallet::memo::Memo;
use crate::protocol::finality_proof::verify_with;
use crate::rpc::receipt::{RECEIPT_TEXT_BYTES_MAX, ReceiptContent, ReceiptError, check};
use crate::runtime::{CpuPool, PoolVerifier};
use crate::types::{Checkpoint, Lock, Network, SecretKey};
use crate::wallet::ACCOUNTS_MAX;

/// Flags of `timed verify-receipt`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The receipt's file, as `timed receipt TXID` writes it; `-` reads standard input.
    #[arg(value_name = "FILE")]
    receipt: PathBuf,
    #[command(flatten)]
    genesis: GenesisArgs,
    /// A block that you know to be of the chain, from which the receipt has to start.
    #[arg(long, value_name = "HEIGHT:HASH")]
    trusted: Option<Checkpoint>,
    /// Read a memo that is encrypted to the wallet's owner.
    #[arg(long)]
    read_memo: bool,
    #[command(flatten)]
    keystore: KeystoreArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a receipt proves, with its memo as far as the wallet reads it.
#[derive(Debug, Serialize)]
struct Read {
    #[serde(flatten)]
    proved: ReceiptContent,
    /// Whether the memo is encrypted to the receiver.
    memo_encrypted: bool,
    /// What it says then, in hexadecimal; absent where nobody was asked to read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    memo_read: Option<String>,
}

impl Read {
    /// Reads the memo by the keys of those who are paid.
    fn of(proved: ReceiptContent, args: &Args) -> Result<(Self, Option<Memo>), CliError> {
        let bytes = hex::decode(&proved.memo).unwrap_or_default();
        let keys = if args.read_memo { receivers(&args.keystore, &proved)? } else { Vec::new() };
        let memo = Memo::of(&bytes, &keys, &proved.finality.chain_id);
        let memo_encrypted = memo.as_ref().is_some_and(Memo::is_encrypted);
        let memo_read = match &memo {
            Some(Memo::Read(text)) => Some(hex::encode(text)),
            Some(Memo::Sealed) if args.read_memo => {
                return Err(CliError::Failed(
                    "the receipt holds, but its memo can't be read with this wallet: it is encrypted to another key; name the \
                     receiver's wallet by --wallet, or leave out --read-memo"
                        .to_owned(),
                ));
            }
            _ => None,
        };
        Ok((Self { proved, memo_encrypted, memo_read }, memo))
    }
}

/// The wallet's keys of addresses that are paid.
fn receivers(keystore: &KeystoreArgs, proved: &ReceiptContent) -> Result<Vec<SecretKey>, CliError> {
    let paid: BTreeSet<Lock> = proved.outputs.iter().map(|output| output.address.lock).collect();
    let keys = keystore.open()?.keys(ACCOUNTS_MAX)?;
    Ok(keys.into_iter().filter(|key| paid.contains(&Lock::KeyHash(key.public().key_hash()))).collect())
}

/// The lines for people.
fn summary(network: Network, Read { proved, .. }: &Read, memo: Option<&Memo>) -> Vec<String> {
    let finality = &proved.finality;
    let mut lines = vec!["The receipt holds.".to_owned()];
    lines.extend(
        proved.outputs.iter().map(|output| format!("  {} TIME to {}", output.value_time, output.address)),
    );
    let hint = if memo == Some(&Memo::Sealed) { "; the receiver reads it by --read-memo" } else { "" };
    lines.extend(memo.map(|memo| format!("  Memo         {}{hint}", memo.words())));
    lines.push(format!("  Transaction  {}", finality.txid));
    let block = match finality.height {
        Some(height) => format!(", in block {height}"),
        None => String::new(),
    };
    lines.push(format!(
        "  Final        in epoch {}{block}, on the {network} {}",
        finality.epoch, finality.chain_id
    ));
    lines.extend(signers(finality));
    lines
}

/// Checks the receipt and prints what it proves.
///
/// # Errors
/// When the receipt does not hold, or receipt or genesis document can't be read.
pub fn run(args: &Args) -> Result<(), CliError> {
    let genesis = args.genesis.document()?;
    let text = read_text(&args.receipt, RECEIPT_TEXT_BYTES_MAX)?;
    let pool = CpuPool::new().map_err(|error| CliError::Failed(error.to_string()))?;
    let verifier = PoolVerifier::new(pool);
    let refused = |problem: ReceiptError| Refusal {
        reason: problem.reason(),
        message: problem.to_string(),
        hint: problem.hint(),
    };
    let prove = |proof: &_| verify_with(&genesis, args.trusted.as_ref(), proof, &verifier);
    let verdict = check(&genesis, &text, prove).map_err(refused);
    let (verdict, memo) = match verdict {
        Ok(proved) => {
            let (read, memo) = Read::of(proved, args)?;
            (Ok(read), memo)
        }
        Err(refusal) => (Err(refusal), None),
    };
    tell("receipt", verdict, args.json, |read| summary(genesis.network, read, memo.as_ref()))
}
