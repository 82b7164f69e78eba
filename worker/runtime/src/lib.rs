//! Runs connectors and tasks: supervision, source loop, sink loop, tolerance, dead letters, metrics.
