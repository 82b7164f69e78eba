//! A sink of each kind over one destination in memory, which outlives its tasks. Any call can be made to fail or to hang.
use super::connectors::{entry, registry};
use async_trait::async_trait;
use bytes::Bytes;
use elasticflow_api::context::{ConnectorContext, SinkContext};
use elasticflow_api::data::Value;
use elasticflow_api::error::Stage;
use elasticflow_api::position::{ConsumedOffsets, Offset, TaskId, TopicPartition, UnitId};
use elasticflow_api::registry::{Guarantee, Plugin, Registry, TaskConfig};
use elasticflow_api::sink::*;
use elasticflow_api::{ConnectorError, ErrorClass, RecordError, Result};
use elasticflow_config::ValidationReport;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Which kind of task the sink makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SinkType {
    Idempotent,
    Transactional,
    TwoPhase,
}

/// What a call does besides its work; called before with `<op>` and after with `<op>.after`.
pub(crate) enum Hook {
    Go,
    /// Never returns: the process is dead.
    Hang,
    Fail(ConnectorError),
}

/// The destination and what happened to it.
pub(crate) struct SinkScript {
    pub(crate) kind: SinkType,
    pub(crate) hook: Box<dyn Fn(&str) -> Hook + Send + Sync>,
    pub(crate) destination: Mutex<Destination>,
}

#[derive(Default)]
pub(crate) struct Destination {
    /// Visible rows by origin; a second write of one is a replay.
    pub(crate) rows: BTreeMap<(TopicPartition, i64), String>,
    pub(crate) replays: usize,
    stored: HashMap<TopicPartition, (i64, u64)>,
    pub(crate) prepared: Vec<(UnitId, Vec<Row>)>,
    applied: Vec<UnitId>,
    pub(crate) calls: Vec<String>,
}

type Row = ((TopicPartition, i64), String);

impl SinkScript {
    pub(crate) fn new(kind: SinkType, hook: impl Fn(&str) -> Hook + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { kind, hook: Box::new(hook), destination: Mutex::default() })
    }

    pub(crate) fn registry(self: &Arc<Self>) -> Registry {
        let mut registry = registry(None);
        registry.add(entry("test.Sink", Plugin::Sink(Arc::new(Scripted(Arc::clone(self)))))).unwrap();
        registry
    }

    pub(crate) fn values(&self) -> Vec<String> {
        let mut values: Vec<String> = self.destination.lock().rows.values().cloned().collect();
        values.sort();
        values
    }

    pub(crate) fn calls(&self, op: &str) -> usize {
        self.destination.lock().calls.iter().filter(|c| *c == op).count()
    }

    async fn at(&self, op: &str) -> Result<()> {
        self.destination.lock().calls.push(op.to_owned());
        match (self.hook)(op) {
            Hook::Go => Ok(()),
            Hook::Hang => std::future::pending().await,
            Hook::Fail(error) => Err(error),
        }
    }
}

struct Scripted(Arc<SinkScript>);

impl SinkConnector for Scripted {
    const NAME: &'static str = "scripted";
    type Config = ();

    fn guarantee(&self, (): &()) -> Guarantee {
        Guarantee::ExactlyOnce
    }
    async fn validate(&self, (): &(), _: &ConnectorContext) -> ValidationReport {
        ValidationReport::default()
    }
    fn plan(&self, (): &(), tasks_max: usize) -> Result<Vec<TaskConfig>> {
        Ok(vec![TaskConfig::default(); tasks_max])
    }
    fn task(&self, (): &(), _: TaskConfig) -> Result<SinkKind> {
        let task = Task {
            script: Arc::clone(&self.0),
            buffer: Vec::new(),
            put: ConsumedOffsets::default(),
            epochs: HashMap::new(),
        };
        Ok(match self.0.kind {
            SinkType::Idempotent => SinkKind::Idempotent(Box::new(task)),
            SinkType::Transactional => SinkKind::Transactional(Box::new(task)),
            SinkType::TwoPhase => SinkKind::TwoPhase(Box::new(task)),
        })
    }
    async fn alter_offsets(&self, (): &(), _: &TaskId, _: &BTreeMap<TopicPartition, Option<Offset>>) -> Result<()> {
        Ok(())
    }
}

struct Task {
    script: Arc<SinkScript>,
    buffer: Vec<Row>,
    put: ConsumedOffsets,
    epochs: HashMap<TopicPartition, u64>,
}

impl Destination {
    fn write(&mut self, rows: Vec<Row>) {
        for (at, value) in rows {
            self.replays += usize::from(self.rows.insert(at, value).is_some());
        }
    }
}

#[async_trait]
impl SinkTask for Task {
    async fn start(&mut self, _: &SinkContext) -> Result<()> {
        self.script.at("start").await
    }

    async fn open(&mut self, new: &[TopicPartition], _: &SinkContext) -> Result<BTreeMap<TopicPartition, StartAt>> {
        self.script.at("open").await?;
        if self.script.kind != SinkType::Transactional {
            return Ok(BTreeMap::new());
        }
        let mut destination = self.script.destination.lock();
        let mut start = BTreeMap::new();
        for at in new {
            let row = destination.stored.entry(at.clone()).or_insert((-1, 0));
            row.1 += 1;
            self.epochs.insert(at.clone(), row.1);
            start.insert(at.clone(), if row.0 < 0 { StartAt::Group } else { StartAt::Stored(Offset(row.0)) });
        }
        Ok(start)
    }

    async fn put(&mut self, batch: SinkBatch, cx: &SinkContext) -> Result<()> {
        self.script.at("put").await?;
        if batch.records.iter().any(|r| matches!(&r.record.value.value, Value::String(t) if t.starts_with("poison"))) {
            let (class, message) = (ErrorClass::Record, "a row is refused".to_owned());
            return Err(ConnectorError { class, code: "TEST-0002", message, source: None });
        }
        for bad_or_good in &batch.records {
            let SinkRecord { record, origin } = bad_or_good;
            let Value::String(text) = &record.value.value else { panic!("text") };
            if &**text == "reject" {
                let error = RecordError { stage: Stage::TaskPut, reason: "rejected".to_owned(), source: None };
                cx.errant.reject(bad_or_good, error)?;
                continue;
            }
            self.buffer.push(((origin.at.clone(), origin.offset.0), text.to_string()));
        }
        if self.script.kind == SinkType::Transactional {
            cx.errant.settle().await?;
            let mut destination = self.script.destination.lock();
            let rows = std::mem::take(&mut self.buffer);
            for (at, next) in &batch.consumed.0 {
                let row = destination.stored.get_mut(at).unwrap();
                assert_eq!(row.1, self.epochs[at], "fenced");
                row.0 = next.0;
            }
            destination.write(rows);
        }
        self.put.0.extend(batch.consumed.0);
        self.script.at("put.after").await
    }

    async fn close(&mut self, gone: &[TopicPartition], _: bool) -> Result<()> {
        self.buffer.retain(|((at, _), _)| !gone.contains(at));
        self.put.0.retain(|at, _| !gone.contains(at));
        self.script.at("close").await
    }

    async fn stop(&mut self) {
        let _ = self.script.at("stop").await;
    }
}

#[async_trait]
impl IdempotentSink for Task {
    async fn flush(&mut self, _: &SinkContext) -> Result<ConsumedOffsets> {
        self.script.at("flush").await?;
        let rows = std::mem::take(&mut self.buffer);
        self.script.destination.lock().write(rows);
        self.script.at("flush.after").await?;
        Ok(self.put.clone())
    }
}

impl TransactionalSink for Task {}

#[async_trait]
impl TwoPhaseSink for Task {
    fn unit_every(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn prepare(&mut self, unit: &UnitId, _: &SinkContext) -> Result<Option<Handle>> {
        self.script.at("prepare").await?;
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let rows = std::mem::take(&mut self.buffer);
        self.script.destination.lock().prepared.push((unit.clone(), rows));
        self.script.at("prepare.after").await?;
        Ok(Some(Handle { unit: unit.clone(), token: Bytes::from_static(b"t") }))
    }

    async fn commit(&mut self, handle: &Handle) -> Result<Committed> {
        self.script.at("commit").await?;
        let before = {
            let mut destination = self.script.destination.lock();
            let found = destination.prepared.iter().position(|(unit, _)| *unit == handle.unit);
            assert!(
                found.is_some() || destination.applied.contains(&handle.unit),
                "unknown unit: decided data is lost"
            );
            if let Some(at) = found {
                let (unit, rows) = destination.prepared.remove(at);
                destination.applied.push(unit);
                destination.write(rows);
            }
            found.is_none()
        };
        self.script.at("commit.after").await?;
        Ok(if before { Committed::Before } else { Committed::Now })
    }

    async fn abort(&mut self, handle: &Handle) -> Result<()> {
        self.script.at("abort").await?;
        self.script.destination.lock().prepared.retain(|(unit, _)| *unit != handle.unit);
        Ok(())
    }

    async fn in_doubt(&mut self) -> Result<Vec<Handle>> {
        self.script.at("in_doubt").await?;
        let destination = self.script.destination.lock();
        Ok(destination.prepared.iter().map(|(unit, _)| Handle { unit: unit.clone(), token: Bytes::new() }).collect())
    }
}
