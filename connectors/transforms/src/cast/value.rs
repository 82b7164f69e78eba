//! One value to another type, by Java's rules for numbers.
use super::spec::Target;
use super::unsupported;
use crate::error::data;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use elasticflow_api::RecordError;
use elasticflow_api::data::{Datum, Kind, Schema, SchemaRef, Value};
use elasticflow_formats::decimal::decimal_text;
use elasticflow_formats::java::{class_of, type_name};
use elasticflow_formats::logical::{Logical, logical_of};
use elasticflow_formats::number::{write_f32, write_f64};
use elasticflow_formats::simple_header::write_datum;
use num_bigint::{BigInt, Sign};
use std::sync::Arc;

/// Casts one value; null stays null.
pub(super) fn cast(value: &Value, schema: Option<&SchemaRef>, target: Target) -> Result<Value, RecordError> {
    match value {
        Value::Null => return Ok(Value::Null),
        Value::Array(_) => return Err(unsupported("ARRAY")),
        Value::Map(_) => return Err(unsupported("MAP")),
        Value::Struct(_) => return Err(unsupported("STRUCT")),
        _ => {}
    }
    Ok(match target {
        Target::Int8 => Value::Int8(number(value, schema)?.narrow().try_into_i8()?),
        Target::Int16 => Value::Int16(number(value, schema)?.narrow().try_into_i16()?),
        Target::Int32 => Value::Int32(number(value, schema)?.try_into_i32()?),
        Target::Int64 => Value::Int64(number(value, schema)?.try_into_i64()?),
        Target::Float32 => Value::Float32(number(value, schema)?.try_into_f32()?),
        Target::Float64 => Value::Float64(number(value, schema)?.try_into_f64()?),
        Target::Boolean => Value::Boolean(boolean(value, schema)?),
        Target::String => Value::String(text(value, schema).into()),
    })
}

/// Types that are never cast.
pub(super) fn check_source(schema: &Schema) -> Result<(), RecordError> {
    match &schema.kind {
        Kind::Array(_) | Kind::Map { .. } | Kind::Struct(_) => Err(unsupported(type_name(&schema.kind))),
        _ => Ok(()),
    }
}

/// What a number is made of.
enum Number<'a> {
    Whole(i64),
    Single(f32),
    Double(f64),
    Decimal(&'a Bytes, i32),
    Text(&'a str),
}

fn number<'a>(value: &'a Value, schema: Option<&SchemaRef>) -> Result<Number<'a>, RecordError> {
    let logical = schema.and_then(|s| logical_of(s));
    Ok(match (value, logical) {
        (Value::Bytes(bytes), Some(Logical::Decimal(scale))) => Number::Decimal(bytes, scale.unwrap_or(0)),
        (Value::Int8(n), _) => Number::Whole((*n).into()),
        (Value::Int16(n), _) => Number::Whole((*n).into()),
        (Value::Int32(n), _) => Number::Whole((*n).into()),
        (Value::Int64(n), _) => Number::Whole(*n),
        (Value::Float32(n), _) => Number::Single(*n),
        (Value::Float64(n), _) => Number::Double(*n),
        (Value::Boolean(b), _) => Number::Whole((*b).into()),
        (Value::String(text), _) => Number::Text(text),
        (other, _) => return Err(unexpected(other, schema)),
    })
}

fn unexpected(value: &Value, schema: Option<&SchemaRef>) -> RecordError {
    let class = class_of(value, schema.map(Arc::as_ref));
    data(format!("Unexpected type in Cast transformation: class {class}"))
}

/// Connect shows the text itself; contents of records stay out of messages here.
fn out_of_range(text: &str) -> RecordError {
    data(format!("Value (text of {} characters) was out of range for requested data type", text.chars().count()))
}

impl Number<'_> {
    /// Java brings floats to 32 bits before it cuts them to 8 or 16.
    fn narrow(self) -> Self {
        match self {
            Self::Single(n) => Self::Whole(i64::from(n as i32)),
            Self::Double(n) => Self::Whole(i64::from(n as i32)),
            other => other,
        }
    }

    fn try_into_i8(self) -> Result<i8, RecordError> {
        match self {
            Self::Text(text) => text.parse().map_err(|_| out_of_range(text)),
            other => other.try_into_i64().map(|n| n as i8),
        }
    }

    fn try_into_i16(self) -> Result<i16, RecordError> {
        match self {
            Self::Text(text) => text.parse().map_err(|_| out_of_range(text)),
            other => other.try_into_i64().map(|n| n as i16),
        }
    }

    fn try_into_i32(self) -> Result<i32, RecordError> {
        match self {
            Self::Single(n) => Ok(n as i32),
            Self::Double(n) => Ok(n as i32),
            Self::Text(text) => text.parse().map_err(|_| out_of_range(text)),
            other => other.try_into_i64().map(|n| n as i32),
        }
    }

    fn try_into_i64(self) -> Result<i64, RecordError> {
        match self {
            Self::Whole(n) => Ok(n),
            Self::Single(n) => Ok(n as i64),
            Self::Double(n) => Ok(n as i64),
            Self::Decimal(unscaled, scale) => Ok(whole_part(unscaled, scale)),
            Self::Text(text) => text.parse().map_err(|_| out_of_range(text)),
        }
    }

    fn try_into_f32(self) -> Result<f32, RecordError> {
        match self {
            Self::Whole(n) => Ok(n as f32),
            Self::Single(n) => Ok(n),
            Self::Double(n) => Ok(n as f32),
            Self::Decimal(unscaled, scale) => Ok(decimal_text(unscaled, scale).parse().unwrap_or(f32::NAN)),
            Self::Text(text) => java_float(text).and_then(|t| t.parse().ok()).ok_or_else(|| out_of_range(text)),
        }
    }

    fn try_into_f64(self) -> Result<f64, RecordError> {
        match self {
            Self::Whole(n) => Ok(n as f64),
            Self::Single(n) => Ok(n.into()),
            Self::Double(n) => Ok(n),
            Self::Decimal(unscaled, scale) => Ok(decimal_text(unscaled, scale).parse().unwrap_or(f64::NAN)),
            Self::Text(text) => java_float(text).and_then(|t| t.parse().ok()).ok_or_else(|| out_of_range(text)),
        }
    }
}

/// What of Java's float syntax is also ours; `None` where only ours takes a text.
fn java_float(text: &str) -> Option<&str> {
    let trimmed = text.trim();
    let unsigned = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    if matches!(unsigned, "NaN" | "Infinity") {
        return Some(trimmed);
    }
    let plain = trimmed.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(trimmed);
    plain.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)).then_some(plain)
}

/// The low 64 bits of a decimal's integer part.
fn whole_part(unscaled: &[u8], scale: i32) -> i64 {
    let number = BigInt::from_signed_bytes_be(unscaled);
    let places = scale.unsigned_abs();
    let whole = match scale {
        0 => number,
        1.. => {
            let digits = number.magnitude().to_string().len();
            if usize::try_from(places).is_ok_and(|places| places >= digits) {
                return 0;
            }
            number / BigInt::from(10).pow(places)
        }
        // Ten to the 64th is a multiple of two to the 64th.
        _ if places >= 64 => return 0,
        _ => number * BigInt::from(10).pow(places),
    };
    let low = whole.magnitude().iter_u64_digits().next().unwrap_or(0) as i64;
    if whole.sign() == Sign::Minus { low.wrapping_neg() } else { low }
}

/// A number is true when its integer part is not zero, as in Connect; a text when it is `true` in any case.
fn boolean(value: &Value, schema: Option<&SchemaRef>) -> Result<bool, RecordError> {
    match value {
        Value::Boolean(b) => Ok(*b),
        Value::String(text) => Ok(text.eq_ignore_ascii_case("true")),
        other => Ok(number(other, schema)?.try_into_i64()? != 0),
    }
}

fn text(value: &Value, schema: Option<&SchemaRef>) -> String {
    let mut out = Vec::new();
    match value {
        Value::Float32(n) => write_f32(*n, &mut out),
        Value::Float64(n) => write_f64(*n, &mut out),
        Value::Bytes(bytes) if schema.and_then(|s| logical_of(s)).is_none() => return STANDARD.encode(bytes),
        other => {
            let mut text = String::new();
            write_datum(&Datum { schema: schema.cloned(), value: other.clone() }, &mut text);
            return text;
        }
    }
    out.into_iter().map(char::from).collect()
}
