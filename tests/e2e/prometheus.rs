//! The real Prometheus reads what a node tells, and the rules and the dashboard that `timed generate` makes; where it is
//! installed (Debian's package `prometheus`).

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::net::{DEADLINE, Net, Process, run_to_end, timed, wait_for};
use crate::turns::Needs;

fn is_installed(program: &str) -> bool {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

fn generated(home: &Path, arguments: &[&str]) -> String {
    let (code, text) = run_to_end(timed().arg("generate").args(arguments), &home.join("generated"));
    assert_eq!(code, 0, "{text}");
    text
}

/// Checks a file by Prometheus' own tool.
fn promtool(home: &Path, arguments: &[&str], file: &Path) -> String {
    let mut command = Command::new("promtool");
    let (code, said) = run_to_end(command.arg("check").args(arguments).arg(file), &home.join("checked"));
    assert_eq!(code, 0, "{said}");
    said
}

/// A query's text in a URL.
fn encoded(query: &str) -> String {
    query.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Asks Prometheus; `None` while it does not answer, or says that it is not ready.
fn ask(port: u16, path: &str) -> Option<Value> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = format!("GET /api/v1/{path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    socket.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

/// The series that a query finds.
fn series(port: u16, query: &str) -> Vec<Value> {
    let answer = ask(port, &format!("query?query={}", encoded(query))).unwrap_or_default();
    assert!(answer.is_null() || answer["status"] == "success", "{query}: {answer}");
    answer["data"]["result"].as_array().cloned().unwrap_or_default()
}

/// All queries of a dashboard, with what Grafana puts in the place of its variables.
fn queries(dashboard: &Value, found: &mut Vec<String>) {
    match dashboard {
        Value::Object(fields) => {
            if let Some(query) = fields.get("expr").and_then(Value::as_str) {
                let filled = query
                    .replace("$__rate_interval", "1m")
                    .replace("$job", "timed")
                    .replace("$instance", ".*");
                assert!(!filled.contains('$'), "{filled}: a variable that this test does not know");
                found.push(filled);
            }
            fields.values().for_each(|value| queries(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

#[test]
fn prometheus_takes_the_metrics_the_rules_and_the_dashboard() {
    if !["prometheus", "promtool"].iter().all(|program| is_installed(program)) {
        println!("skipped: prometheus and promtool are not installed");
        return;
    }
    let net = Net::running(Needs::Ports);
    let home = net.home();
    let alerts = home.join("alerts.yml");
    std::fs::write(&alerts, generated(home, &["alerts", "--no-block-for", "1m"])).unwrap();
    let said = promtool(home, &["rules"], &alerts);
    assert!(said.contains("SUCCESS"), "{said}");

    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = home.join("prometheus.yml");
    let text = format!(
        "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: ['alerts.yml']\n\
         scrape_configs:\n- job_name: timed\n  static_configs:\n  - targets: ['127.0.0.1:{}']\n",
        net.port(0) + 200
    );
    std::fs::write(&config, text).unwrap();
    promtool(home, &["config"], &config);
    let log = std::fs::File::create(home.join("prometheus.log")).unwrap();
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", home.join("prometheus").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    let _prometheus = Process::spawn(&mut command);

    let _payer = net.pay_through(&[0], 0);
    for query in [
        "up{job=\"timed\"} == 1",
        "timed_block_height > 0",
        "timed_finality_seconds_count > 0",
        "histogram_quantile(0.99, rate(timed_finality_seconds_bucket[1m])) > 0",
        "timed_masternodes{state=\"active\"} == 4",
        "process_resident_memory_bytes > 0",
    ] {
        wait_for(query, || (!series(port, query).is_empty()).then_some(()));
    }
    let rules = wait_for("that all rules were evaluated", || {
        let answer = ask(port, "rules")?;
        let rules = answer["data"]["groups"][0]["rules"].as_array()?.clone();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    });
    let text = std::fs::read_to_string(&alerts).unwrap();
    assert_eq!(rules.len(), text.matches("\n  - alert: ").count());
    for rule in &rules {
        assert!(rule["health"] == "ok" && rule["state"] != "firing", "{rule}");
    }

    let dashboard: Value = serde_json::from_str(&generated(home, &["grafana"])).unwrap();
    let mut all = Vec::new();
    queries(&dashboard, &mut all);
    assert!(all.len() > 20, "{all:?}");
    for query in &all {
        series(port, query);
    }
    let shown = all.iter().filter(|query| !series(port, query).is_empty()).count();
    assert!(shown * 2 > all.len(), "{shown} of {} queries of the dashboard show anything", all.len());
}
