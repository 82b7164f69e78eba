use crate::support::{cluster, properties, record, text, unique};
use bytes::Bytes;
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::{ClientProperties, Consumed, Kafka, KafkaError, OutRecord, SendError, Sequence};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn records_are_acknowledged_in_order_of_sending() {
    let cluster = cluster().await;
    let topic = cluster.topic("produce", 1, &[]).await;
    let mut producer = cluster.kafka.producer(&ClientProperties::new()).unwrap();
    for number in 1..=1000 {
        assert_eq!(producer.send(record(&topic, "k", &number.to_string())).unwrap(), Sequence(number));
    }
    producer.drain().await.unwrap();
    assert_eq!(producer.acknowledged().unwrap(), Sequence(1000));
    let expected: Vec<_> = (1..=1000).map(|number| number.to_string()).collect();
    assert_eq!(cluster.values(&topic).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_holds_back_and_room_lets_go_on() {
    let cluster = cluster().await;
    let topic = cluster.topic("full", 1, &[]).await;
    let overrides = properties(&[("queue.buffering.max.messages", "100"), ("linger.ms", "20")]);
    let mut producer = cluster.kafka.producer(&overrides).unwrap();
    let mut full = 0;
    for number in 0..1000 {
        while let Err(refused) = producer.send(record(&topic, "k", &number.to_string())) {
            assert!(matches!(refused, SendError::Full), "{refused}");
            full += 1;
            producer.room().await.unwrap();
        }
    }
    producer.drain().await.unwrap();
    assert!(full > 0, "the queue of 100 was never full");
    assert_eq!(cluster.values(&topic).await.len(), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_is_refused_as_that_record() {
    let cluster = cluster().await;
    let topic = cluster.topic("large", 1, &[]).await;
    let mut producer = cluster.kafka.producer(&properties(&[("max.request.size", "10000")])).unwrap();
    let large = "x".repeat(20_000);
    let refused = producer.send(record(&topic, "k", &large)).unwrap_err();
    assert!(
        matches!(&refused, SendError::Kafka(KafkaError::Record(why)) if why.contains("max.request.size")),
        "{refused}"
    );
    producer.send(record(&topic, "k", "small")).unwrap();
    producer.drain().await.unwrap();
    assert_eq!(cluster.values(&topic).await, ["small"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_larger_than_the_queue_is_refused_instead_of_waiting_for_ever() {
    let cluster = cluster().await;
    let topic = cluster.topic("larger", 1, &[]).await;
    let overrides = properties(&[("max.request.size", "9000000"), ("buffer.memory", "1048576")]);
    let mut producer = cluster.kafka.producer(&overrides).unwrap();
    let refused = producer.send(record(&topic, "k", &"x".repeat(2_000_000))).unwrap_err();
    assert!(
        matches!(&refused, SendError::Kafka(KafkaError::Record(why)) if why.contains("buffer.memory")),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn key_value_headers_and_time_arrive_as_sent() {
    let cluster = cluster().await;
    let topic = cluster.topic("headers", 1, &[]).await;
    let mut producer = cluster.kafka.producer(&ClientProperties::new()).unwrap();
    let headers: Vec<(Arc<str>, Option<Bytes>)> =
        vec![("a".into(), Some(Bytes::from_static(b"1"))), ("b".into(), None), ("a".into(), Some(Bytes::new()))];
    let full = OutRecord { headers: &headers, timestamp_ms: Some(1_700_000_000_123), ..record(&topic, "key", "value") };
    producer.send(full).unwrap();
    producer.send(OutRecord { key: None, value: None, ..record(&topic, "", "") }).unwrap();
    producer.send(record(&topic, "", "")).unwrap();
    producer.drain().await.unwrap();
    let mut consumer = cluster.consumer(&unique("g"), &topic);
    crate::support::join(&mut *consumer).await;
    let mut records = Vec::new();
    while records.len() < 3 {
        if let Consumed::Records(at, batch) = crate::support::next(&mut *consumer).await {
            assert_eq!(at, crate::support::at(&topic, 0));
            records.extend(batch);
        }
    }
    assert_eq!(records[0].headers[..], headers[..]);
    assert_eq!(records[0].timestamp_ms, Some(1_700_000_000_123));
    assert_eq!(text(records[0].key.as_deref()), "key");
    assert_eq!((records[1].key.clone(), records[1].value.clone()), (None, None));
    assert_eq!((records[2].key.clone(), records[2].value.clone()), (Some(Bytes::new()), Some(Bytes::new())));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_go_to_the_partition_that_the_java_client_would_choose() {
    let cluster = cluster().await;
    let topic = cluster.topic("murmur", 8, &[]).await;
    let mut producer = cluster.kafka.producer(&ClientProperties::new()).unwrap();
    // Partitions of org.apache.kafka.common.utils.Utils.murmur2 for these keys among 8.
    let keys = [("21", -973_932_308_i32), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536)];
    for (key, _) in keys {
        producer.send(OutRecord { partition: None, ..record(&topic, key, key) }).unwrap();
    }
    producer.drain().await.unwrap();
    let mut consumer = cluster.consumer(&unique("g"), &topic);
    crate::support::join(&mut *consumer).await;
    let mut seen = 0;
    while seen < keys.len() {
        if let Consumed::Records(at, batch) = crate::support::next(&mut *consumer).await {
            for record in batch {
                let key = text(record.key.as_deref());
                let (_, hash) = keys.iter().find(|(known, _)| *known == key).unwrap();
                assert_eq!(at.partition, (hash & i32::MAX) % 8, "{key}");
                seen += 1;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_does_not_exist_fails_the_producer_and_says_so() {
    let cluster = cluster().await;
    let overrides = properties(&[("delivery.timeout.ms", "1000")]);
    let mut producer = cluster.kafka.producer(&overrides).unwrap();
    let missing = unique("bad name!");
    producer.send(record(&missing, "k", "v")).ok();
    let error = producer.drain().await.unwrap_err();
    assert!(error.to_string().contains(&missing), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_answer_is_retriable_and_named() {
    let properties = properties(&[("bootstrap.servers", "127.0.0.1:1"), ("default.api.timeout.ms", "1000")]);
    let kafka = RdKafka::new(&properties).unwrap();
    let error = kafka.cluster_id().await.unwrap_err();
    assert!(matches!(&error, KafkaError::Retriable(why) if why.contains("bootstrap.servers")), "{error:?}");
}
