//! How much a node lets in: a window on what its users have submitted and what is not final yet.
//!
//! # Place
//! Part of admission; the handle asks it at the door, before anything is queued. What is turned away is told `busy` and a
//! time to try again; what is let in is final soon.
//!
//! # The rule
//! Additive increase, multiplicative decrease, as TCP does it (Chiu and Jain 1989; RFC 5681), with the time to finality
//! as the signal instead of losses: nothing that was let in is ever dropped. While the median of the last samples is
//! within [`DELAY_TARGET_MS`] and the window is in use it grows by [`INCREASE`] with each window that becomes final; above
//! it the window shrinks to nine tenths, at most once in two delays. Nodes that share a network see the same delays, so the
//! pause between two decreases differs by node: they do not halve together.
//!
//! # What is behind the payments
//! Payments become final before blocks and index have them. If these can't keep up, as with payments of a thousand outputs,
//! what they lack is kept in memory, and blocks wait at a bound. So long before that bound the window closes by as much as
//! they lag: fully at half of the bound.
//!
//! # Who pays for what is slow
//! What left the window is charged to the coins that it spends and not to a submitter's name. A name is an address or a
//! credential, both of which a shop shares among all of its customers, and loopback is everybody. A coin is scarce: at most
//! [`IMPROVEMENTS_MAX`](super::contests::IMPROVEMENTS_MAX) rivals of one go on in an epoch, and of two rivals none has a
//! place in the pool (INV-CONTEST-1, INV-MIRROR-2).
//!
//! # Invariants
//! - INV-LOAD-1: what has a known rival, waits for a parent, or is not final after [`STALE_MS`] neither fills the window
//!   nor is a sample: a double spender closes no door. But when nothing at all becomes final, that counts.
//! - INV-LOAD-3: nobody is let in while the index lags by half of what memory may hold for it.
//! - INV-LOAD-2: the window stays within [`WINDOW_MIN`] and [`WINDOW_MAX`], so what is remembered is bounded.
//!
//! # Units
//! Milliseconds of the caller's monotonic clock. The window is counted in thousandths of a transaction.

use std::collections::{HashMap, VecDeque};

use ahash::RandomState;

use crate::types::TxId;

/// The window at the start, in transactions.
pub const WINDOW_START: usize = 512;
/// The least window.
pub const WINDOW_MIN: usize = 16;
/// The largest window.
pub const WINDOW_MAX: usize = 16_384;
/// The median time to finality up to which the window grows, in milliseconds.
pub const DELAY_TARGET_MS: u64 = 200;
/// What waited longer than this for admission's thread counts as a delay above the target, in milliseconds.
pub const QUEUE_AGE_MAX_MS: u64 = 100;
/// After this time a transaction leaves the window, final or not, in milliseconds.
pub const STALE_MS: u64 = 1_000;
/// By how many transactions the window grows with each window that becomes final.
pub const INCREASE: u64 = 16;
/// Names in the order of their times, at most.
const ORDER_MAX: usize = 2 * WINDOW_MAX;
/// Samples that the median is taken of.
const SAMPLES: usize = 63;
/// So many that are not final in time, without one that is, say that nothing becomes final.
const STALE_ALARM: usize = 16;
/// The times to try again that are given, in milliseconds.
const RETRY_MIN_MS: u64 = 50;
const RETRY_MAX_MS: u64 = 2_000;
/// Memory of a transaction in the window, in bytes.
pub(super) const FLYING_BYTES: usize = 160;

/// The window of one node.
#[derive(Debug)]
pub struct LoadWindow {
    window_milli: u64,
    /// Let in, and not answered yet.
    entering: usize,
    /// Taken, and not final yet, with the time.
    flying: HashMap<TxId, u64, RandomState>,
    /// In the order of their times; those that have left stand here a little longer.
    order: VecDeque<(u64, TxId)>,
    samples: VecDeque<u64>,
    decreased_ms: u64,
    last_final_ms: u64,
    stale: usize,
    /// Thousandths of the window that are closed, since the index lags.
    closed_milli: u64,
    /// 0 to 255, by the node's identity.
    jitter: u8,
}

impl LoadWindow {
    /// A window at its start; `jitter` differs from node to node.
    #[must_use]
    pub fn new(jitter: u8) -> Self {
        Self {
            window_milli: milli(WINDOW_START),
            entering: 0,
            flying: HashMap::with_hasher(RandomState::new()),
            order: VecDeque::new(),
            samples: VecDeque::with_capacity(SAMPLES),
            decreased_ms: 0,
            last_final_ms: 0,
            stale: 0,
            closed_milli: 0,
            jitter,
        }
    }

    /// Lets one more in.
    ///
    /// # Errors
    /// When to try again, in milliseconds: the window is full.
    pub fn enter(&mut self, now_ms: u64) -> Result<(), u64> {
        self.forget_stale(now_ms);
        let open_milli =
            self.window_milli.saturating_mul(1_000_u64.saturating_sub(self.closed_milli)) / 1_000;
        if milli(self.used()) >= open_milli {
            return Err(if open_milli == 0 { RETRY_MAX_MS } else { self.retry_after_ms() });
        }
        self.entering = self.entering.saturating_add(1);
        Ok(())
    }

    /// What was let in was answered.
    pub fn answered(&mut self) {
        self.entering = self.entering.saturating_sub(1);
    }

    /// What was let in was taken: it flies until it is final.
    pub fn taken(&mut self, txid: TxId, now_ms: u64) {
        if self.flying.len() < WINDOW_MAX && self.flying.insert(txid, now_ms).is_none() {
            self.order.push_back((now_ms, txid));
        }
        // One slow transaction must not keep the names of all that were faster.
        while self.order.len() > ORDER_MAX {
            if let Some((_, oldest)) = self.order.pop_front() {
                self.flying.remove(&oldest);
            }
        }
    }

    /// It is final.
    pub fn settled(&mut self, txid: &TxId, now_ms: u64) {
        let Some(since_ms) = self.flying.remove(txid) else { return };
        (self.last_final_ms, self.stale) = (now_ms, 0);
        let is_in_use = milli(self.used()).saturating_mul(4) >= self.window_milli.saturating_mul(3);
        if self.samples.len() >= SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(now_ms.saturating_sub(since_ms));
        if self.median_ms() > DELAY_TARGET_MS {
            self.decrease(now_ms);
        } else if is_in_use {
            let step = INCREASE.saturating_mul(1_000_000).div_euclid(self.window_milli.max(1));
            self.window_milli = self.window_milli.saturating_add(step).min(milli(WINDOW_MAX));
        }
    }

    /// It has a rival, or was dropped: it says nothing about load.
    pub fn left(&mut self, txid: &TxId) {
        self.flying.remove(txid);
    }

    /// One that was just taken from the queue has waited there for so long.
    pub fn queued_for(&mut self, age_ms: u64, now_ms: u64) {
        if age_ms > QUEUE_AGE_MAX_MS {
            self.decrease(now_ms);
        }
    }

    /// The index lags by so many of the bytes that memory may hold for it.
    pub fn lags(&mut self, bytes: usize, bytes_max: usize) {
        let quarter = bytes_max / 4;
        let beyond = u64::try_from(bytes.saturating_sub(quarter)).unwrap_or(u64::MAX);
        let quarter = u64::try_from(quarter).unwrap_or(u64::MAX).max(1);
        self.closed_milli = (beyond.saturating_mul(1_000) / quarter).min(1_000);
    }

    fn decrease(&mut self, now_ms: u64) {
        // The pause is of the delay that is aimed at, at most: what is far too slow is not left so for seconds.
        let pause_ms = self.median_ms().clamp(RETRY_MIN_MS, DELAY_TARGET_MS).saturating_mul(2);
        let jittered_ms = pause_ms.saturating_add(pause_ms.saturating_mul(u64::from(self.jitter)) >> 10);
        if now_ms.saturating_sub(self.decreased_ms) < jittered_ms {
            return;
        }
        self.decreased_ms = now_ms;
        self.window_milli = (self.window_milli.saturating_mul(9) / 10).max(milli(WINDOW_MIN));
    }

    fn forget_stale(&mut self, now_ms: u64) {
        while let Some((since_ms, txid)) = self.order.front().copied() {
            let is_gone = self.flying.get(&txid) != Some(&since_ms);
            if !is_gone && now_ms.saturating_sub(since_ms) < STALE_MS {
                break;
            }
            self.order.pop_front();
            if !is_gone {
                self.flying.remove(&txid);
                self.stale = self.stale.saturating_add(1);
            }
        }
        let nothing_final = now_ms.saturating_sub(self.last_final_ms) >= STALE_MS;
        if self.stale >= STALE_ALARM && nothing_final {
            self.stale = 0;
            self.decrease(now_ms);
        }
    }

    /// The median of the last samples; nothing is slow as long as nothing was measured.
    #[must_use]
    pub fn median_ms(&self) -> u64 {
        let mut sorted: Vec<u64> = self.samples.iter().copied().collect();
        let middle = sorted.len() / 2;
        if sorted.is_empty() { 0 } else { *sorted.select_nth_unstable(middle).1 }
    }

    fn retry_after_ms(&self) -> u64 {
        let base_ms = self.median_ms().clamp(RETRY_MIN_MS, RETRY_MAX_MS);
        base_ms.saturating_add(base_ms.saturating_mul(u64::from(self.jitter)) >> 9).min(RETRY_MAX_MS)
    }

    fn used(&self) -> usize {
        self.entering.saturating_add(self.flying.len())
    }

    /// The window, and how much of it is used, in transactions.
    #[must_use]
    pub fn usage(&self) -> (usize, usize) {
        (usize::try_from(self.window_milli / 1_000).unwrap_or(usize::MAX), self.used())
    }
}

fn milli(transactions: usize) -> u64 {
    u64::try_from(transactions).unwrap_or(u64::MAX).saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn txid(number: u64) -> TxId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        TxId(bytes)
    }

    /// Users who always want in, before a network that makes `per_ms` transactions final a millisecond, in their order,
    /// and never sooner than `least_ms`. Gives the window, what became final, and the longest delay of the second half.
    struct Network {
        window: LoadWindow,
        waiting: VecDeque<(u64, TxId)>,
        next: u64,
        now_ms: u64,
    }

    impl Network {
        fn new() -> Self {
            let window = LoadWindow::new(7);
            Self { window, waiting: VecDeque::new(), next: 0, now_ms: 10_000 }
        }

        fn run(&mut self, for_ms: u64, per_ms: u64, least_ms: u64) -> (u64, u64) {
            let (mut made, mut worst_ms) = (0, 0);
            for step in 0..for_ms {
                self.now_ms += 1;
                for _ in 0..64 {
                    if self.window.enter(self.now_ms).is_err() {
                        break;
                    }
                    self.next += 1;
                    self.window.taken(txid(self.next), self.now_ms);
                    self.window.answered();
                    self.waiting.push_back((self.now_ms, txid(self.next)));
                }
                for _ in 0..per_ms {
                    let Some((since_ms, txid)) = self.waiting.front().copied() else { break };
                    if self.now_ms - since_ms < least_ms {
                        break;
                    }
                    self.waiting.pop_front();
                    self.window.settled(&txid, self.now_ms);
                    made += 1;
                    if step > for_ms / 2 {
                        worst_ms = worst_ms.max(self.now_ms - since_ms);
                    }
                }
                let (window, used) = self.window.usage();
                assert!((WINDOW_MIN..=WINDOW_MAX).contains(&window), "INV-LOAD-2: {window}");
                assert!(used <= WINDOW_MAX && self.window.order.len() <= 2 * WINDOW_MAX);
            }
            (made, worst_ms)
        }
    }

    #[test]
    fn under_any_load_what_is_let_in_is_final_soon_and_nothing_is_wasted() {
        for per_ms in [1, 4, 16] {
            let mut network = Network::new();
            network.run(20_000, per_ms, 10);
            let (made, worst_ms) = network.run(20_000, per_ms, 10);
            assert!(worst_ms <= 2 * DELAY_TARGET_MS, "{per_ms} a millisecond: {worst_ms} ms");
            assert!(made * 100 >= 20_000 * per_ms * 99, "{per_ms} a millisecond: only {made}");
        }
    }

    #[test]
    fn when_the_network_slows_down_the_door_closes_and_opens_again_after_it() {
        let mut network = Network::new();
        network.run(10_000, 16, 10);
        let (before, _) = network.window.usage();
        network.run(10_000, 1, 10);
        let (slow, _) = network.window.usage();
        assert!(slow * 4 < before, "{before} to {slow}");
        network.run(20_000, 16, 10);
        let (after, _) = network.window.usage();
        assert!(after * 2 > before, "{before} to {after}");
    }

    #[test]
    fn what_never_becomes_final_closes_no_door_while_others_do() {
        let mut network = Network::new();
        network.run(5_000, 4, 10);
        let (before, _) = network.window.usage();
        // As many double spends as there is room for, again and again.
        for round in 0..20_000 {
            network.run(1, 4, 10);
            let spent = txid(1 << 40 | round);
            if network.window.enter(network.now_ms).is_ok() {
                network.window.taken(spent, network.now_ms);
                network.window.answered();
                network.window.left(&spent);
            }
        }
        let (after, used) = network.window.usage();
        assert!(after * 2 > before, "INV-LOAD-1: {before} to {after}");
        assert!(used <= after);
    }

    #[test]
    fn when_nothing_becomes_final_few_are_let_in_and_each_refusal_says_when_to_try_again() {
        let mut network = Network::new();
        network.run(1_000, 4, 10);
        network.run(60_000, 0, 0);
        assert!(network.window.usage().0 < WINDOW_START / 4, "{:?}", network.window.usage());
        let refused = (0..WINDOW_MAX).find_map(|_| network.window.enter(network.now_ms).err()).unwrap();
        assert!((RETRY_MIN_MS..=RETRY_MAX_MS).contains(&refused));
        network.waiting.clear();
        network.window.entering = 0;
        let (made, _) = network.run(4_000, 4, 10);
        assert!(made * 10 >= 4 * 4_000 * 5, "it recovers: {made}");
    }

    /// INV-LOAD-3.
    #[test]
    fn the_door_closes_by_as_much_as_the_index_lags() {
        let let_in = |lag: usize| {
            let mut window = LoadWindow::new(0);
            window.lags(lag, 4_000);
            let count = (0..).take_while(|_| window.enter(0).is_ok()).count();
            (count, window.enter(0).unwrap_err())
        };
        assert_eq!(let_in(0), (WINDOW_START, RETRY_MIN_MS));
        assert_eq!(let_in(1_000), (WINDOW_START, RETRY_MIN_MS), "a quarter is nothing yet");
        assert_eq!(let_in(1_250), (WINDOW_START * 3 / 4, RETRY_MIN_MS));
        assert_eq!(let_in(1_750), (WINDOW_START / 4, RETRY_MIN_MS));
        assert_eq!(let_in(1_999).0, 1);
        assert_eq!(let_in(2_000), (0, RETRY_MAX_MS), "at the half nobody");
        assert_eq!(let_in(usize::MAX), (0, RETRY_MAX_MS));
        let mut window = LoadWindow::new(0);
        window.lags(4_000, 4_000);
        assert!(window.enter(0).is_err());
        window.lags(0, 4_000);
        assert!(window.enter(0).is_ok(), "it opens again");
    }

    /// INV-LOAD-2.
    #[test]
    fn a_slow_transaction_that_is_forgotten_keeps_no_place() {
        let mut window = LoadWindow::new(0);
        window.taken(txid(0), 1_000);
        for number in 1..=u64::try_from(ORDER_MAX).unwrap() {
            assert_eq!(window.usage().1, 1);
            window.taken(txid(number), 1_000);
            window.settled(&txid(number), 1_001);
        }
        assert_eq!(window.usage().1, 0);
    }

    /// A window that nobody fills tells nothing about what the network can do.
    #[test]
    fn the_window_grows_when_three_quarters_of_it_are_in_use() {
        for (flying, grows) in [(WINDOW_START * 3 / 4 - 1, false), (WINDOW_START * 3 / 4, true)] {
            let mut window = LoadWindow::new(0);
            // The one that is final is in use no more.
            (0..=flying as u64).for_each(|number| window.taken(txid(number), 1_000));
            window.settled(&txid(0), 1_001);
            assert_eq!(window.window_milli > milli(WINDOW_START), grows, "{flying} in use");
        }
    }

    #[test]
    fn the_window_shrinks_when_the_median_is_beyond_what_is_aimed_at() {
        for (delay_ms, shrinks) in [(DELAY_TARGET_MS, false), (DELAY_TARGET_MS + 1, true)] {
            let mut window = LoadWindow::new(0);
            window.taken(txid(0), 10_000);
            window.settled(&txid(0), 10_000 + delay_ms);
            assert_eq!(window.window_milli < milli(WINDOW_START), shrinks, "{delay_ms} ms");
        }
    }

    #[test]
    fn what_is_not_final_for_long_takes_no_place_any_more() {
        let mut window = LoadWindow::new(0);
        window.taken(txid(0), 1_000);
        for (age_ms, used) in [(STALE_MS - 1, 1), (STALE_MS, 0)] {
            window.forget_stale(1_000 + age_ms);
            assert_eq!(window.usage().1, used, "after {age_ms} ms");
        }
    }

    #[test]
    fn so_many_delays_are_remembered_and_the_oldest_are_forgotten() {
        let mut window = LoadWindow::new(0);
        for number in 0..=SAMPLES as u64 {
            window.taken(txid(number), 10_000);
            window.settled(&txid(number), 10_000 + number);
        }
        assert_eq!((window.samples.len(), window.samples.front()), (SAMPLES, Some(&1)));
    }

    #[test]
    fn a_decrease_waits_for_two_delays() {
        let mut window = LoadWindow::new(0);
        let start = window.window_milli;
        for step in 0..100 {
            window.queued_for(QUEUE_AGE_MAX_MS + 1, 1_000 + step);
        }
        assert_eq!(window.window_milli, start * 9 / 10);
        window.queued_for(QUEUE_AGE_MAX_MS, 5_000);
        assert_eq!(window.window_milli, start * 9 / 10);
        window.queued_for(QUEUE_AGE_MAX_MS + 1, 5_000);
        assert_eq!(window.window_milli, start * 81 / 100);
    }

    /// Else all nodes of a network would close and open their doors together.
    #[test]
    fn nodes_that_see_the_same_delays_do_not_decrease_together() {
        let [mut plain, mut apart] = [0, u8::MAX].map(LoadWindow::new);
        for (now_ms, expected) in [(1_000, [9, 9]), (1_099, [9, 9]), (1_100, [81, 9]), (1_130, [81, 81])] {
            for (window, tenths) in [&mut plain, &mut apart].into_iter().zip(expected) {
                window.queued_for(QUEUE_AGE_MAX_MS + 1, now_ms);
                let part = if tenths == 81 { 100 } else { 10 };
                assert_eq!(window.window_milli, milli(WINDOW_START) * tenths / part, "at {now_ms} ms");
            }
        }
    }

    /// INV-LOAD-1: many that are never final say nothing as long as others are; when nothing is final any more, they do.
    #[test]
    fn what_is_not_final_in_time_counts_only_when_nothing_else_is_final() {
        let mut window = LoadWindow::new(0);
        (0..40).for_each(|number| window.taken(txid(number), 10_000));
        window.taken(txid(100), 10_900);
        window.settled(&txid(100), 10_950);
        for (now_ms, shrinks) in [(10_999, false), (11_000, false), (11_949, false), (11_950, true)] {
            window.forget_stale(now_ms);
            assert_eq!(window.window_milli < milli(WINDOW_START), shrinks, "at {now_ms} ms");
        }
    }

    /// INV-LOAD-2.
    #[test]
    fn no_more_are_followed_than_the_largest_window_has_places() {
        let mut window = LoadWindow::new(0);
        (0..WINDOW_MAX as u64 + 9).for_each(|number| window.taken(txid(number), 1_000));
        assert_eq!((window.usage().1, window.order.len()), (WINDOW_MAX, WINDOW_MAX));
    }

    /// INV-LOAD-1: what was put out and taken again has its time from then on.
    #[test]
    fn what_comes_again_is_not_taken_for_what_has_left() {
        let mut window = LoadWindow::new(0);
        window.taken(txid(0), 1_000);
        window.left(&txid(0));
        window.taken(txid(0), 1_500);
        for (now_ms, used) in [(1_000 + STALE_MS, 1), (1_499 + STALE_MS, 1), (1_500 + STALE_MS, 0)] {
            window.forget_stale(now_ms);
            assert_eq!(window.usage().1, used, "at {now_ms} ms");
        }
    }
    /// INV-LOAD-1: else the double spends of many days would close the door in the first quiet second.
    #[test]
    fn what_was_not_final_in_time_counts_no_more_once_something_was() {
        let mut window = LoadWindow::new(0);
        let few = STALE_ALARM as u64 - 1;
        for round in 1..9 {
            let (name, now_ms) = (|number: u64| txid(round * 100 + number), round * 10_000);
            (0..few).for_each(|number| window.taken(name(number), now_ms));
            window.forget_stale(now_ms + STALE_MS);
            assert_eq!(window.window_milli, milli(WINDOW_START), "round {round}");
            window.taken(name(few), now_ms + STALE_MS);
            window.settled(&name(few), now_ms + STALE_MS + 10);
        }
    }
}
