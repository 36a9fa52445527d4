//! The one table of methods, and what each does.
//!
//! # Place
//! `rpc/server.rs` registers [`METHODS`]; `help` prints it; the wrapper around every method asks it who may call.
//!
//! To add a method: a row here, its shape in `rpc/types`, what it asks of the node in `rpc/api.rs`. A row that may have
//! a large answer says `large()`, one that waits for something takes its place by `Call::wait`.
//!
//! # Invariants
//! - INV-RPC-1, INV-RPC-2 of [`crate::rpc`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use jsonrpsee::server::RegisterMethodError;
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::{Extensions, RpcModule};
use serde::Serialize;
use serde_json::Value;

use super::answers::{Answer, AnswerRoom, too_large};
use super::api::{BlockSelector, UtxoPage};
use super::call::Call;
use super::errors::{
    BAD_PARAMETER, BUSY, INTERNAL, NOT_CONNECTED, NOT_FOUND, UNAUTHORIZED, bad_parameter, error, of_node,
    of_submit,
};
use super::finality_proof;
use super::places::RequestWaits;
use super::types::{
    AddressBalance, AddressUtxo, BlockInfo, FinalizedPage, MethodHelp, RawTransactionInfo, ResourceInfo,
    TransactionInfo, TransactionStatusInfo, TxOutInfo, UtxoState, ValidatorsInfo, WaitTarget,
};
use crate::types::codec::encode;
use crate::types::{Address, Amount, BlockHash, MasternodeId, TxId};

pub use super::call::{ADDRESS_UTXOS_MAX, Context};
pub use super::limits::WAIT_MS_MAX;

const WAIT_MS_DEFAULT: u64 = 30_000;
/// Pages that `getaddressbalance` adds up, at most: a million outputs.
const BALANCE_PAGES_MAX: usize = 100;
/// Events in one page of `getfinalizedsince`, at most.
pub const FINALIZED_EVENTS_MAX: usize = 8_192;
const FINALIZED_EVENTS_DEFAULT: usize = 1_000;
/// Pieces of evidence that `listevidence` tells, at most.
pub const EVIDENCE_MAX: usize = 10_000;
const EVIDENCE_DEFAULT: usize = 100;

/// An answer that is not written yet.
type Reply = Box<dyn FnOnce(&AnswerRoom) -> Answer + Send>;
type Handler = fn(Call) -> BoxFuture<'static, Result<Reply, ErrorObjectOwned>>;

/// Cost of a method that reads the disk once, within [`BATCH_COST_MAX`](super::limits::BATCH_COST_MAX).
const COST: u32 = 2;
const COST_LARGE: u32 = 20;

/// A method of the table.
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// Its parameters in their order; a `?` at the end marks optional ones.
    pub parameters: &'static [&'static str],
    /// Whether it changes something and so needs credentials.
    pub write: bool,
    /// What it does, in a line.
    pub description: &'static str,
    /// What it counts in a batch.
    pub cost: u32,
    /// Whether it takes turns with others, since its answer may be large or much is done for it.
    pub large: bool,
    handler: Handler,
}

impl Method {
    const fn read(
        name: &'static str,
        parameters: &'static [&'static str],
        description: &'static str,
        handler: Handler,
    ) -> Self {
        Self { name, parameters, write: false, description, cost: COST, large: false, handler }
    }

    const fn write(
        name: &'static str,
        parameters: &'static [&'static str],
        description: &'static str,
        handler: Handler,
    ) -> Self {
        Self { name, parameters, write: true, description, cost: COST, large: false, handler }
    }

    const fn large(self) -> Self {
        Self { cost: COST_LARGE, large: true, ..self }
    }

    /// The method as `help` shows it.
    #[must_use]
    pub fn help(&self) -> MethodHelp {
        let parameters = self.parameters.iter().map(|name| match name.strip_suffix('?') {
            Some(optional) => format!(" [{optional}]"),
            None => format!(" {name}"),
        });
        MethodHelp {
            usage: std::iter::once(self.name.to_owned()).chain(parameters).collect(),
            write: self.write,
            description: self.description.to_owned(),
        }
    }
}

/// Every method.
pub static METHODS: [Method; 35] = [
    Method::read("getblockchaininfo", &[], "The chain at its tip, and what a wallet needs", |call| {
        answer(async move { Ok(call.node.blockchain_info()) })
    }),
    Method::read("getgenesis", &[], "The genesis document as TOML, and its hash, the chain id", |call| {
        answer(async move { Ok(call.node.genesis()) })
    }),
    Method::read("getblockcount", &[], "Height of the last committed block", |call| {
        answer(async move { Ok(call.node.best_block().0) })
    }),
    Method::read("getbestblockhash", &[], "Hash of the last committed block", |call| {
        answer(async move { Ok(call.node.best_block().1) })
    }),
    Method::read("getblockhash", &["height"], "Hash of the block at a height", |call| {
        answer(get_block_hash(call))
    }),
    Method::read(
        "getblock",
        &["hash_or_height", "verbosity?"],
        "A block: 0 its bytes with the commit in hexadecimal, 1 with txids (default), 2 with transactions",
        |call| Box::pin(get_block(call)),
    ).large(),
    Method::read("getpeerinfo", &[], "Connected peers", |call| answer(async move { Ok(call.node.peers()) })),
    Method::write(
        "disconnectnode",
        &["peer"],
        "Ends the connection to a peer, by its \"addr\" or \"node_id\" of getpeerinfo; it may connect again",
        |call| answer(async move { disconnect_node(&call) }),
    ),
    Method::read("getnetworkinfo", &[], "The node in its network", |call| {
        answer(async move { Ok(call.node.network_info()) })
    }),
    Method::read("getnettotals", &[], "Bytes between the node and its peers since it started", |call| {
        answer(async move { Ok(call.node.net_totals()) })
    }),
    Method::read("getmempoolinfo", &[], "The pool of transactions", |call| {
        answer(async move { Ok(call.node.mempool_info()) })
    }),
    Method::read("masternodelist", &[], "All masternodes of the chain's state", |call| {
        answer(async move { Ok(call.node.masternodes()) })
    }).large(),
    Method::read("getmasternode", &["id"], "One masternode of the chain's state", |call| {
        answer(async move {
            let id = call.required::<MasternodeId>(0)?;
            call.node.masternode(id).ok_or_else(|| {
                let hint =
                    "`masternodelist` names all; one that left is forgotten when its collateral is free";
                error(NOT_FOUND, "masternode not found", "masternode_not_found", hint)
            })
        })
    }),
    Method::read(
        "getheartbeats",
        &[],
        "The last sign of life of each masternode, and who heard it",
        |call| answer(async move { Ok(call.node.heartbeats()) }),
    ).large(),
    Method::read(
        "listevidence",
        &["count?"],
        "Evidence that blocks punished, the newest first, 100 pieces by default, 10,000 at most",
        |call| {
            answer(async move {
                let count = call.limit(0, EVIDENCE_DEFAULT, EVIDENCE_MAX)?;
                call.node.evidence(count).await.map_err(of_node)
            })
        },
    ).large(),
    Method::read("getvalidators", &[], "The set that votes in the current epoch", |call| {
        answer(async move {
            let (epoch, set) = call.node.validators();
            Ok(ValidatorsInfo::of(epoch, &set))
        })
    }).large(),
    Method::read("getutxostate", &["txid", "vout"], "What became of an output", |call| {
        answer(async move {
            let outpoint = call.outpoint()?;
            call.node.utxo_state(outpoint).await.map_err(of_node)
        })
    }),
    Method::read("gettxout", &["txid", "vout"], "An output that is not spent, or null", |call| {
        answer(get_tx_out(call))
    }),
    Method::read("gettransactionstatus", &["txid"], "How far a transaction has come", |call| {
        answer(async move {
            let txid = call.required::<TxId>(0)?;
            call.node.transaction_status(txid).await.map_err(of_node)
        })
    }),
    Method::read(
        "getrawtransaction",
        &["txid", "verbosity?"],
        "A transaction of the pool or the chain: 0 its bytes in hexadecimal (default), 1 decoded, with its block and receipt",
        |call| Box::pin(get_raw_transaction(call)),
    ),
    Method::read(
        "decoderawtransaction",
        &["hex"],
        "Decodes a transaction without checking or sending it",
        |call| {
            answer(async move {
                let transaction = call.transaction(0)?;
                Ok(TransactionInfo::of(call.node.network(), &transaction, None))
            })
        },
    ),
    Method::read(
        "waitfortransaction",
        &["txid", "target?", "timeout_ms?"],
        "Waits until a transaction is \"certified\", \"final\" (default) or \"confirmed\", 30 s by default, 60 s at most; answers with how far it came",
        |call| answer(wait_for_transaction(call)),
    ),
    Method::read(
        "getfinalityproof",
        &["txid"],
        "A proof that a transaction is final, which anybody can check with the genesis document alone: `timed verify-proof`",
        |call| {
            answer(async move {
                let txid = call.required::<TxId>(0)?;
                finality_proof::get(call.node, txid).await
            })
        },
    ).large(),
    Method::read(
        "verifyfinalityproof",
        &["proof"],
        "Checks an answer of getfinalityproof, or its \"proof\" alone, against this node's genesis document; what it proves. `timed verify-proof` takes those above 1 MiB too",
        |call| {
            answer(async move {
                let given = call.required::<Value>(0)?;
                finality_proof::check(call.node, given).await
            })
        },
    ).large(),
    Method::write("sendrawtransaction", &["hex"], "Takes a signed transaction and sends it to all", |call| {
        answer(send_raw_transaction(call))
    }),
    Method::read("getaddressbalance", &["address"], "The sums of an address's outputs", |call| {
        answer(get_address_balance(call))
    }).large(),
    Method::read(
        "getaddressutxos",
        &["address", "limit?", "after?"],
        "Unspent outputs of an address, 1,000 by default, 10,000 at most; \"after\" is the \"next\" of the page before",
        |call| {
            answer(async move {
                let address = call.address(0)?;
                let page = call.utxo_page()?;
                call.node.address_utxos(address, page).await.map_err(of_node)
            })
        },
    ).large(),
    Method::read(
        "getfinalizedsince",
        &["cursor?", "limit?", "wait_ms?"],
        "Finality events of this node from a cursor on, waiting for the first; without a cursor where the next will be",
        |call| answer(get_finalized_since(call)),
    ),
    Method::read("getnodestatus", &[], "What the node is doing, and why not more", |call| {
        answer(async move { Ok(call.node.node_status()) })
    }),
    Method::read("getconsensusinfo", &[], "The consensus as this node sees it", |call| {
        answer(async move { Ok(call.node.consensus_info()) })
    }),
    Method::read("getreadiness", &[], "Whether the node is ready, as GET /ready says it", |call| {
        answer(async move { Ok(super::types::Readiness::of(call.node.readiness())) })
    }),
    Method::read("uptime", &[], "Seconds since the node started", |call| {
        answer(async move { Ok(call.node.uptime_s()) })
    }),
    Method::read(
        "getresourceinfo",
        &[],
        "What the node's process has taken since its start: processor time by stage of a payment's way, syncs of its logs",
        |_call| answer(async { Ok(ResourceInfo::of_this_process()) }),
    ),
    Method::write("stop", &[], "Stops the node in good order", |call| {
        answer(async move {
            call.node.stop();
            Ok("timed is stopping")
        })
    }),
    Method::read("help", &["method?"], "Lists the methods, or explains one", |call| {
        answer(async move { help(&call) })
    }),
];

/// The table's entry of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

fn disconnect_node(call: &Call) -> Result<(), ErrorObjectOwned> {
    let peer = call.required::<String>(0)?;
    if call.node.disconnect(&peer) {
        return Ok(());
    }
    let hint = "`getpeerinfo` names those that are";
    Err(error(NOT_CONNECTED, "no such peer is connected", "not_connected", hint))
}

fn answer<T: Serialize + Send + 'static>(
    work: impl Future<Output = Result<T, ErrorObjectOwned>> + Send + 'static,
) -> BoxFuture<'static, Result<Reply, ErrorObjectOwned>> {
    Box::pin(async move { Ok(reply(work.await?)) })
}

fn reply<T: Serialize + Send + 'static>(value: T) -> Reply {
    Box::new(move |room| room.write(&value))
}

/// Who calls, as the HTTP layer found out; it travels in the request's extensions.
#[derive(Clone)]
pub struct Caller {
    /// Whether the caller has given valid credentials.
    pub authenticated: bool,
    /// Set when a method was refused for the lack of them.
    pub refused: Arc<AtomicBool>,
    /// Where the request's answers are written.
    pub room: Arc<AnswerRoom>,
    /// The request's waiting calls.
    pub waits: Arc<RequestWaits>,
    /// How many of its calls were refused as `busy`.
    pub busy: Arc<AtomicU32>,
}

impl Caller {
    /// Makes a call and writes its answer.
    async fn make(self, method: &'static Method, call: Call) -> Answer {
        let turn = if method.large { Some(self.room.turn().await?) } else { None };
        if self.room.is_used_up() && !method.write {
            return Err(too_large());
        }
        let reply = (method.handler)(call).await.inspect_err(|refused| {
            if refused.code() == BUSY {
                self.busy.fetch_add(1, Ordering::Relaxed);
            }
        })?;
        if turn.is_none() {
            return reply(&self.room);
        }
        // A block of 50,000 transactions takes tens of milliseconds to hash and describe: not on a worker of the
        // runtime. The turn goes along, since this goes on when the caller is gone.
        let room = self.room;
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            reply(&room)
        })
        .await
        .unwrap_or_else(|failure| Err(error(INTERNAL, failure.to_string(), "internal", "see the node's log")))
    }
}

async fn get_block_hash(call: Call) -> Result<BlockHash, ErrorObjectOwned> {
    let height = call.required(0)?;
    call.node.block_hash(height).await.map_err(of_node)?.ok_or_else(|| {
        let (best, _) = call.node.best_block();
        let message = format!("block height {height} is out of range: blocks are from 1 to {best}");
        error(BAD_PARAMETER, message, "height_out_of_range", "`getblockcount` tells the last height")
    })
}

async fn get_block(call: Call) -> Result<Reply, ErrorObjectOwned> {
    let selector = match call.required::<Value>(0)? {
        Value::Number(number) => number.as_u64().map(BlockSelector::Height),
        Value::String(text) => text.parse::<BlockHash>().ok().map(BlockSelector::Hash),
        _ => None,
    }
    .ok_or_else(|| bad_parameter(call.name(0), "a hash of 64 hexadecimal digits or a height"))?;
    let verbosity = call.bounded(1, 1, 2)?;
    let committed = call.node.block(selector).await.map_err(of_node)?.ok_or_else(|| {
        let hint = "`getblockcount` tells the last height, and a node that is syncing has not all blocks yet";
        error(NOT_FOUND, "block not found", "block_not_found", hint)
    })?;
    let (network, best) = (call.node.network(), call.node.best_block().0);
    let receipts = if verbosity == 2 {
        let transactions = committed.block.transactions.iter();
        let about_masternodes = transactions.filter(|transaction| transaction.payload.acts_on_masternodes());
        let txids = about_masternodes.map(|transaction| transaction.txid()).collect();
        Some(call.node.receipts(txids).await.map_err(of_node)?)
    } else {
        None
    };
    Ok(Box::new(move |room| match verbosity {
        0 => room.write(&hex::encode(encode(&committed))),
        _ => room.write(&BlockInfo::of(network, &committed, best, receipts.as_ref())),
    }))
}

async fn get_tx_out(call: Call) -> Result<Option<TxOutInfo>, ErrorObjectOwned> {
    let outpoint = call.outpoint()?;
    let info = call.node.utxo_state(outpoint).await.map_err(of_node)?;
    let (best, best_block) = call.node.best_block();
    let unspent = matches!(info.state, UtxoState::Unspent | UtxoState::Locked);
    Ok(match (unspent, info.value, info.address) {
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

async fn wait_for_transaction(call: Call) -> Result<TransactionStatusInfo, ErrorObjectOwned> {
    let txid = call.required::<TxId>(0)?;
    let target = call.optional::<WaitTarget>(1)?.unwrap_or(WaitTarget::Final);
    let timeout = Duration::from_millis(call.bounded(2, WAIT_MS_DEFAULT, WAIT_MS_MAX)?);
    let status = call.node.transaction_status(txid).await.map_err(of_node)?;
    if target.is_reached_by(status.status) || timeout.is_zero() {
        return Ok(status);
    }
    call.wait(async { call.node.wait_for_transaction(txid, target, timeout).await.map_err(of_node) }).await
}

async fn get_finalized_since(call: Call) -> Result<FinalizedPage, ErrorObjectOwned> {
    let cursor = call.optional::<u64>(0)?;
    let limit = call.limit(1, FINALIZED_EVENTS_DEFAULT, FINALIZED_EVENTS_MAX)?;
    let wait = Duration::from_millis(call.bounded(2, 0, WAIT_MS_MAX)?);
    let page = call.node.finalized_since(cursor, limit, Duration::ZERO).await;
    if cursor.is_none() || !page.events.is_empty() || wait.is_zero() {
        return Ok(page);
    }
    call.wait(async { Ok(call.node.finalized_since(cursor, limit, wait).await) }).await
}

async fn send_raw_transaction(call: Call) -> Result<TxId, ErrorObjectOwned> {
    let transaction = call.transaction(0)?;
    call.node.submit_transaction(transaction).await.map_err(|refusal| of_submit(&refusal))
}

async fn get_raw_transaction(call: Call) -> Result<Reply, ErrorObjectOwned> {
    let txid = call.required::<TxId>(0)?;
    let verbosity = call.bounded(1, 0, 1)?;
    let found = call.node.transaction(txid).await.map_err(of_node)?;
    let (transaction, height) = found.ok_or_else(|| {
        let hint = "this node has no such transaction in its pool or its blocks; `gettransactionstatus` tells what it knows";
        error(NOT_FOUND, "transaction not found", "transaction_not_found", hint)
    })?;
    let hex = hex::encode(encode(&*transaction));
    if verbosity == 0 {
        return Ok(reply(hex));
    }
    let receipts = match height {
        Some(_) => call.node.receipts(vec![txid]).await.map_err(of_node)?,
        None => BTreeMap::new(),
    };
    let (best, _) = call.node.best_block();
    Ok(reply(RawTransactionInfo {
        transaction: TransactionInfo::of(call.node.network(), &transaction, receipts.get(&txid)),
        hex,
        height,
        confirmations: height.map_or(0, |height| best.saturating_sub(height).saturating_add(1)),
    }))
}

async fn get_address_balance(call: Call) -> Result<AddressBalance, ErrorObjectOwned> {
    let address = call.address(0)?;
    let mut sums = BalanceSums::default();
    let mut after = None;
    for _ in 0..BALANCE_PAGES_MAX {
        let page = UtxoPage { after, limit: ADDRESS_UTXOS_MAX };
        let found = call.node.address_utxos(address, page).await.map_err(of_node)?;
        sums.add(&found.utxos);
        after = found.utxos.last().map(AddressUtxo::outpoint);
        if found.next.is_none() || after.is_none() {
            return Ok(sums.balance(address));
        }
    }
    let hint = "page through `getaddressutxos`";
    Err(error(BAD_PARAMETER, "the address has more than a million outputs", "too_many_outputs", hint))
}

/// Saturating, since all coins that exist fit in 64 bits.
#[derive(Default)]
struct BalanceSums {
    spendable: u64,
    unconfirmed: u64,
    locked: u64,
    bound: u64,
    total: u64,
    utxo_count: usize,
}

impl BalanceSums {
    fn add(&mut self, utxos: &[AddressUtxo]) {
        for utxo in utxos {
            let units = utxo.value.units();
            let bucket = match (utxo.bound, utxo.spendable) {
                (true, _) => &mut self.bound,
                (false, true) => &mut self.spendable,
                (false, false) => &mut self.locked,
            };
            *bucket = bucket.saturating_add(units);
            if utxo.height.is_none() {
                self.unconfirmed = self.unconfirmed.saturating_add(units);
            }
            self.total = self.total.saturating_add(units);
            self.utxo_count = self.utxo_count.saturating_add(1);
        }
    }

    fn balance(&self, address: Address) -> AddressBalance {
        AddressBalance {
            address,
            spendable: Amount(self.spendable),
            spendable_time: Amount(self.spendable).to_string(),
            unconfirmed: Amount(self.unconfirmed),
            locked: Amount(self.locked),
            bound: Amount(self.bound),
            bound_time: Amount(self.bound).to_string(),
            total: Amount(self.total),
            total_time: Amount(self.total).to_string(),
            utxo_count: self.utxo_count,
        }
    }
}

fn help(call: &Call) -> Result<Vec<MethodHelp>, ErrorObjectOwned> {
    match call.optional::<String>(0)? {
        None => Ok(METHODS.iter().map(Method::help).collect()),
        Some(name) => match find(&name) {
            Some(method) => Ok(vec![method.help()]),
            None => Err(bad_parameter("method", "no such method; `help` alone lists them")),
        },
    }
}

/// Registers the whole table.
///
/// # Errors
/// When a name stands twice in it.
pub fn module(context: Context) -> Result<RpcModule<Context>, RegisterMethodError> {
    let mut module = RpcModule::new(context);
    for method in &METHODS {
        module.register_async_method(method.name, move |params, context, extensions| {
            let call = admit(method, &extensions).and_then(|caller| {
                let call = Call::new(&context, caller.waits.clone(), method.parameters, &params)?;
                Ok((caller, call))
            });
            async move {
                let (caller, call) = call?;
                caller.make(method, call).await
            }
        })?;
    }
    Ok(module)
}

/// INV-RPC-2. The HTTP layer tells of each caller; without its word nobody calls anything.
fn admit(method: &Method, extensions: &Extensions) -> Result<Caller, ErrorObjectOwned> {
    let caller = extensions.get::<Caller>();
    if let Some(caller) = caller {
        if !method.write || caller.authenticated {
            return Ok(caller.clone());
        }
        caller.refused.store(true, Ordering::Relaxed);
    }
    let message = format!("{} needs credentials", method.name);
    let hint =
        "send the content of the node's cookie file, or a configured user, by HTTP Basic authentication";
    Err(error(UNAUTHORIZED, message, "unauthorized", hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_only_these_write() {
        let mut names: Vec<_> = METHODS.iter().map(|method| method.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METHODS.len());
        let writing: Vec<_> =
            METHODS.iter().filter(|method| method.write).map(|method| method.name).collect();
        assert_eq!(writing, ["disconnectnode", "sendrawtransaction", "stop"]);
    }

    #[test]
    fn optional_parameters_follow_required_ones() {
        for method in &METHODS {
            let optional: Vec<_> = method.parameters.iter().map(|name| name.ends_with('?')).collect();
            assert!(optional.is_sorted(), "{}", method.name);
            assert!(!method.description.is_empty());
        }
        assert_eq!(find("getblock").unwrap().help().usage, "getblock hash_or_height [verbosity]");
    }

    #[test]
    fn a_balance_says_of_each_output_once_what_keeps_it_from_being_spent() {
        let utxo = |value, height, spendable, bound| AddressUtxo {
            txid: TxId([1; 32]),
            vout: 0,
            value: Amount(value),
            height,
            spendable,
            bound,
        };
        let mut sums = BalanceSums::default();
        sums.add(&[utxo(1, Some(3), true, false), utxo(10, None, true, false)]);
        sums.add(&[utxo(100, Some(3), false, false), utxo(1_000, None, false, true)]);
        let address = Address::of_key_hash(crate::types::Network::Devnet, Default::default());
        let told = sums.balance(address);
        assert_eq!((told.spendable, told.locked, told.bound), (Amount(11), Amount(100), Amount(1_000)));
        assert_eq!((told.total, told.unconfirmed, told.utxo_count), (Amount(1_111), Amount(1_010), 4));
    }
}
