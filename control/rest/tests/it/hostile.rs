//! Bad requests without end: each is answered 4xx or closed, none 5xx, and the worker goes on.
use crate::tcp::{Answer, Endpoint, LIMITS, segment};
use crate::world::World;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

/// How many requests are made up.
const REQUESTS: u64 = 2_200;
/// At least as many must have been bad.
const BAD: usize = 1_000;

const METHODS: &[&str] =
    &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW", "get"];
const PATHS: &[&str] = &[
    "/",
    "/health",
    "/metrics",
    "/connectors",
    "/connectors?expand=status&expand=info&expand=%zz",
    "/connectors/{n}",
    "/connectors/{n}/config",
    "/connectors/{n}/status",
    "/connectors/{n}/restart?includeTasks=maybe&onlyFailed=true",
    "/connectors/{n}/pause",
    "/connectors/{n}/resume",
    "/connectors/{n}/stop",
    "/connectors/{n}/tasks",
    "/connectors/{n}/tasks/{n}/status",
    "/connectors/{n}/tasks/-1/restart",
    "/connectors/{n}/tasks/99999999999/status",
    "/connectors/{n}/topics",
    "/connectors/{n}/topics/reset",
    "/connectors/{n}/offsets",
    "/connectors/{n}/fence",
    "/connector-plugins",
    "/connector-plugins/{n}/config",
    "/connector-plugins/FileStreamSource/config/validate",
    "/connector-plugins/FileStreamSink/config/validate",
    "/connector-plugins/{n}/config/validate",
    "/flow/v1/workers",
    "/flow/v1/workers/{n}",
    "/flow/v1/workers/{n}/drain",
    "/flow/v1/workers/{n}/undrain",
    "/flow/v1/connectors/{n}",
    "/flow/v1/throttle",
    "/flow/v1/lag/groups",
    "/flow/v2/{n}",
    "/admin/loggers",
    "/admin/loggers/{n}?scope={n}",
    "/{n}",
    "//connectors",
    "/connectors//config",
    "/connectors/%ff/config",
    "/connectors/%2e%2e/config",
];
const HEADERS: &[&str] = &[
    "Content-Type: application/json",
    "Content-Type: application/json",
    "Content-Type: application/json",
    "Content-Type: text/plain",
    "Content-Type: application/json;charset=latin1",
    "Accept: */*",
    "Accept: application/xml",
    "Accept: \u{7f}",
    "Authorization: Basic !!!",
    "X-Connect-Authorization: AAAA",
    "X-Connect-Request-Signature-Algorithm: HmacMD5",
    "Origin: http://evil.test",
    "Host: a b c",
    "Expect: 100-continue",
    "Upgrade: websocket",
    "Accept-Encoding: gzip",
    "Cookie: a=b; c",
];
const RAW: &[&str] = &[
    "GET\r\n\r\n",
    "GET /connectors\r\n\r\n",
    "GET / HTTP/9.9\r\n\r\n",
    "GET  /  HTTP/1.1\r\n\r\n",
    "G\u{0}T / HTTP/1.1\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET http://other.test/connectors HTTP/1.1\r\nConnection: close\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nConnection: close\r\n\r\n",
    "CONNECT x:1 HTTP/1.1\r\nConnection: close\r\n\r\n",
    "POST /connectors HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "POST /connectors HTTP/1.1\r\nContent-Length: abc\r\n\r\n",
    "POST /connectors HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "POST /connectors HTTP/1.1\r\nContent-Length: 18446744073709551615\r\nContent-Type: application/json\r\n\r\n{}",
    "POST /connectors HTTP/1.1\r\nContent-Length: 100\r\nContent-Type: application/json\r\n\r\n{}",
    "POST /connectors HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nzz\r\n",
    "POST /connectors HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nffffffffffffffff\r\n",
    "POST /connectors HTTP/1.1\r\nTransfer-Encoding: gzip\r\nContent-Type: application/json\r\n\r\n{}",
    "GET / HTTP/1.1\r\nA\u{1}: b\r\n\r\n",
    "GET / HTTP/1.1\r\n folded\r\n\r\n",
    "GET / HTTP/1.1\r\nNo colon\r\n\r\n",
    "\r\n\r\n\r\n",
    "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}",
];

fn pick<'a, T: ?Sized>(rng: &mut StdRng, from: &'a [&'a T]) -> &'a T {
    from.choose(rng).unwrap()
}

fn name(rng: &mut StdRng) -> String {
    match rng.random_range(0..12) {
        0 => "x".repeat([1, 255, 256, 5_000, 100_000][rng.random_range(0..5)]),
        1 => format!("sl/ash{}", rng.random_range(0..3)),
        2 => ["..", ".", "...", "%", "%2F", "%41"].choose(rng).unwrap().to_string(),
        3 => (0..rng.random_range(1..6)).map(|_| rng.random::<char>()).collect(),
        4 => (0..rng.random_range(1..6)).map(|_| char::from(rng.random_range(0..128u8))).collect(),
        5 => " ".repeat(rng.random_range(1..3)),
        6 => "日本語 ünï 🎉".to_owned(),
        _ => format!("c{}", rng.random_range(0..6)),
    }
}

fn value(rng: &mut StdRng) -> Value {
    match rng.random_range(0..14) {
        0 => Value::Null,
        1 => json!(rng.random::<i64>()),
        2 => json!(rng.random::<f64>()),
        3 => json!([name(rng)]),
        4 => json!({ name(rng): 1 }),
        5 => json!("x".repeat(100_000)),
        6 => json!("${file:/nope:key}"),
        7 => json!("${nope:a:b:c}${env:}"),
        8 => json!(["(", "[a-", "a{1000000}", "(?<x", "*"].choose(rng).unwrap()),
        9 => json!(",,,a,a,,"),
        10 => json!(["2147483648", "-1", "0", "1e9", "0x10", "NaN", "true", ""].choose(rng).unwrap()),
        _ => json!(name(rng)),
    }
}

fn config(rng: &mut StdRng) -> Value {
    const KEYS: &[&str] = &[
        "name",
        "connector.class",
        "tasks.max",
        "topic",
        "topics",
        "topics.regex",
        "file",
        "transforms",
        "transforms.a.type",
        "transforms.a.predicate",
        "predicates",
        "predicates.p.type",
        "key.converter",
        "value.converter",
        "errors.tolerance",
        "errors.deadletterqueue.topic.name",
        "topic.creation.groups",
        "topic.creation.default.partitions",
        "exactly.once.support",
        "transaction.boundary",
        "offsets.storage.topic",
        "consumer.override.group.id",
        "producer.override.linger.ms",
        "connector.plugin.version",
        "",
        "\u{0}",
    ];
    let class =
        ["FileStreamSource", "FileStreamSink", "org.apache.kafka.connect.file.FileStreamSourceConnector", "Nope"];
    let mut members = Map::from_iter([
        ("connector.class".to_owned(), json!(class.choose(rng).unwrap())),
        ("topic".to_owned(), json!("t")),
        ("file".to_owned(), json!("/dev/null")),
    ]);
    for _ in 0..rng.random_range(0..6) {
        let key = if rng.random_bool(0.8) { pick(rng, KEYS).to_owned() } else { name(rng) };
        members.insert(key, value(rng));
    }
    Value::Object(members)
}

fn body(rng: &mut StdRng) -> Vec<u8> {
    let whole = match rng.random_range(0..10) {
        0 => json!({"offsets": [{"partition": value(rng), "offset": value(rng)}, value(rng)]}),
        1 => json!({"offsets": value(rng)}),
        2 => json!({"level": value(rng)}),
        3 => value(rng),
        4 | 5 => config(rng),
        6 => json!({"name": value(rng), "config": value(rng), "initial_state": value(rng)}),
        // Without tasks, so that nothing of this test touches files.
        _ => json!({"name": name(rng), "config": config(rng), "initial_state": "STOPPED"}),
    };
    let mut bytes = whole.to_string().into_bytes();
    match rng.random_range(0..12) {
        0 => bytes.truncate(rng.random_range(0..=bytes.len())),
        1 if !bytes.is_empty() => {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random();
        }
        2 => bytes = "[".repeat(100_000).into_bytes(),
        3 => bytes = br#"{"name":"\ud800","config":{}}"#.to_vec(),
        4 => bytes = br#"{"config":{"a":1,"a":null,"a":"b"},"config":{}}"#.to_vec(),
        _ => {}
    }
    bytes
}

/// A request that HTTP understands, in whatever form.
fn formed(rng: &mut StdRng) -> Vec<u8> {
    if rng.random_bool(0.1) {
        return nearly_good(rng);
    }
    let path = pick(rng, PATHS).replace("{n}", &segment(&name(rng)));
    let body = if rng.random_bool(0.7) { body(rng) } else { Vec::new() };
    let mut head = format!("{} {path} HTTP/1.1\r\nConnection: close\r\n", pick(rng, METHODS));
    for _ in 0..rng.random_range(0..4) {
        head.push_str(pick(rng, HEADERS));
        head.push_str("\r\n");
    }
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    [head.as_bytes(), b"\r\n", &body].concat()
}

/// Something that is hardly HTTP.
fn unformed(rng: &mut StdRng) -> Vec<u8> {
    match rng.random_range(0..5) {
        0 => (0..rng.random_range(1..300)).map(|_| rng.random()).collect(),
        1 => format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(40_000)).into_bytes(),
        2 => format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(200)).into_bytes(),
        3 => format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(40_000)).into_bytes(),
        _ => pick(rng, RAW).as_bytes().to_vec(),
    }
}

/// A creation that is good but for its name, perhaps.
fn nearly_good(rng: &mut StdRng) -> Vec<u8> {
    let config = json!({"connector.class": "FileStreamSource", "topic": "t"});
    let body = json!({"name": name(rng), "config": config, "initial_state": "STOPPED"}).to_string();
    let head = "POST /connectors HTTP/1.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length:";
    format!("{head} {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn shown(request: &[u8]) -> String {
    String::from_utf8_lossy(request).chars().take(600).collect()
}

/// What every answer must be like; errors of the endpoint itself are JSON.
fn check(answer: &Answer, request: &[u8], is_formed: bool) {
    let shown = shown(request);
    assert!(answer.status < 500, "{} to {shown}: {}", answer.status, answer.body);
    assert!(answer.body.len() < 100_000, "{} bytes to {shown}", answer.body.len());
    if is_formed && answer.status >= 400 && !request.starts_with(b"HEAD") && !answer.body.is_empty() {
        let json = answer.json();
        assert_eq!(json["error_code"], answer.status, "{shown}: {}", answer.body);
        assert!(json["message"].as_str().is_some_and(|m| !m.is_empty()), "{shown}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_bad_request_is_answered_with_a_failure_of_the_worker() {
    let seed = std::env::var("EF_SEED").map_or(20_261_121, |seed| seed.parse().unwrap());
    println!("seed {seed}; another one: EF_SEED=<number>");
    let endpoint = Endpoint::start(World::start("default").await, LIMITS).await;
    let mut bad = 0;
    for n in 0..REQUESTS {
        let rng = &mut StdRng::seed_from_u64(seed + n);
        let is_formed = rng.random_bool(0.85);
        let request = if is_formed { formed(rng) } else { unformed(rng) };
        match endpoint.send(&request).await {
            Some(answer) => {
                check(&answer, &request, is_formed);
                bad += usize::from(answer.status >= 400);
            }
            // Bytes that are no HTTP may be answered by closing the connection.
            None => assert!(!is_formed, "no answer to request {n}: {}", shown(&request)),
        }
    }
    assert!(bad >= BAD, "only {bad} requests were bad");
    assert_eq!(endpoint.ask("GET", "/health", None).await.status, 200);
    every_accepted_name_can_be_addressed(&endpoint).await;
    endpoint.stop().await;
}

async fn every_accepted_name_can_be_addressed(endpoint: &Endpoint) {
    let names: Vec<String> = serde_json::from_value(endpoint.ask("GET", "/connectors", None).await.json()).unwrap();
    assert!(names.len() > 3, "some of the generated requests are good: {names:?}");
    for name in names {
        let path = format!("/connectors/{}", segment(&name));
        assert_eq!(endpoint.ask("GET", &path, None).await.json()["name"], *name);
        assert_eq!(endpoint.ask("DELETE", &path, None).await.status, 204, "{name:?}");
        assert_eq!(endpoint.ask("GET", &path, None).await.status, 404, "{name:?}");
    }
}
