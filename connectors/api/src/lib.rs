//! All that a connector author imports.
//!
//! Reading order: [`data`] -> [`position`] -> [`error`] -> [`source`] ->
//! [`written`] -> [`sink`] -> [`convert`] -> [`context`] ->
//! [`registry`]. A connector implements [`source::SourceConnector`] or [`sink::SinkConnector`] and is listed once in the
//! server's registry. Absent on purpose: any Kafka client type, any HTTP type, any metric exporter, any global state.
pub mod blame;
pub mod clock;
pub mod context;
pub mod convert;
pub mod data;
pub mod error;
pub mod position;
pub mod registry;
pub mod sink;
pub mod source;
pub mod written;

pub use elasticflow_config as config;
pub use error::{ConnectorError, ErrorClass, RecordError, Result};
