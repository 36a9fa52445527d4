//! The index over each engine, from small sets to large ones: `cargo bench --bench index -- 1000000 5000000`.
//!
//! For each engine and number of outputs a process of its own fills an index with payments that make 1,000 outputs each,
//! as anybody may make them, and then applies payments that each spend one of them, chosen evenly, and make two. It is
//! marked as a node's is. Every input is looked up before, as a node does that has not seen it lately. Printed are, in
//! this order: microseconds of CPU for each output made; the same for each payment and for the lookup of its input, threads
//! of the engine included; the slowest mark; the slowest one of the lookups, and their 99th percentile in microseconds; the process's own memory
//! at its highest; bytes on disk for each byte of the raw set (96 an output); how long it takes to close the index, to open
//! it again, and to open it after it was killed in the middle of payments.
//!
//! Other arguments name engines (`sled`, `fjall`, `redb`); without any all are compared.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that can't go on ends, and it prints its figures"
)]

mod redb_index;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustix::time::{ClockId, clock_gettime};
use timed::runtime::Clock;
use timed::storage::index_writer::MARK_ENTRIES;
use timed::storage::{FjallIndex, Index, IndexChange, IndexStore, SledIndex};
use timed::types::{Amount, BlockHash, KeyHash, Lock, OutPoint, TxId, TxOut, UtxoEntry};

use crate::redb_index::RedbIndex;

/// As in the node: sled's rate depends on it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const ENGINES: [&str; 3] = ["sled", "fjall", "redb"];
const OUTPUTS: [u64; 2] = [10_000, 1_000_000];
const CACHE_MB: u64 = 768;
/// Outputs of a payment that fills the index, and such payments of a block.
const MANY: u64 = 1_000;
const FILLING: u64 = 32;
/// Payments that are measured, and those of a block.
const PAYMENTS: u64 = 60_000;
const BLOCK: u64 = 2_000;
/// Bytes of an output's name, value, lock and height in the raw set.
const RAW_BYTES: u64 = 96;
const STATE: [u8; 4_000] = [7; 4_000];

fn named(what: &str, number: u64) -> [u8; 32] {
    *blake3::hash(format!("{what} {number}").as_bytes()).as_bytes()
}

fn output(txid: TxId, index: u64, height: u64) -> (OutPoint, UtxoEntry) {
    let owner = *blake3::hash(&[txid.0.as_slice(), &index.to_le_bytes()].concat()).as_bytes();
    let entry =
        UtxoEntry { output: TxOut { value: Amount(1_000), lock: Lock::KeyHash(KeyHash(owner)) }, height };
    (OutPoint { txid, index: u32::try_from(index).unwrap() }, entry)
}

/// The output that is the `number`th of the filling.
fn filled(number: u64) -> (OutPoint, UtxoEntry) {
    let payment = number / MANY;
    output(TxId(named("filling", payment)), number % MANY, payment / FILLING)
}

fn block(height: u64) -> IndexChange {
    IndexChange {
        height,
        block_hash: BlockHash(named("block", height)),
        state: STATE.to_vec(),
        spent: Vec::new(),
        created: Vec::new(),
        replaced: Vec::new(),
        transactions: Vec::new(),
        receipts: Vec::new(),
        epoch_end: None,
        fuller: None,
        evidence: Vec::new(),
    }
}

fn filling_block(height: u64, outputs: u64) -> IndexChange {
    let numbers = height * FILLING * MANY..((height + 1) * FILLING * MANY).min(outputs);
    let transactions = (numbers.start / MANY..numbers.end.div_ceil(MANY)).map(|n| TxId(named("filling", n)));
    IndexChange {
        transactions: transactions.collect(),
        created: numbers.map(filled).collect(),
        ..block(height)
    }
}

/// Each number below `outputs` once, in an order without locality.
fn shuffled(number: u64, outputs: u64) -> u64 {
    // A prime that divides no power of ten.
    number.wrapping_mul(7_368_787) % outputs
}

fn payment_block(height: u64, first: u64, outputs: u64) -> IndexChange {
    let mut change = block(height);
    for number in first..first + BLOCK {
        let txid = TxId(named("payment", number));
        let (outpoint, entry) = filled(shuffled(number, outputs));
        change.spent.push((outpoint, entry, txid));
        change.created.extend([output(txid, 0, height), output(txid, 1, height)]);
        change.transactions.push(txid);
    }
    change
}

fn open(engine: &str, path: &Path) -> Index {
    let store: Arc<dyn IndexStore> = match engine {
        "sled" => Arc::new(SledIndex::open(path, CACHE_MB / 2).unwrap()),
        "fjall" => Arc::new(FjallIndex::open(path, CACHE_MB / 2).unwrap()),
        _ => Arc::new(RedbIndex::open(path, CACHE_MB / 2).unwrap()),
    };
    Index::new(store)
}

/// CPU time of this process, in microseconds.
fn cpu_us() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// The most memory of its own that this process has had, in MiB; files that are mapped do not count.
fn memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}

fn disk_bytes(path: &Path) -> u64 {
    let of = |entry: std::fs::DirEntry| {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() { disk_bytes(&entry.path()) } else { metadata.len() }
    };
    std::fs::read_dir(path).unwrap().map(|entry| of(entry.unwrap())).sum()
}

/// Applies and marks as the index's writer does.
struct Writer {
    index: Index,
    entries: usize,
    slowest_mark: f64,
    memory: u64,
}

impl Writer {
    fn take(&mut self, change: &IndexChange) {
        self.index.apply(change).unwrap();
        self.entries += change.entries();
        if self.entries >= MARK_ENTRIES || change.height == 0 {
            self.mark(change);
        }
    }

    fn mark(&mut self, change: &IndexChange) {
        let started = Clock.instant();
        self.index.set_mark(change.height, change.block_hash, &STATE).unwrap();
        self.slowest_mark = self.slowest_mark.max(started.elapsed().as_secs_f64());
        self.memory = self.memory.max(memory_mib());
        self.entries = 0;
    }
}

fn fill_and_pay(engine: &str, outputs: u64, path: &Path) -> String {
    let mut writer = Writer { index: open(engine, path), entries: 0, slowest_mark: 0.0, memory: 0 };
    let blocks = outputs.div_ceil(FILLING * MANY);
    let mut filling_us = 0.0;
    for height in 0..blocks {
        let change = filling_block(height, outputs);
        let started = cpu_us();
        writer.take(&change);
        filling_us += cpu_us() - started;
    }
    let payments = PAYMENTS.min(outputs / 2);
    let (mut lookups, mut looking_us, mut paying_us) = (Vec::new(), 0.0, 0.0);
    let mut height = blocks;
    let started = Clock.instant();
    for first in (0..payments).step_by(BLOCK as usize) {
        let change = payment_block(height, first, outputs);
        let began = cpu_us();
        for (outpoint, entry, _) in &change.spent {
            let asked = Clock.instant();
            assert_eq!(writer.index.utxo(outpoint).unwrap(), Some(*entry));
            lookups.push(asked.elapsed().as_secs_f64() * 1e6);
        }
        let looked = cpu_us();
        writer.take(&change);
        looking_us += looked - began;
        paying_us += cpu_us() - looked;
        height += 1;
    }
    let paid = started.elapsed().as_secs_f64();
    writer.mark(&block(height - 1));
    lookups.sort_by(f64::total_cmp);
    let (p99, slowest) = (lookups[lookups.len() * 99 / 100], lookups.last().unwrap());
    let Writer { index, slowest_mark, memory, .. } = writer;
    let started = Clock.instant();
    drop(index);
    let closed = started.elapsed().as_secs_f64();
    let made = outputs + payments;
    format!(
        "{:.1} us/output, {:.1} us/payment and {:.1} us/lookup ({:.0}/s), mark <= {:.0} ms, lookup p99 {p99:.0} us max {:.1} ms, \
         {memory} MiB, disk {:.1} x raw, close {closed:.1} s",
        filling_us / outputs as f64,
        paying_us / payments as f64,
        looking_us / payments as f64,
        payments as f64 / paid,
        slowest_mark * 1e3,
        slowest / 1e3,
        disk_bytes(path) as f64 / (made * RAW_BYTES) as f64,
    )
}

/// Opens the index, and reads from it so that it is open indeed. Gives seconds.
fn open_again(engine: &str, outputs: u64, path: &Path) -> f64 {
    let started = Clock.instant();
    let index = open(engine, path);
    assert!(index.mark().unwrap().is_some());
    assert!(index.utxo(&filled(shuffled(outputs - 1, outputs)).0).unwrap().is_some());
    started.elapsed().as_secs_f64()
}

/// Pays on and is killed in the middle.
fn pay_and_die(engine: &str, outputs: u64, path: &Path) {
    let index = open(engine, path);
    let height = index.mark().unwrap().unwrap().height + 1;
    let paid = PAYMENTS.min(outputs / 2);
    let mut writer = Writer { index, entries: 0, slowest_mark: 0.0, memory: 0 };
    for step in 0..(outputs / 4).min(20_000) / BLOCK {
        writer.take(&payment_block(height + step, paid + step * BLOCK, outputs));
    }
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
}

/// One step in a process of its own; gives what it printed.
fn in_process(step: &str, engine: &str, outputs: u64, path: &Path) -> String {
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program).args([step, engine, &outputs.to_string()]).arg(path).output().unwrap();
    let said = String::from_utf8(child.stderr).unwrap();
    assert!(child.status.success() || step == "die", "{step}: {said}");
    String::from_utf8(child.stdout).unwrap().trim().to_owned()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let [step @ ("fill" | "open" | "die"), engine, outputs, path] =
        arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice()
    {
        let (outputs, path) = (outputs.parse().unwrap(), Path::new(path));
        match *step {
            "fill" => println!("{}", fill_and_pay(engine, outputs, path)),
            "open" => println!("{:.1} s", open_again(engine, outputs, path)),
            _ => pay_and_die(engine, outputs, path),
        }
        return;
    }
    let sizes: Vec<u64> = arguments.iter().filter_map(|word| word.parse().ok()).collect();
    let sizes = if sizes.is_empty() { OUTPUTS.to_vec() } else { sizes };
    let named: Vec<&str> =
        ENGINES.into_iter().filter(|name| arguments.iter().any(|word| word == name)).collect();
    let engines = if named.is_empty() { ENGINES.to_vec() } else { named };
    for outputs in sizes {
        for engine in &engines {
            let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let path = home.path().join("index");
            let figures = in_process("fill", engine, outputs, &path);
            let clean = in_process("open", engine, outputs, &path);
            in_process("die", engine, outputs, &path);
            let killed = in_process("open", engine, outputs, &path);
            println!("{outputs} outputs, {engine}: {figures}, open {clean}, after a kill {killed}");
        }
    }
}
