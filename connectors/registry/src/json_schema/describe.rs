//! Connect's schemas to JSON Schema.
use crate::json_schema::{JsonOptions, ONE_OF};
use bytes::BytesMut;
use elasticflow_api::data::{Field, Kind, Schema, SchemaRef};
use elasticflow_formats::FormatError;
use elasticflow_formats::json::{Plan, Style};
use elasticflow_formats::logical::DECIMAL;
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;

/// Prefix of parameters that carry what JSON Schema says itself.
const OWN_PARAMETERS: &str = "io.confluent.connect.json";
/// Parameter that marks an enum; `….<symbol>` for each symbol.
pub(crate) const ENUM: &str = "io.confluent.connect.json.Enum";

/// The JSON Schema of a Connect schema.
pub(crate) fn describe(schema: &SchemaRef, options: &JsonOptions) -> Result<Json, FormatError> {
    let mut made = node(schema, None, options)?;
    // Some registries do not take a schema for one that says neither what it is nor that it describes an object.
    if made.get("type").and_then(Json::as_str) != Some("object")
        && let Some(members) = made.as_object_mut()
    {
        members.insert("$schema".to_owned(), Json::from("http://json-schema.org/draft-07/schema#"));
    }
    Ok(made)
}

/// A schema; `index` is its place among the fields of a struct.
fn node(schema: &SchemaRef, index: Option<usize>, options: &JsonOptions) -> Result<Json, FormatError> {
    let mut members = base(schema, options)?;
    let in_struct = index.is_some();
    if schema.optional && !(in_struct && options.optional_for_nonrequired) {
        members = match members.remove("oneOf") {
            Some(Json::Array(mut branches)) => {
                branches.insert(0, json!({"type": "null"}));
                Map::from_iter([("oneOf".to_owned(), Json::Array(branches))])
            }
            _ => Map::from_iter([("oneOf".to_owned(), json!([{"type": "null"}, members]))]),
        };
    }
    if let Some(index) = index {
        members.insert("connect.index".to_owned(), Json::from(index));
    }
    Ok(Json::Object(members))
}

/// The schema of values that are not null.
fn base(schema: &SchemaRef, options: &JsonOptions) -> Result<Map<String, Json>, FormatError> {
    if let Kind::Struct(fields) = &schema.kind
        && schema.name.as_deref() == Some(ONE_OF)
    {
        let branch = |(place, field): (usize, &Field)| {
            let mut members = base(&field.schema, options)?;
            members.insert("connect.index".to_owned(), Json::from(place));
            Ok(Json::Object(members))
        };
        let branches = fields.iter().enumerate().map(branch).collect::<Result<Vec<_>, FormatError>>()?;
        return Ok(Map::from_iter([("oneOf".to_owned(), Json::Array(branches))]));
    }
    let mut members = Map::new();
    let (word, connect_type) = types(schema);
    if let Some(word) = word {
        members.insert("type".to_owned(), Json::from(word));
    }
    if let Some(name) = &schema.name {
        members.insert("title".to_owned(), Json::from(name.as_ref()));
    }
    if let Some(doc) = &schema.doc {
        members.insert("description".to_owned(), Json::from(doc.as_ref()));
    }
    if let Some(default) = default_of(schema, &options.style)? {
        members.insert("default".to_owned(), default);
    }
    content(schema, options, &mut members)?;
    if let Some(connect_type) = connect_type {
        members.insert("connect.type".to_owned(), Json::from(connect_type));
    }
    if let Some(version) = schema.version {
        members.insert("connect.version".to_owned(), Json::from(version));
    }
    let parameters: Map<String, Json> = schema
        .parameters
        .iter()
        .filter(|(key, _)| !key.starts_with(OWN_PARAMETERS))
        .map(|(key, value)| (key.to_string(), Json::from(value.as_ref())))
        .collect();
    if !parameters.is_empty() {
        members.insert("connect.parameters".to_owned(), Json::Object(parameters));
    }
    Ok(members)
}

/// JSON Schema's type and what Connect's is called beside it.
fn types(schema: &Schema) -> (Option<&'static str>, Option<&'static str>) {
    match &schema.kind {
        Kind::Int8 => (Some("integer"), Some("int8")),
        Kind::Int16 => (Some("integer"), Some("int16")),
        Kind::Int32 => (Some("integer"), Some("int32")),
        Kind::Int64 => (Some("integer"), Some("int64")),
        Kind::Float32 => (Some("number"), Some("float32")),
        Kind::Float64 => (Some("number"), Some("float64")),
        Kind::Boolean => (Some("boolean"), None),
        Kind::String if schema.parameters.contains_key(ENUM) => (None, None),
        Kind::String => (Some("string"), None),
        Kind::Bytes if schema.name.as_deref() == Some(DECIMAL) => (Some("number"), Some("bytes")),
        Kind::Bytes => (Some("string"), Some("bytes")),
        Kind::Array(_) => (Some("array"), None),
        Kind::Map { key, .. } if key.kind == Kind::String => (Some("object"), Some("map")),
        Kind::Map { .. } => (Some("array"), Some("map")),
        Kind::Struct(_) => (Some("object"), None),
    }
}

fn content(schema: &Schema, options: &JsonOptions, members: &mut Map<String, Json>) -> Result<(), FormatError> {
    match &schema.kind {
        Kind::String if schema.parameters.contains_key(ENUM) => {
            let prefix = format!("{ENUM}.");
            let symbols = schema.parameters.iter().filter(|(key, _)| key.starts_with(&prefix));
            members.insert("enum".to_owned(), symbols.map(|(_, symbol)| symbol.as_ref()).collect());
        }
        Kind::Array(item) => drop(members.insert("items".to_owned(), node(item, None, options)?)),
        Kind::Map { key, value } if key.kind == Kind::String => {
            members.insert("additionalProperties".to_owned(), node(value, None, options)?);
        }
        Kind::Map { key, value } => {
            let entry = json!({
                "type": "object",
                "properties": {"key": node(key, Some(0), options)?, "value": node(value, Some(1), options)?},
            });
            members.insert("items".to_owned(), entry);
        }
        Kind::Struct(fields) => properties(fields, options, members)?,
        _ => {}
    }
    Ok(())
}

fn properties(
    fields: &Arc<[Field]>,
    options: &JsonOptions,
    members: &mut Map<String, Json>,
) -> Result<(), FormatError> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (place, field) in fields.iter().enumerate() {
        properties.insert(field.name.to_string(), node(&field.schema, Some(place), options)?);
        if options.optional_for_nonrequired && !field.schema.optional {
            required.push(Json::from(field.name.as_ref()));
        }
    }
    members.insert("properties".to_owned(), Json::Object(properties));
    if !required.is_empty() {
        members.insert("required".to_owned(), Json::Array(required));
    }
    if !options.additional {
        members.insert("additionalProperties".to_owned(), Json::from(false));
    }
    Ok(())
}

/// A default as records write it.
fn default_of(schema: &SchemaRef, style: &Style) -> Result<Option<Json>, FormatError> {
    let ignored = schema.optional && !style.replace_null_with_default;
    let Some(default) = schema.default.as_ref().filter(|_| !ignored) else { return Ok(None) };
    let mut text = BytesMut::new();
    Plan::new(schema, style)?.write(default, &mut text)?;
    let json = serde_json::from_slice(&text);
    json.map(Some).map_err(|_| FormatError::data("a default cannot be said in JSON"))
}
