//! Connect's types in SQLite and back (`docs/connectors/sqlite.md` has the table).
use crate::error::bad;
use chrono::DateTime;
use elasticflow_api::RecordError;
use elasticflow_api::data::{Kind, Schema, Text, Value};
use num_bigint::BigInt;
use rusqlite::types::{ToSqlOutput, Value as Sql, ValueRef};

const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
const DATE: &str = "org.apache.kafka.connect.data.Date";
const TIME: &str = "org.apache.kafka.connect.data.Time";
const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";
const DEBEZIUM_DATE: &str = "io.debezium.time.Date";
const DEBEZIUM_TIMESTAMP: &str = "io.debezium.time.Timestamp";
const DEBEZIUM_MICRO_TIMESTAMP: &str = "io.debezium.time.MicroTimestamp";
const MS_A_DAY: i64 = 86_400_000;

/// Declared type of a column that the sink creates.
pub(crate) fn declared_type(schema: &Schema) -> &'static str {
    if is_text_at_rest(schema) {
        return "TEXT";
    }
    match schema.kind {
        Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 | Kind::Boolean => "INTEGER",
        Kind::Float32 | Kind::Float64 => "REAL",
        Kind::Bytes => "BLOB",
        Kind::String | Kind::Array(_) | Kind::Map { .. } | Kind::Struct(_) => "TEXT",
    }
}

fn is_text_at_rest(schema: &Schema) -> bool {
    matches!(
        schema.name.as_deref(),
        Some(DECIMAL | DATE | TIME | TIMESTAMP | DEBEZIUM_DATE | DEBEZIUM_TIMESTAMP | DEBEZIUM_MICRO_TIMESTAMP)
    )
}

/// A value as a parameter; what SQLite cannot hold exactly is a bad record.
pub(crate) fn parameter<'a>(value: &'a Value, schema: Option<&Schema>) -> Result<ToSqlOutput<'a>, RecordError> {
    if let Some(text) = schema.map_or(Ok(None), |s| logical_text(value, s))? {
        return Ok(ToSqlOutput::Owned(Sql::Text(text)));
    }
    Ok(match value {
        Value::Null => ToSqlOutput::Owned(Sql::Null),
        Value::Boolean(b) => ToSqlOutput::Owned(Sql::Integer(i64::from(*b))),
        Value::Int8(n) => ToSqlOutput::Owned(Sql::Integer(i64::from(*n))),
        Value::Int16(n) => ToSqlOutput::Owned(Sql::Integer(i64::from(*n))),
        Value::Int32(n) => ToSqlOutput::Owned(Sql::Integer(i64::from(*n))),
        Value::Int64(n) => ToSqlOutput::Owned(Sql::Integer(*n)),
        Value::Float32(x) => real(f64::from(*x))?,
        Value::Float64(x) => real(*x)?,
        Value::String(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        Value::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        Value::Array(_) | Value::Map(_) | Value::Struct(_) => {
            return Err(bad(
                "a nested value has no column type; flatten it or leave the field out with fields.whitelist",
            ));
        }
    })
}

/// SQLite turns NaN into NULL, so NaN is refused.
fn real(x: f64) -> Result<ToSqlOutput<'static>, RecordError> {
    if x.is_nan() {
        Err(bad("NaN cannot be stored: SQLite would turn it into NULL"))
    } else {
        Ok(ToSqlOutput::Owned(Sql::Real(x)))
    }
}

/// Text of a logical type: decimals as plain digits, times as ISO-8601 in UTC.
fn logical_text(value: &Value, schema: &Schema) -> Result<Option<String>, RecordError> {
    let Some(name) = schema.name.as_deref() else { return Ok(None) };
    let out_of_range = || bad("a date or time is out of range");
    let text = match (name, value) {
        (DECIMAL, Value::Bytes(unscaled)) => Some(plain_decimal(unscaled, scale_of(schema)?)),
        (DATE | DEBEZIUM_DATE, Value::Int32(days)) => {
            let at = DateTime::from_timestamp_millis(i64::from(*days) * MS_A_DAY).ok_or_else(out_of_range)?;
            Some(at.format("%Y-%m-%d").to_string())
        }
        (TIME, Value::Int32(ms)) => {
            let at = DateTime::from_timestamp_millis(i64::from(*ms)).ok_or_else(out_of_range)?;
            Some(at.format("%H:%M:%S%.3f").to_string())
        }
        (TIMESTAMP | DEBEZIUM_TIMESTAMP, Value::Int64(ms)) => {
            let at = DateTime::from_timestamp_millis(*ms).ok_or_else(out_of_range)?;
            Some(at.format("%Y-%m-%d %H:%M:%S%.3f").to_string())
        }
        (DEBEZIUM_MICRO_TIMESTAMP, Value::Int64(us)) => {
            let at = DateTime::from_timestamp_micros(*us).ok_or_else(out_of_range)?;
            Some(at.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
        }
        _ => None,
    };
    Ok(text)
}

fn scale_of(schema: &Schema) -> Result<i32, RecordError> {
    let scale = schema.parameters.get("scale").and_then(|s| s.parse().ok());
    scale.ok_or_else(|| bad("the schema of a Decimal has no parameter `scale`"))
}

/// Plain digits of an unscaled big-endian two's complement number.
fn plain_decimal(unscaled: &[u8], scale: i32) -> String {
    let number = BigInt::from_signed_bytes_be(unscaled);
    if scale <= 0 {
        let zeros = usize::try_from(-scale).unwrap_or_default();
        return if number == BigInt::ZERO { "0".to_owned() } else { format!("{number}{}", "0".repeat(zeros)) };
    }
    let scale = usize::try_from(scale).unwrap_or_default();
    let sign = if number.sign() == num_bigint::Sign::Minus { "-" } else { "" };
    let digits = format!("{:0>width$}", number.magnitude().to_string(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
    format!("{sign}{whole}.{fraction}")
}

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
    fn decimals_are_plain_digits() {
        for (unscaled, scale, text) in [
            (vec![0x04, 0xd2], 2, "12.34"),
            (vec![0xff], 3, "-0.001"),
            (vec![5], 0, "5"),
            (vec![5], -2, "500"),
            (vec![0], 2, "0.00"),
        ] {
            assert_eq!(plain_decimal(&unscaled, scale), text);
        }
    }

    #[test]
    fn a_value_of_another_class_is_read_only_when_nothing_is_lost() {
        let integer = column_schema("INTEGER", true);
        assert_eq!(read(ValueRef::Integer(7), &integer), Some(Value::Int64(7)));
        assert_eq!(read(ValueRef::Text(b"7"), &integer), None);
        assert_eq!(read(ValueRef::Null, &integer), None);
        assert_eq!(read(ValueRef::Integer(2), &column_schema("BOOLEAN", false)), None);
    }
}
