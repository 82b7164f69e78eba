//! `HoistField`: wraps the datum in a struct, or in a map where there is no schema.
use crate::schemas::{PLANS_MAX, field, plain, record};
use crate::side::{Change, Configured, Side};
use elasticflow_api::data::{Datum, Kind, SchemaRef, Value};
use elasticflow_api::{RecordError, Result};
use elasticflow_formats::schema_cache::SchemaCache;
use std::sync::Arc;

elasticflow_config::settings! {
    /// Settings of `HoistField`.
    pub(crate) struct HoistFieldConfig {
        /// Name of the one field.
        "field" => field: String {},
    }
}

pub(crate) struct HoistField {
    name: Arc<str>,
    schemas: SchemaCache<SchemaRef>,
}

impl Configured for HoistField {
    type Config = HoistFieldConfig;
    fn configured(config: HoistFieldConfig, _: Side) -> Result<Self> {
        Ok(Self { name: config.field.into(), schemas: SchemaCache::new(PLANS_MAX) })
    }
}

impl Change for HoistField {
    fn change(&self, datum: &mut Datum) -> Result<(), RecordError> {
        let inner = std::mem::replace(&mut datum.value, Value::Null);
        let Some(schema) = &datum.schema else {
            datum.value = Value::Map(vec![(Value::String((&*self.name).into()), inner)]);
            return Ok(());
        };
        let schema = self.schemas.of(schema, |of| {
            let fields = Arc::new([field(Arc::clone(&self.name), Arc::clone(of))]);
            Ok::<_, RecordError>(Arc::new(plain(Kind::Struct(fields), false)))
        })?;
        datum.value = record(&schema, vec![inner]);
        datum.schema = Some(Arc::clone(&schema));
        Ok(())
    }
}
