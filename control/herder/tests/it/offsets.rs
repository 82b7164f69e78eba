//! Positions of connectors.
use crate::worker::{Worker, broker, sink, source, worker};
use elasticflow_api::position::{Offset, TopicPartition};
use elasticflow_herder::HerderError;
use elasticflow_herder::answer::{OffsetChange, RunState};
use elasticflow_kafka::ports::{ClientProperties, KafkaError, OutRecord, TopicSpec};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

fn change(partition: &Json, offset: &Json) -> OffsetChange {
    OffsetChange { partition: partition.as_object().cloned(), offset: offset.as_object().cloned() }
}

async fn positions(worker: &Worker, name: &str) -> Vec<(Json, Json)> {
    let read = worker.handle.offsets(name).await.unwrap();
    read.offsets.into_iter().map(|entry| (entry.partition, entry.offset)).collect()
}

async fn stopped(worker: &Worker, name: &str) {
    worker.handle.stop(name).await.unwrap();
    worker.until_states(name, RunState::Stopped, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_of_a_source_are_altered_in_place_and_reset() {
    let broker = broker().await;
    let worker = worker(&broker);
    worker.create("c", source(&[("tables", "a,b")])).await;
    worker.until_running("c", 2).await;
    // As a task of an older product wrote it: other member order.
    let mut task = worker.kafka.transactional_producer("workers-c-1", &ClientProperties::new()).unwrap();
    task.init().await.unwrap();
    task.begin().unwrap();
    let record = OutRecord {
        topic: "offsets",
        partition: None,
        key: Some(br#"["c",{"b":1,"a":2}]"#),
        value: Some(br#"{"p":1}"#),
        headers: &[],
        timestamp_ms: None,
    };
    task.send(record).unwrap();
    task.commit().await.unwrap();
    let partition = json!({"a":2,"b":1});
    assert_eq!(positions(&worker, "c").await, [(json!({"b":1,"a":2}), json!({"p":1}))]);

    let running = worker.handle.alter_offsets("c", vec![change(&partition, &json!({"p":2}))]).await.unwrap_err();
    let text = "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/c/stop' endpoint";
    assert_eq!(running, HerderError::BadRequest(text.to_owned()));

    stopped(&worker, "c").await;
    let done = worker.handle.alter_offsets("c", vec![change(&partition, &json!({"p":2}))]).await.unwrap();
    assert_eq!(done, "The offsets for this connector have been altered successfully");
    assert_eq!(positions(&worker, "c").await, [(json!({"b":1,"a":2}), json!({"p":2}))]);
    let keys: Vec<String> = worker.rows("offsets").await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [r#"["c",{"b":1,"a":2}]"#; 2], "the key bytes that are there are used again");

    // The task that did not know of its end is fenced.
    task.begin().unwrap();
    let late = task.send(record).is_err() || task.commit().await.is_err();
    assert!(late, "a former task cannot write any more");

    let done = worker.handle.reset_offsets("c").await.unwrap();
    assert_eq!(done, "The offsets for this connector have been reset successfully");
    assert_eq!(positions(&worker, "c").await, []);
    assert!(worker.handle.reset_offsets("c").await.is_ok(), "repeating it is fine");
    worker.handle.resume("c").await.unwrap();
    worker.until_running("c", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_of_a_sink_are_those_of_its_group_and_altering_raises_the_version_epoch() {
    let broker = broker().await;
    let worker = worker(&broker);
    let topic = TopicSpec { name: "t".to_owned(), partitions: 2, replication: Some(1), configs: BTreeMap::new() };
    worker.kafka.admin().ensure_topic(&topic).await.unwrap();
    worker.create("s", sink(&[])).await;
    worker.until_running("s", 1).await;
    assert_eq!(worker.runner.spec("s-0").version_epoch, 0);
    assert_eq!(positions(&worker, "s").await, []);
    stopped(&worker, "s").await;

    let at = json!({"kafka_topic":"t","kafka_partition":1});
    worker.handle.alter_offsets("s", vec![change(&at, &json!({"kafka_offset":"4"}))]).await.unwrap();
    assert_eq!(positions(&worker, "s").await, [(at.clone(), json!({"kafka_offset":4}))]);
    let group = worker.kafka.admin().group_offsets("connect-s").await.unwrap();
    assert_eq!(group, BTreeMap::from([(TopicPartition { topic: "t".into(), partition: 1 }, Offset(4))]));

    let bad = worker.handle.alter_offsets("s", vec![change(&json!({}), &json!({"kafka_offset":4}))]).await.unwrap_err();
    assert_eq!(bad.status(), 400);
    worker.handle.resume("s").await.unwrap();
    worker.until_running("s", 1).await;
    assert_eq!(worker.runner.spec("s-0").version_epoch, 1, "a refused request raises nothing");

    stopped(&worker, "s").await;
    worker.handle.reset_offsets("s").await.unwrap();
    assert_eq!(positions(&worker, "s").await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_alter_is_told_before_the_connector_is_looked_up() {
    let broker = broker().await;
    let worker = worker(&broker);
    let refused = worker.handle.alter_offsets("nope", vec![]).await.unwrap_err();
    assert_eq!(refused.to_string(), "Partitions / offsets need to be provided for an alter offsets request");
    let unknown = worker.handle.alter_offsets("nope", vec![change(&json!({}), &json!(null))]).await.unwrap_err();
    assert_eq!(unknown, HerderError::no_connector("nope"));
    let unknown: Result<_, KafkaError> = worker.kafka.admin().group_offsets("connect-nope").await;
    assert!(unknown.unwrap().is_empty());
}
