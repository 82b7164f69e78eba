//! Records of schema changes that are read long after the statements.
use crate::render::datum;
use crate::support::{Harness, Offsets, Server};
use mysql_async::prelude::Queryable;
use serde_json::Value as Json;
use std::sync::Arc;

/// Names of the columns of each record of a schema change, in order.
fn told(harness: &Harness) -> Vec<Vec<String>> {
    let of_topic = harness.records.iter().filter(|r| *r.record.topic == *"srv");
    let changes = of_topic.map(|r| datum(&r.record.value)["tableChanges"].clone());
    let names = |change: Json| -> Vec<String> {
        let columns = change[0]["table"]["columns"].as_array().cloned().unwrap_or_default();
        columns.iter().map(|c| format!("{} {}", c["name"].as_str().unwrap(), c["typeName"].as_str().unwrap())).collect()
    };
    changes.map(names).filter(|names| !names.is_empty()).collect()
}

async fn told_again(server: &Server, db: &str) {
    let mut conn = server.database(db).await;
    conn.query_drop("CREATE TABLE t (id INT PRIMARY KEY, a INT)").await.unwrap();
    let mut keys =
        vec![("database.include.list", db), ("snapshot.mode", "no_data"), ("include.schema.changes", "true")];
    keys.push(("schema.history.internal.store.only.captured.databases.ddl", "true"));
    let offsets = Arc::new(Offsets::default());
    let mut harness = Harness::new(server.config(&keys), &offsets, 100);
    harness.start().await.unwrap();
    harness.caught_up(&mut conn).await;
    harness.quiet().await;
    harness.stop().await;

    for sql in [
        "ALTER TABLE t ADD COLUMN b INT",
        "INSERT INTO t VALUES (1, 2, 3)",
        "INSERT INTO t VALUES (2, 2, 3)",
        "ALTER TABLE t DROP COLUMN a, MODIFY b BIGINT",
        "INSERT INTO t VALUES (3, 4)",
    ] {
        conn.query_drop(sql).await.unwrap();
    }
    let mut harness = Harness::new(server.config(&keys), &offsets, 100);
    harness.start().await.unwrap();
    harness.caught_up(&mut conn).await;
    harness.quiet().await;
    let late = ["id INT", "b BIGINT"];
    assert_eq!(told(&harness), [late.to_vec(), vec!["id INT", "a INT", "b INT"], late.to_vec()]);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_told_in_a_later_form_is_told_again_as_it_was_on_mysql() {
    let name = "a_table_that_was_told_in_a_later_form_is_told_again_as_it_was_on_mysql";
    if let Some(server) = Server::of("EF_MYSQL", name).await {
        Box::pin(told_again(&server, "ef_told_again")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_told_in_a_later_form_is_told_again_as_it_was_on_mariadb() {
    let name = "a_table_that_was_told_in_a_later_form_is_told_again_as_it_was_on_mariadb";
    if let Some(server) = Server::of("EF_MARIADB", name).await {
        Box::pin(told_again(&server, "ef_told_again")).await;
    }
}
