//! Helpers of the machine's tests.

mod bounds;
mod lines;
mod random;
mod restart;

use std::sync::Arc;

use super::*;
use crate::types::block::tx_root;
use crate::types::evidence::evidence_root;
use crate::types::{
    Hash, Header, MasternodeId, PublicKey, RuleVersion, Signature, SignerBitmap, StateDigest, TxId, Validator,
};

pub(super) const HEIGHT: Height = 7;
pub(super) const EPOCH: Epoch = 2;

pub(super) fn id(place: usize) -> MasternodeId {
    MasternodeId([u8::try_from(place).unwrap() + 1; 32])
}

pub(super) fn context_of(weights: &[u64], me: Option<usize>) -> HeightContext {
    let members = weights.iter().enumerate().map(|(place, weight)| Validator {
        id: id(place),
        key: PublicKey([u8::try_from(place).unwrap(); 32]),
        weight: *weight,
    });
    HeightContext {
        chain_id: ChainId([9; 32]),
        height: HEIGHT,
        epoch: EPOCH,
        validators: Arc::new(ValidatorSet::new(members.collect())),
        proposer_order: (0..weights.len()).collect(),
        timeout_propose: Timeout { base_ms: 100, step_ms: 10 },
        timeout_prevote: Timeout { base_ms: 200, step_ms: 20 },
        timeout_precommit: Timeout { base_ms: 300, step_ms: 30 },
        me,
    }
}

/// Four validators of weight 1 (Q = 3), round `r` proposed by `r % 4`.
pub(super) fn context(me: Option<usize>) -> HeightContext {
    context_of(&[1; 4], me)
}

/// A block first proposed in `round`; `tag` tells blocks apart.
pub(super) fn block(round: Round, members: usize, tag: u8) -> BlockBlueprint {
    let last_commit = Commit::default();
    let txids = vec![TxId([tag; 32])];
    let header = Header {
        chain_id: ChainId([9; 32]),
        height: HEIGHT,
        round,
        epoch: EPOCH,
        epoch_end: false,
        time: 1,
        prev_hash: BlockHash::ZERO,
        last_commit_root: last_commit.root(),
        tx_root: tx_root(&txids),
        evidence_root: evidence_root([]),
        epoch_ends_root: Hash::ZERO,
        state_digest: StateDigest::ZERO,
        validators_hash: Hash::ZERO,
        next_validators_hash: Hash::ZERO,
        proposer: id(usize::try_from(round).unwrap() % members),
        rules: RuleVersion::FIRST,
        announced: RuleVersion::FIRST,
    };
    BlockBlueprint { header, last_commit, txids, evidence: Vec::new() }
}

pub(super) fn hash_of(block: &BlockBlueprint) -> BlockHash {
    block.header.hash()
}

pub(super) fn signed_proposal(
    place: usize,
    round: Round,
    pol_round: Option<Round>,
    block: &BlockBlueprint,
) -> Released<Proposal> {
    let (validator, signature) = (id(place), Signature::EMPTY);
    Released::heard(Proposal { round, pol_round, validator, block: block.clone(), signature })
}

/// A proposal of a block by the round's proposer among four.
pub(super) fn proposal(round: Round, pol_round: Option<Round>, block: &BlockBlueprint) -> Released<Proposal> {
    signed_proposal(usize::try_from(round).unwrap() % 4, round, pol_round, block)
}

pub(super) fn vote(
    step: VoteStep,
    place: usize,
    round: Round,
    value: Option<BlockHash>,
) -> Released<BlockVote> {
    let validator = id(place);
    let signature = Signature([u8::try_from(place).unwrap() + 1; 64]);
    Released::heard(BlockVote { step, epoch: EPOCH, height: HEIGHT, round, value, validator, signature })
}

pub(super) fn prevote(place: usize, round: Round, value: Option<BlockHash>) -> Input {
    Input::VoteReceived(vote(VoteStep::Prevote, place, round, value))
}

pub(super) fn precommit(place: usize, round: Round, value: Option<BlockHash>) -> Input {
    Input::VoteReceived(vote(VoteStep::Precommit, place, round, value))
}

pub(super) fn proposed(round: Round, pol_round: Option<Round>, block: &BlockBlueprint) -> Input {
    Input::ProposalReceived(proposal(round, pol_round, block))
}

pub(super) fn validated(block: &BlockBlueprint, valid: bool) -> Input {
    Input::BlockValidated { hash: hash_of(block), valid }
}

pub(super) fn acceptable(block: &BlockBlueprint) -> Input {
    Input::BlockAcceptable { hash: hash_of(block) }
}

pub(super) fn unacceptable(block: &BlockBlueprint) -> Input {
    Input::BlockUnacceptable { hash: hash_of(block) }
}

pub(super) fn elapsed(kind: TimeoutKind, round: Round) -> Input {
    Input::TimeoutElapsed { kind, round }
}

// Short names of effects, so that the tables read as text.

pub(super) fn started(round: Round) -> String {
    format!("start {round}")
}

/// Effects as short words; a block is named by the place of its hash in `names`.
pub(super) fn words(effects: &[Effect], names: &[(&str, BlockHash)]) -> Vec<String> {
    let name = |hash: &BlockHash| {
        names.iter().find(|(_, known)| known == hash).map_or("?", |(name, _)| name).to_owned()
    };
    let value = |value: &Option<BlockHash>| value.as_ref().map_or_else(|| "nil".to_owned(), &name);
    let word = |effect: &Effect| match effect {
        Effect::RoundStarted { round } => started(*round),
        Effect::BuildBlock { round } => format!("build {round}"),
        Effect::ValidateBlock { block } => format!("validate {}", name(&block.header.hash())),
        Effect::Propose { round, pol_round, block } => {
            let pol = pol_round.map_or_else(String::new, |pol| format!(" pol {pol}"));
            format!("propose {round} {}{pol}", name(&block.header.hash()))
        }
        Effect::Vote { step, round, value: voted, justification } => {
            let because = justification.as_ref().map_or_else(String::new, |because| {
                let block = name(&because.proposal.block.header.hash());
                format!(" because {block} {}", because.prevotes.len())
            });
            format!("{step:?} {round} {}{because}", value(voted)).to_lowercase()
        }
        Effect::Resend(BlockMessage::Proposal(own)) => {
            format!("resend proposal {} {}", own.round, name(&own.block.header.hash()))
        }
        Effect::Resend(BlockMessage::Vote(own)) => {
            format!("resend {:?} {} {}", own.step, own.round, value(&own.value)).to_lowercase()
        }
        Effect::ScheduleTimeout { kind, round, duration_ms } => {
            format!("timeout {kind:?} {round} {duration_ms}").to_lowercase()
        }
        Effect::Decide { round, hash, commit } => {
            let signers: Vec<_> = commit.signers.iter().collect();
            assert_eq!(signers.len(), commit.signatures.len());
            format!("decide {round} {} by {signers:?}", name(hash))
        }
        Effect::EquivocationSeen { first: BlockMessage::Vote(first), second: BlockMessage::Vote(second) } => {
            assert_eq!(
                (first.validator, first.step, first.round),
                (second.validator, second.step, second.round)
            );
            format!("equivocation {} {}", value(&first.value), value(&second.value))
        }
        Effect::EquivocationSeen {
            first: BlockMessage::Proposal(first),
            second: BlockMessage::Proposal(second),
        } => {
            assert_eq!((first.validator, first.round), (second.validator, second.round));
            format!("equivocation {} {}", name(&first.block.header.hash()), name(&second.block.header.hash()))
        }
        Effect::EquivocationSeen { .. } => panic!("a vote and a proposal don't contradict each other"),
    };
    effects.iter().map(word).collect()
}

/// Blocks that the tables name: `a` and `b` of round 0, `c` of round 1.
pub(super) struct Blocks {
    pub(super) a: BlockBlueprint,
    pub(super) b: BlockBlueprint,
    pub(super) c: BlockBlueprint,
}

impl Blocks {
    pub(super) fn new() -> Self {
        Self { a: block(0, 4, 1), b: block(0, 4, 2), c: block(1, 4, 3) }
    }

    pub(super) fn names(&self) -> [(&'static str, BlockHash); 3] {
        [("a", hash_of(&self.a)), ("b", hash_of(&self.b)), ("c", hash_of(&self.c))]
    }
}

pub(super) fn run(machine: &mut Machine, desc: &str, steps: Vec<(Input, Vec<&'static str>)>) {
    let names = Blocks::new().names();
    for (index, (input, expected)) in steps.into_iter().enumerate() {
        let shown = format!("{input:?}").chars().take(120).collect::<String>();
        let effects = machine.step(input);
        machine.check_invariants();
        assert_eq!(words(&effects, &names), expected, "{desc}: step {index}: {shown}");
    }
}

/// Runs a new machine through a table of inputs, each with the effects that it must have.
pub(super) fn check(desc: &str, me: Option<usize>, steps: Vec<(Input, Vec<&'static str>)>) {
    run(&mut Machine::new(context(me)), desc, steps);
}
