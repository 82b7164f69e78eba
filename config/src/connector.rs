//! The framework's keys of every connector, as Kafka Connect defines them.
use crate::check::list;
use crate::key::KeyDef;
use crate::properties::Properties;
use crate::report::ValidationReport;
use crate::settings::{Settings, parse};
use crate::value::Millis;
use crate::{choice, settings};
use std::collections::{BTreeMap, BTreeSet};

mod topics;
pub use topics::{TopicCreation, TopicGroup};

choice! {
    /// What happens when a referenced secret expires.
    pub enum ReloadAction {
        /// Nothing.
        None = "none",
        /// The connector restarts.
        Restart = "restart",
    }
}

choice! {
    /// Whether bad records stop a task.
    pub enum Tolerance {
        /// The first one does.
        None = "none",
        /// They are skipped.
        All = "all",
    }
}

choice! {
    /// Whether a source may run without exactly-once delivery.
    pub enum ExactlyOnceSupport {
        /// It may, where the worker or the connector cannot.
        Requested = "requested",
        /// It must not.
        Required = "required",
    }
}

choice! {
    /// Where the transactions of an exactly-once source end.
    pub enum TransactionBoundary {
        /// After each batch.
        Poll = "poll",
        /// After a time.
        Interval = "interval",
        /// Where the connector says.
        Connector = "connector",
    }
}

settings! {
    /// Keys of sources and sinks alike.
    pub struct CommonSettings {
        /// Globally unique name of the connector.
        "name" => name: String { importance: High, group: "Common", order: 1, width: Width::Medium, display: "Connector name", valid: Validity::Check(check_name) },
        /// Connector class: a Java class name, its alias, or a short name of this product.
        "connector.class" => class: String { importance: High, group: "Common", order: 2, width: Width::Long, display: "Connector class" },
        /// Range of plug-in versions that may run the connector, such as [1.0,9.0); a bare version means exactly it.
        "connector.plugin.version" => plugin_version: Option<String> { group: "Common", order: 3, width: Width::Medium, display: "Connector version" },
        /// Most tasks of this connector.
        "tasks.max" => tasks_max: u32 { default: "1", importance: High, group: "Common", order: 4, width: Width::Short, display: "Tasks max", valid: Validity::Range(1.0, TASKS_MAX) },
        /// Whether a connector that makes more than tasks.max tasks fails; otherwise it is warned about.
        "tasks.max.enforce" => tasks_max_enforce: bool { default: "true", importance: Low, group: "Common", order: 5, width: Width::Short, display: "Enforce tasks max" },
        /// Converter of keys; the worker's when not set. If set, every key.converter. option comes from the connector.
        "key.converter" => key_converter: Option<String> { kind: KeyType::Class, importance: Low, group: "Common", order: 6, width: Width::Short, display: "Key converter class" },
        /// Version range of the key converter.
        "key.converter.plugin.version" => key_converter_version: Option<String> { importance: Low, group: "Common", order: 7, width: Width::Short, display: "Key converter version" },
        /// Converter of values; the worker's when not set. If set, every value.converter. option comes from the connector.
        "value.converter" => value_converter: Option<String> { kind: KeyType::Class, importance: Low, group: "Common", order: 8, width: Width::Short, display: "Value converter class" },
        /// Version range of the value converter.
        "value.converter.plugin.version" => value_converter_version: Option<String> { importance: Low, group: "Common", order: 9, width: Width::Short, display: "Value converter version" },
        /// Converter of headers; the worker's when not set.
        "header.converter" => header_converter: Option<String> { kind: KeyType::Class, importance: Low, group: "Common", order: 10, width: Width::Short, display: "Header converter class" },
        /// Version range of the header converter.
        "header.converter.plugin.version" => header_converter_version: Option<String> { importance: Low, group: "Common", order: 11, width: Width::Short, display: "Header converter version" },
        /// Names of the single message transforms, in the order in which they apply.
        "transforms" => transforms: Vec<String> { default: "", importance: Low, group: "Transforms", order: 12, width: Width::Long, display: "Transforms", valid: Validity::Check(unique) },
        /// Names of the predicates that transforms may refer to.
        "predicates" => predicates: Vec<String> { default: "", importance: Low, group: "Predicates", order: 13, width: Width::Long, display: "Predicates", valid: Validity::Check(unique) },
        /// What happens when a referenced secret expires.
        "config.action.reload" => reload_action: ReloadAction { default: "restart", importance: Low, group: "Common", order: 14, width: Width::Medium, display: "Reload Action", valid: Validity::Check(reload_word) },
        /// How long a failed operation is tried again, in milliseconds; 0 is not at all, -1 for ever.
        "errors.retry.timeout" => errors_retry_timeout: i64 { default: "0", group: "Error Handling", order: 1, width: Width::Medium, display: "Retry Timeout for Errors" },
        /// Longest wait between two tries, in milliseconds.
        "errors.retry.delay.max.ms" => errors_retry_delay_max: i64 { default: "60000", group: "Error Handling", order: 2, width: Width::Medium, display: "Maximum Delay Between Retries for Errors" },
        /// Whether bad records stop the task (none) or are skipped (all).
        "errors.tolerance" => errors_tolerance: Tolerance { default: "none", group: "Error Handling", order: 3, width: Width::Short, display: "Error Tolerance", valid: Validity::Check(tolerance_word) },
        /// Whether errors and the operations that failed are logged.
        "errors.log.enable" => errors_log: bool { default: "false", group: "Error Handling", order: 4, width: Width::Short, display: "Log Errors" },
        /// Whether the log names topic, partition, offset and time of the record that failed; contents are never logged.
        "errors.log.include.messages" => errors_log_messages: bool { default: "false", group: "Error Handling", order: 5, width: Width::Short, display: "Log Error Details" },
    }
}

settings! {
    /// Keys of sources alone.
    pub struct SourceOnlySettings {
        /// Names of the groups of topics that get settings of their own when they are created.
        "topic.creation.groups" => topic_groups: Vec<String> { default: "", importance: Low, group: "Topic Creation", order: 1, width: Width::Long, display: "Topic Creation Groups", valid: Validity::Check(unique) },
        /// Whether the connector may run without exactly-once delivery (requested) or not (required).
        "exactly.once.support" => exactly_once: ExactlyOnceSupport { default: "requested", group: "Exactly Once Support", order: 2, width: Width::Short, display: "Exactly once support", valid: Validity::Check(support_word) },
        /// Where transactions end: after each batch (poll), after a time (interval), where the connector says (connector).
        "transaction.boundary" => boundary: TransactionBoundary { default: "poll", group: "Exactly Once Support", order: 3, width: Width::Short, display: "Transaction Boundary", valid: Validity::Check(boundary_word) },
        /// Time between transaction ends in milliseconds, for transaction.boundary=interval; the worker's offset.flush.interval.ms when not set.
        "transaction.boundary.interval.ms" => boundary_interval: Option<Millis> { importance: Low, group: "Exactly Once Support", order: 4, width: Width::Short, display: "Transaction boundary interval", valid: Validity::Range(0.0, f64::MAX) },
        /// Topic of this connector's offsets; the worker's when not set.
        "offsets.storage.topic" => offsets_topic: Option<String> { importance: Low, group: "offsets.topic", order: 1, width: Width::Long, display: "Offsets topic", valid: Validity::Check(non_empty) },
    }
}

settings! {
    /// Keys of sinks alone.
    pub struct SinkOnlySettings {
        /// Topics to read.
        "topics" => topics: Vec<String> { default: "", importance: High, group: "Common", order: 4, width: Width::Long, display: "Topics" },
        /// Regular expression of whole topic names to read, instead of topics.
        "topics.regex" => topics_regex: String { default: "", importance: High, group: "Common", order: 4, width: Width::Long, display: "Topics regex", valid: Validity::Check(regex) },
        /// Topic for records that could not be processed; none when empty.
        "errors.deadletterqueue.topic.name" => dlq_topic: String { default: "", group: "Error Handling", order: 6, width: Width::Medium, display: "Dead Letter Queue Topic Name" },
        /// Replication factor of the dead letter topic when it has to be created.
        "errors.deadletterqueue.topic.replication.factor" => dlq_replication: i16 { default: "3", group: "Error Handling", order: 7, width: Width::Medium, display: "Dead Letter Queue Topic Replication Factor" },
        /// Whether dead letters carry headers that say where and why they failed.
        "errors.deadletterqueue.context.headers.enable" => dlq_headers: bool { default: "false", group: "Error Handling", order: 8, width: Width::Medium, display: "Enable Error Context Headers" },
    }
}

/// Most bytes of a connector's name. Names become Kafka's ids, keys of records and, percent-encoded, parts of URLs.
pub const NAME_BYTES_MAX: usize = 255;
/// Most tasks of one connector.
const TASKS_MAX: f64 = 10_000.0;
/// Most elements of a list of names, such as transforms.
const NAMES_MAX: usize = 1_000;

fn check_name(name: &str) -> Result<(), String> {
    if name.trim().is_empty() {
        return Err("String may not be empty".to_owned());
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(format!("String may not be longer than {NAME_BYTES_MAX} bytes, but has {}", name.len()));
    }
    // Clients take such a path segment away before they send a URL.
    if matches!(name, "." | "..") {
        return Err("String may not be . or .., which no URL can hold as a path segment".to_owned());
    }
    let codes: Vec<String> = name.chars().filter(|c| c.is_control()).map(|c| u32::from(c).to_string()).collect();
    if codes.is_empty() {
        return Ok(());
    }
    Err(format!("String may not contain control sequences but had the following ASCII chars: {}", codes.join(", ")))
}

fn unique(text: &str) -> Result<(), String> {
    let aliases = list(text);
    if aliases.len() > NAMES_MAX {
        return Err(format!("List may not have more than {NAMES_MAX} elements, but has {}", aliases.len()));
    }
    let distinct: BTreeSet<&str> = aliases.iter().copied().collect();
    if distinct.len() < aliases.len() { Err("Duplicate alias provided.".to_owned()) } else { Ok(()) }
}

fn one_of(text: &str, words: &[&str]) -> Result<(), String> {
    let known = words.contains(&text.trim());
    if known { Ok(()) } else { Err(format!("String must be one of: {}", words.join(", "))) }
}

fn one_of_any_case(text: &str, words: &[&str]) -> Result<(), String> {
    let known = words.iter().any(|w| w.eq_ignore_ascii_case(text.trim()));
    if known { Ok(()) } else { Err(format!("String must be one of (case insensitive): {}", words.join(", "))) }
}

fn reload_word(text: &str) -> Result<(), String> {
    one_of(text, &["none", "restart"])
}

fn tolerance_word(text: &str) -> Result<(), String> {
    one_of(text, &["none", "all"])
}

fn support_word(text: &str) -> Result<(), String> {
    one_of_any_case(text, &["REQUIRED", "REQUESTED"])
}

fn boundary_word(text: &str) -> Result<(), String> {
    one_of_any_case(text, &["INTERVAL", "POLL", "CONNECTOR"])
}

fn non_empty(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("String must be non-empty".to_owned()) } else { Ok(()) }
}

fn regex(text: &str) -> Result<(), String> {
    regex::Regex::new(text).map(|_| ()).map_err(|e| format!("Invalid regex: {e}"))
}

/// Keys of sources alone or of sinks alone.
#[derive(Debug, Clone)]
pub enum Side {
    /// Of a source.
    Source(SourceOnlySettings),
    /// Of a sink.
    Sink(SinkOnlySettings),
}

/// The framework's settings of one connector.
#[derive(Debug, Clone)]
pub struct ConnectorSettings {
    /// Keys of both.
    pub common: CommonSettings,
    /// Keys of its side.
    pub side: Side,
    /// `producer.override.*`, the prefix taken off.
    pub producer_override: BTreeMap<String, String>,
    /// `consumer.override.*`, the prefix taken off.
    pub consumer_override: BTreeMap<String, String>,
    /// `admin.override.*`, the prefix taken off.
    pub admin_override: BTreeMap<String, String>,
}

impl ConnectorSettings {
    /// Reads the settings of a source.
    ///
    /// # Errors
    /// Every problem, by key.
    pub fn source(properties: &Properties) -> Result<Self, ValidationReport> {
        Self::read(properties, parse(properties).map(Side::Source))
    }

    /// Reads the settings of a sink.
    ///
    /// # Errors
    /// Every problem, by key.
    pub fn sink(properties: &Properties) -> Result<Self, ValidationReport> {
        Self::read(properties, parse(properties).map(Side::Sink))
    }

    fn read(properties: &Properties, side: Result<Side, ValidationReport>) -> Result<Self, ValidationReport> {
        match (parse(properties), side) {
            (Ok(common), Ok(side)) => Ok(Self {
                common,
                side,
                producer_override: properties.below("producer.override.").0,
                consumer_override: properties.below("consumer.override.").0,
                admin_override: properties.below("admin.override.").0,
            }),
            (common, side) => {
                let mut report = common.err().unwrap_or_default();
                report.merge(side.err().unwrap_or_default());
                Err(report)
            }
        }
    }

    /// Keys of every source, in the order of Connect's definition.
    pub fn source_keys() -> Vec<&'static KeyDef> {
        CommonSettings::keys().iter().chain(SourceOnlySettings::keys()).collect()
    }

    /// Keys of every sink, in the order of Connect's definition.
    pub fn sink_keys() -> Vec<&'static KeyDef> {
        CommonSettings::keys().iter().chain(SinkOnlySettings::keys()).collect()
    }
}

#[cfg(test)]
mod tests;
