//! The framework's keys of sources.
use super::boundary::{Caps, Rule};
use crate::error::TaskError;
use crate::options::RuntimeOptions;
use crate::pipeline::parsed;
use elasticflow_config::{Millis, Properties, choice, settings};
use std::time::Duration;

choice! {
    /// `transaction.boundary`.
    pub(super) enum BoundaryWord {
        /// At the end of batches.
        Poll = "poll",
        /// Every so often.
        Interval = "interval",
        /// Where the connector says.
        Connector = "connector",
    }
}

choice! {
    /// `exactly.once.support`.
    pub(super) enum Support {
        /// If the worker does it.
        Requested = "requested",
        /// Or not at all.
        Required = "required",
    }
}

settings! {
    /// Transactions and offsets of a source.
    pub(super) struct SourceKeys {
        /// Where a transaction ends: poll, interval or connector.
        "transaction.boundary" => boundary: BoundaryWord { default: "poll" },
        /// Time between commits with the boundary interval; the worker's `offset.flush.interval.ms` if not set.
        "transaction.boundary.interval.ms" => interval: Option<Millis> {},
        /// Most records of a transaction. A single upstream transaction above it is cut.
        "transaction.max.records" => max_records: usize { default: "100000" },
        /// Most bytes of a transaction. A single upstream transaction above it is cut.
        "transaction.max.bytes" => max_bytes: usize { default: "67108864" },
        /// Longest time an upstream transaction may keep a transaction open before it is cut at a record that can be resumed from.
        "transaction.max.ms" => max_age: Millis { default: "10000" },
        /// requested or required.
        "exactly.once.support" => support: Support { default: "requested" },
        /// A topic of the connector's own for its offsets.
        "offsets.storage.topic" => offsets_topic: Option<String> {},
    }
}

/// Below this a broker aborts transactions of a worker that is merely slow; above it the death of a worker delays readers.
const TRANSACTION_TIMEOUT_LEAST: Duration = Duration::from_secs(15);

/// Room between the oldest permitted transaction and the broker's patience.
const COMMIT_MAX: Duration = Duration::from_secs(10);

/// How a task writes.
pub(super) struct SourceSettings {
    pub(super) rule: Rule,
    pub(super) caps: Caps,
    pub(super) exactly_once: bool,
    /// It must not run with less.
    pub(super) required: bool,
    /// The connector's own offsets topic, if it is another than the worker's.
    pub(super) own_offsets_topic: Option<String>,
}

impl SourceSettings {
    pub(super) fn new(connector: &Properties, options: &RuntimeOptions) -> Result<Self, TaskError> {
        let keys: SourceKeys = parsed(connector)?;
        let exactly_once = options.exactly_once_sources;
        if keys.support == Support::Required && !exactly_once {
            return Err(TaskError::Config(
                "exactly.once.support is required, but this worker does not have exactly-once source support enabled: set exactly.once.source.support=enabled in the worker's configuration".to_owned(),
            ));
        }
        let every = keys.interval.map_or(options.offset_flush_interval, Millis::duration);
        let rule = match keys.boundary {
            _ if !exactly_once => Rule::Interval(options.offset_flush_interval),
            BoundaryWord::Poll => Rule::Poll,
            BoundaryWord::Interval => Rule::Interval(every),
            BoundaryWord::Connector => Rule::Connector,
        };
        Ok(Self {
            rule,
            caps: Caps { records: keys.max_records.max(1), bytes: keys.max_bytes.max(1), age: keys.max_age.duration() },
            exactly_once,
            required: keys.support == Support::Required,
            own_offsets_topic: keys.offsets_topic.filter(|own| *own != options.offsets_topic),
        })
    }

    /// How long the broker lets a transaction of this task stay open: more than the longest that the rules allow, and
    /// little enough that the death of a worker holds up nobody for long.
    pub(super) fn transaction_timeout(&self) -> Duration {
        let longest = match self.rule {
            Rule::Interval(every) => every.max(self.caps.age),
            Rule::Poll | Rule::Connector => self.caps.age,
        };
        (longest + COMMIT_MAX).max(TRANSACTION_TIMEOUT_LEAST)
    }
}
