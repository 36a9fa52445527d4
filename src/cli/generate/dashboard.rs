//! A dashboard for Grafana, with every metric that a node tells.

use serde_json::{Value, json};

use crate::runtime::metric_names::{
    BLOCK_HEIGHT, BLOCK_INTERVAL_SECONDS, BUILD_INFO, CONSENSUS_ROUND, FINALITY_SECONDS, FORK_DETECTED,
    MASTERNODES, MEMPOOL_BYTES, MEMPOOL_REJECTED_TOTAL, MEMPOOL_TRANSACTIONS, METRICS, MISSED_COMMITS_TOTAL,
    Metric, MetricKind, PEER_BANS_TOTAL, PEER_BYTES_TOTAL, PEER_MESSAGES_TOTAL, PEERS,
    PROCESS_CPU_SECONDS_TOTAL, PROCESS_MAX_FDS, PROCESS_METRICS, PROCESS_OPEN_FDS,
    PROCESS_RESIDENT_MEMORY_BYTES, PROCESS_START_TIME_SECONDS, RPC_REQUESTS_TOTAL, RPC_SECONDS,
    STORAGE_BYTES, STORAGE_FLUSH_SECONDS, STORAGE_FREE_BYTES, STORAGE_MIN_FREE_BYTES, UTXO_COUNT,
    VOTES_TOTAL,
};

/// Columns of Grafana's grid, and the height of a panel in its rows.
const COLUMNS: usize = 24;
const PANEL_HEIGHT: usize = 8;
/// Panels side by side.
const PANELS_A_LINE: usize = 3;
/// Series of a metric with labels that are shown.
const SERIES_MAX: usize = 12;

/// A panel: its title, its unit in Grafana's words, and what it shows.
struct Panel {
    title: &'static str,
    unit: &'static str,
    metrics: &'static [&'static str],
}

const fn panel(title: &'static str, unit: &'static str, metrics: &'static [&'static str]) -> Panel {
    Panel { title, unit, metrics }
}

const ROWS: [(&str, &[Panel]); 5] = [
    (
        "Payments",
        &[
            panel("Time to finality", "s", &[FINALITY_SECONDS]),
            panel("Payments in the pool", "short", &[MEMPOOL_TRANSACTIONS]),
            panel("Payments refused", "ops", &[MEMPOOL_REJECTED_TOTAL]),
            panel("Bytes in the pool", "bytes", &[MEMPOOL_BYTES]),
            panel("Unspent outputs", "short", &[UTXO_COUNT]),
        ],
    ),
    (
        "Blocks and votes",
        &[
            panel("Height", "short", &[BLOCK_HEIGHT]),
            panel("Between two blocks", "s", &[BLOCK_INTERVAL_SECONDS]),
            panel("Round of the height being decided", "short", &[CONSENSUS_ROUND]),
            panel("Votes sent", "ops", &[VOTES_TOTAL]),
            panel("Commits without this masternode", "ops", &[MISSED_COMMITS_TOTAL]),
            panel("Masternodes", "short", &[MASTERNODES]),
            panel("Fork detected", "short", &[FORK_DETECTED]),
        ],
    ),
    (
        "Peers",
        &[
            panel("Connections", "short", &[PEERS]),
            panel("Bytes", "Bps", &[PEER_BYTES_TOTAL]),
            panel("Messages", "ops", &[PEER_MESSAGES_TOTAL]),
            panel("Bans", "ops", &[PEER_BANS_TOTAL]),
        ],
    ),
    (
        "RPC",
        &[
            panel("Requests", "reqps", &[RPC_REQUESTS_TOTAL]),
            panel("Time to the answer", "s", &[RPC_SECONDS]),
        ],
    ),
    (
        "Machine",
        &[
            panel("Processor", "percentunit", &[PROCESS_CPU_SECONDS_TOTAL]),
            panel("Memory", "bytes", &[PROCESS_RESIDENT_MEMORY_BYTES]),
            panel("Data directory", "bytes", &[STORAGE_BYTES]),
            panel("Room on its disk", "bytes", &[STORAGE_FREE_BYTES, STORAGE_MIN_FREE_BYTES]),
            panel("Flush of the index", "s", &[STORAGE_FLUSH_SECONDS]),
            panel("Open files and sockets", "short", &[PROCESS_OPEN_FDS, PROCESS_MAX_FDS]),
            panel("Up", "s", &[PROCESS_START_TIME_SECONDS]),
            panel("Versions", "short", &[BUILD_INFO]),
        ],
    ),
];

const WHICH: &str = "{job=~\"$job\",instance=~\"$instance\"}";

/// Each query with the name of its series.
fn queries(metric: &Metric) -> Vec<(String, String)> {
    let name = metric.name;
    let by = std::iter::once("instance").chain(metric.labels.iter().copied()).collect::<Vec<_>>();
    let legend = by.iter().map(|label| format!("{{{{{label}}}}}")).collect::<Vec<_>>().join(" ");
    let grown = |suffix: &str| format!("rate({name}{suffix}{WHICH}[$__rate_interval])");
    let bounded = |query: String| match metric.labels {
        [] => query,
        labels => {
            let by = by.join(", ");
            // Few of them matter at a time when there are many series.
            let of = if labels.len() > 1 { format!("topk({SERIES_MAX}, ") } else { String::new() };
            let end = if labels.len() > 1 { ")" } else { "" };
            format!("{of}sum by ({by}) ({query}){end}")
        }
    };
    match (metric.kind, name) {
        (MetricKind::Histogram, _) => [("0.5", "half"), ("0.99", "99 %")]
            .map(|(part, word)| {
                let query =
                    format!("histogram_quantile({part}, sum by (instance, le) ({}))", grown("_bucket"));
                (query, format!("{{{{instance}}}} {word}"))
            })
            .to_vec(),
        (MetricKind::Counter, _) => vec![(bounded(grown("")), legend)],
        (MetricKind::Gauge, PROCESS_START_TIME_SECONDS) => vec![(format!("time() - {name}{WHICH}"), legend)],
        (MetricKind::Gauge, PROCESS_MAX_FDS) => {
            vec![(format!("{name}{WHICH}"), format!("{legend} at most"))]
        }
        (MetricKind::Gauge, _) => vec![(bounded(format!("{name}{WHICH}")), legend)],
    }
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${source}" })
}

fn panel_json(id: usize, panel: &Panel, (x, y): (usize, usize)) -> Value {
    let all = || METRICS.iter().chain(&PROCESS_METRICS);
    let shown = panel.metrics.iter().filter_map(|name| all().find(|metric| metric.name == *name));
    let shown: Vec<&Metric> = shown.collect();
    let help: Vec<&str> = shown.iter().map(|metric| metric.help).collect();
    let targets = shown.iter().flat_map(|metric| queries(metric)).zip('A'..='Z').map(|((query, legend), id)| {
        json!({ "refId": id.to_string(), "datasource": source(), "expr": query, "legendFormat": legend })
    });
    json!({
        "id": id,
        "type": "timeseries",
        "title": panel.title,
        "description": help.join("; "),
        "datasource": source(),
        "gridPos": { "x": x, "y": y, "w": COLUMNS / PANELS_A_LINE, "h": PANEL_HEIGHT },
        "fieldConfig": { "defaults": { "unit": panel.unit, "min": 0 }, "overrides": [] },
        "targets": targets.collect::<Vec<_>>(),
    })
}

fn variable(name: &str, query: &str) -> Value {
    json!({
        "name": name,
        "type": "query",
        "datasource": source(),
        "query": { "query": query, "refId": name },
        "refresh": 2,
        "includeAll": true,
        "multi": true,
        "current": { "text": "All", "value": "$__all" },
    })
}

/// The dashboard, as Grafana imports it.
pub(super) fn dashboard() -> Value {
    let (mut panels, mut id, mut y) = (Vec::new(), 1_usize, 0_usize);
    for (title, row) in ROWS {
        panels.push(json!({
            "id": id,
            "type": "row",
            "title": title,
            "collapsed": false,
            "gridPos": { "x": 0, "y": y, "w": COLUMNS, "h": 1 },
            "panels": [],
        }));
        (id, y) = (id.saturating_add(1), y.saturating_add(1));
        for line in row.chunks(PANELS_A_LINE) {
            for (place, panel) in line.iter().enumerate() {
                panels.push(panel_json(id, panel, (place.saturating_mul(COLUMNS / PANELS_A_LINE), y)));
                id = id.saturating_add(1);
            }
            y = y.saturating_add(PANEL_HEIGHT);
        }
    }
    json!({
        "title": "TIME Coin node",
        "uid": "timed",
        "description": format!("Made by `timed generate grafana` of timed {}", env!("CARGO_PKG_VERSION")),
        "tags": ["timed"],
        "schemaVersion": 39,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": { "from": "now-1h", "to": "now" },
        "templating": { "list": [
            { "name": "source", "label": "Data source", "type": "datasource", "query": "prometheus" },
            variable("job", &format!("label_values({BUILD_INFO}, job)")),
            variable("instance", &format!("label_values({BUILD_INFO}{{job=~\"$job\"}}, instance)")),
        ] },
        "panels": panels,
    })
}

/// The metrics that a query names, without what a histogram adds to its name. For tests of what is generated.
#[cfg(test)]
pub(super) fn metrics_in(query: &str) -> Vec<&'static Metric> {
    let words = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let named = words.filter(|word| word.starts_with("timed_") || word.starts_with("process_"));
    let metric_of = |word: &str| {
        static ALL: [&[Metric]; 2] = [&METRICS, &PROCESS_METRICS];
        let mut all = ALL.iter().flat_map(|metrics| metrics.iter());
        let found = all.find(|metric| match metric.kind {
            MetricKind::Histogram => {
                let parts = ["_bucket", "_sum", "_count"].map(|part| format!("{}{part}", metric.name));
                parts.iter().any(|part| part == word)
            }
            _ => metric.name == word,
        });
        found.unwrap_or_else(|| panic!("a node tells no {word}: {query}"))
    };
    named.map(metric_of).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn expressions() -> Vec<String> {
        let dashboard = dashboard();
        let panels = dashboard["panels"].as_array().unwrap();
        let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
        targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_dashboard_shows_every_metric_and_no_other() {
        let shown: BTreeSet<&str> =
            expressions().iter().flat_map(|query| metrics_in(query)).map(|metric| metric.name).collect();
        let told: BTreeSet<&str> = METRICS.iter().chain(&PROCESS_METRICS).map(|metric| metric.name).collect();
        assert_eq!(shown, told);
    }

    #[test]
    fn each_query_is_closed_and_asks_of_counters_how_they_grow() {
        for query in expressions() {
            let count = |c: char| query.matches(c).count();
            assert_eq!((count('('), count('{'), count('[')), (count(')'), count('}'), count(']')), "{query}");
            let grows = metrics_in(&query).iter().any(|metric| metric.kind != MetricKind::Gauge);
            assert_eq!(query.contains("rate("), grows, "{query}");
        }
    }

    #[test]
    fn panels_have_numbers_of_their_own_and_stand_beside_each_other() {
        let dashboard = dashboard();
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len());
        let mut taken = BTreeSet::new();
        for panel in panels {
            let of = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(of("x") + of("w") <= COLUMNS as u64);
            for x in of("x")..of("x") + of("w") {
                for y in of("y")..of("y") + of("h") {
                    assert!(taken.insert((x, y)), "{panel}");
                }
            }
        }
    }
}
