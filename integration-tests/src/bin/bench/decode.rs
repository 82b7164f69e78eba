//! What the decoder costs: a binary log in memory to cells, to records, and to the JSON of records; on one core, without a
//! connection.
//!
//! The log is that of a real server: the reference table of [`ROW`], in transactions of [`ROWS_A_STATEMENT`] rows. It is read once,
//! then gone through again and again until enough CPU time has passed.
use crate::outcome::Outcome;
use crate::scenarios::stamp;
use crate::{Bench, meter, say};
use anyhow::{Context, Result, anyhow, bail};
use bytes::{Bytes, BytesMut};
use elasticflow_api::data::Value;
use elasticflow_api::source::SourceRecord;
use elasticflow_api::written::{JsonForm, Mark, Written};
use elasticflow_cdc::envelope::Op;
use elasticflow_config::{Properties, parse};
use elasticflow_formats::json::JsonConverter;
use elasticflow_mysql::assemble::{Assembler, Change, Origin};
use elasticflow_mysql::binlog::Reader;
use elasticflow_mysql::binlog::rows::{Cell, Cells, Raw, RowsHead, RowsKind, cell};
use elasticflow_mysql::binlog::table_map::{TableMap, table_id};
use elasticflow_mysql::config::CdcConfig;
use elasticflow_mysql::direct::{Direct, Forms, Images};
use elasticflow_mysql::error::Place;
use elasticflow_mysql::filters::Filters;
use elasticflow_mysql::table::{Maker, Table};
use elasticflow_mysql::tables::{Control, Known, Tables};
use elasticflow_mysql::{information, wire};
use futures_util::StreamExt;
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStreamRequest, Conn, Row};
use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// Fourteen columns, 143 bytes a row in the log.
const ROW: &str = "(id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, flag TINYINT NOT NULL, qty SMALLINT UNSIGNED NOT NULL, \
    customer INT NOT NULL, total BIGINT NOT NULL, price DECIMAL(12,4) NOT NULL, ratio DOUBLE NOT NULL, day DATE NOT NULL, \
    created DATETIME(6) NOT NULL, updated TIMESTAMP(3) NOT NULL, state ENUM('new','paid','sent','done') NOT NULL, \
    name VARCHAR(40) NOT NULL, email VARCHAR(80) NOT NULL, note TEXT) DEFAULT CHARSET=utf8mb4";
/// Row n is a pure function of n.
const VALUES: &str = "n, n%2, n%1000, n*7, n*1000003, n/7, n/3, '2024-01-01' + INTERVAL n%365 DAY, \
    '2024-01-01' + INTERVAL n*1000 + n%1000 MICROSECOND, '2024-01-01' + INTERVAL n%9000000 SECOND, n%4+1, CONCAT('customer ', n), \
    CONCAT('user', n, '@example.com'), IF(n%10=0, NULL, CONCAT('note for order ', n, ' with some text to fill it'))";
const ROWS_A_STATEMENT: u64 = 50_000;
/// CPU seconds that each stage is measured for.
const ENOUGH_S: f64 = 3.0;
/// The id of the dump; no other program of the tests uses it.
const SERVER_ID: u32 = 54_322;
const TABLE_MAP: u8 = 19;
const FORM: JsonForm = JsonForm { schemas: false, decimals_as_base64: true, nulls_take_defaults: true };
const FORMS: Forms = Forms { key: FORM, value: FORM };

/// Rows events in memory, and how to read them.
struct Recorded {
    events: Vec<Event>,
    rows: u64,
    bytes: usize,
    assembler: Assembler,
}

struct Event {
    kind: (RowsKind, bool),
    body: Bytes,
    map: Arc<TableMap>,
    table: Arc<Table>,
}

/// Cells, records, and records as JSON.
pub(crate) async fn decode(bench: &Bench) -> Result<Vec<Outcome>> {
    let schema = format!("bench_decode{}", stamp()?);
    let recorded = record(bench, &schema).await;
    bench.database.run(&[&format!("DROP DATABASE IF EXISTS {schema}")]).await?;
    let mut recorded = recorded?;
    say(&format!("decode: {} rows, {} events, {} bytes", recorded.rows, recorded.events.len(), recorded.bytes));
    let cells = measured("cells", &recorded, |recorded| recorded.events.iter().try_for_each(walk))?;
    recorded.assembler.now_ms = 1_700_000_000_000;
    let made = measured("records", &recorded, |recorded| {
        let mut out = Vec::new();
        recorded.events.iter().try_for_each(|event| {
            out.clear();
            records(event, &recorded.assembler, &mut out)
        })
    })?;
    let (keys, values) = (converter(true)?, converter(false)?);
    let valued = measured("json-by-values", &recorded, |recorded| {
        let (mut out, mut bytes) = (Vec::new(), BytesMut::new());
        recorded.events.iter().try_for_each(|event| {
            out.clear();
            records(event, &recorded.assembler, &mut out)?;
            out.iter().try_for_each(|record| write(record, (&keys, &values), &mut bytes))
        })
    })?;
    let direct = RefCell::new(Direct::new(FORMS, &recorded.assembler));
    let json = measured("json", &recorded, |recorded| {
        let (mut out, direct) = (Written::default(), &mut *direct.borrow_mut());
        recorded.events.iter().try_for_each(|event| {
            out.truncate(Mark::default());
            straight(event, &recorded.assembler, direct, &mut out)
        })
    })?;
    Ok(vec![cells, made, valued, json])
}

/// Every row as the JSON of its record.
fn straight(event: &Event, assembler: &Assembler, direct: &mut Direct, out: &mut Written) -> Result<()> {
    let (table, body) = (&event.table, &event.body);
    let head = RowsHead::parse(event.kind.0, event.kind.1, body, table.slots.len())?;
    if !direct.begin(table, (Op::Create, &origin()), assembler) {
        bail!("the table is not written directly");
    }
    let mut r = Reader::new(body.get(head.rows_at..).unwrap_or_default());
    let mut row = 0;
    while !r.is_empty() {
        let images = Images { before: head.before.as_ref(), after: head.after.as_ref(), body, row };
        direct.row(table, &mut r, &images, (out, 0)).context("a row is not written directly")?;
        row += 1;
    }
    black_box(&out);
    Ok(())
}

fn origin() -> Origin {
    Origin {
        ts_us: 1_700_000_000_000_000,
        snapshot: Value::Null,
        server_id: 1,
        gtid: None,
        file: elasticflow_api::data::Text::from_static("binlog.000001"),
        pos: 4,
        thread: None,
        query: None,
    }
}

fn measured(name: &str, recorded: &Recorded, pass: impl Fn(&Recorded) -> Result<()>) -> Result<Outcome> {
    pass(recorded)?;
    let (began, before) = (Instant::now(), meter::read(std::process::id())?);
    let (mut passes, mut after) = (0, before);
    while after.cpu_s - before.cpu_s < ENOUGH_S {
        pass(recorded)?;
        passes += 1;
        after = meter::read(std::process::id())?;
    }
    let records = passes * recorded.rows;
    Ok(Outcome::of(name, records, began.elapsed().as_secs_f64(), (before, after)))
}

/// Takes a cell, as cheaply as what takes cells in earnest: by its kind, without keeping it.
fn taken(raw: &Raw<'_>) -> u64 {
    match raw {
        Raw::Int(v) | Raw::Time(v) => v.cast_unsigned(),
        Raw::UInt(v) | Raw::Member(v) => *v,
        Raw::F32(v) => u64::from(v.to_bits()),
        Raw::F64(v) => v.to_bits(),
        Raw::Decimal(packed) => packed.raw.len() as u64,
        Raw::Civil(civil) => (civil.year ^ civil.month ^ civil.day ^ civil.micros).cast_unsigned(),
        Raw::Stamp(stamp) => stamp.unwrap_or_default().cast_unsigned(),
        Raw::Slice(bytes) | Raw::Bits(bytes) | Raw::Json(bytes) | Raw::Utf8Slice(bytes) => bytes.len() as u64,
        Raw::Bytes(bytes) | Raw::Utf8(bytes) => bytes.len() as u64,
        Raw::DecimalText(text) => text.len() as u64,
    }
}

/// Every cell of every image.
fn walk(event: &Event) -> Result<()> {
    let mut sum = 0_u64;
    let columns = &event.map.columns;
    let head = RowsHead::parse(event.kind.0, event.kind.1, &event.body, columns.len())?;
    let mut r = Reader::new(event.body.get(head.rows_at..).unwrap_or_default());
    while !r.is_empty() {
        for present in [&head.before, &head.after].into_iter().flatten() {
            let mut cells = Cells::begin(&mut r, present)?;
            for column in columns {
                if let Cell::Value = cells.step() {
                    sum = sum.wrapping_add(taken(&cell(column.op, &mut r)?));
                }
            }
        }
    }
    black_box(sum);
    Ok(())
}

/// Every row as the records of the connector.
fn records(event: &Event, assembler: &Assembler, out: &mut Vec<SourceRecord>) -> Result<()> {
    let (table, body) = (&event.table, &event.body);
    let head = RowsHead::parse(event.kind.0, event.kind.1, body, table.slots.len())?;
    let Some(after) = &head.after else { bail!("the log holds inserts alone") };
    let origin = origin();
    let mut r = Reader::new(body.get(head.rows_at..).unwrap_or_default());
    let mut row = 0;
    while !r.is_empty() {
        let image = table.image(&mut r, after, body).map_err(|e| anyhow!("a row cannot be read: {e:?}"))?;
        assembler.change(table, Change { op: Op::Create, before: None, after: Some(image), row }, &origin, out);
        row += 1;
    }
    black_box(&out);
    Ok(())
}

fn converter(is_key: bool) -> Result<JsonConverter> {
    let side = if is_key { "key" } else { "value" };
    let properties: Properties = [("converter.type", side), ("schemas.enable", "false")].into_iter().collect();
    let config = parse(&properties).map_err(|report| anyhow!("{report:?}"))?;
    JsonConverter::new(&config, is_key).map_err(|e| anyhow!("{e}"))
}

fn write(record: &SourceRecord, (keys, values): (&JsonConverter, &JsonConverter), out: &mut BytesMut) -> Result<()> {
    out.clear();
    keys.write(&record.record.key, out).map_err(|e| anyhow!("{e:?}"))?;
    values.write(&record.record.value, out).map_err(|e| anyhow!("{e:?}"))?;
    black_box(out);
    Ok(())
}

/// Fills the table and reads its log.
async fn record(bench: &Bench, schema: &str) -> Result<Recorded> {
    let mut conn = bench.database.connect().await?;
    conn.query_drop(format!("CREATE DATABASE {schema}")).await?;
    conn.query_drop(format!("CREATE TABLE {schema}.ref {ROW}")).await?;
    for sql in ["SET time_zone = '+00:00'", "SET cte_max_recursion_depth = 4294967295", "SET sql_mode = ''"] {
        conn.query_drop(sql).await?;
    }
    let (file, pos) = position(&mut conn).await?;
    let rows = (bench.rows / 5).max(1);
    for first in (1..=rows).step_by(usize::try_from(ROWS_A_STATEMENT)?) {
        let last = (first + ROWS_A_STATEMENT - 1).min(rows);
        let numbers = format!("WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n+1 FROM s WHERE n < {last})");
        conn.query_drop(format!("INSERT INTO {schema}.ref {numbers} SELECT {VALUES} FROM s")).await?;
    }
    let (mut tables, mut control, assembler) = prepared(bench, schema).await?;
    let request = BinlogStreamRequest::new(SERVER_ID).with_filename(file.as_bytes()).with_pos(pos).with_non_blocking();
    let mut stream = conn.get_binlog_stream(request).await?;
    let mut recorded = Recorded { events: Vec::new(), rows: 0, bytes: 0, assembler };
    let mut map = None;
    while let Some(event) = stream.next().await {
        let event = event?;
        let (number, body) = (event.header().event_type_raw(), Bytes::copy_from_slice(event.data()));
        if number == TABLE_MAP {
            let place = Place { file: file.clone(), pos };
            tables.learn(&mut control, &body, &place).await?;
            map = Some(Arc::new(TableMap::parse(&body, false)?));
        } else if let (Some(kind), Some(map)) = (RowsKind::of(number), &map)
            && let Some(Known::Captured(table)) = tables.by_id(table_id(&body)?)
        {
            recorded.bytes += body.len();
            recorded.events.push(Event { kind, body, map: Arc::clone(map), table: Arc::clone(table) });
        }
    }
    control.close().await;
    recorded.rows = rows;
    check(&recorded)?;
    Ok(recorded)
}

/// The log holds what was written.
fn check(recorded: &Recorded) -> Result<()> {
    let (mut out, mut rows) = (Vec::new(), 0);
    for event in &recorded.events {
        out.clear();
        records(event, &recorded.assembler, &mut out)?;
        rows += out.len() as u64;
    }
    if rows == recorded.rows { Ok(()) } else { bail!("{rows} of {} rows are in the log", recorded.rows) }
}

async fn position(conn: &mut Conn) -> Result<(String, u64)> {
    let mut row: Row = conn.query_first("SHOW MASTER STATUS").await?.context("there is no binary log")?;
    let file = row.take(0).context("no name of the log")?;
    Ok((file, row.take(1).context("no position")?))
}

async fn prepared(bench: &Bench, schema: &str) -> Result<(Tables, Control, Assembler)> {
    let database = &bench.database;
    let port = database.port.to_string();
    let properties: Properties = [
        ("database.hostname", database.host.as_str()),
        ("database.port", port.as_str()),
        ("database.user", database.user.as_str()),
        ("database.password", database.password.as_str()),
        ("topic.prefix", "bench"),
        ("database.include.list", schema),
        ("tombstones.on.delete", "false"),
    ]
    .into_iter()
    .collect();
    let config: Arc<CdcConfig> = Arc::new(parse(&properties).map_err(|report| anyhow!("{report:?}"))?);
    let filters = Arc::new(Filters::of_task(&config)?);
    let mut session = wire::connect(&config).await?;
    let collations = information::collations(&mut session).await?;
    let flavour = session.flavour;
    let assembler = Assembler::new(&config, flavour, 0, "bench");
    let maker = Maker {
        config: Arc::clone(&config),
        filters: Arc::clone(&filters),
        source: Arc::clone(assembler.source_schema()),
        transaction: Arc::clone(assembler.transaction_schema()),
        forms: Some(FORMS),
    };
    let tables = Tables::new(maker, filters, collations, flavour);
    Ok((tables, Control::new(config, Some(session)), assembler))
}
