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

use timed::consensus::replay::replay;
use timed::network::{PeersFile, peers_file_state};
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
use timed::wallet::Wallet;

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
];

/// What today's program writes, and how it reads all versions of that.
type Format = (&'static str, u16, fn(&Path), fn(&Path) -> String);

const FORMATS: [Format; 6] = [
    ("chain", SEGMENT_FORMAT_VERSION, make::chain, read_chain),
    ("proof", FINALITY_PROOF_VERSION, make::proof, read_proof),
    ("keystore", make::KEYSTORE_VERSION, make::keystore, read_keystore),
    ("peers", make::PEERS_VERSION, make::peers, read_peers),
    ("config", 1, make::config, read_config),
    ("genesis", 1, make::genesis, read_genesis),
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
