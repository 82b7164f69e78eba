//! Tables whose changes go out before the snapshot has read them, and a new start meanwhile: nothing is held back again.
use crate::render::datum;
use crate::support::{Harness, Offsets, Server};
use elasticflow_api::source::SourceRecord;
use mysql_async::prelude::Queryable;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows that the records leave.
fn left(records: &[SourceRecord]) -> BTreeSet<i64> {
    let mut left = BTreeSet::new();
    for record in records {
        let (key, value) = (datum(&record.record.key), datum(&record.record.value));
        let id = key["id"].as_i64().unwrap();
        if value.is_null() || value["op"] == "d" {
            left.remove(&id);
        } else {
            left.insert(id);
        }
    }
    left
}

/// Polls until a record with this operation and row has gone out.
async fn until(harness: &mut Harness, op: &str, id: i64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let is_it = |r: &SourceRecord| {
        let value: Json = datum(&r.record.value);
        value["op"] == op && value["after"]["id"] == id
    };
    while !harness.records.iter().any(is_it) {
        assert!(Instant::now() < deadline, "no {op} of {id}");
        harness.poll().await.unwrap();
    }
}

async fn what_was_told_of_is_not_forgotten(server: Server, db: &str) {
    let mut conn = server.database(db).await;
    conn.query_drop("CREATE TABLE t (id BIGINT PRIMARY KEY, v INT)").await.unwrap();
    conn.query_drop("INSERT INTO t VALUES (1,0),(2,0),(5,0),(7,0)").await.unwrap();
    let config = server.config(&[("database.include.list", db)]);
    let offsets = Arc::new(Offsets::default());
    let mut harness = Harness::new(config.clone(), &offsets, 1).cutting();
    harness.start().await.unwrap();
    // The first rows are not to be had for now; whoever has the lock may still write.
    conn.query_drop("SET autocommit=0").await.unwrap();
    conn.query_drop("LOCK TABLES t WRITE").await.unwrap();
    harness.poll().await.unwrap();
    conn.query_drop("UPDATE t SET v=1 WHERE id=5").await.unwrap();
    conn.query_drop("COMMIT").await.unwrap();
    until(&mut harness, "u", 5).await;
    conn.query_drop("UPDATE t SET v=1 WHERE id=7").await.unwrap();
    conn.query_drop("DELETE FROM t WHERE id=5").await.unwrap();
    conn.query_drop("COMMIT").await.unwrap();
    until(&mut harness, "u", 7).await;
    let mut all = harness.stop().await;
    assert_eq!(left(&all), [5, 7].into(), "stopped before the end of the transaction, and before the first rows");
    conn.query_drop("UNLOCK TABLES").await.unwrap();
    conn.query_drop("SET autocommit=1").await.unwrap();
    let mut harness = Harness::new(config, &offsets, 100);
    harness.start().await.unwrap();
    while harness.task.standing().unwrap().snapshot {
        harness.poll().await.unwrap();
    }
    harness.caught_up(&mut conn).await;
    all.append(&mut harness.stop().await);
    assert_eq!(left(&all), [1, 2, 7].into());
}

/// A table that is made while another one is being read.
async fn a_new_table_is_not_held_back(server: Server, db: &str) {
    let mut conn = server.database(db).await;
    conn.query_drop("CREATE TABLE a (id BIGINT PRIMARY KEY, v INT)").await.unwrap();
    conn.query_drop("INSERT INTO a VALUES (1,0)").await.unwrap();
    let config = server.config(&[("database.include.list", db)]);
    let offsets = Arc::new(Offsets::default());
    let mut harness = Harness::new(config.clone(), &offsets, 100);
    harness.start().await.unwrap();
    conn.query_drop("LOCK TABLES a WRITE").await.unwrap();
    harness.poll().await.unwrap();
    let mut other = server.connect().await;
    other.query_drop(format!("CREATE TABLE {db}.n (id BIGINT PRIMARY KEY, v INT)")).await.unwrap();
    other.query_drop(format!("INSERT INTO {db}.n VALUES (10,1),(11,1)")).await.unwrap();
    until(&mut harness, "c", 11).await;
    let mut all = harness.stop().await;
    other.query_drop(format!("DELETE FROM {db}.n WHERE id=10")).await.unwrap();
    let mut harness = Harness::new(config, &offsets, 100);
    harness.start().await.unwrap();
    harness.caught_up(&mut other).await;
    assert!(harness.task.standing().unwrap().snapshot, "the first table is still locked");
    conn.query_drop("UNLOCK TABLES").await.unwrap();
    while harness.task.standing().unwrap().snapshot {
        harness.poll().await.unwrap();
    }
    harness.caught_up(&mut conn).await;
    all.append(&mut harness.stop().await);
    assert_eq!(left(&all), [1, 11].into());
}

/// A table that was being read, and is dropped while the task does not run.
async fn the_next_table_is_read_whole(server: Server, db: &str) {
    let mut conn = server.database(db).await;
    let ids = |from: i64| (from..from + 60).map(|id| format!("({id},0)")).collect::<Vec<_>>().join(",");
    for (table, from) in [("a", 1000), ("b", 0)] {
        conn.query_drop(format!("CREATE TABLE {table} (id BIGINT PRIMARY KEY, v INT)")).await.unwrap();
        conn.query_drop(format!("INSERT INTO {table} VALUES {}", ids(from))).await.unwrap();
    }
    let config = server.config(&[("database.include.list", db), ("snapshot.chunk.rows", "10")]);
    let offsets = Arc::new(Offsets::default());
    let mut harness = Harness::new(config.clone(), &offsets, 10);
    harness.start().await.unwrap();
    until(&mut harness, "r", 1029).await;
    let mut all = harness.stop().await;
    conn.query_drop("DROP TABLE a").await.unwrap();
    let mut harness = Harness::new(config, &offsets, 10);
    harness.start().await.unwrap();
    while harness.task.standing().unwrap().snapshot {
        harness.poll().await.unwrap();
    }
    all.append(&mut harness.stop().await);
    let read: BTreeSet<i64> = left(&all).into_iter().filter(|id| *id < 1000).collect();
    assert_eq!(read, (0..60).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_table_that_was_dropped_in_the_middle_the_next_one_is_read_whole_on_mysql() {
    let name = "after_a_table_that_was_dropped_in_the_middle_the_next_one_is_read_whole_on_mysql";
    if let Some(server) = Server::of("EF_MYSQL", name).await {
        the_next_table_is_read_whole(server, "ef_begun").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_table_that_was_dropped_in_the_middle_the_next_one_is_read_whole_on_mariadb() {
    let name = "after_a_table_that_was_dropped_in_the_middle_the_next_one_is_read_whole_on_mariadb";
    if let Some(server) = Server::of("EF_MARIADB", name).await {
        the_next_table_is_read_whole(server, "ef_begun").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_made_during_a_snapshot_is_not_held_back_after_a_new_start_on_mysql() {
    let name = "a_table_that_is_made_during_a_snapshot_is_not_held_back_after_a_new_start_on_mysql";
    if let Some(server) = Server::of("EF_MYSQL", name).await {
        Box::pin(a_new_table_is_not_held_back(server, "ef_begun")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_made_during_a_snapshot_is_not_held_back_after_a_new_start_on_mariadb() {
    let name = "a_table_that_is_made_during_a_snapshot_is_not_held_back_after_a_new_start_on_mariadb";
    if let Some(server) = Server::of("EF_MARIADB", name).await {
        Box::pin(a_new_table_is_not_held_back(server, "ef_begun")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_told_of_before_its_chunk_is_deleted_after_a_new_start_too_on_mysql() {
    let name = "a_row_that_was_told_of_before_its_chunk_is_deleted_after_a_new_start_too_on_mysql";
    if let Some(server) = Server::of("EF_MYSQL", name).await {
        Box::pin(what_was_told_of_is_not_forgotten(server, "ef_begun")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_told_of_before_its_chunk_is_deleted_after_a_new_start_too_on_mariadb() {
    let name = "a_row_that_was_told_of_before_its_chunk_is_deleted_after_a_new_start_too_on_mariadb";
    if let Some(server) = Server::of("EF_MARIADB", name).await {
        Box::pin(what_was_told_of_is_not_forgotten(server, "ef_begun")).await;
    }
}
