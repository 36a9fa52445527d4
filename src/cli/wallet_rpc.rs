//! `timed wallet balance` and `timed wallet send`: the parts that talk to a node; and how any command that builds a
//! transaction learns of coins, sends and waits.
//!
//! # Place
//! The wallet and masternode commands open the keystore, and hand in addresses and a function that builds and signs;
//! keys never come here.

use clap::Args as ClapArgs;
use serde::Serialize;
use serde_json::{Value, json};

use super::rpc_client::{ConnectionArgs, RpcClient, RpcCommandError, say, say_json};
use crate::rpc::methods::ADDRESS_UTXOS_MAX;
use crate::rpc::types::{
    AddressBalance, AddressUtxo, AddressUtxos, BlockchainInfo, MempoolInfo, TransactionStatus,
    TransactionStatusInfo,
};
use crate::runtime::Clock;
use crate::types::codec::encode;
use crate::types::{Address, Amount, ChainParameters, OutPoint, Transaction, TxId, TxOut};
use crate::wallet::{Coin, CoinState};

/// Outputs of the wallet that are looked at for a payment, at most.
pub const WALLET_UTXOS_MAX: usize = 100_000;
/// How long is waited for finality.
pub(super) const FINALITY_WAIT_MS: u64 = 60_000;

/// Arguments of `timed wallet balance`, beside those of the keystore.
#[derive(ClapArgs, Clone, Debug)]
pub struct BalanceArgs {
    /// Which node
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `timed wallet send`, beside those of the keystore.
#[derive(ClapArgs, Clone, Debug)]
pub struct SendArgs {
    /// Which node
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Who gets the coins
    pub recipient: Address,
    /// How much TIME, such as 12 or 0.5
    pub amount: Amount,
    /// Wait until the payment is final, and print how long that took
    #[arg(long)]
    pub wait: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

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

/// What became of a payment.
#[derive(Clone, Debug, Serialize)]
pub struct PaymentReport {
    /// The transaction.
    pub txid: TxId,
    /// How far it came.
    pub status: TransactionStatus,
    /// From just before it was sent until the node said that it is final, in milliseconds; with `--wait` only.
    pub finality_ms: Option<f64>,
    /// From the node's acceptance to final, in milliseconds; with `--wait` only.
    pub node_finality_ms: Option<f64>,
}

/// Prints what each of the wallet's addresses has, and the sum.
///
/// # Errors
/// When the node can't be reached or refuses.
pub async fn balance(args: &BalanceArgs, addresses: &[Address]) -> Result<(), RpcCommandError> {
    let client = args.connection.client()?;
    let mut balances = Vec::with_capacity(addresses.len());
    for address in addresses {
        balances.push(client.call::<AddressBalance>("getaddressbalance", &[json!(address)]).await?);
    }
    if args.json {
        return say_json(&balances);
    }
    for balance in &balances {
        say(&format!("{}  {} TIME", balance.address, balance.spendable_time))?;
        if balance.locked != Amount::ZERO {
            say(&format!("    {} TIME more on their way", balance.locked))?;
        }
        if balance.bound != Amount::ZERO {
            say(&format!("    {} TIME more bound as collateral of masternodes", balance.bound))?;
        }
    }
    if balances.len() > 1 {
        let sum = Amount::checked_sum(balances.iter().map(|balance| balance.spendable));
        say(&format!("Total {} TIME", sum.unwrap_or(Amount(u64::MAX))))?;
        let bound = Amount::checked_sum(balances.iter().map(|balance| balance.bound));
        if let Some(bound) = bound.filter(|bound| *bound != Amount::ZERO) {
            say(&format!("    {bound} TIME more bound"))?;
        }
    }
    Ok(())
}

fn coin_of(address: Address, utxo: &AddressUtxo) -> Coin {
    let state = match (utxo.bound, utxo.spendable) {
        (true, _) => CoinState::Bound,
        (false, true) => CoinState::Free,
        (false, false) => CoinState::Locked,
    };
    Coin { outpoint: utxo.outpoint(), output: TxOut { value: utxo.value, lock: address.lock }, state }
}

/// The unspent outputs of an address, [`WALLET_UTXOS_MAX`] at most.
async fn coins_of(client: &RpcClient, address: Address) -> Result<Vec<Coin>, RpcCommandError> {
    let mut found = Vec::new();
    let mut after = Value::Null;
    loop {
        let params = [json!(address), json!(ADDRESS_UTXOS_MAX), after];
        let page: AddressUtxos = client.call("getaddressutxos", &params).await?;
        found.extend(page.utxos.iter().map(|utxo| coin_of(address, utxo)));
        match page.next {
            Some(next) if found.len() < WALLET_UTXOS_MAX => after = Value::String(next),
            _ => return Ok(found),
        }
    }
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

/// Submits a transaction.
///
/// # Errors
/// When the node can't be reached or refuses.
pub(super) async fn submit(client: &RpcClient, transaction: &Transaction) -> Result<TxId, RpcCommandError> {
    client.call("sendrawtransaction", &[json!(hex::encode(encode(transaction)))]).await
}

/// Pays: collects what `from` can spend, has `build` make and sign the transaction, submits it, and waits if asked.
///
/// # Errors
/// When the node can't be reached or refuses, or `build` can't.
pub async fn send<E: std::fmt::Display>(
    args: &SendArgs,
    from: &[Address],
    build: impl Fn(&Funding) -> Result<Transaction, E>,
) -> Result<(), RpcCommandError> {
    let client = args.connection.client()?;
    let report = pay(&client, args, from, build).await?;
    if args.json {
        return say_json(&report);
    }
    say(&report.txid.to_string())?;
    match (args.wait, report.status >= TransactionStatus::Final, report.finality_ms) {
        (false, _, _) => Ok(()),
        (true, true, Some(finality_ms)) => say(&format!("final after {finality_ms:.1} ms")),
        (true, _, _) => Err(RpcCommandError::Failed(format!(
            "sent, but not final after {} s; `timed rpc gettransactionstatus {}` tells more",
            FINALITY_WAIT_MS / 1_000,
            report.txid
        ))),
    }
}

async fn pay<E: std::fmt::Display>(
    client: &RpcClient,
    args: &SendArgs,
    from: &[Address],
    build: impl Fn(&Funding) -> Result<Transaction, E>,
) -> Result<PaymentReport, RpcCommandError> {
    let funding = Funding::of(client, from).await?;
    check_network(args.recipient, &funding.chain)?;
    let transaction = build(&funding).map_err(|error| RpcCommandError::Failed(error.to_string()))?;
    let started = Clock.instant();
    let txid = submit(client, &transaction).await?;
    let mut report =
        PaymentReport { txid, status: TransactionStatus::Pending, finality_ms: None, node_finality_ms: None };
    if args.wait {
        let params = [json!(txid), json!("final"), json!(FINALITY_WAIT_MS)];
        let status: TransactionStatusInfo = client.call("waitfortransaction", &params).await?;
        report.status = status.status;
        if status.status >= TransactionStatus::Final {
            report.finality_ms = Some(started.elapsed().as_secs_f64() * 1_000.0);
            report.node_finality_ms = status.finality_latency_ms;
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let mut args = SendArgs { connection, recipient: from, amount: Amount(5), wait: true, json: false };
        let client = args.connection.client().unwrap();
        let build = |funding: &Funding| {
            let [coin] = funding.coins.as_slice() else {
                return Err("one coin was expected");
            };
            assert_eq!(coin.state, CoinState::Free);
            let paid = TxOut { value: Amount(5), lock: coin.output.lock };
            Ok(Transaction::transfer(vec![coin.outpoint], vec![paid], Vec::new())
                .signed(&funding.chain.chain_id, &[&secret]))
        };
        let report = pay(&client, &args, &[from], build).await.unwrap();
        assert_eq!((report.status, report.node_finality_ms), (TransactionStatus::Final, Some(1.5)));
        assert!(report.finality_ms.is_some_and(|finality_ms| finality_ms > 0.0));
        assert_eq!(node.utxos.lock().values().map(|output| output.value).collect::<Vec<_>>(), [Amount(5)]);
        args.recipient = Address { network: Network::Mainnet, ..from };
        let error = pay(&client, &args, &[from], build).await.unwrap_err();
        assert!(error.to_string().contains("mainnet"), "{error}");
        token.cancel();
    }
}
