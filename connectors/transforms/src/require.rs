//! Shapes that a transform needs, refused in Connect's words.
use crate::error::data;
use elasticflow_api::RecordError;
use elasticflow_api::data::{Datum, Field, Kind, Schema, Struct, Value};
use elasticflow_formats::java::class_of;

/// Pairs of a map without schema.
pub(crate) type Pairs = Vec<(Value, Value)>;

/// A datum with a schema must hold a struct.
pub(crate) fn struct_of<'a>(datum: &'a mut Datum, purpose: &str) -> Result<&'a mut Struct, RecordError> {
    let schema = datum.schema.as_deref();
    match &mut datum.value {
        Value::Struct(record) => Ok(record),
        other => Err(not_a_struct(other, schema, purpose)),
    }
}

/// A datum without a schema must hold a map.
pub(crate) fn map_of<'a>(datum: &'a mut Datum, purpose: &str) -> Result<&'a mut Pairs, RecordError> {
    match &mut datum.value {
        Value::Map(pairs) => Ok(pairs),
        other => Err(not_a_map(other, purpose)),
    }
}

/// The refusal of [`struct_of`].
pub(crate) fn not_a_struct(value: &Value, schema: Option<&Schema>, purpose: &str) -> RecordError {
    data(format!("Only Struct objects supported for [{purpose}], found: {}", class_of(value, schema)))
}

/// The refusal of [`map_of`].
pub(crate) fn not_a_map(value: &Value, purpose: &str) -> RecordError {
    data(format!("Only Map objects supported in absence of schema for [{purpose}], found: {}", class_of(value, None)))
}

/// The fields of a struct's schema.
pub(crate) fn fields_of(schema: &Schema) -> Result<&[Field], RecordError> {
    match &schema.kind {
        Kind::Struct(fields) => Ok(fields),
        _ => Err(data("Cannot list fields on non-struct type")),
    }
}

/// The value of a text key.
pub(crate) fn entry<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a Value> {
    pairs.iter().find(|(key, _)| is_key(key, name)).map(|(_, value)| value)
}

/// The value of a text key, to change.
pub(crate) fn entry_mut<'a>(pairs: &'a mut Pairs, name: &str) -> Option<&'a mut Value> {
    pairs.iter_mut().find(|(key, _)| is_key(key, name)).map(|(_, value)| value)
}

/// Sets a text key.
pub(crate) fn put(pairs: &mut Pairs, name: &str, value: Value) {
    match entry_mut(pairs, name) {
        Some(there) => *there = value,
        None => pairs.push((Value::String(name.into()), value)),
    }
}

/// Whether a key of a map is this text.
pub(crate) fn is_key(key: &Value, name: &str) -> bool {
    matches!(key, Value::String(text) if &**text == name)
}
