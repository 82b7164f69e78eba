//! What the herder answers: serialised as they stand they are Kafka Connect's JSON.
use elasticflow_config::Properties;
use elasticflow_config::infos::Remarks;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// Whether a connector reads from or writes to Kafka's outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectorKind {
    /// Writes to Kafka.
    Source,
    /// Reads from Kafka.
    Sink,
    /// Its class is not among the plug-ins of this worker.
    #[default]
    Unknown,
}

/// State of a connector or a task as users see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names are Connect's")]
pub enum RunState {
    Running,
    Paused,
    Failed,
    Unassigned,
    Restarting,
    Stopped,
}

impl RunState {
    /// As in statuses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Failed => "FAILED",
            Self::Unassigned => "UNASSIGNED",
            Self::Restarting => "RESTARTING",
            Self::Stopped => "STOPPED",
        }
    }

    /// State of a name; `DESTROYED` and what is not known are none.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Running, Self::Paused, Self::Failed, Self::Unassigned, Self::Restarting, Self::Stopped];
        all.into_iter().find(|state| state.name() == name)
    }
}

/// State that a user wants a connector to be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialState {
    /// Runs at once.
    Running,
    /// Exists, without tasks until it is resumed.
    Paused,
    /// Exists, without tasks until it is resumed; its offsets may be altered.
    Stopped,
}

/// Name of a task in answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskRef {
    /// Connector.
    pub connector: String,
    /// Index.
    pub task: u32,
}

/// `GET /connectors/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConnectorInfo {
    /// Name.
    pub name: String,
    /// As stored: references unresolved, secrets hidden where the worker hides them.
    pub config: Properties,
    /// Tasks by index.
    pub tasks: Vec<TaskRef>,
    /// Kind.
    #[serde(rename = "type")]
    pub kind: ConnectorKind,
    /// What is odd about the configuration, in the answer to the request that stored it.
    #[serde(skip_serializing_if = "Remarks::is_empty")]
    pub elasticflow: Remarks,
}

/// `GET /connectors/{name}/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConnectorStatus {
    /// Name.
    pub name: String,
    /// The connector itself.
    pub connector: PartStatus,
    /// Its tasks by index.
    pub tasks: Vec<TaskStatus>,
    /// Kind.
    #[serde(rename = "type")]
    pub kind: ConnectorKind,
}

/// State of one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartStatus {
    /// State.
    pub state: RunState,
    /// `host:port` of the worker.
    pub worker_id: String,
    /// The plug-in's version.
    pub version: String,
    /// `<class>: <message>` and further lines, when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// What a task does and how far it is, in plain words, where its connector tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity: Option<String>,
}

/// `GET /connectors/{name}/tasks/{id}/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskStatus {
    /// Index.
    pub id: u32,
    /// State.
    #[serde(flatten)]
    pub part: PartStatus,
}

/// One entry of `GET /connectors/{name}/tasks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskInfo {
    /// Which task.
    pub id: TaskRef,
    /// Its configuration.
    pub config: Properties,
}

/// What a create or an update of a configuration did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Whether the connector is new: 201 instead of 200.
    pub created: bool,
    /// The connector afterwards.
    pub info: ConnectorInfo,
}

/// `GET /connectors/{name}/offsets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConnectorOffsets {
    /// Stored positions.
    pub offsets: Vec<OffsetEntry>,
}

/// A stored position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OffsetEntry {
    /// Source partition, or `kafka_topic` and `kafka_partition`.
    pub partition: Json,
    /// Source offset, or `kafka_offset`.
    pub offset: Json,
}

/// One entry of `PATCH /connectors/{name}/offsets`, as posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetChange {
    /// `None` when it is null or absent.
    pub partition: Option<Map<String, Json>>,
    /// `None` forgets the partition.
    pub offset: Option<Map<String, Json>>,
}

/// `GET /`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerInfo {
    /// Version of Kafka Connect whose contract this is.
    pub version: String,
    /// Commit of the build.
    pub commit: String,
    /// The cluster's id.
    pub kafka_cluster_id: String,
}

/// How the worker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Ready, starting, or not able to serve.
    pub state: HealthState,
    /// What the worker is doing or waiting for, for people; empty when all is well.
    pub reason: String,
    /// When it began to be in this state, milliseconds since 1970 UTC.
    pub since_ms: i64,
}

/// The three answers of `GET /health`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthState {
    /// 503: internal topics are being read, or Kafka does not answer yet.
    Starting,
    /// 200.
    Ready,
    /// 500: the internal topics cannot be written or read.
    Unhealthy,
}

/// One change of a configuration by PATCH: a value, or `None` that takes the key away.
pub type ConfigPatch = BTreeMap<String, Option<String>>;
