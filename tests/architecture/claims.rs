//! Holds the page that says which test holds which claim (`tests/claims.md`) to the tests that there are.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{folder_text, root};

const PAGE: &str = include_str!("../claims.md");
/// What variables of campaigns begin with.
const PREFIXES: [&str; 7] = ["SIM_", "E2E_", "FUZZ_", "MODEL_", "CARE_", "MUTANTS", "BLESS"];

/// A row: a program, modules or functions of it, and variables that make it larger.
struct Row<'a> {
    program: &'a str,
    parts: Vec<&'a str>,
    variables: Vec<&'a str>,
}

fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn rows(page: &str) -> Vec<Row<'_>> {
    page.lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<Row<'_>> {
    let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
    let [_, program, parts, larger, ""] = cells.as_slice() else { return None };
    let &[program] = quoted(program).as_slice() else { return None };
    let variables = quoted(larger).into_iter().filter_map(|text| Some(text.split_once('=')?.0)).collect();
    Some(Row { program, parts: quoted(parts), variables })
}

/// The texts of each program of tests, with what they share.
fn programs() -> BTreeMap<String, String> {
    let shared: String = folder_text("tests/support", &["rs"]).into_iter().map(|(_, text)| text).collect();
    let mut programs: BTreeMap<String, String> = BTreeMap::new();
    for (path, text) in folder_text("tests", &["rs"]) {
        let name = path.trim_start_matches("tests/").split('/').next().unwrap().trim_end_matches(".rs");
        if name != "support" {
            programs.entry(name.to_owned()).or_insert_with(|| shared.clone()).push_str(&text);
        }
    }
    programs
}

/// Whether a module of the library, or one whose name has this word, is there.
fn is_of_library(part: &str, files: &BTreeSet<String>) -> bool {
    let path = part.replace("::", "/");
    let has = |file: &String| file.starts_with(&path) || file.contains(&format!("/{path}"));
    files.iter().any(has)
}

#[test]
fn what_the_page_names_is_there() {
    let programs = programs();
    let files: BTreeSet<String> = folder_text("src", &["rs"])
        .into_iter()
        .map(|(path, _)| path.trim_start_matches("src/").to_owned())
        .collect();
    let shared: String = folder_text("tests/support", &["rs"]).into_iter().map(|(_, text)| text).collect();
    let rows = rows(PAGE);
    assert!(rows.len() > 60, "{} rows were read", rows.len());
    let mut wrong = Vec::new();
    for Row { program, parts, variables } in &rows {
        let text = match *program {
            "lib" => Some(&shared),
            program => programs.get(program),
        };
        let Some(text) = text else {
            wrong.push(format!("there is no program {program}"));
            continue;
        };
        for part in parts {
            let is_there = match *program {
                "lib" => is_of_library(part, &files),
                _ => [format!("mod {part};"), format!("fn {part}(")]
                    .iter()
                    .any(|form| text.contains(form.as_str())),
            };
            if !is_there {
                wrong.push(format!("{program} has no {part}"));
            }
        }
        let unread = variables.iter().filter(|name| !text.contains(&format!("\"{name}\"")));
        wrong.extend(unread.map(|name| format!("{program} does not ask for {name}")));
    }
    assert!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
}

/// Variables that a text asks for.
fn asked(text: &str) -> BTreeSet<&str> {
    let is_name = |word: &&str| {
        PREFIXES.iter().any(|prefix| word.starts_with(prefix))
            && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    text.split('"').skip(1).filter(is_name).collect()
}

#[test]
fn the_page_names_each_program_each_variable_and_each_file_with_tests() {
    let rows = rows(PAGE);
    let named = |program: &str| -> Vec<&str> {
        rows.iter().filter(|row| row.program == program).flat_map(|row| row.parts.iter().copied()).collect()
    };
    let mut wrong = Vec::new();
    for (program, text) in programs() {
        if !rows.iter().any(|row| row.program == program) {
            wrong.push(format!("nothing is said of {program}"));
        }
        let unsaid = asked(&text).into_iter().filter(|name| !PAGE.contains(&format!("`{name}")));
        wrong.extend(unsaid.map(|name| format!("nothing is said of {name}, which {program} asks for")));
    }
    for (path, text) in folder_text("tests", &["rs"]) {
        let mut parts = path.trim_start_matches("tests/").split('/');
        let (Some(program), Some(file), None) = (parts.next(), parts.next(), parts.next()) else { continue };
        let module = file.trim_end_matches(".rs");
        let has_tests = text.contains("#[test]") || text.contains("#[tokio::test]");
        // What tests itself alone.
        let is_helper =
            ["source", "main", "turns", "browser", "list", "text", "geography", "verifier"].contains(&module);
        if has_tests && !is_helper && program != "support" && !named(program).contains(&module) {
            wrong.push(format!("nothing is said of {path}"));
        }
    }
    assert!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
}

/// A file that no program has as a module is never compiled, and its tests hold nothing.
#[test]
fn every_file_of_tests_belongs_to_a_program() {
    let files = folder_text("tests", &["rs"]);
    // Some are shared with the library.
    let library: String = folder_text("src", &["rs"]).into_iter().map(|(_, text)| text).collect();
    let all: String = files.iter().map(|(_, text)| text.as_str()).chain([library.as_str()]).collect();
    let is_used = |path: &str| {
        let (folder, file) = path.rsplit_once('/').unwrap();
        let module = file.trim_end_matches(".rs");
        let is_program = folder == "tests" || module == "main";
        let is_module = |name: &str| all.contains(&format!("mod {name};"));
        let by_path = all.contains(&format!("/{file}\"]")) || all.contains(&format!("\"{file}\"]"));
        let parent = folder.rsplit('/').next().unwrap_or_default();
        is_program || by_path || is_module(if module == "mod" { parent } else { module })
    };
    let unused: Vec<&str> =
        files.iter().map(|(path, _)| path.as_str()).filter(|path| !is_used(path)).collect();
    assert!(unused.is_empty(), "no program has {unused:?}");
    assert!(root().join("tests/claims.md").is_file());
}

#[test]
fn the_check_of_the_page_reads_rows_and_variables() {
    let page = "| claim | program | where | larger |\n|---|---|---|---|\n\
                | it holds | `sim` | `a`, `b` | `SIM_SEEDS=2`, `SIM_FIRST=1` |\n| this too | `lib` | | |\n| no | row |\n";
    let rows = rows(page);
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (rows[0].program, &rows[0].parts, &rows[0].variables),
        ("sim", &vec!["a", "b"], &vec!["SIM_SEEDS", "SIM_FIRST"])
    );
    assert!(rows[1].parts.is_empty() && rows[1].variables.is_empty());
    assert_eq!(
        asked("number(\"SIM_SEEDS\"); text(\"SIM_ is no name\"); var(\"HOME\")"),
        ["SIM_SEEDS"].into()
    );
    let files =
        ["network/tests/eclipse.rs", "network/tests/fuzz.rs", "utxo/tests.rs"].map(str::to_owned).into();
    assert!(is_of_library("network::tests::eclipse", &files) && is_of_library("fuzz", &files));
    assert!(is_of_library("utxo::tests", &files) && !is_of_library("network::siege", &files));
}
