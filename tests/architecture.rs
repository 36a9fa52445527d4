//! Holds the order of the house: reads all of `src/` and checks floors, bans, heads and sizes.
//!
//! Each check has a test of itself, on a small text that breaks its rule: a check that can't fail proves nothing. What
//! is compiled for tests only is exempt from the rules about names, and never from those about sizes and leftovers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a test's verdict")]

#[path = "architecture/additions.rs"]
mod additions;
#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/claims.rs"]
mod claims;
#[path = "architecture/config_keys.rs"]
mod config_keys;
#[path = "architecture/crates.rs"]
mod crates;
#[path = "architecture/formats.rs"]
mod formats;
#[path = "architecture/invariants.rs"]
mod invariants;
#[path = "architecture/map.rs"]
mod map;
#[path = "architecture/metrics.rs"]
mod metrics;
#[path = "architecture/source.rs"]
mod source;

use source::{Function, Name, Source, house, mark_tests};

/// Folders and files right under `src/`, from the lowest floor up. Imports go downwards only; folders of one floor don't
/// know each other.
const FLOORS: [(&str, u8); 17] = [
    ("types", 1),
    ("protocol", 2),
    ("runtime", 3),
    ("storage", 4),
    ("network", 5),
    ("utxo", 6),
    ("mempool", 6),
    ("wallet", 6),
    ("admission", 7),
    ("consensus", 7),
    ("rpc", 8),
    ("app", 9),
    ("devnet", 10),
    ("cli", 11),
    ("main", 12),
    ("lib", 13),
    ("build", 13),
];
const FILE_LINES_MAX: usize = 700;
const FUNCTION_LINES_MAX: usize = 100;
/// Files above the bound, with their size when they were noted: they may only shrink.
const LONG_FILES: &[(&str, usize)] = &[];
/// Functions above the bound, likewise.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[];
/// Names that the pure floors don't know: clocks, tasks, disks, chance, unordered iteration, floats.
const IMPURE: [&str; 15] = [
    "tokio",
    "sled",
    "dashmap",
    "DashMap",
    "HashMap",
    "HashSet",
    "RandomState",
    "rand",
    "getrandom",
    "Instant",
    "SystemTime",
    "Clock",
    "f32",
    "f64",
    "rayon",
];
/// Where tasks are started.
const TASK_HOME: &str = "runtime/tasks.rs";
/// Where own messages are released: beside the syncs that make them durable.
const RELEASE_HOMES: [&str; 3] = ["types/released.rs", "storage/journal.rs", "storage/block_log.rs"];
/// The folders that send, or order what is sent, and those of their files that decode: what comes from a decoder may be
/// sent, so an own message must not take the way round by its encoding.
const SENDERS: [&str; 3] = ["network", "admission", "consensus"];
const DECODERS: [&str; 5] = [
    "network/handshake.rs",
    "network/versions.rs",
    "network/session.rs",
    "consensus/replay.rs",
    "consensus/snapshot_load.rs",
];

// -- checks -------------------------------------------------------------------------------------------------------

type Check = fn(&Source) -> Vec<String>;

fn found(source: &Source, line: usize, what: impl std::fmt::Display) -> String {
    format!("src/{}:{line}: {what}", source.path)
}

/// The folder that a name leads to: `Some("")` for the crate's root itself, `None` outside of the crate.
fn target(name: &Name) -> Option<String> {
    let up = name.segments.iter().take_while(|segment| *segment == "super").count();
    let below = name.segments.get(up.max(1)).cloned().unwrap_or_default();
    match name.segments.first()?.as_str() {
        "crate" | "timed" => Some(below),
        "super" if up < name.module.len() => Some(name.module[0].clone()),
        "super" => Some(below),
        _ => None,
    }
}

fn floors(source: &Source) -> Vec<String> {
    let floor = |folder: &str| FLOORS.iter().find(|(name, _)| *name == folder).map(|(_, floor)| *floor);
    let Some(own) = floor(source.folder()) else {
        return vec![found(source, 1, "this folder has no floor; give it one in FLOORS")];
    };
    let wrong = |name: &Name| {
        let to = target(name)?;
        let path = name.segments.join("::");
        match floor(&to) {
            _ if to == source.folder() => None,
            None => Some(found(source, name.line, format!("`{path}` names no floor"))),
            Some(to) if to >= own => Some(found(source, name.line, format!("`{path}` leads upwards"))),
            Some(_) => None,
        }
    };
    source.used().filter_map(wrong).collect()
}

fn pure_floors(source: &Source) -> Vec<String> {
    // It shows nobody the order of the hash map in it: INV-KEYED-1.
    if !["types", "protocol"].contains(&source.folder()) || source.path == "types/keyed.rs" {
        return Vec::new();
    }
    let impure = |name: &&Name| {
        name.segments.iter().any(|segment| IMPURE.contains(&segment.as_str()))
            || name.segments.windows(2).any(|pair| pair == ["std", "time"])
    };
    let what = |name: &Name| found(source, name.line, format!("`{}` is not pure", name.segments.join("::")));
    source.used().filter(impure).map(what).collect()
}

fn concurrent_maps(source: &Source) -> Vec<String> {
    if ["utxo", "mempool"].contains(&source.folder()) || source.path == "network/connection_manager.rs" {
        return Vec::new();
    }
    let is_map =
        |name: &&Name| name.segments.iter().any(|s| ["dashmap", "DashMap", "DashSet"].contains(&s.as_str()));
    source
        .used()
        .filter(is_map)
        .map(|name| found(source, name.line, "a concurrent map outside of its homes"))
        .collect()
}

fn tasks_and_queues(source: &Source) -> Vec<String> {
    let unbounded = ["unbounded", "unbounded_channel", "UnboundedSender", "UnboundedReceiver"];
    let wrong = |name: &Name| {
        let segments: Vec<&str> = name.segments.iter().map(String::as_str).collect();
        let ends = |end: &[&str]| segments.ends_with(end);
        let grows = segments.iter().any(|segment| unbounded.contains(segment));
        if grows || ends(&["std", "sync", "mpsc", "channel"]) {
            return Some("a queue without a bound");
        }
        let spawns = ends(&["tokio", "spawn"]) || ends(&["task", "spawn"]);
        (spawns && source.path != TASK_HOME).then_some("a task without a name; use the task registry")
    };
    source.used().filter_map(|name| Some(found(source, name.line, wrong(name)?))).collect()
}

fn app_context(source: &Source) -> Vec<String> {
    if ["app", "devnet", "cli"].contains(&source.folder()) {
        return Vec::new();
    }
    let names = |name: &&Name| name.segments.iter().any(|segment| segment == "AppContext");
    source.used().filter(names).map(|name| found(source, name.line, "AppContext below its floor")).collect()
}

fn releases(source: &Source) -> Vec<String> {
    let is_home = RELEASE_HOMES.contains(&source.path.as_str());
    let decodes = !SENDERS.contains(&source.folder()) || DECODERS.contains(&source.path.as_str());
    let wrong = |name: &Name| match name.segments.last()?.as_str() {
        "of_durable" if !is_home => Some("only the vote journal and the block log release what is durable"),
        "decode" | "Decode" if !decodes => Some("what is decoded can be sent; decode in DECODERS alone"),
        _ => None,
    };
    source.used().filter_map(|name| Some(found(source, name.line, wrong(name)?))).collect()
}

fn heads(source: &Source) -> Vec<String> {
    if source.is_test || source.head.ends_with(['.', ':', '?']) && source.head.contains(' ') {
        return Vec::new();
    }
    vec![found(source, 1, "the file does not start with a `//!` sentence")]
}

fn sizes(source: &Source) -> Vec<String> {
    let file = LONG_FILES.iter().find(|(path, _)| *path == source.path).map(|(_, lines)| *lines);
    let mut wrong = Vec::from_iter(over(source, 1, "the file", source.lines, FILE_LINES_MAX, file));
    for function in &source.functions {
        let known = |(path, name, _): &&(&str, &str, usize)| *path == source.path && *name == function.name;
        let known = LONG_FUNCTIONS.iter().find(known).map(|(.., lines)| *lines);
        wrong.extend(over(source, function.line, &function.name, function.lines, FUNCTION_LINES_MAX, known));
    }
    wrong
}

fn over(
    source: &Source,
    line: usize,
    what: &str,
    lines: usize,
    bound: usize,
    known: Option<usize>,
) -> Option<String> {
    let limit = known.unwrap_or(bound);
    (lines > limit)
        .then(|| found(source, line, format!("{what} has {lines} lines, more than {limit}: split it")))
}

/// Operators look for words of the log, so all of it is written in one way.
fn log_messages(source: &Source) -> Vec<String> {
    let spoken = source.messages.iter().filter(|message| !source.is_test && !message.in_test);
    let wrong = spoken.filter(|message| message.text.starts_with(char::is_lowercase));
    wrong
        .map(|message| found(source, message.line, format!("{:?} begins with a small letter", message.text)))
        .collect()
}

fn leftovers(source: &Source) -> Vec<String> {
    let silences = |(_, words): &&(usize, Vec<String>)| {
        let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
        has(&["allow", "expect"]) && has(&["dead_code", "unused", "warnings"])
    };
    let silenced =
        source.attributes.iter().filter(silences).map(|(line, _)| (*line, "unused code is allowed"));
    let unfinished =
        |name: &&Name| matches!(name.segments.last().map(String::as_str), Some("todo" | "unimplemented"));
    let unfinished =
        source.names.iter().filter(unfinished).map(|name| (name.line, "something is not written yet"));
    silenced.chain(unfinished).map(|(line, what)| found(source, line, what)).collect()
}

// -- the house ----------------------------------------------------------------------------------------------------

fn hold(check: Check) {
    let wrong: Vec<String> = house().iter().flat_map(check).collect();
    assert!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn imports_go_downwards() {
    hold(floors);
}

/// INV-VALID-2.
#[test]
fn types_and_protocol_are_pure() {
    hold(pure_floors);
}

#[test]
fn concurrent_maps_stay_in_their_homes() {
    hold(concurrent_maps);
}

#[test]
fn tasks_are_named_and_queues_are_bounded() {
    hold(tasks_and_queues);
}

#[test]
fn services_get_handles_instead_of_the_context() {
    hold(app_context);
}

/// INV-RELEASED-1.
#[test]
fn own_messages_are_released_where_they_become_durable() {
    hold(releases);
}

#[test]
fn each_file_says_what_it_is() {
    hold(heads);
}

#[test]
fn files_and_functions_are_short() {
    hold(sizes);
}

#[test]
fn lines_of_the_log_begin_with_a_capital() {
    hold(log_messages);
    let told = house().iter().map(|source| source.messages.len()).sum::<usize>();
    assert!(told > 60, "{told} lines of the log were seen");
}

#[test]
fn nothing_is_left_unfinished() {
    hold(leftovers);
}

#[test]
fn exceptions_are_still_needed() {
    let sources = house();
    let source = |path: &str| sources.iter().find(|source| source.path == path);
    for (path, _) in LONG_FILES {
        assert!(source(path).is_some_and(|s| s.lines > FILE_LINES_MAX), "strike {path} from LONG_FILES");
    }
    for (path, name, _) in LONG_FUNCTIONS {
        let is_long = |function: &Function| function.name == *name && function.lines > FUNCTION_LINES_MAX;
        let found = source(path).is_some_and(|source| source.functions.iter().any(is_long));
        assert!(found, "strike {name} of {path} from LONG_FUNCTIONS");
    }
}

#[test]
fn the_whole_house_is_read() {
    let sources = house();
    for (folder, _) in FLOORS {
        assert!(sources.iter().any(|source| source.folder() == folder), "src/{folder} is missing");
    }
    assert!(sources.len() > 100, "{} files", sources.len());
    // These would be blind if names or tests were not seen.
    assert!(sources.iter().filter(|source| source.is_test).count() > 10);
    let to_types = |source: &Source| source.used().any(|name| target(name).as_deref() == Some("types"));
    assert!(sources.iter().filter(|source| to_types(source)).count() > 50);
}

// -- the checks themselves ----------------------------------------------------------------------------------------

const HEAD: &str = "//! A module that says what it is.\n";

/// Holds that the check finds each of the wrong texts, and nothing in the right ones.
fn proves(check: Check, path: &str, wrong: &[&str], right: &[&str]) {
    for (texts, expected) in [(wrong, true), (right, false)] {
        for text in texts {
            let findings = check(&Source::read(path, &format!("{HEAD}{text}\n")));
            assert_eq!(!findings.is_empty(), expected, "{path}: {text}\n{findings:?}");
        }
    }
}

#[test]
fn the_check_of_floors_finds_each_way_upwards() {
    let wrong = [
        "use crate::consensus::Engine;",
        "use crate::{types::Amount, rpc::server};",
        "use super::super::network;",
        "use super::super::{types, network::Frame};",
        "fn f() { crate::app::start(); }",
        "fn f(x: Vec<crate::wallet::Key>) {}",
        "fn f() { vec![crate::mempool::Pool::new()]; }",
        "mod inner { use super::super::super::utxo::UtxoManager; }",
        "use crate::*;",
        "use super::super::*;",
        "use crate as house;",
        "impl crate::cli::Run for () {}",
        "#[derive(crate::network::Derive)] struct S;",
    ];
    let right = [
        "use crate::types::{Amount, block::Block};",
        "use super::super::runtime::Clock;",
        "use super::journal::Staged;",
        "use super::*;",
        "use crate::storage::disk::Disk;",
        "pub(crate) struct S; impl S { fn f(&self) { self.network(); } }",
        "#[cfg(test)] mod tests { use crate::network::Frame; }",
        "#[test] fn f() { crate::app::start(); }",
        "mod inner { use super::super::log; }",
    ];
    proves(floors, "storage/log.rs", &wrong, &right);
    proves(
        floors,
        "mempool/mod.rs",
        &["use crate::utxo::UtxoManager;", "use super::utxo;"],
        &["use super::types::Amount;"],
    );
    proves(floors, "cli/mod.rs", &["use timed::main::X;"], &["use crate::app::start;"]);
    proves(floors, "extras/mod.rs", &[""], &[]);
}

#[test]
fn the_check_of_purity_finds_each_impure_name() {
    let wrong = [
        "use std::collections::HashMap;",
        "use std::time::Duration;",
        "use std::{time, fmt};",
        "fn f(x: f64) {}",
        "fn f() { let x = 0.5; }",
        "fn f() { tokio::task::yield_now(); }",
        "fn f() { println!(\"{}\", rand::random()); }",
        "type T = std::collections::hash_set::HashSet<u8>;",
    ];
    let right = [
        "use std::collections::BTreeMap;",
        "#[cfg(test)] mod tests { use std::time::Instant; }",
        "fn f(time: u64) { g(time.rand); }",
    ];
    proves(pure_floors, "protocol/finality/machine.rs", &wrong, &right);
    proves(pure_floors, "types/hash.rs", &wrong, &right);
    proves(pure_floors, "network/mod.rs", &[], &wrong);
}

#[test]
fn the_check_of_concurrent_maps_finds_them_elsewhere() {
    let maps = ["use dashmap::DashMap;", "struct S { m: dashmap::DashMap<u8, u8> }", "use dashmap as d;"];
    proves(concurrent_maps, "rpc/server.rs", &maps, &["use std::collections::BTreeMap;"]);
    proves(concurrent_maps, "network/peer_manager.rs", &maps, &[]);
    proves(concurrent_maps, "network/connection_manager.rs", &[], &maps);
    proves(concurrent_maps, "utxo/locks.rs", &[], &maps);
}

#[test]
fn the_check_of_tasks_and_queues_finds_nameless_and_unbounded_ones() {
    let tasks = [
        "fn f() { tokio::spawn(g()); }",
        "use tokio::task; fn f() { task::spawn(g()); }",
        "use tokio::spawn;",
    ];
    let queues = [
        "use tokio::sync::mpsc::unbounded_channel;",
        "fn f() { std::sync::mpsc::channel::<u8>(); }",
        "fn f() { futures::channel::mpsc::unbounded::<u8>(); }",
        "struct S(tokio::sync::mpsc::UnboundedSender<u8>);",
    ];
    let right =
        ["fn f() { tokio::task::spawn_blocking(g); }", "fn f() { tokio::sync::mpsc::channel::<u8>(3); }"];
    proves(tasks_and_queues, "network/mod.rs", &[tasks.as_slice(), &queues].concat(), &right);
    proves(tasks_and_queues, TASK_HOME, &queues, &tasks);
}

#[test]
fn the_check_of_the_context_finds_it_below_its_floor() {
    let names = ["use super::AppContext;", "fn f(context: &AppContext) {}"];
    proves(app_context, "rpc/mod.rs", &names, &["fn f(handles: &Handles) {}"]);
    proves(app_context, "app/start.rs", &[], &names);
}

#[test]
fn the_check_of_releases_finds_each_way_past_the_disk() {
    let makes = [
        "fn f(vote: Arc<BlockVote>) { g(Released::of_durable(vote)); }",
        "fn f() { votes.map(crate::types::Released::of_durable); }",
        "fn f() { Released::<BlockVote>::of_durable(vote); }",
    ];
    let decodes = [
        "use crate::types::codec::{decode, encode};",
        "fn f() { crate::types::codec::decode(&bytes); }",
        "use bincode::Decode;",
    ];
    let right = ["use crate::types::codec::encode;", "fn f(vote: Released<BlockVote>) { g(vote.clone()); }"];
    proves(releases, "consensus/outbox.rs", &[makes, decodes].concat(), &right);
    proves(releases, "network/session.rs", &makes, &decodes);
    proves(releases, "storage/index.rs", &makes, &decodes);
    proves(releases, "storage/journal.rs", &[], &makes);
}

#[test]
fn the_check_of_heads_finds_files_without_a_sentence() {
    for text in ["fn f() {}", "//! todo", "//!\n//! Late.", "// A sentence that is no documentation."] {
        assert!(!heads(&Source::read("rpc/mod.rs", text)).is_empty(), "{text}");
    }
    assert!(heads(&Source::read("rpc/mod.rs", "//! A sentence\n//! of two lines.\n\nfn f() {}")).is_empty());
}

#[test]
fn the_check_of_sizes_finds_long_files_and_functions() {
    let lines = |count: usize| "\n".repeat(count);
    let function = |count: usize| format!("fn f() {{{}}}", lines(count - 1));
    let method = |count: usize| format!("struct S; impl S {{ {} }}", function(count));
    let right = [function(FUNCTION_LINES_MAX), method(FUNCTION_LINES_MAX), lines(FILE_LINES_MAX - 2)];
    let wrong = [function(FUNCTION_LINES_MAX + 1), method(FUNCTION_LINES_MAX + 1), lines(FILE_LINES_MAX)];
    let [right, wrong] = [&right, &wrong].map(|texts| texts.iter().map(String::as_str).collect::<Vec<_>>());
    proves(sizes, "rpc/mod.rs", &wrong, &right);
    let source = Source::read("rpc/mod.rs", HEAD);
    assert!(over(&source, 1, "f", 800, 700, Some(800)).is_none());
    assert!(over(&source, 1, "f", 801, 700, Some(800)).is_some(), "an exception may only shrink");
}

#[test]
fn the_check_of_the_log_finds_small_letters_behind_fields_too() {
    let wrong = [
        "fn f() { tracing::info!(\"started\"); }",
        "use tracing::warn; fn f() { warn!(height, hash = %g(1, \"X\"), \"a block of {} is bad\", x); }",
        "fn f() { tracing::debug!(name = \"X\", \"opened\"); }",
        "fn f() { match x { Err(error) => tracing::error!(%error, \"no disk\"), Ok(()) => {} } }",
    ];
    let right = [
        "fn f() { tracing::info!(what = \"small\", \"Started\"); }",
        "fn f() { tracing::info!(\"{}\", words); }",
        "fn f() { tracing::warn!(\"[logging] format changes with a restart\"); }",
        "fn f() { write!(text, \"small\"); }",
        "#[cfg(test)] mod tests { fn f() { tracing::info!(\"small\"); } }",
    ];
    proves(log_messages, "rpc/mod.rs", &wrong, &right);
}

#[test]
fn the_check_of_leftovers_finds_them_in_tests_as_well() {
    let wrong = [
        "#[allow(dead_code)] fn f() {}",
        "#![allow(unused)]",
        "#[cfg_attr(test, allow(dead_code, reason = \"later\"))] fn f() {}",
        "struct S { #[expect(dead_code)] x: u8 }",
        "fn f() { todo!() }",
        "#[cfg(test)] mod tests { fn f() { unimplemented!(\"x\") } }",
        "fn f() { assert!(std::todo!()); }",
    ];
    proves(leftovers, "rpc/mod.rs", &wrong, &["#[allow(clippy::unwrap_used, reason = \"x\")] fn f() {}"]);
}

#[test]
fn files_of_test_modules_are_known_as_such() {
    let mut sources = [
        Source::read("utxo/mod.rs", "#[cfg(test)]\nmod tests;\nmod locks;"),
        Source::read("utxo/tests.rs", ""),
        Source::read("utxo/tests/more.rs", ""),
        Source::read(
            "utxo/locks.rs",
            "#[cfg(test)]\n#[path = \"lock_tests.rs\"]\nmod tests;\n#[cfg(not(test))]\nmod real;",
        ),
        Source::read("utxo/lock_tests.rs", ""),
        Source::read("utxo/locks/real.rs", ""),
        Source::read("utxo/tests_of_others.rs", ""),
    ];
    mark_tests(&mut sources);
    assert_eq!(sources.map(|source| source.is_test), [false, true, true, false, true, false, false]);
}
