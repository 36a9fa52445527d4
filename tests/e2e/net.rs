//! A network of node processes in a temporary directory, and what tests do with it.
//!
//! Every process is killed when its owner is dropped, by a panic too.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use timed::app::devnet::{Devnet, DevnetWishes, write_marker};
use timed::app::networks::{devnet_account_keys, devnet_genesis, load_genesis};
use timed::cli::rpc_client::{Endpoint, RpcClient, RpcCommandError};
use timed::protocol::validity::minimum_fee;
use timed::rpc::types::{NodeState, NodeStatus, TransactionStatus, TransactionStatusInfo, UtxoStateInfo};
use timed::runtime::config::StorageEngine;
use timed::runtime::{Clock, Config, ConfigSources};
use timed::types::codec::encode;
use timed::types::{
    Amount, BlockHash, ChainId, ChainParameters, GenesisDocument, Height, OutPoint, SecretKey, Transaction,
    TxId,
};
use timed::types::{Lock, TxOut};

use crate::turns::{self, Needs, Turn};

/// No healthy network comes near it, on a busy machine neither.
pub const DEADLINE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(25);
const LOG_LINES_SHOWN: usize = 25;

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
});

/// Asks again until there is an answer.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Clock.instant();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        let waited = Clock.instant().saturating_duration_since(began);
        assert!(waited < DEADLINE, "gave up waiting: {what}");
        std::thread::sleep(POLL);
    }
}

/// The program, without settings of the environment.
pub fn timed() -> Command {
    timed_of(Path::new(env!("CARGO_BIN_EXE_timed")))
}

/// The same of another build.
pub fn timed_of(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIMED_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// A process that does not outlive its owner.
pub struct Process(Child);

impl Process {
    pub fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// The exit code, once there is one; -1 for a signal.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.0.try_wait().unwrap().map(|status| status.code().unwrap_or(-1))
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// SIGSTOP: it stands still as a suspended machine does, with its connections open.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// Its open file handles, and its resident memory in KiB.
    pub fn resources(&self) -> (usize, u64) {
        let handles = std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap().count();
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        (handles, resident.trim().trim_end_matches(" kB").parse().unwrap())
    }

    /// The shell sends it, since the standard library has no safe call for it.
    pub fn signal(&self, name: &str) {
        let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.id())).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Process {
    /// SIGKILL.
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

/// A running node's client, if it runs.
#[derive(Clone, Default)]
struct SharedClient(Arc<Mutex<Option<RpcClient>>>);

impl SharedClient {
    fn get(&self) -> Option<RpcClient> {
        self.0.lock().unwrap().clone()
    }

    fn set(&self, client: Option<RpcClient>) {
        *self.0.lock().unwrap() = client;
    }
}

/// A node of the network; runs or not.
pub struct Node {
    /// The program that it runs from its next start on.
    pub program: PathBuf,
    pub config_path: PathBuf,
    pub log_path: PathBuf,
    cookie_path: PathBuf,
    url: String,
    process: Option<Process>,
    /// Shared with payers, which go on with the node's next life.
    client: SharedClient,
}

impl Node {
    /// A node by its configuration file, whose data directory is `data` beside it.
    pub fn new(config_path: PathBuf, rpc_port: u16) -> Self {
        let home = config_path.parent().unwrap().to_owned();
        Self {
            log_path: home.join("node.log"),
            cookie_path: home.join("data/.cookie"),
            url: format!("http://127.0.0.1:{rpc_port}"),
            config_path,
            program: PathBuf::from(env!("CARGO_BIN_EXE_timed")),
            process: None,
            client: SharedClient::default(),
        }
    }

    pub fn data_dir(&self) -> PathBuf {
        self.config_path.with_file_name("data")
    }

    /// Starts the process, without waiting for an answer.
    pub fn spawn(&mut self) {
        self.spawn_with(|_| {});
    }

    /// The same of a command that `change` has changed.
    pub fn spawn_with(&mut self, change: impl FnOnce(&mut Command)) {
        assert!(self.process.is_none(), "{} runs already", self.url);
        // A killed node leaves its cookie; it is not the next one's.
        let _gone = std::fs::remove_file(&self.cookie_path);
        let log = OpenOptions::new().create(true).append(true).open(&self.log_path).unwrap();
        let mut command = timed_of(&self.program);
        command.args(["run", "--config"]).arg(&self.config_path);
        if let Some(level) = std::env::var_os("E2E_LOG") {
            command.env("TIMED_LOGGING__LEVEL", level);
        }
        command.stdout(Stdio::from(log.try_clone().unwrap())).stderr(Stdio::from(log));
        change(&mut command);
        self.process = Some(Process::spawn(&mut command));
    }

    /// Whether it answers yet.
    pub fn try_connect(&self) -> bool {
        let endpoint = Endpoint::with_cookie_at(self.url.clone(), self.cookie_path.clone());
        let Ok(client) = RpcClient::connect(&endpoint) else { return false };
        let answers = RUNTIME.block_on(client.call::<Value>("getblockcount", &[])).is_ok();
        if answers {
            self.client.set(Some(client));
        }
        answers
    }

    /// Waits until it answers.
    pub fn connect(&mut self) {
        wait_for("the node's first answer", || {
            assert_eq!(self.exit_code(), None, "{} ended", self.url);
            self.try_connect().then_some(())
        });
    }

    pub fn start(&mut self) {
        self.spawn();
        self.connect();
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        self.client.set(None);
        process.terminate();
        assert_eq!(wait_for("the end of a node", || process.exit_code()), 0);
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        drop(self.process.take());
        self.client.set(None);
    }

    pub const fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    /// The exit code, once there is one.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.process.as_mut().unwrap().exit_code()
    }

    fn client(&self) -> RpcClient {
        self.client.get().expect("the node runs")
    }

    pub fn is_running(&self) -> bool {
        self.client.get().is_some()
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn cookie_path(&self) -> &Path {
        &self.cookie_path
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log_path).unwrap_or_default()
    }

    pub fn try_call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &[Value],
    ) -> Result<T, RpcCommandError> {
        call(&self.client(), method, params)
    }

    pub fn call<T: DeserializeOwned>(&self, method: &str, params: &[Value]) -> T {
        self.try_call(method, params).unwrap_or_else(|error| panic!("{} {method}: {error}", self.url))
    }

    pub fn height(&self) -> Height {
        self.call("getblockcount", &[])
    }

    pub fn hash_at(&self, height: Height) -> BlockHash {
        self.call("getblockhash", &[json!(height)])
    }

    pub fn wait_height(&self, height: Height) {
        wait_for(&format!("block {height} at {}", self.url), || (self.height() >= height).then_some(()));
    }

    /// The first block may come before a peer said where it is.
    pub fn wait_synced(&self) {
        wait_for(&format!("{} to be synced", self.url), || {
            (self.node_status().state != NodeState::Syncing).then_some(())
        });
    }

    pub fn send(&self, transaction: &Transaction) -> Result<TxId, RpcCommandError> {
        self.try_call("sendrawtransaction", &[json!(hex::encode(encode(transaction)))])
    }

    /// Submits many; the answers in their order.
    pub fn send_many(&self, transactions: &[Transaction]) -> Vec<Result<(), RpcCommandError>> {
        let bytes: Vec<Vec<u8>> = transactions.iter().map(encode).collect();
        let submit = |batch: &[Vec<u8>]| RUNTIME.block_on(self.client().submit_batch(batch)).unwrap();
        bytes.chunks(20).flat_map(submit).collect()
    }

    pub fn status_of(&self, txid: TxId) -> TransactionStatus {
        self.call::<TransactionStatusInfo>("gettransactionstatus", &[json!(txid)]).status
    }

    pub fn wait_final(&self, txid: TxId) {
        self.wait_status(txid, "final", TransactionStatus::Final);
    }

    pub fn wait_confirmed(&self, txid: TxId) {
        self.wait_status(txid, "confirmed", TransactionStatus::Confirmed);
    }

    pub fn wait_state(&self, state: NodeState) {
        wait_for(&format!("{state:?} at {}", self.url), || (self.node_status().state == state).then_some(()));
    }

    fn wait_status(&self, txid: TxId, target: &str, least: TransactionStatus) {
        let params = [json!(txid), json!(target), json!(60_000)];
        let info: TransactionStatusInfo = self.call("waitfortransaction", &params);
        assert!(info.status >= least, "{txid} is {:?} at {} instead of {target}", info.status, self.url);
    }

    pub fn utxo_state(&self, outpoint: OutPoint) -> UtxoStateInfo {
        self.call("getutxostate", &[json!(outpoint.txid), json!(outpoint.index)])
    }

    pub fn node_status(&self) -> NodeStatus {
        self.call("getnodestatus", &[])
    }
}

fn call<T: DeserializeOwned>(
    client: &RpcClient,
    method: &str,
    params: &[Value],
) -> Result<T, RpcCommandError> {
    RUNTIME.block_on(client.call(method, params))
}

/// The network. Fields are dropped in their order: processes first.
pub struct Net {
    pub nodes: Vec<Node>,
    pub chain: Chain,
    home: tempfile::TempDir,
    turn: Turn,
}

/// Both engines are in every campaign, in turn: a network does not know what its nodes keep their index in.
fn set_engine(config: &Path, engine: StorageEngine) {
    let text = std::fs::read_to_string(config).unwrap();
    let section = format!("[storage]\nengine = \"{}\"\n", engine.name());
    if !text.contains("\nengine = ") {
        std::fs::write(config, text.replacen("[storage]\n", &section, 1)).unwrap();
    }
    assert!(std::fs::read_to_string(config).unwrap().contains(&section));
}

impl Net {
    /// A devnet's directory, no node running.
    pub fn prepare(needs: Needs, validators: usize, change: impl FnOnce(&mut ChainParameters)) -> Self {
        let mut document = devnet_genesis(validators);
        change(&mut document.parameters);
        Self::prepare_document(needs, document, |_| {})
    }

    /// The same of another document, whose masternodes get addresses of this network; `change` sees each node's
    /// configuration file.
    pub fn prepare_document(needs: Needs, mut document: GenesisDocument, change: impl Fn(&Path)) -> Self {
        let turn = turns::turn(needs);
        for (place, masternode) in document.masternodes.iter_mut().enumerate() {
            masternode.network_address = format!("127.0.0.1:{}", turn.port(place));
        }
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("devnet");
        std::fs::create_dir(&directory).unwrap();
        let validators = document.masternodes.len();
        // As an existing devnet of another genesis, which `prepare` completes.
        write_marker(&directory, validators, turn.port(0)).unwrap();
        std::fs::write(directory.join("genesis.toml"), document.to_toml().unwrap()).unwrap();
        let (nodes, chain) = Self::open(&directory, validators, false, &change);
        Self { nodes, chain, home, turn }
    }

    fn open(directory: &Path, validators: usize, reset: bool, change: &dyn Fn(&Path)) -> (Vec<Node>, Chain) {
        let wishes = DevnetWishes { validators: Some(validators), ..DevnetWishes::default() };
        let devnet = Devnet::prepare(directory, &wishes, reset).unwrap();
        let nodes = devnet
            .nodes
            .iter()
            .enumerate()
            .map(|(place, node)| {
                let engine = StorageEngine::ALL[place % StorageEngine::ALL.len()];
                set_engine(&node.config_path, engine);
                change(&node.config_path);
                let sources =
                    ConfigSources { file: Some(node.config_path.clone()), ..ConfigSources::default() };
                let rpc_port = Config::load(&sources).unwrap().rpc.listen_address.port();
                Node::new(node.config_path.clone(), rpc_port)
            })
            .collect();
        (nodes, Chain::new(load_genesis(&devnet.nodes[0].config).unwrap()))
    }

    /// A new devnet of as many validators in the place of this one, whose nodes are killed; none of it runs yet.
    pub fn reset(&mut self) {
        self.nodes.iter_mut().for_each(Node::kill);
        (self.nodes, self.chain) =
            Self::open(&self.home.path().join("devnet"), self.nodes.len(), true, &|_| {});
    }

    /// Four validators that have made their first block.
    pub fn running(needs: Needs) -> Self {
        Self::running_with(needs, |_| {})
    }

    pub fn running_with(needs: Needs, change: impl FnOnce(&mut ChainParameters)) -> Self {
        let mut net = Self::prepare(needs, 4, change);
        net.start_all();
        for node in &net.nodes {
            node.wait_height(1);
            node.wait_synced();
        }
        net
    }

    pub fn start_all(&mut self) {
        for node in &mut self.nodes {
            node.spawn();
        }
        for node in &mut self.nodes {
            node.connect();
        }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The port for peers of the node at a place; its RPC has the next one. From [`turns::GUESTS`] on they are free for
    /// nodes that join.
    pub fn port(&self, place: usize) -> u16 {
        self.turn.port(place)
    }

    pub fn live(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_running())
    }

    /// All nodes that run have the same blocks, up to the least of their heights, which it tells.
    pub fn assert_one_chain(&self) -> Height {
        let height = self.live().map(Node::height).min().unwrap();
        for at in 1..=height {
            let hashes: Vec<BlockHash> = self.live().map(|node| node.hash_at(at)).collect();
            assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "height {at}: {hashes:?}");
        }
        height
    }

    /// Payments that go on until the payer is dropped, one after the other, through these nodes in turn.
    pub fn pay_through(&self, nodes: &[usize], account: usize) -> Payer {
        let clients = nodes.iter().map(|node| self.nodes[*node].client.clone()).collect();
        Payer::start(self.chain.clone(), clients, self.chain.account(account))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // For whoever looks for the reason.
            self.home.disable_cleanup(true);
            for node in &self.nodes {
                let log = node.log();
                let lines: Vec<&str> = log.lines().collect();
                let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
                eprintln!("--- {} ---\n{}", node.log_path.display(), shown.join("\n"));
            }
        }
    }
}

/// What is needed to build transactions.
#[derive(Clone)]
pub struct Chain {
    pub document: Arc<GenesisDocument>,
    pub id: ChainId,
}

/// An output and who may spend it.
#[derive(Clone)]
pub struct Coin {
    pub outpoint: OutPoint,
    pub value: Amount,
    pub key: SecretKey,
}

impl Chain {
    fn new(document: GenesisDocument) -> Self {
        let id = document.chain_id();
        Self { document: Arc::new(document), id }
    }

    /// The genesis output of a devnet account.
    pub fn account(&self, account: usize) -> Coin {
        let (outpoint, output) = self.document.outputs()[account];
        Coin { outpoint, value: output.value, key: devnet_account_keys()[account].clone() }
    }

    /// Spends a coin to a key in equal outputs with the least fee; the memo tells conflicting ones apart.
    pub fn spend(&self, coin: &Coin, to: &SecretKey, outputs: u64, memo: &str) -> Transaction {
        let draft = self.spend_paying(coin, to, outputs, memo, Amount::ZERO);
        let fee = minimum_fee(encode(&draft).len(), &self.document.parameters);
        self.spend_paying(coin, to, outputs, memo, fee)
    }

    pub fn spend_paying(
        &self,
        coin: &Coin,
        to: &SecretKey,
        outputs: u64,
        memo: &str,
        fee: Amount,
    ) -> Transaction {
        let value = Amount((coin.value.0 - fee.0) / outputs);
        let output = TxOut { value, lock: Lock::KeyHash(to.public().key_hash()) };
        let outputs = (0..outputs).map(|_| output).collect();
        Transaction::transfer(vec![coin.outpoint], outputs, memo.as_bytes().to_vec())
            .signed(&self.id, &[&coin.key])
    }

    /// What a transaction made for a key.
    pub fn coins(transaction: &Transaction, key: &SecretKey) -> Vec<Coin> {
        transaction
            .created(transaction.txid())
            .map(|(outpoint, output)| Coin { outpoint, value: output.value, key: key.clone() })
            .collect()
    }
}

/// Pays one coin to itself again and again, and notes what was final.
pub struct Payer {
    stop: Arc<AtomicBool>,
    finals: Arc<Mutex<Vec<(TxId, Instant)>>>,
    thread: Option<JoinHandle<()>>,
}

impl Payer {
    fn start(chain: Chain, clients: Vec<SharedClient>, coin: Coin) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let finals = Arc::new(Mutex::new(Vec::new()));
        let (told, noted) = (Arc::clone(&stop), Arc::clone(&finals));
        let thread = std::thread::spawn(move || pay(&chain, &clients, coin, &told, &noted));
        Self { stop, finals, thread: Some(thread) }
    }

    /// The payments that a node has called final.
    pub fn finals(&self) -> Vec<TxId> {
        self.finals.lock().unwrap().iter().map(|(txid, _)| *txid).collect()
    }

    /// The longest time between two of them that follow each other, and how many there are.
    pub fn longest_pause(&self) -> (Duration, usize) {
        let finals = self.finals.lock().unwrap();
        let pauses = finals.iter().zip(finals.iter().skip(1)).map(|((_, one), (_, next))| *next - *one);
        (pauses.max().unwrap_or_default(), finals.len())
    }

    /// Waits until so many more are final.
    pub fn wait_more(&self, count: usize) {
        let wanted = self.finals().len() + count;
        wait_for("more final payments", || (self.finals().len() >= wanted).then_some(()));
    }
}

impl Drop for Payer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

fn pay(
    chain: &Chain,
    clients: &[SharedClient],
    mut coin: Coin,
    stop: &AtomicBool,
    finals: &Mutex<Vec<(TxId, Instant)>>,
) {
    let key = coin.key.clone();
    let mut transaction = chain.spend(&coin, &key, 1, "");
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
        let Some(client) = clients[turn % clients.len()].get() else { continue };
        let sent = call::<TxId>(&client, "sendrawtransaction", &[json!(hex::encode(encode(&transaction)))]);
        // -27: another node took it, and it is in a block.
        if !matches!(sent, Ok(_) | Err(RpcCommandError::Refused { code: -27, .. })) {
            continue;
        }
        let txid = transaction.txid();
        let params = [json!(txid), json!("final"), json!(2_000)];
        let info = call::<TransactionStatusInfo>(&client, "waitfortransaction", &params);
        if info.is_ok_and(|info| info.status >= TransactionStatus::Final) {
            finals.lock().unwrap().push((txid, Clock.instant()));
            coin = Chain::coins(&transaction, &key).remove(0);
            transaction = chain.spend(&coin, &key, 1, "");
        }
    }
}

/// Runs the program to its end: exit code and everything it wrote.
pub fn run_to_end(command: &mut Command, output: &Path) -> (i32, String) {
    let file = File::create(output).unwrap();
    command.stdout(Stdio::from(file.try_clone().unwrap())).stderr(Stdio::from(file));
    let mut process = Process::spawn(command);
    let code = wait_for("the end of the program", || process.exit_code());
    (code, std::fs::read_to_string(output).unwrap())
}
