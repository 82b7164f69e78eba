//! The recorded vectors, the declared keys, and Debezium's transforms.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests stop at the first surprise, and say what they skip"
)]
mod config;
mod debezium;
mod golden;
mod plain;
mod typed;
