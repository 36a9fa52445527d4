//! The explorer page: what a browser shows of this node. It asks by JSON-RPC as everybody does, and loads nothing from
//! elsewhere.
//!
//! # Place
//! `rpc/http.rs` serves it beside JSON-RPC, on the same address. The texts stand in `rpc/page/`.
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

/// Path, kind and content.
const FILES: [(&str, &str, &str); 3] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/explorer.js", "text/javascript; charset=utf-8", include_str!("page/explorer.js")),
    ("/explorer.css", "text/css; charset=utf-8", include_str!("page/explorer.css")),
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
    use crate::rpc::methods::find;

    #[test]
    fn nothing_is_loaded_from_elsewhere_and_no_text_becomes_markup() {
        for (path, _, content) in FILES {
            for foreign in ["http:", "https:", "src=\"//", "href=\"//", "@import", "url("] {
                assert!(!content.contains(foreign), "{path} has {foreign}");
            }
        }
        let script = FILES[1].2;
        for unsafe_way in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
        {
            assert!(!script.contains(unsafe_way), "{unsafe_way}");
        }
    }

    /// A method that was renamed would show on the page alone.
    #[test]
    fn the_page_asks_for_methods_that_there_are() {
        let script = FILES[1].2;
        let mut asked = 0;
        for start in ["call(\"", "[\""] {
            for piece in script.split(start).skip(1) {
                let name = piece.split('"').next().unwrap();
                if name.starts_with("get") || name.starts_with("masternode") || name.starts_with("validate") {
                    let method = find(name).unwrap_or_else(|| panic!("no method {name}"));
                    assert!(!method.write, "{name} needs credentials, and the page has none");
                    asked += 1;
                }
            }
        }
        assert!(asked > 15, "only {asked} calls were recognised");
    }

    /// INV-PAGE-1.
    #[test]
    fn what_the_page_names_is_served_with_its_policy() {
        let page = FILES[0].2;
        for name in ["explorer.js", "explorer.css"] {
            assert!(page.contains(&format!("\"{name}\"")));
            let served = file(&format!("/{name}")).unwrap();
            assert_eq!(served.headers()[CONTENT_SECURITY_POLICY], POLICY);
            assert_eq!(served.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        }
        assert!(file("/").is_some() && file("/index.html").is_none() && file("/page/explorer.js").is_none());
    }
}
