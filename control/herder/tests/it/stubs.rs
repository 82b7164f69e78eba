//! Connectors that do as their configuration says.
use async_trait::async_trait;
use elasticflow_api::config::{Settings, ValidationReport, choice, settings};
use elasticflow_api::context::{ConnectorContext, SinkContext, SourceContext};
use elasticflow_api::position::{ConsumedOffsets, Offset, TaskId, TopicPartition};
use elasticflow_api::registry::{Guarantee, Plugin, PluginEntry, Registry, TaskConfig};
use elasticflow_api::sink::{IdempotentSink, SinkBatch, SinkConnector, SinkKind, SinkTask, StartAt};
use elasticflow_api::source::{SourceBatch, SourceConnector, SourceTask};
use elasticflow_api::{ConnectorError, ErrorClass, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

choice! {
    /// What a plan does.
    pub(crate) enum Plans {
        /// Answers.
        Answer = "answer",
        /// Never answers.
        Hang = "hang",
        /// Never gives its thread back.
        Block = "block",
        /// Panics.
        Panic = "panic",
        /// Fails for good.
        Fail = "fail",
        /// Fails at first.
        Flaky = "flaky",
    }
}

settings! {
    /// Settings of the stub source.
    pub(crate) struct StubConfig {
        /// Tables to read; one task each.
        "tables" => tables: Vec<String> { default: "a" },
        /// What a plan does.
        "plans" => plans: Plans { default: "answer" },
        /// A secret.
        "password" => password: Option<elasticflow_api::config::Secret> {},
        /// Whether it can be exactly once.
        "exact" => exact: bool { default: "true" },
    }
}

/// A source whose plan is one task per table.
#[derive(Default)]
pub(crate) struct StubSource {
    asked: AtomicU32,
}

fn error(class: ErrorClass, message: &str) -> ConnectorError {
    ConnectorError { class, code: "STUB-0001", message: message.to_owned(), source: None }
}

impl SourceConnector for StubSource {
    const NAME: &'static str = "stub-source";
    type Config = StubConfig;
    type Task = NoTask;

    fn guarantee(&self, config: &StubConfig) -> Guarantee {
        if config.exact { Guarantee::ExactlyOnce } else { Guarantee::AtLeastOnce }
    }

    async fn validate(&self, _: &StubConfig, _: &ConnectorContext) -> ValidationReport {
        ValidationReport::default()
    }

    async fn plan(&self, config: &StubConfig, tasks_max: usize, _: &ConnectorContext) -> Result<Vec<TaskConfig>> {
        match config.plans {
            Plans::Answer => {}
            Plans::Hang => std::future::pending().await,
            Plans::Block => loop {
                std::thread::park();
            },
            Plans::Panic => panic!("told to"),
            Plans::Fail => return Err(error(ErrorClass::Config, "no such table")),
            Plans::Flaky if self.asked.fetch_add(1, Ordering::Relaxed) < 2 => {
                return Err(error(ErrorClass::Transient { retry_after: None }, "the database is away"));
            }
            Plans::Flaky => {}
        }
        let task = |table: &String| TaskConfig(BTreeMap::from([("table".to_owned(), table.clone())]));
        Ok(config.tables.iter().take(tasks_max).map(task).collect())
    }

    fn task(&self, _: &StubConfig, _: TaskConfig) -> Result<NoTask> {
        Ok(NoTask)
    }
}

/// Never run: the runner of these tests runs nothing.
pub(crate) struct NoTask;

#[async_trait]
impl SourceTask for NoTask {
    async fn start(&mut self, _: &SourceContext) -> Result<()> {
        Ok(())
    }
    async fn poll(&mut self, _: &SourceContext) -> Result<SourceBatch> {
        Ok(SourceBatch::default())
    }
    async fn stop(&mut self) {}
}

#[async_trait]
impl SinkTask for NoTask {
    async fn start(&mut self, _: &SinkContext) -> Result<()> {
        Ok(())
    }
    async fn open(&mut self, _: &[TopicPartition], _: &SinkContext) -> Result<BTreeMap<TopicPartition, StartAt>> {
        Ok(BTreeMap::new())
    }
    async fn put(&mut self, _: SinkBatch, _: &SinkContext) -> Result<()> {
        Ok(())
    }
    async fn close(&mut self, _: &[TopicPartition], _: bool) -> Result<()> {
        Ok(())
    }
    async fn stop(&mut self) {}
}

#[async_trait]
impl IdempotentSink for NoTask {
    async fn flush(&mut self, _: &SinkContext) -> Result<ConsumedOffsets> {
        Ok(ConsumedOffsets::default())
    }
}

/// A sink of equal tasks.
pub(crate) struct StubSink;

impl SinkConnector for StubSink {
    const NAME: &'static str = "stub-sink";
    type Config = StubConfig;

    fn guarantee(&self, _: &StubConfig) -> Guarantee {
        Guarantee::ExactlyOnce
    }
    async fn validate(&self, _: &StubConfig, _: &ConnectorContext) -> ValidationReport {
        ValidationReport::default()
    }
    fn plan(&self, _: &StubConfig, tasks_max: usize) -> Result<Vec<TaskConfig>> {
        Ok(vec![TaskConfig::default(); tasks_max])
    }
    fn task(&self, _: &StubConfig, _: TaskConfig) -> Result<SinkKind> {
        Ok(SinkKind::Idempotent(Box::new(NoTask)))
    }
    async fn alter_offsets(
        &self,
        _: &StubConfig,
        _: &TaskId,
        _: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<()> {
        Ok(())
    }
}

fn entry(class: &'static str, plugin: Plugin) -> PluginEntry {
    PluginEntry { class, aliases: &[], version: "1.0", keys: StubConfig::keys(), remarks: "", plugin }
}

pub(crate) fn registry() -> Registry {
    let mut registry = Registry::default();
    let source = Plugin::Source(Arc::new(StubSource::default()));
    registry.add(entry("test.StubSourceConnector", source)).unwrap();
    registry.add(entry("test.StubSinkConnector", Plugin::Sink(Arc::new(StubSink)))).unwrap();
    registry
}
