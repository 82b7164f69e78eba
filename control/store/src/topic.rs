//! An internal topic as it must be.
use elasticflow_kafka::ports::TopicSpec;
use std::collections::BTreeMap;

/// One of the internal topics, from the worker's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InternalTopic {
    /// Name.
    pub name: String,
    /// Partitions when it is created.
    pub partitions: i32,
    /// Replication when it is created; `None` leaves it to the broker.
    pub replication: Option<i16>,
    /// Further topic configuration when it is created; `cleanup.policy` is always `compact`.
    pub configs: BTreeMap<String, String>,
}

impl InternalTopic {
    /// What is asked of Kafka.
    pub fn spec(&self) -> TopicSpec {
        let mut configs = self.configs.clone();
        configs.insert("cleanup.policy".to_owned(), "compact".to_owned());
        TopicSpec { name: self.name.clone(), partitions: self.partitions, replication: self.replication, configs }
    }
}
