//! The elasticflow binary as a process.
#![allow(clippy::unwrap_used, clippy::panic, clippy::zombie_processes, reason = "a test fails by panicking")]
mod commands;
mod development_broker;
mod process;
mod validate;
