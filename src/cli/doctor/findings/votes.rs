//! Whose votes come late, and whose are missing.

use super::super::facts::Node;
use super::{Findings, NAMED_MAX, Severity};
use crate::rpc::types::{MemberLatency, VoteTimes};

/// Votes of a masternode before anything is said of them.
const VOTES_MIN: u64 = 20;
/// Nine of ten votes of a masternode that is in time are here within so many milliseconds, wherever in the world it is; and
/// within so many times the figure of the middle one.
const LATE_MS: f64 = 500.0;
const LATE_TIMES: f64 = 3.0;
/// Hundredths of the votes that may be missing.
const MISSING_PERCENT: u64 = 5;

fn enough(times: &VoteTimes) -> bool {
    times.count.saturating_add(times.missing) >= VOTES_MIN
}

/// The figure of the middle member.
fn middle_ms(members: &[&MemberLatency]) -> f64 {
    let mut all: Vec<f64> = members.iter().filter_map(|one| one.lock.p90_ms).collect();
    all.sort_unstable_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}

/// What is wrong with a member's votes, in words.
fn trouble(member: &MemberLatency, middle_ms: f64) -> Option<String> {
    let missing = member.lock.missing_percent();
    let late_ms = member.lock.p90_ms.filter(|ms| *ms > LATE_MS && *ms > middle_ms * LATE_TIMES);
    let words = match (missing >= MISSING_PERCENT, late_ms) {
        (false, None) => return None,
        (true, None) => format!("{missing} % missing"),
        (false, Some(ms)) => format!("a tenth later than {ms:.0} ms"),
        (true, Some(ms)) => format!("{missing} % missing, a tenth later than {ms:.0} ms"),
    };
    let name = member.id.short();
    Some(if member.own { format!("{name}, this node's own, {words}") } else { format!("{name}, {words}") })
}

impl Findings {
    /// By this node's measure of the last minutes.
    pub(super) fn of_votes(&mut self, node: &Node) {
        let of_set: Vec<&MemberLatency> = node.latency.masternodes.iter().collect();
        let members: Vec<&MemberLatency> = of_set.into_iter().filter(|one| enough(&one.lock)).collect();
        let (minutes, watched) = (node.latency.minutes, members.len());
        if members.is_empty() {
            self.well(
                "votes",
                format!("Too few payments in the last {minutes} minutes to say whose votes are late."),
            );
            return;
        }
        let middle_ms = middle_ms(&members);
        let late: Vec<String> = members.iter().filter_map(|one| trouble(one, middle_ms)).collect();
        let slow_here = middle_ms > LATE_MS;
        let says = format!(
            "Nine of ten votes of the middle one of {watched} masternodes are here within {middle_ms:.1} ms."
        );
        if late.is_empty() && !slow_here {
            return self.well("votes", says);
        }
        if slow_here {
            let next = "most are late, so look at this node first: its connection, its processor, its disk (`timed top`)";
            self.add("votes", Severity::Warning, says.clone(), next);
        }
        if !late.is_empty() {
            let more = late.len().saturating_sub(NAMED_MAX);
            let more = if more == 0 { String::new() } else { format!("; and {more} more") };
            let named = late.get(..NAMED_MAX.min(late.len())).unwrap_or_default().join("; ");
            let says = format!("{says} Late or missing: {named}{more}.");
            let next = "ask another node too (`timed rpc getvotelatency`): what it sees as well, their operators have to mend";
            self.add("votes", Severity::Warning, says, next);
        }
    }
}
