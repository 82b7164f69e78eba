//! The connector: checks a configuration, splits the work into tasks.
use crate::change::Ops;
use crate::config::DatagenConfig;
use crate::ledger::{Ledger, LedgerConfig};
use crate::shape::shape_of;
use crate::task::{DatagenTask, ITERATION, TASK_ID};
use elasticflow_api::context::ConnectorContext;
use elasticflow_api::registry::{Guarantee, Plugin, PluginEntry, TaskConfig};
use elasticflow_api::source::SourceConnector;
use elasticflow_api::{ConnectorError, ErrorClass, Result};
use elasticflow_config::{Settings, ValidationReport};
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// The generator.
pub struct Datagen;

/// The connectors of this crate.
pub fn plugins() -> Vec<PluginEntry> {
    vec![PluginEntry {
        class: "elasticflow.connectors.DatagenSourceConnector",
        aliases: &[
            "datagen",
            "DatagenSource",
            "io.confluent.kafka.connect.datagen.DatagenConnector",
            "DatagenConnector",
            "Datagen",
        ],
        version: env!("CARGO_PKG_VERSION"),
        keys: DatagenConfig::keys(),
        remarks: "",
        plugin: Plugin::Source(Arc::new(Datagen)),
    }]
}

/// Connectors that a worker has only with `plugins.test.enabled=true`.
pub fn test_plugins() -> Vec<PluginEntry> {
    vec![PluginEntry {
        class: "elasticflow.connectors.LedgerSinkConnector",
        aliases: &["ledger", "LedgerSink"],
        version: env!("CARGO_PKG_VERSION"),
        keys: LedgerConfig::keys(),
        remarks: "for tests: tells whether every record of the generator came, once, unchanged and in order",
        plugin: Plugin::Sink(Arc::new(Ledger)),
    }]
}

/// Which task of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) task: u32,
    pub(crate) tasks: u32,
}

impl Plan {
    fn read(config: &TaskConfig) -> Option<Self> {
        let number = |key: &str| config.0.get(key)?.parse().ok();
        Some(Self { task: number(TASK_ID)?, tasks: number("tasks")? }).filter(|plan: &Self| plan.task < plan.tasks)
    }

    fn write(self) -> TaskConfig {
        let entries = [(TASK_ID, self.task), ("tasks", self.tasks)];
        TaskConfig(entries.map(|(key, n)| (key.to_owned(), n.to_string())).into())
    }
}

/// How records get their partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Partitioning {
    Key,
    Fixed(i32),
    RoundRobin(i32),
}

impl Partitioning {
    pub(crate) fn of(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "key" => Some(Self::Key),
            Some(("fixed", n)) => n.parse().ok().filter(|n| *n >= 0).map(Self::Fixed),
            Some(("round-robin", n)) => n.parse().ok().filter(|n| *n > 0).map(Self::RoundRobin),
            _ => None,
        }
    }

    pub(crate) fn partition(self, n: u64) -> Option<i32> {
        match self {
            Self::Key => None,
            Self::Fixed(partition) => Some(partition),
            Self::RoundRobin(count) => {
                let count = u64::try_from(count).ok().filter(|count| *count > 0)?;
                i32::try_from(n % count).ok()
            }
        }
    }
}

/// Checks `partition.mode`.
pub(crate) fn check_partition_mode(text: &str) -> Result<(), String> {
    Partitioning::of(text).map(drop).ok_or_else(|| "must be key, fixed:N or round-robin:N".to_owned())
}

/// Checks `kafka.topic` by Kafka's rule.
pub(crate) fn check_topic(text: &str) -> Result<(), String> {
    let allowed = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if allowed && !matches!(text, "" | "." | "..") && text.len() <= 249 {
        return Ok(());
    }
    Err("a topic's name has 1 to 249 letters, digits, dots, underscores and hyphens".to_owned())
}

/// Checks `ops`.
pub(crate) fn check_ops(text: &str) -> Result<(), String> {
    Ops::parse(text).map(drop)
}

impl SourceConnector for Datagen {
    const NAME: &'static str = "datagen";
    type Config = DatagenConfig;
    type Task = DatagenTask;

    fn guarantee(&self, _: &DatagenConfig) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn ends(&self, config: &DatagenConfig) -> bool {
        config.iterations >= 0
    }

    async fn validate(&self, config: &DatagenConfig, _: &ConnectorContext) -> ValidationReport {
        shape_of(config).err().unwrap_or_default()
    }

    async fn plan(&self, _: &DatagenConfig, tasks_max: usize, _: &ConnectorContext) -> Result<Vec<TaskConfig>> {
        let tasks = u32::try_from(tasks_max.max(1)).unwrap_or(u32::MAX);
        Ok((0..tasks).map(|task| Plan { task, tasks }.write()).collect())
    }

    fn task(&self, config: &DatagenConfig, task: TaskConfig) -> Result<DatagenTask> {
        let shape = shape_of(config).map_err(|report| ConnectorError {
            class: ErrorClass::Config,
            code: "DATAGEN-0011",
            message: report.to_string(),
            source: None,
        })?;
        let plan = Plan::read(&task).ok_or_else(|| ConnectorError {
            class: ErrorClass::Bug,
            code: "DATAGEN-0030",
            message: "the task's configuration does not say which task it is".to_owned(),
            source: None,
        })?;
        Ok(DatagenTask::new(config.clone(), shape, plan))
    }

    fn check_offset(
        &self,
        _: &DatagenConfig,
        partition: Option<&Map<String, Json>>,
        offset: Option<&Map<String, Json>>,
    ) -> Result<()> {
        let bad = |message: String| {
            Err(ConnectorError { class: ErrorClass::Config, code: "DATAGEN-0021", message, source: None })
        };
        if !partition.is_some_and(|partition| partition.get(TASK_ID).is_some_and(Json::is_u64)) {
            return bad(format!("a partition of the generator is {{\"{TASK_ID}\": N}}"));
        }
        match offset {
            Some(offset) if !offset.get(ITERATION).is_some_and(Json::is_u64) => {
                bad(format!("an offset of the generator is {{\"{ITERATION}\": N}}, the number of records made"))
            }
            _ => Ok(()),
        }
    }
}
