//! `RecordIsTombstone`: true for records whose value is null, with or without a schema.
use elasticflow_api::convert::Predicate;
use elasticflow_api::data::{Record, Value};

pub(crate) struct RecordIsTombstone;

impl Predicate for RecordIsTombstone {
    fn test(&self, record: &Record) -> bool {
        record.value.value == Value::Null
    }

    fn passes_plain_values(&self) -> bool {
        true
    }

    fn passes_headers(&self) -> bool {
        true
    }
}
