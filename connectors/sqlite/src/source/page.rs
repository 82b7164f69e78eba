//! One page of rows, and where the next one begins.
use super::table::Table;
use super::{is_bulk, offset};
use crate::config::SourceMode;
use crate::error::Error;
use crate::types;
use elasticflow_api::data::{Datum, Kind, Record, SchemaRef, Struct, Value};
use elasticflow_api::position::{SourceOffset, SourcePosition};
use elasticflow_api::source::SourceRecord;
use elasticflow_sql::source::rounds::Reads;
use rusqlite::{Connection, Row, params};
use std::sync::Arc;

/// Where reading stands in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    bulk: bool,
    /// Last value read; smaller than every value before the first row.
    last: i64,
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

impl Cursor {
    /// From a stored offset; one that cannot be read is an error, never a fresh start.
    pub(crate) fn from_stored(mode: SourceMode, stored: Option<&SourceOffset>, table: &str) -> Result<Self, Error> {
        let bulk = is_bulk(mode);
        let Some(SourceOffset(stored)) = stored else { return Ok(Self { bulk, last: i64::MIN, run: 0 }) };
        let number = |key: &str| stored.get(key).and_then(serde_json::Value::as_i64);
        let cursor = if bulk {
            let done = stored.get("bulk_done").and_then(serde_json::Value::as_bool);
            match (number("bulk_run"), done) {
                (Some(run), Some(true)) => Some(Self { bulk, last: i64::MIN, run }),
                (Some(run), Some(false)) => number("bulk_key").map(|last| Self { bulk, last, run }),
                _ => None,
            }
        } else {
            number("incrementing").map(|last| Self { bulk, last, run: 0 })
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
        if self.bulk {
            return offset([
                ("bulk_run", self.run.into()),
                ("bulk_key", self.last.into()),
                ("bulk_done", is_done.into()),
            ]);
        }
        offset([("incrementing", self.last.into())])
    }
}

/// Reads a page. A row whose value is not of its declared type is `Definite`: skipping it would lose it.
pub(crate) fn read(
    connection: &Connection,
    table: &Table,
    cursor: &mut Cursor,
    rows_max: usize,
    bytes_max: usize,
) -> Result<Page, Error> {
    let at = || Error::at(format!("cannot read table {}", table.name));
    let mut statement = connection.prepare_cached(&table.page_sql).map_err(at())?;
    let mut rows = statement.query(params![cursor.last, i64::try_from(rows_max).unwrap_or(i64::MAX)]).map_err(at())?;
    let (mut records, mut bytes, mut is_last) = (Vec::new(), 0, true);
    while let Some(row) = rows.next().map_err(at())? {
        cursor.last = row.get(0).map_err(at())?;
        let record = record_of(row, table, &mut bytes).map_err(at())?.ok_or_else(|| unreadable(table, cursor.last))?;
        records.push(SourceRecord { record, position: Some(position(table, cursor.stored(false))) });
        if records.len() >= rows_max || bytes >= bytes_max {
            is_last = false;
            break;
        }
    }
    let mut progress = Vec::new();
    if cursor.bulk && is_last {
        cursor.run += 1;
        progress.push(position(table, cursor.stored(true)));
        cursor.last = i64::MIN;
    }
    Ok(Page { records, progress, is_last })
}

fn unreadable(table: &Table, row: i64) -> Error {
    Error::Definite(format!(
        "table {} holds a value that its column's declared type cannot express, in the row at {row}; mend the row, then restart the task",
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
        let stored = row.get_ref(at + 1)?;
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
