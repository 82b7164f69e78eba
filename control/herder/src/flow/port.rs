//! What flow control asks of the runtime.
use elasticflow_api::position::TaskId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How a task fares. Counters begin with the instance.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskFlow {
    /// Which task.
    pub task: TaskId,
    /// Number of the instance, never used again for this task.
    pub instance: u64,
    /// Records sent by a source, taken by a sink.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Bytes of them that Kafka has for certain; `None` for a sink.
    pub arrived: Option<u64>,
    /// Time in which it wanted to read and was not let.
    pub blocked: Duration,
    /// A word of the states of flow control: what binds it, by any limit.
    pub state: &'static str,
    /// Code of the reason, unless free.
    pub reason: Option<&'static str>,
    /// What the system at the other end has said, while the breaker is not closed.
    pub detail: Option<String>,
}

/// A breaker that a person holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overruled {
    /// No call is made.
    Open,
    /// Every call is made.
    Closed,
}

/// What an instance may have moved in all; `None` is any amount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Records.
    pub records: Option<u64>,
    /// Bytes.
    pub bytes: Option<u64>,
}

/// What is ordered for one task; replaces what was ordered before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Order {
    /// Bytes per second.
    pub bytes_per_second: Option<f64>,
    /// Bytes that the instance may have sent in all.
    pub granted_bytes: Option<u64>,
    /// What a quota lets it have.
    pub quota: Allowance,
    /// Code of the reason of the rate.
    pub reason: Option<String>,
    /// How often the size of its batches is halved, since the worker's memory is nearly used up.
    pub halvings: u32,
    /// Its breaker; `None` is on its own.
    pub breaker: Option<Overruled>,
    /// How important the topics that a sink reads are, 9 the most; empty while they are alike, and for sources.
    pub precedence: Arc<BTreeMap<String, u8>>,
}

/// The runtime as flow control sees it.
pub trait FlowPort: Send + Sync {
    /// Every task that runs here.
    fn tasks(&self) -> Vec<TaskFlow>;
    /// Share of its processors that this worker has used since this was asked last; `None` where that is not known.
    fn load(&self) -> Option<f64> {
        None
    }
    /// Share of the memory that it may use that this worker uses; `None` where that is not known.
    fn memory(&self) -> Option<f64> {
        None
    }
    /// Sets the limits of a task; one that does not run is fine.
    fn order(&self, task: &TaskId, order: &Order);
}

/// A runtime that cannot be limited.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFlow;

impl FlowPort for NoFlow {
    fn tasks(&self) -> Vec<TaskFlow> {
        Vec::new()
    }
    fn order(&self, _: &TaskId, _: &Order) {}
}
