//! Against a real registry, named by `EF_REGISTRY`.
use crate::converting::{AVRO, JSON, PROTOBUF, converter, decode, encode, field, named, schema};
use elasticflow_api::ErrorClass;
use elasticflow_api::data::{Datum, Kind, SchemaRef, Struct, Value};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The address, or none with a line that says so.
fn real(test: &str) -> Option<String> {
    let url = std::env::var("EF_REGISTRY").ok();
    if url.is_none() {
        println!("skipped {test}: EF_REGISTRY is not set (scripts/services up registry)");
    }
    url
}

fn topic() -> String {
    format!("real-{}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos())
}

fn row(kind: Kind, value: Value) -> Datum {
    let fields = [field("id", &schema(kind, false)), field("note", &schema(Kind::String, true))];
    let schema: SchemaRef = named(Kind::Struct(Arc::new(fields)), false, Some("com.x.Row"));
    let values = vec![value, Value::String("text".into())];
    Datum { schema: Some(Arc::clone(&schema)), value: Value::Struct(Struct { schema, values }) }
}

fn values(datum: Datum) -> Vec<Value> {
    match datum.value {
        Value::Struct(record) => record.values,
        other => panic!("no struct: {other:?}"),
    }
}

#[tokio::test]
async fn a_record_goes_through_a_real_registry_and_back() {
    let Some(url) = real("a_record_goes_through_a_real_registry_and_back") else { return };
    let topic = topic();
    let bytes = encode(&*converter(AVRO, &url, &[]), &topic, &row(Kind::Int64, Value::Int64(5))).await.unwrap();
    let read = decode(&*converter(AVRO, &url, &[]), &topic, bytes.as_ref()).await.unwrap();
    assert_eq!(read.schema.as_ref().unwrap().version, Some(1), "the registry's version");
    assert_eq!(values(read), [Value::Int64(5), Value::String("text".into())]);
}

#[tokio::test]
async fn records_of_every_format_go_through_a_real_registry_and_back() {
    let Some(url) = real("records_of_every_format_go_through_a_real_registry_and_back") else { return };
    for class in [JSON, PROTOBUF] {
        let topic = topic();
        let inside = row(Kind::Int8, Value::Int8(5));
        let bytes =
            encode(&*converter(class, &url, &[]), &topic, &inside).await.unwrap_or_else(|e| panic!("{}", e.text()));
        let read = decode(&*converter(class, &url, &[]), &topic, bytes.as_ref()).await;
        let read = read.unwrap_or_else(|e| panic!("{class}: {}", e.text()));
        assert_eq!(values(read), [Value::Int8(5), Value::String("text".into())], "{class}");
    }
    // A plain key.
    let plain = Datum { schema: Some(schema(Kind::Int64, false)), value: Value::Int64(7) };
    for class in [AVRO, JSON] {
        let topic = topic();
        let bytes =
            encode(&*converter(class, &url, &[]), &topic, &plain).await.unwrap_or_else(|e| panic!("{}", e.text()));
        let read = decode(&*converter(class, &url, &[]), &topic, bytes.as_ref()).await;
        assert_eq!(read.unwrap_or_else(|e| panic!("{class}: {}", e.text())).value, plain.value);
    }
}

#[tokio::test]
async fn a_real_registry_refuses_what_is_incompatible() {
    let Some(url) = real("a_real_registry_refuses_what_is_incompatible") else { return };
    let topic = topic();
    let writing = converter(AVRO, &url, &[]);
    encode(&*writing, &topic, &row(Kind::Int64, Value::Int64(5))).await.unwrap();
    let rule = reqwest::Client::new()
        .put(format!("{url}/config/{topic}-value"))
        .header("content-type", "application/vnd.schemaregistry.v1+json")
        .body(r#"{"compatibility":"BACKWARD"}"#);
    assert!(rule.send().await.unwrap().status().is_success());
    let changed = row(Kind::String, Value::String("five".into()));
    let error = encode(&*writing, &topic, &changed).await.unwrap_err().task();
    assert_eq!((error.class, error.code), (ErrorClass::Definite, "REGISTRY-0020"), "{error}");
    assert!(error.message.contains(&topic), "{error}");
}

#[tokio::test]
async fn a_real_registry_says_what_it_has_not() {
    let Some(url) = real("a_real_registry_says_what_it_has_not") else { return };
    let topic = topic();
    let closed = converter(AVRO, &url, &[("auto.register.schemas", "false")]);
    let error = encode(&*closed, &topic, &row(Kind::Int64, Value::Int64(5))).await.unwrap_err().task();
    assert_eq!(error.code, "REGISTRY-0022", "{error}");
    let unknown = bytes::Bytes::from_static(b"\0\x7F\0\0\0x");
    let failed = decode(&*closed, &topic, Some(&unknown)).await.unwrap_err();
    assert!(failed.text().contains("is unknown"), "{}", failed.text());
    let root = url.replace("/apis/ccompat/v7", "");
    let error = encode(&*converter(AVRO, &root, &[]), &topic, &row(Kind::Int64, Value::Int64(5))).await.unwrap_err();
    assert!(error.text().contains("schema.registry.url"), "{}", error.text());
}
