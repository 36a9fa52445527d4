//! Holds the duplicates that `.deny.toml` excuses against those that `cargo tree` finds.

use std::collections::{BTreeMap, BTreeSet};

use super::source::root;

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
        assert!(entry["reason"].as_str().is_some_and(|reason| reason.contains(' ')), "{name} has no reason");
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
