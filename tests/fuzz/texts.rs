//! What people write and programs pass on: configuration, genesis documents, receipts, proofs as text, payment requests, the
//! file of peers.

use timed::network::{PeersFile, peers_file_state};
use timed::protocol::finality_proof::verify_with;
use timed::rpc::finality_proof::ProofText;
use timed::rpc::receipt;
use timed::runtime::{Config, ConfigSources};
use timed::types::keys::SequentialVerifier;
use timed::types::{Address, GenesisDocument, Network};
use timed::wallet::uri::PaymentRequest;

use crate::fuzz::fuzz;
use crate::golden;
use crate::story::user;

fn read(name: &str) -> Vec<u8> {
    std::fs::read(golden(name)).unwrap()
}

fn document() -> GenesisDocument {
    GenesisDocument::from_toml(&String::from_utf8(read("proof-3/genesis.toml")).unwrap()).unwrap()
}

#[test]
fn configurations() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("config.toml");
    // Without its comments, which would hide most changes.
    let shipped = String::from_utf8(read("config-1/config.toml")).unwrap();
    let short = shipped.lines().map(|line| line.trim_start_matches("# ")).filter(|line| {
        line.starts_with('[') || line.split_once('=').is_some_and(|(key, _)| !key.trim().contains(' '))
    });
    let short: Vec<_> = short.collect();
    let short = short.join("\n").into_bytes();
    let samples = [shipped.into_bytes(), short];
    fuzz("configurations", &samples, |_, bytes| {
        std::fs::write(&path, bytes).unwrap();
        let sources = ConfigSources { file: Some(path.clone()), ..ConfigSources::default() };
        if let Err(error) = Config::load(&sources) {
            assert!(!error.to_string().is_empty());
        }
    });
}

#[test]
fn genesis_documents() {
    let samples = [read("genesis-1/genesis.toml"), read("proof-3/genesis.toml")];
    fuzz("genesis documents", &samples, |_, bytes| {
        let Ok(document) = GenesisDocument::from_toml(&String::from_utf8_lossy(bytes)) else { return };
        let again = GenesisDocument::from_toml(&document.to_toml().unwrap()).unwrap();
        assert_eq!(again.chain_id(), document.chain_id(), "what is written is read as the same chain");
    });
}

#[test]
fn receipts() {
    let (genesis, sample) = (document(), read("proof-3/receipt.json"));
    let verify = |proof: &_| verify_with(&genesis, None, proof, &SequentialVerifier);
    let told = receipt::check(&genesis, &String::from_utf8(sample.clone()).unwrap(), verify).unwrap();
    fuzz("receipts", &[sample], |_, bytes| {
        if let Ok(changed) = receipt::check(&genesis, &String::from_utf8_lossy(bytes), verify) {
            let words = |content| serde_json::to_value(content).unwrap();
            assert_eq!(words(&changed), words(&told), "it says something else and holds");
        }
    });
}

#[test]
fn proofs_as_text() {
    let (genesis, sample) = (document(), read("proof-3/proof.json"));
    let txid = ProofText::parse(&String::from_utf8(sample.clone()).unwrap()).unwrap().proof.txid();
    fuzz("proofs as text", &[sample], |_, bytes| {
        let Ok(text) = ProofText::parse(&String::from_utf8_lossy(bytes)) else { return };
        let Ok(proved) = verify_with(&genesis, None, &text.proof, &SequentialVerifier) else { return };
        if text.compare(&proved).is_ok() {
            assert_eq!(proved.txid, txid);
        }
    });
}

#[test]
fn payment_requests() {
    let address = Address::of_key_hash(Network::Devnet, user(0).public().key_hash());
    let samples = [
        format!("timecoin:{address}?amount=1.5&memo=for%20the%20house&label=A%20shop"),
        format!("timecoin:{address}"),
    ];
    let samples = samples.map(String::into_bytes);
    for sample in &samples {
        assert!(std::str::from_utf8(sample).unwrap().parse::<PaymentRequest>().is_ok());
    }
    fuzz("payment requests", &samples, |_, bytes| {
        let Ok(uri) = String::from_utf8_lossy(bytes).parse::<PaymentRequest>() else { return };
        assert_eq!(
            uri.to_string().parse::<PaymentRequest>().as_ref(),
            Ok(&uri),
            "it is written as it is read"
        );
        assert_eq!(uri.address, address, "the checksum covers the address");
    });
}

#[test]
fn peers_files() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("peers");
    let sample = read("peers-1/peers");
    fuzz("peers files", std::slice::from_ref(&sample), |_, bytes| {
        std::fs::write(&path, bytes).unwrap();
        let whole = peers_file_state(&path) == PeersFile::Whole;
        assert_eq!(whole, bytes == sample, "its sum covers all of it");
    });
}
