//! Batches for unit tests.
use crate::log::Settings;
use crate::log::partition::Memory;
use crate::log::record::put_varint;
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;

/// A batch as a client would send it.
#[derive(Clone, Debug)]
pub(crate) struct BatchSpec {
    pub(crate) attributes: i16,
    pub(crate) producer: i64,
    pub(crate) epoch: i16,
    pub(crate) sequence: i32,
    pub(crate) timestamp: i64,
    pub(crate) last_delta: Option<i32>,
    pub(crate) records: Vec<(Option<&'static str>, Option<&'static str>)>,
}

impl BatchSpec {
    /// `n` records without a producer.
    pub(crate) fn plain(n: usize) -> Self {
        BatchSpec {
            attributes: 0,
            producer: -1,
            epoch: -1,
            sequence: -1,
            timestamp: 0,
            last_delta: None,
            records: vec![(Some("k"), Some("v")); n],
        }
    }

    /// One record for each key; `None` is a tombstone.
    pub(crate) fn keyed(records: &[(&'static str, Option<&'static str>)]) -> Self {
        BatchSpec { records: records.iter().map(|(k, v)| (Some(*k), *v)).collect(), ..Self::plain(0) }
    }

    /// `n` records of a transactional producer.
    pub(crate) fn transactional(producer: i64, epoch: i16, sequence: i32, n: usize) -> Self {
        BatchSpec { attributes: 0x10, producer, epoch, sequence, ..Self::plain(n) }
    }

    pub(crate) fn bytes(&self) -> Bytes {
        let n = i32::try_from(self.records.len()).unwrap();
        let mut b = BytesMut::new();
        b.put_i64(0);
        b.put_i32(0);
        b.put_i32(-1);
        b.put_u8(2);
        b.put_u32(0);
        b.put_i16(self.attributes);
        b.put_i32(self.last_delta.unwrap_or(n - 1));
        b.put_i64(self.timestamp);
        b.put_i64(self.timestamp);
        b.put_i64(self.producer);
        b.put_i16(self.epoch);
        b.put_i32(self.sequence);
        b.put_i32(n);
        for (i, (key, value)) in self.records.iter().enumerate() {
            let mut r = BytesMut::new();
            r.put_u8(0);
            put_varint(&mut r, 0);
            put_varint(&mut r, i64::try_from(i).unwrap());
            for part in [key, value] {
                put_varint(&mut r, part.map_or(-1, |p| i64::try_from(p.len()).unwrap()));
                r.extend_from_slice(part.unwrap_or_default().as_bytes());
            }
            put_varint(&mut r, 0);
            put_varint(&mut b, i64::try_from(r.len()).unwrap());
            b.extend_from_slice(&r);
        }
        let length = i32::try_from(b.len() - 12).unwrap().to_be_bytes();
        b[8..12].copy_from_slice(&length);
        let crc = crc32c::crc32c(&b[21..]).to_be_bytes();
        b[17..21].copy_from_slice(&crc);
        b.freeze()
    }
}

/// Partition settings with so much memory.
pub(crate) fn settings(memory_bytes: usize) -> Settings {
    Settings { memory: Arc::new(Memory::new(memory_bytes)), sync: false }
}
