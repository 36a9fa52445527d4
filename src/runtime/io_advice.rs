//! What a person can do about an error of the file system, to stand behind the system's own words.

use std::io::{Error, ErrorKind};

use rustix::io::Errno;

/// The next step as the end of a message, `; do this`; empty where the system's words say it all.
#[must_use]
pub fn io_advice(source: &Error) -> &'static str {
    match source.kind() {
        ErrorKind::NotFound => "; check the name, and that the directory it lies in is there",
        ErrorKind::PermissionDenied => {
            "; let the user that runs timed have it, by chown or chmod, or name another place"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room on that disk and try again",
        ErrorKind::ReadOnlyFilesystem => {
            "; name a place on a disk that takes writes; if this one should, the system's log says why it stopped"
        }
        ErrorKind::AlreadyExists => "; name another place, or move what is there away",
        ErrorKind::IsADirectory => "; name a file, not a directory",
        ErrorKind::NotADirectory => "; a part of this path is a file: check the name",
        ErrorKind::InvalidData => "; it holds something else than it should: check that it is the right file",
        ErrorKind::InvalidFilename => "; choose a shorter name",
        _ => match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::IO) => "; the disk fails: see the system's log, and replace it if it goes on",
            Some(Errno::MFILE | Errno::NFILE) => "; too many files are open: raise the limit by `ulimit -n`",
            _ => "",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_system_answers_most_has_a_next_step_and_the_unknown_has_none() {
        // ENOENT, EACCES, ENOSPC, EROFS, EEXIST, EISDIR, ENOTDIR, EIO, EMFILE, ENAMETOOLONG.
        for (code, part) in [
            (2, "check the name"),
            (13, "chown"),
            (28, "make room"),
            (30, "takes writes"),
            (17, "another place"),
            (21, "name a file"),
            (20, "is a file"),
            (5, "disk fails"),
            (24, "ulimit"),
            (36, "shorter"),
        ] {
            let told = io_advice(&Error::from_raw_os_error(code));
            assert!(told.starts_with("; ") && told.contains(part), "{code}: {told}");
        }
        assert!(io_advice(&Error::from(ErrorKind::InvalidData)).contains("something else"));
        assert_eq!(io_advice(&Error::from_raw_os_error(4)), "", "EINTR means nothing to a person");
    }
}
