//! Values to the text of a header.
use crate::calendar::{DAY_MS, write_date, write_time, write_timestamp};
use crate::decimal::decimal_text;
use crate::logical::{Logical, logical_of};
use crate::string::write_text;
use elasticflow_api::data::{Datum, Kind, Schema, Value};

/// Appends the text of a header value; a text at the top stays as it is, inside it is quoted.
pub fn write_datum(datum: &Datum, out: &mut String) {
    match &datum.value {
        Value::String(text) => out.push_str(text),
        value => write_embedded(value, datum.schema.as_deref(), out),
    }
}

fn write_embedded(value: &Value, schema: Option<&Schema>, out: &mut String) {
    match (schema.and_then(logical_of), value) {
        (Some(Logical::Decimal(scale)), Value::Bytes(bytes)) => {
            return out.push_str(&decimal_text(bytes, scale.unwrap_or(0)));
        }
        (Some(Logical::Date), Value::Int32(days)) => return write_moment(i64::from(*days) * DAY_MS, out),
        (Some(Logical::Time), Value::Int32(ms)) => return write_moment(i64::from(*ms), out),
        (Some(Logical::Timestamp), Value::Int64(ms)) => return write_moment(*ms, out),
        _ => {}
    }
    match value {
        Value::String(text) => write_quoted(text, out),
        Value::Array(values) => {
            let item = match schema.map(|s| &s.kind) {
                Some(Kind::Array(item)) => Some(item.as_ref()),
                _ => None,
            };
            out.push('[');
            for (i, value) in values.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write_embedded(value, item, out);
            }
            out.push(']');
        }
        Value::Map(entries) => write_map(entries, schema, out),
        Value::Struct(record) => {
            let Kind::Struct(fields) = &record.schema.kind else { return };
            out.push('{');
            for (i, (field, value)) in fields.iter().zip(&record.values).enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write_quoted(&field.name, out);
                out.push(':');
                write_embedded(value, Some(&field.schema), out);
            }
            out.push('}');
        }
        plain => write_text(plain, schema, out),
    }
}

fn write_map(entries: &[(Value, Value)], schema: Option<&Schema>, out: &mut String) {
    let (key_schema, value_schema) = match schema.map(|s| &s.kind) {
        Some(Kind::Map { key, value }) => (Some(key.as_ref()), Some(value.as_ref())),
        _ => (None, None),
    };
    out.push('{');
    for (i, (key, value)) in entries.iter().enumerate() {
        out.push_str(if i > 0 { "," } else { "" });
        write_embedded(key, key_schema, out);
        out.push(':');
        write_embedded(value, value_schema, out);
    }
    out.push('}');
}

fn write_quoted(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

/// The size of the number decides on the form, not the schema: Connect's way.
fn write_moment(ms: i64, out: &mut String) {
    let mut bytes = Vec::new();
    if ms < DAY_MS {
        write_time(ms.rem_euclid(DAY_MS), 3, &mut bytes);
        bytes.push(b'Z');
    } else if ms % DAY_MS == 0 {
        write_date(ms / DAY_MS, &mut bytes);
    } else {
        write_timestamp(ms, 3, &mut bytes);
    }
    out.extend(bytes.into_iter().map(char::from));
}
