//! Snapshots that signals ask for, beside the stream.
use crate::render::datum;
use crate::support::{Harness, Offsets, Server};
use elasticflow_api::source::{Instruction, SourceRecord, SourceTask};
use mysql_async::prelude::Queryable;
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SIGNALS: &str =
    "CREATE TABLE signals (id VARCHAR(42) PRIMARY KEY, type VARCHAR(32) NOT NULL, data VARCHAR(2048))";

struct Scene {
    conn: mysql_async::Conn,
    offsets: Arc<Offsets>,
    harness: Harness,
    server: Server,
    db: &'static str,
}

impl Scene {
    async fn new(server: Server, db: &'static str, rows: u64) -> Self {
        let mut conn = server.database(db).await;
        conn.query_drop(SIGNALS).await.unwrap();
        for table in ["a", "b"] {
            conn.query_drop(format!("CREATE TABLE {table} (id INT PRIMARY KEY, v INT)")).await.unwrap();
            let all: Vec<String> = (0..rows).map(|i| format!("({i},{i})")).collect();
            conn.query_drop(format!("INSERT INTO {table} VALUES {}", all.join(","))).await.unwrap();
        }
        let offsets = Arc::new(Offsets::default());
        let harness = Self::task(&server, db, &offsets).await;
        Self { conn, offsets, harness, server, db }
    }

    async fn task(server: &Server, db: &str, offsets: &Arc<Offsets>) -> Harness {
        let table = format!("{db}.signals");
        let config = server.config(&[
            ("database.include.list", db),
            ("snapshot.mode", "no_data"),
            ("signal.data.collection", &table),
            ("incremental.snapshot.chunk.size", "10"),
        ]);
        let mut harness = Harness::new(config, offsets, 20);
        harness.cx.poll_max = Duration::from_millis(20);
        harness.start().await.unwrap();
        harness
    }

    async fn signal(&mut self, id: &str, kind: &str, data: &str) {
        let data = data.replace("DB", self.db);
        self.conn.exec_drop("INSERT INTO signals VALUES (?,?,?)", (id, kind, data)).await.unwrap();
    }

    async fn until(&mut self, snapshot: bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.harness.task.standing().unwrap().snapshot != snapshot {
            assert!(Instant::now() < deadline, "no snapshot has begun or ended");
            self.harness.poll().await.unwrap();
        }
    }
}

/// Keys read of a table.
fn read(records: &[SourceRecord], table: &str) -> Vec<u64> {
    let of_table = records.iter().filter(|r| r.record.topic.ends_with(&format!(".{table}")));
    let rows = of_table.map(|r| datum(&r.record.value)).filter(|v: &Json| v["op"] == "r");
    rows.map(|v| v["after"]["id"].as_u64().unwrap()).collect()
}

async fn stopped_and_started_again(server: Server) {
    let mut scene = Scene::new(server, "ef_signal", 100).await;
    scene.signal("1", "execute-snapshot", r#"{"data-collections":["DB.a","DB.b"],"additional-conditions":[{"data-collection":"DB.b","filter":"v >= 95"}]}"#).await;
    scene.until(true).await;
    while read(&scene.harness.records, "a").len() < 30 {
        scene.harness.poll().await.unwrap();
    }
    // Killed in the middle: the next start goes on with the next chunk.
    let mut records = std::mem::take(&mut scene.harness.records);
    scene.harness = Scene::task(&scene.server, scene.db, &scene.offsets).await;
    scene.conn.query_drop("INSERT INTO a VALUES (1000,1)").await.unwrap();
    assert!(scene.harness.task.standing().unwrap().snapshot);
    scene.until(false).await;
    let conn = &mut scene.conn;
    scene.harness.caught_up(conn).await;
    records.append(&mut scene.harness.stop().await);
    let mut a = read(&records, "a");
    a.retain(|id| *id < 1000);
    assert_eq!(a, (0..100).collect::<Vec<_>>());
    assert_eq!(read(&records, "b"), (95..100).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_a_signal_asks_for_goes_on_after_a_restart_on_mysql() {
    let name = "a_snapshot_that_a_signal_asks_for_goes_on_after_a_restart_on_mysql";
    if let Some(server) = Server::of("EF_MYSQL", name).await {
        stopped_and_started_again(server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_a_signal_asks_for_goes_on_after_a_restart_on_mariadb() {
    let name = "a_snapshot_that_a_signal_asks_for_goes_on_after_a_restart_on_mariadb";
    if let Some(server) = Server::of("EF_MARIADB", name).await {
        stopped_and_started_again(server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_paused_resumed_and_stopped_by_signals() {
    let name = "a_snapshot_is_paused_resumed_and_stopped_by_signals";
    let Some(server) = Server::of("EF_MYSQL", name).await else { return };
    let mut scene = Scene::new(server, "ef_pause", 3000).await;
    scene.signal("1", "execute-snapshot", r#"{"data-collections":["DB.a","DB.b"]}"#).await;
    scene.until(true).await;
    scene.signal("2", "pause-snapshot", "").await;
    scene.harness.quiet().await;
    let paused = read(&scene.harness.records, "a").len();
    assert!(paused < 3000, "{paused}");
    // The stream goes on meanwhile.
    scene.conn.query_drop("INSERT INTO b VALUES (5000,1)").await.unwrap();
    let before = scene.harness.records.len();
    scene.harness.until(before + 1).await;
    scene.signal("3", "resume-snapshot", "").await;
    while read(&scene.harness.records, "a").len() < 3000 {
        scene.harness.poll().await.unwrap();
    }
    scene.signal("4", "stop-snapshot", "").await;
    scene.until(false).await;
    let records = scene.harness.stop().await;
    assert!(read(&records, "b").len() < 3000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_cannot_be_followed_stops_nothing() {
    let Some(server) = Server::of("EF_MYSQL", "a_signal_that_cannot_be_followed_stops_nothing").await else { return };
    let mut scene = Scene::new(server, "ef_bad_signal", 1).await;
    scene.signal("1", "dance", "now").await;
    scene.signal("2", "execute-snapshot", "no json").await;
    scene.signal("3", "execute-snapshot", r#"{"data-collections":["nobody.knows"]}"#).await;
    scene.signal("4", "stop-snapshot", "").await;
    scene.harness.until(4).await;
    assert!(!scene.harness.task.standing().unwrap().snapshot);
}

fn in_topic(kind: &str, data: &str) -> Instruction {
    let value = format!("{{\"type\":\"{kind}\",\"data\":{data}}}");
    Instruction { key: "srv".into(), value: Some(value.into()) }
}

async fn signals_of_a_topic_are_followed_once(server: Server, db: &'static str) {
    let mut conn = server.database(db).await;
    conn.query_drop("CREATE TABLE a (id INT PRIMARY KEY, v INT)").await.unwrap();
    let all: Vec<String> = (0..50).map(|i| format!("({i},{i})")).collect();
    conn.query_drop(format!("INSERT INTO a VALUES {}", all.join(","))).await.unwrap();
    let config = server.config(&[
        ("database.include.list", db),
        ("snapshot.mode", "no_data"),
        ("signal.enabled.channels", "kafka"),
        ("incremental.snapshot.chunk.size", "10"),
    ]);
    let offsets = Arc::new(Offsets::default());
    let mut harness = Harness::new(config.clone(), &offsets, 20);
    harness.cx.poll_max = Duration::from_millis(20);
    harness.start().await.unwrap();
    let inbox = harness.task.inbox().unwrap();
    assert_eq!((inbox.topic.as_str(), inbox.next), ("srv-signal", None));
    harness.task.instruct(Vec::new(), 3);
    harness.quiet().await;
    let data = format!("{{\"data-collections\":[\"{db}.a\"]}}");
    let foreign = Instruction { key: "other".into(), ..in_topic("execute-snapshot", &data) };
    harness.task.instruct(vec![foreign, in_topic("dance", "{}"), in_topic("execute-snapshot", &data)], 6);
    let deadline = Instant::now() + Duration::from_secs(60);
    while read(&harness.records, "a").len() < 20 {
        assert!(Instant::now() < deadline, "the table is not read");
        harness.poll().await.unwrap();
    }
    // Killed in the middle: the place after the signals is stored with what is left of the snapshot.
    let mut before = std::mem::take(&mut harness.records);
    drop(harness);
    let mut harness = Harness::new(config, &offsets, 20);
    harness.cx.poll_max = Duration::from_millis(20);
    harness.start().await.unwrap();
    assert_eq!(harness.task.inbox().unwrap().next, Some(6));
    harness.task.instruct(Vec::new(), 6);
    while harness.task.standing().unwrap().snapshot {
        assert!(Instant::now() < deadline, "the snapshot does not end");
        harness.poll().await.unwrap();
    }
    before.append(&mut harness.records);
    let mut keys = read(&before, "a");
    keys.sort_unstable();
    assert_eq!(keys, (0..50).collect::<Vec<_>>());
    harness.stop().await;
    conn.query_drop(format!("DROP DATABASE {db}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_of_a_topic_are_followed_once_on_mysql() {
    let Some(server) = Server::of("EF_MYSQL", "signals_of_a_topic_on_mysql").await else { return };
    Box::pin(signals_of_a_topic_are_followed_once(server, "ef_signal_topic")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_of_a_topic_are_followed_once_on_mariadb() {
    let Some(server) = Server::of("EF_MARIADB", "signals_of_a_topic_on_mariadb").await else { return };
    Box::pin(signals_of_a_topic_are_followed_once(server, "ef_signal_topic")).await;
}
