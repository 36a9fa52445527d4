//! A devnet inside of a Rust program: built, started, paid through, troubled and stopped.
//!
//! # Place
//! For tests of programs that use TIME Coin; the example stands in [`crate::devnet`].
//!
//! # Invariants
//! - INV-DEVNET-9: payments of one account are made one after the other, so that no two choose the same coin.
//!
//! # Bounds
//! A payment is waited for [`PAYMENT_MAX`]. Of an account [`COINS_LOOKED_AT`] coins are looked at.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::archive::{self, Moved};
use super::error::DevnetError;
use super::fleet::{ANSWER_MAX, Fleet, Trouble};
use super::node::Mode;
use super::ports;
use super::report::{NodeReport, Report, State};
use crate::app::devnet::{Devnet as Directory, DevnetWishes};
use crate::app::networks::devnet_account_keys;
use crate::app::start::OfProcess;
use crate::rpc::client::{RpcClient, RpcCommandError};
use crate::rpc::types::{
    AddressUtxos, BlockchainInfo, NetworkInfo, TransactionStatus, TransactionStatusInfo,
};
use crate::runtime::Clock;
use crate::runtime::logging::LogControl;
use crate::types::codec::encode;
use crate::types::{Address, Amount, Lock, Network, SecretKey, TxId, TxOut};
use crate::wallet::{Coin, CoinState, Funds, Payout, Transfer};

/// How long a payment is waited for.
pub const PAYMENT_MAX: Duration = Duration::from_secs(60);
/// How long a start waits until the nodes can make something final.
const READY_MAX: Duration = Duration::from_secs(60);
/// Coins of an account that are looked at, at most.
pub const COINS_LOOKED_AT: usize = 1_000;
/// How often ports are looked for when others took those that were free a moment ago.
const PORT_ATTEMPTS: usize = 5;
const POLL: Duration = Duration::from_millis(50);

/// What a devnet is to be; [`Self::start`] makes it.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    wishes: DevnetWishes,
    directory: Option<PathBuf>,
    export: Option<PathBuf>,
}

impl Builder {
    /// How many validators, 3 to 100; 4 when nothing is said.
    #[must_use]
    pub const fn validators(mut self, validators: usize) -> Self {
        self.wishes.validators = Some(validators);
        self
    }

    /// How long after a block the next one is due; 2 s when nothing is said.
    #[must_use]
    pub const fn block_interval(mut self, interval: Duration) -> Self {
        self.wishes.block_interval = Some(interval);
        self
    }

    /// The port for peers of node 0; the others follow it, each with its RPC on the port above. When nothing is said, free
    /// ones are found.
    #[must_use]
    pub const fn base_port(mut self, port: u16) -> Self {
        self.wishes.base_port = Some(port);
        self
    }

    /// Where the devnet lives, and stays; a devnet that is there goes on. When nothing is said, in a temporary directory
    /// that is removed in the end.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Begins where the devnet of an export was, with ports and a directory of its own: as often as one likes.
    #[must_use]
    pub fn import(mut self, file: impl Into<PathBuf>) -> Self {
        self.export = Some(file.into());
        self
    }

    /// Starts it, and returns when its nodes vote.
    ///
    /// # Errors
    /// When the directory can't be used, or a node does not start or vote in time.
    pub async fn start(self) -> Result<Devnet, DevnetError> {
        let mut attempt = 1;
        loop {
            match self.clone().start_once().await {
                Err(error) if error.is_port_taken() && self.wishes.base_port.is_none() => {
                    if attempt >= PORT_ATTEMPTS || self.directory.is_some() {
                        return Err(error);
                    }
                    attempt = attempt.saturating_add(1);
                }
                outcome => return outcome,
            }
        }
    }

    async fn start_once(mut self) -> Result<Devnet, DevnetError> {
        let failed = |source| DevnetError::Io { path: std::env::temp_dir(), source };
        let (path, home) = match self.directory {
            Some(path) => (path, None),
            None => {
                let home = tempfile::Builder::new().prefix("timed-devnet-").tempdir().map_err(failed)?;
                (home.path().join("devnet"), Some(home))
            }
        };
        // One that is there has its ports.
        if self.wishes.base_port.is_none() && !path.join(crate::app::devnet::MARKER_FILE).exists() {
            let validators = self.wishes.validators.unwrap_or(crate::app::networks::DEVNET_VALIDATORS);
            self.wishes.base_port = Some(ports::free(validators)?);
        }
        if let Some(file) = self.export {
            let (into, port) = (path.clone(), self.wishes.base_port);
            let importing = move || archive::import(&file, &into, port, &mut |_, _, _| true);
            let imported = tokio::task::spawn_blocking(importing).await;
            imported.map_err(|failure| DevnetError::Stop(failure.to_string()))??;
        }
        let directory = Directory::prepare(&path, &self.wishes, false)?;
        let process = OfProcess { metrics: None, log: LogControl::of_others() };
        let fleet = Arc::new(Fleet::new(directory, Mode::InProcess(process))?);
        let devnet = Devnet { fleet, accounts: accounts(), home };
        if let Err(error) = devnet.begin().await {
            // The reason of the start says more than that of the stop.
            let _stopped = devnet.fleet.stop(&CancellationToken::new()).await.is_ok();
            return Err(error);
        }
        Ok(devnet)
    }
}

/// An account with coins from the start: 1,000,000 TIME. Everybody knows its key.
#[derive(Clone)]
pub struct Account {
    /// Its address.
    pub address: Address,
    key: SecretKey,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account({})", self.address)
    }
}

impl Account {
    /// Its key, for programs that sign by themselves.
    #[must_use]
    pub const fn key(&self) -> &SecretKey {
        &self.key
    }
}

fn accounts() -> Vec<Account> {
    let of = |key: SecretKey| Account {
        address: Address::of_key_hash(Network::Devnet, key.public().key_hash()),
        key,
        turn: Arc::default(),
    };
    devnet_account_keys().into_iter().map(of).collect()
}

/// A devnet that runs in this process.
///
/// Dropping it tells its nodes to end, and waits for none: a test that starts another one calls [`Self::stop`].
pub struct Devnet {
    fleet: Arc<Fleet>,
    accounts: Vec<Account>,
    /// Removed when this is dropped.
    home: Option<tempfile::TempDir>,
}

impl std::fmt::Debug for Devnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Devnet({})", self.directory().display())
    }
}

impl Devnet {
    /// A devnet of four validators, free ports and a temporary directory, unless the builder is told otherwise.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    async fn begin(&self) -> Result<(), DevnetError> {
        self.fleet.start().await?;
        let began = Clock.instant();
        loop {
            let report = self.fleet.report().await;
            if report.outlook.finality_goes_on {
                return Ok(());
            }
            if began.elapsed() > READY_MAX {
                return Err(DevnetError::NotReady {
                    seconds: READY_MAX.as_secs(),
                    outlook: report.outlook.text,
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Its directory, with `genesis.toml` and the nodes' data.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.fleet.directory().directory
    }

    /// The accounts that have coins from the start: ten.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// How many nodes it has, whether they run or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fleet.nodes.len()
    }

    /// Never: a devnet has three nodes at least.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fleet.nodes.is_empty()
    }

    /// Where a node's RPC is, such as `http://127.0.0.1:25001`; `None` for a number that no node has.
    #[must_use]
    pub fn rpc_url(&self, node: usize) -> Option<String> {
        Some(self.fleet.nodes.get(node)?.url())
    }

    /// A node's data directory, with its RPC cookie in `.cookie`; `None` for a number that no node has.
    #[must_use]
    pub fn data_dir(&self, node: usize) -> Option<&Path> {
        Some(&self.fleet.nodes.get(node)?.place.config.node.data_dir)
    }

    /// A client of a node's RPC, with its cookie, which changes with each start of the node.
    ///
    /// # Errors
    /// When there is no such node, or it has not run yet.
    pub fn client(&self, node: usize) -> Result<RpcClient, DevnetError> {
        let last = self.len().saturating_sub(1);
        let found = self.fleet.nodes.get(node);
        found.ok_or_else(|| DevnetError::NoSuchNode { given: node.to_string(), last })?.client()
    }

    /// What all nodes are, and whether finality goes on.
    pub async fn report(&self) -> Report {
        self.fleet.report().await
    }

    /// Ends a node at once, as far as one process allows: see [`crate::devnet`].
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn kill(&self, node: usize) -> Result<NodeReport, DevnetError> {
        self.trouble(Trouble::Kill, node).await
    }

    /// Starts a node again, after an orderly stop if it runs. It is not isolated then.
    ///
    /// # Errors
    /// When there is no such node, or it does not start.
    pub async fn restart(&self, node: usize) -> Result<NodeReport, DevnetError> {
        self.trouble(Trouble::Restart, node).await
    }

    /// Cuts a node's connections to all others, and refuses new ones until it is healed. Its RPC answers.
    ///
    /// # Errors
    /// When there is no such node, or it does not run.
    pub async fn isolate(&self, node: usize) -> Result<NodeReport, DevnetError> {
        self.trouble(Trouble::Isolate, node).await
    }

    /// Lets an isolated node connect again, which takes it a second or so.
    ///
    /// # Errors
    /// When there is no such node, or it does not run.
    pub async fn heal(&self, node: usize) -> Result<NodeReport, DevnetError> {
        self.trouble(Trouble::Heal, node).await
    }

    async fn trouble(&self, trouble: Trouble, node: usize) -> Result<NodeReport, DevnetError> {
        let mut report = self.fleet.trouble(trouble, &[node.to_string()]).await?;
        let last = self.len().saturating_sub(1);
        if node > last {
            return Err(DevnetError::NoSuchNode { given: node.to_string(), last });
        }
        Ok(report.nodes.swap_remove(node))
    }

    /// Writes the devnet to a file that does not exist yet; its nodes are stopped in good order for that, and started again.
    ///
    /// # Errors
    /// When the file can't be written, or a node does not start again.
    pub async fn export(&self, file: impl Into<PathBuf>) -> Result<Moved, DevnetError> {
        self.fleet.export(file.into()).await
    }

    /// Pays an address, through the first node that runs and is not isolated. Returns when that node knows it to be final.
    ///
    /// # Errors
    /// When it can't be paid, or is not final in [`PAYMENT_MAX`].
    pub async fn pay(&self, from: &Account, to: Address, amount: Amount) -> Result<TxId, DevnetError> {
        let _turn = from.turn.lock().await;
        let (node, client) = self.payer().await?;
        let failed = |source| node_error(&node, source);
        let txid = submit(&client, from, to, amount).await.map_err(|error| match error {
            NotSent::Rpc(source) => node_error(&node, *source),
            NotSent::Transfer(error) => error.into(),
        })?;
        let wait_ms = u64::try_from(PAYMENT_MAX.as_millis()).unwrap_or(u64::MAX);
        let params = [json!(txid), json!("final"), json!(wait_ms)];
        let status: TransactionStatusInfo =
            client.call("waitfortransaction", &params).await.map_err(failed)?;
        if status.status >= TransactionStatus::Final {
            return Ok(txid);
        }
        let outlook = self.fleet.report().await.outlook.text;
        Err(DevnetError::NotFinal { txid, seconds: PAYMENT_MAX.as_secs(), outlook })
    }

    /// A node that takes payments, by name, and its client.
    async fn payer(&self) -> Result<(String, RpcClient), DevnetError> {
        for node in &self.fleet.nodes {
            if node.state().await != State::Running {
                continue;
            }
            let Ok(client) = node.client() else { continue };
            let asked = tokio::time::timeout(ANSWER_MAX, client.call("getnetworkinfo", &[])).await;
            if matches!(asked, Ok(Ok(NetworkInfo { network_active: true, .. }))) {
                return Ok((node.name().to_owned(), client));
            }
        }
        Err(DevnetError::NobodyAnswers)
    }

    /// Stops all nodes in good order, and removes the temporary directory if there is one.
    ///
    /// # Errors
    /// When a node does not stop in time, or the directory can't be removed.
    pub async fn stop(mut self) -> Result<(), DevnetError> {
        self.fleet.stop(&CancellationToken::new()).await?;
        match self.home.take() {
            Some(home) => {
                let path = home.path().to_owned();
                home.close().map_err(DevnetError::io(path))
            }
            None => Ok(()),
        }
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        self.fleet.abandon();
    }
}

fn node_error(node: &str, source: RpcCommandError) -> DevnetError {
    DevnetError::Rpc { node: node.to_owned(), source: Box::new(source) }
}

/// Why a payment was not sent.
enum NotSent {
    Rpc(Box<RpcCommandError>),
    Transfer(crate::wallet::TransferError),
}

impl From<RpcCommandError> for NotSent {
    fn from(error: RpcCommandError) -> Self {
        Self::Rpc(Box::new(error))
    }
}

/// INV-DEVNET-9: the caller has the account's turn.
async fn submit(client: &RpcClient, from: &Account, to: Address, amount: Amount) -> Result<TxId, NotSent> {
    let chain: BlockchainInfo = client.call("getblockchaininfo", &[]).await?;
    let params = [json!(from.address), json!(COINS_LOOKED_AT)];
    let found: AddressUtxos = client.call("getaddressutxos", &params).await?;
    let lock = Lock::KeyHash(from.key.public().key_hash());
    let coins: Vec<Coin> = found
        .utxos
        .iter()
        .map(|utxo| Coin {
            outpoint: utxo.outpoint(),
            output: TxOut { value: utxo.value, lock },
            state: match (utxo.bound, utxo.spendable) {
                (true, _) => CoinState::Bound,
                (false, true) => CoinState::Free,
                (false, false) => CoinState::Locked,
            },
        })
        .collect();
    let keys = [from.key.clone()];
    let funds = Funds {
        chain_id: &chain.chain_id,
        parameters: &chain.parameters,
        coins: &coins,
        keys: &keys,
        change: lock,
    };
    let transfer =
        Transfer { network: Network::Devnet, recipient: to, payout: Payout::Exactly(amount), memo: b"" };
    let built = transfer.build(&funds).map_err(NotSent::Transfer)?;
    Ok(client.call("sendrawtransaction", &[json!(hex::encode(encode(&built.transaction)))]).await?)
}
