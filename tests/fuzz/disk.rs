//! What a node finds on its disk: block log and vote journal as another program, a cable or a crash left them.

use std::path::Path;

use timed::storage::journal::Staged;
use timed::storage::{
    BlockLog, Disk as _, DiskFile as _, JournalIdentity, JournalRecord, JournalWriter, MemoryDisk,
};
use timed::types::{GenesisDocument, OwnMessage};

use crate::fuzz::fuzz;
use crate::golden;
use crate::story::operator;

/// The files of a directory of the golden chain, and its document.
fn chain(part: &str) -> (GenesisDocument, Vec<(String, Vec<u8>)>) {
    let home = golden("chain-4");
    let text = std::fs::read_to_string(home.join("genesis.toml")).unwrap();
    let mut files: Vec<_> = std::fs::read_dir(home.join(part))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    (GenesisDocument::from_toml(&text).unwrap(), files)
}

/// A disk with these files, one of them with other contents.
fn disk(part: &str, files: &[(String, Vec<u8>)], changed: (usize, &[u8])) -> MemoryDisk {
    let (disk, dir) = (MemoryDisk::new(), Path::new(part));
    disk.create_dir_all(dir).unwrap();
    for (place, (name, bytes)) in files.iter().enumerate() {
        let mut file = disk.open(&dir.join(name)).unwrap();
        file.append(if place == changed.0 { changed.1 } else { bytes }).unwrap();
        file.sync_data().unwrap();
    }
    disk.sync_dir(dir).unwrap();
    disk
}

/// The journal's and the log's files begin with the part that a test changes; all of a file would be changed too rarely.
fn samples(files: &[(String, Vec<u8>)]) -> Vec<Vec<u8>> {
    files.iter().map(|(_, bytes)| bytes.clone()).collect()
}

#[test]
fn block_logs() {
    let (genesis, files) = chain("blocks");
    let chain_id = genesis.chain_id();
    let open = |disk: MemoryDisk| BlockLog::open(disk, Path::new("blocks"), chain_id);
    let whole = open(disk("blocks", &files, (usize::MAX, &[]))).unwrap();
    let blocks: Vec<_> = (1..=whole.height()).map(|height| whole.read(height).unwrap().unwrap()).collect();
    assert!(blocks.len() > 5);
    fuzz("block logs", &samples(&files), |place, bytes| {
        let disk = disk("blocks", &files, (place, bytes));
        let Ok(mut log) = open(disk.clone()) else { return };
        for (height, block) in
            (log.horizon() + 1..=log.height()).zip(blocks.iter().skip(log.horizon() as usize))
        {
            if let Ok(Some(read)) = log.read(height) {
                assert!(read.committed == block.committed, "another block {height}");
            }
        }
        // It goes on from where it ends.
        let next = log.height() as usize;
        if let Some(block) = blocks.get(next) {
            log.append(block).unwrap();
            drop(log);
            let again = open(disk).unwrap();
            assert!(again.read(next as u64 + 1).unwrap().unwrap().committed == block.committed);
        }
    });
}

#[test]
fn journals() {
    let (genesis, files) = chain("votes");
    let identity = JournalIdentity { chain_id: genesis.chain_id(), operator: Some(operator(0).public()) };
    let open = |disk: MemoryDisk| JournalWriter::open(disk, Path::new("votes"), identity);
    let mut own = Vec::new();
    let whole = disk("votes", &files, (usize::MAX, &[]));
    JournalWriter::scan(whole, Path::new("votes"), identity, &mut |record| {
        own.extend(
            matches!(record, JournalRecord::OwnBatch(_) | JournalRecord::BlockVote(_)).then_some(record),
        );
        Ok(())
    })
    .unwrap();
    assert!(own.len() > 2);
    fuzz("journals", &samples(&files), |place, bytes| {
        let disk = disk("votes", &files, (place, bytes));
        let Ok(opened) = open(disk.clone()) else { return };
        let mut writer = opened.writer;
        let records = vec![JournalRecord::EpochStarted { epoch: 99 }];
        let _none = writer.commit(vec![Staged::<OwnMessage> { records, release: Vec::new() }]).unwrap();
        drop(writer);
        let mut told = false;
        JournalWriter::scan(disk, Path::new("votes"), identity, &mut |record| {
            if let JournalRecord::OwnBatch(_) | JournalRecord::BlockVote(_) = &record {
                assert!(own.contains(&record), "a vote that was never written");
            }
            told |= matches!(record, JournalRecord::EpochStarted { epoch: 99 });
            Ok(())
        })
        .unwrap();
        assert!(told, "what was written after the damage is there");
    });
}
