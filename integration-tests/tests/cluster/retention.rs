//! A topic that keeps its records for half a minute and a sink that is paused: people are told, the topic is made to keep
//! them longer, and what it had is put back once they are read.
use crate::kafka;
use crate::limited::{because, found, none, until};
use elasticflow_integration_tests::follow::cluster;
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_kafka::ports::{Kafka, TopicSpec};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const RETENTION: &str = "20000";

fn source(topic: &str, guard: &str) -> Value {
    json!({"connector.class": "datagen", "tasks.max": "1", "kafka.topic": topic, "fields": "id:seq",
        "flow.rate.records": "20", "batch.records": "10", "flow.retention.guard": guard})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_read_is_told_of_kept_longer_and_let_go_when_it_is_read() {
    let Some(address) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (clients, topic) = (cluster(&address).unwrap(), format!("retention-{}", run_number()));
    let configs = BTreeMap::from([("retention.ms".to_owned(), RETENTION.to_owned())]);
    let spec = TopicSpec { name: topic.clone(), partitions: 1, replication: Some(1), configs };
    clients.admin().ensure_topic(&spec).await.unwrap();
    let mut group = none(dir.path(), &address, 17);
    group.join().await.unwrap();
    let out = dir.path().join("out");
    std::fs::create_dir_all(&out).unwrap();
    let rest = group.any();
    rest.create("feeder", &source(&topic, "alarm")).await.unwrap();
    let sink = json!({"connector.class": "elasticflow.connectors.FileSinkConnector", "tasks.max": "1",
        "topics": topic, "output.path": out.display().to_string(), "format": "json", "commit.interval.ms": "500",
        "consumer.override.auto.offset.reset": "earliest"});
    rest.create("reader", &sink).await.unwrap();
    rest.expect("PUT", "/connectors/reader/pause", None).await.unwrap();

    let mut any = || rest.clone();
    let at_risk = until(&mut any, "feeder", "at risk", |a| because(a, "RETENTION_RISK")).await;
    let text = at_risk["flow"]["reasons"][0]["text"].as_str().unwrap().to_owned();
    assert!(
        text.contains("of retention.ms=20000 of topic retention-") && text.contains("sink reader (paused)"),
        "{text}"
    );
    let alerts = async || rest.expect("GET", "/flow/v1/alerts", None).await.ok()?["alerts"].as_array().cloned();
    let of = |all: &[Value], subject: &str, state: &str| {
        all.iter().any(|a| a["kind"] == "retention_risk" && a["subject"] == subject && a["state"] == state)
    };
    found("it is told", async || alerts().await.filter(|all| of(all, &topic, "open"))).await;
    let late = format!("{topic} (90 %)");
    found("it is told again", async || alerts().await.filter(|all| of(all, &late, "open"))).await;

    let keeps = async || clients.admin().topic_config(&topic).await.ok()?.remove("retention.ms");
    assert_eq!(keeps().await.unwrap(), RETENTION, "an alarm changes nothing");
    rest.expect("PUT", "/connectors/feeder/config", Some(&source(&topic, "extend"))).await.unwrap();
    let longer = async || keeps().await?.parse::<i64>().ok().filter(|ms| *ms >= 40_000);
    println!("the topic keeps its records for {} ms", found("the topic keeps its records longer", longer).await);
    rest.expect("PUT", "/connectors/reader/resume", None).await.unwrap();
    found("the topic keeps them as before", async || keeps().await.filter(|ms| ms == RETENTION)).await;
    found("it is over", async || alerts().await.filter(|all| of(all, &late, "resolved"))).await;
    for name in ["feeder", "reader"] {
        rest.expect("DELETE", &format!("/connectors/{name}"), None).await.unwrap();
    }
}
