//! `add.fields` and `add.headers`: metadata of the envelope beside the row.
use crate::error::config;
use crate::schemas::{index_of, like, plain};
use elasticflow_api::Result;
use elasticflow_api::data::{Field, Kind, Schema, SchemaRef, Value};
use std::sync::Arc;

/// A part of the envelope that is added, as configured: `op`, `table`, `source.ts_ms`, `source.db:dbname`.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Struct of the envelope that holds it; `None` is the envelope itself.
    inside: Option<String>,
    field: String,
    name: Arc<str>,
}

/// Where a part stands in envelopes of one schema.
#[derive(Debug)]
pub(super) struct Found {
    outer: Option<usize>,
    index: usize,
    /// As the part's own, optional and without default.
    pub(super) schema: SchemaRef,
    pub(super) name: Arc<str>,
}

/// Reads a list; names begin with `prefix`.
pub(super) fn wanted(list: &[String], prefix: &str) -> Result<Vec<Wanted>> {
    list.iter().map(|text| one(text, prefix)).collect()
}

fn one(text: &str, prefix: &str) -> Result<Wanted> {
    let (path, renamed) = match text.split_once(':') {
        Some((path, name)) => (path.trim(), Some(name.trim())),
        None => (text.trim(), None),
    };
    let steps: Vec<&str> = path.split('.').collect();
    let (inside, field, own) = match steps.as_slice() {
        [field] => (home(field), (*field).to_owned(), (*field).to_owned()),
        [inside @ ("source" | "transaction" | "before" | "after"), field] => {
            (Some((*inside).to_owned()), (*field).to_owned(), format!("{inside}_{field}"))
        }
        _ => {
            return Err(config(format!(
                "Unexpected field name {text}: give a field of the envelope, or source.<field>, transaction.<field>, before.<field>, after.<field>"
            )));
        }
    };
    let name = format!("{prefix}{}", renamed.unwrap_or(&own)).into();
    Ok(Wanted { inside, field, name })
}

/// The struct that a name without a dot is looked for in.
fn home(field: &str) -> Option<String> {
    match field {
        "op" | "ts_ms" | "ts_us" | "ts_ns" => None,
        "id" | "total_order" | "data_collection_order" => Some("transaction".to_owned()),
        _ => Some("source".to_owned()),
    }
}

/// Those that the envelope has; the others are left out.
pub(super) fn found(wanted: &[Wanted], envelope: &[Field]) -> Vec<Found> {
    wanted.iter().filter_map(|w| w.find(envelope)).collect()
}

impl Wanted {
    fn find(&self, envelope: &[Field]) -> Option<Found> {
        let (outer, fields) = match &self.inside {
            None => (None, envelope),
            Some(inside) => {
                let outer = index_of(envelope, inside)?;
                match &envelope.get(outer)?.schema.kind {
                    Kind::Struct(fields) => (Some(outer), &**fields),
                    _ => return None,
                }
            }
        };
        let index = index_of(fields, &self.field)?;
        let schema = Arc::new(bare(&fields.get(index)?.schema));
        Some(Found { outer, index, schema, name: Arc::clone(&self.name) })
    }
}

fn bare(schema: &Schema) -> Schema {
    Schema { optional: true, default: None, ..schema.clone() }
}

impl Found {
    /// The value in an envelope; null where the struct that holds it is null.
    pub(super) fn value(&self, envelope: &[Value]) -> Value {
        let values = match self.outer.map(|outer| envelope.get(outer)) {
            None => envelope,
            Some(Some(Value::Struct(record))) => record.values.as_slice(),
            Some(_) => return Value::Null,
        };
        values.get(self.index).cloned().unwrap_or(Value::Null)
    }

    /// As a field of the row.
    pub(super) fn field(&self) -> Field {
        Field { name: Arc::clone(&self.name), schema: Arc::clone(&self.schema) }
    }
}

/// The schema of a row with what is appended; required, as Debezium writes it.
pub(super) fn row_schema(
    row: &Schema,
    marks_deletes: bool,
    added: &[Found],
) -> std::result::Result<Schema, elasticflow_api::RecordError> {
    let Kind::Struct(fields) = &row.kind else {
        return Err(crate::error::data("the rows of the envelope are no structs"));
    };
    let mut all = fields.to_vec();
    if marks_deletes {
        all.push(crate::schemas::field("__deleted", Arc::new(plain(Kind::String, true))));
    }
    all.extend(added.iter().map(Found::field));
    like(row, all)
}
