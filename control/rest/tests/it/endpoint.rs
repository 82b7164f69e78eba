//! What the recordings do not show: limits, secrets, additions, sockets.
use crate::replay::{Ask, Reply, Target};
use crate::tcp::{Endpoint, LIMITS};
use crate::world::{World, golden};
use elasticflow_config::Properties;
use elasticflow_config::worker::Listener;
use elasticflow_rest::{BindError, bind};
use serde_json::{Value, json};

async fn world(extra: &[(&str, &str)]) -> World {
    let text = std::fs::read_to_string(golden().join("worker/default.properties")).unwrap();
    let mut properties = Properties::from_properties_text(&text).unwrap();
    properties.0.extend(extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    World::with(properties, tempfile::tempdir().unwrap()).await
}

async fn send(world: &World, method: &str, path: &str, body: Option<Value>) -> (Reply, Value) {
    let headers = body.iter().map(|_| ("Content-Type".to_owned(), "application/json".to_owned())).collect();
    let body = body.map(|b| serde_json::to_vec(&b).unwrap());
    let ask = Ask { method: method.to_owned(), path: path.to_owned(), headers, body, via: None };
    let reply = world.ask(&ask).await;
    let json = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    (reply, json)
}

fn sink(extra: &[(&str, &str)]) -> Value {
    let mut config = json!({"connector.class": "FileStreamSink", "topics": "a", "file": "/dev/null"});
    for (key, value) in extra {
        config[*key] = json!(value);
    }
    json!({"name": "s", "config": config, "initial_state": "STOPPED"})
}

#[tokio::test]
async fn an_unknown_class_is_answered_with_the_nearest_one() {
    let world = world(&[]).await;
    let body = json!({"name": "x", "config": {"connector.class": "FileStreamSoruce"}});
    let (reply, json) = send(&world, "POST", "/connectors", Some(body)).await;
    assert_eq!(reply.status, 400);
    let message = json["message"].as_str().unwrap();
    assert!(message.ends_with("Did you mean FileStreamSource?"), "{message}");
}

#[tokio::test]
async fn errors_are_listed_by_key_unless_extensions_are_off() {
    let wrong = json!({"name": "x", "config": {"connector.class": "FileStreamSource", "tasks.max": "0"}});
    let (_, with) = send(&world(&[]).await, "POST", "/connectors", Some(wrong.clone())).await;
    let keys: Vec<&str> =
        with["elasticflow"]["errors"].as_array().unwrap().iter().map(|e| e["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["tasks.max", "topic"]);
    let (_, without) = send(&world(&[("rest.extensions", "false")]).await, "POST", "/connectors", Some(wrong)).await;
    assert_eq!(without.as_object().unwrap().keys().collect::<Vec<_>>(), ["error_code", "message"]);
}

#[tokio::test]
async fn an_unknown_option_is_a_warning_of_the_validation() {
    let body = json!({"connector.class": "FileStreamSink", "name": "s", "topics": "a", "task.max": "1"});
    let path = "/connector-plugins/FileStreamSink/config/validate";
    let (reply, json) = send(&world(&[]).await, "PUT", path, Some(body)).await;
    assert_eq!((reply.status, json["error_count"].as_u64()), (200, Some(0)));
    assert_eq!(json["elasticflow"]["warnings"][0]["key"], "task.max");
    assert!(json["elasticflow"]["warnings"][0]["message"].as_str().unwrap().ends_with("did you mean tasks.max?"));
}

#[tokio::test]
async fn an_unknown_option_is_a_warning_in_the_answer_that_stores_it_and_in_no_other() {
    let config = json!({"connector.class": "FileStreamSink", "topics": "a", "task.max": "1"});
    let post = json!({"name": "s", "config": config});
    let world = world(&[]).await;
    let key = |json: &Value| json["elasticflow"]["warnings"][0]["key"].as_str().map(str::to_owned);
    let (created, json) = send(&world, "POST", "/connectors", Some(post.clone())).await;
    assert_eq!((created.status, key(&json).as_deref()), (201, Some("task.max")), "{json}");
    let (_, json) = send(&world, "PUT", "/connectors/s/config", Some(config)).await;
    assert_eq!(key(&json).as_deref(), Some("task.max"), "{json}");
    let (_, json) = send(&world, "PATCH", "/connectors/s/config", Some(json!({"file": "f"}))).await;
    assert_eq!(key(&json).as_deref(), Some("task.max"), "{json}");
    let (_, json) = send(&world, "GET", "/connectors/s", None).await;
    assert!(json.get("elasticflow").is_none(), "{json}");
    let plain = crate::endpoint::world(&[("rest.extensions", "false")]).await;
    let (_, json) = send(&plain, "POST", "/connectors", Some(post)).await;
    assert!(json["name"] == "s" && json.get("elasticflow").is_none(), "{json}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_with_the_limit() {
    let world = world(&[("rest.request.bytes.max", "1024")]).await;
    let (reply, json) =
        send(&world, "POST", "/connectors", Some(json!({"name": "x".repeat(2000), "config": {}}))).await;
    assert_eq!((reply.status, json["error_code"].as_u64()), (413, Some(413)));
    assert!(json["message"].as_str().unwrap().contains("rest.request.bytes.max, 1024 bytes"), "{json}");
}

#[tokio::test]
async fn secrets_are_hidden_in_answers_and_kept_when_they_come_back_hidden() {
    let secret = ("consumer.override.sasl.jaas.config", "Plain password=\"hunter2\";");
    let world = world(&[]).await;
    let (reply, json) = send(&world, "POST", "/connectors", Some(sink(&[secret]))).await;
    assert_eq!(reply.status, 201, "{json}");
    assert_eq!(json["config"][secret.0], "[hidden]");
    let (_, stored) = send(&world, "GET", "/connectors/s/config", None).await;
    assert_eq!(stored[secret.0], "[hidden]");
    let (reply, back) = send(&world, "PUT", "/connectors/s/config", Some(stored)).await;
    assert_eq!((reply.status, &back["config"][secret.0]), (200, &json!("[hidden]")));
    for path in ["/connectors/s", "/connectors/s/tasks", "/connectors?expand=info&expand=status", "/metrics"] {
        let (reply, _) = send(&world, "GET", path, None).await;
        assert!(!String::from_utf8_lossy(&reply.body).contains("hunter2"), "{path}");
    }
}

#[tokio::test]
async fn hidden_secrets_without_a_stored_one_are_refused() {
    let hidden = sink(&[("consumer.override.sasl.jaas.config", "[hidden]")]);
    let (reply, json) = send(&world(&[]).await, "PUT", "/connectors/s/config", Some(hidden["config"].clone())).await;
    assert_eq!(reply.status, 400, "{json}");
}

#[tokio::test]
async fn connects_behaviour_with_secrets_can_be_had_back() {
    let secret = ("consumer.override.sasl.jaas.config", "x");
    let world = world(&[("rest.redact.secrets", "false")]).await;
    let (_, json) = send(&world, "POST", "/connectors", Some(sink(&[secret]))).await;
    assert_eq!(json["config"][secret.0], "x");
}

#[tokio::test]
async fn a_message_about_a_malformed_body_names_the_place_and_no_value() {
    let world = world(&[]).await;
    for (body, place) in [
        (json!({"name": "x", "config": {"password": ["hunter2"]}}), "config"),
        (json!({"name": "x", "config": {}, "initial_state": "hunter2"}), "initial_state"),
        (json!({"name": "x", "config": {}, "extra": "hunter2"}), "extra"),
    ] {
        let (reply, json) = send(&world, "POST", "/connectors", Some(body)).await;
        let message = json["message"].as_str().unwrap();
        assert_eq!(reply.status, 400);
        assert!(message.contains(place) && !message.contains("hunter2"), "{message}");
    }
}

#[tokio::test]
async fn metrics_are_text_and_head_has_no_body() {
    let world = world(&[]).await;
    let (reply, _) = send(&world, "GET", "/metrics", None).await;
    assert_eq!(reply.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = String::from_utf8(reply.body).unwrap();
    assert!(text.starts_with("# no metrics\n"), "{text}");
    let (head, _) = send(&world, "HEAD", "/connectors", None).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn an_address_that_others_reach_is_refused_without_authentication() {
    let open = Listener::read("http://0.0.0.0:0").unwrap();
    let refused = bind(&open, false, false).await.unwrap_err();
    assert!(matches!(refused, BindError::Refused(_)), "{refused}");
    assert!(bind(&open, false, true).await.is_ok());
    assert!(bind(&open, true, false).await.is_ok());
}

#[tokio::test]
async fn a_port_in_use_is_told_with_the_listener() {
    let first = bind(&Listener::read("http://127.0.0.1:0").unwrap(), false, false).await.unwrap();
    let url = format!("http://127.0.0.1:{}", first.local_addr().unwrap().port());
    let error = bind(&Listener::read(&url).unwrap(), false, false).await.unwrap_err().to_string();
    assert!(error.contains(&url) && error.contains("choose another one in listeners"), "{error}");
}

#[tokio::test]
async fn a_socket_is_served_until_it_is_told_to_stop() {
    let endpoint = Endpoint::start(world(&[]).await, LIMITS).await;
    let answer = endpoint.ask("GET", "/connectors/", None).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "[]"));
    // A connection that waits for its next request does not keep the endpoint up.
    let idle = tokio::net::TcpStream::connect(endpoint.address).await.unwrap();
    endpoint.stop().await;
    drop(idle);
}
