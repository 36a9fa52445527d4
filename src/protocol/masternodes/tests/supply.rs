//! A long chain of joins, exits, lies, absences and rewards keeps its books: `SUPPLY_BLOCKS` blocks (10,000), from
//! `SUPPLY_SEED` (1).

use std::collections::BTreeMap;

use super::*;
use crate::protocol::fixtures::{lock, new_key, operator, update_of, user};
use crate::types::{Amount, Lock, MasternodeUpdate, OutPoint, Payload, Transaction, TxOut};

/// Who owns coins and masternodes.
const OWNERS: [u8; 10] = [0, 1, 2, 3, 101, 102, 103, 104, 105, 106];
/// Operators' keys that joiners and updates take.
const KEYS: u64 = 40;

/// SplitMix64: the same numbers in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let place = self.below(u64::try_from(of.len()).unwrap().max(1));
        of.get(usize::try_from(place).unwrap()).copied()
    }

    fn key(&mut self) -> u8 {
        u8::try_from(1 + self.below(KEYS)).unwrap()
    }
}

/// What happened, so that the test shows that it tested something.
#[derive(Default, Debug)]
struct Tally {
    joined: u64,
    left: u64,
    jailed: u64,
    freed: u64,
    slashed: u64,
    rekeyed: u64,
    void: u64,
    released: u64,
    epochs: u64,
}

struct Books {
    chain: Chain,
    numbers: Numbers,
    owners: BTreeMap<Lock, u8>,
    /// Genesis and accrual, less what was burned: kept by the words of the protocol.
    due: u64,
    /// Who signs nothing in this epoch.
    silent: Vec<MasternodeId>,
    tally: Tally,
}

impl Books {
    fn new(seed: u64) -> Self {
        let mut document = document_with_funds(&[1, 1, 1, 10, 10, 1], 4);
        let parameters = &mut document.parameters;
        parameters.recent_commits = 5;
        parameters.unbonding_time_ms = 200_000;
        parameters.jail_cap = Ratio { numerator: 1, denominator: 4 };
        parameters.max_validators = 8;
        let mut chain = Chain::new(&document);
        chain.unsigned = true;
        Self {
            due: chain.state.supply().0,
            chain,
            numbers: Numbers(seed),
            owners: OWNERS.map(|owner| (lock(&user(owner)), owner)).into(),
            silent: Vec::new(),
            tally: Tally::default(),
        }
    }

    fn masternode(&mut self) -> Option<(MasternodeId, u8)> {
        let records = self.chain.state.masternodes();
        let all: Vec<_> = records.iter().map(|(id, record)| (*id, self.owners[&record.owner])).collect();
        self.numbers.pick(&all)
    }

    /// One transaction, of an owner who has not spent anything in this block yet.
    fn act(&mut self, busy: &mut Vec<u8>) -> Option<CheckedTransaction> {
        let kind = self.numbers.below(12);
        let (id, its_owner) = self.masternode()?;
        let owner = match kind {
            0..4 => its_owner,
            _ => self.numbers.pick(&OWNERS)?,
        };
        let coins = self.chain.coins(&user(owner));
        if busy.contains(&owner) || coins.first()?.1.output.value.0 < 20_000_000 {
            return None;
        }
        busy.push(owner);
        let from = (owner, 0);
        let chain = &self.chain;
        Some(match kind {
            0 => chain.exit(from, id),
            1 => chain.update(from, new_key(id, &operator(self.numbers.key()))),
            2 => {
                let payout = self.numbers.pick(&OWNERS).map(|owner| lock(&user(owner)));
                chain.update(from, MasternodeUpdate { payout, ..update_of(id) })
            }
            3 | 4 => {
                let key = chain.record(id).operator_key;
                let secret = (0..=u8::MAX).map(operator).find(|secret| secret.public() == key)?;
                chain.unjail(from, id, &secret)
            }
            5 | 6 => chain.register(from, self.numbers.key(), [1, 10][usize::from(kind == 5)]),
            7 if coins.len() > 12 => self.sweep(owner, &coins.iter().map(|coin| coin.0).collect::<Vec<_>>()),
            _ => {
                let to = lock(&user(self.numbers.pick(&OWNERS)?));
                let output = TxOut { value: Amount(1 + self.numbers.below(5_000_000)), lock: to };
                self.chain.act((&user(owner), 0), vec![output], Payload::Transfer { memo: Vec::new() })
            }
        })
    }

    /// All coins of an owner become one.
    fn sweep(&self, owner: u8, coins: &[OutPoint]) -> CheckedTransaction {
        let coins: Vec<OutPoint> = coins.iter().copied().take(200).collect();
        let value: u64 = coins.iter().map(|coin| self.chain.entry(coin).output.value.0).sum();
        let output = TxOut { value: Amount(value - 10_000), lock: lock(&user(owner)) };
        let transaction = Transaction::transfer(coins, vec![output], Vec::new());
        self.chain.check(transaction.signed(self.chain.state.chain_id(), &[&user(owner)]))
    }

    /// Evidence against one who can still be punished, of an epoch that can still be spoken of.
    fn lie(&mut self) -> Option<Arc<Evidence>> {
        let state = &self.chain.state;
        let mut acts = Vec::new();
        let past = state.past_epochs().iter().map(|past| (past.epoch, past.last_height, &past.set));
        for (epoch, height, set) in past.chain([(state.next_epoch(), state.height() + 1, state.validators())])
        {
            for member in set.members() {
                if state.registry().get(&member.id).is_some_and(|record| record.slashed.is_none()) {
                    acts.push((member.id, epoch, height));
                }
            }
        }
        let kind = self.numbers.below(4);
        let (id, epoch, height) = self.numbers.pick(&acts)?;
        Some(match kind {
            0 => self.chain.two_locks(id, epoch),
            1 => self.chain.two_votes(id, epoch, height),
            2 => self.chain.foreign_precommit(id, epoch, height),
            _ => self.chain.two_proposals(id, epoch, height),
        })
    }

    fn choose_silent(&mut self) {
        let set = Arc::clone(self.chain.state.validators());
        self.silent.clear();
        let mut left = set.total_weight();
        for member in set.members() {
            if self.numbers.below(5) == 0 && left - member.weight >= set.quorum() {
                left -= member.weight;
                self.silent.push(member.id);
            }
        }
    }

    fn block(&mut self) {
        let mut busy = Vec::new();
        let transactions: Vec<_> = (0..2).filter_map(|_| self.act(&mut busy)).collect();
        let evidence: Vec<_> =
            (self.numbers.below(12) == 0).then(|| self.lie()).flatten().into_iter().collect();
        let elapsed = if self.numbers.below(10) == 0 { 100_000 } else { 1 + self.numbers.below(18_000) };
        let epoch_end = self.chain.state.is_closing();
        let before = self.chain.state.clone();
        let silent = std::mem::take(&mut self.silent);
        let (_, outcome) = self.chain.advance_with(elapsed, epoch_end, &transactions, &evidence, &silent);
        self.silent = silent;

        let parameters = before.parameters();
        let (reward, interval) = (parameters.block_reward.0, parameters.block_interval_ms);
        self.due += reward * elapsed.min(10 * interval) / interval;
        // A twentieth, rounded down, of what its record said before.
        let burned = |id: &MasternodeId| before.masternodes()[id].collateral_amount.0 / 20;
        self.due -= evidence.iter().map(|piece| burned(&piece.validator())).sum::<u64>();
        let state = &self.chain.state;
        let books = state.supply().0 + state.fees().0 + state.reward_accrued().0;
        assert_eq!(books, self.due, "block {}", state.height());
        self.count(&outcome, &transactions);
        if epoch_end {
            self.chain.hold_invariants();
            let after = &self.chain.state;
            assert_eq!((after.fees(), after.reward_accrued()), (Amount::ZERO, Amount::ZERO));
            let jailed = |s: &crate::protocol::state::LedgerState| {
                s.masternodes().values().filter(|record| record.jail.is_some()).count()
            };
            self.tally.jailed += u64::from(jailed(after) > jailed(&before));
            self.tally.released += u64::from(after.masternodes().len() < before.masternodes().len());
            self.tally.epochs += 1;
            self.choose_silent();
        }
    }

    fn count(&mut self, outcome: &BlockOutcome, transactions: &[CheckedTransaction]) {
        self.tally.slashed += u64::try_from(outcome.slashed.len()).unwrap();
        for receipt in &outcome.receipts {
            let transaction =
                transactions.iter().find(|transaction| transaction.txid() == receipt.txid).unwrap();
            let slot = match (receipt.effect, &transaction.transaction().payload) {
                (Err(_), _) => &mut self.tally.void,
                (Ok(_), Payload::MasternodeRegister(_)) => &mut self.tally.joined,
                (Ok(_), Payload::MasternodeExit { .. }) => &mut self.tally.left,
                (Ok(_), Payload::MasternodeUpdate(update)) if update.unjail.is_some() => {
                    &mut self.tally.freed
                }
                (Ok(_), _) => &mut self.tally.rekeyed,
            };
            *slot += 1;
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn supply_and_digest_are_exact_over_thousands_of_blocks() {
    let (blocks, seed) = (number("SUPPLY_BLOCKS", 10_000), number("SUPPLY_SEED", 1));
    let mut books = Books::new(seed);
    (0..blocks).for_each(|_| books.block());
    books.chain.hold_invariants();
    let Tally { joined, left, jailed, freed, slashed, rekeyed, void, released, epochs } = books.tally;
    println!("{:?}", books.tally);
    if blocks >= 1_000 {
        let least = blocks / 1_000;
        let all = [joined, left, jailed, freed, slashed, rekeyed, void, released, epochs];
        assert!(all.iter().all(|count| *count >= least), "{:?}", books.tally);
    }
}
