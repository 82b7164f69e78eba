//! The composition root: configuration -> registry -> ports -> run. Another distribution is a `main` of its own that
//! calls [`run`] with its registry.
//!
//! Reading order: [`cli`] -> `commands` -> `worker` (a worker put together) -> `dev` and `demo` (the same with the embedded
//! broker) -> `client` (commands that speak to a running worker). Exit codes: 0 done, 1 failed, 2 the command line or a configuration is wrong.
mod assigned;
pub mod cli;
mod client;
mod clock;
mod commands;
mod connector_file;
#[cfg(feature = "dev-broker")]
mod demo;
#[cfg(feature = "dev-broker")]
mod dev;
mod flow;
mod hook;
mod jdbc;
mod jdbc_source;
mod logging;
mod memory;
mod output;
mod processors;
mod rates;
mod registry;
mod runner;
mod worker;

pub use registry::registry;

use clap::Parser;
use elasticflow_api::registry::Registry;
use std::process::ExitCode;

/// Reads the command line and runs it with the plug-ins of this distribution.
pub fn main() -> ExitCode {
    match registry() {
        Ok(registry) => run(registry),
        Err(error) => commands::fail(&error.to_string(), commands::FAILED),
    }
}

/// Reads the command line and runs it with these plug-ins.
pub fn run(registry: Registry) -> ExitCode {
    // One TLS library for every client; a provider that is set already stays.
    drop(rustls::crypto::ring::default_provider().install_default());
    commands::run(cli::Cli::parse(), registry)
}
