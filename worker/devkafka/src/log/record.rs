//! Records inside a batch: what compaction and search by time need of them.
use super::batch::{Batch, HEADER};
use super::codec;
use bytes::{BufMut, Bytes, BytesMut};

/// One record: its bytes as they stand in the batch, and the fields the broker looks at.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) raw: Bytes,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Bytes>,
    pub(crate) tombstone: bool,
}

/// Visits the records of a batch until the visitor returns `false`; `None` if the batch cannot be read.
///
/// A visitor and not a list: a record of seven bytes must not cost a hundred in memory.
pub(crate) fn visit(batch: &Batch, mut visitor: impl FnMut(Record) -> bool) -> Option<()> {
    let body = codec::expand(batch.header.compression(), batch.bytes.slice(HEADER.min(batch.bytes.len())..))?;
    let mut at = 0;
    for _ in 0..batch.header.count {
        let start = at;
        let length = usize::try_from(varint(&body, &mut at)?).ok()?;
        let end = at.checked_add(length).filter(|e| *e <= body.len())?;
        let record = parse(batch, body.slice(start..end), at - start)?;
        at = end;
        if !visitor(record) {
            break;
        }
    }
    Some(())
}

fn parse(batch: &Batch, raw: Bytes, after_length: usize) -> Option<Record> {
    let mut at = after_length.checked_add(1)?; // one byte of attributes
    let timestamp_delta = varint(&raw, &mut at)?;
    let offset_delta = varint(&raw, &mut at)?;
    let key = match usize::try_from(varint(&raw, &mut at)?) {
        Err(_) => None,
        Ok(length) => {
            let end = at.checked_add(length).filter(|e| *e <= raw.len())?;
            let key = raw.slice(at..end);
            at = end;
            Some(key)
        }
    };
    let tombstone = varint(&raw, &mut at)? < 0;
    Some(Record {
        offset: batch.header.base.wrapping_add(offset_delta),
        timestamp: batch.header.base_timestamp.wrapping_add(timestamp_delta),
        key,
        tombstone,
        raw,
    })
}

/// Reads a zigzag varint and moves behind it.
pub(crate) fn varint(b: &[u8], at: &mut usize) -> Option<i64> {
    let (mut value, mut shift) = (0u64, 0);
    loop {
        let byte = *b.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
        if shift > 63 {
            return None;
        }
    }
    Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

/// Writes a zigzag varint.
pub(crate) fn put_varint(b: &mut BytesMut, v: i64) {
    let mut rest = ((v << 1) ^ (v >> 63)).cast_unsigned();
    while rest >= 0x80 {
        b.put_u8((rest as u8) | 0x80);
        rest >>= 7;
    }
    b.put_u8(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::split;
    use crate::testing::BatchSpec;
    use proptest::prelude::{any, prop, proptest};

    fn offsets(batch: &Batch) -> Option<Vec<i64>> {
        let mut seen = vec![];
        visit(batch, |r| {
            seen.push(r.offset);
            true
        })?;
        Some(seen)
    }

    #[test]
    fn records_carry_key_offset_and_tombstone() {
        let spec = BatchSpec {
            records: vec![(Some("a"), Some("1")), (None, Some("2")), (Some("b"), None)],
            ..BatchSpec::plain(0)
        };
        let batch = split(spec.bytes()).unwrap().remove(0).placed(10, None);
        let mut seen = vec![];
        visit(&batch, |r| {
            seen.push((r.offset, r.key.map(|k| String::from_utf8_lossy(&k).into_owned()), r.tombstone));
            true
        })
        .unwrap();
        assert_eq!(seen, [(10, Some("a".into()), false), (11, None, false), (12, Some("b".into()), true)]);
    }

    #[test]
    fn a_record_that_claims_more_than_the_batch_has_is_unreadable() {
        let mut batch = split(BatchSpec::plain(2).bytes()).unwrap().remove(0);
        batch.header.count = 3;
        assert_eq!(offsets(&batch), None);
        batch.bytes.truncate(HEADER + 2);
        assert_eq!(offsets(&batch), None);
    }

    proptest! {
        #[test]
        fn varints_read_back(v in any::<i64>()) {
            let mut b = BytesMut::new();
            put_varint(&mut b, v);
            let mut at = 0;
            assert_eq!(varint(&b, &mut at), Some(v));
            assert_eq!(at, b.len());
        }

        #[test]
        fn any_body_is_read_or_refused_without_a_panic(
            body in prop::collection::vec(any::<u8>(), 0..200), codec in 0i16..8, count in any::<i32>()
        ) {
            let mut batch = split(BatchSpec::plain(1).bytes()).unwrap().remove(0);
            batch.bytes = [&batch.bytes[..HEADER], &body].concat().into();
            (batch.header.attributes, batch.header.count) = (codec, count);
            let mut visited = 0usize;
            visit(&batch, |_| { visited += 1; true });
            assert!(codec != 0 || visited <= body.len(), "a record has at least a byte");
        }
    }
}
