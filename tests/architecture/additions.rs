//! What whoever adds a variant has to touch, and neither the compiler nor another test would miss.
//!
//! The lists stand in the heads of folders, under "To add".

use crate::source::{folder_text, root};

/// An enum, and a place where each of its variants has to stand.
struct Touched {
    /// The file of the enum, below `src/`.
    file: &'static str,
    name: &'static str,
    /// What has to stand there, where `Camel` and `snake` are the variant's name.
    form: &'static str,
    /// A file, or a folder with all files in it.
    place: &'static str,
    /// Which part of it.
    part: Part,
    /// Variants that need not stand there, and why.
    but: &'static [(&'static str, &'static str)],
}

#[derive(Clone, Copy)]
enum Part {
    Whole,
    /// Before the tests of the file.
    Code,
    /// The tests of the file.
    Tests,
}

const SECTIONS: &[(&str, &str)] = &[
    ("Transaction", "it has a section of its own"),
    ("Proposal", "it has a section of its own"),
    ("Evidence", "it has a section of its own"),
];

const TOUCHED: [Touched; 12] = [
    Touched {
        file: "types/message.rs",
        name: "Message",
        form: "| `snake` |",
        place: "src/types/wire.md",
        part: Part::Whole,
        but: &[],
    },
    Touched {
        file: "types/message.rs",
        name: "Message",
        form: "\"name\": \"snake\"",
        place: "tests/vectors/wire.json",
        part: Part::Whole,
        but: SECTIONS,
    },
    Touched {
        file: "types/transaction.rs",
        name: "Payload",
        form: "\"kind\": \"snake\"",
        place: "tests/vectors/wire.json",
        part: Part::Whole,
        but: &[],
    },
    Touched {
        file: "types/transaction.rs",
        name: "Payload",
        form: "\"snake\"",
        place: "tests/vectors/plain.rs",
        part: Part::Whole,
        but: &[],
    },
    Touched {
        file: "types/transaction.rs",
        name: "Payload",
        form: "Payload::Camel",
        place: "tests/support/story.rs",
        part: Part::Whole,
        but: &[("Transfer", "Transaction::transfer makes it"), ("Reward", "the end of an epoch makes it")],
    },
    Touched {
        file: "types/transaction.rs",
        name: "Payload",
        form: "`Camel`",
        place: "src/protocol/rules.md",
        part: Part::Whole,
        but: &[],
    },
    Touched {
        file: "rpc/events/reader.rs",
        name: "Topic",
        form: "(\"snake\", ",
        place: "src/rpc/events/reader.rs",
        part: Part::Code,
        but: &[],
    },
    Touched {
        file: "rpc/events/reader.rs",
        name: "Topic",
        form: "| `snake` |",
        place: "README.md",
        part: Part::Whole,
        but: &[],
    },
    Touched {
        file: "admission/refusal.rs",
        name: "Refusal",
        form: "Refusal::Camel",
        place: "src/admission/refusal.rs",
        part: Part::Tests,
        but: &[],
    },
    Touched {
        file: "mempool/error.rs",
        name: "PoolError",
        form: "PoolError::Camel",
        place: "src/admission/refusal.rs",
        part: Part::Tests,
        but: &[],
    },
    Touched {
        file: "protocol/validity/error.rs",
        name: "TransactionError",
        form: "E::Camel",
        place: "src/protocol/validity/tests.rs",
        part: Part::Whole,
        but: &[],
    },
    Touched {
        file: "admission/refusal.rs",
        name: "Refusal",
        form: "Refusal::Camel",
        place: "src/admission",
        part: Part::Code,
        but: &[],
    },
];

fn variants(text: &str, name: &str) -> Vec<String> {
    let items = syn::parse_file(text).unwrap().items;
    let found = items.into_iter().find_map(|item| match item {
        syn::Item::Enum(item) if item.ident == name => Some(item.variants),
        _ => None,
    });
    let variants = found.unwrap_or_else(|| panic!("no enum {name}"));
    variants.into_iter().map(|variant| variant.ident.to_string()).collect()
}

/// `MasternodeExit` as `masternode_exit`.
fn snake(camel: &str) -> String {
    let mut text = String::new();
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// Whether a text has a form, which no letter continues.
fn has(text: &str, form: &str) -> bool {
    text.match_indices(form).any(|(place, _)| {
        let behind = text[place + form.len()..].chars().next();
        !form.ends_with(char::is_alphanumeric) || !behind.is_some_and(char::is_alphanumeric)
    })
}

fn part_of(text: &str, part: Part) -> String {
    let mut parts = text.split("#[cfg(test)]\nmod tests");
    match part {
        Part::Whole => text.to_owned(),
        Part::Code => parts.next().unwrap_or_default().to_owned(),
        Part::Tests => parts.nth(1).unwrap_or_default().to_owned(),
    }
}

/// The texts of a place. An enum's own file says nothing of where it is used, if a whole folder is meant.
fn text_of(touched: &Touched) -> String {
    let Touched { file, place, part, .. } = touched;
    if place.contains('.') {
        return part_of(&std::fs::read_to_string(root().join(place)).unwrap(), *part);
    }
    let own = format!("src/{file}");
    let others =
        folder_text(place, &["rs"]).into_iter().filter(|(path, _)| *path != own && !path.contains("tests"));
    others.map(|(_, text)| part_of(&text, *part)).collect()
}

fn missing(variants: &[String], touched: &Touched, text: &str) -> Vec<String> {
    let Touched { name, form, place, but, .. } = touched;
    let mut wrong = Vec::new();
    for variant in variants {
        let form = form.replace("Camel", variant).replace("snake", &snake(variant));
        let is_excused = but.iter().any(|(excused, _)| excused == variant);
        match (has(text, &form), is_excused) {
            (false, false) => wrong.push(format!("{name}::{variant}: {place} has no {form}")),
            (true, true) => {
                wrong.push(format!("{name}::{variant} needs no excuse any more: {place} has {form}"))
            }
            _ => {}
        }
    }
    let gone = but.iter().filter(|(excused, _)| !variants.iter().any(|variant| variant == excused));
    wrong.extend(gone.map(|(excused, _)| format!("{name}::{excused} is no more: strike its excuse")));
    wrong
}

#[test]
fn whoever_adds_a_variant_touches_each_place() {
    let mut wrong = Vec::new();
    for touched in &TOUCHED {
        let file = std::fs::read_to_string(root().join("src").join(touched.file)).unwrap();
        let variants = variants(&file, touched.name);
        assert!(variants.len() > 3, "{}", touched.name);
        wrong.extend(missing(&variants, touched, &text_of(touched)));
    }
    assert!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
}

/// The page of rules says what each version adds.
#[test]
fn every_version_of_the_rules_stands_on_the_page() {
    let (rules, page) =
        (include_str!("../../src/types/rules.rs"), include_str!("../../src/protocol/rules.md"));
    let versions: Vec<&str> =
        rules.split("Self = Self(").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(versions.len() > 1);
    for version in versions {
        assert!(page.contains(&format!("\n| {version} | ")), "version {version} stands in no row");
    }
}

#[test]
fn the_check_of_additions_finds_a_forgotten_place() {
    let touched =
        |but| Touched { file: "", name: "E", form: "E::Camel", place: "x.rs", part: Part::Whole, but };
    let all = ["One", "Two"].map(str::to_owned);
    let count = |text: &str, but| missing(&all, &touched(but), text).len();
    assert_eq!(count("E::One, E::Two(7)", &[]), 0);
    assert_eq!(count("E::One, E::TwoMore", &[]), 1, "another name that begins alike");
    assert_eq!(count("E::One", &[("Two", "made elsewhere")]), 0);
    assert_eq!(count("E::One, E::Two", &[("Two", "made elsewhere")]), 1, "an excuse that is not needed");
    assert_eq!(count("E::One, E::Two", &[("Three", "made elsewhere")]), 1, "an excuse of nothing");
    assert_eq!(snake("GetSnapshotItem"), "get_snapshot_item");
    assert_eq!(variants("enum E { One, Two(u8) }", "E"), all);
    let text = "a\n#[cfg(test)]\nmod tests {\nb";
    assert_eq!([Part::Code, Part::Tests].map(|part| part_of(text, part)), ["a\n", " {\nb"]);
}
