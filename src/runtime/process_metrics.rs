//! What is told of the process itself, under the names that all Prometheus clients use.
//!
//! # Place
//! The metrics server writes [`text`] behind the recorder's own: the recorder counts in integers, and processor time has
//! fractions of seconds. It is read at each scrape.
//!
//! What the operating system doesn't tell is left out; off Linux that is most of it.

use std::fmt::Write as _;

use rustix::process::{Resource, getrlimit};

use super::metric_names::{
    Metric, PROCESS_CPU_SECONDS_TOTAL, PROCESS_MAX_FDS, PROCESS_METRICS, PROCESS_OPEN_FDS,
    PROCESS_RESIDENT_MEMORY_BYTES, PROCESS_START_TIME_SECONDS,
};
use super::stages::process_time;

/// The field of proc_pid_stat(5) with the time of the start, counted from the one behind the name.
const START_FIELD: usize = 19;

/// Bytes that this process holds in memory.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}

/// When a process started, in seconds since the Unix epoch: its `/proc/PID/stat`, and `/proc/stat` with the time of the
/// machine's own start.
fn start_time_s(process: &str, machine: &str, ticks_per_s: u64) -> Option<String> {
    // A name may hold spaces and brackets.
    let (_, fields) = process.rsplit_once(") ")?;
    let ticks: u64 = fields.split(' ').nth(START_FIELD)?.parse().ok()?;
    let booted_s: u64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let hundredths = (ticks % ticks_per_s).checked_mul(100)?.checked_div(ticks_per_s)?;
    Some(format!("{}.{hundredths:02}", booted_s.checked_add(ticks.checked_div(ticks_per_s)?)?))
}

fn value_of(name: &str) -> Option<String> {
    match name {
        PROCESS_CPU_SECONDS_TOTAL => Some(format!("{:.3}", process_time()?.as_secs_f64())),
        PROCESS_RESIDENT_MEMORY_BYTES => resident_bytes().map(|bytes| bytes.to_string()),
        PROCESS_OPEN_FDS => Some(std::fs::read_dir("/proc/self/fd").ok()?.count().to_string()),
        PROCESS_MAX_FDS => getrlimit(Resource::Nofile).current.map(|limit| limit.to_string()),
        PROCESS_START_TIME_SECONDS => {
            let process = std::fs::read_to_string("/proc/self/stat").ok()?;
            let machine = std::fs::read_to_string("/proc/stat").ok()?;
            start_time_s(&process, &machine, rustix::param::clock_ticks_per_second())
        }
        _ => None,
    }
}

/// All of them in Prometheus' text format.
#[must_use]
pub fn text() -> String {
    let mut text = String::new();
    for Metric { name, kind, help, .. } in PROCESS_METRICS {
        if let Some(value) = value_of(name) {
            // Writing into a String can't fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}\n{name} {value}\n", kind.name());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Clock;

    #[test]
    fn all_of_them_are_told_on_linux_with_values_that_can_be() {
        let text = text();
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("{name} is missing in {text}")).parse().unwrap()
        };
        for metric in PROCESS_METRICS {
            assert!(value(metric.name) > 0.0, "{text}");
            assert!(text.contains(&format!("# TYPE {} {}\n", metric.name, metric.kind.name())));
        }
        let now_s = Clock.now_ms() as f64 / 1_000.0;
        let started_s = value(PROCESS_START_TIME_SECONDS);
        assert!((now_s - 86_400.0..=now_s + 1.0).contains(&started_s), "{started_s} {now_s}");
        assert!(value(PROCESS_OPEN_FDS) <= value(PROCESS_MAX_FDS));
        assert!(value(PROCESS_RESIDENT_MEMORY_BYTES) > 1_000_000.0);
    }

    #[test]
    fn the_start_is_read_behind_any_name() {
        let machine = "cpu 1 2\nbtime 1700000000\nprocesses 5\n";
        let fields = "S 1 1 1 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 9 0 12345 1 2";
        let of = |name: &str| start_time_s(&format!("77 ({name}) {fields}"), machine, 100);
        assert_eq!(of("timed").as_deref(), Some("1700000123.45"));
        assert_eq!(of("a) (b) S 1").as_deref(), Some("1700000123.45"));
        assert_eq!(start_time_s("77 timed", machine, 100), None);
        assert_eq!(start_time_s(&format!("77 (timed) {fields}"), "cpu 1\n", 100), None);
    }
}
