//! Invariants have ids: each is defined once, and held by an assertion or a test that quotes it.
//!
//! Defined is an id where a module's head says `- INV-AREA-n: what holds`. Quoted it is by a comment or the body of a
//! test, or by a text in the code, which is what an assertion says. A mention elsewhere proves nothing.

use std::collections::BTreeMap;

use crate::source::{Source, folder_text, house};

/// Defined, and quoted by nothing yet. This list may only shrink.
const UNQUOTED: &[&str] = &[];

/// The page that defines rule 0 to rule 6 and I1 to I10.
const RULES: &str = include_str!("../../src/protocol/rules.md");
const PREFIX: &str = "INV-";
/// What a definition's line begins with.
const ITEM: &str = "//! - ";

/// A file as this check reads it.
pub(crate) struct Text {
    pub(crate) path: String,
    pub(crate) is_test: bool,
    pub(crate) text: String,
}

#[derive(Default)]
struct Id {
    defined: Vec<String>,
    quoted: bool,
    named: Vec<String>,
}

/// Every id of a line, with its place in it.
fn ids(line: &str) -> impl Iterator<Item = (usize, &str)> {
    line.match_indices(PREFIX).filter_map(|(start, _)| {
        let rest = &line[start + PREFIX.len()..];
        let end = rest.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-'));
        let id = line[start..start + PREFIX.len() + end.unwrap_or(rest.len())].trim_end_matches('-');
        let number = id.rsplit('-').next().unwrap_or_default();
        number.bytes().all(|byte| byte.is_ascii_digit()).then_some((start, id))
    })
}

/// The id that a line of a head defines.
fn definition(line: &str) -> Option<&str> {
    let item = line.strip_prefix(ITEM)?;
    let (start, id) = ids(item).next()?;
    let rest = item.strip_prefix(id).filter(|_| start == 0)?;
    rest.starts_with(": ").then_some(id)
}

/// Whether a place of a line of code is within a text.
fn is_in_text(line: &str, place: usize) -> bool {
    let before = line[..place].replace("\\\"", "");
    !line.trim_start().starts_with("//") && before.matches('"').count() % 2 == 1
}

fn collect(texts: &[Text]) -> BTreeMap<String, Id> {
    let mut found: BTreeMap<String, Id> = BTreeMap::new();
    for Text { path, is_test, text } in texts {
        let lines: Vec<&str> = text.lines().collect();
        let opens = |pair: &[&str]| {
            pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
        };
        let tests = lines.windows(2).position(opens).unwrap_or(lines.len());
        for (number, line) in lines.iter().enumerate() {
            let defined = definition(line);
            for (place, id) in ids(line) {
                let entry = found.entry(id.to_owned()).or_default();
                let here = format!("{path}:{}", number + 1);
                if defined == Some(id) && place == ITEM.len() {
                    entry.defined.push(here);
                    continue;
                }
                let in_test = *is_test || number > tests;
                entry.quoted |= in_test && !line.starts_with("//!") || is_in_text(line, place);
                entry.named.push(here);
            }
        }
    }
    found
}

fn findings(texts: &[Text], unquoted: &[&str]) -> Vec<String> {
    let found = collect(texts);
    let mut wrong = Vec::new();
    for (id, Id { defined, quoted, named }) in &found {
        match defined.as_slice() {
            [] => wrong.push(format!("{id} is defined nowhere, and named at {}", named.join(", "))),
            [_] => {}
            several => wrong.push(format!("{id} is defined several times: {}", several.join(", "))),
        }
        if !defined.is_empty() && quoted == &unquoted.contains(&id.as_str()) {
            let at = defined.join(", ");
            wrong.push(match quoted {
                true => format!("{id} ({at}) is quoted: strike it from UNQUOTED"),
                false => format!("{id} ({at}) is quoted by no assertion and no test"),
            });
        }
    }
    let unknown = unquoted.iter().filter(|id| !found.contains_key(**id));
    wrong.extend(unknown.map(|id| format!("{id} does not exist: strike it from UNQUOTED")));
    wrong
}

fn repository() -> Vec<Text> {
    let sources = house();
    let is_test = |path: &str| {
        let is_of = |source: &&Source| Some(source.path.as_str()) == path.strip_prefix("src/");
        !path.starts_with("src/") || sources.iter().find(is_of).is_some_and(|source| source.is_test)
    };
    let files = ["src", "tests", "benches"].into_iter().flat_map(|folder| folder_text(folder, &["rs", "md"]));
    // This check's own examples are no invariants.
    let files = files.filter(|(path, _)| path != "tests/architecture/invariants.rs");
    files.map(|(path, text)| Text { is_test: is_test(&path), path, text }).collect()
}

#[test]
fn each_invariant_is_defined_once_and_held() {
    let wrong = findings(&repository(), UNQUOTED);
    assert!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
}

/// Numbers that follow a word, such as the 4 of "rule 4", at the places where a word of its own begins.
fn numbers_after<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = u32> + 'a {
    text.match_indices(word).filter_map(move |(start, _)| {
        let begins = !text[..start].ends_with(|before: char| before.is_alphanumeric() || before == '_');
        let rest = &text[start + word.len()..];
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let ends = !rest[end..].starts_with(|after: char| after.is_alphanumeric() || after == '_');
        rest[..end].parse().ok().filter(|_| begins && ends)
    })
}

#[test]
fn cited_rules_and_sections_stand_on_the_page_of_rules() {
    let texts = repository();
    for Text { path, text, .. } in texts.iter().filter(|text| !text.path.ends_with("rules.md")) {
        for word in ["rule ", "Rule ", "rules ", "Rules "] {
            for number in numbers_after(text, word) {
                assert!(
                    RULES.contains(&format!("**Rule {number}: ")),
                    "{path}: rule {number} stands nowhere"
                );
            }
        }
        // Pages that are not in this repository.
        for page in ["PROTOCOL section", "PROTOCOL.md", "PAYMENT_PATH", "TESTING.md", "ARCHITECTURE.md"] {
            assert!(!text.contains(page), "{path} cites {page}");
        }
    }
}

#[test]
fn the_invariants_of_the_whole_are_defined_once_and_held() {
    let texts = repository();
    for number in 1..=10 {
        assert_eq!(RULES.matches(&format!("\n| I{number} |")).count(), 1, "I{number}");
        let says = [format!("\"I{number}: "), format!(": I{number}: ")];
        let holds = |text: &Text| text.is_test && says.iter().any(|says| text.text.contains(says.as_str()));
        assert!(texts.iter().any(holds), "no assertion begins with I{number}");
    }
    let cited: Vec<u32> =
        texts.iter().flat_map(|text| numbers_after(&text.text, "I").collect::<Vec<_>>()).collect();
    assert!(cited.iter().all(|number| (1..=10).contains(number)), "an I-number that is not on the page");
}

/// The parameters' names and the usual values stand on the page of rules as the code has them.
#[test]
fn the_page_of_rules_has_the_parameters_of_the_code() {
    use timed::types::{ChainParameters, Network};
    let of = |network| {
        let parameters = serde_json::to_value(ChainParameters::of_network(network)).unwrap();
        parameters.as_object().unwrap().clone()
    };
    let networks = [Network::Mainnet, Network::Testnet, Network::Devnet].map(of);
    let grouped = |number: u64| {
        let digits = number.to_string();
        let groups =
            digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
        groups.collect::<Vec<_>>().join(",")
    };
    for name in networks[0].keys() {
        assert!(RULES.contains(&format!("`{name}`")), "{name} is missing");
        let values = networks.each_ref().map(|parameters| parameters[name].clone());
        let row = RULES.lines().find(|line| line.starts_with("| ") && line.contains(&format!("`{name}`")));
        let row = row.unwrap_or_else(|| panic!("{name} is in no row"));
        for (column, value) in values.iter().enumerate() {
            // A row has a column for each network, or one for all.
            let cells: Vec<&str> = row.split('|').skip(2).collect();
            let cell = if cells.len() > 3 { cells[column] } else { cells[0] };
            let expected: Vec<String> = match value {
                serde_json::Value::Number(_) if name == "block_reward" => vec!["100 TIME".to_owned()],
                serde_json::Value::Number(number) => vec![grouped(number.as_u64().unwrap())],
                serde_json::Value::Object(pair) if pair.contains_key("numerator") => {
                    vec![format!("{}/{}", pair["numerator"], pair["denominator"])]
                }
                serde_json::Value::Object(pair) => {
                    let [base, step] =
                        ["base_ms", "step_ms"].map(|part| grouped(pair[part].as_u64().unwrap()));
                    vec![format!("{base} + {step}")]
                }
                serde_json::Value::Array(tiers) => tiers
                    .iter()
                    .map(|tier| {
                        let time = tier["collateral"].as_u64().unwrap() / 100_000_000;
                        format!("{} {}, {}", tier["name"].as_str().unwrap(), grouped(time), tier["weight"])
                    })
                    .collect(),
                other => panic!("{name}: {other}"),
            };
            for text in expected {
                assert!(cell.contains(&text), "{name}: {text} is not in {cell:?}");
            }
        }
    }
}

#[test]
fn all_invariants_are_read() {
    // This would be blind if ids or heads were not seen.
    let found = collect(&repository());
    assert!(found.len() > 150, "{} ids", found.len());
    assert!(found.values().filter(|id| id.quoted).count() > 20);
}

#[test]
fn the_check_of_invariants_finds_each_fault() {
    let code = |text: &str| Text { path: "src/a.rs".to_owned(), is_test: false, text: text.to_owned() };
    let test = |text: &str| Text { path: "tests/a.rs".to_owned(), is_test: true, text: text.to_owned() };
    let head = "//! - INV-A-1: it holds.\n";
    let count = |texts: &[Text]| findings(texts, &[]).len();

    assert_eq!(count(&[code(head), test("/// INV-A-1: held here.")]), 0);
    assert_eq!(count(&[code(&format!("{head}assert!(x, \"INV-A-1: {{x}}\");"))]), 0);
    assert_eq!(count(&[code(&format!("{head}#[cfg(test)]\nmod tests {{\n    // INV-A-1\n}}"))]), 0);

    assert_eq!(count(&[code(head)]), 1, "quoted nowhere");
    assert_eq!(count(&[code(&format!("{head}// INV-A-1 is why.\n/// See INV-A-1."))]), 1, "mentions");
    assert_eq!(count(&[code(head), test("//! It holds INV-A-1.")]), 1, "a head of a test");
    assert_eq!(count(&[code(head), code(head), test("// INV-A-1")]), 1, "defined twice");
    assert_eq!(count(&[test("// INV-A-2")]), 1, "defined nowhere");
    assert_eq!(count(&[code("//! - INV-A-1, INV-A-2: see below.")]), 2, "a reference is no definition");
    assert_eq!(count(&[code("//! - INV-A-1 of [`super`].")]), 1, "a reference is no definition");

    let listed = |texts: &[Text]| findings(texts, &["INV-A-1"]).len();
    assert_eq!(listed(&[code(head)]), 0);
    assert_eq!(listed(&[code(head), test("// INV-A-1")]), 1, "no longer needed");
    assert_eq!(listed(&[]), 1, "an id that does not exist");
}
