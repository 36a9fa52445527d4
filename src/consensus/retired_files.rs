//! Removes files of the logs that nobody needs any more, slowly, so that nobody who syncs meanwhile waits for it.
//!
//! # Place
//! Vote journal and block log hand over what they have left out.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::runtime::TaskRegistry;
use crate::runtime::priority::{self, Priority};
use crate::runtime::tasks::ThreadError;
use crate::storage::disk::Disk;
use crate::storage::retired::RetiredSegments;

/// Removals that wait, at most; what is not taken is found by the next one.
pub(crate) const REMOVALS_MAX: usize = 1;
/// Pause between two steps of a removal.
const REMOVAL_PAUSE: Duration = Duration::from_millis(100);

/// The way to the thread that removes; it ends when this is dropped.
pub(crate) struct RetiredFiles<D: Disk>(SyncSender<RetiredSegments<D>>);

impl<D: Disk> RetiredFiles<D> {
    pub(super) fn start(name: &'static str, registry: &TaskRegistry) -> Result<Self, ThreadError> {
        let (sender, removals) = sync_channel(REMOVALS_MAX);
        let token = registry.token().clone();
        registry.spawn_thread(name, move || remove_all(name, &removals, &token))?;
        Ok(Self(sender))
    }

    pub(super) fn remove(&self, segments: RetiredSegments<D>) {
        // One that is dropped here is found by the next one.
        let _dropped = self.0.try_send(segments).is_err();
    }
}

/// Nobody needs this room soon, so a failure is not the node's end.
pub(super) fn remove_all<D: Disk>(
    name: &'static str,
    removals: &Receiver<RetiredSegments<D>>,
    token: &CancellationToken,
) {
    priority::take(Priority::Background);
    let mut goes_on = || {
        std::thread::sleep(REMOVAL_PAUSE);
        !token.is_cancelled()
    };
    while let Ok(segments) = removals.recv() {
        if let Err(problem) = segments.remove(&mut goes_on) {
            warn!(%problem, what = name, "Files that are not needed stay on the disk for now");
        }
    }
}
