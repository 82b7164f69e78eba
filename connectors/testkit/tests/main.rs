//! The suite passes what keeps its promises and finds what does not.
#![allow(clippy::unwrap_used, reason = "a test may")]
use async_trait::async_trait;
use bytes::Bytes;
use elasticflow_api::context::{SinkContext, SourceContext};
use elasticflow_api::data::{Datum, Origin, Record, Value};
use elasticflow_api::position::{
    ConsumedOffsets, Offset, SourceOffset, SourcePartition, SourcePosition, TopicPartition, UnitId,
};
use elasticflow_api::sink::{
    Committed, Handle, IdempotentSink, SinkBatch, SinkKind, SinkRecord, SinkTask, StartAt, TwoPhaseSink,
};
use elasticflow_api::source::{SourceBatch, SourceRecord, SourceTask};
use elasticflow_api::{ConnectorError, ErrorClass, Result};
use elasticflow_testkit::{SinkCase, SourceCase, check_sink, check_source};
use futures_util::FutureExt;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

fn text(text: String) -> Datum {
    Datum { schema: None, value: Value::String(text.into()) }
}

fn record(n: u64) -> Record {
    Record {
        topic: "t".into(),
        partition: None,
        key: text(n.to_string()),
        value: text(format!("v{n}")),
        headers: Vec::new(),
        timestamp_ms: None,
    }
}

/// Counts to ten; a forgetful one begins one too late.
struct Counting {
    forgetful: bool,
}

struct CountingTask {
    at: u64,
    forgetful: bool,
}

impl SourceCase for Counting {
    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(CountingTask { at: 0, forgetful: self.forgetful })
    }
    fn records(&self) -> usize {
        10
    }
}

#[async_trait]
impl SourceTask for CountingTask {
    async fn start(&mut self, cx: &SourceContext) -> Result<()> {
        let stored = cx.offsets.all()?.into_iter().next();
        self.at = stored.map_or(0, |(_, o)| o.0["n"].as_u64().unwrap() + u64::from(self.forgetful));
        Ok(())
    }
    async fn poll(&mut self, cx: &SourceContext) -> Result<SourceBatch> {
        if self.at >= 10 {
            cx.clock.sleep(cx.poll_max).await;
            return Ok(SourceBatch::default());
        }
        let n = self.at;
        self.at += 1;
        let position = SourcePosition {
            partition: Arc::new(SourcePartition(json!({"p":1}).as_object().unwrap().clone())),
            offset: Arc::new(SourceOffset(json!({"n":n + 1}).as_object().unwrap().clone())),
        };
        let records = vec![SourceRecord { record: record(n), position: Some(position) }];
        Ok(SourceBatch { records, ..SourceBatch::default() })
    }
    async fn stop(&mut self) {}
}

/// What a broken promise says.
async fn complaint(check: impl Future<Output = ()>) -> Option<String> {
    let panic = AssertUnwindSafe(check).catch_unwind().await.err()?;
    panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
}

#[tokio::test]
async fn a_source_that_resumes_where_it_stood_passes() {
    check_source(&Counting { forgetful: false }).await;
}

#[tokio::test]
async fn a_source_that_skips_a_record_is_found() {
    let broken = Counting { forgetful: true };
    // It waits for a record that never comes, or delivers less: either way it does not pass.
    let found = tokio::time::timeout(std::time::Duration::from_secs(3), complaint(check_source(&broken))).await;
    assert!(!matches!(found, Ok(None)));
}

/// A destination in memory, as idempotent or two-phase, keeping its promises or not.
struct Memory {
    two_phase: bool,
    appends: bool,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    rows: Vec<(i64, String)>,
    prepared: Vec<(UnitId, Vec<(i64, String)>)>,
    applied: Vec<UnitId>,
}

struct MemoryTask {
    appends: bool,
    shared: Arc<Mutex<Shared>>,
    buffer: Vec<(i64, String)>,
    put: ConsumedOffsets,
}

impl Memory {
    fn new(two_phase: bool, appends: bool) -> Self {
        Self { two_phase, appends, shared: Arc::default() }
    }
}

#[async_trait]
impl SinkCase for Memory {
    async fn reset(&self) {
        *self.shared.lock() = Shared::default();
    }
    fn task(&self) -> SinkKind {
        let task = MemoryTask {
            appends: self.appends,
            shared: Arc::clone(&self.shared),
            buffer: Vec::new(),
            put: ConsumedOffsets::default(),
        };
        if self.two_phase { SinkKind::TwoPhase(Box::new(task)) } else { SinkKind::Idempotent(Box::new(task)) }
    }
    fn records(&self) -> Vec<SinkRecord> {
        let at = TopicPartition { topic: "t".into(), partition: 0 };
        let origin = |n| Origin {
            at: at.clone(),
            offset: Offset(n),
            key: None,
            value: None,
            headers: elasticflow_api::data::RawHeaders::default(),
            timestamp_ms: None,
            replay: None,
        };
        (0..6).map(|n| SinkRecord { record: record(n), origin: origin(n as i64) }).collect()
    }
    async fn contents(&self) -> Vec<String> {
        self.shared.lock().rows.iter().map(|(n, v)| format!("{n}={v}")).collect()
    }
}

fn write(shared: &mut Shared, rows: Vec<(i64, String)>, appends: bool) {
    for row in rows {
        if appends || !shared.rows.iter().any(|(n, _)| *n == row.0) {
            shared.rows.push(row);
        }
    }
}

#[async_trait]
impl SinkTask for MemoryTask {
    async fn start(&mut self, _: &SinkContext) -> Result<()> {
        Ok(())
    }
    async fn open(&mut self, _: &[TopicPartition], _: &SinkContext) -> Result<BTreeMap<TopicPartition, StartAt>> {
        Ok(BTreeMap::new())
    }
    async fn put(&mut self, batch: SinkBatch, _: &SinkContext) -> Result<()> {
        for SinkRecord { record, origin } in batch.records {
            let Value::String(text) = record.value.value else { continue };
            self.buffer.push((origin.offset.0, text.to_string()));
        }
        self.put.0.extend(batch.consumed.0);
        Ok(())
    }
    async fn close(&mut self, _: &[TopicPartition], _: bool) -> Result<()> {
        Ok(())
    }
    async fn stop(&mut self) {}
}

#[async_trait]
impl IdempotentSink for MemoryTask {
    async fn flush(&mut self, _: &SinkContext) -> Result<ConsumedOffsets> {
        write(&mut self.shared.lock(), std::mem::take(&mut self.buffer), self.appends);
        Ok(self.put.clone())
    }
}

#[async_trait]
impl TwoPhaseSink for MemoryTask {
    async fn prepare(&mut self, unit: &UnitId, _: &SinkContext) -> Result<Option<Handle>> {
        let rows = std::mem::take(&mut self.buffer);
        self.shared.lock().prepared.push((unit.clone(), rows));
        Ok(Some(Handle { unit: unit.clone(), token: Bytes::new() }))
    }
    async fn commit(&mut self, handle: &Handle) -> Result<Committed> {
        let mut shared = self.shared.lock();
        if let Some(at) = shared.prepared.iter().position(|(unit, _)| *unit == handle.unit) {
            let (unit, rows) = shared.prepared.remove(at);
            if self.appends {
                // Broken: what is prepared stays, so that a second commit applies it again.
                shared.prepared.push((unit, rows.clone()));
                write(&mut shared, rows, true);
            } else {
                shared.applied.push(unit);
                write(&mut shared, rows, false);
            }
            return Ok(Committed::Now);
        }
        if shared.applied.contains(&handle.unit) {
            return Ok(Committed::Before);
        }
        Err(ConnectorError {
            class: ErrorClass::Bug,
            code: "TEST-0001",
            message: "unknown unit".to_owned(),
            source: None,
        })
    }
    async fn abort(&mut self, handle: &Handle) -> Result<()> {
        self.shared.lock().prepared.retain(|(unit, _)| *unit != handle.unit);
        Ok(())
    }
    async fn in_doubt(&mut self) -> Result<Vec<Handle>> {
        let shared = self.shared.lock();
        Ok(shared.prepared.iter().map(|(unit, _)| Handle { unit: unit.clone(), token: Bytes::new() }).collect())
    }
}

#[tokio::test]
async fn sinks_that_keep_their_promises_pass() {
    check_sink(&Memory::new(false, false)).await;
    check_sink(&Memory::new(true, false)).await;
}

#[tokio::test]
async fn a_sink_that_doubles_is_found() {
    let found = complaint(check_sink(&Memory::new(false, true))).await.unwrap();
    assert!(found.contains("a replay changes nothing"), "{found}");
    let found = complaint(check_sink(&Memory::new(true, true))).await.unwrap();
    assert!(found.contains("the second says so"), "{found}");
}
