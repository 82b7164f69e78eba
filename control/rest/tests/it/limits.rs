//! What a client may take of the worker: sizes, connections, time, requests a second.
use crate::tcp::{Endpoint, LIMITS, segment};
use crate::world::{World, golden};
use elasticflow_config::Properties;
use elasticflow_rest::ConnectionLimits;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn endpoint(extra: &[(&str, &str)], limits: ConnectionLimits) -> Endpoint {
    let text = std::fs::read_to_string(golden().join("worker/default.properties")).unwrap();
    let mut properties = Properties::from_properties_text(&text).unwrap();
    properties.0.extend(extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    Endpoint::start(World::with(properties, tempfile::tempdir().unwrap()).await, limits).await
}

fn source(name: &str) -> Value {
    json!({"name": name, "initial_state": "STOPPED", "config": {"connector.class": "FileStreamSource", "topic": "t"}})
}

#[tokio::test]
async fn a_name_of_100000_characters_is_refused_and_nothing_is_stored() {
    let endpoint = endpoint(&[], LIMITS).await;
    let answer = endpoint.ask("POST", "/connectors", Some(&source(&"n".repeat(100_000)))).await;
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert_eq!(answer.status, 400);
    assert!(message.contains("may not be longer than 255 bytes, but has 100000"), "{message}");
    assert!(message.len() < 2_000, "{}", message.len());
    assert_eq!(endpoint.ask("GET", "/connectors", None).await.json(), json!([]));
    let put =
        endpoint.ask("PUT", &format!("/connectors/{}/config", "n".repeat(300)), Some(&source("x")["config"])).await;
    assert_eq!(put.status, 400, "{}", put.body);
}

#[tokio::test]
async fn every_accepted_name_has_a_location_that_leads_to_it() {
    let endpoint = endpoint(&[], LIMITS).await;
    for name in ["sl/ash", "per%cent", "%2F", "a?b#c", "ü n", "...", "a//b/", &"é".repeat(127), "+", "c:\\d", "{x}"] {
        let created = endpoint.ask("POST", "/connectors", Some(&source(name))).await;
        assert_eq!(created.status, 201, "{name}: {}", created.body);
        let location = created.head.lines().find_map(|l| l.strip_prefix("location: http://x")).unwrap();
        assert_eq!(endpoint.ask("GET", location, None).await.json()["name"], name);
        for (method, action, status) in [("PUT", "/pause", 202), ("PUT", "/stop", 204), ("GET", "/offsets", 200)] {
            let answer = endpoint.ask(method, &format!("{location}{action}"), None).await;
            assert_eq!(answer.status, status, "{name} {action}: {}", answer.body);
        }
        assert_eq!(endpoint.ask("DELETE", location, None).await.status, 204, "{name}");
    }
    for name in [".", "..", " ", "a\nb", &"é".repeat(128)] {
        let refused = endpoint.ask("POST", "/connectors", Some(&source(name))).await;
        assert_eq!(refused.status, 400, "{name:?}: {}", refused.body);
        let put = format!("/connectors/{}/config", segment(name));
        assert_eq!(endpoint.ask("PUT", &put, Some(&source("x")["config"])).await.status, 400, "{name:?}");
    }
}

#[tokio::test]
async fn configurations_that_do_not_fit_are_refused_with_the_limit() {
    let endpoint = endpoint(&[], LIMITS).await;
    let with = |extra: Map<String, Value>| {
        let mut request = source("big");
        request["config"].as_object_mut().unwrap().extend(extra);
        request
    };
    let many = (0..3_000).map(|n| (format!("k{n}"), json!(""))).collect();
    let nulls = (0..3_000).map(|n| (format!("k{n}"), Value::Null)).collect();
    let long = Map::from_iter([("k".to_owned(), json!("v".repeat(2_000_000)))]);
    let tasks = Map::from_iter([("tasks.max".to_owned(), json!(2_000_000_000))]);
    let transforms = vec!["a"; 400_000].join(",");
    let transforms = Map::from_iter([("transforms".to_owned(), json!(transforms))]);
    for (extra, limit) in [(many, "2000"), (nulls, "2000"), (long, "900000"), (tasks, "10000"), (transforms, "1000")] {
        let answer = endpoint.ask("POST", "/connectors", Some(&with(extra))).await;
        let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == 400 && message.contains(limit), "{limit}: {} {message}", answer.status);
    }
}

#[tokio::test]
async fn bodies_and_headers_that_are_too_large_are_refused() {
    let endpoint = endpoint(&[("rest.request.bytes.max", "2048")], LIMITS).await;
    let body = endpoint.ask("POST", "/connectors", Some(&source(&"n".repeat(3_000)))).await;
    assert_eq!((body.status, &body.json()["error_code"]), (413, &json!(413)));
    assert!(body.body.contains("rest.request.bytes.max, 2048 bytes"), "{}", body.body);
    let header = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(LIMITS.header_bytes_max));
    assert_eq!(endpoint.send(header.as_bytes()).await.unwrap().status, 431);
}

#[tokio::test]
async fn a_connection_too_many_is_told_so_and_a_closed_one_makes_room() {
    let endpoint = endpoint(&[], ConnectionLimits { connections_max: 2, ..LIMITS }).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut open = TcpStream::connect(endpoint.address).await.unwrap();
        open.write_all(b"GET /connectors HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        // The answer has come: the connection has its place.
        open.read_exact(&mut [0; 12]).await.unwrap();
        held.push(open);
    }
    let refused = endpoint.send(b"").await.unwrap();
    assert_eq!((refused.status, &refused.json()["error_code"]), (503, &json!(503)));
    assert!(refused.body.contains("rest.connections.max"), "{}", refused.body);
    held.pop();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while endpoint.ask("GET", "/connectors", None).await.status != 200 {
        assert!(tokio::time::Instant::now() < deadline, "the place is not free again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_silent_client_loses_its_connection() {
    let limits = ConnectionLimits { client_timeout: Duration::from_millis(100), ..LIMITS };
    let endpoint = endpoint(&[("rest.client.timeout.ms", "100")], limits).await;
    for begun in ["", "GET / HT", "GET /connectors HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut client = TcpStream::connect(endpoint.address).await.unwrap();
        client.write_all(begun.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(10), client.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "{begun:?}: still open");
    }
    let mut client = TcpStream::connect(endpoint.address).await.unwrap();
    let head = "POST /connectors HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn requests_beyond_the_rate_are_refused_with_the_key() {
    let endpoint = endpoint(&[("rest.requests.per.second.max", "1")], LIMITS).await;
    // Two in one second at the latest, however slow the machine is: the first takes the second's only place.
    let mut refused = None;
    for _ in 0..1_000 {
        let answer = endpoint.ask("GET", "/connectors", None).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    assert!(refused.expect("one of many is too many").body.contains("rest.requests.per.second.max"));
}
