//! Rows of csv: a header from the schema, decimals as plain digits, times as ISO 8601, bytes as base64, what is nested as
//! JSON. A null is an empty field, an empty text is a pair of quotes.
use crate::error::bad;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};
use elasticflow_api::RecordError;
use elasticflow_api::data::{Datum, Field, Kind, Schema, SchemaRef, Value};
use elasticflow_formats::calendar::{write_date, write_time, write_timestamp};
use elasticflow_formats::decimal::decimal_text;
use elasticflow_formats::json::JsonConverter;
use elasticflow_formats::logical::{Logical, logical_of};
use elasticflow_formats::string::write_text;
use std::sync::Arc;

/// Appends the header line of a schema.
pub(crate) fn header(schema: &SchemaRef, out: &mut BytesMut) {
    let Kind::Struct(fields) = &schema.kind else { return };
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        quoted(&field.name, out);
    }
    out.put_u8(b'\n');
}

/// Appends a row without its line feed.
pub(crate) fn row(value: &Datum, json: &JsonConverter, out: &mut BytesMut) -> Result<(), RecordError> {
    let Value::Struct(row) = &value.value else {
        return Err(bad("the value is no struct with a schema, which a csv row needs; use format json"));
    };
    let Kind::Struct(fields) = &row.schema.kind else { return Err(bad("the value's schema is no struct")) };
    for (at, (field, cell)) in fields.iter().zip(&row.values).enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        field_of(field, cell, json, out)?;
    }
    Ok(())
}

fn field_of(field: &Field, cell: &Value, json: &JsonConverter, out: &mut BytesMut) -> Result<(), RecordError> {
    let schema: &Schema = &field.schema;
    match (cell, logical_of(schema)) {
        (Value::Null, _) => {}
        (Value::String(text), _) => quoted(text, out),
        (Value::Int32(days), Some(Logical::Date)) => write_date(i64::from(*days), out),
        (Value::Int32(ms), Some(Logical::Time)) => write_time(i64::from(*ms), 3, out),
        (Value::Int64(ms), Some(Logical::Timestamp)) => write_timestamp(*ms, 3, out),
        (Value::Bytes(unscaled), Some(Logical::Decimal(scale))) => {
            out.extend_from_slice(decimal_text(unscaled, scale.unwrap_or(0)).as_bytes());
        }
        (Value::Bytes(bytes), _) => quoted(&STANDARD.encode(bytes), out),
        (Value::Array(_) | Value::Map(_) | Value::Struct(_), _) => {
            let datum = Datum { schema: Some(Arc::clone(&field.schema)), value: cell.clone() };
            let mut text = BytesMut::new();
            json.write(&datum, &mut text)
                .map_err(|e| bad(format!("field {} is not to be written as JSON: {e}", field.name)))?;
            quoted(&String::from_utf8_lossy(&text), out);
        }
        _ => {
            let mut text = String::new();
            write_text(cell, Some(schema), &mut text);
            out.extend_from_slice(text.as_bytes());
        }
    }
    Ok(())
}

fn quoted(text: &str, out: &mut BytesMut) {
    let is_plain = !text.is_empty() && !text.bytes().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r'));
    if is_plain {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.put_u8(b'"');
    for (at, piece) in text.split('"').enumerate() {
        if at > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(piece.as_bytes());
    }
    out.put_u8(b'"');
}
