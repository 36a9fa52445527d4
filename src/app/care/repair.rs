//! Cuts the block log before its first damage.
//!
//! # Place
//! `timed db repair`. The node fetches the blocks from its peers that are missing then, as any node that was away does.
//! A masternode's votes are in its journal, which is not touched, so it contradicts nothing that it has said.
//!
//! # Invariants
//! - INV-REPAIR-1 of `storage/log_repair.rs`: nothing is deleted.

use std::path::PathBuf;

use serde::Serialize;

use super::check::CheckReport;
use super::files::beside;
use super::report::ProblemKind;
use super::{CareError, CarePlace, Tell};
use crate::storage::RealDisk;
use crate::storage::log_repair::cut_log;
use crate::types::Height;

/// Directories aside of one log, at most.
const ASIDE_MAX: u32 = 1_000;

/// What was done.
#[derive(Clone, Debug, Serialize)]
pub struct RepairReport {
    /// The last block that the log has now.
    pub height: Height,
    /// Where what was behind it is now; absent if nothing had to be cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aside: Option<PathBuf>,
    /// What was found before.
    pub found: CheckReport,
}

impl CarePlace {
    /// Checks everything, and cuts the block log if it is damaged. Nothing is cut of a log that is another network's.
    ///
    /// # Errors
    /// When the data can't be read or written; call it again then.
    pub fn repair(&self, deep: bool, told: Tell<'_>) -> Result<RepairReport, CareError> {
        let found = self.check(deep, told)?;
        let is_foreign = found.problems.iter().any(|problem| problem.kind == ProblemKind::Foreign);
        let height = found.height;
        let Some(cut) = found.cut.filter(|_| !is_foreign) else {
            return Ok(RepairReport { height, aside: None, found });
        };
        let blocks = self.blocks();
        let names = (1..ASIDE_MAX).map(|number| match number {
            1 => beside(&blocks, ".damaged"),
            _ => beside(&blocks, &format!(".damaged-{number}")),
        });
        let free = names.into_iter().find(|path| !path.exists());
        let aside = free.ok_or_else(|| CareError::Exists { path: beside(&blocks, ".damaged") })?;
        cut_log(&RealDisk, &blocks, &aside, cut)?;
        Ok(RepairReport { height, aside: Some(aside), found })
    }
}
