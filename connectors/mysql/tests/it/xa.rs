//! XA transactions: what was prepared and rolled back is never sent, what was committed is, and nothing is lost or doubled over a
//! restart while one is open.
use crate::render::datum;
use crate::support::{Harness, Offsets, Server};
use elasticflow_api::source::{SourceRecord, SourceTask};
use mysql_async::prelude::Queryable;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn ids(records: &[SourceRecord]) -> Vec<i64> {
    records.iter().map(|r| datum(&r.record.value)["after"]["id"].as_i64().unwrap()).collect()
}

/// Prepares statements under a name, on a connection of its own, which is closed.
async fn prepared(server: &Server, db: &str, xid: &str, statements: &[String], first: &str) {
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
    for statement in statements {
        conn.query_drop(statement).await.unwrap();
    }
    conn.query_drop(format!("XA END '{xid}'")).await.unwrap();
    conn.query_drop(format!("XA PREPARE '{xid}'")).await.unwrap();
    conn.disconnect().await.unwrap();
}

fn inserts(ids: std::ops::Range<i64>) -> Vec<String> {
    ids.map(|id| format!("INSERT INTO t VALUES ({id})")).collect()
}

/// Commits or rolls back what was prepared; until the server has noticed that its connection is gone, nobody else may.
async fn decide(conn: &mut mysql_async::Conn, statement: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = conn.query_drop(statement).await {
        assert!(Instant::now() < deadline, "{statement}: {error}");
    }
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
    prepared(&server, db, &gone, &inserts(10..20), first).await;
    conn.query_drop("INSERT INTO t VALUES (2)").await.unwrap();
    task.until(1).await;
    task.quiet().await;
    assert_eq!(ids(&task.records), [1], "what follows waits for the outcome");
    decide(&mut conn, &format!("XA ROLLBACK '{gone}'")).await;
    prepared(&server, db, &kept, &inserts(20..30), first).await;
    decide(&mut conn, &format!("XA COMMIT '{kept}'")).await;
    conn.query_drop(format!("XA START '{db}-one'")).await.unwrap();
    conn.query_drop("INSERT INTO t VALUES (3)").await.unwrap();
    conn.query_drop(format!("XA END '{db}-one'")).await.unwrap();
    conn.query_drop(format!("XA COMMIT '{db}-one' ONE PHASE")).await.unwrap();
    task.until(13).await;
    let all: Vec<i64> = [1, 2].into_iter().chain(20..30).chain([3]).collect();
    assert_eq!(ids(&task.records), all);

    // A restart while one is open: its rows are neither lost nor sent twice.
    prepared(&server, db, &open, &inserts(30..33), first).await;
    conn.query_drop("INSERT INTO t VALUES (4)").await.unwrap();
    task.quiet().await;
    assert_eq!(task.stop().await.len(), 13);
    let mut again = Harness::new(config, &offsets, 3);
    again.start().await.unwrap();
    again.quiet().await;
    decide(&mut conn, &format!("XA COMMIT '{open}'")).await;
    again.until(4).await;
    again.quiet().await;
    let records = again.stop().await;
    assert_eq!(ids(&records), [30, 31, 32, 4]);
}

/// One is prepared before the snapshot begins, one while it reads.
async fn a_snapshot_misses_nothing(server: &Server, db: &str, key: &str) {
    let mut conn = server.database(db).await;
    conn.query_drop(format!("CREATE TABLE t (id INT {key}, v INT)")).await.unwrap();
    conn.query_drop("INSERT INTO t VALUES (1,0),(2,0),(3,0)").await.unwrap();
    let config = server.config(&[("database.include.list", db), ("snapshot.chunk.rows", "8")]);
    let offsets = Arc::new(Offsets::default());
    let mut task = Harness::new(config.clone(), &offsets, 3);

    let (early, late) = (format!("{db}-early"), format!("{db}-late"));
    prepared(server, db, &early, &["UPDATE t SET v=1 WHERE id=1".to_owned()], "").await;
    let begun = tokio::time::timeout(Duration::from_secs(1), task.start()).await;
    assert!(!matches!(begun, Ok(Ok(()))), "it waits for the outcome");
    decide(&mut conn, &format!("XA COMMIT '{early}'")).await;
    task.start().await.unwrap();

    prepared(server, db, &late, &["UPDATE t SET v=7 WHERE id=3".to_owned()], "").await;
    // What is read meanwhile has not seen it, and stands behind it in the log.
    for _ in 0..20 {
        task.poll().await.unwrap();
    }
    decide(&mut conn, &format!("XA COMMIT '{late}'")).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut all = Vec::new();
    while task.task.standing().unwrap().snapshot {
        assert!(Instant::now() < deadline, "the snapshot does not end");
        if let Err(error) = task.poll().await {
            assert!(matches!(error.class, elasticflow_api::ErrorClass::Transient { .. }), "{error}");
            all.append(&mut task.records);
            task.task.stop().await;
            task = Harness::new(config.clone(), &offsets, 3);
            task.start().await.unwrap();
        }
    }
    task.caught_up(&mut conn).await;
    all.append(&mut task.stop().await);
    let rows: BTreeMap<i64, i64> = all.iter().map(|r| datum(&r.record.value)["after"].clone()).map(row).collect();
    assert_eq!(rows, [(1, 1), (2, 0), (3, 7)].into());
}

fn row(after: serde_json::Value) -> (i64, i64) {
    (after["id"].as_i64().unwrap(), after["v"].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_mysql_misses_nothing_that_was_prepared() {
    if let Some(server) = Server::of("EF_MYSQL", "a_snapshot_of_mysql_misses_nothing_that_was_prepared").await {
        Box::pin(a_snapshot_misses_nothing(&server, "ef_xa_keyed", "PRIMARY KEY")).await;
        Box::pin(a_snapshot_misses_nothing(&server, "ef_xa_whole", "")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_mariadb_misses_nothing_that_was_prepared() {
    if let Some(server) = Server::of("EF_MARIADB", "a_snapshot_of_mariadb_misses_nothing_that_was_prepared").await {
        Box::pin(a_snapshot_misses_nothing(&server, "ef_xa_keyed", "PRIMARY KEY")).await;
        Box::pin(a_snapshot_misses_nothing(&server, "ef_xa_whole", "")).await;
    }
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
