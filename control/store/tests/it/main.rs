//! The stored formats against rows that a Kafka Connect 4.3 worker wrote, and the folds over them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::print_stdout,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test fails by panicking and says on standard output what it skips"
)]
mod config_state;
mod golden;
mod offsets;

use bytes::Bytes;
use elasticflow_api::position::Offset;
use elasticflow_kafka::ports::LogRecord;

/// A record of a log.
fn record(offset: i64, key: &str, value: Option<&str>) -> LogRecord {
    LogRecord {
        offset: Offset(offset),
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: value.map(|v| Bytes::copy_from_slice(v.as_bytes())),
    }
}
