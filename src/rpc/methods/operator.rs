//! What an operator changes in a running node.

use jsonrpsee::types::ErrorObjectOwned;

use crate::rpc::call::Call;
use crate::rpc::errors::{INTERNAL, bad_parameter, error};
use crate::rpc::types::LogInfo;
use crate::runtime::logging::LoggingError;

pub(super) fn logging(call: &Call) -> Result<LogInfo, ErrorObjectOwned> {
    if let Some(level) = call.optional::<String>(0)? {
        call.node.set_log_level(&level).map_err(|failure| match failure {
            LoggingError::Level(failure) => bad_parameter(call.name(0), &failure.to_string()),
            failure => error(INTERNAL, failure.to_string(), "logging", "restart the node with another level"),
        })?;
    }
    Ok(LogInfo { level: call.node.log_level() })
}
