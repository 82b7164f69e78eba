//! `drop.fields.header.name`: a header names fields of its own record that are left out.
use crate::schemas::{like, take};
use elasticflow_api::RecordError;
use elasticflow_api::data::{Datum, Field, Headers, Kind, Struct, Value};
use std::sync::Arc;

/// The names in the header; none when the record has no such header.
pub(super) fn names(headers: &Headers, header: &str) -> Vec<String> {
    let Some((_, datum)) = headers.iter().find(|(name, _)| **name == *header) else { return Vec::new() };
    match &datum.value {
        Value::Array(items) => items.iter().filter_map(text).collect(),
        Value::String(text) => text.split(',').map(|t| t.trim().to_owned()).collect(),
        _ => Vec::new(),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.to_string()),
        _ => None,
    }
}

/// Leaves the named fields out of a struct. With `compatible`, required fields stay, so that readers of the schema before
/// can read the schema after.
pub(super) fn drop_from(datum: &mut Datum, names: &[String], compatible: bool) -> Result<(), RecordError> {
    let Value::Struct(record) = &mut datum.value else { return Ok(()) };
    let schema = Arc::clone(&record.schema);
    let Kind::Struct(fields) = &schema.kind else { return Ok(()) };
    let goes = |f: &Field| names.iter().any(|n| **n == *f.name) && (!compatible || f.schema.optional);
    let kept: Vec<usize> = fields.iter().enumerate().filter(|(_, f)| !goes(f)).map(|(i, _)| i).collect();
    if kept.len() == fields.len() {
        return Ok(());
    }
    let rest = kept.iter().filter_map(|i| fields.get(*i).cloned()).collect();
    let schema = Arc::new(like(&schema, rest)?);
    let values = kept.iter().map(|i| take(&mut record.values, *i)).collect();
    *record = Struct { schema: Arc::clone(&schema), values };
    datum.schema = Some(schema);
    Ok(())
}
