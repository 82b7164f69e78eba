//! What is asked of the registry, and what its failures lead to.
use crate::converting::{AVRO, converter, decode, encode, field, named, schema, try_converter};
use crate::server::TestRegistry;
use bytes::Bytes;
use elasticflow_api::ErrorClass;
use elasticflow_api::data::{Datum, Kind, SchemaRef, Struct, Value};
use elasticflow_config::Properties;
use serde_json::json;
use std::sync::Arc;

fn row(schema: &SchemaRef, values: Vec<Value>) -> Datum {
    let value = Value::Struct(Struct { schema: Arc::clone(schema), values });
    Datum { schema: Some(Arc::clone(schema)), value }
}

fn of_id() -> Datum {
    let schema = named(Kind::Struct(Arc::new([field("id", &schema(Kind::Int64, false))])), false, Some("com.x.Row"));
    row(&schema, vec![Value::Int64(7)])
}

#[tokio::test]
async fn an_incompatible_schema_is_definite_and_says_what_to_do() {
    let server = TestRegistry::start().await;
    server.state.lock().unwrap().closed.push("t-value".to_owned());
    let error = encode(&*converter(AVRO, &server.url, &[]), "t", &of_id()).await.unwrap_err().task();
    assert_eq!(error.class, ErrorClass::Definite);
    for part in ["t-value", "type mismatch at /fields/0", "/config/t-value", "no record is lost"] {
        assert!(error.message.contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_registry_that_fails_is_transient_and_the_record_is_written_when_it_is_back() {
    let server = TestRegistry::start().await;
    let writing = converter(AVRO, &server.url, &[]);
    server.state.lock().unwrap().failures = vec![500, 503, 429];
    for _ in 0..3 {
        let error = encode(&*writing, "t", &of_id()).await.unwrap_err().task();
        assert!(matches!(error.class, ErrorClass::Transient { .. }), "{error}");
    }
    let bytes = encode(&*writing, "t", &of_id()).await.unwrap().unwrap();
    server.state.lock().unwrap().failures = vec![500];
    let reading = converter(AVRO, &server.url, &[]);
    let error = decode(&*reading, "t", Some(&bytes)).await.unwrap_err().task();
    assert!(matches!(error.class, ErrorClass::Transient { .. }), "{error}");
    let read = decode(&*reading, "t", Some(&bytes)).await.unwrap().value;
    assert!(matches!(read, Value::Struct(record) if record.values == [Value::Int64(7)]));
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_transient_and_the_next_address_is_asked() {
    let server = TestRegistry::start().await;
    let nowhere = "http://127.0.0.1:1";
    let error = encode(&*converter(AVRO, nowhere, &[]), "t", &of_id()).await.unwrap_err().task();
    assert!(matches!(error.class, ErrorClass::Transient { .. }), "{error}");
    assert!(error.message.contains("does not answer"), "{error}");
    let both = format!("{nowhere},{}", server.url);
    assert!(encode(&*converter(AVRO, &both, &[]), "t", &of_id()).await.is_ok());
}

#[tokio::test]
async fn wrong_credentials_are_a_configuration_error_that_shows_no_secret() {
    let server = TestRegistry::start().await;
    // user:secret
    server.state.lock().unwrap().authorization = Some("Basic dXNlcjpzZWNyZXQ=".to_owned());
    let info = [("basic.auth.credentials.source", "USER_INFO"), ("basic.auth.user.info", "user:wrong-secret")];
    let error = encode(&*converter(AVRO, &server.url, &info), "t", &of_id()).await.unwrap_err().task();
    assert_eq!(error.class, ErrorClass::Config);
    assert!(error.message.contains("basic.auth") && !format!("{error:?}").contains("wrong-secret"), "{error}");
    let info = [("basic.auth.credentials.source", "USER_INFO"), ("basic.auth.user.info", "user:secret")];
    assert!(encode(&*converter(AVRO, &server.url, &info), "t", &of_id()).await.is_ok());
    let in_url = server.url.replace("http://", "http://user:secret@");
    assert!(encode(&*converter(AVRO, &in_url, &[]), "t", &of_id()).await.is_ok());
}

#[tokio::test]
async fn a_bearer_token_is_sent() {
    let server = TestRegistry::start().await;
    server.state.lock().unwrap().authorization = Some("Bearer t0ken".to_owned());
    let token = [("bearer.auth.credentials.source", "STATIC_TOKEN"), ("bearer.auth.token", "t0ken")];
    assert!(encode(&*converter(AVRO, &server.url, &token), "t", &of_id()).await.is_ok());
}

#[tokio::test]
async fn a_schema_is_asked_for_once_however_many_records() {
    let server = TestRegistry::start().await;
    let (writing, reading) = (converter(AVRO, &server.url, &[]), converter(AVRO, &server.url, &[]));
    for _ in 0..50 {
        let bytes = encode(&*writing, "t", &of_id()).await.unwrap();
        decode(&*reading, "t", bytes.as_ref()).await.unwrap();
    }
    assert_eq!(
        server.requests(),
        ["POST /base/subjects/t-value/versions", "GET /base/schemas/ids/1", "GET /base/schemas/ids/1/versions"]
    );
}

#[tokio::test]
async fn an_unknown_id_is_a_bad_record_until_the_schema_is_there() {
    let server = TestRegistry::start().await;
    let reading = converter(AVRO, &server.url, &[]);
    let message = Bytes::from_static(b"\0\0\0\0\x01\x0E");
    let failed = decode(&*reading, "t", Some(&message)).await.unwrap_err();
    assert!(failed.text().contains("schema id 1 is unknown"), "{}", failed.text());
    server.put("t-value", "AVRO", "\"int\"", json!([]));
    assert_eq!(decode(&*reading, "t", Some(&message)).await.unwrap().value, Value::Int32(7));
}

#[tokio::test]
async fn schemas_that_a_schema_needs_are_fetched() {
    let server = TestRegistry::start().await;
    server.put("a", "AVRO", r#"{"type":"record","name":"A","fields":[{"name":"n","type":"int"}]}"#, json!([]));
    let needs = json!([{"name": "A", "subject": "a", "version": 1}]);
    server.put("b", "AVRO", r#"{"type":"record","name":"B","fields":[{"name":"a","type":"A"}]}"#, needs);
    let needs = json!([{"name": "B", "subject": "b", "version": 1}]);
    server.put("t-value", "AVRO", r#"{"type":"record","name":"C","fields":[{"name":"b","type":"B"}]}"#, needs);
    let reading = converter(AVRO, &server.url, &[]);
    let read = decode(&*reading, "t", Some(&Bytes::from_static(b"\0\0\0\0\x03\x0E"))).await.unwrap();
    let Value::Struct(outer) = read.value else { panic!("no struct") };
    let Value::Struct(inner) = &outer.values[0] else { panic!("no struct") };
    let Value::Struct(inner) = &inner.values[0] else { panic!("no struct") };
    assert_eq!(inner.values, [Value::Int32(7)]);
}

const LATEST: [(&str, &str); 2] = [("auto.register.schemas", "false"), ("use.latest.version", "true")];

#[tokio::test]
async fn the_newest_version_is_written_by_the_names_of_fields() {
    let server = TestRegistry::start().await;
    let text = r#"{"type":"record","name":"Other","fields":[{"name":"more","type":"string","default":"d"},{"name":"id","type":["null","long"]}]}"#;
    server.put("t-value", "AVRO", text, json!([]));
    let writing = converter(AVRO, &server.url, &LATEST);
    let bytes = encode(&*writing, "t", &of_id()).await.unwrap().unwrap();
    assert_eq!(bytes.as_ref(), b"\0\0\0\0\x01\x02d\x02\x0E");
}

#[tokio::test]
async fn records_that_do_not_fit_the_newest_version_stop_the_task_and_name_the_field() {
    let server = TestRegistry::start().await;
    server.put(
        "t-value",
        "AVRO",
        r#"{"type":"record","name":"O","fields":[{"name":"id","type":"string"}]}"#,
        json!([]),
    );
    let error = encode(&*converter(AVRO, &server.url, &LATEST), "t", &of_id()).await.unwrap_err().task();
    assert_eq!(error.class, ErrorClass::Definite);
    assert!(error.message.contains("field id") && error.message.contains("version 1"), "{error}");

    server.put("u-value", "AVRO", r#"{"type":"record","name":"O","fields":[]}"#, json!([]));
    let error = encode(&*converter(AVRO, &server.url, &LATEST), "u", &of_id()).await.unwrap_err().task();
    assert!(error.message.contains("lacks the records' field id"), "{error}");
    let loose = [LATEST[0], LATEST[1], ("latest.compatibility.strict", "false")];
    let bytes = encode(&*converter(AVRO, &server.url, &loose), "u", &of_id()).await.unwrap().unwrap();
    assert_eq!(bytes.as_ref(), b"\0\0\0\0\x02");
}

#[tokio::test]
async fn a_schema_is_written_by_its_id() {
    let server = TestRegistry::start().await;
    server.put("any", "AVRO", r#"{"type":"record","name":"O","fields":[{"name":"id","type":"long"}]}"#, json!([]));
    let by_id = [("auto.register.schemas", "false"), ("use.schema.id", "1")];
    let bytes = encode(&*converter(AVRO, &server.url, &by_id), "t", &of_id()).await.unwrap().unwrap();
    assert_eq!(bytes.as_ref(), b"\0\0\0\0\x01\x0E");
    assert_eq!(server.requests(), ["GET /base/schemas/ids/1"]);
}

#[tokio::test]
async fn normalising_is_asked_for() {
    let server = TestRegistry::start().await;
    let writing = converter(AVRO, &server.url, &[("normalize.schemas", "true")]);
    encode(&*writing, "t", &of_id()).await.unwrap();
    assert_eq!(server.requests(), ["POST /base/subjects/t-value/versions?normalize=true"]);
}

#[tokio::test]
async fn a_message_of_another_format_is_a_bad_record_that_says_so() {
    let server = TestRegistry::start().await;
    server.put("t-value", "PROTOBUF", "syntax = \"proto3\"; message M {}", json!([]));
    let failed = decode(&*converter(AVRO, &server.url, &[]), "t", Some(&Bytes::from_static(b"\0\0\0\0\x01\0"))).await;
    assert!(failed.unwrap_err().text().contains("PROTOBUF"));
}

#[tokio::test]
async fn a_type_that_holds_itself_is_a_bad_record_that_says_so() {
    let server = TestRegistry::start().await;
    server.put(
        "t-value",
        "AVRO",
        r#"{"type":"record","name":"R","fields":[{"name":"r","type":["null","R"]}]}"#,
        json!([]),
    );
    let failed = decode(&*converter(AVRO, &server.url, &[]), "t", Some(&Bytes::from_static(b"\0\0\0\0\x01\0"))).await;
    assert!(failed.unwrap_err().text().contains("R holds itself"));
}

#[test]
fn settings_that_would_be_without_effect_are_refused() {
    let refused = |options: &[(&str, &str)]| {
        let properties = Properties::from_iter(options.iter().copied()).with("schema.registry.url", "http://h:1");
        try_converter(AVRO, properties, false)
            .err()
            .map(|e| (e.class, e.to_string()))
            .unwrap_or_else(|| panic!("{options:?}"))
    };
    for options in [
        &[("use.latest.version", "true")][..],
        &[("use.schema.id", "5")],
        &[("auto.register.schemas", "false"), ("use.schema.id", "5"), ("use.latest.version", "true")],
        &[("basic.auth.credentials.source", "USER_INFO")],
        &[("basic.auth.credentials.source", "SASL_INHERIT")],
        &[("bearer.auth.credentials.source", "OAUTHBEARER")],
        &[("bearer.auth.token", "x")],
        &[("generalized.sum.type.support", "true")],
        &[("schema.registry.ssl.truststore.type", "JKS")],
        &[("schema.registry.ssl.truststore.location", "/nowhere/ca.pem")],
        &[("schema.registry.ssl.endpoint.identification.algorithm", "none")],
        &[("value.subject.name.strategy", "com.x.Mine")],
    ] {
        let (class, text) = refused(options);
        assert_eq!(class, ErrorClass::Config);
        assert!(text.contains(options.last().unwrap().0), "{options:?}: {text}");
    }
    assert!(try_converter(AVRO, Properties::default(), false).is_err(), "schema.registry.url is required");
    let harmless =
        Properties::from_iter([("schema.registry.url", "http://h:1"), ("generalized.sum.type.support", "false")]);
    assert!(try_converter(AVRO, harmless, true).is_ok());
}

#[tokio::test]
async fn the_cache_keeps_to_its_bound_and_records_are_converted_all_the_same() {
    let server = TestRegistry::start().await;
    let tiny = converter(AVRO, &server.url, &[("schemas.cache.config", "1")]);
    let rows: Vec<Datum> = (0..4)
        .map(|n| {
            let name = format!("com.x.Row{n}");
            let schema = named(Kind::Struct(Arc::new([field("id", &schema(Kind::Int64, false))])), false, Some(&name));
            row(&schema, vec![Value::Int64(n)])
        })
        .collect();
    for _ in 0..3 {
        for row in &rows {
            let bytes = encode(&*tiny, "t", row).await.unwrap();
            assert!(matches!(decode(&*tiny, "t", bytes.as_ref()).await.unwrap().value, Value::Struct(_)));
        }
    }
}
