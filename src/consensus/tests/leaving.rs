//! Members that leave, and what others said of whom in an epoch that is over: nobody counts them any more.

use super::super::events::{HeardHeartbeat, Notification, Signing};
use super::super::instances::{Instances, LISTEN_MS};
use super::*;
use crate::types::heartbeat::Heartbeat;
use crate::types::instance::{InstanceId, InstanceStatement};
use crate::types::transaction::TRANSACTION_VERSION;
use crate::types::{MasternodeId, Payload};

fn due_ms(chain: &Chain) -> TimeMs {
    chain.state.epoch_start() + chain.state.parameters().epoch_duration_ms
}

/// The user asks that the masternode in this place leaves.
fn exit(chain: &Chain, place: usize) -> CheckedTransaction {
    let masternode = chain.state.validators().get(place).unwrap().id;
    let payment = chain.payment(0);
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        inputs: payment.inputs().to_vec(),
        outputs: payment.outputs().to_vec(),
        payload: Payload::MasternodeExit { masternode },
        witnesses: Vec::new(),
    };
    let (chain_id, parameters) = (chain.state.chain_id(), chain.state.parameters());
    let transaction = Arc::new(transaction.signed(chain_id, &[&user()]));
    CheckedTransaction::check(transaction, chain_id, parameters, &SequentialVerifier).unwrap()
}

/// A node before the end of the first epoch, who leaves with it, and two others that stay.
struct Leaving {
    chain: Chain,
    node: Node,
    leaver: (MasternodeId, SecretKey),
    stays: [(MasternodeId, SecretKey); 2],
}

impl Leaving {
    fn new() -> Self {
        // Who proposes neither of the two blocks behind the first.
        let mut chain = Chain::new();
        chain.grow(START_MS + 1);
        let me = *chain.state.proposer_order().last().unwrap();
        let others: Vec<usize> = (0..MEMBERS.into()).filter(|place| *place != me).collect();
        let mut chain = Chain::new();
        let exit = exit(&chain, others[0]);
        let (block, outcome) = chain.block(START_MS + 1, false, &[exit]);
        let blocks = [chain.commit(block, outcome)];
        let node = Node::of_operator(operator(me), &blocks, due_ms(&chain), Vec::new());
        let member = |place: usize| (chain.state.validators().get(place).unwrap().id, operator(place));
        let (leaver, stays) = (member(others[0]), [member(others[1]), member(others[2])]);
        Self { chain, node, leaver, stays }
    }

    fn end_epoch(&mut self) {
        let due_ms = due_ms(&self.chain);
        for (time, epoch_end) in [(due_ms, false), (due_ms + 1, true)] {
            let (block, outcome) = self.chain.block(time, epoch_end, &[]);
            let hash = block.header.hash();
            self.node.hear(self.chain.proposal(&block));
            for step in [VoteStep::Prevote, VoteStep::Precommit] {
                // Made before the last of them counts: then the set is another one.
                let others = self.node.others();
                let votes: Vec<_> =
                    others.map(|other| self.node.block_vote(other, step, Some(hash))).collect();
                votes.into_iter().for_each(|vote| self.node.hear(vote));
            }
            assert_eq!(self.node.consensus.state().tip_hash(), hash);
            self.chain.commit(block, outcome);
        }
        let state = self.node.consensus.state();
        assert_eq!((state.next_epoch(), state.validators().len()), (1, 3));
        assert_eq!(state.validators().index_of(&self.leaver.0), None);
    }

    /// A member says that it is there, and whom it hears.
    fn hear_heartbeat(&mut self, of: &(MasternodeId, SecretKey), heard: &[MasternodeId]) {
        let state = self.node.consensus.state();
        let set = state.validators();
        let mut bitmap = SignerBitmap::empty(set.len());
        heard.iter().for_each(|id| bitmap.set(set.index_of(id).unwrap()));
        let heartbeat = Heartbeat {
            validator: of.0,
            instance: InstanceId { start: [9; 16], attempt: 0 },
            epoch: state.next_epoch(),
            height: state.height(),
            next_seq: 0,
            time_ms: self.node.now_ms,
            heard: bitmap,
            signature: Signature::EMPTY,
        };
        let heartbeat = heartbeat.signed(state.chain_id(), &of.1);
        self.node.hear(Message::Heartbeat(Released::heard(heartbeat)));
    }

    /// What readers see now.
    fn shown(&self) -> BTreeMap<MasternodeId, HeardHeartbeat> {
        let last = self.node.around.told.iter().rev().find_map(|told| match told {
            Notification::Heartbeats(heartbeats) => Some(Arc::clone(heartbeats)),
            _ => None,
        });
        last.unwrap().iter().map(|(id, heard)| (*id, heard.clone())).collect()
    }
}

#[test]
fn whom_a_masternode_heard_in_an_epoch_that_is_over_it_attests_no_more() {
    let mut leaving = Leaving::new();
    let [first, second] = leaving.stays.clone();
    // All of them, so that whatever place somebody has by now is among those that it heard.
    let members = leaving.chain.state.validators().members().iter().map(|member| member.id);
    leaving.hear_heartbeat(&first, &members.collect::<Vec<_>>());
    assert!(leaving.shown().contains_key(&first.0));
    leaving.end_epoch();
    leaving.hear_heartbeat(&second, &[]);
    assert_eq!(leaving.shown()[&second.0].attested_by, [], "places in the set are other ones by now");
}

#[test]
fn who_left_the_set_is_shown_no_more_among_those_who_are_there() {
    let mut leaving = Leaving::new();
    let [first, second] = leaving.stays.clone();
    let leaver = leaving.leaver.clone();
    leaving.hear_heartbeat(&leaver, &[first.0]);
    leaving.hear_heartbeat(&first, &[]);
    assert!(leaving.shown().contains_key(&leaver.0));
    leaving.end_epoch();
    leaving.hear_heartbeat(&second, &[]);
    let shown = leaving.shown();
    assert!(!shown.contains_key(&leaver.0) && shown.contains_key(&first.0));
}

/// INV-INSTANCE-3: what is remembered is of members.
#[test]
fn who_left_the_set_is_acknowledged_no_more() {
    const ASK_MS: u64 = 500;
    let mut leaving = Leaving::new();
    let (validator, secret) = leaving.leaver.clone();
    leaving.node.consensus.instances = Instances::new([7; 16], LISTEN_MS, leaving.node.now_ms);
    for seq in 0..=LISTEN_MS / ASK_MS {
        let statement = InstanceStatement {
            validator,
            epoch: 0,
            instance: InstanceId { start: [9; 16], attempt: 0 },
            seq,
            asks: true,
            rivals: Vec::new(),
            acknowledged: Vec::new(),
            signature: Signature::EMPTY,
        };
        let statement = statement.signed(leaving.chain.state.chain_id(), &secret);
        leaving.node.now_ms += ASK_MS;
        leaving.node.hear(Message::Instance(Arc::new(statement)));
    }
    let statements = |messages: &[Message], epoch: Epoch| -> Vec<Arc<InstanceStatement>> {
        let of = messages.iter().filter_map(|message| match message {
            Message::Instance(statement) if statement.epoch == epoch => Some(Arc::clone(statement)),
            _ => None,
        });
        of.collect()
    };
    let acknowledges = |statement: &Arc<InstanceStatement>| {
        statement.acknowledged.iter().any(|acknowledged| acknowledged.validator == validator)
    };
    assert!(statements(&leaving.node.around.said, 0).iter().any(acknowledges), "its window is over");
    leaving.end_epoch();
    leaving.node.feed(Event::PeerConnected(operator(99).public()));
    let greetings = statements(&leaving.node.around.sent, 1);
    assert!(!greetings.is_empty() && !greetings.iter().any(acknowledges));
}

/// Nobody can have acknowledged another node with its key without it, so it is no use to ask.
#[test]
fn who_is_a_quorum_by_itself_or_no_member_need_not_ask_when_it_hears_nobody() {
    let mut genesis = genesis();
    genesis.masternodes[0].collateral = genesis.parameters.tiers[1].collateral;
    for (key, signs_on) in [(operator(0), true), (operator(1), false), (operator(9), true)] {
        let disk = MemoryDisk::new();
        let mut node = Node::of_genesis(&genesis, &disk, key, 0, &[], START_MS, Vec::new());
        node.consensus.instances = Instances::new([7; 16], LISTEN_MS, node.now_ms);
        node.hear(Message::Status(node.consensus.status()));
        for _ in 0..LISTEN_MS / 100 {
            node.now_ms += 100;
            node.feed(Event::Tick);
        }
        assert_eq!(node.consensus.signing() == Signing::Allowed, signs_on);
        // Whoever stood still does not know what became of its key meanwhile.
        node.now_ms += LISTEN_MS;
        node.feed(Event::Tick);
        assert!(matches!(node.consensus.signing(), Signing::Listening { .. }));
    }
}
