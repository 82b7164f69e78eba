//! `InsertHeader`: appends one header with a fixed value.
use crate::side::{Configured, Side};
use elasticflow_api::convert::Transform;
use elasticflow_api::data::{Datum, Record};
use elasticflow_api::{RecordError, Result};
use elasticflow_formats::simple_header;
use std::sync::Arc;

elasticflow_config::settings! {
    /// Settings of `InsertHeader`.
    pub(crate) struct InsertHeaderConfig {
        /// Name of the header.
        "header" => header: String { importance: High },
        /// Its value as text; the type is found as for headers read from a topic: `true`, `5`, `[1,2]`, `2020-01-02`.
        "value.literal" => literal: String { importance: High },
    }
}

pub(crate) struct InsertHeader {
    name: Arc<str>,
    value: Datum,
}

impl Configured for InsertHeader {
    type Config = InsertHeaderConfig;
    fn configured(config: InsertHeaderConfig, _: Side) -> Result<Self> {
        Ok(Self { name: config.header.into(), value: simple_header::parse(&config.literal) })
    }
}

impl Transform for InsertHeader {
    fn apply(&self, mut record: Record) -> Result<Option<Record>, RecordError> {
        record.headers.push((Arc::clone(&self.name), self.value.clone()));
        Ok(Some(record))
    }

    fn passes_plain_values(&self) -> bool {
        true
    }
}
