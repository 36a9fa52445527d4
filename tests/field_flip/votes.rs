//! What validators sign: block votes, proposals, batches, certificates, evidence, heartbeats.

use std::collections::BTreeSet;
use std::sync::Arc;

use timed::consensus::verify::{CertificateChecks, VerifyError, Voters, verify};
use timed::protocol::bft::{self, HeightContext};
use timed::protocol::evidence;
use timed::protocol::finality::{self, ChainView, JournaledVotes};
use timed::types::heartbeat::Heartbeat;
use timed::types::instance::InstanceId;
use timed::types::keys::SequentialVerifier;
use timed::types::{
    BatchRoot, BlockHash, BlockVote, Certificate, ChainId, Evidence, FinalityVote, Message, Proposal,
    Signature, SignatureCheck, SignerBitmap, TxId, VoteBatch, VoteKind, VoteStep,
};

use crate::flip::{Case, Object, Promise, without_last};
use crate::heard::heard;
use crate::node::Node;
use crate::story::{Step, Story, secret_of};

/// The fourth block, the last of epoch 0: it has a payment, a reward and evidence.
const LAST_OF_EPOCH: usize = 3;

fn voters(step: &Step) -> Voters {
    let set = Arc::clone(step.state.validators());
    Voters { chain_id: *step.state.chain_id(), epoch: step.state.next_epoch(), set }
}

fn block_vote(step: &Step, place: usize, of: VoteStep, value: Option<BlockHash>) -> BlockVote {
    let (state, member) = (&step.state, step.state.validators().get(place).unwrap());
    let vote = BlockVote {
        step: of,
        epoch: state.next_epoch(),
        height: state.height() + 1,
        round: 1,
        value,
        validator: member.id,
        signature: Signature::EMPTY,
    };
    vote.signed(state.chain_id(), &secret_of(&member.key))
}

fn batch(step: &Step, place: usize, votes: Vec<FinalityVote>) -> VoteBatch {
    let (state, member) = (&step.state, step.state.validators().get(place).unwrap());
    let (chain_id, epoch) = (state.chain_id(), state.next_epoch());
    VoteBatch::signed(chain_id, epoch, member.id, 7, votes, &secret_of(&member.key))
}

fn some_votes(txid: TxId) -> Vec<FinalityVote> {
    let vote = |kind, txid| FinalityVote { kind, txid };
    vec![
        vote(VoteKind::Lock, TxId([1; 32])),
        vote(VoteKind::Lock, txid),
        vote(VoteKind::Final, txid),
        vote(VoteKind::Lock, TxId([2; 32])),
        vote(VoteKind::Final, TxId([3; 32])),
    ]
}

/// INV-VERIFY-1.
#[test]
fn block_votes() {
    let story = Story::tell();
    let step = &story.steps[LAST_OF_EPOCH];
    let node = Node::new(&story, LAST_OF_EPOCH);
    let judge = |vote: &BlockVote| {
        let is_taken = node.passes_on(&Message::BlockVote(heard(vote)));
        is_taken.then(|| vote.digest(step.state.chain_id()))
    };
    let cases: [Case<BlockVote>; 6] = [
        ("the other step", Promise::Rejected, |vote| {
            vote.step = match vote.step {
                VoteStep::Prevote => VoteStep::Precommit,
                VoteStep::Precommit => VoteStep::Prevote,
            };
        }),
        ("a later height", Promise::Rejected, |vote| vote.height += 1),
        ("an earlier round", Promise::Rejected, |vote| vote.round -= 1),
        ("another epoch", Promise::Rejected, |vote| vote.epoch += 1),
        ("nil for a block, a block for nil", Promise::Rejected, |vote| {
            vote.value = if vote.value.is_some() { None } else { Some(BlockHash::ZERO) };
        }),
        ("no signature", Promise::Rejected, |vote| vote.signature = Signature::EMPTY),
    ];
    for (place, of) in [(0, VoteStep::Prevote), (1, VoteStep::Precommit)] {
        for value in [None, Some(step.block.header.hash())] {
            let vote = block_vote(step, place, of, value);
            let object = Object { name: "a block vote", value: &vote, judge: &judge };
            object.flip_every_byte(|_| Promise::Rejected);
            object.change(&cases);
            let other = step.state.validators().get(3).unwrap().id;
            object.hold(
                "another member's name",
                &BlockVote { validator: other, ..vote.clone() },
                Promise::Rejected,
            );
        }
    }
}

#[test]
fn proposals() {
    let story = Story::tell();
    let step = &story.steps[LAST_OF_EPOCH];
    let state = &step.state;
    let machine = bft::Machine::new(HeightContext {
        chain_id: *state.chain_id(),
        height: state.height() + 1,
        epoch: state.next_epoch(),
        validators: Arc::clone(state.validators()),
        proposer_order: state.proposer_order(),
        timeout_propose: state.parameters().timeout_propose,
        timeout_prevote: state.parameters().timeout_prevote,
        timeout_precommit: state.parameters().timeout_precommit,
        me: None,
    });
    let node = Node::new(&story, LAST_OF_EPOCH);
    let judge = |proposal: &Proposal| {
        let is_taken = node.passes_on(&Message::Proposal(heard(proposal)));
        is_taken.then(|| proposal.digest())
    };
    let cases: [Case<Proposal>; 8] = [
        ("swapped transactions", Promise::Rejected, |it| it.block.txids.swap(0, 1)),
        ("a transaction twice", Promise::Rejected, |it| it.block.txids.push(it.block.txids[1])),
        ("a transaction left out", Promise::Rejected, |it| without_last(&mut it.block.txids)),
        ("no evidence", Promise::Rejected, |it| it.block.evidence.clear()),
        ("evidence twice", Promise::Rejected, |it| {
            it.block.evidence.push(Arc::clone(&it.block.evidence[0]));
        }),
        ("a signature of the last commit left out", Promise::Rejected, |it| {
            without_last(&mut it.block.last_commit.signatures);
        }),
        ("the other round", Promise::Rejected, |it| it.round ^= 1),
        ("another proof of lock", Promise::Rejected, |it| it.pol_round = it.pol_round.xor(Some(0))),
    ];
    let blueprint = step.block.blueprint();
    assert!(blueprint.txids.len() > 1 && blueprint.evidence.len() == 1 && blueprint.header.epoch_end);
    for (round, pol_round) in [(0, None), (1, Some(0))] {
        let validator = machine.proposer(round).unwrap();
        let (block, signature) = (blueprint.clone(), Signature::EMPTY);
        let proposal = Proposal { round, pol_round, validator: validator.id, block, signature };
        let proposal = proposal.signed(&secret_of(&validator.key));
        let object = Object { name: "a proposal", value: &proposal, judge: &judge };
        object.flip_every_byte(|_| Promise::Rejected);
        object.change(&cases);
    }
}

#[test]
fn vote_batches() {
    let story = Story::tell();
    let step = &story.steps[LAST_OF_EPOCH];
    let node = Node::new(&story, LAST_OF_EPOCH);
    let judge = |batch: &VoteBatch| {
        let is_taken = node.passes_on(&Message::VoteBatch(heard(batch)));
        is_taken.then(|| batch.header.digest(step.state.chain_id()))
    };
    let value = &batch(step, 2, some_votes(TxId([9; 32])));
    let object = Object { name: "a vote batch", value, judge: &judge };
    object.flip_every_byte(|_| Promise::Rejected);
    object.change(&[
        ("swapped votes", Promise::Rejected, |batch| batch.votes.swap(0, 1)),
        ("a vote twice", Promise::Rejected, |batch| batch.votes.push(batch.votes[4])),
        ("a vote twice, and counted", Promise::Rejected, |batch| {
            batch.votes.push(batch.votes[4]);
            batch.header.count += 1;
        }),
        ("a vote left out", Promise::Rejected, |batch| without_last(&mut batch.votes)),
        ("no votes", Promise::Rejected, |batch| batch.votes.clear()),
        ("the other kind", Promise::Rejected, |batch| batch.votes[1].kind = VoteKind::Final),
        ("the next number", Promise::Rejected, |batch| batch.header.seq += 1),
        ("the number before", Promise::Rejected, |batch| batch.header.seq -= 1),
        ("the next epoch", Promise::Rejected, |batch| batch.header.epoch += 1),
        ("another root", Promise::Rejected, |batch| batch.header.votes_root = BatchRoot::ZERO),
    ]);
}

#[test]
fn certificates() {
    let story = Story::tell();
    let step = &story.steps[LAST_OF_EPOCH];
    let txid = TxId([9; 32]);
    let voters = voters(step);
    // What a node does with a certificate that it asked for, and whether it is convinced afterwards.
    let judge = |certificate: &Certificate| {
        let certificate = heard(certificate);
        let is_known = certificate.epoch == voters.epoch;
        let mut checks = CertificateChecks::default();
        if !is_known || checks.check(&certificate, &voters, &SequentialVerifier).is_err() {
            return None;
        }
        let mut machine =
            finality::Machine::new(None, &step.state, JournaledVotes::default(), BTreeSet::new());
        let view = ChainView { state: &step.state, utxos: &step.utxos };
        let vote = certificate.vote;
        drop(machine.step(&view, finality::Input::CertificateReceived(certificate)));
        let convinced = match vote.kind {
            VoteKind::Lock => machine.is_certified(&vote.txid),
            VoteKind::Final => machine.is_final(&vote.txid),
        };
        convinced.then_some(vote.txid.0)
    };
    let quorum = usize::try_from(voters.set.quorum()).unwrap();
    assert_eq!((quorum, voters.set.len()), (5, 7));
    for (place, kind) in [(1, VoteKind::Lock), (2, VoteKind::Final)] {
        let votes = (0..quorum).map(|member| batch(step, member, some_votes(txid)).prove(place).unwrap());
        let (vote, epoch) = (FinalityVote { kind, txid }, voters.epoch);
        let value = &Certificate { vote, epoch, votes: votes.collect() };
        let object = Object { name: "a certificate", value, judge: &judge };
        object.flip_every_byte(|_| Promise::Rejected);
        object.change(&[
            ("a vote left out", Promise::Rejected, |it| without_last(&mut it.votes)),
            ("a vote twice", Promise::Rejected, |it| it.votes.push(it.votes[0].clone())),
            ("a vote in the place of another", Promise::Rejected, |it| it.votes[0] = it.votes[1].clone()),
            ("no votes", Promise::Rejected, |it| it.votes.clear()),
            ("the other kind", Promise::Rejected, |it| {
                it.vote.kind = if it.vote.kind == VoteKind::Lock { VoteKind::Final } else { VoteKind::Lock };
            }),
            ("the next place", Promise::Rejected, |it| it.votes[0].index += 1),
            ("the place before", Promise::Rejected, |it| it.votes[0].index -= 1),
            ("a shorter path", Promise::Rejected, |it| without_last(&mut it.votes[0].path)),
            ("a longer path", Promise::Rejected, |it| {
                let first = it.votes[0].path[0];
                it.votes[0].path.push(first);
            }),
            ("a swapped path", Promise::Rejected, |it| it.votes[0].path.swap(0, 1)),
        ]);
    }
}

/// Evidence of each kind, with the state before the block that contains it.
fn each_evidence(story: &Story) -> [(&Step, Arc<Evidence>); 4] {
    let of = |step: usize| (&story.steps[step], Arc::clone(&story.steps[step].block.evidence[0]));
    let all = [of(2), of(LAST_OF_EPOCH), of(4), foreign_precommit(&story.steps[2])];
    assert!(matches!(*all[0].1, Evidence::Votes(..)) && matches!(*all[1].1, Evidence::Proposals(..)));
    assert!(matches!(*all[2].1, Evidence::Locks(..)));
    all
}

/// The block of a step with a set that never was, precommitted by a member.
fn foreign_precommit(step: &Step) -> (&Step, Arc<Evidence>) {
    let mut header = step.block.header.clone();
    header.validators_hash.0[0] ^= 1;
    let vote = block_vote(step, 1, VoteStep::Precommit, Some(header.hash()));
    (step, Arc::new(Evidence::of_foreign(step.state.next_epoch(), vote, header)))
}

#[test]
fn evidence_of_each_kind() {
    let story = Story::tell();
    for (step, value) in each_evidence(&story) {
        let node = Node::new(&story, usize::try_from(step.state.height()).unwrap());
        let judge = |evidence: &Evidence| {
            let is_taken = node.passes_on(&Message::Evidence(Arc::new(evidence.clone())));
            is_taken.then(|| evidence.hash().0)
        };
        let object = Object { name: value.kind(), value: &*value, judge: &judge };
        object.flip_every_byte(|_| Promise::Rejected);
        if !matches!(*value, Evidence::Foreign(_)) {
            change_sides(&object);
        }
        // Somebody else is accused of the same.
        let other = story.masternode(6);
        let mut accused = Evidence::clone(&value);
        match &mut accused {
            Evidence::Locks(one, second) => {
                (one.vote.header.validator, second.vote.header.validator) = (other, other);
            }
            Evidence::Votes(one, second) => (one.validator, second.validator) = (other, other),
            Evidence::Proposals(one, second) => (one.validator, second.validator) = (other, other),
            Evidence::Foreign(piece) => piece.vote.validator = other,
        }
        object.hold("another masternode", &accused, Promise::Rejected);
    }
}

/// What is wrong with a pair though both of its sides are signed.
fn change_sides(object: &Object<'_, Evidence>) {
    object.change(&[
        ("swapped sides", Promise::Rejected, |it| match it {
            Evidence::Locks(one, other) => std::mem::swap(one, other),
            Evidence::Votes(one, other) => std::mem::swap(one, other),
            Evidence::Proposals(one, other) => std::mem::swap(one, other),
            Evidence::Foreign(_) => {}
        }),
        ("one side twice", Promise::Rejected, |it| match it {
            Evidence::Locks(one, other) => other.clone_from(one),
            Evidence::Votes(one, other) => other.clone_from(one),
            Evidence::Proposals(one, other) => other.clone_from(one),
            Evidence::Foreign(_) => {}
        }),
        ("the next epoch on both sides", Promise::Rejected, |it| match it {
            Evidence::Locks(one, other) => {
                one.vote.header.epoch += 1;
                other.vote.header.epoch += 1;
            }
            Evidence::Votes(one, other) => (one.epoch, other.epoch) = (one.epoch + 1, other.epoch + 1),
            Evidence::Proposals(one, other) => {
                (one.epoch, other.epoch) = (one.epoch + 1, other.epoch + 1);
            }
            Evidence::Foreign(_) => {}
        }),
    ]);
}

fn heartbeat(step: &Step) -> Heartbeat {
    let (state, member) = (&step.state, step.state.validators().get(2).unwrap());
    let mut heard = SignerBitmap::empty(state.validators().len());
    [0, 2, 5].into_iter().for_each(|place| heard.set(place));
    let heartbeat = Heartbeat {
        validator: member.id,
        instance: InstanceId { start: [7; 16], attempt: 1 },
        epoch: state.next_epoch(),
        height: state.height(),
        next_seq: 3,
        time_ms: state.tip_time(),
        heard,
        signature: Signature::EMPTY,
    };
    heartbeat.signed(state.chain_id(), &secret_of(&member.key))
}

#[test]
fn heartbeats() {
    let story = Story::tell();
    let step = &story.steps[LAST_OF_EPOCH];
    let node = Node::new(&story, LAST_OF_EPOCH);
    let judge = |heartbeat: &Heartbeat| {
        let is_taken = node.passes_on(&Message::Heartbeat(heard(heartbeat)));
        is_taken.then(|| heartbeat.digest(step.state.chain_id()))
    };
    let value = &heartbeat(step);
    let object = Object { name: "a heartbeat", value, judge: &judge };
    object.flip_every_byte(|_| Promise::Rejected);
    object.change(&[
        ("nobody heard", Promise::Rejected, |it| it.heard = SignerBitmap::empty(7)),
        ("more heard", Promise::Rejected, |it| it.heard.set(1)),
        ("a longer list", Promise::Rejected, |it| it.heard = SignerBitmap::empty(9)),
        ("a later time", Promise::Rejected, |it| it.time_ms += 1),
        ("another height", Promise::Rejected, |it| it.height -= 1),
        ("another number", Promise::Rejected, |it| it.next_seq -= 1),
    ]);
}

/// INV-TYPES-3, INV-KEYS-1.
#[test]
fn nothing_signed_holds_on_another_chain() {
    let story = Story::tell();
    let step = &story.steps[LAST_OF_EPOCH];
    let (here, there) = (*step.state.chain_id(), ChainId([1; 32]));
    let set = step.state.validators();
    let key = |place: usize| set.get(place).unwrap().key;
    let prevote = block_vote(step, 0, VoteStep::Prevote, None);
    let precommit = block_vote(step, 1, VoteStep::Precommit, Some(BlockHash([1; 32])));
    let (batch, heartbeat) = (batch(step, 2, some_votes(TxId([9; 32]))), heartbeat(step));
    let checks_on = |chain: &ChainId| -> Vec<SignatureCheck> {
        let mut checks = vec![
            prevote.signature_check(chain, key(0)),
            precommit.signature_check(chain, key(1)),
            batch.header.signature_check(chain, key(2)),
            heartbeat.signature_check(chain, key(2)),
        ];
        for (step, evidence) in each_evidence(&story) {
            let accused = evidence::check_against(&evidence, &step.state).unwrap();
            checks.extend(evidence.signature_checks(chain, accused));
        }
        checks.extend(step.commit.signature_checks(chain, step.state.next_epoch(), set).unwrap());
        checks
    };
    let count = checks_on(&here).len();
    assert_eq!(checks_on(&here).iter().filter(|check| check.holds()).count(), count);
    assert_eq!(checks_on(&there).iter().filter(|check| check.holds()).count(), 0, "of {count}");
    // A proposal takes the chain from its header, which a node compares.
    let (block, signature) = (step.block.blueprint(), Signature::EMPTY);
    let proposal =
        Proposal { round: 0, pol_round: None, validator: set.get(0).unwrap().id, block, signature };
    let mut moved = proposal.clone();
    moved.block.header.chain_id = there;
    assert_ne!(proposal.digest(), moved.digest());
    let moved = Message::Proposal(heard(&moved.signed(&secret_of(&key(0)))));
    let verdict = verify(&moved, &voters(step), &SequentialVerifier);
    assert_eq!(verdict, Err(VerifyError::NotBound), "signed for another chain");
}

/// Nothing is to reach it.
struct Untouched;

impl timed::types::SignatureVerifier for Untouched {
    fn verify_all(&self, checks: &[SignatureCheck]) -> Result<(), usize> {
        panic!("{} signatures are checked", checks.len());
    }
}

/// INV-VERIFY-2.
#[test]
fn what_cheap_checks_refuse_costs_no_signature() {
    let story = Story::tell();
    let step = &story.steps[LAST_OF_EPOCH];
    let voters = voters(step);
    let refused = |message: Message, error: VerifyError| {
        assert_eq!(
            verify(&message, &voters, &Untouched),
            Err(error),
            "{}",
            timed::network::MessageKind::of(&message).name()
        );
    };
    let good = batch(step, 0, some_votes(TxId([9; 32])));
    let changed = |change: &dyn Fn(&mut VoteBatch)| {
        let mut batch = good.clone();
        change(&mut batch);
        Message::VoteBatch(heard(&batch))
    };
    refused(changed(&|batch| batch.header.validator.0[0] ^= 1), VerifyError::UnknownValidator);
    refused(changed(&|batch| batch.votes.clear()), VerifyError::Malformed);
    refused(changed(&|batch| batch.votes.truncate(2)), VerifyError::NotBound);
    refused(changed(&|batch| batch.header.votes_root = BatchRoot([7; 32])), VerifyError::NotBound);
    let mut vote = block_vote(step, 0, VoteStep::Prevote, None);
    vote.validator.0[0] ^= 1;
    refused(Message::BlockVote(heard(&vote)), VerifyError::UnknownValidator);

    let mut certificate = Certificate {
        vote: some_votes(TxId([9; 32]))[1],
        epoch: voters.epoch,
        votes: vec![good.prove(1).unwrap(), good.prove(1).unwrap()],
    };
    let refused = |certificate: &Certificate, error: VerifyError| {
        assert_eq!(CertificateChecks::default().check(certificate, &voters, &Untouched), Err(error));
    };
    refused(&certificate, VerifyError::Malformed);
    certificate.votes.truncate(1);
    refused(&certificate, VerifyError::NoQuorum);
    let members = 0..voters.set.len();
    let prove = |member| batch(step, member, some_votes(TxId([9; 32]))).prove(1).unwrap();
    certificate.votes = members.map(prove).collect();
    certificate.votes[0].index = 2;
    refused(&certificate, VerifyError::NotBound);
}
