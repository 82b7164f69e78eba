//! `table.expand.json.payload`: JSON text to a struct whose schema is read off the text.
use crate::schemas::{field, plain};
use elasticflow_api::data::{Datum, Field, Kind, Schema, SchemaRef, Struct, Value};
use serde_json::Value as Json;
use std::sync::Arc;

/// Expands a payload of JSON; what is no object and no array stays as it is, and so does what cannot be read: the text is
/// then the payload, as without expansion.
pub(super) fn expand(payload: &mut Datum, keeps_nulls: bool) {
    let Value::String(text) = &payload.value else { return };
    if !text.starts_with(['{', '[']) {
        return;
    }
    let Ok(json) = serde_json::from_str::<Json>(text) else { return };
    let Some(schema) = schema_of(&json, keeps_nulls) else { return };
    let Some(value) = value_of(&json, &schema) else { return };
    *payload = Datum { schema: Some(schema), value };
}

/// Every field is optional; `None` where the text gives no type.
fn schema_of(json: &Json, keeps_nulls: bool) -> Option<SchemaRef> {
    let kind = match json {
        Json::Null if keeps_nulls => Kind::Bytes,
        Json::Null => return None,
        Json::Bool(_) => Kind::Boolean,
        Json::String(_) => Kind::String,
        Json::Number(n) => match n.as_i64() {
            Some(n) if i32::try_from(n).is_ok() => Kind::Int32,
            Some(_) => Kind::Int64,
            None => Kind::Float64,
        },
        Json::Array(items) => {
            let mut common: Option<SchemaRef> = None;
            for item in items {
                common = match (common, schema_of(item, keeps_nulls)) {
                    (Some(one), Some(other)) => Some(merged(&one, &other)?),
                    (one, other) => one.or(other),
                };
            }
            Kind::Array(common.unwrap_or_else(|| Arc::new(plain(Kind::String, true))))
        }
        Json::Object(members) => {
            let of = |(name, json): (&String, &Json)| Some(field(name.as_str(), schema_of(json, keeps_nulls)?));
            Kind::Struct(members.iter().filter_map(of).collect::<Vec<Field>>().into())
        }
    };
    Some(Arc::new(plain(kind, true)))
}

/// One schema for elements of an array: numbers widen, structs have the fields of both; `None` when nothing fits both.
fn merged(one: &SchemaRef, other: &SchemaRef) -> Option<SchemaRef> {
    let kind = match (&one.kind, &other.kind) {
        (a, b) if a == b => return Some(Arc::clone(one)),
        (Kind::Struct(a), Kind::Struct(b)) => {
            let mut fields = a.to_vec();
            for theirs in b.iter() {
                match fields.iter_mut().find(|f| f.name == theirs.name) {
                    Some(ours) => ours.schema = merged(&ours.schema, &theirs.schema)?,
                    None => fields.push(theirs.clone()),
                }
            }
            Kind::Struct(fields.into())
        }
        (Kind::Array(a), Kind::Array(b)) => Kind::Array(merged(a, b)?),
        (Kind::Bytes, known) | (known, Kind::Bytes) => known.clone(),
        (Kind::Int32, Kind::Int64) | (Kind::Int64, Kind::Int32) => Kind::Int64,
        (Kind::Float64, Kind::Int32 | Kind::Int64) | (Kind::Int32 | Kind::Int64, Kind::Float64) => Kind::Float64,
        _ => return None,
    };
    Some(Arc::new(plain(kind, true)))
}

fn value_of(json: &Json, schema: &SchemaRef) -> Option<Value> {
    Some(match (json, &schema.kind) {
        (Json::Null, _) => Value::Null,
        (Json::Bool(b), Kind::Boolean) => Value::Boolean(*b),
        (Json::String(text), Kind::String) => Value::String(text.as_str().into()),
        (Json::Number(n), Kind::Int32) => Value::Int32(i32::try_from(n.as_i64()?).ok()?),
        (Json::Number(n), Kind::Int64) => Value::Int64(n.as_i64()?),
        (Json::Number(n), Kind::Float64) => Value::Float64(n.as_f64()?),
        (Json::Array(items), Kind::Array(item)) => {
            Value::Array(items.iter().map(|json| value_of(json, item)).collect::<Option<_>>()?)
        }
        (Json::Object(members), Kind::Struct(fields)) => {
            let of = |f: &Field| value_of(members.get(&*f.name).unwrap_or(&Json::Null), &f.schema);
            let values = fields.iter().map(of).collect::<Option<_>>()?;
            Value::Struct(Struct { schema: Arc::<Schema>::clone(schema), values })
        }
        _ => return None,
    })
}
