//! A payment by a URI with a memo, one that two people sign by files, and a message that is signed: by the commands that
//! people type.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use timed::rpc::types::{RawTransactionInfo, TransactionStatus};
use timed::types::{Address, TxId};

use crate::net::{Net, timed};
use crate::turns::Needs;

const PASSWORD: &str = "seven green boats";

/// Somebody with a directory of their own.
struct Person {
    home: PathBuf,
}

impl Person {
    /// With a new wallet.
    fn new(net: &Net, name: &str) -> Self {
        let home = net.home().join(name);
        std::fs::create_dir(&home).unwrap();
        let person = Self { home };
        let words = person.types(&["wallet", "new", "--network", "devnet", "--wallet", "wallet.json"], 0);
        assert!(words.contains("  24. "), "24 numbered words: {words}");
        person
    }

    /// Runs a command in the person's directory, with the password on standard input; what it answers and all that it
    /// says.
    fn types(&self, arguments: &[&str], code: i32) -> String {
        let mut command = timed();
        command.current_dir(&self.home).args(arguments).stdin(Stdio::piped());
        if arguments.contains(&"--wallet") {
            command.arg("--password-stdin");
        }
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = process.stdin.take().unwrap();
        // A command that needs no password may have ended.
        let _read = std::io::Write::write_all(&mut stdin, format!("{PASSWORD}\n").as_bytes());
        drop(stdin);
        let output = process.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (answer, said) = (text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {answer}{said}");
        if code == 0 { answer } else { said }
    }

    fn address(&self) -> String {
        self.types(&["wallet", "address", "--wallet", "wallet.json"], 0).trim().to_owned()
    }
}

/// The transaction as a node has it.
fn transaction(net: &Net, txid: &str) -> RawTransactionInfo {
    net.nodes[0].wait_final(txid.parse::<TxId>().unwrap());
    net.nodes[0].call("getrawtransaction", &[json!(txid), json!(1)])
}

fn paid_to(info: &RawTransactionInfo, address: &str) -> u64 {
    let address: Address = address.parse().unwrap();
    let outputs = info.transaction.vout.iter().filter(|output| output.address == address);
    outputs.map(|output| output.value.0).sum()
}

/// The parts of a command line that name the first node.
fn node(net: &Net) -> [String; 4] {
    let cookie = net.nodes[0].cookie_path().to_str().unwrap().to_owned();
    ["--rpc".to_owned(), net.nodes[0].url().to_owned(), "--cookie-file".to_owned(), cookie]
}

fn pays_by_uri(net: &Net, payee: &Person) {
    let uri = ["wallet", "uri", "--wallet", "wallet.json", "--amount", "12.5", "--memo", "order 7"];
    let uri = payee.types(&uri, 0).trim().to_owned();
    let mut send = vec!["wallet", "send", "--devnet-account", "2", "--wait", "--json", &uri];
    let node = node(net);
    send.extend(node.iter().map(String::as_str));
    let dear = payee.types(&[&send[..], &["--max-fee", "0.00000001"]].concat(), 1);
    assert!(dear.contains("--max-fee") && dear.contains("nothing was sent"), "{dear}");
    let planned: Value =
        serde_json::from_str(&payee.types(&[&send[..], &["--dry-run"]].concat(), 0)).unwrap();
    assert_eq!((&planned["sent"], &planned["status"]), (&json!(false), &json!("unknown")));
    let txid: TxId = planned["txid"].as_str().unwrap().parse().unwrap();
    assert_eq!(net.nodes[0].status_of(txid), TransactionStatus::Unknown, "a dry run sends nothing");
    let report: Value = serde_json::from_str(&payee.types(&send, 0)).unwrap();
    assert_eq!((&report["amount"], &report["sent"]), (&json!(1_250_000_000), &json!(true)));
    assert_eq!(report["status"], "final");
    let info = transaction(net, report["txid"].as_str().unwrap());
    assert_eq!(paid_to(&info, &payee.address()), 1_250_000_000);
    assert_eq!(info.transaction.memo, hex::encode("order 7"));
}

/// Both have 12.5 TIME, and together they pay 20.
fn two_sign_by_files(net: &Net, first: &Person, second: &Person) {
    let (a, b, node) = (first.address(), second.address(), node(net));
    let connected = |arguments: &[&str]| -> Vec<String> {
        arguments.iter().map(|text| (*text).to_owned()).chain(node.iter().cloned()).collect()
    };
    let run = |person: &Person, arguments: &[&str], code| {
        let all = connected(arguments);
        person.types(&all.iter().map(String::as_str).collect::<Vec<_>>(), code)
    };
    first.types(&["wallet", "watch", &a, &b, "--out", "both.json"], 0);
    let payee = net.chain.account(9).key.public().key_hash();
    let payee = Address::of_key_hash(timed::types::Network::Devnet, payee).to_string();
    // A watch-only wallet needs no password, and pays nothing by itself.
    let create =
        ["tx", "create", &payee, "20", "--memo", "rent", "--out", "rent.json", "--wallet", "both.json"];
    run(first, &[&create[..], &["--all-accounts"]].concat(), 0);
    run(first, &["wallet", "send", &payee, "1", "--wallet", "both.json"], 2);

    std::fs::copy(first.home.join("rent.json"), second.home.join("rent.json")).unwrap();
    let sign = ["tx", "sign", "rent.json", "--wallet", "wallet.json", "--out", "signed.json"];
    let asked = first.types(&sign, 2);
    assert!(
        asked.contains("--yes") && asked.contains("rent") && asked.contains("20.00000000 TIME"),
        "{asked}"
    );
    for person in [first, second] {
        person.types(&[&sign[..], &["--yes"]].concat(), 0);
    }
    let incomplete = run(first, &["tx", "broadcast", "signed.json"], 1);
    assert!(incomplete.contains(&b) && !incomplete.contains(&a), "{incomplete}");
    refuses_a_file_that_lies(first, &sign);

    let theirs: &Path = &second.home.join("signed.json");
    first.types(&["tx", "combine", "signed.json", theirs.to_str().unwrap(), "--out", "whole.json"], 0);
    let told: Value =
        serde_json::from_str(&first.types(&["tx", "inspect", "whole.json", "--json"], 0)).unwrap();
    assert_eq!((&told["complete"], &told["missing"]), (&json!(true), &json!([])));
    let sent = run(first, &["tx", "broadcast", "whole.json", "--wait", "--json"], 0);
    let sent: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!((&sent["status"], &sent["txid"]), (&json!("final"), &told["txid"]));
    let info = transaction(net, told["txid"].as_str().unwrap());
    assert_eq!((paid_to(&info, &payee), info.transaction.vin.len()), (2_000_000_000, 2));
    assert_eq!(info.transaction.memo, hex::encode("rent"));
    let fee = told["fee"].as_u64().unwrap();
    assert_eq!(paid_to(&info, &a), 500_000_000 - fee, "the change");
}

/// A smaller amount with the fee that follows from it: who signed would lose the rest.
fn refuses_a_file_that_lies(person: &Person, sign: &[&str]) {
    let path = person.home.join("rent.json");
    let honest = std::fs::read_to_string(&path).unwrap();
    let mut lie: Value = serde_json::from_str(&honest).unwrap();
    let (value, fee) = (lie["inputs"][0]["value"].as_u64().unwrap(), lie["fee"].as_u64().unwrap());
    lie["inputs"][0]["value"] = json!(value - fee / 2);
    lie["fee"] = json!(fee - fee / 2);
    std::fs::write(&path, lie.to_string()).unwrap();
    let said = person.types(&[sign, &["--yes"]].concat(), 1);
    assert!(said.contains("the file lies"), "{said}");
    std::fs::write(&path, honest).unwrap();
}

/// Account 4 gets 3 TIME and gives all of it back to account 0: it is known as used, and what both did together is the
/// two fees.
fn remembers_what_came_and_went(net: &Net, person: &Person) {
    let node = node(net);
    let run = |arguments: &[&str]| -> String {
        let own = ["--wallet", "wallet.json"];
        person.types(&[arguments, &own, &node.each_ref().map(String::as_str)].concat(), 0)
    };
    let before: Value = serde_json::from_str(&run(&["wallet", "balance", "--json"])).unwrap();
    let own = person.address();
    let fourth = person
        .types(&["wallet", "address", "--account", "4", "--wallet", "wallet.json"], 0)
        .trim()
        .to_owned();
    let there: Value =
        serde_json::from_str(&run(&["wallet", "send", &fourth, "3", "--wait", "--json"])).unwrap();
    let back = ["wallet", "send", &own, "--all", "--account", "4", "--wait", "--json"];
    let back: Value = serde_json::from_str(&run(&back)).unwrap();
    let fee = |report: &Value| report["fee"].as_i64().unwrap();
    for report in [&there, &back] {
        net.nodes[0].wait_confirmed(report["txid"].as_str().unwrap().parse().unwrap());
    }
    let history: Value =
        serde_json::from_str(&run(&["wallet", "history", "--all-accounts", "--json"])).unwrap();
    for report in [&there, &back] {
        let entry =
            history["history"].as_array().unwrap().iter().find(|entry| entry["txid"] == report["txid"]);
        let entry = entry.unwrap();
        assert_eq!((&entry["net"], &entry["accounts"]), (&json!(-fee(report)), &json!([0, 4])), "{entry}");
        assert!(entry["time"].as_u64().is_some_and(|time| time > 0), "{entry}");
    }
    let nets = history["history"].as_array().unwrap().iter().map(|entry| entry["net"].as_i64().unwrap());
    let had = before[0]["spendable"].as_i64().unwrap();
    assert_eq!(nets.sum::<i64>(), had - fee(&there) - fee(&back), "all that came and went is what is there");
    let accounts: Value = serde_json::from_str(&run(&["wallet", "accounts", "--json"])).unwrap();
    let listed: Vec<_> = accounts.as_array().unwrap().iter().map(|entry| entry["account"].clone()).collect();
    assert_eq!((listed, &accounts[1]["total"]), (vec![json!(0), json!(4)], &json!(0)), "emptied, and known");
}

fn signs_a_message(speaker: &Person, listener: &Person) {
    let sign = ["wallet", "sign-message", "I pay the rent.", "--wallet", "wallet.json"];
    let signature = speaker.types(&sign, 0).trim().to_owned();
    let address = speaker.address();
    listener.types(&["wallet", "verify-message", &address, &signature, "I pay the rent."], 0);
    listener.types(&["wallet", "verify-message", &address, &signature, "I pay no rent."], 1);
    listener.types(&["wallet", "verify-message", &listener.address(), &signature, "I pay the rent."], 1);
}

#[test]
fn two_people_are_paid_by_uri_pay_together_by_files_and_sign_a_message() {
    let net = Net::running(Needs::Ports);
    let (first, second) = (Person::new(&net, "first"), Person::new(&net, "second"));
    pays_by_uri(&net, &first);
    pays_by_uri(&net, &second);
    two_sign_by_files(&net, &first, &second);
    signs_a_message(&first, &second);
    remembers_what_came_and_went(&net, &first);
    net.assert_one_chain();
}
