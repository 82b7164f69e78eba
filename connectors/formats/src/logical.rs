//! Connect's logical types: a name on a schema that gives a physical value its meaning.
use elasticflow_api::data::{Kind, Schema};

/// Name of `Decimal`: bytes, the unscaled value as big-endian two's complement; parameter `scale`.
pub const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
/// Name of `Date`: int32 days since 1970.
pub const DATE: &str = "org.apache.kafka.connect.data.Date";
/// Name of `Time`: int32 milliseconds of the day.
pub const TIME: &str = "org.apache.kafka.connect.data.Time";
/// Name of `Timestamp`: int64 milliseconds since 1970 UTC.
pub const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";

/// A logical type that converters know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logical {
    /// [`DECIMAL`]; `None` when the schema lacks a readable scale.
    Decimal(Option<i32>),
    /// [`DATE`].
    Date,
    /// [`TIME`].
    Time,
    /// [`TIMESTAMP`].
    Timestamp,
}

/// The logical type of a schema. A known name on a foreign physical type counts for nothing.
pub fn logical_of(schema: &Schema) -> Option<Logical> {
    match (schema.name.as_deref()?, &schema.kind) {
        (DECIMAL, Kind::Bytes) => {
            Some(Logical::Decimal(schema.parameters.get("scale").and_then(|text| text.parse().ok())))
        }
        (DATE, Kind::Int32) => Some(Logical::Date),
        (TIME, Kind::Int32) => Some(Logical::Time),
        (TIMESTAMP, Kind::Int64) => Some(Logical::Timestamp),
        _ => None,
    }
}
