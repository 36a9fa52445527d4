//! A devnet inside of a test, as a stranger uses it; and orders to one that runs as a command.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a test's verdict")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use timed::devnet::{ArchiveError, Devnet, DevnetError, Report, State};
use timed::types::codec::{decode, encode};
use timed::types::{Amount, ChainId, OutPoint, Transaction, TxOut};

/// No healthy devnet comes near it, on a busy machine neither.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);

fn quick() -> timed::devnet::Builder {
    Devnet::builder().block_interval(Duration::from_millis(300))
}

async fn eventually(devnet: &Devnet, what: &str, holds: impl Fn(&Report) -> bool) {
    let waiting = async {
        while !holds(&devnet.report().await) {
            tokio::time::sleep(POLL).await;
        }
    };
    if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
        panic!("{what}: {:#?}", devnet.report().await);
    }
}

fn all_vote(report: &Report) -> bool {
    report.outlook.weight_voting == report.outlook.weight_total
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_pays_on_a_devnet_of_his_own_in_the_midst_of_trouble() {
    let devnet = quick().start().await.unwrap();
    let (shop, customer) = (&devnet.accounts()[0], &devnet.accounts()[1]);
    let directory = devnet.directory().to_owned();
    assert!(directory.join("genesis.toml").is_file() && devnet.data_dir(3).unwrap().is_dir());
    assert_eq!((devnet.len(), devnet.rpc_url(4)), (4, None));
    let received = async || -> u64 {
        let client = devnet.client(0).unwrap();
        let found: Value = client.call("getaddressbalance", &[json!(shop.address)]).await.unwrap();
        found["spendable"].as_u64().unwrap()
    };
    let before = received().await;
    // INV-DEVNET-9. Of one account at the same time: none takes the coin of another.
    let pay = || devnet.pay(customer, shop.address, Amount(700));
    let (one, other) = tokio::join!(pay(), pay());
    assert_ne!(one.unwrap(), other.unwrap());
    assert_eq!(received().await, before + 1_400, "final when it returns");

    // With three of four all goes on; the one that is isolated hears nothing of it.
    eventually(&devnet, "all vote", all_vote).await;
    let isolated = devnet.isolate(2).await.unwrap();
    assert_eq!(isolated.state, State::Isolated);
    eventually(&devnet, "node2 is alone", |report| report.nodes[2].peers == Some(0)).await;
    let apart = pay().await.unwrap();
    let knows = async |node: usize| match devnet.client(node) {
        Ok(client) => client.call::<Value>("getrawtransaction", &[json!(apart)]).await.is_ok(),
        Err(_) => false,
    };
    assert!(knows(0).await && !knows(2).await);
    // A second one is too many.
    assert_eq!(devnet.kill(3).await.unwrap().state, State::Killed);
    let report = devnet.report().await;
    assert!(!report.outlook.finality_goes_on, "{report:#?}");
    assert_eq!(report.outlook.remedy.as_deref(), Some("heal node2"));
    assert!(!knows(3).await, "it is down");
    devnet.heal(2).await.unwrap();
    eventually(&devnet, "node2 is back", |report| report.outlook.finality_goes_on).await;
    pay().await.unwrap();
    let waited: Value =
        devnet.client(2).unwrap().call("waitfortransaction", &[json!(apart), json!("final")]).await.unwrap();
    assert!(["final", "confirmed"].contains(&waited["status"].as_str().unwrap()), "{waited}");

    // Killed and started again and again, it comes back with all it had.
    for _ in 0..3 {
        devnet.restart(3).await.unwrap();
        devnet.kill(3).await.unwrap();
    }
    devnet.restart(3).await.unwrap();
    eventually(&devnet, "node3 votes", all_vote).await;
    pay().await.unwrap();
    let nobody = devnet.kill(4).await.unwrap_err();
    assert!(matches!(nobody, DevnetError::NoSuchNode { last: 3, .. }), "{nobody}");
    devnet.stop().await.unwrap();
    assert!(!directory.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_learns_what_was_lost_what_a_spent_coin_was_worth_and_that_a_fee_is_absurd() {
    let devnet = quick().start().await.unwrap();
    let (shop, customer) = (devnet.accounts()[0].address, &devnet.accounts()[1]);
    let client = devnet.client(0).unwrap();
    let call = async |method: &str, params: &[Value]| client.call::<Value>(method, params).await;
    let chain: Value = call("getblockchaininfo", &[]).await.unwrap();
    let chain_id: ChainId = serde_json::from_value(chain["chain_id"].clone()).unwrap();
    let signed = |inputs: &[OutPoint], outputs: &[TxOut], memo: &[u8]| {
        let payment = Transaction::transfer(inputs.to_vec(), outputs.to_vec(), memo.to_vec());
        payment.signed(&chain_id, &[customer.key()])
    };
    let digits = |payment: &Transaction| json!(hex::encode(encode(payment)));

    let paid = devnet.pay(customer, shop, Amount(700)).await.unwrap();
    let told = call("getrawtransaction", &[json!(paid)]).await.unwrap();
    let first: Transaction = decode(&hex::decode(told.as_str().unwrap()).unwrap()).unwrap();
    // Another payment of the same coin. The wait would last for a minute if it were not known that it has lost.
    let rival = signed(&first.inputs, &first.outputs, b"again");
    let refused = call("sendrawtransaction", &[digits(&rival)]).await.unwrap_err().to_string();
    assert!(refused.contains("bad_txns_inputs_spent"), "{refused}");
    let asked = [json!(rival.txid()), json!("final"), json!(60_000)];
    let lost = call("waitfortransaction", &asked).await.unwrap();
    assert_eq!((&lost["status"], &lost["winner"]), (&json!("conflicted"), &json!(paid)));

    // A fee of two TIME is taken for a mistake, unless it is asked for.
    let (change, fee) = (OutPoint { txid: paid, index: 1 }, Amount(200_000_000));
    let rest = TxOut { value: Amount(first.outputs[1].value.0 - fee.0), lock: first.outputs[1].lock };
    let dear = signed(&[change], &[rest], b"");
    let refused = call("sendrawtransaction", &[digits(&dear)]).await.unwrap_err().to_string();
    assert!(refused.contains("max_fee_exceeded"), "{refused}");
    let judged = call("testmempoolaccept", &[json!([digits(&dear)])]).await.unwrap();
    assert_eq!(judged[0]["reject-reason"], "max_fee_exceeded", "{judged}");
    let sent = call("sendrawtransaction", &[digits(&dear), json!("2")]).await.unwrap();
    assert_eq!(sent, json!(dear.txid()));

    // What was spent is told from the genesis document and from blocks.
    let confirmed = [sent, json!("confirmed"), json!(60_000)];
    assert_eq!(call("waitfortransaction", &confirmed).await.unwrap()["status"], "confirmed");
    for (coin, spender, value) in
        [(first.inputs[0], paid, Amount(100_000_000_000_000)), (change, dear.txid(), first.outputs[1].value)]
    {
        let state = call("getutxostate", &[json!(coin.txid), json!(coin.index)]).await.unwrap();
        assert_eq!((&state["state"], &state["spender"]), (&json!("confirmed"), &json!(spender)));
        assert_eq!((&state["value"], &state["address"]), (&json!(value), &json!(customer.address)));
    }
    devnet.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_copies_of_a_devnet_go_on_beside_each_other_and_what_was_final_is_so_in_both() {
    let home = tempfile::tempdir().unwrap();
    let original = quick().validators(3).directory(home.path().join("original")).start().await.unwrap();
    let (shop, customer) = (original.accounts()[0].address, original.accounts()[1].clone());
    let old = original.pay(&customer, shop, Amount(700)).await.unwrap();
    let confirmed = [json!(old), json!("confirmed"), json!(60_000)];
    let status: Value = original.client(0).unwrap().call("waitfortransaction", &confirmed).await.unwrap();
    assert_eq!(status["status"], "confirmed");
    let proof: Value = original.client(0).unwrap().call("getfinalityproof", &[json!(old)]).await.unwrap();
    let file = home.path().join("devnet.tar.lz4");
    let moved = original.export(&file).await.unwrap();
    assert_eq!(moved.nodes, 3);
    let again = original.export(&file).await.unwrap_err();
    assert!(matches!(again, DevnetError::Archive(ArchiveError::Io { .. })), "it stays: {again}");

    // The original goes on, and so does the copy, with nobody of the other.
    eventually(&original, "the original goes on", all_vote).await;
    let copy = Devnet::builder().import(&file).start().await.unwrap();
    let known: Value = copy.client(1).unwrap().call("waitfortransaction", &confirmed).await.unwrap();
    assert_eq!(known["blockhash"], status["blockhash"], "the same chain");
    for devnet in [&original, &copy] {
        let held: Result<Value, _> =
            devnet.client(2).unwrap().call("verifyfinalityproof", std::slice::from_ref(&proof)).await;
        assert_eq!(held.unwrap()["txid"], json!(old));
    }
    let (one, other) = tokio::join!(
        original.pay(&original.accounts()[1], shop, Amount(11)),
        copy.pay(&copy.accounts()[1], shop, Amount(22))
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    for (devnet, own, foreign) in [(&original, one, other), (&copy, other, one)] {
        let confirmed = [json!(own), json!("confirmed"), json!(60_000)];
        let client = devnet.client(1).unwrap();
        let status: Value = client.call("waitfortransaction", &confirmed).await.unwrap();
        assert_eq!(status["status"], "confirmed");
        assert!(client.call::<Value>("getrawtransaction", &[json!(foreign)]).await.is_err());
        let evidence: Value = client.call("listevidence", &[]).await.unwrap();
        assert_eq!(evidence, json!([]), "nobody contradicted himself");
        let report = devnet.report().await;
        assert!(report.nodes.iter().all(|node| node.peers.is_some_and(|peers| peers <= 2)), "{report:#?}");
    }
    original.stop().await.unwrap();
    copy.stop().await.unwrap();
    // The original's own directory stays, and goes on with the ports that it had.
    let again = Devnet::builder().directory(home.path().join("original")).start().await.unwrap();
    let status: Value = again.client(2).unwrap().call("waitfortransaction", &[json!(one)]).await.unwrap();
    assert!(["final", "confirmed"].contains(&status["status"].as_str().unwrap()), "{status}");
    again.stop().await.unwrap();
}

/// The command, stopped when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let id = rustix::process::Pid::from_child(&self.0);
        // It may have ended by itself.
        let _gone = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _status = self.0.wait();
    }
}

fn timed(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_timed"));
    command.current_dir(home).args(arguments).stdin(Stdio::null());
    command
}

/// An order with its exit code; standard output, and standard error.
fn order(home: &Path, arguments: &[&str], code: i32) -> (String, String) {
    let output = timed(home, &[&["devnet"], arguments].concat()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stdout}{stderr}");
    (stdout, stderr)
}

fn report(home: &Path) -> Report {
    // The answer stands around it as the command shows it.
    serde_json::from_str(&order(home, &["status", "--json"], 0).0).unwrap()
}

fn until(home: &Path, what: &str, holds: impl Fn(&Report) -> bool) {
    let mut waited = Duration::ZERO;
    loop {
        let report = report(home);
        if holds(&report) {
            return;
        }
        assert!(waited < PATIENCE, "{what}: {report:#?}");
        waited += POLL;
        std::thread::sleep(POLL);
    }
}

fn state_of(process: &str) -> Option<char> {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    status.rsplit(')').next()?.trim().chars().next()
}

/// The id of the process that holds a node's data directory.
fn holder(home: &Path, node: usize) -> String {
    let lock = home.join(format!("devnet/node{node}/data/LOCK"));
    std::fs::read_to_string(lock).unwrap().trim().to_owned()
}

/// Waits until the devnet in a directory takes orders, by this socket.
fn wait_for_orders(directory: &Path) -> PathBuf {
    let socket = directory.join("control.sock");
    let mut waited = Duration::ZERO;
    while !socket.exists() {
        assert!(waited < PATIENCE, "nobody listens");
        waited += POLL;
        std::thread::sleep(POLL);
    }
    socket
}

#[test]
fn processes_are_paused_killed_isolated_and_brought_back_by_orders_from_elsewhere() {
    let place = tempfile::tempdir().unwrap();
    let home = place.path();
    let ports = ["--base-port", "24700", "--block-interval", "300ms"];
    let log = std::fs::File::create(home.join("log")).unwrap();
    let mut command = timed(home, &[&["devnet", "--processes"][..], &ports].concat());
    let _devnet = Running(command.stdout(log).spawn().unwrap());
    let socket = wait_for_orders(&home.join("devnet"));
    // INV-CONTROL-1.
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    until(home, "all vote", all_vote);

    let (stdout, _) = order(home, &["pause", "node1"], 0);
    assert!(stdout.contains("node1: paused (SIGSTOP)") && stdout.contains("3 of 4"), "{stdout}");
    assert_eq!(state_of(&holder(home, 1)), Some('T'));
    assert!(order(home, &["pause", "1"], 0).0.contains("was paused already"));
    assert!(order(home, &["isolate", "0", "1"], 1).1.contains("`timed devnet resume node1` first"));
    assert_eq!(
        report(home).nodes[0].state,
        State::Running,
        "INV-DEVNET-8: an order is obeyed whole or not at all"
    );
    assert!(order(home, &["kill", "4"], 2).1.contains("node0 to node3"));
    let killed = holder(home, 3);
    let (stdout, _) = order(home, &["kill", "node3"], 0);
    assert!(stdout.contains("2 of 4 are down") && stdout.contains("timed devnet resume node1"), "{stdout}");
    assert_eq!(state_of(&killed), None, "its process is gone");
    order(home, &["resume", "1"], 0);
    order(home, &["restart", "3"], 0);
    until(home, "all are back", all_vote);
    assert_ne!(holder(home, 3), killed);

    order(home, &["isolate", "0", "2"], 0);
    until(home, "nobody has peers", |report| {
        report.nodes[0].peers == Some(0)
            && report.nodes[2].peers == Some(0)
            && !report.outlook.finality_goes_on
    });
    order(home, &["pause", "2"], 0);
    // To all nodes to which it can be done.
    order(home, &["heal", "all"], 0);
    assert!(report(home).outlook.weight_up < report(home).outlook.weight_total);
    order(home, &["resume", "2"], 0);
    let (stdout, _) = order(home, &["restart", "2"], 0);
    assert!(stdout.contains("node2: started again, isolated no longer"), "{stdout}");
    until(home, "all have their connections", all_vote);
    let (stdout, _) = order(home, &["restart", "2"], 0);
    assert!(!stdout.contains("isolated"), "{stdout}");
    until(home, "all vote again", all_vote);

    let (stdout, _) = order(home, &["export", "file", "--json"], 0);
    let exported: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(exported["nodes"], 4);
    until(home, "all are back after the export", all_vote);

    // Elsewhere the chain goes on from there, beside this one.
    let elsewhere = home.join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let import = ["import", "../file", "--dir", "devnet", "--base-port", "24800", "--json"];
    let imported: Value = serde_json::from_str(&order(&elsewhere, &import, 0).0).unwrap();
    assert_eq!((&imported["chain_id"], &imported["base_port"]), (&exported["chain_id"], &json!(24_800)));
    assert!(order(&elsewhere, &import, 2).1.contains("is not empty"));
    let mut command = timed(&elsewhere, &["devnet", "--dir", "devnet"]);
    let _copy = Running(command.stdout(Stdio::null()).spawn().unwrap());
    wait_for_orders(&elsewhere.join("devnet"));
    until(&elsewhere, "the copy goes on", all_vote);
    let made = report(&elsewhere).nodes[0].height;
    until(&elsewhere, "the copy makes blocks", |report| report.nodes[0].height > made);
    let said = std::fs::read_to_string(home.join("log")).unwrap();
    assert!(said.contains("node3: killed (SIGKILL)") && said.contains("block"), "{said}");
}

const README: &str = include_str!("../README.md");
/// Where the devnets of the README's section are here, so that others are left alone.
const README_PORT: &str = "23300";
const README_COPY_PORT: &str = "23700";

/// The commands of the README's section, in its order, without what is said of them.
fn commands_of_the_section() -> Vec<Vec<&'static str>> {
    let section = README.split("\n## Test against a devnet\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let lines = section.lines().filter_map(|line| line.strip_prefix("    timed devnet "));
    lines.map(|line| line.split(" #").next().unwrap().split_whitespace().collect()).collect()
}

/// Runs a devnet until the end of the test.
fn keep_running(home: &Path, arguments: &[&str]) -> Running {
    let mut command = timed(home, &[&["devnet"], arguments].concat());
    Running(command.stdout(Stdio::null()).spawn().unwrap())
}

#[test]
fn the_commands_of_the_readme_do_what_it_says_of_them() {
    let place = tempfile::tempdir().unwrap();
    let home = place.path();
    let mut commands = commands_of_the_section().into_iter();
    let first = commands.next().unwrap();
    assert_eq!(first, ["--processes", "--show-payments"]);
    let ports = ["--base-port", README_PORT, "--block-interval", "300ms"];
    let _devnet = keep_running(home, &[&first[..], &ports].concat());
    wait_for_orders(&home.join("devnet"));
    until(home, "all vote", all_vote);
    let (mut typed, mut copy) = (Vec::new(), None);
    for command in commands {
        typed.push(command[0]);
        match command[..] {
            // Of the copy; it goes on beside the other one.
            ["--dir", directory] => {
                copy = Some(keep_running(home, &command));
                wait_for_orders(&home.join(directory));
            }
            ["import", .., "--base-port", _] => {
                let elsewhere = [&command[..command.len() - 1], &[README_COPY_PORT]].concat();
                order(home, &elsewhere, 0);
            }
            _ => {
                order(home, &command, 0);
            }
        }
        let finality_goes_on = |expected: bool| {
            let what = format!("finality after {command:?}");
            until(home, &what, |report| report.outlook.finality_goes_on == expected);
        };
        match command[..] {
            ["kill", "node3"] => finality_goes_on(true),
            ["isolate", "node2"] => finality_goes_on(false),
            ["heal", "all"] | ["export", ..] => until(home, "all vote again", all_vote),
            _ => {}
        }
    }
    assert!(copy.is_some(), "the README runs what it imported");
    for verb in ["status", "kill", "isolate", "restart", "heal", "export", "import"] {
        assert!(typed.contains(&verb), "the README shows no {verb}");
    }
}
