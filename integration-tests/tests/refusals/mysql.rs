//! A MySQL that cannot be captured; needs EF_MYSQL, and starts private servers with `scripts/services`.
use crate::ground::{Ground, errors_of, failure};
use elasticflow_integration_tests::mysql::Database;
use elasticflow_integration_tests::servers::setting;
use elasticflow_integration_tests::worker::free_port;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const CLASS: &str = "io.debezium.connector.mysql.MySqlConnector";

fn source(database: &Database, prefix: &str) -> Value {
    json!({
        "name": prefix, "connector.class": CLASS, "database.hostname": database.host, "database.port": database.port.to_string(),
        "database.user": database.user, "database.password": database.password, "database.server.id": "61234",
        "topic.prefix": prefix, "table.include.list": "refusals.t",
        "schema.history.internal.kafka.bootstrap.servers": "127.0.0.1:1", "schema.history.internal.kafka.topic": "h",
        "topic.creation.default.replication.factor": "1", "topic.creation.default.partitions": "1",
    })
}

async fn validation_errors(ground: &Ground, config: &Value) -> String {
    let path = format!("/connector-plugins/{CLASS}/config/validate");
    errors_of(&ground.worker.rest().expect("PUT", &path, Some(config)).await.unwrap()).join("\n")
}

/// A MySQL of the test's own, with further server arguments; ended when it is dropped.
struct Private {
    dir: tempfile::TempDir,
    port: u16,
}

impl Private {
    fn start(arguments: &str) -> Self {
        let private = Self { dir: tempfile::tempdir().unwrap(), port: free_port().unwrap() };
        let status = private.services("up").env("EF_MYSQL_ARGS", arguments).status().unwrap();
        assert!(status.success(), "scripts/services up mysql with {arguments}");
        private
    }

    fn services(&self, verb: &str) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut command = Command::new(root.join("scripts/services"));
        command
            .args([verb, "mysql"])
            .env("EF_SERVICES_DIR", self.dir.path())
            .env("EF_MYSQL_PORT", self.port.to_string());
        command.env("EF_SERVICES_CACHE", root.join(".services/cache"));
        command
    }

    fn database(&self, of: &Database) -> Database {
        Database { port: self.port, ..of.clone() }
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        drop(self.services("down").status());
    }
}

fn server() -> Option<Database> {
    if setting("EF_MYSQL").is_err() {
        println!("skipped: EF_MYSQL is not set; `scripts/services up mysql` starts one");
        return None;
    }
    Some(Database::of("EF_MYSQL").unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_an_error_of_the_field() {
    let Some(database) = server() else { return };
    let ground = Ground::new("mysql-password").await;
    let wrong = Database { password: "not-it-7f3a".to_owned(), ..database };
    let errors = validation_errors(&ground, &source(&wrong, "wrong-password")).await;
    assert!(errors.contains("database.user") || errors.contains("database.password"), "{errors}");
    assert!(!errors.contains("not-it-7f3a"), "the password is shown: {errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_binary_log_or_with_another_row_format_is_refused_with_what_mends_it() {
    let Some(database) = server() else { return };
    let ground = Ground::new("mysql-binlog").await;
    let off = Private::start("--skip-log-bin");
    let errors = validation_errors(&ground, &source(&off.database(&database), "binlog-off")).await;
    assert!(errors.contains("log_bin") || errors.contains("log-bin"), "{errors}");
    drop(off);
    let statement = Private::start("--binlog-format=STATEMENT");
    let errors = validation_errors(&ground, &source(&statement.database(&database), "row-format")).await;
    assert!(errors.contains("binlog_format") && errors.contains("ROW"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_position_fails_the_task_and_says_what_to_do() {
    let Some(database) = server() else { return };
    let private = Private::start("");
    let database = private.database(&database);
    database
        .run(&[
            "CREATE DATABASE refusals",
            "CREATE TABLE refusals.t (id INT PRIMARY KEY)",
            "INSERT INTO refusals.t VALUES (1)",
        ])
        .await
        .unwrap();
    let ground = Ground::new("mysql-purged").await;
    let rest = ground.worker.rest();
    let config = source(&database, "purged");
    rest.create("purged", &config).await.unwrap();
    rest.await_running("purged", crate::ground::SOON).await.unwrap();
    crate::ground::until("an offset is stored", async || {
        let (_, offsets) = rest.call("GET", "/connectors/purged/offsets", None).await.ok()?;
        let stored = offsets["offsets"].as_array()?.first()?.clone();
        (stored["offset"].get("snapshot").is_none_or(Value::is_null)).then_some(())
    })
    .await;
    rest.expect("PUT", "/connectors/purged/stop", None).await.unwrap();
    let root = Database { user: "root".to_owned(), ..database.clone() };
    root.run(&["INSERT INTO refusals.t VALUES (2)", "FLUSH BINARY LOGS", "FLUSH BINARY LOGS"]).await.unwrap();
    let mut connection = root.connect().await.unwrap();
    let logs: Vec<mysql_async::Row> =
        mysql_async::prelude::Queryable::query(&mut connection, "SHOW BINARY LOGS").await.unwrap();
    let last: String = logs.last().unwrap().get(0).unwrap();
    root.run(&[&format!("PURGE BINARY LOGS TO '{last}'")]).await.unwrap();
    rest.expect("PUT", "/connectors/purged/resume", None).await.unwrap();
    let trace = failure(&ground.worker, "purged").await;
    assert!(trace.contains("purged") || trace.contains("no longer"), "{trace}");
    assert!(trace.contains("snapshot"), "says what to do: {trace}");
}
