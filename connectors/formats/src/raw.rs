//! `ByteArrayConverter`: bytes as they are.
use crate::error::{FormatError, converter_stage};
use crate::java::{class_of, type_name};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use elasticflow_api::convert::{Converter, DecodeError, EncodeError};
use elasticflow_api::data::{Datum, Headers, Kind, Schema, SchemaRef, Value};
use elasticflow_api::error::Stage;
use std::sync::Arc;

/// `org.apache.kafka.connect.converters.ByteArrayConverter`.
pub struct ByteArrayConverter {
    stage: Stage,
    schema: SchemaRef,
}

impl ByteArrayConverter {
    /// A converter of keys or of values.
    pub fn new(is_key: bool) -> Self {
        Self { stage: converter_stage(is_key), schema: optional(Kind::Bytes) }
    }
}

/// An optional schema with nothing else.
pub(crate) fn optional(kind: Kind) -> SchemaRef {
    Arc::new(Schema {
        kind,
        name: None,
        version: None,
        optional: true,
        default: None,
        doc: None,
        parameters: std::collections::BTreeMap::new(),
    })
}

#[async_trait]
impl Converter for ByteArrayConverter {
    fn encode(&self, _: &str, datum: &Datum, _: &mut Headers, out: &mut BytesMut) -> Result<bool, EncodeError> {
        write(datum, out).map_err(|error| EncodeError::Record(error.at(self.stage)))
    }

    fn decode(&self, _: &str, bytes: Option<&Bytes>, _: &Headers) -> Result<Datum, DecodeError> {
        let value = bytes.map_or(Value::Null, |bytes| Value::Bytes(bytes.clone()));
        Ok(Datum { schema: Some(Arc::clone(&self.schema)), value })
    }
}

fn write(datum: &Datum, out: &mut BytesMut) -> Result<bool, FormatError> {
    if let Some(schema) = &datum.schema
        && schema.kind != Kind::Bytes
    {
        let name = type_name(&schema.kind);
        return Err(FormatError::data(format!("Invalid schema type for ByteArrayConverter: {name}")));
    }
    match (&datum.value, class_of(&datum.value, datum.schema.as_deref())) {
        (Value::Null, _) => Ok(false),
        (Value::Bytes(bytes), "[B") => {
            out.extend_from_slice(bytes);
            Ok(true)
        }
        (_, class) => {
            Err(FormatError::data(format!("ByteArrayConverter is not compatible with objects of type class {class}")))
        }
    }
}
