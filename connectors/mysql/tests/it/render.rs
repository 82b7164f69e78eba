//! Records as JSON, the way Connect's JSON converter writes them, for tests.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use elasticflow_api::data::{Datum, Kind, Schema, Value};
use serde_json::{Map, Value as Json, json};

/// The payload of a datum.
pub(crate) fn datum(datum: &Datum) -> Json {
    value(&datum.value)
}

pub(crate) fn value(v: &Value) -> Json {
    match v {
        Value::Null => Json::Null,
        Value::Boolean(b) => json!(b),
        Value::Int8(n) => json!(n),
        Value::Int16(n) => json!(n),
        Value::Int32(n) => json!(n),
        Value::Int64(n) => json!(n),
        Value::Float32(n) => n.to_string().parse::<f64>().map_or(Json::Null, |n| json!(n)),
        Value::Float64(n) => json!(n),
        Value::String(t) => json!(&**t),
        Value::Bytes(b) => json!(STANDARD.encode(b)),
        Value::Array(all) => all.iter().map(value).collect(),
        Value::Map(all) => {
            let named = all.iter().map(|(k, v)| (value(k).as_str().unwrap().to_owned(), value(v)));
            Json::Object(named.collect())
        }
        Value::Struct(s) => {
            let Kind::Struct(fields) = &s.schema.kind else { panic!("a struct without fields") };
            assert_eq!(fields.len(), s.values.len(), "values of {:?}", s.schema.name);
            let named = fields.iter().zip(&s.values).map(|(f, v)| (f.name.to_string(), value(v)));
            Json::Object(named.collect::<Map<_, _>>())
        }
    }
}

/// A schema as the converter writes it.
pub(crate) fn schema(s: &Schema) -> Json {
    let mut out = Map::new();
    let (kind, more): (&str, Vec<(&str, Json)>) = match &s.kind {
        Kind::Int8 => ("int8", vec![]),
        Kind::Int16 => ("int16", vec![]),
        Kind::Int32 => ("int32", vec![]),
        Kind::Int64 => ("int64", vec![]),
        Kind::Float32 => ("float", vec![]),
        Kind::Float64 => ("double", vec![]),
        Kind::Boolean => ("boolean", vec![]),
        Kind::String => ("string", vec![]),
        Kind::Bytes => ("bytes", vec![]),
        Kind::Array(items) => ("array", vec![("items", schema(items))]),
        Kind::Map { key, value } => ("map", vec![("keys", schema(key)), ("values", schema(value))]),
        Kind::Struct(fields) => {
            let list = fields.iter().map(|f| {
                let mut field = schema(&f.schema);
                field["field"] = json!(&*f.name);
                field
            });
            ("struct", vec![("fields", list.collect())])
        }
    };
    out.insert("type".into(), json!(kind));
    out.extend(more.into_iter().map(|(k, v)| (k.to_owned(), v)));
    out.insert("optional".into(), json!(s.optional));
    if let Some(name) = &s.name {
        out.insert("name".into(), json!(&**name));
    }
    if let Some(version) = s.version {
        out.insert("version".into(), json!(version));
    }
    if let Some(doc) = &s.doc {
        out.insert("doc".into(), json!(&**doc));
    }
    if !s.parameters.is_empty() {
        let all = s.parameters.iter().map(|(k, v)| (k.to_string(), json!(&**v)));
        out.insert("parameters".into(), Json::Object(all.collect()));
    }
    if let Some(default) = &s.default {
        out.insert("default".into(), value(default));
    }
    Json::Object(out)
}
