//! Runs connectors and tasks: supervision, source loop, sink loop, tolerance, dead letters, metrics.
//!
//! [`Runtime`] is the handle: it starts and stops tasks, each under its own supervisor, and reports what happens to them
//! as [`TaskEvent`]s. Progress of a source is its offsets, written in the same Kafka transaction as its records; progress
//! of a sink is its consumed offsets, made durable in the order of its kind. A task resumes from what is stored, never from memory.
//!
//! Reading order: [`Runtime`] -> `supervise` -> `source::run` -> `source::cycle` -> `sink::run` -> `sink::cycle`.
//! Invariants: a task instance has one owner, is never called concurrently and is dropped after a failure; a position
//! moves only after the data it covers is durable; fenced means silence.
//!
//! Absent on purpose: any connector, any REST type, any decision of where a task runs.

mod batches;
pub mod breaker;
mod budget;
mod dead_letters;
mod error;
mod event;
pub mod failpoint;
pub mod limit;
pub mod metrics;
#[cfg(test)]
mod on_broker;
mod options;
mod pipeline;
mod policy;
mod ports;
mod runtime;
mod services;
mod share;
mod sink;
mod source;
mod spec;
mod supervise;
mod table;
#[cfg(test)]
mod testing;

pub use breaker::{BreakerReport, BreakerState, Forced, TaskBreaker};
pub use error::{RuntimeError, TaskError};
pub use event::{Happening, TaskEvent, TaskState};
pub use limit::{Allowance, Control, LimitReport, TaskLimit};
pub use options::{RestartPolicy, RuntimeOptions, TaskLimits};
pub use ports::{AlwaysAssigned, Assignment, Random, SeededRandom};
pub use runtime::{Runtime, StopOutcome};
pub use spec::{TaskKind, TaskSpec};
