//! Where clients come from.
use super::{Admin, Consumer, InRecord, KafkaError, Producer, TopicLog, TransactionalProducer};
use async_trait::async_trait;
use elasticflow_api::context::Limits;
use elasticflow_api::position::{Offset, TopicPartition};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Kafka client properties by Kafka's own (Java client) names, such as `linger.ms` or `sasl.jaas.config`. The adapter
/// translates the names that librdkafka spells otherwise and refuses what it cannot honour.
pub type ClientProperties = BTreeMap<String, String>;

/// What a consumer reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscription {
    /// These topics.
    Topics(Vec<String>),
    /// Every topic whose whole name matches; topics that appear later are found.
    Pattern(String),
}

/// A part of a partition, as read.
#[derive(Debug, Clone)]
pub struct RecordPage {
    /// In order; what open or aborted transactions hold is not among them.
    pub records: Vec<InRecord>,
    /// Where the next part begins.
    pub next: Offset,
    /// Whether nothing more was there when this was read.
    pub is_end: bool,
}

/// A Kafka cluster: makes clients, all with the security settings of the worker.
///
/// Making a client does no I/O; an unreachable broker shows in the first call. Overrides go over the worker's own
/// properties of that kind of client (`producer.`, `consumer.`, `admin.`).
#[async_trait]
pub trait Kafka: Send + Sync {
    /// An idempotent producer, acks=all.
    ///
    /// # Errors
    /// `Config` names the property that cannot be honoured.
    fn producer(&self, overrides: &ClientProperties) -> Result<Box<dyn Producer>, KafkaError>;

    /// A producer with a transactional id; `init` has not been called yet.
    ///
    /// # Errors
    /// As for [`Kafka::producer`].
    fn transactional_producer(
        &self,
        transactional_id: &str,
        overrides: &ClientProperties,
    ) -> Result<Box<dyn TransactionalProducer>, KafkaError>;

    /// A group consumer, read_committed, manual commit, classic protocol.
    ///
    /// # Errors
    /// As for [`Kafka::producer`].
    fn consumer(
        &self,
        group: &str,
        subscription: &Subscription,
        overrides: &ClientProperties,
    ) -> Result<Box<dyn Consumer>, KafkaError>;

    /// The admin client, shared.
    fn admin(&self) -> Arc<dyn Admin>;

    /// Reads a compacted topic as a table, from the start; the topic must exist.
    ///
    /// # Errors
    /// As for [`Kafka::producer`]; `Retriable` when the topic's partitions cannot be learnt yet.
    async fn log(&self, topic: &str) -> Result<Box<dyn TopicLog>, KafkaError>;

    /// Reads a part of one partition, read_committed and without a group, from an offset or the beginning; at least one
    /// record if there is one. For people who look at it, not for tasks: every call opens a client.
    ///
    /// # Errors
    /// `Config` when the partition does not exist or may not be read.
    async fn read(&self, at: &TopicPartition, from: Option<Offset>, max: Limits) -> Result<RecordPage, KafkaError>;

    /// The cluster's id, for `GET /`.
    ///
    /// # Errors
    /// `Retriable` while no broker answers.
    async fn cluster_id(&self) -> Result<String, KafkaError>;
}
