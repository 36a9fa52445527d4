//! One call of a method: its parameters, checked one by one, and the node that it asks.
//!
//! # Place
//! `rpc/methods.rs` makes a [`Call`] of each request that may be made, and its handlers take from it what they need.
//!
//! # Invariants
//! - INV-CALL-1: a wait ends with its deadline, [`WAIT_MS_MAX`](super::limits::WAIT_MS_MAX) at most, or when the node
//!   stops, and has a place among the waiting calls.

use std::net::SocketAddr;
use std::sync::Arc;

use jsonrpsee::types::{ErrorObjectOwned, Params};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::api::{NodeApi, NodeApiError, UtxoPage};
use super::errors::{BAD_PARAMETERS, UNDECODABLE, bad_parameter, error, of_node, wrong_address};
use super::limits::ADDRESS_UTXOS_MAX;
use super::places::RequestWaits;
use crate::types::codec::decode;
use crate::types::{Address, Network, OutPoint, Transaction};

const ADDRESS_UTXOS_DEFAULT: usize = 1_000;
/// Letters of a wrong value that an error repeats, at most.
const GIVEN_LETTERS_MAX: usize = 40;

/// What the handlers share.
pub struct Context {
    /// The node.
    pub node: Arc<dyn NodeApi>,
    /// Fires when the node stops.
    pub stopping: CancellationToken,
    /// Where the server listens.
    pub listens: SocketAddr,
}

/// What to do about parameters of other names, or another number, than the table has.
const HINT: &str = "`timed rpc help` lists every method with its parameters";

fn too_many(taken: usize, given: usize) -> String {
    let taken = match taken {
        0 => "none is taken".to_owned(),
        1 => "at most 1 is taken".to_owned(),
        _ => format!("at most {taken} are taken"),
    };
    let are = if given == 1 { "is" } else { "are" };
    format!("too many parameters: {taken}, and {given} {are} given")
}

/// The parameters of a call, in the order of the table. A null is as good as none.
pub(super) struct Parameters {
    names: &'static [&'static str],
    /// At most as many as `names`.
    values: Vec<Value>,
}

impl Parameters {
    /// Those that were given, by their names or in their order. More than there are names, or one of another name, are
    /// refused: whoever misspells one would not learn of it otherwise.
    pub(super) fn of(names: &'static [&'static str], given: Value) -> Result<Self, ErrorObjectOwned> {
        let wrong = |message: String| error(BAD_PARAMETERS, message, "bad_parameters", HINT);
        let values = match given {
            Value::Null => Vec::new(),
            Value::Array(values) if values.len() <= names.len() => values,
            Value::Array(values) => {
                return Err(wrong(too_many(names.len(), values.len())));
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
        Ok(Self { names, values })
    }

    pub(super) fn name(&self, index: usize) -> &'static str {
        self.names.get(index).map_or("", |name| name.trim_end_matches('?'))
    }

    pub(super) fn optional<T: DeserializeOwned>(&self, index: usize) -> Result<Option<T>, ErrorObjectOwned> {
        match self.values.get(index) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::deserialize(value)
                .map(Some)
                .map_err(|failure| bad_parameter(self.name(index), &words(&failure, value))),
        }
    }

    pub(super) fn required<T: DeserializeOwned>(&self, index: usize) -> Result<T, ErrorObjectOwned> {
        self.optional(index)?.ok_or_else(|| {
            let message = format!("parameter \"{}\" is missing", self.name(index));
            error(BAD_PARAMETERS, message, "bad_parameters", HINT)
        })
    }
}

/// One call of a method.
pub(super) struct Call {
    pub(super) node: Arc<dyn NodeApi>,
    pub(super) listens: SocketAddr,
    /// Whether it came by WebSocket.
    pub(super) by_websocket: bool,
    stopping: CancellationToken,
    waits: Arc<RequestWaits>,
    parameters: Parameters,
}

impl Call {
    pub(super) fn new(
        context: &Context,
        (waits, by_websocket): (Arc<RequestWaits>, bool),
        names: &'static [&'static str],
        params: &Params<'_>,
    ) -> Result<Self, ErrorObjectOwned> {
        let given: Value = match params.as_str() {
            Some(text) => serde_json::from_str(text).unwrap_or(Value::Null),
            None => Value::Null,
        };
        let parameters = Parameters::of(names, given)?;
        let (node, stopping, listens) = (context.node.clone(), context.stopping.clone(), context.listens);
        Ok(Self { node, listens, by_websocket, stopping, waits, parameters })
    }

    /// Does what waits, until it ends or the node stops.
    pub(super) async fn wait<T>(
        &self,
        waited: impl Future<Output = Result<T, ErrorObjectOwned>>,
    ) -> Result<T, ErrorObjectOwned> {
        let _wait = self.waits.begin()?;
        tokio::select! {
            outcome = waited => outcome,
            () = self.stopping.cancelled() => {
                Err(of_node(NodeApiError::Stopping))
            }
        }
    }

    pub(super) fn name(&self, index: usize) -> &'static str {
        self.parameters.name(index)
    }

    pub(super) fn optional<T: DeserializeOwned>(&self, index: usize) -> Result<Option<T>, ErrorObjectOwned> {
        self.parameters.optional(index)
    }

    pub(super) fn required<T: DeserializeOwned>(&self, index: usize) -> Result<T, ErrorObjectOwned> {
        self.parameters.required(index)
    }

    pub(super) fn outpoint(&self) -> Result<OutPoint, ErrorObjectOwned> {
        Ok(OutPoint { txid: self.required(0)?, index: self.required(1)? })
    }

    pub(super) fn address(&self, index: usize) -> Result<Address, ErrorObjectOwned> {
        let text: String = self.required(index)?;
        address_of(&text, self.node.network()).map_err(|problem| wrong_address(self.name(index), &problem))
    }

    pub(super) fn transaction(&self, index: usize) -> Result<Transaction, ErrorObjectOwned> {
        decode_transaction(&self.required::<String>(index)?)
    }

    /// A number of at most `max`.
    pub(super) fn bounded(&self, index: usize, default: u64, max: u64) -> Result<u64, ErrorObjectOwned> {
        let value = self.optional::<u64>(index)?.unwrap_or(default);
        if value <= max {
            return Ok(value);
        }
        Err(bad_parameter(self.name(index), &format!("at most {max}, not {value}")))
    }

    /// How much is to be told, at most `max`: a number, or as Bitcoin Core has it `false` for 0 and `true` for 1.
    pub(super) fn verbosity(&self, index: usize, default: u64, max: u64) -> Result<u64, ErrorObjectOwned> {
        match self.parameters.values.get(index) {
            Some(Value::Bool(is_verbose)) => Ok(u64::from(*is_verbose)),
            _ => self.bounded(index, default, max),
        }
    }

    pub(super) fn limit(&self, index: usize, default: usize, max: usize) -> Result<usize, ErrorObjectOwned> {
        let limit = self.optional::<usize>(index)?.unwrap_or(default);
        if (1..=max).contains(&limit) {
            return Ok(limit);
        }
        Err(bad_parameter(self.name(index), &format!("from 1 to {max}, not {limit}")))
    }

    pub(super) fn utxo_page(&self) -> Result<UtxoPage, ErrorObjectOwned> {
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

/// What is wrong with a value, for people: serde names the types of this program.
fn words(failure: &serde_json::Error, value: &Value) -> String {
    let text = failure.to_string();
    let kinds = ["invalid type: ", "invalid value: ", "unknown variant "];
    // The last one, since a text that the caller gave stands before it.
    let Some((given, expected)) =
        text.rsplit_once(", expected ").filter(|(given, _)| kinds.iter().any(|kind| given.starts_with(kind)))
    else {
        return text;
    };
    let given = kinds.iter().fold(given, |given, kind| given.strip_prefix(kind).unwrap_or(given));
    let expected = match expected {
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number from 0",
        "struct InputName" => "an object of \"txid\" and \"vout\"",
        "a sequence" => "an array",
        "a boolean" => "true or false",
        "a string" | "string or map" => "a text",
        other => other,
    };
    // A text as it came; serde escapes it.
    match (given, value) {
        ("map", _) => format!("expected {expected}, not an object"),
        ("sequence", _) => format!("expected {expected}, not an array"),
        (_, Value::String(text)) => format!("expected {expected}, not {}", quoted(text)),
        _ => format!("expected {expected}, not {}", given_words(given)),
    }
}

/// A value as serde shows it, for people.
fn given_words(given: &str) -> String {
    let numbers = ["integer ", "floating point ", "boolean "];
    if let Some(number) = numbers.iter().find_map(|kind| given.strip_prefix(kind)) {
        return number.trim_matches('`').to_owned();
    }
    quoted(given.trim_start_matches("string ").trim_matches(['"', '`']))
}

fn quoted(text: &str) -> String {
    // Letters that change a terminal or the direction of what follows are of no use to who reads this.
    let is_shown = |letter: &char| letter.is_alphanumeric() || letter.is_ascii_graphic() || *letter == ' ';
    let shown: String = text.chars().filter(is_shown).take(GIVEN_LETTERS_MAX).collect();
    let more = if text.chars().count() > GIVEN_LETTERS_MAX { "..." } else { "" };
    format!("\"{shown}{more}\"")
}

/// An address of this network by its text, or what is wrong with that.
pub(super) fn address_of(text: &str, network: Network) -> Result<Address, String> {
    let address: Address = text.parse().map_err(|failure| format!("{}: {failure}", quoted(text)))?;
    if address.network == network {
        return Ok(address);
    }
    Err(format!("the address is of {}, the node of {network}", address.network))
}

/// A transaction by its encoding in hexadecimal.
pub(super) fn decode_transaction(text: &str) -> Result<Transaction, ErrorObjectOwned> {
    let bytes = hex::decode(text).map_err(|failure| {
        let hint = "give the encoding in hexadecimal, two digits a byte, without 0x";
        error(UNDECODABLE, format!("not hexadecimal: {failure}"), "invalid_hex", hint)
    })?;
    decode(&bytes).map_err(|failure| {
        let message = format!("these bytes are no transaction: {failure}");
        let hint = "give all digits of one transaction and none more, as `getrawtransaction` and `timed tx` write them";
        error(UNDECODABLE, message, "malformed_transaction", hint)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rpc::types::WaitTarget;
    use crate::types::TxId;

    fn said<T: DeserializeOwned>(value: Value) -> String {
        words(&T::deserialize(&value).err().expect("it is wrong"), &value)
    }

    #[test]
    fn a_wrong_value_is_told_in_words_and_shortly() {
        let number = "expected a whole number from 0, not";
        for (value, given) in [
            (json!({ "a": 1 }), "an object"),
            (json!([1]), "an array"),
            (json!(-1), "-1"),
            (json!(1.5), "1.5"),
            (json!(true), "true"),
            (json!(""), "\"\""),
            (json!("six, expected u64"), "\"six, expected u64\""),
            (json!("\u{202e}\u{1b}[2Jx"), "\"[2Jx\""),
            (json!("f".repeat(41)), &format!("\"{}...\"", "f".repeat(40))),
        ] {
            assert_eq!(said::<u64>(value), format!("{number} {given}"));
        }
        assert_eq!(
            said::<u32>(json!(1_u64 << 32)),
            "expected a whole number from 0 to 4294967295, not 4294967296"
        );
        assert_eq!(said::<bool>(json!(0)), "expected true or false, not 0");
        assert_eq!(said::<Vec<String>>(json!([5])), "expected a text, not 5");
        assert_eq!(said::<Vec<String>>(json!({})), "expected an array, not an object");
        assert_eq!(said::<WaitTarget>(json!(7)), "expected a text, not 7");
        let target = "expected one of `certified`, `final`, `confirmed`, not \"soon\"";
        assert_eq!(said::<WaitTarget>(json!("soon")), target);
        assert_eq!(said::<TxId>(json!("xyz")), "expected 64 hexadecimal digits");
    }
}
