//! The bodies that every SQL sink passes, and the conformance suite.
use async_trait::async_trait;
use elasticflow_api::config::Properties;
use elasticflow_api::registry::{DynSinkConnector, TaskConfig};
use elasticflow_api::sink::{SinkKind, SinkRecord};
use elasticflow_sqlite::SqliteSink;
use elasticflow_testkit::sql::{SqlCase, check_sql_sink, check_types, key, record, row, tombstone, upserting};
use elasticflow_testkit::{SinkCase, check_sink};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

struct Case(TempDir);

impl Case {
    fn connection(&self) -> Connection {
        Connection::open(self.0.path().join("out.db")).unwrap()
    }
}

#[async_trait]
impl SqlCase for Case {
    fn sink(&self) -> &dyn DynSinkConnector {
        &SqliteSink
    }
    fn connection(&self) -> Properties {
        Properties::from_iter([("connection.url", format!("jdbc:sqlite:{}", self.0.path().join("out.db").display()))])
    }
    fn quoted(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
    async fn run(&self, sql: &str) {
        self.connection().execute_batch(sql).unwrap();
    }
    async fn query(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let connection = self.connection();
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let text = |value: Value| match value {
            Value::Null => None,
            Value::Integer(n) => Some(n.to_string()),
            Value::Real(x) => Some(x.to_string()),
            Value::Text(text) => Some(text),
            Value::Blob(bytes) => Some(format!("{bytes:?}")),
        };
        let rows = statement.query_map([], |row| (0..columns).map(|at| row.get(at).map(text)).collect()).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

#[async_trait]
impl SinkCase for Case {
    async fn reset(&self) {
        self.run("DROP TABLE IF EXISTS conform; DROP TABLE IF EXISTS elasticflow_offsets").await;
    }
    fn task(&self) -> SinkKind {
        self.sink().task(&upserting(self), TaskConfig::default()).unwrap()
    }
    fn records(&self) -> Vec<SinkRecord> {
        let r = |offset, id, value| record("conform", offset, key(id), value);
        let mut records: Vec<SinkRecord> = (0..20).map(|n| r(n, n % 7, row(n % 7, &format!("v{n}")))).collect();
        records.push(r(20, 3, tombstone()));
        records
    }
    async fn contents(&self) -> Vec<String> {
        let there = self.query("SELECT 1 FROM sqlite_schema WHERE name = 'conform'").await;
        if there.is_empty() {
            return Vec::new();
        }
        let rows = self.query("SELECT id, name FROM conform ORDER BY id").await;
        rows.into_iter().map(|row| format!("{row:?}")).collect()
    }
}

#[tokio::test]
async fn sqlite_passes_what_every_sql_sink_passes() {
    let case = Case(tempfile::tempdir().unwrap());
    check_sql_sink(&case, "s").await;
    check_sink(&case).await;
}

#[tokio::test]
async fn every_cell_of_the_type_table_is_stored_exactly() {
    let case = Case(tempfile::tempdir().unwrap());
    check_types(&case, "types", &TYPES).await;
}

const TYPES: [(&str, Option<&str>); 24] = [
    ("i8", Some("-128")),
    ("i16", Some("-32768")),
    ("i32", Some("-2147483648")),
    ("i64", Some("-9223372036854775808")),
    ("i64max", Some("9223372036854775807")),
    ("f32", Some("1.5")),
    ("f64", Some("0.1")),
    ("b", Some("1")),
    ("s", Some("größe \u{1F600} \\ ' \"")),
    ("bytes", Some("[112, 108, 97, 105, 110]")),
    ("dec", Some("-12.34")),
    ("d", Some("2024-01-01")),
    ("t", Some("23:59:59.999")),
    ("ts", Some("2024-01-02 03:04:05.678")),
    ("dd", Some("2024-01-01")),
    ("mt", Some("01:01:01.000001")),
    ("mts", Some("2024-01-02 03:04:05.678901")),
    ("nts", Some("2024-01-02 03:04:05.678901")),
    ("zts", Some("2024-01-02 03:04:05.678901")),
    ("y", Some("2024")),
    ("j", Some("{\"a\": 1}")),
    ("u", Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
    ("e", Some("a")),
    ("nul", None),
];
