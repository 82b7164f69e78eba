//! The sink on real servers: the bodies that every SQL sink passes, the conformance suite, and what only MySQL has.
use async_trait::async_trait;
use elasticflow_api::ErrorClass;
use elasticflow_api::registry::{DynSinkConnector, TaskConfig};
use elasticflow_api::sink::{SinkKind, SinkRecord};
use elasticflow_config::Properties;
use elasticflow_mysql::sink::MysqlSink;
use elasticflow_testkit::sql::{SqlCase, Started, check_sql_sink, check_types, key, record, row, tombstone, upserting};
use elasticflow_testkit::{SinkCase, check_sink};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row, Value};

/// A database of its own on a server.
pub(crate) struct Case {
    address: String,
    user: String,
    password: String,
    database: String,
}

impl Case {
    /// `None` when the server is not there; says so.
    pub(crate) async fn of(variable: &str, test: &str) -> Option<Self> {
        let read = |name: String| std::env::var(name).ok();
        let (Some(address), Some(user), Some(password)) =
            (read(variable.to_owned()), read(format!("{variable}_USER")), read(format!("{variable}_PASSWORD")))
        else {
            println!("skipped: {test} needs {variable}");
            return None;
        };
        Some(Self::create(address, user, password).await)
    }

    /// A database on the server at `host:port`.
    pub(crate) async fn create(address: String, user: String, password: String) -> Self {
        let stamp = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        let case = Self { address, user, password, database: format!("sink_{}", stamp % 1_000_000_000_000) };
        let mut conn = case.conn(None).await;
        conn.query_drop(format!("CREATE DATABASE {} CHARACTER SET utf8mb4", case.database)).await.unwrap();
        case
    }

    async fn conn(&self, database: Option<&str>) -> Conn {
        let (host, port) = self.address.split_once(':').unwrap();
        let opts = OptsBuilder::default()
            .ip_or_hostname(host.to_owned())
            .tcp_port(port.parse().unwrap())
            .user(Some(self.user.clone()))
            .pass(Some(self.password.clone()))
            .db_name(database.map(str::to_owned))
            .prefer_socket(false);
        Conn::new(opts).await.unwrap()
    }

    pub(crate) async fn drop_database(&self) {
        self.conn(None).await.query_drop(format!("DROP DATABASE {}", self.database)).await.unwrap();
    }
}

#[async_trait]
impl SqlCase for Case {
    fn sink(&self) -> &dyn DynSinkConnector {
        &MysqlSink
    }
    fn connection(&self) -> Properties {
        Properties::from_iter([
            ("connection.url", format!("jdbc:mysql://{}/{}", self.address, self.database)),
            ("connection.user", self.user.clone()),
            ("connection.password", self.password.clone()),
        ])
    }
    fn quoted(&self, name: &str) -> String {
        format!("`{}`", name.replace('`', "``"))
    }
    async fn run(&self, sql: &str) {
        self.conn(Some(&self.database)).await.query_drop(sql).await.unwrap();
    }
    async fn query(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let mut conn = self.conn(Some(&self.database)).await;
        conn.query_drop("SET NAMES utf8mb4").await.unwrap();
        let rows: Vec<Row> = conn.query(sql).await.unwrap();
        let text = |value: Value| match value {
            Value::NULL => None,
            Value::Bytes(bytes) => Some(String::from_utf8(bytes).unwrap()),
            other => Some(other.as_sql(true)),
        };
        rows.into_iter().map(|row| row.unwrap().into_iter().map(text).collect()).collect()
    }
}

#[async_trait]
impl SinkCase for Case {
    async fn reset(&self) {
        self.run("DROP TABLE IF EXISTS conform, elasticflow_offsets").await;
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
        let there = self.query("SHOW TABLES LIKE 'conform'").await;
        if there.is_empty() {
            return Vec::new();
        }
        let rows = self.query("SELECT id, name FROM conform ORDER BY id").await;
        rows.into_iter().map(|row| format!("{row:?}")).collect()
    }
}

#[tokio::test]
async fn mysql_passes_what_every_sql_sink_passes() {
    let Some(case) = Case::of("EF_MYSQL", "mysql_passes_what_every_sql_sink_passes").await else { return };
    check_sql_sink(&case, "m").await;
    check_sink(&case).await;
    case.drop_database().await;
}

#[tokio::test]
async fn mariadb_passes_what_every_sql_sink_passes() {
    let Some(case) = Case::of("EF_MARIADB", "mariadb_passes_what_every_sql_sink_passes").await else { return };
    check_sql_sink(&case, "m").await;
    check_sink(&case).await;
    case.drop_database().await;
}

#[tokio::test]
async fn a_table_without_transactions_is_refused() {
    let Some(case) = Case::of("EF_MYSQL", "a_table_without_transactions_is_refused").await else { return };
    case.run("CREATE TABLE old (id BIGINT PRIMARY KEY, name TEXT) ENGINE=MyISAM").await;
    let mut sink = Started::new(&case, &upserting(&case), "old", "old").await;
    let refused = sink.put(vec![record("old", 0, key(1), row(1, "a"))]).await.unwrap_err();
    assert_eq!((refused.class, refused.code), (ErrorClass::Config, "MYSQL-0011"));
    case.drop_database().await;
}

#[tokio::test]
async fn every_cell_of_the_type_table_is_stored_exactly() {
    for variable in ["EF_MYSQL", "EF_MARIADB"] {
        let Some(case) = Case::of(variable, "every_cell_of_the_type_table_is_stored_exactly").await else { continue };
        check_types(&case, "types", &TYPES).await;
        case.drop_database().await;
    }
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
    ("bytes", Some("plain")),
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
