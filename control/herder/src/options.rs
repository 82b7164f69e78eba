//! What a herder is told at start.
use crate::news::TaskNews;
use crate::ports::{Membership, References, TaskRunner};
use elasticflow_api::clock::Clock;
use elasticflow_api::registry::Registry;
use elasticflow_config::Properties;
use elasticflow_kafka::ports::Kafka;
use elasticflow_store::InternalTopic;
use std::sync::Arc;
use std::time::Duration;

/// `exactly.once.source.support`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExactlyOnce {
    /// Source tasks write without transactions.
    Disabled,
    /// As disabled; the workers are on the way to enabled.
    Preparing,
    /// Source tasks write records and offsets in transactions.
    Enabled,
}

/// Settings of the herder, from the worker's configuration.
#[derive(Debug, Clone)]
pub struct HerderOptions {
    /// `group.id` of the workers.
    pub group_id: Arc<str>,
    /// `<rest.advertised.host.name>:<port>`, shown in statuses.
    pub worker_id: String,
    /// Where other workers reach the REST endpoint, such as `https://host:8443`.
    pub url: String,
    /// Version of Kafka Connect whose contract the REST endpoint keeps, shown by `GET /`.
    pub connect_version: String,
    /// Commit of the build, 16 hexadecimal digits, shown by `GET /`.
    pub commit: String,
    /// `config.storage.topic`; always one partition.
    pub config_topic: InternalTopic,
    /// `offset.storage.topic`.
    pub offset_topic: InternalTopic,
    /// `status.storage.topic`.
    pub status_topic: InternalTopic,
    /// `exactly.once.source.support`.
    pub exactly_once: ExactlyOnce,
    /// `topic.tracking.enable`.
    pub topic_tracking: bool,
    /// `topic.tracking.allow.reset`.
    pub topic_tracking_reset: bool,
    /// `rest.redact.secrets`: secret values read `[hidden]` in answers.
    pub redact_secrets: bool,
    /// Longest that an operation may take before its caller is told so.
    pub request_timeout: Duration,
    /// Longest that a connector may take to validate or to plan.
    pub connector_timeout: Duration,
    /// Connectors are asked for their tasks on the threads of the loop, not on one each: for simulations, in which nothing
    /// blocks and time is played.
    pub plans_inline: bool,
    /// The worker's own properties, references resolved: default converters, override policy and the like.
    pub worker: Properties,
}

/// What a herder works with.
pub struct HerderPorts {
    /// Kafka.
    pub kafka: Arc<dyn Kafka>,
    /// Plug-ins.
    pub registry: Arc<Registry>,
    /// Runs tasks.
    pub runner: Arc<dyn TaskRunner>,
    /// News of the tasks; the runtime's end is a clone of it.
    pub news: TaskNews,
    /// Leadership.
    pub membership: Arc<dyn Membership>,
    /// `${provider:...}`.
    pub references: Arc<dyn References>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}
