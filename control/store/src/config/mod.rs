//! The config topic: connectors, target states, task configurations, fencing rounds, restart requests.
//!
//! Task configurations of a connector become effective together, by the commit record behind them. Compaction keeps the
//! last row of each key in its old order, so that a fold over what is left must come to the same state as a fold over
//! everything; the rules for that are Kafka Connect's (`state`).
mod record;
mod state;
mod topic;
mod writer;

pub(crate) use record::task_name;
pub use record::{ConfigRecord, TargetState, decode, encode};
pub use state::{ConfigState, Connector, Fencing, Folded};
pub use topic::{ConfigEvent, ConfigTopic, ConfigTopicOptions, WriteError, WriteToken};
pub(crate) use writer::send_with_room;
