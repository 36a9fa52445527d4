//! Alert rules for Prometheus.

use std::fmt::Write as _;
use std::time::Duration;

use super::made_by;
use crate::app::disk_space::WARN_TIMES;

/// A chain by default makes a block each ten minutes at least.
const NO_BLOCK_DEFAULT: &str = "30m";

/// Arguments of `timed generate alerts`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Without a block for so long the chain is said to stand still: several times the network's block interval. A number
    /// of s, m or h.
    #[arg(long, value_name = "TIME", default_value = NO_BLOCK_DEFAULT, value_parser = duration)]
    no_block_for: Duration,
    /// The job's name in Prometheus' configuration.
    #[arg(long, value_name = "NAME", default_value = "timed", value_parser = job)]
    job: String,
}

fn duration(text: &str) -> Result<Duration, String> {
    let problem = || format!("{text:?} is no time; expected a number of s, m or h, such as 30m");
    let (number, unit_s) = match text.char_indices().next_back() {
        Some((end, 's')) => (text.get(..end), 1),
        Some((end, 'm')) => (text.get(..end), 60),
        Some((end, 'h')) => (text.get(..end), 3_600),
        _ => return Err(problem()),
    };
    let number: u64 = number.and_then(|number| number.parse().ok()).ok_or_else(problem)?;
    let seconds = number.checked_mul(unit_s).filter(|seconds| (1..=86_400 * 30).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(problem)
}

fn job(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let holds = !text.is_empty() && text.chars().all(is_plain);
    holds
        .then(|| text.to_owned())
        .ok_or_else(|| "a job's name has letters, digits, . _ and - here".to_owned())
}

struct Rule {
    name: &'static str,
    expression: String,
    lasts: &'static str,
    is_critical: bool,
    summary: &'static str,
    next: &'static str,
}

impl Rule {
    const fn warning(
        name: &'static str,
        expression: String,
        lasts: &'static str,
        summary: &'static str,
        next: &'static str,
    ) -> Self {
        Self { name, expression, lasts, is_critical: false, summary, next }
    }

    fn critical(self) -> Self {
        Self { is_critical: true, ..self }
    }
}

fn table(args: &Args) -> Vec<Rule> {
    let mut rules = of_the_chain(args);
    rules.extend(of_the_node(args));
    rules
}

/// Whose work the network needs.
fn of_the_chain(args: &Args) -> Vec<Rule> {
    let (job, quiet_s) = (&args.job, args.no_block_for.as_secs());
    let of = format!("{{job=\"{job}\"}}");
    vec![
        Rule::warning(
            "TimedForkDetected",
            format!("timed_fork_detected{of} > 0"),
            "0m",
            "two blocks were committed at one height: a third of the weight has contradicted itself",
            "the node has stopped voting; do not restart it before you know why, see timed status",
        )
        .critical(),
        Rule::warning(
            "TimedNoBlock",
            format!("changes(timed_block_height{of}[{quiet_s}s]) == 0 and up{of} == 1"),
            "1m",
            "the node's chain stands still",
            "timed status and timed doctor say why",
        )
        .critical(),
        Rule::warning(
            "TimedMissedCommits",
            format!(
                "increase(timed_missed_commits_total{of}[{quiet_s}s]) \
                 > 0.5 * delta(timed_block_height{of}[{quiet_s}s])"
            ),
            "1m",
            "most commits lack this masternode's signature: it will be jailed at the epoch's end",
            "timed status says whether it votes, timed doctor why it does not",
        )
        .critical(),
        Rule::warning(
            "TimedSlowFinality",
            format!(
                "histogram_quantile(0.99, sum by (instance, le) \
                 (rate(timed_finality_seconds_bucket{of}[5m]))) > 5"
            ),
            "10m",
            "a payment in a hundred waits for more than 5 s until it is final",
            "timed explain TXID says whose votes are missing",
        ),
        Rule::warning(
            "TimedRefusesPayments",
            format!(
                "sum by (instance) (rate(timed_mempool_rejected_total{{job=\"{job}\",\
                 reason=~\"busy|pool_full|locks_full|too_many_waiting\"}}[5m])) > 1"
            ),
            "10m",
            "a node refuses payments, since more come than become final",
            "see the time to finality, and the processor's load",
        ),
    ]
}

/// What it needs itself.
fn of_the_node(args: &Args) -> Vec<Rule> {
    let of = format!("{{job=\"{}\"}}", args.job);
    vec![
        Rule::warning(
            "TimedDown",
            format!("up{of} == 0"),
            "2m",
            "a node does not answer",
            "look at its service and its log",
        )
        .critical(),
        Rule::warning(
            "TimedFewPeers",
            format!("sum by (instance) (timed_peers{of}) < 2"),
            "10m",
            "a node has fewer than two peers",
            "timed doctor says whether the others can be reached",
        ),
        Rule::warning(
            "TimedDiskFillsUp",
            format!("timed_storage_free_bytes{of} < {WARN_TIMES} * timed_storage_min_free_bytes{of}"),
            "1m",
            "a node's disk is nearly full: it stops at [storage] min_free_mb",
            "make room, or move the data directory to a larger disk while the node is stopped",
        )
        .critical(),
        Rule::warning(
            "TimedSlowFlush",
            format!(
                "histogram_quantile(0.99, sum by (instance, le) \
                 (rate(timed_storage_flush_seconds_bucket{of}[15m]))) > 5"
            ),
            "15m",
            "the index's disk is slow",
            "see who else uses the disk; with many outputs set [storage] engine = fjall",
        ),
        Rule::warning(
            "TimedFilesRunOut",
            format!("process_open_fds{of} > 0.8 * process_max_fds{of}"),
            "5m",
            "a node has most of the files open that it may have",
            "raise LimitNOFILE, or lower [network] max_inbound and [rpc] max_connections",
        ),
        Rule::warning(
            "TimedRestarts",
            format!("changes(process_start_time_seconds{of}[1h]) > 3"),
            "0m",
            "a node starts again and again",
            "its log says why it ended",
        ),
        Rule::warning(
            "TimedBansMany",
            format!("sum by (instance) (increase(timed_peer_bans_total{of}[1h])) > 20"),
            "0m",
            "a node bans many peers",
            "timed rpc listbanned names them; the log says why",
        ),
    ]
}

/// A text as YAML takes it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The rules' text.
pub(super) fn rules(args: &Args) -> String {
    let mut text = made_by("alerts");
    text.push_str(
        "\n# Put it under rule_files of Prometheus' configuration, and the bounds as you like them.\n\
         groups:\n- name: timed\n  rules:\n",
    );
    for Rule { name, expression, lasts, is_critical, summary, next } in table(args) {
        let severity = if is_critical { "critical" } else { "warning" };
        let summary = quoted(&format!("{{{{ $labels.instance }}}}: {summary}"));
        let (expression, next) = (quoted(&expression), quoted(&format!("Next: {next}.")));
        // Writing into a String can't fail.
        let _ = write!(
            text,
            "  - alert: {name}\n    expr: {expression}\n    for: {lasts}\n    labels:\n      \
             severity: {severity}\n    annotations:\n      summary: {summary}\n      description: {next}\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::dashboard::metrics_in;
    use super::*;
    use crate::runtime::metric_names::MetricKind;

    fn args() -> Args {
        Args { no_block_for: duration(NO_BLOCK_DEFAULT).unwrap(), job: "timed".to_owned() }
    }

    #[test]
    fn each_alert_is_about_a_metric_that_a_node_tells() {
        for rule in table(&args()) {
            let named = metrics_in(&rule.expression);
            assert!(!named.is_empty() || rule.expression.starts_with("up{"), "{}", rule.expression);
            let is_counted = named.iter().any(|metric| metric.kind == MetricKind::Counter);
            let asks_growth = ["rate(", "increase("].iter().any(|word| rule.expression.contains(word));
            assert!(!is_counted || asks_growth, "{}", rule.expression);
            let count = |c: char| rule.expression.matches(c).count();
            assert_eq!((count('('), count('{'), count('[')), (count(')'), count('}'), count(']')));
        }
    }

    #[test]
    fn a_text_with_a_quote_stays_one_text() {
        assert_eq!(quoted("the node's chain"), "'the node''s chain'");
        let text = rules(&args());
        assert!(
            text.contains("    annotations:\n      summary: '{{ $labels.instance }}: the node''s chain"),
            "{text}"
        );
        assert_eq!(text.matches("\n  - alert: ").count(), table(&args()).len());
    }

    #[test]
    fn reasons_in_alerts_are_reasons_of_refusals() {
        let rule = table(&args()).into_iter().find(|rule| rule.name == "TimedRefusesPayments").unwrap();
        let named = rule.expression.split("reason=~\"").nth(1).unwrap().split('"').next().unwrap();
        for reason in named.split('|') {
            assert!(crate::admission::Refusal::REASONS_FOR_NOW.contains(&reason), "{reason}");
        }
    }

    #[test]
    fn times_are_numbers_of_units() {
        for (text, seconds) in [("90s", 90), ("30m", 1_800), ("2h", 7_200)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "m", "30", "0s", "-1m", "1d", "9999999999999999999h", "1\u{e9}"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(job("a\"b").is_err() && job("").is_err() && job("timed-1").is_ok());
        let text = rules(&Args { no_block_for: Duration::from_secs(90), job: "chain".to_owned() });
        assert!(text.contains("changes(timed_block_height{job=\"chain\"}[90s])"), "{text}");
    }
}
