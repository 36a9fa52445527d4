//! What a node that starts is doing, for those who ask before it serves.
//!
//! # Place
//! `app/` says what it does; the RPC server and the service manager tell it.

use std::sync::Arc;

use parking_lot::Mutex;

use super::service_manager;

/// What a start is doing. Clones are of the same start.
#[derive(Clone, Debug)]
pub struct StartStatus {
    doing: Arc<Mutex<String>>,
}

impl Default for StartStatus {
    fn default() -> Self {
        Self { doing: Arc::new(Mutex::new("opening its data".to_owned())) }
    }
}

impl StartStatus {
    /// Says what is done from now on: a line as a log has it.
    pub fn set(&self, line: &str) {
        service_manager::starting(line);
        *self.doing.lock() = continued(line);
    }

    /// What is done now, as it stands within a sentence.
    #[must_use]
    pub fn doing(&self) -> String {
        self.doing.lock().clone()
    }
}

/// A line as it goes on after a colon.
fn continued(line: &str) -> String {
    let mut letters = line.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_ask_are_told_the_same() {
        let status = StartStatus::default();
        let asked = status.clone();
        assert_eq!(asked.doing(), "opening its data");
        status.set("Reading the block log: 40 %");
        assert_eq!(asked.doing(), "reading the block log: 40 %");
    }
}
