//! The decoder on recorded events: against another decoder, and with bytes changed at random.
use crate::support::Server;
use bytes::Bytes;
use elasticflow_mysql::binlog::event::Header;
use elasticflow_mysql::binlog::payload::Payload;
use elasticflow_mysql::binlog::rows::{Cell, Cells, Raw, RowsHead, RowsKind, cell};
use elasticflow_mysql::binlog::table_map::{Op, TableMap};
use elasticflow_mysql::binlog::{DecodeError, Reader, event, jsonb};
use futures_util::StreamExt;
use mysql_async::prelude::Queryable;
use mysql_cdc::events::binlog_event::BinlogEvent;
use mysql_cdc::events::event_header::EventHeader;
use mysql_cdc::events::event_parser::EventParser;
use mysql_cdc::events::row_events::mysql_value::MySqlValue;
use mysql_cdc::events::row_events::row_data::RowData;
use std::collections::HashMap;
use std::path::PathBuf;

/// Types that the other decoder reads right: no MEDIUMINT, no YEAR, no fractions beyond milliseconds, nothing negative in TIME.
const PLAIN: &str = "CREATE TABLE plain (id BIGINT PRIMARY KEY, a TINYINT, b SMALLINT UNSIGNED, c INT, d INT UNSIGNED, e BIGINT UNSIGNED, \
    f FLOAT, g DOUBLE, h DECIMAL(12,4), i DECIMAL(65,30), j BIT(10), k DATE, l TIME(3), m DATETIME(3), n ENUM('x','y'), \
    o SET('p','q','r'), p VARCHAR(40), q TEXT, r BLOB, s TIMESTAMP(3) NULL) DEFAULT CHARSET=utf8mb4";
const PLAIN_ROWS: &[&str] = &[
    "INSERT INTO plain VALUES (1,-128,65535,-2147483648,4294967295,18446744073709551615,1.5,-2.25,-12345678.9012,\
     -0.000000000000000000000000000001,b'1000000001','2024-02-29','23:59:59.123','2024-02-29 23:59:59.654','y','p,r','one é','text',x'00ff','2024-01-02 03:04:05.678')",
    "INSERT INTO plain (id) VALUES (2),(3)",
    "UPDATE plain SET c=7, h=0.0001, p='', o='' WHERE id=1",
    "UPDATE plain SET k='1000-01-01', q=REPEAT('ä',300), n='x' WHERE id<3",
    "DELETE FROM plain WHERE id=3",
];
const EVERY: &str = "CREATE TABLE every_type (id INT UNSIGNED PRIMARY KEY, a MEDIUMINT, b MEDIUMINT UNSIGNED, c YEAR, d TIME(6), e DATETIME(6), \
    f TIMESTAMP(6) NULL, g CHAR(200), h BINARY(9), i VARBINARY(300), j JSON, k POINT, l BIT(64), m LONGTEXT, n VARCHAR(9) CHARSET latin1, o DECIMAL(5,0))";
const EVERY_ROWS: &[&str] = &[
    "INSERT INTO every_type VALUES (1,-5,16777215,2024,'-01:02:03.000456','2024-02-29 23:59:59.654321','2024-02-29 23:59:59.654321','c',x'01',x'0203',\
     '{\"a\": [1, -2, 3.5, \"x\", null, true, {\"b\": 12345678901}], \"é\": \"\\\\n\"}',ST_GeomFromText('POINT(1 2)'),b'1',REPEAT('m',70000),'é',-99999)",
    "UPDATE every_type SET j=JSON_ARRAY(CAST('2024-01-01' AS DATE), CAST(1.25 AS DECIMAL(5,2)), REPEAT('k',300)), a=8388607",
    "INSERT INTO every_type (id) VALUES (4000000000)",
    "DELETE FROM every_type",
];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

/// Events as kind, length in four bytes, body.
fn load(name: &str) -> Vec<(u8, Bytes)> {
    let mut rest = &std::fs::read(path(name)).unwrap()[..];
    let mut events = Vec::new();
    while let Some((head, tail)) = rest.split_first_chunk::<5>() {
        let len = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        events.push((head[0], Bytes::copy_from_slice(&tail[..len])));
        rest = &tail[len..];
    }
    events
}

/// Writes the corpus anew when asked to by `EF_RECORD_CORPUS=1`.
#[tokio::test(flavor = "multi_thread")]
async fn the_corpus_is_recorded_when_asked_for() {
    if std::env::var("EF_RECORD_CORPUS").is_err() {
        return;
    }
    let server = Server::of("EF_MYSQL", "the_corpus_is_recorded_when_asked_for").await.unwrap();
    for (name, create, rows) in [("plain.events", PLAIN, PLAIN_ROWS), ("every_type.events", EVERY, EVERY_ROWS)] {
        let mut conn = server.database("ef_corpus").await;
        conn.query_drop(create).await.unwrap();
        let mut row: mysql_async::Row = conn.query_first("SHOW MASTER STATUS").await.unwrap().unwrap();
        let (file, pos): (String, u64) = (row.take(0).unwrap(), row.take(1).unwrap());
        for sql in rows {
            conn.query_drop(*sql).await.unwrap();
        }
        let request = mysql_async::BinlogStreamRequest::new(4242)
            .with_filename(file.as_bytes())
            .with_pos(pos)
            .with_non_blocking();
        let mut stream = server.connect().await.get_binlog_stream(request).await.unwrap();
        let mut out = Vec::new();
        while let Some(event) = stream.next().await {
            let event = event.unwrap();
            let kind = event.header().event_type_raw();
            if matches!(kind, 2 | 16 | 19 | 29..=34) {
                out.push(kind);
                out.extend_from_slice(&u32::try_from(event.data().len()).unwrap().to_le_bytes());
                out.extend_from_slice(event.data());
            }
        }
        std::fs::write(path(name), out).unwrap();
    }
}

/// Hands every cell of a rows event to `each`, image by image.
fn walk(
    kind: (RowsKind, bool),
    body: &Bytes,
    map: &TableMap,
    mut each: impl FnMut(usize, Option<Raw<'_>>),
) -> Result<usize, DecodeError> {
    let head = RowsHead::parse(kind.0, kind.1, body, map.columns.len())?;
    let mut r = Reader::new(body.get(head.rows_at..).unwrap_or_default());
    let mut images = 0;
    while !r.is_empty() {
        let left = r.len();
        for present in [&head.before, &head.after].into_iter().flatten() {
            let mut cells = Cells::begin(&mut r, present)?;
            for (i, column) in map.columns.iter().enumerate() {
                match cells.step() {
                    Cell::Absent => {}
                    Cell::Null => each(i, None),
                    Cell::Value => each(i, Some(cell(column.op, &mut r)?.shared(body))),
                }
            }
            images += 1;
        }
        if r.len() == left {
            return Err(DecodeError::NoProgress);
        }
    }
    Ok(images)
}

fn images(event: BinlogEvent) -> Vec<RowData> {
    match event {
        BinlogEvent::WriteRowsEvent(e) => e.rows,
        BinlogEvent::DeleteRowsEvent(e) => e.rows,
        BinlogEvent::UpdateRowsEvent(e) => e.rows.into_iter().flat_map(|u| [u.before_update, u.after_update]).collect(),
        _ => Vec::new(),
    }
}

/// Whether a cell of ours is the other decoder's value.
fn same(op: Op, ours: &Raw<'_>, theirs: &MySqlValue) -> bool {
    match (ours, theirs) {
        (Raw::Int(v), MySqlValue::TinyInt(t)) => {
            *v == if op == Op::I8 { i64::from(t.cast_signed()) } else { i64::from(*t) }
        }
        (Raw::Int(v), MySqlValue::SmallInt(t)) => {
            *v == if op == Op::I16 { i64::from(t.cast_signed()) } else { i64::from(*t) }
        }
        (Raw::Int(v), MySqlValue::Int(t)) => {
            *v == if op == Op::I32 { i64::from(t.cast_signed()) } else { i64::from(*t) }
        }
        (Raw::Int(v), MySqlValue::BigInt(t)) => v.cast_unsigned() == *t,
        (Raw::UInt(v), MySqlValue::BigInt(t)) => v == t,
        (Raw::F32(v), MySqlValue::Float(t)) => v == t,
        (Raw::F64(v), MySqlValue::Double(t)) => v == t,
        (Raw::Decimal(p), MySqlValue::Decimal(t)) => p.text() == *t,
        (Raw::Bits(b), MySqlValue::Bit(t)) => {
            let ours = b.iter().rev().flat_map(|byte| (0..8).map(move |i| byte >> i & 1 == 1));
            ours.zip(t).all(|(a, b)| a == *b)
        }
        (Raw::Civil(c), MySqlValue::Date(t)) => {
            (c.year, c.month, c.day) == (t.year.into(), t.month.into(), t.day.into())
        }
        (Raw::Civil(c), MySqlValue::DateTime(t)) => {
            let seconds = i64::from(t.hour) * 3600 + i64::from(t.minute) * 60 + i64::from(t.second);
            (c.year, c.month, c.day) == (t.year.into(), t.month.into(), t.day.into())
                && c.micros == seconds * 1_000_000 + i64::from(t.millis) * 1000
        }
        (Raw::Time(v), MySqlValue::Time(t)) => {
            let seconds = i64::from(t.hour) * 3600 + i64::from(t.minute) * 60 + i64::from(t.second);
            *v == seconds * 1_000_000 + i64::from(t.millis) * 1000
        }
        (Raw::Stamp(Some(v)), MySqlValue::Timestamp(t)) => v / 1000 == t.cast_signed(),
        (Raw::Member(v), MySqlValue::Enum(t)) => *v == u64::from(*t),
        (Raw::Member(v), MySqlValue::Set(t)) => v == t,
        (Raw::Bytes(b), MySqlValue::String(t)) => b.as_ref() == t.as_bytes(),
        (Raw::Bytes(b), MySqlValue::Blob(t)) => b.as_ref() == t.as_slice(),
        _ => false,
    }
}

#[test]
fn cells_equal_those_of_another_decoder() {
    let mut parser = EventParser::new();
    let mut maps = HashMap::new();
    let mut compared = 0;
    for (kind, body) in load("plain.events") {
        let mut header = [0u8; 19];
        header[4] = kind;
        let theirs = parser.parse_event(&EventHeader::parse(&header).unwrap(), &body).unwrap();
        if let BinlogEvent::TableMapEvent(map) = theirs {
            maps.insert(map.table_id, TableMap::parse(&body, false).unwrap());
            // The other decoder's cache is filled by itself.
            continue;
        }
        let Some(rows) = RowsKind::of(kind) else { continue };
        let id = elasticflow_mysql::binlog::table_map::table_id(&body).unwrap();
        let map = &maps[&id];
        let all: Vec<_> = images(theirs).into_iter().flat_map(|row| row.cells).collect();
        let mut place = 0;
        walk(rows, &body, map, |column, ours| {
            let equal = match (&ours, &all[place]) {
                (None, None) => true,
                (Some(ours), Some(theirs)) => same(map.columns[column].op, ours, theirs),
                _ => false,
            };
            assert!(equal, "column {column}: {ours:?} is not {:?}", all[place]);
            place += 1;
        })
        .unwrap();
        assert_eq!(place, all.len());
        compared += place;
    }
    assert!(compared > 100, "{compared} cells");
}

/// Everything that reads bytes of the log.
fn decode(kind: u8, body: &Bytes, maps: &mut HashMap<u64, TableMap>) {
    let id = elasticflow_mysql::binlog::table_map::table_id(body);
    match (kind, id) {
        (19, Ok(id)) => {
            if let Ok(map) = TableMap::parse(body, false) {
                maps.insert(id, map);
            }
        }
        (2, _) => drop(event::query(body, false)),
        (33 | 34, _) => {
            drop(event::gtid(body));
            drop(event::gtid_tagged(body));
            drop(event::maria_gtid(body, 1));
            drop(event::has_checksums(body));
            if let Ok(mut payload) = Payload::parse(body) {
                while let Ok(Some(event)) = payload.next_event() {
                    drop(Header::parse(&event));
                }
            }
        }
        (_, Ok(id)) => {
            if let (Some(rows), Some(map)) = (RowsKind::of(kind), maps.get(&id)) {
                let _ = walk(rows, body, map, |_, raw| match raw {
                    Some(Raw::Json(data)) => drop(jsonb::text(data)),
                    Some(Raw::Decimal(p)) => drop((p.unscaled(), p.text())),
                    _ => {}
                });
            }
        }
        _ => {}
    }
}

#[test]
fn every_cut_of_every_event_is_survived() {
    let events = load("every_type.events");
    let mut whole = HashMap::new();
    events.iter().for_each(|(kind, body)| decode(*kind, body, &mut whole));
    for (kind, body) in events.iter().filter(|(_, body)| body.len() < 4096) {
        for n in 0..body.len() {
            decode(*kind, &body.slice(..n), &mut whole.clone());
        }
    }
}
