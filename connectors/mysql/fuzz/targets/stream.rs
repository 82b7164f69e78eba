//! Whole streams of events.
use super::reading::Reading;
use bytes::Bytes;
use elasticflow_mysql::binlog::event::{self, Header};
use elasticflow_mysql::binlog::payload::Payload;
use elasticflow_mysql::binlog::rows::{RowsHead, RowsKind};
use elasticflow_mysql::binlog::table_map::{TableMap, table_id, table_name};
use elasticflow_mysql::table::Table;
use std::collections::HashMap;

/// Events of one input that are read.
const EVENTS_MAX: usize = 256;

/// Events as kind, length in four bytes, body; the last one may be cut.
pub(super) fn frames(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (head, tail) = rest.split_first_chunk::<5>()?;
        let len = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let (body, more) = tail.split_at(len.min(tail.len()));
        rest = more;
        Some((head[0], body))
    })
}

thread_local! {
    static READING: Reading = Reading::new();
}

/// A stream of events, compressed transactions unpacked, tables learned from their maps, rows read in both ways.
///
/// # Panics
/// The two ways to read rows do not agree.
pub fn binlog_stream(data: &[u8]) {
    READING.with(|reading| {
        let mut tables = HashMap::new();
        for (kind, body) in frames(data).take(EVENTS_MAX) {
            taken(reading, kind, &Bytes::copy_from_slice(body), &mut tables);
        }
    });
}

fn taken(reading: &Reading, kind: u8, body: &Bytes, tables: &mut HashMap<u64, Table>) {
    match kind {
        2 => drop(event::query(body, false)),
        4 => drop(event::rotate(body)),
        15 => drop(event::has_checksums(body)),
        19 => learned(reading, body, tables),
        33 => drop(event::gtid(body)),
        42 => drop(event::gtid_tagged(body)),
        162 => drop(event::maria_gtid(body, 1)),
        165 => drop(event::query(body, true)),
        40 => {
            let Ok(mut payload) = Payload::parse(body) else { return };
            for _ in 0..EVENTS_MAX {
                let Ok(Some(inner)) = payload.next_event() else { return };
                let Ok(header) = Header::parse(&inner) else { return };
                // A transaction within a transaction is nothing a server writes.
                if header.kind != 40 && inner.len() >= 19 {
                    taken(reading, header.kind, &inner.slice(19..), tables);
                }
            }
        }
        _ => rows(reading, kind, body, tables),
    }
}

fn learned(reading: &Reading, body: &Bytes, tables: &mut HashMap<u64, Table>) {
    drop(table_name(body));
    for maria in [true, false] {
        if let (Ok(id), Ok(map)) = (table_id(body), TableMap::parse(body, maria))
            && let Some(table) = reading.table(&map)
        {
            tables.insert(id, table);
        }
    }
}

fn rows(reading: &Reading, kind: u8, body: &Bytes, tables: &HashMap<u64, Table>) {
    let Some(table) = table_id(body).ok().and_then(|id| tables.get(&id)) else { return };
    if let Some(kind) = RowsKind::of(kind) {
        reading.rows(table, kind, body);
    } else if let Some((kind, v2)) = RowsKind::of_compressed(kind)
        && let Ok(head) = RowsHead::parse(kind, v2, body, table.slots.len())
        && let Ok(unpacked) = head.unpacked(body)
    {
        reading.rows(table, (kind, v2), &unpacked);
    }
}
