//! Says to the service manager that the node is alive, only while consensus makes turns.
//!
//! # Place
//! `timed run` starts it once the node serves. Without a service manager that waits for it nothing runs.
//!
//! # Invariants
//! - INV-WATCHDOG-1: nothing is said unless the thread of consensus has made a turn since the last time: a node whose
//!   core hangs is killed and started again, however well its other parts answer.
//!
//! The thread makes a turn each 100 ms though nothing happens, so a quiet network is no reason.

use std::sync::Arc;
use std::time::Duration;

use super::context::AppContext;
use crate::runtime::service_manager;

/// It is said so many times in the interval that the manager grants: one that comes late costs nothing.
const PER_INTERVAL: u32 = 3;
/// No more often than this, whatever the manager asks for: turns are 100 ms apart.
const PAUSE_MIN: Duration = Duration::from_millis(250);

/// The turns at the last look.
#[derive(Default)]
struct Watch {
    seen: Option<u64>,
}

impl Watch {
    /// INV-WATCHDOG-1.
    fn has_turned(&mut self, turns: u64) -> bool {
        self.seen.replace(turns) != Some(turns)
    }
}

/// Starts the task if the service manager waits for it; it ends with the node.
pub fn start(context: &Arc<AppContext>) {
    let Some(interval) = service_manager::watchdog_interval() else { return };
    let pause = (interval / PER_INTERVAL).max(PAUSE_MIN);
    let (token, engine) = (context.registry.token().clone(), Arc::clone(&context.engine));
    context.registry.spawn("watchdog", async move {
        let mut watch = Watch::default();
        let work = async {
            loop {
                if watch.has_turned(engine.turns()) {
                    service_manager::alive();
                } else {
                    tracing::error!(
                        seconds = pause.as_secs(),
                        "Consensus has made no turn; unless it goes on the service manager restarts the node"
                    );
                }
                tokio::time::sleep(pause).await;
            }
        };
        let _ended = token.run_until_cancelled(work).await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// INV-WATCHDOG-1.
    #[test]
    fn a_core_that_hangs_is_not_called_alive() {
        let mut watch = Watch::default();
        assert!(watch.has_turned(0) && watch.has_turned(7));
        assert!(!watch.has_turned(7) && !watch.has_turned(7));
        assert!(watch.has_turned(8));
    }
}
