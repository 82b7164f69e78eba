//! TINYINT(1) as booleans, from tables and from the log.
use crate::render::datum;
use crate::support::{Harness, Offsets, Server};
use mysql_async::prelude::Queryable;
use serde_json::json;
use std::sync::Arc;

async fn are_booleans(server: &Server, db: &str) {
    let mut conn = server.database(db).await;
    let columns = "id INT PRIMARY KEY, a TINYINT(1), b TINYINT(1) NOT NULL DEFAULT 1, c TINYINT(4), d TINYINT(1)";
    conn.query_drop(format!("CREATE TABLE t ({columns})")).await.unwrap();
    conn.query_drop("INSERT INTO t VALUES (1, NULL, 0, 7, 1)").await.unwrap();
    let class = "io.debezium.connector.mysql.converters.TinyIntOneToBooleanConverter";
    let selector = format!("{db}\\.t\\.[abc]");
    let config = server.config(&[
        ("database.include.list", db),
        ("converters", "flags"),
        ("flags.type", class),
        ("flags.selector", &selector),
    ]);
    let mut harness = Harness::new(config, &Arc::new(Offsets::default()), 100);
    harness.start().await.unwrap();
    harness.until(1).await;
    conn.query_drop("INSERT INTO t VALUES (2, 1, 5, 7, 0), (3, -1, DEFAULT, 7, 0)").await.unwrap();
    harness.until(3).await;
    let rows: Vec<_> = harness.records.iter().map(|r| datum(&r.record.value)["after"].clone()).collect();
    let row = |id, a, b, d| json!({"id": id, "a": a, "b": b, "c": 7, "d": d});
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(rows, [row(1, None, no, 1), row(2, yes, yes, 0), row(3, no, yes, 0)]);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_tinyint_one_are_booleans_in_tables_and_in_the_log_of_mysql() {
    let name = "columns_of_tinyint_one_are_booleans_in_tables_and_in_the_log_of_mysql";
    if let Some(server) = Server::of("EF_MYSQL", name).await {
        Box::pin(are_booleans(&server, "ef_booleans")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_tinyint_one_are_booleans_in_tables_and_in_the_log_of_mariadb() {
    let name = "columns_of_tinyint_one_are_booleans_in_tables_and_in_the_log_of_mariadb";
    if let Some(server) = Server::of("EF_MARIADB", name).await {
        Box::pin(are_booleans(&server, "ef_booleans")).await;
    }
}
