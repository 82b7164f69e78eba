//! A source that does what a test says, and converters that keep text.
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use elasticflow_api::context::{ConnectorContext, SourceContext};
use elasticflow_api::convert::{Converter, DecodeError, EncodeError, HeaderConverter};
use elasticflow_api::data::{Datum, Headers, Record, Value};
use elasticflow_api::error::Stage;
use elasticflow_api::position::{SourceOffset, SourcePartition, SourcePosition};
use elasticflow_api::registry::{Guarantee, Plugin, PluginEntry, Registry, TaskConfig};
use elasticflow_api::source::{Boundary, SourceBatch, SourceConnector, SourceRecord, SourceTask};
use elasticflow_api::{RecordError, Result};
use elasticflow_config::ValidationReport;
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// What a poll does; the number is the position where the source stands.
pub(crate) type Step = dyn Fn(u64) -> Result<Option<SourceBatch>> + Send + Sync;

/// A source made of a function, and what was seen of it.
pub(crate) struct SourceScript {
    pub(crate) step: Box<Step>,
    pub(crate) guarantee: Guarantee,
    /// Positions that the source was told of.
    pub(crate) committed: Mutex<Vec<u64>>,
    pub(crate) starts: AtomicUsize,
    pub(crate) stops: AtomicUsize,
}

/// A source whose poll calls a function with its position; `None` waits as if nothing were new.
pub(crate) fn scripted_source(
    step: impl Fn(u64) -> Result<Option<SourceBatch>> + Send + Sync + 'static,
) -> Arc<SourceScript> {
    Arc::new(SourceScript {
        step: Box::new(step),
        guarantee: Guarantee::ExactlyOnce,
        committed: Mutex::default(),
        starts: AtomicUsize::new(0),
        stops: AtomicUsize::new(0),
    })
}

fn position(n: u64) -> SourcePosition {
    SourcePosition {
        partition: Arc::new(SourcePartition(json!({"p":"x"}).as_object().unwrap().clone())),
        offset: Arc::new(SourceOffset(json!({ "n": n }).as_object().unwrap().clone())),
    }
}

/// Records `from..to` to topic `out`, each with the position after it.
pub(crate) fn scripted_batch(from: u64, to: u64, boundary: Boundary) -> SourceBatch {
    let record = |n: u64| SourceRecord {
        record: Record {
            topic: "out".into(),
            partition: None,
            key: text(&n.to_string()),
            value: text(&format!("v{n}")),
            headers: Vec::new(),
            timestamp_ms: None,
        },
        position: Some(position(n + 1)),
    };
    SourceBatch { records: (from..to).map(record).collect(), boundary, ..SourceBatch::default() }
}

pub(super) fn text(text: &str) -> Datum {
    Datum { schema: None, value: Value::String(text.into()) }
}

struct Scripted(Arc<SourceScript>);

impl SourceConnector for Scripted {
    const NAME: &'static str = "scripted";
    type Config = ();
    type Task = ScriptedTask;

    fn guarantee(&self, (): &()) -> Guarantee {
        self.0.guarantee
    }
    async fn validate(&self, (): &(), _: &ConnectorContext) -> ValidationReport {
        ValidationReport::default()
    }
    async fn plan(&self, (): &(), _: usize, _: &ConnectorContext) -> Result<Vec<TaskConfig>> {
        Ok(vec![TaskConfig::default()])
    }
    fn task(&self, (): &(), _: TaskConfig) -> Result<ScriptedTask> {
        Ok(ScriptedTask { script: Arc::clone(&self.0), at: 0 })
    }
}

struct ScriptedTask {
    script: Arc<SourceScript>,
    at: u64,
}

fn number(offset: &SourceOffset) -> u64 {
    offset.0["n"].as_u64().unwrap()
}

#[async_trait]
impl SourceTask for ScriptedTask {
    async fn start(&mut self, cx: &SourceContext) -> Result<()> {
        self.script.starts.fetch_add(1, SeqCst);
        self.at = cx.offsets.get(&position(0).partition)?.as_ref().map_or(0, number);
        Ok(())
    }
    async fn poll(&mut self, cx: &SourceContext) -> Result<SourceBatch> {
        match (self.script.step)(self.at)? {
            None => {
                cx.clock.sleep(cx.poll_max).await;
                Ok(SourceBatch::default())
            }
            Some(batch) => {
                let positions = batch.records.iter().filter_map(|r| r.position.as_ref()).chain(&batch.progress);
                self.at = positions.last().map_or(self.at, |p| number(&p.offset));
                Ok(batch)
            }
        }
    }
    async fn committed(&mut self, positions: &[SourcePosition]) -> Result<()> {
        self.script.committed.lock().extend(positions.iter().map(|p| number(&p.offset)));
        Ok(())
    }
    async fn stop(&mut self) {
        self.script.stops.fetch_add(1, SeqCst);
    }
}

/// Text as it is; the text `bad` is refused both ways.
struct Plain;

fn refused(stage: Stage) -> RecordError {
    RecordError { stage, reason: "the text is bad".to_owned(), source: None }
}

impl Converter for Plain {
    fn encode(&self, _: &str, datum: &Datum, _: &mut Headers, out: &mut BytesMut) -> Result<bool, EncodeError> {
        match &datum.value {
            Value::Null => Ok(false),
            Value::String(text) if &**text != "bad" => {
                out.extend_from_slice(text.as_bytes());
                Ok(true)
            }
            _ => Err(refused(Stage::TaskPut).into()),
        }
    }
    fn decode(&self, _: &str, bytes: Option<&Bytes>, _: &Headers) -> Result<Datum, DecodeError> {
        match bytes {
            None => Ok(Datum { schema: None, value: Value::Null }),
            Some(b) if &b[..] == b"bad" => Err(refused(Stage::TaskPut).into()),
            Some(b) => Ok(text(std::str::from_utf8(b).unwrap())),
        }
    }
}

impl HeaderConverter for Plain {
    fn encode(&self, topic: &str, _: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool, RecordError> {
        Converter::encode(self, topic, datum, &mut Headers::new(), out).map_err(|_| refused(Stage::HeaderConverter))
    }
    fn decode(&self, topic: &str, _: &str, bytes: Option<&Bytes>) -> Result<Datum, RecordError> {
        Converter::decode(self, topic, bytes, &Headers::new()).map_err(|_| refused(Stage::HeaderConverter))
    }
}

pub(super) fn entry(class: &'static str, plugin: Plugin) -> PluginEntry {
    PluginEntry { class, aliases: &[], version: "1", keys: &[], remarks: "", plugin }
}

/// The scripted source, the plain converters, the real transforms.
pub(super) fn registry(source: Option<Arc<SourceScript>>) -> Registry {
    let mut registry = Registry::default();
    registry.add(entry("test.Plain", Plugin::Converter(|_, _| Ok(Arc::new(Plain))))).unwrap();
    registry.add(entry("test.PlainHeaders", Plugin::HeaderConverter(|_| Ok(Arc::new(Plain))))).unwrap();
    for transform in elasticflow_transforms::plugins() {
        registry.add(transform).unwrap();
    }
    if let Some(script) = source {
        registry.add(entry("test.Source", Plugin::Source(Arc::new(Scripted(script))))).unwrap();
    }
    registry
}
