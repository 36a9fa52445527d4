//! One honest node of the finality model: the real machine, and what the executor does around it.
//!
//! Restated from `src/consensus`, and nothing else: votes go into the journal, in order, before they leave and
//! before they count here; what is journaled with them; closing is journaled behind them and before any prevote at a
//! closing height; a block gets a first prevote by rules 4 and 5; a restart hands the journal to a new machine, and only
//! then, or once it has listened for a copy of its key, does the node sign, in epochs that the journal knows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use timed::protocol::finality::{ChainView, Effect, Input, JournaledVotes, Machine};
use timed::types::{Epoch, FinalityVote, MasternodeId, Released, TxId, VoteBatch, VoteKind, VoteSource};

use super::happening::{CODES, Happening, KINDS};
use super::ledger::{Chain, Ledger, LedgerPlan, ROOT, Tx, operator};
use crate::checker::{BYZANTINE, Code, Local};
use crate::heard::heard;
use crate::text::{fields, rewritten};

/// A rule that is left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutation {
    /// Rule 5: a block that ends the epoch gets a prevote though a promise is not in the chain.
    PromisesUnchecked,
    /// Rule 4: a block gets a prevote though its transactions are not certified.
    CertificatesUnchecked,
    /// Rule 5: the machine is not told that the epoch closes before the node prevotes.
    ClosingNotEntered,
    /// Rule 1: locks don't survive a restart.
    LocksForgotten,
    /// Rule 2: promises don't survive a restart.
    PromisesForgotten,
    /// Rule 5: that closing was entered does not survive a restart.
    ClosingForgotten,
    /// Rule 5: a node that starts at a closing height prevotes there without the record that it is closing.
    ClosingUnrecorded,
    /// A node that lost its chain votes in epochs that its journal was pruned of.
    PrunedEpochsVoted,
    /// A vote leaves before it is durable.
    SentBeforeDurable,
    /// Votes of the epoch before count.
    OldVotesCount,
    /// Rule 1: outputs of a transaction that is neither final nor in the chain can be spent.
    UnconfirmedParents,
    /// The Byzantine one weighs 4 of 7, so that a quorum takes one honest node instead of two.
    SmallQuorum,
}

/// How votes are delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// One vote of one validator at a time.
    EachVote,
    /// All that was sent for one transaction at once, if it makes a quorum.
    Together,
}

#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub delivery: Delivery,
    /// Votes wait in a queue for the disk, instead of being durable at once.
    pub slow_disk: bool,
    pub restarts: bool,
    /// Restarts may find the chain's data gone, the journal never.
    pub wipes: bool,
    /// After a restart a node takes part without a vote until it has listened for a copy of its key.
    pub listens: bool,
    pub mutation: Option<Mutation>,
}

impl Rules {
    pub fn lacks(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

pub struct Context {
    pub ledger: Ledger,
    pub rules: Rules,
    members: [MasternodeId; 4],
    batches: BTreeMap<(Epoch, u8, VoteKind, Tx), Released<VoteBatch>>,
}

impl Context {
    pub fn new(plan: LedgerPlan, rules: Rules) -> Self {
        let ledger = Ledger::new(plan, if rules.lacks(Mutation::SmallQuorum) { 4 } else { 1 });
        let root = &ledger.get(ROOT).state;
        let chain_id = *root.chain_id();
        let member = |place: u8| {
            let key = operator(place).public();
            root.validators().find_key(&key).expect("a member").1.id
        };
        let members = [0, 1, 2, 3].map(member);
        let mut batches = BTreeMap::new();
        for epoch in 0..=plan.epochs {
            for (voter, validator) in (0..).zip(members) {
                for kind in KINDS {
                    for (tx, transaction) in (0..).zip(&ledger.transactions) {
                        let vote = FinalityVote { kind, txid: transaction.txid() };
                        let secret = operator(voter);
                        let batch = VoteBatch::signed(&chain_id, epoch, validator, 0, vec![vote], &secret);
                        batches.insert((epoch, voter, kind, tx), heard(&batch));
                    }
                }
            }
        }
        Self { ledger, rules, members, batches }
    }

    fn voter_of(&self, id: &MasternodeId) -> u8 {
        self.members.iter().position(|member| member == id).expect("a member") as u8
    }
}

/// The bit of a vote in [`Summary::said`].
pub fn vote_bit(epoch: Epoch, kind: VoteKind, tx: Tx) -> u32 {
    let kind = u32::from(kind == VoteKind::Final);
    1 << (epoch as u32 * 6 + kind * 3 + u32::from(tx))
}

/// A write on its way to the journal.
#[derive(Clone, Debug)]
enum Record {
    /// A vote with its body and the votes behind it.
    Vote {
        epoch: Epoch,
        kind: VoteKind,
        tx: Tx,
        behind: BTreeSet<(u8, VoteKind, Tx)>,
    },
    Closing(Epoch),
    Prevote(Chain),
    EpochStarted(Epoch),
}

/// What is durable of this node's words, and of those behind them.
#[derive(Clone, Default, Debug)]
struct Journal {
    own: BTreeSet<(Epoch, VoteKind, Tx)>,
    others: BTreeSet<(Epoch, u8, VoteKind, Tx)>,
    bodies: BTreeSet<Tx>,
    closing: BTreeSet<Epoch>,
    /// The last prevote, while it can still be counted.
    prevote: Option<Chain>,
    /// Epochs with a prevote at a closing height.
    prevoted_closing: BTreeSet<Epoch>,
    started: Epoch,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub chain: Chain,
    pub machine: Machine,
    is_listening: bool,
    journal: Journal,
    queue: VecDeque<Record>,
    /// All votes that others can have of this node, ever.
    said: u32,
    /// All transactions that it called final, ever, by epoch: the bits of `Final` votes.
    called_final: u32,
    /// A rule of its own that it broke.
    broken: Option<&'static str>,
}

#[derive(Clone, Copy)]
pub struct Summary {
    pub chain: Chain,
    pub epoch: Epoch,
    pub said: u32,
    pub called_final: u32,
    /// Transactions that are certified in its view now.
    pub certified: u8,
    pub prevote: Option<Chain>,
    /// What the coin is locked to.
    pub locked: Option<Tx>,
    pub closing: bool,
    pub broken: Option<&'static str>,
}

impl Node {
    pub fn first(context: &Context) -> Self {
        let state = &context.ledger.get(ROOT).state;
        let mut node = Self {
            chain: ROOT,
            machine: Machine::new(None, state, JournaledVotes::default(), BTreeSet::new()),
            is_listening: false,
            journal: Journal::default(),
            queue: VecDeque::new(),
            said: 0,
            called_final: 0,
            broken: None,
        };
        node.set_signer(context);
        node
    }

    fn feed(&mut self, context: &Context, input: Input) {
        let entry = context.ledger.get(self.chain);
        let mut state = &entry.state;
        let mut utxos = &entry.utxos;
        let with_parents;
        if context.rules.lacks(Mutation::ClosingNotEntered) && state.is_closing() {
            state = &context.ledger.get(entry.parent).state;
        }
        if context.rules.lacks(Mutation::UnconfirmedParents) {
            let mut all = entry.utxos.clone();
            for transaction in &context.ledger.transactions {
                for (outpoint, output) in transaction.transaction().created(transaction.txid()) {
                    let output = *output;
                    all.insert(outpoint, timed::types::UtxoEntry { output, height: 1 });
                }
            }
            with_parents = all;
            utxos = &with_parents;
        }
        let effects = self.machine.step(&ChainView { state, utxos }, input);
        if let Err(problem) = self.machine.check_invariants() {
            println!("{problem}");
            self.broken = Some("the machine's own invariants");
        }
        self.execute(context, effects);
    }

    fn execute(&mut self, context: &Context, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::CastVote { vote, sources, .. } => self.cast(context, vote, &sources),
                Effect::EnterClosing => self.enter_closing(self.machine.epoch()),
                Effect::Finalized(transaction) => {
                    let tx = context.ledger.place_of(&transaction.txid());
                    self.called_final |= vote_bit(self.machine.epoch(), VoteKind::Final, tx);
                }
                Effect::LoadBody(txid) => self.load_body(context, &txid),
                Effect::CarryOver => self.feed(context, Input::CarriedOver),
                Effect::ContradictionSeen { member, .. } => {
                    let member = self.machine.validators().get(member).expect("a member");
                    if context.voter_of(&member.id) != BYZANTINE {
                        self.broken = Some("I10: a contradiction of an honest node is reported");
                    }
                }
                Effect::InputsLocked(_)
                | Effect::Certified(_)
                | Effect::Conflicting { .. }
                | Effect::WaitingForInputs(_)
                | Effect::BadCopy { .. }
                | Effect::Dropped { .. } => {}
            }
        }
    }

    fn cast(&mut self, context: &Context, vote: FinalityVote, sources: &[VoteSource]) {
        let epoch = self.machine.epoch();
        let (kind, tx) = (vote.kind, context.ledger.place_of(&vote.txid));
        let named = |id: &MasternodeId, vote: &FinalityVote| {
            (context.voter_of(id), vote.kind, context.ledger.place_of(&vote.txid))
        };
        let mut behind = BTreeSet::new();
        for source in sources {
            match source {
                VoteSource::Batch(batch, _) => {
                    behind.extend(batch.votes.iter().map(|vote| named(&batch.header.validator, vote)));
                }
                VoteSource::Certificate(certificate, _) => {
                    let votes = certificate.votes.iter();
                    behind.extend(votes.map(|vote| named(&vote.header.validator, &certificate.vote)));
                }
            }
        }
        if self.journal.prevoted_closing.contains(&epoch) && !self.journal.own.contains(&(epoch, kind, tx)) {
            self.broken = Some("rule 5: a new vote after a journaled prevote at a closing height");
        }
        if context.rules.lacks(Mutation::SentBeforeDurable) {
            self.said |= vote_bit(epoch, kind, tx);
        }
        self.queue.push_back(Record::Vote { epoch, kind, tx, behind });
    }

    /// The oldest write becomes durable; what depends on it leaves, and counts here.
    fn persist(&mut self, context: &Context) {
        match self.queue.pop_front() {
            Some(Record::Vote { epoch, kind, tx, behind }) => {
                self.journal.bodies.insert(tx);
                self.journal
                    .others
                    .extend(behind.into_iter().map(|(voter, kind, tx)| (epoch, voter, kind, tx)));
                self.journal.own.insert((epoch, kind, tx));
                self.said |= vote_bit(epoch, kind, tx);
                if epoch == self.machine.epoch() {
                    self.receive(context, 0, kind, tx);
                }
            }
            Some(Record::Closing(epoch)) => {
                self.journal.closing.insert(epoch);
            }
            Some(Record::Prevote(chain)) => {
                let entry = context.ledger.get(chain);
                self.journal.prevote = Some(chain);
                if entry.closing {
                    self.journal.prevoted_closing.insert(entry.epoch);
                }
            }
            Some(Record::EpochStarted(epoch)) => {
                let journal = &mut self.journal;
                journal.started = epoch;
                journal.own.retain(|(of, ..)| *of >= epoch);
                journal.others.retain(|(of, ..)| *of >= epoch);
                journal.closing.retain(|of| *of >= epoch);
                journal.prevoted_closing.retain(|of| *of >= epoch);
                journal.prevote = journal.prevote.filter(|chain| context.ledger.get(*chain).epoch >= epoch);
                let votes = &journal.own;
                journal.bodies.retain(|tx| votes.iter().any(|(.., of)| of == tx));
            }
            None => {}
        }
    }

    fn persist_all(&mut self, context: &Context) {
        while !self.queue.is_empty() {
            self.persist(context);
        }
    }

    fn receive(&mut self, context: &Context, voter: u8, kind: VoteKind, tx: Tx) {
        let batch = &context.batches[&(self.machine.epoch(), voter, kind, tx)];
        self.feed(context, Input::BatchReceived(batch.clone()));
    }

    fn has_quorum(&self, context: &Context, kind: VoteKind, tx: Tx) -> bool {
        let txid = context.ledger.transaction(tx).txid();
        match kind {
            VoteKind::Lock => self.machine.is_certified(&txid),
            VoteKind::Final => self.machine.is_final(&txid),
        }
    }

    /// A start with what the journal holds: machines know all of it before anything is signed.
    fn restart(&mut self, context: &Context, chain: Chain) {
        let rules = &context.rules;
        self.queue.clear();
        self.chain = chain;
        self.is_listening = rules.listens;
        let entry = context.ledger.get(chain);
        self.machine = Machine::new(None, &entry.state, self.journaled(context), entry.settled.clone());
        if entry.state.is_closing() && !rules.lacks(Mutation::ClosingUnrecorded) {
            self.enter_closing(self.machine.epoch());
        }
        // With a lock its body is forgotten; the body would be locked again.
        let promised =
            |tx: &&Tx| self.journal.own.iter().any(|(_, kind, of)| *kind == VoteKind::Final && of == *tx);
        let bodies =
            self.journal.bodies.iter().filter(|tx| !rules.lacks(Mutation::LocksForgotten) || promised(tx));
        let mut bodies: Vec<_> = bodies.map(|tx| context.ledger.transaction(*tx)).collect();
        bodies.sort_by_key(|transaction| transaction.txid());
        for transaction in
            bodies.into_iter().filter(|transaction| !entry.settled.contains(&transaction.txid()))
        {
            self.feed(context, Input::BodyLoaded(transaction.clone()));
        }
        self.replay_votes(context);
        self.set_signer(context);
    }

    /// What a new machine is told of the journal.
    fn journaled(&self, context: &Context) -> JournaledVotes {
        let rules = &context.rules;
        let mut journaled =
            JournaledVotes { forgotten_before: self.signs_from(context), epochs: BTreeMap::new() };
        for (epoch, kind, tx) in &self.journal.own {
            let forgotten = match kind {
                VoteKind::Lock => rules.lacks(Mutation::LocksForgotten),
                VoteKind::Final => rules.lacks(Mutation::PromisesForgotten),
            };
            if !forgotten {
                let transaction = context.ledger.transaction(*tx);
                let vote = FinalityVote { kind: *kind, txid: transaction.txid() };
                let votes = &mut journaled.epochs.entry(*epoch).or_default().votes;
                votes.push((vote, transaction.inputs().to_vec()));
            }
        }
        if !rules.lacks(Mutation::ClosingForgotten) {
            for epoch in &self.journal.closing {
                journaled.epochs.entry(*epoch).or_default().closing = true;
            }
        }
        journaled
    }

    /// Votes of the current epoch that the journal holds count again.
    fn replay_votes(&mut self, context: &Context) {
        let epoch = self.machine.epoch();
        let own = self.journal.own.iter().map(|(of, kind, tx)| (*of, 0, *kind, *tx));
        let others = self.journal.others.iter().copied();
        let votes: Vec<_> = own.chain(others).filter(|(of, ..)| *of == epoch).collect();
        for (_, voter, kind, tx) in votes {
            self.receive(context, voter, kind, tx);
        }
    }

    fn load_body(&mut self, context: &Context, txid: &TxId) {
        let tx = context.ledger.place_of(txid);
        if self.journal.bodies.contains(&tx) {
            let transaction = context.ledger.transaction(tx).clone();
            self.feed(context, Input::BodyLoaded(transaction));
        }
    }

    /// The first epoch of which the journal has forgotten nothing.
    fn signs_from(&self, context: &Context) -> Epoch {
        if context.rules.lacks(Mutation::PrunedEpochsVoted) {
            return 0;
        }
        let queued = self.queue.iter().filter_map(|record| match record {
            Record::EpochStarted(epoch) => Some(*epoch),
            _ => None,
        });
        queued.fold(self.journal.started, Epoch::max)
    }

    fn is_signing(&self, context: &Context) -> bool {
        !self.is_listening && self.machine.epoch() >= self.signs_from(context)
    }

    fn set_signer(&mut self, context: &Context) {
        let key = self.is_signing(context).then(|| operator(0).public());
        self.feed(context, Input::SignerChanged(key));
    }

    /// Journals that the epoch is closing, once.
    fn enter_closing(&mut self, epoch: Epoch) {
        let is_queued = self.queue.iter().any(|record| matches!(record, Record::Closing(of) if *of == epoch));
        if !is_queued && !self.journal.closing.contains(&epoch) {
            self.queue.push_back(Record::Closing(epoch));
        }
    }

    /// Rules 4 and 5 for a first prevote.
    fn may_prevote(&self, context: &Context, block: Chain) -> bool {
        let (ledger, rules) = (&context.ledger, &context.rules);
        let entry = ledger.get(block);
        if !self.is_signing(context) {
            return false;
        }
        let mut transactions = entry.in_order.iter().map(|tx| ledger.transaction(*tx).txid());
        let certified = transactions.all(|txid| {
            self.machine.transaction(&txid).is_some()
                && (self.machine.is_certified(&txid) || rules.lacks(Mutation::CertificatesUnchecked))
        });
        let mut promises = self.machine.promises().iter().map(|txid| ledger.place_of(txid));
        let kept = !entry.epoch_end
            || promises.all(|tx| entry.block & 1 << tx != 0)
            || rules.lacks(Mutation::PromisesUnchecked);
        certified && kept
    }

    fn apply(&mut self, context: &Context, block: Chain) {
        let ledger = &context.ledger;
        let entry = ledger.get(block);
        self.chain = block;
        let next_epoch = entry.state.next_epoch();
        // Else the journal was there before, with a chain that was lost since.
        if entry.epoch_end && next_epoch > self.signs_from(context) {
            self.queue.push_back(Record::EpochStarted(next_epoch));
        }
        let transactions = entry.in_order.iter().map(|tx| ledger.transaction(*tx).clone()).collect();
        self.feed(context, Input::BlockApplied { transactions });
        if entry.epoch_end {
            self.replay_votes(context);
            for txid in self.machine.spilled() {
                self.load_body(context, &txid);
            }
            self.set_signer(context);
        }
        if self.journal.prevote.is_some_and(|voted| ledger.get(voted).length <= entry.length) {
            self.journal.prevote = None;
        }
    }

    fn happens(&mut self, context: &Context, what: Happening) -> bool {
        let children = &context.ledger.get(self.chain).children;
        match what {
            Happening::Body(tx) => {
                let transaction = context.ledger.transaction(tx).clone();
                self.feed(context, Input::TransactionReceived(transaction));
            }
            Happening::Vote { voter, kind, tx } => {
                if self.has_quorum(context, kind, tx) {
                    return false;
                }
                self.receive(context, voter, kind, tx);
            }
            Happening::Quorum { kind, tx, others } => {
                if self.has_quorum(context, kind, tx) {
                    return false;
                }
                for voter in [1, 2].into_iter().filter(|voter| others & voter != 0).chain([BYZANTINE]) {
                    self.receive(context, voter, kind, tx);
                }
                // Fewer change nothing that anybody sees; they come with those that make the quorum.
                return self.has_quorum(context, kind, tx);
            }
            Happening::Persist => {
                if self.queue.is_empty() {
                    return false;
                }
                self.persist(context);
            }
            Happening::Restart => self.restart(context, self.chain),
            Happening::Wipe => self.restart(context, ROOT),
            Happening::Sign => {
                if !self.is_listening {
                    return false;
                }
                self.is_listening = false;
                self.set_signer(context);
            }
            Happening::Prevote { child } => {
                let Some(block) = children.get(usize::from(child)).copied() else { return false };
                let queued = self.queue.iter().any(|record| matches!(record, Record::Prevote(_)));
                if queued || self.journal.prevote == Some(block) || !self.may_prevote(context, block) {
                    return false;
                }
                let entry = context.ledger.get(block);
                if entry.closing && !context.rules.lacks(Mutation::ClosingUnrecorded) {
                    self.enter_closing(entry.epoch);
                }
                self.queue.push_back(Record::Prevote(block));
            }
            Happening::Apply { child } => {
                let Some(block) = children.get(usize::from(child)).copied() else { return false };
                self.apply(context, block);
            }
        }
        true
    }
}

/// What a machine's future depends on, as a text.
///
/// When votes come one by one, all of it, with the proofs behind a tally in one order: they are counted as a set.
///
/// When they come together, without the tallies: a delivery brings every vote of its kind that was sent, with the
/// Byzantine one's, so whether it makes a quorum does not depend on what came before; what was reached stands in
/// `certified` and `is_final`; and no other vote but the own one, which is sent, is ever kept. Nor without what only
/// says whom to ask (`wanted_bodies`, `wanted_certificates`), nor counts whose bounds are thousands away
/// (`unknown_votes`).
fn machine_key(machine: &Machine, delivery: Delivery) -> String {
    let text = format!("{machine:?}");
    let together = delivery == Delivery::Together;
    let tally = |text: &str| {
        if together {
            return String::new();
        }
        rewritten(text, &["sources"], |_, proofs| {
            let mut proofs: Vec<_> = fields(proofs).into_iter().map(|(_, proof)| proof).collect();
            proofs.sort_unstable();
            proofs.concat()
        })
    };
    let entries = |text: &str| {
        let entry = |(txid, entry): (&str, &str)| {
            txid.to_owned() + &rewritten(entry, &["lock_votes", "final_votes"], |_, votes| tally(votes))
        };
        fields(text).into_iter().map(entry).collect()
    };
    // Epochs only go up, so where the journal's memory begins says no more once that epoch has come.
    let forgotten_before = |text: &str| text.parse().ok().filter(|before: &Epoch| *before > machine.epoch());
    let journaled = |text: &str| {
        rewritten(text, &["forgotten_before"], |_, text| format!("{:?}", forgotten_before(text)))
    };
    let asked = ["wanted_bodies", "wanted_certificates", "unknown_votes"];
    let names: Vec<_> =
        ["entries", "journaled"].into_iter().chain(asked.into_iter().filter(|_| together)).collect();
    rewritten(&text, &names, |name, text| match name {
        "entries" => entries(text),
        "journaled" => journaled(text),
        _ => String::new(),
    })
}

impl Local for Node {
    type Summary = Summary;
    type Context = Context;
    const CODES: usize = CODES as usize;

    fn write_key(&self, context: &Context, key: &mut String) {
        let Self { chain, machine, is_listening, journal, queue, said, called_final, broken } = self;
        key.push_str(&machine_key(machine, context.rules.delivery));
        let Journal { own, others, bodies, closing, prevote, prevoted_closing, started } = journal;
        let _ = write!(key, "{chain} {is_listening} ");
        let _ = write!(key, "{own:?} {bodies:?} {closing:?} {prevote:?} {prevoted_closing:?} {started}");
        let _ = write!(key, "{queue:?} {said} {called_final} {broken:?}");
        // A journaled `Final` vote has a quorum behind it, whoever is in that.
        if context.rules.delivery == Delivery::EachVote {
            let _ = write!(key, "{others:?}");
        }
    }

    fn summary(&self, context: &Context) -> Summary {
        let transactions = (0..).zip(&context.ledger.transactions);
        let certified = transactions.filter(|(_, tx)| self.machine.is_certified(&tx.txid()));
        Summary {
            chain: self.chain,
            epoch: self.machine.epoch(),
            said: self.said,
            called_final: self.called_final,
            certified: certified.fold(0, |bits, (tx, _)| bits | 1 << tx),
            prevote: self.journal.prevote,
            locked: self.machine.locked_to(&context.ledger.coin).map(|txid| context.ledger.place_of(&txid)),
            closing: self.machine.is_closing(),
            broken: self.broken,
        }
    }

    fn step(&self, context: &Context, code: Code) -> Option<Self> {
        let mut next = self.clone();
        if !next.happens(context, Happening::of(code)) {
            return None;
        }
        if !context.rules.slow_disk {
            next.persist_all(context);
        }
        Some(next)
    }

    fn mirrored(_: &Context, code: Code) -> Code {
        Happening::of(code).mirrored().code()
    }
}
