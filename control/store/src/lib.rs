//! The internal topics: stored formats, reading to the end, the leader's transactions.
//!
//! All state of a worker group lives in three compacted topics whose formats are Kafka Connect's, so that either can
//! take over the other's: the config topic (connectors, target states, task configurations), the status topic and the
//! offsets topic. Each topic has a module with three parts: `record` (bytes to records and back, pure), `state` (records
//! folded to a table, pure) and a part that talks to Kafka. A fourth topic, [`flow`], is this product's own: what limits
//! and grants are in force.
//!
//! Invariants: the config topic has one writer, the leader, whose transactional id fences the one before it; state
//! comes from reading the topic back, never from remembering what was written; "to the end" is the high watermark.
//! A record that cannot be decoded is a [`Problem`] with its key, never skipped in silence.
//!
//! Absent on purpose: what to do about the state, which is the herder's business.
pub mod config;
pub mod flow;
pub mod follow;
pub mod news;
pub mod offsets;
mod problem;
pub mod status;
mod topic;

pub use problem::Problem;
pub use topic::InternalTopic;
