use crate::support::{at, cluster, join, offsets, record, unique};
use elasticflow_api::position::Offset;
use elasticflow_kafka::ports::{ClientProperties, Kafka, KafkaError, TopicSpec};
use std::collections::BTreeMap;

fn spec(name: &str, replication: i16, policy: &str) -> TopicSpec {
    TopicSpec {
        name: name.to_owned(),
        partitions: 3,
        replication: Some(replication),
        configs: [("cleanup.policy".to_owned(), policy.to_owned())].into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_created_once_with_as_many_replicas_as_there_are_brokers() {
    let cluster = cluster().await;
    let (admin, name) = (cluster.kafka.admin(), unique("internal"));
    admin.ensure_topic(&spec(&name, 3, "compact")).await.unwrap();
    admin.ensure_topic(&spec(&name, 3, "compact")).await.unwrap();
    assert_eq!(admin.topics().await.unwrap().get(&name), Some(&3));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_topic_that_is_not_compacted_is_refused() {
    let cluster = cluster().await;
    let (admin, name) = (cluster.kafka.admin(), unique("internal"));
    admin.ensure_topic(&spec(&name, 1, "delete")).await.unwrap();
    let error = admin.ensure_topic(&spec(&name, 1, "compact")).await.unwrap_err();
    assert!(matches!(&error, KafkaError::Config(why) if why.contains("cleanup.policy=compact")), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_described_by_name_and_none_is_created_by_that() {
    let cluster = cluster().await;
    let names = vec![cluster.topic("one", 1, &[]).await, cluster.topic("three", 3, &[]).await, unique("absent")];
    let wanted = BTreeMap::from([(names[0].clone(), 1), (names[1].clone(), 3)]);
    for _ in 0..2 {
        assert_eq!(cluster.kafka.admin().partitions(&names).await.unwrap(), wanted);
    }
    assert!(!cluster.kafka.admin().topics().await.unwrap().contains_key(&names[2]));
    assert!(cluster.kafka.admin().partitions(&[]).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brokers_own_topics_are_not_listed() {
    let cluster = cluster().await;
    let (topic, group) = (cluster.topic("t", 1, &[]).await, unique("g"));
    let mut consumer = cluster.consumer(&group, &topic);
    join(&mut *consumer).await;
    let topics = cluster.kafka.admin().topics().await.unwrap();
    assert!(topics.contains_key(&topic));
    assert!(topics.keys().all(|name| !name.starts_with("__consumer")), "{topics:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn group_offsets_can_be_set_read_and_deleted_while_nobody_consumes() {
    let cluster = cluster().await;
    let (topic, group, admin) = (cluster.topic("t", 2, &[]).await, unique("g"), cluster.kafka.admin());
    assert!(admin.group_offsets(&group).await.unwrap().is_empty());
    let set = BTreeMap::from([(at(&topic, 0), Some(Offset(5))), (at(&topic, 1), Some(Offset(6)))]);
    admin.alter_group_offsets(&group, &set).await.unwrap();
    let delete = BTreeMap::from([(at(&topic, 0), None), (at(&topic, 1), Some(Offset(7)))]);
    admin.alter_group_offsets(&group, &delete).await.unwrap();
    assert_eq!(admin.group_offsets(&group).await.unwrap(), BTreeMap::from([(at(&topic, 1), Offset(7))]));
    admin.delete_group(&group).await.unwrap();
    assert!(admin.group_offsets(&group).await.unwrap().is_empty());
    admin.delete_group(&group).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_of_a_group_with_members_are_left_alone() {
    let cluster = cluster().await;
    let (topic, group, admin) = (cluster.topic("t", 1, &[]).await, unique("g"), cluster.kafka.admin());
    let mut consumer = cluster.consumer(&group, &topic);
    join(&mut *consumer).await;
    consumer.commit(&offsets(&topic, 1)).await.unwrap();
    let changes = [Some(Offset(5)), None].map(|offset| BTreeMap::from([(at(&topic, 0), offset)]));
    for change in changes {
        let error = admin.alter_group_offsets(&group, &change).await.unwrap_err();
        assert!(matches!(&error, KafkaError::Config(why) if why.contains("stop the connector")), "{error:?}");
    }
    let error = admin.delete_group(&group).await.unwrap_err();
    assert!(matches!(&error, KafkaError::Config(why) if why.contains("stop the connector")), "{error:?}");
    assert_eq!(admin.group_offsets(&group).await.unwrap()[&at(&topic, 0)], Offset(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn end_offsets_count_records_of_open_transactions() {
    let cluster = cluster().await;
    let topic = cluster.topic("t", 2, &[]).await;
    let mut producer = cluster.kafka.producer(&ClientProperties::new()).unwrap();
    producer.send(record(&topic, "k", "v")).unwrap();
    producer.drain().await.unwrap();
    let mut open = cluster.transactional(&unique("id")).await;
    open.begin().unwrap();
    open.send(record(&topic, "k", "v")).unwrap();
    open.drain().await.unwrap();
    let ends = cluster.kafka.admin().end_offsets(&[at(&topic, 0), at(&topic, 1)]).await.unwrap();
    assert_eq!(ends, BTreeMap::from([(at(&topic, 0), Offset(2)), (at(&topic, 1), Offset(0))]));
    open.abort().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_has_an_id() {
    let cluster = cluster().await;
    assert!(!cluster.kafka.cluster_id().await.unwrap().is_empty());
}
