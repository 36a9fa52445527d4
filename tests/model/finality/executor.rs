//! The real executor, where the model found it to be wrong: what it does after a restart, which [`super::node`]
//! restates.

use std::collections::BTreeSet;
use std::sync::Arc;

use timed::consensus::core::{BodyReader, Core, CoreConfig, Event, Identity, Opened, Output, Restart, Timer};
use timed::protocol::bft::TimeoutKind;
use timed::storage::index::{Index, IndexChange};
use timed::storage::journal::JournalRecord;
use timed::storage::memory_index::MemoryIndex;
use timed::types::codec::encode;
use timed::types::keys::SequentialVerifier;
use timed::types::{Message, Transaction, TxId};
use timed::utxo::UtxoManager;

use super::ledger::{A, Chain, Ledger, LedgerPlan, ROOT, commit_of, operator};

const PLAN: LedgerPlan =
    LedgerPlan { transactions: 1, capacity: 1_000, ordinary_blocks: 0, blocks: 1, epochs: 1 };

struct NoBodies;

impl BodyReader for NoBodies {
    fn body(&self, _: &TxId) -> Option<Arc<Transaction>> {
        None
    }
}

/// Validator 0 starts with this chain and journal.
fn open(ledger: &Ledger, chain: Chain, records: Vec<JournalRecord>) -> Opened {
    let entry = ledger.get(chain);
    let key = operator(0).public();
    let (_, member) = entry.state.validators().find_key(&key).expect("a member");
    let index = Index::new(Arc::new(MemoryIndex::new()));
    let change = IndexChange {
        height: entry.state.height(),
        block_hash: entry.state.tip_hash(),
        state: encode(&entry.state),
        spent: Vec::new(),
        created: entry.utxos.iter().map(|(outpoint, output)| (*outpoint, *output)).collect(),
        transactions: Vec::new(),
        epoch_end: None,
    };
    index.apply(&change).expect("an index in memory");
    let config = CoreConfig {
        identity: Some(Identity { id: member.id, secret: operator(0) }),
        vote_interval_ms: 0,
        verifier: Arc::new(SequentialVerifier),
    };
    let restart = Restart {
        state: Arc::new(entry.state.clone()),
        last_commit: commit_of(&entry.state),
        settled: BTreeSet::new(),
        records,
        utxos: Arc::new(UtxoManager::new(Arc::new(index), 1 << 20)),
        bodies: Arc::new(NoBodies),
    };
    Core::open(config, restart, entry.state.tip_time())
}

/// What these orders have journaled, and what they then send.
fn words(outputs: Vec<Output>) -> (Vec<JournalRecord>, Vec<Message>) {
    let staged = outputs.into_iter().filter_map(|output| match output {
        Output::Persist(staged) => Some((staged.records, staged.release)),
        _ => None,
    });
    let (records, messages): (Vec<_>, Vec<_>) = staged.unzip();
    (records.concat(), messages.concat())
}

fn last_ordinary_block(ledger: &Ledger) -> Chain {
    let children = &ledger.get(ROOT).children;
    let found = children.iter().find(|child| ledger.get(**child).in_order.is_empty());
    *found.expect("an empty block")
}

#[test]
fn a_node_that_starts_at_a_closing_height_journals_it_before_all_else() {
    let ledger = Ledger::new(PLAN, 1);
    let chain = last_ordinary_block(&ledger);
    let state = &ledger.get(chain).state;
    assert!(state.is_closing());
    let record = JournalRecord::ClosingEntered { epoch: 0, height: state.height() };
    let (records, messages) = words(open(&ledger, chain, Vec::new()).outputs);
    assert_eq!((records, messages.len()), (vec![record.clone()], 0));
    let (records, _) = words(open(&ledger, chain, vec![record]).outputs);
    assert_eq!(records, [], "once is enough");
}

#[test]
fn a_node_that_lost_its_chain_signs_nothing_in_epochs_that_its_journal_was_pruned_of() {
    let ledger = Ledger::new(PLAN, 1);
    let signed = |records: Vec<JournalRecord>| {
        let Opened { mut core, mut outputs } = open(&ledger, ROOT, records);
        let (height, due) = (core.state().height() + 1, core.state().tip_time() + 60_000);
        let propose = Timer::Bft { height, round: 0, kind: TimeoutKind::Propose };
        for event in [
            Event::Transaction(ledger.transaction(A).clone()),
            Event::TimeoutElapsed(Timer::HeightDue(height)),
            Event::TimeoutElapsed(propose),
        ] {
            outputs.extend(core.handle(event, due));
        }
        words(outputs).1
    };
    let messages = signed(Vec::new());
    assert!(messages.iter().any(|message| matches!(message, Message::VoteBatch(_))), "{messages:?}");
    assert!(messages.iter().any(|message| matches!(message, Message::BlockVote(_))), "{messages:?}");
    assert_eq!(signed(vec![JournalRecord::EpochStarted { epoch: 1 }]), []);
    assert_ne!(signed(vec![JournalRecord::EpochStarted { epoch: 0 }]), []);
}
