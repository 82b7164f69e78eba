//! The endpoint against recordings of Kafka Connect, and on its own.
mod golden;
mod replay;
mod world;
