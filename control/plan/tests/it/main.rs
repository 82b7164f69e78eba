//! The pure decisions: tables and properties.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::print_stdout,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test fails by panicking and says on standard output what it skips"
)]
mod claims;
mod place;
mod pools;
mod reconcile;
mod restart;
mod tasks;
