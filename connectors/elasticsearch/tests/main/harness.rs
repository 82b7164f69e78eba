//! A task with its context, and records for it.
use crate::fake::{Shared, start};
use bytes::Bytes;
use elasticflow_api::clock::{Boxed, Clock};
use elasticflow_api::context::{Errant, Lease, Limits, SinkContext, SinkFlow, Unguarded};
use elasticflow_api::data::{Datum, Field, Kind, Origin, Record, Schema, SchemaRef, Struct, Value};
use elasticflow_api::position::{ConsumedOffsets, Offset, TaskId, TaskIndex, TopicPartition};
use elasticflow_api::registry::{DynSinkConnector, TaskConfig};
use elasticflow_api::sink::{IdempotentSink, SinkBatch, SinkKind, SinkRecord};
use elasticflow_api::{ConnectorError, ErrorClass, RecordError, Result};
use elasticflow_config::Properties;
use elasticflow_elasticsearch::ElasticsearchSink;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens at an instant.
type Event = (Duration, Box<dyn FnOnce() + Send>);

/// A clock that moves when somebody sleeps.
#[derive(Default)]
pub(crate) struct Leaping {
    now: Mutex<Duration>,
    /// What the calendar says.
    pub(crate) wall_ms: AtomicI64,
    events: Mutex<Vec<Event>>,
}

impl Leaping {
    pub(crate) fn at(&self, when: Duration, event: impl FnOnce() + Send + 'static) {
        self.events.lock().unwrap().push((when, Box::new(event)));
    }
}

impl Clock for Leaping {
    fn wall_ms(&self) -> i64 {
        self.wall_ms.load(Ordering::Relaxed)
    }
    fn monotonic(&self) -> Duration {
        *self.now.lock().unwrap()
    }
    fn sleep(&self, for_: Duration) -> Boxed<'static, ()> {
        let now = {
            let mut now = self.now.lock().unwrap();
            *now += for_ + Duration::from_nanos(1);
            *now
        };
        let (due, later): (Vec<Event>, _) =
            std::mem::take(&mut *self.events.lock().unwrap()).into_iter().partition(|e| e.0 <= now);
        self.events.lock().unwrap().extend(later);
        due.into_iter().for_each(|(_, event)| event());
        Box::pin(tokio::task::yield_now())
    }
}

/// Collects what is rejected, or stops at it.
#[derive(Default)]
pub(crate) struct Rejected {
    pub(crate) seen: Mutex<Vec<(i64, String)>>,
    pub(crate) stop: AtomicBool,
}

impl Errant for Rejected {
    fn reject(&self, record: &SinkRecord, error: RecordError) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(ConnectorError {
                class: ErrorClass::Record,
                code: "TEST",
                message: error.to_string(),
                source: None,
            });
        }
        assert!(record.origin.value.is_some() || record.origin.key.is_some(), "the bytes as read are kept");
        self.seen.lock().unwrap().push((record.origin.offset.0, error.reason));
        Ok(())
    }
}

#[derive(Default)]
struct NoFlow;

impl SinkFlow for NoFlow {
    fn pause(&self, _: &[TopicPartition]) {}
    fn resume(&self, _: &[TopicPartition]) {}
    fn request_commit(&self) {}
}

pub(crate) struct Held(pub(crate) AtomicBool);

impl Lease for Held {
    fn valid(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A running task.
pub(crate) struct Harness {
    pub(crate) server: Shared,
    pub(crate) clock: Arc<Leaping>,
    pub(crate) rejected: Arc<Rejected>,
    pub(crate) lease: Arc<Held>,
    pub(crate) cx: SinkContext,
    pub(crate) properties: Properties,
    pub(crate) task: Box<dyn IdempotentSink>,
}

pub(crate) fn partition() -> TopicPartition {
    TopicPartition { topic: "Orders".into(), partition: 0 }
}

impl Harness {
    pub(crate) async fn new(pairs: &[(&str, &str)]) -> Self {
        let (url, server) = start().await;
        Self::at(&url, server, pairs).await
    }

    pub(crate) async fn at(url: &str, server: Shared, pairs: &[(&str, &str)]) -> Self {
        let clock = Arc::new(Leaping::default());
        let rejected = Arc::new(Rejected::default());
        let lease = Arc::new(Held(AtomicBool::new(true)));
        let properties: Properties = [("connection.url", url)].iter().chain(pairs).copied().collect();
        let cx = SinkContext {
            task: TaskId { group: "g".into(), connector: "c".into(), task: TaskIndex(0) },
            version_epoch: 0,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            errant: Arc::clone(&rejected) as Arc<dyn Errant>,
            buffer_max: Limits { records: 100_000, bytes: 1 << 30 },
            flow: Arc::new(NoFlow),
            lease: Arc::clone(&lease) as Arc<dyn Lease>,
            endpoint: Arc::new(Unguarded),
        };
        let task = new_task(&properties);
        let mut harness = Self { server, clock, rejected, lease, cx, properties, task };
        harness.begin().await;
        harness
    }

    /// A successor of the task.
    pub(crate) async fn restart(&mut self) {
        self.task.stop().await;
        self.task = new_task(&self.properties);
        self.begin().await;
    }

    async fn begin(&mut self) {
        self.task.start(&self.cx).await.unwrap();
        self.task.open(&[partition()], &self.cx).await.unwrap();
    }

    pub(crate) async fn put(&mut self, records: Vec<SinkRecord>) -> Result<()> {
        let next = records.iter().map(|record| record.origin.offset.0 + 1).max().unwrap_or(0);
        let consumed = ConsumedOffsets(BTreeMap::from([(partition(), Offset(next))]));
        self.task.put(SinkBatch { records, consumed }, &self.cx).await
    }

    pub(crate) async fn flush(&mut self) -> Result<ConsumedOffsets> {
        self.task.flush(&self.cx).await
    }

    pub(crate) async fn put_and_flush(&mut self, records: Vec<SinkRecord>) -> Result<ConsumedOffsets> {
        self.put(records).await?;
        self.flush().await
    }

    pub(crate) fn rejections(&self) -> Vec<(i64, String)> {
        self.rejected.seen.lock().unwrap().clone()
    }
}

fn new_task(properties: &Properties) -> Box<dyn IdempotentSink> {
    match DynSinkConnector::task(&ElasticsearchSink, properties, TaskConfig::default()).unwrap() {
        SinkKind::Idempotent(task) => task,
        _ => panic!("not an idempotent sink"),
    }
}

pub(crate) fn schema(kind: Kind, name: Option<&str>, optional: bool) -> SchemaRef {
    Arc::new(Schema {
        kind,
        name: name.map(Arc::from),
        version: None,
        optional,
        default: None,
        doc: None,
        parameters: BTreeMap::new(),
    })
}

pub(crate) fn struct_of(name: Option<&str>, fields: Vec<(&str, SchemaRef, Value)>) -> Datum {
    let (fields, values): (Vec<Field>, Vec<Value>) =
        fields.into_iter().map(|(name, schema, value)| (Field { name: name.into(), schema }, value)).unzip();
    let schema = schema(Kind::Struct(fields.into()), name, true);
    Datum { schema: Some(Arc::clone(&schema)), value: Value::Struct(Struct { schema, values }) }
}

pub(crate) fn key(id: i64) -> Datum {
    struct_of(Some("k.Key"), vec![("id", schema(Kind::Int64, None, false), Value::Int64(id))])
}

/// A flat document.
pub(crate) fn flat(id: i64, n: i32) -> Datum {
    let fields = vec![
        ("id", schema(Kind::Int64, None, false), Value::Int64(id)),
        ("n", schema(Kind::Int32, None, true), Value::Int32(n)),
    ];
    struct_of(Some("k.Value"), fields)
}

/// A change event around a flat document.
pub(crate) fn event(op: &'static str, id: i64, n: i32) -> Datum {
    let row = flat(id, n);
    let row_schema = row.schema.unwrap();
    let (before, after) = if op == "d" { (row.value, Value::Null) } else { (Value::Null, row.value) };
    let fields = vec![
        ("before", Arc::clone(&row_schema), before),
        ("after", row_schema, after),
        ("op", schema(Kind::String, None, false), Value::String(op.into())),
    ];
    struct_of(Some("k.Envelope"), fields)
}

pub(crate) fn tombstone() -> Datum {
    Datum { schema: None, value: Value::Null }
}

pub(crate) fn record(offset: i64, key: Datum, value: Datum) -> SinkRecord {
    let origin = Origin {
        at: partition(),
        offset: Offset(offset),
        key: Some(Bytes::from_static(b"key")),
        value: Some(Bytes::from_static(b"value")),
        headers: elasticflow_api::data::RawHeaders::default(),
        timestamp_ms: Some(0),
        replay: None,
    };
    let record =
        Record { topic: "Orders".into(), partition: Some(0), key, value, headers: Vec::new(), timestamp_ms: Some(0) };
    SinkRecord { record, origin }
}

/// The same record of another time.
pub(crate) fn at_time(mut record: SinkRecord, ms: Option<i64>) -> SinkRecord {
    record.record.timestamp_ms = ms;
    record
}

/// Flat documents `first..first + count`, one per offset.
pub(crate) fn documents(first: i64, count: i64) -> Vec<SinkRecord> {
    (first..first + count).map(|i| record(i, key(i), flat(i, 1))).collect()
}
