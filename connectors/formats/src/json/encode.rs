//! Values to JSON.
use crate::calendar;
use crate::decimal;
use crate::error::FormatError;
use crate::java::class_of;
use crate::json::escape::write_string;
use crate::json::plan::{DecimalStyle, Member, Moment, Node, NotFinite, Null, Shape, Style};
use crate::number;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};
use elasticflow_api::data::{Field, Struct, Value};
use std::sync::Arc;

/// Deepest nesting of values without a schema.
const DEPTH_MAX: u32 = 512;

/// Appends a value by its plan.
pub(crate) fn write(node: &Node, value: &Value, out: &mut BytesMut) -> Result<(), FormatError> {
    match (&node.shape, value) {
        (Shape::Text, Value::String(text)) => write_string(text, out),
        (Shape::Int64, Value::Int64(n)) => out.put_slice(itoa::Buffer::new().format(*n).as_bytes()),
        (Shape::Int32, Value::Int32(n)) => out.put_slice(itoa::Buffer::new().format(*n).as_bytes()),
        (_, Value::Null) => return write_null(&node.null, out),
        (Shape::Struct { members, fields }, Value::Struct(record)) => {
            return write_struct(members, fields, record, out);
        }
        (Shape::Int16, Value::Int16(n)) => out.put_slice(itoa::Buffer::new().format(*n).as_bytes()),
        (Shape::Int8, Value::Int8(n)) => out.put_slice(itoa::Buffer::new().format(*n).as_bytes()),
        (Shape::Float64(rule), Value::Float64(n)) => return write_f64(*n, *rule, out),
        (Shape::Float32(rule), Value::Float32(n)) => return write_f32(*n, *rule, out),
        (Shape::Boolean, Value::Boolean(b)) => write_bool(*b, out),
        (Shape::Base64, Value::Bytes(bytes)) => write_base64(bytes, out),
        (Shape::Decimal { scale, style }, Value::Bytes(bytes)) => write_decimal(bytes, *scale, *style, out),
        (Shape::Moment(moment), Value::Int32(n)) => write_moment(*moment, i64::from(*n), out),
        (Shape::Moment(moment), Value::Int64(n)) => write_moment(*moment, *n, out),
        (Shape::Array(item), Value::Array(values)) => return write_array(item, values, out),
        (Shape::Object(node), Value::Map(entries)) => return write_object(node, entries, out),
        (Shape::Pairs(nodes), Value::Map(entries)) => return write_pairs(nodes, entries, [b"[", b",", b"]"], out),
        (Shape::Entries(nodes), Value::Map(entries)) => {
            return write_pairs(nodes, entries, [b"{\"key\":", b",\"value\":", b"}"], out);
        }
        (Shape::Sparse { members, fields }, Value::Struct(record)) => {
            return write_sparse(members, fields, record, out);
        }
        (Shape::OneOf { nodes, fields }, Value::Struct(record)) => return write_one_of(nodes, fields, record, out),
        (shape, value) => return Err(mismatch(shape, value)),
    }
    Ok(())
}

fn write_null(null: &Null, out: &mut BytesMut) -> Result<(), FormatError> {
    match null {
        Null::Write(bytes) => {
            out.put_slice(bytes);
            Ok(())
        }
        Null::Refuse => {
            Err(FormatError::data("Conversion error: null value for field that is required and has no default value"))
        }
    }
}

fn write_struct(
    members: &[Member],
    fields: &Arc<[Field]>,
    record: &Struct,
    out: &mut BytesMut,
) -> Result<(), FormatError> {
    if record.values.len() != members.len() || !same_names(fields, record) {
        return Err(FormatError::data("Mismatching schema."));
    }
    for (member, value) in members.iter().zip(&record.values) {
        out.put_slice(&member.lead);
        write(&member.node, value, out)?;
    }
    out.put_slice(if members.is_empty() { b"{}" } else { b"}" });
    Ok(())
}

fn write_sparse(
    members: &[Member],
    fields: &Arc<[Field]>,
    record: &Struct,
    out: &mut BytesMut,
) -> Result<(), FormatError> {
    if record.values.len() != members.len() || !same_names(fields, record) {
        return Err(FormatError::data("Mismatching schema."));
    }
    let mut lead = b'{';
    for (member, value) in members.iter().zip(&record.values) {
        let absent = matches!((&member.node.null, value), (Null::Write(text), Value::Null) if **text == *b"null");
        if absent {
            continue;
        }
        out.put_u8(lead);
        lead = b',';
        out.put_slice(member.lead.get(1..).unwrap_or_default());
        write(&member.node, value, out)?;
    }
    out.put_slice(if lead == b'{' { b"{}" } else { b"}" });
    Ok(())
}

fn write_one_of(nodes: &[Node], fields: &Arc<[Field]>, record: &Struct, out: &mut BytesMut) -> Result<(), FormatError> {
    if record.values.len() != nodes.len() || !same_names(fields, record) {
        return Err(FormatError::data("Mismatching schema."));
    }
    let mut set = nodes.iter().zip(&record.values).filter(|(_, value)| **value != Value::Null);
    match (set.next(), set.next()) {
        (Some((node, value)), None) => write(node, value, out),
        _ => Err(FormatError::data("of the fields of a oneOf exactly one must be set")),
    }
}

/// Whether a struct's own schema has the fields of the declared one, in the same places. Types are settled value by value.
fn same_names(declared: &Arc<[Field]>, record: &Struct) -> bool {
    use elasticflow_api::data::Kind;
    match &record.schema.kind {
        Kind::Struct(own) if Arc::ptr_eq(own, declared) => true,
        Kind::Struct(own) => {
            own.len() == declared.len()
                && own.iter().zip(declared.iter()).all(|(a, b)| Arc::ptr_eq(&a.name, &b.name) || a.name == b.name)
        }
        _ => false,
    }
}

fn write_array(item: &Node, values: &[Value], out: &mut BytesMut) -> Result<(), FormatError> {
    out.put_u8(b'[');
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.put_u8(b',');
        }
        write(item, value, out)?;
    }
    out.put_u8(b']');
    Ok(())
}

fn write_object(node: &Node, entries: &[(Value, Value)], out: &mut BytesMut) -> Result<(), FormatError> {
    out.put_u8(b'{');
    for (i, (key, value)) in entries.iter().enumerate() {
        if i > 0 {
            out.put_u8(b',');
        }
        let Value::String(name) = key else {
            return Err(FormatError::data(format!("Invalid type for STRING: class {}", class_of(key, None))));
        };
        write_string(name, out);
        out.put_u8(b':');
        write(node, value, out)?;
    }
    out.put_u8(b'}');
    Ok(())
}

/// Writes a list of entries; `marks` stand before the key, between key and value, and after the value.
fn write_pairs(
    nodes: &(Node, Node),
    entries: &[(Value, Value)],
    marks: [&[u8]; 3],
    out: &mut BytesMut,
) -> Result<(), FormatError> {
    out.put_u8(b'[');
    for (i, (key, value)) in entries.iter().enumerate() {
        out.put_slice(if i > 0 { b"," } else { b"" });
        out.put_slice(marks[0]);
        write(&nodes.0, key, out)?;
        out.put_slice(marks[1]);
        write(&nodes.1, value, out)?;
        out.put_slice(marks[2]);
    }
    out.put_u8(b']');
    Ok(())
}

fn write_bool(b: bool, out: &mut BytesMut) {
    out.put_slice(if b { b"true" } else { b"false" });
}

fn write_f64(n: f64, rule: NotFinite, out: &mut BytesMut) -> Result<(), FormatError> {
    let quoted = in_quotes(n.is_finite(), rule, out)?;
    number::write_f64(n, out);
    out.put_slice(if quoted { b"\"" } else { b"" });
    Ok(())
}

fn write_f32(n: f32, rule: NotFinite, out: &mut BytesMut) -> Result<(), FormatError> {
    let quoted = in_quotes(n.is_finite(), rule, out)?;
    number::write_f32(n, out);
    out.put_slice(if quoted { b"\"" } else { b"" });
    Ok(())
}

fn in_quotes(finite: bool, rule: NotFinite, out: &mut BytesMut) -> Result<bool, FormatError> {
    match (finite, rule) {
        (true, _) => Ok(false),
        (false, NotFinite::Text) => {
            out.put_u8(b'"');
            Ok(true)
        }
        (false, NotFinite::Refuse) => {
            Err(FormatError::data("a floating point value is NaN or infinite, which the destination has no number for"))
        }
    }
}

fn write_base64(bytes: &[u8], out: &mut BytesMut) {
    out.put_u8(b'"');
    let start = out.len();
    let most = bytes.len().div_ceil(3) * 4;
    out.put_bytes(0, most);
    let written = out.get_mut(start..).and_then(|room| STANDARD.encode_slice(bytes, room).ok()).unwrap_or(0);
    out.truncate(start + written);
    out.put_u8(b'"');
}

fn write_decimal(bytes: &[u8], scale: i32, style: DecimalStyle, out: &mut BytesMut) {
    match style {
        DecimalStyle::Base64 => write_base64(bytes, out),
        DecimalStyle::Number => decimal::write_decimal(bytes, scale, out),
        DecimalStyle::Text => {
            out.put_u8(b'"');
            decimal::write_decimal(bytes, scale, out);
            out.put_u8(b'"');
        }
        DecimalStyle::Double => number::write_f64(decimal::decimal_to_f64(bytes, scale), out),
    }
}

fn write_moment(moment: Moment, n: i64, out: &mut BytesMut) {
    out.put_u8(b'"');
    match moment {
        Moment::Date => calendar::write_date(n, out),
        Moment::Time { digits } => calendar::write_time(n, digits, out),
        Moment::Timestamp { digits } => calendar::write_timestamp(n, digits, out),
    }
    out.put_u8(b'"');
}

fn mismatch(shape: &Shape, value: &Value) -> FormatError {
    let wanted = match shape {
        Shape::Int8 => "INT8",
        Shape::Int16 => "INT16",
        Shape::Int32 => "INT32",
        Shape::Int64 => "INT64",
        Shape::Moment(_) => "a date or time",
        Shape::Float32(_) => "FLOAT32",
        Shape::Float64(_) => "FLOAT64",
        Shape::Boolean => "BOOLEAN",
        Shape::Text => "STRING",
        Shape::Base64 | Shape::Decimal { .. } => "BYTES",
        Shape::Array(_) => "ARRAY",
        Shape::Object(_) | Shape::Pairs(_) | Shape::Entries(_) => "MAP",
        Shape::Struct { .. } | Shape::Sparse { .. } | Shape::OneOf { .. } => "STRUCT",
    };
    FormatError::data(format!("Invalid type for {wanted}: class {}", class_of(value, None)))
}

/// Appends a value that has no schema: maps whose keys are all text become objects, other maps lists of pairs.
///
/// # Errors
/// A struct inside that does not fit its own schema, nesting beyond 512 levels, a number that the style refuses.
pub fn write_schemaless(value: &Value, style: &Style, out: &mut BytesMut) -> Result<(), FormatError> {
    write_bare(value, style, DEPTH_MAX, out)
}

fn write_bare(value: &Value, style: &Style, depth: u32, out: &mut BytesMut) -> Result<(), FormatError> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(FormatError::data(format!("values are nested deeper than {DEPTH_MAX} levels")));
    };
    match value {
        Value::Null => out.put_slice(b"null"),
        Value::Boolean(b) => write_bool(*b, out),
        Value::Int8(n) => out.put_slice(itoa::Buffer::new().format(*n).as_bytes()),
        Value::Int16(n) => out.put_slice(itoa::Buffer::new().format(*n).as_bytes()),
        Value::Int32(n) => out.put_slice(itoa::Buffer::new().format(*n).as_bytes()),
        Value::Int64(n) => out.put_slice(itoa::Buffer::new().format(*n).as_bytes()),
        Value::Float32(n) => return write_f32(*n, style.not_finite, out),
        Value::Float64(n) => return write_f64(*n, style.not_finite, out),
        Value::String(text) => write_string(text, out),
        Value::Bytes(bytes) => write_base64(bytes, out),
        Value::Struct(record) => return crate::json::Plan::new(&record.schema, style)?.write(value, out),
        Value::Array(values) => {
            out.put_u8(b'[');
            for (i, value) in values.iter().enumerate() {
                out.put_slice(if i > 0 { b"," } else { b"" });
                write_bare(value, style, depth, out)?;
            }
            out.put_u8(b']');
        }
        Value::Map(entries) => return write_bare_map(entries, style, depth, out),
    }
    Ok(())
}

fn write_bare_map(
    entries: &[(Value, Value)],
    style: &Style,
    depth: u32,
    out: &mut BytesMut,
) -> Result<(), FormatError> {
    let object = entries.iter().all(|(key, _)| matches!(key, Value::String(_)));
    out.put_u8(if object { b'{' } else { b'[' });
    for (i, (key, value)) in entries.iter().enumerate() {
        out.put_slice(if i > 0 { b"," } else { b"" });
        out.put_slice(if object { b"" } else { b"[" });
        write_bare(key, style, depth, out)?;
        out.put_u8(if object { b':' } else { b',' });
        write_bare(value, style, depth, out)?;
        out.put_slice(if object { b"" } else { b"]" });
    }
    out.put_u8(if object { b'}' } else { b']' });
    Ok(())
}
