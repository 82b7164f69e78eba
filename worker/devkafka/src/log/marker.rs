//! Control batches: how a log says that a transaction has ended.
use super::batch::{Batch, Header, seal};
use super::record::{self, put_varint};
use bytes::{BufMut, Bytes, BytesMut};

/// The marker that ends a producer's transaction in one partition.
pub(crate) fn marker(producer_id: i64, epoch: i16, commit: bool, now_ms: i64) -> Batch {
    let bytes = encode(producer_id, epoch, commit, now_ms);
    let header = Header::parse(&bytes).unwrap_or(EMPTY);
    Batch { header, bytes }
}

fn encode(producer_id: i64, epoch: i16, commit: bool, now_ms: i64) -> Bytes {
    let mut record = BytesMut::with_capacity(16);
    record.put_u8(0); // attributes
    put_varint(&mut record, 0); // timestamp delta
    put_varint(&mut record, 0); // offset delta
    put_varint(&mut record, 4); // key length
    record.put_i16(0); // key: version, then type
    record.put_i16(i16::from(commit));
    put_varint(&mut record, 6); // value length
    record.put_i16(0); // value: version, then coordinator epoch
    record.put_i32(0);
    put_varint(&mut record, 0); // headers
    let mut b = BytesMut::with_capacity(80);
    b.put_i64(0); // base offset
    b.put_i32(0); // length, see `seal`
    b.put_i32(0); // leader epoch
    b.put_u8(2); // magic
    b.put_u32(0); // checksum, see `seal`
    b.put_i16(0x30); // transactional, control
    b.put_i32(0); // last offset delta
    b.put_i64(now_ms);
    b.put_i64(now_ms);
    b.put_i64(producer_id);
    b.put_i16(epoch);
    b.put_i32(-1); // sequence
    b.put_i32(1); // records
    put_varint(&mut b, i64::try_from(record.len()).unwrap_or_default());
    b.extend_from_slice(&record);
    seal(&mut b);
    b.freeze()
}

/// Whether a control batch ends its transaction with an abort.
pub(crate) fn aborts(batch: &Batch) -> bool {
    let mut kind = None;
    record::visit(batch, |r| {
        kind = r.key.and_then(|k| k.get(2..4).and_then(|t| <[u8; 2]>::try_from(t).ok()));
        false
    });
    kind == Some([0, 0])
}

/// What a marker's header would be if it could not be read back.
const EMPTY: Header = Header {
    base: 0,
    length: 0,
    magic: 2,
    crc: 0,
    attributes: 0x30,
    last_delta: 0,
    base_timestamp: 0,
    max_timestamp: 0,
    producer_id: -1,
    epoch: -1,
    sequence: -1,
    count: 0,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_a_sound_control_batch_that_says_how_it_ended() {
        for commit in [true, false] {
            let m = Batch::whole(marker(9, 3, commit, 1000).bytes).unwrap();
            assert!(m.header.control() && m.header.transactional());
            assert_eq!((m.header.producer_id, m.header.epoch, m.header.max_timestamp), (9, 3, 1000));
            assert_eq!(aborts(&m), !commit);
        }
    }
}
