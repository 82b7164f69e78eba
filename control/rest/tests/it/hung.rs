//! A connector that hangs holds up nobody but its own requests.
use crate::tcp::{Endpoint, LIMITS};
use crate::world::{World, golden};
use elasticflow_config::Properties;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn connector(name: &str, class: &str, hang: &str) -> Value {
    json!({"name": name, "config": {"connector.class": class, "topic": "t", "hang": hang, "file": "/nowhere"}})
}

async fn until(endpoint: &Endpoint, path: &str, is_so: impl Fn(&Value) -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let json = endpoint.ask("GET", path, None).await.json();
        if is_so(&json) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{path}: {json}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_that_hangs_in_start_does_not_hold_up_the_others() {
    let text = std::fs::read_to_string(golden().join("worker/default.properties")).unwrap();
    let patient = Properties::from_properties_text(&text).unwrap().with("connector.validation.timeout.ms", "100000");
    let world = World::with(patient, tempfile::tempdir().unwrap()).await;
    let endpoint = Arc::new(Endpoint::start(world, LIMITS).await);
    // One hangs while it is asked for its tasks, the other while it checks its configuration.
    let started = endpoint.ask("POST", "/connectors", Some(&connector("stuck", "HangingSource", "plan"))).await;
    assert_eq!(started.status, 201, "{}", started.body);
    let asking = Arc::clone(&endpoint);
    let validating = tokio::spawn(async move {
        let stuck = connector("stuck2", "HangingSource", "validate");
        asking.ask("POST", "/connectors", Some(&stuck)).await.status
    });
    for n in 0..10 {
        let (name, path) = (format!("f{n}"), format!("/connectors/f{n}"));
        let created = endpoint.ask("POST", "/connectors", Some(&connector(&name, "FileStreamSource", ""))).await;
        assert_eq!(created.status, 201, "{}", created.body);
        until(&endpoint, &format!("{path}/status"), |s| s["tasks"][0]["state"] == "RUNNING").await;
        for (method, action, status) in [("PUT", "/pause", 202), ("PUT", "/resume", 202), ("PUT", "/stop", 204)] {
            assert_eq!(endpoint.ask(method, &format!("{path}{action}"), None).await.status, status);
        }
        assert_eq!(endpoint.ask("DELETE", &path, None).await.status, 204);
    }
    assert!(!validating.is_finished(), "the hanging request was answered in the meantime: it proves nothing");
    let tasks = endpoint.ask("GET", "/connectors/stuck/tasks", None).await;
    assert_eq!(tasks.json(), json!([]), "it still hangs");
    // The hanging one itself can be got rid of.
    assert_eq!(endpoint.ask("PUT", "/connectors/stuck/stop", None).await.status, 204);
    assert_eq!(endpoint.ask("DELETE", "/connectors/stuck", None).await.status, 204);
    validating.abort();
}
