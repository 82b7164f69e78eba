//! Shapes: records of one topic and pair of schemas share table, columns and statements.
use super::plan::{Change, Column, RowAt, change_of, columns};
use crate::config::{DeleteOff, SinkKeys};
use crate::dialect::Dialect;
use crate::error::Error;
use crate::table::TableName;
use elasticflow_api::RecordError;
use elasticflow_api::data::{SchemaRef, Value};
use elasticflow_api::sink::SinkRecord;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Shapes kept; more than a connector has topics and schema versions.
const SHAPES_MAX: usize = 1024;

/// Where records of one kind go.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Their table; of a batch the one beside it.
    pub(crate) table: TableName,
    /// Their table once the batch is published.
    pub(crate) live: TableName,
    /// Its columns; those of the key first.
    pub(crate) columns: Vec<Column>,
    /// How many belong to the key.
    pub(crate) key_columns: usize,
    /// Whether the row of the key is deleted.
    pub(crate) is_delete: bool,
    /// What may be wrong with the table's name; empty when nothing is.
    pub(crate) hint: String,
    /// Keeps the schemas alive, so that no other schema gets their address.
    _schemas: [Option<SchemaRef>; 2],
}

/// A record with what it asks for.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// Which record of the batch.
    pub(crate) at: usize,
    /// Where it goes.
    pub(crate) shape: Arc<Shape>,
    /// Where its row stands.
    pub(crate) row: RowAt,
}

/// Schemas are compared by address; schemaless data by the names of its fields.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ShapeKey {
    topic: Arc<str>,
    key: u64,
    value: u64,
    is_delete: bool,
}

/// The shapes seen so far.
#[derive(Default)]
pub(crate) struct Shapes {
    known: HashMap<ShapeKey, Arc<Shape>>,
    /// Of the record before: mostly the next one has it too.
    last: Option<(ShapeKey, Arc<Shape>)>,
    /// Appended to the names of tables while a batch is staged.
    suffix: Option<String>,
}

/// Why a record has no shape.
pub(crate) enum NoShape {
    /// It changes no row.
    Nothing,
    /// It is bad.
    Bad(RecordError),
    /// The settings do not work for its topic.
    Stop(Error),
}

impl From<RecordError> for NoShape {
    fn from(error: RecordError) -> Self {
        Self::Bad(error)
    }
}

impl Shapes {
    /// The shape of a record, whether it is seen for the first time, and where the row stands.
    pub(crate) fn of(
        &mut self,
        keys: &SinkKeys,
        dialect: &dyn Dialect,
        record: &SinkRecord,
    ) -> Result<(Arc<Shape>, bool, RowAt), NoShape> {
        let change = change_of(keys.envelope, &record.record.value)?;
        let is_delete = match change {
            Change::Write(..) => false,
            Change::Delete => true,
            Change::Nothing => return Err(NoShape::Nothing),
        };
        if is_delete && !keys.delete_enabled {
            if keys.delete_off == DeleteOff::Skip {
                return Err(NoShape::Nothing);
            }
            return Err(crate::error::bad("a null value or delete event, and delete.enabled is false").into());
        }
        let at = RowAt::of(&change, &record.record.value.value);
        let row = row_of(&change);
        let known_by = ShapeKey {
            topic: Arc::clone(&record.record.topic),
            key: identity(record.record.key.schema.as_ref(), Some(&record.record.key.value)),
            value: if is_delete { 0 } else { identity(record.record.value.schema.as_ref(), row) },
            is_delete,
        };
        if let Some((last, shape)) = &self.last
            && *last == known_by
            && shape.fits(record, row)
        {
            return Ok((Arc::clone(shape), false, at));
        }
        if let Some(shape) = self.known.get(&known_by)
            && shape.fits(record, row)
        {
            self.last = Some((known_by, Arc::clone(shape)));
            return Ok((Arc::clone(shape), false, at));
        }
        let mut shape = Shape::new(keys, dialect, record, &change)?;
        if let Some(suffix) = &self.suffix {
            shape.table = shape.live.staged(suffix, dialect);
        }
        let shape = Arc::new(shape);
        if self.known.len() >= SHAPES_MAX {
            self.known.clear();
        }
        self.last = Some((known_by.clone(), Arc::clone(&shape)));
        self.known.insert(known_by, Arc::clone(&shape));
        Ok((shape, true, at))
    }

    /// What follows goes to tables beside the real ones.
    pub(crate) fn direct_to(&mut self, suffix: &str) {
        self.clear();
        self.suffix = Some(suffix.to_owned());
    }

    /// Forgets everything: a table has changed under the sink.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.last = None;
    }
}

impl Shape {
    fn new(keys: &SinkKeys, dialect: &dyn Dialect, record: &SinkRecord, change: &Change<'_>) -> Result<Self, NoShape> {
        let columns = columns(keys, &record.record, change)?;
        let most = dialect.identifier_max();
        if let Some(long) = columns.iter().find(|c| c.name.len() > most || c.name.is_empty() || c.name.contains('\0')) {
            let length = long.name.len();
            let text = format!("a field's name of {length} bytes is no column name: 1 to {most} bytes without NUL");
            return Err(crate::error::bad(text).into());
        }
        if columns.is_empty() {
            return Err(crate::error::bad("the record has no field to write").into());
        }
        let table = TableName::of_topic(keys, &record.record.topic, dialect).map_err(NoShape::Stop)?;
        Ok(Self {
            live: table.clone(),
            table,
            key_columns: columns.iter().filter(|c| c.in_key).count(),
            columns,
            is_delete: matches!(change, Change::Delete),
            hint: hint(keys, &record.record.topic),
            _schemas: [record.record.key.schema.clone(), record.record.value.schema.clone()],
        })
    }

    /// Schemas with one address are one; names of schemaless fields are compared, as a hash may lie.
    fn fits(&self, record: &SinkRecord, row: Option<&Value>) -> bool {
        use super::plan::From;
        let named = |value: Option<&Value>, at: usize, name: &str| match value {
            Some(Value::Map(pairs)) => {
                pairs.get(at).is_some_and(|(k, _)| matches!(k, Value::String(text) if **text == *name))
            }
            _ => true,
        };
        self.columns.iter().all(|c| match c.from {
            From::KeyField(at) => named(Some(&record.record.key.value), at, &c.name),
            From::ValueField(at) => named(row, at, &c.name),
            From::Key | From::Topic | From::Partition | From::Offset => true,
        })
    }
}

/// A topic such as `server.database.table` seldom names a table as a whole.
fn hint(keys: &SinkKeys, topic: &str) -> String {
    if !topic.contains('.') || !keys.table_name_format.contains("${topic}") {
        return String::new();
    }
    let last = topic.rsplit('.').next().unwrap_or(topic);
    format!(
        "; the name comes from topic {topic}: for table {last} set table.name.format=${{topic.last}}, or give the topic another name with the transform RegexRouter"
    )
}

/// The row of a change.
fn row_of<'a>(change: &Change<'a>) -> Option<&'a Value> {
    match change {
        Change::Write(_, row) => Some(row),
        Change::Delete | Change::Nothing => None,
    }
}

fn identity(schema: Option<&SchemaRef>, value: Option<&Value>) -> u64 {
    match (schema, value) {
        (Some(schema), _) => Arc::as_ptr(schema) as usize as u64,
        (None, Some(Value::Map(pairs))) => {
            let mut hasher = DefaultHasher::new();
            for (name, _) in pairs {
                if let Value::String(name) = name {
                    name.hash(&mut hasher);
                }
            }
            // Addresses are even, so that the two never meet.
            hasher.finish() | 1
        }
        (None, _) => 0,
    }
}
