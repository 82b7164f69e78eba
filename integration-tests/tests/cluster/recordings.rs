//! The recordings of Kafka Connect against three workers that run, each request to any of them.
use crate::kafka;
use crate::replay::{Ask, Outcome, Patience, Reply, Scenario, Target, Variables};
use elasticflow_integration_tests::rest::http_client;
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_integration_tests::worker::{Worker, WorkerOptions};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const PATIENCE: Patience = Patience { awaited: Duration::from_secs(60), shown: Duration::from_secs(5) };
const WORKERS: usize = 3;
/// Where the URLs of answers lead, whichever worker is asked: what a load balancer before them would send.
const HOST: &str = "workers.test:8083";
/// Keys of a recorded worker that are this run's own.
const OWN: &[&str] = &[
    "bootstrap.servers",
    "group.id",
    "listeners",
    "rest.advertised.port",
    "offset.storage.topic",
    "config.storage.topic",
    "status.storage.topic",
];
/// Steps that are not met, by scenario and step, with the reason.
const NOT_MET: &[(&str, &str)] = &[
    ("06-plugins/027-alias-HoistField-Value", "inner classes have aliases here"),
    ("07-validate/049-plugin-version-range", "the range is one of Kafka's versions; plug-ins have the product's"),
    ("07-validate/050-plugin-version-unknown", "it names Kafka's version; plug-ins have the product's"),
];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../control/rest/tests/golden")
}

/// Workers of one recorded kind.
struct Workers {
    workers: Vec<Worker>,
    dir: PathBuf,
    group: String,
    http: reqwest::Client,
    random: Mutex<SmallRng>,
    credentials: Option<&'static str>,
}

impl Workers {
    async fn start(kind: &str, dir: &Path, bootstrap: &str, seed: u64) -> Self {
        let group = format!("connect-recorded-{}", run_number());
        let mut workers = Vec::new();
        for number in 0..WORKERS {
            let mut options = WorkerOptions::new(&dir.join(format!("w{number}")), bootstrap, &group).unwrap();
            options.properties = properties(kind, dir, options.port);
            workers.push(Worker::spawn(options).unwrap());
        }
        let credentials = (kind == "auth").then_some("Basic dTpw");
        let random = Mutex::new(SmallRng::seed_from_u64(seed));
        let here = Self { workers, dir: dir.to_path_buf(), group, http: http_client(), random, credentials };
        here.await_group().await;
        here
    }

    fn url(&self, worker: usize) -> String {
        format!("http://127.0.0.1:{}", self.workers[worker].options.port)
    }

    async fn json(&self, method: &str, worker: usize, path: &str) -> Option<Value> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.url(worker)));
        if let Some(credentials) = self.credentials {
            request = request.header("Authorization", credentials);
        }
        let body = request.send().await.ok()?.bytes().await.ok()?;
        serde_json::from_slice(&body).ok()
    }

    /// What a worker knows of the group: ports of those that hold slots, and of the one that leads.
    async fn known(&self, worker: usize) -> (usize, Option<u16>) {
        let infos = self.json("GET", worker, "/flow/v1/workers").await;
        let infos = infos.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
        let port = |info: &Value| info["id"].as_str()?.rsplit_once(':')?.1.parse().ok();
        let leader = infos.iter().find(|info| info["leader"] == true).and_then(port);
        (infos.iter().filter(|info| info["slots"].as_u64() > Some(0)).count(), leader)
    }

    /// Every worker holds slots, and every one says so.
    async fn await_group(&self) {
        let began = Instant::now();
        for worker in 0..WORKERS {
            loop {
                let known = self.known(worker).await;
                if known.0 == WORKERS && known.1.is_some() {
                    break;
                }
                assert!(began.elapsed() < PATIENCE.awaited * 2, "{known:?}\n{}", self.workers[worker].log_tail());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    fn any(&self) -> usize {
        self.random.lock().unwrap().random_range(0..WORKERS)
    }

    /// The worker that a request goes to: any, but where the recording is about one of them.
    async fn worker_for(&self, ask: &Ask) -> usize {
        // A log level is one worker's, unless it is set for the cluster.
        if ask.via.is_none() && ask.path.starts_with("/admin/") {
            return 0;
        }
        loop {
            let worker = self.any();
            let (_, leader) = if ask.via.is_some() { self.known(worker).await } else { (0, None) };
            if leader != Some(self.workers[worker].options.port) {
                return worker;
            }
        }
    }

    fn variables(&self, number: usize) -> Variables {
        let run = format!("{:06x}", (run_number() + number as u64) & 0xff_ffff);
        let dir = self.dir.join(format!("s{number}"));
        std::fs::create_dir_all(&dir).unwrap();
        Variables { url: format!("http://{HOST}"), dir, run, group: self.group.clone() }
    }

    /// Takes away what a scenario has left behind.
    async fn clean(&self) {
        let began = Instant::now();
        loop {
            let names = self.json("GET", 0, "/connectors").await;
            let names = names.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
            if names.is_empty() {
                return;
            }
            for name in names.iter().filter_map(Value::as_str) {
                let escaped: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
                self.json("DELETE", 0, &format!("/connectors/{escaped}")).await;
            }
            assert!(began.elapsed() < PATIENCE.awaited, "{names:?} cannot be deleted");
        }
    }

    fn logs(&self) -> String {
        self.workers.iter().map(|worker| format!("--- {}\n{}\n", worker.options.port, worker.log_tail())).collect()
    }
}

/// What a recorded worker is told, where it is not this run's own.
fn properties(kind: &str, dir: &Path, port: u16) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(golden().join(format!("worker/{kind}.properties"))).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    let told = lines.filter(|(key, _)| !OWN.contains(key)).map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut properties: BTreeMap<String, String> = BTreeMap::from([
        ("exactly.once.source.support".to_owned(), "disabled".to_owned()),
        ("key.converter.schemas.enable".to_owned(), "true".to_owned()),
        ("value.converter.schemas.enable".to_owned(), "true".to_owned()),
        ("rest.advertised.port".to_owned(), port.to_string()),
    ]);
    properties.extend(told);
    if kind == "auth" {
        let users = dir.join("users.properties").display().to_string();
        let module = "org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule";
        let login = format!("KafkaConnect {{ {module} required file=\"{users}\"; }};");
        std::fs::write(dir.join("login.conf"), login).unwrap();
        std::fs::write(&users, "u=p\n").unwrap();
        let login = dir.join("login.conf").display().to_string();
        properties.insert("java.security.auth.login.config".to_owned(), login);
    }
    properties
}

#[async_trait::async_trait]
impl Target for Workers {
    async fn ask(&self, ask: &Ask) -> Reply {
        let worker = self.worker_for(ask).await;
        let method = reqwest::Method::from_bytes(ask.method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}{}", self.url(worker), ask.path)).header("Host", HOST);
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        if let Some(body) = &ask.body {
            request = request.body(body.clone());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let headers = answer.headers().iter().map(|(k, v)| (k.to_string(), v.to_str().unwrap().to_owned())).collect();
        Reply { status, headers, body: answer.bytes().await.unwrap().to_vec() }
    }
}

async fn replay(kind: &str, scenarios: &[&Scenario], bootstrap: &str, seed: u64) -> Vec<Outcome> {
    let dir = tempfile::tempdir().unwrap();
    let workers = Workers::start(kind, dir.path(), bootstrap, seed).await;
    let mut outcomes = Vec::new();
    for (number, scenario) in scenarios.iter().enumerate() {
        let (began, variables) = (Instant::now(), workers.variables(number));
        let replayed = scenario.replay(&workers, &variables, PATIENCE).await;
        println!("{}: {} steps in {:?}", scenario.name, scenario.len(), began.elapsed());
        outcomes.extend(replayed);
        workers.clean().await;
    }
    if outcomes.iter().any(|outcome| !is_as_known(outcome)) {
        println!("{}", workers.logs());
    }
    outcomes
}

fn is_as_known(outcome: &Outcome) -> bool {
    outcome.result.is_err() == NOT_MET.iter().any(|(step, _)| *step == outcome.step)
}

/// Replays what is recorded of some kinds of workers; the seed of the choices is printed.
async fn replay_kinds(chosen: impl Fn(&str) -> bool) {
    let Some(bootstrap) = kafka() else { return };
    let seed = std::env::var("EF_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(run_number);
    println!("EF_SEED={seed} sends each request to the same worker again");
    let scenarios = Scenario::all(golden().to_str().unwrap());
    let mut kinds: BTreeMap<&str, Vec<&Scenario>> = BTreeMap::new();
    for scenario in scenarios.iter().filter(|scenario| chosen(&scenario.worker)) {
        kinds.entry(&scenario.worker).or_default().push(scenario);
    }
    let mut outcomes = Vec::new();
    for (kind, scenarios) in &kinds {
        outcomes.extend(replay(kind, scenarios, &bootstrap, seed).await);
    }
    let steps: usize = kinds.values().flatten().map(|scenario| scenario.len()).sum();
    assert_eq!(outcomes.len(), steps, "no step is skipped");
    let met = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    println!("{met} of {steps} recorded steps are met by {WORKERS} workers of each of {} kinds", kinds.len());
    let wrong = outcomes.iter().filter(|outcome| !is_as_known(outcome));
    let wrong: Vec<String> = wrong.map(|outcome| format!("{}: {:?}", outcome.step, outcome.result)).collect();
    assert!(wrong.is_empty(), "{} steps:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_of_three_ordinary_workers_answers_as_recorded() {
    replay_kinds(|kind| kind == "default").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_of_three_workers_of_each_other_kind_answers_as_recorded() {
    replay_kinds(|kind| kind != "default").await;
}
