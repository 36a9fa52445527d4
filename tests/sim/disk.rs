//! What nodes write, when it becomes durable, and when the machine dies instead.

use timed::consensus::events::{Event, JournalOrder};
use timed::storage::memory_disk::Fault;
use timed::types::Message;

use crate::world::{Item, World};

impl World {
    pub(super) fn stage_write(&mut self, node: usize, order: JournalOrder) {
        let Some(running) = &mut self.nodes[node].running else { return };
        running.writes.push(order);
        if !running.write_scheduled {
            self.schedule_writing(node);
        }
    }

    fn schedule_writing(&mut self, node: usize) {
        let life = self.nodes[node].life;
        let Some(running) = &mut self.nodes[node].running else { return };
        running.write_scheduled = !running.writes.is_empty();
        if running.write_scheduled {
            let delay = self.random.between(0, 3);
            self.after(delay, Item::WriteJournal { node, life });
        }
    }

    pub(super) fn write_journal(&mut self, node: usize) {
        // Sometimes the machine dies within the write.
        if !self.faults_over && self.plan.crashes && self.random.chance(2) {
            let operation = self.random.between(1, 3);
            self.nodes[node].disk.fail_after(operation, Fault::InputOutput);
        }
        let Some(running) = &mut self.nodes[node].running else { return };
        match running.write_journal() {
            Ok(durable) => {
                self.evidence_on_disk.append(&mut running.evidence_on_disk);
                for message in durable.iter().cloned().map(Message::from) {
                    self.log_signed(node, &message);
                    if let Message::BlockVote(vote) = &message {
                        self.note_signer(vote.validator);
                    }
                    self.note_signed(node, &message);
                    self.stopwatch.signed(&message, self.now_ms);
                    self.broadcast(node, &message, None);
                }
                self.schedule_writing(node);
                self.feed(node, Event::Persisted(durable));
            }
            Err(problem) => {
                self.log(|| format!("node {node}: {problem}"));
                self.stop(node);
            }
        }
    }

    /// Writes all blocks that wait, with one sync.
    pub(super) fn write_blocks(&mut self, node: usize) {
        let Some(running) = &mut self.nodes[node].running else { return };
        let blocks = std::mem::take(&mut running.blocks_to_write);
        match running.log.append_all(&blocks) {
            Ok(written) => {
                let life = self.nodes[node].life;
                if let Some(last) = written.last() {
                    self.nodes[node].durable = last.height();
                }
                for durable in written {
                    if !self.is_alive(node, life) {
                        return;
                    }
                    // Sometimes the machine dies before the rest of the node hears of it.
                    if !self.faults_over && self.plan.crashes && self.random.chance(15) {
                        self.stop(node);
                    } else {
                        self.feed(node, Event::BlockPersisted(durable));
                    }
                }
            }
            Err(problem) => {
                self.log(|| format!("node {node}: {problem}"));
                self.stop(node);
            }
        }
    }
}
