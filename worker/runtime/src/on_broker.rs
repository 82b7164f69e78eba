//! Both loops on the embedded development broker, through the real client.
use crate::testing::{Fixture, Hook, SinkScript, SinkType, scripted_batch, scripted_source, until};
use crate::{TaskKind, TaskState};
use elasticflow_api::source::Boundary;
use elasticflow_devkafka::{Broker, Config};
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::{ClientProperties, Kafka, TopicSpec};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

async fn broker() -> (Broker, Arc<dyn Kafka>) {
    let broker = Broker::start(Config::default()).await.unwrap();
    let properties = ClientProperties::from([("bootstrap.servers".to_owned(), broker.bootstrap())]);
    let kafka = RdKafka::new(&properties).unwrap();
    for (name, partitions) in [("offsets", 3), ("out", 1), ("in", 2)] {
        let configs = BTreeMap::new();
        let spec = TopicSpec { name: name.to_owned(), partitions, replication: Some(1), configs };
        kafka.admin().ensure_topic(&spec).await.unwrap();
    }
    (broker, kafka)
}

/// The committed values of a topic with one partition, in order.
async fn values(kafka: &dyn Kafka, topic: &str) -> Vec<String> {
    let log = kafka.log(topic).await.unwrap();
    let mut end = std::pin::pin!(log.read_to_end());
    let mut values = Vec::new();
    loop {
        tokio::select! {
            biased;
            record = log.next() => values.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap()),
            ended = &mut end => {
                ended.unwrap();
                return values;
            }
        }
    }
}

/// Where a topic differs from a run of numbers: `expected: found`.
fn gaps(values: &[String]) -> String {
    let mut next = 0u64;
    let mut text = String::new();
    for value in values {
        let n: u64 = value.trim_start_matches('v').parse().unwrap();
        if n != next {
            text.push_str(&format!("{next}: {n} "));
        }
        next = n + 1;
    }
    text
}

/// Waits for a condition, a minute at most.
async fn soon(fixture: &Fixture, what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "did not happen: {what}; {:?}", fixture.states());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_whose_worker_dies_again_and_again_writes_every_record_once() {
    const END: u64 = 60_000;
    let (broker, kafka) = broker().await;
    let script = scripted_source(|at| {
        std::thread::sleep(Duration::from_micros(200));
        Ok((at < END).then(|| scripted_batch(at, at + 7, Boundary::Complete)))
    });
    let fixture = Fixture::new(Some(Arc::clone(&script))).on(Arc::clone(&kafka));
    for _ in 1..=5 {
        let runtime = fixture.runtime();
        runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
        let metrics = Arc::clone(&runtime.metrics()[0].0);
        until("it has committed", || metrics.transactions.value() >= 3).await;
        // As a kill does: what is open stays open, nobody aborts it.
        drop(runtime);
    }
    let runtime = fixture.runtime();
    runtime.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    until("the end is committed", || script.committed.lock().last().is_some_and(|n| *n >= END)).await;
    runtime.shut_down().await;
    let written = values(kafka.as_ref(), "out").await;
    assert!(written.len() as u64 >= END, "{} records; {}", written.len(), gaps(&written));
    assert!(gaps(&written).is_empty(), "lost or doubled: {}", gaps(&written));
    drop((runtime, fixture, kafka));
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sinks_of_every_kind_go_on_where_a_dead_worker_stood() {
    for kind in [SinkType::Idempotent, SinkType::Transactional, SinkType::TwoPhase] {
        let (broker, kafka) = broker().await;
        let mut producer = kafka.producer(&ClientProperties::new()).unwrap();
        for n in 0..3000 {
            let value = format!("v{n:04}");
            let record = elasticflow_kafka::ports::OutRecord {
                topic: "in",
                partition: Some(n % 2),
                key: None,
                value: Some(value.as_bytes()),
                headers: &[],
                timestamp_ms: None,
            };
            producer.send(record).unwrap();
        }
        producer.drain().await.unwrap();
        let script = SinkScript::new(kind, |_| Hook::Go);
        let fixture = Fixture::with(script.registry()).on(Arc::clone(&kafka));
        let keys = [("topics", "in"), ("commit.interval.ms", "20"), ("batch.max.records", "200")];
        for round in 1..=2 {
            let runtime = fixture.runtime();
            runtime.start_task(fixture.spec(TaskKind::Sink, &keys)).unwrap();
            soon(&fixture, &format!("{kind:?}: it has put"), || script.calls("put") >= 2 * round).await;
            drop(runtime);
        }
        let runtime = fixture.runtime();
        runtime.start_task(fixture.spec(TaskKind::Sink, &keys)).unwrap();
        let all = || script.destination.lock().rows.len() == 3000;
        soon(&fixture, &format!("{kind:?}: all is there"), all).await;
        runtime.shut_down().await;
        let expected: Vec<String> = (0..3000).map(|n| format!("v{n:04}")).collect();
        assert!(script.values() == expected, "{kind:?}: lost");
        if kind != SinkType::Idempotent {
            assert_eq!(script.destination.lock().replays, 0, "{kind:?}: doubled");
        }
        drop((runtime, fixture, producer, kafka));
        broker.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zombie_is_fenced_and_its_successor_runs() {
    let (broker, kafka) = broker().await;
    let script = scripted_source(|at| {
        std::thread::sleep(Duration::from_millis(2));
        Ok((at < 600).then(|| scripted_batch(at, at + 3, Boundary::Complete)))
    });
    let fixture = Fixture::new(Some(Arc::clone(&script))).on(Arc::clone(&kafka));
    let (zombie, successor) = (fixture.runtime(), fixture.runtime());
    zombie.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    let metrics = Arc::clone(&zombie.metrics()[0].0);
    until("the zombie writes", || metrics.transactions.value() >= 3).await;
    // Both believe that the task is theirs; whoever comes last fences the other.
    successor.start_task(fixture.spec(TaskKind::Source, &[])).unwrap();
    until("the end is committed", || script.committed.lock().last().is_some_and(|n| *n >= 600)).await;
    zombie.shut_down().await;
    successor.shut_down().await;
    let written = values(kafka.as_ref(), "out").await;
    assert!(gaps(&written).is_empty(), "lost or doubled: {}", gaps(&written));
    assert!(!fixture.states().iter().any(|s| matches!(s, TaskState::Failed { .. })));
    drop((zombie, successor, fixture, kafka));
    broker.shutdown().await;
}
