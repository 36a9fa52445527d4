//! What a command line asks to be paid: by an address or a payment URI, an amount, a memo, and a bound on the fee.

use super::super::rpc_client::RpcClient;
use super::super::{CliError, output};
use super::memo::{key_of, memo_words};
use crate::types::limits::{MAX_FEE_DEFAULT, MEMO_BYTES_MAX};
use crate::types::{Address, Amount, ChainId, ChainParameters, Lock, PublicKey};
use crate::wallet::sealed_memo::{SEALED_TEXT_BYTES_MAX, SealError, seal};
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
    /// A memo of at most 256 bytes, which all the world can read unless it is encrypted.
    #[arg(long, value_name = "TEXT", conflicts_with = "memo_hex")]
    memo: Option<String>,
    /// A memo of any bytes, in hexadecimal.
    #[arg(long, value_name = "HEX")]
    memo_hex: Option<String>,
    /// Encrypt the memo, so that the receiver alone can read it; done without this for a URI that has the receiver's key.
    #[arg(long)]
    encrypt_memo: bool,
    /// The receiver's public key for that; without it the node is asked for a transaction by which the receiver has paid.
    #[arg(long, value_name = "HEX", requires = "encrypt_memo")]
    receiver_key: Option<PublicKey>,
    /// Refuse to pay a larger fee than this, in TIME; 0 is no bound.
    #[arg(long, value_name = "TIME", default_value_t = MAX_FEE_DEFAULT)]
    max_fee: Amount,
}

/// What is to be paid.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Payment {
    pub(in crate::cli) recipient: Address,
    pub(in crate::cli) payout: Payout,
    /// The memo in the clear.
    pub(in crate::cli) text: Vec<u8>,
    /// Whether the receiver alone is to read it, and the receiver's key where it is known.
    encryption: Encryption,
    /// Who asks, by the URI. Nobody has checked it.
    pub(in crate::cli) label: Option<String>,
}

/// Who is to read a memo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    /// All the world.
    None,
    /// The owner of this key.
    To(PublicKey),
    /// The receiver, whose key has to be found.
    ToReceiver,
}

impl Payment {
    /// The memo as the transaction carries it, encrypted where that is asked for.
    ///
    /// # Errors
    /// When the receiver's key is not known, or the node that is asked for it can't be reached or refuses.
    pub(in crate::cli) async fn memo(
        &self,
        client: Option<&RpcClient>,
        chain_id: &ChainId,
    ) -> Result<Vec<u8>, CliError> {
        let receiver = match (self.encryption, client) {
            (Encryption::None, _) => return Ok(self.text.clone()),
            (Encryption::To(key), _) => Some(key),
            (Encryption::ToReceiver, Some(client)) => key_of(client, self.recipient).await?,
            (Encryption::ToReceiver, None) => None,
        };
        let receiver = receiver.ok_or_else(|| {
            CliError::Failed(format!(
                "the memo can't be encrypted: the public key of {} is not known here, since it never paid anything. Ask the \
                 receiver for a payment URI of `timed wallet uri --encrypt-memo`, or for the key, and give it by --receiver-key",
                self.recipient
            ))
        })?;
        seal(&self.text, &receiver, chain_id).map_err(|error| CliError::Failed(error.to_string()))
    }

    /// The memo for people; none if there is none.
    pub(in crate::cli) fn memo_line(&self) -> Option<String> {
        let readers = match self.encryption {
            Encryption::None => "",
            Encryption::To(_) | Encryption::ToReceiver => ", encrypted: the receiver alone can read it",
        };
        (!self.text.is_empty()).then(|| format!("{}{readers}", memo_words(&self.text)))
    }

    /// Whether the receiver alone can read the memo.
    pub(in crate::cli) fn is_encrypted(&self) -> bool {
        self.encryption != Encryption::None
    }
}

impl PaymentArgs {
    /// Puts flags and URI together.
    ///
    /// # Errors
    /// When they contradict each other, or say no amount.
    pub(in crate::cli) fn payment(&self) -> Result<Payment, CliError> {
        let PaymentRequest { address, amount: asked, memo: asked_memo, key, label } = self.payee.clone();
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
        let text = said.or(asked).unwrap_or_default();
        let encryption = self.encryption(address, key, !text.is_empty())?;
        let wrong = |error: TransferError| CliError::Usage(error.to_string());
        let bytes = text.len();
        if encryption != Encryption::None && bytes > SEALED_TEXT_BYTES_MAX {
            return Err(CliError::Usage(SealError::TooLong { bytes }.to_string()));
        }
        if bytes > MEMO_BYTES_MAX {
            return Err(wrong(TransferError::MemoTooLong { bytes }));
        }
        if payout == Payout::Exactly(Amount::ZERO) {
            return Err(wrong(TransferError::NoAmount));
        }
        Ok(Payment { recipient: address, payout, text, encryption, label })
    }

    /// Who is to read the memo, by flags and URI.
    fn encryption(
        &self,
        receiver: Address,
        asked: Option<PublicKey>,
        has_memo: bool,
    ) -> Result<Encryption, CliError> {
        if self.encrypt_memo && !has_memo {
            return Err(CliError::Usage("--encrypt-memo needs a memo; give one by --memo".to_owned()));
        }
        if self.receiver_key.is_some_and(|key| Lock::KeyHash(key.key_hash()) != receiver.lock) {
            let problem =
                format!("the key of --receiver-key is not that of {receiver}; ask the receiver again");
            return Err(CliError::Usage(problem));
        }
        Ok(match self.receiver_key.or(asked) {
            Some(key) if has_memo => Encryption::To(key),
            None if self.encrypt_memo => Encryption::ToReceiver,
            _ => Encryption::None,
        })
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
    use crate::types::{KeyHash, Network, SecretKey};
    use crate::wallet::sealed_memo::open;

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
            assert_eq!((payment.payout, payment.text.as_slice()), (payout, memo.as_bytes()), "{query}");
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
            ("", &["1", "--encrypt-memo"]),
            ("", &["1", "--encrypt-memo", "--memo-hex", &"00".repeat(SEALED_TEXT_BYTES_MAX + 1)]),
            ("", &["1", "--encrypt-memo", "--memo", "a", "--receiver-key", &"07".repeat(32)]),
        ] {
            assert!(matches!(read(query, rest), Err(CliError::Usage(_))), "{query} {rest:?}");
        }
        let address = address().to_string();
        for flags in [&["1", "--all"][..], &["1", "--memo", "a", "--memo-hex", "61"]] {
            assert!(Line::try_parse_from([&["pay", &address], flags].concat()).is_err(), "{flags:?}");
        }
    }

    #[tokio::test]
    async fn a_memo_is_encrypted_to_the_key_of_the_uri_or_of_the_command_line() {
        let (chain, owner) = (ChainId([7; 32]), SecretKey::from_seed(&[5; 32]));
        let key = owner.public();
        let address = Address::of_key_hash(Network::Devnet, key.key_hash());
        let read = |query: &str, rest: &[&str]| {
            let uri = format!("timecoin:{address}{query}");
            Line::try_parse_from([&["pay", &uri, "1"], rest].concat()).unwrap().args.payment().unwrap()
        };
        let digits = key.to_string();
        let of_uri = read(&format!("?memo=order%207&key={digits}"), &[]);
        let of_line = read("?memo=order%207", &["--encrypt-memo", "--receiver-key", &digits]);
        for payment in [of_uri, of_line] {
            let memo = payment.memo(None, &chain).await.unwrap();
            assert_eq!(open(&memo, &owner, &chain).as_deref(), Some(&b"order 7"[..]));
            assert!(
                payment.is_encrypted() && payment.memo_line().unwrap().contains("\"order 7\", encrypted")
            );
        }
        // Nothing is there to encrypt, or nobody asks for it.
        for (payment, memo) in [(read(&format!("?key={digits}"), &[]), ""), (read("?memo=a", &[]), "a")] {
            assert!(!payment.is_encrypted());
            assert_eq!(payment.memo(None, &chain).await.unwrap(), memo.as_bytes());
        }
        let unknown = read("?memo=a", &["--encrypt-memo"]).memo(None, &chain).await.unwrap_err();
        assert!(unknown.to_string().contains("--receiver-key"), "{unknown}");
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
