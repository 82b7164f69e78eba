//! Connect's values as cells: what a column gets, logical types resolved once per shape.
use crate::error::bad;
use elasticflow_api::RecordError;
use elasticflow_api::data::{Kind, Schema, Value};
use num_bigint::BigInt;

/// A value on its way into a statement. Text and bytes are those of the record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Int(i64),
    /// A number of single precision.
    Float32(f32),
    /// A number of double precision.
    Float64(f64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Bits, the lowest byte first, and how many they are.
    Bits(&'a [u8], u32),
    /// Unscaled big-endian two's complement digits, and how many of them follow the point.
    Decimal(&'a [u8], i32),
    /// Days since 1970.
    Date(i64),
    /// Microseconds of a day.
    Time(i64),
    /// Microseconds since 1970, without a zone.
    Timestamp(i64),
    /// Microseconds since 1970 UTC, a moment in time.
    Instant(i64),
}

/// How a column's values are to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logical {
    /// By their physical type.
    Plain,
    /// Connect's Decimal of a scale.
    Decimal(i32),
    /// A struct of scale and digits.
    VariableDecimal,
    /// Days.
    Date,
    /// Units of a day; the number is units a second.
    Time(i64),
    /// Units since 1970 without a zone; the number is units a second.
    Timestamp(i64),
    /// ISO-8601 text with an offset.
    ZonedTimestamp,
    /// Bits, the lowest byte first, and how many they are.
    Bits(u32),
    /// No type of its own in any system here.
    Nested,
}

const MILLIS: i64 = 1_000;
const MICROS: i64 = 1_000_000;
const NANOS: i64 = 1_000_000_000;

impl Logical {
    /// Of a schema.
    pub fn of(schema: Option<&Schema>) -> Self {
        let Some(schema) = schema else { return Self::Plain };
        match schema.name.as_deref() {
            Some("org.apache.kafka.connect.data.Decimal") => {
                Self::Decimal(schema.parameters.get("scale").and_then(|s| s.parse().ok()).unwrap_or(0))
            }
            Some("io.debezium.data.VariableScaleDecimal") => Self::VariableDecimal,
            Some("org.apache.kafka.connect.data.Date" | "io.debezium.time.Date") => Self::Date,
            Some("org.apache.kafka.connect.data.Time" | "io.debezium.time.Time") => Self::Time(MILLIS),
            Some("io.debezium.time.MicroTime") => Self::Time(MICROS),
            Some("io.debezium.time.NanoTime") => Self::Time(NANOS),
            Some("org.apache.kafka.connect.data.Timestamp" | "io.debezium.time.Timestamp") => Self::Timestamp(MILLIS),
            Some("io.debezium.time.MicroTimestamp") => Self::Timestamp(MICROS),
            Some("io.debezium.time.NanoTimestamp") => Self::Timestamp(NANOS),
            Some("io.debezium.time.ZonedTimestamp") => Self::ZonedTimestamp,
            Some("io.debezium.data.Bits") => {
                Self::Bits(schema.parameters.get("length").and_then(|s| s.parse().ok()).unwrap_or(64))
            }
            _ => match schema.kind {
                Kind::Array(_) | Kind::Map { .. } | Kind::Struct(_) => Self::Nested,
                _ => Self::Plain,
            },
        }
    }
}

/// A value as a cell; what has no exact form is a bad record.
pub fn cell_of(value: &Value, logical: Logical) -> Result<Cell<'_>, RecordError> {
    if let Some(whole) = whole_number(value) {
        return match logical {
            Logical::Date => Ok(Cell::Date(whole)),
            Logical::Time(units) => micros(whole, units).map(Cell::Time),
            Logical::Timestamp(units) => micros(whole, units).map(Cell::Timestamp),
            _ => Ok(Cell::Int(whole)),
        };
    }
    match (value, logical) {
        (Value::Bytes(digits), Logical::Decimal(scale)) => Ok(Cell::Decimal(digits, scale)),
        (Value::Struct(s), Logical::VariableDecimal) => match s.values.as_slice() {
            [Value::Int32(scale), Value::Bytes(digits)] => Ok(Cell::Decimal(digits, *scale)),
            _ => Err(bad("a decimal of variable scale is not a pair of scale and digits")),
        },
        (Value::String(text), Logical::ZonedTimestamp) => instant(text).map(Cell::Instant),
        (Value::Bytes(bits), Logical::Bits(length)) => Ok(Cell::Bits(bits, length)),
        (Value::Null, _) => Ok(Cell::Null),
        (Value::Boolean(b), _) => Ok(Cell::Boolean(*b)),
        (Value::Float32(x), _) => Ok(Cell::Float32(*x)),
        (Value::Float64(x), _) => Ok(Cell::Float64(*x)),
        (Value::String(text), _) => Ok(Cell::Text(text)),
        (Value::Bytes(bytes), _) => Ok(Cell::Bytes(bytes)),
        _ => Err(bad("a nested value has no column type; flatten it or leave the field out with fields.whitelist")),
    }
}

fn whole_number(value: &Value) -> Option<i64> {
    Some(match value {
        Value::Int8(n) => i64::from(*n),
        Value::Int16(n) => i64::from(*n),
        Value::Int32(n) => i64::from(*n),
        Value::Int64(n) => *n,
        _ => return None,
    })
}

fn micros(units: i64, per_second: i64) -> Result<i64, RecordError> {
    match per_second {
        MILLIS => units.checked_mul(1000).ok_or_else(|| bad("a time is out of range")),
        MICROS => Ok(units),
        _ if units % 1000 == 0 => Ok(units / 1000),
        _ => Err(bad("a time in nanoseconds does not fit microseconds; round it with a transform")),
    }
}

fn instant(text: &str) -> Result<i64, RecordError> {
    let at = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| bad("a zoned timestamp is not ISO-8601"))?;
    Ok(at.timestamp_micros())
}

/// Appends the plain digits of a decimal.
pub fn write_decimal(unscaled: &[u8], scale: i32, out: &mut String) -> Result<(), RecordError> {
    /// More digits than any column of any system holds.
    const SCALE_MAX: i32 = 1000;
    if scale.abs() > SCALE_MAX {
        return Err(bad("the scale of a decimal is out of range"));
    }
    if let Some(small) = small_number(unscaled) {
        write_small(small, scale, out);
        return Ok(());
    }
    let number = BigInt::from_signed_bytes_be(unscaled);
    let sign = if number.sign() == num_bigint::Sign::Minus { "-" } else { "" };
    write_digits(sign, &number.magnitude().to_string(), scale, out);
    Ok(())
}

fn small_number(unscaled: &[u8]) -> Option<i64> {
    if unscaled.len() > 8 {
        return None;
    }
    let negative = unscaled.first().is_some_and(|b| *b >= 0x80);
    let start = if negative { -1_i64 } else { 0 };
    Some(unscaled.iter().fold(start, |n, b| n << 8 | i64::from(*b)))
}

fn write_small(number: i64, scale: i32, out: &mut String) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number.unsigned_abs());
    write_digits(if number < 0 { "-" } else { "" }, digits, scale, out);
}

fn write_digits(sign: &str, digits: &str, scale: i32, out: &mut String) {
    out.push_str(sign);
    if scale <= 0 {
        out.push_str(digits);
        let zeros = if digits == "0" { 0 } else { scale.unsigned_abs() };
        out.extend((0..zeros).map(|_| '0'));
        return;
    }
    let scale = usize::try_from(scale).unwrap_or_default();
    match digits.len().checked_sub(scale) {
        Some(whole) if whole > 0 => {
            let (whole, fraction) = digits.split_at(whole);
            out.push_str(whole);
            out.push('.');
            out.push_str(fraction);
        }
        _ => {
            out.push_str("0.");
            out.extend((digits.len()..scale).map(|_| '0'));
            out.push_str(digits);
        }
    }
}

/// Appends bytes as hexadecimal digits.
pub fn write_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() * 2);
    let digit = |n: u8| DIGITS.get(usize::from(n)).map_or('0', |d| char::from(*d));
    for b in bytes {
        out.push(digit(b >> 4));
        out.push(digit(b & 15));
    }
}

/// Appends a whole number.
pub fn write_int(n: i64, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(n));
}

/// Appends a finite number so that it reads back exactly.
pub fn write_float(x: f64, out: &mut String) {
    out.push_str(ryu::Buffer::new().format_finite(x));
}

/// Appends a finite number of single precision so that it reads back exactly.
pub fn write_float32(x: f32, out: &mut String) {
    out.push_str(ryu::Buffer::new().format_finite(x));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_plain_digits() {
        let long = vec![0x7f; 12];
        for (unscaled, scale, text) in [
            (vec![0x04, 0xd2], 2, "12.34"),
            (vec![0xff], 3, "-0.001"),
            (vec![0x80, 0, 0, 0, 0, 0, 0, 0], 0, "-9223372036854775808"),
            (vec![5], 0, "5"),
            (vec![5], -2, "500"),
            (vec![0], 2, "0.00"),
            (long.clone(), 0, "39458731918868905389725810559"),
            (long, 28, "3.9458731918868905389725810559"),
        ] {
            let mut out = String::new();
            write_decimal(&unscaled, scale, &mut out).unwrap();
            assert_eq!(out, text);
        }
        assert!(write_decimal(&[1], i32::MAX, &mut String::new()).is_err());
    }

    #[test]
    fn nanoseconds_that_would_be_cut_are_bad() {
        assert_eq!(cell_of(&Value::Int64(5000), Logical::Timestamp(NANOS)).unwrap(), Cell::Timestamp(5));
        assert!(cell_of(&Value::Int64(5001), Logical::Timestamp(NANOS)).is_err());
        assert!(cell_of(&Value::Int64(i64::MAX), Logical::Timestamp(MILLIS)).is_err());
    }
}
