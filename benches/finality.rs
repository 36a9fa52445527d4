//! The finality machine, fed with the votes of 4 and of 100 validators, against hashing the same batches.

use criterion::Criterion;
use timed::protocol::finality::{ChainView, Input, Machine};
use timed::protocol::validity::CheckedTransaction;
use timed::types::codec::encode;
use timed::types::{FinalityVote, Released, VoteBatch, VoteKind};

use crate::heard::heard;
use crate::support::chain::Chain;
use crate::support::{Work, chain, group, measure, print_ratio, timed};

/// About what a validator says at once under load: a few milliseconds of votes.
const BATCH_VOTES: usize = 100;

/// All validators vote `Lock`, then `Final`, on a hundred transactions at a time.
fn batches(chain: &Chain, transactions: &[CheckedTransaction]) -> Vec<Released<VoteBatch>> {
    let (chain_id, epoch) = (chain.state.chain_id(), chain.state.next_epoch());
    let mut batches = Vec::new();
    let mut seq = 0;
    for some in transactions.chunks(BATCH_VOTES) {
        for kind in [VoteKind::Lock, VoteKind::Final] {
            for (validator, secret) in &chain.operators {
                let votes = some.iter().map(|tx| FinalityVote { kind, txid: tx.txid() }).collect();
                batches.push(heard(&VoteBatch::signed(chain_id, epoch, *validator, seq, votes, secret)));
            }
            seq += 1;
        }
    }
    batches
}

fn feed(machine: &mut Machine, view: &ChainView<'_>, batches: &[Released<VoteBatch>]) -> usize {
    batches.iter().map(|batch| machine.step(view, Input::BatchReceived(batch.clone())).len()).sum()
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = group(criterion, "finality");
    for (validators, transfers) in [(4, 2_000), (100, 500)] {
        let chain = chain::chain(validators, transfers);
        let transactions = chain.transfers(transfers);
        let view = ChainView { state: &chain.state, utxos: &chain.utxos };
        let me = chain.state.validators().get(0).map(|member| member.key);
        let mut with_bodies = Machine::new(me, &chain.state, Default::default(), Default::default());
        for transaction in &transactions {
            let _votes = with_bodies.step(&view, Input::TransactionReceived(transaction.clone()));
        }
        let batches = batches(&chain, &transactions);
        let mut fed = with_bodies.clone();
        feed(&mut fed, &view, &batches);
        assert!(transactions.iter().all(|tx| fed.is_final(&tx.txid())), "all votes make all of them final");

        let work = Work { count: 2 * validators * transfers, unit: "votes" };
        let bytes: Vec<u8> = batches.iter().flat_map(encode).collect();
        let hashing = measure(&mut group, &format!("hashing votes of {validators} validators"), work, || {
            timed(|| blake3::hash(&bytes))
        });
        let counted =
            measure(&mut group, &format!("counting votes of {validators} validators"), work, || {
                let mut machine = with_bodies.clone();
                timed(|| feed(&mut machine, &view, &batches))
            });
        let bound =
            measure(&mut group, &format!("Merkle roots of {validators} validators' batches"), work, || {
                timed(|| assert!(batches.iter().all(|batch| batch.is_bound_by_header())))
            });
        print_ratio(counted.as_ref(), hashing.as_ref());
        print_ratio(bound.as_ref(), hashing.as_ref());
    }
    group.finish();
}
