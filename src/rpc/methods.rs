//! The one table of methods, and what each does.
//!
//! # Place
//! `rpc/server.rs` registers [`METHODS`]; `help` prints it; the wrapper around every method asks it who may call.
//!
//! # Invariants
//! - INV-RPC-1, INV-RPC-2 of [`crate::rpc`].
//! - INV-METHODS-1: a wait ends with its deadline, [`WAIT_MS_MAX`] at most, or when the node stops.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use jsonrpsee::core::{JsonRawValue, to_json_raw_value};
use jsonrpsee::server::RegisterMethodError;
use jsonrpsee::types::{ErrorObjectOwned, Params};
use jsonrpsee::{Extensions, RpcModule};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::api::{BlockSelector, NodeApi, UtxoPage};
use super::errors::{
    BAD_PARAMETER, BAD_PARAMETERS, INTERNAL, NOT_CONNECTED, NOT_FOUND, STARTING, UNAUTHORIZED, bad_parameter,
    error, of_node, of_submit,
};
use super::finality_proof;
use super::types::{
    AddressBalance, AddressUtxo, BlockInfo, MethodHelp, RawTransactionInfo, TransactionInfo, TxOutInfo,
    UtxoState, ValidatorsInfo, WaitTarget,
};
use crate::types::codec::{decode, encode};
use crate::types::{Address, Amount, BlockHash, MasternodeId, OutPoint, Transaction, TxId};

/// How long one call waits, at most.
pub const WAIT_MS_MAX: u64 = 60_000;
const WAIT_MS_DEFAULT: u64 = 30_000;
/// Outputs in one page of `getaddressutxos`, at most.
pub const ADDRESS_UTXOS_MAX: usize = 10_000;
const ADDRESS_UTXOS_DEFAULT: usize = 1_000;
/// Pages that `getaddressbalance` adds up, at most: a million outputs.
const BALANCE_PAGES_MAX: usize = 100;
/// Events in one page of `getfinalizedsince`, at most.
pub const FINALIZED_EVENTS_MAX: usize = 8_192;
const FINALIZED_EVENTS_DEFAULT: usize = 1_000;
/// Pieces of evidence that `listevidence` tells, at most.
pub const EVIDENCE_MAX: usize = 10_000;
const EVIDENCE_DEFAULT: usize = 100;

type Answer = Result<Box<JsonRawValue>, ErrorObjectOwned>;
type Handler = fn(Call) -> BoxFuture<'static, Answer>;

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
    handler: Handler,
}

impl Method {
    const fn read(
        name: &'static str,
        parameters: &'static [&'static str],
        description: &'static str,
        handler: Handler,
    ) -> Self {
        Self { name, parameters, write: false, description, handler }
    }

    const fn write(
        name: &'static str,
        parameters: &'static [&'static str],
        description: &'static str,
        handler: Handler,
    ) -> Self {
        Self { name, parameters, write: true, description, handler }
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
pub static METHODS: [Method; 33] = [
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
        |call| answer(get_block(call)),
    ),
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
    Method::read("getmempoolinfo", &[], "The pool of transactions", |call| {
        answer(async move { Ok(call.node.mempool_info()) })
    }),
    Method::read("masternodelist", &[], "All masternodes of the chain's state", |call| {
        answer(async move { Ok(call.node.masternodes()) })
    }),
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
    ),
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
    ),
    Method::read("getvalidators", &[], "The set that votes in the current epoch", |call| {
        answer(async move {
            let (epoch, set) = call.node.validators();
            Ok(ValidatorsInfo::of(epoch, &set))
        })
    }),
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
        |call| answer(get_raw_transaction(call)),
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
    ),
    Method::read(
        "verifyfinalityproof",
        &["proof"],
        "Checks an answer of getfinalityproof, or its \"proof\" alone, against this node's genesis document; what it proves",
        |call| {
            answer(async move {
                let given = call.required::<Value>(0)?;
                finality_proof::check(call.node, given).await
            })
        },
    ),
    Method::write("sendrawtransaction", &["hex"], "Takes a signed transaction and sends it to all", |call| {
        answer(send_raw_transaction(call))
    }),
    Method::read("getaddressbalance", &["address"], "The sums of an address's outputs", |call| {
        answer(get_address_balance(call))
    }),
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
    ),
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
        answer(async move { Ok(super::http::readiness(&*call.node)) })
    }),
    Method::read("uptime", &[], "Seconds since the node started", |call| {
        answer(async move { Ok(call.node.uptime_s()) })
    }),
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

fn answer<T: Serialize>(
    work: impl Future<Output = Result<T, ErrorObjectOwned>> + Send + 'static,
) -> BoxFuture<'static, Answer> {
    Box::pin(async move { to_json(&work.await?) })
}

fn to_json<T: Serialize>(value: &T) -> Answer {
    to_json_raw_value(value)
        .map_err(|failure| error(INTERNAL, failure.to_string(), "internal", "see the node's log"))
}

/// What the handlers share.
pub struct Context {
    /// The node.
    pub node: Arc<dyn NodeApi>,
    /// Fires when the node stops.
    pub stopping: CancellationToken,
}

/// Who calls, as the HTTP layer found out; it travels in the request's extensions.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whether the caller has given valid credentials.
    pub authenticated: bool,
    /// Set when a method was refused for the lack of them.
    pub refused: Arc<AtomicBool>,
}

/// One call of a method.
struct Call {
    node: Arc<dyn NodeApi>,
    stopping: CancellationToken,
    names: &'static [&'static str],
    /// At most as many as `names`.
    values: Vec<Value>,
}

impl Call {
    fn new(
        context: &Context,
        names: &'static [&'static str],
        params: &Params<'_>,
    ) -> Result<Self, ErrorObjectOwned> {
        let given: Value = match params.as_str() {
            Some(text) => serde_json::from_str(text).unwrap_or(Value::Null),
            None => Value::Null,
        };
        let wrong = |message: String| {
            let hint = "`timed rpc help` lists every method with its parameters";
            error(BAD_PARAMETERS, message, "bad_parameters", hint)
        };
        let values = match given {
            Value::Null => Vec::new(),
            Value::Array(values) if values.len() <= names.len() => values,
            Value::Array(values) => {
                return Err(wrong(format!("at most {} parameters, not {}", names.len(), values.len())));
            }
            Value::Object(mut named) => {
                let values: Vec<Value> = names
                    .iter()
                    .map(|name| named.remove(name.trim_end_matches('?')).unwrap_or(Value::Null))
                    .collect();
                if let Some(unknown) = named.keys().next() {
                    return Err(wrong(format!("unknown parameter {unknown:?}")));
                }
                values
            }
            _ => return Err(wrong("parameters are an array or an object".to_owned())),
        };
        Ok(Self { node: context.node.clone(), stopping: context.stopping.clone(), names, values })
    }

    fn name(&self, index: usize) -> &'static str {
        self.names.get(index).map_or("", |name| name.trim_end_matches('?'))
    }

    fn optional<T: DeserializeOwned>(&self, index: usize) -> Result<Option<T>, ErrorObjectOwned> {
        match self.values.get(index) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::deserialize(value)
                .map(Some)
                .map_err(|failure| bad_parameter(self.name(index), &failure.to_string())),
        }
    }

    fn required<T: DeserializeOwned>(&self, index: usize) -> Result<T, ErrorObjectOwned> {
        self.optional(index)?.ok_or_else(|| {
            let message = format!("parameter \"{}\" is missing", self.name(index));
            let hint = "`timed rpc help` lists every method with its parameters";
            error(BAD_PARAMETERS, message, "bad_parameters", hint)
        })
    }

    fn outpoint(&self) -> Result<OutPoint, ErrorObjectOwned> {
        Ok(OutPoint { txid: self.required(0)?, index: self.required(1)? })
    }

    fn address(&self, index: usize) -> Result<Address, ErrorObjectOwned> {
        let address: Address = self.required(index)?;
        if address.network == self.node.network() {
            return Ok(address);
        }
        let expected = format!("the address is of {}, the node of {}", address.network, self.node.network());
        Err(bad_parameter(self.name(index), &expected))
    }

    fn transaction(&self, index: usize) -> Result<Transaction, ErrorObjectOwned> {
        let text: String = self.required(index)?;
        let bytes = hex::decode(&text).map_err(|failure| {
            error(BAD_PARAMETER, format!("not hexadecimal: {failure}"), "invalid_hex", "")
        })?;
        decode(&bytes).map_err(|failure| {
            let message = format!("these bytes are no transaction: {failure}");
            let hint = "give the encoding of a transaction";
            error(BAD_PARAMETER, message, "malformed_transaction", hint)
        })
    }

    /// A number of at most `max`.
    fn bounded(&self, index: usize, default: u64, max: u64) -> Result<u64, ErrorObjectOwned> {
        let value = self.optional::<u64>(index)?.unwrap_or(default);
        if value <= max {
            return Ok(value);
        }
        Err(bad_parameter(self.name(index), &format!("at most {max}, not {value}")))
    }

    fn limit(&self, index: usize, default: usize, max: usize) -> Result<usize, ErrorObjectOwned> {
        let limit = self.optional::<usize>(index)?.unwrap_or(default);
        if (1..=max).contains(&limit) {
            return Ok(limit);
        }
        Err(bad_parameter(self.name(index), &format!("from 1 to {max}, not {limit}")))
    }

    fn utxo_page(&self) -> Result<UtxoPage, ErrorObjectOwned> {
        let limit = self.limit(1, ADDRESS_UTXOS_DEFAULT, ADDRESS_UTXOS_MAX)?;
        let after = match self.optional::<String>(2)? {
            Some(text) => Some(
                text.parse::<OutPoint>()
                    .map_err(|failure| bad_parameter(self.name(2), &failure.to_string()))?,
            ),
            None => None,
        };
        Ok(UtxoPage { after, limit })
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

async fn get_block(call: Call) -> Answer {
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
    // A block of 50,000 transactions takes tens of milliseconds to hash and describe: not on a worker of the runtime.
    tokio::task::spawn_blocking(move || match verbosity {
        0 => to_json(&hex::encode(encode(&committed))),
        _ => to_json(&BlockInfo::of(network, &committed, best, receipts.as_ref())),
    })
    .await
    .unwrap_or_else(|failure| Err(error(INTERNAL, failure.to_string(), "internal", "see the node's log")))
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

fn stopping() -> ErrorObjectOwned {
    error(STARTING, "the node is stopping", "stopping", "ask again when it runs")
}

async fn wait_for_transaction(call: Call) -> Answer {
    let txid = call.required::<TxId>(0)?;
    let target = call.optional::<WaitTarget>(1)?.unwrap_or(WaitTarget::Final);
    let timeout = Duration::from_millis(call.bounded(2, WAIT_MS_DEFAULT, WAIT_MS_MAX)?);
    tokio::select! {
        status = call.node.wait_for_transaction(txid, target, timeout) => to_json(&status.map_err(of_node)?),
        () = call.stopping.cancelled() => Err(stopping()),
    }
}

async fn get_finalized_since(call: Call) -> Answer {
    let cursor = call.optional::<u64>(0)?;
    let limit = call.limit(1, FINALIZED_EVENTS_DEFAULT, FINALIZED_EVENTS_MAX)?;
    let wait = Duration::from_millis(call.bounded(2, 0, WAIT_MS_MAX)?);
    tokio::select! {
        page = call.node.finalized_since(cursor, limit, wait) => to_json(&page),
        () = call.stopping.cancelled() => Err(stopping()),
    }
}

async fn send_raw_transaction(call: Call) -> Result<TxId, ErrorObjectOwned> {
    let transaction = call.transaction(0)?;
    call.node.submit_transaction(transaction).await.map_err(|refusal| of_submit(&refusal))
}

async fn get_raw_transaction(call: Call) -> Answer {
    let txid = call.required::<TxId>(0)?;
    let verbosity = call.bounded(1, 0, 1)?;
    let found = call.node.transaction(txid).await.map_err(of_node)?;
    let (transaction, height) = found.ok_or_else(|| {
        let hint = "this node has no such transaction in its pool or its blocks; `gettransactionstatus` tells what it knows";
        error(NOT_FOUND, "transaction not found", "transaction_not_found", hint)
    })?;
    let hex = hex::encode(encode(&*transaction));
    if verbosity == 0 {
        return to_json(&hex);
    }
    let receipts = match height {
        Some(_) => call.node.receipts(vec![txid]).await.map_err(of_node)?,
        None => BTreeMap::new(),
    };
    let (best, _) = call.node.best_block();
    to_json(&RawTransactionInfo {
        transaction: TransactionInfo::of(call.node.network(), &transaction, receipts.get(&txid)),
        hex,
        height,
        confirmations: height.map_or(0, |height| best.saturating_sub(height).saturating_add(1)),
    })
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
            let call =
                admit(method, &extensions).and_then(|()| Call::new(&context, method.parameters, &params));
            async move { (method.handler)(call?).await }
        })?;
    }
    Ok(module)
}

/// INV-RPC-2: without a [`Caller`] nobody is authenticated.
fn admit(method: &Method, extensions: &Extensions) -> Result<(), ErrorObjectOwned> {
    let caller = extensions.get::<Caller>();
    if !method.write || caller.is_some_and(|caller| caller.authenticated) {
        return Ok(());
    }
    if let Some(caller) = caller {
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
}
