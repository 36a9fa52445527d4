//! What the inputs of a transaction spend: amounts and owners, as RPC tells them.
//!
//! # Cost
//! One block is read for a transaction of the chain, however many inputs it has: the log holds beside each block what the
//! block spent. For others each input is one look into memory or the index.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::blocking;
use crate::app::context::AppContext;
use crate::rpc::api::NodeApiError;
use crate::storage::LoggedBlock;
use crate::types::{Height, OutPoint, Transaction, TxId, TxOut};

impl AppContext {
    /// What each input spends, in their order; `None` where this node does not know.
    pub(super) async fn outputs_behind(
        &self,
        transaction: Arc<Transaction>,
        height: Option<Height>,
    ) -> Result<Vec<Option<TxOut>>, NodeApiError> {
        if transaction.inputs.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(height) = height {
            let blocks = self.blocks.clone();
            return blocking(move || {
                let logged = blocks.read(height)?;
                let found = logged.and_then(|logged| spent_in_block(&logged, transaction.txid()));
                Ok(found.unwrap_or_else(|| vec![None; transaction.inputs.len()]))
            })
            .await;
        }
        let (utxos, pool) = (Arc::clone(&self.utxos), Arc::clone(&self.pool));
        blocking(move || {
            // What is spent by what is final already is found where it was made alone.
            let of_pool = |outpoint: &OutPoint| {
                let parent = pool.get(&outpoint.txid)?;
                parent.transaction().outputs.get(usize::try_from(outpoint.index).ok()?).copied()
            };
            let find = |outpoint: &OutPoint| {
                utxos.find_output(outpoint).map(|(output, _)| output).or_else(|| of_pool(outpoint))
            };
            Ok(transaction.inputs.iter().map(find).collect())
        })
        .await
    }
}

/// What a transaction of a block spends; `None` if the block has no such transaction.
///
/// Recorded beside a block is what it spends of the state before it, in the order of its inputs. What it makes and spends
/// itself is in none of these.
fn spent_in_block(logged: &LoggedBlock, txid: TxId) -> Option<Vec<Option<TxOut>>> {
    let mut recorded = logged.spent.iter();
    let mut made: BTreeMap<OutPoint, TxOut> = BTreeMap::new();
    for transaction in &logged.committed.block.transactions {
        let spent = transaction.inputs.iter().map(|input| {
            let own = made.remove(input);
            own.or_else(|| recorded.next().map(|entry| entry.output))
        });
        let spent: Vec<Option<TxOut>> = spent.collect();
        let name = transaction.txid();
        if name == txid {
            return Some(spent);
        }
        made.extend(transaction.created(name).map(|(outpoint, output)| (outpoint, *output)));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::fake_node::{block, output};
    use crate::types::{Amount, UtxoEntry};

    #[test]
    fn what_a_block_spends_is_told_of_each_of_its_transactions_also_what_it_made_itself() {
        let worth = |value| TxOut { value: Amount(value), ..output() };
        let coin = |number| OutPoint { txid: TxId([number; 32]), index: 0 };
        let first = Transaction::transfer(vec![coin(1), coin(2)], vec![worth(30)], Vec::new());
        let own = OutPoint { txid: first.txid(), index: 0 };
        let second = Transaction::transfer(vec![coin(3), own, coin(4)], vec![worth(99)], Vec::new());
        let mut committed = block();
        committed.block.transactions = vec![Arc::new(first.clone()), Arc::new(second.clone())];
        let spent = [10, 20, 40, 50].map(|value| UtxoEntry { output: worth(value), height: 1 });
        let logged = LoggedBlock { committed, spent: spent.to_vec() };
        let values = |txid| -> Option<Vec<u64>> {
            let found = spent_in_block(&logged, txid)?;
            Some(found.into_iter().map(|output| output.map_or(0, |output| output.value.0)).collect())
        };
        assert_eq!(values(first.txid()), Some(vec![10, 20]));
        assert_eq!(values(second.txid()), Some(vec![40, 30, 50]));
        assert_eq!(values(TxId([9; 32])), None);
        let unrecorded = LoggedBlock { spent: Vec::new(), ..logged };
        assert_eq!(spent_in_block(&unrecorded, first.txid()), Some(vec![None, None]));
    }
}
