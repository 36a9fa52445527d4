//! The log's file: reopened when it was renamed, and rotated before it grows too large.
//!
//! # Place
//! The thread that writes the log has one, and [`LogControl`](super::LogControl) another handle of it.
//!
//! # Invariants
//! - INV-LOG-1: file and old files take at most `max_file_mb` x (`max_old_files` + 1) million bytes together, and a line
//!   that is longer than `max_file_mb` alone stands in a file of its own.
//! - A line is never torn over two files.
//!
//! Old files are named by a number behind the file's name, 1 being the youngest, as logrotate does. What is no plain file (a
//! pipe, `/dev/stderr`) is never rotated.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::LoggingError;
use crate::runtime::config::LoggingConfig;

/// If a file can't be rotated, that is tried again when so many bytes more are in it.
const RETRY_BYTES: u64 = 1_000_000;

/// How large files may be, and how many of them are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Bytes of one file; none means that it is not rotated here.
    file_bytes: Option<u64>,
    old_files: u32,
}

impl Limits {
    pub(super) fn of(config: &LoggingConfig) -> Self {
        let file_bytes = (config.max_file_mb > 0).then(|| config.max_file_mb.saturating_mul(1_000_000));
        Self { file_bytes, old_files: config.max_old_files }
    }
}

struct Open {
    file: File,
    path: PathBuf,
    bytes: u64,
    limits: Limits,
    /// Not rotated before it has so many bytes.
    not_before: u64,
    is_plain: bool,
}

impl Open {
    fn new(path: &Path, limits: Limits) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let metadata = file.metadata()?;
        let path = path.to_owned();
        Ok(Self { file, path, bytes: metadata.len(), limits, not_before: 0, is_plain: metadata.is_file() })
    }

    /// Whether the line belongs into the next file.
    fn is_full(&self, line_bytes: u64) -> bool {
        let end = self.bytes.saturating_add(line_bytes);
        let over = self.limits.file_bytes.is_some_and(|limit| self.bytes > 0 && end > limit);
        self.is_plain && over && end > self.not_before
    }

    /// Moves each file on by one place, and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        let old_files = self.limits.old_files;
        remove_if_there(&numbered(&self.path, old_files))?;
        for number in (0..old_files).rev() {
            let (from, to) = (numbered(&self.path, number), numbered(&self.path, number.saturating_add(1)));
            match std::fs::rename(from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        *self = Self::new(&self.path, self.limits)?;
        Ok(())
    }

    /// Removes what an earlier start with a higher number of old files left. Numbers have no gaps.
    fn remove_surplus(&self) -> io::Result<()> {
        let mut number = self.limits.old_files.saturating_add(1);
        while self.limits.file_bytes.is_some() && numbered(&self.path, number).exists() {
            remove_if_there(&numbered(&self.path, number))?;
            number = number.saturating_add(1);
        }
        Ok(())
    }
}

/// `timed.log` for 0, else `timed.log.3`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    match number {
        0 => path.to_owned(),
        _ => {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            name.into()
        }
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The file that lines go to. Cheap to clone.
#[derive(Clone)]
pub(super) struct LogFile {
    open: Arc<Mutex<Open>>,
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> LoggingError + '_ {
    move |source| LoggingError::File { path: path.to_owned(), source }
}

impl LogFile {
    pub(super) fn open(path: &Path, limits: Limits) -> Result<Self, LoggingError> {
        let open = Open::new(path, limits).map_err(failed(path))?;
        open.remove_surplus().map_err(failed(path))?;
        Ok(Self { open: Arc::new(Mutex::new(open)) })
    }

    /// Goes on in the file of this name. If it can't be opened, lines go on where they went.
    pub(super) fn reopen(&self, path: &Path, limits: Limits) -> Result<(), LoggingError> {
        let open = Open::new(path, limits).map_err(failed(path))?;
        let surplus = open.remove_surplus().map_err(failed(path));
        *self.open.lock() = open;
        surplus
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut open = self.open.lock();
        let line_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let mut not_rotated = None;
        if open.is_full(line_bytes)
            && let Err(error) = open.rotate()
        {
            open.not_before = open.bytes.saturating_add(RETRY_BYTES);
            not_rotated = Some((open.path.clone(), error));
        }
        let written = open.file.write_all(bytes);
        open.bytes = open.bytes.saturating_add(line_bytes);
        drop(open);
        if let Some((path, error)) = not_rotated {
            // Into the queue of the thread that this is, which never waits for a place in it.
            tracing::error!(path = %path.display(), %error, "The log can't be rotated and grows on");
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open.lock().file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(file_bytes: u64, old_files: u32) -> Limits {
        Limits { file_bytes: Some(file_bytes), old_files }
    }

    fn text(path: &Path, number: u32) -> Option<String> {
        std::fs::read_to_string(numbered(path, number)).ok()
    }

    /// INV-LOG-1.
    #[test]
    fn files_are_full_before_the_next_begins_and_the_oldest_goes() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("timed.log");
        std::fs::write(&path, "0000\n").unwrap();
        let mut file = LogFile::open(&path, limits(10, 2)).unwrap();
        for line in ["1111\n", "2222\n", "a longer line than a file takes\n", "3333\n", "4444\n", "5\n"] {
            file.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(text(&path, 0).unwrap(), "5\n");
        assert_eq!(text(&path, 1).unwrap(), "3333\n4444\n");
        assert_eq!(text(&path, 2).unwrap(), "a longer line than a file takes\n");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 3);
    }

    /// INV-LOG-1.
    #[test]
    fn old_files_beyond_the_bound_go_at_the_next_opening() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("timed.log");
        for number in 0..6 {
            std::fs::write(numbered(&path, number), "old\n").unwrap();
        }
        let file = LogFile::open(&path, limits(10, 4)).unwrap();
        assert!(text(&path, 4).is_some() && text(&path, 5).is_none());
        file.reopen(&path, limits(10, 0)).unwrap();
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
        let mut file = file;
        file.write_all(b"so long a line\n").unwrap();
        assert_eq!(text(&path, 0).unwrap(), "so long a line\n", "without old files a full one is begun anew");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn without_a_bound_nothing_is_rotated_or_removed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("timed.log");
        std::fs::write(numbered(&path, 3), "of logrotate\n").unwrap();
        let unlimited = Limits { file_bytes: None, old_files: 1 };
        let mut file = LogFile::open(&path, unlimited).unwrap();
        for _ in 0..100 {
            file.write_all(b"a line\n").unwrap();
        }
        assert_eq!(text(&path, 0).unwrap().lines().count(), 100);
        assert!(text(&path, 1).is_none() && text(&path, 3).is_some());
    }

    #[test]
    fn a_file_that_can_not_be_rotated_goes_on_and_is_rotated_when_it_can() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("timed.log");
        // A directory in the place of the old file can't be removed as one.
        std::fs::create_dir(numbered(&path, 1)).unwrap();
        let mut file = LogFile::open(&path, limits(10, 1)).unwrap();
        file.write_all(b"first line\n").unwrap();
        file.write_all(b"second line\n").unwrap();
        assert_eq!(text(&path, 0).unwrap(), "first line\nsecond line\n", "no line is lost");
        std::fs::remove_dir(numbered(&path, 1)).unwrap();
        let mut open = file.open.lock();
        open.bytes += RETRY_BYTES;
        drop(open);
        file.write_all(b"third line\n").unwrap();
        assert_eq!(text(&path, 0).unwrap(), "third line\n");
        assert_eq!(text(&path, 1).unwrap(), "first line\nsecond line\n");
    }

    #[test]
    fn what_is_no_plain_file_is_not_rotated() {
        let mut file = LogFile::open(Path::new("/dev/null"), limits(1, 1)).unwrap();
        file.write_all(b"a line\n").unwrap();
        file.write_all(b"a line\n").unwrap();
        assert!(!Path::new("/dev/null.1").exists());
    }
}
