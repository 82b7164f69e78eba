//! `Filter`: drops every record; a predicate says which.
use crate::side::{Configured, Side};
use elasticflow_api::convert::Transform;
use elasticflow_api::data::Record;
use elasticflow_api::{RecordError, Result};

pub(crate) struct Filter;

impl Configured for Filter {
    type Config = ();
    fn configured((): (), _: Side) -> Result<Self> {
        Ok(Self)
    }
}

impl Transform for Filter {
    fn apply(&self, _: Record) -> Result<Option<Record>, RecordError> {
        Ok(None)
    }

    fn passes_plain_values(&self) -> bool {
        true
    }

    fn passes_headers(&self) -> bool {
        true
    }
}
