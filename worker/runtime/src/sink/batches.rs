//! Atomic batches at a sink: records of a batch are staged with the sink's ordinary commits, and all of it becomes visible at
//! once when the group has passed everything that the source has written of it.
//!
//! Whether that is so stands in Kafka and nowhere else: the source's row names an offset for every partition, the group's
//! offsets say what is staged for good. Task 0 asks and publishes; it needs no partition of its own for that. Publishing is
//! repeatable, so a crash before the row `published` is written publishes again, which changes nothing.
use super::cycle::{Cycle, Kind};
use super::intake::Gathered;
use super::pending::{pending, shown};
use crate::batches::{BatchTable, Batches as Rows};
use crate::error::{Doing, TaskError};
use crate::failpoint::failpoint;
use crate::pipeline::parsed;
use crate::source::kind_of;
use crate::supervise::Supervision;
use elasticflow_api::position::{BatchId, ConsumedOffsets, Offset, TopicPartition};
use elasticflow_api::sink::{Announced, BatchPart, PublishKind, Published};
use elasticflow_config::flow::{BatchPublish, BatchSettings, settings_of};
use elasticflow_kafka::ports::{ClientProperties, OutRecord, Producer, SendError};
use elasticflow_protocol::{
    BATCH_HEADER, BatchKind, BatchMark, BatchRecord, BatchRow, BatchState, PublishedRow, batches_topic,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How often task 0 looks whether a batch is complete.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// An attempt behind every attempt: the batch was given up.
const VOID: u32 = u32::MAX;

/// Batches of one task.
pub(super) struct Batches {
    /// What the sink says that publishing does.
    kind: Option<BatchKind>,
    /// What the destination can do.
    kinds: &'static [PublishKind],
    /// Replaced versions that stay.
    keep: usize,
    table: Arc<BatchTable>,
    producer: Box<dyn Producer>,
    /// Attempts that count, by batch.
    attempts: BTreeMap<String, u32>,
    topic: String,
    /// What was said of a batch that is not complete.
    said: Option<String>,
    /// Batches that were given up, and whose staging this instance has thrown away.
    dropped: BTreeSet<String>,
}

/// What there is to do.
struct Due {
    /// Complete, oldest first.
    complete: Vec<BatchRow>,
    /// Given up.
    aborted: Vec<String>,
}

impl Batches {
    /// Of a sink that publishes atomically; `kinds`: what the destination can do.
    pub(super) async fn new(task: &Supervision, kinds: &'static [PublishKind]) -> Result<Option<Self>, TaskError> {
        let keys: BatchSettings = parsed(&settings_of(&task.spec.properties, &task.services.options.worker))?;
        if keys.publish == BatchPublish::Progressive {
            return Ok(None);
        }
        let table = task.services.batches().await?;
        let id = format!("connector-batches-{}", task.spec.id);
        let client: ClientProperties = BTreeMap::from([("client.id".to_owned(), id)]);
        let producer = task.services.options.kafka.producer(&client).doing("making a producer of batch rows")?;
        let topic = batches_topic(&task.services.options.group);
        let kind = keys.kind.map(kind_of);
        let batches = Self {
            kind,
            kinds,
            keep: keys.keep,
            table,
            producer,
            attempts: BTreeMap::new(),
            topic,
            said: None,
            dropped: BTreeSet::new(),
        };
        if let Some(kind) = batches.kind {
            batches.possible(kind)?;
        }
        Ok(Some(batches))
    }

    /// What publishing does, if the destination can.
    fn possible(&self, kind: BatchKind) -> Result<PublishKind, TaskError> {
        let kind = match kind {
            BatchKind::Replace => PublishKind::Replace,
            BatchKind::Append => PublishKind::Append,
            BatchKind::Upsert => PublishKind::Upsert,
        };
        if self.kinds.contains(&kind) {
            return Ok(kind);
        }
        let can: Vec<&str> = self.kinds.iter().map(|kind| kind.word()).collect();
        let wrong = match can.is_empty() {
            true => "this sink cannot publish a batch as a whole with this configuration; set flow.batch.publish=progressive".to_owned(),
            false => format!("this sink cannot publish a batch with flow.batch.kind={}; it can {}", kind.word(), can.join(", ")),
        };
        Err(TaskError::Config(format!("BATCH_NOT_ATOMIC: {wrong}")))
    }

    /// The attempt at a batch that counts: what the source's row says.
    async fn attempt(&mut self, mark: &BatchMark, task: &Supervision) -> Result<u32, TaskError> {
        if let Some(known) = self.attempts.get(&mark.id).filter(|known| **known >= mark.attempt) {
            return Ok(*known);
        }
        self.table.read_to_end().await?;
        let rows = self.table.batches()?;
        let row = rows.runs.iter().find(|row| row.id == mark.id);
        if let Some(row) = row {
            self.possible(self.kind.unwrap_or(row.kind))?;
        }
        let attempt = match row {
            Some(row) if row.state == BatchState::Aborted => VOID,
            Some(row) => row.attempt.max(mark.attempt),
            None => mark.attempt,
        };
        self.attempts.insert(mark.id.clone(), attempt);
        let sink = &*task.spec.id.connector;
        if attempt == mark.attempt && rows.published.iter().any(|row| row.sink == sink && row.id == mark.id) {
            // Offsets were set back: the batch is staged again, and is to be published again.
            let forgotten = BatchRecord::Published(PublishedRow::new(sink, mark, 0));
            self.write(&forgotten.key(), None).await?;
        }
        Ok(attempt)
    }

    async fn write(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), TaskError> {
        let doing = "writing what became of a batch";
        let key = Some(key.as_bytes());
        let record = OutRecord { topic: &self.topic, partition: Some(0), key, value, headers: &[], timestamp_ms: None };
        loop {
            match self.producer.send(record) {
                Ok(_) => return self.producer.drain().await.doing(doing),
                Err(SendError::Full) => self.producer.room().await.doing(doing)?,
                Err(SendError::Kafka(source)) => return Err(TaskError::Kafka { doing, source }),
            }
        }
    }

    /// Batches that are complete and not published by this sink, oldest first.
    async fn due(&mut self, task: &Supervision, group: &str) -> Result<Due, TaskError> {
        self.table.read_recently(|| task.services.options.clock.monotonic()).await?;
        let rows = self.table.batches()?;
        let aborted = rows.runs.iter().filter(|row| row.state == BatchState::Aborted).map(|row| row.id.clone());
        let aborted: Vec<String> = aborted.filter(|id| !self.dropped.contains(id)).collect();
        self.attempts.extend(aborted.iter().map(|id| (id.clone(), VOID)));
        let complete = if task.spec.id.task.0 == 0 { self.complete(&rows, task, group).await? } else { Vec::new() };
        Ok(Due { complete, aborted })
    }

    async fn complete(&mut self, rows: &Rows, task: &Supervision, group: &str) -> Result<Vec<BatchRow>, TaskError> {
        let sink = &*task.spec.id.connector;
        let done: BTreeSet<&str> = rows.published.iter().filter(|r| r.sink == sink).map(|r| r.id.as_str()).collect();
        let is_open = |row: &&BatchRow| row.state != BatchState::Aborted && !done.contains(row.id.as_str());
        let open: Vec<&BatchRow> = rows.runs.iter().filter(is_open).collect();
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let at = task.services.options.kafka.admin().group_offsets(group).await.doing("reading group offsets")?;
        let offset = |topic: &str, partition: i32| {
            at.get(&TopicPartition { topic: topic.into(), partition }).map(|Offset(offset)| *offset)
        };
        let mut due = Vec::new();
        let mut waiting: BTreeSet<&str> = BTreeSet::new();
        for row in open {
            // A source's batches are published in their order.
            if waiting.contains(row.connector.as_str()) || !row.is_passed(offset) {
                waiting.insert(row.connector.as_str());
                continue;
            }
            due.push(row.clone());
        }
        Ok(due)
    }
}

/// A part of what was gathered, all of one batch.
pub(super) struct Marked {
    pub(super) mark: Option<BatchMark>,
    pub(super) gathered: Gathered,
}

impl Cycle {
    /// Splits by batch, each partition in its order; without atomic batches nothing is split.
    pub(super) fn split_by_batch(&self, gathered: Gathered) -> Vec<Marked> {
        if self.batches.is_none() {
            return vec![Marked { mark: None, gathered }];
        }
        let mut parts: Vec<Marked> = Vec::new();
        for (at, records) in gathered.into_parts() {
            for record in records {
                let header = record.headers.iter().rev().find(|(name, _)| &**name == BATCH_HEADER);
                let mark = header.and_then(|(_, value)| BatchMark::parse(value.as_ref()?));
                let part = match parts.iter().position(|part| part.mark == mark) {
                    Some(found) => found,
                    None => {
                        parts.push(Marked { mark, gathered: Gathered::default() });
                        parts.len() - 1
                    }
                };
                if let Some(part) = parts.get_mut(part) {
                    part.gathered.push(&at, record);
                }
            }
        }
        parts
    }

    /// Directs the next put to the staging of its batch; false when the attempt is void and its records are passed over.
    pub(super) async fn stage(
        &mut self,
        mark: Option<&BatchMark>,
        gathered: &Gathered,
        consumed: &ConsumedOffsets,
    ) -> Result<bool, TaskError> {
        let task = Arc::clone(&self.task);
        let Some(batches) = &mut self.batches else { return Ok(true) };
        let Some(mark) = mark else {
            let Some((at, offset)) = gathered.first() else { return Ok(true) };
            return Err(TaskError::Definite(format!(
                "FOREIGN_RECORD: {}-{} offset {} belongs to no batch, and flow.batch.publish=atomic takes batches alone; give the source flow.batch.mode=run, or the records a topic of their own",
                at.topic, at.partition, offset.0
            )));
        };
        if batches.attempt(mark, &task).await? > mark.attempt {
            return Ok(false);
        }
        let batch = BatchId(mark.id.as_str().into());
        let part = BatchPart { batch, attempt: mark.attempt, records: gathered.counted(consumed) };
        let Some(sink) = self.sink.task().batches() else { return Err(not_atomic()) };
        sink.stage(&part).await?;
        failpoint!("sink.batch.staged");
        Ok(true)
    }

    /// Publishes what is complete. Called often; does nothing most of the time.
    pub(super) async fn publish_due(&mut self) -> Result<(), TaskError> {
        let task = Arc::clone(&self.task);
        let Some(batches) = self.batches.as_mut().filter(|_| !task.is_paused()) else { return Ok(()) };
        let due = batches.due(&task, &self.settings.group).await?;
        for id in due.aborted {
            self.give_up(id).await?;
        }
        for row in due.complete {
            self.publish(&row).await?;
        }
        Ok(())
    }

    /// Throws away what is staged of a batch. Every task does so once it stages nothing more of it itself.
    async fn give_up(&mut self, id: String) -> Result<(), TaskError> {
        // What waits in buffers, or is decided, would come to the staging later.
        self.commit().await?;
        if let Kind::TwoPhase(two_phase) = &mut self.sink {
            two_phase.commit_all().await?;
        }
        let Some(sink) = self.sink.task().batches() else { return Err(not_atomic()) };
        failpoint!("sink.batch.drop.before");
        sink.drop_staged(&BatchId(id.as_str().into())).await?;
        tracing::info!(task = %self.task.spec.id, batch = id, "the batch was given up; what was staged of it is gone");
        if let Some(batches) = &mut self.batches {
            batches.dropped.insert(id);
        }
        Ok(())
    }

    async fn publish(&mut self, row: &BatchRow) -> Result<(), TaskError> {
        let task = Arc::clone(&self.task);
        let Some(batches) = &self.batches else { return Ok(()) };
        let (kind, keep) = (batches.possible(batches.kind.unwrap_or(row.kind))?, batches.keep);
        if let Kind::TwoPhase(two_phase) = &mut self.sink {
            // What is decided is staged once it is committed, and whoever decided it may have died before.
            two_phase.commit_all().await?;
        }
        let Some(sink) = self.sink.task().batches() else { return Err(not_atomic()) };
        let batch = BatchId(row.id.as_str().into());
        let batch = Announced { batch, attempt: row.attempt, records: row.records, keep };
        failpoint!("sink.batch.publish.before");
        let published = shown(&task, &self.flow, "publishing a batch", sink.publish(&batch, kind)).await?;
        failpoint!("sink.batch.publish.after");
        if let Published::Incomplete { staged } = published {
            let text = format!(
                "batch {}: {staged} of its {} records are staged, and nothing is visible before all are",
                row.id, row.records
            );
            self.say(text);
            return Ok(());
        }
        if self.batches.as_mut().is_some_and(|batches| batches.said.take().is_some()) {
            task.report_target();
        }
        let is_new = published == Published::Now;
        tracing::info!(task = %task.spec.id, batch = row.id, records = row.records, is_new, "the batch is published");
        let now = task.services.options.clock.wall_ms();
        let record = BatchRecord::Published(PublishedRow::new(&task.spec.id.connector, &row.mark(), now));
        if let Some(batches) = &mut self.batches {
            batches.write(&record.key(), Some(&record.value())).await?;
        }
        failpoint!("sink.batch.published");
        Ok(())
    }
}

impl Cycle {
    /// Shows why a batch is not published yet, once for each reason.
    fn say(&mut self, text: String) {
        let Some(batches) = self.batches.as_mut().filter(|batches| batches.said.as_ref() != Some(&text)) else {
            return;
        };
        tracing::warn!(task = %self.task.spec.id, "{text}");
        self.task.report(pending(&text));
        batches.said = Some(text);
    }
}

fn not_atomic() -> TaskError {
    TaskError::Config(
        "BATCH_NOT_ATOMIC: this sink cannot publish a batch as a whole; set flow.batch.publish=progressive".to_owned(),
    )
}
