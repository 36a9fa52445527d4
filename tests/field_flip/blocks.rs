//! Headers, commits, and blocks as sync gets them.

use std::sync::Arc;

use timed::types::keys::SequentialVerifier;
use timed::types::vote::block_vote_digest;
use timed::types::{
    Amount, BlockHash, Commit, CommittedBlock, Header, Signature, SignerBitmap, Transaction, VoteStep,
    Witness,
};

use crate::flip::{Case, Object, Promise, without_first, without_last};
use crate::node::{Node, committed};
use crate::story::{Story, secret_of, user};

#[test]
fn headers() {
    let story = Story::tell();
    for step in &story.steps {
        let judge = |header: &Header| Some(header.hash().0);
        let object = Object { name: "a header", value: &step.block.header, judge: &judge };
        object.flip_every_byte(|_| Promise::AnotherId);
    }
}

#[test]
fn commits() {
    let story = Story::tell();
    let step = &story.steps[3];
    let (state, header) = (&step.state, &step.block.header);
    let judge = |commit: &Commit| {
        state.check_commit(header, commit, &SequentialVerifier).ok().map(|()| commit.root().0)
    };
    let object = Object { name: "a commit", value: &step.commit, judge: &judge };
    object.flip_every_byte(|_| Promise::Rejected);
    let cases: [Case<Commit>; 9] = [
        ("another height", Promise::Rejected, |it| it.height -= 1),
        ("another round", Promise::Rejected, |it| it.round += 1),
        ("another block", Promise::Rejected, |it| it.block_hash = BlockHash::ZERO),
        ("swapped signatures", Promise::Rejected, |it| it.signatures.swap(0, 1)),
        ("a signature twice", Promise::Rejected, |it| it.signatures.push(it.signatures[0])),
        ("a signature left out", Promise::Rejected, |it| without_last(&mut it.signatures)),
        ("a signer more", Promise::Rejected, |it| it.signers.set(6)),
        ("a longer bitmap", Promise::Rejected, |it| it.signers = SignerBitmap::empty(9)),
        ("nobody", Promise::Rejected, |it| *it = Commit { signatures: Vec::new(), ..Commit::default() }),
    ];
    object.change(&cases);
    // Other precommits for the same block make another commit of it, down to the quorum.
    let set = state.validators();
    let value = Some(header.hash());
    let digest =
        block_vote_digest(&header.chain_id, VoteStep::Precommit, header.epoch, header.height, 0, value);
    for (signers, promise) in [(4, Promise::Rejected), (5, Promise::AnotherId), (7, Promise::AnotherId)] {
        let mut other =
            Commit { signers: SignerBitmap::empty(7), signatures: Vec::new(), ..step.commit.clone() };
        for (place, member) in set.members().iter().enumerate().take(signers) {
            other.signers.set(place);
            other.signatures.push(secret_of(&member.key).sign(&digest));
        }
        object.hold("other signers", &other, promise);
    }
}

#[test]
fn every_byte_of_a_block_in_sync_counts() {
    let story = Story::tell();
    // One with every kind of payload, one that ends an epoch with a reward and evidence, one with an un-jailing and larger
    // evidence.
    for next in [1, 3, 4] {
        let node = Node::new(&story, next);
        let judge = |block: &CommittedBlock| node.takes_block(block);
        let value = committed(&story.steps[next]);
        Object { name: "a block", value: &value, judge: &judge }.flip_every_byte(|_| Promise::Rejected);
    }
}

fn edit(block: &mut CommittedBlock, place: usize, change: impl FnOnce(&mut Transaction)) {
    change(Arc::make_mut(&mut block.block.transactions[place]));
}

#[test]
fn a_blocks_parts_can_not_be_moved_doubled_or_left_out() {
    let story = Story::tell();
    let node = Node::new(&story, 3);
    let judge = |block: &CommittedBlock| node.takes_block(block);
    let value = committed(&story.steps[3]);
    assert_eq!((value.block.transactions.len(), value.block.evidence.len()), (2, 1));
    let cases: [Case<CommittedBlock>; 18] = [
        ("swapped transactions", Promise::Rejected, |it| it.block.transactions.swap(0, 1)),
        ("a transaction twice", Promise::Rejected, |it| {
            it.block.transactions.insert(0, Arc::clone(&it.block.transactions[0]));
        }),
        ("a transaction left out", Promise::Rejected, |it| without_first(&mut it.block.transactions)),
        ("no reward", Promise::Rejected, |it| without_last(&mut it.block.transactions)),
        ("two rewards", Promise::Rejected, |it| {
            it.block.transactions.push(Arc::clone(&it.block.transactions[1]));
        }),
        ("a larger reward", Promise::Rejected, |it| {
            edit(it, 1, |tx| tx.outputs[0].value = Amount(tx.outputs[0].value.0 + 1));
        }),
        ("a witness at the reward", Promise::Rejected, |it| {
            let (key, signature) = (user(0).public(), Signature::EMPTY);
            edit(it, 1, |tx| tx.witnesses.push(Witness { key, signature }));
        }),
        ("a witness left out", Promise::Rejected, |it| edit(it, 0, |tx| tx.witnesses.clear())),
        ("a witness too many", Promise::Rejected, |it| {
            edit(it, 0, |tx| {
                let another = Witness { key: user(0).public(), ..tx.witnesses[0] };
                tx.witnesses.push(another);
                tx.witnesses.sort_by_key(|witness| witness.key);
            });
        }),
        ("no evidence", Promise::Rejected, |it| it.block.evidence.clear()),
        ("evidence twice", Promise::Rejected, |it| {
            it.block.evidence.push(Arc::clone(&it.block.evidence[0]));
        }),
        ("a signature of the last commit left out", Promise::Rejected, |it| {
            without_last(&mut it.block.last_commit.signatures);
        }),
        ("the last commit for its own", Promise::Rejected, |it| it.commit = it.block.last_commit.clone()),
        ("its own commit for the last", Promise::Rejected, |it| it.block.last_commit = it.commit.clone()),
        ("no commit", Promise::Rejected, |it| it.commit = Commit::default()),
        ("one height more", Promise::Rejected, |it| it.block.header.height += 1),
        ("not the epoch's end", Promise::Rejected, |it| it.block.header.epoch_end = false),
        ("a later time", Promise::Rejected, |it| it.block.header.time += 1),
    ];
    Object { name: "a block", value: &value, judge: &judge }.change(&cases);
}

#[test]
fn a_header_that_is_committed_again_after_a_change_breaks_another_rule() {
    // More than two thirds commit whatever they like: the rules of blocks hold against them too, in every field but the
    // round, whose proposer may be the same again.
    let story = Story::tell();
    let step = &story.steps[3];
    let node = Node::new(&story, 3);
    let again = |header: &Header| {
        let (set, hash) = (step.state.validators(), header.hash());
        let (precommit, value) = (VoteStep::Precommit, Some(hash));
        // For the place where the node looks for it.
        let (epoch, height) = (step.state.next_epoch(), header.height);
        let digest = block_vote_digest(step.state.chain_id(), precommit, epoch, height, 0, value);
        let mut signers = SignerBitmap::empty(set.len());
        (0..set.len()).for_each(|place| signers.set(place));
        let signatures = set.members().iter().map(|member| secret_of(&member.key).sign(&digest)).collect();
        let commit = Commit { height, round: 0, block_hash: hash, signers, signatures };
        let mut block = committed(step);
        (block.block.header, block.commit) = (header.clone(), commit);
        node.takes_block(&block)
    };
    let object = Object { name: "a header", value: &step.block.header, judge: &again };
    let cases: [Case<Header>; 21] = [
        ("another chain", Promise::Rejected, |it| it.chain_id.0[0] ^= 1),
        ("a later height", Promise::Rejected, |it| it.height += 1),
        ("a later round", Promise::Rejected, |it| it.round += 1),
        ("the round with the same proposer", Promise::AnotherId, |it| it.round += 7),
        ("a later epoch", Promise::Rejected, |it| it.epoch += 1),
        ("not the epoch's end", Promise::Rejected, |it| it.epoch_end = false),
        ("a later time", Promise::Rejected, |it| it.time += 1),
        ("an earlier time", Promise::Rejected, |it| it.time -= 1),
        ("another parent", Promise::Rejected, |it| it.prev_hash.0[0] ^= 1),
        ("another last commit", Promise::Rejected, |it| it.last_commit_root.0[0] ^= 1),
        ("other transactions", Promise::Rejected, |it| it.tx_root.0[0] ^= 1),
        ("other evidence", Promise::Rejected, |it| it.evidence_root.0[0] ^= 1),
        ("other ends of epochs", Promise::Rejected, |it| it.epoch_ends_root.0[0] ^= 1),
        ("another state", Promise::Rejected, |it| it.state_digest.0[0] ^= 1),
        ("another set", Promise::Rejected, |it| it.validators_hash.0[0] ^= 1),
        ("another next set", Promise::Rejected, |it| it.next_validators_hash.0[0] ^= 1),
        ("the same next set", Promise::Rejected, |it| it.next_validators_hash = it.validators_hash),
        ("another proposer", Promise::Rejected, |it| it.proposer.0[0] ^= 1),
        ("other rules", Promise::Rejected, |it| it.rules.0 += 1),
        ("newer rules announced, by a member that leaves with this block", Promise::AnotherId, |it| {
            it.announced.0 += 1
        }),
        ("older rules announced", Promise::Rejected, |it| it.announced.0 -= 1),
    ];
    object.change(&cases);
}
