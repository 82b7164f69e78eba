//! Rows of the config topic.
use crate::problem::{Problem, json_reason};
use elasticflow_config::Properties;
use elasticflow_plan::place::Place;
use elasticflow_plan::pools::Pool;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// What a user wants a connector to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetState {
    /// Run.
    Started,
    /// Keep tasks, do nothing.
    Paused,
    /// Have no tasks.
    Stopped,
}

/// A row of the config topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigRecord {
    /// `connector-<name>`; `None` deletes it.
    Connector {
        /// Connector.
        name: String,
        /// Its configuration, references unresolved.
        config: Option<Properties>,
    },
    /// `target-state-<name>`.
    Target {
        /// Connector.
        name: String,
        /// `None` forgets it, which means started.
        state: Option<TargetState>,
    },
    /// `task-<name>-<index>`; effective with the next commit.
    Task {
        /// Connector.
        name: String,
        /// Index of the task.
        index: u32,
        /// Its configuration, references unresolved.
        config: Option<Properties>,
    },
    /// `commit-<name>`: the task rows before it are effective.
    Commit {
        /// Connector.
        name: String,
        /// Number of tasks.
        tasks: u32,
    },
    /// `tasks-fencing-<name>`: every older set of tasks has been fenced.
    Fencing {
        /// Connector.
        name: String,
        /// Number of tasks of the set that may run.
        tasks: u32,
    },
    /// `restart-connector-<name>`: acted on when read after start.
    Restart {
        /// Connector.
        name: String,
        /// Tasks too.
        include_tasks: bool,
        /// Only what has failed.
        only_failed: bool,
    },
    /// `version-epoch-<name>`, this product's own: top bits of the external versions that an idempotent sink writes.
    VersionEpoch {
        /// Connector.
        name: String,
        /// Raised whenever the connector is to write records again that it has written before.
        epoch: u16,
    },
    /// `placement-<name>`, this product's own: the slot of each task, in order of the index.
    Placement {
        /// Connector.
        name: String,
        /// Where its tasks run.
        places: Vec<Place>,
    },
    /// `drained-<host:port>`, this product's own: a worker that is to have no tasks.
    Drained {
        /// The worker, as in statuses.
        worker: String,
        /// False lets it have tasks again.
        drained: bool,
    },
    /// `pool-<name>`, this product's own: rules of a worker pool; `None` forgets them.
    Pool {
        /// The pool.
        name: String,
        /// Its rules.
        rules: Option<Pool>,
    },
    /// `session-key` of Java leaders; ignored.
    SessionKey,
    /// `logger-cluster-<logger>`; acted on when read after start.
    Logger {
        /// Logger.
        logger: String,
        /// Level as posted.
        level: String,
    },
    /// A key of no known kind; skipped with a warning.
    Unknown {
        /// The key.
        key: String,
    },
}

#[derive(Serialize, Deserialize)]
struct PropertiesRow {
    properties: Properties,
}

#[derive(Deserialize)]
struct TargetRow {
    state: Option<String>,
    #[serde(rename = "state.v2")]
    state_v2: Option<String>,
}

#[derive(Deserialize)]
struct CommitRow {
    tasks: u32,
}

#[derive(Deserialize)]
struct FencingRow {
    #[serde(rename = "task-count")]
    tasks: u32,
}

#[derive(Deserialize)]
struct RestartRow {
    #[serde(rename = "include-tasks", default)]
    include_tasks: bool,
    #[serde(rename = "only-failed", default)]
    only_failed: bool,
}

#[derive(Deserialize)]
struct VersionEpochRow {
    epoch: u16,
}

#[derive(Serialize, Deserialize)]
struct PlacementRow {
    tasks: Vec<Place>,
}

#[derive(Deserialize)]
struct LoggerRow {
    level: String,
}

/// Decodes a row. Fields that are not known are ignored, as Kafka Connect does.
///
/// # Errors
/// A key of a known kind whose rest or value is not what it must be.
pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<ConfigRecord, Problem> {
    let text = std::str::from_utf8(key).map_err(|_| Problem::new(key, "the key is not UTF-8"))?;
    let row = Row { key, value };
    // `connector-` and the like are told apart by prefix alone; none of them is a prefix of another.
    if let Some(name) = text.strip_prefix("connector-") {
        let config = row.optional::<PropertiesRow>()?.map(|r| r.properties);
        return Ok(ConfigRecord::Connector { name: name.to_owned(), config });
    }
    if let Some(name) = text.strip_prefix("target-state-") {
        let state = row.optional::<TargetRow>()?.map(|r| target_state(&r));
        return Ok(ConfigRecord::Target { name: name.to_owned(), state });
    }
    if let Some(rest) = text.strip_prefix("tasks-fencing-") {
        return Ok(ConfigRecord::Fencing {
            name: rest.to_owned(),
            tasks: row.optional::<FencingRow>()?.map_or(0, |r| r.tasks),
        });
    }
    if let Some(rest) = text.strip_prefix("task-") {
        let (name, index) = task_name(rest).ok_or_else(|| Problem::new(key, "no task number at the end of the key"))?;
        let config = row.optional::<PropertiesRow>()?.map(|r| r.properties);
        return Ok(ConfigRecord::Task { name, index, config });
    }
    if let Some(name) = text.strip_prefix("commit-") {
        return Ok(ConfigRecord::Commit {
            name: name.to_owned(),
            tasks: row.optional::<CommitRow>()?.map_or(0, |r| r.tasks),
        });
    }
    if let Some(name) = text.strip_prefix("version-epoch-") {
        let epoch = row.optional::<VersionEpochRow>()?.map_or(0, |r| r.epoch);
        return Ok(ConfigRecord::VersionEpoch { name: name.to_owned(), epoch });
    }
    if let Some(name) = text.strip_prefix("placement-") {
        let places = row.optional::<PlacementRow>()?.map(|r| r.tasks).unwrap_or_default();
        return Ok(ConfigRecord::Placement { name: name.to_owned(), places });
    }
    if let Some(worker) = text.strip_prefix("drained-") {
        let drained = row.optional::<serde::de::IgnoredAny>()?.is_some();
        return Ok(ConfigRecord::Drained { worker: worker.to_owned(), drained });
    }
    if let Some(name) = text.strip_prefix("pool-") {
        return Ok(ConfigRecord::Pool { name: name.to_owned(), rules: row.optional::<Pool>()? });
    }
    decode_requests(text, &row)
}

/// Rows that ask for something rather than state it; a tombstone of them asks for nothing.
fn decode_requests(key: &str, row: &Row<'_>) -> Result<ConfigRecord, Problem> {
    let unknown = || ConfigRecord::Unknown { key: key.to_owned() };
    if let Some(name) = key.strip_prefix("restart-connector-") {
        let asked = row.optional::<RestartRow>()?.map(|r| ConfigRecord::Restart {
            name: name.to_owned(),
            include_tasks: r.include_tasks,
            only_failed: r.only_failed,
        });
        return Ok(asked.unwrap_or_else(unknown));
    }
    if let Some(logger) = key.strip_prefix("logger-cluster-") {
        let asked = row.optional::<LoggerRow>()?;
        return Ok(asked.map_or_else(unknown, |r| ConfigRecord::Logger { logger: logger.to_owned(), level: r.level }));
    }
    Ok(if key == "session-key" { ConfigRecord::SessionKey } else { unknown() })
}

struct Row<'a> {
    key: &'a [u8],
    value: Option<&'a [u8]>,
}

impl Row<'_> {
    fn optional<T: for<'de> Deserialize<'de>>(&self) -> Result<Option<T>, Problem> {
        let parse = |v| serde_json::from_slice(v).map_err(|e| Problem::new(self.key, json_reason(&e)));
        self.value.map(parse).transpose()
    }
}

/// `state.v2` wins over `state`; what neither names means started.
fn target_state(row: &TargetRow) -> TargetState {
    match row.state_v2.as_deref().or(row.state.as_deref()) {
        Some("PAUSED") => TargetState::Paused,
        Some("STOPPED") => TargetState::Stopped,
        _ => TargetState::Started,
    }
}

/// The last dash splits off the number: connector names may hold dashes.
pub(crate) fn task_name(rest: &str) -> Option<(String, u32)> {
    let (name, index) = rest.rsplit_once('-')?;
    Some((name.to_owned(), index.parse().ok()?))
}

/// Key and value of a row, as Kafka Connect writes them; `None` for rows that this product never writes.
pub fn encode(record: &ConfigRecord) -> Option<(String, Option<String>)> {
    let text = |value: Json| Some(value.to_string());
    let properties = |p: &Properties| text(json!({ "properties": p }));
    Some(match record {
        ConfigRecord::Connector { name, config } => (format!("connector-{name}"), config.as_ref().and_then(properties)),
        ConfigRecord::Target { name, state } => (format!("target-state-{name}"), state.map(target_value)),
        ConfigRecord::Task { name, index, config } => {
            (format!("task-{name}-{index}"), config.as_ref().and_then(properties))
        }
        ConfigRecord::Commit { name, tasks } => (format!("commit-{name}"), text(json!({ "tasks": tasks }))),
        ConfigRecord::Fencing { name, tasks } => {
            (format!("tasks-fencing-{name}"), text(json!({ "task-count": tasks })))
        }
        ConfigRecord::Restart { name, include_tasks, only_failed } => (
            format!("restart-connector-{name}"),
            text(json!({ "include-tasks": include_tasks, "only-failed": only_failed })),
        ),
        ConfigRecord::Logger { logger, level } => (format!("logger-cluster-{logger}"), text(json!({ "level": level }))),
        ConfigRecord::VersionEpoch { name, epoch } => {
            (format!("version-epoch-{name}"), text(json!({ "epoch": epoch })))
        }
        ConfigRecord::Placement { name, places } => (format!("placement-{name}"), text(json!({ "tasks": places }))),
        ConfigRecord::Drained { worker, drained } => {
            (format!("drained-{worker}"), drained.then(|| json!({ "drained": true }).to_string()))
        }
        ConfigRecord::Pool { name, rules } => {
            (format!("pool-{name}"), rules.as_ref().map(|rules| json!(rules).to_string()))
        }
        ConfigRecord::SessionKey | ConfigRecord::Unknown { .. } => return None,
    })
}

/// Readers before Kafka 3.5 know `state` alone, and no STOPPED.
fn target_value(state: TargetState) -> String {
    let (old, new) = match state {
        TargetState::Started => ("STARTED", "STARTED"),
        TargetState::Paused => ("PAUSED", "PAUSED"),
        TargetState::Stopped => ("PAUSED", "STOPPED"),
    };
    json!({ "state": old, "state.v2": new }).to_string()
}
