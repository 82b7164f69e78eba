//! The single-owner loop that turns stored state into running tasks.
//!
//! State lives in Kafka's internal topics alone; the loop follows the config topic, plans with pure functions
//! (`elasticflow-plan`) and drives the worker's task runner. REST sees a [`HerderHandle`]: reads come from memory,
//! writes are answered once they are in the config topic.
//!
//! Absent on purpose: HTTP, connectors by name, the task loops themselves.
mod admission;
pub mod answer;
pub mod batches;
mod command;
mod drive;
mod error;
mod failure;
pub mod figures;
pub mod flow;
mod fold;
mod fresh;
mod handle;
mod herder;
mod instant;
mod lanes;
mod leading;
pub mod letters;
mod limits;
mod mapping;
pub mod membership;
mod news;
mod options;
mod planning;
mod pools;
pub mod ports;
mod positions;
mod queue;
mod run;
mod secrets;
pub mod signals;
mod sink_offsets;
mod statuses;
mod turns;
pub mod validation;
mod view;
mod workers;

pub use elasticflow_plan::pools::{Pool, Reserved};
pub use elasticflow_plan::tasks::task_class;
pub use elasticflow_store::InternalTopic;
pub use error::HerderError;
pub use handle::{ENDED, HerderHandle, Leader, WorkerContext};
pub use news::TaskNews;
pub use options::{ExactlyOnce, HerderOptions, HerderPorts};
pub use pools::{Over, PoolInfo, QueuedTask, Usage};
pub use run::{HerderService, start};
pub use workers::WorkerInfo;
