//! Plug-ins of the recorded worker: the real converters, and for the rest the recorded definitions with nothing behind them.
use elasticflow_api::context::{ConnectorContext, SourceContext};
use elasticflow_api::convert::{Predicate, Transform};
use elasticflow_api::data::Record;
use elasticflow_api::position::{Offset, TaskId, TopicPartition};
use elasticflow_api::registry::{Guarantee, Plugin, PluginEntry, Registry, TaskConfig};
use elasticflow_api::sink::{SinkConnector, SinkKind};
use elasticflow_api::source::{SourceBatch, SourceConnector, SourceTask};
use elasticflow_api::{ConnectorError, ErrorClass, RecordError, Result};
use elasticflow_config::{Importance, KeyDef, KeyType, Properties, Settings, ValidationReport, Validity, settings};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const DEFINITIONS: &str = include_str!("../../golden/plugins.json");

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
        while config.hang == "plan" {
            std::thread::park();
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

struct Nothing;

impl Transform for Nothing {
    fn apply(&self, record: Record) -> std::result::Result<Option<Record>, RecordError> {
        Ok(Some(record))
    }
}

impl Predicate for Nothing {
    fn test(&self, _: &Record) -> bool {
        true
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
    let recorded: BTreeMap<String, Value> = serde_json::from_str(DEFINITIONS).unwrap();
    let mut listed = BTreeSet::new();
    for (class, keys) in recorded {
        let Some(kind) = class.strip_prefix("org.apache.kafka.connect.transforms.") else { continue };
        let keys: Vec<KeyDef> = keys.as_array().unwrap().iter().map(|key| definition(&class, key)).collect();
        let keys: &'static [KeyDef] = Box::leak(keys.into_boxed_slice());
        let mut classes = vec![class.clone()];
        if let Some((outer, _)) = class.split_once('$') {
            classes = vec![format!("{outer}$Key"), format!("{outer}$Value")];
        }
        for class in classes.into_iter().filter(|class| !listed.contains(class)).collect::<Vec<_>>() {
            listed.insert(class.clone());
            let plugin = match kind.starts_with("predicates.") {
                true => Plugin::Predicate(|_: &Properties| Ok(Arc::new(Nothing))),
                false => Plugin::Transform(|_: &Properties| Ok(Arc::new(Nothing))),
            };
            add(&mut registry, Box::leak(class.into_boxed_str()), keys, plugin);
        }
    }
    registry
}

fn add(registry: &mut Registry, class: &'static str, keys: &'static [KeyDef], plugin: Plugin) {
    registry.add(PluginEntry { class, aliases: &[], version: "4.3.0", keys, remarks: "", plugin }).unwrap();
}

fn definition(class: &str, key: &Value) -> KeyDef {
    let text = |member: &str| key[member].as_str().map(|t| &*Box::leak(t.to_owned().into_boxed_str()));
    let kind = match key["type"].as_str().unwrap() {
        "BOOLEAN" => KeyType::Boolean,
        "INT" => KeyType::Int,
        "LIST" => KeyType::List,
        "STRING" => KeyType::String,
        other => panic!("{other}"),
    };
    let importance = match key["importance"].as_str().unwrap() {
        "HIGH" => Importance::High,
        "LOW" => Importance::Low,
        _ => Importance::Medium,
    };
    let mut def = KeyDef::new::<String>(text("name").unwrap(), &["As recorded."]).kind(kind).importance(importance);
    def.required = key["required"].as_bool().unwrap();
    def.default = text("default_value").or(text("default"));
    if class.ends_with("TopicNameMatches") {
        def =
            def.valid(Validity::Check(|t| regex::Regex::new(t).map(|_| ()).map_err(|e| format!("Invalid regex: {e}"))));
    }
    def
}
