//! Golden files as today's program writes them: of the chain that the story tells, of a wallet, of what a node keeps.

use std::path::Path;
use std::sync::Arc;

use timed::app::care::CarePlace;
use timed::app::devnet::{Devnet, DevnetWishes};
use timed::app::votes::VotesPlace;
use timed::consensus::replay::replay;
use timed::consensus::snapshot_make::{SnapshotOf, make};
use timed::devnet::archive;
use timed::protocol::finality_proof::{ChainProof, Ending, EpochLink, FinalityProof, verify_with};
use timed::protocol::transition::inputs_in_order;
use timed::rpc::finality_proof::FinalityProofInfo;
use timed::rpc::receipt::PaymentReceipt;
use timed::runtime::key_file::create_key_file;
use timed::runtime::{Config, ConfigSources};
use timed::storage::journal::Staged;
use timed::storage::{
    BlockLog, Index, JournalIdentity, JournalOrigin, JournalRecord, JournalWriter, LoggedBlock, MemoryIndex,
    RealDisk, SnapshotStore,
};
use timed::types::keys::SequentialVerifier;
use timed::types::{
    Amount, BlockVote, CommittedBlock, FinalityVote, Network, OwnMessage, Signature, Transaction, VoteBatch,
    VoteKind, VoteStep,
};
use timed::wallet::transaction_file::TransactionFile;
use timed::wallet::{Plan, Wallet, WatchOnly};

use crate::story::{GENESIS_MS, Story, operator, user};

/// Of the file itself; no other is written.
pub const KEYSTORE_VERSION: u16 = 1;
/// Of the file's first line.
pub const PEERS_VERSION: u16 = 1;
pub const PASSWORD: &str = "golden";
/// The story's masternode whose journal it is.
pub const VOTER: u8 = 0;
/// Of the file's first line.
pub const BANS_VERSION: u16 = 2;
/// Of a snapshot's parts.
pub const SNAPSHOT_VERSION: u16 = 1;
/// Of exports of votes, of devnets, and of wallets that watch.
pub const EXPORT_VERSION: u16 = 1;
/// The story's block that ends epoch 0.
const FIRST_END: usize = 4;
const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

pub fn genesis(home: &Path) {
    std::fs::write(home.join("genesis.toml"), Story::tell().genesis.to_toml().unwrap()).unwrap();
}

fn logged(story: &Story) -> Vec<LoggedBlock> {
    let of_step = |step: &crate::story::Step| LoggedBlock {
        committed: CommittedBlock { block: step.block.clone(), commit: step.commit.clone() },
        spent: inputs_in_order(&step.outcome),
    };
    story.steps.iter().map(of_step).collect()
}

/// The story's blocks, and what a masternode has said in its last epoch.
pub fn chain(home: &Path) {
    genesis(home);
    let story = Story::tell();
    let chain_id = story.genesis.chain_id();
    let mut log = BlockLog::open(RealDisk, &home.join("blocks"), chain_id).unwrap();
    log.append_all(&logged(&story)).unwrap();
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

/// A configuration of a node in this directory, with its data in `data_dir`.
pub fn node(home: &Path, data_dir: &str, more: &str) -> Config {
    let text = format!(
        "[node]\nnetwork = \"devnet\"\ngenesis = \"genesis.toml\"\ndata_dir = \"{data_dir}\"\n\
         [sync]\ntrust_peers = true\n{more}"
    );
    std::fs::write(home.join("config.toml"), text).unwrap();
    Config::load(&ConfigSources { file: Some(home.join("config.toml")), ..ConfigSources::default() }).unwrap()
}

/// After the last block of epoch 0.
pub fn snapshot(home: &Path) {
    genesis(home);
    let (story, scratch) = (Story::tell(), tempfile::tempdir().unwrap());
    let (blocks, chain_id, step) = (logged(&story), story.genesis.chain_id(), &story.steps[FIRST_END - 1]);
    let mut log = BlockLog::open(RealDisk, &scratch.path().join("blocks"), chain_id).unwrap();
    log.append_all(&blocks[..FIRST_END]).unwrap();
    let index = Index::new(Arc::new(MemoryIndex::new()));
    replay(&story.genesis, &index, &log.reader(), &mut |_, _| true).unwrap();
    let (set, next) = (step.state.validators(), step.outcome.state.validators());
    let link = EpochLink::new(&step.block.header, &step.commit, [set, set, next]).unwrap();
    let proof = ChainProof { chain_id, anchor: None, links: vec![link] };
    let (committed, state) = (&blocks[FIRST_END - 1].committed, &step.outcome.state);
    let of = SnapshotOf { committed, state, proof: Some(&proof) };
    make(&SnapshotStore::new(RealDisk, home.join("snapshots")), &index, of, &mut || true).unwrap();
}

fn back_up(scratch: &Path, home: &Path) {
    let config = node(scratch, "data", "");
    let place = CarePlace::look(config, &scratch.join("config.toml")).unwrap();
    place.backup(&home.join("node.tar"), false, "1.0.0", &mut |_, _, _| true).unwrap();
}

/// With all blocks.
pub fn backup(home: &Path) {
    let scratch = tempfile::tempdir().unwrap();
    genesis(scratch.path());
    let story = Story::tell();
    let blocks = scratch.path().join("data/blocks");
    let mut log = BlockLog::open(RealDisk, &blocks, story.genesis.chain_id()).unwrap();
    log.append_all(&logged(&story)).unwrap();
    back_up(scratch.path(), home);
}

/// With the blocks from the end of epoch 0 on, and the snapshot there.
pub fn later_backup(home: &Path) {
    let scratch = tempfile::tempdir().unwrap();
    snapshot(scratch.path());
    let (story, data) = (Story::tell(), scratch.path().join("data"));
    std::fs::create_dir(&data).unwrap();
    std::fs::rename(scratch.path().join("snapshots"), data.join("snapshots")).unwrap();
    let (blocks, chain_id) = (logged(&story), story.genesis.chain_id());
    let later = &blocks[FIRST_END - 1..];
    let mut log = BlockLog::begin_at(RealDisk, &data.join("blocks"), chain_id, &later[0]).unwrap();
    log.append_all(&later[1..]).unwrap();
    back_up(scratch.path(), home);
}

/// Of the journal that [`chain`] makes.
pub fn votes(home: &Path) {
    let scratch = tempfile::tempdir().unwrap();
    chain(scratch.path());
    create_key_file(&scratch.path().join("operator.key"), &operator(VOTER)).unwrap();
    let config = node(scratch.path(), ".", "[masternode]\nenabled = true\noperator_key = \"operator.key\"\n");
    let path = home.join("votes.json");
    let file = std::fs::File::create(&path).unwrap();
    VotesPlace::of(&config).unwrap().export(file, &path).unwrap();
}

/// As the head of `network/ban_file.rs` says.
pub fn bans(home: &Path) {
    let (key, until) = (operator(3).public(), GENESIS_MS + 1_000);
    let body = format!(
        "timed bans {BANS_VERSION}\nidentity {key} {until}\nhost 192.0.2.7 {until}\ngroup 198.51.100.9 {until}\n\
         points identity {key} 12\n"
    );
    let sum = blake3::hash(body.as_bytes());
    std::fs::write(home.join("bans"), format!("{body}sum {sum}\n")).unwrap();
}

/// The story's first payment, signed by its owner, with the genesis document that proves its coin.
pub fn transaction(home: &Path) {
    let story = Story::tell();
    let first = &story.steps[0];
    let signed = &first.block.transactions[0];
    let transaction = Transaction { witnesses: Vec::new(), ..Transaction::clone(signed) };
    let spent: Vec<_> = transaction.inputs.iter().map(|outpoint| first.utxos[outpoint].output).collect();
    let sum = |values: Vec<Amount>| values.iter().map(|value| value.0).sum::<u64>();
    let paid = transaction.outputs.iter().map(|output| output.value).collect();
    let fee = Amount(sum(spent.iter().map(|output| output.value).collect()) - sum(paid));
    let plan = Plan { transaction, spent, fee, change: Amount::ZERO };
    let (chain_id, document) = (story.genesis.chain_id(), Some(story.genesis.clone()));
    let mut file = TransactionFile::new(Network::Devnet, chain_id, plan, Vec::new(), document).unwrap();
    assert_eq!(file.sign(&[&user(0)], false).unwrap(), 1);
    assert_eq!(file.complete().unwrap().txid(), signed.txid());
    std::fs::write(home.join("payment.json"), file.to_text().unwrap()).unwrap();
}

/// A devnet that has not run.
pub fn devnet(home: &Path) {
    let scratch = tempfile::tempdir().unwrap();
    let wishes = DevnetWishes { validators: Some(3), ..DevnetWishes::default() };
    drop(Devnet::prepare(scratch.path(), &wishes, false).unwrap());
    archive::export(scratch.path(), &home.join("devnet.tar.lz4"), &mut |_, _, _| true).unwrap();
}

pub fn watch(home: &Path) {
    let wallet = Wallet::restore(Network::Devnet, WORDS).unwrap();
    let addresses = (0..3).map(|account| wallet.address(account).unwrap()).collect();
    WatchOnly::new(addresses).unwrap().save(&home.join("watch.json")).unwrap();
}
