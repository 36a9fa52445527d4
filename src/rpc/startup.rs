//! What the server answers while its node starts, and from when it serves.
//!
//! ```text
//!   RpcServer::open ---> starting: every call -28, GET /ready 503, GET /health 200
//!                            |
//!   RpcHandle::serve ------> serving, until the node stops
//! ```
//!
//! # Place
//! `rpc/server.rs` makes a [`Startup`]; `rpc/router.rs` and `rpc/http.rs` ask it for node and methods.
//!
//! # Invariants
//! - INV-STARTUP-1: before the node serves no method is answered, and who may call it is judged all the same.

use std::sync::{Arc, OnceLock};

use jsonrpsee::RpcModule;
use jsonrpsee::server::{Methods, RegisterMethodError};
use serde_json::Value;

use super::api::{NodeApi, NodeApiError};
use super::errors::of_node;
use super::methods::{METHODS, admit};
use super::types::NotReady;
use crate::runtime::StartStatus;

/// A node that serves.
struct Served {
    node: Arc<dyn NodeApi>,
    methods: Methods,
}

/// A node that starts, and then serves.
pub(super) struct Startup {
    status: StartStatus,
    /// All methods, each of which says that the node is starting.
    refusing: Methods,
    served: OnceLock<Served>,
}

impl Startup {
    pub(super) fn new(status: StartStatus) -> Result<Self, RegisterMethodError> {
        let refusing = refusing(status.clone())?.into();
        Ok(Self { status, refusing, served: OnceLock::new() })
    }

    /// From now on this node answers. A second one changes nothing.
    pub(super) fn serve(&self, node: Arc<dyn NodeApi>, methods: Methods) {
        let _is_first = self.served.set(Served { node, methods }).is_ok();
    }

    /// The node, once it serves.
    pub(super) fn node(&self) -> Option<&Arc<dyn NodeApi>> {
        self.served.get().map(|served| &served.node)
    }

    pub(super) fn methods(&self) -> &Methods {
        self.served.get().map_or(&self.refusing, |served| &served.methods)
    }

    /// What keeps the node from its work.
    pub(super) fn problems(&self) -> Vec<NotReady> {
        match self.node() {
            Some(node) => node.readiness(),
            None => {
                let detail = format!("the node is starting: {}", self.status.doing());
                vec![NotReady { reason: "starting".to_owned(), detail }]
            }
        }
    }
}

fn refusing(status: StartStatus) -> Result<RpcModule<StartStatus>, RegisterMethodError> {
    let mut module = RpcModule::new(status);
    for method in &METHODS {
        module.register_method(method.name, move |_params, status, extensions| {
            let refused =
                |_caller| Err::<Value, _>(of_node(NodeApiError::Starting { detail: status.doing() }));
            admit(method, extensions).and_then(refused)
        })?;
    }
    Ok(module)
}
