//! What a bad block costs whoever checks it: no signature is looked at before the hashes hold.

use std::cell::Cell;

use super::*;
use crate::types::SignatureCheck;

/// Counts the signatures that it is asked about.
#[derive(Default)]
struct Counting(Cell<usize>);

impl SignatureVerifier for Counting {
    fn verify_all(&self, checks: &[SignatureCheck]) -> Result<(), usize> {
        self.0.set(self.0.get() + checks.len());
        VERIFIER.verify_all(checks)
    }
}

/// Else whoever serves blocks could have a syncing node check as many signatures as fit into each answer, for nothing.
#[test]
fn a_block_that_its_header_does_not_bind_or_that_is_of_elsewhere_costs_hashes_only() {
    let (chain, transactions, _) = next_block();
    let (block, _) = propose(&chain.state, &chain.utxos, &chain.draft(1_000, false, &transactions)).unwrap();
    type Change = (&'static str, fn(&mut Block));
    let changes: [Change; 7] = [
        ("transactions in another order", |block| block.transactions.swap(0, 1)),
        ("one left out", |block| block.transactions.truncate(1)),
        ("one repeated", |block| block.transactions.push(Arc::clone(&block.transactions[0]))),
        ("another commit", |block| block.last_commit.round += 1),
        ("another height", |block| block.header.height += 1),
        ("another parent", |block| block.header.prev_hash = BlockHash::ZERO),
        ("another chain", |block| block.header.chain_id.0[0] ^= 1),
    ];
    let cost = |block: &Block| {
        let verifier = Counting::default();
        let verdict = validate_block(&chain.state, &chain.utxos, &verifier, block);
        (verdict.is_ok(), verifier.0.get())
    };
    // Two payments and the commit of four.
    assert_eq!(cost(&block), (true, 6));
    for (description, change) in changes {
        let mut changed = block.clone();
        change(&mut changed);
        assert_eq!(cost(&changed), (false, 0), "{description}");
    }
}
