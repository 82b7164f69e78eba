//! What known clients of Kafka Connect ask for, one request after the other, of any of two workers; each answer is one that
//! `docs/openapi.json` describes.
use crate::kafka;
use elasticflow_integration_tests::openapi::OpenApi;
use elasticflow_integration_tests::rest::Rest;
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_integration_tests::worker::{Worker, WorkerOptions};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A client that is sent to one worker after the other.
struct Client {
    workers: Vec<Worker>,
    document: OpenApi,
    asked: std::cell::Cell<usize>,
}

impl Client {
    async fn of_two_workers(dir: &Path, bootstrap: &str) -> Self {
        let group = format!("connect-clients-{}", run_number());
        let mut workers = Vec::new();
        for number in 0..2 {
            let options = WorkerOptions::new(&dir.join(format!("w{number}")), bootstrap, &group).unwrap();
            workers.push(Worker::start(options).await.unwrap());
        }
        Self { workers, document: OpenApi::read().unwrap(), asked: std::cell::Cell::new(0) }
    }

    fn next(&self) -> Rest {
        let asked = self.asked.replace(self.asked.get() + 1);
        self.workers[asked % self.workers.len()].rest()
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let (status, answer) = self.next().call(method, path, body.as_ref()).await.unwrap();
        self.document.check(method, path, (status, &answer)).unwrap();
        (status, answer)
    }

    async fn expect(&self, (method, path): (&str, &str), body: Option<Value>, wanted: u16) -> Value {
        let (status, answer) = self.ask(method, path, body).await;
        assert_eq!(status, wanted, "{method} {path}: {answer}");
        answer
    }

    /// Reads again until it is so, as clients do that wait for what they have asked for.
    async fn until(&self, path: &str, holds: impl Fn(u16, &Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let (status, answer) = self.ask("GET", path, None).await;
            if holds(status, &answer) {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE, "{path}: {status} {answer}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn until_all_are(&self, name: &str, state: &str, tasks: usize) {
        self.until(&format!("/connectors/{name}/status/"), |_, status| {
            let running = status["tasks"].as_array().cloned().unwrap_or_default();
            let all = running.len() == tasks && running.iter().all(|task| task["state"] == state);
            status["connector"]["state"] == state && all
        })
        .await;
    }
}

fn source(dir: &Path) -> Value {
    std::fs::write(dir.join("in.txt"), "one\n").unwrap();
    let topic = format!("clients-{}", run_number());
    json!({"connector.class": "FileStreamSource", "tasks.max": "1", "file": dir.join("in.txt"), "topic": topic})
}

/// `info`, `get plugins`, `apply`, `get connectors`, `describe`, `patch`, `pause`, `resume`, `restart`, `stop`, `get offsets`,
/// `get loggers`, `patch logger`, `delete`: with the slashes that kcctl ends its paths with.
#[tokio::test(flavor = "multi_thread")]
async fn the_requests_of_kcctl_are_answered_as_it_needs_them() {
    let Some(bootstrap) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let client = Client::of_two_workers(dir.path(), &bootstrap).await;
    let info = client.expect(("GET", "/"), None, 200).await;
    assert!(info["version"].as_str().is_some_and(|version| version.starts_with("4.")), "features follow it: {info}");
    let plugins = client.expect(("GET", "/connector-plugins/?connectorsOnly=false"), None, 200).await;
    let kinds = |kind: &str| plugins.as_array().unwrap().iter().any(|plugin| plugin["type"] == kind);
    assert!(["source", "sink", "transformation", "converter", "predicate"].into_iter().all(kinds), "{plugins}");

    let config = source(dir.path());
    let path = "/connector-plugins/FileStreamSource/config/validate/";
    let validation = client.expect(("PUT", path), Some(config.clone()), 200).await;
    assert_eq!(validation["error_count"], 1, "the name is missing: {validation}");
    client.expect(("GET", "/connectors/k/"), None, 404).await;
    client.expect(("PUT", "/connectors/k/config/"), Some(config.clone()), 201).await;
    client.until_all_are("k", "RUNNING", 1).await;
    let all = client.until("/connectors/?expand=status&expand=info", |_, all| all["k"]["info"].is_object()).await;
    assert_eq!(all["k"]["info"]["config"]["topic"], config["topic"]);
    client.expect(("GET", "/connectors/k/"), None, 200).await;
    client.until("/connectors/k/topics/", |_, topics| topics["k"]["topics"] == json!([config["topic"]])).await;
    client.until("/connectors/k/offsets/", |_, offsets| offsets["offsets"][0]["offset"]["position"] == 4).await;

    client.expect(("PATCH", "/connectors/k/config/"), Some(json!({"batch.size": "5"})), 200).await;
    client.until("/connectors/k/config/", |_, config| config["batch.size"] == "5").await;
    client.expect(("PUT", "/connectors/k/pause/"), None, 202).await;
    client.until_all_are("k", "PAUSED", 1).await;
    client.expect(("PUT", "/connectors/k/resume/"), None, 202).await;
    client.until_all_are("k", "RUNNING", 1).await;
    client.expect(("POST", "/connectors/k/restart/"), None, 204).await;
    client.expect(("POST", "/connectors/k/restart/?includeTasks=true&onlyFailed=false"), None, 202).await;
    client.expect(("POST", "/connectors/k/tasks/0/restart/"), None, 204).await;
    client.expect(("PUT", "/connectors/k/stop/"), None, 204).await;
    client.until_all_are("k", "STOPPED", 0).await;
    let file = json!({"filename": dir.path().join("in.txt")});
    let altered = json!({"offsets": [{"partition": file, "offset": {"position": 0}}]});
    client.expect(("PATCH", "/connectors/k/offsets/"), Some(altered), 200).await;
    client.until("/connectors/k/offsets/", |_, offsets| offsets["offsets"][0]["offset"]["position"] == 0).await;
    client.expect(("DELETE", "/connectors/k/offsets/"), None, 200).await;

    client.expect(("GET", "/admin/loggers/"), None, 200).await;
    let logger = format!("/admin/loggers/k{}", run_number());
    client.expect(("PUT", &format!("{logger}/?scope=cluster")), Some(json!({"level": "DEBUG"})), 204).await;
    for _ in &client.workers {
        client.until(&logger, |status, level| status == 200 && level["level"] == "DEBUG").await;
    }
    client.expect(("DELETE", "/connectors/k/"), None, 204).await;
    client.until("/connectors/k/status/", |status, _| status == 404).await;
}

/// Create, read back until it is there, plan again (what is read is what was written), update until it shows, delete until it
/// is gone, and import of what others have made.
#[tokio::test(flavor = "multi_thread")]
async fn the_requests_of_the_terraform_provider_are_answered_as_it_needs_them() {
    let Some(bootstrap) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    let client = Client::of_two_workers(dir.path(), &bootstrap).await;
    let mut config = source(dir.path());
    config["name"] = json!("t");
    let request = json!({"name": "t", "config": config});
    let created = client.expect(("POST", "/connectors"), Some(request.clone()), 201).await;
    assert_eq!(created["config"], config);
    client.expect(("POST", "/connectors"), Some(request), 409).await;
    // What it reads has to be what it wrote, or each plan shows a change.
    let read = client.until("/connectors/t", |status, _| status == 200).await;
    assert_eq!(read["config"], config);
    client.until_all_are("t", "RUNNING", 1).await;

    config["batch.size"] = json!("7");
    client.expect(("PUT", "/connectors/t/config"), Some(config.clone()), 200).await;
    let read = client.until("/connectors/t", |_, read| read["config"]["batch.size"] == "7").await;
    assert_eq!(read["config"], config);
    let names = client.expect(("GET", "/connectors"), None, 200).await;
    assert_eq!(names, json!(["t"]));
    client.until_all_are("t", "RUNNING", 1).await;
    client.expect(("DELETE", "/connectors/t"), None, 204).await;
    client.until("/connectors/t", |status, _| status == 404).await;
    client.expect(("DELETE", "/connectors/t"), None, 404).await;
}
