//! Holds the pool to what it promises: for the simulator, after each of its steps, and for tests.

use super::TransactionPool;
use super::stage::{ByClass, Class};

impl TransactionPool {
    /// Holds counters, limits and the order of eviction against the map. Writers wait meanwhile.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check_invariants(&self) -> Result<(), &'static str> {
        let order = self.order.lock();
        let mut all = (0_usize, 0_usize);
        let mut by_class: ByClass<(usize, usize)> = ByClass::default();
        let count =
            |sum: (usize, usize), bytes: usize| (sum.0.saturating_add(1), sum.1.saturating_add(bytes));
        for entry in &self.entries {
            let bytes = entry.transaction.encoded_bytes();
            all = count(all, bytes);
            if let Some(class) = entry.stage.class() {
                let sum = by_class.of_mut(class);
                *sum = count(*sum, bytes);
            }
            let is_listed = |class: &Class| order.evictable.of(*class).contains(&entry.eviction_key());
            if Class::ALL.iter().any(|class| is_listed(class) != (entry.stage.class() == Some(*class))) {
                return Err("the order of eviction does not hold exactly the uncertified transactions");
            }
            if *entry.key() != entry.transaction.txid() {
                return Err("an entry stands under another transaction's name");
            }
        }
        if all != self.all.get() {
            return Err("a counter differs from the map");
        }
        for class in Class::ALL {
            let (sum, limits) = (*by_class.of(class), self.limits_of(class));
            if sum != self.uncertified.of(class).get() {
                return Err("a counter differs from the map");
            }
            if order.evictable.of(class).len() != sum.0 {
                return Err("the order of eviction names transactions that are not there");
            }
            if sum.0 > limits.max_transactions || sum.1 > limits.max_bytes {
                return Err("INV-POOL-1: more uncertified transactions than the limits allow");
            }
        }
        if !self.recent.lock().is_consistent() {
            return Err("the ring of recent transactions is out of step");
        }
        Ok(())
    }
}
