//! What an operator sets in the server, and changes while it runs.

use serde_json::json;

use super::tests::{Fixture, basic, call};
use super::{Allowed, Limits};

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

/// INV-RPC-2.
#[tokio::test]
async fn users_call_what_their_role_allows() {
    let fixture = Fixture::start().await;
    for (user, allowed) in [("reader", 0), ("shop", 1), ("alice", 2)] {
        let credentials = basic(&format!("{user}:secret"));
        // The parameters are wrong, so that whatever is called is refused, by a reason that tells how far it came.
        for (needs, method) in [(0, "getblockhash"), (1, "sendrawtransaction"), (2, "setban")] {
            let reply = fixture.post(&[("authorization", &credentials)], &call(method, json!([]))).await;
            let reason = &reply.json()["error"]["data"]["reason"];
            let expected = if needs <= allowed { "bad_parameters" } else { "role_too_low" };
            assert_eq!((reply.status, reason), (200, &json!(expected)), "{user} {method}");
        }
    }
}

/// INV-HTTP-1 and INV-HTTP-5.
#[tokio::test]
async fn pages_that_the_operator_names_may_ask_and_read() {
    let allowed =
        Allowed { hosts: vec!["node.example".into()], origins: vec!["https://shop.example".into()] };
    let fixture = Fixture::start_allowing(Limits::of(8), allowed).await;
    let (shop, evil) = (("origin", "https://shop.example"), ("origin", "https://evil.example"));
    let by_name = ("host", "node.example");
    let body = call("uptime", json!([]));
    let read = fixture.post(&[by_name, shop], &body).await;
    assert_eq!((read.status, &read.json()["result"]), (200, &json!(3)));
    assert!(read.head.contains("access-control-allow-origin: https://shop.example"), "{}", read.head);
    let refused = fixture.post(&[by_name, shop], &call("stop", json!([]))).await;
    assert_eq!(refused.status, 401, "an origin is no credentials");
    assert!(refused.head.contains("access-control-allow-origin: https://shop.example"), "{}", refused.head);
    let asked = ("access-control-request-method", "POST");
    let may = fixture.request("OPTIONS /", &[by_name, shop, asked], "").await;
    assert_eq!(may.status, 204);
    assert!(may.head.contains("access-control-allow-headers: authorization, content-type"), "{}", may.head);
    let may_not = fixture.request("OPTIONS /", &[by_name, evil, asked], "").await;
    let own = fixture.post(&[by_name], &body).await;
    for (reply, status) in [(&may_not, 403), (&fixture.post(&[by_name, evil], &body).await, 403), (&own, 200)]
    {
        assert_eq!(reply.status, status);
        assert!(!reply.head.contains("access-control"), "{}", reply.head);
    }
}
