//! What one node says, and how often, when its peers say odd things.

use timed::types::{Message, VoteStep};

use crate::one_node::OneNode;

/// How often a message was passed on.
fn relays(one: &OneNode, message: &Message) -> usize {
    one.relayed.iter().filter(|relayed| *relayed == message).count()
}

#[test]
fn a_late_vote_that_is_not_kept_is_not_passed_on() {
    let mut one = OneNode::new(&[1, 2, 3]);
    one.wait(600);
    // Round 0 fails without this vote, and a later one decides.
    let late = one.vote(3, VoteStep::Precommit, 0, None);
    one.vote_round(false, &[1, 2]);
    assert!(one.running().core.bft().round() > 0);
    one.commit_until(1);
    for from in [1, 2, 3, 1, 2, 3] {
        one.hear(from, late.clone());
    }
    assert_eq!(relays(&one, &late), 0, "each peer would send it back for ever");
}
