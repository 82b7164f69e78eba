//! Tests of the pure functions of flow control.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests: helpers count as production code"
)]
mod allocation;
mod simulation;
mod special;
mod vectors;
