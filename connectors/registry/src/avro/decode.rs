//! Avro to values, by their plan.
use crate::avro::anything;
use crate::avro::binary::Cursor;
use crate::avro::reader::Read;
use elasticflow_api::data::{SchemaRef, Struct, Value};
use elasticflow_formats::FormatError;
use std::sync::Arc;

/// Reads a value.
pub(crate) fn read(plan: &Read, cursor: &mut Cursor<'_>) -> Result<Value, FormatError> {
    Ok(match plan {
        Read::Optional { null, inner } => {
            let branch = cursor.long()?;
            match branch {
                _ if branch == *null => Value::Null,
                0 | 1 => read(inner, cursor)?,
                _ => return cursor.fail("a union has no such branch"),
            }
        }
        Read::Text => Value::String(cursor.text()?),
        Read::Int64 => Value::Int64(cursor.long()?),
        Read::Int32 => Value::Int32(cursor.int()?),
        Read::Record { schema, fields } => read_record(schema, fields, cursor)?,
        Read::Int16 => match i16::try_from(cursor.int()?) {
            Ok(n) => Value::Int16(n),
            Err(_) => return cursor.fail("a number is longer than 16 bits"),
        },
        Read::Int8 => match i8::try_from(cursor.int()?) {
            Ok(n) => Value::Int8(n),
            Err(_) => return cursor.fail("a number is longer than 8 bits"),
        },
        Read::Float64 => Value::Float64(f64::from_le_bytes(cursor.array()?)),
        Read::Float32 => Value::Float32(f32::from_le_bytes(cursor.array()?)),
        Read::Boolean => Value::Boolean(cursor.boolean()?),
        Read::Bytes => Value::Bytes(cursor.bytes()?),
        Read::Whole => Value::Bytes(cursor.rest()),
        Read::Fixed(size) => Value::Bytes(cursor.slice(*size)?),
        Read::Enum(symbols) => {
            let place = usize::try_from(cursor.int()?).ok();
            match place.and_then(|place| symbols.get(place)) {
                Some(symbol) => Value::String(symbol.clone()),
                None => return cursor.fail("an enum has no such symbol"),
            }
        }
        Read::Array(item) => {
            let mut values = Vec::new();
            cursor.items(|cursor| {
                values.push(read(item, cursor)?);
                Ok(())
            })?;
            Value::Array(values)
        }
        Read::Map(of) => {
            let mut entries = Vec::new();
            cursor.items(|cursor| {
                entries.push((Value::String(cursor.text()?), read(of, cursor)?));
                Ok(())
            })?;
            Value::Map(entries)
        }
        Read::Entries(parts) => {
            let mut entries = Vec::new();
            cursor.items(|cursor| {
                entries.push((read(&parts.0, cursor)?, read(&parts.1, cursor)?));
                Ok(())
            })?;
            Value::Map(entries)
        }
        Read::Union { schema, branches, fields } => read_union(schema, branches, *fields, cursor)?,
        Read::Null => Value::Null,
        Read::Anything => anything::read(cursor)?,
    })
}

fn read_record(schema: &SchemaRef, fields: &[Read], cursor: &mut Cursor<'_>) -> Result<Value, FormatError> {
    let mut values = Vec::with_capacity(fields.len());
    for field in fields {
        values.push(read(field, cursor)?);
    }
    Ok(Value::Struct(Struct { schema: Arc::clone(schema), values }))
}

fn read_union(
    schema: &SchemaRef,
    branches: &[Option<(usize, Read)>],
    fields: usize,
    cursor: &mut Cursor<'_>,
) -> Result<Value, FormatError> {
    let branch = usize::try_from(cursor.long()?).ok();
    let Some(branch) = branch.and_then(|place| branches.get(place)) else {
        return cursor.fail("a union has no such branch");
    };
    let Some((field, plan)) = branch else { return Ok(Value::Null) };
    let mut values: Vec<Value> = std::iter::repeat_with(|| Value::Null).take(fields).collect();
    let read = read(plan, cursor)?;
    if let Some(value) = values.get_mut(*field) {
        *value = read;
    }
    Ok(Value::Struct(Struct { schema: Arc::clone(schema), values }))
}
