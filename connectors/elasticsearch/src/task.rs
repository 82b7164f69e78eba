//! The task: takes records, turns them into requests, keeps a bounded number on their way.
use crate::batches::Staging;
use crate::bulk::{Action, Bulk, Item, Ownership, Target};
use crate::change::{Change, Changes, Document};
use crate::client::Client;
use crate::config::{ElasticsearchConfig, Envelope, MalformedBehavior, WriteMethod};
use crate::connector::check_version;
use crate::error::Error;
use crate::index::Indices;
use crate::index_name::IndexNames;
use crate::placing::Trouble;
use crate::retention::{Retention, delete_older};
use crate::sender::{Outcome, Sender};
use crate::timestamp::Stamp;
use async_trait::async_trait;
use bytes::BufMut;
use elasticflow_api::context::{Limits, SinkContext};
use elasticflow_api::data::{Datum, SchemaRef, Value};
use elasticflow_api::position::{ConsumedOffsets, TaskId, TopicPartition};
use elasticflow_api::sink::{AtomicBatches, IdempotentSink, SinkBatch, SinkRecord, SinkTask, StartAt};
use elasticflow_api::{RecordError, Result};
use elasticflow_formats::json::write_string;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tracing::{debug, warn};

/// Most schemas remembered per index as prepared.
const READY_MAX: usize = 64;
/// Most indices remembered as prepared: dated names have no end.
const INDICES_MAX: usize = 1000;

/// A task of the sink.
pub(crate) struct EsTask {
    pub(crate) config: ElasticsearchConfig,
    changes: Changes,
    pub(crate) names: IndexNames,
    /// Of a batch that is staged.
    pub(crate) staging: Staging,
    name: Option<TaskId>,
    partitions: HashMap<TopicPartition, Ownership>,
    /// Indices that are there, with the schemas whose fields they have.
    ready: HashMap<Arc<str>, Vec<SchemaRef>>,
    bulk: Bulk,
    bulk_since: Duration,
    running: JoinSet<(usize, Result<Outcome, Error>)>,
    /// Records in `bulk` and on their way.
    held: usize,
    consumed: ConsumedOffsets,
    sender: Option<Arc<Sender>>,
    /// Elasticsearch 6 wants a type.
    typed: bool,
    pub(crate) id: String,
    stamp: Option<Stamp>,
    retention: Retention,
    written: u64,
    conflicts: u64,
    /// Whether ES-0021 has been logged: once per task.
    warned: bool,
}

impl EsTask {
    /// A task that has done no I/O.
    pub(crate) fn new(config: ElasticsearchConfig) -> Result<Self, Error> {
        if config.is_stream() && config.stream_dataset.is_none() {
            return Err(Error::Setting("data.stream.type is set, so data.stream.dataset must be set too".to_owned()));
        }
        Ok(Self {
            changes: Changes::new(&config),
            names: IndexNames::new(&config.name_format())?,
            staging: Staging::default(),
            name: None,
            partitions: HashMap::new(),
            ready: HashMap::new(),
            bulk: Bulk::default(),
            bulk_since: Duration::ZERO,
            running: JoinSet::new(),
            held: 0,
            consumed: ConsumedOffsets::default(),
            sender: None,
            typed: false,
            id: String::new(),
            stamp: config.is_stream().then(|| Stamp::new(&config.stream_timestamp)),
            retention: Retention::new(config.retention_days),
            written: 0,
            conflicts: 0,
            warned: false,
            config,
        })
    }

    pub(crate) fn task(&self) -> Result<&TaskId, Error> {
        self.name.as_ref().ok_or_else(|| Error::Lost("the task was not started".to_owned()))
    }

    pub(crate) fn sender(&self) -> Result<&Arc<Sender>, Error> {
        self.sender.as_ref().ok_or_else(|| Error::Lost("the task was not started".to_owned()))
    }

    /// Takes one record into the request that is being built.
    async fn take(&mut self, mut record: SinkRecord, cx: &SinkContext) -> Result<()> {
        let value = std::mem::replace(&mut record.record.value, Datum { schema: None, value: Value::Null });
        let on_null = self.config.on_null(&record.record.topic);
        let change = match self.changes.of(&value, on_null) {
            Ok(change) => change,
            Err(error) => return self.refuse(&record, error, cx),
        };
        let document = match &change {
            Change::Nothing(reason) => {
                debug!(topic = &*record.record.topic, offset = record.origin.offset.0, reason, "record passed over");
                return Ok(());
            }
            Change::Write(document) => Some(document),
            Change::Delete => None,
        };
        let (index, action) = match self.action(&record, document.is_none(), cx) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(Trouble::Record(error)) => return self.refuse(&record, error, cx),
            Err(Trouble::Sink(error)) => return Err(error.into()),
        };
        let schema = document.and_then(|document| document.schema.as_ref());
        let schema = schema.filter(|_| !self.config.ignores_schema(&record.record.topic));
        if !self.is_ready(&index, schema) {
            self.prepare(&index, schema).await?;
        }
        self.push(record, &Write { index, action, document }, cx)
    }

    fn is_ready(&self, index: &Arc<str>, schema: Option<&SchemaRef>) -> bool {
        match (self.ready.get(index), schema) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(schemas), Some(schema)) => schemas.iter().any(|known| Arc::ptr_eq(known, schema)),
        }
    }

    async fn prepare(&mut self, index: &Arc<str>, schema: Option<&SchemaRef>) -> Result<(), Error> {
        let sender = Arc::clone(self.sender()?);
        sender.indices.prepare(&sender.client, index, schema).await?;
        if self.ready.len() >= INDICES_MAX && !self.ready.contains_key(index) {
            self.ready.clear();
        }
        let schemas = self.ready.entry(Arc::clone(index)).or_default();
        if let Some(schema) = schema {
            if schemas.len() >= READY_MAX {
                schemas.clear();
            }
            schemas.push(Arc::clone(schema));
        }
        Ok(())
    }

    fn push(&mut self, record: SinkRecord, write: &Write<'_>, cx: &SinkContext) -> Result<()> {
        let start = self.bulk.body.len();
        let target = Target { index: &write.index, id: &self.id, typed: self.typed };
        self.bulk.write_action(write.action, &target);
        if let Err(error) = self.write_document(&record, write) {
            self.bulk.body.truncate(start);
            return self.refuse(&record, error, cx);
        }
        if self.bulk.items.is_empty() {
            self.bulk_since = cx.clock.monotonic();
        }
        let owned = self.partitions.entry(record.origin.at.clone()).or_insert_with(|| Arc::new(AtomicBool::new(true)));
        let (owned, index) = (Arc::clone(owned), Arc::clone(&write.index));
        self.bulk.items.push(Item { lines: start..self.bulk.body.len(), index, action: write.action, owned, record });
        self.held += 1;
        Ok(())
    }

    fn write_document(&mut self, record: &SinkRecord, write: &Write<'_>) -> Result<(), RecordError> {
        let body = &mut self.bulk.body;
        match (write.action, write.document) {
            (Action::Upsert, Some(document)) => {
                body.put_slice(b"{\"doc\":");
                self.changes.write(document, body)?;
                body.put_slice(b",\"doc_as_upsert\":true}\n");
            }
            (_, Some(document)) => {
                match &mut self.stamp {
                    Some(stamp) => {
                        self.changes.write(document, stamp.document())?;
                        stamp.write(record.record.timestamp_ms, body)?;
                    }
                    None => self.changes.write(document, body)?,
                }
                body.put_u8(b'\n');
            }
            (Action::Index { .. }, None) => {
                body.put_u8(b'{');
                write_string(&self.config.delete_field, body);
                body.put_slice(b":true}\n");
            }
            (_, None) => {}
        }
        Ok(())
    }

    /// A record that cannot become a document.
    fn refuse(&self, record: &SinkRecord, error: RecordError, cx: &SinkContext) -> Result<()> {
        if !self.config.drop_invalid {
            return cx.errant.reject(record, error);
        }
        let at = &record.origin.at;
        warn!(
            topic = &*at.topic,
            partition = at.partition,
            offset = record.origin.offset.0,
            reason = error.reason,
            "record left out: drop.invalid.message is true"
        );
        Ok(())
    }

    /// Starts the request that has been built, if there is room for it on the way.
    async fn dispatch(&mut self, cx: &SinkContext) -> Result<()> {
        if self.bulk.items.is_empty() {
            return Ok(());
        }
        while self.running.len() >= self.in_flight_max() {
            self.await_one(cx).await?;
        }
        let sender = Arc::clone(self.sender()?);
        let request = self.bulk.take();
        self.running.spawn(async move {
            let records = request.items.len();
            (records, sender.send(request).await)
        });
        Ok(())
    }

    /// Writes without versions must not overtake each other.
    fn in_flight_max(&self) -> usize {
        if self.config.write_method == WriteMethod::Upsert { 1 } else { self.config.in_flight }
    }

    /// Waits for one request on its way and deals with what it could not write.
    async fn await_one(&mut self, cx: &SinkContext) -> Result<()> {
        let Some(joined) = self.running.join_next().await else { return Ok(()) };
        let (records, outcome) = joined.map_err(|error| Error::Lost(error.to_string()))?;
        self.held = self.held.saturating_sub(records);
        let outcome = outcome?;
        self.written += outcome.written;
        self.conflicts += outcome.conflicts;
        self.warn_of_versions(outcome.far_ahead);
        for record in &outcome.superseded {
            cx.errant.superseded(record);
        }
        for (record, error) in outcome.rejected {
            self.malformed(&record, error, cx)?;
        }
        Ok(())
    }

    /// Versions far ahead hide every write of this topic, and nothing else would tell.
    fn warn_of_versions(&mut self, far_ahead: u64) {
        if far_ahead > 0 && !self.warned {
            self.warned = true;
            warn!(
                code = "ES-0021",
                documents = far_ahead,
                "documents stand in versions far newer than the topic's own offsets, so these records change nothing: a replay of an \
                 old topic, or a topic that was re-created or re-partitioned, or another writer of the same ids; raise version.epoch \
                 to let this topic win"
            );
        }
    }

    /// A document that the index refuses.
    fn malformed(&self, record: &SinkRecord, error: RecordError, cx: &SinkContext) -> Result<()> {
        let at = &record.origin.at;
        let (topic, partition, offset) = (&*at.topic, at.partition, record.origin.offset.0);
        match self.config.on_malformed {
            MalformedBehavior::Fail => return cx.errant.reject(record, error),
            MalformedBehavior::Warn => {
                warn!(topic, partition, offset, reason = error.reason, "the index refuses the document; left out")
            }
            MalformedBehavior::Ignore => {
                debug!(topic, partition, offset, reason = error.reason, "the index refuses the document; left out")
            }
        }
        Ok(())
    }

    /// Where indices have an age, the first task looks for old ones.
    async fn delete_old_indices(&mut self, cx: &SinkContext) {
        let Some(sender) = self.sender.as_ref().filter(|_| cx.task.task.0 == 0 && cx.lease.valid()) else { return };
        if let Some(limit) = self.retention.due(&*cx.clock) {
            let topics = self.config.topics.iter().map(String::as_str).chain(self.names.topics().map(|topic| &**topic));
            let done = delete_older(&sender.client, &self.names, topics.collect(), limit).await;
            self.retention.done(&*cx.clock, done);
        }
    }

    fn is_full(&self, limits: Limits) -> bool {
        let bytes = self.sender.as_ref().map_or(0, |sender| sender.bulk_bytes.load(Ordering::Relaxed));
        self.bulk.items.len() >= self.config.batch_size
            || self.bulk.body.len() >= bytes.min(limits.bytes)
            || self.held >= self.records_max(limits)
    }

    fn records_max(&self, limits: Limits) -> usize {
        self.config.buffered_records.min(limits.records).max(1)
    }
}

/// What a record does, and where.
struct Write<'a> {
    index: Arc<str>,
    action: Action,
    document: Option<&'a Document<'a>>,
}

#[async_trait]
impl SinkTask for EsTask {
    fn takes_json(&mut self) -> bool {
        self.changes.as_text = true;
        true
    }

    fn reads_headers(&self) -> bool {
        self.config.version_header.is_some()
    }

    fn reads_rows_alone(&self) -> bool {
        self.config.envelope != Envelope::None
    }

    async fn start(&mut self, cx: &SinkContext) -> Result<()> {
        self.name = Some(cx.task.clone());
        let client = Client::new(&self.config, Arc::clone(&cx.clock), Arc::clone(&cx.endpoint))?.telling(&cx.flow);
        let server = check_version(&client).await?;
        if self.config.is_stream() && !server.has_streams {
            return Err(
                Error::Setting("data.stream.type: the server is older than Elasticsearch 7.9".to_owned()).into()
            );
        }
        self.typed = server.major == 6;
        let mut path = "/_bulk?filter_path=errors,items.*.status,items.*.error".to_owned();
        if let Some(shards) = &self.config.active_shards {
            path.push_str(&format!("&wait_for_active_shards={shards}"));
        }
        self.sender = Some(Arc::new(Sender {
            indices: Indices::new(&self.config, server.major)?,
            client,
            lease: Arc::clone(&cx.lease),
            flow: Arc::clone(&cx.flow),
            bulk_bytes: AtomicUsize::new(self.config.bulk_bytes()),
            path,
        }));
        Ok(())
    }

    async fn open(&mut self, new: &[TopicPartition], _: &SinkContext) -> Result<BTreeMap<TopicPartition, StartAt>> {
        for partition in new {
            self.partitions.insert(partition.clone(), Arc::new(AtomicBool::new(true)));
        }
        Ok(new.iter().map(|partition| (partition.clone(), StartAt::Group)).collect())
    }

    async fn put(&mut self, batch: SinkBatch, cx: &SinkContext) -> Result<()> {
        for record in batch.records {
            self.take(record, cx).await?;
            if self.is_full(cx.buffer_max) {
                self.dispatch(cx).await?;
                while self.held >= self.records_max(cx.buffer_max) && !self.running.is_empty() {
                    self.await_one(cx).await?;
                }
            }
        }
        self.consumed.0.extend(batch.consumed.0);
        let waited = cx.clock.monotonic().saturating_sub(self.bulk_since);
        if self.running.is_empty() || waited >= self.config.linger.duration() {
            self.dispatch(cx).await?;
        }
        Ok(())
    }

    async fn close(&mut self, gone: &[TopicPartition], lost: bool) -> Result<()> {
        for partition in gone {
            if let Some(owned) = self.partitions.remove(partition)
                && lost
            {
                owned.store(false, Ordering::Release);
            }
            self.consumed.0.remove(partition);
        }
        Ok(())
    }

    async fn stop(&mut self) {
        self.running.shutdown().await;
        self.sender = None;
    }

    fn batches(&mut self) -> Option<&mut dyn AtomicBatches> {
        Some(self)
    }
}

#[async_trait]
impl IdempotentSink for EsTask {
    async fn flush(&mut self, cx: &SinkContext) -> Result<ConsumedOffsets> {
        self.dispatch(cx).await?;
        while !self.running.is_empty() {
            self.await_one(cx).await?;
        }
        let (written, already_applied) = (std::mem::take(&mut self.written), std::mem::take(&mut self.conflicts));
        debug!(written, already_applied, "flushed");
        self.delete_old_indices(cx).await;
        Ok(self.consumed.clone())
    }
}
