//! The explorer page: what a browser shows of this node. It asks by JSON-RPC and listens at `/ws` as everybody does, and
//! loads nothing from elsewhere.
//!
//! ```text
//!   explorer.js: ways and lists --> block.js, masternode.js, address.js, transaction.js: one of each
//!   transaction.js --> check.js --> receipt.js
//!              \--> feed.js: blocks and payments as they come --> node.js: calls, subscriptions
//!   receipt.js --> proof.js, genesis.js --> bytes.js --> blake3.js
//!   all of them --> draw.js: elements and charts
//! ```
//!
//! # Place
//! `rpc/http.rs` serves it beside JSON-RPC, on the same address. The texts stand in `rpc/page/`; nothing builds them.
//! `tests/vectors` runs proof.js and what it needs in a browser, `tests/e2e/page.rs` all of it.
//!
//! # Invariants
//! - INV-PAGE-1: the browser is told to load, run and ask nothing but what this address serves, and to let no other page
//!   frame this one.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse as _, Response};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, kind and content.
const FILES: [(&str, &str, &str); 16] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/explorer.css", "text/css; charset=utf-8", include_str!("page/explorer.css")),
    ("/explorer.js", SCRIPT, include_str!("page/explorer.js")),
    ("/address.js", SCRIPT, include_str!("page/address.js")),
    ("/block.js", SCRIPT, include_str!("page/block.js")),
    ("/masternode.js", SCRIPT, include_str!("page/masternode.js")),
    ("/transaction.js", SCRIPT, include_str!("page/transaction.js")),
    ("/feed.js", SCRIPT, include_str!("page/feed.js")),
    ("/node.js", SCRIPT, include_str!("page/node.js")),
    ("/draw.js", SCRIPT, include_str!("page/draw.js")),
    ("/check.js", SCRIPT, include_str!("page/check.js")),
    ("/receipt.js", SCRIPT, include_str!("page/receipt.js")),
    ("/proof.js", SCRIPT, include_str!("page/proof.js")),
    ("/genesis.js", SCRIPT, include_str!("page/genesis.js")),
    ("/bytes.js", SCRIPT, include_str!("page/bytes.js")),
    ("/blake3.js", SCRIPT, include_str!("page/blake3.js")),
];

/// The file at a path.
pub(super) fn file(path: &str) -> Option<Response> {
    let (_, kind, content) = FILES.into_iter().find(|(name, ..)| *name == path)?;
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // Another version of the node has another page at the same address.
        (CACHE_CONTROL, "no-cache"),
    ];
    Some((headers, content).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::events::Topic;
    use crate::rpc::methods::find;

    fn scripts() -> impl Iterator<Item = (&'static str, &'static str)> {
        FILES.into_iter().filter(|(_, kind, _)| *kind == SCRIPT).map(|(path, _, content)| (path, content))
    }

    /// What stands between some starts and the next quote, in all scripts.
    fn named(starts: &[&str]) -> Vec<&'static str> {
        let pieces = |content: &'static str, start: &str| -> Vec<&'static str> {
            content.split(start).skip(1).map(|piece| piece.split('"').next().unwrap()).collect()
        };
        scripts()
            .flat_map(|(_, content)| starts.iter().flat_map(move |start| pieces(content, start)))
            .collect()
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_and_no_text_becomes_markup() {
        for (path, _, content) in FILES {
            // The name of a kind of elements, which nobody asks for.
            let content = content.replace("\"http://www.w3.org/2000/svg\"", "");
            for foreign in
                ["http:", "https:", "ws://", "wss://", "src=\"//", "href=\"//", "@import", "url(", "import("]
            {
                assert!(!content.contains(foreign), "{path} has {foreign}");
            }
        }
        for (path, script) in scripts() {
            for unsafe_way in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
            {
                assert!(!script.contains(unsafe_way), "{path} has {unsafe_way}");
            }
        }
    }

    /// A method that was renamed would show on the page alone.
    #[test]
    fn the_page_asks_for_methods_that_there_are() {
        let mut asked = 0;
        for name in named(&["call(\"", "callText(\"", "[\""]) {
            let is_method =
                ["get", "masternode", "validate", "faucet"].iter().any(|start| name.starts_with(start));
            if is_method {
                let method = find(name).unwrap_or_else(|| panic!("no method {name}"));
                assert!(!method.write, "{name} needs credentials, and the page has none");
                asked += 1;
            }
        }
        assert!(asked > 20, "only {asked} calls were recognised");
        let followed = named(&["follow(\""]);
        for name in &followed {
            assert!(Topic::NAMES.iter().any(|(topic, _)| topic == name), "no topic {name}");
        }
        assert!(followed.len() > 3, "only {followed:?} were recognised");
    }

    /// INV-PAGE-1.
    #[test]
    fn what_the_page_names_is_served_with_its_policy() {
        let page = FILES[0].2;
        let mut names = named(&["from \"./"]);
        assert!(names.contains(&"proof.js"), "{names:?}");
        for name in ["explorer.js", "explorer.css"] {
            assert!(page.contains(&format!("\"{name}\"")));
            names.push(name);
        }
        for name in names {
            let served = file(&format!("/{name}")).unwrap_or_else(|| panic!("{name} is not served"));
            assert_eq!(served.headers()[CONTENT_SECURITY_POLICY], POLICY);
            assert_eq!(served.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        }
        assert!(file("/").is_some() && file("/index.html").is_none() && file("/page/explorer.js").is_none());
    }
}
