//! The one table of methods, and what each does.
//!
//! # Place
//! `rpc/server.rs` registers [`METHODS`]; `help` prints it; the wrapper around every method asks it who may call.
//!
//! Handlers stand by what they are about: `chain.rs`, `transactions.rs`, `pool.rs`, `addresses.rs`, `peers.rs`, `operator.rs`.
//! A row that may have a large answer says `large()`, one that waits for something takes its place by `Call::wait`. To add a
//! method, see the head of [`crate::rpc`].
//!
//! # Invariants
//! - INV-RPC-1, INV-RPC-2 of [`crate::rpc`].

mod addresses;
mod chain;
mod operator;
mod peers;
pub(super) mod pool;
pub(super) mod transactions;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures::future::BoxFuture;
use jsonrpsee::server::RegisterMethodError;
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::{Extensions, RpcModule};
use serde::Serialize;
use serde_json::Value;

use super::answers::{Answer, AnswerRoom, Reply, reply, too_large};
use super::call::Call;
use super::discover::{self, Described};
use super::errors::{BUSY, INTERNAL, NOT_FOUND, UNAUTHORIZED, UNKNOWN_METHOD, bad_parameter, error, of_node};
use super::finality_proof;
use super::places::RequestWaits;
use super::receipt;
use super::types::{MethodHelp, ResourceInfo, TransactionInfo, ValidatorsInfo};
use crate::runtime::config::RpcRole;
use crate::runtime::nearest::suggestion;
use crate::types::{Checkpoint, MasternodeId, TxId};

pub use super::call::Context;
use super::limits::EVIDENCE_MAX;
pub use super::limits::{ADDRESS_UTXOS_MAX, FINALIZED_EVENTS_MAX, WAIT_MS_MAX};

const EVIDENCE_DEFAULT: usize = 100;
/// Minutes that `getvotelatency` tells of, at most: those that the node remembers.
pub const LATENCY_MINUTES_MAX: usize = 10;

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
    /// The role that they need then.
    pub role: RpcRole,
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
        Self {
            name,
            parameters,
            write: false,
            role: RpcRole::Read,
            description,
            cost: COST,
            large: false,
            handler,
        }
    }

    const fn write(
        name: &'static str,
        parameters: &'static [&'static str],
        description: &'static str,
        handler: Handler,
    ) -> Self {
        Self {
            name,
            parameters,
            write: true,
            role: RpcRole::Admin,
            description,
            cost: COST,
            large: false,
            handler,
        }
    }

    const fn large(self) -> Self {
        Self { cost: COST_LARGE, large: true, ..self }
    }

    /// What a shop needs that is trusted with nothing else.
    const fn of_wallets(self) -> Self {
        Self { role: RpcRole::Wallet, ..self }
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
pub static METHODS: [Method; 63] = [
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
        answer(chain::get_block_hash(call))
    }),
    Method::read(
        "getblock",
        &["hash_or_height", "verbosity?"],
        "A block: 0 its bytes with the commit in hexadecimal, 1 with txids (default), 2 with transactions",
        |call| Box::pin(chain::get_block(call)),
    ).large(),
    Method::read(
        "getblockheader",
        &["hash_or_height", "verbose?"],
        "A block's header: its fields (default), or its bytes in hexadecimal",
        |call| Box::pin(chain::get_block_header(call)),
    ).large(),
    Method::read(
        "getcommit",
        &["hash_or_height"],
        "The precommits that committed a block: who signed, and the signatures",
        |call| answer(chain::get_commit(call)),
    ).large(),
    Method::read(
        "waitfornewblock",
        &["timeout_ms?"],
        "Waits for the next block, 30 s by default, 60 s at most; answers with the tip",
        |call| answer(chain::wait_for_new_block(call)),
    ),
    Method::read(
        "waitforblockheight",
        &["height", "timeout_ms?"],
        "Waits until the chain has this height, 30 s by default, 60 s at most; answers with the tip",
        |call| answer(chain::wait_for_block_height(call)),
    ),
    Method::read("getpeerinfo", &[], "Connected peers", |call| answer(async move { Ok(call.node.peers()) })),
    Method::write(
        "disconnectnode",
        &["peer"],
        "Ends the connection to a peer, by its \"addr\" or \"node_id\" of getpeerinfo; it may connect again",
        |call| answer(async move { peers::disconnect_node(&call) }),
    ),
    Method::write(
        "addnode",
        &["address", "command?"],
        "\"add\" (default) dials a peer at host:port, again and again until the node stops or \"remove\"; \"onetry\" dials once",
        |call| answer(async move { peers::add_node(&call) }),
    ),
    Method::write(
        "setban",
        &["subject", "command", "seconds?"],
        "\"add\" or \"remove\": bans an address, a group such as 192.0.2.0/24 or a node_id, for a day by default",
        |call| answer(async move { peers::set_ban(&call) }),
    ),
    Method::read("listbanned", &[], "Who is banned, and for how long", |call| {
        answer(async move { Ok(peers::list_banned(&call)) })
    }).large(),
    Method::write("clearbanned", &[], "Lifts all bans", |call| {
        answer(async move {
            peers::clear_banned(&call);
            Ok(())
        })
    }),
    Method::write(
        "setnetworkactive",
        &["state"],
        "On a devnet: false ends all connections to peers and begins none until true; answers with the state",
        |call| answer(async move { peers::set_network_active(&call) }),
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
    Method::read(
        "getrawmempool",
        &["verbose?"],
        "The transactions of the pool, in the order of acceptance: their txids (default), or what getmempoolentry tells",
        |call| Box::pin(pool::get_raw_mempool(call)),
    ).large(),
    Method::read("getmempoolentry", &["txid"], "A transaction of the pool", |call| {
        answer(async move { pool::get_mempool_entry(&call) })
    }),
    Method::read(
        "estimatesmartfee",
        &["conf_target?", "estimate_mode?"],
        "What a transaction pays for each started 1,000 bytes to be taken now; more makes nothing faster",
        |call| answer(async move { pool::estimate_smart_fee(&call) }),
    ),
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
        "getvotelatency",
        &["minutes?"],
        "How late each masternode's votes came here in the last minutes, 10 by default and at most, and how many are missing",
        |call| {
            answer(async move {
                let minutes = call.limit(0, LATENCY_MINUTES_MAX, LATENCY_MINUTES_MAX)?;
                Ok(call.node.vote_latency(minutes.try_into().unwrap_or(1)))
            })
        },
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
    Method::read(
        "gettxout",
        &["txid", "vout", "include_mempool?"],
        "An output that is not spent, or null; with false as \"include_mempool\" only one that a block has made",
        |call| answer(chain::get_tx_out(call)),
    ),
    Method::read("gettxoutsetinfo", &[], "How many outputs are unspent, and the digest of the state", |call| {
        answer(async move { call.node.output_set().await.map_err(of_node) })
    }),
    Method::read("getindexinfo", &[], "How far the index of outputs, transactions and addresses is", |call| {
        answer(async move { call.node.index_info().await.map_err(of_node) })
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
        "A transaction of the pool or the chain: 0 or false its bytes in hexadecimal (default), 1 or true decoded, with its block and receipt, its fee, and what its inputs were worth and whose",
        |call| Box::pin(transactions::get_raw_transaction(call)),
    )
    // A block is read for it, and what it spent.
    .large(),
    Method::read(
        "decoderawtransaction",
        &["hex"],
        "Decodes a transaction without checking or sending it",
        |call| {
            answer(async move {
                let transaction = call.transaction(0)?;
                Ok(TransactionInfo::of(call.node.network(), &transaction, None, &[]))
            })
        },
    ),
    Method::read(
        "waitfortransaction",
        &["txid", "target?", "timeout_ms?"],
        "Waits until a transaction is \"certified\", \"final\" (default) or \"confirmed\", 30 s by default, 60 s at most, also for one that is not known yet; answers with how far it came, at once if it lost its coin",
        |call| answer(transactions::wait_for_transaction(call)),
    ),
    Method::read(
        "getfinalityproof",
        &["txid", "trusted?"],
        "A proof that a transaction is final, which anybody can check with the genesis document alone, or from a block that is trusted, \"HEIGHT:HASH\": `timed verify-proof`",
        |call| {
            answer(async move {
                let txid = call.required::<TxId>(0)?;
                let trusted = call.optional::<Checkpoint>(1)?;
                finality_proof::get(call.node, txid, trusted).await
            })
        },
    ).large(),
    Method::read(
        "getreceipt",
        &["txid", "trusted?"],
        "A receipt of a final payment: who got how much, with which memo, and the proof of getfinalityproof; `timed verify-receipt` checks it",
        |call| {
            answer(async move {
                let txid = call.required::<TxId>(0)?;
                let trusted = call.optional::<Checkpoint>(1)?;
                receipt::get_receipt(call.node, txid, trusted).await
            })
        },
    ).large(),
    Method::read(
        "verifyfinalityproof",
        &["proof", "trusted?"],
        "Checks an answer of getfinalityproof, or its \"proof\" alone, against this node's genesis document, or from a block that is trusted; what it proves. `timed verify-proof` takes those above 1 MiB too",
        |call| {
            answer(async move {
                let given = call.required::<Value>(0)?;
                let trusted = call.optional::<Checkpoint>(1)?;
                finality_proof::check(call.node, given, trusted).await
            })
        },
    ).large(),
    Method::read(
        "explaintransaction",
        &["txid"],
        "What a transaction waits for: who voted, who did not, what it conflicts with, in sentences and figures",
        |call| {
            answer(async move {
                let txid = call.required::<TxId>(0)?;
                call.node.explain(txid).await.map_err(of_node)
            })
        },
    ).large(),
    Method::read(
        "createrawtransaction",
        &["inputs", "outputs", "memo?"],
        "An unsigned transaction of [{\"txid\", \"vout\"}] and [{address: amount}], in base units or as \"1.5\" TIME; the memo in hexadecimal",
        |call| answer(transactions::create_raw_transaction(call)),
    ),
    Method::read(
        "testmempoolaccept",
        &["rawtxs", "max_fee?"],
        "Whether transactions would be taken now, each by itself; takes an array of at most 25, sends nothing",
        |call| answer(transactions::test_mempool_accept(call)),
    ).large(),
    Method::write(
        "sendrawtransaction",
        &["hex", "max_fee?"],
        "Takes a signed transaction and sends it to all; refuses a fee above 1 TIME, or above \"max_fee\" in base units or as \"1.5\" TIME, where 0 is no bound",
        |call| answer(transactions::send_raw_transaction(call)),
    ).of_wallets(),
    Method::read(
        "faucet",
        &["address", "amount?"],
        "On a devnet: pays an address, 100 TIME by default, 10,000 at most; in base units or as \"1.5\" TIME",
        |call| answer(transactions::faucet(call)),
    ).large(),
    Method::read("validateaddress", &["address"], "Whether a text is an address of this network", |call| {
        answer(async move { addresses::validate_address(&call) })
    }),
    Method::read("getaddressbalance", &["address"], "The sums of an address's outputs", |call| {
        answer(addresses::get_address_balance(call))
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
        "getaddresshistory",
        &["address", "limit?", "before?"],
        "What transactions did to an address, the newest first, those that no block has included: 100 by default, 1,000 at most; \"before\" is the \"next\" of the page before",
        |call| answer(addresses::get_address_history(call)),
    ).large(),
    Method::read(
        "getfinalizedsince",
        &["cursor?", "limit?", "wait_ms?"],
        "Final transactions from a cursor on, waiting for the first; without a cursor where the next will be. A cursor outlives restarts; \"HEIGHT+0\" begins with a block, -20 with the last 20",
        |call| answer(transactions::get_finalized_since(call)),
    ),
    Method::read(
        "subscribe",
        &["topic", "about?", "cursor?"],
        "By WebSocket at /ws: tells of \"blocks\", \"finalized\", \"transaction\" (about a txid), \"address\" (about an address), \"mempool\", \"consensus\" or \"doublespend\", from a cursor on",
        |call| answer(async move { Err::<(), _>(transactions::subscribe(&call)) }),
    ),
    Method::read(
        "unsubscribe",
        &["subscription"],
        "By WebSocket at /ws: ends a subscription",
        |call| answer(async move { Err::<(), _>(transactions::subscribe(&call)) }),
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
    Method::read(
        "getmemoryinfo",
        &[],
        "What the node's process takes of the machine's memory, and what its parts may take at most",
        |call| answer(async move { Ok(call.node.memory_info()) }),
    ),
    Method::read(
        "getdiskinfo",
        &[],
        "What the data directory takes, how fast the block log grows by its last 1,000 blocks, and when the disk is full at that pace",
        |call| answer(async move { call.node.disk_info().await.map_err(of_node) }),
    ).large(),
    Method::write(
        "logging",
        &["level?"],
        "What is logged, as [logging] level; with one, logs by it until a restart or SIGHUP",
        |call| answer(async move { operator::logging(&call) }),
    ),
    Method::write("stop", &[], "Stops the node in good order", |call| {
        answer(async move {
            call.node.stop();
            Ok("timed is stopping")
        })
    }),
    Method::read("rpc.discover", &[], "All methods as an OpenRPC document, with the shapes of their answers", |call| {
        answer(async move { Ok(openrpc(Some(call.listens))) })
    }).large(),
    Method::read("help", &["method?"], "Lists the methods, or explains one", |call| {
        answer(async move { help(&call) })
    }),
];

/// All methods as an OpenRPC document, of a server that listens there; without one, of a devnet's first node.
#[must_use]
pub fn openrpc(listens: Option<SocketAddr>) -> Value {
    let described = |method: &Method| Described {
        name: method.name,
        parameters: method.parameters,
        write: method.write,
        large: method.large,
        description: method.description,
    };
    discover::document(METHODS.iter().map(described), listens)
}

/// The table's entry of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

fn answer<T: Serialize + Send + 'static>(
    work: impl Future<Output = Result<T, ErrorObjectOwned>> + Send + 'static,
) -> BoxFuture<'static, Result<Reply, ErrorObjectOwned>> {
    Box::pin(async move { Ok(reply(work.await?)) })
}

/// Who calls, as the HTTP layer found out; it travels in the request's extensions.
#[derive(Clone)]
pub struct Caller {
    /// What the caller may do by its credentials; none if it has given none.
    pub role: Option<RpcRole>,
    /// Whether the call came by WebSocket.
    pub by_websocket: bool,
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

/// A method that is not in the table, with the nearest one that is.
#[must_use]
pub fn unknown_method(name: &str) -> ErrorObjectOwned {
    let known = METHODS.iter().map(|method| method.name);
    let hint = match suggestion(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`help` lists every method".to_owned(),
    };
    error(UNKNOWN_METHOD, format!("no method {name:?}"), "unknown_method", &hint)
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
                let way = (caller.waits.clone(), caller.by_websocket);
                let call = Call::new(&context, way, method.parameters, &params)?;
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
pub(super) fn admit(method: &Method, extensions: &Extensions) -> Result<Caller, ErrorObjectOwned> {
    let caller = extensions.get::<Caller>();
    if let Some(caller) = caller {
        if !method.write || caller.role.is_some_and(|role| role >= method.role) {
            return Ok(caller.clone());
        }
        if let Some(role) = caller.role {
            let (needed, own) = (method.role.name(), role.name());
            let message =
                format!("{} needs the role {needed}, and this user has the role {own}", method.name);
            let hint = "ask as another user; roles stand in [rpc] users of the node's configuration";
            return Err(error(UNAUTHORIZED, message, "role_too_low", hint));
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
        assert_eq!(
            writing,
            [
                "disconnectnode",
                "addnode",
                "setban",
                "clearbanned",
                "setnetworkactive",
                "sendrawtransaction",
                "logging",
                "stop"
            ]
        );
        let of_wallets: Vec<_> = METHODS
            .iter()
            .filter(|method| method.role == RpcRole::Wallet)
            .map(|method| method.name)
            .collect();
        assert_eq!(of_wallets, ["sendrawtransaction"]);
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
