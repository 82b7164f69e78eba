//! The notation of the recorded vectors, as data.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use elasticflow_api::data::{Datum, Field, Kind, Schema, SchemaRef, Struct, Value};
use elasticflow_formats::decimal::Written;
use elasticflow_formats::logical::{Logical, logical_of};
use serde_json::Value as Json;
use std::sync::Arc;

/// A vector that the data model has no value for; says why.
#[derive(Debug)]
pub(crate) struct Inexpressible(pub(crate) &'static str);

pub(crate) type Typed<T> = Result<T, Inexpressible>;

pub(crate) fn datum(json: &Json) -> Typed<Datum> {
    let schema = schema(&json["schema"])?;
    let value = value(&json["value"], schema.as_deref())?;
    Ok(Datum { schema, value })
}

/// A container without element schema has no schema here.
fn schema(json: &Json) -> Typed<Option<SchemaRef>> {
    let text = |name: &str| json[name].as_str().map(Arc::<str>::from);
    let kind = match json["type"].as_str() {
        None => return Ok(None),
        Some("int8") => Kind::Int8,
        Some("int16") => Kind::Int16,
        Some("int32") => Kind::Int32,
        Some("int64") => Kind::Int64,
        Some("float") => Kind::Float32,
        Some("double") => Kind::Float64,
        Some("boolean") => Kind::Boolean,
        Some("string") => Kind::String,
        Some("bytes") => Kind::Bytes,
        Some("array") => match schema(&json["items"])? {
            Some(item) => Kind::Array(item),
            None => return Ok(None),
        },
        Some("map") => match (schema(&json["keys"])?, schema(&json["values"])?) {
            (Some(key), Some(value)) => Kind::Map { key, value },
            _ => return Ok(None),
        },
        Some("struct") => {
            let fields = json["fields"].as_array().unwrap().iter();
            let fields = fields.map(|field| {
                Ok(Field { name: field["field"].as_str().unwrap().into(), schema: schema(field)?.unwrap() })
            });
            Kind::Struct(fields.collect::<Typed<Vec<_>>>()?.into())
        }
        Some(other) => panic!("unknown type {other}"),
    };
    let parameters = json["parameters"].as_object().into_iter().flatten();
    let mut schema = Schema {
        kind,
        name: text("name"),
        version: json["version"].as_i64().map(|n| i32::try_from(n).unwrap()),
        optional: json["optional"].as_bool().unwrap_or(false),
        default: None,
        doc: text("doc"),
        parameters: parameters.map(|(k, v)| (k.as_str().into(), v.as_str().unwrap().into())).collect(),
    };
    schema.default = match &json["default"] {
        Json::Null => None,
        plain => Some(default(plain, &schema.kind)),
    };
    Ok(Some(Arc::new(schema)))
}

fn default(json: &Json, kind: &Kind) -> Value {
    match kind {
        Kind::Int32 => Value::Int32(i32::try_from(json.as_i64().unwrap()).unwrap()),
        Kind::Int64 => Value::Int64(json.as_i64().unwrap()),
        Kind::Boolean => Value::Boolean(json.as_bool().unwrap()),
        Kind::String => Value::String(json.as_str().unwrap().into()),
        Kind::Bytes => Value::Bytes(STANDARD.decode(json.as_str().unwrap()).unwrap().into()),
        other => panic!("no default of {other:?} in the vectors"),
    }
}

fn value(json: &Json, schema: Option<&Schema>) -> Typed<Value> {
    let Some((kind, content)) = json.as_object().and_then(|object| object.iter().next()) else {
        return Ok(Value::Null);
    };
    let int = || content.as_i64().unwrap();
    let text = || content.as_str().unwrap();
    Ok(match kind.as_str() {
        "int8" => Value::Int8(i8::try_from(int()).unwrap()),
        "int16" => Value::Int16(i16::try_from(int()).unwrap()),
        "int32" => Value::Int32(i32::try_from(int()).unwrap()),
        "int64" => Value::Int64(text().parse().unwrap()),
        "float32" => Value::Float32(text().replace("Infinity", "inf").parse().unwrap()),
        "float64" => Value::Float64(text().replace("Infinity", "inf").parse().unwrap()),
        "boolean" => Value::Boolean(content.as_bool().unwrap()),
        "string" => Value::String(text().into()),
        "bytes" => Value::Bytes(STANDARD.decode(text()).unwrap().into()),
        "decimal" => decimal(text(), schema)?,
        "date" => date(int(), schema)?,
        "array" => {
            let item = match schema.map(|s| &s.kind) {
                Some(Kind::Array(item)) => Some(item.as_ref()),
                _ => None,
            };
            Value::Array(content.as_array().unwrap().iter().map(|json| value(json, item)).collect::<Typed<_>>()?)
        }
        "map" => {
            let (key, of) = match schema.map(|s| &s.kind) {
                Some(Kind::Map { key, value }) => (Some(key.as_ref()), Some(value.as_ref())),
                _ => (None, None),
            };
            let entries = content.as_array().unwrap().iter();
            Value::Map(entries.map(|pair| Ok((value(&pair[0], key)?, value(&pair[1], of)?))).collect::<Typed<_>>()?)
        }
        "struct" => {
            let schema = schema.unwrap();
            let Kind::Struct(fields) = &schema.kind else { panic!("a struct without its schema") };
            let values = fields.iter().map(|field| value(&content[&*field.name], Some(&field.schema)));
            Value::Struct(Struct { schema: Arc::new(schema.clone()), values: values.collect::<Typed<_>>()? })
        }
        other => panic!("unknown value {other}"),
    })
}

fn decimal(text: &str, schema: Option<&Schema>) -> Typed<Value> {
    let Some(Logical::Decimal(Some(scale))) = schema.and_then(logical_of) else {
        return Err(Inexpressible("a decimal without a Decimal schema"));
    };
    // A masked decimal is 0 or 42 in Connect, whatever the scale of its schema, which no converter then accepts: numbers
    // are compared.
    Ok(Value::Bytes(Written::parse(text).unwrap().at_scale(scale).unwrap()))
}

fn date(ms: i64, schema: Option<&Schema>) -> Typed<Value> {
    const DAY: i64 = 86_400_000;
    Ok(match schema.and_then(logical_of) {
        Some(Logical::Date) if ms % DAY == 0 => Value::Int32(i32::try_from(ms / DAY).unwrap()),
        Some(Logical::Date) => return Err(Inexpressible("a Date with a time of day")),
        Some(Logical::Time) => Value::Int32(i32::try_from(ms).unwrap()),
        Some(Logical::Timestamp) => Value::Int64(ms),
        _ => return Err(Inexpressible("a date without its schema")),
    })
}
