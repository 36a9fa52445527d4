//! What the operating system's signals mean to a node.
//!
//! # Place
//! `timed run` calls [`watch`] before the node starts, so that a start that takes long hears them too; `timed devnet`
//! takes them from [`Signals`] itself.
//!
//! # Invariants
//! - INV-SIGNALS-1: SIGINT and SIGTERM alone stop a node. SIGHUP has the log reopened and its level read again; SIGUSR1
//!   and SIGUSR2 change nothing but a line in the log. Left to the operating system, each of the three would kill.
//! - The first SIGINT or SIGTERM cancels the registry's token at once, whatever the node is doing; each
//!   further one makes the shutdown hurry.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::TaskRegistry;

/// A signal, by what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// SIGINT or SIGTERM: stop.
    Stop(&'static str),
    /// SIGHUP: reopen the log and read its level again.
    Reload,
    /// SIGUSR1 or SIGUSR2, which ask for nothing.
    Ignored(&'static str),
}

/// The signals of this process. While it lives, and after it too, none of them has its default effect.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
}

impl Signals {
    /// Installs the handlers. Signals that come before the first [`Self::next`] are kept, each kind once.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// The next one. Dropping the future loses none.
    pub async fn next(&mut self) -> Heard {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Heard::Stop("SIGINT"),
            _ = self.terminate.recv() => Heard::Stop("SIGTERM"),
            _ = self.hangup.recv() => Heard::Reload,
            _ = self.user1.recv() => Heard::Ignored("SIGUSR1"),
            _ = self.user2.recv() => Heard::Ignored("SIGUSR2"),
        }
    }
}

/// Obeys signals until the process ends. `reload` may block; it runs on a thread for that.
///
/// # Errors
/// When the operating system refuses the handlers.
pub fn watch(registry: &TaskRegistry, reload: impl Fn() + Send + Sync + 'static) -> io::Result<()> {
    let mut signals = Signals::install()?;
    let (node, reload) = (registry.clone(), Arc::new(reload));
    registry.spawn_unwaited("signals", async move {
        let mut stopping = false;
        loop {
            match signals.next().await {
                // A node that stops for another reason is not hurried by the first signal: a service manager sends one
                // after whatever it stopped the node by.
                Heard::Stop(name) if !stopping => {
                    stopping = true;
                    tracing::info!(signal = name, "Signal heard, the node stops");
                    node.token().cancel();
                }
                Heard::Stop(name) => {
                    tracing::warn!(signal = name, "Another signal heard, the node stops in a hurry");
                    node.hurry();
                }
                Heard::Reload => {
                    let reload = Arc::clone(&reload);
                    node.spawn_blocking("log reload", move || reload());
                }
                Heard::Ignored(name) => tracing::info!(
                    signal = name,
                    "Signal ignored: it asks for nothing here (SIGINT and SIGTERM stop the node, SIGHUP reopens its log)"
                ),
            }
        }
    });
    Ok(())
}
