//! `SetSchemaMetadata`: another name or version of the schema.
use crate::error::{config, data};
use crate::require::fields_of;
use crate::schemas::{Defaults, PLANS_MAX};
use crate::side::{Change, Configured, Side};
use elasticflow_api::data::{Datum, Schema, SchemaRef, Value};
use elasticflow_api::{RecordError, Result};
use elasticflow_formats::schema_cache::SchemaCache;
use std::sync::Arc;

elasticflow_config::settings! {
    /// Settings of `SetSchemaMetadata`.
    pub(crate) struct SetSchemaMetadataConfig {
        /// Name to set.
        "schema.name" => name: Option<String> { importance: High },
        /// Version to set.
        "schema.version" => version: Option<i32> { importance: High },
        /// Whether null fields become their defaults.
        "replace.null.with.default" => replace: bool { default: "true" },
    }
}

pub(crate) struct SetSchemaMetadata {
    name: Option<Arc<str>>,
    version: Option<i32>,
    replace: bool,
    plans: SchemaCache<(SchemaRef, Defaults)>,
}

impl Configured for SetSchemaMetadata {
    type Config = SetSchemaMetadataConfig;
    fn configured(c: SetSchemaMetadataConfig, _: Side) -> Result<Self> {
        if c.name.is_none() && c.version.is_none() {
            return Err(config("Neither schema name nor version configured"));
        }
        let name = c.name.map(Arc::from);
        Ok(Self { name, version: c.version, replace: c.replace, plans: SchemaCache::new(PLANS_MAX) })
    }
}

impl Change for SetSchemaMetadata {
    fn change(&self, datum: &mut Datum) -> Result<(), RecordError> {
        let Some(schema) = &datum.schema else {
            return match datum.value {
                Value::Null => Ok(()),
                _ => Err(data("Schema required for [updating schema metadata]")),
            };
        };
        let plan = self.plans.of(schema, |schema| self.plan(schema))?;
        if let Value::Struct(record) = &mut datum.value {
            plan.1.fill(&mut record.values);
            record.schema = Arc::clone(&plan.0);
        }
        datum.schema = Some(Arc::clone(&plan.0));
        Ok(())
    }
}

impl SetSchemaMetadata {
    fn plan(&self, schema: &SchemaRef) -> Result<(SchemaRef, Defaults), RecordError> {
        let defaults = Defaults::of(fields_of(schema)?, self.replace);
        let named = Schema {
            name: self.name.clone().or_else(|| schema.name.clone()),
            version: self.version.or(schema.version),
            ..Schema::clone(schema)
        };
        Ok((Arc::new(named), defaults))
    }
}
