//! Makes a vote journal of records that come from elsewhere: all of them or none.
//!
//! # Place
//! `app/votes.rs` reads the records from a file and hands them in.
//!
//! # Invariants
//! - INV-IMPORT-1: a journal appears under its name only when every record of it is on disk; one that lacks some would
//!   pass for whole and let its key contradict itself. So it is written in a directory beside, which is renamed at the
//!   end. (A mark at the journal's end would have to be known to every reader.)
//! - INV-JOURNAL-1 of `journal.rs`: what is there is never overwritten.

use std::fs;
use std::path::{Path, PathBuf};

use super::disk::{Disk as _, RealDisk};
use super::error::StorageError;
use super::journal::{JournalIdentity, JournalOrigin, JournalRecord, JournalWriter, OpenedJournal, Staged};
use crate::types::codec::encode;

/// Bytes of records that are written and synced together.
const BATCH_BYTES: usize = 4 << 20;

/// A journal that is being made. Dropped before [`JournalImport::finish`] it leaves nothing that counts.
pub struct JournalImport {
    target: PathBuf,
    staging: PathBuf,
    journal: OpenedJournal<RealDisk>,
    pending: Vec<JournalRecord>,
    pending_bytes: usize,
    replaces_keyless: bool,
}

/// A directory beside that no journal is looked for in.
fn staging_of(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".import");
    target.with_file_name(name)
}

fn remove_directory(path: &Path) -> Result<(), StorageError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StorageError::io("remove directory", path)(error))
        }
        _ => Ok(()),
    }
}

impl JournalImport {
    /// Begins a journal that is to be in `target`, where there is none, or one without an operator key. What an attempt
    /// before this one left is removed.
    ///
    /// # Errors
    /// Those of [`JournalWriter::is_keyless`], and of [`JournalWriter::open`] if there is one that is damaged.
    pub fn begin(
        target: &Path,
        identity: JournalIdentity,
        origin: JournalOrigin,
    ) -> Result<Self, StorageError> {
        let replaces_keyless = JournalWriter::is_keyless(&RealDisk, target, identity)?;
        if !replaces_keyless {
            // A header that tells nothing may be damaged, and frames behind it.
            match JournalWriter::scan(RealDisk, target, identity, &mut |_| Ok(())) {
                Err(StorageError::NoJournal { .. }) => {}
                Err(error) => return Err(error),
                Ok(_) => return Err(StorageError::JournalExists { path: target.to_path_buf() }),
            }
        }
        let staging = staging_of(target);
        remove_directory(&staging)?;
        let journal = JournalWriter::create(RealDisk, &staging, identity, origin)?;
        let target = target.to_path_buf();
        Ok(Self { target, staging, journal, pending: Vec::new(), pending_bytes: 0, replaces_keyless })
    }

    /// Whether it takes the place of one without an operator key.
    #[must_use]
    pub const fn replaces_keyless(&self) -> bool {
        self.replaces_keyless
    }

    /// Adds the next record.
    ///
    /// # Errors
    /// [`StorageError::RecordTooLarge`], [`StorageError::Io`].
    pub fn push(&mut self, record: JournalRecord) -> Result<(), StorageError> {
        self.pending_bytes = self.pending_bytes.saturating_add(encode(&record).len());
        self.pending.push(record);
        if self.pending_bytes >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        let records = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        // Nothing waits for these records but the rename.
        let _released = self.journal.writer.commit(vec![Staged::<()> { records, release: Vec::new() }])?;
        Ok(())
    }

    /// Makes everything durable, and then the journal one.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn finish(mut self) -> Result<(), StorageError> {
        self.flush()?;
        let Self { target, staging, journal, .. } = self;
        drop(journal);
        // What is there holds no vote: a journal without a key, or the rest of a creation that was cut off.
        remove_directory(&target)?;
        RealDisk.rename(&staging, &target)?;
        match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => RealDisk.sync_dir(parent),
            _ => RealDisk.sync_dir(Path::new(".")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::types::{ChainId, OutPoint, PublicKey, Transaction, TxId};

    const IDENTITY: JournalIdentity =
        JournalIdentity { chain_id: ChainId([7; 32]), operator: Some(PublicKey([5; 32])) };
    const ORIGIN: JournalOrigin = JournalOrigin { created_ms: 9, forced: false };

    fn record(epoch: u64) -> JournalRecord {
        JournalRecord::EpochStarted { epoch }
    }

    fn begin(target: &Path) -> Result<JournalImport, StorageError> {
        JournalImport::begin(target, IDENTITY, ORIGIN)
    }

    /// INV-IMPORT-1.
    #[test]
    fn a_journal_appears_whole_or_not_at_all() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("votes");
        let open = || JournalWriter::open(RealDisk, &target, IDENTITY);
        let mut import = begin(&target).unwrap();
        (0..5).for_each(|epoch| import.push(record(epoch)).unwrap());
        import.flush().unwrap();
        drop(import);
        assert!(matches!(open(), Err(StorageError::NoJournal { .. })), "it was never finished");
        // A creation that was cut off has left a file without a whole header.
        fs::create_dir(&target).unwrap();
        fs::write(target.join("00000001.seg"), b"timed").unwrap();
        let mut import = begin(&target).unwrap();
        (0..3).for_each(|epoch| import.push(record(epoch)).unwrap());
        import.finish().unwrap();
        let journal = open().unwrap();
        let mut records = Vec::new();
        let scanned = JournalWriter::scan(RealDisk, &target, IDENTITY, &mut |record| {
            records.push(record);
            Ok(())
        });
        drop(scanned.unwrap());
        assert_eq!(records, (0..3).map(record).collect::<Vec<_>>());
        assert_eq!((journal.origin, journal.epoch), (ORIGIN, 2));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing else is left");
    }

    /// A journal of any size is written in parts.
    #[test]
    fn records_that_are_written_in_parts_are_there_once_each_and_in_their_order() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("votes");
        let mut import = begin(&target).unwrap();
        for epoch in 0..6 {
            import.push(record(epoch)).unwrap();
            if epoch % 2 == 1 {
                import.flush().unwrap();
            }
        }
        import.finish().unwrap();
        let mut records = Vec::new();
        let scanned = JournalWriter::scan(RealDisk, &target, IDENTITY, &mut |record| {
            records.push(record);
            Ok(())
        });
        drop(scanned.unwrap());
        assert_eq!(records, (0..6).map(record).collect::<Vec<_>>());
    }

    /// A journal may be larger than memory.
    #[test]
    fn no_more_than_a_part_of_the_records_is_in_memory_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let mut import = begin(&home.path().join("votes")).unwrap();
        let body = Transaction::transfer(
            vec![OutPoint { txid: TxId([1; 32]), index: 0 }; 1_000],
            Vec::new(),
            Vec::new(),
        );
        let record = JournalRecord::Transaction(Arc::new(body));
        let bytes = encode(&record).len();
        let mut most = 0;
        for _ in 0..2 * BATCH_BYTES / bytes {
            import.push(record.clone()).unwrap();
            most = most.max(import.pending.len() * bytes);
        }
        assert!(most > BATCH_BYTES / 2 && most <= BATCH_BYTES, "{most} bytes");
    }

    #[test]
    fn what_is_there_is_never_replaced() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("votes");
        let keyless = JournalIdentity { operator: None, ..IDENTITY };
        drop(JournalWriter::open_or_create(RealDisk, &target, keyless).unwrap());
        let import = begin(&target).unwrap();
        assert!(import.replaces_keyless());
        assert!(JournalWriter::open(RealDisk, &target, keyless).is_ok(), "until the end");
        import.finish().unwrap();
        assert!(matches!(begin(&target), Err(StorageError::JournalExists { .. })));
        let other = JournalIdentity { operator: Some(PublicKey([6; 32])), ..IDENTITY };
        let refused = JournalImport::begin(&target, other, ORIGIN).err().unwrap();
        assert!(matches!(refused, StorageError::WrongOperator { .. }), "{refused}");
    }

    /// INV-JOURNAL-1: its votes may still be read from it by hand.
    #[test]
    fn a_damaged_journal_is_never_replaced() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("votes");
        let mut import = begin(&target).unwrap();
        import.push(record(1)).unwrap();
        import.finish().unwrap();
        let segment = target.join("00000001.seg");
        let whole = fs::read(&segment).unwrap();
        for byte in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[byte] ^= 0x10;
            fs::write(&segment, &damaged).unwrap();
            assert!(begin(&target).is_err(), "damaged at byte {byte}");
        }
    }
}
