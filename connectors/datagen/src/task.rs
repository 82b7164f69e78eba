//! The task: makes what is due.
use crate::config::{ClockMode, DatagenConfig};
use crate::connector::{Partitioning, Plan};
use crate::fields::Place;
use crate::ledger::{DIGEST, NUMBER, TASK, digest_of};
use crate::pace::{Bursts, Pace};
use crate::random::seed_of;
use crate::shape::{Maker, Shape};
use async_trait::async_trait;
use elasticflow_api::context::SourceContext;
use elasticflow_api::data::{Datum, Kind, Record, Schema, SchemaRef, Value};
use elasticflow_api::position::{SourceOffset, SourcePartition, SourcePosition};
use elasticflow_api::source::{Boundary, SourceBatch, SourceRecord, SourceTask};
use elasticflow_api::{ConnectorError, ErrorClass, Result};
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

/// Name of the task in its source partition; the familiar connector's form.
pub(crate) const TASK_ID: &str = "task.id";
/// Name of the number of records made in its source offset; the familiar connector's form.
pub(crate) const ITERATION: &str = "current.iteration";
/// What the records of a position were made from.
const SETTINGS: &str = "settings";
/// Members of the familiar connector's offsets that mean nothing here.
const FOREIGN: [&str; 2] = ["task.generation", "random.seed"];
/// A position costs an allocation, and the runtime may cut a transaction only where there is one.
const POSITION_EVERY: u64 = 100;
/// Pause between two records where nothing says how fast they are to come; the familiar connector's.
const INTERVAL_MS: u64 = 500;
/// 2026-01-01, where the logical clock begins.
const LOGICAL_START_MS: i64 = 1_767_225_600_000;

/// A task of the generator.
pub struct DatagenTask {
    config: DatagenConfig,
    shape: Shape,
    plan: Plan,
    topic: Arc<str>,
    /// The connector's.
    name: Arc<str>,
    partition: Arc<SourcePartition>,
    partitioning: Partitioning,
    seed: u64,
    settings: String,
    /// Records made.
    n: u64,
    pace: Pace,
}

impl DatagenTask {
    pub(crate) fn new(config: DatagenConfig, shape: Shape, plan: Plan) -> Self {
        let partition = Map::from_iter([(TASK_ID.to_owned(), json!(plan.task))]);
        Self {
            topic: config.topic.as_str().into(),
            name: "".into(),
            partitioning: Partitioning::of(&config.partition_mode).unwrap_or(Partitioning::Key),
            partition: Arc::new(SourcePartition(partition)),
            pace: Pace::new(None, Duration::ZERO, Bursts::NONE),
            seed: 0,
            settings: String::new(),
            n: 0,
            config,
            shape,
            plan,
        }
    }

    fn rate(&self) -> Option<f64> {
        let config = &self.config;
        let is_limited =
            [&config.rate_records, &config.rate_bytes].into_iter().flatten().any(|rate| rate.trim() != "-1");
        let interval = config.max_interval.map_or(if is_limited { 0 } else { INTERVAL_MS }, |interval| interval.0);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a pause")]
        let rate = |interval: u64| 1000.0 / interval as f64;
        (interval > 0).then(|| rate(interval))
    }

    /// What makes a position of other settings recognisable.
    fn fingerprint(&self) -> String {
        let config = &self.config;
        let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let schema = set(&config.schema_string).or_else(|| set(&config.schema_filename));
        let fields = set(&config.fields).or_else(|| set(&config.quickstart)).or(schema).unwrap_or_default();
        let mut text = format!("{} {} {fields}", self.seed, self.plan.tasks);
        // What came later says nothing where it is not used, so that older positions stay good.
        let (keys, ops, bytes, poison) = (config.key_cardinality, &config.ops, config.record_bytes, config.poison);
        for (is_used, more) in [
            (keys > 0, format!(" keys {keys}")),
            (ops != "1:0:0", format!(" ops {ops}")),
            (bytes > 0, format!(" bytes {bytes}")),
            (poison > 0.0, format!(" poison {poison}")),
        ] {
            if is_used {
                text.push_str(&more);
            }
        }
        format!("{:016x}", seed_of(&text))
    }

    fn resume(&mut self, offset: &SourceOffset) -> Result<()> {
        let made = offset.0.get(ITERATION).and_then(Json::as_u64);
        self.n = made.ok_or_else(|| other_settings(&format!("it has no number of records named {ITERATION}")))?;
        match offset.0.get(SETTINGS).and_then(Json::as_str) {
            Some(settings) if settings != self.settings => {
                return Err(other_settings(
                    "random.seed, tasks.max, the fields or what is done to them (key.cardinality, ops, record.bytes, poison.ratio) have changed",
                ));
            }
            None if FOREIGN.iter().any(|name| offset.0.contains_key(*name)) => {
                warn!(
                    task = self.plan.task,
                    n = self.n,
                    "continuing the count of another generator; its random sequence cannot be continued"
                );
            }
            _ => {}
        }
        Ok(())
    }

    /// Records that are left; `None` without end.
    fn left(&self) -> Option<u64> {
        u64::try_from(self.config.iterations).ok().map(|all| all.saturating_sub(self.n))
    }

    /// How many records this poll may make, the rate aside.
    fn most(&self, cx: &SourceContext) -> u64 {
        let batch = self.config.batch_records.min(cx.batch_max.records).max(1);
        let batch = u64::try_from(batch).unwrap_or(u64::MAX);
        let of_transaction = self.n.checked_rem(self.config.transaction_records);
        let of_transaction = of_transaction.map_or(u64::MAX, |done| self.config.transaction_records - done);
        batch.min(of_transaction).min(self.left().unwrap_or(u64::MAX))
    }

    /// Waits until a record is due, not longer than a poll may take; says how many are.
    async fn due(&mut self, cx: &SourceContext) -> u64 {
        let now = cx.clock.monotonic();
        let due = self.pace.due(now);
        if due > 0 {
            return due;
        }
        cx.clock.sleep(self.pace.wait(now).min(cx.poll_max)).await;
        self.pace.due(cx.clock.monotonic())
    }

    fn record(&self, now_ms: i64) -> Record {
        let place = Place { task: self.plan.task, n: self.n, now_ms };
        let (key, value) = self.shape.record(Maker { seed: self.seed, place, name: &self.name });
        Record {
            topic: Arc::clone(&self.topic),
            partition: self.partitioning.partition(self.n),
            key,
            headers: self.headers(&value.value),
            value,
            timestamp_ms: Some(now_ms),
        }
    }

    fn headers(&self, value: &Value) -> Vec<(Arc<str>, Datum)> {
        if !self.config.stamp {
            return Vec::new();
        }
        let number = |n: i64| Datum { schema: Some(int64()), value: Value::Int64(n) };
        let n = i64::try_from(self.n).unwrap_or(i64::MAX);
        let stamp = [(TASK, i64::from(self.plan.task)), (NUMBER, n), (DIGEST, digest_of(value))];
        stamp.into_iter().map(|(name, n)| (name.into(), number(n))).collect()
    }

    fn position(&self) -> SourcePosition {
        let offset =
            Map::from_iter([(ITERATION.to_owned(), json!(self.n)), (SETTINGS.to_owned(), json!(self.settings))]);
        SourcePosition { partition: Arc::clone(&self.partition), offset: Arc::new(SourceOffset(offset)) }
    }

    fn now_ms(&self, cx: &SourceContext) -> i64 {
        match self.config.clock {
            ClockMode::Real => cx.clock.wall_ms(),
            ClockMode::Logical => LOGICAL_START_MS.saturating_add(i64::try_from(self.n).unwrap_or(i64::MAX)),
        }
    }
}

fn int64() -> SchemaRef {
    static SCHEMA: std::sync::LazyLock<SchemaRef> = std::sync::LazyLock::new(|| {
        Arc::new(Schema {
            kind: Kind::Int64,
            name: None,
            version: None,
            optional: false,
            default: None,
            doc: None,
            parameters: std::collections::BTreeMap::new(),
        })
    });
    Arc::clone(&SCHEMA)
}

fn other_settings(what: &str) -> ConnectorError {
    ConnectorError {
        class: ErrorClass::Definite,
        code: "DATAGEN-0020",
        message: format!("the stored position belongs to other settings ({what}); reset the offsets to start again"),
        source: None,
    }
}

/// What a record weighs in the limits of a batch: its texts and bytes, and a little for everything else.
fn weight(values: &[Value]) -> usize {
    let of = |value: &Value| match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 8,
    };
    values.iter().map(of).sum()
}

#[async_trait]
impl SourceTask for DatagenTask {
    async fn start(&mut self, cx: &SourceContext) -> Result<()> {
        self.seed = self.config.seed.map_or_else(|| seed_of(&cx.task.connector), i64::cast_unsigned);
        self.settings = self.fingerprint();
        self.name = Arc::clone(&cx.task.connector);
        if let Some(offset) = cx.offsets.get(&self.partition)? {
            self.resume(&offset)?;
        }
        let bursts = Bursts::new(self.config.burst_every.0, self.config.burst_factor);
        self.pace = Pace::new(self.rate(), cx.clock.monotonic(), bursts);
        Ok(())
    }

    async fn poll(&mut self, cx: &SourceContext) -> Result<SourceBatch> {
        if self.left() == Some(0) {
            // Asked again after the end: an answer at once would make the caller spin.
            cx.clock.sleep(cx.poll_max).await;
            return Ok(SourceBatch { end_of_data: true, ..SourceBatch::default() });
        }
        let count = self.due(cx).await.min(self.most(cx));
        let mut records = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        let mut bytes = 0;
        let end = self.n + count;
        while self.n < end {
            let record = self.record(self.now_ms(cx));
            if let Value::Struct(value) = &record.value.value {
                bytes += weight(&value.values);
            }
            self.n += 1;
            let last = self.n == end || bytes >= cx.batch_max.bytes;
            let position = (last || self.n.is_multiple_of(POSITION_EVERY)).then(|| self.position());
            records.push(SourceRecord { record, position });
            if last {
                break;
            }
        }
        self.pace.made(records.len() as u64);
        let inside = self.n.checked_rem(self.config.transaction_records).is_some_and(|rest| rest != 0);
        let end_of_data = self.left() == Some(0);
        let boundary = if inside && !end_of_data { Boundary::Inside } else { Boundary::Complete };
        Ok(SourceBatch { records, boundary, end_of_data, ..SourceBatch::default() })
    }

    async fn stop(&mut self) {}
}
