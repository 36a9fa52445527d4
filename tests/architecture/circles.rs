//! No two files know each other, nor in a ring: each file can be read, and changed, knowing only what lies below it.
//!
//! A file knows the file that defines what it names. A name that a module only hands on counts as that of its home. A
//! module's parts may name what the module itself defines, as an `impl` in a file of its own must.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Source, house, mark_tests};

/// Imports that import each other would be followed for ever; the compiler refuses them.
const HOPS_MAX: usize = 16;

/// The modules of the house with their files, and what each module imports under which name.
struct Modules<'a> {
    files: BTreeMap<Vec<String>, &'a str>,
    imports: BTreeMap<(&'a [String], &'a str), &'a [String]>,
}

fn module_of(path: &str) -> Vec<String> {
    let mut module: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| ["mod", "main", "lib"].contains(&last.as_str())) {
        module.pop();
    }
    module
}

impl<'a> Modules<'a> {
    fn of(sources: &'a [Source]) -> Self {
        let code = || sources.iter().filter(|source| !source.is_test);
        // `main.rs` is another crate's root and shares its path with `lib.rs`, which other files mean.
        let files = code().filter(|source| source.path != "main.rs");
        let files = files.map(|source| (module_of(&source.path), source.path.as_str())).collect();
        let imports = code().flat_map(Source::used).filter_map(|name| {
            let alias = name.imported_as.as_deref().filter(|alias| *alias != "*")?;
            Some(((name.module.as_slice(), alias), name.segments.as_slice()))
        });
        Self { files, imports: imports.collect() }
    }

    /// The module that defines what a path means in a module; none for modules themselves, for other crates' and for
    /// local names.
    fn home(&self, module: &[String], path: &[String], hops: usize) -> Option<Vec<String>> {
        let (first, mut rest) = path.split_first().filter(|_| hops > 0)?;
        let mut at = module.to_vec();
        match first.as_str() {
            "crate" | "timed" => at.clear(),
            "self" => {}
            "super" => {
                at.pop();
                while let Some((_, deeper)) = rest.split_first().filter(|(next, _)| *next == "super") {
                    at.pop();
                    rest = deeper;
                }
            }
            _ if self.is_module(&at, first) => at.push(first.clone()),
            _ => {
                let imported = self.imports.get(&(module, first.as_str()))?;
                // A crate's own name, as in `use serde::{self, Serialize}`.
                let moved = imported.first() != Some(first) || imported.len() > 1;
                return moved.then(|| self.home(module, &[imported, rest].concat(), hops - 1))?;
            }
        }
        while let Some((next, deeper)) = rest.split_first() {
            if self.is_module(&at, next) {
                at.push(next.clone());
                rest = deeper;
                continue;
            }
            if let Some(imported) = self.imports.get(&(at.as_slice(), next.as_str())) {
                return self.home(&at, &[imported, rest].concat(), hops - 1);
            }
            return Some(at);
        }
        None
    }

    fn is_module(&self, at: &[String], name: &String) -> bool {
        self.files.contains_key(&[at, std::slice::from_ref(name)].concat())
    }

    /// The file of a module, which may be written inside one.
    fn file(&self, module: &[String]) -> Option<&'a str> {
        (0..=module.len()).rev().find_map(|length| self.files.get(&module[..length]).copied())
    }
}

/// Each file with those that it knows.
fn knowledge(sources: &[Source]) -> BTreeMap<&str, BTreeSet<&str>> {
    let modules = Modules::of(sources);
    let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in sources {
        for name in source.used().filter(|name| !name.handed_on) {
            let home = modules.home(&name.module, &name.segments, HOPS_MAX);
            let others = home.filter(|home| !name.module.starts_with(home));
            if let Some(file) =
                others.and_then(|home| modules.file(&home)).filter(|file| *file != source.path)
            {
                known.entry(&source.path).or_default().insert(file);
            }
        }
    }
    known
}

/// What a file knows, by way of others too.
fn reached<'a>(known: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &'a str) -> BTreeSet<&'a str> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(file) = next.pop() {
        next.extend(known.get(file).into_iter().flatten().filter(|file| seen.insert(**file)));
    }
    seen
}

/// The files of each circle.
fn circles(sources: &[Source]) -> Vec<BTreeSet<&str>> {
    let known = knowledge(sources);
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        known.keys().map(|file| (*file, reached(&known, file))).collect();
    let mut found = BTreeSet::new();
    for (file, reached) in reach.iter().filter(|(file, reached)| reached.contains(*file)) {
        let back = |other: &&&str| reach.get(**other).is_some_and(|reached| reached.contains(file));
        found.insert(reached.iter().filter(back).copied().collect::<BTreeSet<&str>>());
    }
    found.into_iter().collect()
}

#[test]
fn no_file_knows_one_that_knows_it() {
    let known = knowledge(house());
    assert!(known.values().map(BTreeSet::len).sum::<usize>() > 1_000, "names are found at their homes");
    let circles = circles(house());
    assert!(circles.is_empty(), "{} circles of files: {circles:#?}", circles.len());
}

#[test]
fn the_check_of_circles_finds_them_behind_names_that_are_handed_on() {
    let found = |files: &[(&str, &str)]| {
        let mut sources: Vec<Source> = files.iter().map(|(path, text)| Source::read(path, text)).collect();
        mark_tests(&mut sources);
        let circles = circles(&sources);
        circles.iter().map(|circle| circle.iter().copied().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let handed_on = ("a/mod.rs", "mod b; mod c; pub use b::B; pub(crate) use c::C;");
    let (b, c) = (("a/b.rs", "pub struct B;"), ("a/c.rs", "use super::B; pub struct C(B);"));
    assert!(found(&[handed_on, b, c]).is_empty(), "the module hands on, and defines nothing that they name");
    let knows = ("a/b.rs", "use crate::a::C; pub struct B;");
    assert_eq!(found(&[handed_on, knows, c]), ["a/b.rs a/c.rs"]);
    let whole = ("a/b.rs", "use crate::a; fn f(_: a::C) {}");
    assert_eq!(found(&[handed_on, whole, c]), ["a/b.rs a/c.rs"]);
    let parent = ("a/mod.rs", "mod b; mod c; pub use c::C; pub struct A; fn f() { b::f(A); }");
    let part = ("a/b.rs", "use super::{A, C}; impl A {} impl C {}");
    assert!(found(&[parent, part, ("a/c.rs", "pub struct C;")]).is_empty(), "a module and its parts are one");
    assert_eq!(found(&[parent, part, ("a/c.rs", "use super::b::f; pub struct C;")]), ["a/b.rs a/c.rs"]);
    let inside = ("a/b.rs", "use crate::x::X; pub struct B(X);");
    let outside = ("x.rs", "use crate::a::A; pub struct X;");
    assert!(found(&[("a/mod.rs", "mod b; pub use b::B; pub struct A;"), inside, outside]).is_empty());
    let used = ("a/mod.rs", "mod b; pub use b::B; pub struct A(B);");
    assert_eq!(found(&[used, inside, outside]), ["a/b.rs a/mod.rs x.rs"]);
    let (one, two, three) = (
        ("x.rs", "use crate::y::Y;"),
        ("y.rs", "use crate::z::Z as W;"),
        ("z.rs", "fn f() { crate::x::g(); }"),
    );
    assert_eq!(found(&[one, two, three]), ["x.rs y.rs z.rs"]);
    let for_tests = ("z.rs", "#[cfg(test)] mod tests { use crate::x::g; }");
    assert!(found(&[one, two, for_tests]).is_empty());
}
