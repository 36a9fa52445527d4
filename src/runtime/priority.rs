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

use rustix::process::{getpriority_process, setpriority_process};

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Every payment waits for it: consensus and its journal.
    Urgent,
    /// Nobody waits for it, but it takes as much of the processor as consensus does: the index.
    Background,
}

/// Bounds of the operating system: 19 goes last, -20 first.
const NICENESS: std::ops::RangeInclusive<i32> = -20..=19;

impl Priority {
    /// What a thread of this priority has, in a node of that niceness: the operator's choice for the whole node stands.
    fn niceness(self, of_node: i32) -> i32 {
        let offset = match self {
            Self::Urgent => -5,
            Self::Background => 19,
        };
        of_node.saturating_add(offset).clamp(*NICENESS.start(), *NICENESS.end())
    }
}

/// Gives the calling thread a priority. To go first takes a right (root, `CAP_SYS_NICE`, or a limit of niceness that
/// allows it); without it the thread keeps the node's priority, and says so at debug level.
pub fn take(priority: Priority) {
    let thread = Some(rustix::thread::gettid());
    let outcome = getpriority_process(thread).and_then(|of_node| {
        let niceness = priority.niceness(of_node);
        setpriority_process(thread, niceness)
    });
    if let Err(problem) = outcome {
        let thread = std::thread::current();
        tracing::debug!(thread = thread.name(), ?priority, %problem, "The thread keeps the node's priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn niceness() -> i32 {
        getpriority_process(Some(rustix::thread::gettid())).unwrap()
    }

    /// What a thread has that takes a priority in a node of this niceness.
    fn taken(priority: Priority, of_node: i32) -> i32 {
        let thread = std::thread::spawn(move || {
            setpriority_process(Some(rustix::thread::gettid()), of_node).unwrap();
            take(priority);
            niceness()
        });
        thread.join().unwrap()
    }

    #[test]
    fn a_thread_in_the_background_is_alone_in_it() {
        let before = niceness();
        assert_eq!(taken(Priority::Background, before), 19);
        assert_eq!(niceness(), before);
    }

    #[test]
    fn an_urgent_thread_goes_before_the_rest_of_its_node_where_that_is_allowed() {
        let of_node = niceness().max(15);
        let is_allowed = std::thread::spawn(move || {
            let thread = Some(rustix::thread::gettid());
            setpriority_process(thread, of_node).unwrap();
            setpriority_process(thread, of_node - 5).is_ok()
        });
        let expected = if is_allowed.join().unwrap() { of_node - 5 } else { of_node };
        assert_eq!(taken(Priority::Urgent, of_node), expected);
    }

    #[test]
    fn no_priority_leaves_the_bounds() {
        assert_eq!([Priority::Urgent, Priority::Background].map(|priority| priority.niceness(-18)), [-20, 1]);
        assert_eq!([Priority::Urgent, Priority::Background].map(|priority| priority.niceness(10)), [5, 19]);
    }
}
