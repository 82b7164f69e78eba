//! The marks of a run: a header on every record, and a row that says when all of them are in Kafka.
//!
//! `flow.batch.mode=run` makes a run of a bounded source one batch. Header and row are written in the data's own
//! transactions, so a run that is killed goes on in the same batch from the position that the row belongs to. A run whose
//! positions are gone begins again as the next attempt, and what the one before wrote is void.
//!
//! For readers that know nothing of the row, `flow.batch.markers` also writes where a batch begins and ends into every
//! partition of its topics, as records with headers alone.
use super::transaction::{Refused, Transaction};
use crate::batches::Batches;
use crate::error::{Doing, TaskError};
use crate::pipeline::parsed;
use crate::supervise::Supervision;
use bytes::Bytes;
use elasticflow_api::context::Limits;
use elasticflow_api::position::{Offset, TopicPartition};
use elasticflow_config::flow::{BatchAction, BatchMode, BatchSettings, settings_of};
use elasticflow_kafka::ports::{Admin, Kafka, OutRecord};
use elasticflow_protocol::{
    BATCH_HEADER, BATCH_MARKER_HEADER, BATCH_RECORDS_HEADER, BatchKind, BatchRecord, BatchRow, BatchState,
    batches_topic,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Records looked at first for the last one of a partition: behind it stand the ends of transactions alone.
const LAST_AMONG: i64 = 64;
/// Time between two looks at a partition that hides something.
const HIDDEN_WAIT: Duration = Duration::from_millis(200);
/// Most bytes of one look.
const LOOK_BYTES: usize = 8 << 20;

/// A batch that some sink has not published yet may be waited for so long.
const WAITED_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// Batches that are forgotten with one that ends: each of them is looked for in the topics.
const FORGOTTEN_MAX: usize = 16;

/// The batch of one task.
pub(super) struct Marks {
    task: Arc<Supervision>,
    kind: BatchKind,
    /// Topics that have been told where the batch begins; nothing is told without `flow.batch.markers`.
    begun: Option<BTreeSet<String>>,
    /// Of the batches before.
    number: u64,
    /// The batch that is being written.
    row: Option<BatchRow>,
    header: Option<Bytes>,
}

impl Marks {
    /// Of a source that marks its runs; `resumes`: positions are stored.
    pub(super) async fn new(
        task: &Arc<Supervision>,
        exactly_once: bool,
        resumes: bool,
    ) -> Result<Option<Self>, TaskError> {
        let settings = settings_of(&task.spec.properties, &task.services.options.worker);
        let keys: BatchSettings = parsed(&settings)?;
        if keys.mode == BatchMode::None {
            return Ok(None);
        }
        if !exactly_once {
            let text = "flow.batch.mode=run needs an exactly-once source: the marks stand in the transactions of the records; set exactly.once.source.support=enabled in the worker's configuration and choose a connector that gives it";
            return Err(TaskError::Config(text.to_owned()));
        }
        if task.spec.tasks > 1 {
            let text = "flow.batch.mode=run needs tasks.max=1: one task says when the run is complete";
            return Err(TaskError::Config(text.to_owned()));
        }
        let table = task.services.batches().await?;
        table.read_to_end().await?;
        let connector = &*task.spec.id.connector;
        let rows = table.batches()?;
        let of = rows.runs.iter().filter(|row| row.connector == connector);
        let last = of.max_by_key(|row| row.number).cloned();
        let number = last.as_ref().map_or(0, |row| row.number);
        if let Some(row) = last.as_ref().filter(|row| row.state == BatchState::Aborted && row.records > 0 && resumes) {
            let text = format!(
                "batch {} was given up in the middle of its run; delete the offsets of the stopped connector, so that its next run is a whole one",
                row.id
            );
            return Err(TaskError::Definite(text));
        }
        let mut marks = Self {
            task: Arc::clone(task),
            kind: kind_of(keys.kind.unwrap_or(BatchAction::Append)),
            begun: keys.markers.then(BTreeSet::new),
            number,
            row: None,
            header: None,
        };
        if let Some(mut row) = last.filter(|row| row.state == BatchState::Open) {
            if !resumes && row.records > 0 {
                row.attempt += 1;
                row.records = 0;
                row.topics.clear();
            }
            tracing::info!(task = %task.spec.id, batch = row.id, attempt = row.attempt, "the run goes on in its batch");
            marks.adopt(row);
        }
        Ok(Some(marks))
    }

    /// Whether a batch is under way.
    pub(super) fn is_open(&self) -> bool {
        self.row.is_some()
    }

    fn adopt(&mut self, row: BatchRow) {
        if let Some(begun) = &mut self.begun {
            // A topic stands in the row once the records with its beginning are committed.
            *begun = row.topics.keys().cloned().collect();
        }
        self.header = Some(Bytes::from(row.mark().text()));
        self.row = Some(row);
    }

    /// The header of the next record; the first one opens a batch.
    pub(super) fn header(&mut self, topic: &str) -> (&'static str, Bytes) {
        if self.row.is_none() {
            self.number += 1;
            let now = self.task.services.options.clock.wall_ms();
            let row = BatchRow::new(&self.task.spec.id.connector, self.number, self.kind, now);
            tracing::info!(task = %self.task.spec.id, batch = row.id, "a batch begins");
            self.adopt(row);
        }
        if let Some(row) = self.row.as_mut().filter(|row| !row.topics.contains_key(topic)) {
            row.topics.insert(topic.to_owned(), Default::default());
        }
        (BATCH_HEADER, self.header.clone().unwrap_or_default())
    }

    /// Whether a topic is still to be told where the batch begins.
    pub(super) fn is_to_begin(&self, topic: &str) -> bool {
        self.begun.as_ref().is_some_and(|begun| !begun.contains(topic))
    }

    /// Tells every partition of a topic that the batch begins, in the open transaction.
    pub(super) async fn begin_in(&mut self, topic: &str, transaction: &mut Transaction) -> Result<(), TaskError> {
        let headers = self.marker("begin", None);
        send_markers(&self.task, topic, &headers, transaction).await?;
        if let Some(begun) = &mut self.begun {
            begun.insert(topic.to_owned());
        }
        Ok(())
    }

    /// The open transaction is thrown away, and with it what was told in it.
    pub(super) fn rolled_back(&mut self) {
        if let Some(begun) = &mut self.begun {
            begun.clear();
        }
    }

    fn marker(&self, which: &'static str, records: Option<u64>) -> Vec<(Arc<str>, Option<Bytes>)> {
        let records = records.map(|count| (BATCH_RECORDS_HEADER.into(), Some(Bytes::from(count.to_string()))));
        let own = [(BATCH_HEADER.into(), self.header.clone()), (BATCH_MARKER_HEADER.into(), Some(which.into()))];
        own.into_iter().chain(records).collect()
    }

    /// Writes the row into the open transaction.
    pub(super) async fn write(&mut self, records: usize, transaction: &mut Transaction) -> Result<(), TaskError> {
        let Some(row) = &mut self.row else { return Ok(()) };
        row.records += records as u64;
        let record = BatchRecord::Run(row.clone());
        send(&self.task, &record, transaction).await
    }

    /// Everything of the run is in Kafka: says so. A run without records is no batch.
    pub(super) async fn end(&mut self, transaction: &mut Transaction) -> Result<(), TaskError> {
        let Some(mut row) = self.row.take() else { return Ok(()) };
        if self.begun.is_some() {
            // Before the offsets are looked up: a sink then has all of them behind it when it publishes.
            let headers = self.marker("end", Some(row.records));
            for topic in row.topics.keys() {
                send_markers(&self.task, topic, &headers, transaction).await?;
            }
            transaction.commit(&Default::default()).await?;
        }
        self.header = None;
        let kafka = &self.task.services.options.kafka;
        let known = partitions(kafka.admin().as_ref(), &row).await?;
        for (topic, ends) in &mut row.topics {
            for partition in 0..known.get(topic).copied().unwrap_or(0) {
                let at = TopicPartition { topic: topic.as_str().into(), partition };
                ends.insert(partition, behind_last(&self.task, &at).await?);
            }
        }
        row.state = BatchState::Ended;
        row.ended_ms = Some(self.task.services.options.clock.wall_ms());
        tracing::info!(task = %self.task.spec.id, batch = row.id, records = row.records, "the batch is complete");
        // Before the transaction opens: the end of the topic is not reached while one is open in it.
        let forgotten = self.gone().await?;
        send(&self.task, &BatchRecord::Run(row), transaction).await?;
        for key in forgotten {
            send_row(&self.task, &key, None, transaction).await?;
        }
        transaction.commit(&Default::default()).await
    }

    /// Keys of the rows about batches before this one whose records nobody can meet any more.
    async fn gone(&self) -> Result<Vec<String>, TaskError> {
        let table = self.task.services.batches().await?;
        table.read_to_end().await?;
        let rows = table.batches()?;
        let connector = &*self.task.spec.id.connector;
        let own = rows.runs.iter().filter(|row| row.connector == connector && row.number < self.number);
        let mut gone: Vec<&BatchRow> = Vec::new();
        for row in own.take(FORGOTTEN_MAX) {
            let is_gone = match row.state {
                BatchState::Open => false,
                // It does not say where it ends, and is gone once a later one is.
                BatchState::Aborted => true,
                BatchState::Ended => self.is_waited_for_no_more(row, &rows) && self.is_gone(row).await?,
            };
            if !is_gone {
                break;
            }
            gone.push(row);
        }
        while gone.pop_if(|row| row.state == BatchState::Aborted).is_some() {}
        let mut keys = Vec::new();
        for row in gone {
            tracing::info!(task = %self.task.spec.id, batch = row.id, "a batch whose records are gone is forgotten");
            let told = rows.published.iter().filter(|told| told.id == row.id).cloned();
            keys.extend(told.map(|told| BatchRecord::Published(told).key()));
            keys.push(BatchRecord::Run(row.clone()).key());
        }
        Ok(keys)
    }

    /// Every sink that publishes batches of this source has published it, and one that never has would have by now.
    fn is_waited_for_no_more(&self, row: &BatchRow, rows: &Batches) -> bool {
        let now = self.task.services.options.clock.wall_ms();
        let age = row.ended_ms.map_or(0, |ended| now.saturating_sub(ended));
        let of = |id: &str| rows.runs.iter().any(|run| run.id == id && run.connector == row.connector);
        let sinks: BTreeSet<&str> =
            rows.published.iter().filter(|told| of(&told.id)).map(|told| told.sink.as_str()).collect();
        let has = |sink: &&str| rows.published.iter().any(|told| told.sink == **sink && told.id == row.id);
        u128::try_from(age).is_ok_and(|age| age >= WAITED_FOR.as_millis()) && sinks.iter().all(has)
    }

    /// Whether retention has removed its records from every topic.
    async fn is_gone(&self, row: &BatchRow) -> Result<bool, TaskError> {
        let kafka = &self.task.services.options.kafka;
        let known = partitions(kafka.admin().as_ref(), row).await?;
        for (topic, ends) in row.topics.iter().filter(|(topic, _)| known.contains_key(*topic)) {
            let at = |partition: i32| TopicPartition { topic: topic.as_str().into(), partition };
            let with: Vec<_> = ends.iter().filter(|(_, end)| **end > 0).map(|(partition, _)| at(*partition)).collect();
            let begins = kafka.admin().begin_offsets(&with).await.doing("reading where partitions begin")?;
            let is_there =
                |(partition, end): (&i32, &i64)| begins.get(&at(*partition)).is_none_or(|begin| begin.0 < *end);
            if ends.iter().filter(|(_, end)| **end > 0).any(is_there) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Partitions of the topics of a batch.
async fn partitions(admin: &dyn Admin, row: &BatchRow) -> Result<BTreeMap<String, i32>, TaskError> {
    let topics: Vec<String> = row.topics.keys().cloned().collect();
    admin.partitions(&topics).await.doing("looking topics up")
}

/// What publishing does, as it is told to sinks.
pub(crate) fn kind_of(action: BatchAction) -> BatchKind {
    match action {
        BatchAction::Append => BatchKind::Append,
        BatchAction::Upsert => BatchKind::Upsert,
        BatchAction::Replace => BatchKind::Replace,
    }
}

/// Writes a record of headers alone into every partition of a topic.
async fn send_markers(
    task: &Supervision,
    topic: &str,
    headers: &[(Arc<str>, Option<Bytes>)],
    transaction: &mut Transaction,
) -> Result<(), TaskError> {
    let admin = task.services.options.kafka.admin();
    let Some(partitions) = admin.partitions_of(topic).await.doing("looking a topic up")? else {
        return Err(TaskError::Config(format!(
            "flow.batch.markers=true writes into every partition of {topic}, which is not there yet; create the topic, or set topic.creation.default.partitions"
        )));
    };
    for partition in 0..partitions {
        let partition = Some(partition);
        let out = OutRecord { topic, partition, key: None, value: None, headers, timestamp_ms: None };
        transaction.send(out).await.map_err(|refused| match refused {
            Refused::Record(reason) => {
                TaskError::Definite(format!("the marker of a batch cannot be written into {topic}: {reason}"))
            }
            Refused::Task(error) => error,
        })?;
    }
    Ok(())
}

async fn send(task: &Supervision, record: &BatchRecord, transaction: &mut Transaction) -> Result<(), TaskError> {
    send_row(task, &record.key(), Some(&record.value()), transaction).await
}

async fn send_row(
    task: &Supervision,
    key: &str,
    value: Option<&[u8]>,
    transaction: &mut Transaction,
) -> Result<(), TaskError> {
    let (topic, key) = (batches_topic(&task.services.options.group), Some(key.as_bytes()));
    let out = OutRecord { topic: &topic, partition: Some(0), key, value, headers: &[], timestamp_ms: None };
    transaction.send(out).await.map_err(|refused| match refused {
        Refused::Record(reason) => TaskError::Definite(format!("the row of a batch cannot be written: {reason}")),
        Refused::Task(error) => error,
    })
}

/// The offset behind the last record of a partition: its end without the marks of transactions. Waits while the open
/// transaction of another producer hides what stands behind its beginning.
async fn behind_last(task: &Supervision, at: &TopicPartition) -> Result<i64, TaskError> {
    let options = &task.services.options;
    let ends = options.kafka.admin().end_offsets(std::slice::from_ref(at)).await.doing("reading end offsets")?;
    let end = ends.get(at).map_or(0, |end| end.0);
    loop {
        if let Some(last) = last_below(options.kafka.as_ref(), at, end).await? {
            return Ok(last);
        }
        options.clock.sleep(HIDDEN_WAIT).await;
    }
}

/// `None`: something below the end cannot be seen yet.
async fn last_below(kafka: &dyn Kafka, at: &TopicPartition, end: i64) -> Result<Option<i64>, TaskError> {
    let max = Limits { records: usize::try_from(LAST_AMONG).unwrap_or(1), bytes: LOOK_BYTES };
    if end == 0 {
        return Ok(Some(0));
    }
    let mut window = LAST_AMONG;
    loop {
        let begin = (end - window).max(0);
        let (mut from, mut last) = (Some(Offset(begin)).filter(|from| from.0 > 0), None);
        loop {
            let page = kafka.read(at, from, max).await.doing("looking for the last record of a partition")?;
            last = page.records.last().map(|record| record.offset.0 + 1).or(last);
            if page.next.0 >= end {
                break;
            }
            if page.is_end {
                return Ok(None);
            }
            from = Some(page.next);
        }
        if last.is_some() {
            return Ok(last);
        }
        if begin == 0 {
            return Ok(Some(0));
        }
        window = window.saturating_mul(64);
    }
}
