//! A breaker that a person holds, and the incident that is made of it and told to a webhook.
use crate::ground::{Ground, SOON, until};
use elasticflow_integration_tests::hook::{Hook, signature};
use serde_json::{Value, json};

const SECRET: &str = "not-to-be-printed";

fn state(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    assert_eq!((&body["alert"]["kind"], &body["alert"]["subject"]), (&json!("breaker_open"), &json!("numbers")));
    body["alert"]["state"].as_str().unwrap().to_owned()
}

async fn ground(url: &str) -> Ground {
    let hook = [("flow.hook.url", url), ("flow.hook.secret", SECRET), ("flow.sample.interval.ms", "200")];
    Ground::with("breaker", &hook).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_is_opened_and_closed_by_hand_and_its_webhook_hears_of_it_once_each() {
    let hook = Hook::listen().await.unwrap();
    let url = hook.url.clone();
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
    until("it is told after the first refusal", async || (hook.heard().len() >= 2).then_some(())).await;
    let alerts = rest.expect("GET", "/flow/v1/alerts", None).await.unwrap();
    assert_eq!(alerts["alerts"][0]["state"], "open", "{alerts}");

    rest.expect("POST", breaker, Some(&json!({"action": "auto"}))).await.unwrap();
    until("it sends again", async || (rate().await > 100.0).then_some(())).await;
    until("that it is over is told", async || (hook.heard().len() >= 3).then_some(())).await;
    let heard = hook.heard();
    assert_eq!(heard.iter().map(|m| state(&m.body)).collect::<Vec<_>>(), ["open", "open", "resolved"]);
    assert!(heard[0].id == heard[1].id && heard[1].id != heard[2].id, "the same message has the same name");
    for message in &heard {
        assert_eq!(message.signature, signature(SECRET.as_bytes(), &message.body));
    }
    let log = std::fs::read_to_string(ground.dir.path().join("worker.log")).unwrap();
    assert!(
        log.contains("the webhook did not take a message") && !log.contains(SECRET) && !log.contains(&url),
        "{log}"
    );
}
