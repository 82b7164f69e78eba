//! Connections are lost, and the task goes on by itself: nothing is lost and nothing comes twice.
use crate::proxy::Proxy;
use crate::render::datum;
use crate::support::{Harness, Offsets, Server};
use elasticflow_api::source::SourceRecord;
use mysql_async::prelude::Queryable;
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Duration;

fn shown(records: &[SourceRecord]) -> Vec<String> {
    let one = |r: &SourceRecord| {
        let (key, value) = (datum(&r.record.key), datum(&r.record.value));
        let id = key["id"].to_string();
        let order = if value["transaction"].is_object() { &value["transaction"]["total_order"] } else { &Json::Null };
        format!("{}{}{} {} {}", value["status"], value["op"], id, value["after"], order)
    };
    records.iter().map(one).collect()
}

/// Places at which the connection is cut: every `EF_CUT_STEP`th byte.
fn step() -> usize {
    std::env::var("EF_CUT_STEP").ok().and_then(|s| s.parse().ok()).unwrap_or(13)
}

async fn cut_everywhere(server: Server, db: &str) {
    let mut conn = server.database(db).await;
    conn.query_drop("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))").await.unwrap();
    let mut through = server.clone();
    let proxy = Proxy::to(&server.host, server.port).await;
    through.port = proxy.port;
    let config = through.config(&[
        ("database.include.list", db),
        ("snapshot.mode", "no_data"),
        ("provide.transaction.metadata", "true"),
    ]);
    let stored = Arc::new(Offsets::default());
    let mut first = Harness::new(config.clone(), &stored, 1);
    first.start().await.unwrap();
    conn.query_drop("INSERT INTO t VALUES (0,'first')").await.unwrap();
    first.until(3).await;
    first.stop().await;
    for sql in [
        "BEGIN",
        "INSERT INTO t VALUES (1,'a'),(2,'b'),(3,'c')",
        "UPDATE t SET v='changed' WHERE id>1",
        "DELETE FROM t WHERE id=3",
        "COMMIT",
        "INSERT INTO t VALUES (4,'d')",
    ] {
        conn.query_drop(sql).await.unwrap();
    }
    let read = async || {
        let mut harness = Harness::new(config.clone(), &stored.copy(), 2);
        harness.cx.poll_max = Duration::from_millis(20);
        harness.start().await.unwrap();
        harness.until(12).await;
        shown(&harness.stop().await)
    };
    proxy.passed();
    let expected = read().await;
    assert_eq!(expected.len(), 12, "{expected:?}");
    let all = usize::try_from(proxy.passed()).unwrap();
    assert!(all > 500, "{all} bytes");
    for n in (1..all).step_by(step()) {
        proxy.cut_after(i64::try_from(n).unwrap());
        // A start whose first words are cut is the worker's to try again.
        let again = async || {
            let mut harness = Harness::new(config.clone(), &stored.copy(), 2);
            harness.cx.poll_max = Duration::from_millis(20);
            if harness.start().await.is_err() {
                return None;
            }
            harness.until(12).await;
            Some(shown(&harness.stop().await))
        };
        if let Some(found) = again().await {
            assert_eq!(found, expected, "cut after {n} of {all} bytes");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_after_any_byte_loses_and_repeats_nothing_on_mysql() {
    if let Some(server) =
        Server::of("EF_MYSQL", "a_connection_cut_after_any_byte_loses_and_repeats_nothing_on_mysql").await
    {
        cut_everywhere(server, "ef_cuts").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_after_any_byte_loses_and_repeats_nothing_on_mariadb() {
    if let Some(server) =
        Server::of("EF_MARIADB", "a_connection_cut_after_any_byte_loses_and_repeats_nothing_on_mariadb").await
    {
        cut_everywhere(server, "ef_cuts").await;
    }
}
