//! Lag of a sink slows sources down, the unimportant one first; hard caps hold; both also when the leader dies.
use crate::kafka;
use crate::limited::{LOOK_EVERY, SOON, kill_leader, none, rate, state, three, until};
use elasticflow_api::position::TopicPartition;
use elasticflow_integration_tests::follow::{cluster, create_topic};
use elasticflow_kafka::RdKafka;
use elasticflow_kafka::ports::Kafka;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Records a second of the important source, of the other one, and what the slow sink takes.
const IMPORTANT: u64 = 200;
const OTHER: u64 = 4_000;
const SLOW: u64 = 1_000;
/// Most unconsumed bytes.
const CAP: u64 = 16 << 20;

fn source(topic: &str, rate: u64, more: &[(&str, &str)]) -> Value {
    let mut config = json!({
        "connector.class": "datagen", "tasks.max": "1", "kafka.topic": topic,
        "fields": "id:seq, account:int(1,50), note:text(60,60)", "schema.keyfield": "account",
        "random.seed": "42", "max.interval": "0", "flow.rate.records": rate.to_string(), "batch.records": "100",
    });
    for (key, value) in more {
        config[key] = json!(value);
    }
    config
}

fn sink(topics: &[&str], folder: &Path, rate: u64) -> Value {
    json!({
        "connector.class": "elasticflow.connectors.FileSinkConnector", "tasks.max": "1", "topics": topics.join(","),
        "output.path": folder.display().to_string(), "format": "json", "commit.interval.ms": "500",
        "flow.rate.records": rate.to_string(), "flow.lag.target.ms": "5000",
    })
}

async fn ends(kafka: &Arc<RdKafka>, topic: &str) -> i64 {
    let at = TopicPartition { topic: topic.into(), partition: 0 };
    kafka.admin().end_offsets(&[at]).await.unwrap().values().map(|end| end.0).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_sink_slows_the_unimportant_source_and_a_new_leader_goes_on_with_it() {
    let Some(address) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let clients = cluster(&address).unwrap();
    let mut group = three(none(dir.path(), &address, 11)).await;
    let run = format!("throttle-{}", std::process::id());
    let (important, other) = (format!("{run}-important"), format!("{run}-other"));
    for topic in [&important, &other] {
        create_topic(&clients, topic, 1).await.unwrap();
    }
    let out = dir.path().join("out");
    std::fs::create_dir_all(&out).unwrap();
    let rest = group.any();
    rest.create("slow", &sink(&[&important, &other], &out, SLOW)).await.unwrap();
    rest.create("important", &source(&important, IMPORTANT, &[("flow.priority", "9")])).await.unwrap();
    rest.create("other", &source(&other, OTHER, &[("flow.priority", "1")])).await.unwrap();

    let mut any = || group.any();
    let limited = until(&mut any, "other", "limited by lag", |a| {
        state(a) == "limited" && a["flow"]["reasons"][0]["code"] == "LAG" && rate(a) < 1.3 * SLOW as f64
    });
    let reason = limited.await["flow"]["reasons"][0].clone();
    let text = reason["text"].as_str().unwrap();
    assert!(text.contains("sink slow") && text.contains("important (priority 9) goes first"), "{text}");
    assert!(reason["since"].is_string() && reason["numbers"]["target_ms"] == 5000.0, "{reason}");
    let keeps = |a: &Value| rate(a) > 0.7 * IMPORTANT as f64 && a["flow"]["reasons"][0]["code"] != "LAG";
    until(&mut any, "important", "going at its own rate", keeps).await;

    kill_leader(&mut group).await;
    let mut any = || group.any();
    until(&mut any, "important", "going at its own rate after the leader's death", keeps).await;
    let still = |a: &Value| state(a) == "limited" && rate(a) > 0.0 && rate(a) < 1.3 * SLOW as f64;
    until(&mut any, "other", "limited after the leader's death", still).await;

    group
        .any()
        .expect("PUT", "/connectors/slow/config", Some(&sink(&[&important, &other], &out, 20_000)))
        .await
        .unwrap();
    let mut any = || group.any();
    let back = |a: &Value| a["flow"]["reasons"].as_array().is_some_and(|r| r.iter().all(|r| r["code"] != "LAG"));
    until(&mut any, "other", "at its own rate again", |a| back(a) && rate(a) > 0.7 * OTHER as f64).await;
    for name in ["important", "other", "slow"] {
        group.any().expect("DELETE", &format!("/connectors/{name}"), None).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capped_topic_never_holds_more_than_its_cap_also_when_the_leader_dies() {
    let Some(address) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let clients = cluster(&address).unwrap();
    let mut group = three(none(dir.path(), &address, 12)).await;
    let topic = format!("capped-{}", std::process::id());
    create_topic(&clients, &topic, 1).await.unwrap();
    let out = dir.path().join("out");
    std::fs::create_dir_all(&out).unwrap();
    let rest = group.any();
    rest.create("paused", &sink(&[&topic], &out, 50_000)).await.unwrap();
    rest.expect("PUT", "/connectors/paused/pause", None).await.unwrap();
    rest.create("filler", &source(&topic, 3_000, &[("flow.cap.bytes", &CAP.to_string())])).await.unwrap();

    let began = Instant::now();
    while ends(&clients, &topic).await < 5_000 {
        assert!(began.elapsed() < SOON, "the source does not write");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    kill_leader(&mut group).await;
    let mut any = || group.any();
    // A new leader holds everything until it knows what is there; then the reason names who does not consume, and the
    // source goes on until the cap is full.
    let named = |a: &Value| {
        let reason = &a["flow"]["reasons"][0];
        reason["code"] == "CAP" && reason["text"].as_str().is_some_and(|text| text.contains("sink paused (paused)"))
    };
    let began = Instant::now();
    loop {
        let held = |a: &Value| state(a) == "held" && named(a) && rate(a) == 0.0;
        let held = until(&mut any, "filler", "held by the cap", held).await;
        println!("{}", held["caps"]);
        let (_, bytes) = held_by(&clients, &topic).await;
        if bytes > CAP / 2 {
            break;
        }
        assert!(began.elapsed() < SOON, "the cap is hardly used: {bytes} of {CAP}");
        tokio::time::sleep(LOOK_EVERY).await;
    }

    // Nothing was consumed: what the topic holds is what is unconsumed, and it has never been more.
    let (records, bytes) = held_by(&clients, &topic).await;
    println!("{records} records of {bytes} bytes under a cap of {CAP}");
    assert!(bytes <= CAP, "{bytes} bytes are unconsumed under a cap of {CAP}");

    group.any().expect("PUT", "/connectors/paused/resume", None).await.unwrap();
    let mut any = || group.any();
    until(&mut any, "filler", "going again", |a| rate(a) > 500.0).await;
    for name in ["filler", "paused"] {
        group.any().expect("DELETE", &format!("/connectors/{name}"), None).await.unwrap();
    }
}

/// Records of a topic and bytes of their keys and values.
async fn held_by(kafka: &Arc<RdKafka>, topic: &str) -> (u64, u64) {
    let log = kafka.log(topic).await.unwrap();
    let end = log.read_to_end();
    let mut end = std::pin::pin!(end);
    let (mut records, mut bytes) = (0, 0);
    loop {
        tokio::select! {
            biased;
            record = log.next() => {
                let record = record.unwrap();
                records += 1;
                bytes += (record.key.len() + record.value.map_or(0, |v| v.len())) as u64;
            }
            done = &mut end => {
                done.unwrap();
                return (records, bytes);
            }
        }
    }
}
