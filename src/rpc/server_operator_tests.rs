//! What an operator sets in the server, and changes while it runs.

use serde_json::json;

use super::tests::{Fixture, call};

#[tokio::test]
async fn the_log_is_changed_by_those_with_credentials_and_to_levels_alone() {
    let fixture = Fixture::start().await;
    let set = fixture.call("logging", json!(["info,timed::network=debug"])).await.unwrap();
    assert_eq!(set, json!({ "level": "info,timed::network=debug" }));
    assert_eq!(fixture.call("logging", json!([])).await.unwrap(), set);
    let error = fixture.call("logging", json!(["loud"])).await.unwrap_err();
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-8), &json!("bad_parameter")));
    assert!(error["message"].as_str().unwrap().contains("\"loud\" is no level"), "{error}");
    assert_eq!(fixture.post(&[], &call("logging", json!(["debug"]))).await.status, 401);
    assert_eq!(fixture.post(&[], &call("logging", json!([]))).await.status, 401);
    assert_eq!(fixture.call("logging", json!([])).await.unwrap(), set, "nothing of that changed it");
}
