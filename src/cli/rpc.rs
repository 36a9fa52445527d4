//! `timed rpc METHOD [PARAMS...]`: any method, JSON out.

use clap::Args as ClapArgs;
use serde_json::Value;

use super::rpc_client::{ConnectionArgs, RpcCommandError, say_json};

/// Arguments of `timed rpc`.
#[derive(ClapArgs, Clone, Debug)]
pub struct Args {
    /// Which node
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The method; `help` lists them
    pub method: String,
    /// Its parameters in their order, each JSON or else a text
    #[arg(allow_hyphen_values = true)]
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

/// Calls the method and prints its result.
///
/// # Errors
/// When the node can't be reached or refuses.
pub async fn run(args: Args) -> Result<(), RpcCommandError> {
    let params: Vec<Value> = args.params.iter().map(|text| parameter(text)).collect();
    let result: Value = args.connection.client()?.call(&args.method, &params).await?;
    say_json(&result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_json_or_else_text() {
        assert_eq!(parameter("7"), Value::from(7));
        assert_eq!(parameter("final"), Value::from("final"));
        assert_eq!(parameter("[1]"), serde_json::json!([1]));
        let digits = "1".repeat(64);
        assert_eq!(parameter(&digits), Value::from(digits));
    }
}
