//! Evidence that no block contains, across restarts and ends of epochs.

use super::*;

/// Two prevotes of a validator at the height after the tip.
fn contradiction(chain: &Chain, place: usize) -> Arc<Evidence> {
    let [first, second] = [1, 2].map(|byte| {
        let vote = BlockVote {
            step: VoteStep::Prevote,
            epoch: chain.state.next_epoch(),
            height: chain.state.height() + 1,
            round: 0,
            value: Some(BlockHash([byte; 32])),
            validator: chain.state.validators().get(place).unwrap().id,
            signature: Signature::EMPTY,
        };
        vote.signed(chain.state.chain_id(), &operator(place))
    });
    Arc::new(Evidence::of_votes(first, second))
}

fn journaled(node: &mut Node) -> Vec<JournalRecord> {
    std::mem::take(&mut node.around.written)
}

fn pending(node: &Node) -> Vec<Arc<Evidence>> {
    node.consensus.pending_evidence().cloned().collect()
}

/// INV-EVIDENCE-3.
#[test]
fn evidence_outlives_a_crash_of_everybody_who_saw_it() {
    let chain = Chain::new();
    let mut node = Node::new(&chain, &[], START_MS);
    let place = node.others().next().unwrap();
    let piece = contradiction(&chain, place);
    node.hear(Message::Evidence(Arc::clone(&piece)));
    let records = journaled(&mut node);
    assert!(records.contains(&JournalRecord::Evidence(Arc::clone(&piece))));
    drop(node);
    let node = Node::with_records(&chain, &[], START_MS, records);
    assert_eq!(pending(&node), [piece]);
}

/// INV-EVIDENCE-1, INV-EVIDENCE-3.
#[test]
fn evidence_outlives_the_end_of_its_epoch_and_goes_with_the_block_that_has_it() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    // The others propose all that follows.
    let mut node = Node::new(&chain, &blocks, START_MS + 1);
    let place = node.others().next().unwrap();
    let piece = contradiction(&chain, place);
    node.hear(Message::Evidence(Arc::clone(&piece)));
    let due_ms = chain.state.epoch_start() + chain.state.parameters().epoch_duration_ms;
    node.now_ms = due_ms;
    journaled(&mut node);
    for (time, epoch_end) in [(due_ms, false), (due_ms + 1, true)] {
        node.decide(&mut chain, time, epoch_end, &[]);
    }
    assert_eq!(node.consensus.state().next_epoch(), 1);
    let records = journaled(&mut node);
    let start =
        records.iter().position(|record| *record == JournalRecord::EpochStarted { epoch: 1 }).unwrap();
    assert!(records[start..].contains(&JournalRecord::Evidence(Arc::clone(&piece))), "what is older goes");
    assert_eq!(pending(&node), [Arc::clone(&piece)]);

    node.decide(&mut chain, due_ms + 2, false, &[piece]);
    assert!(pending(&node).is_empty());
}

#[test]
fn evidence_waits_for_a_chain_that_was_lost() {
    let mut chain = Chain::new();
    let blocks = [chain.grow(START_MS + 1)];
    let due_ms = chain.state.epoch_start() + chain.state.parameters().epoch_duration_ms;
    let mut later = chain.clone();
    later.grow_by(due_ms, false);
    later.grow_by(due_ms + 1, true);
    let place = Node::new(&chain, &blocks, due_ms).others().next().unwrap();
    let piece = contradiction(&later, place);
    let records = vec![JournalRecord::Evidence(Arc::clone(&piece))];
    let mut node = Node::with_records(&chain, &blocks, due_ms, records);
    assert!(pending(&node).is_empty(), "nobody can tell yet");
    node.around.written.clear();
    node.decide(&mut chain, due_ms, false, &[]);
    assert!(pending(&node).is_empty());
    node.decide(&mut chain, due_ms + 1, true, &[]);
    assert_eq!(pending(&node), [Arc::clone(&piece)]);
    assert!(node.around.written.contains(&JournalRecord::Evidence(piece)), "what is older goes");
}

/// INV-EVIDENCE-1.
#[test]
fn what_a_journal_holds_counts_only_if_it_holds_on_the_chain() {
    let chain = Chain::new();
    let place = Node::new(&chain, &[], START_MS).others().next().unwrap();
    let mut forged = contradiction(&chain, place).as_ref().clone();
    let Evidence::Votes(first, _) = &mut forged else { panic!("votes") };
    first.signature = Signature([7; 64]);
    let records = vec![JournalRecord::Evidence(Arc::new(forged))];
    assert!(pending(&Node::with_records(&chain, &[], START_MS, records)).is_empty());
}
