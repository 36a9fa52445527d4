//! Each metric is described, counted somewhere, and counted by its name.

use crate::source::{folder_text, house};

const NAMES: &str = include_str!("../../src/runtime/metric_names.rs");
const OF_PROCESS: &str = include_str!("../../src/runtime/process_metrics.rs");

/// The constants with names of metrics.
fn names(text: &str) -> Vec<String> {
    let items = syn::parse_file(text).unwrap().items;
    let named = items.into_iter().filter_map(|item| match item {
        syn::Item::Const(item) => match *item.expr {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(_), .. }) => Some(item.ident.to_string()),
            _ => None,
        },
        _ => None,
    });
    named.collect()
}

/// Those without a row in a list of metrics.
fn without_row(text: &str) -> Vec<String> {
    let rows = text.split("metric(").skip(1).filter_map(|rest| rest.split([',', ')']).next());
    let rows: Vec<&str> = rows.map(str::trim).collect();
    names(text).into_iter().filter(|name| !rows.contains(&name.as_str())).collect()
}

/// Calls that count under a text instead of a name.
fn by_text(text: &str) -> usize {
    let calls = ["counter!(", "gauge!(", "histogram!("];
    let is_text = |rest: &str| rest.trim_start().starts_with('"');
    calls.iter().flat_map(|call| text.split(call).skip(1)).filter(|rest| is_text(rest)).count()
}

#[test]
fn each_metric_has_a_row() {
    assert!(names(NAMES).len() > 25);
    assert_eq!(without_row(NAMES), [""; 0]);
    let text = "pub const A: &str = \"a\"; pub const B: &str = \"b\"; const M: [u8; 0] = [metric(\n A, x)];";
    assert_eq!(without_row(text), ["B"]);
}

/// A metric that nobody counts would be shown, and stay at nothing.
#[test]
fn each_metric_is_counted_somewhere() {
    let is_counted = |name: &String| {
        let elsewhere = house().iter().any(|source| {
            let tells = !source.path.starts_with("cli/") && source.path != "runtime/metric_names.rs";
            tells
                && source.used().any(|used| used.imported_as.is_none() && used.segments.last() == Some(name))
        });
        elsewhere || NAMES.contains(&format!("!({name},")) || OF_PROCESS.contains(&format!(" {name} => "))
    };
    let uncounted: Vec<String> = names(NAMES).into_iter().filter(|name| !is_counted(name)).collect();
    assert_eq!(uncounted, [""; 0]);
}

#[test]
fn nothing_is_counted_under_a_text() {
    for (path, text) in folder_text("src", &["rs"]) {
        assert_eq!(
            by_text(&text),
            0,
            "{path}: a metric by a text; give it a name in runtime/metric_names.rs"
        );
    }
    assert_eq!(by_text("metrics::gauge!( \"x\").set(1.0); metrics::counter!(X, \"kind\" => \"y\");"), 1);
}
