//! Rows of the status topic.
use crate::config::{ConfigRecord, decode as decode_config, task_name};
use crate::problem::{Problem, json_reason};
use elasticflow_plan::claims::Claim;
use serde::{Deserialize, Serialize};

/// State of a connector or task. The members stand in Kafka Connect's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRow {
    /// `RUNNING` and the like.
    pub state: String,
    /// `<class>: <message>` and further lines.
    pub trace: Option<String>,
    /// `host:port`.
    pub worker_id: String,
    /// Grows with each assignment.
    pub generation: i64,
    /// The plug-in's version; rows before Kafka 4.1 have none.
    #[serde(default)]
    pub version: Option<String>,
    /// What a task does, in plain words: this product's own, which Kafka Connect passes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<String>,
}

/// A topic that a connector uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicRow {
    /// Topic.
    pub name: String,
    /// Connector.
    pub connector: String,
    /// Index of the task that was first to use it.
    pub task: u32,
    /// When, in milliseconds since 1970 UTC.
    #[serde(rename = "discoverTimestamp")]
    pub discovered_ms: i64,
}

/// A task that its former worker has let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedRow {
    /// Generation of the place that the task moves to.
    pub generation: i64,
}

#[derive(Serialize, Deserialize)]
struct TopicEnvelope {
    topic: TopicRow,
}

/// A row of the status topic; `None` forgets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusRecord {
    /// `status-connector-<name>`.
    Connector {
        /// Connector.
        name: String,
        /// State.
        row: Option<StatusRow>,
    },
    /// `status-task-<name>-<index>`.
    Task {
        /// Connector.
        name: String,
        /// Index of the task.
        index: u32,
        /// State.
        row: Option<StatusRow>,
    },
    /// `status-topic-<topic>:connector-<name>`.
    Topic {
        /// Topic.
        topic: String,
        /// Connector.
        name: String,
        /// First use.
        row: Option<TopicRow>,
    },
    /// `worker-<host:port>`, this product's own: which leases a worker holds.
    Worker {
        /// The worker, as in statuses.
        id: String,
        /// Its leases.
        row: Option<Claim>,
    },
    /// `released-<name>-<index>`, this product's own: the former worker of a task that moves has stopped it.
    Released {
        /// Connector.
        name: String,
        /// Index of the task.
        index: u32,
        /// What was let go.
        row: Option<ReleasedRow>,
    },
    /// A key of no known kind; skipped with a warning.
    Unknown {
        /// The key.
        key: String,
    },
}

/// Decodes a row. Fields that are not known are ignored.
///
/// # Errors
/// A key of a known kind whose rest or value is not what it must be.
pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<StatusRecord, Problem> {
    let text = std::str::from_utf8(key).map_err(|_| Problem::new(key, "the key is not UTF-8"))?;
    if let Some(rest) = text.strip_prefix("status-topic-") {
        // Topic names have no colon.
        let parts = rest.split_once(":connector-");
        let (topic, name) = parts.ok_or_else(|| Problem::new(key, "no connector in the key"))?;
        let row = parse::<TopicEnvelope>(key, value)?.map(|e| e.topic);
        return Ok(StatusRecord::Topic { topic: topic.to_owned(), name: name.to_owned(), row });
    }
    if let Some(name) = text.strip_prefix("status-connector-") {
        return Ok(StatusRecord::Connector { name: name.to_owned(), row: parse(key, value)? });
    }
    if let Some(id) = text.strip_prefix("worker-") {
        return Ok(StatusRecord::Worker { id: id.to_owned(), row: parse(key, value)? });
    }
    if let Some(rest) = text.strip_prefix("released-") {
        let task = task_name(rest).ok_or_else(|| Problem::new(key, "no task number at the end of the key"))?;
        return Ok(StatusRecord::Released { name: task.0, index: task.1, row: parse(key, value)? });
    }
    let Some(rest) = text.strip_prefix("status-") else { return Ok(StatusRecord::Unknown { key: text.to_owned() }) };
    match decode_config(rest.as_bytes(), None) {
        Ok(ConfigRecord::Task { name, index, .. }) => Ok(StatusRecord::Task { name, index, row: parse(key, value)? }),
        Ok(_) => Ok(StatusRecord::Unknown { key: text.to_owned() }),
        Err(problem) => Err(Problem::new(key, problem.reason)),
    }
}

fn parse<T: for<'de> Deserialize<'de>>(key: &[u8], value: Option<&[u8]>) -> Result<Option<T>, Problem> {
    let parse = |v| serde_json::from_slice(v).map_err(|e| Problem::new(key, json_reason(&e)));
    value.map(parse).transpose()
}

/// Key and value of a row, as Kafka Connect writes them; `None` for rows that this product never writes.
pub fn encode(record: &StatusRecord) -> Option<(String, Option<String>)> {
    match record {
        StatusRecord::Connector { name, row } => Some((format!("status-connector-{name}"), text(row.as_ref()))),
        StatusRecord::Task { name, index, row } => Some((format!("status-task-{name}-{index}"), text(row.as_ref()))),
        StatusRecord::Topic { topic, name, row } => {
            let envelope = row.clone().map(|topic| TopicEnvelope { topic });
            Some((format!("status-topic-{topic}:connector-{name}"), text(envelope.as_ref())))
        }
        StatusRecord::Worker { id, row } => Some((format!("worker-{id}"), text(row.as_ref()))),
        StatusRecord::Released { name, index, row } => Some((format!("released-{name}-{index}"), text(row.as_ref()))),
        StatusRecord::Unknown { .. } => None,
    }
}

/// Maps with text keys and plain values always serialise.
fn text<T: Serialize>(row: Option<&T>) -> Option<String> {
    row.and_then(|row| serde_json::to_string(row).ok())
}
