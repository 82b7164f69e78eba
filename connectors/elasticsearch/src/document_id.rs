//! `_id` of a record: its key.
use elasticflow_api::RecordError;
use elasticflow_api::data::{Datum, Kind, Schema, Value};
use elasticflow_api::error::Stage;
use elasticflow_formats::string::write_text;

/// Elasticsearch's limit of an `_id`.
const ID_BYTES_MAX: usize = 512;

/// Appends the `_id` that a key stands for.
///
/// One field is its value; several are joined by the delimiter, with `%` and the delimiter's own signs written as `%XX`
/// inside them, so that different keys never give one `_id`.
pub(crate) fn write_id(key: &Datum, delimiter: &str, out: &mut String) -> Result<(), RecordError> {
    match &key.value {
        Value::Null => {
            return Err(bad(
                "the record has no key; set key.ignore=true to number documents by their offsets".to_owned()
            ));
        }
        Value::Struct(record) => {
            let Kind::Struct(fields) = &record.schema.kind else { return Err(bad("the key is malformed".to_owned())) };
            let parts = fields.iter().zip(&record.values).map(|(f, value)| (&*f.name, value, Some(f.schema.as_ref())));
            write_parts(parts, delimiter, out)?;
        }
        Value::Map(entries) => {
            let parts = entries.iter().map(|(name, value)| match name {
                Value::String(name) => (&**name, value, None),
                _ => ("", value, None),
            });
            write_parts(parts, delimiter, out)?;
        }
        value => write_scalar(value, key.schema.as_deref(), "the key", out)?,
    }
    if out.is_empty() {
        return Err(bad("the key is empty, and an empty _id is not allowed".to_owned()));
    }
    if out.len() > ID_BYTES_MAX {
        return Err(bad(format!("the key gives an _id of {} bytes; Elasticsearch allows {ID_BYTES_MAX}", out.len())));
    }
    Ok(())
}

fn write_parts<'a>(
    parts: impl ExactSizeIterator<Item = (&'a str, &'a Value, Option<&'a Schema>)>,
    delimiter: &str,
    out: &mut String,
) -> Result<(), RecordError> {
    let single = parts.len() == 1;
    let mut part = String::new();
    for (i, (name, value, schema)) in parts.enumerate() {
        if single {
            return write_scalar(value, schema, name, out);
        }
        part.clear();
        write_scalar(value, schema, name, &mut part)?;
        out.push_str(if i > 0 { delimiter } else { "" });
        write_escaped(&part, delimiter, out);
    }
    Ok(())
}

fn write_scalar(value: &Value, schema: Option<&Schema>, name: &str, out: &mut String) -> Result<(), RecordError> {
    match value {
        Value::String(text) => out.push_str(text),
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) | Value::Boolean(_) => {
            // The physical number: dates in keys are days or milliseconds, as written to the topic.
            write_text(value, None, out);
        }
        // A decimal's digits, or base64.
        Value::Bytes(_) => write_text(value, schema, out),
        Value::Null => return Err(bad(format!("field {name} of the key is null"))),
        Value::Float32(_) | Value::Float64(_) => {
            return Err(bad(format!("{name} is a floating point number, which is no key")));
        }
        Value::Array(_) | Value::Map(_) | Value::Struct(_) => {
            return Err(bad(format!("{name} is neither a number nor a text; flatten the key first")));
        }
    }
    Ok(())
}

fn write_escaped(part: &str, delimiter: &str, out: &mut String) {
    let mut bytes = [0; 4];
    for character in part.chars() {
        if character == '%' || delimiter.contains(character) {
            for byte in character.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        } else {
            out.push(character);
        }
    }
}

fn bad(reason: String) -> RecordError {
    RecordError { stage: Stage::TaskPut, reason, source: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elasticflow_api::data::Text;

    fn text(t: &str) -> Value {
        Value::String(Text::from(t))
    }

    fn id(value: Value) -> Result<String, String> {
        let mut out = String::new();
        write_id(&Datum { schema: None, value }, "_", &mut out).map(|()| out).map_err(|e| e.reason)
    }

    fn map(parts: &[(&str, Value)]) -> Value {
        Value::Map(parts.iter().map(|(name, value)| (text(name), value.clone())).collect())
    }

    #[test]
    fn a_single_field_is_its_value() {
        assert_eq!(id(Value::Int64(-5)).unwrap(), "-5");
        assert_eq!(id(text("a_b%")).unwrap(), "a_b%");
        assert_eq!(id(map(&[("id", Value::Int32(7))])).unwrap(), "7");
    }

    #[test]
    fn several_fields_are_joined_so_that_no_two_keys_meet() {
        assert_eq!(id(map(&[("a", text("x_y")), ("b", Value::Int8(1))])).unwrap(), "x%5Fy_1");
        assert_ne!(id(map(&[("a", text("x_")), ("b", text("y"))])), id(map(&[("a", text("x")), ("b", text("_y"))])));
        assert_ne!(id(map(&[("a", text("%5F")), ("b", text("y"))])), id(map(&[("a", text("_")), ("b", text("y"))])));
    }

    #[test]
    fn keys_that_are_no_id_are_refused_with_a_reason() {
        for (value, reason) in [
            (Value::Null, "no key"),
            (text(""), "empty"),
            (text(&"k".repeat(513)), "513 bytes"),
            (Value::Float64(1.0), "floating point"),
            (map(&[("a", Value::Null), ("b", Value::Int8(1))]), "field a of the key is null"),
            (map(&[("a", Value::Array(vec![])), ("b", Value::Int8(1))]), "neither a number nor a text"),
        ] {
            let error = id(value).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
