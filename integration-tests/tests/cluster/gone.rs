//! Records that are deleted before a sink has read them, and a topic that is made again: the sink says what is missing and goes
//! on only when somebody accepts exactly that.
use crate::kafka;
use crate::limited::{found, none, tasks};
use elasticflow_api::position::TopicPartition;
use elasticflow_integration_tests::follow::{cluster, create_topic};
use elasticflow_integration_tests::purge::{delete_records, delete_topic};
use elasticflow_integration_tests::rest::Rest;
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::{ClientProperties, Kafka, OutRecord};
use serde_json::{Value, json};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

const PARTITIONS: i32 = 3;

/// Records of the form `{"n":"<word><partition>-<n>"}`, to every partition, with the key `k<n>`.
async fn send(kafka: &Arc<RdKafka>, topic: &str, (word, partitions): (&str, i32), numbers: Range<i64>) {
    let mut producer = kafka.producer(&ClientProperties::new()).unwrap();
    for partition in 0..partitions {
        for n in numbers.clone() {
            let (key, value) = (format!("k{n}"), format!(r#"{{"n":"{word}{partition}-{n}"}}"#));
            let (key, value, partition) = (Some(key.as_bytes()), Some(value.as_bytes()), Some(partition));
            producer.send(OutRecord { topic, partition, key, value, headers: &[], timestamp_ms: None }).unwrap();
        }
    }
    producer.drain().await.unwrap();
}

fn files(topic: &str, out: &Path) -> Value {
    std::fs::create_dir_all(out).unwrap();
    json!({"connector.class": "elasticflow.connectors.FileSinkConnector", "tasks.max": "2", "topics": topic,
        "output.path": out.display().to_string(), "format": "json", "commit.interval.ms": "300",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
        "consumer.override.auto.offset.reset": "earliest", "consumer.override.session.timeout.ms": "6000"})
}

/// What finished files hold, in order.
fn written(dir: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for path in std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['.', '_']));
        if path.is_dir() && !is_hidden {
            all.extend(written(&path));
        } else if !is_hidden {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            all.extend(lines.filter_map(|line| line["n"].as_str().map(str::to_owned)));
        }
    }
    all.sort();
    all
}

fn named(partition: i32, numbers: Range<i64>) -> impl Iterator<Item = String> {
    numbers.map(move |n| format!("v{partition}-{n}"))
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

async fn await_failed(rest: &Rest, name: &str) -> String {
    let look = async || {
        let tasks = tasks(rest, name).await;
        let all = tasks.iter().all(|(state, _)| state == "FAILED");
        tasks.first().filter(|_| all).map(|(_, trace)| trace.clone())
    };
    found(&format!("every task of {name} is FAILED"), look).await
}

async fn await_written(out: &Path, expected: &[String]) {
    found(&format!("{} records are written", expected.len()), async || {
        (written(out).len() >= expected.len()).then_some(())
    })
    .await;
    assert_eq!(written(out), expected);
}

async fn accept(rest: &Rest, name: &str, records: u64) -> (u16, Value) {
    let path = format!("/flow/v1/connectors/{name}/accept-loss");
    rest.call("POST", &path, Some(&json!({ "records": records }))).await.unwrap()
}

async fn await_stopped(rest: &Rest, name: &str) {
    rest.expect("PUT", &format!("/connectors/{name}/stop"), None).await.unwrap();
    found(&format!("{name} has stopped"), async || tasks(rest, name).await.is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_deleted_before_they_were_read_are_counted_and_jumped_over_only_when_that_is_accepted() {
    let Some(address) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (clients, topic) = (cluster(&address).unwrap(), format!("gone-{}", run_number()));
    create_topic(&clients, &topic, PARTITIONS).await.unwrap();
    let mut group = none(dir.path(), &address, 31);
    group.join().await.unwrap();
    let (rest, out) = (group.any(), dir.path().join("out"));
    send(&clients, &topic, ("v", PARTITIONS), 0..20).await;
    rest.create("reader", &files(&topic, &out)).await.unwrap();
    await_written(&out, &sorted((0..PARTITIONS).flat_map(|p| named(p, 0..20)))).await;
    let loss = rest.expect("GET", "/flow/v1/connectors/reader/accept-loss", None).await.unwrap();
    assert_eq!(loss, json!({"records": 0, "partitions": []}));
    assert_eq!(accept(&rest, "reader", 0).await.0, 409, "nothing is lost");
    await_stopped(&rest, "reader").await;

    send(&clients, &topic, ("v", PARTITIONS), 20..40).await;
    delete_records(&address, &topic, 0, 35).await.unwrap();
    delete_records(&address, &topic, 1, 40).await.unwrap();
    rest.expect("PUT", "/connectors/reader/resume", None).await.unwrap();
    let trace = await_failed(&rest, "reader").await;
    println!("{}", trace.lines().next().unwrap_or_default());
    assert!(trace.contains("FLOW-0014 OFFSET_GONE"), "{trace}");
    assert!(trace.contains("accept-loss"), "{trace}");
    let loss = rest.expect("GET", "/flow/v1/connectors/reader/accept-loss", None).await.unwrap();
    let row = |partition: i32, earliest: i64| {
        json!({"topic": topic, "partition": partition, "expected": 20, "earliest": earliest, "end": 40,
            "records": earliest - 20, "recreated": false})
    };
    assert_eq!(loss, json!({"records": 35, "partitions": [row(0, 35), row(1, 40)]}));
    let (status, refused) = accept(&rest, "reader", 34).await;
    assert_eq!(status, 409, "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("has lost 35, not 34"), "{refused}");
    assert_eq!(await_failed(&rest, "reader").await.lines().next(), trace.lines().next(), "it still waits");

    let (status, accepted) = accept(&rest, "reader", 35).await;
    assert_eq!((status, &accepted["records"]), (200, &json!(35)), "{accepted}");
    let all = named(0, 0..20).chain(named(1, 0..20)).chain(named(2, 0..40)).chain(named(0, 35..40));
    await_written(&out, &sorted(all)).await;
    // Files are there before the topic of statuses has told of the tasks that wrote them.
    found("every task of reader runs", async || {
        tasks(&rest, "reader").await.iter().all(|(state, _)| state == "RUNNING").then_some(())
    })
    .await;

    // Nothing is gone for a group that has never read: it begins as auto.offset.reset says.
    let late = dir.path().join("late");
    rest.create("late", &files(&topic, &late)).await.unwrap();
    await_written(&late, &sorted(named(0, 35..40).chain(named(2, 0..40)))).await;
    for name in ["reader", "late"] {
        rest.expect("DELETE", &format!("/connectors/{name}"), None).await.unwrap();
    }
}

/// What the table holds, in the order in which it was written.
fn rows(database: &Path) -> Vec<String> {
    let database = rusqlite::Connection::open(database).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let mut query = database.prepare("SELECT n FROM numbered ORDER BY rowid").unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn table(topic: &str, database: &Path) -> Value {
    let fresh = rusqlite::Connection::open(database).unwrap();
    fresh.pragma_update(None, "journal_mode", "wal").unwrap();
    fresh.execute_batch("CREATE TABLE numbered (n TEXT)").unwrap();
    json!({"connector.class": "elasticflow.connectors.SqliteSinkConnector", "tasks.max": "1", "topics": topic,
        "connection.url": database.display().to_string(), "table.name.format": "numbered", "insert.mode": "insert",
        "pk.mode": "none", "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
        "consumer.override.session.timeout.ms": "6000"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_again_is_read_from_its_start_once_that_is_accepted() {
    let Some(address) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (clients, topic) = (cluster(&address).unwrap(), format!("again-{}", run_number()));
    create_topic(&clients, &topic, 1).await.unwrap();
    let mut group = none(dir.path(), &address, 32);
    group.join().await.unwrap();
    let (rest, database) = (group.any(), dir.path().join("table.db"));
    send(&clients, &topic, ("old", 1), 0..20).await;
    rest.create("table", &table(&topic, &database)).await.unwrap();
    let has = async |count: usize| (rows(&database).len() >= count).then_some(());
    found("the table has all", async || has(20).await).await;
    await_stopped(&rest, "table").await;

    delete_topic(&address, &topic).await.unwrap();
    found("the topic is there again", async || {
        create_topic(&clients, &topic, 1).await.ok()?;
        let at = TopicPartition { topic: topic.as_str().into(), partition: 0 };
        let ends = clients.admin().end_offsets(std::slice::from_ref(&at)).await.ok()?;
        (ends.get(&at)?.0 == 0).then_some(())
    })
    .await;
    send(&clients, &topic, ("new", 1), 0..5).await;
    rest.expect("PUT", "/connectors/table/resume", None).await.unwrap();
    let trace = await_failed(&rest, "table").await;
    println!("{}", trace.lines().next().unwrap_or_default());
    let told = "expected offset 20, but it ends at 5 (earliest 0): it was re-created or cut";
    assert!(trace.contains("FLOW-0014 OFFSET_GONE") && trace.contains(told), "{trace}");
    assert_eq!(accept(&rest, "table", 15).await.0, 409);
    let (status, accepted) = accept(&rest, "table", 0).await;
    assert_eq!((status, &accepted["partitions"][0]["recreated"]), (200, &json!(true)), "{accepted}");
    found("the new records are there", async || has(25).await).await;
    let expected = (0..20).map(|n| format!("old0-{n}")).chain((0..5).map(|n| format!("new0-{n}")));
    assert_eq!(rows(&database), expected.collect::<Vec<_>>());
    rest.expect("DELETE", "/connectors/table", None).await.unwrap();
}
