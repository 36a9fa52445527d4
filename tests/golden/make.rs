//! Golden files as today's program writes them: of the chain that the story tells, of a wallet, of what a node keeps.

use std::path::Path;
use std::sync::Arc;

use timed::protocol::finality_proof::{Ending, EpochLink, FinalityProof, verify_with};
use timed::protocol::transition::inputs_in_order;
use timed::rpc::finality_proof::FinalityProofInfo;
use timed::rpc::receipt::PaymentReceipt;
use timed::storage::journal::Staged;
use timed::storage::{
    BlockLog, JournalIdentity, JournalOrigin, JournalRecord, JournalWriter, LoggedBlock, RealDisk,
};
use timed::types::keys::SequentialVerifier;
use timed::types::{
    BlockVote, CommittedBlock, FinalityVote, Network, OwnMessage, Signature, VoteBatch, VoteKind, VoteStep,
};
use timed::wallet::Wallet;

use crate::story::{GENESIS_MS, Story, operator};

/// Of the file itself; no other is written.
pub const KEYSTORE_VERSION: u16 = 1;
/// Of the file's first line.
pub const PEERS_VERSION: u16 = 1;
pub const PASSWORD: &str = "golden";
/// The story's masternode whose journal it is.
pub const VOTER: u8 = 0;
const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

pub fn genesis(home: &Path) {
    std::fs::write(home.join("genesis.toml"), Story::tell().genesis.to_toml().unwrap()).unwrap();
}

/// The story's blocks, and what a masternode has said in its last epoch.
pub fn chain(home: &Path) {
    genesis(home);
    let story = Story::tell();
    let chain_id = story.genesis.chain_id();
    let mut log = BlockLog::open(RealDisk, &home.join("blocks"), chain_id).unwrap();
    for step in &story.steps {
        let committed = CommittedBlock { block: step.block.clone(), commit: step.commit.clone() };
        log.append(&LoggedBlock { committed, spent: inputs_in_order(&step.outcome) }).unwrap();
    }
    let secret = operator(VOTER);
    let identity = JournalIdentity { chain_id, operator: Some(secret.public()) };
    let origin = JournalOrigin { created_ms: GENESIS_MS, forced: true };
    let mut journal = JournalWriter::create(RealDisk, &home.join("votes"), identity, origin).unwrap().writer;
    let last = story.steps.last().unwrap();
    let outputs = last.utxos.iter().map(|(outpoint, entry)| (*outpoint, *entry));
    assert_eq!(last.state.recompute_digest(outputs), last.state.digest(), "a sound chain");
    let (state, header) = (&last.state, &last.block.header);
    let member = state.validators().get(0).unwrap().id;
    let body = Arc::clone(&last.block.transactions[0]);
    let votes = [VoteKind::Lock, VoteKind::Final].map(|kind| FinalityVote { kind, txid: body.txid() });
    let own = VoteBatch::signed(&chain_id, header.epoch, member, 0, votes.to_vec(), &secret);
    let other = state.validators().get(1).unwrap().id;
    let theirs = VoteBatch::signed(&chain_id, header.epoch, other, 3, votes.to_vec(), &operator(1));
    let vote = |step| {
        let (epoch, height, value) = (header.epoch, header.height, Some(header.hash()));
        let vote = BlockVote {
            epoch,
            height,
            round: 0,
            step,
            value,
            validator: member,
            signature: Signature::EMPTY,
        };
        JournalRecord::BlockVote(Arc::new(vote.signed(&chain_id, &secret)))
    };
    let evidence = story.steps.iter().find_map(|step| step.block.evidence.first()).unwrap();
    let records = vec![
        JournalRecord::EpochStarted { epoch: header.epoch },
        JournalRecord::Transaction(body),
        JournalRecord::PeerBatch(Arc::new(theirs)),
        JournalRecord::OwnBatch(Arc::new(own)),
        vote(VoteStep::Prevote),
        vote(VoteStep::Precommit),
        JournalRecord::Evidence(Arc::clone(evidence)),
        JournalRecord::ClosingEntered { epoch: header.epoch, height: header.height },
    ];
    let _none = journal.commit(vec![Staged::<OwnMessage> { records, release: Vec::new() }]).unwrap();
}

/// Of the story's last payment, by its block.
pub fn proof(home: &Path) {
    genesis(home);
    let story = Story::tell();
    let last = story.steps.last().unwrap();
    let ends = story.steps.iter().filter(|step| step.block.header.epoch_end);
    let links = ends.map(|step| {
        let (set, next) = (step.state.validators(), step.outcome.state.validators());
        EpochLink::new(&step.block.header, &step.commit, [set, set, next]).unwrap()
    });
    let payment = &last.block.transactions[0];
    let ending =
        Ending::included(payment.txid(), &last.block, &last.commit, last.state.validators()).unwrap();
    let proof = FinalityProof::new(story.genesis.chain_id(), payment.txid(), links.collect(), ending);
    let proved = verify_with(&story.genesis, None, &proof, &SequentialVerifier).unwrap();
    let receipt = PaymentReceipt::of(Network::Devnet, payment, &proof, &proved);
    let info = FinalityProofInfo::of(&proof, &proved);
    std::fs::write(home.join("proof.json"), serde_json::to_string_pretty(&info).unwrap()).unwrap();
    std::fs::write(home.join("receipt.json"), serde_json::to_string_pretty(&receipt).unwrap()).unwrap();
}

pub fn keystore(home: &Path) {
    let wallet = Wallet::restore(Network::Devnet, WORDS).unwrap();
    wallet.save(&home.join("wallet.json"), PASSWORD).unwrap();
    let written = std::fs::read_to_string(home.join("wallet.json")).unwrap();
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["head"]["version"], KEYSTORE_VERSION);
}

/// As the head of `network/address_file.rs` says.
pub fn peers(home: &Path) {
    let key = operator(3).public();
    let body = format!(
        "timed peers {PEERS_VERSION}\nsecret {}\nanchor 192.0.2.7:24000\n\
         tried 192.0.2.7:24000 {GENESIS_MS} {GENESIS_MS} {GENESIS_MS} 0 {key} 04c0000200000000\n\
         heard 198.51.100.9:24000 {GENESIS_MS} 0 0 2 - 04c6336400000000\n",
        hex::encode([7; 32])
    );
    let sum = blake3::hash(body.as_bytes());
    std::fs::write(home.join("peers"), format!("{body}sum {sum}\n")).unwrap();
}

/// The file that is shipped.
pub fn config(home: &Path) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
    std::fs::copy(shipped, home.join("config.toml")).unwrap();
}
