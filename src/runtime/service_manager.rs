//! Tells the service manager that started this process how it is: systemd's sd_notify(3).
//!
//! # Place
//! `timed run` says when the node serves and when it stops; a start says how far it is; `app/watchdog.rs` says that it is alive. Where no service
//! manager listens (`NOTIFY_SOCKET` is not set) nothing is said.

use std::time::Duration;

use sd_notify::NotifyState;

/// The node serves.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The node starts, and how far that is.
pub fn starting(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The node is alive.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// The node has begun to stop.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// How long the manager waits for [`alive`] before it kills the process; none if it doesn't. This is for the process that
/// it started alone, and not for those that inherit its environment.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "The service manager can't be told how the node is");
    }
}
