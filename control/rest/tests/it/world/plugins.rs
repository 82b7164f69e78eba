//! Plug-ins of the recorded worker: the real converters, transforms and predicates, and FileStream connectors whose tasks
//! the test plays itself.
use elasticflow_api::context::{ConnectorContext, SourceContext};
use elasticflow_api::position::{Offset, TaskId, TopicPartition};
use elasticflow_api::registry::{Guarantee, Plugin, PluginEntry, Registry, TaskConfig};
use elasticflow_api::sink::{SinkConnector, SinkKind};
use elasticflow_api::source::{SourceBatch, SourceConnector, SourceTask};
use elasticflow_api::{ConnectorError, ErrorClass, Result};
use elasticflow_config::{KeyDef, Settings, ValidationReport, settings};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

settings! {
    /// Of FileStreamSource.
    pub(crate) struct SourceConfig {
        /// File to read; standard input when not set.
        "file" => file: Option<String> { importance: High },
        /// Topic to write to.
        "topic" => topic: String { importance: High, valid: Validity::Check(non_empty) },
        /// Records at once.
        "batch.size" => batch: i32 { default: "2000", importance: Low },
    }
}

settings! {
    /// Of FileStreamSink.
    pub(crate) struct SinkConfig {
        /// File to write; standard output when not set.
        "file" => file: Option<String> { importance: High },
    }
}

fn non_empty(text: &str) -> std::result::Result<(), String> {
    if text.trim().is_empty() { Err("String must be non-empty".to_owned()) } else { Ok(()) }
}

settings! {
    /// Of HangingSource.
    pub(crate) struct HangingConfig {
        /// Where it hangs: plan or validate.
        "hang" => hang: String { importance: High },
    }
}

struct FileSource;
struct FileSink;
struct HangingSource;
struct NoTask;

#[async_trait::async_trait]
impl SourceTask for NoTask {
    async fn start(&mut self, _: &SourceContext) -> Result<()> {
        Ok(())
    }
    async fn poll(&mut self, _: &SourceContext) -> Result<SourceBatch> {
        Ok(SourceBatch::default())
    }
    async fn stop(&mut self) {}
}

fn error(message: &str) -> ConnectorError {
    ConnectorError { class: ErrorClass::Config, code: "TEST-0001", message: message.to_owned(), source: None }
}

impl SourceConnector for FileSource {
    const NAME: &'static str = "file-stream-source";
    type Config = SourceConfig;
    type Task = NoTask;
    fn guarantee(&self, config: &SourceConfig) -> Guarantee {
        let _ = (&config.topic, config.batch);
        if config.file.is_some() { Guarantee::ExactlyOnce } else { Guarantee::AtLeastOnce }
    }
    async fn validate(&self, _: &SourceConfig, _: &ConnectorContext) -> ValidationReport {
        ValidationReport::default()
    }
    async fn plan(&self, _: &SourceConfig, _: usize, _: &ConnectorContext) -> Result<Vec<TaskConfig>> {
        Ok(vec![TaskConfig::default()])
    }
    fn task(&self, _: &SourceConfig, _: TaskConfig) -> Result<NoTask> {
        Ok(NoTask)
    }
    fn check_offset(
        &self,
        _: &SourceConfig,
        partition: Option<&Map<String, Value>>,
        offset: Option<&Map<String, Value>>,
    ) -> Result<()> {
        let Some(partition) = partition.filter(|p| !p.is_empty()) else { return Ok(()) };
        if !partition.contains_key("filename") {
            return Err(error("Partition objects should contain the key 'filename'"));
        }
        let Some(offset) = offset else { return Ok(()) };
        match offset.get("position").map(Value::as_i64) {
            None => Err(error("Offset objects should either be null or contain the key 'position'")),
            Some(None) => Err(error("The value for the 'position' key in the offset is expected to be a Long value")),
            Some(Some(n)) if n < 0 => {
                Err(error("The value for the 'position' key in the offset should be a non-negative value"))
            }
            Some(Some(_)) => Ok(()),
        }
    }
}

impl SourceConnector for HangingSource {
    const NAME: &'static str = "hanging-source";
    type Config = HangingConfig;
    type Task = NoTask;
    fn guarantee(&self, _: &HangingConfig) -> Guarantee {
        Guarantee::AtLeastOnce
    }
    async fn validate(&self, config: &HangingConfig, _: &ConnectorContext) -> ValidationReport {
        if config.hang == "validate" {
            std::future::pending::<()>().await;
        }
        ValidationReport::default()
    }
    async fn plan(&self, config: &HangingConfig, _: usize, _: &ConnectorContext) -> Result<Vec<TaskConfig>> {
        // Not even a thread comes back from it.
        if config.hang == "plan" {
            loop {
                std::thread::park();
            }
        }
        Ok(vec![TaskConfig::default()])
    }
    fn task(&self, _: &HangingConfig, _: TaskConfig) -> Result<NoTask> {
        Ok(NoTask)
    }
}

impl SinkConnector for FileSink {
    const NAME: &'static str = "file-stream-sink";
    type Config = SinkConfig;
    fn guarantee(&self, config: &SinkConfig) -> Guarantee {
        let _ = &config.file;
        Guarantee::AtLeastOnce
    }
    async fn validate(&self, _: &SinkConfig, _: &ConnectorContext) -> ValidationReport {
        ValidationReport::default()
    }
    fn plan(&self, _: &SinkConfig, tasks_max: usize) -> Result<Vec<TaskConfig>> {
        Ok(vec![TaskConfig::default(); tasks_max])
    }
    fn task(&self, _: &SinkConfig, _: TaskConfig) -> Result<SinkKind> {
        Err(error("the worker of this test runs no tasks of its own"))
    }
    async fn alter_offsets(
        &self,
        _: &SinkConfig,
        _: &TaskId,
        _: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<()> {
        Ok(())
    }
}

/// Everything that the recorded worker lists.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::default();
    let source: &'static [KeyDef] = SourceConfig::keys();
    let connectors = [
        ("org.apache.kafka.connect.file.FileStreamSourceConnector", source, Plugin::Source(Arc::new(FileSource))),
        ("org.example.HangingSourceConnector", HangingConfig::keys(), Plugin::Source(Arc::new(HangingSource))),
        ("org.apache.kafka.connect.file.FileStreamSinkConnector", SinkConfig::keys(), Plugin::Sink(Arc::new(FileSink))),
    ];
    for (class, keys, plugin) in connectors {
        add(&mut registry, class, keys, plugin);
    }
    for entry in elasticflow_formats::plugins() {
        registry.add(entry).unwrap();
    }
    // The recorded worker lists Connect's own and nothing else.
    for entry in elasticflow_transforms::plugins().into_iter().filter(|e| e.class.starts_with("org.apache.kafka.")) {
        registry.add(PluginEntry { version: "4.3.0", ..entry }).unwrap();
    }
    registry
}

fn add(registry: &mut Registry, class: &'static str, keys: &'static [KeyDef], plugin: Plugin) {
    registry.add(PluginEntry { class, aliases: &[], version: "4.3.0", keys, remarks: "", plugin }).unwrap();
}
