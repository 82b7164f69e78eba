//! Ports to Kafka and their rdkafka adapter; the only crate that names rdkafka.
pub mod ports;
