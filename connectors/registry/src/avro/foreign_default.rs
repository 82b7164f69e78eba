//! Defaults of registered schemas as bytes: what is written for fields that the records lack.
use crate::avro::binary::{put_bytes, put_length, put_long};
use crate::avro::names;
use crate::avro::schema::{AvroSchema, Definition, Named, Node, Type};
use bytes::{BufMut, BytesMut};
use elasticflow_formats::FormatError;
use serde_json::Value as Json;

/// Key and value of a record that is the entry of a map.
pub(crate) fn is_entry(definition: &Definition) -> Option<(&Node, &Node)> {
    let marked = definition.props.get(names::P_INTERNAL_TYPE).and_then(Json::as_str) == Some(names::MAP_ENTRY_TYPE);
    match &definition.kind {
        Named::Record(fields) if marked || *definition.name == *names::MAP_ENTRY => match fields.as_slice() {
            [key, value] if key.name == "key" && value.name == "value" => Some((&key.node, &value.node)),
            _ => None,
        },
        _ => None,
    }
}

/// The bytes of a default.
pub(crate) fn encode_default(schema: &AvroSchema, node: &Node, default: &Json) -> Result<Box<[u8]>, FormatError> {
    let mut out = BytesMut::new();
    match put(schema, node, default, &mut out) {
        Some(()) => Ok(out.to_vec().into()),
        None => Err(FormatError::data("the default in the registered schema is not of its type")),
    }
}

fn put(schema: &AvroSchema, node: &Node, json: &Json, out: &mut BytesMut) -> Option<()> {
    match &node.kind {
        Type::Null => json.is_null().then_some(()),
        Type::Boolean => json.as_bool().map(|b| out.put_u8(u8::from(b))),
        Type::Int => i32::try_from(json.as_i64()?).ok().map(|n| put_long(i64::from(n), out)),
        Type::Long => json.as_i64().map(|n| put_long(n, out)),
        Type::Float => json.to_string().parse().ok().map(|n| out.put_f32_le(n)),
        Type::Double => json.as_f64().map(|n| out.put_f64_le(n)),
        Type::String => json.as_str().map(|text| put_bytes(text.as_bytes(), out)),
        Type::Bytes => latin(json).map(|bytes| put_bytes(&bytes, out)),
        Type::Union(branches) => {
            // The first branch, as the specification says; the others, as newer libraries allow.
            for (place, branch) in branches.iter().enumerate() {
                let mut value = BytesMut::new();
                if put(schema, branch, json, &mut value).is_some() {
                    put_length(place, out);
                    out.put_slice(&value);
                    return Some(());
                }
            }
            None
        }
        Type::Array(item) => {
            let values = json.as_array()?;
            block(values.len(), out);
            values.iter().try_for_each(|value| put(schema, item, value, out))?;
            end(out)
        }
        Type::Map(of) => {
            let members = json.as_object()?;
            block(members.len(), out);
            for (key, value) in members {
                put_bytes(key.as_bytes(), out);
                put(schema, of, value, out)?;
            }
            end(out)
        }
        Type::Named(_) => put_named(schema, schema.definition(node)?, json, out),
    }
}

fn put_named(schema: &AvroSchema, definition: &Definition, json: &Json, out: &mut BytesMut) -> Option<()> {
    match &definition.kind {
        Named::Enum(symbols) => {
            let place = symbols.iter().position(|symbol| json.as_str() == Some(symbol))?;
            put_length(place, out);
            Some(())
        }
        Named::Fixed(size) => latin(json).filter(|bytes| bytes.len() == *size).map(|bytes| out.put_slice(&bytes)),
        Named::Record(fields) => {
            let members = json.as_object()?;
            fields.iter().try_for_each(|field| {
                let value = members.get(&field.name).or(field.default.as_ref())?;
                put(schema, &field.node, value, out)
            })
        }
    }
}

fn block(length: usize, out: &mut BytesMut) {
    if length > 0 {
        put_length(length, out);
    }
}

fn end(out: &mut BytesMut) -> Option<()> {
    out.put_u8(0);
    Some(())
}

/// Bytes stand in JSON as characters of the same number.
fn latin(json: &Json) -> Option<Vec<u8>> {
    json.as_str()?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}
