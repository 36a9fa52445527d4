//! Every rule of a block, broken one at a time.

mod activation;
mod cost;
mod evidence;

use super::*;
use crate::protocol::fixtures::{Chain, document, lock, operator, user};
use crate::types::codec::decode;
use crate::types::keys::SequentialVerifier;
use crate::types::{BlockHash, Signature, SignerBitmap, TxOut, merkle};

const VERIFIER: SequentialVerifier = SequentialVerifier;

fn chain() -> Chain {
    Chain::new(&document(&[1, 1, 1, 1], 4))
}

/// A chain with some blocks behind it, and a valid next block with two payments.
fn next_block() -> (Chain, Vec<CheckedTransaction>, BlockBlueprint) {
    let mut chain = chain();
    chain.advance(1_000, false, &[], &[]);
    chain.advance(1_000, false, &[], &[]);
    let transactions = vec![
        chain.split(&user(0), chain.owned(&user(0))[0], lock(&user(8)), 2),
        chain.split(&user(1), chain.owned(&user(1))[0], lock(&user(9)), 1),
    ];
    let draft = chain.draft(1_000, false, &transactions);
    let (block, _) = propose(&chain.state, &chain.utxos, &draft).unwrap();
    let blueprint = block.blueprint();
    (chain, transactions, blueprint)
}

/// A chain whose next block is a closing one.
fn closing_chain(document: &crate::types::GenesisDocument) -> Chain {
    let mut chain = Chain::new(document);
    chain.advance(1_000, false, &[], &[]);
    chain.advance(chain.state.parameters().epoch_duration_ms, false, &[], &[]);
    assert!(chain.state.is_closing());
    chain
}

fn rejects(chain: &Chain, block: &BlockBlueprint, transactions: &[CheckedTransaction]) -> BlockError {
    validate(&chain.state, &chain.utxos, &VERIFIER, block, transactions).unwrap_err()
}

#[test]
fn every_flipped_header_field_is_rejected_by_its_rule() {
    let (chain, transactions, block) = next_block();
    assert!(validate(&chain.state, &chain.utxos, &VERIFIER, &block, &transactions).is_ok());
    type Case = (fn(&mut Header), fn(&BlockError) -> bool);
    let cases: [Case; 23] = [
        (|h| h.chain_id.0[0] ^= 1, |e| matches!(e, BlockError::ForeignChain { .. })),
        (|h| h.height += 1, |e| matches!(e, BlockError::WrongHeight { expected: 3, found: 4 })),
        (|h| h.height -= 1, |e| matches!(e, BlockError::WrongHeight { .. })),
        (|h| h.round += 1, |e| matches!(e, BlockError::WrongProposer { round: 1, .. })),
        (|h| h.epoch += 1, |e| matches!(e, BlockError::WrongEpoch { expected: 0, found: 1 })),
        (|h| h.epoch_end = true, |e| matches!(e, BlockError::EarlyEpochEnd)),
        (|h| h.time += 1, |e| matches!(e, BlockError::WrongStateDigest { .. })),
        (|h| h.time -= 1, |e| matches!(e, BlockError::WrongStateDigest { .. })),
        (|h| h.time -= 1_000, |e| matches!(e, BlockError::TimeNotLater { .. })),
        (|h| h.time = 0, |e| matches!(e, BlockError::TimeNotLater { .. })),
        (|h| h.time = u64::MAX, |e| matches!(e, BlockError::WrongStateDigest { .. })),
        (|h| h.prev_hash.0[31] ^= 1, |e| matches!(e, BlockError::WrongParent { .. })),
        (|h| h.last_commit_root.0[0] ^= 1, |e| matches!(e, BlockError::WrongLastCommitRoot)),
        (|h| h.tx_root.0[0] ^= 1, |e| matches!(e, BlockError::WrongTxRoot)),
        (|h| h.evidence_root.0[0] ^= 1, |e| matches!(e, BlockError::WrongEvidenceRoot)),
        (|h| h.epoch_ends_root.0[0] ^= 1, |e| matches!(e, BlockError::WrongEpochEndsRoot { .. })),
        (|h| h.state_digest.0[0] ^= 1, |e| matches!(e, BlockError::WrongStateDigest { .. })),
        (|h| h.validators_hash.0[0] ^= 1, |e| matches!(e, BlockError::WrongValidatorsHash { .. })),
        (|h| h.next_validators_hash.0[0] ^= 1, |e| matches!(e, BlockError::WrongNextValidatorsHash { .. })),
        (|h| h.proposer.0[0] ^= 1, |e| matches!(e, BlockError::WrongProposer { round: 0, .. })),
        (|h| h.rules.0 += 1, |e| matches!(e, BlockError::WrongRules { .. })),
        (|h| h.announced.0 -= 1, |e| matches!(e, BlockError::AnnouncesLess { .. })),
        (|h| h.round = u32::MAX, |e| matches!(e, BlockError::WrongProposer { .. })),
    ];
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        let mut changed = block.clone();
        change(&mut changed.header);
        let error = rejects(&chain, &changed, &transactions);
        assert!(expected(&error), "case {index}: {error}");
    }
}

#[test]
fn a_later_rounds_proposer_may_propose() {
    let (chain, transactions, _) = next_block();
    for round in [1, 3, 4, 9] {
        let draft =
            BlockDraft { round, proposer: chain.proposer(round), ..chain.draft(1_000, false, &transactions) };
        let (block, outcome) = propose(&chain.state, &chain.utxos, &draft).unwrap();
        let validated = validate(&chain.state, &chain.utxos, &VERIFIER, &block.blueprint(), &transactions);
        assert_eq!(validated, Ok(outcome));
    }
}

/// Binds a changed commit again, so that only the commit's own rule is broken.
fn with_commit(block: &BlockBlueprint, change: impl Fn(&mut Commit)) -> BlockBlueprint {
    let mut changed = block.clone();
    change(&mut changed.last_commit);
    changed.header.last_commit_root = changed.last_commit.root();
    changed
}

/// INV-COMMIT-1.
#[test]
fn each_rule_of_the_last_commit_is_held() {
    let (chain, transactions, block) = next_block();
    let (members, validator) = (4, chain.state.validators().get(1).unwrap().id);
    type Case = (fn(&mut Commit), CommitError);
    let cases: [Case; 8] = [
        (|c| c.height += 1, CommitError::WrongHeight { expected: 2, found: 3 }),
        (
            |c| c.block_hash = BlockHash::ZERO,
            CommitError::WrongBlock { expected: chain.state.tip_hash(), found: BlockHash::ZERO },
        ),
        (|c| c.signatures.truncate(3), CommitError::Misshapen { members, signatures: 3 }),
        (|c| c.signers.set(7), CommitError::Misshapen { members, signatures: 4 }),
        (|c| c.signers = SignerBitmap::empty(9), CommitError::Misshapen { members, signatures: 4 }),
        (
            |c| {
                c.signers = SignerBitmap::empty(4);
                c.signers.set(0);
                c.signers.set(3);
                c.signatures.truncate(2);
            },
            CommitError::TooLight { weight: 2, quorum: 3 },
        ),
        (|c| c.signatures[1] = Signature::EMPTY, CommitError::BadSignature { validator }),
        (
            |c| {
                c.signatures.swap(1, 2);
            },
            CommitError::BadSignature { validator },
        ),
    ];
    for (change, expected) in cases {
        let error = rejects(&chain, &with_commit(&block, change), &transactions);
        // A changed commit of the right shape may also change who is credited; its own rule is found first unless it is
        // a signature, which credits nobody else.
        assert_eq!(error, BlockError::LastCommit(expected));
    }
    // The round is covered by the signatures.
    let error = rejects(&chain, &with_commit(&block, |c| c.round += 1), &transactions);
    assert!(matches!(error, BlockError::LastCommit(CommitError::BadSignature { .. })));
    // A commit with fewer signers is as valid, but another state.
    let fewer = with_commit(&block, |c| {
        c.signers = SignerBitmap::empty(4);
        (0..3).for_each(|index| c.signers.set(index));
        c.signatures.truncate(3);
    });
    let error = rejects(&chain, &fewer, &transactions);
    assert!(matches!(error, BlockError::WrongStateDigest { .. }));
}

#[test]
fn the_first_block_has_the_empty_commit() {
    let mut chain = chain();
    let draft = chain.draft(1, false, &[]);
    let (block, _) = propose(&chain.state, &chain.utxos, &draft).unwrap();
    assert_eq!(block.header.prev_hash.0, chain.state.chain_id().0);
    let changed = with_commit(&block.blueprint(), |commit| commit.round = 1);
    assert_eq!(rejects(&chain, &changed, &[]), CommitError::NotEmpty.into());
    chain.advance(1, false, &[], &[]);
    let without = BlockDraft { last_commit: &Commit::default(), ..chain.draft(1, false, &[]) };
    let error = propose(&chain.state, &chain.utxos, &without).unwrap_err();
    assert_eq!(error, CommitError::WrongHeight { expected: 1, found: 0 }.into());
}

#[test]
fn a_commit_of_the_next_block_is_checked_by_the_next_set() {
    let chain = chain();
    let (block, _) = propose(&chain.state, &chain.utxos, &chain.draft(1, false, &[])).unwrap();
    let id = |place: usize| chain.state.validators().get(place).unwrap().id;
    let check = |commit: &Commit| chain.state.check_commit(&block.header, commit, &VERIFIER);
    assert_eq!(check(&chain.seal(&block, &[])), Ok(()));
    assert_eq!(check(&chain.seal(&block, &[id(2)])), Ok(()));
    let light = chain.seal(&block, &[id(2), id(0)]);
    assert_eq!(check(&light), Err(CommitError::TooLight { weight: 2, quorum: 3 }));
    let mut forged = chain.seal(&block, &[]);
    forged.signatures[3] = operator(4).sign(&[0; 32]);
    assert_eq!(check(&forged), Err(CommitError::BadSignature { validator: id(3) }));
    let mut header = block.header.clone();
    header.height = 2;
    let error = chain.state.check_commit(&header, &chain.seal(&block, &[]), &VERIFIER);
    assert_eq!(error, Err(CommitError::WrongHeight { expected: 1, found: 2 }));
    header = block.header.clone();
    header.round = 7;
    let error = chain.state.check_commit(&header, &chain.seal(&block, &[]), &VERIFIER);
    assert!(matches!(error, Err(CommitError::WrongBlock { .. })));
}

/// Binds changed txids again.
fn with_txids(block: &BlockBlueprint, change: impl Fn(&mut Vec<TxId>)) -> BlockBlueprint {
    let mut changed = block.clone();
    change(&mut changed.txids);
    changed.header.tx_root = tx_root(&changed.txids);
    changed
}

#[test]
fn the_transactions_are_those_that_are_named() {
    let (chain, transactions, block) = next_block();
    let swapped = with_txids(&block, |txids| txids.swap(0, 1));
    assert_eq!(rejects(&chain, &swapped, &transactions), BlockError::WrongTransaction { index: 0 });
    let more = with_txids(&block, |txids| txids.push(TxId::ZERO));
    let error = BlockError::WrongTransactionCount { expected: 2, named: 3 };
    assert_eq!(rejects(&chain, &more, &transactions), error);
    let fewer = with_txids(&block, |txids| txids.truncate(1));
    let error = BlockError::WrongTransactionCount { expected: 2, named: 1 };
    assert_eq!(rejects(&chain, &fewer, &transactions), error);
    assert!(BlockError::WrongTransaction { index: 0 }.is_of_this_copy_only());
    assert!(!error.is_of_this_copy_only());
}

#[test]
fn outputs_of_a_block_can_be_spent_in_it_after_they_are_made() {
    let mut chain = chain();
    let parent = chain.split(&user(0), chain.owned(&user(0))[0], lock(&user(5)), 2);
    let made: Vec<(OutPoint, UtxoEntry)> = parent
        .transaction()
        .created(parent.txid())
        .map(|(outpoint, output)| (outpoint, UtxoEntry { output: *output, height: 1 }))
        .collect();
    let child = chain.split(&user(5), made[0], lock(&user(6)), 1);
    let rival = chain.split(&user(5), made[0], lock(&user(7)), 1);
    let propose_all = |transactions: &[CheckedTransaction]| {
        propose(&chain.state, &chain.utxos, &chain.draft(1, false, transactions)).map(|_| ())
    };
    let missing = |index: usize, checked: &CheckedTransaction| {
        let error = TransactionError::MissingInput { outpoint: checked.inputs()[0] };
        Err(BlockError::Transaction { index, txid: checked.txid(), error })
    };
    assert_eq!(propose_all(&[child.clone(), parent.clone()]), missing(0, &child), "child before parent");
    let twice = [parent.clone(), child.clone(), rival.clone()];
    assert_eq!(propose_all(&twice), missing(2, &rival), "two children spend one output");
    assert_eq!(propose_all(&[parent.clone(), parent.clone()]), missing(1, &parent), "twice in a block");

    let (_, outcome) = chain.advance(1, false, &[parent.clone(), child.clone()], &[]);
    assert_eq!(outcome.transient, [made[0]]);
    assert_eq!(outcome.spent.len(), 1);
    assert_eq!(inputs_in_order(&outcome), [outcome.spent[0].1]);
    let names: BTreeSet<OutPoint> = outcome.created.iter().map(|(outpoint, _)| *outpoint).collect();
    assert_eq!(names, BTreeSet::from([made[1].0, OutPoint { txid: child.txid(), index: 0 }]));
    assert_eq!(outcome.created.iter().find(|(outpoint, _)| *outpoint == made[1].0), Some(&made[1]));

    let again = propose(&chain.state, &chain.utxos, &chain.draft(1, false, std::slice::from_ref(&parent)));
    assert_eq!(again.map(|_| ()), missing(0, &parent), "spent in an earlier block");
}

#[test]
fn an_invalid_spend_names_its_place() {
    let (chain, mut transactions, _) = next_block();
    let (outpoint, entry) = chain.owned(&user(2))[0];
    let output = TxOut { value: entry.output.value, lock: lock(&user(9)) };
    transactions.push(chain.pay(&user(2), vec![outpoint], vec![output]));
    let error = propose(&chain.state, &chain.utxos, &chain.draft(1, false, &transactions)).unwrap_err();
    let fee = TransactionError::FeeTooLow { fee: Amount::ZERO, minimum: Amount(1_000) };
    assert_eq!(error, BlockError::Transaction { index: 2, txid: transactions[2].txid(), error: fee });
    let copy = BlockError::Transaction {
        index: 0,
        txid: TxId::ZERO,
        error: TransactionError::UnneededWitness { key: user(1).public() },
    };
    assert!(copy.is_of_this_copy_only() && !error.is_of_this_copy_only());
}

/// A network whose blocks hold 1 MiB, with payments of about 44 kB.
fn large_payments(count: u8) -> (Chain, Vec<CheckedTransaction>) {
    let mut document = document(&[1, 1, 1], count);
    document.parameters.block_bytes_max = 1 << 20;
    let chain = closing_chain(&document);
    let transactions = (0..count)
        .map(|index| {
            let from = user(index);
            chain.split(&from, chain.owned(&from)[0], lock(&user(200)), 1_000)
        })
        .collect();
    (chain, transactions)
}

/// INV-BLOCK-3.
#[test]
fn a_blocks_bytes_are_limited_and_a_closing_block_is_full_or_the_last() {
    let (mut chain, transactions) = large_payments(24);
    let size = u64::try_from(transactions[0].encoded_bytes()).unwrap();
    let max = (1 << 20) - REWARD_BYTES_MAX;
    let attempt = |chain: &Chain, count: usize, epoch_end: bool| {
        let draft = chain.draft(1, epoch_end, &transactions[..count]);
        propose(&chain.state, &chain.utxos, &draft).map(|_| ())
    };
    assert_eq!(attempt(&chain, 24, true), Err(BlockError::TooManyBytes { bytes: 24 * size, max }));
    let least = usize::try_from((max - 100_000) / size + 1).unwrap();
    assert_eq!(attempt(&chain, least, false), Ok(()), "full without being the last");
    assert_eq!(attempt(&chain, least - 1, false), Err(BlockError::ClosingNotFull));
    assert_eq!(attempt(&chain, least - 1, true), Ok(()));
    chain.advance(1, false, &transactions[..least], &[]);
    assert!(chain.state.is_closing(), "closing goes on until an epoch_end");
    chain.advance(1, true, &transactions[least..], &[]);
    assert!(!chain.state.is_closing());
    assert_eq!(chain.state.next_epoch(), 1);
}

#[test]
fn a_blocks_transactions_are_limited() {
    let mut document = document(&[1, 1, 1], 4);
    document.parameters.block_transactions_max = 3;
    let chain = closing_chain(&document);
    let transactions: Vec<CheckedTransaction> = (0..3)
        .map(|index| chain.split(&user(index), chain.owned(&user(index))[0], lock(&user(9)), 1))
        .collect();
    let attempt = |count: usize, epoch_end: bool| {
        let draft = chain.draft(1, epoch_end, &transactions[..count]);
        propose(&chain.state, &chain.utxos, &draft).map(|(block, _)| block.transactions.len())
    };
    assert_eq!(attempt(3, true), Err(BlockError::TooManyTransactions { count: 3, max: 2 }));
    assert_eq!(attempt(2, false), Ok(2), "full by count");
    assert_eq!(attempt(1, false), Err(BlockError::ClosingNotFull));
    assert_eq!(attempt(2, true), Ok(3), "with the reward");
}

#[test]
fn each_header_proves_the_last_blocks_of_all_epochs_below_it() {
    let mut chain = Chain::new(&document(&[1, 1, 1, 1], 1));
    let (mut ends, mut ordinary) = (Vec::new(), None);
    for _ in 0..5 {
        let (block, _) = chain.advance(1_000, false, &[], &[]);
        let (last, _) = chain.finish_epoch();
        for header in [&block.header, &last.header] {
            assert_eq!(u64::try_from(ends.len()), Ok(header.epoch), "an epoch's own end is not below it");
            for (place, end) in ends.iter().enumerate() {
                let leaves = ends.iter().map(|end: &BlockHash| end.0.as_slice());
                let path = merkle::path(leaves, place).unwrap();
                let root = merkle::root_of_path(&end.0, place, ends.len(), &path);
                assert_eq!(root, Some(header.epoch_ends_root), "{place} of {}", ends.len());
            }
        }
        assert_ne!(ordinary.replace(block.header.epoch_ends_root), Some(block.header.epoch_ends_root));
        ends.push(last.header.hash());
        let encoded: LedgerState = decode(&encode(&chain.state)).unwrap();
        assert_eq!(encoded.epoch_ends(), chain.state.epoch_ends(), "it outlives a restart");
    }
}

#[test]
fn an_epoch_ends_with_its_reward_and_the_next_one_starts() {
    let mut chain = Chain::new(&document(&[1, 10, 1, 10], 4));
    let duration = chain.state.parameters().epoch_duration_ms;
    let (first, _) = chain.advance(5_000, false, &[], &[]);
    assert_eq!(chain.state.epoch_start(), first.header.time, "epoch 0 starts with block 1");
    chain.advance(duration - 1, false, &[], &[]);
    assert!(!chain.state.is_closing());
    let payment = chain.split(&user(0), chain.owned(&user(0))[0], lock(&user(9)), 1);
    let fee = 1_000;
    let silent = chain.state.validators().get(3).unwrap().id;
    chain.advance(1, false, &[payment], &[silent]);
    assert!(chain.state.is_closing());
    assert_eq!(chain.state.fees(), Amount(fee));

    let proposer = chain.proposer(0);
    let (block, outcome) = chain.advance(1, true, &[], &[]);
    let reward = outcome.reward.unwrap();
    assert_eq!(block.transactions.last(), Some(&reward));
    assert_eq!(reward.payload, Payload::Reward { height: 4 });
    // 5 s, 10 intervals of 2 s at most for the minute, and 2 ms; three commits, the silent one signed two of them.
    let pot = fee + 10_000_000_000 / 2_000 * (5_000 + 20_000 + 1 + 1);
    assert_eq!(Amount::checked_sum(reward.outputs.iter().map(|output| output.value)), Some(Amount(pot)));
    let total = 3 * 22 - 1;
    let mut rest = pot;
    let mut expected = BTreeMap::new();
    for (id, record) in chain.state.masternodes().iter() {
        let commits = if *id == silent { 2 } else { 3 };
        let share = pot * record.weight * commits / total;
        rest -= share;
        expected.insert(*id, (record.payout, share));
    }
    expected.get_mut(&proposer).unwrap().1 += rest;
    let expected: Vec<TxOut> =
        expected.into_values().map(|(lock, share)| TxOut { value: Amount(share), lock }).collect();
    assert_eq!(reward.outputs, expected);

    let state = &chain.state;
    assert_eq!((state.next_epoch(), state.epoch_start()), (1, block.header.time));
    assert_eq!((state.fees(), state.reward_accrued()), (Amount::ZERO, Amount::ZERO));
    assert!(state.credits().is_empty() && !state.is_closing());
    assert_eq!(state.tip_validators().epoch, 0);
    let (block, _) = chain.advance(2 * duration, false, &[], &[]);
    assert_eq!(block.header.epoch, 1);
    assert_eq!(chain.state.credits().values().sum::<u64>(), 22, "the last commit counts in the next epoch");
    assert!(chain.state.is_closing(), "the parent is of this epoch now, and late");
}

#[test]
fn the_reward_is_the_one_that_the_rule_gives() {
    let chain = closing_chain(&document(&[1, 1, 1], 1));
    let (block, _) = propose(&chain.state, &chain.utxos, &chain.draft(1, true, &[])).unwrap();
    let expected = block.transactions[0].txid();
    let rebind = |block: &mut Block| {
        let txids: Vec<TxId> = block.transactions.iter().map(|transaction| transaction.txid()).collect();
        block.header.tx_root = tx_root(&txids);
    };
    let refused = |block: &Block| validate_block(&chain.state, &chain.utxos, &VERIFIER, block).unwrap_err();
    type Change = fn(&mut Transaction);
    let changes: [Change; 4] = [
        |tx| tx.outputs[0].value.0 += 1,
        |tx| tx.outputs.swap(0, 1),
        |tx| tx.outputs.truncate(2),
        |tx| tx.payload = Payload::Reward { height: 9 },
    ];
    for change in changes {
        let mut changed = block.clone();
        change(Arc::make_mut(&mut changed.transactions[0]));
        rebind(&mut changed);
        assert_eq!(refused(&changed), BlockError::WrongReward { expected });
    }
    let mut without = block.clone();
    without.transactions.clear();
    rebind(&mut without);
    assert_eq!(refused(&without), BlockError::WrongTransactionCount { expected: 1, named: 0 });
    let mut twice = block.clone();
    twice.transactions.push(Arc::clone(&block.transactions[0]));
    rebind(&mut twice);
    let error = TransactionError::RewardFromOutside;
    assert_eq!(refused(&twice), BlockError::Transaction { index: 0, txid: expected, error });
    let mut ordinary = block.clone();
    ordinary.header.epoch_end = false;
    assert!(matches!(refused(&ordinary), BlockError::Transaction { .. }));
    let mut signed = block.clone();
    let witness = crate::types::Witness { key: user(0).public(), signature: Signature::EMPTY };
    Arc::make_mut(&mut signed.transactions[0]).witnesses.push(witness);
    assert!(refused(&signed).is_of_this_copy_only());
}

#[test]
fn a_network_without_reward_and_fees_ends_its_epochs_too() {
    let mut document = document(&[1, 1, 1], 1);
    document.parameters.block_reward = Amount::ZERO;
    let mut chain = Chain::new(&document);
    let (block, outcome) = chain.finish_epoch();
    assert!(outcome.created.is_empty() && block.transactions.len() == 1);
    assert_eq!(chain.state.next_epoch(), 1);
}

#[test]
fn minting_stops_at_64_bits_and_blocks_go_on() {
    let mut document = document(&[1, 1, 1], 1);
    document.parameters.block_reward = Amount(u64::MAX);
    let mut chain = Chain::new(&document);
    // Until they are paid out fees are in no output, and yet they take room.
    let payment = chain.split(&user(0), chain.owned(&user(0))[0], lock(&user(1)), 1);
    chain.advance(1_000, false, &[payment], &[]);
    chain.finish_epoch();
    assert_eq!(chain.state.supply(), Amount(u64::MAX));
    chain.finish_epoch();
    assert_eq!(chain.state.supply(), Amount(u64::MAX));
}

#[test]
fn replay_notices_a_damaged_log() {
    let (chain, transactions, _) = next_block();
    let (block, outcome) =
        propose(&chain.state, &chain.utxos, &chain.draft(1, false, &transactions)).unwrap();
    let recorded = inputs_in_order(&outcome);
    assert!(replay(&chain.state, &recorded, &block).is_ok());
    let refused = |recorded: &[UtxoEntry]| replay(&chain.state, recorded, &block).unwrap_err();
    let mut more = recorded.clone();
    more.push(recorded[0]);
    assert_eq!(refused(&more), BlockError::RecordedInputs { spent: 2, recorded: 3 });
    let mut other = recorded.clone();
    other[0].height += 1;
    assert!(matches!(refused(&other), BlockError::WrongStateDigest { .. }));
    let missing = |e: &BlockError| {
        matches!(e, BlockError::Transaction { error: TransactionError::MissingInput { .. }, .. })
    };
    assert!(missing(&refused(&recorded[..1])));
}

/// INV-BLOCK-2.
#[test]
fn a_block_with_bad_signatures_is_a_bad_copy() {
    let (chain, transactions, _) = next_block();
    let (mut block, _) = propose(&chain.state, &chain.utxos, &chain.draft(1, false, &transactions)).unwrap();
    Arc::make_mut(&mut block.transactions[1]).witnesses[0].signature.0[0] ^= 1;
    let error = validate_block(&chain.state, &chain.utxos, &VERIFIER, &block).unwrap_err();
    assert!(matches!(
        error,
        BlockError::Transaction { index: 1, error: TransactionError::BadSignature { .. }, .. }
    ));
    assert!(error.is_of_this_copy_only());
    Arc::make_mut(&mut block.transactions[1]).outputs[0].value.0 -= 1;
    let error = validate_block(&chain.state, &chain.utxos, &VERIFIER, &block).unwrap_err();
    assert_eq!(error, BlockError::WrongTxRoot);
    assert!(error.is_of_this_copy_only());
}

#[test]
fn a_state_that_contradicts_itself_is_an_error() {
    let (chain, transactions, _) = next_block();
    let attempt = |change: fn(&mut LedgerState)| {
        let mut state = chain.state.clone();
        change(&mut state);
        propose(&state, &chain.utxos, &chain.draft(1, false, &transactions)).unwrap_err()
    };
    let error = attempt(|state| state.supply = Amount::ZERO);
    assert_eq!(error, BlockError::InconsistentState { what: "fees exceed the supply" });
    let error = attempt(|state| state.fees = Amount(u64::MAX));
    assert_eq!(error, BlockError::InconsistentState { what: "the fees overflow" });
    let error = attempt(|state| state.validators = Arc::default());
    assert_eq!(error, BlockError::InconsistentState { what: "the validator set is empty" });
}
