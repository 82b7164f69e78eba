//! Changes of a running server arrive as records, and a restart goes on where it stopped.
use crate::render::datum;
use crate::support::{Harness, Offsets, Server};
use mysql_async::prelude::Queryable;
use serde_json::Value as Json;
use std::sync::Arc;

fn ops(records: &[elasticflow_api::source::SourceRecord]) -> Vec<String> {
    let op = |value: &Json| value["op"].as_str().unwrap_or("tombstone").to_owned();
    records.iter().map(|r| op(&datum(&r.record.value))).collect()
}

async fn streams_and_resumes(server: Server, db: &str) {
    let mut conn = server.database(db).await;
    conn.query_drop("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20), n INT UNSIGNED)").await.unwrap();
    let config = server.config(&[("database.include.list", db), ("snapshot.mode", "no_data")]);
    let offsets = Arc::new(Offsets::default());

    let mut first = Harness::new(config.clone(), &offsets, 2048);
    first.start().await.unwrap();
    conn.query_drop("INSERT INTO t VALUES (1,'one',1),(2,'zwei',4294967295)").await.unwrap();
    conn.query_drop("UPDATE t SET name='uno' WHERE id=1").await.unwrap();
    conn.query_drop("DELETE FROM t WHERE id=2").await.unwrap();
    first.until(5).await;
    let records = first.stop().await;
    assert_eq!(ops(&records), ["c", "c", "u", "d", "tombstone"]);
    let update = datum(&records[2].record.value);
    assert_eq!((update["before"]["name"].as_str(), update["after"]["name"].as_str()), (Some("one"), Some("uno")));
    assert_eq!(datum(&records[1].record.value)["after"]["n"], 4_294_967_295u64);
    assert_eq!(&*records[0].record.topic, format!("srv.{db}.t"));

    conn.query_drop("INSERT INTO t VALUES (3,'three',3)").await.unwrap();
    let mut second = Harness::new(config, &offsets, 2048);
    second.start().await.unwrap();
    second.until(1).await;
    second.quiet().await;
    let records = second.stop().await;
    assert_eq!(ops(&records), ["c"]);
    assert_eq!(datum(&records[0].record.key)["id"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_streams_changes_and_resumes() {
    if let Some(server) = Server::of("EF_MYSQL", "mysql_streams_changes_and_resumes").await {
        Box::pin(streams_and_resumes(server, "ef_stream")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_streams_changes_and_resumes() {
    if let Some(server) = Server::of("EF_MARIADB", "mariadb_streams_changes_and_resumes").await {
        Box::pin(streams_and_resumes(server, "ef_stream")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_cut_after_any_row_goes_on_with_the_next_one() {
    let Some(server) = Server::of("EF_MYSQL", "a_transaction_cut_after_any_row_goes_on_with_the_next_one").await else {
        return;
    };
    let mut conn = server.database("ef_cut").await;
    conn.query_drop("CREATE TABLE t (id INT PRIMARY KEY, v INT)").await.unwrap();
    let config = server.config(&[("database.include.list", "ef_cut"), ("snapshot.mode", "no_data")]);
    let offsets = Arc::new(Offsets::default());
    let mut first = Harness::new(config.clone(), &offsets, 1);
    first.start().await.unwrap();
    conn.query_drop("INSERT INTO t VALUES (1,1)").await.unwrap();
    first.until(1).await;
    first.stop().await;

    for statement in [
        "BEGIN",
        "INSERT INTO t VALUES (10,1),(11,1),(12,1)",
        "UPDATE t SET v=2",
        "DELETE FROM t WHERE id=11",
        "COMMIT",
    ] {
        conn.query_drop(statement).await.unwrap();
    }
    // One record a start: every place inside the transaction is a place to go on from.
    let mut seen = Vec::new();
    for _ in 0..9 {
        let mut part = Harness::new(config.clone(), &offsets, 1);
        part.start().await.unwrap();
        let batch = loop {
            let batch = elasticflow_api::source::SourceTask::poll(&mut part.task, &part.cx).await.unwrap();
            if !batch.records.is_empty() {
                break batch;
            }
        };
        offsets.set(batch.records.last().unwrap().position.as_ref().unwrap());
        let shown = |r: &elasticflow_api::source::SourceRecord| {
            let (key, value) = (datum(&r.record.key), datum(&r.record.value));
            format!("{}{}", value["op"].as_str().unwrap_or("-"), key["id"])
        };
        seen.extend(batch.records.iter().map(shown));
        part.stop().await;
        if seen.len() >= 9 {
            break;
        }
    }
    assert_eq!(seen, ["c10", "c11", "c12", "u1", "u10", "u11", "u12", "d11", "-11"]);
}
