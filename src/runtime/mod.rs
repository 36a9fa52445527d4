//! What every shell needs: clock, tasks and shutdown, CPU pool, configuration, metric names, tracing.
