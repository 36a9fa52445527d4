//! Blocks and transactions as RPC shows them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EvidenceInfo, MasternodePayload};
use crate::protocol::masternodes::Receipt;
use crate::types::codec::encode;
use crate::types::{
    Address, Amount, BlockHash, CommittedBlock, Epoch, Hash, Height, MasternodeId, Network, OutPoint,
    Payload, Round, StateDigest, TimeMs, Transaction, TxId, TxOut,
};

/// A committed block with names of its transactions (`getblock`, verbosity 1) or the transactions themselves (2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockInfo {
    /// Its hash.
    pub hash: BlockHash,
    /// 1 at the tip.
    pub confirmations: u64,
    /// Its height.
    pub height: Height,
    /// The round of its first proposal.
    pub round: Round,
    /// The round whose precommits committed it.
    pub commit_round: Round,
    /// Its epoch.
    pub epoch: Epoch,
    /// Whether it ends its epoch.
    pub epoch_end: bool,
    /// Its time.
    pub time: TimeMs,
    /// The block before it.
    #[serde(rename = "previousblockhash")]
    pub previous_block_hash: BlockHash,
    /// The block after it; absent at the tip.
    #[serde(rename = "nextblockhash", default, skip_serializing_if = "Option::is_none")]
    pub next_block_hash: Option<BlockHash>,
    /// Merkle root of the txids.
    #[serde(rename = "merkleroot")]
    pub merkle_root: Hash,
    /// The state after it.
    pub state_digest: StateDigest,
    /// Who proposed it first.
    pub proposer: MasternodeId,
    /// How many validators' precommits its stored commit holds.
    pub signers: usize,
    /// Encoded bytes of header, last commit and transactions.
    pub size: usize,
    /// How many transactions it holds.
    #[serde(rename = "nTx")]
    pub transaction_count: usize,
    /// Its transactions.
    pub tx: Vec<BlockTransaction>,
    /// Contradictions that it punishes.
    pub evidence: Vec<EvidenceInfo>,
}

/// A transaction in a [`BlockInfo`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum BlockTransaction {
    /// Its name.
    Id(TxId),
    /// All of it.
    Full(Box<TransactionInfo>),
}

/// A decoded transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TransactionInfo {
    /// Its name.
    pub txid: TxId,
    /// Encoded bytes.
    pub size: usize,
    /// `transfer`, `reward`, `masternode_register`, `masternode_update` or `masternode_exit`.
    pub kind: String,
    /// The memo of a transfer, in hexadecimal.
    pub memo: String,
    /// What it says about a masternode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masternode: Option<MasternodePayload>,
    /// What became of that; absent while no block contains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<ReceiptInfo>,
    /// What it spends.
    pub vin: Vec<InputInfo>,
    /// What it makes.
    pub vout: Vec<OutputInfo>,
    /// What it pays, in base units; null for a reward, and where not all inputs are known.
    pub fee: Option<Amount>,
    /// The same in TIME.
    pub fee_time: Option<String>,
}

/// What an input spends. What it is worth and whose it was is told by `getrawtransaction` alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputInfo {
    /// The transaction that made it.
    pub txid: TxId,
    /// Its place there.
    pub vout: u32,
    /// Base units; null where what made it is not known.
    pub value: Option<Amount>,
    /// The same in TIME.
    pub value_time: Option<String>,
    /// Who could spend it; known as the value is.
    pub address: Option<Address>,
}

impl InputInfo {
    /// Describes an input by what it spends, if that is known.
    #[must_use]
    pub fn of(network: Network, outpoint: &OutPoint, output: Option<&TxOut>) -> Self {
        Self {
            txid: outpoint.txid,
            vout: outpoint.index,
            value: output.map(|output| output.value),
            value_time: output.map(|output| output.value.to_string()),
            address: output.map(|output| Address::of_lock(network, output.lock)),
        }
    }
}

/// What a transaction pays by what its inputs spend; `None` where one of these is not known, and of a transaction without any.
fn fee_of(transaction: &Transaction, spent: &[Option<TxOut>]) -> Option<Amount> {
    if transaction.inputs.is_empty() || spent.len() != transaction.inputs.len() {
        return None;
    }
    let sum = |sum: Amount, value: Amount| sum.checked_add(value);
    let paid = spent.iter().try_fold(Amount::ZERO, |all, output| sum(all, output.as_ref()?.value))?;
    let made = transaction.outputs.iter().try_fold(Amount::ZERO, |all, output| sum(all, output.value))?;
    paid.checked_sub(made)
}

/// What became of what a transaction says about a masternode. Its transfer stands in any case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptInfo {
    /// Whether it had no effect.
    pub void: bool,
    /// The masternode that it acted on.
    pub masternode: Option<MasternodeId>,
    /// Why it is void: a stable name in snake_case.
    pub reason: Option<String>,
    /// The same in words.
    pub message: Option<String>,
}

impl ReceiptInfo {
    /// Describes a receipt.
    #[must_use]
    pub fn of(receipt: &Receipt) -> Self {
        match &receipt.effect {
            Ok(masternode) => {
                Self { void: false, masternode: Some(*masternode), reason: None, message: None }
            }
            Err(reason) => Self {
                void: true,
                masternode: None,
                reason: Some(reason.reason().to_owned()),
                message: Some(reason.to_string()),
            },
        }
    }
}

/// `getrawtransaction`, verbose: a transaction and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RawTransactionInfo {
    /// All of it.
    #[serde(flatten)]
    pub transaction: TransactionInfo,
    /// Its encoding.
    pub hex: String,
    /// The block that contains it.
    pub height: Option<Height>,
    /// That block's hash; absent while there is none.
    #[serde(rename = "blockhash", default, skip_serializing_if = "Option::is_none")]
    pub block_hash: Option<BlockHash>,
    /// That block's time, in seconds since the Unix epoch as Bitcoin Core has it here, while `getblock` tells milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
    /// The same as `time`.
    #[serde(rename = "blocktime", default, skip_serializing_if = "Option::is_none")]
    pub block_time: Option<u64>,
    /// 1 when it is in the last block, 0 when it is in none.
    pub confirmations: u64,
}

/// An output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputInfo {
    /// Its place in its transaction.
    pub n: u32,
    /// Base units.
    pub value: Amount,
    /// The same in TIME.
    pub value_time: String,
    /// Who may spend it.
    pub address: Address,
}

impl OutputInfo {
    /// Describes the output at a place.
    #[must_use]
    pub fn of(network: Network, place: u32, output: &TxOut) -> Self {
        Self {
            n: place,
            value: output.value,
            value_time: output.value.to_string(),
            address: Address::of_lock(network, output.lock),
        }
    }
}

impl TransactionInfo {
    /// Describes a transaction with addresses of `network`, and what became of its payload if that is known. `spent` is
    /// what its inputs spend, in their order; empty where nobody looked.
    #[must_use]
    pub fn of(
        network: Network,
        transaction: &Transaction,
        receipt: Option<&Receipt>,
        spent: &[Option<TxOut>],
    ) -> Self {
        let fee = fee_of(transaction, spent);
        let known = spent.iter().map(Option::as_ref).chain(std::iter::repeat(None));
        let txid = transaction.txid();
        let (kind, memo) = match &transaction.payload {
            Payload::Transfer { memo } => ("transfer", hex::encode(memo)),
            Payload::Reward { .. } => ("reward", String::new()),
            Payload::MasternodeRegister(_) => ("masternode_register", String::new()),
            Payload::MasternodeUpdate(_) => ("masternode_update", String::new()),
            Payload::MasternodeExit { .. } => ("masternode_exit", String::new()),
        };
        Self {
            txid,
            size: encode(transaction).len(),
            kind: kind.to_owned(),
            memo,
            masternode: MasternodePayload::of(network, txid, transaction),
            receipt: receipt.map(ReceiptInfo::of),
            vin: transaction
                .inputs
                .iter()
                .zip(known)
                .map(|(outpoint, output)| InputInfo::of(network, outpoint, output))
                .collect(),
            vout: transaction
                .created(txid)
                .map(|(outpoint, output)| OutputInfo::of(network, outpoint.index, output))
                .collect(),
            fee,
            fee_time: fee.map(|fee| fee.to_string()),
        }
    }
}

impl BlockInfo {
    /// Describes a block under a chain of `best` blocks, and before the block `next`; with all of each transaction, and what became of those about
    /// masternodes, where receipts are given.
    #[must_use]
    pub fn of(
        network: Network,
        committed: &CommittedBlock,
        (best, next): (Height, Option<BlockHash>),
        receipts: Option<&BTreeMap<TxId, Receipt>>,
    ) -> Self {
        let block = &committed.block;
        let header = &block.header;
        let tx = block
            .transactions
            .iter()
            .map(|transaction| match receipts {
                Some(receipts) => {
                    let about_masternodes = transaction.payload.acts_on_masternodes();
                    let receipt = if about_masternodes { receipts.get(&transaction.txid()) } else { None };
                    BlockTransaction::Full(Box::new(TransactionInfo::of(network, transaction, receipt, &[])))
                }
                None => BlockTransaction::Id(transaction.txid()),
            })
            .collect();
        Self {
            hash: header.hash(),
            confirmations: best.saturating_sub(header.height).saturating_add(1),
            height: header.height,
            round: header.round,
            commit_round: committed.commit.round,
            epoch: header.epoch,
            epoch_end: header.epoch_end,
            time: header.time,
            previous_block_hash: header.prev_hash,
            next_block_hash: next,
            merkle_root: header.tx_root,
            state_digest: header.state_digest,
            proposer: header.proposer,
            signers: committed.commit.signatures.len(),
            size: encode(block).len(),
            transaction_count: block.transactions.len(),
            tx,
            evidence: block.evidence.iter().map(|evidence| EvidenceInfo::of(evidence)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{KeyHash, Lock};

    #[test]
    fn a_transaction_tells_what_its_inputs_were_worth_and_its_fee_where_all_of_them_are_known() {
        let output = |value| TxOut { value: Amount(value), lock: Lock::KeyHash(KeyHash([1; 32])) };
        let coin = |index| OutPoint { txid: TxId([4; 32]), index };
        let spend = Transaction::transfer(vec![coin(0), coin(7)], vec![output(9), output(20)], Vec::new());
        let of = |spent: &[Option<TxOut>]| TransactionInfo::of(Network::Devnet, &spend, None, spent);
        let known = of(&[Some(output(10)), Some(output(25))]);
        assert_eq!((known.fee, known.fee_time.as_deref()), (Some(Amount(6)), Some("0.00000006")));
        assert_eq!(
            (known.vin[1].txid, known.vin[1].vout, known.vin[1].value),
            (coin(7).txid, 7, Some(Amount(25)))
        );
        assert_eq!(known.vin[0].value_time.as_deref(), Some("0.00000010"));
        assert_eq!(known.vin[0].address, Some(Address::of_lock(Network::Devnet, output(0).lock)));
        let partly = of(&[Some(output(10)), None]);
        assert_eq!((partly.fee, partly.fee_time.is_some()), (None, false));
        assert_eq!((partly.vin[0].value, partly.vin[1].value), (Some(Amount(10)), None));
        let unasked = of(&[]);
        assert_eq!((unasked.vin.len(), unasked.fee, unasked.vin[1].address), (2, None, None));
        let reward = Transaction::transfer(Vec::new(), vec![output(5)], Vec::new());
        assert_eq!(TransactionInfo::of(Network::Devnet, &reward, None, &[]).fee, None, "its coins are new");
    }
}
