//! Measures a piece of work with criterion and says which part of a limit its rate is.

pub(crate) mod chain;

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use timed::runtime::Clock;

/// Runs of each benchmark, criterion's least: every run is long.
const SAMPLES: usize = 10;

/// What one run does: so many of this unit.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub(crate) count: usize,
    pub(crate) unit: &'static str,
}

/// A rate, in units of work a second.
pub(crate) struct Rate {
    name: String,
    per_second: f64,
    unit: &'static str,
}

/// A group of benches whose runs take milliseconds.
pub(crate) fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(SAMPLES);
    group.warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(3));
    group
}

/// How long a run took, without the time to drop what it gave.
pub(crate) fn timed<T>(run: impl FnOnce() -> T) -> Duration {
    let start = Clock.instant();
    let given = black_box(run());
    let took = start.elapsed();
    drop(given);
    took
}

/// Measures runs that tell how long they took (see [`timed`]), and gives their median rate; `None` if the command line
/// left this one out.
pub(crate) fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    work: Work,
    mut run: impl FnMut() -> Duration,
) -> Option<Rate> {
    let mut samples: Vec<f64> = Vec::new();
    group.throughput(Throughput::Elements(u64::try_from(work.count).unwrap()));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|runs| {
            let took: Duration = (0..runs).map(|_| run()).sum();
            samples.push(took.as_secs_f64() / runs as f64);
            took
        });
    });
    samples.sort_by(f64::total_cmp);
    let median = samples.get(samples.len() / 2)?;
    Some(Rate { name: name.to_owned(), per_second: work.count as f64 / median, unit: work.unit })
}

/// Prints a rate as a part, or a multiple, of the limit's; both did the same work.
pub(crate) fn print_ratio(subject: Option<&Rate>, limit: Option<&Rate>) {
    let (Some(subject), Some(limit)) = (subject, limit) else { return };
    let (rate, limit_rate) = (subject.per_second, limit.per_second);
    println!(
        "ratio {:.4}  {} ({rate:.0} {unit}/s) to {} ({limit_rate:.0} {unit}/s)",
        rate / limit_rate,
        subject.name,
        limit.name,
        unit = subject.unit,
    );
}
