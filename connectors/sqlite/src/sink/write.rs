//! Applies batches to the file.
use super::offsets::{Offsets, Stored};
use super::plan::{Change, Column, From, change_of, columns, delete_statement, table_name, write_statement};
use super::tables::{Allowed, Tables};
use crate::config::{InsertMode, SinkConfig};
use crate::error::{Error, bad, is_row_error};
use crate::types::parameter;
use elasticflow_api::RecordError;
use elasticflow_api::context::Errant;
use elasticflow_api::data::{Schema, SchemaRef, Value};
use elasticflow_api::position::{Offset, TopicPartition};
use elasticflow_api::sink::{SinkBatch, SinkRecord, StartAt};
use rusqlite::types::{ToSqlOutput, Value as Sql};
use rusqlite::{Connection, Transaction, TransactionBehavior, params_from_iter};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Shapes of records kept; more than a connector has topics and schema versions.
const SHAPES_MAX: usize = 256;

/// The one writer of a file: connection, offset table, known tables, known shapes.
pub(crate) struct Writer {
    connection: Connection,
    offsets: Offsets,
    config: SinkConfig,
    epochs: BTreeMap<TopicPartition, i64>,
    tables: Tables,
    shapes: HashMap<ShapeKey, Arc<Shape>>,
}

/// Records of one topic and pair of schemas share their statements. Schemas are compared by pointer: `Shape` keeps them.
#[derive(PartialEq, Eq, Hash)]
struct ShapeKey {
    topic: Arc<str>,
    key: usize,
    value: usize,
    is_delete: bool,
}

struct Shape {
    table: String,
    columns: Vec<Column>,
    statement: String,
    /// Keeps the schemas alive, so that no other schema gets their address.
    _schemas: [Option<SchemaRef>; 2],
}

impl Writer {
    pub(crate) fn new(connection: Connection, offsets: Offsets, config: SinkConfig) -> Self {
        Self { connection, offsets, config, epochs: BTreeMap::new(), tables: Tables::default(), shapes: HashMap::new() }
    }

    /// Takes partitions over: raises their epochs in one transaction.
    pub(crate) fn open(&mut self, new: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, StartAt>, Error> {
        let tx = begin(&mut self.connection)?;
        let mut rows = Vec::with_capacity(new.len());
        for tp in new {
            rows.push((tp.clone(), self.offsets.raise(&tx, tp)?));
        }
        tx.commit().map_err(Error::at("cannot commit the take-over of partitions"))?;
        self.epochs.extend(rows.iter().map(|(tp, row)| (tp.clone(), row.epoch)));
        Ok(rows.into_iter().map(|(tp, row)| (tp, row.next.map_or(StartAt::Group, StartAt::Stored))).collect())
    }

    /// Forgets partitions.
    pub(crate) fn close(&mut self, gone: &[TopicPartition]) {
        self.epochs.retain(|tp, _| !gone.contains(tp));
    }

    /// One batch, one transaction.
    pub(crate) fn put(&mut self, batch: &SinkBatch, errant: &dyn Errant, now_ms: i64) -> Result<(), Error> {
        self.prepare_shapes(batch)?;
        let Self { connection, offsets, config, epochs, shapes, .. } = self;
        let tx = begin(connection)?;
        let stored = locked_rows(&tx, offsets, epochs, batch)?;
        for record in &batch.records {
            let next = stored.get(&record.origin.at).and_then(|row| row.next);
            if next.is_some_and(|next| record.origin.offset < next) {
                continue;
            }
            if let Err(refused) = apply(&tx, config, shapes, record) {
                errant.reject(record, refused.into_record()?)?;
            }
        }
        for (tp, next) in &batch.consumed.0 {
            let behind = stored.get(tp).and_then(|row| row.next).is_none_or(|stored| stored < *next);
            if behind {
                offsets.advance(&tx, tp, *next, now_ms)?;
            }
        }
        tx.commit().map_err(Error::at("cannot commit a batch"))
    }

    /// Creates and extends tables before the data's transaction: DDL is a transaction of its own.
    fn prepare_shapes(&mut self, batch: &SinkBatch) -> Result<(), Error> {
        if self.shapes.len() > SHAPES_MAX {
            self.shapes.clear();
        }
        let allowed = Allowed { create: self.config.auto_create, evolve: self.config.auto_evolve };
        for record in &batch.records {
            let Ok(change) = change_of(self.config.envelope, &record.record.value) else { continue };
            let Some(key) = shape_key(record, &change) else { continue };
            if self.shapes.contains_key(&key) {
                continue;
            }
            let Ok(columns) = columns(&self.config, &record.record, &change) else { continue };
            let table = table_name(&self.config.table_name_format, &record.record.topic);
            if !key.is_delete {
                self.tables.ensure(&self.connection, &table, &columns, allowed)?;
            }
            let shape = Shape::new(&self.config, table, columns, record);
            // A schemaless shape differs from record to record; its table is checked, its statement is built again.
            if key.value != 0 || key.is_delete {
                self.shapes.insert(key, Arc::new(shape));
            }
        }
        Ok(())
    }
}

impl Shape {
    fn new(config: &SinkConfig, table: String, columns: Vec<Column>, record: &SinkRecord) -> Self {
        let is_delete = matches!(change_of(config.envelope, &record.record.value), Ok(Change::Delete));
        let statement = if is_delete {
            delete_statement(&table, &columns)
        } else {
            write_statement(config.insert_mode, &table, &columns)
        };
        let schemas = [record.record.key.schema.clone(), record.record.value.schema.clone()];
        Self { table, columns, statement, _schemas: schemas }
    }
}

/// A row that is bad, or an answer that ends the transaction.
enum Refused {
    Record(RecordError),
    Transaction(Error),
}

impl Refused {
    fn into_record(self) -> Result<RecordError, Error> {
        match self {
            Self::Record(record) => Ok(record),
            Self::Transaction(error) => Err(error),
        }
    }
}

impl std::convert::From<RecordError> for Refused {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

fn begin(connection: &mut Connection) -> Result<Transaction<'_>, Error> {
    // IMMEDIATE takes the write lock now: it is the fence. A deferred transaction could read an epoch that is no longer true.
    connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(Error::at("cannot take the write lock of the file"))
}

/// The rows of the batch's partitions under the lock; a larger epoch is another owner's.
fn locked_rows(
    tx: &Transaction<'_>,
    offsets: &Offsets,
    epochs: &BTreeMap<TopicPartition, i64>,
    batch: &SinkBatch,
) -> Result<BTreeMap<TopicPartition, Stored>, Error> {
    let mut rows = BTreeMap::new();
    for tp in batch.consumed.0.keys() {
        let mine = epochs.get(tp).copied();
        let row = offsets.read(tx, tp)?;
        match (mine, row) {
            (Some(mine), Some(row)) if row.epoch == mine => rows.insert(tp.clone(), row),
            (Some(mine), Some(row)) if row.epoch > mine => return Err(Error::Fenced),
            _ => {
                return Err(Error::Definite(format!(
                    "the offset row of {}-{} was changed by hand; restart the connector",
                    tp.topic, tp.partition
                )));
            }
        };
    }
    Ok(rows)
}

fn shape_key(record: &SinkRecord, change: &Change<'_>) -> Option<ShapeKey> {
    let address = |schema: Option<&SchemaRef>| schema.map_or(0, |s| Arc::as_ptr(s) as usize);
    let is_delete = match change {
        Change::Write(..) => false,
        Change::Delete => true,
        Change::Nothing => return None,
    };
    let value = if is_delete { 0 } else { address(record.record.value.schema.as_ref()) };
    Some(ShapeKey {
        topic: Arc::clone(&record.record.topic),
        key: address(record.record.key.schema.as_ref()),
        value,
        is_delete,
    })
}

fn apply(
    tx: &Transaction<'_>,
    config: &SinkConfig,
    shapes: &HashMap<ShapeKey, Arc<Shape>>,
    record: &SinkRecord,
) -> Result<(), Refused> {
    let change = change_of(config.envelope, &record.record.value)?;
    let Some(key) = shape_key(record, &change) else { return Ok(()) };
    if key.is_delete && !config.delete_enabled {
        return Err(bad("a null value or delete event, and delete.enabled is false").into());
    }
    let known = shapes.get(&key).filter(|_| key.value != 0 || record.record.key.schema.is_some());
    let shape = match known {
        Some(shape) => Arc::clone(shape),
        None => {
            let table = table_name(&config.table_name_format, &record.record.topic);
            let columns = columns(config, &record.record, &change)?;
            Arc::new(Shape::new(config, table, columns, record))
        }
    };
    let row = match &change {
        Change::Write(_, row) => Some(*row),
        Change::Delete | Change::Nothing => None,
    };
    execute(tx, config, &shape, record, row)
}

fn execute(
    tx: &Transaction<'_>,
    config: &SinkConfig,
    shape: &Shape,
    record: &SinkRecord,
    row: Option<&Value>,
) -> Result<(), Refused> {
    let used = shape.columns.iter().filter(|c| row.is_some() || c.in_key);
    let parameters: Result<Vec<ToSqlOutput<'_>>, RecordError> = used.map(|c| bind(c, record, row)).collect();
    let parameters = parameters?;
    let outcome = tx.prepare_cached(&shape.statement).and_then(|mut s| s.execute(params_from_iter(parameters)));
    match outcome {
        Ok(0) if row.is_some() && config.insert_mode == InsertMode::Update => {
            tracing::debug!(table = shape.table, "an update found no row");
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) if is_row_error(&error) => Err(bad(format!("table {}: {error}", shape.table)).into()),
        Err(error) => Err(Refused::Transaction(Error::at(format!("cannot write to table {}", shape.table))(error))),
    }
}

/// The value of a column.
fn bind<'a>(column: &Column, record: &'a SinkRecord, row: Option<&'a Value>) -> Result<ToSqlOutput<'a>, RecordError> {
    let schema: Option<&Schema> = column.schema.as_deref();
    match column.from {
        From::Topic => Ok(ToSqlOutput::from(&*record.origin.at.topic)),
        From::Partition => Ok(ToSqlOutput::Owned(Sql::Integer(i64::from(record.origin.at.partition)))),
        From::Offset => {
            let Offset(offset) = record.origin.offset;
            Ok(ToSqlOutput::Owned(Sql::Integer(offset)))
        }
        From::Key => parameter(&record.record.key.value, schema),
        From::KeyField(at) => parameter(nth(Some(&record.record.key.value), at), schema),
        From::ValueField(at) => parameter(nth(row, at), schema),
    }
}

fn nth(value: Option<&Value>, at: usize) -> &Value {
    let found = match value {
        Some(Value::Struct(s)) => s.values.get(at),
        Some(Value::Map(pairs)) => pairs.get(at).map(|(_, v)| v),
        _ => None,
    };
    found.unwrap_or(&Value::Null)
}
