//! When a key is used and when not, whatever else goes on.

use super::super::dispatch::Consensus;
use super::super::events::{Notification, Now, Signing};
use super::super::outbox::Outbox;
use super::super::restart::{ConsensusConfig, Restart};
use super::super::signing::Signer;
use super::super::trust::ChainTrust;
use super::super::vote_replay::JournaledState;
use super::*;
use crate::types::RuleVersion;
use crate::utxo::UtxoManager;

fn signer(signs_after_ms: TimeMs, signs_from: Epoch, signing: Signing) -> Signer {
    Signer::new(Some(operator(0)), signs_after_ms, signs_from, signing)
}

/// What was said to readers.
fn told(out: &mut Outbox) -> Vec<Signing> {
    let of = |output| match output {
        Output::Notify(Notification::SigningChanged(signing)) => Some(signing),
        _ => None,
    };
    out.take().into_iter().filter_map(of).collect()
}

/// A young journal does not know what its key said in epochs before.
#[test]
fn a_key_is_used_in_epochs_that_its_journal_knows_whole() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let node = Node::new(&chain, &blocks, START_MS + 2);
    let start = chain.state.epoch_start();
    let cases = [
        (0, 0, true),
        (start - 1, 0, true),
        (start, 0, false),
        (start + 1, 0, false),
        (0, 1, false),
        (start - 1, 1, false),
    ];
    let chain = &node.consensus.chain;
    for (signs_after_ms, signs_from, signs) in cases {
        let mut signer = signer(signs_after_ms, signs_from, Signing::Allowed);
        assert_eq!((signer.take_seat(chain), signer.me().is_some()), (signs, signs));
        let own = signer.own_seat(chain).unwrap();
        assert_eq!(signer.answers_for(chain, own, 0), signs, "else another node said it");
        assert!(!signer.take_seat(chain), "no news");
    }
    for signing in [Signing::Listening { acknowledged: 0, quorum: 3 }, Signing::KeyCopied, Signing::Forked] {
        let mut signer = signer(0, 0, signing);
        assert!(!signer.take_seat(chain) && signer.me().is_none());
    }
}

#[test]
fn a_journal_that_is_ahead_of_the_chain_starts_no_epoch_again() {
    let mut signer = signer(0, 3, Signing::Allowed);
    assert_eq!([2, 3, 4, 4].map(|epoch| signer.start_epoch(epoch)), [false, false, true, false]);
}

#[test]
fn a_quorum_ends_the_listening_and_readers_hear_of_each_step_once() {
    let mut out = Outbox::default();
    let mut signer = signer(0, 0, Signing::Listening { acknowledged: 0, quorum: 0 });
    assert!(!signer.on_acknowledged(2, 3, &mut out));
    assert!(!signer.on_acknowledged(2, 3, &mut out));
    assert_eq!(told(&mut out), [Signing::Listening { acknowledged: 2, quorum: 3 }]);
    assert!(signer.on_acknowledged(3, 3, &mut out));
    assert_eq!(told(&mut out), [Signing::Allowed]);
    assert!(!signer.on_acknowledged(4, 3, &mut out), "it asks no more");
    assert_eq!(told(&mut out), []);
}

/// Only a start that is behind its operator's decision ends these.
#[test]
fn what_stopped_the_key_for_good_is_not_forgotten_for_something_else() {
    let mut out = Outbox::default();
    let mut forked = signer(0, 0, Signing::Allowed);
    forked.on_fork(&mut out);
    assert!(!forked.on_key_copied("a vote", &mut out) && !forked.listen_again("it slept", &mut out));
    assert_eq!(forked.signing(), Signing::Forked);
    let mut copied = signer(0, 0, Signing::Allowed);
    assert!(copied.on_key_copied("a vote", &mut out) && !copied.on_key_copied("a vote", &mut out));
    assert!(!copied.on_acknowledged(9, 3, &mut out) && !copied.listen_again("it slept", &mut out));
    assert_eq!(copied.signing(), Signing::KeyCopied);
    told(&mut out);
    let mut without = Signer::new(None, 0, 0, Signing::NoKey);
    without.on_fork(&mut out);
    assert_eq!((without.signing(), told(&mut out)), (Signing::NoKey, vec![]));
}

/// Whether a node signs that starts from these, when it may have to ask for so long.
fn started(
    operator: Option<SecretKey>,
    blocks: &[LoggedBlock],
    records: Vec<JournalRecord>,
    listen_ms: u64,
) -> Signing {
    let (genesis, disk) = (genesis(), MemoryDisk::new());
    let chain_id = genesis.chain_id();
    let mut log = BlockLog::open(disk.clone(), Path::new("blocks"), chain_id).unwrap();
    for block in blocks {
        log.append(block).unwrap();
    }
    let index = Index::new(Arc::new(MemoryIndex::new()));
    let replayed = replay(&genesis, &index, &log.reader(), &mut |_, _| true).unwrap();
    let identity = JournalIdentity { chain_id, operator: operator.as_ref().map(SecretKey::public) };
    let open = || JournalWriter::open_or_create(disk.clone(), Path::new("votes"), identity).unwrap();
    let staged = Staged::<OwnMessage> { records, release: Vec::new() };
    drop(open().writer.commit(vec![staged]).unwrap());
    let opened = open();
    let journaled =
        JournaledState::read(opened.contents, &opened.reader, &replayed.state, &mut |_, _| true).unwrap();
    let config = ConsensusConfig {
        operator,
        listen_ms,
        instance: [1; 16],
        signs_after_ms: 0,
        vote_interval_ms: 0,
        knows: RuleVersion::NEWEST,
        trust: ChainTrust::default(),
        verifier: Arc::new(SequentialVerifier),
    };
    let utxos = Arc::new(UtxoManager::new(Arc::new(index), 1 << 20));
    let restart = Restart::new(replayed, (journaled, opened.reader), utxos, log.reader());
    Consensus::open(config, restart, Now::both(START_MS + 1)).consensus.signing()
}

/// Only where nobody can have voted yet does a node sign unasked.
#[test]
fn a_start_asks_before_it_signs_unless_chain_and_journal_are_new() {
    let mut chain = Chain::new();
    let mut other = chain.clone();
    let blocks = [chain.grow(START_MS + 1)];
    let key = || Some(operator(0));
    let vote = BlockVote {
        step: VoteStep::Prevote,
        epoch: 0,
        height: 1,
        round: 0,
        value: None,
        validator: other.state.validators().get(0).unwrap().id,
        signature: Signature::EMPTY,
    };
    let voted = || {
        vec![JournalRecord::BlockVote(Arc::new(vote.clone().signed(chain.state.chain_id(), &operator(0))))]
    };
    let listening = Signing::Listening { acknowledged: 0, quorum: 0 };
    assert_eq!(started(key(), &[], Vec::new(), 3_000), Signing::Allowed);
    assert_eq!(started(key(), &blocks, Vec::new(), 3_000), listening);
    assert_eq!(started(key(), &[], voted(), 3_000), listening);
    assert_eq!(started(key(), &blocks, voted(), 0), Signing::Allowed, "it need not ask");
    assert_eq!(started(None, &blocks, Vec::new(), 3_000), Signing::NoKey);
    let side = |logged: &LoggedBlock| {
        let CommittedBlock { block, commit } = &logged.committed;
        (block.header.clone(), commit.clone())
    };
    let rival = other.grow(START_MS + 7);
    let fork = ForkProof::new(other.state.validators(), side(&blocks[0]), side(&rival));
    let records = vec![JournalRecord::Fork(Arc::new(fork))];
    assert_eq!(started(key(), &blocks, records, 0), Signing::Forked);
}
