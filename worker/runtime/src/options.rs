//! What a runtime is made of.
use crate::event::TaskEvent;
use crate::ports::{Assignment, Random};
use elasticflow_api::clock::Clock;
use elasticflow_api::context::Limits;
use elasticflow_api::registry::Registry;
use elasticflow_config::Properties;
use elasticflow_kafka::ports::Kafka;
use std::sync::Arc;
use std::time::Duration;

/// Everything the runtime needs; made once by the composition root.
#[derive(Clone)]
pub struct RuntimeOptions {
    /// `group.id` of the workers; part of every transactional id.
    pub group: Arc<str>,
    /// Clients.
    pub kafka: Arc<dyn Kafka>,
    /// Plug-ins.
    pub registry: Arc<Registry>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Jitter.
    pub random: Arc<dyn Random>,
    /// Whether a task is still ours.
    pub assignment: Arc<dyn Assignment>,
    /// Called for every event, in order per task; must not block.
    pub events: Arc<dyn Fn(TaskEvent) + Send + Sync>,
    /// The worker's own properties, from which `key.converter`, `value.converter`, `header.converter` and their
    /// settings are taken when a connector names none; `consumer.*` tells which consumer settings the user has chosen.
    pub worker: Properties,
    /// `offset.storage.topic`; exists already.
    pub offsets_topic: String,
    /// Topic of claims and decisions of two-phase sinks; created when the first such task starts.
    pub decisions_topic: String,
    /// Replication factor of the decisions topic; `None` leaves it to the broker.
    pub decisions_replication: Option<i16>,
    /// `exactly.once.source.support=enabled`.
    pub exactly_once_sources: bool,
    /// `topic.creation.enable`.
    pub topic_creation: bool,
    /// `offset.flush.interval.ms`.
    pub offset_flush_interval: Duration,
    /// `task.shutdown.graceful.timeout.ms`.
    pub graceful_timeout: Duration,
    /// Bounds of every task's queues.
    pub limits: TaskLimits,
    /// Restarts after transient failures.
    pub restart: RestartPolicy,
}

/// Bounds of a task's queues and waits.
#[derive(Debug, Clone)]
pub struct TaskLimits {
    /// Most that one poll of a source returns; as much again may wait for the writer.
    pub source_batch: Limits,
    /// Longest a poll may wait for something new.
    pub poll_max: Duration,
    /// Most that a sink task may hold unflushed.
    pub sink_buffer: Limits,
    /// Longest that `start` of a connector may take.
    pub start_max: Duration,
}

impl Default for TaskLimits {
    fn default() -> Self {
        Self {
            source_batch: Limits { records: 4096, bytes: 4 << 20 },
            poll_max: Duration::from_millis(500),
            sink_buffer: Limits { records: 10_000, bytes: 16 << 20 },
            start_max: Duration::from_secs(120),
        }
    }
}

/// When and how long transient failures are answered with a restart.
#[derive(Debug, Clone)]
pub struct RestartPolicy {
    /// Upper bound of the first wait; doubled each time.
    pub first: Duration,
    /// Upper bound of every wait.
    pub most: Duration,
    /// Failures in a row, without a commit between them, are answered with restarts for this long; then FAILED.
    pub budget: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), most: Duration::from_secs(30), budget: Duration::from_secs(3600) }
    }
}
