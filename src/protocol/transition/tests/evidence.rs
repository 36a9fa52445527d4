//! Evidence in blocks: bound by the header, within its bytes, checked by everybody, and replayed.

use super::*;
use crate::protocol::fixtures::document_with_funds;
use crate::types::evidence::ProposalHead;
use crate::types::{BlockVote, VoteKind};

/// In epoch 1, with two pieces of evidence of different kinds, of different epochs, against two of five.
fn accused_chain() -> (Chain, Vec<Arc<Evidence>>) {
    let mut chain = Chain::new(&document_with_funds(&[1; 5], 3));
    chain.finish_epoch();
    chain.advance(1_000, false, &[], &[]);
    let evidence = vec![
        chain.two_votes(chain.registered(1), 1, chain.state.height() + 1),
        chain.two_locks(chain.registered(3), 0),
    ];
    (chain, evidence)
}

fn proposed(chain: &Chain, evidence: &[Arc<Evidence>]) -> Block {
    let draft = BlockDraft { evidence, ..chain.draft(1_000, false, &[]) };
    propose(&chain.state, &chain.utxos, &draft).unwrap().0
}

/// Binds changed evidence again, so that only its own rule is broken.
fn with_evidence(block: &Block, change: impl FnOnce(&mut Vec<Arc<Evidence>>)) -> Block {
    let mut changed = block.clone();
    change(&mut changed.evidence);
    changed.header.evidence_root = evidence_root(changed.evidence.iter().map(Arc::as_ref));
    changed
}

fn refusals(chain: &Chain, block: &Block) -> [BlockError; 2] {
    [
        validate(&chain.state, &chain.utxos, &VERIFIER, &block.blueprint(), &[]).unwrap_err(),
        validate_block(&chain.state, &chain.utxos, &VERIFIER, block).unwrap_err(),
    ]
}

/// INV-BLOCK-1.
#[test]
fn a_block_with_evidence_is_executed_alike_by_all() {
    let (mut chain, evidence) = accused_chain();
    let payment = chain.split(&user(0), chain.owned(&user(0))[0], lock(&user(8)), 2);
    let supply = chain.state.supply();
    let (block, outcome) = chain.advance_with(1_000, false, &[payment], &evidence, &[]);
    assert_eq!((block.evidence, block.transactions.len()), (evidence.clone(), 1));
    let slashed: Vec<_> = outcome.slashed.iter().map(|slashed| slashed.masternode).collect();
    assert_eq!(slashed, [chain.registered(1), chain.registered(3)], "in the order of the evidence");
    let burned: u64 = outcome.slashed.iter().map(|slashed| slashed.burned().0).sum();
    assert_eq!(chain.state.supply().0 + outcome.fees.0, supply.0 - burned);
    assert!(outcome.spent.len() == 1 && outcome.created.len() == 2, "a collateral is neither spent nor made");
    chain.hold_invariants();
}

#[test]
fn evidence_in_the_last_block_takes_its_masternode_out_of_the_next_set() {
    let (mut chain, evidence) = accused_chain();
    chain.advance(chain.state.parameters().epoch_duration_ms, false, &[], &[]);
    let (block, _) = chain.advance_with(1, true, &[], &evidence, &[]);
    chain.hold_invariants();
    assert_eq!(chain.state.validators().len(), 3);
    assert!(!chain.is_member(chain.registered(1)) && !chain.is_member(chain.registered(3)));
    assert_eq!(block.header.next_validators_hash, chain.state.validators().hash());
}

#[test]
fn the_header_binds_the_evidence_and_its_order() {
    let (chain, evidence) = accused_chain();
    let block = proposed(&chain, &evidence);
    assert!(validate_block(&chain.state, &chain.utxos, &VERIFIER, &block).is_ok());
    assert!(block.blueprint().is_bound_by_header());
    type Change = fn(&mut Vec<Arc<Evidence>>);
    let changes: [Change; 4] = [
        |evidence| evidence.clear(),
        |evidence| evidence.swap(0, 1),
        |evidence| evidence.push(Arc::clone(&evidence[0])),
        |evidence| {
            if let Evidence::Votes(first, _) = Arc::make_mut(&mut evidence[0]) {
                first.signature.0[0] ^= 1;
            }
        },
    ];
    for change in changes {
        let mut copy = block.clone();
        change(&mut copy.evidence);
        for error in refusals(&chain, &copy) {
            assert_eq!(error, BlockError::WrongEvidenceRoot);
            assert!(error.is_of_this_copy_only(), "a copy with other evidence may be fetched elsewhere");
        }
        assert!(!copy.blueprint().is_bound_by_header());
        // The same with another root is another block, and another state.
        let other = with_evidence(&block, change);
        assert_ne!(other.header.hash(), block.header.hash());
        refusals(&chain, &other).iter().for_each(|error| assert!(!error.is_of_this_copy_only(), "{error}"));
    }
}

#[test]
fn evidence_that_does_not_hold_makes_the_block_invalid() {
    let (chain, evidence) = accused_chain();
    let block = proposed(&chain, &evidence);
    let validator = chain.registered(1);
    type Case = (&'static str, fn(&Chain, &mut Vec<Arc<Evidence>>), usize, EvidenceError);
    let cases: [Case; 7] = [
        (
            "a forged signature",
            |_, evidence| {
                if let Evidence::Votes(_, second) = Arc::make_mut(&mut evidence[0]) {
                    second.signature.0[0] ^= 1;
                }
            },
            0,
            EvidenceError::BadSignature { validator },
        ),
        (
            "the sides turned",
            |_, evidence| {
                if let Evidence::Votes(first, second) = Arc::make_mut(&mut evidence[0]) {
                    std::mem::swap(first, second);
                }
            },
            0,
            EvidenceError::NotCanonical,
        ),
        (
            "one side twice",
            |_, evidence| {
                if let Evidence::Votes(first, second) = Arc::make_mut(&mut evidence[0]) {
                    *second = first.clone();
                }
            },
            0,
            EvidenceError::NoContradiction,
        ),
        (
            "a height to come",
            |chain, evidence| evidence[0] = chain.two_votes(chain.registered(1), 1, chain.state.height() + 2),
            0,
            EvidenceError::WrongHeight { height: chain.state.height() + 2, epoch: 1 },
        ),
        (
            "an epoch to come",
            |chain, evidence| evidence[1] = chain.two_locks(chain.registered(1), 2),
            1,
            EvidenceError::UnknownEpoch { epoch: 2 },
        ),
        (
            "the same masternode twice, by other acts",
            |chain, evidence| evidence.push(chain.two_proposals(chain.registered(1), 0, 1)),
            2,
            EvidenceError::NotSlashable { validator },
        ),
        (
            "a stranger",
            |chain, evidence| evidence[1] = chain.two_locks(MasternodeId([4; 32]), 0),
            1,
            EvidenceError::NotMember { validator: MasternodeId([4; 32]), epoch: 0 },
        ),
    ];
    for (description, change, index, error) in cases {
        let changed = with_evidence(&block, |evidence| change(&chain, evidence));
        // Signatures are checked last: a forged one in a block with another digest is not looked at.
        let of_state = |error: &BlockError| matches!(error, BlockError::WrongStateDigest { .. });
        for found in refusals(&chain, &changed) {
            assert!(!of_state(&found), "{description}");
            assert_eq!(found, BlockError::Evidence { index, error }, "{description}");
            assert!(!found.is_of_this_copy_only(), "{description}: all copies have it");
        }
        // Who replays its own log checks no signatures, and everything else.
        let replayed = replay(&chain.state, &[], &changed).map(drop);
        match error {
            EvidenceError::BadSignature { .. } => assert_eq!(replayed, Ok(())),
            _ => assert_eq!(replayed, Err(BlockError::Evidence { index, error }), "{description}"),
        }
        let draft = BlockDraft { evidence: &changed.evidence, ..chain.draft(1_000, false, &[]) };
        let drafted = propose(&chain.state, &chain.utxos, &draft).map(drop);
        assert_eq!(drafted.is_ok(), matches!(error, EvidenceError::BadSignature { .. }), "{description}");
    }
}

#[test]
fn left_out_evidence_is_another_state() {
    let (chain, evidence) = accused_chain();
    let block = proposed(&chain, &evidence);
    let without = with_evidence(&block, |evidence| drop(evidence.pop()));
    for error in refusals(&chain, &without) {
        assert!(matches!(error, BlockError::WrongStateDigest { .. }));
    }
}

#[test]
fn a_blocks_evidence_has_a_limit_of_bytes_in_all() {
    let (chain, _) = accused_chain();
    let long = |id: MasternodeId, outputs: usize| {
        let side = |memo: u8| {
            let input = OutPoint { txid: TxId([9; 32]), index: 0 };
            let output = TxOut { value: Amount(1), lock: lock(&user(0)) };
            let transaction = Transaction::transfer(vec![input], vec![output; outputs], vec![memo]);
            chain.lock_vote(id, (0, u64::from(memo)), VoteKind::Lock, &transaction)
        };
        Arc::new(Evidence::of_locks(side(1), side(2)))
    };
    let size =
        |evidence: &[Arc<Evidence>]| evidence.iter().map(|piece| encode(piece.as_ref()).len()).sum::<usize>();
    let attempt = |evidence: &[Arc<Evidence>]| {
        let draft = BlockDraft { evidence, ..chain.draft(1_000, false, &[]) };
        propose(&chain.state, &chain.utxos, &draft).map(drop)
    };
    // Output by output the second one grows until both just fit.
    let first = long(chain.registered(1), 8_000);
    let rest = EVIDENCE_BYTES_MAX - size(&[Arc::clone(&first)]) - size(&[long(chain.registered(2), 0)]);
    let each = size(&[long(chain.registered(2), 1)]) - size(&[long(chain.registered(2), 0)]);
    let fits = [Arc::clone(&first), long(chain.registered(2), rest / each)];
    assert!(size(&fits) <= EVIDENCE_BYTES_MAX && size(&fits) + each > EVIDENCE_BYTES_MAX);
    assert_eq!(attempt(&fits), Ok(()));
    let exceeds = [first, long(chain.registered(2), rest / each + 1)];
    let bytes = size(&exceeds);
    assert_eq!(attempt(&exceeds), Err(BlockError::TooMuchEvidence { bytes }));
}

#[test]
fn the_root_covers_every_byte() {
    let (chain, evidence) = accused_chain();
    let root = |evidence: &[Arc<Evidence>]| evidence_root(evidence.iter().map(Arc::as_ref));
    let base = root(&evidence);
    assert_ne!(base, root(&[]));
    let mut changed = evidence.clone();
    if let Evidence::Locks(first, _) = Arc::make_mut(&mut changed[1]) {
        first.vote.header.signature.0[63] ^= 1;
    }
    assert_ne!(base, root(&changed));
    // A vote and a proposal of the same fields never are the same evidence.
    let vote: &BlockVote = match evidence[0].as_ref() {
        Evidence::Votes(first, _) => first,
        _ => panic!(),
    };
    let head = ProposalHead {
        epoch: vote.epoch,
        height: vote.height,
        round: vote.round,
        pol_round: None,
        validator: vote.validator,
        block_hash: BlockHash::ZERO,
        signature: vote.signature,
    };
    assert_ne!(vote.digest(chain.state.chain_id()), head.digest(chain.state.chain_id()));
}
