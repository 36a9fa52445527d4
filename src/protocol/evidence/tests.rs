//! Evidence holds for contradictions and for nothing else.

use std::sync::Arc;

use super::*;
use crate::protocol::fixtures::{Chain, document_with_funds, lock, new_key, operator, user};
use crate::types::codec::decode;
use crate::types::fork::ForkProof;
use crate::types::keys::SequentialVerifier;
use crate::types::{
    Amount, BlockHash, Commit, Hash, Signature, Transaction, TxOut, VoteBatch, VoteStep, Witness,
};

const VERIFIER: SequentialVerifier = SequentialVerifier;
const HEIGHT: Height = 2;

/// In epoch 1: blocks 1 to 3 are of epoch 0, block 4 is the tip.
fn chain() -> Chain {
    let mut chain = Chain::new(&document_with_funds(&[1; 4], 2));
    chain.finish_epoch();
    chain.advance(1_000, false, &[], &[]);
    assert_eq!((chain.state.height(), chain.state.next_epoch()), (4, 1));
    chain
}

fn accused(chain: &Chain) -> MasternodeId {
    chain.registered(1)
}

fn holds(chain: &Chain, evidence: &Evidence) -> Result<(), EvidenceError> {
    check(evidence, &chain.state, &VERIFIER)
}

/// One of each kind, of epoch 0.
fn one_of_each(chain: &Chain) -> [Arc<Evidence>; 4] {
    let id = accused(chain);
    [
        chain.two_locks(id, 0),
        chain.two_votes(id, 0, HEIGHT),
        chain.two_proposals(id, 0, HEIGHT),
        chain.foreign_precommit(id, 0, HEIGHT),
    ]
}

fn set_at(chain: &Chain, height: Height) -> Hash {
    chain.state.epoch_of_height(height).unwrap().1.hash()
}

fn spend(inputs: &[u32], value: u64) -> Transaction {
    let input = |index: &u32| OutPoint { txid: crate::types::TxId([9; 32]), index: *index };
    let output = TxOut { value: Amount(value), lock: lock(&user(0)) };
    Transaction::transfer(inputs.iter().map(input).collect(), vec![output], Vec::new())
}

fn lock_side(chain: &Chain, seq: u64, transaction: &Transaction) -> LockVoteProof {
    chain.lock_vote(accused(chain), (0, seq), VoteKind::Lock, transaction)
}

#[test]
fn each_kind_of_contradiction_holds() {
    let chain = chain();
    let id = accused(&chain);
    let place = (0, HEIGHT, 5);
    let vote = |step, value| chain.block_vote(id, step, place, value);
    let (one, other) = (Some(BlockHash([1; 32])), Some(BlockHash([2; 32])));
    let head = |value| chain.proposal(id, place, value);
    let cases = [
        (
            "prevotes for two blocks",
            Evidence::of_votes(vote(VoteStep::Prevote, one), vote(VoteStep::Prevote, other)),
        ),
        (
            "prevotes for nil and a block",
            Evidence::of_votes(vote(VoteStep::Prevote, one), vote(VoteStep::Prevote, None)),
        ),
        (
            "precommits for two blocks",
            Evidence::of_votes(vote(VoteStep::Precommit, other), vote(VoteStep::Precommit, one)),
        ),
        (
            "precommits for a block and nil",
            Evidence::of_votes(vote(VoteStep::Precommit, None), vote(VoteStep::Precommit, one)),
        ),
        (
            "two blocks proposed",
            Evidence::of_proposals(head((BlockHash([2; 32]), None)), head((BlockHash([1; 32]), Some(3)))),
        ),
        (
            "one block proposed by two proofs of lock",
            Evidence::of_proposals(head((BlockHash([1; 32]), Some(4))), head((BlockHash([1; 32]), None))),
        ),
        (
            "locks of transactions that share one input of several",
            Evidence::of_locks(
                lock_side(&chain, 1, &spend(&[1, 2, 3], 1)),
                lock_side(&chain, 7, &spend(&[4, 3], 2)),
            ),
        ),
        ("locks in one batch", {
            let (first, second) = (spend(&[1], 1), spend(&[1], 2));
            let votes = [&first, &second].map(|tx| FinalityVote { kind: VoteKind::Lock, txid: tx.txid() });
            let secret = chain.key_in(id, 0);
            let batch = VoteBatch::signed(chain.state.chain_id(), 0, id, 0, votes.to_vec(), secret);
            let side = |place, transaction| LockVoteProof { vote: batch.prove(place).unwrap(), transaction };
            Evidence::of_locks(side(0, first), side(1, second))
        }),
        (
            "a precommit for a header that names another set",
            chain.foreign_precommit(id, 0, HEIGHT).as_ref().clone(),
        ),
        ("a precommit for a header that names another epoch", {
            let header = chain.header((7, HEIGHT), set_at(&chain, HEIGHT));
            chain.precommit_for((id, 0), header).as_ref().clone()
        }),
    ];
    for (description, evidence) in cases {
        assert_eq!(holds(&chain, &evidence), Ok(()), "{description}");
        assert_eq!((evidence.validator(), evidence.epoch()), (id, 0), "{description}");
        assert_eq!(decode::<Evidence>(&encode(&evidence)), Ok(evidence), "{description}");
    }
}

/// Whatever an honest validator may sign, it never is evidence, in either order of its sides.
/// INV-EV-1.
#[test]
fn what_honest_validators_sign_is_no_evidence() {
    use EvidenceError::{BadPath, NoContradiction, Unrelated};
    let chain = chain();
    let id = accused(&chain);
    let (first, second) = (spend(&[1], 1), spend(&[1], 2));
    let lock_in = |place, transaction| chain.lock_vote(id, place, VoteKind::Lock, transaction);
    let final_of = |transaction| chain.lock_vote(id, (0, 3), VoteKind::Final, transaction);
    let vote = |step, place, value: Option<u8>| {
        chain.block_vote(id, step, place, value.map(|fill| BlockHash([fill; 32])))
    };
    let head = |place, fill, pol| chain.proposal(id, place, (BlockHash([fill; 32]), pol));
    let (prevote, precommit) = (VoteStep::Prevote, VoteStep::Precommit);
    let locks = |one: LockVoteProof, other: LockVoteProof| {
        let (one, other) = (Box::new(one), Box::new(other));
        [Evidence::Locks(one.clone(), other.clone()), Evidence::Locks(other, one)]
    };
    let votes = |one: BlockVote, other: BlockVote| {
        [Evidence::Votes(one.clone(), other.clone()), Evidence::Votes(other, one)]
    };
    let heads = |one: ProposalHead, other: ProposalHead| {
        [Evidence::Proposals(one.clone(), other.clone()), Evidence::Proposals(other, one)]
    };
    let cases: [(&str, [Evidence; 2], EvidenceError); 15] = [
        ("Final after another's Lock", locks(lock_in((0, 1), &first), final_of(&second)), BadPath),
        ("Final after its own Lock", locks(lock_in((0, 1), &first), final_of(&first)), NoContradiction),
        ("two Finals", locks(final_of(&first), final_of(&second)), BadPath),
        ("a vote in the next epoch", locks(lock_in((0, 1), &first), lock_in((1, 1), &second)), Unrelated),
        ("one vote in two batches", locks(lock_in((0, 1), &first), lock_in((0, 2), &first)), NoContradiction),
        ("one vote twice", locks(lock_in((0, 1), &first), lock_in((0, 1), &first)), NoContradiction),
        (
            "locks of transactions without a common input",
            locks(lock_in((0, 1), &first), lock_in((0, 2), &spend(&[2], 1))),
            NoContradiction,
        ),
        (
            "a lock of a child and of its parent",
            {
                let mut child = spend(&[], 1);
                child.inputs.push(OutPoint { txid: first.txid(), index: 0 });
                locks(lock_in((0, 1), &first), lock_in((0, 2), &child))
            },
            NoContradiction,
        ),
        (
            "prevote and precommit",
            votes(vote(prevote, (0, 2, 0), Some(1)), vote(precommit, (0, 2, 0), None)),
            Unrelated,
        ),
        (
            "prevotes of two rounds",
            votes(vote(prevote, (0, 2, 0), Some(1)), vote(prevote, (0, 2, 1), Some(2))),
            Unrelated,
        ),
        (
            "prevotes of two heights",
            votes(vote(prevote, (0, 2, 0), Some(1)), vote(prevote, (0, 3, 0), Some(2))),
            Unrelated,
        ),
        (
            "a prevote sent twice",
            votes(vote(prevote, (0, 2, 0), Some(1)), vote(prevote, (0, 2, 0), Some(1))),
            NoContradiction,
        ),
        (
            "nil sent twice",
            votes(vote(precommit, (0, 2, 0), None), vote(precommit, (0, 2, 0), None)),
            NoContradiction,
        ),
        ("proposals of two rounds", heads(head((0, 2, 0), 1, None), head((0, 2, 1), 2, Some(0))), Unrelated),
        (
            "a proposal sent twice",
            heads(head((0, 2, 1), 1, Some(0)), head((0, 2, 1), 1, Some(0))),
            NoContradiction,
        ),
    ];
    for (description, orders, expected) in cases {
        let [forwards, backwards] = orders.map(|evidence| holds(&chain, &evidence).unwrap_err());
        // One of the orders may be refused as such, before its content is looked at.
        let said = if forwards == EvidenceError::NotCanonical { backwards } else { forwards };
        assert_eq!(said, expected, "{description}");
        assert!(backwards == expected || backwards == EvidenceError::NotCanonical, "{description}");
    }
}

/// INV-EV-1: what a block does to the next set, and the round, are the proposer's and the network's; epoch and set are not.
#[test]
fn who_precommits_a_block_that_was_not_decided_on_is_not_accused() {
    let chain = chain();
    let id = accused(&chain);
    // Up to the block that would include it.
    for height in 1..=5 {
        let epoch = u64::from(height > 3);
        let honest = chain.precommit_for((id, epoch), chain.header((epoch, height), set_at(&chain, height)));
        let error = holds(&chain, &honest).unwrap_err();
        assert_eq!(error, EvidenceError::NotForeign { height });
        assert!(error.depends_on_state(), "a peer on the other side of a fork may believe it");
        assert_eq!(holds(&chain, &chain.foreign_precommit(id, epoch, height)), Ok(()));
    }
    for height in [0, 6, u64::MAX] {
        let early = chain.foreign_precommit(id, 1, height);
        assert_eq!(holds(&chain, &early), Err(EvidenceError::WrongHeight { height, epoch: 1 }), "{height}");
    }
    // Nobody is held to what is not a precommit for this header.
    let Evidence::Foreign(piece) = chain.foreign_precommit(id, 0, HEIGHT).as_ref().clone() else { panic!() };
    let (secret, chain_id) = (chain.key_in(id, 0), chain.state.chain_id());
    let other = chain.header((0, HEIGHT), Hash([8; 32])).hash();
    let changes: [fn(&mut BlockVote, BlockHash); 5] = [
        |vote, _| vote.step = VoteStep::Prevote,
        |vote, _| vote.value = None,
        |vote, other| vote.value = Some(other),
        |vote, _| vote.epoch += 1,
        |vote, _| vote.height += 1,
    ];
    for change in changes {
        let mut piece = piece.clone();
        change(&mut piece.vote, other);
        piece.vote = piece.vote.signed(chain_id, secret);
        assert_eq!(holds(&chain, &Evidence::Foreign(piece)), Err(EvidenceError::Unrelated));
    }
}

/// A forger claims what it likes; what it had the key for is on the chain. Keys that their masternode has replaced count.
#[test]
fn a_precommit_is_held_to_a_key_of_any_epoch_that_counts() {
    let mut chain = chain();
    let id = accused(&chain);
    let update = chain.update((102, 0), new_key(id, &operator(40)));
    chain.advance(1_000, false, &[update], &[]);
    chain.finish_epoch();
    let (epoch, height) = (chain.state.next_epoch(), chain.state.height());
    assert_ne!(chain.key_in(id, epoch).public(), chain.key_in(id, 0).public(), "the key is another one");
    for member_in in [0, epoch] {
        let header = chain.header((epoch + 9, height), Hash([9; 32]));
        let piece = chain.precommit_for((id, member_in), header);
        assert_eq!((piece.epoch(), holds(&chain, &piece)), (member_in, Ok(())));
        let Evidence::Foreign(mut moved) = piece.as_ref().clone() else { panic!() };
        moved.member_in = epoch - member_in;
        let found = holds(&chain, &Evidence::Foreign(moved));
        assert_eq!(found, Err(EvidenceError::BadSignature { validator: id }));
        assert_eq!(
            chain.state.holder_of(&chain.key_in(id, 0).public()),
            Some((1, id)),
            "the newest epoch of it"
        );
    }
}

#[test]
fn what_two_validators_sign_is_no_evidence() {
    let chain = chain();
    let (id, other) = (accused(&chain), chain.registered(2));
    let values = (Some(BlockHash([1; 32])), Some(BlockHash([2; 32])));
    let vote = |id, value| chain.block_vote(id, VoteStep::Precommit, (0, HEIGHT, 0), value);
    let evidence = Evidence::of_votes(vote(id, values.0), vote(other, values.1));
    assert_eq!(holds(&chain, &evidence), Err(EvidenceError::Unrelated));
    // A block vote's signature does not cover who votes; its key does.
    let mut claimed = vote(other, values.1);
    claimed.validator = id;
    let evidence = Evidence::of_votes(vote(id, values.0), claimed);
    assert_eq!(holds(&chain, &evidence), Err(EvidenceError::BadSignature { validator: id }));
}

/// INV-EV-2.
#[test]
fn a_pair_has_one_form() {
    let chain = chain();
    for evidence in &one_of_each(&chain)[..3] {
        let swapped = match evidence.as_ref().clone() {
            Evidence::Locks(one, other) => Evidence::Locks(other, one),
            Evidence::Votes(one, other) => Evidence::Votes(other, one),
            Evidence::Proposals(one, other) => Evidence::Proposals(other, one),
            Evidence::Foreign(_) => panic!("no pair"),
        };
        assert_eq!(holds(&chain, &swapped), Err(EvidenceError::NotCanonical), "{}", evidence.kind());
        let again = match swapped {
            Evidence::Locks(one, other) => Evidence::of_locks(*one, *other),
            Evidence::Votes(one, other) => Evidence::of_votes(one, other),
            Evidence::Proposals(one, other) => Evidence::of_proposals(one, other),
            Evidence::Foreign(_) => panic!("no pair"),
        };
        assert_eq!(again, **evidence);
    }
    let Evidence::Locks(mut one, other) = chain.two_locks(accused(&chain), 0).as_ref().clone() else {
        panic!()
    };
    one.transaction.witnesses.push(Witness { key: PublicKey([1; 32]), signature: Signature::EMPTY });
    assert_eq!(holds(&chain, &Evidence::Locks(one, other)), Err(EvidenceError::NotCanonical));
}

#[test]
fn the_state_decides_whose_acts_count() {
    use EvidenceError as E;
    let mut chain = chain();
    let id = accused(&chain);
    let stranger = MasternodeId([3; 32]);
    let wrong_height = |height, epoch| Err(E::WrongHeight { height, epoch });
    let not_member = |validator, epoch| Err(E::NotMember { validator, epoch });
    let cases: [(&str, Arc<Evidence>, Result<(), E>); 17] = [
        ("locks of a past epoch", chain.two_locks(id, 0), Ok(())),
        ("locks of this epoch", chain.two_locks(id, 1), Ok(())),
        ("locks of the next one", chain.two_locks(id, 2), Err(E::UnknownEpoch { epoch: 2 })),
        ("locks of the last one", chain.two_locks(id, u64::MAX), Err(E::UnknownEpoch { epoch: u64::MAX })),
        ("no height", chain.two_votes(id, 0, 0), wrong_height(0, 0)),
        ("the first height", chain.two_votes(id, 0, 1), Ok(())),
        ("an epoch's last height", chain.two_votes(id, 0, 3), Ok(())),
        ("an epoch's first height", chain.two_votes(id, 1, 4), Ok(())),
        ("the height that includes it", chain.two_votes(id, 1, 5), Ok(())),
        ("the height after that", chain.two_votes(id, 1, 6), wrong_height(6, 1)),
        ("the last height of all", chain.two_proposals(id, 1, u64::MAX), wrong_height(u64::MAX, 1)),
        ("a height of the epoch before", chain.two_votes(id, 1, 3), wrong_height(3, 1)),
        ("a height of the epoch after", chain.two_votes(id, 0, 4), wrong_height(4, 0)),
        ("a proposal of another epoch", chain.two_proposals(id, 0, 4), wrong_height(4, 0)),
        ("a proposal of this epoch", chain.two_proposals(id, 1, 4), Ok(())),
        ("a stranger's locks", chain.two_locks(stranger, 0), not_member(stranger, 0)),
        ("a stranger's votes", chain.two_votes(stranger, 1, 4), not_member(stranger, 1)),
    ];
    for (description, evidence, expected) in cases {
        assert_eq!(holds(&chain, &evidence), expected, "{description}");
        let state_decides = expected.is_err_and(|error| error.depends_on_state());
        assert_eq!(state_decides, expected.is_err(), "{description}");
        assert_eq!(check_content(&evidence), Ok(()), "{description}: its content alone is sound");
    }
    // Who joined since was not in the set of before.
    let joins = chain.register((0, 0), 20, 1);
    chain.advance(1_000, false, &[joins], &[]);
    let joined = chain.registered(4);
    assert_eq!(holds(&chain, &chain.two_locks(joined, 1)), not_member(joined, 1));
    chain.finish_epoch();
    assert_eq!(holds(&chain, &chain.two_locks(joined, 1)), not_member(joined, 1));
    assert_eq!(holds(&chain, &chain.two_locks(joined, 2)), Ok(()));
    // An operator's key counts in its own epochs only.
    let update = chain.update((102, 0), new_key(id, &operator(40)));
    chain.advance(1_000, false, &[update], &[]);
    chain.finish_epoch();
    let by = |epoch, index: u8| {
        let vote =
            |value| BlockVote { value, ..chain.block_vote(id, VoteStep::Prevote, (epoch, 5, 0), None) };
        let sign = |vote: BlockVote| vote.signed(chain.state.chain_id(), &operator(index));
        Evidence::of_votes(sign(vote(None)), sign(vote(Some(BlockHash([1; 32])))))
    };
    assert_eq!(holds(&chain, &by(1, 2)), Ok(()));
    assert_eq!(holds(&chain, &by(1, 40)), Err(E::BadSignature { validator: id }));
}

#[test]
fn evidence_of_another_chain_does_not_hold() {
    let (here, mut document) = (chain(), document_with_funds(&[1; 4], 2));
    document.time_ms += 1;
    let mut there = Chain::new(&document);
    there.finish_epoch();
    there.advance(1_000, false, &[], &[]);
    for evidence in one_of_each(&there) {
        assert_eq!(holds(&there, &evidence), Ok(()));
        assert!(holds(&here, &evidence).is_err(), "its masternodes have other names here");
        let verdict = check_signatures(&evidence, here.state.chain_id(), operator(2).public(), &VERIFIER);
        let validator = evidence.validator();
        assert_eq!(verdict, Err(EvidenceError::BadSignature { validator }), "{}", evidence.kind());
    }
}

#[test]
fn too_much_is_refused_before_anything_else() {
    let chain = chain();
    let id = accused(&chain);
    let long = |memo: u8| {
        let mut transaction = spend(&[1], 1);
        transaction.outputs = vec![transaction.outputs[0]; 12_000];
        transaction.outputs[0].value = Amount(u64::from(memo));
        chain.lock_vote(id, (0, u64::from(memo)), VoteKind::Lock, &transaction)
    };
    let evidence = Evidence::of_locks(long(1), long(2));
    let bytes = encode(&evidence).len();
    assert!(bytes > EVIDENCE_BYTES_MAX);
    assert_eq!(holds(&chain, &evidence), Err(EvidenceError::TooLarge { bytes }));
}

type Change<T> = (&'static str, fn(&mut T));

const VOTE_FIELDS: [Change<BlockVote>; 9] = [
    ("step", |vote| vote.step = VoteStep::Prevote),
    ("epoch", |vote| vote.epoch += 1),
    ("height", |vote| vote.height += 1),
    ("round", |vote| vote.round += 1),
    ("value", |vote| vote.value = Some(BlockHash([8; 32]))),
    ("no value", |vote| vote.value = None),
    ("validator", |vote| vote.validator.0[0] ^= 1),
    ("signature R", |vote| vote.signature.0[0] ^= 1),
    ("signature S", |vote| vote.signature.0[32] ^= 1),
];

const HEAD_FIELDS: [Change<ProposalHead>; 8] = [
    ("epoch", |head| head.epoch += 1),
    ("height", |head| head.height += 1),
    ("round", |head| head.round += 1),
    ("pol_round", |head| head.pol_round = Some(1)),
    ("validator", |head| head.validator.0[0] ^= 1),
    ("block", |head| head.block_hash.0[31] ^= 1),
    ("signature R", |head| head.signature.0[0] ^= 1),
    ("signature S", |head| head.signature.0[40] ^= 1),
];

const LOCK_FIELDS: [Change<LockVoteProof>; 22] = [
    ("epoch", |side| side.vote.header.epoch += 1),
    ("validator", |side| side.vote.header.validator.0[0] ^= 1),
    ("seq", |side| side.vote.header.seq += 1),
    ("count", |side| side.vote.header.count += 1),
    ("fewer", |side| side.vote.header.count -= 1),
    ("root", |side| side.vote.header.votes_root.0[0] ^= 1),
    ("signature R", |side| side.vote.header.signature.0[0] ^= 1),
    ("signature S", |side| side.vote.header.signature.0[50] ^= 1),
    ("index", |side| side.vote.index += 1),
    ("first index", |side| side.vote.index = 0),
    ("index beyond", |side| side.vote.index = 9),
    ("path", |side| side.vote.path[0].0[0] ^= 1),
    ("end of the path", |side| side.vote.path[1].0[0] ^= 1),
    ("shorter path", |side| side.vote.path.truncate(1)),
    ("longer path", |side| side.vote.path.push(Hash([1; 32]))),
    ("version", |side| side.transaction.version += 1),
    ("shared input", |side| side.transaction.inputs[1].index += 1),
    ("other input", |side| side.transaction.inputs[0].txid.0[0] ^= 1),
    ("one input less", |side| side.transaction.inputs.truncate(1)),
    ("output", |side| side.transaction.outputs[0].value.0 += 1),
    ("payload", |side| side.transaction.payload = crate::types::Payload::Transfer { memo: vec![77] }),
    ("witness", |side| {
        side.transaction.witnesses.push(Witness { key: PublicKey([1; 32]), signature: Signature::EMPTY });
    }),
];

const FOREIGN_FIELDS: [Change<ForeignPrecommit>; 7] = [
    ("member_in", |piece| piece.member_in = 2),
    ("vote", |piece| piece.vote.round += 1),
    ("validator", |piece| piece.vote.validator.0[0] ^= 1),
    ("signature", |piece| piece.vote.signature.0[0] ^= 1),
    ("header", |piece| piece.header.next_validators_hash.0[0] ^= 1),
    ("height of the header", |piece| piece.header.height += 1),
    ("both heights", |piece| {
        piece.header.height += 1;
        piece.vote.height += 1;
    }),
];

/// Applies each change to each side in turn, and to both.
fn flips<T: Clone>(
    fields: &'static [Change<T>],
    (first, second): (&T, &T),
    build: impl Fn(T, T) -> Evidence,
) -> Vec<(&'static str, Evidence)> {
    let mut flipped = Vec::new();
    for (name, change) in fields {
        let (mut one, mut other) = (first.clone(), second.clone());
        change(&mut one);
        change(&mut other);
        flipped.push((*name, build(one.clone(), second.clone())));
        flipped.push((*name, build(first.clone(), other.clone())));
        flipped.push((*name, build(one, other)));
    }
    flipped
}

#[test]
fn every_flipped_field_is_refused() {
    let chain = chain();
    for evidence in one_of_each(&chain) {
        assert_eq!(holds(&chain, &evidence), Ok(()));
        let flipped = match evidence.as_ref() {
            Evidence::Locks(one, other) => {
                flips(&LOCK_FIELDS, (one, other), |one, other| Evidence::Locks(one.into(), other.into()))
            }
            Evidence::Votes(one, other) => flips(&VOTE_FIELDS, (one, other), Evidence::Votes),
            Evidence::Proposals(one, other) => flips(&HEAD_FIELDS, (one, other), Evidence::Proposals),
            Evidence::Foreign(piece) => {
                let flip = |(name, change): &Change<ForeignPrecommit>| {
                    let mut piece = piece.clone();
                    change(&mut piece);
                    (*name, Evidence::Foreign(piece))
                };
                FOREIGN_FIELDS.iter().map(flip).collect()
            }
        };
        for (name, changed) in flipped {
            // A side's nil made nil again is no change.
            if changed == *evidence {
                continue;
            }
            assert_ne!(changed.hash(), evidence.hash(), "{} of {}", name, evidence.kind());
            assert!(holds(&chain, &changed).is_err(), "{} of {}", name, evidence.kind());
            // Nor does it hold in the other order.
            let turned = match changed.clone() {
                Evidence::Locks(one, other) => Evidence::Locks(other, one),
                Evidence::Votes(one, other) => Evidence::Votes(other, one),
                Evidence::Proposals(one, other) => Evidence::Proposals(other, one),
                Evidence::Foreign(_) => continue,
            };
            assert!(holds(&chain, &turned).is_err(), "{} of {}, turned", name, evidence.kind());
        }
    }
}

/// Whoever passes on evidence against one that a block has punished meanwhile is an honest peer that is behind.
#[test]
fn who_is_late_with_evidence_is_not_to_blame() {
    let mut chain = chain();
    let validator = accused(&chain);
    let pieces = one_of_each(&chain);
    chain.advance_with(1_000, false, &[], &pieces[..1], &[]);
    for piece in &pieces {
        let error = holds(&chain, piece).unwrap_err();
        assert_eq!(error, EvidenceError::NotSlashable { validator }, "{}", piece.kind());
        assert!(error.depends_on_state(), "{}", piece.kind());
    }
}

#[test]
fn who_makes_up_evidence_is_to_blame_whatever_the_state_is() {
    use EvidenceError as E;
    let validator = MasternodeId([1; 32]);
    let made_up = [
        E::TooLarge { bytes: EVIDENCE_BYTES_MAX + 1 },
        E::Unrelated,
        E::NoContradiction,
        E::NotCanonical,
        E::BadPath,
        E::BadSignature { validator },
    ];
    for error in made_up {
        assert!(!error.depends_on_state(), "{error}");
    }
}

/// INV-EV-1: an honest validator may have to precommit another block in a later round; no two of its votes say more.
#[test]
fn a_fork_accuses_who_signed_both_blocks_in_one_round_and_nobody_else() {
    let chain = chain();
    let committed = |elapsed_ms, silent| {
        let mut side = chain.clone();
        let (block, _) = side.advance(elapsed_ms, false, &[], &[silent]);
        (block.header, side.commit)
    };
    let set = chain.state.validators();
    let silent = [0, 1].map(|registration| chain.registered(registration));
    let (ours, theirs) = (committed(1_000, silent[0]), committed(1_001, silent[1]));
    let fork = ForkProof::new(set, ours.clone(), theirs.clone());
    let mut guilty: Vec<MasternodeId> = set.members().iter().map(|member| member.id).collect();
    guilty.retain(|id| !silent.contains(id));
    assert_eq!(fork.guilty, guilty);
    let evidence = fork.evidence(set, 1);
    assert_eq!(evidence.iter().map(Evidence::validator).collect::<Vec<_>>(), guilty);
    for piece in &evidence {
        assert_eq!(holds(&chain, piece), Ok(()));
    }
    let (header, commit) = theirs;
    let later = Commit { round: commit.round + 1, ..commit };
    assert_eq!(ForkProof::new(set, ours, (header, later)).evidence(set, 1), []);
}

/// A header that does not name the set whose members signed it accuses all of them, in whatever round.
#[test]
fn a_fork_with_a_false_set_accuses_who_signed_it() {
    let mut chain = chain();
    let (parent, silent) = (chain.clone(), chain.registered(2));
    let (block, _) = chain.advance(1_000, false, &[], &[]);
    let (ours, set) = ((block.header, chain.commit.clone()), Arc::clone(parent.state.validators()));
    let mut header = ours.0.clone();
    header.validators_hash = Hash([9; 32]);
    let (step, place, value) = (VoteStep::Precommit, (1, header.height, 3), Some(header.hash()));
    let mut commit = Commit {
        height: header.height,
        round: 3,
        block_hash: header.hash(),
        signers: crate::types::SignerBitmap::empty(set.len()),
        signatures: Vec::new(),
    };
    let mut signers = Vec::new();
    for (index, member) in set.members().iter().enumerate().filter(|(_, member)| member.id != silent) {
        commit.signers.set(index);
        commit.signatures.push(parent.block_vote(member.id, step, place, value).signature);
        signers.push(member.id);
    }
    let evidence = ForkProof::new(&set, ours, (header, commit)).evidence(&set, 1);
    assert_eq!(evidence.iter().map(Evidence::validator).collect::<Vec<_>>(), signers);
    for piece in &evidence {
        assert_eq!(holds(&chain, piece), Ok(()));
    }
}
