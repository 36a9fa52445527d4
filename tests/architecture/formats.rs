//! Every version of something that is written to be read by later programs, and the golden files that hold it.
//!
//! A version that rises does not fit its row here any more: its new row needs golden files.

use crate::source::{folder_text, root};

/// Where it stands, its number, and where files of that version are: in `tests/golden`, or why there are none.
type Format = (&'static str, &'static str, u128, Result<&'static str, &'static str>);

const FORMATS: [Format; 18] = [
    ("app/care/manifest.rs", "BACKUP_FORMAT", 2, Ok("backup-2")),
    ("app/care/manifest.rs", "WHOLE_FORMAT", 1, Ok("backup-1")),
    ("app/vote_file.rs", "VERSION", 1, Ok("votes-1")),
    ("devnet/archive.rs", "VERSION", 1, Ok("devnet-1")),
    (
        "network/versions.rs",
        "OLDEST_PROTOCOL_VERSION",
        5,
        Err("messages are no files; tests/vectors holds them"),
    ),
    ("network/versions.rs", "PROTOCOL_VERSION", 5, Err("messages are no files; tests/vectors holds them")),
    ("protocol/finality_proof.rs", "FINALITY_PROOF_VERSION", 3, Ok("proof-3")),
    ("rpc/receipt.rs", "RECEIPT_VERSION", 1, Ok("proof-3")),
    ("storage/horizon.rs", "VERSION", 1, Ok("backup-2")),
    ("storage/index.rs", "FORMAT", 4, Err("an index of another format is built anew")),
    ("storage/record.rs", "FORMAT_VERSION", 4, Ok("chain-4")),
    ("storage/snapshots.rs", "VERSION", 1, Ok("snapshot-1")),
    ("types/transaction.rs", "TRANSACTION_VERSION", 1, Ok("chain-4")),
    ("wallet/keystore.rs", "FORMAT_VERSION", 1, Ok("keystore-1")),
    ("wallet/transaction_file.rs", "VERSION", 1, Ok("transaction-1")),
    ("wallet/watch.rs", "VERSION", 1, Ok("watch-1")),
    // Their numbers stand in the first line of their texts.
    ("network/address_file.rs", "HEAD", 1, Ok("peers-1")),
    ("network/ban_file.rs", "HEAD", 2, Ok("bans-2")),
];

/// The versions of a file: numbers by a name that ends so, and texts that end with one.
fn versions(text: &str) -> Vec<(String, u128)> {
    let mut found = Vec::new();
    for item in syn::parse_file(text).unwrap().items {
        let syn::Item::Const(item) = item else { continue };
        let syn::Expr::Lit(syn::ExprLit { lit, .. }) = *item.expr else { continue };
        let name = item.ident.to_string();
        let number = match lit {
            syn::Lit::Int(number) if name.ends_with("VERSION") || name.ends_with("FORMAT") => {
                number.base10_parse().ok()
            }
            syn::Lit::Str(text) if name == "HEAD" => {
                text.value().split_whitespace().last().and_then(|word| word.parse().ok())
            }
            _ => None,
        };
        found.extend(number.map(|number| (name, number)));
    }
    found
}

#[test]
fn every_version_of_a_format_has_its_golden_files() {
    let mut found = Vec::new();
    for (path, text) in folder_text("src", &["rs"]) {
        let path = path.trim_start_matches("src/").to_owned();
        found.extend(versions(&text).into_iter().map(|(name, number)| (path.clone(), name, number)));
    }
    let row = |(path, name, number): &(String, String, u128)| {
        FORMATS
            .iter()
            .any(|(file, constant, version, _)| (file, constant, version) == (&&**path, &&**name, number))
    };
    let missing: Vec<_> =
        found.iter().filter(|found| !row(found) && !FORGETTABLE.contains(&&*found.0)).collect();
    assert!(missing.is_empty(), "no row, or one of another version: {missing:?}");
    for (file, constant, version, golden) in FORMATS {
        let is_there = found.iter().any(|found| found == &(file.to_owned(), constant.to_owned(), version));
        assert!(is_there, "strike {constant} of {file} from FORMATS");
        match golden {
            Ok(name) => assert!(root().join("tests/golden").join(name).is_dir(), "there is no {name}"),
            Err(reason) => assert!(reason.contains(' '), "{constant} of {file} has no reason"),
        }
    }
}

/// Files that a program may forget, and writes anew.
const FORGETTABLE: [&str; 1] = ["app/losers.rs"];

#[test]
fn the_check_of_versions_reads_numbers_and_first_lines() {
    let text = "const VERSION: u16 = 3; const HEAD: &str = \"timed bans 2\"; const LINES_MAX: u16 = 9; \
                pub const SOME_FORMAT: u64 = 1; const NAME: &str = \"a 7\";";
    let expected = [("VERSION", 3), ("HEAD", 2), ("SOME_FORMAT", 1)].map(|(name, n)| (name.to_owned(), n));
    assert_eq!(versions(text), expected);
}
