use super::*;
use crate::app::networks::{devnet_account_keys, devnet_genesis, devnet_operator_key, devnet_owner_key};
use crate::protocol::masternodes::Receipt;
use crate::protocol::proposer::proposer_of_round;
use crate::protocol::transition::{self, BlockDraft};
use crate::protocol::validity::CheckedTransaction;
use crate::types::keys::SequentialVerifier;
use crate::types::{
    Address, Amount, Commit, Lock, OutPoint, RuleVersion, SecretKey, Signature, SignerBitmap, Transaction,
    UtxoEntry,
};
use crate::wallet::masternode::{Registration, build_exit, build_unjail};
use crate::wallet::{Coin, CoinState, Funds};

/// A chain that a test moves on, whose blocks everybody but some signs.
struct Chain {
    state: LedgerState,
    utxos: BTreeMap<OutPoint, UtxoEntry>,
    commit: Commit,
}

impl Chain {
    fn new(change: fn(&mut crate::types::ChainParameters)) -> Self {
        let mut document = devnet_genesis(4);
        change(&mut document.parameters);
        let (state, outputs) = LedgerState::genesis(&document).unwrap();
        Self { state, utxos: outputs.into_iter().collect(), commit: Commit::default() }
    }

    fn advance(
        &mut self,
        elapsed_ms: u64,
        epoch_end: bool,
        transactions: Vec<Transaction>,
        silent: &[MasternodeId],
    ) -> Vec<Receipt> {
        let (chain_id, parameters) = (self.state.chain_id(), self.state.parameters());
        let transactions: Vec<_> = transactions
            .into_iter()
            .map(|tx| {
                CheckedTransaction::check(Arc::new(tx), chain_id, parameters, &SequentialVerifier).unwrap()
            })
            .collect();
        let proposer = proposer_of_round(&self.state.proposer_order(), 0).unwrap();
        let draft = BlockDraft {
            round: 0,
            time: self.state.tip_time() + elapsed_ms,
            epoch_end,
            proposer: self.state.validators().get(proposer).unwrap().id,
            announces: RuleVersion::FIRST,
            last_commit: &self.commit,
            transactions: &transactions,
            evidence: &[],
        };
        let (block, outcome) = transition::propose(&self.state, &self.utxos, &draft).unwrap();
        for (outpoint, _) in &outcome.spent {
            self.utxos.remove(outpoint);
        }
        self.utxos.extend(outcome.created.iter().copied());
        let set = self.state.validators();
        let mut signers = SignerBitmap::empty(set.len());
        let places = (0..set.len()).filter(|place| !silent.contains(&set.members()[*place].id));
        places.for_each(|place| signers.set(place));
        self.commit = Commit {
            height: block.header.height,
            round: 0,
            block_hash: block.header.hash(),
            signatures: vec![Signature::EMPTY; signers.iter().count()],
            signers,
        };
        self.state = outcome.state;
        outcome.receipts
    }

    fn finish_epoch(&mut self, silent: &[MasternodeId]) {
        self.advance(self.state.parameters().epoch_duration_ms, false, Vec::new(), silent);
        while !self.state.is_closing() {
            self.advance(self.state.parameters().epoch_duration_ms, false, Vec::new(), silent);
        }
        self.advance(1, true, Vec::new(), silent);
    }

    /// What `key` has, as a node would say it, and a transaction built from that.
    fn build(&self, key: &SecretKey, builder: impl Fn(Funds<'_>) -> Transaction) -> Transaction {
        let lock = Lock::KeyHash(key.public().key_hash());
        let coin = |(outpoint, entry): (&OutPoint, &UtxoEntry)| {
            let state = if self.state.is_bound(outpoint) { CoinState::Bound } else { CoinState::Free };
            Coin { outpoint: *outpoint, output: entry.output, state }
        };
        let coins: Vec<Coin> = self.utxos.iter().map(coin).collect();
        builder(Funds {
            chain_id: self.state.chain_id(),
            parameters: self.state.parameters(),
            coins: &coins,
            keys: std::slice::from_ref(key),
            change: lock,
        })
    }

    fn register(&self, operator: &SecretKey) -> Transaction {
        let account = &devnet_account_keys()[0];
        let address = Address::of_key_hash(Network::Devnet, account.public().key_hash());
        self.build(account, |funds| {
            let registration = Registration {
                funds,
                network: Network::Devnet,
                collateral: Amount::from_time(10_000).unwrap(),
                owner: address.lock,
                operator,
                payout: address,
                network_address: "127.0.0.1:24999",
            };
            registration.build().unwrap().transaction
        })
    }

    fn describe(&self, id: MasternodeId) -> MasternodeInfo {
        let view = MasternodeView::new(Network::Devnet, &self.state, BTreeSet::from([id]));
        view.describe(&id, self.state.registry().get(&id).unwrap())
    }
}

fn applied(receipts: &[Receipt]) -> MasternodeId {
    assert_eq!(receipts.len(), 1);
    receipts[0].effect.unwrap()
}

#[test]
fn a_masternode_is_told_from_registration_to_the_release_of_its_collateral() {
    let mut chain = Chain::new(|parameters| parameters.unbonding_time_ms = 100_000);
    chain.advance(1, false, Vec::new(), &[]);
    let operator = devnet_operator_key(50);
    let id = applied(&chain.advance(1, false, vec![chain.register(&operator)], &[]));
    let info = chain.describe(id);
    assert_eq!((info.state.as_str(), &info.in_set, info.left_ms), ("eligible", &None, None));
    assert_eq!((info.tier.as_deref(), info.weight, info.registration), (Some("silver"), 10, 4));
    assert_eq!((info.collateral_height, info.connected), (2, true));
    assert_eq!(info.collateral_time, "10000.00000000");
    assert_eq!((info.operator_key, info.address.as_str()), (operator.public(), "127.0.0.1:24999"));

    chain.finish_epoch(&[]);
    let began = chain.state.tip_time();
    chain.advance(1, false, Vec::new(), &[]);
    chain.finish_epoch(&[]);
    let info = chain.describe(id);
    assert_eq!(info.state, "active");
    let membership = info.in_set.unwrap();
    assert_eq!((membership.since_epoch, membership.since_ms), (1, Some(began)));
    assert!(membership.attendance.counted > 0 && !membership.attendance.absent);
    assert_eq!(membership.attendance.signed, membership.attendance.counted);
    let first = *chain.state.masternodes().keys().find(|other| **other != id).unwrap();
    let membership = chain.describe(first).in_set.unwrap();
    assert_eq!(
        (membership.since_epoch, membership.since_ms),
        (0, None),
        "the chain remembers no start of epoch 0"
    );

    let account = &devnet_account_keys()[0];
    let owner = Lock::KeyHash(account.public().key_hash());
    let exit = chain.build(account, |funds| build_exit(&funds, id, owner).unwrap().transaction);
    assert_eq!(applied(&chain.advance(1, false, vec![exit], &[])), id);
    let info = chain.describe(id);
    assert_eq!((info.state.as_str(), info.exit_requested, info.bound_until_ms), ("exiting", true, None));
    assert!(info.in_set.is_some(), "until the epoch's end");
    chain.finish_epoch(&[]);
    let left = chain.state.tip_time();
    let info = chain.describe(id);
    assert_eq!((info.state.as_str(), info.left_ms), ("unbonding", Some(left)));
    assert_eq!((info.bound_until_ms, info.in_set), (Some(left + 100_000), None));
    chain.finish_epoch(&[]);
    chain.finish_epoch(&[]);
    assert!(chain.state.registry().get(&id).is_none(), "free");
}

#[test]
fn absence_is_counted_jailed_and_forgiven() {
    let mut chain = Chain::new(|parameters| {
        parameters.recent_commits = 5;
        // Four equal ones: one of them is a quarter of the weight.
        parameters.jail_cap = crate::types::genesis::Ratio { numerator: 1, denominator: 4 };
    });
    let key = devnet_operator_key(2);
    let id = *chain.state.masternodes().iter().find(|(_, m)| m.operator_key == key.public()).unwrap().0;
    for _ in 0..6 {
        chain.advance(1, false, Vec::new(), &[id]);
    }
    let attendance = chain.describe(id).in_set.unwrap().attendance;
    assert_eq!(attendance, AttendanceInfo { signed: 0, counted: 5, absent: true });
    chain.finish_epoch(&[id]);
    let info = chain.describe(id);
    let since = Some(chain.state.tip_time());
    assert_eq!(
        (info.state.as_str(), info.jailed, info.jailed_since_ms),
        ("jailed", Some(JailReason::Absence), since)
    );
    assert_eq!((info.left_ms, info.in_set), (since, None));
    let owner = devnet_account_keys().remove(3);
    let unjail = chain.build(&owner, |funds| build_unjail(&funds, id, &key).unwrap().transaction);
    assert_eq!(applied(&chain.advance(1, false, vec![unjail], &[])), id);
    assert_eq!(chain.describe(id).state, "eligible");
    chain.finish_epoch(&[]);
    let info = chain.describe(id);
    assert_eq!((info.state.as_str(), info.left_ms), ("active", None));
    assert_eq!(info.in_set.unwrap().since_epoch, chain.state.next_epoch());
}

#[test]
fn what_waits_for_the_epochs_end_is_told() {
    let mut chain = Chain::new(|_| {});
    chain.advance(1, false, Vec::new(), &[]);
    let (id, record) = chain.state.masternodes().iter().next().unwrap();
    let pending = PendingUpdate {
        operator_key: Some(devnet_operator_key(77).public()),
        payout: Some(Lock::KeyHash(devnet_owner_key(5).public().key_hash())),
        network_address: None,
    };
    let changed = MasternodeRecord { pending: Some(pending.clone()), ..record.clone() };
    let view = MasternodeView::new(Network::Devnet, &chain.state, BTreeSet::new());
    let told = view.describe(id, &changed).pending.unwrap();
    assert_eq!((told.operator_key, told.address), (pending.operator_key, None));
    assert!(told.payout.unwrap().to_string().starts_with("dtime1"));
    assert!(!view.describe(id, &changed).connected);
    assert_eq!(view.all().len(), 4);
}
