//! Converters whose schemas live in a schema registry: Avro, JSON Schema and Protobuf, as Confluent's converters write
//! and read them.
//!
//! A message is a zero byte, the id of its schema and a body ([`wire`]). Per Connect schema and topic the id and a plan for
//! writing are kept; per id and topic a plan for reading ([`converter`]). What is not known yet stops the record with
//! `Unresolved`; the runtime then awaits `resolve` once, which asks the registry ([`registrar`], [`client`]), and tries
//! again. A record costs no await and no request otherwise.
//!
//! Progress and failure: a registry that is down is `Transient` (the record waits, nothing is skipped); a schema that the
//! registry refuses is `Definite` and never a bad record, so that `errors.tolerance=all` cannot skip the rows behind it; an
//! unknown id or broken bytes are a bad record.
//!
//! Invariants: no bytes from outside panic, whether of a message or of a schema; caches are bounded by
//! `schemas.cache.config`; a record is never written with a schema that it does not fit.
//!
//! Absent on purpose: data contract rules and their executors, schemas named by GUID in headers, OAuth token endpoints.
mod avro;
mod client;
mod converter;
mod error;
mod json_schema;
mod plugins;
mod protobuf;
mod registrar;
mod settings;
mod subject;
mod wire;

pub use avro::AvroConfig;
pub use error::Error;
pub use json_schema::JsonSchemaConfig;
pub use plugins::plugins;
pub use protobuf::ProtobufConfig;
pub use settings::{BasicSource, BearerSource};
