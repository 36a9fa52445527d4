//! Holds the map in `src/lib.rs`, and the heads of the folders, to what there is: floors, threads, numbers, files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::FLOORS;
use crate::source::{Source, folder_text, house};

const MAP: &str = include_str!("../../src/lib.rs");

/// The lines of documentation that a text begins with.
fn head_of(text: &str) -> String {
    text.lines().map_while(|line| line.strip_prefix("//!")).collect::<Vec<_>>().join("\n")
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

// -- floors and threads -------------------------------------------------------------------------------------------

#[test]
fn the_map_has_each_floor() {
    let row = |line: &str| {
        let mut cells = line.strip_prefix("//! | ")?.split(" | ");
        let floor: u8 = cells.next()?.parse().ok()?;
        Some((cells.next()?.strip_prefix("[`")?.strip_suffix("`]")?.to_owned(), floor))
    };
    let shown: BTreeSet<(String, u8)> = MAP.lines().filter_map(row).collect();
    let folders = FLOORS.iter().filter(|(name, _)| !["main", "lib", "build"].contains(name));
    assert_eq!(shown, folders.map(|(name, floor)| ((*name).to_owned(), *floor)).collect());
}

/// Names that threads and tasks of a node are started under.
fn started(text: &str) -> Vec<String> {
    let starts = ["spawn_thread(\"", "RetiredFiles::start(\"", "AnswerServer::start(\"", "registry.spawn(\""];
    let mut names = Vec::new();
    for start in starts {
        names.extend(text.split(start).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
    names
}

#[test]
fn the_map_has_each_thread_and_each_task() {
    let tests: BTreeSet<&str> =
        house().iter().filter(|source| source.is_test).map(|source| source.path.as_str()).collect();
    let mut names: BTreeSet<String> = BTreeSet::new();
    for (path, text) in folder_text("src", &["rs"]) {
        let path = path.trim_start_matches("src/");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        // A devnet's own tasks are none of a node's.
        if !tests.contains(path) && !["devnet", "cli"].iter().any(|folder| path.starts_with(folder)) {
            names.extend(started(code));
        }
    }
    assert!(names.len() > 12, "{names:?}");
    let head = head_of(MAP);
    let threads = head.lines().map(str::trim).skip_while(|line| !line.starts_with("| thread |"));
    let threads = threads.take_while(|line| !line.starts_with("Every queue"));
    // Of a row its first cell: elsewhere a name is only spoken of.
    let own = |line| str::strip_prefix(line, "|").map_or(line, |row| row.split('|').next().unwrap());
    let shown: BTreeSet<&str> = threads.map(own).flat_map(quoted).collect();
    let missing: Vec<&String> = names.iter().filter(|name| !shown.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "the map lacks {missing:?}");
    assert_eq!(started("registry.spawn_thread(\"a\", f); registry.spawn(\"b\", g)"), ["a", "b"]);
}

// -- numbers ------------------------------------------------------------------------------------------------------

fn module_of(file: &str) -> Vec<&str> {
    let mut module: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    module.pop_if(|last| ["mod", "lib"].contains(last));
    module
}

/// A constant: its file, its value's expression, and whether other files may name it.
struct Constant {
    file: String,
    value: syn::Expr,
    is_shown: bool,
}

/// The constants of the house by their names.
struct Constants(BTreeMap<String, Vec<Constant>>);

impl Constants {
    fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut found: BTreeMap<String, Vec<Constant>> = BTreeMap::new();
        for (path, text) in files {
            for item in syn::parse_file(text).unwrap().items {
                if let syn::Item::Const(item) = item {
                    let is_shown = !matches!(item.vis, syn::Visibility::Inherited);
                    let constant = Constant { file: path.to_owned(), value: *item.expr, is_shown };
                    found.entry(item.ident.to_string()).or_default().push(constant);
                }
            }
        }
        Self(found)
    }

    /// The value of a constant that a path leads to, seen from a file: one of that file, or of the module that the path
    /// names or a file below it shows, or the only one of that name.
    fn value(&self, path: &[String], from: &str) -> Option<u128> {
        let (name, modules) = path.split_last()?;
        let all = self.0.get(name)?;
        let up = modules.iter().filter(|module| *module == "super").count();
        let below: Vec<&str> = modules.iter().map(String::as_str).filter(|name| *name != "super").collect();
        let mut module = module_of(from);
        module.truncate(module.len().saturating_sub(up));
        module.extend(&below);
        let is_here = all.iter().any(|constant| constant.file == from);
        let is_in_it = |constant: &Constant| module_of(&constant.file).ends_with(&below);
        let is_named = all.iter().any(is_in_it);
        let is_below_it = |constant: &Constant| {
            constant.is_shown
                && module_of(&constant.file).split_last().is_some_and(|(_, up)| up.ends_with(&below))
        };
        let is_meant = |constant: &Constant| match (up, below.as_slice()) {
            (0, []) if is_here => constant.file == from,
            (0, []) => constant.is_shown,
            (0, _) if is_named => is_in_it(constant),
            (0, _) => is_below_it(constant),
            _ => module_of(&constant.file) == module,
        };
        let mut meant = all.iter().filter(|constant| is_meant(constant));
        let constant = meant.next().filter(|_| meant.next().is_none())?;
        self.computed(&constant.value, &constant.file)
    }

    fn computed(&self, expression: &syn::Expr, file: &str) -> Option<u128> {
        match expression {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Int(number), .. }) => number.base10_parse().ok(),
            syn::Expr::Paren(inner) => self.computed(&inner.expr, file),
            syn::Expr::Cast(inner) => self.computed(&inner.expr, file),
            syn::Expr::Path(path) => {
                let segments: Vec<String> =
                    path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
                self.value(&segments, file)
            }
            syn::Expr::Binary(pair) => {
                let (left, right) = (self.computed(&pair.left, file)?, self.computed(&pair.right, file)?);
                match pair.op {
                    syn::BinOp::Add(_) => left.checked_add(right),
                    syn::BinOp::Sub(_) => left.checked_sub(right),
                    syn::BinOp::Mul(_) => left.checked_mul(right),
                    syn::BinOp::Div(_) => left.checked_div(right),
                    syn::BinOp::Shl(_) => left.checked_shl(u32::try_from(right).ok()?),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// Numbers that stand before a link to a constant, as in "64 MiB ([`NAME`](path::NAME))", with the path.
fn stated(text: &str) -> Vec<(u128, &str)> {
    let mut found = Vec::new();
    for (place, _) in text.match_indices(" ([`") {
        let before = text[..place].rsplit(['|', '(', ';']).next().unwrap_or_default();
        let mut words: Vec<&str> = before.split_whitespace().collect();
        let unit = match words.last() {
            Some(&"MiB") => 1 << 20,
            Some(&"KiB") => 1 << 10,
            _ => 1,
        };
        if words.last() == Some(&"peer") {
            // "KiB a peer"
            words.truncate(words.len() - 2);
        }
        let unit = if words.last() == Some(&"KiB") { 1 << 10 } else { unit };
        words.retain(|word| !["MiB", "KiB"].contains(word));
        let number =
            words.last().map(|word| word.replace(',', "")).and_then(|word| word.parse::<u128>().ok());
        let path = text[place..].split_once("](").and_then(|(_, rest)| rest.split(')').next());
        if let (Some(number), Some(path)) = (number, path) {
            found.push((number * unit, path));
        }
    }
    found
}

#[test]
fn the_maps_numbers_are_those_of_the_constants() {
    let files = folder_text("src", &["rs"]);
    let constants =
        Constants::of(files.iter().map(|(path, text)| (path.trim_start_matches("src/"), text.as_str())));
    let head = head_of(MAP);
    let numbers = stated(&head);
    assert!(numbers.len() > 25, "{} numbers were seen", numbers.len());
    for (number, path) in numbers {
        let segments: Vec<String> = path.split("::").map(str::to_owned).collect();
        assert_eq!(constants.value(&segments, "lib.rs"), Some(number), "{path}");
    }
}

#[test]
fn the_check_of_numbers_computes_as_the_compiler_does() {
    let files = [
        ("a/b.rs", "pub const X: usize = 32 << 20; const Y: usize = super::c::Z as usize * 2 + (1 << 10);"),
        ("a/c.rs", "pub const Z: u64 = 1_000; pub(crate) const X: usize = 7;"),
        ("a/mod.rs", "const X: usize = 9; const Z: u8 = 3;"),
        ("a/d.rs", "const V: usize = super::X - 1; pub const U: usize = 4; const T: usize = 5;"),
    ];
    let constants = Constants::of(files);
    let value =
        |path: &str| constants.value(&path.split("::").map(str::to_owned).collect::<Vec<_>>(), "lib.rs");
    assert_eq!((value("a::b::X"), value("a::c::X"), value("X")), (Some(32 << 20), Some(7), None));
    assert_eq!(
        (value("a::b::Y"), value("Z"), value("a::b::Z"), value("a::d::V"), value("V")),
        (Some(3_024), Some(1_000), None, Some(8), None)
    );
    assert_eq!((value("a::U"), value("a::T")), (Some(4), None), "only what is shown can be named from above");
    let text = "| 1,024 KiB ([`X`](a::X)), 16 ([`Y`](Y)) | 840 KiB a peer ([`Z`](Z)) | what ([`W`](W)) |";
    assert_eq!(stated(text), [(1 << 20, "a::X"), (16, "Y"), (840 << 10, "Z")]);
}

// -- files --------------------------------------------------------------------------------------------------------

/// Whether a text between backticks names a file or a folder of the repository by its path.
fn names_a_place(text: &str) -> bool {
    let is_path = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_/.".contains(&byte));
    let begins = || {
        let first = text.split('/').next().unwrap_or_default();
        ["src", "tests", "benches"].contains(&first) || FLOORS.iter().any(|(folder, _)| *folder == first)
    };
    is_path && ([".rs", ".md"].iter().any(|end| text.ends_with(end)) || text.contains('/') && begins())
}

/// Places that documentation names, and that are not there.
fn lost<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>, places: &BTreeSet<String>) -> Vec<String> {
    let is_there = |name: &str| {
        let name = name.trim_end_matches('/');
        places.iter().any(|place| place == name || place.ends_with(&format!("/{name}")))
    };
    let mut lost = Vec::new();
    for (path, text) in texts {
        let is_comment = |line: &&str| path.ends_with(".md") || line.trim_start().starts_with("//");
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| is_comment(line)) {
            let names = quoted(line).filter(|name| names_a_place(name) && !is_there(name));
            lost.extend(names.map(|name| format!("{path}:{number}: there is no {name}")));
        }
    }
    lost
}

#[test]
fn files_that_documentation_names_are_there() {
    let texts: Vec<(String, String)> = ["src", "tests", "benches"]
        .into_iter()
        .flat_map(|folder| folder_text(folder, &["rs", "md", "js", "json", "toml", "c", "html", "css"]))
        .collect();
    let mut places: BTreeSet<String> = BTreeSet::new();
    for (path, _) in &texts {
        places.extend(Path::new(path).ancestors().map(|place| place.to_string_lossy().into_owned()));
        // A module's name stands for its file.
        places.insert(path.trim_end_matches(".rs").to_owned());
    }
    let read = texts.iter().filter(|(path, _)| path.ends_with(".rs") || path.ends_with(".md"));
    // This check's own examples name nothing.
    let read = read.filter(|(path, _)| path != "tests/architecture/map.rs");
    let lost = lost(read.map(|(path, text)| (path.as_str(), text.as_str())), &places);
    assert!(lost.is_empty(), "{} findings:\n{}", lost.len(), lost.join("\n"));
}

#[test]
fn the_check_of_named_files_finds_what_is_gone() {
    let places = ["src/app/start.rs", "src/app/start", "src/app"].map(str::to_owned).into();
    let of = |text: &str| lost([("src/a.rs", text)].into_iter(), &places).len();
    assert_eq!(
        of("//! `start.rs` and `app/start.rs`, `app/start`, `src/app/`, `text/plain`, `timed/tx/v1`"),
        0
    );
    assert_eq!(of("//! `router.rs` stands in `app/router`, and `app/router.rs` is its path"), 3);
    assert_eq!(of("let name = `gone.rs`;"), 0, "code is no documentation");
}

// -- heads --------------------------------------------------------------------------------------------------------

/// Files that are named by no head of their folder: `mod.rs` in it or the file of its name beside it; or by the head above,
/// with the folder's name.
fn unnamed(heads: &BTreeMap<&str, String>, files: &[&str]) -> Vec<String> {
    let head = |folder: &str| {
        let found = [format!("{folder}/mod.rs"), format!("{folder}.rs")];
        found.iter().find_map(|path| heads.get(path.as_str())).cloned().unwrap_or_default()
    };
    let is_named = |path: &&&str| {
        let Some((folder, file)) = path.rsplit_once('/') else { return true };
        let (above, own) = folder.rsplit_once('/').unwrap_or(("", folder));
        let module = file.trim_end_matches(".rs");
        let by_own = [format!("`{file}`"), format!("/{file}`"), format!("`{module}`")];
        let (near, far) = (head(folder), head(above));
        file == "mod.rs"
            || by_own.iter().any(|name| near.contains(name))
            || far.contains(&format!("`{own}/{file}`"))
    };
    files.iter().filter(|path| !is_named(path)).map(|path| format!("src/{path} stands in no head")).collect()
}

#[test]
fn each_file_stands_in_the_head_of_its_folder() {
    let texts = folder_text("src", &["rs"]);
    let heads: BTreeMap<&str, String> =
        texts.iter().map(|(path, text)| (path.trim_start_matches("src/"), head_of(text))).collect();
    let is_test = |source: &Source| source.is_test || source.path.ends_with("_tests.rs");
    let files: Vec<&str> =
        house().iter().filter(|source| !is_test(source)).map(|source| source.path.as_str()).collect();
    let unnamed = unnamed(&heads, &files);
    assert!(unnamed.is_empty(), "{} findings:\n{}", unnamed.len(), unnamed.join("\n"));
}

#[test]
fn the_check_of_heads_finds_a_file_that_nobody_names() {
    let heads: BTreeMap<&str, String> = [
        ("a/mod.rs", "| `b.rs`, [`c`] | what |\n| `d/e.rs` | what |".to_owned()),
        ("a/d.rs", "what".to_owned()),
        ("a/f.rs", "`g.rs` does it".to_owned()),
    ]
    .into();
    let of = |files: &[&str]| unnamed(&heads, files);
    assert!(of(&["lib.rs", "a/mod.rs", "a/b.rs", "a/c.rs", "a/d/e.rs", "a/f/g.rs"]).is_empty());
    assert_eq!(of(&["a/bb.rs", "a/d/g.rs", "a/f/b.rs"]).len(), 3);
}
