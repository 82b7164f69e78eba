//! The sink connector.
use crate::config::PostgresSinkConfig;
use crate::session::{Access, PostgresDatabase};
use crate::source::{PostgresBatchSource, PostgresSourceConfig};
use elasticflow_api::config::{Settings, ValidationReport};
use elasticflow_api::context::ConnectorContext;
use elasticflow_api::error::{ConnectorError, ErrorClass, Result};
use elasticflow_api::position::{Offset, TaskId, TopicPartition};
use elasticflow_api::registry::{Guarantee, Plugin, PluginEntry, TaskConfig};
use elasticflow_api::sink::{PublishKind, SinkConnector, SinkKind};
use elasticflow_sql::{Database, sink};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The sink connector.
pub struct PostgresSink;

impl SinkConnector for PostgresSink {
    const NAME: &'static str = "postgresql";
    type Config = PostgresSinkConfig;

    fn guarantee(&self, config: &PostgresSinkConfig) -> Guarantee {
        sink::guarantee(&config.keys)
    }

    async fn validate(&self, config: &PostgresSinkConfig, _: &ConnectorContext) -> ValidationReport {
        let mut report = ValidationReport::default();
        sink::check_keys(&config.keys, &mut report);
        match PostgresDatabase::new(Access::of_sink(config)) {
            Err(problem) => report.error("connection.url", format!("connection.url {problem}")),
            Ok(database) => match database.connect().await {
                Ok(session) => session.close().await,
                Err(answer) => report.error("connection.url", answer.text),
            },
        }
        report
    }

    fn plan(&self, _: &PostgresSinkConfig, tasks_max: usize) -> Result<Vec<TaskConfig>> {
        Ok(sink::plan(tasks_max))
    }

    fn task(&self, config: &PostgresSinkConfig, _: TaskConfig) -> Result<SinkKind> {
        Ok(sink::SqlSink::kind(Arc::new(database(config)?), &config.keys))
    }

    fn publishes(&self, config: &PostgresSinkConfig) -> &'static [PublishKind] {
        sink::publishes(&config.keys)
    }

    async fn alter_offsets(
        &self,
        config: &PostgresSinkConfig,
        id: &TaskId,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<()> {
        sink::alter_offsets(&database(config)?, &config.keys, id, offsets).await
    }
}

fn database(config: &PostgresSinkConfig) -> Result<PostgresDatabase> {
    PostgresDatabase::new(Access::of_sink(config)).map_err(|problem| ConnectorError {
        class: ErrorClass::Config,
        code: "SQL-0001",
        message: format!("connection.url {problem}"),
        source: None,
    })
}

/// The plug-ins of this crate.
pub fn plugins() -> Vec<PluginEntry> {
    vec![
        PluginEntry {
            class: "elasticflow.connectors.PostgresSinkConnector",
            aliases: &["postgresql", "postgres", "PostgresSink"],
            version: env!("CARGO_PKG_VERSION"),
            keys: PostgresSinkConfig::keys(),
            remarks: "",
            plugin: Plugin::Sink(Arc::new(PostgresSink)),
        },
        PluginEntry {
            class: "elasticflow.connectors.PostgresBatchSourceConnector",
            aliases: &["postgresql-batch", "PostgresBatchSource"],
            version: env!("CARGO_PKG_VERSION"),
            keys: PostgresSourceConfig::keys(),
            remarks: "sees no deletes; bulk repeats the table at each poll",
            plugin: Plugin::Source(Arc::new(PostgresBatchSource)),
        },
    ]
}
