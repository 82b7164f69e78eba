//! `MaskField`: puts nothing, or a fixed replacement, in the place of values.
use crate::error::data;
use crate::require::{entry_mut, fields_of, map_of, put, struct_of};
use crate::schemas::{Defaults, PLANS_MAX};
use crate::side::{Change, Configured, Side};
use bytes::Bytes;
use elasticflow_api::data::{Datum, Schema, SchemaRef, Text, Value};
use elasticflow_api::{RecordError, Result};
use elasticflow_config::Validity;
use elasticflow_formats::decimal::Written;
use elasticflow_formats::java::class_of;
use elasticflow_formats::logical::{Logical, logical_of};
use elasticflow_formats::schema_cache::SchemaCache;

const PURPOSE: &str = "mask fields";

const NON_EMPTY: Validity =
    Validity::Check(|text| if text.is_empty() { Err("String must be non-empty".to_owned()) } else { Ok(()) });

elasticflow_config::settings! {
    /// Settings of `MaskField`.
    pub(crate) struct MaskFieldConfig {
        /// Fields to mask.
        "fields" => fields: Vec<String> { importance: High },
        /// What stands in their place: a text, or a number for fields of numbers. Without it: 0, false, "", the epoch, an
        /// empty list or map.
        "replacement" => replacement: Option<String> { importance: Low, valid: NON_EMPTY },
        /// Whether null fields become their defaults.
        "replace.null.with.default" => replace: bool { default: "true" },
    }
}

pub(crate) struct MaskField {
    names: Vec<String>,
    replacement: Option<Text>,
    replace: bool,
    plans: SchemaCache<Plan>,
}

struct Plan {
    masked: Vec<(usize, SchemaRef)>,
    defaults: Defaults,
}

impl Configured for MaskField {
    type Config = MaskFieldConfig;
    fn configured(c: MaskFieldConfig, _: Side) -> Result<Self> {
        let replacement = c.replacement.map(Text::from);
        Ok(Self { names: c.fields, replacement, replace: c.replace, plans: SchemaCache::new(PLANS_MAX) })
    }
}

impl Change for MaskField {
    fn change(&self, datum: &mut Datum) -> Result<(), RecordError> {
        let Some(schema) = datum.schema.clone() else {
            let pairs = map_of(datum, PURPOSE)?;
            for name in &self.names {
                match entry_mut(pairs, name) {
                    Some(value) => *value = self.masked(value, None)?,
                    None => put(pairs, name, Value::Null),
                }
            }
            return Ok(());
        };
        let record = struct_of(datum, PURPOSE)?;
        let plan = self.plans.of(&schema, |schema| self.plan(schema))?;
        plan.defaults.fill(&mut record.values);
        for (index, schema) in &plan.masked {
            if let Some(value) = record.values.get_mut(*index) {
                *value = self.masked(value, Some(schema))?;
            }
        }
        Ok(())
    }
}

impl MaskField {
    fn plan(&self, schema: &SchemaRef) -> Result<Plan, RecordError> {
        let fields = fields_of(schema)?;
        let masked = fields.iter().enumerate().filter(|(_, f)| self.names.iter().any(|n| **n == *f.name));
        let masked = masked.map(|(i, f)| (i, SchemaRef::clone(&f.schema))).collect();
        Ok(Plan { masked, defaults: Defaults::of(fields, self.replace) })
    }

    fn masked(&self, value: &Value, schema: Option<&Schema>) -> Result<Value, RecordError> {
        match (&self.replacement, value) {
            (_, Value::Null) => Ok(Value::Null),
            (Some(text), value) => replaced(text, value, schema),
            (None, value) => blank(value, schema),
        }
    }
}

/// Nothing, in the type of the value.
fn blank(value: &Value, schema: Option<&Schema>) -> Result<Value, RecordError> {
    Ok(match value {
        Value::Boolean(_) => Value::Boolean(false),
        Value::Int8(_) => Value::Int8(0),
        Value::Int16(_) => Value::Int16(0),
        Value::Int32(_) => Value::Int32(0),
        Value::Int64(_) => Value::Int64(0),
        Value::Float32(_) => Value::Float32(0.0),
        Value::Float64(_) => Value::Float64(0.0),
        Value::String(_) => Value::String(Text::new()),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Map(_) => Value::Map(Vec::new()),
        Value::Bytes(_) if is_decimal(schema) => Value::Bytes(Bytes::from_static(&[0])),
        other => return Err(data(format!("Cannot mask value of type: class {}", class_of(other, schema)))),
    })
}

fn is_decimal(schema: Option<&Schema>) -> bool {
    matches!(schema.and_then(logical_of), Some(Logical::Decimal(_)))
}

fn replaced(text: &Text, value: &Value, schema: Option<&Schema>) -> Result<Value, RecordError> {
    let bad = || data(format!("Unable to convert {text} (class java.lang.String) to a number"));
    let logical = schema.and_then(logical_of);
    Ok(match (value, logical) {
        (Value::Bytes(_), Some(Logical::Decimal(scale))) => {
            let unscaled = Written::parse(text).and_then(|number| number.at_scale(scale.unwrap_or(0)));
            Value::Bytes(unscaled.ok_or_else(bad)?)
        }
        (other, Some(_)) => return Err(not_replaceable(other, schema)),
        (Value::String(_), None) => Value::String(text.clone()),
        (Value::Int8(_), None) => Value::Int8(text.parse().map_err(|_| bad())?),
        (Value::Int16(_), None) => Value::Int16(text.parse().map_err(|_| bad())?),
        (Value::Int32(_), None) => Value::Int32(text.parse().map_err(|_| bad())?),
        (Value::Int64(_), None) => Value::Int64(text.parse().map_err(|_| bad())?),
        (Value::Float32(_), None) => Value::Float32(text.parse().map_err(|_| bad())?),
        (Value::Float64(_), None) => Value::Float64(text.parse().map_err(|_| bad())?),
        (other, None) => return Err(not_replaceable(other, schema)),
    })
}

fn not_replaceable(value: &Value, schema: Option<&Schema>) -> RecordError {
    data(format!("Cannot mask value of type class {} with custom replacement.", class_of(value, schema)))
}
