//! The batch source: PostgreSQL's part of the SQL batch source engine.
use crate::config::PostgresKeys;
use crate::dialect::{POSTGRES, PostgresDialect};
use crate::session::{Access, PostgresDatabase};
use bytes::Bytes;
use elasticflow_api::config::{KeyDef, Reader, Settings, ValidationReport};
use elasticflow_api::context::ConnectorContext;
use elasticflow_api::data::{Kind, Schema};
use elasticflow_api::error::{ConnectorError, ErrorClass, Result};
use elasticflow_api::registry::{Guarantee, TaskConfig};
use elasticflow_api::source::SourceConnector;
use elasticflow_sql::Dialect;
use elasticflow_sql::source::columns::{ColumnFacts, DATE, TIME, TIMESTAMP};
use elasticflow_sql::source::config::{NumericMapping, SourceKeys};
use elasticflow_sql::source::{self, SourceDatabase, SourceDialect, SqlSource};
use elasticflow_sql::table::TableName;
use std::sync::{Arc, LazyLock};

/// Settings of the batch source.
#[derive(Debug, Clone)]
pub struct PostgresSourceConfig {
    /// Those of every SQL batch source.
    pub keys: SourceKeys,
    /// PostgreSQL's own.
    pub own: PostgresKeys,
}

impl Settings for PostgresSourceConfig {
    fn keys() -> &'static [KeyDef] {
        static KEYS: LazyLock<Vec<KeyDef>> = LazyLock::new(|| [SourceKeys::keys(), PostgresKeys::keys()].concat());
        &KEYS
    }
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (keys, own) = (SourceKeys::read(reader), PostgresKeys::read(reader));
        Some(Self { keys: keys?, own: own? })
    }
}

impl SourceDatabase for PostgresDatabase {
    fn source_dialect(&self) -> &'static dyn SourceDialect {
        &POSTGRES
    }
}

impl SourceDialect for PostgresDialect {
    fn tables(&self) -> &'static str {
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace \
         AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition ORDER BY c.relname"
    }

    fn qualifier(&self) -> &'static str {
        "SELECT current_database() || '.' || current_schema()"
    }

    fn columns(&self, table: &TableName) -> String {
        let this: &dyn Dialect = self;
        format!(
            "SELECT a.attname, t.typname, CASE WHEN a.attnotnull THEN 0 ELSE 1 END, \
             COALESCE((SELECT array_position(i.indkey::int2[], a.attnum) + 1 FROM pg_index i \
             WHERE i.indrelid = a.attrelid AND i.indisprimary), 0), \
             CASE WHEN t.typname = 'numeric' AND a.atttypmod > 0 THEN ((a.atttypmod - 4) >> 16) & 65535 END, \
             CASE WHEN t.typname = 'numeric' AND a.atttypmod > 0 THEN (a.atttypmod - 4) & 65535 END, \
             CASE WHEN a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%' THEN 1 ELSE 0 END \
             FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
             LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
             WHERE a.attrelid = to_regclass({}) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            this.text_literal(&table.quoted(this))
        )
    }

    fn schema_of(&self, column: &ColumnFacts, mapping: NumericMapping) -> std::result::Result<Schema, String> {
        let (kind, name) = match column.type_name.as_str() {
            "bool" => (Kind::Boolean, None),
            "int2" => (Kind::Int16, None),
            "int4" => (Kind::Int32, None),
            "int8" | "oid" => (Kind::Int64, None),
            "float4" => (Kind::Float32, None),
            "float8" => (Kind::Float64, None),
            "numeric" if column.precision.is_some() => return Ok(column.exact(mapping)),
            "bytea" => (Kind::Bytes, None),
            "date" => (Kind::Int32, Some(DATE)),
            "time" => (Kind::Int32, Some(TIME)),
            "timestamp" | "timestamptz" => (Kind::Int64, Some(TIMESTAMP)),
            _ => (Kind::String, None),
        };
        Ok(column.schema(kind, name))
    }

    fn select(&self, column: &ColumnFacts, quoted: &str) -> String {
        match column.type_name.as_str() {
            "timestamptz" => format!("{quoted} AT TIME ZONE 'UTC'"),
            _ => quoted.to_owned(),
        }
    }

    fn bytes(&self) -> fn(&Bytes) -> Option<Bytes> {
        |text| {
            let digits = text.strip_prefix(b"\\x")?;
            let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
            bytes.map(Bytes::from)
        }
    }

    fn clock(&self) -> &'static str {
        "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    }

    fn snapshot(&self) -> &'static str {
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    }
}

/// The batch source connector.
pub struct PostgresBatchSource;

impl SourceConnector for PostgresBatchSource {
    const NAME: &'static str = "postgresql-batch";
    type Config = PostgresSourceConfig;
    type Task = SqlSource;

    fn guarantee(&self, _: &PostgresSourceConfig) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn ends(&self, config: &PostgresSourceConfig) -> bool {
        source::ends(&config.keys)
    }

    async fn validate(&self, config: &PostgresSourceConfig, _: &ConnectorContext) -> ValidationReport {
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
        config: &PostgresSourceConfig,
        tasks_max: usize,
        _: &ConnectorContext,
    ) -> Result<Vec<TaskConfig>> {
        source::plan(&opened(config)?, &config.keys, tasks_max).await
    }

    fn task(&self, config: &PostgresSourceConfig, task: TaskConfig) -> Result<SqlSource> {
        Ok(SqlSource::new(Arc::new(opened(config)?), &config.keys, source::tables_of(&task)))
    }
}

fn opened(config: &PostgresSourceConfig) -> Result<PostgresDatabase> {
    PostgresDatabase::new(Access::of_source(&config.keys, &config.own)).map_err(|problem| ConnectorError {
        class: ErrorClass::Config,
        code: "SQL-0001",
        message: format!("connection.url {problem}"),
        source: None,
    })
}
