//! `SimpleHeaderConverter`: headers as text, their types guessed when they are read.
//!
//! Reading never fails: what fits no other rule is a STRING. Since the data model has no array or map without element
//! schemas, containers of mixed or no elements carry no schema at all; they are written back to the same text.
mod read;
mod write;

use bytes::{Bytes, BytesMut};
use elasticflow_api::RecordError;
use elasticflow_api::convert::HeaderConverter;
use elasticflow_api::data::{Datum, Value};

pub use read::parse;
pub use write::write_datum;

/// `org.apache.kafka.connect.storage.SimpleHeaderConverter`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SimpleHeaderConverter;

impl HeaderConverter for SimpleHeaderConverter {
    fn encode(&self, _: &str, _: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool, RecordError> {
        if datum.value == Value::Null {
            return Ok(false);
        }
        let mut text = String::new();
        write_datum(datum, &mut text);
        out.extend_from_slice(text.as_bytes());
        Ok(true)
    }

    fn may_refuse(&self) -> bool {
        false
    }

    fn decode(&self, _: &str, _: &str, bytes: Option<&Bytes>) -> Result<Datum, RecordError> {
        Ok(match bytes {
            None => Datum { schema: None, value: Value::Null },
            Some(bytes) => parse(&String::from_utf8_lossy(bytes)),
        })
    }
}
