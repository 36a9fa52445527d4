//! What every shell needs: clock, tasks and shutdown, CPU pool, configuration, metric names, tracing.
//!
//! # Place
//! Floor 3. Uses [`crate::types`] alone. Everything above takes time from [`clock`], starts tasks through [`tasks`],
//! and gives CPU work to [`cpu_pool`].

pub mod clock;
pub mod config;
pub mod cpu_pool;
pub mod error_class;
#[cfg(test)]
#[path = "../../tests/support/fuzz.rs"]
pub(crate) mod fuzz;
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
pub mod syncs;
pub mod tasks;
pub mod time_text;

pub use clock::Clock;
pub use config::{Config, ConfigError, ConfigSources};
pub use cpu_pool::{CpuPool, PoolVerifier};
pub use error_class::ErrorClass;
pub use tasks::{HungTasks, TaskRegistry};
