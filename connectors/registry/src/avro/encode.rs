//! Values to Avro, by their plan.
use crate::avro::anything;
use crate::avro::binary::{put_bytes, put_length, put_long};
use crate::avro::writer::{Part, Shape, Write};
use bytes::{BufMut, BytesMut};
use elasticflow_api::data::{Field, Kind, Struct, Value};
use elasticflow_formats::FormatError;
use elasticflow_formats::java::class_of;
use std::sync::Arc;

/// Appends a value.
pub(crate) fn write(plan: &Write, value: &Value, out: &mut BytesMut) -> Result<(), FormatError> {
    if let Value::Null = value {
        return match (&plan.null, &plan.shape) {
            (Some(bytes), _) => {
                out.put_slice(bytes);
                Ok(())
            }
            (None, Shape::Anything) => anything::write(value, out),
            (None, _) => Err(FormatError::data("Found null value for non-optional schema")),
        };
    }
    if let Some(branch) = plan.branch {
        put_long(branch, out);
    }
    write_shape(&plan.shape, value, out)
}

fn write_shape(shape: &Shape, value: &Value, out: &mut BytesMut) -> Result<(), FormatError> {
    match (shape, value) {
        (Shape::Text, Value::String(text)) => put_bytes(text.as_bytes(), out),
        (Shape::Long, Value::Int64(n)) => put_long(*n, out),
        (Shape::Int, Value::Int32(n)) => put_long(i64::from(*n), out),
        (Shape::Record { parts, fields }, Value::Struct(record)) => return write_record(parts, fields, record, out),
        (Shape::Int, Value::Int16(n)) => put_long(i64::from(*n), out),
        (Shape::Int, Value::Int8(n)) => put_long(i64::from(*n), out),
        (Shape::Double, Value::Float64(n)) => out.put_f64_le(*n),
        (Shape::Float, Value::Float32(n)) => out.put_f32_le(*n),
        (Shape::FloatAsDouble, Value::Float32(n)) => out.put_f64_le(f64::from(*n)),
        (Shape::Boolean, Value::Boolean(b)) => out.put_u8(u8::from(*b)),
        (Shape::Bytes, Value::Bytes(bytes)) => put_bytes(bytes, out),
        (Shape::Whole, Value::Bytes(bytes)) => out.put_slice(bytes),
        (Shape::Fixed(size), Value::Bytes(bytes)) if bytes.len() == *size => out.put_slice(bytes),
        (Shape::Fixed(size), Value::Bytes(bytes)) => {
            return Err(FormatError::data(format!("{} bytes do not fit a fixed type of {size}", bytes.len())));
        }
        (Shape::Enum(symbols), Value::String(text)) => match symbols.get(text) {
            Some(n) => put_long(*n, out),
            None => return Err(FormatError::data("a text that is no symbol of its enum")),
        },
        (Shape::Array(item), Value::Array(values)) => return write_array(item, values, out),
        (Shape::Map(of), Value::Map(entries)) => return write_map(of, entries, out),
        (Shape::Entries(parts), Value::Map(entries)) => return write_entries(parts, entries, out),
        (Shape::Union(branches), Value::Struct(record)) => return write_union(branches, record, out),
        (Shape::Anything, value) => return anything::write(value, out),
        (shape, value) => return Err(mismatch(shape, value)),
    }
    Ok(())
}

fn write_record(parts: &[Part], fields: &Arc<[Field]>, record: &Struct, out: &mut BytesMut) -> Result<(), FormatError> {
    if record.values.len() != fields.len() || !same_names(fields, record) {
        return Err(FormatError::data("Mismatching schema."));
    }
    for part in parts {
        match part {
            Part::Field(place, plan) => write(plan, record.values.get(*place).unwrap_or(&Value::Null), out)?,
            Part::Constant(bytes) => out.put_slice(bytes),
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

fn write_array(item: &Write, values: &[Value], out: &mut BytesMut) -> Result<(), FormatError> {
    if !values.is_empty() {
        put_length(values.len(), out);
        values.iter().try_for_each(|value| write(item, value, out))?;
    }
    out.put_u8(0);
    Ok(())
}

fn write_map(of: &Write, entries: &[(Value, Value)], out: &mut BytesMut) -> Result<(), FormatError> {
    if !entries.is_empty() {
        put_length(entries.len(), out);
        for (key, value) in entries {
            let Value::String(name) = key else { return Err(mismatch(&Shape::Text, key)) };
            put_bytes(name.as_bytes(), out);
            write(of, value, out)?;
        }
    }
    out.put_u8(0);
    Ok(())
}

fn write_entries(parts: &(Write, Write), entries: &[(Value, Value)], out: &mut BytesMut) -> Result<(), FormatError> {
    if !entries.is_empty() {
        put_length(entries.len(), out);
        for (key, value) in entries {
            write(&parts.0, key, out)?;
            write(&parts.1, value, out)?;
        }
    }
    out.put_u8(0);
    Ok(())
}

fn write_union(branches: &[Write], record: &Struct, out: &mut BytesMut) -> Result<(), FormatError> {
    let mut set = branches.iter().zip(&record.values).filter(|(_, value)| **value != Value::Null);
    match (set.next(), set.next()) {
        (Some((branch, value)), None) => write(branch, value, out),
        _ => Err(FormatError::data("a union has exactly one field that is not null")),
    }
}

fn mismatch(shape: &Shape, value: &Value) -> FormatError {
    let wanted = match shape {
        Shape::Int => "INT32",
        Shape::Long => "INT64",
        Shape::Float | Shape::FloatAsDouble => "FLOAT32",
        Shape::Double => "FLOAT64",
        Shape::Boolean => "BOOLEAN",
        Shape::Bytes | Shape::Whole | Shape::Fixed(_) => "BYTES",
        Shape::Text | Shape::Enum(_) => "STRING",
        Shape::Array(_) => "ARRAY",
        Shape::Map(_) | Shape::Entries(_) => "MAP",
        Shape::Record { .. } | Shape::Union(_) | Shape::Anything => "STRUCT",
    };
    FormatError::data(format!("Invalid type for {wanted}: class {}", class_of(value, None)))
}
