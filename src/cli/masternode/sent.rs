//! Sends a transaction about a masternode, and tells what becomes of it: final, in a block, in effect or void.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::super::output;
use super::super::rpc_client::{RpcClient, RpcCommandError, say, say_json};
use super::super::wallet_rpc::{FINALITY_WAIT_MS, submit};
use super::{SpendArgs, failed};
use crate::rpc::methods::WAIT_MS_MAX;
use crate::rpc::types::{
    BlockchainInfo, ConsensusInfo, MasternodePayload, ReceiptInfo, TransactionStatus, TransactionStatusInfo,
};
use crate::runtime::Clock;
use crate::runtime::time_text::{duration_words, milliseconds, time_from_now};
use crate::types::limits::MAX_FEE_DEFAULT;
use crate::types::{Amount, Height, MasternodeId, Network, TimeMs, TxId};
use crate::wallet::BuiltTransaction;

/// Block intervals that are waited for a block with the transaction.
const BLOCKS_WAITED: u64 = 3;

/// What the transaction is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    Register,
    Update,
    Exit,
    Unjail,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct SentReport {
    txid: TxId,
    /// The masternode that it speaks of.
    masternode: Option<MasternodeId>,
    fee: Amount,
    fee_time: String,
    status: TransactionStatus,
    /// From just before it was sent until the node said that it is final, in milliseconds; with `--wait` only.
    finality_ms: Option<f64>,
    /// The block that contains it; with `--wait` only.
    height: Option<Height>,
    /// What became of it; with `--wait` only.
    receipt: Option<ReceiptInfo>,
}

impl Intent {
    /// What follows from its taking effect; the current epoch ends at about `epoch_end`.
    pub(super) fn outcome(self, id: MasternodeId, epoch_end: Option<TimeMs>, unbonding_ms: u64) -> String {
        let when = epoch_end.map_or_else(String::new, |end| format!(", at about {}", time_from_now(end)));
        match self {
            Self::Register => format!(
                "masternode {id} is registered; it can be in the next epoch's set{when}. Its node needs [masternode] \
                 enabled = true, the operator key, and a vote journal (`timed votes new`)"
            ),
            Self::Update => format!("the change of masternode {id} takes effect with the next epoch{when}"),
            Self::Exit => format!(
                "masternode {id} leaves at the epoch's end{when}, or later while the others would be too few; its node \
                 has to vote until then. Its collateral is free in epochs that start {} after that",
                duration_words(unbonding_ms / 1_000)
            ),
            Self::Unjail => {
                format!("masternode {id} is no longer jailed; it can be in the next epoch's set{when}")
            }
        }
    }
}

/// Submits what was built, waits if asked, and prints.
pub(super) async fn tell(
    spend: &SpendArgs,
    client: &RpcClient,
    chain: &BlockchainInfo,
    intent: Intent,
    built: &BuiltTransaction,
) -> Result<(), RpcCommandError> {
    let started = Clock.instant();
    let txid = submit(client, &built.transaction, MAX_FEE_DEFAULT).await?;
    let network = chain.chain.parse().unwrap_or(Network::Devnet);
    let payload = MasternodePayload::of(network, txid, &built.transaction);
    let mut report = SentReport {
        txid,
        masternode: payload.map(|payload| payload.id),
        fee: built.fee,
        fee_time: built.fee.to_string(),
        status: TransactionStatus::Pending,
        finality_ms: None,
        height: None,
        receipt: None,
    };
    if !spend.wait {
        return sent(spend, &report);
    }
    let status = wait(client, txid, "final", FINALITY_WAIT_MS).await?;
    report.status = status.status;
    if status.status < TransactionStatus::Final {
        return Err(failed(format!(
            "transaction {txid} was sent, but is not final after {}; `timed rpc gettransactionstatus {txid}` tells more",
            duration_words(FINALITY_WAIT_MS / 1_000)
        )));
    }
    let finality_ms = milliseconds(started.elapsed());
    report.finality_ms = Some(finality_ms);
    if !spend.json {
        say(&format!(
            "transaction {txid}, {} TIME for the fee, final after {finality_ms:.1} ms",
            report.fee_time
        ))?;
        output::notice("it takes effect with a block; waiting for that");
    }
    let status = wait_for_block(client, txid, chain).await?;
    report.status = status.status;
    report.height = status.height;
    report.receipt = status.receipt;
    conclude(spend, client, chain, intent, &report).await
}

fn sent(spend: &SpendArgs, report: &SentReport) -> Result<(), RpcCommandError> {
    if spend.json {
        return say_json(report);
    }
    say(&report.txid.to_string())?;
    if let Some(id) = report.masternode {
        output::notice(format_args!("it speaks of masternode {id}, for a fee of {} TIME", report.fee_time));
    }
    output::notice(format_args!(
        "it takes effect, or is void, when a block has it: `timed rpc gettransactionstatus {}` tells, and --wait waits",
        report.txid
    ));
    Ok(())
}

async fn wait(
    client: &RpcClient,
    txid: TxId,
    target: &str,
    timeout_ms: u64,
) -> Result<TransactionStatusInfo, RpcCommandError> {
    client.call("waitfortransaction", &[json!(txid), json!(target), json!(timeout_ms)]).await
}

/// Waits for some block intervals at least: with few transactions a block comes once an interval.
async fn wait_for_block(
    client: &RpcClient,
    txid: TxId,
    chain: &BlockchainInfo,
) -> Result<TransactionStatusInfo, RpcCommandError> {
    let interval_ms = chain.parameters.block_interval_ms;
    let patience =
        Duration::from_millis(interval_ms.saturating_mul(BLOCKS_WAITED).saturating_add(FINALITY_WAIT_MS));
    let began = Clock.instant();
    loop {
        let left = patience.saturating_sub(began.elapsed());
        let left_ms = u64::try_from(left.as_millis()).unwrap_or(WAIT_MS_MAX);
        let status = wait(client, txid, "confirmed", left_ms.clamp(1, WAIT_MS_MAX)).await?;
        if status.status >= TransactionStatus::Confirmed {
            return Ok(status);
        }
        if left.is_zero() {
            return Err(failed(format!(
                "transaction {txid} is final, but no block has it after {}; `timed status` tells whether blocks come, \
                 and `timed rpc gettransactionstatus {txid}` what became of it",
                duration_words(patience.as_secs())
            )));
        }
    }
}

/// Prints what became of it; void is a failure.
async fn conclude(
    spend: &SpendArgs,
    client: &RpcClient,
    chain: &BlockchainInfo,
    intent: Intent,
    report: &SentReport,
) -> Result<(), RpcCommandError> {
    if spend.json {
        say_json(report)?;
    }
    let height = report.height.unwrap_or_default();
    let receipt = report.receipt.as_ref().ok_or_else(|| {
        failed(format!(
            "block {height} has the transaction, but the node tells no receipt; is it of the same version?"
        ))
    })?;
    let Some(id) = receipt.masternode.filter(|_| !receipt.void) else {
        return Err(void(receipt, height));
    };
    if spend.json {
        return Ok(());
    }
    let consensus: ConsensusInfo = client.call("getconsensusinfo", &[]).await?;
    let duration_ms = chain.parameters.epoch_duration_ms;
    let end = consensus.epoch_start_ms.map(|start| start.saturating_add(duration_ms));
    say(&format!("in block {height}: {}", intent.outcome(id, end, chain.parameters.unbonding_time_ms)))
}

/// That nothing came of it, and why.
fn void(receipt: &ReceiptInfo, height: Height) -> RpcCommandError {
    let (reason, message) = (receipt.reason.as_deref(), receipt.message.as_deref());
    failed(format!(
        "block {height} has the transaction, but it is void: {} [{}]; only its fee is spent, and the rest came back",
        message.unwrap_or("the node does not say why"),
        reason.unwrap_or("unknown")
    ))
}
