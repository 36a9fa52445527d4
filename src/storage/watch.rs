//! How long work at a start says how far it is, and hears that it is to stop.

use super::error::StorageError;

/// Asked between steps of long work, with what is done and what there is in all (bytes, or blocks): whether to go on.
pub type Watch<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// Asks whether to go on.
///
/// # Errors
/// [`StorageError::Interrupted`] when not. Nothing is lost then: the next start does the work.
pub fn ask(watch: Watch<'_>, done: u64, total: u64) -> Result<(), StorageError> {
    if watch(done, total) { Ok(()) } else { Err(StorageError::Interrupted) }
}
