//! What passes between a task's limits and whoever sets them.
use elasticflow_config::flow::{FlowState, Rates, ReasonCode};
use std::time::Duration;

/// What a task may have moved in all since it was started here, as [`LimitReport`] counts it; `None` is any amount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Records.
    pub records: Option<u64>,
    /// Bytes; the last record may pass them.
    pub bytes: Option<u64>,
}

/// What the controller orders for one task.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Control {
    /// Rates of this task, not of its connector.
    pub rates: Rates,
    /// Bytes that it may have sent in all since it was started here, as [`LimitReport::bytes`] counts them; then it is
    /// held. A batch that is on its way may pass it once.
    pub granted_bytes: Option<u64>,
    /// What is left to it of a quota; then it is held. What is on its way counts.
    pub quota: Allowance,
    /// It may not read at all, for this reason.
    pub held: Option<ReasonCode>,
    /// How often the size of its batches is halved.
    pub halvings: u32,
    /// Why the rates are as they are.
    pub reason: Option<ReasonCode>,
}

/// What keeps a task from reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Limited or held.
    pub state: FlowState,
    /// Why.
    pub reason: ReasonCode,
}

/// How a task fares, from [`crate::Runtime::limit`]. Counters begin with the start of the task on this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitReport {
    /// Records sent by a source, taken by a sink.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Bytes of them that Kafka has for certain; `None` before a source has committed anything, and for sinks.
    pub arrived: Option<u64>,
    /// Time in which it wanted to read and was not let.
    pub blocked: Duration,
    /// What limits do to it.
    pub state: FlowState,
    /// Why, unless it is free.
    pub reason: Option<ReasonCode>,
}
