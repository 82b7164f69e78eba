//! Defaults: Connect's values to the JSON of Avro schemas and back.
use crate::avro::AvroOptions;
use crate::avro::names;
use elasticflow_api::data::{Kind, Schema, Struct, Value};
use elasticflow_formats::FormatError;
use serde_json::{Map, Number, Value as Json};
use std::sync::Arc;

/// The JSON of a default.
pub(crate) fn default_json(schema: &Schema, value: &Value, options: &AvroOptions) -> Result<Json, FormatError> {
    Ok(match (&schema.kind, value) {
        (_, Value::Null) => Json::Null,
        (Kind::Int8, Value::Int8(n)) => Json::from(*n),
        (Kind::Int16, Value::Int16(n)) => Json::from(*n),
        (Kind::Int32, Value::Int32(n)) => Json::from(*n),
        (Kind::Int64, Value::Int64(n)) => Json::from(*n),
        // By its text: 1.1 stays 1.1.
        (Kind::Float32, Value::Float32(n)) => float(n.to_string().parse().unwrap_or(f64::NAN))?,
        (Kind::Float64, Value::Float64(n)) => float(*n)?,
        (Kind::Boolean, Value::Boolean(b)) => Json::from(*b),
        (Kind::String, Value::String(text)) => Json::from(&**text),
        (Kind::Bytes, Value::Bytes(bytes)) => bytes.iter().copied().map(char::from).collect::<String>().into(),
        (Kind::Array(item), Value::Array(values)) => {
            values.iter().map(|value| default_json(item, value, options)).collect::<Result<_, _>>()?
        }
        (Kind::Map { key, value: of }, Value::Map(entries)) => map(options, (key, of), entries)?,
        (Kind::Struct(fields), Value::Struct(record)) => {
            let mut out = Map::new();
            for (field, value) in fields.iter().zip(&record.values) {
                out.insert(names::name(&field.name, options.scrub)?, default_json(&field.schema, value, options)?);
            }
            Json::Object(out)
        }
        _ => return Err(FormatError::data("the default of a schema is not of its type")),
    })
}

fn float(n: f64) -> Result<Json, FormatError> {
    let number = Number::from_f64(n);
    number.map(Json::Number).ok_or_else(|| FormatError::data("a default that is NaN or infinite has no JSON"))
}

fn map(
    options: &AvroOptions,
    (key, of): (&Arc<Schema>, &Arc<Schema>),
    entries: &[(Value, Value)],
) -> Result<Json, FormatError> {
    if options.is_plain_map(key) {
        let mut out = Map::new();
        for (name, value) in entries {
            let Value::String(name) = name else { return Err(FormatError::data("a default map's key is no text")) };
            out.insert(name.to_string(), default_json(of, value, options)?);
        }
        return Ok(Json::Object(out));
    }
    let pair = |(name, value): &(Value, Value)| {
        let mut out = Map::new();
        out.insert("key".to_owned(), default_json(key, name, options)?);
        out.insert("value".to_owned(), default_json(of, value, options)?);
        Ok(Json::Object(out))
    };
    entries.iter().map(pair).collect()
}

/// The default that JSON in a schema means; `None` where it does not fit.
pub(crate) fn default_value(schema: &Arc<Schema>, json: &Json) -> Option<Value> {
    Some(match (&schema.kind, json) {
        (Kind::Int8, _) => Value::Int8(json.as_i64()?.try_into().ok()?),
        (Kind::Int16, _) => Value::Int16(json.as_i64()?.try_into().ok()?),
        (Kind::Int32, _) => Value::Int32(json.as_i64()?.try_into().ok()?),
        (Kind::Int64, _) => Value::Int64(json.as_i64()?),
        (Kind::Float32, Json::Number(n)) => Value::Float32(n.to_string().parse().ok()?),
        (Kind::Float64, _) => Value::Float64(json.as_f64()?),
        (Kind::Boolean, _) => Value::Boolean(json.as_bool()?),
        (Kind::String, Json::String(text)) => Value::String(text.as_str().into()),
        (Kind::Bytes, Json::String(text)) => {
            let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            Value::Bytes(bytes?.into())
        }
        (Kind::Array(item), Json::Array(values)) => {
            Value::Array(values.iter().map(|value| nullable(item, value)).collect::<Option<_>>()?)
        }
        (Kind::Map { key, value }, Json::Object(members)) if key.kind == Kind::String => {
            let entry =
                |(name, json): (&String, &Json)| Some((Value::String(name.as_str().into()), nullable(value, json)?));
            Value::Map(members.iter().map(entry).collect::<Option<_>>()?)
        }
        (Kind::Map { key, value }, Json::Array(entries)) => {
            let entry = |json: &Json| Some((nullable(key, json.get("key")?)?, nullable(value, json.get("value")?)?));
            Value::Map(entries.iter().map(entry).collect::<Option<_>>()?)
        }
        (Kind::Struct(fields), Json::Object(members)) => {
            let part = |field: &elasticflow_api::data::Field| match members.get(&*field.name) {
                Some(json) => nullable(&field.schema, json),
                None => field.schema.default.clone().or(field.schema.optional.then_some(Value::Null)),
            };
            let values = fields.iter().map(part).collect::<Option<_>>()?;
            Value::Struct(Struct { schema: Arc::clone(schema), values })
        }
        _ => return None,
    })
}

fn nullable(schema: &Arc<Schema>, json: &Json) -> Option<Value> {
    if json.is_null() { schema.optional.then_some(Value::Null) } else { default_value(schema, json) }
}
