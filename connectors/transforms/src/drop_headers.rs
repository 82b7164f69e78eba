//! `DropHeaders`: removes every header of the named ones.
use crate::side::{Configured, Side};
use elasticflow_api::convert::Transform;
use elasticflow_api::data::Record;
use elasticflow_api::{RecordError, Result};

elasticflow_config::settings! {
    /// Settings of `DropHeaders`.
    pub(crate) struct DropHeadersConfig {
        /// Names of the headers to remove.
        "headers" => headers: Vec<String> { importance: High },
    }
}

pub(crate) struct DropHeaders {
    names: Vec<String>,
}

impl Configured for DropHeaders {
    type Config = DropHeadersConfig;
    fn configured(config: DropHeadersConfig, _: Side) -> Result<Self> {
        Ok(Self { names: config.headers })
    }
}

impl Transform for DropHeaders {
    fn apply(&self, mut record: Record) -> Result<Option<Record>, RecordError> {
        record.headers.retain(|(name, _)| !self.names.iter().any(|n| **n == **name));
        Ok(Some(record))
    }

    fn passes_plain_values(&self) -> bool {
        true
    }
}
