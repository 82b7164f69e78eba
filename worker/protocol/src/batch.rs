//! Batches: what the source of a run writes about it, and what sinks write that have made it visible.
//!
//! A source in batch mode marks every record of its run with a header and writes one row about the run in its own
//! transactions. The row says `ended`, with an offset for every partition, once everything of the run is in Kafka: **that row
//! is the batch's commit point**. A sink stages what is marked and makes it visible once all of its offsets have reached those of the row.
//! Whether that is so is a pure function of the log, so that any task may ask, at any time, as often as it likes.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Header of every record of a batch: `<id>:<attempt>`.
pub const BATCH_HEADER: &str = "flow.batch";
/// Header of a record that is no data: a batch begins, or everything of it stands before. Beside it stand [`BATCH_HEADER`]
/// and, at the end, [`BATCH_RECORDS_HEADER`]; key and value are null.
pub const BATCH_MARKER_HEADER: &str = "flow.batch.mark";
/// Header of the marker at the end: records of the whole batch.
pub const BATCH_RECORDS_HEADER: &str = "flow.batch.records";
/// The one format that is written and read.
const FORMAT: u32 = 1;

/// Which batch a record belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchMark {
    /// The batch.
    pub id: String,
    /// Which attempt at it, from 1.
    pub attempt: u32,
}

impl BatchMark {
    /// As in the header.
    pub fn text(&self) -> String {
        format!("{}:{}", self.id, self.attempt)
    }

    /// From the header.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (id, attempt) = std::str::from_utf8(bytes).ok()?.rsplit_once(':')?;
        Some(Self { id: Some(id).filter(|id| !id.is_empty())?.to_owned(), attempt: attempt.parse().ok()? })
    }
}

/// What publishing a batch does to what was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchKind {
    /// It takes the place of everything.
    Replace,
    /// It is added.
    Append,
    /// Its rows take the place of rows of the same key.
    Upsert,
}

impl BatchKind {
    /// As stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Append => "append",
            Self::Upsert => "upsert",
        }
    }
}

/// Name of the topic of a group.
pub fn batches_topic(group: &str) -> String {
    format!("{group}-batches")
}

/// How far the source has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchState {
    /// It writes.
    Open,
    /// Everything is in Kafka.
    Ended,
    /// It was given up: what is staged of it is thrown away.
    Aborted,
}

impl BatchState {
    /// As stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Ended => "ended",
            Self::Aborted => "aborted",
        }
    }
}

/// The row about a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRow {
    v: u32,
    /// The source.
    pub connector: String,
    /// The batch.
    pub id: String,
    /// Counts the batches of the source, from 1.
    pub number: u64,
    /// Which attempt, from 1; smaller ones are void.
    pub attempt: u32,
    /// What the source says that publishing does.
    pub kind: BatchKind,
    /// How far it is.
    pub state: BatchState,
    /// Records of this attempt.
    pub records: u64,
    /// By topic and partition, the offset behind the last record of the batch; known when it has ended.
    pub topics: BTreeMap<String, BTreeMap<i32, i64>>,
    /// Milliseconds since 1970 UTC.
    pub started_ms: i64,
    /// Milliseconds since 1970 UTC.
    pub ended_ms: Option<i64>,
}

impl BatchRow {
    /// The first attempt at a batch.
    pub fn new(connector: &str, number: u64, kind: BatchKind, now_ms: i64) -> Self {
        Self {
            v: FORMAT,
            connector: connector.to_owned(),
            id: format!("{connector}-{now_ms}-{number}"),
            number,
            attempt: 1,
            kind,
            state: BatchState::Open,
            records: 0,
            topics: BTreeMap::new(),
            started_ms: now_ms,
            ended_ms: None,
        }
    }

    /// What its records carry.
    pub fn mark(&self) -> BatchMark {
        BatchMark { id: self.id.clone(), attempt: self.attempt }
    }

    /// Whether offsets have passed everything of the batch. Partitions without records of it say nothing.
    pub fn is_passed(&self, offset: impl Fn(&str, i32) -> Option<i64>) -> bool {
        let passed = |topic: &str, (partition, upto): (&i32, &i64)| {
            *upto == 0 || offset(topic, *partition).is_some_and(|at| at >= *upto)
        };
        self.state == BatchState::Ended
            && self.topics.iter().all(|(topic, all)| all.iter().all(|each| passed(topic, each)))
    }
}

/// A row that says that a sink has made a batch visible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedRow {
    v: u32,
    /// The sink.
    pub sink: String,
    /// The batch.
    pub id: String,
    /// The attempt.
    pub attempt: u32,
    /// Milliseconds since 1970 UTC.
    pub time_ms: i64,
}

impl PublishedRow {
    /// A row.
    pub fn new(sink: &str, mark: &BatchMark, time_ms: i64) -> Self {
        let (sink, id) = (sink.to_owned(), mark.id.clone());
        Self { v: FORMAT, sink, id, attempt: mark.attempt, time_ms }
    }
}

/// A record of the topic of batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchRecord {
    /// About a run.
    Run(BatchRow),
    /// About a sink.
    Published(PublishedRow),
}

impl BatchRecord {
    /// Key of the record: one for each batch, one for each batch and sink.
    pub fn key(&self) -> String {
        match self {
            Self::Run(row) => format!("batch-{}", row.id),
            Self::Published(row) => format!("published-{}:{}", row.sink, row.id),
        }
    }

    /// As stored.
    pub fn value(&self) -> Vec<u8> {
        // Texts and numbers: it can always be written.
        match self {
            Self::Run(row) => serde_json::to_vec(row),
            Self::Published(row) => serde_json::to_vec(row),
        }
        .unwrap_or_default()
    }

    /// From what is stored; `None` for what is not understood.
    pub fn read(key: &[u8], value: &[u8]) -> Option<Self> {
        if key.starts_with(b"batch-") {
            let row: BatchRow = serde_json::from_slice(value).ok()?;
            return (row.v == FORMAT).then_some(Self::Run(row));
        }
        let row: PublishedRow = serde_json::from_slice(value).ok().filter(|_| key.starts_with(b"published-"))?;
        (row.v == FORMAT).then_some(Self::Published(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut row = BatchRow::new("orders-full", 3, BatchKind::Replace, 5);
        row.topics.entry("t".to_owned()).or_default().insert(2, 9);
        for record in [BatchRecord::Run(row.clone()), BatchRecord::Published(PublishedRow::new("sink", &row.mark(), 7))]
        {
            assert_eq!(BatchRecord::read(record.key().as_bytes(), &record.value()), Some(record));
        }
        assert_eq!(BatchRecord::read(b"batch-x", br#"{"v":2}"#), None);
        assert_eq!(BatchMark::parse(row.mark().text().as_bytes()), Some(row.mark()));
        for wrong in ["", "x", ":1", "a:b"] {
            assert_eq!(BatchMark::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_batch_is_passed_when_it_has_ended_and_every_partition_has_reached_its_offset() {
        let mut row = BatchRow::new("c", 1, BatchKind::Append, 0);
        row.topics.insert("t".to_owned(), BTreeMap::from([(0, 5), (1, 0)]));
        let at = |offset: i64| move |_: &str, partition: i32| (partition == 0).then_some(offset);
        assert!(!row.is_passed(at(5)), "it has not ended");
        row.state = BatchState::Ended;
        assert!(row.is_passed(at(5)) && !row.is_passed(at(4)));
        assert!(!row.is_passed(|_, _| None));
    }
}
