//! Stored values as Connect's types (`docs/connectors/sqlite.md` has the table).
use elasticflow_api::data::{Kind, Schema, Text, Value};
use rusqlite::types::ValueRef;

/// Schema of a column by its declared type (SQLite's affinity rules, plus BOOLEAN).
pub(crate) fn column_schema(declared: &str, not_null: bool) -> Schema {
    let declared = declared.to_ascii_uppercase();
    let has = |word: &str| declared.contains(word);
    let kind = if has("BOOL") {
        Kind::Boolean
    } else if has("INT") {
        Kind::Int64
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        Kind::Float64
    } else if declared.is_empty() || has("BLOB") {
        Kind::Bytes
    } else {
        Kind::String
    };
    Schema { kind, name: None, version: None, optional: !not_null, default: None, doc: None, parameters: [].into() }
}

/// A stored value as the declared type has it; `None` when the conversion would lose something.
pub(crate) fn read(stored: ValueRef<'_>, schema: &Schema) -> Option<Value> {
    Some(match (stored, &schema.kind) {
        (ValueRef::Null, _) if schema.optional => Value::Null,
        (ValueRef::Integer(n), Kind::Int64) => Value::Int64(n),
        (ValueRef::Integer(n @ (0 | 1)), Kind::Boolean) => Value::Boolean(n == 1),
        (ValueRef::Integer(n), Kind::Float64) if n.unsigned_abs() < 1 << 53 => {
            #[expect(clippy::cast_precision_loss, reason = "below 2^53 the conversion is exact")]
            let x = n as f64;
            Value::Float64(x)
        }
        (ValueRef::Integer(n), Kind::String) => Value::String(Text::from(n.to_string())),
        (ValueRef::Real(x), Kind::Float64) => Value::Float64(x),
        (ValueRef::Text(bytes), Kind::String) => Value::String(Text::from(std::str::from_utf8(bytes).ok()?)),
        (ValueRef::Blob(bytes) | ValueRef::Text(bytes), Kind::Bytes) => {
            Value::Bytes(bytes::Bytes::copy_from_slice(bytes))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_class_is_read_only_when_nothing_is_lost() {
        let integer = column_schema("INTEGER", true);
        assert_eq!(read(ValueRef::Integer(7), &integer), Some(Value::Int64(7)));
        assert_eq!(read(ValueRef::Text(b"7"), &integer), None);
        assert_eq!(read(ValueRef::Null, &integer), None);
        assert_eq!(read(ValueRef::Integer(2), &column_schema("BOOLEAN", false)), None);
    }
}
