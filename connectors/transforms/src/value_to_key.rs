//! `ValueToKey`: a key made of fields of the value.
use crate::error::data;
use crate::require::{entry, fields_of, map_of, struct_of};
use crate::schemas::{PLANS_MAX, index_of, plain, record as struct_value, value_or_default};
use crate::side::{Configured, Side};
use elasticflow_api::convert::Transform;
use elasticflow_api::data::{Datum, Field, Kind, Record, SchemaRef, Value};
use elasticflow_api::{RecordError, Result};
use elasticflow_formats::schema_cache::SchemaCache;
use std::sync::Arc;

const PURPOSE: &str = "copying fields from value to key";

elasticflow_config::settings! {
    /// Settings of `ValueToKey`.
    pub(crate) struct ValueToKeyConfig {
        /// Fields of the value that make up the key.
        "fields" => fields: Vec<String> { importance: High },
        /// Whether a null field counts as its default.
        "replace.null.with.default" => replace: bool { default: "true" },
    }
}

pub(crate) struct ValueToKey {
    names: Vec<String>,
    replace: bool,
    plans: SchemaCache<Plan>,
}

struct Plan {
    schema: SchemaRef,
    fields: Vec<(usize, SchemaRef)>,
}

impl Configured for ValueToKey {
    type Config = ValueToKeyConfig;
    fn configured(c: ValueToKeyConfig, _: Side) -> Result<Self> {
        Ok(Self { names: c.fields, replace: c.replace, plans: SchemaCache::new(PLANS_MAX) })
    }
}

impl Transform for ValueToKey {
    fn apply(&self, mut record: Record) -> Result<Option<Record>, RecordError> {
        let datum = &mut record.value;
        record.key = match datum.schema.clone() {
            None => {
                let pairs = map_of(datum, PURPOSE)?;
                let of = |name: &String| entry(pairs, name).cloned().unwrap_or(Value::Null);
                let key = self.names.iter().map(|name| (Value::String(name.as_str().into()), of(name))).collect();
                Datum { schema: None, value: Value::Map(key) }
            }
            Some(schema) => {
                let record = struct_of(datum, PURPOSE)?;
                let plan = self.plans.of(&schema, |schema| self.plan(schema))?;
                let of = |(index, schema): &(usize, SchemaRef)| {
                    value_or_default(record.values.get(*index).unwrap_or(&Value::Null), schema, self.replace)
                };
                let key = struct_value(&plan.schema, plan.fields.iter().map(of).collect());
                Datum { schema: Some(Arc::clone(&plan.schema)), value: key }
            }
        };
        Ok(Some(record))
    }
}

impl ValueToKey {
    fn plan(&self, schema: &SchemaRef) -> Result<Plan, RecordError> {
        let before = fields_of(schema)?;
        let mut after: Vec<Field> = Vec::new();
        let mut fields = Vec::new();
        for name in &self.names {
            let index = index_of(before, name);
            let found = index.and_then(|i| Some((i, before.get(i)?)));
            let (index, field) = found.ok_or_else(|| data(format!("Field does not exist: {name}")))?;
            after.push(field.clone());
            fields.push((index, Arc::clone(&field.schema)));
        }
        Ok(Plan { schema: Arc::new(plain(Kind::Struct(after.into()), false)), fields })
    }
}
