//! What the parts of a worker are started with, from its configuration.
use crate::assigned::Assigned;
use crate::runner::reporter;
use elasticflow_api::clock::Clock;
use elasticflow_api::registry::Registry;
use elasticflow_config::Properties;
use elasticflow_config::worker::{ExactlyOnceSourceSupport, WorkerConfig};
use elasticflow_herder::membership::GroupOptions;
use elasticflow_herder::{ExactlyOnce, HerderOptions, InternalTopic, TaskNews};
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::{ClientProperties, Kafka};
use elasticflow_runtime::{RestartPolicy, RuntimeOptions, SeededRandom, TaskLimits};
use std::sync::Arc;

/// Version of Kafka Connect whose contract the REST endpoint keeps.
const CONNECT_VERSION: &str = "4.3.1";
/// Shown by `GET /` in place of Connect's commit.
const COMMIT: &str = "0000000000000000";
/// Suffix of the topic of claims and decisions of two-phase sinks, after `group.id`.
const DECISIONS: &str = "-decisions";
/// Suffix of the topic of limits in force.
const FLOW: &str = "-flow";

/// The worker's client properties, sections under their prefixes, as the adapter takes them.
pub(super) fn client_properties(config: &WorkerConfig) -> ClientProperties {
    let mut all = config.client.clone();
    all.insert("bootstrap.servers".to_owned(), config.settings.bootstrap_servers.join(","));
    for (prefix, section) in
        [("producer.", &config.producer), ("consumer.", &config.consumer), ("admin.", &config.admin)]
    {
        all.extend(section.iter().map(|(key, value)| (format!("{prefix}{key}"), value.clone())));
    }
    all
}

pub(super) fn runtime_options(
    config: &WorkerConfig,
    kafka: &Arc<RdKafka>,
    registry: &Arc<Registry>,
    clock: &Arc<dyn Clock>,
    news: &TaskNews,
) -> RuntimeOptions {
    let settings = &config.settings;
    RuntimeOptions {
        group: Arc::from(settings.group_id.as_str()),
        kafka: Arc::clone(kafka) as Arc<dyn Kafka>,
        registry: Arc::clone(registry),
        clock: Arc::clone(clock),
        random: Arc::new(SeededRandom::new(u64::from(std::process::id()) ^ clock.wall_ms().unsigned_abs())),
        assignment: Arc::new(Assigned::default()),
        events: reporter(news),
        worker: task_defaults(config),
        offsets_topic: settings.offset_topic.clone(),
        decisions_topic: format!("{}{DECISIONS}", settings.group_id),
        decisions_replication: replication(settings.config_replication),
        exactly_once_sources: settings.exactly_once == ExactlyOnceSourceSupport::Enabled,
        topic_creation: settings.topic_creation,
        offset_flush_interval: settings.offset_flush_interval.duration(),
        graceful_timeout: settings.graceful_timeout.duration(),
        limits: TaskLimits::default(),
        restart: RestartPolicy::default(),
    }
}

/// Worker keys that tasks fall back to: converters, and consumer settings that the runtime would choose otherwise.
fn task_defaults(config: &WorkerConfig) -> Properties {
    let mut keys = config.converters.clone();
    keys.0.extend(config.consumer.iter().map(|(key, value)| (format!("consumer.{key}"), value.clone())));
    keys.0.extend(config.flow_defaults.0.clone());
    keys
}

pub(super) fn herder_options(config: &WorkerConfig, properties: &Properties) -> HerderOptions {
    let settings = &config.settings;
    let topic = |name: &str, partitions: i32, factor: i16, kind: &'static str| InternalTopic {
        name: name.to_owned(),
        partitions,
        replication: replication(factor),
        configs: config.topic_settings.get(kind).cloned().unwrap_or_default(),
    };
    HerderOptions {
        group_id: Arc::from(settings.group_id.as_str()),
        worker_id: config.worker_id(),
        url: config.advertised_url(),
        connect_version: CONNECT_VERSION.to_owned(),
        commit: COMMIT.to_owned(),
        config_topic: topic(&settings.config_topic, 1, settings.config_replication, "config"),
        offset_topic: topic(&settings.offset_topic, settings.offset_partitions, settings.offset_replication, "offset"),
        status_topic: topic(&settings.status_topic, settings.status_partitions, settings.status_replication, "status"),
        exactly_once: match settings.exactly_once {
            ExactlyOnceSourceSupport::Disabled => ExactlyOnce::Disabled,
            ExactlyOnceSourceSupport::Preparing => ExactlyOnce::Preparing,
            ExactlyOnceSourceSupport::Enabled => ExactlyOnce::Enabled,
        },
        topic_tracking: settings.topic_tracking,
        topic_tracking_reset: settings.topic_tracking_reset,
        redact_secrets: settings.redact_secrets,
        request_timeout: settings.request_timeout.duration(),
        connector_timeout: settings.validation_timeout.duration(),
        plans_inline: false,
        worker: properties.clone(),
    }
}

/// Suffixes of the topics that workers share work through, after `group.id`.
const SLOTS: &str = "-slots";
const LEADER: &str = "-leader";

/// The topic of limits in force.
pub(super) fn flow_topic(config: &WorkerConfig) -> InternalTopic {
    let settings = &config.settings;
    InternalTopic {
        name: settings.flow_topic.clone().unwrap_or_else(|| format!("{}{FLOW}", settings.group_id)),
        partitions: 1,
        replication: replication(settings.config_replication),
        configs: Default::default(),
    }
}

pub(super) fn group_options(config: &WorkerConfig) -> GroupOptions {
    let settings = &config.settings;
    let topic = |suffix: &str, partitions| InternalTopic {
        name: format!("{}{suffix}", settings.group_id),
        partitions,
        replication: replication(settings.config_replication),
        configs: Default::default(),
    };
    GroupOptions {
        group: settings.group_id.clone(),
        slots_topic: topic(SLOTS, settings.worker_slots),
        leader_topic: topic(LEADER, 1),
        instance: settings.keep_place.then(|| instance_of(&config.worker_id())),
        session: settings.session_timeout.duration(),
        heartbeat: settings.heartbeat_interval.duration(),
        rebalance: settings.rebalance_timeout.duration(),
        graceful: settings.graceful_timeout.duration(),
    }
}

/// Kafka takes letters, digits, dots, underscores and dashes in the name of a static member.
fn instance_of(worker_id: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    worker_id.chars().map(legal).take(INSTANCE_MAX).collect()
}

/// Longest name of a static member.
const INSTANCE_MAX: usize = 249;

/// -1 leaves it to the broker.
fn replication(factor: i16) -> Option<i16> {
    (factor > 0).then_some(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use elasticflow_config::flow::settings_of;

    #[test]
    fn tasks_have_the_workers_defaults_of_flow_control() {
        let worker = Properties::from_iter([
            ("bootstrap.servers", "127.0.0.1:9092"),
            ("group.id", "g"),
            ("config.storage.topic", "configs"),
            ("offset.storage.topic", "offsets"),
            ("status.storage.topic", "status"),
            ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
            ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
            ("flow.default.rate.records", "5"),
        ]);
        let config = WorkerConfig::read(&worker).unwrap();
        let settings = settings_of(&Properties::default(), &task_defaults(&config));
        assert_eq!(settings.value("flow.rate.records"), Some("5"));
    }
}
