//! Records of one partition, gathered into one buffer.
use crate::native::Message;
use crate::ports::InRecord;
use bytes::{Bytes, BytesMut};
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
}

struct Rough {
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Vec<(Arc<str>, Option<Range<usize>>)>,
}

impl Gathering {
    pub(crate) fn new(at: TopicPartition) -> Self {
        Self { at, buffer: BytesMut::new(), records: Vec::new() }
    }

    pub(crate) fn is_of(&self, message: Message<'_>) -> bool {
        self.at.partition == message.partition() && &*self.at.topic == message.topic()
    }

    pub(crate) fn is_full(&self, records_max: usize) -> bool {
        self.records.len() >= records_max || self.buffer.len() >= BATCH_BYTES
    }

    pub(crate) fn push(&mut self, message: Message<'_>) {
        let mut headers = Vec::new();
        let buffer = &mut self.buffer;
        message.headers(|name, value| headers.push((Arc::from(name), value.map(|value| copy(buffer, value)))));
        let key = message.key().map(|key| copy(buffer, key));
        let value = message.value().map(|value| copy(buffer, value));
        let (offset, timestamp_ms) = (message.offset(), message.timestamp_ms());
        self.records.push(Rough { offset, timestamp_ms, key, value, headers });
    }

    pub(crate) fn finish(self) -> (TopicPartition, Vec<InRecord>) {
        let buffer = self.buffer.freeze();
        let cut = |range: Option<Range<usize>>| range.map(|range| buffer.slice(range));
        let records = self.records.into_iter().map(|rough| InRecord {
            offset: Offset(rough.offset),
            timestamp_ms: rough.timestamp_ms,
            key: cut(rough.key),
            value: cut(rough.value),
            headers: rough.headers.into_iter().map(|(name, value)| (name, cut(value))).collect(),
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
