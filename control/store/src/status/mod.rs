//! The status topic: states of connectors and tasks, topics in use.
//!
//! Statuses are news, not truth: the last one of a key wins, and what has not been written yet is replaced by what is
//! newer. Writing never makes the herder wait.
mod record;

use crate::news::{NewsEvent, NewsRow, NewsTopic};
use crate::problem::Problem;

pub use record::{ReleasedRow, StatusRecord, StatusRow, TopicRow, decode, encode};

/// What is read from the status topic.
pub type StatusEvent = NewsEvent<StatusRecord>;

/// The status topic.
pub type StatusTopic = NewsTopic<StatusRecord>;

impl NewsRow for StatusRecord {
    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, Problem> {
        decode(key, value)
    }
    fn encode(&self) -> Option<(String, Option<String>)> {
        encode(self)
    }
    /// Rows of different workers about the same leases: the last one counts, so that they share a partition.
    fn is_ordered(key: &str) -> bool {
        key.starts_with("worker-")
    }
}
