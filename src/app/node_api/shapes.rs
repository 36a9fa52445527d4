//! What parts of the node say of themselves, as RPC shows it.

use crate::network;
use crate::protocol::bft::Step;
use crate::rpc::types::{EvidenceInfo, PeerInfo, PunishedInfo, UtxoState, UtxoStateInfo};
use crate::storage::PunishedEvidence;
use crate::types::{Address, Height, Network, OutPoint, TxOut};
use crate::utxo::OutputState;

pub(super) const fn step_name(step: Step) -> &'static str {
    match step {
        Step::NewHeight => "new_height",
        Step::Propose => "propose",
        Step::Prevote => "prevote",
        Step::Precommit => "precommit",
        Step::Decided => "commit",
    }
}

pub(super) fn peer_info(peer: network::PeerInfo) -> PeerInfo {
    PeerInfo {
        id: peer.id,
        addr: peer.address.to_string(),
        node_id: peer.peer.to_string(),
        inbound: peer.inbound,
        version: peer.version,
        subver: peer.user_agent,
        listen_address: peer.listen_address,
        connected_s: peer.connected.as_secs(),
        bytes_sent: peer.bytes_out,
        bytes_received: peer.bytes_in,
        ping_ms: peer.latency.map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)),
        ban_score: peer.score,
    }
}

pub(super) fn punished_info(punished: PunishedEvidence) -> PunishedInfo {
    let PunishedEvidence { hash, kind, masternode, epoch, height, block_height, burned } = punished;
    PunishedInfo {
        evidence: EvidenceInfo { hash, kind, masternode, epoch, height },
        block_height,
        burned,
        burned_time: burned.to_string(),
    }
}

pub(super) fn utxo_state_info(
    network: Network,
    outpoint: OutPoint,
    state: OutputState,
    found: Option<(TxOut, Option<Height>)>,
) -> UtxoStateInfo {
    let made = found.and_then(|(_, height)| height);
    let (state, spender, height) = match state {
        OutputState::Unknown => (UtxoState::Unknown, None, None),
        OutputState::Unspent => (UtxoState::Unspent, None, made),
        OutputState::Locked { by } => (UtxoState::Locked, Some(by), made),
        OutputState::SpentPending { by } => (UtxoState::SpentPending, Some(by), made),
        OutputState::SpentFinalized { by } => (UtxoState::SpentFinalized, Some(by), made),
        OutputState::Confirmed { by, height } => (UtxoState::Confirmed, Some(by), Some(height)),
    };
    UtxoStateInfo {
        txid: outpoint.txid,
        vout: outpoint.index,
        state,
        spender,
        height,
        value: found.map(|(output, _)| output.value),
        value_time: found.map(|(output, _)| output.value.to_string()),
        address: found.map(|(output, _)| Address::of_lock(network, output.lock)),
        bound: false,
        masternode: None,
        bound_until_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Amount, TxId};

    #[test]
    fn each_state_of_an_output_has_its_name() {
        let outpoint = OutPoint { txid: TxId([1; 32]), index: 7 };
        let by = TxId([2; 32]);
        let lock =
            crate::types::Lock::KeyHash(crate::types::SecretKey::from_seed(&[1; 32]).public().key_hash());
        let found = Some((TxOut { value: Amount(5), lock }, Some(3)));
        let cases = [
            (OutputState::Unknown, None, UtxoState::Unknown, None, None),
            (OutputState::Unspent, found, UtxoState::Unspent, None, Some(3)),
            (OutputState::Locked { by }, found, UtxoState::Locked, Some(by), Some(3)),
            (OutputState::SpentPending { by }, found, UtxoState::SpentPending, Some(by), Some(3)),
            (OutputState::SpentFinalized { by }, found, UtxoState::SpentFinalized, Some(by), Some(3)),
            (OutputState::Confirmed { by, height: 9 }, None, UtxoState::Confirmed, Some(by), Some(9)),
        ];
        for (state, found, name, spender, height) in cases {
            let info = utxo_state_info(Network::Devnet, outpoint, state, found);
            assert_eq!((info.state, info.spender, info.height), (name, spender, height));
            assert_eq!((info.txid, info.vout, info.value), (outpoint.txid, 7, found.map(|_| Amount(5))));
        }
    }
}
