//! Starting, starting again, and starting without Kafka.
use crate::worker::{broker, options, rows, source, until, worker, worker_with};
use elasticflow_api::position::{Offset, TopicPartition};
use elasticflow_devkafka::{Broker, Config};
use elasticflow_herder::answer::{HealthState, RunState};
use elasticflow_kafka::ports::{ClientProperties, Kafka, OutRecord, TopicSpec};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

/// A worker that is refused leaves calls to Kafka behind which would wait for the broker that ends with the test.
fn without_waiting_for_clients(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(test);
    runtime.shutdown_background();
}

async fn end(kafka: &Arc<dyn Kafka>) -> Offset {
    let at = TopicPartition { topic: "configs".into(), partition: 0 };
    kafka.admin().end_offsets(std::slice::from_ref(&at)).await.unwrap()[&at]
}

#[tokio::test(flavor = "multi_thread")]
async fn another_worker_goes_on_with_everything_that_is_stored() {
    let broker = broker().await;
    let first = worker(&broker);
    first.create("runs", source(&[("tables", "a,b")])).await;
    first.create("paused", source(&[])).await;
    first.create("stopped", source(&[])).await;
    first.create("deleted", source(&[])).await;
    for name in ["paused", "stopped", "deleted"] {
        first.until_running(name, 1).await;
    }
    first.handle.pause("paused").await.unwrap();
    first.handle.stop("stopped").await.unwrap();
    first.handle.delete("deleted").await.unwrap();
    first.until_running("runs", 2).await;
    let end = end(&first.kafka).await;
    // Not ended: the process is gone without a word.
    drop(first);

    let second = worker(&broker);
    second.until_running("runs", 2).await;
    second.until_states("paused", RunState::Paused, &[RunState::Paused]).await;
    second.until_states("stopped", RunState::Stopped, &[]).await;
    assert_eq!(second.handle.connectors().await.unwrap(), ["paused", "runs", "stopped"]);
    assert_eq!(crate::startup::end(&second.kafka).await, end, "equal plans are not stored again");
    assert_eq!(second.runner.running(), ["paused-0", "runs-0", "runs-1"]);
    assert!(second.runner.spec("paused-0").paused);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_transaction_of_a_killed_writer_does_not_hold_up_the_next() {
    let broker = broker().await;
    let first = worker(&broker);
    first.create("c", source(&[])).await;
    first.until_running("c", 1).await;
    let kafka = Arc::clone(&first.kafka);
    first.stop().await;
    let mut killed = kafka.transactional_producer("connect-cluster-workers", &ClientProperties::new()).unwrap();
    killed.init().await.unwrap();
    killed.begin().unwrap();
    let row = OutRecord {
        topic: "configs",
        partition: Some(0),
        key: Some(b"connector-c"),
        value: None,
        headers: &[],
        timestamp_ms: None,
    };
    killed.send(row).unwrap();
    killed.drain().await.unwrap();

    // The transaction's time-out is a minute: without fencing this takes longer than the test waits.
    let second = worker(&broker);
    second.until_running("c", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_kafka_says_what_it_waits_for_and_recovers() {
    // A port that is free for the moment.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let worker = worker_with(&port.to_string(), options());
    until("it says what it waits for", || async {
        let health = worker.handle.health();
        health.state == HealthState::Starting && health.reason.starts_with("waiting for Kafka")
    })
    .await;
    let listen: SocketAddr = port;
    let _broker = Broker::start(Config { listen, ..Config::default() }).await.unwrap();
    until("it is ready", || async { worker.handle.health().state == HealthState::Ready }).await;
    assert!(worker.handle.health().reason.is_empty());
    worker.create("c", source(&[])).await;
    worker.until_running("c", 1).await;
    assert!(!worker.handle.server_info().kafka_cluster_id.is_empty());
}

#[test]
fn a_config_topic_that_loses_data_is_refused_with_the_remedy() {
    without_waiting_for_clients(async {
        let broker = broker().await;
        let kafka = crate::worker::kafka(&broker.bootstrap());
        let configs = BTreeMap::from([("cleanup.policy".to_owned(), "delete".to_owned())]);
        let topic = TopicSpec { name: "configs".to_owned(), partitions: 1, replication: Some(1), configs };
        kafka.admin().ensure_topic(&topic).await.unwrap();
        let mut worker = worker(&broker);
        let why = worker.service.ended().await.unwrap_err();
        assert!(why.contains("cleanup.policy") && why.contains("configs"), "{why}");
    });
}

#[test]
fn a_config_topic_of_several_partitions_is_refused() {
    without_waiting_for_clients(async {
        let broker = broker().await;
        let kafka = crate::worker::kafka(&broker.bootstrap());
        let configs = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
        let topic = TopicSpec { name: "configs".to_owned(), partitions: 3, replication: Some(1), configs };
        kafka.admin().ensure_topic(&topic).await.unwrap();
        let mut worker = worker(&broker);
        let why = worker.service.ended().await.unwrap_err();
        assert!(why.contains("single partition"), "{why}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_row_that_cannot_be_read_fails_its_connector_and_no_other() {
    let broker = broker().await;
    let first = worker(&broker);
    first.create("bad", source(&[])).await;
    first.create("good", source(&[])).await;
    first.until_running("bad", 1).await;
    first.until_running("good", 1).await;
    let kafka = Arc::clone(&first.kafka);
    first.stop().await;
    let mut foreign = kafka.producer(&ClientProperties::new()).unwrap();
    let row = OutRecord {
        topic: "configs",
        partition: Some(0),
        key: Some(b"task-bad-0"),
        value: Some(b"{"),
        headers: &[],
        timestamp_ms: None,
    };
    foreign.send(row).unwrap();
    foreign.drain().await.unwrap();

    let second = worker(&broker);
    second.until_running("good", 1).await;
    until("the other is failed", || async { matches!(second.states("bad").await, Some((RunState::Failed, _))) }).await;
    assert!(second.trace("bad").await.contains("task-bad-0"), "the trace names the record");
    assert_eq!(second.runner.running(), ["good-0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_say_at_the_end_that_nothing_runs_any_more() {
    let broker = broker().await;
    let first = worker(&broker);
    first.create("c", source(&[])).await;
    first.until_running("c", 1).await;
    let (runner, kafka) = (first.runner.clone(), Arc::clone(&first.kafka));
    first.stop().await;
    assert!(runner.running().is_empty());
    let rows = rows(&kafka, "statuses").await;
    for key in ["status-connector-c", "status-task-c-0"] {
        let last = rows.iter().rev().find(|(k, _)| k == key).and_then(|(_, value)| value.clone());
        assert!(last.as_deref().unwrap_or("").contains("UNASSIGNED"), "{key}: {last:?}");
    }
}
