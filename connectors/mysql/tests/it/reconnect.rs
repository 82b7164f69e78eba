//! Connections are lost, and the task goes on by itself: nothing is lost and nothing comes twice.
use crate::proxy::Proxy;
use crate::render::datum;
use crate::support::{Harness, Offsets, Server, SystemClock};
use elasticflow_api::ErrorClass;
use elasticflow_api::clock::{Boxed, Clock};
use elasticflow_api::source::SourceRecord;
use mysql_async::prelude::Queryable;
use serde_json::Value as Json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

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
        Box::pin(cut_everywhere(server, "ef_cuts")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_after_any_byte_loses_and_repeats_nothing_on_mariadb() {
    if let Some(server) =
        Server::of("EF_MARIADB", "a_connection_cut_after_any_byte_loses_and_repeats_nothing_on_mariadb").await
    {
        Box::pin(cut_everywhere(server, "ef_cuts")).await;
    }
}

/// A further request for the log in the name of the same task takes the place of the one before it. Right after a start it
/// may be an earlier one of the task itself that came late: the task takes its place back. Later it is a further start, or
/// another client: the task stops.
async fn replaced(server: Server, db: &str, code: &str) {
    let mut conn = server.database(db).await;
    conn.query_drop("CREATE TABLE t (id INT PRIMARY KEY)").await.unwrap();
    let config = server.config(&[("database.include.list", db), ("snapshot.mode", "no_data")]);
    let offsets = Arc::new(Offsets::default());
    let clock = Arc::new(Ahead::default());
    let mut harness = Harness::new(config.clone(), &offsets, 100);
    harness.cx.clock = Arc::clone(&clock) as _;
    harness.start().await.unwrap();
    harness.quiet().await;
    let mut late = Harness::new(config.clone(), &offsets, 100);
    late.start().await.unwrap();
    late.stop().await;
    conn.query_drop("INSERT INTO t VALUES (1)").await.unwrap();
    harness.until(1).await;
    harness.quiet().await;
    assert_eq!(harness.records.len(), 1);

    clock.0.store(60_000, Ordering::SeqCst);
    let mut further = Harness::new(config, &offsets, 100);
    further.start().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let error = loop {
        assert!(Instant::now() < deadline, "the task does not stop");
        if let Err(error) = harness.poll().await {
            break error;
        }
    };
    assert_eq!(error.code, code, "{error}");
    assert!(!matches!(error.class, ErrorClass::Transient { .. }), "{error}");
    further.quiet().await;
    conn.query_drop("INSERT INTO t VALUES (2)").await.unwrap();
    further.until(1).await;
    further.stop().await;
}

/// The system's time, some milliseconds ahead.
#[derive(Default)]
struct Ahead(AtomicU64);

impl Clock for Ahead {
    fn wall_ms(&self) -> i64 {
        SystemClock::new().wall_ms()
    }
    fn monotonic(&self) -> Duration {
        static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGUN.elapsed() + Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
    fn sleep(&self, for_: Duration) -> Boxed<'static, ()> {
        Box::pin(tokio::time::sleep(for_))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_request_of_the_task_itself_is_outlived_and_a_further_start_is_not_on_mysql() {
    let name = "a_late_request_of_the_task_itself_is_outlived_and_a_further_start_is_not_on_mysql";
    if let Some(server) = Server::of("EF_MYSQL", name).await {
        Box::pin(replaced(server, "ef_replaced", "MYSQL-0115")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_request_of_the_task_itself_is_outlived_and_a_further_start_is_not_on_mariadb() {
    let name = "a_late_request_of_the_task_itself_is_outlived_and_a_further_start_is_not_on_mariadb";
    if let Some(server) = Server::of("EF_MARIADB", name).await {
        Box::pin(replaced(server, "ef_replaced", "MYSQL-0113")).await;
    }
}
