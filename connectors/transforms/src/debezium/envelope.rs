//! Debezium's envelope: before, after, source, op.
use crate::schemas::index_of;
use elasticflow_api::data::{Field, Kind, Schema, SchemaRef, Struct, Value};
use std::sync::Arc;

const SUFFIX: &str = ".Envelope";

/// Where the parts of an envelope stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) before: Option<usize>,
    pub(super) after: usize,
    pub(super) op: usize,
    pub(super) ts_ms: Option<usize>,
}

/// The envelope's fields and their places; `None` for schema changes, heartbeats and everything else.
pub(super) fn places(schema: &Schema) -> Option<(&[Field], Places)> {
    let Kind::Struct(fields) = &schema.kind else { return None };
    if !schema.is_envelope() {
        return None;
    }
    let places = Places {
        before: index_of(fields, "before"),
        after: index_of(fields, "after")?,
        op: index_of(fields, "op")?,
        ts_ms: index_of(fields, "ts_ms"),
    };
    Some((fields, places))
}

/// The name of an envelope's schema.
pub(super) fn name_of(topic: &str) -> String {
    format!("{topic}{SUFFIX}")
}

/// The letter of the operation; empty when it is missing.
pub(super) fn op(values: &[Value], places: Places) -> &str {
    match values.get(places.op) {
        Some(Value::String(letter)) => letter,
        _ => "",
    }
}

/// Gives a struct, null or not, another schema with the same fields.
pub(super) fn with_schema(value: &mut Value, schema: &SchemaRef) {
    if let Value::Struct(Struct { schema: of, .. }) = value {
        *of = Arc::clone(schema);
    }
}
