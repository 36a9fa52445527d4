//! The table of methods as an OpenRPC document: `rpc.discover`, for programs that write clients and pages.
//!
//! # Place
//! Names, parameters and descriptions come from [`METHODS`](super::methods::METHODS), the shapes of answers from the types that the server writes.
//! What is added here is the kind of each parameter, a sample of each call, and in `discover/codes.rs` how it can fail.
//!
//! # Invariants
//! - INV-DISCOVER-1: every method has a sample; the tests make each of these calls, and hold the answer to its schema.
//! - INV-DISCOVER-2: a method gives no error whose code the document does not list for it.

mod codes;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};

use super::events::Topic;
use super::finality_proof::{FinalityProofInfo, ProvedInfo};
use super::limits::{
    ADDRESS_HISTORY_MAX, ADDRESS_UTXOS_MAX, BAN_S_MAX, CONF_TARGET_MAX, EVIDENCE_MAX, FINALIZED_EVENTS_MAX,
};
use super::methods::pool::ESTIMATE_MODES;
use super::receipt::PaymentReceipt;
use super::types::{
    AcceptanceInfo, AddressBalance, AddressHistory, AddressInfo, AddressUtxos, BanInfo, BlockInfo, BlockTip,
    BlockchainInfo, CommitInfo, ConsensusInfo, DiskInfo, ErrorData, EventPage, ExplainInfo, FeeEstimate,
    GenesisInfo, HeaderInfo, HeartbeatInfo, IndexInfo, LogInfo, MasternodeInfo, MemoryInfo, MempoolEntry,
    MempoolInfo, MethodHelp, NetTotals, NetworkInfo, NodeStatus, OutputSetInfo, PeerInfo, PunishedInfo,
    RawTransactionInfo, Readiness, ResourceInfo, TransactionInfo, TransactionStatusInfo, TxOutInfo,
    UtxoStateInfo, ValidatorsInfo, VoteLatencyInfo,
};
use crate::types::codec::encode;
use crate::types::{Amount, BlockHash, Height, KeyHash, Lock, OutPoint, Transaction, TxId, TxOut};

/// A method of the table.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// Its parameters in their order; a `?` at the end marks optional ones.
    pub parameters: &'static [&'static str],
    /// Whether it needs credentials.
    pub write: bool,
    /// Whether its answer may be large, so that it takes turns.
    pub large: bool,
    /// What it does, in a line.
    pub description: &'static str,
}

/// The version of OpenRPC that the document follows.
const OPENRPC: &str = "1.4.0";

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// One of two shapes, as a parameter decides.
fn either<A: JsonSchema, B: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let shapes = [of::<A>(generator), of::<B>(generator)];
    json_schema!({ "anyOf": shapes })
}

/// The shape of a method's answer; `None` for one that is not known here.
fn answer(method: &str, generator: &mut SchemaGenerator) -> Option<Schema> {
    let shape = match method {
        "getblockchaininfo" => of::<BlockchainInfo>,
        "getgenesis" => of::<Option<GenesisInfo>>,
        "getblockcount" => of::<Height>,
        "getbestblockhash" | "getblockhash" => of::<BlockHash>,
        "getblock" => either::<BlockInfo, String>,
        "getblockheader" => either::<HeaderInfo, String>,
        "getcommit" => of::<CommitInfo>,
        "waitfornewblock" | "waitforblockheight" => of::<BlockTip>,
        "getpeerinfo" => of::<Vec<PeerInfo>>,
        "disconnectnode" | "addnode" | "setban" | "clearbanned" => of::<()>,
        "setnetworkactive" => of::<bool>,
        "listbanned" => of::<Vec<BanInfo>>,
        "getnetworkinfo" => of::<NetworkInfo>,
        "getnettotals" => of::<NetTotals>,
        "getmempoolinfo" => of::<MempoolInfo>,
        "getrawmempool" => either::<Vec<TxId>, std::collections::BTreeMap<String, MempoolEntry>>,
        "getmempoolentry" => of::<MempoolEntry>,
        "estimatesmartfee" => of::<FeeEstimate>,
        "masternodelist" => of::<Vec<MasternodeInfo>>,
        "getmasternode" => of::<MasternodeInfo>,
        "getheartbeats" => of::<Vec<HeartbeatInfo>>,
        "getvotelatency" => of::<VoteLatencyInfo>,
        "listevidence" => of::<Vec<PunishedInfo>>,
        "getvalidators" => of::<ValidatorsInfo>,
        "getutxostate" => of::<UtxoStateInfo>,
        "gettxout" => of::<Option<TxOutInfo>>,
        "gettxoutsetinfo" => of::<OutputSetInfo>,
        "getindexinfo" => of::<IndexInfo>,
        "gettransactionstatus" | "waitfortransaction" => of::<TransactionStatusInfo>,
        "getrawtransaction" => either::<RawTransactionInfo, String>,
        "decoderawtransaction" => of::<TransactionInfo>,
        "getfinalityproof" => of::<FinalityProofInfo>,
        "getreceipt" => of::<PaymentReceipt>,
        "verifyfinalityproof" => of::<ProvedInfo>,
        "explaintransaction" => of::<ExplainInfo>,
        "createrawtransaction" | "stop" => of::<String>,
        "testmempoolaccept" => of::<Vec<AcceptanceInfo>>,
        "sendrawtransaction" | "faucet" => of::<TxId>,
        "validateaddress" => of::<AddressInfo>,
        "getaddressbalance" => of::<AddressBalance>,
        "getaddressutxos" => of::<AddressUtxos>,
        "getaddresshistory" => of::<AddressHistory>,
        "getfinalizedsince" => of::<EventPage>,
        "subscribe" | "uptime" => of::<u64>,
        "unsubscribe" => of::<bool>,
        "getnodestatus" => of::<NodeStatus>,
        "getconsensusinfo" => of::<ConsensusInfo>,
        "getreadiness" => of::<Readiness>,
        "getresourceinfo" => of::<ResourceInfo>,
        "getmemoryinfo" => of::<MemoryInfo>,
        "getdiskinfo" => of::<DiskInfo>,
        "logging" => of::<LogInfo>,
        "help" => of::<Vec<MethodHelp>>,
        "rpc.discover" => |_: &mut SchemaGenerator| json_schema!({ "type": "object" }),
        _ => return None,
    };
    Some(shape(generator))
}

const HASH: &str = "^[0-9a-fA-F]{64}$";

/// What a method's parameter is; `None` for a name that is not known here.
fn parameter(method: &str, name: &str) -> Option<Value> {
    Some(match name {
        "address" if method == "addnode" => {
            json!({ "type": "string", "description": "host:port, such as 192.0.2.1:24100" })
        }
        "txid" | "id" => json!({ "type": "string", "pattern": HASH }),
        "vout" => {
            json!({ "type": "integer", "minimum": 0, "description": "place among the outputs, from 0" })
        }
        "address" => json!({ "type": "string", "description": "an address of this network" }),
        "amount" => json!({ "type": ["integer", "string"], "description": "base units, or \"1.5\" TIME" }),
        "max_fee" => json!({
            "type": ["integer", "string"],
            "description": "the largest fee to pay, in base units or as \"1.5\" TIME: 1 TIME by default, 0 for no bound",
        }),
        "height" => json!({ "type": "integer", "minimum": 0 }),
        "hash_or_height" => json!({ "anyOf": [
            { "type": "string", "pattern": HASH }, { "type": "integer", "minimum": 1 },
        ] }),
        "verbosity" => {
            let maximum = if method == "getrawtransaction" { 1 } else { 2 };
            json!({ "type": ["integer", "boolean"], "minimum": 0, "maximum": maximum })
        }
        "verbose" | "state" => json!({ "type": "boolean" }),
        "timeout_ms" | "wait_ms" => json!({ "type": "integer", "minimum": 0, "maximum": 60_000 }),
        "minutes" => json!({ "type": "integer", "minimum": 1, "maximum": 10 }),
        "limit" | "count" => {
            let maximum = match method {
                "getaddressutxos" => ADDRESS_UTXOS_MAX,
                "getaddresshistory" => ADDRESS_HISTORY_MAX,
                "getfinalizedsince" => FINALIZED_EVENTS_MAX,
                "listevidence" => EVIDENCE_MAX,
                _ => return None,
            };
            json!({ "type": "integer", "minimum": 1, "maximum": maximum })
        }
        "conf_target" => {
            let says = "for the sake of others' clients; changes nothing";
            json!({ "type": "integer", "minimum": 1, "maximum": CONF_TARGET_MAX, "description": says })
        }
        "estimate_mode" => {
            json!({ "enum": ESTIMATE_MODES, "description": "for the sake of others' clients; changes nothing" })
        }
        "include_mempool" => {
            let says = "false for what blocks have made alone; true by default";
            json!({ "type": "boolean", "description": says })
        }
        "hex" | "memo" => json!({ "type": "string", "pattern": "^([0-9a-fA-F]{2})*$" }),
        "rawtxs" => json!({ "type": "array", "maxItems": 25, "items": { "type": "string" } }),
        "cursor" => json!({
            "type": ["string", "integer", "null"],
            "description": "the next_cursor of an answer before; \"HEIGHT+0\" begins with a block, -20 with the last 20 events",
        }),
        "before" | "after" => json!({ "type": "string", "description": "the \"next\" of the page before" }),
        "target" => json!({ "enum": ["certified", "final", "confirmed"] }),
        "topic" => json!({ "enum": Topic::NAMES.map(|(name, _)| name) }),
        "about" => {
            json!({ "type": ["string", "null"], "description": "a txid or an address, as the topic needs it" })
        }
        "subscription" => json!({ "type": "integer", "minimum": 1 }),
        "trusted" => json!({
            "type": "string", "pattern": "^[0-9]+:[0-9a-fA-F]{64}$",
            "description": "a block as HEIGHT:HASH that the verifier knows to be of the chain",
        }),
        "proof" => json!({ "description": "an answer of getfinalityproof, or its \"proof\" alone" }),
        "inputs" => json!({ "type": "array", "items": {
            "type": "object", "required": ["txid", "vout"],
            "properties": { "txid": { "type": "string" }, "vout": { "type": "integer" } },
        } }),
        "outputs" => json!({ "type": "array", "items": {
            "type": "object", "description": "{address: amount}, in base units or as \"1.5\" TIME",
        } }),
        "peer" => json!({ "type": "string", "description": "\"addr\" or \"node_id\" of getpeerinfo" }),
        "subject" => {
            json!({ "type": "string", "description": "an address, a group such as 192.0.2.0/24, or a node_id" })
        }
        "command" if method == "addnode" => json!({ "enum": ["add", "remove", "onetry"] }),
        "command" => json!({ "enum": ["add", "remove"] }),
        "seconds" => {
            json!({ "type": "integer", "minimum": 0, "maximum": BAN_S_MAX, "description": "0 for a day" })
        }
        "method" => json!({ "type": "string" }),
        "level" => {
            json!({ "type": "string", "description": "as [logging] level: a level, and levels of single modules" })
        }
        _ => return None,
    })
}

/// Parameters of a call that a new node could be asked; `None` for a method that is not known here.
#[must_use]
pub fn sample(method: &str) -> Option<Value> {
    const TXID: &str = "0707070707070707070707070707070707070707070707070707070707070707";
    const ADDRESS: &str = "dtime1qpr2cnf6pe7wgx85jc3l5yymduulgy0vmcj0xsvqrdedsyza8m9k2qp7zd6";
    let transaction = || {
        let coin = OutPoint { txid: TxId([7; 32]), index: 0 };
        let output = TxOut { value: Amount(5), lock: Lock::KeyHash(KeyHash([1; 32])) };
        hex::encode(encode(&Transaction::transfer(vec![coin], vec![output], b"a sample".to_vec())))
    };
    Some(match method {
        "getblockchaininfo" | "getgenesis" | "getblockcount" | "getbestblockhash" | "getpeerinfo"
        | "listbanned" | "clearbanned" | "getnetworkinfo" | "getnettotals" | "getmempoolinfo"
        | "getrawmempool" | "estimatesmartfee" | "masternodelist" | "getheartbeats" | "getvotelatency"
        | "listevidence" | "getvalidators" | "gettxoutsetinfo" | "getindexinfo" | "getfinalizedsince"
        | "getnodestatus" | "getconsensusinfo" | "getreadiness" | "uptime" | "getresourceinfo"
        | "getmemoryinfo" | "getdiskinfo" | "stop" | "help" | "logging" | "rpc.discover" => {
            json!([])
        }
        "getblockhash" | "getblock" | "getblockheader" | "getcommit" | "waitforblockheight" => json!([1]),
        "waitfornewblock" => json!([1]),
        "disconnectnode" | "addnode" => json!(["192.0.2.1:24100"]),
        "setnetworkactive" => json!([true]),
        "setban" => json!(["192.0.2.7", "add", 3_600]),
        "getmasternode" => json!(["0000000000000000000000000000000000000000000000000000000000000000"]),
        "getutxostate" | "gettxout" => json!([TXID, 0]),
        "getmempoolentry"
        | "gettransactionstatus"
        | "waitfortransaction"
        | "getrawtransaction"
        | "getfinalityproof"
        | "getreceipt"
        | "explaintransaction" => json!([TXID]),
        "decoderawtransaction" | "sendrawtransaction" => json!([transaction()]),
        "testmempoolaccept" => json!([[transaction()]]),
        "verifyfinalityproof" => json!(["AA=="]),
        "createrawtransaction" => json!([[{ "txid": TXID, "vout": 0 }], [{ ADDRESS: "1.5" }]]),
        "validateaddress" | "getaddressbalance" | "getaddressutxos" | "getaddresshistory" => json!([ADDRESS]),
        "faucet" => json!([ADDRESS, "5"]),
        "subscribe" => json!(["address", ADDRESS]),
        "unsubscribe" => json!([1]),
        _ => return None,
    })
}

fn described(method: &Described, generator: &mut SchemaGenerator) -> Value {
    let required = |name: &&str| !name.ends_with('?');
    let parameters: Vec<Value> = method
        .parameters
        .iter()
        .map(|given| {
            let name = given.trim_end_matches('?');
            let schema = parameter(method.name, name).unwrap_or_else(|| json!({}));
            json!({ "name": name, "required": required(given), "schema": schema })
        })
        .collect();
    let shape = answer(method.name, generator).unwrap_or_else(|| json_schema!({}));
    let given = sample(method.name).unwrap_or_else(|| json!([]));
    let given = given.as_array().into_iter().flatten().zip(method.parameters);
    let given: Vec<Value> =
        given.map(|(value, name)| json!({ "name": name.trim_end_matches('?'), "value": value })).collect();
    json!({
        "name": method.name,
        "summary": method.description,
        "paramStructure": "either",
        "params": parameters,
        "result": { "name": "result", "schema": shape },
        "errors": codes::listed(method),
        "examples": [{ "name": "a call", "params": given }],
        "x-needs-credentials": method.write,
    })
}

/// Where a devnet's first node listens unless it is told otherwise.
const DEVNET_ADDRESS: &str = "127.0.0.1:24201";

/// The address to ask at: a server that listens at all of them is asked at this machine's own.
fn asked_at(listens: Option<SocketAddr>) -> String {
    let Some(address) = listens else { return DEVNET_ADDRESS.to_owned() };
    let ip = match address {
        SocketAddr::V4(address) if address.ip().is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(address) if address.ip().is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address.ip(),
    };
    SocketAddr::new(ip, address.port()).to_string()
}

/// The whole document of these methods, of a server that listens there; without one, of a devnet's first node.
#[must_use]
pub fn document(methods: impl Iterator<Item = Described>, listens: Option<SocketAddr>) -> Value {
    let address = asked_at(listens);
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
    });
    let mut generator = settings.into_generator();
    let mut methods: Vec<Value> = methods.map(|method| described(&method, &mut generator)).collect();
    let data = generator.subschema_for::<ErrorData>();
    for error in methods.iter_mut().filter_map(|method| method["errors"].as_array_mut()).flatten() {
        error["data"] = json!(data);
    }
    let schemas: Map<String, Value> = generator.take_definitions(true).into_iter().collect();
    json!({
        "openrpc": OPENRPC,
        "info": {
            "title": "timed",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "JSON-RPC 2.0 of a TIME Coin node: POST /, and WebSocket /ws, where `subscribe` tells what happens. \
                Amounts are base units; texts named ..._time are TIME. Every error has data.reason, which is stable, and data.hint. \
                A request can be refused as a whole, too, with the id null: -32700 and -32600 for what is no request, -32010 for a \
                batch that is too long, -32001 for wrong credentials, -32005 when the node has too much to do.",
            "license": { "name": "MIT" },
        },
        "servers": [
            { "name": "HTTP", "url": format!("http://{address}/") },
            { "name": "WebSocket", "url": format!("ws://{address}/ws") },
        ],
        "methods": methods,
        "components": { "schemas": schemas },
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rpc::methods::{METHODS, openrpc};

    /// Whether a value is what a schema of the document says; the part of JSON Schema that schemars writes here.
    pub(in super::super) fn hold(value: &Value, schema: &Value, document: &Value) -> Result<(), String> {
        let Value::Object(rules) = schema else { return Ok(()) };
        if let Some(reference) = rules.get("$ref").and_then(Value::as_str) {
            let path = reference.trim_start_matches('#');
            let target = document.pointer(path).ok_or_else(|| format!("{reference} leads nowhere"))?;
            return hold(value, target, document);
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(Value::Array(shapes)) = rules.get(key)
                && !shapes.iter().any(|shape| hold(value, shape, document).is_ok())
            {
                return Err(format!("{value} is none of {key}"));
            }
        }
        for shape in rules.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            hold(value, shape, document)?;
        }
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let is_kind = |name: &Value| name == kind || (name == "number" && kind == "integer");
        match rules.get("type") {
            Some(Value::Array(kinds)) if !kinds.iter().any(is_kind) => {
                return Err(format!("{value} is a {kind}"));
            }
            Some(name @ Value::String(_)) if !is_kind(name) => return Err(format!("{value} is a {kind}")),
            _ => {}
        }
        if let Some(Value::Array(values)) = rules.get("enum")
            && !values.contains(value)
        {
            return Err(format!("{value} is none of {values:?}"));
        }
        if let Some(only) = rules.get("const")
            && only != value
        {
            return Err(format!("{value} is not {only}"));
        }
        for name in rules.get("required").and_then(Value::as_array).into_iter().flatten() {
            if value.is_object() && value.get(name.as_str().unwrap_or("")).is_none() {
                return Err(format!("{name} is missing in {value}"));
            }
        }
        let properties = rules.get("properties").and_then(Value::as_object);
        for (name, inner) in value.as_object().into_iter().flatten() {
            match properties.and_then(|properties| properties.get(name)) {
                Some(schema) => {
                    hold(inner, schema, document).map_err(|problem| format!("{name}: {problem}"))?
                }
                None => {
                    if let Some(schema) = rules.get("additionalProperties") {
                        hold(inner, schema, document)?;
                    }
                }
            }
        }
        if let (Value::Array(values), Some(items)) = (value, rules.get("items")) {
            for inner in values {
                hold(inner, items, document)?;
            }
        }
        Ok(())
    }

    /// Whether the document lists a code for a method; INV-DISCOVER-2.
    pub(in super::super) fn is_listed(method: &str, code: &Value) -> bool {
        let methods = openrpc(None)["methods"].take();
        let listed = methods.as_array().unwrap().iter().find(|listed| listed["name"] == method);
        listed.is_some_and(|listed| listed["errors"].as_array().unwrap().iter().any(|e| e["code"] == *code))
    }

    /// The codes that are a method's own.
    pub(in super::super) fn own_codes(method: &str) -> &'static [i32] {
        codes::own(method).unwrap_or_else(|| panic!("{method} has no list of codes"))
    }

    #[test]
    fn the_document_names_the_address_that_the_server_has() {
        for (listens, url) in [
            (None, "http://127.0.0.1:24201/"),
            (Some("192.0.2.7:8080"), "http://192.0.2.7:8080/"),
            (Some("0.0.0.0:8080"), "http://127.0.0.1:8080/"),
            (Some("[::]:8080"), "http://[::1]:8080/"),
        ] {
            let document = openrpc(listens.map(|address| address.parse().unwrap()));
            assert_eq!(document["servers"][0]["url"], url);
            assert_eq!(document["servers"][1]["url"], format!("{}ws", url.replace("http", "ws")));
        }
    }

    #[test]
    fn an_address_is_described_as_its_method_takes_it() {
        let described = |name: &str| {
            let document = openrpc(None);
            let methods = document["methods"].as_array().unwrap();
            let method = methods.iter().find(|method| method["name"] == name).unwrap();
            method["params"][0]["schema"]["description"].as_str().unwrap().to_owned()
        };
        assert!(described("addnode").contains("host:port"));
        assert!(!described("getaddressutxos").contains("host:port"));
    }

    /// INV-DISCOVER-1.
    #[test]
    fn every_method_and_parameter_is_described() {
        let mut generator = SchemaSettings::draft07().into_generator();
        for method in &METHODS {
            assert!(answer(method.name, &mut generator).is_some(), "{} has no answer", method.name);
            own_codes(method.name);
            let given = sample(method.name).unwrap_or_else(|| panic!("{} has no sample", method.name));
            let required = method.parameters.iter().filter(|name| !name.ends_with('?')).count();
            let given = given.as_array().unwrap().len();
            assert!((required..=method.parameters.len()).contains(&given), "{}", method.name);
            for name in method.parameters {
                assert!(
                    parameter(method.name, name.trim_end_matches('?')).is_some(),
                    "{name} of {}",
                    method.name
                );
            }
        }
        assert!(answer("nothing", &mut generator).is_none() && sample("nothing").is_none());
    }

    #[test]
    fn the_document_stands_by_itself() {
        let document = openrpc(None);
        assert_eq!(document["methods"].as_array().unwrap().len(), METHODS.len());
        let text = document.to_string();
        let references = text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
        let mut count = 0;
        for path in references {
            assert!(document.pointer(path).is_some(), "{path} leads nowhere");
            count += 1;
        }
        assert!(count > 30, "{count}");
        assert!(
            document["components"]["schemas"]["TransactionStatusInfo"]["properties"]["winner"].is_object()
        );
    }

    /// The properties of all shapes below a value that are amounts in base units, with those of the same object.
    fn amounts<'a>(value: &'a Value, found: &mut Vec<(&'a str, &'a Map<String, Value>)>) {
        if let Some(Value::Object(properties)) = value.get("properties") {
            let is_amount = |schema: &Value| schema.to_string().contains("\"#/components/schemas/Amount\"");
            let names = properties.iter().filter(|(_, schema)| is_amount(schema));
            found.extend(names.map(|(name, _)| (name.as_str(), properties)));
        }
        match value {
            Value::Object(entries) => entries.values().for_each(|inner| amounts(inner, found)),
            Value::Array(entries) => entries.iter().for_each(|inner| amounts(inner, found)),
            _ => {}
        }
    }

    #[test]
    fn each_amount_in_base_units_stands_beside_the_same_in_time() {
        let document = openrpc(None);
        let mut found = Vec::new();
        amounts(&document, &mut found);
        assert!(found.len() > 25, "{}", found.len());
        for (name, properties) in found {
            // Bitcoin Core has a name of its own for the rate of a fee in coins.
            let is_rate = name == "fee_per_kb" && properties.contains_key("feerate");
            let has_twin = properties.contains_key(&format!("{name}_time")) || is_rate;
            assert!(has_twin, "{name} of {:?}", properties.keys().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_check_of_schemas_refuses_what_does_not_fit() {
        let document = openrpc(None);
        let of = |name: &str| document["components"]["schemas"][name].clone();
        let amount = of("Amount");
        assert_eq!(hold(&json!(5), &amount, &document), Ok(()));
        for wrong in [json!("5"), json!(null), json!({})] {
            assert!(hold(&wrong, &amount, &document).is_err());
        }
        assert!(hold(&json!({}), &of("BlockTip"), &document).is_err(), "what is required is missing");
        assert!(hold(&json!("lost"), &of("TransactionStatus"), &document).is_err());
    }
}
