use crate::support::{at, cluster, join, next, offsets, properties, record, unique};
use elasticflow_api::position::Offset;
use elasticflow_kafka::ports::{ClientProperties, CommitError, Consumed, GroupMetadata, Kafka, KafkaError};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn committed_records_are_seen_and_aborted_ones_are_not() {
    let cluster = cluster().await;
    let topic = cluster.topic("txn", 1, &[]).await;
    let mut producer = cluster.transactional(&unique("id")).await;
    for (value, is_kept) in [("a", true), ("b", false), ("c", true)] {
        producer.begin().unwrap();
        producer.send(record(&topic, "k", value)).unwrap();
        if is_kept { producer.commit().await.unwrap() } else { producer.abort().await.unwrap() }
    }
    assert_eq!(cluster.values(&topic).await, ["a", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_fences_the_owner_and_removes_its_open_transaction() {
    let cluster = cluster().await;
    let (topic, id) = (cluster.topic("fence", 1, &[]).await, unique("id"));
    let mut old = cluster.transactional(&id).await;
    old.begin().unwrap();
    old.send(record(&topic, "k", "zombie")).unwrap();
    old.drain().await.unwrap();
    let mut new = cluster.transactional(&id).await;
    new.begin().unwrap();
    new.send(record(&topic, "k", "successor")).unwrap();
    new.commit().await.unwrap();
    assert!(matches!(old.commit().await, Err(CommitError::Fenced)));
    assert!(matches!(old.begin(), Err(KafkaError::Fenced)), "a fenced producer stays fenced");
    assert_eq!(cluster.values(&topic).await, ["successor"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_without_records_stops_the_owner() {
    let cluster = cluster().await;
    let (topic, ids) = (cluster.topic("fence", 1, &[]).await, [unique("id"), unique("id")]);
    let mut owner = cluster.transactional(&ids[0]).await;
    owner.begin().unwrap();
    owner.send(record(&topic, "k", "v")).unwrap();
    cluster.kafka.admin().fence(&ids).await.unwrap();
    assert!(matches!(owner.commit().await, Err(CommitError::Fenced)));
    assert!(cluster.values(&topic).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_with_a_lost_record_is_aborted_and_certainly_not_committed() {
    let cluster = cluster().await;
    let topic = cluster.topic("lost", 1, &[("max.message.bytes", "5000")]).await;
    let mut producer = cluster.transactional(&unique("id")).await;
    producer.begin().unwrap();
    producer.send(record(&topic, "k", "small")).unwrap();
    producer.drain().await.unwrap();
    producer.send(record(&topic, "k", &"x".repeat(20_000))).unwrap();
    assert!(matches!(producer.commit().await, Err(CommitError::NotCommitted(_))));
    // The client takes a new epoch after a lost record, which may refuse one more transaction, just as certainly.
    loop {
        producer.begin().unwrap();
        producer.send(record(&topic, "k", "after")).unwrap();
        match producer.commit().await {
            Ok(()) => break,
            Err(CommitError::NotCommitted(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(cluster.values(&topic).await, ["after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn consumed_offsets_are_committed_with_the_records() {
    let cluster = cluster().await;
    let (input, output, group) = (cluster.topic("in", 1, &[]).await, cluster.topic("out", 1, &[]).await, unique("g"));
    let mut consumer = cluster.consumer(&group, &input);
    join(&mut *consumer).await;
    let mut producer = cluster.transactional(&unique("id")).await;
    producer.begin().unwrap();
    producer.send(record(&output, "k", "v")).unwrap();
    producer.send_offsets(&offsets(&input, 7), &consumer.group_metadata().unwrap()).await.unwrap();
    producer.commit().await.unwrap();
    let stable = consumer.stable_offsets(&[at(&input, 0)], Duration::from_secs(10)).await.unwrap();
    assert_eq!(stable[&at(&input, 0)], Some(Offset(7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn stable_offsets_wait_for_an_open_transaction() {
    let cluster = cluster().await;
    let (input, group) = (cluster.topic("in", 1, &[]).await, unique("g"));
    let mut consumer = cluster.consumer(&group, &input);
    join(&mut *consumer).await;
    let mut producer = cluster.transactional(&unique("id")).await;
    producer.begin().unwrap();
    producer.send_offsets(&offsets(&input, 3), &consumer.group_metadata().unwrap()).await.unwrap();
    let early = consumer.stable_offsets(&[at(&input, 0)], Duration::from_millis(500)).await;
    assert!(matches!(early, Err(KafkaError::Retriable(_))), "undecided offsets were answered: {early:?}");
    let partitions = [at(&input, 0)];
    let waiting = consumer.stable_offsets(&partitions, Duration::from_secs(20));
    let (stable, committed) = tokio::join!(waiting, producer.commit());
    committed.unwrap();
    assert_eq!(stable.unwrap()[&at(&input, 0)], Some(Offset(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_lost_its_place_cannot_commit_offsets() {
    let cluster = cluster().await;
    let (input, output, group) = (cluster.topic("in", 1, &[]).await, cluster.topic("out", 1, &[]).await, unique("g"));
    let mut consumer = cluster.consumer(&group, &input);
    join(&mut *consumer).await;
    let metadata: GroupMetadata = consumer.group_metadata().unwrap();
    drop(consumer);
    let mut successor = cluster.consumer(&group, &input);
    join(&mut *successor).await;
    let mut producer = cluster.transactional(&unique("id")).await;
    producer.begin().unwrap();
    producer.send(record(&output, "k", "v")).unwrap();
    let refused = producer.send_offsets(&offsets(&input, 7), &metadata).await;
    assert!(matches!(refused, Err(KafkaError::Abortable(_))), "{refused:?}");
    assert!(matches!(producer.commit().await, Err(CommitError::NotCommitted(_))));
    assert!(cluster.values(&output).await.is_empty());
    assert_eq!(cluster.kafka.admin().group_offsets(&group).await.unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_the_high_watermark_even_behind_a_foreign_open_transaction() {
    let cluster = cluster().await;
    let topic = cluster.topic("hwm", 1, &[("cleanup.policy", "compact")]).await;
    let mut open = cluster.transactional(&unique("open")).await;
    open.begin().unwrap();
    open.send(record(&topic, "a", "open")).unwrap();
    open.drain().await.unwrap();
    let mut other = cluster.transactional(&unique("other")).await;
    other.begin().unwrap();
    other.send(record(&topic, "b", "behind")).unwrap();
    other.commit().await.unwrap();
    let reading = cluster.values(&topic);
    tokio::pin!(reading);
    let early = tokio::time::timeout(Duration::from_millis(700), &mut reading).await;
    assert!(early.is_err(), "the end was reported before the committed record was visible: {early:?}");
    open.abort().await.unwrap();
    assert_eq!(reading.await, ["behind"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_outlives_its_time_out_is_not_reported_as_committed() {
    let cluster = cluster().await;
    let topic = cluster.topic("late", 1, &[]).await;
    let overrides = properties(&[("transaction.timeout.ms", "1000")]);
    let mut producer = cluster.kafka.transactional_producer(&unique("id"), &overrides).unwrap();
    producer.init().await.unwrap();
    producer.begin().unwrap();
    producer.send(record(&topic, "k", "late")).unwrap();
    producer.drain().await.unwrap();
    // The broker aborts it and shows so by letting readers pass.
    let end = cluster.end(&topic).await;
    assert!(end >= 1);
    assert!(cluster.values(&topic).await.is_empty());
    assert!(producer.commit().await.is_err());
    assert!(cluster.values(&topic).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_does_not_wait_for_a_polling_interval() {
    let cluster = cluster().await;
    let topic = cluster.topic("quick", 1, &[]).await;
    let mut producer = cluster.transactional(&unique("id")).await;
    let mut fastest = Duration::MAX;
    for _ in 0..20 {
        producer.begin().unwrap();
        producer.send(record(&topic, "k", "v")).unwrap();
        let start = Instant::now();
        producer.commit().await.unwrap();
        fastest = fastest.min(start.elapsed());
    }
    // A wrapper that polls in steps of 100 ms never gets below that; the bound is on the best of twenty.
    assert!(fastest < Duration::from_millis(90), "{fastest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_given_up_halfway_leaves_the_producer_unusable() {
    let cluster = cluster().await;
    let topic = cluster.topic("half", 1, &[]).await;
    // The abandoned call goes on for as long as a transaction lasts if the broker ends before it.
    let overrides = properties(&[("transaction.timeout.ms", "2000")]);
    let mut producer = cluster.kafka.transactional_producer(&unique("id"), &overrides).unwrap();
    producer.init().await.unwrap();
    producer.begin().unwrap();
    producer.send(record(&topic, "k", "v")).unwrap();
    {
        let commit = producer.commit();
        tokio::pin!(commit);
        tokio::select! {
            biased;
            done = &mut commit => panic!("committed at once: {done:?}"),
            () = std::future::ready(()) => {}
        }
    }
    assert!(matches!(producer.commit().await, Err(CommitError::Unknown(_))));
    assert!(matches!(producer.begin(), Err(KafkaError::Fatal(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_producer_serves_many_transactions_while_a_consumer_follows() {
    let cluster = cluster().await;
    let topic = cluster.topic("many", 1, &[]).await;
    let mut consumer = cluster.consumer(&unique("g"), &topic);
    join(&mut *consumer).await;
    let mut producer = cluster.kafka.transactional_producer(&unique("id"), &ClientProperties::new()).unwrap();
    producer.init().await.unwrap();
    for round in 0..50 {
        producer.begin().unwrap();
        for number in 0..20 {
            producer.send(record(&topic, "k", &(round * 20 + number).to_string())).unwrap();
        }
        // An abort that overtakes its own registration of the partition is refused by brokers; the producer is then discarded.
        producer.drain().await.unwrap();
        if round % 5 == 4 { producer.abort().await.unwrap() } else { producer.commit().await.unwrap() }
    }
    let expected: Vec<_> = (0..1000).filter(|number| number / 20 % 5 != 4).map(|number| number.to_string()).collect();
    let mut seen = Vec::new();
    while seen.len() < expected.len() {
        if let Consumed::Records(_, batch) = next(&mut *consumer).await {
            seen.extend(batch.iter().map(|record| crate::support::text(record.value.as_deref())));
        }
    }
    assert_eq!(seen, expected);
}
