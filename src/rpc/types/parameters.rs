//! The numbers that the nodes of a chain agree on, as RPC tells them: each amount with the same in TIME.
//!
//! # Place
//! The parameters are those of the genesis document, whose text takes no other names. So the texts in TIME are added when
//! [`BlockchainInfo`](super::BlockchainInfo) is written, and left out when it is read.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
use serde_json::{Map, Value};

use crate::types::genesis::Tier;
use crate::types::{Amount, ChainParameters};

/// The amounts of the parameters, and of a tier.
const AMOUNTS: [&str; 2] = ["block_reward", "min_fee_per_kb"];
const AMOUNTS_OF_TIER: [&str; 1] = ["collateral"];

fn twin(name: &str) -> String {
    format!("{name}_time")
}

/// Does something with the object of the parameters, and with that of each tier.
fn each_object(value: &mut Value, change: impl Fn(&mut Map<String, Value>, &[&str])) {
    let Value::Object(parameters) = value else { return };
    change(parameters, &AMOUNTS);
    let tiers = parameters.get_mut("tiers").and_then(Value::as_array_mut);
    for tier in tiers.into_iter().flatten().filter_map(Value::as_object_mut) {
        change(tier, &AMOUNTS_OF_TIER);
    }
}

/// Writes the parameters with the texts.
pub(super) fn tell<S: Serializer>(parameters: &ChainParameters, serializer: S) -> Result<S::Ok, S::Error> {
    let mut value = serde_json::to_value(parameters).map_err(S::Error::custom)?;
    each_object(&mut value, |object, names| {
        for name in names {
            let units = object.get(*name).and_then(Value::as_u64);
            object.extend(units.map(|units| (twin(name), Value::String(Amount(units).to_string()))));
        }
    });
    value.serialize(serializer)
}

/// Reads the parameters, with the texts or without.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ChainParameters, D::Error> {
    let mut value = Value::deserialize(deserializer)?;
    each_object(&mut value, |object, names| {
        for name in names {
            object.remove(&twin(name));
        }
    });
    serde_json::from_value(value).map_err(D::Error::custom)
}

/// Adds the texts to a shape.
fn add_twins(schema: &mut Schema, names: &[&str]) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for name in names {
        let text = json_schema!({ "type": "string", "description": "The same in TIME." });
        properties.insert(twin(name), text.to_value());
    }
}

/// The shape of what [`tell`] writes.
pub(super) struct Told;

impl JsonSchema for Told {
    fn schema_name() -> Cow<'static, str> {
        ChainParameters::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        // Known by the tier's name from here on, it is what the parameters refer to.
        generator.subschema_for::<ToldTier>();
        let mut schema = ChainParameters::json_schema(generator);
        add_twins(&mut schema, &AMOUNTS);
        schema
    }
}

/// The shape of a tier there.
struct ToldTier;

impl JsonSchema for ToldTier {
    fn schema_name() -> Cow<'static, str> {
        Tier::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        Tier::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Tier::json_schema(generator);
        add_twins(&mut schema, &AMOUNTS_OF_TIER);
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Network;

    #[test]
    fn the_parameters_are_told_with_texts_and_read_with_them_or_without() {
        let parameters = ChainParameters::of_network(Network::Devnet);
        let told = tell(&parameters, serde_json::value::Serializer).unwrap();
        assert_eq!(told["min_fee_per_kb_time"], parameters.min_fee_per_kb.to_string());
        assert_eq!(told["block_reward_time"], parameters.block_reward.to_string());
        for (tier, told) in parameters.tiers.iter().zip(told["tiers"].as_array().unwrap()) {
            assert_eq!(told["collateral_time"], tier.collateral.to_string());
        }
        assert_eq!(read(told).unwrap(), parameters);
        assert_eq!(read(serde_json::to_value(&parameters).unwrap()).unwrap(), parameters);
    }
}
