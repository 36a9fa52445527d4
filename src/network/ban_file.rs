//! The file that keeps bans over restarts.
//!
//! # Place
//! [`Network::start`](super::Network::start) reads it, a task of `peer_manager.rs` writes it after changes and at the
//! end. It is no data of the chain: without it a node starts with nobody banned.
//!
//! # Layout
//! Text. The first line is [`HEAD`]; each other line is `identity`, `host` or `group`, a key or an address, and the end
//! in milliseconds since the Unix epoch. Lines that are not like that are skipped.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::kept_file;
use super::reputation::{BANS_MAX, BanTarget};
use crate::types::TimeMs;

const HEAD: &str = "timed bans 1";
/// Bytes of the file, at most: as many bans as are kept.
const FILE_BYTES_MAX: usize = BANS_MAX * 128;
/// What a ban may last at most after a restart, whatever the clock said when it was written.
const LEFT_MAX: Duration = Duration::from_secs(366 * 86_400);

fn line((target, left): &(BanTarget, Duration), now_ms: TimeMs) -> String {
    let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    let until_ms = now_ms.saturating_add(left_ms);
    match target {
        BanTarget::Identity(identity) => format!("identity {identity} {until_ms}\n"),
        BanTarget::Ip(ip) => format!("host {ip} {until_ms}\n"),
        BanTarget::Group(ip) => format!("group {ip} {until_ms}\n"),
    }
}

fn parse(line: &str, now_ms: TimeMs) -> Option<(BanTarget, Duration)> {
    let mut words = line.split_ascii_whitespace();
    let (kind, name, until_ms) = (words.next()?, words.next()?, words.next()?.parse::<u64>().ok()?);
    let target = match kind {
        "identity" => BanTarget::Identity(name.parse().ok()?),
        "host" => BanTarget::Ip(name.parse().ok()?),
        "group" => BanTarget::Group(name.parse().ok()?),
        _ => return None,
    };
    let left = Duration::from_millis(until_ms.saturating_sub(now_ms)).min(LEFT_MAX);
    words.next().is_none().then_some((target, left))
}

/// Writes all bans with the time that is left. Blocks.
///
/// # Errors
/// What the file system says.
pub(crate) fn write(path: &Path, bans: &[(BanTarget, Duration)], now_ms: TimeMs) -> io::Result<()> {
    let mut text = format!("{HEAD}\n");
    for ban in bans.iter().take(BANS_MAX) {
        text.push_str(&line(ban, now_ms));
    }
    kept_file::replace(path, &text)
}

/// Reads the bans that have not ended. Without a file there are none. Blocks.
///
/// # Errors
/// What the file system says, and when it is no file of bans.
pub(crate) fn read(path: &Path, now_ms: TimeMs) -> io::Result<Vec<(BanTarget, Duration)>> {
    let Some(text) = kept_file::read(path, FILE_BYTES_MAX)? else { return Ok(Vec::new()) };
    let mut lines = text.lines();
    if lines.next() != Some(HEAD) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not start as a file of bans does"));
    }
    let bans = lines.filter_map(|line| parse(line, now_ms)).filter(|(_, left)| !left.is_zero());
    Ok(bans.take(BANS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::PublicKey;

    #[test]
    fn bans_come_back_with_the_time_that_is_left() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("bans");
        assert_eq!(read(&path, 0).unwrap(), []);
        let minute = Duration::from_secs(60);
        let bans = [
            (BanTarget::Identity(PublicKey([7; 32])), minute),
            (BanTarget::Ip("2001:db8::".parse().unwrap()), 2 * minute),
            (BanTarget::Group("203.0.113.0".parse().unwrap()), 3 * minute),
        ];
        write(&path, &bans, 1_000_000).unwrap();
        assert_eq!(read(&path, 1_000_000).unwrap(), bans);
        let later = read(&path, 1_000_000 + 90_000).unwrap();
        assert_eq!(later, [(bans[1].0, minute / 2), (bans[2].0, minute * 3 / 2)], "one has ended");
        write(&path, &bans[..1], 1_000_000).unwrap();
        assert_eq!(read(&path, 1_000_000).unwrap(), bans[..1], "it is replaced");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "nothing else is left");
        let early = read(&path, 0).unwrap();
        assert!(early[0].1 <= Duration::from_secs(1_060));
    }

    #[test]
    fn rubbish_is_skipped_or_named() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("bans");
        std::fs::write(&path, "something else\n").unwrap();
        assert_eq!(read(&path, 0).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let key = "07".repeat(32);
        let text = format!(
            "{HEAD}\nidentity zz 5\nidentity {key} x\nhost 1.2.3.4\nhost 1.2.3.4 99 more\nwhat 1.2.3.4 9\n\
             host 1.2.3.4 {}\nidentity {key} 9\n",
            u64::MAX
        );
        std::fs::write(&path, text).unwrap();
        let found = read(&path, 5).unwrap();
        let expected = [
            (BanTarget::Ip("1.2.3.4".parse().unwrap()), LEFT_MAX),
            (BanTarget::Identity(PublicKey([7; 32])), Duration::from_millis(4)),
        ];
        assert_eq!(found, expected);
    }
}
