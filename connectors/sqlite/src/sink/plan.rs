//! How records of one shape become statements: built once per shape, then reused.
use crate::config::{EnvelopeMode, InsertMode, PkMode, SinkConfig};
use crate::connection::quoted;
use crate::error::bad;
use elasticflow_api::RecordError;
use elasticflow_api::data::{Datum, Kind, Record, Schema, SchemaRef, Value};
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
    /// Type, for values with a logical type and for creating the column.
    pub(crate) schema: Option<SchemaRef>,
    /// Part of the primary key.
    pub(crate) in_key: bool,
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
        (Some(schema), _) => schema.name.as_deref().is_some_and(|n| n.ends_with(".Envelope")),
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
pub(crate) fn columns(config: &SinkConfig, record: &Record, change: &Change<'_>) -> Result<Vec<Column>, RecordError> {
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
            columns.push(Column { name, from: From::ValueField(at), schema, in_key: false });
        }
    }
    Ok(columns)
}

type Named = (Arc<str>, Option<SchemaRef>);

fn key_columns(config: &SinkConfig, record: &Record, row: Option<&[Named]>) -> Result<Vec<Column>, RecordError> {
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
        Column { name: Arc::from(name), from, schema: Some(Arc::new(plain(kind))), in_key: true }
    });
    columns.collect()
}

fn record_key_columns(config: &SinkConfig, key: &Datum) -> Result<Vec<Column>, RecordError> {
    if key.value == Value::Null {
        return Err(bad("pk.mode=record_key needs a key, and the record has none"));
    }
    if let Some(fields) = fields_of(key.schema.as_ref(), &key.value) {
        return pick(&config.pk_fields, &fields, From::KeyField);
    }
    match config.pk_fields.as_slice() {
        [name] => Ok(vec![Column {
            name: Arc::from(name.as_str()),
            from: From::Key,
            schema: key.schema.clone(),
            in_key: true,
        }]),
        _ => Err(bad("the key is a plain value: name its one column in pk.fields")),
    }
}

/// The named fields, or all.
fn pick(names: &[String], fields: &[Named], from: fn(usize) -> From) -> Result<Vec<Column>, RecordError> {
    let column = |at: usize, (name, schema): &Named| Column {
        name: Arc::clone(name),
        from: from(at),
        schema: schema.clone(),
        in_key: true,
    };
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

/// The statement that writes a row of these columns.
pub(crate) fn write_statement(mode: InsertMode, table: &str, columns: &[Column]) -> String {
    let names: Vec<String> = columns.iter().map(|c| quoted(&c.name)).collect();
    let marks: Vec<String> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
    let insert = format!("INSERT INTO {} ({}) VALUES ({})", quoted(table), names.join(", "), marks.join(", "));
    match mode {
        InsertMode::Insert => insert,
        InsertMode::Upsert => format!("{insert} ON CONFLICT ({}) DO {}", key_names(columns), upsert_action(columns)),
        InsertMode::Update => update_statement(table, columns),
    }
}

fn key_names(columns: &[Column]) -> String {
    columns.iter().filter(|c| c.in_key).map(|c| quoted(&c.name)).collect::<Vec<_>>().join(", ")
}

fn upsert_action(columns: &[Column]) -> String {
    let set: Vec<String> =
        columns.iter().filter(|c| !c.in_key).map(|c| quoted(&c.name)).map(|n| format!("{n} = excluded.{n}")).collect();
    if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", set.join(", ")) }
}

fn update_statement(table: &str, columns: &[Column]) -> String {
    let pairs = |in_key: bool, between: &str| {
        let texts = columns.iter().enumerate().filter(|(_, c)| c.in_key == in_key);
        texts.map(|(at, c)| format!("{} = ?{}", quoted(&c.name), at + 1)).collect::<Vec<_>>().join(between)
    };
    let set = pairs(false, ", ");
    // A table of key columns alone has nothing to change; the statement still must be valid.
    let set = if set.is_empty() { pairs(true, ", ") } else { set };
    format!("UPDATE {} SET {set} WHERE {}", quoted(table), pairs(true, " AND "))
}

/// The statement that deletes the row of a key.
pub(crate) fn delete_statement(table: &str, columns: &[Column]) -> String {
    let key = columns.iter().filter(|c| c.in_key).enumerate();
    let key: Vec<String> = key.map(|(at, c)| format!("{} = ?{}", quoted(&c.name), at + 1)).collect();
    format!("DELETE FROM {} WHERE {}", quoted(table), key.join(" AND "))
}

/// The table of a topic.
pub(crate) fn table_name(format: &str, topic: &str) -> String {
    let last = topic.rsplit('.').next().unwrap_or(topic);
    format.replace("${topic.last}", last).replace("${topic}", topic)
}
