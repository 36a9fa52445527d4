//! What the server answers before its node serves.

use serde_json::json;

use super::super::discover;
use super::super::methods::METHODS;
use super::tests::{Fixture, call};

/// INV-STARTUP-1.
#[tokio::test]
async fn a_node_that_starts_says_how_far_it_is_and_answers_once_it_serves() {
    let fixture = Fixture::open().await;
    fixture.status.set("Building the index: 40 %");
    for method in METHODS.iter().map(|method| method.name) {
        let error = fixture.call(method, json!([])).await.unwrap_err();
        assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-28), &json!("starting")), "{method}");
        let told = "the node is starting: building the index: 40 %";
        assert_eq!(error["message"], told, "{method}");
        assert!(discover::tests::is_listed(method, &error["code"]), "{method}");
    }
    let batch = json!([call("uptime", json!([])), call("getblockcount", json!([]))]);
    let batch = fixture.post(&[], &batch).await.json();
    assert_eq!((&batch[0]["error"]["code"], &batch[1]["error"]["code"]), (&json!(-28), &json!(-28)));

    let unknown = fixture.call("getblokcount", json!([])).await.unwrap_err();
    assert_eq!(unknown["data"]["hint"], "did you mean `getblockcount`?");
    assert_eq!(fixture.post(&[], &call("stop", json!([]))).await.status, 401, "who may not stop it later");

    assert_eq!(fixture.request("GET /health", &[], "").await.status, 200);
    let ready = fixture.request("GET /ready", &[], "").await;
    assert_eq!(ready.status, 503);
    let detail = "the node is starting: building the index: 40 %";
    let starting = json!({ "ready": false, "reasons": [{ "reason": "starting", "detail": detail }] });
    assert_eq!(ready.json(), starting);
    let socket = fixture.request("GET /ws", &[], "").await;
    assert_eq!((socket.status, &socket.json()["error"]["code"]), (503, &json!(-28)));
    assert!(socket.head.contains("retry-after: 1"), "{}", socket.head);
    assert_eq!(fixture.request("GET /", &[], "").await.status, 200, "the explorer waits for it");

    fixture.serve();
    assert!(fixture.call("getblockcount", json!([])).await.is_ok());
    assert_ne!(fixture.request("GET /ready", &[], "").await.json(), starting);
    assert_eq!(fixture.request("GET /ws", &[], "").await.status, 426);
    fixture.stop().await;
}
