//! `ExtractField`: puts one field in the place of the datum.
use crate::error::data;
use crate::field_path::{VERSIONS, steps};
use crate::require::{entry_mut, not_a_map, not_a_struct};
use crate::schemas::{PLANS_MAX, index_of, take};
use crate::side::{Change, Configured, Side};
use elasticflow_api::data::{Datum, Kind, Schema, SchemaRef, Value};
use elasticflow_api::{RecordError, Result};
use elasticflow_formats::schema_cache::SchemaCache;
use std::sync::Arc;

const PURPOSE: &str = "field extraction";
/// Connect's name for the steps below the first.
const NESTED: &str = "nested field access";

elasticflow_config::settings! {
    /// Settings of `ExtractField`.
    pub(crate) struct ExtractFieldConfig {
        /// Field to extract: a name, or with V2 a path such as `a.b`.
        "field" => field: String {},
        /// How `field` is read: V1 is one name, V2 a path whose steps are separated by dots.
        "field.syntax.version" => syntax: String { default: "V1", importance: High, valid: VERSIONS },
        /// Whether a null field counts as its default.
        "replace.null.with.default" => replace: bool { default: "true" },
    }
}

pub(crate) struct ExtractField {
    steps: Vec<String>,
    replace: bool,
    plans: SchemaCache<Plan>,
}

/// Indexes from the outside in, and the schema at the end.
struct Plan {
    indexes: Vec<usize>,
    schema: SchemaRef,
}

impl Configured for ExtractField {
    type Config = ExtractFieldConfig;
    fn configured(config: ExtractFieldConfig, _: Side) -> Result<Self> {
        let steps = steps(&config.field, &config.syntax)?;
        Ok(Self { steps, replace: config.replace, plans: SchemaCache::new(PLANS_MAX) })
    }
}

impl Change for ExtractField {
    fn change(&self, datum: &mut Datum) -> Result<(), RecordError> {
        let Some(schema) = datum.schema.take() else { return self.of_map(datum) };
        if !matches!(datum.value, Value::Struct(_) | Value::Null) {
            return Err(not_a_struct(&datum.value, Some(&schema), PURPOSE));
        }
        let plan = self.plans.of(&schema, |schema| self.plan(schema))?;
        for index in &plan.indexes {
            datum.value = match &mut datum.value {
                Value::Struct(record) => take(&mut record.values, *index),
                _ => Value::Null,
            };
        }
        if let (Value::Null, Some(default), true) = (&datum.value, &plan.schema.default, self.replace) {
            datum.value = default.clone();
        }
        datum.schema = Some(Arc::clone(&plan.schema));
        Ok(())
    }
}

impl ExtractField {
    fn plan(&self, schema: &SchemaRef) -> Result<Plan, RecordError> {
        let mut indexes = Vec::new();
        let mut at: &SchemaRef = schema;
        for step in &self.steps {
            let index = find(at, step)?;
            let Kind::Struct(fields) = &at.kind else { return Err(not_a_record()) };
            at = &fields.get(index).ok_or_else(not_a_record)?.schema;
            indexes.push(index);
        }
        Ok(Plan { indexes, schema: Arc::clone(at) })
    }

    fn of_map(&self, datum: &mut Datum) -> Result<(), RecordError> {
        for (depth, step) in self.steps.iter().enumerate() {
            let found = match &mut datum.value {
                Value::Null => return Ok(()),
                Value::Map(pairs) => entry_mut(pairs, step).map(|v| std::mem::replace(v, Value::Null)),
                other => return Err(not_a_map(other, if depth == 0 { PURPOSE } else { NESTED })),
            };
            datum.value = found.unwrap_or(Value::Null);
        }
        Ok(())
    }
}

fn find(schema: &Schema, name: &str) -> Result<usize, RecordError> {
    let Kind::Struct(fields) = &schema.kind else { return Err(not_a_record()) };
    index_of(fields, name).ok_or_else(|| data(format!("Unknown field: {name}")))
}

fn not_a_record() -> RecordError {
    data("Cannot look up fields on non-struct type")
}
