//! JSON-RPC over HTTP, health, readiness and metrics.
