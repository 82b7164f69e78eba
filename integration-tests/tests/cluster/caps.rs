//! A source at its cap with a sink that is paused: what the keys of caps make of it, each changed while it runs.
use crate::kafka;
use crate::limited::{Counter, because, found, none, state, until};
use elasticflow_integration_tests::follow::{cluster, create_topic};
use elasticflow_integration_tests::scenes::run_number;
use serde_json::{Value, json};

/// A cap that is soon reached, and leaves room for what is on its way.
const CAP: u64 = 4 << 20;
/// No record is smaller.
const RECORD: u64 = 100;
/// Far above the cap.
const MORE: u64 = 30_000;

fn source(topic: &str, own: &[(&str, &str)]) -> Value {
    let mut config = json!({"connector.class": "datagen", "tasks.max": "1", "kafka.topic": topic,
        "fields": "id:seq, note:text(30,30)", "max.interval": "0", "flow.rate.records": "5000", "batch.records": "100",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
        "flow.cap.bytes": CAP.to_string(), "flow.retention.guard": "off", "flow.lag.control": "off"});
    let members = config.as_object_mut().unwrap();
    members.extend(own.iter().map(|(key, value)| ((*key).to_owned(), json!(value))));
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn who_counts_for_a_cap_and_whether_it_holds_change_while_the_source_runs() {
    let Some(address) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (clients, topic) = (cluster(&address).unwrap(), format!("capped-{}", run_number()));
    create_topic(&clients, &topic, 1).await.unwrap();
    let mut group = none(dir.path(), &address, 33);
    group.join().await.unwrap();
    let out = dir.path().join("out");
    std::fs::create_dir_all(&out).unwrap();
    let rest = group.any();
    let sink = json!({"connector.class": "elasticflow.connectors.FileSinkConnector", "tasks.max": "1", "topics": topic,
        "output.path": out.display().to_string(), "format": "json", "commit.interval.ms": "500"});
    rest.create("reader", &sink).await.unwrap();
    rest.expect("PUT", "/connectors/reader/pause", None).await.unwrap();
    rest.create("feeder", &source(&topic, &[])).await.unwrap();
    let counter = Counter::of(&clients, &topic).await.unwrap();
    let mut any = || rest.clone();
    let put = async |own: &[(&str, &str)]| {
        rest.expect("PUT", "/connectors/feeder/config", Some(&source(&topic, own))).await.unwrap();
    };
    let goes_on = async |what: &str| {
        let before = counter.now();
        found(what, async || (counter.now() >= before + MORE).then_some(())).await;
    };
    // At first it is held until it is known what there is.
    let held_by = |answer: &Value, who: &str| {
        let reason = &answer["flow"]["reasons"][0];
        let text = reason["text"].as_str().unwrap_or_default();
        state(answer) == "held" && reason["code"] == "CAP" && text.contains(who)
    };
    let held = |answer: &Value| held_by(answer, "sink reader (paused)");

    until(&mut any, "feeder", "held while the sink is paused", held).await;
    assert!(counter.now() < CAP / RECORD, "no more than the cap: {}", counter.now());

    put(&[("flow.cap.action", "alarm")]).await;
    goes_on("an alarm lets it go on").await;
    let over = |answer: &Value| state(answer) != "held" && because(answer, "RETENTION_RISK");
    let answer = until(&mut any, "feeder", "told of", over).await;
    let reasons = answer["flow"]["reasons"].as_array().unwrap();
    let reason = reasons.iter().find(|reason| reason["code"] == "RETENTION_RISK").unwrap();
    assert!(reason["numbers"]["over_bytes"].as_f64().unwrap() > 1e6, "{reason}");
    found("an incident tells of it", async || {
        let alerts = rest.expect("GET", "/flow/v1/alerts", None).await.ok()?;
        let alerts = alerts["alerts"].as_array()?.clone();
        let is_it = |a: &Value| a["kind"] == "retention_risk" && a["subject"] == "feeder (cap)" && a["state"] == "open";
        alerts.iter().any(is_it).then_some(())
    })
    .await;

    put(&[]).await;
    until(&mut any, "feeder", "held again", held).await;
    put(&[("flow.cap.counts", "running,failed")]).await;
    goes_on("a paused sink that does not count holds nobody").await;

    rest.expect("PUT", "/connectors/reader/stop", None).await.unwrap();
    put(&[]).await;
    goes_on("neither does a stopped one").await;
    put(&[("flow.cap.counts", "running,paused,failed,stopped")]).await;
    let held = |answer: &Value| held_by(answer, "sink reader (stopped)");
    until(&mut any, "feeder", "held by a stopped sink that counts", held).await;
    for name in ["feeder", "reader"] {
        rest.expect("DELETE", &format!("/connectors/{name}"), None).await.unwrap();
    }
}
