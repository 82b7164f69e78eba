//! A schema as `JsonConverter` writes it beside the payload.
use crate::error::FormatError;
use crate::json::encode;
use crate::json::escape::write_string;
use crate::json::plan::Style;
use bytes::{BufMut, BytesMut};
use elasticflow_api::data::{Kind, Schema};

/// Appends a schema; `field` is its name inside a struct. Member order is Connect's.
pub(crate) fn write_schema(
    schema: &Schema,
    field: Option<&str>,
    style: &Style,
    out: &mut BytesMut,
) -> Result<(), FormatError> {
    write_type(schema, style, out)?;
    out.put_slice(if schema.optional { b",\"optional\":true" } else { b",\"optional\":false" });
    if let Some(name) = &schema.name {
        write_member("name", name, out);
    }
    if let Some(version) = schema.version {
        out.put_slice(b",\"version\":");
        out.put_slice(itoa::Buffer::new().format(version).as_bytes());
    }
    if let Some(doc) = &schema.doc {
        write_member("doc", doc, out);
    }
    write_parameters(schema, out);
    if let Some(default) = &schema.default {
        out.put_slice(b",\"default\":");
        write_default(schema, default, style, out)?;
    }
    if let Some(name) = field {
        write_member("field", name, out);
    }
    out.put_u8(b'}');
    Ok(())
}

fn write_type(schema: &Schema, style: &Style, out: &mut BytesMut) -> Result<(), FormatError> {
    let name = match &schema.kind {
        Kind::Int8 => "int8",
        Kind::Int16 => "int16",
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Float32 => "float",
        Kind::Float64 => "double",
        Kind::Boolean => "boolean",
        Kind::String => "string",
        Kind::Bytes => "bytes",
        Kind::Array(_) => "array",
        Kind::Map { .. } => "map",
        Kind::Struct(_) => "struct",
    };
    out.put_slice(b"{\"type\":\"");
    out.put_slice(name.as_bytes());
    out.put_u8(b'"');
    match &schema.kind {
        Kind::Array(item) => {
            out.put_slice(b",\"items\":");
            write_schema(item, None, style, out)?;
        }
        Kind::Map { key, value } => {
            out.put_slice(b",\"keys\":");
            write_schema(key, None, style, out)?;
            out.put_slice(b",\"values\":");
            write_schema(value, None, style, out)?;
        }
        Kind::Struct(fields) => {
            out.put_slice(b",\"fields\":[");
            for (i, field) in fields.iter().enumerate() {
                out.put_slice(if i > 0 { b"," } else { b"" });
                write_schema(&field.schema, Some(&field.name), style, out)?;
            }
            out.put_u8(b']');
        }
        _ => {}
    }
    Ok(())
}

fn write_member(name: &str, text: &str, out: &mut BytesMut) {
    out.put_u8(b',');
    write_string(name, out);
    out.put_u8(b':');
    write_string(text, out);
}

fn write_parameters(schema: &Schema, out: &mut BytesMut) {
    if schema.parameters.is_empty() {
        return;
    }
    out.put_slice(b",\"parameters\":{");
    for (i, (name, text)) in schema.parameters.iter().enumerate() {
        out.put_slice(if i > 0 { b"," } else { b"" });
        write_string(name, out);
        out.put_u8(b':');
        write_string(text, out);
    }
    out.put_u8(b'}');
}

/// A default is written like a payload of its schema.
fn write_default(
    schema: &Schema,
    default: &elasticflow_api::data::Value,
    style: &Style,
    out: &mut BytesMut,
) -> Result<(), FormatError> {
    let node = crate::json::plan::Node::without_default(schema, style)?;
    encode::write(&node, default, out)
}
