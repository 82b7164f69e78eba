//! One page of rows, and where the next one begins.
use super::table::Table;
use super::times::now;
use super::{has_time, is_bulk, offset};
use crate::error::Error;
use crate::types;
use elasticflow_api::data::{Datum, Kind, Record, SchemaRef, Struct, Value};
use elasticflow_api::position::{SourceOffset, SourcePosition};
use elasticflow_api::source::SourceRecord;
use elasticflow_sql::source::config::SourceMode;
use elasticflow_sql::source::rounds::Reads;
use rusqlite::{Connection, Row, params_from_iter};
use std::sync::Arc;

/// Where reading stands in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    mode: SourceMode,
    /// Last growing value read; smaller than every value before the first row.
    last: i64,
    /// Last time read, milliseconds since 1970; smaller than every time before the first row.
    time: i64,
    /// Completed reads of the table, mode `bulk` alone.
    pub(super) run: i64,
}

/// Rows with their positions.
pub(crate) struct Page {
    pub(crate) records: Vec<SourceRecord>,
    pub(crate) progress: Vec<SourcePosition>,
    /// Whether nothing follows at present.
    pub(crate) is_last: bool,
}

/// How far a page goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
    /// Milliseconds before now from which on rows are too young to be read.
    pub(crate) delay: i64,
}

/// A row with what orders it.
struct Found {
    record: Record,
    id: i64,
    time: i64,
}

impl Cursor {
    /// Before the first row.
    pub(crate) fn fresh(mode: SourceMode) -> Self {
        Self { mode, last: i64::MIN, time: i64::MIN, run: 0 }
    }

    /// Before the first row after a time.
    pub(super) fn after(mode: SourceMode, time: i64) -> Self {
        Self { time, ..Self::fresh(mode) }
    }

    /// From a stored offset; one that cannot be read is an error, never a fresh start.
    pub(crate) fn from_stored(mode: SourceMode, stored: &SourceOffset, table: &str) -> Result<Self, Error> {
        let fresh = Self::fresh(mode);
        let SourceOffset(stored) = stored;
        let number = |key: &str| stored.get(key).and_then(serde_json::Value::as_i64);
        let last = number("incrementing");
        let cursor = match mode {
            SourceMode::Bulk => {
                let done = stored.get("bulk_done").and_then(serde_json::Value::as_bool);
                match (number("bulk_run"), done) {
                    (Some(run), Some(true)) => Some(Self { run, ..fresh }),
                    (Some(run), Some(false)) => number("bulk_key").map(|last| Self { last, run, ..fresh }),
                    _ => None,
                }
            }
            SourceMode::Incrementing => last.map(|last| Self { last, ..fresh }),
            SourceMode::Timestamp => number("timestamp").map(|time| Self { time, ..fresh }),
            SourceMode::TimestampIncrementing => {
                number("timestamp").map(|time| Self { time, last: last.unwrap_or(i64::MIN), ..fresh })
            }
        };
        cursor.ok_or_else(|| {
            Error::Definite(format!(
                "the stored offset of table {table} is not of this mode; alter or reset it through the offsets endpoint"
            ))
        })
    }

    /// How often the table was read.
    pub(super) fn reads(&self) -> Reads {
        Reads { run: self.run, is_under_way: self.last != i64::MIN }
    }

    fn stored(&self, is_done: bool) -> SourceOffset {
        if is_bulk(self.mode) {
            return offset([
                ("bulk_run", self.run.into()),
                ("bulk_key", self.last.into()),
                ("bulk_done", is_done.into()),
            ]);
        }
        let nanos = self.time.rem_euclid(1000) * 1_000_000;
        let time = [("timestamp", self.time.into()), ("timestamp_nanos", nanos.into())];
        let id = [("incrementing", self.last.into())];
        match self.mode {
            SourceMode::Timestamp => offset(time),
            SourceMode::TimestampIncrementing => offset(time.into_iter().chain(id)),
            SourceMode::Incrementing | SourceMode::Bulk => offset(id),
        }
    }

    fn step(&mut self, found: &Found) {
        (self.last, self.time) = (found.id, found.time);
    }

    /// Parameters of the page's statement: value or time, rows, and with a time its upper end and the value behind it.
    fn parameters(&self, connection: &Connection, bounds: Bounds) -> Result<Vec<i64>, Error> {
        let rows = i64::try_from(bounds.rows).unwrap_or(i64::MAX);
        if !has_time(self.mode) {
            return Ok(vec![self.last, rows]);
        }
        let upper = now(connection)?.saturating_sub(bounds.delay);
        let id = (self.mode == SourceMode::TimestampIncrementing).then_some(self.last);
        Ok([self.time, rows, upper].into_iter().chain(id).collect())
    }
}

/// Reads a page. A row whose value is not of its declared type, or whose time is none, is `Definite`: skipping it would lose
/// it.
pub(crate) fn read(connection: &Connection, table: &Table, cursor: &mut Cursor, bounds: Bounds) -> Result<Page, Error> {
    let parameters = cursor.parameters(connection, bounds)?;
    let (mut found, is_last) = rows(connection, table, cursor.mode, (&table.statements.page, &parameters), bounds)?;
    if let Some(last) = found.last().map(|row| row.time).filter(|_| cursor.mode == SourceMode::Timestamp && !is_last) {
        // A full page may end amid rows of one time: those wait for the next page, or are read all at once.
        let before = found.iter().take_while(|row| row.time != last).count();
        if before > 0 {
            found.truncate(before);
        } else {
            let all = Bounds { rows: usize::MAX, bytes: usize::MAX, ..bounds };
            (found, _) = rows(connection, table, cursor.mode, (&table.statements.ties, &[last]), all)?;
        }
    }
    let times: Vec<i64> = found.iter().map(|row| row.time).collect();
    let mut records = Vec::with_capacity(found.len());
    for (at, row) in found.into_iter().enumerate() {
        cursor.step(&row);
        // A task cannot go on between two rows of one time.
        let is_tied = cursor.mode == SourceMode::Timestamp && times.get(at + 1).is_some_and(|next| *next == row.time);
        let position = (!is_tied).then(|| position(table, cursor.stored(false)));
        records.push(SourceRecord { record: row.record, position });
    }
    let mut progress = Vec::new();
    if is_bulk(cursor.mode) && is_last {
        cursor.run += 1;
        progress.push(position(table, cursor.stored(true)));
        cursor.last = i64::MIN;
    }
    Ok(Page { records, progress, is_last })
}

/// Rows of a statement, and whether it had no more.
fn rows(
    connection: &Connection,
    table: &Table,
    mode: SourceMode,
    (sql, parameters): (&str, &[i64]),
    bounds: Bounds,
) -> Result<(Vec<Found>, bool), Error> {
    let at = || Error::at(format!("cannot read table {}", table.name));
    let mut statement = connection.prepare_cached(sql).map_err(at())?;
    let mut rows = statement.query(params_from_iter(parameters)).map_err(at())?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next().map_err(at())? {
        let id: Option<i64> = row.get(0).map_err(at())?;
        let time: Option<i64> = row.get(1).map_err(at())?;
        if time.is_none() && has_time(mode) {
            return Err(Error::Definite(format!(
                "timestamp.column.name: a row of table {} holds a value that is no time; mend the row, then restart the task",
                table.name
            )));
        }
        let (id, time) = (id.unwrap_or(i64::MIN), time.unwrap_or(i64::MIN));
        let record = record_of(row, table, &mut bytes).map_err(at())?.ok_or_else(|| unreadable(table, id))?;
        found.push(Found { record, id, time });
        if found.len() >= bounds.rows || bytes >= bounds.bytes {
            return Ok((found, false));
        }
    }
    Ok((found, true))
}

fn unreadable(table: &Table, row: i64) -> Error {
    let place = if row == i64::MIN { String::new() } else { format!(", in the row at {row}") };
    Error::Definite(format!(
        "table {} holds a value that its column's declared type cannot express{place}; mend the row, then restart the task",
        table.name
    ))
}

fn position(table: &Table, stored: SourceOffset) -> SourcePosition {
    SourcePosition { partition: Arc::clone(&table.partition), offset: Arc::new(stored) }
}

fn record_of(row: &Row<'_>, table: &Table, bytes: &mut usize) -> rusqlite::Result<Option<Record>> {
    let Kind::Struct(fields) = &table.schema.kind else { return Ok(None) };
    let mut values = Vec::with_capacity(fields.len());
    for (at, field) in fields.iter().enumerate() {
        let stored = row.get_ref(at + 2)?;
        *bytes += stored.as_bytes_or_null().ok().flatten().map_or(8, <[u8]>::len);
        let Some(value) = types::read(stored, &field.schema) else { return Ok(None) };
        values.push(value);
    }
    let key = table.key.as_ref().map_or(Datum { schema: None, value: Value::Null }, |schema| {
        let parts = table.key_columns.iter().filter_map(|at| values.get(*at).cloned()).collect();
        structure(schema, parts)
    });
    Ok(Some(Record {
        topic: Arc::clone(&table.topic),
        partition: None,
        key,
        value: structure(&table.schema, values),
        headers: Vec::new(),
        timestamp_ms: None,
    }))
}

fn structure(schema: &SchemaRef, values: Vec<Value>) -> Datum {
    let value = Value::Struct(Struct { schema: Arc::clone(schema), values });
    Datum { schema: Some(Arc::clone(schema)), value }
}
