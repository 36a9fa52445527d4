//! `timed wallet uri`: asks for a payment by a text and a QR code.

use std::io::IsTerminal as _;

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use super::super::{CliError, output};
use super::owner::OwnerArgs;
use crate::types::{Address, Amount};
use crate::wallet::uri::PaymentRequest;

/// Flags of `timed wallet uri`.
#[derive(Debug, clap::Args)]
pub(super) struct UriArgs {
    /// Ask for a payment to this address instead of one to an account of the wallet.
    #[arg(long, conflicts_with_all = ["account", "devnet_account", "wallet", "password_file", "password_stdin"])]
    address: Option<Address>,
    /// How much TIME to ask for.
    #[arg(long, value_name = "TIME")]
    amount: Option<Amount>,
    /// The memo that the payment is to carry, which all the world can read.
    #[arg(long, value_name = "TEXT")]
    memo: Option<String>,
    /// Ask for the memo to be encrypted, so that this account's owner alone can read it.
    #[arg(long, conflicts_with = "address")]
    encrypt_memo: bool,
    /// Who asks, for the payer's eyes.
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Print the QR code even if standard output is no terminal.
    #[arg(long)]
    qr: bool,
    #[command(flatten)]
    owner: OwnerArgs,
}

/// Runs `timed wallet uri`.
pub(super) fn uri(args: &UriArgs) -> Result<(), CliError> {
    let (address, key) = match args.address {
        Some(address) => (address, None),
        None if args.encrypt_memo => {
            let owner = args.owner.open()?;
            (owner.address, Some(owner.key.public()))
        }
        None => (args.owner.address()?, None),
    };
    let (memo, label) = (args.memo.clone(), args.label.clone());
    let request = PaymentRequest { address, amount: args.amount, memo, key, label };
    request.check().map_err(|error| CliError::Usage(error.to_string()))?;
    let text = request.to_string();
    output::line(&text)?;
    if args.qr || std::io::stdout().is_terminal() {
        output::line(qr_code(&text)?)?;
    }
    Ok(())
}

/// A QR code of half blocks, light on a dark terminal.
fn qr_code(text: &str) -> Result<String, CliError> {
    // The lowest level of correction gives the smallest code, and a screen has no stains.
    let code = QrCode::with_error_correction_level(text, EcLevel::L)
        .map_err(|error| CliError::Failed(format!("the URI makes no QR code: {error}")))?;
    // Terminals write light on dark; a cell that is written is a light one.
    Ok(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::uri::URI_BYTES_MAX;

    #[test]
    fn a_code_is_square_with_a_light_border_and_the_longest_uri_has_one() {
        let code = qr_code("timecoin:dtime1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqq").unwrap();
        let lines: Vec<&str> = code.lines().collect();
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width), "{code}");
        // Two rows of modules in a line; four modules of border on each side are written, so light.
        assert_eq!(lines.len(), width.div_ceil(2));
        assert!(lines[..2].iter().all(|line| line.chars().all(|cell| cell == '\u{2588}')), "{code}");
        assert!(lines.iter().any(|line| line.contains(' ')), "{code}");
        assert!(qr_code(&"x".repeat(URI_BYTES_MAX)).is_ok());
    }
}
