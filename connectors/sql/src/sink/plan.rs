//! What a record asks for, and which columns its row has.
use crate::cell::Logical;
use crate::config::{EnvelopeMode, PkMode, SinkKeys};
use crate::error::bad;
use elasticflow_api::RecordError;
use elasticflow_api::data::{Datum, Kind, Record, Schema, SchemaRef, Text, Value};
use elasticflow_api::sink::SinkRecord;
use std::borrow::Cow;
use std::sync::Arc;

/// What a record asks for, envelopes taken off.
pub(crate) enum Change<'a> {
    /// Write this row.
    Write(Option<&'a SchemaRef>, &'a Value),
    /// Delete the row of the key.
    Delete,
    /// Nothing: an event that changes no row.
    Nothing,
}

/// Where a column's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// The whole key.
    Key,
    /// A field of the key.
    KeyField(usize),
    /// A field of the value.
    ValueField(usize),
    /// The record's topic.
    Topic,
    /// The record's partition.
    Partition,
    /// The record's offset.
    Offset,
}

/// A column of a statement.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Name in the table.
    pub(crate) name: Arc<str>,
    /// Where its value comes from.
    pub(crate) from: From,
    /// Type, for creating the column.
    pub(crate) schema: Option<SchemaRef>,
    /// How its values are understood.
    pub(crate) logical: Logical,
    /// Part of the primary key.
    pub(crate) in_key: bool,
}

impl Column {
    fn new(name: Arc<str>, from: From, schema: Option<SchemaRef>, in_key: bool) -> Self {
        let logical = Logical::of(schema.as_deref());
        Self { name, from, schema, logical, in_key }
    }

    /// The column's value in a record whose row is given.
    pub(crate) fn value<'a>(&self, record: &'a SinkRecord, row: Option<&'a Value>) -> Cow<'a, Value> {
        match self.from {
            From::Topic => Cow::Owned(Value::String(Text::from(&*record.origin.place().0.topic))),
            From::Partition => Cow::Owned(Value::Int32(record.origin.place().0.partition)),
            From::Offset => Cow::Owned(Value::Int64(record.origin.place().1.0)),
            From::Key => Cow::Borrowed(&record.record.key.value),
            From::KeyField(at) => Cow::Borrowed(nth(Some(&record.record.key.value), at)),
            From::ValueField(at) => Cow::Borrowed(nth(row, at)),
        }
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

/// Where the row of a change stands in the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowAt {
    /// It is the value.
    Whole,
    /// In this place of it.
    Member(usize),
    /// There is none.
    Nowhere,
}

impl RowAt {
    /// Of a change that was read from a value.
    pub(crate) fn of(change: &Change<'_>, value: &Value) -> Self {
        let Change::Write(_, row) = change else { return Self::Nowhere };
        let found = match value {
            Value::Struct(s) => s.values.iter().position(|member| std::ptr::eq(member, *row)),
            Value::Map(pairs) => pairs.iter().position(|(_, member)| std::ptr::eq(member, *row)),
            _ => None,
        };
        found.map_or(Self::Whole, Self::Member)
    }

    /// The row.
    pub(crate) fn row(self, value: &Value) -> Option<&Value> {
        match self {
            Self::Whole => Some(value),
            Self::Member(at) => Some(nth(Some(value), at)),
            Self::Nowhere => None,
        }
    }
}

/// Takes the envelope off a record's value.
pub(crate) fn change_of<'a>(mode: EnvelopeMode, value: &'a Datum) -> Result<Change<'a>, RecordError> {
    if value.value == Value::Null {
        return Ok(Change::Delete);
    }
    let is_event = match mode {
        EnvelopeMode::None => false,
        EnvelopeMode::Debezium => true,
        EnvelopeMode::Auto => looks_like_an_event(value),
    };
    if !is_event {
        return Ok(Change::Write(value.schema.as_ref(), &value.value));
    }
    let op =
        field(&value.value, "op").and_then(|(_, v)| text(v)).ok_or_else(|| bad("a change event has no field `op`"))?;
    match op {
        "c" | "r" | "u" => {
            let (schema, after) =
                field(&value.value, "after").ok_or_else(|| bad("a change event has no field `after`"))?;
            if *after == Value::Null {
                Err(bad("a change event's `after` is null"))
            } else {
                Ok(Change::Write(schema, after))
            }
        }
        "d" => Ok(Change::Delete),
        _ => Ok(Change::Nothing),
    }
}

fn looks_like_an_event(value: &Datum) -> bool {
    match (&value.schema, &value.value) {
        (Some(schema), _) => schema.is_envelope(),
        (None, Value::Map(_)) => {
            let has = |name| field(&value.value, name).is_some();
            has("op") && (has("before") || has("after"))
        }
        _ => false,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// A field of a struct or of a schemaless map.
fn field<'a>(value: &'a Value, name: &str) -> Option<(Option<&'a SchemaRef>, &'a Value)> {
    match value {
        Value::Struct(s) => {
            let Kind::Struct(fields) = &s.schema.kind else { return None };
            let at = fields.iter().position(|f| &*f.name == name)?;
            Some((Some(&fields.get(at)?.schema), s.values.get(at)?))
        }
        Value::Map(pairs) => pairs.iter().find(|(k, _)| text(k) == Some(name)).map(|(_, v)| (None, v)),
        _ => None,
    }
}

/// Names and schemas of a struct's or a map's fields, in order.
fn fields_of(schema: Option<&SchemaRef>, value: &Value) -> Option<Vec<(Arc<str>, Option<SchemaRef>)>> {
    match (schema.map(|s| &s.kind), value) {
        (Some(Kind::Struct(fields)), _) => {
            Some(fields.iter().map(|f| (Arc::clone(&f.name), Some(Arc::clone(&f.schema)))).collect())
        }
        (_, Value::Struct(s)) => fields_of(Some(&s.schema), &Value::Null),
        (_, Value::Map(pairs)) => pairs.iter().map(|(k, _)| text(k).map(|k| (Arc::from(k), None))).collect(),
        _ => None,
    }
}

/// The columns of a record's row: primary key first.
pub(crate) fn columns(config: &SinkKeys, record: &Record, change: &Change<'_>) -> Result<Vec<Column>, RecordError> {
    let row = match change {
        Change::Write(schema, value) => {
            Some(fields_of(*schema, value).ok_or_else(|| bad("the value is neither a struct nor a map"))?)
        }
        Change::Delete | Change::Nothing => None,
    };
    let mut columns = key_columns(config, record, row.as_deref())?;
    for (at, (name, schema)) in row.into_iter().flatten().enumerate() {
        let wanted = config.fields.is_empty() || config.fields.iter().any(|f| **f == *name);
        if wanted && columns.iter().all(|c| c.name != name) {
            columns.push(Column::new(name, From::ValueField(at), schema, false));
        }
    }
    Ok(columns)
}

type Named = (Arc<str>, Option<SchemaRef>);

fn key_columns(config: &SinkKeys, record: &Record, row: Option<&[Named]>) -> Result<Vec<Column>, RecordError> {
    match config.pk_mode {
        PkMode::None => Ok(Vec::new()),
        PkMode::Kafka => Ok(kafka_columns(&config.pk_fields)),
        PkMode::RecordKey => record_key_columns(config, &record.key),
        PkMode::RecordValue => {
            let row = row.ok_or_else(|| bad("pk.mode=record_value needs a value"))?;
            pick(&config.pk_fields, row, From::ValueField)
        }
    }
}

fn kafka_columns(names: &[String]) -> Vec<Column> {
    let defaults = [
        ("__connect_topic", From::Topic),
        ("__connect_partition", From::Partition),
        ("__connect_offset", From::Offset),
    ];
    let columns = defaults.into_iter().enumerate().map(|(at, (default, from))| {
        let name = names.get(at).map_or(default, String::as_str);
        let kind = if from == From::Topic { Kind::String } else { Kind::Int64 };
        Column::new(Arc::from(name), from, Some(Arc::new(plain(kind))), true)
    });
    columns.collect()
}

fn record_key_columns(config: &SinkKeys, key: &Datum) -> Result<Vec<Column>, RecordError> {
    if key.value == Value::Null {
        return Err(bad("pk.mode=record_key needs a key, and the record has none"));
    }
    if let Some(fields) = fields_of(key.schema.as_ref(), &key.value) {
        return pick(&config.pk_fields, &fields, From::KeyField);
    }
    match config.pk_fields.as_slice() {
        [name] => Ok(vec![Column::new(Arc::from(name.as_str()), From::Key, key.schema.clone(), true)]),
        _ => Err(bad("the key is a plain value: name its one column in pk.fields")),
    }
}

/// The named fields, or all.
fn pick(names: &[String], fields: &[Named], from: fn(usize) -> From) -> Result<Vec<Column>, RecordError> {
    let column = |at: usize, (name, schema): &Named| Column::new(Arc::clone(name), from(at), schema.clone(), true);
    if names.is_empty() {
        return Ok(fields.iter().enumerate().map(|(at, f)| column(at, f)).collect());
    }
    let find = |name: &String| {
        let at = fields.iter().position(|(n, _)| **n == **name);
        at.and_then(|at| Some(column(at, fields.get(at)?)))
            .ok_or_else(|| bad(format!("field {name} of pk.fields is missing")))
    };
    names.iter().map(find).collect()
}

/// A required schema without a name.
pub(crate) fn plain(kind: Kind) -> Schema {
    Schema { kind, name: None, version: None, optional: false, default: None, doc: None, parameters: [].into() }
}
