//! Executes what a simulated node orders: over the simulated disk, network and clock.

use std::sync::Arc;

use timed::consensus::events::{Answer, JournalOrder, Notification, Recipient, Shell, Shortfall, Timer};
use timed::consensus::sync::ahead::BlocksToCheck;
use timed::mempool::TransactionSource;
use timed::network::PeerId;
use timed::protocol::activation::UnknownRules;
use timed::storage::block_log::LoggedBlock;
use timed::types::{Message, Transaction};

use crate::world::{Item, World};

/// One node of the world, while it acts.
pub struct Acting<'a> {
    pub world: &'a mut World,
    pub node: usize,
}

impl Acting<'_> {
    fn place_of(&self, peer: PeerId) -> Option<usize> {
        self.world.nodes.iter().position(|other| other.peer == peer)
    }
}

impl Shell for Acting<'_> {
    fn journal(&mut self, order: JournalOrder) {
        if let JournalOrder::Commit(staged) = &order {
            self.world.check_silence(self.node, staged);
        }
        self.world.stage_write(self.node, order);
    }

    fn commit_block(&mut self, block: Box<LoggedBlock>) {
        self.world.hold_to_known_rules(self.node, &block.committed.block.header);
        let node = &mut self.world.nodes[self.node];
        let Some(running) = &mut node.running else { return };
        running.blocks_to_write.push(*block);
        let item = Item::WriteBlock { node: self.node, life: node.life };
        let delay = self.world.random.between(0, 5);
        self.world.after(delay, item);
    }

    fn check_blocks(&mut self, order: BlocksToCheck) {
        let (node, life) = (self.node, self.world.nodes[self.node].life);
        let delay = self.world.random.between(0, 5);
        self.world.after(delay, Item::BlocksChecked { node, life, answer: order.answer });
    }

    fn send(&mut self, to: PeerId, message: Message) {
        if let (Message::GetTransactions(txids), Some(running)) =
            (&message, &self.world.nodes[self.node].running)
        {
            running.requested.note(txids);
        }
        self.world.strangers.overhear(&message);
        self.world.hold_to_wire(self.node, &message);
        if let Some(to) = self.place_of(to) {
            self.world.send(self.node, to, message);
        }
    }

    fn relay(&mut self, message: Message, except: Option<PeerId>) {
        self.world.broadcast(self.node, &message, except);
    }

    fn serve(&mut self, to: Recipient, answer: Answer) {
        let Some(running) = &mut self.world.nodes[self.node].running else { return };
        let (messages, _) = running.assembler.messages(answer);
        for message in messages {
            match to {
                Recipient::Peer(peer) => self.send(peer, message),
                Recipient::All => self.relay(message, None),
            }
        }
    }

    fn schedule(&mut self, timer: Timer, delay_ms: u64) {
        let (node, life) = (self.node, self.world.nodes[self.node].life);
        self.world.after(delay_ms, Item::Timer { node, life, timer });
    }

    fn misbehaved(&mut self, peer: PeerId, what: &'static str) {
        assert!(self.world.may_be_blamed(peer), "an honest peer {peer} is blamed: {what}");
        self.world.seen.blamed += 1;
    }

    /// Messages get lost here, so anybody may seem to be late.
    fn failed(&mut self, _peer: PeerId, _what: Shortfall) {}

    fn check_transactions(&mut self, from: PeerId, transactions: Vec<Arc<Transaction>>) {
        let _nobody_waits = self.world.admit(self.node, TransactionSource::Peer(from), transactions);
    }

    fn stop(&mut self, why: UnknownRules) {
        self.world.outdated(self.node, why);
    }

    fn notify(&mut self, notification: Notification) {
        self.world.notified(self.node, notification);
    }

    fn goes_on(&self) -> bool {
        self.world.nodes[self.node].running.is_some()
    }
}
