//! Elasticsearch that is away, and documents that it refuses; needs EF_ELASTICSEARCH.
use crate::ground::{Ground, failure, until};
use elasticflow_integration_tests::search::Search;
use elasticflow_integration_tests::servers::setting;
use elasticflow_integration_tests::worker::free_port;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How long the server is away.
const OUTAGE: Duration = Duration::from_secs(60);

fn server() -> Option<String> {
    let found = setting("EF_ELASTICSEARCH").ok();
    if found.is_none() {
        println!("skipped: EF_ELASTICSEARCH is not set; `scripts/services up elasticsearch` starts one");
    }
    found
}

/// Forwards a port to the server until it is aborted.
fn forward(port: u16, to: &str) -> JoinHandle<()> {
    let to = to.trim_start_matches("http://").trim_end_matches('/').to_owned();
    tokio::spawn(async move {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (mut inside, _) = listener.accept().await.unwrap();
            let to = to.clone();
            connections.spawn(async move {
                if let Ok(mut outside) = TcpStream::connect(&to).await {
                    drop(copy_bidirectional(&mut inside, &mut outside).await);
                }
            });
        }
    })
}

/// Takes every connection to a port and closes it at once; tells when each came.
fn refuse(port: u16) -> (JoinHandle<()>, Arc<Mutex<Vec<Instant>>>) {
    let attempts = Arc::<Mutex<Vec<Instant>>>::default();
    let seen = Arc::clone(&attempts);
    let task = tokio::spawn(async move {
        let listener = loop {
            // The forwarder of a moment ago may still hold the port.
            match TcpListener::bind(("127.0.0.1", port)).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        loop {
            drop(listener.accept().await.unwrap());
            seen.lock().unwrap().push(Instant::now());
        }
    });
    (task, attempts)
}

fn generator(topic: &str, records: u64) -> Value {
    json!({"connector.class": "elasticflow.connectors.DatagenSourceConnector", "kafka.topic": topic,
        "fields": "id:seq,n:int(1,100)", "schema.keyfield": "id", "iterations": records.to_string(), "max.interval": "0"})
}

fn sink(url: &str, topic: &str) -> Value {
    json!({"connector.class": "elasticflow.connectors.ElasticsearchSinkConnector", "connection.url": url, "topics": topic})
}

async fn fresh(search: &Search, index: &str) {
    search.call("DELETE", &format!("/{index}"), None).await.unwrap();
}

async fn await_documents(search: &Search, index: &str, count: u64) {
    until(&format!("{count} documents"), async || {
        search.refresh(index).await.ok()?;
        (search.count(index).await.ok()? == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_a_minute_is_probed_one_by_one_and_loses_nothing() {
    let Some(url) = server() else { return };
    let (search, index) = (Search::new(&url), "ef-test-outage");
    fresh(&search, index).await;
    let ground = Ground::new("search-outage").await;
    let port = free_port().unwrap();
    let open = forward(port, &url);
    let rest = ground.worker.rest();
    rest.create("numbers", &generator(index, 1000)).await.unwrap();
    let mut config = sink(&format!("http://127.0.0.1:{port}"), index);
    config["flow.breaker.open.ms"] = "20000".into();
    // No trial is further away than the test waits.
    config["flow.breaker.open.max.ms"] = "20000".into();
    rest.create("index", &config).await.unwrap();
    await_documents(&search, index, 1000).await;

    open.abort();
    let (refusing, attempts) = refuse(port);
    rest.expect("PUT", "/connectors/numbers/config", Some(&generator(index, 3000))).await.unwrap();
    tokio::time::sleep(OUTAGE).await;
    assert_eq!(search.count(index).await.unwrap(), 1000);
    refusing.abort();
    drop(refusing.await);
    let attempts = attempts.lock().unwrap().clone();
    // Five in a row open the breaker; then nothing for 20 s less a fifth, and single trials from then on.
    assert!((6..=9).contains(&attempts.len()), "{} connections in {} s", attempts.len(), OUTAGE.as_secs());
    for pair in attempts.windows(2).skip(4) {
        let gap = pair[1].duration_since(pair[0]);
        assert!(gap >= Duration::from_secs(16), "a trial {gap:?} after the one before");
    }
    let again = forward(port, &url);
    await_documents(&search, index, 3000).await;
    rest.await_running("index", crate::ground::SOON).await.unwrap();
    again.abort();
    fresh(&search, index).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_conflict_fails_the_task_or_goes_to_the_dead_letter_topic() {
    let Some(url) = server() else { return };
    let (search, index) = (Search::new(&url), "ef-test-conflict");
    fresh(&search, index).await;
    let mapping = json!({"mappings": {"properties": {"n": {"type": "ip"}}}});
    search.call("PUT", &format!("/{index}"), Some(&mapping)).await.unwrap();
    let ground = Ground::new("search-conflict").await;
    let rest = ground.worker.rest();
    rest.create("numbers", &generator(index, 20)).await.unwrap();

    rest.create("strict", &sink(&url, index)).await.unwrap();
    let trace = failure(&ground.worker, "strict").await;
    assert!(trace.contains('n') && trace.contains(index), "{trace}");

    let mut tolerant = sink(&url, index);
    tolerant["errors.tolerance"] = "all".into();
    tolerant["errors.deadletterqueue.topic.name"] = "ef-test-dead".into();
    tolerant["errors.deadletterqueue.topic.replication.factor"] = "1".into();
    tolerant["errors.deadletterqueue.context.headers.enable"] = "true".into();
    rest.create("tolerant", &tolerant).await.unwrap();
    rest.await_running("tolerant", crate::ground::SOON).await.unwrap();
    let client = [("bootstrap.servers".to_owned(), ground.broker.bootstrap())].into();
    let kafka = elasticflow_kafka::RdKafka::new(&client).unwrap();
    let dead = elasticflow_api::position::TopicPartition { topic: "ef-test-dead".into(), partition: 0 };
    until("20 dead letters", async || {
        let ends =
            elasticflow_kafka::ports::Kafka::admin(&*kafka).end_offsets(std::slice::from_ref(&dead)).await.ok()?;
        (ends.get(&dead)?.0 >= 20).then_some(())
    })
    .await;
    rest.await_running("tolerant", crate::ground::SOON).await.unwrap();
    fresh(&search, index).await;
}
