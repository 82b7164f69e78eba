//! A breaker that a person holds, and the incident that is made of it and told to a webhook.
use crate::ground::{Ground, SOON, broker, until};
use elasticflow_integration_tests::worker::{Worker, WorkerOptions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &str = "not-to-be-printed";

/// What a webhook was told: identity, signature, body.
type Heard = Arc<Mutex<Vec<(String, String, Vec<u8>)>>>;

/// Takes one request; the first of all is answered with 500.
async fn serve(mut stream: TcpStream, heard: &Heard) -> Option<()> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    let (head, body) = loop {
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length: usize = header(&head, "content-length")?.parse().ok()?;
        if bytes.len() >= end + 4 + length {
            break (head, bytes[end + 4..].to_vec());
        }
    };
    let id = header(&head, "x-flow-id")?;
    let is_first = {
        let mut heard = heard.lock().unwrap();
        heard.push((id, header(&head, "x-flow-signature")?, body));
        heard.len() == 1
    };
    let status = if is_first { "500 Internal Server Error" } else { "204 No Content" };
    stream
        .write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes())
        .await
        .ok()
}

fn header(head: &str, name: &str) -> Option<String> {
    let of = |line: &str| line.split_once(':').map(|(key, value)| (key.to_lowercase(), value.trim().to_owned()));
    head.lines().filter_map(of).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// HMAC-SHA256 by its definition, for a key shorter than a block.
fn hmac(key: &[u8], body: &[u8]) -> String {
    let pad = |with: u8| (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect::<Vec<u8>>();
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(body).finalize();
    let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn state(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    assert_eq!((&body["alert"]["kind"], &body["alert"]["subject"]), (&json!("breaker_open"), &json!("numbers")));
    body["alert"]["state"].as_str().unwrap().to_owned()
}

async fn ground(url: &str) -> Ground {
    let (dir, broker) = (tempfile::tempdir().unwrap(), broker(0).await);
    let mut options = WorkerOptions::new(dir.path(), &broker.bootstrap(), "breaker").unwrap();
    let hook = [("flow.hook.url", url), ("flow.hook.secret", SECRET), ("flow.sample.interval.ms", "200")];
    options.properties.extend(hook.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let worker = Worker::start(options).await.unwrap();
    Ground { worker, broker, dir }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_is_opened_and_closed_by_hand_and_its_webhook_hears_of_it_once_each() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (url, heard) = (format!("http://{}/hook", listener.local_addr().unwrap()), Heard::default());
    let hears = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            serve(stream, &hears).await;
        }
    });
    let ground = ground(&url).await;
    let rest = ground.worker.rest();
    let config = json!({"connector.class": "elasticflow.connectors.DatagenSourceConnector", "kafka.topic": "numbers",
        "fields": "id:seq", "flow.rate.records": "500"});
    rest.create("numbers", &config).await.unwrap();
    rest.await_running("numbers", SOON).await.unwrap();
    let (path, breaker) = ("/flow/v1/connectors/numbers", "/flow/v1/connectors/numbers/breaker");
    let rate =
        async || rest.expect("GET", path, None).await.unwrap()["measured"]["records_per_second"].as_f64().unwrap();
    until("it sends", async || (rate().await > 100.0).then_some(())).await;

    let wrong = rest.call("POST", breaker, Some(&json!({"action": "ajar"}))).await.unwrap();
    assert!(wrong.0 == 400 && wrong.1["message"].as_str().unwrap().contains("open, close or auto"), "{wrong:?}");
    let (status, _) =
        rest.call("POST", "/flow/v1/connectors/nope/breaker", Some(&json!({"action": "open"}))).await.unwrap();
    assert_eq!(status, 404);

    rest.expect("POST", breaker, Some(&json!({"action": "open"}))).await.unwrap();
    let shown = until("the breaker is open", async || {
        let shown = rest.expect("GET", path, None).await.unwrap();
        (shown["flow"]["state"] == "breaker_open" && rate().await == 0.0).then_some(shown)
    })
    .await;
    let reason = &shown["flow"]["reasons"][0];
    assert!(reason["code"] == "BREAKER" && reason["text"].as_str().unwrap().contains("a person"), "{shown}");
    let held = rest.expect("GET", breaker, None).await.unwrap();
    assert_eq!((&held["state"], &held["forced"]), (&json!("open"), &json!("open")));
    rest.await_running("numbers", SOON).await.unwrap();
    until("it is told after the first refusal", async || (heard.lock().unwrap().len() >= 2).then_some(())).await;
    let alerts = rest.expect("GET", "/flow/v1/alerts", None).await.unwrap();
    assert_eq!(alerts["alerts"][0]["state"], "open", "{alerts}");

    rest.expect("POST", breaker, Some(&json!({"action": "auto"}))).await.unwrap();
    until("it sends again", async || (rate().await > 100.0).then_some(())).await;
    until("that it is over is told", async || (heard.lock().unwrap().len() >= 3).then_some(())).await;
    let heard = heard.lock().unwrap().clone();
    assert_eq!(heard.iter().map(|(.., body)| state(body)).collect::<Vec<_>>(), ["open", "open", "resolved"]);
    assert!(heard[0].0 == heard[1].0 && heard[1].0 != heard[2].0, "the same message has the same name");
    for (_, signature, body) in &heard {
        assert_eq!(*signature, format!("sha256={}", hmac(SECRET.as_bytes(), body)));
    }
    let log = std::fs::read_to_string(ground.dir.path().join("worker.log")).unwrap();
    assert!(
        log.contains("the webhook did not take a message") && !log.contains(SECRET) && !log.contains(&url),
        "{log}"
    );
}
