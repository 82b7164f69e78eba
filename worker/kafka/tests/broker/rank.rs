//! Topics of different importance in one consumer.
use crate::support::{Cluster, at, cluster, next, record, unique};
use elasticflow_kafka::ports::{ClientProperties, Consumed, Consumer, Kafka, Subscription};
use std::collections::BTreeMap;

const BACKLOG: usize = 100_000;

async fn send(cluster: &Cluster, topic: &str, count: usize) {
    let mut producer = cluster.kafka.producer(&ClientProperties::new()).unwrap();
    let value = "x".repeat(100);
    for _ in 0..count {
        while let Err(error) = producer.send(record(topic, "k", &value)) {
            assert!(matches!(error, elasticflow_kafka::ports::SendError::Full), "{error:?}");
            producer.drain().await.unwrap();
        }
    }
    producer.drain().await.unwrap();
}

/// Two topics, the second with a backlog, and a consumer that has started to read them.
async fn scene(cluster: &Cluster) -> (String, String, Box<dyn Consumer>) {
    let (important, other) = (cluster.topic("hi", 1, &[]).await, cluster.topic("lo", 1, &[]).await);
    send(cluster, &other, BACKLOG).await;
    let topics = Subscription::Topics(vec![important.clone(), other.clone()]);
    let mut consumer = cluster.kafka.consumer(&unique("g"), &topics, &ClientProperties::new()).unwrap();
    let mut given = 0;
    while given < 2 {
        let Consumed::Assigned(new) = next(&mut *consumer).await else { panic!("no assignment") };
        given += new.len();
        consumer.start_at(&BTreeMap::new()).await.unwrap();
    }
    consumer.take_at_most(50);
    (important, other, consumer)
}

fn ranks(important: &str, other: &str, of: [u8; 2]) -> BTreeMap<String, u8> {
    [(important.to_owned(), of[0]), (other.to_owned(), of[1])].into()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_important_does_not_stand_behind_a_backlog() {
    let cluster = cluster().await;
    let (important, other, mut consumer) = scene(&cluster).await;
    while !consumer.prefer(&ranks(&important, &other, [9, 1])).await.unwrap() {
        next(&mut *consumer).await;
    }
    let mut behind = 0;
    for round in 0..5 {
        send(&cluster, &important, 1).await;
        behind = 0;
        loop {
            // As a slow destination would: what the client reads ahead piles up meanwhile.
            cluster.end(&important).await;
            match next(&mut *consumer).await {
                Consumed::Records(of, records) if of == at(&important, 0) => {
                    break assert_eq!(records[0].offset.0, round);
                }
                Consumed::Records(_, records) => behind += records.len(),
                event => panic!("{event:?}"),
            }
        }
        assert!(behind < BACKLOG / 20, "{behind} records of the backlog came first");
    }
    assert!(behind > 0, "the backlog was used up before the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_moved_when_ranks_change() {
    let cluster = cluster().await;
    let (important, other, mut consumer) = scene(&cluster).await;
    let mut expected = BTreeMap::from([(important.clone(), 0), (other.clone(), 0)]);
    let mut events = 0;
    send(&cluster, &important, BACKLOG / 10).await;
    while expected[&other] < BACKLOG as i64 || expected[&important] < BACKLOG as i64 / 10 {
        let Consumed::Records(of, records) = next(&mut *consumer).await else { panic!("no records") };
        let next = expected.get_mut(&*of.topic).unwrap();
        for record in records {
            assert_eq!(record.offset.0, *next, "{of:?}");
            *next += 1;
        }
        events += 1;
        if events % 97 == 0 {
            let turn = (events / 97 % 3) as u8;
            consumer.prefer(&ranks(&important, &other, [5, 4 + turn])).await.unwrap();
        }
    }
}
