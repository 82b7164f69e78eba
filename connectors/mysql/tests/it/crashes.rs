//! The server dies in the middle of streaming, and comes back; or another one takes its place.
use crate::private::Private;
use crate::proxy::Proxy;
use crate::render::datum;
use crate::support::{Harness, Offsets, Server};
use elasticflow_api::source::SourceRecord;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Rows by key: value, and how many records made it.
fn replay(records: &[SourceRecord]) -> (BTreeMap<i64, i64>, BTreeMap<i64, usize>) {
    let (mut rows, mut created) = (BTreeMap::new(), BTreeMap::new());
    for record in records {
        let (key, value) = (datum(&record.record.key), datum(&record.record.value));
        let id = key["id"].as_i64().unwrap();
        match value["op"].as_str() {
            Some("c") => {
                *created.entry(id).or_insert(0) += 1;
                rows.insert(id, value["after"]["v"].as_i64().unwrap());
            }
            Some("u") => {
                let before = value["before"]["v"].as_i64();
                assert_eq!(rows.insert(id, value["after"]["v"].as_i64().unwrap()), before, "row {id}");
            }
            _ => {
                rows.remove(&id);
            }
        }
    }
    (rows, created)
}

async fn table(conn: &mut Conn) -> BTreeMap<i64, i64> {
    let rows: Vec<(i64, i64)> = conn.query("SELECT id, v FROM ef_crash.t").await.unwrap();
    rows.into_iter().collect()
}

/// Writes transactions of several rows until told to stop or until the server is gone.
async fn write(server: Server, first: i64, stop: Arc<AtomicBool>) {
    let mut conn = server.connect().await;
    let mut id = first;
    while !stop.load(Ordering::Relaxed) {
        let statements = [
            "BEGIN".to_owned(),
            format!("INSERT INTO ef_crash.t VALUES ({id},0),({},0),({},0)", id + 1, id + 2),
            format!("UPDATE ef_crash.t SET v=v+1 WHERE id>={}", id - 3),
            format!("DELETE FROM ef_crash.t WHERE id={}", id - 1),
            "COMMIT".to_owned(),
        ];
        for sql in statements {
            if conn.query_drop(sql).await.is_err() {
                return;
            }
        }
        id += 3;
    }
}

fn same(records: &[SourceRecord], table: &BTreeMap<i64, i64>) {
    let (rows, created) = replay(records);
    assert_eq!(&rows, table, "the table and the replayed records differ");
    let twice: Vec<_> = created.iter().filter(|(_, n)| **n > 1).collect();
    assert!(twice.is_empty(), "created twice: {twice:?}");
}

/// Polls for some records more.
async fn more(harness: &mut Harness, records: usize) {
    let wanted = harness.records.len() + records;
    harness.until(wanted).await;
}

async fn dies_and_is_followed(shared: &Server, service: &'static str, replicate: fn(u16) -> Vec<String>) {
    let first = Private::start(service, "--server-id=201");
    let second = Private::start(service, "--server-id=202 --log-bin=other-log --log-slave-updates=ON");
    let (one, two) = (first.server(shared), second.server(shared));
    let mut replica = two.connect_as("root", "elasticflow").await;
    for sql in replicate(first.port) {
        replica.query_drop(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    let mut conn = one.connect_as("root", "elasticflow").await;
    for sql in ["CREATE DATABASE ef_crash", "CREATE TABLE ef_crash.t (id BIGINT PRIMARY KEY, v BIGINT)"] {
        conn.query_drop(sql).await.unwrap();
    }
    let proxy = Proxy::to("127.0.0.1", first.port).await;
    let through = Server { port: proxy.port, ..one.clone() };
    let config = through.config(&[("database.include.list", "ef_crash"), ("snapshot.mode", "no_data")]);
    let mut harness = Harness::new(config, &Arc::new(Offsets::default()), 7);
    harness.start().await.unwrap();

    // The server dies while rows are written and read, twice, and comes back.
    for round in 0..2 {
        let stop = Arc::new(AtomicBool::new(false));
        let writer = tokio::spawn(write(one.clone(), 1_000_000 * (round + 1), Arc::clone(&stop)));
        more(&mut harness, 60).await;
        first.kill();
        // What is on its way is read, and the loss is noticed.
        for _ in 0..5 {
            harness.poll().await.unwrap();
        }
        first.up();
        stop.store(true, Ordering::Relaxed);
        writer.await.unwrap();
        let mut conn = one.connect_as("root", "elasticflow").await;
        harness.caught_up(&mut conn).await;
        same(&harness.records, &table(&mut conn).await);
    }

    // It dies for good while transactions are still unread, and its replica, whose log files have other names, answers.
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write(one.clone(), 9_000_000, Arc::clone(&stop)));
    more(&mut harness, 20).await;
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    let mut conn = one.connect_as("root", "elasticflow").await;
    let expected = table(&mut conn).await;
    let deadline = Instant::now() + Duration::from_secs(120);
    while table(&mut replica).await != expected {
        assert!(Instant::now() < deadline, "the replica does not catch up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    proxy.turn_to(second.port);
    first.kill();
    write_some(&mut replica).await;
    let deadline = Instant::now() + Duration::from_secs(120);
    // Places in another server's log cannot be compared: the rows are.
    while replay(&harness.records).0 != table(&mut replica).await && Instant::now() < deadline {
        harness.poll().await.unwrap();
    }
    harness.quiet().await;
    same(&harness.records, &table(&mut replica).await);
    harness.stop().await;
}

/// What a replica that takes over is written.
async fn write_some(conn: &mut Conn) {
    for sql in ["STOP SLAVE", "SET GLOBAL read_only=0", "INSERT INTO ef_crash.t VALUES (-1,5),(-2,6)"] {
        conn.query_drop(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
}

fn replicate_mysql(port: u16) -> Vec<String> {
    vec![
        format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port}, SOURCE_USER='root', \
             SOURCE_PASSWORD='elasticflow', SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1, SOURCE_CONNECT_RETRY=1"
        ),
        "START REPLICA".to_owned(),
    ]
}

fn replicate_mariadb(port: u16) -> Vec<String> {
    vec![
        format!(
            "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='root', \
             MASTER_PASSWORD='elasticflow', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1"
        ),
        "START SLAVE".to_owned(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mysql_that_dies_or_is_replaced_by_its_replica_loses_and_doubles_nothing() {
    let name = "a_mysql_that_dies_or_is_replaced_by_its_replica_loses_and_doubles_nothing";
    if let Some(shared) = Server::of("EF_MYSQL", name).await {
        dies_and_is_followed(&shared, "mysql", replicate_mysql).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mariadb_that_dies_or_is_replaced_by_its_replica_loses_and_doubles_nothing() {
    let name = "a_mariadb_that_dies_or_is_replaced_by_its_replica_loses_and_doubles_nothing";
    if let Some(shared) = Server::of("EF_MARIADB", name).await {
        dies_and_is_followed(&shared, "mariadb", replicate_mariadb).await;
    }
}
