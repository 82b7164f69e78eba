//! The batch source: MySQL's and MariaDB's part of the SQL batch source engine.
mod dialect;

use crate::sink::access::Access;
use crate::sink::config::MysqlKeys;
use crate::sink::session::MysqlDatabase;
use elasticflow_api::config::{KeyDef, Reader, Settings, ValidationReport};
use elasticflow_api::context::ConnectorContext;
use elasticflow_api::error::{ConnectorError, ErrorClass, Result};
use elasticflow_api::registry::{Guarantee, Plugin, PluginEntry, TaskConfig};
use elasticflow_api::source::SourceConnector;
use elasticflow_sql::source::config::SourceKeys;
use elasticflow_sql::source::{self, SourceDatabase, SourceDialect, SqlSource};
use std::sync::{Arc, LazyLock};

/// Settings of the batch source.
#[derive(Debug, Clone)]
pub struct MysqlSourceConfig {
    /// Those of every SQL batch source.
    pub keys: SourceKeys,
    /// MySQL's own.
    pub own: MysqlKeys,
}

impl Settings for MysqlSourceConfig {
    fn keys() -> &'static [KeyDef] {
        static KEYS: LazyLock<Vec<KeyDef>> = LazyLock::new(|| [SourceKeys::keys(), MysqlKeys::keys()].concat());
        &KEYS
    }
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (keys, own) = (SourceKeys::read(reader), MysqlKeys::read(reader));
        Some(Self { keys: keys?, own: own? })
    }
}

impl SourceDatabase for MysqlDatabase {
    fn source_dialect(&self) -> &'static dyn SourceDialect {
        &crate::sink::dialect::MYSQL
    }
}

/// The batch source connector.
pub struct MysqlBatchSource;

impl SourceConnector for MysqlBatchSource {
    const NAME: &'static str = "mysql-batch";
    type Config = MysqlSourceConfig;
    type Task = SqlSource;

    fn guarantee(&self, _: &MysqlSourceConfig) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn ends(&self, config: &MysqlSourceConfig) -> bool {
        source::ends(&config.keys)
    }

    async fn validate(&self, config: &MysqlSourceConfig, _: &ConnectorContext) -> ValidationReport {
        let mut report = ValidationReport::default();
        source::check_keys(&config.keys, &mut report);
        match opened(config) {
            Err(error) => report.error("connection.url", error.message),
            Ok(database) => source::check_database(&database, &config.keys, &mut report).await,
        }
        report
    }

    async fn plan(
        &self,
        config: &MysqlSourceConfig,
        tasks_max: usize,
        _: &ConnectorContext,
    ) -> Result<Vec<TaskConfig>> {
        source::plan(&opened(config)?, &config.keys, tasks_max).await
    }

    fn task(&self, config: &MysqlSourceConfig, task: TaskConfig) -> Result<SqlSource> {
        Ok(SqlSource::new(Arc::new(opened(config)?), &config.keys, source::tables_of(&task)))
    }
}

fn opened(config: &MysqlSourceConfig) -> Result<MysqlDatabase> {
    MysqlDatabase::new(Access::of_source(&config.keys, &config.own)).map_err(|problem| ConnectorError {
        class: ErrorClass::Config,
        code: "SQL-0001",
        message: format!("connection.url {problem}"),
        source: None,
    })
}

/// The plug-ins of the batch source.
pub fn plugins() -> Vec<PluginEntry> {
    vec![PluginEntry {
        class: "elasticflow.connectors.MysqlBatchSourceConnector",
        aliases: &["mysql-batch", "MysqlBatchSource"],
        version: env!("CARGO_PKG_VERSION"),
        keys: MysqlSourceConfig::keys(),
        remarks: "sees no deletes; bulk repeats the table at each poll",
        plugin: Plugin::Source(Arc::new(MysqlBatchSource)),
    }]
}
