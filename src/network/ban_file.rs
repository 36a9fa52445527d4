//! The file that keeps bans over restarts, and the points of those who are on their way there.
//!
//! # Place
//! [`Network::start`](super::Network::start) reads it, a task of `keeping.rs` writes it after changes and at the
//! end. It is no data of the chain: without it a node starts with nobody banned.
//!
//! # Layout
//! Text. The first line is [`HEAD`]; each other line is `identity`, `host` or `group`, a key or an address, and the end
//! in milliseconds since the Unix epoch; or `points`, then `identity` or `group` and whose, and how many there were when
//! it was written. The last line is `sum` and the BLAKE3 hash of all before it: a file that does not have it is damaged, and
//! no ban of it is believed. Files of version 1 have no sum; lines of theirs that are not like that are skipped.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::address_file::PeersFile;
use super::kept_file;
use super::reputation::{BANS_MAX, BanTarget};
use crate::types::TimeMs;

const HEAD: &str = "timed bans 2";
const HEAD_WITHOUT_SUM: &str = "timed bans 1";
const SUM: &str = "sum ";
/// Bytes of the file, at most: as many bans as are kept, and as many scores of identities and of groups.
const FILE_BYTES_MAX: usize = 3 * BANS_MAX * 128 + 128;
/// What a ban may last at most after a restart, whatever the clock said when it was written.
const LEFT_MAX: Duration = Duration::from_secs(366 * 86_400);

/// What is kept: bans with the time that is left, and points.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeptBans {
    pub(crate) bans: Vec<(BanTarget, Duration)>,
    pub(crate) points: Vec<(BanTarget, u32)>,
}

fn words(target: &BanTarget) -> String {
    match target {
        BanTarget::Identity(identity) => format!("identity {identity}"),
        BanTarget::Ip(ip) => format!("host {ip}"),
        BanTarget::Group(ip) => format!("group {ip}"),
    }
}

fn target(kind: &str, name: &str) -> Option<BanTarget> {
    Some(match kind {
        "identity" => BanTarget::Identity(name.parse().ok()?),
        "host" => BanTarget::Ip(name.parse().ok()?),
        "group" => BanTarget::Group(name.parse().ok()?),
        _ => return None,
    })
}

impl KeptBans {
    /// Takes a line; `None` if it is none of such a file.
    fn take(&mut self, line: &str, now_ms: TimeMs) -> Option<()> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match *words.as_slice() {
            ["points", kind, name, points] => {
                self.points.push((target(kind, name)?, points.parse().ok()?));
            }
            [kind, name, until_ms] => {
                let until_ms = until_ms.parse::<u64>().ok()?;
                let left = Duration::from_millis(until_ms.saturating_sub(now_ms)).min(LEFT_MAX);
                self.bans.push((target(kind, name)?, left));
            }
            _ => return None,
        }
        Some(())
    }
}

/// Writes all of it. Blocks.
///
/// # Errors
/// What the file system says.
pub(crate) fn write(path: &Path, kept: &KeptBans, now_ms: TimeMs) -> io::Result<()> {
    let mut text = format!("{HEAD}\n");
    for (target, left) in kept.bans.iter().take(BANS_MAX) {
        let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        // Writing into a String can't fail.
        let _ = writeln!(text, "{} {}", words(target), now_ms.saturating_add(left_ms));
    }
    for (target, points) in kept.points.iter().take(2 * BANS_MAX) {
        let _ = writeln!(text, "points {} {points}", words(target));
    }
    let sum = blake3::hash(text.as_bytes()).to_hex();
    let _ = writeln!(text, "{SUM}{sum}");
    kept_file::replace(path, &text)
}

/// How the file of bans is, without changing it. Blocks.
#[must_use]
pub fn bans_file_state(path: &Path) -> PeersFile {
    match read(path, 0) {
        Ok(_) if !path.exists() => PeersFile::Missing,
        Ok(_) => PeersFile::Whole,
        Err(_) => PeersFile::Damaged,
    }
}

/// The lines of a file that is whole, without its head and its sum.
fn whole_lines(text: &str) -> Result<&str, &'static str> {
    match text.split_once('\n') {
        Some((HEAD_WITHOUT_SUM, lines)) => Ok(lines),
        Some((HEAD, lines)) => {
            let sum_at = text.trim_end().rfind('\n').map_or(0, |end| end.saturating_add(1));
            let (before, last) = text.split_at(sum_at);
            let sum = last.strip_prefix(SUM).and_then(|last| last.strip_suffix('\n'));
            if sum != Some(blake3::hash(before.as_bytes()).to_hex().as_str()) {
                return Err("it does not have the hash that it ends with");
            }
            Ok(lines.strip_suffix(last).unwrap_or_default())
        }
        _ => Err("it does not start as a file of bans does"),
    }
}

/// Reads the bans that have not ended, and the points. Without a file there are none. Blocks.
///
/// # Errors
/// What the file system says, and when it is no file of bans.
pub(crate) fn read(path: &Path, now_ms: TimeMs) -> io::Result<KeptBans> {
    let mut kept = KeptBans::default();
    let Some(text) = kept_file::read(path, FILE_BYTES_MAX)? else { return Ok(kept) };
    let lines = whole_lines(&text).map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))?;
    for line in lines.lines() {
        // What is no such line, of a file of version 1, is skipped.
        let _taken = kept.take(line, now_ms);
    }
    kept.bans.retain(|(_, left)| !left.is_zero());
    kept.bans.truncate(BANS_MAX);
    kept.points.truncate(2 * BANS_MAX);
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::PublicKey;

    #[test]
    fn bans_come_back_with_the_time_that_is_left() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("bans");
        assert_eq!(read(&path, 0).unwrap(), KeptBans::default());
        let minute = Duration::from_secs(60);
        let bans = [
            (BanTarget::Identity(PublicKey([7; 32])), minute),
            (BanTarget::Ip("2001:db8::".parse().unwrap()), 2 * minute),
            (BanTarget::Group("203.0.113.0".parse().unwrap()), 3 * minute),
        ];
        let points = vec![(BanTarget::Identity(PublicKey([8; 32])), 99), (bans[2].0, 199)];
        let kept = KeptBans { bans: bans.to_vec(), points };
        write(&path, &kept, 1_000_000).unwrap();
        assert_eq!(read(&path, 1_000_000).unwrap(), kept);
        let later = read(&path, 1_000_000 + 90_000).unwrap().bans;
        assert_eq!(later, [(bans[1].0, minute / 2), (bans[2].0, minute * 3 / 2)], "one has ended");
        let one = KeptBans { bans: bans[..1].to_vec(), points: Vec::new() };
        write(&path, &one, 1_000_000).unwrap();
        assert_eq!(read(&path, 1_000_000).unwrap(), one, "it is replaced");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "nothing else is left");
        let early = read(&path, 0).unwrap().bans;
        assert!(early[0].1 <= Duration::from_secs(1_060));
    }

    #[test]
    fn any_wrong_bit_is_noticed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("bans");
        assert_eq!(bans_file_state(&path), PeersFile::Missing);
        let bans = vec![(BanTarget::Identity(PublicKey([7; 32])), Duration::from_secs(60))];
        for kept in [KeptBans { bans, points: Vec::new() }, KeptBans::default()] {
            write(&path, &kept, 0).unwrap();
            assert_eq!((read(&path, 0).unwrap(), bans_file_state(&path)), (kept, PeersFile::Whole));
            let whole = std::fs::read(&path).unwrap();
            for place in 0..whole.len() {
                let mut bytes = whole.clone();
                bytes[place] ^= 1;
                std::fs::write(&path, &bytes).unwrap();
                let found = read(&path, 0).map_err(|error| error.kind());
                assert_eq!(found, Err(io::ErrorKind::InvalidData), "byte {place}");
                assert_eq!(bans_file_state(&path), PeersFile::Damaged);
                bytes.truncate(place);
                std::fs::write(&path, &bytes).unwrap();
                assert!(read(&path, 0).is_err(), "cut at {place}");
            }
        }
    }

    #[test]
    fn rubbish_is_skipped_or_named() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("bans");
        std::fs::write(&path, "something else\n").unwrap();
        assert_eq!(read(&path, 0).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let key = "07".repeat(32);
        let text = format!(
            "{HEAD_WITHOUT_SUM}\nidentity zz 5\nidentity {key} x\nhost 1.2.3.4\nhost 1.2.3.4 99 more\nwhat 1.2.3.4 9\n\
             host 1.2.3.4 {}\nidentity {key} 9\npoints host 1.2.3.4\npoints identity {key} 7 8\npoints group 1.2.3.0 -1\n",
            u64::MAX
        );
        std::fs::write(&path, text).unwrap();
        let found = read(&path, 5).unwrap();
        assert_eq!(found.points, []);
        let expected = [
            (BanTarget::Ip("1.2.3.4".parse().unwrap()), LEFT_MAX),
            (BanTarget::Identity(PublicKey([7; 32])), Duration::from_millis(4)),
        ];
        assert_eq!(found.bans, expected);
    }
}
