//! Blocks, their headers and commits, and the outputs.

use std::time::Duration;

use jsonrpsee::types::ErrorObjectOwned;
use serde_json::Value;

use crate::rpc::answers::{Reply, reply};
use crate::rpc::api::BlockSelector;
use crate::rpc::call::Call;
use crate::rpc::errors::{BAD_PARAMETER, NOT_FOUND, bad_parameter, error, of_node};
use crate::rpc::limits::{WAIT_MS_DEFAULT, WAIT_MS_MAX};
use crate::rpc::types::{BlockInfo, BlockTip, CommitInfo, HeaderInfo, TxOutInfo, UtxoState};
use crate::types::codec::encode;
use crate::types::{BlockHash, CommittedBlock, Height};

pub(super) async fn get_block_hash(call: Call) -> Result<BlockHash, ErrorObjectOwned> {
    let height = call.required(0)?;
    call.node.block_hash(height).await.map_err(of_node)?.ok_or_else(|| {
        let (best, _) = call.node.best_block();
        let message = format!("block height {height} is out of range: blocks are from 1 to {best}");
        error(BAD_PARAMETER, message, "height_out_of_range", "`getblockcount` tells the last height")
    })
}

/// The block that the first parameter names, by hash or by height.
fn selector(call: &Call) -> Result<BlockSelector, ErrorObjectOwned> {
    let given = match call.required::<Value>(0)? {
        Value::Number(number) => number.as_u64().map(BlockSelector::Height),
        Value::String(text) => text.parse::<BlockHash>().ok().map(BlockSelector::Hash),
        _ => None,
    };
    given.ok_or_else(|| bad_parameter(call.name(0), "a hash of 64 hexadecimal digits or a height"))
}

fn no_such_block() -> ErrorObjectOwned {
    let hint = "`getblockcount` tells the last height, and a node that is syncing has not all blocks yet";
    error(NOT_FOUND, "block not found", "block_not_found", hint)
}

async fn find_block(call: &Call) -> Result<CommittedBlock, ErrorObjectOwned> {
    call.node.block(selector(call)?).await.map_err(of_node)?.ok_or_else(no_such_block)
}

/// The last height, and the block after this one if there is one.
async fn above(call: &Call, height: Height) -> Result<(Height, Option<BlockHash>), ErrorObjectOwned> {
    let next = call.node.block_hash(height.saturating_add(1)).await.map_err(of_node)?;
    Ok((call.node.best_block().0, next))
}

pub(super) async fn get_block(call: Call) -> Result<Reply, ErrorObjectOwned> {
    let verbosity = call.verbosity(1, 1, 2)?;
    let committed = find_block(&call).await?;
    if verbosity == 0 {
        return Ok(Box::new(move |room| room.write(&hex::encode(encode(&committed)))));
    }
    let (network, above) = (call.node.network(), above(&call, committed.block.header.height).await?);
    let receipts = if verbosity == 2 {
        let transactions = committed.block.transactions.iter();
        let about_masternodes = transactions.filter(|transaction| transaction.payload.acts_on_masternodes());
        let txids = about_masternodes.map(|transaction| transaction.txid()).collect();
        Some(call.node.receipts(txids).await.map_err(of_node)?)
    } else {
        None
    };
    Ok(Box::new(move |room| room.write(&BlockInfo::of(network, &committed, above, receipts.as_ref()))))
}

pub(super) async fn get_block_header(call: Call) -> Result<Reply, ErrorObjectOwned> {
    let is_verbose = call.optional::<bool>(1)?.unwrap_or(true);
    let found = call.node.header(selector(&call)?).await.map_err(of_node)?;
    let (header, transactions) = found.ok_or_else(no_such_block)?;
    if !is_verbose {
        return Ok(reply(hex::encode(encode(&header))));
    }
    Ok(reply(HeaderInfo::of(&header, transactions, above(&call, header.height).await?)))
}

pub(super) async fn get_commit(call: Call) -> Result<CommitInfo, ErrorObjectOwned> {
    let committed = find_block(&call).await?;
    let set = call.node.validators_of(committed.block.header.epoch).await.map_err(of_node)?;
    Ok(CommitInfo::of(&committed, set.as_ref()))
}

pub(super) async fn get_tx_out(call: Call) -> Result<Option<TxOutInfo>, ErrorObjectOwned> {
    let outpoint = call.outpoint()?;
    let in_pool_too = call.optional::<bool>(2)?.unwrap_or(true);
    let info = call.node.utxo_state(outpoint).await.map_err(of_node)?;
    let (best, best_block) = call.node.best_block();
    let is_unspent = matches!(info.state, UtxoState::Unspent | UtxoState::Locked);
    let is_asked_for = is_unspent && (in_pool_too || info.height.is_some());
    Ok(match (is_asked_for, info.value, info.address) {
        (true, Some(value), Some(address)) => Some(TxOutInfo {
            best_block,
            confirmations: info.height.map_or(0, |height| best.saturating_sub(height).saturating_add(1)),
            value,
            value_time: value.to_string(),
            address,
        }),
        _ => None,
    })
}

/// Waits until the chain has a block of this height, and tells the tip; that the time passed is no error.
async fn wait_for(
    call: &Call,
    height: Height,
    timeout_parameter: usize,
) -> Result<BlockTip, ErrorObjectOwned> {
    let timeout_ms = call.bounded(timeout_parameter, WAIT_MS_DEFAULT, WAIT_MS_MAX)?;
    let (best, hash) = call.node.best_block();
    if best >= height || timeout_ms == 0 {
        return Ok(BlockTip { hash, height: best });
    }
    let wait = call.node.wait_for_block(height, Duration::from_millis(timeout_ms));
    let (height, hash) = call.wait(async { Ok(wait.await) }).await?;
    Ok(BlockTip { hash, height })
}

pub(super) async fn wait_for_block_height(call: Call) -> Result<BlockTip, ErrorObjectOwned> {
    let height = call.required(0)?;
    wait_for(&call, height, 1).await
}

pub(super) async fn wait_for_new_block(call: Call) -> Result<BlockTip, ErrorObjectOwned> {
    let next = call.node.best_block().0.saturating_add(1);
    wait_for(&call, next, 0).await
}
