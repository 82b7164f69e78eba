//! The JDBC batch sources of other products under their own class names: the system is chosen by `connection.url`.
use crate::jdbc::unknown_system;
use async_trait::async_trait;
use elasticflow_api::config::{KeyDef, Properties, ValidationReport};
use elasticflow_api::context::ConnectorContext;
use elasticflow_api::error::{ConnectorError, ErrorClass, Result};
use elasticflow_api::registry::{DynSourceConnector, Guarantee, Plugin, PluginEntry, TaskConfig};
use elasticflow_api::source::SourceTask;
use elasticflow_sql::url::scheme_of;
use serde_json::{Map, Value as Json};
use std::sync::{Arc, LazyLock};

struct JdbcSource;

fn chosen(props: &Properties) -> std::result::Result<&'static dyn DynSourceConnector, String> {
    let url = props.value("connection.url").unwrap_or_default();
    match scheme_of(url).to_ascii_lowercase().as_str() {
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => Ok(&elasticflow_mysql::query::MysqlBatchSource),
        #[cfg(feature = "postgresql")]
        "postgresql" | "postgres" => Ok(&elasticflow_postgresql::source::PostgresBatchSource),
        #[cfg(feature = "sqlite")]
        "sqlite" => Ok(&elasticflow_sqlite::SqliteSource),
        other => Err(unknown_system(other)),
    }
}

fn needed(props: &Properties) -> Result<&'static dyn DynSourceConnector> {
    chosen(props).map_err(|message| ConnectorError {
        class: ErrorClass::Config,
        code: "SQL-0001",
        message,
        source: None,
    })
}

/// Confluent's records have no key unless a transform makes one.
fn own(props: &Properties) -> Properties {
    let mut own = props.clone();
    own.0.entry("key.columns".to_owned()).or_insert_with(|| "none".to_owned());
    own
}

static KEYS: LazyLock<Vec<KeyDef>> = LazyLock::new(|| {
    let sources: Vec<&'static dyn DynSourceConnector> = vec![
        #[cfg(feature = "mysql")]
        &elasticflow_mysql::query::MysqlBatchSource,
        #[cfg(feature = "postgresql")]
        &elasticflow_postgresql::source::PostgresBatchSource,
        #[cfg(feature = "sqlite")]
        &elasticflow_sqlite::SqliteSource,
    ];
    let mut all: Vec<KeyDef> = Vec::new();
    for key in sources.iter().flat_map(|s| s.keys()) {
        if all.iter().all(|k| k.name != key.name) {
            all.push(key.clone());
        }
    }
    all
});

#[async_trait]
impl DynSourceConnector for JdbcSource {
    fn name(&self) -> &'static str {
        "jdbc"
    }
    fn keys(&self) -> &'static [KeyDef] {
        &KEYS
    }
    fn guarantee(&self, props: &Properties) -> Option<Guarantee> {
        chosen(props).ok()?.guarantee(&own(props))
    }
    fn ends(&self, props: &Properties) -> bool {
        chosen(props).is_ok_and(|source| source.ends(&own(props)))
    }
    async fn validate(&self, props: &Properties, cx: &ConnectorContext) -> ValidationReport {
        match chosen(props) {
            Ok(source) => source.validate(&own(props), cx).await,
            Err(problem) => {
                let mut report = ValidationReport::default();
                report.error("connection.url", problem);
                report
            }
        }
    }
    async fn plan(&self, props: &Properties, tasks_max: usize, cx: &ConnectorContext) -> Result<Vec<TaskConfig>> {
        needed(props)?.plan(&own(props), tasks_max, cx).await
    }
    fn task(&self, props: &Properties, task: TaskConfig) -> Result<Box<dyn SourceTask>> {
        needed(props)?.task(&own(props), task)
    }
    fn check_offset(
        &self,
        props: &Properties,
        partition: Option<&Map<String, Json>>,
        offset: Option<&Map<String, Json>>,
    ) -> Result<()> {
        needed(props)?.check_offset(&own(props), partition, offset)
    }
}

/// The plug-in under the names of other products.
pub(crate) fn plugins() -> Vec<PluginEntry> {
    vec![PluginEntry {
        class: "io.confluent.connect.jdbc.JdbcSourceConnector",
        aliases: &["io.aiven.connect.jdbc.JdbcSourceConnector"],
        version: env!("CARGO_PKG_VERSION"),
        keys: &KEYS,
        remarks: "the system is chosen by connection.url; sees no deletes",
        plugin: Plugin::Source(Arc::new(JdbcSource)),
    }]
}
