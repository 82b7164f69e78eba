//! What runs.
use elasticflow_api::position::TaskId;
use elasticflow_api::registry::TaskConfig;
use elasticflow_config::Properties;

/// Direction of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    /// Writes to Kafka.
    Source,
    /// Reads from Kafka.
    Sink,
}

/// A task as it must run. A change of anything in it is a stop and a start, but for keys of
/// [`elasticflow_config::flow::is_live`], which [`crate::Runtime::adjust`] changes.
#[derive(Debug, Clone)]
pub struct TaskSpec {
    /// Name of the task.
    pub id: TaskId,
    /// Direction; must be that of the connector class.
    pub kind: TaskKind,
    /// The connector's properties, references resolved.
    pub properties: Properties,
    /// The task's own configuration, references resolved.
    pub task: TaskConfig,
    /// Number of tasks of the connector: each has its share of the connector's rates.
    pub tasks: u32,
    /// Whether it starts paused.
    pub paused: bool,
    /// Number that grows with each assignment; returned in every event and given to [`crate::Assignment`].
    pub generation: u64,
    /// Epoch of external versions of idempotent sinks, at most 2^15 - 1; 0 unless offsets were altered.
    pub version_epoch: u16,
}
