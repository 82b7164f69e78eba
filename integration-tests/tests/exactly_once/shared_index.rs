//! Two connectors that write into one index.
use crate::indexed::{Indexed, indexed, numbers};
use elasticflow_integration_tests::follow::{cluster, create_topic};
use elasticflow_integration_tests::scenes::one_sink::{SETTLE_MAX, Scene};
use elasticflow_integration_tests::search::Search;
use serde_json::json;
use std::time::{Duration, Instant};

const NAME: &str = "first";
const OTHER: &str = "other";

/// Waits until the index holds these numbers, by document.
async fn await_numbers(scene: &Scene, search: &Search, wanted: &[(&str, i64)]) {
    let began = Instant::now();
    loop {
        search.refresh(&scene.topic).await.unwrap();
        let documents = search.all(&scene.topic, "id").await.unwrap();
        let found: Vec<_> = documents.iter().map(|(id, d)| (id.as_str(), d["n"].as_i64().unwrap_or(-1))).collect();
        if found == wanted {
            return;
        }
        assert!(began.elapsed() < SETTLE_MAX, "{found:?}\n{}", scene.worker.log_tail());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_connectors_share_an_index_and_the_reset_and_the_end_of_one_leave_the_other_alone() {
    let Some(Indexed { bootstrap, search, scene, index, dir: _dir }) =
        indexed(NAME, "two connectors into one index").await
    else {
        return;
    };
    let other = format!("{index}-other");
    search.call("PUT", &format!("/{index}"), Some(&numbers())).await.unwrap();
    create_topic(cluster(&bootstrap).unwrap().as_ref(), &other, 1).await.unwrap();
    let rest = scene.worker.rest();
    let mut config = rest.expect("GET", &format!("/connectors/{NAME}/config"), None).await.unwrap();
    for (key, value) in [
        ("name", OTHER),
        ("topics", &other),
        ("transforms", "route"),
        ("transforms.route.type", "org.apache.kafka.connect.transforms.RegexRouter"),
        ("transforms.route.regex", ".*"),
        ("transforms.route.replacement", &index),
    ] {
        config[key] = json!(value);
    }
    rest.create(OTHER, &config).await.unwrap();
    rest.await_running(OTHER, SETTLE_MAX).await.unwrap();
    scene.send(&[("1", r#"{"id":1,"n":1}"#), ("2", r#"{"id":2,"n":2}"#)]).await.unwrap();
    scene.send_into(&other, 0, &[("3", r#"{"id":3,"n":3}"#), ("4", r#"{"id":4,"n":4}"#)]).await.unwrap();
    await_numbers(&scene, &search, &[("1", 1), ("2", 2), ("3", 3), ("4", 4)]).await;

    // Somebody empties the index, and one of them writes everything again: what it owns, and nothing else.
    for id in 1..=4 {
        search.call("DELETE", &format!("/{index}/_doc/{id}?refresh=true"), None).await.unwrap();
    }
    scene.reset().await.unwrap();
    await_numbers(&scene, &search, &[("1", 1), ("2", 2)]).await;
    scene.send_into(&other, 0, &[("5", r#"{"id":5,"n":5}"#)]).await.unwrap();
    await_numbers(&scene, &search, &[("1", 1), ("2", 2), ("5", 5)]).await;

    rest.expect("DELETE", &format!("/connectors/{NAME}"), None).await.unwrap();
    scene.send_into(&other, 0, &[("6", r#"{"id":6,"n":6}"#)]).await.unwrap();
    await_numbers(&scene, &search, &[("1", 1), ("2", 2), ("5", 5), ("6", 6)]).await;
    search.call("DELETE", &format!("/{index}"), None).await.unwrap();
    assert!(scene.worker.stop().await.unwrap());
}
