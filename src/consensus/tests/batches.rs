//! When own votes leave, and how many at a time.

use super::super::moment::Moment;
use super::*;
use crate::protocol::finality::RANGES_MAX;
use crate::storage::journal::Durable;
use crate::types::limits::BATCH_VOTES_MAX;

const INTERVAL_MS: u64 = 2;

/// What a core wants done about its votes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    /// Votes of each batch that is to be written and sent.
    batches: Vec<usize>,
    /// Milliseconds to the next look.
    wait_ms: Option<u64>,
}

/// A node whose journal answers when the test says so.
struct SlowDisk {
    node: Node,
    staged: Vec<Staged<OwnMessage>>,
}

impl SlowDisk {
    fn new() -> Self {
        let last = *Chain::new().state.proposer_order().last().unwrap();
        let node = Node::with_interval(operator(last), INTERVAL_MS, &[], START_MS, Vec::new());
        Self { node, staged: Vec::new() }
    }

    fn feed(&mut self, event: Event) -> Wanted {
        let mut wanted = Wanted::default();
        for output in self.node.order(event) {
            match output {
                Output::Persist(staged) => {
                    wanted.batches.extend(staged.release.iter().filter_map(|message| match message {
                        OwnMessage::VoteBatch(batch) => Some(batch.votes.len()),
                        _ => None,
                    }));
                    self.staged.push(staged);
                }
                Output::Schedule(Timer::FlushVotes, wait_ms) => wanted.wait_ms = Some(wait_ms),
                _ => {}
            }
        }
        wanted
    }

    /// Payments of their own, each for a vote.
    fn pay(&mut self, numbers: std::ops::Range<usize>) -> Wanted {
        let chain = Chain::new();
        numbers.fold(Wanted::default(), |mut wanted, number| {
            let more = self.feed(Event::Transaction(chain.payment(number)));
            wanted.batches.extend(more.batches);
            wanted.wait_ms = wanted.wait_ms.or(more.wait_ms);
            wanted
        })
    }

    fn write(&mut self) -> Wanted {
        let durable: Vec<Durable<OwnMessage>> =
            self.node.around.journal.commit(std::mem::take(&mut self.staged)).unwrap();
        self.feed(Event::Persisted(durable))
    }

    fn after(&mut self, wait_ms: u64) -> Wanted {
        self.node.now_ms += wait_ms;
        self.feed(Event::TimeoutElapsed(Timer::FlushVotes))
    }
}

fn batch(votes: usize) -> Wanted {
    Wanted { batches: vec![votes], wait_ms: None }
}

fn wait(wait_ms: u64) -> Wanted {
    Wanted { batches: Vec::new(), wait_ms: Some(wait_ms) }
}

#[test]
fn votes_gather_while_the_journal_writes() {
    let mut disk = SlowDisk::new();
    assert_eq!(disk.pay(0..1), batch(1), "the first leaves at once");
    disk.node.now_ms += 10 * INTERVAL_MS;
    assert_eq!(disk.pay(1..5), Wanted::default());
    assert_eq!(disk.write(), batch(4), "and then all that came meanwhile");
    disk.node.now_ms += 10 * INTERVAL_MS;
    assert_eq!(disk.write(), Wanted::default());
    assert_eq!(disk.pay(5..6), batch(1));
}

#[test]
fn a_wait_that_began_before_the_last_batch_sends_none() {
    let mut disk = SlowDisk::new();
    disk.pay(0..1);
    disk.write();
    assert_eq!(disk.pay(1..2), wait(INTERVAL_MS));
    // A vote on a block takes all votes with it.
    let consensus = &mut disk.node.consensus;
    let at = Moment { chain: &consensus.chain, signer: &consensus.signer, now: consensus.now };
    consensus.finality.flush(&at, &mut consensus.out);
    let flushed = disk.feed(Event::Tick);
    assert_eq!(flushed, batch(1));
    assert_eq!(disk.pay(2..3), Wanted::default());
    assert_eq!(disk.after(INTERVAL_MS), Wanted::default(), "the journal still writes that batch");
    assert_eq!(disk.write(), batch(1));
}

/// Each would come, and the journal would write for each.
#[test]
fn one_wait_at_a_time_is_asked_for() {
    let mut disk = SlowDisk::new();
    disk.pay(0..1);
    disk.write();
    assert_eq!(disk.pay(1..2), wait(INTERVAL_MS));
    assert_eq!(disk.pay(2..3), Wanted::default(), "it is on its way");
    assert_eq!(disk.after(INTERVAL_MS), batch(2));
}

#[test]
fn a_wait_ends_though_the_clock_was_set_back() {
    let mut disk = SlowDisk::new();
    disk.pay(0..1);
    disk.write();
    assert_eq!(disk.pay(1..2), wait(INTERVAL_MS));
    disk.node.now_ms -= 60_000;
    assert_eq!(disk.feed(Event::TimeoutElapsed(Timer::FlushVotes)), batch(1));
}

#[test]
fn the_interval_grows_with_the_last_batch() {
    let mut disk = SlowDisk::new();
    disk.pay(0..1);
    disk.write();
    assert_eq!(disk.pay(1..18), wait(INTERVAL_MS), "after a batch of one");
    assert_eq!(disk.after(INTERVAL_MS), batch(17));
    disk.write();
    assert_eq!(disk.pay(18..38), wait(3 * INTERVAL_MS), "after one of 17, so of twice eight");
    assert_eq!(disk.after(3 * INTERVAL_MS), batch(20));
    disk.write();
    disk.node.now_ms += 3 * INTERVAL_MS;
    assert_eq!(disk.pay(38..39), batch(1), "nobody waits longer than that");
    disk.write();
    assert_eq!(disk.pay(39..40), wait(INTERVAL_MS));
}

/// Rule "Batches" of section 4: a larger one would be refused by everybody.
#[test]
fn a_full_batch_leaves_at_once_whatever_the_journal_does() {
    let mut disk = SlowDisk::new();
    assert_eq!(disk.pay(0..1), batch(1));
    disk.node.consensus.finality.let_votes_wait(BATCH_VOTES_MAX - 2);
    assert_eq!(disk.pay(1..2), Wanted::default(), "the journal still writes the last one");
    assert_eq!(disk.pay(2..3), batch(BATCH_VOTES_MAX));
    assert_eq!(disk.pay(3..4), Wanted::default());
}

/// INV-GOSSIP-3, INV-BATCH-2: it would be new again whenever it comes back.
#[test]
fn a_batch_below_all_numbers_that_are_remembered_counts_and_is_not_passed_on() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let other = node.others().next().unwrap();
    let id = chain.state.validators().get(other).unwrap().id;
    let vote = FinalityVote { kind: VoteKind::Lock, txid: TxId([7; 32]) };
    let signed = VoteBatch::signed(chain.state.chain_id(), 0, id, 0, vec![vote], &operator(other));
    // Each number stands alone, so each takes a range; nobody looks at the signatures again.
    let mut is_passed_on = |seq: u64| {
        let mut batch = signed.clone();
        batch.header.seq = seq;
        let message = Message::VoteBatch(Released::heard(batch));
        let outputs = node.order(Event::Message { from: peer(), message, verified: true });
        let passes = |output: &Output| matches!(output, Output::Relay(Message::VoteBatch(_), Some(from)) if *from == peer());
        outputs.iter().any(passes)
    };
    let numbers = (1..).map(|number| 2 * number).take(RANGES_MAX);
    for seq in numbers {
        assert!(is_passed_on(seq), "number {seq}");
    }
    assert!(!is_passed_on(0) && !is_passed_on(0));
    assert!(is_passed_on(1_000_000), "what is above is remembered instead of the lowest");
}

/// Else a payment would wait for seconds behind a full batch.
#[test]
fn the_interval_grows_four_times_and_no_further() {
    let mut disk = SlowDisk::new();
    disk.pay(0..1);
    disk.node.consensus.finality.let_votes_wait(BATCH_VOTES_MAX - 1);
    assert_eq!(disk.pay(1..2), batch(BATCH_VOTES_MAX));
    disk.write();
    assert_eq!(disk.pay(2..3), wait(4 * INTERVAL_MS));
    assert_eq!(disk.after(4 * INTERVAL_MS), batch(1));
}
