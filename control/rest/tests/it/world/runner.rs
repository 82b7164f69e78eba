//! Plays the tasks of FileStream connectors: lines of a file to a topic and back, through converters and transforms, with
//! the tolerance of errors, positions kept where the real ones keep them. Each step is done at once, so that a failure
//! leaves everything before it.
use super::kafka::MemoryKafka;
use bytes::BytesMut;
use elasticflow_api::convert::Converter;
use elasticflow_api::data::{Datum, Kind, Record, Schema, Value as Datums};
use elasticflow_api::position::{Offset, TaskId, TopicPartition};
use elasticflow_api::registry::{Plugin, PluginKind, Registry};
use elasticflow_config::Properties;
use elasticflow_herder::TaskNews;
use elasticflow_herder::ports::{TaskChange, TaskEvent, TaskKind, TaskRunner, TaskSpec};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

struct Instance {
    paused: watch::Sender<bool>,
    running: JoinHandle<()>,
}

/// Runs every task of the worker.
pub(crate) struct FileTasks {
    pub(crate) kafka: MemoryKafka,
    pub(crate) news: TaskNews,
    pub(crate) offsets_topic: String,
    pub(crate) registry: Arc<Registry>,
    instances: Mutex<BTreeMap<TaskId, Instance>>,
}

impl FileTasks {
    pub(crate) fn new(kafka: MemoryKafka, news: TaskNews, offsets_topic: &str, registry: Arc<Registry>) -> Arc<Self> {
        let offsets_topic = offsets_topic.to_owned();
        Arc::new(Self { kafka, news, offsets_topic, registry, instances: Mutex::default() })
    }
}

#[async_trait::async_trait]
impl TaskRunner for FileTasks {
    fn start(&self, spec: TaskSpec) {
        let (paused, watched) = watch::channel(spec.paused);
        let id = spec.id.clone();
        let played = Played {
            kafka: self.kafka.clone(),
            news: self.news.clone(),
            offsets_topic: self.offsets_topic.clone(),
            registry: Arc::clone(&self.registry),
            spec,
            paused: watched,
        };
        let running = tokio::spawn(played.run());
        self.instances.lock().insert(id, Instance { paused, running });
    }
    async fn stop(&self, task: &TaskId) {
        let instance = self.instances.lock().remove(task);
        if let Some(instance) = instance {
            instance.running.abort();
            let _ = instance.running.await;
        }
    }
    fn pause(&self, task: &TaskId) {
        if let Some(instance) = self.instances.lock().get(task) {
            instance.paused.send_replace(true);
        }
    }
    fn resume(&self, task: &TaskId) {
        if let Some(instance) = self.instances.lock().get(task) {
            instance.paused.send_replace(false);
        }
    }
    // No rate limits a replayed task.
    fn adjust(&self, _: &TaskId, _: &Properties) {}
}

struct Played {
    kafka: MemoryKafka,
    news: TaskNews,
    offsets_topic: String,
    registry: Arc<Registry>,
    spec: TaskSpec,
    paused: watch::Receiver<bool>,
}

impl Played {
    fn say(&self, change: TaskChange) {
        self.news.push(TaskEvent { task: self.spec.id.clone(), generation: self.spec.generation, change });
    }

    fn text(&self, key: &str) -> &str {
        self.spec.properties.value(key).unwrap_or("")
    }

    async fn run(mut self) {
        let mut was = None;
        loop {
            let paused = *self.paused.borrow_and_update();
            if was != Some(paused) {
                self.say(if paused { TaskChange::Paused } else { TaskChange::Running });
                was = Some(paused);
            }
            let step = match self.spec.kind {
                _ if paused => Ok(()),
                TaskKind::Source => self.read_file(),
                // One partition, one reader.
                TaskKind::Sink if self.spec.id.task.0 > 0 => Ok(()),
                TaskKind::Sink => self.write_file(),
            };
            if let Err(trace) = step {
                return self.say(TaskChange::Failed { trace });
            }
            tokio::select! {
                _ = self.paused.changed() => {}
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
    }

    fn read_file(&self) -> Result<(), String> {
        let file = self.text("file");
        let Ok(text) = std::fs::read_to_string(file) else { return Ok(()) };
        let key = json!([&*self.spec.id.connector, {"filename": file}]).to_string();
        let stored = self.kafka.latest(&self.offsets_topic, key.as_bytes());
        let stored: Option<Value> = stored.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let from = stored.and_then(|v| v["position"].as_u64()).unwrap_or(0);
        let from = usize::try_from(from).unwrap();
        let end = text.rfind('\n').map_or(0, |at| at + 1);
        if end <= from {
            return Ok(());
        }
        for line in text.get(from..end).unwrap_or("").lines() {
            self.write_record(line)?;
        }
        let position = json!({"position": end}).to_string();
        self.kafka.put(&self.offsets_topic, key.as_bytes(), Some(position.as_bytes()));
        Ok(())
    }

    fn write_record(&self, line: &str) -> Result<(), String> {
        let record = Record {
            topic: self.text("topic").into(),
            partition: None,
            key: Datum { schema: None, value: Datums::Null },
            value: Datum { schema: Some(Arc::new(text_schema())), value: Datums::String(line.into()) },
            headers: Vec::new(),
            timestamp_ms: Some(0),
        };
        let Some(record) = self.transformed(record)? else { return Ok(()) };
        let mut bytes = BytesMut::new();
        let encoded = self.converter().encode(&record.topic, &record.value, &mut Vec::new(), &mut bytes);
        let written = encoded.map_err(|_| TOLERANCE.to_owned())?;
        self.kafka.put(&record.topic, b"", written.then_some(&bytes[..]));
        self.say(TaskChange::TopicsUsed(vec![record.topic.to_string()]));
        Ok(())
    }

    /// Applies the transforms; a bad record is dropped where the tolerance says so.
    fn transformed(&self, mut record: Record) -> Result<Option<Record>, String> {
        for alias in self.text("transforms").split(',').map(str::trim).filter(|a| !a.is_empty()) {
            let own = self.spec.properties.below(&format!("transforms.{alias}."));
            let entry = self.registry.find(PluginKind::Transformation, own.value("type").unwrap_or("")).unwrap();
            let Plugin::Transform(make) = &entry.plugin else { unreachable!() };
            match make(&own).unwrap().apply(record) {
                Ok(Some(next)) => record = next,
                Ok(None) => return Ok(None),
                Err(_) => return self.bad_record(None).map(|()| None),
            }
        }
        Ok(Some(record))
    }

    /// Skips a bad record, with a dead letter for a sink, or fails the task.
    fn bad_record(&self, bytes: Option<&[u8]>) -> Result<(), String> {
        if self.text("errors.tolerance") != "all" {
            return Err(TOLERANCE.to_owned());
        }
        let dead_letters = self.text("errors.deadletterqueue.topic.name");
        if !dead_letters.is_empty() {
            self.kafka.put(dead_letters, b"", bytes);
        }
        Ok(())
    }

    fn converter(&self) -> Arc<dyn Converter> {
        let class = self.spec.properties.value("value.converter").unwrap_or("JsonConverter");
        let entry = self.registry.find(PluginKind::Converter, class).unwrap();
        let Plugin::Converter(make) = &entry.plugin else { unreachable!() };
        make(&self.spec.properties.below("value.converter."), false).unwrap()
    }

    fn topics(&self) -> Vec<String> {
        let pattern = self.text("topics.regex");
        if pattern.is_empty() {
            return self.text("topics").split(',').map(|t| t.trim().to_owned()).collect();
        }
        let pattern = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
        self.kafka.names().into_iter().filter(|name| pattern.is_match(name)).collect()
    }

    fn write_file(&self) -> Result<(), String> {
        let path = self.text("file");
        let group = format!("connect-{}", self.spec.id.connector);
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        let mut file = file.map_err(|_| {
            format!("org.apache.kafka.connect.errors.ConnectException: Couldn't find or create file '{path}' for FileStreamSinkTask\n")
        })?;
        let (converter, text) = (self.converter(), elasticflow_formats::plugins());
        let text = text.iter().find(|e| e.class.ends_with("StringConverter")).unwrap();
        let Plugin::Converter(make) = &text.plugin else { unreachable!() };
        let text = make(&Properties::default(), false).unwrap();
        for topic in self.topics() {
            let partition = TopicPartition { topic: topic.as_str().into(), partition: 0 };
            let from = self.kafka.group_offset(&group, &partition).map_or(0, |o| usize::try_from(o.0).unwrap());
            let values = self.kafka.values(&topic, from);
            for (at, value) in values.iter().enumerate() {
                let mut line = BytesMut::new();
                match converter.decode(&topic, Some(value), &Vec::new()) {
                    Ok(datum) => drop(text.encode(&topic, &datum, &mut Vec::new(), &mut line)),
                    Err(_) => self.bad_record(Some(value))?,
                }
                if !line.is_empty() {
                    line.extend_from_slice(b"\n");
                    file.write_all(&line).unwrap();
                }
                let next = Offset(i64::try_from(from + at + 1).unwrap());
                self.kafka.set_group_offset(&group, partition.clone(), next);
            }
            if !values.is_empty() {
                self.say(TaskChange::TopicsUsed(vec![topic]));
            }
        }
        Ok(())
    }
}

const TOLERANCE: &str = "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n";

fn text_schema() -> Schema {
    Schema {
        kind: Kind::String,
        name: None,
        version: None,
        optional: false,
        default: None,
        doc: None,
        parameters: BTreeMap::new(),
    }
}
