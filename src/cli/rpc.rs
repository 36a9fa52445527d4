//! `timed rpc METHOD [PARAMS...]`: any method, JSON out. `timed rpc help` needs no node.

use clap::Args as ClapArgs;
use serde_json::Value;

use super::rpc_client::{ConnectionArgs, RpcCommandError, say, say_json};
use crate::rpc::methods::{METHODS, Method, find, unknown_method};
use crate::rpc::types::ErrorData;

/// Arguments of `timed rpc`.
#[derive(ClapArgs, Clone, Debug)]
pub struct Args {
    /// Which node
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The method; `help` lists them
    pub method: String,
    /// Its parameters in their order, each JSON or else a text
    #[arg(allow_negative_numbers = true)]
    pub params: Vec<String>,
}

/// A parameter as JSON where it is JSON, but for what is meant as a hash though it is all digits.
fn parameter(text: &str) -> Value {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match serde_json::from_str(text) {
        Ok(value) if !is_hash => value,
        _ => Value::String(text.to_owned()),
    }
}

/// The lines about one method or, without a name, about all.
fn help(name: Option<&str>) -> Result<Vec<String>, RpcCommandError> {
    let lines = |method: &Method| {
        let help = method.help();
        let credentials = if help.write { " (needs credentials)" } else { "" };
        [help.usage, format!("    {}{credentials}", help.description)]
    };
    match name {
        None => Ok(METHODS.iter().flat_map(lines).collect()),
        Some(name) => match find(name) {
            Some(method) => Ok(lines(method).to_vec()),
            None => Err(RpcCommandError::Failed(unknown_words(name))),
        },
    }
}

fn unknown_words(name: &str) -> String {
    let error = unknown_method(name);
    let data = error.data().and_then(|data| serde_json::from_str::<ErrorData>(data.get()).ok());
    match data {
        Some(data) => format!("{}; {}", error.message(), data.hint),
        None => error.message().to_owned(),
    }
}

/// Calls the method and prints its result.
///
/// # Errors
/// When the node can't be reached or refuses.
pub async fn run(args: Args) -> Result<(), RpcCommandError> {
    if args.method == "help" {
        return help(args.params.first().map(String::as_str))?.iter().try_for_each(|line| say(line));
    }
    let params: Vec<Value> = args.params.iter().map(|text| parameter(text)).collect();
    let result: Value = args.connection.client()?.call(&args.method, &params).await?;
    say_json(&result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_explained_without_a_node() {
        let all = help(None).unwrap();
        assert_eq!(all.len(), 2 * METHODS.len());
        let one = help(Some("stop")).unwrap();
        assert!(one[0] == "stop" && one[1].ends_with("(needs credentials)"), "{one:?}");
        let refused = help(Some("getblokcount")).unwrap_err().to_string();
        assert!(refused.contains("did you mean `getblockcount`?"), "{refused}");
    }

    #[test]
    fn parameters_are_json_or_else_text() {
        assert_eq!(parameter("7"), Value::from(7));
        assert_eq!(parameter("final"), Value::from("final"));
        assert_eq!(parameter("[1]"), serde_json::json!([1]));
        let digits = "1".repeat(64);
        assert_eq!(parameter(&digits), Value::from(digits));
    }
}
