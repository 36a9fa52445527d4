//! Counts and times every call, and runs the calls of a batch side by side.
//!
//! # Place
//! jsonrpsee's middleware, between HTTP and the methods.
//!
//! # Invariants
//! - INV-METER-1: of a batch that costs more than [`BATCH_COST_MAX`] no call is made.
//!
//! What a batch's answers may have together is counted where they are written, in `rpc/answers.rs`.
//!
//! # Concurrency
//! The calls of one batch run concurrently on the task of their request, so that hundred submitted transactions share
//! one check of signatures instead of waiting for each other; answers keep the order of the calls.

use futures::future::join_all;
use jsonrpsee::core::middleware::{Batch, BatchEntry, Notification, RpcServiceT};
use jsonrpsee::server::{BatchResponseBuilder, MethodResponse};
use jsonrpsee::types::{Id, Request};
use tower::Layer;

use super::answers::too_large;
use super::errors::{BATCH_TOO_LONG, error};
use super::limits::{BATCH_COST_MAX, RESPONSE_BYTES_MAX};
use super::methods::{find, unknown_method};
use super::request::invalid_request;
use crate::runtime::Clock;
use crate::runtime::metric_names::{RPC_REQUESTS_TOTAL, RPC_SECONDS};

/// The label of all methods that don't exist.
const UNKNOWN_METHOD: &str = "unknown";

/// INV-METER-1: the refusal of a batch that costs too much.
fn too_costly(batch: &Batch<'_>) -> Option<MethodResponse> {
    let costs = batch.iter().map(|entry| {
        let name = entry.as_ref().map_or("", BatchEntry::method_name);
        find(name).map_or(1, |method| method.cost)
    });
    let cost = costs.fold(0, u32::saturating_add);
    (cost > BATCH_COST_MAX).then(|| {
        let message = format!("the batch's calls cost {cost} together, {BATCH_COST_MAX} at most");
        let hint = "spread the calls of methods with large answers over several requests";
        MethodResponse::error(Id::Null, error(BATCH_TOO_LONG, message, "batch_too_costly", hint))
    })
}

/// Makes [`Meter`]s.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeterLayer;

impl<S> Layer<S> for MeterLayer {
    type Service = Meter<S>;

    fn layer(&self, inner: S) -> Meter<S> {
        Meter { inner }
    }
}

/// Counts and times calls.
#[derive(Clone, Debug)]
pub struct Meter<S> {
    inner: S,
}

impl<S> RpcServiceT for Meter<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            NotificationResponse = MethodResponse,
            BatchResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let inner = self.inner.clone();
        async move {
            let method = find(request.method_name()).map_or(UNKNOWN_METHOD, |method| method.name);
            let started = Clock.instant();
            let response = if method == UNKNOWN_METHOD {
                MethodResponse::error(request.id.clone(), unknown_method(request.method_name()))
            } else {
                inner.call(request).await
            };
            let code = response.as_error_code().unwrap_or(0).to_string();
            metrics::counter!(RPC_REQUESTS_TOTAL, "method" => method, "code" => code).increment(1);
            metrics::histogram!(RPC_SECONDS).record(started.elapsed().as_secs_f64());
            response
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let meter = self.clone();
        async move {
            if let Some(refusal) = too_costly(&batch) {
                return refusal;
            }
            let entries = batch.into_iter().map(|entry| {
                let meter = meter.clone();
                async move {
                    match entry {
                        Ok(BatchEntry::Call(request)) => Some(meter.call(request).await),
                        Ok(BatchEntry::Notification(notification)) => {
                            meter.notification(notification).await;
                            None
                        }
                        Err(invalid) => {
                            let (_, id) = invalid.into_parts();
                            let problem = "an entry of the batch is no request, or its \"id\" is neither a text nor a \
                                           whole number from 0 nor null";
                            Some(MethodResponse::error(id, invalid_request(problem)))
                        }
                    }
                }
            });
            let answers = join_all(entries).await;
            if answers.is_empty() {
                return MethodResponse::error(Id::Null, invalid_request("the batch is empty"));
            }
            if answers.iter().all(Option::is_none) {
                return MethodResponse::notification();
            }
            let mut builder = BatchResponseBuilder::new_with_limit(RESPONSE_BYTES_MAX);
            for answer in answers.into_iter().flatten() {
                if builder.append(answer).is_err() {
                    return MethodResponse::error(Id::Null, too_large());
                }
            }
            MethodResponse::from_batch(builder.finish())
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}
