//! Payment URIs: who asks for how much, in one text that fits into a QR code.
//!
//! # The scheme
//! ```text
//! timecoin:ADDRESS
//! timecoin:ADDRESS?amount=12.5&memo=order%207&label=The%20shop
//! ```
//! It is Bitcoin's BIP 21 with another name. After the address come pairs of a name and a value, each name once:
//!
//! | name | value |
//! |---|---|
//! | `amount` | decimal TIME, above zero, with at most eight places |
//! | `memo` | text for the transaction's memo, at most [`MEMO_BYTES_MAX`] bytes of UTF-8: all the world reads it |
//! | `key` | the public key of the address, in hexadecimal: the memo is to be encrypted to it ([`sealed_memo`](super::sealed_memo)) |
//! | `label` | who asks, for the payer's eyes alone, at most [`LABEL_BYTES_MAX`] bytes |
//!
//! Values are percent-encoded UTF-8 (RFC 3986); a `+` is a plus sign. Names that are not known are passed over, but for
//! those that begin with `req-`: who writes these wants a payer who does not know them to refuse. The scheme is read in
//! upper and lower case. The address tells the network by its prefix.
//!
//! # Bounds
//! A URI has at most [`URI_BYTES_MAX`] bytes: what is longer fits into no QR code that cameras read well.
//!
//! # Invariants
//! - INV-URI-1: what is written is read as the same request, whatever its texts contain.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::sealed_memo::SEALED_TEXT_BYTES_MAX;
use crate::types::limits::MEMO_BYTES_MAX;
use crate::types::{Address, Amount, Lock, PublicKey};

/// The scheme's name, with the colon.
pub const SCHEME: &str = "timecoin:";
/// Bytes of a URI, at most.
pub const URI_BYTES_MAX: usize = 2_048;
/// Bytes of a label, at most.
pub const LABEL_BYTES_MAX: usize = 128;
/// Everything but RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What somebody asks to be paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentRequest {
    /// Who is to be paid.
    pub address: Address,
    /// How much, if that is said.
    pub amount: Option<Amount>,
    /// The memo that the payment is to carry.
    pub memo: Option<String>,
    /// The key of the address, where the memo is to be encrypted to it.
    pub key: Option<PublicKey>,
    /// Who asks. Nobody has checked it.
    pub label: Option<String>,
}

/// Why a text asks for no payment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Longer than any.
    #[error("a payment URI has at most {URI_BYTES_MAX} bytes, and this one has {bytes}")]
    TooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// Characters that no URI has.
    #[error("a URI has neither spaces nor letters outside of ASCII; write them percent-encoded, as %20")]
    NotAscii,
    /// The address is none.
    #[error("{0}; expected an address, or a payment URI as {SCHEME}ADDRESS?amount=12.5")]
    Address(String),
    /// Not `name=value`.
    #[error("{0:?} is no name=value")]
    NotAPair(String),
    /// The key is none, or another address' one.
    #[error("{0}: the key has 64 hexadecimal digits, and its hash is in the address; ask for another URI")]
    Key(&'static str),
    /// Percent-encoding that is none, or not of UTF-8.
    #[error("the value of {0:?} is not percent-encoded UTF-8")]
    BadEncoding(String),
    /// The same name again.
    #[error("{0:?} stands twice: which one is meant can't be known; ask for another URI")]
    Twice(String),
    /// The amount is none.
    #[error("the amount of the URI is wrong: {0}")]
    Amount(String),
    /// A text that is too long.
    #[error("the {name} of the URI has {bytes} bytes; at most {bytes_max} are possible")]
    TextTooLong {
        /// `memo` or `label`.
        name: &'static str,
        /// Its bytes.
        bytes: usize,
        /// As many as there may be.
        bytes_max: usize,
    },
    /// It asks for something that is not known here.
    #[error(
        "the URI asks for {0:?}, which this version does not know; use a newer one, or ask for another URI"
    )]
    UnknownRequirement(String),
}

impl PaymentRequest {
    /// A request that names nothing but the address.
    #[must_use]
    pub const fn of(address: Address) -> Self {
        Self { address, amount: None, memo: None, key: None, label: None }
    }

    /// Holds the bounds of a request that is to be written.
    ///
    /// # Errors
    /// When its amount is zero, or a text or the whole is too long.
    pub fn check(&self) -> Result<(), UriError> {
        if self.amount == Some(Amount::ZERO) {
            return Err(UriError::Amount("it must be above zero".to_owned()));
        }
        if self.key.is_some_and(|key| Lock::KeyHash(key.key_hash()) != self.address.lock) {
            return Err(UriError::Key("the key is not that of the address"));
        }
        let memo_max = if self.key.is_some() { SEALED_TEXT_BYTES_MAX } else { MEMO_BYTES_MAX };
        let texts = [("memo", &self.memo, memo_max), ("label", &self.label, LABEL_BYTES_MAX)];
        for (name, text, bytes_max) in texts {
            let bytes = text.as_ref().map_or(0, String::len);
            if bytes > bytes_max {
                return Err(UriError::TextTooLong { name, bytes, bytes_max });
            }
        }
        let bytes = self.to_string().len();
        if bytes > URI_BYTES_MAX { Err(UriError::TooLong { bytes }) } else { Ok(()) }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), UriError> {
        let twice = || UriError::Twice(name.to_owned());
        let place = match name {
            "amount" => {
                let amount = value.parse().map_err(|error| UriError::Amount(format!("{error}")))?;
                return self.amount.replace(amount).map_or(Ok(()), |_| Err(twice()));
            }
            "key" => {
                let key = value.parse().map_err(|_| UriError::Key("the key can't be read"))?;
                return self.key.replace(key).map_or(Ok(()), |_| Err(twice()));
            }
            "memo" => &mut self.memo,
            "label" => &mut self.label,
            name if name.starts_with("req-") => {
                return Err(UriError::UnknownRequirement(name.to_owned()));
            }
            _ => return Ok(()),
        };
        place.replace(decoded(name, value)?).map_or(Ok(()), |_| Err(twice()))
    }
}

/// Decodes a value; unlike the crate's own function this refuses a `%` that two hexadecimal digits don't follow.
fn decoded(name: &str, value: &str) -> Result<String, UriError> {
    let bad = || UriError::BadEncoding(name.to_owned());
    let is_code = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !value.split('%').skip(1).all(is_code) {
        return Err(bad());
    }
    percent_decode_str(value).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| bad())
}

impl fmt::Display for PaymentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.address)?;
        let mut mark = '?';
        let mut pair = |name: &str, value: &dyn fmt::Display| {
            let written = write!(f, "{mark}{name}={value}");
            mark = '&';
            written
        };
        if let Some(amount) = self.amount {
            let text = amount.to_string();
            pair("amount", &text.trim_end_matches('0').trim_end_matches('.'))?;
        }
        if let Some(memo) = &self.memo {
            pair("memo", &utf8_percent_encode(memo, ENCODED))?;
        }
        if let Some(key) = &self.key {
            pair("key", key)?;
        }
        if let Some(label) = &self.label {
            pair("label", &utf8_percent_encode(label, ENCODED))?;
        }
        Ok(())
    }
}

impl FromStr for PaymentRequest {
    type Err = UriError;

    /// Reads a payment URI, or an address alone.
    fn from_str(text: &str) -> Result<Self, UriError> {
        if text.len() > URI_BYTES_MAX {
            return Err(UriError::TooLong { bytes: text.len() });
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UriError::NotAscii);
        }
        let address = |text: &str| text.parse().map_err(|error| UriError::Address(format!("{error}")));
        let has_scheme = text.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME));
        if !has_scheme {
            return Ok(Self::of(address(text)?));
        }
        let rest = text.get(SCHEME.len()..).unwrap_or_default();
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut request = Self::of(address(place)?);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| UriError::NotAPair(pair.to_owned()))?;
            request.set(name, value)?;
        }
        request.check()?;
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{KeyHash, Network, SecretKey};

    fn address() -> Address {
        Address::of_key_hash(Network::Devnet, KeyHash([5; 32]))
    }

    fn read(query: &str) -> Result<PaymentRequest, UriError> {
        format!("{SCHEME}{}{query}", address()).parse()
    }

    proptest! {
        /// INV-URI-1.
        #[test]
        fn what_is_written_is_read_as_the_same_request(
            units in prop::option::of(1_u64..),
            memo in prop::option::of("\\PC{0,50}"),
            label in prop::option::of("\\PC{0,30}"),
            is_sealed: bool,
        ) {
            let owner = SecretKey::from_seed(&[5; 32]).public();
            let address = Address::of_key_hash(Network::Devnet, owner.key_hash());
            let (amount, key) = (units.map(Amount), is_sealed.then_some(owner));
            let request = PaymentRequest { address, amount, memo, key, label };
            prop_assert!(request.check().is_ok());
            prop_assert_eq!(request.to_string().parse(), Ok(request));
        }
    }

    #[test]
    fn a_request_reads_as_the_head_of_this_file_says() {
        let request = read("?amount=12.5&memo=order%207&label=The%20shop%20%2b%26%3D").unwrap();
        assert_eq!(request.amount, Some(Amount(1_250_000_000)));
        assert_eq!(request.memo.as_deref(), Some("order 7"));
        assert_eq!(request.label.as_deref(), Some("The shop +&="));
        assert_eq!(read("?memo=1+1&later=x").unwrap().memo.as_deref(), Some("1+1"), "a plus is a plus");
        assert_eq!(address().to_string().parse(), Ok(PaymentRequest::of(address())));
        assert_eq!(format!("TimeCoin:{}", address()).parse(), Ok(PaymentRequest::of(address())));
        let written = PaymentRequest { amount: Some(Amount(1_000_000_000)), ..PaymentRequest::of(address()) };
        assert!(written.to_string().ends_with("?amount=10"), "{written}");
    }

    #[test]
    fn a_key_that_is_not_that_of_the_address_is_refused() {
        let owner = SecretKey::from_seed(&[5; 32]).public();
        let own = Address::of_key_hash(Network::Devnet, owner.key_hash());
        let read = |rest: &str| format!("{SCHEME}{own}?key={rest}").parse::<PaymentRequest>();
        assert_eq!(read(&owner.to_string()).unwrap().key, Some(owner));
        let other = SecretKey::from_seed(&[6; 32]).public().to_string();
        for (rest, problem) in [
            (other.as_str(), "the key is not that of the address"),
            (&owner.to_string()[1..], "the key can't be read"),
            ("", "the key can't be read"),
        ] {
            assert_eq!(read(rest), Err(UriError::Key(problem)), "{rest}");
        }
        assert_eq!(read(&format!("{owner}&key={owner}")), Err(UriError::Twice("key".to_owned())));
        // Less of a text fits when it is encrypted.
        let memo = |bytes: usize| read(&format!("{owner}&memo={}", "a".repeat(bytes)));
        assert!(memo(SEALED_TEXT_BYTES_MAX).is_ok());
        assert!(matches!(memo(SEALED_TEXT_BYTES_MAX + 1), Err(UriError::TextTooLong { name: "memo", .. })));
    }

    #[test]
    fn what_can_be_misread_is_refused() {
        let name = |name: &str| name.to_owned();
        for (query, error) in [
            ("?amount=1&amount=2", UriError::Twice(name("amount"))),
            ("?memo=a&memo=a", UriError::Twice(name("memo"))),
            ("?amount=0", UriError::Amount(name("it must be above zero"))),
            ("?memo=%zz", UriError::BadEncoding(name("memo"))),
            ("?memo=%4", UriError::BadEncoding(name("memo"))),
            ("?memo=%ff", UriError::BadEncoding(name("memo"))),
            ("?memo", UriError::NotAPair(name("memo"))),
            ("?req-height=7", UriError::UnknownRequirement(name("req-height"))),
            ("?memo=a b", UriError::NotAscii),
        ] {
            assert_eq!(read(query), Err(error), "{query}");
        }
        assert!(matches!(read("?amount=1e3"), Err(UriError::Amount(_))));
        assert!(matches!(read("?amount=%31"), Err(UriError::Amount(_))));
        for (memo, bytes) in [("a".repeat(256), None), ("a".repeat(257), Some(257))] {
            match (read(&format!("?memo={memo}")), bytes) {
                (Ok(_), None) => {}
                (Err(UriError::TextTooLong { name: "memo", bytes, .. }), Some(257)) => assert_eq!(bytes, 257),
                (other, _) => panic!("{other:?}"),
            }
        }
        let long = read(&format!("?later={}", "a".repeat(URI_BYTES_MAX)));
        assert!(matches!(long, Err(UriError::TooLong { .. })));
        for text in ["bitcoin:dtime1qqqq", "timecoin:", "timecoin:?amount=1", ""] {
            assert!(matches!(text.parse::<PaymentRequest>(), Err(UriError::Address(_))), "{text}");
        }
    }
}
