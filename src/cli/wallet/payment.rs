//! What a command line asks to be paid: by an address or a payment URI, an amount, a memo, and a bound on the fee.

use super::super::{CliError, output};
use crate::types::limits::{MAX_FEE_DEFAULT, MEMO_BYTES_MAX};
use crate::types::{Address, Amount, ChainParameters};
use crate::wallet::uri::PaymentRequest;
use crate::wallet::{Payout, TransferError};

/// Flags of what pays.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PaymentArgs {
    /// Who gets the coins: an address, or a payment URI (timecoin:ADDRESS?amount=...).
    #[arg(value_name = "ADDRESS|URI")]
    payee: PaymentRequest,
    /// How much TIME, such as 12 or 0.5; not needed when the URI says it.
    amount: Option<Amount>,
    /// Send everything, less the fee.
    #[arg(long, conflicts_with = "amount")]
    all: bool,
    /// A memo of at most 256 bytes, which all the world can read.
    #[arg(long, value_name = "TEXT", conflicts_with = "memo_hex")]
    memo: Option<String>,
    /// A memo of any bytes, in hexadecimal.
    #[arg(long, value_name = "HEX")]
    memo_hex: Option<String>,
    /// Refuse to pay a larger fee than this, in TIME; 0 is no bound.
    #[arg(long, value_name = "TIME", default_value_t = MAX_FEE_DEFAULT)]
    max_fee: Amount,
}

/// What is to be paid.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Payment {
    pub(in crate::cli) recipient: Address,
    pub(in crate::cli) payout: Payout,
    pub(in crate::cli) memo: Vec<u8>,
    /// Who asks, by the URI. Nobody has checked it.
    pub(in crate::cli) label: Option<String>,
}

impl PaymentArgs {
    /// Puts flags and URI together.
    ///
    /// # Errors
    /// When they contradict each other, or say no amount.
    pub(in crate::cli) fn payment(&self) -> Result<Payment, CliError> {
        let PaymentRequest { address, amount: asked, memo: asked_memo, label } = self.payee.clone();
        let payout = match (self.amount, asked, self.all) {
            (None, Some(asked), true) => {
                return Err(CliError::Usage(format!(
                    "the URI asks for {asked} TIME; leave out --all, or the URI"
                )));
            }
            (_, _, true) => Payout::Everything,
            (Some(said), Some(asked), _) if said != asked => {
                return Err(CliError::Usage(format!(
                    "the URI asks for {asked} TIME, and the command line says {said} TIME; leave one of them out"
                )));
            }
            (Some(amount), ..) | (None, Some(amount), _) => Payout::Exactly(amount),
            (None, None, false) => {
                return Err(CliError::Usage(
                    "how much? Give the amount in TIME after the address, or --all".to_owned(),
                ));
            }
        };
        let said = match (&self.memo, &self.memo_hex) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, Some(digits)) => Some(hex::decode(digits).map_err(|error| {
                CliError::Usage(format!("--memo-hex takes hexadecimal digits, two for each byte: {error}"))
            })?),
            (None, None) => None,
        };
        let asked = asked_memo.map(String::into_bytes);
        if let (Some(said), Some(asked)) = (&said, &asked)
            && said != asked
        {
            return Err(CliError::Usage(
                "the URI asks for another memo than the command line says; leave one of them out".to_owned(),
            ));
        }
        let memo = said.or(asked).unwrap_or_default();
        let wrong = |error: TransferError| CliError::Usage(error.to_string());
        if memo.len() > MEMO_BYTES_MAX {
            return Err(wrong(TransferError::MemoTooLong { bytes: memo.len() }));
        }
        if payout == Payout::Exactly(Amount::ZERO) {
            return Err(wrong(TransferError::NoAmount));
        }
        Ok(Payment { recipient: address, payout, memo, label })
    }

    /// Holds the fee to `--max-fee`.
    ///
    /// # Errors
    /// When it is larger.
    pub(in crate::cli) fn check_fee(
        &self,
        fee: Amount,
        parameters: &ChainParameters,
    ) -> Result<(), CliError> {
        let max = self.max_fee;
        if max == Amount::ZERO || fee <= max {
            return Ok(());
        }
        Err(CliError::Failed(format!(
            "the fee would be {fee} TIME, more than the {max} TIME of --max-fee; nothing was sent. Each started 1,000 bytes \
             cost {} TIME at present, and more under load: wait, or allow more",
            parameters.min_fee_per_kb
        )))
    }

    /// The bound on the fee, for the node that is to take the payment.
    pub(in crate::cli) const fn max_fee(&self) -> Amount {
        self.max_fee
    }
}

/// A memo for people: as a text with everything unprintable escaped, or as hexadecimal digits.
pub(in crate::cli) fn memo_words(memo: &[u8]) -> String {
    match std::str::from_utf8(memo) {
        Ok(text) => format!("{text:?}"),
        Err(_) => format!("{} (hexadecimal)", hex::encode(memo)),
    }
}

/// Says who a URI says that is asking.
pub(in crate::cli) fn tell_label(label: Option<&str>) {
    if let Some(label) = label {
        output::notice(format_args!("The URI says that it is of {label:?}; nobody has checked that."));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::types::{KeyHash, Network};

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: PaymentArgs,
    }

    fn address() -> Address {
        Address::of_key_hash(Network::Devnet, KeyHash([5; 32]))
    }

    fn read(query: &str, rest: &[&str]) -> Result<Payment, CliError> {
        let uri = format!("timecoin:{}{query}", address());
        Line::try_parse_from([&["pay", &uri], rest].concat()).unwrap().args.payment()
    }

    #[test]
    fn flags_and_uri_complete_each_other() {
        let exactly = |units| Payout::Exactly(Amount(units));
        for (query, rest, payout, memo) in [
            ("", &["1.5"][..], exactly(150_000_000), ""),
            ("?amount=2", &[], exactly(200_000_000), ""),
            ("?amount=2&memo=a", &["2.0", "--memo", "a"], exactly(200_000_000), "a"),
            ("?memo=a", &["--all"], Payout::Everything, "a"),
            ("", &["1", "--memo-hex", "6f6b"], exactly(100_000_000), "ok"),
        ] {
            let payment = read(query, rest).unwrap();
            assert_eq!((payment.payout, payment.memo.as_slice()), (payout, memo.as_bytes()), "{query}");
            assert_eq!(payment.recipient, address());
        }
        assert_eq!(read("?amount=1&label=shop", &[]).unwrap().label.as_deref(), Some("shop"));
    }

    #[test]
    fn contradictions_are_refused_as_wrong_usage() {
        for (query, rest) in [
            ("", &[][..]),
            ("?amount=2", &["3"]),
            ("?amount=2", &["--all"]),
            ("?amount=2&memo=a", &["--memo", "b"]),
            ("?amount=2&memo=a", &["--memo", ""]),
            ("", &["1", "--memo-hex", "6f6"]),
            ("", &["1", "--memo-hex", &"00".repeat(MEMO_BYTES_MAX + 1)]),
            ("", &["0"]),
        ] {
            assert!(matches!(read(query, rest), Err(CliError::Usage(_))), "{query} {rest:?}");
        }
        let address = address().to_string();
        for flags in [&["1", "--all"][..], &["1", "--memo", "a", "--memo-hex", "61"]] {
            assert!(Line::try_parse_from([&["pay", &address], flags].concat()).is_err(), "{flags:?}");
        }
    }

    #[test]
    fn a_fee_is_held_to_its_bound() {
        let uri = format!("timecoin:{}", address());
        let args = |rest: &[&str]| Line::try_parse_from([&["pay", &uri, "1"], rest].concat()).unwrap().args;
        let parameters = ChainParameters::of_network(Network::Devnet);
        let bounded = args(&["--max-fee", "0.00001"]);
        assert!(bounded.check_fee(Amount(1_000), &parameters).is_ok());
        assert!(matches!(bounded.check_fee(Amount(1_001), &parameters), Err(CliError::Failed(_))));
        assert!(args(&[]).check_fee(MAX_FEE_DEFAULT, &parameters).is_ok());
        let absurd = Amount(MAX_FEE_DEFAULT.0 + 1);
        assert!(matches!(args(&[]).check_fee(absurd, &parameters), Err(CliError::Failed(_))));
        assert!(args(&["--max-fee", "0"]).check_fee(Amount(u64::MAX), &parameters).is_ok(), "0 is no bound");
    }

    #[test]
    fn a_memo_can_not_write_on_the_terminal() {
        assert_eq!(memo_words(b"order 7"), "\"order 7\"");
        assert_eq!(memo_words("\u{1b}[2J\u{202e}".as_bytes()), "\"\\u{1b}[2J\\u{202e}\"");
        assert_eq!(memo_words(&[0xff, 1]), "ff01 (hexadecimal)");
    }
}
