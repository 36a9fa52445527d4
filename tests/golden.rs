//! Files of each released format, which every later program has to read.
//!
//! `tests/golden` has a directory for each format and version. Nothing in it ever changes: their sums stand below, with what
//! the files say. A version that rose gets a directory of its own by `BLESS=1 cargo test --test golden`, which makes what is
//! missing and touches nothing else; the test then says which line to add here. A format that is read no more would have to
//! lose its line, so nobody loses one by accident. The index is none of them: one of another format is built again from the
//! block log.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a failed expectation is a test's verdict"
)]

#[path = "golden/make.rs"]
mod make;
#[path = "support/story.rs"]
mod story;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use timed::app::care::CarePlace;
use timed::app::care::manifest::{BACKUP_FORMAT, WHOLE_FORMAT};
use timed::app::care::restore::restore;
use timed::app::vote_file::{VoteFileError, VoteFileHead, VoteFileSink, read_vote_file};
use timed::consensus::replay::replay;
use timed::devnet::archive;
use timed::network::{PeersFile, bans_file_state, peers_file_state};
use timed::protocol::finality_proof::{FINALITY_PROOF_VERSION, verify_with};
use timed::rpc::finality_proof::ProofText;
use timed::rpc::receipt;
use timed::runtime::{Config, ConfigSources};
use timed::storage::{
    BlockLog, Index, JournalIdentity, JournalRecord, JournalWriter, MemoryIndex, RealDisk,
    SEGMENT_FORMAT_VERSION,
};
use timed::types::GenesisDocument;
use timed::types::keys::SequentialVerifier;
use timed::wallet::transaction_file::{self, TransactionFile};
use timed::wallet::{Wallet, WatchOnly};

/// A directory of golden files.
struct Golden {
    /// The format, and its version.
    name: (&'static str, u16),
    /// The BLAKE3 hash over all names and contents.
    sum: &'static str,
    /// What today's program reads in it.
    says: &'static str,
}

/// Lines are added, and never changed.
const GOLDEN: &[Golden] = &[
    Golden {
        name: ("chain", 4),
        sum: "7fab661823b8c5ca18fb802a2b93b64f51bcf40a1931c63201fb07954d009b05",
        says: "block 8 ea1c0518bc8d3b96e240ec6e800ae2661da6481cb06846bbe1be7435273c9d22 state 5744d509e5554ea6767cefd4a8c176a703cf8d545e4f952afa95ab8c7ed017c0 epoch 2 supply 129050.09998000\nepoch 2\nbody 93594e9df32e7415fb2ccb6a58a9984e62ceff93f9b0ddc113cfa889a234f72a\nbatch of e76ebcc9\nown batch 0 of 2\nPrevote for Some(\"ea1c0518\")\nPrecommit for Some(\"ea1c0518\")\nevidence 325f3ed6065dfb0d4fe204c0873a7e1ac6f26cd84307145c3f288cc1d4b15d23\nclosing of 2 at 8\njournal of 1750000000000, forced true",
    },
    Golden {
        name: ("proof", 3),
        sum: "4ec24f30bf021c89c0788c8aa7fbe23892c6e1bf340b6bb2039ca6f88327824d",
        says: "93594e9df32e7415fb2ccb6a58a9984e62ceff93f9b0ddc113cfa889a234f72a memo Some(\"memo\") pays 999.99996665",
    },
    Golden {
        name: ("keystore", 1),
        sum: "b7d8b1aff22cd98f1d5d43d009e1bde50a383f8355572d2ca65f4cd2752f927f",
        says: "dtime1qq5hs93kxryh40878ede2j6nmz6qucvua3vtapgz3dgdpjgnawp8yvgp82h",
    },
    Golden {
        name: ("peers", 1),
        sum: "a7d9e5366583753398d65ebe4c9f9fde1d34c7360d8bcaeefadb31829db11b36",
        says: "whole",
    },
    Golden {
        name: ("config", 1),
        sum: "3b79d4510c26a1879392283344252ef9c8a1cba7abd43e3f47935775d6602bb6",
        says: "devnet 127.0.0.1:24300 127.0.0.1:24301",
    },
    Golden {
        name: ("genesis", 1),
        sum: "b660dc7769e4a271a67b83a80fe351c4a3039c85fff2081faadf2de731b7aaef",
        says: "eca092d0d3b88eb5a74b756f13e56048f72abe015bf5772cee650a8bbb6c3e14",
    },
    Golden {
        name: ("snapshot", 1),
        sum: "b80ff8af9d5fc61808e40c3f719125b99bc67d703245f8fa2c03b98d426d9cff",
        says: "block 4 1b4532e27f3ecdbac4bbc97abdf81043298e1caf8f290b9510496c35b896345a outputs 76",
    },
    Golden {
        name: ("backup", 1),
        sum: "eec99ab2df8c2431c4becfb960d2d32c0b8e54915e000fdd95f57bcbe8f3a45b",
        says: "block 8 outputs 83",
    },
    Golden {
        name: ("backup", 2),
        sum: "e0c61a70f7966d556f3282d5d0982b54e6822d1dd98095be56d8de17551e299c",
        says: "block 8 outputs 83",
    },
    Golden {
        name: ("votes", 1),
        sum: "de81c091637fd733d90785738d2da174771fa3857fc835c273f9dd19beef8324",
        says: "key 8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c epoch 2 forced true {\"BlockVote\": 2, \"ClosingEntered\": 1, \"EpochStarted\": 1, \"Evidence\": 1, \"OwnBatch\": 1, \"PeerBatch\": 1, \"Transaction\": 1}",
    },
    Golden {
        name: ("bans", 2),
        sum: "0a3e5b73e04f06219a170047e4d9ceea84279f8251460c024f59ef52e04fc703",
        says: "whole",
    },
    Golden {
        name: ("transaction", 1),
        sum: "5428e4b2d0a96843ea835c8ef4e64a48a02fa210b4432788a1abae360ac48311",
        says: "1ab2cccc35b3bdd402c83dcc820d1eb591911e764c9e5219c09f51bf2ff0f6c4 spends 2000.00000000 true whole true",
    },
    Golden {
        name: ("devnet", 1),
        sum: "18fd3192b7eefa0d095be84122298be3040ccf1fb892396411f7002a81ee0079",
        says: "3 nodes from port 24200 of chain 2956ad57c851f0e95922de4fd40220d136f97bd3b4b126af6fe469989568d03f",
    },
    Golden {
        name: ("watch", 1),
        sum: "b6ec9c7f861147d4d9b1202f6b42a254edf344ca1ad7b2ce1f192d79f880cd43",
        says: "dtime1qq5hs93kxryh40878ede2j6nmz6qucvua3vtapgz3dgdpjgnawp8yvgp82h dtime1qzx8mreawcr7lw932h20hf8fvuevftxqhw4nf2y8dgcpknvepw5eqxkuew4 dtime1qp7rfd3cmhsw8zk7yn7ujk3yge246sv5na97l9jcflltkkmae4mwk48t0fu",
    },
];

/// What today's program writes, and how it reads all versions of that.
type Format = (&'static str, u16, fn(&Path), fn(&Path) -> String);

const FORMATS: [Format; 14] = [
    ("chain", SEGMENT_FORMAT_VERSION, make::chain, read_chain),
    ("proof", FINALITY_PROOF_VERSION, make::proof, read_proof),
    ("keystore", make::KEYSTORE_VERSION, make::keystore, read_keystore),
    ("peers", make::PEERS_VERSION, make::peers, read_peers),
    ("config", 1, make::config, read_config),
    ("genesis", 1, make::genesis, read_genesis),
    ("snapshot", make::SNAPSHOT_VERSION, make::snapshot, read_snapshot),
    ("backup", WHOLE_FORMAT as u16, make::backup, read_backup),
    ("backup", BACKUP_FORMAT as u16, make::later_backup, read_backup),
    ("votes", make::EXPORT_VERSION, make::votes, read_votes),
    ("bans", make::BANS_VERSION, make::bans, read_bans),
    ("transaction", transaction_file::VERSION, make::transaction, read_transaction),
    ("devnet", make::EXPORT_VERSION, make::devnet, read_devnet),
    ("watch", make::EXPORT_VERSION, make::watch, read_watch),
];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// All files below, by their names from here.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let (path, name) =
            entry.map(|entry| (entry.path(), entry.file_name().into_string().unwrap())).unwrap();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else {
            found.insert(name, std::fs::read(path).unwrap());
        }
    }
    found
}

fn sum(files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, bytes) in files {
        for part in [name.as_bytes(), bytes] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// The files in a directory that a program may write to, as an operator's are.
fn copied(files: &BTreeMap<String, Vec<u8>>) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }
    home
}

fn document(home: &Path) -> GenesisDocument {
    GenesisDocument::from_toml(&std::fs::read_to_string(home.join("genesis.toml")).unwrap()).unwrap()
}

/// Replays the blocks, with the check of each digest, and reads the journal.
fn read_chain(home: &Path) -> String {
    let genesis = document(home);
    let log = BlockLog::open(RealDisk, &home.join("blocks"), genesis.chain_id()).unwrap();
    let index = Index::new(Arc::new(MemoryIndex::new()));
    let replayed = replay(&genesis, &index, &log.reader(), &mut |_, _| true).unwrap();
    let state = &replayed.state;
    let mut says = format!(
        "block {} {} state {} epoch {} supply {}\n",
        log.height(),
        state.tip_hash(),
        state.digest(),
        state.next_epoch(),
        state.supply()
    );
    let identity = JournalIdentity {
        chain_id: genesis.chain_id(),
        operator: Some(story::operator(make::VOTER).public()),
    };
    let opened = JournalWriter::scan(RealDisk, &home.join("votes"), identity, &mut |record| {
        let said = match record {
            JournalRecord::Transaction(body) => format!("body {}", body.txid()),
            JournalRecord::OwnBatch(batch) => {
                format!("own batch {} of {}", batch.header.seq, batch.header.count)
            }
            JournalRecord::PeerBatch(batch) => format!("batch of {}", batch.header.validator.short()),
            JournalRecord::BlockVote(vote) => {
                format!("{:?} for {:?}", vote.step, vote.value.map(|value| value.short()))
            }
            JournalRecord::Evidence(piece) => format!("evidence {}", piece.hash()),
            JournalRecord::EpochStarted { epoch } => format!("epoch {epoch}"),
            JournalRecord::ClosingEntered { epoch, height } => format!("closing of {epoch} at {height}"),
            other => format!("{other:?}"),
        };
        writeln!(says, "{said}").unwrap();
        Ok(())
    });
    let origin = opened.unwrap().origin;
    write!(says, "journal of {}, forced {}", origin.created_ms, origin.forced).unwrap();
    says
}

fn read_proof(home: &Path) -> String {
    let genesis = document(home);
    let read = |name: &str| std::fs::read_to_string(home.join(name)).unwrap();
    let verify = |proof: &_| verify_with(&genesis, None, proof, &SequentialVerifier);
    let proved = verify(&ProofText::parse(&read("proof.json")).unwrap().proof).unwrap();
    let receipt = receipt::check(&genesis, &read("receipt.json"), verify).unwrap();
    assert_eq!(receipt.finality.txid, proved.txid);
    let paid: Vec<String> = receipt.outputs.iter().map(|output| output.value.to_string()).collect();
    format!("{} memo {:?} pays {}", proved.txid, receipt.memo_text, paid.join(" + "))
}

fn read_keystore(home: &Path) -> String {
    let wallet = Wallet::open(&home.join("wallet.json"), make::PASSWORD).unwrap();
    wallet.address(0).unwrap().to_string()
}

fn read_peers(home: &Path) -> String {
    let state = peers_file_state(&home.join("peers"));
    assert_eq!(state, PeersFile::Whole);
    "whole".to_owned()
}

fn read_config(home: &Path) -> String {
    let sources = ConfigSources { file: Some(home.join("config.toml")), ..ConfigSources::default() };
    let config = Config::load(&sources).unwrap();
    format!("{} {} {}", config.node.network, config.network.listen_address, config.rpc.listen_address)
}

fn read_genesis(home: &Path) -> String {
    let genesis = document(home);
    genesis.check().unwrap();
    genesis.chain_id().to_string()
}

/// Imports it, with the check of its proof and of every part.
fn read_snapshot(home: &Path) -> String {
    let config = make::node(home, "data", "");
    std::fs::create_dir(home.join("data")).unwrap();
    let place = CarePlace::take(config, &home.join("config.toml")).unwrap();
    let read = place.import_snapshot(&home.join("snapshots"), &mut |_, _, _| true).unwrap();
    format!("block {} {} outputs {}", read.height, read.block_hash, read.outputs)
}

/// Restores it, and builds the index of what was in it.
fn read_backup(home: &Path) -> String {
    let node = home.join("node");
    let restored = restore(&home.join("node.tar"), &node, &mut |_, _, _| true).unwrap();
    let sources = ConfigSources { file: Some(restored.config.clone()), ..ConfigSources::default() };
    let place = CarePlace::take(Config::load(&sources).unwrap(), &restored.config).unwrap();
    let built = place.reindex(&mut |_, _, _| true).unwrap();
    format!("block {} outputs {}", built.height, built.unspent)
}

/// How many records there are of each kind.
#[derive(Default)]
struct Kinds(String, BTreeMap<String, usize>);

impl VoteFileSink for Kinds {
    fn head(&mut self, head: &VoteFileHead) -> Result<(), VoteFileError> {
        self.0 = format!("key {} epoch {} forced {}", head.operator_key, head.epoch, head.origin.forced);
        Ok(())
    }

    fn record(&mut self, record: JournalRecord) -> Result<(), VoteFileError> {
        let said = format!("{record:?}");
        let kind = said.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned();
        *self.1.entry(kind).or_default() += 1;
        Ok(())
    }
}

fn read_votes(home: &Path) -> String {
    let mut kinds = Kinds::default();
    read_vote_file(std::fs::File::open(home.join("votes.json")).unwrap(), &mut kinds).unwrap();
    format!("{} {:?}", kinds.0, kinds.1)
}

fn read_bans(home: &Path) -> String {
    assert_eq!(bans_file_state(&home.join("bans")), PeersFile::Whole);
    "whole".to_owned()
}

fn read_transaction(home: &Path) -> String {
    let text = std::fs::read_to_string(home.join("payment.json")).unwrap();
    let file = TransactionFile::from_text(&text).unwrap();
    let coins: Vec<String> =
        file.spent().iter().map(|coin| format!("{} {}", coin.output.value, coin.proved)).collect();
    format!("{} spends {} whole {}", file.txid(), coins.join(", "), file.complete().is_some())
}

fn read_devnet(home: &Path) -> String {
    let read = archive::import(&home.join("devnet.tar.lz4"), &home.join("devnet"), None, &mut |_, _, _| true)
        .unwrap();
    format!("{} nodes from port {} of chain {}", read.nodes, read.base_port, read.chain_id)
}

fn read_watch(home: &Path) -> String {
    let wallet = WatchOnly::read(&home.join("watch.json")).unwrap().unwrap();
    wallet.addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Makes what today's versions lack, if that is asked for.
fn bless() {
    for (format, version, make, _) in FORMATS {
        let directory = golden().join(format!("{format}-{version}"));
        if std::env::var_os("BLESS").is_some() && !directory.exists() {
            std::fs::create_dir_all(&directory).unwrap();
            make(&directory);
        }
    }
}

#[test]
fn every_released_format_is_read_and_none_of_its_files_has_changed() {
    bless();
    let mut unknown: Vec<String> = std::fs::read_dir(golden())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut lines = String::new();
    for (format, version, _, read) in FORMATS {
        let name = format!("{format}-{version}");
        assert!(unknown.contains(&name), "{name} has no golden files: BLESS=1 makes them");
        if !GOLDEN.iter().any(|golden| golden.name == (format, version)) {
            let files = files(&golden().join(&name));
            let (sum, says) = (sum(&files), read(copied(&files).path()));
            writeln!(lines, "Golden {{ name: ({format:?}, {version}), sum: {sum:?}, says: {says:?} }},")
                .unwrap();
        }
    }
    assert!(lines.is_empty(), "add to GOLDEN:\n{lines}");
    for Golden { name: (format, version), sum: expected, says } in GOLDEN {
        let name = format!("{format}-{version}");
        let files = files(&golden().join(&name));
        assert_eq!(sum(&files), *expected, "{name} is not as it was released; a change needs a new version");
        let bytes: usize = files.values().map(Vec::len).sum();
        assert!(bytes < 150_000, "{name} has {bytes} bytes");
        let read = FORMATS.iter().find(|(known, ..)| known == format).expect("a format that is read").3;
        assert_eq!(read(copied(&files).path()), *says, "{name} is read as something else");
        unknown.retain(|found| *found != name);
    }
    assert!(unknown.is_empty(), "golden files that nothing names: {unknown:?}");
}

/// A check that can't fail would be none.
#[test]
fn a_changed_byte_of_a_golden_file_is_noticed() {
    for Golden { name: (format, version), sum: expected, .. } in GOLDEN {
        let mut files = files(&golden().join(format!("{format}-{version}")));
        assert_eq!(sum(&files), *expected);
        let last = files.values_mut().last().unwrap();
        last[0] ^= 1;
        assert_ne!(sum(&files), *expected);
    }
}
