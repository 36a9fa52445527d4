//! The priority of the node's own threads among each other.
//!
//! # Place
//! A thread calls [`take`] as the first thing it does. What has no word here runs at the node's own priority.
//!
//! On a machine with spare cores none of this matters. On a busy one it decides who waits: consensus is one thread, and
//! while it validates and applies a block (some 15 ms of work for 2,000 payments) each other thread that is ready to
//! run takes its slices in between, so that votes stand for 100 ms and more. Four nodes with 2,000 payments a second on
//! two cores, in turns within one run, 99th percentile of finality: 253, 186, 126 ms with all threads alike, 119, 82,
//! 163 ms with consensus and the journal first.

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Every payment waits for it: consensus and its journal.
    Urgent,
    /// Nobody waits for it, but it takes as much of the processor as consensus does: the index.
    Background,
}

impl Priority {
    /// As the operating system counts it: 0 is normal, 19 goes last, -20 first.
    const fn niceness(self) -> i32 {
        match self {
            Self::Urgent => -5,
            Self::Background => 19,
        }
    }
}

/// Gives the calling thread a priority. To go first takes a right (root, `CAP_SYS_NICE`, or a limit of niceness that
/// allows it); without it the thread keeps the node's priority, and says so at debug level.
pub fn take(priority: Priority) {
    let niceness = priority.niceness();
    if let Err(problem) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), niceness) {
        let thread = std::thread::current();
        tracing::debug!(thread = thread.name(), niceness, %problem, "the thread keeps the node's priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_in_the_background_is_alone_in_it() {
        let niceness = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = niceness();
        let lowered = std::thread::spawn(move || {
            take(Priority::Background);
            niceness()
        });
        assert!(lowered.join().unwrap() >= Priority::Background.niceness());
        assert_eq!(niceness(), before);
    }
}
