//! A schema of its own on the server.
use async_trait::async_trait;
use elasticflow_api::registry::{DynSinkConnector, TaskConfig};
use elasticflow_api::sink::{SinkKind, SinkRecord};
use elasticflow_config::Properties;
use elasticflow_postgresql::PostgresSink;
use elasticflow_testkit::SinkCase;
use elasticflow_testkit::sql::{SqlCase, key, record, row, tombstone, upserting};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

pub(crate) struct Case {
    address: String,
    user: String,
    password: String,
    schema: String,
}

impl Case {
    /// `None` when the server is not there; says so.
    pub(crate) async fn of(test: &str) -> Option<Self> {
        let read = |name: &str| std::env::var(name).ok();
        let (Some(address), Some(user), Some(password)) =
            (read("EF_POSTGRESQL"), read("EF_POSTGRESQL_USER"), read("EF_POSTGRESQL_PASSWORD"))
        else {
            println!("skipped: {test} needs EF_POSTGRESQL");
            return None;
        };
        let stamp = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        let case = Self { address, user, password, schema: format!("sink_{}", stamp % 1_000_000_000_000) };
        case.simple(&format!("CREATE SCHEMA {}", case.schema), "public").await;
        Some(case)
    }

    async fn client(&self) -> Client {
        let (host, port) = self.address.split_once(':').unwrap();
        let mut config = tokio_postgres::Config::new();
        config.host(host).port(port.parse().unwrap()).user(&self.user).password(&self.password).dbname("postgres");
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    async fn simple(&self, sql: &str, schema: &str) -> Vec<SimpleQueryMessage> {
        let client = self.client().await;
        client.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
        client.simple_query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"))
    }

    pub(crate) async fn drop_schema(&self) {
        self.simple(&format!("DROP SCHEMA {} CASCADE", self.schema), "public").await;
    }
}

#[async_trait]
impl SqlCase for Case {
    fn sink(&self) -> &dyn DynSinkConnector {
        &PostgresSink
    }
    fn connection(&self) -> Properties {
        Properties::from_iter([
            ("connection.url", format!("jdbc:postgresql://{}/postgres?currentSchema={}", self.address, self.schema)),
            ("connection.user", self.user.clone()),
            ("connection.password", self.password.clone()),
        ])
    }
    fn quoted(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
    async fn run(&self, sql: &str) {
        self.simple(sql, &self.schema).await;
    }
    async fn query(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let row = |message: SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
            _ => None,
        };
        self.simple(sql, &self.schema).await.into_iter().filter_map(row).collect()
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
        let there = self.query("SELECT to_regclass('conform')").await;
        if there == [vec![None]] {
            return Vec::new();
        }
        let rows = self.query("SELECT id, name FROM conform ORDER BY id").await;
        rows.into_iter().map(|row| format!("{row:?}")).collect()
    }
}
