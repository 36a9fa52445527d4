//! All that a picture shows, and which panel is in front.

use std::time::Duration;

use super::finality::FinalityView;
use super::gather::{Rates, Snapshot, Watcher};
use crate::runtime::Clock;
use crate::types::TimeMs;

/// A node that is silent for less is just slow.
const SILENCE_MIN: Duration = Duration::from_secs(3);

/// The panels that may not fit at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Panel {
    Masternodes,
    Peers,
    Resources,
    Problems,
}

impl Panel {
    pub(super) const ALL: [Self; 4] = [Self::Masternodes, Self::Peers, Self::Resources, Self::Problems];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Masternodes => "Masternodes",
            Self::Peers => "Peers",
            Self::Resources => "Resources",
            Self::Problems => "Problems",
        }
    }
}

/// All that a picture shows.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) url: String,
    pub(super) snapshot: Snapshot,
    pub(super) rates: Option<Rates>,
    pub(super) finality: FinalityView,
    /// For how many seconds the node has not answered, and why not.
    pub(super) silent: Option<(u64, String)>,
    pub(super) panel: Panel,
    /// Lines of the panel that are above its first one.
    pub(super) scroll: usize,
    pub(super) helps: bool,
    pub(super) paused: bool,
    /// A text for scripts: no keys are told.
    pub(super) is_text: bool,
}

impl View {
    /// What a watcher knows now.
    pub(super) fn of(watcher: &Watcher) -> Self {
        let now = Clock.instant();
        let silence = now.saturating_duration_since(watcher.answered);
        let silent = (watcher.trouble.is_some() || silence >= SILENCE_MIN).then(|| {
            let waits = || "it has been asked and says nothing yet".to_owned();
            (silence.as_secs(), watcher.trouble.clone().unwrap_or_else(waits))
        });
        Self {
            url: watcher.url().to_owned(),
            snapshot: watcher.snapshot.clone(),
            rates: watcher.rates.clone(),
            finality: watcher.minute.view(now),
            silent,
            panel: Panel::Masternodes,
            scroll: 0,
            helps: false,
            paused: false,
            is_text: false,
        }
    }

    /// The node's time when it answered last.
    pub(super) const fn now_ms(&self) -> TimeMs {
        self.snapshot.totals.time_ms
    }
}
