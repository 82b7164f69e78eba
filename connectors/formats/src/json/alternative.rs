//! What only some readers know: maps as lists of entries, and values of one of several types.
use crate::error::FormatError;
use crate::json::cursor::{Cursor, Token};
use crate::json::reader::{Reader, node_type};
use elasticflow_api::data::{SchemaRef, Struct, Value};
use std::sync::Arc;

/// Reads `[{"key":…,"value":…}]`.
pub(super) fn read_entries(
    readers: &(Reader, Reader),
    token: Token,
    cursor: &mut Cursor<'_>,
) -> Result<Value, FormatError> {
    if token != Token::Array {
        let found = node_type(token);
        return Err(FormatError::data(format!("Maps should be encoded as JSON arrays of entries, but found {found}")));
    }
    let mut entries = Vec::new();
    cursor.array(|cursor| {
        let (mut key, mut value) = (None, None);
        cursor.object(|cursor, name| {
            match &*name.owned(cursor)? {
                "key" => key = Some(readers.0.read(cursor)?),
                "value" => value = Some(readers.1.read(cursor)?),
                _ => cursor.skip()?,
            }
            Ok::<_, FormatError>(())
        })?;
        match (key, value) {
            (Some(key), Some(value)) => entries.push((key, value)),
            _ => return Err(FormatError::data("an entry of a map needs a key and a value")),
        }
        Ok::<_, FormatError>(())
    })?;
    Ok(Value::Map(entries))
}

/// Reads a value into the first field whose type it has.
pub(super) fn read_one_of(
    schema: &SchemaRef,
    readers: &[Reader],
    token: Token,
    cursor: &mut Cursor<'_>,
) -> Result<Value, FormatError> {
    let start = cursor.mark();
    let integral = token == Token::Number && cursor.number()?.integral;
    for (place, reader) in readers.iter().enumerate().filter(|(_, reader)| reader.takes(token, integral)) {
        cursor.again(start)?;
        if let Ok(value) = reader.read(cursor) {
            let mut values: Vec<Value> = std::iter::repeat_with(|| Value::Null).take(readers.len()).collect();
            if let Some(field) = values.get_mut(place) {
                *field = value;
            }
            return Ok(Value::Struct(Struct { schema: Arc::clone(schema), values }));
        }
    }
    Err(FormatError::data(format!("a value of type {} is none of those that a oneOf allows", node_type(token))))
}
