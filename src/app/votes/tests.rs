//! A masternode votes, its journal is carried elsewhere, and the machines there know what it said.

use std::sync::Arc;

use super::*;
use crate::app::StartError;
use crate::app::networks::{devnet_account_keys, devnet_genesis, devnet_operator_key};
use crate::app::open::{self, Data, Watched};
use crate::consensus::events::{Event, Signing};
use crate::consensus::fixtures::SingleNode;
use crate::protocol::proposer::proposer_of_round;
use crate::protocol::validity::CheckedTransaction;
use crate::runtime::key_file::create_key_file;
use crate::storage::LoggedBlock;
use crate::types::keys::SequentialVerifier;
use crate::types::{
    Block, BlockVote, Commit, CommittedBlock, FinalityVote, GenesisDocument, Header, Message, Network,
    Proposal, Released, SecretKey, Signature, SignerBitmap, Transaction, TxOut, VoteBatch, VoteKind,
    VoteStep,
};

/// Long after the devnet's genesis, so that its first block is due.
const NOW_MS: crate::types::TimeMs = 1_800_000_000_000;

/// A data directory of the masternode with this operator key, with no journal yet.
fn home(genesis: &GenesisDocument, operator: &SecretKey) -> (tempfile::TempDir, Config) {
    let home = tempfile::tempdir().unwrap();
    let mut config = Config::of_network(Network::Devnet);
    let (key, document) = (home.path().join("operator.key"), home.path().join("genesis.toml"));
    create_key_file(&key, operator).unwrap();
    std::fs::write(&document, genesis.to_toml().unwrap()).unwrap();
    config.node.data_dir = home.path().join("data");
    config.node.genesis = Some(document);
    config.masternode.enabled = true;
    config.masternode.operator_key = Some(key);
    (home, config)
}

/// As at a start that nobody interrupts.
fn open(config: &Config, genesis: &GenesisDocument) -> Result<Data, StartError> {
    open::open(open::lock(config)?, config, genesis, &Watched::default())
}

/// A core over what a data directory holds.
type Node = SingleNode<RealDisk>;

impl Node {
    fn of(config: &Config, genesis: &GenesisDocument) -> Self {
        let data = open(config, genesis).unwrap();
        let Data {
            operator, journal, journal_reader, journal_origin, journaled, index, replayed, log, ..
        } = data;
        let journal = (journal, journal_reader, journal_origin, journaled);
        Self::start(operator, (replayed, index), 0, journal, log, NOW_MS)
    }

    /// The proposal and the votes of the block layer that it said.
    fn said_of_blocks(&self) -> (Option<Arc<Proposal>>, Vec<Arc<BlockVote>>) {
        let (mut proposal, mut votes) = (None, Vec::new());
        for message in &self.around.said {
            match message {
                Message::Proposal(said) => proposal = Some(Arc::clone(said.as_arc())),
                Message::BlockVote(vote) => votes.push(Arc::clone(vote.as_arc())),
                _ => {}
            }
        }
        (proposal, votes)
    }
}

/// Lets a masternode lock a payment, see it certified and promise it, propose a block and lock that: everything that
/// its journal protects.
fn vote(config: &Config, genesis: &GenesisDocument, proposer: usize) -> (Transaction, BlockVote) {
    let mut node = Node::of(config, genesis);
    let state = Arc::clone(node.consensus.state());
    let (outpoint, output) = genesis.outputs()[0];
    let key = &devnet_account_keys()[0];
    let outputs = vec![TxOut { value: crate::types::Amount(output.value.0 - 1_000), ..output }];
    let payment = Transaction::transfer(vec![outpoint], outputs, Vec::new()).signed(state.chain_id(), &[key]);
    let (chain_id, parameters) = (state.chain_id(), state.parameters());
    let checked =
        CheckedTransaction::check(Arc::new(payment.clone()), chain_id, parameters, &SequentialVerifier)
            .unwrap();
    node.feed(Event::Transaction(checked));
    let others: Vec<usize> = (0..4).filter(|index| *index != proposer).collect();
    let id_of = |index: usize| GenesisDocument::masternode_id(&genesis.collateral_outpoint(index));
    let lock = FinalityVote { kind: VoteKind::Lock, txid: payment.txid() };
    for index in others.iter().take(2).copied() {
        let secret = devnet_operator_key(index);
        let batch = VoteBatch::signed(chain_id, 0, id_of(index), 0, vec![lock], &secret);
        node.hear(Message::VoteBatch(Released::heard(batch)));
    }
    assert!(node.consensus.finality().promises().contains(&payment.txid()), "voted Final");
    node.feed(Event::TimeoutElapsed(crate::consensus::events::Timer::HeightDue(1)));
    let (proposal, _) = node.said_of_blocks();
    let proposal = proposal.expect("it proposes");
    let prevote = |index: usize| {
        let vote = BlockVote {
            step: VoteStep::Prevote,
            epoch: 0,
            height: 1,
            round: 0,
            value: Some(proposal.block.header.hash()),
            validator: id_of(index),
            signature: Signature::EMPTY,
        };
        vote.signed(chain_id, &devnet_operator_key(index))
    };
    for index in others.iter().take(2).copied() {
        node.hear(Message::BlockVote(Released::heard(prevote(index))));
    }
    let (_, votes) = node.said_of_blocks();
    let precommit = votes.into_iter().find(|vote| vote.step == VoteStep::Precommit).expect("it precommits");
    (payment, (*precommit).clone())
}

/// Who proposes the first block.
fn proposer_index(genesis: &GenesisDocument) -> usize {
    let (state, _) = crate::protocol::state::LedgerState::genesis(genesis).unwrap();
    let place = proposer_of_round(&state.proposer_order(), 0).unwrap();
    let id = state.validators().get(place).unwrap().id;
    let id_of = |index: &usize| GenesisDocument::masternode_id(&genesis.collateral_outpoint(*index));
    (0..4).find(|index| id_of(index) == id).unwrap()
}

#[test]
fn exported_and_imported_votes_protect_equally() {
    let genesis = devnet_genesis(4);
    let proposer = proposer_index(&genesis);
    let operator = devnet_operator_key(proposer);
    let (_first, config) = home(&genesis, &operator);
    VotesPlace::of(&config).unwrap().make(true).unwrap();
    let (payment, precommit) = vote(&config, &genesis, proposer);

    let mut file = Vec::new();
    let exported = VotesPlace::of(&config).unwrap().export(&mut file, Path::new("out")).unwrap();
    assert!(exported.records > 8 && exported.origin.forced, "{exported:?}");
    let (second, elsewhere) = home(&genesis, &operator);
    let path = second.path().join("votes.json");
    std::fs::write(&path, &file).unwrap();
    let imported = VotesPlace::of(&elsewhere).unwrap().import(&path, true).unwrap();
    assert_eq!((imported.records, imported.origin), (exported.records, exported.origin));

    let journal = |config: &Config| {
        let identity = JournalIdentity { chain_id: genesis.chain_id(), operator: Some(operator.public()) };
        let mut records = Vec::new();
        let path = journal_path(&config.node.data_dir);
        let scanned = JournalWriter::scan(RealDisk, &path, identity, &mut |record| {
            records.push(record);
            Ok(())
        });
        drop(scanned.unwrap());
        records
    };
    assert_eq!(journal(&elsewhere), journal(&config));
    let (here, there) = (Node::of(&config, &genesis), Node::of(&elsewhere, &genesis));
    for node in [&here, &there] {
        let finality = node.consensus.finality();
        assert_eq!(finality.locked_to(&payment.inputs[0]), Some(payment.txid()));
        assert!(finality.promises().contains(&payment.txid()));
        assert_eq!(node.consensus.bft().locked(), Some((0, precommit.value.unwrap())));
        // What it said is said again as it was.
        let (proposal, votes) = node.said_of_blocks();
        assert_eq!(proposal.unwrap().block.header.hash(), precommit.value.unwrap());
        assert!(votes.iter().any(|vote| **vote == precommit), "{votes:?}");
    }
    let mut again = Vec::new();
    drop((here, there));
    VotesPlace::of(&elsewhere).unwrap().export(&mut again, Path::new("out")).unwrap();
    assert_eq!(again, file, "byte for byte");
}

/// Two committed blocks at height 1, as the journal keeps them. Nobody checks them there.
fn fork(config: &Config, genesis: &GenesisDocument, proposer: usize) -> ForkProof {
    let (_, precommit) = vote(config, genesis, proposer);
    let node = Node::of(config, genesis);
    let (proposal, _) = node.said_of_blocks();
    let side = |time| {
        let header = Header { time, ..proposal.as_ref().unwrap().block.header.clone() };
        let commit = Commit {
            height: 1,
            round: 0,
            block_hash: header.hash(),
            signers: SignerBitmap::empty(4),
            signatures: Vec::new(),
        };
        (header, commit)
    };
    ForkProof { ours: side(1), theirs: side(2), guilty: vec![precommit.validator] }
}

/// INV-FORK-2.
#[test]
fn a_fork_is_acknowledged_once_and_carried_along() {
    let genesis = devnet_genesis(4);
    let operator = devnet_operator_key(0);
    let (_home, config) = home(&genesis, &operator);
    VotesPlace::of(&config).unwrap().make(true).unwrap();
    assert!(matches!(open_fork(&config, true), Err(VotesError::NoFork { .. })));
    let proposer = proposer_index(&genesis);
    let (_other, of_proposer) = home(&genesis, &devnet_operator_key(proposer));
    VotesPlace::of(&of_proposer).unwrap().make(true).unwrap();
    let fork = Arc::new(fork(&of_proposer, &genesis, proposer));
    let identity = JournalIdentity { chain_id: genesis.chain_id(), operator: Some(operator.public()) };
    let mut journal =
        JournalWriter::open(RealDisk, &journal_path(&config.node.data_dir), identity).unwrap().writer;
    let records = vec![JournalRecord::Fork(Arc::clone(&fork))];
    drop(journal.commit(vec![Staged::<()> { records, release: Vec::new() }]).unwrap());
    drop(journal);

    assert_eq!(Node::of(&config, &genesis).consensus.signing(), Signing::Forked);
    assert_eq!(open_fork(&config, false).unwrap(), fork, "it is shown");
    assert_eq!(Node::of(&config, &genesis).consensus.signing(), Signing::Forked, "and stays");
    assert_eq!(open_fork(&config, true).unwrap(), fork);
    assert!(matches!(open_fork(&config, true), Err(VotesError::NoFork { .. })));

    let mut file = Vec::new();
    VotesPlace::of(&config).unwrap().export(&mut file, Path::new("out")).unwrap();
    let (second, elsewhere) = home(&genesis, &operator);
    let path = second.path().join("votes.json");
    std::fs::write(&path, &file).unwrap();
    VotesPlace::of(&elsewhere).unwrap().import(&path, true).unwrap();
    for config in [&config, &elsewhere] {
        let node = Node::of(config, &genesis);
        assert_eq!(node.consensus.signing(), Signing::Allowed);
        assert!(node.consensus.fork().is_none());
    }
}

/// INV-VOTES-2.
#[test]
fn what_is_there_is_never_overwritten_and_nothing_is_left_of_a_failure() {
    let genesis = devnet_genesis(4);
    let (_first, config) = home(&genesis, &devnet_operator_key(1));
    let made = VotesPlace::of(&config).unwrap().make(false).unwrap();
    assert!(!made.origin.forced && !made.replaced_keyless);
    let place = VotesPlace::of(&config).unwrap();
    let again = place.make(true);
    assert!(matches!(again, Err(VotesError::Storage(StorageError::JournalExists { .. }))));
    let mut file = Vec::new();
    place.export(&mut file, Path::new("out")).unwrap();
    drop(place);

    let import = |genesis: &GenesisDocument, operator: usize, text: &str| {
        let (home, config) = home(genesis, &devnet_operator_key(operator));
        let path = home.path().join("votes.json");
        std::fs::write(&path, text).unwrap();
        let outcome = VotesPlace::of(&config).unwrap().import(&path, true);
        let journal = journal_path(&config.node.data_dir);
        assert_eq!(journal.exists(), outcome.is_ok());
        outcome
    };
    let text = String::from_utf8(file).unwrap();
    let imported = import(&genesis, 1, &text).unwrap();
    assert_eq!(imported.origin, made.origin, "the restriction comes along");
    let file_error = |outcome| match outcome {
        Err(VotesError::File { source, .. }) => source,
        other => panic!("{other:?}"),
    };
    let chain = file_error(import(&devnet_genesis(5), 1, &text));
    assert!(matches!(chain, VoteFileError::WrongChain { .. }), "{chain}");
    let key = file_error(import(&genesis, 2, &text));
    assert!(matches!(key, VoteFileError::WrongOperator { .. }), "{key}");
    let cut = file_error(import(&genesis, 1, &text[..text.len() - 3]));
    assert!(matches!(cut, VoteFileError::Malformed(_)), "{cut}");

    let path = config.node.data_dir.join("other.json");
    std::fs::write(&path, &text).unwrap();
    let occupied = VotesPlace::of(&config).unwrap().import(&path, true);
    assert!(matches!(occupied, Err(VotesError::Storage(StorageError::JournalExists { .. }))));
    let mut other = config.clone();
    let key_path = config.node.data_dir.join("other.key");
    create_key_file(&key_path, &devnet_operator_key(3)).unwrap();
    other.masternode.operator_key = Some(key_path);
    let foreign = VotesPlace::of(&other).unwrap().make(false);
    assert!(matches!(foreign, Err(VotesError::Storage(StorageError::WrongOperator { .. }))));
}

/// INV-VOTES-3.
#[test]
fn a_copy_of_a_journal_waits_and_one_that_was_taken_away_signs_at_once() {
    let genesis = devnet_genesis(4);
    let operator = devnet_operator_key(1);
    let (first, config) = home(&genesis, &operator);
    let made = VotesPlace::of(&config).unwrap().make(true).unwrap();
    let import = |name: &str, forced: bool| {
        let (_home, elsewhere) = home(&genesis, &operator);
        VotesPlace::of(&elsewhere).unwrap().import(&first.path().join(name), forced).unwrap().origin
    };
    let export = |place: &VotesPlace, name: &str| {
        let file = File::create(first.path().join(name)).unwrap();
        place.export(file, Path::new(name)).unwrap()
    };
    let mut place = VotesPlace::of(&config).unwrap();
    export(&place, "copy.json");
    let copy = import("copy.json", false);
    assert!(!copy.forced && copy.created_ms >= made.origin.created_ms, "the key may have gone on: {copy:?}");
    assert!(copy.signs_after_ms() > 0);
    assert_eq!(import("copy.json", true), made.origin, "the operator takes the risk");

    place.take_away().unwrap();
    export(&place, "moved.json");
    assert_eq!(import("moved.json", false), made.origin);
    drop(place);
    let refused = open(&config, &genesis).err().unwrap();
    assert!(matches!(refused, StartError::Storage(StorageError::NoJournal { .. })), "{refused}");

    let (_third, other) = home(&genesis, &operator);
    VotesPlace::of(&other).unwrap().make(true).unwrap();
    let mut place = VotesPlace::of(&other).unwrap();
    place.take_away().unwrap();
    place.give_back().unwrap();
    drop(place);
    assert!(open(&other, &genesis).is_ok());
}

/// INV-VOTES-1.
#[test]
fn a_node_that_followed_becomes_a_masternode() {
    let genesis = devnet_genesis(4);
    let (_home, mut config) = home(&genesis, &devnet_operator_key(1));
    config.masternode.enabled = false;
    drop(open(&config, &genesis).unwrap());
    config.masternode.enabled = true;
    let refused = open(&config, &genesis).err().unwrap().to_string();
    assert!(refused.contains("holds no votes") && refused.contains("timed votes new"), "{refused}");
    assert!(VotesPlace::of(&config).unwrap().make(false).unwrap().replaced_keyless);
    assert!(!open(&config, &genesis).unwrap().journal_origin.forced);
    config.masternode.enabled = false;
    let refused = open(&config, &genesis).err().unwrap().to_string();
    assert!(refused.contains("[masternode] enabled = true"), "{refused}");
}

#[test]
fn a_running_node_keeps_its_journal_to_itself() {
    let genesis = devnet_genesis(4);
    let (_home, config) = home(&genesis, &devnet_operator_key(1));
    let _held = VotesPlace::of(&config).unwrap();
    let refused = VotesPlace::of(&config).err().unwrap();
    assert!(matches!(refused, VotesError::Storage(StorageError::InUse { .. })), "{refused}");
}

/// What the operator is told of when a key signs, by what its data directory knows of the chain.
#[test]
fn a_key_signs_from_the_epoch_after_the_running_one_on() {
    let genesis = devnet_genesis(4);
    let proposer = proposer_index(&genesis);
    let (_home, config) = home(&genesis, &devnet_operator_key(proposer));
    VotesPlace::of(&config).unwrap().make(true).unwrap();
    vote(&config, &genesis, proposer);
    let (proposal, _) = Node::of(&config, &genesis).said_of_blocks();
    let built = &proposal.unwrap().block;
    let duration_ms = genesis.parameters.epoch_duration_ms;
    for (epoch_end, first) in [(false, 4), (true, 5)] {
        let header = Header { epoch: 3, epoch_end, ..built.header.clone() };
        let time_ms = header.time;
        let block =
            Block { header, last_commit: Commit::default(), transactions: Vec::new(), evidence: Vec::new() };
        let committed = CommittedBlock { block, commit: Commit::default() };
        let blocks = config.node.data_dir.join("blocks");
        std::fs::remove_dir_all(&blocks).unwrap();
        let mut log = BlockLog::open(RealDisk, &blocks, genesis.chain_id()).unwrap();
        log.append(&LoggedBlock { committed, spent: Vec::new() }).unwrap();
        drop(log);
        let place = VotesPlace::of(&config).unwrap();
        let told = |created_ms, forced| place.first_vote(JournalOrigin { created_ms, forced }).unwrap();
        assert_eq!(told(time_ms, true), None, "at once");
        for (created_ms, epoch) in [(time_ms + duration_ms, Some(first)), (time_ms + duration_ms + 1, None)] {
            let origin = JournalOrigin { created_ms, forced: false };
            let after_ms = origin.signs_after_ms();
            let until_ms = Some(after_ms + duration_ms);
            let expected = FirstVote { after_ms, until_ms, epoch, height: 1 };
            assert_eq!(told(created_ms, false), Some(expected));
        }
    }
}
