//! The sink: MySQL's and MariaDB's part of the SQL sink engine.
//!
//! Reading order: [`config`] -> [`dialect`] -> `session` -> `answer`; everything else is [`elasticflow_sql::sink`].
pub(crate) mod access;
mod answer;
mod branches;
pub mod config;
pub mod dialect;
pub(crate) mod session;

use access::Access;
use config::{MysqlSinkConfig, Technique};
use elasticflow_api::config::{Settings, ValidationReport};
use elasticflow_api::context::ConnectorContext;
use elasticflow_api::error::{ConnectorError, ErrorClass, Result};
use elasticflow_api::position::{Offset, TaskId, TopicPartition};
use elasticflow_api::registry::{Guarantee, Plugin, PluginEntry, TaskConfig};
use elasticflow_api::sink::{PublishKind, SinkConnector, SinkKind};
use elasticflow_sql::config::Delivery;
use elasticflow_sql::{Database, sink};
use session::MysqlDatabase;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The sink connector.
pub struct MysqlSink;

impl SinkConnector for MysqlSink {
    const NAME: &'static str = "mysql";
    type Config = MysqlSinkConfig;

    fn guarantee(&self, config: &MysqlSinkConfig) -> Guarantee {
        sink::guarantee(&config.keys)
    }

    async fn validate(&self, config: &MysqlSinkConfig, _: &ConnectorContext) -> ValidationReport {
        let mut report = ValidationReport::default();
        sink::check_keys(&config.keys, &mut report);
        if config.technique == Technique::Xa && config.keys.delivery == Delivery::AtLeastOnce {
            let text = "xa is a way to exactly-once; set delivery.guarantee=exactly-once, or leave this out";
            report.error("delivery.technique", text);
        }
        match MysqlDatabase::new(Access::of_sink(config)) {
            Err(problem) => report.error("connection.url", format!("connection.url {problem}")),
            Ok(database) => match database.connect().await {
                Ok(mut session) => {
                    if config.technique == Technique::Xa
                        && let Err(error) = database.check_branches(session.as_mut()).await
                    {
                        report.error("delivery.technique", error.to_string());
                    }
                    session.close().await;
                }
                Err(answer) => report.error("connection.url", answer.text),
            },
        }
        report
    }

    fn plan(&self, _: &MysqlSinkConfig, tasks_max: usize) -> Result<Vec<TaskConfig>> {
        Ok(sink::plan(tasks_max))
    }

    fn task(&self, config: &MysqlSinkConfig, _: TaskConfig) -> Result<SinkKind> {
        let database = Arc::new(database(config)?);
        Ok(match is_xa(config) {
            true => sink::PreparedSink::kind(database, &config.keys, &branches::XA),
            false => sink::SqlSink::kind(database, &config.keys),
        })
    }

    fn publishes(&self, config: &MysqlSinkConfig) -> &'static [PublishKind] {
        // What is staged is counted in the offset table's transaction.
        if is_xa(config) { &[] } else { sink::publishes(&config.keys) }
    }

    async fn alter_offsets(
        &self,
        config: &MysqlSinkConfig,
        id: &TaskId,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<()> {
        let database = database(config)?;
        match is_xa(config) {
            // The group's offsets count, unless the table has others from before the technique was changed.
            true => sink::forget_offsets(&database, &config.keys, id, offsets).await,
            false => sink::alter_offsets(&database, &config.keys, id, offsets).await,
        }
    }
}

fn is_xa(config: &MysqlSinkConfig) -> bool {
    config.technique == Technique::Xa && config.keys.delivery == Delivery::ExactlyOnce
}

fn database(config: &MysqlSinkConfig) -> Result<MysqlDatabase> {
    MysqlDatabase::new(Access::of_sink(config)).map_err(|problem| ConnectorError {
        class: ErrorClass::Config,
        code: "SQL-0001",
        message: format!("connection.url {problem}"),
        source: None,
    })
}

/// The plug-ins of the sink.
pub fn plugins() -> Vec<PluginEntry> {
    vec![PluginEntry {
        class: "elasticflow.connectors.MysqlSinkConnector",
        aliases: &["mysql", "mariadb", "MysqlSink", "elasticflow.connectors.MariadbSinkConnector"],
        version: env!("CARGO_PKG_VERSION"),
        keys: MysqlSinkConfig::keys(),
        remarks: "",
        plugin: Plugin::Sink(Arc::new(MysqlSink)),
    }]
}
