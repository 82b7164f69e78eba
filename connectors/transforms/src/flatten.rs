//! `Flatten`: nested fields become fields of the top, their names joined.
use crate::error::data;
use crate::require::{Pairs, fields_of, map_of, struct_of};
use crate::schemas::{PLANS_MAX, field, like};
use crate::side::{Change, Configured, Side};
use elasticflow_api::data::{Datum, Field, Kind, Schema, SchemaRef, Struct, Value};
use elasticflow_api::{RecordError, Result};
use elasticflow_formats::java::type_name;
use elasticflow_formats::schema_cache::SchemaCache;
use std::sync::Arc;

const PURPOSE: &str = "flattening";
/// Deepest nesting; deeper data is refused, whatever its size.
const DEPTH_MAX: u32 = 64;

elasticflow_config::settings! {
    /// Settings of `Flatten`.
    pub(crate) struct FlattenConfig {
        /// Stands between the names; may be empty.
        "delimiter" => delimiter: String { default: "." },
    }
}

pub(crate) struct Flatten {
    delimiter: String,
    schemas: SchemaCache<SchemaRef>,
}

impl Configured for Flatten {
    type Config = FlattenConfig;
    fn configured(config: FlattenConfig, _: Side) -> Result<Self> {
        Ok(Self { delimiter: config.delimiter, schemas: SchemaCache::new(PLANS_MAX) })
    }
}

impl Change for Flatten {
    fn change(&self, datum: &mut Datum) -> Result<(), RecordError> {
        if datum.value == Value::Null {
            return Ok(());
        }
        let Some(schema) = datum.schema.clone() else {
            let mut flat = Vec::new();
            self.map(std::mem::take(map_of(datum, PURPOSE)?), "", &mut flat, 0)?;
            datum.value = Value::Map(flat);
            return Ok(());
        };
        let record = struct_of(datum, PURPOSE)?;
        let flat = self.schemas.of(&schema, |schema| self.derive(schema))?;
        let mut values = Vec::with_capacity(fields_of(&flat)?.len());
        unpack(record, &mut values);
        *record = Struct { schema: Arc::clone(&flat), values };
        datum.schema = Some(Arc::clone(&flat));
        Ok(())
    }
}

impl Flatten {
    fn joined(&self, prefix: &str, name: &str) -> String {
        if prefix.is_empty() { name.to_owned() } else { format!("{prefix}{}{name}", self.delimiter) }
    }

    fn map(&self, pairs: Pairs, prefix: &str, flat: &mut Pairs, depth: u32) -> Result<(), RecordError> {
        if depth > DEPTH_MAX {
            return Err(too_deep());
        }
        for (key, value) in pairs {
            let Value::String(key) = key else {
                return Err(data("Flatten transformation supports maps with text keys alone"));
            };
            let name = self.joined(prefix, &key);
            match value {
                Value::Map(inner) => self.map(inner, &name, flat, depth + 1)?,
                other => flat.push((Value::String(name.into()), other)),
            }
        }
        Ok(())
    }

    fn derive(&self, schema: &SchemaRef) -> Result<SchemaRef, RecordError> {
        let mut fields = Vec::new();
        let top = Above { optional: schema.optional, default: schema.default.as_ref(), depth: 0 };
        self.derive_fields(schema, "", top, &mut fields)?;
        Ok(Arc::new(like(schema, fields)?))
    }

    fn derive_fields(
        &self,
        schema: &Schema,
        prefix: &str,
        above: Above<'_>,
        out: &mut Vec<Field>,
    ) -> Result<(), RecordError> {
        if above.depth > DEPTH_MAX {
            return Err(too_deep());
        }
        for (i, inner) in fields_of(schema)?.iter().enumerate() {
            let name = self.joined(prefix, &inner.name);
            let optional = above.optional || inner.schema.optional;
            let default = inner.schema.default.as_ref().or_else(|| above.of_field(i));
            match &inner.schema.kind {
                Kind::Struct(_) => {
                    let above = Above { optional, default, depth: above.depth + 1 };
                    self.derive_fields(&inner.schema, &name, above, out)?;
                }
                Kind::Map { .. } => return Err(unsupported(&inner.schema, &name)),
                _ if optional == inner.schema.optional && default == inner.schema.default.as_ref() => {
                    out.push(field(name, Arc::clone(&inner.schema)));
                }
                _ => {
                    let schema = Schema { optional, default: default.cloned(), ..Schema::clone(&inner.schema) };
                    out.push(field(name, Arc::new(schema)));
                }
            }
        }
        Ok(())
    }
}

/// What the structs above a field say about it.
#[derive(Clone, Copy)]
struct Above<'a> {
    optional: bool,
    default: Option<&'a Value>,
    depth: u32,
}

impl<'a> Above<'a> {
    fn of_field(&self, index: usize) -> Option<&'a Value> {
        match self.default {
            Some(Value::Struct(record)) => record.values.get(index).filter(|v| **v != Value::Null),
            _ => None,
        }
    }
}

fn unsupported(schema: &Schema, name: &str) -> RecordError {
    let kind = type_name(&schema.kind);
    data(format!("Flatten transformation does not support {kind} for record with schemas (for field {name})."))
}

fn too_deep() -> RecordError {
    data(format!("Flatten transformation does not support more than {DEPTH_MAX} levels of nesting"))
}

/// Moves the values in the order of the derived fields; the depth is that of a schema that was derived from.
fn unpack(record: &mut Struct, out: &mut Vec<Value>) {
    let schema = Arc::clone(&record.schema);
    let Kind::Struct(fields) = &schema.kind else { return };
    for (field, value) in fields.iter().zip(&mut record.values) {
        match (std::mem::replace(value, Value::Null), &field.schema.kind) {
            (Value::Struct(mut inner), _) => unpack(&mut inner, out),
            (_, Kind::Struct(_)) => nulls(&field.schema, out),
            (Value::Null, _) => out.push(field.schema.default.clone().unwrap_or(Value::Null)),
            (value, _) => out.push(value),
        }
    }
}

/// One null for every value below a struct that is null.
fn nulls(schema: &Schema, out: &mut Vec<Value>) {
    let Kind::Struct(fields) = &schema.kind else { return };
    for field in fields.iter() {
        match &field.schema.kind {
            Kind::Struct(_) => nulls(&field.schema, out),
            _ => out.push(Value::Null),
        }
    }
}
