//! The connectors `mysql` and `mariadb`.
use crate::booleans::Booleans;
use crate::config::CdcConfig;
use crate::error::Error;
use crate::filters::Filters;
use crate::foreign::{self, Said};
use crate::preflight;
use crate::sources::Sources;
use crate::task::CdcTask;
use crate::wire;
use elasticflow_api::Result;
use elasticflow_api::context::ConnectorContext;
use elasticflow_api::registry::{Guarantee, Plugin, PluginEntry, TaskConfig};
use elasticflow_api::source::SourceConnector;
use elasticflow_config::{KeyDef, Settings, ValidationReport};
use std::sync::{Arc, LazyLock};

/// Change capture from MySQL.
pub struct MySqlConnector;

/// Change capture from MariaDB.
pub struct MariaDbConnector;

/// Checks a configuration against the server; everything is reported at once.
async fn validate(config: &CdcConfig) -> ValidationReport {
    let mut report = ValidationReport::default();
    for (key, what) in config.unsupported() {
        report.error(key, format!("{key} {what}"));
    }
    for Said { key, text, is_error } in foreign::judge(&config.posted.0) {
        match is_error {
            true => report.error(&key, text),
            false => report.warning(&key, text),
        }
    }
    for (key, reason) in Booleans::parse(config).err().unwrap_or_default() {
        report.error(&key, format!("{key}: {reason}"));
    }
    for (key, what, is_error) in config.renamed() {
        match is_error {
            true => report.error(key, what),
            false => report.warning(key, what),
        }
    }
    let channels = &config.notification_channels;
    if channels.iter().any(|c| c.eq_ignore_ascii_case("sink")) && config.notification_topic.is_none() {
        report.error("notification.sink.topic.name", "must be set: notification.enabled.channels has `sink`");
    }
    if channels.iter().any(|c| c.eq_ignore_ascii_case("jmx")) {
        report.warning("notification.enabled.channels", "`jmx` has no effect; use `sink` or `log`");
    }
    let filters = match Filters::parse(config) {
        Ok(filters) => filters,
        Err(problems) => {
            report.merge(problems);
            Filters::default()
        }
    };
    if let Err(reason) = Sources::parse(config) {
        report.error("gtid.source.excludes", reason);
    }
    if let Some((db, name)) = config.signal_table.as_deref().and_then(|t| t.split_once('.'))
        && !filters.table(db, name)
    {
        report.error("signal.data.collection", "must be among the captured tables, so that its rows are read");
    }
    let connected = wire::connect(config).await;
    let mut session = match connected {
        Ok(session) => session,
        Err(error) => {
            let key = if matches!(error, Error::Credentials { .. }) { "database.user" } else { "database.hostname" };
            report.error(key, elasticflow_api::ConnectorError::from(error).message);
            return report;
        }
    };
    match preflight::check(&mut session, config, &filters).await {
        Ok(found) => {
            for finding in found {
                match finding.fatal {
                    true => report.error(finding.key, finding.text),
                    false => report.warning(finding.key, finding.text),
                }
            }
        }
        Err(error) => report.error("database.hostname", elasticflow_api::ConnectorError::from(error).message),
    }
    // The answer does not depend on how the connection ends.
    let _ = session.conn.disconnect().await;
    report
}

macro_rules! connector {
    ($type:ident, $name:literal) => {
        impl SourceConnector for $type {
            const NAME: &'static str = $name;
            type Config = CdcConfig;
            type Task = CdcTask;

            fn guarantee(&self, _: &CdcConfig) -> Guarantee {
                Guarantee::ExactlyOnce
            }

            fn ends(&self, config: &CdcConfig) -> bool {
                config.snapshot_mode == crate::config::SnapshotMode::InitialOnly
            }

            async fn validate(&self, config: &CdcConfig, _: &ConnectorContext) -> ValidationReport {
                validate(config).await
            }

            async fn plan(&self, _: &CdcConfig, _: usize, _: &ConnectorContext) -> Result<Vec<TaskConfig>> {
                Ok(vec![TaskConfig::default()])
            }

            fn task(&self, config: &CdcConfig, _: TaskConfig) -> Result<CdcTask> {
                Ok(CdcTask::new(config.clone()))
            }
        }
    };
}

connector!(MySqlConnector, "mysql");
connector!(MariaDbConnector, "mariadb");

/// Declared keys, those without effect included; what takes everything is none.
fn known_keys() -> &'static [KeyDef] {
    static KEYS: LazyLock<Vec<KeyDef>> = LazyLock::new(|| {
        let own = CdcConfig::keys().iter().filter(|def| def.name != "*").cloned();
        own.chain(foreign::defs()).collect()
    });
    &KEYS
}

/// The plug-ins of this crate.
pub fn plugins() -> Vec<PluginEntry> {
    let version = env!("CARGO_PKG_VERSION");
    let keys = known_keys();
    let remarks = "XA transactions are sent when they are prepared";
    vec![
        PluginEntry {
            class: "io.debezium.connector.mysql.MySqlConnector",
            aliases: &["mysql"],
            version,
            keys,
            remarks,
            plugin: Plugin::Source(Arc::new(MySqlConnector)),
        },
        PluginEntry {
            class: "io.debezium.connector.mariadb.MariaDbConnector",
            aliases: &["mariadb"],
            version,
            keys,
            remarks,
            plugin: Plugin::Source(Arc::new(MariaDbConnector)),
        },
    ]
}
