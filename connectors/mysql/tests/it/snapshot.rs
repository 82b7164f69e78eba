//! Snapshots under concurrent writes, stopped and started again: the topic replays to the table.
use crate::render::datum;
use crate::support::{Harness, Offsets, Server};
use elasticflow_api::source::SourceRecord;
use mysql_async::prelude::Queryable;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What the records leave, by key.
fn replay(records: &[SourceRecord]) -> BTreeMap<String, Json> {
    let mut rows = BTreeMap::new();
    for record in records {
        let (key, value) = (datum(&record.record.key).to_string(), datum(&record.record.value));
        if value.is_null() || value["op"] == "d" {
            rows.remove(&key);
        } else {
            rows.insert(key, value["after"].clone());
        }
    }
    rows
}

/// Writes until told to stop: inserts, updates, deletes, changes of the key.
async fn write(server: Server, db: String, seed: u64, stop: Arc<AtomicBool>) -> u64 {
    let mut conn = server.connect().await;
    conn.query_drop(format!("USE {db}")).await.unwrap();
    let (mut state, mut n) = (seed, 0);
    while !stop.load(Ordering::Relaxed) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (id, free) = ((state >> 33) % 6000, 1_000_000 + seed * 1_000_000 + n);
        let sql = match state >> 40 & 7 {
            0 | 1 => format!("INSERT INTO t VALUES ({free}, 'new', {n})"),
            2 => format!("DELETE FROM t WHERE id = {id}"),
            3 => format!("UPDATE t SET id = {free} WHERE id = {id}"),
            _ => format!("UPDATE t SET v = v + 1, name = 'changed {n}' WHERE id BETWEEN {id} AND {id} + 3"),
        };
        // Writers may block each other; the one that is rolled back goes on.
        let _ = conn.query_drop(sql).await;
        n += 1;
    }
    n
}

async fn survives_writes_and_restarts(server: Server, db: &str, restarts: usize) {
    let mut conn = server.database(db).await;
    conn.query_drop("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(40), v INT)").await.unwrap();
    for from in (0..6000).step_by(1000) {
        let rows: Vec<String> = (from..from + 1000).map(|i| format!("({i},'row {i}',0)")).collect();
        conn.query_drop(format!("INSERT INTO t VALUES {}", rows.join(","))).await.unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (1..4).map(|seed| tokio::spawn(write(server.clone(), db.to_owned(), seed, Arc::clone(&stop)))).collect();
    let config = server.config(&[("database.include.list", db), ("snapshot.chunk.rows", "100")]);
    let offsets = Arc::new(Offsets::default());
    let mut all = Vec::new();
    for round in 0..restarts {
        // Dropped in the middle of anything, committed up to the last complete batch.
        let mut harness = Harness::new(config.clone(), &offsets, 150);
        harness.start().await.unwrap();
        let most = 300 + round * 200;
        while harness.records.len() < most {
            harness.poll().await.unwrap();
        }
        all.append(&mut harness.records);
    }
    let mut harness = Harness::new(config, &offsets, 150);
    harness.start().await.unwrap();
    let deadline = Instant::now() + std::time::Duration::from_secs(60);
    while harness.task.standing().unwrap().snapshot {
        assert!(Instant::now() < deadline, "the snapshot does not end");
        harness.poll().await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.unwrap() > 0);
    }
    harness.quiet().await;
    all.append(&mut harness.stop().await);
    let rows: Vec<(i64, String, i32)> = conn.query("SELECT id, name, v FROM t").await.unwrap();
    let table: BTreeMap<String, Json> = rows
        .into_iter()
        .map(|(id, name, v)| {
            (serde_json::json!({ "id": id }).to_string(), serde_json::json!({"id": id, "name": name, "v": v}))
        })
        .collect();
    let topic = replay(&all);
    let missing: Vec<_> = table.iter().filter(|(k, v)| topic.get(*k).is_none_or(|t| t != *v)).take(5).collect();
    let extra: Vec<_> = topic.keys().filter(|k| !table.contains_key(*k)).take(5).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing or different {missing:?}, extra {extra:?}");
    let reads = |key: &String| {
        let key: Json = serde_json::from_str(key).unwrap();
        let of_key = |r: &&SourceRecord| datum(&r.record.key) == key;
        all.iter().filter(of_key).filter(|r| datum(&r.record.value)["op"] == "r").count()
    };
    let twice: Vec<&String> = table.keys().take(300).filter(|k| reads(k) > 1).collect();
    assert!(twice.is_empty(), "read twice: {twice:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_mysql_survives_writes_and_restarts() {
    if let Some(server) = Server::of("EF_MYSQL", "a_snapshot_of_mysql_survives_writes_and_restarts").await {
        Box::pin(survives_writes_and_restarts(server, "ef_snap", 4)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_mariadb_survives_writes_and_restarts() {
    if let Some(server) = Server::of("EF_MARIADB", "a_snapshot_of_mariadb_survives_writes_and_restarts").await {
        Box::pin(survives_writes_and_restarts(server, "ef_snap", 4)).await;
    }
}

async fn keyless_under_writes(server: Server, db: &str) {
    let mut conn = server.database(db).await;
    conn.query_drop("CREATE TABLE k (a INT, e ENUM('x','y'))").await.unwrap();
    for from in (0..6000).step_by(1000) {
        let rows: Vec<String> = (from..from + 1000).map(|i| format!("({i},'x')")).collect();
        conn.query_drop(format!("INSERT INTO k VALUES {}", rows.join(","))).await.unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (writing, other, name) = (Arc::clone(&stop), server.clone(), db.to_owned());
    let writer = tokio::spawn(async move {
        let mut conn = other.connect().await;
        let mut n = 6000;
        while !writing.load(Ordering::Relaxed) {
            conn.query_drop(format!("INSERT INTO {name}.k VALUES ({n},'y')")).await.unwrap();
            n += 1;
        }
        n
    });
    let offsets = Arc::new(Offsets::default());
    let mut harness = Harness::new(server.config(&[("database.include.list", db)]), &offsets, 150);
    harness.start().await.unwrap();
    let deadline = Instant::now() + std::time::Duration::from_secs(60);
    while harness.task.standing().unwrap().snapshot {
        assert!(Instant::now() < deadline, "the snapshot does not end");
        harness.poll().await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let written = writer.await.unwrap();
    harness.until(written).await;
    let mut seen: Vec<u64> =
        harness.stop().await.iter().map(|r| datum(&r.record.value)["after"]["a"].as_u64().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..written as u64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_a_keyless_table_of_mysql_comes_once() {
    if let Some(server) = Server::of("EF_MYSQL", "every_row_of_a_keyless_table_of_mysql_comes_once").await {
        keyless_under_writes(server, "ef_keyless").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_a_keyless_table_of_mariadb_comes_once() {
    if let Some(server) = Server::of("EF_MARIADB", "every_row_of_a_keyless_table_of_mariadb_comes_once").await {
        keyless_under_writes(server, "ef_keyless").await;
    }
}

/// Tables that the filters have only since they were changed are read beside the stream; those they had are not read again.
async fn joined_tables(server: Server, db: &str) {
    let mut conn = server.database(db).await;
    for table in ["a", "b", "c"] {
        conn.query_drop(format!("CREATE TABLE {table} (id INT PRIMARY KEY, v INT)")).await.unwrap();
        conn.query_drop(format!("INSERT INTO {table} VALUES (1,1),(2,2),(3,3)")).await.unwrap();
    }
    let config = |tables: &str| {
        let list: Vec<String> = tables.split(' ').map(|t| format!("{db}\\.{t}")).collect();
        server.config(&[("table.include.list", &list.join(","))])
    };
    let offsets = Arc::new(Offsets::default());
    let run = async |tables: &str, records: usize| {
        let mut harness = Harness::new(config(tables), &offsets, 2);
        harness.start().await.unwrap();
        harness.until(records).await;
        harness.quiet().await;
        assert!(!harness.task.standing().unwrap().snapshot);
        let records = harness.stop().await;
        let shown = |r: &SourceRecord| {
            let (key, value) = (datum(&r.record.key), datum(&r.record.value));
            let table = r.record.topic.rsplit('.').next().unwrap().to_owned();
            format!("{} {table}{}", value["op"].as_str().unwrap(), key["id"])
        };
        let mut all: Vec<String> = records.iter().map(shown).collect();
        all.sort();
        all
    };
    assert_eq!(run("b", 3).await, ["r b1", "r b2", "r b3"]);
    conn.query_drop("UPDATE b SET v=9 WHERE id=1").await.unwrap();
    conn.query_drop("INSERT INTO c VALUES (4,4)").await.unwrap();
    // What was written to the joined table meanwhile is in the log as well.
    assert_eq!(run("a b c", 9).await, ["c c4", "r a1", "r a2", "r a3", "r c1", "r c2", "r c3", "r c4", "u b1"]);
    conn.query_drop("UPDATE a SET v=8 WHERE id=1").await.unwrap();
    assert_eq!(run("a b c", 1).await, ["u a1"]);
    assert_eq!(run("a b", 0).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_join_the_filters_get_their_own_snapshot_on_mysql() {
    let name = "tables_that_join_the_filters_get_their_own_snapshot_on_mysql";
    if let Some(server) = Server::of("EF_MYSQL", name).await {
        joined_tables(server, "ef_joined").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_join_the_filters_get_their_own_snapshot_on_mariadb() {
    let name = "tables_that_join_the_filters_get_their_own_snapshot_on_mariadb";
    if let Some(server) = Server::of("EF_MARIADB", name).await {
        joined_tables(server, "ef_joined").await;
    }
}
