//! For unit tests: an in-memory Kafka behind the ports, a clock that jumps, plug-ins that are told what to do.
//!
//! The fake keeps what the loops rely on: transactions with a last stable offset and aborted records, fencing by
//! transactional id, offsets in transactions refused for members that lost their partitions, stable offsets, high
//! watermarks. Answers can be lost. It does not keep timing, batching or wire errors.
mod clients;
mod connectors;
mod consumer;
mod fixture;
mod sinks;
mod state;

pub(crate) use connectors::{scripted_batch, scripted_source};
pub(crate) use fixture::{Fixture, clock_at, until};
pub(crate) use sinks::{Hook, SinkScript, SinkType};
pub(crate) use state::{Commits, FakeKafka};
