//! `timed wallet sign-message` and `verify-message`: who said something, by the key of an address.

use serde_json::json;

use super::super::{CliError, output};
use super::owner::OwnerArgs;
use crate::types::Address;
use crate::wallet::signed_message::{sign, verify};

/// Flags of `timed wallet sign-message`.
#[derive(Debug, clap::Args)]
pub(super) struct SignMessageArgs {
    /// What to say; each letter counts.
    text: String,
    #[command(flatten)]
    owner: OwnerArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Flags of `timed wallet verify-message`.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyMessageArgs {
    /// Who is said to have said it.
    address: Address,
    /// The signature, as `sign-message` prints it.
    signature: String,
    /// What was said, letter by letter.
    text: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `timed wallet sign-message`.
pub(super) fn sign_message(args: &SignMessageArgs) -> Result<(), CliError> {
    let owner = args.owner.open_to_spend()?;
    let signature =
        sign(&owner.address, &owner.key, &args.text).map_err(|error| CliError::Failed(error.to_string()))?;
    if args.json {
        let said = json!({ "address": owner.address, "signature": signature, "message": args.text });
        return output::line(said);
    }
    output::notice(format_args!("{} says {:?}; the signature:", owner.address, args.text));
    output::line(signature)
}

/// Runs `timed wallet verify-message`.
pub(super) fn verify_message(args: &VerifyMessageArgs) -> Result<(), CliError> {
    let verdict = verify(&args.address, &args.signature, &args.text);
    if args.json {
        let message = verdict.err().map(|error| error.to_string());
        output::line(json!({ "holds": verdict.is_ok(), "address": args.address, "message": message }))?;
    }
    match verdict {
        Ok(()) if args.json => Ok(()),
        Ok(()) => output::line(format_args!("The owner of {} signed this message.", args.address)),
        Err(error) => Err(CliError::Failed(format!("the message does not hold: {error}"))),
    }
}
