//! `timed tx create`: chooses coins, of addresses or given ones, and writes all that signing needs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

use serde_json::json;

use super::super::offline::GenesisArgs;
use super::super::rpc_client::{ConnectionArgs, RpcClient, RpcCommandError};
use super::super::wallet::owner::OwnersArgs;
use super::super::wallet::payment::{Payment, PaymentArgs, tell_label};
use super::super::wallet_rpc::Funding;
use super::super::{CliError, output};
use super::{show, write};
use crate::cli::new_file::refuse_existing;
use crate::rpc::errors::NOT_FOUND;
use crate::rpc::types::GenesisInfo;
use crate::types::codec::decode;
use crate::types::transaction::ParseOutPointError;
use crate::types::{
    Address, Amount, ChainId, ChainParameters, GenesisDocument, Lock, Network, OutPoint, Transaction, TxId,
    TxOut,
};
use crate::wallet::transaction_file::TransactionFile;
use crate::wallet::{Coin, CoinState, Plan, Source, Transfer};

/// Bytes of a genesis document that goes into a file, at most. Coins of a larger one are not proved.
const GENESIS_BYTES_MAX: usize = 1 << 20;

/// Flags of `timed tx create`.
#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    payment: PaymentArgs,
    /// Spend coins of this address instead of those of a wallet; several of them by several --from.
    #[arg(
        long,
        value_name = "ADDRESS",
        conflicts_with_all = ["accounts", "all_accounts", "devnet_account", "wallet", "password_file", "password_stdin"]
    )]
    from: Vec<Address>,
    /// A coin that you know of, with its amount and owner; no node is asked then. Several of them by several --given.
    #[arg(
        long,
        value_name = "TXID:VOUT:TIME:ADDRESS",
        conflicts_with_all = [
            "from", "inputs", "accounts", "all_accounts", "devnet_account", "wallet", "password_file", "password_stdin",
            "config", "urls", "cookie_files"
        ]
    )]
    given: Vec<GivenCoin>,
    /// The genesis document of the chain that --given coins are of; without it, that of the devnet in ./devnet.
    #[arg(long, value_name = "FILE", requires = "given")]
    genesis: Option<PathBuf>,
    /// Choose from these coins alone, as `timed wallet utxos` names them; several of them by several --input.
    #[arg(long = "input", value_name = "TXID:VOUT")]
    inputs: Vec<OutPoint>,
    /// Where the change goes; without it, to the first address that pays.
    #[arg(long, value_name = "ADDRESS")]
    change: Option<Address>,
    #[command(flatten)]
    owners: OwnersArgs,
    /// Which node.
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Write to this file, which must not exist; without it, to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A coin as `--given` names it: `TXID:VOUT:TIME:ADDRESS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct GivenCoin {
    outpoint: OutPoint,
    value: Amount,
    address: Address,
}

impl FromStr for GivenCoin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let [txid, index, value, address] = parts.as_slice() else {
            return Err("expected TXID:VOUT:TIME:ADDRESS".to_owned());
        };
        let outpoint: Result<OutPoint, ParseOutPointError> = format!("{txid}:{index}").parse();
        Ok(Self {
            outpoint: outpoint.map_err(|error| error.to_string())?,
            value: value.parse().map_err(|error| format!("{value:?}: {error}"))?,
            address: address.parse().map_err(|error| format!("{address:?}: {error}"))?,
        })
    }
}

/// What the payment is made from.
struct Basis {
    network: Network,
    chain_id: ChainId,
    parameters: ChainParameters,
    coins: Vec<Coin>,
    /// Who pays; at least one address.
    payers: Vec<Address>,
}

impl CreateArgs {
    /// What a node knows of the payers' coins.
    async fn ask(&self, client: &RpcClient) -> Result<Basis, CliError> {
        let payers = if self.from.is_empty() {
            self.owners.open(client).await?.addresses()
        } else {
            // An address that is named twice has its coins once.
            let mut seen = BTreeSet::new();
            self.from.iter().copied().filter(|address| seen.insert(address.lock)).collect()
        };
        let Funding { chain, parameters, coins } = Funding::of(client, &payers).await?;
        // All payers are of the node's network, as was checked just now.
        let network = payers.first().map_or(Network::Devnet, |payer| payer.network);
        Ok(Basis { network, chain_id: chain.chain_id, parameters, coins: self.chosen(coins)?, payers })
    }

    /// What the command line says, with the genesis document alone.
    fn given(&self) -> Result<Basis, CliError> {
        let network = self.given.first().map_or(Network::Devnet, |first| first.address.network);
        let document = GenesisArgs::of(self.genesis.clone(), network).document()?;
        let coin = |given: &GivenCoin| Coin {
            outpoint: given.outpoint,
            output: TxOut { value: given.value, lock: given.address.lock },
            state: CoinState::Free,
        };
        let (network, chain_id) = (document.network, document.chain_id());
        let payers: Vec<Address> = self.given.iter().map(|given| given.address).collect();
        let coins = self.given.iter().map(coin).collect();
        Ok(Basis { network, chain_id, parameters: document.parameters, coins, payers })
    }

    /// The coins to choose from.
    fn chosen(&self, found: Vec<Coin>) -> Result<Vec<Coin>, CliError> {
        if self.inputs.is_empty() {
            return Ok(found);
        }
        let is_unknown = |input: &&OutPoint| found.iter().all(|coin| coin.outpoint != **input);
        if let Some(unknown) = self.inputs.iter().find(is_unknown) {
            return Err(CliError::Failed(format!(
                "{unknown} is no unspent coin of who pays; `timed wallet utxos` lists them"
            )));
        }
        Ok(found.into_iter().filter(|coin| self.inputs.contains(&coin.outpoint)).collect())
    }

    /// Chooses coins for the payment.
    fn plan(&self, basis: &Basis, payment: &Payment, memo: &[u8]) -> Result<Plan, CliError> {
        let Some(change) = self.change.or(basis.payers.first().copied()) else {
            return Err(CliError::Usage("name who pays by --from, --wallet or --given".to_owned()));
        };
        for address in basis.payers.iter().chain([&change]) {
            if address.network != basis.network {
                let network = basis.network;
                return Err(CliError::Usage(format!("{address} is not an address of {network}")));
            }
        }
        let owners: BTreeSet<Lock> = basis.payers.iter().map(|address| address.lock).collect();
        let source = Source {
            parameters: &basis.parameters,
            coins: &basis.coins,
            owners: &owners,
            change: change.lock,
        };
        let Payment { recipient, payout, .. } = *payment;
        let transfer = Transfer { network: basis.network, recipient, payout, memo };
        let plan = transfer.plan(&source).map_err(|error| CliError::Failed(error.to_string()))?;
        self.payment.check_fee(plan.fee, &basis.parameters)?;
        Ok(plan)
    }
}

/// Runs `timed tx create`.
pub(super) async fn create(args: &CreateArgs) -> Result<(), CliError> {
    let payment = args.payment.payment()?;
    refuse_existing(args.out.as_deref(), "--out")?;
    let (basis, plan, origins) = if args.given.is_empty() {
        let client = args.connection.client()?;
        let basis = args.ask(&client).await?;
        let memo = payment.memo(Some(&client), &basis.chain_id).await?;
        let plan = args.plan(&basis, &payment, &memo)?;
        let origins = origins(&client, &plan, basis.chain_id).await?;
        (basis, plan, origins)
    } else {
        let basis = args.given()?;
        let memo = payment.memo(None, &basis.chain_id).await?;
        let plan = args.plan(&basis, &payment, &memo)?;
        (basis, plan, Origins::default())
    };
    let Origins { previous, genesis } = origins;
    let file = TransactionFile::new(basis.network, basis.chain_id, plan, previous, genesis)
        .map_err(|error| CliError::Failed(format!("such a payment can't be made: {error}")))?;
    tell_label(payment.label.as_deref());
    show::lines(&file, &|_| false).iter().for_each(output::notice);
    if file.spent().iter().any(|coin| !coin.proved) {
        output::notice(
            "WARNING: what made some of the coins is not at hand, so nothing proves their amounts. Make the file by",
        );
        output::notice(
            "a node that has the whole chain; or the signers have to know the amounts, and say --trust-amounts.",
        );
    }
    write(&file, args.out.as_deref())
}

/// What made the coins.
#[derive(Default)]
struct Origins {
    previous: Vec<Transaction>,
    genesis: Option<GenesisDocument>,
}

/// Asks the node for what made the coins; what it does not have is left out.
async fn origins(client: &RpcClient, plan: &Plan, chain_id: ChainId) -> Result<Origins, RpcCommandError> {
    let mut origins = Origins::default();
    let txids: BTreeSet<TxId> = plan.transaction.inputs.iter().map(|input| input.txid).collect();
    for txid in txids {
        if txid.0 == chain_id.0 {
            let told: GenesisInfo = client.call("getgenesis", &[]).await?;
            if told.toml.len() <= GENESIS_BYTES_MAX {
                origins.genesis = GenesisDocument::from_toml(&told.toml).ok();
            }
            continue;
        }
        match client.call::<String>("getrawtransaction", &[json!(txid), json!(0)]).await {
            Ok(digits) => origins.previous.push(earlier(txid, &digits)?),
            Err(RpcCommandError::Refused { code: NOT_FOUND, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(origins)
}

fn earlier(txid: TxId, digits: &str) -> Result<Transaction, RpcCommandError> {
    let transaction = hex::decode(digits).ok().and_then(|bytes| decode::<Transaction>(&bytes).ok());
    transaction.filter(|transaction| transaction.txid() == txid).ok_or_else(|| {
        RpcCommandError::Failed(format!(
            "the node gave something else than transaction {txid}; ask another one"
        ))
    })
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::cli::rpc_client::Endpoint;
    use crate::rpc::fake_node::{FakeNode, block};
    use crate::rpc::{RpcServer, RpcServerConfig};
    use crate::types::codec::encode;

    #[tokio::test]
    async fn what_the_node_does_not_have_is_left_out_and_what_it_has_is_taken() {
        let token = CancellationToken::new();
        let config = RpcServerConfig {
            listen_address: "127.0.0.1:0".parse().unwrap(),
            connections_max: 8,
            cookie_path: None,
            users: Vec::new(),
        };
        let server =
            RpcServer::start(config, FakeNode::funded(), token.clone(), &TaskTracker::new()).await.unwrap();
        let url = format!("http://{}", server.local_address);
        let client = RpcClient::connect(&Endpoint::without_cookie(url)).unwrap();
        let known = block().block.transactions[0].as_ref().clone();
        let inputs = [(TxId([7; 32]), 0), (known.txid(), 0), (known.txid(), 1)];
        let inputs = inputs.map(|(txid, index)| OutPoint { txid, index }).to_vec();
        let plan = Plan {
            transaction: Transaction::transfer(inputs, Vec::new(), Vec::new()),
            spent: Vec::new(),
            fee: Amount::ZERO,
            change: Amount::ZERO,
        };
        let Origins { previous, genesis } = origins(&client, &plan, ChainId([1; 32])).await.unwrap();
        assert_eq!((previous, genesis), (vec![known], None));
        token.cancel();
    }

    #[test]
    fn a_given_coin_says_its_name_its_amount_and_its_owner() {
        let address = Address::of_key_hash(Network::Devnet, crate::types::KeyHash([5; 32]));
        let txid = TxId([7; 32]);
        let given = |text: &str| text.parse::<GivenCoin>();
        let outpoint = OutPoint { txid, index: 3 };
        let expected = GivenCoin { outpoint, value: Amount(150_000_000), address };
        assert_eq!(given(&format!("{txid}:3:1.5:{address}")), Ok(expected));
        for wrong in [
            format!("{txid}:3:1.5"),
            format!("{txid}:3:1.5:{address}:x"),
            format!("{txid}:x:1.5:{address}"),
            format!("{txid}:3:1,5:{address}"),
            format!("{txid}:3:1.5:{address}x"),
        ] {
            assert!(given(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_node_that_answers_with_another_transaction_is_not_believed() {
        let one = Transaction::transfer(Vec::new(), Vec::new(), b"one".to_vec());
        let digits = hex::encode(encode(&one));
        assert_eq!(earlier(one.txid(), &digits).unwrap(), one);
        for answer in
            [hex::encode(encode(&Transaction::transfer(Vec::new(), Vec::new(), Vec::new()))), "00".into()]
        {
            assert!(earlier(one.txid(), &answer).is_err(), "{answer}");
        }
    }
}
