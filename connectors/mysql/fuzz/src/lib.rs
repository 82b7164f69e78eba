//! The targets, for the programs of the fuzzer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is what the fuzzer looks for")]
#[path = "../targets/mod.rs"]
pub mod targets;
