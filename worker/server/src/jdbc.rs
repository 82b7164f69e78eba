//! The JDBC connectors of other products under their own class names: the system is chosen by `connection.url`.
//!
//! Confluent's and Aiven's keys are those of the SQL connectors. Debezium's differ and are translated; a key whose meaning
//! cannot be kept is refused with a text, never ignored.
use async_trait::async_trait;
use elasticflow_api::config::{KeyDef, Properties, ValidationReport, settings};
use elasticflow_api::context::ConnectorContext;
use elasticflow_api::error::{ConnectorError, ErrorClass, Result};
use elasticflow_api::position::{Offset, TaskId, TopicPartition};
use elasticflow_api::registry::{DynSinkConnector, Guarantee, Plugin, PluginEntry, TaskConfig};
use elasticflow_api::sink::{PublishKind, SinkKind};
use elasticflow_sql::url::scheme_of;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// Whose names the configuration has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// Confluent's and Aiven's, which are one.
    Confluent,
    /// Debezium's.
    Debezium,
}

settings! {
    /// Debezium's own names of keys, and its keys that cannot be kept.
    struct DebeziumNames {
        /// User.
        "connection.username" => username: Option<String> { group: "Connection", importance: High },
        /// Where the columns of the primary key come from: `none`, `kafka`, `record_key`, `record_value`.
        "primary.key.mode" => pk_mode: Option<String> { group: "Writes", importance: High },
        /// Columns of the primary key.
        "primary.key.fields" => pk_fields: Option<String> { group: "Writes", importance: Medium },
        /// `basic` creates tables and adds columns.
        "schema.evolution" => evolution: Option<String> { group: "Tables", importance: Medium, valid: Validity::OneOf(&["none", "basic"]) },
        /// Table of a topic.
        "collection.name.format" => collection: Option<String> { group: "Tables", importance: Medium },
        /// Fields to write, without names of topics.
        "field.include.list" => include: Option<String> { group: "Tables", importance: Medium, valid: Validity::Check(check_fields) },
        /// Not supported: list the fields to write in `field.include.list`.
        "field.exclude.list" => exclude: Option<String> { group: "Tables", importance: Low, valid: Validity::Check(check_absent) },
        /// Must be `false`: tables are not truncated.
        "truncate.enabled" => truncate: Option<String> { group: "Writes", importance: Low, valid: Validity::OneOf(&["false"]) },
        /// Names are always quoted, so that their case counts.
        "quote.identifiers" => quote: Option<bool> { group: "Tables", importance: Low },
        /// Not supported: use a transform.
        "column.naming.strategy" => columns: Option<String> { group: "Tables", importance: Low, valid: Validity::Check(check_absent) },
        /// Must be UTC.
        "use.time.zone" => zone: Option<String> { group: "Connection", importance: Low, valid: Validity::OneOf(&["UTC", "Etc/UTC"]) },
    }
}

fn check_fields(text: &str) -> std::result::Result<(), String> {
    if text.contains(':') {
        Err("names fields of topics, which is not supported; use a connector per topic".to_owned())
    } else {
        Ok(())
    }
}

fn check_absent(text: &str) -> std::result::Result<(), String> {
    if text.is_empty() { Ok(()) } else { Err("is not supported; remove it".to_owned()) }
}

/// Debezium's key and ours.
const NAMES: [(&str, &str); 5] = [
    ("connection.username", "connection.user"),
    ("primary.key.mode", "pk.mode"),
    ("primary.key.fields", "pk.fields"),
    ("collection.name.format", "table.name.format"),
    ("field.include.list", "fields.whitelist"),
];

struct JdbcSink(Family);

impl JdbcSink {
    fn chosen(&self, props: &Properties) -> std::result::Result<&'static dyn DynSinkConnector, String> {
        let Some(url) = props.value("connection.url") else {
            return Err("Missing required configuration \"connection.url\" which has no default value.".to_owned());
        };
        match scheme_of(url).to_ascii_lowercase().as_str() {
            #[cfg(feature = "mysql")]
            "mysql" | "mariadb" => Ok(&elasticflow_mysql::sink::MysqlSink),
            #[cfg(feature = "postgresql")]
            "postgresql" | "postgres" => Ok(&elasticflow_postgresql::PostgresSink),
            #[cfg(feature = "sqlite")]
            "sqlite" => Ok(&elasticflow_sqlite::SqliteSink),
            other => Err(unknown_system(other)),
        }
    }

    fn needed(&self, props: &Properties) -> Result<&'static dyn DynSinkConnector> {
        self.chosen(props).map_err(|message| ConnectorError {
            class: ErrorClass::Config,
            code: "SQL-0001",
            message,
            source: None,
        })
    }

    /// The properties under the names of the SQL connectors, with the family's defaults.
    fn own(&self, props: &Properties) -> Properties {
        let mut own = props.clone();
        let dots = match self.0 {
            Family::Confluent => "split",
            Family::Debezium => "underscore",
        };
        own.0.entry("table.name.dots".to_owned()).or_insert_with(|| dots.to_owned());
        if self.0 == Family::Debezium {
            own.0.entry("delete.disabled.action".to_owned()).or_insert_with(|| "skip".to_owned());
            for (theirs, ours) in NAMES {
                if let Some(value) = own.0.remove(theirs) {
                    own.0.entry(ours.to_owned()).or_insert(value);
                }
            }
            if own.0.remove("schema.evolution").is_some_and(|e| e == "basic") {
                own = own.with("auto.create", "true").with("auto.evolve", "true");
            }
        }
        own
    }

    /// Problems of the family's own keys.
    fn problems(&self, props: &Properties) -> ValidationReport {
        match self.0 {
            Family::Confluent => ValidationReport::default(),
            Family::Debezium => elasticflow_api::config::parse::<DebeziumNames>(props).err().unwrap_or_default(),
        }
    }
}

/// What a URL of another system is answered.
pub(crate) fn unknown_system(scheme: &str) -> String {
    let known = SYSTEMS.join(", ");
    format!("connection.url is of {scheme:?}, which this distribution has no connector for; known: {known}")
}

/// Systems that a URL may name.
const SYSTEMS: &[&str] = &[
    #[cfg(feature = "mysql")]
    "jdbc:mysql:",
    #[cfg(feature = "mysql")]
    "jdbc:mariadb:",
    #[cfg(feature = "postgresql")]
    "jdbc:postgresql:",
    #[cfg(feature = "sqlite")]
    "jdbc:sqlite:",
];

/// The keys of every system, each once.
fn all_keys(family: Family) -> Vec<KeyDef> {
    use elasticflow_api::config::Settings;
    let sinks: Vec<&'static dyn DynSinkConnector> = vec![
        #[cfg(feature = "mysql")]
        &elasticflow_mysql::sink::MysqlSink,
        #[cfg(feature = "postgresql")]
        &elasticflow_postgresql::PostgresSink,
        #[cfg(feature = "sqlite")]
        &elasticflow_sqlite::SqliteSink,
    ];
    let own = if family == Family::Debezium { DebeziumNames::keys() } else { &[] };
    let mut all: Vec<KeyDef> = Vec::new();
    for key in own.iter().chain(sinks.iter().flat_map(|s| s.keys())) {
        if all.iter().all(|k| k.name != key.name) {
            all.push(key.clone());
        }
    }
    all
}

static CONFLUENT_KEYS: LazyLock<Vec<KeyDef>> = LazyLock::new(|| all_keys(Family::Confluent));
static DEBEZIUM_KEYS: LazyLock<Vec<KeyDef>> = LazyLock::new(|| all_keys(Family::Debezium));

#[async_trait]
impl DynSinkConnector for JdbcSink {
    fn name(&self) -> &'static str {
        "jdbc"
    }
    fn keys(&self) -> &'static [KeyDef] {
        match self.0 {
            Family::Confluent => &CONFLUENT_KEYS,
            Family::Debezium => &DEBEZIUM_KEYS,
        }
    }
    fn guarantee(&self, props: &Properties) -> Option<Guarantee> {
        self.chosen(props).ok()?.guarantee(&self.own(props))
    }
    async fn validate(&self, props: &Properties, cx: &ConnectorContext) -> ValidationReport {
        let mut report = self.problems(props);
        match self.chosen(props) {
            Ok(sink) => report.merge(sink.validate(&self.own(props), cx).await),
            Err(problem) => report.error("connection.url", problem),
        }
        report
    }
    fn plan(&self, props: &Properties, tasks_max: usize) -> Result<Vec<TaskConfig>> {
        self.needed(props)?.plan(&self.own(props), tasks_max)
    }
    fn task(&self, props: &Properties, task: TaskConfig) -> Result<SinkKind> {
        self.needed(props)?.task(&self.own(props), task)
    }
    fn publishes(&self, props: &Properties) -> &'static [PublishKind] {
        self.chosen(props).map(|sink| sink.publishes(&self.own(props))).unwrap_or_default()
    }
    async fn alter_offsets(
        &self,
        props: &Properties,
        id: &TaskId,
        offsets: &BTreeMap<TopicPartition, Option<Offset>>,
    ) -> Result<()> {
        self.needed(props)?.alter_offsets(&self.own(props), id, offsets).await
    }
}

/// The plug-ins under the names of other products.
pub(crate) fn plugins() -> Vec<PluginEntry> {
    let entry = |class, aliases, family| {
        let sink: Arc<dyn DynSinkConnector> = Arc::new(JdbcSink(family));
        PluginEntry {
            class,
            aliases,
            version: env!("CARGO_PKG_VERSION"),
            keys: sink.keys(),
            remarks: "the system is chosen by connection.url",
            plugin: Plugin::Sink(sink),
        }
    };
    vec![
        entry(
            "io.confluent.connect.jdbc.JdbcSinkConnector",
            &["io.aiven.connect.jdbc.JdbcSinkConnector"],
            Family::Confluent,
        ),
        entry("io.debezium.connector.jdbc.JdbcSinkConnector", &[], Family::Debezium),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debezium() -> Properties {
        Properties::from_iter([
            ("connection.url", "jdbc:postgresql://db:5432/shop"),
            ("connection.username", "u"),
            ("primary.key.mode", "record_key"),
            ("insert.mode", "upsert"),
            ("schema.evolution", "basic"),
        ])
    }

    #[test]
    fn debeziums_names_become_ours() {
        let own = JdbcSink(Family::Debezium).own(&debezium());
        for (key, value) in [
            ("connection.user", "u"),
            ("pk.mode", "record_key"),
            ("auto.create", "true"),
            ("auto.evolve", "true"),
            ("table.name.dots", "underscore"),
        ] {
            assert_eq!(own.value(key), Some(value), "{key}");
        }
        assert_eq!(own.value("schema.evolution"), None);
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let props = debezium().with("truncate.enabled", "true").with("field.include.list", "t:a");
        let report = JdbcSink(Family::Debezium).problems(&props);
        assert_eq!(report.errors.keys().collect::<Vec<_>>(), ["field.include.list", "truncate.enabled"]);
    }

    #[test]
    fn the_url_chooses_the_system() {
        let sink = JdbcSink(Family::Confluent);
        let name = |url: &str| sink.chosen(&Properties::from_iter([("connection.url", url)])).map(|s| s.name());
        assert_eq!(name("jdbc:mariadb://db/x"), Ok("mysql"));
        assert_eq!(name("jdbc:sqlite:/tmp/x.db"), Ok("sqlite"));
        assert!(name("jdbc:db2://x").unwrap_err().contains("db2"));
        assert!(sink.chosen(&Properties::default()).is_err());
    }
}
