//! What transactions say about masternodes takes effect, or is void.

use bincode::{Decode, Encode};

use super::registry::ENTRY_WEIGHT;
use super::registry::{Jail, MasternodeRecord, PendingUpdate, Registry};
use crate::types::{
    ChainParameters, Height, Lock, MasternodeId, MasternodeRegistration, MasternodeUpdate, OutPoint, Payload,
    PublicKey, Transaction, TxId,
};

/// Why a payload has no effect. The transfer that it came with stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum VoidReason {
    /// Another masternode, or the same, votes or will vote with the key.
    #[error("the operator key {key} belongs to masternode {holder}")]
    KeyInUse {
        /// The key.
        key: PublicKey,
        /// Whose it is.
        holder: MasternodeId,
    },
    /// No such masternode.
    #[error("there is no masternode {masternode}")]
    UnknownMasternode {
        /// The name.
        masternode: MasternodeId,
    },
    /// No input belongs to the owner.
    #[error("no input belongs to the owner of masternode {masternode}")]
    NotOwner {
        /// The masternode.
        masternode: MasternodeId,
    },
    /// It has left for good.
    #[error("masternode {masternode} has left")]
    Exited {
        /// The masternode.
        masternode: MasternodeId,
    },
    /// It has asked to leave already.
    #[error("masternode {masternode} has asked to leave already")]
    ExitRequested {
        /// The masternode.
        masternode: MasternodeId,
    },
    /// There is nothing to un-jail.
    #[error("masternode {masternode} is not jailed")]
    NotJailed {
        /// The masternode.
        masternode: MasternodeId,
    },
    /// It signed against the rules.
    #[error("masternode {masternode} contradicted itself and is jailed for good")]
    Slashed {
        /// The masternode.
        masternode: MasternodeId,
    },
    /// The key that un-jails is not the masternode's.
    #[error("{key} is not the operator key of masternode {masternode}")]
    WrongOperatorKey {
        /// The masternode.
        masternode: MasternodeId,
        /// The key.
        key: PublicKey,
    },
}

impl VoidReason {
    /// A stable name for programs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::KeyInUse { .. } => "key_in_use",
            Self::UnknownMasternode { .. } => "unknown_masternode",
            Self::NotOwner { .. } => "not_owner",
            Self::Exited { .. } => "exited",
            Self::ExitRequested { .. } => "exit_requested",
            Self::NotJailed { .. } => "not_jailed",
            Self::Slashed { .. } => "slashed",
            Self::WrongOperatorKey { .. } => "wrong_operator_key",
        }
    }
}

/// What became of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// The transaction.
    pub txid: TxId,
    /// The masternode that it acted on, or why it is void.
    pub effect: Result<MasternodeId, VoidReason>,
}

/// A transaction whose payload speaks of masternodes.
#[derive(Clone, Copy)]
pub(in crate::protocol) struct Call<'a> {
    /// Its name.
    pub(in crate::protocol) txid: TxId,
    /// Itself.
    pub(in crate::protocol) transaction: &'a Transaction,
    /// Who owned its inputs.
    pub(in crate::protocol) input_locks: &'a [Lock],
}

/// Takes the payload of one transaction of the block at `height`; all of it or nothing.
pub(in crate::protocol) fn apply(
    registry: &mut Registry,
    parameters: &ChainParameters,
    height: Height,
    call: Call<'_>,
) -> Option<Receipt> {
    let effect = match &call.transaction.payload {
        Payload::Transfer { .. } | Payload::Reward { .. } => return None,
        Payload::MasternodeRegister(registration) => {
            let outpoint = OutPoint { txid: call.txid, index: registration.collateral_index };
            let effect = register(registry, parameters, height, registration, (outpoint, &call));
            if effect.is_err() {
                registry.mark_void(outpoint);
            }
            effect
        }
        Payload::MasternodeUpdate(change) => update(registry, change, call.input_locks),
        Payload::MasternodeExit { masternode } => exit(registry, *masternode, call.input_locks),
    };
    Some(Receipt { txid: call.txid, effect })
}

fn register(
    registry: &mut Registry,
    parameters: &ChainParameters,
    height: Height,
    registration: &MasternodeRegistration,
    (outpoint, call): (OutPoint, &Call<'_>),
) -> Result<MasternodeId, VoidReason> {
    let key = registration.operator.key;
    key_is_free(registry, key)?;
    let place = usize::try_from(outpoint.index).ok();
    let output = place.and_then(|place| call.transaction.outputs.get(place));
    // Both are rules of a transaction's structure, which was checked.
    let (Some(output), id) = (output, crate::types::GenesisDocument::masternode_id(&outpoint)) else {
        return Err(VoidReason::UnknownMasternode { masternode: MasternodeId::ZERO });
    };
    let Some(weight) = parameters.weight_of(output.value) else {
        return Err(VoidReason::UnknownMasternode { masternode: id });
    };
    Ok(registry.insert(MasternodeRecord {
        collateral: outpoint,
        collateral_amount: output.value,
        collateral_height: height,
        owner: output.lock,
        operator_key: key,
        payout: registration.payout,
        network_address: registration.network_address.clone(),
        weight,
        effective_weight: ENTRY_WEIGHT,
        on_trial: true,
        registration: registry.registrations,
        pending: None,
        exit_requested: None,
        slashed: None,
        jail: None,
        exited: false,
        left: None,
    }))
}

fn key_is_free(registry: &Registry, key: PublicKey) -> Result<(), VoidReason> {
    registry.owner_of_key(&key).map_or(Ok(()), |holder| Err(VoidReason::KeyInUse { key, holder }))
}

/// The record, if it has not left and, where that is asked for, an input belongs to its owner.
fn find<'a>(
    registry: &'a Registry,
    masternode: MasternodeId,
    owner_among: Option<&[Lock]>,
) -> Result<&'a MasternodeRecord, VoidReason> {
    let record = registry.get(&masternode).ok_or(VoidReason::UnknownMasternode { masternode })?;
    if record.exited {
        return Err(VoidReason::Exited { masternode });
    }
    if owner_among.is_some_and(|locks| !locks.contains(&record.owner)) {
        return Err(VoidReason::NotOwner { masternode });
    }
    Ok(record)
}

fn update(
    registry: &mut Registry,
    change: &MasternodeUpdate,
    input_locks: &[Lock],
) -> Result<MasternodeId, VoidReason> {
    let masternode = change.masternode;
    let record = find(registry, masternode, change.needs_owner().then_some(input_locks))?;
    if let Some(consent) = &change.unjail {
        if record.slashed.is_some() {
            return Err(VoidReason::Slashed { masternode });
        }
        if !matches!(record.jail, Some(Jail::Absence { .. })) {
            return Err(VoidReason::NotJailed { masternode });
        }
        if consent.key != record.operator_key {
            return Err(VoidReason::WrongOperatorKey { masternode, key: consent.key });
        }
    }
    let announced = record.pending.as_ref().and_then(|pending| pending.operator_key);
    if let Some(consent) = &change.operator {
        key_is_free(registry, consent.key)?;
        // The last announcement counts; the one before it was never used.
        announced.iter().for_each(|key| registry.release_key(key));
        registry.announce_key(consent.key, masternode);
    }
    let Some(record) = registry.get_mut(&masternode) else {
        return Err(VoidReason::UnknownMasternode { masternode });
    };
    if change.unjail.is_some() {
        record.jail = None;
    }
    if change.needs_owner() {
        let pending = record.pending.get_or_insert_with(PendingUpdate::default);
        if let Some(consent) = change.operator {
            pending.operator_key = Some(consent.key);
        }
        if let Some(payout) = change.payout {
            pending.payout = Some(payout);
        }
        if let Some(address) = &change.network_address {
            pending.network_address = Some(address.clone());
        }
    }
    Ok(masternode)
}

fn exit(
    registry: &mut Registry,
    masternode: MasternodeId,
    input_locks: &[Lock],
) -> Result<MasternodeId, VoidReason> {
    let record = find(registry, masternode, Some(input_locks))?;
    if record.exit_requested.is_some() {
        return Err(VoidReason::ExitRequested { masternode });
    }
    let request = registry.next_request();
    if let Some(record) = registry.get_mut(&masternode) {
        record.exit_requested = Some(request);
    }
    Ok(masternode)
}
