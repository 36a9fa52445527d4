//! What every shell needs: clock, tasks and shutdown, CPU pool, configuration, metric names, tracing.
//!
//! # Place
//! Floor 3. Uses [`crate::types`] alone. Everything above takes time from [`clock`], starts tasks through [`tasks`],
//! and gives CPU work to [`cpu_pool`].
//!
//! # Who decides what
//! | file | decides |
//! |---|---|
//! | `clock.rs` | what time it is; nobody else asks the system |
//! | `tasks.rs`, `signals.rs` | who runs under which name; when and how a process ends |
//! | `cpu_pool.rs`, `priority.rs` | where CPU work runs, and before whom |
//! | `config.rs` | what an operator may set, and its defaults |
//! | `logging.rs`, `log_level.rs` | where lines go, and which |
//! | `metric_names.rs`, `process_metrics.rs`, `stages.rs`, `syncs.rs` | what is counted, under which name |
//! | `key_file.rs` | which files with secrets are believed |
//! | `machine.rs` | what the machine grants |
//! | `service_manager.rs`, `start_status.rs` | what systemd is told; what is said of a start |
//! | `error_class.rs` | what to do about an error |
//! | `io_advice.rs`, `nearest.rs`, `time_text.rs` | words for people |
//!
//! # To add a metric
//! | touch | a forgotten one is found by |
//! |---|---|
//! | a name and a row of [`METRICS`](metric_names::METRICS) in `metric_names.rs` | the compiler; a name without a row by `tests/architecture/metrics.rs` |
//! | buckets there, for a histogram | the tests of that file |
//! | where it is counted: by its name, never by a text | `tests/architecture/metrics.rs` |
//! | `count_from_zero` in `app/telemetry.rs`, for a counter with a label whose values are known | nothing |
//! | a panel in `cli/generate/dashboard.rs` | the tests of that file |
//! | an alert in `cli/generate/alerts.rs`, if an operator has to act | nothing; alerts on metrics that are not there by its tests |

pub mod clock;
pub mod config;
pub mod cpu_pool;
pub mod error_class;
#[cfg(test)]
#[path = "../../tests/support/fuzz.rs"]
pub(crate) mod fuzz;
pub mod io_advice;
pub mod key_file;
pub mod log_level;
pub mod logging;
pub mod machine;
pub mod metric_names;
pub mod nearest;
pub mod priority;
pub mod process_metrics;
pub mod service_manager;
pub mod signals;
pub mod stages;
pub mod start_status;
pub mod syncs;
pub mod tasks;
pub mod time_text;

pub use clock::Clock;
pub use config::{Config, ConfigError, ConfigSources};
pub use cpu_pool::{CpuPool, PoolVerifier};
pub use error_class::ErrorClass;
pub use io_advice::io_advice;
pub use start_status::StartStatus;
pub use tasks::{HungTasks, TaskRegistry};
