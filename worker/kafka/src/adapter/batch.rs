//! Records of one partition, gathered into one buffer.
use crate::native::Message;
use crate::ports::InRecord;
use bytes::{Bytes, BytesMut};
use elasticflow_api::data::RawHeaders;
use elasticflow_api::position::{Offset, TopicPartition};
use std::ops::Range;
use std::sync::Arc;

/// Bytes after which a batch is handed out.
pub(crate) const BATCH_BYTES: usize = 1024 * 1024;

/// A batch in the making: every record's bytes are copied once, into one allocation that the records share.
pub(crate) struct Gathering {
    pub(crate) at: TopicPartition,
    buffer: BytesMut,
    records: Vec<Rough>,
    /// Headers of all records, one record after the other.
    headers: Vec<Header>,
}

struct Rough {
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Range<usize>,
    /// Its headers are those of the record before.
    shares: bool,
}

#[derive(Clone)]
struct Header {
    name: Arc<str>,
    value: Option<Range<usize>>,
}

impl Gathering {
    /// For records of a partition; `bytes` is how large a batch of it is, about.
    pub(crate) fn new(at: TopicPartition, bytes: usize) -> Self {
        Self { at, buffer: BytesMut::with_capacity(bytes), records: Vec::new(), headers: Vec::new() }
    }

    pub(crate) fn is_of(&self, message: Message<'_>) -> bool {
        self.at.partition == message.partition() && &*self.at.topic == message.topic()
    }

    pub(crate) fn is_full(&self, records_max: usize) -> bool {
        self.records.len() >= records_max || self.buffer.len() >= BATCH_BYTES
    }

    /// Records so far.
    pub(crate) fn records(&self) -> usize {
        self.records.len()
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> usize {
        self.buffer.len()
    }

    pub(crate) fn push(&mut self, message: Message<'_>, with_headers: bool) {
        let (headers, shares) = if with_headers { self.headers(message) } else { (0..0, !self.records.is_empty()) };
        let buffer = &mut self.buffer;
        let key = message.key().map(|key| copy(buffer, key));
        let value = message.value().map(|value| copy(buffer, value));
        let (offset, timestamp_ms) = (message.offset(), message.timestamp_ms());
        self.records.push(Rough { offset, timestamp_ms, key, value, headers, shares });
    }

    /// Notes the headers of a record. Mostly they are those of the one before, which is told: then they are shared.
    fn headers(&mut self, message: Message<'_>) -> (Range<usize>, bool) {
        let mut all_same = !self.records.is_empty();
        let (start, before) = (self.headers.len(), self.records.last().map_or(0..0, |record| record.headers.clone()));
        let (buffer, headers) = (&mut self.buffer, &mut self.headers);
        message.headers(|name, value| {
            let place = before.start + (headers.len() - start);
            let same = headers.get(place).filter(|_| before.contains(&place)).filter(|header| *header.name == *name);
            let is_same = |range: &Range<usize>| buffer.get(range.clone()) == value;
            let header = match (same, value) {
                (Some(Header { name, value: Some(range) }), Some(_)) if is_same(range) => {
                    Header { name: Arc::clone(name), value: Some(range.clone()) }
                }
                (same, value) => {
                    all_same &= same.is_some_and(|header| header.value.is_none()) && value.is_none();
                    let name = same.map_or_else(|| Arc::from(name), |header| Arc::clone(&header.name));
                    Header { name, value: value.map(|value| copy(buffer, value)) }
                }
            };
            headers.push(header);
        });
        if all_same && headers.len() - start == before.len() {
            headers.truncate(start);
            return (before, true);
        }
        (start..headers.len(), false)
    }

    pub(crate) fn finish(self) -> (TopicPartition, Vec<InRecord>) {
        let buffer = self.buffer.freeze();
        let cut = |range: Option<Range<usize>>| range.map(|range| buffer.slice(range));
        let header = |header: &Header| (Arc::clone(&header.name), cut(header.value.clone()));
        let mut shared = RawHeaders::default();
        let records = self.records.into_iter().map(|rough| {
            if !rough.shares {
                shared = self.headers.get(rough.headers).unwrap_or_default().iter().map(header).collect();
            }
            InRecord {
                offset: Offset(rough.offset),
                timestamp_ms: rough.timestamp_ms,
                key: cut(rough.key),
                value: cut(rough.value),
                headers: shared.clone(),
            }
        });
        let records = records.collect();
        (self.at, records)
    }
}

fn copy(buffer: &mut BytesMut, bytes: &[u8]) -> Range<usize> {
    let start = buffer.len();
    buffer.extend_from_slice(bytes);
    start..buffer.len()
}

/// A copy of its own, for what is kept long.
pub(crate) fn own(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
