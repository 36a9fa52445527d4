//! Every key of the configuration is read by something, or it would be taken and do nothing; and each is shown to people.

use std::path::Path;

use timed::runtime::{Config, ConfigSources};

/// The code that a key may be read by: without tests, and without the configuration itself, which names them all.
struct Code {
    path: String,
    text: String,
}

fn collect(directory: &Path, all: &mut Vec<Code>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_string_lossy().into_owned();
        if path.is_dir() {
            collect(&path, all);
        } else if name.ends_with(".rs") && !name.contains("tests") {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
            all.push(Code { path: name, text });
        }
    }
}

fn is_of_word(letter: Option<char>) -> bool {
    letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
}

/// Whether a text has a word, with what stands directly before and behind it.
fn has_word(text: &str, word: &str, fits: impl Fn(Option<char>, Option<char>) -> bool) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let (before, behind) = (text[..at].chars().next_back(), text[at + word.len()..].chars().next());
        !is_of_word(before) && !is_of_word(behind) && fits(before, behind)
    })
}

/// `NetworkConfig` of `network`.
fn type_of(section: &str) -> String {
    let (first, rest) = section.split_at(1);
    format!("{}{rest}Config", first.to_uppercase())
}

/// Whether a file that knows a section reads the field of a key: `.key`, or `key` in a pattern of the section's type.
fn reads(text: &str, section: &str, key: &str) -> bool {
    let knows = has_word(text, section, |before, _| before == Some('.')) || text.contains(&type_of(section));
    let is_field = |before, behind| before == Some('.') && behind != Some('(');
    let pattern = format!("{} {{", type_of(section));
    let patterns = || text.split(pattern.as_str()).skip(1).filter_map(|rest| rest.split('}').next());
    knows && (has_word(text, key, is_field) || patterns().any(|fields| has_word(fields, key, |_, _| true)))
}

/// What the configuration itself makes of a key, as `half_cache_bytes` of `cache_mb`; each has to be called elsewhere.
const ACCESSORS: [(&str, &str, &str); 4] = [
    ("storage", "cache_mb", "half_cache_bytes"),
    ("storage", "min_free_mb", "free_bytes_min"),
    ("network", "dns_seeds", "seeds"),
    ("node", "data_dir", "cookie_path"),
];

fn unread(code: &[Code], keys: &[(&str, &str)]) -> Vec<String> {
    let is_read = |section: &str, key: &str| {
        let accessors = ACCESSORS.iter().filter(|accessor| (accessor.0, accessor.1) == (section, key));
        let called = |name: &str| code.iter().any(|one| one.text.contains(&format!(".{name}(")));
        code.iter().any(|one| reads(&one.text, section, key)) || accessors.map(|one| one.2).any(called)
    };
    let unread = keys.iter().filter(|(section, key)| !is_read(section, key));
    unread.map(|(section, key)| format!("{section}.{key}")).collect()
}

#[test]
fn the_check_of_keys_finds_those_that_nothing_reads() {
    let code = |text: &str| vec![Code { path: "rpc/mod.rs".to_owned(), text: text.to_owned() }];
    let key = [("mempool", "max_bytes")];
    for text in [
        "let x = config.mempool.max_bytes;",
        "fn f(config: &MempoolConfig) -> u64 { config.max_bytes }",
        "let MempoolConfig { max_bytes, .. } = config;",
    ] {
        assert!(unread(&code(text), &key).is_empty(), "{text}");
    }
    for text in [
        "let x = config.mempool.max_bytes_of_others;",
        "let x = limits.max_bytes;",
        "let x = config.mempool.max_transactions;",
        "let x = config.mempool.max_bytes();",
    ] {
        assert_eq!(unread(&code(text), &key), ["mempool.max_bytes"], "{text}");
    }
}

#[test]
fn every_key_of_the_configuration_is_read() {
    let mut code = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut code);
    code.retain(|one| !one.path.contains("runtime/config"));
    let values = Config::examine(&ConfigSources::default()).values;
    let keys: Vec<(&str, &str)> = values.iter().map(|value| (value.section, value.key)).collect();
    assert!(keys.len() > 40 && code.len() > 200, "{} keys, {} files", keys.len(), code.len());
    assert_eq!(unread(&code, &keys), [""; 0]);
}

/// Keys of a section that a commented configuration sets, or shows behind a mark.
fn shown(text: &str) -> Vec<(String, String)> {
    let (mut section, mut found) = (String::new(), Vec::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ")
            && !key.contains(' ')
        {
            found.push((section.clone(), key.to_owned()));
        }
    }
    found
}

fn unshown(text: &str, keys: &[(&str, &str)]) -> Vec<String> {
    let shown = shown(text);
    let is_shown = |key: &&(&str, &str)| shown.iter().any(|(section, name)| (&**section, &**name) == **key);
    keys.iter().filter(|key| !is_shown(key)).map(|(section, key)| format!("{section}.{key}")).collect()
}

/// What an operator does not see he can't set.
#[test]
fn every_key_of_the_configuration_is_shown_in_the_shipped_file() {
    let values = Config::examine(&ConfigSources::default()).values;
    let keys: Vec<(&str, &str)> = values.iter().map(|value| (value.section, value.key)).collect();
    assert_eq!(unshown(include_str!("../../config.toml"), &keys), [""; 0]);
    let text = "[node]\nname = \"x\"\n[rpc]\n# enabled = true\n# a sentence with = in it\n";
    let keys = [("node", "name"), ("rpc", "enabled"), ("rpc", "name")];
    assert_eq!(unshown(text, &keys), ["rpc.name"]);
}
