//! Data without a schema: a record with one field for each kind of value, of which one is set.
use crate::avro::binary::{Cursor, put_bytes, put_length, put_long};
use bytes::{BufMut, BytesMut};
use elasticflow_api::data::Value;
use elasticflow_formats::FormatError;
use elasticflow_formats::java::class_of;

/// Deepest nesting.
const DEPTH_MAX: u32 = 200;
/// Fields of the record, in their order: boolean, bytes, double, float, int, long, string, array, map.
const FIELDS: usize = 9;

/// The schema.
pub(crate) const SCHEMA: &str = r#"{"type":"record","name":"Anything","namespace":"io.confluent.connect.avro","fields":[{"name":"boolean","type":["null","boolean"],"default":null},{"name":"bytes","type":["null","bytes"],"default":null},{"name":"double","type":["null","double"],"default":null},{"name":"float","type":["null","float"],"default":null},{"name":"int","type":["null","int"],"default":null},{"name":"long","type":["null","long"],"default":null},{"name":"string","type":["null","string"],"default":null},{"name":"array","type":["null",{"type":"array","items":"Anything"}],"default":null},{"name":"map","type":["null",{"type":"array","items":{"type":"record","name":"MapEntry","fields":[{"name":"key","type":"Anything"},{"name":"value","type":"Anything"}]}}],"default":null}]}"#;

/// Appends a value.
pub(crate) fn write(value: &Value, out: &mut BytesMut) -> Result<(), FormatError> {
    put(value, DEPTH_MAX, out)
}

fn too_deep() -> FormatError {
    FormatError::data(format!("values are nested deeper than {DEPTH_MAX} levels"))
}

fn put(value: &Value, depth: u32, out: &mut BytesMut) -> Result<(), FormatError> {
    let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
    let place = match value {
        Value::Null => FIELDS,
        Value::Boolean(_) => 0,
        Value::Bytes(_) => 1,
        Value::Float64(_) => 2,
        Value::Float32(_) => 3,
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) => 4,
        Value::Int64(_) => 5,
        Value::String(_) => 6,
        Value::Array(_) => 7,
        Value::Map(_) => 8,
        Value::Struct(_) => {
            return Err(FormatError::data(format!("{} needs a schema", class_of(value, None))));
        }
    };
    out.put_bytes(0, place);
    if place == FIELDS {
        return Ok(());
    }
    put_long(1, out);
    put_content(value, depth, out)?;
    out.put_bytes(0, FIELDS.saturating_sub(place).saturating_sub(1));
    Ok(())
}

fn put_content(value: &Value, depth: u32, out: &mut BytesMut) -> Result<(), FormatError> {
    match value {
        Value::Boolean(b) => out.put_u8(u8::from(*b)),
        Value::Bytes(bytes) => put_bytes(bytes, out),
        Value::Float64(n) => out.put_f64_le(*n),
        Value::Float32(n) => out.put_f32_le(*n),
        Value::Int8(n) => put_long(i64::from(*n), out),
        Value::Int16(n) => put_long(i64::from(*n), out),
        Value::Int32(n) => put_long(i64::from(*n), out),
        Value::Int64(n) => put_long(*n, out),
        Value::String(text) => put_bytes(text.as_bytes(), out),
        Value::Array(values) => {
            if !values.is_empty() {
                put_length(values.len(), out);
            }
            values.iter().try_for_each(|value| put(value, depth, out))?;
            out.put_u8(0);
        }
        Value::Map(entries) => {
            if !entries.is_empty() {
                put_length(entries.len(), out);
            }
            for (key, value) in entries {
                put(key, depth, out)?;
                put(value, depth, out)?;
            }
            out.put_u8(0);
        }
        Value::Null | Value::Struct(_) => {}
    }
    Ok(())
}

/// Reads a value.
pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Value, FormatError> {
    take(cursor, DEPTH_MAX)
}

fn take(cursor: &mut Cursor<'_>, depth: u32) -> Result<Value, FormatError> {
    let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
    let mut value = Value::Null;
    for place in 0..FIELDS {
        match cursor.long()? {
            0 => continue,
            1 => {}
            _ => return cursor.fail("a union has no such branch"),
        }
        value = match place {
            0 => Value::Boolean(cursor.boolean()?),
            1 => Value::Bytes(cursor.bytes()?),
            2 => Value::Float64(f64::from_le_bytes(cursor.array()?)),
            3 => Value::Float32(f32::from_le_bytes(cursor.array()?)),
            4 => Value::Int32(cursor.int()?),
            5 => Value::Int64(cursor.long()?),
            6 => Value::String(cursor.text()?),
            7 => {
                let mut values = Vec::new();
                cursor.items(|cursor| {
                    values.push(take(cursor, depth)?);
                    Ok(())
                })?;
                Value::Array(values)
            }
            _ => {
                let mut entries = Vec::new();
                cursor.items(|cursor| {
                    entries.push((take(cursor, depth)?, take(cursor, depth)?));
                    Ok(())
                })?;
                Value::Map(entries)
            }
        };
    }
    Ok(value)
}
