//! The transactional sink: SQLite's part of the SQL sink engine.
//!
//! A put takes the write lock first (`BEGIN IMMEDIATE`), reads the epochs under it, leaves out what lies below the stored
//! offset, applies the rows and moves the offsets. A commit without an answer cannot happen half: the file is the judge.
//! SQLite has one writer, so a sink is one task.
mod dialect;
mod session;

use crate::config::SinkConfig;
use crate::connection::path_of;
use elasticflow_api::config::ValidationReport;
use elasticflow_api::context::ConnectorContext;
use elasticflow_api::error::Result;
use elasticflow_api::position::{Offset, TaskId, TopicPartition};
use elasticflow_api::registry::{Guarantee, TaskConfig};
use elasticflow_api::sink::{PublishKind, SinkConnector, SinkKind};
use elasticflow_sql::sink;
use session::SqliteDatabase;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The sink connector.
pub struct SqliteSink;

impl SinkConnector for SqliteSink {
    const NAME: &'static str = "sqlite";
    type Config = SinkConfig;

    fn guarantee(&self, config: &SinkConfig) -> Guarantee {
        sink::guarantee(&config.keys)
    }

    async fn validate(&self, config: &SinkConfig, _: &ConnectorContext) -> ValidationReport {
        let mut report = ValidationReport::default();
        sink::check_keys(&config.keys, &mut report);
        if let Err(error) = path_of(&config.keys.url) {
            report.error("connection.url", error.to_string());
        }
        for (key, is_set) in
            [("connection.user", config.keys.user.is_some()), ("connection.password", config.keys.password.is_some())]
        {
            if is_set {
                report.error(
                    key,
                    format!("{key} has no meaning for SQLite: access is by the rights of the file; remove it"),
                );
            }
        }
        report
    }

    fn plan(&self, _: &SinkConfig, tasks_max: usize) -> Result<Vec<TaskConfig>> {
        if tasks_max > 1 {
            tracing::warn!(tasks_max, "SQLite has one writer; one task is planned");
        }
        Ok(sink::plan(1))
    }

    fn task(&self, config: &SinkConfig, _: TaskConfig) -> Result<SinkKind> {
        Ok(sink::SqlSink::kind(Arc::new(SqliteDatabase(config.clone())), &config.keys))
    }

    fn publishes(&self, config: &SinkConfig) -> &'static [PublishKind] {
        sink::publishes(&config.keys)
    }

    async fn alter_offsets(
        &self,
        config: &SinkConfig,
        id: &TaskId,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<()> {
        sink::alter_offsets(&SqliteDatabase(config.clone()), &config.keys, id, offsets).await
    }
}
