//! Ports to Kafka and their librdkafka adapter; the only crate that names the client library.
//!
//! [`ports`] is what runtime and control see. [`RdKafka`] implements it: `native` holds the C calls behind safe types,
//! `adapter` what the ports promise. Each client has one thread that takes what happens to it; calls that wait for a
//! broker run on blocking threads; records never wait for either.
mod adapter;
mod native;
pub mod ports;

pub use adapter::{RdKafka, property_table};
