//! Settings of a worker and of quotas of which nothing else shows that they do anything: contents of dead letters, the webhook
//! and its trial, the time zone of a calendar.
use crate::kafka;
use crate::limited::{found, none, until};
use elasticflow_integration_tests::follow::{cluster, create_topic};
use elasticflow_integration_tests::hook::{Hook, signature};
use elasticflow_integration_tests::rest::Rest;
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_kafka::ports::{ClientProperties, Kafka, OutRecord};
use serde_json::{Value, json};
use std::path::Path;

const SECRET: &str = "not-to-be-printed";

fn sink(topic: &str, out: &Path) -> Value {
    std::fs::create_dir_all(out).unwrap();
    json!({"connector.class": "elasticflow.connectors.FileSinkConnector", "tasks.max": "1", "topics": topic,
        "output.path": out.display().to_string(), "format": "json", "commit.interval.ms": "300",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
        "errors.tolerance": "all", "errors.deadletterqueue.topic.name": format!("{topic}-dead"),
        "errors.deadletterqueue.topic.replication.factor": "1",
        "errors.deadletterqueue.context.headers.enable": "true"})
}

/// The only dead letter of the sink.
async fn letter(rest: &Rest) -> Value {
    let look = async || {
        let all = rest.expect("GET", "/flow/v1/connectors/reader/errors", None).await.ok()?;
        let id = all["errors"][0]["id"].as_str()?.to_owned();
        rest.expect("GET", &format!("/flow/v1/connectors/reader/errors/{id}"), None).await.ok()
    };
    found("there is a dead letter", look).await
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_are_told_only_where_the_worker_allows_it_and_its_webhook_can_be_tried() {
    let Some(address) = kafka() else { return };
    let (dir, run) = (tempfile::tempdir().unwrap(), run_number());
    let (clients, hook) = (cluster(&address).unwrap(), Hook::listen().await.unwrap());
    let topic = format!("settings-{run}");
    create_topic(&clients, &topic, 1).await.unwrap();
    let mut producer = clients.producer(&ClientProperties::new()).unwrap();
    let value: Option<&[u8]> = Some(b"{ my secret");
    producer
        .send(OutRecord { topic: &topic, partition: None, key: None, value, headers: &[], timestamp_ms: None })
        .unwrap();
    producer.drain().await.unwrap();

    let mut group = none(dir.path(), &address, 35);
    group.set("flow.data.read.enable", "false");
    group.set("flow.hook.url", &hook.url);
    group.set("flow.hook.secret", SECRET);
    group.join().await.unwrap();
    let rest = group.any();
    rest.create("reader", &sink(&topic, &dir.path().join("out"))).await.unwrap();
    let told = letter(&rest).await;
    assert!(!told.to_string().contains("my secret"), "{told}");

    let hooks = rest.expect("GET", "/flow/v1/hooks", None).await.unwrap();
    assert!(hooks.to_string().contains("default") && !hooks.to_string().contains(SECRET), "{hooks}");
    rest.expect("POST", "/flow/v1/hooks/default/test", None).await.unwrap();
    let heard = hook.heard();
    let trial = heard.last().expect("the trial arrived");
    assert_eq!(trial.signature, signature(SECRET.as_bytes(), &trial.body));
    assert_eq!(rest.call("POST", "/flow/v1/hooks/nope/test", None).await.unwrap().0, 404);

    // Another group without a webhook, which allows contents.
    let mut open = none(dir.path(), &address, 36);
    open.set("flow.data.read.enable", "true");
    open.join().await.unwrap();
    let other = open.any();
    other.create("reader", &sink(&topic, &dir.path().join("other"))).await.unwrap();
    let told = letter(&other).await;
    assert!(told.to_string().contains("my secret"), "{told}");
    assert_eq!(other.call("POST", "/flow/v1/hooks/default/test", None).await.unwrap().0, 404, "there is none");

    // A day of the calendar begins where the time zone says.
    let numbers = format!("settings-{run}-numbers");
    create_topic(&clients, &numbers, 1).await.unwrap();
    let source = |zone: &str| {
        json!({"connector.class": "datagen", "tasks.max": "1", "kafka.topic": numbers, "fields": "id:seq",
            "flow.rate.records": "5", "flow.quota.records": "100000", "flow.quota.window": "1d", "flow.time.zone": zone})
    };
    other.create("feeder", &source("Asia/Kolkata")).await.unwrap();
    let mut any = || other.clone();
    let resets = |a: &Value| a["quota"]["resets"].as_str().unwrap_or_default().to_owned();
    let kolkata = until(&mut any, "feeder", "counted by Indian days", |a| resets(a).contains("T18:30:00")).await;
    assert_eq!(kolkata["quota"]["time_zone"], "Asia/Kolkata", "{kolkata}");
    other.expect("PUT", "/connectors/feeder/config", Some(&source("UTC"))).await.unwrap();
    until(&mut any, "feeder", "counted by days of UTC", |a| resets(a).contains("T00:00:00")).await;
    for (rest, name) in [(&rest, "reader"), (&other, "reader"), (&other, "feeder")] {
        rest.expect("DELETE", &format!("/connectors/{name}"), None).await.unwrap();
    }
}
