//! Blocks of one height that are judged side by side.

use super::*;
use crate::types::RuleVersion;

/// Its body may come back, and then it is judged. Until then others are.
#[test]
fn a_block_one_of_whose_bodies_was_let_go_holds_up_no_other() {
    const TIMES: u64 = 16;
    let chain = Chain::new();
    let order = chain.state.proposer_order();
    let (second, last) = (order[1], *order.last().unwrap());
    let (rival, lost, late) = (chain.payment(0), chain.payment_of_bytes(0, 1_000), chain.payment(1));
    let (incomplete, _) = chain.block(START_MS + 1, false, &[lost.clone(), late.clone()]);
    let mut judged_first = 0;
    for time in START_MS + 1..=START_MS + TIMES {
        let mut node = Node::of_operator(operator(last), &[], START_MS + TIMES, Vec::new());
        // Only what is not locked can be let go.
        node.feed(Event::Transaction(rival.clone()));
        node.feed(Event::Transaction(lost.clone()));
        node.hear(chain.proposal(&incomplete));
        node.feed(Event::Expired(vec![lost.txid()]));
        assert!(node.consensus.finality().transaction(&lost.txid()).is_none());
        node.feed(Event::Transaction(late.clone()));
        node.hear_block_votes(VoteStep::Precommit, None);
        let timer = Timer::Bft { height: 1, round: 0, kind: bft::TimeoutKind::Precommit };
        node.feed(Event::TimeoutElapsed(timer));
        let validator = chain.state.validators().get(second).unwrap().id;
        let draft = BlockDraft {
            round: 1,
            time,
            epoch_end: false,
            proposer: validator,
            announces: RuleVersion::FIRST,
            last_commit: &chain.commit,
            transactions: &[],
            evidence: &[],
        };
        let (whole, _) = transition::propose(&chain.state, &chain.utxos, &draft).unwrap();
        let block = whole.blueprint();
        let proposal = Proposal { round: 1, pol_round: None, validator, block, signature: Signature::EMPTY };
        node.hear(Message::Proposal(Released::heard(proposal.signed(&operator(second)))));
        assert_eq!(node.prevote(), Some(Some(whole.header.hash())));
        judged_first += u64::from(whole.header.hash() < incomplete.header.hash());
    }
    assert!((1..TIMES).contains(&judged_first), "both orders are tried: {judged_first}");
}
