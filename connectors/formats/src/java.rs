//! Java's names for things, as they appear in Connect's messages.
use crate::logical::{Logical, logical_of};
use elasticflow_api::data::{Kind, Schema, Value};

/// The class that Java would hold this value in.
pub fn class_of(value: &Value, schema: Option<&Schema>) -> &'static str {
    match (schema.and_then(logical_of), value) {
        (Some(Logical::Decimal(_)), Value::Bytes(_)) => return "java.math.BigDecimal",
        (Some(Logical::Date | Logical::Time), Value::Int32(_)) | (Some(Logical::Timestamp), Value::Int64(_)) => {
            return "java.util.Date";
        }
        _ => {}
    }
    match value {
        Value::Null => "null",
        Value::Boolean(_) => "java.lang.Boolean",
        Value::Int8(_) => "java.lang.Byte",
        Value::Int16(_) => "java.lang.Short",
        Value::Int32(_) => "java.lang.Integer",
        Value::Int64(_) => "java.lang.Long",
        Value::Float32(_) => "java.lang.Float",
        Value::Float64(_) => "java.lang.Double",
        Value::String(_) => "java.lang.String",
        Value::Bytes(_) => "[B",
        Value::Array(_) => "java.util.ArrayList",
        Value::Map(_) => "java.util.HashMap",
        Value::Struct(_) => "org.apache.kafka.connect.data.Struct",
    }
}

/// Connect's name of a physical type in messages.
pub fn type_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Int8 => "INT8",
        Kind::Int16 => "INT16",
        Kind::Int32 => "INT32",
        Kind::Int64 => "INT64",
        Kind::Float32 => "FLOAT32",
        Kind::Float64 => "FLOAT64",
        Kind::Boolean => "BOOLEAN",
        Kind::String => "STRING",
        Kind::Bytes => "BYTES",
        Kind::Array(_) => "ARRAY",
        Kind::Map { .. } => "MAP",
        Kind::Struct(_) => "STRUCT",
    }
}
