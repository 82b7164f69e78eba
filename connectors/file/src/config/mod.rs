//! Settings of the source and of the sink; names follow the spooldir and the Confluent file connectors.
mod sink;
mod source;
mod words;

pub use sink::SinkConfig;
pub use source::SourceConfig;
pub(crate) use source::{glob, whole_name};
pub(crate) use words::{
    Cleanup, Compression, Format, Identify, Malformed, Mode, NullIndicator, NullValues, Order, Packing, Partitioner,
    Rotation, TailFrom, Timestamps, WidthMismatch,
};
