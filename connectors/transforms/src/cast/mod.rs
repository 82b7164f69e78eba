//! `Cast`: fields, or the whole datum, to another type.
mod spec;
mod value;

use crate::error::data;
use crate::require::{entry, fields_of, map_of, put, struct_of};
use crate::schemas::{Defaults, PLANS_MAX, like, plain};
use crate::side::{Change, Configured, Side};
use elasticflow_api::data::{Datum, Field, Schema, SchemaRef, Value};
use elasticflow_api::{RecordError, Result};
use elasticflow_formats::schema_cache::SchemaCache;
use spec::{Spec, Target};
use std::sync::Arc;

const PURPOSE: &str = "cast types";

elasticflow_config::settings! {
    /// Settings of `Cast`.
    pub(crate) struct CastConfig {
        /// `field:type` for each field to cast, or one type for the whole key or value. Types: int8, int16, int32, int64,
        /// float32, float64, boolean, string.
        "spec" => spec: Vec<String> { importance: High },
        /// Whether a null field counts as its default.
        "replace.null.with.default" => replace: bool { default: "true" },
    }
}

pub(crate) struct Cast {
    spec: Spec,
    replace: bool,
    plans: SchemaCache<Plan>,
}

struct Plan {
    schema: SchemaRef,
    /// Index, type before, type after.
    casts: Vec<(usize, SchemaRef, Target)>,
    defaults: Defaults,
}

impl Configured for Cast {
    type Config = CastConfig;
    fn configured(config: CastConfig, _: Side) -> Result<Self> {
        let spec = Spec::new(&config.spec)?;
        Ok(Self { spec, replace: config.replace, plans: SchemaCache::new(PLANS_MAX) })
    }
}

impl Change for Cast {
    fn change(&self, datum: &mut Datum) -> Result<(), RecordError> {
        if datum.value == Value::Null {
            return Ok(());
        }
        match (&self.spec, datum.schema.clone()) {
            (Spec::Whole(target), None) => {
                datum.value = value::cast(&datum.value, None, *target)?;
                Ok(())
            }
            (Spec::Whole(target), Some(schema)) => {
                let plan = self.plans.of(&schema, |schema| whole(schema, *target))?;
                datum.value = value::cast(&datum.value, Some(&schema), *target)?;
                datum.schema = Some(Arc::clone(&plan.schema));
                Ok(())
            }
            (Spec::Fields(fields), None) => {
                let pairs = map_of(datum, PURPOSE)?;
                for (name, target) in fields {
                    let cast = value::cast(entry(pairs, name).unwrap_or(&Value::Null), None, *target)?;
                    put(pairs, name, cast);
                }
                Ok(())
            }
            (Spec::Fields(fields), Some(schema)) => self.of_struct(datum, &schema, fields),
        }
    }
}

impl Cast {
    fn of_struct(&self, datum: &mut Datum, schema: &SchemaRef, casts: &[(String, Target)]) -> Result<(), RecordError> {
        let plan = self.plans.of(schema, |schema| fields(schema, casts, self.replace))?;
        let record = struct_of(datum, PURPOSE)?;
        plan.defaults.fill(&mut record.values);
        for (index, from, target) in &plan.casts {
            if let Some(value) = record.values.get_mut(*index) {
                *value = value::cast(value, Some(from), *target)?;
            }
        }
        record.schema = Arc::clone(&plan.schema);
        datum.schema = Some(Arc::clone(&plan.schema));
        Ok(())
    }
}

/// The type changes, name and all else stay.
fn whole(schema: &SchemaRef, target: Target) -> Result<Plan, RecordError> {
    value::check_source(schema)?;
    let default = schema.default.as_ref().map(|d| value::cast(d, Some(schema), target)).transpose()?;
    let schema = Schema { kind: target.kind(), default, ..Schema::clone(schema) };
    Ok(Plan { schema: Arc::new(schema), casts: Vec::new(), defaults: Defaults::default() })
}

fn fields(schema: &SchemaRef, casts: &[(String, Target)], replace: bool) -> Result<Plan, RecordError> {
    let before = fields_of(schema)?;
    let mut planned = Vec::new();
    let mut after = Vec::with_capacity(before.len());
    for (index, field) in before.iter().enumerate() {
        match casts.iter().find(|(name, _)| **name == *field.name) {
            None => after.push(field.clone()),
            Some((_, target)) => {
                after.push(cast_field(field, *target)?);
                planned.push((index, Arc::clone(&field.schema), *target));
            }
        }
    }
    let derived = Schema { optional: schema.optional, ..like(schema, after)? };
    Ok(Plan { schema: Arc::new(derived), casts: planned, defaults: Defaults::of(before, replace) })
}

fn cast_field(field: &Field, target: Target) -> Result<Field, RecordError> {
    value::check_source(&field.schema)?;
    let default = field.schema.default.as_ref().map(|d| value::cast(d, Some(&field.schema), target)).transpose()?;
    let schema = Schema { default, ..plain(target.kind(), field.schema.optional) };
    Ok(Field { name: Arc::clone(&field.name), schema: Arc::new(schema) })
}

fn unsupported(kind: &str) -> RecordError {
    data(format!(
        "Cast transformation does not support casting from {kind}; supported types are [INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]"
    ))
}
