//! Payments that lost their coin, each with the one that has it. `gettransactionstatus` calls them `conflicted`, also after
//! a restart.
//!
//! # Place
//! `feeds.rs` notes and answers. `open.rs` reads the file, a task that `start.rs` starts writes it. It is no data of the
//! chain: without it these payments are unknown, and the states of their inputs still name who spent them.
//!
//! # Layout
//! Text. The first line is [`HEAD`] and the chain; each other line is a loser and its winner, the oldest first. The last
//! line is `sum` and the BLAKE3 hash of all before it: a file that does not have it is damaged, and nothing of it is
//! believed.
//!
//! # Invariants
//! - INV-LOSERS-1: at most [`LOSERS_MAX`] are remembered, and the newest [`KEPT_MAX`] of them kept in a file of at most
//!   [`FILE_BYTES_MAX`] bytes. It is written at most each [`KEEP_EVERY`], if there is something new, and at the end: a
//!   node that is killed forgets what it learned since.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;

use crate::network::PeersFile;
use crate::network::kept_file;
use crate::runtime::TaskRegistry;
use crate::storage::DirectoryLock;
use crate::types::{ChainId, TxId};

/// Payments that are remembered to have lost their coin, at most.
pub const LOSERS_MAX: usize = 16_384;
/// Those that outlive a restart, at most.
pub const KEPT_MAX: usize = 4_096;
/// Bytes of the file, at most: two names of 64 digits a line.
pub const FILE_BYTES_MAX: usize = KEPT_MAX * 130 + 256;
/// How often the file is written, at most.
const KEEP_EVERY: Duration = Duration::from_secs(5);

const HEAD: &str = "timed conflicts 1 ";
const SUM: &str = "sum ";

/// Where a data directory has the file.
#[must_use]
pub fn path_in(data_dir: &Path) -> PathBuf {
    data_dir.join("conflicts")
}

/// Losers with their winners.
#[derive(Debug, Default)]
pub struct Losers {
    /// Each with who has its coin.
    by_txid: HashMap<TxId, TxId, RandomState>,
    /// In the order in which they came, so that the oldest makes room.
    order: VecDeque<TxId>,
    has_news: bool,
}

impl Losers {
    /// Who has the coin of a payment, if that is remembered.
    #[must_use]
    pub fn winner(&self, loser: &TxId) -> Option<TxId> {
        self.by_txid.get(loser).copied()
    }

    /// Notes who has the coin of a payment for good.
    pub fn note(&mut self, loser: TxId, winner: TxId) {
        if self.by_txid.insert(loser, winner).is_some() {
            return;
        }
        self.has_news = true;
        self.order.push_back(loser);
        if self.order.len() > LOSERS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_txid.remove(&oldest);
        }
    }

    /// What is to be written, if there is something new since the last time.
    pub fn take_news(&mut self, chain: &ChainId) -> Option<String> {
        std::mem::take(&mut self.has_news).then(|| self.to_text(chain))
    }

    fn to_text(&self, chain: &ChainId) -> String {
        let mut text = format!("{HEAD}{chain}\n");
        let newest = self.order.iter().skip(self.order.len().saturating_sub(KEPT_MAX));
        for (loser, winner) in newest.filter_map(|loser| Some((loser, self.by_txid.get(loser)?))) {
            // Writing into a String can't fail.
            let _ = writeln!(text, "{loser} {winner}");
        }
        let sum = blake3::hash(text.as_bytes()).to_hex();
        let _ = writeln!(text, "{SUM}{sum}");
        text
    }

    /// Those of a text that is whole, with the chain that it is of; `None` for any other text.
    fn of_text(text: &str) -> Option<(ChainId, Self)> {
        let sum_at = text.strip_suffix('\n')?.rfind('\n')?.checked_add(1)?;
        let (before, last) = text.split_at_checked(sum_at)?;
        let sum = last.strip_prefix(SUM)?.strip_suffix('\n')?;
        if sum != blake3::hash(before.as_bytes()).to_hex().as_str() {
            return None;
        }
        let mut lines = before.lines();
        let chain = lines.next()?.strip_prefix(HEAD)?.parse().ok()?;
        let mut losers = Self::default();
        for line in lines {
            let (loser, winner) = line.split_once(' ')?;
            losers.note(loser.parse().ok()?, winner.parse().ok()?);
        }
        losers.has_news = false;
        Some((chain, losers))
    }
}

fn read(path: &Path) -> io::Result<Option<(ChainId, Losers)>> {
    let Some(text) = kept_file::read(path, FILE_BYTES_MAX)? else { return Ok(None) };
    let damaged = || io::Error::new(ErrorKind::InvalidData, "it does not have the hash that it ends with");
    Losers::of_text(&text).map(Some).ok_or_else(damaged)
}

/// How the file is, without changing it. Blocks.
#[must_use]
pub fn file_state(path: &Path) -> PeersFile {
    match read(path) {
        Ok(Some(_)) => PeersFile::Whole,
        Ok(None) => PeersFile::Missing,
        Err(_) => PeersFile::Damaged,
    }
}

/// What the last run kept. A file that is of no use is set aside, or passed over if it is of another chain; neither keeps a
/// node from starting. Blocks.
pub(super) fn of_last_run(path: &Path, chain: &ChainId) -> Losers {
    match read(path) {
        Ok(Some((of, losers))) if of == *chain => return losers,
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::InvalidData => match kept_file::set_aside(path) {
            Ok(aside) => tracing::warn!(
                aside = %aside.display(),
                "The payments that lost their coin in the last run are damaged; a new file begins, the old one can be removed"
            ),
            Err(moving) => tracing::warn!(
                path = %path.display(),
                %moving,
                "The payments that lost their coin in the last run are damaged, and can't be moved away"
            ),
        },
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "The payments that lost their coin in the last run can't be read");
        }
    }
    Losers::default()
}

/// Writes what [`Losers::take_news`] gives from time to time, and when the node stops. The lock is held until it is written.
pub(super) fn keep(
    take_news: impl Fn(&ChainId) -> Option<String> + Send + Sync + 'static,
    (path, chain): (PathBuf, ChainId),
    lock: &Arc<DirectoryLock>,
    registry: &TaskRegistry,
) {
    let (lock, token) = (Arc::clone(lock), registry.token().clone());
    registry.spawn("conflicts", async move {
        loop {
            let is_last = token.run_until_cancelled(tokio::time::sleep(KEEP_EVERY)).await.is_none();
            if let Some(text) = take_news(&chain) {
                let (target, held) = (path.clone(), Arc::clone(&lock));
                let writing = move || {
                    let written = kept_file::replace(&target, &text);
                    drop(held);
                    written
                };
                if let Ok(Err(error)) = tokio::task::spawn_blocking(writing).await {
                    let path = path.display();
                    tracing::warn!(%path, %error, "Payments that lost their coin can't be kept over a restart");
                }
            }
            if is_last {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::feeds::Feeds;
    use crate::types::TimeMs;

    const CHAIN: ChainId = ChainId([9; 32]);

    fn txid(index: usize) -> TxId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&index.to_le_bytes());
        TxId(bytes)
    }

    fn losers(count: usize) -> Losers {
        let mut losers = Losers::default();
        (0..count).for_each(|index| losers.note(txid(index), txid(index + 1)));
        losers
    }

    /// INV-LOSERS-1: memory and file are bounded, and the newest are those that are kept.
    #[test]
    fn losers_are_kept_with_their_winners_within_the_bounds() {
        let mut known = losers(LOSERS_MAX + 1);
        known.note(txid(LOSERS_MAX), txid(7));
        assert_eq!(known.winner(&txid(0)), None);
        assert_eq!(known.winner(&txid(1)), Some(txid(2)));
        assert_eq!(known.winner(&txid(LOSERS_MAX)), Some(txid(7)));
        assert_eq!((known.by_txid.len(), known.order.len()), (LOSERS_MAX, LOSERS_MAX));
        let text = known.take_news(&CHAIN).unwrap();
        assert_eq!(known.take_news(&CHAIN), None, "nothing is new");
        assert!(text.len() <= FILE_BYTES_MAX, "{}", text.len());
        let (chain, mut again) = Losers::of_text(&text).unwrap();
        assert_eq!((chain, again.order.len(), again.take_news(&CHAIN)), (CHAIN, KEPT_MAX, None));
        let first = LOSERS_MAX + 1 - KEPT_MAX;
        assert_eq!(
            (again.winner(&txid(first - 1)), again.winner(&txid(first))),
            (None, Some(txid(first + 1)))
        );
        assert_eq!(again.winner(&txid(LOSERS_MAX)), Some(txid(7)));
    }

    #[test]
    fn any_wrong_bit_is_noticed_and_another_chains_file_is_passed_over() {
        let home = tempfile::tempdir().unwrap();
        let path = path_in(home.path());
        assert_eq!((file_state(&path), of_last_run(&path, &CHAIN).order.len()), (PeersFile::Missing, 0));
        let whole = losers(2).to_text(&CHAIN);
        kept_file::replace(&path, &whole).unwrap();
        assert_eq!(file_state(&path), PeersFile::Whole);
        assert_eq!(of_last_run(&path, &CHAIN).winner(&txid(1)), Some(txid(2)));
        assert_eq!(of_last_run(&path, &ChainId([8; 32])).winner(&txid(1)), None);
        for place in 0..whole.len() {
            let mut bytes = whole.clone().into_bytes();
            bytes[place] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(file_state(&path), PeersFile::Damaged, "byte {place}");
            bytes.truncate(place);
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(file_state(&path), PeersFile::Damaged, "cut at {place}");
        }
        assert_eq!(of_last_run(&path, &CHAIN).order.len(), 0);
        assert_eq!(file_state(&path), PeersFile::Missing, "it is set aside");
    }

    /// INV-LOSERS-1: a stop loses nothing, a kill at most what came since the last write.
    #[tokio::test]
    async fn what_is_new_is_written_when_the_node_stops() {
        let home = tempfile::tempdir().unwrap();
        let path = path_in(home.path());
        let lock = Arc::new(DirectoryLock::acquire(home.path()).unwrap());
        let run = async |change: fn(&Feeds)| -> TimeMs {
            let registry = TaskRegistry::new(tokio_util::sync::CancellationToken::new());
            let feeds = Arc::new(Feeds::with_losers(of_last_run(&path, &CHAIN)));
            let told = Arc::clone(&feeds);
            keep(move |chain| told.take_losers(chain), (path.clone(), CHAIN), &lock, &registry);
            change(&feeds);
            registry.shutdown(Duration::from_secs(5)).await.unwrap();
            std::fs::read_to_string(&path).map_or(0, |text| text.lines().count() as u64)
        };
        assert_eq!(run(|_| {}).await, 0, "there is nothing to write");
        assert_eq!(run(|feeds| feeds.lost(txid(1), txid(2))).await, 3);
        assert_eq!(run(|feeds| feeds.lost(txid(3), txid(2))).await, 4, "the first is still there");
        assert_eq!(of_last_run(&path, &CHAIN).winner(&txid(1)), Some(txid(2)));
    }
}
