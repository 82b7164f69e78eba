//! Between a connector and Kafka: transforms, converters, and what is done with records that fail in them.
//!
//! Synchronous but for one place: a converter that lacks a schema is resolved once and asked again.
mod converters;
mod decode;
mod encode;
mod retry;
mod settings;
mod tolerance;
mod transforms;
#[cfg(test)]
mod transforms_tests;

pub(crate) use converters::{Converters, Stopped};
pub(crate) use decode::Decoder;
pub(crate) use encode::Encoder;
pub(crate) use retry::Retry;
pub(crate) use settings::parsed;
pub(crate) use tolerance::{Failed, Place, Tolerance};
pub(crate) use transforms::Transforms;
