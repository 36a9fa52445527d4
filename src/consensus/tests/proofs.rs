//! What is proved over the ends of epochs, with what the disk holds of them.

use super::super::proof_builder::{ProofBuildError, ProofBuilder};
use super::*;
use crate::protocol::finality_proof::{verify, verify_with};
use crate::types::limits::FINALITY_PROOF_BYTES_MAX;
use crate::types::transaction::TRANSACTION_VERSION;
use crate::types::{Checkpoint, MasternodeUpdate, OperatorConsent, Payload};

/// The user hands the masternode in this place over to another key, and pays with the `nth` coin.
pub(super) fn hand_over(chain: &Chain, place: usize, nth: usize, to: &SecretKey) -> CheckedTransaction {
    let masternode = chain.state.validators().get(place).unwrap().id;
    let operator = Some(OperatorConsent::unsigned(to.public()));
    let update = MasternodeUpdate { masternode, operator, payout: None, network_address: None, unjail: None };
    let payment = chain.payment(nth);
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        inputs: payment.inputs().to_vec(),
        outputs: payment.outputs().to_vec(),
        payload: Payload::MasternodeUpdate(update),
        witnesses: Vec::new(),
    };
    let (chain_id, parameters) = (chain.state.chain_id(), chain.state.parameters());
    let transaction = transaction.consented(chain_id, &[to]).signed(chain_id, &[&user()]);
    CheckedTransaction::check(Arc::new(transaction), chain_id, parameters, &SequentialVerifier).unwrap()
}

#[test]
fn a_set_that_was_there_before_is_proved_like_any_other() {
    let mut chain = Chain::new();
    let first = Arc::clone(chain.state.validators());
    let mut blocks = Vec::new();
    for (nth, key) in [(0, operator(9)), (1, operator(0))] {
        let due_ms = chain.state.tip_time() + 1 + chain.state.parameters().epoch_duration_ms;
        let transaction = hand_over(&chain, 0, nth, &key);
        let (block, outcome) = chain.block(chain.state.tip_time() + 1, false, &[transaction]);
        blocks.push(chain.commit(block, outcome));
        blocks.push(chain.grow(due_ms));
        blocks.push(chain.grow_by(due_ms + 1, true));
        assert_eq!(*chain.state.validators() == first, nth == 1, "a key comes, and the old one again");
    }
    let payment = chain.payment(2);
    let (block, outcome) = chain.block(chain.state.tip_time() + 1, false, std::slice::from_ref(&payment));
    blocks.push(chain.commit(block, outcome));

    let genesis = genesis();
    let mut log = BlockLog::open(MemoryDisk::new(), Path::new("blocks"), genesis.chain_id()).unwrap();
    for block in &blocks {
        log.append(block).unwrap();
    }
    let index = Index::new(Arc::new(MemoryIndex::new()));
    replay(&genesis, &index, &log.reader(), &mut |_, _| true).unwrap();
    let mut builder = ProofBuilder::new(&genesis, Arc::new(index), log.reader()).unwrap();
    let build = |builder: &ProofBuilder<MemoryDisk>| {
        builder.included(None, payment.txid(), &blocks.last().unwrap().committed).map(Option::unwrap)
    };
    let proof = build(&builder).unwrap();
    let proved = verify(&genesis, &proof).unwrap();
    assert_eq!((proved.txid, proved.epoch), (payment.txid(), 2));
    // From each block that a verifier may trust, for the payments of each epoch.
    // The later ones first and last: what was remembered of another question changes no answer.
    for trusted in blocks.iter().rev().chain(&blocks).rev() {
        let trusted = Checkpoint::of(&trusted.committed.block.header);
        for paid in &blocks {
            let Block { header, transactions, .. } = &paid.committed.block;
            let Some(txid) = transactions.first().map(|transaction| transaction.txid()) else { continue };
            let proof = builder.included(Some(&trusted), txid, &paid.committed).unwrap().unwrap();
            let proved = verify_with(&genesis, Some(&trusted), &proof, &SequentialVerifier).unwrap();
            assert_eq!((proved.txid, proved.epoch, proved.trusted), (txid, header.epoch, Some(trusted)));
        }
    }
    let last = Checkpoint::of(&blocks.last().unwrap().committed.block.header);
    for height in [1, 100] {
        let other = Checkpoint { height, ..last };
        let error = builder.included(Some(&other), payment.txid(), &blocks.last().unwrap().committed);
        assert!(matches!(error, Err(ProofBuildError::UnknownBlock { block }) if block == other));
    }
    // What nobody would read is not made: links and ending together.
    assert_eq!(builder.bytes_max, FINALITY_PROOF_BYTES_MAX);
    builder.bytes_max = proof.to_bytes().len();
    assert_eq!(build(&builder).unwrap(), proof);
    for bytes_max in [proof.to_bytes().len() - 1, 100] {
        builder.bytes_max = bytes_max;
        assert!(matches!(build(&builder), Err(ProofBuildError::TooLarge { epochs: 2 })), "{bytes_max}");
    }
}

/// A node stores a commit as soon as it is one; the next block has the precommits that came later.
#[test]
fn the_precommits_that_the_next_block_has_pass_over_epochs_too() {
    let mut chain = Chain::new();
    let mut blocks = Vec::new();
    let mut end_epoch = |chain: &mut Chain, transactions: &[CheckedTransaction]| {
        let due_ms = chain.state.tip_time() + 1 + chain.state.parameters().epoch_duration_ms;
        let (block, outcome) = chain.block(chain.state.tip_time() + 1, false, transactions);
        blocks.push(chain.commit(block, outcome));
        blocks.push(chain.grow(due_ms));
        blocks.push(chain.grow_by(due_ms + 1, true));
    };
    let update = hand_over(&chain, 0, 0, &operator(9));
    end_epoch(&mut chain, &[update]);
    end_epoch(&mut chain, &[]);
    let payment = chain.payment(2);
    let (block, outcome) = chain.block(chain.state.tip_time() + 1, false, std::slice::from_ref(&payment));
    blocks.push(chain.commit(block, outcome));

    let proof_of = |blocks: &[LoggedBlock]| {
        let genesis = genesis();
        let mut log = BlockLog::open(MemoryDisk::new(), Path::new("blocks"), genesis.chain_id()).unwrap();
        for block in blocks {
            log.append(block).unwrap();
        }
        let index = Index::new(Arc::new(MemoryIndex::new()));
        replay(&genesis, &index, &log.reader(), &mut |_, _| true).unwrap();
        let builder = ProofBuilder::new(&genesis, Arc::new(index), log.reader()).unwrap();
        let made =
            || builder.included(None, payment.txid(), &blocks.last().unwrap().committed).unwrap().unwrap();
        let proof = made();
        assert_eq!(made(), proof, "what is remembered of the way changes nothing");
        assert_eq!(verify(&genesis, &proof).unwrap().epoch, 2);
        proof
    };
    let proof = proof_of(&blocks);
    // The three whose precommits were enough, the one with the new key among them: two that the document knows.
    let commit = &mut blocks[5].committed.commit;
    commit.signers = SignerBitmap::empty(MEMBERS.into());
    (0..3).for_each(|place| commit.signers.set(place));
    commit.signatures.truncate(3);
    assert_eq!(proof_of(&blocks), proof);
}
