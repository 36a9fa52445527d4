//! Transactions about masternodes: registration, changes, exit.
//!
//! The operator's key agrees before the owner signs, since the txid covers that agreement.

use super::funds::{BuiltTransaction, Draft, Funds, FundsError};
use crate::types::genesis::Tier;
use crate::types::limits::ADDRESS_TEXT_BYTES_MAX;
use crate::types::{
    Address, Amount, Lock, MasternodeId, MasternodeRegistration, MasternodeUpdate, Network, OperatorConsent,
    Payload, PublicKey, SecretKey, TxOut,
};

/// Why no such transaction can be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MasternodeError {
    /// No tier binds as much.
    #[error("a collateral of {collateral} TIME is none of the tiers'; there are {}", tiers_text(.tiers))]
    UnknownTier {
        /// What was to be bound.
        collateral: Amount,
        /// What there is.
        tiers: Vec<Tier>,
    },
    /// The payout is of another network.
    #[error("{address} is not an address of {network}")]
    ForeignAddress {
        /// The address.
        address: Address,
        /// The wallet's network.
        network: Network,
    },
    /// The network address is too long or not printable.
    #[error("a network address is host:port, at most {ADDRESS_TEXT_BYTES_MAX} printable ASCII characters")]
    BadNetworkAddress,
    /// Signatures by the operator key could be forged.
    #[error("the operator key {key} is no valid Ed25519 key; make another one")]
    WeakOperatorKey {
        /// The key.
        key: PublicKey,
    },
    /// Nothing would change.
    #[error("nothing is to be changed; name a new operator key, payout or address")]
    NothingToChange,
    /// No coins can be chosen.
    #[error(transparent)]
    Funds(#[from] FundsError),
}

/// "bronze (1000 TIME), silver (10000 TIME)".
#[must_use]
pub fn tiers_text(tiers: &[Tier]) -> String {
    let texts: Vec<String> = tiers
        .iter()
        .map(|tier| {
            let amount = tier.collateral.to_string();
            format!("{} ({} TIME)", tier.name, amount.trim_end_matches('0').trim_end_matches('.'))
        })
        .collect();
    texts.join(", ")
}

/// Whether a text can be a masternode's network address, as validity asks for it, and has a host and a port.
#[must_use]
pub fn is_network_address(text: &str) -> bool {
    let has_parts = text
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0));
    has_parts && text.len() <= ADDRESS_TEXT_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn check_address(text: &str) -> Result<(), MasternodeError> {
    if is_network_address(text) { Ok(()) } else { Err(MasternodeError::BadNetworkAddress) }
}

fn check_payout(payout: Address, network: Network) -> Result<(), MasternodeError> {
    if payout.network == network {
        Ok(())
    } else {
        Err(MasternodeError::ForeignAddress { address: payout, network })
    }
}

fn consent_of(operator: &SecretKey) -> Result<OperatorConsent, MasternodeError> {
    let key = operator.public();
    if key.is_weak() {
        return Err(MasternodeError::WeakOperatorKey { key });
    }
    Ok(OperatorConsent::unsigned(key))
}

/// A new masternode.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    /// Coins and keys.
    pub funds: Funds<'a>,
    /// The wallet's network.
    pub network: Network,
    /// What it binds: the collateral of a tier.
    pub collateral: Amount,
    /// Who owns the collateral.
    pub owner: Lock,
    /// The key that is to vote.
    pub operator: &'a SecretKey,
    /// Where rewards go.
    pub payout: Address,
    /// `host:port` where its node can be reached.
    pub network_address: &'a str,
}

impl Registration<'_> {
    /// Builds and signs it. The collateral is its first output.
    ///
    /// # Errors
    /// See [`MasternodeError`].
    pub fn build(&self) -> Result<BuiltTransaction, MasternodeError> {
        let parameters = self.funds.parameters;
        if parameters.weight_of(self.collateral).is_none() {
            let (collateral, tiers) = (self.collateral, parameters.tiers.clone());
            return Err(MasternodeError::UnknownTier { collateral, tiers });
        }
        check_payout(self.payout, self.network)?;
        check_address(self.network_address)?;
        let payload = Payload::MasternodeRegister(MasternodeRegistration {
            collateral_index: 0,
            operator: consent_of(self.operator)?,
            payout: self.payout.lock,
            network_address: self.network_address.to_owned(),
        });
        let outputs = vec![TxOut { value: self.collateral, lock: self.owner }];
        Ok(self.funds.build(Draft { outputs, payload, owner: None, operators: vec![self.operator] })?)
    }
}

/// What is to change about a masternode.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Coins and keys.
    pub funds: Funds<'a>,
    /// The wallet's network.
    pub network: Network,
    /// Which masternode.
    pub masternode: MasternodeId,
    /// Who owns its collateral.
    pub owner: Lock,
    /// The key that is to vote from the next epoch on.
    pub operator: Option<&'a SecretKey>,
    /// Where rewards are to go.
    pub payout: Option<Address>,
    /// Where its node can be reached.
    pub network_address: Option<&'a str>,
}

impl Change<'_> {
    /// Builds and signs it. One input belongs to the owner.
    ///
    /// # Errors
    /// See [`MasternodeError`].
    pub fn build(&self) -> Result<BuiltTransaction, MasternodeError> {
        if let Some(payout) = self.payout {
            check_payout(payout, self.network)?;
        }
        self.network_address.map_or(Ok(()), check_address)?;
        let update = MasternodeUpdate {
            masternode: self.masternode,
            operator: self.operator.map(consent_of).transpose()?,
            payout: self.payout.map(|payout| payout.lock),
            network_address: self.network_address.map(str::to_owned),
            unjail: None,
        };
        if !update.needs_owner() {
            return Err(MasternodeError::NothingToChange);
        }
        let draft = Draft {
            outputs: Vec::new(),
            payload: Payload::MasternodeUpdate(update),
            owner: Some(self.owner),
            operators: self.operator.into_iter().collect(),
        };
        Ok(self.funds.build(draft)?)
    }
}

/// Asks that a masternode leaves the set. One input belongs to its owner.
///
/// # Errors
/// [`MasternodeError::Funds`].
pub fn build_exit(
    funds: &Funds<'_>,
    masternode: MasternodeId,
    owner: Lock,
) -> Result<BuiltTransaction, MasternodeError> {
    let payload = Payload::MasternodeExit { masternode };
    let draft = Draft { outputs: Vec::new(), payload, owner: Some(owner), operators: Vec::new() };
    Ok(funds.build(draft)?)
}

/// Says, by the operator's key, that a jailed masternode is up again. Anybody may pay for it.
///
/// # Errors
/// [`MasternodeError::WeakOperatorKey`], [`MasternodeError::Funds`].
pub fn build_unjail(
    funds: &Funds<'_>,
    masternode: MasternodeId,
    operator: &SecretKey,
) -> Result<BuiltTransaction, MasternodeError> {
    let key = consent_of(operator)?.key;
    let payload = Payload::MasternodeUpdate(MasternodeUpdate::unjail(masternode, key));
    Ok(funds.build(Draft { outputs: Vec::new(), payload, owner: None, operators: vec![operator] })?)
}

#[cfg(test)]
mod tests;
