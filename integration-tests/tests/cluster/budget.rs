//! An error budget of four tasks on three workers, the leader killed between two bad records.
use crate::kafka;
use crate::limited::{found, kill_leader, none, tasks, three};
use elasticflow_integration_tests::follow::{cluster, create_topic};
use elasticflow_integration_tests::rest::Rest;
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::{ClientProperties, Kafka, OutRecord};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

const NAME: &str = "lenient";
const PARTITIONS: i32 = 4;
const BUDGET: usize = 10;
/// Bad records of each partition before the kill and after it, and good ones around each of them.
const BEFORE: usize = 1;
const AFTER: usize = 9;
const GOOD: usize = 20;

/// So many bad records to every partition, each after good ones.
async fn send(kafka: &Arc<RdKafka>, topic: &str, bad: usize) {
    let mut producer = kafka.producer(&ClientProperties::new()).unwrap();
    for partition in 0..PARTITIONS {
        for _ in 0..bad {
            for n in 0..=GOOD {
                let value: &[u8] = if n == GOOD { b"{" } else { br#"{"n":1}"# };
                let (partition, value) = (Some(partition), Some(value));
                let record = OutRecord { topic, partition, key: None, value, headers: &[], timestamp_ms: None };
                producer.send(record).unwrap();
            }
        }
    }
    producer.drain().await.unwrap();
}

fn sink(topic: &str, out: &Path, budget: usize) -> Value {
    json!({
        "connector.class": "elasticflow.connectors.FileSinkConnector", "tasks.max": "4", "topics": topic,
        "output.path": out.display().to_string(), "format": "json", "commit.interval.ms": "500",
        "errors.tolerance": "all", "errors.deadletterqueue.topic.name": format!("{topic}-dead"),
        "errors.deadletterqueue.topic.replication.factor": "1",
        "errors.deadletterqueue.context.headers.enable": "true",
        "consumer.override.auto.offset.reset": "earliest", "consumer.override.session.timeout.ms": "6000", "flow.errors.budget.records": budget.to_string(),
    })
}

/// Where each dead letter's record was.
async fn letters(rest: &Rest) -> Vec<(i64, i64)> {
    let path = format!("/flow/v1/connectors/{NAME}/errors?limit=200");
    let answer = rest.call("GET", &path, None).await.map_or(Value::Null, |(_, answer)| answer);
    let found = answer["errors"].as_array().cloned().unwrap_or_default();
    let number = |letter: &Value, field: &str| letter[field].as_i64().unwrap_or(-1);
    found.iter().map(|letter| (number(letter, "partition"), number(letter, "offset"))).collect()
}

async fn await_letters(rest: &Rest, count: usize) {
    let look = async || (letters(rest).await.len() == count).then_some(());
    found(&format!("{count} dead letters"), look).await;
}

/// Good records in finished files.
fn written(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let of = |path: &Path| match path.is_dir() {
        true => written(path),
        false => std::fs::read_to_string(path).map_or(0, |text| text.matches(r#""n":1"#).count()),
    };
    let is_hidden = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['.', '_']));
    entries.map(|entry| entry.path()).filter(|path| !is_hidden(path)).map(|path| of(&path)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_exact_over_three_workers_and_the_death_of_the_leader() {
    let Some(address) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (clients, topic) = (cluster(&address).unwrap(), format!("lenient-{}", run_number()));
    create_topic(&clients, &topic, PARTITIONS).await.unwrap();
    let mut group = three(none(dir.path(), &address, 14)).await;
    let out = dir.path().join("out");
    std::fs::create_dir_all(&out).unwrap();
    group.any().create(NAME, &sink(&topic, &out, BUDGET)).await.unwrap();
    send(&clients, &topic, BEFORE).await;
    await_letters(&group.any(), BEFORE * PARTITIONS as usize).await;

    kill_leader(&mut group).await;
    send(&clients, &topic, AFTER).await;
    let rest = group.any();
    let all_failed = async || {
        let tasks = tasks(&rest, NAME).await;
        let spent = |(state, trace): &(String, String)| state == "FAILED" && trace.contains("FLOW-0050 ERROR_BUDGET");
        (tasks.len() == PARTITIONS as usize && tasks.iter().all(spent)).then_some(())
    };
    found("every task is FAILED by the budget", all_failed).await;
    let found = letters(&rest).await;
    assert_eq!(found.len(), BUDGET, "{found:?}");
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), BUDGET, "a letter is there twice: {found:?}");

    let raised = sink(&topic, &out, 1_000);
    rest.expect("PUT", &format!("/connectors/{NAME}/config"), Some(&raised)).await.unwrap();
    let bad = (BEFORE + AFTER) * PARTITIONS as usize;
    await_letters(&rest, bad).await;
    let look = async || (written(&out) >= bad * GOOD).then_some(());
    crate::limited::found("all good records are written", look).await;
    assert_eq!(written(&out), bad * GOOD, "none of them twice");
    let found: BTreeSet<_> = letters(&rest).await.into_iter().collect();
    assert_eq!(found.len(), bad, "{found:?}");
    rest.expect("DELETE", &format!("/connectors/{NAME}"), None).await.unwrap();
}
