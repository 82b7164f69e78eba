//! Single message transforms and predicates, under Kafka Connect's and Debezium's names.
//!
//! A transform takes a record and gives it back changed, or drops it. It is synchronous, shared by threads and does no
//! I/O. What depends on a schema alone (derived schemas, indexes of fields) is worked out once per schema and kept in a
//! bounded cache; per record, values are moved, not copied.
//!
//! Reading order: [`side`] (key or value) -> one file per transform -> [`predicates`] -> [`debezium`] -> [`plugins`].
//! What they share: [`require`] refuses data of the wrong shape in Connect's words, [`schemas`] derives schemas,
//! [`java_regex`] and [`date_format`] read the patterns of Java, [`topics`] remembers routed topic names.
//!
//! Invariants: no record panics; no cache grows without bound; no error carries the contents of a record.
//!
//! Absent on purpose: scripts (a record is never handed to an interpreter), state between records.
mod cast;
mod date_format;
pub mod debezium;
mod drop_headers;
mod error;
mod extract_field;
mod field_path;
mod filter;
mod flatten;
mod header_from;
mod hoist_field;
mod insert_field;
mod insert_header;
mod java_regex;
mod mask_field;
mod plugins;
pub mod predicates;
mod regex_router;
mod replace_field;
mod require;
mod schemas;
mod set_schema_metadata;
mod side;
mod timestamp_converter;
mod timestamp_router;
mod topics;
mod value_to_key;

pub use plugins::plugins;
