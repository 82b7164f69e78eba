//! The endpoint against recordings of Kafka Connect, and on its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::print_stdout,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test fails by panicking and says on standard output what it skips"
)]
mod endpoint;
mod golden;
mod hostile;
mod hung;
mod late;
mod limits;
mod replay;
mod security;
mod tcp;
mod world;
