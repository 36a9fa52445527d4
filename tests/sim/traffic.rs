//! What payments cost a validator of a large network in bytes and in votes: payments enter at all validators, which are
//! connected to each other, as masternodes are.
//!
//! `SIM_TRAFFIC=4,20,100 cargo test --test sim traffic -- --nocapture` runs these sizes at 2,000 and at 10,000 payments a
//! second and prints what each gives. What it shows is weighed in `protocol/finality/mod.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use timed::network::MessageKind;
use timed::types::codec::encode;
use timed::types::{Message, TxId};

use crate::plan::Plan;
use crate::random::Random;
use crate::world::World;

/// Payments go on for so long; longer shows the same.
const LOAD_MS: u64 = 200;
/// All of them are final after this at the latest.
const FINAL_WITHIN_MS: u64 = 5_000;

/// What arrived at all nodes, of one kind.
#[derive(Default)]
struct Arrived {
    messages: u64,
    bytes: u64,
    /// Of these, copies of what had arrived before.
    again_bytes: u64,
}

/// What arrived at all nodes.
#[derive(Default)]
pub struct Traffic {
    kinds: BTreeMap<&'static str, Arrived>,
    votes: u64,
    known: BTreeSet<(usize, [u8; 32])>,
    /// Real time of the thread in consensus, for batches of votes.
    counting: Duration,
}

impl Traffic {
    /// A message reaches a node.
    pub fn arrives(&mut self, to: usize, message: &Message) {
        // A length and a name of the kind are before each message; frames add some more.
        let encoded = encode(message);
        let arrived = self.kinds.entry(MessageKind::of(message).name()).or_default();
        let bytes = encoded.len() as u64;
        arrived.messages += 1;
        arrived.bytes += bytes;
        if !self.known.insert((to, *blake3::hash(&encoded).as_bytes())) {
            arrived.again_bytes += bytes;
        } else if let Message::VoteBatch(batch) = message {
            self.votes += batch.votes.len() as u64;
        }
    }

    /// Consensus has handled a batch of votes since then.
    pub fn counted(&mut self, since: Instant) {
        self.counting += since.elapsed();
    }

    fn of(&self, kind: MessageKind) -> &Arrived {
        self.kinds.get(kind.name()).expect("some arrived")
    }
}

struct Figures {
    validators: u64,
    rate: u64,
    payments: u64,
    traffic: Traffic,
}

impl Figures {
    /// Of a payment and validator, in hundredths.
    const fn share(&self, total: u64) -> u64 {
        100 * total / (self.payments * self.validators)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = |total| {
            let share = self.share(total);
            format!("{}.{:02}", share / 100, share % 100)
        };
        let Traffic { kinds, votes, .. } = &self.traffic;
        let batches = self.traffic.of(MessageKind::VoteBatch).messages;
        writeln!(f, "{} validators, {} payments a second; for each a validator", self.validators, self.rate)?;
        writeln!(
            f,
            "  checks {} batches, of {} votes each, and counts them in {} us",
            hundredths(batches),
            votes / batches,
            hundredths(self.traffic.counting.as_nanos() as u64 / 1_000)
        )?;
        let bytes: u64 = kinds.values().map(|arrived| arrived.bytes).sum();
        writeln!(f, "  receives {} bytes:", self.share(bytes) / 100)?;
        for (kind, arrived) in kinds.iter().filter(|(_, arrived)| self.share(arrived.bytes) >= 100) {
            let (all, again) = (self.share(arrived.bytes) / 100, self.share(arrived.again_bytes) / 100);
            writeln!(f, "    {kind} {all}, of these {again} again")?;
        }
        Ok(())
    }
}

fn run(validators: usize, rate: u64) -> Figures {
    let mut random = Random::new(validators as u64);
    let payments = rate * LOAD_MS / 1_000;
    let mut world =
        World::with_plan(Plan::crowded(validators, payments as usize), Random::new(random.next()));
    while world.oracle.height < 1 {
        world.step();
    }
    world.traffic = Some(Traffic::default());
    let began_ms = world.now_ms;
    let mut paid: BTreeSet<TxId> = BTreeSet::new();
    while (paid.len() as u64) < payments {
        let due = rate * (world.now_ms - began_ms) / 1_000;
        while (paid.len() as u64) < due.min(payments) {
            let payment = world.workload.next_plain(world.now_ms).expect("coins for all payments");
            paid.insert(payment.txid());
            world.submit_soon(payment);
        }
        world.step();
    }
    world.run_until("all payments final", FINAL_WITHIN_MS, |world| {
        paid.iter().all(|txid| world.oracle.is_final(txid))
    });
    let traffic = world.traffic.take().expect("it was counted");
    Figures { validators: validators as u64, rate, payments, traffic }
}

fn sizes() -> Vec<usize> {
    let text = std::env::var("SIM_TRAFFIC").unwrap_or_else(|_| "4".to_owned());
    text.split(',').map(|size| size.trim().parse().expect("a number of validators")).collect()
}

/// Two votes of each validator, once, and no more than a tenth of them again.
#[test]
fn traffic_of_votes_is_two_of_each_validator_for_a_payment() {
    for validators in sizes() {
        for rate in [2_000, 10_000] {
            let figures = run(validators, rate);
            println!("{figures}");
            let (votes, batches) = (figures.traffic.votes, figures.traffic.of(MessageKind::VoteBatch));
            // Its own votes come over no wire.
            let expected = 2 * (figures.validators - 1) * figures.validators * figures.payments;
            assert!(
                votes.abs_diff(expected) <= expected / 10,
                "{votes} votes instead of {expected}: {figures}"
            );
            assert!(batches.again_bytes <= batches.bytes / 10, "votes come again and again: {figures}");
        }
    }
}
