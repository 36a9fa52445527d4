//! What a node tells of a payment on its way, of its pool, its chain and itself; and a receipt that needs no node.

use serde_json::{Value, json};
use timed::rpc::types::{
    BlockTip, CommitInfo, DiskInfo, DiskOutlook, ExplainInfo, IndexInfo, MasternodeInfo, MemberLatency,
    MemoryInfo, MempoolEntry, OutputSetInfo, TransactionStatus, VoteLatencyInfo,
};

use crate::net::{Net, Node, run_to_end, timed, wait_for};
use crate::turns::Needs;

fn command(net: &Net, node: &Node, arguments: &[&str]) -> (i32, String) {
    let mut command = timed();
    command.current_dir(net.home()).args(arguments).args(["--rpc", node.url()]);
    run_to_end(&mut command, &net.home().join("output"))
}

fn explained(node: &Node, txid: &impl serde::Serialize) -> ExplainInfo {
    node.call("explaintransaction", &[json!(txid)])
}

#[test]
fn a_payment_without_a_quorum_is_explained_and_a_final_one_has_a_receipt() {
    let mut net = Net::running(Needs::Ports);
    let coin = net.chain.account(0);
    net.nodes[2].kill();
    net.nodes[3].kill();
    let payment = net.chain.spend(&coin, &coin.key, 2, "order 7");
    let txid = payment.txid();
    let unknown = explained(&net.nodes[0], &txid);
    assert!(unknown.votes.is_none() && unknown.says[0].contains("knows nothing"), "{unknown:?}");
    net.nodes[0].send(&payment).unwrap();
    let waiting = wait_for("the votes of those who are left", || {
        let info = explained(&net.nodes[0], &txid);
        let votes = info.votes.as_ref()?;
        let silent = votes.masternodes.iter().filter(|member| !member.connected).count();
        (votes.lock_weight == 20 && silent == 2).then_some(info)
    });
    let votes = waiting.votes.as_ref().unwrap();
    assert_eq!((votes.quorum, votes.total_weight, votes.final_weight), (27, 40, 0));
    assert!(waiting.says.join(" ").contains("not connected to this node"), "{:?}", waiting.says);
    let text = txid.to_string();
    let (code, said) = command(&net, &net.nodes[0], &["explain", &text]);
    assert!(code == 0 && said.contains("Lock 20, Final 0, of 40; 27 decide"), "{said}");
    let doctor = |file: &str| {
        let mut command = timed();
        let config = net.home().join("devnet/node0/config.toml");
        command.current_dir(net.home()).args(["doctor", "--bundle", file, "--config"]).arg(config);
        run_to_end(&mut command, &net.home().join("output"))
    };
    let (code, said) = doctor("ill.json");
    let is_told = said.contains("nothing becomes final") && said.contains("2 of 4 masternodes of the set");
    assert!(code == 1 && is_told, "{said}");
    let bundle = std::fs::read_to_string(net.home().join("ill.json")).unwrap();
    assert!(serde_json::from_str::<Value>(&bundle).unwrap()["findings"].is_array(), "{bundle}");
    for secret in ["operator.key", "data/.cookie"] {
        let secret = std::fs::read_to_string(net.home().join("devnet/node0").join(secret)).unwrap();
        let secret = secret.trim().rsplit(':').next().unwrap();
        assert!(secret.len() >= 32 && !bundle.contains(secret), "a bundle goes to strangers");
    }
    let entry: MempoolEntry = net.nodes[0].call("getmempoolentry", &[json!(txid)]);
    assert_eq!((entry.status, entry.local, entry.waiting), (TransactionStatus::Pending, true, false));
    let pool: Vec<Value> = net.nodes[1].call("getrawmempool", &[]);
    assert_eq!(pool, [json!(txid)]);
    let refused = net.nodes[0].try_call::<Value>("getreceipt", &[json!(txid)]).unwrap_err().to_string();
    assert!(refused.contains("not final yet"), "{refused}");

    net.nodes[2].start();
    net.nodes[3].start();
    net.nodes[0].wait_confirmed(txid);
    let included = explained(&net.nodes[0], &txid);
    assert!(included.votes.is_none() && included.says[0].contains("in block"), "{included:?}");
    let (code, said) = command(&net, &net.nodes[1], &["receipt", &text, "--out", "receipt.json"]);
    assert!(code == 0, "{said}");
    let genesis = "devnet/genesis.toml";
    let verify = |file: &str| {
        let mut command = timed();
        command.current_dir(net.home()).args(["verify-receipt", file, "--genesis", genesis]);
        run_to_end(&mut command, &net.home().join("output"))
    };
    let (code, said) = verify("receipt.json");
    let is_told = said.contains("The receipt holds.") && said.contains("\"order 7\"") && said.contains(&text);
    assert!(code == 0 && is_told, "{said}");
    let receipt = std::fs::read_to_string(net.home().join("receipt.json")).unwrap();
    std::fs::write(net.home().join("changed.json"), receipt.replace("order 7", "order 8")).unwrap();
    let (code, said) = verify("changed.json");
    assert!(code == 1 && said.contains("does not hold"), "{said}");
    let (code, said) = command(&net, &net.nodes[1], &["receipt", &text, "--out", "receipt.json"]);
    assert!(code == 1 && said.contains("receipt.json"), "what is there is not overwritten: {said}");
}

#[test]
fn chain_index_memory_and_disk_are_told() {
    let mut net = Net::running_with(Needs::Ports, |parameters| parameters.block_interval_ms = 500);
    let node = &net.nodes[0];
    let tip: BlockTip = node.call("waitfornewblock", &[]);
    let commit: CommitInfo = node.call("getcommit", &[json!(tip.height)]);
    assert_eq!((commit.hash, commit.quorum), (tip.hash, Some(27)));
    assert!(commit.signed_weight.unwrap() >= 27 && commit.signers.iter().all(|one| one.masternode.is_some()));
    let later: BlockTip = node.call("waitforblockheight", &[json!(tip.height + 1)]);
    assert!(later.height > tip.height);
    let header: Value = node.call("getblockheader", &[json!(tip.height + 1)]);
    assert_eq!(header["previousblockhash"], json!(tip.hash));
    let index: IndexInfo = node.call("getindexinfo", &[]);
    assert!(index.height >= tip.height, "{index:?}");
    let outputs: OutputSetInfo = node.call("gettxoutsetinfo", &[]);
    assert!(outputs.outputs > 0 && outputs.height >= tip.height, "{outputs:?}");
    let memory: MemoryInfo = node.call("getmemoryinfo", &[]);
    assert!(memory.resident_bytes.unwrap() < memory.bound_bytes, "{memory:?}");
    assert_eq!(memory.bounds.values().sum::<u64>(), memory.bound_bytes);
    // Ten blocks are enough to say how fast it grows, also at the next start.
    node.wait_height(12);
    let disk: DiskInfo = node.call("getdiskinfo", &[]);
    let growth = disk.growth.as_ref().unwrap();
    assert!(growth.blocks >= 10 && growth.bytes > 0 && growth.bytes_a_day > growth.bytes, "{disk:?}");
    assert!(disk.blocks_bytes >= growth.bytes && disk.index_bytes > 0, "{disk:?}");
    assert!(matches!(disk.outlook, Some(DiskOutlook::Full { level_bytes: None, .. })), "{disk:?}");
    net.nodes[0].stop();
    assert!(!net.nodes[0].log().contains("the block log grows by"));
    net.nodes[0].start();
    assert!(net.nodes[0].log().contains("the block log grows by"), "{}", net.nodes[0].log());
}

/// Each member's figures by its place in the set.
fn lateness(node: &Node) -> Vec<MemberLatency> {
    node.call::<VoteLatencyInfo>("getvotelatency", &[]).masternodes
}

#[test]
fn how_late_votes_come_is_told_by_masternode_and_those_of_a_dead_one_are_missing() {
    let mut net = Net::running(Needs::Ports);
    let masternodes: Vec<MasternodeInfo> = net.nodes[0].call("masternodelist", &[]);
    let place = net.nodes.len() - 1;
    let address = format!(":{}", net.port(place));
    let dead = masternodes.iter().find(|info| info.address.ends_with(&address)).unwrap().id;
    // A member that hears of a certificate first casts no Lock vote: one payment alone says little.
    let payer = net.pay_through(&[0], 0);
    let all = wait_for("votes of all kinds of each", || {
        let told = lateness(&net.nodes[0]);
        let has =
            |one: &MemberLatency| one.lock.count > 0 && one.finalizes.count > 0 && one.precommit.count > 0;
        (told.len() == 4 && told.iter().all(has)).then_some(told)
    });
    assert_eq!(all.iter().filter(|one| one.own).count(), 1);
    assert!(all.iter().all(|one| one.lock.p50_ms <= one.lock.max_ms), "{all:?}");
    net.nodes[place].kill();
    payer.wait_more(100);
    let of = |id, told: &[MemberLatency]| told.iter().find(|one| one.id == id).unwrap().clone();
    let before = of(dead, &lateness(&net.nodes[0]));
    let late = wait_for("the dead one's votes to be missing", || {
        let told = lateness(&net.nodes[0]);
        (of(dead, &told).finalizes.missing >= before.finalizes.missing + 100).then_some(told)
    });
    assert_eq!(of(dead, &late).finalizes.count, before.finalizes.count, "it says nothing any more");
    for one in late.iter().filter(|one| one.id != dead) {
        assert!(one.finalizes.missing < of(dead, &late).finalizes.missing, "{late:?}");
    }
    drop(payer);
}
