//! The bodies that every SQL sink passes, and the conformance suite.
use async_trait::async_trait;
use elasticflow_api::config::Properties;
use elasticflow_api::registry::{DynSinkConnector, TaskConfig};
use elasticflow_api::sink::{SinkKind, SinkRecord};
use elasticflow_sqlite::SqliteSink;
use elasticflow_testkit::sql::{SqlCase, check_sql_sink, key, record, row, tombstone, upserting};
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
