//! The converters of single numbers and booleans: big-endian bytes, as Kafka's serializers write them.
use crate::error::{FormatError, SerializationError, converter_stage};
use crate::java::{class_of, type_name};
use crate::raw::optional;
use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use elasticflow_api::convert::{Converter, DecodeError, EncodeError};
use elasticflow_api::data::{Datum, Headers, Kind, SchemaRef, Value};
use elasticflow_api::error::Stage;
use std::sync::Arc;

/// Which of the primitive converters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Connect's")]
pub enum Primitive {
    Short,
    Integer,
    Long,
    Float,
    Double,
    Boolean,
}

/// `org.apache.kafka.connect.converters.{Short,Integer,Long,Float,Double,Boolean}Converter`.
pub struct PrimitiveConverter {
    stage: Stage,
    primitive: Primitive,
    schema: SchemaRef,
}

impl PrimitiveConverter {
    /// A converter of keys or of values.
    pub fn new(primitive: Primitive, is_key: bool) -> Self {
        let kind = match primitive {
            Primitive::Short => Kind::Int16,
            Primitive::Integer => Kind::Int32,
            Primitive::Long => Kind::Int64,
            Primitive::Float => Kind::Float32,
            Primitive::Double => Kind::Float64,
            Primitive::Boolean => Kind::Boolean,
        };
        Self { stage: converter_stage(is_key), primitive, schema: optional(kind) }
    }

    fn word(&self) -> &'static str {
        match self.primitive {
            Primitive::Short => "short",
            Primitive::Integer => "integer",
            Primitive::Long => "long",
            Primitive::Float => "float",
            Primitive::Double => "double",
            Primitive::Boolean => "boolean",
        }
    }

    fn write(&self, datum: &Datum, out: &mut BytesMut) -> Result<bool, FormatError> {
        if let (Primitive::Boolean, Some(schema)) = (self.primitive, &datum.schema)
            && schema.kind != Kind::Boolean
        {
            let name = type_name(&schema.kind);
            return Err(FormatError::data(format!("Invalid schema type for BooleanConverter: {name}")));
        }
        match (self.primitive, &datum.value) {
            (_, Value::Null) => return Ok(false),
            (Primitive::Short, Value::Int16(n)) => out.put_i16(*n),
            (Primitive::Integer, Value::Int32(n)) => out.put_i32(*n),
            (Primitive::Long, Value::Int64(n)) => out.put_i64(*n),
            (Primitive::Float, Value::Float32(n)) => out.put_f32(*n),
            (Primitive::Double, Value::Float64(n)) => out.put_f64(*n),
            (Primitive::Boolean, Value::Boolean(b)) => out.put_u8(u8::from(*b)),
            (_, value) => {
                let class = class_of(value, datum.schema.as_deref());
                return Err(FormatError::data(format!("Failed to serialize to {} (was class {class}): ", self.word())));
            }
        }
        Ok(true)
    }

    fn read(&self, bytes: &[u8]) -> Option<Value> {
        Some(match self.primitive {
            Primitive::Short => Value::Int16(i16::from_be_bytes(bytes.try_into().ok()?)),
            Primitive::Integer => Value::Int32(i32::from_be_bytes(bytes.try_into().ok()?)),
            Primitive::Long => Value::Int64(i64::from_be_bytes(bytes.try_into().ok()?)),
            Primitive::Float => Value::Float32(f32::from_be_bytes(bytes.try_into().ok()?)),
            Primitive::Double => Value::Float64(f64::from_be_bytes(bytes.try_into().ok()?)),
            Primitive::Boolean => match bytes {
                [0] => Value::Boolean(false),
                [1] => Value::Boolean(true),
                _ => return None,
            },
        })
    }
}

#[async_trait]
impl Converter for PrimitiveConverter {
    fn encode(&self, _: &str, datum: &Datum, _: &mut Headers, out: &mut BytesMut) -> Result<bool, EncodeError> {
        self.write(datum, out).map_err(|error| EncodeError::Record(error.at(self.stage)))
    }

    fn decode(&self, _: &str, bytes: Option<&Bytes>, _: &Headers) -> Result<Datum, DecodeError> {
        let value = match bytes {
            None => Value::Null,
            Some(bytes) => self.read(bytes).ok_or_else(|| {
                let message = format!("Failed to deserialize {}: ", self.word());
                let cause = SerializationError(format!("{} bytes are no {}", bytes.len(), self.word()));
                FormatError::Serialization { message, cause }.at(self.stage)
            })?,
        };
        Ok(Datum { schema: Some(Arc::clone(&self.schema)), value })
    }
}
