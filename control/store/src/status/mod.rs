//! The status topic: states of connectors and tasks, topics in use.
//!
//! Statuses are news, not truth: the last one of a key wins, and what has not been written yet is replaced by what is
//! newer. Writing never makes the herder wait.
mod record;
mod topic;

pub use record::{ReleasedRow, StatusRecord, StatusRow, TopicRow, decode, encode};
pub use topic::{StatusEvent, StatusTopic};
