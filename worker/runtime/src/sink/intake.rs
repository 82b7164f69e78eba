//! From what was consumed to what is put: decoding, transforms, rejected records.
use super::rejects::Rejects;
use super::replay;
use crate::error::TaskError;
use crate::pipeline::{Decoder, Retry, Stopped, Tolerance, Transforms};
use crate::supervise::Supervision;
use elasticflow_api::data::{Origin, Record};
use elasticflow_api::position::{ConsumedOffsets, Offset, TopicPartition};
use elasticflow_api::sink::{SinkBatch, SinkRecord};
use elasticflow_kafka::ports::InRecord;
use elasticflow_protocol::BATCH_MARKER_HEADER;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Records between two points where other tasks of the process may run.
const YIELD_EVERY: usize = 256;

/// Whether bad records are met for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judging {
    /// They go to the error policy.
    First,
    /// They were judged when the batch they belong to was put as a whole.
    Before,
}

/// Records as they were consumed, in order per partition. A clone shares keys and values.
#[derive(Default, Clone)]
pub(super) struct Gathered {
    parts: Vec<(TopicPartition, Vec<InRecord>)>,
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Gathered {
    pub(super) fn add(&mut self, at: TopicPartition, records: Vec<InRecord>) {
        self.records += records.len();
        self.bytes += records.iter().map(size).sum::<usize>();
        self.parts.push((at, records));
    }

    /// Adds what was consumed after this.
    pub(super) fn append(&mut self, later: Self) {
        self.records += later.records;
        self.bytes += later.bytes;
        self.parts.extend(later.parts);
    }

    /// Drops the records of partitions.
    pub(super) fn forget(&mut self, gone: &[TopicPartition]) {
        for (at, records) in std::mem::take(&mut self.parts) {
            if gone.contains(&at) {
                self.records -= records.len();
                self.bytes -= records.iter().map(size).sum::<usize>();
            } else {
                self.parts.push((at, records));
            }
        }
    }

    /// The only record of a batch that cannot be halved.
    pub(super) fn only(&self, replays: &str) -> Option<Origin> {
        let (at, records) = self.parts.first().filter(|_| self.records == 1)?;
        let record = records.first()?.clone();
        if *at.topic == *replays { replay::origin(at, record).ok().flatten() } else { Some(origin(at, record)) }
    }

    /// Adds one record.
    pub(super) fn push(&mut self, at: &TopicPartition, record: InRecord) {
        self.records += 1;
        self.bytes += size(&record);
        match self.parts.last_mut() {
            Some((last, records)) if last == at => records.push(record),
            _ => self.parts.push((at.clone(), vec![record])),
        }
    }

    /// Where its first record stands.
    pub(super) fn first(&self) -> Option<(&TopicPartition, Offset)> {
        let (at, records) = self.parts.first()?;
        Some((at, records.first()?.offset))
    }

    /// How many records of each partition stand below offsets; what only says where a batch begins or ends is none.
    pub(super) fn counted(&self, below: &ConsumedOffsets) -> BTreeMap<TopicPartition, u64> {
        let mut counts = BTreeMap::new();
        for (at, records) in &self.parts {
            let Some(next) = below.0.get(at) else { continue };
            let count = records.iter().filter(|record| record.offset < *next && !is_marker(record)).count();
            *counts.entry(at.clone()).or_default() += count as u64;
        }
        counts
    }

    /// Everything, by partition.
    pub(super) fn into_parts(self) -> Vec<(TopicPartition, Vec<InRecord>)> {
        self.parts
    }

    /// Takes the first records, as many as one put may have; at least one if there is any.
    pub(super) fn take(&mut self, records_max: usize, bytes_max: usize) -> Self {
        if self.records <= records_max && self.bytes <= bytes_max {
            return std::mem::take(self);
        }
        let mut first = Self::default();
        for (at, records) in std::mem::take(&mut self.parts) {
            let fits = records.iter().scan((first.records, first.bytes), |(n, bytes), r| {
                (*n, *bytes) = (*n + 1, *bytes + size(r));
                Some(*n == 1 || *n <= records_max && *bytes <= bytes_max)
            });
            // Once one record is left behind, everything after it is, too: the order of a partition is kept.
            let count = if self.parts.is_empty() { fits.take_while(|fits| *fits).count() } else { 0 };
            let mut now = records;
            let later = now.split_off(count);
            if !now.is_empty() {
                first.add(at.clone(), now);
            }
            if !later.is_empty() {
                self.parts.push((at, later));
            }
        }
        self.records -= first.records;
        self.bytes -= first.bytes;
        first
    }
}

/// Whether a record is no data, but says where a batch begins or ends.
fn is_marker(record: &InRecord) -> bool {
    let is_empty = record.key.is_none() && record.value.is_none();
    is_empty && record.headers.iter().any(|(name, _)| &**name == BATCH_MARKER_HEADER)
}

fn size(record: &InRecord) -> usize {
    record.key.as_ref().map_or(0, |k| k.len()) + record.value.as_ref().map_or(0, |v| v.len())
}

/// Turns consumed records into batches.
pub(super) struct Intake {
    pub(super) task: Arc<Supervision>,
    pub(super) decoder: Decoder,
    pub(super) transforms: Transforms,
    pub(super) tolerance: Tolerance,
    pub(super) rejects: Arc<Rejects>,
    /// Topic of dead letters that are put again.
    pub(super) replays: Arc<str>,
}

impl Intake {
    /// Decodes and transforms. Rejected and filtered records are left out, their offsets are not. What stands behind a
    /// record that the error budget has not allowed is not read at all.
    pub(super) async fn batch(&self, gathered: Gathered, judging: Judging) -> Result<SinkBatch, TaskError> {
        let mut records = Vec::with_capacity(gathered.records);
        let mut consumed = ConsumedOffsets::default();
        for (at, mut part) in gathered.parts {
            if let Some(stop) = self.task.budget.stop_of(&at) {
                self.rejects.met_stop(part.iter().any(|record| record.offset >= stop));
                part.retain(|record| record.offset < stop);
            }
            if let Some(last) = part.last() {
                consumed.0.insert(at.clone(), Offset(last.offset.0 + 1));
            }
            part.retain(|record| !is_marker(record));
            if judging == Judging::First {
                self.task.budget.share.read(&at, part.iter().map(|record| record.offset.0));
            }
            let is_replay = *at.topic == *self.replays;
            for (n, record) in part.into_iter().enumerate() {
                if n % YIELD_EVERY == YIELD_EVERY - 1 {
                    tokio::task::yield_now().await;
                }
                let origin = if is_replay { replay::origin(&at, record)? } else { Some(origin(&at, record)) };
                let Some(origin) = origin else { continue };
                match self.read(&origin) {
                    Ok(Some(record)) => records.push(SinkRecord { record, origin }),
                    Ok(None) => {}
                    // Seldom, and large: not a part of the loop's own state.
                    Err(stopped) => records.extend(Box::pin(self.stopped(origin, stopped, judging)).await?),
                }
            }
        }
        Ok(SinkBatch { records, consumed })
    }

    /// Decodes and transforms a record; none if a transform drops it.
    fn read(&self, origin: &Origin) -> Result<Option<Record>, Stopped> {
        let record = self.decoder.decode(origin)?;
        if self.transforms.is_empty() {
            return Ok(Some(record));
        }
        self.transforms.apply(record, Some(origin.place().1)).map_err(Stopped::Failed)
    }

    /// What becomes of a record that could not be read at once.
    async fn stopped(&self, origin: Origin, why: Stopped, judging: Judging) -> Result<Option<SinkRecord>, TaskError> {
        let mut why = why;
        loop {
            match why {
                Stopped::Failed(_) if judging == Judging::Before => return Ok(None),
                Stopped::Failed(failed) => return self.rejects.unread(&origin, failed).await.map(|()| None),
                Stopped::Need { is_key, need } => {
                    let retry =
                        Retry::new(self.tolerance.keys(), &self.task.services.options.clock, &self.task.metrics);
                    self.decoder.converters().resolve(&origin.place().0.topic, is_key, &need, retry).await?;
                }
            }
            match self.read(&origin) {
                Ok(record) => return Ok(record.map(|record| SinkRecord { record, origin })),
                Err(again) => why = again,
            }
        }
    }
}

fn origin(at: &TopicPartition, record: InRecord) -> Origin {
    Origin {
        at: at.clone(),
        offset: record.offset,
        key: record.key,
        value: record.value,
        headers: record.headers,
        timestamp_ms: record.timestamp_ms,
        replay: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(parts: &[(i32, std::ops::Range<i64>)]) -> Gathered {
        let mut all = Gathered::default();
        for (partition, offsets) in parts {
            let at = TopicPartition { topic: "t".into(), partition: *partition };
            let record = |n| InRecord {
                offset: Offset(n),
                timestamp_ms: None,
                key: None,
                value: Some(bytes::Bytes::from_static(b"0123456789")),
                headers: elasticflow_api::data::RawHeaders::default(),
            };
            all.add(at, offsets.clone().map(record).collect());
        }
        all
    }

    fn shape(of: &Gathered) -> Vec<(i32, Vec<i64>)> {
        of.parts.iter().map(|(at, records)| (at.partition, records.iter().map(|r| r.offset.0).collect())).collect()
    }

    #[test]
    fn no_put_is_larger_than_its_limits_and_the_order_is_kept() {
        let mut all = gathered(&[(0, 0..3), (1, 0..3), (0, 3..4)]);
        assert_eq!(shape(&all.take(4, 1000)), [(0, vec![0, 1, 2]), (1, vec![0])]);
        assert_eq!((all.records, all.bytes), (3, 30));
        assert_eq!(shape(&all.take(4, 20)), [(1, vec![1, 2])]);
        assert_eq!(shape(&all.take(4, 5)), [(0, vec![3])], "a record above the limit goes alone");
        assert_eq!(all.records, 0);
    }
}
