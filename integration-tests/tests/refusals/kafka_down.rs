use crate::ground::{broker, until};
use elasticflow_integration_tests::worker::{Worker, WorkerOptions, free_port};
use serde_json::{Value, json};

async fn health(port: u16) -> Option<(u16, Value)> {
    let client = elasticflow_integration_tests::rest::http_client();
    let answer = client.get(format!("http://127.0.0.1:{port}/health")).send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, serde_json::from_slice(&answer.bytes().await.ok()?).unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_kafka_says_so_and_recovers_when_kafka_comes() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port().unwrap();
    let options = WorkerOptions::new(dir.path(), &format!("127.0.0.1:{port}"), "kafka-down").unwrap();
    let rest_port = options.port;
    let mut worker = Worker::spawn(options).unwrap();
    let text = until("the worker says that Kafka does not answer", async || {
        let (status, answer) = health(rest_port).await?;
        let text = answer.to_string();
        (status == 503 && text.to_lowercase().contains("kafka")).then_some(text)
    })
    .await;
    assert!(!worker.has_ended().unwrap(), "{text}");

    let broker = broker(port).await;
    until("the worker is ready", async || health(rest_port).await.filter(|(status, _)| *status == 200)).await;
    let config = json!({"connector.class": "elasticflow.connectors.DatagenSourceConnector", "kafka.topic": "numbers",
        "fields": "id:seq", "iterations": "10"});
    worker.rest().create("numbers", &config).await.unwrap();
    worker.rest().await_running("numbers", crate::ground::SOON).await.unwrap();
    drop(broker);
}
