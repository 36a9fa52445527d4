//! Holds the order of the house: reads all of `src/` and checks floors, bans, heads and sizes.
//!
//! Each check has a test of itself, on a small text that breaks its rule: a check that can't fail proves nothing. What
//! is compiled for tests only is exempt from the rules about names, and never from those about sizes and leftovers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a test's verdict")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// Folders and files right under `src/`, from the lowest floor up. Imports go downwards only; folders of one floor don't
/// know each other.
const FLOORS: [(&str, u8); 14] = [
    ("types", 1),
    ("protocol", 2),
    ("runtime", 3),
    ("storage", 4),
    ("network", 5),
    ("utxo", 6),
    ("mempool", 6),
    ("wallet", 6),
    ("consensus", 7),
    ("rpc", 8),
    ("app", 9),
    ("cli", 10),
    ("main", 11),
    ("lib", 12),
];
const FILE_LINES_MAX: usize = 700;
const FUNCTION_LINES_MAX: usize = 100;
/// Files above the bound, with their size when they were noted: they may only shrink.
const LONG_FILES: &[(&str, usize)] =
    &[("protocol/bft/machine.rs", 824), ("protocol/finality/machine.rs", 792)];
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

// -- reading ------------------------------------------------------------------------------------------------------

/// A path in the code, such as `crate::types::Amount`, imports included.
struct Name {
    segments: Vec<String>,
    /// The module that it stands in.
    module: Vec<String>,
    line: usize,
    in_test: bool,
}

struct Function {
    name: String,
    line: usize,
    lines: usize,
}

/// One file under `src/`.
struct Source {
    /// Below `src/`.
    path: String,
    lines: usize,
    /// The first paragraph of the module's documentation.
    head: String,
    /// Compiled for tests only, as a whole.
    is_test: bool,
    names: Vec<Name>,
    functions: Vec<Function>,
    /// Line and words of each attribute.
    attributes: Vec<(usize, Vec<String>)>,
    /// Names of modules that other files hold and that are compiled for tests only, with their `#[path]`.
    test_modules: Vec<(String, Option<String>)>,
}

#[derive(Default)]
struct Reader {
    module: Vec<String>,
    in_test: bool,
    names: Vec<Name>,
    functions: Vec<Function>,
    attributes: Vec<(usize, Vec<String>)>,
    test_modules: Vec<(String, Option<String>)>,
}

/// Words of a token stream with their lines: identifiers, and `::` and `.` where they stand.
fn words(tokens: TokenStream, out: &mut Vec<(usize, String)>) {
    for token in tokens {
        let line = token.span().start().line;
        match token {
            TokenTree::Group(group) => {
                out.push((line, "(".to_owned()));
                words(group.stream(), out);
                out.push((line, ")".to_owned()));
            }
            TokenTree::Ident(ident) => out.push((line, ident.to_string())),
            TokenTree::Punct(punct) => out.push((line, punct.as_char().to_string())),
            TokenTree::Literal(_) => out.push((line, "0".to_owned())),
        }
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

fn attribute_words(attribute: &syn::Attribute) -> Vec<String> {
    let mut found =
        vec![(0, attribute.path().segments.last().map(|s| s.ident.to_string()).unwrap_or_default())];
    if let syn::Meta::List(list) = &attribute.meta {
        words(list.tokens.clone(), &mut found);
    }
    found.into_iter().map(|(_, word)| word).filter(|word| is_word(word)).collect()
}

/// `#[test]`, `#[tokio::test]`, `#[cfg(test)]`, `#[cfg(all(test, ...))]`.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let words = attribute_words(attribute);
        let has = |word: &str| words.iter().any(|found| found == word);
        words == ["test"] || (has("cfg") && has("test") && !has("not") && !has("any"))
    })
}

fn attributes_of(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn string_of(meta: &syn::Meta) -> Option<String> {
    match meta {
        syn::Meta::NameValue(syn::MetaNameValue {
            value: syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }),
            ..
        }) => Some(text.value()),
        _ => None,
    }
}

impl Reader {
    fn note(&mut self, segments: Vec<String>, line: usize) {
        let (module, in_test) = (self.module.clone(), self.in_test);
        self.names.push(Name { segments, module, line, in_test });
    }

    fn note_use(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.note_use(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) => self.note(with(&name.ident), name.ident.span().start().line),
            syn::UseTree::Rename(rename) => self.note(with(&rename.ident), rename.ident.span().start().line),
            syn::UseTree::Glob(glob) => {
                self.note([before, &["*".to_owned()]].concat(), glob.star_token.span.start().line);
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.note_use(item, before)),
        }
    }

    /// Paths in a macro's tokens, which syn does not parse.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut found = Vec::new();
        words(tokens, &mut found);
        let mut path: Vec<String> = Vec::new();
        let (mut colons, mut after_dot, mut start) = (0, false, 0);
        for (line, word) in found.into_iter().chain([(0, ";".to_owned())]) {
            if word == ":" && !path.is_empty() {
                colons += 1;
            } else if is_word(&word) && colons == 2 {
                path.push(word);
                colons = 0;
            } else {
                let ended = std::mem::take(&mut path);
                // A lone `crate` is a part of `$crate` or of a visibility; after a dot stands a field or a method.
                if !ended.is_empty() && ended != ["crate"] && !after_dot {
                    self.note(ended, start);
                }
                (colons, after_dot) = (0, if is_word(&word) { after_dot } else { word == "." });
                if is_word(&word) {
                    (path, start) = (vec![word], line);
                }
            }
        }
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let line = signature.fn_token.span.start().line;
        let lines = block.brace_token.span.close().end().line - line + 1;
        self.functions.push(Function { name: signature.ident.to_string(), line, lines });
    }

    fn scoped(&mut self, is_test: bool, inside: impl FnOnce(&mut Self)) {
        let before = self.in_test;
        self.in_test |= is_test;
        inside(self);
        self.in_test = before;
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        self.scoped(is_for_tests(attributes_of(item)), |reader| visit::visit_item(reader, item));
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.content.is_none() && self.in_test {
            let path = module.attrs.iter().find(|attribute| attribute.path().is_ident("path"));
            let path = path.and_then(|attribute| string_of(&attribute.meta));
            self.test_modules.push((module.ident.to_string(), path));
        }
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        item.attrs.iter().for_each(|attribute| self.visit_attribute(attribute));
        self.note_use(&item.tree, &[]);
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.function(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.function(&function.sig, &function.block);
        self.scoped(is_for_tests(&function.attrs), |reader| visit::visit_impl_item_fn(reader, function));
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.function(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let line = path.segments.first().map_or(0, |segment| segment.ident.span().start().line);
        self.note(path.segments.iter().map(|segment| segment.ident.to_string()).collect(), line);
        visit::visit_path(self, path);
    }

    fn visit_vis_restricted(&mut self, _visibility: &'ast syn::VisRestricted) {}

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit::visit_macro(self, call);
        self.note_tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        self.attributes.push((attribute.pound_token.span.start().line, attribute_words(attribute)));
        if let syn::Meta::List(list) = &attribute.meta {
            self.note_tokens(list.tokens.clone());
        }
    }

    fn visit_lit_float(&mut self, literal: &'ast syn::LitFloat) {
        self.note(vec!["f64".to_owned()], literal.span().start().line);
    }
}

fn head_of(file: &syn::File) -> String {
    let is_doc = |attribute: &&syn::Attribute| attribute.path().is_ident("doc");
    let text = file.attrs.iter().filter(is_doc).filter_map(|attribute| string_of(&attribute.meta));
    text.map(|line| line.trim().to_owned()).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

impl Source {
    fn read(path: &str, text: &str) -> Self {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut module: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod") || module == ["main"] || module == ["lib"] {
            module.pop();
        }
        let mut reader = Reader { module, ..Reader::default() };
        reader.visit_file(&file);
        let Reader { names, functions, attributes, test_modules, .. } = reader;
        let (path, lines, head) = (path.to_owned(), text.lines().count(), head_of(&file));
        Self { path, lines, head, is_test: false, names, functions, attributes, test_modules }
    }

    /// The folder or file right under `src/` that it belongs to.
    fn folder(&self) -> &str {
        self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// The names outside of tests.
    fn used(&self) -> impl Iterator<Item = &Name> {
        self.names.iter().filter(|name| !self.is_test && !name.in_test)
    }

    /// The files, without extension, of its modules for tests: `(file, also everything in the folder of this name)`.
    fn test_files(&self) -> Vec<String> {
        let path = Path::new(&self.path);
        let parent = path.parent().unwrap_or(Path::new(""));
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let own =
            if ["mod", "lib", "main"].contains(&stem) { parent.to_path_buf() } else { parent.join(stem) };
        let file = |(name, path): &(String, Option<String>)| match path {
            Some(path) => parent.join(path.trim_end_matches(".rs")),
            None => own.join(name),
        };
        self.test_modules.iter().map(|module| file(module).to_string_lossy().into_owned()).collect()
    }
}

fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn mark_tests(sources: &mut [Source]) {
    let tests: Vec<String> = sources.iter().flat_map(Source::test_files).collect();
    for source in sources {
        let path = source.path.trim_end_matches(".rs");
        source.is_test = tests.iter().any(|test| path == test || path.starts_with(&format!("{test}/")));
    }
}

/// All of `src/`.
fn house() -> Vec<Source> {
    let src = root().join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    files.sort();
    let read = |file: &PathBuf| {
        let path = file.strip_prefix(&src).unwrap().to_string_lossy().replace('\\', "/");
        Source::read(&path, &std::fs::read_to_string(file).unwrap())
    };
    let mut sources: Vec<Source> = files.iter().map(read).collect();
    mark_tests(&mut sources);
    sources
}

// -- checks -------------------------------------------------------------------------------------------------------

type Check = fn(&Source) -> Vec<String>;

fn found(source: &Source, line: usize, what: impl std::fmt::Display) -> String {
    format!("src/{}:{line}: {what}", source.path)
}

/// The folder that a name leads to: `Some("")` for the crate's root itself, `None` outside of the crate.
fn target(name: &Name) -> Option<String> {
    let up = name.segments.iter().take_while(|segment| *segment == "super").count();
    let below = name.segments.get(up.max(1)).filter(|segment| *segment != "*").cloned().unwrap_or_default();
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
    if !["types", "protocol"].contains(&source.folder()) {
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
    if ["app", "cli"].contains(&source.folder()) {
        return Vec::new();
    }
    let names = |name: &&Name| name.segments.iter().any(|segment| segment == "AppContext");
    source.used().filter(names).map(|name| found(source, name.line, "AppContext below its floor")).collect()
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

#[test]
fn each_file_says_what_it_is() {
    hold(heads);
}

#[test]
fn files_and_functions_are_short() {
    hold(sizes);
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

// -- the crates ---------------------------------------------------------------------------------------------------

/// Versions of each crate by name.
type Versions = BTreeMap<String, BTreeSet<Vec<u64>>>;

fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '+', '-']).map_while(|part| part.parse().ok()).collect()
}

/// All versions but the newest of crates that `cargo tree -d` names more than once.
fn older_versions(tree: &str) -> BTreeSet<(String, Vec<u64>)> {
    let mut versions = Versions::new();
    for line in tree.lines() {
        if let Some((name, rest)) = line.split_once(" v") {
            let version = rest.split(' ').next().unwrap_or_default();
            versions.entry(name.to_owned()).or_default().insert(numbers(version));
        }
    }
    let older = |(name, mut versions): (String, BTreeSet<Vec<u64>>)| {
        versions.pop_last();
        versions.into_iter().map(move |version| (name.clone(), version))
    };
    versions.into_iter().flat_map(older).collect()
}

/// The versions that `.deny.toml` lets be, each with a reason.
fn skipped(text: &str) -> BTreeSet<(String, Vec<u64>)> {
    let config: toml::Table = text.parse().unwrap();
    let entry = |entry: &toml::Value| {
        let (name, version) = entry["crate"].as_str().unwrap().split_once('@').unwrap();
        assert!(entry["reason"].as_str().is_some_and(|reason| reason.len() > 10), "{name} has no reason");
        (name.to_owned(), numbers(version))
    };
    config["bans"]["skip"].as_array().unwrap().iter().map(entry).collect()
}

#[test]
fn duplicate_crates_are_those_with_a_reason() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = "x86_64-unknown-linux-gnu";
    let arguments = ["tree", "--duplicates", "--depth", "0", "--locked", "--offline", "--target", target];
    let output = std::process::Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let older = older_versions(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(skipped(&std::fs::read_to_string(root().join(".deny.toml")).unwrap()), older);
}

#[test]
fn the_check_of_duplicates_sees_all_but_the_newest() {
    let older =
        older_versions("a v0.9.1\na v0.10.2 (*)\nb v1.0.0\nb v1.0.0 (proc-macro)\n\na v0.10.3+spec\n");
    assert_eq!(older, [("a".to_owned(), vec![0, 9, 1]), ("a".to_owned(), vec![0, 10, 2])].into());
}
