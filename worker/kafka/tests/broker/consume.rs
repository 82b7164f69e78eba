use crate::support::{Cluster, PATIENCE, at, cluster, join, next, offsets, record, text, unique};
use elasticflow_api::position::{ConsumedOffsets, Offset};
use elasticflow_kafka::ports::{ClientProperties, Consumed, Consumer, Kafka, KafkaError, OutRecord, Subscription};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

async fn fill(cluster: &Cluster, topic: &str, partitions: i32, each: usize) {
    let mut producer = cluster.kafka.producer(&ClientProperties::new()).unwrap();
    for partition in 0..partitions {
        for number in 0..each {
            let value = format!("{partition}-{number}");
            let mut record = record(topic, "k", &value);
            record.partition = Some(partition);
            producer.send(record).unwrap();
        }
    }
    producer.drain().await.unwrap();
}

async fn read(consumer: &mut dyn Consumer, count: usize) -> Vec<(i32, i64, String)> {
    let mut seen = Vec::new();
    while seen.len() < count {
        if let Consumed::Records(at, batch) = next(consumer).await {
            seen.extend(batch.iter().map(|r| (at.partition, r.offset.0, text(r.value.as_deref()))));
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_without_state_starts_at_the_beginning_and_goes_on_after_a_commit() {
    let cluster = cluster().await;
    let (topic, group) = (cluster.topic("c", 1, &[]).await, unique("g"));
    fill(&cluster, &topic, 1, 10).await;
    let mut consumer = cluster.consumer(&group, &topic);
    assert_eq!(join(&mut *consumer).await, [at(&topic, 0)]);
    assert_eq!(read(&mut *consumer, 10).await.len(), 10);
    consumer.commit(&offsets(&topic, 4)).await.unwrap();
    drop(consumer);
    let mut consumer = cluster.consumer(&group, &topic);
    join(&mut *consumer).await;
    assert_eq!(read(&mut *consumer, 6).await[0], (0, 4, "0-4".to_owned()));
}

/// A broker answers a commit behind a member's request to join when the commit's generation is over.
#[tokio::test(flavor = "multi_thread")]
async fn commits_pass_while_members_come_and_go() {
    let cluster = cluster().await;
    let (topic, group) = (cluster.topic("c", 4, &[]).await, unique("g"));
    fill(&cluster, &topic, 4, 10).await;
    let mut consumer = cluster.consumer(&group, &topic);
    join(&mut *consumer).await;
    let coming = async {
        for _ in 0..4 {
            let mut other = cluster.consumer(&group, &topic);
            join(&mut *other).await;
            tokio::task::spawn_blocking(move || drop(other)).await.unwrap();
        }
    };
    let (mut held, mut revoked): (BTreeSet<i32>, u32) = ((0..4).collect(), 0);
    let committing = async {
        loop {
            let mine = held.iter().map(|partition| (at(&topic, *partition), Offset(5))).collect();
            consumer.commit(&ConsumedOffsets(mine)).await.unwrap();
            match tokio::time::timeout(Duration::from_millis(20), consumer.next()).await {
                Ok(Ok(Consumed::Assigned(new))) => {
                    consumer.start_at(&new.iter().map(|at| (at.clone(), None)).collect()).await.unwrap();
                    held.extend(new.iter().map(|at| at.partition));
                }
                Ok(Ok(Consumed::Revoked(gone))) => {
                    revoked += 1;
                    held.retain(|partition| gone.iter().all(|at| at.partition != *partition));
                    consumer.confirm_revoked().await.unwrap();
                }
                Ok(Ok(Consumed::Records(..))) | Err(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::select! {
        () = coming => {}
        () = committing => {}
    }
    assert!(revoked > 0, "nobody was given anything");
}

/// A thread that waits for such an answer would keep a worker from ever ending.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_nobody_answers_ends_in_time_and_holds_no_thread() {
    let broker = elasticflow_devkafka::Broker::start(elasticflow_devkafka::Config::default()).await.unwrap();
    let cluster = Cluster::at(&broker.bootstrap(), &[("default.api.timeout.ms", "1000")]);
    let topic = cluster.topic("c", 1, &[]).await;
    fill(&cluster, &topic, 1, 10).await;
    let mut consumer = cluster.consumer(&unique("g"), &topic);
    join(&mut *consumer).await;
    assert_eq!(read(&mut *consumer, 10).await.len(), 10);
    broker.shutdown().await;
    let ended = tokio::time::timeout(PATIENCE, consumer.commit(&offsets(&topic, 4))).await;
    assert!(matches!(ended.expect("it waits for ever"), Err(KafkaError::Retriable(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_starts_where_it_is_told_and_can_be_moved() {
    let cluster = cluster().await;
    let topic = cluster.topic("seek", 2, &[]).await;
    fill(&cluster, &topic, 2, 100).await;
    let mut consumer = cluster.consumer(&unique("g"), &topic);
    let Consumed::Assigned(given) = next(&mut *consumer).await else { panic!("no assignment") };
    assert_eq!(given.len(), 2);
    let start = BTreeMap::from([(at(&topic, 0), Some(Offset(90))), (at(&topic, 1), Some(Offset(95)))]);
    consumer.start_at(&start).await.unwrap();
    let seen = read(&mut *consumer, 15).await;
    assert_eq!(seen.iter().filter(|(partition, ..)| *partition == 0).map(|(_, offset, _)| *offset).min(), Some(90));
    assert_eq!(seen.iter().filter(|(partition, ..)| *partition == 1).map(|(_, offset, _)| *offset).min(), Some(95));
    consumer.start_at(&BTreeMap::from([(at(&topic, 0), Some(Offset(97)))])).await.unwrap();
    let again: Vec<_> = read(&mut *consumer, 3).await.into_iter().map(|(p, o, _)| (p, o)).collect();
    assert_eq!(again, [(0, 97), (0, 98), (0, 99)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn small_and_large_records_come_once_in_order_and_without_headers_where_nobody_wants_them() {
    let cluster = cluster().await;
    let topic = cluster.topic("sizes", 1, &[]).await;
    let headers = [("h".into(), Some(bytes::Bytes::from_static(b"x")))];
    let value = |number: usize| "v".repeat(if number.is_multiple_of(50) { 300_000 } else { number });
    let mut producer = cluster.kafka.producer(&ClientProperties::new()).unwrap();
    for number in 0..500 {
        let value = value(number);
        producer.send(OutRecord { headers: &headers, ..record(&topic, "k", &value) }).unwrap();
    }
    producer.drain().await.unwrap();
    for wanted in [true, false] {
        let mut consumer = cluster.consumer(&unique("g"), &topic);
        consumer.with_headers(wanted);
        join(&mut *consumer).await;
        let mut seen = 0;
        while seen < 500 {
            let Consumed::Records(_, batch) = next(&mut *consumer).await else { continue };
            for record in batch {
                assert_eq!(record.offset, Offset(seen.try_into().unwrap()));
                assert_eq!(record.value.as_ref().map_or(0, |v| v.len()), value(seen).len());
                assert_eq!(record.headers.len(), usize::from(wanted));
                seen += 1;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_record_comes_before_reading_was_started() {
    let cluster = cluster().await;
    let topic = cluster.topic("hold", 1, &[]).await;
    fill(&cluster, &topic, 1, 5).await;
    let mut consumer = cluster.consumer(&unique("g"), &topic);
    assert!(matches!(next(&mut *consumer).await, Consumed::Assigned(_)));
    let early = tokio::time::timeout(Duration::from_millis(300), consumer.next()).await;
    assert!(early.is_err(), "{early:?}");
    consumer.start_at(&BTreeMap::from([(at(&topic, 0), None)])).await.unwrap();
    assert_eq!(read(&mut *consumer, 5).await.len(), 5);
}

/// Runs two members until both own one partition; `first` keeps reading meanwhile.
async fn share(first: &mut dyn Consumer, second: &mut dyn Consumer, mut on_revoked: impl FnMut()) -> BTreeSet<i32> {
    let mut revoked = BTreeSet::new();
    loop {
        tokio::select! {
            event = first.next() => match event.unwrap() {
                Consumed::Revoked(partitions) => {
                    on_revoked();
                    revoked.extend(partitions.iter().map(|at| at.partition));
                    first.confirm_revoked().await.unwrap();
                }
                Consumed::Assigned(partitions) => {
                    let start = partitions.iter().map(|at| (at.clone(), None)).collect();
                    first.start_at(&start).await.unwrap();
                }
                Consumed::Records(at, _) => assert!(!revoked.contains(&at.partition), "a record after the revocation"),
                Consumed::Lost(partitions) => panic!("lost {partitions:?}"),
                Consumed::Gone(at, offset) => panic!("offset {} of {at:?} is gone", offset.0),
            },
            event = second.next() => if let Consumed::Assigned(partitions) = event.unwrap() {
                let start = partitions.iter().map(|at| (at.clone(), None)).collect();
                second.start_at(&start).await.unwrap();
                return revoked;
            },
            () = tokio::time::sleep(PATIENCE) => panic!("no rebalance"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_member_takes_one_partition_and_the_first_keeps_the_other() {
    let cluster = cluster().await;
    let (topic, group) = (cluster.topic("share", 2, &[]).await, unique("g"));
    fill(&cluster, &topic, 2, 10).await;
    let mut first = cluster.consumer(&group, &topic);
    assert_eq!(join(&mut *first).await.len(), 2);
    read(&mut *first, 20).await;
    let mut second = cluster.consumer(&group, &topic);
    let revoked = share(&mut *first, &mut *second, || {}).await;
    assert_eq!(revoked.len(), 1, "only what moves is asked back");
    fill(&cluster, &topic, 2, 5).await;
    let kept: BTreeSet<_> = read(&mut *first, 5).await.into_iter().map(|(partition, ..)| partition).collect();
    assert!(kept.is_disjoint(&revoked), "{kept:?} {revoked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_owner_stays_in_the_group() {
    let cluster = cluster().await;
    let (topic, group) = (cluster.topic("busy", 1, &[]).await, unique("g"));
    fill(&cluster, &topic, 1, 3).await;
    let overrides = crate::support::properties(&[("session.timeout.ms", "6000"), ("max.poll.interval.ms", "6000")]);
    let subscription = Subscription::Topics(vec![topic.clone()]);
    let mut consumer = cluster.kafka.consumer(&group, &subscription, &overrides).unwrap();
    join(&mut *consumer).await;
    read(&mut *consumer, 3).await;
    // Longer than max.poll.interval.ms without a call to `next`: this is the subject, not a wait for something.
    tokio::time::sleep(Duration::from_secs(8)).await;
    fill(&cluster, &topic, 1, 1).await;
    assert_eq!(read(&mut *consumer, 1).await[0].1, 3, "the member went on without a rebalance");
    consumer.commit(&offsets(&topic, 4)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_partitions_wait_and_go_on_without_loss() {
    let cluster = cluster().await;
    let topic = cluster.topic("pause", 2, &[]).await;
    let mut consumer = cluster.consumer(&unique("g"), &topic);
    join(&mut *consumer).await;
    consumer.pause(&[at(&topic, 0)]).unwrap();
    fill(&cluster, &topic, 2, 10).await;
    assert!(read(&mut *consumer, 10).await.iter().all(|(partition, ..)| *partition == 1));
    let early = tokio::time::timeout(Duration::from_millis(300), consumer.next()).await;
    assert!(early.is_err(), "{early:?}");
    consumer.resume(&[at(&topic, 0)]).unwrap();
    let seen: Vec<_> =
        read(&mut *consumer, 10).await.into_iter().map(|(partition, offset, _)| (partition, offset)).collect();
    assert_eq!(seen, (0..10).map(|offset| (0, offset)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_matches_whole_names() {
    let cluster = cluster().await;
    let prefix = unique("pattern");
    let mut names = BTreeSet::new();
    for end in ["a", "b", "ab"] {
        let spec = elasticflow_kafka::ports::TopicSpec {
            name: format!("{prefix}.{end}"),
            partitions: 1,
            replication: Some(1),
            configs: BTreeMap::new(),
        };
        cluster.kafka.admin().ensure_topic(&spec).await.unwrap();
        names.insert(spec.name);
    }
    names.remove(&format!("{prefix}.ab"));
    let pattern = Subscription::Pattern(format!("{prefix}\\.(a|b)"));
    let mut consumer = cluster.kafka.consumer(&unique("g"), &pattern, &ClientProperties::new()).unwrap();
    let given: BTreeSet<_> = join(&mut *consumer).await.iter().map(|at| at.topic.to_string()).collect();
    assert_eq!(given, names);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_topic_is_read_whole_and_in_order() {
    let cluster = cluster().await;
    let topic = cluster.topic("long", 1, &[]).await;
    fill(&cluster, &topic, 1, 20_000).await;
    let mut consumer = cluster.consumer(&unique("g"), &topic);
    join(&mut *consumer).await;
    let seen = read(&mut *consumer, 20_000).await;
    assert!(
        seen.iter()
            .enumerate()
            .all(|(index, (_, offset, value))| *offset == index as i64 && *value == format!("0-{index}"))
    );
}
