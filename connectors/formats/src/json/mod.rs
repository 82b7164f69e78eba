//! `JsonConverter`: JSON with or without a schema beside the payload.
//!
//! Writing follows a [`plan`] prepared once per schema: field names escaped with their quotes and colon, defaults and the
//! schema's own JSON rendered, so that a record costs a walk over its values and copies of bytes. Reading goes from bytes
//! to values with a [`cursor`], without a tree in between; with schemas on, the schema part is compared with those already
//! read ([`envelope`]) and the payload is read by its prepared [`reader`].
//!
//! Absent on purpose: a JSON document tree, streaming over several buffers.
mod alternative;
mod converter;
pub mod cursor;
mod encode;
mod envelope;
mod escape;
mod members;
mod number;
pub mod plan;
mod reader;
mod scan;
mod schema_reader;
mod schema_writer;
mod skim;
mod unescape;

pub use converter::{DecimalFormat, JsonConfig, JsonConverter};
pub use encode::write_schemaless;
pub use escape::write_string;
pub use plan::{DecimalStyle, MapStyle, NotFinite, Plan, Plans, Style, TemporalStyle};
pub use reader::{ReadStyle, Reader};
