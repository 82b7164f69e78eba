//! XA transactions: what was prepared and rolled back is never sent, what was committed is, and nothing is lost or doubled over a
//! restart while one is open.
use crate::render::datum;
use crate::support::{Harness, Offsets, Server};
use elasticflow_api::source::SourceRecord;
use mysql_async::prelude::Queryable;
use std::sync::Arc;

fn ids(records: &[SourceRecord]) -> Vec<i64> {
    records.iter().map(|r| datum(&r.record.value)["after"]["id"].as_i64().unwrap()).collect()
}

/// Prepares rows under a name, on a connection of its own, which is closed.
async fn prepared(server: &Server, db: &str, xid: &str, rows: std::ops::Range<i64>, first: &str) {
    let root = |what: &str| std::env::var(format!("EF_MYSQL_ROOT_{what}")).unwrap_or_default();
    // Only some may have their transactions compressed.
    let mut conn = match first {
        "" => server.connect().await,
        _ => server.connect_as(&root("USER"), &root("PASSWORD")).await,
    };
    conn.query_drop(format!("USE `{db}`")).await.unwrap();
    if !first.is_empty() {
        conn.query_drop(first).await.unwrap();
    }
    conn.query_drop(format!("XA START '{xid}'")).await.unwrap();
    for id in rows {
        conn.query_drop(format!("INSERT INTO t VALUES ({id})")).await.unwrap();
    }
    conn.query_drop(format!("XA END '{xid}'")).await.unwrap();
    conn.query_drop(format!("XA PREPARE '{xid}'")).await.unwrap();
    conn.disconnect().await.unwrap();
}

async fn rolled_back_never_arrives(server: Server, db: &str, first: &str) {
    let mut conn = server.database(db).await;
    conn.query_drop("CREATE TABLE t (id INT PRIMARY KEY)").await.unwrap();
    let config = server.config(&[("database.include.list", db), ("snapshot.mode", "no_data")]);
    let offsets = Arc::new(Offsets::default());
    let mut task = Harness::new(config.clone(), &offsets, 3);
    task.start().await.unwrap();
    let (gone, kept, open) = (format!("{db}-gone"), format!("{db}-kept"), format!("{db}-open"));

    conn.query_drop("INSERT INTO t VALUES (1)").await.unwrap();
    // More rows than a batch holds: also of a large one nothing may be sent before it is decided.
    prepared(&server, db, &gone, 10..20, first).await;
    conn.query_drop("INSERT INTO t VALUES (2)").await.unwrap();
    task.until(1).await;
    task.quiet().await;
    assert_eq!(ids(&task.records), [1], "what follows waits for the outcome");
    conn.query_drop(format!("XA ROLLBACK '{gone}'")).await.unwrap();
    prepared(&server, db, &kept, 20..30, first).await;
    conn.query_drop(format!("XA COMMIT '{kept}'")).await.unwrap();
    conn.query_drop(format!("XA START '{db}-one'")).await.unwrap();
    conn.query_drop("INSERT INTO t VALUES (3)").await.unwrap();
    conn.query_drop(format!("XA END '{db}-one'")).await.unwrap();
    conn.query_drop(format!("XA COMMIT '{db}-one' ONE PHASE")).await.unwrap();
    task.until(13).await;
    let all: Vec<i64> = [1, 2].into_iter().chain(20..30).chain([3]).collect();
    assert_eq!(ids(&task.records), all);

    // A restart while one is open: its rows are neither lost nor sent twice.
    prepared(&server, db, &open, 30..33, first).await;
    conn.query_drop("INSERT INTO t VALUES (4)").await.unwrap();
    task.quiet().await;
    assert_eq!(task.stop().await.len(), 13);
    let mut again = Harness::new(config, &offsets, 3);
    again.start().await.unwrap();
    again.quiet().await;
    conn.query_drop(format!("XA COMMIT '{open}'")).await.unwrap();
    again.until(4).await;
    again.quiet().await;
    let records = again.stop().await;
    assert_eq!(ids(&records), [30, 31, 32, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_never_sends_what_was_prepared_and_rolled_back() {
    if let Some(server) = Server::of("EF_MYSQL", "mysql_never_sends_what_was_prepared_and_rolled_back").await {
        Box::pin(rolled_back_never_arrives(server, "ef_xa", "")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_never_sends_it_either_where_transactions_are_compressed() {
    let name = "mysql_never_sends_it_either_where_transactions_are_compressed";
    if let Some(server) = Server::of("EF_MYSQL", name).await {
        Box::pin(rolled_back_never_arrives(server, "ef_xaz", "SET SESSION binlog_transaction_compression=ON")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_never_sends_what_was_prepared_and_rolled_back() {
    if let Some(server) = Server::of("EF_MARIADB", "mariadb_never_sends_what_was_prepared_and_rolled_back").await {
        Box::pin(rolled_back_never_arrives(server, "ef_xa", "")).await;
    }
}
