//! Amounts of TIME in base units, with checked arithmetic only.
//!
//! # Invariants
//! - INV-AMOUNT-1: no arithmetic wraps; every sum is checked.
//!
//! # Units
//! One TIME is 100,000,000 base units.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Base units in one TIME.
pub const UNITS_PER_TIME: u64 = 100_000_000;
const DECIMALS: usize = 8;

/// An amount in base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
pub struct Amount(pub u64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Whole TIME as base units; `None` when it overflows.
    #[must_use]
    pub const fn from_time(time: u64) -> Option<Self> {
        match time.checked_mul(UNITS_PER_TIME) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// The number of base units.
    #[must_use]
    pub const fn units(self) -> u64 {
        self.0
    }

    /// The sum, or `None` when it overflows.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// The difference, or `None` when it would be negative.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// The sum of many amounts, or `None` when it overflows.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }
}

impl fmt::Display for Amount {
    /// Decimal TIME with eight places, as wallets show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.checked_div(UNITS_PER_TIME).unwrap_or(0);
        let rest = self.0.checked_rem(UNITS_PER_TIME).unwrap_or(0);
        write!(f, "{whole}.{rest:08}")
    }
}

/// Why a text is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseAmountError {
    /// Not digits with at most one point.
    #[error("an amount is decimal TIME, such as 12 or 0.5")]
    Malformed,
    /// More than eight decimal places.
    #[error("an amount has at most 8 decimal places")]
    TooPrecise,
    /// More than 2^64 base units.
    #[error("the amount is too large")]
    Overflow,
}

impl FromStr for Amount {
    type Err = ParseAmountError;

    fn from_str(text: &str) -> Result<Self, ParseAmountError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') {
            return Err(ParseAmountError::Malformed);
        }
        if fraction.len() > DECIMALS {
            return Err(ParseAmountError::TooPrecise);
        }
        let parse = |part: &str| part.parse::<u64>().map_err(|_| ParseAmountError::Overflow);
        let units = parse(&format!("{fraction:0<width$}", width = DECIMALS))?;
        parse(whole)?
            .checked_mul(UNITS_PER_TIME)
            .and_then(|base| base.checked_add(units))
            .map(Self)
            .ok_or(ParseAmountError::Overflow)
    }
}

impl schemars::JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "integer",
            "minimum": 0,
            "description": "An amount in base units; 100,000,000 are one TIME",
        })
    }
}

impl Serialize for Amount {
    /// Base units as an integer: JSON numbers with a point would lose precision.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_text_round_trips() {
        for (text, units) in [("0", 0), ("1", UNITS_PER_TIME), ("0.00000001", 1), ("12.5", 1_250_000_000)] {
            assert_eq!(text.parse::<Amount>(), Ok(Amount(units)), "{text}");
        }
        let amount = Amount(1_234_567_891);
        assert_eq!(amount.to_string().parse::<Amount>(), Ok(amount));
    }

    #[test]
    fn malformed_text_is_refused() {
        use ParseAmountError::*;
        for (text, error) in [
            ("", Malformed),
            (".5", Malformed),
            ("5.", Malformed),
            ("-1", Malformed),
            ("1e3", Malformed),
            ("0.000000001", TooPrecise),
            ("184467440738", Overflow),
            ("99999999999999999999999", Overflow),
        ] {
            assert_eq!(text.parse::<Amount>(), Err(error), "{text}");
        }
    }

    /// INV-AMOUNT-1.
    #[test]
    fn sums_do_not_wrap() {
        assert_eq!(Amount(u64::MAX).checked_add(Amount(1)), None);
        assert_eq!(Amount::checked_sum([Amount(u64::MAX), Amount(1)]), None);
        assert_eq!(Amount(0).checked_sub(Amount(1)), None);
    }
}
