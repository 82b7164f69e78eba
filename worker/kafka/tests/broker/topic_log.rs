use crate::support::{PATIENCE, cluster, record, text, unique};
use elasticflow_kafka::ports::{ClientProperties, Kafka, KafkaError, OutRecord};

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_topic_is_read_to_its_end_at_once() {
    let cluster = cluster().await;
    let topic = cluster.topic("log", 5, &[("cleanup.policy", "compact")]).await;
    assert!(cluster.values(&topic).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_partition_is_read_with_tombstones_and_followed() {
    let cluster = cluster().await;
    let topic = cluster.topic("log", 3, &[("cleanup.policy", "compact")]).await;
    let mut producer = cluster.kafka.producer(&ClientProperties::new()).unwrap();
    for partition in 0..3 {
        let value = partition.to_string();
        producer.send(OutRecord { partition: Some(partition), ..record(&topic, "k", &value) }).unwrap();
    }
    producer.drain().await.unwrap();
    let mut seen = cluster.values(&topic).await;
    seen.sort();
    assert_eq!(seen, ["0", "1", "2"]);
    let log = cluster.kafka.log(&topic).await.unwrap();
    for _ in 0..3 {
        log.next().await.unwrap();
    }
    producer.send(OutRecord { value: None, ..record(&topic, "gone", "") }).unwrap();
    let tombstone = tokio::time::timeout(PATIENCE, log.next()).await.unwrap().unwrap();
    assert_eq!((text(Some(&tombstone.key)).as_str(), tombstone.value), ("gone", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_reached_only_when_the_last_record_has_been_dealt_with() {
    let cluster = cluster().await;
    let topic = cluster.topic("log", 1, &[("cleanup.policy", "compact")]).await;
    let mut producer = cluster.kafka.producer(&ClientProperties::new()).unwrap();
    producer.send(record(&topic, "k", "v")).unwrap();
    producer.drain().await.unwrap();
    let log = cluster.kafka.log(&topic).await.unwrap();
    let end = log.read_to_end();
    tokio::pin!(end);
    // Whoever waits for the end meanwhile does not see it before the reader asks for more.
    let record = tokio::select! {
        biased;
        done = &mut end => panic!("the end before the record: {done:?}"),
        record = log.next() => record.unwrap(),
    };
    assert_eq!(text(record.value.as_deref()), "v");
    tokio::select! {
        done = &mut end => done.unwrap(),
        record = log.next() => panic!("{record:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_topic_does_not_exist_can_be_tried_again() {
    let cluster = cluster().await;
    let error = cluster.kafka.log(&unique("missing")).await.err().unwrap();
    assert!(matches!(error, KafkaError::Retriable(_)), "{error:?}");
}
