//! Values to Protobuf, by their plan.
use crate::protobuf::binary::{LEN, VARINT, put_bytes, put_message, put_tag, put_varint, zigzag};
use crate::protobuf::decode::scalar_wire;
use crate::protobuf::model::Scalar;
use crate::protobuf::writer::{FieldPlan, Part, Plan, Write};
use bytes::{BufMut, BytesMut};
use elasticflow_api::data::{Field, Kind, Struct, Value};
use elasticflow_formats::FormatError;
use elasticflow_formats::calendar::civil_from_days;
use elasticflow_formats::decimal::decimal_text;
use elasticflow_formats::java::class_of;
use std::sync::Arc;

/// Appends the fields of a message.
pub(crate) fn message(plan: &Plan, value: &Value, out: &mut BytesMut) -> Result<(), FormatError> {
    let Value::Struct(record) = value else { return Err(mismatch("STRUCT", value)) };
    if record.values.len() != plan.fields.len() || !same_names(&plan.fields, record) {
        return Err(FormatError::data("Mismatching schema."));
    }
    for (part, value) in plan.parts.iter().zip(&record.values) {
        match part {
            Part::Field(plan) => field(plan, value, out)?,
            Part::Union(plans) => union(plans, value, out)?,
            Part::Left => {}
        }
    }
    Ok(())
}

/// Whether a struct's own schema has the fields of the declared one, in the same places.
fn same_names(declared: &Arc<[Field]>, record: &Struct) -> bool {
    match &record.schema.kind {
        Kind::Struct(own) if Arc::ptr_eq(own, declared) => true,
        Kind::Struct(own) => {
            own.len() == declared.len()
                && own.iter().zip(declared.iter()).all(|(a, b)| Arc::ptr_eq(&a.name, &b.name) || a.name == b.name)
        }
        _ => false,
    }
}

fn union(plans: &[FieldPlan], value: &Value, out: &mut BytesMut) -> Result<(), FormatError> {
    let record = match value {
        Value::Null => return Ok(()),
        Value::Struct(record) if record.values.len() == plans.len() => record,
        _ => return Err(mismatch("STRUCT", value)),
    };
    let mut set = plans.iter().zip(&record.values).filter(|(_, value)| **value != Value::Null);
    match (set.next(), set.next()) {
        (None, _) => Ok(()),
        (Some((plan, value)), None) => one(plan.number, &plan.write, value, out),
        _ => Err(FormatError::data("of the fields of a oneof one at most may be set")),
    }
}

fn field(plan: &FieldPlan, value: &Value, out: &mut BytesMut) -> Result<(), FormatError> {
    let value = match (value, &plan.null) {
        (Value::Null, Some(default)) => default,
        (Value::Null, None) if plan.optional => return Ok(()),
        (Value::Null, None) => return Err(FormatError::data("Found null value for non-optional schema")),
        (value, _) => value,
    };
    if plan.omit_zero && is_zero(&plan.write, value) {
        return Ok(());
    }
    match (&plan.write, value) {
        (Write::Packed(_), Value::Array(values)) if values.is_empty() => Ok(()),
        (Write::Packed(item), Value::Array(values)) => {
            put_tag(plan.number, LEN, out);
            put_message(out, |out| values.iter().try_for_each(|value| content(item, value, out)))
        }
        (Write::Repeated(item), Value::Array(values)) => {
            values.iter().try_for_each(|value| one(plan.number, item, value, out))
        }
        (Write::Map(parts), Value::Map(entries)) => entries.iter().try_for_each(|(key, value)| {
            put_tag(plan.number, LEN, out);
            put_message(out, |out| {
                one(1, &parts.0, key, out)?;
                one(2, &parts.1, value, out)
            })
        }),
        (write, value) => one(plan.number, write, value, out),
    }
}

fn is_zero(write: &Write, value: &Value) -> bool {
    match value {
        Value::Int8(n) => *n == 0,
        Value::Int16(n) => *n == 0,
        Value::Int32(n) => *n == 0,
        Value::Int64(n) => *n == 0,
        // Negative zero is no zero here.
        Value::Float32(n) => n.to_bits() == 0,
        Value::Float64(n) => n.to_bits() == 0,
        Value::Boolean(b) => !b,
        Value::String(text) => match write {
            Write::Enum(numbers) => numbers.get(text) == Some(&0),
            _ => text.is_empty(),
        },
        Value::Bytes(bytes) => bytes.is_empty(),
        _ => false,
    }
}

/// Appends one value with its tag.
fn one(number: u32, write: &Write, value: &Value, out: &mut BytesMut) -> Result<(), FormatError> {
    let wire = match write {
        Write::Scalar(scalar) => scalar_wire(*scalar),
        Write::Enum(_) => VARINT,
        _ => LEN,
    };
    put_tag(number, wire, out);
    content(write, value, out)
}

fn content(write: &Write, value: &Value, out: &mut BytesMut) -> Result<(), FormatError> {
    match (write, value) {
        (_, Value::Null) => Err(FormatError::data("lists and maps hold no nulls in Protobuf")),
        (Write::Scalar(of), value) => scalar(*of, value, out),
        (Write::Message(plan), value) => put_message(out, |out| message(plan, value, out)),
        (Write::Enum(numbers), Value::String(text)) => match numbers.get(text) {
            Some(n) => {
                put_varint(i64::from(*n).cast_unsigned(), out);
                Ok(())
            }
            None => Err(FormatError::data("a text that is no symbol of its enum")),
        },
        (Write::Wrapped(of), value) => put_message(out, |out| {
            let plan = Write::Scalar(*of);
            if is_zero(&plan, value) { Ok(()) } else { one(1, &plan, value, out) }
        }),
        (Write::Decimal(scale), Value::Bytes(unscaled)) => put_message(out, |out| {
            put_tag(1, LEN, out);
            put_bytes(unscaled, out);
            let digits = decimal_text(unscaled, 0).trim_start_matches('-').len();
            number(2, i64::try_from(digits).unwrap_or(0), out);
            number(3, i64::from(*scale), out);
            Ok(())
        }),
        (Write::Date, Value::Int32(days)) => put_message(out, |out| {
            let (year, month, day) = civil_from_days(i64::from(*days));
            number(1, year, out);
            number(2, i64::from(month), out);
            number(3, i64::from(day), out);
            Ok(())
        }),
        (Write::Time, Value::Int32(ms)) => put_message(out, |out| {
            if !(0..86_400_000).contains(ms) {
                return Err(FormatError::data(
                    "Time values must use number of milliseconds greater than 0 and less than 86400000",
                ));
            }
            let ms = i64::from(*ms);
            number(1, ms / 3_600_000, out);
            number(2, ms / 60_000 % 60, out);
            number(3, ms / 1000 % 60, out);
            number(4, ms % 1000 * 1_000_000, out);
            Ok(())
        }),
        (Write::Timestamp, Value::Int64(ms)) => put_message(out, |out| {
            number(1, ms.div_euclid(1000), out);
            number(2, ms.rem_euclid(1000) * 1_000_000, out);
            Ok(())
        }),
        (Write::Packed(_) | Write::Repeated(_), value) => Err(mismatch("ARRAY", value)),
        (Write::Map(_), value) => Err(mismatch("MAP", value)),
        (Write::Enum(_), value) => Err(mismatch("STRING", value)),
        (_, value) => Err(mismatch("a logical type", value)),
    }
}

/// Appends a number unless it is zero.
fn number(field: u32, n: i64, out: &mut BytesMut) {
    if n != 0 {
        put_tag(field, VARINT, out);
        put_varint(n.cast_unsigned(), out);
    }
}

fn scalar(of: Scalar, value: &Value, out: &mut BytesMut) -> Result<(), FormatError> {
    match (of, value) {
        (Scalar::String, Value::String(text)) => put_bytes(text.as_bytes(), out),
        (Scalar::Bytes, Value::Bytes(bytes)) => put_bytes(bytes, out),
        (Scalar::Double, Value::Float64(n)) => out.put_f64_le(*n),
        (Scalar::Double, Value::Float32(n)) => out.put_f64_le(f64::from(*n)),
        (Scalar::Float, Value::Float32(n)) => out.put_f32_le(*n),
        (Scalar::Bool, Value::Boolean(b)) => out.put_u8(u8::from(*b)),
        (_, Value::Int64(n)) => return integer(of, *n, out),
        (_, Value::Int32(n)) => return integer(of, i64::from(*n), out),
        (_, Value::Int16(n)) => return integer(of, i64::from(*n), out),
        (_, Value::Int8(n)) => return integer(of, i64::from(*n), out),
        (_, value) => return Err(mismatch(name_of(of), value)),
    }
    Ok(())
}

fn integer(of: Scalar, n: i64, out: &mut BytesMut) -> Result<(), FormatError> {
    let narrow = || i32::try_from(n).map_err(|_| FormatError::data("a number does not fit 32 bits"));
    let unsigned = || u32::try_from(n).map_err(|_| FormatError::data("a number does not fit 32 bits without a sign"));
    match of {
        Scalar::Int32 => put_varint(i64::from(narrow()?).cast_unsigned(), out),
        Scalar::Sint32 => put_varint(zigzag(i64::from(narrow()?)), out),
        Scalar::Sfixed32 => out.put_i32_le(narrow()?),
        Scalar::Uint32 => put_varint(u64::from(unsigned()?), out),
        Scalar::Fixed32 => out.put_u32_le(unsigned()?),
        Scalar::Sint64 => put_varint(zigzag(n), out),
        Scalar::Fixed64 | Scalar::Sfixed64 => out.put_i64_le(n),
        Scalar::Int64 | Scalar::Uint64 => put_varint(n.cast_unsigned(), out),
        _ => return Err(mismatch(name_of(of), &Value::Int64(n))),
    }
    Ok(())
}

fn name_of(of: Scalar) -> &'static str {
    match of {
        Scalar::Float | Scalar::Double => "FLOAT64",
        Scalar::Bool => "BOOLEAN",
        Scalar::String => "STRING",
        Scalar::Bytes => "BYTES",
        _ => "INT64",
    }
}

fn mismatch(wanted: &str, value: &Value) -> FormatError {
    FormatError::data(format!("Invalid type for {wanted}: class {}", class_of(value, None)))
}
