//! The endpoint against recordings of Kafka Connect, and on its own.
mod endpoint;
mod golden;
mod replay;
mod world;
