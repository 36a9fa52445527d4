//! The command line as scripts see it: exit codes, and what goes where.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a test's verdict"
)]

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use timed::app::networks::{DEVNET_VALIDATORS, devnet_genesis, devnet_genesis_at, devnet_operator_key};
use timed::protocol::finality_proof::{Anchor, Ending, FinalityProof, verify, verify_with};
use timed::protocol::state::LedgerState;
use timed::rpc::finality_proof::{FinalityProofInfo, ProofText};
use timed::types::keys::SequentialVerifier;
use timed::types::{
    Address, Amount, BlockHash, Checkpoint, FinalityVote, GenesisDocument, Hash, Header, MasternodeId,
    RuleVersion, StateDigest, Transaction, TxId, TxOut, VoteBatch, VoteKind,
};
use timed::wallet::Plan;
use timed::wallet::transaction_file::TransactionFile;

fn timed(directory: &std::path::Path, arguments: &[&str]) -> Assert {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("timed"));
    command.current_dir(directory).args(arguments);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIMED_")) {
        command.env_remove(name);
    }
    command.assert()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs it, holds its exit code, and gives standard output and standard error.
fn output(directory: &std::path::Path, arguments: &[&str], code: i32) -> (String, String) {
    let assert = timed(directory, arguments).code(code);
    let output = assert.get_output();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn every_command_explains_itself() {
    let home = tempfile::tempdir().unwrap();
    let (help, _) = output(home.path(), &["--help"], 0);
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for command in
        ["run", "devnet", "wallet", "tx", "status", "explain", "doctor", "receipt", "verify-receipt"]
    {
        assert!(commands.contains(&command), "{command} is missing in\n{help}");
    }
    let readme = include_str!("../README.md");
    for command in commands.into_iter().filter(|command| *command != "help") {
        output(home.path(), &[command, "--help"], 0);
        let is_documented = ["`timed ", "`"]
            .iter()
            .any(|start| [" ", "`"].iter().any(|end| readme.contains(&format!("{start}{command}{end}"))));
        assert!(is_documented, "the README says nothing of {command}");
    }
    let (help, _) = output(home.path(), &["devnet", "--help"], 0);
    for flag in [
        "--validators",
        "--dir",
        "--reset",
        "--load",
        "--processes",
        "--base-port",
        "--block-interval",
        "--show-payments",
    ] {
        assert!(help.contains(flag), "{flag}");
    }
    let (version, _) = output(home.path(), &["--version"], 0);
    assert!(version.contains(env!("CARGO_PKG_VERSION")));
    // What an upgrade has to know.
    assert!(version.contains(&format!("\nrules {}, protocol ", RuleVersion::NEWEST)), "{version}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn without_a_word_it_explains_itself_and_that_is_no_success() {
    let home = tempfile::tempdir().unwrap();
    let (stdout, stderr) = output(home.path(), &[], 2);
    assert!(stdout.is_empty() && stderr.contains("Usage: timed") && stderr.contains("Commands:"), "{stderr}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

/// `-1` is a number, and flags may come behind parameters as before them.
#[test]
fn parameters_of_rpc_may_be_negative() {
    let home = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    for arguments in [
        &["rpc", "--rpc", &url, "getfinalizedsince", "-20"][..],
        &["rpc", "--rpc", &url, "getfinalizedsince", "--", "-20"],
        &["rpc", "--rpc", &url, "--", "getfinalizedsince", "-20"],
        &["rpc", "getfinalizedsince", "-20", "--rpc", &url],
    ] {
        let (_, stderr) = output(home.path(), arguments, 1);
        assert!(stderr.contains(&url), "{arguments:?}: {stderr}");
    }
    // What looks like a flag and is none is not taken for a parameter.
    let (_, stderr) = output(home.path(), &["rpc", "getblock", "5", "--rcp", &url], 2);
    assert!(stderr.contains("--rcp"), "{stderr}");
}

/// Nothing of another network is told, and the directory can be used with other ports.
#[test]
fn a_devnet_whose_ports_are_taken_names_them_and_starts_nothing() {
    let home = tempfile::tempdir().unwrap();
    // Below those that the system gives to connections, any of which may still be closing, and of which all others are free.
    let listen = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).ok();
    let is_free = |base: &u16| (*base..*base + 40).all(|port| listen(port).is_some());
    let base = (12_000..30_000).step_by(50).find(is_free).unwrap();
    let taken = listen(base + 3).unwrap();
    let (address, base) = (taken.local_addr().unwrap(), base.to_string());
    for extra in [&[][..], &["--processes"]] {
        let arguments = [&["devnet", "--base-port", &base][..], extra].concat();
        let (stdout, stderr) = output(home.path(), &arguments, 1);
        assert!(stdout.is_empty(), "{stdout}");
        let is_told = stderr.contains(&format!("{address} (RPC of node1)")) && stderr.contains("--base-port");
        assert!(is_told, "{stderr}");
        assert!(!home.path().join("devnet/devnet.toml").exists());
    }
}

/// One of the devnet.
const ADDRESS: &str = "dtime1qpr2cnf6pe7wgx85jc3l5yymduulgy0vmcj0xsvqrdedsyza8m9k2qp7zd6";

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [
        &["frobnicate"][..],
        &["devnet", "--validators", "2"],
        &["devnet", "--validators", "101"],
        &["devnet", "--load", "0"],
        &["devnet", "--base-port", "80"],
        &["devnet", "--block-interval", "2"],
        &["devnet", "kill"],
        &["devnet", "frobnicate", "0"],
        &["devnet", "import", "devnet.tar.lz4"],
        &["devnet", "export", "devnet.tar.lz4"],
        &["genesis", "check", "none.toml", "--jsn"],
        &["genesis", "new", "--network", "testnet", "--out", "genesis.toml"],
        &["load", "--rate", "1"],
        &["load", "--rate", "1", "--duration", "1s", "--p99", "250"],
        &["load", "--find-peak", "--rate", "1"],
        &["wallet", "send", "--devnet-account", "10", "x", "1"],
        &["wallet", "balance", "--devnet-account", "1", "--account", "2"],
        &["wallet", "balance", "--wallet", "missing.json"],
        &["wallet", "balance", "--account", "1", "--all-accounts"],
        &["wallet", "send", "timecoin:x?amount=1"],
        &["wallet", "watch"],
        &["wallet", "export", "--public"],
        &["wallet", "uri", "--address", "dtime1x"],
        &["tx", "combine", "one.json"],
        &["tx", "sign", "none.json", "--devnet-account", "10"],
        &["tx", "create", ADDRESS, "1", "--genesis", "genesis.toml"],
        &["tx", "create", ADDRESS, "1", "--from", ADDRESS, "--devnet-account", "1"],
        &["wallet", "send", ADDRESS, "1", "--all"],
        &["status", "--rpc", "nonsense"],
        &["top"],
        &["top", "--once", "--size", "79x24"],
        &["votes", "export", "--move"],
        &["verify-proof"],
        &["verify-receipt"],
        &["verify-receipt", "receipt.json", "--network", "mainnet"],
        &["explain"],
        &["explain", "00"],
        &["receipt", "00"],
        &["verify-proof", "proof.json", "--network", "mainnet"],
        &["verify-proof", "proof.json", "--trusted", "41"],
        &["verify-receipt", "receipt.json", "--trusted", "41:00"],
        &["verify-proof", "proof.json", "--genesis", "none.toml"],
        &["verify-proof", "proof.json", "--genesis", "none.toml", "--network", "devnet"],
    ] {
        let (stdout, stderr) = output(home.path(), arguments, 2);
        assert_eq!(stdout, "", "{arguments:?}");
        assert!(stderr.contains("error:"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_wrong_configuration_is_exit_code_2_and_names_the_place() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), "[node]\nnetwrk = \"devnet\"\n").unwrap();
    for arguments in [&["--config", "config.toml"][..], &["run", "--config", "config.toml"], &["status"]] {
        let (_, stderr) = output(home.path(), arguments, 2);
        assert!(stderr.contains("config.toml, line 2") && stderr.contains("network"), "{stderr}");
    }
    let (_, stderr) = output(home.path(), &["run", "--config", "none.toml"], 2);
    assert!(stderr.contains("none.toml"), "{stderr}");
}

#[test]
fn a_node_that_does_not_answer_is_exit_code_1() {
    let home = tempfile::tempdir().unwrap();
    // Bound and closed again: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    for arguments in [
        &["status", "--rpc", &url][..],
        &["rpc", "--rpc", &url, "getblockcount"],
        &["top", "--once", "--rpc", &url],
    ] {
        let (_, stderr) = output(home.path(), arguments, 1);
        assert!(stderr.contains(&url) && stderr.contains("is it running?"), "{stderr}");
    }
}

#[test]
fn a_devnet_takes_no_directory_of_others() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("thesis.tex"), "x").unwrap();
    for arguments in [&["devnet", "--dir", "."][..], &["devnet", "--dir", ".", "--reset"]] {
        let (_, stderr) = output(home.path(), arguments, 2);
        assert!(stderr.contains("holds no devnet"), "{stderr}");
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn orders_to_a_devnet_that_does_not_run_say_how_to_start_it() {
    let home = tempfile::tempdir().unwrap();
    for verb in ["pause", "resume", "kill", "restart", "isolate", "heal"] {
        let (stdout, stderr) = output(home.path(), &["devnet", verb, "node0", "--dir", "elsewhere"], 1);
        assert!(stdout.is_empty() && stderr.contains("`timed devnet --dir elsewhere`"), "{stderr}");
    }
    let (_, stderr) = output(home.path(), &["devnet", "status", "--json"], 1);
    assert!(stderr.contains("no devnet runs in devnet"), "{stderr}");
    std::fs::write(home.path().join("file"), "a shopping list").unwrap();
    let (_, stderr) = output(home.path(), &["devnet", "import", "file", "--dir", "new"], 4);
    assert!(stderr.contains("nothing was written"), "{stderr}");
    let (_, stderr) = output(home.path(), &["devnet", "import", "file", "--dir", "."], 2);
    assert!(stderr.contains("not empty"), "{stderr}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
}

fn genesis_time() -> u64 {
    devnet_genesis(DEVNET_VALIDATORS).time_ms
}

#[test]
fn a_masternode_of_a_network_to_come_is_told_from_when_on_its_key_signs() {
    let home = tempfile::tempdir().unwrap();
    let genesis = devnet_genesis(DEVNET_VALIDATORS);
    std::fs::write(home.path().join("given.toml"), genesis.to_toml().unwrap()).unwrap();
    let init = ["init", "--network", "devnet", "--genesis", "given.toml", "--masternode", "--home", "home"];
    output(home.path(), &init, 0);
    let votes = home.path().join("home/data/votes");
    assert!(votes.exists(), "a new key may sign at once");
    std::fs::remove_dir_all(&votes).unwrap();
    let new = ["votes", "new", "--config", "home/config.toml"];
    let (_, stderr) = output(home.path(), &new, 0);
    assert!(stderr.contains("epochs that start after 2") && stderr.contains("(in "), "{stderr}");
    assert!(stderr.contains("votes new --force") && stderr.contains("WARNING"), "{stderr}");
    std::fs::remove_dir_all(&votes).unwrap();
    // Of a network that has not begun, nothing can have been signed.
    let ahead = devnet_genesis_at(DEVNET_VALIDATORS, 4_000_000_000_000).to_toml().unwrap();
    std::fs::write(home.path().join("home/genesis.toml"), ahead).unwrap();
    let (stdout, stderr) = output(home.path(), &[&new[..], &["--json"]].concat(), 0);
    let said: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (&said["signs_from_epoch"], &said["signs_at_latest_ms"]),
        (&0.into(), &4_000_000_000_000_u64.into())
    );
    assert!(!stderr.contains("WARNING"), "{stderr}");
}

#[test]
fn a_program_that_makes_nodes_reads_where_their_files_are() {
    let home = tempfile::tempdir().unwrap();
    let genesis = devnet_genesis(DEVNET_VALIDATORS);
    std::fs::write(home.path().join("given.toml"), genesis.to_toml().unwrap()).unwrap();
    let init = ["init", "--network", "devnet", "--genesis", "given.toml", "--json", "--home"];
    let made = |directory: &'static str, more: &[&str]| -> serde_json::Value {
        let (stdout, _) = output(home.path(), &[&init[..], &[directory], more].concat(), 0);
        serde_json::from_str(&stdout).unwrap()
    };
    let voter = made("voter", &["--masternode"]);
    for key in ["config", "data_dir", "identity_key", "genesis", "operator_key_file"] {
        assert!(home.path().join(voter[key].as_str().unwrap()).exists(), "{key} in {voter}");
    }
    let key = std::fs::read_to_string(home.path().join("voter/operator.key")).unwrap();
    let public = voter["operator_key"].as_str().unwrap();
    assert!(public.len() == 64 && !key.contains(public), "the public one, and no secret on the screen");
    let plain = made("plain", &[]);
    assert!(plain["operator_key"].is_null() && plain["operator_key_file"].is_null(), "{plain}");
}

#[test]
fn a_network_of_ones_own_is_made_from_public_keys_and_checked() {
    let home = tempfile::tempdir().unwrap();
    let owner = devnet_genesis(DEVNET_VALIDATORS).allocations[0].address.to_string();
    let founders: Vec<String> = (0..4)
        .map(|index| format!("{}@node{index}.example:24200", devnet_operator_key(index).public()))
        .collect();
    let allocation = format!("{owner}=100");
    let mut arguments = vec!["genesis", "new", "--network", "devnet", "--allocation", &allocation];
    for founder in &founders {
        arguments.extend(["--masternode", founder]);
    }
    arguments.extend(["--out", "genesis.toml"]);
    let (stdout, stderr) = output(home.path(), &arguments, 0);
    assert!(stdout.contains("4, of weight 40 together; 27 decide"), "{stdout}");
    assert!(stderr.contains("timed votes new"), "{stderr}");
    let (again, _) = output(home.path(), &["genesis", "check", "genesis.toml"], 0);
    assert!(again.contains("May fail     1 of 4"), "{again}");
    let (json, _) = output(home.path(), &["genesis", "check", "genesis.toml", "--json"], 0);
    let said: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&said["quorum"], &said["may_fail"]), (&27.into(), &1.into()));
    let (hash, _) = output(home.path(), &["genesis", "hash", "genesis.toml"], 0);
    assert_eq!(said["chain_id"], hash.trim());

    // Neither overwritten, nor made of what starts no network.
    let (_, stderr) = output(home.path(), &arguments, 1);
    assert!(stderr.contains("genesis.toml"), "{stderr}");
    let twice = [&arguments[..], &["--masternode", &founders[0]]].concat();
    let elsewhere: Vec<&str> =
        twice.iter().map(|word| if *word == "genesis.toml" { "twice.toml" } else { *word }).collect();
    let (_, stderr) = output(home.path(), &elsewhere, 2);
    assert!(stderr.contains("named twice") && stderr.contains("the address of masternode 0"), "{stderr}");
    assert!(!home.path().join("twice.toml").exists());
    let (_, stderr) = output(home.path(), &[&elsewhere[..], &["--start", "1s"]].concat(), 2);
    assert!(stderr.contains("--start"), "{stderr}");

    // Every problem is named.
    let text = std::fs::read_to_string(home.path().join("genesis.toml")).unwrap();
    let broken = text.replace("recent_commits = ", "recent_commits = 10").replace(":24200", "");
    std::fs::write(home.path().join("broken.toml"), broken).unwrap();
    let (stdout, stderr) = output(home.path(), &["genesis", "check", "broken.toml"], 2);
    assert!(stdout.is_empty() && stderr.contains("recent_commits"), "{stderr}");
    assert_eq!(stderr.matches("is not HOST:PORT").count(), 4, "{stderr}");
    let (json, _) = output(home.path(), &["genesis", "check", "broken.toml", "--json"], 2);
    let said: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(said["problems"].as_array().unwrap().len(), 5);
}

/// Nobody has to start a node, or to have a network, to sign what a file holds.
#[test]
fn a_payment_is_signed_without_a_node() {
    let home = tempfile::tempdir().unwrap();
    let document = devnet_genesis(DEVNET_VALIDATORS);
    let (outpoint, coin) = document.outputs()[0];
    let paid = TxOut { value: Amount(coin.value.0 - 1_000), lock: coin.lock };
    let plan = Plan {
        transaction: Transaction::transfer(vec![outpoint], vec![paid], b"gift".to_vec()),
        spent: vec![coin],
        fee: Amount(1_000),
        change: Amount::ZERO,
    };
    let (network, chain) = (document.network, document.chain_id());
    let file = TransactionFile::new(network, chain, plan, Vec::new(), Some(document)).unwrap();
    std::fs::write(home.path().join("tx.json"), file.to_text().unwrap()).unwrap();
    let (told, _) = output(home.path(), &["tx", "inspect", "tx.json"], 0);
    assert!(told.contains("Memo  \"gift\"") && told.contains("Signed by 0 of 1 owners"), "{told}");
    let sign = ["tx", "sign", "tx.json", "--devnet-account", "0"];
    let (signed, stderr) = output(home.path(), &sign, 2);
    assert!(signed.is_empty() && stderr.contains("--yes"), "without a terminal nobody has agreed: {stderr}");
    let high = [&sign[..], &["--yes", "--max-fee", "0.00000999"]].concat();
    assert!(output(home.path(), &high, 1).1.contains("--max-fee"));
    output(home.path(), &["tx", "sign", "tx.json", "--devnet-account", "1", "--yes"], 1);
    let (signed, stderr) = output(home.path(), &[&sign[..], &["--yes"]].concat(), 0);
    assert!(stderr.contains("It costs you 0.00001000 TIME"), "the rest comes back: {stderr}");
    assert!(TransactionFile::from_text(&signed).unwrap().complete().is_some());
    std::fs::write(home.path().join("tx.json"), "{}").unwrap();
    output(home.path(), &["tx", "inspect", "tx.json"], 1);
    makes_and_signs_a_payment_of_given_coins(home.path());
}

/// Nothing proves the amounts of coins that are given.
fn makes_and_signs_a_payment_of_given_coins(home: &std::path::Path) {
    let document = devnet_genesis(DEVNET_VALIDATORS);
    std::fs::write(home.join("genesis.toml"), document.to_toml().unwrap()).unwrap();
    let (outpoint, coin) = document.outputs()[0];
    let address = Address { network: document.network, lock: coin.lock };
    let given = format!("{outpoint}:{}:{address}", coin.value);
    let to = address.to_string();
    let create =
        ["tx", "create", &to, "1", "--given", &given, "--genesis", "genesis.toml", "--out", "given.json"];
    assert!(output(home, &create, 0).1.contains("NOTHING PROVES THIS AMOUNT"));
    let said = output(home, &create, 1).1;
    assert!(said.contains("given.json exists already"), "{said}");
    let sign = ["tx", "sign", "given.json", "--devnet-account", "0", "--yes"];
    let (signed, said) = output(home, &sign, 1);
    assert!(signed.is_empty() && said.contains("--trust-amounts"), "{said}");
    let (signed, _) = output(home, &[&sign[..], &["--trust-amounts"]].concat(), 0);
    assert!(TransactionFile::from_text(&signed).unwrap().complete().is_some());
}

/// The proof of the public devnet's validators that a transaction is final in epoch 0, as a node gives it.
fn proof() -> String {
    let genesis = devnet_genesis(DEVNET_VALIDATORS);
    let (state, _) = LedgerState::genesis(&genesis).unwrap();
    let txid = TxId([7; 32]);
    let vote = FinalityVote { kind: VoteKind::Final, txid };
    let votes = (0..DEVNET_VALIDATORS).map(|index| {
        let id = GenesisDocument::masternode_id(&genesis.collateral_outpoint(index));
        let secret = devnet_operator_key(index);
        VoteBatch::signed(state.chain_id(), 0, id, 0, vec![vote], &secret).prove(0).unwrap()
    });
    let ending = Ending::voted(txid, 0, votes, state.validators()).unwrap();
    let proof = FinalityProof::new(genesis.chain_id(), txid, Vec::new(), ending);
    let proved = verify(&genesis, &proof).unwrap();
    serde_json::to_string_pretty(&FinalityProofInfo::of(&proof, &proved)).unwrap()
}

#[test]
fn a_proof_from_a_trusted_block_is_checked_by_who_names_the_block() {
    let home = tempfile::tempdir().unwrap();
    let genesis = devnet_genesis(DEVNET_VALIDATORS);
    let (state, _) = LedgerState::genesis(&genesis).unwrap();
    let header = Header {
        chain_id: genesis.chain_id(),
        height: 41,
        round: 0,
        epoch: 0,
        epoch_end: false,
        time: genesis.time_ms + 1,
        prev_hash: BlockHash::ZERO,
        last_commit_root: Hash::ZERO,
        tx_root: Hash::ZERO,
        evidence_root: Hash::ZERO,
        epoch_ends_root: Hash::ZERO,
        state_digest: StateDigest::ZERO,
        validators_hash: state.validators().hash(),
        next_validators_hash: state.validators().hash(),
        proposer: MasternodeId::ZERO,
        rules: RuleVersion::FIRST,
        announced: RuleVersion::FIRST,
    };
    let plain = proof();
    let read = ProofText::parse(&plain).unwrap().proof;
    let anchored = read.anchored(Anchor::new(&header, state.validators(), state.validators()).unwrap());
    let trusted = Checkpoint::of(&header);
    let proved = verify_with(&genesis, Some(&trusted), &anchored, &SequentialVerifier).unwrap();
    let anchored = serde_json::to_string(&FinalityProofInfo::of(&anchored, &proved)).unwrap();
    std::fs::write(home.path().join("genesis.toml"), genesis.to_toml().unwrap()).unwrap();
    std::fs::write(home.path().join("plain.json"), plain).unwrap();
    std::fs::write(home.path().join("anchored.json"), anchored).unwrap();
    let check = |file: &str, trusted: Option<&str>, code| {
        let mut arguments = vec!["verify-proof", file, "--genesis", "genesis.toml"];
        arguments.extend(trusted.iter().flat_map(|trusted| ["--trusted", trusted]));
        output(home.path(), &arguments, code)
    };
    let (trusted, other) = (trusted.to_string(), format!("41:{}", "00".repeat(32)));
    let (stdout, _) = check("anchored.json", Some(&trusted), 0);
    assert!(stdout.contains(&format!("that block {trusted} is of the chain")), "{stdout}");
    for (file, named, said) in [
        ("anchored.json", None, "known to be of the chain by other means"),
        ("anchored.json", Some(other.as_str()), "known to be of the chain by other means"),
        ("plain.json", Some(trusted.as_str()), "starts from the genesis document"),
    ] {
        let (_, stderr) = check(file, named, 1);
        assert!(stderr.contains(said), "{stderr}");
    }
}

#[test]
fn a_proof_is_checked_without_a_node() {
    let home = tempfile::tempdir().unwrap();
    let text = proof();
    std::fs::write(home.path().join("proof.json"), &text).unwrap();
    let genesis = devnet_genesis(DEVNET_VALIDATORS).to_toml().unwrap();
    std::fs::write(home.path().join("genesis.toml"), genesis).unwrap();
    let other = devnet_genesis(DEVNET_VALIDATORS + 1).to_toml().unwrap();
    std::fs::write(home.path().join("other.toml"), other).unwrap();
    // A devnet of this directory is found.
    let beside = home.path().join("devnet");
    std::fs::create_dir(&beside).unwrap();
    std::fs::copy(home.path().join("genesis.toml"), beside.join("genesis.toml")).unwrap();
    for (arguments, warned) in [
        (&["verify-proof", "proof.json"][..], true),
        (&["verify-proof", "proof.json", "--network", "devnet"], true),
        (&["verify-proof", "proof.json", "--genesis", "genesis.toml"], false),
    ] {
        let (stdout, stderr) = output(home.path(), arguments, 0);
        assert!(stdout.starts_with("The proof holds.\n") && stdout.contains(&"07".repeat(32)), "{stdout}");
        assert!(stdout.contains("3 of 4 validators, weight 30 of 40, 27 needed"), "{stdout}");
        assert_eq!(stderr.contains("WARNING"), warned, "{stderr}");
        assert!(warned || stderr.is_empty(), "{stderr}");
    }
    let (stdout, _) = output(home.path(), &["verify-proof", "proof.json", "--json"], 0);
    let said: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&said["holds"], &said["proves"]["epoch"]), (&true.into(), &0.into()));
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("timed"));
    command.current_dir(home.path()).args(["verify-proof", "-"]).write_stdin(text.clone()).assert().code(0);
    command.write_stdin(text.replacen("07", "08", 1)).assert().code(1);

    std::fs::write(home.path().join("changed.json"), text.replacen("\"signers\": 3", "\"signers\": 4", 1))
        .unwrap();
    std::fs::write(home.path().join("binary"), [0xff; 100]).unwrap();
    for (arguments, said) in [
        (&["verify-proof", "changed.json"][..], "is not what the proof proves"),
        (&["verify-proof", "binary"], "no finality proof"),
        (&["verify-proof", "none.json"], "none.json"),
        (&["verify-proof", "proof.json", "--genesis", "other.toml"], "genesis document of its own network"),
    ] {
        let (stdout, stderr) = output(home.path(), arguments, 1);
        assert!(stdout.is_empty() && stderr.contains(said), "{arguments:?}: {stderr}");
    }
    // The same validators, a moment later: a devnet that was made anew.
    let anew = devnet_genesis_at(DEVNET_VALIDATORS, genesis_time() + 1).to_toml().unwrap();
    std::fs::write(beside.join("genesis.toml"), anew).unwrap();
    let (_, stderr) = output(home.path(), &["verify-proof", "proof.json"], 1);
    assert!(stderr.contains("genesis document of its own network"), "{stderr}");
    let (stdout, _) =
        output(home.path(), &["verify-proof", "changed.json", "--genesis", "genesis.toml", "--json"], 1);
    let said: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&said["holds"], &said["reason"]), (&false.into(), &"other_summary".into()));
}
