//! The herder on the embedded broker, with connectors and a task runner that do as they are told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::print_stdout,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test fails by panicking and says on standard output what it skips"
)]
mod cluster;
mod lifecycle;
mod lost_answers;
mod offsets;
mod plans;
mod restart;
mod runner;
mod sim;
mod startup;
mod stubs;
mod worker;
