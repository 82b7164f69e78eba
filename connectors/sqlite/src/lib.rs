//! SQLite: a batch source and a transactional sink, for first runs, tests and small deployments.
//!
//! The sink stores the next offset and an owner epoch of each partition in the destination's own transaction (`sink`): after
//! a crash it goes on at the stored offset, whatever the consumer group says, and an owner that was replaced is refused by
//! the epoch it reads under SQLite's write lock; everything but the language and the file is the engine of `elasticflow-sql`. The source reads whole tables, or rows above a growing column, a time or
//! both; its position is what it has read last. SQLite has one writer, so a sink is one task.
//!
//! Blocking calls run on blocking threads through [`connection::Blocking`]. Absent on purpose: user queries, `ATTACH`,
//! extensions.
mod config;
mod connection;
mod error;
mod sink;
mod source;
mod types;

pub use config::{SinkConfig, SourceConfig};
pub use sink::SqliteSink;
pub use source::SqliteSource;

use elasticflow_api::config::Settings;
use elasticflow_api::registry::{Plugin, PluginEntry};
use std::sync::Arc;

/// The plug-ins of this crate.
pub fn plugins() -> Vec<PluginEntry> {
    vec![
        PluginEntry {
            class: "elasticflow.connectors.SqliteSinkConnector",
            aliases: &["sqlite", "SqliteSink"],
            version: env!("CARGO_PKG_VERSION"),
            keys: SinkConfig::keys(),
            remarks: "",
            plugin: Plugin::Sink(Arc::new(SqliteSink)),
        },
        PluginEntry {
            class: "elasticflow.connectors.SqliteBatchSourceConnector",
            aliases: &["sqlite", "SqliteBatchSource"],
            version: env!("CARGO_PKG_VERSION"),
            keys: SourceConfig::keys(),
            remarks: "sees no deletes; bulk repeats the table at each poll",
            plugin: Plugin::Source(Arc::new(SqliteSource)),
        },
    ]
}
