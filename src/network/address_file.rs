//! The file that keeps the addresses of peers over restarts.
//!
//! # Place
//! [`Network::start`](super::Network::start) reads it, a task of `keeping.rs` writes it now and then and at the end. It is no
//! data of the chain: without it a node begins with the peers of its configuration and of the chain.
//!
//! # Layout
//! Text. The first line is [`HEAD`], the last one `sum` and the BLAKE3 hash of all before it. In between are `secret`, the 32
//! bytes by which the tables place addresses; `anchor`, an address each; and `heard` or `tried` with what [`Entry`] holds: the
//! address, when it was told, when it answered, when it was dialled, failures, the identity or `-`, and the groups of those who
//! told it. A file that differs in anything is damaged: it is set aside, and a new one begins.
//!
//! # Units
//! Milliseconds since the Unix epoch.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::address::{NetGroup, canonical};
use super::address_tables::{ENTRIES_MAX, Entry};
use super::kept_file;

const HEAD: &str = "timed peers 1";
/// What an entry takes in the file, at most: its words, with a group for each place.
const ENTRY_BYTES_MAX: usize = 400;
/// Bytes of the file, at most: as many addresses as there are places, 32 MB.
const FILE_BYTES_MAX: usize = ENTRIES_MAX * ENTRY_BYTES_MAX;
/// Peers of the last run that are dialled first, at most.
pub(crate) const ANCHORS_MAX: usize = 2;

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Chooses places in the tables.
    pub(crate) secret: [u8; 32],
    /// Outbound peers to dial first.
    pub(crate) anchors: Vec<SocketAddr>,
    /// All entries of the tables.
    pub(crate) entries: Vec<(SocketAddr, Entry)>,
}

/// What came of reading the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// There is none.
    Nothing,
    /// What the last run kept.
    Kept(Kept),
    /// A file that no node wrote like that.
    Damaged,
}

fn line((address, entry): &(SocketAddr, Entry), text: &mut String) {
    let table = if entry.is_tried { "tried" } else { "heard" };
    let identity = entry.identity.map_or_else(|| "-".to_owned(), |identity| identity.to_string());
    let Entry { heard_ms, answered_ms, dialled_ms, failures, .. } = entry;
    // Writing into a String can't fail.
    let _ = write!(text, "{table} {address} {heard_ms} {answered_ms} {dialled_ms} {failures} {identity}");
    for teller in &entry.tellers {
        let _ = write!(text, " {}", hex::encode(teller.bytes()));
    }
    text.push('\n');
}

fn to_text(kept: &Kept) -> String {
    let mut text = format!("{HEAD}\nsecret {}\n", hex::encode(kept.secret));
    for anchor in kept.anchors.iter().take(ANCHORS_MAX) {
        let _ = writeln!(text, "anchor {anchor}");
    }
    for entry in &kept.entries {
        line(entry, &mut text);
    }
    let sum = blake3::hash(text.as_bytes());
    let _ = writeln!(text, "sum {sum}");
    text
}

fn address(word: &str) -> Option<SocketAddr> {
    let address = word.parse().ok()?;
    (canonical(address) == address && address.port() != 0).then_some(address)
}

fn group(word: &str) -> Option<NetGroup> {
    let mut bytes = [0; 8];
    hex::decode_to_slice(word, &mut bytes).ok()?;
    Some(NetGroup::of_bytes(bytes))
}

fn entry(is_tried: bool, words: &mut std::str::SplitAsciiWhitespace<'_>) -> Option<(SocketAddr, Entry)> {
    let address = address(words.next()?)?;
    let mut number = || words.next()?.parse::<u64>().ok();
    let [heard_ms, answered_ms, dialled_ms, failures] = [number()?, number()?, number()?, number()?];
    let identity = match words.next()? {
        "-" => None,
        key => Some(key.parse().ok()?),
    };
    let tellers = words.map(group).collect::<Option<Vec<NetGroup>>>()?;
    let failures = u32::try_from(failures).ok()?;
    let of_itself = None;
    Some((
        address,
        Entry { is_tried, tellers, heard_ms, answered_ms, dialled_ms, failures, identity, of_itself },
    ))
}

fn of_text(text: &str) -> Option<Kept> {
    let (body, sum) = text.strip_suffix('\n')?.rsplit_once("\nsum ")?;
    let whole = text.get(..body.len().saturating_add(1))?;
    if blake3::hash(whole.as_bytes()).to_hex().as_str() != sum {
        return None;
    }
    let mut lines = body.lines();
    if lines.next()? != HEAD {
        return None;
    }
    let mut secret = [0; 32];
    hex::decode_to_slice(lines.next()?.strip_prefix("secret ")?, &mut secret).ok()?;
    let mut kept = Kept { secret, anchors: Vec::new(), entries: Vec::new() };
    for line in lines {
        let mut words = line.split_ascii_whitespace();
        match words.next()? {
            "anchor" if kept.anchors.len() < ANCHORS_MAX => kept.anchors.push(address(words.next()?)?),
            "heard" => kept.entries.push(entry(false, &mut words)?),
            "tried" => kept.entries.push(entry(true, &mut words)?),
            _ => return None,
        }
        if words.next().is_some() {
            return None;
        }
    }
    (kept.entries.len() <= ENTRIES_MAX).then_some(kept)
}

/// Writes all of it. Blocks.
///
/// # Errors
/// What the file system says.
pub(crate) fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    kept_file::replace(path, &to_text(kept))
}

/// Reads what the last run kept. Blocks.
///
/// # Errors
/// What the file system says.
pub(crate) fn read(path: &Path) -> io::Result<Found> {
    match kept_file::read(path, FILE_BYTES_MAX) {
        Ok(None) => Ok(Found::Nothing),
        Ok(Some(text)) => Ok(of_text(&text).map_or(Found::Damaged, Found::Kept)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Found::Damaged),
        Err(error) => Err(error),
    }
}

/// How a file is that keeps what is known of peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeersFile {
    /// There is none.
    Missing,
    /// A node reads it.
    Whole,
    /// A node sets it aside.
    Damaged,
}

/// Looks at the file that keeps addresses of peers, without changing it. Blocks.
#[must_use]
pub fn peers_file_state(path: &Path) -> PeersFile {
    match read(path) {
        Ok(Found::Nothing) => PeersFile::Missing,
        Ok(Found::Kept(_)) => PeersFile::Whole,
        Ok(Found::Damaged) | Err(_) => PeersFile::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::PublicKey;

    fn some() -> Kept {
        let entry = |is_tried, tellers: u8, identity| Entry {
            is_tried,
            tellers: (0..tellers).map(|teller| NetGroup::of_bytes([teller; 8])).collect(),
            heard_ms: 1,
            answered_ms: 2,
            dialled_ms: 3,
            failures: 4,
            identity,
            of_itself: None,
        };
        Kept {
            secret: [7; 32],
            anchors: vec!["192.0.2.1:1".parse().unwrap()],
            entries: vec![
                ("192.0.2.1:1".parse().unwrap(), entry(true, 1, Some(PublicKey([9; 32])))),
                ("[2001:db8::1]:65535".parse().unwrap(), entry(false, 8, None)),
            ],
        }
    }

    #[test]
    fn what_is_written_is_read_and_every_changed_byte_is_noticed() {
        let text = to_text(&some());
        assert_eq!(of_text(&text), Some(some()));
        assert!(text.len() <= 2 * ENTRY_BYTES_MAX + 300, "an entry stays within its bound");
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            assert_eq!(String::from_utf8(bytes).ok().and_then(|text| of_text(&text)), None, "byte {place}");
            assert_eq!(of_text(&text[..place]), None, "cut after {place} bytes");
        }
    }

    #[test]
    fn what_no_node_writes_is_damaged_though_its_sum_is_right() {
        let text = to_text(&some());
        let body = text.rsplit_once("sum ").unwrap().0;
        let signed = |body: &str| format!("{body}sum {}\n", blake3::hash(body.as_bytes()));
        assert!(of_text(&signed(body)).is_some());
        for (old, new) in [
            ("timed peers 1", "timed peers 2"),
            ("192.0.2.1:1", "192.0.2.1:0"),
            ("192.0.2.1:1", "[::ffff:192.0.2.1]:1"),
            ("anchor", "anchors"),
            (" 4 ", " 4294967296 "),
            (" - ", " x "),
            ("secret 07", "secret 7"),
        ] {
            assert_eq!(of_text(&signed(&body.replacen(old, new, 1))), None, "{new}");
        }
        let anchors = body.replacen("anchor", "anchor 192.0.2.2:1\nanchor 192.0.2.3:1\nanchor", 1);
        assert_eq!(of_text(&signed(&anchors)), None, "more anchors than there may be");
    }

    #[test]
    fn a_file_that_is_missing_or_damaged_is_told_apart() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("peers");
        assert_eq!(read(&path).unwrap(), Found::Nothing);
        write(&path, &some()).unwrap();
        assert_eq!(read(&path).unwrap(), Found::Kept(some()));
        assert_eq!(peers_file_state(&path), PeersFile::Whole);
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!((read(&path).unwrap(), peers_file_state(&path)), (Found::Damaged, PeersFile::Damaged));
    }
}
