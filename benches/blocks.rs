//! A block of 2,000 transfers: validated, replayed and applied, against checking its signatures and hashing its bytes.

use std::sync::Arc;

use criterion::Criterion;
use timed::protocol::transition::{inputs_in_order, replay, validate, validate_block};
use timed::protocol::validity::CheckedTransaction;
use timed::runtime::{CpuPool, PoolVerifier};
use timed::storage::{Index, IndexChange, MemoryIndex};
use timed::types::codec::encode;
use timed::types::{BlockHash, OutPoint, SignatureCheck, SignatureVerifier as _, TxId};
use timed::utxo::UtxoManager;

use crate::support::chain::Chain;
use crate::support::{Work, chain, group, measure, print_ratio, timed};

const VALIDATORS: usize = 4;
const TRANSFERS: usize = 2_000;
const WORK: Work = Work { count: TRANSFERS, unit: "transfers" };
const CACHE_BYTES: usize = 64 << 20;

/// An index in memory that holds the outputs of genesis.
fn index_of(chain: &Chain) -> Arc<Index> {
    let index = Index::new(Arc::new(MemoryIndex::default()));
    let genesis = IndexChange {
        height: 0,
        block_hash: BlockHash(chain.state.chain_id().0),
        state: Vec::new(),
        spent: Vec::new(),
        replaced: Vec::new(),
        created: chain.utxos.iter().map(|(outpoint, entry)| (*outpoint, *entry)).collect(),
        transactions: Vec::new(),
        receipts: Vec::new(),
        epoch_end: None,
        fuller: None,
        evidence: Vec::new(),
    };
    index.apply(&genesis).unwrap();
    Arc::new(index)
}

fn spenders(transactions: &[CheckedTransaction]) -> Vec<(OutPoint, TxId)> {
    let inputs = |tx: &CheckedTransaction| tx.inputs().iter().map(|o| (*o, tx.txid())).collect::<Vec<_>>();
    transactions.iter().flat_map(inputs).collect()
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let chain = chain::chain(VALIDATORS, TRANSFERS);
    let transactions = chain.transfers(TRANSFERS);
    let block = chain.block(&transactions);
    let (state, utxos, blueprint, bytes) = (&chain.state, &chain.utxos, block.blueprint(), encode(&block));
    let verifier = PoolVerifier::new(CpuPool::new().unwrap());
    let checks: Vec<SignatureCheck> =
        block.transactions.iter().flat_map(|tx| tx.signature_checks(state.chain_id(), &tx.txid())).collect();
    let (_, outcome) = validate_block(state, utxos, &verifier, &block).unwrap();
    let (recorded, inputs) = (inputs_in_order(&outcome), spenders(&transactions));
    let index = index_of(&chain);

    let mut group = group(criterion, "blocks");
    let signatures = measure(&mut group, "signatures of a block", WORK, || {
        timed(|| verifier.verify_all(&checks).unwrap())
    });
    let hashing = measure(&mut group, "hashing a block", WORK, || timed(|| blake3::hash(&bytes)));
    let whole = measure(&mut group, "validating a block from sync", WORK, || {
        timed(|| validate_block(state, utxos, &verifier, &block).unwrap())
    });
    let voted = measure(&mut group, "validating a proposal of known transactions", WORK, || {
        timed(|| validate(state, utxos, &verifier, &blueprint, &transactions).unwrap())
    });
    let replayed = measure(&mut group, "replaying a block of the own log", WORK, || {
        timed(|| replay(state, &recorded, &block).unwrap())
    });
    let applied = measure(&mut group, "applying a block to the UTXO manager", WORK, || {
        let manager = UtxoManager::new(Arc::clone(&index), CACHE_BYTES);
        // Voting has read the inputs before.
        manager.prefetch(&inputs.iter().map(|(outpoint, _)| *outpoint).collect::<Vec<_>>());
        timed(|| manager.apply_block(1, &outcome.created, &inputs))
    });
    for subject in [&whole, &voted, &replayed, &applied] {
        print_ratio(subject.as_ref(), signatures.as_ref());
        print_ratio(subject.as_ref(), hashing.as_ref());
    }
    group.finish();
}
