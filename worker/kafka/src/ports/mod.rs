//! What runtime and control ask of Kafka. One adapter names the Kafka client; a fake implements the same traits.
mod factory;
mod kafka;
mod log;

pub use factory::*;
pub use kafka::*;
pub use log::*;
