//! Derived schemas.
use crate::error::data;
use elasticflow_api::RecordError;
use elasticflow_api::data::{Field, Kind, Schema, SchemaRef, Struct, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Schemas whose plans a transform remembers.
pub(crate) const PLANS_MAX: usize = 256;

/// A schema of a kind, without name.
pub(crate) fn plain(kind: Kind, optional: bool) -> Schema {
    Schema { kind, name: None, version: None, optional, default: None, doc: None, parameters: BTreeMap::new() }
}

/// A logical type in version 1.
pub(crate) fn logical(kind: Kind, name: &str, optional: bool) -> Schema {
    Schema { name: Some(name.into()), version: Some(1), ..plain(kind, optional) }
}

/// A struct that keeps a schema's name, version, doc and parameters, as Connect's own transforms do; it is required and
/// has no default.
pub(crate) fn like(base: &Schema, fields: Vec<Field>) -> Result<Schema, RecordError> {
    if let Some(twice) = duplicate(&fields) {
        return Err(data(format!("Cannot create field because of field name duplication {twice}")));
    }
    Ok(Schema {
        name: base.name.clone(),
        version: base.version,
        doc: base.doc.clone(),
        parameters: base.parameters.clone(),
        ..plain(Kind::Struct(fields.into()), false)
    })
}

/// The first name that stands twice.
fn duplicate(fields: &[Field]) -> Option<&str> {
    let mut names: Vec<&str> = fields.iter().map(|f| &*f.name).collect();
    names.sort_unstable();
    names.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(*a),
        _ => None,
    })
}

/// Index of a field.
pub(crate) fn index_of(fields: &[Field], name: &str) -> Option<usize> {
    fields.iter().position(|f| &*f.name == name)
}

/// Fields that have a default, for `replace.null.with.default`.
#[derive(Debug, Default)]
pub(crate) struct Defaults(Vec<(usize, Value)>);

impl Defaults {
    /// Those of a struct's fields; none when nulls are to stay.
    pub(crate) fn of(fields: &[Field], replace: bool) -> Self {
        let defaults = fields.iter().enumerate().filter_map(|(i, f)| Some((i, f.schema.default.clone()?)));
        Self(if replace { defaults.collect() } else { Vec::new() })
    }

    /// Puts defaults where values are null.
    pub(crate) fn fill(&self, values: &mut [Value]) {
        for (index, default) in &self.0 {
            if let Some(value @ Value::Null) = values.get_mut(*index) {
                *value = default.clone();
            }
        }
    }
}

/// A field's value, or its default where the value is null and nulls are replaced.
pub(crate) fn value_or_default(value: &Value, schema: &Schema, replace: bool) -> Value {
    match (value, &schema.default) {
        (Value::Null, Some(default)) if replace => default.clone(),
        _ => value.clone(),
    }
}

/// Takes a value out of a struct; what does not exist is null.
pub(crate) fn take(values: &mut [Value], index: usize) -> Value {
    values.get_mut(index).map_or(Value::Null, |value| std::mem::replace(value, Value::Null))
}

/// A field.
pub(crate) fn field(name: impl Into<Arc<str>>, schema: SchemaRef) -> Field {
    Field { name: name.into(), schema }
}

/// A struct as a value with its schema.
pub(crate) fn record(schema: &SchemaRef, values: Vec<Value>) -> Value {
    Value::Struct(Struct { schema: Arc::clone(schema), values })
}
