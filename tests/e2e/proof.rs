//! A payment is proved to somebody who has nothing but the genesis document.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use timed::rpc::finality_proof::{FinalityProofInfo, ProvedInfo};
use timed::rpc::types::BlockchainInfo;
use timed::types::TxId;

use crate::net::{Chain, Net, Node, run_to_end, timed, wait_for};
use crate::turns::Needs;

/// A block comes every two seconds and a proof takes milliseconds: one of so many payments is proved before its block.
const ATTEMPTS: u8 = 8;
/// Epochs that ended before the payment; its proof passes over some of them.
const EPOCHS: u64 = 2;

/// Somebody with the program and the genesis document, in a directory of its own.
struct Verifier {
    home: PathBuf,
}

impl Verifier {
    fn new(net: &Net) -> Self {
        let home = net.home().join("verifier");
        std::fs::create_dir(&home).unwrap();
        std::fs::copy(net.home().join("devnet/genesis.toml"), home.join("genesis.toml")).unwrap();
        Self { home }
    }

    /// Exit code and output of `timed verify-proof`.
    fn run(&self, file: &str, more: &[&str]) -> (i32, String) {
        let mut command = timed();
        command.current_dir(&self.home).args(["verify-proof", file]).args(more);
        run_to_end(&mut command, &self.home.join("output"))
    }

    fn accepts(&self, proof: &FinalityProofInfo) {
        std::fs::write(self.home.join("proof.json"), serde_json::to_string(proof).unwrap()).unwrap();
        let (code, output) = self.run("proof.json", &["--genesis", "genesis.toml", "--json"]);
        assert_eq!(code, 0, "{output}");
        let said: Value = serde_json::from_str(&output).unwrap();
        assert_eq!(said["proves"], serde_json::to_value(&proof.proves).unwrap());
    }

    fn refuses(&self, proof: &FinalityProofInfo) {
        let middle = proof.proof.len() / 2;
        let mut letters = proof.proof.clone().into_bytes();
        letters[middle] = if letters[middle] == b'A' { b'B' } else { b'A' };
        std::fs::write(self.home.join("changed"), letters).unwrap();
        let (code, output) = self.run("changed", &["--genesis", "genesis.toml"]);
        assert_eq!(code, 1, "{output}");
    }
}

fn proof_of(node: &Node, txid: TxId) -> FinalityProofInfo {
    node.call("getfinalityproof", &[json!(txid)])
}

/// As the README says it.
fn by_command(node: &Node, txid: TxId, file: &Path) {
    let mut command = timed();
    command.args(["rpc", "--rpc", node.url(), "getfinalityproof", &txid.to_string()]);
    let (code, output) = run_to_end(&mut command, file);
    assert_eq!(code, 0, "{output}");
}

/// INV-PROOFS-1.
#[test]
fn a_payment_is_proved_before_and_after_its_block() {
    let mut net = Net::running_with(Needs::Ports, |parameters| parameters.epoch_duration_ms = 3_000);
    let epoch = |net: &Net| net.nodes[0].call::<BlockchainInfo>("getblockchaininfo", &[]).epoch;
    wait_for("the epochs before the payment", || (epoch(&net) >= EPOCHS).then_some(()));
    let verifier = Verifier::new(&net);
    let mut coin = net.chain.account(0);
    let txid = (0..ATTEMPTS).find_map(|_| {
        net.nodes[0].wait_height(net.nodes[0].height() + 1);
        let payment = net.chain.spend(&coin, &coin.key, 1, "");
        coin = Chain::coins(&payment, &coin.key).remove(0);
        net.nodes[0].send(&payment).unwrap();
        net.nodes[3].wait_final(payment.txid());
        let proof = proof_of(&net.nodes[3], payment.txid());
        assert!(proof.proves.epoch >= EPOCHS && proof.proves.txid == payment.txid());
        verifier.accepts(&proof);
        verifier.refuses(&proof);
        // Another node did not make it, and says the same of it.
        let said: ProvedInfo = net.nodes[1].call("verifyfinalityproof", &[json!(proof)]);
        assert_eq!(said, proof.proves);
        net.nodes[3].wait_confirmed(payment.txid());
        proof.proves.height.is_none().then_some(payment.txid())
    });
    let txid = txid.expect("a payment that is proved before its block");

    let proof = proof_of(&net.nodes[3], txid);
    let height = proof.proves.height.unwrap();
    assert_eq!(proof.proves.block_hash, Some(net.nodes[0].hash_at(height)));
    verifier.accepts(&proof);
    verifier.refuses(&proof);
    by_command(&net.nodes[3], txid, &verifier.home.join("by-command.json"));
    let (code, output) = verifier.run("by-command.json", &["--genesis", "genesis.toml"]);
    assert_eq!(code, 0, "{output}");
    assert!(output.contains(&txid.to_string()) && output.contains(&format!("{height} ")), "{output}");
    let (code, output) = verifier.run("by-command.json", &[]);
    assert_eq!(code, 2, "no devnet is here: {output}");
    let genesis = std::fs::read_to_string(verifier.home.join("genesis.toml")).unwrap();
    let other = genesis.replace("epoch_duration_ms = 3000", "epoch_duration_ms = 4000");
    assert_ne!(other, genesis);
    std::fs::write(verifier.home.join("other.toml"), other).unwrap();
    let (code, output) = verifier.run("by-command.json", &["--genesis", "other.toml"]);
    assert_eq!(code, 1, "a document of other parameters is another chain: {output}");

    // What the proof is made of can be built again from the block log.
    net.nodes[3].kill();
    let of_engine = |name| std::fs::remove_dir_all(net.home().join("devnet/node3/data").join(name)).is_ok();
    assert!(["index", "index-fjall"].map(of_engine).contains(&true), "there is one, whichever engine it has");
    net.nodes[3].start();
    verifier.accepts(&proof_of(&net.nodes[3], txid));
}
