//! A block that somebody knows to be of the chain: its height and its hash, as people write them down and pass them on.
//!
//! # Place
//! What a verifier starts from that does not want to rely on the keys of all times: finality proofs.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::Height;
use super::hash::BlockHash;
use super::header::Header;

/// A block by height and hash; as text `HEIGHT:HASH`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub struct Checkpoint {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub block_hash: BlockHash,
}

impl Checkpoint {
    /// The block with this header.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        Self { height: header.height, block_hash: header.hash() }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.height, self.block_hash)
    }
}

/// A text that is not `HEIGHT:HASH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a block as HEIGHT:HASH, with its 64 hexadecimal digits")]
pub struct ParseCheckpointError;

impl FromStr for Checkpoint {
    type Err = ParseCheckpointError;

    fn from_str(text: &str) -> Result<Self, ParseCheckpointError> {
        let (height, hash) = text.split_once(':').ok_or(ParseCheckpointError)?;
        Ok(Self {
            height: height.parse().map_err(|_| ParseCheckpointError)?,
            block_hash: hash.parse().map_err(|_| ParseCheckpointError)?,
        })
    }
}

impl schemars::JsonSchema for Checkpoint {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Checkpoint".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[0-9]+:[0-9a-f]{64}$",
            "description": "a block as HEIGHT:HASH",
        })
    }
}

impl Serialize for Checkpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Checkpoint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_read_as_it_is_written() {
        let checkpoint = Checkpoint { height: 41, block_hash: BlockHash([0xab; 32]) };
        let text = checkpoint.to_string();
        assert_eq!(text, format!("41:{}", "ab".repeat(32)));
        assert_eq!(text.parse(), Ok(checkpoint));
        let json = serde_json::to_value(checkpoint).unwrap();
        assert_eq!(serde_json::from_value::<Checkpoint>(json).unwrap(), checkpoint);
        for wrong in ["", "41", "41:", &text[2..], &text[..60], &text.replace(':', ";"), &format!("-{text}")]
        {
            assert_eq!(wrong.parse::<Checkpoint>(), Err(ParseCheckpointError), "{wrong}");
        }
    }
}
