//! What connectors are tested with: fakes of the contexts and a conformance suite.
//!
//! A connector's tests implement [`SourceCase`] or [`SinkCase`] for it and call [`check_source`] or [`check_sink`]. The
//! checks are the promises that the runtime relies on; each failure names the promise. Absent on purpose: Kafka, the
//! runtime, anything of a particular system.
#![allow(clippy::expect_used, clippy::panic, reason = "a check fails by panicking with the promise that is broken")]
mod context;
mod sink;
mod source;
pub mod sql;
pub mod sql_source;

pub use context::{Rejected, Stored, TestClock, Wishes, sink_context, source_context, task_id};
pub use sink::{SinkCase, check_sink};
pub use source::{Covered, SourceCase, check_source, read, stored_after};
