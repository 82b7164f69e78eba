//! Types that every schema may use without bringing them: their texts, and what they mean in Connect.

/// Declarations of the types.
pub(crate) const TEXTS: [&str; 5] = [
    "syntax = \"proto3\"; package google.protobuf; message Timestamp { int64 seconds = 1; int32 nanos = 2; } \
     message Duration { int64 seconds = 1; int32 nanos = 2; } message Empty {}",
    "syntax = \"proto3\"; package google.protobuf; message DoubleValue { double value = 1; } \
     message FloatValue { float value = 1; } message Int64Value { int64 value = 1; } \
     message UInt64Value { uint64 value = 1; } message Int32Value { int32 value = 1; } \
     message UInt32Value { uint32 value = 1; } message BoolValue { bool value = 1; } \
     message StringValue { string value = 1; } message BytesValue { bytes value = 1; }",
    "syntax = \"proto3\"; package google.type; message Date { int32 year = 1; int32 month = 2; int32 day = 3; }",
    "syntax = \"proto3\"; package google.type; \
     message TimeOfDay { int32 hours = 1; int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }",
    "syntax = \"proto3\"; package confluent.type; \
     message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }",
];

pub(crate) const DECIMAL: &str = "confluent.type.Decimal";
pub(crate) const DATE: &str = "google.type.Date";
pub(crate) const TIME: &str = "google.type.TimeOfDay";
pub(crate) const TIMESTAMP: &str = "google.protobuf.Timestamp";

/// Parameter with the number of a field.
pub(crate) const TAG: &str = "io.confluent.connect.protobuf.Tag";
/// Parameter with the name of an enum; `….<symbol>` for the number of each symbol.
pub(crate) const ENUM: &str = "io.confluent.connect.protobuf.Enum";
/// Prefix of the names of structs that stand for a oneof.
pub(crate) const UNION: &str = "io.confluent.connect.protobuf.Union.";
/// Name of structs without one, before their number.
pub(crate) const UNNAMED: &str = "ConnectDefault";
/// `confluent.field_meta` of integers that are narrower than Protobuf's.
pub(crate) const CONNECT_TYPE: &str = "connect.type";
/// `confluent.field_meta` and parameter of a decimal.
pub(crate) const SCALE: &str = "scale";
/// `confluent.field_meta` of a decimal.
pub(crate) const PRECISION: &str = "precision";
/// Parameter with a decimal's precision.
pub(crate) const CONNECT_PRECISION: &str = "connect.decimal.precision";
