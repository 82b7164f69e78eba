//! Converters: bytes to Connect's data model and back, byte for byte as Kafka Connect writes them.
//!
//! Reading order: [`json`] (the one on every hot path) -> [`string`] -> [`raw`] -> [`primitive`] -> [`simple_header`] ->
//! [`header`] (which lets every converter serve headers). What they share: [`logical`] names the logical types,
//! [`number`] and [`decimal`] write numbers as Java does, [`calendar`] knows the days, [`java`] the class names that
//! appear in messages, [`error`] what is wrong with a record.
//!
//! Invariants: no input bytes panic; nesting is bounded; a converter does no I/O; caches are bounded.
//!
//! Absent on purpose: schema registries (Avro, Protobuf), Kafka, tokio.
pub mod calendar;
pub mod decimal;
pub mod error;
pub mod header;
pub mod java;
pub mod json;
pub mod logical;
pub mod number;
mod plugins;
pub mod primitive;
pub mod raw;
pub mod schema_cache;
pub mod simple_header;
pub mod string;

pub use error::{FormatError, SerializationError};
pub use plugins::plugins;
