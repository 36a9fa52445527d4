//! How any command that builds a transaction learns of coins, sends and waits.
//!
//! # Place
//! The commands of wallets, transactions and masternodes open the keystore, build and sign; keys never come here.

use serde::Serialize;
use serde_json::{Value, json};

use super::rpc_client::{RpcClient, RpcCommandError};
use crate::rpc::methods::ADDRESS_UTXOS_MAX;
use crate::rpc::types::{
    AddressUtxo, AddressUtxos, BlockchainInfo, MempoolInfo, TransactionStatus, TransactionStatusInfo,
};
use crate::runtime::Clock;
use crate::runtime::time_text::milliseconds;
use crate::types::codec::encode;
use crate::types::limits::MAX_FEE_DEFAULT;
use crate::types::{Address, Amount, ChainParameters, OutPoint, Transaction, TxId, TxOut};
use crate::wallet::{Coin, CoinState};

/// Outputs of the wallet that are looked at for a payment, at most.
pub const WALLET_UTXOS_MAX: usize = 100_000;
/// How long is waited for finality.
pub(super) const FINALITY_WAIT_MS: u64 = 60_000;

/// What transactions are built from.
#[derive(Clone, Debug)]
pub struct Funding {
    /// The chain: its id goes into signatures.
    pub chain: BlockchainInfo,
    /// Its parameters, with the fee that the node asks for at present, which is more under load.
    pub parameters: ChainParameters,
    /// The wallet's coins, those that can't be spent included.
    pub coins: Vec<Coin>,
}

impl Funding {
    /// Asks a node for what transactions of these addresses, all of one network, can be built from.
    ///
    /// # Errors
    /// When the node can't be reached or refuses, or is of another network than an address.
    pub async fn of(client: &RpcClient, addresses: &[Address]) -> Result<Self, RpcCommandError> {
        let chain: BlockchainInfo = client.call("getblockchaininfo", &[]).await?;
        let mempool: MempoolInfo = client.call("getmempoolinfo", &[]).await?;
        let mut coins = Vec::new();
        for address in addresses {
            check_network(*address, &chain)?;
            coins.extend(coins_of(client, *address).await?);
        }
        let fee = chain.parameters.min_fee_per_kb.max(mempool.min_fee_per_kb);
        let parameters = ChainParameters { min_fee_per_kb: fee, ..chain.parameters.clone() };
        Ok(Self { chain, parameters, coins })
    }
}

/// Refuses an address of another network than the node's.
///
/// # Errors
/// When it is one.
pub(super) fn check_network(address: Address, chain: &BlockchainInfo) -> Result<(), RpcCommandError> {
    if address.network.to_string() == chain.chain {
        return Ok(());
    }
    Err(RpcCommandError::Failed(format!(
        "{address} is an address of {}, but the node is of {}",
        address.network, chain.chain
    )))
}

/// An amount as people and programs read it: "1.50000000 TIME (150000000 units)".
pub(super) fn time_and_units(amount: Amount) -> String {
    format!("{amount} TIME ({} units)", amount.units())
}

/// What became of a transaction that was sent.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Outcome {
    /// How far it came.
    pub(super) status: TransactionStatus,
    /// From just before it was sent until the node said that it is final, in milliseconds; when it was waited for only.
    pub(super) finality_ms: Option<f64>,
    /// From the node's acceptance to final, in milliseconds; likewise.
    pub(super) node_finality_ms: Option<f64>,
}

impl Outcome {
    /// The line for people; none when nothing was waited for.
    ///
    /// # Errors
    /// When it was waited for, and is not final.
    pub(super) fn line(&self, txid: TxId, waited: bool) -> Result<Option<String>, RpcCommandError> {
        match (waited, self.status >= TransactionStatus::Final, self.finality_ms) {
            (false, _, _) => Ok(None),
            (true, true, Some(finality_ms)) => Ok(Some(format!("final after {finality_ms:.1} ms"))),
            (true, _, _) => Err(RpcCommandError::Failed(format!(
                "sent, but not final after {} s; `timed rpc gettransactionstatus {txid}` tells more",
                FINALITY_WAIT_MS / 1_000
            ))),
        }
    }
}

fn coin_of(address: Address, utxo: &AddressUtxo) -> Coin {
    let state = match (utxo.bound, utxo.spendable) {
        (true, _) => CoinState::Bound,
        (false, true) => CoinState::Free,
        (false, false) => CoinState::Locked,
    };
    Coin { outpoint: utxo.outpoint(), output: TxOut { value: utxo.value, lock: address.lock }, state }
}

/// The unspent outputs of an address.
pub(super) struct Found {
    pub(super) utxos: Vec<AddressUtxo>,
    /// Whether these are all.
    pub(super) complete: bool,
}

/// The unspent outputs of an address; about [`WALLET_UTXOS_MAX`] at most.
///
/// # Errors
/// When the node can't be reached or refuses.
pub(super) async fn utxos_of(client: &RpcClient, address: Address) -> Result<Found, RpcCommandError> {
    let mut utxos = Vec::new();
    let mut after = Value::Null;
    loop {
        let params = [json!(address), json!(ADDRESS_UTXOS_MAX), after];
        let page: AddressUtxos = client.call("getaddressutxos", &params).await?;
        utxos.extend(page.utxos);
        match page.next {
            Some(next) if utxos.len() < WALLET_UTXOS_MAX => after = Value::String(next),
            next => return Ok(Found { utxos, complete: next.is_none() }),
        }
    }
}

async fn coins_of(client: &RpcClient, address: Address) -> Result<Vec<Coin>, RpcCommandError> {
    let found = utxos_of(client, address).await?;
    Ok(found.utxos.iter().map(|utxo| coin_of(address, utxo)).collect())
}

/// What an address can spend now, of [`WALLET_UTXOS_MAX`] outputs at most.
///
/// # Errors
/// When the node can't be reached or refuses.
pub async fn spendable(
    client: &RpcClient,
    address: Address,
) -> Result<Vec<(OutPoint, TxOut)>, RpcCommandError> {
    let coins = coins_of(client, address).await?;
    let free = coins.into_iter().filter(|coin| coin.state == CoinState::Free);
    Ok(free.map(|coin| (coin.outpoint, coin.output)).collect())
}

/// Submits a transaction whose fee is at most this; 0 is no bound.
///
/// # Errors
/// When the node can't be reached or refuses.
pub(super) async fn submit(
    client: &RpcClient,
    transaction: &Transaction,
    max_fee: Amount,
) -> Result<TxId, RpcCommandError> {
    let mut params = vec![json!(hex::encode(encode(transaction)))];
    // A node of an older version knows no such parameter.
    if max_fee != MAX_FEE_DEFAULT {
        params.push(json!(max_fee));
    }
    client.call("sendrawtransaction", &params).await
}

/// Submits a transaction, and waits until it is final if asked.
///
/// # Errors
/// When the node can't be reached or refuses.
pub(super) async fn send_and_wait(
    client: &RpcClient,
    transaction: &Transaction,
    max_fee: Amount,
    wait: bool,
) -> Result<Outcome, RpcCommandError> {
    let started = Clock.instant();
    let txid = submit(client, transaction, max_fee).await?;
    let mut outcome =
        Outcome { status: TransactionStatus::Pending, finality_ms: None, node_finality_ms: None };
    if wait {
        let params = [json!(txid), json!("final"), json!(FINALITY_WAIT_MS)];
        let status: TransactionStatusInfo = client.call("waitfortransaction", &params).await?;
        outcome.status = status.status;
        if status.status >= TransactionStatus::Final {
            outcome.finality_ms = Some(milliseconds(started.elapsed()));
            outcome.node_finality_ms = status.finality_latency_ms;
        }
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::rpc_client::ConnectionArgs;
    use crate::rpc::fake_node::FakeNode;
    use crate::rpc::{RpcServer, RpcServerConfig};
    use crate::types::{Network, SecretKey};
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    #[tokio::test]
    async fn a_payment_is_built_from_the_wallets_coins_sent_and_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let cookie_path = directory.path().join(".cookie");
        let config = RpcServerConfig {
            listen_address: "127.0.0.1:0".parse().unwrap(),
            connections_max: 8,
            cookie_path: Some(cookie_path.clone()),
            users: Vec::new(),
        };
        let (node, token) = (FakeNode::funded(), CancellationToken::new());
        let handle =
            RpcServer::start(config, node.clone(), token.clone(), &TaskTracker::new()).await.unwrap();
        let secret = SecretKey::from_seed(&[1; 32]);
        let from = Address::of_key_hash(Network::Devnet, secret.public().key_hash());
        let connection = ConnectionArgs {
            config: None,
            urls: vec![format!("http://{}", handle.local_address)],
            cookie_files: vec![cookie_path],
        };
        let client = connection.client().unwrap();
        let funding = Funding::of(&client, &[from]).await.unwrap();
        let [coin] = funding.coins.as_slice() else {
            panic!("one coin was expected");
        };
        assert_eq!(coin.state, CoinState::Free);
        let paid = TxOut { value: Amount(5), lock: coin.output.lock };
        let payment = Transaction::transfer(vec![coin.outpoint], vec![paid], Vec::new())
            .signed(&funding.chain.chain_id, &[&secret]);
        let outcome = send_and_wait(&client, &payment, Amount(7), true).await.unwrap();
        assert_eq!((outcome.status, outcome.node_finality_ms), (TransactionStatus::Final, Some(1.5)));
        assert_eq!(*node.fee_max.lock(), Some(Amount(7)), "the node holds to the same bound");
        assert!(outcome.finality_ms.is_some_and(|finality_ms| finality_ms > 0.0));
        assert!(outcome.line(payment.txid(), true).unwrap().unwrap().starts_with("final after "));
        let unfinished = Outcome { status: TransactionStatus::Pending, ..outcome };
        assert!(unfinished.line(payment.txid(), true).is_err());
        assert_eq!(unfinished.line(payment.txid(), false).unwrap(), None);
        assert_eq!(node.utxos.lock().values().map(|output| output.value).collect::<Vec<_>>(), [Amount(5)]);
        let foreign = Address { network: Network::Mainnet, ..from };
        let error = Funding::of(&client, &[foreign]).await.unwrap_err();
        assert!(error.to_string().contains("mainnet"), "{error}");
        token.cancel();
    }
}
