//! Files: a source that goes on at the exact byte, and a two-phase sink.
//!
//! Reading order: [`config`] -> `source` (spool and tail over a reader over decoders) -> `sink` (parts, manifest, rename).
//! Both sides reach files through [`dir`], which follows no symbolic link below the configured directory, and do their I/O
//! on blocking threads through [`blocking`]. `filestream` is Apache's demonstration pair with its own positions.
//!
//! Absent on purpose: remote file systems, file notifications, memory maps (a truncation would end the process).
mod blocking;
mod config;
mod dir;
mod error;
mod filestream;
mod sink;
mod source;

pub use config::{SinkConfig, SourceConfig};
pub use filestream::{FileStreamSink, FileStreamSinkConfig, FileStreamSource, FileStreamSourceConfig};
pub use sink::FileSink;
pub use source::FileSource;

use config::Format;
use elasticflow_api::config::Settings;
use elasticflow_api::registry::{Plugin, PluginEntry};
use source::Preset;
use std::sync::Arc;

/// The plug-ins of this crate.
pub fn plugins() -> Vec<PluginEntry> {
    const SPOOLDIR: [(&str, Format); 3] = [
        ("com.github.jcustenborder.kafka.connect.spooldir.SpoolDirCsvSourceConnector", Format::Csv),
        ("com.github.jcustenborder.kafka.connect.spooldir.SpoolDirLineDelimitedSourceConnector", Format::Text),
        ("com.github.jcustenborder.kafka.connect.spooldir.SpoolDirSchemaLessJsonSourceConnector", Format::Json),
    ];
    let source = |class, aliases, preset| PluginEntry {
        class,
        aliases,
        version: env!("CARGO_PKG_VERSION"),
        keys: SourceConfig::keys(),
        remarks: "",
        plugin: Plugin::Source(Arc::new(FileSource { preset })),
    };
    let mut plugins = vec![
        PluginEntry {
            class: "elasticflow.connectors.FileSinkConnector",
            aliases: &["file"],
            version: env!("CARGO_PKG_VERSION"),
            keys: SinkConfig::keys(),
            remarks: "",
            plugin: Plugin::Sink(Arc::new(FileSink)),
        },
        source("elasticflow.connectors.FileSourceConnector", &["file"], Preset::OWN),
    ];
    plugins.extend(stream());
    plugins.extend(SPOOLDIR.map(|(class, format)| source(class, &[], Preset::spooldir(format))));
    plugins
}

/// Apache's demonstration pair.
fn stream() -> [PluginEntry; 2] {
    [
        PluginEntry {
            class: "org.apache.kafka.connect.file.FileStreamSinkConnector",
            aliases: &["filestream"],
            version: env!("CARGO_PKG_VERSION"),
            keys: FileStreamSinkConfig::keys(),
            remarks: "at least once: records may repeat after a failure; FileSinkConnector is exactly once",
            plugin: Plugin::Sink(Arc::new(FileStreamSink)),
        },
        PluginEntry {
            class: "org.apache.kafka.connect.file.FileStreamSourceConnector",
            aliases: &["filestream"],
            version: env!("CARGO_PKG_VERSION"),
            keys: FileStreamSourceConfig::keys(),
            remarks: "does not follow rotations; FileSourceConnector with mode=tail does",
            plugin: Plugin::Source(Arc::new(FileStreamSource)),
        },
    ]
}
