//! Pages of rows as records.
use super::columns::value_of;
use super::config::SourceMode;
use super::cursor::Cursor;
use super::dialect::SourceDialect;
use super::table::Table;
use crate::calendar::read_timestamp;
use crate::error::Error;
use crate::session::{TextRow, text};
use elasticflow_api::data::{Datum, Kind, Record, SchemaRef, Struct, Value};
use elasticflow_api::position::SourcePosition;
use elasticflow_api::source::SourceRecord;
use std::sync::Arc;

/// Turns rows of a table into records, each with the position after it.
pub(crate) struct Reader<'a> {
    pub(crate) table: &'a Table,
    pub(crate) dialect: &'static dyn SourceDialect,
    pub(crate) mode: SourceMode,
}

impl Reader<'_> {
    /// Records of a page, and the cursor after it. A row whose time is also the next row's has no position: a task cannot
    /// go on between the two.
    pub(crate) fn records(&self, rows: &[TextRow], cursor: &mut Cursor) -> Result<Vec<SourceRecord>, Error> {
        let times = rows.iter().map(|row| self.time(row)).collect::<Result<Vec<_>, _>>()?;
        let mut records = Vec::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            let (record, values) = self.record(row)?;
            let time = times.get(at).copied().flatten();
            self.step(cursor, row, &values, time)?;
            let is_tied = self.mode == SourceMode::Timestamp && times.get(at + 1).is_some_and(|next| *next == time);
            let resumable = self.mode != SourceMode::Bulk || !self.table.order.is_empty();
            let position = (!is_tied && resumable).then(|| self.position(cursor));
            records.push(SourceRecord { record, position });
        }
        Ok(records)
    }

    /// Where a cursor stands, as stored.
    pub(crate) fn position(&self, cursor: &Cursor) -> SourcePosition {
        SourcePosition { partition: Arc::clone(&self.table.partition), offset: Arc::new(cursor.stored(self.mode)) }
    }

    fn step(&self, cursor: &mut Cursor, row: &TextRow, values: &[Value], time: Option<i64>) -> Result<(), Error> {
        cursor.time = time;
        if let Some(at) = self.table.id_at {
            cursor.id = match values.get(at) {
                Some(Value::Int8(n)) => Some(i64::from(*n)),
                Some(Value::Int16(n)) => Some(i64::from(*n)),
                Some(Value::Int32(n)) => Some(i64::from(*n)),
                Some(Value::Int64(n)) => Some(*n),
                _ => return Err(Error::Bug("a row without a value in the growing column was read")),
            };
        }
        if self.mode == SourceMode::Bulk && !self.table.order.is_empty() {
            let part = |at: &usize| text(row, *at).map(str::to_owned);
            let key: Option<Vec<String>> = self.table.order_at.iter().map(part).collect();
            cursor.key = Some(key.ok_or(Error::Definite {
                code: "SQL-0041",
                text: format!("a primary key of table {} is no text: read it with another mode", self.table.name),
            })?);
        }
        Ok(())
    }

    /// The time that follows the columns; none in the modes without one.
    pub(crate) fn time(&self, row: &TextRow) -> Result<Option<i64>, Error> {
        if !matches!(self.mode, SourceMode::Timestamp | SourceMode::TimestampIncrementing) {
            return Ok(None);
        }
        let last = row.len().saturating_sub(1);
        let time = text(row, last).and_then(|t| read_timestamp(t.trim_end_matches("+00")));
        time.map(Some).ok_or_else(|| Error::Config {
            code: "SQL-0011",
            text: format!("timestamp.column.name: a value of table {} is no date with a time", self.table.name),
        })
    }

    fn record(&self, row: &TextRow) -> Result<(Record, Vec<Value>), Error> {
        let table = self.table;
        let Kind::Struct(fields) = &table.schema.kind else { return Err(Error::Bug("a table's schema is a struct")) };
        let mut values = Vec::with_capacity(fields.len());
        for (at, field) in fields.iter().enumerate() {
            let cell = row.get(at).and_then(Option::as_ref);
            let value = value_of(cell, &field.schema, self.dialect.bytes()).ok_or_else(|| Error::Definite {
                code: "SQL-0061",
                text: format!(
                    "column {} of table {} holds a value that its Connect type cannot express; mend the row, then restart the task",
                    field.name, table.name
                ),
            })?;
            values.push(value);
        }
        let key = table.key.as_ref().map_or(Datum { schema: None, value: Value::Null }, |schema| {
            datum(schema, table.key_columns.iter().filter_map(|at| values.get(*at).cloned()).collect())
        });
        let value = datum(&table.schema, values.clone());
        let topic = Arc::clone(&table.topic);
        Ok((Record { topic, partition: None, key, value, headers: Vec::new(), timestamp_ms: None }, values))
    }
}

fn datum(schema: &SchemaRef, values: Vec<Value>) -> Datum {
    Datum { schema: Some(Arc::clone(schema)), value: Value::Struct(Struct { schema: Arc::clone(schema), values }) }
}
