//! The framework's keys of sinks.
use crate::error::TaskError;
use crate::pipeline::parsed;
use elasticflow_config::{Millis, Properties, settings};
use elasticflow_kafka::ports::Subscription;
use std::time::Duration;

settings! {
    /// What a sink reads and how it is batched.
    pub(super) struct SinkKeys {
        /// Topics to read, with commas between them.
        "topics" => topics: Vec<String> { default: "" },
        /// A pattern of topics to read.
        "topics.regex" => regex: Option<String> {},
        /// Most records of one put.
        "batch.max.records" => batch_records: usize { default: "5000" },
        /// Most bytes of one put.
        "batch.max.bytes" => batch_bytes: usize { default: "8388608" },
        /// How long a put waits for more records.
        "batch.linger.ms" => linger: Millis { default: "5" },
        /// Most bad records that are searched in one batch that the destination refused as a whole.
        "errors.batch.isolate.max" => isolate_max: usize { default: "100" },
        /// Time between commits: 60000 for two-phase sinks, after every put for the others.
        "commit.interval.ms" => interval: Option<Millis> {},
    }
}

/// How a task reads.
pub(super) struct SinkSettings {
    pub(super) subscription: Subscription,
    pub(super) group: String,
    pub(super) batch_records: usize,
    pub(super) batch_bytes: usize,
    pub(super) linger: Duration,
    pub(super) isolate_max: usize,
    pub(super) interval: Option<Duration>,
}

impl SinkSettings {
    pub(super) fn new(connector: &Properties, name: &str) -> Result<Self, TaskError> {
        let keys: SinkKeys = parsed(connector)?;
        let regex = keys.regex.filter(|r| !r.is_empty());
        let subscription = match (keys.topics.is_empty(), regex) {
            (false, None) => Subscription::Topics(keys.topics),
            (true, Some(pattern)) => Subscription::Pattern(pattern),
            (true, None) => return Err(TaskError::Config("Must configure one of topics or topics.regex".to_owned())),
            (false, Some(_)) => {
                let text = "topics and topics.regex are mutually exclusive options, but both are set.";
                return Err(TaskError::Config(text.to_owned()));
            }
        };
        let own_group = connector.value("consumer.override.group.id").map(str::to_owned);
        Ok(Self {
            subscription,
            group: own_group.unwrap_or_else(|| format!("connect-{name}")),
            batch_records: keys.batch_records.max(1),
            batch_bytes: keys.batch_bytes.max(1),
            linger: keys.linger.duration(),
            isolate_max: keys.isolate_max,
            interval: keys.interval.map(Millis::duration),
        })
    }
}
