//! Rows of the flow topic: JSON, with the version of their format in `v`.
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the formats of this build.
pub const VERSION: u32 = 1;

/// State of the rate law of one consumer group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupRow {
    /// Format.
    pub v: u32,
    /// Whether its sources share a limit.
    pub limited: bool,
    /// Estimate of the speed at which it drains, bytes per second.
    pub capacity: f64,
    /// Integral of the law.
    pub integral: f64,
    /// Bytes per second for all its sources; absent while it is free.
    pub limit: Option<f64>,
    /// Unconsumed bytes.
    pub lag_bytes: f64,
    /// Unconsumed records, as offsets count them.
    pub lag_records: f64,
    /// Periods that speak for a change.
    pub calm: i32,
    /// Seconds without a valid sample.
    pub age: f64,
    /// Target drain time in force, ms.
    pub target_ms: u64,
    /// The sink connector, or nothing for a foreign group.
    pub sink: Option<String>,
    /// When it was written, ms since 1970 UTC.
    pub at_ms: i64,
}

/// Why a connector does not run freely.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReasonRow {
    /// As in the list of reasons.
    pub code: String,
    /// For people.
    pub text: String,
    /// Since when, ms since 1970 UTC.
    pub since_ms: i64,
    /// What the text rests on.
    pub numbers: BTreeMap<String, f64>,
    /// What to do about it.
    pub action: String,
}

/// A capped topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CapRow {
    /// Topic.
    pub topic: String,
    /// Most unconsumed bytes.
    pub bytes: f64,
    /// Unconsumed bytes.
    pub used: f64,
    /// Who has consumed least, with its state.
    pub by: String,
}

/// What the leader has decided about one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitRow {
    /// Format.
    pub v: u32,
    /// `free`, `limited` or `held`.
    pub state: String,
    /// Bytes per second of the whole connector; absent without limit.
    pub bytes_per_second: Option<f64>,
    /// It is computed and shown, and not enforced.
    pub observed: bool,
    /// Bytes per second below which it is not limited.
    pub floor: f64,
    /// Bytes per second of each task by index.
    pub tasks: Vec<f64>,
    /// All causes, the binding one first.
    pub reasons: Vec<ReasonRow>,
    /// Capped topics that it writes.
    #[serde(default)]
    pub caps: Vec<CapRow>,
}

/// Bytes that one instance of a task may have sent in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskGrant {
    /// Index of the task.
    pub task: u32,
    /// The instance that it is for, from [`TaskReport::instance`].
    pub instance: u64,
    /// Bytes since that instance started.
    pub bytes: u64,
}

/// What the tasks of a source may send to capped topics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrantRow {
    /// Format.
    pub v: u32,
    /// By task.
    pub tasks: Vec<TaskGrant>,
}

/// What one instance of a task has of a quota; records and bytes since that instance started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaTask {
    /// Index of the task.
    pub task: u32,
    /// The instance that it is for, from [`TaskReport::instance`].
    pub instance: u64,
    /// What it had moved when the window began for it.
    pub from: [u64; 2],
    /// What it may have moved in all; `None` without a quota of that kind, or where nobody waits.
    pub granted: [Option<u64>; 2],
}

/// What is used of a connector's quota; records and bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaRow {
    /// Format.
    pub v: u32,
    /// Which window, as configured.
    pub window: String,
    /// IANA name of its time zone.
    pub zone: String,
    /// The first moment of the window, ms since 1970 UTC.
    pub start_ms: i64,
    /// The first moment after it; absent when it does not end by itself.
    pub end_ms: Option<i64>,
    /// The same for people of the zone.
    pub resets: String,
    /// The quota.
    pub most: [Option<u64>; 2],
    /// Whether tasks wait for what they are given.
    pub holds: bool,
    /// Used by instances that are gone.
    pub used: [u64; 2],
    /// By task.
    pub tasks: Vec<QuotaTask>,
}

/// What a topic kept before it was told to keep its records longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionRow {
    /// Format.
    pub v: u32,
    /// `retention.ms`, if that was changed.
    pub ms: Option<i64>,
    /// `retention.bytes`, if that was changed.
    pub bytes: Option<i64>,
}

/// How one task fares; counters begin with its instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    /// Connector.
    pub connector: String,
    /// Index of the task.
    pub task: u32,
    /// Number of the instance, never used again for this task.
    pub instance: u64,
    /// Records sent by a source, taken by a sink.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Bytes of them that Kafka has for certain, of a source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived: Option<u64>,
    /// Time in which it wanted to read and was not let, ms.
    pub blocked_ms: u64,
    /// A word of the states of flow control: what binds it, by any limit.
    pub state: String,
    /// Code of the reason, unless free.
    pub reason: Option<String>,
    /// What the system at the other end has said, while the breaker is not closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How the tasks of one worker fare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportRow {
    /// Format.
    pub v: u32,
    /// The worker's own monotonic clock, ms.
    pub at_ms: u64,
    /// Share of the processors it may use that it used since the report before; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    /// Share of the memory it may use that it uses; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<f64>,
    /// Its tasks.
    pub tasks: Vec<TaskReport>,
}

/// How a person overrules the breakers of a connector; without a row they are on their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerRow {
    /// Format.
    pub v: u32,
    /// Held open; else held closed.
    pub open: bool,
    /// Since when, ms since 1970 UTC.
    pub since_ms: i64,
}

/// What of an incident has been told to the webhook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Nothing yet.
    #[default]
    Nothing,
    /// That it has begun.
    Opened,
    /// That it is over, too.
    Resolved,
}

/// An incident: opened once, resolved once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRow {
    /// Format.
    pub v: u32,
    /// What kind of incident, such as `breaker_open`.
    pub kind: String,
    /// What it is about: a connector, or a task as `connector/0`.
    pub subject: String,
    /// The connector that it belongs to.
    pub connector: String,
    /// For people.
    pub text: String,
    /// Since when, ms since 1970 UTC.
    pub since_ms: i64,
    /// When it ended, ms since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_ms: Option<i64>,
    /// What the webhook has acknowledged, or was given up for.
    #[serde(default)]
    pub told: Told,
    /// Attempts at the message that is next.
    #[serde(default)]
    pub attempts: u32,
    /// Messages that the webhook did not take, however often it was tried.
    #[serde(default)]
    pub given_up: u32,
}

/// Who has taken note of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckRow {
    /// Format.
    pub v: u32,
    /// The caller.
    pub by: String,
    /// When, ms since 1970 UTC.
    pub at_ms: i64,
}

/// A row of the flow topic; `None` forgets.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the key's rest, and the row")]
pub enum FlowRecord {
    /// `group-<consumer group>`.
    Group { name: String, row: Option<GroupRow> },
    /// `limit-<connector>`.
    Limit { connector: String, row: Option<LimitRow> },
    /// `grant-<connector>`.
    Grant { connector: String, row: Option<GrantRow> },
    /// `report-<worker>`.
    Report { worker: String, row: Option<ReportRow> },
    /// `breaker-<connector>`.
    Breaker { connector: String, row: Option<BreakerRow> },
    /// `alert-<id>`.
    Alert { id: String, row: Option<AlertRow> },
    /// `quota-<connector>`.
    Quota { connector: String, row: Option<QuotaRow> },
    /// `retention-<topic>`.
    Retention { topic: String, row: Option<RetentionRow> },
    /// `ack-<alert>`.
    Ack { alert: String, row: Option<AckRow> },
    /// A key of no known kind; left alone.
    Unknown { key: String },
}

#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

/// Decodes a row. Fields that are not known are ignored, versions that are not known are not.
pub(super) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<FlowRecord, Problem> {
    let text = std::str::from_utf8(key).map_err(|_| Problem::new(key, "the key is not UTF-8"))?;
    if let Some(name) = text.strip_prefix("group-") {
        return Ok(FlowRecord::Group { name: name.to_owned(), row: parse(key, value)? });
    }
    if let Some(name) = text.strip_prefix("limit-") {
        return Ok(FlowRecord::Limit { connector: name.to_owned(), row: parse(key, value)? });
    }
    if let Some(name) = text.strip_prefix("grant-") {
        return Ok(FlowRecord::Grant { connector: name.to_owned(), row: parse(key, value)? });
    }
    if let Some(name) = text.strip_prefix("report-") {
        return Ok(FlowRecord::Report { worker: name.to_owned(), row: parse(key, value)? });
    }
    if let Some(name) = text.strip_prefix("breaker-") {
        return Ok(FlowRecord::Breaker { connector: name.to_owned(), row: parse(key, value)? });
    }
    if let Some(id) = text.strip_prefix("alert-") {
        return Ok(FlowRecord::Alert { id: id.to_owned(), row: parse(key, value)? });
    }
    if let Some(name) = text.strip_prefix("quota-") {
        return Ok(FlowRecord::Quota { connector: name.to_owned(), row: parse(key, value)? });
    }
    if let Some(topic) = text.strip_prefix("retention-") {
        return Ok(FlowRecord::Retention { topic: topic.to_owned(), row: parse(key, value)? });
    }
    if let Some(alert) = text.strip_prefix("ack-") {
        return Ok(FlowRecord::Ack { alert: alert.to_owned(), row: parse(key, value)? });
    }
    Ok(FlowRecord::Unknown { key: text.to_owned() })
}

fn parse<T: for<'de> Deserialize<'de>>(key: &[u8], value: Option<&[u8]>) -> Result<Option<T>, Problem> {
    let Some(value) = value else { return Ok(None) };
    let unreadable = |_| Problem::new(key, "not a row of the flow topic; delete the record");
    let version = serde_json::from_slice::<Versioned>(value).map_err(unreadable)?.v;
    if version > VERSION {
        let why =
            format!("format {version} is newer than {VERSION}, the newest that this build knows: update this worker");
        return Err(Problem::new(key, why));
    }
    serde_json::from_slice(value).map(Some).map_err(unreadable)
}

/// Key and value of a row.
pub(super) fn encode(record: &FlowRecord) -> Option<(String, Option<String>)> {
    match record {
        FlowRecord::Group { name, row } => Some((format!("group-{name}"), text(row.as_ref()))),
        FlowRecord::Limit { connector, row } => Some((format!("limit-{connector}"), text(row.as_ref()))),
        FlowRecord::Grant { connector, row } => Some((format!("grant-{connector}"), text(row.as_ref()))),
        FlowRecord::Report { worker, row } => Some((format!("report-{worker}"), text(row.as_ref()))),
        FlowRecord::Breaker { connector, row } => Some((format!("breaker-{connector}"), text(row.as_ref()))),
        FlowRecord::Alert { id, row } => Some((format!("alert-{id}"), text(row.as_ref()))),
        FlowRecord::Quota { connector, row } => Some((format!("quota-{connector}"), text(row.as_ref()))),
        FlowRecord::Retention { topic, row } => Some((format!("retention-{topic}"), text(row.as_ref()))),
        FlowRecord::Ack { alert, row } => Some((format!("ack-{alert}"), text(row.as_ref()))),
        FlowRecord::Unknown { .. } => None,
    }
}

/// Numbers are finite and keys are texts: such rows always serialise.
fn text<T: Serialize>(row: Option<&T>) -> Option<String> {
    row.and_then(|row| serde_json::to_string(row).ok())
}
