//! Workers that reach each other over TLS alone, each with a certificate that the others ask for.
use crate::kafka;
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_integration_tests::worker::{Worker, WorkerOptions, free_port};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Two authorities, and a certificate for 127.0.0.1 that the first one has signed; false without openssl.
fn certificates(dir: &Path) -> bool {
    let run = |arguments: &str| {
        let ran = Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output();
        ran.is_ok_and(|output| output.status.success())
    };
    let authority = |name: &str| {
        run(&format!(
            "req -x509 -newkey rsa:2048 -nodes -sha256 -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"
        ))
    };
    let usage = "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n";
    std::fs::write(dir.join("worker.ext"), usage).unwrap();
    let made = authority("ours")
        && authority("theirs")
        && run("req -newkey rsa:2048 -nodes -sha256 -subj /CN=worker -keyout worker.key -out worker.csr")
        && run(
            "x509 -req -days 2 -in worker.csr -CA ours.pem -CAkey ours.key -CAcreateserial -extfile worker.ext -out worker.crt",
        );
    if made {
        let both = ["worker.key", "worker.crt"].map(|file| std::fs::read_to_string(dir.join(file)).unwrap());
        std::fs::write(dir.join("worker.pem"), both.concat()).unwrap();
    }
    made
}

/// A worker that others reach over https alone; its http port is for the test.
async fn worker(dir: &Path, bootstrap: &str, group: &str, truststore: &str) -> Worker {
    let secured = free_port().unwrap();
    let mut options = WorkerOptions::new(&dir.join(format!("w{secured}")), bootstrap, group).unwrap();
    let file = |name: &str| dir.join(name).display().to_string();
    for (key, value) in [
        ("listeners", format!("http://127.0.0.1:{},https://127.0.0.1:{secured}", options.port)),
        ("rest.advertised.listener", "https".to_owned()),
        ("ssl.keystore.location", file("worker.pem")),
        ("ssl.keystore.type", "PEM".to_owned()),
        ("ssl.truststore.location", file(truststore)),
        ("ssl.truststore.type", "PEM".to_owned()),
        ("ssl.client.auth", "required".to_owned()),
    ] {
        options.properties.insert(key.to_owned(), value);
    }
    Worker::start(options).await.unwrap()
}

async fn create(worker: &Worker, name: &str) -> (u16, Value) {
    let config = json!({"connector.class": "FileStreamSource", "file": "/nowhere", "topic": "t"});
    let body = json!({"name": name, "config": config, "initial_state": "STOPPED"});
    worker.rest().call("POST", "/connectors", Some(&body)).await.unwrap()
}

/// Whether a worker takes itself for the leader.
async fn leads(worker: &Worker) -> bool {
    let known = worker.rest().expect("GET", "/flow/v1/workers", None).await.unwrap();
    let listeners = &worker.options.properties["listeners"];
    let own = |info: &Value| info["url"].as_str().is_some_and(|url| listeners.split(',').any(|known| known == url));
    known.as_array().unwrap().iter().any(|info| info["leader"] == true && own(info))
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_pass_requests_on_over_tls_and_only_to_those_that_they_trust() {
    let Some(bootstrap) = kafka() else { return };
    let dir = tempfile::tempdir().unwrap();
    if !certificates(dir.path()) {
        println!("skipped: openssl is not installed");
        return;
    }
    let group = format!("tls-{}", run_number());
    let mut workers = Vec::new();
    for _ in 0..2 {
        workers.push(worker(dir.path(), &bootstrap, &group, "ours.pem").await);
    }
    for (number, worker) in workers.iter().enumerate() {
        let (status, answer) = create(worker, &format!("c{number}")).await;
        assert_eq!(status, 201, "{answer}\n{}", worker.log_tail());
    }
    for worker in &workers {
        assert_eq!(worker.rest().expect("GET", "/connectors", None).await.unwrap(), json!(["c0", "c1"]));
    }
    workers.truncate(1);
    let stranger = worker(dir.path(), &bootstrap, &group, "theirs.pem").await;
    refuses(&workers[0], &stranger).await;
}

/// Of two workers that do not trust each other, the one that does not lead carries nothing out and says which store to
/// look at.
async fn refuses(friend: &Worker, stranger: &Worker) {
    let began = Instant::now();
    for number in 0.. {
        let asked = if leads(friend).await { stranger } else { friend };
        let (status, answer) = create(asked, &format!("never{number}")).await;
        let message = answer["message"].as_str().unwrap_or_default();
        if status == 500 && message.contains("trust") && message.contains("store.location") {
            println!("refused: {message}");
            return;
        }
        // Leadership may have come to the one that was asked meanwhile.
        assert!(leads(asked).await, "{status}: {answer}\n{}", asked.log_tail());
        assert!(began.elapsed() < PATIENCE, "nobody is refused: {status}: {answer}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
